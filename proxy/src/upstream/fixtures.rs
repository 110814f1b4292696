//! Endpoints for the tests of this module.

use std::net::SocketAddr;
use std::sync::Arc;

use super::endpoint::{Endpoint, Origin};
use super::metrics::UpstreamMetrics;
use crate::config::{Backend, BackendAuth, BackendEndpoint};
use crate::metrics::Metrics;

pub(super) fn backend_endpoint(url: &str) -> BackendEndpoint {
    let parts = url.parse::<http::Uri>().unwrap().into_parts();
    BackendEndpoint { scheme: parts.scheme.unwrap(), authority: parts.authority.unwrap() }
}

pub(super) fn settings() -> Backend {
    Backend::new(Vec::new(), BackendAuth::Identity)
}

pub(super) fn origin(url: &str) -> Arc<Origin> {
    let endpoint = backend_endpoint(url);
    let metrics = UpstreamMetrics::register(&Metrics::new()).origin("test", endpoint.authority.as_str());
    Arc::new(Origin::new(&endpoint, None, metrics).unwrap())
}

pub(super) fn endpoint(address: SocketAddr, settings: &Backend) -> Arc<Endpoint> {
    Endpoint::new(origin(&format!("http://{address}")), address, settings)
}
