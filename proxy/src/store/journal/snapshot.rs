//! `snapshot`: the state that a log comes to, at one position.

use std::ops::RangeInclusive;

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::runtime::Handle;

use redb::ReadableTable;

use super::super::metrics::StoreMetrics;
use super::super::revocations::{Mark, Revocations};
use super::super::tables::{ACCESS_KEYS, EVENTS, ISSUED, REVOCATIONS, seq_of};
use super::lines::{Sink, Stopped};
use super::{EventLog, Head, Lines, Store, StoreError, head_of, readings};
use crate::clock::{Clock, UnixMillis};
use crate::events::{CredentialHeader, EventData, Keyring, cloudevents, read_header, read_issuance};
use crate::feed::Feed;
use crate::iam::Credential;
use crate::metrics::Metrics;
use crate::store::StoreOptions;

/// Bytes that the cache of a view may take which nobody asks for credentials.
const NO_CACHE: u64 = 1 << 16;

/// The state of a log at one position, whatever comes after it.
pub(crate) struct Snapshot {
    pub(super) txn: redb::ReadTransaction,
    pub(super) head: Head,
    /// What places in the file are of the log.
    pub(super) readings: RangeInclusive<u64>,
    pub(super) now: UnixMillis,
    pub(super) keyring: Keyring,
    /// What the transaction reads from.
    _kept: Kept,
}

#[expect(dead_code, reason = "they are kept, so that what is read stays open")]
enum Kept {
    Log(EventLog),
    /// A view of a shared log that was made for this, and goes with it.
    View(Store, TempDir),
}

impl Snapshot {
    pub(super) fn new(txn: redb::ReadTransaction, log: EventLog) -> Result<Self, StoreError> {
        let (now, keyring) = (log.clock.now(), log.keyring.clone());
        Self::of(txn, (now, keyring), Kept::Log(log))
    }

    /// Of a log in JetStream: by a view of its own, that no gateway has and that says nothing to anybody.
    pub(super) async fn of_shared(feed: &Feed, keyring: &Keyring, clock: &Clock) -> Result<Self, StoreError> {
        let (store, directory) = view(feed, keyring, clock)?;
        store.catch_up().await?;
        let begin = |db: &redb::Database| redb::ReadableDatabase::begin_read(db).map_err(StoreError::read);
        let txn = store.state().with_db(begin)?;
        Self::of(txn, (clock.now(), keyring.clone()), Kept::View(store, directory))
    }

    fn of(
        txn: redb::ReadTransaction,
        (now, keyring): (UnixMillis, Keyring),
        kept: Kept,
    ) -> Result<Self, StoreError> {
        let head = head_of(&txn).map_err(StoreError::read)?;
        let readings = readings(&txn).map_err(StoreError::read)?;
        Ok(Self { txn, head, readings, now, keyring, _kept: kept })
    }

    /// All marks, in the order of their keys.
    pub(super) fn marks(&self) -> Result<Vec<Mark>, StoreError> {
        let marks = || {
            let mut marks = Vec::new();
            for row in self.txn.open_table(REVOCATIONS)?.iter()? {
                let (key, before) = row?;
                marks.push((key.value().to_owned(), UnixMillis(before.value())));
            }
            Ok::<_, redb::Error>(marks)
        };
        let parse = |(key, before): (String, UnixMillis)| {
            Mark::parse(&key, before).ok_or(StoreError::UnknownRevocation { key })
        };
        marks().map_err(StoreError::read)?.into_iter().map(parse).collect()
    }

    fn write(&self, sink: &mut Sink) -> Result<(), Stopped> {
        let position = self.head.last;
        let first = json!({
            "position": position, "log": EventLog::kind(self.head), "taken_at": self.now.to_rfc3339(),
        });
        sink.line_blocking(&first.to_string())?;
        let marks = self.marks()?;
        let revocations = Revocations::new(StoreMetrics::register(&Metrics::new()).revocation_marks);
        revocations.raise(&marks);
        let sessions = self.sessions(&revocations, sink)?;
        let access_keys = self.access_keys(&revocations, sink)?;
        for mark in &marks {
            sink.line_blocking(&describe_mark(mark).to_string())?;
        }
        let last = json!({
            "position": position, "sessions": sessions, "access_keys": access_keys, "revocations": marks.len(),
        });
        sink.line_blocking(&last.to_string())
    }

    fn sessions(&self, revocations: &Revocations, sink: &mut Sink) -> Result<usize, Stopped> {
        let issued = self.txn.open_table(ISSUED).map_err(StoreError::read)?;
        let events = self.txn.open_table(EVENTS).map_err(StoreError::read)?;
        let mut count = 0;
        for entry in issued.iter().map_err(StoreError::read)? {
            let (_, at) = entry.map_err(StoreError::read)?;
            let Some(row) = events.get(at.value()).map_err(StoreError::read)? else { continue };
            let Ok(Some(issuance)) = read_issuance(row.value()) else { continue };
            let (source, _) = issuance.identity;
            let place = (seq_of(at.value()), &*source);
            count += self.describe(issuance.credential, revocations, place, sink)?;
        }
        Ok(count)
    }

    fn access_keys(&self, revocations: &Revocations, sink: &mut Sink) -> Result<usize, Stopped> {
        let rows = self.txn.open_table(ACCESS_KEYS).map_err(StoreError::read)?;
        let mut count = 0;
        for row in rows.iter().map_err(StoreError::read)? {
            let (id, row) = row.map_err(StoreError::read)?;
            let Ok(header) = read_header(id.value(), row.value()) else { continue };
            let (seq, source) = (seq_of(header.seq), header.source.clone());
            let Ok(credential) = CredentialHeader::into_credential(header) else { continue };
            count += self.describe(credential, revocations, (seq, &source), sink)?;
        }
        Ok(count)
    }

    /// Writes a credential that lives. Returns how many that were, one or none.
    fn describe(
        &self,
        credential: Credential,
        revocations: &Revocations,
        (seq, source): (u64, &str),
        sink: &mut Sink,
    ) -> Result<usize, Stopped> {
        if credential.expired(self.now) {
            return Ok(0);
        }
        let line = describe_credential(credential, revocations, (seq, source, self.now));
        sink.line_blocking(&line.to_string())?;
        Ok(1)
    }
}

impl EventLog {
    /// The state as JSON lines: first `{position, log, taken_at}`, then each live session, each long-term key and each
    /// revocation as `{kind, data, …}`, where `data` is what an event would say of it, and in the end the position and how
    /// many there were of each.
    pub fn snapshot_lines(&self) -> Lines {
        let (mut sink, lines) = Sink::new();
        let log = self.clone();
        tokio::spawn(async move {
            match log.snapshot().await {
                Ok(snapshot) => drop(tokio::task::spawn_blocking(move || {
                    let done = snapshot.write(&mut sink);
                    Handle::current().block_on(sink.end(done));
                })),
                Err(error) => sink.end(Err(error.into())).await,
            }
        });
        lines
    }
}

/// A store that is the view of a shared log and of nothing else, in a directory of its own.
pub(super) fn view(feed: &Feed, keyring: &Keyring, clock: &Clock) -> Result<(Store, TempDir), StoreError> {
    let directory = tempfile::tempdir().map_err(|error| StoreError::File {
        path: std::env::temp_dir(),
        source: std::sync::Arc::new(error),
    })?;
    let mut options = StoreOptions::new(directory.path().join("view.redb"), NO_CACHE);
    options.feed = Some(feed.clone());
    let store = Store::open(&options, keyring.clone(), clock.clone(), &Metrics::new())?;
    Ok((store, directory))
}

fn describe_credential(
    credential: Credential,
    revocations: &Revocations,
    (seq, source, now): (u64, &str, UnixMillis),
) -> Value {
    let revoked = revocations.find(&credential);
    let temporary = credential.session.is_some();
    let dormant = credential.dormant(now);
    let (kind, data) = if temporary {
        ("session", EventData::CredentialIssued(credential))
    } else {
        ("access_key", EventData::AccessKeyCreated(credential))
    };
    let mut line = json!({
        "kind": kind, "seq": seq, "source": source, "data": cloudevents::data_to_json(&data),
        "usable": revoked.is_none() && !dormant,
    });
    if let Some(revoked) = revoked {
        line["revoked_by"] = json!(revoked.as_str());
    }
    line
}

fn describe_mark(mark: &Mark) -> Value {
    let data = mark.scope().map(|scope| {
        cloudevents::data_to_json(&EventData::SessionRevoked {
            scope,
            cascade: mark.cascade,
            issued_before: mark.before,
            reason: None,
        })
    });
    json!({ "kind": "revocation", "data": data })
}
