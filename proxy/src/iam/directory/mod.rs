//! The IAM directory: accounts, users, groups, roles, policies and identity providers, declared in files.
//!
//! ```text
//! 123456789012/                        an account
//!   users/alice/user.toml              path, id, groups, attached_policies, permissions_boundary, mfa_devices, tags
//!   users/alice/policies/*.json        inline policies, named by their files
//!   groups/developers/group.toml       path, id, attached_policies
//!   groups/developers/policies/*.json
//!   roles/reader/trust.json            who may assume the role
//!   roles/reader/role.toml             path, id, attached_policies, permissions_boundary, max_session_duration, tags
//!   roles/reader/policies/*.json
//!   policies/*.json                    managed policies: arn:aws:iam::123456789012:policy/<name>
//!   oidc-providers/*.toml              url, client_ids, ca_file, jwks_file, jwks_url
//!   saml-providers/*.xml               metadata: arn:aws:iam::123456789012:saml-provider/<name>
//! ```
//!
//! A policy is a JSON document as AWS has it and nothing else. Every settings file may be left out where its defaults
//! will do, but for those of OIDC providers. Names beginning with a dot are skipped; any other JSON, TOML or XML file
//! that has no place above is a fault, since a policy that nobody reads denies nothing.
//!
//! This module is pure: it turns [`Files`] into a [`Directory`] or says what is wrong with them, and where. `register`
//! remembers, across reloads and restarts, which unique id an ARN has, so that trust and sessions end with whom they
//! were given to.

mod aws;
mod entity;
mod files;
mod read;
mod register;
mod settings;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

pub use entity::{Group, MfaDevice, OidcKeys, OidcProvider, Permissions, Role, SamlProvider, Trust, User};
pub use files::Files;
pub use read::{Read, Resolve};
pub use register::Register;

use super::policy::Policy;
use super::{Credential, Principal, SessionKind};

/// Everything that is declared, as of one moment: a reload makes another.
#[derive(Debug, Default)]
pub struct Directory {
    users: HashMap<String, User>,
    groups: HashMap<String, Group>,
    roles: HashMap<String, Role>,
    policies: HashMap<String, Arc<Policy>>,
    oidc_providers: HashMap<String, OidcProvider>,
    saml_providers: HashMap<String, SamlProvider>,
}

/// One thing that is wrong with the files.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DirectoryFault {
    /// The file or directory, relative to the root of the tree.
    pub file: String,
    /// The line, from 1, where one is to blame.
    pub line: Option<usize>,
    /// What is wrong, for people. Never holds a secret.
    pub message: String,
}

/// Whose permissions a credential has.
#[derive(Clone, Copy, Debug)]
pub enum Identity<'d> {
    /// The root of an account, or a session of it: nothing but its own session policies limits it.
    Root,
    /// A user, or a session of one.
    User(&'d User),
    /// A session of a role.
    Role(&'d Role),
    /// Nobody who is declared: deleted, disabled, replaced by another of the same name, or never there.
    Unknown,
}

impl Directory {
    /// The user with this ARN.
    pub fn user(&self, arn: &str) -> Option<&User> {
        self.users.get(arn)
    }

    /// The role with this ARN.
    pub fn role(&self, arn: &str) -> Option<&Role> {
        self.roles.get(arn)
    }

    /// The managed policy with this ARN; those of AWS that are known here among them.
    pub fn policy(&self, arn: &str) -> Option<&Arc<Policy>> {
        self.policies.get(arn)
    }

    /// The OIDC provider with this ARN.
    pub fn oidc_provider(&self, arn: &str) -> Option<&OidcProvider> {
        self.oidc_providers.get(arn)
    }

    /// The SAML provider with this ARN.
    pub fn saml_provider(&self, arn: &str) -> Option<&SamlProvider> {
        self.saml_providers.get(arn)
    }

    /// All users, in no order.
    pub fn users(&self) -> impl Iterator<Item = &User> {
        self.users.values()
    }

    /// All groups, in no order.
    pub fn groups(&self) -> impl Iterator<Item = &Group> {
        self.groups.values()
    }

    /// All roles, in no order.
    pub fn roles(&self) -> impl Iterator<Item = &Role> {
        self.roles.values()
    }

    /// All OIDC providers, in no order.
    pub fn oidc_providers(&self) -> impl Iterator<Item = &OidcProvider> {
        self.oidc_providers.values()
    }

    /// All SAML providers, in no order.
    pub fn saml_providers(&self) -> impl Iterator<Item = &SamlProvider> {
        self.saml_providers.values()
    }

    /// Whose permissions `credential` has. An ARN alone does not tell: whoever bears the name of somebody who was
    /// deleted is somebody else, so unique ids must agree too.
    pub fn identify(&self, credential: &Credential) -> Identity<'_> {
        let principal = &credential.principal;
        let Some(session) = &credential.session else { return self.user_or_root(principal) };
        match session.kind {
            SessionKind::SessionToken => self.user_or_root(principal),
            // A federated user has at most what the user has who asked for the session.
            SessionKind::Federation => match session.lineage.first() {
                Some(asked) => self.user_or_root(&asked.principal),
                None => Identity::Unknown,
            },
            SessionKind::AssumedRole | SessionKind::WebIdentity | SessionKind::Saml => {
                let role = session.role_arn.as_deref().and_then(|arn| self.role(arn));
                let of_role = |role: &&Role| {
                    !role.disabled && principal.user_id.split_once(':').is_some_and(|(id, _)| id == role.id)
                };
                role.filter(of_role).map_or(Identity::Unknown, Identity::Role)
            }
        }
    }

    fn user_or_root(&self, principal: &Principal) -> Identity<'_> {
        if principal.is_root() {
            return Identity::Root;
        }
        let same = |user: &&User| !user.disabled && user.principal.user_id == principal.user_id;
        self.user(&principal.arn).filter(same).map_or(Identity::Unknown, Identity::User)
    }

    /// The principal an access key of the configuration speaks for: a user is declared here with its path and its
    /// unique id, and found by its name, which no other user of the account bears.
    pub fn bind(&self, principal: &Principal) -> Option<Principal> {
        if principal.is_root() {
            return Some(principal.clone());
        }
        let name = principal.arn.rsplit('/').next()?;
        let named = |user: &&User| user.principal.account == principal.account && user.name == name;
        self.users.values().find(named).map(|user| user.principal.clone())
    }
}

impl fmt::Display for DirectoryFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "{}:{line}: {}", self.file, self.message),
            None => write!(f, "{}: {}", self.file, self.message),
        }
    }
}
