//! What to do about a credential that this view does not know: the log may hold it already.
//!
//! The log is asked for its last word on the access key id, and if that is further on than this view, the view is waited
//! for. Nothing is applied out of order. Questions about one id share one request, and all of them share a budget, so
//! that made up ids cost the log no more than that.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::super::{Store, StoreError};
use super::Shared;

/// Questions a second, and how many may come at once.
const PER_SECOND: f64 = 50.0;
const BURST: f64 = 100.0;

/// How long a request waits for the view.
const ARRIVES_WITHIN: Duration = Duration::from_secs(2);

#[derive(Default)]
pub(super) struct Lookups {
    budget: Mutex<Option<Budget>>,
    /// Ids that are being asked for; each ends when its sender is dropped.
    asked: Mutex<HashMap<Box<str>, watch::Receiver<()>>>,
}

struct Budget {
    left: f64,
    at: Instant,
}

/// Ends a question, however it ends.
struct Asking<'a> {
    lookups: &'a Lookups,
    access_key_id: &'a str,
    _done: watch::Sender<()>,
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        let mut asked = self.lookups.asked.lock().unwrap_or_else(PoisonError::into_inner);
        asked.remove(self.access_key_id);
    }
}

impl Lookups {
    /// The right to ask, or whom to wait for.
    fn begin<'a>(&'a self, access_key_id: &'a str) -> Result<Asking<'a>, watch::Receiver<()>> {
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(other) = asked.get(access_key_id) {
            return Err(other.clone());
        }
        let (done, other) = watch::channel(());
        asked.insert(access_key_id.into(), other);
        Ok(Asking { lookups: self, access_key_id, _done: done })
    }

    fn spend(&self, now: Instant) -> bool {
        let mut budget = self.budget.lock().unwrap_or_else(PoisonError::into_inner);
        let budget = budget.get_or_insert(Budget { left: BURST, at: now });
        let earned = now.duration_since(budget.at).as_secs_f64() * PER_SECOND;
        (budget.left, budget.at) = ((budget.left + earned).min(BURST), now);
        let enough = budget.left >= 1.0;
        budget.left -= f64::from(u8::from(enough));
        enough
    }
}

impl Store {
    /// Whether a credential that [`load`](Self::load) does not find may be there now: the log holds it, and this view has
    /// come to it. Never with an embedded log, which has nothing that the view has not.
    ///
    /// # Errors
    /// [`StoreError::Behind`]: that cannot be said. The log holds something that does not arrive, or it is out of reach.
    pub async fn awaited(&self, access_key_id: &str, temporary: bool) -> Result<bool, StoreError> {
        let Some(shared) = &self.0.shared else { return Ok(false) };
        match shared.lookups.begin(access_key_id) {
            Ok(_asking) => self.ask(shared, access_key_id, temporary).await,
            // What the other finds out shows in the view.
            Err(mut other) => {
                let _ = tokio::time::timeout(ARRIVES_WITHIN, other.changed()).await;
                Ok(true)
            }
        }
    }

    async fn ask(&self, shared: &Shared, access_key_id: &str, temporary: bool) -> Result<bool, StoreError> {
        if !shared.lookups.spend(Instant::now()) {
            shared.metrics.unasked.inc();
            return Ok(false);
        }
        shared.metrics.asked.inc();
        let seq = match shared.feed.last_of(access_key_id, temporary).await {
            Ok(Some(seq)) => seq,
            Ok(None) => return Ok(false),
            Err(_) => return Err(StoreError::Behind),
        };
        shared.knows_of(seq);
        let mut seen = shared.seen.subscribe();
        if *seen.borrow() >= seq {
            // Arrived in between, or refused.
            return Ok(true);
        }
        match tokio::time::timeout(ARRIVES_WITHIN, seen.wait_for(|seen| *seen >= seq)).await {
            Ok(Ok(_)) => Ok(true),
            Ok(Err(_)) | Err(_) => Err(StoreError::Behind),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn made_up_ids_cost_no_more_than_the_budget() {
        let (lookups, now) = (Lookups::default(), Instant::now());
        assert_eq!((0..1_000).filter(|_| lookups.spend(now)).count(), 100);
        let later = now + Duration::from_secs(1);
        assert_eq!((0..1_000).filter(|_| lookups.spend(later)).count(), 50);
    }

    #[test]
    fn one_id_is_asked_for_once_at_a_time() {
        let lookups = Lookups::default();
        let asking = lookups.begin("ASIA1").ok().unwrap();
        assert!(lookups.begin("ASIA1").is_err() && lookups.begin("ASIA2").is_ok());
        drop(asking);
        assert!(lookups.begin("ASIA1").is_ok());
    }
}
