//! Bringing the long-term keys that are declared, in the configuration or by its sources, to their declared state, by
//! events.
//!
//! An access key id belongs to one place. Whoever comes first in this order has it, and the others are told:
//!
//! 1. the log: a session, or a key that came by an event;
//! 2. the configuration itself; there a conflict with the log is an error, and nothing is changed;
//! 3. its sources, in the order of the configuration, each in its own order.

use std::collections::{BTreeMap, BTreeSet};

use sigv4::SecretAccessKey;

use super::error::{Conflict, StoreError};
use crate::clock::UnixMillis;
use crate::events::{Event, EventData, RowError, StoredCredential};
use crate::iam::{AccessKeyId, Credential, KeyStatus, Principal, random_id};

/// A long-term key of the configuration, or of one of its sources.
#[derive(Clone, Debug)]
pub struct DeclaredKey {
    /// Access key id.
    pub access_key_id: AccessKeyId,
    /// Secret access key.
    pub secret: SecretAccessKey,
    /// Who it speaks for.
    pub principal: Principal,
    /// Whether it may be used.
    pub status: KeyStatus,
    /// From when on it is as if it were not declared.
    pub not_after: Option<UnixMillis>,
}

impl DeclaredKey {
    /// Whether it has not ended yet.
    pub fn is_live(&self, now: UnixMillis) -> bool {
        self.not_after.is_none_or(|end| now < end)
    }
}

/// What one place declares.
#[derive(Clone, Debug)]
pub struct Declaration {
    /// The place, as the source of events: [`Event::CONFIG_SOURCE`], or [`Event::KEY_SOURCES`] and a name.
    pub source: String,
    /// All of its keys; `None`: it has not been read since this process started, and what is known of it stays.
    pub keys: Option<Vec<DeclaredKey>>,
}

impl Declaration {
    /// By the configuration itself.
    pub fn of_config(keys: Vec<DeclaredKey>) -> Self {
        Self { source: Event::CONFIG_SOURCE.to_owned(), keys: Some(keys) }
    }
}

/// What reconciling the declared keys changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reconciled {
    /// Keys that are new.
    pub created: usize,
    /// Keys whose secret, principal, status, end or place changed.
    pub changed: usize,
    /// Keys that were declared before and no longer are.
    pub deleted: usize,
    /// Keys of sources that are not in force, because their ids belong to others.
    pub conflicts: Vec<KeyConflict>,
    /// Keys in force as they are declared, but revoked: for good, whatever is declared under their ids.
    pub revoked: Vec<AccessKeyId>,
    /// When the first of the declared keys ends: then this is to be done again.
    pub next_end: Option<UnixMillis>,
}

/// A key of a source that is not in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyConflict {
    /// The place that declares it in vain.
    pub source: String,
    /// Which key.
    pub access_key_id: AccessKeyId,
    /// Who has it.
    pub reason: Conflict,
}

/// What the store knows of access key ids.
pub(super) struct Known {
    /// All long-term keys.
    pub(super) keys: Vec<StoredCredential>,
    /// Those of the declared ids that are sessions'.
    pub(super) sessions: Vec<AccessKeyId>,
}

/// The events that lead from `known` to `declared`. Pure: nothing is touched when a key of the configuration collides.
pub(super) fn plan(
    known: &Known,
    declared: &[Declaration],
    now: UnixMillis,
) -> Result<(Vec<Event>, Reconciled), StoreError> {
    let stored: BTreeMap<_, _> = known.keys.iter().map(|key| (&key.credential.access_key_id, key)).collect();
    let mut done = Reconciled::default();
    let wanted = wanted(known, &stored, declared, (now, &mut done))?;
    let mut events = Vec::new();
    for (id, (source, key)) in &wanted {
        done.next_end = [done.next_end, key.not_after].into_iter().flatten().min();
        let old = stored.get(*id);
        let change = match old {
            None => Some(create(key, now)),
            Some(old) if old.source != *source => Some(create(key, now)),
            Some(old) => change(&old.credential, key, now),
        };
        let Some(change) = change else { continue };
        done.created += usize::from(old.is_none());
        done.changed += usize::from(old.is_some());
        events.push(event(change, source, now)?);
    }
    for (id, old) in stored.iter().filter(|(id, _)| !wanted.contains_key(**id)) {
        // Events have it.
        if !Event::is_declaration(&old.source) {
            continue;
        }
        let unread = declared.iter().any(|place| place.source == old.source && place.keys.is_none());
        let end = old.credential.not_after;
        if unread && end.is_none_or(|end| now < end) {
            done.next_end = [done.next_end, end].into_iter().flatten().min();
            continue;
        }
        done.deleted += 1;
        let gone = EventData::AccessKeyDeleted { access_key_id: (*id).clone() };
        events.push(event(gone, &old.source, now)?);
    }
    Ok((events, done))
}

/// The keys that are to be, each with its place. Those of sources that cannot be are noted.
fn wanted<'a>(
    known: &Known,
    stored: &BTreeMap<&AccessKeyId, &StoredCredential>,
    declared: &'a [Declaration],
    (now, done): (UnixMillis, &mut Reconciled),
) -> Result<BTreeMap<&'a AccessKeyId, (&'a str, &'a DeclaredKey)>, StoreError> {
    let (mut wanted, mut unread) = (BTreeMap::new(), BTreeSet::new());
    for place in declared {
        if place.keys.is_none() {
            unread.insert(&*place.source);
        }
        for key in place.keys.iter().flatten().filter(|key| key.is_live(now)) {
            let id = &key.access_key_id;
            let by_event = |old: &&&StoredCredential| !Event::is_declaration(&old.source);
            // Of an earlier source that has yet to be read: it says the same as before until it says something else.
            let kept = |old: &&StoredCredential| {
                unread.contains(&*old.source) && old.credential.not_after.is_none_or(|end| now < end)
            };
            let conflict = if wanted.contains_key(id) || stored.get(id).copied().is_some_and(|old| kept(&old))
            {
                Some(Conflict::DeclaredTwice)
            } else if known.sessions.contains(id) {
                Some(Conflict::IsSession)
            } else {
                stored.get(id).filter(by_event).map(|_| Conflict::NotDeclared)
            };
            match conflict {
                None => drop(wanted.insert(id, (&*place.source, key))),
                Some(reason) if place.source == Event::CONFIG_SOURCE => {
                    return Err(StoreError::conflict(id, reason));
                }
                Some(reason) => done.conflicts.push(KeyConflict {
                    source: place.source.clone(),
                    access_key_id: id.clone(),
                    reason,
                }),
            }
        }
    }
    Ok(wanted)
}

fn change(old: &Credential, key: &DeclaredKey, now: UnixMillis) -> Option<EventData> {
    let same_secret = old.secret.expose_secret() == key.secret.expose_secret();
    if !same_secret || old.principal != key.principal || old.not_after != key.not_after {
        return Some(create(key, now));
    }
    (old.status != key.status)
        .then(|| EventData::AccessKeyStatus { access_key_id: key.access_key_id.clone(), status: key.status })
}

fn create(key: &DeclaredKey, now: UnixMillis) -> EventData {
    EventData::AccessKeyCreated(Credential {
        access_key_id: key.access_key_id.clone(),
        secret: key.secret.clone(),
        principal: key.principal.clone(),
        issued_at: now,
        status: key.status,
        not_after: key.not_after,
        declared: true,
        session: None,
    })
}

/// The id is random: the same change may have to be made again after it was undone.
fn event(data: EventData, source: &str, time: UnixMillis) -> Result<Event, StoreError> {
    let id = random_id().map_err(|_| StoreError::Seal(RowError::Sealing))?;
    Ok(Event { source: source.to_owned(), id, time, data })
}
