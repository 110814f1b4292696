//! Which headers of a request go on to the backend.

use http::header::{
    CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, EXPECT, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE,
    TRAILER, TRANSFER_ENCODING, UPGRADE,
};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue};

use super::Content;
use crate::s3::{self, begins_with_either_spelling};

/// Prefix of the identity headers. A client's own headers of that name never reach a backend.
pub(super) const IDENTITY_PREFIX: &str = "x-sigward-";

/// Headers of the connection and not of the message (RFC 9110, 7.6.1 and 11.7).
static HOP_BY_HOP: [HeaderName; 9] = [
    CONNECTION,
    HeaderName::from_static("keep-alive"),
    PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION,
    HeaderName::from_static("proxy-connection"),
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
];

/// Removes the headers of the connection, and those that `Connection` nominates, unless `keep` objects.
pub fn strip_hop_by_hop(headers: &mut HeaderMap, keep: impl Fn(&HeaderName) -> bool) {
    // Most messages have none, and to look is cheaper than to remove what is not there.
    if !headers.keys().any(|name| HOP_BY_HOP.contains(name)) {
        return;
    }
    for name in nominated(headers).filter(|name| !keep(name)).collect::<Vec<_>>() {
        headers.remove(name);
    }
    for name in &HOP_BY_HOP {
        headers.remove(name);
    }
}

/// What `Connection` nominates, but for what goes in any case.
fn nominated(headers: &HeaderMap) -> impl Iterator<Item = HeaderName> {
    headers
        .get_all(CONNECTION)
        .iter()
        .flat_map(|value| value.as_bytes().split(|&byte| byte == b','))
        .map(<[u8]>::trim_ascii)
        // What nearly everybody says.
        .filter(|name| !name.eq_ignore_ascii_case(b"keep-alive") && !name.eq_ignore_ascii_case(b"close"))
        .filter_map(|name| HeaderName::from_bytes(name).ok())
}

/// The client's headers without those of its connection and without claims to an identity.
///
/// `Connection` may not nominate a header away that carries meaning for the backend: a verified `x-amz-*`
/// header that vanished on the way would make another request of the one that was signed.
pub(super) fn end_to_end(received: &HeaderMap, signed: impl Fn(&str) -> bool) -> HeaderMap {
    copy(received, |name| is_end_to_end(name, &signed), &signed)
}

/// [`end_to_end`] without what authenticated the request to the gateway and what only described its framing.
pub(super) fn unauthenticated(received: &HeaderMap, signed: impl Fn(&str) -> bool) -> HeaderMap {
    let keep = |name: &HeaderName| !is_of_authentication(name.as_str()) && is_end_to_end(name, &signed);
    let mut headers = copy(received, keep, &signed);
    strip_aws_chunked(&mut headers);
    headers
}

/// One pass, with room for what is going to be added: taking headers out of a copy of all costs more than the copy.
fn copy(
    received: &HeaderMap,
    keep: impl Fn(&HeaderName) -> bool,
    signed: impl Fn(&str) -> bool,
) -> HeaderMap {
    const ADDED: usize = 8;
    let carries_meaning = |name: &str| {
        name.starts_with("x-amz-")
            || name.starts_with("content-")
            || ["authorization", "host", "range"].contains(&name)
            || signed(name)
    };
    let mut headers = HeaderMap::with_capacity(received.keys_len() + ADDED);
    for (name, value) in received {
        if keep(name) {
            headers.append(name.clone(), value.clone());
        }
    }
    for name in nominated(received).filter(|name| !carries_meaning(name.as_str())) {
        headers.remove(name);
    }
    headers
}

fn is_end_to_end(name: &HeaderName, signed: impl Fn(&str) -> bool) -> bool {
    !HOP_BY_HOP.contains(name)
        && *name != EXPECT
        && !is_identity(name.as_str())
        && !is_disguised(name.as_str(), signed)
}

/// Whether a name with `_` may stand for another header. Some backends read `_` as `-`: to them `x_amz_copy_source`
/// would be the `x-amz-copy-source` that nobody signed. So such a name goes unless it is signed, and where it would
/// stand for a header that the gateway acts upon even then. Names of metadata may hold what they like.
fn is_disguised(name: &str, signed: impl Fn(&str) -> bool) -> bool {
    const ACTED_UPON: [&str; 5] =
        ["x-amz-", "content-length", "transfer-encoding", "x-forwarded-", "x-real-ip"];
    name.contains('_')
        && !name.starts_with("x-amz-meta-")
        && (!signed(name)
            || ACTED_UPON.iter().any(|prefix| begins_with_either_spelling(name.as_bytes(), prefix)))
}

/// Whether a header authenticated the request to the gateway, only described its framing, or is not the client's to say.
fn is_of_authentication(name: &str) -> bool {
    const SIGV4: [&str; 6] = [
        "x-amz-date",
        "x-amz-security-token",
        "x-amz-content-sha256",
        "x-amz-region-set",
        "x-amz-decoded-content-length",
        "x-amz-trailer",
    ];
    const OTHERS: [&str; 5] = ["authorization", "host", "content-length", "forwarded", "x-real-ip"];
    SIGV4.contains(&name)
        || OTHERS.contains(&name)
        || name.starts_with("x-forwarded-")
        || is_override(name)
        || is_of_vendor(name)
}

/// Whether some backends take the header as an order of their own, such as to unpack an archive, or as said by another
/// server of theirs. The gateway, which speaks of S3 only, cannot say what it would permit by it.
fn is_of_vendor(name: &str) -> bool {
    s3::vendor_prefix(name.as_bytes()).is_some()
}

/// Whether some backends take the header's value for the method or the target of the request. What was verified and
/// authorised are those of the request line; nobody has to sign such a header.
fn is_override(name: &str) -> bool {
    const OVERRIDES: [&str; 6] = [
        "x-http-method-override",
        "x-http-method",
        "x-method-override",
        "x-original-url",
        "x-original-uri",
        "x-rewrite-url",
    ];
    OVERRIDES
        .iter()
        .any(|known| known.len() == name.len() && begins_with_either_spelling(name.as_bytes(), known))
}

/// Where a trailing checksum was proved here and does not go on, nothing may announce it.
pub(super) fn forget_dropped_trailer(received: &Parts, content: &Content, headers: &mut HeaderMap) {
    if received.headers.contains_key("x-amz-trailer") && !matches!(content, Content::Trailing { .. }) {
        headers.remove("x-amz-sdk-checksum-algorithm");
    }
}

/// Announces the body.
pub(super) fn describe(content: &Content, has_body_method: bool, headers: &mut HeaderMap) {
    match content.length() {
        // A GET without a body says nothing about it; a PUT of nothing says so.
        Some(0) if *content == Content::Empty && !has_body_method => {}
        Some(length) => {
            headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
        }
        None => {}
    }
    if let Content::Trailing { decoded, algorithm, .. } = *content {
        headers.insert("x-amz-decoded-content-length", HeaderValue::from(decoded));
        headers.insert("x-amz-trailer", HeaderValue::from_static(algorithm.header_name()));
        let codings = headers.get_all(CONTENT_ENCODING).iter().map(HeaderValue::as_bytes);
        let joined = [&b"aws-chunked"[..]].into_iter().chain(codings).collect::<Vec<_>>().join(&b","[..]);
        if let Ok(value) = HeaderValue::from_bytes(&joined) {
            headers.insert(CONTENT_ENCODING, value);
        }
    }
}

/// Removes the coding `aws-chunked` from `Content-Encoding` and keeps the others in their order.
fn strip_aws_chunked(headers: &mut HeaderMap) {
    let is_ours = |coding: &[u8]| coding.eq_ignore_ascii_case(b"aws-chunked");
    let codings =
        headers.get_all(CONTENT_ENCODING).iter().flat_map(|value| value.as_bytes().split(|&b| b == b','));
    let codings: Vec<&[u8]> = codings.map(<[u8]>::trim_ascii).filter(|coding| !coding.is_empty()).collect();
    if !codings.iter().any(|coding| is_ours(coding)) {
        return;
    }
    let rest = codings.into_iter().filter(|coding| !is_ours(coding)).collect::<Vec<_>>().join(&b","[..]);
    headers.remove(CONTENT_ENCODING);
    if let (false, Ok(value)) = (rest.is_empty(), HeaderValue::from_bytes(&rest)) {
        headers.insert(CONTENT_ENCODING, value);
    }
}

/// Some backends read `_` and `-` in header names as one: both spellings are claims.
fn is_identity(name: &str) -> bool {
    begins_with_either_spelling(name.as_bytes(), IDENTITY_PREFIX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|&(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .fold(HeaderMap::new(), |mut map, (name, value)| {
                map.append(name, value);
                map
            })
    }

    #[test]
    fn nominated_headers_go_unless_they_are_signed_or_carry_meaning() {
        let received = map(&[
            ("connection", "close, X-Hop, x-amz-copy-source"),
            ("connection", "x-signed , range"),
            ("x-hop", "1"),
            ("x-amz-copy-source", "/b/k"),
            ("x-signed", "1"),
            ("range", "bytes=0-1"),
            ("te", "trailers"),
            ("keep-alive", "timeout=5"),
        ]);
        let sent = end_to_end(&received, |name| name == "x-signed");
        assert_eq!(sent, map(&[("x-amz-copy-source", "/b/k"), ("x-signed", "1"), ("range", "bytes=0-1")]));
    }

    #[test]
    fn inbound_identity_headers_are_removed_in_every_spelling() {
        let received = map(&[("x-sigward-account", "1"), ("x_sigward_account", "1"), ("x-sigwar", "kept")]);
        assert_eq!(end_to_end(&received, |_| true), map(&[("x-sigwar", "kept")]));
    }

    #[test]
    fn underscores_cannot_hide_a_header_that_must_be_signed() {
        let received = map(&[
            ("x_amz_copy_source", "/b/k"),
            ("x-amz_acl", "public-read"),
            ("x-amz-copy_source", "/b/k"),
            ("content_length", "1"),
            ("x_forwarded_for", "192.0.2.1"),
            ("my_header", "unsigned"),
            ("my_signed_header", "kept"),
            ("x-amz-meta-my_key", "kept"),
        ]);
        let kept = map(&[("my_signed_header", "kept"), ("x-amz-meta-my_key", "kept")]);
        assert_eq!(end_to_end(&received, |name| name != "my_header"), kept);
        let unsigned = end_to_end(&received, |name| name == "x-amz-meta-my_key");
        assert_eq!(unsigned, map(&[("x-amz-meta-my_key", "kept")]));
    }

    #[test]
    fn nothing_overrules_the_request_line() {
        let received = map(&[
            ("x-http-method-override", "DELETE"),
            ("x-method-override", "DELETE"),
            ("x-original-url", "/other/k"),
            ("x_rewrite_url", "/other/k"),
            ("x-amz-meta-a", "kept"),
        ]);
        assert_eq!(unauthenticated(&received, |_| false), map(&[("x-amz-meta-a", "kept")]));
    }

    #[test]
    fn what_only_one_vendor_understands_does_not_go_on() {
        let received = map(&[
            ("x-minio-extract", "true"),
            ("x_minio_source_mtime", "1"),
            ("x-rustfs-source_version-id", "1"),
            ("x-seaweedfs-principal", "1"),
            ("seaweed-x-amz-acl", "1"),
            ("x-rgw-a", "1"),
            ("rgwx-uid", "1"),
            ("x-amz-replication-status", "REPLICA"),
            ("x-amz-meta-minio", "kept"),
        ]);
        assert_eq!(unauthenticated(&received, |_| true), map(&[("x-amz-meta-minio", "kept")]));
    }

    #[test]
    fn only_the_framing_leaves_the_content_encoding() {
        for (before, after) in [
            ("aws-chunked", None),
            ("aws-chunked,gzip", Some("gzip")),
            ("gzip, AWS-Chunked", Some("gzip")),
            ("gzip, br", Some("gzip, br")),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static(before));
            strip_aws_chunked(&mut headers);
            assert_eq!(headers.get(CONTENT_ENCODING).and_then(|v| v.to_str().ok()), after, "{before}");
        }
    }
}
