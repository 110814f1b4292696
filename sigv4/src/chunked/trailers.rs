//! The lines after the last chunk: which may stand there, which must, and what their signature covers.

use super::chain::{ChunkChain, ChunkSignature};
use super::{CRLF, TRAILER_SIGNATURE};
use crate::ChecksumAlgorithm;
use crate::payload_error::PayloadError;

/// Bytes that may follow the last chunk's header, line ends and what is ignored after a blank line included.
/// One checksum and one signature take about 160.
const TRAILERS_MAX: usize = 4096;

/// What was read of the trailers. Only one can be announced, so only one is ever kept.
pub(super) struct Trailers {
    announced: Option<ChecksumAlgorithm>,
    /// Whether `x-amz-trailer-signature` may, and therefore must, be among them.
    signed: bool,
    /// Value of the announced trailer; of several, AWS takes the last.
    value: Option<Box<[u8]>>,
    signature: Option<ChunkSignature>,
    budget: usize,
}

impl Trailers {
    pub(super) fn new(announced: Option<ChecksumAlgorithm>, signed: bool) -> Self {
        Self { announced, signed, value: None, signature: None, budget: TRAILERS_MAX }
    }

    /// Bytes that may still come.
    pub(super) fn budget(&self) -> usize {
        self.budget
    }

    /// Takes one line, given without its CRLF. A bare LF at its end is space: minio-go writes one there.
    pub(super) fn line(&mut self, line: &[u8]) -> Result<(), PayloadError> {
        self.spend(line.len() + CRLF.len())?;
        let colon = line.iter().position(|&b| b == b':').ok_or(PayloadError::MalformedTrailer)?;
        let (name, value) = (trim(&line[..colon]), trim(&line[colon + 1..]));
        let announced = self.announced.map(|a| a.header_name().as_bytes());
        if announced.is_some_and(|announced| name.eq_ignore_ascii_case(announced)) {
            self.value = Some(value.into());
        } else if self.signed && name.eq_ignore_ascii_case(TRAILER_SIGNATURE.as_bytes()) {
            self.signature = ChunkSignature::new(value);
        } else {
            return Err(PayloadError::UnannouncedTrailer);
        }
        Ok(())
    }

    /// Takes bytes that mean nothing: the blank line and what follows it.
    pub(super) fn spend(&mut self, bytes: usize) -> Result<(), PayloadError> {
        self.budget = self.budget.checked_sub(bytes).ok_or(PayloadError::TrailersTooLong)?;
        Ok(())
    }

    /// The value of the announced trailer, once nothing is missing. `chain` is given if the trailers must be
    /// signed, and proves that they are.
    pub(super) fn finish(self, chain: Option<&mut ChunkChain>) -> Result<Option<Box<[u8]>>, PayloadError> {
        if let Some(chain) = chain {
            let signature = self.signature.ok_or(PayloadError::MissingTrailerSignature)?;
            let (Some(algorithm), Some(value)) = (self.announced, &self.value) else {
                return Err(PayloadError::MissingSignedTrailer);
            };
            let canonical = [algorithm.header_name().as_bytes(), b":", value, b"\n"].concat();
            chain.verify_trailers(&canonical, signature)?;
        }
        match (self.announced, self.value) {
            (Some(algorithm), None) => Err(PayloadError::MissingTrailer(algorithm)),
            (_, value) => Ok(value),
        }
    }
}

/// Without the spaces, tabs and line feeds around.
fn trim(mut text: &[u8]) -> &[u8] {
    while let [b' ' | b'\t' | b'\n', rest @ ..] | [rest @ .., b' ' | b'\t' | b'\n'] = text {
        text = rest;
    }
    text
}
