//! The gateway as a client and a backend see it, over sockets.

#![expect(clippy::unwrap_used, reason = "a test ends where something fails")]

use std::collections::VecDeque;

use bytes::Bytes;
use ring::digest;
use sigv4::{Checksum, ChecksumAlgorithm, ChunkEncoder, ChunkSigner, Signature};
use sigward::config::{Addressing, Backend, BackendAuth};
use sigward::events::{EventData, RevocationScope};
use sigward::iam::AccessKeyId;

use crate::rig::{ALICE, BACKEND_KEY, Call, HASTY, NOW, Rig, SESSION, UNSIGNED, Who};

const HOUR: i64 = 3_600_000;

type Damage = fn(&mut Vec<u8>);

fn sha256(bytes: &[u8]) -> String {
    digest::digest(&digest::SHA256, bytes).as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn with_body(mut head: Vec<u8>, body: &[u8]) -> Vec<u8> {
    head.extend_from_slice(body);
    head
}

/// An upload in signed chunks of 8 KiB, with a signed trailing checksum.
fn signed_chunks(who: &Who, content: &[u8], damage: impl Fn(&mut Vec<u8>)) -> Vec<u8> {
    let encoder = |signature| {
        let signer = ChunkSigner::new(&who.key(), NOW.timestamp(), signature);
        ChunkEncoder::signed(signer).with_trailer(ChecksumAlgorithm::Crc32c)
    };
    let blank = Signature::parse(&[b'0'; 64]).unwrap();
    let length = encoder(blank).encoded_length(content.len() as u64, 8_192);
    let call = Call::new("PUT", "/bucket/key")
        .with("content-length", length)
        .with("content-encoding", "aws-chunked,gzip")
        .with("x-amz-decoded-content-length", content.len())
        .with("x-amz-trailer", "x-amz-checksum-crc32c");
    let (head, seed) = call.signed(who, "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER", "");
    let (mut encoder, mut wire) = (encoder(seed), VecDeque::new());
    for chunk in content.chunks(8_192) {
        encoder.push(Bytes::copy_from_slice(chunk), &mut wire);
    }
    encoder.finish(&mut wire);
    let mut body: Vec<u8> = wire.into_iter().flatten().collect();
    damage(&mut body);
    with_body(head, &body)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signed_upload_is_signed_anew_with_its_hash_kept() {
    let rig = Rig::resigning().await;
    let call =
        Call::new("PUT", "/bucket/a//b%20c/..%2Fd+e").with("content-length", 5).with("x-amz-meta-a", "1");
    let (head, _) = call.signed(&ALICE, &sha256(b"hello"), "x-sigward-account: forged\r\nte: trailers\r\n");
    let answer = rig.send(&with_body(head, b"hello")).await;
    assert_eq!(answer.status(), 200, "{}", answer.0);
    assert!(answer.0.contains("x-backend: yes") && answer.0.contains("from the backend"));

    let seen = rig.backend.only();
    assert_eq!(seen.head.uri.path(), "/bucket/a//b%20c/..%2Fd%2Be");
    assert_eq!(seen.body.as_deref(), Some(&b"hello"[..]));
    assert_eq!(seen.header("x-amz-content-sha256"), Some(&*sha256(b"hello")));
    assert_eq!(seen.header("x-amz-meta-a"), Some("1"));
    assert!(seen.header("authorization").unwrap().contains(BACKEND_KEY));
    assert!(seen.header("x-sigward-account").is_none() && seen.header("te").is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn signed_chunks_reach_the_backend_with_a_trailing_checksum() {
    let rig = Rig::resigning().await;
    let content: Vec<u8> = (0..20_000u32).map(|n| n as u8).collect();
    let answer = rig.send(&signed_chunks(&ALICE, &content, |_| {})).await;
    assert_eq!(answer.status(), 200, "{}", answer.0);

    let seen = rig.backend.only();
    let checksum = Checksum::of(ChecksumAlgorithm::Crc32c, &content).base64();
    let end = format!("\r\n0\r\nx-amz-checksum-crc32c:{checksum}\r\n\r\n");
    let body = seen.body.as_deref().unwrap();
    assert_eq!(body, [b"4e20\r\n", &content[..], end.as_bytes()].concat());
    assert_eq!(seen.header("content-length"), Some(&*body.len().to_string()));
    assert_eq!(seen.header("content-encoding"), Some("aws-chunked,gzip"));
    assert_eq!(seen.header("x-amz-decoded-content-length"), Some("20000"));
    assert_eq!(seen.header("x-amz-trailer"), Some("x-amz-checksum-crc32c"));
    assert_eq!(seen.header("x-amz-content-sha256"), Some("STREAMING-UNSIGNED-PAYLOAD-TRAILER"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_proved_is_never_completed_upstream() {
    let rig = Rig::resigning().await;
    let content = vec![7; 20_000];
    let damaged: [(&str, Damage); 2] = [
        ("a byte of the last chunk", |body| flip(body, 17_000)),
        ("the trailer's signature", |body| flip_last_digit(body)),
    ];
    for (what, damage) in damaged {
        let answer = rig.send(&signed_chunks(&ALICE, &content, damage)).await;
        assert_eq!(answer.verdict(), (403, "SignatureDoesNotMatch"), "{what}: {}", answer.0);
        assert_eq!(rig.backend.completed(), 0, "{what}");
    }
    let cut: [(&str, Damage); 2] = [
        ("no terminal chunk", |body| cut_before(body, b"\r\n0;")),
        ("the end of the trailer", |body| body.truncate(body.len() - 90)),
    ];
    for (what, damage) in cut {
        rig.send_and_leave(&signed_chunks(&ALICE, &content, damage)).await;
        assert_eq!(rig.backend.completed(), 0, "{what}");
    }

    let large = vec![b'x'; 3_000_000];
    for body in [&b"hellX"[..], &large] {
        let call = Call::new("PUT", "/bucket/key").with("content-length", body.len());
        let (head, _) = call.signed(&ALICE, &sha256(b"hello"), "");
        let answer = rig.send(&with_body(head, body)).await;
        assert_eq!(answer.verdict(), (400, "XAmzContentSHA256Mismatch"), "{}", answer.0);
        assert_eq!(rig.backend.completed(), 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backend_that_answers_before_the_proof_does_not_vouch_for_the_body() {
    let rig = Rig::resigning().await;
    let body = vec![b'x'; 3_000_000];
    let call = Call::new("PUT", HASTY).with("content-length", body.len());
    let (head, _) = call.signed(&ALICE, &sha256(b"hello"), "");
    let answer = rig.send(&with_body(head, &body)).await;
    assert!([400, 503].contains(&answer.status()), "{}", answer.0);
}

fn flip(body: &mut [u8], at: usize) {
    body[at] ^= 1;
}

fn flip_last_digit(body: &mut [u8]) {
    let at = body.iter().rposition(u8::is_ascii_hexdigit).unwrap();
    body[at] = if body[at] == b'0' { b'1' } else { b'0' };
}

fn cut_before(body: &mut Vec<u8>, mark: &[u8]) {
    let at = body.windows(mark.len()).rposition(|window| window == mark).unwrap();
    body.truncate(at);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_body_with_a_wrong_hash_never_reaches_the_backend() {
    let rig = Rig::resigning().await;
    let (head, _) =
        Call::new("PUT", "/bucket/key").with("content-length", 0).signed(&ALICE, &sha256(b"x"), "");
    let answer = rig.send(&head).await;
    assert_eq!(answer.verdict(), (400, "XAmzContentSHA256Mismatch"), "{}", answer.0);
    assert!(rig.backend.take().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_waits_for_100_continue_gets_it_after_the_head_is_verified_only() {
    let rig = Rig::resigning().await;
    let expecting = |who| {
        let call = Call::new("PUT", "/bucket/key").with("content-length", 5);
        call.signed(who, UNSIGNED, "expect: 100-continue\r\n").0
    };
    let accepted = rig.send(&with_body(expecting(&ALICE), b"hello")).await;
    assert!(
        accepted.0.starts_with("HTTP/1.1 100 ") && accepted.0.contains("HTTP/1.1 200 "),
        "{}",
        accepted.0
    );
    assert!(rig.backend.only().header("expect").is_none());

    let stranger = Who { access_key_id: "AKIASTRANGER", token: None };
    let refused = rig.send(&expecting(&stranger)).await;
    assert_eq!(refused.verdict(), (403, "InvalidAccessKeyId"), "{}", refused.0);
    assert!(rig.backend.take().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_works_until_it_expires() {
    let rig = Rig::resigning().await;
    rig.issue(&SESSION, NOW, NOW.plus(HOUR)).await;
    let get = Call::new("GET", "/bucket/key").signed(&SESSION, UNSIGNED, "").0;
    assert_eq!(rig.send(&get).await.status(), 200);

    rig.clock.set(NOW.plus(600_000));
    assert_eq!(rig.send(&get).await.status(), 200);
    let rig = Rig::resigning().await;
    rig.issue(&SESSION, NOW.plus(-HOUR), NOW.plus(1_000)).await;
    assert_eq!(rig.send(&get).await.status(), 200);
    rig.clock.set(NOW.plus(1_000));
    assert_eq!(rig.send(&get).await.verdict(), (400, "ExpiredToken"));
    assert_eq!(rig.backend.take().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_refused_without_its_own_token() {
    let rig = Rig::resigning().await;
    rig.issue(&SESSION, NOW, NOW.plus(HOUR)).await;
    for (token, verdict) in [(None, (403, "InvalidAccessKeyId")), (Some("another"), (400, "InvalidToken"))] {
        let who = Who { token, ..SESSION };
        let answer = rig.send(&Call::new("GET", "/").signed(&who, UNSIGNED, "").0).await;
        assert_eq!(answer.verdict(), verdict, "{}", answer.0);
    }
    let who = Who { token: Some("a token"), ..ALICE };
    let answer = rig.send(&Call::new("GET", "/").signed(&who, UNSIGNED, "").0).await;
    assert_eq!(answer.verdict(), (400, "InvalidToken"), "{}", answer.0);
    assert!(rig.backend.take().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revocation_holds_on_the_next_request() {
    let scopes = [
        RevocationScope::AccessKey(AccessKeyId::parse(SESSION.access_key_id).unwrap()),
        RevocationScope::Principal("arn:aws:iam::123456789012:user/alice".into()),
        RevocationScope::Role("arn:aws:iam::123456789012:role/reader".into()),
        RevocationScope::Account("123456789012".into()),
    ];
    for scope in scopes {
        let rig = Rig::resigning().await;
        rig.issue(&SESSION, NOW, NOW.plus(HOUR)).await;
        let get = Call::new("GET", "/bucket/key").signed(&SESSION, UNSIGNED, "").0;
        assert_eq!(rig.send(&get).await.status(), 200, "{scope:?}");

        let issued_before = NOW.plus(1);
        rig.append(EventData::SessionRevoked {
            scope: scope.clone(),
            cascade: false,
            issued_before,
            reason: None,
        })
        .await;
        assert_eq!(rig.send(&get).await.verdict(), (403, "AccessDenied"), "{scope:?}");

        let newer = Who { access_key_id: "ASIANEWER", ..SESSION };
        rig.issue(&newer, issued_before, NOW.plus(HOUR)).await;
        assert_eq!(rig.send(&Call::new("GET", "/b/k").signed(&newer, UNSIGNED, "").0).await.status(), 200);
        assert_eq!(rig.send(&Call::new("GET", "/b/k").signed(&ALICE, UNSIGNED, "").0).await.status(), 200);
        assert_eq!(rig.backend.take().len(), 3, "{scope:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_identity_backend_learns_who_asks_and_nothing_it_could_sign_with() {
    let rig = Rig::start(BackendAuth::Identity).await;
    rig.issue(&SESSION, NOW, NOW.plus(HOUR)).await;
    let mut call = Call::new("GET", "/key").with("host", "bucket.s3.test");
    call.query = Some("versionId=7");
    let forged =
        "x-sigward-principal-arn: forged\r\nx_sigward_account: forged\r\nx-forwarded-for: forged\r\n";
    let answer = rig.send(&call.presigned(&SESSION, forged)).await;
    assert_eq!(answer.status(), 200, "{}", answer.0);

    let seen = rig.backend.only();
    assert_eq!(seen.head.uri.to_string(), "/bucket/key?versionId=7");
    assert_eq!(seen.header("x-sigward-access-key-id"), Some("ASIASESSION"));
    assert_eq!(seen.header("x-sigward-account"), Some("123456789012"));
    assert_eq!(seen.header("x-sigward-principal-arn"), Some("arn:aws:iam::123456789012:user/alice"));
    assert_eq!(seen.header("x-sigward-session-name"), Some("session%20name"));
    assert_eq!(seen.header("x-sigward-session-tags"), Some("team=a%26b"));
    assert_eq!(seen.header("x-forwarded-for"), Some("127.0.0.1"));
    assert_eq!(seen.header("x-forwarded-host"), Some("bucket.s3.test"));
    for name in ["authorization", "x-amz-security-token", "x-amz-date", "x_sigward_account"] {
        assert!(seen.header(name).is_none(), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn passthrough_changes_neither_head_nor_framing_and_still_proves() {
    let rig = Rig::start(BackendAuth::Passthrough).await;
    let content = vec![9; 10_000];
    let wire = signed_chunks(&ALICE, &content, |_| {});
    assert_eq!(rig.send(&wire).await.status(), 200);
    let seen = rig.backend.only();
    assert!(seen.header("authorization").unwrap().contains("AKIAALICE"));
    assert_eq!(seen.header("host"), Some("gateway.test"));
    assert!(wire.ends_with(seen.body.as_deref().unwrap()));

    let answer = rig.send(&signed_chunks(&ALICE, &content, |body| flip(body, 9_000))).await;
    assert_eq!(answer.code(), "SignatureDoesNotMatch", "{}", answer.0);
    assert_eq!(rig.backend.completed(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_presigned_upload_cannot_become_a_copy() {
    let rig = Rig::resigning().await;
    let call = Call::new("PUT", "/bucket/key").with("content-length", 0);
    let answer = rig.send(&call.presigned(&ALICE, "x-amz-copy-source: /other/secret\r\n")).await;
    assert_eq!(answer.verdict(), (403, "AccessDenied"), "{}", answer.0);
    assert!(answer.0.contains("<HeadersNotSigned>x-amz-copy-source</HeadersNotSigned>"));

    let answer = rig.send(&call.presigned(&ALICE, "x_amz_copy_source: /other/secret\r\n")).await;
    assert_eq!(answer.status(), 200, "{}", answer.0);
    assert!(rig.backend.only().header("x_amz_copy_source").is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_acts_beyond_the_operation_goes_nowhere() {
    let rig = Rig::resigning().await;
    for (method, header, verdict) in [
        ("DELETE", "x-amz-copy-source", (400, "InvalidArgument")),
        ("PUT", "x-amz-meta-snowball-auto-extract", (501, "NotImplemented")),
    ] {
        let call = Call::new(method, "/bucket/key").with("content-length", 0).with(header, "true");
        let answer = rig.send(&call.signed(&ALICE, UNSIGNED, "").0).await;
        assert_eq!(answer.verdict(), verdict, "{method}: {}", answer.0);
    }
    assert!(rig.backend.take().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_reaches_another_interface_of_the_backend_with_its_credential() {
    let rig = Rig::resigning().await;
    for (method, path, query, status) in [
        ("GET", "/minio/admin/v3/info", None, 400),
        ("PUT", "/m%69nio/admin/v3/import-iam", None, 400),
        ("GET", "/MinIO/admin/v3/info", None, 400),
        ("PUT", "/admin/user", Some("uid=x"), 400),
        ("POST", "/rustfs/admin/v3/info", None, 400),
        ("PATCH", "/list-users", None, 405),
        ("POST", "/", None, 405),
        ("DELETE", "/", None, 405),
        ("GET", "/", Some("Action=ListUsers&Version=2010-05-08"), 400),
        ("GET", "/bucket/minio/admin/v3/info", None, 200),
        ("GET", "/minio-data/k", None, 200),
        ("GET", "/", None, 200),
    ] {
        let call = Call { query, ..Call::new(method, path) };
        let answer = rig.send(&call.signed(&ALICE, UNSIGNED, "").0).await;
        assert_eq!(answer.status(), status, "{method} {path} {query:?}: {}", answer.0);
        assert_eq!(rig.backend.take().len(), usize::from(status == 200), "{method} {path} at the backend");
    }
    let passthrough = Rig::start(BackendAuth::Passthrough).await;
    let call = Call::new("GET", "/minio/admin/v3/info");
    assert_eq!(passthrough.send(&call.signed(&ALICE, UNSIGNED, "").0).await.status(), 200, "for it to judge");
}

#[tokio::test(flavor = "multi_thread")]
async fn neither_a_gateway_without_sts_nor_a_bucket_in_the_host_lets_anybody_in_there() {
    let without_sts = Rig::configured(|config| config.gateway.sts = false).await;
    let virtual_hosted = Rig::configured(|config| {
        config.backend =
            config.backend.take().map(|backend| Backend { addressing: Addressing::Virtual, ..backend });
    });
    let virtual_hosted = virtual_hosted.await;
    for (rig, path, query, status) in [
        (&without_sts, "/", Some("Action=ListUsers&Version=2010-05-08"), 405),
        (&without_sts, "/", Some("%41ction=ListUsers"), 405),
        (&without_sts, "/", Some("prefix=Action"), 200),
        (&virtual_hosted, "/bucket/minio/admin/v3/info", None, 400),
        (&virtual_hosted, "/bucket/%2E/Admin/user", None, 400),
        (&virtual_hosted, "/bucket/data/minio/k", None, 200),
    ] {
        let call = Call { query, ..Call::new("GET", path) };
        let answer = rig.send(&call.signed(&ALICE, UNSIGNED, "").0).await;
        assert_eq!(answer.status(), status, "{path} {query:?}: {}", answer.0);
        assert_eq!(rig.backend.take().len(), usize::from(status == 200), "{path} {query:?} at the backend");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_segment_has_no_parameters_for_anybody() {
    let rig = Rig::resigning().await;
    let call = Call::new("GET", "/bucket/a;x=1/..;/k");
    assert_eq!(rig.send(&call.signed(&ALICE, UNSIGNED, "").0).await.status(), 200);
    assert_eq!(rig.backend.only().head.uri, "/bucket/a%3Bx=1/..%3B/k");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_names_one_host() {
    let rig = Rig::resigning().await;
    for second in ["other.test", "gateway.test"] {
        let request = format!(
            "GET /bucket/key HTTP/1.1\r\nhost: gateway.test\r\nhost: {second}\r\nconnection: close\r\n\r\n"
        );
        assert_eq!(rig.send(request.as_bytes()).await.verdict(), (400, "InvalidRequest"), "{second}");
    }
    assert!(rig.backend.take().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn connection_cannot_take_a_signed_header_away() {
    let rig = Rig::resigning().await;
    let call = Call::new("GET", "/bucket/key").with("x-amz-meta-a", "1").with("range", "bytes=0-1");
    let wire = call.signed(&ALICE, UNSIGNED, "connection: x-amz-meta-a, range, x-hop\r\nx-hop: 1\r\n").0;
    assert_eq!(rig.send(&wire).await.status(), 200);
    let seen = rig.backend.only();
    assert_eq!((seen.header("x-amz-meta-a"), seen.header("range")), (Some("1"), Some("bytes=0-1")));
    assert!(seen.header("x-hop").is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_have_the_shape_of_s3() {
    let rig = Rig::resigning().await;
    let anonymous = rig.send(b"GET /bucket/key HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await;
    assert_eq!(anonymous.verdict(), (403, "AccessDenied"));
    assert!(anonymous.0.to_lowercase().contains("x-amz-request-id: "));
    let head = rig.send(b"HEAD /bucket/key HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await;
    assert_eq!(head.verdict(), (403, ""));
    assert!(head.0.ends_with("\r\n\r\n"));
    let preflight =
        b"OPTIONS /bucket/key HTTP/1.1\r\nhost: a\r\norigin: http://b\r\nconnection: close\r\n\r\n";
    assert_eq!(rig.send(preflight).await.verdict(), (403, "AccessForbidden"));
    assert!(rig.backend.take().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_sts_request_too_large_to_read_is_refused_as_sts_refuses() {
    let rig = Rig::resigning().await;
    let head = b"POST / HTTP/1.1\r\nhost: a\r\ncontent-type: application/x-www-form-urlencoded\r\n\
        content-length: 300000\r\nconnection: close\r\n\r\n";
    let answer = rig.send(&with_body(head.to_vec(), &[b'a'; 300_000])).await;
    assert_eq!(answer.verdict(), (400, "EntityTooLarge"), "{}", answer.0);
    assert!(answer.0.contains("<ErrorResponse xmlns="), "{}", answer.0);
    let metrics = rig.metrics().await;
    for line in [
        "sigward_sts_requests_total{operation=\"Unknown\",outcome=\"refused\"} 1\n",
        "sigward_requests_total{operation=\"Unknown\",outcome=\"rejected\"} 0\n",
    ] {
        assert!(metrics.contains(line), "{line}");
    }
}
