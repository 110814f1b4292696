//! One exchange with a server, as every command makes it that asks one.

use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use http::uri::Scheme;
use http::{Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

use crate::config::is_this_machine;
use crate::telemetry::with_causes;
use crate::upstream::{ClientTlsError, client_tls};

/// For a whole exchange.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Connections to servers.
pub(super) struct Http(Client<HttpsConnector<HttpConnector>, Full<Bytes>>);

impl Http {
    /// Trusts the authorities of `ca_file` alone if there is one, those of the web otherwise. Connects to nobody yet.
    pub(super) fn new(ca_file: Option<&PathBuf>) -> Result<Self, ClientTlsError> {
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(client_tls(ca_file.into())?)
            .https_or_http()
            .enable_http1()
            .build();
        Ok(Self(Client::builder(TokioExecutor::new()).build(connector)))
    }

    /// The answer with a body that comes as it is made, however long that takes.
    pub(super) async fn open(&self, request: Request<Full<Bytes>>) -> Result<Response<Incoming>, String> {
        match tokio::time::timeout(TIMEOUT, self.0.request(request)).await {
            Ok(answer) => answer.map_err(|error| with_causes(&error)),
            Err(_) => Err(format!("no answer within {} s", TIMEOUT.as_secs())),
        }
    }

    /// Status and body of the answer, of which at most `max_bytes` are read. The error says what went wrong, outermost
    /// cause first.
    pub(super) async fn exchange(
        &self,
        request: Request<Full<Bytes>>,
        max_bytes: usize,
    ) -> Result<(StatusCode, Bytes), String> {
        let exchange = async {
            let answer = self.0.request(request).await.map_err(|error| with_causes(&error))?;
            let (parts, body) = answer.into_parts();
            let body = Limited::new(body, max_bytes).collect().await.map_err(|error| with_causes(&*error))?;
            Ok((parts.status, body.to_bytes()))
        };
        tokio::time::timeout(TIMEOUT, exchange)
            .await
            .unwrap_or_else(|_| Err(format!("no answer within {} s", TIMEOUT.as_secs())))
    }
}

/// Whether nobody between here and there can read along.
pub(super) fn is_confidential(uri: &Uri) -> bool {
    uri.scheme() == Some(&Scheme::HTTPS) || is_this_machine(uri)
}
