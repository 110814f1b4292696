//! Where log lines go: standard error, one JSON object or one line of text each.
//!
//! The access log is an event with the target [`ACCESS_LOG`], the audit trail one with [`AUDIT_LOG`]; this module only
//! decides whether they are written.

use std::io::{IsTerminal, stderr};

use tracing_subscriber::filter::{Directive, EnvFilter, LevelFilter, ParseError};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry, fmt};

use crate::config::{Log, LogFormat};

/// Target of the events that make the access log, one per request, at level INFO.
pub const ACCESS_LOG: &str = "sigward::access";

/// Target of the events that make the audit trail, at level INFO.
pub const AUDIT_LOG: &str = "sigward::audit";

/// Why the process cannot log as configured.
#[derive(Debug, thiserror::Error)]
#[error("log filter: {0}")]
pub struct TelemetryError(#[from] ParseError);

/// Sends the process's log to standard error.
///
/// The first call decides; whatever is installed already stays, so that a test or an embedding program keeps its
/// own.
///
/// # Errors
/// The filter is not one. A checked configuration has none of these.
pub fn init(log: &Log) -> Result<(), TelemetryError> {
    let filter = filter(log)?;
    let layer = match log.format {
        LogFormat::Json => json().boxed(),
        LogFormat::Text => fmt::layer().with_writer(stderr).with_ansi(stderr().is_terminal()).boxed(),
    };
    // An error says that a subscriber is installed, which is what was asked for.
    let _ = tracing_subscriber::registry().with(layer.with_filter(filter)).try_init();
    Ok(())
}

fn json() -> impl Layer<Registry> {
    fmt::layer().json().flatten_event(true).with_current_span(false).with_span_list(false).with_writer(stderr)
}

/// Access log and audit trail are switched by keys of their own, whatever the filter says about everything else.
fn filter(log: &Log) -> Result<EnvFilter, ParseError> {
    let level = if log.access_log { LevelFilter::INFO } else { LevelFilter::OFF };
    let access_log: Directive = format!("{ACCESS_LOG}={level}").parse()?;
    let audit: Directive = format!("{AUDIT_LOG}={}", LevelFilter::INFO).parse()?;
    Ok(EnvFilter::builder().parse(&log.filter)?.add_directive(access_log).add_directive(audit))
}

/// An error and its causes in one line.
pub fn with_causes(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Captured(Arc<Mutex<Vec<u8>>>);

    impl Write for Captured {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    /// What a filter lets through of an access-log event and of two others.
    fn written(filter_text: &str, access_log: bool) -> String {
        let log = Log { format: LogFormat::Text, filter: filter_text.into(), access_log };
        let captured = Captured::default();
        let writer = captured.clone();
        let layer = fmt::layer().with_writer(move || writer.clone()).with_ansi(false);
        let subscriber = tracing_subscriber::registry().with(layer.with_filter(filter(&log).unwrap()));
        tracing::subscriber::with_default(subscriber, || {
            tracing::info!(target: ACCESS_LOG, "request");
            tracing::info!(target: AUDIT_LOG, "audited");
            tracing::info!("news");
            tracing::warn!("trouble");
        });
        String::from_utf8(captured.0.lock().unwrap().clone()).unwrap()
    }

    #[test]
    fn access_log_has_its_own_switch() {
        for filter in ["info", "warn", "off", "sigward::access=error,warn"] {
            assert!(written(filter, true).contains("request"), "{filter}");
            assert!(!written(filter, false).contains("request"), "{filter}");
            assert!(written(filter, false).contains("audited"), "{filter}");
        }
        let quiet = written("warn", false);
        assert!(quiet.contains("trouble") && !quiet.contains("news"), "{quiet}");
    }

    #[test]
    fn a_second_start_keeps_the_first_log() {
        let log = Log { format: LogFormat::Json, filter: "off".into(), access_log: false };
        init(&log).unwrap();
        init(&Log { format: LogFormat::Text, ..log }).unwrap();
    }

    #[test]
    fn refuses_what_is_not_a_filter() {
        let log = Log { format: LogFormat::Json, filter: "sigward=loud".into(), access_log: true };
        assert!(init(&log).is_err());
    }
}
