//! May this role be assumed? Trust policy and the asker's own policies, for each permission that is needed.
//!
//! The role's trust policy must allow in every case. One that names the very user, role or session that asks is enough
//! within an account; one that names the account leaves it to that account's own policies, and so does every trust
//! policy across accounts. A role is nothing special to its own sessions: without a grant they cannot assume it again,
//! or they could give themselves another name and other tags.
//!
//! Source: <https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_create_for-user.html>,
//! <https://aws.amazon.com/blogs/security/announcing-an-update-to-iam-role-trust-policy-behavior/>

use std::borrow::Cow;

use super::access_denied;
use super::assume::Requested;
use super::call::Call;
use super::session_tags::SessionTags;
use crate::auth::Standing;
use crate::fault::Fault;
use crate::iam::Federation;
use crate::iam::directory::{Role, Trust};
use crate::iam::policy::{
    Context, Decision, Identity, Layers, Name, Request, Requester, TagFamily, Tags, Value, evaluate,
};

/// Who wants to assume a role.
#[derive(Clone, Copy)]
pub(super) enum Asker<'a> {
    /// Whoever signed the request.
    Caller(&'a Standing<'a>),
    /// Somebody an identity provider vouches for.
    Provider {
        /// Whom it vouches for.
        federation: &'a Federation,
        /// What it says, by condition key: `<provider>:sub`, `saml:aud` and their like.
        claims: &'a [(String, Vec<String>)],
    },
}

/// One attempt to assume a role.
pub(super) struct Attempt<'a> {
    pub(super) call: &'a Call<'a>,
    pub(super) role: &'a Role,
    pub(super) asker: Asker<'a>,
    pub(super) requested: &'a Requested<'a>,
    /// The source identity the session is to have, passed or inherited.
    pub(super) source_identity: Option<&'a str>,
    /// Tags that the asker's session hands down.
    pub(super) inherited: &'a SessionTags,
}

impl Attempt<'_> {
    /// Checks every permission that the attempt needs.
    pub(super) fn check(&self) -> Result<(), Fault> {
        let transitive: Vec<&str> = self.requested.tags.transitive.iter().map(String::as_str).collect();
        let claims = self.claims();
        let context = self.context(&transitive, &claims);
        self.permitted(self.call.operation.permission(), &context)?;
        // Tags that are handed down are passed as well: of a role that nobody may tag they make no session.
        if !self.requested.tags.tags.is_empty() || !self.inherited.tags.is_empty() {
            self.permitted("sts:TagSession", &context)?;
        }
        if self.source_identity.is_some() {
            self.permitted("sts:SetSourceIdentity", &context)?;
        }
        Ok(())
    }

    fn permitted(&self, action: &'static str, context: &Context<'_>) -> Result<(), Fault> {
        let trust = &self.role.trust;
        let (requester, layers) = match self.asker {
            Asker::Caller(standing) => {
                (meant(standing.requester(), trust), standing.layers(Some(&trust.policy)))
            }
            Asker::Provider { federation, .. } => {
                let nothing = Layers {
                    identity: Identity::Policies(&[]),
                    boundary: None,
                    session: None,
                    resource: None,
                };
                (
                    Requester::Provider { name: &federation.provider },
                    Layers { resource: Some(&trust.policy), ..nothing },
                )
            }
        };
        let request = Request {
            requester,
            action,
            resource: &self.role.arn,
            resource_account: &self.role.account,
            context,
        };
        let decision = evaluate(&request, &layers);
        match (decision, self.asker) {
            (Decision::Allow(_), _) => Ok(()),
            (_, Asker::Provider { .. }) => Err(access_denied(format!("Not authorized to perform {action}"))),
            (refused, Asker::Caller(standing)) => {
                Err(not_permitted(&standing.credential().principal.arn, action, &self.role.arn, &refused))
            }
        }
    }

    fn context<'c>(&'c self, transitive: &'c [&'c str], claims: &'c [(&'c str, Value<'c>)]) -> Context<'c> {
        let mut context = self.call.context();
        match self.asker {
            Asker::Caller(standing) => standing.describe(&mut context, self.call.now),
            Asker::Provider { federation, .. } => {
                context.set(Name::FederatedProvider, Value::Text(&federation.provider));
            }
        }
        let requested = self.requested;
        if let Some(at) = requested.mfa_authenticated_at {
            context.set(Name::MultiFactorAuthPresent, Value::Flag(true));
            context.set(Name::MultiFactorAuthAge, Value::Number((self.call.now.0 - at.0) / 1_000));
        }
        context.set(Name::StsRoleSessionName, Value::Text(&requested.session_name));
        context.set(Name::StsExternalId, requested.external_id.map(Value::Text));
        context.set(Name::StsSourceIdentity, self.source_identity.map(Value::Text));
        context.set(Name::StsTransitiveTagKeys, Value::Texts(transitive));
        context.set(Name::ResourceAccount, Value::Text(&self.role.account));
        context.set_tags(TagFamily::Request, Tags::Map(&requested.tags.tags));
        context.set_tags(TagFamily::Resource, Tags::Over(&self.inherited.tags, &self.role.tags));
        context.set_others(claims);
        context
    }

    fn claims(&self) -> Vec<(&str, Value<'_>)> {
        let Asker::Provider { claims, .. } = self.asker else { return Vec::new() };
        let values = claims.iter().map(|(key, values)| match &values[..] {
            [one] => (key.as_str(), Value::Text(one)),
            several => (key.as_str(), Value::Strings(several)),
        });
        values.collect()
    }
}

/// The asker, without the names that the trust policy means somebody else by.
fn meant<'a>(requester: Requester<'a>, trust: &Trust) -> Requester<'a> {
    match requester {
        Requester::User { account, arn, id } if !trust.means(arn, id) => {
            Requester::User { account, arn: id, id }
        }
        Requester::Role { account, session, role, id } => {
            let role_id = id.split_once(':').map_or(id, |(role, _)| role);
            Requester::Role {
                account,
                session: if trust.means(session, role_id) { session } else { id },
                role: role.filter(|role| trust.means(role, role_id)),
                id,
            }
        }
        Requester::User { .. }
        | Requester::Root { .. }
        | Requester::Federated { .. }
        | Requester::Provider { .. }
        | Requester::Service { .. }
        | Requester::Anonymous => requester,
    }
}

/// As AWS says it.
pub(super) fn not_permitted(caller: &str, action: &str, resource: &str, decision: &Decision<'_>) -> Fault {
    let why: Cow<'static, str> = match decision {
        Decision::ExplicitDeny(deciding) => {
            format!(" with an explicit deny in {}", deciding.layer.name_with_article()).into()
        }
        Decision::ImplicitDeny(_) | Decision::Allow(_) => "".into(),
    };
    access_denied(format!(
        "User: {caller} is not authorized to perform: {action} on resource: {resource}{why}"
    ))
}
