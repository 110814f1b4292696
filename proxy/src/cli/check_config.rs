//! `sigward check-config`

use std::io::Write;

use bytes::Bytes;
use http_body_util::Full;

use super::{ConfigArgs, Failure};
use crate::config::{Config, ConfigError, ConfigFault, Environment, TlsFiles};
use crate::events::Keyring;
use crate::iam::directory::DirectoryFault;
use crate::identities::{Identities, IdentitiesError};
use crate::listen;
use crate::upstream::Upstream;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    config: ConfigArgs,
}

/// Says that the configuration is good, or everything that is not. Nothing is opened that another process could
/// be using: it can run beside the gateway it is about.
pub(super) fn run(args: &Args, environment: &Environment) -> Result<(), Failure> {
    let file = args.config.file(environment);
    let faults = unusable_files(Config::load(&file, environment)?);
    if !faults.is_empty() {
        return Err(ConfigError { faults }.into());
    }
    writeln!(std::io::stdout(), "{}: ok", file.display())?;
    Ok(())
}

/// Files that are there, but do not hold what a start would look for in them.
fn unusable_files(config: Config) -> Vec<ConfigFault> {
    let tls = |files: Option<&TlsFiles>| files.map(listen::acceptor).transpose().err();
    let identities = identities_faults(&config);
    let found = [
        ("store.sealing_key_files", text(Keyring::load(&config.store.sealing_key_files).err())),
        ("gateway.tls", text(tls(config.gateway.tls.as_ref()))),
        ("admin.tls", text(tls(config.admin.tls.as_ref()))),
        ("backend", text(Upstream::<Full<Bytes>>::new(config.backend).err())),
    ];
    let fault = |(key, message): (&str, Option<String>)| {
        Some(ConfigFault { key: key.to_owned(), message: message?, origin: None })
    };
    found.into_iter().filter_map(fault).chain(identities).collect()
}

/// What is wrong with the IAM directory, and access keys that would speak for nobody in it.
fn identities_faults(config: &Config) -> Vec<ConfigFault> {
    let Some(root) = &config.iam.directory else { return Vec::new() };
    let fault = |key: String, message: String| ConfigFault { key, message, origin: None };
    let directory = match Identities::check(root, &config.store.iam_register()) {
        Ok(directory) => directory,
        Err(IdentitiesError::Faults(faults)) => {
            let in_file = |found: DirectoryFault| fault("iam.directory".to_owned(), found.to_string());
            return faults.into_iter().map(in_file).collect();
        }
        Err(error) => return vec![fault("iam.directory".to_owned(), error.to_string())],
    };
    let keys = config.access_keys.iter().enumerate();
    let unbound = keys.filter(|(_, key)| directory.bind(&key.principal).is_none());
    unbound
        .map(|(at, key)| {
            let message = format!("{} is not in iam.directory: the key may do nothing", key.principal.arn);
            fault(format!("access_keys[{at}].user"), message)
        })
        .collect()
}

fn text(error: Option<impl std::fmt::Display>) -> Option<String> {
    error.map(|error| error.to_string())
}
