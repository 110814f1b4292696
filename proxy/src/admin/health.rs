//! Whether the process should get requests: `/livez` and `/readyz`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use http::StatusCode;

use super::answer::{self, Answer};

/// The readiness of the process; clones share it. It only ever moves forward: what drains is never ready again.
#[derive(Clone, Debug, Default)]
pub struct Readiness(Arc<AtomicU8>);

/// Where the process is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Parts are being built: no requests yet.
    Starting,
    /// Requests are welcome.
    Ready,
    /// Requests in flight are being finished: no new ones.
    Draining,
}

impl Phase {
    const ALL: [Self; 3] = [Self::Starting, Self::Ready, Self::Draining];

    /// The phase in one word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Ready => "ready",
            Self::Draining => "draining",
        }
    }
}

impl Readiness {
    /// A process that is starting.
    pub fn starting() -> Self {
        Self::default()
    }

    /// Moves forward to `phase`; never back.
    pub fn advance(&self, phase: Phase) {
        self.0.fetch_max(phase as u8, Ordering::SeqCst);
    }

    /// Where the process is now.
    pub fn phase(&self) -> Phase {
        let reached = self.0.load(Ordering::SeqCst);
        Phase::ALL.into_iter().find(|phase| *phase as u8 == reached).unwrap_or(Phase::Draining)
    }
}

/// `/livez`: the process answers. It says nothing about anything outside of it, so that a broken neighbour never
/// gets this process killed.
pub(super) fn livez() -> Answer {
    answer::json(StatusCode::OK, &serde_json::json!({ "status": "live" }))
}

/// `/readyz`: 503 with the reason unless requests are welcome.
pub(super) fn readyz(readiness: &Readiness) -> Answer {
    let phase = readiness.phase();
    let status = match phase {
        Phase::Ready => StatusCode::OK,
        Phase::Starting | Phase::Draining => StatusCode::SERVICE_UNAVAILABLE,
    };
    answer::json(status, &serde_json::json!({ "status": phase.as_str() }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readiness_never_moves_back() {
        let readiness = Readiness::starting();
        assert_eq!(readiness.phase(), Phase::Starting);
        assert_eq!(readyz(&readiness).status(), StatusCode::SERVICE_UNAVAILABLE);
        readiness.advance(Phase::Ready);
        assert_eq!(readyz(&readiness).status(), StatusCode::OK);
        readiness.advance(Phase::Draining);
        readiness.advance(Phase::Ready);
        assert_eq!(readiness.phase(), Phase::Draining);
        assert_eq!(readyz(&readiness).status(), StatusCode::SERVICE_UNAVAILABLE);
    }
}
