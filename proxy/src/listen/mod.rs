//! Accepting connections: limits, TLS, HTTP/1.1, draining.

mod tls;

pub use tls::{TlsError, acceptor};

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio_rustls::TlsAcceptor;

use crate::gateway::Peer;

/// Bounds on connections.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// At the same time; more wait in the backlog.
    pub connections: usize,
    /// For a request head to arrive, and for a TLS handshake.
    pub head_timeout: Duration,
    /// Largest request head in bytes, at least 8 KiB.
    pub head_bytes: usize,
}

/// Most headers of a request. With `head_bytes` it bounds what a head may cost.
const MAX_HEADERS: usize = 128;

/// Accepts connections until told to drain, then lets requests in flight finish.
pub struct Listener {
    socket: TcpListener,
    tls: Option<TlsAcceptor>,
    limits: Limits,
    draining: watch::Receiver<bool>,
}

impl Listener {
    /// Takes over a bound socket. It drains once `draining` turns true or its sender is gone.
    pub fn new(
        socket: TcpListener,
        tls: Option<TlsAcceptor>,
        limits: Limits,
        draining: watch::Receiver<bool>,
    ) -> Self {
        Self { socket, tls, limits, draining }
    }

    /// Serves every connection with `handle`. Returns when drained; dropping the future cuts what is open.
    pub async fn serve<H, F, B>(self, handle: H)
    where
        H: Fn(Peer, Request<Incoming>) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Response<B>> + Send + 'static,
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let permits = Arc::new(Semaphore::new(self.limits.connections));
        let mut connections = tokio::task::JoinSet::new();
        let mut draining = self.draining.clone();
        loop {
            let accepted = tokio::select! {
                biased;
                () = drained(&mut draining) => break,
                Some(_) = connections.join_next() => continue,
                accepted = self.accept(&permits) => accepted,
            };
            let (stream, address, permit) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    // Out of descriptors, most likely: retrying at once would spin.
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            };
            let connection = Connection {
                tls: self.tls.clone(),
                limits: self.limits,
                draining: self.draining.clone(),
                handle: handle.clone(),
            };
            connections.spawn(async move {
                connection.run(stream, address).await;
                drop(permit);
            });
        }
        drop(self.socket);
        while connections.join_next().await.is_some() {}
    }

    async fn accept(
        &self,
        permits: &Arc<Semaphore>,
    ) -> std::io::Result<(TcpStream, SocketAddr, tokio::sync::OwnedSemaphorePermit)> {
        let permit = Arc::clone(permits).acquire_owned().await.map_err(std::io::Error::other)?;
        let (stream, address) = self.socket.accept().await?;
        Ok((stream, address, permit))
    }
}

/// One connection's share of the listener.
struct Connection<H> {
    tls: Option<TlsAcceptor>,
    limits: Limits,
    draining: watch::Receiver<bool>,
    handle: H,
}

impl<H, F, B> Connection<H>
where
    H: Fn(Peer, Request<Incoming>) -> F + Clone + Send + 'static,
    F: Future<Output = Response<B>> + Send + 'static,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    async fn run(self, stream: TcpStream, address: SocketAddr) {
        // Answers are small or streamed: waiting to fill a segment only adds delay.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "cannot set TCP_NODELAY");
        }
        match self.tls.clone() {
            None => self.http(stream, Peer { address, tls: false }).await,
            Some(acceptor) => {
                match tokio::time::timeout(self.limits.head_timeout, acceptor.accept(stream)).await {
                    Ok(Ok(stream)) => self.http(stream, Peer { address, tls: true }).await,
                    Ok(Err(error)) => tracing::debug!(%error, %address, "TLS handshake failed"),
                    Err(_) => tracing::debug!(%address, "TLS handshake timed out"),
                }
            }
        }
    }

    async fn http<S>(mut self, stream: S, peer: Peer)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let handle = self.handle;
        let service = service_fn(move |request| {
            let answer = handle(peer, request);
            async move { Ok::<_, Infallible>(answer.await) }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(self.limits.head_timeout)
            .max_buf_size(self.limits.head_bytes)
            .max_headers(MAX_HEADERS)
            .serve_connection(TokioIo::new(stream), service);
        let mut connection = std::pin::pin!(connection);
        let result = tokio::select! {
            result = connection.as_mut() => result,
            () = drained(&mut self.draining) => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = result {
            tracing::debug!(%error, peer = %peer.address, "connection ended early");
        }
    }
}

/// Completes once draining begins.
async fn drained(draining: &mut watch::Receiver<bool>) {
    // A dropped sender means that the server itself is gone.
    drop(draining.wait_for(|draining| *draining).await);
}
