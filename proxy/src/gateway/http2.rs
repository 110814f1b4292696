//! Requests of HTTP/2, put as HTTP/1.1 would put them: what follows knows one form, and so does the backend.
//!
//! Source: RFC 9113, 8.2.3 and 8.3.1.

use http::header::{COOKIE, HOST};
use http::request::Parts;
use http::{HeaderValue, Version};
use sigv4::ParseError;

use super::error::GatewayError;
use crate::auth::AuthError;

/// `:authority` becomes `Host`, and the crumbs of `Cookie` one header. Headers of the connection were refused by the
/// listener, which knows none over HTTP/2.
///
/// # Errors
/// `Host` comes twice, or names another host than `:authority`: a reader of the one would not serve what a reader of the other was
/// asked.
pub(super) fn like_http1(parts: &mut Parts) -> Result<(), GatewayError> {
    if parts.version != Version::HTTP_2 {
        return Ok(());
    }
    if parts.headers.get_all(HOST).iter().nth(1).is_some() {
        return Err(two_hosts());
    }
    if let Some(authority) = parts.uri.authority() {
        let host = HeaderValue::from_str(authority.as_str()).map_err(|_| two_hosts())?;
        if parts.headers.get_all(HOST).iter().any(|other| other != host) {
            return Err(two_hosts());
        }
        parts.headers.insert(HOST, host);
    }
    let crumbs: Vec<&[u8]> = parts.headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if crumbs.len() > 1
        && let Ok(whole) = HeaderValue::from_bytes(&crumbs.join(&b"; "[..]))
    {
        parts.headers.insert(COOKIE, whole);
    }
    Ok(())
}

pub(super) fn two_hosts() -> GatewayError {
    AuthError::from(ParseError::ConflictingHosts).into()
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn parts(version: Version, headers: &[(&str, &str)]) -> Parts {
        let mut request = Request::get("https://bucket.s3.test/key").version(version);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    fn told(parts: &Parts, name: &str) -> Vec<String> {
        parts.headers.get_all(name).iter().map(|value| value.to_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn authority_is_the_host_and_crumbs_are_one_cookie() {
        let mut bare =
            parts(Version::HTTP_2, &[("cookie", "a=1"), ("cookie", "b=2"), ("x", "1"), ("x", "2")]);
        like_http1(&mut bare).unwrap();
        assert_eq!(told(&bare, "host"), ["bucket.s3.test"]);
        assert_eq!(told(&bare, "cookie"), ["a=1; b=2"]);
        assert_eq!(told(&bare, "x"), ["1", "2"]);
        let mut both = parts(Version::HTTP_2, &[("host", "bucket.s3.test"), ("cookie", "a=1")]);
        like_http1(&mut both).unwrap();
        assert_eq!(
            (told(&both, "host"), told(&both, "cookie")),
            (vec!["bucket.s3.test".into()], vec!["a=1".into()])
        );
    }

    #[test]
    fn a_host_that_is_not_the_authority_is_refused() {
        for hosts in [
            &[("host", "other")][..],
            &[("host", "bucket.s3.test"), ("host", "other")],
            &[("host", "bucket.s3.test"), ("host", "bucket.s3.test")],
        ] {
            let refused = like_http1(&mut parts(Version::HTTP_2, hosts));
            assert!(
                matches!(refused, Err(GatewayError::Auth(AuthError::Parse(ParseError::ConflictingHosts)))),
                "{hosts:?}"
            );
        }
    }

    #[test]
    fn http1_is_left_alone() {
        let mut absolute =
            parts(Version::HTTP_11, &[("host", "other"), ("cookie", "a=1"), ("cookie", "b=2")]);
        like_http1(&mut absolute).unwrap();
        assert_eq!((told(&absolute, "host"), told(&absolute, "cookie").len()), (vec!["other".to_owned()], 2));
    }
}
