//! The shared log, checked.

use std::path::PathBuf;
use std::time::Duration;

use super::TlsFiles;

/// A log of events that several gateways share, in NATS JetStream.
#[derive(Clone, Debug)]
pub struct Feed {
    /// `nats://host:port` or `tls://host:port`, tried in turn.
    pub servers: Vec<String>,
    /// What the names of streams and subjects begin with.
    pub prefix: String,
    /// What this gateway calls itself among the others; a random name when absent.
    pub gateway: Option<String>,
    /// Servers that keep each event.
    pub replicas: usize,
    /// Whether streams that do not exist are created.
    pub create_streams: bool,
    /// Whether the log is packed for gateways that start, and read from there.
    pub packs: bool,
    /// As whom to connect.
    pub login: FeedLogin,
    /// TLS towards the servers.
    pub tls: FeedTls,
    /// How often the list of revocations is said.
    pub heartbeat: Duration,
    /// What follows when nothing is heard.
    pub stale: Stale,
}

/// As whom to connect. Files are read when the connection is prepared.
#[derive(Clone, Debug)]
pub enum FeedLogin {
    /// As nobody in particular.
    None,
    /// By a file of credentials as `nsc` writes it.
    Credentials(PathBuf),
    /// By a file with the seed of an nkey.
    Nkey(PathBuf),
    /// By name and password.
    Password {
        /// The name.
        user: String,
        /// File with the password.
        file: PathBuf,
    },
}

/// TLS towards the servers.
#[derive(Clone, Debug, Default)]
pub struct FeedTls {
    /// Whether a connection without TLS is refused.
    pub required: bool,
    /// Certificate authorities that sign the servers' certificates, PEM; the system's when absent.
    pub ca_file: Option<PathBuf>,
    /// This gateway's certificate.
    pub client: Option<TlsFiles>,
}

/// What follows when nothing is heard of the shared log.
#[derive(Clone, Copy, Debug)]
pub struct Stale {
    /// Silence after which the log says so.
    pub warn: Duration,
    /// Silence after which the log says so as an error.
    pub alert: Duration,
    /// Silence after which the two below apply.
    pub hard: Duration,
    /// Whether temporary credentials are then answered with 503.
    pub fail_closed: bool,
    /// Whether sessions are then accepted that only their token knows and that are younger than the silence.
    pub accept_newer_sessions: bool,
}
