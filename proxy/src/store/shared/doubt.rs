//! What follows when another gateway has read something else, or has come to something else by the same.

use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::Instant;

use super::super::Store;
use super::Shared;
use super::trail::Comparison;
use crate::feed::Checkpoint;

/// How often another gateway that says it has read another log makes this one read all of it again, at most.
const DOUBT_EVERY: Duration = Duration::from_secs(60);

/// The same of one that has come to something else by the same log. Rarer, since reading again need not help: a gateway may
/// declare a key that the log has too.
const RECOUNT_EVERY: Duration = Duration::from_secs(3_600);

/// When others were last believed.
#[derive(Default)]
pub(super) struct Doubts {
    /// That they have read another log.
    doubted: Option<Instant>,
    /// That they have other long-term keys.
    miscounted: Option<Instant>,
}

impl Store {
    /// Compares what was read here with what another gateway has read, and what that came to. If something differs all of
    /// the log is read again, by both: neither knows who is wrong.
    pub(super) async fn compare(
        &self,
        shared: &Shared,
        theirs: &Checkpoint,
        from: &str,
        doubts: &mut Doubts,
    ) {
        let over = |last: Option<Instant>, pause| last.is_none_or(|last| last.elapsed() >= pause);
        let seq = theirs.seq;
        match shared.trail.compare(theirs) {
            Some(Comparison::OtherLog) if over(doubts.doubted, DOUBT_EVERY) => {
                doubts.doubted = Some(Instant::now());
                tracing::error!(seq, from, "another gateway has read another log");
            }
            Some(Comparison::OtherState { here, there }) if over(doubts.miscounted, RECOUNT_EVERY) => {
                doubts.miscounted = Some(Instant::now());
                shared.metrics.miscounts.inc();
                tracing::error!(
                    seq,
                    from,
                    here,
                    there,
                    "another gateway has other long-term keys by the same log"
                );
            }
            Some(Comparison::Same | Comparison::OtherLog | Comparison::OtherState { .. }) | None => return,
        }
        // Whoever is wrong finds out by the other's list, so this one says its own before it reads again.
        let _ = self.say_list(shared).await;
        shared.doubted.store(true, Ordering::Release);
    }
}
