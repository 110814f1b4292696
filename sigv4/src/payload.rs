//! p
use crate::{Checksum, ChecksumAlgorithm, Signature, SigningKey, Timestamp};
use bytes::Bytes;
use http::HeaderMap;
use std::collections::VecDeque;
/// What must be proved about a body.
#[derive(Debug)]
pub enum PayloadMode {
    /// `UNSIGNED-PAYLOAD`, or a presigned request that declares no hash.
    Unsigned,
    /// The SHA-256 of the whole body.
    Sha256([u8; 32]),
    /// `STREAMING-AWS4-HMAC-SHA256-PAYLOAD` and `-TRAILER`.
    SignedChunks {
        /// What chunk signatures chain on.
        chain: ChunkChain,
        /// Whether a signed trailer must follow.
        trailer: bool,
    },
    /// `STREAMING-UNSIGNED-PAYLOAD-TRAILER`.
    UnsignedChunks,
    /// Generic dialect: the body was hashed before the signature was checked.
    Verified,
}
/// What chunk signatures chain on.
pub struct ChunkChain {
    _key: SigningKey,
    _date: Timestamp,
    _previous: Signature,
}
impl ChunkChain {
    pub(crate) fn new(key: &SigningKey, date: Timestamp, seed: Signature) -> Self {
        Self { _key: key.clone(), _date: date, _previous: seed }
    }
}
impl std::fmt::Debug for ChunkChain {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ChunkChain(***)")
    }
}
/// h
#[derive(Debug)]
pub struct PayloadHead {}
impl PayloadHead {
    /// x
    pub fn parse(_method: &str, _headers: &HeaderMap, _mode: &PayloadMode) -> Result<Self, PayloadError> {
        todo!()
    }
}
/// v
#[derive(Debug)]
pub struct PayloadVerifier {}
impl PayloadVerifier {
    /// x
    pub fn new(_mode: PayloadMode, _head: PayloadHead) -> Self {
        todo!()
    }
    /// x
    pub fn push(&mut self, _wire: Bytes, _out: &mut VecDeque<Bytes>) -> Result<(), PayloadError> {
        todo!()
    }
    /// x
    pub fn finish(self) -> Result<Proof, PayloadError> {
        todo!()
    }
    /// x
    pub fn decoded_length(&self) -> Option<u64> {
        todo!()
    }
    /// x
    pub fn trailer_algorithm(&self) -> Option<ChecksumAlgorithm> {
        todo!()
    }
    /// x
    pub fn is_chunked(&self) -> bool {
        todo!()
    }
}
/// p
#[must_use]
#[derive(Debug)]
pub struct Proof {
    /// t
    pub trailer: Option<Checksum>,
}
/// e
#[derive(Debug, thiserror::Error)]
pub enum PayloadError {
    /// x
    #[error("x")]
    X,
}
