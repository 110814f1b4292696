//! Bringing a file of an older layout to the present one.
//!
//! In the first each session was a row of its own, beside the issuance that says the same, and events were known by their
//! source and id as text. In the second events and the last change of each long-term key were noted by their sequence
//! numbers, the changes forgotten when another log was read.

use std::collections::BTreeMap;

use redb::{ReadableTable, TableDefinition, WriteTransaction};

use super::changes;
use super::tables::{META_APPLIED, META_LOGS, META_SCHEMA, META_SINCE, SCHEMA, Tables, identity, place};
use crate::events::{
    EventData, Keyring, issues_session, read_credential, read_event, read_header, write_event,
};

/// The layout that [`from_first`] reads.
pub(super) const FIRST: u64 = 1;

/// The layout that [`from_second`] reads.
pub(super) const SECOND: u64 = 2;

const SESSIONS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("sessions");
const IDEMPOTENCY: TableDefinition<'_, (&str, &str), u64> = TableDefinition::new("idempotency");

/// One transaction with whoever calls; what it reads is gone from the file afterwards. Sessions whose row cannot be
/// read are dropped.
pub(super) fn from_first(txn: &WriteTransaction, tables: &mut Tables<'_>) -> Result<(), redb::Error> {
    let sessions = txn.open_table(SESSIONS)?;
    for row in sessions.iter()? {
        let (id, row) = row?;
        match read_header(id.value(), row.value()) {
            Ok(header) => drop(tables.issued.insert(id.value(), header.seq)?),
            Err(error) => {
                tracing::error!(access_key_id = id.value(), %error, "a session cannot be read; it is dropped");
            }
        }
    }
    let idempotency = txn.open_table(IDEMPOTENCY)?;
    for row in idempotency.iter()? {
        let (key, seq) = row?;
        let (source, id) = key.value();
        tables.known.insert(identity(source, id), seq.value())?;
    }
    drop((sessions, idempotency));
    txn.delete_table(SESSIONS)?;
    txn.delete_table(IDEMPOTENCY)?;
    tables.meta.insert(META_SCHEMA, SECOND)?;
    Ok(())
}

/// Brings a file of the second layout to the third, in one transaction with whoever calls.
pub(super) fn from_second(tables: &mut Tables<'_>, keyring: &Keyring) -> Result<(), redb::Error> {
    let logs = tables.meta.get(META_LOGS)?.map_or(0, |logs| logs.value());
    // A file that is the log itself has sequence numbers for places.
    if logs > 0 {
        note_places(tables, keyring, logs)?;
    }
    tell_ages(tables, keyring)?;
    // Whether what was read before was the present log nobody noted. If it was, what comes again must be looked at, and else
    // it does not come.
    tables.meta.insert(META_SINCE, logs.min(1))?;
    // Whether it ever caught up, such a file does not say: it is informed when it has.
    tables.meta.insert(META_SCHEMA, SCHEMA)?;
    Ok(())
}

/// Notes the last change of each long-term key, and what events are known by, by their places: as noted so far, and as the
/// events that are there say. `logs` shared logs have been read from their beginning.
fn note_places(tables: &mut Tables<'_>, keyring: &Keyring, logs: u64) -> Result<(), redb::Error> {
    let applied = tables.meta.get(META_APPLIED)?.map_or(0, |applied| applied.value());
    let known = tables.known.iter()?.map(|row| row.map(|(name, seq)| (name.value(), seq.value())));
    for (name, seq) in known.collect::<Result<Vec<_>, _>>()? {
        // Of which reading it is shows where the event is still there.
        tables.known.insert(name, place(logs, seq))?;
    }
    let mut last = BTreeMap::new();
    for row in tables.changes.iter()? {
        let (id, seq) = row?;
        // The present log has not come as far: it was applied late, of a former one.
        let of = if seq.value() > applied { logs - 1 } else { logs };
        last.insert(id.value().to_owned(), place(of, seq.value()));
    }
    for row in tables.events.iter()? {
        let (at, row) = row?;
        if issues_session(row.value()) {
            continue;
        }
        let Ok(logged) = read_event(row.value(), keyring) else { continue };
        if let Some(id) = changes::about(&logged.event) {
            tables.known.insert(identity(&logged.event.source, &logged.event.id), at.value())?;
            let noted = last.entry(id.as_str().to_owned()).or_default();
            *noted = at.value().max(*noted);
        }
    }
    for (id, place) in last {
        tables.changes.insert(id.as_str(), place)?;
    }
    Ok(())
}

/// Has the events that made long-term keys tell how old those are. Older programs knew that of a key whose secret was said
/// again, and kept the event as it was said.
fn tell_ages(tables: &mut Tables<'_>, keyring: &Keyring) -> Result<(), redb::Error> {
    let mut told = Vec::new();
    for row in tables.access_keys.iter()? {
        let (id, row) = row?;
        let Ok(key) = read_credential(id.value(), row.value(), keyring) else { continue };
        let Some(event) = tables.events.get(key.seq)? else { continue };
        let Ok(mut logged) = read_event(event.value(), keyring) else { continue };
        if let EventData::AccessKeyCreated(credential) = &mut logged.event.data
            && credential.issued_at != key.credential.issued_at
        {
            credential.issued_at = key.credential.issued_at;
            told.extend(write_event(&logged, keyring).map(|row| (key.seq, row)));
        }
    }
    for (place, row) in told {
        tables.events.insert(place, row.as_slice())?;
    }
    Ok(())
}

/// Makes the file of the tests what a program of the first layout would have made it, which had issued `sessions` first
/// of all.
#[cfg(test)]
pub(super) fn make_first(
    db: &redb::Database,
    sessions: &[crate::iam::Credential],
    keyring: &crate::events::Keyring,
) {
    use crate::events::{StoredCredential, event_identity, write_credential};
    let txn = super::tables::begin_write(db).unwrap();
    {
        let mut tables = Tables::open(&txn).unwrap();
        let (mut rows, mut idempotency) =
            (txn.open_table(SESSIONS).unwrap(), txn.open_table(IDEMPOTENCY).unwrap());
        for (credential, seq) in sessions.iter().zip(1..) {
            let stored = StoredCredential { credential: credential.clone(), seq, source: "/test".to_owned() };
            let row = write_credential(&stored, keyring).unwrap();
            rows.insert(credential.access_key_id.as_str(), row.as_slice()).unwrap();
        }
        for event in tables.events.iter().unwrap() {
            let (seq, row) = event.unwrap();
            let (source, id) = event_identity(row.value()).unwrap();
            idempotency.insert((source.as_str(), id.as_str()), seq.value()).unwrap();
        }
        tables.issued.retain(|_, _| false).unwrap();
        tables.known.retain(|_, _| false).unwrap();
        tables.meta.insert(META_SCHEMA, FIRST).unwrap();
    }
    txn.commit().unwrap();
}
