//! A secret access key as text that may lie where others read: sealed under a sealing key of the gateways.
//!
//! ```text
//! sigward-sealed-secret-v1:<base64 of a sealed row whose header is the access key id>
//! ```
//!
//! It is good for its own access key id only, so that whoever may write such texts, but lacks the sealing key, can pass
//! none of them off as another's.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sigv4::SecretAccessKey;

use super::Keyring;
use super::envelope::{self, Form, Row, RowError, RowKind};
use crate::iam::AccessKeyId;

#[cfg(test)]
mod tests;

const FORMAT: &str = "sigward-sealed-secret-v1:";

/// Seals the secret of `access_key_id` under the keyring's first key.
///
/// # Errors
/// The system has no random numbers, or the secret is longer than 64 KiB.
pub fn seal_secret(
    access_key_id: &AccessKeyId,
    secret: &SecretAccessKey,
    keyring: &Keyring,
) -> Result<String, RowError> {
    let row = envelope::write(
        (RowKind::Secret, Form::Json),
        access_key_id.as_str().as_bytes(),
        Some(secret),
        keyring,
    )?;
    Ok(format!("{FORMAT}{}", STANDARD.encode(row)))
}

/// The secret of `access_key_id` out of what [`seal_secret`] made.
///
/// # Errors
/// It is something else, was altered, is another's, or is sealed under a key that is not here.
pub fn unseal_secret(
    access_key_id: &AccessKeyId,
    text: &str,
    keyring: &Keyring,
) -> Result<SecretAccessKey, RowError> {
    let malformed = |what: &str| RowError::Malformed(what.to_owned());
    let encoded = text.strip_prefix(FORMAT).ok_or_else(|| malformed("does not begin as a sealed secret"))?;
    let bytes = STANDARD.decode(encoded).map_err(|_| malformed("is not base64"))?;
    let row = Row::parse(RowKind::Secret, &bytes)?;
    let secret = row.unseal(keyring)?.ok_or_else(|| malformed("holds no secret"))?;
    if row.header != access_key_id.as_str().as_bytes() {
        return Err(malformed("is the secret of another access key id"));
    }
    Ok(secret)
}
