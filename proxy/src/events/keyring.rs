//! Sealing keys: the files they come from, their ids, and which of them seals.
//!
//! A key file is one line of text: `sigward-sealing-key-v1:<key id>:<base64 of 32 random bytes>`. The key id has
//! 1 to 32 characters of `A-Z a-z 0-9 . _ -`; it is stored beside everything the key sealed and is not secret.
//!
//! To rotate: create a new key, put its file first in the list, keep the old file behind it. At the next start
//! long-term keys are sealed anew; sessions keep their seal until they expire. 36 hours later the old file can go.

use std::fmt;
use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::aead::{AES_256_GCM, LessSafeKey, Nonce, UnboundKey};
use ring::hkdf::{HKDF_SHA256, Salt};
use zeroize::Zeroizing;

use crate::iam::random_bytes;

const FORMAT: &str = "sigward-sealing-key-v1";
const MAX_FILE_BYTES: u64 = 4096;
pub(super) const MAX_KEY_ID_BYTES: usize = 32;
/// Bytes of the salt that makes a subkey.
pub(super) const SALT_BYTES: usize = 16;

/// Sealing keys: the first seals, all unseal. Clones share them; they are wiped from memory with the last one.
#[derive(Clone)]
pub struct Keyring {
    keys: Arc<[SealingKey]>,
    files: Arc<[PathBuf]>,
}

/// One sealing key and the id it is known by.
pub(super) struct SealingKey {
    pub(super) id: Box<str>,
    pub(super) key: Zeroizing<[u8; 32]>,
}

/// A key that seals exactly one message.
pub(super) struct OneTimeKey(LessSafeKey);

impl OneTimeKey {
    pub(super) const TAG_BYTES: usize = 16;

    /// The key, and the nonce to use it with. It may be constant because the key seals nothing else.
    pub(super) fn once(&self) -> (&LessSafeKey, Nonce) {
        (&self.0, Nonce::assume_unique_for_key([0; 12]))
    }
}

/// Why sealing keys could not be loaded or created. Never holds key material.
#[derive(Debug, thiserror::Error)]
pub enum KeyringError {
    /// The list of files is empty.
    #[error("at least one sealing key file is required")]
    Empty,
    /// The file cannot be read or written.
    #[error("sealing key file {}: {source}", path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
    /// Others than the owner may read it, or the group may write it.
    #[error("sealing key file {}: mode {mode:04o} is too open; set it to 0600, 0400 or 0440", path.display())]
    TooOpen {
        /// Which file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The content is not a sealing key.
    #[error("sealing key file {}: expected {FORMAT}:<key id>:<base64 of 32 bytes>", path.display())]
    Malformed {
        /// Which file.
        path: PathBuf,
    },
    /// Two files carry the same key id.
    #[error("sealing key file {}: key id {key_id} occurs twice", path.display())]
    Duplicate {
        /// The second of the two files.
        path: PathBuf,
        /// The id.
        key_id: String,
    },
    /// The operating system has no randomness.
    #[error("the operating system gave no randomness")]
    Randomness,
}

impl Keyring {
    /// Loads key files: the first seals, all unseal.
    ///
    /// A file is refused when others than owner and group may touch it, or the group may do more than read:
    /// 0600, 0400 and the 0440 and 0640 of Kubernetes' `fsGroup` pass.
    pub fn load(files: &[PathBuf]) -> Result<Self, KeyringError> {
        let mut keys: Vec<SealingKey> = Vec::with_capacity(files.len());
        for path in files {
            let key = read(path)?;
            if keys.iter().any(|known| known.id == key.id) {
                return Err(KeyringError::Duplicate { path: path.clone(), key_id: key.id.into() });
            }
            keys.push(key);
        }
        if keys.is_empty() {
            return Err(KeyringError::Empty);
        }
        Ok(Self { keys: keys.into(), files: files.into() })
    }

    /// Creates a key file with a fresh key, mode 0600. An existing file is an error and stays as it is.
    pub fn create(path: &Path) -> Result<(), KeyringError> {
        let key = SealingKey::generate()?;
        let io = |source| KeyringError::Io { path: path.to_owned(), source };
        let mut options = fs::OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(path).map_err(io)?;
        let encoded = Zeroizing::new(STANDARD.encode(*key.key));
        let line = Zeroizing::new(format!("{FORMAT}:{}:{}\n", key.id, *encoded));
        file.write_all(line.as_bytes()).and_then(|()| file.sync_all()).map_err(io)
    }

    /// A keyring with one fresh key that exists in memory only: what it seals is lost with it.
    pub fn ephemeral() -> Result<Self, KeyringError> {
        Ok(Self { keys: [SealingKey::generate()?].into(), files: [].into() })
    }

    /// The id of the key that seals.
    pub fn active(&self) -> &str {
        &self.sealing().id
    }

    /// Whether the key with this id is here.
    pub fn contains(&self, key_id: &str) -> bool {
        self.find(key_id).is_some()
    }

    /// The files the keys came from.
    pub fn files(&self) -> &[PathBuf] {
        &self.files
    }

    pub(super) fn sealing(&self) -> &SealingKey {
        self.keys.first().expect("every constructor puts a key in")
    }

    pub(super) fn find(&self, key_id: &str) -> Option<&SealingKey> {
        self.keys.iter().find(|key| &*key.id == key_id)
    }

    #[cfg(test)]
    pub(super) fn fixed(id: &str, key: [u8; 32]) -> Self {
        Self { keys: [SealingKey { id: id.into(), key: Zeroizing::new(key) }].into(), files: [].into() }
    }
}

/// Key ids only.
impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Keyring")?;
        f.debug_list().entries(self.keys.iter().map(|key| &key.id)).finish()
    }
}

impl SealingKey {
    fn generate() -> Result<Self, KeyringError> {
        let id = random_bytes::<6>().map_err(|_| KeyringError::Randomness)?;
        let key = random_bytes::<32>().map_err(|_| KeyringError::Randomness)?;
        Ok(Self { id: sigv4::hex::encode(&*id).into(), key })
    }

    /// HKDF-SHA256 of the key. The salt is random, so no two messages of a `purpose` share a subkey.
    pub(super) fn subkey(&self, salt: &[u8], purpose: &str) -> OneTimeKey {
        let pseudorandom = Salt::new(HKDF_SHA256, salt).extract(&*self.key);
        let purpose = [purpose.as_bytes()];
        let okm =
            pseudorandom.expand(&purpose, &AES_256_GCM).expect("an AES-256 key is shorter than HKDF's limit");
        OneTimeKey(LessSafeKey::new(UnboundKey::from(okm)))
    }

    fn parse(text: &str) -> Option<Self> {
        let (id, encoded) = text.trim_ascii().strip_prefix(FORMAT)?.strip_prefix(':')?.split_once(':')?;
        let legal = |b: u8| b.is_ascii_alphanumeric() || b".-_".contains(&b);
        if id.is_empty() || id.len() > MAX_KEY_ID_BYTES || !id.bytes().all(legal) {
            return None;
        }
        let mut key = Zeroizing::new([0; 32]);
        // The estimate of the decoder rounds up to whole groups of three, hence one byte more than a key has.
        let mut bytes = Zeroizing::new([0; 33]);
        let length = STANDARD.decode_slice(encoded, &mut *bytes).ok()?;
        (length == key.len()).then(|| key.copy_from_slice(&bytes[..32]))?;
        Some(Self { id: id.into(), key })
    }
}

fn read(path: &Path) -> Result<SealingKey, KeyringError> {
    let io = |source| KeyringError::Io { path: path.to_owned(), source };
    let file = fs::File::open(path).map_err(io)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = file.metadata().map_err(io)?.permissions().mode() & 0o7777;
        if mode & 0o037 != 0 {
            return Err(KeyringError::TooOpen { path: path.to_owned(), mode });
        }
    }
    let mut text = Zeroizing::new(Vec::with_capacity(256));
    file.take(MAX_FILE_BYTES).read_to_end(&mut text).map_err(io)?;
    std::str::from_utf8(&text)
        .ok()
        .and_then(SealingKey::parse)
        .ok_or_else(|| KeyringError::Malformed { path: path.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(name: &str, content: &str, mode: u32) -> (tempfile::TempDir, PathBuf) {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(name);
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        (dir, path)
    }

    fn line(id: &str, key: &[u8]) -> String {
        format!("{FORMAT}:{id}:{}", STANDARD.encode(key))
    }

    #[test]
    fn a_created_key_loads_and_is_the_owners_alone() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sealing.key");
        Keyring::create(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let keyring = Keyring::load(std::slice::from_ref(&path)).unwrap();
        assert!(keyring.contains(keyring.active()));
        let before = fs::read(&path).unwrap();
        assert!(matches!(Keyring::create(&path), Err(KeyringError::Io { .. })));
        assert_eq!(fs::read(&path).unwrap(), before, "an existing key is never overwritten");
    }

    #[test]
    fn refuses_files_that_others_may_read_and_the_group_may_write() {
        for (mode, fine) in [
            (0o600, true),
            (0o400, true),
            (0o440, true),
            (0o640, true),
            (0o644, false),
            (0o660, false),
            (0o604, false),
        ] {
            let (_dir, path) = file("key", &line("k1", &[7; 32]), mode);
            assert_eq!(Keyring::load(&[path]).is_ok(), fine, "{mode:o}");
        }
    }

    #[test]
    fn refuses_what_is_not_a_key() {
        let bad = [
            String::new(),
            line("", &[7; 32]),
            line("k 1", &[7; 32]),
            line(&"k".repeat(33), &[7; 32]),
            line("k1", &[7; 31]),
            line("k1", &[7; 33]),
            line("k1", &[7; 32]).replace("-v1", "-v2"),
            format!("{FORMAT}:k1:not base64"),
        ];
        for text in bad {
            let (_dir, path) = file("key", &text, 0o600);
            assert!(matches!(Keyring::load(&[path]), Err(KeyringError::Malformed { .. })), "{text}");
        }
        assert!(matches!(Keyring::load(&[]), Err(KeyringError::Empty)));
    }

    #[test]
    fn refuses_one_key_id_in_two_files() {
        let (_a, first) = file("a", &line("k1", &[7; 32]), 0o600);
        let (_b, second) = file("b", &line("k1", &[8; 32]), 0o600);
        let error = Keyring::load(&[first, second]).unwrap_err();
        assert!(error.to_string().contains("key id k1 occurs twice"), "{error}");
    }

    #[test]
    fn debug_prints_key_ids_only() {
        let keyring = Keyring::fixed("k1", *b"canary-canary-canary-canary-cana");
        assert_eq!(format!("{keyring:?}"), r#"Keyring["k1"]"#);
    }
}
