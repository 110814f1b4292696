//! `verify` of a log in JetStream: its order and its gaps, each message, whether what is compacted is what the log comes
//! to, and whether gateways that are there have read the same.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::json;

use super::super::revocations::Mark;
use super::super::shared::{Comparison, Trail, foreign, plain_mark, replayed};
use super::fold::Fold;
use super::lines::Stopped;
use super::verify::Findings;
use super::{EventLog, StoreError};
use crate::events::{Event, EventData, LoggedEvent};
use crate::feed::{Beat, Bounds, Checkpoint, Delivered, Feed, message_id};

/// How long to wait for a message that is due, and for the server to copy what it has taken in.
const PATIENCE: Duration = Duration::from_secs(3);

/// Pause before what is compacted is looked at again.
const AGAIN_AFTER: Duration = Duration::from_millis(200);

/// Heartbeats within which a checkpoint is said, if there is a gateway to say it.
const BEATS: u32 = 2;

/// The messages read so far, and what they come to.
struct Reading {
    fold: Fold,
    trail: Trail,
    /// Of each long-term key and each mark, its last message.
    last: BTreeMap<String, (u64, u64)>,
    /// Messages of which nobody here can tell what they are about.
    unread: BTreeSet<u64>,
    next: u64,
    /// Whether the log is read from its first event on: only then what was live at places within it can be told.
    whole: bool,
}

impl EventLog {
    pub(super) async fn verify_stream(&self, feed: &Feed, found: &mut Findings) -> Result<(), Stopped> {
        let mut beats = feed.beats().await.map_err(StoreError::from)?;
        let bounds = feed.bounds().await.map_err(StoreError::from)?;
        let mut reading = Reading::new(bounds.first);
        for message in feed.compacted(0, bounds.first).await.map_err(StoreError::from)? {
            reading.compacted(&message, self, found);
        }
        let copied = self.check_compacted(feed, bounds.first, &mut reading, found).await?;
        let mut checkpoints = 0;
        let heard = async {
            while let Some(beat) = beats.next().await {
                let Beat::List(list) = beat else { continue };
                let Some(checkpoint) = &list.checkpoint else { continue };
                if reading.check(checkpoint, &list.gateway, found) {
                    checkpoints += 1;
                    return;
                }
            }
        };
        // A log that no gateway uses has nobody who says anything.
        let _ = tokio::time::timeout(feed.options().heartbeat * BEATS, heard).await;
        found.finish(json!({
            "log": "jetstream", "position": reading.next - 1, "access_keys": reading.fold.live(),
            "compacted": copied, "checkpoints": checkpoints,
        }));
        Ok(())
    }

    /// Reads on, up to where the log is now.
    async fn read_messages(
        &self,
        feed: &Feed,
        reading: &mut Reading,
        found: &mut Findings,
    ) -> Result<(), Stopped> {
        let Bounds { first, last, .. } = feed.bounds().await.map_err(StoreError::from)?;
        // What it has dropped at its beginning meanwhile is no gap.
        reading.next = reading.next.max(first);
        if reading.next > last {
            return Ok(());
        }
        let mut tail = feed.tail(reading.next).await.map_err(StoreError::from)?;
        while reading.next <= last {
            let messages = tail.next(PATIENCE).await.map_err(StoreError::from)?;
            if messages.is_empty() {
                break;
            }
            for message in &messages {
                reading.gap(message.seq, found);
                reading.message(message, self, found);
            }
            found.flush().await?;
        }
        reading.gap(last + 1, found);
        Ok(())
    }

    /// Reads all of the log, and whether what is compacted is the last message of each key and each mark. Returns how much
    /// is compacted.
    async fn check_compacted(
        &self,
        feed: &Feed,
        first: u64,
        reading: &mut Reading,
        found: &mut Findings,
    ) -> Result<usize, Stopped> {
        let began = tokio::time::Instant::now();
        loop {
            self.read_messages(feed, reading, found).await?;
            let compacted = feed.compacted(0, u64::MAX).await.map_err(StoreError::from)?;
            let there: BTreeMap<u64, u64> =
                compacted.iter().map(|message| (message.seq, message.identity())).collect();
            let mut faults = reading.not_compacted(&there);
            faults.extend(reading.not_last(first, &there));
            // The server copies a little later than it takes in, and what has come since replaces what was.
            if faults.is_empty() || began.elapsed() >= PATIENCE {
                for (seq, fault) in faults {
                    found.fault(format_args!("event {seq}"), fault);
                }
                return Ok(compacted.len());
            }
            tokio::time::sleep(AGAIN_AFTER).await;
        }
    }
}

impl Reading {
    fn new(first: u64) -> Self {
        Self {
            fold: Fold::default(),
            trail: Trail::default(),
            last: BTreeMap::new(),
            unread: BTreeSet::new(),
            next: first,
            whole: first == 1,
        }
    }

    /// Numbers that the log passes over. It drops messages at its beginning only.
    fn gap(&mut self, seq: u64, found: &mut Findings) {
        if seq > self.next {
            let missing = match seq - self.next {
                1 => format!("event {}", self.next),
                _ => format!("events {} to {}", self.next, seq - 1),
            };
            found.fault(missing, "the log lacks them: a gap");
        }
        self.next = self.next.max(seq);
    }

    /// A message from before the log's beginning.
    fn compacted(&mut self, message: &Delivered, log: &EventLog, found: &mut Findings) {
        if let Some(logged) = found.read(message.seq, &message.body, &log.keyring) {
            self.fold.add(message.seq, &logged);
        }
    }

    fn message(&mut self, message: &Delivered, log: &EventLog, found: &mut Findings) {
        self.next = message.seq + 1;
        let place = format!("event {}", message.seq);
        match found.read(message.seq, &message.body, &log.keyring) {
            Some(logged) => self.logged(&place, message, &logged, found),
            None => drop(self.unread.insert(message.seq)),
        }
        let live = self.whole && self.unread.is_empty();
        self.trail.add(message.seq, message.identity(), live.then(|| self.fold.live()));
    }

    fn logged(&mut self, place: &str, message: &Delivered, logged: &LoggedEvent, found: &mut Findings) {
        let event = &logged.event;
        if message.id.as_deref() != Some(&*message_id(&event.source, &event.id)) {
            found.fault(place, "its message id is not that of its source and id");
        }
        if message.mark != plain_mark(event) {
            found.fault(place, "its headers say another revocation than its body");
        }
        if let Some(about) = about(event) {
            self.last.insert(about, (message.seq, message.identity()));
        }
        if replayed(message) {
            found.fault(place, "was sealed long before it got to the log: no gateway applies it");
        } else if let Some(foreign) = foreign(event) {
            found.fault(place, format_args!("no gateway applies it: {foreign}"));
        } else {
            self.fold.add(message.seq, logged);
        }
    }

    fn not_compacted(&self, there: &BTreeMap<u64, u64>) -> Vec<(u64, String)> {
        let lacking = self.last.iter().filter(|(_, (seq, identity))| there.get(seq) != Some(identity));
        lacking
            .map(|(about, (seq, _))| (*seq, format!("is the last about {about}, and not compacted")))
            .collect()
    }

    fn not_last(&self, first: u64, there: &BTreeMap<u64, u64>) -> Vec<(u64, String)> {
        let last: BTreeSet<u64> = self.last.values().map(|(seq, _)| *seq).collect();
        let read = there.keys().filter(|seq| (first..self.next).contains(seq));
        let other = read.filter(|seq| !last.contains(seq) && !self.unread.contains(seq));
        other.map(|seq| (*seq, "is compacted, and not the last about anything".to_owned())).collect()
    }

    /// Whether a checkpoint could be compared.
    fn check(&self, checkpoint: &Checkpoint, gateway: &str, found: &mut Findings) -> bool {
        let fault = match self.trail.compare(checkpoint) {
            None => return false,
            Some(Comparison::Same) => return true,
            Some(Comparison::OtherLog) => format!("gateway {gateway} has read another log up to here"),
            Some(Comparison::OtherState { here, there }) => {
                format!("the log comes to {here} long-term keys here; gateway {gateway} has {there}")
            }
        };
        found.fault(format_args!("event {}", checkpoint.seq), fault);
        true
    }
}

/// What an event is the state of.
fn about(event: &Event) -> Option<String> {
    match &event.data {
        EventData::CredentialIssued(_) => None,
        EventData::AccessKeyCreated(credential) => Some(format!("access key {}", credential.access_key_id)),
        EventData::AccessKeyStatus { access_key_id, .. } | EventData::AccessKeyDeleted { access_key_id } => {
            Some(format!("access key {access_key_id}"))
        }
        EventData::SessionRevoked { scope, cascade, issued_before, .. } => {
            Some(format!("revocation {}", Mark::of(scope, *cascade, *issued_before).key()))
        }
    }
}
