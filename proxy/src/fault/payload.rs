//! The answers to a body that is not what its head states: codes, statuses, texts and elements as Amazon S3
//! gives them.
//!
//! Source: <https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html>

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::StatusCode;
use sigv4::{ChunkExplanation, PayloadError, hex};

use super::form::form_fault;
use super::{Fault, spelled};

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
        | PayloadError::TrailersTooLong => malformed_trailer(),
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
        PayloadError::Form(error) => form_fault(error),
        PayloadError::Sha256Mismatch { declared, computed } => bad_request(
            "XAmzContentSHA256Mismatch",
            "The provided 'x-amz-content-sha256' header does not match what was computed.",
        )
        .with("ClientComputedContentSHA256", declared)
        .with("S3ComputedContentSHA256", computed),
        // AWS writes the declared digest in hexadecimal and the computed one in base64.
        PayloadError::Md5Mismatch { declared, computed } => {
            bad_request("BadDigest", "The Content-MD5 you specified did not match what we received.")
                .with("ExpectedDigest", hex::encode(declared))
                .with("CalculatedDigest", STANDARD.encode(computed))
        }
        PayloadError::ChecksumMismatch(algorithm) => bad_request(
            "BadDigest",
            format!("The {} you specified did not match the calculated checksum.", algorithm.name()),
        ),
    }
}

pub(super) fn bad_request(code: &'static str, message: impl Into<Cow<'static, str>>) -> Fault {
    Fault::new(StatusCode::BAD_REQUEST, code, message)
}

pub(super) fn invalid_request(message: impl Into<Cow<'static, str>>) -> Fault {
    bad_request("InvalidRequest", message)
}

fn malformed_trailer() -> Fault {
    bad_request(
        "MalformedTrailerError",
        "The request contained trailing data that was not well-formed or did not conform to our published \
         schema.",
    )
}

pub(super) fn signature_mismatch(explanation: &ChunkExplanation, access_key_id: &str) -> Fault {
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
    .with("StringToSignBytes", spelled(string_to_sign))
}

#[cfg(test)]
mod tests {
    use sigv4::ChecksumAlgorithm::{Crc32, Crc64Nvme, Sha1};

    use super::*;

    type Row = (PayloadError, u16, &'static str, &'static str);

    fn assert_plain(table: impl IntoIterator<Item = Row>) {
        for (error, status, code, message) in table {
            let fault = payload_fault(&error, "AKIAIOSFODNN7EXAMPLE");
            assert_eq!((fault.status.as_u16(), fault.code, fault.message.as_ref()), (status, code, message));
            assert!(fault.elements.is_empty(), "{error:?}");
        }
    }

    #[test]
    fn errors_in_the_head_are_answered_in_the_words_of_s3() {
        assert_plain([
            (
                PayloadError::MissingContentLength,
                411,
                "MissingContentLength",
                "You must provide the Content-Length HTTP header.",
            ),
            (
                PayloadError::SeveralChecksums,
                400,
                "InvalidRequest",
                "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.",
            ),
            (
                PayloadError::HeaderAndTrailer,
                400,
                "InvalidRequest",
                "Expecting a single x-amz-checksum- header",
            ),
            (
                PayloadError::UnknownChecksumHeader,
                400,
                "InvalidRequest",
                "The algorithm type you specified in x-amz-checksum- header is invalid.",
            ),
            (
                PayloadError::InvalidChecksumHeader(Crc32),
                400,
                "InvalidRequest",
                "Value for x-amz-checksum-crc32 header is invalid.",
            ),
            (
                PayloadError::InvalidSdkAlgorithm,
                400,
                "InvalidRequest",
                "Value for x-amz-sdk-checksum-algorithm header is invalid.",
            ),
            (
                PayloadError::SdkAlgorithmAlone,
                400,
                "InvalidRequest",
                "x-amz-sdk-checksum-algorithm specified, but no corresponding x-amz-checksum-* or x-amz-trailer \
                 headers were found.",
            ),
            (
                PayloadError::UnsupportedTrailer,
                400,
                "InvalidRequest",
                "The value specified in the x-amz-trailer header is not supported",
            ),
            (
                PayloadError::InvalidTrailer(Crc64Nvme),
                400,
                "InvalidRequest",
                "Value for x-amz-checksum-crc64nvme trailing header is invalid.",
            ),
        ]);
    }

    #[test]
    fn errors_in_the_body_are_answered_in_the_words_of_s3() {
        let truncated = "The request body terminated unexpectedly";
        let trailers = "The request contained trailing data that was not well-formed or did not conform to our \
                        published schema.";
        assert_plain([
            (PayloadError::TrailerWithoutFraming, 400, "MalformedTrailerError", trailers),
            (PayloadError::MalformedTrailer, 400, "MalformedTrailerError", trailers),
            (PayloadError::UnannouncedTrailer, 400, "MalformedTrailerError", trailers),
            (PayloadError::MissingTrailer(Crc32), 400, "MalformedTrailerError", trailers),
            (PayloadError::TrailersTooLong, 400, "MalformedTrailerError", trailers),
            (PayloadError::Truncated, 400, "IncompleteBody", truncated),
            (PayloadError::MalformedChunkHeader, 400, "IncompleteBody", truncated),
            (PayloadError::ChunkHeaderTooLong, 400, "IncompleteBody", truncated),
            (PayloadError::MissingChunkSignature, 400, "IncompleteBody", truncated),
            (PayloadError::MissingChunkEnd, 400, "IncompleteBody", truncated),
            (PayloadError::MissingTrailerSignature, 400, "IncompleteBody", truncated),
            (PayloadError::MissingSignedTrailer, 400, "IncompleteBody", truncated),
            (
                PayloadError::ChecksumMismatch(Sha1),
                400,
                "BadDigest",
                "The SHA1 you specified did not match the calculated checksum.",
            ),
        ]);
    }

    #[test]
    fn errors_about_values_carry_the_elements_of_s3() {
        let explanation =
            ChunkExplanation { string_to_sign: "A\nB".into(), signature_provided: "bad".into() };
        let table = [
            (
                PayloadError::InvalidContentMd5 { value: "invalid".into() },
                (400, "InvalidDigest"),
                vec![("Content-MD5", "invalid")],
            ),
            (
                PayloadError::LengthMismatch { expected: 32, provided: 4 },
                (400, "IncompleteBody"),
                vec![("NumberBytesExpected", "32"), ("NumberBytesProvided", "4")],
            ),
            (
                PayloadError::ChunkTooSmall { next: 2, size: 1024 },
                (403, "InvalidChunkSizeError"),
                vec![("Chunk", "2"), ("BadChunkSize", "1024")],
            ),
            (
                PayloadError::SignatureMismatch(Box::new(explanation)),
                (403, "SignatureDoesNotMatch"),
                vec![
                    ("AWSAccessKeyId", "AKIAIOSFODNN7EXAMPLE"),
                    ("StringToSign", "A\nB"),
                    ("SignatureProvided", "bad"),
                    ("StringToSignBytes", "41 0a 42"),
                ],
            ),
            (
                PayloadError::Sha256Mismatch { declared: "AA".into(), computed: "bb".into() },
                (400, "XAmzContentSHA256Mismatch"),
                vec![("ClientComputedContentSHA256", "AA"), ("S3ComputedContentSHA256", "bb")],
            ),
            (
                PayloadError::Md5Mismatch { declared: [0xab; 16], computed: [0; 16] },
                (400, "BadDigest"),
                vec![
                    ("ExpectedDigest", "abababababababababababababababab"),
                    ("CalculatedDigest", "AAAAAAAAAAAAAAAAAAAAAA=="),
                ],
            ),
        ];
        for (error, (status, code), elements) in table {
            let fault = payload_fault(&error, "AKIAIOSFODNN7EXAMPLE");
            assert_eq!((fault.status.as_u16(), fault.code), (status, code));
            let found: Vec<_> = fault.elements.iter().map(|(name, value)| (*name, value.as_str())).collect();
            assert_eq!(found, elements);
        }
    }
}
