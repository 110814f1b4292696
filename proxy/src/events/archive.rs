//! A log as a file: JSON lines that say what they are, in which nothing can be missing or changed without notice.
//!
//! ```text
//! {"format":"sigward-events","version":1,"log":"embedded","position":9,"exported_at":"…",…}     first line
//! {"seq":7,"row":"<base64>","digest":"<hex>"}                     an event, as the log has it: its secret is sealed
//! {"mark":"role:arn:…","issued_before":1767323045000,"digest":"…"} a revocation in force at `position`
//! {"events":2,"marks":1,"access_keys":1,"digest":"…","seal":"<base64>"}                          last line
//! ```
//!
//! `digest` is rolling: 16 bytes of SHA-256, in hexadecimal, over the digest before and the line without its own; over the
//! first line alone to begin with. So a line that was altered, lost or moved is told by its number. The last line
//! counts what there is, and is sealed under a sealing key, so that only who has one can have written the file:
//! revocations and what becomes of long-term keys have no seal of their own.
//!
//! Within version 1 members may be added to the first line, and are ignored by who does not know them.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::digest;
use serde::{Deserialize, Serialize};
use sigv4::SecretAccessKey;

use super::Keyring;
use super::envelope::{self, Form, Row, RowError, RowKind};
use crate::clock::UnixMillis;

const FORMAT: &str = "sigward-events";
const VERSION: u32 = 1;
const DIGEST_BYTES: usize = 16;

/// What a file says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArchiveHeader {
    format: String,
    version: u32,
    /// The kind of log: `embedded` or `jetstream`.
    pub log: String,
    /// Which shared log it was; 0: the log was a gateway's own.
    pub identity: u64,
    /// Place of the last event that the log had.
    pub position: u64,
    /// When the file was written, RFC 3339.
    pub exported_at: String,
    /// Events that nobody could read where it was written, for lack of a sealing key: they are not in it.
    #[serde(default)]
    pub left_out: u64,
}

/// What is wrong with a file, and in which line, the first being 1.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {problem}")]
pub struct ArchiveError {
    /// Where; one more than there are if a line is missing at the end.
    pub line: u64,
    /// What.
    pub problem: String,
}

/// One line after the first.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum ArchiveItem {
    /// An event: its place and its row.
    Event { seq: u64, row: Vec<u8> },
    /// A revocation in force: its key and time.
    Mark { key: String, before: UnixMillis },
    /// The last line.
    End(ArchiveTrailer),
}

/// What the last line says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ArchiveTrailer {
    /// Lines that are events.
    pub(crate) events: u64,
    /// Lines that are revocations.
    pub(crate) marks: u64,
    /// Long-term keys that the events come to, those of configurations left out.
    pub(crate) access_keys: u64,
}

#[derive(Serialize, Deserialize)]
struct EventLine {
    seq: u64,
    row: String,
}

#[derive(Serialize, Deserialize)]
struct MarkLine {
    mark: String,
    issued_before: UnixMillis,
}

/// Writes the lines, none of them with its line feed.
pub(crate) struct ArchiveWriter {
    chain: Chain,
    counted: ArchiveTrailer,
}

/// Reads the lines, one by one.
#[derive(Debug)]
pub(crate) struct ArchiveReader {
    chain: Chain,
    counted: ArchiveTrailer,
    line: u64,
    last_seq: u64,
    ended: bool,
}

/// The rolling digest, in hexadecimal.
#[derive(Debug, PartialEq, Eq)]
struct Chain(String);

impl ArchiveHeader {
    pub(crate) fn new(log: &str, identity: u64, position: u64, now: UnixMillis) -> Self {
        let (format, exported_at) = (FORMAT.to_owned(), now.to_rfc3339());
        Self { format, version: VERSION, log: log.to_owned(), identity, position, exported_at, left_out: 0 }
    }
}

impl ArchiveError {
    /// The problem of a file without its end.
    pub(crate) const CUT_SHORT: &'static str = "is missing: the file was cut short";
}

impl ArchiveWriter {
    /// The first line.
    pub(crate) fn begin(header: &ArchiveHeader) -> Result<(Self, String), RowError> {
        let line = json(header)?;
        Ok((Self { chain: Chain::begin(&line), counted: ArchiveTrailer::default() }, line))
    }

    /// An event.
    pub(crate) fn event(&mut self, seq: u64, row: &[u8]) -> Result<String, RowError> {
        self.counted.events += 1;
        let line = json(&EventLine { seq, row: STANDARD.encode(row) })?;
        Ok(self.chain.append(&line))
    }

    /// A revocation.
    pub(crate) fn mark(&mut self, key: &str, before: UnixMillis) -> Result<String, RowError> {
        self.counted.marks += 1;
        let line = json(&MarkLine { mark: key.to_owned(), issued_before: before })?;
        Ok(self.chain.append(&line))
    }

    /// The last line, sealed under the active key.
    pub(crate) fn end(mut self, access_keys: u64, keyring: &Keyring) -> Result<String, RowError> {
        self.counted.access_keys = access_keys;
        let body = json(&self.counted)?;
        let line = self.chain.append(&body);
        let nothing = SecretAccessKey::new([]);
        let seal = envelope::write((RowKind::Archive, Form::Json), line.as_bytes(), Some(&nothing), keyring)?;
        Ok(with_member(&line, "seal", &STANDARD.encode(seal)))
    }
}

impl ArchiveReader {
    /// Reads the first line.
    pub(crate) fn begin(line: &str) -> Result<(Self, ArchiveHeader), ArchiveError> {
        let fault = |problem: &str| ArchiveError { line: 1, problem: problem.to_owned() };
        let header: ArchiveHeader =
            serde_json::from_str(line).map_err(|_| fault("is not the first line of an exported log"))?;
        if header.format != FORMAT {
            return Err(fault("is not the first line of an exported log"));
        }
        if header.version != VERSION {
            let problem = format!("version {} is not known to this program", header.version);
            return Err(fault(&problem));
        }
        let (chain, counted) = (Chain::begin(line), ArchiveTrailer::default());
        Ok((Self { chain, counted, line: 1, last_seq: 0, ended: false }, header))
    }

    /// Reads the next line; with a keyring also the seal of the last one. After a fault reading can go on, to find
    /// others.
    pub(crate) fn read(
        &mut self,
        line: &str,
        keyring: Option<&Keyring>,
    ) -> Result<ArchiveItem, ArchiveError> {
        self.line += 1;
        if self.ended {
            return Err(self.fault("stands after the last line"));
        }
        if let Some((body, seal)) = without_member(line, "seal") {
            return self.read_end(&body, seal, keyring).map(ArchiveItem::End);
        }
        let (body, intact) = self.chained(line)?;
        if let Ok(EventLine { seq, row }) = serde_json::from_str(&body) {
            self.counted.events += 1;
            intact?;
            if seq <= self.last_seq {
                let problem = format!("event {seq} stands after event {}", self.last_seq);
                return Err(self.fault(&problem));
            }
            self.last_seq = seq;
            let row = STANDARD.decode(row).map_err(|_| self.fault("the row is not base64"))?;
            return Ok(ArchiveItem::Event { seq, row });
        }
        let MarkLine { mark, issued_before } =
            serde_json::from_str(&body).map_err(|_| self.fault("is neither an event nor a revocation"))?;
        self.counted.marks += 1;
        intact?;
        Ok(ArchiveItem::Mark { key: mark, before: issued_before })
    }

    /// Whether the last line was read.
    pub(crate) fn finish(&self) -> Result<(), ArchiveError> {
        if self.ended {
            return Ok(());
        }
        Err(ArchiveError { line: self.line + 1, problem: ArchiveError::CUT_SHORT.to_owned() })
    }

    fn read_end(
        &mut self,
        body: &str,
        seal: &str,
        keyring: Option<&Keyring>,
    ) -> Result<ArchiveTrailer, ArchiveError> {
        self.ended = true;
        let (text, intact) = self.chained(body)?;
        intact?;
        let said: ArchiveTrailer = serde_json::from_str(&text).map_err(|_| self.fault("is no last line"))?;
        let ArchiveTrailer { events, marks, access_keys: _ } = said;
        if (events, marks) != (self.counted.events, self.counted.marks) {
            let problem = format!(
                "counts {events} events and {marks} revocations; there are {} and {}",
                self.counted.events, self.counted.marks
            );
            return Err(self.fault(&problem));
        }
        if let Some(keyring) = keyring {
            self.check_seal(body, seal, keyring)?;
        }
        Ok(said)
    }

    fn check_seal(&self, body: &str, seal: &str, keyring: &Keyring) -> Result<(), ArchiveError> {
        let seal = STANDARD.decode(seal).map_err(|_| self.fault("the seal is not base64"))?;
        let row = Row::parse(RowKind::Archive, &seal).map_err(|error| self.fault(&error.to_string()))?;
        let sealed = row.unseal(keyring).map_err(|error| self.fault(&error.to_string()))?;
        if sealed.is_none() || row.header != body.as_bytes() {
            return Err(self.fault("the seal is that of something else"));
        }
        Ok(())
    }

    /// The line without its digest, and whether that is the right one.
    fn chained(&mut self, line: &str) -> Result<(String, Result<(), ArchiveError>), ArchiveError> {
        let (body, said) = without_member(line, "digest").ok_or_else(|| self.fault("has no digest"))?;
        let found = self.chain.next(&body);
        // From here on by what the line says, so that one fault is told once.
        self.chain = Chain(said.to_owned());
        let altered = "is not what was written here: it was altered, or a line before it is gone";
        let intact = if found == self.chain { Ok(()) } else { Err(self.fault(altered)) };
        Ok((body, intact))
    }

    fn fault(&self, problem: &str) -> ArchiveError {
        ArchiveError { line: self.line, problem: problem.to_owned() }
    }
}

impl Chain {
    fn begin(line: &str) -> Self {
        Self::of(&[line.as_bytes()])
    }

    fn next(&self, body: &str) -> Self {
        Self::of(&[self.0.as_bytes(), body.as_bytes()])
    }

    /// Moves on, and gives the line with its digest.
    fn append(&mut self, body: &str) -> String {
        *self = self.next(body);
        with_member(body, "digest", &self.0)
    }

    fn of(parts: &[&[u8]]) -> Self {
        let mut context = digest::Context::new(&digest::SHA256);
        parts.iter().for_each(|part| context.update(part));
        Self(sigv4::hex::encode(&context.finish().as_ref()[..DIGEST_BYTES]))
    }
}

/// `{…}` with one more member at its end, whose value needs no escaping.
fn with_member(object: &str, name: &str, value: &str) -> String {
    let open = object.strip_suffix('}').unwrap_or(object);
    format!("{open},\"{name}\":\"{value}\"}}")
}

/// The inverse: the object without its last member, and the value of that.
fn without_member<'a>(line: &'a str, name: &str) -> Option<(String, &'a str)> {
    let (open, value) = line.strip_suffix("\"}")?.rsplit_once(&format!(",\"{name}\":\""))?;
    let plain = value.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+/=".contains(&byte));
    plain.then(|| (format!("{open}}}"), value))
}

fn json(line: &impl Serialize) -> Result<String, RowError> {
    serde_json::to_string(line).map_err(|error| RowError::Malformed(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(keyring: &Keyring) -> Vec<String> {
        let header = ArchiveHeader::new("embedded", 0, 9, UnixMillis(0));
        let (mut writer, first) = ArchiveWriter::begin(&header).unwrap();
        let mut lines = vec![first];
        for seq in [1, 4, 9] {
            lines.push(writer.event(seq, &[1, 0, b'{', b'}']).unwrap());
        }
        lines.push(writer.mark("role:a\"},\"seal\":\"b", UnixMillis(5)).unwrap());
        lines.push(writer.end(2, keyring).unwrap());
        lines
    }

    /// The faults of a file.
    fn faults(lines: &[String], keyring: &Keyring) -> Vec<ArchiveError> {
        let mut found = Vec::new();
        let (mut reader, _) = match ArchiveReader::begin(&lines[0]) {
            Ok(begun) => begun,
            Err(fault) => return vec![fault],
        };
        for line in &lines[1..] {
            found.extend(reader.read(line, Some(keyring)).err());
        }
        found.extend(reader.finish().err());
        found
    }

    fn places(lines: &[String], keyring: &Keyring) -> Vec<u64> {
        faults(lines, keyring).iter().map(|fault| fault.line).collect()
    }

    #[test]
    fn what_was_written_is_read() {
        let keyring = Keyring::ephemeral().unwrap();
        let lines = written(&keyring);
        assert_eq!(faults(&lines, &keyring), []);
        let (mut reader, header) = ArchiveReader::begin(&lines[0]).unwrap();
        assert_eq!((header.log.as_str(), header.position), ("embedded", 9));
        let items: Vec<_> = lines[1..].iter().map(|line| reader.read(line, None).unwrap()).collect();
        assert_eq!(items[1], ArchiveItem::Event { seq: 4, row: vec![1, 0, b'{', b'}'] });
        let key = "role:a\"},\"seal\":\"b".to_owned();
        assert_eq!(items[3], ArchiveItem::Mark { key, before: UnixMillis(5) });
        assert_eq!(items[4], ArchiveItem::End(ArchiveTrailer { events: 3, marks: 1, access_keys: 2 }));
    }

    #[test]
    fn a_line_that_was_altered_lost_or_moved_is_named() {
        let keyring = Keyring::ephemeral().unwrap();
        let good = written(&keyring);
        let with = |change: fn(&mut Vec<String>)| {
            let mut lines = good.clone();
            change(&mut lines);
            places(&lines, &keyring)
        };
        assert_eq!(with(|lines| lines[2] = lines[2].replace("\"seq\":4", "\"seq\":5")), [3]);
        assert_eq!(with(|lines| lines[4] = lines[4].replace(":5,", ":4,")), [5]);
        assert_eq!(with(|lines| drop(lines.remove(2))), [3, 5], "the next line, and the count");
        assert_eq!(with(|lines| lines.swap(1, 2)), [2, 3, 4]);
        assert_eq!(with(|lines| drop(lines.pop())), [6]);
        assert_eq!(with(|lines| lines.truncate(3)), [4]);
        assert_eq!(with(|lines| lines.push(lines[1].clone())), [7]);
        assert_eq!(with(|lines| lines[0] = lines[0].replace(":9,", ":8,")), [2]);
        assert_eq!(with(|lines| lines[0] = lines[0].replace("\"version\":1", "\"version\":2")), [1]);
        assert_eq!(with(|lines| lines[0] = "{}".to_owned()), [1]);
        assert_eq!(with(|lines| lines[5] = lines[5].replace("\"access_keys\":2", "\"access_keys\":3")), [6]);
    }

    #[test]
    fn whoever_has_no_sealing_key_can_write_no_file() {
        let (keyring, other) = (Keyring::ephemeral().unwrap(), Keyring::ephemeral().unwrap());
        let [fault] = &faults(&written(&other), &keyring)[..] else { panic!("one fault") };
        assert!(fault.line == 6 && fault.problem.contains("not in the keyring"), "{fault}");
        // The seal of one file under the content of another.
        let header = ArchiveHeader::new("embedded", 0, 1, UnixMillis(0));
        let (writer, first) = ArchiveWriter::begin(&header).unwrap();
        let end = writer.end(0, &keyring).unwrap();
        let theirs = written(&keyring).pop().unwrap();
        let (body, _) = without_member(&end, "seal").unwrap();
        let (_, seal) = without_member(&theirs, "seal").unwrap();
        let forged = vec![first, with_member(&body, "seal", seal)];
        assert_eq!(places(&forged, &keyring), [2]);
    }
}
