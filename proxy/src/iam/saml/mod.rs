//! SAML 2.0 responses: verified, read, and redeemed once.
//!
//! ```text
//! SAMLAssertion ─ base64 ─► document ─► signature ─► response ─► Assertion ─► replay
//!                              │            │  ▲          │
//!                              └─► c14n ◄───┘  └ key ◄ metadata
//! ```
//!
//! * `document` reads XML, strictly; `c14n` writes its canonical form.
//! * `signature` finds out what the identity provider signed, with a `key` of its `metadata`.
//! * `response` reads what was signed, and nothing else, as an [`Assertion`] for this relying party at this time.
//! * `claims` is what a trust policy can ask about it; `replay` lets an assertion be redeemed once.
//! * `error` is every reason to refuse, as AWS words it where AWS's words are known.
//!
//! Pure: `now` is an argument, and nothing is looked up. Work is linear in the length of the response, which is
//! bounded by that of the parameter.
//!
//! Not done: encrypted assertions (refused with a message that says so), `InResponseTo` (nothing was asked: STS
//! only knows unsolicited responses), artifact binding, single log-out.
//!
//! Source: <https://docs.oasis-open.org/security/saml/v2.0/saml-profiles-2.0-os.pdf>, section 4.1,
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_providers_create_saml_assertions.html>

mod c14n;
mod claims;
mod document;
mod error;
mod key;
mod metadata;
mod replay;
mod response;
mod signature;
#[cfg(test)]
mod tests;

pub use claims::Claims;
pub use document::DocumentError;
pub use error::SamlError;
pub use key::CertificateError;
pub use metadata::{IdentityProvider, MetadataError};
pub use replay::{ReplayError, Replays};
pub use response::{Assertion, Attribute, RelyingParty, Subject};
pub use signature::SignatureError;

use crate::clock::UnixMillis;
use document::Element;
use signature::Signed;

const PROTOCOL: &str = "urn:oasis:names:tc:SAML:2.0:protocol";
const ASSERTION: &str = "urn:oasis:names:tc:SAML:2.0:assertion";
const DSIG: &str = "http://www.w3.org/2000/09/xmldsig#";

/// Longest response in base64, as `SAMLAssertion` has it.
pub const MAX_ENCODED_LENGTH: usize = 100_000;

/// Verifies a response in base64 that `provider` is to have signed for `party`, and returns what it asserts.
///
/// An assertion that is returned has not been redeemed yet: ask [`Replays::redeem`] before it counts.
pub fn verify(
    encoded: &str,
    provider: &IdentityProvider,
    party: &RelyingParty,
    now: UnixMillis,
) -> Result<Assertion, SamlError> {
    if encoded.len() > MAX_ENCODED_LENGTH {
        return Err(SamlError::Encoding);
    }
    let xml = signature::decode_base64(encoded).ok_or(SamlError::Encoding)?;
    let xml = std::str::from_utf8(&xml).map_err(|_| DocumentError::Malformed("bytes that are not UTF-8"))?;
    let response = Element::parse(xml, MAX_ENCODED_LENGTH)?;
    response::check_status(&response)?;
    response::refuse_encryption(&response)?;
    if provider.valid_until.is_some_and(|until| now >= until) {
        return Err(SamlError::MetadataExpired);
    }
    match signature::verify(&response, &provider.keys)? {
        Signed::Response(response) => response::read_response(&response, provider, party, now),
        Signed::Assertion(assertion) => response::read_assertion(&assertion, provider, party, now),
    }
}

/// A time as SAML has it: `xs:dateTime` in UTC. Source: section 1.3.3 of SAML Core.
fn parse_time(text: &str) -> Option<UnixMillis> {
    UnixMillis::parse_rfc3339(text.trim_ascii())
}
