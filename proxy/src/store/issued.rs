//! Sessions in the file: each is its issuance in the log, found by its access key id.

use redb::ReadableTable;

use crate::events::{
    Event, EventData, Keyring, LoggedEvent, RowError, StoredCredential, read_event, read_issuance,
};
use crate::iam::{AccessKeyId, Credential};

/// The session with this access key id; `None`: the log has none, or none any more.
pub(super) fn find(
    issued: &impl ReadableTable<&'static str, u64>,
    events: &impl ReadableTable<u64, &'static [u8]>,
    id: &AccessKeyId,
    keyring: &Keyring,
) -> Result<Option<Result<StoredCredential, RowError>>, redb::Error> {
    let Some(place) = issued.get(id.as_str())?.map(|place| place.value()) else { return Ok(None) };
    let row = events.get(place)?;
    Ok(row.map(|row| read_event(row.value(), keyring).and_then(|logged| stored(id, place, logged))))
}

/// All sessions whose row is `wanted` and can be read, without their secrets and unproved, in the order of the log.
pub(super) fn scan<'a>(
    events: &'a impl ReadableTable<u64, &'static [u8]>,
    wanted: impl Fn(&[u8]) -> bool + 'a,
) -> Result<impl Iterator<Item = Result<Credential, redb::Error>> + 'a, redb::Error> {
    Ok(events.iter()?.filter_map(move |entry| match entry {
        Ok((_, row)) if wanted(row.value()) => {
            let issuance = read_issuance(row.value()).ok().flatten()?;
            Some(Ok(issuance.credential))
        }
        Ok(_) => None,
        Err(error) => Some(Err(error.into())),
    }))
}

/// What an event issued, if that is what it did and under this id.
fn stored(id: &AccessKeyId, place: u64, logged: LoggedEvent) -> Result<StoredCredential, RowError> {
    let Event { source, data, .. } = logged.event;
    match data {
        EventData::CredentialIssued(credential) if credential.access_key_id == *id => {
            Ok(StoredCredential { credential, seq: place, source })
        }
        EventData::CredentialIssued(other) => {
            Err(RowError::Malformed(format!("an issuance of {}", other.access_key_id)))
        }
        EventData::AccessKeyCreated(_)
        | EventData::AccessKeyStatus { .. }
        | EventData::AccessKeyDeleted { .. }
        | EventData::SessionRevoked { .. } => Err(RowError::Malformed("no issuance".into())),
    }
}
