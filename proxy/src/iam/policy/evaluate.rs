//! AWS's evaluation logic: one decision out of all policies that speak about a request.
//!
//! Source: <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic_policy-eval-denyallow.html>

use std::sync::Arc;

use super::context::Context;
use super::document::{Effect, Grammar, Policy, Statement};
use super::requester::{Naming, Requester};

/// A request as policies see it.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// Who asks.
    pub requester: Requester<'a>,
    /// For example `s3:GetObject`.
    pub action: &'a str,
    /// ARN of what is asked for, for example `arn:aws:s3:::bucket/key`.
    pub resource: &'a str,
    /// The account that owns it: twelve digits.
    pub resource_account: &'a str,
    /// What else is known.
    pub context: &'a Context<'a>,
}

/// A request, and what statements must know of the policies beside theirs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked<'a> {
    pub(super) request: &'a Request<'a>,
    /// Whether a permissions boundary bounds who asks.
    pub(super) bounded: bool,
}

/// Every policy that speaks about a request, by what it can do.
#[derive(Clone, Copy, Debug)]
pub struct Layers<'a> {
    /// What may permit a requester who has an account.
    pub identity: Identity<'a>,
    /// Limits what identity-based policies permit.
    pub boundary: Option<&'a Policy>,
    /// What was passed for the session: it may do what one of these permits, and identity-based policies as well.
    ///
    /// `None` is a session that was not limited. A session of `GetFederationToken` without a policy is limited to
    /// nothing: `Some(&[])`.
    pub session: Option<&'a [Arc<Policy>]>,
    /// The policy of the resource: the trust policy of a role to be assumed.
    pub resource: Option<&'a Policy>,
}

/// Identity-based permissions.
#[derive(Clone, Copy, Debug)]
pub enum Identity<'a> {
    /// Those of an account's root, which has no policies and may do everything.
    Root,
    /// The policies of a user and of the groups it is in, or of a role.
    Policies(&'a [Arc<Policy>]),
}

/// Which policies decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Layer {
    /// Identity-based policies.
    Identity,
    /// The permissions boundary.
    Boundary,
    /// Session policies.
    Session,
    /// The policy of the resource.
    Resource,
}

impl Layer {
    /// As AWS's texts of `AccessDenied` call a policy of this layer.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Identity => "identity-based policy",
            Self::Boundary => "permissions boundary",
            Self::Session => "session policy",
            Self::Resource => "resource-based policy",
        }
    }

    /// [`name`](Self::name) with its article.
    pub const fn name_with_article(self) -> &'static str {
        match self {
            Self::Identity => "an identity-based policy",
            Self::Boundary => "a permissions boundary",
            Self::Session => "a session policy",
            Self::Resource => "a resource-based policy",
        }
    }
}

/// The statement that decided.
#[derive(Clone, Copy, Debug)]
pub struct Deciding<'a> {
    /// Where its policy stands.
    pub layer: Layer,
    policy: &'a Policy,
    index: usize,
}

impl<'a> Deciding<'a> {
    /// The name of its policy.
    pub fn policy(&self) -> &'a str {
        self.policy.name()
    }

    /// Its place in the policy, from 0.
    pub fn index(&self) -> usize {
        self.index
    }

    /// Its `Sid`.
    pub fn sid(&self) -> Option<&'a str> {
        self.policy.statements[self.index].sid.as_deref()
    }
}

/// Why a request is allowed.
#[derive(Clone, Copy, Debug)]
pub enum Grant<'a> {
    /// An account's root needs no policy.
    Root,
    /// This statement allows it; no other layer refuses.
    Statement(Deciding<'a>),
}

/// What the policies say of a request.
#[derive(Clone, Copy, Debug)]
#[must_use]
pub enum Decision<'a> {
    /// It may be done.
    Allow(Grant<'a>),
    /// It is forbidden by this statement.
    ExplicitDeny(Deciding<'a>),
    /// No policy of this layer allows it, where one has to.
    ImplicitDeny(Layer),
}

/// Decides. Total, and allocates nothing.
///
/// A deny anywhere prevails. Otherwise, within one account, identity-based policies or the policy of the resource must
/// allow, and boundary and session policies, where there are any, must allow what those of the identity do. A policy
/// of the resource that names the very user or session, or everybody, is limited by neither; one that names the role
/// is limited by both. Across accounts, and for assuming a role in any case, the policy of the resource must allow;
/// where it names no more than the account, so must the account's own.
pub fn evaluate<'a>(request: &Request<'_>, layers: &Layers<'a>) -> Decision<'a> {
    let asked = &Asked { request, bounded: layers.boundary.is_some() };
    let own = |layer, policies: &'a [Arc<Policy>], effect| {
        policies.iter().find_map(|policy| find(layer, policy, effect, asked))
    };
    let identity = match layers.identity {
        Identity::Root => &[][..],
        Identity::Policies(policies) => policies,
    };
    let session = layers.session.unwrap_or_default();
    let denied = own(Layer::Identity, identity, Effect::Deny)
        .or_else(|| layers.boundary.and_then(|policy| find(Layer::Boundary, policy, Effect::Deny, asked)))
        .or_else(|| own(Layer::Session, session, Effect::Deny))
        .or_else(|| layers.resource.and_then(|policy| find(Layer::Resource, policy, Effect::Deny, asked)));
    if let Some(deciding) = denied {
        return Decision::ExplicitDeny(deciding);
    }

    let resource = layers.resource.and_then(|policy| closest_grant(policy, asked));
    let Some(account) = request.requester.account() else {
        return match resource {
            Some((_, deciding)) => Decision::Allow(Grant::Statement(deciding)),
            None => Decision::ImplicitDeny(Layer::Resource),
        };
    };
    let abroad = account != request.resource_account;
    let must_be_named = abroad || layers.resource.is_some_and(|policy| policy.grammar() == Grammar::Trust);
    if must_be_named && resource.is_none() {
        return Decision::ImplicitDeny(Layer::Resource);
    }
    let named = resource.filter(|_| !abroad);
    let grant = match (named, layers.identity) {
        (Some((Naming::Exact | Naming::Anybody, deciding)), _) => {
            return Decision::Allow(Grant::Statement(deciding));
        }
        (Some((Naming::Issuer, deciding)), _) => Grant::Statement(deciding),
        (Some((Naming::Account, _)) | None, Identity::Root) => Grant::Root,
        (Some((Naming::Account, _)) | None, Identity::Policies(policies)) => {
            match own(Layer::Identity, policies, Effect::Allow) {
                Some(deciding) => Grant::Statement(deciding),
                None => return Decision::ImplicitDeny(Layer::Identity),
            }
        }
    };
    let bounded = |policy| find(Layer::Boundary, policy, Effect::Allow, asked).is_none();
    if layers.boundary.is_some_and(bounded) {
        return Decision::ImplicitDeny(Layer::Boundary);
    }
    match layers.session {
        Some(policies) if own(Layer::Session, policies, Effect::Allow).is_none() => {
            Decision::ImplicitDeny(Layer::Session)
        }
        Some(_) | None => Decision::Allow(grant),
    }
}

/// The first statement of this effect that speaks about the request.
fn find<'a>(layer: Layer, policy: &'a Policy, effect: Effect, asked: &Asked<'_>) -> Option<Deciding<'a>> {
    let fits =
        |(_, statement): &(usize, &Statement)| statement.effect == effect && statement.fits(asked).is_some();
    let (index, _) = policy.statements.iter().enumerate().find(fits)?;
    Some(Deciding { layer, policy, index })
}

/// The grant that names the requester most closely. Whom
/// an identity provider vouches for is let in where the provider is named, and not where everybody is.
fn closest_grant<'a>(policy: &'a Policy, asked: &Asked<'_>) -> Option<(Naming, Deciding<'a>)> {
    let mut closest = None;
    for (index, statement) in policy.statements.iter().enumerate() {
        let found = match statement.effect {
            Effect::Allow => statement.fits(asked),
            Effect::Deny => None,
        };
        let enough = |naming: &Naming| match asked.request.requester {
            Requester::Provider { .. } => *naming == Naming::Exact,
            Requester::Root { .. }
            | Requester::User { .. }
            | Requester::Role { .. }
            | Requester::Federated { .. }
            | Requester::Service { .. }
            | Requester::Anonymous => true,
        };
        if let Some(naming) = found.filter(enough)
            && closest.is_none_or(|(known, _)| naming > known)
        {
            closest = Some((naming, Deciding { layer: Layer::Resource, policy, index }));
        }
    }
    closest
}
