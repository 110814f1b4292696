//! `sigward check-config`

use std::fs;
use std::io::Write;
use std::path::Path;

use bytes::Bytes;
use http_body_util::Full;

use super::{ConfigArgs, Failure};
use crate::clock::Clock;
use crate::config::{self, Config, ConfigError, ConfigFault, Environment};
use crate::events::Keyring;
use crate::iam::directory::DirectoryFault;
use crate::identities::{Identities, IdentitiesError};
use crate::key_sources::check_directories;
use crate::listen::Tls;
use crate::metrics::Metrics;
use crate::upstream::{Upstream, UpstreamMetrics};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    config: ConfigArgs,
}

/// Says that the configuration is good, or everything that is not, directories of keys included; of web servers nothing is
/// asked. Nothing is opened that another process could be using: it can run beside the gateway it is about.
pub(super) fn run(args: &Args, environment: &Environment) -> Result<(), Failure> {
    let file = args.config.file(environment);
    let faults = unusable_files(Config::load(&file, environment)?);
    if !faults.is_empty() {
        return Err(ConfigError { faults }.into());
    }
    writeln!(std::io::stdout(), "{}: ok", file.display())?;
    Ok(())
}

/// Files that are there, but do not hold what a start would look for in them, and places where it could make none.
fn unusable_files(config: Config) -> Vec<ConfigFault> {
    let (identities, tls) = (identities_faults(&config), tls_faults(&config));
    let missing = missing_directories(&config);
    let metrics = UpstreamMetrics::register(&Metrics::new());
    let keyring = Keyring::load(&config.store.sealing_key_files);
    let sources = keyring.as_ref().map(|keyring| key_source_faults(&config, keyring)).unwrap_or_default();
    let found = [("store.sealing_key_files", text(keyring.err()))];
    let fault = |(key, message): (&str, Option<String>)| {
        Some(ConfigFault { key: key.to_owned(), message: message?, origin: None })
    };
    let found: Vec<_> = found
        .into_iter()
        .filter_map(fault)
        .chain(missing)
        .chain(tls)
        .chain(identities)
        .chain(sources)
        .collect();
    let named = config.backends.into_iter().map(|(name, backend)| (format!("backends ({name})"), backend));
    let backends = config.backend.into_iter().map(|backend| ("backend".to_owned(), backend)).chain(named);
    let backends = backends.filter_map(|(key, backend)| {
        let error = Upstream::<Full<Bytes>>::new(&key, backend, &metrics).err()?;
        Some(ConfigFault { key, message: error.to_string(), origin: None })
    });
    found.into_iter().chain(backends).collect()
}

/// What keeps the gateway from making its own files: their directories it does not make.
fn missing_directories(config: &Config) -> Vec<ConfigFault> {
    let files = [("store.path", Some(&config.store.path)), ("audit.file", config.audit.file.as_ref())];
    let fault = |key: &str, file: &Path| {
        let directory = match file.parent()? {
            nothing if nothing.as_os_str().is_empty() => Path::new("."),
            directory => directory,
        };
        let message = match fs::metadata(directory) {
            Ok(found) if found.is_dir() => return None,
            Ok(_) => format!("{} is not a directory", directory.display()),
            Err(error) => format!("{}: {error}", directory.display()),
        };
        Some(ConfigFault { key: key.to_owned(), message, origin: None })
    };
    files.into_iter().filter_map(|(key, file)| fault(key, file?)).collect()
}

/// Certificates, keys and authorities that a listener could not use.
fn tls_faults(config: &Config) -> Vec<ConfigFault> {
    let clients = config.gateway.listeners().into_iter().map(|(name, listener)| (name, listener.tls));
    let all = clients.chain([("admin".to_owned(), config.admin.tls.clone())]);
    let fault = |(name, tls): (String, Option<config::Tls>)| {
        let message = Tls::open(&tls?, true).err()?.to_string();
        Some(ConfigFault { key: format!("{name}.tls"), message, origin: None })
    };
    all.filter_map(fault).collect()
}

/// What is wrong with the directories that declare keys.
fn key_source_faults(config: &Config, keyring: &Keyring) -> Vec<ConfigFault> {
    let fault = |key: String, message: String| ConfigFault { key, message, origin: None };
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_time().build() {
        Ok(runtime) => runtime,
        Err(error) => return vec![fault("key_sources".to_owned(), error.to_string())],
    };
    let found = runtime.block_on(check_directories(
        &config.access_keys,
        &config.key_sources,
        keyring,
        Clock::system().now(),
    ));
    found.into_iter().map(|(at, message)| fault(format!("key_sources[{at}]"), message)).collect()
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

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    const KEY: &str = r#"
        [[access_keys]]
        access_key_id = "AKIA1"
        secret_access_key_file = "secret"
        account = "123456789012"
    "#;

    /// A configuration with an IAM directory of these files, and an access key of `user`.
    fn faults(user: &str, files: &[(&str, &str)]) -> Vec<String> {
        let directory = tempfile::tempdir().unwrap();
        let write = |path: &Path, text: &str| {
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        Keyring::create(&directory.path().join("sealing.key")).unwrap();
        write(&directory.path().join("secret"), "secret");
        for (path, text) in files {
            write(&directory.path().join("iam/123456789012").join(path), text);
        }
        let file = directory.path().join("sigward.toml");
        let settings = "iam.directory = \"iam\"\nstore = { path = \"events.redb\", sealing_key_files = [\"sealing.key\"] }\n\
                        backend = { endpoint = \"http://127.0.0.1:9\", auth = \"identity\" }\n";
        write(&file, &format!("{settings}{KEY}user = \"{user}\""));
        let found = unusable_files(Config::load(&file, &Environment::default()).unwrap());
        assert!(!directory.path().join("iam-register.json").exists(), "checking changes nothing");
        found.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn every_fault_of_the_iam_directory_is_told_with_its_file() {
        let good = ("users/alice/user.toml", "");
        assert_eq!(faults("alice", &[good]), [""; 0]);
        let told = faults("alice", &[good, ("users/bob/user.toml", "\nx = 1"), ("policies/p.json", "{")]);
        assert_eq!(told.len(), 2, "{told:?}");
        assert!(told[0].starts_with("iam.directory: 123456789012/policies/p.json: "), "{told:?}");
        assert!(told[1].starts_with("iam.directory: 123456789012/users/bob/user.toml:2: "), "{told:?}");
    }

    #[test]
    fn directories_of_keys_are_read() {
        let directory = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            std::fs::write(directory.path().join(name), text).unwrap();
        };
        Keyring::create(&directory.path().join("sealing.key")).unwrap();
        std::fs::create_dir(directory.path().join("keys")).unwrap();
        write(
            "sigward.toml",
            "store = { path = \"events.redb\", sealing_key_files = [\"sealing.key\"] }\n\
             backend = { endpoint = \"http://127.0.0.1:9\", auth = \"identity\" }\n\
             [[key_sources]]\nname = \"web\"\nkind = \"https\"\nurl = \"https://keys.invalid/\"\n\
             [[key_sources]]\nname = \"team\"\nkind = \"directory\"\npath = \"keys\"\n",
        );
        let faults = || {
            let file = directory.path().join("sigward.toml");
            let found = unusable_files(Config::load(&file, &Environment::default()).unwrap());
            found.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        write("keys/AKIA1.json", "{\"colour\": 1}");
        let told = faults();
        let [told] = &told[..] else { panic!("{told:?}") };
        assert!(told.starts_with("key_sources[1]: AKIA1.json: "), "{told}");
        write("keys/AKIA1.json", "{\"access_keys\": []}");
        assert_eq!(faults(), [""; 0]);
    }

    #[test]
    fn a_directory_that_a_start_would_need_is_told() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        Keyring::create(&at("sealing.key")).unwrap();
        let faults = || {
            let config = Config::load(&at("sigward.toml"), &Environment::default()).unwrap();
            unusable_files(config).iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        let text = "store = { path = \"state/events.redb\", sealing_key_files = [\"sealing.key\"] }\n\
                    audit.file = \"audit/trail.jsonl\"\n\
                    backend = { endpoint = \"http://127.0.0.1:9\", auth = \"identity\" }\n";
        fs::write(at("sigward.toml"), text).unwrap();
        fs::write(at("audit"), "").unwrap();
        let (state, audit) = (at("state").display().to_string(), at("audit").display().to_string());
        let [missing, no_directory] = &faults()[..] else { panic!("{:?}", faults()) };
        assert!(missing.starts_with(&format!("store.path: {state}: ")), "{missing}");
        assert_eq!(no_directory, &format!("audit.file: {audit} is not a directory"));
        fs::remove_file(at("audit")).unwrap();
        for name in ["state", "audit"] {
            fs::create_dir(at(name)).unwrap();
        }
        assert_eq!(faults(), [""; 0]);
    }

    #[test]
    fn an_access_key_of_nobody_is_told() {
        let told = faults("mallory", &[("users/alice/user.toml", "")]);
        let [told] = &told[..] else { panic!("{told:?}") };
        assert!(
            told.starts_with("access_keys[0].user: arn:aws:iam::123456789012:user/mallory is not in"),
            "{told}"
        );
    }
}
