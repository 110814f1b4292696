//! What is remembered about a request while it runs, and the line that is written when it is over: when the last
//! byte of the answer has gone, or when whoever asked no longer waits for one. What was asked may have been done even
//! then, so no request goes without its line.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use http::header::{Entry, USER_AGENT};
use http::request::Parts;
use http::{HeaderName, HeaderValue, Response, StatusCode, Uri};
use http_body::Body;
use ring::rand::{SecureRandom, SystemRandom};

use super::Peer;
use super::answer_body::AnswerBody;
use super::metrics::{GatewayMetrics, InFlight, Outcome, Reason};
use super::verdict::Verdict;
use crate::admission::{Claim, Ticket};
use crate::clock::UnixMillis;
use crate::iam::AccessKeyId;
use crate::s3::{Action, Bucket, Target};
use crate::store::Record;
use crate::sts;
use crate::telemetry::ACCESS_LOG;

/// Makes request ids: unique within the process, not guessable from one another's neighbours in other processes.
pub(super) struct RequestIds {
    base: u64,
    next: AtomicU64,
    host_id: &'static str,
}

impl RequestIds {
    pub(super) fn new() -> Self {
        let mut seed = [0; 8];
        // Without randomness ids start at zero: they identify requests in logs and protect nothing.
        let base = SystemRandom::new().fill(&mut seed).map_or(0, |()| u64::from_ne_bytes(seed));
        let host_id: &'static str = Box::leak(format!("{base:016x}").into_boxed_str());
        Self { base, next: AtomicU64::new(0), host_id }
    }

    pub(super) fn next(&self) -> (RequestId, &'static str) {
        // An odd multiplier makes the sequence a permutation of all 64-bit values.
        let count = self.next.fetch_add(1, Ordering::Relaxed).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        (RequestId::new(self.base ^ count), self.host_id)
    }
}

/// Sixteen hexadecimal digits, like AWS's. Every answer has one, so it is written without the machinery of `fmt`.
#[derive(Clone, Copy)]
pub(super) struct RequestId([u8; 16]);

impl RequestId {
    fn new(id: u64) -> Self {
        const DIGITS: [u8; 16] = *b"0123456789ABCDEF";
        Self(std::array::from_fn(|at| DIGITS[(id >> (60 - 4 * at)) as usize & 0xF]))
    }

    pub(super) fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

const REQUEST_ID: HeaderName = HeaderName::from_static("x-amz-request-id");

/// Where requests are accounted for.
pub(super) struct Ledger {
    pub(super) metrics: Arc<GatewayMetrics>,
    /// Whether to write one line per request.
    pub(super) lines: bool,
}

/// One request, from its head to the last byte of its answer. Accounted for when dropped.
pub(super) struct Call {
    pub(super) request_id: RequestId,
    pub(super) host_id: &'static str,
    pub(super) now: UnixMillis,
    /// Whose request it is: who is on the other end, or whoever a trusted proxy there speaks for.
    pub(super) peer: Peer,
    /// Hosts that a trusted proxy was asked for.
    pub(super) hosts: Vec<HeaderValue>,
    /// That of these which the request is signed for, if it is not signed for the received one.
    pub(super) host: Option<HeaderValue>,
    started: Instant,
    method: http::Method,
    uri: Uri,
    user_agent: Option<HeaderValue>,
    asked: Asked,
    /// Only where lines are written.
    bucket: Option<Bucket>,
    who: Option<Who>,
    verdict: Option<Verdict>,
    first_byte: Option<Duration>,
    refused: Option<Reason>,
    error_code: Option<&'static str>,
    /// `None`: the client went away before there was an answer.
    status: Option<StatusCode>,
    sent: u64,
    ledger: Ledger,
    #[expect(dead_code, reason = "held for its Drop: until then the request is in flight")]
    in_flight: InFlight,
    /// Held like that, for the limit on requests in flight. `None` of those that were refused by it.
    ticket: Option<Ticket>,
    /// Of a request that may not be repeated.
    claim: Option<Claim>,
    /// Whether the rest of its body will not be read, so that the connection ends with the answer.
    pub(super) cut: bool,
    /// Whether all of the answer has been handed on.
    whole: bool,
}

/// What was asked, and of whom.
#[derive(Clone, Copy)]
enum Asked {
    S3(Action),
    Sts(Option<sts::Operation>),
}

impl Asked {
    const fn name(self) -> &'static str {
        match self {
            Self::S3(action) => action.name(),
            Self::Sts(Some(operation)) => operation.name(),
            Self::Sts(None) => "Unknown",
        }
    }
}

/// The principal of the line.
enum Who {
    Signer(Arc<Record>),
    /// Of STS.
    Caller(sts::Caller),
    /// Nobody signed.
    Nobody,
}

impl Who {
    fn access_key_id(&self) -> Option<&AccessKeyId> {
        match self {
            Self::Signer(record) => Some(&record.credential().access_key_id),
            Self::Caller(caller) => Some(&caller.access_key_id),
            Self::Nobody => None,
        }
    }

    fn principal(&self) -> &str {
        match self {
            Self::Signer(record) => &record.credential().principal.arn,
            Self::Caller(caller) => &caller.principal_arn,
            Self::Nobody => "anonymous",
        }
    }

    fn session_name(&self) -> Option<&str> {
        match self {
            Self::Signer(record) => record.credential().session.as_ref()?.name.as_deref(),
            Self::Caller(caller) => caller.session_name.as_deref(),
            Self::Nobody => None,
        }
    }
}

impl Call {
    /// Boxed, since it outlives the request, in the body of the answer.
    pub(super) fn begin(
        parts: &Parts,
        peer: Peer,
        ids: (RequestId, &'static str),
        now: UnixMillis,
        ledger: Ledger,
    ) -> Box<Self> {
        Box::new(Self {
            in_flight: ledger.metrics.in_flight(),
            ticket: None,
            claim: None,
            cut: false,
            whole: false,
            ledger,
            status: None,
            sent: 0,
            request_id: ids.0,
            host_id: ids.1,
            now,
            peer,
            hosts: Vec::new(),
            host: None,
            started: Instant::now(),
            method: parts.method.clone(),
            uri: parts.uri.clone(),
            user_agent: parts.headers.get(USER_AGENT).cloned(),
            asked: Asked::S3(Action::Unknown),
            bucket: None,
            who: None,
            verdict: None,
            first_byte: None,
            refused: None,
            error_code: None,
        })
    }

    /// Holds the place that the request takes, until it is over.
    pub(super) fn admit(&mut self, ticket: Ticket) {
        self.ticket = Some(ticket);
    }

    pub(super) fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    pub(super) fn identify(&mut self, record: &Arc<Record>) {
        self.who = Some(Who::Signer(Arc::clone(record)));
    }

    /// The access key id that signed; empty before that is proved.
    pub(super) fn access_key_id(&self) -> &str {
        self.who.as_ref().and_then(Who::access_key_id).map_or("", AccessKeyId::as_str)
    }

    /// As [`identify`](Self::identify), of a request that nobody signed and everybody may make.
    pub(super) fn identify_nobody(&mut self) {
        self.who = Some(Who::Nobody);
    }

    /// Remembers the request as one that succeeds once: by the time its answer has gone it is known whether it did.
    pub(super) fn claim(&mut self, claim: Claim) {
        self.claim = Some(claim);
    }

    pub(super) fn aim(&mut self, action: Action, target: &Target) {
        self.asked = Asked::S3(action);
        self.bucket = target.bucket().filter(|_| self.ledger.lines).cloned();
    }

    /// As [`aim`](Self::aim) where STS is asked, nobody knows for what.
    pub(super) fn aim_at_sts(&mut self) {
        self.asked = Asked::Sts(None);
    }

    /// Takes over what STS says about a request it has answered.
    pub(super) fn handled(&mut self, handled: sts::Handled) {
        self.asked = Asked::Sts(handled.operation);
        self.error_code = handled.code;
        self.who = handled.caller.map(Who::Caller);
    }

    pub(super) fn receive(&mut self, verdict: Verdict) {
        self.verdict = Some(verdict);
    }

    /// Whether the client has been asked for its body.
    pub(super) fn has_read_body(&self) -> bool {
        self.verdict.is_some()
    }

    pub(super) fn answered(&mut self) {
        self.first_byte = Some(self.started.elapsed());
    }

    pub(super) fn refuse(&mut self, reason: Reason, code: &'static str) {
        self.refused = Some(reason);
        self.error_code = Some(code);
    }

    fn outcome(&self) -> Outcome {
        match (self.refused, self.status) {
            (Some(reason), _) if reason.is_rejection() => Outcome::Rejected,
            (Some(_), _) | (None, None) => Outcome::Unavailable,
            (None, Some(status)) if status.is_server_error() => Outcome::ServerError,
            (None, Some(status)) if status.is_client_error() => Outcome::ClientError,
            (None, Some(_)) => Outcome::Ok,
        }
    }

    /// Lets the answer go; the line is written when its body ends or is dropped.
    pub(super) fn finish(mut self: Box<Self>, mut response: Response<AnswerBody>) -> Response<AnswerBody> {
        if let Entry::Vacant(missing) = response.headers_mut().entry(REQUEST_ID)
            && let Ok(id) = HeaderValue::from_str(self.request_id.as_str())
        {
            missing.insert(id);
        }
        self.status = Some(response.status());
        self.whole = response.body().is_end_stream();
        response.body_mut().end_with(self);
        response
    }

    /// So many bytes of the answer have been handed on, and whether they were the last.
    pub(super) fn handed_on(&mut self, bytes: usize, whole: bool) {
        self.sent += bytes as u64;
        self.whole |= whole;
    }

    fn write_line(&self, received: u64, elapsed: Duration) {
        let who = self.who.as_ref();
        let millis = |duration: Duration| duration.as_secs_f64() * 1e3;
        tracing::info!(
            target: ACCESS_LOG,
            request_id = self.request_id.as_str(),
            remote_ip = %self.peer.ip(),
            client_certificate = self.peer.certificate.as_ref().map(|names| names.join(",")),
            method = %self.method,
            // Without the query: that is where presigned requests keep their signature and their session token.
            path = self.uri.path(),
            operation = self.asked.name(),
            bucket = self.bucket.as_ref().map(Bucket::as_str),
            status = self.status.map(|status| status.as_u16()),
            error_code = self.error_code,
            reason = self.refused.map(Reason::as_str),
            access_key_id = who.and_then(Who::access_key_id).map(AccessKeyId::as_str),
            principal = who.map(Who::principal),
            session_name = who.and_then(Who::session_name),
            bytes_received = received,
            bytes_sent = self.sent,
            duration_ms = millis(elapsed),
            first_byte_ms = self.first_byte.map(millis),
            user_agent = self.user_agent.as_ref().and_then(|value| value.to_str().ok()),
        );
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        if self.status.is_none() {
            self.refused.get_or_insert(Reason::ClientGone);
        }
        // Who never got the answer may ask again.
        let succeeded = self.whole && self.outcome() == Outcome::Ok;
        if let Some(claim) = self.claim.take().filter(|_| succeeded) {
            claim.succeeded();
        }
        let elapsed = self.started.elapsed();
        let received = self.verdict.as_ref().map_or(0, Verdict::received);
        let metrics = &self.ledger.metrics;
        // STS counts its operations itself.
        if let Asked::S3(action) = self.asked {
            metrics.ended(action, self.outcome());
        }
        metrics.moved(received, self.sent, elapsed);
        if let Some(reason) = self.refused {
            metrics.rejected(reason);
        }
        if self.ledger.lines {
            self.write_line(received, elapsed);
        }
    }
}
