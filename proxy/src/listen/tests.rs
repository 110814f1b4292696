//! Connections over real sockets.

use std::net::SocketAddr;

use http_body_util::{BodyExt, Full};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;
use crate::metrics::Metrics;

const LIMITS: Limits = Limits {
    connections: 10,
    per_source: None,
    head_timeout: Duration::from_secs(3600),
    stall_timeout: Duration::from_secs(3600),
    head_bytes: 64 << 10,
};

/// A listener whose answers say where a request came from.
struct Running {
    address: SocketAddr,
    switch: DrainSwitch,
    metrics: ListenMetrics,
    served: tokio::task::JoinHandle<()>,
}

impl Running {
    fn start(options: ListenerOptions, limits: Limits) -> Self {
        let (address, mut sockets) = bind("127.0.0.1:0".parse().unwrap(), 1).unwrap();
        let (switch, drain) = DrainSwitch::new();
        let metrics = ListenMetrics::register(&Metrics::new());
        let listener = Listener::new(options, Budget::new(limits, metrics.clone()), drain);
        let socket = sockets.remove(0);
        let served = tokio::spawn(async move { listener.serve(socket, answer).await.unwrap() });
        Self { address, switch, metrics, served }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// All that comes back for `wire`, until the connection ends.
    async fn send(&self, wire: &[u8]) -> String {
        let mut stream = self.connect().await;
        stream.write_all(wire).await.unwrap();
        read(&mut stream).await
    }

    async fn drained(self) {
        self.switch.drain();
        tokio::time::timeout(Duration::from_secs(10), self.served).await.unwrap().unwrap();
    }
}

async fn read(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    // Bytes that nobody read turn the end into a reset.
    drop(tokio::time::timeout(Duration::from_secs(10), stream.read_to_end(&mut answer)).await.unwrap());
    String::from_utf8_lossy(&answer).into_owned()
}

/// Whoever asks for `/wait` waits for its body to end.
async fn answer(peer: Peer, request: Request<Incoming>) -> Response<Full<Bytes>> {
    let version = request.version();
    if request.uri().path() == "/wait" {
        drop(request.into_body().collect().await);
    }
    Response::new(Full::from(format!("{} {version:?}", peer.address())))
}

const CLOSE: &[u8] = b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";

fn trusting(network: &str) -> ListenerOptions {
    let proxy_protocol = vec![Network::parse(network).unwrap()];
    ListenerOptions { proxy_protocol, http2: true, ..ListenerOptions::default() }
}

#[tokio::test]
async fn nobody_who_has_asked_nothing_holds_up_a_drain() {
    for options in [ListenerOptions::default(), trusting("127.0.0.1"), trusting("10.0.0.0/8")] {
        let running = Running::start(options, LIMITS);
        let _silent = running.connect().await;
        let mut idle = running.connect().await;
        idle.write_all(b"PROXY UNKNOWN\r\n").await.unwrap();
        running.drained().await;
    }
}

#[tokio::test]
async fn a_request_in_flight_is_answered_and_says_that_it_is_the_last() {
    let running = Running::start(ListenerOptions::default(), LIMITS);
    let mut stream = running.connect().await;
    stream.write_all(b"POST /wait HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\na").await.unwrap();
    // Nothing tells when the request has been taken but an answer on another connection after it.
    assert!(running.send(CLOSE).await.starts_with("HTTP/1.1 200"));
    running.switch.drain();
    stream.write_all(b"b").await.unwrap();
    let answer = read(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("connection: close"), "{answer}");
    running.drained().await;
}

#[tokio::test]
async fn a_request_on_its_way_to_an_idle_connection_is_still_answered() {
    let running = Running::start(ListenerOptions::default(), LIMITS);
    let mut stream = running.connect().await;
    running.switch.drain();
    stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    assert!(read(&mut stream).await.contains("connection: close"));
    running.drained().await;
}

#[tokio::test]
async fn a_load_balancer_is_believed_and_a_stranger_is_not() {
    let header = b"PROXY TCP4 192.0.2.7 10.0.0.1 4711 80\r\n";
    let wire = [&header[..], CLOSE].concat();
    let believed = Running::start(trusting("127.0.0.0/8"), LIMITS);
    assert!(believed.send(&wire).await.ends_with("192.0.2.7:4711 HTTP/1.1"));
    assert_eq!(believed.send(CLOSE).await, "", "a load balancer that says nothing is not heard");
    assert_eq!(believed.metrics.bad_proxy_header.get(), 1);
    let stranger = Running::start(trusting("192.0.2.0/24"), LIMITS);
    assert!(stranger.send(&wire).await.starts_with("HTTP/1.1 400"));
    assert!(stranger.send(CLOSE).await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn one_address_has_its_share_of_connections() {
    let limits = Limits { per_source: Some(1), ..LIMITS };
    let running = Running::start(trusting("127.0.0.1"), limits);
    let mut first = running.connect().await;
    first
        .write_all(b"PROXY TCP4 192.0.2.7 10.0.0.1 1 80\r\nGET / HTTP/1.1\r\nhost: x\r\n\r\n")
        .await
        .unwrap();
    first.read_exact(&mut [0; 12]).await.unwrap();
    let ask = |source: &str| [format!("PROXY TCP4 {source} 10.0.0.1 2 80\r\n").as_bytes(), CLOSE].concat();
    assert_eq!(running.send(&ask("192.0.2.7")).await, "");
    assert!(running.send(&ask("192.0.2.8")).await.starts_with("HTTP/1.1 200"));
    assert_eq!(running.metrics.too_many.get(), 1);
}

#[tokio::test]
async fn connections_beyond_the_limit_wait_for_their_turn() {
    let running = Running::start(ListenerOptions::default(), Limits { connections: 1, ..LIMITS });
    let mut first = running.connect().await;
    first.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    first.read_exact(&mut [0; 12]).await.unwrap();
    let mut second = running.connect().await;
    second.write_all(CLOSE).await.unwrap();
    let early = tokio::time::timeout(Duration::from_millis(50), second.read_u8()).await;
    assert!(early.is_err(), "it is not its turn");
    drop(first);
    assert!(read(&mut second).await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn who_sends_its_head_in_drips_is_sent_away() {
    let limits = Limits { head_timeout: Duration::from_millis(200), ..LIMITS };
    // Without HTTP/2 and with it, where the first drips could be its preface.
    for (http2, drip) in [(false, &b"G"[..]), (true, b"G"), (true, b"PRI")] {
        let running = Running::start(ListenerOptions { http2, ..ListenerOptions::default() }, limits);
        let mut stream = running.connect().await;
        stream.write_all(drip).await.unwrap();
        let answer = read(&mut stream).await;
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 408"), "{answer}");
        assert_eq!(running.metrics.silent.get(), 1, "{http2}");
    }
}

const GET: &[u8] = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n";

async fn answered(stream: &mut TcpStream) -> bool {
    let mut answer = Vec::new();
    while !answer.ends_with(b"HTTP/1.1") || answer.len() < 40 {
        if stream.read_buf(&mut answer).await.unwrap() == 0 {
            return false;
        }
    }
    answer.starts_with(b"HTTP/1.1 200")
}

#[tokio::test]
async fn a_connection_that_has_rested_serves_on() {
    let running = Running::start(ListenerOptions { http2: true, ..ListenerOptions::default() }, LIMITS);
    let mut stream = running.connect().await;
    for _ in 0..2 {
        stream.write_all(GET).await.unwrap();
        assert!(answered(&mut stream).await);
        tokio::time::sleep(rest::CALM + Duration::from_millis(200)).await;
        // A head of which the first bytes come alone.
        stream.write_all(&GET[..3]).await.unwrap();
        tokio::time::sleep(Duration::from_millis(20)).await;
        stream.write_all(&GET[3..]).await.unwrap();
        assert!(answered(&mut stream).await);
    }
    tokio::time::sleep(rest::CALM + Duration::from_millis(200)).await;
    running.drained().await;
    assert_eq!(stream.read(&mut [0]).await.unwrap(), 0, "who rests is sent away as well");
}

#[tokio::test]
async fn who_is_silent_has_the_same_time_whether_the_connection_rests_or_not() {
    let head_timeout = rest::CALM + Duration::from_secs(1);
    let running = Running::start(ListenerOptions::default(), Limits { head_timeout, ..LIMITS });
    let mut stream = running.connect().await;
    stream.write_all(GET).await.unwrap();
    assert!(answered(&mut stream).await);
    let start = tokio::time::Instant::now();
    assert_eq!(stream.read(&mut [0]).await.unwrap(), 0);
    let (took, slack) = (start.elapsed(), Duration::from_millis(100));
    assert!(took + slack > head_timeout, "{took:?}");
    assert_eq!(running.metrics.silent.get(), 1);
}

#[tokio::test]
async fn a_head_byte_by_byte_has_no_more_time_for_a_rest_before_it() {
    let head_timeout = rest::CALM * 2;
    let running = Running::start(ListenerOptions::default(), Limits { head_timeout, ..LIMITS });
    let mut stream = running.connect().await;
    tokio::time::sleep(rest::CALM + Duration::from_millis(100)).await;
    let start = tokio::time::Instant::now();
    let (mut reader, mut writer) = stream.split();
    let dripping = async {
        while writer.write_all(b"a").await.is_ok() {
            // Longer than it takes to be calm, if a part of a head counted as calm.
            tokio::time::sleep(rest::CALM + Duration::from_millis(100)).await;
        }
    };
    let mut answer = Vec::new();
    tokio::select! {
        () = dripping => {}
        read = reader.read_to_end(&mut answer) => drop(read),
    }
    assert!(start.elapsed() < head_timeout + rest::CALM, "{:?}", start.elapsed());
    assert_eq!(running.metrics.silent.get(), 1);
}

#[tokio::test]
async fn a_head_that_began_behind_a_request_is_waited_for() {
    let running = Running::start(ListenerOptions::default(), LIMITS);
    let mut stream = running.connect().await;
    stream.write_all(&[GET, &GET[..20]].concat()).await.unwrap();
    assert!(answered(&mut stream).await);
    tokio::time::sleep(rest::CALM + Duration::from_millis(200)).await;
    stream.write_all(&GET[20..]).await.unwrap();
    assert!(answered(&mut stream).await);
}
