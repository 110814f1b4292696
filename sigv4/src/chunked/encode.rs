//! The sending side of `aws-chunked`: an encoder for clients, and a re-framer for whoever forwards a decoded
//! body with its trailing checksum.

use std::collections::VecDeque;
use std::fmt;

use bytes::Bytes;

use super::chain::ChunkSigner;
use super::{CHUNK_SIGNATURE, CRLF, TRAILER_SIGNATURE};
use crate::checksum::Hasher;
use crate::{Checksum, ChecksumAlgorithm};

/// Characters of a signature.
const SIGNATURE_LEN: u64 = 64;

/// Encodes a body as a client sends it: chunks, signed or not, then a checksum of the data as a trailer.
pub struct ChunkEncoder {
    signer: Option<ChunkSigner>,
    checksum: Option<Hasher>,
}

impl ChunkEncoder {
    /// `STREAMING-UNSIGNED-PAYLOAD-TRAILER`.
    pub fn unsigned() -> Self {
        Self { signer: None, checksum: None }
    }

    /// `STREAMING-AWS4-HMAC-SHA256-PAYLOAD`, or its `-TRAILER` form if a trailer is added. Every chunk but the
    /// last must have 8192 bytes or more.
    pub fn signed(signer: ChunkSigner) -> Self {
        Self { signer: Some(signer), checksum: None }
    }

    /// Adds a trailing checksum of the data. The head must announce it in `x-amz-trailer`.
    #[must_use]
    pub fn with_trailer(self, algorithm: ChecksumAlgorithm) -> Self {
        Self { checksum: Some(Hasher::new(algorithm)), ..self }
    }

    /// The length of the encoded body, for `Content-Length`, if `decoded_length` bytes are pushed in chunks of
    /// `chunk_size` and a rest. A chunk size of 0 counts as 1.
    pub fn encoded_length(&self, decoded_length: u64, chunk_size: u64) -> u64 {
        let (mark, sealed) = match &self.signer {
            Some(_) => (";=".len() as u64 + CHUNK_SIGNATURE.len() as u64 + SIGNATURE_LEN, true),
            None => (0, false),
        };
        let trailer = self.checksum.as_ref().map_or(0, |hasher| trailer_length(hasher.algorithm()));
        let seal = if sealed && self.checksum.is_some() {
            (TRAILER_SIGNATURE.len() + ":".len() + CRLF.len()) as u64 + SIGNATURE_LEN
        } else {
            0
        };
        framed_length(decoded_length, chunk_size.max(1), mark).saturating_add(trailer).saturating_add(seal)
    }

    /// Appends `data` to `out` as one chunk. Nothing happens if it is empty: the empty chunk ends the body.
    pub fn push(&mut self, data: Bytes, out: &mut VecDeque<Bytes>) {
        if data.is_empty() {
            return;
        }
        if let Some(checksum) = &mut self.checksum {
            checksum.update(&data);
        }
        out.push_back(self.header(&data));
        out.push_back(data);
        out.push_back(Bytes::from_static(CRLF));
    }

    /// Appends the empty chunk and the trailers to `out`.
    pub fn finish(mut self, out: &mut VecDeque<Bytes>) {
        out.push_back(self.header(b""));
        if let Some(checksum) = self.checksum.take().map(Hasher::finish) {
            out.push_back(trailer_line(&checksum));
            if let Some(signer) = &mut self.signer {
                let canonical = format!("{}:{}\n", checksum.algorithm().header_name(), checksum.base64());
                let signature = signer.sign_trailers(canonical.as_bytes());
                let signature = String::from_utf8_lossy(&signature);
                out.push_back(format!("{TRAILER_SIGNATURE}:{signature}\r\n").into());
            }
        }
        out.push_back(Bytes::from_static(CRLF));
    }

    fn header(&mut self, data: &[u8]) -> Bytes {
        let size = data.len();
        match &mut self.signer {
            None => format!("{size:x}\r\n").into(),
            Some(signer) => {
                let signature = signer.sign_chunk(data);
                let signature = String::from_utf8_lossy(&signature);
                format!("{size:x};{CHUNK_SIGNATURE}={signature}\r\n").into()
            }
        }
    }
}

impl fmt::Debug for ChunkEncoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let trailer = self.checksum.as_ref().map(Hasher::algorithm);
        f.debug_struct("ChunkEncoder").field("signer", &self.signer).field("trailer", &trailer).finish()
    }
}

/// Frames decoded data anew as `STREAMING-UNSIGNED-PAYLOAD-TRAILER`, so that a trailing checksum survives.
///
/// The sizes of the chunks follow from the decoded length alone. So the length of the whole is known before the
/// first byte, the line in front of a chunk is written before its data is there, and nothing is ever held.
#[derive(Debug)]
pub struct Reframer {
    algorithm: ChecksumAlgorithm,
    decoded_length: u64,
    /// Data that is still to come.
    remaining: u64,
    /// Data that is still to come of the current chunk.
    in_chunk: u64,
}

impl Reframer {
    /// Bytes of every chunk but the last. A power of 16, so that its line is a constant.
    const CHUNK: u64 = 65_536;
    const CHUNK_HEADER: &'static [u8] = b"10000\r\n";

    /// Frames `decoded_length` bytes, to be followed by a checksum of `algorithm`.
    pub fn new(decoded_length: u64, algorithm: ChecksumAlgorithm) -> Self {
        Self { algorithm, decoded_length, remaining: decoded_length, in_chunk: 0 }
    }

    /// Bytes of the framed body, for `Content-Length`. `x-amz-decoded-content-length` is the decoded length and
    /// `x-amz-trailer` the algorithm's header name.
    pub fn content_length(&self) -> u64 {
        framed_length(self.decoded_length, Self::CHUNK, 0).saturating_add(trailer_length(self.algorithm))
    }

    /// Appends `data` with its framing to `out`. Bytes beyond the decoded length have no place in the announced
    /// framing and are dropped; [`PayloadVerifier`](crate::PayloadVerifier) never hands out such.
    pub fn push(&mut self, mut data: Bytes, out: &mut VecDeque<Bytes>) {
        while !data.is_empty() && self.remaining > 0 {
            if self.in_chunk == 0 {
                self.in_chunk = self.remaining.min(Self::CHUNK);
                out.push_back(Self::chunk_header(self.in_chunk));
            }
            let here = usize::try_from(self.in_chunk).unwrap_or(usize::MAX).min(data.len());
            out.push_back(data.split_to(here));
            self.in_chunk -= here as u64;
            self.remaining -= here as u64;
            if self.in_chunk == 0 {
                out.push_back(Bytes::from_static(CRLF));
            }
        }
    }

    /// Appends the end of the body to `out`: the last chunk, the checksum and the blank line. The checksum must
    /// be of the announced algorithm. If data is missing, the body stays shorter than announced, which aborts
    /// it at the receiver.
    pub fn finish(self, checksum: &Checksum, out: &mut VecDeque<Bytes>) {
        out.push_back(Bytes::from_static(b"0\r\n"));
        out.push_back(trailer_line(checksum));
        out.push_back(Bytes::from_static(CRLF));
    }

    fn chunk_header(size: u64) -> Bytes {
        match size {
            Self::CHUNK => Bytes::from_static(Self::CHUNK_HEADER),
            _ => format!("{size:x}\r\n").into(),
        }
    }
}

/// Length of `decoded_length` bytes in chunks of `chunk_size` and a rest, of the empty chunk and of the final
/// CRLF, if every chunk's line has `mark` bytes beside its size. Saturates.
fn framed_length(decoded_length: u64, chunk_size: u64, mark: u64) -> u64 {
    let line = |size: u64| u64::from(size.checked_ilog2().unwrap_or(0) / 4 + 1) + mark + CRLF.len() as u64;
    let end = CRLF.len() as u64;
    let (full, rest) = (decoded_length / chunk_size, decoded_length % chunk_size);
    let rest_framing = if rest == 0 { 0 } else { line(rest) + end };
    full.saturating_mul(line(chunk_size) + end)
        .saturating_add(rest_framing)
        .saturating_add(line(0) + end)
        .saturating_add(decoded_length)
}

fn trailer_length(algorithm: ChecksumAlgorithm) -> u64 {
    (algorithm.header_name().len() + ":".len() + algorithm.base64_len() + CRLF.len()) as u64
}

fn trailer_line(checksum: &Checksum) -> Bytes {
    format!("{}:{}\r\n", checksum.algorithm().header_name(), checksum.base64()).into()
}
