//! The revocation index: for each scope the time before which issued sessions are refused.
//!
//! Marks merge by maximum, so duplicates and reordering are harmless. Readers load one immutable map per kind and
//! take no lock; the one writer copies a map when a batch changes it. The copy costs the writer some 30 ns a mark,
//! and marks live for 37 hours, so even 100,000 of them are copied in the time of one fsync.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use prometheus::IntGauge;

use crate::clock::UnixMillis;
use crate::events::{MAX_SESSION_MILLIS, RevocationScope};
use crate::iam::{AccessKeyId, Credential};

/// How long a mark is kept after its time: until the last session it can reach has expired, and an hour for clocks.
pub(super) const MARK_RETENTION_MILLIS: i64 = MAX_SESSION_MILLIS + 3_600_000;

/// Why a credential is refused although it is known and unexpired.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RevokedBy {
    /// The access key id itself (or that of the credential the session was issued to).
    AccessKey,
    /// The principal.
    Principal,
    /// The role, for sessions issued before a time.
    Role,
    /// The account.
    Account,
}

/// What a mark is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum MarkKind {
    /// One credential, and the sessions issued to it.
    AccessKey,
    /// The sessions issued to a long-term key, but not the key: it may be activated again.
    IssuedTo,
    Principal,
    Role,
    Account,
}

/// Sessions of `name` issued strictly before `before` are refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) kind: MarkKind,
    pub(super) name: Arc<str>,
    pub(super) before: UnixMillis,
}

type Marks = HashMap<Arc<str>, UnixMillis>;

pub(super) struct Revocations {
    /// Indexed by [`MarkKind`].
    marks: [ArcSwap<Marks>; MarkKind::ALL.len()],
    count: IntGauge,
}

impl MarkKind {
    const ALL: [Self; 5] = [Self::AccessKey, Self::IssuedTo, Self::Principal, Self::Role, Self::Account];

    /// How the kind is written in front of a stored name.
    const fn prefix(self) -> &'static str {
        match self {
            Self::AccessKey => "key:",
            Self::IssuedTo => "issued-to:",
            Self::Principal => "principal:",
            Self::Role => "role:",
            Self::Account => "account:",
        }
    }

    /// Whether marks of this kind and `name` reach the credential. The one definition: what
    /// [`Revocations::find`] looks up is tested against it.
    pub(super) fn reaches(self, name: &str, credential: &Credential) -> bool {
        let own = credential.access_key_id.as_str() == name;
        let Some(session) = &credential.session else { return self == Self::AccessKey && own };
        let issued_to = session.parent_access_key_id.as_ref().is_some_and(|parent| parent.as_str() == name);
        match self {
            Self::AccessKey => own || issued_to,
            Self::IssuedTo => issued_to,
            Self::Principal => credential.principal.arn == name || credential.principal.user_id == name,
            Self::Role => session.role_arn.as_deref() == Some(name),
            Self::Account => credential.principal.account == name,
        }
    }
}

impl Mark {
    pub(super) fn of(scope: &RevocationScope, before: UnixMillis) -> Self {
        let (kind, name) = match scope {
            RevocationScope::AccessKey(id) => (MarkKind::AccessKey, id.as_str()),
            RevocationScope::Principal(name) => (MarkKind::Principal, name.as_str()),
            RevocationScope::Role(arn) => (MarkKind::Role, arn.as_str()),
            RevocationScope::Account(account) => (MarkKind::Account, account.as_str()),
        };
        Self { kind, name: name.into(), before }
    }

    pub(super) fn issued_to(access_key_id: &AccessKeyId, before: UnixMillis) -> Self {
        Self { kind: MarkKind::IssuedTo, name: access_key_id.as_str().into(), before }
    }

    /// Under which it is stored.
    pub(super) fn key(&self) -> String {
        format!("{}{}", self.kind.prefix(), self.name)
    }

    /// The inverse of [`key`](Self::key).
    pub(super) fn parse(key: &str, before: UnixMillis) -> Option<Self> {
        MarkKind::ALL.into_iter().find_map(|kind| {
            key.strip_prefix(kind.prefix()).map(|name| Self { kind, name: name.into(), before })
        })
    }

    /// Whether no session can be left that it reaches.
    pub(super) fn spent(&self, now: UnixMillis) -> bool {
        self.before.plus(MARK_RETENTION_MILLIS) <= now
    }
}

impl Revocations {
    pub(super) fn new(count: IntGauge) -> Self {
        Self { marks: MarkKind::ALL.map(|_| ArcSwap::default()), count }
    }

    /// Why the credential is refused, if it is.
    pub(super) fn find(&self, credential: &Credential) -> Option<RevokedBy> {
        let reached =
            |kind, name: &str| self.before(kind, name).is_some_and(|before| credential.issued_at < before);
        if reached(MarkKind::AccessKey, credential.access_key_id.as_str()) {
            return Some(RevokedBy::AccessKey);
        }
        let session = credential.session.as_ref()?;
        if let Some(parent) = session.parent_access_key_id.as_ref().map(AccessKeyId::as_str)
            && (reached(MarkKind::AccessKey, parent) || reached(MarkKind::IssuedTo, parent))
        {
            return Some(RevokedBy::AccessKey);
        }
        let principal = &credential.principal;
        if reached(MarkKind::Principal, &principal.arn) || reached(MarkKind::Principal, &principal.user_id) {
            return Some(RevokedBy::Principal);
        }
        if session.role_arn.as_deref().is_some_and(|role| reached(MarkKind::Role, role)) {
            return Some(RevokedBy::Role);
        }
        reached(MarkKind::Account, &principal.account).then_some(RevokedBy::Account)
    }

    /// Raises marks; a lower time than the known one changes nothing. Called by the writer only.
    pub(super) fn raise(&self, marks: &[Mark]) {
        self.edit(marks, |map, mark| {
            let before = map.entry(Arc::clone(&mark.name)).or_insert(mark.before);
            *before = mark.before.max(*before);
        });
    }

    /// Drops marks. Called by the writer only.
    pub(super) fn drop_all(&self, marks: &[Mark]) {
        self.edit(marks, |map, mark| {
            map.remove(&mark.name);
        });
    }

    fn edit(&self, marks: &[Mark], change: impl Fn(&mut Marks, &Mark)) {
        for kind in MarkKind::ALL {
            let mut changes = marks.iter().filter(|mark| mark.kind == kind).peekable();
            if changes.peek().is_some() {
                let slot = &self.marks[kind as usize];
                let mut map = Marks::clone(&slot.load());
                changes.for_each(|mark| change(&mut map, mark));
                slot.store(Arc::new(map));
            }
        }
        let count: usize = self.marks.iter().map(|map| map.load().len()).sum();
        self.count.set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    fn before(&self, kind: MarkKind, name: &str) -> Option<UnixMillis> {
        self.marks[kind as usize].load().get(name).copied()
    }
}
