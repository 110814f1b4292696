//! Putting events into the log: one that is waited for, a run of them at once, or a whole stock from elsewhere.

use std::collections::VecDeque;
use std::time::Duration;

use async_nats::jetstream::context::{PublishAckFuture, PublishError, PublishErrorKind};

use super::message::Outgoing;
use super::{ACK_WAIT, Feed, FeedError};
use crate::clock::Clock;
use crate::events::{Event, EventData, Keyring};

/// How long an append goes on trying. Longer than a server needs to restart.
const APPEND_FOR: Duration = Duration::from_secs(10);

/// How long to wait between two attempts.
const RETRY_AFTER: Duration = Duration::from_millis(50);

/// Imported events that may be under way at a time.
const IMPORT_WINDOW: usize = 2_048;

/// Where the log put an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ack {
    pub(crate) seq: u64,
    /// Whether it was there already.
    pub(crate) duplicate: bool,
}

impl Feed {
    /// Stores one event. An attempt without an answer is made again, which stores nothing twice.
    pub(crate) async fn publish(&self, message: &Outgoing) -> Result<Ack, FeedError> {
        let trying = async {
            loop {
                let attempt = async { acknowledged(self.send(message).await?).await };
                match attempt.await {
                    Err(FeedError::Unreachable(reason)) => {
                        tracing::debug!(reason, "an event is not acknowledged yet");
                        tokio::time::sleep(RETRY_AFTER).await;
                    }
                    done => return done,
                }
            }
        };
        let late = || FeedError::Unreachable(format!("no acknowledgement in {} s", APPEND_FOR.as_secs()));
        tokio::time::timeout(APPEND_FOR, trying).await.unwrap_or_else(|_| Err(late()))
    }

    /// Stores events that do not depend on each other, all of them under way at the same time; they get into the log in
    /// their order unless an attempt is lost.
    pub(crate) async fn publish_all<'a>(
        &self,
        messages: impl Iterator<Item = &'a Outgoing> + Clone,
    ) -> Vec<Result<Ack, FeedError>> {
        let mut under_way = Vec::new();
        for message in messages.clone() {
            under_way.push(self.send(message).await);
        }
        let mut acks = Vec::with_capacity(under_way.len());
        for (message, sent) in messages.zip(under_way) {
            acks.push(self.settled(message, sent).await.map(|(ack, _)| ack));
        }
        acks
    }

    /// Puts issuances of sessions into the log, many under way at a time, without a gateway that applies them: for
    /// whoever brings a stock of sessions from elsewhere. Gateways apply them as they read them. Creates the streams
    /// where `feed.create_streams` says so. Returns how many the log did not hold before.
    ///
    /// # Errors
    /// The log takes no more, or an event is no issuance or breaks what is promised of one; those before it may be in
    /// the log. Importing all of them again is harmless.
    pub async fn import(
        &self,
        events: impl IntoIterator<Item = Event>,
        keyring: &Keyring,
        clock: &Clock,
    ) -> Result<u64, FeedError> {
        self.prepare().await?;
        let mut under_way = VecDeque::with_capacity(IMPORT_WINDOW);
        let mut taken = 0;
        for event in events {
            let now = clock.now();
            event.check(now).map_err(|error| FeedError::Refused(error.to_string()))?;
            if !matches!(event.data, EventData::CredentialIssued(_)) {
                return Err(FeedError::Refused("it is no issuance".to_owned()));
            }
            let message = Outgoing::seal(&event, None, keyring, now);
            let message = message.map_err(|error| FeedError::Refused(error.to_string()))?;
            if under_way.len() == IMPORT_WINDOW
                && let Some((message, sent)) = under_way.pop_front()
            {
                taken += u64::from(self.taken(&message, sent).await?);
            }
            let sent = self.send(&message).await;
            under_way.push_back((message, sent));
        }
        for (message, sent) in under_way {
            taken += u64::from(self.taken(&message, sent).await?);
        }
        Ok(taken)
    }

    /// Whether the log holds an event now that it did not hold before. If an attempt had no answer, the next may repeat
    /// nothing but that: it counts.
    async fn taken(
        &self,
        message: &Outgoing,
        sent: Result<PublishAckFuture, FeedError>,
    ) -> Result<bool, FeedError> {
        let (ack, again) = self.settled(message, sent).await?;
        Ok(again || !ack.duplicate)
    }

    /// The end of an attempt that was begun; one without an answer is made again, and whether it was.
    async fn settled(
        &self,
        message: &Outgoing,
        sent: Result<PublishAckFuture, FeedError>,
    ) -> Result<(Ack, bool), FeedError> {
        let attempt = async { acknowledged(sent?).await };
        match attempt.await {
            Err(FeedError::Unreachable(_)) => Ok((self.publish(message).await?, true)),
            done => Ok((done?, false)),
        }
    }

    /// Hands an event to the connection; what comes back is its acknowledgement.
    async fn send(&self, message: &Outgoing) -> Result<PublishAckFuture, FeedError> {
        let subject = self.0.names.subject(&message.place);
        let (headers, body) = (message.headers.clone(), message.body.clone());
        let sent = self.0.context.publish_with_headers(subject, headers, body);
        match tokio::time::timeout(ACK_WAIT, sent).await {
            Ok(sent) => sent.map_err(|error| failed(&error)),
            Err(_) => Err(FeedError::Unreachable("no connection".to_owned())),
        }
    }
}

async fn acknowledged(sent: PublishAckFuture) -> Result<Ack, FeedError> {
    match tokio::time::timeout(ACK_WAIT, sent.into_future()).await {
        Ok(Ok(ack)) => Ok(Ack { seq: ack.sequence, duplicate: ack.duplicate }),
        Ok(Err(error)) => Err(failed(&error)),
        Err(_) => Err(FeedError::Unreachable("no acknowledgement".to_owned())),
    }
}

fn failed(error: &PublishError) -> FeedError {
    match error.kind() {
        PublishErrorKind::TimedOut
        | PublishErrorKind::BrokenPipe
        | PublishErrorKind::MaxAckPending
        // Also what a server says that is still starting.
        | PublishErrorKind::StreamNotFound => FeedError::Unreachable(error.to_string()),
        PublishErrorKind::WrongLastMessageId
        | PublishErrorKind::WrongLastSequence
        | PublishErrorKind::MaxPayloadExceeded
        | PublishErrorKind::Other => FeedError::Refused(error.to_string()),
    }
}
