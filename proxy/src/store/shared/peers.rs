//! Who else follows the log, and how far they are: what makes "revoked everywhere" something that can be said.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::super::Store;
use crate::feed::Presence;

/// Heartbeats after which a gateway that says nothing no longer counts as there.
const SILENT_BEATS: u32 = 4;

/// Whom to wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitFor {
    /// Every gateway that was heard lately.
    All,
    /// So many gateways, this one included.
    Count(usize),
}

/// Who has applied the log up to some place, and who has not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reached {
    /// Names of the gateways that have.
    pub applied: Vec<String>,
    /// Names of the gateways that are there and have not.
    pub lagging: Vec<String>,
}

#[derive(Default)]
pub(super) struct Peers {
    heard: Mutex<BTreeMap<String, Peer>>,
    changed: Notify,
}

#[derive(Clone, Copy)]
struct Peer {
    applied: u64,
    at: Instant,
}

impl Peers {
    /// Returns how many gateways were heard lately.
    pub(super) fn hear(&self, presence: Presence, heartbeat: Duration, now: Instant) -> usize {
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        heard.retain(|_, peer| now.duration_since(peer.at) < heartbeat * SILENT_BEATS);
        let applied = heard.get(&presence.gateway).map_or(0, |known| known.applied).max(presence.applied);
        heard.insert(presence.gateway, Peer { applied, at: now });
        self.changed.notify_waiters();
        heard.len()
    }

    fn reached(&self, seq: u64, heartbeat: Duration, now: Instant) -> Reached {
        let heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        let mut reached = Reached::default();
        for (name, peer) in &*heard {
            if peer.applied >= seq {
                reached.applied.push(name.clone());
            } else if now.duration_since(peer.at) < heartbeat * SILENT_BEATS {
                reached.lagging.push(name.clone());
            }
        }
        reached
    }
}

impl Store {
    /// Waits until those asked for have applied the log up to `seq`, at most `patience`. What an embedded log holds
    /// everybody who has it has applied.
    pub async fn wait_applied(&self, seq: u64, whom: WaitFor, patience: Duration) -> Option<Reached> {
        let shared = self.0.shared.as_ref()?;
        let heartbeat = shared.feed.options().heartbeat;
        let waiting = async {
            loop {
                let changed = shared.peers.changed.notified();
                let reached = shared.peers.reached(seq, heartbeat, Instant::now());
                let enough = match whom {
                    WaitFor::All => reached.lagging.is_empty() && !reached.applied.is_empty(),
                    WaitFor::Count(count) => reached.applied.len() >= count,
                };
                if enough {
                    return reached;
                }
                changed.await;
            }
        };
        let reached = tokio::time::timeout(patience, waiting).await;
        Some(reached.unwrap_or_else(|_| shared.peers.reached(seq, heartbeat, Instant::now())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_falls_silent_is_not_waited_for() {
        let (peers, heartbeat, now) = (Peers::default(), Duration::from_secs(1), Instant::now());
        assert_eq!(peers.hear(Presence::new("a", 7), heartbeat, now), 1);
        assert_eq!(peers.hear(Presence::new("b", 5), heartbeat, now), 2);
        let reached = peers.reached(6, heartbeat, now);
        assert_eq!((reached.applied, reached.lagging), (vec!["a".to_owned()], vec!["b".to_owned()]));
        let later = now + Duration::from_secs(5);
        assert_eq!(peers.reached(6, heartbeat, later).lagging, Vec::<String>::new());
        assert_eq!(peers.hear(Presence::new("b", 6), heartbeat, later), 1);
    }
}
