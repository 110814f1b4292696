//! Files that nobody else may read.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Makes a directory, where there is none, that nobody else may enter.
pub(super) fn directory(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Writes a file that nobody else may read.
pub(super) fn write(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut partial = Partial::create(path)?;
    partial.write_all(content)?;
    partial.keep()
}

/// A file that nobody else may read, while it is written.
///
/// Under another name first: being cut short must not leave half of it behind.
pub(super) struct Partial {
    file: File,
    partial: PathBuf,
    path: PathBuf,
}

impl Partial {
    pub(super) fn create(path: &Path) -> io::Result<Self> {
        let partial = path.with_extension(format!("partial-{}", std::process::id()));
        let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&partial)?;
        Ok(Self { file, partial, path: path.to_owned() })
    }

    /// That was all of it: on disk, and under its name.
    pub(super) fn keep(self) -> io::Result<()> {
        self.file.sync_all()?;
        std::fs::rename(&self.partial, &self.path)
    }
}

impl Write for Partial {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        // Kept, it is no longer there under this name; and whatever went wrong before is what must be told.
        let _ = std::fs::remove_file(&self.partial);
    }
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
