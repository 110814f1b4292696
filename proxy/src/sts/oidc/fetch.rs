//! Gets a provider's keys: one discovery document at most, one key set, each small, in time, and from nowhere else.

use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, HOST, USER_AGENT};
use http::uri::Scheme;
use http::{HeaderValue, Request, StatusCode, Uri};
use http_body_util::{BodyExt, Empty, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;

use super::json;
use super::jwks::{KeySet, NotAKeySet};
use crate::iam::directory::{OidcKeys, OidcProvider};
use crate::telemetry::with_causes;
use crate::upstream::{Authorities, ClientTlsError, client_tls, is_this_machine};

/// Largest document that is read. The sets of providers with a hundred keys of each kind stay below it.
const MAX_BYTES: usize = 256 << 10;
/// For both documents together. AWS gives up after five seconds, too.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Why a provider's keys could not be had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FetchError {
    /// The URL is not one that is ever fetched.
    #[error("{0} is neither https nor, where that is allowed, http to a loopback address")]
    NotAllowed(Uri),
    /// No TLS towards it.
    #[error(transparent)]
    Tls(#[from] ClientTlsError),
    /// No answer, or a broken one.
    #[error("{uri}: {reason}")]
    Unreachable {
        /// What was asked for.
        uri: Uri,
        /// What went wrong, outermost cause first.
        reason: String,
    },
    /// An answer other than 200. Redirects are not followed.
    #[error("{uri} answered {status}")]
    Status {
        /// What was asked for.
        uri: Uri,
        /// What was answered.
        status: StatusCode,
    },
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
        let getter = Getter::new(provider)?;
        let uri = match &provider.keys {
            OidcKeys::Document(document) => return Ok(KeySet::parse(document)?),
            OidcKeys::Url(url) => url.parse().map_err(|_| discovery_fault(issuer, "jwks_url is no URL"))?,
            OidcKeys::Discovered => jwks_uri(issuer, &getter.get(&discovery_uri(issuer)?).await?)?,
        };
        let bytes = getter.get(&uri).await?;
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

/// A client for the two requests of one fetch.
struct Getter {
    client: Client<HttpsConnector<HttpConnector>, Empty<Bytes>>,
    /// What is declared is itself without TLS, on this machine: for development.
    plain_loopback: bool,
}

impl Getter {
    fn new(provider: &OidcProvider) -> Result<Self, FetchError> {
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(client_tls(provider.ca.as_deref().map_or(Authorities::Web, Authorities::Pem))?)
            .https_or_http()
            .enable_http1()
            .build();
        let client = Client::builder(TokioExecutor::new()).build(connector);
        let declared = match &provider.keys {
            OidcKeys::Url(url) => url,
            OidcKeys::Discovered | OidcKeys::Document(_) => &provider.url,
        };
        Ok(Self { client, plain_loopback: declared.starts_with("http://") })
    }

    async fn get(&self, uri: &Uri) -> Result<Bytes, FetchError> {
        let unreachable = |reason| FetchError::Unreachable { uri: uri.clone(), reason };
        let host = uri.authority().filter(|_| self.allows(uri));
        let host = host.ok_or_else(|| FetchError::NotAllowed(uri.clone()))?;
        let request = Request::get(uri)
            .header(HOST, host.as_str())
            .header(ACCEPT, HeaderValue::from_static("application/json"))
            .header(USER_AGENT, HeaderValue::from_static(concat!("sigward/", env!("CARGO_PKG_VERSION"))))
            .body(Empty::new())
            .map_err(|error| unreachable(with_causes(&error)))?;
        let answer = self.client.request(request).await.map_err(|error| unreachable(with_causes(&error)))?;
        if answer.status() != StatusCode::OK {
            return Err(FetchError::Status { uri: uri.clone(), status: answer.status() });
        }
        let body = Limited::new(answer.into_body(), MAX_BYTES).collect().await;
        Ok(body.map_err(|error| unreachable(with_causes(&*error)))?.to_bytes())
    }

    /// Keys that came over a line where somebody could have changed them prove nothing.
    fn allows(&self, uri: &Uri) -> bool {
        let user = uri.authority().is_some_and(|authority| authority.as_str().contains('@'));
        let plain = uri.scheme() == Some(&Scheme::HTTP) && self.plain_loopback && is_this_machine(uri);
        !user && (uri.scheme() == Some(&Scheme::HTTPS) || plain)
    }
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

    #[test]
    fn keys_come_over_tls_or_from_this_machine() {
        let allows = |issuer: &str, uri: &str| {
            let provider = OidcProvider {
                arn: String::new(),
                account: String::new(),
                url: issuer.to_owned(),
                client_ids: Vec::new(),
                ca: None,
                keys: OidcKeys::Discovered,
            };
            Getter::new(&provider).unwrap().allows(&uri.parse().unwrap())
        };
        let local = "http://127.0.0.1:1";
        for uri in ["https://idp.example/k", "https://127.0.0.1/k"] {
            assert!(allows(ISSUER, uri), "{uri}");
        }
        for uri in ["http://127.0.0.1:1/k", "http://[::1]/k", "http://localhost/k"] {
            assert!(allows(local, uri), "{uri}");
            assert!(!allows(ISSUER, uri), "{uri}");
        }
        for uri in [
            "http://idp.example/k",
            "http://10.0.0.1/k",
            "ftp://127.0.0.1/k",
            "https://a@idp.example/k",
            "/k",
        ] {
            assert!(!allows(local, uri), "{uri}");
        }
    }
}
