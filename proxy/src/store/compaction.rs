//! Dropping what no request can need any more: expired sessions, the events that issued them, spent revocations.
//!
//! What is dropped: a session one hour after it expired, with its event; a revocation and its event 37 hours after
//! its time, or 64 if it cascades, when every session it could reach has expired; what of a shared log cannot be read,
//! 40 hours after it came. What stays: events of long-term keys, readable or not, and their idempotency keys, so that
//! replaying an old event cannot bring a deleted key back; and a mark on an id that is not a session's, though not its event.

use redb::ReadableTable;

use super::revocations::{Mark, MarkKind};
use super::tables::{Tables, begin_write, identity};
use crate::clock::UnixMillis;
use crate::events::{event_identity, read_issuance};

/// Rows dropped in one transaction, so that no append waits long.
const PORTION: usize = 4096;

/// What compaction dropped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Compacted {
    /// Expired sessions.
    pub sessions: usize,
    /// Events, those of the sessions included.
    pub events: usize,
    /// Revocation marks.
    pub marks: usize,
    /// Whether there is more to drop.
    pub(super) more: bool,
}

impl Compacted {
    pub(super) fn add(&mut self, other: Self) {
        self.sessions += other.sessions;
        self.events += other.events;
        self.marks += other.marks;
        self.more = other.more;
    }
}

/// Drops one portion. Returns the marks that are gone from disk, to be dropped from memory.
pub(super) fn run(db: &redb::Database, now: UnixMillis) -> Result<(Compacted, Vec<Mark>), redb::Error> {
    let txn = begin_write(db)?;
    let mut tables = Tables::open(&txn)?;
    let mut compacted = Compacted::default();
    let due = due(&tables, now)?;
    compacted.more = due.len() == PORTION;
    for (when, seq, access_key_id) in due {
        tables.due.remove((when, seq))?;
        tables.quarantine.remove(seq)?;
        drop_event(&mut tables, seq)?;
        compacted.events += 1;
        if !access_key_id.is_empty() {
            compacted.sessions += usize::from(tables.issued.remove(access_key_id.as_str())?.is_some());
        }
    }
    let spent = spent_marks(&tables, now)?;
    for mark in &spent {
        tables.revocations.remove(mark.key().as_str())?;
    }
    compacted.marks = spent.len();
    drop(tables);
    if compacted == Compacted::default() {
        txn.abort()?;
    } else {
        txn.commit()?;
    }
    Ok((compacted, spent))
}

fn due(tables: &Tables<'_>, now: UnixMillis) -> Result<Vec<(i64, u64, String)>, redb::Error> {
    let rows = tables.due.range(..=(now.0, u64::MAX))?.take(PORTION);
    rows.map(|row| {
        let (key, access_key_id) = row?;
        let (when, seq) = key.value();
        Ok((when, seq, access_key_id.value().to_owned()))
    })
    .collect()
}

fn drop_event(tables: &mut Tables<'_>, seq: u64) -> Result<(), redb::Error> {
    let Some(row) = tables.events.remove(seq)?.map(|row| row.value().to_vec()) else { return Ok(()) };
    // An unreadable row leaves what it is known by behind, which is harmless.
    let known = match read_issuance(&row) {
        Ok(Some(issuance)) => {
            tables.count_seals(issuance.sealed_by, -1)?;
            Ok(issuance.identity)
        }
        Ok(None) | Err(_) => event_identity(&row),
    };
    if let Ok((source, id)) = known {
        tables.known.remove(identity(&source, &id))?;
    }
    Ok(())
}

fn spent_marks(tables: &Tables<'_>, now: UnixMillis) -> Result<Vec<Mark>, redb::Error> {
    let mut spent = Vec::new();
    for row in tables.revocations.iter()? {
        let (key, before) = row?;
        let Some(mark) = Mark::parse(key.value(), UnixMillis(before.value())) else { continue };
        let guards_key = mark.kind == MarkKind::AccessKey && tables.access_keys.get(&*mark.name)?.is_some();
        if mark.spent(now) && !guards_key {
            spent.push(mark);
        }
    }
    Ok(spent)
}
