//! The rules of `[[key_sources]]`.

use std::collections::BTreeSet;
use std::path::PathBuf;

use http::Uri;
use http::uri::Scheme;

use super::feed::name;
use super::{Check, raw};
use crate::config::raw::KeySourceKind;
use crate::config::{HttpsKeySource, KeySource, KeySourcePlace, is_this_machine};

const LARGEST_DOCUMENT: u64 = 64 << 20;

impl Check<'_> {
    pub(super) fn key_sources(&mut self, raw: Vec<raw::KeySource>) -> Option<Vec<KeySource>> {
        let (mut names, mut sources) = (BTreeSet::new(), Vec::new());
        let count = raw.len();
        for (at, raw) in raw.into_iter().enumerate() {
            let Some(source) = self.key_source(&format!("key_sources[{at}]"), raw) else { continue };
            if !names.insert(source.name.clone()) {
                let message = format!("{} is the name of another source", source.name);
                let _: Option<()> = self.fault(&format!("key_sources[{at}].name"), message);
            }
            sources.push(source);
        }
        (sources.len() == count).then_some(sources)
    }

    fn key_source(&mut self, at: &str, raw: raw::KeySource) -> Option<KeySource> {
        let key = |name: &str| format!("{at}.{name}");
        let label = match &raw.name {
            Some(text) => self.parsed(&key("name"), text, "1 to 32 letters, digits, - and _", name),
            None => self.fault(&key("name"), "is required"),
        };
        let max_bytes = self.size(&key("max_size"), raw.max_size, 1..=LARGEST_DOCUMENT);
        let poll_interval = self.wait(&key("poll_interval"), raw.poll_interval);
        let stale_warn = self.wait(&key("stale_warn"), raw.stale_warn);
        let stale_alert = self.wait(&key("stale_alert"), raw.stale_alert);
        if raw.stale_warn.0 < raw.poll_interval.0 * 2 {
            return self.fault(&key("stale_warn"), "is less than two poll intervals: one may fail");
        }
        if raw.stale_alert.0 < raw.stale_warn.0 {
            return self.fault(&key("stale_alert"), "is less than stale_warn");
        }
        let place = match raw.kind {
            Some(KeySourceKind::Directory) => self.key_directory(at, raw),
            Some(KeySourceKind::Https) => self.key_document(at, raw).map(KeySourcePlace::Https),
            None => self.fault(&key("kind"), "is required: directory or https"),
        };
        Some(KeySource {
            name: label?.into(),
            place: place?,
            max_bytes: usize::try_from(max_bytes?).ok()?,
            poll_interval: poll_interval?,
            stale_warn: stale_warn?,
            stale_alert: stale_alert?,
        })
    }

    /// Whether it is there is for the source to say: it may be mounted later.
    fn key_directory(&mut self, at: &str, raw: raw::KeySource) -> Option<KeySourcePlace> {
        let foreign = [
            ("url", raw.url.is_some()),
            ("ca_file", raw.ca_file.is_some()),
            ("bearer_token_file", raw.bearer_token_file.is_some()),
            ("certificate_file", raw.certificate_file.is_some()),
            ("private_key_file", raw.private_key_file.is_some()),
        ];
        if let Some((name, _)) = foreign.iter().find(|(_, given)| *given) {
            return self.fault(&format!("{at}.{name}"), "only means something with kind = \"https\"");
        }
        match raw.path {
            Some(path) => Some(KeySourcePlace::Directory(self.base.join(path))),
            None => self.fault(&format!("{at}.path"), "is required with kind = \"directory\""),
        }
    }

    fn key_document(&mut self, at: &str, raw: raw::KeySource) -> Option<HttpsKeySource> {
        let key = |name: &str| format!("{at}.{name}");
        if raw.path.is_some() {
            return self.fault(&key("path"), "only means something with kind = \"directory\"");
        }
        let what = "an https URL, or an http URL of this machine, without user and fragment";
        let url = match &raw.url {
            Some(text) => self.parsed(&key("url"), text, what, document_url),
            None => self.fault(&key("url"), "is required with kind = \"https\""),
        };
        let ca_file = self.optional_file(&key("ca_file"), raw.ca_file);
        let bearer_token_file = self.optional_file(&key("bearer_token_file"), raw.bearer_token_file);
        let files = raw::Certificate {
            certificate_file: raw.certificate_file,
            private_key_file: raw.private_key_file,
        };
        let identity = match files == raw::Certificate::default() {
            true => Some(None),
            false => self.certificate(at, files).map(Some),
        };
        let timeout = self.wait(&key("timeout"), raw.timeout);
        Some(HttpsKeySource {
            url: url?,
            ca_file: ca_file?,
            bearer_token_file: bearer_token_file?,
            identity: identity?,
            timeout: timeout?,
        })
    }

    fn optional_file(&mut self, key: &str, path: Option<PathBuf>) -> Option<Option<PathBuf>> {
        match path {
            Some(path) => self.readable(key, &path).map(Some),
            None => Some(None),
        }
    }
}

/// Keys that came over a line where somebody could have read or changed them are nobody's secret.
fn document_url(text: &str) -> Option<Uri> {
    let url: Uri = text.parse().ok()?;
    let plain = url.scheme() == Some(&Scheme::HTTP) && is_this_machine(&url);
    let user = url.authority()?.as_str().contains('@');
    let fine = !user && !text.contains('#') && (url.scheme() == Some(&Scheme::HTTPS) || plain);
    fine.then_some(url)
}
