//! A credential ready for use: unsealed, with the keys derived from it.

use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwap;
use http::{HeaderName, HeaderValue};
use sigv4::{Scope, SigningKey, Timestamp, VerifyingKey};

use crate::iam::policy::{Grammar, Policy};
use crate::iam::{Ancestor, Credential, Federation, Principal, Session};

/// Signing keys kept per credential: today and yesterday, S3 and STS, and room for presigned URLs of the week.
const MAX_SIGNING_KEYS: usize = 8;

/// Headers that describe its owner. Their values are made of the texts.
const MAX_HEADERS: usize = 7;

/// How much larger than its text a policy is at most, the text and what is compiled from it together.
const COMPILED: usize = 12;

/// A cached credential with its derived signing keys. The secret is wiped from memory with the last reference; the
/// keys, each good for one day, region and service, are held by `ring`, which wipes nothing.
pub struct Record {
    credential: Credential,
    /// Revision of the file this was read at.
    revision: u64,
    hash: u64,
    /// Compiled when first asked for.
    session_policies: OnceLock<Vec<Arc<Policy>>>,
    /// Latest day first.
    signing_keys: ArcSwap<Vec<Arc<SigningKey>>>,
    verifying_key: OnceLock<VerifyingKey>,
    described: OnceLock<Headers>,
}

/// Headers that never change.
pub type Headers = Box<[(HeaderName, HeaderValue)]>;

impl Record {
    /// A record of a credential that comes from no store.
    pub fn new(credential: Credential) -> Arc<Self> {
        Self::read_at(credential, 0)
    }

    pub(super) fn read_at(credential: Credential, revision: u64) -> Arc<Self> {
        let hash = hash(credential.access_key_id.as_str());
        Arc::new(Self {
            credential,
            revision,
            hash,
            signing_keys: ArcSwap::default(),
            session_policies: OnceLock::new(),
            verifying_key: OnceLock::new(),
            described: OnceLock::new(),
        })
    }

    /// The credential.
    pub fn credential(&self) -> &Credential {
        &self.credential
    }

    /// The policy documents that were passed for the session, compiled once. What is no policy is left out.
    pub fn session_policies(&self) -> &[Arc<Policy>] {
        self.session_policies.get_or_init(|| {
            let session = self.credential.session.as_ref();
            let documents = session.map_or(&[][..], |session| &session.session_policies);
            let compiled = |text: &String| Policy::parse("session policy", Grammar::Identity, text).ok();
            documents.iter().filter_map(compiled).map(Arc::new).collect()
        })
    }

    /// The signing key for a scope, derived once. Region and service must have been checked against the
    /// configuration before: otherwise whoever knows the access key id could push the useful ones out.
    pub fn signing_key(&self, scope: &Scope<'_>) -> Arc<SigningKey> {
        let known = self.signing_keys.load();
        if let Some(key) = known.iter().find(|key| key.scope() == *scope) {
            return Arc::clone(key);
        }
        let key = Arc::new(SigningKey::derive(&self.credential.secret, scope));
        self.signing_keys.rcu(|known| insert(known, &key));
        key
    }

    /// The signing key for the scope of a form, which may be of any day. One of a day to come is derived and not kept:
    /// whoever knows the access key id could push today's out with such days.
    pub fn form_signing_key(&self, scope: &Scope<'_>, now: Timestamp) -> Arc<SigningKey> {
        let tomorrow = now.plus(24 * 3600).date();
        if scope.date > tomorrow {
            return Arc::new(SigningKey::derive(&self.credential.secret, scope));
        }
        self.signing_key(scope)
    }

    /// The public key of SigV4a, derived once: whatever comes under the access key id, that is paid for once.
    /// Concurrent callers wait for the first.
    pub fn verifying_key(&self) -> &VerifyingKey {
        self.verifying_key.get_or_init(|| {
            VerifyingKey::derive(self.credential.access_key_id.as_str(), &self.credential.secret)
        })
    }

    /// What the credential's owner is described by to a backend: `describe` is asked once.
    pub fn described(&self, describe: impl FnOnce(&Credential) -> Headers) -> &Headers {
        self.described.get_or_init(|| describe(&self.credential))
    }

    pub(super) fn revision(&self) -> u64 {
        self.revision
    }

    /// Of the access key id; computed once, for look-ups beside the cache.
    pub(super) fn hash(&self) -> u64 {
        self.hash
    }

    /// Upper bound of the memory the record takes, in bytes.
    pub(super) fn weight(&self) -> u32 {
        let keys = MAX_SIGNING_KEYS * (size_of::<SigningKey>() + 4 * size_of::<usize>() + 64);
        let Credential { access_key_id, secret, principal, session, .. } = &self.credential;
        let texts = access_key_id.as_str().len()
            + secret.expose_secret().len()
            + principal.arn.len()
            + principal.user_id.len()
            + principal.account.len()
            + session.as_ref().map_or(0, session_bytes);
        let described = MAX_HEADERS * (size_of::<(HeaderName, HeaderValue)>() + 4 * size_of::<usize>());
        u32::try_from(size_of::<Self>() + keys + described + 2 * texts).unwrap_or(u32::MAX)
    }
}

impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Record({} at {})", self.credential.access_key_id, self.revision)
    }
}

pub(super) fn hash(access_key_id: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    access_key_id.hash(&mut hasher);
    hasher.finish()
}

fn insert(known: &[Arc<SigningKey>], key: &Arc<SigningKey>) -> Vec<Arc<SigningKey>> {
    let mut keys = known.to_vec();
    if !keys.iter().any(|other| other.scope() == key.scope()) {
        let at = keys.partition_point(|other| other.scope().date > key.scope().date);
        keys.insert(at, Arc::clone(key));
        keys.truncate(MAX_SIGNING_KEYS);
    }
    keys
}

fn session_bytes(session: &Session) -> usize {
    let text = |text: &Option<String>| text.as_ref().map_or(0, String::len);
    let texts = |texts: &[String]| texts.iter().map(|text| text.len() + 32).sum::<usize>();
    let tags: usize = session.tags.iter().map(|(key, value)| key.len() + value.len() + 64).sum();
    let transitive: usize = session.transitive_tag_keys.iter().map(|key| key.len() + 64).sum();
    let parent = session.parent_access_key_id.as_ref().map_or(0, |id| id.as_str().len());
    let federation =
        session.federation.as_ref().map_or(0, |Federation { provider, issuer, subject, audience, saml }| {
            let saml = saml.as_ref().map_or(0, |saml| saml.name_qualifier.len() + saml.subject_type.len());
            provider.len() + issuer.len() + subject.len() + audience.len() + saml
        });
    let ancestor = |ancestor: &Ancestor| {
        let Principal { arn, user_id, account } = &ancestor.principal;
        size_of::<Ancestor>()
            + ancestor.access_key_id.as_str().len()
            + (arn.len() + user_id.len() + account.len())
            + (text(&ancestor.role_arn) + text(&ancestor.session_name) + text(&ancestor.provider))
    };
    (text(&session.name) + text(&session.role_arn) + text(&session.source_identity) + parent)
        + (tags + transitive + COMPILED * texts(&session.session_policies) + texts(&session.policy_arns))
        + (federation + session.lineage.iter().map(ancestor).sum::<usize>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::fixtures::long_term;
    use sigv4::Date;

    fn scope(date: &str) -> Scope<'static> {
        Scope { date: Date::parse(date.as_bytes()).unwrap(), region: "us-east-1", service: "s3" }
    }

    #[test]
    fn a_signing_key_is_derived_once_per_scope() {
        let record = Record::new(long_term("AKIA1"));
        let first = record.signing_key(&scope("20260101"));
        assert!(Arc::ptr_eq(&first, &record.signing_key(&scope("20260101"))));
        assert_eq!(first.scope(), scope("20260101"));
        assert!(!Arc::ptr_eq(&first, &record.signing_key(&Scope { service: "sts", ..scope("20260101") })));
    }

    #[test]
    fn forms_of_days_to_come_push_nothing_out() {
        let record = Record::new(long_term("AKIA1"));
        let now = Timestamp::parse_basic(b"20260101T120000Z").unwrap();
        let today = record.form_signing_key(&scope("20260101"), now);
        for day in 10..30 {
            let day = format!("209901{day}");
            let scope = scope(&day);
            assert_eq!(record.form_signing_key(&scope, now).scope(), scope);
        }
        assert!(Arc::ptr_eq(&today, &record.signing_key(&scope("20260101"))));
    }

    #[test]
    fn the_verifying_key_is_derived_once() {
        let record = Record::new(long_term("AKIA1"));
        assert!(record.verifying_key.get().is_none(), "who never uses SigV4a never pays for it");
        assert!(std::ptr::eq(record.verifying_key(), record.verifying_key()));
    }

    #[test]
    fn old_days_give_way_and_never_push_out_newer_ones() {
        let record = Record::new(long_term("AKIA1"));
        let days: Vec<String> = (11..=18).map(|day| format!("202601{day}")).collect();
        let kept: Vec<_> = days.iter().map(|day| record.signing_key(&scope(day))).collect();
        record.signing_key(&scope("20250101"));
        for (day, key) in days.iter().zip(&kept) {
            assert!(Arc::ptr_eq(key, &record.signing_key(&scope(day))), "{day}");
        }
        record.signing_key(&scope("20260201"));
        assert_eq!(record.signing_keys.load().len(), MAX_SIGNING_KEYS);
        assert!(!Arc::ptr_eq(&kept[0], &record.signing_key(&scope("20260111"))), "the oldest day gave way");
    }
}
