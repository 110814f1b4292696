//! Step 1 of a request: look the credential up, check its session, check the signature.
//!
//! A form upload takes the same steps: only what is signed differs, and where.

use std::net::IpAddr;
use std::sync::Arc;

use sigv4::{
    Algorithm, Endpoint, ParseError, PayloadMode, PostError, PostForm, Presented, SignedForm, SignedRequest,
    Timestamp, Verified, VerifiedForm, VerifyError,
};

use crate::clock::UnixMillis;
use crate::config::Source;
use crate::iam::Credential;
use crate::store::{Record, Store, StoreError, UnsealError};

/// A request whose head, or whose form, is signed by a live credential. Made by [`authenticate_with`] and
/// [`authenticate_form`] only.
#[must_use]
pub struct Authenticated {
    record: Arc<Record>,
    verified: Verified,
    /// When the request was signed. A form is good for as long as its policy says.
    signed_at: Option<Timestamp>,
}

impl Authenticated {
    /// The credential that signed.
    pub fn credential(&self) -> &Credential {
        self.record.credential()
    }

    /// The same, to be kept.
    pub fn record(&self) -> &Arc<Record> {
        &self.record
    }

    /// Whether a raw `+` in the path means a space: see [`Verified::plus_is_space`].
    pub fn plus_is_space(&self) -> bool {
        self.verified.plus_is_space()
    }

    pub(super) fn into_parts(self) -> (Arc<Record>, Verified, Option<Timestamp>) {
        (self.record, self.verified, self.signed_at)
    }

    /// What must be proved about the body.
    pub fn into_payload(self) -> PayloadMode {
        self.verified.into_payload()
    }
}

/// When and from where a request came.
#[derive(Clone, Copy, Debug)]
pub struct Arrival {
    /// When.
    pub at: UnixMillis,
    /// From which address: what it asks for in vain counts against that.
    pub from: IpAddr,
}

/// Why a request is not authenticated.
#[derive(Debug, thiserror::Error)]
pub enum AuthError {
    /// The head does not hold one well-formed, current signature for this endpoint.
    #[error(transparent)]
    Parse(#[from] ParseError),
    /// No such access key id, or it is inactive.
    #[error("no active credential has the access key id {0}")]
    UnknownAccessKey(String),
    /// A temporary access key id came without its session token. AWS answers as if it did not exist.
    #[error("the access key id {0} is temporary and came without its session token")]
    MissingToken(String),
    /// The session token is not the one that belongs to the access key id.
    #[error("the session token does not belong to the access key id")]
    InvalidToken,
    /// The session is over.
    #[error("the session has expired")]
    ExpiredToken,
    /// The signature is missing something or wrong.
    #[error("{source}")]
    Verify {
        /// As presented.
        access_key_id: String,
        /// What is wrong with it.
        source: VerifyError,
    },
    /// The session is authentic, but not all of it is here.
    #[error(transparent)]
    Elsewhere(UnsealError),
    /// The store could not be read: nothing can be said about the credential.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a form is not authenticated.
#[derive(Debug, thiserror::Error)]
pub enum FormAuthError {
    /// Because of the credential it names.
    #[error(transparent)]
    Credential(#[from] AuthError),
    /// The form is not signed, or not what its policy allows.
    #[error("{source}")]
    Form {
        /// As presented; empty if the form has not come so far as to present one.
        access_key_id: String,
        /// What is wrong with it.
        source: PostError,
    },
}

/// The line of a form posted to `bucket`: looks the credential up, verifies, holds the form against its policy.
pub async fn authenticate_form(
    store: &Store,
    form: &PostForm,
    bucket: &str,
    endpoint: &Endpoint,
    arrival: Arrival,
) -> Result<(Authenticated, VerifiedForm), FormAuthError> {
    let now = arrival.at;
    let signed = SignedForm::parse(form, bucket, endpoint, now.timestamp())
        .map_err(|source| FormAuthError::Form { access_key_id: String::new(), source })?;
    let access_key_id = signed.access_key_id();
    let record = look_up(store, access_key_id, signed.session_token(), arrival).await?;
    let record = live(record, access_key_id, signed.session_token(), now)?;
    let key = record.form_signing_key(&signed.scope(), now.timestamp());
    match signed.verify(&key) {
        Ok(form) => Ok((Authenticated { record, verified: form.verified(), signed_at: None }, form)),
        Err(source) => Err(FormAuthError::Form { access_key_id: id_of(&record), source }),
    }
}

/// The record from the cache, from the log, or from the session token where the log does not hold the session. What only
/// the log of other gateways can know is waited for; the token comes first, because it needs nobody.
pub async fn look_up(
    store: &Store,
    access_key_id: &str,
    token: Presented<'_>,
    arrival: Arrival,
) -> Result<Option<Arc<Record>>, AuthError> {
    store.answers()?;
    if !matches!(token, Presented::None) {
        store.answers_for_sessions(arrival.at)?;
    }
    let found = match store.cached(access_key_id) {
        Some(record) => Some(record),
        // Apart, so that it is not room in the future of every request.
        None => Box::pin(look_further(store, access_key_id, token, arrival)).await?,
    };
    if let Some(record) = &found {
        store.answers_for(record.credential())?;
    }
    Ok(found)
}

async fn look_further(
    store: &Store,
    access_key_id: &str,
    token: Presented<'_>,
    arrival: Arrival,
) -> Result<Option<Arc<Record>>, AuthError> {
    let (now, source) = (arrival.at, Source::of(arrival.from));
    match (store.load(access_key_id).await?, token) {
        (None, Presented::One(token)) => match store.unseal(access_key_id, &token, now) {
            Ok(Some(record)) => Ok(Some(record)),
            Ok(None) => Ok(arriving(store, access_key_id, true, source).await?),
            Err(UnsealError::Expired) => Err(AuthError::ExpiredToken),
            Err(error @ UnsealError::PoliciesElsewhere { .. }) => {
                let record = arriving(store, access_key_id, true, source).await?;
                record.map(Some).ok_or(AuthError::Elsewhere(error))
            }
            Err(error @ UnsealError::TooNew { .. }) => Err(AuthError::Elsewhere(error)),
        },
        (None, Presented::None) => Ok(arriving(store, access_key_id, false, source).await?),
        (found, _) => Ok(found),
    }
}

async fn arriving(
    store: &Store,
    access_key_id: &str,
    temporary: bool,
    source: Source,
) -> Result<Option<Arc<Record>>, StoreError> {
    match store.awaited(access_key_id, temporary, source).await? {
        true => store.load(access_key_id).await,
        false => Ok(None),
    }
}

/// What follows the look-up: key, token, expiry, signature, in this order.
///
/// `body` is the whole body in the Generic dialect, where the signature covers its hash, and `None` in S3's.
/// Whether the credential has been revoked is not asked here but by [`unrevoked`](super::unrevoked). No key is derived for a credential that is unknown, over, or presented with a wrong token.
pub fn authenticate_with(
    signed: SignedRequest<'_>,
    record: Option<Arc<Record>>,
    now: UnixMillis,
    body: Option<&[u8]>,
) -> Result<Authenticated, AuthError> {
    let record = live(record, signed.access_key_id(), signed.session_token(), now)?;
    let signed_at = Some(signed.date());
    match prove(signed, &record, body.unwrap_or_default()) {
        Ok(verified) => Ok(Authenticated { record, verified, signed_at }),
        Err(source) => Err(AuthError::Verify { access_key_id: id_of(&record), source }),
    }
}

/// Checks the signature with the key it was made for. `body` matters in the Generic dialect only.
pub fn prove(signed: SignedRequest<'_>, record: &Record, body: &[u8]) -> Result<Verified, VerifyError> {
    match signed.algorithm() {
        Algorithm::HmacSha256 => {
            let key = record.signing_key(&signed.scope());
            signed.verify_body(&*key, body)
        }
        Algorithm::EcdsaP256Sha256 => signed.verify_body(record.verifying_key(), body),
    }
}

/// A credential that may sign, presented with its token.
fn live(
    record: Option<Arc<Record>>,
    access_key_id: &str,
    token: Presented<'_>,
    now: UnixMillis,
) -> Result<Arc<Record>, AuthError> {
    let Some(record) = record.filter(|record| !record.credential().dormant(now)) else {
        return Err(AuthError::UnknownAccessKey(access_key_id.to_owned()));
    };
    check_session(token, record.credential(), now)?;
    Ok(record)
}

fn id_of(record: &Record) -> String {
    record.credential().access_key_id.as_str().to_owned()
}

/// The token must be there exactly when the credential is temporary, and be the one it was issued with.
fn check_session(
    presented: Presented<'_>,
    credential: &Credential,
    now: UnixMillis,
) -> Result<(), AuthError> {
    match (&credential.session, presented) {
        (None, Presented::None) => Ok(()),
        (Some(_), Presented::None) => {
            Err(AuthError::MissingToken(credential.access_key_id.as_str().to_owned()))
        }
        (Some(session), Presented::One(token)) if session.token.matches(&token) => {
            if credential.expired(now) { Err(AuthError::ExpiredToken) } else { Ok(()) }
        }
        (_, Presented::One(_) | Presented::Several) => Err(AuthError::InvalidToken),
    }
}
