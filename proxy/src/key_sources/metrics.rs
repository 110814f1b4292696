//! What is counted of sources of keys, each by its name in the configuration.

use prometheus::{IntCounter, IntCounterVec, IntGauge, IntGaugeVec};

use crate::metrics::Metrics;

#[derive(Clone)]
pub(super) struct SourceMetrics {
    reads: IntCounterVec,
    keys: IntGaugeVec,
    conflicts: IntGaugeVec,
    age: IntGaugeVec,
}

/// Those of one source.
pub(super) struct OneSource {
    name: Box<str>,
    family: SourceMetrics,
    pub(super) changed: IntCounter,
    pub(super) unchanged: IntCounter,
    pub(super) unreachable: IntCounter,
    pub(super) refused: IntCounter,
    pub(super) keys: IntGauge,
    pub(super) conflicts: IntGauge,
    pub(super) age: IntGauge,
}

const CHANGED: &str = "changed";
const UNCHANGED: &str = "unchanged";
const UNREACHABLE: &str = "unreachable";
const REFUSED: &str = "refused";

impl SourceMetrics {
    pub(super) fn register(metrics: &Metrics) -> Self {
        Self {
            reads: metrics.counters(
                "key_source_reads_total",
                "Times a source of long-term keys was looked at, by outcome: changed, unchanged, unreachable, refused.",
                &["source", "outcome"],
            ),
            keys: metrics.gauges("key_source_keys", "Keys that a source declares.", &["source"]),
            conflicts: metrics.gauges(
                "key_source_conflicts",
                "Keys of a source that are not in force, because their ids belong to others.",
                &["source"],
            ),
            age: metrics.gauges(
                "key_source_age_seconds",
                "Time since a source was last read with nothing wrong, or since it is followed.",
                &["source"],
            ),
        }
    }

    pub(super) fn of(&self, source: &str) -> OneSource {
        let reads = |outcome: &str| self.reads.with_label_values(&[source, outcome]);
        let gauge = |family: &IntGaugeVec| family.with_label_values(&[source]);
        OneSource {
            name: source.into(),
            family: self.clone(),
            changed: reads(CHANGED),
            unchanged: reads(UNCHANGED),
            unreachable: reads(UNREACHABLE),
            refused: reads(REFUSED),
            keys: gauge(&self.keys),
            conflicts: gauge(&self.conflicts),
            age: gauge(&self.age),
        }
    }
}

impl OneSource {
    /// Tells nothing of the source any more.
    pub(super) fn forget(&self) {
        // Fails where the values are gone already.
        for outcome in [CHANGED, UNCHANGED, UNREACHABLE, REFUSED] {
            let _ = self.family.reads.remove_label_values(&[&self.name, outcome]);
        }
        for gauges in [&self.family.keys, &self.family.conflicts, &self.family.age] {
            let _ = gauges.remove_label_values(&[&self.name]);
        }
    }
}
