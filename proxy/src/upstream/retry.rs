//! Which requests may be sent again, and how often.

use std::sync::atomic::{AtomicU32, Ordering};

use http::Method;

/// Whether a request may be sent a second time although the first may have been carried out.
///
/// RFC 9110, 9.2.2 allows that for every idempotent method, `PUT` and `DELETE` among them. In a bucket with versions
/// each of these makes a version, so two are one too many: only safe methods (9.2.1) are repeated.
pub(super) fn is_repeatable(method: &Method) -> bool {
    [Method::GET, Method::HEAD, Method::OPTIONS].contains(method)
}

/// Bounds retries by a share of all requests, so that a backend that is about to die is not asked twice as often.
pub(super) struct Budget {
    /// In hundredths of a retry.
    balance: AtomicU32,
    /// Hundredths that a request adds.
    share: u32,
}

/// What a retry costs.
const RETRY: u32 = 100;
/// Retries that can be saved up, and are there at the start: a server that is restarted breaks off many requests at
/// once, after a time in which there were none.
const MOST: u32 = 100 * RETRY;

impl Budget {
    /// `percent` of requests may be sent again.
    pub(super) fn new(percent: u32) -> Self {
        Self { balance: if percent == 0 { 0 } else { MOST }.into(), share: percent }
    }

    /// A request is sent for the first time.
    pub(super) fn earn(&self) {
        // One worker counts here: nothing is lost, and a full purse costs no write.
        let balance = self.balance.load(Ordering::Relaxed);
        if balance < MOST {
            self.balance.store((balance + self.share).min(MOST), Ordering::Relaxed);
        }
    }

    /// Whether a request may be sent again.
    pub(super) fn spend(&self) -> bool {
        let enough = |balance: u32| balance.checked_sub(RETRY);
        self.balance.fetch_update(Ordering::Relaxed, Ordering::Relaxed, enough).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retries_are_a_share_of_requests() {
        let budget = Budget::new(20);
        assert_eq!((0..1000).filter(|_| budget.spend()).count(), 100, "what is there at the start");
        (0..50).for_each(|_| budget.earn());
        assert_eq!((0..1000).filter(|_| budget.spend()).count(), 10);
    }

    #[test]
    fn no_share_is_no_retry() {
        let budget = Budget::new(0);
        (0..1000).for_each(|_| budget.earn());
        assert!(!budget.spend());
    }

    #[test]
    fn what_could_make_a_second_version_is_not_repeated() {
        assert!(is_repeatable(&Method::GET) && is_repeatable(&Method::HEAD));
        for method in [Method::PUT, Method::DELETE, Method::POST] {
            assert!(!is_repeatable(&method), "{method}");
        }
    }
}
