//! Who is on the other end of a connection.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use http::HeaderValue;

/// Who is on the other end of a connection.
#[derive(Clone, Debug)]
pub struct Peer {
    address: SocketAddr,
    /// The address as a header says it: written once for all the requests of a connection.
    forwarded_for: Option<HeaderValue>,
    /// Whether the connection is encrypted.
    pub tls: bool,
    /// Which listener it came to: 0 is the first, further ones count on in the order of the configuration.
    pub listener: usize,
    /// The names in the certificate it proved to have; `None` without one.
    pub certificate: Option<Arc<[String]>>,
}

impl Peer {
    /// Someone at `address` of whom nothing else is known, on the first listener.
    pub fn at(address: SocketAddr) -> Self {
        let mut peer = Self { address, forwarded_for: None, tls: false, listener: 0, certificate: None };
        peer.stand_for(address);
        peer
    }

    /// Where it is.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where it is, whatever the port.
    pub const fn ip(&self) -> IpAddr {
        self.address.ip()
    }

    /// The value of `X-Forwarded-For`.
    pub const fn forwarded_for(&self) -> Option<&HeaderValue> {
        self.forwarded_for.as_ref()
    }

    /// It turns out to speak for somebody at another address.
    pub fn stand_for(&mut self, address: SocketAddr) {
        self.address = address;
        self.forwarded_for = HeaderValue::try_from(address.ip().to_string()).ok();
    }
}
