//! The mint: the only place where session credentials are made; how their tokens look is the store's business.
//!
//! A credential is answered only after the event that says so is on disk. If that fails nothing is answered;
//! if the answer is lost, a credential that nobody knows expires unused.

use std::collections::{BTreeMap, BTreeSet};

use http::StatusCode;
use sigv4::{SecretAccessKey, Timestamp};
use zeroize::Zeroizing;

use super::access_denied;
use super::response::Value;
use crate::clock::UnixMillis;
use crate::events::{Event, EventData, TokenError};
use crate::fault::Fault;
use crate::iam::{
    AccessKeyId, Ancestor, ChainTooLong, Credential, Federation, KeyStatus, NoRandomNumbers, Principal,
    Session, SessionKind, SessionTokenHash, random_access_key_id, random_id, random_secret_access_key,
};
use crate::store::{Store, StoreError};

/// What session is to be issued. Token, lineage and times are the mint's.
pub(super) struct Grant<'a> {
    /// By which operation.
    pub(super) kind: SessionKind,
    /// Who the session speaks for.
    pub(super) principal: &'a Principal,
    /// The credential that asked for it; `None`: an identity provider vouched instead.
    pub(super) parent: Option<&'a Credential>,
    /// How long it lasts.
    pub(super) seconds: i32,
    pub(super) name: Option<String>,
    pub(super) role_arn: Option<String>,
    pub(super) source_identity: Option<String>,
    pub(super) tags: BTreeMap<String, String>,
    pub(super) transitive_tag_keys: BTreeSet<String>,
    pub(super) session_policies: Vec<String>,
    pub(super) policy_arns: Vec<String>,
    pub(super) mfa_authenticated_at: Option<UnixMillis>,
    pub(super) federation: Option<Federation>,
}

impl<'a> Grant<'a> {
    /// A grant of a session without name, role, tags, policies, second factor and federation.
    pub(super) fn new(
        kind: SessionKind,
        principal: &'a Principal,
        parent: Option<&'a Credential>,
        seconds: i32,
    ) -> Self {
        Self {
            kind,
            principal,
            parent,
            seconds,
            name: None,
            role_arn: None,
            source_identity: None,
            tags: BTreeMap::new(),
            transitive_tag_keys: BTreeSet::new(),
            session_policies: Vec::new(),
            policy_arns: Vec::new(),
            mfa_authenticated_at: None,
            federation: None,
        }
    }

    /// The session, without a token yet. Its lineage is that of the parent and the parent itself.
    fn session(&self, now: UnixMillis, expires_at: UnixMillis) -> Result<Session, ChainTooLong> {
        Ok(Session {
            kind: self.kind,
            token: SessionTokenHash::NONE,
            expires_at,
            name: self.name.clone(),
            role_arn: self.role_arn.clone(),
            parent_access_key_id: self.parent.map(|parent| parent.access_key_id.clone()),
            source_identity: self.source_identity.clone(),
            tags: self.tags.clone(),
            transitive_tag_keys: self.transitive_tag_keys.clone(),
            session_policies: self.session_policies.clone(),
            policy_arns: self.policy_arns.clone(),
            mfa_authenticated_at: self.mfa_authenticated_at,
            federation: self.federation.clone(),
            lineage: self.parent.map_or(Ok(Vec::new()), |parent| Ancestor::lineage(parent, now))?,
        })
    }
}

/// A session credential as its holder gets it, once. The secrets are wiped on drop.
pub(super) struct Issued {
    pub(super) access_key_id: AccessKeyId,
    pub(super) secret_access_key: Zeroizing<String>,
    pub(super) session_token: Zeroizing<String>,
    pub(super) expires_at: Timestamp,
}

impl Issued {
    /// The element `Credentials` of an answer.
    pub(super) fn credentials(&self) -> (&'static str, Value) {
        let members = vec![
            ("AccessKeyId", Value::Text(self.access_key_id.as_str().to_owned())),
            ("SecretAccessKey", Value::Secret(self.secret_access_key.clone())),
            ("SessionToken", Value::Secret(self.session_token.clone())),
            ("Expiration", Value::Time(self.expires_at)),
        ];
        ("Credentials", Value::Structure(members))
    }
}

/// Makes credentials out of the system's random numbers.
pub(super) struct Mint {
    store: Store,
    source: String,
}

impl Mint {
    pub(super) fn new(store: Store, region: &str) -> Self {
        Self { store, source: format!("/sts/{region}") }
    }

    /// Issues a session from `now` on, and returns once it can be used and survives a crash.
    ///
    /// `now` must be the time at which the caller was found unrevoked: a revocation that comes in between is
    /// later than that, and so reaches the session. One that another gateway had acknowledged before does not, and may
    /// have come to this one only since: so the caller is looked at again once the log, whose order is the same for all,
    /// has brought the session, and with it all that stands before. Nobody has the secret of a session that is then
    /// refused.
    pub(super) async fn issue(&self, grant: &Grant<'_>, now: UnixMillis) -> Result<Issued, IssueError> {
        let access_key_id = random_access_key_id("ASIA")?;
        let secret_access_key = random_secret_access_key()?;
        let expires_at = now.timestamp().plus(grant.seconds.into());
        let mut credential = Credential {
            access_key_id: access_key_id.clone(),
            secret: SecretAccessKey::new(secret_access_key.as_bytes()),
            principal: grant.principal.clone(),
            issued_at: now,
            status: KeyStatus::Active,
            not_after: None,
            declared: false,
            session: Some(grant.session(now, UnixMillis::from_timestamp(expires_at))?),
        };
        let session_token = self.store.make_token(&mut credential)?;
        let event = Event {
            source: self.source.clone(),
            id: random_id()?,
            time: now,
            data: EventData::CredentialIssued(credential),
        };
        let receipts = self.store.append(vec![event]).await?;
        if receipts.iter().any(|receipt| receipt.duplicate) {
            return Err(IssueError::Repeated);
        }
        if let Some(parent) = grant.parent
            && !self.stands(parent).await?
        {
            return Err(IssueError::ParentGone);
        }
        tracing::info!(
            %access_key_id,
            parent_access_key_id = grant.parent.map(|parent| parent.access_key_id.as_str()),
            principal = grant.principal.arn,
            kind = ?grant.kind,
            %expires_at,
            "session issued"
        );
        Ok(Issued { access_key_id, secret_access_key, session_token, expires_at })
    }

    /// Whether a credential that was good is so still: not revoked and, if it is a long-term key, active and the same.
    async fn stands(&self, credential: &Credential) -> Result<bool, StoreError> {
        if self.store.revoked(credential).is_some() {
            return Ok(false);
        }
        if credential.session.is_some() {
            return Ok(true);
        }
        let now = self.store.load(credential.access_key_id.as_str()).await?;
        Ok(now.is_some_and(|record| record.credential().issued_at == credential.issued_at))
    }
}

/// Why no session was issued.
#[derive(Debug, thiserror::Error)]
pub(super) enum IssueError {
    #[error(transparent)]
    NoRandomNumbers(#[from] NoRandomNumbers),
    #[error(transparent)]
    ChainTooLong(#[from] ChainTooLong),
    #[error(transparent)]
    Token(#[from] TokenError),
    #[error("the event's random id is in the log already")]
    Repeated,
    #[error("the credential that asked has been revoked, deleted or disabled meanwhile")]
    ParentGone,
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<IssueError> for Fault {
    fn from(error: IssueError) -> Self {
        match &error {
            // The caller's doing, or done to the caller.
            IssueError::ParentGone
            | IssueError::ChainTooLong(_)
            | IssueError::Token(TokenError::TooLarge) => {}
            IssueError::Token(TokenError::NoRandomNumbers(_))
            | IssueError::NoRandomNumbers(_)
            | IssueError::Repeated
            | IssueError::Store(_) => {
                tracing::error!(%error, "no session could be issued");
            }
        }
        match error {
            IssueError::ChainTooLong(_) => {
                access_denied("The chain of role sessions that this session would extend is too long.")
            }
            IssueError::ParentGone => access_denied("The credential that signed has been revoked."),
            IssueError::Store(_) => Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "ServiceUnavailable",
                "The request has failed due to a temporary failure of the server.",
            ),
            IssueError::Token(TokenError::TooLarge) => Self::new(
                StatusCode::BAD_REQUEST,
                "PackedPolicyTooLarge",
                "Packed size of session tags consumes more than 100% of allotted space.",
            ),
            IssueError::Token(TokenError::NoRandomNumbers(_))
            | IssueError::NoRandomNumbers(_)
            | IssueError::Repeated => Self::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "InternalFailure",
                "The request processing has failed because of an unknown error, exception or failure.",
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;
    use crate::events::{Keyring, RevocationScope};
    use crate::metrics::Metrics;
    use crate::store::StoreOptions;

    const NOW: UnixMillis = UnixMillis(1_700_000_000_000);

    fn key() -> Credential {
        let arn = "arn:aws:iam::111122223333:user/alice";
        Credential {
            access_key_id: AccessKeyId::parse("AKIAALICE").unwrap(),
            secret: SecretAccessKey::new("secret"),
            principal: Principal {
                account: "111122223333".into(),
                arn: arn.into(),
                user_id: "AIDAALICE".into(),
            },
            issued_at: NOW,
            status: KeyStatus::Active,
            not_after: None,
            declared: false,
            session: None,
        }
    }

    async fn append(store: &Store, id: &str, data: EventData) {
        let event = Event { source: "test".into(), id: id.into(), time: NOW, data };
        store.append(vec![event]).await.unwrap();
    }

    /// A mint, and a key that a request found good before `meanwhile` became known.
    async fn issue_after(meanwhile: EventData) -> Result<Issued, IssueError> {
        let dir = tempfile::tempdir().unwrap();
        let options = StoreOptions::new(dir.path().join("log"), 1 << 20);
        let keyring = Keyring::ephemeral().unwrap();
        let store = Store::open(&options, keyring, Clock::manual(NOW), &Metrics::new()).unwrap();
        append(&store, "created", EventData::AccessKeyCreated(key())).await;
        append(&store, "meanwhile", meanwhile).await;
        let parent = key();
        let grant = Grant::new(SessionKind::SessionToken, &parent.principal, Some(&parent), 900);
        Mint::new(store.clone(), "eu-central-1").issue(&grant, NOW.plus(1_000)).await
    }

    #[tokio::test]
    async fn a_key_that_was_taken_away_before_its_session_was_issued_gets_none_even_if_that_was_known_only_then()
     {
        let id = || key().access_key_id;
        let revoked = |scope| EventData::SessionRevoked {
            scope,
            cascade: false,
            issued_before: NOW.plus(1),
            reason: None,
        };
        let another = Credential { secret: SecretAccessKey::new("other"), issued_at: NOW.plus(1), ..key() };
        for taken in [
            revoked(RevocationScope::AccessKey(id())),
            EventData::AccessKeyDeleted { access_key_id: id() },
            EventData::AccessKeyStatus { access_key_id: id(), status: KeyStatus::Inactive },
            EventData::AccessKeyCreated(another),
        ] {
            let what = format!("{taken:?}");
            assert!(matches!(issue_after(taken).await, Err(IssueError::ParentGone)), "{what}");
        }
        let other = revoked(RevocationScope::AccessKey(AccessKeyId::parse("AKIABOB").unwrap()));
        assert!(issue_after(other).await.is_ok());
    }

    #[test]
    fn failures_are_the_receivers() {
        let repeated = Fault::from(IssueError::Repeated);
        assert_eq!((repeated.status.as_u16(), repeated.code), (500, "InternalFailure"));
    }
}
