//! What becomes of what comes from the log.

use std::collections::HashMap;

use super::super::apply::{Batch, EXPIRED_FOR_MILLIS, Rejection};
use super::super::error::{Foreign, StoreError};
use super::super::revocations::Mark;
use super::is_local;
use crate::clock::UnixMillis;
use crate::events::{
    Event, EventData, Keyring, LoggedEvent, MAX_AHEAD_MILLIS, Receipt, RowError, access_key_sealed_at,
    issued_until, read_event,
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
    pub(super) fn new(message: Delivered, keyring: &Keyring, now: UnixMillis) -> Self {
        let content = Content::of(&message, keyring, now);
        Self { message, content }
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
            Content::Over | Content::Replayed => None,
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
            Ok(logged) => Self::Event(Box::new(logged)),
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
        let applied = |read| Ok((apply(read, batch)?, batch.live()));
        let outcomes: Result<_, _> = self.messages.into_iter().map(applied).collect();
        batch.pass(self.upto);
        batch.anchor(anchor);
        outcomes
    }
}

fn apply(read: ReadMessage, batch: &mut Batch<'_, '_>) -> Result<Outcome, redb::Error> {
    let ReadMessage { message, content } = read;
    if message.seq <= batch.position() {
        return Ok(Outcome::Applied(Receipt { seq: message.seq, duplicate: true }));
    }
    let why = match content {
        Content::Event(logged) => {
            let read = (&*logged, &message.body[..]);
            return judged(&logged.event, || batch.apply_at(message.seq, read, message.published));
        }
        Content::Over => {
            batch.pass(message.seq);
            return Ok(Outcome::Applied(Receipt { seq: message.seq, duplicate: false }));
        }
        Content::Replayed => return Ok(Outcome::Refused(StoreError::Foreign(Foreign::Replayed))),
        Content::Unreadable(why) => why,
    };
    let until = (!message.of_key).then(|| message.published.plus(QUARANTINE_MILLIS));
    batch.quarantine((message.seq, message.published), &message.body, until)?;
    let mark = enforced(&message);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::{RevocationScope, write_event};
    use crate::feed::PlainMark;
    use crate::store::fixtures::{HOUR, issued, revoked, session};

    const NOW: UnixMillis = UnixMillis(100 * HOUR);

    fn read(event: &Event, change: impl FnOnce(&mut Delivered)) -> ReadMessage {
        let keyring = Keyring::ephemeral().unwrap();
        let logged = LoggedEvent { event: event.clone(), recorded_at: NOW };
        let mut message = Delivered {
            seq: 1,
            published: NOW,
            sealed_since: UnixMillis(0),
            id: None,
            revocation: matches!(event.data, EventData::SessionRevoked { .. }),
            of_key: false,
            mark: None,
            body: write_event(&logged, &keyring).unwrap().into(),
        };
        change(&mut message);
        ReadMessage::new(message, &keyring, NOW)
    }

    #[test]
    fn a_revocation_is_in_force_once_seen_unless_it_reaches_nobody_or_is_of_a_time_to_come() {
        let revocation = |before: UnixMillis| revoked(RevocationScope::Account("1".into()), before.0);
        let mark = |before| read(&revocation(before), |_| ()).mark(NOW).map(|mark| (mark.key(), mark.before));
        assert_eq!(mark(NOW), Some(("account:1".to_owned(), NOW)));
        assert_eq!(mark(UnixMillis(NOW.0 - 40 * HOUR)), None, "spent");
        assert_eq!(mark(NOW.plus(HOUR)), None, "no gateway applies it");
        let unreadable = read(&revocation(NOW), |message| {
            message.body = "\x03".into();
            message.mark = Some(PlainMark { key: "account:2".into(), before: NOW });
        });
        assert_eq!(unreadable.mark(NOW).unwrap().key(), "account:2", "by its headers");
        assert!(read(&issued(session("ASIA1", NOW.0)), |_| ()).mark(NOW).is_none());
    }

    #[test]
    fn sessions_that_nobody_keeps_any_more_are_not_taken_in() {
        let over =
            |issued_at| matches!(read(&issued(session("ASIA1", issued_at)), |_| ()).content, Content::Over);
        assert!(over(NOW.0 - 2 * HOUR), "expired for an hour");
        assert!(!over(NOW.0 - 2 * HOUR + 1), "whoever has it is told that it expired");
    }
}
