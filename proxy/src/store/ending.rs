//! Ending sessions: from when a revocation counts, whom it reaches, and what follows when an entity is gone.

use std::sync::atomic::Ordering;

use redb::{ReadableDatabase, ReadableTable};

use super::error::StoreError;
use super::revocations::Mark;
use super::{Store, known, tables, view};
use crate::clock::UnixMillis;
use crate::events::{
    CredentialHeader, Event, EventData, MAX_AHEAD_MILLIS, RevocationScope, RowError, read_header,
};
use crate::iam::random_id;

impl Store {
    /// The `issued_before` that revokes everything in `scope` as of now: one millisecond after now, or after the
    /// latest issue time in the scope if a clock that feeds events is ahead of this one. Never further ahead than an event
    /// may be: it would be refused, and reach nothing at all.
    pub async fn mark_now(&self, scope: &RevocationScope, cascade: bool) -> Result<UnixMillis, StoreError> {
        let state = self.state();
        let clock = state.clock.now();
        let latest = clock.plus(MAX_AHEAD_MILLIS);
        // What came by its token is not in the log, so of that the latest of all scopes has to do.
        let now = clock.max(UnixMillis(state.newest_unsealed.load(Ordering::Acquire)));
        if state.newest.load(Ordering::Acquire) <= now.0 {
            return Ok(now.plus(1).min(latest));
        }
        let mark = Mark::of(scope, cascade, now);
        let newest = self.read(move |db| newest_issue(db, &mark)).await?;
        Ok(newest.max(now).plus(1).min(latest))
    }

    /// Whether a revocation of `scope` may be of an earlier time than the present: not that of an access key id that no
    /// session has. Whatever its time, it reaches a declared key of that id for good.
    pub async fn may_be_dated(&self, scope: &RevocationScope) -> Result<bool, StoreError> {
        let id = match scope {
            RevocationScope::AccessKey(id) if !id.is_temporary() => id.clone(),
            RevocationScope::AccessKey(_)
            | RevocationScope::SessionId(_)
            | RevocationScope::IssuedTo(_)
            | RevocationScope::Principal(_)
            | RevocationScope::Role(_)
            | RevocationScope::Account(_)
            | RevocationScope::SessionName { .. }
            | RevocationScope::IdentityProvider(_)
            | RevocationScope::SourceIdentity(_) => return Ok(true),
        };
        self.read(move |db| view::is_session(db, &id)).await
    }

    /// How many live sessions of the log a revocation reaches, those that were revoked before included.
    pub async fn reached(
        &self,
        scope: &RevocationScope,
        cascade: bool,
        issued_before: UnixMillis,
    ) -> Result<usize, StoreError> {
        let (mark, now) = (Mark::of(scope, cascade, issued_before), self.state().clock.now());
        self.read(move |db| view::reached(db, &mark, now)).await
    }

    /// Ends, as of now, the sessions of entities that the configuration no longer has or no longer lets in: a user
    /// or a role that was deleted or disabled, a provider that is no longer trusted. One transaction.
    ///
    /// What was issued before stays dead even if the entity comes back: a mark is a time, and never goes back.
    pub async fn end_sessions(&self, scopes: Vec<RevocationScope>, reason: &str) -> Result<(), StoreError> {
        let time = self.state().clock.now();
        let mut events = Vec::with_capacity(scopes.len());
        for scope in scopes {
            let issued_before = self.mark_now(&scope, false).await?;
            let reason = Some(reason.to_owned());
            let data = EventData::SessionRevoked { scope, cascade: false, issued_before, reason };
            let id = random_id().map_err(|_| StoreError::Seal(RowError::Sealing))?;
            events.push(Event { source: Event::CONFIG_SOURCE.to_owned(), id, time, data });
        }
        if !events.is_empty() {
            self.append(events).await?;
        }
        Ok(())
    }
}

fn newest_issue(db: &redb::Database, mark: &Mark) -> Result<UnixMillis, redb::Error> {
    let txn = db.begin_read()?;
    let mut newest = known::newest_issue(&txn.open_table(tables::EVENTS)?, mark)?;
    for row in txn.open_table(tables::ACCESS_KEYS)?.iter()? {
        let (id, row) = row?;
        let credential = read_header(id.value(), row.value()).and_then(CredentialHeader::into_credential);
        if let Ok(credential) = credential {
            newest = mark.times(&credential).fold(newest, UnixMillis::max);
        }
    }
    Ok(newest)
}
