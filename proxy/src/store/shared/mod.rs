//! The store as a view of a log that several gateways share: what is appended goes to the log first, and comes back
//! from there, in the log's order, to this gateway and to all others.
//!
//! - `publish`: putting events into the log.
//! - `plan`: whether an event can be appended, as far as this view knows, and in which form it travels.
//! - `delivery`: what becomes of what comes from the log.
//! - `follow`: the task that follows the log; it hears the beats.
//! - `reader`: reading the log; `proving`: proving what it brings.
//! - `catch_up`: reading all of it once, for who only looks.
//! - `pack`: packing the log for gateways that start; `unpack`: reading that.
//! - `freshness`: how old is what this gateway knows, and what follows from that.
//! - `lookup`: asking the log about a credential that has not arrived; `shares`: who may do so how often in vain.
//! - `tidy`: dropping what no gateway can need any more.
//! - `trail`: whether all gateways read the same log, and came to the same.
//! - `doubt`: what follows if not.
//! - `peers`: who else is there, and how much of the log they have applied.
//!
//! Issuances are put if absent, long-term keys go by their place in the log, marks merge by maximum. So what comes
//! twice, or again from further back, changes nothing.

mod catch_up;
mod delivery;
mod doubt;
mod follow;
mod freshness;
mod lookup;
mod metrics;
mod pack;
mod peers;
mod plan;
mod proving;
mod publish;
mod reader;
mod shares;
mod tidy;
mod trail;
mod unpack;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use tokio::sync::{Notify, oneshot, watch};
use tokio::time::Instant;

pub(super) use self::delivery::{Delivery, Outcome, foreign, replayed, retry};
use self::freshness::Freshness;
pub(super) use self::freshness::Past;
pub use self::freshness::{NotReady, Staleness};
pub use self::peers::{Reached, WaitFor};
pub(super) use self::reader::waits_for_key;

use self::lookup::Lookups;
use self::metrics::SharedMetrics;
use self::peers::Peers;
pub(super) use self::trail::{Comparison, Trail};
pub(super) use self::unpack::{Taken, Unpacking};
use super::revocations::Mark;
use super::{Store, StoreError};
use crate::clock::UnixMillis;
use crate::events::{Event, EventData};
use crate::feed::{Feed, Listed, PlainMark};
use crate::iam::Credential;
use crate::metrics::Metrics;

/// What a store that follows a shared log has beside its file.
pub(super) struct Shared {
    feed: Feed,
    /// Appends that wait for their event to come back, by message id.
    waiting: Mutex<HashMap<Box<str>, oneshot::Sender<Outcome>>>,
    /// Place in the log up to which everything has been applied and every append told.
    seen: watch::Sender<u64>,
    /// Last place in the log that this gateway knows of.
    head: AtomicU64,
    freshness: Freshness,
    peers: Peers,
    lookups: Lookups,
    trail: Trail,
    /// Up to where packs covered the log when this gateway last looked.
    packed: AtomicU64,
    /// The pack that ended there.
    last_pack: Mutex<Option<Listed>>,
    /// Place in the log from which on it can be told how many long-term keys are live.
    live_from: AtomicU64,
    /// Messages that could not be read, of which some may be about long-term keys.
    unread: AtomicU64,
    /// Whether another gateway has read something else: then all of the log is read again.
    doubted: AtomicBool,
    /// Whether the log is no longer the one that is being read, by its server's word: then reading begins anew.
    replaced: AtomicBool,
    /// Wakes whoever says beats, when others wait to hear how far this gateway is.
    urgent: Notify,
    /// When a list of marks was last heard as a whole.
    said: watch::Sender<Option<Instant>>,
    metrics: SharedMetrics,
}

impl Shared {
    pub(super) fn new(feed: Feed, past: Past, metrics: &Metrics) -> Self {
        let metrics = SharedMetrics::register(metrics);
        Self {
            freshness: Freshness::new(feed.options().stale, past),
            peers: Peers::default(),
            lookups: Lookups::default(),
            trail: Trail::default(),
            packed: AtomicU64::new(0),
            last_pack: Mutex::new(None),
            live_from: AtomicU64::new(0),
            unread: AtomicU64::new(0),
            doubted: AtomicBool::new(false),
            replaced: AtomicBool::new(false),
            waiting: Mutex::default(),
            seen: watch::Sender::new(0),
            head: AtomicU64::new(0),
            urgent: Notify::new(),
            said: watch::Sender::new(None),
            metrics,
            feed,
        }
    }

    fn waiting(&self) -> std::sync::MutexGuard<'_, HashMap<Box<str>, oneshot::Sender<Outcome>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn knows_of(&self, seq: u64) {
        let head = self.head.fetch_max(seq, Ordering::AcqRel).max(seq);
        self.metrics.head.set(i64::try_from(head).unwrap_or(i64::MAX));
    }

    /// How many places the log is known to have behind `seq`.
    fn due(&self, seq: u64) -> u64 {
        self.head.load(Ordering::Acquire).saturating_sub(seq)
    }

    /// What was read so far may be of as late as `seq`: what was live at places before that cannot be told.
    fn tells_live_from(&self, seq: u64) {
        self.live_from.fetch_max(seq, Ordering::AcqRel);
    }

    fn tells_live(&self, seq: u64) -> bool {
        seq >= self.live_from.load(Ordering::Acquire) && self.unread.load(Ordering::Acquire) == 0
    }

    /// The log has been found, and reaches up to `head`: no further, whatever was known of one that it replaced.
    fn reaches(&self, head: u64) {
        self.head.store(head, Ordering::Release);
        self.metrics.head.set(i64::try_from(head).unwrap_or(i64::MAX));
    }
}

impl Store {
    /// Whether what is known suffices to be asked: always, unless the log is shared and this gateway has not caught up
    /// with it since it started. Never goes back.
    pub fn ready(&self) -> Result<(), NotReady> {
        self.freshness().map_or(Ok(()), |freshness| freshness.ready(self.position()))
    }

    /// Fails when this gateway has never known as much as the shared log and its gateways: what it lacks may be the
    /// revocation of the credential that is asked about. Never goes back, over restarts too: whoever was informed once is
    /// asked without the log as well. Takes no lock.
    pub fn answers(&self) -> Result<(), StoreError> {
        match self.freshness() {
            Some(freshness) if !freshness.informed(self.position()) => Err(StoreError::Uninformed),
            Some(_) | None => Ok(()),
        }
    }

    /// Fails for a declared key that came into the file while this gateway did not know what the shared log and its
    /// gateways know, until it does: it may have been revoked before. Takes no lock.
    pub fn answers_for(&self, credential: &Credential) -> Result<(), StoreError> {
        match self.freshness() {
            Some(freshness) if !freshness.vouches_for(credential, self.position()) => {
                Err(StoreError::Uninformed)
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Fails when nothing has been heard of the shared log for so long that temporary credentials are to be turned away.
    /// Takes no lock.
    pub fn answers_for_sessions(&self, now: UnixMillis) -> Result<(), StoreError> {
        match self.freshness() {
            Some(freshness) if freshness.closed(now) => Err(StoreError::Stale),
            Some(_) | None => Ok(()),
        }
    }

    pub(super) fn freshness(&self) -> Option<&Freshness> {
        self.0.shared.as_ref().map(|shared| &shared.freshness)
    }
}

/// Keys that the configuration or one of its sources declares, but not the revocations that follow from it: those hold
/// everywhere.
fn is_local(event: &Event) -> bool {
    let key = match event.data {
        EventData::AccessKeyCreated(_)
        | EventData::AccessKeyStatus { .. }
        | EventData::AccessKeyDeleted { .. } => true,
        EventData::CredentialIssued(_) | EventData::SessionRevoked { .. } => false,
    };
    key && Event::is_declaration(&event.source)
}

pub(super) fn plain_mark(event: &Event) -> Option<PlainMark> {
    match &event.data {
        EventData::SessionRevoked { scope, cascade, issued_before, .. } => {
            let mark = Mark::of(scope, *cascade, *issued_before);
            Some(PlainMark { key: mark.key(), before: mark.before })
        }
        EventData::CredentialIssued(_)
        | EventData::AccessKeyCreated(_)
        | EventData::AccessKeyStatus { .. }
        | EventData::AccessKeyDeleted { .. } => None,
    }
}
