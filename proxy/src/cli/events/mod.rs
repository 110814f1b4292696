//! `sigward events`: the event log, of a running gateway or as the configuration names it.

mod archive;
mod reading;
mod tail;
mod verify;

use std::io::Write;
use std::path::{Path, PathBuf};

use self::reading::{Reading, Verb};
use super::client::AdminArgs;
use super::{ConfigArgs, Failure};
use crate::clock::Clock;
use crate::config::{Config, Environment};
use crate::events::Keyring;
use crate::feed::Feed;
use crate::store::EventLog;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Show events as they come
    Tail(Box<tail::Args>),
    /// Show the state: live sessions, long-term keys and revocations, as JSON lines
    Snapshot(SourceArgs),
    /// Say what is wrong with the log, or with an exported file
    Verify(verify::Args),
    /// Write the log to a file; secrets stay sealed
    Export(archive::ExportArgs),
    /// Take over what an exported file holds
    Import(archive::ImportArgs),
}

/// Which log.
#[derive(Debug, clap::Args)]
struct SourceArgs {
    /// Read the log that this configuration file names, rather than ask a gateway: JetStream at any time, a file while no
    /// gateway runs on it
    #[arg(long, value_name = "FILE", conflicts_with_all = ["admin", "admin_token_file", "ca_file"])]
    config: Option<PathBuf>,
    #[command(flatten)]
    admin: AdminArgs,
}

/// Does what the subcommand says.
pub(super) async fn run(args: &Args, environment: &Environment) -> Result<(), Failure> {
    match &args.command {
        Command::Tail(args) => tail::run(args, environment).await,
        Command::Snapshot(source) => snapshot(source, environment).await,
        Command::Verify(args) => verify::run(args, environment).await,
        Command::Export(args) => archive::export(args, environment).await,
        Command::Import(args) => archive::import(args, environment).await,
    }
}

async fn snapshot(source: &SourceArgs, environment: &Environment) -> Result<(), Failure> {
    let mut lines = source.read(Verb::Snapshot, environment).await?;
    let mut out = std::io::stdout().lock();
    while let Some(line) = lines.next().await? {
        writeln!(out, "{line}")?;
    }
    Ok(())
}

impl SourceArgs {
    async fn read(&self, verb: Verb, environment: &Environment) -> Result<Reading, Failure> {
        match &self.config {
            Some(file) => Ok(Reading::of_log(&open(file, environment).await?, verb)),
            None => Reading::of_gateway(&self.admin, environment, &verb).await,
        }
    }
}

/// The log that a configuration names.
async fn open(file: &Path, environment: &Environment) -> Result<EventLog, Failure> {
    let config = Config::load(file, environment)?;
    let keyring = keyring(&config)?;
    match config.feed {
        Some(feed) => Ok(EventLog::shared(Feed::connect_to_look(&feed).await?, keyring, Clock::system())),
        None => Ok(EventLog::file(&config.store.path, keyring, Clock::system())?),
    }
}

fn keyring(config: &Config) -> Result<Keyring, Failure> {
    Keyring::load(&config.store.sealing_key_files).map_err(|error| Failure::Server(Box::new(error)))
}

impl ConfigArgs {
    fn load(&self, environment: &Environment) -> Result<Config, Failure> {
        Ok(Config::load(&self.file(environment), environment)?)
    }
}
