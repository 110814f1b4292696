//! The gateway's listener and its way to the backend, and nothing of what is in between: what a proxy of this make
//! costs that does not verify. For comparisons only; it forwards whatever it is asked.
//!
//! ```text
//! unverified <configuration> <address to listen on>
//! ```
//!
//! Nothing of the gateway is switched off for it. Only an authorized request can be forwarded, so one request is signed,
//! verified and authorized at the start, and every other goes in its name.

use std::error::Error;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use http::header::HOST;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};

use http_body_util::{Either, Full};
use hyper::body::{Body, Bytes, Incoming};
use sigv4::{Dialect, Endpoint, Head, Scope, SecretAccessKey, SignedRequest, Signer, SigningKey};
use sigward::auth::{Arrival, Circumstances, Permitted, authenticate_with, look_up, unrevoked};
use sigward::clock::{Clock, UnixMillis};
use sigward::config::{Config, Environment};
use sigward::gateway::Peer;
use sigward::listen::{self, Budget, DrainSwitch, Limits, ListenMetrics, Listener, ListenerOptions, Tls};
use sigward::metrics::Metrics;
use sigward::s3::{Action, Asked, Domains, Target};
use sigward::server::Server;
use sigward::store::Store;
use sigward::upstream::{Answer, Content, Outbound, Upstream, UpstreamMetrics, strip_hop_by_hop};
use sigward_benches::head::{REGION, SECRET_ACCESS_KEY};

// As the gateway has it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What the configuration declares.
const ACCESS_KEY_ID: &str = "AKIAIOSFODNN7EXAMPLE";

type Failure = Box<dyn Error + Send + Sync>;

fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1);
    let (Some(file), Some(address)) = (arguments.next(), arguments.next()) else {
        return Err("unverified <configuration> <address to listen on>".into());
    };
    let load = || Config::load(Path::new(&file), &Environment::of_process());
    // As the workers of the gateway have it.
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(run(
        load()?,
        load()?,
        address.parse()?,
    ))
}

/// `own` is for the gateway that knows the credential; nobody asks it anything.
async fn run(own: Config, config: Config, address: SocketAddr) -> Result<(), Failure> {
    let clock = Clock::system();
    let server = Server::start(own, clock.clone()).await?;
    let permitted = permitted(server.store(), clock.now()).await?;
    let backend = config.backend.ok_or("a [backend] is needed")?;
    let metrics = Metrics::new();
    let upstream = Upstream::new("default", backend, &UpstreamMetrics::register(&metrics))?;
    let proxy = Arc::new(Proxy { upstream, permitted, clock });
    let limits = Limits::from(&config.gateway);
    let http2 = config.gateway.http2;
    let tls = config.gateway.tls.as_ref().map(|tls| Tls::open(tls, http2)).transpose()?;
    let (_, sockets) = listen::bind(address, 1)?;
    let (_switch, drain) = DrainSwitch::new();
    let budget = Budget::new(limits, ListenMetrics::register(&metrics));
    let listener = Listener::new(ListenerOptions { tls, http2, ..ListenerOptions::default() }, budget, drain);
    for socket in sockets {
        let proxy = Arc::clone(&proxy);
        let handle = move |peer, request| Arc::clone(&proxy).handle(peer, request);
        listener.clone().serve(socket, handle).await?;
    }
    Ok(())
}

/// What one signed request may do.
async fn permitted(store: &Store, now: UnixMillis) -> Result<Permitted, Failure> {
    let scope = Scope { date: now.timestamp().date(), region: REGION, service: "s3" };
    let key = SigningKey::derive(&SecretAccessKey::new(SECRET_ACCESS_KEY), &scope);
    let signer =
        Signer { key: &key, access_key_id: ACCESS_KEY_ID, session_token: None, dialect: Dialect::S3 };
    let mut headers = HeaderMap::new();
    headers.insert(HOST, HeaderValue::from_static("localhost"));
    let path = b"/bench/0";
    let target = sigv4::Target { method: "GET", path, query: None };
    signer.sign(target, &mut headers, "UNSIGNED-PAYLOAD", now.timestamp())?;
    let head = Head { method: "GET", path, query: None, headers: &headers, authority: None };
    let endpoint = Endpoint::s3(REGION);
    let signed = SignedRequest::parse(head, &endpoint, now.timestamp())?;
    let arrival = Arrival { at: now, from: [127, 0, 0, 1].into() };
    let record = look_up(store, ACCESS_KEY_ID, signed.session_token(), arrival).await?;
    let authenticated = authenticate_with(signed, record, now, None)?;
    let (unrevoked, _) = unrevoked(store, authenticated).map_err(|denied| format!("{denied:?}"))?;
    let target = Target::parse(path, None, &Domains::new::<&str>([]))?;
    let action = Action::of(&Method::GET, &target, None, &headers);
    let asked = Asked { action, target: &target, query: None, headers: &headers, objects: None };
    let address = [127, 0, 0, 1].into();
    let circumstances =
        Circumstances { address, tls: false, certificate: &[], region: REGION, headers: &headers, now };
    unrevoked.authorize(None, &asked, &circumstances).map_err(|denied| format!("{denied:?}").into())
}

struct Proxy {
    upstream: Upstream<Incoming>,
    permitted: Permitted,
    clock: Clock,
}

impl Proxy {
    async fn handle(
        self: Arc<Self>,
        peer: Peer,
        request: Request<Incoming>,
    ) -> Response<Either<Answer<Incoming>, Full<Bytes>>> {
        let (parts, body) = request.into_parts();
        let outbound = Outbound {
            parts: &parts,
            path: parts.uri.path().as_bytes(),
            content: Content::Raw { length: body.size_hint().exact() },
            forwarded_for: peer.forwarded_for(),
            now: self.clock.now().timestamp(),
        };
        match self.upstream.forward(&self.permitted, &outbound, body).await {
            Ok(mut response) => {
                strip_hop_by_hop(response.headers_mut(), |_| false);
                response.map(Either::Left)
            }
            Err(error) => {
                let mut response = Response::new(Either::Right(Full::from(error.to_string())));
                *response.status_mut() = StatusCode::BAD_GATEWAY;
                response
            }
        }
    }
}
