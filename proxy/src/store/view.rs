//! Reading the view: one credential, lists for operators, and the log.

use redb::{ReadableDatabase, ReadableTable};

use super::error::StoreError;
use super::issued;
use super::revocations::{Mark, Revocations, RevokedBy};
use super::shared::waits_for_key;
use super::tables::{
    ACCESS_KEYS, EVENTS, ISSUED, META_APPLIED, META_LOGS, META_REVISION, QUARANTINE, meta, place, seq_of,
};
use crate::clock::UnixMillis;
use crate::events::{
    Event, Keyring, MAX_SESSION_MILLIS, RowError, StoredCredential, issues_session, read_credential,
    read_event, read_header, read_issuance,
};
use crate::iam::{AccessKeyId, Ancestor, Credential, KeyStatus, Principal, SessionKind};

/// Which sessions to list. Everything that is given must match.
#[derive(Clone, Debug, Default)]
pub struct SessionFilter {
    /// Access key id of the session, or of the long-term key it was issued to.
    pub access_key_id: Option<String>,
    /// ARN or unique id of the principal.
    pub principal: Option<String>,
    /// ARN of the role.
    pub role: Option<String>,
    /// Account.
    pub account: Option<String>,
    /// Session name.
    pub session_name: Option<String>,
    /// ARN of the identity provider.
    pub identity_provider: Option<String>,
    /// Source identity.
    pub source_identity: Option<String>,
    /// The STS operation it came from.
    pub kind: Option<SessionKind>,
    /// List expired sessions as well, as long as they are kept.
    pub expired: bool,
}

/// A session, for people.
#[derive(Clone, Debug)]
pub struct SessionSummary {
    /// Access key id.
    pub access_key_id: AccessKeyId,
    /// The STS operation it came from.
    pub kind: SessionKind,
    /// Who it speaks for.
    pub principal: Principal,
    /// Session name.
    pub session_name: Option<String>,
    /// ARN of its role.
    pub role_arn: Option<String>,
    /// The credential that asked for it.
    pub parent_access_key_id: Option<AccessKeyId>,
    /// ARN of the identity provider that vouched for it.
    pub identity_provider: Option<String>,
    /// Source identity.
    pub source_identity: Option<String>,
    /// The credentials it descends from, nearest first.
    pub lineage: Vec<Ancestor>,
    /// When it was issued.
    pub issued_at: UnixMillis,
    /// When it expires.
    pub expires_at: UnixMillis,
    /// Why it is refused, if it has been revoked.
    pub revoked: Option<RevokedBy>,
}

/// A long-term key, for people.
#[derive(Clone, Debug)]
pub struct AccessKeySummary {
    /// Access key id.
    pub access_key_id: AccessKeyId,
    /// Who it speaks for.
    pub principal: Principal,
    /// Whether it may be used.
    pub status: KeyStatus,
    /// When it was created.
    pub created_at: UnixMillis,
    /// Source of the event that created it; [`Event::CONFIG_SOURCE`] for a declared key.
    pub source: String,
    /// Why it is refused, if it has been revoked.
    pub revoked: Option<RevokedBy>,
}

/// The credential, and the revision of the file it was read at.
pub(super) fn credential(
    db: &redb::Database,
    keyring: &Keyring,
    id: &AccessKeyId,
) -> Result<Option<(Credential, u64)>, StoreError> {
    let found = (|| {
        let txn = db.begin_read()?;
        // A file of a program that did not count revisions yet changed by events alone.
        let revision = meta(&txn, META_REVISION)?.max(meta(&txn, META_APPLIED)?);
        let session = issued::find(&txn.open_table(ISSUED)?, &txn.open_table(EVENTS)?, id, keyring)?;
        if let Some(session) = session {
            return Ok(Some((session, revision)));
        }
        let row = txn.open_table(ACCESS_KEYS)?.get(id.as_str())?;
        Ok::<_, redb::Error>(row.map(|row| (read_credential(id.as_str(), row.value(), keyring), revision)))
    })();
    let Some((stored, revision)) = found.map_err(StoreError::read)? else { return Ok(None) };
    let stored = stored.map_err(|source| StoreError::Unreadable { access_key_id: id.clone(), source })?;
    Ok(Some((stored.credential, revision)))
}

/// Up to `limit` sessions that match, in the order of their access key ids, from the one after `after`.
pub(super) fn sessions(
    db: &redb::Database,
    revocations: &Revocations,
    wanted: &Wanted,
) -> Result<Vec<SessionSummary>, redb::Error> {
    use std::ops::Bound::{Excluded, Unbounded};
    let txn = db.begin_read()?;
    let (issued, events) = (txn.open_table(ISSUED)?, txn.open_table(EVENTS)?);
    let from = wanted.after.as_ref().map_or(Unbounded, |after| Excluded(after.as_str()));
    let mut found = Vec::new();
    for entry in issued.range::<&str>((from, Unbounded))? {
        if found.len() >= wanted.limit {
            break;
        }
        let (id, seq) = entry?;
        let row = events.get(seq.value())?;
        // An unreadable row is counted and reported when it is looked up.
        let summary = row
            .and_then(|row| Some(read_issuance(row.value()).ok()??.credential))
            .filter(|credential| {
                credential.access_key_id.as_str() == id.value() && wanted.matches(credential)
            })
            .and_then(|credential| session_summary(credential, revocations));
        found.extend(summary);
    }
    Ok(found)
}

/// How many live sessions a mark reaches.
pub(super) fn reached(db: &redb::Database, mark: &Mark, now: UnixMillis) -> Result<usize, redb::Error> {
    let events = db.begin_read()?.open_table(EVENTS)?;
    let mut reached = 0;
    for session in issued::scan(&events, |row| mark.may_name(row))? {
        let session = session?;
        reached += usize::from(!session.expired(now) && mark.reaches(&session));
    }
    Ok(reached)
}

/// What to list and where to begin.
pub(super) struct Wanted {
    pub(super) filter: SessionFilter,
    pub(super) limit: usize,
    pub(super) after: Option<AccessKeyId>,
    pub(super) now: UnixMillis,
}

impl Wanted {
    fn matches(&self, credential: &Credential) -> bool {
        let Some(session) = &credential.session else { return false };
        let SessionFilter {
            access_key_id,
            principal,
            role,
            account,
            session_name,
            identity_provider,
            source_identity,
            kind,
            expired,
        } = &self.filter;
        let is = |wanted: &Option<String>, has: Option<&str>| {
            wanted.as_deref().is_none_or(|wanted| has == Some(wanted))
        };
        let any = |wanted: &Option<String>, one: &str, other: Option<&str>| {
            is(wanted, Some(one)) || is(wanted, other)
        };
        let parent = session.parent_access_key_id.as_ref().map(AccessKeyId::as_str);
        let known = &credential.principal;
        any(access_key_id, credential.access_key_id.as_str(), parent)
            && any(principal, &known.arn, Some(&known.user_id))
            && is(role, session.role_arn.as_deref())
            && is(account, Some(&known.account))
            && is(session_name, session.name.as_deref())
            && is(identity_provider, session.provider())
            && is(source_identity, session.source_identity.as_deref())
            && kind.is_none_or(|kind| session.kind == kind)
            && (*expired || !credential.expired(self.now))
    }
}

fn session_summary(credential: Credential, revocations: &Revocations) -> Option<SessionSummary> {
    let revoked = revocations.find(&credential);
    let session = credential.session?;
    Some(SessionSummary {
        access_key_id: credential.access_key_id,
        kind: session.kind,
        principal: credential.principal,
        session_name: session.name,
        role_arn: session.role_arn,
        parent_access_key_id: session.parent_access_key_id,
        identity_provider: session.federation.map(|federation| federation.provider),
        source_identity: session.source_identity,
        lineage: session.lineage,
        issued_at: credential.issued_at,
        expires_at: session.expires_at,
        revoked,
    })
}

/// All long-term keys, in the order of their ids.
pub(super) fn access_keys(
    db: &redb::Database,
    revocations: &Revocations,
) -> Result<Vec<AccessKeySummary>, redb::Error> {
    let rows = db.begin_read()?.open_table(ACCESS_KEYS)?;
    let mut found = Vec::new();
    for row in rows.iter()? {
        let (id, row) = row?;
        let Ok(header) = read_header(id.value(), row.value()) else { continue };
        let source = header.source.clone();
        let Ok(credential) = header.into_credential() else { continue };
        found.push(AccessKeySummary {
            revoked: revocations.find(&credential),
            access_key_id: credential.access_key_id,
            principal: credential.principal,
            status: credential.status,
            created_at: credential.issued_at,
            source,
        });
    }
    Ok(found)
}

/// All long-term keys with their secrets, for comparing them with what the configuration declares.
pub(super) fn stored_access_keys(
    db: &redb::Database,
    keyring: &Keyring,
) -> Result<Vec<StoredCredential>, StoreError> {
    let unreadable = |id: &str, source: RowError| match AccessKeyId::parse(id) {
        Some(access_key_id) => StoreError::Unreadable { access_key_id, source },
        None => StoreError::Seal(source),
    };
    let rows =
        db.begin_read().map_err(StoreError::read)?.open_table(ACCESS_KEYS).map_err(StoreError::read)?;
    let mut found = Vec::new();
    for row in rows.iter().map_err(StoreError::read)? {
        let (id, row) = row.map_err(StoreError::read)?;
        let stored = read_credential(id.value(), row.value(), keyring);
        found.push(stored.map_err(|source| unreadable(id.value(), source))?);
    }
    Ok(found)
}

/// What waits for a keyring that can read it.
pub(super) struct Quarantined {
    pub(super) rows: u64,
    /// Of these, how many a key would help that is not here, and that may still matter.
    pub(super) missing_key: u64,
}

/// Counts the quarantine. A session that would be over by now is not missed.
pub(super) fn quarantined(
    db: &redb::Database,
    keyring: &Keyring,
    now: UnixMillis,
) -> Result<Quarantined, StoreError> {
    let counted = (|| {
        let mut counted = Quarantined { rows: 0, missing_key: 0 };
        for row in db.begin_read()?.open_table(QUARANTINE)?.iter()? {
            let (_, row) = row?;
            let (published, body) = row.value();
            counted.rows += 1;
            let over = UnixMillis(published).plus(MAX_SESSION_MILLIS) <= now && issues_session(body);
            let waits = !over && read_event(body, keyring).is_err_and(|error| waits_for_key(&error));
            counted.missing_key += u64::from(waits);
        }
        Ok::<_, redb::Error>(counted)
    })();
    counted.map_err(StoreError::read)
}

/// Whether a session has this id.
pub(super) fn is_session(db: &redb::Database, id: &AccessKeyId) -> Result<bool, redb::Error> {
    Ok(db.begin_read()?.open_table(ISSUED)?.get(id.as_str())?.is_some())
}

/// Up to `limit` events after a sequence number; unreadable ones are left out.
pub(super) fn events(
    db: &redb::Database,
    keyring: &Keyring,
    after: u64,
    limit: usize,
) -> Result<Vec<(u64, Event)>, redb::Error> {
    let txn = db.begin_read()?;
    let (rows, first) = (txn.open_table(EVENTS)?, place(meta(&txn, META_LOGS)?, after.saturating_add(1)));
    let mut found = Vec::new();
    for row in rows.range(first..)? {
        if found.len() >= limit {
            break;
        }
        let (seq, row) = row?;
        if let Ok(logged) = read_event(row.value(), keyring) {
            found.push((seq_of(seq.value()), logged.event));
        }
    }
    Ok(found)
}
