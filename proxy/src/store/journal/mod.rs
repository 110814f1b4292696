//! A log for people: what it holds, whether that is sound, and how it is carried elsewhere.
//!
//! [`EventLog`] is the seam that both logs stand behind, the embedded one and the one that gateways share: how far it
//! reaches, the state it comes to, and its events in their order. The verbs are made of that:
//!
//! - `tail`: events as they come, as CloudEvents.
//! - `snapshot`: the state at one position.
//! - `verify`: what is wrong with a log; `stream` with one in JetStream, `fold` is what events come to.
//! - `export` and `import`: a log as a file, and back.
//!
//! Each writes lines of JSON to a [`Lines`], whoever reads them: a terminal, a file, or somebody at the admin listener.

mod archive;
mod export;
mod file;
mod fold;
mod import;
mod lines;
mod snapshot;
mod stream;
mod tail;
mod verify;

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use self::file::File;
pub use self::import::{ImportError, Imported};
pub use self::lines::Lines;
pub(crate) use self::snapshot::Snapshot;
pub use self::tail::{Since, TailOptions};
use super::tables::{EVENTS, META_APPLIED, META_LOG, META_LOGS, META_SINCE, meta, place, seq_of};
use super::{Store, StoreError};
use crate::clock::Clock;
use crate::events::Keyring;
use crate::feed::{self, Feed};

/// Events read at once.
const BATCH: usize = 1_024;

/// A log that can be looked at. Looking changes nothing; clones share it.
#[derive(Clone)]
pub struct EventLog {
    place: Place,
    keyring: Keyring,
    clock: Clock,
}

/// Where the log is.
#[derive(Clone)]
enum Place {
    /// In a file that no gateway has open, for as long as it is looked at.
    File(Arc<File>),
    /// In this gateway: its own log, or its view of a shared one.
    Gateway(Store),
    /// In JetStream.
    Shared(Feed),
}

/// How far a log reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// Which shared log the numbers are of; 0: the log is a gateway's own.
    pub identity: u64,
    /// First sequence number that is still there; one more than `last` if there is none.
    pub first: u64,
    /// Last sequence number; 0: none yet.
    pub last: u64,
}

/// One event where a log has it.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    /// Its place in the log.
    pub(crate) seq: u64,
    /// The event, its secret sealed.
    pub(crate) row: Vec<u8>,
}

/// The events of a log in their order, from one place on.
pub(crate) struct Tail {
    source: Source,
    after: u64,
}

enum Source {
    Rows(EventLog),
    Messages(Box<feed::Tail>),
}

impl EventLog {
    /// The embedded log in a file that no gateway has open. While this lives none can open it.
    ///
    /// # Errors
    /// [`StoreError::Held`] if one has; [`StoreError::SharedLog`] if the file is the view of another log.
    pub fn file(path: &Path, keyring: Keyring, clock: Clock) -> Result<Self, StoreError> {
        Ok(Self { place: Place::File(Arc::new(File::open(path)?)), keyring, clock })
    }

    /// The log in JetStream, whoever else uses it.
    pub fn shared(feed: Feed, keyring: Keyring, clock: Clock) -> Self {
        Self { place: Place::Shared(feed), keyring, clock }
    }

    /// What a running gateway has of the log: all of it, or what its view of a shared one keeps.
    pub fn of_gateway(store: &Store) -> Self {
        let (keyring, clock) = (store.0.keyring.clone(), store.state().clock.clone());
        Self { place: Place::Gateway(store.clone()), keyring, clock }
    }

    /// How far the log reaches now.
    pub async fn head(&self) -> Result<Head, StoreError> {
        if let Place::Shared(feed) = &self.place {
            let feed::Bounds { identity, first, last, whole: _ } = feed.bounds().await?;
            return Ok(Head { identity, first, last });
        }
        self.read(|txn| head_of(&txn).map_err(StoreError::read)).await
    }

    /// The state that the log comes to, at one position. Of a log in JetStream all of it is read first.
    pub(crate) async fn snapshot(&self) -> Result<Snapshot, StoreError> {
        match &self.place {
            Place::Shared(feed) => Snapshot::of_shared(feed, &self.keyring, &self.clock).await,
            Place::File(_) | Place::Gateway(_) => {
                let log = self.clone();
                self.read(move |txn| Snapshot::new(txn, log)).await
            }
        }
    }

    /// Its events after `after`.
    pub(crate) async fn tail(&self, after: u64) -> Result<Tail, StoreError> {
        let source = match &self.place {
            Place::Shared(feed) => Source::Messages(Box::new(feed.tail(after.saturating_add(1)).await?)),
            Place::File(_) | Place::Gateway(_) => Source::Rows(self.clone()),
        };
        Ok(Tail { source, after })
    }

    /// The kind of log, in a word.
    fn kind(head: Head) -> &'static str {
        if head.identity == 0 { "embedded" } else { "jetstream" }
    }

    /// Reads in a transaction of its own, where waiting for the disk holds nobody up.
    async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(redb::ReadTransaction) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let log = self.clone();
        let read = move || read(log.begin_read()?);
        tokio::task::spawn_blocking(read).await.map_err(|_| StoreError::Closed)?
    }

    fn begin_read(&self) -> Result<redb::ReadTransaction, StoreError> {
        let begin = |db: &redb::Database| redb::ReadableDatabase::begin_read(db).map_err(StoreError::read);
        match &self.place {
            Place::File(file) => file.begin_read().map_err(StoreError::read),
            Place::Gateway(store) => store.state().with_db(begin),
            Place::Shared(_) => Err(StoreError::Closed),
        }
    }
}

impl Tail {
    /// The next events, all that are there, up to a thousand: at least one, unless `patience` runs out. `None`: no more
    /// can come.
    pub(crate) async fn next(&mut self, patience: Duration) -> Result<Option<Vec<Entry>>, StoreError> {
        let entries = match &mut self.source {
            Source::Messages(tail) => tail.next(patience).await?.into_iter().map(Entry::from).collect(),
            Source::Rows(log) => {
                let after = self.after;
                let mut entries = log.read(move |txn| rows(&txn, after)).await?;
                if entries.is_empty() {
                    let Place::Gateway(store) = &log.place else { return Ok(None) };
                    store.moved_beyond(after, patience).await?;
                    entries = log.read(move |txn| rows(&txn, after)).await?;
                }
                entries
            }
        };
        self.after = entries.last().map_or(self.after, |last: &Entry| last.seq);
        Ok(Some(entries))
    }
}

impl From<feed::Delivered> for Entry {
    fn from(message: feed::Delivered) -> Self {
        Self { seq: message.seq, row: message.body.to_vec() }
    }
}

impl Store {
    /// Waits until the position is beyond `seq`, at most `patience`.
    async fn moved_beyond(&self, seq: u64, patience: Duration) -> Result<(), StoreError> {
        let mut moved = self.state().moved.subscribe();
        match tokio::time::timeout(patience, moved.wait_for(|position| *position > seq)).await {
            Ok(Err(_)) => Err(StoreError::Closed),
            Ok(Ok(_)) | Err(_) => Ok(()),
        }
    }
}

fn head_of(txn: &redb::ReadTransaction) -> Result<Head, redb::Error> {
    let (identity, last, events) = (meta(txn, META_LOG)?, meta(txn, META_APPLIED)?, txn.open_table(EVENTS)?);
    let mut first = last + 1;
    for logs in readings(txn)? {
        if let Some(row) = events.range(place(logs, 0)..=place(logs, last))?.next() {
            first = first.min(seq_of(row?.0.value()));
        }
    }
    Ok(Head { identity, first, last })
}

/// What places in the file are of the log, whether it was read once or, from its beginning, several times. Those before
/// are of logs whose place it took.
fn readings(txn: &redb::ReadTransaction) -> Result<RangeInclusive<u64>, redb::Error> {
    let (since, logs) = (meta(txn, META_SINCE)?, meta(txn, META_LOGS)?);
    Ok(if since == 0 { logs } else { since }..=logs)
}

/// The next events. What was read again and has not changed stands where it did when it was read first.
fn rows(txn: &redb::ReadTransaction, after: u64) -> Result<Vec<Entry>, StoreError> {
    let read = || {
        let (events, last, mut rows) = (txn.open_table(EVENTS)?, meta(txn, META_APPLIED)?, BTreeMap::new());
        if after >= last {
            return Ok(Vec::new());
        }
        for logs in readings(txn)? {
            for row in events.range(place(logs, after + 1)..=place(logs, last))?.take(BATCH) {
                let (at, row) = row?;
                rows.insert(seq_of(at.value()), row.value().to_vec());
            }
        }
        Ok(rows.into_iter().take(BATCH).map(|(seq, row)| Entry { seq, row }).collect())
    };
    read().map_err(|error: redb::Error| StoreError::read(error))
}
