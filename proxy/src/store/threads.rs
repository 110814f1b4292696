//! The store's two threads: the writer, and one that tidies the cache and has the log compacted.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use redb::ReadableDatabase;
use tokio::sync::{mpsc, oneshot};

use super::State;
use super::writer::{Command, Writer};

/// How often the cache is tidied up.
const MAINTENANCE: Duration = Duration::from_millis(100);

/// Maintenance rounds between two compactions: five minutes.
const COMPACTION_ROUNDS: u32 = 3_000;

pub(super) struct Threads {
    writer: JoinHandle<()>,
    maintenance: JoinHandle<()>,
    /// Dropped to end the maintenance thread.
    stop: Sender<()>,
}

impl Threads {
    pub(super) fn start(writer: Writer, commands: mpsc::WeakSender<Command>) -> std::io::Result<Self> {
        let state = Arc::clone(&writer.state);
        let (stop, stopped) = channel();
        let maintenance = thread::Builder::new()
            .name("sigward-cache".into())
            .spawn(move || maintain(&state, &commands, &stopped))?;
        let writer = thread::Builder::new().name("sigward-log".into()).spawn(move || writer.run())?;
        Ok(Self { writer, maintenance, stop })
    }

    pub(super) fn join(self) {
        drop(self.stop);
        for thread in [self.writer, self.maintenance] {
            if thread.join().is_err() {
                tracing::error!("a thread of the store panicked");
            }
        }
    }
}

/// Tidies the cache until the store is closed or its last handle is gone, and has the log compacted now and then.
fn maintain(state: &State, commands: &mpsc::WeakSender<Command>, stopped: &Receiver<()>) {
    let mut rounds = 0;
    while stopped.recv_timeout(MAINTENANCE) == Err(RecvTimeoutError::Timeout) {
        state.cache.maintain();
        state.metrics.cache_entries.set(i64::try_from(state.cache.len()).unwrap_or(i64::MAX));
        // None while the database is closed.
        let pages = state.with_db(|db| Ok(db.cache_stats().used_bytes())).unwrap_or_default();
        state.metrics.page_cache.set(i64::try_from(pages).unwrap_or(i64::MAX));
        rounds += 1;
        if rounds >= COMPACTION_ROUNDS {
            // With more to drop, the next portion is due in the next round.
            rounds = if compact_portion(commands) { rounds } else { 0 };
        }
    }
}

/// Whether there is more to drop.
fn compact_portion(commands: &mpsc::WeakSender<Command>) -> bool {
    let (reply, answer) = oneshot::channel();
    let Some(commands) = commands.upgrade() else { return false };
    if commands.blocking_send(Command::Compact(reply)).is_err() {
        return false;
    }
    drop(commands);
    matches!(answer.blocking_recv(), Ok(Ok(compacted)) if compacted.more)
}
