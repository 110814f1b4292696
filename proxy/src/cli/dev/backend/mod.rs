//! The S3 backend of `sigward dev`: real objects in a directory, served over HTTP on loopback, in this process.
//!
//! [`s3s`] speaks the protocol and verifies the signature that the gateway made; [`s3s_fs`] keeps an object as a
//! file (where: [`names`]) and what is known of it in a file beside the buckets. It is a backend to develop and
//! test against, with these limits:
//!
//! * A key and the same key with `/` and more behind it exclude each other, as a file and a directory do.
//! * Parts of an upload are numbered 1, 2, 3, … without gaps, and the object that becomes of them has no checksum.
//! * An object that is replaced while it is read may for a moment be told with the ETag of the other, and a copy is
//!   visible before it is complete. An upload never is.
//! * Keys with control characters that XML cannot express are listed only with `encoding-type=url`.
//! * Conditional reads know ETags, not dates. There are no versions, ACLs, tags, policies or lists of uploads.

mod listing;
mod names;
mod objects;
mod operations;
mod proof;

use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::pin::pin;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use s3s::auth::SimpleAuth;
use s3s::service::{S3Service, S3ServiceBuilder};
use sigv4::SecretAccessKey;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tracing::instrument::WithSubscriber;
use tracing::subscriber::NoSubscriber;

use objects::Objects;

use crate::gateway::Lingering;

/// How long requests under way may take once the backend stops.
const DRAIN: Duration = Duration::from_secs(5);
/// How long to wait when no connection can be accepted, most often for want of file descriptors.
const BREATH: Duration = Duration::from_millis(50);

/// A running backend. It stops, gracefully, when dropped.
#[derive(Debug)]
pub(super) struct Backend {
    address: SocketAddr,
    /// Dropping it stops the server.
    stop: watch::Sender<()>,
    server: JoinHandle<()>,
}

impl Backend {
    /// Serves `directory`, which is made where it does not exist, on a free port of the loopback address. Takes
    /// only requests that are signed with this access key id and secret.
    ///
    /// # Errors
    ///
    /// When the directory cannot be used, no port be had, or the secret is not UTF-8.
    pub(super) async fn start(
        directory: &Path,
        access_key_id: &str,
        secret: &SecretAccessKey,
    ) -> io::Result<Self> {
        std::fs::create_dir_all(directory)?;
        let secret = str::from_utf8(secret.expose_secret())
            .map_err(|_| io::Error::new(io::ErrorKind::InvalidInput, "the secret is not UTF-8"))?;
        let mut service = S3ServiceBuilder::new(Objects::open(directory)?);
        service.set_auth(SimpleAuth::from_single(access_key_id, secret));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let (stop, stopping) = watch::channel(());
        let server = tokio::spawn(serve(listener, service.build(), stopping));
        Ok(Self { address, stop, server })
    }

    /// Where it listens.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Stops accepting, and returns once requests under way are answered, or after five seconds.
    pub(super) async fn stop(self) {
        drop(self.stop);
        if let Err(error) = self.server.await {
            tracing::error!(%error, "the S3 backend failed");
        }
    }
}

async fn serve(listener: TcpListener, service: S3Service, mut stopping: watch::Receiver<()>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((socket, _)) => {
                    connections.spawn(serve_connection(socket, service.clone(), stopping.clone()));
                }
                Err(error) => {
                    tracing::warn!(%error, "the S3 backend cannot accept a connection");
                    tokio::time::sleep(BREATH).await;
                }
            },
            Some(_) = connections.join_next() => {}
            _ = stopping.changed() => break,
        }
    }
    drop(listener);
    let drained = async { while connections.join_next().await.is_some() {} };
    // What is still open afterwards is cut off with the set.
    drop(tokio::time::timeout(DRAIN, drained).await);
}

async fn serve_connection(socket: TcpStream, service: S3Service, mut stopping: watch::Receiver<()>) {
    let answer = service_fn(|request| answer(&service, request));
    let mut connection = pin!(http1::Builder::new().serve_connection(TokioIo::new(socket), answer));
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        _ = stopping.changed() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection to the S3 backend broke");
    }
}

/// Answers a request. The libraries log heads of requests, signatures included, and every absent key as an error:
/// they are not listened to.
async fn answer(
    service: &S3Service,
    request: http::Request<hyper::body::Incoming>,
) -> Result<http::Response<s3s::Body>, Infallible> {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let (head, body) = request.into_parts();
    let body = s3s::Body::http_body(Lingering::new(body, &head.headers));
    let request = http::Request::from_parts(head, body);
    let response = service.call(request).with_subscriber(NoSubscriber::default()).await;
    let response = response.unwrap_or_else(|_| {
        let mut response = http::Response::new(s3s::Body::empty());
        *response.status_mut() = http::StatusCode::INTERNAL_SERVER_ERROR;
        response
    });
    if response.status().is_server_error() {
        tracing::error!(%method, path, status = response.status().as_u16(), "the S3 backend failed");
    }
    Ok(response)
}

#[cfg(test)]
mod tests;
