//! `multipart/form-data` as browsers upload it to S3: fields, then one file, then whatever.
//!
//! ```text
//! body  = [preamble] *field file *ignored
//! field = delimiter CRLF headers CRLF value
//! file  = delimiter CRLF headers CRLF data delimiter ("--" / CRLF)
//! ```
//!
//! [`FormReader`] takes the wire up to the first byte of the file and gives a [`PostForm`]: fields are few and
//! bounded, and nobody may read a file before its form is verified. What follows is a body framing like
//! `aws-chunked`: [`FormFile`], decoded by `file` on behalf of the payload verifier, in memory that does not
//! depend on its size. Neither does I/O, and how the wire is cut has no influence on fields, data or verdict.
//!
//! Not a general reader of MIME: there are no nested parts, no transfer encodings and no second file, because S3
//! knows none.
//!
//! Sources: <https://www.rfc-editor.org/rfc/rfc7578>, <https://www.rfc-editor.org/rfc/rfc2046#section-5.1>,
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-HTTPPOSTForms.html>

mod disposition;
mod file;

use std::fmt;

use bytes::Bytes;
use memchr::memmem;

pub(crate) use file::FileDecoder;
pub use file::FormFile;

use crate::post_error::FormError;
use disposition::Disposition;

/// What a form may take without the data of its file, delimiters included. What follows the file is ignored, and
/// may take as much again.
pub(crate) const MAX_FORM: usize = 20 * 1024;

/// What separates the parts of one body.
#[derive(Clone, Debug)]
pub struct Boundary {
    /// `CRLF "--" boundary`. No letter of a boundary is a CR: that is what the decoder relies on.
    delimiter: Bytes,
}

impl Boundary {
    /// Reads `Content-Type`: `multipart/form-data` with a boundary, which may be quoted.
    ///
    /// A boundary has 1 to 70 printable characters and does not end in a space (RFC 2046, 5.1.1).
    pub fn parse(content_type: &[u8]) -> Result<Self, FormError> {
        let content_type = Disposition::parse(content_type).ok_or(FormError::NotMultipart)?;
        if !content_type.value.eq_ignore_ascii_case(b"multipart/form-data") {
            return Err(FormError::NotMultipart);
        }
        let boundary = content_type.parameter("boundary").ok_or(FormError::MissingBoundary)?;
        let printable = boundary.iter().all(|byte| (b' '..=b'~').contains(byte));
        if !(1..=70).contains(&boundary.len()) || !printable || boundary.ends_with(b" ") {
            return Err(FormError::MissingBoundary);
        }
        Ok(Self { delimiter: [b"\r\n--", &*boundary].concat().into() })
    }

    /// Bytes of what ends a body whose file is its last part: delimiter, `--` and a line end.
    fn closing_length(&self) -> u64 {
        self.delimiter.len() as u64 + 4
    }
}

/// One field: a name in lower case and a value.
#[derive(Clone)]
pub(crate) struct Field {
    pub(crate) name: String,
    pub(crate) value: String,
}

/// Names only: values hold the policy, its signature and a session token.
impl fmt::Debug for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: ***", self.name)
    }
}

/// A form up to its file, as received. Nothing in it is proved.
#[derive(Debug)]
pub struct PostForm {
    pub(crate) fields: Vec<Field>,
    /// Name the client gives its file, possibly with a path.
    pub(crate) filename: String,
    pub(crate) file: FormFile,
}

impl PostForm {
    /// The value of the first field called `name`, which is given in lower case.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|field| field.name == name).map(|field| field.value.as_str())
    }
}

/// Reads a body up to the first byte of its file.
pub struct FormReader {
    boundary: Boundary,
    /// Everything so far.
    wire: Vec<u8>,
    state: State,
    /// Where the element of `state` begins.
    at: usize,
    /// How far that element has been searched for its end.
    searched: usize,
    fields: Vec<Field>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Before the first delimiter.
    Preamble,
    /// Behind a delimiter, in its line.
    Delimiter,
    /// In the headers of a part.
    Headers,
    /// In the value of the last field.
    Value,
    /// The file has begun, or the form is broken.
    Over,
}

impl FormReader {
    /// A reader at the start of a body.
    pub fn new(boundary: Boundary) -> Self {
        Self { boundary, wire: Vec::new(), state: State::Preamble, at: 0, searched: 0, fields: Vec::new() }
    }

    /// Takes the next bytes of the wire; gives the form once the file begins.
    ///
    /// The form knows where in the body that was: the payload verifier wants the body from its start again.
    pub fn push(&mut self, wire: &[u8]) -> Result<Option<PostForm>, FormError> {
        let room = MAX_FORM - self.wire.len();
        let (taken, beyond) = wire.split_at(wire.len().min(room));
        self.wire.extend_from_slice(taken);
        let outcome = self.advance();
        if !matches!(outcome, Ok(None)) {
            self.state = State::Over;
        }
        match outcome {
            Ok(None) if !beyond.is_empty() => {
                self.state = State::Over;
                Err(FormError::FieldsTooLong)
            }
            outcome => outcome,
        }
    }

    /// What is wrong with a body that ends where a field or its file was to come.
    pub fn finish(self) -> FormError {
        FormError::Truncated
    }

    fn advance(&mut self) -> Result<Option<PostForm>, FormError> {
        loop {
            let step = match self.state {
                State::Preamble => self.preamble(),
                State::Delimiter => self.delimiter()?,
                State::Headers => self.headers()?,
                State::Value => self.value()?,
                State::Over => return Err(FormError::Truncated),
            };
            match step {
                Step::Next => {}
                Step::Starved => return Ok(None),
                Step::File(form) => return Ok(Some(form)),
            }
        }
    }

    /// The first delimiter stands at the start of a line. What comes before it means nothing.
    fn preamble(&mut self) -> Step {
        let delimiter = self.boundary.delimiter.clone();
        let first = &delimiter[2..];
        while let Some(start) = self.find(first) {
            if start == 0 || self.wire[start - 1] == b'\n' {
                return self.enter(State::Delimiter, start + first.len());
            }
            self.searched = start + 1;
        }
        Step::Starved
    }

    /// Spaces and a line end, or `--` where the body has no more parts.
    fn delimiter(&mut self) -> Result<Step, FormError> {
        let rest = &self.wire[self.searched..];
        self.searched += rest.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
        let is_first = self.searched == self.at;
        match self.wire[self.searched..] {
            [b'\r', b'\n', ..] => Ok(self.enter(State::Headers, self.searched + 2)),
            [b'-', b'-', ..] if is_first => Err(FormError::MissingFile),
            [] | [b'\r'] => Ok(Step::Starved),
            [b'-'] if is_first => Ok(Step::Starved),
            _ => Err(FormError::MalformedPart),
        }
    }

    fn headers(&mut self) -> Result<Step, FormError> {
        let Some(end) = self.find(b"\r\n\r\n") else { return Ok(Step::Starved) };
        let part = Part::parse(&self.wire[self.at..end]).ok_or(FormError::MalformedPart)?;
        let start = end + 4;
        if part.name == "file" {
            let file = FormFile::new(self.boundary.clone(), start as u64);
            let fields = std::mem::take(&mut self.fields);
            return Ok(Step::File(PostForm { fields, filename: part.filename, file }));
        }
        self.fields.push(Field { name: part.name, value: String::new() });
        Ok(self.enter(State::Value, start))
    }

    fn value(&mut self) -> Result<Step, FormError> {
        let delimiter = self.boundary.delimiter.clone();
        let Some(end) = self.find(&delimiter) else { return Ok(Step::Starved) };
        let value = std::str::from_utf8(&self.wire[self.at..end]).map_err(|_| FormError::MalformedPart)?;
        if let Some(field) = self.fields.last_mut() {
            value.clone_into(&mut field.value);
        }
        Ok(self.enter(State::Delimiter, end + delimiter.len()))
    }

    fn enter(&mut self, state: State, at: usize) -> Step {
        (self.state, self.at, self.searched) = (state, at, at);
        Step::Next
    }

    /// Where `needle` begins. No byte is searched twice but for those that could be a part of it.
    fn find(&mut self, needle: &[u8]) -> Option<usize> {
        let found = memmem::find(&self.wire[self.searched..], needle).map(|at| self.searched + at);
        if found.is_none() {
            self.searched = self.searched.max((self.wire.len() + 1).saturating_sub(needle.len()));
        }
        found
    }
}

/// What one element of a form leads to.
enum Step {
    /// The next element.
    Next,
    /// More of the wire is needed.
    Starved,
    File(PostForm),
}

/// What the headers of a part say.
struct Part {
    /// In lower case.
    name: String,
    filename: String,
}

impl Part {
    /// Reads `Content-Disposition`; other headers mean nothing to S3.
    fn parse(headers: &[u8]) -> Option<Self> {
        let mut found = None;
        let mut rest = headers;
        while !rest.is_empty() {
            let line = match memmem::find(rest, b"\r\n") {
                Some(end) => {
                    let line = &rest[..end];
                    rest = &rest[end + 2..];
                    line
                }
                None => std::mem::take(&mut rest),
            };
            let (name, value) = crate::scan::cut(line, b':')?;
            if name.eq_ignore_ascii_case(b"content-disposition") && found.replace(value).is_some() {
                return None;
            }
        }
        let disposition = Disposition::parse(found?)?;
        if !disposition.value.eq_ignore_ascii_case(b"form-data") {
            return None;
        }
        let text = |name| {
            let value = disposition.parameter(name);
            value.map(|value| String::from_utf8(value.into_owned())).transpose()
        };
        let mut name = text("name").ok()??;
        name.make_ascii_lowercase();
        Some(Self { name, filename: text("filename").ok()?.unwrap_or_default() })
    }
}
