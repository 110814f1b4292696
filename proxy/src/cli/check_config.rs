//! `sigward check-config`

use std::io::Write;

use super::{ConfigArgs, Failure};
use crate::config::{Config, Environment};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    config: ConfigArgs,
}

/// Says that the configuration is good, or everything that is not.
pub(super) fn run(args: &Args, environment: &Environment) -> Result<(), Failure> {
    let file = args.config.file(environment);
    Config::load(&file, environment)?;
    writeln!(std::io::stdout(), "{}: ok", file.display())?;
    Ok(())
}
