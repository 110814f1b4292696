//! A gateway with a backend that remembers what it saw, and a client that signs and writes bytes.

#![expect(clippy::unwrap_used, reason = "a test ends where something fails")]

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::request::Parts;
use http::uri::{Authority, Scheme};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use sigv4::{Dialect, Scope, SecretAccessKey, Signature, Signer, SigningKey, Target};
use sigward::clock::{Clock, UnixMillis};
use sigward::config::{self, BackendAuth, Config, DeclaredAccessKey};
use sigward::events::{Event, EventData, Keyring};
use sigward::iam::{AccessKeyId, Credential, KeyStatus, Principal, Session, SessionKind, SessionTokenHash};
use sigward::server::Server;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

pub(crate) const NOW: UnixMillis = UnixMillis(1_767_323_045_000);
pub(crate) const REGION: &str = "us-east-1";
pub(crate) const BACKEND_KEY: &str = "AKIABACKEND";
pub(crate) const UNSIGNED: &str = "UNSIGNED-PAYLOAD";

/// One request as the backend saw it; `None` for a body that broke off.
pub(crate) struct Seen {
    pub(crate) head: Parts,
    pub(crate) body: Option<Bytes>,
}

impl Seen {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.headers.get(name).map(|value| value.to_str().unwrap())
    }
}

/// A path for which the backend answers 200 before it has read the body.
pub(crate) const HASTY: &str = "/bucket/hasty";

/// Answers 200 to everything it gets whole.
#[derive(Clone, Default)]
pub(crate) struct Backend(Arc<Mutex<Vec<Seen>>>);

impl Backend {
    async fn start(&self) -> SocketAddr {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let backend = self.clone();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let backend = backend.clone();
                let service = service_fn(move |request| backend.clone().answer(request));
                let http = hyper::server::conn::http1::Builder::new();
                tokio::spawn(http.serve_connection(TokioIo::new(stream), service));
            }
        });
        address
    }

    async fn answer(self, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
        let (head, body) = request.into_parts();
        if head.uri.path() == HASTY {
            return Ok(Response::new(Full::default()));
        }
        let body = body.collect().await.ok().map(http_body_util::Collected::to_bytes);
        self.0.lock().unwrap().push(Seen { head, body });
        Ok(Response::builder().header("x-backend", "yes").body(Full::from("from the backend")).unwrap())
    }

    /// What was seen since the last call.
    pub(crate) fn take(&self) -> Vec<Seen> {
        std::mem::take(&mut self.0.lock().unwrap())
    }

    /// The only request since the last call.
    pub(crate) fn only(&self) -> Seen {
        let mut seen = self.take();
        assert_eq!(seen.len(), 1, "requests at the backend");
        seen.remove(0)
    }

    /// Bodies that arrived whole since the last call.
    pub(crate) fn completed(&self) -> usize {
        self.take().iter().filter(|seen| seen.body.is_some()).count()
    }
}

/// Everything that runs.
pub(crate) struct Rig {
    pub(crate) server: Server,
    pub(crate) backend: Backend,
    pub(crate) clock: Clock,
    _directory: tempfile::TempDir,
}

impl Rig {
    /// A gateway that signs anew.
    pub(crate) async fn resigning() -> Self {
        let secret = SecretAccessKey::new("backend secret");
        let region = REGION.into();
        Self::start(BackendAuth::Resign { access_key_id: BACKEND_KEY.into(), secret, region }).await
    }

    /// A gateway that signs anew, with an IAM directory of these files, from the account on.
    pub(crate) async fn declared(files: &[(&str, &str)]) -> Self {
        let secret = SecretAccessKey::new("backend secret");
        let auth = BackendAuth::Resign { access_key_id: BACKEND_KEY.into(), secret, region: REGION.into() };
        let directory = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let file = directory.path().join("iam/123456789012").join(path);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, text).unwrap();
        }
        let iam = config::Iam { directory: Some(directory.path().join("iam")), ..config::Iam::default() };
        Self::start_in(directory, auth, iam).await
    }

    pub(crate) async fn start(auth: BackendAuth) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), auth, config::Iam::default()).await
    }

    /// A gateway whose backend is at these addresses and believes its headers. `Rig::backend` is not one of them.
    pub(crate) async fn before(
        endpoints: &[String],
        settings: impl FnOnce(config::Backend) -> config::Backend,
    ) -> Self {
        let endpoints = endpoints.iter().map(|authority| endpoint(authority)).collect();
        let backend = settings(config::Backend::new(endpoints, BackendAuth::Identity));
        let directory = tempfile::tempdir().unwrap();
        Self::start_with(directory, backend, Backend::default(), |_| {}).await
    }

    /// A gateway that signs anew and gives nobody more than that.
    pub(crate) async fn limited(limits: config::Limits) -> Self {
        Self::configured(|config| config.limits = limits).await
    }

    /// A gateway that signs anew, whose configuration is changed.
    pub(crate) async fn configured(change: impl FnOnce(&mut Config)) -> Self {
        let secret = SecretAccessKey::new("backend secret");
        let auth = BackendAuth::Resign { access_key_id: BACKEND_KEY.into(), secret, region: REGION.into() };
        Self::start_before_own(tempfile::tempdir().unwrap(), auth, change).await
    }

    async fn start_in(directory: tempfile::TempDir, auth: BackendAuth, iam: config::Iam) -> Self {
        Self::start_before_own(directory, auth, |config| config.iam = iam).await
    }

    async fn start_before_own(
        directory: tempfile::TempDir,
        auth: BackendAuth,
        change: impl FnOnce(&mut Config),
    ) -> Self {
        let backend = Backend::default();
        let address = backend.start().await;
        let settings = config::Backend {
            response_timeout: Duration::from_secs(5),
            ..config::Backend::new(vec![endpoint(&address.to_string())], auth)
        };
        Self::start_with(directory, settings, backend, change).await
    }

    async fn start_with(
        directory: tempfile::TempDir,
        settings: config::Backend,
        backend: Backend,
        change: impl FnOnce(&mut Config),
    ) -> Self {
        let sealing_key = directory.path().join("sealing.key");
        Keyring::create(&sealing_key).unwrap();
        let clock = Clock::manual(NOW);
        let any_port = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let mut config = Config {
            feed: None,
            gateway: config::Gateway {
                listen: any_port,
                domains: vec!["s3.test".into()],
                // One thread, so that the connections it opens can be counted.
                workers: 1,
                ..config::Gateway::default()
            },
            admin: config::Admin { listen: any_port, tls: None, token: None },
            backend: Some(settings),
            backends: BTreeMap::new(),
            routes: Vec::new(),
            store: config::Store {
                path: directory.path().join("events.redb"),
                sealing_key_files: vec![sealing_key],
                ..config::Store::default()
            },
            iam: config::Iam::default(),
            limits: config::Limits::default(),
            key_sources: Vec::new(),
            access_keys: vec![DeclaredAccessKey {
                access_key_id: AccessKeyId::parse("AKIAALICE").unwrap(),
                secret: SecretAccessKey::new("secret of AKIAALICE"),
                principal: principal("alice"),
                status: KeyStatus::Active,
            }],
            audit: config::Audit::default(),
            log: config::Log { format: config::LogFormat::Text, filter: "off".into(), access_log: true },
            drain: config::Drain { delay: Duration::ZERO, timeout: Duration::from_secs(1) },
        };
        change(&mut config);
        let server = Server::start(config, clock.clone()).await.unwrap();
        Self { server, backend, clock, _directory: directory }
    }

    /// Puts a session into the store, as an STS would.
    pub(crate) async fn issue(&self, who: &Who, issued_at: UnixMillis, expires_at: UnixMillis) {
        let token = SessionTokenHash::of(who.token.unwrap().as_bytes());
        let credential = Credential {
            access_key_id: AccessKeyId::parse(who.access_key_id).unwrap(),
            secret: SecretAccessKey::new(who.secret()),
            principal: principal("alice"),
            issued_at,
            status: KeyStatus::Active,
            not_after: None,
            declared: false,
            session: Some(Session {
                name: Some("session name".into()),
                role_arn: Some("arn:aws:iam::123456789012:role/reader".into()),
                tags: [("team".to_owned(), "a&b".to_owned())].into(),
                ..Session::new(SessionKind::AssumedRole, token, expires_at)
            }),
        };
        self.append(EventData::CredentialIssued(credential)).await;
    }

    pub(crate) async fn append(&self, data: EventData) {
        let id = format!("{}", self.server.store().position());
        let event = Event { source: "/test".into(), id, time: self.clock.now(), data };
        self.server.store().append(vec![event]).await.unwrap();
    }

    /// Sends a request and returns all that comes back.
    pub(crate) async fn send(&self, wire: &[u8]) -> Answer {
        self.exchange(self.server.gateway_address(), wire, false).await
    }

    /// What is counted.
    pub(crate) async fn metrics(&self) -> String {
        let wire = b"GET /metrics HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
        self.exchange(self.server.admin_address(), wire, false).await.0
    }

    /// Sends the beginning of a request, ends the stream there and returns all that comes back.
    pub(crate) async fn send_and_leave(&self, wire: &[u8]) -> Answer {
        self.exchange(self.server.gateway_address(), wire, true).await
    }

    async fn exchange(&self, address: SocketAddr, wire: &[u8], leave: bool) -> Answer {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(wire).await.unwrap();
        if leave {
            stream.shutdown().await.unwrap();
        }
        let mut answer = Vec::new();
        // A refused upload may end in a reset after the answer.
        drop(tokio::time::timeout(Duration::from_secs(10), stream.read_to_end(&mut answer)).await.unwrap());
        Answer(String::from_utf8_lossy(&answer).into_owned())
    }
}

fn endpoint(authority: &str) -> config::BackendEndpoint {
    let authority = Authority::try_from(authority).unwrap();
    config::BackendEndpoint { scheme: Scheme::HTTP, authority }
}

fn principal(user: &str) -> Principal {
    Principal {
        arn: format!("arn:aws:iam::123456789012:user/{user}"),
        user_id: format!("AIDA{user}"),
        account: "123456789012".into(),
    }
}

/// All that came back.
pub(crate) struct Answer(pub(crate) String);

impl Answer {
    pub(crate) fn status(&self) -> u16 {
        self.0.get(9..12).and_then(|code| code.parse().ok()).unwrap_or_default()
    }

    /// The code of an S3 error document.
    pub(crate) fn code(&self) -> &str {
        let after = self.0.split_once("<Code>").map_or("", |(_, after)| after);
        after.split_once("</Code>").map_or("", |(code, _)| code)
    }

    pub(crate) fn verdict(&self) -> (u16, &str) {
        (self.status(), self.code())
    }
}

/// Someone who can sign.
#[derive(Clone, Copy)]
pub(crate) struct Who {
    pub(crate) access_key_id: &'static str,
    pub(crate) token: Option<&'static str>,
}

pub(crate) const ALICE: Who = Who { access_key_id: "AKIAALICE", token: None };
pub(crate) const SESSION: Who = Who { access_key_id: "ASIASESSION", token: Some("the session token") };

impl Who {
    fn secret(&self) -> String {
        format!("secret of {}", self.access_key_id)
    }

    pub(crate) fn key(&self) -> SigningKey {
        let scope = Scope { date: NOW.timestamp().date(), region: REGION, service: "s3" };
        SigningKey::derive(&SecretAccessKey::new(self.secret()), &scope)
    }
}

/// A request to be signed and written.
pub(crate) struct Call<'a> {
    pub(crate) method: &'a str,
    pub(crate) path: &'a str,
    pub(crate) query: Option<&'a str>,
    pub(crate) headers: Vec<(&'static str, String)>,
}

impl<'a> Call<'a> {
    pub(crate) fn new(method: &'a str, path: &'a str) -> Self {
        let headers = vec![("host", "gateway.test".to_owned())];
        Self { method, path, query: None, headers }
    }

    pub(crate) fn with(mut self, name: &'static str, value: impl ToString) -> Self {
        self.headers.retain(|(known, _)| *known != name || name == "connection");
        self.headers.push((name, value.to_string()));
        self
    }

    fn target(&self) -> Target<'_> {
        Target { method: self.method, path: self.path.as_bytes(), query: self.query.map(str::as_bytes) }
    }

    fn map(&self) -> HeaderMap {
        let pair = |(name, value): &(&'static str, String)| {
            (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())
        };
        self.headers.iter().map(pair).collect()
    }

    /// The head signed by `who`, as bytes, and its signature. `unsigned` lines are added afterwards.
    pub(crate) fn signed(&self, who: &Who, payload: &str, unsigned: &str) -> (Vec<u8>, Signature) {
        let (mut headers, key) = (self.map(), who.key());
        let signer = Signer {
            key: &key,
            access_key_id: who.access_key_id,
            session_token: who.token.map(str::as_bytes),
            dialect: Dialect::S3,
        };
        let signature = signer.sign(self.target(), &mut headers, payload, NOW.timestamp()).unwrap();
        (self.write(self.query, &headers, unsigned), signature)
    }

    /// The head presigned by `who` for an hour.
    pub(crate) fn presigned(&self, who: &Who, unsigned: &str) -> Vec<u8> {
        let (headers, key) = (self.map(), who.key());
        let signer = Signer {
            key: &key,
            access_key_id: who.access_key_id,
            session_token: who.token.map(str::as_bytes),
            dialect: Dialect::S3,
        };
        let query = signer.presign(self.target(), &headers, NOW.timestamp(), 3_600).unwrap();
        self.write(Some(&query), &headers, unsigned)
    }

    fn write(&self, query: Option<&str>, headers: &HeaderMap, unsigned: &str) -> Vec<u8> {
        let query = query.map(|query| format!("?{query}")).unwrap_or_default();
        let mut wire = format!("{} {}{query} HTTP/1.1\r\n", self.method, self.path).into_bytes();
        for (name, value) in headers {
            wire.extend([name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"].concat());
        }
        wire.extend(format!("{unsigned}connection: close\r\n\r\n").bytes());
        wire
    }
}
