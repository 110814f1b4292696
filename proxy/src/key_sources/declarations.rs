//! All keys that are declared, wherever: the one place that decides to whom an access key id belongs.

use std::sync::Arc;

use tokio::sync::Mutex;

use super::follow::{Follower, Standing};
use crate::clock::{Clock, UnixMillis};
use crate::config::{DeclaredAccessKey, KeySource};
use crate::events::Event;
use crate::iam::AccessKeyId;
use crate::identities::Identities;
use crate::store::{Declaration, DeclaredKey, KeyConflict, Reconciled, Store, StoreError};

/// What the configuration and its sources declare, and the store that follows; clones share it.
#[derive(Clone)]
pub(super) struct Declarations(Arc<Inner>);

struct Inner {
    store: Store,
    identities: Identities,
    clock: Clock,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    config: Vec<DeclaredKey>,
    sources: Vec<Source>,
    /// Of the last time everything was settled.
    conflicts: Vec<KeyConflict>,
    /// The same.
    revoked: Vec<AccessKeyId>,
    next_end: Option<UnixMillis>,
    failed: bool,
}

/// A source in force.
#[derive(Clone)]
struct Source {
    settings: KeySource,
    /// `None`: not read yet.
    keys: Option<Vec<DeclaredKey>>,
    /// Reads it. `None`: not begun yet.
    follower: Option<Arc<Follower>>,
}

impl Declarations {
    pub(super) fn new(store: Store, identities: Identities, clock: Clock) -> Self {
        Self(Arc::new(Inner { store, identities, clock, state: Mutex::default() }))
    }

    /// Takes over what the configuration says. Sources that are as they were are left alone, new ones are begun by
    /// `begin`. Returns how those stand that are followed now.
    pub(super) async fn declare(
        &self,
        access_keys: &[DeclaredAccessKey],
        sources: &[KeySource],
        begin: impl Fn(&KeySource) -> Follower,
    ) -> Result<Vec<Arc<Standing>>, StoreError> {
        let mut state = self.0.state.lock().await;
        let known = |settings: &KeySource| {
            let known = state.sources.iter().find(|source| source.settings == *settings).cloned();
            known.unwrap_or_else(|| Source { settings: settings.clone(), keys: None, follower: None })
        };
        let next = State {
            config: access_keys.iter().map(declared).collect(),
            sources: sources.iter().map(known).collect(),
            ..State::default()
        };
        let done = self.settle(&next).await?;
        // Those that are gone end here, before others take their names.
        *state = next;
        self.settled(&mut state, done);
        let begun = |source: &mut Source| {
            let follower = source.follower.get_or_insert_with(|| Arc::new(begin(&source.settings)));
            Arc::clone(follower.standing())
        };
        Ok(state.sources.iter_mut().map(begun).collect())
    }

    /// Takes over what a source says, unless another has taken its place.
    pub(super) async fn put(
        &self,
        standing: &Arc<Standing>,
        keys: Vec<DeclaredKey>,
    ) -> Result<(), StoreError> {
        let mut state = self.0.state.lock().await;
        let followed = |source: &&mut Source| {
            source.follower.as_ref().is_some_and(|own| Arc::ptr_eq(own.standing(), standing))
        };
        let Some(source) = state.sources.iter_mut().find(followed) else { return Ok(()) };
        standing.note_keys(keys.len());
        source.keys = Some(keys);
        self.settle_again(&mut state).await
    }

    /// Follows nobody any more, and leaves the store as it is.
    pub(super) async fn end(&self) {
        self.0.state.lock().await.sources.clear();
    }

    /// Brings the store to what is declared: those whom keys speak for may have changed.
    pub(super) async fn rebind(&self) -> Result<(), StoreError> {
        let mut state = self.0.state.lock().await;
        self.settle_again(&mut state).await
    }

    /// The same, if time or others may have changed something: a key has ended, an id may have become free, or the last
    /// attempt failed.
    pub(super) async fn tend(&self) -> Result<(), StoreError> {
        let mut state = self.0.state.lock().await;
        let ended = state.next_end.is_some_and(|end| self.0.clock.now() >= end);
        if ended || state.failed || !state.conflicts.is_empty() {
            return self.settle_again(&mut state).await;
        }
        Ok(())
    }

    async fn settle_again(&self, state: &mut State) -> Result<(), StoreError> {
        let done = self.settle(state).await.inspect_err(|_| state.failed = true)?;
        self.settled(state, done);
        Ok(())
    }

    async fn settle(&self, state: &State) -> Result<Reconciled, StoreError> {
        let config = Declaration::of_config(self.bound(&state.config));
        let sources = state.sources.iter().map(|source| Declaration {
            source: format!("{}{}", Event::KEY_SOURCES, source.settings.name),
            keys: source.keys.as_ref().map(|keys| self.bound(keys)),
        });
        let all: Vec<_> = std::iter::once(config).chain(sources).collect();
        let done = self.0.store.reconcile(&all).await?;
        let Reconciled { created, changed, deleted, .. } = done;
        let declared: usize = all.iter().map(|place| place.keys.as_ref().map_or(0, Vec::len)).sum();
        tracing::info!(created, changed, deleted, declared, "declared access keys");
        Ok(done)
    }

    /// Remembers what has to be looked at again, and says what is new of it.
    fn settled(&self, state: &mut State, done: Reconciled) {
        for conflict in done.conflicts.iter().filter(|conflict| !state.conflicts.contains(conflict)) {
            let KeyConflict { source, access_key_id, reason } = conflict;
            tracing::error!(source, %access_key_id, %reason, "a key of a source is not in force");
        }
        for access_key_id in done.revoked.iter().filter(|id| !state.revoked.contains(id)) {
            tracing::warn!(%access_key_id, "a declared key is revoked, and stays so: declare one of another id");
        }
        for source in &state.sources {
            let own = |conflict: &&KeyConflict| {
                conflict.source.strip_prefix(Event::KEY_SOURCES) == Some(&*source.settings.name)
            };
            if let Some(follower) = &source.follower {
                follower.standing().note_conflicts(done.conflicts.iter().filter(own).count());
            }
        }
        let Reconciled { conflicts, revoked, next_end, .. } = done;
        (state.conflicts, state.revoked, state.next_end, state.failed) =
            (conflicts, revoked, next_end, false);
    }

    /// The keys, speaking for the users of the IAM directory that they name.
    fn bound(&self, keys: &[DeclaredKey]) -> Vec<DeclaredKey> {
        let directory = self.0.identities.current();
        let Some(directory) = &*directory else { return keys.to_vec() };
        let bind = |key: &DeclaredKey| {
            let principal = directory.bind(&key.principal).unwrap_or_else(|| {
                let (access_key_id, user) = (&key.access_key_id, &key.principal.arn);
                tracing::warn!(%access_key_id, user, "an access key speaks for nobody in the IAM directory: it may do nothing");
                key.principal.clone()
            });
            DeclaredKey { principal, ..key.clone() }
        };
        keys.iter().map(bind).collect()
    }
}

fn declared(key: &DeclaredAccessKey) -> DeclaredKey {
    let DeclaredAccessKey { access_key_id, secret, principal, status } = key.clone();
    DeclaredKey { access_key_id, secret, principal, status, not_after: None }
}
