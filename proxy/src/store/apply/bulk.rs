//! Issuances of a shared log, many at a time. Each table takes what it is to hold in the order of its keys, so that a page
//! of the file is changed once for all of it, and not once for each session.

use std::collections::BTreeSet;

use bytes::Bytes;
use redb::{ReadableTable, ReadableTableMetadata, Table};

use super::super::tables::{append, identity, place, put_sorted, stands_behind};
use super::{Batch, EXPIRED_FOR_MILLIS, dropped_after};
use crate::clock::UnixMillis;
use crate::events::{EventData, Keyring, LoggedEvent, MAX_ROW_BYTES, RowError, read_proved, sealed_by};
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

/// An issuance that whoever packed it has proved and checked.
#[derive(Debug)]
pub(in crate::store) struct Packed {
    pub(in crate::store) seq: u64,
    issuance: Issuance,
    row: Bytes,
}

impl Packed {
    /// `None`: the session has been over for so long that nobody keeps it.
    pub(in crate::store) fn read(
        (seq, row): (u64, Bytes),
        keyring: &Keyring,
        now: UnixMillis,
    ) -> Result<Option<Self>, RowError> {
        let brief = read_proved(&row, keyring)?;
        let issuance = Issuance {
            identity: identity(brief.source, brief.id),
            access_key_id: brief.access_key_id,
            issued_at: brief.issued_at,
            dropped_after: brief.expires_at.plus(EXPIRED_FOR_MILLIS),
        };
        Ok((now < issuance.dropped_after).then_some(Self { seq, issuance, row }))
    }
}

/// Issuances whose rows are in the log, while what finds them there is not written yet: the more of them are sorted at once
/// the less it costs.
#[derive(Debug, Default)]
pub(in crate::store) struct Staged(Vec<(u64, Issuance)>);

impl Staged {
    pub(in crate::store) const fn len(&self) -> usize {
        self.0.len()
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
        let issuances: Vec<_> = arrivals.iter().map(|arrival| (arrival.seq, arrival.issuance)).collect();
        let left = self.index(&issuances)?;
        let taken = arrivals.iter().enumerate().filter(|(at, _)| !left.contains(at));
        let rows: Vec<_> = taken.map(|(_, arrival)| (self.place(arrival.seq), arrival.row)).collect();
        self.write_rows(rows)?;
        if let Some(last) = arrivals.last() {
            self.pass(last.seq);
        }
        Ok(left)
    }

    /// Writes the rows of issuances that follow one another in the shared log, behind all that was applied.
    /// [`take_staged`](Self::take_staged) does what is left to do, before anything is applied that asks who has a session.
    pub(in crate::store) fn stage(
        &mut self,
        run: Vec<Packed>,
        staged: &mut Staged,
    ) -> Result<(), redb::Error> {
        let rows: Vec<_> = run.iter().map(|packed| (self.place(packed.seq), &*packed.row)).collect();
        self.write_rows(rows)?;
        if let Some(last) = run.last() {
            self.pass(last.seq);
        }
        staged.0.extend(run.into_iter().map(|packed| (packed.seq, packed.issuance)));
        Ok(())
    }

    /// Applies what is staged, except for what [`take_in`](Self::take_in) leaves as well: that is gone from the log again,
    /// and returned, as sequence numbers and rows.
    pub(in crate::store) fn take_staged(&mut self, staged: Staged) -> Result<Vec<(u64, Bytes)>, redb::Error> {
        let issuances: Vec<_> = staged.0.iter().map(|(seq, issuance)| (*seq, issuance)).collect();
        let mut left = Vec::new();
        for at in self.index(&issuances)? {
            let (seq, _) = issuances[at];
            let row = self.tables.events.remove(self.place(seq))?;
            let row = row.map(|row| Bytes::copy_from_slice(row.value()));
            let row =
                row.ok_or_else(|| redb::Error::Corrupted("a row that was just written is gone".into()))?;
            self.count_seal(sealed_by(&row).unwrap_or_default(), -1);
            left.push((seq, row));
        }
        Ok(left)
    }

    fn write_rows(&mut self, rows: Vec<(u64, &[u8])>) -> Result<(), redb::Error> {
        for (_, row) in &rows {
            self.count_seal(sealed_by(row).unwrap_or_default(), 1);
        }
        put_sorted(&mut self.tables.events, rows)
    }

    /// Writes all about issuances but their rows, and returns which it left alone.
    fn index(&mut self, issuances: &[(u64, &Issuance)]) -> Result<BTreeSet<usize>, redb::Error> {
        let by_identity = in_order(issuances.iter().map(|(_, issuance)| issuance.identity));
        let by_id = in_order(issuances.iter().map(|(_, issuance)| ById::new(&issuance.access_key_id)));
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
        self.note_all(&by_identity, issuances, &mut left)?;
        self.issue_all(&by_id, issuances, &mut left)?;
        self.make_due(issuances, &left)?;
        Ok(left)
    }

    /// Writes what events are known by. Those that are known stay so.
    fn note_all(
        &mut self,
        order: &[(u128, usize)],
        issuances: &[(u64, &Issuance)],
        left: &mut BTreeSet<usize>,
    ) -> Result<(), redb::Error> {
        let logs = self.logs;
        let entry = |&(identity, at): &(u128, usize)| (identity, place(logs, issuances[at].0));
        if order.first().map_or(Ok(false), |(first, _)| stands_behind(&self.tables.known, first))? {
            let new = order.iter().filter(|(_, at)| !left.contains(at));
            return append(&mut self.tables.known, new.map(entry));
        }
        for known in order {
            let (identity, place) = entry(known);
            if !left.contains(&known.1) && !put_if_absent(&mut self.tables.known, identity, place)? {
                left.insert(known.1);
            }
        }
        Ok(())
    }

    /// Writes where sessions are. Those that are issued stay so.
    fn issue_all(
        &mut self,
        order: &[(ById<'_>, usize)],
        issuances: &[(u64, &Issuance)],
        left: &mut BTreeSet<usize>,
    ) -> Result<(), redb::Error> {
        let logs = self.logs;
        if order.first().map_or(Ok(false), |(first, _)| stands_behind(&self.tables.issued, &first.text))? {
            let new = order.iter().filter(|(_, at)| !left.contains(at));
            let entries = new.map(|(id, at)| (id.text, place(logs, issuances[*at].0)));
            return append(&mut self.tables.issued, entries);
        }
        for &(id, at) in order {
            let (seq, issuance) = issuances[at];
            let place = place(logs, seq);
            if !left.contains(&at) && !put_if_absent(&mut self.tables.issued, id.text, place)? {
                self.tables.known.remove(issuance.identity)?;
                left.insert(at);
            }
        }
        Ok(())
    }

    fn make_due(
        &mut self,
        issuances: &[(u64, &Issuance)],
        left: &BTreeSet<usize>,
    ) -> Result<(), redb::Error> {
        let mut due = Vec::with_capacity(issuances.len());
        for (at, (seq, issuance)) in issuances.iter().enumerate() {
            if !left.contains(&at) {
                due.push(((issuance.dropped_after.0, self.place(*seq)), issuance.access_key_id.as_str()));
                self.effects.newest = self.effects.newest.max(issuance.issued_at);
            }
        }
        due.sort_unstable();
        put_sorted(&mut self.tables.due, due)
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
