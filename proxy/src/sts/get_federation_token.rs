//! `GetFederationToken`: a session for somebody whom a user vouches for, with a part of the user's permissions.
//!
//! Source: <https://docs.aws.amazon.com/STS/latest/APIReference/API_GetFederationToken.html>

use super::access_denied;
use super::call::Call;
use super::constraints::{Constraints, NAME};
use super::get_session_token::{LONGEST_SECONDS, SHORTEST_SECONDS, seconds};
use super::issue::{Grant, Mint};
use super::parameters::integer;
use super::response::{Answer, Value};
use super::session_policies::SessionPolicies;
use super::session_tags::{PassedTags, SessionTags};
use super::trust::not_permitted;
use crate::auth::Standing;
use crate::fault::Fault;
use crate::iam::policy::{Decision, Name, Request, TagFamily, Tags, Value as Condition, evaluate};
use crate::iam::{Principal, SessionKind};

struct Requested {
    name: String,
    duration: Option<i32>,
    policies: SessionPolicies,
    tags: SessionTags,
}

/// Issues a session of the federated user. Without a policy it may do nothing that a resource does not permit it.
pub(super) async fn run(mint: &Mint, caller: &Standing<'_>, call: &Call<'_>) -> Result<Answer, Fault> {
    let requested = read(call)?;
    let credential = caller.credential();
    if credential.session.is_some() {
        return Err(access_denied("Cannot call GetFederationToken with session credentials"));
    }
    let account = &credential.principal.account;
    requested.policies.check(account, call.directory)?;
    let user = Principal {
        arn: format!("arn:aws:sts::{account}:federated-user/{}", requested.name),
        user_id: format!("{account}:{}", requested.name),
        account: account.clone(),
    };
    permitted("sts:GetFederationToken", caller, call, (&user.arn, &requested))?;
    if !requested.tags.tags.is_empty() {
        permitted("sts:TagSession", caller, call, (&user.arn, &requested))?;
    }
    let packed = requested.policies.packed_percent(&requested.tags.tags)?;
    let seconds = seconds(requested.duration, credential.principal.is_root());
    let grant = Grant {
        name: Some(requested.name),
        tags: requested.tags.tags,
        session_policies: requested.policies.documents,
        policy_arns: requested.policies.arns,
        ..Grant::new(SessionKind::Federation, &user, Some(credential), seconds)
    };
    let issued = mint.issue(&grant, call.now).await?;
    let federated =
        vec![("FederatedUserId", Value::Text(user.user_id.clone())), ("Arn", Value::Text(user.arn.clone()))];
    Ok(Answer {
        operation: call.operation,
        result: vec![
            issued.credentials(),
            ("FederatedUser", Value::Structure(federated)),
            ("PackedPolicySize", Value::Number(packed)),
        ],
    })
}

fn read(call: &Call<'_>) -> Result<Requested, Fault> {
    let parameters = call.parameters;
    let mut constraints = Constraints::default();
    let duration = parameters.get("DurationSeconds").map(integer).transpose()?;
    let name = constraints.required("name", parameters.get("Name"));
    if let Some(name) = name {
        constraints.text("name", name, 2..=32, &NAME);
    }
    if let Some(seconds) = duration {
        constraints.number("durationSeconds", seconds, SHORTEST_SECONDS..=LONGEST_SECONDS);
    }
    let policies = SessionPolicies::read(parameters, true, &mut constraints)?;
    // Of this operation no tag is transitive, so the parameter is not one.
    let tags = PassedTags { transitive: Vec::new(), ..PassedTags::read(parameters, &mut constraints)? };
    constraints.check()?;
    Ok(Requested { name: name.unwrap_or_default().to_owned(), duration, policies, tags: tags.into_set()? })
}

fn permitted(
    action: &str,
    caller: &Standing<'_>,
    call: &Call<'_>,
    (resource, requested): (&str, &Requested),
) -> Result<(), Fault> {
    let mut context = call.context();
    caller.describe(&mut context, call.now);
    context.set_tags(TagFamily::Request, Tags::Map(&requested.tags.tags));
    let account = &caller.credential().principal.account;
    context.set(Name::ResourceAccount, Condition::Text(account));
    let request = Request {
        requester: caller.requester(),
        action,
        resource,
        resource_account: account,
        context: &context,
    };
    match evaluate(&request, &caller.layers(None)) {
        Decision::Allow(_) => Ok(()),
        refused => Err(not_permitted(&caller.credential().principal.arn, action, resource, &refused)),
    }
}
