//! Who may take how much: before anything is verified, and again once it is known who asks.
//!
//! | limit | when | refused as |
//! |---|---|---|
//! | requests in flight | at the head | 503 `SlowDown` |
//! | requests from an address | at the head | 503 `SlowDown` |
//! | failures from an address | before the credential is looked up | 503 `SlowDown` |
//! | requests of a principal | when the signature holds | 503 `SlowDown` |
//! | unsigned operations of STS, from an address | when the operation is known | 400 `Throttling` |
//! | STS bodies | before one is read | 400 `Throttling` |
//! | lists of `DeleteObjects` | before one is read | 503 `SlowDown` |
//! | repeated requests | when the request is permitted | 403 `AccessDenied`, or 503 `SlowDown` while the first is under way |
//!
//! An address is an IPv4 address or the /64 of an IPv6 one, which is what one subscriber has.
//!
//! # Failures
//!
//! A request fails that names no active credential, a wrong session token or a wrong signature. Each takes a token from
//! the bucket of its address. From an address without tokens nothing is looked up and no signature is computed, with
//! one exception: an access key id that has proved itself from this address lately. So those who guess are slowed
//! down, and those who work beside them behind the same NAT go on working.
//!
//! # Reload
//!
//! A rate that stays the same keeps its buckets over a reload; one that changes begins with full ones. What counts and
//! what remembers stays. Every state is bounded: the modules `bucket` and `replay` say how.

mod authenticate;
mod bucket;
mod replay;

use std::hash::RandomState;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use prometheus::IntCounter;
use sigv4::{ReplayKey, Timestamp};

use crate::config::{self, Rate, Source};
use crate::fault::Fault;
use crate::iam::Credential;
use crate::metrics::Metrics;
use crate::s3;
use bucket::{Limiter, Wait};
use replay::{Repeated, Replays};

pub use authenticate::{Attempt, NotAdmitted, Proved};
pub use replay::Claim;

/// How long an access key id that has proved itself from an address is known there.
const KNOWN_FOR: Duration = Duration::from_secs(600);

/// How long a request is good for after its date, in seconds: what clocks may differ by.
const SKEW: i64 = 900;

/// What was too much. Label values of `sigward_limited_total`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// Requests at the same time.
    RequestsInFlight,
    /// Requests from one address.
    Address,
    /// Requests of one principal.
    Principal,
    /// Failures from one address.
    Failures,
    /// Unsigned operations of STS from one address.
    UnsignedSts,
    /// STS bodies being read.
    StsBodies,
    /// Lists of `DeleteObjects` being read.
    ListBodies,
    /// Bytes of a body.
    BodySize,
    /// A request was repeated.
    Replay,
    /// No room to remember another request.
    ReplayMemory,
}

impl Limit {
    const ALL: [Self; 10] = [
        Self::RequestsInFlight,
        Self::Address,
        Self::Principal,
        Self::Failures,
        Self::UnsignedSts,
        Self::StsBodies,
        Self::ListBodies,
        Self::BodySize,
        Self::Replay,
        Self::ReplayMemory,
    ];

    /// Label value.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::RequestsInFlight => "requests_in_flight",
            Self::Address => "address",
            Self::Principal => "principal",
            Self::Failures => "failures",
            Self::UnsignedSts => "unsigned_sts",
            Self::StsBodies => "sts_bodies",
            Self::ListBodies => "list_bodies",
            Self::BodySize => "body_size",
            Self::Replay => "replay",
            Self::ReplayMemory => "replay_memory",
        }
    }
}

/// A request that is refused for what it would take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too much: {}", limit.as_str())]
pub struct Refused {
    /// Of what.
    pub limit: Limit,
    /// When to come again, in whole seconds, at least one. `None`: never.
    pub retry_after: Option<u64>,
}

impl Refused {
    fn now(limit: Limit, Wait(wait): Wait) -> Self {
        Self { limit, retry_after: Some(wait.as_secs() + 1) }
    }

    /// What S3 answers. A request that is used up gets what no SDK tries again: `RequestTimeTooSkewed` and
    /// `RequestExpired` would have it correct its clock and repeat.
    pub fn fault(&self) -> Fault {
        match (self.limit, self.retry_after) {
            (Limit::Replay, None) => {
                let message = "The signature of this request has already been used.";
                Fault { message: message.into(), ..s3::access_denied() }
            }
            _ => s3::slow_down(),
        }
    }

    /// What STS answers.
    ///
    /// Source: <https://docs.aws.amazon.com/STS/latest/APIReference/CommonErrors.html>
    pub fn sts_fault(&self) -> Fault {
        Fault::new(http::StatusCode::BAD_REQUEST, "Throttling", "Rate exceeded")
    }
}

/// A place that a request takes until it is dropped.
#[derive(Debug)]
#[must_use]
pub struct Ticket(Arc<AtomicUsize>);

impl Ticket {
    fn take(places: &Arc<AtomicUsize>, most: usize) -> Option<Self> {
        let ticket = (places.fetch_add(1, Ordering::Relaxed), Self(Arc::clone(places)));
        (ticket.0 < most).then_some(ticket.1)
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What is in force.
struct InForce {
    settings: config::Limits,
    address: Option<Arc<Limiter>>,
    principal: Option<Arc<Limiter>>,
    failures: Option<Arc<Limiter>>,
    unsigned_sts: Option<Arc<Limiter>>,
}

impl InForce {
    fn new(settings: config::Limits, previous: Option<&Self>) -> Self {
        let keys = settings.tracked;
        let same = previous.filter(|previous| previous.settings.tracked == keys);
        let limiter = |rate: Option<Rate>, of: fn(&Self) -> &Option<Arc<Limiter>>| {
            let rate = rate?;
            let kept = same.and_then(|previous| of(previous).clone());
            let kept = kept.filter(|limiter| limiter.rate() == rate);
            Some(kept.unwrap_or_else(|| Arc::new(Limiter::new(rate, keys))))
        };
        Self {
            address: limiter(settings.requests_per_address, |limits| &limits.address),
            principal: limiter(settings.requests_per_principal, |limits| &limits.principal),
            failures: limiter(settings.failures_per_address, |limits| &limits.failures),
            unsigned_sts: limiter(settings.unsigned_sts_per_address, |limits| &limits.unsigned_sts),
            settings,
        }
    }
}

/// All limits of the process.
pub struct Admission {
    in_force: ArcSwap<InForce>,
    in_flight: Arc<AtomicUsize>,
    sts_bodies: Arc<AtomicUsize>,
    list_bodies: Arc<AtomicUsize>,
    replays: Arc<Replays>,
    /// Hashes of addresses and access key ids that have proved themselves there.
    known: moka::sync::Cache<u64, ()>,
    seed: RandomState,
    limited: [IntCounter; Limit::ALL.len()],
}

impl Admission {
    /// Nobody has taken anything yet.
    pub fn new(settings: config::Limits, metrics: &Metrics) -> Self {
        let limited = metrics.counters(
            "limited_total",
            "Requests that were refused for what they would have taken, by limit.",
            &["limit"],
        );
        Self {
            in_flight: Arc::default(),
            sts_bodies: Arc::default(),
            list_bodies: Arc::default(),
            replays: Arc::new(Replays::new(settings.replay_bytes)),
            known: moka::sync::Cache::builder()
                .max_capacity(settings.tracked as u64)
                .time_to_live(KNOWN_FOR)
                .build(),
            seed: RandomState::new(),
            limited: Limit::ALL.map(|limit| limited.with_label_values(&[limit.as_str()])),
            in_force: ArcSwap::from_pointee(InForce::new(settings, None)),
        }
    }

    /// Puts other limits in force. What is remembered stays; the memory of requests keeps its size.
    pub fn reload(&self, settings: config::Limits) {
        let next = InForce::new(settings, Some(&self.in_force.load()));
        self.in_force.store(Arc::new(next));
    }

    /// Counts what somebody else refused.
    pub fn count(&self, limit: Limit) {
        self.limited[limit as usize].inc();
    }

    /// Lets a request in that has come from `address`, until the ticket is dropped.
    pub fn enter(&self, address: IpAddr) -> Result<Ticket, Refused> {
        let in_force = self.in_force.load();
        let most = in_force.settings.max_requests_in_flight;
        let Some(ticket) = Ticket::take(&self.in_flight, most) else {
            return Err(self.refused(Limit::RequestsInFlight, Wait(Duration::ZERO)));
        };
        self.take(in_force.address.as_deref(), Limit::Address, Source::of(address))?;
        Ok(ticket)
    }

    /// Lets one more request of a principal through: of a user with its sessions, or of a role with all of its own.
    /// Nobody gets more by asking for more sessions.
    pub fn principal(&self, credential: &Credential) -> Result<(), Refused> {
        let in_force = self.in_force.load();
        let session = credential.session.as_ref();
        let role = session.and_then(|session| session.role_arn.as_deref());
        let parent =
            session.and_then(|session| session.lineage.first()).map(|parent| parent.principal.arn.as_str());
        let arn = role.or(parent).unwrap_or(&credential.principal.arn);
        self.take(in_force.principal.as_deref(), Limit::Principal, arn)
    }

    /// Lets one more STS operation through that nobody signed.
    pub fn unsigned_sts(&self, address: IpAddr) -> Result<(), Refused> {
        let in_force = self.in_force.load();
        self.take(in_force.unsigned_sts.as_deref(), Limit::UnsignedSts, Source::of(address))
    }

    /// A place to read the body of an STS request in.
    pub fn sts_body(&self) -> Result<Ticket, Refused> {
        let most = self.in_force.load().settings.max_sts_bodies;
        Ticket::take(&self.sts_bodies, most)
            .ok_or_else(|| self.refused(Limit::StsBodies, Wait(Duration::ZERO)))
    }

    /// A place to hold a list of `DeleteObjects` in.
    pub fn list_body(&self) -> Result<Ticket, Refused> {
        let most = self.in_force.load().settings.max_list_bodies;
        Ticket::take(&self.list_bodies, most)
            .ok_or_else(|| self.refused(Limit::ListBodies, Wait(Duration::ZERO)))
    }

    /// Lets a verified request through that may not be repeated, until the claim is dropped. It was signed at `date`.
    pub fn claim(&self, key: ReplayKey, date: Timestamp, now: Timestamp) -> Result<Claim, Refused> {
        let until = Timestamp::from_unix(date.unix() + SKEW);
        self.replays.claim(key, until, now).map_err(|why| match why {
            Repeated::Done => {
                self.count(Limit::Replay);
                Refused { limit: Limit::Replay, retry_after: None }
            }
            Repeated::InFlight => self.refused(Limit::Replay, Wait(Duration::ZERO)),
            Repeated::Full => self.refused(Limit::ReplayMemory, Wait(Duration::ZERO)),
        })
    }

    fn take(
        &self,
        limiter: Option<&Limiter>,
        limit: Limit,
        key: impl std::hash::Hash,
    ) -> Result<(), Refused> {
        match limiter {
            None => Ok(()),
            Some(limiter) => limiter.take(key).map_err(|wait| self.refused(limit, wait)),
        }
    }

    fn refused(&self, limit: Limit, wait: Wait) -> Refused {
        self.count(limit);
        Refused::now(limit, wait)
    }
}

#[cfg(test)]
mod tests;
