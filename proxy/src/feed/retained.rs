//! What the compacted stream holds of revocations that the log no longer has: finding it, and dropping it.

use async_nats::jetstream::consumer::DeliverPolicy;
use async_nats::jetstream::consumer::pull::OrderedConfig;
use async_nats::jetstream::stream::RawMessageErrorKind;
use futures_util::StreamExt;

use super::message::{Place, PlainMark, plain_mark};
use super::tail::{STALLED_AFTER, broken, copied_from};
use super::{Feed, FeedError};

/// A revocation that the compacted stream holds and the log no longer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Retained {
    /// The revocation in the clear.
    pub(crate) mark: PlainMark,
    subject: String,
    /// Its place in the compacted stream.
    place: u64,
}

impl Feed {
    /// The revocations that the compacted stream holds from before the log's first message. Those that do not say in
    /// the clear what they revoke are not among them.
    pub(crate) async fn retained_marks(&self) -> Result<Vec<Retained>, FeedError> {
        let first = self.bounds().await?.first;
        let config = OrderedConfig {
            deliver_policy: DeliverPolicy::All,
            filter_subject: self.0.names.subject(&Place::Mark("*".to_owned())),
            headers_only: true,
            ..OrderedConfig::default()
        };
        let consumer = self.0.context.create_consumer_on_stream(config, &self.0.names.state).await;
        let consumer = consumer.map_err(|error| broken(&error))?;
        let mut found = Vec::new();
        if consumer.cached_info().num_pending == 0 {
            return Ok(found);
        }
        let mut messages = consumer.messages().await.map_err(|error| broken(&error))?;
        loop {
            let message = tokio::time::timeout(STALLED_AFTER, messages.next()).await;
            let message = match message {
                Ok(Some(message)) => message.map_err(|error| broken(&error))?,
                Ok(None) | Err(_) => return Err(broken(&"the compacted stream fell silent")),
            };
            let info = message.info().map_err(|error| broken(&error))?;
            let (place, pending) = (info.stream_sequence, info.pending);
            if copied_from(&message).is_some_and(|seq| seq < first)
                && let Some(mark) = plain_mark(message.headers.as_ref())
            {
                found.push(Retained { mark, subject: message.subject.to_string(), place });
            }
            if pending == 0 {
                return Ok(found);
            }
        }
    }

    /// Whether the compacted stream holds anything of a long-term key, be it that it was deleted.
    pub(crate) async fn retains_key(&self, access_key_id: &str) -> Result<bool, FeedError> {
        let stream = self.0.context.get_stream_no_info(&self.0.names.state).await;
        let stream = stream.map_err(|error| broken(&error))?;
        let subject = self.0.names.subject(&Place::of_credential(access_key_id, false));
        match stream.get_last_raw_message_by_subject(&subject).await {
            Ok(_) => Ok(true),
            Err(error) => match error.kind() {
                RawMessageErrorKind::NoMessageFound => Ok(false),
                RawMessageErrorKind::InvalidSubject
                | RawMessageErrorKind::JetStream(_)
                | RawMessageErrorKind::Other => Err(broken(&error)),
            },
        }
    }

    /// Drops a revocation from the compacted stream, but none of the same scope that came later.
    pub(crate) async fn drop_retained(&self, retained: &Retained) -> Result<(), FeedError> {
        let stream = self.0.context.get_stream_no_info(&self.0.names.state).await;
        let stream = stream.map_err(|error| broken(&error))?;
        let purge = stream.purge().filter(&retained.subject).sequence(retained.place + 1);
        purge.await.map(drop).map_err(|error| broken(&error))
    }
}
