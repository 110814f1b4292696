//! The threads of the data plane: each has a runtime of its own, and what it serves never leaves it.
//!
//! No task is stolen by another thread, so nothing on the way of a request is handed from core to core. What they
//! share with the rest of the process (store, identities, metrics) takes calls from any runtime.

use std::io;
use std::time::Duration;

use tokio::runtime::Builder;
use tokio::sync::{mpsc, watch};

/// Running workers. Dropped, they end at once and cut what they serve.
#[derive(Debug)]
pub struct Workers {
    cut: watch::Sender<bool>,
    /// Ends when the last worker has.
    running: mpsc::Receiver<()>,
}

/// How work ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Ending {
    /// Nothing was left to do.
    Whole,
    /// Something was cut off at the deadline.
    Cut,
}

impl Workers {
    /// Starts one thread for each of `jobs`. A job is called within the runtime of its thread, and its future is run
    /// to its end there; it need not be `Send`.
    ///
    /// # Errors
    /// A runtime or a thread is not to be had. Those that run already end.
    pub fn start<J, F>(jobs: impl IntoIterator<Item = J>) -> io::Result<Self>
    where
        J: FnOnce() -> F + Send + 'static,
        F: Future<Output = ()>,
    {
        let (cut, cutting) = watch::channel(false);
        let (alive, running) = mpsc::channel(1);
        for (at, job) in jobs.into_iter().enumerate() {
            let runtime = Builder::new_current_thread().enable_all().build()?;
            let (mut cutting, alive) = (cutting.clone(), alive.clone());
            std::thread::Builder::new().name(format!("worker-{at}")).spawn(move || {
                runtime.block_on(async move {
                    tokio::select! {
                        () = async { job().await } => {}
                        // Without a sender nobody waits for this work any more.
                        _ = cutting.wait_for(|cut| *cut) => {}
                    }
                });
                // A look-up that still waits for the disk holds nobody up.
                runtime.shutdown_background();
                drop(alive);
            })?;
        }
        Ok(Self { cut, running })
    }

    /// Waits for all workers to end by themselves; cuts what is left at the deadline.
    pub async fn settle(mut self, deadline: Duration) -> Ending {
        if tokio::time::timeout(deadline, self.running.recv()).await.is_ok() {
            return Ending::Whole;
        }
        self.cut.send_replace(true);
        self.running.recv().await;
        Ending::Cut
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::rc::Rc;
    use std::sync::Arc;

    use tokio::sync::Semaphore;

    use super::*;

    #[tokio::test]
    async fn workers_end_whole_when_their_work_is_done() {
        let release = Arc::new(Semaphore::new(0));
        let job = |release: Arc<Semaphore>| {
            move || async move {
                // Nothing that must be Send.
                let local = Rc::new(Cell::new(1));
                release.acquire().await.unwrap().forget();
                assert_eq!(tokio::task::spawn_blocking(|| 2).await.unwrap(), local.get() + 1);
            }
        };
        let workers = Workers::start((0..3).map(|_| job(Arc::clone(&release)))).unwrap();
        release.add_permits(3);
        assert_eq!(workers.settle(Duration::from_secs(10)).await, Ending::Whole);
    }

    #[tokio::test]
    async fn what_is_not_done_at_the_deadline_is_cut() {
        let workers = Workers::start((0..2).map(|_| std::future::pending)).unwrap();
        assert_eq!(workers.settle(Duration::from_millis(1)).await, Ending::Cut);
    }
}
