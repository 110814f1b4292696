//! The settings files as an operator types them: every key, what it means and its default.

use std::path::PathBuf;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::iam::Tags;

/// `user.toml`
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct User {
    /// Begins and ends with `/`; `/` when absent.
    pub(super) path: Option<String>,
    /// The unique id; derived when absent.
    pub(super) id: Option<String>,
    /// Groups of the same account.
    pub(super) groups: Vec<String>,
    /// Managed policies: ARNs, or names of the same account's.
    pub(super) attached_policies: Vec<String>,
    /// A managed policy that the user's permissions are limited to.
    pub(super) permissions_boundary: Option<String>,
    /// Devices that show six digits.
    pub(super) mfa_devices: Vec<MfaDevice>,
    /// Ends the user's sessions and refuses its keys.
    pub(super) disabled: bool,
    pub(super) tags: Tags,
}

/// `[[mfa_devices]]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct MfaDevice {
    /// `arn:aws:iam::<account>:mfa/<name>`, or the number of a hardware device.
    pub(super) serial_number: String,
    /// File with the shared secret in base 32, as a QR code has it.
    pub(super) secret_file: PathBuf,
}

/// `group.toml`
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Group {
    pub(super) path: Option<String>,
    pub(super) id: Option<String>,
    pub(super) attached_policies: Vec<String>,
}

/// `role.toml`
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Role {
    pub(super) path: Option<String>,
    pub(super) id: Option<String>,
    /// What the role is for. Not read by anything.
    pub(super) description: Option<String>,
    pub(super) attached_policies: Vec<String>,
    pub(super) permissions_boundary: Option<String>,
    /// Seconds, 3600 to 43200; 3600 when absent.
    pub(super) max_session_duration: Option<i32>,
    /// Ends the role's sessions and lets nobody assume it.
    pub(super) disabled: bool,
    pub(super) tags: Tags,
}

/// `oidc-providers/<name>.toml`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OidcProvider {
    /// The issuer, as it stands in `iss`: `https://…`, or `http://` to this machine.
    pub(super) url: String,
    /// Audiences that are accepted.
    pub(super) client_ids: Vec<String>,
    /// Certificate authorities that sign the issuer's certificate, PEM; the web's when absent.
    pub(super) ca_file: Option<PathBuf>,
    /// The issuer's keys, so that nobody needs to be asked.
    pub(super) jwks_file: Option<PathBuf>,
    /// Where the keys are, for an issuer without a discovery document.
    pub(super) jwks_url: Option<String>,
}

/// Reads one file. The error is the line, where one is known, and what is wrong.
pub(super) fn parse<T: DeserializeOwned>(content: &[u8]) -> Result<T, (Option<usize>, String)> {
    let text = std::str::from_utf8(content).map_err(|_| (None, "is not UTF-8".to_owned()))?;
    toml::from_str(text).map_err(|error| {
        let line = error.span().map(|span| 1 + text[..span.start.min(text.len())].matches('\n').count());
        (line, error.message().trim_end().to_owned())
    })
}
