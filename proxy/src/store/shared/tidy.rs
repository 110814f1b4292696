//! Dropping from the compacted stream what no gateway can need any more, so that it does not grow for ever.
//!
//! That is revocations that can reach nothing: 37 hours after their time, or 64 if they cascade, every session has
//! expired that they could reach. Those that the log itself still holds stay, since its server might copy them again.
//! Those of a long-term key's id stay, whether or not the log knows the key: it may be declared. What is said of long-term
//! keys stays, that they were deleted included: a gateway may come back from any absence and still have them.

use std::time::Duration;

use super::super::revocations::{Mark, MarkKind};
use super::super::{Store, StoreError};
use super::Shared;
use super::follow::fraction;
use crate::clock::UnixMillis;
use crate::feed::{FeedError, PlainMark};

/// How often each gateway looks. All of them do, at different times, so that none has to be there.
const EVERY: Duration = Duration::from_secs(3_600);

impl Store {
    /// Drops spent revocations from the compacted stream of the shared log, as the store does itself every hour; how
    /// many. None where the log is embedded.
    ///
    /// # Errors
    /// The log does not answer. What was dropped until then is gone.
    pub async fn tidy_log(&self) -> Result<usize, StoreError> {
        let Some(shared) = &self.0.shared else { return Ok(0) };
        let now = self.state().clock.now();
        let mut dropped = 0;
        for retained in shared.feed.retained_marks().await? {
            if self.is_over(shared, &retained.mark, now).await? {
                shared.feed.drop_retained(&retained).await?;
                dropped += 1;
            }
        }
        Ok(dropped)
    }

    pub(super) async fn keep_tidy(&self, shared: &Shared) {
        let mut wait = EVERY.mul_f64(fraction(shared.feed.name()));
        loop {
            tokio::time::sleep(wait).await;
            wait = EVERY;
            // Compaction drops from it too.
            self.count_quarantine(shared);
            match self.tidy_log().await {
                Ok(0) => {}
                Ok(dropped) => tracing::info!(dropped, "spent revocations are gone from the compacted state"),
                Err(error) => tracing::warn!(%error, "the compacted state is not tidied"),
            }
        }
    }

    /// Whether a revocation can reach nothing, in the view of this gateway and by what new ones would read.
    async fn is_over(&self, shared: &Shared, plain: &PlainMark, now: UnixMillis) -> Result<bool, FeedError> {
        let Some(mark) = Mark::parse(&plain.key, plain.before) else { return Ok(false) };
        if !mark.spent(now) || self.state().revocations.knows(&mark) {
            return Ok(false);
        }
        match mark.kind {
            MarkKind::AccessKey | MarkKind::SessionId | MarkKind::IssuedTo => {
                Ok(!shared.feed.retains_key(&mark.name).await?)
            }
            MarkKind::Principal
            | MarkKind::Role
            | MarkKind::Account
            | MarkKind::SessionName
            | MarkKind::IdentityProvider
            | MarkKind::SourceIdentity => Ok(true),
        }
    }
}
