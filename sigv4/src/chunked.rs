//! `aws-chunked`: data in chunks of announced size, each of which may be signed, then trailers.
//!
//! ```text
//! body    = *chunk last trailers [CRLF [ignored]]
//! chunk   = size [";chunk-signature=" 64HEXDIG] CRLF data CRLF
//! last    = "0"  [";chunk-signature=" 64HEXDIG] CRLF
//! trailers = *(name ":" value CRLF) ["x-amz-trailer-signature:" 64HEXDIG CRLF]
//! ```
//!
//! In SigV4a a signature is the hexadecimal of DER, filled up with `*` to 144 characters: the length of a body must
//! be known before it is signed.
//!
//! `chain` owns the signatures, `decode` the verifying side, `trailers` what follows the last chunk, `encode`
//! the sending side. None of them does I/O and none of them ever holds the data of a chunk.
//!
//! Sources: <https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming.html>,
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming-trailers.html>

mod chain;
mod decode;
mod encode;
mod trailers;

pub use chain::{ChunkChain, ChunkSigner};
pub(crate) use decode::{ChunkDecoder, Form};
pub use encode::{ChunkEncoder, Reframer};

/// Name of the parameter that carries the signature of a chunk.
const CHUNK_SIGNATURE: &str = "chunk-signature";
/// Name of the trailer that carries the signature of all others.
const TRAILER_SIGNATURE: &str = "x-amz-trailer-signature";
/// Ends every line and the data of every chunk.
const CRLF: &[u8] = b"\r\n";
