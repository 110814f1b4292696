//! What is counted about the way to backends. Labels are names of the configuration: never an address that was
//! resolved, never a bucket.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use prometheus::{IntCounter, IntCounterVec, IntGauge, IntGaugeVec};

use crate::metrics::Metrics;

/// The families; each endpoint of the configuration takes its children once, at start.
#[derive(Clone)]
pub struct UpstreamMetrics {
    open: IntGaugeVec,
    idle: IntGaugeVec,
    connects: IntCounterVec,
    retries: IntCounterVec,
    ejections: IntCounterVec,
    healthy: IntGaugeVec,
    /// How many have taken the gauges of a backend's endpoint.
    taken: Arc<Mutex<HashMap<[Box<str>; 2], usize>>>,
}

/// What is counted about one endpoint of the configuration.
pub(super) struct OriginMetrics {
    /// Connections that are open.
    pub(super) open: IntGauge,
    /// Those of them that wait for a request.
    pub(super) idle: IntGauge,
    connects: [IntCounter; Connect::ALL.len()],
    /// Requests that were sent again after a failure here.
    pub(super) retries: IntCounter,
    /// Times an address was taken out of rotation.
    pub(super) ejections: IntCounter,
    /// Addresses that are not known to be bad.
    pub(super) healthy: IntGauge,
    _taken: Taken,
}

/// Drops the gauges of an endpoint when the last one that took them is gone: a backend that the configuration no longer has is
/// neither well nor ill.
struct Taken {
    labels: [Box<str>; 2],
    families: UpstreamMetrics,
}

impl Drop for Taken {
    fn drop(&mut self) {
        let UpstreamMetrics { open, idle, healthy, taken, .. } = &self.families;
        let mut taken = taken.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = taken.get_mut(&self.labels) {
            *count -= 1;
            if *count == 0 {
                taken.remove(&self.labels);
                for gauges in [open, idle, healthy] {
                    // There is nothing to drop where nothing is.
                    let _ = gauges.remove_label_values(&self.labels.each_ref().map(|label| &**label));
                }
            }
        }
    }
}

/// How an attempt to connect ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Connect {
    /// A connection is open.
    Opened,
    /// Nobody listens there, or nobody can be reached.
    Refused,
    /// No answer in time.
    Timeout,
    /// No TLS.
    Tls,
}

impl Connect {
    const ALL: [Self; 4] = [Self::Opened, Self::Refused, Self::Timeout, Self::Tls];

    /// Label value.
    const fn as_str(self) -> &'static str {
        match self {
            Self::Opened => "opened",
            Self::Refused => "refused",
            Self::Timeout => "timeout",
            Self::Tls => "tls",
        }
    }
}

impl UpstreamMetrics {
    /// Registers the families: once for a registry, however many backends there are.
    pub fn register(metrics: &Metrics) -> Self {
        const LABELS: [&str; 2] = ["backend", "endpoint"];
        Self {
            open: metrics.gauges("upstream_connections", "Open connections to an endpoint.", &LABELS),
            idle: metrics.gauges(
                "upstream_idle_connections",
                "Open connections to an endpoint that wait for a request.",
                &LABELS,
            ),
            connects: metrics.counters(
                "upstream_connects_total",
                "Attempts to connect to an endpoint, by how they ended.",
                &["backend", "endpoint", "outcome"],
            ),
            retries: metrics.counters(
                "upstream_retries_total",
                "Requests that were sent again after they failed at an endpoint.",
                &LABELS,
            ),
            ejections: metrics.counters(
                "upstream_ejections_total",
                "Times an address of an endpoint was taken out of rotation.",
                &LABELS,
            ),
            healthy: metrics.gauges(
                "upstream_healthy_addresses",
                "Addresses of an endpoint that are not known to be bad.",
                &LABELS,
            ),
            taken: Arc::default(),
        }
    }

    pub(super) fn origin(&self, backend: &str, endpoint: &str) -> OriginMetrics {
        let labels = [backend, endpoint];
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        *taken.entry(labels.map(Box::from)).or_default() += 1;
        OriginMetrics {
            _taken: Taken { labels: labels.map(Box::from), families: self.clone() },
            open: self.open.with_label_values(&labels),
            idle: self.idle.with_label_values(&labels),
            connects: Connect::ALL
                .map(|outcome| self.connects.with_label_values(&[backend, endpoint, outcome.as_str()])),
            retries: self.retries.with_label_values(&labels),
            ejections: self.ejections.with_label_values(&labels),
            healthy: self.healthy.with_label_values(&labels),
        }
    }
}

impl OriginMetrics {
    pub(super) fn connected(&self, outcome: Connect) {
        if let Some(counter) = self.connects.get(outcome as usize) {
            counter.inc();
        }
    }
}

/// Counts one of something until it is dropped.
pub(super) struct Counted(IntGauge);

impl Counted {
    pub(super) fn one(gauge: &IntGauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.dec();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gauges_of_an_endpoint_are_there_as_long_as_somebody_has_it() {
        let metrics = Metrics::new();
        let families = UpstreamMetrics::register(&metrics);
        let shown =
            || String::from_utf8(metrics.render()).unwrap().contains("healthy_addresses{backend=\"a\"");
        let before = families.origin("a", "host:1");
        before.healthy.inc();
        before.connected(Connect::Opened);
        let after = families.origin("a", "host:1");
        drop(before);
        assert!(shown(), "reloaded as it was");
        after.healthy.inc();
        drop(after);
        assert!(!shown());
        assert!(
            String::from_utf8(metrics.render()).unwrap().contains("outcome=\"opened\"} 1"),
            "counters stay"
        );
        let again = families.origin("a", "host:1");
        assert!(shown() && again.healthy.get() == 0);
    }
}
