//! What events come to, one after the other: long-term keys and marks. Sessions are put if absent, and need no folding.
//!
//! Of an embedded log the events are gone that created keys as they no longer are, so what is left of the story of a key
//! may begin in its middle. Its end is always there.

use std::collections::BTreeMap;

use super::super::known::keep_age;
use super::super::revocations::Mark;
use crate::clock::UnixMillis;
use crate::events::{Event, EventData, LoggedEvent};
use crate::iam::{AccessKeyId, Credential, KeyStatus};

/// The state so far.
#[derive(Default)]
pub(super) struct Fold {
    pub(super) keys: BTreeMap<AccessKeyId, FoldedKey>,
    /// Times by the keys of marks.
    pub(super) marks: BTreeMap<String, UnixMillis>,
    live: u64,
}

/// A long-term key, as its last event left it.
#[derive(Clone)]
pub(super) struct FoldedKey {
    /// Place of the last event.
    pub(super) seq: u64,
    /// Source, id and time of the last event.
    pub(super) source: String,
    pub(super) id: String,
    pub(super) time: UnixMillis,
    /// Whether a gateway's configuration or one of its sources declares it.
    pub(super) declared: bool,
    /// `None`: it was deleted.
    pub(super) credential: Option<Credential>,
}

impl Fold {
    pub(super) fn add(&mut self, seq: u64, logged: &LoggedEvent) {
        let event = &logged.event;
        match &event.data {
            EventData::CredentialIssued(_) => {}
            EventData::AccessKeyCreated(credential) => self.created(seq, event, credential),
            EventData::AccessKeyStatus { access_key_id, status } => {
                let Some(known) = self.keys.get(access_key_id) else { return };
                let Some(mut credential) = known.credential.clone() else { return };
                credential.status = *status;
                if *status == KeyStatus::Inactive {
                    self.end_issued(access_key_id, event);
                }
                self.put(access_key_id, FoldedKey::new(seq, event, Some(credential)));
            }
            EventData::AccessKeyDeleted { access_key_id } => {
                self.end_issued(access_key_id, event);
                self.put(access_key_id, FoldedKey::new(seq, event, None));
            }
            EventData::SessionRevoked { scope, cascade, issued_before, .. } => {
                self.raise(&Mark::of(scope, *cascade, *issued_before));
            }
        }
    }

    pub(super) fn raise(&mut self, mark: &Mark) {
        let before = self.marks.entry(mark.key()).or_insert(mark.before);
        *before = mark.before.max(*before);
    }

    /// How many long-term keys there are, those of configurations left out.
    pub(super) fn live(&self) -> u64 {
        self.live
    }

    fn put(&mut self, id: &AccessKeyId, key: FoldedKey) {
        self.live += u64::from(key.is_live());
        let former = self.keys.insert(id.clone(), key);
        self.live -= u64::from(former.is_some_and(|former| former.is_live()));
    }

    fn created(&mut self, seq: u64, event: &Event, credential: &Credential) {
        let id = &credential.access_key_id;
        let known = self.keys.get(id).and_then(|known| known.credential.as_ref());
        let mut credential = credential.clone();
        if let Some(known) = known
            && (!keep_age(known, &mut credential) || credential.status == KeyStatus::Inactive)
        {
            self.end_issued(id, event);
        }
        self.put(id, FoldedKey::new(seq, event, Some(credential)));
    }

    /// At the least: the log that took the event in may have dated it later.
    fn end_issued(&mut self, id: &AccessKeyId, event: &Event) {
        self.raise(&Mark::issued_to(id, event.time.plus(1)));
    }
}

impl FoldedKey {
    fn is_live(&self) -> bool {
        !self.declared && self.credential.is_some()
    }

    fn new(seq: u64, event: &Event, credential: Option<Credential>) -> Self {
        Self {
            seq,
            source: event.source.clone(),
            id: event.id.clone(),
            time: event.time,
            declared: Event::is_declaration(&event.source),
            credential,
        }
    }
}
