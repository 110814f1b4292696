//! The file of a form as a body framing: a state machine that lets data pass and stops at the delimiter.

use std::collections::VecDeque;

use bytes::{Buf as _, Bytes};
use memchr::memmem;

use super::{Boundary, MAX_FORM};
use crate::post_error::FormError;

/// Where the file of a form begins in its body, how it ends, and how large it may be.
#[derive(Clone, Debug)]
pub struct FormFile {
    boundary: Boundary,
    /// Bytes of the body before it.
    start: u64,
    /// Least and most bytes, both included.
    range: Option<(u64, u64)>,
}

impl FormFile {
    pub(super) fn new(boundary: Boundary, start: u64) -> Self {
        Self { boundary, start, range: None }
    }

    pub(crate) fn limited(self, range: Option<(u64, u64)>) -> Self {
        Self { range, ..self }
    }

    /// Bytes of the file in a body of `content_length` bytes that has nothing behind it but the closing delimiter
    /// and a line end, which is what clients send. `None` if such a body has no room for that.
    pub fn length_if_last(&self, content_length: u64) -> Option<u64> {
        content_length.checked_sub(self.start)?.checked_sub(self.boundary.closing_length())
    }

    /// Bytes of the file, if its end is among the first bytes of the body, which `wire` holds.
    pub fn length_within(&self, wire: &Bytes) -> Result<Option<u64>, FormError> {
        let mut decoder = FileDecoder::new(self.clone().limited(None), None);
        decoder.push(wire.clone(), &mut VecDeque::new())?;
        Ok(decoder.is_over().then_some(decoder.size))
    }

    /// Whether a file of `size` bytes is one the form allows.
    pub fn check_size(&self, size: u64) -> Result<(), FormError> {
        match self.range {
            Some((_, max)) if size > max => Err(FormError::FileTooLarge { size, max }),
            Some((min, _)) if size < min => Err(FormError::FileTooSmall { size, min }),
            Some(_) | None => Ok(()),
        }
    }
}

/// Decodes one body from its start.
pub(crate) struct FileDecoder {
    file: FormFile,
    finder: memmem::Finder<'static>,
    state: State,
    size: u64,
    /// What whoever takes the data has been promised.
    announced: Option<u64>,
}

/// Where in the body the next byte stands.
#[derive(Clone, Copy, Debug)]
enum State {
    /// Before the file.
    Form { left: u64 },
    /// In the file, behind as many bytes of what may be the delimiter.
    Data { matched: usize },
    /// Behind the delimiter.
    Delimiter(Line),
    /// What is ignored, as long as there is not too much of it.
    Ignored { left: usize },
    /// After an error. Nothing leads out of here.
    Failed,
}

/// The rest of a delimiter's line: `--`, or spaces and a line end.
#[derive(Clone, Copy, Debug)]
enum Line {
    Start,
    Dash,
    Spaces,
    Cr,
}

impl FileDecoder {
    pub(crate) fn new(file: FormFile, announced: Option<u64>) -> Self {
        let finder = memmem::Finder::new(&file.boundary.delimiter).into_owned();
        let state = State::Form { left: file.start };
        Self { file, finder, state, size: 0, announced }
    }

    pub(crate) fn announced(&self) -> Option<u64> {
        self.announced
    }

    /// Takes the next bytes of the wire and appends the data among them to `out`.
    pub(crate) fn push(&mut self, wire: Bytes, out: &mut VecDeque<Bytes>) -> Result<(), FormError> {
        let outcome = self.advance(wire, out);
        if outcome.is_err() {
            self.state = State::Failed;
        }
        outcome
    }

    fn advance(&mut self, mut wire: Bytes, out: &mut VecDeque<Bytes>) -> Result<(), FormError> {
        while let Some(&next) = wire.first() {
            self.state = match self.state {
                State::Form { left: 0 } => State::Data { matched: 0 },
                State::Form { left } => {
                    let here = usize::try_from(left).unwrap_or(usize::MAX).min(wire.len());
                    wire.advance(here);
                    State::Form { left: left - here as u64 }
                }
                State::Data { matched: 0 } => self.search(&mut wire, out)?,
                State::Data { matched } => self.resume(matched, &mut wire, out)?,
                State::Delimiter(line) => {
                    wire.advance(1);
                    line.after(next).ok_or(FormError::MalformedPart)?
                }
                State::Ignored { left } => {
                    let left = left.checked_sub(wire.len()).ok_or(FormError::FieldsTooLong)?;
                    wire.clear();
                    State::Ignored { left }
                }
                State::Failed => return Err(FormError::Truncated),
            };
        }
        Ok(())
    }

    /// In the midst of the file: everything up to the delimiter, or to what may be the start of one, is data.
    fn search(&mut self, wire: &mut Bytes, out: &mut VecDeque<Bytes>) -> Result<State, FormError> {
        let delimiter = &self.file.boundary.delimiter;
        if let Some(end) = self.finder.find(wire) {
            let data = wire.split_to(end);
            wire.advance(delimiter.len());
            self.emit(data, out)?;
            return Ok(State::Delimiter(Line::Start));
        }
        // A CR is the first byte of the delimiter and no other: only the last one can begin what goes on later.
        let window = wire.len().saturating_sub(delimiter.len());
        let tail = memchr::memrchr(b'\r', &wire[window..]).map(|at| &wire[window + at..]);
        let matched = tail.filter(|tail| delimiter.starts_with(tail)).map_or(0, <[u8]>::len);
        let data = wire.split_to(wire.len() - matched);
        wire.clear();
        self.emit(data, out)?;
        Ok(State::Data { matched })
    }

    /// Behind what may be the start of a delimiter. If it is none, it was data.
    fn resume(
        &mut self,
        matched: usize,
        wire: &mut Bytes,
        out: &mut VecDeque<Bytes>,
    ) -> Result<State, FormError> {
        let delimiter = &self.file.boundary.delimiter;
        let rest = &delimiter[matched..];
        let same = rest.iter().zip(wire.iter()).take_while(|(one, other)| one == other).count();
        let (matched, complete, starved) = (matched + same, same == rest.len(), same == wire.len());
        wire.advance(same);
        if complete {
            return Ok(State::Delimiter(Line::Start));
        }
        if starved {
            return Ok(State::Data { matched });
        }
        self.emit(delimiter.slice(..matched), out)?;
        Ok(State::Data { matched: 0 })
    }

    fn emit(&mut self, data: Bytes, out: &mut VecDeque<Bytes>) -> Result<(), FormError> {
        self.size = self.size.saturating_add(data.len() as u64);
        self.check_excess()?;
        if !data.is_empty() {
            out.push_back(data);
        }
        Ok(())
    }

    /// However the wire is cut, the lower of two limits is the one that is exceeded first, and an answer names the
    /// same size.
    fn check_excess(&self) -> Result<(), FormError> {
        let max = self.file.range.map_or(u64::MAX, |(_, max)| max);
        let announced = self.announced.unwrap_or(u64::MAX);
        if self.size > announced && announced <= max {
            return Err(FormError::FileNotLast);
        }
        if self.size > max {
            let size = self.announced.unwrap_or_default().max(max.saturating_add(1));
            return Err(FormError::FileTooLarge { size, max });
        }
        Ok(())
    }

    fn is_over(&self) -> bool {
        matches!(self.state, State::Ignored { .. })
    }

    /// The wire has ended.
    pub(crate) fn finish(self) -> Result<(), FormError> {
        if !self.is_over() {
            return Err(FormError::Truncated);
        }
        self.file.check_size(self.size)?;
        match self.announced {
            Some(announced) if announced != self.size => Err(FormError::FileNotLast),
            Some(_) | None => Ok(()),
        }
    }
}

impl Line {
    fn after(self, byte: u8) -> Option<State> {
        match (self, byte) {
            (Self::Start, b'-') => Some(State::Delimiter(Self::Dash)),
            (Self::Start | Self::Spaces, b' ' | b'\t') => Some(State::Delimiter(Self::Spaces)),
            (Self::Start | Self::Spaces, b'\r') => Some(State::Delimiter(Self::Cr)),
            (Self::Dash, b'-') | (Self::Cr, b'\n') => Some(State::Ignored { left: MAX_FORM }),
            (Self::Start | Self::Dash | Self::Spaces | Self::Cr, _) => None,
        }
    }
}
