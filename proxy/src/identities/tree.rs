//! Reads the files of a directory from disk.
//!
//! Kubernetes replaces a mounted ConfigMap or Secret by swapping a symbolic link (`..data`): links are followed, names
//! that begin with a dot are not, and a tree that changes while it is read is read again.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::iam::directory::{Directory, DirectoryFault, Files, Read, Register};

/// Deeper than any file of a directory lies; links that lead in circles end here.
const MAX_DEPTH: usize = 6;
/// Larger than any policy, metadata or key set.
const MAX_FILE_BYTES: u64 = 1 << 20;
const MAX_FILES: usize = 100_000;
/// How often a tree that does not stand still is read.
const ATTEMPTS: usize = 5;

/// The root of the files.
pub(super) struct Tree {
    root: PathBuf,
}

/// Something on the way to a file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}: {message}", path.display())]
pub struct TreeError {
    /// What cannot be read.
    pub path: PathBuf,
    /// Why not.
    pub message: String,
}

/// One reading.
pub(super) struct Loaded {
    /// Of all that was read, the files that settings refer to included.
    pub(super) fingerprint: [u8; 32],
    pub(super) read: Result<Read, Vec<DirectoryFault>>,
}

impl Tree {
    pub(super) fn new(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    pub(super) fn load(&self, register: &Register) -> Result<Loaded, TreeError> {
        let mut loaded = self.load_once(register)?;
        for _ in 1..ATTEMPTS {
            let again = self.load_once(register)?;
            if again.fingerprint == loaded.fingerprint {
                return Ok(again);
            }
            loaded = again;
        }
        Err(TreeError { path: self.root.clone(), message: "does not stop changing".to_owned() })
    }

    fn load_once(&self, register: &Register) -> Result<Loaded, TreeError> {
        let mut files = BTreeMap::new();
        walk(&self.root, "", MAX_DEPTH, &mut files)?;
        if files.is_empty() && register.knows_anybody() && is_bare(&self.root) {
            let message = "is empty, though somebody was declared in it: is it mounted?".to_owned();
            return Err(TreeError { path: self.root.clone(), message });
        }
        let files = Files::new(files);
        // References count as content: a new secret or certificate is a change too.
        let referenced = RefCell::new(BTreeMap::new());
        let mut resolve = |path: &Path| {
            let content = read(&self.root.join(path));
            let seen = content.clone().unwrap_or_else(String::into_bytes);
            referenced.borrow_mut().insert(path.display().to_string(), seen);
            content
        };
        let read = Directory::read(&files, register, &mut resolve);
        let own = ("".to_owned(), files.fingerprint().to_vec());
        let fingerprint = Files::new(referenced.take().into_iter().chain([own])).fingerprint();
        Ok(Loaded { fingerprint, read })
    }
}

/// Whether not even the directory of an account is left. That is how a volume looks that is not mounted or not written
/// yet, and not how anybody deletes everybody.
fn is_bare(root: &Path) -> bool {
    let visible = |entry: &std::fs::DirEntry| !entry.file_name().as_encoded_bytes().starts_with(b".");
    std::fs::read_dir(root).is_ok_and(|entries| !entries.flatten().any(|entry| visible(&entry)))
}

/// Adds all files below `directory` under their paths from the root.
fn walk(
    directory: &Path,
    prefix: &str,
    depth: usize,
    files: &mut BTreeMap<String, Vec<u8>>,
) -> Result<(), TreeError> {
    let failed = |path: &Path, message: String| TreeError { path: path.to_owned(), message };
    if depth == 0 {
        return Err(failed(directory, "lies too deep".to_owned()));
    }
    let entries = std::fs::read_dir(directory).map_err(|error| failed(directory, error.to_string()))?;
    for entry in entries {
        let path = entry.map_err(|error| failed(directory, error.to_string()))?.path();
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else {
            return Err(failed(&path, "has a name that is not UTF-8".to_owned()));
        };
        if name.starts_with('.') {
            continue;
        }
        let relative = if prefix.is_empty() { name.to_owned() } else { format!("{prefix}/{name}") };
        if path.is_dir() {
            walk(&path, &relative, depth - 1, files)?;
        } else {
            if files.len() >= MAX_FILES {
                return Err(failed(directory, format!("holds more than {MAX_FILES} files")));
            }
            files.insert(relative, read(&path).map_err(|message| failed(&path, message))?);
        }
    }
    Ok(())
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    let size = std::fs::metadata(path).map_err(|error| error.to_string())?.len();
    if size > MAX_FILE_BYTES {
        return Err(format!("is larger than {} KiB", MAX_FILE_BYTES >> 10));
    }
    std::fs::read(path).map_err(|error| error.to_string())
}
