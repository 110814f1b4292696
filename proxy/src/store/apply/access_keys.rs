//! What events do to long-term keys, and to the sessions issued to them.

use redb::ReadableTable;

use super::super::changes::{self, Turn};
use super::super::error::{Conflict, StoreError};
use super::super::known::{check_owner, keep_age, newest_issue, stored};
use super::super::revocations::Mark;
use super::super::tables::{identity, seq_of};
use super::{Batch, Numbering, Rejection, refuse};
use crate::clock::UnixMillis;
use crate::events::{Event, EventData, Receipt, RevocationScope, StoredCredential, read_header};
use crate::iam::{AccessKeyId, Credential, KeyStatus};

impl Batch<'_, '_> {
    /// The sequence number of what makes an event change nothing: its own, if it is known, or that of a later one.
    pub(super) fn past(&mut self, event: &Event) -> Result<Option<u64>, redb::Error> {
        let (Numbering::At(seq), Some(id)) = (self.numbering, changes::about(event)) else {
            let noted = self.tables.known.get(identity(&event.source, &event.id))?;
            return Ok(noted.map(|noted| seq_of(noted.value())));
        };
        let at = self.place(seq);
        Ok(match changes::turn(&mut self.tables, (event, id), at, self.since)? {
            Turn::Due => None,
            Turn::Known(seq) => Some(seq),
            Turn::Overtaken(later) => {
                // What came after it need not have ended the sessions that it ends.
                if ends_sessions(&event.data) {
                    self.raise(Mark::issued_to(id, event.time.max(self.now).plus(1)))?;
                }
                Some(later)
            }
        })
    }

    pub(super) fn created(&mut self, event: &Event, credential: &Credential) -> Result<Receipt, Rejection> {
        let id = &credential.access_key_id;
        if self.tables.issued.get(id.as_str())?.is_some() {
            return refuse(StoreError::conflict(id, Conflict::IsSession));
        }
        let known = stored(&self.tables.access_keys, id, self.keyring)?;
        let said = credential.issued_at;
        let mut credential = credential.clone();
        let mut same_key = false;
        if let Some(known) = &known {
            check_owner(known, event)?;
            same_key = keep_age(&known.credential, &mut credential);
        }
        // The log tells it as it counts: what told of the key before goes.
        let data = EventData::AccessKeyCreated(credential.clone());
        let event_row = self.encode_event(&Event { data, ..event.clone() })?;
        let row = self.encode_credential(&credential, self.place(self.next()), &event.source)?;
        let receipt = self.log(event, &event_row)?;
        if let Some(known) = known {
            // The replaced secret must not outlive its replacement in the log.
            self.tables.events.remove(known.seq)?;
            // Whoever had the former secret keeps no session by it either.
            if !same_key || credential.status == KeyStatus::Inactive {
                self.end_issued(event, id)?;
            }
        }
        self.put_access_key(id, &row)?;
        self.inherit_revocation(id)?;
        if same_key && said > credential.issued_at {
            self.extend_revocation(id, credential.issued_at, said)?;
        }
        self.effects.newest = self.effects.newest.max(credential.issued_at);
        Ok(receipt)
    }

    /// Who takes the id of a session that was revoked is no better off for it.
    fn inherit_revocation(&mut self, id: &AccessKeyId) -> Result<(), redb::Error> {
        let of_session = self.marks_of(&RevocationScope::SessionId(id.clone()))?;
        of_session.iter().filter_map(Mark::of_key).try_for_each(|lasting| self.raise(lasting))
    }

    /// The log goes on telling a younger key than it is, to whoever never read of the older: what revoked the one reaches the
    /// other too.
    fn extend_revocation(
        &mut self,
        id: &AccessKeyId,
        issued_at: UnixMillis,
        said: UnixMillis,
    ) -> Result<(), redb::Error> {
        for mark in self.marks_of(&RevocationScope::AccessKey(id.clone()))? {
            if mark.before > issued_at {
                self.raise(Mark { before: said.plus(1), ..mark })?;
            }
        }
        Ok(())
    }

    /// The plain mark of a scope and the cascading one, as far as there are any.
    fn marks_of(&self, scope: &RevocationScope) -> Result<Vec<Mark>, redb::Error> {
        let mut found = Vec::new();
        for cascade in [false, true] {
            let mark = Mark::of(scope, cascade, UnixMillis(0));
            if let Some(before) = self.tables.revocations.get(mark.key().as_str())? {
                found.push(Mark { before: UnixMillis(before.value()), ..mark });
            }
        }
        Ok(found)
    }

    pub(super) fn status(
        &mut self,
        event: &Event,
        id: &AccessKeyId,
        status: KeyStatus,
    ) -> Result<Receipt, Rejection> {
        let mut known = self.existing(event, id)?;
        known.credential.status = status;
        let event_row = self.encode_event(event)?;
        let row = self.encode_credential(&known.credential, known.seq, &known.source)?;
        let receipt = self.log(event, &event_row)?;
        self.put_access_key(id, &row)?;
        if status == KeyStatus::Inactive {
            self.end_issued(event, id)?;
        }
        Ok(receipt)
    }

    pub(super) fn deleted(&mut self, event: &Event, id: &AccessKeyId) -> Result<Receipt, Rejection> {
        let known = self.existing(event, id)?;
        let event_row = self.encode_event(event)?;
        let receipt = self.log(event, &event_row)?;
        self.tables.events.remove(known.seq)?;
        self.remove_access_key(id)?;
        self.end_issued(event, id)?;
        Ok(receipt)
    }

    /// The long-term key that `event` is about.
    fn existing(&self, event: &Event, id: &AccessKeyId) -> Result<StoredCredential, Rejection> {
        let Some(known) = stored(&self.tables.access_keys, id, self.keyring)? else {
            return refuse(StoreError::UnknownAccessKey { access_key_id: id.clone() });
        };
        check_owner(&known, event)?;
        Ok(known)
    }

    fn put_access_key(&mut self, id: &AccessKeyId, row: &[u8]) -> Result<(), redb::Error> {
        self.remove_access_key(id)?;
        self.tables.access_keys.insert(id.as_str(), row)?;
        self.effects.live += u64::from(read_header(id.as_str(), row).is_ok_and(|header| header.of_log()));
        self.count_seal(self.keyring.active(), 1);
        Ok(())
    }

    fn remove_access_key(&mut self, id: &AccessKeyId) -> Result<(), redb::Error> {
        let removed = self.tables.access_keys.remove(id.as_str())?.map(|row| row.value().to_vec());
        if let Some(row) = removed {
            if let Ok(header) = read_header(id.as_str(), &row) {
                self.effects.live = self.effects.live.saturating_sub(u64::from(header.of_log()));
                self.count_seal(header.sealed_by, -1);
            }
            self.effects.changed.push(id.clone());
        }
        Ok(())
    }

    /// Ends the sessions issued to a long-term key so far, by any clock.
    fn end_issued(&mut self, event: &Event, id: &AccessKeyId) -> Result<(), redb::Error> {
        let mut mark = Mark::issued_to(id, event.time.max(self.now));
        if self.effects.newest > mark.before {
            mark.before = mark.before.max(newest_issue(&self.tables.events, &mark)?);
        }
        mark.before = mark.before.plus(1);
        self.raise(mark)
    }
}

/// Whether the sessions issued to a long-term key are over once the event is applied.
fn ends_sessions(data: &EventData) -> bool {
    match data {
        EventData::AccessKeyCreated(Credential { status, .. })
        | EventData::AccessKeyStatus { status, .. } => *status == KeyStatus::Inactive,
        EventData::AccessKeyDeleted { .. } => true,
        EventData::CredentialIssued(_) | EventData::SessionRevoked { .. } => false,
    }
}
