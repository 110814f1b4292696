//! The chain of chunk signatures: each signs its chunk and the signature before it, so that no chunk can be
//! changed, dropped, moved or added without the key.

use std::fmt;

use ring::digest;

use crate::hex;
use crate::payload_error::{ChunkExplanation, PayloadError};
use crate::{Signature, SigningKey, Timestamp};

/// SHA-256 of nothing. Every chunk's string to sign has it where a request has its headers.
const EMPTY_SHA256: &[u8] = b"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// What the next signature signs beside its data: key, time, scope and the signature before it.
pub struct ChunkChain(Box<Chain>);

/// Boxed: a payload mode goes through many hands, and few bodies are chunked.
struct Chain {
    key: SigningKey,
    previous: Signature,
    /// `LF date LF scope LF`, the same in every string to sign.
    context: Box<[u8]>,
    /// The string to sign last written; kept so that a chunk costs no allocation.
    string_to_sign: Vec<u8>,
}

/// What a signature of the chain covers.
#[derive(Clone, Copy)]
enum Link {
    Chunk,
    Trailers,
}

impl ChunkChain {
    /// A chain that starts at `seed`, the signature of the request, made with `key` at `date`.
    pub fn new(key: &SigningKey, date: Timestamp, seed: Signature) -> Self {
        let mut context = Vec::with_capacity(64);
        context.push(b'\n');
        context.extend_from_slice(&date.basic());
        context.extend_from_slice(format!("\n{}\n", key.scope()).as_bytes());
        Self(Box::new(Chain {
            key: key.clone(),
            previous: seed,
            context: context.into(),
            string_to_sign: Vec::new(),
        }))
    }

    /// Proves that `signature` is the chain's next and signs a chunk whose data has this SHA-256.
    pub(super) fn verify_chunk(
        &mut self,
        data: digest::Digest,
        signature: ChunkSignature,
    ) -> Result<(), PayloadError> {
        self.0.write(Link::Chunk, &data);
        self.0.verify(signature)
    }

    /// Proves that `signature` is the chain's last and signs these canonical trailers.
    pub(super) fn verify_trailers(
        &mut self,
        canonical: &[u8],
        signature: ChunkSignature,
    ) -> Result<(), PayloadError> {
        self.0.write(Link::Trailers, &digest::digest(&digest::SHA256, canonical));
        self.0.verify(signature)
    }
}

impl Chain {
    fn verify(&mut self, signature: ChunkSignature) -> Result<(), PayloadError> {
        if let ChunkSignature::Canonical(signature) = &signature
            && self.key.verify(&self.string_to_sign, signature)
        {
            self.previous = signature.clone();
            return Ok(());
        }
        Err(PayloadError::SignatureMismatch(Box::new(ChunkExplanation {
            string_to_sign: String::from_utf8_lossy(&self.string_to_sign).into_owned(),
            signature_provided: signature.into_text(),
        })))
    }

    /// Signs the string to sign last written.
    fn sign(&mut self) -> [u8; 64] {
        self.previous = self.key.sign(&self.string_to_sign);
        self.previous.to_hex()
    }

    /// Writes the string to sign of what comes next.
    fn write(&mut self, link: Link, hash: &digest::Digest) {
        let out = &mut self.string_to_sign;
        out.clear();
        out.extend_from_slice(match link {
            Link::Chunk => b"AWS4-HMAC-SHA256-PAYLOAD",
            Link::Trailers => b"AWS4-HMAC-SHA256-TRAILER",
        });
        out.extend_from_slice(&self.context);
        out.extend_from_slice(&self.previous.to_hex());
        out.push(b'\n');
        match link {
            Link::Chunk => {
                out.extend_from_slice(EMPTY_SHA256);
                out.push(b'\n');
            }
            Link::Trailers => {}
        }
        let hash = hash.as_ref().try_into().expect("a SHA-256 digest has 32 bytes");
        out.extend_from_slice(&hex::encode_hash(hash));
    }
}

impl fmt::Debug for ChunkChain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ChunkChain({}, ***)", self.0.key.scope())
    }
}

/// The signature of a chunk or of the trailers as received.
pub(super) enum ChunkSignature {
    /// 64 lower-case hexadecimal digits: may be right.
    Canonical(Signature),
    /// Anything else: is wrong, and is kept only to be quoted in the answer.
    Other(Box<[u8]>),
}

impl ChunkSignature {
    /// `None` if there is nothing.
    pub(super) fn parse(text: &[u8]) -> Option<Self> {
        if text.is_empty() {
            return None;
        }
        Some(Signature::parse(text).map_or_else(|| Self::Other(text.into()), Self::Canonical))
    }

    fn into_text(self) -> String {
        match self {
            Self::Canonical(signature) => String::from_utf8_lossy(&signature.to_hex()).into_owned(),
            Self::Other(text) => String::from_utf8_lossy(&text).into_owned(),
        }
    }
}

/// The client's side of the chain: makes the signatures of chunks and trailers.
pub struct ChunkSigner(Chain);

impl ChunkSigner {
    /// A signer whose first signature follows `seed`, the signature of the request.
    pub fn new(key: &SigningKey, date: Timestamp, seed: Signature) -> Self {
        Self(*ChunkChain::new(key, date, seed).0)
    }

    /// The signature of the next chunk, in hexadecimal. The last chunk is the empty one.
    pub fn sign_chunk(&mut self, data: &[u8]) -> [u8; 64] {
        self.0.write(Link::Chunk, &digest::digest(&digest::SHA256, data));
        self.0.sign()
    }

    /// The signature of the trailers, in hexadecimal: `name:value` and LF for each, names in lower case and
    /// sorted. The signature of the empty chunk must have been made before.
    pub fn sign_trailers(&mut self, canonical: &[u8]) -> [u8; 64] {
        self.0.write(Link::Trailers, &digest::digest(&digest::SHA256, canonical));
        self.0.sign()
    }
}

impl fmt::Debug for ChunkSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ChunkSigner({}, ***)", self.0.key.scope())
    }
}
