//! The credential store: a view of the event log with one writer, a cache in front, and the revocation
//! index beside it.
//!
//! - `writer` is the one thread that writes: it batches what waits, `apply` changes log and view in one transaction,
//!   and once that is on disk memory follows: revocation index, then cache, then position, then the answer.
//! - `changes` tells which event about a long-term key is the last.
//! - `cache` holds unsealed [`Record`]s; a miss is one read of the `view` per key, whatever the concurrency.
//! - `sealed` makes session tokens, and records out of those that were made where this log does not reach.
//! - `revocations` is consulted on every request and does not depend on the cache in any way.
//! - `issued` finds sessions in the log; `known` tells whether an event agrees with what the view knows.
//! - `journal` is for people: it shows a log, checks it, and carries it elsewhere.
//! - `ending` dates revocations, says whom they reach, and ends the sessions of entities that are gone.
//! - `shared` makes the file the view of a log that several gateways have in common.
//! - `database` opens the file after any crash, `migrate` one of an older layout; `compaction` drops what no request can need any more.
//!
//! When writing fails, nothing more is accepted until a restart; what is known goes on being served.

mod apply;
mod cache;
mod changes;
mod compaction;
mod database;
mod error;
#[cfg(test)]
mod fixtures;
mod ending;
mod issued;
mod journal;
mod known;
mod metrics;
mod migrate;
mod reconcile;
mod record;
mod revocations;
mod sealed;
mod shared;
mod tables;
mod threads;
#[cfg(test)]
mod tests;
mod view;
mod writer;

use std::path::PathBuf;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};

use tokio::sync::{Semaphore, mpsc, oneshot, watch};

use self::apply::Effects;
use self::cache::Cache;
use self::database::Loaded;
use self::metrics::StoreMetrics;
use self::reconcile::Known;
use self::revocations::Revocations;
use self::shared::Shared;
use self::threads::Threads;
use self::writer::{Append, Command, Writer};
use crate::audit::{Audit, Record as AuditRecord};
use crate::clock::Clock;
use crate::events::{Event, EventData, Keyring, Receipt};
use crate::feed::Feed;
use crate::iam::{AccessKeyId, Credential, KeyStatus};
use crate::metrics::Metrics;

pub use self::compaction::Compacted;
pub use self::error::{Conflict, Foreign, StoreError};
pub use self::journal::{EventLog, Head, ImportError, Imported, Lines, Since, TailOptions};
pub use self::reconcile::{Declaration, DeclaredKey, KeyConflict, Reconciled};
pub use self::record::{Headers, Record};
pub use self::revocations::RevokedBy;
pub use self::sealed::UnsealError;
pub use self::shared::{NotReady, Reached, Staleness, WaitFor};
pub use self::view::{AccessKeySummary, SessionFilter, SessionSummary};

/// Threads that may wait for the database at the same time. More callers wait without a thread, so that a burst of
/// requests with one cold key does not start hundreds.
const CONCURRENT_READS: usize = 32;

/// Where the log lives and how much of it is cached.
#[derive(Clone, Debug)]
pub struct StoreOptions {
    /// The database file; its directory must exist.
    pub path: PathBuf,
    /// Upper bound of the cache in bytes.
    pub cache_bytes: u64,
    /// Whether session tokens carry their session, so that a store without its record can verify it. If not, tokens
    /// are opaque and only sessions of this log exist.
    pub sealed_tokens: bool,
    /// The log that the file is a view of; `None`: the file is the log.
    pub feed: Option<Feed>,
    /// Who is told of revocations and of what becomes of long-term keys.
    pub audit: Audit,
}

impl StoreOptions {
    /// A store that seals tokens and whose audit trail is in the log.
    pub fn new(path: PathBuf, cache_bytes: u64) -> Self {
        Self { path, cache_bytes, sealed_tokens: true, feed: None, audit: Audit::default() }
    }
}

/// Handle to the store; clones share it. When the last one is dropped, the threads end after what is queued.
#[derive(Clone)]
pub struct Store(Arc<Inner>);

struct Inner {
    state: Arc<State>,
    keyring: Keyring,
    sealed_tokens: bool,
    shared: Option<Shared>,
    audit: Audit,
    commands: mpsc::Sender<Command>,
    reads: Semaphore,
    reconciling: tokio::sync::Mutex<()>,
    threads: Mutex<Option<Threads>>,
}

/// What the writer changes and everybody reads.
struct State {
    /// Empty once the store is closed. Written only to close the file and to open it anew after a failed write.
    db: RwLock<Option<redb::Database>>,
    cache: Cache,
    revocations: Revocations,
    position: AtomicU64,
    /// Tells those who wait for events how far the position is.
    moved: watch::Sender<u64>,
    revision: AtomicU64,
    /// Which shared log the position is of; 0: none.
    log: AtomicU64,
    /// Which message of it was applied last; 0: that is not known.
    anchor: AtomicU64,
    newest: AtomicI64,
    /// Latest issue time of a session that came by its token and is not in the log.
    newest_unsealed: AtomicI64,
    /// The write that failed, if one did.
    failure: OnceLock<Arc<redb::Error>>,
    metrics: StoreMetrics,
    clock: Clock,
}

enum LoadError {
    Absent,
    Failed(StoreError),
}

impl Store {
    /// Opens or creates the log, seals long-term keys anew after a key rotation, loads the revocation index, and
    /// starts two threads: the writer, and one that tidies the cache and compacts the log every five minutes.
    ///
    /// Safe after a crash at any point: what was acknowledged is there, what was not is there as a whole or not at
    /// all. Fails when live credentials are sealed under a key that `keyring` lacks.
    pub fn open(
        options: &StoreOptions,
        keyring: Keyring,
        clock: Clock,
        metrics: &Metrics,
    ) -> Result<Self, StoreError> {
        let file = options.clone();
        Self::start(Box::new(move || database::open(&file)), options, keyring, (clock, metrics))
    }

    fn start(
        open: writer::Open,
        options: &StoreOptions,
        keyring: Keyring,
        (clock, metrics): (Clock, &Metrics),
    ) -> Result<Self, StoreError> {
        let db = open()?;
        let loaded = database::prepare(&db, &keyring, clock.now())?;
        if options.feed.is_none() && loaded.log != 0 {
            return Err(StoreError::SharedLog);
        }
        let shared = match options.feed.clone() {
            Some(feed) => Some(Shared::new(feed, database::past(&db, clock.now())?, metrics)),
            None => None,
        };
        let metrics = StoreMetrics::register(metrics);
        let state = Arc::new(State {
            db: RwLock::new(Some(db)),
            cache: Cache::new(options.cache_bytes, clock.clone()),
            revocations: Revocations::new(metrics.revocation_marks.clone()),
            position: AtomicU64::new(0),
            moved: watch::Sender::new(0),
            revision: AtomicU64::new(0),
            log: AtomicU64::new(0),
            anchor: AtomicU64::new(0),
            newest: AtomicI64::new(0),
            newest_unsealed: AtomicI64::new(0),
            failure: OnceLock::new(),
            metrics,
            clock,
        });
        state.revocations.raise(&loaded.marks);
        state.begin_at(&loaded);
        state.metrics.writable.set(1);
        let (commands, queue) = mpsc::channel(writer::QUEUE);
        let writer = Writer { open, keyring: keyring.clone(), state: Arc::clone(&state), commands: queue };
        let threads = Threads::start(writer, commands.downgrade())
            .map_err(|e| StoreError::File { path: options.path.clone(), source: Arc::new(e) })?;
        Ok(Self(Arc::new(Inner {
            state,
            keyring,
            sealed_tokens: options.sealed_tokens,
            shared,
            audit: options.audit.clone(),
            commands,
            reads: Semaphore::new(CONCURRENT_READS),
            reconciling: tokio::sync::Mutex::new(()),
            threads: Mutex::new(Some(threads)),
        })))
    }

    /// The record, if it is cached. Takes no lock and never waits.
    ///
    /// Inactive keys answer as if they did not exist. Expired and revoked sessions are returned: whether they may
    /// be used is the caller's question, by [`Credential::expired`] and [`revoked`](Self::revoked).
    pub fn cached(&self, access_key_id: &str) -> Option<Arc<Record>> {
        let record = self.state().cache.get(access_key_id)?;
        self.state().metrics.cache_hits.inc();
        usable(record)
    }

    /// The record from cache or view; one load per key whatever the concurrency. `None`: no such credential, or an
    /// inactive key. Absence is never remembered: a credential is found as soon as its event is applied.
    pub async fn load(&self, access_key_id: &str) -> Result<Option<Arc<Record>>, StoreError> {
        let Some(id) = AccessKeyId::parse(access_key_id) else { return Ok(None) };
        let Ok(_permit) = self.0.reads.acquire().await else { return Err(StoreError::Closed) };
        // Another caller may have loaded it while this one waited.
        if let Some(record) = self.state().cache.get(access_key_id) {
            return Ok(usable(record));
        }
        let store = self.clone();
        match self.block(move || store.load_blocking(&id)).await? {
            Ok(record) => Ok(usable(record)),
            Err(error) => match &*error {
                LoadError::Absent => Ok(None),
                LoadError::Failed(error) => Err(error.clone()),
            },
        }
    }

    fn load_blocking(&self, id: &AccessKeyId) -> Result<Arc<Record>, Arc<LoadError>> {
        let state = self.state();
        state.cache.get_or_load(id, || {
            state.metrics.cache_misses.inc();
            match state.with_db(|db| view::credential(db, &self.0.keyring, id)) {
                Ok(Some((credential, position))) => Ok(Record::read_at(credential, position)),
                Ok(None) => Err(LoadError::Absent),
                Err(error) => {
                    if let StoreError::Unreadable { .. } = error {
                        state.metrics.quarantined.inc();
                        tracing::error!(%error, "a stored credential cannot be read");
                    }
                    Err(LoadError::Failed(error))
                }
            }
        })
    }

    /// Appends events in order; returns once they are on disk, applied and visible to every later look-up, and
    /// recorded in the audit trail but for issuances, which whoever makes them records with what led to them.
    ///
    /// When an event is refused, those before it have been applied and those after it have not, but for issuances right
    /// behind it where the log is shared and refuses what this view would not have. Appending all of them again, once
    /// the cause is removed, is harmless. Waits while the writer is behind.
    pub async fn append(&self, events: Vec<Event>) -> Result<Vec<Receipt>, StoreError> {
        let records: Vec<_> = events.iter().map(recorded).collect();
        let receipts = match &self.0.shared {
            Some(shared) => self.append_shared(shared, events).await?,
            None => self.write(events, false).await?,
        };
        let fresh = records.into_iter().zip(&receipts).filter(|(_, receipt)| !receipt.duplicate);
        for (record, receipt) in fresh.filter_map(|(record, receipt)| Some((record?, receipt))) {
            // Too late to refuse: what happened is in force.
            if let Err(error) = self.audit().record(record).await {
                tracing::error!(%error, seq = receipt.seq, "an event is not in the audit trail");
            }
        }
        Ok(receipts)
    }

    /// Has the writer apply events: to log and view, or to the view alone.
    async fn write(&self, events: Vec<Event>, unlogged: bool) -> Result<Vec<Receipt>, StoreError> {
        let (reply, receipts) = oneshot::channel();
        let append = Command::Append(Append { events, unlogged, reply });
        self.0.commands.send(append).await.map_err(|_| StoreError::Closed)?;
        receipts.await.map_err(|_| StoreError::Closed)?
    }

    /// Where records of the audit trail go.
    pub fn audit(&self) -> &Audit {
        &self.0.audit
    }

    /// Whether the credential has been revoked. Consulted on every request, hit or miss; takes no lock.
    ///
    /// A session is refused when it was issued strictly before the mark of its own or its parent's access key id,
    /// its principal's ARN or unique id (or those of the user who got it for a federated one), its role, its role and
    /// session name, its account, its identity provider, or its source identity; and when it descends from one that a
    /// cascading mark reaches. A long-term key is reached by its own access key id only; one that is declared whatever
    /// the time of the mark.
    pub fn revoked(&self, credential: &Credential) -> Option<RevokedBy> {
        self.state().revocations.find(credential)
    }

    /// Sequence number of the last applied event, of the shared log if there is one.
    pub fn position(&self) -> u64 {
        self.state().position.load(Ordering::Acquire)
    }

    /// Whether events are accepted. Once a write has failed they no longer are, until the process is restarted.
    pub fn writable(&self) -> bool {
        self.state().failure.get().is_none()
    }

    /// Brings declared keys, and only those, to the declared state. `declared` are all places that declare any, the
    /// configuration first and then its sources in their order: keys of a place that is not among them are deleted.
    ///
    /// A key of a source whose id belongs to somebody else is left out and told. Fails without changing anything when that
    /// happens to a key of the configuration.
    pub async fn reconcile(&self, declared: &[Declaration]) -> Result<Reconciled, StoreError> {
        let _alone = self.0.reconciling.lock().await;
        let store = self.clone();
        let declared = declared.to_vec();
        let planned = move || {
            let known = store.state().with_db(|db| {
                let mut sessions = Vec::new();
                for key in declared.iter().flat_map(|place| place.keys.iter().flatten()) {
                    if view::is_session(db, &key.access_key_id).map_err(StoreError::read)? {
                        sessions.push(key.access_key_id.clone());
                    }
                }
                Ok(Known { keys: view::stored_access_keys(db, &store.0.keyring)?, sessions })
            })?;
            reconcile::plan(&known, &declared, store.state().clock.now())
        };
        let (events, mut done) = self.block(planned).await??;
        if !events.is_empty() {
            self.append(events).await?;
        }
        let revoked = |key: &AccessKeySummary| key.revoked.is_some() && Event::is_declaration(&key.source);
        let keys = self.access_keys().await?.into_iter();
        done.revoked = keys.filter(revoked).map(|key| key.access_key_id).collect();
        Ok(done)
    }

    /// Up to `limit` sessions that match, in the order of their access key ids, from the one after `after`.
    pub async fn sessions(
        &self,
        filter: SessionFilter,
        limit: usize,
        after: Option<AccessKeyId>,
    ) -> Result<Vec<SessionSummary>, StoreError> {
        let state = Arc::clone(&self.0.state);
        let wanted = view::Wanted { filter, limit, after, now: state.clock.now() };
        self.read(move |db| view::sessions(db, &state.revocations, &wanted)).await
    }

    /// All long-term keys, in the order of their ids.
    pub async fn access_keys(&self) -> Result<Vec<AccessKeySummary>, StoreError> {
        let state = Arc::clone(&self.0.state);
        self.read(move |db| view::access_keys(db, &state.revocations)).await
    }

    /// Up to `limit` events of the log after sequence number `after`. Pruned events are not among them.
    pub async fn events(&self, after: u64, limit: usize) -> Result<Vec<(u64, Event)>, StoreError> {
        let keyring = self.0.keyring.clone();
        self.read(move |db| view::events(db, &keyring, after, limit)).await
    }

    /// Drops expired sessions, their events, and revocations that can reach nothing any more. The store does so
    /// itself every five minutes.
    pub async fn compact(&self) -> Result<Compacted, StoreError> {
        let mut total = Compacted::default();
        loop {
            let (reply, answer) = oneshot::channel();
            self.0.commands.send(Command::Compact(reply)).await.map_err(|_| StoreError::Closed)?;
            total.add(answer.await.map_err(|_| StoreError::Closed)??);
            if !total.more {
                return Ok(total);
            }
        }
    }

    /// Waits until everything appended is on disk and closes the log. What is cached is still served; everything
    /// else fails with [`StoreError::Closed`].
    pub async fn close(&self) {
        // Fails only when the writer is gone already.
        let _ = self.0.commands.send(Command::Close).await;
        let threads = self.0.threads.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(threads) = threads {
            let _ = self.block(move || threads.join()).await;
        }
        // A look-up may hold the file for the time of a read.
        let state = Arc::clone(&self.0.state);
        let _ = self.block(move || state.replace_db(|| None)).await;
        self.audit().flush().await;
    }

    fn state(&self) -> &State {
        &self.0.state
    }

    async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&redb::Database) -> Result<T, redb::Error> + Send + 'static,
    ) -> Result<T, StoreError> {
        let state = Arc::clone(&self.0.state);
        self.block(move || state.with_db(|db| read(db).map_err(StoreError::read))).await?
    }

    /// Runs what waits for the disk where waiting holds nobody up. Fails when the runtime is shutting down.
    async fn block<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, StoreError> {
        tokio::task::spawn_blocking(work).await.map_err(|_| StoreError::Closed)
    }
}

impl State {
    fn with_db<T>(
        &self,
        work: impl FnOnce(&redb::Database) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        match &*self.db.read().unwrap_or_else(PoisonError::into_inner) {
            Some(db) => work(db),
            None => Err(self.failure.get().map_or(StoreError::Closed, |e| StoreError::Failed(Arc::clone(e)))),
        }
    }

    /// Waits for those who use the database, closes it, and puts in its place what `open` gives.
    fn replace_db(&self, open: impl FnOnce() -> Option<redb::Database>) {
        let mut db = self.db.write().unwrap_or_else(PoisonError::into_inner);
        // Closed first: the file is locked while it is open.
        drop(db.take());
        *db = open();
    }

    fn advance(&self, effects: &Effects) {
        self.newest.fetch_max(effects.newest.0, Ordering::AcqRel);
        self.revision.store(effects.revision, Ordering::Release);
        self.anchor.store(effects.anchor, Ordering::Release);
        self.stand_at(effects.position);
    }

    fn begin_at(&self, loaded: &Loaded) {
        self.newest.fetch_max(loaded.newest.0, Ordering::AcqRel);
        self.revision.store(loaded.revision, Ordering::Release);
        self.log.store(loaded.log, Ordering::Release);
        self.anchor.store(loaded.anchor, Ordering::Release);
        self.stand_at(loaded.position);
    }

    /// Another shared log is followed from now on, from its beginning.
    fn rewind(&self, log: u64) {
        self.anchor.store(0, Ordering::Release);
        self.log.store(log, Ordering::Release);
        self.stand_at(0);
    }

    fn stand_at(&self, position: u64) {
        self.position.store(position, Ordering::Release);
        self.moved.send_replace(position);
        self.metrics.position.set(i64::try_from(position).unwrap_or(i64::MAX));
    }

    /// Which shared log the position is of; 0: none.
    fn log(&self) -> u64 {
        self.log.load(Ordering::Acquire)
    }
}

/// What the audit trail says of an event, unless whoever made it says more.
fn recorded(event: &Event) -> Option<AuditRecord> {
    match event.data {
        EventData::CredentialIssued(_) => None,
        EventData::AccessKeyCreated(_)
        | EventData::AccessKeyStatus { .. }
        | EventData::AccessKeyDeleted { .. }
        | EventData::SessionRevoked { .. } => Some(AuditRecord::of_event(event)),
    }
}

fn usable(record: Arc<Record>) -> Option<Arc<Record>> {
    match record.credential().status {
        KeyStatus::Active => Some(record),
        KeyStatus::Inactive => None,
    }
}
