//! The access keys that `dev` makes up, and the file that keeps one from start to start.

use std::fs::{DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use ring::rand::{SecureRandom, SystemRandom};
use sigv4::SecretAccessKey;
use zeroize::Zeroizing;

use crate::iam::AccessKeyId;

/// What access key ids are made of: 32 characters, so that each is five random bits.
const ID_ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
/// What secrets are made of: 64 characters, none of which has to be quoted in a shell.
const SECRET_ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// A new access key, of the form AWS gives its own: `AKIA` and 16 characters, and a secret of 40. `None` when the
/// system has no random bytes.
pub(super) fn generate() -> Option<(AccessKeyId, SecretAccessKey)> {
    let mut random = Zeroizing::new([0; 16 + 40]);
    SystemRandom::new().fill(&mut *random).ok()?;
    let (id, secret) = random.split_at(16);
    let id = id.iter().map(|&byte| char::from(ID_ALPHABET[usize::from(byte) % ID_ALPHABET.len()]));
    let secret = secret.iter().map(|&byte| SECRET_ALPHABET[usize::from(byte) % SECRET_ALPHABET.len()]);
    let id = AccessKeyId::parse(&format!("AKIA{}", id.collect::<String>()))?;
    Some((id, SecretAccessKey::new(secret.collect::<Vec<u8>>())))
}

/// Makes a directory, where there is none, that nobody else may enter.
pub(super) fn private_directory(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Writes a file of two lines, access key id and secret, that nobody else may read.
pub(super) fn write_private(path: &Path, id: &str, secret: &SecretAccessKey) -> io::Result<()> {
    let mut content = Zeroizing::new(Vec::with_capacity(id.len() + secret.expose_secret().len() + 2));
    for line in [id.as_bytes(), secret.expose_secret()] {
        content.extend_from_slice(line);
        content.push(b'\n');
    }
    // Under another name first: a start that is cut short must not leave half a key behind.
    let partial = path.with_extension("partial");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&partial)?;
    file.write_all(&content)?;
    file.sync_all()?;
    std::fs::rename(&partial, path)
}

/// Reads what [`write_private`] wrote; `None` when the file holds something else.
pub(super) fn read(path: &Path) -> io::Result<Option<(AccessKeyId, SecretAccessKey)>> {
    let content = Zeroizing::new(std::fs::read(path)?);
    let mut lines = content.split(|&byte| byte == b'\n');
    let (Some(id), Some(secret), Some(&[]), None) = (lines.next(), lines.next(), lines.next(), lines.next())
    else {
        return Ok(None);
    };
    let id = str::from_utf8(id).ok().and_then(AccessKeyId::parse);
    Ok(id.filter(|_| !secret.is_empty()).map(|id| (id, SecretAccessKey::new(secret))))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn mode(path: &Path) -> u32 {
        std::fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn an_access_key_is_read_back_as_written_by_its_owner_alone() {
        let above = tempfile::tempdir().unwrap();
        let directory = above.path().join("state");
        private_directory(&directory).unwrap();
        private_directory(&directory).unwrap();
        let path = directory.join("access-key");
        let (id, secret) = generate().unwrap();
        write_private(&path, id.as_str(), &secret).unwrap();
        assert_eq!((mode(&directory), mode(&path)), (0o700, 0o600));
        let (read_id, read_secret) = read(&path).unwrap().unwrap();
        assert_eq!((read_id, read_secret.expose_secret()), (id, secret.expose_secret()));
        assert_eq!(std::fs::read_dir(&directory).unwrap().count(), 1);
    }

    #[test]
    fn a_file_of_anything_else_is_no_access_key() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("access-key");
        for content in
            ["", "\n", "AKIA\n", "AKIA\n\n", "AKIA\nsecret", "a b\nsecret\n", "AKIA\nsecret\nmore\n"]
        {
            std::fs::write(&path, content).unwrap();
            assert!(read(&path).unwrap().is_none(), "{content:?}");
        }
    }

    #[test]
    fn access_keys_look_like_those_of_aws() {
        let (id, secret) = generate().unwrap();
        assert!(id.as_str().starts_with("AKIA") && id.as_str().len() == 20);
        assert_eq!(secret.expose_secret().len(), 40);
        assert_ne!(generate().unwrap().0, id);
    }
}
