//! What a request claims, whichever way it is signed, and the credential with its scope.

use std::borrow::Cow;

use crate::algorithm::Algorithm;
use crate::authorization::DateText;
use crate::endpoint::Endpoint;
use crate::error::{CredentialFault, Received};
use crate::scan::{self, rcut};
use crate::scope::{Date, Scope, TERMINATOR};
use crate::signed_headers::SignedHeaders;
use crate::sigv4a;
use crate::time::Stamp;
use crate::uri;

/// The parts of a signature, from the header or from the query, decoded and not yet judged.
pub(crate) struct Claim<'a> {
    pub(crate) regions: Regions<'a>,
    pub(crate) credential: Written<'a>,
    pub(crate) signed_headers: SignedHeaders<'a>,
    /// Whatever the client sent: that it is no signature is a mismatch, not an error of syntax.
    pub(crate) signature: Cow<'a, [u8]>,
    pub(crate) date: Option<DateText<'a>>,
    /// Seconds a presigned request is valid for; `None` with an `Authorization` header.
    pub(crate) lifetime: Option<u32>,
}

/// How a request says which regions it is signed for. That depends on the algorithm and on nothing else.
pub(crate) enum Regions<'a> {
    /// SigV4: the credential's scope names one.
    OfScope,
    /// SigV4a: a signed list beside the credential, whose scope names none.
    Set(Cow<'a, [u8]>),
}

/// A credential where it stands.
#[derive(Clone, Copy)]
pub(crate) enum Written<'a> {
    Plain(&'a [u8]),
    Encoded(&'a [u8]),
}

impl<'a> Written<'a> {
    fn decode(self) -> Cow<'a, [u8]> {
        match self {
            Self::Plain(text) => Cow::Borrowed(text),
            Self::Encoded(text) => uri::decode_query(text).unwrap_or(Cow::Borrowed(text)),
        }
    }

    /// What is before `last`, which is all unreserved bytes, and a separator in its normal form.
    #[inline]
    fn before(self, last: &[u8]) -> Option<Self> {
        Some(match self {
            Self::Plain(text) => Self::Plain(text.strip_suffix(last)?.strip_suffix(b"/")?),
            Self::Encoded(text) => Self::Encoded(text.strip_suffix(last)?.strip_suffix(b"%2F")?),
        })
    }
}

/// An access key id with a scope that fits the endpoint.
pub(crate) struct Credential<'a> {
    access_key_id: Cow<'a, [u8]>,
    scope: Scope<'a>,
    algorithm: Algorithm,
}

impl<'a> Credential<'a> {
    /// The longest access key id that is worth a look-up.
    const MAX_ID_LENGTH: usize = 128;

    /// A credential that is written as expected, for the endpoint and the day of `request`: it is compared and not
    /// taken apart, which takes a quarter of the time. `None` says nothing about the credential.
    pub(crate) fn expected(
        text: Written<'a>,
        regions: &Regions<'_>,
        endpoint: &'a Endpoint,
        request: &Stamp,
    ) -> Option<Self> {
        let algorithm = match regions {
            Regions::OfScope => Algorithm::HmacSha256,
            Regions::Set(_) => return None,
        };
        let rest = text.before(TERMINATOR.as_bytes())?.before(endpoint.service.as_bytes())?;
        let region = |known: &'a str| Some((known, rest.before(known.as_bytes())?));
        let (region, rest) = endpoint.regions.iter().find_map(|known| region(known))?;
        let date = request.date();
        let (Written::Plain(id) | Written::Encoded(id)) = rest.before(date.digits())?;
        let is_plain = |byte: u8| byte.is_ascii_graphic() & (byte != b'%') & (byte != b'+');
        let is_legal = (1..=Self::MAX_ID_LENGTH).contains(&id.len()) && scan::all(id, is_plain);
        let scope = Scope { date, region, service: &endpoint.service };
        is_legal.then_some(Self { access_key_id: Cow::Borrowed(id), scope, algorithm })
    }

    /// Splits the credential from the right, because an access key id may hold `/`, and compares it with
    /// the endpoint and, if that is known yet, with the request's date.
    ///
    /// Faults come in the order date, region, service, terminator, date mismatch; never an empty list.
    pub(crate) fn parse(
        text: Written<'a>,
        regions: &Regions<'_>,
        endpoint: &'a Endpoint,
        request: Option<&Stamp>,
    ) -> Result<Self, Vec<CredentialFault>> {
        let (text, algorithm) = (text.decode(), regions.algorithm());
        let Some((id, parts @ [date, region, service, terminator])) =
            split(&text, regions).filter(|(id, _)| is_legal_id(id))
        else {
            return Err(vec![CredentialFault::Malformed { credential: Received::new(&text), algorithm }]);
        };
        let known = regions.find(region, endpoint);
        let day = Date::parse(date);
        match (day, known) {
            (Some(date), Some(known))
                if service == endpoint.service.as_bytes()
                    && terminator == TERMINATOR.as_bytes()
                    && request.is_none_or(|request| request.date() == date) =>
            {
                let scope = Scope { date, region: known, service: &endpoint.service };
                Ok(Self { access_key_id: Cow::Owned(id.to_owned()), scope, algorithm })
            }
            _ => Err(faults(endpoint, request, known.is_some(), parts)),
        }
    }

    /// Whether the scope's day is that of the request's date, where [`Self::parse`] did not know it yet.
    pub(crate) fn check_date(&self, request: &Stamp) -> Result<(), Vec<CredentialFault>> {
        if self.scope.date == request.date() {
            return Ok(());
        }
        let date = Received::new(self.scope.date.as_str().as_bytes());
        Err(vec![CredentialFault::DateMismatch { date, request: request.time() }])
    }

    /// Printable ASCII, 1 to 128 characters: nothing else becomes a credential.
    pub(crate) fn access_key_id(&self) -> &str {
        std::str::from_utf8(&self.access_key_id).unwrap_or_default()
    }

    pub(crate) fn scope(&self) -> Scope<'a> {
        self.scope
    }

    pub(crate) fn algorithm(&self) -> Algorithm {
        self.algorithm
    }
}

impl Regions<'_> {
    fn algorithm(&self) -> Algorithm {
        match self {
            Self::OfScope => Algorithm::HmacSha256,
            Self::Set(_) => Algorithm::EcdsaP256Sha256,
        }
    }

    /// The region of the endpoint that is meant; `region` is the part of the scope or the whole set.
    fn find<'e>(&self, region: &[u8], endpoint: &'e Endpoint) -> Option<&'e str> {
        let meant = |known: &str| match self {
            Self::OfScope => known.as_bytes() == region,
            Self::Set(set) => sigv4a::covers(set, known),
        };
        endpoint.regions.iter().map(|known| &**known).find(|known| meant(known))
    }
}

/// The access key id and date, region, service and terminator. A set of regions stands in for the region.
///
/// A scope with a region where none belongs, or the other way round, has no day in the place of the date.
fn split<'t>(credential: &'t [u8], regions: &'t Regions<'_>) -> Option<(&'t [u8], [&'t [u8]; 4])> {
    let (rest, terminator) = rcut(credential, b'/')?;
    let (rest, service) = rcut(rest, b'/')?;
    let (rest, region) = match regions {
        Regions::OfScope => rcut(rest, b'/')?,
        Regions::Set(set) => (rest, &**set),
    };
    let (id, date) = rcut(rest, b'/')?;
    let misplaced = matches!(regions, Regions::Set(_)) && Date::parse(date).is_none();
    (!misplaced).then_some((id, [date, region, service, terminator]))
}

fn is_legal_id(id: &[u8]) -> bool {
    (1..=Credential::MAX_ID_LENGTH).contains(&id.len()) && scan::all(id, |byte| byte.is_ascii_graphic())
}

fn faults(
    endpoint: &Endpoint,
    request: Option<&Stamp>,
    region_fits: bool,
    [date, region, service, terminator]: [&[u8]; 4],
) -> Vec<CredentialFault> {
    let mut faults = Vec::new();
    let day = Date::parse(date);
    if day.is_none() && request.is_none() {
        faults.push(CredentialFault::Date { date: Received::new(date) });
    }
    if !region_fits {
        let expected = endpoint.regions.first().map(ToString::to_string).unwrap_or_default();
        faults.push(CredentialFault::Region { region: Received::new(region), expected });
    }
    if service != endpoint.service.as_bytes() {
        let expected = endpoint.service.to_string();
        faults.push(CredentialFault::Service { service: Received::new(service), expected });
    }
    if terminator != TERMINATOR.as_bytes() {
        faults.push(CredentialFault::Terminator { terminator: Received::new(terminator) });
    }
    if let Some(request) = request.filter(|request| day != Some(request.date())) {
        faults.push(CredentialFault::DateMismatch { date: Received::new(date), request: request.time() });
    }
    faults
}
