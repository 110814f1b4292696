//! What each event does to the log and the view: the one place where they change.
//!
//! - `access_keys`: what events of long-term keys do.
//! - `bulk`: what many issuances do that have nothing to do with each other.

mod access_keys;
mod bulk;

use std::collections::HashMap;

use redb::{ReadableTable, WriteTransaction};

pub(super) use self::bulk::{Arrival, Issuance, Packed, Staged};

use super::error::{Conflict, StoreError};
use super::issued;
use super::known::{found, narrowed, same};
use super::revocations::Mark;
use super::tables::{
    META_ANCHOR, META_APPLIED, META_LIVE, META_LOGS, META_NEWEST, META_REVISION, META_SINCE, Tables,
    identity, logs_of, place, seq_of,
};
use crate::clock::UnixMillis;
use crate::events::{
    Event, EventData, Keyring, LoggedEvent, MAX_ROW_BYTES, Receipt, StoredCredential, sealed_by,
    write_credential, write_event,
};
use crate::iam::{AccessKeyId, Credential};

/// How long an expired session stays in the view, so that its owner is told that it expired.
pub(super) const EXPIRED_FOR_MILLIS: i64 = 3_600_000;

/// What a batch changes in memory once it is on disk.
#[derive(Debug)]
pub(super) struct Effects {
    /// Last sequence number.
    pub(super) position: u64,
    /// Number of changes to the file, this batch included.
    pub(super) revision: u64,
    /// Latest issue time of any credential.
    pub(super) newest: UnixMillis,
    /// Which message of the shared log was applied last.
    pub(super) anchor: u64,
    /// How many long-term keys the log made that are there.
    pub(super) live: u64,
    /// Whether there is anything to commit.
    pub(super) dirty: bool,
    /// Whether it must outlast the process from the commit on, and not only from the next one that must.
    pub(super) lasting: bool,
    /// Marks to raise.
    pub(super) marks: Vec<Mark>,
    /// Long-term keys whose record changed or went.
    pub(super) changed: Vec<AccessKeyId>,
}

/// Which place in the log an event takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Numbering {
    /// The next one: the file is the log.
    Next,
    /// The one that the shared log gave it.
    At(u64),
    /// None: it is this gateway's own affair, and changes the view only.
    Unlogged,
}

/// Why an event was not applied.
pub(super) enum Rejection {
    /// This event is refused; nothing of it was written and others are not affected.
    Refused(StoreError),
    /// The transaction is lost.
    Storage(redb::Error),
}

impl<E: Into<redb::Error>> From<E> for Rejection {
    fn from(error: E) -> Self {
        Self::Storage(error.into())
    }
}

/// Events on their way into one transaction.
pub(super) struct Batch<'a, 'txn> {
    tables: Tables<'txn>,
    keyring: &'a Keyring,
    now: UnixMillis,
    numbering: Numbering,
    /// How many shared logs have been read from their beginning.
    logs: u64,
    /// What that was when the present one was first read.
    since: u64,
    /// By how much each sealing key's count of credentials has changed.
    sealed: HashMap<Box<str>, i64>,
    effects: Effects,
}

impl<'a, 'txn> Batch<'a, 'txn> {
    pub(super) fn begin(
        txn: &'txn WriteTransaction,
        keyring: &'a Keyring,
        now: UnixMillis,
    ) -> Result<Self, redb::Error> {
        let tables = Tables::open(txn)?;
        let value = |name| Ok::<_, redb::Error>(tables.meta.get(name)?.map_or(0, |value| value.value()));
        let newest = UnixMillis(i64::try_from(value(META_NEWEST)?).unwrap_or(i64::MAX));
        let effects = Effects {
            position: value(META_APPLIED)?,
            revision: value(META_REVISION)?.max(value(META_APPLIED)?) + 1,
            newest,
            anchor: value(META_ANCHOR)?,
            live: value(META_LIVE)?,
            dirty: false,
            lasting: true,
            marks: Vec::new(),
            changed: Vec::new(),
        };
        let (logs, since) = (value(META_LOGS)?, value(META_SINCE)?);
        Ok(Self {
            tables,
            keyring,
            now,
            numbering: Numbering::Next,
            logs,
            since: if since == 0 { logs } else { since },
            sealed: HashMap::new(),
            effects,
        })
    }

    /// What unseals rows.
    pub(super) fn keyring(&self) -> &'a Keyring {
        self.keyring
    }

    /// Sequence number of the last event so far.
    pub(super) fn position(&self) -> u64 {
        self.effects.position
    }

    /// How many long-term keys the log made that are there so far.
    pub(super) fn live(&self) -> u64 {
        self.effects.live
    }

    /// Applies events in order, up to the first that is refused; those before it stay applied.
    pub(super) fn append(&mut self, events: &[Event]) -> Result<Vec<Receipt>, Rejection> {
        events.iter().map(|event| self.append_one(event, None)).collect()
    }

    /// Applies this gateway's own events, which no log knows.
    pub(super) fn append_unlogged(&mut self, events: &[Event]) -> Result<Vec<Receipt>, Rejection> {
        self.numbering = Numbering::Unlogged;
        let receipts = self.append(events);
        self.numbering = Numbering::Next;
        receipts
    }

    /// Applies what the shared log holds at `seq`, as of the time it got there, so that every gateway, whenever it
    /// reads the log, comes to the same view. The position moves on whatever becomes of the event. `body` is what it
    /// was read from.
    pub(super) fn apply_at(
        &mut self,
        seq: u64,
        (logged, body): (&LoggedEvent, &[u8]),
        published: UnixMillis,
    ) -> Result<Receipt, Rejection> {
        self.numbering = Numbering::At(seq);
        self.now = logged.recorded_at.min(published);
        let receipt = self.append_one(&logged.event, Some(body));
        self.pass(seq);
        receipt
    }

    /// Applies what was in quarantine at `place`, whatever log that is a place of.
    pub(super) fn apply_late(
        &mut self,
        place: u64,
        read: (&LoggedEvent, &[u8]),
        published: UnixMillis,
    ) -> Result<Receipt, Rejection> {
        let (logs, position) = (self.logs, self.effects.position);
        self.logs = logs_of(place);
        let receipt = self.apply_at(seq_of(place), read, published);
        (self.logs, self.effects.position) = (logs, position);
        receipt
    }

    /// Raises a mark that comes without its event.
    pub(super) fn raise_alone(&mut self, mark: Mark) -> Result<(), redb::Error> {
        self.raise(mark)
    }

    /// Keeps an event that cannot be read for a keyring that can, for ever or until some time.
    pub(super) fn quarantine(
        &mut self,
        (seq, published): (u64, UnixMillis),
        body: &[u8],
        until: Option<UnixMillis>,
    ) -> Result<(), redb::Error> {
        let place = self.place(seq);
        self.tables.quarantine.insert(place, (published.0, body))?;
        if let Some(until) = until {
            self.tables.due.insert((until.0, place), "")?;
        }
        self.pass(seq);
        Ok(())
    }

    /// Place, message time and body of everything in quarantine, in the order of the log.
    pub(super) fn quarantined(&self) -> Result<Vec<(u64, UnixMillis, Vec<u8>)>, redb::Error> {
        let rows = self.tables.quarantine.iter()?.map(|row| {
            let (place, row) = row?;
            let (published, body) = row.value();
            Ok((place.value(), UnixMillis(published), body.to_vec()))
        });
        rows.collect()
    }

    /// Takes an event out of quarantine.
    pub(super) fn release(&mut self, place: u64) -> Result<(), redb::Error> {
        self.effects.dirty = true;
        self.tables.quarantine.remove(place)?;
        Ok(())
    }

    /// The last message of the shared log, by its identity.
    pub(super) fn anchor(&mut self, identity: u64) {
        self.effects.anchor = identity;
    }

    /// Everything up to `seq` has been seen.
    pub(super) fn pass(&mut self, seq: u64) {
        self.effects.dirty |= self.effects.position < seq;
        self.effects.position = self.effects.position.max(seq);
    }

    /// What is applied here can be read from the shared log again, and nothing depends on it before the log has been read
    /// further: its commit does not wait for the disk.
    pub(super) fn interim(&mut self) {
        self.effects.lasting = false;
    }

    /// Ends the batch; what remains is to commit the transaction, or to abort it if nothing changed.
    pub(super) fn finish(mut self) -> Result<Option<Effects>, redb::Error> {
        if !self.effects.dirty {
            return Ok(None);
        }
        for (key_id, change) in self.sealed {
            self.tables.count_seals(&key_id, change)?;
        }
        self.tables.meta.insert(META_REVISION, self.effects.revision)?;
        self.tables.meta.insert(META_ANCHOR, self.effects.anchor)?;
        self.tables.meta.insert(META_APPLIED, self.effects.position)?;
        self.tables.meta.insert(META_LIVE, self.effects.live)?;
        self.tables.meta.insert(META_NEWEST, u64::try_from(self.effects.newest.0).unwrap_or(0))?;
        Ok(Some(self.effects))
    }

    fn append_one(&mut self, event: &Event, body: Option<&[u8]>) -> Result<Receipt, Rejection> {
        event.check(self.now).map_err(|error| Rejection::Refused(error.into()))?;
        if let Some(seq) = self.past(event)? {
            return Ok(Receipt { seq, duplicate: true });
        }
        match &event.data {
            EventData::CredentialIssued(credential) => self.issued(event, credential, body),
            EventData::AccessKeyCreated(credential) => self.created(event, credential),
            EventData::AccessKeyStatus { access_key_id, status } => {
                self.status(event, access_key_id, *status)
            }
            EventData::AccessKeyDeleted { access_key_id } => self.deleted(event, access_key_id),
            EventData::SessionRevoked { scope, cascade, issued_before, reason } => {
                let scope = match self.numbering {
                    Numbering::Next => narrowed(&self.tables.issued, scope)?,
                    // Whoever published it has looked, and what it is must be the same everywhere.
                    Numbering::At(_) | Numbering::Unlogged => scope.clone(),
                };
                let (cascade, issued_before) = (*cascade, *issued_before);
                let mark = Mark::of(&scope, cascade, issued_before);
                let reason = reason.clone();
                let data = EventData::SessionRevoked { scope, cascade, issued_before, reason };
                self.revoked(&Event { data, ..event.clone() }, mark)
            }
        }
    }

    fn revoked(&mut self, event: &Event, mark: Mark) -> Result<Receipt, Rejection> {
        let row = self.encode_event(event)?;
        let receipt = self.log(event, &row)?;
        let due = mark.over_at().0;
        self.raise(mark)?;
        self.tables.due.insert((due, self.place(receipt.seq)), "")?;
        Ok(receipt)
    }

    /// What the log holds is kept as it is: it was sealed once, and is proved again whenever it is read.
    fn issued(
        &mut self,
        event: &Event,
        credential: &Credential,
        body: Option<&[u8]>,
    ) -> Result<Receipt, Rejection> {
        let id = &credential.access_key_id;
        if self.tables.access_keys.get(id.as_str())?.is_some() {
            return refuse(StoreError::conflict(id, Conflict::IsAccessKey));
        }
        let known = issued::find(&self.tables.issued, &self.tables.events, id, self.keyring)?;
        if let Some(known) = found(id, known)? {
            return if same(&known.credential, credential) {
                Ok(Receipt { seq: seq_of(known.seq), duplicate: true })
            } else {
                refuse(StoreError::conflict(id, Conflict::Issued))
            };
        }
        let row = match body {
            Some(body) => fits(body.to_vec())?,
            None => self.encode_event(event)?,
        };
        let seq = self.note(event)?;
        let place = self.place(seq);
        self.tables.issued.insert(id.as_str(), place)?;
        self.tables.events.insert(place, row.as_slice())?;
        self.tables.due.insert((dropped_after(credential).0, place), id.as_str())?;
        self.count_seal(sealed_by(&row).unwrap_or_default(), 1);
        self.effects.newest = self.effects.newest.max(credential.issued_at);
        Ok(Receipt { seq, duplicate: false })
    }

    fn count_seal(&mut self, key_id: &str, change: i64) {
        match self.sealed.get_mut(key_id) {
            Some(count) => *count += change,
            None => drop(self.sealed.insert(key_id.into(), change)),
        }
    }

    fn raise(&mut self, mark: Mark) -> Result<(), redb::Error> {
        if let Some(lasting) = mark.of_key()
            && self.tables.access_keys.get(&*mark.name)?.is_some()
        {
            self.raise(lasting)?;
        }
        let key = mark.key();
        let known = self.tables.revocations.get(key.as_str())?.map(|before| before.value());
        if known.is_none_or(|before| before < mark.before.0) {
            self.tables.revocations.insert(key.as_str(), mark.before.0)?;
            self.effects.dirty = true;
        }
        self.effects.marks.push(mark);
        Ok(())
    }

    fn log(&mut self, event: &Event, row: &[u8]) -> Result<Receipt, redb::Error> {
        if self.numbering == Numbering::Unlogged {
            self.effects.dirty = true;
            return Ok(Receipt { seq: self.effects.position, duplicate: false });
        }
        let seq = self.note(event)?;
        self.tables.events.insert(self.place(seq), row)?;
        Ok(Receipt { seq, duplicate: false })
    }

    /// From now on the event is known, and has its place in the log.
    fn note(&mut self, event: &Event) -> Result<u64, redb::Error> {
        self.effects.dirty = true;
        let seq = self.next();
        self.tables.known.insert(identity(&event.source, &event.id), self.place(seq))?;
        self.pass(seq);
        Ok(seq)
    }

    /// Where an event of the log stands in the file; 0, where none stands, for what is in no log.
    fn place(&self, seq: u64) -> u64 {
        if seq == 0 { 0 } else { place(self.logs, seq) }
    }

    /// The sequence number of the event at hand. No log has an event at 0.
    fn next(&self) -> u64 {
        match self.numbering {
            Numbering::Next => self.effects.position + 1,
            Numbering::At(seq) => seq,
            Numbering::Unlogged => 0,
        }
    }

    fn encode_event(&self, event: &Event) -> Result<Vec<u8>, Rejection> {
        let logged = LoggedEvent { event: event.clone(), recorded_at: self.now };
        let row = write_event(&logged, self.keyring).map_err(|e| Rejection::Refused(StoreError::Seal(e)))?;
        fits(row)
    }

    fn encode_credential(
        &self,
        credential: &Credential,
        seq: u64,
        source: &str,
    ) -> Result<Vec<u8>, Rejection> {
        let stored = StoredCredential { credential: credential.clone(), seq, source: source.to_owned() };
        let row =
            write_credential(&stored, self.keyring).map_err(|e| Rejection::Refused(StoreError::Seal(e)))?;
        fits(row)
    }
}

/// When nobody needs to be told of an issued credential any more that it expired.
fn dropped_after(credential: &Credential) -> UnixMillis {
    let ends = credential.session.as_ref().map_or(credential.issued_at, |session| session.expires_at);
    ends.plus(EXPIRED_FOR_MILLIS)
}

fn fits(row: Vec<u8>) -> Result<Vec<u8>, Rejection> {
    if row.len() > MAX_ROW_BYTES {
        return refuse(StoreError::TooLarge { bytes: row.len(), limit: MAX_ROW_BYTES });
    }
    Ok(row)
}

pub(super) fn refuse<T>(error: StoreError) -> Result<T, Rejection> {
    Err(Rejection::Refused(error))
}
