//! The life of a request.
//!
//! ```text
//! authenticate ─► target, action ─► authorize ─► prove the body ─► forward ─► respond
//! ```
//!
//! Every step moves its input forward and nobody calls back up; `Gateway::s3` is the whole line. Form uploads, whose
//! signature stands in the body, have a line of their own in `post_object.rs`. Errors of all
//! steps become answers in `error.rs`, metrics and the access log are written when the last byte of the answer
//! has left, in `access_log.rs`.

mod access_log;
mod body;
mod error;
mod lingering;
mod metrics;
mod permission;
mod post_object;

use std::borrow::Cow;
use std::net::SocketAddr;
use std::sync::Arc;

use http::header::{AUTHORIZATION, HOST, TRANSFER_ENCODING};
use http::request::Parts;
use http::{HeaderName, HeaderValue, Method, Request, Response};
use http_body::Body;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming;
use sigv4::{Endpoint, Head, PayloadHead, PayloadMode, PayloadVerifier, Reframer};
use tokio::time::{Instant, sleep_until, timeout};

pub use access_log::AnswerBody;
use access_log::{Call, Ledger};
use body::{Framing, ProvingBody, Verdict};
use error::GatewayError;
pub(crate) use lingering::Lingering;
use metrics::GatewayMetrics;

use crate::auth;
use crate::clock::Clock;
use crate::config;
use crate::iam::saml::RelyingParty;
use crate::identities::Identities;
use crate::metrics::Metrics;
use crate::s3::{Action, Asked, Domains, Target};
use crate::store::Store;
use crate::sts::{self, Sts};
use crate::upstream::{Content, Outbound, Upstream, UpstreamError, strip_hop_by_hop};

/// Who is on the other end of a connection.
#[derive(Clone, Debug)]
pub struct Peer {
    /// Its address.
    pub address: SocketAddr,
    /// Whether the connection is encrypted.
    pub tls: bool,
    /// Which listener it came to: 0 is the first, further ones count on in the order of the configuration.
    pub listener: usize,
    /// The names in the certificate it proved to have; `None` without one.
    pub certificate: Option<Arc<[String]>>,
}

impl Peer {
    /// Someone at `address` of whom nothing else is known, on the first listener.
    pub const fn at(address: SocketAddr) -> Self {
        Self { address, tls: false, listener: 0, certificate: None }
    }
}

/// Verifies, refuses, forwards. One for each worker: they share everything but the connections to the backend.
pub struct Gateway {
    store: Store,
    identities: Identities,
    clock: Clock,
    endpoint: Arc<Endpoint>,
    domains: Arc<Domains>,
    settings: Arc<config::Gateway>,
    upstream: Upstream<ProvingBody<Lingering>>,
    sts: Option<Arc<Sts>>,
    metrics: Arc<GatewayMetrics>,
    access_log: bool,
    ids: Arc<access_log::RequestIds>,
}

/// What a gateway is made of.
pub struct GatewayParts {
    /// The listener's configuration.
    pub settings: config::Gateway,
    /// The backend's configuration.
    pub backend: config::Backend,
    /// Where credentials and revocations are looked up.
    pub store: Store,
    /// Who is declared, and what they may do.
    pub identities: Identities,
    /// For whom SAML assertions have to be.
    pub saml: RelyingParty,
    /// What time it is.
    pub clock: Clock,
    /// Whether to write one line per request.
    pub access_log: bool,
}

impl Gateway {
    /// Puts the parts together; opens nothing.
    pub fn new(
        parts: GatewayParts,
        metrics: &Metrics,
    ) -> Result<Self, crate::upstream::UpstreamOptionsError> {
        let GatewayParts { settings, backend, store, identities, saml, clock, access_log } = parts;
        let region = settings.regions.first().cloned().unwrap_or_default();
        let endpoint = Endpoint {
            regions: settings.regions.clone(),
            unsigned_headers: settings.unsigned_headers.clone(),
            strict: settings.strict,
            sigv4a: settings.sigv4a,
            ..Endpoint::s3(&region)
        };
        let sts = settings
            .sts
            .then(|| Arc::new(Sts::new(store.clone(), identities.clone(), &endpoint, saml, metrics)));
        Ok(Self {
            upstream: Upstream::new(backend)?,
            sts,
            endpoint: Arc::new(endpoint),
            domains: Arc::new(Domains::new(&settings.domains)),
            settings: Arc::new(settings),
            store,
            identities,
            clock,
            metrics: Arc::new(GatewayMetrics::register(metrics)),
            access_log,
            ids: Arc::new(access_log::RequestIds::new()),
        })
    }

    /// The same gateway for another worker, with connections to the backend of its own: no request waits for a lock
    /// or a wake-up of another thread.
    #[must_use]
    pub fn for_worker(&self) -> Self {
        Self {
            store: self.store.clone(),
            identities: self.identities.clone(),
            clock: self.clock.clone(),
            endpoint: Arc::clone(&self.endpoint),
            domains: Arc::clone(&self.domains),
            settings: Arc::clone(&self.settings),
            upstream: self.upstream.for_worker(),
            sts: self.sts.clone(),
            metrics: Arc::clone(&self.metrics),
            access_log: self.access_log,
            ids: Arc::clone(&self.ids),
        }
    }

    /// Answers one request, whatever it is.
    pub async fn handle(self: Arc<Self>, peer: Peer, request: Request<Incoming>) -> Response<AnswerBody> {
        let (parts, incoming) = request.into_parts();
        let ledger = Ledger { metrics: Arc::clone(&self.metrics), lines: self.access_log };
        let mut call = Call::begin(&parts, peer, self.ids.next(), self.clock.now(), ledger);
        let max_bytes = self.settings.max_head_bytes;
        let answer = match &self.sts {
            _ if head_bytes(&parts) > max_bytes => {
                Err(GatewayError::HeadTooLarge { max_bytes: max_bytes as u64 })
            }
            _ if !is_plainly_framed(&parts) => Err(GatewayError::TransferCoding),
            Some(sts) if sts::is_sts_request(&parts) => self.sts(sts, &parts, incoming, &mut call).await,
            _ => self.s3(&parts, incoming, &mut call).await,
        };
        let answer = answer.unwrap_or_else(|error| {
            error.into_response(&parts, &mut call, &self.settings, self.sts.as_deref())
        });
        call.finish(answer)
    }

    /// The whole line of a request to the store behind us.
    async fn s3(
        &self,
        parts: &Parts,
        incoming: Incoming,
        call: &mut Call,
    ) -> Result<Response<AnswerBody>, GatewayError> {
        let incoming = Lingering::new(incoming, &parts.headers);
        if is_preflight(parts) {
            return Err(GatewayError::Preflight);
        }
        if [Method::CONNECT, Method::TRACE].contains(&parts.method) {
            return Err(GatewayError::Method);
        }
        if let Some(target) = self.upload_target(parts) {
            return self.post_object(parts, target, incoming, call).await;
        }
        let authenticated =
            auth::authenticate(&self.store, Head::from_parts(parts), &self.endpoint, call.now, None).await;
        self.metrics.verified(call.elapsed());
        let authenticated = authenticated?;
        call.identify(authenticated.credential());

        let path = self.unambiguous_path(parts, authenticated.plus_is_space());
        let target = Target::parse(&path, host(parts), &self.domains)?;
        let query = parts.uri.query().map(str::as_bytes);
        let action = Action::of(&parts.method, &target, query, &parts.headers);
        call.aim(action, &target);
        let (unrevoked, payload) = auth::unrevoked(&self.store, authenticated)?;

        let (mut body, content) = self.body(parts, action, payload, incoming)?;
        let verdict = body.verdict();
        call.receive(verdict.clone());
        let asked = Asked { action, target: &target, query, headers: &parts.headers, objects: None };
        let circumstances = self.circumstances(parts, call);
        let permitted = self.authorize(unrevoked, asked, &circumstances, &mut body).await?;
        self.prime(&mut body, &verdict).await?;

        let path = if self.upstream.is_passthrough() {
            path
        } else {
            Cow::Owned(target.backend_path(&path).into_owned())
        };
        let outbound =
            Outbound { parts, path: &path, content, peer: call.peer.address.ip(), now: call.now.timestamp() };
        let sending = self.upstream.forward(&permitted, &outbound, body);
        let mut response = self.response(sending, &verdict).await?;
        call.answered();
        strip_hop_by_hop(response.headers_mut(), |_| false);
        Ok(response.map(AnswerBody::streaming))
    }

    /// The path as received but for each raw `+`, which some backends read as a space, Amazon S3 among them. It is
    /// spelt as what the signature says it means, since that is what is authorised and must be what the backend
    /// sees. A backend that checks the client's signature itself gets a `+` as it was signed.
    fn unambiguous_path<'p>(&self, parts: &'p Parts, plus_is_space: bool) -> Cow<'p, [u8]> {
        let path = parts.uri.path();
        match plus_is_space {
            _ if !path.contains('+') => path.as_bytes().into(),
            true => path.replace('+', "%20").into_bytes().into(),
            false if self.upstream.is_passthrough() => path.as_bytes().into(),
            false => path.replace('+', "%2B").into_bytes().into(),
        }
    }

    /// What must be proved about the body, and how it is put to the backend.
    fn body(
        &self,
        parts: &Parts,
        action: Action,
        mode: PayloadMode,
        incoming: Lingering,
    ) -> Result<(ProvingBody<Lingering>, Content), GatewayError> {
        let head = PayloadHead::parse(&Head::from_parts(parts), &mode)?;
        if action == Action::DeleteObjects && !head.is_checked() {
            return Err(GatewayError::MissingChecksum);
        }
        let declared = match &mode {
            PayloadMode::Sha256(hash) => Some(*hash),
            PayloadMode::Unsigned
            | PayloadMode::SignedChunks { .. }
            | PayloadMode::UnsignedChunks
            | PayloadMode::Form(_)
            | PayloadMode::Verified => None,
        };
        let verifier = PayloadVerifier::new(mode, head);
        let received = incoming.size_hint().exact();
        let (framing, content) = if self.upstream.is_passthrough() {
            (Framing::Raw, Content::Raw { length: received })
        } else if verifier.is_chunked() {
            self.reframe(&verifier)?
        } else {
            match received.ok_or(GatewayError::MissingContentLength)? {
                0 => (Framing::Decoded, Content::Empty),
                length => (Framing::Decoded, Content::Plain { length, sha256: declared }),
            }
        };
        Ok((ProvingBody::new(incoming, verifier, framing, content.length()), content))
    }

    /// The client's chunks carry the client's signatures: the backend gets its own framing, or none.
    fn reframe(&self, verifier: &PayloadVerifier) -> Result<(Framing, Content), GatewayError> {
        let decoded = verifier.decoded_length().ok_or(GatewayError::MissingContentLength)?;
        Ok(match verifier.trailer_algorithm() {
            Some(algorithm) if self.upstream.takes_trailers() => {
                let reframer = Reframer::new(decoded, algorithm);
                let encoded = reframer.content_length();
                (Framing::Reframed(reframer), Content::Trailing { decoded, encoded, algorithm })
            }
            Some(_) | None => (Framing::Decoded, Content::Plain { length: decoded, sha256: None }),
        })
    }

    /// Waits for the first piece of the body, or for its proof if it has no content.
    async fn prime(&self, body: &mut ProvingBody<Lingering>, verdict: &Verdict) -> Result<(), GatewayError> {
        match self.patiently(body.prime(), verdict).await {
            Some(Ok(())) => Ok(()),
            Some(Err(_)) => Err(GatewayError::Body(verdict.clone())),
            None => Err(GatewayError::ClientStalled),
        }
    }

    /// Waits for the head of the backend's answer while the body is on its way.
    async fn response(
        &self,
        sending: impl Future<Output = Result<Response<Incoming>, UpstreamError>>,
        verdict: &Verdict,
    ) -> Result<Response<Incoming>, GatewayError> {
        let started = Instant::now();
        let result = self.patiently(sending, verdict).await;
        self.metrics.upstream(started.elapsed());
        match result {
            // A backend that is done before the client was, is done with something else than what was signed.
            Some(Ok(response)) if response.status().is_success() => {
                match self.patiently(verdict.proved(), verdict).await {
                    Some(true) => Ok(response),
                    Some(false) if verdict.failed() => Err(GatewayError::Body(verdict.clone())),
                    Some(false) => Err(GatewayError::UpstreamHasty),
                    None => Err(self.stalled(verdict)),
                }
            }
            Some(Ok(response)) => Ok(response),
            // A body that failed its proof breaks the upstream request: what the client did wrong comes first.
            Some(Err(_)) if verdict.failed() => Err(GatewayError::Body(verdict.clone())),
            Some(Err(error)) => Err(GatewayError::Upstream(error)),
            None => Err(self.stalled(verdict)),
        }
    }

    /// Nothing moved for too long: whose turn was it?
    fn stalled(&self, verdict: &Verdict) -> GatewayError {
        if verdict.waiting_for_client() { GatewayError::ClientStalled } else { GatewayError::UpstreamTimeout }
    }

    /// Runs a future until it completes, or until nothing has moved for the response timeout.
    async fn patiently<F: Future>(&self, future: F, verdict: &Verdict) -> Option<F::Output> {
        let patience = self.upstream.response_timeout();
        let mut future = std::pin::pin!(future);
        loop {
            let deadline = verdict.last_activity() + patience;
            tokio::select! {
                biased;
                output = &mut future => return Some(output),
                () = sleep_until(deadline) => {
                    if verdict.last_activity() + patience <= Instant::now() {
                        return None;
                    }
                }
            }
        }
    }

    /// STS requests are answered here and never forwarded.
    async fn sts(
        &self,
        sts: &Sts,
        parts: &Parts,
        incoming: Incoming,
        call: &mut Call,
    ) -> Result<Response<AnswerBody>, GatewayError> {
        let incoming = Lingering::new(incoming, &parts.headers);
        let limited = Limited::new(incoming, self.settings.max_sts_body_bytes);
        let body = match timeout(self.settings.head_timeout, limited.collect()).await {
            Ok(Ok(body)) => body.to_bytes(),
            Ok(Err(error)) if error.is::<LengthLimitError>() => {
                return Err(GatewayError::StsBodyTooLarge {
                    max_bytes: self.settings.max_sts_body_bytes as u64,
                });
            }
            Ok(Err(_)) => return Err(GatewayError::ClientGone),
            Err(_) => return Err(GatewayError::ClientStalled),
        };
        let origin = sts::Origin { address: call.peer.address.ip(), tls: call.peer.tls };
        let incoming =
            sts::Incoming { parts, body: &body, request_id: &call.request_id, origin, now: call.now };
        let mut response = sts.respond(&incoming).await;
        if let Some(handled) = response.extensions_mut().remove::<sts::Handled>() {
            call.handled(handled);
        }
        Ok(response.map(AnswerBody::whole))
    }
}

/// By how much a head may exceed its limit and still be read, to be refused in the words of S3. The listener ends the
/// connection of what is larger than that.
pub const HEAD_SLACK: usize = 16 << 10;

/// What a head takes on the wire, give or take the bytes that separate its parts.
fn head_bytes(parts: &Parts) -> usize {
    let line = parts.uri.path().len() + parts.uri.query().map_or(0, str::len);
    let field = |(name, value): (&HeaderName, &HeaderValue)| name.as_str().len() + value.len() + 4;
    line + parts.headers.iter().map(field).sum::<usize>()
}

/// Whether the chunks of HTTP, if the body comes in any, hold the body itself.
fn is_plainly_framed(parts: &Parts) -> bool {
    let mut codings = parts.headers.get_all(TRANSFER_ENCODING).iter();
    match (codings.next(), codings.next()) {
        (None, _) => true,
        (Some(coding), None) => coding.as_bytes().eq_ignore_ascii_case(b"chunked"),
        (Some(_), Some(_)) => false,
    }
}

/// The host the client addressed; an absolute-form target does not overrule the header.
fn host(parts: &Parts) -> Option<&[u8]> {
    let header = parts.headers.get(HOST).map(HeaderValue::as_bytes);
    header.or_else(|| parts.uri.authority().map(|authority| authority.as_str().as_bytes()))
}

/// A browser's question before the request proper. It cannot carry a signature.
fn is_preflight(parts: &Parts) -> bool {
    parts.method == Method::OPTIONS
        && !parts.headers.contains_key(AUTHORIZATION)
        && !parts.uri.query().is_some_and(|query| query.contains("X-Amz-Signature"))
}
