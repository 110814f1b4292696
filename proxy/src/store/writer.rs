//! The projector: the one thread that writes. It commits whatever is waiting in one transaction, so that the cost of
//! an fsync is shared by all who wait for it.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use tokio::sync::{mpsc, oneshot};

use super::State;
use super::apply::{Batch, Effects, Rejection};
use super::compaction::{self, Compacted};
use super::database;
use super::error::StoreError;
use super::revocations::Mark;
use super::shared::{self, Delivery, Outcome, Taken, Unpacking};
use super::tables::begin_write;
use crate::events::{Event, Keyring, Receipt};

/// Calls that may wait; further callers wait before they are queued.
pub(super) const QUEUE: usize = 1024;

/// Events after which a batch takes no more calls.
const BATCH_EVENTS: usize = 4096;

pub(super) enum Command {
    Append(Append),
    /// Applies what the shared log says.
    Deliver(Delivery, oneshot::Sender<Result<Vec<(Outcome, u64)>, StoreError>>),
    /// Applies packs of the shared log as they come: other commands wait meanwhile.
    Unpack(Unpacking, oneshot::Sender<Result<Taken, StoreError>>),
    /// Raises marks that another gateway holds.
    Raise(Vec<Mark>, oneshot::Sender<Result<(), StoreError>>),
    /// Applies what could not be read before and can be now.
    Retry(oneshot::Sender<Result<Vec<Outcome>, StoreError>>),
    /// Follows this shared log from now on, from its beginning, and itself up to some place, whatever is packed.
    Adopt((u64, u64), oneshot::Sender<Result<(), StoreError>>),
    /// This gateway knows as much as the shared log and its gateways.
    NoteInformed(oneshot::Sender<Result<(), StoreError>>),
    /// Drops one portion of what is no longer needed.
    Compact(oneshot::Sender<Result<Compacted, StoreError>>),
    /// Finishes what is queued, takes no more.
    Close,
}

pub(super) struct Append {
    pub(super) events: Vec<Event>,
    /// Whether they are this gateway's own affair and stand in no log.
    pub(super) unlogged: bool,
    pub(super) reply: oneshot::Sender<Result<Vec<Receipt>, StoreError>>,
}

/// Opens the database file.
pub(super) type Open = Box<dyn Fn() -> Result<redb::Database, StoreError> + Send>;

pub(super) struct Writer {
    pub(super) open: Open,
    pub(super) keyring: Keyring,
    pub(super) state: Arc<State>,
    pub(super) commands: mpsc::Receiver<Command>,
}

impl Writer {
    /// Works until the store is closed or its last handle is gone, and everything queued is done.
    pub(super) fn run(mut self) {
        while let Some(command) = self.commands.blocking_recv() {
            // Without a writer nothing is applied any more, which nobody must take for silence.
            if catch_unwind(AssertUnwindSafe(|| self.handle(command))).is_err() {
                let defect = io::Error::other("a defect ended a write");
                // What is beneath may be in no state to be closed.
                let _ = catch_unwind(AssertUnwindSafe(|| self.fail(redb::Error::Io(defect))));
            }
        }
    }

    fn handle(&mut self, command: Command) {
        let mut batch = Vec::new();
        let mut next = Some(command);
        let mut events = 0;
        while let Some(Command::Append(append)) = next {
            events += append.events.len();
            batch.push(append);
            next = (events < BATCH_EVENTS).then(|| self.commands.try_recv().ok()).flatten();
        }
        if !batch.is_empty() {
            self.commit(batch);
        }
        match next {
            // Nobody waits for the answer any more: fine.
            Some(Command::Deliver(delivery, reply)) => {
                drop(reply.send(self.change(|batch| delivery.apply(batch))))
            }
            Some(Command::Unpack(unpacking, reply)) => {
                drop(reply.send(self.change(|batch| unpacking.apply(batch))));
            }
            Some(Command::Raise(marks, reply)) => drop(reply.send(self.raise(&marks))),
            Some(Command::Retry(reply)) => {
                drop(reply.send(self.change(|batch| shared::retry(batch, &self.keyring))));
            }
            Some(Command::Adopt((log, unpacked), reply)) => drop(reply.send(self.adopt(log, unpacked))),
            Some(Command::NoteInformed(reply)) => drop(reply.send(self.note_informed())),
            Some(Command::Compact(reply)) => drop(reply.send(self.compact())),
            Some(Command::Close) => self.commands.close(),
            Some(Command::Append(_)) | None => {}
        }
    }

    /// Writes a batch, makes it visible, and only then answers.
    fn commit(&self, batch: Vec<Append>) {
        let started = Instant::now();
        let replies: Vec<_> = match self.write(&batch) {
            Ok(replies) => replies,
            Err(error) => batch.iter().map(|_| Err(error.clone())).collect(),
        };
        self.state.metrics.append_seconds.observe(started.elapsed().as_secs_f64());
        for (append, reply) in batch.into_iter().zip(replies) {
            let _ = append.reply.send(reply);
        }
    }

    fn write(&self, batch: &[Append]) -> Result<Vec<Result<Vec<Receipt>, StoreError>>, StoreError> {
        self.check_writable()?;
        let written = self.state.with_db(|db| Ok(self.transact(db, batch)))?;
        let (replies, effects) = written.map_err(|error| self.fail(error))?;
        if let Some(effects) = effects {
            self.publish(effects);
        }
        Ok(replies)
    }

    #[expect(clippy::type_complexity, reason = "one answer per call, and what the batch as a whole changed")]
    fn transact(
        &self,
        db: &redb::Database,
        batch: &[Append],
    ) -> Result<(Vec<Result<Vec<Receipt>, StoreError>>, Option<Effects>), redb::Error> {
        let txn = begin_write(db)?;
        let mut applied = Batch::begin(&txn, &self.keyring, self.state.clock.now())?;
        let mut replies = Vec::with_capacity(batch.len());
        for append in batch {
            let receipts = if append.unlogged {
                applied.append_unlogged(&append.events)
            } else {
                applied.append(&append.events)
            };
            match receipts {
                Ok(receipts) => replies.push(Ok(receipts)),
                Err(Rejection::Refused(error)) => replies.push(Err(error)),
                Err(Rejection::Storage(error)) => return Err(error),
            }
        }
        let effects = applied.finish()?;
        Ok((replies, settle(effects, txn)?))
    }

    fn raise(&self, marks: &[Mark]) -> Result<(), StoreError> {
        self.change(|batch| marks.iter().try_for_each(|mark| batch.raise_alone(mark.clone())))
    }

    /// One transaction of its own; what it changes is visible before this returns.
    fn change<T>(
        &self,
        work: impl FnOnce(&mut Batch<'_, '_>) -> Result<T, redb::Error>,
    ) -> Result<T, StoreError> {
        self.check_writable()?;
        let written = self.state.with_db(|db| {
            Ok((|| {
                let txn = begin_write(db)?;
                let mut batch = Batch::begin(&txn, &self.keyring, self.state.clock.now())?;
                let answer = work(&mut batch)?;
                let effects = batch.finish()?;
                Ok((answer, settle(effects, txn)?))
            })())
        })?;
        let (answer, effects) = written.map_err(|error| self.fail(error))?;
        if let Some(effects) = effects {
            self.publish(effects);
        }
        Ok(answer)
    }

    fn adopt(&self, log: u64, unpacked: u64) -> Result<(), StoreError> {
        self.check_writable()?;
        // A file that begins to count anew must not fall behind what the cache has seen.
        let revision = self.state.revision.load(Ordering::Acquire);
        let written = self.state.with_db(|db| Ok(database::adopt(db, (log, unpacked), revision)))?;
        written.map_err(|error| self.fail(error))?;
        self.state.rewind(log);
        Ok(())
    }

    fn note_informed(&self) -> Result<(), StoreError> {
        self.check_writable()?;
        let written = self.state.with_db(|db| Ok(database::note_informed(db)))?;
        written.map_err(|error| self.fail(error))
    }

    /// The order matters: once a caller sees the new position, it sees all that led to it.
    fn publish(&self, effects: Effects) {
        let state = &self.state;
        if !effects.marks.is_empty() {
            state.revocations.raise(&effects.marks);
        }
        for access_key_id in &effects.changed {
            state.cache.expel(access_key_id, effects.revision);
        }
        state.advance(&effects);
    }

    fn compact(&self) -> Result<Compacted, StoreError> {
        self.check_writable()?;
        let now = self.state.clock.now();
        let written = self.state.with_db(|db| Ok(compaction::run(db, now)))?;
        let (compacted, spent) = written.map_err(|error| self.fail(error))?;
        if !spent.is_empty() {
            self.state.revocations.drop_all(&spent);
        }
        Ok(compacted)
    }

    fn check_writable(&self) -> Result<(), StoreError> {
        match self.state.failure.get() {
            Some(error) => Err(StoreError::Failed(Arc::clone(error))),
            None => Ok(()),
        }
    }

    /// After a failed write nobody knows what of it is on disk, and writing on could build on pages that are not.
    /// So nothing more is written before a restart. Reading goes on, on the file opened anew, because the database
    /// refuses to read from one that it failed to write.
    fn fail(&self, error: redb::Error) -> StoreError {
        tracing::error!(%error, "the event log cannot be written; no event is accepted until a restart");
        let error = Arc::clone(self.state.failure.get_or_init(|| Arc::new(error)));
        self.state.metrics.writable.set(0);
        self.state.replace_db(|| {
            self.reopen()
                .inspect_err(
                    |error| tracing::error!(%error, "the store cannot be read; what is cached is served"),
                )
                .ok()
        });
        StoreError::Failed(error)
    }

    /// The failed transaction may have reached the disk after all: memory follows what is found there.
    fn reopen(&self) -> Result<redb::Database, StoreError> {
        let db = (self.open)()?;
        let loaded = database::load(&db)?;
        self.state.revocations.raise(&loaded.marks);
        self.state.cache.expel_all(loaded.revision);
        self.state.begin_at(&loaded);
        Ok(db)
    }
}

/// Commits what changed something.
pub(super) fn settle(
    effects: Option<Effects>,
    mut txn: redb::WriteTransaction,
) -> Result<Option<Effects>, redb::Error> {
    match &effects {
        Some(effects) => {
            if !effects.lasting {
                txn.set_durability(redb::Durability::None)?;
            }
            txn.commit()?;
        }
        None => txn.abort()?,
    }
    Ok(effects)
}
