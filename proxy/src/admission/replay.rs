//! Requests that have been used up: whoever repeats one is refused.
//!
//! ```text
//! unknown ─► in flight ─► done, until its signature expires
//!                 └─────► unknown, unless it succeeded
//! ```
//!
//! SDKs sign a retry anew, but within the same second the signature is the same. So only a request that **succeeded** is
//! used up. One that was answered with an error, or whose answer never arrived as a whole, may be sent again; while it
//! is under way nobody can tell, and a second one is asked to come later.
//!
//! What is remembered is bounded. Where there is no room nothing is forgotten: new requests are asked to come later,
//! until old ones have expired.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sigv4::{ReplayKey, Timestamp};

/// Bytes that one request takes, the slack of its map included.
const ENTRY_BYTES: usize = 128;

/// So that requests seldom wait for one another.
const SHARDS: usize = 16;

/// Requests that were seen.
#[derive(Debug)]
pub(super) struct Replays {
    shards: Box<[Mutex<Shard>]>,
    /// Most requests of a shard.
    capacity: usize,
}

#[derive(Debug, Default)]
struct Shard {
    seen: HashMap<ReplayKey, Seen>,
    /// The second in which it was last cleaned up.
    swept: i64,
}

#[derive(Clone, Copy, Debug)]
struct Seen {
    /// The last second, since 1970, in which the signature is accepted.
    until: i64,
    done: bool,
}

/// Why a request is not let through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Repeated {
    /// The same request has succeeded.
    Done,
    /// The same request is under way.
    InFlight,
    /// Nothing more can be remembered at the moment.
    Full,
}

/// A request under way. Dropped without [`succeeded`](Self::succeeded), it has not happened.
#[derive(Debug)]
#[must_use]
pub struct Claim {
    replays: Arc<Replays>,
    key: ReplayKey,
    done: bool,
}

impl Replays {
    /// Remembers as many requests as `bytes` hold.
    pub(super) fn new(bytes: usize) -> Self {
        let capacity = (bytes / ENTRY_BYTES / SHARDS).max(1);
        Self { shards: std::iter::repeat_with(Mutex::default).take(SHARDS).collect(), capacity }
    }

    /// Lets a request through whose signature is accepted up to the second `until`.
    pub(super) fn claim(
        self: &Arc<Self>,
        key: ReplayKey,
        until: Timestamp,
        now: Timestamp,
    ) -> Result<Claim, Repeated> {
        let mut shard = self.shard(&key);
        if shard.seen.len() >= self.capacity && !shard.sweep(now.unix(), self.capacity) {
            // One that is known is still told so.
            return Err(match shard.seen.get(&key) {
                Some(Seen { done: true, .. }) => Repeated::Done,
                Some(Seen { done: false, .. }) => Repeated::InFlight,
                None => Repeated::Full,
            });
        }
        match shard.seen.entry(key) {
            Entry::Occupied(seen) if seen.get().done => Err(Repeated::Done),
            Entry::Occupied(_) => Err(Repeated::InFlight),
            Entry::Vacant(free) => {
                free.insert(Seen { until: until.unix(), done: false });
                Ok(Claim { replays: Arc::clone(self), key, done: false })
            }
        }
    }

    fn shard(&self, key: &ReplayKey) -> MutexGuard<'_, Shard> {
        let at = key.spread(self.shards.len());
        self.shards[at].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shard {
    /// Forgets what has expired, once a second; whether there is room then. One under way stays: it is known by who
    /// let it through.
    fn sweep(&mut self, now: i64, capacity: usize) -> bool {
        if self.swept != now {
            self.swept = now;
            self.seen.retain(|_, seen| !seen.done || seen.until >= now);
        }
        self.seen.len() < capacity
    }
}

impl Claim {
    /// The request has done what it asked for: it is used up.
    pub fn succeeded(mut self) {
        self.done = true;
        if let Some(seen) = self.replays.shard(&self.key).seen.get_mut(&self.key) {
            seen.done = true;
        }
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if !self.done {
            self.replays.shard(&self.key).seen.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;
    use sigv4::{Dialect, Endpoint, Head, Scope, SecretAccessKey, SignedRequest, Signer, SigningKey, Target};

    use super::*;

    const NOW: Timestamp = Timestamp::from_unix(1_767_323_045);
    const UNTIL: Timestamp = Timestamp::from_unix(1_767_323_045 + 900);

    /// The name of a verified request for this path.
    fn key(path: &str) -> ReplayKey {
        let key = SigningKey::derive(
            &SecretAccessKey::new("secret"),
            &Scope { date: NOW.date(), region: "us-east-1", service: "s3" },
        );
        let signer = Signer { key: &key, access_key_id: "AKIA", session_token: None, dialect: Dialect::S3 };
        let target = Target { method: "PUT", path: path.as_bytes(), query: None };
        let mut headers = HeaderMap::from_iter([(http::header::HOST, "a".parse().unwrap())]);
        signer.sign(target, &mut headers, "UNSIGNED-PAYLOAD", NOW).unwrap();
        let head =
            Head { method: "PUT", path: path.as_bytes(), query: None, headers: &headers, authority: None };
        let endpoint = Endpoint::s3("us-east-1");
        let request = SignedRequest::parse(head, &endpoint, NOW).unwrap();
        request.verify(&key).unwrap().replay_key().unwrap()
    }

    #[test]
    fn what_succeeded_is_used_up() {
        let replays = Arc::new(Replays::new(1 << 20));
        replays.claim(key("/a"), UNTIL, NOW).unwrap().succeeded();
        assert_eq!(replays.claim(key("/a"), UNTIL, NOW).unwrap_err(), Repeated::Done);
        replays.claim(key("/b"), UNTIL, NOW).unwrap().succeeded();
    }

    #[test]
    fn what_failed_may_be_tried_again() {
        let replays = Arc::new(Replays::new(1 << 20));
        let first = replays.claim(key("/a"), UNTIL, NOW).unwrap();
        assert_eq!(replays.claim(key("/a"), UNTIL, NOW).unwrap_err(), Repeated::InFlight);
        drop(first);
        replays.claim(key("/a"), UNTIL, NOW).unwrap().succeeded();
    }

    #[test]
    fn a_full_memory_forgets_nothing_that_could_be_repeated() {
        let replays = Arc::new(Replays::new(1));
        let names: Vec<ReplayKey> = (0..200).map(|n| key(&format!("/{n}"))).collect();
        let (mut used, mut full) = (Vec::new(), 0);
        for name in &names {
            match replays.claim(*name, UNTIL, NOW) {
                Ok(claim) => {
                    claim.succeeded();
                    used.push(*name);
                }
                Err(why) => {
                    assert_eq!(why, Repeated::Full);
                    full += 1;
                }
            }
        }
        assert_eq!((used.len(), full), (SHARDS, names.len() - SHARDS));
        for name in &used {
            assert_eq!(replays.claim(*name, UNTIL, UNTIL).unwrap_err(), Repeated::Done);
        }
        let later = Timestamp::from_unix(UNTIL.unix() + 1);
        replays.claim(names[199], later, later).unwrap().succeeded();
    }
}
