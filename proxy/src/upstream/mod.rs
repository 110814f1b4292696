//! The way to the backend: which headers go, how they are signed, to which endpoint, over which connection.
//!
//! ```text
//! forward ─► choose an endpoint ─► take a place there ─► address and sign ─► idle connection, or a new one ─► Answer
//!    ▲          (balance, health)      (endpoint)       (headers, resign)        (pool, connect)
//!    └──────────────────────── once more, where that cannot write twice (retry) ──────┘
//! ```
//!
//! Endpoints, their load and their health are known to all workers; connections belong to the worker that opened
//! them.

mod address;
mod answer;
mod balance;
mod client;
mod connect;
mod endpoint;
mod fetch;
#[cfg(test)]
mod fixtures;
mod headers;
mod health;
mod identity;
mod metrics;
mod pool;
mod query;
mod refusal;
mod request_body;
mod resign;
mod retry;
mod tls;

pub use answer::{Answer, AnswerError};
pub use client::{Outbound, Upstream, UpstreamError, UpstreamOptionsError};
pub use fetch::{FetchError, Fetched, Fetcher};
pub use headers::strip_hop_by_hop;
pub use metrics::UpstreamMetrics;
pub use tls::{Authorities, ClientTlsError, client_tls};

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
