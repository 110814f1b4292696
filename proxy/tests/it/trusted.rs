//! Behind proxies that are trusted to say whose request it is, how it came, and for which host.

use sigward::config::{Access, Network, Route};
use sigward::s3::{BucketPattern, Cors, CorsRule, HostPattern, Selector, Wildcard};

use crate::rig::{ALICE, Call, Rig, UNSIGNED};

/// A gateway with the domain `s3.test`, which trusts whoever is on this machine.
async fn rig(routes: Vec<Route>) -> Rig {
    Rig::configured(|config| {
        config.gateway.trusted_proxies = vec![Network::parse("127.0.0.0/8").unwrap()];
        config.routes = routes;
    })
    .await
}

/// A request that was signed for one host and arrives with another, as behind a proxy that rewrites `Host`.
fn rewritten(signed_for: &'static str, received: &str, path: &str, more: &str) -> Vec<u8> {
    let head = Call::new("GET", path).with("host", signed_for).signed(&ALICE, UNSIGNED, more).0;
    let head = String::from_utf8(head).unwrap();
    head.replacen(&format!("host: {signed_for}\r\n"), &format!("host: {received}\r\n"), 1).into_bytes()
}

#[tokio::test]
async fn a_request_is_read_by_the_host_that_it_is_signed_for() {
    let rig = rig(Vec::new()).await;
    let told = "x-forwarded-host: bucket.s3.test\r\n";
    assert_eq!(rig.send(&rewritten("bucket.s3.test", "inner:8080", "/key", told)).await.status(), 200);
    assert_eq!(rig.backend.only().head.uri.path(), "/bucket/key", "the bucket of the host that verified");
    let told = "x-forwarded-host: bucket.s3.test\r\nx-forwarded-port: 8443\r\n";
    assert_eq!(rig.send(&rewritten("bucket.s3.test:8443", "inner", "/key", told)).await.status(), 200);
    assert_eq!(rig.backend.only().head.uri.path(), "/bucket/key");
    // Signed for the received host: what the proxy tells is not even looked at.
    let told = "x-forwarded-host: other.s3.test\r\n";
    assert_eq!(rig.send(&rewritten("bucket.s3.test", "bucket.s3.test", "/key", told)).await.status(), 200);
    let seen = rig.backend.only();
    assert_eq!(seen.head.uri.path(), "/bucket/key");
    assert_eq!(seen.header("x-forwarded-host"), None, "the backend does not get what was told");
}

#[tokio::test]
async fn no_host_that_did_not_verify_is_read() {
    let rig = rig(Vec::new()).await;
    for told in ["", "x-forwarded-host: other.s3.test\r\n", "forwarded: host=bucket.s3.test\r\n"] {
        let refused = rig.send(&rewritten("bucket.s3.test", "victim.s3.test", "/key", told)).await;
        assert_eq!(refused.verdict(), (403, "SignatureDoesNotMatch"), "{told}");
    }
    assert!(rig.backend.take().is_empty());
}

#[tokio::test]
async fn routes_and_pages_go_by_the_host_that_verified() {
    let rule = CorsRule {
        allowed_origins: vec![Wildcard::parse("https://a.test").unwrap()],
        allowed_methods: vec![http::Method::GET],
        allowed_headers: Vec::new(),
        expose_headers: Vec::new(),
        max_age: None,
    };
    let access = Access { cors: Cors(vec![rule]), ..Access::default() };
    let hosts = vec![HostPattern::parse("bucket.s3.test").unwrap()];
    let buckets = vec![BucketPattern::parse("bucket").unwrap()];
    let selector = Selector { hosts, buckets, ..Selector::default() };
    let rig = rig(vec![Route { selector, access, ..Route::default() }]).await;
    let told = "x-forwarded-host: bucket.s3.test\r\norigin: https://a.test\r\n";
    let answer = rig.send(&rewritten("bucket.s3.test", "inner", "/key", told)).await;
    assert_eq!(answer.status(), 200);
    assert!(answer.0.contains("access-control-allow-origin: https://a.test\r\n"), "{}", answer.0);
    let told = "x-forwarded-host: inner\r\norigin: https://a.test\r\n";
    let answer = rig.send(&rewritten("inner", "bucket.s3.test", "/bucket/key", told)).await;
    assert_eq!(answer.status(), 200);
    assert!(!answer.0.contains("access-control-allow-origin"), "{}", answer.0);
}

#[tokio::test]
async fn whoever_is_not_trusted_tells_nothing() {
    let rig = Rig::configured(|config| {
        config.gateway.trusted_proxies = vec![Network::parse("192.0.2.0/24").unwrap()];
    })
    .await;
    let told = "x-forwarded-host: bucket.s3.test\r\n";
    let refused = rig.send(&rewritten("bucket.s3.test", "inner", "/key", told)).await;
    assert_eq!(refused.verdict(), (403, "SignatureDoesNotMatch"));
}
