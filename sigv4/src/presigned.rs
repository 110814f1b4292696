//! The grammar of the `X-Amz-*` query parameters.
//!
//! Source: <https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html>

use crate::Dialect;
use crate::authorization::DateText;
use crate::canonical::{ALGORITHM, ASYMMETRIC_ALGORITHM};
use crate::credential::Claim;
use crate::endpoint::Endpoint;
use crate::error::{ParameterFault, ParseError};
use crate::request::Mechanism;
use crate::signed_headers::{SignedHeaders, Text};
use crate::uri::{self, Query};

pub(crate) const ALGORITHM_PARAMETER: &str = "X-Amz-Algorithm";
pub(crate) const CREDENTIAL: &str = "X-Amz-Credential";
pub(crate) const DATE: &str = "X-Amz-Date";
pub(crate) const EXPIRES: &str = "X-Amz-Expires";
pub(crate) const SECURITY_TOKEN: &str = "X-Amz-Security-Token";
pub(crate) const SIGNATURE: &str = "X-Amz-Signature";
pub(crate) const SIGNED_HEADERS: &str = "X-Amz-SignedHeaders";
const CONTENT_SHA256: &str = "X-Amz-Content-Sha256";

/// Seconds in a week: the longest a presigned request may be valid.
pub(crate) const MAX_LIFETIME: u32 = 604_800;

/// The parameters of a query that concern its signature, still encoded.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Parameters<'a> {
    algorithm: Option<&'a [u8]>,
    credential: Option<&'a [u8]>,
    date: Option<&'a [u8]>,
    expires: Option<&'a [u8]>,
    signed_headers: Option<&'a [u8]>,
    signature: Option<&'a [u8]>,
    /// A header hoisted into the query; signers keep the header's spelling.
    pub(crate) content_sha256: Option<&'a [u8]>,
    repeated: Option<&'static str>,
    v2_access_key_id: bool,
    v2_signature: bool,
}

impl<'a> Parameters<'a> {
    pub(crate) fn find(query: &Query<'a>) -> Self {
        let mut found = Self::default();
        for pair in query.sorted() {
            let (slot, name) = match &*pair.plain_name() {
                b"X-Amz-Algorithm" => (&mut found.algorithm, ALGORITHM_PARAMETER),
                b"X-Amz-Credential" => (&mut found.credential, CREDENTIAL),
                b"X-Amz-Date" => (&mut found.date, DATE),
                b"X-Amz-Expires" => (&mut found.expires, EXPIRES),
                b"X-Amz-SignedHeaders" => (&mut found.signed_headers, SIGNED_HEADERS),
                b"X-Amz-Signature" => (&mut found.signature, SIGNATURE),
                b"AWSAccessKeyId" => {
                    found.v2_access_key_id = true;
                    continue;
                }
                b"Signature" => {
                    found.v2_signature = true;
                    continue;
                }
                name if name.eq_ignore_ascii_case(CONTENT_SHA256.as_bytes()) => {
                    (&mut found.content_sha256, CONTENT_SHA256)
                }
                _ => continue,
            };
            if slot.is_none() {
                *slot = Some(pair.value);
            } else {
                found.repeated = Some(name);
            }
        }
        found
    }

    /// Whether the query is meant to be signed with Signature Version 4.
    pub(crate) fn is_v4(&self) -> bool {
        self.algorithm.or(self.credential).or(self.signature).is_some()
    }

    /// Whether the query is signed with Signature Version 2.
    pub(crate) fn is_v2(&self) -> bool {
        self.v2_access_key_id && self.v2_signature
    }

    /// Reads the parameters: presence, algorithm, lifetime, signed headers, in this order.
    pub(crate) fn claim(&self, endpoint: &Endpoint) -> Result<Claim<'a>, ParseError> {
        let s3 = endpoint.dialect == Dialect::S3;
        let (Some(algorithm), Some(credential), Some(date), Some(signed_headers), Some(signature)) =
            (self.algorithm, self.credential, self.date, self.signed_headers, self.signature)
        else {
            return Err(self.missing(s3).into());
        };
        if s3 && self.expires.is_none() {
            return Err(self.missing(s3).into());
        }
        if let Some(name) = self.repeated.filter(|_| s3) {
            return Err(ParameterFault::Repeated { name }.into());
        }
        let text = |value| uri::decode_query(value).map_err(ParseError::MalformedQuery);
        let algorithm = text(algorithm)?;
        if *algorithm == *ASYMMETRIC_ALGORITHM.as_bytes() {
            return Err(ParseError::Asymmetric(Mechanism::Query));
        }
        if *algorithm != *ALGORITHM.as_bytes() {
            return Err(ParameterFault::Algorithm.into());
        }
        let decoded =
            |value| uri::decode_inline(value).map(Text::Decoded).map_err(ParseError::MalformedQuery);
        Ok(Claim {
            lifetime: Some(self.lifetime(endpoint)?),
            credential: decoded(credential)?,
            signed_headers: SignedHeaders::parse(decoded(signed_headers)?)
                .ok_or(ParameterFault::SignedHeaders)?,
            signature: text(signature)?,
            date: Some(DateText::Parameter(text(date)?)),
        })
    }

    fn missing(&self, s3: bool) -> ParameterFault {
        let parameters = [
            (ALGORITHM_PARAMETER, self.algorithm),
            (CREDENTIAL, self.credential),
            (SIGNATURE, self.signature),
            (DATE, self.date),
            (SIGNED_HEADERS, self.signed_headers),
            (EXPIRES, self.expires),
        ];
        let missing =
            parameters.into_iter().filter(|(name, value)| value.is_none() && (s3 || *name != EXPIRES));
        ParameterFault::Missing { names: missing.map(|(name, _)| name).collect() }
    }

    /// Seconds from the date that the request is valid for.
    fn lifetime(&self, endpoint: &Endpoint) -> Result<u32, ParameterFault> {
        if let Some(fixed) = endpoint.presigned_lifetime {
            return Ok(fixed);
        }
        let Some(expires) = self.expires else { return Ok(DEFAULT_LIFETIME) };
        let text = uri::decode_query(expires).map_err(|_| ParameterFault::ExpiresNotANumber)?;
        let number: i64 = std::str::from_utf8(&text)
            .ok()
            .and_then(|text| text.parse().ok())
            .ok_or(ParameterFault::ExpiresNotANumber)?;
        if number < 0 {
            return Err(ParameterFault::ExpiresNegative);
        }
        let seconds = u32::try_from(number).map_err(|_| ParameterFault::ExpiresTooLong)?;
        if seconds > MAX_LIFETIME { Err(ParameterFault::ExpiresTooLong) } else { Ok(seconds) }
    }
}

/// Outside S3 `X-Amz-Expires` may be missing.
const DEFAULT_LIFETIME: u32 = 900;
