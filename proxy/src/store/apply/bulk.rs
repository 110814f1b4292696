//! Issuances of a shared log, many at a time. Each table takes what it is to hold in the order of its keys, so that a page
//! of the file is changed once for all of it, and not once for each session.

use std::collections::BTreeSet;

use redb::{ReadableTable, ReadableTableMetadata, Table};

use super::super::tables::identity;
use super::{Batch, dropped_after};
use crate::clock::UnixMillis;
use crate::events::{EventData, LoggedEvent, MAX_ROW_BYTES, sealed_by};
use crate::iam::AccessKeyId;

/// An issuance that has been read, proved and checked: what is left to do concerns the file.
#[derive(Debug)]
pub(in crate::store) struct Issuance {
    /// As the file knows the event.
    identity: u128,
    access_key_id: AccessKeyId,
    issued_at: UnixMillis,
    dropped_after: UnixMillis,
}

/// An issuance of the shared log, and where it stands there.
#[derive(Clone, Copy, Debug)]
pub(in crate::store) struct Arrival<'a> {
    pub(in crate::store) seq: u64,
    pub(in crate::store) issuance: &'a Issuance,
    /// What it was read from.
    pub(in crate::store) row: &'a [u8],
}

impl Issuance {
    /// Checks an event that the log took in at `published`. `None`: it is no issuance, or one that is refused.
    pub(in crate::store) fn of(logged: &LoggedEvent, row: &[u8], published: UnixMillis) -> Option<Self> {
        let event = &logged.event;
        let EventData::CredentialIssued(credential) = &event.data else { return None };
        event.check(logged.recorded_at.min(published)).ok()?;
        (row.len() <= MAX_ROW_BYTES).then(|| Self {
            identity: identity(&event.source, &event.id),
            access_key_id: credential.access_key_id.clone(),
            issued_at: credential.issued_at,
            dropped_after: dropped_after(credential),
        })
    }
}

impl Batch<'_, '_> {
    /// Applies issuances that follow one another in the shared log, in its order and behind all that was applied, except
    /// for those that have to do with what the file holds or with each other: it returns which, for
    /// [`apply_at`](Self::apply_at) to tell repetitions from contradictions. What becomes of those does not depend on the
    /// others.
    pub(in crate::store) fn take_in(
        &mut self,
        arrivals: &[Arrival<'_>],
    ) -> Result<BTreeSet<usize>, redb::Error> {
        let by_identity = in_order(arrivals.iter().map(|arrival| arrival.issuance.identity));
        let by_id = in_order(arrivals.iter().map(|arrival| ById::new(&arrival.issuance.access_key_id)));
        let mut left = BTreeSet::new();
        repeated(&by_identity, &mut left);
        repeated(&by_id, &mut left);
        if !self.tables.access_keys.is_empty()? {
            for &(id, at) in &by_id {
                if self.tables.access_keys.get(id.text)?.is_some() {
                    left.insert(at);
                }
            }
        }
        self.note_all(&by_identity, arrivals, &mut left)?;
        self.issue_all(&by_id, arrivals, &mut left)?;
        let taken = arrivals.iter().enumerate().filter(|(at, _)| !left.contains(at));
        self.write_log(&taken.map(|(_, arrival)| *arrival).collect::<Vec<_>>())?;
        if let Some(last) = arrivals.last() {
            self.pass(last.seq);
        }
        Ok(left)
    }

    /// Writes what events are known by. Those that are known stay so.
    fn note_all(
        &mut self,
        order: &[(u128, usize)],
        arrivals: &[Arrival<'_>],
        left: &mut BTreeSet<usize>,
    ) -> Result<(), redb::Error> {
        for &(identity, at) in order {
            let place = self.place(arrivals[at].seq);
            if !left.contains(&at) && !put_if_absent(&mut self.tables.known, identity, place)? {
                left.insert(at);
            }
        }
        Ok(())
    }

    /// Writes where sessions are. Those that are issued stay so.
    fn issue_all(
        &mut self,
        order: &[(ById<'_>, usize)],
        arrivals: &[Arrival<'_>],
        left: &mut BTreeSet<usize>,
    ) -> Result<(), redb::Error> {
        for &(id, at) in order {
            let Arrival { seq, issuance, .. } = arrivals[at];
            let place = self.place(seq);
            if !left.contains(&at) && !put_if_absent(&mut self.tables.issued, id.text, place)? {
                self.tables.known.remove(issuance.identity)?;
                left.insert(at);
            }
        }
        Ok(())
    }

    fn write_log(&mut self, arrivals: &[Arrival<'_>]) -> Result<(), redb::Error> {
        let mut due = Vec::with_capacity(arrivals.len());
        let mut rows = Vec::with_capacity(arrivals.len());
        for Arrival { seq, issuance, row } in arrivals {
            let place = self.place(*seq);
            rows.push((place, *row));
            due.push(((issuance.dropped_after.0, place), issuance.access_key_id.as_str()));
            self.count_seal(sealed_by(row).unwrap_or_default(), 1);
            self.effects.newest = self.effects.newest.max(issuance.issued_at);
        }
        self.tables.append_events(&rows)?;
        due.sort_unstable();
        for (key, access_key_id) in due {
            self.tables.due.insert(key, access_key_id)?;
        }
        Ok(())
    }
}

/// An access key id in the order of ids. Its first letters lie beside it, since sorting by what is elsewhere in memory is slow.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct ById<'a> {
    first: [u8; 16],
    text: &'a str,
}

impl<'a> ById<'a> {
    fn new(id: &'a AccessKeyId) -> Self {
        let text = id.as_str();
        let mut first = [0; 16];
        let taken = text.len().min(first.len());
        first[..taken].copy_from_slice(&text.as_bytes()[..taken]);
        Self { first, text }
    }
}

/// Keys in their order, each with its place among those that came.
fn in_order<K: Ord>(keys: impl Iterator<Item = K>) -> Vec<(K, usize)> {
    let mut order: Vec<_> = keys.enumerate().map(|(at, key)| (key, at)).collect();
    order.sort_unstable();
    order
}

/// Whether there was no value yet; one that is there stays. Asking first would cost as much again.
fn put_if_absent<'k, K: redb::Key + 'static>(
    table: &mut Table<'_, K, u64>,
    key: K::SelfType<'k>,
    value: u64,
) -> Result<bool, redb::Error>
where
    K::SelfType<'k>: Copy,
{
    let former = table.insert(key, value)?.map(|former| former.value());
    if let Some(former) = former {
        table.insert(key, former)?;
    }
    Ok(former.is_none())
}

/// Adds what has the key of one of its neighbours.
fn repeated<K: PartialEq>(order: &[(K, usize)], left: &mut BTreeSet<usize>) {
    for pair in order.windows(2) {
        if pair[0].0 == pair[1].0 {
            left.extend([pair[0].1, pair[1].1]);
        }
    }
}
