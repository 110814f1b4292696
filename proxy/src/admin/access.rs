//! Who may use the API under `/v1`, and who may send and receive secrets.
//!
//! With a configured token the bearer of it may, from anywhere. Without one loopback peers may: whoever runs on
//! this host. Three things reach a loopback listener without being such a peer, and are refused then:
//!
//! - a page in a browser on this host: browsers send `Origin` with every request that changes something;
//! - the same page after DNS rebinding, when it is of "the same origin": its `Host` is a name, not an address;
//! - a reverse proxy on this host that hands on requests from elsewhere: it adds `Forwarded` or `X-Forwarded-For`.

use std::net::{IpAddr, SocketAddr};

use http::header::{AUTHORIZATION, FORWARDED, HOST, HeaderName, ORIGIN};
use http::request::Parts;
use http::uri::Authority;
use http::{HeaderMap, StatusCode};
use ring::hmac;

use super::answer::ApiError;
use crate::config::AdminToken;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The rule for everything under `/v1`.
pub(super) enum Access {
    /// Whoever bears the token.
    Token(TokenCheck),
    /// Whoever is on this host.
    Loopback,
}

/// Compares tokens in constant time: by their HMACs, which ring compares so.
pub(super) struct TokenCheck {
    key: hmac::Key,
    expected: hmac::Tag,
}

impl TokenCheck {
    fn new(token: &AdminToken) -> Self {
        let key = hmac::Key::new(hmac::HMAC_SHA256, b"sigward admin token");
        let expected = hmac::sign(&key, token.0.expose_secret());
        Self { key, expected }
    }

    fn accepts(&self, presented: &[u8]) -> bool {
        hmac::verify(&self.key, presented, self.expected.as_ref()).is_ok()
    }
}

impl Access {
    pub(super) fn new(token: Option<&AdminToken>) -> Self {
        token.map_or(Self::Loopback, |token| Self::Token(TokenCheck::new(token)))
    }

    /// Whether a request from `peer` may use the API.
    pub(super) fn check(&self, peer: SocketAddr, parts: &Parts) -> Result<(), ApiError> {
        match self {
            Self::Token(token) => match bearer(&parts.headers) {
                Some(presented) if token.accepts(presented) => Ok(()),
                Some(_) => Err(unauthorized("the bearer token is not the right one")),
                None => Err(unauthorized("a bearer token is needed")),
            },
            Self::Loopback if !is_loopback(peer) => {
                Err(forbidden("without a configured token this API answers loopback peers only"))
            }
            Self::Loopback => check_direct(parts),
        }
    }
}

/// Whether a secret may travel between this process and `peer`.
pub(super) fn check_confidential(peer: SocketAddr, tls: bool) -> Result<(), ApiError> {
    if tls || is_loopback(peer) {
        return Ok(());
    }
    Err(forbidden("secrets are accepted and given out over TLS or loopback only; this connection is neither"))
}

/// An IPv4 peer of an IPv6 socket is recognised too.
fn is_loopback(peer: SocketAddr) -> bool {
    peer.ip().to_canonical().is_loopback()
}

/// Refuses what reaches loopback on behalf of somebody else.
fn check_direct(parts: &Parts) -> Result<(), ApiError> {
    if parts.headers.contains_key(ORIGIN) {
        return Err(forbidden("requests of web pages need a configured token"));
    }
    if parts.headers.contains_key(FORWARDED) || parts.headers.contains_key(X_FORWARDED_FOR) {
        return Err(forbidden("forwarded requests need a configured token"));
    }
    let host = match parts.uri.authority() {
        Some(authority) => Some(authority.clone()),
        None => parts.headers.get(HOST).and_then(|host| Authority::try_from(host.as_bytes()).ok()),
    };
    if host.is_some_and(|host| is_local_name(host.host())) {
        return Ok(());
    }
    Err(forbidden("without a configured token the host must be an IP address or localhost"))
}

fn is_local_name(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost") || address.parse::<IpAddr>().is_ok()
}

/// The token of `Authorization: Bearer …` (RFC 6750, 2.1), if there is exactly one such header.
fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let value = values.next().filter(|_| values.next().is_none())?.as_bytes();
    let (scheme, token) = value.split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"bearer ").then(|| token.trim_ascii())
}

fn unauthorized(message: &str) -> ApiError {
    ApiError::new(StatusCode::UNAUTHORIZED, "Unauthorized", message)
}

fn forbidden(message: &str) -> ApiError {
    ApiError::new(StatusCode::FORBIDDEN, "Forbidden", message)
}

#[cfg(test)]
mod tests {
    use http::Request;
    use sigv4::SecretAccessKey;

    use super::*;

    const LOOPBACK: &str = "127.0.0.1:5000";
    const ELSEWHERE: &str = "192.0.2.7:5000";

    fn status(access: &Access, peer: &str, headers: &[(&str, &str)]) -> u16 {
        let mut request = Request::builder().uri("/v1/sessions");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (parts, ()) = request.body(()).unwrap().into_parts();
        access.check(peer.parse().unwrap(), &parts).map_or_else(|error| error.status().as_u16(), |()| 200)
    }

    #[test]
    fn without_a_token_only_this_host_is_answered() {
        let access = Access::new(None);
        for peer in [LOOPBACK, "127.9.9.9:1", "[::1]:1", "[::ffff:127.0.0.1]:1"] {
            assert_eq!(status(&access, peer, &[("host", "localhost:9090")]), 200, "{peer}");
        }
        for peer in [ELSEWHERE, "[2001:db8::1]:1", "[::ffff:192.0.2.7]:1", "0.0.0.0:1"] {
            assert_eq!(status(&access, peer, &[("host", "localhost:9090")]), 403, "{peer}");
        }
    }

    #[test]
    fn without_a_token_browsers_and_proxies_are_refused() {
        let access = Access::new(None);
        for host in ["127.0.0.1:9090", "[::1]:9090", "LOCALHOST", "10.0.0.1"] {
            assert_eq!(status(&access, LOOPBACK, &[("host", host)]), 200, "{host}");
        }
        for host in ["evil.example:9090", "localhost.evil.example", "127.0.0.1.nip.io", ""] {
            assert_eq!(status(&access, LOOPBACK, &[("host", host)]), 403, "{host}");
        }
        assert_eq!(status(&access, LOOPBACK, &[]), 403);
        for header in ["origin", "forwarded", "x-forwarded-for"] {
            let headers = [("host", "localhost"), (header, "http://localhost")];
            assert_eq!(status(&access, LOOPBACK, &headers), 403, "{header}");
        }
    }

    #[test]
    fn with_a_token_its_bearer_is_answered_and_nobody_else() {
        let access = Access::new(Some(&AdminToken(SecretAccessKey::new("canary"))));
        for peer in [LOOPBACK, ELSEWHERE] {
            let cases: [(&[(&str, &str)], u16); 8] = [
                (&[("authorization", "Bearer canary")], 200),
                (&[("authorization", "bearer canary"), ("origin", "https://console.example")], 200),
                (&[], 401),
                (&[("authorization", "Bearer canar")], 401),
                (&[("authorization", "Bearer canaryy")], 401),
                (&[("authorization", "Bearer ")], 401),
                (&[("authorization", "Basic canary")], 401),
                (&[("authorization", "Bearer canary"), ("authorization", "Bearer canary")], 401),
            ];
            for (headers, expected) in cases {
                assert_eq!(status(&access, peer, headers), expected, "{headers:?}");
            }
        }
    }

    #[test]
    fn secrets_travel_over_tls_or_loopback_only() {
        let allowed = |peer: &str, tls| check_confidential(peer.parse().unwrap(), tls).is_ok();
        assert!(allowed(LOOPBACK, false));
        assert!(allowed(ELSEWHERE, true));
        assert!(!allowed(ELSEWHERE, false));
    }
}
