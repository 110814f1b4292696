//! Reads the metadata of a SAML identity provider: its name, its keys, how long it is to be believed.
//!
//! Source: <https://docs.oasis-open.org/security/saml/v2.0/saml-metadata-2.0-os.pdf>

use super::document::{DocumentError, Element};
use super::key::{CertificateError, VerifyingKey};
use super::signature::decode_base64;
use super::{DSIG, PROTOCOL, parse_time};
use crate::clock::UnixMillis;

const METADATA: &str = "urn:oasis:names:tc:SAML:2.0:metadata";

/// Longest document, in bytes.
const MAX_LENGTH: usize = 1024 * 1024;
/// Most keys of a provider: each may have to be tried for a signature.
const MAX_KEYS: usize = 16;

/// An identity provider that signs SAML responses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdentityProvider {
    /// What its responses must name as their issuer.
    pub(super) entity_id: String,
    pub(super) keys: Vec<VerifyingKey>,
    /// From this time on nothing it signed is believed.
    pub(super) valid_until: Option<UnixMillis>,
}

/// Why metadata do not describe an identity provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MetadataError {
    /// It is no XML that is read here.
    #[error(transparent)]
    Document(#[from] DocumentError),
    /// Something is missing, repeated or wrong.
    #[error("the metadata need {0}")]
    Content(&'static str),
    /// A certificate cannot be used.
    #[error("certificate {index} for signing cannot be used: {source}")]
    Certificate {
        /// Counted from one, in the order of the document.
        index: usize,
        /// What is wrong with it.
        source: CertificateError,
    },
}

use MetadataError::Content;

impl IdentityProvider {
    /// Reads an `EntityDescriptor` with one `IDPSSODescriptor`.
    pub fn parse(metadata: &str) -> Result<Self, MetadataError> {
        let entity = Element::parse(metadata, MAX_LENGTH)?;
        if !entity.is(METADATA, "EntityDescriptor") {
            return Err(Content("an EntityDescriptor as their root"));
        }
        let role = entity.at_most_one(METADATA, "IDPSSODescriptor").ok().flatten();
        let role = role.ok_or(Content("exactly one IDPSSODescriptor"))?;
        let protocols = role.attribute("protocolSupportEnumeration").unwrap_or_default();
        if !protocols.split_ascii_whitespace().any(|protocol| protocol == PROTOCOL) {
            return Err(Content("an IDPSSODescriptor that supports SAML 2.0"));
        }
        let entity_id = entity.attribute("entityID").filter(|id| !id.is_empty());
        Ok(Self {
            entity_id: entity_id.ok_or(Content("an entityID"))?.to_owned(),
            keys: keys(role)?,
            valid_until: match (valid_until(&entity)?, valid_until(role)?) {
                (Some(entity), Some(role)) => Some(entity.min(role)),
                (entity, role) => entity.or(role),
            },
        })
    }

    /// The provider's own name for itself.
    pub fn entity_id(&self) -> &str {
        &self.entity_id
    }
}

fn valid_until(descriptor: &Element) -> Result<Option<UnixMillis>, MetadataError> {
    let time = |text| parse_time(text).ok_or(Content("times in UTC"));
    descriptor.attribute("validUntil").map(time).transpose()
}

/// The keys for signing. One that cannot be used is an error, so that nobody relies on it.
fn keys(role: &Element) -> Result<Vec<VerifyingKey>, MetadataError> {
    let signing = role
        .all(METADATA, "KeyDescriptor")
        .filter(|descriptor| descriptor.attribute("use").is_none_or(|purpose| purpose == "signing"));
    let mut keys = Vec::new();
    for (descriptor, index) in signing.zip(1..) {
        if index > MAX_KEYS {
            return Err(Content("at most 16 certificates for signing"));
        }
        let encoded =
            certificate(descriptor).ok_or(Content("exactly one X509Certificate per KeyDescriptor"))?;
        let der = decode_base64(encoded).ok_or(CertificateError::Malformed);
        let key = der.and_then(|der| VerifyingKey::of_certificate(&der));
        keys.push(key.map_err(|source| MetadataError::Certificate { index, source })?);
    }
    if keys.is_empty() { Err(Content("a certificate for signing")) } else { Ok(keys) }
}

fn certificate(descriptor: &Element) -> Option<&str> {
    let key_info = descriptor.at_most_one(DSIG, "KeyInfo").ok()??;
    let data = key_info.at_most_one(DSIG, "X509Data").ok()??;
    data.at_most_one(DSIG, "X509Certificate").ok()??.text()
}
