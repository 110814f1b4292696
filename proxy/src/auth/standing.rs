//! Who a live credential is, and which policies speak about what it does: what every decision begins with.

use std::sync::Arc;

use crate::clock::UnixMillis;
use crate::iam::directory::{Directory, Identity};
use crate::iam::policy::{self, Context, Layers, Name, Policy, Requester, TagFamily, Tags, Value};
use crate::iam::{Credential, Session, SessionKind};
use crate::store::Record;

/// The standing of a credential, borrowed from it and from the directory.
pub struct Standing<'a> {
    credential: &'a Credential,
    /// `None`: no directory is configured.
    identity: Option<Identity<'a>>,
    /// `None`: the session was not limited.
    session_policies: Option<Vec<Arc<Policy>>>,
}

/// The credential speaks for nobody: its user or role is deleted, disabled, or has never been declared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Nobody;

impl<'a> Standing<'a> {
    /// Without a directory nobody is declared and everybody may do everything but what session policies withhold.
    ///
    /// # Errors
    /// There is a directory, and the credential speaks for nobody in it.
    pub fn of(record: &'a Record, directory: Option<&'a Directory>) -> Result<Self, Nobody> {
        let credential = record.credential();
        let identity = match directory.map(|directory| directory.identify(credential)) {
            Some(Identity::Unknown) => return Err(Nobody),
            identity => identity,
        };
        let session = credential.session.as_ref();
        let session_policies = session.and_then(|session| session_policies(record, session, directory));
        Ok(Self { credential, identity, session_policies })
    }

    /// The credential.
    pub fn credential(&self) -> &'a Credential {
        self.credential
    }

    /// Whose permissions it has; `None`: no directory is configured.
    pub fn identity(&self) -> Option<Identity<'a>> {
        self.identity
    }

    /// Whether nothing can be said against anything it does.
    pub fn is_unlimited(&self) -> bool {
        matches!(self.identity, None | Some(Identity::Root)) && self.session_policies.is_none()
    }

    /// As policies with principals name it.
    pub fn requester(&self) -> Requester<'a> {
        Requester::of(&self.credential.principal, self.credential.session.as_ref())
    }

    /// The policies that decide, with the one of the resource, if it has one.
    pub fn layers<'l>(&'l self, resource: Option<&'l Policy>) -> Layers<'l> {
        let permissions = match self.identity {
            Some(Identity::User(user)) => Some(&user.permissions),
            Some(Identity::Role(role)) => Some(&role.permissions),
            None | Some(Identity::Root) => None,
            // Whoever is nobody has no standing.
            Some(Identity::Unknown) => None,
        };
        Layers {
            identity: permissions
                .map_or(policy::Identity::Root, |own| policy::Identity::Policies(&own.policies)),
            boundary: permissions.and_then(|own| own.boundary.as_deref()),
            session: self.session_policies.as_deref(),
            resource,
        }
    }

    /// Sets what is known about who asks.
    pub fn describe(&self, context: &mut Context<'a>, now: UnixMillis) {
        let principal = &self.credential.principal;
        let session = self.credential.session.as_ref();
        let own_arn = session.and_then(|session| session.role_arn.as_deref()).unwrap_or(&principal.arn);
        let kind = match (session.map(|session| session.kind), principal.is_root()) {
            (Some(SessionKind::AssumedRole | SessionKind::WebIdentity | SessionKind::Saml), _) => {
                "AssumedRole"
            }
            (Some(SessionKind::Federation), _) => "FederatedUser",
            (None | Some(SessionKind::SessionToken), true) => "Account",
            (None | Some(SessionKind::SessionToken), false) => "User",
        };
        context.set(Name::PrincipalArn, Value::Text(own_arn));
        context.set(Name::PrincipalAccount, Value::Text(&principal.account));
        context.set(Name::PrincipalType, Value::Text(kind));
        context.set(Name::UserId, Value::Text(&principal.user_id));
        context.set(Name::PrincipalIsAwsService, Value::Flag(false));
        if kind == "User" {
            let name = principal.arn.rsplit('/').next().unwrap_or_default();
            context.set(Name::UserName, Value::Text(name));
        }
        if let Some(session) = session {
            describe_session(context, session, self.credential.issued_at, now);
        }
        context.set_tags(TagFamily::Principal, self.tags());
    }

    /// Those of the session over those of its role; those of the user.
    fn tags(&self) -> Tags<'a> {
        let session = self.credential.session.as_ref().map(|session| &session.tags);
        match (self.identity, session) {
            (Some(Identity::Role(role)), Some(session)) => Tags::Over(session, &role.tags),
            (Some(Identity::User(user)), Some(session)) => Tags::Over(session, &user.tags),
            (Some(Identity::User(user)), None) => Tags::Map(&user.tags),
            (_, Some(session)) => Tags::Map(session),
            (_, None) => Tags::None,
        }
    }
}

/// What only temporary credentials have. `aws:MultiFactorAuthPresent` is among them: for a long-term key it does not
/// exist, which is not the same as false.
///
/// Source: <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html>
fn describe_session<'a>(
    context: &mut Context<'a>,
    session: &'a Session,
    issued_at: UnixMillis,
    now: UnixMillis,
) {
    context.set(Name::TokenIssueTime, Value::Time(issued_at));
    context.set(Name::MultiFactorAuthPresent, Value::Flag(session.mfa_authenticated_at.is_some()));
    let age = session.mfa_authenticated_at.map(|at| Value::Number((now.0 - at.0).max(0) / 1_000));
    context.set(Name::MultiFactorAuthAge, age);
    context.set(Name::SourceIdentity, session.source_identity.as_deref().map(Value::Text));
    context.set(Name::FederatedProvider, session.provider().map(Value::Text));
}

/// The policies that were passed for a session; `None`: it was not limited. If one of them cannot be read or is not
/// there any more they permit nothing, since that one may be there to forbid something.
fn session_policies(
    record: &Record,
    session: &Session,
    directory: Option<&Directory>,
) -> Option<Vec<Arc<Policy>>> {
    let none = session.session_policies.is_empty() && session.policy_arns.is_empty();
    if none && session.kind != SessionKind::Federation {
        return None;
    }
    let passed = record.session_policies().iter().cloned();
    let managed = session.policy_arns.iter().filter_map(|arn| directory?.policy(arn).cloned());
    let mut found: Vec<_> = passed.chain(managed).collect();
    if found.len() < session.session_policies.len() + session.policy_arns.len() {
        found.clear();
    }
    Some(found)
}
