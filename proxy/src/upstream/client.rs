//! The one function that sends a request to a backend, and what it takes to do that again when it may.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::HOST;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use http_body::Body;
use sigv4::{SignError, Timestamp};
use tokio::runtime::Handle;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;

use super::address::{Address, target};
use super::answer::{Answer, AnswerError};
use super::balance::{Endpoints, Unresolved, keep_resolved};
use super::connect::{ConnectError, Connector};
use super::endpoint::{Endpoint, EndpointId, NoServerName, Origin, Slot};
use super::health::{self, Finding};
use super::metrics::UpstreamMetrics;
use super::pool::{Lease, Pool};
use super::refusal;
use super::request_body::RequestBody;
use super::resign::BackendSigner;
use super::retry::{Budget, is_repeatable};
use super::tls::{ClientTlsError, FilesDigest, client_tls_as};
use super::{Content, headers, identity, query};
use crate::auth::Permitted;
use crate::config::{Addressing, Backend, BackendAuth, BackendEndpoint};

/// A backend, and one worker's connections to it.
pub struct Upstream<B> {
    shared: Arc<Shared>,
    pool: Pool<B>,
    budget: Budget,
}

/// What all workers know about a backend.
struct Shared {
    settings: Backend,
    tls_files: FilesDigest,
    auth: Auth,
    endpoints: Arc<Endpoints>,
    connector: Arc<Connector>,
}

enum Auth {
    Resign(BackendSigner),
    Identity,
    Passthrough,
}

/// Why the backend gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum UpstreamError {
    /// No address of it is known.
    #[error(transparent)]
    Unresolved(#[from] Unresolved),
    /// No connection could be opened.
    #[error("cannot connect to the backend: {0}")]
    Connect(#[from] ConnectError),
    /// The connection broke, or the request body did.
    #[error("the backend broke off: {0}")]
    Broken(#[source] hyper::Error),
    /// It answered 101: no client's request to change the protocol ever reaches it.
    #[error("the backend switches to a protocol that nobody asked for")]
    Switched,
    /// It refuses the gateway's own credential, with this code: the client can do nothing about it.
    #[error("the backend refuses the gateway's credential: {0}")]
    Refused(&'static str),
    /// It refused something, and broke off before it had said what.
    #[error("the backend's refusal cannot be read: {0}")]
    Unread(#[source] AnswerError),
    /// It has as many requests as it may, and none ended in time.
    #[error("the backend has {0} requests under way already")]
    Busy(usize),
    /// The whole exchange took too long.
    #[error("no answer within {0:?}")]
    TooLong(Duration),
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
    #[error("TLS to the backend: {0}")]
    Tls(#[from] ClientTlsError),
    /// An endpoint.
    #[error("backend.endpoints: {0}")]
    Endpoint(#[from] NoServerName),
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
    pub forwarded_for: Option<&'a HeaderValue>,
    /// Now.
    pub now: Timestamp,
}

/// A request that got no answer.
struct Failed<B> {
    error: UpstreamError,
    /// The body, where nothing of the request has been sent.
    unsent: Option<RequestBody<B>>,
    /// Whether the connection had served before: then it is the connection that failed, and not the endpoint.
    stale: bool,
}

impl<B> Upstream<B>
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    /// Sets up TLS and an empty pool; opens no connection. Where names must be looked up or endpoints checked, tasks of
    /// the current runtime do that for as long as the backend is needed.
    pub fn new(
        name: &str,
        settings: Backend,
        metrics: &UpstreamMetrics,
    ) -> Result<Self, UpstreamOptionsError> {
        let server_name = settings.tls.server_name.as_deref();
        let origin = |endpoint: &BackendEndpoint| {
            let metrics = metrics.origin(name, endpoint.authority.as_str());
            Origin::new(endpoint, server_name, metrics).map(Arc::new)
        };
        let origins = settings.endpoints.iter().map(origin).collect::<Result<Vec<_>, _>>()?;
        let tls_files = FilesDigest::of(&settings.tls);
        let needs_tls = origins.iter().any(|origin| origin.server_name.is_some());
        let tls = needs_tls
            .then(|| client_tls_as(settings.tls.ca_file.as_ref().into(), settings.tls.identity.as_ref()));
        let tls = tls.transpose()?.map(|mut config| {
            config.alpn_protocols = vec![b"http/1.1".to_vec()];
            TlsConnector::from(Arc::new(config))
        });
        let connector = Arc::new(Connector { tls, timeout: settings.connect_timeout });
        let endpoints = Arc::new(Endpoints::new(origins, settings.clone()));
        // Without a runtime the settings are only tried out.
        if let Ok(runtime) = Handle::try_current() {
            if endpoints.has_names() {
                runtime.spawn(keep_resolved(Arc::downgrade(&endpoints), settings.resolve_interval));
            }
            if let Some(check) = settings.health_check.clone() {
                runtime.spawn(health::keep_checked(
                    Arc::downgrade(&endpoints),
                    Arc::clone(&connector),
                    check,
                ));
            }
        }
        let auth = match &settings.auth {
            BackendAuth::Resign { access_key_id, secret, region } => {
                Auth::Resign(BackendSigner::new(access_key_id.clone(), secret.clone(), region.clone()))
            }
            BackendAuth::Identity => Auth::Identity,
            BackendAuth::Passthrough => Auth::Passthrough,
        };
        Ok(Self {
            pool: Pool::new(settings.max_idle_connections, settings.idle_timeout),
            budget: Budget::new(settings.retry_percent),
            shared: Arc::new(Shared { settings, tls_files, auth, endpoints, connector }),
        })
    }

    /// The same backend with connections of its own. Load and health of the endpoints are known to both.
    #[must_use]
    pub fn for_worker(&self) -> Self {
        let settings = &self.shared.settings;
        Self {
            shared: Arc::clone(&self.shared),
            pool: Pool::new(settings.max_idle_connections, settings.idle_timeout),
            budget: Budget::new(settings.retry_percent),
        }
    }

    /// Whether both are ways to a backend that is configured in the same way, secrets and the content of files included.
    pub fn is_same_as(&self, other: &Self) -> bool {
        self.shared.settings == other.shared.settings && self.shared.tls_files == other.shared.tls_files
    }

    /// Whether the client's bytes and signature go through untouched.
    pub fn is_passthrough(&self) -> bool {
        matches!(self.shared.auth, Auth::Passthrough)
    }

    /// Whether an object, or a bucket where there is no key, stands where the backend has another interface than S3: that
    /// would take the credential of the gateway, which may be everything there. Names are those of the backend.
    pub fn reserves(&self, bucket: &str, key: Option<&str>) -> bool {
        let settings = &self.shared.settings;
        let is_reserved =
            |name: &str| settings.reserved_buckets.iter().any(|known| name.eq_ignore_ascii_case(known));
        // A bucket that becomes part of the host leaves the key alone in the path.
        let first = key.filter(|_| settings.addressing == Addressing::Virtual);
        let first = first.and_then(|key| key.split('/').find(|segment| !matches!(*segment, "" | "." | "..")));
        !self.is_passthrough() && (is_reserved(bucket) || first.is_some_and(is_reserved))
    }

    /// Whether the backend understands chunks with a trailing checksum.
    pub fn takes_trailers(&self) -> bool {
        matches!(self.shared.auth, Auth::Resign(_)) && self.shared.settings.trailers
    }

    /// How long a response head may take after the request is complete.
    pub fn response_timeout(&self) -> Duration {
        self.shared.settings.response_timeout
    }

    /// How long nothing may move while a body is on its way.
    pub fn stall_timeout(&self) -> Duration {
        self.shared.settings.stall_timeout
    }

    /// Sends a permitted request; the answer's body streams.
    ///
    /// What has not been sent goes to another endpoint if one fails, and what is safe to repeat (GET and the like,
    /// without a body) even if it has been: as often as the configuration allows. Nothing else is ever sent twice.
    pub async fn forward(
        &self,
        permitted: &Permitted,
        outbound: &Outbound<'_>,
        body: B,
    ) -> Result<Response<Answer<B>>, UpstreamError> {
        let total = self.shared.settings.total_timeout.map(|total| (total, Instant::now() + total));
        let deadline = total.map(|(_, deadline)| deadline);
        let sending = pin!(self.send(permitted, outbound, body, deadline));
        let Some((total, deadline)) = total else { return sending.await };
        timeout_at(deadline, sending).await.unwrap_or(Err(UpstreamError::TooLong(total)))
    }

    async fn send(
        &self,
        permitted: &Permitted,
        outbound: &Outbound<'_>,
        body: B,
        deadline: Option<Instant>,
    ) -> Result<Response<Answer<B>>, UpstreamError> {
        let settings = &self.shared.settings;
        let mut body = RequestBody::new(body);
        let repeatable = body.is_empty() && is_repeatable(&outbound.parts.method);
        let (mut tried, mut stale) = (Vec::new(), false);
        self.budget.earn();
        loop {
            let endpoint = self.endpoint(&tried).await?;
            let slot = endpoint.enter(settings.queue_timeout).await;
            let slot = slot.ok_or(UpstreamError::Busy(settings.max_connections))?;
            let request = self.request(permitted, outbound, &endpoint.origin, body)?;
            let failed = match self.exchange(slot, request, stale).await {
                Ok((answer, lease)) => {
                    let stall = settings.stall_timeout;
                    let answer = answer.map(|body| Answer::new(body, lease, stall, deadline));
                    return match &self.shared.auth {
                        // What is rare lies apart, so that it is not room in the future of every request.
                        Auth::Resign(_) if refusal::is_possible(&outbound.parts.method, answer.status()) => {
                            Box::pin(unless_refused(answer)).await
                        }
                        Auth::Resign(_) | Auth::Identity | Auth::Passthrough => Ok(answer),
                    };
                }
                Err(failed) => failed,
            };
            stale = failed.stale;
            if !stale {
                tried.push(endpoint.id);
            }
            let elsewhere = stale || tried.len() < self.shared.endpoints.current().len();
            body = match failed.unsent {
                Some(unsent) => unsent,
                None if repeatable => RequestBody::Empty,
                None => return Err(failed.error),
            };
            if !elsewhere || tried.len() >= settings.max_tries || !self.budget.spend() {
                return Err(failed.error);
            }
            endpoint.origin.metrics.retries.inc();
        }
    }

    /// Where the next attempt goes. Names are looked up here only if that has never succeeded.
    async fn endpoint(&self, tried: &[EndpointId]) -> Result<Arc<Endpoint>, UpstreamError> {
        loop {
            if let Some(endpoint) = self.shared.endpoints.choose(tried) {
                return Ok(endpoint);
            }
            Box::pin(self.shared.endpoints.resolve()).await?;
        }
    }

    /// One attempt: over an idle connection unless those are `stale`, or over a new one.
    async fn exchange(
        &self,
        slot: Slot,
        mut request: Request<RequestBody<B>>,
        stale: bool,
    ) -> Result<(Response<hyper::body::Incoming>, Lease<B>), Failed<B>> {
        let endpoint = Arc::clone(slot.endpoint());
        while !stale && let Some(mut link) = self.pool.take(endpoint.id) {
            match link.send(request).await {
                Ok(answer) => return self.answered(answer, Lease { link, slot, pool: self.pool.clone() }),
                Err(mut error) => match error.take_message() {
                    // It was closed in the meantime: no harm is done.
                    Some(unsent) => request = unsent,
                    None => {
                        let error = UpstreamError::Broken(error.into_error());
                        return Err(Failed { error, unsent: None, stale: true });
                    }
                },
            }
        }
        // What is rare lies apart, so that it is not room in the future of every request.
        let mut link = match Box::pin(self.shared.connector.open(&endpoint)).await {
            Ok(link) => link,
            Err(error) => {
                let unsent = Some(request.into_body());
                return Err(Failed { error: error.into(), unsent, stale: false });
            }
        };
        match link.send(request).await {
            Ok(answer) => self.answered(answer, Lease { link, slot, pool: self.pool.clone() }),
            Err(mut error) => {
                let unsent = error.take_message().map(Request::into_body);
                let error = error.into_error();
                // What went wrong with the client's body is not the endpoint's fault.
                if !error.is_user() {
                    endpoint.note(Finding::Failed);
                }
                Err(Failed { error: UpstreamError::Broken(error), unsent, stale: false })
            }
        }
    }

    fn answered(
        &self,
        answer: Response<hyper::body::Incoming>,
        lease: Lease<B>,
    ) -> Result<(Response<hyper::body::Incoming>, Lease<B>), Failed<B>> {
        let failed = [101, 500, 502, 503, 504].contains(&answer.status().as_u16());
        lease.slot.endpoint().note(if failed { Finding::Failed } else { Finding::Answered });
        if answer.status() == StatusCode::SWITCHING_PROTOCOLS {
            // The lease goes, and the connection with it: nobody can say what comes over it next.
            return Err(Failed { error: UpstreamError::Switched, unsent: None, stale: false });
        }
        Ok((answer, lease))
    }

    fn request(
        &self,
        permitted: &Permitted,
        outbound: &Outbound<'_>,
        origin: &Origin,
        body: RequestBody<B>,
    ) -> Result<Request<RequestBody<B>>, UpstreamError> {
        let parts = outbound.parts;
        let raw_query = parts.uri.query();
        let signed = |name: &str| permitted.signs(name);
        let (mut headers, query) = match &self.shared.auth {
            Auth::Passthrough => (headers::end_to_end(&parts.headers, signed), raw_query.map(Into::into)),
            Auth::Resign(_) | Auth::Identity => {
                let mut headers = headers::unauthenticated(&parts.headers, signed);
                headers::forget_dropped_trailer(parts, &outbound.content, &mut headers);
                headers::describe(&outbound.content, takes_body(&parts.method), &mut headers);
                let query = raw_query.map(query::without_authentication);
                (headers, query.filter(|rest| !rest.is_empty()))
            }
        };
        let style = match &self.shared.auth {
            Auth::Passthrough => Addressing::Path,
            Auth::Resign(_) | Auth::Identity => self.shared.settings.addressing,
        };
        let Address { host, path } = Address::new(style, &origin.authority, outbound.path)?;
        match &self.shared.auth {
            Auth::Passthrough => keep_host(parts, host, &mut headers),
            Auth::Resign(_) | Auth::Identity if permitted.is_preflight() => {
                headers.insert(HOST, host);
            }
            Auth::Identity => {
                forwarded(outbound, &mut headers);
                headers.insert(HOST, host);
                identity::add(permitted, &mut headers);
            }
            Auth::Resign(signer) => {
                headers.insert(HOST, host);
                let method = parts.method.as_str();
                let target = sigv4::Target { method, path, query: query.as_deref().map(str::as_bytes) };
                signer.sign(target, &outbound.content, &mut headers, outbound.now)?;
            }
        }
        let mut request = Request::new(body);
        *request.method_mut() = parts.method.clone();
        *request.uri_mut() = target(path, query.as_deref())?;
        *request.headers_mut() = headers;
        Ok(request)
    }
}

/// The answer to what the gateway signed, unless that is what the backend does not take.
async fn unless_refused<B: Send + Unpin + 'static>(
    mut answer: Response<Answer<B>>,
) -> Result<Response<Answer<B>>, UpstreamError> {
    match refusal::code(&mut answer).await {
        Ok(None) => Ok(answer),
        Ok(Some(code)) => Err(UpstreamError::Refused(code)),
        Err(error) => Err(UpstreamError::Unread(error)),
    }
}

/// The client's own `Host`, which its signature covers, wherever its protocol puts it.
fn keep_host(parts: &Parts, endpoint: HeaderValue, headers: &mut HeaderMap) {
    if !headers.contains_key(HOST) {
        let asked = parts.uri.authority().and_then(|asked| HeaderValue::from_str(asked.as_str()).ok());
        headers.insert(HOST, asked.unwrap_or(endpoint));
    }
}

/// Says where the request came from. Whatever the client itself claimed has been removed.
fn forwarded(outbound: &Outbound<'_>, headers: &mut HeaderMap) {
    const FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
    const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
    if let Some(address) = outbound.forwarded_for {
        headers.insert(FOR, address.clone());
    }
    if let Some(host) = outbound.parts.headers.get(HOST) {
        headers.insert(FORWARDED_HOST, host.clone());
    }
}

/// Whether a request of this method without a body says `Content-Length: 0` (RFC 9110, 8.6).
fn takes_body(method: &Method) -> bool {
    [Method::PUT, Method::POST, Method::PATCH].contains(method)
}
