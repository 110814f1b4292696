//! What a head states about its body beside the payload mode: lengths, `Content-MD5`, checksums, trailers.
//!
//! Read once, before the first byte of the body, so that a body that cannot be right is never asked for.

use http::{HeaderMap, HeaderName, HeaderValue, header};

use super::{PayloadMode, parse_md5};
use crate::payload_error::PayloadError;
use crate::{Checksum, ChecksumAlgorithm, Head};

const CONTENT_MD5: HeaderName = HeaderName::from_static("content-md5");
const CONTENT_SHA256: HeaderName = HeaderName::from_static("x-amz-content-sha256");
const DECODED_CONTENT_LENGTH: HeaderName = HeaderName::from_static("x-amz-decoded-content-length");
const TRAILER: HeaderName = HeaderName::from_static("x-amz-trailer");
const SDK_ALGORITHM: HeaderName = HeaderName::from_static("x-amz-sdk-checksum-algorithm");

/// What the names of checksum headers start with.
const CHECKSUM_PREFIX: &str = "x-amz-checksum-";
/// Headers of that prefix that carry no checksum.
const NO_CHECKSUM: [&str; 3] = ["x-amz-checksum-algorithm", "x-amz-checksum-mode", "x-amz-checksum-type"];

/// What the head states about the body; consistent in itself.
#[derive(Debug)]
pub struct PayloadHead {
    /// GET or HEAD.
    pub(super) reads: bool,
    pub(super) content_length: Option<u64>,
    pub(super) decoded_length: Option<u64>,
    pub(super) declared_sha256: Option<HeaderValue>,
    pub(super) content_md5: Option<[u8; 16]>,
    pub(super) checksum: Option<Checksum>,
    pub(super) trailer: Option<ChecksumAlgorithm>,
}

/// The framings as far as the head is concerned.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shape {
    Plain,
    Chunked { trailers: bool },
    Form,
}

impl PayloadHead {
    /// Reads a head whose payload mode is known, that is, whose signature was verified.
    ///
    /// Errors are those of [`PayloadError`] that concern headers. Of a form, the head is that of the `PUT` which its
    /// fields stand for: `Content-Length` is the length of the file, if anybody has been promised one.
    pub fn parse(head: &Head<'_>, mode: &PayloadMode) -> Result<Self, PayloadError> {
        let shape = match mode {
            PayloadMode::Unsigned | PayloadMode::Sha256(_) => Shape::Plain,
            PayloadMode::SignedChunks { trailer, .. } => Shape::Chunked { trailers: *trailer },
            PayloadMode::UnsignedChunks => Shape::Chunked { trailers: true },
            PayloadMode::Form(_) => Shape::Form,
            PayloadMode::Verified => return Ok(Self::verified(head)),
        };
        let headers = head.headers;
        let (content_length, decoded_length) = lengths(head, shape)?;
        let content_md5 = content_md5(headers)?;
        let (checksum, trailer) = checksums(head)?;
        if trailer.is_some() && !matches!(shape, Shape::Chunked { trailers: true }) {
            return Err(PayloadError::TrailerWithoutFraming);
        }
        Ok(Self {
            reads: reads(head),
            content_length,
            decoded_length,
            declared_sha256: headers.get(CONTENT_SHA256).cloned(),
            content_md5,
            checksum,
            trailer,
        })
    }

    /// Whether the body is protected against damage on the way by `Content-MD5` or a checksum, in a header or in a
    /// trailer.
    pub fn is_checked(&self) -> bool {
        self.content_md5.is_some() || self.checksum.is_some() || self.trailer.is_some()
    }

    /// The whole body is known already: nothing is left to be stated about it.
    fn verified(head: &Head<'_>) -> Self {
        Self {
            reads: reads(head),
            content_length: None,
            decoded_length: None,
            declared_sha256: None,
            content_md5: None,
            checksum: None,
            trailer: None,
        }
    }
}

fn reads(head: &Head<'_>) -> bool {
    matches!(head.method, "GET" | "HEAD")
}

/// `Content-Length` and `x-amz-decoded-content-length`. Like AWS, an upload needs the first if it is not
/// chunked and the second if it is; what cannot be read is answered like what is not there.
fn lengths(head: &Head<'_>, shape: Shape) -> Result<(Option<u64>, Option<u64>), PayloadError> {
    let content_length = length(head.headers, &header::CONTENT_LENGTH)?;
    match shape {
        Shape::Plain if content_length.is_none() && head.method == "PUT" => {
            Err(PayloadError::MissingContentLength)
        }
        Shape::Plain | Shape::Form => Ok((content_length, None)),
        Shape::Chunked { .. } => {
            let decoded = length(head.headers, &DECODED_CONTENT_LENGTH)?;
            Ok((content_length, Some(decoded.ok_or(PayloadError::MissingContentLength)?)))
        }
    }
}

fn length(headers: &HeaderMap, name: &HeaderName) -> Result<Option<u64>, PayloadError> {
    match single(headers, name) {
        Single::None => Ok(None),
        Single::One(value) => decimal(value).map(Some).ok_or(PayloadError::MissingContentLength),
        Single::Several => Err(PayloadError::MissingContentLength),
    }
}

/// Decimal digits and nothing else, at most 64 bits.
fn decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_u64, |number, digit| {
        let digit = char::from(*digit).to_digit(10)?;
        number.checked_mul(10)?.checked_add(u64::from(digit))
    })
}

fn content_md5(headers: &HeaderMap) -> Result<Option<[u8; 16]>, PayloadError> {
    let Some(value) = headers.get(CONTENT_MD5).map(HeaderValue::as_bytes) else {
        return Ok(None);
    };
    let md5 = match single(headers, &CONTENT_MD5) {
        Single::One(value) => parse_md5(value),
        Single::None | Single::Several => None,
    };
    let invalid = || PayloadError::InvalidContentMd5 { value: String::from_utf8_lossy(value).into_owned() };
    md5.map(Some).ok_or_else(invalid)
}

/// The checksum in a header or the one announced as a trailer, never both.
fn checksums(head: &Head<'_>) -> Result<(Option<Checksum>, Option<ChecksumAlgorithm>), PayloadError> {
    let trailer = announced_trailer(head.headers)?;
    if completes_multipart_upload(head) {
        return Ok((None, trailer));
    }
    let header = checksum_header(head.headers)?;
    if header.is_some() && trailer.is_some() {
        return Err(PayloadError::HeaderAndTrailer);
    }
    sdk_algorithm(head.headers, header.map(|(algorithm, _)| algorithm).or(trailer))?;
    let checksum = match header {
        None => None,
        Some((algorithm, value)) => {
            let checksum = Checksum::parse(algorithm, value);
            Some(checksum.ok_or(PayloadError::InvalidChecksumHeader(algorithm))?)
        }
    };
    Ok((checksum, trailer))
}

/// CompleteMultipartUpload carries the checksum of the finished object, not of its body, which is a list of
/// parts. Source: <https://docs.aws.amazon.com/AmazonS3/latest/API/API_CompleteMultipartUpload.html>
fn completes_multipart_upload(head: &Head<'_>) -> bool {
    let has_upload_id = |query: &[u8]| query.split(|&b| b == b'&').any(|p| p.starts_with(b"uploadId="));
    head.method == "POST" && head.query.is_some_and(has_upload_id)
}

fn checksum_header(headers: &HeaderMap) -> Result<Option<(ChecksumAlgorithm, &[u8])>, PayloadError> {
    let mut found = headers
        .iter()
        .filter(|(name, _)| name.as_str().starts_with(CHECKSUM_PREFIX))
        .filter(|(name, _)| !NO_CHECKSUM.contains(&name.as_str()));
    let Some((name, value)) = found.next() else {
        return Ok(None);
    };
    if found.next().is_some() {
        return Err(PayloadError::SeveralChecksums);
    }
    let algorithm = ChecksumAlgorithm::from_header_name(name.as_str().as_bytes())
        .ok_or(PayloadError::UnknownChecksumHeader)?;
    Ok(Some((algorithm, value.as_bytes())))
}

/// `x-amz-trailer`: names separated by commas. Commas at the end are overlooked, as AWS does; an empty name
/// anywhere else is none that is supported.
fn announced_trailer(headers: &HeaderMap) -> Result<Option<ChecksumAlgorithm>, PayloadError> {
    if !headers.contains_key(TRAILER) {
        return Ok(None);
    }
    let values: Vec<&[u8]> = headers.get_all(TRAILER).iter().map(HeaderValue::as_bytes).collect();
    let mut list = values.join(&b","[..]);
    if !list.is_empty() {
        let end = list.iter().rposition(|&b| b != b',').map_or(0, |last| last + 1);
        list.truncate(end);
        if list.is_empty() {
            return Ok(None);
        }
    }
    let mut announced = None;
    for name in list.split(|&b| b == b',') {
        let algorithm =
            ChecksumAlgorithm::from_header_name(name.trim_ascii()).ok_or(PayloadError::UnsupportedTrailer)?;
        if announced.replace(algorithm).is_some() {
            return Err(PayloadError::SeveralChecksums);
        }
    }
    Ok(announced)
}

/// `x-amz-sdk-checksum-algorithm` must name the algorithm of the checksum that is given.
fn sdk_algorithm(headers: &HeaderMap, given: Option<ChecksumAlgorithm>) -> Result<(), PayloadError> {
    let named = match single(headers, &SDK_ALGORITHM) {
        Single::None => return Ok(()),
        Single::One(name) => ChecksumAlgorithm::from_name(name),
        Single::Several => None,
    };
    match (named, given) {
        (Some(named), Some(given)) if named == given => Ok(()),
        (Some(_), None) => Err(PayloadError::SdkAlgorithmAlone),
        (Some(_), Some(_)) | (None, _) => Err(PayloadError::InvalidSdkAlgorithm),
    }
}

/// How often a header is there that may be there once.
enum Single<'a> {
    None,
    One(&'a [u8]),
    Several,
}

fn single<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Single<'a> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (None, _) => Single::None,
        (Some(value), None) => Single::One(value.as_bytes()),
        (Some(_), Some(_)) => Single::Several,
    }
}
