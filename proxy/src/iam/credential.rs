//! Credentials and the principals behind them.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use ring::digest;
use serde::{Deserialize, Serialize};
use sigv4::SecretAccessKey;

use crate::clock::UnixMillis;

/// The public half of a credential: 1 to 128 printable ASCII characters without white space or `,`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AccessKeyId(Arc<str>);

impl AccessKeyId {
    /// Longest access key id that is looked up.
    pub const MAX_LENGTH: usize = 128;

    /// Checks length and characters.
    pub fn parse(text: &str) -> Option<Self> {
        let legal = |b: u8| b.is_ascii_graphic() && b != b',';
        (!text.is_empty() && text.len() <= Self::MAX_LENGTH && text.bytes().all(legal))
            .then(|| Self(text.into()))
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

/// What a temporary credential has beyond a long-term key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// How it came about.
    pub kind: SessionKind,
    /// SHA-256 of the session token; the token itself is not kept.
    pub token: SessionTokenHash,
    /// From this time on the session is refused.
    pub expires_at: UnixMillis,
    /// The session name, where the operation has one.
    pub name: Option<String>,
    /// ARN of the role the session was issued for.
    pub role_arn: Option<String>,
    /// The credential that asked for this one.
    pub parent_access_key_id: Option<AccessKeyId>,
    /// Session tags.
    pub tags: BTreeMap<String, String>,
    /// Whether a second factor was presented.
    pub mfa: bool,
}

/// The STS operation a session came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SessionKind {
    /// `GetSessionToken`.
    SessionToken,
    /// `AssumeRole`.
    AssumedRole,
    /// `AssumeRoleWithWebIdentity`.
    WebIdentity,
    /// `AssumeRoleWithSAML`.
    Saml,
    /// `GetFederationToken`.
    Federation,
}

/// SHA-256 of a session token. Compared in constant time only.
#[derive(Clone, PartialEq, Eq)]
pub struct SessionTokenHash([u8; 32]);

impl SessionTokenHash {
    /// Hashes a token.
    pub fn of(token: &[u8]) -> Self {
        let hash = digest::digest(&digest::SHA256, token);
        Self(hash.as_ref().try_into().expect("SHA-256 has 32 bytes"))
    }

    /// From a hash computed elsewhere.
    pub const fn from_bytes(hash: [u8; 32]) -> Self {
        Self(hash)
    }

    /// The hash, for storing it.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Whether `token` is the one that was hashed. Comparing digests leaks nothing about the token:
    /// whoever could steer a digest to a shared prefix would have broken SHA-256.
    pub fn matches(&self, token: &[u8]) -> bool {
        Self::of(token).0 == self.0
    }
}

impl fmt::Debug for SessionTokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionTokenHash(***)")
    }
}

impl Credential {
    /// Whether the credential is temporary and its time is over.
    pub fn expired(&self, now: UnixMillis) -> bool {
        self.session.as_ref().is_some_and(|session| now >= session.expires_at)
    }
}
