//! What is counted about requests. Every child is resolved at start.

use prometheus::{Histogram, IntCounter, IntGauge};
use sigv4::{ParseError, PostError};

use crate::auth::AuthError;
use crate::metrics::Metrics;
use crate::s3::Action;

/// How a request to S3 ended. STS counts its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The backend answered 1xx to 3xx.
    Ok,
    /// The backend answered 4xx.
    ClientError,
    /// The backend answered 5xx.
    ServerError,
    /// The gateway refused.
    Rejected,
    /// The gateway has no answer from the backend.
    Unavailable,
}

impl Outcome {
    const ALL: [Self; 5] =
        [Self::Ok, Self::ClientError, Self::ServerError, Self::Rejected, Self::Unavailable];

    /// Label value.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::ClientError => "client_error",
            Self::ServerError => "server_error",
            Self::Rejected => "rejected",
            Self::Unavailable => "unavailable",
        }
    }
}

/// Why the gateway did not forward a request, or had no answer to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reason {
    Anonymous,
    Malformed,
    Skew,
    Expired,
    UnknownKey,
    MissingToken,
    InvalidToken,
    ExpiredToken,
    Signature,
    /// A form is not what its own policy allows.
    FormPolicy,
    Revoked,
    NotPermitted,
    /// It would have taken more than it may.
    Limited,
    Payload,
    ClientGone,
    Upstream,
    Store,
}

impl Reason {
    const ALL: [Self; 17] = [
        Self::Anonymous,
        Self::Malformed,
        Self::Skew,
        Self::Expired,
        Self::UnknownKey,
        Self::MissingToken,
        Self::InvalidToken,
        Self::ExpiredToken,
        Self::Signature,
        Self::FormPolicy,
        Self::Revoked,
        Self::NotPermitted,
        Self::Limited,
        Self::Payload,
        Self::ClientGone,
        Self::Upstream,
        Self::Store,
    ];

    /// Label value.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Anonymous => "anonymous",
            Self::Malformed => "malformed",
            Self::Skew => "skew",
            Self::Expired => "expired",
            Self::UnknownKey => "unknown_key",
            Self::MissingToken => "missing_token",
            Self::InvalidToken => "invalid_token",
            Self::ExpiredToken => "expired_token",
            Self::Signature => "signature",
            Self::FormPolicy => "form_policy",
            Self::Revoked => "revoked",
            Self::NotPermitted => "not_permitted",
            Self::Limited => "limited",
            Self::Payload => "payload",
            Self::ClientGone => "client_gone",
            Self::Upstream => "upstream",
            Self::Store => "store",
        }
    }

    pub(super) fn of_auth(error: &AuthError) -> Self {
        match error {
            AuthError::Parse(error) => Self::of_head(error),
            AuthError::UnknownAccessKey(_) => Self::UnknownKey,
            AuthError::MissingToken(_) => Self::MissingToken,
            AuthError::InvalidToken => Self::InvalidToken,
            AuthError::ExpiredToken => Self::ExpiredToken,
            AuthError::Verify { .. } => Self::Signature,
            AuthError::Store(_) | AuthError::Elsewhere(_) => Self::Store,
        }
    }

    pub(super) fn of_form(error: &PostError) -> Self {
        match error {
            PostError::Anonymous => Self::Anonymous,
            PostError::ScopeMismatch | PostError::SignatureMismatch(_) => Self::Signature,
            PostError::PolicyExpired => Self::Expired,
            PostError::Policy(_) | PostError::ConditionFailed { .. } | PostError::ExtraField { .. } => {
                Self::FormPolicy
            }
            PostError::SignatureV2
            | PostError::MissingField { .. }
            | PostError::RepeatedField { .. }
            | PostError::Algorithm { .. }
            | PostError::Date { .. }
            | PostError::Credential { .. }
            | PostError::EmptyKey
            | PostError::Form(_) => Self::Malformed,
        }
    }

    fn of_head(error: &ParseError) -> Self {
        match error {
            ParseError::Anonymous => Self::Anonymous,
            ParseError::Skewed { .. } | ParseError::NotYetValid { .. } => Self::Skew,
            ParseError::Expired { .. } => Self::Expired,
            ParseError::MalformedPath { .. }
            | ParseError::MalformedQuery(_)
            | ParseError::SeveralMechanisms { .. }
            | ParseError::SeveralAuthorizations { .. }
            | ParseError::ConflictingHosts
            | ParseError::AuthorizationSpace { .. }
            | ParseError::UnsupportedScheme { .. }
            | ParseError::SignatureV2
            | ParseError::Asymmetric(_)
            | ParseError::Authorization(_)
            | ParseError::Parameters(_)
            | ParseError::Credential { .. }
            | ParseError::HostNotSigned
            | ParseError::RegionSetNotSigned
            | ParseError::Date { .. } => Self::Malformed,
        }
    }

    /// Whether the request was refused for what it is, rather than lost for want of an answer.
    pub(super) const fn is_rejection(self) -> bool {
        !matches!(self, Self::ClientGone | Self::Upstream | Self::Store)
    }
}

/// Handles to every counter.
pub(super) struct GatewayMetrics {
    /// By action, then by outcome.
    requests: Vec<[IntCounter; Outcome::ALL.len()]>,
    /// By reason.
    rejections: [IntCounter; Reason::ALL.len()],
    request_seconds: Histogram,
    verify_seconds: Histogram,
    upstream_seconds: Histogram,
    in_flight: IntGauge,
    received_bytes: IntCounter,
    sent_bytes: IntCounter,
}

impl GatewayMetrics {
    pub(super) fn register(metrics: &Metrics) -> Self {
        let requests = metrics.counters(
            "requests_total",
            "S3 requests by operation and by how they ended.",
            &["operation", "outcome"],
        );
        let rejections = metrics.counters(
            "rejections_total",
            "Requests the gateway did not forward, by reason.",
            &["reason"],
        );
        let of_action = |action: &Action| {
            Outcome::ALL.map(|outcome| requests.with_label_values(&[action.name(), outcome.as_str()]))
        };
        Self {
            requests: Action::ALL.iter().map(of_action).collect(),
            rejections: Reason::ALL.map(|reason| rejections.with_label_values(&[reason.as_str()])),
            request_seconds: metrics
                .seconds("request_duration_seconds", "From request head to last byte of the answer."),
            verify_seconds: metrics.seconds("verify_duration_seconds", "From request head to verdict on it."),
            upstream_seconds: metrics
                .seconds("upstream_duration_seconds", "From forwarding to the head of the backend's answer."),
            in_flight: metrics.gauge("requests_in_flight", "Requests being served now."),
            received_bytes: metrics
                .counter("received_bytes_total", "Bytes of request bodies, framing included."),
            sent_bytes: metrics.counter("sent_bytes_total", "Bytes of answers' bodies."),
        }
    }

    pub(super) fn verified(&self, elapsed: std::time::Duration) {
        self.verify_seconds.observe(elapsed.as_secs_f64());
    }

    pub(super) fn upstream(&self, elapsed: std::time::Duration) {
        self.upstream_seconds.observe(elapsed.as_secs_f64());
    }

    /// Counts a request as in flight until the guard is dropped.
    pub(super) fn in_flight(&self) -> InFlight {
        self.in_flight.inc();
        InFlight(self.in_flight.clone())
    }

    pub(super) fn ended(&self, action: Action, outcome: Outcome) {
        if let Some(counter) = self.requests.get(action as usize).and_then(|row| row.get(outcome as usize)) {
            counter.inc();
        }
    }

    pub(super) fn rejected(&self, reason: Reason) {
        if let Some(counter) = self.rejections.get(reason as usize) {
            counter.inc();
        }
    }

    pub(super) fn moved(&self, received: u64, sent: u64, elapsed: std::time::Duration) {
        self.request_seconds.observe(elapsed.as_secs_f64());
        self.received_bytes.inc_by(received);
        self.sent_bytes.inc_by(sent);
    }
}

/// One request in flight.
pub(super) struct InFlight(IntGauge);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.dec();
    }
}
