//! Before an event is published: whether this view has anything against it, and the form in which it travels.
//!
//! What this view does not know yet may still be against it. That shows when the event comes back from the log, where
//! every gateway decides alike.

use redb::ReadableDatabase;

use super::super::apply::{Rejection, check_owner, same, stored};
use super::super::error::{Conflict, StoreError};
use super::super::revocations::Mark;
use super::super::tables::{ACCESS_KEYS, IDEMPOTENCY, REVOCATIONS, SESSIONS};
use crate::clock::UnixMillis;
use crate::events::{Event, EventData, Keyring, StoredCredential};
use crate::iam::{AccessKeyId, Credential};

/// What to do with an event.
pub(super) enum Planned {
    /// It is in the log already, there.
    Known(u64),
    /// Publish it as it stands here.
    Publish(Box<Event>),
}

/// The last message of a key and of a mark is all that is kept of them in the end. So a key travels as a whole, whatever
/// changed about it, and a mark never with an earlier time than the one before.
pub(super) fn plan(db: &redb::Database, keyring: &Keyring, mut event: Event) -> Result<Planned, StoreError> {
    let view = View { txn: db.begin_read().map_err(StoreError::read)?, keyring };
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
            let mark = Mark::of(scope, *cascade, *issued_before);
            let known = view.mark(&mark).map_err(StoreError::read)?;
            *issued_before = known.map_or(mark.before, |known| known.max(mark.before));
        }
    }
    Ok(Planned::Publish(Box::new(event)))
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
        let key = (event.source.as_str(), event.id.as_str());
        Ok(self.txn.open_table(IDEMPOTENCY)?.get(key)?.map(|seq| seq.value()))
    }

    /// Where the log has the same issuance.
    fn issued(&self, credential: &Credential) -> Result<Option<u64>, StoreError> {
        let id = &credential.access_key_id;
        if self.access_key(id)?.is_some() {
            return Err(StoreError::conflict(id, Conflict::IsAccessKey));
        }
        match self.session(id)? {
            Some(known) if same(&known.credential, credential) => Ok(Some(known.seq)),
            Some(_) => Err(StoreError::conflict(id, Conflict::Issued)),
            None => Ok(None),
        }
    }

    fn existing(&self, id: &AccessKeyId) -> Result<StoredCredential, StoreError> {
        self.access_key(id)?.ok_or_else(|| StoreError::UnknownAccessKey { access_key_id: id.clone() })
    }

    fn session(&self, id: &AccessKeyId) -> Result<Option<StoredCredential>, StoreError> {
        let rows = self.txn.open_table(SESSIONS).map_err(StoreError::read)?;
        stored(&rows, id, self.keyring).map_err(refusal)
    }

    fn access_key(&self, id: &AccessKeyId) -> Result<Option<StoredCredential>, StoreError> {
        let rows = self.txn.open_table(ACCESS_KEYS).map_err(StoreError::read)?;
        stored(&rows, id, self.keyring).map_err(refusal)
    }

    fn mark(&self, mark: &Mark) -> Result<Option<UnixMillis>, redb::Error> {
        let key = mark.key();
        Ok(self.txn.open_table(REVOCATIONS)?.get(key.as_str())?.map(|before| UnixMillis(before.value())))
    }
}
