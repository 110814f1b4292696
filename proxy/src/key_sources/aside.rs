//! Work that may never end, as reading a mount whose server is gone: on a thread of its own, for which neither whoever
//! waits nor the end of the process waits for longer than it wants to.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use tokio::sync::oneshot;

/// One piece of such work at a time; clones share it.
#[derive(Clone)]
pub(super) struct Aside {
    patience: Duration,
    /// Held by the thread, also by one that was waited for in vain.
    busy: Arc<tokio::sync::Mutex<()>>,
}

/// One [`Aside`] for each path: a mount that hangs holds one thread, however often it is followed anew.
#[derive(Default)]
pub(super) struct Asides(Mutex<BTreeMap<PathBuf, Aside>>);

/// Why there is no result.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unfinished {
    /// It has not ended in time, or what began before has not ended yet.
    #[error("no answer within {0:?}")]
    Late(Duration),
    /// There is no thread to be had, or it ended without a result.
    #[error("cannot be read: {0}")]
    Failed(String),
}

impl Aside {
    pub(super) fn new(patience: Duration) -> Self {
        Self { patience, busy: Arc::default() }
    }

    /// What comes of `work`. It is not begun as long as earlier work goes on that was given up, whose result nobody gets.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Unfinished> {
        let late = || Unfinished::Late(self.patience);
        let deadline = tokio::time::Instant::now() + self.patience;
        let alone = Arc::clone(&self.busy).lock_owned();
        let alone = tokio::time::timeout_at(deadline, alone).await.map_err(|_| late())?;
        let (reply, result) = oneshot::channel();
        let thread = thread::Builder::new().name("sigward-aside".to_owned()).spawn(move || {
            let _alone = alone;
            // Nobody waits for it any more: fine.
            let _ = reply.send(work());
        });
        thread.map_err(|error| Unfinished::Failed(error.to_string()))?;
        let result = tokio::time::timeout_at(deadline, result).await.map_err(|_| late())?;
        result.map_err(|_| Unfinished::Failed("a defect ended it".to_owned()))
    }

    /// Whether a clone or a thread is left.
    fn is_shared(&self) -> bool {
        Arc::strong_count(&self.busy) > 1
    }
}

impl Asides {
    /// What reads `path`: that of an earlier reader whose thread has not ended, if there is one.
    pub(super) fn of(&self, path: &Path, patience: Duration) -> Aside {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|_, aside| aside.is_shared());
        known.entry(path.to_owned()).or_insert_with(|| Aside::new(patience)).clone()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::{Arc, mpsc};

    use super::*;

    #[tokio::test]
    async fn work_that_does_not_end_is_given_up_and_nothing_is_piled_on_top_of_it() {
        let aside = Aside::new(Duration::from_millis(20));
        let (release, held) = mpsc::channel::<()>();
        let begun = Arc::new(AtomicUsize::new(0));
        let counted = |begun: &Arc<AtomicUsize>| {
            let begun = Arc::clone(begun);
            move || begun.fetch_add(1, Ordering::SeqCst)
        };
        let first = counted(&begun);
        let stuck = aside.run(move || (first(), held.recv().is_ok())).await;
        assert_eq!(stuck.unwrap_err().to_string(), "no answer within 20ms");
        for _ in 0..3 {
            assert!(matches!(aside.run(counted(&begun)).await, Err(Unfinished::Late(_))));
        }
        assert_eq!(begun.load(Ordering::SeqCst), 1);
        release.send(()).unwrap();
        let patient = Aside { patience: Duration::from_secs(60), ..aside };
        assert_eq!(
            patient.run(counted(&begun)).await.unwrap(),
            1,
            "its own result, not that of what was given up"
        );
        assert!(matches!(patient.run(|| panic!("expected")).await, Err::<(), _>(Unfinished::Failed(_))));
        assert_eq!(patient.run(|| 7).await.unwrap(), 7);
    }

    #[tokio::test]
    async fn a_path_has_one_thread_whoever_reads_it_and_is_forgotten_when_it_has_none() {
        let (asides, patience) = (Asides::default(), Duration::from_millis(20));
        let (hung, other) = (Path::new("/hung"), Path::new("/other"));
        let (release, held) = mpsc::channel::<()>();
        let stuck = asides.of(hung, patience).run(move || held.recv().is_ok()).await;
        assert!(matches!(stuck, Err(Unfinished::Late(_))));
        for _ in 0..6 {
            assert!(matches!(asides.of(hung, patience).run(|| ()).await, Err(Unfinished::Late(_))));
            assert!(asides.of(other, Duration::from_secs(60)).run(|| ()).await.is_ok());
        }
        release.send(()).unwrap();
        let known = || asides.0.lock().unwrap().keys().cloned().collect::<Vec<_>>();
        let forgotten = async {
            loop {
                let _used = asides.of(other, patience);
                if known() == [other] {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), forgotten).await.unwrap();
    }
}
