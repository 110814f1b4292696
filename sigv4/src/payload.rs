//! The body: what the signature says about it, and the proof that it is so.
//!
//! [`PayloadMode`] comes out of a verified head and alone decides the framing; no unsigned header has a say.
//! [`PayloadHead`] holds what else the head states about the body. [`PayloadVerifier`] takes the wire's bytes,
//! hands out the decoded ones and ends in a [`Proof`] or an error.
//!
//! Decoded bytes are handed out before anything is proved about them: a hash is known at its end only. Whoever
//! forwards them withholds the last ones until the proof is there, so that a bad body is never completed.

mod head;

use std::collections::VecDeque;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use md5::{Digest as _, Md5};
use ring::digest;

use crate::checksum::Hasher;
pub use crate::chunked::ChunkChain;
use crate::chunked::{ChunkDecoder, Form};
use crate::hex;
use crate::multipart::{FileDecoder, FormFile};
use crate::payload_error::PayloadError;
use crate::{Checksum, ChecksumAlgorithm};
pub use head::PayloadHead;

/// What must be proved about a body.
///
/// Source: <https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html>
#[derive(Debug)]
pub enum PayloadMode {
    /// `UNSIGNED-PAYLOAD`, or a presigned request that declares no hash.
    Unsigned,
    /// The SHA-256 of the whole body.
    Sha256([u8; 32]),
    /// `STREAMING-AWS4-HMAC-SHA256-PAYLOAD`, `STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD` and their `-TRAILER` forms.
    SignedChunks {
        /// What chunk signatures chain on.
        chain: ChunkChain,
        /// Whether a signed trailer must follow.
        trailer: bool,
    },
    /// `STREAMING-UNSIGNED-PAYLOAD-TRAILER`.
    UnsignedChunks,
    /// The file of a form.
    Form(FormFile),
    /// Generic dialect: the body was hashed before the signature was checked.
    Verified,
}

/// Verifies one body, in memory that does not depend on its size.
pub struct PayloadVerifier {
    framing: Framing,
    content: Content,
    /// `Content-Length`, which counts the bytes of the wire.
    content_length: Option<u64>,
    received: u64,
    /// Whether the request reads. AWS does not check what such a head states about a body that is empty.
    reads: bool,
}

#[expect(
    clippy::large_enum_variant,
    reason = "the large variant is that of nearly every request, and boxing it would cost an allocation"
)]
enum Framing {
    /// The wire is the body.
    Plain(Option<DeclaredSha256>),
    Chunked(Box<ChunkDecoder>),
    Form(Box<FileDecoder>),
}

impl PayloadVerifier {
    /// A verifier for a body under `mode`. `head` must have been parsed with the same mode; of another mode, it
    /// lacks what the framing needs and good bodies are refused. What is signed is proved in any case.
    pub fn new(mode: PayloadMode, head: PayloadHead) -> Self {
        // A SHA-256 stated twice is computed once.
        let stated_twice = |checksum: &Checksum| match &mode {
            PayloadMode::Sha256(sha256) => checksum.value() == sha256,
            PayloadMode::Unsigned
            | PayloadMode::SignedChunks { .. }
            | PayloadMode::UnsignedChunks
            | PayloadMode::Form(_)
            | PayloadMode::Verified => false,
        };
        let checksum = head.checksum.filter(|checksum| !stated_twice(checksum));
        let chunked = |form| {
            let length = head.decoded_length.unwrap_or(0);
            Framing::Chunked(Box::new(ChunkDecoder::new(form, length, head.trailer)))
        };
        let framing = match mode {
            PayloadMode::Unsigned | PayloadMode::Verified => Framing::Plain(None),
            PayloadMode::Sha256(sha256) => {
                Framing::Plain(Some(DeclaredSha256::new(sha256, head.declared_sha256)))
            }
            PayloadMode::SignedChunks { chain, trailer } => chunked(Form::Signed { chain, trailer }),
            PayloadMode::UnsignedChunks => chunked(Form::Unsigned),
            PayloadMode::Form(file) => Framing::Form(Box::new(FileDecoder::new(file, head.content_length))),
        };
        // A form's head states the length of its file, and not of the body around it.
        let content_length = head.content_length.filter(|_| !matches!(framing, Framing::Form(_)));
        Self {
            framing,
            content: Content::new(head.content_md5, checksum, head.trailer),
            content_length,
            received: 0,
            reads: head.reads,
        }
    }

    /// Takes the next bytes of the wire and appends the decoded bytes among them to `out`, as slices of `wire`.
    /// However the wire is cut, data and verdict are the same.
    ///
    /// The bytes are **not yet proved**. After an error the body is lost: `finish` fails too.
    pub fn push(&mut self, wire: Bytes, out: &mut VecDeque<Bytes>) -> Result<(), PayloadError> {
        let before = out.len();
        let room = self.content_length.map_or(u64::MAX, |length| length.saturating_sub(self.received));
        let room = usize::try_from(room).unwrap_or(usize::MAX);
        self.received = self.received.saturating_add(wire.len() as u64);
        match &mut self.framing {
            Framing::Plain(sha256) => {
                // What exceeds the announced length is counted, for the answer, but is not the body.
                let mut data = wire;
                data.truncate(room);
                if let Some(sha256) = sha256 {
                    sha256.computed.update(&data);
                }
                if !data.is_empty() {
                    out.push_back(data);
                }
            }
            Framing::Chunked(decoder) => decoder.push(wire, out)?,
            Framing::Form(decoder) => decoder.push(wire, out)?,
        }
        out.range(before..).for_each(|data| self.content.update(data));
        Ok(())
    }

    /// The wire has ended. Only the [`Proof`] says that every byte handed out is what was signed.
    ///
    /// Checked in AWS's order: framing and signatures, length, SHA-256, `Content-MD5`, checksum.
    pub fn finish(self) -> Result<Proof, PayloadError> {
        let (sha256, trailer) = match self.framing {
            Framing::Plain(sha256) => (sha256, None),
            Framing::Chunked(decoder) => (None, decoder.finish()?),
            Framing::Form(decoder) => {
                decoder.finish()?;
                (None, None)
            }
        };
        if let Some(expected) = self.content_length.filter(|&length| length != self.received) {
            return Err(PayloadError::LengthMismatch { expected, provided: self.received });
        }
        if self.reads && self.received == 0 {
            return Ok(Proof { trailer: None });
        }
        sha256.map_or(Ok(()), DeclaredSha256::prove)?;
        self.content.prove(trailer.as_deref())
    }

    /// Bytes that will be handed out, if the head states it.
    pub fn decoded_length(&self) -> Option<u64> {
        match &self.framing {
            Framing::Plain(_) => self.content_length,
            Framing::Chunked(decoder) => Some(decoder.expected()),
            Framing::Form(decoder) => decoder.announced(),
        }
    }

    /// The trailing checksum that `x-amz-trailer` announces.
    pub fn trailer_algorithm(&self) -> Option<ChecksumAlgorithm> {
        self.content.trailer
    }

    /// Whether the wire has `aws-chunked` framing around the data.
    pub fn is_chunked(&self) -> bool {
        match &self.framing {
            Framing::Plain(_) | Framing::Form(_) => false,
            Framing::Chunked(_) => true,
        }
    }
}

impl fmt::Debug for PayloadVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PayloadVerifier")
            .field("chunked", &self.is_chunked())
            .field("decoded_length", &self.decoded_length())
            .field("received", &self.received)
            .finish_non_exhaustive()
    }
}

/// Proof that a whole body was what its request stated. Made by [`PayloadVerifier::finish`] only.
#[must_use]
#[derive(Debug)]
#[non_exhaustive]
pub struct Proof {
    /// The trailing checksum, verified.
    pub trailer: Option<Checksum>,
}

/// The hash a head declares for the whole body, and the one computed.
struct DeclaredSha256 {
    declared: [u8; 32],
    /// As received; quoted in the answer with the case it had.
    text: Option<http::HeaderValue>,
    computed: digest::Context,
}

impl DeclaredSha256 {
    fn new(declared: [u8; 32], text: Option<http::HeaderValue>) -> Self {
        Self { declared, text, computed: digest::Context::new(&digest::SHA256) }
    }

    fn prove(self) -> Result<(), PayloadError> {
        let digest = self.computed.finish();
        let computed: &[u8; 32] = digest.as_ref().try_into().expect("a SHA-256 digest has 32 bytes");
        if *computed == self.declared {
            return Ok(());
        }
        let text = |sha256: &[u8; 32]| hex::encode(sha256);
        let declared = self.text.as_ref().and_then(|value| value.to_str().ok());
        Err(PayloadError::Sha256Mismatch {
            declared: declared.map_or_else(|| text(&self.declared), str::to_owned),
            computed: text(computed),
        })
    }
}

/// What is stated about the decoded data, whatever the framing, and what is computed of it.
struct Content {
    md5: Option<(Md5, [u8; 16])>,
    checksum: Option<Hasher>,
    /// The checksum a header gives.
    declared: Option<Checksum>,
    /// The checksum a trailer will give.
    trailer: Option<ChecksumAlgorithm>,
}

impl Content {
    fn new(md5: Option<[u8; 16]>, declared: Option<Checksum>, trailer: Option<ChecksumAlgorithm>) -> Self {
        let algorithm = declared.as_ref().map(Checksum::algorithm).or(trailer);
        Self {
            md5: md5.map(|declared| (Md5::new(), declared)),
            checksum: algorithm.map(Hasher::new),
            declared,
            trailer,
        }
    }

    fn update(&mut self, data: &[u8]) {
        if let Some((md5, _)) = &mut self.md5 {
            md5.update(data);
        }
        if let Some(checksum) = &mut self.checksum {
            checksum.update(data);
        }
    }

    /// `sent` is the value of the announced trailer.
    fn prove(self, sent: Option<&[u8]>) -> Result<Proof, PayloadError> {
        if let Some((md5, declared)) = self.md5 {
            let computed = md5.finalize().into();
            if computed != declared {
                return Err(PayloadError::Md5Mismatch { declared, computed });
            }
        }
        let trailer = match (self.trailer, sent) {
            (Some(algorithm), Some(text)) => {
                Some(Checksum::parse(algorithm, text).ok_or(PayloadError::InvalidTrailer(algorithm))?)
            }
            _ => None,
        };
        let computed = self.checksum.map(Hasher::finish);
        match (&computed, self.declared.or_else(|| trailer.clone())) {
            (Some(computed), Some(declared)) if *computed != declared => {
                Err(PayloadError::ChecksumMismatch(declared.algorithm()))
            }
            _ => Ok(Proof { trailer }),
        }
    }
}

/// Decodes `Content-MD5`: 24 characters for 16 bytes.
fn parse_md5(base64: &[u8]) -> Option<[u8; 16]> {
    let base64: &[u8; 24] = base64.try_into().ok()?;
    let mut decoded = [0; 18];
    let length = STANDARD.decode_slice(base64, &mut decoded).ok()?;
    decoded[..length].try_into().ok()
}
