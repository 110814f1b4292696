//! The command line: what can be asked of `sigward`, and what its exit code says.
//!
//! | code | meaning |
//! |---|---|
//! | 0 | done |
//! | 1 | refused or failed; the reason is on standard error |
//! | 2 | not a command, or arguments that contradict each other; `events verify`: nothing can be said of the log |

mod assume_role;
mod check_config;
mod client;
#[cfg(feature = "dev")]
mod dev;
mod events;
mod exchange;
mod explain;
mod keys;
mod private;
mod revoke;
mod serve;
mod sessions;
mod sts;
mod table;
mod whoami;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::config::{ConfigError, Environment};

/// Where the configuration is looked for unless told otherwise.
const CONFIG_FILE: &str = "/etc/sigward/sigward.toml";
/// The environment variable that names the configuration file.
const CONFIG_VARIABLE: &str = "SIGWARD_CONFIG";

/// A gateway that verifies AWS Signature Version 4 on every request.
#[derive(Debug, Parser)]
#[command(name = "sigward", version, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run everything on loopback, with a file-system S3 backend in the same process.
    #[cfg(feature = "dev")]
    Dev(dev::Args),
    /// Run the gateway.
    Serve(serve::Args),
    /// Print everything that is wrong with the configuration.
    CheckConfig(check_config::Args),
    /// Say whether a captured request would be accepted, and why not.
    Explain(explain::Args),
    /// Long-term access keys of a running gateway: create, list, disable, enable, delete.
    Keys(keys::Args),
    /// List the sessions of a running gateway that have not expired.
    Sessions(Box<sessions::Args>),
    /// Revoke sessions of a running gateway.
    Revoke(revoke::Args),
    /// The event log: show it, check it, carry it elsewhere.
    Events(events::Args),
    /// Work as a role: print its credentials for this shell, as JSON, or for an AWS `credential_process`.
    AssumeRole(Box<assume_role::Args>),
    /// Say whose the credentials are that are used in this shell.
    Whoami(whoami::Args),
}

/// The file that `--config`, the environment or the default names.
#[derive(Debug, clap::Args)]
struct ConfigArgs {
    /// Configuration file [env: SIGWARD_CONFIG] [default: /etc/sigward/sigward.toml]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

impl ConfigArgs {
    fn file(&self, environment: &Environment) -> PathBuf {
        let named = || environment.get(CONFIG_VARIABLE).map(PathBuf::from);
        self.config.clone().or_else(named).unwrap_or_else(|| CONFIG_FILE.into())
    }
}

/// Why a command did not do what was asked.
#[derive(Debug, thiserror::Error)]
enum Failure {
    /// The arguments contradict each other or cannot be read.
    #[error("{0}")]
    Usage(String),
    /// The configuration is at fault.
    #[error("{0}")]
    Config(#[from] ConfigError),
    /// The server could not be started or failed while it ran.
    #[error("{0}")]
    Server(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The server was told to end and did not finish everything in flight.
    #[error("requests in flight were cut off")]
    Cut,
    /// The admin listener did not do it.
    #[error("{0}")]
    Admin(#[from] client::ClientError),
    /// STS did not do it.
    #[error("{0}")]
    Sts(#[from] sts::StsError),
    /// No TLS can be spoken to the server.
    #[error("{0}")]
    Tls(#[from] crate::upstream::ClientTlsError),
    /// A secret could not be sealed.
    #[error("{0}")]
    Seal(String),
    /// The event log cannot be read or written.
    #[error("{0}")]
    Log(#[from] crate::store::StoreError),
    /// Nor can it be connected to.
    #[error("{0}")]
    Feed(#[from] crate::feed::FeedError),
    /// So much is wrong with the event log.
    #[error("{0} faults")]
    Faults(u64),
    /// Whether something is wrong with the event log cannot be said.
    #[error("{0}")]
    Unseen(#[source] Box<Failure>),
    /// It is done, and not everywhere yet.
    #[error("{0}")]
    Lagging(String),
    /// A file or the terminal failed.
    #[error("{0}")]
    Io(#[from] std::io::Error),
}

impl Failure {
    fn exit_code(&self) -> ExitCode {
        match self {
            Self::Usage(_) | Self::Unseen(_) => ExitCode::from(2),
            Self::Lagging(_) => ExitCode::from(3),
            Self::Cut => ExitCode::from(3),
            // Whoever reads our output has seen enough: `sigward sessions | head`.
            Self::Io(error) if error.kind() == std::io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
            Self::Config(_)
            | Self::Server(_)
            | Self::Admin(_)
            | Self::Sts(_)
            | Self::Log(_)
            | Self::Feed(_)
            | Self::Faults(_)
            | Self::Tls(_)
            | Self::Seal(_)
            | Self::Io(_) => ExitCode::FAILURE,
        }
    }
}

/// Reads the command line, does what it says and returns the process's exit code.
pub fn run() -> ExitCode {
    let cli = Cli::parse();
    let environment = Environment::of_process();
    let done = match cli.command {
        #[cfg(feature = "dev")]
        Command::Dev(args) => dev::run(&args, &environment),
        Command::Serve(args) => serve::run(&args, &environment),
        Command::CheckConfig(args) => check_config::run(&args, &environment),
        Command::Explain(args) => match explain::run(&args) {
            Ok(code) => return code,
            Err(failure) => Err(failure),
        },
        Command::Keys(args) => client::block_on(keys::run(&args, &environment)),
        Command::Sessions(args) => client::block_on(sessions::run(&args, &environment)),
        Command::Revoke(args) => client::block_on(revoke::run(&args, &environment)),
        Command::Events(args) => client::block_on(events::run(&args, &environment)),
        Command::AssumeRole(args) => client::block_on(assume_role::run(&args, &environment)),
        Command::Whoami(args) => client::block_on(whoami::run(&args, &environment)),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            // With standard error gone there is nobody left to tell.
            let _ = writeln!(std::io::stderr(), "sigward: {failure}");
            failure.exit_code()
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_configuration_is_named_by_argument_then_environment() {
        let environment: Environment = [(CONFIG_VARIABLE, "/from/environment")].into_iter().collect();
        let named = ConfigArgs { config: Some("/from/argument".into()) };
        assert_eq!(named.file(&environment), PathBuf::from("/from/argument"));
        let unnamed = ConfigArgs { config: None };
        assert_eq!(unnamed.file(&environment), PathBuf::from("/from/environment"));
        assert_eq!(unnamed.file(&Environment::default()), PathBuf::from(CONFIG_FILE));
    }
}
