//! Connections to the backend, and the one function that sends a request over them.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::HOST;
use http::request::Parts;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, Uri};
use http_body::Body;
use hyper::body::Incoming;
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use sigv4::{SignError, Timestamp};

use super::resign::BackendSigner;
use super::tls::{ClientTlsError, client_tls};
use super::{Content, headers, identity, query};
use crate::auth::Permitted;
use crate::config::{Backend, BackendAuth};

/// The backend, and a pool of connections to it.
pub struct Upstream<B> {
    client: Client<HttpsConnector<HttpConnector>, B>,
    connector: HttpsConnector<HttpConnector>,
    backend: Arc<Backend>,
    auth: Arc<Auth>,
}

enum Auth {
    Resign(BackendSigner),
    Identity,
    Passthrough,
}

/// Why the backend gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum UpstreamError {
    /// No connection could be opened.
    #[error("cannot connect to the backend: {0}")]
    Connect(#[source] hyper_util::client::legacy::Error),
    /// The connection broke, or the request body did.
    #[error("the backend broke off: {0}")]
    Broken(#[source] hyper_util::client::legacy::Error),
    /// The request could not be signed or written.
    #[error("the request cannot be written for the backend: {0}")]
    Unwritable(String),
}

impl From<SignError> for UpstreamError {
    fn from(error: SignError) -> Self {
        Self::Unwritable(error.to_string())
    }
}

/// Why the way to the backend could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum UpstreamOptionsError {
    /// The file of certificate authorities, most likely.
    #[error("backend.ca_file: {0}")]
    Tls(#[from] ClientTlsError),
}

/// A request as the backend will see it, but for its authentication.
pub struct Outbound<'a> {
    /// Head of the client's request.
    pub parts: &'a Parts,
    /// Path for the backend, path-style. The client's own path when the request goes through untouched.
    pub path: &'a [u8],
    /// What is said about the body.
    pub content: Content,
    /// Address of the client.
    pub peer: std::net::IpAddr,
    /// Now.
    pub now: Timestamp,
}

impl<B> Upstream<B>
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    /// Sets up TLS and an empty pool; opens no connection.
    pub fn new(backend: Backend) -> Result<Self, UpstreamOptionsError> {
        let mut http = HttpConnector::new();
        http.set_connect_timeout(Some(backend.connect_timeout));
        http.set_nodelay(true);
        http.enforce_http(false);
        let connector = hyper_rustls::HttpsConnectorBuilder::new()
            .with_tls_config(client_tls(backend.ca_file.as_ref().into())?)
            .https_or_http()
            .enable_http1()
            .wrap_connector(http);
        let auth = match &backend.auth {
            BackendAuth::Resign { access_key_id, secret, region } => {
                Auth::Resign(BackendSigner::new(access_key_id.clone(), secret.clone(), region.clone()))
            }
            BackendAuth::Identity => Auth::Identity,
            BackendAuth::Passthrough => Auth::Passthrough,
        };
        let client = client(&backend, connector.clone());
        Ok(Self { client, connector, backend: Arc::new(backend), auth: Arc::new(auth) })
    }

    /// The same backend with an empty pool of its own.
    #[must_use]
    pub fn for_worker(&self) -> Self {
        Self {
            client: client(&self.backend, self.connector.clone()),
            connector: self.connector.clone(),
            backend: Arc::clone(&self.backend),
            auth: Arc::clone(&self.auth),
        }
    }

    /// Whether `other` is configured alike, secrets included.
    pub fn is_same_as(&self, other: &Self) -> bool {
        self.backend == other.backend
    }

    /// Whether the client's bytes and signature go through untouched.
    pub fn is_passthrough(&self) -> bool {
        matches!(*self.auth, Auth::Passthrough)
    }

    /// Whether the backend understands chunks with a trailing checksum.
    pub fn takes_trailers(&self) -> bool {
        matches!(*self.auth, Auth::Resign(_))
    }

    /// How long a response head may take after the request is complete.
    pub fn response_timeout(&self) -> Duration {
        self.backend.response_timeout
    }

    /// Sends a permitted request; the answer's body streams.
    ///
    /// The head is written before the future is first polled; the future borrows nothing of it.
    pub fn forward(
        &self,
        permitted: &Permitted,
        outbound: &Outbound<'_>,
        body: B,
    ) -> impl Future<Output = Result<Response<Incoming>, UpstreamError>> + Send + use<B> {
        let sent = self.request(permitted, outbound, body).map(|request| self.client.request(request));
        async move {
            sent?.await.map_err(|error| {
                if error.is_connect() { UpstreamError::Connect(error) } else { UpstreamError::Broken(error) }
            })
        }
    }

    fn request(
        &self,
        permitted: &Permitted,
        outbound: &Outbound<'_>,
        body: B,
    ) -> Result<Request<B>, UpstreamError> {
        let parts = outbound.parts;
        let mut headers = headers::end_to_end(&parts.headers, |name| permitted.signs(name));
        let raw_query = parts.uri.query();
        let query = match &*self.auth {
            Auth::Passthrough => raw_query.map(Into::into),
            Auth::Resign(_) | Auth::Identity => {
                headers::strip_authentication(&mut headers);
                headers::forget_dropped_trailer(parts, &outbound.content, &mut headers);
                headers::describe(&outbound.content, takes_body(&parts.method), &mut headers);
                raw_query.map(query::without_authentication).filter(|rest| !rest.is_empty())
            }
        };
        match &*self.auth {
            Auth::Passthrough => {}
            Auth::Identity => {
                forwarded(outbound, &mut headers);
                headers.insert(HOST, self.host()?);
                identity::add(permitted.credential(), &mut headers);
            }
            Auth::Resign(signer) => {
                headers.insert(HOST, self.host()?);
                let target = sigv4::Target {
                    method: parts.method.as_str(),
                    path: outbound.path,
                    query: query.as_deref().map(str::as_bytes),
                };
                signer.sign(target, &outbound.content, &mut headers, outbound.now)?;
            }
        }
        let mut request = Request::new(body);
        *request.method_mut() = parts.method.clone();
        *request.uri_mut() = self.uri(outbound.path, query.as_deref())?;
        *request.headers_mut() = headers;
        Ok(request)
    }

    fn host(&self) -> Result<HeaderValue, UpstreamError> {
        HeaderValue::from_str(self.backend.authority.as_str())
            .map_err(|error| UpstreamError::Unwritable(error.to_string()))
    }

    /// The bytes of path and query stand in the target as they stood in the client's.
    fn uri(&self, path: &[u8], query: Option<&str>) -> Result<Uri, UpstreamError> {
        let target = match query {
            Some(query) => [path, b"?", query.as_bytes()].concat(),
            None => path.to_vec(),
        };
        let target = PathAndQuery::from_maybe_shared(Bytes::from(target));
        let target = target.map_err(|error| UpstreamError::Unwritable(error.to_string()))?;
        let mut uri = http::uri::Parts::default();
        uri.scheme = Some(self.backend.scheme.clone());
        uri.authority = Some(self.backend.authority.clone());
        uri.path_and_query = Some(target);
        Uri::from_parts(uri).map_err(|error| UpstreamError::Unwritable(error.to_string()))
    }
}

fn client<B>(
    backend: &Backend,
    connector: HttpsConnector<HttpConnector>,
) -> Client<HttpsConnector<HttpConnector>, B>
where
    B: Body<Data = Bytes> + Send,
{
    Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(backend.idle_timeout)
        .build(connector)
}

/// Says where the request came from. Whatever the client itself claimed has been removed.
fn forwarded(outbound: &Outbound<'_>, headers: &mut HeaderMap) {
    const FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
    const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
    if let Ok(peer) = HeaderValue::from_str(&outbound.peer.to_string()) {
        headers.insert(FOR, peer);
    }
    if let Some(host) = outbound.parts.headers.get(HOST) {
        headers.insert(FORWARDED_HOST, host.clone());
    }
}

/// Whether a request of this method without a body says `Content-Length: 0` (RFC 9110, 8.6).
fn takes_body(method: &Method) -> bool {
    [Method::PUT, Method::POST, Method::PATCH].contains(method)
}
