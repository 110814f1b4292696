//! The content of a sealed token, written and read.

use std::collections::{BTreeMap, BTreeSet};

use sigv4::SecretAccessKey;
use zeroize::Zeroizing;

use super::{Unsealed, policies_digest};
use crate::clock::UnixMillis;
use crate::iam::{
    AccessKeyId, Ancestor, Credential, Federation, KeyStatus, Principal, SamlSubject, Session, SessionKind,
    SessionTokenHash,
};

/// How the policies of a session are written.
#[derive(Clone, Copy)]
pub(super) enum Policies {
    Inline,
    Digest,
}

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

    /// The content; `None` if it does not fit.
    pub(super) fn session(
        mut self,
        credential: &'a Credential,
        session: &'a Session,
        position: u64,
        policies: Policies,
    ) -> Option<Zeroizing<Vec<u8>>> {
        self.integer(position);
        self.bytes(credential.secret.expose_secret());
        self.principal(&credential.principal);
        self.put(&[kind_byte(session.kind)]);
        self.time(credential.issued_at);
        self.time(UnixMillis(session.expires_at.0.saturating_sub(credential.issued_at.0)));
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
        match policies {
            Policies::Inline => {
                self.put(&[0]);
                self.list(&session.session_policies, |this, policy| this.text(policy));
                self.list(&session.policy_arns, |this, arn| this.text(arn));
            }
            Policies::Digest => {
                self.put(&[1]);
                self.put(&policies_digest(session));
            }
        }
        self.optional(session.federation.as_ref(), Self::federation);
        self.list(&session.lineage, Self::ancestor);
        self.fits.then_some(self.content)
    }

    fn principal(&mut self, principal: &'a Principal) {
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

    fn text(&mut self, text: &'a str) {
        if let Some(number) = self.known.get(text) {
            return self.integer(*number as u64 * 2 + 1);
        }
        self.known.insert(text, self.known.len());
        self.integer(text.len() as u64 * 2);
        self.put(text.as_bytes());
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.integer(bytes.len() as u64);
        self.put(bytes);
    }

    fn time(&mut self, time: UnixMillis) {
        self.integer(time.0.cast_unsigned());
    }

    fn integer(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.put(&[value as u8 | 0x80]);
            value >>= 7;
        }
        self.put(&[value as u8]);
    }

    fn put(&mut self, bytes: &[u8]) {
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

    /// The whole content.
    pub(super) fn session(
        mut self,
        access_key_id: &AccessKeyId,
        token: SessionTokenHash,
    ) -> Option<Unsealed> {
        let position = self.integer()?;
        let secret_length = self.length()?;
        let secret = SecretAccessKey::new(self.take(secret_length)?);
        let principal = self.principal()?;
        let kind = kind_of(self.byte()?)?;
        let issued_at = self.time()?;
        let mut session = Session::new(kind, token, issued_at.plus(self.time()?.0));
        session.name = self.optional(Self::owned)?;
        session.role_arn = self.optional(Self::owned)?;
        session.parent_access_key_id = self.optional(Self::access_key_id)?;
        session.source_identity = self.optional(Self::owned)?;
        session.mfa_authenticated_at = self.optional(Self::time)?;
        (session.tags, session.transitive_tag_keys) = self.tags()?;
        let policies_withheld = match self.byte()? {
            0 => {
                session.session_policies = self.list(Self::owned)?;
                session.policy_arns = self.list(Self::owned)?;
                false
            }
            1 => self.take(32).map(|_| true)?,
            _ => return None,
        };
        session.federation = self.optional(Self::federation)?;
        session.lineage = self.list(Self::ancestor)?;
        let credential = Credential {
            access_key_id: access_key_id.clone(),
            secret,
            principal,
            issued_at,
            status: KeyStatus::Active,
            not_after: None,
            session: Some(session),
        };
        self.rest.is_empty().then_some(Unsealed { credential, position, policies_withheld })
    }

    fn tags(&mut self) -> Option<(BTreeMap<String, String>, BTreeSet<String>)> {
        let tags = self.list(|this| Some((this.owned()?, this.owned()?, this.flag()?)))?;
        let transitive = tags.iter().filter(|(.., transitive)| *transitive).map(|(key, ..)| key.clone());
        let transitive = transitive.collect();
        Some((tags.into_iter().map(|(key, value, _)| (key, value)).collect(), transitive))
    }

    fn principal(&mut self) -> Option<Principal> {
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

    fn access_key_id(&mut self) -> Option<AccessKeyId> {
        AccessKeyId::parse(self.text()?)
    }

    fn owned(&mut self) -> Option<String> {
        self.text().map(str::to_owned)
    }

    fn text(&mut self) -> Option<&'a str> {
        let tag = self.integer()?;
        let number = usize::try_from(tag / 2).ok()?;
        if tag % 2 == 1 {
            return self.known.get(number).copied();
        }
        let text = std::str::from_utf8(self.take(number)?).ok()?;
        self.known.push(text);
        Some(text)
    }

    fn time(&mut self) -> Option<UnixMillis> {
        self.integer().map(|millis| UnixMillis(millis.cast_signed()))
    }

    /// A number of things that are still to come: each takes a byte at least.
    fn length(&mut self) -> Option<usize> {
        usize::try_from(self.integer()?).ok().filter(|length| *length <= self.rest.len())
    }

    fn integer(&mut self) -> Option<u64> {
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

    fn byte(&mut self) -> Option<u8> {
        self.take(1).map(|bytes| bytes[0])
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
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
