//! Names in a backend's answers: rewrites the text of known elements while a document streams by.
//!
//! For answers only: what is not recognised goes on as it is, which in a request could lead out of a key prefix.
//!
//! Only the text of elements that hold names, at the place where S3 has them, is changed; every other byte stays as it
//! is, declarations, comments and white space among them. A document with another root is left alone. What is held
//! back is the text of one element, at most [`MOST_HELD`] bytes of it.
//!
//! Sources: the response syntax of each operation below
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/API_Operations_Amazon_Simple_Storage_Service.html>, and
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html>

use super::Mapping;
use super::text;

/// The longest text of an element that is looked at. A key of 1,024 bytes, URL-encoded and with every byte written as
/// a reference, is shorter.
const MOST_HELD: usize = 32 << 10;

/// What an element holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Holds {
    /// The name of a bucket.
    Bucket,
    /// A key, or the beginning of keys.
    Key,
    /// The path of a bucket or of an object.
    Resource,
    /// The URL of an object.
    Location,
}

/// The path of an element below its root, and what it holds.
type Rule = (&'static [&'static str], Holds);

/// Elements that hold names, by the root of their document.
#[rustfmt::skip]
const RULES: &[(&str, &[Rule])] = &[
    ("ListBucketResult", &[
        (&["Name"], Holds::Bucket), (&["Prefix"], Holds::Key), (&["Marker"], Holds::Key),
        (&["NextMarker"], Holds::Key), (&["StartAfter"], Holds::Key), (&["Contents", "Key"], Holds::Key),
        (&["CommonPrefixes", "Prefix"], Holds::Key),
    ]),
    ("ListVersionsResult", &[
        (&["Name"], Holds::Bucket), (&["Prefix"], Holds::Key), (&["KeyMarker"], Holds::Key),
        (&["NextKeyMarker"], Holds::Key), (&["Version", "Key"], Holds::Key), (&["DeleteMarker", "Key"], Holds::Key),
        (&["CommonPrefixes", "Prefix"], Holds::Key),
    ]),
    ("ListMultipartUploadsResult", &[
        (&["Bucket"], Holds::Bucket), (&["Prefix"], Holds::Key), (&["KeyMarker"], Holds::Key),
        (&["NextKeyMarker"], Holds::Key), (&["Upload", "Key"], Holds::Key), (&["CommonPrefixes", "Prefix"], Holds::Key),
    ]),
    ("ListPartsResult", &[(&["Bucket"], Holds::Bucket), (&["Key"], Holds::Key)]),
    ("InitiateMultipartUploadResult", &[(&["Bucket"], Holds::Bucket), (&["Key"], Holds::Key)]),
    ("CompleteMultipartUploadResult", &[
        (&["Location"], Holds::Location), (&["Bucket"], Holds::Bucket), (&["Key"], Holds::Key),
    ]),
    ("DeleteResult", &[(&["Deleted", "Key"], Holds::Key), (&["Error", "Key"], Holds::Key)]),
    ("Error", &[
        (&["BucketName"], Holds::Bucket), (&["Bucket"], Holds::Bucket), (&["Key"], Holds::Key),
        (&["Resource"], Holds::Resource),
    ]),
];

/// Below a root no element deeper than this holds a name.
const DEEPEST: usize = 2;
/// The longest name of an element that any rule has.
const LONGEST_NAME: usize = 32;

/// Rewrites one document.
#[derive(Debug)]
pub struct Rewriter {
    names: Vec<Mapping>,
    url_encoded: bool,
    location: Option<Box<str>>,
    scan: Scan,
    /// Elements that are open, the root among them.
    depth: usize,
    /// The rules of the root, once it is open.
    rules: &'static [Rule],
    /// The names of open elements below the root; `None` for one that no rule has.
    open: [Option<&'static str>; DEEPEST],
    /// The name of the tag that is being read.
    name: Vec<u8>,
    /// The text of an element that holds a name, and what it holds.
    held: Option<(Holds, Vec<u8>)>,
}

/// Where in the document the next byte stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scan {
    Text,
    /// Behind a `<`, which has not been handed on.
    Opening,
    /// In the name of a start tag.
    Start,
    /// In an end tag.
    End,
    /// Behind the name of a start tag: the quote that is open, and whether the last byte was a slash.
    Attributes {
        quote: Option<u8>,
        slash: bool,
    },
    /// Behind `<!`, and so many bytes of `[CDATA[`; as many as there are: behind `<!-`.
    Declaration(usize),
    /// In a comment, a CDATA section or an instruction: how much of its end has been seen.
    Section(Section, usize),
    /// Behind the root, or in a document in which nothing is changed.
    Done,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Section {
    Comment,
    Cdata,
    Instruction,
}

impl Section {
    const fn end(self) -> &'static [u8] {
        match self {
            Self::Comment => b"-->",
            Self::Cdata => b"]]>",
            Self::Instruction => b"?>",
        }
    }
}

const CDATA: &[u8] = b"[CDATA[";

impl Rewriter {
    /// For the backend's answer to a request whose names are `names`, each of which is tried in turn.
    ///
    /// `url_encoded`: the client asked for keys that are URL-encoded. `location`: the URL under which the client
    /// addressed the object.
    pub fn of_answer(names: Vec<Mapping>, url_encoded: bool, location: Option<Box<str>>) -> Self {
        Self {
            names,
            url_encoded,
            location,
            scan: Scan::Text,
            depth: 0,
            rules: &[],
            open: [None; DEEPEST],
            name: Vec::new(),
            held: None,
        }
    }

    /// Takes the next piece of the document and writes what can be written of it behind `out`.
    pub fn push(&mut self, piece: &[u8], out: &mut Vec<u8>) {
        let mut rest = piece;
        while let Some(&byte) = rest.first() {
            // Most bytes are text between tags, or follow what nothing is changed in.
            let plain = match self.scan {
                Scan::Text => rest.iter().position(|&b| b == b'<').unwrap_or(rest.len()),
                Scan::Done => rest.len(),
                _ => 0,
            };
            if plain > 0 {
                self.emit(&rest[..plain], out);
                rest = &rest[plain..];
            } else {
                self.step(byte, out);
                rest = &rest[1..];
            }
        }
    }

    /// Writes what was held back of a document that ended early.
    pub fn finish(mut self, out: &mut Vec<u8>) {
        self.release(out);
        if self.scan == Scan::Opening {
            out.push(b'<');
        }
    }

    /// One byte that is not plain text.
    fn step(&mut self, byte: u8, out: &mut Vec<u8>) {
        let next = match self.scan {
            Scan::Text => {
                self.scan = Scan::Opening;
                return;
            }
            Scan::Opening => return self.opened(byte, out),
            Scan::Start => match byte {
                b'>' => return self.started(false, out),
                b'/' => Scan::Attributes { quote: None, slash: true },
                byte if byte.is_ascii_whitespace() => Scan::Attributes { quote: None, slash: false },
                byte => {
                    if self.name.len() <= LONGEST_NAME {
                        self.name.push(byte);
                    }
                    Scan::Start
                }
            },
            Scan::Attributes { quote: None, slash } => match byte {
                b'>' => return self.started(slash, out),
                b'"' | b'\'' => Scan::Attributes { quote: Some(byte), slash: false },
                byte => Scan::Attributes { quote: None, slash: byte == b'/' },
            },
            Scan::Attributes { quote: Some(quote), .. } => {
                Scan::Attributes { quote: Some(quote).filter(|&quote| quote != byte), slash: false }
            }
            Scan::End if byte == b'>' => {
                self.depth = self.depth.saturating_sub(1);
                if self.depth == 0 { Scan::Done } else { Scan::Text }
            }
            Scan::Declaration(seen) => declared(seen, byte),
            Scan::Section(section, seen) => within(section, seen, byte),
            Scan::End | Scan::Done => self.scan,
        };
        self.emit(&[byte], out);
        self.scan = next;
    }

    /// The byte behind a `<` says what begins there.
    fn opened(&mut self, byte: u8, out: &mut Vec<u8>) {
        self.scan = match byte {
            b'/' => {
                self.replace(out);
                Scan::End
            }
            b'!' => Scan::Declaration(0),
            b'?' => Scan::Section(Section::Instruction, 0),
            byte => {
                // An element where text was expected.
                self.release(out);
                self.name.clear();
                self.name.push(byte);
                Scan::Start
            }
        };
        self.emit(&[b'<', byte], out);
    }

    /// A start tag has ended.
    fn started(&mut self, closed: bool, out: &mut Vec<u8>) {
        self.emit(b">", out);
        self.scan = Scan::Text;
        if self.depth == 0 {
            let rules = RULES.iter().find(|(root, _)| root.as_bytes() == self.name);
            match rules.filter(|_| !closed) {
                Some((_, rules)) => (self.rules, self.depth) = (rules, 1),
                None => self.scan = Scan::Done,
            }
            return;
        }
        if closed {
            return;
        }
        if let Some(open) = self.open.get_mut(self.depth - 1) {
            let names = self.rules.iter().flat_map(|(path, _)| path.iter());
            *open = names.copied().find(|name| name.as_bytes() == self.name);
            let path = &self.open[..self.depth];
            let is_it = |rule: &&Rule| {
                rule.0.len() == path.len() && rule.0.iter().zip(path).all(|(name, open)| Some(*name) == *open)
            };
            self.held = self.rules.iter().find(is_it).map(|(_, holds)| (*holds, Vec::new()));
        }
        self.depth += 1;
    }

    /// Hands on what stands in the document, or holds it where it is part of a name.
    fn emit(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        match &mut self.held {
            Some((_, held)) if held.len() + bytes.len() <= MOST_HELD => held.extend_from_slice(bytes),
            _ => {
                self.release(out);
                out.extend_from_slice(bytes);
            }
        }
    }

    /// Writes what is held as it is.
    fn release(&mut self, out: &mut Vec<u8>) {
        if let Some((_, held)) = self.held.take() {
            out.extend_from_slice(&held);
        }
    }

    /// Writes what is held as the reader knows it.
    fn replace(&mut self, out: &mut Vec<u8>) {
        let Some((holds, held)) = self.held.take() else { return };
        let plain = text::plain(&held);
        let text = plain.as_deref().unwrap_or(&held);
        let url = self.url_encoded;
        let found = match holds {
            Holds::Bucket => self.names.iter().find_map(|names| text::bucket(text, names, url)),
            Holds::Key => self.names.iter().find_map(|names| text::key(text, names, url)),
            Holds::Resource => self.names.iter().find_map(|names| text::resource(text, names)),
            Holds::Location => {
                self.location.as_deref().map(|url| text::escaped(url).into_owned().into_bytes())
            }
        };
        out.extend_from_slice(found.as_deref().unwrap_or(&held));
    }
}

/// Behind `<!` and the first `seen` bytes of what may be `--` or `[CDATA[`.
fn declared(seen: usize, byte: u8) -> Scan {
    match (seen, byte) {
        (0, b'-') => Scan::Declaration(CDATA.len()),
        (at, b'-') if at == CDATA.len() => Scan::Section(Section::Comment, 0),
        (at, byte) if CDATA.get(at) == Some(&byte) => match at + 1 == CDATA.len() {
            true => Scan::Section(Section::Cdata, 0),
            false => Scan::Declaration(at + 1),
        },
        // A document type, which S3 never declares: it might give elements and references another meaning.
        _ => Scan::Done,
    }
}

/// In a section of whose end `seen` bytes have been seen.
fn within(section: Section, seen: usize, byte: u8) -> Scan {
    let end = section.end();
    let seen = match byte {
        byte if byte == end[seen] => seen + 1,
        // `]]]>` and `--->` end a section as well.
        byte if seen > 0 && byte == end[seen - 1] => seen,
        byte => usize::from(byte == end[0]),
    };
    if seen == end.len() { Scan::Text } else { Scan::Section(section, seen) }
}

#[cfg(test)]
mod tests;
