//! Credentials and the principals behind them.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sigv4::SecretAccessKey;

use super::Session;
use crate::clock::UnixMillis;

/// The public half of a credential: 1 to 128 printable ASCII characters without white space or `,`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AccessKeyId(Arc<str>);

impl AccessKeyId {
    /// Longest access key id that is looked up.
    pub const MAX_LENGTH: usize = 128;

    /// What ids of temporary credentials begin with.
    pub const TEMPORARY: &str = "ASIA";

    /// Checks length and characters.
    pub fn parse(text: &str) -> Option<Self> {
        let legal = |b: u8| b.is_ascii_graphic() && b != b',';
        (!text.is_empty() && text.len() <= Self::MAX_LENGTH && text.bytes().all(legal))
            .then(|| Self(text.into()))
    }

    /// Whether it looks like that of a temporary credential.
    ///
    /// Source: <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html#identifiers-unique-ids>
    pub fn is_temporary(&self) -> bool {
        self.0.starts_with(Self::TEMPORARY)
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::borrow::Borrow<str> for AccessKeyId {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for AccessKeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for AccessKeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for AccessKeyId {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text)
            .ok_or("an access key id has 1 to 128 printable ASCII characters, no space, no comma")
    }
}

impl From<AccessKeyId> for String {
    fn from(id: AccessKeyId) -> Self {
        id.as_str().to_owned()
    }
}

/// A credential as the store keeps it. Immutable once issued, but for the status of a long-term key.
#[derive(Clone, Debug)]
pub struct Credential {
    /// Under which it is looked up.
    pub access_key_id: AccessKeyId,
    /// What requests are signed with.
    pub secret: SecretAccessKey,
    /// Who it speaks for.
    pub principal: Principal,
    /// When it was issued or created.
    pub issued_at: UnixMillis,
    /// Whether a long-term key may be used; sessions are always active until they expire or are revoked.
    pub status: KeyStatus,
    /// When a long-term key ceases to be one, if it was declared with such a time. From then on it answers as if it did
    /// not exist.
    pub not_after: Option<UnixMillis>,
    /// Whether it is a long-term key that a configuration, or one of its sources, declares. Since when there has been one
    /// of its id nobody can tell: each gateway sees it for the first time by itself, at `issued_at`.
    pub declared: bool,
    /// What a temporary credential has beyond a long-term key.
    pub session: Option<Session>,
}

/// State of a long-term key, as in IAM's `UpdateAccessKey`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum KeyStatus {
    /// May be used.
    Active,
    /// Kept, but answers as if it did not exist.
    Inactive,
}

/// Who a credential speaks for. The account comes from here and from nowhere else.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Principal {
    /// For example `arn:aws:iam::123456789012:user/alice`, or
    /// `arn:aws:sts::123456789012:assumed-role/reader/session`.
    pub arn: String,
    /// The unique id, for example `AIDA…` or `AROA…:session`.
    pub user_id: String,
    /// Twelve digits.
    pub account: String,
}

impl Principal {
    /// Whether it is the root of its account: `arn:<partition>:iam::<account>:root`.
    pub fn is_root(&self) -> bool {
        self.arn.splitn(6, ':').nth(5) == Some("root")
    }
}

impl Credential {
    /// Whether the credential is temporary and its time is over.
    pub fn expired(&self, now: UnixMillis) -> bool {
        self.session.as_ref().is_some_and(|session| now >= session.expires_at)
    }

    /// Whether it is a long-term key that may not be used: inactive, or past its time.
    pub fn dormant(&self, now: UnixMillis) -> bool {
        self.status == KeyStatus::Inactive || self.not_after.is_some_and(|end| now >= end)
    }
}
