//! The file that keeps the access key of `dev` from start to start.

use std::io;
use std::path::Path;

use sigv4::SecretAccessKey;
use zeroize::Zeroizing;

use super::super::private;
use crate::iam::AccessKeyId;

/// Writes a file of two lines, access key id and secret, that nobody else may read.
pub(super) fn write_private(path: &Path, id: &str, secret: &SecretAccessKey) -> io::Result<()> {
    let mut content = Zeroizing::new(Vec::with_capacity(id.len() + secret.expose_secret().len() + 2));
    for line in [id.as_bytes(), secret.expose_secret()] {
        content.extend_from_slice(line);
        content.push(b'\n');
    }
    private::write(path, &content)
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
    use super::*;

    #[test]
    fn an_access_key_is_read_back_as_written() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("access-key");
        let (id, secret) = (AccessKeyId::parse("AKIA").unwrap(), SecretAccessKey::new("secret"));
        write_private(&path, id.as_str(), &secret).unwrap();
        let (read_id, read_secret) = read(&path).unwrap().unwrap();
        assert_eq!((read_id, read_secret.expose_secret()), (id, secret.expose_secret()));
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
