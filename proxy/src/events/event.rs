//! Events: facts about credentials. Immutable, idempotent by source and id.

use crate::clock::UnixMillis;
use crate::iam::{AccessKeyId, Credential, KeyStatus};

/// One fact, identified by `source` and `id`: appending the same pair again changes nothing.
#[derive(Clone, Debug)]
pub struct Event {
    /// Who says so, for example `/sts/us-east-1` or `/config`.
    pub source: String,
    /// Unique within the source.
    pub id: String,
    /// When it happened.
    pub time: UnixMillis,
    /// What happened.
    pub data: EventData,
}

/// What happened.
#[derive(Clone, Debug)]
pub enum EventData {
    /// A temporary credential was issued.
    CredentialIssued(Credential),
    /// A long-term key was created, or its secret or principal replaced.
    AccessKeyCreated(Credential),
    /// A long-term key was activated or deactivated.
    AccessKeyStatus {
        /// Which key.
        access_key_id: AccessKeyId,
        /// Its status from now on.
        status: KeyStatus,
    },
    /// A long-term key was deleted.
    AccessKeyDeleted {
        /// Which key.
        access_key_id: AccessKeyId,
    },
    /// Sessions were revoked.
    SessionRevoked {
        /// Which sessions.
        scope: RevocationScope,
        /// Sessions issued strictly before this time are refused.
        issued_before: UnixMillis,
        /// Why, for people.
        reason: Option<String>,
    },
}

/// Which sessions a revocation reaches. Long-term keys are reached by their access key id only.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum RevocationScope {
    /// One credential, and the sessions issued to it.
    AccessKey(AccessKeyId),
    /// Every session of the principal with this ARN or unique id.
    Principal(String),
    /// Every session of the role with this ARN.
    Role(String),
    /// Every session of the account.
    Account(String),
}

/// What became of an appended event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// Its place in the log; for a duplicate the place of the first.
    pub seq: u64,
    /// Whether it was in the log already.
    pub duplicate: bool,
}
