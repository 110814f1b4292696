//! Backends: where requests go and who is said to ask.

use http::Uri;
use http::uri::Scheme;

use super::super::{Backend, BackendAuth, raw};
use super::{Check, region};

impl Check<'_> {
    pub(super) fn backend(&mut self, raw: raw::Backend, default_region: String) -> Option<Backend> {
        let endpoint = self.endpoint(raw.endpoint.as_deref());
        let connect_timeout = self.wait("backend.connect_timeout", raw.connect_timeout);
        let response_timeout = self.wait("backend.response_timeout", raw.response_timeout);
        let idle_timeout = self.wait("backend.idle_timeout", raw.idle_timeout);
        let ca_file = match &raw.ca_file {
            Some(path) => self.readable("backend.ca_file", path).map(Some),
            None => Some(None),
        };
        let auth = self.backend_auth(raw, default_region);
        let endpoint = endpoint?.into_parts();
        Some(Backend {
            scheme: endpoint.scheme?,
            authority: endpoint.authority?,
            auth: auth?,
            connect_timeout: connect_timeout?,
            response_timeout: response_timeout?,
            idle_timeout: idle_timeout?,
            ca_file: ca_file?,
        })
    }

    fn endpoint(&mut self, raw: Option<&str>) -> Option<Uri> {
        const KEY: &str = "backend.endpoint";
        let Some(text) = raw else {
            return self.fault(KEY, "is required, for example \"http://127.0.0.1:9000\"");
        };
        let good = |uri: &Uri| {
            let scheme = [Some(&Scheme::HTTP), Some(&Scheme::HTTPS)].contains(&uri.scheme());
            let host = uri.authority().is_some_and(|at| !at.host().is_empty() && !at.as_str().contains('@'));
            scheme && host && uri.path() == "/" && uri.query().is_none()
        };
        match text.parse::<Uri>().ok().filter(good) {
            Some(uri) => Some(uri),
            None => self.fault(KEY, format!("{text:?} is not http://host[:port] or https://host[:port]")),
        }
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
