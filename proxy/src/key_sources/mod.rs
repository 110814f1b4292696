//! Long-term keys that are declared outside of the configuration, in places that are looked at again and again: files of
//! a directory, or a document of a web server.
//!
//! - `directory` and `https` read a place, `document` says what stands there; `reader` is either of them.
//! - `aside` does what may never end. `check` reads without taking anything over.
//! - `follow` looks at one source in its interval, and says how old is what it said last.
//! - `declarations` knows all keys that are declared, those of the configuration included, and brings the store there.
//!
//! What holds:
//!
//! - A key that a source no longer declares is deleted, and with it the sessions issued to it; one that is declared as
//!   `Inactive` or is past its `expires_at` answers as if it did not exist.
//! - A source that cannot be reached, or is wrong, changes nothing: what it said last stays in force, also over a restart,
//!   since the store keeps it. Only `expires_at` goes on counting.
//! - Whose an access key id is that several declare: see [`Store::reconcile`].
//! - Keys are this gateway's own and never go into a log that gateways share: each reads the sources itself. In the log
//!   they would be at the mercy of the gateway that has read its source last: one that is behind, or is cut off from the
//!   source and started anew, would bring a key back that the others have just deleted. The end of sessions that were
//!   issued to a deleted key is told to the others, as every revocation is.

mod aside;
mod check;
mod declarations;
mod directory;
mod document;
mod follow;
mod https;
mod metrics;
mod reader;
#[cfg(test)]
mod tests;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::clock::Clock;
use crate::config::{DeclaredAccessKey, KeySource};
use crate::events::Keyring;
use crate::identities::Identities;
use crate::metrics::Metrics;
use crate::store::{Store, StoreError};
use aside::Asides;
pub use check::check_directories;
use declarations::Declarations;
use follow::{Follower, Standing};
use metrics::SourceMetrics;
use reader::Reader;

/// All long-term keys that are declared, in the configuration and by its sources; clones share them.
#[derive(Clone)]
pub struct KeySources(Arc<Inner>);

struct Inner {
    declarations: Declarations,
    keyring: Keyring,
    metrics: SourceMetrics,
    asides: Asides,
    standings: Mutex<Vec<Arc<Standing>>>,
    ready: AtomicBool,
}

/// What [`KeySources`] work with.
pub struct KeySourcesParts {
    /// Where keys go.
    pub store: Store,
    /// Whom keys speak for.
    pub identities: Identities,
    /// Opens sealed secrets.
    pub keyring: Keyring,
    /// When keys end.
    pub clock: Clock,
}

/// A source of keys has not been read as a whole since the process started.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("waiting for the key source {0}")]
pub struct NotRead(pub String);

impl KeySources {
    /// None yet.
    pub fn new(parts: KeySourcesParts, metrics: &Metrics) -> Self {
        let KeySourcesParts { store, identities, keyring, clock } = parts;
        Self(Arc::new(Inner {
            declarations: Declarations::new(store, identities, clock),
            keyring,
            metrics: SourceMetrics::register(metrics),
            asides: Asides::default(),
            standings: Mutex::default(),
            ready: AtomicBool::new(false),
        }))
    }

    /// Takes over what the configuration declares, and follows the sources it names from now on: those that are new
    /// begin, those that are gone end and take their keys along.
    ///
    /// # Errors
    /// A key of the configuration belongs to somebody else, or the store cannot be written. Then nothing has changed.
    pub async fn declare(
        &self,
        access_keys: &[DeclaredAccessKey],
        sources: &[KeySource],
    ) -> Result<(), StoreError> {
        let begin = |settings: &KeySource| {
            let reader = Reader::new(settings, self.0.keyring.clone(), &self.0.asides);
            let metrics = self.0.metrics.of(&settings.name);
            Follower::start(settings.clone(), reader, self.0.declarations.clone(), metrics)
        };
        let standings = self.0.declarations.declare(access_keys, sources, begin).await?;
        *self.standings() = standings;
        Ok(())
    }

    /// Has every key speak for whom the IAM directory now says.
    ///
    /// # Errors
    /// The store cannot be written.
    pub async fn rebind(&self) -> Result<(), StoreError> {
        self.0.declarations.rebind().await
    }

    /// Has every source looked at now.
    pub fn look(&self) {
        self.standings().iter().for_each(|standing| standing.look());
    }

    /// Whether every source has been read since the process started. Never goes back: a source that is lost later, or is
    /// added, is no reason to turn requests away.
    ///
    /// # Errors
    /// The first that has not.
    pub fn ready(&self) -> Result<(), NotRead> {
        if self.0.ready.load(Ordering::Acquire) {
            return Ok(());
        }
        if let Some(unread) = self.standings().iter().find(|standing| !standing.has_been_read()) {
            return Err(NotRead(unread.name().to_owned()));
        }
        self.0.ready.store(true, Ordering::Release);
        Ok(())
    }

    /// Follows nobody any more. What they said stays in force.
    pub async fn end(&self) {
        self.standings().clear();
        self.0.declarations.end().await;
    }

    fn standings(&self) -> std::sync::MutexGuard<'_, Vec<Arc<Standing>>> {
        self.0.standings.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
