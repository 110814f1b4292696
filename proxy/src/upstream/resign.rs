//! Signing requests anew with the backend's own credential.

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use http::HeaderMap;
use sigv4::{Dialect, Scope, SecretAccessKey, SignError, Signer, SigningKey, Target, Timestamp, hex};

use super::Content;

/// The backend's credential with the signing key of the current day.
pub(super) struct BackendSigner {
    access_key_id: String,
    secret: SecretAccessKey,
    region: Box<str>,
    key: ArcSwapOption<SigningKey>,
}

impl BackendSigner {
    pub(super) fn new(access_key_id: String, secret: SecretAccessKey, region: Box<str>) -> Self {
        Self { access_key_id, secret, region, key: ArcSwapOption::empty() }
    }

    /// Adds date, payload hash and authorization. `Host` must be there already.
    pub(super) fn sign(
        &self,
        target: Target<'_>,
        content: &Content,
        headers: &mut HeaderMap,
        now: Timestamp,
    ) -> Result<(), SignError> {
        let key = self.key_of(now);
        let signer = Signer {
            key: &key,
            access_key_id: &self.access_key_id,
            session_token: None,
            dialect: Dialect::S3,
        };
        let declared;
        let payload = match content {
            Content::Empty => EMPTY_SHA256,
            Content::Plain { sha256: Some(hash), .. } => {
                declared = hex::encode(hash);
                &declared
            }
            Content::Plain { sha256: None, .. } | Content::Raw { .. } => "UNSIGNED-PAYLOAD",
            Content::Trailing { .. } => "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
        };
        signer.sign(target, headers, payload, now).map(drop)
    }

    /// One derivation a day; two threads that race at midnight both derive the same key.
    fn key_of(&self, now: Timestamp) -> Arc<SigningKey> {
        let scope = Scope { date: now.date(), region: &self.region, service: "s3" };
        if let Some(key) = self.key.load_full().filter(|key| key.scope() == scope) {
            return key;
        }
        let key = Arc::new(SigningKey::derive(&self.secret, &scope));
        self.key.store(Some(Arc::clone(&key)));
        key
    }
}

/// SHA-256 of nothing.
const EMPTY_SHA256: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
