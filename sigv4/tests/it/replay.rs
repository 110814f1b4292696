//! By what a verified request is known again, and what is asked of a body that nobody signed.

use http::HeaderMap;
use sigv4::{Endpoint, Head, PayloadMode, ReplayKey, VerifyError, unsigned_payload};

use crate::sample::{Sample, now};

fn endpoint() -> Endpoint {
    Endpoint::s3("us-east-1")
}

fn key(request: &Sample) -> ReplayKey {
    request.verify(&endpoint()).unwrap().replay_key().unwrap()
}

#[test]
fn a_request_that_comes_again_is_known() {
    let put = Sample::new("PUT", b"/key").signed(&endpoint());
    assert_eq!(key(&put), key(&put.clone()));
    // What is not signed does not make another request of it.
    assert_eq!(key(&put), key(&put.clone().and("x-unsigned", b"anything")));
    let url = Sample::new("PUT", b"/key").presigned(&endpoint());
    assert_eq!(key(&url), key(&url.clone()));
}

#[test]
fn another_request_is_another_one() {
    let put = key(&Sample::new("PUT", b"/key").signed(&endpoint()));
    assert_ne!(put, key(&Sample::new("PUT", b"/other").signed(&endpoint())));
    assert_ne!(put, key(&Sample::new("DELETE", b"/key").signed(&endpoint())));
    let later = sigv4::Timestamp::from_unix(now().unix() + 1);
    assert_ne!(put, key(&Sample::new("PUT", b"/key").signed_at(&endpoint(), later)));
}

#[test]
fn a_replay_key_prints_nothing() {
    let put = Sample::new("PUT", b"/key").signed(&endpoint());
    assert_eq!(format!("{:?}", key(&put)), "ReplayKey(***)");
}

#[test]
fn of_an_unsigned_request_only_what_needs_no_signature_is_proved() {
    let mode = |values: &[&str]| {
        let headers: HeaderMap = values
            .iter()
            .map(|value| (http::HeaderName::from_static("x-amz-content-sha256"), value.parse().unwrap()))
            .collect();
        unsigned_payload(&Head { method: "PUT", path: b"/", query: None, headers: &headers, authority: None })
    };
    assert!(matches!(mode(&[]), Ok(PayloadMode::Unsigned)));
    assert!(matches!(mode(&["UNSIGNED-PAYLOAD"]), Ok(PayloadMode::Unsigned)));
    assert!(matches!(mode(&["STREAMING-UNSIGNED-PAYLOAD-TRAILER"]), Ok(PayloadMode::UnsignedChunks)));
    assert!(matches!(mode(&[&"a".repeat(64)]), Ok(PayloadMode::Sha256(_))));
    for values in [
        &["STREAMING-AWS4-HMAC-SHA256-PAYLOAD"][..],
        &["STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"],
        &["STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD"],
        &["unsigned-payload"],
        &["UNSIGNED-PAYLOAD", "UNSIGNED-PAYLOAD"],
    ] {
        assert!(matches!(mode(values), Err(VerifyError::InvalidContentSha256 { .. })), "{values:?}");
    }
}
