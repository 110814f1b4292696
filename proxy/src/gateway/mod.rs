//! The life of a request.
//!
//! ```text
//! authenticate ─► target, action ─► authorize ─► prove the body ─► forward ─► respond
//! ```
//!
//! Every step moves its input forward and nobody calls back up; `Serving::s3` is the whole line. Form uploads, whose
//! signature stands in the body, have a line of their own in `post_object.rs`. Errors of all
//! steps become answers in `error.rs`, metrics and the access log are written when the last byte of the answer
//! has left, in `access_log.rs`.

mod access_log;
mod answer_body;
mod asker;
mod body;
mod content;
mod destination;
mod error;
mod forwarding;
mod http2;
mod lingering;
mod metrics;
mod peer;
mod permission;
mod plan;
mod post_object;
mod verdict;
mod vigil;

use std::borrow::Cow;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use http::header::{ACCESS_CONTROL_REQUEST_METHOD, AUTHORIZATION, HOST, TRANSFER_ENCODING};
use http::request::Parts;
use http::uri::Scheme;
use http::{HeaderName, HeaderValue, Method, Request, Response};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming;
use tokio::time::timeout;

use access_log::{Call, Ledger};
pub use answer_body::AnswerBody;
use body::ProvingBody;
use error::GatewayError;
pub(crate) use lingering::Lingering;
use metrics::GatewayMetrics;
pub use peer::Peer;
use permission::Reading;
pub use plan::{Plan, PlanError, PlanParts};
use vigil::Vigil;

use crate::admission::{Admission, Limit};
use crate::clock::Clock;
use crate::identities::Identities;
use crate::metrics::Metrics;
use crate::s3::{self, Action, Asked, Target};
use crate::store::Store;
use crate::sts::{self, Sts, StsParts};
use crate::upstream::{Answer, Outbound, UpstreamMetrics};

/// The body of a backend's answer.
type UpstreamAnswer = Answer<Box<ProvingBody<Lingering>>>;

/// Verifies, refuses, forwards. One for each worker: they share everything but the connections to the backend.
pub struct Gateway {
    store: Store,
    identities: Identities,
    admission: Arc<Admission>,
    clock: Clock,
    /// What STS remembers, for the plans to come.
    sts: Arc<Sts>,
    metrics: Arc<GatewayMetrics>,
    upstream_metrics: UpstreamMetrics,
    ids: Arc<access_log::RequestIds>,
    /// What is in force at this worker, and at each of them.
    plan: Arc<ArcSwap<Plan>>,
    plans: Arc<Mutex<Vec<Arc<ArcSwap<Plan>>>>>,
}

/// What a gateway is made of.
pub struct GatewayParts {
    /// How requests are served at first.
    pub plan: PlanParts,
    /// Where credentials and revocations are looked up.
    pub store: Store,
    /// Who is declared, and what they may do.
    pub identities: Identities,
    /// Who may take how much.
    pub admission: Arc<Admission>,
    /// What time it is.
    pub clock: Clock,
}

impl Gateway {
    /// Puts the parts together; opens nothing.
    pub fn new(parts: GatewayParts, metrics: &Metrics) -> Result<Self, PlanError> {
        let GatewayParts { plan, store, identities, admission, clock } = parts;
        let endpoint = plan::endpoint(&plan.settings);
        let sts = StsParts {
            store: store.clone(),
            identities: identities.clone(),
            admission: Arc::clone(&admission),
            saml: plan.saml.clone(),
        };
        let sts = Sts::new(sts, &endpoint, metrics);
        let upstream_metrics = UpstreamMetrics::register(metrics);
        let plan = Arc::new(ArcSwap::from_pointee(Plan::new(plan, &sts, &upstream_metrics)?));
        Ok(Self {
            store,
            identities,
            admission,
            clock,
            sts: Arc::new(sts),
            metrics: Arc::new(GatewayMetrics::register(metrics)),
            upstream_metrics,
            ids: Arc::new(access_log::RequestIds::new()),
            plans: Arc::new(Mutex::new(vec![Arc::clone(&plan)])),
            plan,
        })
    }

    /// The same gateway for another worker, with connections to the backend of its own: no request waits for a lock
    /// or a wake-up of another thread.
    #[must_use]
    pub fn for_worker(&self) -> Self {
        // Under the lock, so that no plan is put in force between the copy and its registration.
        let mut plans = self.plans.lock().unwrap_or_else(PoisonError::into_inner);
        let plan = Arc::new(ArcSwap::from_pointee(self.plan.load().for_worker(None)));
        plans.push(Arc::clone(&plan));
        Self {
            store: self.store.clone(),
            identities: self.identities.clone(),
            admission: Arc::clone(&self.admission),
            clock: self.clock.clone(),
            sts: Arc::clone(&self.sts),
            metrics: Arc::clone(&self.metrics),
            upstream_metrics: self.upstream_metrics.clone(),
            ids: Arc::clone(&self.ids),
            plan,
            plans: Arc::clone(&self.plans),
        }
    }

    /// A plan that [`replace`](Self::replace) can put in force.
    ///
    /// # Errors
    /// The way to a backend cannot be set up. What is in force stays so.
    pub fn plan(&self, parts: PlanParts) -> Result<Plan, PlanError> {
        Plan::new(parts, &self.sts, &self.upstream_metrics)
    }

    /// Serves every request that begins from now on by `plan`, at every worker. Those that have begun end as they
    /// began. Connections to backends whose settings stay are kept.
    pub fn replace(&self, plan: &Plan) {
        for worker in self.plans.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            let next = plan.for_worker(Some(&worker.load()));
            worker.store(Arc::new(next));
        }
    }

    /// Answers one request, whatever it is.
    pub async fn handle(self: Arc<Self>, peer: Peer, request: Request<Incoming>) -> Response<AnswerBody> {
        // Not a guard: it would be held while the request waits, and each thread has room for few.
        let plan = self.plan.load_full();
        let (mut parts, incoming) = request.into_parts();
        let like_http1 = http2::like_http1(&mut parts);
        let mut peer = peer;
        let hosts = forwarding::believe(plan.trusted(peer.listener), &parts.headers, &mut peer);
        let ledger = Ledger { metrics: Arc::clone(&self.metrics), lines: plan.access_log };
        let mut call = Call::begin(&parts, peer, self.ids.next(), self.clock.now(), ledger);
        call.hosts = hosts;
        let serving = Serving { gateway: &self, plan: &plan };
        let answer = match like_http1 {
            Ok(()) => serving.answer(&parts, incoming, &mut call).await,
            Err(error) => Err(error),
        };
        let mut answer = answer.unwrap_or_else(|error| {
            if error.is_too_large() {
                self.admission.count(Limit::BodySize);
            }
            error.into_response(&parts, &mut call, &plan.settings, plan.sts.as_deref())
        });
        serving.describe_cors(&parts, &call, answer.headers_mut());
        call.finish(answer)
    }
}

/// One request being served: by this gateway, and by the plan that was in force when it began.
#[derive(Clone, Copy)]
struct Serving<'g> {
    gateway: &'g Gateway,
    plan: &'g Plan,
}

impl Serving<'_> {
    async fn answer(
        self,
        parts: &Parts,
        incoming: Incoming,
        call: &mut Call,
    ) -> Result<Response<AnswerBody>, GatewayError> {
        match self.gateway.admission.enter(call.peer.ip()) {
            Ok(ticket) => call.admit(ticket),
            Err(refused) => {
                call.cut = Lingering::send_away(incoming, &parts.headers);
                return Err(refused.into());
            }
        }
        let max_bytes = self.plan.settings.max_head_bytes;
        match &self.plan.sts {
            _ if head_bytes(parts) > max_bytes || parts.headers.len() > MAX_HEADERS => {
                Err(GatewayError::HeadTooLarge { max_bytes: max_bytes as u64 })
            }
            _ if !is_plainly_framed(parts) => Err(GatewayError::TransferCoding),
            _ if parts.headers.get_all(HOST).iter().nth(1).is_some() => Err(http2::two_hosts()),
            _ if !names_one_host(parts) => Err(s3::TargetError::InvalidHost(authority(parts)).into()),
            // What is rare lies apart, so that it is not room in the future of every request.
            Some(sts) if sts::is_sts_request(parts) => Box::pin(self.sts(sts, parts, incoming, call)).await,
            _ => self.s3(parts, incoming, call).await,
        }
    }

    /// The whole line of a request to the store behind us.
    async fn s3(
        self,
        parts: &Parts,
        incoming: Incoming,
        call: &mut Call,
    ) -> Result<Response<AnswerBody>, GatewayError> {
        let Self { gateway, plan } = self;
        let incoming = Lingering::new(incoming, &parts.headers);
        if is_preflight(parts) {
            return Box::pin(self.preflight(parts, incoming, call)).await;
        }
        // S3 knows no others, and a backend might have an interface of its own behind them.
        if !METHODS.contains(&parts.method) {
            return Err(GatewayError::Method);
        }
        if let Some(target) = self.upload_target(parts, call.peer.listener) {
            return Box::pin(self.post_object(parts, target, incoming, call)).await;
        }
        let identity = self.identity(parts, call).await?;
        let sent = call.host.as_ref().map(|host| forwarding::sent_to(parts, host));
        let parts = sent.as_ref().unwrap_or(parts);
        let plus_is_space = identity.plus_is_space();
        let (host, path) = (host(parts), unambiguous_path(parts, plus_is_space));
        let target = Target::parse(&path, host, plan.domains(call.peer.listener));
        let target = identity.target(target.map_err(GatewayError::from))?;
        let query = parts.uri.query().map(str::as_bytes);
        let action = Action::of(&parts.method, &target, query, &parts.headers);
        call.aim(action, &target);
        let route = plan.route(host, &target);
        let (asker, payload) = self.asker(identity, route.as_ref().ok().copied(), call)?;
        let route = route?;

        let asked = Asked { action, target: &target, query, headers: &parts.headers, objects: None };
        let destination = plan.destination(route, host, &asked)?;
        asker.stays_on(&destination)?;
        let upstream = destination.upstream;
        let (mut body, mut content) = content::of_request(upstream, parts, action, payload, incoming)?;
        content::bound(&mut body, &content, plan.max_body_bytes(route))?;
        let verdict = body.verdict();
        let vigil = Vigil { upstream, verdict: &verdict };
        call.receive(verdict.clone());
        let circumstances = self.circumstances(parts, call);
        let reading = Reading { always: destination.reads_list(), body: &mut body, vigil: &vigil };
        let (permitted, listed) = self.authorize(asker, asked, &circumstances, reading).await?;
        self.claim(&permitted, action, route, call)?;
        vigil.prime(&mut body).await?;
        let list = match &listed {
            Some(listed) => destination.list(parts, &target, listed)?,
            None => None,
        };
        // The place that was taken for it goes with the body.
        drop(listed);
        if let Some(list) = &list {
            body.replace(list.document.clone());
            content = list.content();
        }

        let renamed = destination.head(parts, &asked, &path, list.as_ref())?;
        let path = match &renamed {
            Some(renamed) => Cow::Borrowed(renamed.uri.path().as_bytes()),
            None if !upstream.is_passthrough() => target.backend_path(&path),
            // Who checks the client's signature gets a `+` as it was signed.
            None if !plus_is_space => Cow::Borrowed(parts.uri.path().as_bytes()),
            None => Cow::Borrowed(&*path),
        };
        let outbound = Outbound {
            parts: renamed.as_ref().unwrap_or(parts),
            path: &path,
            content,
            forwarded_for: call.peer.forwarded_for(),
            now: call.now.timestamp(),
        };
        let response = {
            let sending = pin!(upstream.forward(&permitted, &outbound, body));
            vigil.response(sending, &gateway.metrics).await?
        };
        call.answered();
        Ok(destination.answer(response, parts, action, call.peer.tls))
    }

    /// STS requests are answered here and never forwarded.
    async fn sts(
        self,
        sts: &Sts,
        parts: &Parts,
        incoming: Incoming,
        call: &mut Call,
    ) -> Result<Response<AnswerBody>, GatewayError> {
        let settings = &self.plan.settings;
        let place = self.gateway.admission.sts_body();
        let incoming = Lingering::new(incoming, &parts.headers);
        let place = place?;
        let limited = Limited::new(incoming, settings.max_sts_body_bytes);
        let body = match timeout(settings.head_timeout, limited.collect()).await {
            Ok(Ok(body)) => body.to_bytes(),
            Ok(Err(error)) if error.is::<LengthLimitError>() => {
                return Err(GatewayError::StsBodyTooLarge { max_bytes: settings.max_sts_body_bytes as u64 });
            }
            Ok(Err(_)) => return Err(GatewayError::ClientGone),
            Err(_) => return Err(GatewayError::ClientStalled),
        };
        drop(place);
        let peer = &call.peer;
        let certificate = peer.certificate.as_deref().unwrap_or_default();
        let origin = sts::Origin { address: peer.ip(), tls: peer.tls, certificate, hosts: &call.hosts };
        let incoming =
            sts::Incoming { parts, body: &body, request_id: call.request_id.as_str(), origin, now: call.now };
        let mut response = sts.respond(&incoming).await;
        if let Some(handled) = response.extensions_mut().remove::<sts::Handled>() {
            call.handled(handled);
        }
        Ok(response.map(AnswerBody::whole))
    }
}

/// The methods of S3.
const METHODS: [Method; 6] =
    [Method::GET, Method::HEAD, Method::PUT, Method::POST, Method::DELETE, Method::OPTIONS];

/// By how much a head may exceed its limit and still be read, to be refused in the words of S3. The listener ends the
/// connection of what is larger than that.
pub const HEAD_SLACK: usize = 16 << 10;

/// Most headers of a request; the listener holds HTTP/1.1 to it, but HTTP/2 only to their size.
pub const MAX_HEADERS: usize = 128;

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

/// The path as received but for each raw `+`, which some backends read as a space, Amazon S3 among them, and each raw
/// `;`, behind which some see parameters of a segment. A `+` is spelt as what the signature says it means, since that is
/// what is authorised and must be what the backend sees.
fn unambiguous_path(parts: &Parts, plus_is_space: bool) -> Cow<'_, [u8]> {
    let path = parts.uri.path();
    if !path.contains(['+', ';']) {
        return path.as_bytes().into();
    }
    let plus = if plus_is_space { "%20" } else { "%2B" };
    path.replace('+', plus).replace(';', "%3B").into_bytes().into()
}

/// Whether a target in absolute form, where there is one, and `Host` name the same host. A server is to believe the
/// target, clients sign the header: what differs could be two buckets. A scheme that is not of HTTP names nothing here.
///
/// Source: <https://www.rfc-editor.org/rfc/rfc9112#section-3.2.2>
fn names_one_host(parts: &Parts) -> bool {
    let header = parts.headers.get(HOST).map(HeaderValue::as_bytes);
    let target = parts.uri.authority().map(|authority| authority.as_str().as_bytes());
    let by_http = parts.uri.scheme().is_none_or(|scheme| [Scheme::HTTP, Scheme::HTTPS].contains(scheme));
    by_http && header.zip(target).is_none_or(|(header, target)| header.eq_ignore_ascii_case(target))
}

fn authority(parts: &Parts) -> String {
    parts.uri.authority().map(ToString::to_string).unwrap_or_default()
}

/// The host the client addressed, which is one: an absolute-form target agrees with the header.
fn host(parts: &Parts) -> Option<&[u8]> {
    let header = parts.headers.get(HOST).map(HeaderValue::as_bytes);
    header.or_else(|| parts.uri.authority().map(|authority| authority.as_str().as_bytes()))
}

/// A browser's question before the request proper. It cannot carry a signature of its own; in the query stands that of
/// the request to come, if it is presigned.
fn is_preflight(parts: &Parts) -> bool {
    parts.method == Method::OPTIONS
        && !parts.headers.contains_key(AUTHORIZATION)
        && (parts.headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD)
            || !parts.uri.query().is_some_and(|query| query.contains("X-Amz-Signature")))
}
