//! `AssumeRole`: a session of a role for a user, or for a session of another role.
//!
//! Source: <https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html>

use super::assume::{Requested, RoleParameters, check_name, permit};
use super::call::Call;
use super::constraints::{ARN, Constraints, Pattern};
use super::issue::Mint;
use super::response::Answer;
use super::second_factor::{SecondFactor, UsedCodes};
use super::session_policies::validation;
use super::session_tags::PassedTags;
use super::trust::Asker;
use crate::auth::Standing;
use crate::fault::Fault;

const EXTERNAL_ID: Pattern = Pattern {
    expression: "[\\w+=,.@:\\/-]*",
    legal: |c| c.is_ascii_alphanumeric() || "_+=,.@:/-".contains(c),
};
const MAX_PROVIDED_CONTEXTS: usize = 5;

/// Issues a session of the role.
pub(super) async fn run(
    mint: &Mint,
    used: &UsedCodes,
    caller: &Standing<'_>,
    call: &Call<'_>,
) -> Result<Answer, Fault> {
    let (mut requested, second_factor) = read(call)?;
    requested.mfa_authenticated_at = second_factor.prove(caller.identity(), used, call.now)?;
    let assumed = permit(call, &requested, Asker::Caller(caller))?.issue(mint).await?;
    let result = [
        Some(assumed.credentials()),
        Some(assumed.user()),
        assumed.packed_policy_size(),
        assumed.source_identity(),
    ];
    Ok(Answer { operation: call.operation, result: result.into_iter().flatten().collect() })
}

fn read<'c>(call: &'c Call<'_>) -> Result<(Requested<'c>, SecondFactor<'c>), Fault> {
    let parameters = call.parameters;
    let mut constraints = Constraints::default();
    let role = RoleParameters::read(parameters, false, &mut constraints)?;
    let session_name = constraints.required("roleSessionName", parameters.get("RoleSessionName"));
    if let Some(name) = session_name {
        check_name(&mut constraints, "roleSessionName", name);
    }
    let source_identity = parameters.get("SourceIdentity");
    if let Some(identity) = source_identity {
        check_name(&mut constraints, "sourceIdentity", identity);
    }
    let external_id = parameters.get("ExternalId");
    if let Some(id) = external_id {
        constraints.text("externalId", id, 2..=1_224, &EXTERNAL_ID);
    }
    let second_factor = SecondFactor::read(parameters, &mut constraints);
    let tags = PassedTags::read(parameters, &mut constraints)?;
    let contexts = provided_contexts(call, &mut constraints)?;
    constraints.check()?;
    if let Some(provider) = contexts.first() {
        return Err(validation(format!("{provider} is invalid")));
    }
    let requested = Requested {
        role_arn: role.role_arn,
        session_name: session_name.unwrap_or_default().to_owned(),
        duration: role.duration,
        at_most: None,
        policies: role.policies,
        tags: tags.into_set()?,
        source_identity: source_identity.map(str::to_owned),
        external_id,
        mfa_authenticated_at: None,
    };
    Ok((requested, second_factor))
}

/// The providers of `ProvidedContexts`. There are none here whose assertions could be believed.
fn provided_contexts<'c>(call: &'c Call<'_>, constraints: &mut Constraints) -> Result<Vec<&'c str>, Fault> {
    let mut providers = Vec::new();
    for member in call.parameters.list("ProvidedContexts")? {
        let at = |name: &str| format!("providedContexts.{}.member.{name}", member.index);
        let provider = member.field("ProviderArn").unwrap_or_default();
        constraints.text(&at("providerArn"), provider, 20..=2_048, &ARN);
        let assertion = member.field("ContextAssertion").map_or(0, |assertion| assertion.chars().count());
        if !(4..=2_048).contains(&assertion) {
            // The assertion itself is not repeated: it is a kind of token.
            let bound =
                if assertion < 4 { "greater than or equal to 4" } else { "less than or equal to 2048" };
            constraints.secret(&at("contextAssertion"), &format!("have length {bound}"));
        }
        providers.push(provider);
    }
    constraints.count("providedContexts", &providers, MAX_PROVIDED_CONTEXTS);
    Ok(providers)
}
