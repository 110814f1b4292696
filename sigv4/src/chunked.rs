//! c
use crate::{Checksum, ChecksumAlgorithm};
use bytes::Bytes;
use std::collections::VecDeque;
/// c
pub struct ChunkEncoder {}
/// c
pub struct ChunkSigner {}
/// r
#[derive(Debug)]
pub struct Reframer {}
impl Reframer {
    /// x
    pub fn new(_decoded_length: u64, _algorithm: ChecksumAlgorithm) -> Self {
        todo!()
    }
    /// x
    pub fn content_length(&self) -> u64 {
        todo!()
    }
    /// x
    pub fn push(&mut self, _data: Bytes, _out: &mut VecDeque<Bytes>) {
        todo!()
    }
    /// x
    pub fn finish(self, _checksum: &Checksum, _out: &mut VecDeque<Bytes>) {
        todo!()
    }
}
