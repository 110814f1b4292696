//! Why a web identity token is not believed, and how AWS says so.

use http::StatusCode;

use super::fetch::FetchError;
use crate::fault::Fault;

/// Why a token was refused. Holds nothing of the token but its issuer and its times.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TokenError {
    /// Not a signed token that is read here.
    #[error("not a signed token: {0}")]
    Malformed(&'static str),
    /// A claim that every token must have.
    #[error("no claim {0}")]
    Missing(&'static str),
    /// A claim that has another form than it must have.
    #[error("claim {0} is malformed")]
    Claim(&'static str),
    /// Nobody declared its issuer in this account.
    #[error("no provider is declared for {0}")]
    UnknownProvider(String),
    /// The provider publishes no key it could mean.
    #[error("the provider has no such key")]
    UnknownKey,
    /// The key it means is for other algorithms.
    #[error("the key is for another algorithm")]
    Algorithm,
    /// The key it means did not sign it.
    #[error("the signature is not the key's")]
    Signature,
    /// Its time is over.
    #[error("expired at {expires}")]
    Expired {
        /// Seconds since the epoch.
        now: i64,
        /// Claim `exp`.
        expires: i64,
    },
    /// Its time has not come.
    #[error("valid from {begins}")]
    NotYet {
        /// Seconds since the epoch.
        now: i64,
        /// The later one of the claims `nbf` and `iat`.
        begins: i64,
    },
    /// It is for somebody else.
    #[error("the audience is not one of the provider's client ids")]
    Audience,
    /// The provider's keys are out of reach and none are kept.
    #[error("the provider's keys are out of reach: {0}")]
    Unreachable(#[from] FetchError),
}

/// The texts are AWS's, as its users report them; the two blanks are its own.
impl From<TokenError> for Fault {
    fn from(error: TokenError) -> Self {
        let invalid = |message: String| Self::new(StatusCode::BAD_REQUEST, "InvalidIdentityToken", message);
        match error {
            TokenError::Malformed(_) => invalid(
                "The ID Token provided is not a valid JWT. (You may see this error if you sent an Access Token)"
                    .to_owned(),
            ),
            TokenError::Missing(claim) => invalid(format!("Missing a required claim: {claim}")),
            TokenError::Claim(claim) => invalid(format!("Invalid value of claim: {claim}")),
            TokenError::UnknownProvider(issuer) => {
                invalid(format!("No OpenIDConnect provider found in your account for {issuer}"))
            }
            TokenError::UnknownKey => invalid(
                "Couldn't retrieve verification key from your identity provider,  please reference \
                 AssumeRoleWithWebIdentity documentation for requirements"
                    .to_owned(),
            ),
            TokenError::Algorithm | TokenError::Signature => invalid("Couldn't verify signed token.".to_owned()),
            TokenError::Audience => invalid("Incorrect token audience".to_owned()),
            TokenError::NotYet { now, begins } => invalid(format!(
                "Token is not yet valid: current date/time {now} must not be before the date/time {begins}"
            )),
            TokenError::Expired { now, expires } => Self::new(
                StatusCode::BAD_REQUEST,
                "ExpiredTokenException",
                format!("Token expired: current date/time {now} must be before the expiration date/time {expires}"),
            ),
            TokenError::Unreachable(_) => Self::new(
                StatusCode::BAD_REQUEST,
                "IDPCommunicationError",
                "The request could not be fulfilled because the identity provider (IDP) that was asked to verify the \
                 incoming identity token could not be reached.",
            ),
        }
    }
}
