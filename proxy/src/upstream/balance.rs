//! All the endpoints of a backend, and which of them gets the next request: the one with the least load of those in
//! rotation. If none is in rotation, the health of all of them is doubted and any may get it.
//!
//! A name stands for all the addresses that it resolves to. It is looked up again and again; what an address is known
//! for stays with it for as long as the name resolves to it.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::Mutex;
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::endpoint::{Endpoint, EndpointId, Origin};
use crate::config;
use crate::telemetry::with_causes;

/// The endpoints of a backend.
pub(super) struct Endpoints {
    origins: Vec<Arc<Origin>>,
    settings: config::Backend,
    current: ArcSwap<Vec<Arc<Endpoint>>>,
    /// Counts requests, so that endpoints with the same load take turns.
    turn: AtomicUsize,
    /// Held while names are looked up.
    resolving: Mutex<()>,
}

/// No name of the backend resolves.
#[derive(Debug, thiserror::Error)]
#[error("no address is known: {0}")]
pub struct Unresolved(#[source] io::Error);

impl Endpoints {
    /// Those that the configuration gives by address are there at once.
    pub(super) fn new(origins: Vec<Arc<Origin>>, settings: config::Backend) -> Self {
        let literal = |origin: &Arc<Origin>| {
            let address = SocketAddr::new(origin.host.parse().ok()?, origin.port);
            Some(Endpoint::new(Arc::clone(origin), address, &settings))
        };
        let known = origins.iter().filter_map(literal).collect::<Vec<_>>();
        let current = ArcSwap::from_pointee(known);
        Self { current, origins, settings, turn: AtomicUsize::new(0), resolving: Mutex::default() }
    }

    pub(super) fn current(&self) -> Arc<Vec<Arc<Endpoint>>> {
        self.current.load_full()
    }

    /// Whether a name is among them.
    pub(super) fn has_names(&self) -> bool {
        self.origins.iter().any(|origin| origin.host.parse::<IpAddr>().is_err())
    }

    /// The endpoint for the next request, none of `tried` as long as there are others. Equals take turns. `None`
    /// while no address is known.
    pub(super) fn choose(&self, tried: &[EndpointId]) -> Option<Arc<Endpoint>> {
        let endpoints = self.current.load();
        if let [only] = endpoints.as_slice() {
            return Some(Arc::clone(only));
        }
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let untried = |endpoint: &Endpoint| !tried.contains(&endpoint.id);
        least(&endpoints, turn, |endpoint| untried(endpoint) && endpoint.is_in_rotation())
            .or_else(|| least(&endpoints, turn, untried))
            .or_else(|| least(&endpoints, turn, |_| true))
    }

    /// Looks every name up and takes over what it resolves to. A name that cannot be looked up keeps its addresses.
    pub(super) async fn resolve(&self) -> Result<(), Unresolved> {
        let _one_at_a_time = self.resolving.lock().await;
        let before = self.current.load_full();
        let mut endpoints = Vec::new();
        let mut failure = None;
        for origin in &self.origins {
            let own = before.iter().filter(|endpoint| Arc::ptr_eq(&endpoint.origin, origin));
            match addresses(origin, self.settings.connect_timeout).await {
                Ok(addresses) => {
                    let known = |address| own.clone().find(|endpoint| endpoint.address == address).cloned();
                    endpoints.extend(addresses.into_iter().map(|address| {
                        known(address)
                            .unwrap_or_else(|| Endpoint::new(Arc::clone(origin), address, &self.settings))
                    }));
                }
                Err(error) => {
                    tracing::warn!(host = %origin.host, error = %with_causes(&error), "an endpoint's name does not resolve");
                    endpoints.extend(own.cloned());
                    failure = Some(error);
                }
            }
        }
        let known = !endpoints.is_empty();
        self.current.store(Arc::new(endpoints));
        failure.filter(|_| !known).map_or(Ok(()), |error| Err(Unresolved(error)))
    }
}

/// The one with the least load of those that `suit`.
fn least(
    endpoints: &[Arc<Endpoint>],
    turn: usize,
    suit: impl Fn(&Endpoint) -> bool,
) -> Option<Arc<Endpoint>> {
    let start = turn.checked_rem(endpoints.len())?;
    let (after, before) = endpoints.split_at_checked(start)?;
    let in_turn = before.iter().chain(after).filter(|endpoint| suit(endpoint));
    in_turn.min_by_key(|endpoint| endpoint.load()).cloned()
}

/// All addresses of a host, each once.
async fn addresses(origin: &Origin, patience: Duration) -> io::Result<Vec<SocketAddr>> {
    if let Ok(address) = origin.host.parse() {
        return Ok(vec![SocketAddr::new(address, origin.port)]);
    }
    let found = timeout(patience, tokio::net::lookup_host((&*origin.host, origin.port))).await;
    let mut addresses: Vec<_> = found.map_err(|_| io::ErrorKind::TimedOut)??.collect();
    addresses.sort_unstable();
    addresses.dedup();
    if addresses.is_empty() {
        return Err(io::ErrorKind::NotFound.into());
    }
    Ok(addresses)
}

/// Looks names up every `period`, until nobody needs the endpoints any more.
pub(super) async fn keep_resolved(endpoints: Weak<Endpoints>, period: Duration) {
    let mut ticks = interval(period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let Some(endpoints) = endpoints.upgrade() else { return };
        // Each name that fails has been reported; requests say so if none is left.
        drop(endpoints.resolve().await);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::fixtures;
    use crate::upstream::health::Finding;

    fn endpoints(urls: &[&str]) -> Endpoints {
        let settings = fixtures::settings();
        let origins = urls.iter().map(|url| fixtures::origin(url)).collect();
        Endpoints::new(origins, settings)
    }

    fn ports<const N: usize>(endpoints: &Endpoints, tried: &[EndpointId]) -> [u16; N] {
        std::array::from_fn(|_| endpoints.choose(tried).unwrap().address.port())
    }

    #[tokio::test]
    async fn the_least_loaded_endpoint_is_next_and_equals_take_turns() {
        let endpoints = endpoints(&["http://127.0.0.1:1", "http://127.0.0.1:2", "http://127.0.0.1:3"]);
        assert_eq!(ports(&endpoints, &[]), [1, 2, 3, 1, 2, 3]);
        let current = endpoints.current();
        let _busy = current[0].enter(Duration::ZERO).await.unwrap();
        let _too = current[1].enter(Duration::ZERO).await.unwrap();
        assert_eq!(ports(&endpoints, &[]), [3; 3]);
        let last = current[2].id;
        let next = ports::<3>(&endpoints, &[last]);
        assert!(next.contains(&1) && next.contains(&2) && !next.contains(&3), "{next:?}");
    }

    #[test]
    fn an_ejected_endpoint_gets_nothing_unless_all_are() {
        let endpoints = endpoints(&["http://127.0.0.1:1", "http://127.0.0.1:2"]);
        let current = endpoints.current();
        current[0].note(Finding::Silent);
        assert_eq!(ports(&endpoints, &[]), [2; 4]);
        current[1].note(Finding::Silent);
        assert_eq!(ports(&endpoints, &[]), [1, 2, 1, 2], "all are doubted alike");
    }

    #[tokio::test]
    async fn every_address_of_a_name_is_an_endpoint_and_stays_the_same_one() {
        let endpoints = endpoints(&["http://localhost:1", "http://127.0.0.1:2"]);
        assert!(endpoints.has_names());
        assert_eq!(endpoints.current().len(), 1, "an address needs no look-up");
        endpoints.resolve().await.unwrap();
        let first = endpoints.current();
        assert!(first.len() >= 2 && first.iter().all(|endpoint| endpoint.address.ip().is_loopback()));
        endpoints.resolve().await.unwrap();
        let ids =
            |endpoints: &[Arc<Endpoint>]| endpoints.iter().map(|endpoint| endpoint.id).collect::<Vec<_>>();
        assert_eq!(ids(&first), ids(&endpoints.current()));
    }
}
