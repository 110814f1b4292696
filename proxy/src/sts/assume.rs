//! What all operations that assume a role have in common, once they know who asks and for what.

use super::access_denied;
use super::call::Call;
use super::constraints::{ARN, Constraints, NAME};
use super::issue::{Grant, Issued, Mint};
use super::parameters::{Parameters, integer};
use super::response::Value;
use super::session_policies::{SessionPolicies, validation};
use super::session_tags::SessionTags;
use super::trust::{Asker, Attempt, not_permitted};
use crate::clock::UnixMillis;
use crate::fault::Fault;
use crate::iam::directory::Role;
use crate::iam::policy::{Decision, Layer};
use crate::iam::{Arn, Credential, Federation, Principal, Session, SessionKind};

const DEFAULT_SECONDS: i32 = 3_600;
const SHORTEST_SECONDS: i32 = 900;
const LONGEST_SECONDS: i32 = 43_200;
/// Longest session of a role that was assumed by a session of a role.
const LONGEST_CHAINED_SECONDS: i32 = 3_600;

/// What is asked for. Everything has been checked that can be without knowing the role.
#[derive(Clone, Debug)]
pub(super) struct Requested<'p> {
    pub(super) role_arn: &'p str,
    pub(super) session_name: String,
    /// Seconds; the default is for the role to bear in any case.
    pub(super) duration: Option<i32>,
    /// Seconds after which the asker's own proof ends, whatever is asked for.
    pub(super) at_most: Option<i32>,
    pub(super) policies: SessionPolicies,
    pub(super) tags: SessionTags,
    pub(super) source_identity: Option<String>,
    pub(super) external_id: Option<&'p str>,
    /// When a second factor was proved, for this request.
    pub(super) mfa_authenticated_at: Option<UnixMillis>,
}

/// The parameters that every such operation has: `RoleArn`, `DurationSeconds`, `Policy`, `PolicyArns`.
pub(super) struct RoleParameters<'p> {
    pub(super) role_arn: &'p str,
    pub(super) duration: Option<i32>,
    pub(super) policies: SessionPolicies,
}

impl<'p> RoleParameters<'p> {
    /// Notes what breaks the limits of single parameters; without a role there is nothing more to be said.
    pub(super) fn read(
        parameters: &'p Parameters<'_>,
        bounded_policy: bool,
        constraints: &mut Constraints,
    ) -> Result<Self, Fault> {
        let duration = parameters.get("DurationSeconds").map(integer).transpose()?;
        let role_arn = constraints.required("roleArn", parameters.get("RoleArn")).unwrap_or_default();
        if parameters.get("RoleArn").is_some() {
            constraints.text("roleArn", role_arn, 20..=2_048, &ARN);
        }
        if let Some(seconds) = duration {
            constraints.number("durationSeconds", seconds, SHORTEST_SECONDS..=LONGEST_SECONDS);
        }
        let policies = SessionPolicies::read(parameters, bounded_policy, constraints)?;
        Ok(Self { role_arn, duration, policies })
    }
}

/// Notes what is wrong with a session name or, under its own name, a source identity.
pub(super) fn check_name(constraints: &mut Constraints, member: &str, name: &str) {
    constraints.text(member, name, 2..=64, &NAME);
}

/// A role that was assumed.
pub(super) struct Assumed {
    issued: Issued,
    principal: Principal,
    /// Absent when neither policies nor tags were passed.
    packed_percent: Option<i64>,
    source_identity: Option<String>,
}

/// A role that may be assumed, as it was asked for.
#[must_use]
pub(super) struct Permit<'a> {
    call: &'a Call<'a>,
    requested: &'a Requested<'a>,
    role: &'a Role,
    caller: Option<&'a Credential>,
    federation: Option<&'a Federation>,
    seconds: i32,
    /// All that the session is to have.
    tags: SessionTags,
    source_identity: Option<String>,
    packed_percent: Option<i64>,
}

/// Finds the role, asks whether `asker` may assume it, settles tags, source identity and duration.
pub(super) fn permit<'a>(
    call: &'a Call<'_>,
    requested: &'a Requested<'_>,
    asker: Asker<'a>,
) -> Result<Permit<'a>, Fault> {
    let (caller, federation) = match asker {
        Asker::Caller(standing) => (Some(standing.credential()), None),
        Asker::Provider { federation, .. } => (None, Some(federation)),
    };
    if let Some(federation) = federation {
        call.vouched_for.get_or_init(|| federation.clone());
    }
    let session = caller.and_then(|caller| caller.session.as_ref());
    let chained_from = session.filter(|session| session.role_arn.is_some());
    let role = find(call, requested.role_arn, asker)?;
    requested.policies.check(&role.account, call.directory)?;

    let inherited = SessionTags::inherited(chained_from);
    let source_identity = source_identity(requested, session);
    Attempt { call, role, asker, requested, source_identity, inherited: &inherited }.check()?;
    if session.is_some_and(|session| {
        session.source_identity.as_deref().is_some_and(|set| Some(set) != source_identity)
    }) {
        let caller = caller.map_or("", |caller| &caller.principal.arn);
        let refused = Decision::ImplicitDeny(Layer::Session);
        return Err(not_permitted(caller, "sts:SetSourceIdentity", &role.arn, &refused));
    }
    let seconds = seconds(requested, role, chained_from.is_some())?;
    let tags = inherited.with(&requested.tags)?;
    let packed = requested.policies.packed_percent(&requested.tags.tags)?;
    let passed = !requested.policies.is_empty() || !requested.tags.tags.is_empty();
    let source_identity = source_identity.map(str::to_owned);
    let packed_percent = passed.then_some(packed);
    Ok(Permit { call, requested, role, caller, federation, seconds, tags, source_identity, packed_percent })
}

impl Permit<'_> {
    /// Issues the session.
    pub(super) async fn issue(self, mint: &Mint) -> Result<Assumed, Fault> {
        let Self { call, requested, role, .. } = self;
        let kind = call.operation.issues().unwrap_or(SessionKind::AssumedRole);
        let principal = principal(role, &requested.session_name);
        let grant = Grant {
            name: Some(requested.session_name.clone()),
            role_arn: Some(role.arn.clone()),
            source_identity: self.source_identity,
            tags: self.tags.tags,
            transitive_tag_keys: self.tags.transitive,
            session_policies: requested.policies.documents.clone(),
            policy_arns: requested.policies.arns.clone(),
            federation: self.federation.cloned(),
            ..Grant::new(kind, &principal, self.caller, self.seconds)
        };
        let issued = mint.issue(&grant, call.now).await?;
        let source_identity = grant.source_identity;
        Ok(Assumed { issued, principal, packed_percent: self.packed_percent, source_identity })
    }
}

/// A role that is not there is refused like one that may not be assumed: who may not know learns nothing.
fn find<'c>(call: &Call<'c>, arn: &str, asker: Asker<'_>) -> Result<&'c Role, Fault> {
    let is_role =
        |arn: &Arn<'_>| arn.service == "iam" && arn.region.is_empty() && arn.resource.starts_with("role/");
    if Arn::parse(arn).filter(is_role).is_none_or(|arn| !Arn::is_account(arn.account)) {
        return Err(validation(format!("{arn} is invalid")));
    }
    let permission = call.operation.permission();
    if let Asker::Caller(standing) = asker {
        let credential = standing.credential();
        if credential.principal.is_root() {
            return Err(access_denied("Roles may not be assumed by root accounts."));
        }
        let federated =
            credential.session.as_ref().is_some_and(|session| session.kind == SessionKind::Federation);
        if federated {
            return Err(no_such_role(asker, permission, arn));
        }
    }
    let role = call.directory.and_then(|directory| directory.role(arn)).filter(|role| !role.disabled);
    role.ok_or_else(|| no_such_role(asker, permission, arn))
}

fn no_such_role(asker: Asker<'_>, permission: &str, arn: &str) -> Fault {
    match asker {
        Asker::Caller(standing) => {
            let refused = Decision::ImplicitDeny(Layer::Resource);
            not_permitted(&standing.credential().principal.arn, permission, arn, &refused)
        }
        Asker::Provider { .. } => access_denied(format!("Not authorized to perform {permission}")),
    }
}

/// Passed, or else inherited: whoever is behind a chain of roles stays the same to its end.
fn source_identity<'r>(requested: &'r Requested<'_>, session: Option<&'r Session>) -> Option<&'r str> {
    let inherited = session.and_then(|session| session.source_identity.as_deref());
    requested.source_identity.as_deref().or(inherited)
}

fn seconds(requested: &Requested<'_>, role: &Role, chained: bool) -> Result<i32, Fault> {
    let seconds = requested.duration.unwrap_or(DEFAULT_SECONDS);
    if chained && seconds > LONGEST_CHAINED_SECONDS {
        return Err(validation(
            "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining.",
        ));
    }
    if seconds > role.max_session_duration {
        return Err(validation(
            "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.",
        ));
    }
    Ok(requested.at_most.map_or(seconds, |most| seconds.min(most)))
}

fn principal(role: &Role, session_name: &str) -> Principal {
    Principal {
        arn: format!("arn:aws:sts::{}:assumed-role/{}/{session_name}", role.account, role.name),
        user_id: format!("{}:{session_name}", role.id),
        account: role.account.clone(),
    }
}

impl Assumed {
    /// `Credentials`
    pub(super) fn credentials(&self) -> (&'static str, Value) {
        self.issued.credentials()
    }

    /// `AssumedRoleUser`
    pub(super) fn user(&self) -> (&'static str, Value) {
        let id = ("AssumedRoleId", Value::Text(self.principal.user_id.clone()));
        ("AssumedRoleUser", Value::Structure(vec![id, ("Arn", Value::Text(self.principal.arn.clone()))]))
    }

    /// `PackedPolicySize`, if it is told.
    pub(super) fn packed_policy_size(&self) -> Option<(&'static str, Value)> {
        self.packed_percent.map(|percent| ("PackedPolicySize", Value::Number(percent)))
    }

    /// `SourceIdentity`, if there is one.
    pub(super) fn source_identity(&self) -> Option<(&'static str, Value)> {
        self.source_identity.clone().map(|identity| ("SourceIdentity", Value::Text(identity)))
    }
}
