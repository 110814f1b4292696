//! A directory of keys, as Kubernetes, External Secrets or SOPS lay one out.
//!
//! ```text
//! AKIAEXAMPLEALICE0001.json     one key, named by its file where it says no access_key_id; or a list of keys
//! bob/access_key_id             one key, each field a file: how a Secret looks that is mounted for each key
//! bob/secret_access_key
//! bob/arn
//! ```
//!
//! Links are followed and names that begin with a dot are not: Kubernetes replaces all files at once by swapping the
//! link `..data`. A directory that changes while it is read is read again; one that does not answer, as a mount whose
//! server is gone, is out of reach, and not read again before it has answered. All that is read of it together is bounded.
//! Each file or directory in it is a document: one that is wrong keeps what it gave before, and holds up no other. Before
//! all of them were good once, none counts.

use std::collections::BTreeMap;
use std::fs;
use std::io::{ErrorKind, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ring::digest;
use zeroize::Zeroizing;

use super::aside::Aside;
use super::document::Document;
use super::reader::{ReadError, Reading};
use crate::events::Keyring;
use crate::store::DeclaredKey;

/// How long reading a directory may take: at least what a large one takes over a slow network.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);

/// How often a directory that does not stand still is read.
const ATTEMPTS: usize = 5;
const MOST_FILES: usize = 100_000;
/// A secret in clear is for the owner and, to read, for the group: like sealing keys.
const TOO_OPEN: u32 = 0o037;

/// A directory, and what it held.
pub(super) struct Directory {
    path: PathBuf,
    max_bytes: usize,
    keyring: Keyring,
    scanner: Aside,
    seen: Option<Seen>,
}

/// What was read last.
struct Seen {
    fingerprint: [u8; 32],
    /// By the name of the document, those that were good once.
    keys: BTreeMap<String, Vec<DeclaredKey>>,
    faults: Vec<String>,
}

/// Every document by its name, or why it cannot be read.
struct Scan {
    documents: BTreeMap<String, Result<Content, String>>,
    fingerprint: [u8; 32],
}

enum Content {
    File(Text),
    Fields(BTreeMap<String, Text>),
}

/// What may still be read of a directory.
struct Room {
    max_bytes: usize,
    bytes: usize,
    files: usize,
    /// What there was no room for.
    exceeded: Option<String>,
}

/// Wiped when dropped.
struct Text {
    bytes: Zeroizing<Vec<u8>>,
    mode: u32,
}

impl Directory {
    /// `scanner` is the one of `path`.
    pub(super) fn new(path: PathBuf, max_bytes: usize, keyring: Keyring, scanner: Aside) -> Self {
        Self { path, max_bytes, keyring, scanner, seen: None }
    }

    pub(super) async fn read(&mut self) -> Result<Reading, ReadError> {
        let (path, max_bytes) = (self.path.clone(), self.max_bytes);
        let seen = self.seen.as_ref().map(|seen| seen.fingerprint);
        let scanned = self.scanner.run(move || scan(&path, max_bytes, seen)).await;
        let late = |error| ReadError::Unreachable(format!("{}: {error}", self.path.display()));
        let scan = scanned.map_err(late)??;
        self.take(&scan)
    }

    fn take(&mut self, scan: &Scan) -> Result<Reading, ReadError> {
        if let Some(seen) = self.seen.as_ref().filter(|seen| seen.fingerprint == scan.fingerprint) {
            return Ok(Reading { keys: None, faults: seen.faults.clone() });
        }
        let (mut keys, mut faults) = (BTreeMap::new(), Vec::new());
        for (name, content) in &scan.documents {
            let read = content.as_ref().map_err(Clone::clone);
            match read.and_then(|content| content.parse(name, &self.keyring)) {
                Ok(read) => drop(keys.insert(name.clone(), read)),
                Err(problem) => {
                    faults.push(format!("{name}: {problem}"));
                    let before = self.seen.as_ref().and_then(|seen| seen.keys.get(name));
                    keys.extend(before.map(|before| (name.clone(), before.clone())));
                }
            }
        }
        if self.seen.is_none() && !faults.is_empty() {
            return Err(ReadError::Refused(faults.join("; ")));
        }
        let all = keys.values().flatten().cloned().collect();
        self.seen = Some(Seen { fingerprint: scan.fingerprint, keys, faults: faults.clone() });
        Ok(Reading { keys: Some(all), faults })
    }
}

impl Content {
    fn parse(&self, name: &str, keyring: &Keyring) -> Result<Vec<DeclaredKey>, String> {
        let document = match self {
            Self::File(text) => Document::file(&text.bytes, name.trim_end_matches(".json"), keyring),
            Self::Fields(files) => {
                let files = files.iter().map(|(name, text)| (name.clone(), text.bytes.as_slice())).collect();
                Document::fields(&files, name, keyring)
            }
        };
        let document = document.map_err(|error| error.to_string())?;
        let open = self.texts().find(|text| text.mode & TOO_OPEN != 0).filter(|_| document.in_clear);
        match open {
            Some(Text { mode, .. }) => Err(format!(
                "has mode {mode:o} and holds a secret in clear: only its owner may write it, and only the owner and the \
                 group read it"
            )),
            None => Ok(document.keys),
        }
    }

    fn texts(&self) -> impl Iterator<Item = &Text> {
        let (file, fields) = match self {
            Self::File(text) => (Some(text), None),
            Self::Fields(files) => (None, Some(files.values())),
        };
        file.into_iter().chain(fields.into_iter().flatten())
    }
}

/// The directory as it stands still: like it was `seen` before, or the same twice in a row.
fn scan(path: &Path, max_bytes: usize, seen: Option<[u8; 32]>) -> Result<Scan, ReadError> {
    let mut before = seen;
    for _ in 0..ATTEMPTS {
        let scan = scan_once(path, max_bytes)?;
        if before.replace(scan.fingerprint) == Some(scan.fingerprint) {
            return Ok(scan);
        }
    }
    Err(ReadError::Unreachable(format!("{}: does not stop changing", path.display())))
}

fn scan_once(root: &Path, max_bytes: usize) -> Result<Scan, ReadError> {
    let unreachable = |problem: String| ReadError::Unreachable(format!("{}: {problem}", root.display()));
    let mut room = Room { max_bytes, bytes: max_bytes, files: MOST_FILES, exceeded: None };
    let names = names(root, &mut room).map_err(unreachable)?;
    // So looks a volume that is not mounted. One that Kubernetes mounts has its `..data`, however empty it is.
    if names.is_empty() {
        return Err(unreachable("is empty, and so taken for a volume that is not mounted".to_owned()));
    }
    let mut documents = BTreeMap::new();
    for name in names.into_iter().filter(|name| !name.starts_with('.')) {
        let path = root.join(&name);
        let content = if path.is_dir() { fields(&path, &mut room) } else { file(&name, &path, &mut room) };
        // Half of a directory is none: what a source no longer says is deleted.
        if let Some(problem) = room.exceeded {
            return Err(ReadError::Refused(format!("{}: {problem}", root.display())));
        }
        documents.insert(name, content);
    }
    let fingerprint = fingerprint(&documents);
    Ok(Scan { documents, fingerprint })
}

/// What stands in a directory, dots included. A name that is no text is nothing that belongs here, and told as such.
fn names(directory: &Path, room: &mut Room) -> Result<Vec<String>, String> {
    let mut names = Vec::new();
    for entry in fs::read_dir(directory).map_err(|error| error.to_string())? {
        let entry = entry.map_err(|error| error.to_string())?;
        room.take_file()?;
        names.push(entry.file_name().to_string_lossy().into_owned());
    }
    Ok(names)
}

fn file(name: &str, path: &Path, room: &mut Room) -> Result<Content, String> {
    if !name.ends_with(".json") {
        return Err("is neither a .json file nor a directory with the fields of a key".to_owned());
    }
    read(path, room).map(Content::File)
}

fn fields(directory: &Path, room: &mut Room) -> Result<Content, String> {
    let names = names(directory, room)?;
    let mut files = BTreeMap::new();
    for name in names.into_iter().filter(|name| !name.starts_with('.')) {
        let text = read(&directory.join(&name), room).map_err(|error| format!("{name}: {error}"))?;
        files.insert(name, text);
    }
    Ok(Content::Fields(files))
}

fn read(path: &Path, room: &mut Room) -> Result<Text, String> {
    let told = |error: std::io::Error| match error.kind() {
        ErrorKind::NotFound => "is not there, or a link to nothing".to_owned(),
        _ => error.to_string(),
    };
    // To open what is no file, a pipe for example, may wait for ever.
    if !fs::metadata(path).map_err(told)?.is_file() {
        return Err("is no file".to_owned());
    }
    let file = fs::File::open(path).map_err(told)?;
    let about = file.metadata().map_err(told)?;
    let size = room.take_bytes(about.len())?;
    // Room for all of it at once: growing would leave copies of secrets behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(size + 1));
    file.take(size as u64 + 1).read_to_end(&mut bytes).map_err(told)?;
    Ok(Text { bytes, mode: about.permissions().mode() & 0o7777 })
}

impl Room {
    fn take_bytes(&mut self, size: u64) -> Result<usize, String> {
        match usize::try_from(size).ok().filter(|size| *size <= self.bytes) {
            Some(size) => {
                self.bytes -= size;
                Ok(size)
            }
            None => Err(self.exceed(format!("its files are larger than {} bytes together", self.max_bytes))),
        }
    }

    fn take_file(&mut self) -> Result<(), String> {
        match self.files.checked_sub(1) {
            Some(left) => {
                self.files = left;
                Ok(())
            }
            None => Err(self.exceed(format!("holds more than {MOST_FILES} files"))),
        }
    }

    fn exceed(&mut self, problem: String) -> String {
        self.exceeded.get_or_insert(problem).clone()
    }
}

fn fingerprint(documents: &BTreeMap<String, Result<Content, String>>) -> [u8; 32] {
    let mut context = digest::Context::new(&digest::SHA256);
    let mut part = |bytes: &[u8]| {
        context.update(&(bytes.len() as u64).to_be_bytes());
        context.update(bytes);
    };
    for (name, content) in documents {
        part(name.as_bytes());
        match content {
            Err(problem) => part(problem.as_bytes()),
            Ok(Content::File(text)) => text.digest(&mut part),
            Ok(Content::Fields(files)) => {
                for (name, text) in files {
                    part(name.as_bytes());
                    text.digest(&mut part);
                }
            }
        }
    }
    context.finish().as_ref().try_into().expect("SHA-256 has 32 bytes")
}

impl Text {
    fn digest(&self, part: &mut impl FnMut(&[u8])) {
        part(&self.mode.to_be_bytes());
        part(&self.bytes);
    }
}
