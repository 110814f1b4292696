//! The Prometheus registry. Every module registers its own metrics here and keeps the handles: a request
//! never looks up a label.

use prometheus::core::Collector;
use prometheus::{
    Encoder, Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
    TextEncoder,
};

/// Bounds, in seconds, of every latency histogram: 50 µs to 10 s.
const LATENCY_SECONDS: [f64; 16] = [
    0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5,
    10.0,
];

/// A registry; clones share it. Names are given without the prefix `sigward_`.
#[derive(Clone, Debug)]
pub struct Metrics {
    registry: Registry,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// A registry that holds the build's version and, on Linux, the process metrics.
    pub fn new() -> Self {
        let metrics = Self { registry: Registry::new() };
        let build = metrics.gauges("build_info", "Always 1; the labels say what is running.", &["version"]);
        build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        #[cfg(target_os = "linux")]
        metrics
            .registry
            .register(Box::new(prometheus::process_collector::ProcessCollector::for_self()))
            .expect("each metric is registered once per registry");
        metrics
    }

    /// Registers a counter.
    pub fn counter(&self, name: &str, help: &str) -> IntCounter {
        self.add(IntCounter::with_opts(opts(name, help)).expect("metric names in this program are legal"))
    }

    /// Registers a family of counters.
    pub fn counters(&self, name: &str, help: &str, labels: &[&str]) -> IntCounterVec {
        self.add(
            IntCounterVec::new(opts(name, help), labels).expect("metric names in this program are legal"),
        )
    }

    /// Registers a gauge.
    pub fn gauge(&self, name: &str, help: &str) -> IntGauge {
        self.add(IntGauge::with_opts(opts(name, help)).expect("metric names in this program are legal"))
    }

    /// Registers a family of gauges.
    pub fn gauges(&self, name: &str, help: &str, labels: &[&str]) -> IntGaugeVec {
        self.add(IntGaugeVec::new(opts(name, help), labels).expect("metric names in this program are legal"))
    }

    /// Registers a histogram of seconds.
    pub fn seconds(&self, name: &str, help: &str) -> Histogram {
        let opts = HistogramOpts { common_opts: opts(name, help), buckets: LATENCY_SECONDS.to_vec() };
        self.add(Histogram::with_opts(opts).expect("metric names in this program are legal"))
    }

    /// Everything in the Prometheus text format.
    pub fn render(&self) -> Vec<u8> {
        let mut out = Vec::new();
        TextEncoder::new().encode(&self.registry.gather(), &mut out).expect("writing to memory cannot fail");
        out
    }

    fn add<C: Collector + Clone + 'static>(&self, collector: C) -> C {
        self.registry
            .register(Box::new(collector.clone()))
            .expect("each metric is registered once per registry");
        collector
    }
}

fn opts(name: &str, help: &str) -> Opts {
    Opts::new(format!("sigward_{name}"), help)
}
