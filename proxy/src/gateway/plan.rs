//! What of a gateway a reload may change, as one value.
//!
//! A request takes one reference to the [`Plan`] in force when it begins and ends on it, whatever is put in force
//! meanwhile: nothing is authorised by one configuration and forwarded by another. What must outlive a reload
//! (counters, the store, the memory of STS) stands outside; connections to a backend whose settings are the same go
//! over into the next plan.

use std::collections::BTreeMap;
use std::sync::Arc;

use sigv4::Endpoint;

use super::body::ProvingBody;
use super::error::GatewayError;
use super::lingering::Lingering;
use crate::config;
use crate::iam::saml::RelyingParty;
use crate::s3::{self, Domains, Target};
use crate::sts::Sts;
use crate::upstream::{Upstream, UpstreamMetrics, UpstreamOptionsError};

/// A way to one backend.
pub(super) type Backend = Upstream<Box<ProvingBody<Lingering>>>;

/// Backends by the names that routes call them; one may have none.
type Backends = BTreeMap<Option<Box<str>>, Arc<Backend>>;

/// What a [`Plan`] is made of.
pub struct PlanParts {
    /// The listener's configuration.
    pub settings: config::Gateway,
    /// The backend of requests that no route sends elsewhere.
    pub backend: Option<config::Backend>,
    /// The other backends, by name.
    pub backends: BTreeMap<Box<str>, config::Backend>,
    /// Where requests go and what holds for them: the first that matches.
    pub routes: Vec<config::Route>,
    /// For whom SAML assertions have to be.
    pub saml: RelyingParty,
    /// Whether to write one line per request.
    pub access_log: bool,
}

/// Why nothing can be served by a plan.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// The way to a backend cannot be set up.
    #[error(transparent)]
    Upstream(#[from] UpstreamOptionsError),
    /// A route goes nowhere.
    #[error("no backend is called {0:?}")]
    NoSuchBackend(Option<Box<str>>),
}

/// How requests are verified, answered and forwarded. Immutable.
pub struct Plan {
    pub(super) settings: Arc<config::Gateway>,
    /// What signatures are verified against.
    pub(super) endpoint: Arc<Endpoint>,
    /// Of each listener, in their order.
    domains: Arc<[Domains]>,
    /// Likewise: who is trusted to speak for others.
    trusted: Arc<[Vec<config::Network>]>,
    pub(super) sts: Option<Arc<Sts>>,
    pub(super) access_log: bool,
    backends: Backends,
    routes: Vec<Route>,
    /// Whether a route asks for the beginning of the path.
    by_path: bool,
    /// Where requests go that no route takes.
    default: Option<Route>,
}

/// Where a request goes, and what holds for it.
pub(super) struct Route {
    /// What the configuration says about it.
    pub(super) rule: Arc<config::Route>,
    pub(super) upstream: Arc<Backend>,
}

impl Plan {
    /// Puts the parts together; opens no connection. `sts` has what STS remembers.
    ///
    /// # Errors
    /// The way to a backend cannot be set up, or a route names none that there is.
    pub(super) fn new(parts: PlanParts, sts: &Sts, metrics: &UpstreamMetrics) -> Result<Self, PlanError> {
        let PlanParts { settings, backend, backends: named, routes, saml, access_log } = parts;
        let named = named.into_iter().map(|(name, backend)| (Some(name), backend));
        let mut backends = Backends::new();
        for (name, backend) in backend.into_iter().map(|backend| (None, backend)).chain(named) {
            let upstream = Upstream::new(name.as_deref().unwrap_or("backend"), backend, metrics)?;
            backends.insert(name, Arc::new(upstream));
        }
        let routes: Vec<_> = routes.into_iter().map(Arc::new).collect();
        let lost = routes.iter().find(|rule| !backends.contains_key(&rule.backend));
        if let Some(rule) = lost {
            return Err(PlanError::NoSuchBackend(rule.backend.clone()));
        }
        let endpoint = endpoint(&settings);
        Ok(Self {
            sts: settings.sts.then(|| Arc::new(sts.under(&endpoint, saml))),
            domains: settings.listeners().iter().map(|(_, at)| Domains::new(&at.domains)).collect(),
            trusted: settings.listeners().into_iter().map(|(_, at)| at.trusted_proxies).collect(),
            endpoint: Arc::new(endpoint),
            settings: Arc::new(settings),
            access_log,
            by_path: routes.iter().any(|rule| rule.selector.path.is_some()),
            default: Route::to(&Arc::default(), &backends),
            routes: routes.iter().filter_map(|rule| Route::to(rule, &backends)).collect(),
            backends,
        })
    }

    /// Under which domains a client of this listener addresses buckets. A listener that the plan does not know, because
    /// it goes with the next restart, has those of the first.
    pub(super) fn domains(&self, listener: usize) -> &Domains {
        self.domains.get(listener).unwrap_or(&self.domains[0])
    }

    /// Whom this listener trusts to speak for others. A listener that the plan does not know trusts nobody.
    pub(super) fn trusted(&self, listener: usize) -> &[config::Network] {
        self.trusted.get(listener).map_or(&[], Vec::as_slice)
    }

    /// The same plan for a worker, with connections of its own: those of the worker's `previous` plan, to each
    /// backend that has not changed.
    #[must_use]
    pub(super) fn for_worker(&self, previous: Option<&Self>) -> Self {
        let own = |(name, backend): (&Option<Box<str>>, &Arc<Backend>)| {
            let kept =
                previous.and_then(|plan| plan.backends.get(name)).filter(|kept| kept.is_same_as(backend));
            (name.clone(), kept.map_or_else(|| Arc::new(backend.for_worker()), Arc::clone))
        };
        let backends: Backends = self.backends.iter().map(own).collect();
        let route = |route: &Route| Route::to(&route.rule, &backends);
        Self {
            settings: Arc::clone(&self.settings),
            endpoint: Arc::clone(&self.endpoint),
            domains: Arc::clone(&self.domains),
            trusted: Arc::clone(&self.trusted),
            sts: self.sts.clone(),
            access_log: self.access_log,
            routes: self.routes.iter().filter_map(route).collect(),
            by_path: self.by_path,
            default: self.default.as_ref().and_then(route),
            backends,
        }
    }

    /// Where a request to `target` goes that came for `host`: by the first route that takes it, or to the backend
    /// without a name.
    ///
    /// # Errors
    /// Nobody has such a bucket; or a reader that resolves empty and dot segments would see a path that goes elsewhere.
    pub(super) fn route(&self, host: Option<&[u8]>, target: &Target) -> Result<&Route, GatewayError> {
        let host = host.and_then(s3::without_port).unwrap_or_default();
        let route = self.select(host, target);
        if let Some(seen) = self.by_path.then(|| s3::resolved(target)).flatten() {
            let same = match (route, self.select(host, &seen)) {
                (Some(literal), Some(resolved)) => std::ptr::eq(literal, resolved),
                (None, None) => true,
                _ => false,
            };
            if !same {
                return Err(GatewayError::Unrouted(s3::Unclear::Ambiguous("key").fault()));
            }
        }
        route.ok_or_else(|| GatewayError::Unrouted(s3::nowhere(target)))
    }

    /// The largest body that a request on `route` may have.
    pub(super) fn max_body_bytes(&self, route: &Route) -> Option<u64> {
        route.rule.access.max_body_bytes.or(self.settings.max_body_bytes)
    }

    /// Whether there is a choice.
    pub(super) fn has_routes(&self) -> bool {
        !self.routes.is_empty()
    }

    /// Whether a route lets pages of other origins do anything.
    pub(super) fn has_cors(&self) -> bool {
        self.routes.iter().any(|route| route.rule.access.cors.is_enabled())
    }

    /// Whether a route asks for the beginning of the path.
    pub(super) fn by_path(&self) -> bool {
        self.by_path
    }

    fn select(&self, host: &[u8], target: &Target) -> Option<&Route> {
        let taken = self.routes.iter().find(|route| route.rule.selector.selects(host, target));
        taken.or(self.default.as_ref())
    }
}

impl Route {
    /// `None` if there is no such backend.
    fn to(rule: &Arc<config::Route>, backends: &Backends) -> Option<Self> {
        let upstream = Arc::clone(backends.get(&rule.backend)?);
        Some(Self { rule: Arc::clone(rule), upstream })
    }
}

/// What signatures are verified against.
pub(super) fn endpoint(settings: &config::Gateway) -> Endpoint {
    let region = settings.regions.first().map_or("", |region| region);
    Endpoint {
        regions: settings.regions.clone(),
        unsigned_headers: settings.unsigned_headers.clone(),
        strict: settings.strict,
        explain: settings.explain_mismatch,
        sigv4a: settings.sigv4a,
        ..Endpoint::s3(region)
    }
}
