//! c
/// a
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChecksumAlgorithm {
    /// x
    Crc32,
    /// x
    Crc32c,
    /// x
    Crc64Nvme,
    /// x
    Sha1,
    /// x
    Sha256,
}
/// c
#[derive(Clone, Debug)]
pub struct Checksum {}
