//! The built-in STS: AWS's query protocol on the gateway's own listener.
//!
//! A request walks the same line as one to S3, with other nouns: read the parameters, find the operation,
//! authenticate, ask for revocation, run the operation, answer. One file per operation; `issue` is the only
//! place where credentials are made.
//!
//! Source: <https://docs.aws.amazon.com/STS/latest/APIReference/welcome.html>

mod constraints;
mod get_caller_identity;
mod get_session_token;
mod issue;
#[cfg_attr(not(test), expect(dead_code, reason = "AssumeRoleWithWebIdentity is still to come"))]
mod oidc;
mod operation;
mod parameters;
mod recognize;
mod response;

use bytes::Bytes;
use http::request::Parts;
use http::{Response, StatusCode};
use prometheus::IntCounter;
use sigv4::{Dialect, Endpoint, Head};

use crate::auth::{self, AuthError};
use crate::clock::UnixMillis;
use crate::fault::Fault;
use crate::iam::{AccessKeyId, Credential};
use crate::metrics::Metrics;
use crate::store::Store;
use issue::Mint;
use parameters::Parameters;
use response::{Answer, Format};

pub use operation::Operation;
pub use recognize::is_sts_request;

/// How long a presigned STS request is valid, in seconds, whatever its `X-Amz-Expires` says.
pub(crate) const PRESIGNED_LIFETIME: u32 = 900;

/// Answers STS requests out of the store, and issues sessions into it.
pub struct Sts {
    store: Store,
    endpoint: Endpoint,
    mint: Mint,
    requests: Requests,
}

impl Sts {
    /// An STS beside `s3`, for the same regions and as strict; the first region names the source of issued events.
    pub fn new(store: Store, s3: &Endpoint, metrics: &Metrics) -> Self {
        let region = s3.regions.first().map_or("", |region| region);
        let endpoint = Endpoint {
            regions: s3.regions.clone(),
            strict: s3.strict,
            sigv4a: s3.sigv4a,
            presigned_lifetime: Some(PRESIGNED_LIFETIME),
            ..Endpoint::generic("sts", region)
        };
        let mint = Mint::new(store.clone(), region);
        Self { store, endpoint, mint, requests: Requests::register(metrics) }
    }

    /// Answers a request for which [`is_sts_request`] holds, in XML or JSON, errors included.
    ///
    /// `body` is the whole body. The response carries a [`Handled`] among its extensions.
    pub async fn respond(
        &self,
        parts: &Parts,
        body: &[u8],
        request_id: &str,
        now: UnixMillis,
    ) -> Response<Bytes> {
        let mut handled = Handled::default();
        let result = self.answer(parts, body, now, &mut handled).await;
        handled.code = result.as_ref().err().map(|fault| fault.code);
        self.requests.count(handled.operation, &result);
        let mut response = Format::of(&parts.headers).render(result, request_id);
        response.extensions_mut().insert(handled);
        response
    }

    /// The answer to an STS request that was refused before it could be read.
    pub fn refuse(&self, parts: &Parts, fault: Fault, request_id: &str) -> Response<Bytes> {
        let refused = Err(fault);
        self.requests.count(None, &refused);
        Format::of(&parts.headers).render(refused, request_id)
    }

    async fn answer(
        &self,
        parts: &Parts,
        body: &[u8],
        now: UnixMillis,
        handled: &mut Handled,
    ) -> Result<Answer, Fault> {
        let parameters = Parameters::read(parts, body)?;
        let operation = Operation::of(&parameters)?;
        handled.operation = Some(operation);
        let head = Head::from_parts(parts);
        let authenticated = match auth::authenticate(&self.store, head, &self.endpoint, now, Some(body)).await
        {
            Ok(authenticated) => authenticated,
            Err(error) => return Err(not_authenticated(&error)),
        };
        handled.caller = Some(Caller::of(authenticated.credential()));
        let (permitted, _) = match auth::authorize(&self.store, authenticated) {
            Ok(permitted) => permitted,
            Err(denied) => return Err(not_authorized(denied.credential(), operation)),
        };
        let caller = permitted.credential();
        match operation {
            Operation::GetSessionToken => get_session_token::run(&self.mint, caller, &parameters, now).await,
            Operation::GetCallerIdentity => Ok(get_caller_identity::run(caller)),
        }
    }
}

fn not_authenticated(error: &AuthError) -> Fault {
    match error {
        AuthError::Store(source) => tracing::error!(error = %source, "a credential could not be looked up"),
        AuthError::Elsewhere(source) => tracing::warn!(error = %source, "a session cannot be verified here"),
        AuthError::Parse(_)
        | AuthError::UnknownAccessKey(_)
        | AuthError::MissingToken(_)
        | AuthError::InvalidToken
        | AuthError::ExpiredToken
        | AuthError::Verify { .. } => {}
    }
    error.fault(Dialect::Generic)
}

fn not_authorized(caller: &Credential, operation: Operation) -> Fault {
    access_denied(format!(
        "User: {} is not authorized to perform: sts:{} with an explicit deny",
        caller.principal.arn,
        operation.name()
    ))
}

fn access_denied(message: impl Into<std::borrow::Cow<'static, str>>) -> Fault {
    Fault::new(StatusCode::FORBIDDEN, "AccessDenied", message)
}

/// What an access log says about an STS request. Found in the extensions of every response.
#[derive(Clone, Debug, Default)]
pub struct Handled {
    /// `None`: none that is offered.
    pub operation: Option<Operation>,
    /// `None`: not authenticated.
    pub caller: Option<Caller>,
    /// The code of the error answered; `None`: success.
    pub code: Option<&'static str>,
}

/// Who signed an STS request.
#[derive(Clone, Debug)]
pub struct Caller {
    /// With which credential.
    pub access_key_id: AccessKeyId,
    /// The ARN of the principal it speaks for.
    pub principal_arn: String,
    /// The name of the session, where it has one.
    pub session_name: Option<String>,
}

impl Caller {
    fn of(credential: &Credential) -> Self {
        Self {
            access_key_id: credential.access_key_id.clone(),
            principal_arn: credential.principal.arn.clone(),
            session_name: credential.session.as_ref().and_then(|session| session.name.clone()),
        }
    }
}

/// The counters of `sts_requests_total`, by operation and outcome.
struct Requests {
    known: [[IntCounter; 3]; Operation::ALL.len()],
    unknown: [IntCounter; 3],
}

impl Requests {
    /// Values of the label `outcome`: answered, refused for a fault of the client, failed on our side.
    const OUTCOMES: [&'static str; 3] = ["ok", "refused", "failed"];

    fn register(metrics: &Metrics) -> Self {
        let family = metrics.counters(
            "sts_requests_total",
            "STS requests by operation and outcome: ok, refused (the client's fault), failed (ours).",
            &["operation", "outcome"],
        );
        let of = |operation| Self::OUTCOMES.map(|outcome| family.with_label_values(&[operation, outcome]));
        Self { known: Operation::ALL.map(|operation| of(operation.name())), unknown: of("Unknown") }
    }

    fn count(&self, operation: Option<Operation>, result: &Result<Answer, Fault>) {
        let outcomes = operation.map_or(&self.unknown, |operation| &self.known[operation as usize]);
        let outcome = match result {
            Ok(_) => 0,
            Err(fault) if fault.status.is_client_error() => 1,
            Err(_) => 2,
        };
        outcomes[outcome].inc();
    }
}
