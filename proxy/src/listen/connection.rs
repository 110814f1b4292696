//! One connection: PROXY header, TLS, which HTTP it is, and then requests until it ends.

use std::convert::Infallible;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;

use bytes::Bytes;
use http::header::CONNECTION;
use http::{HeaderValue, Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use hyper::server::conn::http1::{self, Parts};
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::patience::Patient;
use super::prefixed::Prefixed;
use super::rest::{CALM, HeadTimer};
use super::streams::{End, Streams};
use super::{Drain, Shared, proxy_protocol, tls};
use crate::gateway::{MAX_HEADERS, Peer};

/// What HTTP/2 begins with (RFC 9113, 3.4). No method of HTTP/1.1 is `PRI`.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// What is read of a request before its connection has buffers again: any little.
const FIRST_BYTES: usize = 16;

/// Requests of one HTTP/2 connection at a time.
const MAX_STREAMS: u32 = 128;
/// What a client may send before the gateway has passed it on: of one request, of all of a connection.
const STREAM_WINDOW: u32 = 256 << 10;
const CONNECTION_WINDOW: u32 = 1 << 20;
/// What of one answer waits for a client's window.
const SEND_BUFFER: usize = 64 << 10;
/// Requests that may be taken back before they are looked at, and faults of a client that end one request each, before
/// the connection ends.
const MAX_RESETS: usize = 32;

/// One connection's share of a listener.
pub(super) struct Connection<H> {
    pub(super) shared: Arc<Shared>,
    pub(super) drain: Drain,
    pub(super) handle: H,
}

type Raw = Prefixed<Patient<TcpStream>>;

/// A connection over which HTTP is spoken.
enum Greeted {
    Plain(Raw),
    Tls(Box<tokio_rustls::server::TlsStream<Raw>>),
}

impl<H, F, B> Connection<H>
where
    H: Fn(Peer, Request<Incoming>) -> F + Clone + Send + 'static,
    F: Future<Output = Response<B>> + Send + 'static,
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    pub(super) async fn run(mut self, stream: TcpStream, address: SocketAddr) {
        // Answers are small or streamed: waiting to fill a segment only adds delay.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "cannot set TCP_NODELAY");
        }
        let mut peer = Peer::at(address);
        peer.listener = self.shared.options.index;
        let limits = self.shared.budget.limits;
        let stream = Prefixed::new(Patient::new(stream, limits.stall_timeout));
        let shared = Arc::clone(&self.shared);
        let greeting = timeout(limits.head_timeout, Box::pin(greet(&shared, stream, &mut peer)));
        let greeted = tokio::select! {
            greeted = greeting => greeted,
            // Nothing has been asked yet, and nothing more will be answered.
            () = self.drain.due() => return,
        };
        let metrics = &shared.budget.metrics;
        let stream = match greeted {
            Ok(Some(stream)) => stream,
            Ok(None) => return,
            Err(_) => {
                metrics.silent.inc();
                return tracing::debug!(%address, "a client was silent for too long");
            }
        };
        let Some(_counted) = shared.budget.sources.count(peer.ip()) else {
            metrics.too_many.inc();
            return tracing::debug!(address = %peer.address(), "too many connections from one address");
        };
        match stream {
            Greeted::Plain(stream) => self.plain(stream, peer).await,
            Greeted::Tls(stream) => {
                let http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
                // Apart, since it is large and would be room in the task of every connection.
                Box::pin(self.http(Prefixed::new(*stream), peer, http2)).await;
            }
        }
    }

    /// Without ALPN the preface tells. It is read with care: what a client sends byte by byte is not HTTP/2 before it
    /// is all there.
    async fn plain(mut self, mut stream: Raw, peer: Peer) {
        if !self.shared.options.http2 {
            return self.http(stream, peer, false).await;
        }
        let deciding = async {
            loop {
                let ahead = stream.ahead();
                let begins = ahead.iter().zip(PREFACE).all(|(have, want)| have == want);
                if !begins || ahead.len() >= PREFACE.len() {
                    return Ok(begins);
                }
                if !stream.read_ahead(PREFACE.len()).await? {
                    return Err(io::Error::from(io::ErrorKind::UnexpectedEof));
                }
            }
        };
        let decided = tokio::select! {
            decided = timeout(self.shared.budget.limits.head_timeout, deciding) => decided,
            () = self.drain.due() => return,
        };
        match decided {
            Ok(Ok(http2)) => self.http(stream, peer, http2).await,
            Ok(Err(_)) => {}
            Err(_) => self.shared.budget.metrics.silent.inc(),
        }
    }

    async fn http<S>(self, stream: Prefixed<S>, peer: Peer, http2: bool)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (address, shared) = (peer.address(), Arc::clone(&self.shared));
        let result =
            if http2 { Box::pin(self.http2(stream, peer)).await } else { self.http1(stream, peer).await };
        if let Err(error) = result {
            if stalled(&error) {
                shared.budget.metrics.stalled.inc();
            }
            if error.is_timeout() {
                shared.budget.metrics.silent.inc();
            }
            tracing::debug!(%error, %address, "connection ended early");
        }
    }

    /// Serves requests, and rests in between.
    async fn http1<S>(mut self, mut stream: Prefixed<S>, peer: Peer) -> hyper::Result<()>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        // Apart, since it is what a connection that rests has no need of.
        while let Some(resting) = Box::pin(self.requests(stream, &peer)).await? {
            stream = resting;
            // It came behind the last request, and is the beginning of a head that has its time.
            if !stream.ahead().is_empty() {
                continue;
            }
            let limits = self.shared.budget.limits;
            let patience = limits.head_timeout.saturating_sub(CALM);
            tokio::select! {
                biased;
                read = timeout(patience, stream.read_ahead(FIRST_BYTES)) => match read {
                    Ok(Ok(true)) => {}
                    Ok(Ok(false) | Err(_)) => return Ok(()),
                    Err(_) => {
                        self.shared.budget.metrics.silent.inc();
                        return Ok(());
                    }
                },
                () = self.drain.due() => return Ok(()),
            }
        }
        Ok(())
    }

    /// Serves requests until the connection ends, or has been idle for a while: then the stream comes back.
    async fn requests<S>(&mut self, stream: Prefixed<S>, peer: &Peer) -> hyper::Result<Option<Prefixed<S>>>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let limits = self.shared.budget.limits;
        let (handle, drain, peer) = (self.handle.clone(), self.drain.clone(), peer.clone());
        let service = service_fn(move |request| {
            // hyper keeps room for a request's future as long as the connection lasts: it is only room for a pointer.
            let (answer, drain) = (Box::pin(handle(peer.clone(), request)), drain.clone());
            async move {
                let mut answer = answer.await;
                if drain.leaving() {
                    answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
                }
                Ok::<_, Infallible>(answer)
            }
        });
        let timer = HeadTimer::new(limits.head_timeout);
        let mut connection = http1::Builder::new()
            .timer(timer.clone())
            .header_read_timeout(limits.head_timeout)
            .max_buf_size(limits.head_bytes)
            .max_headers(MAX_HEADERS)
            .serve_connection(TokioIo::new(timer.note(stream)), service);
        let until_calm = poll_fn(|context| match Pin::new(&mut connection).poll(context) {
            Poll::Pending if timer.is_calm() => Poll::Ready(None),
            polled => polled.map(Some),
        });
        let ended = tokio::select! {
            biased;
            ended = until_calm => ended,
            () = self.drain.due() => {
                Pin::new(&mut connection).graceful_shutdown();
                Some((&mut connection).await)
            }
        };
        if let Some(result) = ended {
            return result.map(|()| None);
        }
        let Parts { io, read_buf, .. } = connection.into_parts();
        let mut stream = io.into_inner().into_inner();
        stream.put_back(&read_buf);
        Ok(Some(stream))
    }

    async fn http2<S>(mut self, stream: Prefixed<S>, peer: Peer) -> hyper::Result<()>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let limits = self.shared.budget.limits;
        let streams = Streams::new();
        let (handle, asked) = (self.handle, streams.clone());
        let service = service_fn(move |request| {
            let (stream, answer) = (asked.begin(), handle(peer.clone(), request));
            async move { Ok::<_, Infallible>(answer.await.map(|body| stream.answer(body))) }
        });
        let connection = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .max_concurrent_streams(MAX_STREAMS)
            .max_header_list_size(u32::try_from(limits.head_bytes).unwrap_or(u32::MAX))
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_send_buf_size(SEND_BUFFER)
            .max_pending_accept_reset_streams(MAX_RESETS)
            .max_local_error_reset_streams(MAX_RESETS)
            .keep_alive_interval(limits.head_timeout)
            .keep_alive_timeout(limits.head_timeout)
            .serve_connection(TokioIo::new(stream), service);
        let mut connection = pin!(connection);
        let metrics = &self.shared.budget.metrics;
        let mut draining = pin!(self.drain.begun());
        let mut leaving = false;
        loop {
            let over = tokio::select! {
                result = connection.as_mut() => return result,
                // GOAWAY says which requests are still answered: no moment has to be waited for.
                () = draining.as_mut(), if !leaving => End::Idle,
                over = streams.over(limits.head_timeout, limits.stall_timeout) => over,
            };
            match over {
                End::Idle => {
                    leaving = true;
                    connection.as_mut().graceful_shutdown();
                }
                End::Stalled => {
                    metrics.stalled.inc();
                    return Ok(());
                }
                End::Resets => {
                    metrics.reset.inc();
                    return Ok(());
                }
            }
        }
    }
}

/// PROXY header and TLS handshake, where they belong. `None`: it failed, and that has been counted.
async fn greet(shared: &Shared, mut stream: Raw, peer: &mut Peer) -> Option<Greeted> {
    let metrics = &shared.budget.metrics;
    let address = peer.address();
    if shared.options.proxy_protocol.iter().any(|network| network.contains(address.ip())) {
        match proxy_protocol::take(&mut stream).await {
            Ok(Some(source)) => peer.stand_for(source),
            Ok(None) => {}
            // Health checks connect and leave.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof && stream.ahead().is_empty() => {
                return None;
            }
            Err(error) => {
                metrics.bad_proxy_header.inc();
                tracing::debug!(%error, %address, "no PROXY header from a load balancer");
                return None;
            }
        }
    }
    let Some(tls) = &shared.options.tls else { return Some(Greeted::Plain(stream)) };
    match tls.acceptor().accept(stream).await {
        Ok(stream) => {
            peer.tls = true;
            let certificates = stream.get_ref().1.peer_certificates();
            peer.certificate = certificates.and_then(|chain| chain.first()).map(tls::names);
            Some(Greeted::Tls(Box::new(stream)))
        }
        Err(error) => {
            metrics.failed_handshake.inc();
            tracing::debug!(%error, %address, "TLS handshake failed");
            None
        }
    }
}

/// Whether a connection ended because its client read nothing.
fn stalled(error: &hyper::Error) -> bool {
    let causes = std::iter::successors(std::error::Error::source(error), |cause| cause.source());
    causes
        .filter_map(|cause| cause.downcast_ref::<io::Error>())
        .any(|cause| cause.kind() == io::ErrorKind::TimedOut)
}
