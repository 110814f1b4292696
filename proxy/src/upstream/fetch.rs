//! Small documents from servers that are named in the configuration: whole or not at all, and from nowhere else.
//!
//! Redirects are not followed. How long an answer may take is for the caller to say.

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, ETAG, HOST, IF_NONE_MATCH, USER_AGENT};
use http::uri::Scheme;
use http::{HeaderMap, HeaderValue, Request, StatusCode, Uri};
use http_body_util::{BodyExt, Empty, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

use super::tls::{Authorities, ClientTlsError, client_tls_as};
use crate::config::{TlsFiles, is_this_machine};
use crate::telemetry::with_causes;

/// Why a document could not be had.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The URL is not one that is ever fetched.
    #[error("{0} is neither https nor, where that is allowed, http to a loopback address")]
    NotAllowed(Uri),
    /// No answer, or a broken one.
    #[error("{uri}: {reason}")]
    Unreachable {
        /// What was asked for.
        uri: Uri,
        /// What went wrong, outermost cause first.
        reason: String,
    },
    /// An answer other than 200, or 304 to a condition.
    #[error("{uri} answered {status}")]
    Status {
        /// What was asked for.
        uri: Uri,
        /// What was answered.
        status: StatusCode,
    },
}

/// What came.
#[derive(Debug)]
pub enum Fetched {
    /// The document, and the tag to ask for it with the next time.
    Document {
        /// All of it.
        body: Bytes,
        /// Its entity tag, if it has one.
        etag: Option<HeaderValue>,
    },
    /// It is the one that the tag stands for.
    Unchanged,
}

/// A client for one document, or a few of one server.
pub struct Fetcher {
    client: Client<HttpsConnector<HttpConnector>, Empty<Bytes>>,
    plain_loopback: bool,
    max_bytes: usize,
    headers: HeaderMap,
}

impl Fetcher {
    /// Fetches documents of up to `max_bytes` from servers that `authorities` vouch for, and shows `identity` to those
    /// that ask.
    ///
    /// # Errors
    /// Certificates cannot be read or used.
    pub fn new(
        authorities: Authorities<'_>,
        identity: Option<&TlsFiles>,
        max_bytes: usize,
    ) -> Result<Self, ClientTlsError> {
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(client_tls_as(authorities, identity)?)
            .https_or_http()
            .enable_http1()
            .build();
        let client = Client::builder(TokioExecutor::new()).build(connector);
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        let agent = concat!("sigward/", env!("CARGO_PKG_VERSION"));
        headers.insert(USER_AGENT, HeaderValue::from_static(agent));
        Ok(Self { client, plain_loopback: false, max_bytes, headers })
    }

    /// Whether plain HTTP to this machine will do, for development.
    #[must_use]
    pub fn plain_loopback(mut self, allowed: bool) -> Self {
        self.plain_loopback = allowed;
        self
    }

    /// Sends `Authorization`, which no log or `Debug` shows.
    #[must_use]
    pub fn authorized(mut self, mut value: HeaderValue) -> Self {
        value.set_sensitive(true);
        self.headers.insert(AUTHORIZATION, value);
        self
    }

    /// The document at `uri`.
    ///
    /// # Errors
    /// It is not there as a whole, or may not be asked for.
    pub async fn get(&self, uri: &Uri) -> Result<Bytes, FetchError> {
        match self.get_unless(uri, None).await? {
            Fetched::Document { body, .. } => Ok(body),
            Fetched::Unchanged => {
                Err(FetchError::Status { uri: uri.clone(), status: StatusCode::NOT_MODIFIED })
            }
        }
    }

    /// The document at `uri`, unless it is the one that `known` stands for.
    ///
    /// # Errors
    /// It is not there as a whole, or may not be asked for.
    ///
    /// Source: <https://www.rfc-editor.org/rfc/rfc9110#section-13.1.2>
    pub async fn get_unless(&self, uri: &Uri, known: Option<&HeaderValue>) -> Result<Fetched, FetchError> {
        let unreachable = |reason| FetchError::Unreachable { uri: uri.clone(), reason };
        let host = uri.authority().filter(|_| self.allows(uri));
        let host = host.ok_or_else(|| FetchError::NotAllowed(uri.clone()))?;
        let mut request = Request::get(uri)
            .header(HOST, host.as_str())
            .body(Empty::new())
            .map_err(|error| unreachable(with_causes(&error)))?;
        request.headers_mut().extend(self.headers.clone());
        if let Some(etag) = known {
            request.headers_mut().insert(IF_NONE_MATCH, etag.clone());
        }
        let answer = self.client.request(request).await.map_err(|error| unreachable(with_causes(&error)))?;
        match answer.status() {
            StatusCode::OK => {}
            StatusCode::NOT_MODIFIED if known.is_some() => return Ok(Fetched::Unchanged),
            status => return Err(FetchError::Status { uri: uri.clone(), status }),
        }
        let etag = answer.headers().get(ETAG).cloned();
        let body = Limited::new(answer.into_body(), self.max_bytes).collect().await;
        let body = body.map_err(|error| unreachable(with_causes(&*error)))?.to_bytes();
        Ok(Fetched::Document { body, etag })
    }

    /// What came over a line where somebody could have changed it proves nothing.
    fn allows(&self, uri: &Uri) -> bool {
        let user = uri.authority().is_some_and(|authority| authority.as_str().contains('@'));
        let plain = uri.scheme() == Some(&Scheme::HTTP) && self.plain_loopback && is_this_machine(uri);
        !user && (uri.scheme() == Some(&Scheme::HTTPS) || plain)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_come_over_tls_or_from_this_machine() {
        let allows = |plain_loopback: bool, uri: &str| {
            let fetcher = Fetcher::new(Authorities::Web, None, 1).unwrap().plain_loopback(plain_loopback);
            fetcher.allows(&uri.parse().unwrap())
        };
        for uri in ["https://idp.example/k", "https://127.0.0.1/k"] {
            assert!(allows(false, uri) && allows(true, uri), "{uri}");
        }
        for uri in ["http://127.0.0.1:1/k", "http://[::1]/k", "http://localhost/k"] {
            assert!(allows(true, uri), "{uri}");
            assert!(!allows(false, uri), "{uri}");
        }
        for uri in [
            "http://idp.example/k",
            "http://10.0.0.1/k",
            "ftp://127.0.0.1/k",
            "https://a@idp.example/k",
            "/k",
        ] {
            assert!(!allows(true, uri), "{uri}");
        }
    }
}
