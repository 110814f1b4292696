//! What becomes of a request body, said beside the body to whoever waits for the backend.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use sigv4::PayloadError;
use tokio::sync::SetOnce;
use tokio::time::Instant;

/// What became of a request body, readable while the backend still talks.
#[derive(Clone, Debug)]
pub(super) struct Verdict(Arc<Progress>);

#[derive(Debug)]
struct Progress {
    start: Instant,
    /// Milliseconds from `start` to the last frame.
    last_frame: AtomicU64,
    /// Bytes received from the client.
    received: AtomicU64,
    /// Whether the last read found nothing.
    waiting: AtomicBool,
    outcome: SetOnce<Outcome>,
}

/// How a body ended.
#[derive(Debug)]
pub(super) enum Outcome {
    Proved,
    Refused(PayloadError),
    /// It is longer than it may be.
    TooLarge {
        most: u64,
    },
    ClientGone,
    /// Nobody read it to its end.
    Abandoned,
}

impl Verdict {
    /// Nothing has come yet.
    pub(super) fn new() -> Self {
        Self(Arc::new(Progress {
            start: Instant::now(),
            last_frame: 0.into(),
            received: 0.into(),
            waiting: false.into(),
            outcome: SetOnce::new(),
        }))
    }

    /// What was wrong with the body, if anything.
    pub(super) fn refused(&self) -> Option<&PayloadError> {
        match self.0.outcome.get() {
            Some(Outcome::Refused(error)) => Some(error),
            Some(Outcome::Proved | Outcome::TooLarge { .. } | Outcome::ClientGone | Outcome::Abandoned)
            | None => None,
        }
    }

    /// The most that the body may have, if it has more.
    pub(super) fn too_large(&self) -> Option<u64> {
        match self.0.outcome.get() {
            Some(Outcome::TooLarge { most }) => Some(*most),
            Some(_) | None => None,
        }
    }

    /// Whether the body ended without its proof: it was refused, or the client went away.
    pub(super) fn failed(&self) -> bool {
        matches!(
            self.0.outcome.get(),
            Some(Outcome::Refused(_) | Outcome::TooLarge { .. } | Outcome::ClientGone)
        )
    }

    /// Whether the body is over, one way or another.
    pub(super) fn is_settled(&self) -> bool {
        self.0.outcome.get().is_some()
    }

    /// Waits for the end of the body; whether all of it has been proved.
    pub(super) async fn proved(&self) -> bool {
        matches!(self.0.outcome.wait().await, Outcome::Proved)
    }

    /// Whether the next move is the client's, as the body has just found.
    pub(super) fn wait_for_client(&self, waiting: bool) {
        self.0.waiting.store(waiting, Ordering::Relaxed);
    }

    /// Whether the next move is the client's.
    pub(super) fn waiting_for_client(&self) -> bool {
        self.0.waiting.load(Ordering::Relaxed)
    }

    /// When the last piece of the body came, or when the body began.
    pub(super) fn last_activity(&self) -> Instant {
        let millis = self.0.last_frame.load(Ordering::Relaxed);
        self.0.start + Duration::from_millis(millis)
    }

    /// Bytes received from the client, framing included.
    pub(super) fn received(&self) -> u64 {
        self.0.received.load(Ordering::Relaxed)
    }

    /// So many bytes have come.
    pub(super) fn saw(&self, bytes: usize) {
        let since = u64::try_from(self.0.start.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.0.last_frame.store(since, Ordering::Relaxed);
        self.0.received.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// The body is over. The first outcome stands: nothing that happens after it can prove or disprove the body.
    pub(super) fn settle(&self, outcome: Outcome) {
        if !self.is_settled() {
            self.saw(0);
            drop(self.0.outcome.set(outcome));
        }
    }
}
