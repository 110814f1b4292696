//! What becomes of what comes from the log.

use super::super::apply::{Batch, Rejection};
use super::super::error::{Foreign, StoreError};
use super::super::revocations::Mark;
use super::is_local;
use crate::clock::UnixMillis;
use crate::events::{
    Event, EventData, Keyring, LoggedEvent, MAX_AHEAD_MILLIS, Receipt, RowError, access_key_sealed_at,
    read_event,
};
use crate::feed::Delivered;

/// How long a message is kept that cannot be read, unless it is about a long-term key: the longest session, the time
/// that marks are kept beyond it, and slack. Afterwards no keyring makes it matter.
const QUARANTINE_MILLIS: i64 = 40 * 3_600_000;

/// Messages of the log, in its order, and how far they reach.
#[derive(Debug)]
pub(in crate::store) struct Delivery {
    pub(in crate::store) messages: Vec<Delivered>,
    /// The log holds nothing else up to here.
    pub(in crate::store) upto: u64,
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

impl Delivery {
    /// Applies the messages; one that cannot be applied holds up no other.
    pub(in crate::store) fn apply(
        &self,
        batch: &mut Batch<'_, '_>,
        keyring: &Keyring,
    ) -> Result<Vec<Outcome>, redb::Error> {
        let outcomes: Result<_, _> =
            self.messages.iter().map(|message| apply(message, batch, keyring)).collect();
        batch.pass(self.upto);
        // What stands at `upto` is known if it is among the messages.
        let last = self.messages.last().filter(|last| last.seq == self.upto);
        batch.anchor(last.map_or(0, Delivered::identity));
        outcomes
    }
}

fn apply(message: &Delivered, batch: &mut Batch<'_, '_>, keyring: &Keyring) -> Result<Outcome, redb::Error> {
    if message.seq <= batch.position() {
        return Ok(Outcome::Applied(Receipt { seq: message.seq, duplicate: true }));
    }
    // A seal proves who wrote a message, not that it is the last word: a key that was deleted since must not come back
    // by it at gateways that never saw the deletion. The header is proved when it is read, now or out of quarantine.
    if access_key_sealed_at(&message.body).is_some_and(|at| at < message.sealed_since) {
        return Ok(Outcome::Refused(StoreError::Foreign(Foreign::Replayed)));
    }
    let why = match read_event(&message.body, keyring) {
        Ok(logged) => return apply_read(message.seq, &logged, message.published, batch),
        Err(error) => error,
    };
    let until = (!message.of_key).then(|| message.published.plus(QUARANTINE_MILLIS));
    batch.quarantine((message.seq, message.published), &message.body, until)?;
    let mark = enforced(message);
    let lost_revocation = message.revocation && mark.is_none();
    if let Some(mark) = mark {
        batch.raise_alone(mark)?;
    }
    Ok(Outcome::Unreadable { why, lost_revocation })
}

fn apply_read(
    seq: u64,
    logged: &LoggedEvent,
    published: UnixMillis,
    batch: &mut Batch<'_, '_>,
) -> Result<Outcome, redb::Error> {
    if let Some(foreign) = foreign(&logged.event) {
        return Ok(Outcome::Refused(StoreError::Foreign(foreign)));
    }
    match batch.apply_at(seq, logged, published) {
        Ok(receipt) => Ok(Outcome::Applied(receipt)),
        Err(Rejection::Refused(error)) => Ok(Outcome::Refused(error)),
        Err(Rejection::Storage(error)) => Err(error),
    }
}

/// What shows that no gateway published an event. Whatever grants anything is sealed under a key that gateways alone
/// have; what only takes away is not, and anybody who may publish can have said it.
fn foreign(event: &Event) -> Option<Foreign> {
    match event.data {
        EventData::AccessKeyStatus { .. } => Some(Foreign::Status),
        EventData::AccessKeyCreated(_) | EventData::AccessKeyDeleted { .. } => {
            is_local(event).then_some(Foreign::Declared)
        }
        EventData::CredentialIssued(_) | EventData::SessionRevoked { .. } => None,
    }
}

/// Applies what the quarantine holds and this keyring can read. Its place in the log is what counts, not that it comes
/// late.
pub(in crate::store) fn retry(
    batch: &mut Batch<'_, '_>,
    keyring: &Keyring,
) -> Result<Vec<Outcome>, redb::Error> {
    let mut outcomes = Vec::new();
    for (seq, published, body) in batch.quarantined()? {
        let Ok(logged) = read_event(&body, keyring) else { continue };
        outcomes.push(apply_read(seq, &logged, published, batch)?);
        batch.release(seq)?;
    }
    Ok(outcomes)
}

/// The mark that a message asks for in the clear, no further ahead than an event may be.
fn enforced(message: &Delivered) -> Option<Mark> {
    let plain = message.mark.as_ref().filter(|_| message.revocation)?;
    let latest: UnixMillis = message.published.plus(MAX_AHEAD_MILLIS);
    Mark::parse(&plain.key, plain.before.min(latest))
}
