//! The grammar of the `X-Amz-*` query parameters.
//!
//! Source: <https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html>

use crate::Dialect;
use crate::algorithm::Algorithm;
use crate::authorization::DateText;
use crate::credential::{Claim, Regions, Written};
use crate::endpoint::Endpoint;
use crate::error::{ParameterFault, ParseError};
use crate::request::Mechanism;
use crate::signed_headers::SignedHeaders;
use crate::uri::{Encoded, MalformedEscape, Pair, Query};

pub(crate) const ALGORITHM_PARAMETER: &str = "X-Amz-Algorithm";
pub(crate) const CREDENTIAL: &str = "X-Amz-Credential";
pub(crate) const DATE: &str = "X-Amz-Date";
pub(crate) const EXPIRES: &str = "X-Amz-Expires";
pub(crate) const REGION_SET: &str = "X-Amz-Region-Set";
pub(crate) const SECURITY_TOKEN: &str = "X-Amz-Security-Token";
pub(crate) const SIGNATURE: &str = "X-Amz-Signature";
pub(crate) const SIGNED_HEADERS: &str = "X-Amz-SignedHeaders";
const CONTENT_SHA256: &str = "X-Amz-Content-Sha256";

/// Seconds in a week: the longest a presigned request may be valid.
pub(crate) const MAX_LIFETIME: u32 = 604_800;

/// The parameters of a query that concern its signature, still encoded.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Parameters<'a> {
    algorithm: Option<Encoded<'a>>,
    credential: Option<Encoded<'a>>,
    date: Option<Encoded<'a>>,
    expires: Option<Encoded<'a>>,
    region_set: Option<Encoded<'a>>,
    signed_headers: Option<Encoded<'a>>,
    signature: Option<Encoded<'a>>,
    pub(crate) hoisted: Hoisted<'a>,
    repeated: Option<&'static str>,
    v2_access_key_id: bool,
    v2_signature: bool,
}

/// Parameters that stand for headers.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Hoisted<'a> {
    /// `X-Amz-Content-Sha256`; signers keep the header's spelling.
    pub(crate) content_sha256: Option<Encoded<'a>>,
    /// The first `X-Amz-Security-Token`.
    pub(crate) security_token: Option<Encoded<'a>>,
    /// Whether there are several tokens that are not the same.
    pub(crate) tokens_differ: bool,
}

impl<'a> Hoisted<'a> {
    fn take_token(&mut self, value: Encoded<'a>) {
        let first = *self.security_token.get_or_insert(value);
        self.tokens_differ |=
            first.as_wire() != value.as_wire() && first.decode().ok() != value.decode().ok();
    }
}

impl<'a> Parameters<'a> {
    /// Reads a query and finds the parameters on the way.
    pub(crate) fn read(&mut self, wire: Option<&'a [u8]>) -> Result<Query<'a>, MalformedEscape> {
        let Some((whole, (rest, signature))) = wire.and_then(|wire| Some((wire, cut_signature(wire)?)))
        else {
            return Query::read(wire, |pair| self.take(pair));
        };
        let query = Query::read(Some(rest), |pair| self.take(pair)).map_err(|fault| fault.in_whole(whole))?;
        match self.signature {
            None => self.signature = Some(signature),
            Some(_) => self.repeated = Some(SIGNATURE),
        }
        Ok(query)
    }

    /// Takes note of `pair`. Says whether the canonical query has it: it has all but the signature.
    #[inline]
    fn take(&mut self, pair: &Pair<'a>) -> bool {
        match pair.normal_name() {
            Some(name) => self.take_named(name, pair.value()),
            None => self.take_named(&pair.plain_name(), pair.value()),
        }
    }

    #[inline]
    fn take_named(&mut self, name: &[u8], value: Encoded<'a>) -> bool {
        let Some(rest) = name.strip_prefix(b"X-Amz-") else {
            self.take_other(name, value);
            return true;
        };
        // The length comes first: it tells nearly all apart.
        let (slot, known) = match rest.len() {
            4 if rest == b"Date" => (&mut self.date, DATE),
            7 if rest == b"Expires" => (&mut self.expires, EXPIRES),
            9 if rest == b"Algorithm" => (&mut self.algorithm, ALGORITHM_PARAMETER),
            9 if rest == b"Signature" => (&mut self.signature, SIGNATURE),
            10 if rest == b"Credential" => (&mut self.credential, CREDENTIAL),
            10 if rest == b"Region-Set" => (&mut self.region_set, REGION_SET),
            13 if rest == b"SignedHeaders" => (&mut self.signed_headers, SIGNED_HEADERS),
            14 if rest == b"Security-Token" => {
                self.hoisted.take_token(value);
                return true;
            }
            _ => {
                self.take_other(name, value);
                return true;
            }
        };
        if slot.is_some() {
            self.repeated = Some(known);
        } else {
            *slot = Some(value);
        }
        known.len() != SIGNATURE.len() || known != SIGNATURE
    }

    fn take_other(&mut self, name: &[u8], value: Encoded<'a>) {
        match name {
            b"AWSAccessKeyId" => self.v2_access_key_id = true,
            b"Signature" => self.v2_signature = true,
            name if name.eq_ignore_ascii_case(CONTENT_SHA256.as_bytes()) => match self.hoisted.content_sha256
            {
                None => self.hoisted.content_sha256 = Some(value),
                Some(_) => self.repeated = Some(CONTENT_SHA256),
            },
            _ => {}
        }
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
        let text = |value: Encoded<'a>| value.decode().map_err(ParseError::MalformedQuery);
        let regions = match (Algorithm::parse(&text(algorithm)?), self.region_set) {
            (None, _) => return Err(ParameterFault::Algorithm.into()),
            (Some(Algorithm::HmacSha256), _) => Regions::OfScope,
            (Some(Algorithm::EcdsaP256Sha256), _) if !endpoint.sigv4a => {
                return Err(ParseError::Asymmetric(Mechanism::Query));
            }
            (Some(Algorithm::EcdsaP256Sha256), None) => {
                return Err(ParameterFault::Missing { names: vec![REGION_SET] }.into());
            }
            (Some(Algorithm::EcdsaP256Sha256), Some(set)) => Regions::Set(text(set)?),
        };
        Ok(Claim {
            regions,
            lifetime: Some(self.lifetime(endpoint)?),
            credential: Written::Encoded(credential.as_wire()),
            signed_headers: SignedHeaders::parse_encoded(signed_headers)
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
        if let Some(seconds) = expires.plain().and_then(seconds) {
            return Ok(seconds);
        }
        let text = expires.decode().map_err(|_| ParameterFault::ExpiresNotANumber)?;
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

/// The signature at the end of a query, where nearly every presigner writes it, and what is before: a quarter of what
/// would be read otherwise.
fn cut_signature(wire: &[u8]) -> Option<(&[u8], Encoded<'_>)> {
    let (rest, signature) = wire.split_last_chunk::<64>()?;
    let rest = rest.strip_suffix(b"&X-Amz-Signature=")?;
    Some((rest, Encoded::undivided(signature)?))
}

/// A lifetime as every signer writes it: a few digits, and not too many seconds.
fn seconds(digits: &[u8]) -> Option<u32> {
    if digits.is_empty() || digits.len() > 6 {
        return None;
    }
    let add = |number, digit: &u8| digit.is_ascii_digit().then(|| number * 10 + u32::from(digit - b'0'));
    digits.iter().try_fold(0, add).filter(|seconds| *seconds <= MAX_LIFETIME)
}

/// Outside S3 `X-Amz-Expires` may be missing.
const DEFAULT_LIFETIME: u32 = 900;
