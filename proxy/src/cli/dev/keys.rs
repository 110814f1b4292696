//! The file that keeps the access key of `dev` from start to start.

use std::fs::{DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use sigv4::SecretAccessKey;
use zeroize::Zeroizing;

use crate::iam::AccessKeyId;

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
        let (id, secret) = (AccessKeyId::parse("AKIA").unwrap(), SecretAccessKey::new("secret"));
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
}
