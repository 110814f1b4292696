//! What a temporary credential has beyond a long-term key: where it came from and what limits it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use ring::digest;
use serde::{Deserialize, Serialize};

use super::{AccessKeyId, Credential, Principal};
use crate::clock::UnixMillis;

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
    /// Who is behind it, as set once and handed down a chain of roles.
    pub source_identity: Option<String>,
    /// Session tags, those inherited along a chain included.
    pub tags: BTreeMap<String, String>,
    /// Keys of the tags that are handed down to sessions chained from this one.
    pub transitive_tag_keys: BTreeSet<String>,
    /// Session policies as they were passed, JSON.
    pub session_policies: Vec<String>,
    /// ARNs of the managed policies that were passed.
    pub policy_arns: Vec<String>,
    /// When a second factor was presented, if one was.
    pub mfa_authenticated_at: Option<UnixMillis>,
    /// What an identity provider said, for a session that one vouched for.
    pub federation: Option<Federation>,
    /// The credentials it descends from, nearest first; at most [`MAX_LINEAGE`](Self::MAX_LINEAGE).
    pub lineage: Vec<Ancestor>,
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

/// What an identity provider said about whoever holds a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Federation {
    /// ARN of the provider, as it is declared here.
    pub provider: String,
    /// The issuer's own name for itself.
    pub issuer: String,
    /// Whom it vouches for.
    pub subject: String,
    /// For whom the token or assertion was meant.
    pub audience: String,
    /// What only SAML has.
    pub saml: Option<SamlSubject>,
}

/// How SAML qualifies a subject.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SamlSubject {
    /// Base64 of the SHA-1 of issuer, account and provider: makes the subject unique.
    pub name_qualifier: String,
    /// The format of the name, for example `persistent`.
    pub subject_type: String,
}

/// A credential that a session descends from, as far as revoking it reaches down to the session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ancestor {
    /// Its access key id.
    pub access_key_id: AccessKeyId,
    /// Who it spoke for.
    pub principal: Principal,
    /// ARN of its role.
    pub role_arn: Option<String>,
    /// Its session name.
    pub session_name: Option<String>,
    /// ARN of the identity provider that vouched for it.
    pub provider: Option<String>,
    /// When it was issued; for a long-term key, which outlives its revocation, when it was used to get the next
    /// session of the chain.
    pub issued_at: UnixMillis,
}

/// A chain of sessions is too long to be followed when one of them is revoked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a session descends from at most {} credentials", Session::MAX_LINEAGE)]
pub struct ChainTooLong;

impl Session {
    /// Longest chain of credentials a session may descend from. A longer one is refused rather than forgotten in
    /// part: whoever could make an ancestor forgotten would outlive its revocation.
    pub const MAX_LINEAGE: usize = 16;

    /// A session that has nothing but what every session has.
    pub const fn new(kind: SessionKind, token: SessionTokenHash, expires_at: UnixMillis) -> Self {
        Self {
            kind,
            token,
            expires_at,
            name: None,
            role_arn: None,
            parent_access_key_id: None,
            source_identity: None,
            tags: BTreeMap::new(),
            transitive_tag_keys: BTreeSet::new(),
            session_policies: Vec::new(),
            policy_arns: Vec::new(),
            mfa_authenticated_at: None,
            federation: None,
            lineage: Vec::new(),
        }
    }

    /// ARN of the identity provider that vouched for the session.
    pub fn provider(&self) -> Option<&str> {
        self.federation.as_ref().map(|federation| federation.provider.as_str())
    }
}

impl Ancestor {
    /// The lineage of a session that `parent` gets at `now`.
    ///
    /// # Errors
    /// The chain is longer than [`Session::MAX_LINEAGE`].
    pub fn lineage(parent: &Credential, now: UnixMillis) -> Result<Vec<Self>, ChainTooLong> {
        let further = parent.session.as_ref().map_or(&[][..], |session| &session.lineage);
        if further.len() >= Session::MAX_LINEAGE {
            return Err(ChainTooLong);
        }
        Ok([Self::of(parent, now)].into_iter().chain(further.iter().cloned()).collect())
    }

    fn of(parent: &Credential, now: UnixMillis) -> Self {
        let session = parent.session.as_ref();
        Self {
            access_key_id: parent.access_key_id.clone(),
            principal: parent.principal.clone(),
            role_arn: session.and_then(|session| session.role_arn.clone()),
            session_name: session.and_then(|session| session.name.clone()),
            provider: session.and_then(Session::provider).map(str::to_owned),
            issued_at: if session.is_some() { parent.issued_at } else { now },
        }
    }
}

/// SHA-256 of a session token. Compared in constant time only.
#[derive(Clone, PartialEq, Eq)]
pub struct SessionTokenHash([u8; 32]);

impl SessionTokenHash {
    /// Of a token that is yet to be made: no token matches.
    pub const NONE: Self = Self([0; 32]);

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

#[cfg(test)]
mod tests {
    use sigv4::SecretAccessKey;

    use super::*;
    use crate::iam::KeyStatus;

    fn credential(access_key_id: &str, issued_at: i64, session: Option<Session>) -> Credential {
        Credential {
            access_key_id: AccessKeyId::parse(access_key_id).unwrap(),
            secret: SecretAccessKey::new("secret"),
            principal: Principal { arn: "a".into(), user_id: "u".into(), account: "1".into() },
            issued_at: UnixMillis(issued_at),
            status: KeyStatus::Active,
            not_after: None,
            declared: false,
            session,
        }
    }

    fn chained(parent: &Credential, access_key_id: &str, now: i64) -> Credential {
        let token = SessionTokenHash::from_bytes([0; 32]);
        let session = Session {
            lineage: Ancestor::lineage(parent, UnixMillis(now)).unwrap(),
            ..Session::new(SessionKind::AssumedRole, token, UnixMillis(now + 1))
        };
        credential(access_key_id, now, Some(session))
    }

    #[test]
    fn a_lineage_runs_from_the_nearest_back_to_the_key_it_began_with() {
        let key = credential("AKIA1", 1, None);
        let first = chained(&key, "ASIA1", 20);
        let second = chained(&first, "ASIA2", 30);
        let lineage = second.session.unwrap().lineage;
        let told: Vec<_> = lineage.iter().map(|a| (a.access_key_id.as_str(), a.issued_at.0)).collect();
        assert_eq!(told, [("ASIA1", 20), ("AKIA1", 20)], "a key's time is that of its use");
    }

    #[test]
    fn a_chain_too_long_to_be_followed_is_refused() {
        let mut last = credential("AKIA1", 1, None);
        for n in 0..Session::MAX_LINEAGE {
            last = chained(&last, &format!("ASIA{n}"), 2);
        }
        assert_eq!(Ancestor::lineage(&last, UnixMillis(3)), Err(ChainTooLong));
    }
}
