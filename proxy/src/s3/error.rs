//! S3's error document, and the S3 errors that come from neither a signature nor a body.
//!
//! Source: <https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html>

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode};

use super::target::{Bucket, Target};
use crate::fault::Fault;
use crate::xml::XmlWriter;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-amz-request-id");
const HOST_ID: HeaderName = HeaderName::from_static("x-amz-id-2");

/// Answers with `fault` as S3 does: an XML document without namespace that repeats both ids.
///
/// `head` says that the request's method is HEAD: status and headers stay, the body is empty.
pub fn respond(fault: &Fault, request_id: &str, host_id: &str, head: bool) -> Response<Bytes> {
    let body = if head { Bytes::new() } else { document(fault, request_id, host_id).into() };
    let mut response = Response::new(body);
    *response.status_mut() = fault.status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/xml"));
    insert(headers, REQUEST_ID, request_id);
    insert(headers, HOST_ID, host_id);
    response
}

fn document(fault: &Fault, request_id: &str, host_id: &str) -> String {
    let mut xml = XmlWriter::with_declaration();
    xml.element("Error", |xml| {
        xml.text("Code", fault.code);
        xml.text("Message", &fault.message);
        for (name, value) in &fault.elements {
            xml.text(name, value);
        }
        xml.text("RequestId", request_id);
        xml.text("HostId", host_id);
    });
    xml.finish()
}

/// An id that no header can carry is left out: the document has it.
fn insert(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

/// Refused for who asks: revoked, or not permitted. SDKs do not retry it.
pub fn access_denied() -> Fault {
    Fault::new(StatusCode::FORBIDDEN, "AccessDenied", "Access Denied")
}

/// No backend is there for `target`: nobody has such a bucket, and nobody may list those of all.
pub fn nowhere(target: &Target) -> Fault {
    match target.bucket() {
        Some(bucket) => no_such_bucket(bucket),
        None => access_denied(),
    }
}

/// There is no such bucket.
pub fn no_such_bucket(bucket: &Bucket) -> Fault {
    Fault::new(StatusCode::NOT_FOUND, "NoSuchBucket", "The specified bucket does not exist.")
        .with("BucketName", bucket.as_str())
}

/// Something failed on this side that asking again may cure. SDKs retry it.
pub fn internal_error() -> Fault {
    Fault::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        "InternalError",
        "We encountered an internal error. Please try again.",
    )
}

/// Too much is being asked at once. SDKs retry it, and slow down.
pub fn slow_down() -> Fault {
    Fault::new(StatusCode::SERVICE_UNAVAILABLE, "SlowDown", "Please reduce your request rate.")
}

/// Nobody can answer at the moment. SDKs retry it.
pub fn service_unavailable() -> Fault {
    Fault::new(StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailable", "Service is unable to handle request.")
}

/// The client stopped sending. SDKs retry it, on a new connection.
pub fn request_timeout() -> Fault {
    Fault::new(
        StatusCode::BAD_REQUEST,
        "RequestTimeout",
        "Your socket connection to the server was not read from or written to within the timeout period.",
    )
}

/// The body's length is not declared.
pub fn missing_content_length() -> Fault {
    Fault::new(
        StatusCode::LENGTH_REQUIRED,
        "MissingContentLength",
        "You must provide the Content-Length HTTP header.",
    )
}

/// `DeleteObjects` states no checksum of its list.
pub fn missing_checksum() -> Fault {
    Fault::new(
        StatusCode::BAD_REQUEST,
        "InvalidRequest",
        "Missing required header for this request: Content-MD5 OR x-amz-checksum-*",
    )
}

/// Request line and headers are longer than `max_bytes`.
pub fn head_too_large(max_bytes: u64) -> Fault {
    Fault::new(
        StatusCode::BAD_REQUEST,
        "RequestHeaderSectionTooLarge",
        "Your request header section exceeds the maximum allowed size.",
    )
    .with("MaxSizeAllowed", max_bytes.to_string())
}

/// The method means nothing for a resource of this type, for example `SERVICE`, `BUCKET` or `OBJECT`.
pub fn method_not_allowed(method: &Method, resource_type: &str) -> Fault {
    Fault::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "MethodNotAllowed",
        "The specified method is not allowed against this resource.",
    )
    .with("Method", method.as_str())
    .with("ResourceType", resource_type)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_has_every_element_in_order_and_escaped() {
        let fault =
            Fault::new(StatusCode::NOT_IMPLEMENTED, "NotImplemented", "It is not.").with("Header", "a<b&c");
        let response = respond(&fault, "R1", "H1", false);
        assert_eq!(response.status(), 501);
        assert_eq!(response.headers()["content-type"], "application/xml");
        assert_eq!(response.headers()["x-amz-request-id"], "R1");
        assert_eq!(response.headers()["x-amz-id-2"], "H1");
        assert_eq!(
            response.body(),
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
             <Error><Code>NotImplemented</Code>\
             <Message>It is not.</Message>\
             <Header>a&lt;b&amp;c</Header><RequestId>R1</RequestId><HostId>H1</HostId></Error>"
        );
    }

    #[test]
    fn head_keeps_status_and_headers_and_loses_the_body() {
        let response = respond(&access_denied(), "R1", "H1", true);
        assert_eq!(response.status(), 403);
        assert_eq!(response.headers()["content-type"], "application/xml");
        assert_eq!(response.headers()["x-amz-request-id"], "R1");
        assert!(response.body().is_empty());
    }

    #[test]
    fn an_id_that_no_header_can_carry_stays_out_of_the_headers() {
        let response = respond(&access_denied(), "a\r\nb", "H1", false);
        assert!(!response.headers().contains_key("x-amz-request-id"));
    }

    #[test]
    fn codes_have_the_status_of_s3() {
        for (fault, status, code) in [
            (access_denied(), 403, "AccessDenied"),
            (internal_error(), 500, "InternalError"),
            (slow_down(), 503, "SlowDown"),
            (service_unavailable(), 503, "ServiceUnavailable"),
            (request_timeout(), 400, "RequestTimeout"),
            (missing_content_length(), 411, "MissingContentLength"),
            (missing_checksum(), 400, "InvalidRequest"),
            (head_too_large(1), 400, "RequestHeaderSectionTooLarge"),
            (method_not_allowed(&Method::PATCH, "OBJECT"), 405, "MethodNotAllowed"),
        ] {
            assert_eq!((fault.status.as_u16(), fault.code), (status, code));
        }
    }
}
