//! Metrics of a store that follows a shared log.

use prometheus::{Histogram, IntCounter, IntGauge};

use crate::metrics::Metrics;

pub(super) struct SharedMetrics {
    pub(super) head: IntGauge,
    pub(super) applied: IntCounter,
    pub(super) duplicates: IntCounter,
    pub(super) refused: IntCounter,
    pub(super) unreadable: IntCounter,
    pub(super) quarantined: IntGauge,
    pub(super) degraded: IntGauge,
    pub(super) gaps: IntCounter,
    pub(super) rewritten: IntCounter,
    pub(super) miscounts: IntCounter,
    pub(super) resyncs: IntCounter,
    pub(super) losses: IntCounter,
    pub(super) healed: IntCounter,
    pub(super) marks_ahead: IntCounter,
    pub(super) asked: IntCounter,
    pub(super) unasked: IntCounter,
    pub(super) unasked_of_source: IntCounter,
    pub(super) packed: IntGauge,
    pub(super) unpacked: IntCounter,
    pub(super) age: IntGauge,
    pub(super) gateways: IntGauge,
    pub(super) publish_seconds: Histogram,
    pub(super) delay_seconds: Histogram,
}

impl SharedMetrics {
    pub(super) fn register(metrics: &Metrics) -> Self {
        let help = "Messages of the shared log, by what became of them.";
        let messages = metrics.counters("feed_messages_total", help, &["outcome"]);
        let outcome = |name: &str| messages.with_label_values(&[name]);
        let help = "Credentials that were unknown here, by whether the shared log was asked about them.";
        let lookups = metrics.counters("feed_lookups_total", help, &["asked"]);
        Self {
            asked: lookups.with_label_values(&["yes"]),
            unasked: lookups.with_label_values(&["over_budget"]),
            unasked_of_source: lookups.with_label_values(&["over_source_budget"]),
            head: metrics.gauge("feed_head", "Last sequence number of the shared log that is known of."),
            applied: outcome("applied"),
            duplicates: outcome("duplicate"),
            refused: outcome("refused"),
            unreadable: outcome("unreadable"),
            quarantined: metrics.gauge("feed_quarantined", "Messages kept until a keyring can read them."),
            degraded: metrics
                .gauge("feed_lost_revocations", "Revocations of the log whose scope cannot be told."),
            gaps: metrics.counter("feed_gaps_total", "Places where the shared log lacked messages."),
            rewritten: metrics.counter(
                "feed_rewritten_total",
                "Times the shared log held other events than before under the same numbers.",
            ),
            miscounts: metrics.counter(
                "feed_miscounts_total",
                "Times another gateway had another number of long-term keys by the same log.",
            ),
            resyncs: metrics.counter("feed_resyncs_total", "Times the compacted state was read."),
            losses: metrics.counter("feed_losses_total", "Times the shared log was lost or fell silent."),
            healed: metrics.counter(
                "feed_healed_marks_total",
                "Revocations that came by the list, either before the log had come as far or without being in it.",
            ),
            marks_ahead: metrics.counter(
                "feed_marks_ahead_total",
                "Revocations of lists whose time is further ahead than a clock may be.",
            ),
            packed: metrics.gauge(
                "feed_packed",
                "Last sequence number of the shared log that packs covered when this gateway last looked.",
            ),
            unpacked: metrics.counter("feed_unpacked_total", "Sessions that were read from packs."),
            age: metrics.gauge(
                "feed_age_seconds",
                "Seconds since the last list of revocations that this gateway could match; -1: never.",
            ),
            gateways: metrics.gauge("feed_gateways", "Gateways heard lately, this one included."),
            publish_seconds: metrics
                .seconds("feed_publish_seconds", "Time until the shared log acknowledged an event."),
            delay_seconds: metrics.seconds(
                "feed_delay_seconds",
                "Time from an event's arrival in the shared log, by its clock, to its being in force here.",
            ),
        }
    }
}
