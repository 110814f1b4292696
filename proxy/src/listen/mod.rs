//! Accepting connections: limits, PROXY protocol, TLS, HTTP/1.1 and HTTP/2, draining.
//!
//! ```text
//! bind ──► Listener::serve, one per worker ──► Connection::run
//!                                                1 PROXY header    from load balancers that are believed
//!                                                2 TLS             certificate by SNI, the client's own if asked
//!                                                3 which HTTP      ALPN, or the preface of HTTP/2
//!                                                4 handle(Peer, Request) until it ends
//! ```
//!
//! Every step has a deadline, and nothing is waited for without one: not a header, not a handshake, not a head, not
//! the next request, not the reader of an answer. (The body of a request is the gateway's, which watches it.)

mod connection;
mod drain;
mod metrics;
mod patience;
mod prefixed;
mod proxy_protocol;
mod rest;
mod socket;
mod sources;
mod streams;
mod tls;
mod workers;

pub use drain::{Drain, DrainSwitch};
pub use metrics::ListenMetrics;
pub use socket::bind;
pub use tls::{Tls, TlsError, TlsReload};
pub use workers::{Ending, Workers};

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;

use connection::Connection;
use sources::Sources;

use crate::config::{self, Network};
use crate::gateway::{HEAD_SLACK, Peer};

/// Bounds on connections.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// At the same time; more wait in the backlog, but for one that each socket holds.
    pub connections: usize,
    /// Of these from one address; `None`: as many.
    pub per_source: Option<usize>,
    /// For a request head to arrive, for a TLS handshake, and for the next request.
    pub head_timeout: Duration,
    /// For a client to take a byte of its answer.
    pub stall_timeout: Duration,
    /// Largest request head in bytes, at least 8 KiB.
    pub head_bytes: usize,
}

impl From<&config::Gateway> for Limits {
    /// What the configuration gives the clients of S3 and STS.
    fn from(gateway: &config::Gateway) -> Self {
        Self {
            connections: gateway.max_connections,
            per_source: gateway.max_connections_per_source,
            head_timeout: gateway.head_timeout,
            stall_timeout: gateway.stall_timeout,
            head_bytes: gateway.max_head_bytes + HEAD_SLACK,
        }
    }
}

/// What all listeners for the same clients draw from; clones share it.
#[derive(Clone)]
pub struct Budget {
    limits: Limits,
    permits: Arc<Semaphore>,
    sources: Sources,
    metrics: ListenMetrics,
}

impl Budget {
    /// Nothing is spent yet.
    pub fn new(limits: Limits, metrics: ListenMetrics) -> Self {
        let permits = Arc::new(Semaphore::new(limits.connections));
        Self { limits, permits, sources: Sources::new(limits.per_source), metrics }
    }
}

/// What is particular to a listener.
#[derive(Clone, Default)]
pub struct ListenerOptions {
    /// What [`Peer::listener`] says.
    pub index: usize,
    /// TLS, if it is spoken.
    pub tls: Option<Tls>,
    /// Whether HTTP/2 is spoken.
    pub http2: bool,
    /// Who has to begin with a PROXY header, and is believed.
    pub proxy_protocol: Vec<Network>,
}

/// Accepts connections until told to drain, then lets requests in flight finish.
///
/// Several can share one address: a clone accepts from a socket of its own and is bound by the same limits.
#[derive(Clone)]
pub struct Listener {
    shared: Arc<Shared>,
    drain: Drain,
}

struct Shared {
    options: ListenerOptions,
    budget: Budget,
}

impl Listener {
    /// Accepts nothing yet.
    pub fn new(options: ListenerOptions, budget: Budget, drain: Drain) -> Self {
        Self { shared: Arc::new(Shared { options, budget }), drain }
    }

    /// Serves every connection of a bound socket with `handle`. Returns when drained; dropping the future cuts what is
    /// open. Must be called within the runtime that is to do the work.
    ///
    /// # Errors
    /// The socket is not one of ours.
    pub async fn serve<H, F, B>(self, socket: std::net::TcpListener, handle: H) -> std::io::Result<()>
    where
        H: Fn(Peer, Request<Incoming>) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Response<B>> + Send + 'static,
        B: Body<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let socket = TcpListener::from_std(socket)?;
        let mut connections = JoinSet::new();
        let serve = |stream, address, permit: Option<OwnedSemaphorePermit>| {
            let (shared, drain, handle) = (Arc::clone(&self.shared), self.drain.clone(), handle.clone());
            let open = Open::new(&shared.budget.metrics);
            let connection = Connection { shared, drain, handle };
            async move {
                connection.run(stream, address).await;
                drop((open, permit));
            }
        };
        let mut drain = self.drain.clone();
        loop {
            let accepted = tokio::select! {
                biased;
                () = drain.begun() => break,
                Some(_) = connections.join_next() => continue,
                accepted = socket.accept() => accepted,
            };
            match accepted {
                Ok((stream, address)) => {
                    // One beyond the limit waits here. To wait before it is accepted would let a worker that nobody
                    // calls keep the permit from one that has callers.
                    let permit = tokio::select! {
                        permit = Arc::clone(&self.shared.budget.permits).acquire_owned() => permit.ok(),
                        () = drain.begun() => None,
                    };
                    connections.spawn(serve(stream, address, permit));
                }
                Err(error) => {
                    // Out of descriptors, most likely: retrying at once would spin.
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        }
        // Whoever the kernel has let in already would see a reset.
        let socket = socket.into_std()?;
        while let Ok((stream, address)) = socket.accept() {
            if stream.set_nonblocking(true).is_ok()
                && let Ok(stream) = TcpStream::from_std(stream)
            {
                connections.spawn(serve(stream, address, None));
            }
        }
        drop(socket);
        while connections.join_next().await.is_some() {}
        Ok(())
    }
}

/// A connection that is counted as open until this is dropped.
struct Open(ListenMetrics);

impl Open {
    fn new(metrics: &ListenMetrics) -> Self {
        metrics.accepted.inc();
        metrics.open.inc();
        Self(metrics.clone())
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.dec();
    }
}

#[cfg(test)]
mod tests;
