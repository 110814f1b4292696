//! `[limits]`: who may take how much of the gateway. As typed, and checked.

use serde::{Deserialize, Serialize};

use super::units::{Rate, Size};

/// `[limits]`, as typed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawLimits {
    /// Requests at the same time, of everybody together.
    pub(super) max_requests_in_flight: usize,
    /// Requests from one source address.
    pub(super) requests_per_address: Option<Rate>,
    /// Requests of one principal.
    pub(super) requests_per_principal: Option<Rate>,
    /// Requests from one source address whose signature or credential is wrong.
    pub(super) failures_per_address: Option<Rate>,
    /// STS operations that need no signature, from one source address.
    pub(super) unsigned_sts_per_address: Option<Rate>,
    /// STS requests whose body is being read, at the same time.
    pub(super) max_sts_bodies: usize,
    /// Lists of `DeleteObjects` that are held, at the same time.
    pub(super) max_list_bodies: usize,
    /// Addresses and principals that each rate tells apart.
    pub(super) tracked: usize,
    /// Memory of requests that may not be repeated.
    pub(super) replay_memory: Size,
}

impl Default for RawLimits {
    fn default() -> Self {
        Self {
            max_requests_in_flight: 10_000,
            requests_per_address: None,
            requests_per_principal: None,
            failures_per_address: None,
            unsigned_sts_per_address: None,
            max_sts_bodies: 256,
            max_list_bodies: 64,
            tracked: 65_536,
            replay_memory: Size(64 << 20),
        }
    }
}

/// Who may take how much of the gateway. Rates that are `None` limit nobody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Requests at the same time, of everybody together.
    pub max_requests_in_flight: usize,
    /// Requests from one source address.
    pub requests_per_address: Option<Rate>,
    /// Requests of one principal.
    pub requests_per_principal: Option<Rate>,
    /// Requests from one source address whose signature or credential is wrong.
    pub failures_per_address: Option<Rate>,
    /// STS operations that need no signature, from one source address.
    pub unsigned_sts_per_address: Option<Rate>,
    /// STS requests whose body is being read, at the same time.
    pub max_sts_bodies: usize,
    /// Lists of `DeleteObjects` that are held, at the same time.
    pub max_list_bodies: usize,
    /// Addresses and principals that each rate tells apart, at least.
    pub tracked: usize,
    /// Bytes for requests that may not be repeated.
    pub replay_bytes: usize,
}

/// The defaults of the file.
impl Default for Limits {
    fn default() -> Self {
        let raw = RawLimits::default();
        Self {
            max_requests_in_flight: raw.max_requests_in_flight,
            requests_per_address: raw.requests_per_address,
            requests_per_principal: raw.requests_per_principal,
            failures_per_address: raw.failures_per_address,
            unsigned_sts_per_address: raw.unsigned_sts_per_address,
            max_sts_bodies: raw.max_sts_bodies,
            max_list_bodies: raw.max_list_bodies,
            tracked: raw.tracked,
            replay_bytes: raw.replay_memory.0 as usize,
        }
    }
}
