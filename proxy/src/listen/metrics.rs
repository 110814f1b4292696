//! What listeners count.

use prometheus::{IntCounter, IntGauge};

use crate::metrics::Metrics;

/// Handles shared by all listeners for clients.
#[derive(Clone, Debug)]
pub struct ListenMetrics {
    pub(super) open: IntGauge,
    pub(super) accepted: IntCounter,
    pub(super) too_many: IntCounter,
    pub(super) bad_proxy_header: IntCounter,
    pub(super) failed_handshake: IntCounter,
    pub(super) silent: IntCounter,
    pub(super) stalled: IntCounter,
    pub(super) reset: IntCounter,
}

impl ListenMetrics {
    /// Registers them.
    pub fn register(metrics: &Metrics) -> Self {
        let ended = metrics.counters(
            "connections_refused_total",
            "Client connections ended by the gateway, by reason: source_limit (too many from one address), \
             proxy_header (none, or none that can be read), tls_handshake, head_timeout (nothing was asked in time), \
             stalled (the client took no byte of its answer for too long), stream_resets (HTTP/2 requests taken back \
             again and again).",
            &["reason"],
        );
        let reason = |reason| ended.with_label_values(&[reason]);
        Self {
            open: metrics.gauge("connections", "Client connections that are open."),
            accepted: metrics.counter("connections_accepted_total", "Client connections accepted."),
            too_many: reason("source_limit"),
            bad_proxy_header: reason("proxy_header"),
            failed_handshake: reason("tls_handshake"),
            silent: reason("head_timeout"),
            stalled: reason("stalled"),
            reset: reason("stream_resets"),
        }
    }
}
