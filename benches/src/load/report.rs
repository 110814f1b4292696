//! What a run of the load generator found.

use std::fmt;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde_json::json;

/// Latencies up to here are told apart; what is longer counts as this.
const LONGEST: u64 = 600_000_000_000;
const SIGNIFICANT_DIGITS: u8 = 3;
const GIB: f64 = 1024.0 * 1024.0 * 1024.0;

/// Counts while requests run.
pub(super) struct Tally {
    pub(super) latencies: Histogram<u64>,
    pub(super) errors: u64,
    pub(super) first_error: Option<String>,
    /// Moved in either direction.
    pub(super) bytes: u64,
}

impl Tally {
    pub(super) fn new() -> Self {
        let latencies =
            Histogram::new_with_bounds(1, LONGEST, SIGNIFICANT_DIGITS).expect("the bounds are in order");
        Self { latencies, errors: 0, first_error: None, bytes: 0 }
    }

    pub(super) fn answered(&mut self, latency: Duration) {
        self.latencies.saturating_record(u64::try_from(latency.as_nanos()).unwrap_or(LONGEST));
    }

    pub(super) fn failed(&mut self, error: String) {
        self.errors += 1;
        self.first_error.get_or_insert(error);
    }
}

/// What idle connections take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Idle {
    pub(super) connections: usize,
    /// Resident memory of the gateway before and after, in bytes.
    pub(super) before: u64,
    pub(super) after: u64,
}

/// What a run found.
pub struct Report {
    pub(super) tally: Tally,
    pub(super) elapsed: Duration,
    /// What the processes took meanwhile, if there were any to look at.
    pub(super) cpu: Option<Duration>,
    /// Their memory at the end, in bytes.
    pub(super) resident: Option<u64>,
    pub(super) idle: Option<Idle>,
}

impl Report {
    /// Answers that were not the expected one, and requests without any.
    pub fn errors(&self) -> u64 {
        self.tally.errors
    }

    fn requests(&self) -> u64 {
        self.tally.latencies.len()
    }

    fn rate(&self) -> f64 {
        self.requests() as f64 / self.elapsed.as_secs_f64()
    }

    fn cpu_per_request(&self) -> Option<f64> {
        self.cpu.filter(|_| self.requests() > 0).map(|cpu| cpu.as_nanos() as f64 / self.requests() as f64)
    }

    fn cpu_per_gib(&self) -> Option<f64> {
        self.cpu
            .filter(|_| self.tally.bytes > 0)
            .map(|cpu| cpu.as_nanos() as f64 * GIB / self.tally.bytes as f64)
    }

    /// In microseconds.
    fn latency(&self, quantile: f64) -> f64 {
        self.tally.latencies.value_at_quantile(quantile) as f64 / 1e3
    }

    /// For scripts: one object. Times are in the unit that ends their name; what was not looked at is null.
    pub fn json(&self) -> String {
        json!({
            "requests": self.requests(),
            "errors": self.tally.errors,
            "first_error": self.tally.first_error,
            "seconds": self.elapsed.as_secs_f64(),
            "requests_per_second": self.rate(),
            "bytes": self.tally.bytes,
            "latency_us": {
                "mean": self.tally.latencies.mean() / 1e3,
                "p50": self.latency(0.5),
                "p90": self.latency(0.9),
                "p99": self.latency(0.99),
                "p99.9": self.latency(0.999),
                "max": self.tally.latencies.max() as f64 / 1e3,
            },
            "cpu_seconds": self.cpu.map(|cpu| cpu.as_secs_f64()),
            "cpu_ns_per_request": self.cpu_per_request(),
            "cpu_ns_per_gib": self.cpu_per_gib(),
            "rss_bytes": self.resident,
            "idle": self.idle.map(|idle| json!({
                "connections": idle.connections,
                "rss_before": idle.before,
                "rss_after": idle.after,
                "bytes_per_connection": idle.each(),
            })),
        })
        .to_string()
    }
}

impl Idle {
    fn each(&self) -> f64 {
        (self.after as f64 - self.before as f64) / self.connections.max(1) as f64
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(idle) = &self.idle {
            let (before, after) = (idle.before >> 10, idle.after >> 10);
            write!(f, "{} idle connections: {before} KiB before, {after} KiB with them", idle.connections)?;
            writeln!(f, ", {:.0} bytes each", idle.each())?;
        } else {
            let (seconds, rate) = (self.elapsed.as_secs_f64(), self.rate());
            writeln!(f, "{} requests in {seconds:.2} s, {rate:.0} a second", self.requests())?;
            let quantiles = [(0.5, "p50"), (0.9, "p90"), (0.99, "p99"), (0.999, "p99.9"), (1.0, "max")];
            let all: Vec<_> = quantiles
                .iter()
                .map(|(quantile, name)| format!("{name} {:.0}", self.latency(*quantile)))
                .collect();
            writeln!(f, "latency in µs: {}", all.join(", "))?;
        }
        if let (Some(each), Some(gib)) = (self.cpu_per_request(), self.cpu_per_gib()) {
            writeln!(f, "CPU of the gateway: {each:.0} ns a request, {:.0} ms a GiB moved", gib / 1e6)?;
        }
        if let Some(resident) = self.resident {
            writeln!(f, "memory of the gateway: {} KiB", resident >> 10)?;
        }
        match &self.tally.first_error {
            Some(error) => writeln!(f, "{} ERRORS, the first: {error}", self.tally.errors),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_time_is_told_for_each_request() {
        let mut tally = Tally::new();
        (1..=4).for_each(|millis| tally.answered(Duration::from_millis(millis)));
        tally.failed("status 403".to_owned());
        tally.bytes = 1 << 30;
        let report = Report {
            tally,
            elapsed: Duration::from_secs(2),
            cpu: Some(Duration::from_millis(10)),
            resident: None,
            idle: None,
        };
        let json: serde_json::Value = serde_json::from_str(&report.json()).unwrap();
        assert_eq!(json["cpu_ns_per_request"], 2_500_000.0);
        assert_eq!(json["cpu_ns_per_gib"], 10_000_000.0);
        assert_eq!((json["requests"].as_u64(), json["errors"].as_u64()), (Some(4), Some(1)));
        assert!((json["latency_us"]["p50"].as_f64().unwrap() - 2_000.0).abs() < 2.0);
        assert!(report.to_string().contains("1 ERRORS, the first: status 403"));
    }
}
