//! An exported log as a file to read: whether it is whole, sound and for us.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::json;
use tokio::runtime::Handle;

use super::super::revocations::Mark;
use super::fold::Fold;
use super::lines::{Sink, Stopped};
use super::verify::Findings;
use super::{EventLog, Lines, StoreError};
use crate::clock::{Clock, UnixMillis};
use crate::events::{
    ArchiveError, ArchiveHeader, ArchiveItem, ArchiveReader, ArchiveTrailer, Keyring, LoggedEvent,
    MAX_ROW_BYTES,
};

/// Longest line: a row as base64, and what stands around it.
const MAX_LINE_BYTES: u64 = 2 * MAX_ROW_BYTES as u64;

/// The lines of a file.
pub(super) struct ArchiveFile {
    path: PathBuf,
    lines: BufReader<File>,
    reader: ArchiveReader,
    pub(super) header: ArchiveHeader,
}

/// What a file comes to.
pub(super) struct Contents {
    pub(super) fold: Fold,
    /// Revocations in force when it was written.
    pub(super) marks: BTreeMap<String, Mark>,
    trailer: ArchiveTrailer,
}

impl EventLog {
    /// Reads an exported log and writes what is wrong with it, as [`verify_lines`](Self::verify_lines) does.
    pub fn verify_archive(path: &Path, keyring: Keyring, clock: &Clock) -> Lines {
        let (sink, lines) = Sink::new();
        let (path, now) = (path.to_owned(), clock.now());
        tokio::task::spawn_blocking(move || {
            let mut found = Findings::new(sink);
            let done = verify(&path, &keyring, now, &mut found);
            Handle::current().block_on(found.end(done));
        });
        lines
    }
}

fn verify(path: &Path, keyring: &Keyring, now: UnixMillis, found: &mut Findings) -> Result<(), Stopped> {
    let mut file = match ArchiveFile::open(path)? {
        Ok(file) => file,
        Err(fault) => {
            tell(&fault, found);
            found.finish(json!({ "log": "file" }));
            return Ok(());
        }
    };
    let contents = file.check(keyring, now, found, |_, _, _| ())?;
    found.finish(json!({
        "log": "file", "position": file.header.position, "left_out": file.header.left_out,
        "access_keys": contents.fold.live(), "revocations": contents.marks.len(),
    }));
    Ok(())
}

fn tell(fault: &ArchiveError, found: &mut Findings) {
    found.fault(format_args!("line {}", fault.line), &fault.problem);
}

impl ArchiveFile {
    /// The inner error: its first line is that of something else.
    pub(super) fn open(path: &Path) -> Result<Result<Self, ArchiveError>, StoreError> {
        let failed = |error| StoreError::File { path: path.to_owned(), source: Arc::new(error) };
        let mut lines = BufReader::new(File::open(path).map_err(failed)?);
        let first = read_line(&mut lines).map_err(failed)?.unwrap_or_default();
        let begun = ArchiveReader::begin(&first);
        Ok(begun.map(|(reader, header)| Self { path: path.to_owned(), lines, reader, header }))
    }

    /// The next line; `None` after the last one there is.
    pub(super) fn next(
        &mut self,
        keyring: Option<&Keyring>,
    ) -> Result<Option<Result<ArchiveItem, ArchiveError>>, StoreError> {
        let line = read_line(&mut self.lines)
            .map_err(|error| StoreError::File { path: self.path.clone(), source: Arc::new(error) })?;
        Ok(match line {
            Some(line) => Some(self.reader.read(&line, keyring)),
            None => self.reader.finish().err().map(Err),
        })
    }

    /// Reads all of it. `each` is shown every event that can be read.
    pub(super) fn check(
        &mut self,
        keyring: &Keyring,
        now: UnixMillis,
        found: &mut Findings,
        mut each: impl FnMut(u64, &LoggedEvent, &mut Findings),
    ) -> Result<Contents, Stopped> {
        let (fold, marks, trailer) = (Fold::default(), BTreeMap::new(), ArchiveTrailer::default());
        let mut contents = Contents { fold, marks, trailer };
        while let Some(item) = self.next(Some(keyring))? {
            found.relieve()?;
            match item {
                Ok(ArchiveItem::Event { seq, row }) => {
                    if seq > self.header.position {
                        let fault = format!("stands beyond the end of the log, {}", self.header.position);
                        found.fault(format_args!("event {seq}"), fault);
                    }
                    if let Some(logged) = found.read(seq, &row, keyring) {
                        contents.fold.add(seq, &logged);
                        each(seq, &logged, found);
                    }
                }
                Ok(ArchiveItem::Mark { key, before }) => match Mark::parse(&key, before) {
                    Some(mark) => drop(contents.marks.insert(key, mark)),
                    None => found
                        .fault(format_args!("revocation {key}"), "is of a kind this program does not know"),
                },
                Ok(ArchiveItem::End(trailer)) => contents.trailer = trailer,
                Err(fault) => {
                    tell(&fault, found);
                    // After that nothing comes.
                    if fault.problem == ArchiveError::CUT_SHORT {
                        return Ok(contents);
                    }
                }
            }
        }
        contents.check(now, found);
        Ok(contents)
    }
}

impl Contents {
    /// Whether what stands at the end is what the events come to.
    fn check(&self, now: UnixMillis, found: &mut Findings) {
        let (live, said) = (self.fold.live(), self.trailer.access_keys);
        if live != said {
            found.fault("last line", format_args!("counts {said} long-term keys; the events come to {live}"));
        }
        for (key, before) in &self.fold.marks {
            let spent = Mark::parse(key, *before).is_none_or(|mark| mark.spent(now));
            if !spent && self.marks.get(key).is_none_or(|mark| mark.before < *before) {
                let fault =
                    format!("an event revokes before {}, and it is not in force", before.to_rfc3339());
                found.fault(format_args!("revocation {key}"), fault);
            }
        }
    }
}

/// A line without its line feed. What is no UTF-8 or too long is a line of nothing that belongs there.
fn read_line(lines: &mut BufReader<File>) -> std::io::Result<Option<String>> {
    let mut line = Vec::new();
    if lines.by_ref().take(MAX_LINE_BYTES).read_until(b'\n', &mut line)? == 0 {
        return Ok(None);
    }
    line.pop_if(|last| *last == b'\n');
    Ok(Some(String::from_utf8(line).unwrap_or_default()))
}
