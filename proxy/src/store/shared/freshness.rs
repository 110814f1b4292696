//! How old is what this gateway knows of the shared log, and what follows from that.
//!
//! Fresh means: a list of marks was heard, made at some time, and this gateway has applied everything the log held when
//! its server was asked thereupon. A list alone proves nothing: whoever may publish beats can say one.
//! From then on silence makes the knowledge older. Nothing is taken back because of it before `stale.hard`: whoever is
//! known goes on being served, and revocations that have come are enforced.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};

use crate::clock::UnixMillis;
use crate::config::Stale;
use crate::iam::Credential;

/// What keeps a gateway from being ready that has just started. Once ready it stays so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotReady {
    /// The log has not been read up to where it was when it was found.
    #[error("catching up with the shared log")]
    CatchingUp,
    /// Live messages of the log are sealed under a key that is not here.
    #[error("the shared log holds messages under a sealing key that is not here")]
    MissingSealingKey,
    /// No list of revocations has been heard that this gateway can match.
    #[error("waiting for the list of revocations")]
    NoList,
}

/// How stale the knowledge is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Staleness {
    /// Not worth a word.
    Fresh,
    /// `stale.warn` is over.
    Warn,
    /// `stale.alert` is over.
    Alert,
    /// `stale.hard` is over.
    Hard,
}

/// What the file says about the time before this process.
#[derive(Clone, Copy, Debug)]
pub(in crate::store) struct Past {
    /// Whether there was a time when all was known that the shared log and its gateways knew.
    pub(in crate::store) informed: bool,
    /// From when on declared keys came into the file without that: one of them may have been revoked before.
    pub(in crate::store) unsure_since: UnixMillis,
}

pub(in crate::store) struct Freshness {
    stale: Stale,
    /// Up to when everything is known, milliseconds; 0: never yet.
    fresh_at: AtomicI64,
    /// Lists heard that this gateway has to apply more of the log for: head and time. The latest only.
    ahead: Mutex<Option<(u64, UnixMillis)>>,
    /// Where the log was when it was found; `u64::MAX` before.
    target: AtomicU64,
    missing_keys: AtomicU64,
    caught_up: AtomicBool,
    ready: AtomicBool,
    past: Past,
}

impl Freshness {
    pub(super) fn new(stale: Stale, past: Past) -> Self {
        Self {
            stale,
            fresh_at: AtomicI64::new(0),
            ahead: Mutex::new(None),
            target: AtomicU64::new(u64::MAX),
            missing_keys: AtomicU64::new(0),
            caught_up: AtomicBool::new(false),
            ready: AtomicBool::new(false),
            past,
        }
    }

    /// The log has been found, and reaches up to `head`.
    pub(super) fn found(&self, head: u64) {
        // Who is caught up once does not chase a log that goes on growing; one made anew may not get as far again.
        self.target.fetch_min(head, Ordering::AcqRel);
        let mut ahead = self.ahead.lock().unwrap_or_else(PoisonError::into_inner);
        ahead.take_if(|(further, _)| *further > head);
    }

    /// A list made at `this_update`. The log reached up to `head`, as its server said later than `now`.
    pub(super) fn heard(&self, head: u64, this_update: UnixMillis, applied: u64, now: UnixMillis) {
        // A clock ahead of this one must not hide silence.
        let this_update = this_update.min(now);
        if head <= applied {
            self.fresh_at.fetch_max(this_update.0, Ordering::AcqRel);
        } else {
            let mut ahead = self.ahead.lock().unwrap_or_else(PoisonError::into_inner);
            // While an earlier one is not reached yet it is the nearer target.
            ahead.get_or_insert((head, this_update));
        }
    }

    /// Everything up to `applied` is applied.
    pub(super) fn applied(&self, applied: u64) {
        let mut ahead = self.ahead.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, this_update)) = ahead.take_if(|(head, _)| *head <= applied) {
            self.fresh_at.fetch_max(this_update.0, Ordering::AcqRel);
        }
    }

    pub(super) fn missing_keys(&self, count: u64) {
        self.missing_keys.store(count, Ordering::Release);
    }

    /// Up to when everything is known.
    pub(in crate::store) fn fresh_at(&self) -> Option<UnixMillis> {
        Some(UnixMillis(self.fresh_at.load(Ordering::Acquire))).filter(|at| at.0 > 0)
    }

    /// Whether the gateway may be asked; latches.
    pub(in crate::store) fn ready(&self, applied: u64) -> Result<(), NotReady> {
        if self.ready.load(Ordering::Acquire) {
            return Ok(());
        }
        match self.caught_up(applied) {
            Ok(()) | Err(NotReady::NoList) if self.missing_keys.load(Ordering::Acquire) > 0 => {
                Err(NotReady::MissingSealingKey)
            }
            Ok(()) => {
                self.ready.store(true, Ordering::Release);
                Ok(())
            }
            Err(why) => Err(why),
        }
    }

    /// Whether all revocations are known that were in force when the log was found; latches. What cannot be read does not
    /// matter to that: revocations stand in the clear, and the list has all of them. So nobody who may publish can keep
    /// gateways from answering by a message that none of them can read.
    pub(super) fn caught_up(&self, applied: u64) -> Result<(), NotReady> {
        if self.caught_up.load(Ordering::Acquire) {
            return Ok(());
        }
        if applied < self.target.load(Ordering::Acquire) {
            return Err(NotReady::CatchingUp);
        }
        if self.fresh_at().is_none() {
            return Err(NotReady::NoList);
        }
        self.caught_up.store(true, Ordering::Release);
        Ok(())
    }

    /// Whether this gateway had caught up before it was started.
    pub(super) fn began_informed(&self) -> bool {
        self.past.informed
    }

    /// Whether this gateway has caught up, now or before it was started.
    pub(in crate::store) fn informed(&self, applied: u64) -> bool {
        self.past.informed || self.caught_up(applied).is_ok()
    }

    /// Whether it is known if the credential was revoked before this gateway had it.
    pub(in crate::store) fn vouches_for(&self, credential: &Credential, applied: u64) -> bool {
        !credential.declared
            || credential.issued_at < self.past.unsure_since
            || self.caught_up(applied).is_ok()
    }

    /// One load and one comparison while all is well.
    pub(in crate::store) fn staleness(&self, now: UnixMillis) -> Staleness {
        let age = now.0.saturating_sub(self.fresh_at.load(Ordering::Acquire));
        let over = |limit: std::time::Duration| age >= i64::try_from(limit.as_millis()).unwrap_or(i64::MAX);
        if !over(self.stale.warn) {
            Staleness::Fresh
        } else if over(self.stale.hard) {
            Staleness::Hard
        } else if over(self.stale.alert) {
            Staleness::Alert
        } else {
            Staleness::Warn
        }
    }

    /// Whether temporary credentials are to be turned away.
    pub(in crate::store) fn closed(&self, now: UnixMillis) -> bool {
        self.stale.fail_closed && self.staleness(now) == Staleness::Hard
    }

    /// Whether a session that only its token knows is to be turned away: it is younger than what is known, and may have
    /// been revoked since.
    pub(in crate::store) fn too_new(&self, issued_at: UnixMillis, now: UnixMillis) -> bool {
        let hard = self.staleness(now) == Staleness::Hard;
        hard && !self.stale.accept_newer_sessions && issued_at.0 >= self.fresh_at.load(Ordering::Acquire)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::super::fixtures::long_term;
    use super::*;

    fn freshness(fail_closed: bool, accept_newer_sessions: bool) -> Freshness {
        let seconds = Duration::from_secs;
        let (warn, alert, hard) = (seconds(10), seconds(60), seconds(900));
        let past = Past { informed: false, unsure_since: at(0) };
        Freshness::new(Stale { warn, alert, hard, fail_closed, accept_newer_sessions }, past)
    }

    fn at(seconds: i64) -> UnixMillis {
        UnixMillis(1_000_000 + seconds * 1_000)
    }

    #[test]
    fn readiness_needs_the_log_the_keys_and_a_list_and_latches() {
        let freshness = freshness(false, false);
        assert_eq!(freshness.ready(0), Err(NotReady::CatchingUp));
        freshness.found(7);
        freshness.found(9);
        assert_eq!(freshness.ready(6), Err(NotReady::CatchingUp));
        freshness.missing_keys(1);
        assert_eq!(freshness.ready(7), Err(NotReady::MissingSealingKey));
        freshness.missing_keys(0);
        assert_eq!(freshness.ready(7), Err(NotReady::NoList));
        freshness.heard(8, at(0), 7, at(0));
        assert_eq!(freshness.ready(7), Err(NotReady::NoList), "the list is ahead of what is applied");
        let past = Past { informed: true, ..freshness.past };
        assert!(!freshness.informed(7) && Freshness::new(freshness.stale, past).informed(0));
        freshness.applied(8);
        assert_eq!(freshness.ready(8), Ok(()));
        freshness.missing_keys(1);
        assert_eq!((freshness.ready(0), freshness.staleness(at(9_999))), (Ok(()), Staleness::Hard));
        assert!(freshness.informed(0));
    }

    #[test]
    fn a_message_that_nobody_can_read_keeps_a_gateway_from_being_ready_and_not_from_answering() {
        let freshness = freshness(false, false);
        freshness.found(7);
        freshness.missing_keys(1);
        assert!(!freshness.informed(7), "no list yet");
        freshness.heard(7, at(0), 7, at(0));
        assert!(!freshness.informed(6) && freshness.informed(7) && freshness.informed(0));
        assert_eq!(freshness.ready(7), Err(NotReady::MissingSealingKey));
        freshness.missing_keys(0);
        assert_eq!(freshness.ready(7), Ok(()));
    }

    #[test]
    fn a_key_declared_while_revocations_were_not_known_waits_until_they_are() {
        let began = freshness(false, false);
        let past = Past { informed: true, ..began.past };
        let freshness = Freshness::new(began.stale, past);
        let declared = |seconds| Credential { declared: true, issued_at: at(seconds), ..long_term("AKIA1") };
        let by_event = Credential { declared: false, ..declared(9) };
        assert!(freshness.informed(0));
        assert!(freshness.vouches_for(&declared(-1), 0) && freshness.vouches_for(&by_event, 0));
        assert!(!freshness.vouches_for(&declared(0), 0));
        freshness.found(7);
        freshness.heard(7, at(5), 7, at(5));
        assert!(!freshness.vouches_for(&declared(9), 6) && freshness.vouches_for(&declared(9), 7));
    }

    #[test]
    fn a_log_that_reaches_less_far_than_before_is_caught_up_with() {
        let freshness = freshness(false, false);
        freshness.found(90);
        freshness.heard(90, at(0), 5, at(0));
        freshness.found(3);
        freshness.applied(3);
        assert_eq!(freshness.ready(3), Err(NotReady::NoList), "of what is gone nothing is known");
        freshness.heard(3, at(1), 3, at(1));
        assert_eq!((freshness.ready(3), freshness.fresh_at()), (Ok(()), Some(at(1))));
    }

    #[test]
    fn silence_ages_what_is_known_whatever_clocks_say() {
        let freshness = freshness(false, false);
        assert_eq!(freshness.staleness(at(0)), Staleness::Hard, "nothing was ever heard");
        freshness.heard(0, at(500), 0, at(0));
        assert_eq!(freshness.fresh_at(), Some(at(0)), "a clock ahead hides nothing");
        let steps = [(9, Staleness::Fresh), (10, Staleness::Warn), (60, Staleness::Alert)];
        for (seconds, expected) in steps.into_iter().chain([(900, Staleness::Hard)]) {
            assert_eq!(freshness.staleness(at(seconds)), expected, "{seconds}");
        }
    }

    #[test]
    fn past_the_hard_limit_it_is_configuration_that_decides() {
        let (open, closed, trusting) =
            (freshness(false, false), freshness(true, false), freshness(false, true));
        for freshness in [&open, &closed, &trusting] {
            freshness.heard(0, at(0), 0, at(0));
            assert!(!freshness.closed(at(899)) && !freshness.too_new(at(100), at(899)));
        }
        let now = at(900);
        assert_eq!((open.closed(now), closed.closed(now), trusting.closed(now)), (false, true, false));
        assert!(open.too_new(at(0), now) && !open.too_new(at(-1), now));
        assert!(!trusting.too_new(at(800), now));
    }
}
