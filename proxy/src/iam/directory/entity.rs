//! Those who are declared, and what they may do.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::iam::policy::Policy;
use crate::iam::saml::IdentityProvider;
use crate::iam::{Principal, Tags, TotpSecret};

/// A user of an account.
#[derive(Debug)]
pub struct User {
    /// Without its path.
    pub name: String,
    /// ARN with the path, unique id, account.
    pub principal: Principal,
    /// Names of the groups it is in.
    pub groups: Vec<String>,
    /// Its own permissions and those of its groups.
    pub permissions: Permissions,
    /// What shows a second factor.
    pub mfa_devices: Vec<MfaDevice>,
    /// As declared.
    pub tags: Tags,
    /// Then it counts as nobody.
    pub disabled: bool,
}

/// A group of users. What it may do stands in the permissions of its members.
#[derive(Debug)]
pub struct Group {
    /// Without its path.
    pub name: String,
    /// With the path.
    pub arn: String,
    /// The unique id.
    pub id: String,
}

/// A role of an account.
#[derive(Debug)]
pub struct Role {
    /// Without its path.
    pub name: String,
    /// With the path.
    pub arn: String,
    /// The unique id, `AROA…`.
    pub id: String,
    /// Twelve digits.
    pub account: String,
    /// Who may assume it.
    pub trust: Trust,
    /// What its sessions may do.
    pub permissions: Permissions,
    /// Seconds a session lasts at most, 3600 to 43200.
    pub max_session_duration: i32,
    /// As declared.
    pub tags: Tags,
    /// Then it counts as not there.
    pub disabled: bool,
}

/// A role's trust policy, and whom it was written about.
#[derive(Debug)]
pub struct Trust {
    /// The document.
    pub policy: Policy,
    pub(super) principals: BTreeMap<String, String>,
}

/// Policies that say what a user or a role may do.
#[derive(Debug, Default)]
pub struct Permissions {
    /// Inline and attached, each under its name or ARN.
    pub policies: Vec<Arc<Policy>>,
    /// To which all of them are limited.
    pub boundary: Option<Arc<Policy>>,
}

/// A device that shows a code of six digits, another one every thirty seconds.
#[derive(Debug)]
pub struct MfaDevice {
    /// An ARN, or what is printed on it.
    pub serial_number: String,
    /// What it shares with us.
    pub secret: TotpSecret,
}

/// An identity provider that signs tokens.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct OidcProvider {
    /// `arn:aws:iam::<account>:oidc-provider/<url without scheme>`.
    pub arn: String,
    /// Twelve digits.
    pub account: String,
    /// The issuer, as in `iss`: `https`, or `http` to this machine.
    pub url: String,
    /// Audiences that are accepted.
    pub client_ids: Vec<String>,
    /// Certificate authorities that sign the issuer's certificate, PEM; the web's when absent.
    pub ca: Option<Arc<[u8]>>,
    /// Where its keys are.
    pub keys: OidcKeys,
}

/// Where the keys of an OIDC provider are.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum OidcKeys {
    /// Where `<issuer>/.well-known/openid-configuration` says.
    Discovered,
    /// At this URL.
    Url(String),
    /// Here, as a JSON Web Key Set.
    Document(Arc<[u8]>),
}

/// An identity provider that signs assertions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SamlProvider {
    /// `arn:aws:iam::<account>:saml-provider/<name>`.
    pub arn: String,
    /// Twelve digits.
    pub account: String,
    /// As in the ARN.
    pub name: String,
    /// What its metadata say of it.
    pub metadata: IdentityProvider,
}

impl Trust {
    /// Whether `arn` in this policy means the one with this unique id, and not somebody who had the name before.
    pub fn means(&self, arn: &str, id: &str) -> bool {
        self.principals.get(arn).is_none_or(|bound| bound == id)
    }
}
