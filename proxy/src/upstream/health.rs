//! Whether an endpoint deserves requests: what its answers say (passive), and what checks find out (active).
//!
//! An endpoint that fails several times in a row is ejected for a while, longer each time. When the while is over it
//! gets requests again; the next failure ejects it at once, a success forgives everything.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::{HOST, USER_AGENT};
use http::{HeaderValue, Request};
use http_body_util::Empty;
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::balance::Endpoints;
use super::connect::Connector;
use super::endpoint::Endpoint;
use crate::config::{Ejection, HealthCheck};

/// How a request or a check ended, as far as the endpoint's health goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Finding {
    /// It answered.
    Answered,
    /// It refused the connection, broke it off, or said that it cannot.
    Failed,
    /// It never said anything. Each such failure costs a client the whole time-out: one is enough.
    Silent,
    /// A check found it well.
    Up,
    /// A check did not.
    Down,
}

/// The state of one endpoint.
pub(super) struct Health {
    policy: Ejection,
    start: Instant,
    /// Failures in a row.
    failures: AtomicU32,
    /// Ejections in a row.
    ejections: AtomicU32,
    /// Milliseconds from `start` to the end of the ejection; 0 for an endpoint that is not, and was forgiven.
    until: AtomicU64,
    /// What the last check said.
    down: AtomicBool,
    well: AtomicBool,
}

/// What a finding changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Change {
    /// The endpoint was ejected just now.
    pub(super) ejected: bool,
    /// It became well, or ceased to be.
    pub(super) well: Option<bool>,
}

impl Health {
    pub(super) fn new(policy: Ejection) -> Self {
        Self {
            policy,
            start: Instant::now(),
            failures: 0.into(),
            ejections: 0.into(),
            until: 0.into(),
            down: false.into(),
            well: true.into(),
        }
    }

    /// Whether requests should come here. Reads no clock while all is well.
    pub(super) fn is_in_rotation(&self) -> bool {
        let until = self.until.load(Ordering::Relaxed);
        !self.down.load(Ordering::Relaxed) && (until == 0 || millis(self.start.elapsed()) >= until)
    }

    /// Whether nothing bad is known: neither ejected nor down, nor ejected before and not yet proved better.
    pub(super) fn is_well(&self) -> bool {
        self.well.load(Ordering::Relaxed)
    }

    pub(super) fn note(&self, finding: Finding) -> Change {
        let ejected = match finding {
            // The common case writes nothing, so that workers do not fight for the line.
            Finding::Answered if self.failures.load(Ordering::Relaxed) == 0 => return Change::default(),
            Finding::Answered | Finding::Up => {
                self.failures.store(0, Ordering::Relaxed);
                self.ejections.store(0, Ordering::Relaxed);
                self.until.store(0, Ordering::Relaxed);
                self.down.fetch_and(finding != Finding::Up, Ordering::Relaxed);
                false
            }
            Finding::Failed => self.fail(1),
            Finding::Silent => self.fail(self.policy.failures),
            Finding::Down => {
                self.down.store(true, Ordering::Relaxed);
                false
            }
        };
        let well = !self.down.load(Ordering::Relaxed) && self.until.load(Ordering::Relaxed) == 0;
        let before = self.well.swap(well, Ordering::Relaxed);
        Change { ejected, well: (before != well).then_some(well) }
    }

    /// Whether that was the failure too many.
    fn fail(&self, count: u32) -> bool {
        let before = self.failures.fetch_add(count, Ordering::Relaxed);
        // Failures of requests that were under way when it was ejected say nothing new.
        let ejected_already = self.until.load(Ordering::Relaxed) > millis(self.start.elapsed());
        if before.saturating_add(count) < self.policy.failures || ejected_already {
            return false;
        }
        let doublings = self.ejections.fetch_add(1, Ordering::Relaxed).min(16);
        let time = (self.policy.time * (1 << doublings)).min(self.policy.longest);
        self.until.store(millis(self.start.elapsed() + time).max(1), Ordering::Relaxed);
        true
    }
}

/// Checks every endpoint every so often, until nobody needs them any more.
pub(super) async fn keep_checked(endpoints: Weak<Endpoints>, connector: Arc<Connector>, check: HealthCheck) {
    let mut ticks = interval(check.interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let Some(endpoints) = endpoints.upgrade() else { return };
        let mut checks = tokio::task::JoinSet::new();
        for endpoint in endpoints.current().iter().map(Arc::clone) {
            let (connector, check) = (Arc::clone(&connector), check.clone());
            checks.spawn(async move {
                let answered = timeout(check.timeout, is_up(&connector, &endpoint, &check)).await;
                endpoint.note(if answered == Ok(true) { Finding::Up } else { Finding::Down });
            });
        }
        drop(endpoints);
        drop(checks.join_all().await);
    }
}

/// Asks over a connection of its own: an endpoint that takes no more connections is not well.
async fn is_up(connector: &Connector, endpoint: &Endpoint, check: &HealthCheck) -> bool {
    let Ok(mut connection) = connector.open::<Empty<Bytes>>(endpoint).await else { return false };
    let mut request = Request::new(Empty::new());
    *request.uri_mut() = check.path.clone().into();
    request.headers_mut().insert(HOST, endpoint.origin.authority.clone());
    let agent = HeaderValue::from_static(concat!("sigward/", env!("CARGO_PKG_VERSION")));
    request.headers_mut().insert(USER_AGENT, agent);
    let answer = connection.send(request).await;
    answer.is_ok_and(|answer| check.status.contains(&answer.status().as_u16()))
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn health(time: Duration) -> Health {
        Health::new(Ejection { failures: 3, time, longest: time * 3 })
    }

    #[test]
    fn failures_in_a_row_eject_and_others_do_not() {
        let health = health(Duration::from_secs(60));
        for finding in [Finding::Failed, Finding::Failed, Finding::Answered, Finding::Failed, Finding::Failed]
        {
            assert_eq!(health.note(finding), Change::default());
        }
        assert_eq!(health.note(Finding::Failed), Change { ejected: true, well: Some(false) });
        assert!(!health.is_in_rotation() && !health.is_well());
        assert_eq!(health.note(Finding::Failed), Change::default(), "it is out already");
        assert_eq!(health.note(Finding::Answered), Change { ejected: false, well: Some(true) });
        assert!(health.is_in_rotation() && health.is_well());
    }

    #[test]
    fn silence_ejects_at_once() {
        let health = health(Duration::from_secs(60));
        assert!(health.note(Finding::Silent).ejected);
    }

    #[test]
    fn every_ejection_is_longer_up_to_a_limit() {
        let health = Health::new(Ejection {
            failures: 1,
            time: Duration::from_secs(10),
            longest: Duration::from_secs(30),
        });
        let mut ends = Vec::new();
        for _ in 0..3 {
            assert!(health.note(Finding::Failed).ejected);
            ends.push((health.until.swap(1, Ordering::Relaxed) + 500) / 1000);
            // Over by now, and not forgiven.
            while millis(health.start.elapsed()) < 1 {
                std::thread::yield_now();
            }
        }
        assert_eq!(ends, [10, 20, 30]);
    }

    #[test]
    fn a_check_takes_out_and_brings_back() {
        let health = health(Duration::from_secs(60));
        assert_eq!(health.note(Finding::Down).well, Some(false));
        assert!(!health.is_in_rotation());
        assert_eq!(health.note(Finding::Answered).well, None, "an answer does not overrule a check");
        assert!(!health.is_in_rotation());
        assert_eq!(health.note(Finding::Up).well, Some(true));
        assert!(health.is_in_rotation());
    }
}
