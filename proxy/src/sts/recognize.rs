//! Tells STS from S3 on the listener they share, before anything is verified.

use http::Method;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::request::Parts;
use sigv4::uri;

/// Whether a request is for STS. It is then answered here, whatever comes of it, and never forwarded.
///
/// STS has one path, `/`. There a request is for STS if its credential scope says so, if its query has an
/// `Action`, or if it posts a form: S3 does none of these. But clients are seen to call every body a form, that of
/// `POST /?delete` to the host of a bucket included; a query signed for S3 tells these apart.
pub fn is_sts_request(parts: &Parts) -> bool {
    let query = !parts.uri.query().unwrap_or_default().is_empty();
    parts.uri.path() == "/"
        && (signed_for(parts, b"sts")
            || has_parameter(parts, b"Action")
            || (is_form(parts) && !(query && signed_for(parts, b"s3"))))
}

/// Whether the body is a form of the query protocol.
pub(super) fn is_form(parts: &Parts) -> bool {
    let media_type = parts.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let media_type = media_type.and_then(|value| value.split(';').next()).unwrap_or_default();
    parts.method == Method::POST
        && media_type.trim().eq_ignore_ascii_case("application/x-www-form-urlencoded")
}

fn has_parameter(parts: &Parts, name: &[u8]) -> bool {
    parameter(parts, name).next().is_some()
}

fn parameter<'a>(parts: &'a Parts, name: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
    uri::pairs(parts.uri.query().unwrap_or_default().as_bytes())
        .filter(move |(wire, _)| uri::decode_query(wire).is_ok_and(|decoded| *decoded == *name))
        .map(|(_, value)| value)
}

/// Looks at every credential the request presents: one that presents several is refused later, but not by S3.
fn signed_for(parts: &Parts, name: &[u8]) -> bool {
    let in_headers = parts.headers.get_all(AUTHORIZATION).iter().any(|value| {
        let credential = value.to_str().ok().and_then(|value| value.split_once("Credential="));
        credential.is_some_and(|(_, rest)| {
            service(rest.split([',', ' ']).next().unwrap_or_default().as_bytes()) == Some(name)
        })
    });
    in_headers
        || parameter(parts, b"X-Amz-Credential")
            .any(|value| uri::decode_query(value).is_ok_and(|value| service(&value) == Some(name)))
}

/// The service of `…/service/aws4_request`; counted from the end, since an access key id may hold slashes.
fn service(credential: &[u8]) -> Option<&[u8]> {
    credential.rsplit(|&b| b == b'/').nth(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FORM: &str = "application/x-www-form-urlencoded";

    fn recognized(method: &str, uri: &str, headers: &[(&str, &str)]) -> bool {
        let request = http::Request::builder().method(method).uri(uri);
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        is_sts_request(&request.body(()).unwrap().into_parts().0)
    }

    fn authorization(service: &str) -> (&'static str, String) {
        let scope = format!("AKID/20260101/us-east-1/{service}/aws4_request");
        ("authorization", format!("AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0"))
    }

    #[test]
    fn scope_action_or_form_make_it_sts() {
        let (name, sts) = authorization("sts");
        assert!(recognized("POST", "/", &[(name, &sts)]));
        assert!(recognized("PUT", "/?acl", &[(name, &sts)]));
        assert!(recognized("GET", "http://localhost/?x", &[(name, &sts)]));
        assert!(recognized("GET", "/?Action=GetCallerIdentity", &[]));
        assert!(recognized("GET", "/?%41ction=GetCallerIdentity", &[]));
        assert!(recognized("POST", "/", &[("content-type", FORM)]));
        assert!(recognized(
            "POST",
            "/",
            &[("content-type", "Application/X-WWW-form-urlencoded ; charset=utf-8")]
        ));
        assert!(recognized("GET", "/?X-Amz-Credential=a%2F20260101%2Fus-east-1%2Fsts%2Faws4_request", &[]));
        assert!(recognized("GET", "/?X-Amz-Credential=a/b/20260101/us-east-1/sts/aws4_request", &[]));
    }

    #[test]
    fn one_credential_for_sts_among_several_is_enough() {
        let ((name, s3), (_, sts)) = (authorization("s3"), authorization("sts"));
        assert!(recognized("GET", "/", &[(name, &s3), (name, &sts)]));
    }

    #[test]
    fn a_form_with_a_query_signed_for_s3_is_s3() {
        let (name, s3) = authorization("s3");
        assert!(!recognized("POST", "/?delete", &[(name, &s3), ("content-type", FORM)]));
        assert!(recognized("POST", "/?delete", &[("content-type", FORM)]));
        assert!(recognized("POST", "/", &[(name, &s3), ("content-type", FORM)]));
        assert!(recognized("GET", "/?Action=GetCallerIdentity", &[(name, &s3)]));
    }

    #[test]
    fn everything_else_is_s3() {
        let (name, s3) = authorization("s3");
        let (_, sts) = authorization("sts");
        assert!(!recognized("GET", "/", &[(name, &s3)]));
        assert!(!recognized("GET", "/", &[]));
        assert!(!recognized("POST", "/?delete", &[(name, &s3), ("content-type", FORM)]));
        assert!(!recognized("GET", "/?action=x&x-id=ListBuckets", &[(name, &s3)]));
        assert!(!recognized("POST", "/", &[("content-type", "multipart/form-data; boundary=x")]));
        assert!(!recognized("PUT", "/", &[("content-type", FORM)]));
        assert!(!recognized("GET", "/bucket?Action=GetCallerIdentity", &[(name, &sts)]));
        assert!(!recognized("POST", "//", &[("content-type", FORM)]));
    }
}
