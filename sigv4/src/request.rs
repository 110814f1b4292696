//! The front door: a request head as received becomes a [`SignedRequest`].
//!
//! Parsing needs no key and derives none. Whatever can be refused before a credential is looked up is
//! refused here, so that a hostile scope buys neither a look-up nor a key derivation. What remains, the
//! signature itself, is in `verify`.

use std::borrow::Cow;
use std::fmt;

use http::{HeaderMap, HeaderName, Version};

use crate::algorithm::Algorithm;
use crate::authorization::{self, DateText};
use crate::credential::{Claim, Credential};
use crate::endpoint::{Dialect, Endpoint};
use crate::error::{ParameterFault, ParseError, Received};
use crate::notable::{Name, NotableHeaders};
use crate::presigned::{Hoisted, Parameters};
use crate::scope::Scope;
use crate::signed_headers::SignedHeaders;
use crate::time::{Stamp, Timestamp};
use crate::uri::{Path, Query};

pub(crate) const X_AMZ_DATE: HeaderName = HeaderName::from_static("x-amz-date");
pub(crate) const X_AMZ_SECURITY_TOKEN: HeaderName = HeaderName::from_static("x-amz-security-token");

/// How far a request's date may be from now, in seconds, either way.
const MAX_SKEW: u32 = 900;

/// A request head as received. Bytes: what was signed is lost once a path has been through a URL type.
#[derive(Clone, Copy, Debug)]
pub struct Head<'a> {
    /// Method, as received.
    pub method: &'a str,
    /// Raw path of the target; never empty.
    pub path: &'a [u8],
    /// What follows the first `?`.
    pub query: Option<&'a [u8]>,
    /// The headers.
    pub headers: &'a HeaderMap,
    /// `:authority` of an HTTP/2 or HTTP/3 request. It stands in for a missing `Host`.
    pub authority: Option<&'a str>,
}

impl<'a> Head<'a> {
    /// The head of an [`http::Request`], of whatever target form. An empty path becomes `/`.
    ///
    /// The authority of an HTTP/1.1 target in absolute form is left out: there, clients sign `Host`.
    pub fn from_parts(parts: &'a http::request::Parts) -> Self {
        let path = parts.uri.path().as_bytes();
        Self {
            method: parts.method.as_str(),
            path: if path.is_empty() { b"/" } else { path },
            query: parts.uri.query().map(str::as_bytes),
            headers: &parts.headers,
            authority: match parts.version {
                Version::HTTP_2 | Version::HTTP_3 => parts.uri.authority().map(http::uri::Authority::as_str),
                _ => None,
            },
        }
    }

    /// `Host` and `:authority` must name one host between them.
    fn has_one_host(&self, notable: &NotableHeaders<'_>) -> bool {
        let host = notable.get(Name::Host);
        let agree =
            host.first.zip(self.authority).is_none_or(|(host, authority)| host == authority.as_bytes());
        !host.repeated && agree
    }
}

/// How a request is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mechanism {
    /// With an `Authorization` header.
    Header,
    /// With query parameters: presigned.
    Query,
    /// With the fields of a form. See [`SignedForm`](crate::SignedForm).
    Form,
}

/// The session token a request presents, in header or query.
pub enum Presented<'a> {
    /// None at all.
    None,
    /// One, which may be empty. The same token twice is one token.
    One(Cow<'a, [u8]>),
    /// Several that differ: none of them can be trusted to be the signer's.
    Several,
}

impl fmt::Debug for Presented<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "None",
            Self::One(_) => "One(***)",
            Self::Several => "Several",
        })
    }
}

/// A request that claims to be signed by an access key id for this endpoint, now. Nothing is proved yet:
/// look the credential up, check its session, then [`verify`](Self::verify).
#[must_use]
pub struct SignedRequest<'a> {
    pub(crate) head: Head<'a>,
    pub(crate) endpoint: &'a Endpoint,
    pub(crate) path: Path<'a>,
    pub(crate) query: Query<'a>,
    pub(crate) notable: NotableHeaders<'a>,
    pub(crate) mechanism: Mechanism,
    pub(crate) signed_headers: SignedHeaders<'a>,
    pub(crate) signature: Cow<'a, [u8]>,
    pub(crate) date: Stamp,
    pub(crate) hoisted: Hoisted<'a>,
    credential: Credential<'a>,
}

impl<'a> SignedRequest<'a> {
    /// Finds the signature and checks all that can be checked without its key.
    ///
    /// The order is AWS's. S3: escapes, mechanism, syntax, scope, date format, skew or expiry. Generic:
    /// escapes, mechanism, syntax, host signed, date format, skew or expiry, scope.
    pub fn parse(head: Head<'a>, endpoint: &'a Endpoint, now: Timestamp) -> Result<Self, ParseError> {
        let path = Path::read(head.path)
            .map_err(|fault| ParseError::MalformedPath { path: Received::new(head.path), fault })?;
        let mut parameters = Parameters::default();
        let query = parameters.read(head.query).map_err(ParseError::MalformedQuery)?;
        let notable = NotableHeaders::find(head.headers);
        let authorization = notable.get(Name::Authorization);
        let mechanism = mechanism(authorization.first, &parameters)?;
        let claim = match authorization.first {
            Some(first) => {
                let date = authorization::date(&notable, head.headers);
                authorization::parse(first, authorization.repeated, date, head.headers, endpoint)?
            }
            None => parameters.claim(endpoint)?,
        };
        if !head.has_one_host(&notable) {
            return Err(ParseError::ConflictingHosts);
        }
        let Claim { regions, credential, signed_headers, signature, date, lifetime } = claim;
        let stamp = date.as_ref().and_then(|text| text.parse(endpoint.dialect));
        let no_date = || no_date(date.as_ref(), mechanism);
        let expected = stamp.and_then(|stamp| Credential::expected(credential, &regions, endpoint, &stamp));
        let credential =
            |date| expected.map_or_else(|| Credential::parse(credential, &regions, endpoint, date), Ok);
        let fault = |faults| ParseError::Credential { mechanism, faults };
        let (credential, date) = match endpoint.dialect {
            Dialect::S3 => {
                let credential = credential(None).map_err(fault)?;
                let date = stamp.ok_or_else(no_date)?;
                credential.check_date(&date).map_err(fault)?;
                check_window(date.time(), lifetime, now)?;
                (credential, date)
            }
            Dialect::Generic => {
                if !signed_headers.contains("host") {
                    return Err(ParseError::HostNotSigned);
                }
                let date = stamp.ok_or_else(no_date)?;
                check_window(date.time(), lifetime, now)?;
                (credential(Some(&date)).map_err(fault)?, date)
            }
        };
        Ok(Self {
            head,
            endpoint,
            path,
            query,
            notable,
            mechanism,
            signed_headers,
            signature,
            date,
            hoisted: parameters.hoisted,
            credential,
        })
    }

    /// Under which to look the credential up: 1 to 128 printable ASCII characters. Not proved yet.
    pub fn access_key_id(&self) -> &str {
        self.credential.access_key_id()
    }

    /// The algorithm, which says what key to [`verify`](Self::verify) with. SigV4a comes only where the endpoint
    /// [offers](Endpoint::sigv4a) it.
    pub fn algorithm(&self) -> Algorithm {
        self.credential.algorithm()
    }

    /// What the request is signed for, and what a [`SigningKey`](crate::SigningKey) must be derived for. Region and
    /// service are the endpoint's, the day is that of the request's own date. In SigV4a the region is one in the
    /// request's set.
    pub fn scope(&self) -> Scope<'a> {
        self.credential.scope()
    }

    /// How the request is signed.
    pub fn mechanism(&self) -> Mechanism {
        self.mechanism
    }

    /// When the request says it was signed; within the allowed window.
    pub fn date(&self) -> Timestamp {
        self.date.time()
    }

    /// The session token, from header and query alike. Compare it with the credential's in constant time.
    ///
    /// Only a token that is percent-encoded in a query is copied.
    pub fn session_token(&self) -> Presented<'_> {
        let header = self.notable.get(Name::SecurityToken);
        let parameter = self.hoisted.security_token.and_then(|value| value.decode().ok());
        let differ = self.hoisted.tokens_differ || header.repeated && self.header_tokens_differ();
        match (header.first.map(Cow::Borrowed), parameter) {
            (None, None) => Presented::None,
            (Some(header), Some(parameter)) if differ || header != parameter => Presented::Several,
            (Some(_), _) | (_, Some(_)) if differ => Presented::Several,
            (Some(token), _) | (_, Some(token)) => Presented::One(token),
        }
    }

    #[cold]
    fn header_tokens_differ(&self) -> bool {
        let mut values = self.head.headers.get_all(X_AMZ_SECURITY_TOKEN).iter();
        let first = values.next();
        values.any(|other| Some(other) != first)
    }
}

/// Finds the one mechanism by which the request is signed.
fn mechanism(authorization: Option<&[u8]>, parameters: &Parameters<'_>) -> Result<Mechanism, ParseError> {
    match (authorization, parameters.is_v4(), parameters.is_v2()) {
        (None, false, false) => Err(ParseError::Anonymous),
        (Some(_), false, false) => Ok(Mechanism::Header),
        (None, true, false) => Ok(Mechanism::Query),
        (None, false, true) => Err(ParseError::SignatureV2),
        (authorization, _, _) => {
            Err(ParseError::SeveralMechanisms { authorization: authorization.map(Received::new) })
        }
    }
}

/// There is no date, or it cannot be read.
#[cold]
fn no_date(text: Option<&DateText<'_>>, mechanism: Mechanism) -> ParseError {
    match (mechanism, text) {
        (Mechanism::Query, Some(text)) => ParameterFault::Date { date: text.received() }.into(),
        (_, text) => ParseError::Date { date: text.map(DateText::received) },
    }
}

/// With a header, the date is within fifteen minutes of now. A presigned request may be as old as its
/// lifetime allows, the last second included, but not be dated further ahead than that.
///
/// The day in the scope is compared with the request's own date and never with today's: what was signed a
/// second before midnight stays valid.
fn check_window(date: Timestamp, lifetime: Option<u32>, now: Timestamp) -> Result<(), ParseError> {
    let (age, limit) = (now.unix() - date.unix(), MAX_SKEW);
    match lifetime {
        None if age.unsigned_abs() > u64::from(limit) => Err(ParseError::Skewed { date, now, limit }),
        None => Ok(()),
        Some(lifetime) if age < -i64::from(limit) => {
            Err(ParseError::NotYetValid { date, lifetime, now, limit })
        }
        Some(lifetime) if lifetime == 0 || age > i64::from(lifetime) => {
            Err(ParseError::Expired { date, lifetime, now })
        }
        Some(_) => Ok(()),
    }
}
