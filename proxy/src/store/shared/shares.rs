//! What each source address may ask in vain: a bucket of tokens for each, in memory that is taken once.
//!
//! A question takes a token, and one that was not in vain gives it back. A bucket is found in a set of eight by the hash
//! of its source. Where a set is full, the fullest bucket gives way: whoever it belongs to begins anew with a full one.
//! Hashes are seeded, so that nobody can aim at somebody else's set.

use std::hash::{BuildHasher, RandomState};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::config::Source;

/// Buckets of a set: more make the choice of whom to forget better and each look-up slower.
const WAYS: usize = 8;
/// Sources that are told apart, at least; 24 bytes each.
const SOURCES: usize = 16_384;

/// How long it takes until a token is there again, and how many there are at most.
const TOKEN: Duration = Duration::from_millis(100);
const BURST: u32 = 20;

pub(super) struct Shares {
    seed: RandomState,
    start: Instant,
    sets: Box<[Mutex<[Bucket; WAYS]>]>,
}

/// Nobody's hash is zero. Full is a bucket at the time `full_at`, counted from the start.
#[derive(Clone, Copy, Default)]
struct Bucket {
    hash: u64,
    full_at: Duration,
}

impl Default for Shares {
    fn default() -> Self {
        Self::of(SOURCES)
    }
}

impl Shares {
    fn of(sources: usize) -> Self {
        let sets = std::iter::repeat_with(Mutex::default).take(sources.div_ceil(WAYS)).collect();
        Self { seed: RandomState::new(), start: Instant::now(), sets }
    }

    /// Whether `source` has a token left. It stays there.
    pub(super) fn has_left(&self, source: Source, now: Instant) -> bool {
        self.with(source, now, |bucket, now| (bucket.is_open(now), bucket))
    }

    /// Takes a token of `source`, if one is left.
    pub(super) fn take(&self, source: Source, now: Instant) -> bool {
        self.with(source, now, |bucket, now| match bucket.is_open(now) {
            true => (true, Bucket { full_at: bucket.full_at.max(now) + TOKEN, ..bucket }),
            false => (false, bucket),
        })
    }

    /// Gives a token back to `source`.
    pub(super) fn give_back(&self, source: Source, now: Instant) {
        let less = |bucket: Bucket| Bucket { full_at: bucket.full_at.saturating_sub(TOKEN), ..bucket };
        self.with(source, now, |bucket, _| ((), less(bucket)));
    }

    fn with<T>(
        &self,
        source: Source,
        now: Instant,
        change: impl FnOnce(Bucket, Duration) -> (T, Bucket),
    ) -> T {
        let now = now.duration_since(self.start);
        let hash = self.seed.hash_one(source).max(1);
        let at = usize::try_from(hash >> 32).unwrap_or_default() % self.sets.len();
        let mut set = self.sets[at].lock().unwrap_or_else(PoisonError::into_inner);
        let own = set.iter().position(|bucket| bucket.hash == hash);
        let (verdict, bucket) =
            change(own.map_or(Bucket { hash, full_at: Duration::ZERO }, |own| set[own]), now);
        // A full bucket needs no memory.
        if own.is_some() || bucket.full_at > now {
            let fullest = || (0..WAYS).min_by_key(|&at| set[at].full_at).unwrap_or_default();
            let place = own.unwrap_or_else(fullest);
            set[place] = bucket;
        }
        verdict
    }
}

impl Bucket {
    fn is_open(&self, now: Duration) -> bool {
        self.full_at.saturating_sub(now) + TOKEN <= TOKEN * BURST
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(last: u8) -> Source {
        Source::of([192, 0, 2, last].into())
    }

    #[test]
    fn each_source_has_its_burst_and_then_its_rate() {
        let shares = Shares::default();
        let (now, later) = (shares.start, shares.start + Duration::from_secs(1));
        for last in [1, 2] {
            assert_eq!((0..100).filter(|_| shares.take(source(last), now)).count(), 20);
            assert!(!shares.has_left(source(last), now));
        }
        assert_eq!((0..100).filter(|_| shares.take(source(1), later)).count(), 10);
        let much_later = now + Duration::from_secs(600);
        assert_eq!((0..100).filter(|_| shares.take(source(1), much_later)).count(), 20, "and no more");
    }

    #[test]
    fn what_is_given_back_can_be_taken_again_and_never_more() {
        let shares = Shares::default();
        let now = shares.start + Duration::from_secs(60);
        for _ in 0..100 {
            assert!(shares.take(source(1), now));
            shares.give_back(source(1), now);
        }
        for _ in 0..100 {
            shares.give_back(source(1), now);
        }
        assert_eq!((0..100).filter(|_| shares.take(source(1), now)).count(), 20);
    }

    #[test]
    fn many_sources_take_no_more_memory_and_the_busiest_is_remembered() {
        let shares = Shares::of(64);
        let now = shares.start;
        while shares.take(source(1), now) {}
        for n in 0..100_000_u32 {
            assert!(shares.take(Source::of((0x0a00_0000 | n).to_be_bytes().into()), now));
        }
        assert!(!shares.has_left(source(1), now));
    }
}
