//! Reading the shared log once, without taking part: for who looks at it.

use std::time::Duration;

use super::super::{Store, StoreError};
use super::Shared;
use super::reader::Interrupted;

/// How long to wait for a message that is due.
const PATIENCE: Duration = Duration::from_secs(3);

/// Heartbeats within which a list of marks is said, if there is a gateway to say it.
const BEATS: u32 = 2;

impl Store {
    /// Reads the log up to where it is now, and takes over the revocations that gateways say are in force. Nothing is said
    /// and no stream is created. Returns at once where the log is embedded.
    pub(in crate::store) async fn catch_up(&self) -> Result<(), StoreError> {
        let Some(shared) = &self.0.shared else { return Ok(()) };
        let caught_up = async {
            self.read_to_end(shared).await.map_err(|interrupted| match interrupted {
                Interrupted::Store(error) => error,
                Interrupted::Feed(error) => error.into(),
            })?;
            let mut said = shared.said.subscribe();
            let heard = said.wait_for(Option::is_some);
            // A log that no gateway uses has nobody who says anything.
            let _ = tokio::time::timeout(shared.feed.options().heartbeat * BEATS, heard).await;
            Ok(())
        };
        tokio::select! {
            done = caught_up => done,
            () = self.hear_beats(shared) => Err(StoreError::Closed),
        }
    }

    async fn read_to_end(&self, shared: &Shared) -> Result<(), Interrupted> {
        let bounds = shared.feed.bounds().await?;
        self.begin(shared, bounds).await?;
        let mut tail = shared.feed.tail(self.position() + 1).await?;
        while self.position() < bounds.last {
            let messages = tail.next(PATIENCE).await?;
            if messages.is_empty() {
                // The last ones were removed.
                break;
            }
            self.take(shared, self.read_all(messages)).await?;
        }
        Ok(())
    }
}
