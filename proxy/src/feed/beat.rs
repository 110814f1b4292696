//! Beats: core messages that every gateway hears and nobody keeps.
//!
//! - The list of marks: all revocations in force, with the time it was made and the time by which the next one comes,
//!   so that silence can be measured, and a revocation that the log lost comes back. How far the log reaches it says
//!   for information: whoever hears a list asks the server, and having applied that much knows everything up to
//!   `this_update`.
//! - Presence: who is there, and how much of the log they have applied.
//!
//! Whichever gateway first misses the list says it; the others hear it and stay silent.

use async_nats::Subscriber;
use bytes::Bytes;
use futures_util::StreamExt;
use serde::{Deserialize, Serialize};

use super::{Feed, FeedError};
use crate::clock::UnixMillis;

/// The form of beats. Within it fields may be added; another version is ignored.
const VERSION: u8 = 1;

/// Bytes of marks in one message, well below what servers take by default.
const PART_BYTES: usize = 512 << 10;

/// What is heard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Beat {
    List(MarkList),
    Presence(Presence),
}

/// All marks in force, or one part of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct MarkList {
    version: u8,
    /// Who says so.
    pub(crate) gateway: String,
    /// When it was made.
    pub(crate) this_update: UnixMillis,
    /// By when the next one comes.
    pub(crate) next_update: UnixMillis,
    /// Last sequence number of the log when it was made.
    pub(crate) head: u64,
    /// What the sayer read of the log, so that others can tell whether they read the same.
    #[serde(default)]
    pub(crate) checkpoint: Option<Checkpoint>,
    /// 1 to `parts`.
    pub(crate) part: usize,
    pub(crate) parts: usize,
    /// Key and time of each mark, as the store keeps them.
    pub(crate) marks: Vec<(String, UnixMillis)>,
}

/// What the messages of the log up to some place were.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Checkpoint {
    pub(crate) seq: u64,
    pub(crate) digest: String,
    /// How many long-term keys were live after them, as far as the sayer can tell: those of the log, in whatever status.
    /// Older gateways do not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) live: Option<u64>,
}

/// That a gateway is there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Presence {
    version: u8,
    /// Its name.
    pub(crate) gateway: String,
    /// Sequence number up to which it has applied the log.
    pub(crate) applied: u64,
}

/// What is heard from now on.
pub(crate) struct Beats(Subscriber);

impl MarkList {
    /// The list in as many parts as it takes.
    pub(crate) fn parts(
        gateway: &str,
        (this_update, next_update): (UnixMillis, UnixMillis),
        (head, checkpoint): (u64, Option<Checkpoint>),
        marks: Vec<(String, UnixMillis)>,
    ) -> Vec<Self> {
        let mut portions = vec![Vec::new()];
        let mut bytes = 0;
        for mark in marks {
            bytes += mark.0.len() + 32;
            if bytes > PART_BYTES {
                portions.push(Vec::new());
                bytes = mark.0.len() + 32;
            }
            if let Some(portion) = portions.last_mut() {
                portion.push(mark);
            }
        }
        let parts = portions.len();
        let list = |(at, marks)| Self {
            version: VERSION,
            gateway: gateway.to_owned(),
            this_update,
            next_update,
            head,
            checkpoint: checkpoint.clone(),
            part: at + 1,
            parts,
            marks,
        };
        portions.into_iter().enumerate().map(list).collect()
    }
}

impl Presence {
    pub(crate) fn new(gateway: &str, applied: u64) -> Self {
        Self { version: VERSION, gateway: gateway.to_owned(), applied }
    }
}

impl Feed {
    /// Hears beats from now on, through every loss of the connection.
    pub(crate) async fn beats(&self) -> Result<Beats, FeedError> {
        let subscribed = self.0.context.client().subscribe(self.0.names.beat("*")).await;
        subscribed.map(Beats).map_err(|error| FeedError::Unreachable(error.to_string()))
    }

    /// Says the list of marks.
    pub(crate) async fn say_list(&self, parts: &[MarkList]) -> Result<(), FeedError> {
        for part in parts {
            self.say("marks", part).await?;
        }
        Ok(())
    }

    /// Says that this gateway is there.
    pub(crate) async fn say_presence(&self, presence: &Presence) -> Result<(), FeedError> {
        self.say("gateway", presence).await
    }

    async fn say(&self, what: &str, content: &impl Serialize) -> Result<(), FeedError> {
        let body = serde_json::to_vec(content).map_err(|error| FeedError::Refused(error.to_string()))?;
        // What is said while nobody can hear it is said too late afterwards.
        self.check_connected()?;
        let said = self.0.context.client().publish(self.0.names.beat(what), Bytes::from(body)).await;
        said.map_err(|error| FeedError::Unreachable(error.to_string()))
    }
}

impl Beats {
    /// The next beat; `None` when the connection is given up. What is no beat of this version is passed over.
    pub(crate) async fn next(&mut self) -> Option<Beat> {
        loop {
            let message = self.0.next().await?;
            match parse(message.subject.rsplit('.').next().unwrap_or_default(), &message.payload) {
                Some(beat) => return Some(beat),
                None => tracing::warn!(subject = %message.subject, "a beat that is not understood"),
            }
        }
    }
}

fn parse(what: &str, body: &[u8]) -> Option<Beat> {
    match what {
        "marks" => {
            let list: MarkList = serde_json::from_slice(body).ok()?;
            (list.version == VERSION).then_some(Beat::List(list))
        }
        "gateway" => {
            let presence: Presence = serde_json::from_slice(body).ok()?;
            (presence.version == VERSION).then_some(Beat::Presence(presence))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_list_comes_in_parts_that_servers_take() {
        let marks: Vec<_> =
            (0..1_000).map(|n| (format!("{n}{}", "x".repeat(2_000)), UnixMillis(n))).collect();
        let parts = MarkList::parts("a", (UnixMillis(1), UnixMillis(2)), (7, None), marks.clone());
        assert!(parts.len() > 1);
        for (at, part) in parts.iter().enumerate() {
            assert_eq!((part.part, part.parts, part.head), (at + 1, parts.len(), 7));
            let bytes = serde_json::to_vec(part).unwrap();
            assert!(bytes.len() < 1 << 20);
            assert_eq!(parse("marks", &bytes), Some(Beat::List(part.clone())));
        }
        assert_eq!(parts.into_iter().flat_map(|part| part.marks).collect::<Vec<_>>(), marks);
    }

    #[test]
    fn an_empty_list_is_one_part() {
        assert_eq!(MarkList::parts("a", (UnixMillis(1), UnixMillis(2)), (0, None), Vec::new()).len(), 1);
    }

    #[test]
    fn a_checkpoint_without_a_count_reads_and_one_with_a_count_is_read_by_who_knows_none() {
        let checkpoint = |text: &str| serde_json::from_str::<Checkpoint>(text).unwrap();
        let older = checkpoint(r#"{"seq":7,"digest":"d"}"#);
        assert_eq!(older, Checkpoint { seq: 7, digest: "d".into(), live: None });
        assert_eq!(serde_json::to_string(&older).unwrap(), r#"{"seq":7,"digest":"d"}"#);
        let newer = Checkpoint { live: Some(3), ..older };
        let text = serde_json::to_string(&newer).unwrap();
        assert_eq!(checkpoint(&text), newer);
        #[derive(serde::Deserialize)]
        struct Older {
            seq: u64,
            digest: String,
        }
        let read: Older = serde_json::from_str(&text).unwrap();
        assert_eq!((read.seq, read.digest.as_str()), (7, "d"));
    }

    #[test]
    fn another_version_is_no_beat_of_ours() {
        let ours = serde_json::to_string(&Presence::new("a", 3)).unwrap();
        assert!(parse("gateway", ours.as_bytes()).is_some());
        assert!(parse("gateway", ours.replace("\"version\":1", "\"version\":2").as_bytes()).is_none());
        assert!(parse("else", ours.as_bytes()).is_none() && parse("gateway", b"{").is_none());
    }
}
