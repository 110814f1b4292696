//! Rows of the log and of the view: what their headers say.
//!
//! Issuances of sessions, which are many, have a compact header (`issuance`); that of everything else is JSON, and what
//! follows is about that. Fields may be added and unknown ones are ignored. These structs are the stored form and stand
//! apart from the types in memory, so that renaming one of those cannot change what is on disk.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use serde::{Deserialize, Serialize};
use sigv4::SecretAccessKey;

use super::envelope::{self, Form, Row, RowError, RowKind};
use super::issuance::{self, Brief};
use super::{Event, EventData, Keyring, RevocationScope};
use crate::clock::UnixMillis;
use crate::iam::{
    AccessKeyId, Ancestor, Credential, Federation, KeyStatus, Principal, SamlSubject, Session, SessionKind,
    SessionTokenHash,
};

/// Largest row in bytes.
pub(crate) const MAX_ROW_BYTES: usize = 64 * 1024;

/// An event as the log keeps it.
#[derive(Clone, Debug)]
pub(crate) struct LoggedEvent {
    pub(crate) event: Event,
    /// When the log took it in; effects that mean "now" are computed from this time.
    pub(crate) recorded_at: UnixMillis,
}

/// A credential as the view keeps it.
#[derive(Clone, Debug)]
pub(crate) struct StoredCredential {
    pub(crate) credential: Credential,
    /// Where the store keeps the event that issued or created it.
    pub(crate) seq: u64,
    /// Source of that event.
    pub(crate) source: String,
}

/// Everything about a stored credential but its secret, unproved: good for lists, never for a decision.
pub(crate) struct CredentialHeader<'a> {
    header: CredentialRow,
    pub(crate) seq: u64,
    pub(crate) source: String,
    /// The key that sealed the secret.
    pub(crate) sealed_by: &'a str,
}

#[derive(Serialize, Deserialize)]
struct EventRow {
    source: String,
    id: String,
    time: UnixMillis,
    recorded_at: UnixMillis,
    data: DataRow,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum DataRow {
    CredentialIssued(CredentialRow),
    AccessKeyCreated(CredentialRow),
    AccessKeyStatus {
        access_key_id: AccessKeyId,
        status: KeyStatus,
    },
    AccessKeyDeleted {
        access_key_id: AccessKeyId,
    },
    SessionRevoked {
        scope: ScopeRow,
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        cascade: bool,
        issued_before: UnixMillis,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum ScopeRow {
    AccessKeyId(AccessKeyId),
    SessionId(AccessKeyId),
    IssuedTo(AccessKeyId),
    Principal(String),
    Role(String),
    Account(String),
    Session { role: String, name: String },
    IdentityProvider(String),
    SourceIdentity(String),
}

#[derive(Serialize, Deserialize)]
struct StoredRow {
    seq: u64,
    source: String,
    credential: CredentialRow,
}

#[derive(Serialize, Deserialize)]
struct CredentialRow {
    access_key_id: AccessKeyId,
    arn: String,
    user_id: String,
    account: String,
    issued_at: UnixMillis,
    status: KeyStatus,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    not_after: Option<UnixMillis>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    session: Option<SessionRow>,
}

#[derive(Serialize, Deserialize)]
struct SessionRow {
    kind: SessionKind,
    token_sha256: String,
    expires_at: UnixMillis,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    role_arn: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    parent: Option<AccessKeyId>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    tags: BTreeMap<String, String>,
    #[serde(default)]
    mfa: bool,
    /// When, if not at the time of issue.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    mfa_at: Option<UnixMillis>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    source_identity: Option<String>,
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    transitive: BTreeSet<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    policies: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    policy_arns: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    federation: Option<FederationRow>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    lineage: Vec<AncestorRow>,
}

#[derive(Serialize, Deserialize)]
struct FederationRow {
    provider: String,
    issuer: String,
    subject: String,
    audience: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    saml: Option<SamlRow>,
}

#[derive(Serialize, Deserialize)]
struct SamlRow {
    name_qualifier: String,
    subject_type: String,
}

#[derive(Serialize, Deserialize)]
struct AncestorRow {
    access_key_id: AccessKeyId,
    arn: String,
    user_id: String,
    account: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    role_arn: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    provider: Option<String>,
    issued_at: UnixMillis,
}

/// What a row of the log says of the session that it issues, its secret left empty, unproved: good for lists, never
/// for a decision.
pub(crate) struct IssuanceHeader<'a> {
    /// Source and id of the event.
    pub(crate) identity: (String, String),
    pub(crate) credential: Credential,
    /// The key that sealed the secret.
    pub(crate) sealed_by: &'a str,
}

/// Writes an event as a row of the log; its secret, if it has one, is sealed.
pub(crate) fn write_event(logged: &LoggedEvent, keyring: &Keyring) -> Result<Vec<u8>, RowError> {
    let LoggedEvent { event, recorded_at } = logged;
    let secret = match &event.data {
        EventData::CredentialIssued(credential) => {
            if let Some(session) = &credential.session {
                let header = issuance::write(event, *recorded_at, credential, session)?;
                let kind = (RowKind::Event, Form::Compact);
                return envelope::write(kind, &header, Some(&credential.secret), keyring);
            }
            Some(&credential.secret)
        }
        EventData::AccessKeyCreated(credential) => Some(&credential.secret),
        EventData::AccessKeyStatus { .. }
        | EventData::AccessKeyDeleted { .. }
        | EventData::SessionRevoked { .. } => None,
    };
    let row = EventRow {
        source: event.source.clone(),
        id: event.id.clone(),
        time: event.time,
        recorded_at: *recorded_at,
        data: DataRow::of(&event.data),
    };
    envelope::write((RowKind::Event, Form::Json), &json(&row)?, secret, keyring)
}

/// Reads a row of the log and unseals its secret.
pub(crate) fn read_event(bytes: &[u8], keyring: &Keyring) -> Result<LoggedEvent, RowError> {
    let row = Row::parse(RowKind::Event, bytes)?;
    let secret = row.unseal(keyring)?;
    match row.form {
        Form::Json => event_of(row.header, secret),
        Form::Compact => issuance::read(row.header, secret.ok_or_else(no_secret)?),
    }
}

fn event_of(header: &[u8], secret: Option<SecretAccessKey>) -> Result<LoggedEvent, RowError> {
    let EventRow { source, id, time, recorded_at, data } = parse(header)?;
    let data = data.into_data(secret, Event::is_declaration(&source))?;
    Ok(LoggedEvent { event: Event { source, id, time, data }, recorded_at })
}

/// What a row of the log says of the session that it issues; `None`: it issues none.
pub(crate) fn read_issuance(bytes: &[u8]) -> Result<Option<IssuanceHeader<'_>>, RowError> {
    let row = Row::parse(RowKind::Event, bytes)?;
    let Some(sealed_by) = row.key_id() else { return Ok(None) };
    let secret = SecretAccessKey::new([]);
    let logged = match row.form {
        Form::Json => event_of(row.header, Some(secret))?,
        Form::Compact => issuance::read(row.header, secret)?,
    };
    let Event { source, id, data, .. } = logged.event;
    let EventData::CredentialIssued(credential) = data else { return Ok(None) };
    Ok(Some(IssuanceHeader { identity: (source, id), credential, sealed_by }))
}

/// What the file needs to know of an issuance that somebody has proved, if its secret can be unsealed here.
pub(crate) fn read_proved<'a>(bytes: &'a [u8], keyring: &Keyring) -> Result<Brief<'a>, RowError> {
    let row = Row::parse(RowKind::Event, bytes)?;
    match (row.form, row.key_id()) {
        (Form::Json, _) | (Form::Compact, None) => Err(RowError::Malformed("no issuance".into())),
        (Form::Compact, Some(key)) if !keyring.contains(key) => Err(RowError::MissingKey(key.into())),
        (Form::Compact, Some(_)) => issuance::brief(row.header),
    }
}

/// When the session expires that a row of the log issues, as its header, unproved, says.
pub(crate) fn issued_until(bytes: &[u8]) -> Option<UnixMillis> {
    let row = Row::parse(RowKind::Event, bytes).ok()?;
    match row.form {
        Form::Compact => issuance::expiry(row.header),
        Form::Json => None,
    }
}

/// The id of the key that sealed the secret of a row of the log, if it has one.
pub(crate) fn sealed_by(bytes: &[u8]) -> Option<&str> {
    Row::parse(RowKind::Event, bytes).ok()?.key_id()
}

/// Whether a row of the log issues a session, as far as its header, unproved, can be read.
pub(crate) fn issues_session(bytes: &[u8]) -> bool {
    let Ok(row) = Row::parse(RowKind::Event, bytes) else { return false };
    match row.form {
        Form::Compact => true,
        Form::Json => {
            parse::<EventRow>(row.header).is_ok_and(|row| matches!(row.data, DataRow::CredentialIssued(_)))
        }
    }
}

/// When a row of the log was sealed that makes a long-term key what it is, as its header, unproved, says.
pub(crate) fn access_key_sealed_at(bytes: &[u8]) -> Option<UnixMillis> {
    let row = Row::parse(RowKind::Event, bytes).ok().filter(|row| row.form == Form::Json)?;
    let row: EventRow = parse(row.header).ok()?;
    matches!(row.data, DataRow::AccessKeyCreated(_)).then_some(row.recorded_at)
}

/// Source and id of a row of the log, without unsealing it.
pub(crate) fn event_identity(bytes: &[u8]) -> Result<(String, String), RowError> {
    #[derive(Deserialize)]
    struct Identity {
        source: String,
        id: String,
    }
    let row = Row::parse(RowKind::Event, bytes)?;
    if row.form == Form::Compact {
        return issuance::identity(row.header);
    }
    let Identity { source, id } = parse(row.header)?;
    Ok((source, id))
}

/// Writes a credential as a row of the view, its secret sealed.
pub(crate) fn write_credential(stored: &StoredCredential, keyring: &Keyring) -> Result<Vec<u8>, RowError> {
    let row = StoredRow {
        seq: stored.seq,
        source: stored.source.clone(),
        credential: CredentialRow::of(&stored.credential),
    };
    envelope::write((RowKind::Credential, Form::Json), &json(&row)?, Some(&stored.credential.secret), keyring)
}

/// Reads the row that stands under `access_key_id` and unseals its secret.
pub(crate) fn read_credential(
    access_key_id: &str,
    bytes: &[u8],
    keyring: &Keyring,
) -> Result<StoredCredential, RowError> {
    let row = Row::parse(RowKind::Credential, bytes)?;
    let secret = row.unseal(keyring)?.ok_or_else(no_secret)?;
    let header = read_header(access_key_id, bytes)?;
    let declared = !header.of_log();
    let credential = header.header.into_credential(secret, declared)?;
    Ok(StoredCredential { credential, seq: header.seq, source: header.source })
}

/// Reads everything but the secret of the row that stands under `access_key_id`.
pub(crate) fn read_header<'a>(
    access_key_id: &str,
    bytes: &'a [u8],
) -> Result<CredentialHeader<'a>, RowError> {
    let row = Row::parse(RowKind::Credential, bytes)?;
    let sealed_by = row.key_id().ok_or_else(no_secret)?;
    let StoredRow { seq, source, credential } = parse(row.header)?;
    if credential.access_key_id.as_str() != access_key_id {
        return Err(RowError::Malformed(format!("a record of {}", credential.access_key_id)));
    }
    Ok(CredentialHeader { header: credential, seq, source, sealed_by })
}

impl CredentialHeader<'_> {
    /// Whether the log made it, rather than something that a gateway declares.
    pub(crate) fn of_log(&self) -> bool {
        !Event::is_declaration(&self.source)
    }

    /// Everything but the secret, which is left empty.
    pub(crate) fn into_credential(self) -> Result<Credential, RowError> {
        let declared = !self.of_log();
        self.header.into_credential(SecretAccessKey::new([]), declared)
    }
}

impl DataRow {
    fn of(data: &EventData) -> Self {
        match data {
            EventData::CredentialIssued(credential) => Self::CredentialIssued(CredentialRow::of(credential)),
            EventData::AccessKeyCreated(credential) => Self::AccessKeyCreated(CredentialRow::of(credential)),
            EventData::AccessKeyStatus { access_key_id, status } => {
                Self::AccessKeyStatus { access_key_id: access_key_id.clone(), status: *status }
            }
            EventData::AccessKeyDeleted { access_key_id } => {
                Self::AccessKeyDeleted { access_key_id: access_key_id.clone() }
            }
            EventData::SessionRevoked { scope, cascade, issued_before, reason } => Self::SessionRevoked {
                scope: ScopeRow::of(scope),
                cascade: *cascade,
                issued_before: *issued_before,
                reason: reason.clone(),
            },
        }
    }

    fn into_data(self, secret: Option<SecretAccessKey>, declared: bool) -> Result<EventData, RowError> {
        let secret = || secret.ok_or_else(no_secret);
        Ok(match self {
            Self::CredentialIssued(row) => {
                EventData::CredentialIssued(row.into_credential(secret()?, false)?)
            }
            Self::AccessKeyCreated(row) => {
                EventData::AccessKeyCreated(row.into_credential(secret()?, declared)?)
            }
            Self::AccessKeyStatus { access_key_id, status } => {
                EventData::AccessKeyStatus { access_key_id, status }
            }
            Self::AccessKeyDeleted { access_key_id } => EventData::AccessKeyDeleted { access_key_id },
            Self::SessionRevoked { scope, cascade, issued_before, reason } => {
                EventData::SessionRevoked { scope: scope.into_scope(), cascade, issued_before, reason }
            }
        })
    }
}

impl ScopeRow {
    fn of(scope: &RevocationScope) -> Self {
        match scope.clone() {
            RevocationScope::AccessKey(id) => Self::AccessKeyId(id),
            RevocationScope::SessionId(id) => Self::SessionId(id),
            RevocationScope::IssuedTo(id) => Self::IssuedTo(id),
            RevocationScope::Principal(name) => Self::Principal(name),
            RevocationScope::Role(arn) => Self::Role(arn),
            RevocationScope::Account(account) => Self::Account(account),
            RevocationScope::SessionName { role, name } => Self::Session { role, name },
            RevocationScope::IdentityProvider(arn) => Self::IdentityProvider(arn),
            RevocationScope::SourceIdentity(name) => Self::SourceIdentity(name),
        }
    }

    fn into_scope(self) -> RevocationScope {
        match self {
            Self::AccessKeyId(id) => RevocationScope::AccessKey(id),
            Self::SessionId(id) => RevocationScope::SessionId(id),
            Self::IssuedTo(id) => RevocationScope::IssuedTo(id),
            Self::Principal(name) => RevocationScope::Principal(name),
            Self::Role(arn) => RevocationScope::Role(arn),
            Self::Account(account) => RevocationScope::Account(account),
            Self::Session { role, name } => RevocationScope::SessionName { role, name },
            Self::IdentityProvider(arn) => RevocationScope::IdentityProvider(arn),
            Self::SourceIdentity(name) => RevocationScope::SourceIdentity(name),
        }
    }
}

impl CredentialRow {
    fn of(credential: &Credential) -> Self {
        let principal = credential.principal.clone();
        Self {
            access_key_id: credential.access_key_id.clone(),
            arn: principal.arn,
            user_id: principal.user_id,
            account: principal.account,
            issued_at: credential.issued_at,
            status: credential.status,
            not_after: credential.not_after,
            session: credential.session.as_ref().map(|session| SessionRow::of(session, credential.issued_at)),
        }
    }

    fn into_credential(self, secret: SecretAccessKey, declared: bool) -> Result<Credential, RowError> {
        Ok(Credential {
            access_key_id: self.access_key_id,
            secret,
            principal: Principal { arn: self.arn, user_id: self.user_id, account: self.account },
            issued_at: self.issued_at,
            status: self.status,
            not_after: self.not_after,
            declared,
            session: self.session.map(|row| row.into_session(self.issued_at)).transpose()?,
        })
    }
}

impl SessionRow {
    fn of(session: &Session, issued_at: UnixMillis) -> Self {
        Self {
            kind: session.kind,
            token_sha256: STANDARD_NO_PAD.encode(session.token.as_bytes()),
            expires_at: session.expires_at,
            name: session.name.clone(),
            role_arn: session.role_arn.clone(),
            parent: session.parent_access_key_id.clone(),
            tags: session.tags.clone(),
            mfa: session.mfa_authenticated_at.is_some(),
            mfa_at: session.mfa_authenticated_at.filter(|at| *at != issued_at),
            source_identity: session.source_identity.clone(),
            transitive: session.transitive_tag_keys.clone(),
            policies: session.session_policies.clone(),
            policy_arns: session.policy_arns.clone(),
            federation: session.federation.as_ref().map(FederationRow::of),
            lineage: session.lineage.iter().map(AncestorRow::of).collect(),
        }
    }

    fn into_session(self, issued_at: UnixMillis) -> Result<Session, RowError> {
        let token: [u8; 32] = STANDARD_NO_PAD
            .decode(&self.token_sha256)
            .ok()
            .and_then(|hash| hash.try_into().ok())
            .ok_or_else(|| RowError::Malformed("token_sha256".into()))?;
        Ok(Session {
            kind: self.kind,
            token: SessionTokenHash::from_bytes(token),
            expires_at: self.expires_at,
            name: self.name,
            role_arn: self.role_arn,
            parent_access_key_id: self.parent,
            tags: self.tags,
            mfa_authenticated_at: self.mfa_at.or(self.mfa.then_some(issued_at)),
            source_identity: self.source_identity,
            transitive_tag_keys: self.transitive,
            session_policies: self.policies,
            policy_arns: self.policy_arns,
            federation: self.federation.map(FederationRow::into_federation),
            lineage: self.lineage.into_iter().map(AncestorRow::into_ancestor).collect(),
        })
    }
}

impl FederationRow {
    fn of(federation: &Federation) -> Self {
        let Federation { provider, issuer, subject, audience, saml } = federation.clone();
        let saml =
            saml.map(|SamlSubject { name_qualifier, subject_type }| SamlRow { name_qualifier, subject_type });
        Self { provider, issuer, subject, audience, saml }
    }

    fn into_federation(self) -> Federation {
        let Self { provider, issuer, subject, audience, saml } = self;
        let saml =
            saml.map(|SamlRow { name_qualifier, subject_type }| SamlSubject { name_qualifier, subject_type });
        Federation { provider, issuer, subject, audience, saml }
    }
}

impl AncestorRow {
    fn of(ancestor: &Ancestor) -> Self {
        let Ancestor { access_key_id, principal, role_arn, session_name, provider, issued_at } =
            ancestor.clone();
        let Principal { arn, user_id, account } = principal;
        Self { access_key_id, arn, user_id, account, role_arn, name: session_name, provider, issued_at }
    }

    fn into_ancestor(self) -> Ancestor {
        let Self { access_key_id, arn, user_id, account, role_arn, name, provider, issued_at } = self;
        let principal = Principal { arn, user_id, account };
        Ancestor { access_key_id, principal, role_arn, session_name: name, provider, issued_at }
    }
}

fn no_secret() -> RowError {
    RowError::Malformed("no secret".into())
}

fn json(row: &impl Serialize) -> Result<Vec<u8>, RowError> {
    serde_json::to_vec(row).map_err(|error| RowError::Malformed(error.to_string()))
}

fn parse<'a, T: Deserialize<'a>>(header: &'a [u8]) -> Result<T, RowError> {
    serde_json::from_slice(header).map_err(|error| RowError::Malformed(error.to_string()))
}

#[cfg(test)]
mod tests;
