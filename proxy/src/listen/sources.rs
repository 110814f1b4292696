//! How many connections there are, in all and from one address.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};

/// Connections by address; clones share it.
#[derive(Clone, Debug)]
pub(super) struct Sources {
    /// From one address; `None`: nobody counts.
    most: Option<usize>,
    counts: Arc<Mutex<HashMap<IpAddr, usize>>>,
}

/// A connection that is counted until this is dropped.
#[derive(Debug)]
pub(super) struct Counted(Option<(Sources, IpAddr)>);

impl Sources {
    pub(super) fn new(most: Option<usize>) -> Self {
        Self { most, counts: Arc::default() }
    }

    /// Counts a connection; `None`: it is one too many.
    pub(super) fn count(&self, address: IpAddr) -> Option<Counted> {
        let Some(most) = self.most else { return Some(Counted(None)) };
        let source = source(address);
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(source).or_default();
        if *count >= most {
            return None;
        }
        *count += 1;
        Some(Counted(Some((self.clone(), source))))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let Some((sources, source)) = self.0.take() else { return };
        let mut counts = sources.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&source) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&source);
            }
        }
    }
}

/// Whoever has one address of IPv6 has the 2^64 of its network (RFC 6177): they count as one.
fn source(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(v4) => v4.into(),
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() & (u128::MAX << 64)).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_has_so_many_connections_and_no_more() {
        let sources = Sources::new(Some(2));
        let count = |address: &str| sources.count(address.parse().unwrap());
        let first = count("192.0.2.7");
        let second = count("::ffff:192.0.2.7");
        assert!(first.is_some() && second.is_some());
        assert!(count("192.0.2.7").is_none());
        assert!(count("192.0.2.8").is_some(), "somebody else");
        drop(first);
        assert!(count("192.0.2.7").is_some());
        drop(second);
        assert!(sources.counts.lock().unwrap().is_empty(), "who is gone is forgotten");
    }

    #[test]
    fn a_network_of_ipv6_is_one_source() {
        let sources = Sources::new(Some(1));
        let _first = sources.count("2001:db8::1".parse().unwrap()).unwrap();
        assert!(sources.count("2001:db8::ffff:2".parse().unwrap()).is_none());
        assert!(sources.count("2001:db8:0:1::1".parse().unwrap()).is_some());
    }

    #[test]
    fn without_a_limit_nobody_is_counted() {
        let sources = Sources::new(None);
        let _counted = sources.count("192.0.2.7".parse().unwrap()).unwrap();
        assert!(sources.counts.lock().unwrap().is_empty());
    }
}
