//! What AWS answers to a request that is not authenticated.

use http::StatusCode;
use sigv4::Dialect;

use super::AuthError;
use crate::fault::{Fault, signature};

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
