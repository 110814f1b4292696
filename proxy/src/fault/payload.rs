//! The answers to a body that is not what its head states: codes, statuses, texts and elements as Amazon S3
//! gives them.
//!
//! Source: <https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html>

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::StatusCode;
use sigv4::{ChunkExplanation, PayloadError};

use super::Fault;

/// The answer S3 gives to `error`, on a request signed with `access_key_id`.
pub fn payload_fault(error: &PayloadError, access_key_id: &str) -> Fault {
    match error {
        PayloadError::MissingContentLength => Fault::new(
            StatusCode::LENGTH_REQUIRED,
            "MissingContentLength",
            "You must provide the Content-Length HTTP header.",
        ),
        PayloadError::InvalidContentMd5 { value } => {
            bad_request("InvalidDigest", "The Content-MD5 you specified was invalid.")
                .with("Content-MD5", value)
        }
        PayloadError::SeveralChecksums => invalid_request(
            "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.",
        ),
        PayloadError::HeaderAndTrailer => invalid_request("Expecting a single x-amz-checksum- header"),
        PayloadError::UnknownChecksumHeader => {
            invalid_request("The algorithm type you specified in x-amz-checksum- header is invalid.")
        }
        PayloadError::InvalidChecksumHeader(algorithm) => {
            invalid_request(format!("Value for {} header is invalid.", algorithm.header_name()))
        }
        PayloadError::InvalidSdkAlgorithm => {
            invalid_request("Value for x-amz-sdk-checksum-algorithm header is invalid.")
        }
        PayloadError::SdkAlgorithmAlone => invalid_request(
            "x-amz-sdk-checksum-algorithm specified, but no corresponding x-amz-checksum-* or x-amz-trailer \
             headers were found.",
        ),
        PayloadError::UnsupportedTrailer => {
            invalid_request("The value specified in the x-amz-trailer header is not supported")
        }
        PayloadError::InvalidTrailer(algorithm) => {
            invalid_request(format!("Value for {} trailing header is invalid.", algorithm.header_name()))
        }
        PayloadError::TrailerWithoutFraming
        | PayloadError::MalformedTrailer
        | PayloadError::UnannouncedTrailer
        | PayloadError::MissingTrailer(_)
        | PayloadError::TrailersTooLong => bad_request(
            "MalformedTrailerError",
            "The request contained trailing data that was not well-formed or did not conform to our published \
             schema.",
        ),
        PayloadError::LengthMismatch { expected, provided } => bad_request(
            "IncompleteBody",
            "You did not provide the number of bytes specified by the Content-Length HTTP header",
        )
        .with("NumberBytesExpected", expected.to_string())
        .with("NumberBytesProvided", provided.to_string()),
        PayloadError::Truncated
        | PayloadError::MalformedChunkHeader
        | PayloadError::ChunkHeaderTooLong
        | PayloadError::MissingChunkSignature
        | PayloadError::MissingChunkEnd
        | PayloadError::MissingTrailerSignature
        | PayloadError::MissingSignedTrailer => {
            bad_request("IncompleteBody", "The request body terminated unexpectedly")
        }
        PayloadError::ChunkTooSmall { next, size } => Fault::new(
            StatusCode::FORBIDDEN,
            "InvalidChunkSizeError",
            "Only the last chunk is allowed to have a size less than 8192 bytes",
        )
        .with("Chunk", next.to_string())
        .with("BadChunkSize", size.to_string()),
        PayloadError::SignatureMismatch(explanation) => signature_mismatch(explanation, access_key_id),
        PayloadError::Sha256Mismatch { declared, computed } => bad_request(
            "XAmzContentSHA256Mismatch",
            "The provided 'x-amz-content-sha256' header does not match what was computed.",
        )
        .with("ClientComputedContentSHA256", declared)
        .with("S3ComputedContentSHA256", computed),
        // AWS writes the declared digest in hexadecimal and the computed one in base64.
        PayloadError::Md5Mismatch { declared, computed } => {
            bad_request("BadDigest", "The Content-MD5 you specified did not match what we received.")
                .with("ExpectedDigest", hex(declared, ""))
                .with("CalculatedDigest", STANDARD.encode(computed))
        }
        PayloadError::ChecksumMismatch(algorithm) => bad_request(
            "BadDigest",
            format!("The {} you specified did not match the calculated checksum.", algorithm.name()),
        ),
    }
}

fn bad_request(code: &'static str, message: impl Into<std::borrow::Cow<'static, str>>) -> Fault {
    Fault::new(StatusCode::BAD_REQUEST, code, message)
}

fn invalid_request(message: impl Into<std::borrow::Cow<'static, str>>) -> Fault {
    bad_request("InvalidRequest", message)
}

fn signature_mismatch(explanation: &ChunkExplanation, access_key_id: &str) -> Fault {
    let string_to_sign = &explanation.string_to_sign;
    Fault::new(
        StatusCode::FORBIDDEN,
        "SignatureDoesNotMatch",
        "The request signature we calculated does not match the signature you provided. Check your key and \
         signing method.",
    )
    .with("AWSAccessKeyId", access_key_id)
    .with("StringToSign", string_to_sign)
    .with("SignatureProvided", &explanation.signature_provided)
    .with("StringToSignBytes", hex(string_to_sign.as_bytes(), " "))
}

/// Two hexadecimal digits per byte, with `separator` between bytes.
fn hex(bytes: &[u8], separator: &str) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(separator)
}
