//! Reading the log in order: what is compacted, then message by message.

use std::collections::BTreeMap;
use std::time::Duration;

use async_nats::HeaderMap;
use async_nats::jetstream::Message;
use async_nats::jetstream::consumer::DeliverPolicy;
use async_nats::jetstream::consumer::pull::{Ordered, OrderedConfig};
use async_nats::jetstream::message::Info;
use async_nats::jetstream::stream::RawMessageErrorKind;
use bytes::Bytes;
use futures_util::{FutureExt, StreamExt};
use ring::digest;

use super::message::{MESSAGE_ID, Place, PlainMark, is_key, is_mark, plain_mark};
use super::streams::{keeps_millis, millis};
use super::{Feed, FeedError};
use crate::clock::UnixMillis;
use crate::events::MAX_AHEAD_MILLIS;

/// Messages of one batch: they share one transaction.
const BATCH: usize = 1_024;

/// How long a server may keep a reader waiting that knows there is something to read.
pub(super) const STALLED_AFTER: Duration = Duration::from_secs(5);

/// Names what the server copied to the compacted stream: stream and sequence number, and more since 2.10.
const COPIED_FROM: &str = "Nats-Stream-Source";

/// One message of the log.
#[derive(Clone, Debug)]
pub(crate) struct Delivered {
    /// Its place in the log.
    pub(crate) seq: u64,
    /// When the log took it in, by the server's clock.
    pub(crate) published: UnixMillis,
    /// A gateway that published it sealed it no earlier, by its own clock.
    pub(crate) sealed_since: UnixMillis,
    /// Hash of source and id of the event, as its publisher says.
    pub(crate) id: Option<Box<str>>,
    /// Whether it is a revocation, by its subject.
    pub(crate) revocation: bool,
    /// Whether it is about a long-term key, by its subject.
    pub(crate) of_key: bool,
    /// The revocation in the clear.
    pub(crate) mark: Option<PlainMark>,
    /// The event, sealed.
    pub(crate) body: Bytes,
}

/// Follows the log from one sequence number on.
pub(crate) struct Tail {
    messages: Ordered,
    next: u64,
}

impl Feed {
    /// Follows the log from sequence number `from` on.
    pub(crate) async fn tail(&self, from: u64) -> Result<Tail, FeedError> {
        let start = DeliverPolicy::ByStartSequence { start_sequence: from.max(1) };
        let messages = self.ordered(&self.0.names.log, start).await?;
        Ok(Tail { messages, next: from.max(1) })
    }

    /// What the compacted stream holds of the log's messages after `after` and below `below`, in the log's order.
    pub(crate) async fn compacted(&self, after: u64, below: u64) -> Result<Vec<Delivered>, FeedError> {
        let mut found = self.copied("").await?;
        found.retain(|message| message.seq > after && message.seq < below);
        Ok(last_of_each(found))
    }

    /// All revocations that the compacted stream holds, whichever log they are of.
    pub(crate) async fn compacted_marks(&self) -> Result<Vec<Delivered>, FeedError> {
        self.copied(&self.0.names.subject(&Place::Mark("*".to_owned()))).await
    }

    /// What the compacted stream holds under a subject, or of all that it holds, in its own order.
    async fn copied(&self, subject: &str) -> Result<Vec<Delivered>, FeedError> {
        // The server may have copied a message, under a time of its own, for as long as the log held it.
        let keeps = keeps_millis(&self.0.context, &self.0.names).await?;
        let mut found = Vec::new();
        let config = OrderedConfig { filter_subject: subject.to_owned(), ..OrderedConfig::default() };
        let take = |message: &Message, seq, info: &Info<'_>| {
            let published = millis(info.published.unix_timestamp_nanos());
            found.push(Delivered::of(message, seq, published, keeps));
        };
        self.read_copied(config, take).await?;
        Ok(found)
    }

    /// Hands on what the compacted stream holds now, as `config` says, with its number in the log; in the stream's order.
    pub(super) async fn read_copied(
        &self,
        config: OrderedConfig,
        mut take: impl FnMut(&Message, u64, &Info<'_>),
    ) -> Result<(), FeedError> {
        let config = OrderedConfig { deliver_policy: DeliverPolicy::All, ..config };
        let take = |message: &Message, info: &Info<'_>| {
            if let Some(seq) = copied_from(message) {
                take(message, seq, info);
            }
        };
        self.read_present(&self.0.names.state, config, take).await
    }

    /// Hands on what a stream holds now, as `config` says, in the stream's order.
    pub(super) async fn read_present(
        &self,
        name: &str,
        config: OrderedConfig,
        mut take: impl FnMut(&Message, &Info<'_>),
    ) -> Result<(), FeedError> {
        let consumer = self.0.context.create_consumer_on_stream(config, name).await;
        let consumer = consumer.map_err(|error| broken(&error))?;
        if consumer.cached_info().num_pending == 0 {
            return Ok(());
        }
        let mut messages = consumer.messages().await.map_err(|error| broken(&error))?;
        loop {
            let message = match tokio::time::timeout(STALLED_AFTER, messages.next()).await {
                Ok(Some(message)) => message.map_err(|error| broken(&error))?,
                Ok(None) | Err(_) => return Err(FeedError::Unreachable(format!("{name} fell silent"))),
            };
            let info = message.info().map_err(|error| broken(&error))?;
            take(&message, &info);
            if info.pending == 0 {
                return Ok(());
            }
        }
    }

    /// The place of the log's last event about a credential; `None`: it holds none.
    pub(crate) async fn last_of(
        &self,
        access_key_id: &str,
        temporary: bool,
    ) -> Result<Option<u64>, FeedError> {
        // A question that waits for the connection would hold up whoever asks.
        self.check_connected()?;
        let stream = self.0.context.get_stream_no_info(&self.0.names.log).await;
        let stream = stream.map_err(|error| broken(&error))?;
        let subject = self.0.names.subject(&Place::of_credential(access_key_id, temporary));
        match stream.get_last_raw_message_by_subject(&subject).await {
            Ok(message) => Ok(Some(message.sequence)),
            Err(error) => match error.kind() {
                RawMessageErrorKind::NoMessageFound => Ok(None),
                RawMessageErrorKind::InvalidSubject
                | RawMessageErrorKind::JetStream(_)
                | RawMessageErrorKind::Other => Err(broken(&error)),
            },
        }
    }

    /// The message that the log has at a place; `None`: none.
    pub(crate) async fn message_at(&self, seq: u64) -> Result<Option<Delivered>, FeedError> {
        let stream = self.0.context.get_stream_no_info(&self.0.names.log).await;
        let stream = stream.map_err(|error| broken(&error))?;
        match stream.get_raw_message(seq).await {
            Ok(message) => {
                let published = millis(message.time.unix_timestamp_nanos());
                let parts = (&*message.subject, Some(&message.headers), message.payload);
                Ok(Some(Delivered::from_parts(parts, seq, published, 0)))
            }
            Err(error) => match error.kind() {
                RawMessageErrorKind::NoMessageFound => Ok(None),
                RawMessageErrorKind::InvalidSubject
                | RawMessageErrorKind::JetStream(_)
                | RawMessageErrorKind::Other => Err(broken(&error)),
            },
        }
    }

    /// Which message the log has at a place; `None`: none.
    pub(crate) async fn identity_at(&self, seq: u64) -> Result<Option<u64>, FeedError> {
        Ok(self.message_at(seq).await?.map(|message| message.identity()))
    }

    async fn ordered(&self, stream: &str, start: DeliverPolicy) -> Result<Ordered, FeedError> {
        let config = OrderedConfig { deliver_policy: start, ..OrderedConfig::default() };
        let consumer = self.0.context.create_consumer_on_stream(config, stream).await;
        let consumer = consumer.map_err(|error| FeedError::Unreachable(error.to_string()))?;
        consumer.messages().await.map_err(|error| FeedError::Unreachable(error.to_string()))
    }
}

impl Tail {
    /// The next messages, as many as are there: at least one, unless `patience` runs out. Their numbers rise; where
    /// some are missing the log does not hold them.
    pub(crate) async fn next(&mut self, patience: Duration) -> Result<Vec<Delivered>, FeedError> {
        let mut batch = Vec::new();
        let first = match tokio::time::timeout(patience, self.messages.next()).await {
            Err(_) => return Ok(batch),
            Ok(first) => first,
        };
        self.take(first, &mut batch)?;
        while batch.len() < BATCH {
            match self.messages.next().now_or_never() {
                Some(message) => self.take(message, &mut batch)?,
                None => break,
            }
        }
        Ok(batch)
    }

    /// The sequence number of the last message that was read, or of the one before the first.
    pub(crate) const fn read(&self) -> u64 {
        self.next - 1
    }

    fn take(
        &mut self,
        message: Option<Result<Message, async_nats::jetstream::consumer::pull::OrderedError>>,
        batch: &mut Vec<Delivered>,
    ) -> Result<(), FeedError> {
        let message = match message {
            Some(Ok(message)) => message,
            Some(Err(error)) => return Err(broken(&error)),
            None => return Err(FeedError::Unreachable("the log fell silent".to_owned())),
        };
        let info = message.info().map_err(|error| FeedError::Unreachable(error.to_string()))?;
        let (seq, published) = (info.stream_sequence, millis(info.published.unix_timestamp_nanos()));
        // After a reconnect the server may begin again further back.
        if seq >= self.next {
            self.next = seq + 1;
            batch.push(Delivered::of(&message, seq, published, 0));
        }
        Ok(())
    }
}

impl Delivered {
    /// Tells this message from another one at the same place; never 0.
    pub(crate) fn identity(&self) -> u64 {
        identity(self.id.as_deref(), &self.body)
    }

    /// `late`: by how many milliseconds `published` may be later than the log took the message in.
    fn of(message: &Message, seq: u64, published: UnixMillis, late: i64) -> Self {
        let parts = (&*message.subject, message.headers.as_ref(), message.payload.clone());
        Self::from_parts(parts, seq, published, late)
    }

    fn from_parts(
        (subject, headers, body): (&str, Option<&HeaderMap>, Bytes),
        seq: u64,
        published: UnixMillis,
        late: i64,
    ) -> Self {
        Self {
            seq,
            published,
            sealed_since: published.plus(-late.saturating_add(MAX_AHEAD_MILLIS)),
            id: headers.and_then(|headers| headers.get(MESSAGE_ID)).map(|id| id.as_str().into()),
            revocation: is_mark(subject),
            of_key: is_key(subject),
            mark: plain_mark(headers),
            body,
        }
    }
}

/// Of messages with the same number the one that was copied last, in the order of the numbers: what was copied before is of
/// a log that is gone.
fn last_of_each(copied: Vec<Delivered>) -> Vec<Delivered> {
    let by_seq: BTreeMap<_, _> = copied.into_iter().map(|message| (message.seq, message)).collect();
    by_seq.into_values().collect()
}

fn identity(id: Option<&str>, body: &[u8]) -> u64 {
    let hash = digest::digest(&digest::SHA256, id.map_or(body, str::as_bytes));
    hash.as_ref().first_chunk().map_or(1, |first| u64::from_be_bytes(*first)).max(1)
}

pub(super) fn copied_from(message: &Message) -> Option<u64> {
    let source = message.headers.as_ref()?.get(COPIED_FROM)?;
    source.as_str().split(' ').nth(1)?.parse().ok()
}

pub(super) fn broken(error: &impl ToString) -> FeedError {
    FeedError::Unreachable(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_two_logs_that_used_the_same_numbers_the_last_one_is_read() {
        let message = |seq: u64, body: &'static str| Delivered {
            seq,
            published: UnixMillis(0),
            sealed_since: UnixMillis(0),
            id: None,
            revocation: false,
            of_key: true,
            mark: None,
            body: Bytes::from_static(body.as_bytes()),
        };
        let copied = [(3, "former"), (9, "former"), (1, "present"), (3, "present"), (4, "present")];
        let read = last_of_each(copied.map(|(seq, body)| message(seq, body)).into());
        let read: Vec<_> = read.iter().map(|message| (message.seq, &*message.body)).collect();
        let (former, present) = (&b"former"[..], &b"present"[..]);
        assert_eq!(read, [(1, present), (3, present), (4, present), (9, former)]);
    }
}
