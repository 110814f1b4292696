//! The chain of chunk signatures: each signs its chunk and the signature before it, so that no chunk can be
//! changed, dropped, moved or added without the key.

use std::fmt;

use ring::digest;

use crate::algorithm::{Algorithm, Key};
use crate::hex;
use crate::inline::Inline;
use crate::payload_error::{ChunkExplanation, PayloadError};
use crate::sigv4a::{self, VerifyingKey};
use crate::{Scope, Signature, SigningKey, Timestamp};

/// SHA-256 of nothing. Every chunk's string to sign has it where a request has its headers.
const EMPTY_SHA256: &[u8] = b"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// What the next signature signs beside its data: key, time, scope and the signature before it.
pub struct ChunkChain(Box<Chain>);

/// Boxed: a payload mode goes through many hands, and few bodies are chunked.
struct Chain {
    key: ChainKey,
    /// In hexadecimal, without padding.
    previous: SignatureText,
    /// `LF date LF scope LF`, the same in every string to sign.
    context: Box<[u8]>,
    /// The string to sign last written; kept so that a chunk costs no allocation.
    string_to_sign: Vec<u8>,
}

/// The key of the head's signature, which is that of all others.
enum ChainKey {
    Signing(SigningKey),
    Verifying(VerifyingKey),
}

impl ChainKey {
    fn borrow(&self) -> Key<'_> {
        match self {
            Self::Signing(key) => Key::Signing(key),
            Self::Verifying(key) => Key::Verifying(key),
        }
    }

    fn algorithm(&self) -> Algorithm {
        match self {
            Self::Signing(_) => Algorithm::HmacSha256,
            Self::Verifying(_) => Algorithm::EcdsaP256Sha256,
        }
    }
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
        Self::after(&seed.to_hex(), Key::Signing(key), date, &key.scope())
    }

    /// A chain that starts at the signature of a request with this date and scope, which `key` proved.
    pub(crate) fn after(seed: &[u8], key: Key<'_>, date: Timestamp, scope: &Scope<'_>) -> Self {
        let key = match key {
            Key::Signing(key) => ChainKey::Signing(key.clone()),
            Key::Verifying(key) => ChainKey::Verifying(key.clone()),
        };
        let mut context = Vec::with_capacity(64);
        context.push(b'\n');
        context.extend_from_slice(&date.basic());
        context.push(b'\n');
        scope.put(key.algorithm(), &mut context);
        context.push(b'\n');
        let previous = Inline::from_slice(seed);
        Self(Box::new(Chain { key, previous, context: context.into(), string_to_sign: Vec::new() }))
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
        let text = signature.0.as_slice();
        let text = match self.key {
            ChainKey::Signing(_) => Some(text),
            ChainKey::Verifying(_) => sigv4a::without_padding(text),
        };
        let claimed = text.and_then(|text| Some((text, self.key.borrow().read(text)?)));
        if let Some((text, claimed)) = claimed
            && claimed.holds(&self.string_to_sign)
        {
            self.previous = Inline::from_slice(text);
            return Ok(());
        }
        Err(PayloadError::SignatureMismatch(Box::new(ChunkExplanation {
            string_to_sign: String::from_utf8_lossy(&self.string_to_sign).into_owned(),
            signature_provided: String::from_utf8_lossy(signature.0.as_slice()).into_owned(),
        })))
    }

    /// Writes the string to sign of what comes next.
    fn write(&mut self, link: Link, hash: &digest::Digest) {
        let out = &mut self.string_to_sign;
        out.clear();
        out.extend_from_slice(self.key.algorithm().name().as_bytes());
        out.extend_from_slice(match link {
            Link::Chunk => b"-PAYLOAD",
            Link::Trailers => b"-TRAILER",
        });
        out.extend_from_slice(&self.context);
        out.extend_from_slice(self.previous.as_slice());
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
        write!(f, "ChunkChain({}, ***)", self.0.key.algorithm().name())
    }
}

/// Room for every signature that may be right; a longer text goes to the heap.
type SignatureText = Inline<u8, { sigv4a::PADDED_LENGTH }>;

/// The signature of a chunk or of the trailers as received. Whether it is one is the chain's to judge.
pub(super) struct ChunkSignature(SignatureText);

impl ChunkSignature {
    /// `None` if there is nothing.
    pub(super) fn new(text: &[u8]) -> Option<Self> {
        if text.is_empty() { None } else { Some(Self(Inline::from_slice(text))) }
    }
}

/// The client's side of the chain: makes the signatures of chunks and trailers.
pub struct ChunkSigner {
    chain: Chain,
    key: SigningKey,
}

impl ChunkSigner {
    /// A signer whose first signature follows `seed`, the signature of the request.
    pub fn new(key: &SigningKey, date: Timestamp, seed: Signature) -> Self {
        Self { chain: *ChunkChain::new(key, date, seed).0, key: key.clone() }
    }

    /// The signature of the next chunk, in hexadecimal. The last chunk is the empty one.
    pub fn sign_chunk(&mut self, data: &[u8]) -> [u8; 64] {
        self.sign(Link::Chunk, data)
    }

    /// The signature of the trailers, in hexadecimal: `name:value` and LF for each, names in lower case and
    /// sorted. The signature of the empty chunk must have been made before.
    pub fn sign_trailers(&mut self, canonical: &[u8]) -> [u8; 64] {
        self.sign(Link::Trailers, canonical)
    }

    fn sign(&mut self, link: Link, content: &[u8]) -> [u8; 64] {
        self.chain.write(link, &digest::digest(&digest::SHA256, content));
        let signature = self.key.sign(&self.chain.string_to_sign).to_hex();
        self.chain.previous = Inline::from_slice(&signature);
        signature
    }
}

impl fmt::Debug for ChunkSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ChunkSigner({}, ***)", self.key.scope())
    }
}
