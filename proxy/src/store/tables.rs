//! The tables of the database file.
//!
//! The log and everything derived from it change in one transaction, so there is never a view to catch up.

use std::ops::Bound;

use redb::{ReadTransaction, ReadableTable, Table, TableDefinition, WriteTransaction};
use ring::digest;

/// Version of this layout. The first one kept sessions as rows of their own, and each event's source and id as text; the
/// second knew changes of long-term keys by their sequence numbers.
pub(super) const SCHEMA: u64 = 3;

/// The log: [`place`] to event row.
pub(super) const EVENTS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("events");
/// The view, temporary credentials: access key id to the place of the issuance, whose row says all there is to say.
pub(super) const ISSUED: TableDefinition<'_, &str, u64> = TableDefinition::new("issued");
/// The view, long-term keys: access key id to credential row. Apart from the sessions, because there are few of them
/// and start, reconciliation and lists need them all.
pub(super) const ACCESS_KEYS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("access_keys");
/// The view, revocation marks: scope to the time before which sessions are refused.
pub(super) const REVOCATIONS: TableDefinition<'_, &str, i64> = TableDefinition::new("revocations");
/// [`identity`] of each event to its place. Older programs noted the sequence number alone, as in no shared log.
pub(super) const KNOWN: TableDefinition<'_, u128, u64> = TableDefinition::new("known");
/// What compaction may drop and when: (time, place of the event, read or in quarantine) to the access key id of the
/// session that goes with it, or nothing.
pub(super) const DUE: TableDefinition<'_, (i64, u64), &str> = TableDefinition::new("due");
/// How many sessions and long-term keys each sealing key sealed.
pub(super) const SEALS: TableDefinition<'_, &str, u64> = TableDefinition::new("seals");
/// Long-term keys of a shared log, deleted ones included: access key id to the place of the last change.
pub(super) const CHANGES: TableDefinition<'_, &str, u64> = TableDefinition::new("changes");
/// Events of a shared log that could not be read: place to (message time, body). Kept until a keyring can read
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
/// How many shared logs have been read from their beginning.
pub(super) const META_LOGS: &str = "logs";
/// What [`META_LOGS`] was when the present log was first read: since then it was that one each time. 0: not known.
pub(super) const META_SINCE: &str = "log_since";
/// Which message of the shared log was applied last; 0: it came from the compacted state.
pub(super) const META_ANCHOR: &str = "anchor";
/// Up to where the shared log is read itself, whatever is packed: what was wrong before may be so by a pack.
pub(super) const META_UNPACKED: &str = "unpacked_upto";
/// How many long-term keys there are that the log made: counted at every start, and kept up from there.
pub(super) const META_LIVE: &str = "live_access_keys";
/// 1: there was a time when all was known that the shared log and its gateways knew.
pub(super) const META_INFORMED: &str = "informed";
/// From when on declared keys came into the file without that being so, milliseconds. Absent: there are none.
pub(super) const META_UNSURE: &str = "unsure_since";
/// Latest issue time of any credential, milliseconds.
pub(super) const META_NEWEST: &str = "newest_issue";

/// All tables, open for writing.
pub(super) struct Tables<'txn> {
    pub(super) events: Table<'txn, u64, &'static [u8]>,
    pub(super) issued: Table<'txn, &'static str, u64>,
    pub(super) access_keys: Table<'txn, &'static str, &'static [u8]>,
    pub(super) revocations: Table<'txn, &'static str, i64>,
    pub(super) known: Table<'txn, u128, u64>,
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
            issued: txn.open_table(ISSUED)?,
            access_keys: txn.open_table(ACCESS_KEYS)?,
            revocations: txn.open_table(REVOCATIONS)?,
            known: txn.open_table(KNOWN)?,
            due: txn.open_table(DUE)?,
            seals: txn.open_table(SEALS)?,
            changes: txn.open_table(CHANGES)?,
            quarantine: txn.open_table(QUARANTINE)?,
            meta: txn.open_table(META)?,
        })
    }

    /// Counts credentials in, or out, of those that a sealing key sealed.
    pub(super) fn count_seals(&mut self, key_id: &str, change: i64) -> Result<(), redb::Error> {
        let count = self.seals.get(key_id)?.map_or(0, |count| count.value());
        match count.saturating_add_signed(change) {
            0 => drop(self.seals.remove(key_id)?),
            count => drop(self.seals.insert(key_id, count)?),
        }
        Ok(())
    }
}

/// Whether a key comes behind all that a table holds.
pub(super) fn stands_behind<'k, K: redb::Key + 'static, V: redb::Value + 'static>(
    table: &Table<'_, K, V>,
    key: &K::SelfType<'k>,
) -> Result<bool, redb::Error> {
    let last = table.last()?;
    Ok(last.is_none_or(|(last, _)| {
        K::compare(K::as_bytes(&last.value()).as_ref(), K::as_bytes(key).as_ref()).is_lt()
    }))
}

/// Puts what comes behind all that a table holds there, in its order: pages are filled one after the other, and none is
/// looked for.
pub(super) fn append<'k, 'v, K: redb::Key + 'static, V: redb::Value + 'static>(
    table: &mut Table<'_, K, V>,
    entries: impl Iterator<Item = (K::SelfType<'k>, V::SelfType<'v>)>,
) -> Result<(), redb::Error> {
    let mut end = table.upper_bound_mut(Bound::<K::SelfType<'k>>::Unbounded)?;
    for (key, value) in entries {
        end.insert_before(key, value)?;
    }
    Ok(end.close()?)
}

/// Puts what is in the order of its keys into a table: behind all others, if that is where it belongs.
pub(super) fn put_sorted<'k, 'v, K: redb::Key + 'static, V: redb::Value + 'static>(
    table: &mut Table<'_, K, V>,
    entries: Vec<(K::SelfType<'k>, V::SelfType<'v>)>,
) -> Result<(), redb::Error> {
    let Some((first, _)) = entries.first() else { return Ok(()) };
    if stands_behind(table, first)? {
        return append(table, entries.into_iter());
    }
    for (key, value) in entries {
        table.insert(key, value)?;
    }
    Ok(())
}

/// Bits of a place that are the sequence number.
const SEQ_BITS: u32 = 48;

/// The highest number of logs that a place can tell.
pub(super) const MOST_LOGS: u64 = u64::MAX >> SEQ_BITS;

/// Where the event with this sequence number stands in the file: behind those of all logs read before. A log that takes
/// the place of another one numbers other events alike, and sessions of the former live on.
pub(super) const fn place(logs: u64, seq: u64) -> u64 {
    logs << SEQ_BITS | seq_of(seq)
}

/// How many logs had been read from their beginning when the one of this place was.
pub(super) const fn logs_of(place: u64) -> u64 {
    place >> SEQ_BITS
}

/// The sequence number of a place.
pub(super) const fn seq_of(place: u64) -> u64 {
    place & ((1 << SEQ_BITS) - 1)
}

/// What an event is known by: a hash of its source and its id, as long as nobody finds two events with the same.
pub(super) fn identity(source: &str, id: &str) -> u128 {
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(&(source.len() as u64).to_be_bytes());
    context.update(source.as_bytes());
    context.update(id.as_bytes());
    context.finish().as_ref().first_chunk().map_or(0, |hash| u128::from_be_bytes(*hash))
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
