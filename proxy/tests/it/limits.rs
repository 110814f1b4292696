//! What is too much is refused early, in the words of AWS, and hurts nobody else.

use std::num::NonZeroU32;
use std::time::Duration;

use sigward::config::{Access, Limits, Rate, Route};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::rig::{ALICE, Call, Rig, UNSIGNED, Who};

const NOBODY: Who = Who { access_key_id: "AKIANOBODY", token: None };

/// So many an hour: no token comes back while a test runs.
fn rate(count: u32) -> Option<Rate> {
    let count = NonZeroU32::new(count).unwrap();
    Some(Rate { count, per: Duration::from_secs(3600), burst: count })
}

fn get(who: &Who) -> Vec<u8> {
    Call::new("GET", "/bucket/key").signed(who, UNSIGNED, "").0
}

const STS: &[u8] = b"POST / HTTP/1.1\r\nhost: a\r\ncontent-type: application/x-www-form-urlencoded\r\n\
    content-length: 44\r\nconnection: close\r\n\r\nAction=AssumeRoleWithSAML&Version=2011-06-15";

#[tokio::test]
async fn an_address_gets_its_rate_and_is_asked_to_slow_down() {
    let rig = Rig::limited(Limits { requests_per_address: rate(2), ..Limits::default() }).await;
    assert_eq!(rig.send(&get(&ALICE)).await.status(), 200);
    assert_eq!(rig.send(&get(&NOBODY)).await.verdict(), (403, "InvalidAccessKeyId"));
    let refused = rig.send(&get(&ALICE)).await;
    assert_eq!(refused.verdict(), (503, "SlowDown"));
    assert!(refused.0.to_ascii_lowercase().contains("\r\nretry-after: "), "{}", refused.0);
    let refused = rig.send(STS).await;
    assert_eq!(refused.verdict(), (400, "Throttling"), "{}", refused.0);
    assert_eq!(rig.backend.take().len(), 1);
    let metrics = rig.metrics().await;
    assert!(metrics.contains("sigward_limited_total{limit=\"address\"} 2"), "{metrics}");
    assert!(metrics.contains("sigward_rejections_total{reason=\"limited\"} 2"), "{metrics}");
}

#[tokio::test]
async fn who_is_refused_at_the_door_with_a_body_has_to_come_again() {
    let rig = Rig::limited(Limits { requests_per_address: rate(1), ..Limits::default() }).await;
    assert_eq!(rig.send(&get(&ALICE)).await.status(), 200);
    let length = 8 << 20;
    let head = Call::new("PUT", "/bucket/key").with("content-length", length).signed(&ALICE, UNSIGNED, "").0;
    let head = String::from_utf8(head).unwrap().replace("connection: close\r\n", "");
    // The rest never comes: it is not waited for.
    let refused = rig.send(&[head.as_bytes(), &[0; 1000]].concat()).await;
    assert_eq!(refused.verdict(), (503, "SlowDown"));
    assert!(refused.0.contains("connection: close\r\n"), "{}", refused.0);
}

#[tokio::test]
async fn a_principal_gets_its_rate_and_a_wrong_signature_takes_nothing_of_it() {
    let rig = Rig::limited(Limits { requests_per_principal: rate(1), ..Limits::default() }).await;
    let mut forged = get(&ALICE);
    let at = forged.windows(10).position(|window| window == b"Signature=").unwrap() + 10;
    forged[at] = if forged[at] == b'0' { b'1' } else { b'0' };
    assert_eq!(rig.send(&forged).await.verdict(), (403, "SignatureDoesNotMatch"));
    assert_eq!(rig.send(&get(&ALICE)).await.status(), 200);
    assert_eq!(rig.send(&get(&ALICE)).await.verdict(), (503, "SlowDown"));
}

#[tokio::test]
async fn who_guesses_is_slowed_down_and_who_works_at_the_same_address_is_not() {
    let rig = Rig::limited(Limits { failures_per_address: rate(2), ..Limits::default() }).await;
    assert_eq!(rig.send(&get(&ALICE)).await.status(), 200);
    for _ in 0..2 {
        assert_eq!(rig.send(&get(&NOBODY)).await.verdict(), (403, "InvalidAccessKeyId"));
    }
    assert_eq!(rig.send(&get(&NOBODY)).await.verdict(), (503, "SlowDown"));
    assert_eq!(rig.send(&get(&ALICE)).await.status(), 200);
}

#[tokio::test]
async fn sts_throttles_what_nobody_signs() {
    let rig = Rig::limited(Limits { unsigned_sts_per_address: rate(1), ..Limits::default() }).await;
    assert_ne!(rig.send(STS).await.code(), "Throttling");
    assert_eq!(rig.send(STS).await.verdict(), (400, "Throttling"));
    assert_eq!(rig.send(&get(&ALICE)).await.status(), 200);
}

#[tokio::test]
async fn a_place_is_taken_until_the_request_is_over() {
    let rig = Rig::limited(Limits { max_requests_in_flight: 1, ..Limits::default() }).await;
    for _ in 0..3 {
        assert_eq!(rig.send(&get(&ALICE)).await.status(), 200);
    }
}

/// As much of a request as the gateway has to have before it answers; what has come in a second.
async fn begin(rig: &Rig, wire: &[u8]) -> (TcpStream, String) {
    let mut stream = TcpStream::connect(rig.server.gateway_address()).await.unwrap();
    stream.write_all(wire).await.unwrap();
    let mut answer = vec![0; 4096];
    let read = tokio::time::timeout(Duration::from_secs(1), stream.read(&mut answer)).await;
    answer.truncate(read.map_or(0, Result::unwrap));
    (stream, String::from_utf8(answer).unwrap())
}

#[tokio::test]
async fn lists_are_held_for_so_many_at_a_time() {
    let access = Access { anonymous_actions: vec!["s3:DeleteObject"], ..Access::default() };
    let rig = Rig::configured(|config| {
        config.limits.max_list_bodies = 1;
        config.routes = vec![Route { access, ..Route::default() }];
    })
    .await;
    let list = "<Delete><Object><Key>a</Key></Object></Delete>";
    let head = format!(
        "POST /bucket?delete HTTP/1.1\r\nhost: a\r\ncontent-md5: aFPqFnlCon58cZ4Qt7zwvQ==\r\n\
         content-length: {}\r\nconnection: close\r\n\r\n",
        list.len()
    );
    let (mut first, nothing) = begin(&rig, head.as_bytes()).await;
    assert_eq!(nothing, "", "its list is waited for");
    let (_second, refused) = begin(&rig, head.as_bytes()).await;
    assert!(refused.starts_with("HTTP/1.1 503 ") && refused.contains("SlowDown"), "{refused}");
    assert_eq!(rig.send(&get(&ALICE)).await.status(), 200, "what is no list needs no place");
    first.write_all(list.as_bytes()).await.unwrap();
    let mut answer = String::new();
    first.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    let (mut third, nothing) = begin(&rig, head.as_bytes()).await;
    assert_eq!(nothing, "", "the place is free again");
    third.write_all(list.as_bytes()).await.unwrap();
    let metrics = rig.metrics().await;
    assert!(metrics.contains("sigward_limited_total{limit=\"list_bodies\"} 1"), "{metrics}");
}
