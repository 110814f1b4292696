//! Step 1 of a request: look the credential up, check its session, check the signature.

use std::sync::Arc;

use sigv4::{Dialect, Endpoint, Head, ParseError, PayloadMode, SignedRequest, Verified, VerifyError};

use crate::clock::UnixMillis;
use crate::fault::{Fault, signature};
use crate::iam::{Credential, KeyStatus};
use crate::store::{Record, Store, StoreError};

/// A request whose head is signed by a live credential. Made by [`authenticate_with`] only.
#[must_use]
pub struct Authenticated {
    record: Arc<Record>,
    verified: Verified,
}

impl Authenticated {
    /// The credential that signed.
    pub fn credential(&self) -> &Credential {
        self.record.credential()
    }

    /// What must be proved about the body.
    pub fn into_payload(self) -> PayloadMode {
        self.verified.into_payload()
    }
}
#[allow(unused)]
fn _x(_: UnixMillis, _: Dialect, _: &Endpoint, _: Head<'_>, _: SignedRequest<'_>, _: KeyStatus) {}

/// Why a request is not authenticated.
#[derive(Debug, thiserror::Error)]
pub enum AuthError {
    /// The head does not hold one well-formed, current signature for this endpoint.
    #[error(transparent)]
    Parse(#[from] ParseError),
    /// No such access key id, or it is inactive, or it is temporary and came without its session token.
    #[error("no active credential of that access key id")]
    UnknownAccessKey {
        /// As presented.
        access_key_id: String,
        /// Why, for the log and the metrics; the client is not told.
        temporary_without_token: bool,
    },
    /// The session token is not the one that belongs to the access key id.
    #[error("session token does not belong to the access key id")]
    InvalidToken,
    /// The session is over.
    #[error("session has expired")]
    ExpiredToken,
    /// The signature is missing something or wrong.
    #[error(transparent)]
    Verify(#[from] VerifyError),
    /// The store could not be read: nothing can be said about the credential.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Parses the head, looks the credential up, verifies. A cached credential costs no wait.
///
/// `body` is the whole body for [`Dialect::Generic`], where the signature covers its hash; `None` for S3.
pub async fn authenticate(
    store: &Store,
    head: Head<'_>,
    endpoint: &Endpoint,
    now: UnixMillis,
    body: Option<&[u8]>,
) -> Result<Authenticated, AuthError> {
    let signed = SignedRequest::parse(head, endpoint, now.timestamp())?;
    let record = match store.cached(signed.access_key_id()) {
        Some(record) => Some(record),
        None => store.load(signed.access_key_id()).await?,
    };
    authenticate_with(signed, record, now, body)
}

/// The part of [`authenticate`] after the look-up: token, expiry, signature, in this order.
pub fn authenticate_with(
    _signed: SignedRequest<'_>,
    _record: Option<Arc<Record>>,
    _now: UnixMillis,
    _body: Option<&[u8]>,
) -> Result<Authenticated, AuthError> {
    todo!()
}

impl AuthError {
    /// The answer AWS gives.
    pub fn fault(&self, _dialect: Dialect) -> Fault {
        let _ = signature::parse_fault;
        todo!()
    }
}
