//! Every way a request can end badly, and the one place where it becomes an answer.

use http::header::{AUTHORIZATION, CONNECTION, RETRY_AFTER};
use http::request::Parts;
use http::{HeaderValue, Method, Response, Version};
use sigv4::{Dialect, ParseError, PostError};

use super::access_log::Call;
use super::answer_body::AnswerBody;
use super::lingering::expects_continue;
use super::metrics::Reason;
use super::verdict::Verdict;
use crate::admission::{NotAdmitted, Refused};
use crate::auth::{AuthError, Denied, FormAuthError, NotForEverybody, NotPermitted, Refusal};
use crate::config;
use crate::fault::{Fault, form, payload, signature};
use crate::s3;
use crate::sts::{self, Sts};
use crate::telemetry::with_causes;
use crate::upstream::UpstreamError;

/// Why a request was not answered by the backend.
#[derive(Debug, thiserror::Error)]
pub(super) enum GatewayError {
    /// Who asked is not proved.
    #[error(transparent)]
    Auth(#[from] AuthError),
    /// It would take more than it may.
    #[error(transparent)]
    Limited(#[from] Refused),
    /// Who asked is known and may not.
    #[error("the credential is revoked, or does not permit what is asked")]
    Denied(Denied),
    /// The target names neither bucket nor object.
    #[error(transparent)]
    Target(#[from] s3::TargetError),
    /// No backend is there for it, or none that all could agree on.
    #[error("{}: {}", .0.code, .0.message)]
    Unrouted(Fault),
    /// What is to be deleted cannot be said.
    #[error(transparent)]
    Deletions(#[from] s3::MalformedDeletions),
    /// What the head says about the body cannot be.
    #[error(transparent)]
    Payload(#[from] sigv4::PayloadError),
    /// A form, and a signature outside of it.
    #[error("a form is signed by its fields and by nothing else")]
    SignedForm,
    /// The form is not signed, or not what its policy allows.
    #[error("{source}")]
    Form {
        /// As presented.
        access_key_id: String,
        /// What is wrong with it.
        source: PostError,
    },
    /// What the form says about its object cannot be.
    #[error("{}: {}", .0.code, .0.message)]
    Field(Fault),
    /// The body is not what was signed, or never came; the verdict says which.
    #[error("the request body was not proved")]
    Body(Verdict),
    /// Nobody says how long the body is.
    #[error("the length of the request body is unknown")]
    MissingContentLength,
    /// A list of objects to delete that nothing protects against damage on the way.
    #[error("neither Content-MD5 nor a checksum is given")]
    MissingChecksum,
    /// The request line and the headers are too long.
    #[error("the head of the request is too large")]
    HeadTooLarge {
        /// The limit.
        max_bytes: u64,
    },
    /// A body in a coding of its own beneath the chunks that HTTP sends it in: nobody else would read it as we do.
    #[error("Transfer-Encoding says something else than chunked")]
    TransferCoding,
    /// A method that is about the connection rather than about what is stored.
    #[error("CONNECT and TRACE are not offered")]
    Method,
    /// A browser asks whether it may ask, and may not.
    #[error("the cross-origin request is not allowed")]
    Preflight(Fault),
    /// The body is larger than it may be.
    #[error("the body has {proposed} bytes and may have {most}")]
    TooLarge {
        /// Stated.
        proposed: u64,
        /// The limit.
        most: u64,
    },
    /// The STS request is too large.
    #[error("the STS request is too large")]
    StsBodyTooLarge {
        /// The limit.
        max_bytes: u64,
    },
    /// The client stopped in the middle of its request.
    #[error("the client stopped sending")]
    ClientStalled,
    /// The client is gone; nobody will read the answer.
    #[error("the client is gone")]
    ClientGone,
    /// The backend gave no answer.
    #[error(transparent)]
    Upstream(#[from] UpstreamError),
    /// The backend says it is done, and never read the request to its end.
    #[error("the backend answered before it had the request")]
    UpstreamHasty,
    /// The backend took the request and stayed silent.
    #[error("the backend did not answer in time")]
    UpstreamTimeout,
}

impl From<Denied> for GatewayError {
    fn from(denied: Denied) -> Self {
        Self::Denied(denied)
    }
}

impl From<NotForEverybody> for GatewayError {
    fn from(error: NotForEverybody) -> Self {
        match error {
            NotForEverybody::Denied => Self::Auth(ParseError::Anonymous.into()),
            NotForEverybody::ResponseHeaders | NotForEverybody::Unclear(_) => Self::Field(error.fault()),
        }
    }
}

impl From<NotAdmitted> for GatewayError {
    fn from(error: NotAdmitted) -> Self {
        match error {
            NotAdmitted::Auth(error) => Self::Auth(error),
            NotAdmitted::Refused(refused) => Self::Limited(refused),
        }
    }
}

impl From<FormAuthError> for GatewayError {
    fn from(error: FormAuthError) -> Self {
        match error {
            FormAuthError::Credential(error) => Self::Auth(error),
            FormAuthError::Form { access_key_id, source } => Self::Form { access_key_id, source },
        }
    }
}

impl GatewayError {
    /// What the client is told.
    fn fault(&self, parts: &Parts, access_key_id: &str) -> Fault {
        match self {
            Self::Auth(error) => error.fault(Dialect::S3),
            Self::Limited(refused) => refused.fault(),
            Self::Denied(denied) => denied.fault(),
            Self::Target(error) => error.fault(),
            Self::Deletions(malformed) => malformed.fault(),
            Self::Payload(error) => payload::payload_fault(error, access_key_id),
            Self::SignedForm => signature::several_mechanisms(parts.headers.get(AUTHORIZATION)),
            Self::Form { access_key_id, source } => form::post_fault(source, access_key_id),
            Self::Field(fault) | Self::Unrouted(fault) => fault.clone(),
            Self::Body(verdict) => match verdict.refused() {
                Some(error) => payload::payload_fault(error, access_key_id),
                None => match verdict.too_large() {
                    Some(most) => s3::entity_too_large(verdict.received(), most),
                    None => s3::request_timeout(),
                },
            },
            Self::MissingContentLength => s3::missing_content_length(),
            Self::MissingChecksum => s3::missing_checksum(),
            Self::HeadTooLarge { max_bytes } => s3::head_too_large(*max_bytes),
            Self::TransferCoding => Fault::not_implemented("Transfer-Encoding"),
            Self::Method => s3::method_not_allowed(&parts.method, "SERVICE"),
            Self::Preflight(fault) => fault.clone(),
            Self::TooLarge { proposed, most } => s3::entity_too_large(*proposed, *most),
            Self::StsBodyTooLarge { max_bytes } => s3::entity_too_large(max_bytes + 1, *max_bytes),
            Self::ClientStalled | Self::ClientGone => s3::request_timeout(),
            Self::Upstream(
                UpstreamError::Unresolved(_)
                | UpstreamError::Connect(_)
                | UpstreamError::Broken(_)
                | UpstreamError::Switched
                | UpstreamError::Refused(_)
                | UpstreamError::Unread(_),
            )
            | Self::UpstreamHasty => s3::service_unavailable(),
            Self::Upstream(UpstreamError::Unwritable(_)) => s3::internal_error(),
            Self::Upstream(UpstreamError::Busy(_) | UpstreamError::TooLong(_)) | Self::UpstreamTimeout => {
                s3::slow_down()
            }
        }
    }

    /// Whether a body was larger than it may be.
    pub(super) fn is_too_large(&self) -> bool {
        matches!(self, Self::TooLarge { .. })
            || matches!(self, Self::Body(verdict) if verdict.too_large().is_some())
    }

    /// Under which label it is counted.
    pub(super) fn reason(&self) -> Reason {
        match self {
            Self::Auth(error) => Reason::of_auth(error),
            Self::Form { source, .. } => Reason::of_form(source),
            Self::Denied(denied) => match denied.why {
                Refusal::Revoked(_) => Reason::Revoked,
                Refusal::Unclear(_) => Reason::Malformed,
                Refusal::NotPermitted(_) => Reason::NotPermitted,
            },
            Self::Target(_)
            | Self::Unrouted(_)
            | Self::SignedForm
            | Self::Field(_)
            | Self::Deletions(_)
            | Self::MissingContentLength
            | Self::MissingChecksum
            | Self::HeadTooLarge { .. }
            | Self::TransferCoding
            | Self::Method
            | Self::StsBodyTooLarge { .. } => Reason::Malformed,
            Self::Limited(_) => Reason::Limited,
            Self::Payload(_) => Reason::Payload,
            Self::TooLarge { .. } => Reason::Limited,
            Self::Body(verdict) if verdict.too_large().is_some() => Reason::Limited,
            Self::Body(verdict) if verdict.refused().is_some() => Reason::Payload,
            Self::Body(_) | Self::ClientStalled | Self::ClientGone => Reason::ClientGone,
            Self::Preflight(_) => Reason::Anonymous,
            Self::Upstream(_) | Self::UpstreamHasty | Self::UpstreamTimeout => Reason::Upstream,
        }
    }

    /// Logs, once, what only the operator may know.
    fn tell_operator(&self, call: &mut Call) {
        match self {
            Self::Upstream(UpstreamError::Refused(code)) => {
                tracing::error!(
                    request_id = call.request_id.as_str(),
                    code,
                    "the backend refuses the gateway's credential: check backend.access_key_id, its secret and backend.region"
                );
            }
            Self::Upstream(error) => {
                tracing::warn!(request_id = call.request_id.as_str(), error = %with_causes(error), "no answer from the backend");
            }
            Self::UpstreamTimeout | Self::UpstreamHasty => {
                tracing::warn!(request_id = call.request_id.as_str(), error = %self, "no answer from the backend");
            }
            Self::Auth(AuthError::Store(error)) => {
                tracing::error!(request_id = call.request_id.as_str(), %error, "the credential store cannot be read");
            }
            Self::Auth(AuthError::Elsewhere(error)) => {
                tracing::warn!(request_id = call.request_id.as_str(), %error, "a session cannot be verified here");
            }
            Self::Denied(denied) => {
                call.identify(denied.record());
                if let Refusal::NotPermitted(refused) = &denied.why {
                    let NotPermitted { need, layer, denied_by } = &**refused;
                    let (request_id, principal) =
                        (call.request_id.as_str(), &denied.credential().principal.arn);
                    tracing::debug!(
                        request_id,
                        principal,
                        action = need.action,
                        need.resource,
                        ?layer,
                        ?denied_by,
                        "not permitted"
                    );
                }
            }
            Self::Auth(_)
            | Self::Limited(_)
            | Self::Target(_)
            | Self::Unrouted(_)
            | Self::Deletions(_)
            | Self::Payload(_)
            | Self::SignedForm
            | Self::Form { .. }
            | Self::Field(_)
            | Self::Body(_)
            | Self::MissingContentLength
            | Self::MissingChecksum
            | Self::HeadTooLarge { .. }
            | Self::TransferCoding
            | Self::Method
            | Self::Preflight(_)
            | Self::TooLarge { .. }
            | Self::StsBodyTooLarge { .. }
            | Self::ClientStalled
            | Self::ClientGone => {}
        }
    }

    /// The answer.
    pub(super) fn into_response(
        self,
        parts: &Parts,
        call: &mut Call,
        settings: &config::Gateway,
        sts: Option<&Sts>,
    ) -> Response<AnswerBody> {
        self.tell_operator(call);
        let mut fault = self.fault(parts, call.access_key_id());
        if !settings.explain_mismatch {
            fault = signature::without_explanation(fault);
        }
        let is_ambiguous = matches!(self, Self::TransferCoding);
        let sts = sts.filter(|_| sts::is_sts_request(parts));
        let limited = if let Self::Limited(refused) = &self { Some(refused) } else { None };
        if let Some(refused) = limited.filter(|_| sts.is_some()) {
            fault = refused.sts_fault();
        }
        call.refuse(self.reason(), fault.code);
        let mut response = match sts {
            Some(sts) => {
                call.aim_at_sts();
                sts.refuse(parts, fault, call.request_id.as_str())
            }
            None => s3::respond(&fault, call.request_id.as_str(), call.host_id, parts.method == Method::HEAD),
        };
        if let Some(seconds) = limited.and_then(|refused| refused.retry_after) {
            response.headers_mut().insert(RETRY_AFTER, seconds.into());
        }
        let withheld = expects_continue(&parts.headers) && !call.has_read_body();
        // Over HTTP/2 only the one stream is in doubt.
        if (withheld || is_ambiguous || call.cut) && parts.version != Version::HTTP_2 {
            // The client may still send its body, or not; or another reader would see another end of it; or nobody
            // here will read it.
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response.map(AnswerBody::whole)
    }
}
