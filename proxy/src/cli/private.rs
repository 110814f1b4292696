//! Files that nobody else may read.

use std::fs::{DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

/// Makes a directory, where there is none, that nobody else may enter.
pub(super) fn directory(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Writes a file that nobody else may read.
///
/// Under another name first: being cut short must not leave half of it behind.
pub(super) fn write(path: &Path, content: &[u8]) -> io::Result<()> {
    let partial = path.with_extension(format!("partial-{}", std::process::id()));
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&partial)?;
    let written = file.write_all(content).and_then(|()| file.sync_all());
    written.and_then(|()| std::fs::rename(&partial, path)).inspect_err(|_| {
        // Whatever went wrong before is what must be told.
        let _ = std::fs::remove_file(&partial);
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn only_the_owner_may_look() {
        let above = tempfile::tempdir().unwrap();
        let directory = above.path().join("a/b");
        super::directory(&directory).unwrap();
        super::directory(&directory).unwrap();
        let file = directory.join("secret.json");
        for content in [&b"first"[..], b"2"] {
            write(&file, content).unwrap();
            assert_eq!(std::fs::read(&file).unwrap(), content);
        }
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&directory), mode(&file)), (0o700, 0o600));
        assert_eq!(std::fs::read_dir(&directory).unwrap().count(), 1);
    }
}
