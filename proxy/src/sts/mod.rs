//! The built-in STS: AWS's query protocol on the gateway's own listener.
//!
//! A request walks the same line as one to S3, with other nouns: read the parameters, find the operation,
//! authenticate, ask for revocation, run the operation, answer. One file per operation; `assume` is what those that
//! assume a role have in common, `trust` decides whether one may be assumed, `issue` is the only place where
//! credentials are made.
//!
//! | operation | who may call it | policies that must allow | lasts, in seconds |
//! |---|---|---|---|
//! | `AssumeRole` | users, their `GetSessionToken` sessions, sessions of roles | trust policy, and the caller's own where that does not name it; `sts:TagSession`, `sts:SetSourceIdentity` apart | 900 to the role's maximum, 3600; chained 3600 at most |
//! | `AssumeRoleWithSAML` | everybody with an assertion of a declared provider, once | trust policy; `sts:TagSession`, `sts:SetSourceIdentity` apart | 900 to the role's maximum, 3600; shorter if the assertion says so |
//! | `AssumeRoleWithWebIdentity` | who has a token of a declared OpenID Connect provider | trust policy; `sts:TagSession`, `sts:SetSourceIdentity` apart | 900 to the role's maximum, 3600 |
//! | `GetSessionToken` | users and roots, by long-term key | none | 900 to 129600, 43200; roots 3600 at most |
//! | `GetFederationToken` | users and roots, by long-term key | the caller's own; `sts:TagSession` apart | 900 to 129600, 43200; roots 3600 at most |
//! | `GetCallerIdentity` | every live credential | none, and none can forbid it | |
//! | `GetAccessKeyInfo` | all but sessions of `GetSessionToken` and `GetFederationToken` | the caller's own | |
//!
//! Source: <https://docs.aws.amazon.com/STS/latest/APIReference/welcome.html>

mod assume;
mod assume_role;
mod assume_role_with_saml;
mod assume_role_with_web_identity;
mod call;
mod constraints;
mod get_access_key_info;
mod get_caller_identity;
mod get_federation_token;
mod get_session_token;
mod issue;
mod oidc;
mod operation;
mod parameters;
mod recognize;
mod record;
mod response;
mod second_factor;
mod session_policies;
mod session_tags;
mod trust;

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use http::request::Parts;
use http::{Response, StatusCode};
use prometheus::IntCounter;
use sigv4::{Dialect, Endpoint};

use crate::admission::{Admission, Attempt, NotAdmitted, Proved};
use crate::audit::{Identity, Record};
use crate::auth::{self, AuthError, Nobody, Standing};
use crate::clock::UnixMillis;
use crate::fault::Fault;
use crate::iam::saml::RelyingParty;
use crate::iam::{AccessKeyId, Credential};
use crate::identities::Identities;
use crate::metrics::Metrics;
use crate::store::{Store, StoreError};
use assume_role_with_saml::Saml;
use call::Call;
use issue::Mint;
use oidc::WebIdentityVerifier;
use parameters::Parameters;
use response::{Answer, Format};
use second_factor::UsedCodes;

pub use call::Origin;
pub use operation::Operation;
pub use recognize::is_sts_request;

/// How long a presigned STS request is valid, in seconds, whatever its `X-Amz-Expires` says.
pub(crate) const PRESIGNED_LIFETIME: u32 = 900;

/// Answers STS requests out of the store, and issues sessions into it.
pub struct Sts {
    store: Store,
    identities: Identities,
    admission: Arc<Admission>,
    endpoint: Endpoint,
    mint: Mint,
    saml: Saml,
    used_codes: Arc<UsedCodes>,
    web_identities: Arc<WebIdentityVerifier>,
    requests: Arc<Requests>,
}

/// What an STS is made of.
pub struct StsParts {
    /// Where credentials are looked up, and sessions issued into.
    pub store: Store,
    /// Who is declared, and what they may do.
    pub identities: Identities,
    /// Who may take how much.
    pub admission: Arc<Admission>,
    /// For whom SAML assertions have to be.
    pub saml: RelyingParty,
}

/// A request for which [`is_sts_request`] holds, read to its end.
#[derive(Clone, Copy, Debug)]
pub struct Incoming<'r> {
    /// The head.
    pub parts: &'r Parts,
    /// The whole body.
    pub body: &'r [u8],
    /// Under which the answer is told.
    pub request_id: &'r str,
    /// Where it comes from.
    pub origin: Origin<'r>,
    /// When it came.
    pub now: UnixMillis,
}

impl Sts {
    /// An STS beside `s3`, for the same regions and as strict; the first region names the source of issued events.
    pub fn new(parts: StsParts, s3: &Endpoint, metrics: &Metrics) -> Self {
        let StsParts { store, identities, admission, saml } = parts;
        let (endpoint, mint) = settings(&store, s3);
        Self {
            store,
            identities,
            admission,
            endpoint,
            mint,
            saml: Saml::new(saml),
            used_codes: Arc::default(),
            web_identities: Arc::new(WebIdentityVerifier::new(metrics)),
            requests: Arc::new(Requests::register(metrics)),
        }
    }

    /// The same STS under other settings: it remembers which codes and assertions were used, and has the keys that
    /// identity providers publish.
    #[must_use]
    pub fn under(&self, s3: &Endpoint, saml: RelyingParty) -> Self {
        let (endpoint, mint) = settings(&self.store, s3);
        Self {
            store: self.store.clone(),
            identities: self.identities.clone(),
            admission: Arc::clone(&self.admission),
            endpoint,
            mint,
            saml: self.saml.under(saml),
            used_codes: Arc::clone(&self.used_codes),
            web_identities: Arc::clone(&self.web_identities),
            requests: Arc::clone(&self.requests),
        }
    }

    /// Answers a request, in XML or JSON, errors included. The response carries a [`Handled`] among its extensions.
    pub async fn respond(&self, incoming: &Incoming<'_>) -> Response<Bytes> {
        let mut handled = Handled::default();
        let mut record = record::begin(incoming, self.region());
        let result = self.answer(incoming, &mut handled, &mut record).await;
        let result = record::finish(self.store.audit(), record, result).await;
        handled.code = result.as_ref().err().map(|fault| fault.code);
        self.requests.count(handled.operation, &result);
        let mut response = Format::of(&incoming.parts.headers).render(result, incoming.request_id);
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
        incoming: &Incoming<'_>,
        handled: &mut Handled,
        record: &mut Record,
    ) -> Result<Answer, Fault> {
        let parameters = Parameters::read(incoming.parts, incoming.body);
        let parameters = parameters.inspect_err(|fault| {
            record.refused(fault.code, &fault.message);
        })?;
        record.asking(record::asked(&parameters));
        let result = self.perform(incoming, &parameters, handled, record).await;
        record::outcome(record, &result, &parameters);
        result
    }

    async fn perform(
        &self,
        incoming: &Incoming<'_>,
        parameters: &Parameters<'_>,
        handled: &mut Handled,
        record: &mut Record,
    ) -> Result<Answer, Fault> {
        let Incoming { parts, body, origin, now, request_id: _ } = *incoming;
        let operation = Operation::of(parameters)?;
        handled.operation = Some(operation);
        record.named(operation.name());
        let directory = self.identities.current();
        let call = Call {
            operation,
            parameters,
            directory: directory.as_deref(),
            origin,
            headers: &parts.headers,
            region: self.region(),
            now,
            vouched_for: OnceLock::new(),
        };
        if !operation.is_signed() {
            self.admission.unsigned_sts(origin.address).map_err(|refused| refused.sts_fault())?;
            let result = self.run(None, &call).await;
            if let Some(federation) = call.vouched_for.get() {
                record.by(Identity::federated(federation));
            }
            return result;
        }
        let attempt = Attempt {
            parts,
            endpoint: &self.endpoint,
            now,
            body: Some(body),
            address: origin.address,
            hosts: origin.hosts,
        };
        let Proved { authenticated, host: _ } = match self.admission.authenticate(&self.store, attempt).await
        {
            Ok(proved) => proved,
            Err(NotAdmitted::Auth(error)) => return Err(not_authenticated(&error)),
            Err(NotAdmitted::Refused(refused)) => return Err(refused.sts_fault()),
        };
        handled.caller = Some(Caller::of(authenticated.credential()));
        record.by(Identity::of(authenticated.credential()));
        let (unrevoked, _) = match auth::unrevoked(&self.store, authenticated) {
            Ok(unrevoked) => unrevoked,
            Err(denied) => return Err(not_authorized(denied.credential(), operation)),
        };
        self.admission.principal(unrevoked.credential()).map_err(|refused| refused.sts_fault())?;
        match unrevoked.standing(call.directory) {
            Ok(caller) => self.run(Some(&caller), &call).await,
            Err(Nobody) => Err(not_authorized(unrevoked.credential(), operation)),
        }
    }

    fn region(&self) -> &str {
        self.endpoint.regions.first().map_or("", |region| region)
    }

    /// Runs an operation for whoever signed for it. Without a caller only those run that bring a proof of their own.
    async fn run(&self, caller: Option<&Standing<'_>>, call: &Call<'_>) -> Result<Answer, Fault> {
        let (mint, used) = (&self.mint, &self.used_codes);
        match (call.operation, caller) {
            (Operation::AssumeRole, Some(caller)) => assume_role::run(mint, used, caller, call).await,
            (Operation::AssumeRoleWithSAML, _) => assume_role_with_saml::run(mint, &self.saml, call).await,
            (Operation::AssumeRoleWithWebIdentity, _) => {
                assume_role_with_web_identity::run(mint, &self.web_identities, call).await
            }
            (Operation::GetSessionToken, Some(caller)) => {
                get_session_token::run(mint, used, caller, call).await
            }
            (Operation::GetFederationToken, Some(caller)) => {
                get_federation_token::run(mint, caller, call).await
            }
            (Operation::GetCallerIdentity, Some(caller)) => Ok(get_caller_identity::run(caller.credential())),
            (Operation::GetAccessKeyInfo, Some(caller)) => {
                get_access_key_info::run(&self.store, caller, call).await
            }
            (
                Operation::AssumeRole
                | Operation::GetSessionToken
                | Operation::GetFederationToken
                | Operation::GetCallerIdentity
                | Operation::GetAccessKeyInfo,
                None,
            ) => Err(access_denied("Nobody has signed for this operation.")),
        }
    }
}

fn not_authenticated(error: &AuthError) -> Fault {
    match error {
        AuthError::Store(source) => return store_failed(source),
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

fn store_failed(error: &StoreError) -> Fault {
    tracing::error!(%error, "a credential could not be looked up");
    AuthError::Store(error.clone()).fault(Dialect::Generic)
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

/// What of an STS follows from the settings of the S3 beside it.
fn settings(store: &Store, s3: &Endpoint) -> (Endpoint, Mint) {
    let region = s3.regions.first().map_or("", |region| region);
    let endpoint = Endpoint {
        regions: s3.regions.clone(),
        strict: s3.strict,
        // An STS answers a mismatch in one sentence.
        explain: false,
        sigv4a: s3.sigv4a,
        presigned_lifetime: Some(PRESIGNED_LIFETIME),
        ..Endpoint::generic("sts", region)
    };
    (endpoint, Mint::new(store.clone(), region))
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
