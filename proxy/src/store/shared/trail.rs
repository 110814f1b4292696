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

/// The messages, as they came.
#[derive(Default)]
pub(in crate::store) struct Trail(Mutex<VecDeque<Step>>);

/// A message that was read.
struct Step {
    seq: u64,
    identity: u64,
    /// How many long-term keys were live after it; `None`: that cannot be told.
    live: Option<u64>,
}

/// What comparing with another gateway shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) enum Comparison {
    /// Both read the same, and if both can tell, it came to the same.
    Same,
    /// Something else was read.
    OtherLog,
    /// The same was read, and other long-term keys are live.
    OtherState {
        /// How many are live here.
        here: u64,
        /// How many are live there.
        there: u64,
    },
}

impl Trail {
    pub(in crate::store) fn add(&self, seq: u64, identity: u64, live: Option<u64>) {
        let mut trail = self.lock();
        if trail.len() == LENGTH {
            trail.pop_front();
        }
        trail.push_back(Step { seq, identity, live });
    }

    /// Reading begins anew.
    pub(super) fn clear(&self) {
        self.lock().clear();
    }

    /// The latest place that others can be expected to have passed; `None` before enough has been read.
    pub(super) fn checkpoint(&self) -> Option<Checkpoint> {
        let trail = self.lock();
        let end = if trail.len() >= WINDOW + BEHIND { trail.len() - BEHIND } else { trail.len() };
        let Step { seq, live, .. } = *trail.get(end.checked_sub(1)?)?;
        Some(Checkpoint { seq, digest: digest_at(&trail, seq)?, live })
    }

    /// What this gateway says to a checkpoint; `None` if it cannot tell.
    pub(in crate::store) fn compare(&self, checkpoint: &Checkpoint) -> Option<Comparison> {
        let trail = self.lock();
        if digest_at(&trail, checkpoint.seq)? != checkpoint.digest {
            return Some(Comparison::OtherLog);
        }
        let here = trail.get(find(&trail, checkpoint.seq)?)?.live;
        Some(match here.zip(checkpoint.live) {
            Some((here, there)) if here != there => Comparison::OtherState { here, there },
            Some(_) | None => Comparison::Same,
        })
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Step>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The digest of the messages up to `seq`.
fn digest_at(trail: &VecDeque<Step>, seq: u64) -> Option<String> {
    let last = find(trail, seq)?;
    let first = (last + 1).checked_sub(WINDOW)?;
    let mut context = digest::Context::new(&digest::SHA256);
    for Step { seq, identity, .. } in trail.range(first..=last) {
        context.update(&seq.to_be_bytes());
        context.update(&identity.to_be_bytes());
    }
    Some(sigv4::hex::encode(&context.finish().as_ref()[..16]))
}

fn find(trail: &VecDeque<Step>, seq: u64) -> Option<usize> {
    trail.binary_search_by_key(&seq, |step| step.seq).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trail(from: u64, to: u64, other: Option<u64>) -> Trail {
        let trail = Trail::default();
        for seq in from..=to {
            trail.add(seq, if other == Some(seq) { 0 } else { seq * 7 }, None);
        }
        trail
    }

    #[test]
    fn who_read_the_same_agrees_from_wherever_it_began() {
        let checkpoint = trail(1, 100, None).checkpoint().unwrap();
        assert_eq!(checkpoint.seq, 84);
        assert_eq!(trail(60, 90, None).compare(&checkpoint), Some(Comparison::Same));
        assert_eq!(trail(60, 80, None).compare(&checkpoint), None, "not there yet");
        assert_eq!(trail(75, 99, None).compare(&checkpoint), None, "began too late");
        assert!(trail(1, 15, None).checkpoint().is_none());
        assert_eq!(trail(1, 16, None).checkpoint().unwrap().seq, 16);
    }

    #[test]
    fn one_message_of_the_window_that_differs_is_enough() {
        let checkpoint = trail(1, 100, None).checkpoint().unwrap();
        let (same, differs) = (Comparison::Same, Comparison::OtherLog);
        for (other, expected) in [(69, differs), (84, differs), (68, same), (85, same)] {
            assert_eq!(trail(1, 100, Some(other)).compare(&checkpoint), Some(expected), "{other}");
        }
    }

    #[test]
    fn what_the_same_messages_come_to_is_compared_where_both_can_tell() {
        let counting = |live: fn(u64) -> Option<u64>| {
            let trail = Trail::default();
            (1..=100).for_each(|seq| trail.add(seq, seq, live(seq)));
            trail
        };
        let here = counting(Some);
        let checkpoint = here.checkpoint().unwrap();
        assert_eq!(checkpoint.live, Some(84));
        assert_eq!(here.compare(&checkpoint), Some(Comparison::Same));
        assert_eq!(counting(|_| None).compare(&checkpoint), Some(Comparison::Same));
        let older = Checkpoint { live: None, ..checkpoint.clone() };
        assert_eq!(here.compare(&older), Some(Comparison::Same));
        let other = counting(|seq| Some(seq + 1)).compare(&checkpoint);
        assert_eq!(other, Some(Comparison::OtherState { here: 85, there: 84 }));
    }
}
