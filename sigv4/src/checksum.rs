//! The five checksums S3 knows for objects: their names, their base64 form and their computation.
//!
//! Owns what is the same for a header, a trailer and a backend's framing. Where a checksum may stand and what
//! it must equal is decided by [`payload`](crate::payload).
//!
//! Source: <https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity.html>

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use crc_fast::CrcAlgorithm;
use ring::digest;

/// A checksum algorithm that can be verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ChecksumAlgorithm {
    /// CRC-32 as in Ethernet and gzip.
    Crc32,
    /// CRC-32 with Castagnoli's polynomial, as in iSCSI.
    Crc32c,
    /// CRC-64 as in the NVM Express specification.
    Crc64Nvme,
    /// SHA-1. Says that nothing was damaged, not that nobody meant to damage it.
    Sha1,
    /// SHA-256.
    Sha256,
}

impl ChecksumAlgorithm {
    /// Every algorithm.
    pub const ALL: [Self; 5] = [Self::Crc32, Self::Crc32c, Self::Crc64Nvme, Self::Sha1, Self::Sha256];

    /// The name of the header or trailer that carries the value, in lower case.
    pub const fn header_name(self) -> &'static str {
        match self {
            Self::Crc32 => "x-amz-checksum-crc32",
            Self::Crc32c => "x-amz-checksum-crc32c",
            Self::Crc64Nvme => "x-amz-checksum-crc64nvme",
            Self::Sha1 => "x-amz-checksum-sha1",
            Self::Sha256 => "x-amz-checksum-sha256",
        }
    }

    /// The name as `x-amz-sdk-checksum-algorithm` and error texts spell it, in upper case.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Crc32 => "CRC32",
            Self::Crc32c => "CRC32C",
            Self::Crc64Nvme => "CRC64NVME",
            Self::Sha1 => "SHA1",
            Self::Sha256 => "SHA256",
        }
    }

    /// The algorithm of a header or trailer name, in any case.
    pub fn from_header_name(name: &[u8]) -> Option<Self> {
        Self::ALL.into_iter().find(|a| name.eq_ignore_ascii_case(a.header_name().as_bytes()))
    }

    /// The algorithm of a value of `x-amz-sdk-checksum-algorithm`, in any case.
    pub fn from_name(name: &[u8]) -> Option<Self> {
        Self::ALL.into_iter().find(|a| name.eq_ignore_ascii_case(a.name().as_bytes()))
    }

    /// Bytes of a value.
    pub const fn length(self) -> usize {
        match self {
            Self::Crc32 | Self::Crc32c => 4,
            Self::Crc64Nvme => 8,
            Self::Sha1 => 20,
            Self::Sha256 => 32,
        }
    }

    /// Characters of a value in base64, padding included.
    pub const fn base64_len(self) -> usize {
        self.length().div_ceil(3) * 4
    }
}

/// A checksum: an algorithm and a value of its length.
#[derive(Clone, PartialEq, Eq)]
pub struct Checksum {
    algorithm: ChecksumAlgorithm,
    /// The value, then zeros.
    bytes: [u8; 32],
}

impl Checksum {
    /// The checksum of `data`.
    pub fn of(algorithm: ChecksumAlgorithm, data: &[u8]) -> Self {
        let mut hasher = Hasher::new(algorithm);
        hasher.update(data);
        hasher.finish()
    }

    /// Decodes the base64 form; `None` unless it is canonical, padded and of the algorithm's length.
    pub fn parse(algorithm: ChecksumAlgorithm, base64: &[u8]) -> Option<Self> {
        if base64.len() != algorithm.base64_len() {
            return None;
        }
        // 44 characters, the most there can be, decode to at most 33 bytes.
        let mut decoded = [0; 33];
        let length = STANDARD.decode_slice(base64, &mut decoded).ok()?;
        (length == algorithm.length()).then(|| Self::new(algorithm, &decoded[..length]))
    }

    fn new(algorithm: ChecksumAlgorithm, value: &[u8]) -> Self {
        let mut bytes = [0; 32];
        bytes[..value.len()].copy_from_slice(value);
        Self { algorithm, bytes }
    }

    /// The algorithm.
    pub fn algorithm(&self) -> ChecksumAlgorithm {
        self.algorithm
    }

    /// The value; a CRC is big-endian.
    pub fn value(&self) -> &[u8] {
        &self.bytes[..self.algorithm.length()]
    }

    /// The value in base64, as it stands in headers and trailers.
    pub fn base64(&self) -> String {
        STANDARD.encode(self.value())
    }
}

impl fmt::Debug for Checksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.algorithm.header_name(), self.base64())
    }
}

/// A checksum in the making.
#[derive(Clone)]
pub(crate) struct Hasher {
    algorithm: ChecksumAlgorithm,
    state: HasherState,
}

#[derive(Clone)]
enum HasherState {
    Crc(crc_fast::Digest),
    Sha(digest::Context),
}

impl Hasher {
    pub(crate) fn new(algorithm: ChecksumAlgorithm) -> Self {
        let crc = |algorithm| HasherState::Crc(crc_fast::Digest::new(algorithm));
        let state = match algorithm {
            ChecksumAlgorithm::Crc32 => crc(CrcAlgorithm::Crc32IsoHdlc),
            ChecksumAlgorithm::Crc32c => crc(CrcAlgorithm::Crc32Iscsi),
            ChecksumAlgorithm::Crc64Nvme => crc(CrcAlgorithm::Crc64Nvme),
            ChecksumAlgorithm::Sha1 => {
                HasherState::Sha(digest::Context::new(&digest::SHA1_FOR_LEGACY_USE_ONLY))
            }
            ChecksumAlgorithm::Sha256 => HasherState::Sha(digest::Context::new(&digest::SHA256)),
        };
        Self { algorithm, state }
    }

    pub(crate) fn algorithm(&self) -> ChecksumAlgorithm {
        self.algorithm
    }

    pub(crate) fn update(&mut self, data: &[u8]) {
        match &mut self.state {
            HasherState::Crc(digest) => digest.update(data),
            HasherState::Sha(context) => context.update(data),
        }
    }

    pub(crate) fn finish(self) -> Checksum {
        match self.state {
            // The library gives every CRC as 64 bits; a CRC-32 fills the lower half.
            HasherState::Crc(digest) => {
                let value = digest.finalize().to_be_bytes();
                Checksum::new(self.algorithm, &value[value.len() - self.algorithm.length()..])
            }
            HasherState::Sha(context) => Checksum::new(self.algorithm, context.finish().as_ref()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Check values of "123456789": the CRC catalogue of G. Cook for the CRCs, FIPS 180 implementations for SHA.
    const CHECKS: [(ChecksumAlgorithm, &str); 5] = [
        (ChecksumAlgorithm::Crc32, "cbf43926"),
        (ChecksumAlgorithm::Crc32c, "e3069283"),
        (ChecksumAlgorithm::Crc64Nvme, "ae8b14860a799888"),
        (ChecksumAlgorithm::Sha1, "f7c3bc1d808e04732adf679965ccc34ca7ae3441"),
        (ChecksumAlgorithm::Sha256, "15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225"),
    ];

    #[test]
    fn each_algorithm_gives_its_published_check_value_whatever_the_split() {
        for (algorithm, expected) in CHECKS {
            for at in 0..=9 {
                let mut hasher = Hasher::new(algorithm);
                hasher.update(&b"123456789"[..at]);
                hasher.update(&b"123456789"[at..]);
                let hex: String = hasher.finish().value().iter().map(|b| format!("{b:02x}")).collect();
                assert_eq!(hex, expected, "{} split at {at}", algorithm.name());
            }
        }
    }

    #[test]
    fn a_value_survives_the_round_trip_through_base64() {
        for algorithm in ChecksumAlgorithm::ALL {
            let checksum = Checksum::of(algorithm, b"data");
            let base64 = checksum.base64();
            assert_eq!(base64.len(), algorithm.base64_len());
            assert_eq!(Checksum::parse(algorithm, base64.as_bytes()), Some(checksum));
        }
    }

    #[test]
    fn names_are_read_in_any_case() {
        for algorithm in ChecksumAlgorithm::ALL {
            for name in [algorithm.header_name().to_owned(), algorithm.header_name().to_uppercase()] {
                assert_eq!(ChecksumAlgorithm::from_header_name(name.as_bytes()), Some(algorithm));
            }
            for name in [algorithm.name().to_owned(), algorithm.name().to_lowercase()] {
                assert_eq!(ChecksumAlgorithm::from_name(name.as_bytes()), Some(algorithm));
            }
        }
        assert_eq!(ChecksumAlgorithm::from_header_name(b"x-amz-checksum-md5"), None);
        assert_eq!(ChecksumAlgorithm::from_name(b""), None);
    }

    #[test]
    fn refuses_what_is_not_a_value() {
        let bad: [&[u8]; 8] = [
            b"",
            b"bad",
            b"not-base-64",
            b"AAAAAA=",
            b"AAAAAA==\n",
            b"AAAAAAAA", // six bytes
            b"AAAAAB==", // a bit beyond the fourth byte
            b"\xff\xff\xff\xff\xff\xff==",
        ];
        for text in bad {
            assert_eq!(Checksum::parse(ChecksumAlgorithm::Crc32, text), None, "{text:?}");
        }
        assert_eq!(Checksum::parse(ChecksumAlgorithm::Sha256, &[b'A'; 44]), None, "33 bytes");
    }
}
