//! Before an event is published: whether this view has anything against it, and the form in which it travels.
//!
//! What this view does not know yet may still be against it. That shows when the event comes back from the log, where
//! every gateway decides alike.

use redb::ReadableDatabase;

use super::super::apply::Rejection;
use super::super::error::{Conflict, StoreError};
use super::super::issued;
use super::super::known::{check_owner, found, keep_age, narrowed, same, stored};
use super::super::revocations::Mark;
use super::super::tables::{ACCESS_KEYS, EVENTS, ISSUED, KNOWN, REVOCATIONS, identity, seq_of};
use crate::clock::UnixMillis;
use crate::events::{Event, EventData, Keyring, RevocationScope, StoredCredential};
use crate::iam::{AccessKeyId, Credential};

/// What to do with an event.
pub(super) enum Planned {
    /// It is in the log already, there.
    Known(u64),
    /// Publish it as it stands here.
    Publish(Box<Event>),
}

/// Plans events that do not depend on each other, up to the first that is refused.
pub(super) fn plan_all(
    db: &redb::Database,
    keyring: &Keyring,
    events: Vec<Event>,
) -> Result<(Vec<Planned>, Option<StoreError>), StoreError> {
    let view = View { txn: db.begin_read().map_err(StoreError::read)?, keyring };
    let mut planned = Vec::with_capacity(events.len());
    for event in events {
        match plan(&view, event) {
            Ok(step) => planned.push(step),
            Err(error) => return Ok((planned, Some(error))),
        }
    }
    Ok((planned, None))
}

/// The last message of a key and of a mark is all that is kept of them in the end. So a key travels as a whole, whatever
/// changed about it, and a mark never with an earlier time than the one before.
fn plan(view: &View<'_>, mut event: Event) -> Result<Planned, StoreError> {
    if let Some(seq) = view.known(&event).map_err(StoreError::read)? {
        return Ok(Planned::Known(seq));
    }
    match &mut event.data {
        EventData::CredentialIssued(credential) => {
            if let Some(seq) = view.issued(credential)? {
                return Ok(Planned::Known(seq));
            }
        }
        EventData::AccessKeyCreated(credential) => {
            let id = &credential.access_key_id;
            if view.session(id)?.is_some() {
                return Err(StoreError::conflict(id, Conflict::IsSession));
            }
            if let Some(known) = view.access_key(id)? {
                keep_age(&known.credential, credential);
                owned(&known, &event)?;
            }
        }
        EventData::AccessKeyStatus { access_key_id, status } => {
            let mut known = view.existing(access_key_id)?;
            known.credential.status = *status;
            owned(&known, &event)?;
            event.data = EventData::AccessKeyCreated(known.credential);
        }
        EventData::AccessKeyDeleted { access_key_id } => {
            owned(&view.existing(access_key_id)?, &event)?;
        }
        EventData::SessionRevoked { scope, cascade, issued_before, .. } => {
            *scope = view.narrowed(scope).map_err(StoreError::read)?;
            let mark = Mark::of(scope, *cascade, *issued_before);
            let known = view.mark(&mark).map_err(StoreError::read)?;
            *issued_before = known.map_or(mark.before, |known| known.max(mark.before));
        }
    }
    Ok(Planned::Publish(Box::new(event)))
}

/// Whether an event of this [`identity`] is in this view.
pub(super) fn is_known(db: &redb::Database, identity: u128) -> Result<bool, redb::Error> {
    Ok(db.begin_read()?.open_table(KNOWN)?.get(identity)?.is_some())
}

fn owned(known: &StoredCredential, event: &Event) -> Result<(), StoreError> {
    check_owner(known, event).map_err(refusal)
}

fn refusal(rejection: Rejection) -> StoreError {
    match rejection {
        Rejection::Refused(error) => error,
        Rejection::Storage(error) => StoreError::read(error),
    }
}

struct View<'a> {
    txn: redb::ReadTransaction,
    keyring: &'a Keyring,
}

impl View<'_> {
    fn known(&self, event: &Event) -> Result<Option<u64>, redb::Error> {
        let known = self.txn.open_table(KNOWN)?.get(identity(&event.source, &event.id))?;
        Ok(known.map(|place| seq_of(place.value())))
    }

    /// Where the log has the same issuance.
    fn issued(&self, credential: &Credential) -> Result<Option<u64>, StoreError> {
        let id = &credential.access_key_id;
        if self.access_key(id)?.is_some() {
            return Err(StoreError::conflict(id, Conflict::IsAccessKey));
        }
        match self.session(id)? {
            Some(known) if same(&known.credential, credential) => Ok(Some(seq_of(known.seq))),
            Some(_) => Err(StoreError::conflict(id, Conflict::Issued)),
            None => Ok(None),
        }
    }

    fn existing(&self, id: &AccessKeyId) -> Result<StoredCredential, StoreError> {
        self.access_key(id)?.ok_or_else(|| StoreError::UnknownAccessKey { access_key_id: id.clone() })
    }

    fn session(&self, id: &AccessKeyId) -> Result<Option<StoredCredential>, StoreError> {
        let issued = self.txn.open_table(ISSUED).map_err(StoreError::read)?;
        let events = self.txn.open_table(EVENTS).map_err(StoreError::read)?;
        let session = issued::find(&issued, &events, id, self.keyring).map_err(StoreError::read)?;
        found(id, session).map_err(refusal)
    }

    fn access_key(&self, id: &AccessKeyId) -> Result<Option<StoredCredential>, StoreError> {
        let rows = self.txn.open_table(ACCESS_KEYS).map_err(StoreError::read)?;
        stored(&rows, id, self.keyring).map_err(refusal)
    }

    fn narrowed(&self, scope: &RevocationScope) -> Result<RevocationScope, redb::Error> {
        narrowed(&self.txn.open_table(ISSUED)?, scope)
    }

    fn mark(&self, mark: &Mark) -> Result<Option<UnixMillis>, redb::Error> {
        let key = mark.key();
        Ok(self.txn.open_table(REVOCATIONS)?.get(key.as_str())?.map(|before| UnixMillis(before.value())))
    }
}
