//! Gets a provider's keys: one discovery document at most, one key set, each small, in time, and from nowhere else.

use std::time::Duration;

use http::Uri;
use serde_json::Value;

use super::json;
use super::jwks::{KeySet, NotAKeySet};
use crate::iam::directory::{OidcKeys, OidcProvider};
use crate::upstream::{self, Authorities, ClientTlsError, Fetcher};

/// Largest document that is read. The sets of providers with a hundred keys of each kind stay below it.
const MAX_BYTES: usize = 256 << 10;
/// For both documents together. AWS gives up after five seconds, too.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Why a provider's keys could not be had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FetchError {
    /// A document did not come.
    #[error(transparent)]
    Fetch(#[from] upstream::FetchError),
    /// No TLS towards it.
    #[error(transparent)]
    Tls(#[from] ClientTlsError),
    /// The time is over.
    #[error("no complete answer within {} s", TIMEOUT.as_secs())]
    Timeout,
    /// The discovery document says something else than it must.
    #[error("the discovery document of {issuer}: {problem}")]
    Discovery {
        /// Whose it should be.
        issuer: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// What came is something else.
    #[error(transparent)]
    NotAKeySet(#[from] NotAKeySet),
    /// The last attempt failed a moment ago.
    #[error("the last attempt failed a moment ago")]
    Resting,
}

/// Gets the keys of `provider`.
pub(super) async fn fetch(provider: &OidcProvider) -> Result<KeySet, FetchError> {
    let fetched = async {
        let issuer = &provider.url;
        let fetcher = fetcher(provider)?;
        let uri = match &provider.keys {
            OidcKeys::Document(document) => return Ok(KeySet::parse(document)?),
            OidcKeys::Url(url) => url.parse().map_err(|_| discovery_fault(issuer, "jwks_url is no URL"))?,
            OidcKeys::Discovered => jwks_uri(issuer, &fetcher.get(&discovery_uri(issuer)?).await?)?,
        };
        let bytes = fetcher.get(&uri).await?;
        Ok(KeySet::parse(&bytes)?)
    };
    tokio::time::timeout(TIMEOUT, fetched).await.unwrap_or(Err(FetchError::Timeout))
}

/// `<issuer>/.well-known/openid-configuration`; a slash that ends the issuer is not doubled.
///
/// Source: <https://openid.net/specs/openid-connect-discovery-1_0.html#ProviderConfigurationRequest>
fn discovery_uri(issuer: &str) -> Result<Uri, FetchError> {
    let uri = format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'));
    uri.parse().map_err(|_| discovery_fault(issuer, "the issuer is no URL"))
}

fn discovery_fault(issuer: &str, problem: &'static str) -> FetchError {
    FetchError::Discovery { issuer: issuer.to_owned(), problem }
}

/// What a discovery document names as the place of the keys, if it is `issuer`'s own.
fn jwks_uri(issuer: &str, document: &[u8]) -> Result<Uri, FetchError> {
    let fault = |problem| discovery_fault(issuer, problem);
    let document = json::object(document).ok_or_else(|| fault("is not JSON with unique names"))?;
    if document.get("issuer").and_then(Value::as_str) != Some(issuer) {
        return Err(fault("issuer is another one"));
    }
    let uri = document.get("jwks_uri").and_then(Value::as_str).ok_or_else(|| fault("has no jwks_uri"))?;
    uri.parse().map_err(|_| fault("jwks_uri is no URL"))
}

/// A client for the two requests of one fetch. What is declared without TLS, on this machine, is for development.
fn fetcher(provider: &OidcProvider) -> Result<Fetcher, ClientTlsError> {
    let declared = match &provider.keys {
        OidcKeys::Url(url) => url,
        OidcKeys::Discovered | OidcKeys::Document(_) => &provider.url,
    };
    let authorities = provider.ca.as_deref().map_or(Authorities::Web, Authorities::Pem);
    Ok(Fetcher::new(authorities, None, MAX_BYTES)?.plain_loopback(declared.starts_with("http://")))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ISSUER: &str = "https://idp.example/realm";

    #[test]
    fn discovery_never_doubles_a_slash() {
        for issuer in [ISSUER, "https://idp.example/realm/"] {
            let uri = discovery_uri(issuer).unwrap();
            assert_eq!(uri, "https://idp.example/realm/.well-known/openid-configuration");
        }
    }

    #[test]
    fn a_discovery_document_speaks_for_its_own_issuer_only() {
        let named = |document: &str| jwks_uri(ISSUER, document.as_bytes()).ok().map(|uri| uri.to_string());
        let good = r#"{"issuer":"https://idp.example/realm","jwks_uri":"https://keys.example/k"}"#;
        assert_eq!(named(good).as_deref(), Some("https://keys.example/k"));
        for document in [
            r#"{"issuer":"https://idp.example/realm/","jwks_uri":"https://keys.example/k"}"#,
            r#"{"issuer":"https://idp.example","jwks_uri":"https://keys.example/k"}"#,
            r#"{"jwks_uri":"https://keys.example/k"}"#,
            r#"{"issuer":"https://idp.example/realm"}"#,
            r#"{"issuer":"https://idp.example/realm","jwks_uri":"not a url"}"#,
            r#"{"issuer":"x","issuer":"https://idp.example/realm","jwks_uri":"https://keys.example/k"}"#,
            "<html>",
        ] {
            assert_eq!(named(document), None, "{document}");
        }
    }
}
