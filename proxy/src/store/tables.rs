//! The tables of the database file.
//!
//! The log and everything derived from it change in one transaction, so there is never a view to catch up.

use redb::{ReadTransaction, ReadableTable, Table, TableDefinition, WriteTransaction};

/// Version of this layout.
pub(super) const SCHEMA: u64 = 1;

/// The log: sequence number to event row.
pub(super) const EVENTS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("events");
/// The view, temporary credentials: access key id to credential row.
pub(super) const SESSIONS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("sessions");
/// The view, long-term keys: access key id to credential row. Apart from the sessions, because there are few of them
/// and start, reconciliation and lists need them all.
pub(super) const ACCESS_KEYS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("access_keys");
/// The view, revocation marks: scope to the time before which sessions are refused.
pub(super) const REVOCATIONS: TableDefinition<'_, &str, i64> = TableDefinition::new("revocations");
/// Source and id of each event to its sequence number.
pub(super) const IDEMPOTENCY: TableDefinition<'_, (&str, &str), u64> = TableDefinition::new("idempotency");
/// What compaction may drop and when: (time, sequence number of the event, read or in quarantine) to the access key id of
/// the session that goes with it, or nothing.
pub(super) const DUE: TableDefinition<'_, (i64, u64), &str> = TableDefinition::new("due");
/// How many credential rows each sealing key sealed.
pub(super) const SEALS: TableDefinition<'_, &str, u64> = TableDefinition::new("seals");
/// Long-term keys of a shared log, deleted ones included: access key id to the place in the log of the last change.
pub(super) const CHANGES: TableDefinition<'_, &str, u64> = TableDefinition::new("changes");
/// Events of a shared log that could not be read: sequence number to (message time, body). Kept until a keyring can read
/// them.
pub(super) const QUARANTINE: TableDefinition<'_, u64, (i64, &[u8])> = TableDefinition::new("quarantine");
/// Single values.
pub(super) const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");

pub(super) const META_SCHEMA: &str = "schema";
/// Sequence number of the last event.
pub(super) const META_APPLIED: &str = "applied";
/// Number of changes to the file: what the cache tells old records by. A change that is in no log counts too.
pub(super) const META_REVISION: &str = "revision";
/// Which shared log the sequence numbers are of; 0: the file is the log itself.
pub(super) const META_LOG: &str = "log";
/// Which message of the shared log was applied last; 0: it came from the compacted state.
pub(super) const META_ANCHOR: &str = "anchor";
/// Latest issue time of any credential, milliseconds.
pub(super) const META_NEWEST: &str = "newest_issue";

/// All tables, open for writing.
pub(super) struct Tables<'txn> {
    pub(super) events: Table<'txn, u64, &'static [u8]>,
    pub(super) sessions: Table<'txn, &'static str, &'static [u8]>,
    pub(super) access_keys: Table<'txn, &'static str, &'static [u8]>,
    pub(super) revocations: Table<'txn, &'static str, i64>,
    pub(super) idempotency: Table<'txn, (&'static str, &'static str), u64>,
    pub(super) due: Table<'txn, (i64, u64), &'static str>,
    pub(super) seals: Table<'txn, &'static str, u64>,
    pub(super) changes: Table<'txn, &'static str, u64>,
    pub(super) quarantine: Table<'txn, u64, (i64, &'static [u8])>,
    pub(super) meta: Table<'txn, &'static str, u64>,
}

impl<'txn> Tables<'txn> {
    /// Opens the tables and creates those that are missing.
    pub(super) fn open(txn: &'txn WriteTransaction) -> Result<Self, redb::Error> {
        Ok(Self {
            events: txn.open_table(EVENTS)?,
            sessions: txn.open_table(SESSIONS)?,
            access_keys: txn.open_table(ACCESS_KEYS)?,
            revocations: txn.open_table(REVOCATIONS)?,
            idempotency: txn.open_table(IDEMPOTENCY)?,
            due: txn.open_table(DUE)?,
            seals: txn.open_table(SEALS)?,
            changes: txn.open_table(CHANGES)?,
            quarantine: txn.open_table(QUARANTINE)?,
            meta: txn.open_table(META)?,
        })
    }

    /// Counts a credential row in or out of those its sealing key sealed.
    pub(super) fn count_seal(&mut self, key_id: &str, added: bool) -> Result<(), redb::Error> {
        let count = self.seals.get(key_id)?.map_or(0, |count| count.value());
        let count = if added { count + 1 } else { count.saturating_sub(1) };
        if count == 0 {
            self.seals.remove(key_id)?;
        } else {
            self.seals.insert(key_id, count)?;
        }
        Ok(())
    }
}

/// A single value; 0 when it was never set.
pub(super) fn meta(txn: &ReadTransaction, name: &str) -> Result<u64, redb::Error> {
    Ok(txn.open_table(META)?.get(name)?.map_or(0, |value| value.value()))
}

/// Begins a transaction whose commit returns when it is on disk, whatever the moment the power fails.
pub(super) fn begin_write(db: &redb::Database) -> Result<WriteTransaction, redb::Error> {
    let mut txn = db.begin_write()?;
    txn.set_durability(redb::Durability::Immediate)?;
    txn.set_two_phase_commit(true);
    Ok(txn)
}
