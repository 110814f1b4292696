//! Configuration: `raw` as the operator types it, `check` turns it into [`Config`], which holds checked values
//! only.
//!
//! [`Config::load`] reads one TOML file and lays environment variables named `SIGWARD__SECTION__KEY` over it.
//! Secrets are never values: they are named by a file or by an environment variable. Relative paths start at
//! the directory of the file. `config/sigward.toml` shows every key with its default.
//!
//! This is also the only module that looks at the environment; whoever else needs a variable asks
//! [`Environment`].

mod access;
mod address;
mod check;
mod feed;
mod key_sources;
mod limits;
mod raw;
mod sources;
#[cfg(test)]
mod tests;
mod units;

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use http::HeaderName;
use http::uri::{Authority, PathAndQuery, Scheme};
use sigv4::SecretAccessKey;

pub use crate::iam::policy::Network;
use crate::iam::saml::RelyingParty;
use crate::iam::{AccessKeyId, KeyStatus, Principal};
use crate::s3::Selector;
use crate::s3::rename::Rename;

pub use access::Access;
pub use address::{Source, is_this_machine};
pub use feed::{Feed, FeedLogin, FeedTls, Stale};
pub use key_sources::{HttpsKeySource, KeySource, KeySourcePlace};
pub use limits::Limits;
pub use sources::Environment;
pub use units::{Rate, parse_duration};

/// Everything the server needs to run, checked.
#[derive(Debug)]
pub struct Config {
    /// The listener for S3 and STS clients.
    pub gateway: Gateway,
    /// The listener for operators and probes.
    pub admin: Admin,
    /// Where authorized requests go that no route sends elsewhere; there unless routes name others.
    pub backend: Option<Backend>,
    /// Further backends, by the names that routes call them.
    pub backends: BTreeMap<Box<str>, Backend>,
    /// Where requests go and what holds for them: the first that matches.
    pub routes: Vec<Route>,
    /// The event log.
    pub store: Store,
    /// The log that gateways share; `None`: the log is in `store`.
    pub feed: Option<Feed>,
    /// Who is declared, and what they may do.
    pub iam: Iam,
    /// Who may take how much.
    pub limits: Limits,
    /// Long-term keys declared here rather than through events.
    pub access_keys: Vec<DeclaredAccessKey>,
    /// Places outside of the configuration that declare long-term keys; the earlier come first.
    pub key_sources: Vec<KeySource>,
    /// Logs.
    pub log: Log,
    /// The audit trail.
    pub audit: Audit,
    /// Shutdown.
    pub drain: Drain,
}

/// The listener for S3 and STS clients.
#[derive(Debug)]
pub struct Gateway {
    /// Address and port; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Threads that serve clients; never 0.
    pub workers: usize,
    /// TLS, if the listener speaks it.
    pub tls: Option<Tls>,
    /// Whether HTTP/2 is spoken.
    pub http2: bool,
    /// Networks whose connections begin with a header of the PROXY protocol.
    pub proxy_protocol: Vec<Network>,
    /// Networks of the proxies that say whose request it is.
    pub trusted_proxies: Vec<Network>,
    /// Further listeners.
    pub listeners: Vec<Listener>,
    /// Accepted regions; the first is named in errors.
    pub regions: Vec<Box<str>>,
    /// Domains of virtual-hosted-style requests: `bucket.<domain>`.
    pub domains: Vec<String>,
    /// `x-amz-*` headers that may be present without being signed.
    pub unsigned_headers: Vec<HeaderName>,
    /// Accept only the standard canonical form.
    pub strict: bool,
    /// Whether SigV4a is offered.
    pub sigv4a: bool,
    /// Put `StringToSign` and `CanonicalRequest` into `SignatureDoesNotMatch`, as S3 does.
    pub explain_mismatch: bool,
    /// Connections at the same time; more wait in the backlog.
    pub max_connections: usize,
    /// Connections at the same time from one address; `None`: as many as there may be.
    pub max_connections_per_source: Option<usize>,
    /// Time after which a client is cut off that takes no byte of its answer.
    pub stall_timeout: Duration,
    /// Time for a request head to arrive, counted from the end of the answer before.
    pub head_timeout: Duration,
    /// Largest request head in bytes.
    pub max_head_bytes: usize,
    /// Largest STS request body in bytes.
    pub max_sts_body_bytes: usize,
    /// Whether the built-in STS answers.
    pub sts: bool,
    /// Largest body of a request in bytes, without its framing, where its route says nothing else.
    pub max_body_bytes: Option<u64>,
}

/// The defaults of the file.
impl Default for Gateway {
    fn default() -> Self {
        let raw = raw::Gateway::default();
        Self {
            listen: raw.listen.parse().expect("the default is an address"),
            workers: check::workers(raw.workers),
            tls: None,
            http2: raw.http2,
            proxy_protocol: Vec::new(),
            trusted_proxies: Vec::new(),
            listeners: Vec::new(),
            regions: raw.regions.into_iter().map(Box::from).collect(),
            domains: Vec::new(),
            unsigned_headers: Vec::new(),
            strict: raw.strict,
            sigv4a: raw.sigv4a,
            explain_mismatch: raw.explain_mismatch,
            max_connections: raw.max_connections,
            max_connections_per_source: None,
            stall_timeout: raw.stall_timeout.0,
            head_timeout: raw.head_timeout.0,
            max_head_bytes: raw.max_head_size.0 as usize,
            max_sts_body_bytes: raw.max_sts_body_size.0 as usize,
            sts: raw.sts,
            max_body_bytes: None,
        }
    }
}

impl Gateway {
    /// Every listener for clients, each with the prefix of its keys; the first is that of `[gateway]` itself.
    pub fn listeners(&self) -> Vec<(String, Listener)> {
        let first = Listener {
            listen: self.listen,
            domains: self.domains.clone(),
            http2: self.http2,
            proxy_protocol: self.proxy_protocol.clone(),
            trusted_proxies: self.trusted_proxies.clone(),
            tls: self.tls.clone(),
        };
        let further = self.listeners.iter().cloned().enumerate();
        let further = further.map(|(at, listener)| (format!("listeners[{at}]"), listener));
        std::iter::once(("gateway".to_owned(), first)).chain(further).collect()
    }
}

/// A listener for S3 and STS clients.
#[derive(Clone, Debug)]
pub struct Listener {
    /// Address and port; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Domains of virtual-hosted-style requests.
    pub domains: Vec<String>,
    /// Whether HTTP/2 is spoken.
    pub http2: bool,
    /// Networks whose connections begin with a header of the PROXY protocol.
    pub proxy_protocol: Vec<Network>,
    /// Networks of the proxies that say whose request it is.
    pub trusted_proxies: Vec<Network>,
    /// TLS, if it is spoken.
    pub tls: Option<Tls>,
}

/// What a listener needs to speak TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    /// The first is for clients that ask for no name, or for one that is in none of the others. Never empty.
    pub certificates: Vec<TlsFiles>,
    /// Whether clients have to prove a certificate of their own, and to whom it must go back.
    pub client_auth: ClientAuth,
    /// Authorities that sign clients' certificates; there unless nobody is asked for one.
    pub client_ca_file: Option<PathBuf>,
    /// Their revocation lists.
    pub client_crl_file: Option<PathBuf>,
}

/// Whether clients prove a certificate of their own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClientAuth {
    /// They are not asked.
    #[default]
    None,
    /// They are asked and may decline.
    Optional,
    /// Without one there is no connection.
    Required,
}

/// Certificate chain and private key, PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// Certificate chain, leaf first.
    pub certificate_file: PathBuf,
    /// Private key of the leaf.
    pub private_key_file: PathBuf,
}

/// The listener for operators and probes.
#[derive(Clone, Debug)]
pub struct Admin {
    /// Address and port; port 0 takes a free one.
    pub listen: SocketAddr,
    /// TLS, if the listener speaks it.
    pub tls: Option<Tls>,
    /// Bearer token for everything but probes and metrics. Without one these answer loopback peers only.
    pub token: Option<AdminToken>,
}

/// The admin listener's bearer token.
#[derive(Clone)]
pub struct AdminToken(pub SecretAccessKey);

impl fmt::Debug for AdminToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AdminToken(***)")
    }
}

/// Where authorized requests go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backend {
    /// Where it is; at least one.
    pub endpoints: Vec<BackendEndpoint>,
    /// Who the backend believes is asking.
    pub auth: BackendAuth,
    /// How requests name their bucket to it.
    pub addressing: Addressing,
    /// Names that are no buckets to it, but ways to other interfaces, which take the gateway's own credential as well as a
    /// request for S3 does. Nothing goes there, except with [`Passthrough`](BackendAuth::Passthrough).
    pub reserved_buckets: Vec<String>,
    /// Whether it understands `STREAMING-UNSIGNED-PAYLOAD-TRAILER`.
    pub trailers: bool,
    /// TLS with it.
    pub tls: BackendTls,
    /// Time for a connection to open, TLS included.
    pub connect_timeout: Duration,
    /// Time from the end of the request to the first byte of the response head.
    pub response_timeout: Duration,
    /// Time without a byte while a body is on its way.
    pub stall_timeout: Duration,
    /// Time for a whole exchange, bodies included.
    pub total_timeout: Option<Duration>,
    /// Time an idle connection is kept.
    pub idle_timeout: Duration,
    /// Idle connections that each worker keeps for an address.
    pub max_idle_connections: usize,
    /// Requests at the same time at an address.
    pub max_connections: usize,
    /// Time that a request beyond these waits for its turn.
    pub queue_timeout: Duration,
    /// Attempts at a request, the first included.
    pub max_tries: usize,
    /// Percentage of requests that may be sent again.
    pub retry_percent: u32,
    /// How often names of endpoints are looked up.
    pub resolve_interval: Duration,
    /// When an address gets no requests for a while.
    pub ejection: Ejection,
    /// Checks of the endpoints' health.
    pub health_check: Option<HealthCheck>,
}

/// One place where a backend is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackendEndpoint {
    /// `http` or `https`.
    pub scheme: Scheme,
    /// Host and optional port.
    pub authority: Authority,
}

/// How requests name their bucket to the backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Addressing {
    /// In the path: `host/bucket/key`.
    Path,
    /// In the host: `bucket.host/key`, where the bucket can be part of a host name.
    Virtual,
}

/// TLS with a backend.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BackendTls {
    /// Certificate authorities that sign its certificate, PEM; the web's when absent.
    pub ca_file: Option<PathBuf>,
    /// The name its certificate must have; the endpoint's host when absent.
    pub server_name: Option<String>,
    /// What is shown to a backend that asks who connects.
    pub identity: Option<TlsFiles>,
}

/// When an address of a backend gets no requests for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ejection {
    /// After so many failures in a row.
    pub failures: u32,
    /// For how long at first; each further ejection takes twice as long.
    pub time: Duration,
    /// For how long at most.
    pub longest: Duration,
}

/// Checks of the endpoints' health.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthCheck {
    /// What is asked for, unsigned.
    pub path: PathAndQuery,
    /// How often.
    pub interval: Duration,
    /// Time for the answer.
    pub timeout: Duration,
    /// Statuses of an endpoint that is well.
    pub status: RangeInclusive<u16>,
}

impl Backend {
    /// A backend with the defaults of the file.
    pub fn new(endpoints: Vec<BackendEndpoint>, auth: BackendAuth) -> Self {
        let raw = raw::Backend::default();
        Self {
            endpoints,
            auth,
            addressing: Addressing::Path,
            reserved_buckets: raw.reserved_buckets,
            trailers: raw.trailers,
            tls: BackendTls::default(),
            connect_timeout: raw.connect_timeout.0,
            response_timeout: raw.response_timeout.0,
            stall_timeout: raw.stall_timeout.0,
            total_timeout: None,
            idle_timeout: raw.idle_timeout.0,
            max_idle_connections: raw.max_idle_connections,
            max_connections: raw.max_connections,
            queue_timeout: raw.queue_timeout.0,
            max_tries: raw.max_tries,
            retry_percent: raw.retry_percent,
            resolve_interval: raw.resolve_interval.0,
            ejection: Ejection {
                failures: raw.eject_after,
                time: raw.eject_time.0,
                longest: raw.max_eject_time.0,
            },
            health_check: None,
        }
    }
}

/// Who the backend believes is asking.
#[derive(Clone, Debug)]
pub enum BackendAuth {
    /// Requests are signed anew with the backend's own credential.
    Resign {
        /// The backend's access key id.
        access_key_id: String,
        /// Its secret.
        secret: SecretAccessKey,
        /// The backend's region.
        region: Box<str>,
    },
    /// Authentication is stripped, identity headers are added.
    Identity,
    /// The client's own signature goes through; the backend knows the same secrets.
    Passthrough,
}

/// Secrets are compared too: a reload must notice that one was rotated. Both are the operator's own, so how long it
/// takes tells nobody anything.
impl PartialEq for BackendAuth {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (
                Self::Resign { access_key_id, secret, region },
                Self::Resign { access_key_id: other_id, secret: other_secret, region: other_region },
            ) => {
                (access_key_id, region) == (other_id, other_region)
                    && secret.expose_secret() == other_secret.expose_secret()
            }
            (Self::Identity, Self::Identity) | (Self::Passthrough, Self::Passthrough) => true,
            (Self::Resign { .. } | Self::Identity | Self::Passthrough, _) => false,
        }
    }
}

impl Eq for BackendAuth {}

/// Which requests go to which backend, under which names, and what holds for them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Route {
    /// Which requests it is for.
    pub selector: Selector,
    /// Name of a backend that there is; `None`: the one without a name.
    pub backend: Option<Box<str>>,
    /// What buckets and keys are called there, if not what clients call them.
    pub rename: Option<Rename>,
    /// Who needs no signature, what is too large, and so on.
    pub access: Access,
}

/// The event log.
#[derive(Clone, Debug)]
pub struct Store {
    /// The database file.
    pub path: PathBuf,
    /// Upper bound of the credential cache in bytes.
    pub cache_bytes: u64,
    /// Files of sealing keys: the first seals, all unseal.
    pub sealing_key_files: Vec<PathBuf>,
    /// Whether session tokens carry their session, sealed.
    pub sealed_tokens: bool,
}

/// The defaults of the file.
impl Default for Store {
    fn default() -> Self {
        let raw = raw::Store::default();
        Self {
            path: raw.path,
            cache_bytes: raw.cache_size.0,
            sealing_key_files: raw.sealing_key_files,
            sealed_tokens: raw.sealed_tokens,
        }
    }
}

/// Who is declared, and what they may do.
#[derive(Clone, Debug)]
pub struct Iam {
    /// The directory; without one nobody is declared and every live credential may do everything.
    pub directory: Option<PathBuf>,
    /// How often it is looked at for changes.
    pub poll_interval: Duration,
    /// For whom SAML assertions have to be.
    pub saml: RelyingParty,
}

/// The defaults of the file.
impl Default for Iam {
    fn default() -> Self {
        let raw = raw::Iam::default();
        let saml = RelyingParty::default();
        Self { directory: raw.directory, poll_interval: raw.poll_interval.0, saml }
    }
}

impl Store {
    /// Where is kept what must be remembered of the IAM directory: beside the database.
    pub fn iam_register(&self) -> PathBuf {
        self.path.with_file_name("iam-register.json")
    }
}

/// A long-term key of the configuration.
#[derive(Clone, Debug)]
pub struct DeclaredAccessKey {
    /// Access key id.
    pub access_key_id: AccessKeyId,
    /// Its secret, read from a file.
    pub secret: SecretAccessKey,
    /// Who it speaks for.
    pub principal: Principal,
    /// Whether it may be used.
    pub status: KeyStatus,
}

/// Logs.
#[derive(Clone, Debug)]
pub struct Log {
    /// How a line is written.
    pub format: LogFormat,
    /// A `tracing` filter, for example `info,sigward=debug`.
    pub filter: String,
    /// One line per request.
    pub access_log: bool,
}

/// The audit trail.
#[derive(Clone, Debug)]
pub struct Audit {
    /// Whether records go to the log.
    pub log: bool,
    /// The file of JSON lines they go to.
    pub file: Option<PathBuf>,
    /// Whether a record has to be on disk before its request is answered.
    pub strict: bool,
}

/// The defaults of the file.
impl Default for Audit {
    fn default() -> Self {
        let raw = raw::Audit::default();
        Self { log: raw.log, file: None, strict: raw.strict }
    }
}

/// How a log line is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// For people.
    Text,
}

/// Shutdown.
#[derive(Clone, Copy, Debug)]
pub struct Drain {
    /// Time between `/readyz` failing and the listener closing.
    pub delay: Duration,
    /// Time requests in flight are given.
    pub timeout: Duration,
}

/// What a configuration was made of: its text, the environment laid over it, and every file it names. Two that are the
/// same are equal; nothing can be read out of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fingerprint([u8; 32]);

/// Why there is no [`Config`]: everything that is wrong with it, at once.
#[derive(Debug, thiserror::Error)]
pub struct ConfigError {
    /// Unknown keys and wrong types first, then broken rules; never empty.
    pub faults: Vec<ConfigFault>,
}

/// One thing that is wrong with the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigFault {
    /// The key, for example `access_keys[0].account`; empty if the file as a whole is at fault.
    pub key: String,
    /// What is wrong, for people. Never holds a secret.
    pub message: String,
    /// The file or the environment variable that said so; `None` if nobody did.
    pub origin: Option<String>,
}

impl Config {
    /// Reads and checks the configuration.
    ///
    /// # Errors
    /// All faults of file and environment, and of the secrets and files they name.
    pub fn load(file: &Path, environment: &Environment) -> Result<Self, ConfigError> {
        Self::load_with_fingerprint(file, environment).map(|(config, _)| config)
    }

    /// The same, for whoever wants to know later whether anything has changed.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn load_with_fingerprint(
        file: &Path,
        environment: &Environment,
    ) -> Result<(Self, Fingerprint), ConfigError> {
        let sources = sources::Sources::read(file, environment)?;
        check::check(&sources, environment, file.parent().unwrap_or(Path::new("")))
    }
}

/// One fault a line.
impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, fault) in self.faults.iter().enumerate() {
            if at > 0 {
                f.write_str("\n")?;
            }
            fault.fmt(f)?;
        }
        Ok(())
    }
}

impl fmt::Display for ConfigFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        f.write_str(self.message.trim_end())?;
        match &self.origin {
            Some(origin) => write!(f, " ({origin})"),
            None => Ok(()),
        }
    }
}
