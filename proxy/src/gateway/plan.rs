//! What of a gateway a reload may change, as one value.
//!
//! A request takes one reference to the [`Plan`] in force when it begins and ends on it, whatever is put in force
//! meanwhile: nothing is authorised by one configuration and forwarded by another. What must outlive a reload
//! (counters, the store, the memory of STS) stands outside; connections to a backend whose settings are the same go
//! over into the next plan.

use std::sync::Arc;

use sigv4::Endpoint;

use super::body::ProvingBody;
use super::lingering::Lingering;
use crate::config;
use crate::iam::saml::RelyingParty;
use crate::s3::Domains;
use crate::sts::Sts;
use crate::upstream::{Upstream, UpstreamMetrics, UpstreamOptionsError};

/// A way to one backend.
pub(super) type Backend = Upstream<ProvingBody<Lingering>>;

/// What a [`Plan`] is made of.
pub struct PlanParts {
    /// The listener's configuration.
    pub settings: config::Gateway,
    /// The backend's configuration.
    pub backend: config::Backend,
    /// For whom SAML assertions have to be.
    pub saml: RelyingParty,
    /// Whether to write one line per request.
    pub access_log: bool,
}

/// How requests are verified, answered and forwarded. Immutable.
pub struct Plan {
    pub(super) settings: Arc<config::Gateway>,
    /// What signatures are verified against.
    pub(super) endpoint: Arc<Endpoint>,
    pub(super) domains: Arc<Domains>,
    pub(super) route: Route,
    pub(super) sts: Option<Arc<Sts>>,
    pub(super) access_log: bool,
}

/// Where a request goes.
pub(super) struct Route {
    pub(super) upstream: Arc<Backend>,
}

impl Plan {
    /// Puts the parts together; opens no connection. `sts` has what STS remembers.
    ///
    /// # Errors
    /// The way to a backend cannot be set up.
    pub(super) fn new(
        parts: PlanParts,
        sts: &Sts,
        metrics: &UpstreamMetrics,
    ) -> Result<Self, UpstreamOptionsError> {
        let PlanParts { settings, backend, saml, access_log } = parts;
        let endpoint = endpoint(&settings);
        Ok(Self {
            sts: settings.sts.then(|| Arc::new(sts.under(&endpoint, saml))),
            domains: Arc::new(Domains::new(&settings.domains)),
            endpoint: Arc::new(endpoint),
            settings: Arc::new(settings),
            route: Route { upstream: Arc::new(Upstream::new("backend", backend, metrics)?) },
            access_log,
        })
    }

    /// The same plan for a worker, with connections of its own: those of the worker's `previous` plan, to each
    /// backend that has not changed.
    #[must_use]
    pub(super) fn for_worker(&self, previous: Option<&Self>) -> Self {
        let upstream = &self.route.upstream;
        let kept = previous.map(|plan| &plan.route.upstream).filter(|kept| kept.is_same_as(upstream));
        let upstream = kept.map_or_else(|| Arc::new(upstream.for_worker()), Arc::clone);
        Self {
            settings: Arc::clone(&self.settings),
            endpoint: Arc::clone(&self.endpoint),
            domains: Arc::clone(&self.domains),
            route: Route { upstream },
            sts: self.sts.clone(),
            access_log: self.access_log,
        }
    }
}

/// What signatures are verified against.
pub(super) fn endpoint(settings: &config::Gateway) -> Endpoint {
    let region = settings.regions.first().map_or("", |region| region);
    Endpoint {
        regions: settings.regions.clone(),
        unsigned_headers: settings.unsigned_headers.clone(),
        strict: settings.strict,
        sigv4a: settings.sigv4a,
        ..Endpoint::s3(region)
    }
}
