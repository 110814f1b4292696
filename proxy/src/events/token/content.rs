//! The content of a sealed token, written and read.

use sigv4::SecretAccessKey;
use zeroize::Zeroizing;

use super::super::compact::{Reader, Writer};
use super::{Unsealed, policies_digest};
use crate::iam::{AccessKeyId, Credential, KeyStatus, Session, SessionTokenHash};

/// How the policies of a session are written.
#[derive(Clone, Copy)]
pub(super) enum Policies {
    Inline,
    Digest,
}

/// The content; `None` if it does not fit.
pub(super) fn write<'a>(
    mut to: Writer<'a>,
    credential: &'a Credential,
    session: &'a Session,
    position: u64,
    policies: Policies,
) -> Option<Zeroizing<Vec<u8>>> {
    to.integer(position);
    to.bytes(credential.secret.expose_secret());
    to.principal(&credential.principal);
    to.life(session, credential.issued_at);
    to.origin(session);
    match policies {
        Policies::Inline => {
            to.put(&[0]);
            to.policies(session);
        }
        Policies::Digest => {
            to.put(&[1]);
            to.put(&policies_digest(session));
        }
    }
    to.descent(session);
    to.finish()
}

/// The inverse of [`write`]. `None`: a newer program wrote something else.
pub(super) fn read(content: &[u8], access_key_id: &AccessKeyId, token: SessionTokenHash) -> Option<Unsealed> {
    let mut from = Reader::new(content);
    let position = from.integer()?;
    let secret_length = from.length()?;
    let secret = SecretAccessKey::new(from.take(secret_length)?);
    let principal = from.principal()?;
    let (kind, issued_at, expires_at) = from.life()?;
    let mut session = Session::new(kind, token, expires_at);
    from.origin(&mut session)?;
    let policies_withheld = match from.byte()? {
        0 => from.policies(&mut session).map(|()| false)?,
        1 => from.take(32).map(|_| true)?,
        _ => return None,
    };
    from.descent(&mut session)?;
    let credential = Credential {
        access_key_id: access_key_id.clone(),
        secret,
        principal,
        issued_at,
        status: KeyStatus::Active,
        not_after: None,
        declared: false,
        session: Some(session),
    };
    from.at_end().then_some(Unsealed { credential, position, policies_withheld })
}
