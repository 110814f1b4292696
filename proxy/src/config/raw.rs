//! The configuration as the operator types it: every key, what it means and its default.
//!
//! A key without a default is an `Option`; whether its absence is a fault is decided by `check`.

mod feed;
mod key_sources;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

pub(super) use self::feed::{Feed, FeedKind, FeedTls, Stale};
pub(super) use self::key_sources::{KeySource, KeySourceKind};
use super::access::RawCorsRule;
use super::limits::RawLimits;
use super::units::{Size, Span};
use super::{ClientAuth, LogFormat};
use crate::iam::KeyStatus;
use crate::iam::saml::RelyingParty;

/// The whole file.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Raw {
    /// The listener for S3 and STS clients.
    pub(super) gateway: Gateway,
    /// Further listeners for them.
    pub(super) listeners: Vec<Listener>,
    /// The listener for operators and probes.
    pub(super) admin: Admin,
    /// Where authorized requests go that no route sends elsewhere.
    pub(super) backend: Backend,
    /// Further backends, for routes.
    pub(super) backends: Vec<Backend>,
    /// Where requests go, under which names, and what holds for them: the first that matches.
    pub(super) routes: Vec<Route>,
    /// The event log and the credential cache.
    pub(super) store: Store,
    /// Where the log is.
    pub(super) feed: Feed,
    /// Who is declared, and what they may do.
    pub(super) iam: Iam,
    /// Who may take how much.
    pub(super) limits: RawLimits,
    /// Long-term keys declared here rather than through events.
    pub(super) access_keys: Vec<AccessKey>,
    /// Places outside of this file that declare long-term keys, and are looked at again and again.
    pub(super) key_sources: Vec<KeySource>,
    /// Logs.
    pub(super) log: Log,
    /// The audit trail.
    pub(super) audit: Audit,
    /// Shutdown.
    pub(super) drain: Drain,
}

/// `[gateway]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Gateway {
    /// Address and port; port 0 takes a free one.
    pub(super) listen: String,
    /// Threads that serve clients; 0 is one for each core.
    pub(super) workers: usize,
    /// Accepted regions of the credential scope; the first is named in errors.
    pub(super) regions: Vec<String>,
    /// Domains of virtual-hosted-style requests: `bucket.<domain>`.
    pub(super) domains: Vec<String>,
    /// `x-amz-*` headers that may be present without being signed.
    pub(super) unsigned_headers: Vec<String>,
    /// Accept only the standard canonical form, not the variants that deployed signers are known to produce.
    pub(super) strict: bool,
    /// Whether SigV4a, the asymmetric variant of the signature, is offered.
    pub(super) sigv4a: bool,
    /// Put string to sign and canonical request into `SignatureDoesNotMatch`, as S3 does.
    pub(super) explain_mismatch: bool,
    /// Whether the built-in STS answers.
    pub(super) sts: bool,
    /// Connections at the same time; more wait in the backlog.
    pub(super) max_connections: usize,
    /// Time for a request head to arrive, counted from the end of the answer before.
    pub(super) head_timeout: Span,
    /// Largest request head.
    pub(super) max_head_size: Size,
    /// Largest STS request body.
    pub(super) max_sts_body_size: Size,
    /// Largest body of any other request, without its framing; unlimited when absent.
    pub(super) max_body_size: Option<Size>,
    /// Connections at the same time from one address; 0: as many as there may be.
    pub(super) max_connections_per_source: usize,
    /// Time after which a client is cut off that takes no byte of its answer.
    pub(super) stall_timeout: Span,
    /// Whether HTTP/2 is spoken.
    pub(super) http2: bool,
    /// Networks of the load balancers that say whose connection it is, by the PROXY protocol.
    pub(super) proxy_protocol: Vec<String>,
    /// Networks of the proxies that say whose request it is, by `X-Forwarded-…`.
    pub(super) trusted_proxies: Vec<String>,
    /// TLS, if the listener speaks it.
    pub(super) tls: Tls,
}

/// `[[listeners]]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Listener {
    /// Address and port.
    pub(super) listen: Option<String>,
    /// Domains of virtual-hosted-style requests; those of `[gateway]` when absent.
    pub(super) domains: Option<Vec<String>>,
    /// Whether HTTP/2 is spoken.
    pub(super) http2: bool,
    /// Networks of the load balancers that speak the PROXY protocol.
    pub(super) proxy_protocol: Vec<String>,
    /// Networks of the proxies that are believed; those of `[gateway]` when absent.
    pub(super) trusted_proxies: Option<Vec<String>>,
    /// TLS, if the listener speaks it.
    pub(super) tls: Tls,
}

/// `[gateway.tls]`, `[admin.tls]`, `[listeners.tls]`: both files or neither.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Tls {
    /// Certificate chain, PEM, leaf first.
    pub(super) certificate_file: Option<PathBuf>,
    /// Private key of the leaf, PEM.
    pub(super) private_key_file: Option<PathBuf>,
    /// Further certificates, chosen by the name that a client asks for.
    pub(super) certificates: Vec<Certificate>,
    /// Whether clients have to prove a certificate of their own.
    pub(super) client_auth: ClientAuth,
    /// Authorities that sign clients' certificates, PEM.
    pub(super) client_ca_file: Option<PathBuf>,
    /// Their revocation lists, PEM.
    pub(super) client_crl_file: Option<PathBuf>,
}

/// `[[gateway.tls.certificates]]`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Certificate {
    /// Certificate chain, PEM, leaf first.
    pub(super) certificate_file: Option<PathBuf>,
    /// Private key of the leaf, PEM.
    pub(super) private_key_file: Option<PathBuf>,
}

/// `[admin]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Admin {
    /// Address and port; port 0 takes a free one.
    pub(super) listen: String,
    /// File with the bearer token of everything but probes and metrics.
    pub(super) token_file: Option<PathBuf>,
    /// Environment variable with that token, instead of the file.
    pub(super) token_env: Option<String>,
    /// TLS, if the listener speaks it.
    pub(super) tls: Tls,
}

/// `[backend]`, `[[backends]]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Backend {
    /// `[[backends]]`: what routes call it.
    pub(super) name: Option<String>,
    /// `http://host[:port]` or `https://host[:port]`.
    pub(super) endpoint: Option<String>,
    /// Several of these, between which requests are divided; instead of `endpoint`.
    pub(super) endpoints: Vec<String>,
    /// Who the backend believes is asking.
    pub(super) auth: BackendAuth,
    /// `resign`: the backend's access key id.
    pub(super) access_key_id: Option<String>,
    /// `resign`: file with its secret access key.
    pub(super) secret_access_key_file: Option<PathBuf>,
    /// `resign`: environment variable with that secret, instead of the file.
    pub(super) secret_access_key_env: Option<String>,
    /// `resign`: the backend's region; the gateway's first when absent.
    pub(super) region: Option<String>,
    /// How requests name their bucket to the backend.
    pub(super) addressing: Addressing,
    /// Names that are no buckets to the backend, but ways to other interfaces of it.
    pub(super) reserved_buckets: Vec<String>,
    /// `resign`: whether the backend understands `STREAMING-UNSIGNED-PAYLOAD-TRAILER`.
    pub(super) trailers: bool,
    /// Certificate authorities that sign the backend's certificate, PEM; the web's when absent.
    pub(super) ca_file: Option<PathBuf>,
    /// The name the backend's certificate must have; the endpoint's host when absent.
    pub(super) server_name: Option<String>,
    /// Certificate chain that is shown to the backend, PEM, leaf first.
    pub(super) certificate_file: Option<PathBuf>,
    /// Private key of its leaf, PEM.
    pub(super) private_key_file: Option<PathBuf>,
    /// Time for a connection to open, TLS included.
    pub(super) connect_timeout: Span,
    /// Time from the end of the request to the first byte of the response head.
    pub(super) response_timeout: Span,
    /// Time without a byte while a body is on its way.
    pub(super) stall_timeout: Span,
    /// Time for a whole exchange, bodies included; unlimited when absent.
    pub(super) total_timeout: Option<Span>,
    /// Time an idle connection is kept.
    pub(super) idle_timeout: Span,
    /// Idle connections that each worker keeps for an address.
    pub(super) max_idle_connections: usize,
    /// Requests at the same time at an address.
    pub(super) max_connections: usize,
    /// Time that a request beyond these waits for its turn.
    pub(super) queue_timeout: Span,
    /// Attempts at a request, the first included.
    pub(super) max_tries: usize,
    /// Percentage of requests that may be sent again.
    pub(super) retry_percent: u32,
    /// How often names of endpoints are looked up.
    pub(super) resolve_interval: Span,
    /// Failures in a row after which an address is ejected.
    pub(super) eject_after: u32,
    /// Time of the first ejection; each further one takes twice as long.
    pub(super) eject_time: Span,
    /// Time of the longest ejection.
    pub(super) max_eject_time: Span,
    /// Checks of the endpoints' health.
    pub(super) health_check: HealthCheck,
}

/// `backend.addressing`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Addressing {
    /// In the path.
    Path,
    /// In the host.
    Virtual,
}

/// `[backend.health_check]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct HealthCheck {
    /// What is asked for, unsigned; no checks when absent.
    pub(super) path: Option<String>,
    /// How often.
    pub(super) interval: Span,
    /// Time for the answer.
    pub(super) timeout: Span,
    /// Statuses of an endpoint that is well: `200` or `200-399`.
    pub(super) status: String,
}

/// `backend.auth`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum BackendAuth {
    /// Requests are signed anew with the backend's own credential.
    Resign,
    /// Authentication is stripped, identity headers are added.
    Identity,
    /// The client's own signature goes through; the backend knows the same secrets.
    Passthrough,
}

/// `[[routes]]`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Route {
    /// Hosts, or `*.` and the domain they are below.
    pub(super) hosts: Vec<String>,
    /// Buckets: names, or globs with `*` and `?`.
    pub(super) buckets: Vec<String>,
    /// Beginning of the decoded path: `/bucket/…/`.
    pub(super) path_prefix: Option<String>,
    /// Name of a backend; the one without a name when absent.
    pub(super) backend: Option<String>,
    /// What the bucket is called there; `*` for what the only `*` of `buckets` stands for.
    pub(super) bucket: Option<String>,
    /// What stands before each key there.
    pub(super) key_prefix: Option<String>,
    /// Largest body of a request, without its framing; the gateway's when absent.
    pub(super) max_body_size: Option<Size>,
    /// Whether a request that writes succeeds once only.
    pub(super) replay_protection: bool,
    /// IAM actions that everybody may do without a signature.
    pub(super) anonymous_actions: Vec<String>,
    /// Whether the backend says what pages of other origins may do.
    pub(super) forward_preflights: bool,
    /// What pages of other origins may do.
    pub(super) cors: Vec<RawCorsRule>,
}

/// `[store]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Store {
    /// The database file; its directory must exist.
    pub(super) path: PathBuf,
    /// Upper bound of the credential cache.
    pub(super) cache_size: Size,
    /// Files of sealing keys: the first seals, all unseal.
    pub(super) sealing_key_files: Vec<PathBuf>,
    /// Whether session tokens carry their session, sealed.
    pub(super) sealed_tokens: bool,
}

/// `[iam]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Iam {
    /// Directory of users, groups, roles, policies and identity providers.
    pub(super) directory: Option<PathBuf>,
    /// How often it is looked at for changes.
    pub(super) poll_interval: Span,
    /// One of these must be in every `AudienceRestriction` of a SAML assertion.
    pub(super) saml_audiences: Vec<String>,
    /// One of these must be the `Recipient` of a SAML assertion.
    pub(super) saml_recipients: Vec<String>,
}

/// `[[access_keys]]`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct AccessKey {
    /// 1 to 128 printable ASCII characters.
    pub(super) access_key_id: Option<String>,
    /// File with the secret access key.
    pub(super) secret_access_key_file: Option<PathBuf>,
    /// Environment variable with the secret access key, instead of the file.
    pub(super) secret_access_key_env: Option<String>,
    /// Name of an IAM user of `account`; instead of `arn`.
    pub(super) user: Option<String>,
    /// Twelve digits. Implied by `arn`.
    pub(super) account: Option<String>,
    /// ARN of an IAM user or of an account's root; instead of `user`.
    pub(super) arn: Option<String>,
    /// The principal's unique id; derived from the ARN when absent.
    pub(super) user_id: Option<String>,
    /// Whether the key may be used; `Active` when absent.
    pub(super) status: Option<KeyStatus>,
}

/// `[log]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Log {
    /// `json` or `text`.
    pub(super) format: LogFormat,
    /// A `tracing` filter, for example `info,sigward=debug`.
    pub(super) filter: String,
    /// One line per request.
    pub(super) access_log: bool,
}

/// `[audit]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Audit {
    /// Whether records go to the log.
    pub(super) log: bool,
    /// The file of JSON lines they go to.
    pub(super) file: Option<PathBuf>,
    /// Whether a record has to be on disk before its request is answered.
    pub(super) strict: bool,
}

/// `[drain]`
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Drain {
    /// Time between `/readyz` failing and the listener closing.
    pub(super) delay: Span,
    /// Time requests in flight are given after that.
    pub(super) timeout: Span,
}

impl Default for Gateway {
    fn default() -> Self {
        Self {
            listen: "0.0.0.0:8080".into(),
            workers: 0,
            regions: vec!["us-east-1".into()],
            domains: Vec::new(),
            unsigned_headers: Vec::new(),
            strict: false,
            sigv4a: true,
            explain_mismatch: true,
            sts: true,
            max_connections: 10_000,
            head_timeout: Span::seconds(30),
            max_head_size: Size(64 << 10),
            max_sts_body_size: Size(256 << 10),
            max_body_size: None,
            max_connections_per_source: 0,
            stall_timeout: Span::seconds(60),
            http2: true,
            proxy_protocol: Vec::new(),
            trusted_proxies: Vec::new(),
            tls: Tls::default(),
        }
    }
}

impl Default for Listener {
    fn default() -> Self {
        Self {
            listen: None,
            domains: None,
            http2: true,
            proxy_protocol: Vec::new(),
            trusted_proxies: None,
            tls: Tls::default(),
        }
    }
}

impl Default for Admin {
    fn default() -> Self {
        Self { listen: "127.0.0.1:9090".into(), token_file: None, token_env: None, tls: Tls::default() }
    }
}

impl Default for Backend {
    fn default() -> Self {
        Self {
            name: None,
            endpoint: None,
            endpoints: Vec::new(),
            auth: BackendAuth::Resign,
            access_key_id: None,
            secret_access_key_file: None,
            secret_access_key_env: None,
            region: None,
            addressing: Addressing::Path,
            reserved_buckets: ["admin", "minio", "rustfs"].map(str::to_owned).into(),
            trailers: true,
            ca_file: None,
            server_name: None,
            certificate_file: None,
            private_key_file: None,
            connect_timeout: Span::seconds(5),
            response_timeout: Span::seconds(120),
            stall_timeout: Span::seconds(60),
            total_timeout: None,
            idle_timeout: Span::seconds(60),
            max_idle_connections: 256,
            max_connections: 10_000,
            queue_timeout: Span::seconds(5),
            max_tries: 3,
            retry_percent: 20,
            resolve_interval: Span::seconds(30),
            eject_after: 5,
            eject_time: Span::seconds(5),
            max_eject_time: Span::seconds(300),
            health_check: HealthCheck::default(),
        }
    }
}

impl Default for HealthCheck {
    fn default() -> Self {
        let status = "200-399".into();
        Self { path: None, interval: Span::seconds(10), timeout: Span::seconds(2), status }
    }
}

impl Default for Store {
    fn default() -> Self {
        Self {
            path: "/var/lib/sigward/events.redb".into(),
            cache_size: Size(256 << 20),
            sealing_key_files: vec!["/etc/sigward/sealing.key".into()],
            sealed_tokens: true,
        }
    }
}

impl Default for Iam {
    fn default() -> Self {
        let RelyingParty { audiences, recipients } = RelyingParty::default();
        let texts = |names: Vec<Box<str>>| names.into_iter().map(String::from).collect();
        Self {
            directory: None,
            poll_interval: Span::seconds(5),
            saml_audiences: texts(audiences),
            saml_recipients: texts(recipients),
        }
    }
}

impl Default for Log {
    fn default() -> Self {
        Self { format: LogFormat::Json, filter: "info".into(), access_log: true }
    }
}

impl Default for Audit {
    fn default() -> Self {
        Self { log: true, file: None, strict: false }
    }
}

impl Default for Drain {
    fn default() -> Self {
        Self { delay: Span::seconds(5), timeout: Span::seconds(30) }
    }
}
