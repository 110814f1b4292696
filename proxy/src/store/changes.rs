//! Which event about a long-term key is the last: what is read of a shared log from further back, late, or of a log that
//! another one has replaced must not undo what came after it.
//!
//! Places are compared, not sequence numbers: a log that was made anew counts from 1 again, and what it says comes after
//! all that its predecessor said. A log that is read again from its beginning says again what is known. That changes
//! nothing, unless something before it turns out to have been missed: then it comes after that once more.

use redb::ReadableTable;

use super::tables::{Tables, identity, logs_of, seq_of};
use crate::events::{Event, EventData};
use crate::iam::AccessKeyId;

/// What there is to do about an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// It is the last about its key so far, and noted as that.
    Due,
    /// It was applied before, under this sequence number.
    Known(u64),
    /// What stands under this sequence number came after it. From now on it is known.
    Overtaken(u64),
}

/// The long-term key that an event changes.
pub(super) fn about(event: &Event) -> Option<&AccessKeyId> {
    match &event.data {
        EventData::AccessKeyCreated(credential) => Some(&credential.access_key_id),
        EventData::AccessKeyStatus { access_key_id, .. } | EventData::AccessKeyDeleted { access_key_id } => {
            Some(access_key_id)
        }
        EventData::CredentialIssued(_) | EventData::SessionRevoked { .. } => None,
    }
}

/// Whose turn it is: that of `event` about `id`, which stands at the place `at`, or that of one that came after it. Places
/// from the reading `since` on are of the same log.
pub(super) fn turn(
    tables: &mut Tables<'_>,
    (event, id): (&Event, &AccessKeyId),
    at: u64,
    since: u64,
) -> Result<Turn, redb::Error> {
    let name = identity(&event.source, &event.id);
    let noted = tables.known.get(name)?.map(|noted| noted.value());
    let last = tables.changes.get(id.as_str())?.map(|last| last.value());
    let turn = match (noted, last) {
        // Of another log, or a repetition in this reading: whoever kept a message can say it again.
        (Some(noted), _) if logs_of(noted) < since || logs_of(noted) >= logs_of(at) => {
            return Ok(Turn::Known(seq_of(noted)));
        }
        // The key is as this event left it.
        (Some(noted), Some(last)) if noted == last => {
            tables.changes.insert(id.as_str(), at)?;
            Turn::Known(seq_of(noted))
        }
        (Some(_), Some(last)) if logs_of(last) == logs_of(at) && last < at => Turn::Due,
        (Some(noted), _) => Turn::Known(seq_of(noted)),
        (None, Some(last)) if last >= at => Turn::Overtaken(seq_of(last)),
        (None, _) => Turn::Due,
    };
    if turn == Turn::Due {
        tables.changes.insert(id.as_str(), at)?;
    }
    // What creates a key may be refused, and is noted when it is not. A deletion may find nothing to delete: read again,
    // it must not find what came after it.
    if turn != Turn::Due || noted.is_some() || matches!(event.data, EventData::AccessKeyDeleted { .. }) {
        tables.known.insert(name, at)?;
    }
    Ok(turn)
}
