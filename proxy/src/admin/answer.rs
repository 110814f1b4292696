//! What the admin listener answers: JSON, errors included.

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue, WWW_AUTHENTICATE};
use http::{Response, StatusCode};
use http_body_util::{Either, Full};
use serde::Serialize;

use super::journal::LinesBody;
use crate::audit::NotRecorded;
use crate::events::EventError;
use crate::iam::{NoRandomNumbers, PrincipalError};
use crate::store::StoreError;

/// An answer: whole, or lines that are sent while they are made.
pub(super) type Answer = Response<AdminBody>;

/// The body of an answer.
pub type AdminBody = Either<Full<Bytes>, LinesBody>;

/// Why a request is refused. Written as `{"error":{"code","message","path"?}}`.
#[derive(Debug)]
pub(super) struct ApiError {
    status: StatusCode,
    code: &'static str,
    message: String,
    path: Option<String>,
}

impl ApiError {
    pub(super) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), path: None }
    }

    /// A request whose body or query is wrong at `path`; an empty path stands for the whole of it.
    pub(super) fn invalid(path: impl Into<String>, message: impl Into<String>) -> Self {
        let path = Some(path.into()).filter(|path| !path.is_empty());
        Self { path, ..Self::new(StatusCode::BAD_REQUEST, "InvalidRequest", message) }
    }

    pub(super) fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "NotFound", message)
    }

    /// A fault of ours. The cause goes to the log, not to the client.
    pub(super) fn internal(cause: impl std::fmt::Display) -> Self {
        tracing::error!(error = %cause, "an admin request failed");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "InternalError", "see the log of the gateway")
    }

    /// The same error with its path below `outer`.
    pub(super) fn below(mut self, outer: &str) -> Self {
        self.path = Some(match self.path {
            Some(path) => format!("{outer}.{path}"),
            None => outer.to_owned(),
        });
        self
    }

    #[cfg(test)]
    pub(super) fn status(&self) -> StatusCode {
        self.status
    }

    pub(super) fn into_answer(self) -> Answer {
        let mut error = serde_json::json!({ "code": self.code, "message": self.message });
        if let Some(path) = self.path {
            error["path"] = path.into();
        }
        let mut answer = json(self.status, &serde_json::json!({ "error": error }));
        if self.status == StatusCode::UNAUTHORIZED {
            answer.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        answer
    }
}

impl From<EventError> for ApiError {
    fn from(error: EventError) -> Self {
        Self::invalid(error.path, error.problem)
    }
}

impl From<PrincipalError> for ApiError {
    fn from(error: PrincipalError) -> Self {
        Self::invalid(error.field, error.problem)
    }
}

impl From<NoRandomNumbers> for ApiError {
    fn from(error: NoRandomNumbers) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "Unavailable", error.to_string())
    }
}

impl From<NotRecorded> for ApiError {
    fn from(error: NotRecorded) -> Self {
        let message = format!("{error}; what was asked for is done");
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "Unavailable", message)
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Invalid(error) => error.into(),
            StoreError::TooLarge { .. } => Self::invalid("", error.to_string()),
            StoreError::Conflict { .. } => Self::new(StatusCode::CONFLICT, "Conflict", error.to_string()),
            StoreError::UnknownAccessKey { .. } => Self::not_found(error.to_string()),
            StoreError::Failed(_) | StoreError::Closed => {
                tracing::error!(%error, "an admin request failed");
                let message = "the event log accepts nothing now; see the log of the gateway";
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "Unavailable", message)
            }
            StoreError::Feed(_)
            | StoreError::NotApplied { .. }
            | StoreError::Behind
            | StoreError::Uninformed
            | StoreError::Stale => {
                tracing::error!(%error, "an admin request failed");
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "Unavailable", error.to_string())
            }
            StoreError::File { .. }
            | StoreError::OtherLog { .. }
            | StoreError::SharedLog
            | StoreError::Held { .. }
            | StoreError::Open { .. }
            | StoreError::OlderSchema { .. }
            | StoreError::Schema { .. }
            | StoreError::MissingSealingKey { .. }
            | StoreError::Unreadable { .. }
            | StoreError::Foreign(_)
            | StoreError::UnknownRevocation { .. }
            | StoreError::Seal(_)
            | StoreError::Read(_) => Self::internal(error),
        }
    }
}

/// `value` as JSON. Nothing the admin listener says may be kept by a cache: some of it is secret.
pub(super) fn json(status: StatusCode, value: &impl Serialize) -> Answer {
    match serde_json::to_vec(value) {
        Ok(body) => with_type(status, "application/json", body),
        Err(error) => {
            tracing::error!(%error, "an answer of the admin listener cannot be written");
            with_type(StatusCode::INTERNAL_SERVER_ERROR, "application/json", b"{}".to_vec())
        }
    }
}

/// `body` as it stands.
pub(super) fn with_type(status: StatusCode, content_type: &'static str, body: Vec<u8>) -> Answer {
    let mut answer = Response::new(Either::Left(Full::new(Bytes::from(body))));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}
