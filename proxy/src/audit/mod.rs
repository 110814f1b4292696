//! The audit trail: a record of every STS request, and of every event that gives or takes credentials, in the shape
//! of AWS CloudTrail's.
//!
//! A [`Record`] is made in one place per origin: STS requests by `sts`, events by the store once they are in force.
//! It goes to the log, with the target [`AUDIT_LOG`] and the record as JSON in the field `record`, and to a file of
//! JSON lines, as configured. Secrets, session tokens, JWTs and SAML assertions are in none of them: what a record is
//! made from does not hold them, or leaves them out by type.
//!
//! The file never holds anybody up: a record that finds the queue full is dropped and counted. In strict mode it is
//! the other way round: whoever records waits until the record is on disk, and learns if it is not.
//!
//! Source: <https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-event-reference-record-contents.html>

mod file;
mod record;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::Arc;

use prometheus::IntCounter;

use self::file::File;
use crate::metrics::Metrics;

pub use self::record::{Identity, Record};
pub use crate::telemetry::AUDIT_LOG;

/// Where records go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditOptions {
    /// Into the log.
    pub log: bool,
    /// Into this file, one JSON object a line.
    pub file: Option<PathBuf>,
    /// Whether a record has to be on disk before what it is about is answered.
    pub strict: bool,
}

/// Takes records; clones share it. By default they go to the log.
#[derive(Clone, Debug)]
pub struct Audit(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    log: bool,
    file: Option<File>,
    records: Option<IntCounter>,
}

/// A record that had to be on disk is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the audit record could not be written")]
pub struct NotRecorded;

impl Default for Audit {
    fn default() -> Self {
        Self(Arc::new(Inner { log: true, file: None, records: None }))
    }
}

impl Audit {
    /// Opens the file, if there is one, and starts the thread that writes it.
    pub fn start(options: &AuditOptions, metrics: &Metrics) -> std::io::Result<Self> {
        let records = metrics.counter("audit_records_total", "Audit records made.");
        let dropped = metrics.counter(
            "audit_dropped_total",
            "Audit records that the file lacks: the queue was full or writing failed.",
        );
        let file = options.file.as_ref().map(|path| File::open(path, options.strict, dropped)).transpose()?;
        Ok(Self(Arc::new(Inner { log: options.log, file, records: Some(records) })))
    }

    /// Records.
    ///
    /// # Errors
    /// In strict mode only: the record is not on disk.
    pub async fn record(&self, record: Record) -> Result<(), NotRecorded> {
        let Inner { log, file, records } = &*self.0;
        if let Some(records) = records {
            records.inc();
        }
        let line = record.to_json();
        if *log {
            tracing::info!(target: AUDIT_LOG, record = line, "audit");
        }
        match file {
            Some(file) => file.write(line).await,
            None => Ok(()),
        }
    }

    /// Waits until everything recorded so far is in the file.
    pub async fn flush(&self) {
        if let Some(file) = &self.0.file {
            file.flush().await;
        }
    }
}
