//! Request bodies of the API: bounded in size and time, of a declared type, JSON.

use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, StatusCode};
use http_body::Body;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::de::DeserializeOwned;

use super::answer::ApiError;

/// Largest request body.
pub(super) const MAX_BYTES: usize = 1 << 20;
/// For the body to arrive.
const TIMEOUT: Duration = Duration::from_secs(30);

/// What a body may hold. Each is a type that no HTML form can send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MediaType {
    /// `application/json`
    Json,
    /// `application/cloudevents+json`
    Event,
    /// `application/cloudevents-batch+json`
    EventBatch,
}

impl MediaType {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Event => "application/cloudevents+json",
            Self::EventBatch => "application/cloudevents-batch+json",
        }
    }

    /// The one of `accepted` that the request declares; parameters are ignored.
    pub(super) fn declared(headers: &HeaderMap, accepted: &[Self]) -> Result<Self, ApiError> {
        let value = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let essence = value.split(';').next().unwrap_or_default().trim();
        let found = accepted.iter().find(|media_type| essence.eq_ignore_ascii_case(media_type.as_str()));
        found.copied().ok_or_else(|| {
            let names: Vec<_> = accepted.iter().map(|media_type| media_type.as_str()).collect();
            let message = format!("the content type must be {}", names.join(" or "));
            ApiError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "UnsupportedMediaType", message)
        })
    }
}

/// The whole body.
pub(super) async fn read<B>(body: B) -> Result<Bytes, ApiError>
where
    B: Body<Data = Bytes>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let limited = std::pin::pin!(Limited::new(body, MAX_BYTES));
    match tokio::time::timeout(TIMEOUT, limited.collect()).await {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            let message = format!("the body is longer than {MAX_BYTES} bytes");
            Err(ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "TooLarge", message))
        }
        Ok(Err(_)) => Err(ApiError::invalid("", "the body ended early")),
        Err(_) => {
            Err(ApiError::new(StatusCode::REQUEST_TIMEOUT, "Timeout", "the body did not arrive in time"))
        }
    }
}

/// A body declared as JSON, as a `T`.
pub(super) async fn read_json<T, B>(headers: &HeaderMap, body: B) -> Result<T, ApiError>
where
    T: DeserializeOwned,
    B: Body<Data = Bytes>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    MediaType::declared(headers, &[MediaType::Json])?;
    let body = read(body).await?;
    serde_json::from_slice(&body).map_err(|error| ApiError::invalid("", error.to_string()))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use http_body_util::Full;

    use super::*;

    #[test]
    fn the_content_type_decides_and_forms_are_refused() {
        let declared = |value: &'static str| {
            let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(value))]);
            MediaType::declared(&headers, &[MediaType::Event, MediaType::EventBatch]).ok()
        };
        assert_eq!(declared("application/cloudevents+json; charset=utf-8"), Some(MediaType::Event));
        assert_eq!(declared("Application/CloudEvents-Batch+JSON"), Some(MediaType::EventBatch));
        for form in
            ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "application/json", ""]
        {
            assert_eq!(declared(form), None, "{form}");
        }
        assert!(MediaType::declared(&HeaderMap::new(), &[MediaType::Json]).is_err());
    }

    #[tokio::test]
    async fn a_body_over_the_limit_is_refused() {
        let body = |bytes| Full::new(Bytes::from(vec![b' '; bytes]));
        assert_eq!(read(body(MAX_BYTES)).await.map(|body| body.len()).ok(), Some(MAX_BYTES));
        let error = read(body(MAX_BYTES + 1)).await.unwrap_err();
        assert_eq!(error.status(), StatusCode::PAYLOAD_TOO_LARGE);
    }
}
