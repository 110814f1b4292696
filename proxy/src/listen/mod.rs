//! Accepting connections: limits, TLS, HTTP/1.1, draining.

mod socket;
mod tls;
mod workers;

pub use socket::bind;
pub use tls::{TlsError, acceptor};
pub use workers::{Ending, Workers};

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
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
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
///
/// Several can share one address: a clone accepts from a socket of its own and is bound by the same limits.
#[derive(Clone)]
pub struct Listener {
    tls: Option<TlsAcceptor>,
    limits: Limits,
    permits: Arc<Semaphore>,
    draining: watch::Receiver<bool>,
}

impl Listener {
    /// It drains once `draining` turns true or its sender is gone.
    pub fn new(tls: Option<TlsAcceptor>, limits: Limits, draining: watch::Receiver<bool>) -> Self {
        Self { tls, limits, permits: Arc::new(Semaphore::new(limits.connections)), draining }
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
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let socket = TcpListener::from_std(socket)?;
        let mut connections = tokio::task::JoinSet::new();
        let mut draining = self.draining.clone();
        loop {
            let accepted = tokio::select! {
                biased;
                () = drained(&mut draining) => break,
                Some(_) = connections.join_next() => continue,
                accepted = self.accept(&socket) => accepted,
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
        drop(socket);
        while connections.join_next().await.is_some() {}
        Ok(())
    }

    /// A connection beyond the limit is taken from its socket and then waits here. To wait with the permit instead
    /// would let a worker that nobody calls keep it from one that has callers.
    async fn accept(
        &self,
        socket: &TcpListener,
    ) -> std::io::Result<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
        let (stream, address) = socket.accept().await?;
        let permit = Arc::clone(&self.permits).acquire_owned().await.map_err(std::io::Error::other)?;
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
    async fn run(mut self, stream: TcpStream, address: SocketAddr) {
        // Answers are small or streamed: waiting to fill a segment only adds delay.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "cannot set TCP_NODELAY");
        }
        match self.tls.clone() {
            None => self.http(stream, Peer::at(address)).await,
            Some(acceptor) => {
                let handshake = tokio::time::timeout(self.limits.head_timeout, acceptor.accept(stream));
                let shaken = tokio::select! {
                    shaken = handshake => shaken,
                    // Nothing has been asked yet, and nothing more will be answered.
                    () = drained(&mut self.draining) => return,
                };
                match shaken {
                    Ok(Ok(stream)) => self.http(stream, Peer { tls: true, ..Peer::at(address) }).await,
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
        let (handle, address) = (self.handle, peer.address);
        let service = service_fn(move |request| {
            let answer = handle(peer.clone(), request);
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
            tracing::debug!(%error, %address, "connection ended early");
        }
    }
}

/// Completes once draining begins.
async fn drained(draining: &mut watch::Receiver<bool>) {
    // A dropped sender means that the server itself is gone.
    drop(draining.wait_for(|draining| *draining).await);
}

#[cfg(test)]
mod tests {
    use http_body_util::Empty;
    use rustls::server::{ClientHello, ResolvesServerCert};
    use rustls::sign::CertifiedKey;

    use super::*;

    #[derive(Debug)]
    struct NoCertificate;

    impl ResolvesServerCert for NoCertificate {
        fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
            None
        }
    }

    fn acceptor() -> TlsAcceptor {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(NoCertificate));
        TlsAcceptor::from(Arc::new(config))
    }

    /// Whether a connection over which nothing is ever sent ends when draining begins.
    async fn ends(tls: Option<TlsAcceptor>) -> bool {
        let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let _client = TcpStream::connect(socket.local_addr().unwrap()).await.unwrap();
        let (stream, address) = socket.accept().await.unwrap();
        let hour = Duration::from_secs(3600);
        let (drain, draining) = watch::channel(false);
        let connection = Connection {
            tls,
            limits: Limits { connections: 1, head_timeout: hour, head_bytes: 8 << 10 },
            draining,
            handle: |_, _| async { Response::new(Empty::<Bytes>::new()) },
        };
        let mut served = std::pin::pin!(connection.run(stream, address));
        assert!(poll_once(served.as_mut()).await.is_pending(), "the connection waits for its client");
        drain.send_replace(true);
        tokio::time::timeout(Duration::from_secs(10), served).await.is_ok()
    }

    /// Polls once.
    async fn poll_once<F: Future>(mut future: std::pin::Pin<&mut F>) -> std::task::Poll<F::Output> {
        std::future::poll_fn(|context| std::task::Poll::Ready(future.as_mut().poll(context))).await
    }

    #[tokio::test]
    async fn nobody_who_has_asked_nothing_holds_up_a_drain() {
        assert!(ends(None).await, "before the first head");
        assert!(ends(Some(acceptor())).await, "in the TLS handshake");
    }
}
