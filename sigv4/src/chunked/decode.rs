//! The verifying side of `aws-chunked`: a state machine over bytes that proves framing, lengths and signatures.
//!
//! It looks at one byte after the other and decides at a byte, never at the end of a buffer: how the wire was
//! cut has no influence on data or verdict. It holds one line at most; data passes through.

use std::collections::VecDeque;

use bytes::{Buf as _, Bytes};
use memchr::memchr;
use ring::digest;

use super::chain::{ChunkChain, ChunkSignature};
use super::trailers::Trailers;
use super::{CHUNK_SIGNATURE, CRLF};
use crate::ChecksumAlgorithm;
use crate::payload_error::PayloadError;

/// Longest line in front of a chunk, CRLF included. A size and a signature take about 90 bytes.
const HEADER_MAX: usize = 1024;
/// What a signed chunk must have at least, unless it is the last with data.
const SIGNED_CHUNK_MIN: u64 = 8192;

/// Which of the chunked framings a body has.
pub(crate) enum Form {
    /// `STREAMING-UNSIGNED-PAYLOAD-TRAILER`: neither chunks nor trailers are signed.
    Unsigned,
    /// `STREAMING-AWS4-HMAC-SHA256-PAYLOAD` or `STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD`: every chunk is signed, and with `trailer` the trailers too.
    Signed {
        /// Where the chain of signatures starts.
        chain: ChunkChain,
        /// Whether it is the `-TRAILER` form.
        trailer: bool,
    },
}

/// Where in the body the next byte stands.
#[derive(Clone, Copy, Debug)]
enum State {
    /// In the line `size[;chunk-signature=…]`.
    Header,
    /// In the data of a chunk.
    Data { remaining: u64 },
    /// After the data, before CR.
    DataCr,
    /// After the data and CR, before LF.
    DataLf,
    /// After the 0-chunk's line, in a trailer or in the blank line that ends them.
    Trailers,
    /// After the blank line. AWS ignores what stands there, and so do we.
    Epilogue,
    /// After an error. Nothing leads out of here, so that nobody proves a body by reading on.
    Failed,
}

/// Decodes one body.
pub(crate) struct ChunkDecoder {
    state: State,
    line: Line,
    signatures: Option<Signatures>,
    trailers: Trailers,
    /// `x-amz-decoded-content-length`.
    expected: u64,
    decoded: u64,
}

/// What a signed body needs on the way.
struct Signatures {
    chain: ChunkChain,
    trailer: bool,
    /// Hash of the current chunk's data so far.
    data: digest::Context,
    /// Signature of the current chunk.
    current: Option<ChunkSignature>,
    /// Chunks with data begun so far.
    chunks: u64,
    /// Size of the last of them.
    size: u64,
}

impl ChunkDecoder {
    /// A decoder of `expected` bytes of data, followed by the announced trailer.
    pub(crate) fn new(form: Form, expected: u64, announced: Option<ChecksumAlgorithm>) -> Self {
        let signatures = match form {
            Form::Unsigned => None,
            Form::Signed { chain, trailer } => Some(Signatures::new(chain, trailer)),
        };
        let signed_trailer = signatures.as_ref().is_some_and(|s| s.trailer);
        Self {
            state: State::Header,
            line: Line::default(),
            signatures,
            trailers: Trailers::new(announced, signed_trailer),
            expected,
            decoded: 0,
        }
    }

    /// The announced length of the data.
    pub(crate) fn expected(&self) -> u64 {
        self.expected
    }

    /// Takes the next bytes of the wire and appends the data among them to `out`.
    pub(crate) fn push(&mut self, wire: Bytes, out: &mut VecDeque<Bytes>) -> Result<(), PayloadError> {
        let outcome = self.advance(wire, out);
        if outcome.is_err() {
            self.state = State::Failed;
        }
        outcome
    }

    fn advance(&mut self, mut wire: Bytes, out: &mut VecDeque<Bytes>) -> Result<(), PayloadError> {
        while let Some(&next) = wire.first() {
            self.state = match self.state {
                State::Header => self.header(&mut wire)?,
                State::Data { remaining } => self.data(remaining, &mut wire, out)?,
                State::DataCr | State::DataLf => {
                    wire.advance(1);
                    self.data_end(next)?
                }
                State::Trailers => self.trailer(&mut wire)?,
                State::Epilogue => {
                    self.trailers.spend(wire.len())?;
                    return Ok(());
                }
                State::Failed => return Err(PayloadError::Truncated),
            };
        }
        Ok(())
    }

    fn header(&mut self, wire: &mut Bytes) -> Result<State, PayloadError> {
        let Some(line) = self.line.read(wire, HEADER_MAX).ok_or(PayloadError::ChunkHeaderTooLong)? else {
            return Ok(State::Header);
        };
        let Header { size, parameters } = Header::parse(line)?;
        match &mut self.signatures {
            Some(signatures) => signatures.begin(size, parameters)?,
            None if parameters.is_some() => return Err(PayloadError::MalformedChunkHeader),
            None => {}
        }
        let decoded = self.decoded.saturating_add(size);
        if decoded > self.expected || (size == 0 && decoded < self.expected) {
            return Err(PayloadError::LengthMismatch { expected: self.expected, provided: decoded });
        }
        self.decoded = decoded;
        Ok(if size == 0 { State::Trailers } else { State::Data { remaining: size } })
    }

    fn data(
        &mut self,
        remaining: u64,
        wire: &mut Bytes,
        out: &mut VecDeque<Bytes>,
    ) -> Result<State, PayloadError> {
        // A chunk larger than the address space is taken as any other: in the pieces that arrive.
        let here = usize::try_from(remaining).unwrap_or(usize::MAX).min(wire.len());
        let data = wire.split_to(here);
        if let Some(signatures) = &mut self.signatures {
            signatures.data.update(&data);
        }
        out.push_back(data);
        let remaining = remaining - here as u64;
        if remaining > 0 {
            return Ok(State::Data { remaining });
        }
        if let Some(signatures) = &mut self.signatures {
            signatures.end()?;
        }
        Ok(State::DataCr)
    }

    fn data_end(&self, byte: u8) -> Result<State, PayloadError> {
        match (self.state, byte) {
            (State::DataCr, b'\r') => Ok(State::DataLf),
            (State::DataLf, b'\n') => Ok(State::Header),
            _ => Err(PayloadError::MissingChunkEnd),
        }
    }

    fn trailer(&mut self, wire: &mut Bytes) -> Result<State, PayloadError> {
        let budget = self.trailers.budget();
        match self.line.read(wire, budget).ok_or(PayloadError::TrailersTooLong)? {
            None => Ok(State::Trailers),
            Some(b"") => {
                self.trailers.spend(CRLF.len())?;
                Ok(State::Epilogue)
            }
            Some(line) => {
                self.trailers.line(line)?;
                Ok(State::Trailers)
            }
        }
    }

    /// The wire has ended: the value of the announced trailer, once everything that had to come has come.
    pub(crate) fn finish(mut self) -> Result<Option<Box<[u8]>>, PayloadError> {
        let may_end = match self.state {
            State::Epilogue => true,
            // Where trailers may stand, AWS does without the blank line after them.
            State::Trailers => self.line.is_empty() && self.signatures.as_ref().is_none_or(|s| s.trailer),
            State::Header | State::Data { .. } | State::DataCr | State::DataLf | State::Failed => false,
        };
        if !may_end {
            return Err(PayloadError::Truncated);
        }
        let chain = self.signatures.as_mut().filter(|s| s.trailer).map(|s| &mut s.chain);
        self.trailers.finish(chain)
    }
}

impl Signatures {
    fn new(chain: ChunkChain, trailer: bool) -> Self {
        let data = digest::Context::new(&digest::SHA256);
        Self { chain, trailer, data, current: None, chunks: 0, size: 0 }
    }

    /// A chunk's line was read. The 0-chunk has no data to wait for and is proved at once.
    fn begin(&mut self, size: u64, parameters: Option<&[u8]>) -> Result<(), PayloadError> {
        self.current = Some(chunk_signature(parameters)?);
        if size == 0 {
            return self.end();
        }
        if self.chunks > 0 && self.size < SIGNED_CHUNK_MIN {
            return Err(PayloadError::ChunkTooSmall { next: self.chunks.saturating_add(1), size: self.size });
        }
        self.chunks = self.chunks.saturating_add(1);
        self.size = size;
        Ok(())
    }

    /// The data of a chunk is complete.
    fn end(&mut self) -> Result<(), PayloadError> {
        let signature = self.current.take().ok_or(PayloadError::MissingChunkSignature)?;
        let data = std::mem::replace(&mut self.data, digest::Context::new(&digest::SHA256));
        self.chain.verify_chunk(data.finish(), signature)
    }
}

/// The line in front of a chunk.
struct Header<'a> {
    size: u64,
    /// What follows the first `;`.
    parameters: Option<&'a [u8]>,
}

impl<'a> Header<'a> {
    fn parse(line: &'a [u8]) -> Result<Self, PayloadError> {
        let (size, parameters) = match line.iter().position(|&b| b == b';') {
            Some(at) => (&line[..at], Some(&line[at + 1..])),
            None => (line, None),
        };
        let size = parse_size(trim_end(size)).ok_or(PayloadError::MalformedChunkHeader)?;
        Ok(Self { size, parameters })
    }
}

/// Hexadecimal digits of either case, leading zeros allowed, no sign, at most 64 bits.
fn parse_size(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_u64, |size, &digit| {
        let digit = char::from(digit).to_digit(16)?;
        Some(size.checked_mul(16)? | u64::from(digit))
    })
}

/// The signature among a chunk's parameters. It stands first and alone. AWS takes one that stands after
/// another parameter for wrong, and one in front of another parameter for a broken line.
fn chunk_signature(parameters: Option<&[u8]>) -> Result<ChunkSignature, PayloadError> {
    let parameters = parameters.ok_or(PayloadError::MissingChunkSignature)?;
    let mut each = parameters.split(|&b| b == b';').map(signature_value);
    match (each.next().flatten(), each.next()) {
        (Some(value), None) => ChunkSignature::new(value).ok_or(PayloadError::MissingChunkSignature),
        (Some(_), Some(_)) => Err(PayloadError::MalformedChunkHeader),
        (None, Some(second)) if second.is_some() || each.any(|value| value.is_some()) => {
            ChunkSignature::new(trim(parameters)).ok_or(PayloadError::MissingChunkSignature)
        }
        (None, _) => Err(PayloadError::MissingChunkSignature),
    }
}

/// The value of `chunk-signature = value`; `None` for every other parameter.
fn signature_value(parameter: &[u8]) -> Option<&[u8]> {
    let equals = parameter.iter().position(|&b| b == b'=')?;
    let (name, value) = (trim(&parameter[..equals]), trim(&parameter[equals + 1..]));
    (name == CHUNK_SIGNATURE.as_bytes()).then_some(value)
}

/// Without the spaces and tabs around. A CR or LF is never space here.
fn trim(mut text: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = text {
        text = rest;
    }
    trim_end(text)
}

fn trim_end(mut text: &[u8]) -> &[u8] {
    while let [rest @ .., b' ' | b'\t'] = text {
        text = rest;
    }
    text
}

/// The line being read.
#[derive(Default)]
struct Line(Vec<u8>);

impl Line {
    /// Takes bytes up to and including the next CRLF and gives the line without it; `Some(None)` if the wire
    /// ends before, `None` if the line, its CRLF included, is longer than `limit`.
    ///
    /// The line is copied even where it stands in one piece: it is a hundred bytes in front of kilobytes, and
    /// there is only one way through here.
    fn read(&mut self, wire: &mut Bytes, limit: usize) -> Option<Option<&[u8]>> {
        if self.0.ends_with(CRLF) {
            self.0.clear();
        }
        while !wire.is_empty() && !self.0.ends_with(CRLF) {
            let end = memchr(b'\n', wire).map_or(wire.len(), |at| at + 1);
            if self.0.len() + end > limit {
                return None;
            }
            self.0.extend_from_slice(&wire[..end]);
            wire.advance(end);
        }
        Some(self.0.strip_suffix(CRLF))
    }

    /// Whether no line has been begun since the last one ended.
    fn is_empty(&self) -> bool {
        self.0.is_empty() || self.0.ends_with(CRLF)
    }
}
