//! `verify`: what is wrong with a log, each fault with its place.
//!
//! Of a file, be it an embedded log or a gateway's view of a shared one: whether each event can be read and unsealed, each
//! session is as its event says, and long-term keys and revocations are what the events come to. Of an embedded log also
//! whether every event is there that something else in the file refers to: sessions, keys, and what is to be compacted.
//! Events that compaction dropped leave holes in the numbers, which are no faults.

use std::collections::BTreeMap;
use std::fmt::Display;

use redb::ReadableTable;
use serde_json::json;
use tokio::runtime::Handle;

use super::super::known::same_secret;
use super::super::revocations::Mark;
use super::super::tables::{
    ACCESS_KEYS, CHANGES, DUE, EVENTS, ISSUED, KNOWN, QUARANTINE, REVOCATIONS, SEALS, identity, logs_of,
    place, seq_of,
};
use super::file::optional;
use super::fold::Fold;
use super::lines::{Sink, Stopped};
use super::{EventLog, Lines, Place, Snapshot, StoreError};
use crate::clock::UnixMillis;
use crate::events::{
    EventData, Keyring, LoggedEvent, RowError, issues_session, read_credential, read_event, read_header,
    read_issuance, sealed_by,
};
use crate::iam::Credential;

/// What is found.
pub(super) struct Findings {
    told: Told,
    events: u64,
    faults: u64,
    /// Sealing keys that are not here: where each is first needed, and how often.
    missing: BTreeMap<String, (String, u64)>,
}

/// Where faults are written.
enum Told {
    Lines(Sink),
    /// The first of them.
    Kept(Vec<String>),
}

/// Faults that are kept.
const KEPT: usize = 10;

impl EventLog {
    /// Reads the whole log and writes `{place, fault}` for each fault. The last line is `{verified}` with what was looked
    /// at and the number of faults; without it not all could be looked at.
    pub fn verify_lines(&self) -> Lines {
        let (sink, lines) = Sink::new();
        let log = self.clone();
        tokio::spawn(async move {
            let mut found = Findings::new(sink);
            if let Place::Shared(feed) = &log.place {
                let done = log.verify_stream(feed, &mut found).await;
                return found.end(done).await;
            }
            match log.snapshot().await {
                Ok(snapshot) => drop(tokio::task::spawn_blocking(move || {
                    let done = snapshot.verify(&mut found);
                    Handle::current().block_on(found.end(done));
                })),
                Err(error) => found.end(Err(error.into())).await,
            }
        });
        lines
    }
}

impl Findings {
    /// Writes each fault as a line.
    pub(super) fn new(sink: Sink) -> Self {
        Self { told: Told::Lines(sink), events: 0, faults: 0, missing: BTreeMap::new() }
    }

    /// Keeps the first faults.
    pub(super) fn keeping() -> Self {
        Self { told: Told::Kept(Vec::new()), events: 0, faults: 0, missing: BTreeMap::new() }
    }

    pub(super) fn fault(&mut self, place: impl Display, fault: impl Display) {
        self.faults += 1;
        match &mut self.told {
            Told::Lines(sink) => {
                sink.put(&json!({ "place": place.to_string(), "fault": fault.to_string() }).to_string());
            }
            Told::Kept(kept) if kept.len() < KEPT => kept.push(format!("{place}: {fault}")),
            Told::Kept(_) => {}
        }
    }

    /// A row that cannot be read. Missing keys are told once each, in the end.
    pub(super) fn unreadable(&mut self, place: impl Display, error: RowError) {
        match error {
            RowError::MissingKey(key_id) => {
                self.missing.entry(key_id).or_insert_with(|| (place.to_string(), 0)).1 += 1;
            }
            error => self.fault(place, error),
        }
    }

    /// An event, if it can be read.
    pub(super) fn read(&mut self, seq: u64, row: &[u8], keyring: &Keyring) -> Option<LoggedEvent> {
        self.read_at(format_args!("event {seq}"), row, keyring)
    }

    fn read_at(&mut self, place: impl Display, row: &[u8], keyring: &Keyring) -> Option<LoggedEvent> {
        self.events += 1;
        read_event(row, keyring).map_err(|error| self.unreadable(place, error)).ok()
    }

    /// How many faults there are, once [`finish`](Self::finish) has told those of missing keys.
    pub(super) fn faults(&self) -> u64 {
        self.faults
    }

    /// What was kept of them.
    pub(super) fn kept(self) -> Vec<String> {
        match self.told {
            Told::Kept(kept) => kept,
            Told::Lines(_) => Vec::new(),
        }
    }

    /// Writes the last lines. `more`: what else was looked at.
    pub(super) fn finish(&mut self, more: serde_json::Value) {
        for (key_id, (place, count)) in std::mem::take(&mut self.missing) {
            let fault = format!("is missing: it sealed {count} rows, the first of them {place}");
            self.fault(format_args!("sealing key {key_id}"), fault);
        }
        let mut verified = json!({ "events": self.events, "faults": self.faults });
        if let (Some(verified), serde_json::Value::Object(more)) = (verified.as_object_mut(), more) {
            verified.extend(more);
        }
        if let Told::Lines(sink) = &mut self.told {
            sink.put(&json!({ "verified": verified }).to_string());
        }
    }

    /// Sends what was found, if it is much. Where a thread may wait.
    pub(super) fn relieve(&mut self) -> Result<(), Stopped> {
        match &mut self.told {
            Told::Lines(sink) => sink.relieve_blocking(),
            Told::Kept(_) => Ok(()),
        }
    }

    /// Sends what was found.
    pub(super) async fn flush(&mut self) -> Result<(), Stopped> {
        match &mut self.told {
            Told::Lines(sink) => sink.flush().await,
            Told::Kept(_) => Ok(()),
        }
    }

    /// That was all, or why the rest is missing.
    pub(super) async fn end(self, done: Result<(), Stopped>) {
        if let Told::Lines(sink) = self.told {
            sink.end(done).await;
        }
    }
}

impl Snapshot {
    fn verify(&self, found: &mut Findings) -> Result<(), Stopped> {
        let fold = self.check_events(found)?;
        let sessions = self.check_sessions(found)?;
        self.check_access_keys(&fold, found)?;
        self.check_marks(&fold, found)?;
        self.check_seals(found)?;
        if self.is_log() {
            self.check_references(found)?;
        }
        self.check_quarantine(found)?;
        let revocations = self.marks()?.len();
        found.finish(json!({
            "log": EventLog::kind(self.head), "position": self.head.last,
            "sessions": sessions, "access_keys": fold.live(), "revocations": revocations,
        }));
        Ok(())
    }

    /// Whether the file is the log itself. A view may hold numbers of a log that was replaced since.
    fn is_log(&self) -> bool {
        self.head.identity == 0
    }

    /// The name of the event that stands here in the file.
    fn event(&self, at: u64) -> String {
        let former = if logs_of(at) < *self.readings.start() { " of a former log" } else { "" };
        format!("event {}{former}", seq_of(at))
    }

    fn check_events(&self, found: &mut Findings) -> Result<Fold, Stopped> {
        let events = self.txn.open_table(EVENTS).map_err(StoreError::read)?;
        let known = self.txn.open_table(KNOWN).map_err(StoreError::read)?;
        let issued = self.txn.open_table(ISSUED).map_err(StoreError::read)?;
        let (mut fold, end) = (Fold::default(), place(*self.readings.end(), self.head.last));
        for row in events.iter().map_err(StoreError::read)? {
            let (at, row) = row.map_err(StoreError::read)?;
            let at = at.value();
            found.relieve()?;
            let place = self.event(at);
            if at > end {
                found.fault(&place, format_args!("stands beyond the end of the log, {}", self.head.last));
            }
            let Some(logged) = found.read_at(&place, row.value(), &self.keyring) else { continue };
            let event = &logged.event;
            let noted = known.get(identity(&event.source, &event.id)).map_err(StoreError::read)?;
            if noted.is_none_or(|noted| noted.value() != seq_of(at)) && self.is_log() {
                found.fault(&place, "is not noted under its source and id: repeated, it would count again");
            }
            fold.add(at, &logged);
            if let EventData::CredentialIssued(credential) = &event.data {
                let id = credential.access_key_id.as_str();
                let session = issued.get(id).map_err(StoreError::read)?.map(|session| session.value());
                match session {
                    None => found.fault(&place, format_args!("issued session {id}, which is not there")),
                    Some(other) if other != at => {
                        let other = self.event(other);
                        found.fault(&place, format_args!("issued session {id}, which is that of {other}"));
                    }
                    Some(_) => {}
                }
            }
        }
        Ok(fold)
    }

    /// Whether the event is there that issued each session, which is all there is of it. Returns how many live.
    fn check_sessions(&self, found: &mut Findings) -> Result<u64, Stopped> {
        let issued = self.txn.open_table(ISSUED).map_err(StoreError::read)?;
        let events = self.txn.open_table(EVENTS).map_err(StoreError::read)?;
        let mut live = 0;
        for entry in issued.iter().map_err(StoreError::read)? {
            let (id, at) = entry.map_err(StoreError::read)?;
            found.relieve()?;
            let (place, event) = (format!("session {}", id.value()), self.event(at.value()));
            let Some(row) = events.get(at.value()).map_err(StoreError::read)? else {
                found.fault(&place, format_args!("was issued by {event}, which is gone"));
                continue;
            };
            match read_issuance(row.value()) {
                Ok(Some(issuance)) if issuance.credential.access_key_id.as_str() == id.value() => {
                    live += u64::from(!issuance.credential.expired(self.now));
                }
                Ok(_) => {
                    found.fault(&place, format_args!("is noted to be of {event}, which did not issue it"))
                }
                // What cannot be read is told with the event.
                Err(_) => {}
            }
        }
        Ok(live)
    }

    fn check_access_keys(&self, fold: &Fold, found: &mut Findings) -> Result<(), Stopped> {
        let rows = self.txn.open_table(ACCESS_KEYS).map_err(StoreError::read)?;
        for row in rows.iter().map_err(StoreError::read)? {
            let (id, row) = row.map_err(StoreError::read)?;
            let place = format!("access key {}", id.value());
            let stored = match read_credential(id.value(), row.value(), &self.keyring) {
                Ok(stored) => stored,
                Err(error) => {
                    found.unreadable(&place, error);
                    continue;
                }
            };
            // What the configuration of a gateway declares is in no shared log.
            if stored.seq == 0 {
                continue;
            }
            let folded = fold.keys.get(id.value());
            match folded.map(|folded| (folded.seq, folded.credential.as_ref())) {
                Some((_, Some(credential))) if same_key(&stored.credential, credential) => {}
                Some((at, _)) if !self.is_last(id.value(), at)? => {}
                Some((at, Some(_))) => {
                    found.fault(&place, format_args!("is not what {} made it", self.event(at)))
                }
                Some((at, None)) => {
                    found.fault(&place, format_args!("is there although {} deleted it", self.event(at)))
                }
                None => {
                    let event = self.event(stored.seq);
                    found.fault(&place, format_args!("was created by {event}, which is gone"))
                }
            }
        }
        for (id, folded) in &fold.keys {
            if folded.credential.is_some()
                && rows.get(id.as_str()).map_err(StoreError::read)?.is_none()
                && self.is_last(id.as_str(), folded.seq)?
            {
                let event = self.event(folded.seq);
                found.fault(event, format_args!("made access key {id}, which is not there"));
            }
        }
        Ok(())
    }

    /// Whether an event is the last about a long-term key as far as the file knows: its view of a shared log may have been
    /// told more than its events say.
    fn is_last(&self, id: &str, at: u64) -> Result<bool, Stopped> {
        if self.is_log() {
            return Ok(true);
        }
        let last = || {
            let Some(changes) = optional(self.txn.open_table(CHANGES))? else { return Ok(None) };
            Ok::<_, redb::Error>(changes.get(id)?.map(|last| last.value()))
        };
        let of_log = |place| self.readings.contains(&logs_of(place));
        let again = |last| of_log(last) && of_log(at) && seq_of(last) == seq_of(at);
        Ok(last().map_err(StoreError::read)?.is_none_or(|last| last == at || again(last)))
    }

    fn check_marks(&self, fold: &Fold, found: &mut Findings) -> Result<(), Stopped> {
        let marks = self.txn.open_table(REVOCATIONS).map_err(StoreError::read)?;
        for (key, before) in &fold.marks {
            if Mark::parse(key, *before).is_none_or(|mark| mark.spent(self.now)) {
                continue;
            }
            let known = marks.get(key.as_str()).map_err(StoreError::read)?.map(|known| known.value());
            if known.is_none_or(|known| known < before.0) {
                let in_force = known.map_or("none".to_owned(), |known| UnixMillis(known).to_rfc3339());
                let fault = format!("the log revokes before {}; in force is {in_force}", before.to_rfc3339());
                found.fault(format_args!("revocation {key}"), fault);
            }
        }
        Ok(())
    }

    /// Whether it is counted right which keys sealed what: a start goes by that.
    fn check_seals(&self, found: &mut Findings) -> Result<(), Stopped> {
        let counted = || {
            let mut counted = BTreeMap::<String, (u64, u64)>::new();
            for row in self.txn.open_table(EVENTS)?.iter()? {
                let (_, row) = row?;
                if issues_session(row.value())
                    && let Some(key_id) = sealed_by(row.value())
                {
                    counted.entry(key_id.to_owned()).or_default().0 += 1;
                }
            }
            for row in self.txn.open_table(ACCESS_KEYS)?.iter()? {
                let (id, row) = row?;
                if let Ok(header) = read_header(id.value(), row.value()) {
                    counted.entry(header.sealed_by.to_owned()).or_default().0 += 1;
                }
            }
            for row in self.txn.open_table(SEALS)?.iter()? {
                let (key_id, count) = row?;
                counted.entry(key_id.value().to_owned()).or_default().1 = count.value();
            }
            Ok::<_, redb::Error>(counted)
        };
        for (key_id, (there, noted)) in counted().map_err(StoreError::read)? {
            if there != noted {
                let fault = format!("is noted to have sealed {noted} credentials; it sealed {there}");
                found.fault(format_args!("sealing key {key_id}"), fault);
            }
        }
        Ok(())
    }

    /// Whether each event is there that compaction is going to drop.
    fn check_references(&self, found: &mut Findings) -> Result<(), Stopped> {
        let events = self.txn.open_table(EVENTS).map_err(StoreError::read)?;
        let due = self.txn.open_table(DUE).map_err(StoreError::read)?;
        for row in due.iter().map_err(StoreError::read)? {
            let (key, _) = row.map_err(StoreError::read)?;
            let (when, seq) = key.value();
            if events.get(seq).map_err(StoreError::read)?.is_none() {
                let fault = format!("is gone before its time, {}", UnixMillis(when).to_rfc3339());
                found.fault(format_args!("event {seq}"), fault);
            }
        }
        Ok(())
    }

    fn check_quarantine(&self, found: &mut Findings) -> Result<(), Stopped> {
        let Some(rows) = optional(self.txn.open_table(QUARANTINE)).map_err(StoreError::read)? else {
            return Ok(());
        };
        for row in rows.iter().map_err(StoreError::read)? {
            let (at, row) = row.map_err(StoreError::read)?;
            let place = format!("{}, set aside", self.event(at.value()));
            match read_event(row.value().1, &self.keyring) {
                Ok(_) => found.fault(&place, "can be read by now; the next start applies it"),
                Err(error) => found.unreadable(&place, error),
            }
        }
        Ok(())
    }
}

/// Whether two records are of the same key in the same state. When it was created counts from its first event, which the
/// log need not have any more.
pub(super) fn same_key(stored: &Credential, folded: &Credential) -> bool {
    let described = |key: &Credential| (key.principal.clone(), key.status, key.not_after);
    same_secret(stored, folded) && described(stored) == described(folded)
}
