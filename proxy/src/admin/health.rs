//! Whether the process should get requests: `/livez` and `/readyz`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use http::StatusCode;

use super::answer::{self, Answer};
use crate::key_sources::KeySources;
use crate::store::Store;

/// The readiness of the process; clones share it. It begins as starting and only ever moves forward: what drains is
/// never ready again.
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

/// Why requests are not welcome.
pub(super) struct Unwelcome(String);

impl Readiness {
    /// Requests are welcome from now on, unless the process is draining already.
    pub fn set_ready(&self) {
        self.0.fetch_max(Phase::Ready as u8, Ordering::SeqCst);
    }

    /// No new requests from now on.
    pub fn set_draining(&self) {
        self.0.fetch_max(Phase::Draining as u8, Ordering::SeqCst);
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
pub(super) fn readyz(welcome: Result<(), Unwelcome>) -> Answer {
    let (status, reason) = match welcome {
        Ok(()) => (StatusCode::OK, Phase::Ready.as_str().to_owned()),
        Err(Unwelcome(why)) => (StatusCode::SERVICE_UNAVAILABLE, why),
    };
    answer::json(status, &serde_json::json!({ "status": reason }))
}

/// Whether requests are welcome.
///
/// A log that cannot be written takes the process out: it could still verify, but neither issue nor revoke.
///
/// With a shared log it has to be caught up with once; losing it later takes nobody out, or it would take out all.
///
/// So with sources of keys: each has to be read once.
pub(super) fn welcome(
    readiness: &Readiness,
    store: &Store,
    key_sources: &KeySources,
) -> Result<(), Unwelcome> {
    match readiness.phase() {
        Phase::Ready if !store.writable() => Err(Unwelcome("the event log cannot be written".to_owned())),
        Phase::Ready => {
            store.ready().map_err(|why| Unwelcome(why.to_string()))?;
            key_sources.ready().map_err(|why| Unwelcome(why.to_string()))
        }
        phase @ (Phase::Starting | Phase::Draining) => Err(Unwelcome(phase.as_str().to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readiness_never_moves_back() {
        let readiness = Readiness::default();
        assert_eq!(readiness.phase(), Phase::Starting);
        readiness.set_ready();
        assert_eq!(readiness.phase(), Phase::Ready);
        readiness.set_draining();
        readiness.set_ready();
        assert_eq!(readiness.phase(), Phase::Draining);
    }
}
