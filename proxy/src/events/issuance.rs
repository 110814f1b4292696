//! The header of an issuance in its compact form: of events these are the many.
//!
//! ```text
//! byte        kind: 1 GetSessionToken, 2 AssumeRole, 3 …WithWebIdentity, 4 …WithSAML, 5 GetFederationToken
//! integer     issued at, milliseconds
//! integer     lifetime, milliseconds
//! text × 2    source and id of the event
//! integer × 2 time of the event, time it was recorded at, milliseconds
//! text        access key id
//! text × 3    ARN, unique id and account of the principal
//! 32 bytes    SHA-256 of the session token
//! the rest    as in session tokens, with the policies: what it comes from, its tags, policies, federation, ancestors
//! ```
//!
//! What a newer program adds stands behind and is passed over.

use sigv4::SecretAccessKey;

use super::codec::LoggedEvent;
use super::compact::{Reader, Writer};
use super::envelope::RowError;
use super::{Event, EventData};
use crate::clock::UnixMillis;
use crate::iam::{AccessKeyId, Credential, KeyStatus, Session, SessionTokenHash};

/// Writes the header of the issuance of `session`, which is that of `credential`.
pub(super) fn write(
    event: &Event,
    recorded_at: UnixMillis,
    credential: &Credential,
    session: &Session,
) -> Result<Vec<u8>, RowError> {
    let mut to = Writer::growing();
    to.life(session, credential.issued_at);
    to.text(&event.source);
    to.text(&event.id);
    to.time(event.time);
    to.time(recorded_at);
    to.text(credential.access_key_id.as_str());
    to.principal(&credential.principal);
    to.put(session.token.as_bytes());
    to.origin(session);
    to.policies(session);
    to.descent(session);
    to.finish().map(|header| header.to_vec()).ok_or(RowError::Sealing)
}

/// The issuance of a header, with this secret.
pub(super) fn read(header: &[u8], secret: SecretAccessKey) -> Result<LoggedEvent, RowError> {
    parse(header, secret).ok_or_else(malformed)
}

/// What of an issuance the file is sorted by.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Brief<'a> {
    pub(crate) source: &'a str,
    pub(crate) id: &'a str,
    pub(crate) recorded_at: UnixMillis,
    pub(crate) access_key_id: AccessKeyId,
    pub(crate) issued_at: UnixMillis,
    pub(crate) expires_at: UnixMillis,
}

/// The first of what a header says.
pub(super) fn brief(header: &[u8]) -> Result<Brief<'_>, RowError> {
    let mut from = Reader::new(header);
    let brief = from.life().and_then(|(_, issued_at, expires_at)| {
        let (source, id) = (from.text()?, from.text()?);
        let (_, recorded_at) = (from.time()?, from.time()?);
        let access_key_id = from.access_key_id()?;
        Some(Brief { source, id, recorded_at, access_key_id, issued_at, expires_at })
    });
    brief.ok_or_else(malformed)
}

/// When the session expires.
pub(super) fn expiry(header: &[u8]) -> Option<UnixMillis> {
    Reader::new(header).life().map(|(.., expires_at)| expires_at)
}

/// Source and id of the event.
pub(super) fn identity(header: &[u8]) -> Result<(String, String), RowError> {
    let mut from = Reader::new(header);
    let identity = from.life().and_then(|_| Some((from.owned()?, from.owned()?)));
    identity.ok_or_else(malformed)
}

fn parse(header: &[u8], secret: SecretAccessKey) -> Option<LoggedEvent> {
    let mut from = Reader::new(header);
    let (kind, issued_at, expires_at) = from.life()?;
    let (source, id) = (from.owned()?, from.owned()?);
    let (time, recorded_at) = (from.time()?, from.time()?);
    let access_key_id = from.access_key_id()?;
    let principal = from.principal()?;
    let token = SessionTokenHash::from_bytes(from.take(32)?.try_into().ok()?);
    let mut session = Session::new(kind, token, expires_at);
    from.origin(&mut session)?;
    from.policies(&mut session)?;
    from.descent(&mut session)?;
    let credential = Credential {
        access_key_id,
        secret,
        principal,
        issued_at,
        status: KeyStatus::Active,
        not_after: None,
        declared: false,
        session: Some(session),
    };
    let event = Event { source, id, time, data: EventData::CredentialIssued(credential) };
    Some(LoggedEvent { event, recorded_at })
}

fn malformed() -> RowError {
    RowError::Malformed("an issuance".into())
}
