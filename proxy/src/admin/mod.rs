//! The admin listener: probes, metrics, and the API that operators and credential issuers use.
//!
//! | request | answer |
//! |---|---|
//! | `GET /livez` | 200 while the process runs |
//! | `GET /readyz` | 200 while requests are welcome, else 503 and why |
//! | `GET /metrics` | Prometheus text |
//! | `POST /v1/events` | appends a CloudEvent or a batch; `[{source, id, seq, duplicate}]` |
//! | `GET /v1/events` | events as they come, a CloudEvent a line; `since_seq` or `since`, `follow`, `type`, `access_key_id` |
//! | `GET /v1/events/snapshot` | the state at one position, a line for each session, long-term key and revocation |
//! | `GET /v1/events/verify` | a line `{place, fault}` for each fault of the log, and `{verified}` |
//! | `GET /v1/events/export` | the log as a file that can be imported elsewhere |
//! | `GET /v1/sessions` | `{sessions, next?}`; filters `access_key_id`, `principal`, `role`, `account`, `session_name`, `identity_provider`, `source_identity`, `kind`, `expired` |
//! | `POST /v1/revocations` | `{access_key_id \| principal \| role, session_name? \| account \| identity_provider \| source_identity, cascade?, issued_before?, reason?, wait?: "all" \| number, wait_seconds?}`; `{issued_before, sessions, seq, applied?, lagging?}` |
//! | `GET /v1/iam` | `{configured, loaded_at?, users, groups, roles, providers, faults, warnings}`: the IAM directory |
//! | `GET /v1/access-keys` | `{access_keys}` |
//! | `POST /v1/access-keys` | creates one; its secret is in this answer and nowhere else |
//! | `PUT /v1/access-keys/{id}/status` | `{status: "Active" \| "Inactive"}` |
//! | `DELETE /v1/access-keys/{id}` | deletes it |
//!
//! Probes and metrics answer everyone who can reach the listener. Who may use `/v1` is decided by `access`.
//! Errors are `{"error": {"code", "message", "path"?}}`. Every write is answered when it is on disk and in force.

mod access;
mod access_keys;
mod admin_event;
mod answer;
mod body;
mod events;
mod health;
mod identities;
mod journal;
mod query;
mod sessions;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use bytes::Bytes;
use http::header::{ALLOW, HeaderValue};
use http::request::Parts;
use http::{Method, Request, Response, StatusCode};
use http_body::Body;
use http_body_util::{Either, Full};
use prometheus::IntGauge;
use sigv4::uri::decode_path;

use access::Access;
pub use answer::AdminBody;
use answer::{Answer, ApiError};
use body::MediaType;
pub use health::{Phase, Readiness};
pub use journal::LinesBody;

use crate::clock::Clock;
use crate::config;
use crate::gateway::Peer;
use crate::iam::AccessKeyId;
use crate::identities::Identities;
use crate::key_sources::KeySources;
use crate::metrics::Metrics;
use crate::store::Store;

/// Answers the admin listener's requests. One for the whole process.
pub struct Admin {
    access: Access,
    store: Store,
    identities: Identities,
    key_sources: KeySources,
    clock: Clock,
    metrics: Metrics,
    ready: IntGauge,
    readiness: Readiness,
}

/// What an admin listener is made of.
pub struct AdminParts {
    /// The listener's configuration.
    pub settings: config::Admin,
    /// What is listed, revoked and fed.
    pub store: Store,
    /// Who is declared.
    pub identities: Identities,
    /// Sources of long-term keys, which have to be read once before requests are welcome.
    pub key_sources: KeySources,
    /// What time it is.
    pub clock: Clock,
    /// What is counted.
    pub metrics: Metrics,
    /// Whether requests are welcome.
    pub readiness: Readiness,
}

/// Where a request goes.
#[derive(Debug, PartialEq, Eq)]
enum Route {
    Livez,
    Readyz,
    Metrics,
    Events,
    Snapshot,
    Verify,
    Export,
    Sessions,
    Revocations,
    Iam,
    AccessKeys,
    AccessKey(AccessKeyId),
    AccessKeyStatus(AccessKeyId),
}

/// Who is on the other end, as far as secrets are concerned.
#[derive(Clone, Copy)]
struct Caller<'a>(&'a Peer);

impl Caller<'_> {
    /// Whether a secret may travel on this connection.
    fn check_confidential(self) -> Result<(), ApiError> {
        access::check_confidential(self.0.address(), self.0.tls)
    }
}

impl Admin {
    /// Puts the parts together.
    pub fn new(parts: AdminParts) -> Self {
        let AdminParts { settings, store, identities, key_sources, clock, metrics, readiness } = parts;
        let access = Access::new(settings.token.as_ref());
        let ready = metrics.gauge("ready", "1 while /readyz answers 200, else 0.");
        Self { access, store, identities, key_sources, clock, metrics, ready, readiness }
    }

    /// Answers one request.
    pub async fn handle<B>(self: Arc<Self>, peer: Peer, request: Request<B>) -> Response<AdminBody>
    where
        B: Body<Data = Bytes>,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let (parts, body) = request.into_parts();
        let head = parts.method == Method::HEAD;
        let mut answer = match self.route(&parts, &peer, body).await {
            Ok(answer) => answer,
            Err(error) => error.into_answer(),
        };
        if !parts.method.is_safe() {
            let (method, path, status) = (&parts.method, parts.uri.path(), answer.status().as_u16());
            tracing::info!(peer = %peer.address(), %method, path, status, "admin request");
        }
        if head {
            *answer.body_mut() = Either::Left(Full::default());
        }
        answer
    }

    fn welcome(&self) -> Result<(), health::Unwelcome> {
        health::welcome(&self.readiness, &self.store, &self.key_sources)
    }

    async fn route<B>(&self, parts: &Parts, peer: &Peer, body: B) -> Result<Answer, ApiError>
    where
        B: Body<Data = Bytes>,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let path = parts.uri.path();
        // Before anything else, so that nobody learns from the answers what exists.
        if path.starts_with("/v1") {
            self.access.check(peer.address(), parts)?;
        }
        let route = Route::of(path)?;
        if !route.methods().contains(&parts.method.as_str()) {
            return Ok(method_not_allowed(route.methods()));
        }
        let caller = Caller(peer);
        let headers = &parts.headers;
        match route {
            Route::Livez => Ok(health::livez()),
            Route::Readyz => Ok(health::readyz(self.welcome())),
            Route::Metrics => {
                self.ready.set(i64::from(self.welcome().is_ok()));
                let content_type = "text/plain; version=0.0.4; charset=utf-8";
                Ok(answer::with_type(StatusCode::OK, content_type, self.metrics.render()))
            }
            Route::Events if parts.method != Method::POST => journal::tail(self, parts.uri.query()),
            Route::Snapshot => journal::snapshot(self, parts.uri.query()),
            Route::Verify => journal::verify(self, parts.uri.query()),
            Route::Export => journal::export(self, caller, parts.uri.query()),
            Route::Events => {
                let media_type = MediaType::declared(headers, &[MediaType::Event, MediaType::EventBatch])?;
                events::post(self, caller, media_type, body::read(body).await?).await
            }
            Route::Sessions => sessions::list(self, parts.uri.query()).await,
            Route::Revocations => sessions::revoke(self, body::read_json(headers, body).await?).await,
            Route::Iam => Ok(identities::report(&self.identities)),
            Route::AccessKeys if parts.method == Method::POST => {
                access_keys::create(self, caller, body::read_json(headers, body).await?).await
            }
            Route::AccessKeys => access_keys::list(self).await,
            Route::AccessKey(id) => access_keys::delete(self, id).await,
            Route::AccessKeyStatus(id) => {
                access_keys::put_status(self, id, body::read_json(headers, body).await?).await
            }
        }
    }
}

impl Route {
    fn of(path: &str) -> Result<Self, ApiError> {
        let segments: Vec<&str> = path.split('/').skip(1).collect();
        Ok(match segments[..] {
            ["livez"] => Self::Livez,
            ["readyz"] => Self::Readyz,
            ["metrics"] => Self::Metrics,
            ["v1", "events"] => Self::Events,
            ["v1", "events", "snapshot"] => Self::Snapshot,
            ["v1", "events", "verify"] => Self::Verify,
            ["v1", "events", "export"] => Self::Export,
            ["v1", "sessions"] => Self::Sessions,
            ["v1", "revocations"] => Self::Revocations,
            ["v1", "iam"] => Self::Iam,
            ["v1", "access-keys"] => Self::AccessKeys,
            ["v1", "access-keys", id] => Self::AccessKey(access_key_id(id)?),
            ["v1", "access-keys", id, "status"] => Self::AccessKeyStatus(access_key_id(id)?),
            _ => return Err(ApiError::not_found("there is nothing at this path")),
        })
    }

    const fn methods(&self) -> &'static [&'static str] {
        match self {
            Self::Livez | Self::Readyz | Self::Metrics | Self::Sessions | Self::Iam => &["GET", "HEAD"],
            Self::Snapshot | Self::Verify | Self::Export => &["GET"],
            Self::Revocations => &["POST"],
            Self::Events => &["GET", "POST"],
            Self::AccessKeys => &["GET", "HEAD", "POST"],
            Self::AccessKey(_) => &["DELETE"],
            Self::AccessKeyStatus(_) => &["PUT"],
        }
    }
}

fn access_key_id(segment: &str) -> Result<AccessKeyId, ApiError> {
    let decoded = decode_path(segment.as_bytes()).ok();
    let text = decoded.as_deref().and_then(|bytes| std::str::from_utf8(bytes).ok());
    text.and_then(AccessKeyId::parse).ok_or_else(|| ApiError::not_found("the path holds no access key id"))
}

fn method_not_allowed(methods: &[&str]) -> Answer {
    let allowed = methods.join(", ");
    let error = ApiError::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "MethodNotAllowed",
        format!("this resource has {allowed}"),
    );
    let mut answer = error.into_answer();
    if let Ok(value) = HeaderValue::from_str(&allowed) {
        answer.headers_mut().insert(ALLOW, value);
    }
    answer
}
