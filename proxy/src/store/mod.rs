//! The credential store: a view of the event log with one writer, a cache in front, and the revocation
//! index beside it.

use std::sync::Arc;

use sigv4::{Scope, SigningKey};

use crate::clock::{Clock, UnixMillis};
use crate::events::{Event, Keyring, Receipt};
use crate::iam::{AccessKeyId, Credential, KeyStatus, Principal};
use crate::metrics::Metrics;

/// Where the log lives and how much of it is cached.
#[derive(Clone, Debug)]
pub struct StoreOptions {
    /// The database file; its directory must exist.
    pub path: std::path::PathBuf,
    /// Upper bound of the cache in bytes.
    pub cache_bytes: u64,
}

/// Handle to the store; clones share it.
#[derive(Clone)]
pub struct Store {}

/// A cached credential with its derived signing keys.
pub struct Record {}

impl Record {
    /// The credential.
    pub fn credential(&self) -> &Credential {
        todo!()
    }
    /// The signing key for a scope, derived once. Region and service must have been checked against the
    /// configuration before.
    pub fn signing_key(&self, _scope: &Scope<'_>) -> Arc<SigningKey> {
        todo!()
    }
}

/// Why a credential is refused although it is known and unexpired.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RevokedBy {
    /// The access key id itself (or that of the credential the session was issued to).
    AccessKey,
    /// The principal.
    Principal,
    /// The role, for sessions issued before a time.
    Role,
    /// The account.
    Account,
}

/// Why the store could not be opened, read or written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// x
    #[error("store is closed")]
    Closed,
}

/// A long-term key of the configuration.
#[derive(Clone, Debug)]
pub struct DeclaredKey {
    /// id
    pub access_key_id: AccessKeyId,
    /// secret
    pub secret: sigv4::SecretAccessKey,
    /// principal
    pub principal: Principal,
    /// status
    pub status: KeyStatus,
}

/// What reconciling the configuration's keys changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reconciled {
    /// Keys that are new.
    pub created: usize,
    /// Keys whose secret, principal or status changed.
    pub changed: usize,
    /// Keys that the configuration declared before and no longer does.
    pub deleted: usize,
}

impl Store {
    /// Opens or creates the log, replays what the view misses, loads the revocation index.
    pub fn open(
        _options: &StoreOptions,
        _keyring: Keyring,
        _clock: Clock,
        _metrics: &Metrics,
    ) -> Result<Self, StoreError> {
        todo!()
    }
    /// The record, if it is cached. Takes no lock and never waits.
    pub fn cached(&self, _access_key_id: &str) -> Option<Arc<Record>> {
        todo!()
    }
    /// The record from cache or view; one load per key whatever the concurrency. `None`: no such credential.
    pub async fn load(&self, _access_key_id: &str) -> Result<Option<Arc<Record>>, StoreError> {
        todo!()
    }
    /// Appends events; returns once they are on disk, applied and visible to every later look-up.
    pub async fn append(&self, _events: Vec<Event>) -> Result<Vec<Receipt>, StoreError> {
        todo!()
    }
    /// Whether the credential has been revoked. Consulted on every request, hit or miss.
    pub fn revoked(&self, _credential: &Credential) -> Option<RevokedBy> {
        todo!()
    }
    /// Sequence number of the last applied event.
    pub fn position(&self) -> u64 {
        todo!()
    }
    /// Brings the long-term keys that the configuration declares, and only those, to the declared state.
    pub async fn reconcile(&self, _declared: &[DeclaredKey]) -> Result<Reconciled, StoreError> {
        todo!()
    }
    /// Waits until everything appended is on disk and closes the log.
    pub async fn close(&self) {}
}
#[allow(unused)]
fn _x(_: UnixMillis) {}
