//! Reading the log: messages are read and proved as they come, and revocations among them are in force from then on;
//! behind that they are applied to the file, as many at a time as have come meanwhile.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio::time::Instant;

use super::super::error::StoreError;
use super::super::writer::Command;
use super::super::{Store, view};
use super::delivery::ReadMessage;
use super::proving::{Proving, prove};
use super::trail::LENGTH;
use super::{Delivery, Outcome, Shared};
use crate::events::{Receipt, RowError};
use crate::feed::{Bounds, Delivered, FeedError, Tail};

/// How long the reader waits for a message before it looks around.
const PATIENCE: Duration = Duration::from_secs(1);

/// How long the log may reach further than what has come while nothing comes: then reading begins anew.
const STALLED_AFTER: Duration = Duration::from_secs(3);

/// Pauses between attempts to read.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// Messages that may be read ahead of what is applied, and that one transaction takes at most. Many, since what is in
/// disorder among the keys of a transaction costs each page of the file one write, and not one for each key.
const READ_AHEAD: usize = 49_152;

/// While so many messages are yet to come, a transaction waits until it can take as many as it may.
pub(super) const FAR_BEHIND: u64 = 16_384;

/// How many places of the log a gateway that catches up reads again at most, and another transaction's worth, after it died.
const READ_AGAIN: u64 = 4 * READ_AHEAD as u64;

/// Why the reader begins anew, or ends.
pub(super) enum Interrupted {
    /// The store is closed or cannot be written.
    Store(StoreError),
    /// The log.
    Feed(FeedError),
}

impl From<StoreError> for Interrupted {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<FeedError> for Interrupted {
    fn from(error: FeedError) -> Self {
        Self::Feed(error)
    }
}

/// The reader ends when the other side does, which says why.
pub(super) fn ended() -> Interrupted {
    Interrupted::Store(StoreError::Closed)
}

impl Store {
    pub(super) async fn read_log(&self, shared: &Shared) {
        let mut pause = FIRST_PAUSE;
        loop {
            let began = Instant::now();
            let error = match self.read_once(shared).await {
                Interrupted::Store(StoreError::Closed) if self.0.commands.is_closed() => return,
                Interrupted::Store(error) => error.to_string(),
                Interrupted::Feed(error) => error.to_string(),
            };
            shared.metrics.losses.inc();
            if began.elapsed() > LONGEST_PAUSE {
                pause = FIRST_PAUSE;
            }
            tracing::warn!(error, ?pause, "the shared log is not followed; trying again");
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Reads until something is in the way.
    async fn read_once(&self, shared: &Shared) -> Interrupted {
        let bounds = match shared.feed.prepare().await {
            Ok(bounds) => bounds,
            Err(error) => return error.into(),
        };
        if let Err(error) = self.begin(shared, bounds).await {
            return error;
        }
        let tail = match shared.feed.tail(self.position() + 1).await {
            Ok(tail) => tail,
            Err(error) => return error.into(),
        };
        let (ahead, behind) = mpsc::channel(READ_AHEAD);
        // What has been read is applied before reading begins anew: appends wait for it.
        let (read, applied) =
            tokio::join!(self.read_ahead(shared, tail, ahead), self.apply_behind(shared, behind));
        let Err(reading) = read;
        applied.err().unwrap_or(reading)
    }

    /// Reads messages as they come.
    async fn read_ahead(
        &self,
        shared: &Shared,
        mut tail: Tail,
        ahead: Sender<ReadMessage>,
    ) -> Result<Infallible, Interrupted> {
        let mut quiet = Instant::now();
        let mut proving = Proving::new(&self.0.keyring);
        loop {
            let messages = tokio::select! {
                proved = proving.next(), if !proving.is_empty() => {
                    let Some(Ok(messages)) = proved else { return Err(ended()) };
                    self.enforce(&messages);
                    for message in messages {
                        ahead.send(message).await.map_err(|_| ended())?;
                    }
                    continue;
                }
                messages = tail.next(PATIENCE), if !proving.is_full() => messages?,
                () = ahead.closed() => return Err(ended()),
            };
            if shared.doubted.load(Ordering::Acquire) {
                return Err(
                    FeedError::Unreachable("another gateway has read something else".to_owned()).into()
                );
            }
            if shared.replaced.load(Ordering::Acquire) {
                return Err(FeedError::Unreachable("it is another log than before".to_owned()).into());
            }
            if !messages.is_empty() {
                proving.add(messages, self.state().clock.now());
                quiet = Instant::now();
            } else if shared.head.load(Ordering::Acquire) <= tail.read() {
                quiet = Instant::now();
            } else if quiet.elapsed() > STALLED_AFTER {
                return Err(FeedError::Unreachable("messages are due and do not come".to_owned()).into());
            }
        }
    }

    pub(super) fn read_all(&self, messages: Vec<Delivered>) -> Vec<ReadMessage> {
        prove(messages, &self.0.keyring, self.state().clock.now())
    }

    /// Raises the marks among messages that are on their way into the file.
    pub(super) fn enforce(&self, messages: &[ReadMessage]) {
        let state = self.state();
        let now = state.clock.now();
        let marks = messages.iter().filter(|read| read.message.revocation).filter_map(|read| read.mark(now));
        let unknown: Vec<_> = marks.filter(|mark| !state.revocations.covers(mark)).collect();
        state.revocations.raise(&unknown);
    }

    /// Applies what has been read, until no more is.
    async fn apply_behind(
        &self,
        shared: &Shared,
        mut behind: Receiver<ReadMessage>,
    ) -> Result<(), Interrupted> {
        let mut messages = Vec::new();
        while behind.recv_many(&mut messages, READ_AHEAD).await > 0 {
            gather(shared, &mut behind, &mut messages).await;
            self.take(shared, std::mem::take(&mut messages)).await?;
        }
        Ok(())
    }

    /// Brings the view to where the log begins.
    pub(super) async fn begin(&self, shared: &Shared, bounds: Bounds) -> Result<(), Interrupted> {
        self.check_identity(bounds)?;
        let known = self.state().log();
        let doubted = shared.doubted.swap(false, Ordering::AcqRel);
        let lost = doubted || self.position() > bounds.last || self.rewritten(shared, bounds).await?;
        if known != bounds.identity || lost {
            shared.metrics.rewritten.inc_by(u64::from(known != 0));
            shared.trail.clear();
            if known != 0 {
                // What this view knows stays in force; what the log lost and holds anew comes from its beginning.
                tracing::error!(
                    applied = self.position(),
                    last = bounds.last,
                    anew = known != bounds.identity,
                    "the shared log has lost events; reading all of it again"
                );
            }
            self.raise_compacted(shared).await?;
            let unpacked = if known == 0 { 0 } else { bounds.last };
            self.command(|reply| Command::Adopt((bounds.identity, unpacked), reply)).await?;
        }
        shared.replaced.store(false, Ordering::Release);
        shared.reaches(bounds.last);
        let retried = self.command(Command::Retry).await?;
        self.account(shared, &retried);
        self.count_quarantine(shared);
        let applied = self.position();
        if applied + 1 < bounds.first {
            shared.metrics.resyncs.inc();
            let messages = shared.feed.compacted(applied, bounds.first).await?;
            tracing::info!(applied, first = bounds.first, kept = messages.len(), "read the compacted state");
            let messages = self.read_all(messages);
            self.deliver(shared, Delivery { messages, upto: bounds.first - 1, much_follows: false }).await?;
        }
        self.unpack(shared, bounds).await?;
        // What is compacted is of later than where the log begins, and what was read before may be too.
        shared.tells_live_from(shared.feed.bounds().await?.last);
        shared.seen.send_replace(self.position());
        // Not before the quarantine has been looked at: what waits there for a key counts.
        shared.freshness.found(bounds.last);
        shared.freshness.applied(self.position());
        Ok(())
    }

    /// Raises all marks that are compacted: a log that another one replaced, or that was longer once, had them under numbers
    /// that say nothing in this one.
    async fn raise_compacted(&self, shared: &Shared) -> Result<(), Interrupted> {
        let messages = self.read_all(shared.feed.compacted_marks().await?);
        let (state, now) = (self.state(), self.state().clock.now());
        let mut marks: Vec<_> = messages.iter().filter_map(|read| read.mark(now)).collect();
        marks.retain(|mark| !state.revocations.covers(mark));
        if !marks.is_empty() {
            self.command(|reply| Command::Raise(marks, reply)).await?;
        }
        Ok(())
    }

    /// Whether the log has something else, or nothing, where this gateway read its last message.
    async fn rewritten(&self, shared: &Shared, bounds: Bounds) -> Result<bool, FeedError> {
        let (position, anchor) = (self.position(), self.state().anchor.load(Ordering::Acquire));
        if anchor == 0 || position < bounds.first {
            return Ok(false);
        }
        Ok(shared.feed.identity_at(position).await? != Some(anchor))
    }

    pub(super) fn check_identity(&self, bounds: Bounds) -> Result<(), StoreError> {
        if self.state().log() == 0 && self.position() > 0 {
            return Err(StoreError::OtherLog { position: self.position(), last: bounds.last });
        }
        Ok(())
    }

    /// Applies what came, and what of it is missing in between from the compacted state.
    pub(super) async fn take(
        &self,
        shared: &Shared,
        mut messages: Vec<ReadMessage>,
    ) -> Result<(), Interrupted> {
        let applied = self.position();
        let upto = messages.last().map_or(applied, |read| read.message.seq);
        shared.knows_of(upto);
        if messages.iter().filter(|read| read.message.seq > applied).count() as u64 != upto - applied {
            shared.metrics.gaps.inc();
            let found = shared.feed.compacted(applied, upto).await?;
            let there: BTreeSet<u64> = messages.iter().map(|read| read.message.seq).collect();
            let missing: Vec<_> = found.into_iter().filter(|found| !there.contains(&found.seq)).collect();
            tracing::error!(applied, upto, healed = missing.len(), "the shared log lacks events");
            messages.extend(self.read_all(missing));
            shared.tells_live_from(shared.feed.bounds().await?.last);
            messages.sort_by_key(|read| read.message.seq);
        }
        let older = messages.len().saturating_sub(LENGTH);
        let latest = &messages[older..];
        let latest: Vec<_> = latest.iter().map(|read| (read.message.seq, read.message.identity())).collect();
        let much_follows = shared.due(upto) > FAR_BEHIND && applied / READ_AGAIN == upto / READ_AGAIN;
        let live = self.deliver(shared, Delivery { messages, upto, much_follows }).await?;
        for ((seq, identity), live) in latest.into_iter().zip(live.into_iter().skip(older)) {
            shared.trail.add(seq, identity, Some(live).filter(|_| shared.tells_live(seq)));
        }
        Ok(())
    }

    /// Returns how many long-term keys were live after each message.
    async fn deliver(&self, shared: &Shared, delivery: Delivery) -> Result<Vec<u64>, Interrupted> {
        let told = told(shared, &delivery.messages);
        let urgent = delivery.messages.iter().any(|read| read.message.revocation);
        let published: Vec<_> = delivery.messages.iter().map(|read| read.message.published).collect();
        let outcomes = self.command(|reply| Command::Deliver(delivery, reply)).await?;
        let (outcomes, live): (Vec<_>, Vec<_>) = outcomes.into_iter().unzip();
        let now = self.state().clock.now();
        self.account(shared, &outcomes);
        if outcomes.iter().any(|outcome| matches!(outcome, Outcome::Unreadable { .. })) {
            self.count_quarantine(shared);
        }
        for published in published {
            let delay = (now.0 - published.0).max(0);
            shared.metrics.delay_seconds.observe(delay as f64 / 1_000.0);
        }
        for (id, outcome) in told.into_iter().zip(outcomes) {
            if let Some(waiting) = id.and_then(|id| shared.waiting().remove(&id)) {
                // Whoever waited may have given up.
                let _ = waiting.send(outcome);
            }
        }
        shared.seen.send_replace(self.position());
        shared.freshness.applied(self.position());
        if urgent {
            shared.urgent.notify_one();
        }
        Ok(live)
    }

    /// Counts what became of messages, and says of those that went wrong what an operator has to know.
    pub(super) fn account(&self, shared: &Shared, outcomes: &[Outcome]) {
        for outcome in outcomes {
            match outcome {
                Outcome::Applied(Receipt { duplicate: false, .. }) => shared.metrics.applied.inc(),
                Outcome::Applied(Receipt { duplicate: true, .. }) => shared.metrics.duplicates.inc(),
                Outcome::Refused(error) => {
                    shared.metrics.refused.inc();
                    tracing::warn!(%error, "an event of the shared log is not applied");
                }
                Outcome::Unreadable { why, lost_revocation } => {
                    shared.metrics.unreadable.inc();
                    shared.metrics.degraded.add(i64::from(*lost_revocation));
                    tracing::error!(error = %why, lost_revocation, "an event of the shared log cannot be read");
                }
            }
        }
    }

    pub(super) fn count_quarantine(&self, shared: &Shared) {
        let state = self.state();
        let counted = state.with_db(|db| view::quarantined(db, &self.0.keyring, state.clock.now()));
        match counted {
            Ok(view::Quarantined { rows, missing_key }) => {
                shared.metrics.quarantined.set(i64::try_from(rows).unwrap_or(i64::MAX));
                shared.freshness.missing_keys(missing_key);
                shared.unread.store(rows, Ordering::Release);
            }
            Err(error) => tracing::error!(%error, "the quarantine cannot be read"),
        }
    }
}

/// Waits for more messages while many are due and they keep coming. Nobody waits for one of those: what is appended
/// now comes behind them.
async fn gather(shared: &Shared, behind: &mut Receiver<ReadMessage>, messages: &mut Vec<ReadMessage>) {
    let read = |messages: &[ReadMessage]| messages.last().map_or(0, |read| read.message.seq);
    while messages.len() < READ_AHEAD && shared.due(read(messages)) > FAR_BEHIND {
        let room = READ_AHEAD - messages.len();
        let more = behind.recv_many(messages, room);
        if !tokio::time::timeout(PATIENCE, more).await.is_ok_and(|more| more > 0) {
            break;
        }
    }
}

/// The ids of those messages that appends wait for, each of which said so before it published.
fn told(shared: &Shared, messages: &[ReadMessage]) -> Vec<Option<Box<str>>> {
    let waiting = shared.waiting();
    let waited = |read: &ReadMessage| read.message.id.clone().filter(|id| waiting.contains_key(id));
    if waiting.is_empty() { Vec::new() } else { messages.iter().map(waited).collect() }
}

/// Whether a row of the quarantine waits for a key.
pub(in crate::store) fn waits_for_key(error: &RowError) -> bool {
    matches!(error, RowError::MissingKey(_))
}
