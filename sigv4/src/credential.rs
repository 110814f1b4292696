//! What a request claims, whichever way it is signed, and the credential with its scope.

use std::borrow::Cow;

use crate::authorization::DateText;
use crate::endpoint::Endpoint;
use crate::error::{CredentialFault, Received};
use crate::scan::rcut;
use crate::scope::{Date, Scope, TERMINATOR};
use crate::signed_headers::{SignedHeaders, Text};
use crate::time::Stamp;

/// The parts of a signature, from the header or from the query, decoded and not yet judged.
pub(crate) struct Claim<'a> {
    pub(crate) credential: Text<'a>,
    pub(crate) signed_headers: SignedHeaders<'a>,
    /// Whatever the client sent: that it is no signature is a mismatch, not an error of syntax.
    pub(crate) signature: Cow<'a, [u8]>,
    pub(crate) date: Option<DateText<'a>>,
    /// Seconds a presigned request is valid for; `None` with an `Authorization` header.
    pub(crate) lifetime: Option<u32>,
}

/// An access key id with a scope that fits the endpoint.
pub(crate) struct Credential<'a> {
    text: Text<'a>,
    id_length: usize,
    scope: Scope<'a>,
}

impl<'a> Credential<'a> {
    /// The longest access key id that is worth a look-up.
    const MAX_ID_LENGTH: usize = 128;

    /// Splits the credential from the right, because an access key id may hold `/`, and compares it with
    /// the endpoint and, if that is known yet, with the request's date.
    ///
    /// Faults come in the order date, region, service, terminator, date mismatch; never an empty list.
    pub(crate) fn parse(
        text: Text<'a>,
        endpoint: &'a Endpoint,
        request: Option<&Stamp>,
    ) -> Result<Self, Vec<CredentialFault>> {
        let Some((id, [date, region, service, terminator])) =
            split(text.as_slice()).filter(|(id, _)| legal_id(id))
        else {
            return Err(malformed(&text));
        };
        let known = endpoint.regions.iter().find(|known| known.as_bytes() == region);
        let day = Date::parse(date);
        match (day, known) {
            (Some(date), Some(known))
                if service == endpoint.service.as_bytes()
                    && terminator == TERMINATOR.as_bytes()
                    && request.is_none_or(|request| request.date() == date) =>
            {
                let scope = Scope { date, region: known, service: &endpoint.service };
                Ok(Self { id_length: id.len(), text, scope })
            }
            _ => Err(faults(endpoint, request, [date, region, service, terminator])),
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

    /// Printable ASCII: [`Self::parse`] lets nothing else through.
    pub(crate) fn access_key_id(&self) -> &str {
        std::str::from_utf8(&self.text.as_slice()[..self.id_length]).unwrap_or_default()
    }

    pub(crate) fn scope(&self) -> Scope<'a> {
        self.scope
    }
}

/// The access key id and the four parts of the scope.
fn split(credential: &[u8]) -> Option<(&[u8], [&[u8]; 4])> {
    let (rest, terminator) = rcut(credential, b'/')?;
    let (rest, service) = rcut(rest, b'/')?;
    let (rest, region) = rcut(rest, b'/')?;
    let (id, date) = rcut(rest, b'/')?;
    Some((id, [date, region, service, terminator]))
}

fn legal_id(id: &[u8]) -> bool {
    let is_graphic = id.iter().fold(true, |graphic, byte| graphic & byte.is_ascii_graphic());
    is_graphic && (1..=Credential::MAX_ID_LENGTH).contains(&id.len())
}

fn malformed(text: &Text<'_>) -> Vec<CredentialFault> {
    vec![CredentialFault::Malformed { credential: Received::new(text.as_slice()) }]
}

fn faults(
    endpoint: &Endpoint,
    request: Option<&Stamp>,
    [date, region, service, terminator]: [&[u8]; 4],
) -> Vec<CredentialFault> {
    let mut faults = Vec::new();
    let day = Date::parse(date);
    if day.is_none() && request.is_none() {
        faults.push(CredentialFault::Date { date: Received::new(date) });
    }
    if !endpoint.regions.iter().any(|known| known.as_bytes() == region) {
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
