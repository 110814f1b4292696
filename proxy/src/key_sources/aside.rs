//! Work that may never end, as reading a mount whose server is gone: on a thread of its own, for which neither whoever
//! waits nor the end of the process waits for longer than it wants to.

use std::thread;
use std::time::Duration;

use tokio::sync::oneshot;

/// One piece of such work at a time.
pub(super) struct Aside {
    patience: Duration,
    /// Answers, or fails, once the thread that was waited for in vain has ended.
    busy: Option<oneshot::Receiver<()>>,
}

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
        Self { patience, busy: None }
    }

    /// What comes of `work`. It is not begun as long as earlier work goes on that was given up, whose result nobody gets.
    pub(super) async fn run<T: Send + 'static>(
        &mut self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Unfinished> {
        let late = || Unfinished::Late(self.patience);
        let deadline = tokio::time::Instant::now() + self.patience;
        if let Some(busy) = &mut self.busy {
            // Fails when the thread has ended: that is what is waited for.
            let _ = tokio::time::timeout_at(deadline, busy).await.map_err(|_| late())?;
        }
        let (ends, busy) = oneshot::channel();
        self.busy = Some(busy);
        let (reply, result) = oneshot::channel();
        let thread = thread::Builder::new().name("sigward-aside".to_owned()).spawn(move || {
            let _ends: oneshot::Sender<()> = ends;
            // Nobody waits for it any more: fine.
            let _ = reply.send(work());
        });
        thread.map_err(|error| Unfinished::Failed(error.to_string()))?;
        let result = tokio::time::timeout_at(deadline, result).await.map_err(|_| late())?;
        result.map_err(|_| Unfinished::Failed("a defect ended it".to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::{Arc, mpsc};

    use super::*;

    #[tokio::test]
    async fn work_that_does_not_end_is_given_up_and_nothing_is_piled_on_top_of_it() {
        let mut aside = Aside::new(Duration::from_millis(20));
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
        let mut patient = Aside { patience: Duration::from_secs(60), ..aside };
        assert_eq!(
            patient.run(counted(&begun)).await.unwrap(),
            1,
            "its own result, not that of what was given up"
        );
        assert!(matches!(patient.run(|| panic!("expected")).await, Err::<(), _>(Unfinished::Failed(_))));
        assert_eq!(patient.run(|| 7).await.unwrap(), 7);
    }
}
