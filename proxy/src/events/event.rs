//! Events: facts about credentials. Immutable, idempotent by source and id.

use crate::clock::UnixMillis;
use crate::iam::{AccessKeyId, Credential, KeyStatus};

/// Longest life of a session, in milliseconds: the 36 hours AWS allows. What no longer matters after the last
/// session it could touch is pruned on this promise, so a longer session is refused.
pub const MAX_SESSION_MILLIS: i64 = 36 * 3_600_000;

/// How far a clock that feeds events may be ahead of this one, in milliseconds.
///
/// Revocations only ever grow, so one dated further ahead would refuse sessions not issued yet, with no way back.
pub const MAX_AHEAD_MILLIS: i64 = 5 * 60_000;

/// Longest source, event id, reason or ARN in bytes.
pub(super) const MAX_TEXT_BYTES: usize = 2_048;

/// One fact, identified by `source` and `id`: appending the same pair again changes nothing.
#[derive(Clone, Debug)]
pub struct Event {
    /// Who says so, for example `/sts/us-east-1` or [`/config`](Self::CONFIG_SOURCE).
    pub source: String,
    /// Unique within the source.
    pub id: String,
    /// When it happened.
    pub time: UnixMillis,
    /// What happened.
    pub data: EventData,
}

/// What happened.
#[derive(Clone, Debug)]
pub enum EventData {
    /// A temporary credential was issued.
    CredentialIssued(Credential),
    /// A long-term key was created, or its secret, principal or status replaced. Another secret ends the sessions that the
    /// former one got.
    AccessKeyCreated(Credential),
    /// A long-term key was activated or deactivated. Deactivation ends the sessions issued to it.
    AccessKeyStatus {
        /// Which key.
        access_key_id: AccessKeyId,
        /// Its status from now on.
        status: KeyStatus,
    },
    /// A long-term key was deleted, and with it the sessions issued to it.
    AccessKeyDeleted {
        /// Which key.
        access_key_id: AccessKeyId,
    },
    /// Sessions were revoked.
    SessionRevoked {
        /// Which sessions.
        scope: RevocationScope,
        /// Whether sessions chained from those, directly or not, are revoked as well.
        cascade: bool,
        /// Sessions issued strictly before this time are refused.
        issued_before: UnixMillis,
        /// Why, for people.
        reason: Option<String>,
    },
}

/// Which sessions a revocation reaches. Long-term keys are reached by their access key id only.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum RevocationScope {
    /// One credential, and the sessions issued to it. A long-term key that is declared is reached whenever it is: such a
    /// revocation is never forgotten, unless the id is a temporary credential's.
    AccessKey(AccessKeyId),
    /// The same of an id that was issued as a session's when the revocation came, whatever it looks like: such a revocation
    /// is forgotten when that session is over. The store makes it of [`AccessKey`](Self::AccessKey).
    SessionId(AccessKeyId),
    /// The sessions issued to a long-term key, but not the key.
    IssuedTo(AccessKeyId),
    /// Every session of the principal with this ARN or unique id; of a user also those it got for others by
    /// `GetFederationToken`.
    Principal(String),
    /// Every session of the role with this ARN.
    Role(String),
    /// Every session of the account.
    Account(String),
    /// Sessions of one name of one role.
    SessionName {
        /// ARN of the role.
        role: String,
        /// The session name.
        name: String,
    },
    /// Every session that the identity provider with this ARN vouched for.
    IdentityProvider(String),
    /// Every session with this source identity, in whatever account.
    SourceIdentity(String),
}

/// What became of an appended event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// Its place in the log; for a duplicate the place of the first.
    pub seq: u64,
    /// Whether it was in the log already.
    pub duplicate: bool,
}

/// An event that cannot be accepted: which part of it, and what is wrong. Never holds a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {problem}")]
pub struct EventError {
    /// Where, for example `data.expires_at`.
    pub path: String,
    /// What is wrong there.
    pub problem: String,
}

impl EventError {
    pub(super) fn new(path: impl Into<String>, problem: impl Into<String>) -> Self {
        Self { path: path.into(), problem: problem.into() }
    }
}

impl Event {
    /// The source of the keys that the configuration declares. No event from outside may claim it.
    pub const CONFIG_SOURCE: &'static str = "/config";

    /// What the source of keys begins with that a `[[key_sources]]` declares; its name follows. No event from outside may
    /// claim it.
    pub const KEY_SOURCES: &'static str = "/key-sources/";

    /// Whether `source` is the configuration of a gateway or something it names: then its keys are that gateway's own.
    pub fn is_declaration(source: &str) -> bool {
        source == Self::CONFIG_SOURCE || source.starts_with(Self::KEY_SOURCES)
    }

    /// Whether the event holds a secret access key: then it may come in over loopback or TLS only.
    pub const fn carries_secret(&self) -> bool {
        match self.data {
            EventData::CredentialIssued(_) | EventData::AccessKeyCreated(_) => true,
            EventData::AccessKeyStatus { .. }
            | EventData::AccessKeyDeleted { .. }
            | EventData::SessionRevoked { .. } => false,
        }
    }

    /// What the store relies on, whoever made the event; the edge checks more.
    pub(crate) fn check(&self, now: UnixMillis) -> Result<(), EventError> {
        text("source", &self.source)?;
        text("id", &self.id)?;
        not_ahead("time", self.time, now)?;
        match &self.data {
            EventData::CredentialIssued(credential) => check_issued(credential, now),
            EventData::AccessKeyCreated(credential) => check_created(credential, now),
            EventData::SessionRevoked { scope, issued_before, reason, cascade: _ } => {
                not_ahead("data.issued_before", *issued_before, now)?;
                if reason.as_ref().is_some_and(|reason| reason.len() > MAX_TEXT_BYTES) {
                    return Err(EventError::new("data.reason", "must not be longer than 2048 bytes"));
                }
                match scope {
                    RevocationScope::AccessKey(_)
                    | RevocationScope::SessionId(_)
                    | RevocationScope::IssuedTo(_) => Ok(()),
                    RevocationScope::Principal(name) => text("data.principal", name),
                    RevocationScope::Role(arn) => text("data.role", arn),
                    RevocationScope::Account(account) => text("data.account", account),
                    RevocationScope::SessionName { role, name } => {
                        text("data.role", role).and_then(|()| text("data.session_name", name))
                    }
                    RevocationScope::IdentityProvider(arn) => text("data.identity_provider", arn),
                    RevocationScope::SourceIdentity(name) => text("data.source_identity", name),
                }
            }
            EventData::AccessKeyStatus { .. } | EventData::AccessKeyDeleted { .. } => Ok(()),
        }
    }
}

fn check_issued(credential: &Credential, now: UnixMillis) -> Result<(), EventError> {
    let Some(session) = &credential.session else {
        return Err(EventError::new(
            "data",
            "an issued credential has an expiry; a long-term key is created",
        ));
    };
    not_ahead("data.issued_at", credential.issued_at, now)?;
    if session.expires_at <= credential.issued_at {
        return Err(EventError::new("data.expires_at", "must be after data.issued_at"));
    }
    if session.expires_at > credential.issued_at.plus(MAX_SESSION_MILLIS) {
        return Err(EventError::new("data.expires_at", "must be at most 36 hours after data.issued_at"));
    }
    check_credential(credential)
}

fn check_created(credential: &Credential, now: UnixMillis) -> Result<(), EventError> {
    if credential.session.is_some() {
        return Err(EventError::new("data", "a long-term key does not expire; a session is issued"));
    }
    not_ahead("data.issued_at", credential.issued_at, now)?;
    check_credential(credential)
}

fn check_credential(credential: &Credential) -> Result<(), EventError> {
    if credential.secret.expose_secret().is_empty() {
        return Err(EventError::new("data.secret_access_key", "must not be empty"));
    }
    text("data.principal.arn", &credential.principal.arn)?;
    text("data.principal.user_id", &credential.principal.user_id)?;
    text("data.principal.account", &credential.principal.account)
}

fn text(path: &str, value: &str) -> Result<(), EventError> {
    if value.is_empty() || value.len() > MAX_TEXT_BYTES {
        return Err(EventError::new(path, "must have 1 to 2048 bytes"));
    }
    Ok(())
}

fn not_ahead(path: &str, time: UnixMillis, now: UnixMillis) -> Result<(), EventError> {
    if time > now.plus(MAX_AHEAD_MILLIS) {
        return Err(EventError::new(path, "is more than 5 minutes in the future"));
    }
    Ok(())
}
