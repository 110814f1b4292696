//! A request as far as its body is concerned, and one way to verify it: the whole wire or in pieces.

use std::collections::VecDeque;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use sigv4::{
    ChunkChain, ChunkSigner, Date, Head, PayloadError, PayloadHead, PayloadMode, PayloadVerifier, Proof,
    Scope, SecretAccessKey, Signature, SigningKey, Timestamp,
};

/// The key of the S3 documentation's examples, for their date, region and service.
pub(crate) fn signing_key() -> SigningKey {
    let secret = SecretAccessKey::new("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY");
    let scope = Scope { date: Date::parse(b"20130524").expect("a day"), region: "us-east-1", service: "s3" };
    SigningKey::derive(&secret, &scope)
}

pub(crate) fn date() -> Timestamp {
    Timestamp::parse_basic(b"20130524T000000Z").expect("a time")
}

/// Some signature for a chain to start at.
pub(crate) fn seed() -> Signature {
    Signature::parse(&[b'5'; 64]).expect("hexadecimal")
}

pub(crate) fn signer() -> ChunkSigner {
    ChunkSigner::new(&signing_key(), date(), seed())
}

/// The chunked forms by the word in `x-amz-content-sha256`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    Unsigned,
    Signed,
    SignedTrailer,
}

impl Form {
    pub(crate) fn mode(self) -> PayloadMode {
        self.mode_from(seed())
    }

    pub(crate) fn mode_from(self, seed: Signature) -> PayloadMode {
        let chain = ChunkChain::new(&signing_key(), date(), seed);
        match self {
            Self::Unsigned => PayloadMode::UnsignedChunks,
            Self::Signed => PayloadMode::SignedChunks { chain, trailer: false },
            Self::SignedTrailer => PayloadMode::SignedChunks { chain, trailer: true },
        }
    }
}

/// Method, query and headers of a request.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) method: &'static str,
    pub(crate) query: Option<&'static str>,
    headers: HeaderMap,
}

impl Request {
    pub(crate) fn new(method: &'static str) -> Self {
        Self { method, query: None, headers: HeaderMap::new() }
    }

    /// A chunked upload of `decoded_length` bytes.
    pub(crate) fn chunked(decoded_length: u64) -> Self {
        Self::new("PUT").with("x-amz-decoded-content-length", &decoded_length.to_string())
    }

    pub(crate) fn with(mut self, name: &'static str, value: &str) -> Self {
        self.headers
            .append(HeaderName::from_static(name), HeaderValue::from_str(value).expect("a header value"));
        self
    }

    pub(crate) fn parse(&self, mode: &PayloadMode) -> Result<PayloadHead, PayloadError> {
        let head = Head {
            method: self.method,
            path: b"/bucket/key",
            query: self.query.map(str::as_bytes),
            headers: &self.headers,
            authority: None,
        };
        PayloadHead::parse(&head, mode)
    }

    /// The decoded bytes, whatever became of them, and the verdict.
    pub(crate) fn verify(&self, mode: PayloadMode, wire: &[u8]) -> (Vec<u8>, Result<Proof, PayloadError>) {
        self.verify_pieces(mode, [wire])
    }

    /// The same for a wire that arrives in `pieces`.
    pub(crate) fn verify_pieces<'a>(
        &self,
        mode: PayloadMode,
        pieces: impl IntoIterator<Item = &'a [u8]>,
    ) -> (Vec<u8>, Result<Proof, PayloadError>) {
        let mut out = VecDeque::new();
        let verdict = self.parse(&mode).and_then(|head| {
            let mut verifier = PayloadVerifier::new(mode, head);
            for piece in pieces {
                verifier.push(Bytes::copy_from_slice(piece), &mut out)?;
            }
            verifier.finish()
        });
        (Vec::from(out).concat(), verdict)
    }
}

/// `ok`, or the name of the error's variant.
pub(crate) fn verdict<T>(result: &Result<T, PayloadError>) -> String {
    match result {
        Ok(_) => "ok".to_owned(),
        Err(error) => {
            let text = format!("{error:?}");
            text.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default().to_owned()
        }
    }
}
