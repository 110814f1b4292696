//! `AssumeRoleWithSAML`: a session of a role for somebody whom a SAML identity provider vouches for. Nobody signs for it.
//!
//! The assertion names the role and the provider as a pair, the trust policy names the provider and may ask for
//! anything else the assertion says. An assertion is good for one session: it is redeemed after all else was granted.
//!
//! Source: <https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRoleWithSAML.html>

use std::sync::Arc;

use http::StatusCode;

use super::access_denied;
use super::assume::{Requested, RoleParameters, permit};
use super::call::Call;
use super::constraints::{ARN, Constraints};
use super::issue::Mint;
use super::response::{Answer, Value};
use super::session_policies::validation;
use super::session_tags::PassedTags;
use super::trust::Asker;
use crate::clock::UnixMillis;
use crate::fault::Fault;
use crate::iam::directory::SamlProvider;
use crate::iam::saml::{self, Assertion, Claims, RelyingParty, ReplayError, Replays, SamlError};
use crate::iam::{Arn, Federation, SamlSubject};

/// Shortest response, in base64.
const MIN_ASSERTION: usize = 4;

/// What is known of SAML between requests.
pub(super) struct Saml {
    party: RelyingParty,
    replays: Arc<Replays>,
}

impl Saml {
    pub(super) fn new(party: RelyingParty) -> Self {
        Self { party, replays: Arc::default() }
    }

    /// For another party, with the same assertions redeemed.
    pub(super) fn under(&self, party: RelyingParty) -> Self {
        Self { party, replays: Arc::clone(&self.replays) }
    }
}

/// Issues a session of the role.
pub(super) async fn run(mint: &Mint, saml: &Saml, call: &Call<'_>) -> Result<Answer, Fault> {
    let passed = Passed::read(call)?;
    let provider = provider(call, passed.provider)?;
    let assertion = match saml::verify(passed.assertion, &provider.metadata, &saml.party, call.now) {
        Ok(assertion) => assertion,
        Err(error) => {
            // The answer does not tell which check of a signature failed; here it can be found out.
            tracing::debug!(provider = provider.arn, ?error, "a SAML response was refused");
            return Err(error.fault());
        }
    };
    let claims = Claims::of(&assertion, &provider.account, &provider.name);
    let federation = Federation {
        provider: provider.arn.clone(),
        issuer: assertion.issuer.clone(),
        subject: assertion.subject.name.clone(),
        audience: assertion.recipient.clone(),
        saml: Some(SamlSubject {
            name_qualifier: claims.name_qualifier().to_owned(),
            subject_type: assertion.subject.short_format().to_owned(),
        }),
    };
    // The record of a refusal tells who was refused.
    call.vouched_for.get_or_init(|| federation.clone());
    if !assertion.grants(passed.role.role_arn, &provider.arn) {
        return Err(access_denied(format!("Not authorized to perform {}", call.operation.permission())));
    }
    let requested = passed.requested(&assertion, call.now)?;
    let keys = claims.condition_keys();
    let permit = permit(call, &requested, Asker::Provider { federation: &federation, claims: &keys })?;
    // Last, so that what is refused for another reason can be tried again.
    redeem(saml, provider, &assertion, call.now)?;
    let assumed = permit.issue(mint).await?;
    let text = |name, text: &str| Some((name, Value::Text(text.to_owned())));
    let result = [
        Some(assumed.credentials()),
        Some(assumed.user()),
        assumed.packed_policy_size(),
        text("Subject", &assertion.subject.name),
        text("SubjectType", assertion.subject.short_format()),
        text("Issuer", &assertion.issuer),
        text("Audience", &assertion.recipient),
        text("NameQualifier", claims.name_qualifier()),
        assumed.source_identity(),
    ];
    Ok(Answer { operation: call.operation, result: result.into_iter().flatten().collect() })
}

/// The parameters.
struct Passed<'c> {
    role: RoleParameters<'c>,
    /// ARN.
    provider: &'c str,
    assertion: &'c str,
}

impl<'c> Passed<'c> {
    fn read(call: &'c Call<'_>) -> Result<Self, Fault> {
        let mut constraints = Constraints::default();
        let role = RoleParameters::read(call.parameters, true, &mut constraints)?;
        let provider = constraints.required("principalArn", call.parameters.get("PrincipalArn"));
        if let Some(arn) = provider {
            constraints.text("principalArn", arn, 20..=2_048, &ARN);
        }
        let assertion = constraints.required("sAMLAssertion", call.parameters.get("SAMLAssertion"));
        if let Some(assertion) = assertion {
            let length = assertion.chars().count();
            // The assertion itself is not repeated: it is a kind of token.
            if length < MIN_ASSERTION {
                let bound = format!("have length greater than or equal to {MIN_ASSERTION}");
                constraints.secret("sAMLAssertion", &bound);
            }
            if length > saml::MAX_ENCODED_LENGTH {
                let bound = format!("have length less than or equal to {}", saml::MAX_ENCODED_LENGTH);
                constraints.secret("sAMLAssertion", &bound);
            }
        }
        constraints.check()?;
        Ok(Self { role, provider: provider.unwrap_or_default(), assertion: assertion.unwrap_or_default() })
    }

    /// What is asked for, by parameters and assertion together.
    fn requested(self, assertion: &Assertion, now: UnixMillis) -> Result<Requested<'c>, Fault> {
        let tags =
            PassedTags { tags: assertion.tags.clone(), transitive: assertion.transitive_tag_keys.clone() };
        let mut constraints = Constraints::default();
        tags.check_claims(&mut constraints);
        constraints.check()?;
        Ok(Requested {
            role_arn: self.role.role_arn,
            session_name: assertion.session_name.clone(),
            duration: self.role.duration,
            at_most: at_most(assertion, now)?,
            policies: self.role.policies,
            tags: tags.into_set()?,
            source_identity: assertion.source_identity.clone(),
            external_id: None,
            mfa_authenticated_at: None,
        })
    }
}

/// The provider with this ARN.
fn provider<'c>(call: &Call<'c>, arn: &str) -> Result<&'c SamlProvider, Fault> {
    let is_provider = |arn: &Arn<'_>| {
        arn.service == "iam"
            && arn.region.is_empty()
            && Arn::is_account(arn.account)
            && arn.resource.starts_with("saml-provider/")
    };
    if !Arn::parse(arn).is_some_and(|arn| is_provider(&arn)) {
        return Err(validation("Request ARN is invalid"));
    }
    call.directory.and_then(|directory| directory.saml_provider(arn)).ok_or_else(|| {
        Fault::new(
            StatusCode::BAD_REQUEST,
            "InvalidIdentityToken",
            "Specified provider doesn't exist (Service: AWSOpenIdDiscoveryService; Status Code: 400; Error Code: \
             AuthSamlManifestNotFoundException)",
        )
    })
}

/// Seconds after which the assertion wants the session to end: its `SessionDuration` can only shorten, and nothing
/// outlives the session at the identity provider.
fn at_most(assertion: &Assertion, now: UnixMillis) -> Result<Option<i32>, Fault> {
    let bounded = |seconds: i64| i32::try_from(seconds).unwrap_or(i32::MAX);
    let left = assertion.session_until.map(|until| bounded((until.0 - now.0).div_euclid(1_000)));
    if left.is_some_and(|left| left < 1) {
        return Err(SamlError::Expired.fault());
    }
    let wanted = assertion.session_duration.map(|seconds| bounded(seconds.into()));
    Ok(left.into_iter().chain(wanted).min())
}

fn redeem(saml: &Saml, provider: &SamlProvider, assertion: &Assertion, now: UnixMillis) -> Result<(), Fault> {
    saml.replays.redeem(&provider.arn, assertion, now).map_err(|error| match error {
        ReplayError::Replayed => SamlError::Replayed.fault(),
        ReplayError::Full => {
            tracing::error!(%error, "no SAML response can be redeemed");
            Fault::new(StatusCode::BAD_REQUEST, "Throttling", "Rate exceeded")
        }
    })
}
