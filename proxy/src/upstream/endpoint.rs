//! Where requests can go: an [`Origin`] is an endpoint as the configuration names it, an [`Endpoint`] one address of
//! it. Endpoints are shared by all workers, so that their load and their health are known to all.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use http::HeaderValue;
use http::uri::Scheme;
use rustls::pki_types::ServerName;
use tokio::sync::Notify;
use tokio::time::timeout;

use super::health::{Finding, Health};
use super::metrics::OriginMetrics;
use crate::config;

/// An endpoint of the configuration.
pub(super) struct Origin {
    /// Host, without the brackets of an IPv6 address.
    pub(super) host: Box<str>,
    pub(super) port: u16,
    /// What `Host` says: the authority of the URL.
    pub(super) authority: HeaderValue,
    /// The name its certificate must have; `None` without TLS.
    pub(super) server_name: Option<ServerName<'static>>,
    pub(super) metrics: OriginMetrics,
}

/// The endpoint cannot be one.
#[derive(Debug, thiserror::Error)]
#[error("{0} names no server")]
pub struct NoServerName(String);

impl Origin {
    pub(super) fn new(
        endpoint: &config::BackendEndpoint,
        server_name: Option<&str>,
        metrics: OriginMetrics,
    ) -> Result<Self, NoServerName> {
        let bad = || NoServerName(endpoint.authority.to_string());
        let tls = endpoint.scheme == Scheme::HTTPS;
        let host = endpoint.authority.host().trim_start_matches('[').trim_end_matches(']');
        let expected = server_name.unwrap_or(host).to_owned();
        let server_name = tls.then(|| ServerName::try_from(expected)).transpose().map_err(|_| bad())?;
        Ok(Self {
            host: host.into(),
            port: endpoint.authority.port_u16().unwrap_or(if tls { 443 } else { 80 }),
            authority: HeaderValue::from_str(endpoint.authority.as_str()).map_err(|_| bad())?,
            server_name,
            metrics,
        })
    }
}

/// Tells endpoints apart for as long as the process runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct EndpointId(u64);

/// One address.
pub(super) struct Endpoint {
    pub(super) id: EndpointId,
    pub(super) origin: Arc<Origin>,
    pub(super) address: SocketAddr,
    health: Health,
    /// Most requests at the same time.
    limit: usize,
    in_flight: AtomicUsize,
    waiting: AtomicUsize,
    freed: Notify,
}

impl Endpoint {
    pub(super) fn new(origin: Arc<Origin>, address: SocketAddr, settings: &config::Backend) -> Arc<Self> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        origin.metrics.healthy.inc();
        Arc::new(Self {
            id: EndpointId(NEXT.fetch_add(1, Ordering::Relaxed)),
            origin,
            address,
            health: Health::new(settings.ejection),
            limit: settings.max_connections,
            in_flight: 0.into(),
            waiting: 0.into(),
            freed: Notify::new(),
        })
    }

    /// Requests here and requests that wait to be.
    pub(super) fn load(&self) -> usize {
        self.in_flight.load(Ordering::Relaxed) + self.waiting.load(Ordering::Relaxed)
    }

    /// Whether requests should go here.
    pub(super) fn is_in_rotation(&self) -> bool {
        self.health.is_in_rotation()
    }

    /// Takes note of how a request or a check ended.
    pub(super) fn note(&self, finding: Finding) {
        let metrics = &self.origin.metrics;
        let change = self.health.note(finding);
        if change.ejected {
            metrics.ejections.inc();
        }
        let (host, address) = (&self.origin.host, self.address);
        match change.well {
            Some(true) => {
                metrics.healthy.inc();
                tracing::info!(%host, %address, "an endpoint is well again");
            }
            Some(false) => {
                metrics.healthy.dec();
                tracing::warn!(%host, %address, ?finding, "an endpoint gets no requests for a while");
            }
            None => {}
        }
    }

    /// Takes a place for one request, and waits for one if there is none; `None` after `patience`.
    pub(super) async fn enter(self: &Arc<Self>, patience: Duration) -> Option<Slot> {
        match self.try_enter() {
            Some(slot) => Some(slot),
            None => Box::pin(timeout(patience, self.freed_place())).await.ok(),
        }
    }

    async fn freed_place(self: &Arc<Self>) -> Slot {
        let _waiting = Waiting::new(self);
        loop {
            let mut freed = std::pin::pin!(self.freed.notified());
            // From here on no place that is freed goes unnoticed.
            freed.as_mut().enable();
            if let Some(slot) = self.try_enter() {
                return slot;
            }
            freed.await;
        }
    }

    fn try_enter(self: &Arc<Self>) -> Option<Slot> {
        let free = |taken| (taken < self.limit).then_some(taken + 1);
        let entered = self.in_flight.fetch_update(Ordering::SeqCst, Ordering::Relaxed, free);
        entered.is_ok().then(|| Slot(Arc::clone(self)))
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        if self.health.is_well() {
            self.origin.metrics.healthy.dec();
        }
    }
}

/// A place for one request; free again when dropped.
pub(super) struct Slot(Arc<Endpoint>);

impl Slot {
    pub(super) fn endpoint(&self) -> &Arc<Endpoint> {
        &self.0
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::SeqCst);
        // Whoever waits has said so before looking for a place: either they saw this one, or are seen here.
        if self.0.waiting.load(Ordering::SeqCst) > 0 {
            self.0.freed.notify_one();
        }
    }
}

struct Waiting<'a>(&'a Endpoint);

impl<'a> Waiting<'a> {
    fn new(endpoint: &'a Endpoint) -> Self {
        endpoint.waiting.fetch_add(1, Ordering::SeqCst);
        Self(endpoint)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::fixtures;

    #[tokio::test]
    async fn a_request_waits_for_a_place_and_gets_the_next_one_that_is_free() {
        let settings = config::Backend { max_connections: 1, ..fixtures::settings() };
        let endpoint = fixtures::endpoint("127.0.0.1:1".parse().unwrap(), &settings);
        let first = endpoint.enter(Duration::ZERO).await.unwrap();
        assert!(endpoint.enter(Duration::from_millis(1)).await.is_none());
        let (second, ()) = tokio::join!(endpoint.enter(Duration::from_secs(10)), async {
            assert_eq!(endpoint.load(), 2, "one request is here and one waits");
            drop(first);
        });
        assert!(second.is_some());
        drop(second);
        assert_eq!(endpoint.load(), 0);
    }
}
