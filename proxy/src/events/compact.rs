//! The compact form that session tokens and issuances are written in.
//!
//! An integer is LEB128. A list is its length and its members, an optional is byte 0, or byte 1 and what there is.
//! Bytes are their length and themselves. A text that occurred before is written as `2 × its number + 1`, a new one
//! as `2 × its length` and itself: chains of roles repeat accounts, names and ARNs. So every text stands in what is
//! written once, as it is.

use std::collections::{BTreeMap, BTreeSet};

use zeroize::Zeroizing;

use crate::clock::UnixMillis;
use crate::iam::{AccessKeyId, Ancestor, Federation, Principal, SamlSubject, Session, SessionKind};

/// What is written without a secret in it begins with so much room.
const FIRST_ROOM: usize = 1_024;

/// Writes within a fixed room: a buffer that grows would leave a copy of the secret behind.
pub(super) struct Writer<'a> {
    content: Zeroizing<Vec<u8>>,
    room: usize,
    /// Whether everything so far fitted.
    fits: bool,
    known: BTreeMap<&'a str, usize>,
}

impl<'a> Writer<'a> {
    /// `spare` bytes are kept free behind `room`.
    pub(super) fn new(room: usize, spare: usize) -> Self {
        let content = Zeroizing::new(Vec::with_capacity(room + spare));
        Self { content, room, fits: true, known: BTreeMap::new() }
    }

    /// For what holds no secret, and so may grow.
    pub(super) fn growing() -> Self {
        let content = Zeroizing::new(Vec::with_capacity(FIRST_ROOM));
        Self { content, room: usize::MAX, fits: true, known: BTreeMap::new() }
    }

    /// What was written; `None` if it does not fit.
    pub(super) fn finish(self) -> Option<Zeroizing<Vec<u8>>> {
        self.fits.then_some(self.content)
    }

    /// What a session comes from and is called, up to its tags.
    pub(super) fn origin(&mut self, session: &'a Session) {
        self.optional(session.name.as_deref(), Self::text);
        self.optional(session.role_arn.as_deref(), Self::text);
        self.optional(session.parent_access_key_id.as_ref().map(AccessKeyId::as_str), Self::text);
        self.optional(session.source_identity.as_deref(), Self::text);
        self.optional(session.mfa_authenticated_at, Self::time);
        self.list(&session.tags, |this, (key, value)| {
            this.text(key);
            this.text(value);
            this.put(&[u8::from(session.transitive_tag_keys.contains(key))]);
        });
    }

    /// The policies that were passed for a session.
    pub(super) fn policies(&mut self, session: &'a Session) {
        self.list(&session.session_policies, |this, policy| this.text(policy));
        self.list(&session.policy_arns, |this, arn| this.text(arn));
    }

    /// Who vouched for a session, and what it descends from.
    pub(super) fn descent(&mut self, session: &'a Session) {
        self.optional(session.federation.as_ref(), Self::federation);
        self.list(&session.lineage, Self::ancestor);
    }

    /// How a session came about, when, and for how long.
    pub(super) fn life(&mut self, session: &Session, issued_at: UnixMillis) {
        self.put(&[kind_byte(session.kind)]);
        self.time(issued_at);
        self.time(UnixMillis(session.expires_at.0.saturating_sub(issued_at.0)));
    }

    pub(super) fn principal(&mut self, principal: &'a Principal) {
        let Principal { arn, user_id, account } = principal;
        self.text(arn);
        self.text(user_id);
        self.text(account);
    }

    fn federation(&mut self, federation: &'a Federation) {
        let Federation { provider, issuer, subject, audience, saml } = federation;
        for text in [provider, issuer, subject, audience] {
            self.text(text);
        }
        self.optional(saml.as_ref(), |this, SamlSubject { name_qualifier, subject_type }| {
            this.text(name_qualifier);
            this.text(subject_type);
        });
    }

    fn ancestor(&mut self, ancestor: &'a Ancestor) {
        let Ancestor { access_key_id, principal, role_arn, session_name, provider, issued_at } = ancestor;
        self.text(access_key_id.as_str());
        self.principal(principal);
        self.optional(role_arn.as_deref(), Self::text);
        self.optional(session_name.as_deref(), Self::text);
        self.optional(provider.as_deref(), Self::text);
        self.time(*issued_at);
    }

    fn list<I: IntoIterator<IntoIter: ExactSizeIterator>>(
        &mut self,
        items: I,
        write: impl Fn(&mut Self, I::Item),
    ) {
        let items = items.into_iter();
        self.integer(items.len() as u64);
        items.for_each(|item| write(self, item));
    }

    fn optional<T>(&mut self, value: Option<T>, write: impl Fn(&mut Self, T)) {
        self.put(&[u8::from(value.is_some())]);
        if let Some(value) = value {
            write(self, value);
        }
    }

    pub(super) fn text(&mut self, text: &'a str) {
        if let Some(number) = self.known.get(text) {
            return self.integer(*number as u64 * 2 + 1);
        }
        self.known.insert(text, self.known.len());
        self.integer(text.len() as u64 * 2);
        self.put(text.as_bytes());
    }

    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        self.integer(bytes.len() as u64);
        self.put(bytes);
    }

    pub(super) fn time(&mut self, time: UnixMillis) {
        self.integer(time.0.cast_unsigned());
    }

    pub(super) fn integer(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.put(&[value as u8 | 0x80]);
            value >>= 7;
        }
        self.put(&[value as u8]);
    }

    pub(super) fn put(&mut self, bytes: &[u8]) {
        self.fits &= bytes.len() <= self.room - self.content.len();
        if self.fits {
            self.content.extend_from_slice(bytes);
        }
    }
}

/// Reads what a [`Writer`] wrote. `None`, everywhere: a newer program wrote something else.
pub(super) struct Reader<'a> {
    rest: &'a [u8],
    known: Vec<&'a str>,
}

impl<'a> Reader<'a> {
    pub(super) const fn new(content: &'a [u8]) -> Self {
        Self { rest: content, known: Vec::new() }
    }

    /// The inverse of [`Writer::life`]: kind, issue and expiry.
    pub(super) fn life(&mut self) -> Option<(SessionKind, UnixMillis, UnixMillis)> {
        let (kind, issued_at) = (kind_of(self.byte()?)?, self.time()?);
        Some((kind, issued_at, issued_at.plus(self.time()?.0)))
    }

    /// The inverse of [`Writer::origin`].
    pub(super) fn origin(&mut self, session: &mut Session) -> Option<()> {
        session.name = self.optional(Self::owned)?;
        session.role_arn = self.optional(Self::owned)?;
        session.parent_access_key_id = self.optional(Self::access_key_id)?;
        session.source_identity = self.optional(Self::owned)?;
        session.mfa_authenticated_at = self.optional(Self::time)?;
        (session.tags, session.transitive_tag_keys) = self.tags()?;
        Some(())
    }

    /// The inverse of [`Writer::policies`].
    pub(super) fn policies(&mut self, session: &mut Session) -> Option<()> {
        session.session_policies = self.list(Self::owned)?;
        session.policy_arns = self.list(Self::owned)?;
        Some(())
    }

    /// The inverse of [`Writer::descent`].
    pub(super) fn descent(&mut self, session: &mut Session) -> Option<()> {
        session.federation = self.optional(Self::federation)?;
        session.lineage = self.list(Self::ancestor)?;
        Some(())
    }

    /// Whether everything has been read.
    pub(super) const fn at_end(&self) -> bool {
        self.rest.is_empty()
    }

    fn tags(&mut self) -> Option<(BTreeMap<String, String>, BTreeSet<String>)> {
        let tags = self.list(|this| Some((this.owned()?, this.owned()?, this.flag()?)))?;
        let transitive = tags.iter().filter(|(.., transitive)| *transitive).map(|(key, ..)| key.clone());
        let transitive = transitive.collect();
        Some((tags.into_iter().map(|(key, value, _)| (key, value)).collect(), transitive))
    }

    pub(super) fn principal(&mut self) -> Option<Principal> {
        Some(Principal { arn: self.owned()?, user_id: self.owned()?, account: self.owned()? })
    }

    fn federation(&mut self) -> Option<Federation> {
        Some(Federation {
            provider: self.owned()?,
            issuer: self.owned()?,
            subject: self.owned()?,
            audience: self.owned()?,
            saml: self.optional(|this| {
                Some(SamlSubject { name_qualifier: this.owned()?, subject_type: this.owned()? })
            })?,
        })
    }

    fn ancestor(&mut self) -> Option<Ancestor> {
        Some(Ancestor {
            access_key_id: self.access_key_id()?,
            principal: self.principal()?,
            role_arn: self.optional(Self::owned)?,
            session_name: self.optional(Self::owned)?,
            provider: self.optional(Self::owned)?,
            issued_at: self.time()?,
        })
    }

    fn list<T>(&mut self, read: impl Fn(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        let length = self.length()?;
        (0..length).map(|_| read(self)).collect()
    }

    fn optional<T>(&mut self, read: impl Fn(&mut Self) -> Option<T>) -> Option<Option<T>> {
        Some(if self.flag()? { Some(read(self)?) } else { None })
    }

    pub(super) fn access_key_id(&mut self) -> Option<AccessKeyId> {
        AccessKeyId::parse(self.text()?)
    }

    pub(super) fn owned(&mut self) -> Option<String> {
        self.text().map(str::to_owned)
    }

    pub(super) fn text(&mut self) -> Option<&'a str> {
        let tag = self.integer()?;
        let number = usize::try_from(tag / 2).ok()?;
        if tag % 2 == 1 {
            return self.known.get(number).copied();
        }
        let text = std::str::from_utf8(self.take(number)?).ok()?;
        self.known.push(text);
        Some(text)
    }

    pub(super) fn time(&mut self) -> Option<UnixMillis> {
        self.integer().map(|millis| UnixMillis(millis.cast_signed()))
    }

    /// A number of things that are still to come: each takes a byte at least.
    pub(super) fn length(&mut self) -> Option<usize> {
        usize::try_from(self.integer()?).ok().filter(|length| *length <= self.rest.len())
    }

    pub(super) fn integer(&mut self) -> Option<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    }

    fn flag(&mut self) -> Option<bool> {
        match self.byte()? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }

    pub(super) fn byte(&mut self) -> Option<u8> {
        self.take(1).map(|bytes| bytes[0])
    }

    pub(super) fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some(taken)
    }
}

const fn kind_byte(kind: SessionKind) -> u8 {
    match kind {
        SessionKind::SessionToken => 1,
        SessionKind::AssumedRole => 2,
        SessionKind::WebIdentity => 3,
        SessionKind::Saml => 4,
        SessionKind::Federation => 5,
    }
}

const fn kind_of(byte: u8) -> Option<SessionKind> {
    match byte {
        1 => Some(SessionKind::SessionToken),
        2 => Some(SessionKind::AssumedRole),
        3 => Some(SessionKind::WebIdentity),
        4 => Some(SessionKind::Saml),
        5 => Some(SessionKind::Federation),
        _ => None,
    }
}
