//! Backends: where requests go and who is said to ask.

use std::net::IpAddr;
use std::ops::RangeInclusive;

use http::Uri;
use http::uri::{PathAndQuery, Scheme};
use rustls::pki_types::ServerName;

use super::super::{
    Addressing, Backend, BackendAuth, BackendEndpoint, BackendTls, Ejection, HealthCheck, raw,
};
use super::{Check, MOST_CONNECTIONS, region};
use crate::s3::Bucket;

const ENDPOINT: &str = "http://host[:port] or https://host[:port]";
/// More attempts help nobody who waits for an answer.
const MOST_TRIES: usize = 10;
const MOST_FAILURES: usize = 1000;

impl Check<'_> {
    pub(super) fn backend(&mut self, raw: raw::Backend, default_region: String) -> Option<Backend> {
        let endpoints = self.endpoints(&raw);
        let addressing = self.addressing(&raw, endpoints.as_deref().unwrap_or_default());
        let tls = self.backend_tls(&raw);
        let connect_timeout = self.wait("backend.connect_timeout", raw.connect_timeout);
        let response_timeout = self.wait("backend.response_timeout", raw.response_timeout);
        let stall_timeout = self.wait("backend.stall_timeout", raw.stall_timeout);
        let total_timeout = raw.total_timeout.map(|span| self.wait("backend.total_timeout", span));
        let idle_timeout = self.wait("backend.idle_timeout", raw.idle_timeout);
        let max_connections =
            self.count("backend.max_connections", raw.max_connections, 1..=MOST_CONNECTIONS);
        let max_idle_connections =
            self.count("backend.max_idle_connections", raw.max_idle_connections, 0..=MOST_CONNECTIONS);
        let queue_timeout = self.wait("backend.queue_timeout", raw.queue_timeout);
        let max_tries = self.count("backend.max_tries", raw.max_tries, 1..=MOST_TRIES);
        let retry_percent = self.count("backend.retry_percent", raw.retry_percent as usize, 0..=100);
        let resolve_interval = self.wait("backend.resolve_interval", raw.resolve_interval);
        let ejection = self.ejection(&raw);
        let health_check = self.health_check(&raw.health_check);
        let reserved_buckets =
            self.each("backend.reserved_buckets", &raw.reserved_buckets, "the name of a bucket", bucket);
        let trailers = raw.trailers;
        let auth = self.backend_auth(raw, default_region);
        Some(Backend {
            endpoints: endpoints?,
            auth: auth?,
            addressing: addressing?,
            reserved_buckets: reserved_buckets?,
            trailers,
            tls: tls?,
            connect_timeout: connect_timeout?,
            response_timeout: response_timeout?,
            stall_timeout: stall_timeout?,
            total_timeout: match total_timeout {
                Some(timeout) => Some(timeout?),
                None => None,
            },
            idle_timeout: idle_timeout?,
            max_connections: max_connections?,
            max_idle_connections: max_idle_connections?,
            queue_timeout: queue_timeout?,
            max_tries: max_tries?,
            retry_percent: u32::try_from(retry_percent?).ok()?,
            resolve_interval: resolve_interval?,
            ejection: ejection?,
            health_check: health_check?,
        })
    }

    fn endpoints(&mut self, raw: &raw::Backend) -> Option<Vec<BackendEndpoint>> {
        const KEY: &str = "backend.endpoint";
        match (&raw.endpoint, raw.endpoints.as_slice()) {
            (None, []) => self.fault(KEY, "is required, for example \"http://127.0.0.1:9000\""),
            (Some(one), []) => self.parsed(KEY, one, ENDPOINT, endpoint).map(|endpoint| vec![endpoint]),
            (None, several) => {
                let endpoints = self.each("backend.endpoints", several, ENDPOINT, endpoint)?;
                let twice = |(at, endpoint)| endpoints.iter().take(at).any(|known| known == endpoint);
                match endpoints.iter().enumerate().find(|&(at, endpoint)| twice((at, endpoint))) {
                    Some((at, _)) => self.fault(&format!("backend.endpoints[{at}]"), "is listed twice"),
                    None => Some(endpoints),
                }
            }
            (Some(_), _) => self.fault(KEY, "stands beside endpoints: one of them is too many"),
        }
    }

    /// A bucket before an address is no host name.
    fn addressing(&mut self, raw: &raw::Backend, endpoints: &[BackendEndpoint]) -> Option<Addressing> {
        const KEY: &str = "backend.addressing";
        if raw.addressing == raw::Addressing::Path {
            return Some(Addressing::Path);
        }
        if raw.auth == raw::BackendAuth::Passthrough {
            return self.fault(KEY, "passthrough leaves requests as they are");
        }
        let host = |endpoint: &BackendEndpoint| endpoint.authority.host().to_owned();
        let is_address = |host: &String| host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok();
        match endpoints.iter().map(host).find(is_address) {
            Some(host) => self.fault(KEY, format!("virtual needs a host name, and {host} is an address")),
            None => Some(Addressing::Virtual),
        }
    }

    fn backend_tls(&mut self, raw: &raw::Backend) -> Option<BackendTls> {
        let ca_file = match &raw.ca_file {
            Some(path) => self.readable("backend.ca_file", path).map(Some),
            None => Some(None),
        };
        let server_name = match raw.server_name.as_deref() {
            Some(name) if ServerName::try_from(name).is_err() => {
                self.fault("backend.server_name", format!("{name:?} is neither a host name nor an address"))
            }
            name => Some(name.map(str::to_owned)),
        };
        let files = raw::Certificate {
            certificate_file: raw.certificate_file.clone(),
            private_key_file: raw.private_key_file.clone(),
        };
        let identity = match files == raw::Certificate::default() {
            true => Some(None),
            false => self.certificate("backend", files).map(Some),
        };
        Some(BackendTls { ca_file: ca_file?, server_name: server_name?, identity: identity? })
    }

    fn ejection(&mut self, raw: &raw::Backend) -> Option<Ejection> {
        let failures = self.count("backend.eject_after", raw.eject_after as usize, 1..=MOST_FAILURES);
        let time = self.wait("backend.eject_time", raw.eject_time);
        let longest = self.wait("backend.max_eject_time", raw.max_eject_time);
        if time > longest {
            return self.fault("backend.max_eject_time", "is less than eject_time");
        }
        Some(Ejection { failures: u32::try_from(failures?).ok()?, time: time?, longest: longest? })
    }

    fn health_check(&mut self, raw: &raw::HealthCheck) -> Option<Option<HealthCheck>> {
        let interval = self.wait("backend.health_check.interval", raw.interval);
        let timeout = self.wait("backend.health_check.timeout", raw.timeout);
        let what = "a status such as 200, or a range such as 200-399";
        let status = self.parsed("backend.health_check.status", &raw.status, what, statuses);
        let Some(path) = &raw.path else { return Some(None) };
        let path = self.parsed("backend.health_check.path", path, "a path such as /health", |text| {
            text.parse::<PathAndQuery>().ok().filter(|_| text.starts_with('/'))
        });
        Some(Some(HealthCheck { path: path?, interval: interval?, timeout: timeout?, status: status? }))
    }

    fn backend_auth(&mut self, raw: raw::Backend, default_region: String) -> Option<BackendAuth> {
        match raw.auth {
            raw::BackendAuth::Resign => self.resign(raw, default_region),
            raw::BackendAuth::Identity => self.without_credential(&raw).then_some(BackendAuth::Identity),
            raw::BackendAuth::Passthrough => {
                self.without_credential(&raw).then_some(BackendAuth::Passthrough)
            }
        }
    }

    fn resign(&mut self, raw: raw::Backend, default_region: String) -> Option<BackendAuth> {
        let access_key_id = match raw.access_key_id {
            Some(text) => self.access_key_id("backend.access_key_id", &text),
            None => self.fault("backend.access_key_id", "is required with auth = \"resign\""),
        };
        let keys = ["backend.secret_access_key_file", "backend.secret_access_key_env"];
        let secret = self.secret(keys, raw.secret_access_key_file, raw.secret_access_key_env);
        let region = match raw.region {
            Some(text) => self.parsed("backend.region", &text, "a region name", region),
            // A bad first region has been reported where it stands.
            None => Some(default_region.into()),
        };
        Some(BackendAuth::Resign {
            access_key_id: access_key_id?.as_str().to_owned(),
            secret: secret?,
            region: region?,
        })
    }

    /// A credential that would silently not be used is a misunderstanding.
    fn without_credential(&mut self, raw: &raw::Backend) -> bool {
        let given = [
            ("backend.access_key_id", raw.access_key_id.is_some()),
            ("backend.secret_access_key_file", raw.secret_access_key_file.is_some()),
            ("backend.secret_access_key_env", raw.secret_access_key_env.is_some()),
            ("backend.region", raw.region.is_some()),
        ];
        for (key, _) in given.iter().filter(|(_, given)| *given) {
            let _: Option<()> = self.fault(key, "only means something with auth = \"resign\"");
        }
        given.iter().all(|(_, given)| !given)
    }
}

fn endpoint(text: &str) -> Option<BackendEndpoint> {
    let good = |uri: &Uri| {
        let scheme = [Some(&Scheme::HTTP), Some(&Scheme::HTTPS)].contains(&uri.scheme());
        let host = uri.authority().is_some_and(|at| !at.host().is_empty() && !at.as_str().contains('@'));
        scheme && host && uri.path() == "/" && uri.query().is_none()
    };
    let parts = text.parse::<Uri>().ok().filter(good)?.into_parts();
    Some(BackendEndpoint { scheme: parts.scheme?, authority: parts.authority? })
}

fn bucket(text: &str) -> Option<String> {
    Bucket::parse(text).ok().map(|bucket| bucket.to_string())
}

fn statuses(text: &str) -> Option<RangeInclusive<u16>> {
    let (least, most) = text.split_once('-').unwrap_or((text, text));
    let (least, most) = (least.trim().parse().ok()?, most.trim().parse().ok()?);
    (least <= most && (100..=599).contains(&least) && most <= 599).then_some(least..=most)
}
