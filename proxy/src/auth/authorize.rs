//! Step 3 of a request: has the credential been revoked, may it do what it asks.

use std::sync::Arc;

use sigv4::{Mechanism, PayloadMode, SignedNames};

use super::Authenticated;
use crate::iam::Credential;
use crate::store::{Record, RevokedBy, Store};

/// A request that may be forwarded. The upstream takes nothing else. Made by [`authorize`] only.
#[must_use]
pub struct Permitted {
    record: Arc<Record>,
    mechanism: Mechanism,
    signed_headers: SignedNames,
}

impl Permitted {
    /// The credential that signed.
    pub fn credential(&self) -> &Credential {
        self.record.credential()
    }

    /// Where the signature stood.
    pub fn mechanism(&self) -> Mechanism {
        self.mechanism
    }

    /// Whether the signature covers the header `name`.
    pub fn signs(&self, name: &str) -> bool {
        self.signed_headers.contains(name)
    }
}

/// An authenticated request that is refused.
#[must_use]
pub struct Denied {
    record: Arc<Record>,
    /// Why.
    pub by: RevokedBy,
}

impl std::fmt::Debug for Denied {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Denied({} by {:?})", self.credential().access_key_id, self.by)
    }
}

impl Denied {
    /// The credential that signed.
    pub fn credential(&self) -> &Credential {
        self.record.credential()
    }
}

/// Asks the revocation index, on every request, whatever the cache held.
///
/// Every live credential may do everything: permissions are the backend's business until policies exist.
///
/// What must be proved about the body comes out beside the permission: the body is read on its own.
pub fn authorize(store: &Store, authenticated: Authenticated) -> Result<(Permitted, PayloadMode), Denied> {
    let (record, verified) = authenticated.into_parts();
    match store.revoked(record.credential()) {
        Some(by) => Err(Denied { record, by }),
        None => {
            let mechanism = verified.mechanism();
            let (payload, signed_headers) = verified.into_parts();
            Ok((Permitted { record, mechanism, signed_headers }, payload))
        }
    }
}
