//! The way to the backend: which headers go, how they are signed, over which connection.

mod client;
mod headers;
mod identity;
mod query;
mod resign;
mod tls;

pub use client::{Outbound, Upstream, UpstreamError, UpstreamOptionsError};
pub use headers::strip_hop_by_hop;
pub use tls::{Authorities, ClientTlsError, client_tls, is_this_machine};

use sigv4::ChecksumAlgorithm;

/// What the backend is told about the request body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// There is none.
    Empty,
    /// The content itself. With the hash the client declared, the backend can verify it again.
    Plain {
        /// In bytes.
        length: u64,
        /// SHA-256 the client declared.
        sha256: Option<[u8; 32]>,
    },
    /// Unsigned chunks with a trailing checksum.
    Trailing {
        /// Bytes of content.
        decoded: u64,
        /// Bytes with framing.
        encoded: u64,
        /// The checksum at the end.
        algorithm: ChecksumAlgorithm,
    },
    /// The body as the client sent it.
    Raw {
        /// In bytes; `None` if the client sent it in transfer chunks.
        length: Option<u64>,
    },
}

impl Content {
    /// Bytes of the body on the wire, if known.
    pub const fn length(&self) -> Option<u64> {
        match *self {
            Self::Empty => Some(0),
            Self::Plain { length, .. } => Some(length),
            Self::Trailing { encoded, .. } => Some(encoded),
            Self::Raw { length } => length,
        }
    }
}
