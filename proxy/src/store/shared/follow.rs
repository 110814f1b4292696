//! The task that follows the log until the store is closed: it has messages read, hears beats and says some itself.

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;

use super::super::Store;
use super::super::error::StoreError;
use super::super::record::hash;
use super::super::revocations::Mark;
use super::super::writer::Command;
use super::doubt::Doubts;
use super::{Shared, Staleness};
use crate::clock::UnixMillis;
use crate::events::MAX_AHEAD_MILLIS;
use crate::feed::{Beat, FeedError, MarkList, Presence};

/// Pause between attempts to hear beats.
const PAUSE: Duration = Duration::from_secs(2);

/// Heartbeats within which whoever is there says a list, or has heard of a revocation.
const QUIET_BEATS: u32 = 2;

/// Which list is being heard, and which parts of it have been.
#[derive(Default)]
struct Hearing {
    list: Option<(String, UnixMillis)>,
    parts: BTreeSet<usize>,
    marks: Listed,
    /// When the server was last asked how far the log reaches.
    asked: Option<Instant>,
    doubts: Doubts,
}

/// The marks of a list: latest times, by hashes of keys.
#[derive(Default)]
struct Listed(HashMap<u64, UnixMillis>);

impl Listed {
    fn add(&mut self, key: &str, before: UnixMillis) {
        let listed = self.0.entry(hash(key)).or_insert(before);
        *listed = before.max(*listed);
    }

    /// Whether whoever knows the list knows all that the mark says.
    fn holds(&self, mark: &Mark) -> bool {
        self.0.get(&hash(&mark.key())).is_some_and(|listed| mark.before <= *listed)
    }
}

impl Store {
    /// Finds the log, and checks that it is what it must be and that this file is a view of it.
    ///
    /// # Errors
    /// [`FeedError::Unreachable`] may pass; the others need somebody.
    pub async fn check_log(&self) -> Result<(), StoreError> {
        let Some(shared) = &self.0.shared else { return Ok(()) };
        let bounds = shared.feed.prepare().await?;
        self.check_identity(bounds)
    }

    /// Follows the shared log until the store is closed; returns at once where the log is embedded. Everything that
    /// goes wrong on the way is tried again.
    pub async fn follow(self) {
        let Some(shared) = &self.0.shared else { return };
        tokio::select! {
            () = self.read_log(shared) => {}
            () = self.hear_beats(shared) => {}
            () = self.say_beats(shared) => {}
            () = self.keep_tidy(shared) => {}
            () = self.keep_packed(shared) => {}
        }
    }

    pub(super) async fn command<T>(
        &self,
        command: impl FnOnce(oneshot::Sender<Result<T, StoreError>>) -> Command,
    ) -> Result<T, StoreError> {
        let (reply, answer) = oneshot::channel();
        self.0.commands.send(command(reply)).await.map_err(|_| StoreError::Closed)?;
        answer.await.map_err(|_| StoreError::Closed)?
    }

    pub(super) async fn hear_beats(&self, shared: &Shared) {
        let mut hearing = Hearing::default();
        loop {
            match shared.feed.beats().await {
                Ok(mut beats) => {
                    while let Some(beat) = beats.next().await {
                        match beat {
                            Beat::List(list) => {
                                let heard = self.hear(shared, list, &mut hearing).await;
                                if heard.is_err() && self.0.commands.is_closed() {
                                    return;
                                }
                            }
                            Beat::Presence(presence) => {
                                let heartbeat = shared.feed.options().heartbeat;
                                let there = shared.peers.hear(presence, heartbeat, Instant::now());
                                shared.metrics.gateways.set(i64::try_from(there).unwrap_or(i64::MAX));
                            }
                        }
                    }
                }
                Err(error) => tracing::warn!(%error, "no beats are heard"),
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Takes over the marks of a list that are not known here, and notes what the list proves.
    async fn hear(&self, shared: &Shared, list: MarkList, hearing: &mut Hearing) -> Result<(), StoreError> {
        let now = self.state().clock.now();
        self.heal(shared, &list, now).await?;
        if let Some(checkpoint) = &list.checkpoint {
            self.compare(shared, checkpoint, &list.gateway, &mut hearing.doubts).await;
        }
        let this_update = list.this_update;
        let which = (list.gateway, this_update);
        if hearing.list.as_ref() != Some(&which) {
            hearing.list = Some(which);
            hearing.parts.clear();
            hearing.marks = Listed::default();
        }
        hearing.parts.insert(list.part);
        for (key, before) in &list.marks {
            hearing.marks.add(key, *before);
        }
        if hearing.parts.len() == list.parts {
            // One that lacks something is no reason to say nothing: whoever said it has yet to hear of that.
            if self.lists_all(shared, &hearing.marks, this_update) {
                shared.said.send_replace(Some(Instant::now()));
            }
            self.ask_head(shared, this_update, hearing).await;
        }
        Ok(())
    }

    /// Whether `listed` are all marks that have been in force here for some time before `this_update`, each of its time or
    /// of a later one. Later ones may have come to whoever said the list by the log since.
    fn lists_all(&self, shared: &Shared, listed: &Listed, this_update: UnixMillis) -> bool {
        let beats = millis(shared.feed.options().heartbeat * QUIET_BEATS);
        let (since, now) = (this_update.plus(-beats), self.state().clock.now());
        let known = self.state().revocations.all();
        let mut settled = known.iter().filter(|mark| mark.before < since && !mark.spent(now));
        settled.all(|mark| listed.holds(mark))
    }

    /// Asks the server how far the log reaches, now that a list has been heard: what beats say of it, anybody can have
    /// said. However many beats come, the server is asked twice in the time between two lists.
    async fn ask_head(&self, shared: &Shared, this_update: UnixMillis, hearing: &mut Hearing) {
        let pause = shared.feed.options().heartbeat / 2;
        if hearing.asked.is_some_and(|asked| asked.elapsed() < pause) {
            return;
        }
        hearing.asked = Some(Instant::now());
        // All of it from before the question: the reader goes on meanwhile.
        let (log, applied, now) = (self.state().log(), self.position(), self.state().clock.now());
        match shared.feed.bounds().await {
            Ok(bounds) if log != 0 && (bounds.identity != log || bounds.last < applied) => {
                shared.replaced.store(true, Ordering::Release);
            }
            Ok(bounds) => {
                shared.knows_of(bounds.last);
                shared.freshness.heard(bounds.last, this_update, self.position(), now);
            }
            Err(FeedError::Stream { .. }) => shared.replaced.store(true, Ordering::Release),
            Err(error) => tracing::debug!(%error, "the log does not say how far it reaches"),
        }
    }

    /// Takes over the marks of a list that are not known here, none of them further ahead than an event may be.
    async fn heal(&self, shared: &Shared, list: &MarkList, now: UnixMillis) -> Result<(), StoreError> {
        let state = self.state();
        let latest = now.plus(MAX_AHEAD_MILLIS);
        let (mut unknown, mut ahead) = (Vec::new(), 0);
        for (key, before) in &list.marks {
            let Some(mut mark) = Mark::parse(key, *before) else { continue };
            if mark.spent(now) || state.revocations.covers(&mark) {
                continue;
            }
            if mark.before > latest {
                ahead += 1;
                // Once: moved on with every list it would revoke for as long as lists repeat it.
                if state.revocations.knows(&mark) {
                    continue;
                }
                mark.before = latest;
            }
            unknown.push(mark);
        }
        if ahead > 0 {
            shared.metrics.marks_ahead.inc_by(ahead);
            tracing::error!(ahead, from = list.gateway, "revocations of the list are of a time to come");
        }
        if !unknown.is_empty() {
            shared.metrics.healed.inc_by(unknown.len() as u64);
            let (count, from) = (unknown.len(), &list.gateway);
            // The list may overtake the log; that the log lacks them shows when it has been read as far as by the sayer.
            if list.head > self.position() {
                tracing::debug!(count, from, "revocations came by the list first");
            } else {
                tracing::warn!(count, from, "revocations came by the list and not by the log");
            }
            // The file may be busy; a list says them again if they do not get there.
            state.revocations.raise(&unknown);
            self.command(|reply| Command::Raise(unknown, reply)).await?;
        }
        Ok(())
    }

    /// Says who is here all the time, and the list of marks when nobody else has.
    async fn say_beats(&self, shared: &Shared) {
        let options = shared.feed.options();
        // Each gateway waits a little differently, so that one of them comes first.
        let patience = options.heartbeat.mul_f64(0.9 + 0.1 * fraction(shared.feed.name()));
        let mut tick = tokio::time::interval(options.heartbeat / 4);
        // Who knows nothing yet hears the others first: they may know what the log has lost.
        let silence = if shared.freshness.began_informed() { Duration::ZERO } else { patience * QUIET_BEATS };
        let began = Instant::now();
        let mut presence_due = Instant::now();
        let (mut staleness, mut noted) = (Staleness::Fresh, false);
        loop {
            let urgent = tokio::select! {
                _ = tick.tick() => false,
                () = shared.urgent.notified() => true,
            };
            if urgent || presence_due <= Instant::now() {
                let presence = Presence::new(shared.feed.name(), self.position());
                // Not to be heard is what the others then know.
                let _ = shared.feed.say_presence(&presence).await;
                presence_due = Instant::now() + options.heartbeat;
            }
            let due = match *shared.said.borrow() {
                Some(heard) => heard.elapsed() >= patience,
                None => began.elapsed() >= silence,
            };
            if !urgent
                && due
                && let Err(error) = self.say_list(shared).await
            {
                tracing::debug!(%error, "the list of revocations is not said");
                // Without a log nobody says a list upon which it would be noticed.
                if matches!(error, FeedError::Stream { .. }) {
                    shared.replaced.store(true, Ordering::Release);
                }
            }
            staleness = self.note_age(shared, staleness);
            if !noted && shared.freshness.caught_up(self.position()).is_ok() {
                noted = self.command(Command::NoteInformed).await.is_ok();
            }
        }
    }

    pub(super) async fn say_list(&self, shared: &Shared) -> Result<(), FeedError> {
        let options = shared.feed.options();
        // Before the question: what is in force here by the log, the log holds up to `head`.
        let marks =
            self.state().revocations.all().into_iter().map(|mark| (mark.key(), mark.before)).collect();
        // The log's own word for how far it reaches: proof that it is there.
        let head = shared.feed.bounds().await?.last;
        let now = self.state().clock.now();
        let next = now.plus(millis(options.heartbeat));
        let checkpoint = shared.trail.checkpoint();
        let parts = MarkList::parts(shared.feed.name(), (now, next), (head, checkpoint), marks);
        shared.feed.say_list(&parts).await
    }

    /// Exports the age of what is known, and says when it gets too old and when it is fresh again.
    fn note_age(&self, shared: &Shared, before: Staleness) -> Staleness {
        let now = self.state().clock.now();
        let age = shared.freshness.fresh_at().map(|at| (now.0 - at.0).max(0) / 1_000);
        shared.metrics.age.set(age.unwrap_or(-1));
        let Some(seconds) = age else { return before };
        let staleness = shared.freshness.staleness(now);
        match (staleness, staleness.cmp(&before)) {
            (_, std::cmp::Ordering::Equal) => {}
            (Staleness::Fresh, _) => tracing::info!("the shared log is heard again"),
            (Staleness::Warn, _) => tracing::warn!(seconds, "nothing is heard of the shared log"),
            (Staleness::Alert | Staleness::Hard, _) => {
                tracing::error!(seconds, ?staleness, "nothing is heard of the shared log");
            }
        }
        staleness
    }
}

/// A number from 0 to 1 that a name stands for.
pub(super) fn fraction(name: &str) -> f64 {
    (hash(name) % 1_000) as f64 / 1_000.0
}

fn millis(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::RevocationScope;

    #[test]
    fn a_list_holds_a_revocation_of_its_time_or_of_an_earlier_one_but_none_of_a_later_one() {
        let mark = |at| Mark::of(&RevocationScope::Account("1".into()), false, UnixMillis(at));
        let mut listed = Listed::default();
        assert!(!listed.holds(&mark(1)), "nothing is listed");
        listed.add(&mark(2).key(), UnixMillis(2));
        listed.add(&mark(1).key(), UnixMillis(1));
        assert!(listed.holds(&mark(1)) && listed.holds(&mark(2)));
        assert!(
            !listed.holds(&mark(3)),
            "whoever knows the list only lets sessions in that this one refuses"
        );
        let other = Mark::of(&RevocationScope::Account("2".into()), false, UnixMillis(1));
        assert!(!listed.holds(&other));
    }
}
