//! How a request names its bucket to the backend, and the bytes of its target.

use bytes::Bytes;
use http::uri::PathAndQuery;
use http::{HeaderValue, Uri};

use super::UpstreamError;
use crate::config::Addressing;

/// `Host` and path of a request.
pub(super) struct Address<'a> {
    pub(super) host: HeaderValue,
    pub(super) path: &'a [u8],
}

impl<'a> Address<'a> {
    /// Of a path-style `path`, as the backend at `authority` wants it. A bucket that cannot be part of a host name
    /// stays in the path, as with AWS; so it does before a key that begins with a slash, since some backends leave out
    /// what is then more than one at the beginning of the path.
    pub(super) fn new(
        style: Addressing,
        authority: &HeaderValue,
        path: &'a [u8],
    ) -> Result<Self, UpstreamError> {
        let virtual_hosted = match style {
            Addressing::Path => None,
            Addressing::Virtual => virtual_hosted(path),
        };
        let Some((bucket, path)) = virtual_hosted else { return Ok(Self { host: authority.clone(), path }) };
        let host = [bucket, b".", authority.as_bytes()].concat();
        let host = HeaderValue::from_maybe_shared(Bytes::from(host)).map_err(unwritable)?;
        Ok(Self { host, path })
    }
}

/// Bucket and path within it.
fn virtual_hosted(path: &[u8]) -> Option<(&[u8], &[u8])> {
    let rest = path.strip_prefix(b"/")?;
    let end = rest.iter().position(|&byte| byte == b'/').unwrap_or(rest.len());
    let (bucket, key) = rest.split_at_checked(end)?;
    let legal = |&byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    // A dot would take the bucket out of the wildcard of the certificate.
    let named = (3..=63).contains(&bucket.len()) && bucket.iter().all(legal);
    let inner = [bucket.first(), bucket.last()].iter().all(|edge| edge.is_some_and(|&byte| byte != b'-'));
    let plain =
        key.get(1) != Some(&b'/') && !key.get(1..4).is_some_and(|escape| escape.eq_ignore_ascii_case(b"%2f"));
    (named && inner && plain).then_some((bucket, if key.is_empty() { b"/" } else { key }))
}

/// The target of the request line. The bytes of path and query stand there as they stood in the client's.
pub(super) fn target(path: &[u8], query: Option<&str>) -> Result<Uri, UpstreamError> {
    let query = query.map(str::as_bytes);
    let mut target = Vec::with_capacity(path.len() + query.map_or(0, |query| query.len() + 1));
    target.extend_from_slice(path);
    if let Some(query) = query {
        target.push(b'?');
        target.extend_from_slice(query);
    }
    PathAndQuery::from_maybe_shared(Bytes::from(target)).map(Uri::from).map_err(unwritable)
}

fn unwritable(error: impl std::fmt::Display) -> UpstreamError {
    UpstreamError::Unwritable(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_becomes_part_of_the_host_if_it_can() {
        let authority = HeaderValue::from_static("s3.test:9000");
        for (path, host, rest) in [
            ("/bucket/a/b", "bucket.s3.test:9000", "/a/b"),
            ("/bucket//a", "s3.test:9000", "/bucket//a"),
            ("/bucket/%2fa", "s3.test:9000", "/bucket/%2fa"),
            ("/bucket/a//", "bucket.s3.test:9000", "/a//"),
            ("/bucket/", "bucket.s3.test:9000", "/"),
            ("/bucket", "bucket.s3.test:9000", "/"),
            ("/", "s3.test:9000", "/"),
            ("/with.dot/a", "s3.test:9000", "/with.dot/a"),
            ("/Upper/a", "s3.test:9000", "/Upper/a"),
            ("/ab/a", "s3.test:9000", "/ab/a"),
            ("/-bucket/a", "s3.test:9000", "/-bucket/a"),
            ("/b%2Fcket/a", "s3.test:9000", "/b%2Fcket/a"),
        ] {
            let address = Address::new(Addressing::Virtual, &authority, path.as_bytes()).unwrap();
            assert_eq!((address.host.to_str().unwrap(), address.path), (host, rest.as_bytes()), "{path}");
            let address = Address::new(Addressing::Path, &authority, path.as_bytes()).unwrap();
            assert_eq!((address.host, address.path), (authority.clone(), path.as_bytes()));
        }
    }

    #[test]
    fn the_target_keeps_its_bytes() {
        assert_eq!(target(b"/b/%7e//a", Some("x=%2F&y")).unwrap(), "/b/%7e//a?x=%2F&y");
        assert_eq!(target(b"/b", None).unwrap(), "/b");
        assert!(target(b"/a b", None).is_err());
    }
}
