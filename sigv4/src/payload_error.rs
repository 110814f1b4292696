//! What can be wrong with a body or with what its head announces.
//!
//! One variant per failure that can be told apart, with the facts an answer needs. Codes, statuses and
//! texts belong to whoever answers.

use std::fmt;

use crate::ChecksumAlgorithm;
use crate::post_error::FormError;

/// Why a body, or the part of its head that describes it, is refused.
#[derive(Debug, thiserror::Error)]
pub enum PayloadError {
    /// The length header the framing needs is absent, repeated or no number: `Content-Length`, or
    /// `x-amz-decoded-content-length` for the chunked framings.
    #[error("the length of the body is not given")]
    MissingContentLength,
    /// `Content-MD5` is not the base64 form of 16 bytes.
    #[error("Content-MD5 is not the base64 form of 16 bytes")]
    InvalidContentMd5 {
        /// The value as received, lossy if it is not UTF-8.
        value: String,
    },
    /// Two or more `x-amz-checksum-*` headers, or two or more trailers announced.
    #[error("several checksums are given")]
    SeveralChecksums,
    /// A checksum in a header and another one announced as a trailer.
    #[error("a checksum is given in a header and in a trailer")]
    HeaderAndTrailer,
    /// An `x-amz-checksum-*` header of an algorithm that does not exist here.
    #[error("the algorithm of an x-amz-checksum- header is unknown")]
    UnknownChecksumHeader,
    /// The value of a checksum header is not base64 of the right length.
    #[error("the value of {} is invalid", .0.header_name())]
    InvalidChecksumHeader(ChecksumAlgorithm),
    /// `x-amz-sdk-checksum-algorithm` names no known algorithm, or another one than the checksum sent.
    #[error("the value of x-amz-sdk-checksum-algorithm is invalid")]
    InvalidSdkAlgorithm,
    /// `x-amz-sdk-checksum-algorithm` without any checksum.
    #[error("x-amz-sdk-checksum-algorithm is given without a checksum")]
    SdkAlgorithmAlone,
    /// `x-amz-trailer` announces something that is not a checksum.
    #[error("x-amz-trailer announces an unsupported trailer")]
    UnsupportedTrailer,
    /// `x-amz-trailer` on a framing that has no trailers.
    #[error("x-amz-trailer is given on a body without trailers")]
    TrailerWithoutFraming,

    /// The number of bytes received, or decoded, is not the one announced.
    #[error("{provided} bytes provided, {expected} announced")]
    LengthMismatch {
        /// Bytes announced by `Content-Length` or `x-amz-decoded-content-length`.
        expected: u64,
        /// Bytes provided. For a chunked body that would exceed the announced length, those before the
        /// offending chunk and the ones it declares.
        provided: u64,
    },
    /// The body ended inside the framing: in a header, in data, before the 0-chunk or in a trailer.
    #[error("the body ended inside its framing")]
    Truncated,
    /// The line in front of a chunk is not `size[;chunk-signature=…]`, or the size exceeds 64 bits.
    #[error("a chunk header is malformed")]
    MalformedChunkHeader,
    /// The line in front of a chunk has no end within the limit.
    #[error("a chunk header is too long")]
    ChunkHeaderTooLong,
    /// A chunk of a signed body carries no signature.
    #[error("a chunk carries no signature")]
    MissingChunkSignature,
    /// The data of a chunk is not followed by CRLF.
    #[error("the data of a chunk is not followed by CRLF")]
    MissingChunkEnd,
    /// A chunk of a signed body that is not the last is smaller than 8192 bytes.
    #[error("a chunk of {size} bytes is not the last one")]
    ChunkTooSmall {
        /// Position, counted from 1, of the chunk that followed the small one. This is what AWS reports.
        next: u64,
        /// Size of the small chunk.
        size: u64,
    },
    /// A chunk signature or the trailer signature is wrong.
    #[error("a chunk or trailer signature does not match")]
    SignatureMismatch(Box<ChunkExplanation>),

    /// A body whose trailers must be signed has no `x-amz-trailer-signature`.
    #[error("the trailer signature is missing")]
    MissingTrailerSignature,
    /// A body whose trailers must be signed has none.
    #[error("the signed trailer is missing")]
    MissingSignedTrailer,
    /// A trailer line is not `name:value`.
    #[error("a trailer is malformed")]
    MalformedTrailer,
    /// A trailer that `x-amz-trailer` does not announce.
    #[error("a trailer was not announced")]
    UnannouncedTrailer,
    /// The trailer that `x-amz-trailer` announces was not sent.
    #[error("the announced trailer {} is missing", .0.header_name())]
    MissingTrailer(ChecksumAlgorithm),
    /// What follows the 0-chunk exceeds the limit.
    #[error("the trailers are too long")]
    TrailersTooLong,
    /// The value of a trailing checksum is not base64 of the right length.
    #[error("the value of the trailer {} is invalid", .0.header_name())]
    InvalidTrailer(ChecksumAlgorithm),

    /// The body is not the form that was verified, or its file not one that the form allows.
    #[error(transparent)]
    Form(#[from] FormError),

    /// The SHA-256 of the body is not the one declared.
    #[error("the SHA-256 of the body is not the declared one")]
    Sha256Mismatch {
        /// The declared value as received, upper case kept.
        declared: String,
        /// The SHA-256 of the bytes received, in lower-case hexadecimal.
        computed: String,
    },
    /// The MD5 of the body is not the one in `Content-MD5`.
    #[error("the MD5 of the body is not the declared one")]
    Md5Mismatch {
        /// The declared digest.
        declared: [u8; 16],
        /// The digest of the decoded bytes received.
        computed: [u8; 16],
    },
    /// The checksum of the body is not the one in the header or trailer.
    #[error("the {} of the body is not the declared one", .0.name())]
    ChecksumMismatch(ChecksumAlgorithm),
}

/// What was signed where the signature of a chunk, a trailer or a form is wrong. It never holds the right signature.
pub struct ChunkExplanation {
    /// The string to sign of the chunk or of the trailers; of a form, its policy as received.
    pub string_to_sign: String,
    /// The signature as received, lossy if it is not UTF-8.
    pub signature_provided: String,
}

/// Prints nothing: the string to sign quotes the signature of the chunk before, which was right.
impl fmt::Debug for ChunkExplanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ChunkExplanation(***)")
    }
}
