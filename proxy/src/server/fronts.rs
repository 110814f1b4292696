//! The doors of the process: listeners for clients and for operators, their sockets and their certificates.

use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use prometheus::{IntGauge, IntGaugeVec};
use tokio::task::JoinSet;

use super::ServerError;
use crate::config::{self, Config, Network};
use crate::gateway::Peer;
use crate::listen::{
    self, Budget, Drain, Limits, ListenMetrics, Listener, ListenerOptions, Tls, TlsReload, Workers,
};
use crate::metrics::Metrics;

/// Operators and their programs are few.
const ADMIN_LIMITS: Limits = Limits {
    connections: 256,
    per_source: None,
    head_timeout: Duration::from_secs(10),
    stall_timeout: Duration::from_secs(60),
    head_bytes: 16 << 10,
};

/// Everything that is bound, before anything is accepted.
pub(super) struct Fronts {
    /// Addresses of the listeners for clients.
    pub(super) gateways: Vec<SocketAddr>,
    /// Address of the listener for operators.
    pub(super) admin: SocketAddr,
    pub(super) clients: Doors,
    pub(super) operators: Doors,
    pub(super) certificates: Certificates,
}

/// Listeners that draw from one budget, each with a socket for each worker.
pub(super) struct Doors {
    budget: Budget,
    doors: Vec<(ListenerOptions, Vec<TcpListener>)>,
    workers: usize,
}

/// The certificates of all listeners.
pub(super) struct Certificates {
    kept: Vec<Kept>,
    not_after: IntGaugeVec,
    refused: IntGaugeVec,
}

struct Kept {
    listener: String,
    tls: Tls,
    not_after: IntGauge,
    refused: IntGauge,
}

impl Fronts {
    /// Reads certificates and binds sockets.
    pub(super) fn open(config: &Config, metrics: &Metrics) -> Result<Self, ServerError> {
        let limits = Limits::from(&config.gateway);
        let mut certificates = Certificates::register(metrics);
        let workers = config.gateway.workers;
        let mut clients = Doors::new(Budget::new(limits, ListenMetrics::register(metrics)), workers);
        let mut gateways = Vec::new();
        for (name, listener) in config.gateway.listeners() {
            let tls = certificates.open(&name, listener.tls.as_ref(), listener.http2)?;
            let (http2, proxy_protocol) = (listener.http2, listener.proxy_protocol);
            gateways.push(clients.open(name, listener.listen, (tls, http2, proxy_protocol))?);
        }
        // What operators do is not counted among the clients.
        let apart = ListenMetrics::register(&Metrics::new());
        let mut operators = Doors::new(Budget::new(ADMIN_LIMITS, apart), 1);
        let tls = certificates.open("admin", config.admin.tls.as_ref(), true)?;
        let admin = operators.open("admin".to_owned(), config.admin.listen, (tls, true, Vec::new()))?;
        Ok(Self { gateways, admin, clients, operators, certificates })
    }
}

impl Doors {
    fn new(budget: Budget, workers: usize) -> Self {
        Self { budget, doors: Vec::new(), workers }
    }

    fn open(
        &mut self,
        listener: String,
        address: SocketAddr,
        (tls, http2, proxy_protocol): (Option<Tls>, bool, Vec<Network>),
    ) -> Result<SocketAddr, ServerError> {
        let (bound, sockets) = listen::bind(address, self.workers).map_err(|source| ServerError::Bind {
            listener,
            address,
            source,
        })?;
        let options = ListenerOptions { index: self.doors.len(), tls, http2, proxy_protocol };
        self.doors.push((options, sockets));
        Ok(bound)
    }

    /// For each worker its sockets.
    fn shares(self, drain: &Drain) -> Vec<Vec<(Listener, TcpListener)>> {
        let mut shares: Vec<Vec<_>> = (0..self.workers).map(|_| Vec::new()).collect();
        for (options, sockets) in self.doors {
            let listener = Listener::new(options, self.budget.clone(), drain.clone());
            for (share, socket) in shares.iter_mut().zip(sockets) {
                share.push((listener.clone(), socket));
            }
        }
        shares
    }

    /// Serves on threads of their own, each with a handler of its own.
    pub(super) fn into_workers<H, F, B>(
        self,
        drain: Drain,
        mut handler: impl FnMut() -> H,
    ) -> std::io::Result<Workers>
    where
        H: Fn(Peer, Request<Incoming>) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Response<B>> + Send + 'static,
        B: Body<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let jobs = self.shares(&drain).into_iter().map(|share| {
            let handle = handler();
            move || async move {
                let mut served = JoinSet::new();
                for (listener, socket) in share {
                    served.spawn(serve(listener, socket, handle.clone()));
                }
                while served.join_next().await.is_some() {}
            }
        });
        Workers::start(jobs)
    }

    /// Serves on the runtime of the caller.
    pub(super) fn into_tasks<H, F, B>(self, drain: &Drain, handle: H) -> JoinSet<()>
    where
        H: Fn(Peer, Request<Incoming>) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Response<B>> + Send + 'static,
        B: Body<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let doors = self.shares(drain).into_iter().flatten();
        doors.map(|(listener, socket)| serve(listener, socket, handle.clone())).collect()
    }
}

/// Serves what comes to `socket` until the listener has drained.
async fn serve<H, F, B>(listener: Listener, socket: TcpListener, handle: H)
where
    H: Fn(Peer, Request<Incoming>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response<B>> + Send + 'static,
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    if let Err(error) = listener.serve(socket, handle).await {
        tracing::error!(%error, "nothing is accepted from a socket");
    }
}

impl Certificates {
    fn register(metrics: &Metrics) -> Self {
        Self {
            kept: Vec::new(),
            not_after: metrics.gauges(
                "tls_certificate_not_after_seconds",
                "When the first certificate of a listener ends, in seconds since 1970.",
                &["listener"],
            ),
            refused: metrics.gauges(
                "tls_reload_refused",
                "1 while the files of a listener hold something else than what it uses, and do not serve.",
                &["listener"],
            ),
        }
    }

    fn open(
        &mut self,
        listener: &str,
        settings: Option<&config::Tls>,
        http2: bool,
    ) -> Result<Option<Tls>, ServerError> {
        let Some(settings) = settings else { return Ok(None) };
        let listener = listener.to_owned();
        let tls = match Tls::open(settings, http2) {
            Ok(tls) => tls,
            Err(source) => return Err(ServerError::Tls { listener, source }),
        };
        let not_after = self.not_after.with_label_values(&[&listener]);
        not_after.set(tls.not_after());
        let refused = self.refused.with_label_values(&[&listener]);
        self.kept.push(Kept { listener, tls: tls.clone(), not_after, refused });
        Ok(Some(tls))
    }

    /// Looks at the files of all listeners. A listener whose files do not serve keeps what it has.
    pub(super) async fn reload(&self) {
        for Kept { listener, tls, not_after, refused } in &self.kept {
            let handle = tls.clone();
            let Ok(outcome) = tokio::task::spawn_blocking(move || handle.reload()).await else { continue };
            match outcome {
                TlsReload::Unchanged => {}
                TlsReload::Changed => {
                    refused.set(0);
                    not_after.set(tls.not_after());
                    tracing::info!(listener, not_after = tls.not_after(), "certificates reloaded");
                }
                TlsReload::Refused(error) => {
                    refused.set(1);
                    if let Some(error) = error {
                        tracing::error!(listener, %error, "certificates not reloaded: the ones before stay in use");
                    }
                }
            }
        }
    }
}
