//! The stored form of everything in the log and its view: a clear header, and beside it at most one secret, sealed.
//!
//! ```text
//! byte 0      form of the header: 1 JSON, 2 compact
//! byte 1      length k of the sealing key's id; 0: nothing is sealed
//! k bytes     the sealing key's id
//!             only if k > 0:
//! 16 bytes      salt
//! 2 bytes       length n of the ciphertext with its tag, big endian
//! n bytes       AES-256-GCM ciphertext and tag
//! the rest    header
//! ```
//!
//! The secret is sealed under HKDF-SHA256(key, salt), a key of its own, and authenticated together with version,
//! kind of row, key id and the whole header. The header names the access key id, so a ciphertext cannot be moved
//! to another row, nor can principal, expiry or status be altered beside it.

use ring::aead::Aad;
use ring::rand::{SecureRandom, SystemRandom};
use sigv4::SecretAccessKey;
use zeroize::Zeroizing;

use super::keyring::{Keyring, MAX_KEY_ID_BYTES, OneTimeKey, SALT_BYTES};

const PURPOSE: &str = "sigward row v1";

/// How a header is written; part of what is authenticated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// Text that says what it means: of everything there is little of.
    Json = 1,
    /// As `compact` has it: of issuances.
    Compact = 2,
}

/// Where a row belongs; part of what is authenticated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RowKind {
    /// A row of the log.
    Event,
    /// A row of the view.
    Credential,
    /// A secret by itself, outside of the database.
    Secret,
    /// The end of an exported log: its header alone counts, the secret is empty.
    Archive,
    /// Messages of a shared log, all of them in the header; the secret is empty.
    Pack,
    /// Which part of a shared log a pack covers; the secret is empty.
    Part,
}

/// Why a row cannot be written or read. Never holds anything of the secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RowError {
    /// Written by a newer program.
    #[error("version {0} is not known to this program")]
    Version(u8),
    /// Not a row at all, or a header that does not say what it must.
    #[error("malformed: {0}")]
    Malformed(String),
    /// The sealing key is not in the keyring.
    #[error("sealed under key id {0}, which is not in the keyring")]
    MissingKey(String),
    /// The seal does not fit: wrong key material, or the row was altered.
    #[error("the seal under key id {0} is broken: another key with that id, or the row was altered")]
    Broken(String),
    /// The operating system has no randomness, or the secret is longer than 64 KiB.
    #[error("cannot seal")]
    Sealing,
}

/// A row taken apart; nothing is unsealed yet.
pub(crate) struct Row<'a> {
    kind: RowKind,
    pub(crate) form: Form,
    /// The clear part.
    pub(crate) header: &'a [u8],
    seal: Option<Seal<'a>>,
}

struct Seal<'a> {
    key_id: &'a str,
    salt: &'a [u8],
    ciphertext: &'a [u8],
}

/// Writes a row; `secret` is sealed under the keyring's active key.
pub(crate) fn write(
    (kind, form): (RowKind, Form),
    header: &[u8],
    secret: Option<&SecretAccessKey>,
    keyring: &Keyring,
) -> Result<Vec<u8>, RowError> {
    let mut salt = [0; SALT_BYTES];
    SystemRandom::new().fill(&mut salt).map_err(|_| RowError::Sealing)?;
    write_salted((kind, form), header, secret, keyring, salt)
}

fn write_salted(
    (kind, form): (RowKind, Form),
    header: &[u8],
    secret: Option<&SecretAccessKey>,
    keyring: &Keyring,
    salt: [u8; SALT_BYTES],
) -> Result<Vec<u8>, RowError> {
    let Some(secret) = secret else {
        return Ok([&[form as u8, 0], header].concat());
    };
    let key = keyring.sealing();
    // Room for the tag at once: growing would leave a copy of the secret behind.
    let plain = secret.expose_secret();
    let mut sealed = Zeroizing::new(Vec::with_capacity(plain.len() + OneTimeKey::TAG_BYTES));
    sealed.extend_from_slice(plain);
    let aad = Aad::from(authenticated((kind, form), &key.id, header));
    let subkey = key.subkey(&salt, PURPOSE);
    let (subkey, nonce) = subkey.once();
    subkey.seal_in_place_append_tag(nonce, aad, &mut *sealed).map_err(|_| RowError::Sealing)?;
    let length = u16::try_from(sealed.len()).map_err(|_| RowError::Sealing)?.to_be_bytes();
    let key_id_length = u8::try_from(key.id.len()).map_err(|_| RowError::Sealing)?;
    Ok([&[form as u8, key_id_length], key.id.as_bytes(), &salt, &length, &sealed, header].concat())
}

impl<'a> Row<'a> {
    /// Takes a row apart.
    pub(crate) fn parse(kind: RowKind, bytes: &'a [u8]) -> Result<Self, RowError> {
        let (&form, rest) = bytes.split_first().ok_or_else(|| malformed("empty"))?;
        let form = match form {
            1 => Form::Json,
            2 => Form::Compact,
            unknown => return Err(RowError::Version(unknown)),
        };
        let (&key_id_length, rest) = rest.split_first().ok_or_else(|| malformed("truncated"))?;
        if key_id_length == 0 {
            return Ok(Self { kind, form, header: rest, seal: None });
        }
        let (key_id, rest) = split(rest, usize::from(key_id_length))?;
        let key_id = std::str::from_utf8(key_id)
            .ok()
            .filter(|id| id.len() <= MAX_KEY_ID_BYTES)
            .ok_or_else(|| malformed("key id"))?;
        let (salt, rest) = split(rest, SALT_BYTES)?;
        let (length, rest) = rest.split_first_chunk::<2>().ok_or_else(|| malformed("truncated"))?;
        let (ciphertext, header) = split(rest, usize::from(u16::from_be_bytes(*length)))?;
        Ok(Self { kind, form, header, seal: Some(Seal { key_id, salt, ciphertext }) })
    }

    /// Id of the key that sealed the secret, if there is one.
    pub(crate) fn key_id(&self) -> Option<&'a str> {
        self.seal.as_ref().map(|seal| seal.key_id)
    }

    /// Unseals the secret and proves the header. `None`: the row holds no secret.
    pub(crate) fn unseal(&self, keyring: &Keyring) -> Result<Option<SecretAccessKey>, RowError> {
        let Some(seal) = &self.seal else { return Ok(None) };
        let key = keyring.find(seal.key_id).ok_or_else(|| RowError::MissingKey(seal.key_id.into()))?;
        let aad = Aad::from(authenticated((self.kind, self.form), seal.key_id, self.header));
        let mut buffer = Zeroizing::new(seal.ciphertext.to_vec());
        let subkey = key.subkey(seal.salt, PURPOSE);
        let (subkey, nonce) = subkey.once();
        let secret = subkey
            .open_in_place(nonce, aad, &mut buffer)
            .map_err(|_| RowError::Broken(seal.key_id.into()))?;
        Ok(Some(SecretAccessKey::new(&*secret)))
    }
}

fn authenticated((kind, form): (RowKind, Form), key_id: &str, header: &[u8]) -> Vec<u8> {
    let kind = match kind {
        RowKind::Event => b'e',
        RowKind::Credential => b'c',
        RowKind::Secret => b's',
        RowKind::Archive => b'a',
        RowKind::Pack => b'p',
        RowKind::Part => b'r',
    };
    let key_id_length = u8::try_from(key_id.len()).unwrap_or(u8::MAX);
    [&[form as u8, kind, key_id_length], key_id.as_bytes(), header].concat()
}

fn split(bytes: &[u8], at: usize) -> Result<(&[u8], &[u8]), RowError> {
    bytes.split_at_checked(at).ok_or_else(|| malformed("truncated"))
}

fn malformed(what: &str) -> RowError {
    RowError::Malformed(what.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &[u8] = br#"{"id":"AKIA1"}"#;

    /// Header, key 07.., salt 09.. and secret of the tests below, as another implementation of the layout wrote it.
    const GOLDEN: &str = "01026b3109090909090909090909090909090909\
                          00167117c05382ef6bf0d5485f47be448ad615c50a95f217\
                          7b226964223a22414b494131227d";

    fn keyring() -> Keyring {
        Keyring::fixed("k1", [7; 32])
    }

    fn sealed() -> Vec<u8> {
        let secret = SecretAccessKey::new("canary");
        write_salted((RowKind::Credential, Form::Json), HEADER, Some(&secret), &keyring(), [9; 16]).unwrap()
    }

    fn unseal(kind: RowKind, bytes: &[u8], keyring: &Keyring) -> Result<Vec<u8>, RowError> {
        let secret = Row::parse(kind, bytes)?.unseal(keyring)?.ok_or_else(|| malformed("no secret"))?;
        Ok(secret.expose_secret().to_vec())
    }

    #[test]
    fn version_one_is_these_bytes() {
        let hex: String = sealed().iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(hex, GOLDEN);
        assert_eq!(unseal(RowKind::Credential, &sealed(), &keyring()).unwrap(), b"canary");
        let plain = write((RowKind::Event, Form::Json), HEADER, None, &keyring()).unwrap();
        assert_eq!(plain, [b"\x01\x00", HEADER].concat());
        assert!(Row::parse(RowKind::Event, &plain).unwrap().unseal(&keyring()).unwrap().is_none());
    }

    #[test]
    fn no_bit_of_a_sealed_row_can_be_changed() {
        let good = sealed();
        for at in 0..good.len() * 8 {
            let mut bad = good.clone();
            bad[at / 8] ^= 1 << (at % 8);
            assert!(unseal(RowKind::Credential, &bad, &keyring()).is_err(), "bit {at}");
        }
        for length in 0..good.len() {
            assert!(unseal(RowKind::Credential, &good[..length], &keyring()).is_err(), "length {length}");
        }
    }

    #[test]
    fn a_row_of_one_kind_is_not_a_row_of_another() {
        let error = unseal(RowKind::Event, &sealed(), &keyring()).unwrap_err();
        assert_eq!(error, RowError::Broken("k1".into()));
    }

    #[test]
    fn an_unknown_version_and_a_missing_key_are_told_apart_from_damage() {
        let mut newer = sealed();
        newer[0] = 3;
        assert_eq!(unseal(RowKind::Credential, &newer, &keyring()).unwrap_err(), RowError::Version(3));
        let other = Keyring::fixed("k2", [7; 32]);
        assert_eq!(
            unseal(RowKind::Credential, &sealed(), &other).unwrap_err(),
            RowError::MissingKey("k1".into())
        );
        let impostor = Keyring::fixed("k1", [8; 32]);
        assert_eq!(
            unseal(RowKind::Credential, &sealed(), &impostor).unwrap_err(),
            RowError::Broken("k1".into())
        );
    }

    #[test]
    fn the_same_secret_never_seals_to_the_same_bytes() {
        let secret = SecretAccessKey::new("canary");
        let row = || write((RowKind::Credential, Form::Json), HEADER, Some(&secret), &keyring()).unwrap();
        assert_ne!(row(), row());
        assert!(!row().windows(6).any(|window| window == b"canary"));
    }
}
