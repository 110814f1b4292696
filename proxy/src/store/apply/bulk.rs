//! Issuances of a shared log, many at a time. Each table takes what it is to hold in the order of its keys, so that a page
//! of the file is changed once for all of it, and not once for each session.

use std::collections::BTreeSet;

use redb::{ReadableTable, Table};

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
        let mut by_identity: Vec<_> = (0..arrivals.len()).collect();
        by_identity.sort_unstable_by_key(|at| arrivals[*at].issuance.identity);
        let mut by_id: Vec<_> = (0..arrivals.len()).collect();
        by_id.sort_unstable_by_key(|at| arrivals[*at].issuance.access_key_id.as_str());
        let mut left = BTreeSet::new();
        repeated(&by_identity, &mut left, |at| arrivals[at].issuance.identity);
        repeated(&by_id, &mut left, |at| arrivals[at].issuance.access_key_id.as_str());
        for &at in &by_id {
            if self.tables.access_keys.get(arrivals[at].issuance.access_key_id.as_str())?.is_some() {
                left.insert(at);
            }
        }
        self.note_all(by_identity, arrivals, &mut left)?;
        self.issue_all(by_id, arrivals, &mut left)?;
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
        order: Vec<usize>,
        arrivals: &[Arrival<'_>],
        left: &mut BTreeSet<usize>,
    ) -> Result<(), redb::Error> {
        for at in others(order, left) {
            let Arrival { seq, issuance, .. } = arrivals[at];
            let place = self.place(seq);
            if !put_if_absent(&mut self.tables.known, issuance.identity, place)? {
                left.insert(at);
            }
        }
        Ok(())
    }

    /// Writes where sessions are. Those that are issued stay so.
    fn issue_all(
        &mut self,
        order: Vec<usize>,
        arrivals: &[Arrival<'_>],
        left: &mut BTreeSet<usize>,
    ) -> Result<(), redb::Error> {
        for at in others(order, left) {
            let Arrival { seq, issuance, .. } = arrivals[at];
            let place = self.place(seq);
            if !put_if_absent(&mut self.tables.issued, issuance.access_key_id.as_str(), place)? {
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

/// What is not left out, in its order.
fn others(mut order: Vec<usize>, left: &BTreeSet<usize>) -> Vec<usize> {
    order.retain(|at| !left.contains(at));
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
fn repeated<K: PartialEq>(order: &[usize], left: &mut BTreeSet<usize>, key: impl Fn(usize) -> K) {
    for pair in order.windows(2) {
        if key(pair[0]) == key(pair[1]) {
            left.extend(pair);
        }
    }
}
