//! Builds every part from the configuration, in order, runs them, drains them.

mod fronts;
mod log;
mod reload;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::MissedTickBehavior;

use fronts::{Certificates, Fronts};
use reload::Reloading;

use crate::admin::{Admin, AdminParts, Readiness};
use crate::admission::Admission;
use crate::audit::{Audit, AuditOptions};
use crate::clock::Clock;
use crate::config::{self, Config, Drain, Fingerprint};
use crate::events::{Keyring, KeyringError};
use crate::feed::FeedError;
use crate::gateway::{Gateway, GatewayParts, PlanError, PlanParts};
use crate::identities::{Identities, IdentitiesError, Reloaded};
use crate::key_sources::{KeySources, KeySourcesParts};
use crate::listen::{DrainSwitch, Ending, TlsError, Workers};
use crate::metrics::Metrics;
use crate::store::{Store, StoreError};

/// Why the server does not run.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// A sealing key.
    #[error(transparent)]
    Keyring(#[from] KeyringError),
    /// The event log.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The way to the shared log.
    #[error(transparent)]
    Feed(#[from] FeedError),
    /// The IAM directory.
    #[error("iam.directory: {0}")]
    Identities(#[from] IdentitiesError),
    /// The ways to the backends.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// The file of the audit trail.
    #[error("audit.file: {}: {source}", path.display())]
    Audit {
        /// Which file.
        path: PathBuf,
        /// What the operating system says.
        source: std::io::Error,
    },
    /// A listener's certificate.
    #[error("{listener}.tls: {source}")]
    Tls {
        /// Which listener.
        listener: String,
        /// What is wrong with its files.
        source: TlsError,
    },
    /// A listener's address.
    #[error("{listener}.listen = {address}: {source}")]
    Bind {
        /// Which listener.
        listener: String,
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
    gateways: Vec<SocketAddr>,
    admin: SocketAddr,
    store: Store,
    identities: Identities,
    admission: Arc<Admission>,
    key_sources: KeySources,
    /// At which intervals to see whether users, certificates and the configuration have changed.
    poll_interval: Duration,
    readiness: Readiness,
    clock: Clock,
    drain: Drain,
    /// Follows the shared log, if there is one.
    follower: JoinHandle<()>,
    /// Told to drain first.
    gateway_drain: DrainSwitch,
    workers: Workers,
    /// Keeps answering probes until the gateway has drained.
    admin_drain: DrainSwitch,
    admin_tasks: JoinSet<()>,
    certificates: Certificates,
    reloading: Reloading,
    plans: Gateway,
}

/// Runs until SIGTERM or SIGINT, and says whether everything in flight was finished. Reads the configuration again on
/// SIGHUP and when it has changed: see [`Server::until_signal`].
///
/// # Errors
/// The server cannot start.
pub async fn run<E: std::fmt::Display>(
    (config, fingerprint): (Config, Fingerprint),
    reload: impl Fn() -> Result<(Config, Fingerprint), E>,
) -> Result<Ending, ServerError> {
    let signals = Signals::catch()?;
    let mut server = Server::start(config, Clock::system()).await?;
    server.reloading.started_with(fingerprint);
    Ok(server.until_signal(signals, || Some(reload())).await)
}

/// The signals that a server obeys. Caught before it starts, so that one that comes early neither kills the process
/// nor is lost.
pub struct Signals {
    end: End,
    hangup: Signal,
}

/// Those that end the process.
struct End {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// Catches SIGTERM, SIGINT and SIGHUP from now on.
    pub fn catch() -> Result<Self, ServerError> {
        let caught = |kind| signal(kind).map_err(ServerError::Signals);
        Ok(Self {
            end: End {
                terminate: caught(SignalKind::terminate())?,
                interrupt: caught(SignalKind::interrupt())?,
            },
            hangup: caught(SignalKind::hangup())?,
        })
    }
}

impl End {
    /// Completes when the process is told to end.
    async fn told(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

impl Server {
    /// Opens the log, binds both listeners and begins to accept.
    pub async fn start(config: Config, clock: Clock) -> Result<Self, ServerError> {
        let metrics = Metrics::new();
        let keyring = Keyring::load(&config.store.sealing_key_files)?;
        let (store, follower) = log::open(&config, &keyring, clock.clone(), &metrics).await?;
        let identities = identities(&config, clock.clone(), &metrics)?;
        let parts = KeySourcesParts {
            store: store.clone(),
            identities: identities.clone(),
            keyring,
            clock: clock.clone(),
        };
        let key_sources = KeySources::new(parts, &metrics);
        key_sources.declare(&config.access_keys, &config.key_sources).await?;

        let fronts = Fronts::open(&config, &metrics)?;
        let reloading = Reloading::new(&config, &metrics);
        let readiness = Readiness::default();
        let admin = Arc::new(Admin::new(AdminParts {
            settings: config.admin.clone(),
            store: store.clone(),
            identities: identities.clone(),
            key_sources: key_sources.clone(),
            clock: clock.clone(),
            metrics: metrics.clone(),
            readiness: readiness.clone(),
        }));
        let admission = Arc::new(Admission::new(config.limits.clone(), &metrics));
        let (drain, poll_interval) = (config.drain, config.iam.poll_interval);
        let gateway = Gateway::new(
            GatewayParts {
                plan: plan(config),
                store: store.clone(),
                identities: identities.clone(),
                admission: Arc::clone(&admission),
                clock: clock.clone(),
            },
            &metrics,
        )?;
        let (gateway_drain, gateway_draining) = DrainSwitch::new();
        let workers = fronts.clients.into_workers(gateway_draining, || {
            let gateway = Arc::new(gateway.for_worker());
            move |peer, request| Arc::clone(&gateway).handle(peer, request)
        });
        let workers = workers.map_err(ServerError::Workers)?;
        let (admin_drain, admin_draining) = DrainSwitch::new();
        let admin_tasks = fronts
            .operators
            .into_tasks(&admin_draining, move |peer, request| Arc::clone(&admin).handle(peer, request));
        readiness.set_ready();
        let (gateways, admin) = (fronts.gateways, fronts.admin);
        tracing::info!(?gateways, %admin, position = store.position(), "ready");
        Ok(Self {
            gateways,
            admin,
            store,
            identities,
            admission,
            key_sources,
            poll_interval,
            readiness,
            clock,
            drain,
            follower,
            gateway_drain,
            workers,
            admin_drain,
            admin_tasks,
            certificates: fronts.certificates,
            reloading,
            plans: gateway,
        })
    }

    /// Where S3 and STS clients connect.
    pub fn gateway_address(&self) -> SocketAddr {
        self.gateways[0]
    }

    /// Where they connect to each listener, in the order of the configuration.
    pub fn gateway_addresses(&self) -> &[SocketAddr] {
        &self.gateways
    }

    /// Where operators and probes connect.
    pub fn admin_address(&self) -> SocketAddr {
        self.admin
    }

    /// The store, for whoever embeds the server.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Runs until SIGTERM or SIGINT, then drains; a second such signal ends it at once.
    ///
    /// Meanwhile it looks every so often at the IAM directory, at the files of certificates, and at the configuration
    /// with all that it names, unless `reload` says that there is none; SIGHUP looks at once.
    pub async fn until_signal<E: std::fmt::Display>(
        mut self,
        mut signals: Signals,
        reload: impl Fn() -> Option<Result<(Config, Fingerprint), E>>,
    ) -> Ending {
        let mut poll = tokio::time::interval(self.poll_interval);
        poll.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = signals.end.told() => break,
                _ = signals.hangup.recv() => {
                    self.reload_identities().await;
                    self.certificates.reload().await;
                    self.reload(reload(), true).await;
                    self.key_sources.look();
                }
                _ = poll.tick() => {
                    self.reload_identities().await;
                    self.certificates.reload().await;
                    self.reload(reload(), false).await;
                }
            }
        }
        tokio::select! {
            ending = self.shut_down() => ending,
            () = signals.end.told() => {
                tracing::warn!("told to end a second time: what is in flight is cut off");
                Ending::Cut
            }
        }
    }

    /// Takes a configuration over, if it has changed: all of it that can be, or nothing. Requests in flight end as
    /// they began.
    async fn reload<E: std::fmt::Display>(
        &mut self,
        read: Option<Result<(Config, Fingerprint), E>>,
        asked: bool,
    ) {
        let Some(config) = read.and_then(|read| self.reloading.look(read, asked)) else { return };
        self.reloading.tell_fixed(&config);
        let (access_keys, key_sources) = (config.access_keys.clone(), config.key_sources.clone());
        let (drain, limits) = (config.drain, config.limits.clone());
        let plan = match self.plans.plan(plan(config)) {
            Ok(plan) => plan,
            Err(error) => return self.reloading.refused(&error),
        };
        if let Err(error) = self.key_sources.declare(&access_keys, &key_sources).await {
            return self.reloading.refused(&format!("declared access keys not reconciled: {error}"));
        }
        self.plans.replace(&plan);
        self.admission.reload(limits);
        self.drain = drain;
        self.reloading.succeeded(&self.clock);
    }

    /// Looks at the IAM directory, and takes it over if it has changed and nothing is wrong with it.
    pub async fn reload_identities(&self) {
        match self.identities.reload(&self.store).await {
            // Keys speak for users: a user that is somebody else now takes them along.
            Reloaded::Changed => {
                if let Err(error) = self.key_sources.rebind().await {
                    tracing::error!(%error, "declared access keys not reconciled");
                }
            }
            Reloaded::Unchanged | Reloaded::Refused => {}
        }
    }

    /// Fails readiness, waits for load balancers to notice, stops accepting, lets requests finish, closes the log.
    pub async fn shut_down(mut self) -> Ending {
        self.readiness.set_draining();
        tracing::info!(delay = ?self.drain.delay, timeout = ?self.drain.timeout, "draining");
        self.gateway_drain.leave();
        tokio::time::sleep(self.drain.delay).await;
        self.gateway_drain.drain();
        let ending = self.workers.settle(self.drain.timeout).await;
        if ending == Ending::Cut {
            tracing::warn!(deadline = ?self.drain.timeout, "requests still in flight are cut off");
        }
        self.admin_drain.drain();
        let answered = async { while self.admin_tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(Duration::from_secs(1), answered).await.is_err() {
            tracing::warn!("admin requests still in flight are cut off");
        }
        self.follower.abort();
        self.key_sources.end().await;
        self.store.close().await;
        tracing::info!("stopped");
        ending
    }
}

/// How requests are served under `config`.
fn plan(config: Config) -> PlanParts {
    PlanParts {
        settings: config.gateway,
        backend: config.backend,
        backends: config.backends,
        routes: config.routes,
        saml: config.iam.saml,
        access_log: config.log.access_log,
    }
}

fn identities(config: &Config, clock: Clock, metrics: &Metrics) -> Result<Identities, IdentitiesError> {
    match &config.iam.directory {
        Some(root) => Identities::open(root, &config.store.iam_register(), clock, metrics),
        None => Ok(Identities::none(clock, metrics)),
    }
}

/// Opens the audit trail.
pub(crate) fn audit(config: &config::Audit, metrics: &Metrics) -> Result<Audit, ServerError> {
    let config::Audit { log, file, strict } = config.clone();
    let path = file.clone().unwrap_or_default();
    Audit::start(&AuditOptions { log, file, strict }, metrics)
        .map_err(|source| ServerError::Audit { path, source })
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
