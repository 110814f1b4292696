//! What the compacted stream holds of revocations that the log no longer has: finding it, and dropping it.

use async_nats::jetstream::Message;
use async_nats::jetstream::consumer::pull::OrderedConfig;
use async_nats::jetstream::message::Info;
use async_nats::jetstream::stream::RawMessageErrorKind;

use super::message::{Place, PlainMark, plain_mark};
use super::tail::broken;
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
            filter_subject: self.0.names.subject(&Place::Mark("*".to_owned())),
            headers_only: true,
            ..OrderedConfig::default()
        };
        let mut found = Vec::new();
        let take = |message: &Message, seq, info: &Info<'_>| {
            if seq < first
                && let Some(mark) = plain_mark(message.headers.as_ref())
            {
                let (subject, place) = (message.subject.to_string(), info.stream_sequence);
                found.push(Retained { mark, subject, place });
            }
        };
        self.read_copied(config, take).await?;
        Ok(found)
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
