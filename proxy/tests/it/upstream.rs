//! Backends that misbehave on purpose, and what clients get to see of it.

#![expect(clippy::unwrap_used, reason = "a test ends where something fails")]

mod refusal;

use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sigward::config::{Addressing, Backend, Ejection, HealthCheck};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::rig::{ALICE, Answer, Call, Rig, UNSIGNED};

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/// A backend that does as it is told.
#[derive(Clone, Default)]
struct Script {
    connections: Arc<AtomicUsize>,
    /// First lines of the requests.
    asked: Arc<Mutex<Vec<String>>>,
}

impl Script {
    /// Serves every connection by `serve`, which also learns how many came before it. Where the backend is.
    async fn start<F, S>(&self, serve: S) -> String
    where
        F: Future<Output = ()> + Send + 'static,
        S: Fn(usize, Connection) -> F + Send + 'static,
    {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let script = self.clone();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let before = script.connections.fetch_add(1, Ordering::Relaxed);
                tokio::spawn(serve(before, Connection { stream, script: script.clone() }));
            }
        });
        address.to_string()
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

struct Connection {
    stream: TcpStream,
    script: Script,
}

impl Connection {
    /// Reads a head; `false` if there is none.
    async fn head(&mut self) -> Option<String> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(self.stream.read_u8().await.ok()?);
        }
        let head = String::from_utf8(head).unwrap();
        let line = head.lines().next().unwrap().trim_end_matches(" HTTP/1.1").to_owned();
        self.script.asked.lock().unwrap().push(line);
        Some(head)
    }

    async fn write(&mut self, bytes: &str) {
        self.stream.write_all(bytes.as_bytes()).await.unwrap();
    }

    /// Answers every request, and reads no bodies.
    async fn obey(mut self) {
        while self.head().await.is_some() {
            self.write(OK).await;
        }
    }

    /// Answers every request in these pieces.
    async fn repeat(mut self, pieces: Vec<String>) {
        while self.head().await.is_some() {
            for piece in &pieces {
                self.write(piece).await;
                tokio::task::yield_now().await;
            }
        }
    }

    /// Says nothing until the other side closes.
    async fn hang(mut self) {
        while self.stream.read_u8().await.is_ok() {}
    }
}

/// An address where nobody listens.
async fn nobody() -> String {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    listener.local_addr().unwrap().to_string()
}

async fn get(rig: &Rig) -> Answer {
    rig.send(&Call::new("GET", "/bucket/key").signed(&ALICE, UNSIGNED, "").0).await
}

async fn put(rig: &Rig, body: &[u8]) -> Answer {
    let call = Call::new("PUT", "/bucket/key").with("content-length", body.len());
    let (mut wire, _) = call.signed(&ALICE, UNSIGNED, "");
    wire.extend_from_slice(body);
    rig.send(&wire).await
}

fn metric(metrics: &str, name: &str, endpoint: &str) -> u64 {
    let line = format!("sigward_{name}{{backend=\"backend\",endpoint=\"{endpoint}\"}} ");
    let found = metrics.lines().find_map(|text| text.strip_prefix(&line));
    found.unwrap_or_else(|| panic!("no {line} in {metrics}")).parse().unwrap()
}

#[tokio::test]
async fn a_connection_serves_one_request_after_the_other() {
    let script = Script::default();
    let address = script.start(|_, connection| connection.obey()).await;
    let rig = Rig::before(std::slice::from_ref(&address), |backend| backend).await;
    for _ in 0..5 {
        assert_eq!(get(&rig).await.status(), 200);
        assert_eq!(put(&rig, b"").await.status(), 200);
    }
    assert_eq!(script.connections(), 1);
    let metrics = rig.metrics().await;
    assert_eq!(metric(&metrics, "upstream_connections", &address), 1);
    assert_eq!(metric(&metrics, "upstream_idle_connections", &address), 1);
}

#[tokio::test]
async fn an_idle_connection_that_was_closed_costs_no_request() {
    let script = Script::default();
    let serve = |_, mut connection: Connection| async move {
        connection.head().await.unwrap();
        connection.write(OK).await;
    };
    let address = script.start(serve).await;
    let rig = Rig::before(&[address], |backend| backend).await;
    for _ in 0..5 {
        assert_eq!(get(&rig).await.status(), 200);
    }
    assert_eq!(script.asked().len(), 5);
}

/// The first connection serves once and breaks off when it is used again.
async fn fickle(before: usize, mut connection: Connection) {
    connection.head().await.unwrap();
    connection.write(OK).await;
    if before == 0 {
        connection.head().await;
    } else {
        connection.obey().await;
    }
}

#[tokio::test]
async fn a_get_that_a_used_connection_lost_is_sent_again() {
    let script = Script::default();
    let address = script.start(fickle).await;
    let rig = Rig::before(std::slice::from_ref(&address), |backend| backend).await;
    assert_eq!(get(&rig).await.status(), 200);
    assert_eq!(get(&rig).await.status(), 200);
    assert_eq!((script.connections(), script.asked().len()), (2, 3));
    assert_eq!(metric(&rig.metrics().await, "upstream_retries_total", &address), 1);
}

#[tokio::test]
async fn what_could_have_been_written_is_not_written_again() {
    for method in ["PUT", "DELETE", "POST"] {
        let script = Script::default();
        let address = script.start(fickle).await;
        let other = script.start(fickle).await;
        let rig = Rig::before(&[address, other], |backend| backend).await;
        let call = Call::new(method, "/bucket/key").with("content-length", 0);
        let mut answers = Vec::new();
        // The endpoints take turns, and the first one breaks off what it gets next.
        for _ in 0..4 {
            answers.push(rig.send(&call.signed(&ALICE, UNSIGNED, "").0).await.status());
        }
        assert_eq!(answers, [200, 200, 503, 200], "{method}");
        assert_eq!(script.asked().len(), 4, "{method}: {:?}", script.asked());
    }
}

#[tokio::test]
async fn what_was_not_sent_goes_to_another_endpoint() {
    let script = Script::default();
    let (dead, alive) = (nobody().await, script.start(|_, connection| connection.obey()).await);
    let rig = Rig::before(&[dead.clone(), alive], |backend| Backend {
        ejection: Ejection { failures: 3, time: Duration::from_secs(600), longest: Duration::from_secs(600) },
        ..backend
    })
    .await;
    for _ in 0..10 {
        assert_eq!(put(&rig, b"").await.status(), 200);
    }
    let metrics = rig.metrics().await;
    assert_eq!(metric(&metrics, "upstream_ejections_total", &dead), 1);
    assert_eq!(metric(&metrics, "upstream_retries_total", &dead), 3);
    assert_eq!(metric(&metrics, "upstream_healthy_addresses", &dead), 0);
}

#[tokio::test]
async fn a_get_is_sent_to_another_endpoint_when_one_breaks_off() {
    let (bad, good) = (Script::default(), Script::default());
    let half_a_head = |_, mut connection: Connection| async move {
        connection.head().await.unwrap();
        connection.write("HTTP/1.1 200 OK\r\ncontent-le").await;
    };
    let (bad_address, good_address) =
        (bad.start(half_a_head).await, good.start(|_, connection| connection.obey()).await);
    let rig = Rig::before(&[bad_address, good_address], |backend| backend).await;
    for _ in 0..4 {
        assert_eq!(get(&rig).await.status(), 200);
    }
    assert!(bad.asked().len() > 1);
    assert_eq!(good.asked().len(), 4);
}

#[tokio::test]
async fn an_answer_that_breaks_off_never_looks_complete() {
    for head in ["content-length: 100", "transfer-encoding: chunked"] {
        let script = Script::default();
        let serve = move |_, mut connection: Connection| async move {
            connection.head().await.unwrap();
            connection.write(&format!("HTTP/1.1 200 OK\r\n{head}\r\n\r\n5\r\nabcde\r\n")).await;
        };
        let address = script.start(serve).await;
        let rig = Rig::before(&[address], |backend| backend).await;
        let answer = get(&rig).await;
        assert_eq!(answer.status(), 200);
        assert!(answer.0.contains(head) && !answer.0.ends_with("0\r\n\r\n"), "{}", answer.0);
        assert_eq!(script.asked().len(), 1, "what has begun to reach the client is not begun anew");
    }
}

#[tokio::test]
async fn an_answer_that_ends_with_its_connection_arrives_whole() {
    let script = Script::default();
    let serve = |_, mut connection: Connection| async move {
        connection.head().await.unwrap();
        connection.write("HTTP/1.1 103 Early Hints\r\nlink: a\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n").await;
        connection.write("HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nthe whole body").await;
    };
    let address = script.start(serve).await;
    let rig = Rig::before(&[address], |backend| backend).await;
    for _ in 0..2 {
        let answer = get(&rig).await;
        assert_eq!(answer.status(), 200);
        assert!(answer.0.contains("the whole body"), "{}", answer.0);
    }
    assert_eq!(script.connections(), 2);
}

#[tokio::test]
async fn a_stalled_answer_is_cut_off() {
    let script = Script::default();
    let serve = |_, mut connection: Connection| async move {
        connection.head().await.unwrap();
        connection.write("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nabc").await;
        connection.hang().await;
    };
    let address = script.start(serve).await;
    let soon = Duration::from_millis(50);
    let limits: [fn(Duration, Backend) -> Backend; 2] = [
        |soon, backend| Backend { stall_timeout: soon, ..backend },
        |soon, backend| Backend { total_timeout: Some(soon), ..backend },
    ];
    for limit in limits {
        let rig = Rig::before(std::slice::from_ref(&address), |backend| limit(soon, backend)).await;
        assert!(get(&rig).await.0.ends_with("abc"));
    }
}

#[tokio::test]
async fn a_backend_without_an_answer_is_given_up() {
    let script = Script::default();
    let address = script.start(|_, connection| connection.hang()).await;
    let rig = Rig::before(&[address], |backend| Backend {
        total_timeout: Some(Duration::from_millis(50)),
        ..backend
    })
    .await;
    assert_eq!(get(&rig).await.verdict(), (503, "SlowDown"));
}

#[tokio::test]
async fn an_upload_that_is_refused_early_gets_the_backends_own_answer() {
    const REFUSAL: &str =
        "HTTP/1.1 413 Payload Too Large\r\nconnection: close\r\ncontent-length: 11\r\n\r\nfar too big";
    let script = Script::default();
    let serve = |_, mut connection: Connection| async move {
        connection.head().await.unwrap();
        connection.write(REFUSAL).await;
    };
    let address = script.start(serve).await;
    let rig = Rig::before(&[address], |backend| backend).await;
    for size in [1, 100_000, 20_000_000] {
        let answer = put(&rig, &vec![b'x'; size]).await;
        assert_eq!(answer.status(), 413, "{size}: {}", answer.0);
        assert!(answer.0.ends_with("far too big"), "{size}: {}", answer.0);
    }
    assert_eq!(script.asked().len(), 3, "none was sent again");
}

#[tokio::test]
async fn no_more_requests_than_allowed_are_under_way() {
    let script = Script::default();
    let release = Arc::new(tokio::sync::Notify::new());
    let released = Arc::clone(&release);
    let serve = move |_, mut connection: Connection| {
        let released = Arc::clone(&released);
        async move {
            connection.head().await.unwrap();
            released.notified().await;
            connection.write(OK).await;
        }
    };
    let address = script.start(serve).await;
    let rig = Rig::before(&[address], |backend| Backend {
        max_connections: 1,
        queue_timeout: Duration::from_millis(50),
        ..backend
    })
    .await;
    let (first, ()) = tokio::join!(get(&rig), async {
        while script.asked().is_empty() {
            tokio::task::yield_now().await;
        }
        assert_eq!(get(&rig).await.verdict(), (503, "SlowDown"));
        release.notify_one();
    });
    assert_eq!(first.status(), 200);
}

#[tokio::test]
async fn an_endpoint_that_fails_its_checks_gets_no_requests() {
    let (ill, well) = (Script::default(), Script::default());
    let serve = |_, mut connection: Connection| async move {
        connection.head().await.unwrap();
        connection.write("HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n").await;
    };
    let (ill_address, well_address) =
        (ill.start(serve).await, well.start(|_, connection| connection.obey()).await);
    let rig = Rig::before(&[ill_address.clone(), well_address], |backend| Backend {
        health_check: Some(HealthCheck {
            path: "/health?a=b".parse().unwrap(),
            interval: Duration::from_millis(10),
            timeout: Duration::from_secs(5),
            status: 200..=299,
        }),
        ..backend
    })
    .await;
    while metric(&rig.metrics().await, "upstream_healthy_addresses", &ill_address) > 0 {}
    for _ in 0..6 {
        assert_eq!(get(&rig).await.status(), 200);
    }
    assert!(ill.asked().iter().all(|line| line == "GET /health?a=b"), "{:?}", ill.asked());
    assert_eq!(well.asked().iter().filter(|line| line.as_str() == "GET /bucket/key").count(), 6);
}

#[tokio::test]
async fn a_bucket_may_be_named_in_the_host() {
    let script = Script::default();
    let heads = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&heads);
    let serve = move |_, mut connection: Connection| {
        let heads = Arc::clone(&kept);
        async move {
            while let Some(head) = connection.head().await {
                heads.lock().unwrap().push(head);
                connection.write(OK).await;
            }
        }
    };
    let address = script.start(serve).await;
    let port = address.rsplit(':').next().unwrap();
    let rig = Rig::before(&[format!("localhost:{port}")], |backend| Backend {
        addressing: Addressing::Virtual,
        ..backend
    })
    .await;
    assert_eq!(get(&rig).await.status(), 200);
    let heads = heads.lock().unwrap();
    assert!(heads[0].starts_with("GET /key HTTP/1.1\r\n"), "{}", heads[0]);
    assert!(heads[0].contains(&format!("host: bucket.localhost:{port}\r\n")), "{}", heads[0]);
}

#[tokio::test]
async fn a_backend_that_switches_protocols_is_not_followed() {
    let script = Script::default();
    let closed = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&closed);
    let serve = move |_, mut connection: Connection| {
        let closed = Arc::clone(&counter);
        async move {
            connection.head().await.unwrap();
            connection
                .write("HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n")
                .await;
            connection.hang().await;
            closed.fetch_add(1, Ordering::Relaxed);
        }
    };
    let address = script.start(serve).await;
    let rig = Rig::before(&[address], |backend| backend).await;
    for count in 1..=2 {
        assert_eq!(put(&rig, b"").await.verdict(), (503, "ServiceUnavailable"));
        assert_eq!(script.connections(), count, "none is used again");
    }
    let both = async {
        while closed.load(Ordering::Relaxed) < 2 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(5), both).await.unwrap();
}
