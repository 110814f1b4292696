//! Several backends, and the routes to them.

use std::collections::BTreeMap;

use super::super::{Backend, BackendAuth, Route, raw};
use super::Check;
use crate::s3::rename::{BucketTemplate, KeyPrefix, Rename};
use crate::s3::{BucketPattern, HostPattern, PathPrefix, Selector};

/// The backends that there are. One that is at fault is there by name, so that no route is reported in its stead.
pub(super) struct Backends {
    pub(super) default: Option<Backend>,
    pub(super) named: BTreeMap<Box<str>, Backend>,
}

impl Check<'_> {
    /// `[backend]` may be left out where others are named.
    pub(super) fn backends(
        &mut self,
        default: raw::Backend,
        named: Vec<raw::Backend>,
        region: &str,
    ) -> Option<Backends> {
        let declared = named.is_empty() || default != raw::Backend::default();
        let mut good = true;
        if default.name.is_some() {
            good = self.fault("backend.name", "only means something in [[backends]]").unwrap_or(false);
        }
        let default = match declared {
            true => self.backend(default, region.to_owned()).map(Some),
            false => Some(None),
        };
        let mut backends = BTreeMap::new();
        for (at, raw) in named.into_iter().enumerate() {
            self.table = Some(("backend", format!("backends[{at}]")));
            let name = self.backend_name(raw.name.as_deref(), &backends);
            let backend = self.backend(raw, region.to_owned());
            self.table = None;
            match name.zip(backend) {
                Some((name, backend)) => drop(backends.insert(name, backend)),
                None => good = false,
            }
        }
        Some(Backends { default: default?, named: backends }).filter(|_| good)
    }

    fn backend_name(&mut self, name: Option<&str>, taken: &BTreeMap<Box<str>, Backend>) -> Option<Box<str>> {
        const KEY: &str = "backend.name";
        let legal = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
        match name {
            None => self.fault(KEY, "is required"),
            Some(name) if taken.contains_key(name) => self.fault(KEY, format!("{name} is declared twice")),
            Some(name) if (1..=64).contains(&name.len()) && name.bytes().all(legal) => Some(name.into()),
            Some(name) => {
                self.fault(KEY, format!("{name:?} is not 1 to 64 letters, digits, '-', '_' or '.'"))
            }
        }
    }

    /// `backends` is `None` where one is at fault: what routes need of them is not checked then.
    pub(super) fn routes(&mut self, raw: Vec<raw::Route>, backends: Option<&Backends>) -> Option<Vec<Route>> {
        let count = raw.len();
        let mut routes: Vec<Route> = Vec::new();
        for (at, raw) in raw.into_iter().enumerate() {
            let table = format!("routes[{at}]");
            let Some(route) = self.route(&table, raw, backends) else { continue };
            match routes.iter().position(|earlier| earlier.selector.covers(&route.selector)) {
                Some(earlier) => {
                    let message = format!("is never reached: routes[{earlier}] takes all of its requests");
                    let _: Option<()> = self.fault(&table, message);
                }
                None => routes.push(route),
            }
        }
        (routes.len() == count).then_some(routes)
    }

    fn route(&mut self, at: &str, raw: raw::Route, backends: Option<&Backends>) -> Option<Route> {
        let key = |name: &str| format!("{at}.{name}");
        let hosts = self.each(
            &key("hosts"),
            &raw.hosts,
            "a host such as s3.example.com or *.example.com, without a port",
            HostPattern::parse,
        );
        let what = "a bucket's name, or a glob with * and ?";
        let buckets = self.each(&key("buckets"), &raw.buckets, what, BucketPattern::parse);
        let what = "a beginning of paths such as /bucket/archive/: a bucket and plain segments, with a slash at its end";
        let path = raw.path_prefix.as_deref();
        let path = match path.map(|text| self.parsed(&key("path_prefix"), text, what, PathPrefix::parse)) {
            None => None,
            Some(path) => Some(path?),
        };
        let selector = Selector { hosts: hosts?, buckets: buckets?, path };
        if selector == Selector::default() {
            return self.fault(at, "takes every request: hosts, buckets or path_prefix is required");
        }
        let outside =
            |path: &PathPrefix| !selector.buckets.iter().any(|bucket| bucket.matches(path.bucket()));
        if !selector.buckets.is_empty() && selector.path.as_ref().is_some_and(outside) {
            return self.fault(&key("path_prefix"), "lies in none of the buckets: no request matches");
        }
        let rename = self.rename(at, &raw, &selector);
        let access = self.access(at, &raw);
        let name = raw.backend.map(Box::from);
        if let Some(backends) = backends {
            self.destination(at, name.as_deref(), rename.as_ref().is_some_and(Option::is_some), backends)?;
        }
        Some(Route { selector, backend: name, rename: rename?, access: access? })
    }

    /// That a route has somewhere to go, and may rename on the way.
    fn destination(
        &mut self,
        at: &str,
        name: Option<&str>,
        renames: bool,
        backends: &Backends,
    ) -> Option<()> {
        let key = format!("{at}.backend");
        let backend = match name {
            Some(name) => match backends.named.get(name) {
                Some(backend) => backend,
                None => return self.fault(&key, format!("no backend is called {name:?}")),
            },
            None => match &backends.default {
                Some(backend) => backend,
                None => return self.fault(&key, "is required, since there is no [backend]"),
            },
        };
        if renames && backend.auth == BackendAuth::Passthrough {
            let message = "passthrough leaves requests as they are signed: nothing can be renamed";
            return self.fault(&key, message);
        }
        Some(())
    }

    fn rename(&mut self, at: &str, raw: &raw::Route, selector: &Selector) -> Option<Option<Rename>> {
        if raw.bucket.is_none() && raw.key_prefix.is_none() {
            return Some(None);
        }
        let key = format!("{at}.bucket");
        let bucket = match raw.bucket.as_deref() {
            None => None,
            Some(text) => {
                let what = "a bucket's name, or one with a single *";
                let template = self.parsed(&key, text, what, BucketTemplate::parse)?;
                if template.has_star() && !selector.buckets.iter().all(BucketPattern::has_one_star) {
                    return self
                        .fault(&key, "has a *, so each of buckets must have one *, and no other wildcard");
                }
                if selector.buckets.is_empty() {
                    return self.fault(&key, "needs buckets: whose name is it?");
                }
                Some(template)
            }
        };
        let what = "plain segments of letters, digits, '-', '.', '_' and '~', with a slash at its end";
        let key_prefix = match raw.key_prefix.as_deref() {
            None => KeyPrefix::default(),
            Some(text) => self.parsed(&format!("{at}.key_prefix"), text, what, KeyPrefix::parse)?,
        };
        Some(Some(Rename { bucket, key_prefix }))
    }
}
