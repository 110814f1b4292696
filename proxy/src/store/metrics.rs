//! The store's metrics.

use prometheus::{Histogram, IntCounter, IntGauge};

use crate::metrics::Metrics;

pub(super) struct StoreMetrics {
    pub(super) cache_hits: IntCounter,
    pub(super) cache_misses: IntCounter,
    pub(super) unsealed: IntCounter,
    pub(super) cache_entries: IntGauge,
    pub(super) page_cache: IntGauge,
    pub(super) position: IntGauge,
    pub(super) append_seconds: Histogram,
    pub(super) revocation_marks: IntGauge,
    pub(super) quarantined: IntCounter,
    pub(super) writable: IntGauge,
}

impl StoreMetrics {
    pub(super) fn register(metrics: &Metrics) -> Self {
        Self {
            cache_hits: metrics
                .counter("store_cache_hits_total", "Credential look-ups answered by the cache."),
            cache_misses: metrics
                .counter("store_cache_misses_total", "Credential look-ups that read the database."),
            unsealed: metrics.counter("store_unsealed_tokens_total", "Sessions that only their token knew."),
            cache_entries: metrics.gauge("store_cache_entries", "Credentials in the cache."),
            page_cache: metrics
                .gauge("store_page_cache_bytes", "Memory that holds pages of the database, 64 MiB at most."),
            position: metrics.gauge("store_log_position", "Sequence number of the last applied event."),
            append_seconds: metrics
                .seconds("store_append_seconds", "Time to write, sync and apply one batch of events."),
            revocation_marks: metrics.gauge("store_revocation_marks", "Revocations in force."),
            quarantined: metrics
                .counter("store_quarantined_total", "Look-ups of credentials whose row cannot be read."),
            writable: metrics.gauge("store_writable", "1 while events are accepted, 0 after a failed write."),
        }
    }
}
