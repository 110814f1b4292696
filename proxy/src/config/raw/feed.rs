//! `[feed]`: the log of events, this gateway's own or shared with others.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::super::units::Span;

/// `[feed]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct Feed {
    /// Where the log is.
    pub(in crate::config) kind: FeedKind,
    /// `nats://host:port` or `tls://host:port`, tried in turn.
    pub(in crate::config) servers: Vec<String>,
    /// What the names of streams and subjects begin with: one deployment, one prefix.
    pub(in crate::config) prefix: String,
    /// What this gateway calls itself among the others; the host's name and a random number when absent.
    pub(in crate::config) gateway: Option<String>,
    /// Servers that keep each event, 1 to 5.
    pub(in crate::config) replicas: usize,
    /// Whether streams that do not exist are created.
    pub(in crate::config) create_streams: bool,
    /// Whether the log is packed for gateways that start, and read from there.
    pub(in crate::config) packs: bool,
    /// File of credentials as `nsc` writes it.
    pub(in crate::config) credentials_file: Option<PathBuf>,
    /// File with the seed of an nkey, instead.
    pub(in crate::config) nkey_file: Option<PathBuf>,
    /// User, with `password_file`, instead.
    pub(in crate::config) user: Option<String>,
    /// File with the password of `user`.
    pub(in crate::config) password_file: Option<PathBuf>,
    /// How often the list of revocations is said.
    pub(in crate::config) heartbeat: Span,
    /// TLS towards the servers.
    pub(in crate::config) tls: FeedTls,
    /// What follows when nothing is heard.
    pub(in crate::config) stale: Stale,
}

/// `feed.kind`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::config) enum FeedKind {
    /// In `store.path`.
    Embedded,
    /// In NATS JetStream; `store.path` is a view of it.
    Jetstream,
}

/// `[feed.tls]`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct FeedTls {
    /// Whether a connection without TLS is refused.
    pub(in crate::config) required: bool,
    /// Certificate authorities that sign the servers' certificates, PEM; the system's when absent.
    pub(in crate::config) ca_file: Option<PathBuf>,
    /// This gateway's certificate chain, PEM, leaf first.
    pub(in crate::config) certificate_file: Option<PathBuf>,
    /// Its private key, PEM.
    pub(in crate::config) private_key_file: Option<PathBuf>,
}

/// `[feed.stale]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct Stale {
    /// Silence after which the log says so.
    pub(in crate::config) warn: Span,
    /// Silence after which the log says so as an error.
    pub(in crate::config) alert: Span,
    /// Silence after which what follows applies.
    pub(in crate::config) hard: Span,
    /// Whether temporary credentials are then answered with 503.
    pub(in crate::config) fail_closed: bool,
    /// Whether sessions are then accepted that only their token knows and that are younger than the silence.
    pub(in crate::config) accept_newer_sessions: bool,
}

impl Default for Feed {
    fn default() -> Self {
        Self {
            kind: FeedKind::Embedded,
            servers: vec!["nats://127.0.0.1:4222".into()],
            prefix: "sigward".into(),
            gateway: None,
            replicas: 1,
            create_streams: true,
            packs: true,
            credentials_file: None,
            nkey_file: None,
            user: None,
            password_file: None,
            heartbeat: Span::seconds(2),
            tls: FeedTls::default(),
            stale: Stale::default(),
        }
    }
}

impl Default for Stale {
    fn default() -> Self {
        Self {
            warn: Span::seconds(10),
            alert: Span::seconds(60),
            hard: Span::seconds(900),
            fail_closed: false,
            accept_newer_sessions: false,
        }
    }
}
