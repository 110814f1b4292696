//! From what was typed to what can be run: every value is parsed, every rule between keys is checked, and all
//! faults are reported together.
//!
//! A method returns `None` exactly when it has reported a fault. What is checked about backends stands in `backend`.

mod access;
mod backend;
mod feed;
mod key_sources;
mod limits;
mod listeners;
mod routes;

use std::collections::BTreeSet;
use std::fmt::Display;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use http::HeaderName;
use ring::digest;
use sigv4::SecretAccessKey;
use tracing_subscriber::EnvFilter;

use super::raw::{self, Raw};
use super::sources::Sources;
use super::units::{Size, Span};
use super::{
    Admin, AdminToken, Audit, Config, ConfigError, ConfigFault, DeclaredAccessKey, Drain, Environment,
    Fingerprint, Gateway, Iam, Log, Store,
};
use routes::Backends;

use crate::iam::saml::RelyingParty;
use crate::iam::{AccessKeyId, DeclaredPrincipal, KeyStatus};

/// hyper reads a head into a buffer that cannot be smaller.
const SMALLEST_HEAD: u64 = 8 << 10;
const LARGEST_HEAD: u64 = 1 << 20;
const LARGEST_STS_BODY: u64 = 16 << 20;
/// The most that a listener counts; more is a typing error.
const MOST_CONNECTIONS: usize = 1_000_000;
/// No machine has more cores; more is a typing error.
const MOST_WORKERS: usize = 1024;
/// Below this the cache holds too few credentials to be one.
const SMALLEST_CACHE: u64 = 1 << 20;
/// Longer waits than a day are typing errors.
const LONGEST_WAIT: Duration = Duration::from_secs(86_400);

/// Checks what `sources` hold.
pub(super) fn check(
    sources: &Sources,
    environment: &Environment,
    base: &Path,
) -> Result<(Config, Fingerprint), ConfigError> {
    let (raw, faults) = sources.raw();
    let mut read = digest::Context::new(&digest::SHA256);
    // Secrets are not in it: it names where they stand, and what is read there is noted as well.
    read.update(format!("{raw:?}").as_bytes());
    let mut check = Check { sources, environment, base, table: None, faults, read };
    match check.config(raw) {
        Some(config) if check.faults.is_empty() => {
            let mut fingerprint = [0; 32];
            fingerprint.copy_from_slice(check.read.finish().as_ref());
            Ok((config, Fingerprint(fingerprint)))
        }
        _ => Err(ConfigError { faults: check.faults }),
    }
}

struct Check<'a> {
    sources: &'a Sources,
    environment: &'a Environment,
    base: &'a Path,
    /// The table whose keys are checked as if they stood in another one: `backends[0]` as `backend`.
    table: Option<(&'static str, String)>,
    faults: Vec<ConfigFault>,
    /// What was read to get here.
    read: digest::Context,
}

impl Check<'_> {
    fn config(&mut self, raw: Raw) -> Option<Config> {
        let default_region = raw.gateway.regions.first().cloned().unwrap_or_default();
        let gateway = self.gateway(raw.gateway);
        let listeners = self.listeners(raw.listeners, gateway.as_ref());
        let gateway = gateway.zip(listeners).map(|(gateway, listeners)| Gateway { listeners, ..gateway });
        let admin = self.admin(raw.admin);
        if let (Some(gateway), Some(admin)) = (&gateway, &admin) {
            self.separate(gateway, admin.listen);
        }
        let backends = self.backends(raw.backend, raw.backends, &default_region);
        let routes = self.routes(raw.routes, backends.as_ref());
        let store = self.store(raw.store);
        let feed = self.feed(raw.feed);
        let iam = self.iam(raw.iam);
        let limits = self.limits(raw.limits);
        let access_keys = self.access_keys(raw.access_keys);
        let key_sources = self.key_sources(raw.key_sources);
        let log = self.log(raw.log);
        let audit = self.audit(raw.audit);
        let drain = self.drain(raw.drain);
        let Backends { default, named: backends } = backends?;
        Some(Config {
            gateway: gateway?,
            admin: admin?,
            backend: default,
            backends,
            routes: routes?,
            store: store?,
            feed: feed?,
            iam: iam?,
            limits: limits?,
            access_keys: access_keys?,
            key_sources: key_sources?,
            log: log?,
            audit: audit?,
            drain: drain?,
        })
    }

    fn gateway(&mut self, raw: raw::Gateway) -> Option<Gateway> {
        let listen = self.address("gateway.listen", &raw.listen);
        let workers = self.count("gateway.workers", raw.workers, 0..=MOST_WORKERS);
        let tls = self.tls("gateway.tls", raw.tls);
        let proxy_protocol = self.networks("gateway.proxy_protocol", &raw.proxy_protocol);
        let trusted_proxies = self.networks("gateway.trusted_proxies", &raw.trusted_proxies);
        let per_source = raw.max_connections_per_source;
        let per_source = self.count("gateway.max_connections_per_source", per_source, 0..=MOST_CONNECTIONS);
        let stall_timeout = self.wait("gateway.stall_timeout", raw.stall_timeout);
        let regions = self.regions(&raw.regions);
        let domains = self.each("gateway.domains", &raw.domains, "a domain name", domain);
        let what = "the name of an x-amz-* header";
        let unsigned_headers = self.each("gateway.unsigned_headers", &raw.unsigned_headers, what, amz_header);
        let max_connections =
            self.count("gateway.max_connections", raw.max_connections, 1..=MOST_CONNECTIONS);
        let head_timeout = self.wait("gateway.head_timeout", raw.head_timeout);
        let max_head_bytes =
            self.size("gateway.max_head_size", raw.max_head_size, SMALLEST_HEAD..=LARGEST_HEAD);
        let max_sts_body_bytes =
            self.size("gateway.max_sts_body_size", raw.max_sts_body_size, 1..=LARGEST_STS_BODY);
        Some(Gateway {
            listen: listen?,
            workers: workers.map(self::workers)?,
            tls: tls?,
            http2: raw.http2,
            proxy_protocol: proxy_protocol?,
            trusted_proxies: trusted_proxies?,
            listeners: Vec::new(),
            regions: regions?,
            domains: domains?,
            unsigned_headers: unsigned_headers?,
            strict: raw.strict,
            sigv4a: raw.sigv4a,
            explain_mismatch: raw.explain_mismatch,
            max_connections: max_connections?,
            max_connections_per_source: Some(per_source?).filter(|most| *most > 0),
            stall_timeout: stall_timeout?,
            head_timeout: head_timeout?,
            max_head_bytes: usize::try_from(max_head_bytes?).ok()?,
            max_sts_body_bytes: usize::try_from(max_sts_body_bytes?).ok()?,
            sts: raw.sts,
            max_body_bytes: raw.max_body_size.map(|size| size.0),
        })
    }

    fn regions(&mut self, raw: &[String]) -> Option<Vec<Box<str>>> {
        if raw.is_empty() {
            return self.fault("gateway.regions", "at least one region is needed");
        }
        let regions = self.each("gateway.regions", raw, "a region name", region)?;
        let mut seen = BTreeSet::new();
        match regions.iter().find(|region| !seen.insert(*region)) {
            Some(twice) => self.fault("gateway.regions", format!("{twice} is listed twice")),
            None => Some(regions),
        }
    }

    fn admin(&mut self, raw: raw::Admin) -> Option<Admin> {
        let listen = self.address("admin.listen", &raw.listen);
        let tls = self.tls("admin.tls", raw.tls);
        let token = match (raw.token_file, raw.token_env) {
            (None, None) => Some(None),
            (file, variable) => {
                self.secret(["admin.token_file", "admin.token_env"], file, variable).map(AdminToken).map(Some)
            }
        };
        Some(Admin { listen: listen?, tls: tls?, token: token? })
    }

    fn store(&mut self, raw: raw::Store) -> Option<Store> {
        let cache_bytes = self.size("store.cache_size", raw.cache_size, SMALLEST_CACHE..=u64::MAX);
        let mut sealing_key_files = Vec::new();
        for path in &raw.sealing_key_files {
            sealing_key_files.extend(self.readable("store.sealing_key_files", path));
        }
        if raw.sealing_key_files.is_empty() {
            return self.fault("store.sealing_key_files", "at least one file is needed");
        }
        if raw.path.as_os_str().is_empty() {
            return self.fault("store.path", "is empty");
        }
        Some(Store {
            path: self.base.join(raw.path),
            cache_bytes: cache_bytes?,
            sealing_key_files,
            sealed_tokens: raw.sealed_tokens,
        })
    }

    /// Whether the directory holds what it should is for others to say: it may change at any time.
    fn iam(&mut self, raw: raw::Iam) -> Option<Iam> {
        let poll_interval = self.wait("iam.poll_interval", raw.poll_interval)?;
        let saml = RelyingParty {
            audiences: self.saml_names("iam.saml_audiences", raw.saml_audiences)?,
            recipients: self.saml_names("iam.saml_recipients", raw.saml_recipients)?,
        };
        let Some(directory) = raw.directory else {
            return Some(Iam { directory: None, poll_interval, saml });
        };
        let directory = self.base.join(directory);
        if !directory.is_dir() {
            let message = format!("{} is not a directory", directory.display());
            return self.fault("iam.directory", message);
        }
        Some(Iam { directory: Some(directory), poll_interval, saml })
    }

    /// Names by which SAML assertions may call this relying party.
    fn saml_names(&mut self, key: &str, names: Vec<String>) -> Option<Vec<Box<str>>> {
        let bad = names.iter().find(|name| name.is_empty() || name.matches('*').count() > 1);
        if let Some(name) = bad {
            return self.fault(key, format!("{name:?} is empty or has more than one *"));
        }
        Some(names.into_iter().map(Into::into).collect())
    }

    fn access_keys(&mut self, raw: Vec<raw::AccessKey>) -> Option<Vec<DeclaredAccessKey>> {
        let mut seen = BTreeSet::new();
        let mut keys = Vec::new();
        let count = raw.len();
        for (at, raw) in raw.into_iter().enumerate() {
            let Some(key) = self.access_key(&format!("access_keys[{at}]"), raw) else { continue };
            if !seen.insert(key.access_key_id.clone()) {
                let message = format!("{} is declared twice", key.access_key_id);
                let _: Option<()> = self.fault(&format!("access_keys[{at}].access_key_id"), message);
            }
            keys.push(key);
        }
        (keys.len() == count).then_some(keys)
    }

    fn access_key(&mut self, at: &str, raw: raw::AccessKey) -> Option<DeclaredAccessKey> {
        let key = |name: &str| format!("{at}.{name}");
        let access_key_id = match &raw.access_key_id {
            Some(text) => match self.access_key_id(&key("access_key_id"), text) {
                Some(id) if id.is_temporary() => {
                    let problem = "is the id of a temporary credential: only long-term keys are declared";
                    self.fault(&key("access_key_id"), format!("{id} {problem}"))
                }
                id => id,
            },
            None => self.fault(&key("access_key_id"), "is required"),
        };
        let declared =
            DeclaredPrincipal { user: raw.user, account: raw.account, arn: raw.arn, user_id: raw.user_id };
        let principal = match declared.resolve() {
            Ok(principal) => Some(principal),
            Err(error) => self.fault(&key(error.field), error.problem),
        };
        let [file, variable] = [key("secret_access_key_file"), key("secret_access_key_env")];
        let secret = self.secret([&file, &variable], raw.secret_access_key_file, raw.secret_access_key_env);
        Some(DeclaredAccessKey {
            access_key_id: access_key_id?,
            secret: secret?,
            principal: principal?,
            status: raw.status.unwrap_or(KeyStatus::Active),
        })
    }

    fn audit(&mut self, raw: raw::Audit) -> Option<Audit> {
        if raw.strict && raw.file.is_none() {
            return self.fault("audit.strict", "needs audit.file: only a file can say that it is on disk");
        }
        let raw::Audit { log, file, strict } = raw;
        Some(Audit { log, file: file.map(|file| self.base.join(file)), strict })
    }

    fn log(&mut self, raw: raw::Log) -> Option<Log> {
        match EnvFilter::builder().parse(&raw.filter) {
            Ok(_) => Some(Log { format: raw.format, filter: raw.filter, access_log: raw.access_log }),
            Err(error) => self.fault("log.filter", error),
        }
    }

    fn drain(&mut self, raw: raw::Drain) -> Option<Drain> {
        // No delay is sensible where nobody watches /readyz; no time to finish is a hard stop, which is too.
        for (key, span) in [("drain.delay", raw.delay), ("drain.timeout", raw.timeout)] {
            if span.0 > LONGEST_WAIT {
                return self.fault(key, format!("is more than {}", Span(LONGEST_WAIT)));
            }
        }
        Some(Drain { delay: raw.delay.0, timeout: raw.timeout.0 })
    }
}

/// Values.
impl Check<'_> {
    /// Reports a fault, unless the key has been reported already.
    fn fault<T>(&mut self, key: &str, message: impl Display) -> Option<T> {
        let renamed = self.table.as_ref().and_then(|(like, table)| {
            key.strip_prefix(like)
                .filter(|rest| rest.is_empty() || rest.starts_with('.'))
                .map(|rest| format!("{table}{rest}"))
        });
        let key = renamed.as_deref().unwrap_or(key);
        let known = |fault: &ConfigFault| key == fault.key || within(key, &fault.key);
        if !self.faults.iter().any(known) {
            let origin = self.sources.origin(key);
            self.faults.push(ConfigFault { key: key.to_owned(), message: message.to_string(), origin });
        }
        None
    }

    /// Remembers what was read.
    fn note(&mut self, bytes: &[u8]) {
        self.read.update(&(bytes.len() as u64).to_be_bytes());
        self.read.update(bytes);
    }

    fn parsed<T>(&mut self, key: &str, text: &str, what: &str, parse: fn(&str) -> Option<T>) -> Option<T> {
        parse(text).or_else(|| self.fault(key, format!("{text:?} is not {what}")))
    }

    fn each<T>(
        &mut self,
        key: &str,
        texts: &[String],
        what: &str,
        parse: fn(&str) -> Option<T>,
    ) -> Option<Vec<T>> {
        let mut values = Vec::new();
        for (at, text) in texts.iter().enumerate() {
            values.extend(self.parsed(&format!("{key}[{at}]"), text, what, parse));
        }
        (values.len() == texts.len()).then_some(values)
    }

    fn address(&mut self, key: &str, text: &str) -> Option<SocketAddr> {
        self.parsed(key, text, "an address and port such as 127.0.0.1:8080 or [::]:8080", |text| {
            text.parse().ok()
        })
    }

    fn access_key_id(&mut self, key: &str, text: &str) -> Option<AccessKeyId> {
        let what = "1 to 128 printable ASCII characters without space or comma";
        self.parsed(key, text, what, AccessKeyId::parse)
    }

    fn count(&mut self, key: &str, count: usize, range: std::ops::RangeInclusive<usize>) -> Option<usize> {
        if range.contains(&count) {
            return Some(count);
        }
        self.fault(key, format!("must be {} to {}", range.start(), range.end()))
    }

    fn wait(&mut self, key: &str, span: Span) -> Option<Duration> {
        if span.0.is_zero() || span.0 > LONGEST_WAIT {
            return self.fault(key, format!("must be more than 0s and at most {}", Span(LONGEST_WAIT)));
        }
        Some(span.0)
    }

    fn size(&mut self, key: &str, size: Size, range: std::ops::RangeInclusive<u64>) -> Option<u64> {
        if range.contains(&size.0) {
            return Some(size.0);
        }
        let (least, most) = (Size(*range.start()), *range.end());
        match most {
            u64::MAX => self.fault(key, format!("must be at least {least}")),
            _ => self.fault(key, format!("must be {least} to {}", Size(most))),
        }
    }

    /// The path, resolved, if the file can be read now.
    fn readable(&mut self, key: &str, path: &Path) -> Option<PathBuf> {
        let path = self.base.join(path);
        if path.is_dir() {
            return self.fault(key, format!("{} is a directory", path.display()));
        }
        match std::fs::read(&path) {
            Ok(bytes) => {
                self.note(&bytes);
                Some(path)
            }
            Err(error) => self.fault(key, format!("{}: {error}", path.display())),
        }
    }

    /// A secret by file or by environment variable; `keys` name the two keys, in this order. White space at
    /// its end is not part of it: editors and `echo` leave a line feed there.
    fn secret(
        &mut self,
        keys: [&str; 2],
        file: Option<PathBuf>,
        variable: Option<String>,
    ) -> Option<SecretAccessKey> {
        let (key, bytes) = match (file, variable) {
            (Some(file), None) => {
                let path = self.base.join(file);
                match std::fs::read(&path) {
                    Ok(bytes) => (keys[0], bytes),
                    Err(error) => return self.fault(keys[0], format!("{}: {error}", path.display())),
                }
            }
            (None, Some(variable)) => match self.environment.get(&variable) {
                Some(text) => (keys[1], text.as_bytes().to_vec()),
                None => return self.fault(keys[1], format!("{variable} is not set")),
            },
            (None, None) => {
                let other = keys[1].rsplit('.').next().unwrap_or_default();
                return self.fault(keys[0], format!("is required, or {other}"));
            }
            (Some(_), Some(_)) => {
                return self.fault(keys[1], "stands beside the file: one of them is too many");
            }
        };
        let mut bytes = bytes;
        self.note(&bytes);
        bytes.truncate(bytes.trim_ascii_end().len());
        if bytes.is_empty() {
            self.fault(key, "the secret is empty")
        } else {
            Some(SecretAccessKey::new(bytes))
        }
    }
}

/// How many threads `count` stands for.
pub(super) fn workers(count: usize) -> usize {
    let cores = || std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    if count == 0 { cores() } else { count }
}

/// Whether `key` lies below `outer`.
fn within(key: &str, outer: &str) -> bool {
    outer.is_empty() || key.strip_prefix(outer).is_some_and(|rest| rest.starts_with(['.', '[']))
}

fn region(text: &str) -> Option<Box<str>> {
    let legal = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    ((1..=64).contains(&text.len()) && text.bytes().all(legal)).then(|| text.into())
}

/// In lower case, without the root's dot.
fn domain(text: &str) -> Option<String> {
    let text = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
    let legal = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
    let label = |label: &str| (1..=63).contains(&label.len()) && label.bytes().all(legal);
    (text.len() <= 253 && text.split('.').all(label)).then_some(text)
}

fn amz_header(text: &str) -> Option<HeaderName> {
    text.parse().ok().filter(|name: &HeaderName| name.as_str().starts_with("x-amz-"))
}
