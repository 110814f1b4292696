//! Bringing the long-term keys that the configuration declares to their declared state, by events.

use std::collections::BTreeMap;

use sigv4::SecretAccessKey;

use super::error::{Conflict, StoreError};
use crate::clock::UnixMillis;
use crate::events::{Event, EventData, RowError, StoredCredential};
use crate::iam::{AccessKeyId, Credential, KeyStatus, Principal, random_id};

/// A long-term key of the configuration.
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
}

/// What reconciling the configuration's keys changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reconciled {
    /// Keys that are new.
    pub created: usize,
    /// Keys whose secret, principal or status changed.
    pub changed: usize,
    /// Keys that the configuration declared before and no longer does.
    pub deleted: usize,
}

/// The events that lead from `known` to `declared`. Pure: nothing is touched when a key collides.
pub(super) fn plan(
    known: &[StoredCredential],
    declared: &[DeclaredKey],
    now: UnixMillis,
) -> Result<(Vec<Event>, Reconciled), StoreError> {
    let known: BTreeMap<_, _> = known.iter().map(|key| (&key.credential.access_key_id, key)).collect();
    let mut wanted = BTreeMap::new();
    for key in declared {
        if wanted.insert(&key.access_key_id, key).is_some() {
            return Err(StoreError::conflict(&key.access_key_id, Conflict::DeclaredTwice));
        }
    }
    let mut counts = Reconciled::default();
    let mut changes = Vec::new();
    for (id, key) in &wanted {
        match known.get(*id) {
            None => {
                counts.created += 1;
                changes.push(create(key, now));
            }
            Some(old) if old.source != Event::CONFIG_SOURCE => {
                return Err(StoreError::conflict(id, Conflict::NotDeclared));
            }
            Some(old) => {
                let change = change(&old.credential, key, now);
                counts.changed += usize::from(change.is_some());
                changes.extend(change);
            }
        }
    }
    for (id, old) in &known {
        if old.source == Event::CONFIG_SOURCE && !wanted.contains_key(*id) {
            counts.deleted += 1;
            changes.push(EventData::AccessKeyDeleted { access_key_id: (*id).clone() });
        }
    }
    let events = changes.into_iter().map(|data| event(data, now)).collect::<Result<_, _>>()?;
    Ok((events, counts))
}

fn change(old: &Credential, key: &DeclaredKey, now: UnixMillis) -> Option<EventData> {
    if old.secret.expose_secret() != key.secret.expose_secret() || old.principal != key.principal {
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
        session: None,
    })
}

/// The id is random: the same change may have to be made again after it was undone.
fn event(data: EventData, time: UnixMillis) -> Result<Event, StoreError> {
    let id = random_id().map_err(|_| StoreError::Seal(RowError::Sealing))?;
    Ok(Event { source: Event::CONFIG_SOURCE.to_owned(), id, time, data })
}
