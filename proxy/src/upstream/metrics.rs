//! What is counted about the way to backends. Labels are names of the configuration: never an address that was
//! resolved, never a bucket.

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
        }
    }

    pub(super) fn origin(&self, backend: &str, endpoint: &str) -> OriginMetrics {
        let labels = [backend, endpoint];
        OriginMetrics {
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
