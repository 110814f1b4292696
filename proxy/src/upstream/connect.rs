//! Opens connections: TCP, and TLS on top of it, both within one time-out.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::task::AbortHandle;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::endpoint::Endpoint;
use super::health::Finding;
use super::metrics::{Connect, Counted};

/// Why no connection could be opened.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// Nobody listens there, or nobody can be reached.
    #[error("{0}")]
    Refused(#[source] io::Error),
    /// No TLS with whoever listens there.
    #[error("TLS: {0}")]
    Tls(#[source] io::Error),
    /// The time is over.
    #[error("no connection within {0:?}")]
    Timeout(Duration),
    /// The connection cannot speak HTTP.
    #[error("{0}")]
    Http(#[from] hyper::Error),
}

impl ConnectError {
    const fn outcome(&self) -> Connect {
        match self {
            Self::Refused(_) | Self::Http(_) => Connect::Refused,
            Self::Tls(_) => Connect::Tls,
            Self::Timeout(_) => Connect::Timeout,
        }
    }
}

/// How connections are opened.
pub(super) struct Connector {
    pub(super) tls: Option<TlsConnector>,
    /// For TCP and TLS together.
    pub(super) timeout: Duration,
}

impl Connector {
    /// Opens a connection and takes note of how that ended.
    pub(super) async fn open<B>(&self, endpoint: &Endpoint) -> Result<Connection<B>, ConnectError>
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let opened = timeout(self.timeout, self.handshake(endpoint)).await;
        let opened = opened.unwrap_or(Err(ConnectError::Timeout(self.timeout)));
        match &opened {
            Ok(_) => endpoint.origin.metrics.connected(Connect::Opened),
            Err(error) => {
                endpoint.origin.metrics.connected(error.outcome());
                let silent = matches!(error, ConnectError::Timeout(_));
                endpoint.note(if silent { Finding::Silent } else { Finding::Failed });
            }
        }
        opened
    }

    async fn handshake<B>(&self, endpoint: &Endpoint) -> Result<Connection<B>, ConnectError>
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let stream = TcpStream::connect(endpoint.address).await.map_err(ConnectError::Refused)?;
        stream.set_nodelay(true).map_err(ConnectError::Refused)?;
        match (&endpoint.origin.server_name, &self.tls) {
            (Some(name), Some(tls)) => {
                let stream = tls.connect(name.clone(), stream).await.map_err(ConnectError::Tls)?;
                drive(stream, endpoint).await
            }
            // The connector has TLS wherever an endpoint asks for it: they are made together.
            (Some(_), None) => Err(ConnectError::Tls(io::ErrorKind::Unsupported.into())),
            (None, _) => drive(stream, endpoint).await,
        }
    }
}

/// Most that is read of an answer before it is passed on, and the longest head of one. Who reads slowly keeps as much
/// waiting here; more of it at a time costs the processor's cache and saves nothing.
const READ_BUFFER: usize = 64 << 10;

async fn drive<S, B>(stream: S, endpoint: &Endpoint) -> Result<Connection<B>, ConnectError>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let line = TokioIo::new(Line { stream, refused: false });
    let (sender, connection) = http1::Builder::new().max_buf_size(READ_BUFFER).handshake(line).await?;
    let open = Counted::one(&endpoint.origin.metrics.open);
    let task = tokio::spawn(async move {
        let _open = open;
        // Whoever sent a request over it learns how it ended; an idle one may end as it likes.
        drop(connection.await);
    });
    Ok(Connection { sender, task: task.abort_handle() })
}

/// An open connection, driven by a task of the runtime that opened it. Closed when dropped.
pub(super) struct Connection<B> {
    sender: SendRequest<B>,
    task: AbortHandle,
}

impl<B: Body + 'static> Connection<B> {
    /// Sends a request. One that comes back with the error has not been sent, not even in part.
    pub(super) async fn send(
        &mut self,
        request: Request<B>,
    ) -> Result<Response<Incoming>, TrySendError<Request<B>>> {
        self.sender.try_send_request(request).await
    }
}

impl<B> Connection<B> {
    /// Whether it can take a request, as far as is known.
    pub(super) fn is_ready(&self) -> bool {
        self.sender.is_ready()
    }

    /// Whether it is known to be closed.
    pub(super) fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }

    /// Waits until it can take a request; whether it ever will.
    pub(super) async fn ready(&mut self) -> bool {
        self.sender.ready().await.is_ok()
    }
}

impl<B> Drop for Connection<B> {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A connection that listens on after it could not speak.
///
/// A server that refuses an upload answers, closes and does not read on: what is written then fails, while the answer
/// lies there to be read. An error of the writing half would end the exchange before that. So it is kept quiet, no
/// more is written, and the reading half has the last word: the answer, or the end of the connection.
///
/// Linux lets everything be read that had arrived before a reset.
struct Line<S> {
    stream: S,
    /// The peer takes no more.
    refused: bool,
}

impl<S> Line<S> {
    /// The reading half wakes whoever drives the connection: there is nothing to wait for here.
    fn unless_refused<T>(&mut self, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, NotConnected};
        match ready!(written) {
            Err(error)
                if [BrokenPipe, ConnectionReset, ConnectionAborted, NotConnected].contains(&error.kind()) =>
            {
                self.refused = true;
                Poll::Pending
            }
            done => Poll::Ready(done),
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Line<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Line<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.refused {
            return Poll::Pending;
        }
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.unless_refused(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.refused {
            return Poll::Pending;
        }
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, pieces);
        self.unless_refused(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.refused {
            return Poll::Pending;
        }
        let flushed = Pin::new(&mut self.stream).poll_flush(context);
        self.unless_refused(flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
