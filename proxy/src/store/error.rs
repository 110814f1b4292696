//! What can go wrong in the store.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use crate::events::{EventError, RowError};
use crate::feed::FeedError;
use crate::iam::AccessKeyId;

/// Why the store could not be opened, read or written. Clones share their cause.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// The file cannot be created or opened.
    #[error("store {}: {source}", path.display())]
    File {
        /// The database file.
        path: PathBuf,
        /// What the operating system says.
        source: Arc<io::Error>,
    },
    /// The file is not a store of ours, or is damaged.
    #[error("store {}: {source}", path.display())]
    Open {
        /// The database file.
        path: PathBuf,
        /// What the database says.
        source: Arc<redb::Error>,
    },
    /// Another process has the file open.
    #[error(
        "store {}: a running gateway has it open; ask that by its admin listener, or stop it first",
        path.display()
    )]
    Held {
        /// The database file.
        path: PathBuf,
    },
    /// A newer program wrote the file.
    #[error("store has schema {found}; this program reads up to {known}")]
    Schema {
        /// Found in the file.
        found: u64,
        /// Newest known here.
        known: u64,
    },
    /// An older program wrote the file, and it is only looked at.
    #[error(
        "store {} has schema {found}, and is not changed by looking at it; start a gateway with it, which brings it to \
         schema {known}, and ask that, or stop it and look again",
        path.display()
    )]
    OlderSchema {
        /// The database file.
        path: PathBuf,
        /// Found in the file.
        found: u64,
        /// The one that can be looked at.
        known: u64,
    },
    /// The file holds a revocation this program cannot enforce.
    #[error("revocation {key} is of a kind this program does not know")]
    UnknownRevocation {
        /// How it is stored.
        key: String,
    },
    /// Live credentials are sealed under a key that was not given.
    #[error(
        "live credentials are sealed under key id {key_id}, which is in none of the key files: {}",
        list(files)
    )]
    MissingSealingKey {
        /// The key's id.
        key_id: String,
        /// The files that were loaded.
        files: Vec<PathBuf>,
    },
    /// The event is not acceptable.
    #[error("invalid event: {0}")]
    Invalid(#[from] EventError),
    /// The event is larger than the log takes.
    #[error("event has {bytes} bytes; the log takes {limit}")]
    TooLarge {
        /// Its size in the log.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// The event contradicts what is known about the access key id.
    #[error("{access_key_id}: {reason}")]
    Conflict {
        /// Which credential.
        access_key_id: AccessKeyId,
        /// What contradicts.
        reason: Conflict,
    },
    /// The event is about a long-term key that does not exist.
    #[error("{access_key_id}: no such access key")]
    UnknownAccessKey {
        /// Which key.
        access_key_id: AccessKeyId,
    },
    /// The credential's row cannot be read; others are not affected.
    #[error("{access_key_id}: {source}")]
    Unreadable {
        /// Which credential.
        access_key_id: AccessKeyId,
        /// Why.
        source: RowError,
    },
    /// A secret could not be sealed.
    #[error("cannot seal: {0}")]
    Seal(RowError),
    /// Reading failed.
    #[error("cannot read the store: {0}")]
    Read(Arc<redb::Error>),
    /// Writing failed, now or earlier: nothing is accepted until the process is started again. Whether the events
    /// of this call reached the disk is not known; appending them again later is harmless.
    #[error("the log cannot be written any more, restart once the cause is removed: {0}")]
    Failed(Arc<redb::Error>),
    /// The shared log. Whether it took the event is not known if it did not answer; appending it again is harmless.
    #[error(transparent)]
    Feed(#[from] FeedError),
    /// The event is in the shared log, but this gateway has not applied it in time. It will.
    #[error("the event is at {seq} of the shared log, which is not applied here yet")]
    NotApplied {
        /// Its place in the log.
        seq: u64,
    },
    /// Whether there is such a credential cannot be said: the shared log knows more than this gateway, or is out of reach.
    #[error("this gateway is behind the shared log")]
    Behind,
    /// No gateway publishes such an event: somebody else did, and it is not applied.
    #[error("an event of the shared log that no gateway publishes: {0}")]
    Foreign(Foreign),
    /// The file is no view of the shared log: it has events of its own.
    #[error(
        "the store holds {position} events of an embedded log and cannot be the view of a shared one, which holds \
         {last}; give store.path another file"
    )]
    OtherLog {
        /// Events of the file.
        position: u64,
        /// Last sequence number of the shared log.
        last: u64,
    },
    /// The file is the view of a shared log, and cannot be a log itself.
    #[error("the store is the view of a shared log; set feed.kind, or give store.path another file")]
    SharedLog,
    /// What this gateway does not know of the shared log yet may be that the credential was revoked.
    #[error("this gateway has yet to catch up with the shared log")]
    Uninformed,
    /// Nothing has been heard of the shared log for `feed.stale.hard`, and `feed.stale.fail_closed` is set.
    #[error("what is known of revocations is too old to answer for temporary credentials")]
    Stale,
    /// The store has been closed.
    #[error("store is closed")]
    Closed,
}

/// What contradicts an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Conflict {
    /// A session with this id was issued with other content; issued credentials never change.
    #[error("a session with this id was issued with other content")]
    Issued,
    /// A session has this id, so it cannot become a long-term key's.
    #[error("a session has this id")]
    IsSession,
    /// A long-term key has this id, so it cannot become a session's.
    #[error("a long-term key has this id")]
    IsAccessKey,
    /// The configuration or one of its sources declares the key, so it is changed there.
    #[error(
        "the configuration or one of its key sources declares this key; change it there, or revoke its access key id"
    )]
    Declared,
    /// A key is declared that came in by an event.
    #[error("this key is declared, but it was created by an event from another source")]
    NotDeclared,
    /// The key is declared in two places, or twice in one.
    #[error("this key is declared twice: the first declaration counts")]
    DeclaredTwice,
}

/// What gives away an event of the shared log that no gateway published.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Foreign {
    /// A status without its key: it has no seal, and so anybody could activate keys.
    #[error("a status of a long-term key without the key")]
    Status,
    /// It claims to come from a configuration, which is its gateway's own affair.
    #[error("it claims to be of a configuration")]
    Declared,
    /// A long-term key that was sealed long before it got to the log: an earlier message, published again.
    #[error("a long-term key sealed long before; it is published again, or its gateway's clock is behind")]
    Replayed,
}

impl StoreError {
    pub(super) fn conflict(access_key_id: &AccessKeyId, reason: Conflict) -> Self {
        Self::Conflict { access_key_id: access_key_id.clone(), reason }
    }

    pub(super) fn read(error: impl Into<redb::Error>) -> Self {
        Self::Read(Arc::new(error.into()))
    }
}

fn list(files: &[PathBuf]) -> String {
    files.iter().map(|file| file.display().to_string()).collect::<Vec<_>>().join(", ")
}
