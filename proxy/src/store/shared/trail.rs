//! The trail: what was read of the log lately, by which two gateways find out that they read different logs under the
//! same sequence numbers. That happens when a server comes back with an older copy of its files, or a cluster loses
//! what it acknowledged, and new events take the places of those that are gone.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use ring::digest;

use crate::feed::Checkpoint;

/// Messages that a checkpoint covers.
const WINDOW: usize = 16;

/// Messages that are remembered: how far apart gateways may be to compare.
pub(super) const LENGTH: usize = 4_096;

/// How far behind the end a checkpoint is set, so that others have got there.
const BEHIND: usize = 16;

/// Sequence number and identity of each message, as they came.
#[derive(Default)]
pub(in crate::store) struct Trail(Mutex<VecDeque<(u64, u64)>>);

impl Trail {
    pub(in crate::store) fn add(&self, seq: u64, identity: u64) {
        let mut trail = self.lock();
        if trail.len() == LENGTH {
            trail.pop_front();
        }
        trail.push_back((seq, identity));
    }

    /// Reading begins anew.
    pub(super) fn clear(&self) {
        self.lock().clear();
    }

    /// The latest place that others can be expected to have passed; `None` before enough has been read.
    pub(super) fn checkpoint(&self) -> Option<Checkpoint> {
        let trail = self.lock();
        let end = if trail.len() >= WINDOW + BEHIND { trail.len() - BEHIND } else { trail.len() };
        let seq = trail.get(end.checked_sub(1)?)?.0;
        Some(Checkpoint { seq, digest: digest_at(&trail, seq)? })
    }

    /// Whether this gateway read what the checkpoint says; `None` if it cannot tell.
    pub(in crate::store) fn agrees(&self, checkpoint: &Checkpoint) -> Option<bool> {
        let own = digest_at(&self.lock(), checkpoint.seq)?;
        Some(own == checkpoint.digest)
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<(u64, u64)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The digest of the messages up to `seq`.
fn digest_at(trail: &VecDeque<(u64, u64)>, seq: u64) -> Option<String> {
    let last = trail.binary_search_by_key(&seq, |(seq, _)| *seq).ok()?;
    let first = (last + 1).checked_sub(WINDOW)?;
    let mut context = digest::Context::new(&digest::SHA256);
    for (seq, identity) in trail.range(first..=last) {
        context.update(&seq.to_be_bytes());
        context.update(&identity.to_be_bytes());
    }
    Some(sigv4::hex::encode(&context.finish().as_ref()[..16]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trail(from: u64, to: u64, other: Option<u64>) -> Trail {
        let trail = Trail::default();
        for seq in from..=to {
            trail.add(seq, if other == Some(seq) { 0 } else { seq * 7 });
        }
        trail
    }

    #[test]
    fn who_read_the_same_agrees_from_wherever_it_began() {
        let checkpoint = trail(1, 100, None).checkpoint().unwrap();
        assert_eq!(checkpoint.seq, 84);
        assert_eq!(trail(60, 90, None).agrees(&checkpoint), Some(true));
        assert_eq!(trail(60, 80, None).agrees(&checkpoint), None, "not there yet");
        assert_eq!(trail(75, 99, None).agrees(&checkpoint), None, "began too late");
        assert!(trail(1, 15, None).checkpoint().is_none());
        assert_eq!(trail(1, 16, None).checkpoint().unwrap().seq, 16);
    }

    #[test]
    fn one_message_of_the_window_that_differs_is_enough() {
        let checkpoint = trail(1, 100, None).checkpoint().unwrap();
        for (other, expected) in [(69, false), (84, false), (68, true), (85, true)] {
            assert_eq!(trail(1, 100, Some(other)).agrees(&checkpoint), Some(expected), "{other}");
        }
    }
}
