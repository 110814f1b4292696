//! `AssumeRoleWithWebIdentity`: a session of a role for somebody whom an OpenID Connect provider vouches for.
//!
//! Nobody signs for it: the token is the proof, so a signature that happens to be there is not looked at. The trust
//! policy of the role names the provider and asks about the token's claims. Session tags and the source identity come
//! from the token alone.
//!
//! Source: <https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRoleWithWebIdentity.html>

use http::StatusCode;

use super::assume::{Requested, RoleParameters, check_name, permit};
use super::call::Call;
use super::constraints::{Constraints, NAME};
use super::issue::Mint;
use super::oidc::{WebIdentity, WebIdentityVerifier};
use super::response::{Answer, Value};
use super::session_policies::validation;
use super::session_tags::PassedTags;
use super::trust::Asker;
use crate::fault::Fault;
use crate::iam::directory::OidcProvider;
use crate::iam::{Arn, Federation};

/// Bounds of `WebIdentityToken`, in characters.
const TOKEN_LENGTH: std::ops::RangeInclusive<usize> = 4..=20_000;

/// What is passed, as far as it can be checked without knowing role and provider.
struct Passed<'p> {
    role: RoleParameters<'p>,
    session_name: String,
    token: &'p str,
}

/// Issues a session of the role.
pub(super) async fn run(
    mint: &Mint,
    verifier: &WebIdentityVerifier,
    call: &Call<'_>,
) -> Result<Answer, Fault> {
    let passed = Passed::read(call)?;
    let provider_of = |issuer: &str| declared(call, passed.role.role_arn, issuer);
    let identity = verifier.verify(passed.token, provider_of, call.now).await.map_err(|error| {
        tracing::debug!(%error, "a web identity token was refused");
        Fault::from(error)
    })?;
    let federation = Federation {
        provider: identity.provider.clone(),
        issuer: identity.issuer.clone(),
        subject: identity.subject.clone(),
        audience: identity.audience.clone(),
        saml: None,
    };
    // The record of a refusal tells who was refused.
    call.vouched_for.get_or_init(|| federation.clone());
    let claims = &identity.condition_keys;
    let requested = passed.with(&identity)?;
    let asker = Asker::Provider { federation: &federation, claims };
    let assumed = permit(call, &requested, asker)?.issue(mint).await?;
    let result = [
        Some(assumed.credentials()),
        Some(("SubjectFromWebIdentityToken", Value::Text(identity.subject.clone()))),
        Some(assumed.user()),
        assumed.packed_policy_size(),
        // The ARN, as AWS has it for providers that are declared.
        Some(("Provider", Value::Text(identity.provider.clone()))),
        Some(("Audience", Value::Text(identity.audience.clone()))),
        assumed.source_identity(),
    ];
    Ok(Answer { operation: call.operation, result: result.into_iter().flatten().collect() })
}

/// The provider with this issuer in the account of the role.
fn declared<'c>(call: &Call<'c>, role_arn: &str, issuer: &str) -> Option<&'c OidcProvider> {
    let account = Arn::parse(role_arn)?.account;
    let (_, name) = issuer.split_once("://")?;
    call.directory?.oidc_provider(&format!("arn:aws:iam::{account}:oidc-provider/{name}"))
}

impl<'p> Passed<'p> {
    fn read(call: &Call<'p>) -> Result<Self, Fault> {
        let parameters = call.parameters;
        let mut constraints = Constraints::default();
        let role = RoleParameters::read(parameters, true, &mut constraints)?;
        let session_name = constraints.required("roleSessionName", parameters.get("RoleSessionName"));
        if let Some(name) = session_name {
            check_name(&mut constraints, "roleSessionName", name);
        }
        let token = constraints.required("webIdentityToken", parameters.get("WebIdentityToken"));
        let length = token.map_or(*TOKEN_LENGTH.start(), |token| token.chars().count());
        if length < *TOKEN_LENGTH.start() {
            constraints.secret("webIdentityToken", "have length greater than or equal to 4");
        }
        if length > *TOKEN_LENGTH.end() {
            constraints.secret("webIdentityToken", "have length less than or equal to 20000");
        }
        constraints.check()?;
        if let Some(provider) = parameters.get("ProviderId") {
            return Err(access_token(provider));
        }
        if Arn::parse(role.role_arn).is_none() {
            return Err(validation(format!("{} is invalid", role.role_arn)));
        }
        Ok(Self {
            role,
            session_name: session_name.unwrap_or_default().to_owned(),
            token: token.unwrap_or_default(),
        })
    }

    /// What is asked for, with what the token says about it.
    fn with(self, identity: &WebIdentity) -> Result<Requested<'p>, Fault> {
        let mut constraints = Constraints::default();
        let tags =
            PassedTags { tags: identity.tags.clone(), transitive: identity.transitive_tag_keys.clone() };
        tags.check_claims(&mut constraints);
        if let Some(source_identity) = &identity.source_identity {
            constraints.text("sourceIdentity", source_identity, 2..=64, &NAME);
        }
        constraints.check()?;
        Ok(Requested {
            role_arn: self.role.role_arn,
            session_name: self.session_name,
            duration: self.role.duration,
            at_most: None,
            policies: self.role.policies,
            tags: tags.into_set()?,
            source_identity: identity.source_identity.clone(),
            external_id: None,
            mfa_authenticated_at: None,
        })
    }
}

/// `ProviderId` announces an OAuth 2.0 access token, which only its issuer can read. Of such providers there are none
/// here, and AWS has a code for those that say no.
fn access_token(provider: &str) -> Fault {
    let message = format!("{provider}: OAuth 2.0 access tokens are not accepted");
    Fault::new(StatusCode::FORBIDDEN, "IDPRejectedClaim", message)
}
