//! Limits: who may take how much.

use super::super::limits::{Limits, RawLimits};
use super::Check;

/// More requests or keys at once are typing errors.
const MOST: usize = 10_000_000;
/// Below this a memory holds too little to be one.
const LEAST_REPLAY_MEMORY: u64 = 64 << 10;
const MOST_REPLAY_MEMORY: u64 = 64 << 30;

impl Check<'_> {
    pub(super) fn limits(&mut self, raw: RawLimits) -> Option<Limits> {
        let max_requests_in_flight =
            self.count("limits.max_requests_in_flight", raw.max_requests_in_flight, 1..=MOST);
        let max_sts_bodies = self.count("limits.max_sts_bodies", raw.max_sts_bodies, 1..=MOST);
        let max_list_bodies = self.count("limits.max_list_bodies", raw.max_list_bodies, 1..=MOST);
        let tracked = self.count("limits.tracked", raw.tracked, 1..=MOST);
        let replay =
            self.size("limits.replay_memory", raw.replay_memory, LEAST_REPLAY_MEMORY..=MOST_REPLAY_MEMORY);
        Some(Limits {
            max_requests_in_flight: max_requests_in_flight?,
            requests_per_address: raw.requests_per_address,
            requests_per_principal: raw.requests_per_principal,
            failures_per_address: raw.failures_per_address,
            unsigned_sts_per_address: raw.unsigned_sts_per_address,
            max_sts_bodies: max_sts_bodies?,
            max_list_bodies: max_list_bodies?,
            tracked: tracked?,
            replay_bytes: usize::try_from(replay?).ok()?,
        })
    }
}
