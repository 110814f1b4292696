//! The revocation index: for each scope the time before which issued sessions are refused.
//!
//! A plain mark reaches the sessions it names; a cascading one also those that descend from them, by the lineage that
//! every session carries. The two are kept apart and merge by maximum each, so that duplicates and reordering are
//! harmless, and no later plain mark makes an earlier cascade reach further.
//!
//! Plain marks live for 37 hours, cascading ones for 64, but those on the ids of long-term keys stay: a key that is
//! declared may be declared again, at any time and on any gateway. An id is a session's if it looks like one, or if the log
//! had issued it when it was revoked; the mark says so wherever it goes, so that all gateways forget it. Where a key has
//! that id all the same, a mark that stays is raised beside it, and goes from there to all.
//!
//! Readers load one immutable index and take no lock; whoever changes it copies a map, once for a batch. The copy
//! costs some 30 ns a mark, so even 100,000 of them are copied in the time of one fsync.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use prometheus::IntGauge;

use crate::clock::UnixMillis;
use crate::events::{MAX_SESSION_MILLIS, RevocationScope};
use crate::iam::{AccessKeyId, Ancestor, Credential, Principal, Session, SessionKind};

const HOUR_MILLIS: i64 = 3_600_000;

/// How long a plain mark that does not [last](Mark::lasts) is kept after its time: until the last session it can reach
/// has expired, and an hour for clocks.
const PLAIN_RETENTION_MILLIS: i64 = MAX_SESSION_MILLIS + HOUR_MILLIS;

/// The same of a cascading mark, which also reaches what the last of those sessions got at its very end: a role's
/// session of 12 hours, and those chained from it, of an hour each, until the chain is as long as it may be.
const CASCADE_RETENTION_MILLIS: i64 =
    PLAIN_RETENTION_MILLIS + 12 * HOUR_MILLIS + (Session::MAX_LINEAGE as i64 - 1) * HOUR_MILLIS;

/// Why a credential is refused although it is known and unexpired: what was revoked, of it or of an ancestor.
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
    /// Sessions of this name of the role.
    SessionName,
    /// The identity provider that vouched for the session.
    IdentityProvider,
    /// The source identity.
    SourceIdentity,
}

impl RevokedBy {
    /// As the members of a revocation are called.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AccessKey => "access_key_id",
            Self::Principal => "principal",
            Self::Role => "role",
            Self::Account => "account",
            Self::SessionName => "session_name",
            Self::IdentityProvider => "identity_provider",
            Self::SourceIdentity => "source_identity",
        }
    }
}

/// What a mark is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum MarkKind {
    /// One credential, and the sessions issued to it.
    AccessKey,
    /// The same of an id that a session had when it was revoked.
    SessionId,
    /// The sessions issued to a long-term key, but not the key: it may be activated again.
    IssuedTo,
    Principal,
    Role,
    Account,
    /// The name is `<role ARN>/<session name>`; a session name has no `/`.
    SessionName,
    IdentityProvider,
    SourceIdentity,
}

/// Sessions of `name` issued strictly before `before` are refused, and if it cascades those that descend from them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) kind: MarkKind,
    pub(super) cascade: bool,
    pub(super) name: Arc<str>,
    pub(super) before: UnixMillis,
}

pub(super) struct Revocations {
    index: ArcSwap<Index>,
    /// Held by whoever changes the index, so that no change is lost to another.
    changing: Mutex<()>,
    count: IntGauge,
}

#[derive(Clone, Default)]
struct Index {
    plain: Marks,
    cascading: Marks,
}

/// Times by name, one map a kind.
#[derive(Clone, Default)]
struct Marks {
    /// Indexed by [`MarkKind`].
    maps: [Arc<HashMap<Arc<str>, UnixMillis>>; MarkKind::ALL.len()],
    count: usize,
}

/// What marks know a temporary credential by: a session, or an ancestor of one.
struct Link<'a> {
    access_key_id: &'a str,
    parent: Option<&'a str>,
    principal: &'a Principal,
    /// The user who got the session for someone else.
    on_behalf_of: Option<&'a Principal>,
    role: Option<&'a str>,
    session_name: Option<&'a str>,
    provider: Option<&'a str>,
    source_identity: Option<&'a str>,
    issued_at: UnixMillis,
}

impl MarkKind {
    const ALL: [Self; 9] = [
        Self::AccessKey,
        Self::SessionId,
        Self::IssuedTo,
        Self::Principal,
        Self::Role,
        Self::Account,
        Self::SessionName,
        Self::IdentityProvider,
        Self::SourceIdentity,
    ];

    /// How the kind is written in front of a stored name.
    const fn prefix(self) -> &'static str {
        match self {
            Self::AccessKey => "key:",
            Self::SessionId => "session-id:",
            Self::IssuedTo => "issued-to:",
            Self::Principal => "principal:",
            Self::Role => "role:",
            Self::Account => "account:",
            Self::SessionName => "session:",
            Self::IdentityProvider => "provider:",
            Self::SourceIdentity => "source-identity:",
        }
    }

    /// Whether marks of this kind and `name` are about `link`.
    fn names(self, name: &str, link: &Link<'_>) -> bool {
        let is = |principal: &Principal| principal.arn == name || principal.user_id == name;
        match self {
            Self::AccessKey | Self::SessionId => link.access_key_id == name || link.parent == Some(name),
            Self::IssuedTo => link.parent == Some(name),
            Self::Principal => is(link.principal) || link.on_behalf_of.is_some_and(is),
            Self::Role => link.role == Some(name),
            Self::Account => link.principal.account == name,
            Self::SessionName => name.rsplit_once('/') == link.role.zip(link.session_name),
            Self::IdentityProvider => link.provider == Some(name),
            Self::SourceIdentity => link.source_identity == Some(name),
        }
    }
}

impl Mark {
    pub(super) fn of(scope: &RevocationScope, cascade: bool, before: UnixMillis) -> Self {
        let (kind, name) = match scope {
            RevocationScope::AccessKey(id) => (MarkKind::AccessKey, id.as_str().into()),
            RevocationScope::SessionId(id) => (MarkKind::SessionId, id.as_str().into()),
            RevocationScope::IssuedTo(id) => (MarkKind::IssuedTo, id.as_str().into()),
            RevocationScope::Principal(name) => (MarkKind::Principal, name.as_str().into()),
            RevocationScope::Role(arn) => (MarkKind::Role, arn.as_str().into()),
            RevocationScope::Account(account) => (MarkKind::Account, account.as_str().into()),
            RevocationScope::SessionName { role, name } => (MarkKind::SessionName, session_of(role, name)),
            RevocationScope::IdentityProvider(arn) => (MarkKind::IdentityProvider, arn.as_str().into()),
            RevocationScope::SourceIdentity(name) => (MarkKind::SourceIdentity, name.as_str().into()),
        };
        Self { kind, cascade, name, before }
    }

    /// The inverse of [`of`](Self::of); `None` for a name that no scope can have.
    pub(super) fn scope(&self) -> Option<RevocationScope> {
        let name = || self.name.to_string();
        Some(match self.kind {
            MarkKind::AccessKey => RevocationScope::AccessKey(AccessKeyId::parse(&self.name)?),
            MarkKind::SessionId => RevocationScope::SessionId(AccessKeyId::parse(&self.name)?),
            MarkKind::IssuedTo => RevocationScope::IssuedTo(AccessKeyId::parse(&self.name)?),
            MarkKind::Principal => RevocationScope::Principal(name()),
            MarkKind::Role => RevocationScope::Role(name()),
            MarkKind::Account => RevocationScope::Account(name()),
            MarkKind::SessionName => {
                let (role, name) = self.name.rsplit_once('/')?;
                RevocationScope::SessionName { role: role.to_owned(), name: name.to_owned() }
            }
            MarkKind::IdentityProvider => RevocationScope::IdentityProvider(name()),
            MarkKind::SourceIdentity => RevocationScope::SourceIdentity(name()),
        })
    }

    pub(super) fn issued_to(access_key_id: &AccessKeyId, before: UnixMillis) -> Self {
        Self { kind: MarkKind::IssuedTo, cascade: false, name: access_key_id.as_str().into(), before }
    }

    /// Under which it is stored.
    pub(super) fn key(&self) -> String {
        let cascade = if self.cascade { CASCADE } else { "" };
        format!("{cascade}{}{}", self.kind.prefix(), self.name)
    }

    /// The inverse of [`key`](Self::key).
    pub(super) fn parse(key: &str, before: UnixMillis) -> Option<Self> {
        let (cascade, key) = key.strip_prefix(CASCADE).map_or((false, key), |key| (true, key));
        MarkKind::ALL.into_iter().find_map(|kind| {
            key.strip_prefix(kind.prefix()).map(|name| Self { kind, cascade, name: name.into(), before })
        })
    }

    /// What a mark comes to that is about a session's id where a long-term key has it.
    pub(super) fn of_key(&self) -> Option<Self> {
        (self.kind == MarkKind::SessionId).then(|| Self { kind: MarkKind::AccessKey, ..self.clone() })
    }

    /// Whether it is about an id that a long-term key may have: there is always somebody who can declare that.
    pub(super) fn lasts(&self) -> bool {
        self.kind == MarkKind::AccessKey && !self.name.starts_with(AccessKeyId::TEMPORARY)
    }

    /// From when on no session can be left that it reaches.
    pub(super) const fn over_at(&self) -> UnixMillis {
        self.before.plus(if self.cascade { CASCADE_RETENTION_MILLIS } else { PLAIN_RETENTION_MILLIS })
    }

    /// Whether no credential can be left that it reaches.
    pub(super) fn spent(&self, now: UnixMillis) -> bool {
        !self.lasts() && self.over_at() <= now
    }

    /// Whether the credential is refused because of it. The one definition: what [`Revocations::find`] looks up is
    /// tested against it.
    pub(super) fn reaches(&self, credential: &Credential) -> bool {
        self.times(credential).any(|time| time < self.before)
    }

    /// Whether a stored row can be of a credential that the mark names: its header, JSON in clear, would hold the name.
    /// Spares a scan for a revocation the reading of what it does not reach.
    pub(super) fn may_name(&self, row: &[u8]) -> bool {
        let name = match self.kind {
            MarkKind::SessionName => self.name.rsplit_once('/').map_or(&*self.name, |(role, _)| role),
            MarkKind::AccessKey
            | MarkKind::SessionId
            | MarkKind::IssuedTo
            | MarkKind::Principal
            | MarkKind::Role
            | MarkKind::Account
            | MarkKind::IdentityProvider
            | MarkKind::SourceIdentity => &*self.name,
        };
        let escaped = |byte: u8| byte < b' ' || byte == b'"' || byte == b'\\';
        name.bytes().any(escaped) || memchr::memmem::find(row, name.as_bytes()).is_some()
    }

    /// The times that the mark is compared with: that of the credential, if it is named, and if the mark cascades
    /// those of the ancestors that are.
    pub(super) fn times<'a>(&'a self, credential: &'a Credential) -> impl Iterator<Item = UnixMillis> + 'a {
        let session = credential.session.as_ref();
        let own = match session {
            Some(session) => self.kind.names(&self.name, &Link::of(credential, session)),
            None => {
                let own = matches!(self.kind, MarkKind::AccessKey | MarkKind::SessionId);
                own && credential.access_key_id.as_str() == &*self.name
            }
        };
        let lineage = session.filter(|_| self.cascade).map_or(&[][..], |session| &session.lineage);
        let ancestors = lineage.iter().map(Link::from).filter(|link| self.kind.names(&self.name, link));
        own.then_some(begun(credential)).into_iter().chain(ancestors.map(|link| link.issued_at))
    }
}

/// The time that marks are compared with. Of a key that is declared it is before all of them: a gateway that sees it for
/// the first time may not take it for newer than its revocation.
fn begun(credential: &Credential) -> UnixMillis {
    if credential.declared { UnixMillis(i64::MIN) } else { credential.issued_at }
}

/// What stands in front of the key of a mark that cascades.
const CASCADE: &str = "cascade:";

fn session_of(role: &str, name: &str) -> Arc<str> {
    format!("{role}/{name}").into()
}

impl<'a> Link<'a> {
    fn of(credential: &'a Credential, session: &'a Session) -> Self {
        let federated = session.kind == SessionKind::Federation;
        Self {
            access_key_id: credential.access_key_id.as_str(),
            parent: session.parent_access_key_id.as_ref().map(AccessKeyId::as_str),
            principal: &credential.principal,
            on_behalf_of: session.lineage.first().filter(|_| federated).map(|parent| &parent.principal),
            role: session.role_arn.as_deref(),
            session_name: session.name.as_deref(),
            provider: session.provider(),
            source_identity: session.source_identity.as_deref(),
            issued_at: credential.issued_at,
        }
    }
}

/// An ancestor's parent is an ancestor itself. Its source identity is the session's own: it cannot change on the way.
impl<'a> From<&'a Ancestor> for Link<'a> {
    fn from(ancestor: &'a Ancestor) -> Self {
        Self {
            access_key_id: ancestor.access_key_id.as_str(),
            parent: None,
            principal: &ancestor.principal,
            on_behalf_of: None,
            role: ancestor.role_arn.as_deref(),
            session_name: ancestor.session_name.as_deref(),
            provider: ancestor.provider.as_deref(),
            source_identity: None,
            issued_at: ancestor.issued_at,
        }
    }
}

impl Revocations {
    pub(super) fn new(count: IntGauge) -> Self {
        Self { index: ArcSwap::default(), changing: Mutex::default(), count }
    }

    /// Why the credential is refused, if it is.
    pub(super) fn find(&self, credential: &Credential) -> Option<RevokedBy> {
        let index = self.index.load();
        let Index { plain, cascading } = &**index;
        let Some(session) = &credential.session else {
            let id = credential.access_key_id.as_str();
            let begun = begun(credential);
            let reached = |marks: &Marks| {
                marks.reach(MarkKind::AccessKey, id, begun) || marks.reach(MarkKind::SessionId, id, begun)
            };
            return (reached(plain) || reached(cascading)).then_some(RevokedBy::AccessKey);
        };
        let own = Link::of(credential, session);
        let ancestor = || session.lineage.iter().find_map(|ancestor| cascading.find(&ancestor.into()));
        plain.find(&own).or_else(|| cascading.find(&own)).or_else(ancestor)
    }

    /// Whether a mark as late as this one is in force.
    pub(super) fn covers(&self, mark: &Mark) -> bool {
        let index = self.index.load();
        let marks = if mark.cascade { &index.cascading } else { &index.plain };
        marks.maps[mark.kind as usize].get(&mark.name).is_some_and(|before| mark.before <= *before)
    }

    /// Whether there is a mark of this scope, whatever its time.
    pub(super) fn knows(&self, mark: &Mark) -> bool {
        let index = self.index.load();
        let marks = if mark.cascade { &index.cascading } else { &index.plain };
        marks.maps[mark.kind as usize].contains_key(&mark.name)
    }

    /// All marks in force.
    pub(super) fn all(&self) -> Vec<Mark> {
        let index = self.index.load();
        let of = |marks: &Marks, cascade| {
            let kinds = MarkKind::ALL.into_iter().zip(marks.maps.clone());
            kinds
                .flat_map(|(kind, map)| {
                    let mark = |(name, before): (&Arc<str>, &UnixMillis)| Mark {
                        kind,
                        cascade,
                        name: Arc::clone(name),
                        before: *before,
                    };
                    map.iter().map(mark).collect::<Vec<_>>()
                })
                .collect::<Vec<_>>()
        };
        [of(&index.plain, false), of(&index.cascading, true)].concat()
    }

    /// Raises marks; a lower time than the known one changes nothing.
    pub(super) fn raise(&self, marks: &[Mark]) {
        if marks.iter().all(|mark| self.covers(mark)) {
            return;
        }
        self.edit(marks, |map, mark| {
            let before = map.entry(Arc::clone(&mark.name)).or_insert(mark.before);
            *before = mark.before.max(*before);
        });
    }

    /// Drops marks, but for those that have been raised since they were looked at.
    pub(super) fn drop_all(&self, marks: &[Mark]) {
        self.edit(marks, |map, mark| {
            if map.get(&mark.name).is_some_and(|before| *before <= mark.before) {
                map.remove(&mark.name);
            }
        });
    }

    fn edit(&self, marks: &[Mark], change: impl Fn(&mut HashMap<Arc<str>, UnixMillis>, &Mark)) {
        let _alone = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut index = Index::clone(&self.index.load());
        for mark in marks {
            let edited = if mark.cascade { &mut index.cascading } else { &mut index.plain };
            // Copied once a batch: the second time nobody else holds it.
            change(Arc::make_mut(&mut edited.maps[mark.kind as usize]), mark);
        }
        for edited in [&mut index.plain, &mut index.cascading] {
            edited.count = edited.maps.iter().map(|map| map.len()).sum();
        }
        let count = index.plain.count + index.cascading.count;
        self.index.store(Arc::new(index));
        self.count.set(i64::try_from(count).unwrap_or(i64::MAX));
    }
}

impl Marks {
    /// Which kind of mark names the link and is later than it.
    fn find(&self, link: &Link<'_>) -> Option<RevokedBy> {
        if self.count == 0 {
            return None;
        }
        let reach =
            |kind, name: Option<&str>| name.is_some_and(|name| self.reach(kind, name, link.issued_at));
        let principal = |of: &Principal| {
            reach(MarkKind::Principal, Some(&of.arn)) || reach(MarkKind::Principal, Some(&of.user_id))
        };
        if reach(MarkKind::AccessKey, Some(link.access_key_id))
            || reach(MarkKind::AccessKey, link.parent)
            || reach(MarkKind::SessionId, Some(link.access_key_id))
            || reach(MarkKind::SessionId, link.parent)
            || reach(MarkKind::IssuedTo, link.parent)
        {
            return Some(RevokedBy::AccessKey);
        }
        if principal(link.principal) || link.on_behalf_of.is_some_and(principal) {
            return Some(RevokedBy::Principal);
        }
        if reach(MarkKind::Role, link.role) {
            return Some(RevokedBy::Role);
        }
        if reach(MarkKind::Account, Some(&link.principal.account)) {
            return Some(RevokedBy::Account);
        }
        // Composing the name costs an allocation, so nothing does while there are no such marks.
        if !self.maps[MarkKind::SessionName as usize].is_empty()
            && let Some((role, name)) = link.role.zip(link.session_name)
            && reach(MarkKind::SessionName, Some(&session_of(role, name)))
        {
            return Some(RevokedBy::SessionName);
        }
        if reach(MarkKind::IdentityProvider, link.provider) {
            return Some(RevokedBy::IdentityProvider);
        }
        reach(MarkKind::SourceIdentity, link.source_identity).then_some(RevokedBy::SourceIdentity)
    }

    fn reach(&self, kind: MarkKind, name: &str, issued_at: UnixMillis) -> bool {
        self.maps[kind as usize].get(name).is_some_and(|before| issued_at < *before)
    }
}
