//! `import`: an exported log into a store, be it a log of its own or the view of a shared one.
//!
//! All of the file is checked before anything is written. What is written are events, appended as any other, so that
//! a log takes them in as it always does: first the revocations, so that nothing they reach is alive for a moment; then
//! sessions and long-term keys in the order of the file, a key once and as its last event left it. What the store knows
//! is passed over, so that a file can be imported again.
//!
//! Nothing comes back by it. Marks only ever grow. A key that was deleted here stays deleted, and one that was changed here
//! later than in the file stays as it is.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use redb::ReadableTable;
use ring::digest;

use super::super::known::same;
use super::super::revocations::{Mark, MarkKind};
use super::super::tables::{ACCESS_KEYS, CHANGES, EVENTS, ISSUED};
use super::super::{Store, StoreError, issued};
use super::archive::{ArchiveFile, Contents};
use super::file::optional;
use super::fold::{Fold, FoldedKey};
use super::lines::Stopped;
use super::verify::Findings;
use super::{EventLog, Snapshot};
use crate::audit::Record as AuditRecord;
use crate::clock::UnixMillis;
use crate::events::{
    ArchiveError, ArchiveItem, Event, EventData, LoggedEvent, RowError, StoredCredential, issues_session,
    read_credential, read_event, read_header,
};
use crate::iam::{AccessKeyId, Credential};

/// The source of revocations that are in force without an event of their own.
const SOURCE: &str = "/import";

/// Events that are written together.
const BATCH: usize = 256;

/// What became of a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Imported {
    /// Revocations that were written.
    pub revocations: u64,
    /// Sessions that were written.
    pub sessions: u64,
    /// Long-term keys that were written.
    pub access_keys: u64,
    /// Long-term keys that were deleted, as they are in the file.
    pub deleted: u64,
    /// Sessions, long-term keys and revocations that were known before.
    pub known: u64,
    /// Sessions that are over.
    pub expired: u64,
    /// Long-term keys that were deleted here, or changed later than in the file, and stay so.
    pub kept: u64,
    /// Long-term keys that gateways declare, there or here: whoever declares them goes on doing so.
    pub declared: u64,
}

/// Why a file was not imported, or not all of it.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// Something is wrong with the file, or contradicts what is here: nothing was written.
    #[error("nothing was imported: {}", .0.join("; "))]
    Faults(Vec<String>),
    /// The log does not take something. What stands before it may have been written, and importing again goes on.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What there is to write, but for the sessions: of those there may be too many.
struct Plan {
    revocations: Vec<Event>,
    keys: Fold,
    target: Target,
    now: UnixMillis,
}

/// What the store knows of long-term keys.
struct Target {
    fold: Fold,
    declared: BTreeSet<AccessKeyId>,
    deleted: BTreeSet<AccessKeyId>,
}

/// What there is under an id.
type Found = Result<StoredCredential, RowError>;

/// What to do about a long-term key.
#[derive(Debug)]
enum Verdict {
    Write(Box<Event>),
    Known,
    Kept,
    Declared,
}

/// The next events of a file, and what of it is passed over.
struct Batch {
    events: Vec<Event>,
    file: ArchiveFile,
    imported: Imported,
    more: bool,
}

impl Store {
    /// Imports the file at `path`, which [`EventLog::export_lines`] wrote.
    ///
    /// # Errors
    /// See [`ImportError`].
    pub async fn import(&self, path: &Path) -> Result<Imported, ImportError> {
        let (store, file) = (self.clone(), path.to_owned());
        let plan = Arc::new(self.block(move || store.plan(&file)).await??);
        let mut imported = Imported::default();
        for events in plan.revocations.chunks(BATCH) {
            self.write_imported(events.to_vec(), &mut imported).await?;
        }
        let mut file = open(path)?;
        loop {
            let (keyring, planned) = (self.0.keyring.clone(), Arc::clone(&plan));
            let read = move || planned.batch(file, imported, &keyring);
            let batch = self.block(read).await??;
            (file, imported) = (batch.file, batch.imported);
            self.write_imported(batch.events, &mut imported).await?;
            if !batch.more {
                return Ok(imported);
            }
        }
    }

    /// Reads all of the file, and writes nothing.
    fn plan(&self, path: &Path) -> Result<Plan, ImportError> {
        let log = EventLog::of_gateway(self);
        let snapshot = Snapshot::new(log.begin_read()?, log)?;
        let (now, target) = (snapshot.now, Target::read(&snapshot).map_err(StoreError::read)?);
        let mut revocations = Vec::new();
        let mut found = Findings::keeping();
        let checked = open(path)?.check(&self.0.keyring, now, &mut found, |seq, logged, found| {
            if let EventData::SessionRevoked { .. } = logged.event.data {
                revocations.push(logged.event.clone());
            }
            if let Err(fault) = snapshot.takes(logged) {
                found.fault(format_args!("event {seq}"), fault);
            }
        });
        let contents = match checked {
            Ok(contents) => contents,
            Err(Stopped::Failed(error)) => return Err(error.into()),
            Err(Stopped::Gone) => return Err(StoreError::Closed.into()),
        };
        found.finish(serde_json::Value::Null);
        if found.faults() > 0 {
            return Err(ImportError::Faults(found.kept()));
        }
        let revocations = self.missing(revocations, &contents, now);
        Ok(Plan { revocations, keys: contents.fold, target, now })
    }

    /// The revocations to write: events that say more than is in force here, and what is in force there without one.
    fn missing(&self, events: Vec<Event>, contents: &Contents, now: UnixMillis) -> Vec<Event> {
        let live = |name: &str| contents.fold.keys.get(name).is_some_and(|key| key.credential.is_some());
        let matters = |mark: &Mark| {
            let guards_key = mark.kind == MarkKind::AccessKey && live(&mark.name);
            (guards_key || !mark.spent(now)) && !self.state().revocations.covers(mark)
        };
        let mut told = Fold::default();
        let mut missing = Vec::new();
        for event in events {
            let EventData::SessionRevoked { scope, cascade, issued_before, .. } = &event.data else {
                continue;
            };
            let mark = Mark::of(scope, *cascade, *issued_before);
            if matters(&mark) {
                told.raise(&mark);
                missing.push(event);
            }
        }
        let untold = |(key, mark): &(&String, &Mark)| {
            matters(mark) && told.marks.get(*key).is_none_or(|before| *before < mark.before)
        };
        missing.extend(contents.marks.iter().filter(untold).filter_map(|(_, mark)| revocation(mark, now)));
        missing
    }

    async fn write_imported(&self, events: Vec<Event>, imported: &mut Imported) -> Result<(), StoreError> {
        let told: Vec<_> = events.iter().map(|event| (Counted::of(&event.data), issuance(event))).collect();
        let receipts = self.append(events).await?;
        for ((counted, record), receipt) in told.into_iter().zip(receipts) {
            if receipt.duplicate {
                imported.known += 1;
                continue;
            }
            *counted.in_(imported) += 1;
            if let Some(record) = record
                && let Err(error) = self.audit().record(record).await
            {
                // Too late to refuse: the session is in force.
                tracing::error!(%error, seq = receipt.seq, "an event is not in the audit trail");
            }
        }
        Ok(())
    }
}

/// Which number counts an event.
#[derive(Clone, Copy)]
enum Counted {
    Revocation,
    Session,
    AccessKey,
    Deletion,
}

impl Counted {
    const fn of(data: &EventData) -> Self {
        match data {
            EventData::SessionRevoked { .. } => Self::Revocation,
            EventData::CredentialIssued(_) => Self::Session,
            EventData::AccessKeyCreated(_) | EventData::AccessKeyStatus { .. } => Self::AccessKey,
            EventData::AccessKeyDeleted { .. } => Self::Deletion,
        }
    }

    const fn in_(self, imported: &mut Imported) -> &mut u64 {
        match self {
            Self::Revocation => &mut imported.revocations,
            Self::Session => &mut imported.sessions,
            Self::AccessKey => &mut imported.access_keys,
            Self::Deletion => &mut imported.deleted,
        }
    }
}

impl Plan {
    /// Reads on, as far as events for one batch.
    fn batch(
        &self,
        file: ArchiveFile,
        imported: Imported,
        keyring: &crate::events::Keyring,
    ) -> Result<Batch, ImportError> {
        let mut batch = Batch { events: Vec::new(), file, imported, more: true };
        while batch.events.len() < BATCH {
            let (seq, row) = match batch.file.next(None)? {
                Some(Ok(ArchiveItem::Event { seq, row })) => (seq, row),
                Some(Ok(ArchiveItem::Mark { .. } | ArchiveItem::End(_))) => continue,
                Some(Err(fault)) => return Err(changed(&fault)),
                None => {
                    batch.more = false;
                    break;
                }
            };
            let logged = read_event(&row, keyring).map_err(StoreError::Seal)?;
            self.take(seq, logged.event, &mut batch);
        }
        Ok(batch)
    }

    fn take(&self, seq: u64, event: Event, batch: &mut Batch) {
        let id = match &event.data {
            EventData::SessionRevoked { .. } => return,
            EventData::CredentialIssued(credential) if credential.expired(self.now) => {
                batch.imported.expired += 1;
                return;
            }
            EventData::CredentialIssued(_) => return batch.events.push(event),
            EventData::AccessKeyCreated(Credential { access_key_id, .. })
            | EventData::AccessKeyStatus { access_key_id, .. }
            | EventData::AccessKeyDeleted { access_key_id } => access_key_id,
        };
        // A key is written once, in the place of its last event.
        let Some(key) = self.keys.keys.get(id).filter(|key| key.seq == seq) else { return };
        match self.target.verdict(id, key) {
            Verdict::Write(event) => batch.events.push(*event),
            Verdict::Known => batch.imported.known += 1,
            Verdict::Kept => batch.imported.kept += 1,
            Verdict::Declared => batch.imported.declared += 1,
        }
    }
}

impl Target {
    fn read(snapshot: &Snapshot) -> Result<Self, redb::Error> {
        let mut target = Self { fold: Fold::default(), declared: BTreeSet::new(), deleted: BTreeSet::new() };
        for row in snapshot.txn.open_table(EVENTS)?.iter()? {
            let (at, row) = row?;
            if !issues_session(row.value())
                && let Ok(logged) = read_event(row.value(), &snapshot.keyring)
            {
                target.fold.add(at.value(), &logged);
            }
        }
        let known = snapshot.txn.open_table(ACCESS_KEYS)?;
        for row in known.iter()? {
            let (id, row) = row?;
            let header = read_header(id.value(), row.value());
            if header.is_ok_and(|header| Event::is_declaration(&header.source)) {
                target.declared.extend(AccessKeyId::parse(id.value()));
            }
        }
        if let Some(changes) = optional(snapshot.txn.open_table(CHANGES))? {
            for row in changes.iter()? {
                let (id, _) = row?;
                if known.get(id.value())?.is_none() {
                    target.deleted.extend(AccessKeyId::parse(id.value()));
                }
            }
        }
        Ok(target)
    }

    fn verdict(&self, id: &AccessKeyId, key: &FoldedKey) -> Verdict {
        if key.declared || self.declared.contains(id) {
            return Verdict::Declared;
        }
        let here = self.fold.keys.get(id);
        let deleted = here.is_some_and(|here| here.credential.is_none()) || self.deleted.contains(id);
        match (here, &key.credential) {
            (_, None) if deleted => Verdict::Known,
            (_, Some(_)) if deleted => Verdict::Kept,
            (None, None) => Verdict::Known,
            (None, Some(_)) => Verdict::Write(Box::new(last_event(id, key))),
            (Some(here), _) if (&here.source, &here.id) == (&key.source, &key.id) => Verdict::Known,
            (Some(here), _) if here.time >= key.time => Verdict::Kept,
            (Some(_), _) => Verdict::Write(Box::new(last_event(id, key))),
        }
    }
}

impl Snapshot {
    /// Whether nothing here contradicts an event.
    fn takes(&self, logged: &LoggedEvent) -> Result<(), String> {
        let credential = match &logged.event.data {
            EventData::CredentialIssued(credential) if credential.expired(self.now) => return Ok(()),
            EventData::CredentialIssued(credential) | EventData::AccessKeyCreated(credential) => credential,
            EventData::AccessKeyStatus { .. }
            | EventData::AccessKeyDeleted { .. }
            | EventData::SessionRevoked { .. } => {
                return logged.event.check(self.now).map_err(|error| error.to_string());
            }
        };
        logged.event.check(self.now).map_err(|error| error.to_string())?;
        let id = &credential.access_key_id;
        let session = self.session(id).map_err(|error| error.to_string())?;
        let access_key = self.access_key(id).map_err(|error| error.to_string())?;
        let temporary = credential.session.is_some();
        let (own, other) = if temporary { (session, access_key) } else { (access_key, session) };
        if other.is_some() {
            let kind = if temporary { "a long-term key" } else { "a session" };
            return Err(format!("{kind} has the id {id} here"));
        }
        match own {
            Some(Ok(stored)) if temporary && !same(&stored.credential, credential) => {
                Err(format!("session {id} is another one here"))
            }
            Some(Err(error)) => Err(format!("{id} cannot be read here: {error}")),
            Some(Ok(_)) | None => Ok(()),
        }
    }

    fn session(&self, id: &AccessKeyId) -> Result<Option<Found>, redb::Error> {
        issued::find(&self.txn.open_table(ISSUED)?, &self.txn.open_table(EVENTS)?, id, &self.keyring)
    }

    fn access_key(&self, id: &AccessKeyId) -> Result<Option<Found>, redb::Error> {
        let row = self.txn.open_table(ACCESS_KEYS)?.get(id.as_str())?;
        Ok(row.map(|row| read_credential(id.as_str(), row.value(), &self.keyring)))
    }
}

fn open(path: &Path) -> Result<ArchiveFile, ImportError> {
    ArchiveFile::open(path)?.map_err(|fault| ImportError::Faults(vec![fault.to_string()]))
}

fn changed(fault: &ArchiveError) -> ImportError {
    ImportError::Faults(vec![format!("the file has changed while it was read: {fault}")])
}

/// A key as a whole, under the name of the event that changed it last.
fn last_event(id: &AccessKeyId, key: &FoldedKey) -> Event {
    let data = match &key.credential {
        Some(credential) => EventData::AccessKeyCreated(credential.clone()),
        None => EventData::AccessKeyDeleted { access_key_id: id.clone() },
    };
    Event { source: key.source.clone(), id: key.id.clone(), time: key.time, data }
}

/// A mark as an event of its own, the same whenever it is made.
fn revocation(mark: &Mark, now: UnixMillis) -> Option<Event> {
    let name = format!("{} {}", mark.key(), mark.before.0);
    let id = sigv4::hex::encode(&digest::digest(&digest::SHA256, name.as_bytes()).as_ref()[..16]);
    let scope = mark.scope()?;
    let data =
        EventData::SessionRevoked { scope, cascade: mark.cascade, issued_before: mark.before, reason: None };
    Some(Event { source: SOURCE.to_owned(), id, time: now, data })
}

/// For the audit trail; the store records every other event itself.
fn issuance(event: &Event) -> Option<AuditRecord> {
    matches!(event.data, EventData::CredentialIssued(_)).then(|| AuditRecord::of_event(event))
}
