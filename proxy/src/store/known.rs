//! What the view knows of a credential, and whether an event agrees with that.

use redb::ReadableTable;

use super::apply::{Rejection, refuse};
use super::error::{Conflict, StoreError};
use super::issued;
use super::revocations::Mark;
use crate::clock::UnixMillis;
use crate::events::{Event, Keyring, RevocationScope, RowError, StoredCredential, read_credential};
use crate::iam::{AccessKeyId, Credential};

/// The latest time that a mark is compared with in sessions of its scope; the epoch if there is none.
pub(super) fn newest_issue(
    events: &impl ReadableTable<u64, &'static [u8]>,
    mark: &Mark,
) -> Result<UnixMillis, redb::Error> {
    let mut newest = UnixMillis(0);
    for session in issued::scan(events, |row| mark.may_name(row))? {
        newest = mark.times(&session?).fold(newest, UnixMillis::max);
    }
    Ok(newest)
}

/// What `scope` is once it is known whether its id was issued as a session's.
pub(super) fn narrowed(
    issued: &impl ReadableTable<&'static str, u64>,
    scope: &RevocationScope,
) -> Result<RevocationScope, redb::Error> {
    match scope {
        RevocationScope::AccessKey(id) if !id.is_temporary() && issued.get(id.as_str())?.is_some() => {
            Ok(RevocationScope::SessionId(id.clone()))
        }
        scope => Ok(scope.clone()),
    }
}

pub(super) fn stored(
    rows: &impl ReadableTable<&'static str, &'static [u8]>,
    id: &AccessKeyId,
    keyring: &Keyring,
) -> Result<Option<StoredCredential>, Rejection> {
    found(id, rows.get(id.as_str())?.map(|row| read_credential(id.as_str(), row.value(), keyring)))
}

/// What there is under an id; an error if it cannot be read.
pub(super) fn found(
    id: &AccessKeyId,
    read: Option<Result<StoredCredential, RowError>>,
) -> Result<Option<StoredCredential>, Rejection> {
    match read.transpose() {
        Ok(stored) => Ok(stored),
        Err(source) => refuse(StoreError::Unreadable { access_key_id: id.clone(), source }),
    }
}

/// Declared keys are changed by declarations only, and those change no others. Which of them a key belongs to is decided
/// before: by the one place that knows all of them.
pub(super) fn check_owner(known: &StoredCredential, event: &Event) -> Result<(), Rejection> {
    match (Event::is_declaration(&known.source), Event::is_declaration(&event.source)) {
        (true, true) | (false, false) => Ok(()),
        (true, false) => refuse(StoreError::conflict(&known.credential.access_key_id, Conflict::Declared)),
        (false, true) => refuse(StoreError::conflict(&known.credential.access_key_id, Conflict::NotDeclared)),
    }
}

pub(super) fn same_secret(known: &Credential, given: &Credential) -> bool {
    known.secret.expose_secret() == given.secret.expose_secret()
}

/// The same secret is the same key, however it is described now: it is as old as it was, so that what revoked it still
/// does. Whether it is the same.
pub(super) fn keep_age(known: &Credential, given: &mut Credential) -> bool {
    let same = same_secret(known, given);
    if same {
        given.issued_at = known.issued_at;
    }
    same
}

pub(super) fn same(known: &Credential, given: &Credential) -> bool {
    same_secret(known, given)
        && known.principal == given.principal
        && known.issued_at == given.issued_at
        && known.status == given.status
        && known.session == given.session
}
