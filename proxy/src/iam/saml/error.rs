//! Every reason to refuse a SAML response, and the answer of AWS to it.
//!
//! Source: <https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_saml.html>; what is not there is worded
//! here.

use http::StatusCode;

use super::{DocumentError, SignatureError};
use crate::fault::Fault;

/// Why a SAML response is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SamlError {
    /// The parameter is not base64, or too long.
    #[error("Invalid base64 SAMLResponse ({IN_DISCOVERY})")]
    Encoding,
    /// What was encoded cannot be read.
    #[error("Invalid SAMLResponse: {0}")]
    Document(#[from] DocumentError),
    /// The identity provider encrypted what it asserts.
    #[error("Encrypted assertions are not supported: turn assertion encryption off at the identity provider")]
    Encrypted,
    /// Nothing in the response is known to be the identity provider's.
    #[error("Response signature invalid")]
    Signature(#[from] SignatureError),
    /// The metadata of the identity provider say themselves that they are too old.
    #[error("The metadata of the identity provider have expired")]
    MetadataExpired,
    /// The identity provider says that it did not authenticate anybody.
    #[error("The identity provider reported that authentication failed")]
    Rejected,
    /// The issuer is not the one of the metadata.
    #[error("Issuer not present in specified provider ({IN_DISCOVERY})")]
    Issuer,
    /// It is for somebody else.
    #[error("Response does not contain the required audience.")]
    Audience,
    /// It was sent to somebody else.
    #[error("Response is not for this recipient")]
    Recipient,
    /// Something that must be there once is missing, repeated or not understood.
    #[error("Invalid SAMLResponse: {0}")]
    Content(&'static str),
    /// There is nobody it is about.
    #[error("Not authorized to perform sts:AssumeRoleWithSAML")]
    Subject,
    /// The identity provider's own limit has passed.
    #[error("Response has expired")]
    Expired,
    /// The limit of STS has passed.
    #[error("Token must be redeemed within 5 minutes of issuance")]
    Stale,
    /// Its time has not come yet.
    #[error("Response is not valid yet")]
    Early,
    /// There is no attribute `RoleSessionName`.
    #[error("RoleSessionName is required in AuthnResponse")]
    NoSessionName,
    /// The attribute `RoleSessionName` is not one name of a session.
    #[error("RoleSessionName in AuthnResponse must match [a-zA-Z_0-9+=,.@-]{{2,64}}")]
    SessionName,
    /// The attribute `SourceIdentity` is not one source identity.
    #[error("Source Identity must match [a-zA-Z_0-9+=,.@-]{{2,64}} and not begin with \"aws:\"")]
    SourceIdentity,
    /// It was redeemed before.
    #[error("The assertion has been redeemed already")]
    Replayed,
}

/// Where AWS says that a response was refused before STS looked at it.
const IN_DISCOVERY: &str =
    "Service: AWSOpenIdDiscoveryService; Status Code: 400; Error Code: AuthSamlInvalidSamlResponseException";

impl SamlError {
    /// The answer to the client. It never says which check of a signature failed.
    pub fn fault(&self) -> Fault {
        let (status, code) = match self {
            Self::Encoding
            | Self::Document(_)
            | Self::Encrypted
            | Self::Signature(_)
            | Self::MetadataExpired
            | Self::Issuer
            | Self::Audience
            | Self::Recipient
            | Self::Content(_)
            | Self::Early
            | Self::NoSessionName
            | Self::SessionName
            | Self::SourceIdentity
            | Self::Replayed => (StatusCode::BAD_REQUEST, "InvalidIdentityToken"),
            Self::Expired | Self::Stale => (StatusCode::BAD_REQUEST, "ExpiredTokenException"),
            Self::Rejected => (StatusCode::FORBIDDEN, "IDPRejectedClaim"),
            Self::Subject => (StatusCode::FORBIDDEN, "AccessDenied"),
        };
        Fault::new(status, code, self.to_string())
    }
}
