//! The grammar of the `Authorization` header, and the date headers that go with it.
//!
//! Source: <https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-auth-using-authorization-header.html>

use std::borrow::Cow;

use http::header::DATE;
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::algorithm::Algorithm;
use crate::credential::{Claim, Regions, Written};
use crate::endpoint::{Dialect, Endpoint};
use crate::error::{AuthorizationFault, ParseError, Received};
use crate::notable::{Name, NotableHeaders};
use crate::request::Mechanism;
use crate::signed_headers::{SignedHeaders, trim};
use crate::time::{Stamp, Timestamp};
use crate::{request, scan};

pub(crate) const X_AMZ_REGION_SET: HeaderName = HeaderName::from_static("x-amz-region-set");

/// Reads the first `Authorization` header, with the [`date`] that goes with it. There may be `others`.
pub(crate) fn parse<'a>(
    value: &'a [u8],
    others: bool,
    date: Option<DateText<'a>>,
    headers: &'a HeaderMap,
    endpoint: &Endpoint,
) -> Result<Claim<'a>, ParseError> {
    let dialect = endpoint.dialect;
    let value = trim(value);
    if dialect == Dialect::S3 && others {
        return Err(ParseError::SeveralAuthorizations { authorization: Received::new(value) });
    }
    let (algorithm, rest) = after_algorithm(value, endpoint)?;
    let components = match Components::usual(rest) {
        Some(components) => components,
        None => Components::split(value, rest, dialect)?,
    };
    let (Some(credential), Some(signed_headers), Some(signature)) =
        (components.credential, components.signed_headers, components.signature)
    else {
        return Err(components.missing(date.is_none() && dialect == Dialect::Generic).into());
    };
    if date.is_none() && dialect == Dialect::Generic {
        return Err(AuthorizationFault::Missing { components: Vec::new(), date: true }.into());
    }
    let Some(list) = SignedHeaders::parse(Cow::Borrowed(signed_headers)) else {
        let component = [&b"SignedHeaders="[..], signed_headers].concat();
        return Err(malformed(&component, value).into());
    };
    let regions = match algorithm {
        Algorithm::HmacSha256 => Regions::OfScope,
        Algorithm::EcdsaP256Sha256 => Regions::Set(region_set(headers, &list)?),
    };
    Ok(Claim {
        regions,
        credential: Written::Plain(credential),
        signed_headers: list,
        signature: Cow::Borrowed(signature),
        date,
        lifetime: None,
    })
}

/// The algorithm and what follows it.
fn after_algorithm<'a>(value: &'a [u8], endpoint: &Endpoint) -> Result<(Algorithm, &'a [u8]), ParseError> {
    let authorization = || Received::new(value);
    // As nearly all are: no search, no comparison of unknown length.
    if let Some(rest @ [b'A'..=b'Z', ..]) = value.strip_prefix(b"AWS4-HMAC-SHA256 ") {
        return Ok((Algorithm::HmacSha256, rest));
    }
    let (scheme, rest) = scan::cut(value, b' ').unwrap_or((value, b""));
    if endpoint.dialect == Dialect::S3 && (rest.is_empty() || rest.starts_with(b" ")) {
        return Err(ParseError::AuthorizationSpace { authorization: authorization() });
    }
    match Algorithm::parse(scheme) {
        Some(Algorithm::EcdsaP256Sha256) if !endpoint.sigv4a => {
            Err(ParseError::Asymmetric(Mechanism::Header))
        }
        Some(algorithm) => Ok((algorithm, rest)),
        None if scheme == b"AWS" => Err(ParseError::SignatureV2),
        None => Err(ParseError::UnsupportedScheme {
            authorization: authorization(),
            scheme: Received::new(scheme),
        }),
    }
}

/// The set of regions a SigV4a request is signed for. Unsigned, it would be anyone's to choose.
fn region_set<'a>(headers: &'a HeaderMap, signed: &SignedHeaders<'_>) -> Result<Cow<'a, [u8]>, ParseError> {
    let mut values = headers.get_all(X_AMZ_REGION_SET).iter().map(HeaderValue::as_bytes);
    let Some(first) = values.next() else {
        let components = vec!["X-Amz-Region-Set"];
        return Err(AuthorizationFault::Missing { components, date: false }.into());
    };
    if !signed.contains(X_AMZ_REGION_SET.as_str()) {
        return Err(ParseError::RegionSetNotSigned);
    }
    Ok(values.fold(Cow::Borrowed(first), |set, next| Cow::Owned([&set, next].join(&b","[..]))))
}

fn malformed(component: &[u8], authorization: &[u8]) -> AuthorizationFault {
    AuthorizationFault::Component {
        component: Received::new(component),
        authorization: Received::new(authorization),
    }
}

#[derive(Default)]
struct Components<'a> {
    credential: Option<&'a [u8]>,
    signed_headers: Option<&'a [u8]>,
    signature: Option<&'a [u8]>,
}

impl<'a> Components<'a> {
    /// The components as every SDK writes them, without a search for what else there might be. `None` says nothing.
    #[inline]
    fn usual(rest: &'a [u8]) -> Option<Self> {
        let (rest, signature) = rest.split_last_chunk::<64>()?;
        let rest = rest.strip_suffix(b"Signature=")?;
        let rest = rest.strip_suffix(b", ").or_else(|| rest.strip_suffix(b","))?;
        let (credential, rest) = scan::cut(rest.strip_prefix(b"Credential=")?, b',')?;
        let signed_headers = rest.strip_prefix(b" ").unwrap_or(rest).strip_prefix(b"SignedHeaders=")?;
        // Neither a separator nor white space, which come before the characters of names and digits.
        let is_one = |text: &[u8]| scan::all(text, |byte| byte > b',');
        let is_whole = is_one(signature) && is_one(signed_headers) && credential.last() > Some(&b' ');
        is_whole.then_some(Self {
            credential: Some(credential),
            signed_headers: Some(signed_headers),
            signature: Some(signature),
        })
    }

    /// Components come in any order, separated by `,` with or without spaces. The value begins at the
    /// first `=`. S3 wants three; elsewhere unknown ones are ignored and the last of a name counts.
    fn split(value: &[u8], rest: &'a [u8], dialect: Dialect) -> Result<Self, AuthorizationFault> {
        let (mut found, mut count, mut fault) = (Self::default(), 0, None);
        let ignored = |piece: &[u8]| piece.is_empty() && dialect == Dialect::Generic;
        for piece in scan::split(rest, b',').map(trim).filter(|piece| !ignored(piece)) {
            count += 1;
            if let Some(text) = piece.strip_prefix(b"Credential=") {
                found.credential = Some(text);
            } else if let Some(text) = piece.strip_prefix(b"SignedHeaders=") {
                found.signed_headers = Some(text);
            } else if let Some(text) = piece.strip_prefix(b"Signature=") {
                found.signature = Some(text);
            } else if !piece.contains(&b'=') {
                fault = fault.or_else(|| Some(malformed(piece, value)));
            }
        }
        match fault {
            _ if dialect == Dialect::S3 && count != 3 => Err(AuthorizationFault::ComponentCount),
            Some(fault) => Err(fault),
            None => Ok(found),
        }
    }

    fn missing(&self, date: bool) -> AuthorizationFault {
        let names = [
            ("Credential", self.credential.is_none()),
            ("Signature", self.signature.is_none()),
            ("SignedHeaders", self.signed_headers.is_none()),
        ];
        let components = names.into_iter().filter(|(_, missing)| *missing).map(|(name, _)| name).collect();
        AuthorizationFault::Missing { components, date }
    }
}

/// Where a request says when it was signed.
#[derive(Clone, Debug)]
pub(crate) enum DateText<'a> {
    AmzDate(Cow<'a, [u8]>),
    Date(Cow<'a, [u8]>),
    Parameter(Cow<'a, [u8]>),
}

/// The date header: `x-amz-date` before `date`. An empty one counts as absent.
///
/// Two of one name cannot be read: no telling which one was meant.
pub(crate) fn date<'a>(notable: &NotableHeaders<'a>, headers: &'a HeaderMap) -> Option<DateText<'a>> {
    let of = |name| {
        let found = notable.get(name);
        let first = found.first.map(trim).filter(|first| !first.is_empty())?;
        Some(if found.repeated { Cow::Owned(first_two(headers, name)) } else { Cow::Borrowed(first) })
    };
    of(Name::AmzDate).map(DateText::AmzDate).or_else(|| of(Name::Date).map(DateText::Date))
}

#[cold]
fn first_two(headers: &HeaderMap, name: Name) -> Vec<u8> {
    let name = if name == Name::Date { DATE } else { request::X_AMZ_DATE };
    let values = headers.get_all(name).iter().map(|value| trim(value.as_bytes()));
    values.take(2).collect::<Vec<_>>().join(&b","[..])
}

impl DateText<'_> {
    /// As received.
    pub(crate) fn received(&self) -> Received {
        match self {
            Self::AmzDate(text) | Self::Date(text) | Self::Parameter(text) => Received::new(text),
        }
    }

    /// The time, if the text is in a format allowed in its place.
    pub(crate) fn parse(&self, dialect: Dialect) -> Option<Stamp> {
        let (Self::AmzDate(text) | Self::Date(text) | Self::Parameter(text)) = self;
        Stamp::parse_basic(text).or_else(|| self.parse_other(dialect).map(Stamp::from))
    }

    /// The formats that few signers use. Outside S3 the extended ISO 8601 format is understood as well.
    #[cold]
    fn parse_other(&self, dialect: Dialect) -> Option<Timestamp> {
        let extended = |text: &[u8]| match dialect {
            Dialect::S3 => None,
            Dialect::Generic => Timestamp::parse_extended(text),
        };
        match self {
            Self::Parameter(_) => None,
            Self::AmzDate(text) => extended(text),
            Self::Date(text) => Timestamp::parse_http(text).or_else(|| extended(text)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn components_in_the_usual_form_are_what_taking_them_apart_gives() {
        let signature = "5".repeat(64);
        let mut usual = 0;
        for (before, after) in [
            ("Credential=a/b, SignedHeaders=host;x-amz-date, Signature=", ""),
            ("Credential=a/b,SignedHeaders=host,Signature=", ""),
            ("Credential=a/b, SignedHeaders=, Signature=", ""),
            ("Credential=, SignedHeaders=host, Signature=", ""),
            ("Credential= a/b, SignedHeaders=host, Signature=", ""),
            ("Credential=a/b , SignedHeaders=host, Signature=", ""),
            ("Credential=a/b,\tSignedHeaders=host,  Signature=", ""),
            ("Credential=a/b, SignedHeaders=ho st, Signature=", ""),
            ("Credential=a/b, SignedHeaders=host,date, Signature=", ""),
            ("Credential=a/b, SignedHeaders=host;, Signature=", "5"),
            ("Credential=a/b, SignedHeaders=host, Signature=", ","),
            ("Credential=a/b, SignedHeaders=host, Signature=5, Signature=", ""),
            ("SignedHeaders=host, Credential=a/b, Signature=", ""),
        ] {
            let text = format!("{before}{signature}{after}");
            let parts = |found: &Components<'_>| {
                [found.credential, found.signed_headers, found.signature].map(|part| part.map(<[u8]>::to_vec))
            };
            if let Some(found) = Components::usual(text.as_bytes()) {
                usual += 1;
                let apart = Components::split(b"", text.as_bytes(), Dialect::S3).map(|apart| parts(&apart));
                assert_eq!(apart.ok(), Some(parts(&found)), "{text}");
            }
        }
        assert_eq!(usual, 4);
    }
}
