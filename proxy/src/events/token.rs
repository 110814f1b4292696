//! Sealed session tokens: a session that carries itself, so that a gateway whose log does not hold its issuance can
//! verify it all the same.
//!
//! ```text
//! byte 0      version, 2 (opaque tokens begin with 1)
//! byte 1      length k of the sealing key's id
//! k bytes     the sealing key's id
//! 16 bytes    salt
//! the rest    AES-256-GCM ciphertext and tag of the content below
//! ```
//!
//! The whole is written in base64, at most [`MAX_TOKEN_BYTES`] of it. The content is sealed under HKDF-SHA256(key,
//! salt), a key of its own, and authenticated together with everything before the salt and with the access key id.
//! That id is nowhere in the token: it comes with the request, and another one breaks the seal. So the clear part
//! tells two tokens' sealing keys apart and nothing else, not even the account.
//!
//! The content, in this order (`content`):
//!
//! ```text
//! integer     log position at the time of issue
//! bytes       secret access key
//! text × 3    ARN, unique id and account of the principal
//! byte        kind: 1 GetSessionToken, 2 AssumeRole, 3 …WithWebIdentity, 4 …WithSAML, 5 GetFederationToken
//! integer     issued at, milliseconds
//! integer     lifetime, milliseconds
//! optional    session name, role ARN, parent access key id, source identity (text each)
//! optional    second factor presented at (integer)
//! list        tags: key, value, byte 1 if transitive
//! byte        0: the policies follow; 1: their SHA-256 (32 bytes) does
//! list × 2    session policies, policy ARNs
//! optional    federation: provider, issuer, subject, audience, optional (name qualifier, subject type)
//! list        ancestors: access key id, ARN, unique id, account, optional × 3 (role, session name, provider), issued at
//! ```
//!
//! `compact` says how these are written.
//!
//! Policies that do not fit are left to the log: such a session can be verified by a gateway that has its record.

mod content;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::aead::Aad;
use ring::digest;
use zeroize::Zeroizing;

use self::content::Policies;
use super::compact::Writer;
use super::keyring::{Keyring, MAX_KEY_ID_BYTES, OneTimeKey, SALT_BYTES};
use crate::iam::{AccessKeyId, Credential, NoRandomNumbers, Session, SessionTokenHash, random_bytes};

/// Longest token in characters: what proxies with header buffers of 8 KiB let through.
pub const MAX_TOKEN_BYTES: usize = 4_096;

/// Bytes that [`MAX_TOKEN_BYTES`] characters of base64 stand for.
const MAX_RAW_BYTES: usize = MAX_TOKEN_BYTES / 4 * 3;
const OPAQUE: u8 = 1;
const SEALED: u8 = 2;
const PURPOSE: &str = "sigward session token v2";

/// What a sealed token says.
pub(crate) struct Unsealed {
    /// The session, its policies included; `token` is the hash of what was unsealed.
    pub(crate) credential: Credential,
    /// The position of the issuer's log at the time of issue.
    pub(crate) position: u64,
    /// Whether the session has policies that did not fit: then `credential` lacks them and must not be used.
    pub(crate) policies_withheld: bool,
}

/// Why there is no token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Even without policies the session is larger than a token may be: tags, or a long chain.
    #[error("the session does not fit into a token of {MAX_TOKEN_BYTES} characters")]
    TooLarge,
    /// The operating system has no randomness.
    #[error(transparent)]
    NoRandomNumbers(#[from] NoRandomNumbers),
}

/// A token that says nothing to anyone but the store.
pub(crate) fn opaque_token() -> Result<Zeroizing<String>, NoRandomNumbers> {
    let mut token = random_bytes::<48>()?;
    token[0] = OPAQUE;
    Ok(Zeroizing::new(STANDARD.encode(*token)))
}

/// Seals a session; `credential.session.token` is not looked at.
pub(crate) fn seal_session(
    credential: &Credential,
    session: &Session,
    position: u64,
    keyring: &Keyring,
) -> Result<Zeroizing<String>, TokenError> {
    seal_salted(credential, session, position, keyring, *random_bytes::<SALT_BYTES>()?)
}

fn seal_salted(
    credential: &Credential,
    session: &Session,
    position: u64,
    keyring: &Keyring,
    salt: [u8; SALT_BYTES],
) -> Result<Zeroizing<String>, TokenError> {
    let key = keyring.sealing();
    let head = head(&key.id);
    let room = MAX_RAW_BYTES - head.len() - SALT_BYTES - OneTimeKey::TAG_BYTES;
    let write = |policies| {
        content::write(Writer::new(room, OneTimeKey::TAG_BYTES), credential, session, position, policies)
    };
    let mut content = match write(Policies::Inline) {
        Some(content) => content,
        None => write(Policies::Digest).ok_or(TokenError::TooLarge)?,
    };
    let subkey = key.subkey(&salt, PURPOSE);
    let (subkey, nonce) = subkey.once();
    subkey
        .seal_in_place_append_tag(nonce, aad(&head, &credential.access_key_id), &mut *content)
        .map_err(|_| TokenError::TooLarge)?;
    Ok(Zeroizing::new(STANDARD.encode([&head[..], &salt, &content].concat())))
}

/// What `token` says, if it was sealed for `access_key_id` under a key of the ring.
///
/// A token that cannot be one costs no cryptography.
pub(crate) fn unseal_session(
    token: &[u8],
    access_key_id: &AccessKeyId,
    keyring: &Keyring,
) -> Option<Unsealed> {
    if token.len() > MAX_TOKEN_BYTES {
        return None;
    }
    let raw = STANDARD.decode(token).ok()?;
    let (&[SEALED, key_id_length], rest) = raw.split_first_chunk::<2>()? else { return None };
    let (key_id, rest) = rest.split_at_checked(usize::from(key_id_length))?;
    let key = keyring.find(std::str::from_utf8(key_id).ok()?)?;
    let (salt, sealed) = rest.split_at_checked(SALT_BYTES)?;
    let mut content = Zeroizing::new(sealed.to_vec());
    let subkey = key.subkey(salt, PURPOSE);
    let (subkey, nonce) = subkey.once();
    let content = subkey.open_in_place(nonce, aad(&head(&key.id), access_key_id), &mut content).ok()?;
    content::read(content, access_key_id, SessionTokenHash::of(token))
}

/// Everything before the salt.
fn head(key_id: &str) -> Vec<u8> {
    let length = u8::try_from(key_id.len().min(MAX_KEY_ID_BYTES)).unwrap_or_default();
    [&[SEALED, length], key_id.as_bytes()].concat()
}

fn aad(head: &[u8], access_key_id: &AccessKeyId) -> Aad<Vec<u8>> {
    Aad::from([head, access_key_id.as_str().as_bytes()].concat())
}

/// Of policies that are not in the token: each length and text in turn.
fn policies_digest(session: &Session) -> [u8; 32] {
    let mut context = digest::Context::new(&digest::SHA256);
    for texts in [&session.session_policies, &session.policy_arns] {
        context.update(&(texts.len() as u64).to_be_bytes());
        for text in texts {
            context.update(&(text.len() as u64).to_be_bytes());
            context.update(text.as_bytes());
        }
    }
    context.finish().as_ref().try_into().expect("SHA-256 has 32 bytes")
}

#[cfg(test)]
mod tests;
