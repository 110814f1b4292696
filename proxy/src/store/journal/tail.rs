//! `tail`: events as they come.

use std::time::Duration;

use serde_json::{Value, json};

use super::lines::{Sink, Stopped};
use super::{Entry, EventLog, Lines};
use crate::clock::UnixMillis;
use crate::events::{Event, EventData, Keyring, RevocationScope, cloudevents, read_event};
use crate::iam::AccessKeyId;

/// How long to wait for an event before looking around.
const PATIENCE: Duration = Duration::from_secs(1);

/// Rounds without an event after which an empty line is written: so that a reader who is gone is noticed.
const IDLE_ROUNDS: u32 = 15;

/// Rounds without an event after which a log has no more that was to be read: its last ones were removed.
const OVER_ROUNDS: u32 = 3;

/// Where to begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Since {
    /// With the event of this sequence number, or the first after it that is there.
    Seq(u64),
    /// With the first event that the log took in at this time or later.
    Time(UnixMillis),
    /// With the next event that comes.
    Now,
}

/// Which events to show.
#[derive(Clone, Debug)]
pub struct TailOptions {
    /// Where to begin.
    pub since: Since,
    /// Whether to go on with what comes.
    pub follow: bool,
    /// Of these types only, with or without `io.sigward.` and `.v1`; of all if there are none.
    pub types: Vec<String>,
    /// Only what is about this credential, or about sessions issued to it.
    pub access_key_id: Option<AccessKeyId>,
}

impl EventLog {
    /// Events as CloudEvents 1.0 JSON without anything secret, with the extension attributes `sequence`, the place in the
    /// log in 20 digits, and `recordedtime`, when the log took it in. An event that cannot be read is a line of `sequence`
    /// and `unreadable`, the reason. Ends when `ending` says so, if not before.
    ///
    /// Sources: <https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/extensions/sequence.md>,
    /// <https://github.com/cloudevents/spec/blob/main/cloudevents/extensions/recorded-time.md>
    pub fn tail_lines(
        &self,
        options: TailOptions,
        ending: impl Fn() -> bool + Send + Sync + 'static,
    ) -> Lines {
        let (mut sink, lines) = Sink::new();
        let log = self.clone();
        tokio::spawn(async move {
            let done = log.show(&options, &ending, &mut sink).await;
            sink.end(done).await;
        });
        lines
    }

    async fn show(
        &self,
        options: &TailOptions,
        ending: &(impl Fn() -> bool + Sync),
        sink: &mut Sink,
    ) -> Result<(), Stopped> {
        let head = self.head().await?;
        let after = match options.since {
            Since::Seq(seq) => seq.saturating_sub(1),
            Since::Time(_) => 0,
            Since::Now => head.last,
        };
        if !options.follow && after >= head.last {
            return Ok(());
        }
        let mut tail = self.tail(after.max(head.first.saturating_sub(1))).await?;
        let mut quiet = 0;
        while !ending() {
            let Some(entries) = tail.next(PATIENCE).await? else { return Ok(()) };
            quiet = if entries.is_empty() { quiet + 1 } else { 0 };
            let last = entries.last().map_or(0, |entry| entry.seq);
            for entry in entries {
                if let Some(line) = options.line(&entry, &self.keyring) {
                    sink.line(&line).await?;
                }
            }
            sink.flush().await?;
            if !options.follow && (last >= head.last || quiet >= OVER_ROUNDS) {
                return Ok(());
            }
            if quiet > 0 && quiet.is_multiple_of(IDLE_ROUNDS) {
                sink.idle().await?;
            }
        }
        Ok(())
    }
}

impl TailOptions {
    fn line(&self, entry: &Entry, keyring: &Keyring) -> Option<Value> {
        let sequence = format!("{:020}", entry.seq);
        let logged = match read_event(&entry.row, keyring) {
            Ok(logged) => logged,
            // What it is about nobody can tell.
            Err(error) => return Some(json!({ "sequence": sequence, "unreadable": error.to_string() })),
        };
        if matches!(self.since, Since::Time(time) if logged.recorded_at < time) || !self.wants(&logged.event)
        {
            return None;
        }
        let mut line = cloudevents::to_json(&logged.event);
        line["sequence"] = json!(sequence);
        line["recordedtime"] = json!(logged.recorded_at.to_rfc3339());
        Some(line)
    }

    fn wants(&self, event: &Event) -> bool {
        let is = |wanted: &String| cloudevents::is_type(&event.data, wanted);
        let typed = self.types.is_empty() || self.types.iter().any(is);
        typed && self.access_key_id.as_ref().is_none_or(|id| is_about(&event.data, id))
    }
}

fn is_about(data: &EventData, id: &AccessKeyId) -> bool {
    match data {
        EventData::CredentialIssued(credential) | EventData::AccessKeyCreated(credential) => {
            let parent =
                credential.session.as_ref().and_then(|session| session.parent_access_key_id.as_ref());
            credential.access_key_id == *id || parent == Some(id)
        }
        EventData::AccessKeyStatus { access_key_id, .. } | EventData::AccessKeyDeleted { access_key_id } => {
            access_key_id == id
        }
        EventData::SessionRevoked { scope, .. } => match scope {
            RevocationScope::AccessKey(revoked)
            | RevocationScope::SessionId(revoked)
            | RevocationScope::IssuedTo(revoked) => revoked == id,
            RevocationScope::Principal(_)
            | RevocationScope::Role(_)
            | RevocationScope::Account(_)
            | RevocationScope::SessionName { .. }
            | RevocationScope::IdentityProvider(_)
            | RevocationScope::SourceIdentity(_) => false,
        },
    }
}
