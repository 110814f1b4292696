//! `sigward events verify`
//!
//! The exit code is 0 if nothing is wrong, 1 if something is, 2 if that cannot be said.

use std::io::{ErrorKind, Write};
use std::path::PathBuf;

use serde_json::Value;

use super::super::{ConfigArgs, Failure, table};
use super::reading::{Reading, Verb};
use super::{SourceArgs, keyring};
use crate::clock::Clock;
use crate::config::Environment;
use crate::store::EventLog;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// An exported file, which is checked with the sealing keys of the configuration
    #[arg(value_name = "FILE", conflicts_with_all = ["admin", "admin_token_file", "ca_file"])]
    file: Option<PathBuf>,
    #[command(flatten)]
    source: SourceArgs,
}

/// Prints what is wrong, each fault with its place.
pub(super) async fn run(args: &Args, environment: &Environment) -> Result<(), Failure> {
    let looked = async {
        let lines = args.read(environment).await?;
        print(lines, args.source.admin.json).await
    };
    let faults = match looked.await {
        Ok(faults) => faults,
        Err(Failure::Io(error)) if error.kind() == ErrorKind::BrokenPipe => return Err(error.into()),
        Err(failure) => return Err(Failure::Unseen(Box::new(failure))),
    };
    if faults > 0 { Err(Failure::Faults(faults)) } else { Ok(()) }
}

impl Args {
    async fn read(&self, environment: &Environment) -> Result<Reading, Failure> {
        let Some(file) = &self.file else { return self.source.read(Verb::Verify, environment).await };
        let config = ConfigArgs { config: self.source.config.clone() }.load(environment)?;
        let lines = EventLog::verify_archive(file, keyring(&config)?, &Clock::system());
        Ok(Reading::of_lines(lines))
    }
}

/// Returns the number of faults.
async fn print(mut lines: Reading, json: bool) -> Result<u64, Failure> {
    let mut out = std::io::stdout().lock();
    let mut verified = None;
    while let Some(line) = lines.next().await? {
        let found: Value = serde_json::from_str(&line).unwrap_or_default();
        if json {
            writeln!(out, "{line}")?;
        } else if let (Some(place), Some(fault)) = (found["place"].as_str(), found["fault"].as_str()) {
            writeln!(out, "{}", table::printable(&format!("{place}: {fault}")))?;
        }
        if let Some(summary) = found.get("verified") {
            verified = Some(summary.clone());
        }
    }
    let cut_short = || Failure::Server("the log could not be looked at to its end".into());
    let verified = verified.ok_or_else(cut_short)?;
    let faults = verified["faults"].as_u64().ok_or_else(cut_short)?;
    if !json {
        let counted = verified.as_object().into_iter().flatten().filter(|(name, _)| *name != "faults");
        let counted: Vec<_> = counted.map(|(name, value)| format!("{name} {}", plain(value))).collect();
        writeln!(out, "{}", table::printable(&counted.join(", ")))?;
    }
    Ok(faults)
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
