//! What each event does to the log and the view: the one place where they change.

use redb::{ReadableTable, WriteTransaction};

use super::error::{Conflict, StoreError};
use super::revocations::{MARK_RETENTION_MILLIS, Mark};
use super::tables::{META_ANCHOR, META_APPLIED, META_NEWEST, META_REVISION, Tables};
use crate::clock::UnixMillis;
use crate::events::{
    Event, EventData, Keyring, LoggedEvent, MAX_ROW_BYTES, Receipt, StoredCredential, read_credential,
    read_header, write_credential, write_event,
};
use crate::iam::{AccessKeyId, Credential, KeyStatus};

/// How long an expired session stays in the view, so that its owner is told that it expired.
const EXPIRED_FOR_MILLIS: i64 = 3_600_000;

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
    /// Whether there is anything to commit.
    pub(super) dirty: bool,
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
            dirty: false,
            marks: Vec::new(),
            changed: Vec::new(),
        };
        Ok(Self { tables, keyring, now, numbering: Numbering::Next, effects })
    }

    /// Sequence number of the last event so far.
    pub(super) fn position(&self) -> u64 {
        self.effects.position
    }

    /// Applies events in order, up to the first that is refused; those before it stay applied.
    pub(super) fn append(&mut self, events: &[Event]) -> Result<Vec<Receipt>, Rejection> {
        events.iter().map(|event| self.append_one(event)).collect()
    }

    /// Applies this gateway's own events, which no log knows.
    pub(super) fn append_unlogged(&mut self, events: &[Event]) -> Result<Vec<Receipt>, Rejection> {
        self.numbering = Numbering::Unlogged;
        let receipts = self.append(events);
        self.numbering = Numbering::Next;
        receipts
    }

    /// Applies what the shared log holds at `seq`, as of the time it got there, so that every gateway, whenever it
    /// reads the log, comes to the same view. The position moves on whatever becomes of the event.
    pub(super) fn apply_at(
        &mut self,
        seq: u64,
        logged: &LoggedEvent,
        published: UnixMillis,
    ) -> Result<Receipt, Rejection> {
        self.numbering = Numbering::At(seq);
        self.now = logged.recorded_at.min(published);
        let receipt = self.append_one(&logged.event);
        self.pass(seq);
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
        self.tables.quarantine.insert(seq, (published.0, body))?;
        if let Some(until) = until {
            self.tables.due.insert((until.0, seq), "")?;
        }
        self.pass(seq);
        Ok(())
    }

    /// Place, message time and body of everything in quarantine, in the order of the log.
    pub(super) fn quarantined(&self) -> Result<Vec<(u64, UnixMillis, Vec<u8>)>, redb::Error> {
        let rows = self.tables.quarantine.iter()?.map(|row| {
            let (seq, row) = row?;
            let (published, body) = row.value();
            Ok((seq.value(), UnixMillis(published), body.to_vec()))
        });
        rows.collect()
    }

    /// Takes an event out of quarantine.
    pub(super) fn release(&mut self, seq: u64) -> Result<(), redb::Error> {
        self.effects.dirty = true;
        self.tables.quarantine.remove(seq)?;
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

    /// Ends the batch; what remains is to commit the transaction, or to abort it if nothing changed.
    pub(super) fn finish(mut self) -> Result<Option<Effects>, redb::Error> {
        if !self.effects.dirty {
            return Ok(None);
        }
        self.tables.meta.insert(META_REVISION, self.effects.revision)?;
        self.tables.meta.insert(META_ANCHOR, self.effects.anchor)?;
        self.tables.meta.insert(META_APPLIED, self.effects.position)?;
        self.tables.meta.insert(META_NEWEST, u64::try_from(self.effects.newest.0).unwrap_or(0))?;
        Ok(Some(self.effects))
    }

    fn append_one(&mut self, event: &Event) -> Result<Receipt, Rejection> {
        event.check(self.now).map_err(|error| Rejection::Refused(error.into()))?;
        if let Some(seq) = self.tables.idempotency.get((event.source.as_str(), event.id.as_str()))? {
            return Ok(Receipt { seq: seq.value(), duplicate: true });
        }
        if let Numbering::At(seq) = self.numbering
            && let Some(later) = self.changed_since(event, seq)?
        {
            return Ok(Receipt { seq: later, duplicate: true });
        }
        match &event.data {
            EventData::CredentialIssued(credential) => self.issued(event, credential),
            EventData::AccessKeyCreated(credential) => self.created(event, credential),
            EventData::AccessKeyStatus { access_key_id, status } => {
                self.status(event, access_key_id, *status)
            }
            EventData::AccessKeyDeleted { access_key_id } => self.deleted(event, access_key_id),
            EventData::SessionRevoked { scope, cascade, issued_before, .. } => {
                let row = self.encode_event(event)?;
                let receipt = self.log(event, &row)?;
                self.raise(Mark::of(scope, *cascade, *issued_before))?;
                self.tables.due.insert((issued_before.plus(MARK_RETENTION_MILLIS).0, receipt.seq), "")?;
                Ok(receipt)
            }
        }
    }

    /// The place of a later change of the long-term key that `event` is about: a log that is read again from further
    /// back must not bring back what was. If there is none, this one is noted.
    fn changed_since(&mut self, event: &Event, seq: u64) -> Result<Option<u64>, redb::Error> {
        let id = match &event.data {
            EventData::AccessKeyCreated(credential) => &credential.access_key_id,
            EventData::AccessKeyStatus { access_key_id, .. }
            | EventData::AccessKeyDeleted { access_key_id } => access_key_id,
            EventData::CredentialIssued(_) | EventData::SessionRevoked { .. } => return Ok(None),
        };
        let last = self.tables.changes.get(id.as_str())?.map(|last| last.value());
        if last.is_some_and(|last| last >= seq) {
            return Ok(last);
        }
        self.tables.changes.insert(id.as_str(), seq)?;
        Ok(None)
    }

    fn issued(&mut self, event: &Event, credential: &Credential) -> Result<Receipt, Rejection> {
        let id = &credential.access_key_id;
        if self.tables.access_keys.get(id.as_str())?.is_some() {
            return refuse(StoreError::conflict(id, Conflict::IsAccessKey));
        }
        if let Some(known) = stored(&self.tables.sessions, id, self.keyring)? {
            return if same(&known.credential, credential) {
                Ok(Receipt { seq: known.seq, duplicate: true })
            } else {
                refuse(StoreError::conflict(id, Conflict::Issued))
            };
        }
        let event_row = self.encode_event(event)?;
        let row = self.encode_credential(credential, self.next(), &event.source)?;
        let receipt = self.log(event, &event_row)?;
        self.tables.sessions.insert(id.as_str(), row.as_slice())?;
        self.tables.count_seal(self.keyring.active(), true)?;
        if let Some(session) = &credential.session {
            let due = session.expires_at.plus(EXPIRED_FOR_MILLIS).0;
            self.tables.due.insert((due, receipt.seq), id.as_str())?;
        }
        self.effects.newest = self.effects.newest.max(credential.issued_at);
        Ok(receipt)
    }

    fn created(&mut self, event: &Event, credential: &Credential) -> Result<Receipt, Rejection> {
        let id = &credential.access_key_id;
        if self.tables.sessions.get(id.as_str())?.is_some() {
            return refuse(StoreError::conflict(id, Conflict::IsSession));
        }
        let known = stored(&self.tables.access_keys, id, self.keyring)?;
        let mut credential = credential.clone();
        let mut same_key = false;
        if let Some(known) = &known {
            check_owner(known, event)?;
            // The same secret is the same key, however it is described now: what revoked it still does.
            same_key = known.credential.secret.expose_secret() == credential.secret.expose_secret();
            if same_key {
                credential.issued_at = known.credential.issued_at;
            }
        }
        let event_row = self.encode_event(event)?;
        let row = self.encode_credential(&credential, self.next(), &event.source)?;
        let receipt = self.log(event, &event_row)?;
        if let Some(known) = known {
            // The replaced secret must not outlive its replacement in the log.
            self.tables.events.remove(known.seq)?;
            // Whoever had the former secret keeps no session by it either.
            if !same_key || credential.status == KeyStatus::Inactive {
                self.end_issued(event, id)?;
            }
        }
        self.put_access_key(id, &row)?;
        self.effects.newest = self.effects.newest.max(credential.issued_at);
        Ok(receipt)
    }

    fn status(&mut self, event: &Event, id: &AccessKeyId, status: KeyStatus) -> Result<Receipt, Rejection> {
        let mut known = self.existing(event, id)?;
        known.credential.status = status;
        let event_row = self.encode_event(event)?;
        let row = self.encode_credential(&known.credential, known.seq, &known.source)?;
        let receipt = self.log(event, &event_row)?;
        self.put_access_key(id, &row)?;
        if status == KeyStatus::Inactive {
            self.end_issued(event, id)?;
        }
        Ok(receipt)
    }

    fn deleted(&mut self, event: &Event, id: &AccessKeyId) -> Result<Receipt, Rejection> {
        let known = self.existing(event, id)?;
        let event_row = self.encode_event(event)?;
        let receipt = self.log(event, &event_row)?;
        self.tables.events.remove(known.seq)?;
        self.remove_access_key(id)?;
        self.end_issued(event, id)?;
        Ok(receipt)
    }

    /// The long-term key that `event` is about.
    fn existing(&self, event: &Event, id: &AccessKeyId) -> Result<StoredCredential, Rejection> {
        let Some(known) = stored(&self.tables.access_keys, id, self.keyring)? else {
            return refuse(StoreError::UnknownAccessKey { access_key_id: id.clone() });
        };
        check_owner(&known, event)?;
        Ok(known)
    }

    fn put_access_key(&mut self, id: &AccessKeyId, row: &[u8]) -> Result<(), redb::Error> {
        self.remove_access_key(id)?;
        self.tables.access_keys.insert(id.as_str(), row)?;
        self.tables.count_seal(self.keyring.active(), true)
    }

    fn remove_access_key(&mut self, id: &AccessKeyId) -> Result<(), redb::Error> {
        let removed = self.tables.access_keys.remove(id.as_str())?.map(|row| row.value().to_vec());
        if let Some(row) = removed {
            if let Ok(header) = read_header(id.as_str(), &row) {
                self.tables.count_seal(header.sealed_by, false)?;
            }
            self.effects.changed.push(id.clone());
        }
        Ok(())
    }

    /// Ends the sessions issued to a long-term key so far, by any clock.
    fn end_issued(&mut self, event: &Event, id: &AccessKeyId) -> Result<(), redb::Error> {
        let mut mark = Mark::issued_to(id, event.time.max(self.now));
        if self.effects.newest > mark.before {
            mark.before = mark.before.max(newest_issue(&self.tables.sessions, &mark)?);
        }
        mark.before = mark.before.plus(1);
        self.raise(mark)
    }

    fn raise(&mut self, mark: Mark) -> Result<(), redb::Error> {
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
        self.effects.dirty = true;
        if self.numbering == Numbering::Unlogged {
            return Ok(Receipt { seq: self.effects.position, duplicate: false });
        }
        let seq = self.next();
        self.tables.events.insert(seq, row)?;
        self.tables.idempotency.insert((event.source.as_str(), event.id.as_str()), seq)?;
        self.pass(seq);
        Ok(Receipt { seq, duplicate: false })
    }

    /// The place of the event at hand. No log has an event at 0.
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

/// The latest time in `rows` that a mark of this scope is compared with; the epoch if there is none.
pub(super) fn newest_issue(
    rows: &impl ReadableTable<&'static str, &'static [u8]>,
    mark: &Mark,
) -> Result<UnixMillis, redb::Error> {
    let mut newest = UnixMillis(0);
    for entry in rows.iter()? {
        let (id, row) = entry?;
        if !mark.may_name(row.value()) {
            continue;
        }
        let credential = read_header(id.value(), row.value()).and_then(|header| header.into_credential());
        if let Ok(credential) = credential {
            newest = mark.times(&credential).fold(newest, UnixMillis::max);
        }
    }
    Ok(newest)
}

pub(super) fn stored(
    rows: &impl ReadableTable<&'static str, &'static [u8]>,
    id: &AccessKeyId,
    keyring: &Keyring,
) -> Result<Option<StoredCredential>, Rejection> {
    let Some(row) = rows.get(id.as_str())? else { return Ok(None) };
    match read_credential(id.as_str(), row.value(), keyring) {
        Ok(stored) => Ok(Some(stored)),
        Err(source) => refuse(StoreError::Unreadable { access_key_id: id.clone(), source }),
    }
}

/// Declared keys are changed by declarations only, and those change no others. Which of them a key belongs to is decided
/// before: by the one place that knows all of them.
pub(super) fn check_owner(known: &StoredCredential, event: &Event) -> Result<(), Rejection> {
    match (Event::is_declaration(&known.source), Event::is_declaration(&event.source)) {
        (true, true) | (false, false) => Ok(()),
        (true, false) => refuse(StoreError::conflict(&known.credential.access_key_id, Conflict::Declared)),
        (false, true) => refuse(StoreError::conflict(&known.credential.access_key_id, Conflict::NotDeclared)),
    }
}

pub(super) fn same(known: &Credential, given: &Credential) -> bool {
    known.secret.expose_secret() == given.secret.expose_secret()
        && known.principal == given.principal
        && known.issued_at == given.issued_at
        && known.status == given.status
        && known.session == given.session
}

fn fits(row: Vec<u8>) -> Result<Vec<u8>, Rejection> {
    if row.len() > MAX_ROW_BYTES {
        return refuse(StoreError::TooLarge { bytes: row.len(), limit: MAX_ROW_BYTES });
    }
    Ok(row)
}

fn refuse<T>(error: StoreError) -> Result<T, Rejection> {
    Err(Rejection::Refused(error))
}
