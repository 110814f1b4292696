//! Rates: one token bucket for each key, in memory that is taken once and does not grow.
//!
//! The arithmetic is `governor`'s (GCRA); the place where it keeps its state is here. A bucket is found in a set of
//! eight by the hash of its key. Where a set is full, the bucket that has the most tokens gives way: whoever it belongs
//! to begins anew with a full one. So many keys at once make the limit generous, and never larger than memory; hashes
//! are seeded, so nobody can aim at somebody else's set.

use std::fmt;
use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use governor::clock::{Clock, MonotonicClock};
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::StateStore;
use governor::{Quota, RateLimiter};

use crate::config::Rate;

/// Buckets of a set: more make the choice of whom to forget better and each look-up slower.
const WAYS: usize = 8;

/// How a bucket is addressed: by the hash of its key, for a token or for a look.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Address {
    hash: u64,
    take: bool,
}

/// The state of a bucket, and whose it is. Nobody's hash is zero.
#[derive(Clone, Copy, Default)]
struct Bucket {
    hash: u64,
    /// When the bucket will be full again, in `governor`'s time.
    full_at: u64,
}

/// All buckets of one limit.
struct Table(Box<[Mutex<[Bucket; WAYS]>]>);

impl Table {
    /// Room for `keys` and some more.
    fn new(keys: usize) -> Self {
        let sets = keys.div_ceil(WAYS).max(1);
        Self(std::iter::repeat_with(Mutex::default).take(sets).collect())
    }
}

impl StateStore for Table {
    type Key = Address;

    fn measure_and_replace<T, F, E>(&self, address: &Address, measure: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let at = usize::try_from(address.hash >> 32).unwrap_or_default() % self.0.len();
        let mut set = self.0[at].lock().unwrap_or_else(PoisonError::into_inner);
        let own = set.iter().position(|bucket| bucket.hash == address.hash);
        let (verdict, full_at) = measure(own.map(|own| Nanos::from(set[own].full_at)))?;
        if address.take {
            let fullest = || (0..WAYS).min_by_key(|&at| set[at].full_at).unwrap_or_default();
            let place = own.unwrap_or_else(fullest);
            set[place] = Bucket { hash: address.hash, full_at: full_at.into() };
        }
        Ok(verdict)
    }
}

/// A rate that each key has to itself.
pub(super) struct Limiter<C: Clock = MonotonicClock> {
    rate: Rate,
    seed: RandomState,
    inner: RateLimiter<Address, Table, C, NoOpMiddleware<C::Instant>>,
}

/// How long until there is a token again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wait(pub(super) Duration);

impl Limiter {
    /// Full buckets; `keys` of them are kept at least.
    pub(super) fn new(rate: Rate, keys: usize) -> Self {
        Self::by(rate, keys, MonotonicClock)
    }
}

impl<C: Clock> Limiter<C> {
    fn by(rate: Rate, keys: usize, clock: C) -> Self {
        // A period that rounds to nothing would be no limit: governor counts in nanoseconds.
        let quota = Quota::with_period((rate.per / rate.count.get()).max(Duration::from_nanos(1)))
            .expect("the period is not zero")
            .allow_burst(rate.burst);
        Self { rate, seed: RandomState::new(), inner: RateLimiter::new(quota, Table::new(keys), clock) }
    }

    /// What it enforces.
    pub(super) fn rate(&self) -> Rate {
        self.rate
    }

    /// Takes a token from the bucket of `key`.
    pub(super) fn take(&self, key: impl Hash) -> Result<(), Wait> {
        self.check(key, true)
    }

    /// Whether there is a token in the bucket of `key`. It stays there.
    pub(super) fn look(&self, key: impl Hash) -> Result<(), Wait> {
        self.check(key, false)
    }

    fn check(&self, key: impl Hash, take: bool) -> Result<(), Wait> {
        let address = Address { hash: self.seed.hash_one(key).max(1), take };
        self.inner
            .check_key(&address)
            .map_err(|refused| Wait(refused.wait_time_from(self.inner.clock().now())))
    }
}

impl<C: Clock> fmt::Debug for Limiter<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Limiter({})", self.rate)
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use governor::clock::FakeRelativeClock;

    use super::*;

    fn limiter(count: u32, burst: u32, keys: usize) -> (Limiter<FakeRelativeClock>, FakeRelativeClock) {
        let clock = FakeRelativeClock::default();
        let number = |n| NonZeroU32::new(n).unwrap();
        let rate = Rate { count: number(count), per: Duration::from_secs(1), burst: number(burst) };
        (Limiter::by(rate, keys, clock.clone()), clock)
    }

    #[test]
    fn each_key_has_its_burst_and_then_its_rate() {
        let (limiter, clock) = limiter(10, 3, 1000);
        for key in ["a", "b"] {
            for _ in 0..3 {
                limiter.take(key).unwrap();
            }
            let Wait(wait) = limiter.take(key).unwrap_err();
            assert!(wait > Duration::ZERO && wait <= Duration::from_millis(100), "{wait:?}");
        }
        clock.advance(Duration::from_millis(100));
        limiter.take("a").unwrap();
        limiter.take("a").unwrap_err();
        clock.advance(Duration::from_secs(60));
        assert_eq!(
            (0..10).filter(|_| limiter.take("a").is_ok()).count(),
            3,
            "no more than the burst is saved up"
        );
    }

    #[test]
    fn a_look_takes_nothing() {
        let (limiter, _) = limiter(1, 1, 1000);
        for _ in 0..5 {
            limiter.look("a").unwrap();
        }
        limiter.take("a").unwrap();
        limiter.look("a").unwrap_err();
        limiter.look("b").unwrap();
    }

    #[test]
    fn many_keys_take_no_more_memory_and_forget_the_fullest() {
        let (limiter, _) = limiter(1, 1000, 64);
        for _ in 0..1000 {
            limiter.take("busy").unwrap();
        }
        limiter.take("busy").unwrap_err();
        for stranger in 0..100_000 {
            limiter.take(stranger).unwrap();
        }
        limiter.take("busy").unwrap_err();
    }
}
