//! Session tokens: making them, and making records out of those of sessions that the log does not hold.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use zeroize::Zeroizing;

use super::Store;
use super::record::Record;
use crate::clock::UnixMillis;
use crate::events::{MAX_AHEAD_MILLIS, TokenError, opaque_token, seal_session, unseal_session};
use crate::iam::{AccessKeyId, Credential, SessionTokenHash};

/// Why a session that is authentic cannot be used here.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnsealError {
    /// Its time is over.
    #[error("the session has expired")]
    Expired,
    /// Its policies did not fit into the token, and its record has not come here.
    #[error(
        "the policies of session {access_key_id} are in a record that is not here (log position {position})"
    )]
    PoliciesElsewhere {
        /// Whose.
        access_key_id: AccessKeyId,
        /// The position of the issuer's log at the time of issue.
        position: u64,
    },
    /// Nothing has been heard of the shared log since before it was issued, for longer than `feed.stale.hard`.
    #[error("session {access_key_id} is younger than what is known of revocations")]
    TooNew {
        /// Whose.
        access_key_id: AccessKeyId,
    },
}

impl Store {
    /// Makes the token of a session that is about to be issued, and puts its hash into the credential.
    ///
    /// # Errors
    /// The session is too large for a token.
    pub fn make_token(&self, credential: &mut Credential) -> Result<Zeroizing<String>, TokenError> {
        let token = match &credential.session {
            Some(session) if self.0.sealed_tokens => {
                seal_session(credential, session, self.position(), &self.0.keyring)?
            }
            Some(_) | None => opaque_token()?,
        };
        if let Some(session) = &mut credential.session {
            session.token = SessionTokenHash::of(token.as_bytes());
        }
        Ok(token)
    }

    /// The record of a session that neither [`cached`](Self::cached) nor [`load`](Self::load) finds, out of its
    /// token. `None`: no token of this access key id, or tokens are not sealed.
    ///
    /// Only what is authentic and alive is cached, so forgeries and old tokens push nothing out. Whether the session
    /// has been revoked is asked later, as of any other: by [`revoked`](Self::revoked).
    pub fn unseal(
        &self,
        access_key_id: &str,
        token: &[u8],
        now: UnixMillis,
    ) -> Result<Option<Arc<Record>>, UnsealError> {
        if !self.0.sealed_tokens {
            return Ok(None);
        }
        let Some(access_key_id) = AccessKeyId::parse(access_key_id) else { return Ok(None) };
        let Some(unsealed) = unseal_session(token, &access_key_id, &self.0.keyring) else { return Ok(None) };
        let issued_at = unsealed.credential.issued_at;
        // As for events: a clock further ahead would put a session out of reach of revocations dated now.
        if issued_at > now.plus(MAX_AHEAD_MILLIS) {
            return Ok(None);
        }
        if unsealed.credential.expired(now) {
            return Err(UnsealError::Expired);
        }
        if self.freshness().is_some_and(|freshness| freshness.too_new(issued_at, now)) {
            return Err(UnsealError::TooNew { access_key_id });
        }
        if unsealed.policies_withheld {
            return Err(UnsealError::PoliciesElsewhere { access_key_id, position: unsealed.position });
        }
        let record = Record::read_at(unsealed.credential, self.state().revision.load(Ordering::Acquire));
        let state = self.state();
        state.newest_unsealed.fetch_max(issued_at.0, Ordering::AcqRel);
        state.metrics.unsealed.inc();
        state.cache.put(&record);
        Ok(Some(record))
    }
}
