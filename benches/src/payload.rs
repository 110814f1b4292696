//! Bodies in every framing, and the hashing or the checksum that nobody can avoid for them.

use std::collections::VecDeque;
use std::hint::black_box;

use bytes::Bytes;
use crc_fast::CrcAlgorithm;
use http::HeaderMap;
use ring::{digest, hmac};
use sigv4::{
    ChecksumAlgorithm, ChunkChain, ChunkEncoder, ChunkSigner, Head, PayloadHead, PayloadMode,
    PayloadVerifier, Scope, SecretAccessKey, Signature, SigningKey, Timestamp,
};

use crate::head::{REGION, SECRET_ACCESS_KEY, some_time};

/// How a body is framed and proved.
#[derive(Clone, Copy, Debug)]
pub enum Framing {
    /// The body as it is, with its SHA-256.
    Whole,
    /// `STREAMING-AWS4-HMAC-SHA256-PAYLOAD`, in chunks of so many bytes.
    Signed(usize),
    /// `STREAMING-UNSIGNED-PAYLOAD-TRAILER`, in chunks of 64 KiB.
    Unsigned(ChecksumAlgorithm),
}

/// Bytes of each read from the wire. No multiple of a chunk with its framing: most chunks straddle two reads.
const READ: usize = 64 * 1024;
/// Bytes of a body.
pub const SIZE: usize = 4 * 1024 * 1024;
/// Bytes of the string to sign of a chunk.
const STRING_TO_SIGN: usize = 277;

/// A body on the wire and everything needed to verify it.
pub struct Body {
    framing: Framing,
    data: Bytes,
    wire: Vec<Bytes>,
    headers: HeaderMap,
    key: SigningKey,
}

impl Body {
    /// A body of `size` bytes.
    pub fn new(framing: Framing, size: usize) -> Self {
        let data = pattern(size);
        let scope = Scope { date: date().date(), region: REGION, service: "s3" };
        let key = SigningKey::derive(&SecretAccessKey::new(SECRET_ACCESS_KEY), &scope);
        let mut headers = HeaderMap::new();
        let encoder = match framing {
            Framing::Whole => None,
            Framing::Signed(_) => Some(ChunkEncoder::signed(ChunkSigner::new(&key, date(), seed()))),
            Framing::Unsigned(algorithm) => {
                headers.insert("x-amz-trailer", header(algorithm.header_name()));
                Some(ChunkEncoder::unsigned().with_trailer(algorithm))
            }
        };
        let wire = match encoder {
            None => {
                headers.insert("content-length", header(&size.to_string()));
                data.clone()
            }
            Some(mut encoder) => {
                headers.insert("x-amz-decoded-content-length", header(&size.to_string()));
                let mut out = VecDeque::new();
                for chunk in data.chunks(framing.chunk()) {
                    encoder.push(data.slice_ref(chunk), &mut out);
                }
                encoder.finish(&mut out);
                out.into_iter().collect::<Vec<_>>().concat().into()
            }
        };
        // As from a socket, where several reads share a buffer. The first clone is what makes one shared.
        let read = |bytes: &[u8]| {
            let read = Bytes::copy_from_slice(bytes);
            drop(read.clone());
            read
        };
        Self { framing, wire: wire.chunks(READ).map(read).collect(), data, headers, key }
    }

    /// Verifies the body read by read, as a gateway does that forwards each at once.
    pub fn verify(&self) {
        let chain = || ChunkChain::new(&self.key, date(), seed());
        let mode = match self.framing {
            Framing::Whole => PayloadMode::Sha256(sha256(&self.data)),
            Framing::Signed(_) => PayloadMode::SignedChunks { chain: chain(), trailer: false },
            Framing::Unsigned(_) => PayloadMode::UnsignedChunks,
        };
        self.verify_as(mode);
    }

    /// As [`verify`](Self::verify), with what is known beforehand left out: the hash of the whole is the head's.
    fn verify_as(&self, mode: PayloadMode) {
        let head = Head { method: "PUT", path: b"/", query: None, headers: &self.headers, authority: None };
        let facts = PayloadHead::parse(&head, &mode).expect("the head is sound");
        let mut verifier = PayloadVerifier::new(mode, facts);
        let mut out = VecDeque::with_capacity(32);
        for read in &self.wire {
            verifier.push(read.clone(), &mut out).expect("the body is sound");
            black_box(&mut out).clear();
        }
        let _proof = verifier.finish().expect("the body is proved");
    }

    /// A closure that verifies the body and nothing more.
    pub fn verifier(&self) -> impl Fn() {
        let hash = sha256(&self.data);
        move || match self.framing {
            Framing::Whole => self.verify_as(PayloadMode::Sha256(hash)),
            Framing::Signed(_) | Framing::Unsigned(_) => self.verify(),
        }
    }

    /// SHA-256 or checksum of the data alone, in reads.
    pub fn hash_data(&self) {
        let reads = self.data.chunks(READ);
        match self.framing {
            Framing::Whole | Framing::Signed(_) => hash(&digest::SHA256, reads),
            Framing::Unsigned(algorithm) => match algorithm {
                ChecksumAlgorithm::Crc32 => crc(CrcAlgorithm::Crc32IsoHdlc, reads),
                ChecksumAlgorithm::Crc32c => crc(CrcAlgorithm::Crc32Iscsi, reads),
                ChecksumAlgorithm::Crc64Nvme => crc(CrcAlgorithm::Crc64Nvme, reads),
                ChecksumAlgorithm::Sha1 => hash(&digest::SHA1_FOR_LEGACY_USE_ONLY, reads),
                ChecksumAlgorithm::Sha256 => hash(&digest::SHA256, reads),
            },
        }
    }

    /// What nobody can avoid: [`hash_data`](Self::hash_data) or, if chunks are signed, the hash of each and the HMAC of
    /// its string to sign, with a key that is ready.
    pub fn bound(&self) {
        let Framing::Signed(chunk) = self.framing else { return self.hash_data() };
        let key = hmac::Key::new(hmac::HMAC_SHA256, &[7; 32]);
        for chunk in self.data.chunks(chunk) {
            black_box(digest::digest(&digest::SHA256, chunk));
            black_box(hmac::sign(&key, &[0; STRING_TO_SIGN]));
        }
    }
}

impl Framing {
    fn chunk(self) -> usize {
        match self {
            Self::Whole | Self::Unsigned(_) => 64 * 1024,
            Self::Signed(chunk) => chunk,
        }
    }

    /// All that are measured, with the share of the bound's throughput that is demanded.
    pub fn all() -> Vec<(String, Self, f64)> {
        let mut all = vec![
            ("whole body, SHA-256".to_owned(), Self::Whole, 0.97),
            ("signed chunks of 64 KiB".to_owned(), Self::Signed(64 * 1024), 0.97),
            ("signed chunks of 8 KiB".to_owned(), Self::Signed(8 * 1024), 0.97),
        ];
        for algorithm in ChecksumAlgorithm::ALL {
            all.push((
                format!("unsigned chunks, {} trailer", algorithm.name()),
                Self::Unsigned(algorithm),
                0.9,
            ));
        }
        all
    }
}

/// The same `size` bytes every time, without short periods.
pub fn pattern(size: usize) -> Bytes {
    (0..size).map(|at| (at * 31 + at / 251) as u8).collect()
}

fn hash<'d>(algorithm: &'static digest::Algorithm, reads: impl Iterator<Item = &'d [u8]>) {
    let mut context = digest::Context::new(algorithm);
    reads.for_each(|read| context.update(read));
    black_box(context.finish());
}

fn crc<'d>(algorithm: CrcAlgorithm, reads: impl Iterator<Item = &'d [u8]>) {
    let mut digest = crc_fast::Digest::new(algorithm);
    reads.for_each(|read| digest.update(read));
    black_box(digest.finalize());
}

fn sha256(data: &[u8]) -> [u8; 32] {
    digest::digest(&digest::SHA256, data).as_ref().try_into().expect("SHA-256 has 32 bytes")
}

fn date() -> Timestamp {
    some_time()
}

/// Some signature for a chain to start at.
fn seed() -> Signature {
    Signature::parse(&[b'5'; 64]).expect("hexadecimal")
}

fn header(value: &str) -> http::HeaderValue {
    value.parse().expect("the value is legal")
}
