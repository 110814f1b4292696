//! What becomes of what comes from the log.

#[cfg(test)]
pub(super) mod fixtures;
#[cfg(test)]
mod tests;

use std::collections::HashMap;

use bytes::Bytes;

use super::super::apply::{Arrival, Batch, EXPIRED_FOR_MILLIS, Issuance, Rejection};
use super::super::changes;
use super::super::error::{Foreign, StoreError};
use super::super::revocations::Mark;
use super::is_local;
use crate::clock::UnixMillis;
use crate::events::{
    Event, EventData, Keyring, LoggedEvent, MAX_AHEAD_MILLIS, Receipt, RowError, access_key_sealed_at,
    issued_until, read_event, read_proved,
};
use crate::feed::Delivered;

/// How long a message is kept that cannot be read, unless it is about a long-term key: the longest session, the time
/// that marks are kept beyond it, and slack. Afterwards no keyring makes it matter.
const QUARANTINE_MILLIS: i64 = 40 * 3_600_000;

/// Messages of the log, in its order, and how far they reach.
#[derive(Debug)]
pub(in crate::store) struct Delivery {
    pub(in crate::store) messages: Vec<ReadMessage>,
    /// The log holds nothing else up to here.
    pub(in crate::store) upto: u64,
    /// Whether so much follows that these messages need not outlast the process before that.
    pub(in crate::store) much_follows: bool,
}

/// A message of the log, read and proved; what is left to do concerns the file.
#[derive(Debug)]
pub(in crate::store) struct ReadMessage {
    pub(super) message: Delivered,
    content: Content,
}

/// What a message says.
#[derive(Debug)]
enum Content {
    /// It issues a session, and nothing is wrong with it by itself.
    Issuance(Issuance),
    Event(Box<LoggedEvent>),
    /// It issues a session that has been over for so long that nobody keeps it any more.
    Over,
    /// It was sealed long before it got into the log.
    Replayed,
    Unreadable(RowError),
}

/// What became of one message.
#[derive(Debug)]
pub(in crate::store) enum Outcome {
    /// It is in force, or was before.
    Applied(Receipt),
    /// It contradicts what came before it: no gateway applies it.
    Refused(StoreError),
    /// It cannot be read here. It is kept for a keyring that can.
    Unreadable {
        why: RowError,
        /// Whether that matters although it cannot be read: a revocation whose scope nobody can tell.
        lost_revocation: bool,
    },
}

impl Outcome {
    pub(in crate::store) fn into_receipt(self, seq: u64) -> Result<Receipt, StoreError> {
        match self {
            Self::Applied(receipt) => Ok(receipt),
            Self::Refused(error) => Err(error),
            // What was sealed here a moment ago was altered on the way.
            Self::Unreadable { .. } => Err(StoreError::NotApplied { seq }),
        }
    }
}

impl ReadMessage {
    pub(super) fn new(mut message: Delivered, keyring: &Keyring, now: UnixMillis) -> Self {
        let content = Content::of(&message, keyring, now);
        if matches!(content, Content::Issuance(_)) {
            // Many wait for the file at the same time: what came with them does not.
            message.body = Bytes::copy_from_slice(&message.body);
        }
        Self { message, content }
    }

    /// Whether it issues a session, has been proved, and is in the form in which nobody needs to prove it again.
    pub(super) fn is_proved_issuance(&self, keyring: &Keyring) -> bool {
        matches!(self.content, Content::Issuance(_)) && read_proved(&self.message.body, keyring).is_ok()
    }

    /// Whether it issues a session that nobody keeps any more.
    pub(super) const fn is_over(&self) -> bool {
        matches!(self.content, Content::Over)
    }

    /// Whether what becomes of it depends on which sessions there are.
    pub(super) fn asks_for_sessions(&self) -> bool {
        match &self.content {
            Content::Event(logged) => changes::about(&logged.event).is_some(),
            Content::Issuance(_) => true,
            Content::Over | Content::Replayed | Content::Unreadable(_) => false,
        }
    }

    /// Its place in the log.
    pub(super) const fn seq(&self) -> u64 {
        self.message.seq
    }

    /// Whether it is about a session only: a gateway that loses it reads it from the log again, and meanwhile the session's
    /// token says as much.
    const fn is_of_session(&self) -> bool {
        matches!(self.content, Content::Issuance(_) | Content::Over)
    }

    fn arrival(&self) -> Option<Arrival<'_>> {
        match &self.content {
            Content::Issuance(issuance) => {
                Some(Arrival { seq: self.message.seq, issuance, row: &self.message.body })
            }
            Content::Event(_) | Content::Over | Content::Replayed | Content::Unreadable(_) => None,
        }
    }

    /// The mark that is in force as soon as the message has been seen. The log holds it, so that it may be so before it
    /// is in the file; and marks merge by maximum, so that it may be so before what came earlier is applied.
    pub(super) fn mark(&self, now: UnixMillis) -> Option<Mark> {
        let mark = match &self.content {
            Content::Event(logged) => match &logged.event.data {
                EventData::SessionRevoked { scope, cascade, issued_before, .. } => {
                    let at = logged.recorded_at.min(self.message.published);
                    logged.event.check(at).ok().map(|()| Mark::of(scope, *cascade, *issued_before))
                }
                EventData::CredentialIssued(_)
                | EventData::AccessKeyCreated(_)
                | EventData::AccessKeyStatus { .. }
                | EventData::AccessKeyDeleted { .. } => None,
            },
            Content::Unreadable(_) => enforced(&self.message),
            Content::Issuance(_) | Content::Over | Content::Replayed => None,
        };
        mark.filter(|mark| !mark.spent(now))
    }
}

impl Content {
    fn of(message: &Delivered, keyring: &Keyring, now: UnixMillis) -> Self {
        if issued_until(&message.body).is_some_and(|until| until.plus(EXPIRED_FOR_MILLIS) <= now) {
            return Self::Over;
        }
        if replayed(message) {
            return Self::Replayed;
        }
        match read_event(&message.body, keyring) {
            Ok(logged) => match Issuance::of(&logged, &message.body, message.published) {
                Some(issuance) => Self::Issuance(issuance),
                None => Self::Event(Box::new(logged)),
            },
            Err(error) => Self::Unreadable(error),
        }
    }
}

impl Delivery {
    /// Applies the messages; one that cannot be applied holds up no other. With each outcome comes how many long-term keys
    /// were live after it.
    pub(in crate::store) fn apply(
        self,
        batch: &mut Batch<'_, '_>,
    ) -> Result<Vec<(Outcome, u64)>, redb::Error> {
        // What stands at `upto` is known if it is among the messages.
        let last = self.messages.last().map(|last| &last.message).filter(|last| last.seq == self.upto);
        let anchor = last.map_or(0, Delivered::identity);
        let mut outcomes = Vec::with_capacity(self.messages.len());
        let alike = |read: &ReadMessage, next: &ReadMessage| {
            read.message.seq < next.message.seq && read.arrival().is_some() && next.arrival().is_some()
        };
        for run in self.messages.chunk_by(alike) {
            if run.iter().all(|read| read.arrival().is_some()) {
                let taken = take_in(run, batch)?;
                outcomes.extend(taken.into_iter().map(|outcome| (outcome, batch.live())));
            } else {
                for read in run {
                    outcomes.push((apply(read, batch)?, batch.live()));
                }
            }
        }
        batch.pass(self.upto);
        batch.anchor(anchor);
        // A revocation or a long-term key is on disk before anything is said of it.
        if self.much_follows && self.messages.iter().all(ReadMessage::is_of_session) {
            batch.interim();
        }
        Ok(outcomes)
    }
}

/// Applies issuances that follow one another in the log.
fn take_in(run: &[ReadMessage], batch: &mut Batch<'_, '_>) -> Result<Vec<Outcome>, redb::Error> {
    let applied = batch.position();
    let (known, new) = run.split_at(run.partition_point(|read| read.message.seq <= applied));
    let arrivals: Vec<_> = new.iter().filter_map(ReadMessage::arrival).collect();
    let left = batch.take_in(&arrivals)?;
    let known = known.iter().map(|read| Ok(passed(&read.message, true)));
    let new = new.iter().enumerate().map(|(at, read)| {
        if left.contains(&at) { apply_new(read, batch) } else { Ok(passed(&read.message, false)) }
    });
    known.chain(new).collect()
}

const fn passed(message: &Delivered, duplicate: bool) -> Outcome {
    Outcome::Applied(Receipt { seq: message.seq, duplicate })
}

pub(super) fn apply(read: &ReadMessage, batch: &mut Batch<'_, '_>) -> Result<Outcome, redb::Error> {
    if read.message.seq <= batch.position() {
        return Ok(passed(&read.message, true));
    }
    apply_new(read, batch)
}

/// Applies what is at no place that has been passed, by itself.
fn apply_new(read: &ReadMessage, batch: &mut Batch<'_, '_>) -> Result<Outcome, redb::Error> {
    let ReadMessage { message, content } = read;
    match content {
        // It is read again, which is dear, and rare.
        Content::Issuance(_) => match read_event(&message.body, batch.keyring()) {
            Ok(logged) => apply_event(message, &logged, batch),
            Err(why) => set_aside(message, why, batch),
        },
        Content::Event(logged) => apply_event(message, logged, batch),
        Content::Over => {
            batch.pass(message.seq);
            Ok(passed(message, false))
        }
        Content::Replayed => Ok(Outcome::Refused(StoreError::Foreign(Foreign::Replayed))),
        Content::Unreadable(why) => set_aside(message, why.clone(), batch),
    }
}

/// Applies an issuance by itself that was packed: it was published when it was recorded.
pub(super) fn apply_packed(seq: u64, row: Bytes, batch: &mut Batch<'_, '_>) -> Result<Outcome, redb::Error> {
    let recorded_at = read_proved(&row, batch.keyring()).map_or(UnixMillis(0), |brief| brief.recorded_at);
    let message = Delivered {
        seq,
        published: recorded_at,
        sealed_since: recorded_at,
        id: None,
        revocation: false,
        of_key: false,
        mark: None,
        body: row,
    };
    match read_event(&message.body, batch.keyring()) {
        Ok(logged) => apply_event(&message, &logged, batch),
        Err(why) => set_aside(&message, why, batch),
    }
}

fn apply_event(
    message: &Delivered,
    logged: &LoggedEvent,
    batch: &mut Batch<'_, '_>,
) -> Result<Outcome, redb::Error> {
    judged(&logged.event, || batch.apply_at(message.seq, (logged, &message.body), message.published))
}

/// Keeps a message that cannot be read, and what of it counts nevertheless.
fn set_aside(message: &Delivered, why: RowError, batch: &mut Batch<'_, '_>) -> Result<Outcome, redb::Error> {
    let until = (!message.of_key).then(|| message.published.plus(QUARANTINE_MILLIS));
    batch.quarantine((message.seq, message.published), &message.body, until)?;
    let mark = enforced(message);
    let lost_revocation = message.revocation && mark.is_none();
    if let Some(mark) = mark {
        batch.raise_alone(mark)?;
    }
    Ok(Outcome::Unreadable { why, lost_revocation })
}

/// Whether a message repeats what made a long-term key what it was. A seal proves who wrote a message, not that it is the
/// last word: a key that was deleted since must not come back by it at gateways that never saw the deletion. The header is
/// proved when it is read, now or out of quarantine.
pub(in crate::store) fn replayed(message: &Delivered) -> bool {
    access_key_sealed_at(&message.body).is_some_and(|at| at < message.sealed_since)
}

/// What became of an event; `apply` applies it unless no gateway can have published it.
fn judged(event: &Event, apply: impl FnOnce() -> Result<Receipt, Rejection>) -> Result<Outcome, redb::Error> {
    if let Some(foreign) = foreign(event) {
        return Ok(Outcome::Refused(StoreError::Foreign(foreign)));
    }
    match apply() {
        Ok(receipt) => Ok(Outcome::Applied(receipt)),
        Err(Rejection::Refused(error)) => Ok(Outcome::Refused(error)),
        Err(Rejection::Storage(error)) => Err(error),
    }
}

/// What shows that no gateway published an event. Whatever grants anything is sealed under a key that gateways alone
/// have; what only takes away is not, and anybody who may publish can have said it.
pub(in crate::store) fn foreign(event: &Event) -> Option<Foreign> {
    match event.data {
        EventData::AccessKeyStatus { .. } => Some(Foreign::Status),
        EventData::AccessKeyCreated(_) | EventData::AccessKeyDeleted { .. } => {
            is_local(event).then_some(Foreign::Declared)
        }
        EventData::CredentialIssued(_) | EventData::SessionRevoked { .. } => None,
    }
}

/// Applies what the quarantine holds and this keyring can read. Its place in the log is what counts, not that it comes
/// late; of what was set aside whenever the log was read again, the last one.
pub(in crate::store) fn retry(
    batch: &mut Batch<'_, '_>,
    keyring: &Keyring,
) -> Result<Vec<Outcome>, redb::Error> {
    let mut outcomes = Vec::new();
    let rows = batch.quarantined()?;
    let last: HashMap<_, _> = rows.iter().map(|(place, _, body)| (body, *place)).collect();
    for (place, published, body) in &rows {
        let Ok(logged) = read_event(body, keyring) else { continue };
        if last.get(body) == Some(place) {
            outcomes.push(judged(&logged.event, || batch.apply_late(*place, (&logged, body), *published))?);
        }
        batch.release(*place)?;
    }
    Ok(outcomes)
}

/// The mark that a message asks for in the clear, no further ahead than an event may be.
fn enforced(message: &Delivered) -> Option<Mark> {
    let plain = message.mark.as_ref().filter(|_| message.revocation)?;
    let latest: UnixMillis = message.published.plus(MAX_AHEAD_MILLIS);
    Mark::parse(&plain.key, plain.before.min(latest))
}
