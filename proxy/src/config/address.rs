//! What can be told of an address by looking at it.

use std::net::IpAddr;

use http::Uri;

/// Where something comes from, as limits tell it: an IPv4 address, or the /64 of an IPv6 one, which is what one subscriber
/// has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Source(u64);

impl Source {
    /// The source that `address` belongs to.
    pub fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            // Beside the /64s: those of 0::/64 belong to nobody.
            IpAddr::V4(address) => Self(u64::from(u32::from(address))),
            IpAddr::V6(address) => Self((u128::from(address) >> 64) as u64),
        }
    }
}

/// Whether a URL's host is this machine, so that nobody stands between here and there.
pub fn is_this_machine(uri: &Uri) -> bool {
    let host = uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost")
        || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_is_known_by_name_and_address() {
        let is = |uri: &str| is_this_machine(&uri.parse().unwrap());
        for uri in ["http://localhost/a", "http://LocalHost:1", "http://127.0.0.2", "http://[::1]:1/"] {
            assert!(is(uri), "{uri}");
        }
        for uri in
            ["http://localhost.example", "http://10.0.0.1", "http://[fe80::1]", "/a", "http://127.1.example"]
        {
            assert!(!is(uri), "{uri}");
        }
    }
}
