//! Opens the log of events and, if it is shared, sees to it that it is followed.

use tokio::task::JoinHandle;

use super::{ServerError, audit};
use crate::clock::Clock;
use crate::config::Config;
use crate::events::Keyring;
use crate::feed::{Feed, FeedError};
use crate::metrics::Metrics;
use crate::store::{Store, StoreError, StoreOptions};

/// Opens the log, or the view of the shared one, and begins to follow that.
pub(super) async fn open(
    config: &Config,
    keyring: &Keyring,
    clock: Clock,
    metrics: &Metrics,
) -> Result<(Store, JoinHandle<()>), ServerError> {
    let feed = match &config.feed {
        Some(config) => Some(Feed::connect(config).await?),
        None => None,
    };
    let options = StoreOptions {
        path: config.store.path.clone(),
        cache_bytes: config.store.cache_bytes,
        sealed_tokens: config.store.sealed_tokens,
        feed,
        audit: audit(&config.audit, metrics)?,
    };
    let store = Store::open(&options, keyring.clone(), clock, metrics)?;
    let follower = follow(&store).await?;
    Ok((store, follower))
}

/// Checks the shared log, if it answers, and begins to follow it. One that does not answer is no reason not to start:
/// what is known can be served, and `/readyz` says that it is not enough.
async fn follow(store: &Store) -> Result<JoinHandle<()>, StoreError> {
    match store.check_log().await {
        Err(StoreError::Feed(FeedError::Unreachable(reason))) => {
            tracing::warn!(reason, "the shared log does not answer yet");
        }
        checked => checked?,
    }
    Ok(tokio::spawn(store.clone().follow()))
}
