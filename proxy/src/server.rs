//! Builds every part from the configuration, in order, runs them, drains them.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

use crate::admin::{Admin, AdminParts, Readiness};
use crate::admission::Admission;
use crate::audit::{Audit, AuditOptions};
use crate::clock::Clock;
use crate::config::{self, Config, DeclaredAccessKey, Drain, TlsFiles};
use crate::events::{Keyring, KeyringError};
use crate::gateway::{Gateway, GatewayParts, HEAD_SLACK, Peer, PlanError, PlanParts};
use crate::identities::{Identities, IdentitiesError, Reloaded};
use crate::listen::{self, Ending, Limits, Listener, TlsError, Workers};
use crate::metrics::Metrics;
use crate::store::{DeclaredKey, Reconciled, Store, StoreError, StoreOptions};

/// Bounds on the connections of operators and probes.
const ADMIN_LIMITS: Limits =
    Limits { connections: 256, head_timeout: Duration::from_secs(10), head_bytes: 16 << 10 };

/// Why the server does not run.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// A sealing key.
    #[error(transparent)]
    Keyring(#[from] KeyringError),
    /// The event log.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The IAM directory.
    #[error("iam.directory: {0}")]
    Identities(#[from] IdentitiesError),
    /// The ways to the backends.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// The file of the audit trail.
    #[error("audit.file: {0}")]
    Audit(std::io::Error),
    /// A listener's certificate.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// A listener's address.
    #[error("{listener}.listen = {address}: {source}")]
    Bind {
        /// Which listener.
        listener: &'static str,
        /// Where it should listen.
        address: SocketAddr,
        /// Why it cannot.
        source: std::io::Error,
    },
    /// The threads that serve clients.
    #[error("workers: {0}")]
    Workers(std::io::Error),
    /// Signals cannot be received.
    #[error("signals: {0}")]
    Signals(std::io::Error),
}

/// A server that accepts connections.
pub struct Server {
    gateway: SocketAddr,
    admin: SocketAddr,
    store: Store,
    identities: Identities,
    admission: Arc<Admission>,
    /// As the configuration declares them, and at which intervals to see whether their users have changed.
    access_keys: Vec<DeclaredAccessKey>,
    poll_interval: Duration,
    readiness: Readiness,
    drain: Drain,
    /// Told to drain first.
    gateway_drain: watch::Sender<bool>,
    workers: Workers,
    /// Keeps answering probes until the gateway has drained.
    admin_drain: watch::Sender<bool>,
    admin_tasks: JoinSet<()>,
}

/// Runs until SIGTERM or SIGINT. SIGHUP reads the configuration again and reconciles the declared keys.
pub async fn run<E: std::fmt::Display>(
    config: Config,
    reload: impl Fn() -> Result<Config, E>,
) -> Result<(), ServerError> {
    let signals = Signals::catch()?;
    let server = Server::start(config, Clock::system()).await?;
    server.until_signal(signals, reload).await;
    Ok(())
}

/// The signals that a server obeys. Caught before it starts, so that one that comes early neither kills the process
/// nor is lost.
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    /// Catches SIGTERM, SIGINT and SIGHUP from now on.
    pub fn catch() -> Result<Self, ServerError> {
        let caught = |kind| signal(kind).map_err(ServerError::Signals);
        Ok(Self {
            terminate: caught(SignalKind::terminate())?,
            interrupt: caught(SignalKind::interrupt())?,
            hangup: caught(SignalKind::hangup())?,
        })
    }
}

impl Server {
    /// Opens the log, binds both listeners and begins to accept.
    pub async fn start(config: Config, clock: Clock) -> Result<Self, ServerError> {
        let metrics = Metrics::new();
        let keyring = Keyring::load(&config.store.sealing_key_files)?;
        let options = StoreOptions {
            path: config.store.path.clone(),
            cache_bytes: config.store.cache_bytes,
            sealed_tokens: config.store.sealed_tokens,
            audit: audit(&config.audit, &metrics)?,
        };
        let store = Store::open(&options, keyring, clock.clone(), &metrics)?;
        let identities = identities(&config, clock.clone(), &metrics)?;
        reconcile(&store, &identities, &config.access_keys).await?;

        let limits = limits(&config.gateway);
        let (gateway_drain, gateway_draining) = watch::channel(false);
        let (admin_drain, admin_draining) = watch::channel(false);
        let (gateway_sockets, gateway_address) =
            bind("gateway", config.gateway.listen, config.gateway.workers)?;
        let (admin_sockets, admin_address) = bind("admin", config.admin.listen, 1)?;
        let gateway_tls = tls(config.gateway.tls.as_ref())?;
        let admin_tls = tls(config.admin.tls.as_ref())?;

        let readiness = Readiness::default();
        let admin = Arc::new(Admin::new(AdminParts {
            settings: config.admin,
            store: store.clone(),
            identities: identities.clone(),
            clock: clock.clone(),
            metrics: metrics.clone(),
            readiness: readiness.clone(),
        }));
        let admission = Arc::new(Admission::new(config.limits, &metrics));
        let gateway = Gateway::new(
            GatewayParts {
                plan: PlanParts {
                    settings: config.gateway,
                    backend: config.backend,
                    backends: config.backends,
                    routes: config.routes,
                    saml: config.iam.saml,
                    access_log: config.log.access_log,
                },
                store: store.clone(),
                identities: identities.clone(),
                admission: Arc::clone(&admission),
                clock,
            },
            &metrics,
        )?;
        let listener = Listener::new(gateway_tls, limits, gateway_draining);
        let jobs = gateway_sockets.into_iter().map(|socket| {
            let (gateway, listener) = (Arc::new(gateway.for_worker()), listener.clone());
            move || serve(listener, socket, move |peer, request| Arc::clone(&gateway).handle(peer, request))
        });
        let workers = Workers::start(jobs).map_err(ServerError::Workers)?;
        let listener = Listener::new(admin_tls, ADMIN_LIMITS, admin_draining);
        let admin_tasks = admin_sockets.into_iter().map(|socket| {
            let admin = Arc::clone(&admin);
            serve(listener.clone(), socket, move |peer, request| Arc::clone(&admin).handle(peer, request))
        });
        let admin_tasks = admin_tasks.collect();
        readiness.set_ready();
        tracing::info!(gateway = %gateway_address, admin = %admin_address, position = store.position(), "ready");
        Ok(Self {
            gateway: gateway_address,
            admin: admin_address,
            store,
            identities,
            admission,
            access_keys: config.access_keys,
            poll_interval: config.iam.poll_interval,
            readiness,
            drain: config.drain,
            gateway_drain,
            workers,
            admin_drain,
            admin_tasks,
        })
    }

    /// Where S3 and STS clients connect.
    pub fn gateway_address(&self) -> SocketAddr {
        self.gateway
    }

    /// Where operators and probes connect.
    pub fn admin_address(&self) -> SocketAddr {
        self.admin
    }

    /// The store, for whoever embeds the server.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Runs until SIGTERM or SIGINT, then drains.
    ///
    /// Meanwhile it looks at the IAM directory every so often.
    pub async fn until_signal<E: std::fmt::Display>(
        mut self,
        mut signals: Signals,
        reload: impl Fn() -> Result<Config, E>,
    ) {
        let mut poll = tokio::time::interval(self.poll_interval);
        poll.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = signals.terminate.recv() => break,
                _ = signals.interrupt.recv() => break,
                _ = signals.hangup.recv() => self.reload(&reload).await,
                _ = poll.tick() => self.reload_identities().await,
            }
        }
        self.shut_down().await;
    }

    /// A configuration that cannot be read changes nothing.
    async fn reload<E: std::fmt::Display>(&mut self, reload: &impl Fn() -> Result<Config, E>) {
        self.identities.reload(&self.store).await;
        match reload() {
            Ok(config) => {
                self.access_keys = config.access_keys;
                self.admission.reload(config.limits);
            }
            Err(error) => return tracing::error!(%error, "configuration not reloaded"),
        }
        if self.reconcile().await {
            tracing::info!(
                "IAM directory, declared access keys and limits reloaded; other settings take a restart"
            );
        }
    }

    /// Looks at the IAM directory, and takes it over if it has changed and nothing is wrong with it.
    pub async fn reload_identities(&self) {
        match self.identities.reload(&self.store).await {
            // Keys speak for users: a user that is somebody else now takes them along.
            Reloaded::Changed => drop(self.reconcile().await),
            Reloaded::Unchanged | Reloaded::Refused => {}
        }
    }

    async fn reconcile(&self) -> bool {
        let done = reconcile(&self.store, &self.identities, &self.access_keys).await;
        done.inspect_err(|error| tracing::error!(%error, "declared access keys not reconciled")).is_ok()
    }

    /// Fails readiness, waits for load balancers to notice, stops accepting, lets requests finish, closes the log.
    pub async fn shut_down(mut self) {
        self.readiness.set_draining();
        tracing::info!(delay = ?self.drain.delay, timeout = ?self.drain.timeout, "draining");
        tokio::time::sleep(self.drain.delay).await;
        self.gateway_drain.send_replace(true);
        if self.workers.settle(self.drain.timeout).await == Ending::Cut {
            tracing::warn!(deadline = ?self.drain.timeout, "requests still in flight are cut off");
        }
        self.admin_drain.send_replace(true);
        let answered = async { while self.admin_tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(Duration::from_secs(1), answered).await.is_err() {
            tracing::warn!("admin requests still in flight are cut off");
        }
        self.store.close().await;
        tracing::info!("stopped");
    }
}

/// Serves what comes to `socket` until the listener has drained.
async fn serve<H, F, B>(listener: Listener, socket: TcpListener, handle: H)
where
    H: Fn(Peer, Request<Incoming>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response<B>> + Send + 'static,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    if let Err(error) = listener.serve(socket, handle).await {
        tracing::error!(%error, "nothing is accepted from a socket");
    }
}

fn bind(
    listener: &'static str,
    address: SocketAddr,
    count: usize,
) -> Result<(Vec<TcpListener>, SocketAddr), ServerError> {
    match listen::bind(address, count) {
        Ok((address, sockets)) => Ok((sockets, address)),
        Err(source) => Err(ServerError::Bind { listener, address, source }),
    }
}

fn identities(config: &Config, clock: Clock, metrics: &Metrics) -> Result<Identities, IdentitiesError> {
    match &config.iam.directory {
        Some(root) => Identities::open(root, &config.store.iam_register(), clock, metrics),
        None => Ok(Identities::none(clock, metrics)),
    }
}

/// Bounds on the connections of clients.
fn limits(gateway: &config::Gateway) -> Limits {
    Limits {
        connections: gateway.max_connections,
        head_timeout: gateway.head_timeout,
        head_bytes: gateway.max_head_bytes + HEAD_SLACK,
    }
}

fn audit(config: &config::Audit, metrics: &Metrics) -> Result<Audit, ServerError> {
    let config::Audit { log, file, strict } = config.clone();
    Audit::start(&AuditOptions { log, file, strict }, metrics).map_err(ServerError::Audit)
}

fn tls(files: Option<&TlsFiles>) -> Result<Option<tokio_rustls::TlsAcceptor>, TlsError> {
    files.map(listen::acceptor).transpose()
}

async fn reconcile(
    store: &Store,
    identities: &Identities,
    declared: &[DeclaredAccessKey],
) -> Result<(), StoreError> {
    let declared: Vec<DeclaredKey> = declared.iter().map(|key| declared_key(key, identities)).collect();
    let Reconciled { created, changed, deleted } = store.reconcile(&declared).await?;
    tracing::info!(created, changed, deleted, declared = declared.len(), "access keys of the configuration");
    Ok(())
}

/// The key, speaking for the user of the IAM directory that it names.
fn declared_key(key: &DeclaredAccessKey, identities: &Identities) -> DeclaredKey {
    let principal = match identities.current().as_ref().map(|directory| directory.bind(&key.principal)) {
        Some(Some(user)) => user,
        Some(None) => {
            let (access_key_id, user) = (&key.access_key_id, &key.principal.arn);
            tracing::warn!(%access_key_id, user, "an access key speaks for nobody in the IAM directory: it may do nothing");
            key.principal.clone()
        }
        None => key.principal.clone(),
    };
    DeclaredKey {
        access_key_id: key.access_key_id.clone(),
        secret: key.secret.clone(),
        principal,
        status: key.status,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_signal_that_comes_before_anyone_waits_is_not_lost() {
        let mut signals = Signals::catch().unwrap();
        let kill = format!("kill -HUP {}", std::process::id());
        assert!(std::process::Command::new("sh").args(["-c", &kill]).status().unwrap().success());
        tokio::time::timeout(Duration::from_secs(10), signals.hangup.recv()).await.unwrap().unwrap();
    }
}
