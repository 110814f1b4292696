//! How a listener learns that the process is about to leave.
//!
//! First answers say `Connection: close`, while everyone is still welcome: clients move on in their own time. Then
//! nothing more is accepted, and who is idle is sent away a moment later: a request that was already on its way to an
//! idle connection is still answered.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::time::Duration;

use tokio::sync::watch;

/// How long an idle connection is kept once nothing is accepted any more: longer than a request is on its way.
const MOMENT: Duration = Duration::from_millis(250);

/// Whoever decides. Dropped, it has decided for the end.
#[derive(Debug)]
pub struct DrainSwitch {
    leaving: Arc<AtomicBool>,
    draining: watch::Sender<bool>,
}

/// Whoever obeys; clones share it.
#[derive(Clone, Debug)]
pub struct Drain {
    // Read on every answer: unlike the channel it writes to no memory that workers share.
    leaving: Arc<AtomicBool>,
    draining: watch::Receiver<bool>,
}

impl DrainSwitch {
    /// A switch, and what hangs on it.
    pub fn new() -> (Self, Drain) {
        let leaving = Arc::new(AtomicBool::new(false));
        let (sender, receiver) = watch::channel(false);
        (Self { leaving: Arc::clone(&leaving), draining: sender }, Drain { leaving, draining: receiver })
    }

    /// Every answer from now on is the last one of its connection.
    pub fn leave(&self) {
        self.leaving.store(true, Ordering::Relaxed);
    }

    /// Nothing is accepted from now on.
    pub fn drain(&self) {
        self.leave();
        self.draining.send_replace(true);
    }
}

impl Drop for DrainSwitch {
    fn drop(&mut self) {
        self.leave();
    }
}

impl Drain {
    /// Whether answers are the last ones of their connections.
    pub(super) fn leaving(&self) -> bool {
        self.leaving.load(Ordering::Relaxed)
    }

    /// Completes once nothing is accepted any more.
    pub(super) async fn begun(&mut self) {
        // A dropped switch means that the server itself is gone.
        drop(self.draining.wait_for(|draining| *draining).await);
    }

    /// Completes a moment later, when whoever is idle has to go. To be polled by one task only.
    pub(super) async fn due(&mut self) {
        self.begun_once().await;
        self.leaving.store(true, Ordering::Relaxed);
        tokio::time::sleep(MOMENT).await;
    }

    /// As [`begun`](Self::begun), for one task, which may poll it as often as it likes: the channel is asked once, so that
    /// it knows whom to wake, and then only after the flag says that something has happened.
    async fn begun_once(&mut self) {
        let leaving = Arc::clone(&self.leaving);
        let mut begun = pin!(self.begun());
        let mut known = false;
        poll_fn(|context| {
            if known && !leaving.load(Ordering::Relaxed) {
                return Poll::Pending;
            }
            known = true;
            begun.as_mut().poll(context)
        })
        .await;
    }
}
