//! A document of keys on a web server, asked for by its entity tag.
//!
//! 200 is a document, 304 says that it is the one before; everything else, a body that breaks off or is too large, and
//! silence are a source that cannot be reached: they say nothing about keys. A document that is wrong is asked for again
//! without a tag, so that no 304 can make it look good.

use http::HeaderValue;
use ring::digest;
use zeroize::Zeroizing;

use super::document::Document;
use super::reader::{ReadError, Reading};
use crate::config::HttpsKeySource;
use crate::events::Keyring;
use crate::telemetry::with_causes;
use crate::upstream::{Fetched, Fetcher};

/// A document, and which one it was.
pub(super) struct Https {
    settings: HttpsKeySource,
    max_bytes: usize,
    keyring: Keyring,
    seen: Option<Seen>,
}

/// The last good document.
struct Seen {
    etag: Option<HeaderValue>,
    fingerprint: [u8; 32],
}

impl Https {
    pub(super) fn new(settings: HttpsKeySource, max_bytes: usize, keyring: Keyring) -> Self {
        Self { settings, max_bytes, keyring, seen: None }
    }

    pub(super) async fn read(&mut self) -> Result<Reading, ReadError> {
        let timeout = self.settings.timeout;
        let fetched = tokio::time::timeout(timeout, self.fetch()).await;
        let late = || format!("{}: no complete answer within {timeout:?}", self.settings.url);
        match fetched.unwrap_or_else(|_| Err(late())).map_err(ReadError::Unreachable)? {
            Fetched::Unchanged => Ok(Reading::unchanged()),
            Fetched::Document { body, etag } => self.take(&body, etag),
        }
    }

    /// Certificates and token are read each time: they are rotated more often than the gateway is restarted.
    async fn fetch(&self) -> Result<Fetched, String> {
        let HttpsKeySource { url, ca_file, bearer_token_file, identity, timeout: _ } = &self.settings;
        let fetcher = Fetcher::new(ca_file.as_ref().into(), identity.as_ref(), self.max_bytes);
        let mut fetcher = fetcher.map_err(|error| with_causes(&error))?.plain_loopback(true);
        if let Some(file) = bearer_token_file {
            let token = Zeroizing::new(
                tokio::fs::read(file).await.map_err(|error| format!("{}: {error}", file.display()))?,
            );
            let value = Zeroizing::new([b"Bearer ", token.trim_ascii()].concat());
            let value = HeaderValue::from_bytes(&value)
                .map_err(|_| format!("{}: is no bearer token", file.display()))?;
            fetcher = fetcher.authorized(value);
        }
        let known = self.seen.as_ref().and_then(|seen| seen.etag.as_ref());
        fetcher.get_unless(url, known).await.map_err(|error| with_causes(&error))
    }

    fn take(&mut self, body: &[u8], etag: Option<HeaderValue>) -> Result<Reading, ReadError> {
        let fingerprint = digest::digest(&digest::SHA256, body).as_ref().try_into();
        let fingerprint: [u8; 32] = fingerprint.expect("SHA-256 has 32 bytes");
        if let Some(seen) = self.seen.as_mut().filter(|seen| seen.fingerprint == fingerprint) {
            seen.etag = etag;
            return Ok(Reading::unchanged());
        }
        match Document::list(body, &self.keyring) {
            Ok(document) => {
                self.seen = Some(Seen { etag, fingerprint });
                Ok(Reading { keys: Some(document.keys), faults: Vec::new() })
            }
            Err(error) => {
                if let Some(seen) = &mut self.seen {
                    seen.etag = None;
                }
                Err(ReadError::Refused(format!("{}: {error}", self.settings.url)))
            }
        }
    }
}
