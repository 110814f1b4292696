//! `sigward serve`

use super::{ConfigArgs, Failure};
use crate::config::{Config, Environment};
use crate::{server, telemetry};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    config: ConfigArgs,
}

/// Runs the gateway until it is told to stop.
pub(super) fn run(args: &Args, environment: &Environment) -> Result<(), Failure> {
    let file = args.config.file(environment);
    let config = Config::load(&file, environment)?;
    let server_failure = |error| Failure::Server(Box::new(error));
    telemetry::init(&config.log).map_err(|error| Failure::Server(Box::new(error)))?;
    let environment = environment.clone();
    let reload = move || Config::load(&file, &environment);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(server::run(config, reload)).map_err(server_failure)
}
