//! Backends that refuse what the gateway signed, and who gets to know.

use sigv4::SecretAccessKey;
use sigward::config::{Backend, BackendAuth};

use super::{Connection, Script, get, put};
use crate::log;
use crate::rig::{ALICE, BACKEND_KEY, Call, REGION, Rig, UNSIGNED};

/// A gateway that signs anew.
async fn signing(address: String) -> Rig {
    let secret = SecretAccessKey::new("backend secret");
    let auth = BackendAuth::Resign { access_key_id: BACKEND_KEY.into(), secret, region: REGION.into() };
    Rig::before(&[address], |backend| Backend { auth, ..backend }).await
}

/// A gateway that signs anew, before a backend that answers every request in these pieces.
async fn signing_before(pieces: Vec<String>) -> Rig {
    let address = Script::default().start(move |_, connection| connection.repeat(pieces.clone())).await;
    signing(address).await
}

fn refusal(code: &str) -> String {
    format!("<Error><Code>{code}</Code><AWSAccessKeyId>{BACKEND_KEY}</AWSAccessKeyId></Error>")
}

#[tokio::test]
async fn a_refusal_of_the_gateways_own_credential_is_for_the_operator_alone() {
    log::collect();
    for (status, code) in [
        ("403 Forbidden", "SignatureDoesNotMatch"),
        ("403 Forbidden", "InvalidAccessKeyId"),
        ("403 Forbidden", "RequestTimeTooSkewed"),
        ("400 Bad Request", "AuthorizationHeaderMalformed"),
    ] {
        let document = refusal(code);
        let length = document.len();
        let told =
            |head: String, body: &str| vec![format!("HTTP/1.1 {status}\r\n{head}\r\n\r\n"), body.to_owned()];
        for pieces in [
            told(format!("content-length: {length}"), &document),
            told("transfer-encoding: chunked".into(), &format!("{length:x}\r\n{document}\r\n0\r\n\r\n")),
            told(format!("x-amz-error-code: {code}\r\ncontent-length: 2"), "no"),
        ] {
            let rig = signing_before(pieces).await;
            for answer in [get(&rig).await, put(&rig, b"x").await] {
                assert_eq!(answer.verdict(), (503, "ServiceUnavailable"), "{code}: {}", answer.0);
                assert!(!answer.0.contains(BACKEND_KEY), "{}", answer.0);
            }
            let counted = rig.metrics().await;
            assert!(counted.contains("sigward_rejections_total{reason=\"upstream\"} 2"), "{counted}");
        }
        let written = log::written();
        let mut lines =
            written.lines().filter(|line| line.contains("backend refuses the gateway's credential"));
        assert!(lines.any(|line| line.contains("ERROR") && line.contains(code)), "{code}");
    }
    assert!(!log::written().contains("<AWSAccessKeyId>"));
}

#[tokio::test]
async fn every_other_refusal_of_a_backend_arrives_as_it_is() {
    let long = format!("<Error><Code>AccessDenied</Code>{}</Error>", "x".repeat(50_000));
    for document in [&refusal("AccessDenied"), &long, "not XML", ""] {
        let (first, rest) = document.split_at(document.len() / 2);
        let head = format!("HTTP/1.1 403 Forbidden\r\ncontent-length: {}\r\n\r\n{first}", document.len());
        let rig = signing_before(vec![head, rest.to_owned()]).await;
        for _ in 0..2 {
            let answer = get(&rig).await;
            assert_eq!(answer.status(), 403);
            let length = format!("content-length: {}\r\n", document.len());
            assert!(answer.0.contains(&length), "{}", answer.0);
            assert!(answer.0.ends_with(&format!("\r\n\r\n{document}")), "{}", answer.0);
        }
    }
    let head = format!("HTTP/1.1 403 Forbidden\r\ncontent-length: {}\r\n\r\n", refusal("").len());
    let rig = signing_before(vec![head]).await;
    let answer = rig.send(&Call::new("HEAD", "/bucket/key").signed(&ALICE, UNSIGNED, "").0).await;
    assert_eq!(answer.status(), 403);
}

#[tokio::test]
async fn a_refusal_that_breaks_off_is_a_failure_of_the_backend() {
    let script = Script::default();
    let serve = |_, mut connection: Connection| async move {
        connection.head().await.unwrap();
        connection.write("HTTP/1.1 403 Forbidden\r\ncontent-length: 100\r\n\r\n<Error><Code>").await;
    };
    let address = script.start(serve).await;
    let rig = signing(address).await;
    assert_eq!(get(&rig).await.verdict(), (503, "ServiceUnavailable"));
}
