//! What trusted proxies say about a request: whose it is, whether it came to them encrypted, for which host.
//!
//! `X-Forwarded-For`, `-Proto`, `-Host` and `-Port` count if the peer is a trusted proxy, and are nothing to anybody else.
//! `Forwarded` (RFC 7239) is not read: of two headers that say the same, one might come from the client.

use std::net::{IpAddr, SocketAddr};

use http::header::HOST;
use http::request::Parts;
use http::uri::Authority;
use http::{HeaderMap, HeaderValue, Uri};

use super::Peer;
use crate::config::Network;

const FOR: &str = "x-forwarded-for";
const PROTO: &str = "x-forwarded-proto";
const FORWARDED_HOST: &str = "x-forwarded-host";
const PORT: &str = "x-forwarded-port";

/// Most hosts for which a signature is verified beside the received one: each costs as much as a request.
const MOST_HOSTS: usize = 4;

/// Puts whoever a trusted proxy speaks for into the place of `peer`. Returns the hosts that the request may be signed
/// for instead of the received one; none of another peer.
pub(super) fn believe(trusted: &[Network], headers: &HeaderMap, peer: &mut Peer) -> Vec<HeaderValue> {
    if !is_trusted(trusted, peer.ip()) {
        return Vec::new();
    }
    if let Some(address) = client(trusted, headers) {
        peer.stand_for(SocketAddr::new(address, 0));
    }
    if let Some(encrypted) = encrypted(headers) {
        peer.tls = encrypted;
    }
    hosts(headers)
}

/// The request as its signature says it was sent.
pub(super) fn sent_to(parts: &Parts, host: &HeaderValue) -> Parts {
    let mut parts = parts.clone();
    parts.headers.insert(HOST, host.clone());
    if let Some(target) = parts.uri.path_and_query().cloned() {
        parts.uri = Uri::from(target);
    }
    parts
}

fn is_trusted(trusted: &[Network], address: IpAddr) -> bool {
    trusted.iter().any(|network| network.contains(address))
}

/// The right-most hop that is no trusted proxy itself: what stands to its left, it may have made up. The first hop if
/// all are trusted; `None` if one on the way is no address.
fn client(trusted: &[Network], headers: &HeaderMap) -> Option<IpAddr> {
    let mut first = None;
    for value in headers.get_all(FOR).iter().rev() {
        for hop in value.as_bytes().rsplit(|&byte| byte == b',') {
            let hop = address(hop.trim_ascii())?;
            if !is_trusted(trusted, hop) {
                return Some(hop);
            }
            first = Some(hop);
        }
    }
    first
}

/// An address, with or without a port; one of IPv6 with a port in brackets.
fn address(text: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(text).ok()?;
    let bare = || text.strip_prefix('[')?.strip_suffix(']')?.parse::<IpAddr>().ok();
    let with_port = || text.parse::<SocketAddr>().ok().map(|address| address.ip());
    let address = text.parse().ok().or_else(with_port).or_else(bare)?;
    Some(address.to_canonical())
}

/// Whether every hop was encrypted; `None` if nobody says so. A client can add nothing that makes it more than it is.
fn encrypted(headers: &HeaderMap) -> Option<bool> {
    let values = headers.get_all(PROTO).iter().flat_map(|value| value.as_bytes().split(|&byte| byte == b','));
    values.map(|scheme| scheme.trim_ascii().eq_ignore_ascii_case(b"https")).reduce(|all, one| all && one)
}

/// Each host as it stands there, and with the port that is told beside it.
fn hosts(headers: &HeaderMap) -> Vec<HeaderValue> {
    let port = headers.get(PORT).and_then(|port| port.to_str().ok()?.trim().parse::<u16>().ok());
    let mut hosts = Vec::new();
    let values = headers.get_all(FORWARDED_HOST).iter().filter_map(|value| value.to_str().ok());
    for host in values.flat_map(|value| value.split(',')).map(str::trim) {
        let Ok(authority) = host.parse::<Authority>() else { continue };
        if host.contains('@') {
            continue;
        }
        let with_port = port.filter(|_| authority.port().is_none()).map(|port| format!("{host}:{port}"));
        let both = std::iter::once(host.to_owned()).chain(with_port);
        hosts.extend(both.filter_map(|host| HeaderValue::try_from(host).ok()));
    }
    hosts.truncate(MOST_HOSTS);
    hosts
}

#[cfg(test)]
mod tests {
    use http::HeaderName;

    use super::*;

    /// Address, encryption and hosts, as a peer at `peer` says them.
    fn said(peer: &str, headers: &[(&'static str, &'static str)]) -> (String, bool, Vec<String>) {
        let trusted = [Network::parse("10.0.0.0/8").unwrap(), Network::parse("fd00::/8").unwrap()];
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        let mut peer = Peer::at(SocketAddr::new(peer.parse().unwrap(), 1));
        let hosts = believe(&trusted, &map, &mut peer);
        let hosts = hosts.iter().map(|host| host.to_str().unwrap().to_owned()).collect();
        (peer.ip().to_string(), peer.tls, hosts)
    }

    fn source(hops: &[&'static str]) -> String {
        let headers: Vec<_> = hops.iter().map(|hop| (FOR, *hop)).collect();
        said("10.0.0.1", &headers).0
    }

    #[test]
    fn the_source_is_the_last_hop_that_is_not_trusted() {
        for (hops, address) in [
            (&["192.0.2.1"][..], "192.0.2.1"),
            (&["198.51.100.1, 192.0.2.1, 10.0.0.2"], "192.0.2.1"),
            (&["198.51.100.1", "192.0.2.1", "10.0.0.2,10.0.0.3"], "192.0.2.1"),
            (&["garbage, 192.0.2.1"], "192.0.2.1"),
            (&["192.0.2.1:4711"], "192.0.2.1"),
            (&["[2001:db8::1]:4711, fd00::1"], "2001:db8::1"),
            (&["[2001:db8::1]"], "2001:db8::1"),
            (&["::ffff:192.0.2.1, ::ffff:10.0.0.9"], "192.0.2.1"),
            (&["10.0.0.7, 10.0.0.8"], "10.0.0.7"),
            (&[], "10.0.0.1"),
        ] {
            assert_eq!(source(hops), address, "{hops:?}");
        }
    }

    #[test]
    fn a_hop_that_is_no_address_leaves_the_proxys_own() {
        for hops in
            ["", "unknown", "192.0.2.1,", "192.0.2.1, 10.0.0", "_hidden, 10.0.0.2", "192.0.2.1 10.0.0.2"]
        {
            assert_eq!(source(&[hops]), "10.0.0.1", "{hops:?}");
        }
    }

    #[test]
    fn nobody_else_is_believed() {
        let headers = [(FOR, "10.0.0.9"), (PROTO, "https"), (FORWARDED_HOST, "s3.test"), (PORT, "443")];
        assert_eq!(said("192.0.2.9", &headers), ("192.0.2.9".to_owned(), false, Vec::new()));
    }

    #[test]
    fn a_request_came_encrypted_if_every_hop_says_so() {
        for (values, tls) in [
            (&["https"][..], true),
            (&["HTTPS , https"], true),
            (&["https, http"], false),
            (&["http", "https"], false),
            (&["wss"], false),
            (&[], false),
        ] {
            let headers: Vec<_> = values.iter().map(|value| (PROTO, *value)).collect();
            assert_eq!(said("10.0.0.1", &headers).1, tls, "{values:?}");
        }
    }

    #[test]
    fn hosts_come_as_they_are_told_and_with_the_port() {
        for (headers, hosts) in [
            (&[(FORWARDED_HOST, "s3.test")][..], &["s3.test"][..]),
            (&[(FORWARDED_HOST, "s3.test"), (PORT, "8443")], &["s3.test", "s3.test:8443"]),
            (&[(FORWARDED_HOST, "s3.test:9000"), (PORT, "8443")], &["s3.test:9000"]),
            (&[(FORWARDED_HOST, "a.test, b.test")], &["a.test", "b.test"]),
            (&[(FORWARDED_HOST, "a b"), (FORWARDED_HOST, "x@s3.test"), (FORWARDED_HOST, "")], &[]),
            (&[(FORWARDED_HOST, "a,b,c,d,e,f")], &["a", "b", "c", "d"]),
            (&[(PORT, "8443")], &[]),
        ] {
            assert_eq!(said("10.0.0.1", headers).2, hosts, "{headers:?}");
        }
    }
}
