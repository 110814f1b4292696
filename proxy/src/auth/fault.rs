//! What AWS answers to a request that is not authenticated.

use http::StatusCode;
use sigv4::Dialect;

use super::{AuthError, Denied, NotPermitted, Refusal};
use crate::fault::{Fault, signature};
use crate::s3::{self, Need};

impl AuthError {
    /// The answer AWS gives in the error format of `dialect`.
    ///
    /// Sources: <https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html>,
    /// <https://docs.aws.amazon.com/STS/latest/APIReference/CommonErrors.html>
    pub fn fault(&self, dialect: Dialect) -> Fault {
        match self {
            Self::Parse(error) => signature::parse_fault(error, dialect),
            Self::UnknownAccessKey(id) | Self::MissingToken(id) => unknown_key(id, dialect),
            Self::InvalidToken => invalid_token(dialect),
            Self::ExpiredToken => expired_token(dialect),
            Self::Verify { access_key_id, source } => signature::verify_fault(source, dialect, access_key_id),
            Self::Store(_) | Self::Elsewhere(_) => Fault::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "ServiceUnavailable",
                "Please reduce your request rate.",
            ),
        }
    }
}

impl Denied {
    /// What S3 answers: for a revoked credential what it answers to a policy that denies.
    ///
    /// Source: <https://docs.aws.amazon.com/AmazonS3/latest/userguide/troubleshoot-403-errors.html>
    pub fn fault(&self) -> Fault {
        match &self.why {
            Refusal::Revoked(_) => s3::access_denied(),
            Refusal::Unclear(unclear) => unclear.fault(),
            Refusal::NotPermitted(refused) => {
                let NotPermitted { need: Need { action, resource, .. }, layer, denied_by } = &**refused;
                let why = match denied_by {
                    Some(_) => format!("with an explicit deny in {}", layer.name_with_article()),
                    None => format!("because no {} allows the {action} action", layer.name()),
                };
                let who = &self.credential().principal.arn;
                Fault {
                    message: format!(
                        "User: {who} is not authorized to perform: {action} on resource: \"{resource}\" {why}"
                    )
                    .into(),
                    ..s3::access_denied()
                }
            }
        }
    }
}

fn unknown_key(access_key_id: &str, dialect: Dialect) -> Fault {
    match dialect {
        Dialect::S3 => Fault::new(
            StatusCode::FORBIDDEN,
            "InvalidAccessKeyId",
            "The AWS Access Key Id you provided does not exist in our records.",
        )
        .with("AWSAccessKeyId", access_key_id),
        Dialect::Generic => Fault::new(
            StatusCode::FORBIDDEN,
            "InvalidClientTokenId",
            "The security token included in the request is invalid.",
        ),
    }
}

fn invalid_token(dialect: Dialect) -> Fault {
    match dialect {
        Dialect::S3 => Fault::new(
            StatusCode::BAD_REQUEST,
            "InvalidToken",
            "The provided token is malformed or otherwise invalid.",
        ),
        Dialect::Generic => Fault::new(
            StatusCode::FORBIDDEN,
            "InvalidClientTokenId",
            "The security token included in the request is invalid",
        ),
    }
}

fn expired_token(dialect: Dialect) -> Fault {
    match dialect {
        Dialect::S3 => Fault::new(StatusCode::BAD_REQUEST, "ExpiredToken", "The provided token has expired."),
        Dialect::Generic => Fault::new(
            StatusCode::FORBIDDEN,
            "ExpiredToken",
            "The security token included in the request is expired",
        ),
    }
}
