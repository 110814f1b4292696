//! Remembers which assertions were redeemed, for as long as they could be redeemed again.
//!
//! The web profile of SAML asks for it; AWS does not document it and is known to take an assertion again within
//! its five minutes. Here an assertion of a provider is good for one session, whichever role it was for.
//!
//! The memory is this process's: behind several gateways, or over a restart, an assertion can be redeemed once by
//! each, within those five minutes.
//!
//! Source: section 4.1.4.5 of <https://docs.oasis-open.org/security/saml/v2.0/saml-profiles-2.0-os.pdf>

use std::collections::{BTreeSet, HashSet};
use std::sync::{Mutex, PoisonError};

use ring::digest;

use super::Assertion;
use crate::clock::UnixMillis;

/// Most assertions that are remembered, some 20 MiB: 300 a second, all of five minutes.
const CAPACITY: usize = 100_000;

/// Why an assertion cannot be redeemed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReplayError {
    /// It was redeemed before.
    #[error("the assertion has been redeemed already")]
    Replayed,
    /// No more can be remembered at this time, and what is not remembered is not redeemed.
    #[error("too many assertions were redeemed within five minutes")]
    Full,
}

/// The assertions that were redeemed and could be redeemed again.
pub struct Replays {
    capacity: usize,
    redeemed: Mutex<Redeemed>,
}

/// SHA-256 of provider and assertion, so that an entry has the same size whatever its id.
type Key = [u8; 32];

#[derive(Default)]
struct Redeemed {
    known: HashSet<Key>,
    by_end: BTreeSet<(UnixMillis, Key)>,
}

impl Default for Replays {
    fn default() -> Self {
        Self::with_capacity(CAPACITY)
    }
}

impl Replays {
    pub(super) fn with_capacity(capacity: usize) -> Self {
        Self { capacity, redeemed: Mutex::default() }
    }

    /// Redeems an assertion of the provider with this ARN, unless it was before.
    ///
    /// Of several callers at a time with the same assertion, one succeeds. To be called last, when everything else
    /// has been granted: what is refused for another reason can be tried again.
    pub fn redeem(&self, provider: &str, assertion: &Assertion, now: UnixMillis) -> Result<(), ReplayError> {
        let key = key(provider, &assertion.id);
        // Each step leaves both sets usable, so one that panicked in another thread does not matter.
        let mut redeemed = self.redeemed.lock().unwrap_or_else(PoisonError::into_inner);
        redeemed.forget(now);
        if redeemed.known.contains(&key) {
            return Err(ReplayError::Replayed);
        }
        if redeemed.known.len() >= self.capacity {
            return Err(ReplayError::Full);
        }
        redeemed.known.insert(key);
        redeemed.by_end.insert((assertion.redeemable_until, key));
        Ok(())
    }
}

impl Redeemed {
    /// Drops what cannot be redeemed any more anyway.
    fn forget(&mut self, now: UnixMillis) {
        while let Some(&(end, key)) = self.by_end.first()
            && end <= now
        {
            self.by_end.pop_first();
            self.known.remove(&key);
        }
    }
}

fn key(provider: &str, id: &str) -> Key {
    let mut hash = digest::Context::new(&digest::SHA256);
    hash.update(provider.as_bytes());
    hash.update(&[0]);
    hash.update(id.as_bytes());
    hash.finish().as_ref().try_into().expect("SHA-256 has 32 bytes")
}
