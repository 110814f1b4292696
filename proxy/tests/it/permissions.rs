//! What policies of the IAM directory and of sessions let through to the backend.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::digest;
use sigv4::SecretAccessKey;
use sigward::clock::UnixMillis;
use sigward::events::EventData;
use sigward::iam::{AccessKeyId, Credential, KeyStatus, Principal, Session, SessionKind, SessionTokenHash};

use crate::rig::{ALICE, Answer, Call, NOW, Rig, SESSION, UNSIGNED, Who};

const HOUR: i64 = 3_600_000;
const USER: (&str, &str) = ("users/alice/user.toml", "");
/// Alice may list, read and write what is hers, and read no secret.
const HOME: &str = r#"{"Version":"2012-10-17","Statement":[
    {"Effect":"Allow","Action":["s3:GetObject","s3:PutObject","s3:DeleteObject"],
     "Resource":"arn:aws:s3:::bucket/home/${aws:username}/*"},
    {"Effect":"Allow","Action":"s3:ListBucket","Resource":"arn:aws:s3:::bucket",
     "Condition":{"StringLike":{"s3:prefix":"home/${aws:username}/*"}}},
    {"Sid":"NoSecrets","Effect":"Deny","Action":"s3:*","Resource":"arn:aws:s3:::bucket/*/secret/*"}]}"#;

async fn at_home() -> Rig {
    Rig::declared(&[USER, ("users/alice/policies/home.json", HOME)]).await
}

/// Sends a request of Alice, without a body.
async fn ask(rig: &Rig, method: &str, path: &str, query: Option<&str>) -> Answer {
    let call = Call { query, ..Call::new(method, path) };
    rig.send(&call.signed(&ALICE, UNSIGNED, "").0).await
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_a_policy_allows_reaches_the_backend() {
    let rig = at_home().await;
    for (method, path, query, status) in [
        ("GET", "/bucket/home/alice/k", None, 200),
        ("HEAD", "/bucket/home/alice/k", None, 200),
        ("GET", "/bucket/home/%61lice/k", None, 200),
        ("GET", "/bucket/home/bob/k", None, 403),
        ("GET", "/bucket/home/alice/../bob/k", None, 400),
        ("GET", "/bucket/home/alice/%2E%2e/bob/k", None, 400),
        ("GET", "/bucket/home/alice/..k", None, 200),
        ("GET", "/bucket/home/alice/k", Some("versionId=v"), 403),
        ("GET", "/bucket/home/alice/k", Some("acl"), 403),
        ("GET", "/bucket/home/alice/secret/k", None, 403),
        ("DELETE", "/bucket/home/alice/k", None, 200),
        ("DELETE", "/bucket", None, 403),
        ("GET", "/bucket", Some("list-type=2&prefix=home%2Falice%2F"), 200),
        ("GET", "/bucket", Some("prefix=home%2Fbob%2F"), 403),
        ("GET", "/bucket", None, 403),
        ("GET", "/bucket", Some("prefix=home%2Falice%2F&prefix="), 400),
        ("GET", "/", None, 403),
        ("PATCH", "/bucket/home/alice/k", None, 405),
        ("GET", "/bucket/home/alice//k", None, 200),
        ("GET", "/bucket/home/alice//secret/k", None, 403),
        ("GET", "/bucket/home//alice/secret%2F%2Fk", None, 403),
        ("DELETE", "//bucket/home/alice/k", None, 400),
        ("GET", "/:bucket/home/alice/k", None, 400),
        ("GET", "/bucket", Some("prefix=home%2Falice%2F%2Fa"), 200),
        ("GET", "/bucket", Some("prefix=%2Fhome%2Fbob%2F"), 403),
        ("GET", "/bucket", Some("acl&policy"), 403),
    ] {
        let answer = ask(&rig, method, path, query).await;
        assert_eq!(answer.status(), status, "{method} {path} {query:?}: {}", answer.0);
        let seen = rig.backend.take().len();
        assert_eq!(seen, usize::from(status == 200), "{method} {path} {query:?} at the backend");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_says_what_was_not_allowed_and_why() {
    let rig = at_home().await;
    let refused = ask(&rig, "GET", "/bucket/home/bob/k", None).await;
    assert_eq!(refused.code(), "AccessDenied");
    let message = "<Message>User: arn:aws:iam::123456789012:user/alice is not authorized to perform: s3:GetObject on \
                   resource: &quot;arn:aws:s3:::bucket/home/bob/k&quot; because no identity-based policy allows the \
                   s3:GetObject action</Message>";
    assert!(refused.0.contains(message), "{}", refused.0);
    let denied = ask(&rig, "GET", "/bucket/home/alice/secret/k", None).await;
    assert!(denied.0.contains("with an explicit deny in an identity-based policy</Message>"), "{}", denied.0);
    let metrics = rig.metrics().await;
    let counted = metrics.lines().find(|line| line.contains("reason=\"not_permitted\""));
    assert!(counted.is_some_and(|line| line.ends_with(" 2")), "{counted:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_no_policy_or_is_not_declared_may_do_nothing() {
    for files in [&[USER][..], &[("users/bob/user.toml", "")]] {
        let rig = Rig::declared(files).await;
        let answer = ask(&rig, "GET", "/bucket/k", None).await;
        assert_eq!(answer.status(), 403, "{}", answer.0);
        assert!(rig.backend.take().is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_must_be_allowed_to_read_its_source() {
    let rig = at_home().await;
    for (source, status) in [
        ("/bucket/home/alice/a", 200),
        ("bucket/home/alice/a%20b", 200),
        ("/bucket/home/bob/a", 403),
        ("/bucket/home/alice/a?versionId=v", 403),
        ("/bucket/home/alice/secret/a", 403),
        ("/other/home/alice/a", 403),
        ("/bucket/home/bob/a+b", 400),
        ("/bucket/home/alice//secret/a", 403),
        ("/bucket/home/alice/secret/a?x=1", 400),
        ("/bucket/home/alice/a#1", 400),
    ] {
        let call = Call::new("PUT", "/bucket/home/alice/k").with("x-amz-copy-source", source);
        let answer = rig.send(&call.signed(&ALICE, UNSIGNED, "content-length: 0\r\n").0).await;
        assert_eq!(answer.status(), status, "{source}: {}", answer.0);
    }
}

fn deletion(keys: &[&str]) -> Vec<u8> {
    let objects: String = keys.iter().map(|key| format!("<Object><Key>{key}</Key></Object>")).collect();
    let body = format!("<Delete xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">{objects}</Delete>");
    let checksum = STANDARD.encode(digest::digest(&digest::SHA256, body.as_bytes()));
    let call = Call { query: Some("delete"), ..Call::new("POST", "/bucket") }
        .with("content-length", body.len())
        .with("x-amz-checksum-sha256", checksum);
    [call.signed(&ALICE, UNSIGNED, "").0, body.into_bytes()].concat()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_object_to_delete_must_be_permitted() {
    let rig = at_home().await;
    let answer = rig.send(&deletion(&["home/alice/a", "home/alice/b &amp; c"])).await;
    assert_eq!(answer.status(), 200, "{}", answer.0);
    let body = rig.backend.only().body.unwrap();
    assert!(
        String::from_utf8_lossy(&body).contains("<Key>home/alice/b &amp; c</Key>"),
        "the body is as it was"
    );
    for keys in [&["home/alice/a", "home/bob/b"][..], &["home/alice/secret/a"]] {
        let answer = rig.send(&deletion(keys)).await;
        assert_eq!(answer.verdict(), (403, "AccessDenied"), "{keys:?}: {}", answer.0);
    }
    for keys in [&[][..], &["home/alice/a</Key><Key>home/bob/b"]] {
        let answer = rig.send(&deletion(keys)).await;
        assert_eq!(answer.verdict(), (400, "MalformedXML"), "{keys:?}: {}", answer.0);
    }
    assert!(rig.backend.take().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_boundary_limits_what_policies_allow() {
    let boundary =
        r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"s3:GetObject","Resource":"*"}}"#;
    let all = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}"#;
    let user = "permissions_boundary = \"arn:aws:iam::123456789012:policy/bound\"";
    let rig = Rig::declared(&[
        ("users/alice/user.toml", user),
        ("users/alice/policies/all.json", all),
        ("policies/bound.json", boundary),
    ])
    .await;
    assert_eq!(ask(&rig, "GET", "/bucket/k", None).await.status(), 200);
    let refused = ask(&rig, "DELETE", "/bucket/k", None).await;
    assert!(
        refused.0.contains("because no permissions boundary allows the s3:DeleteObject action"),
        "{}",
        refused.0
    );
}

/// A session in the store, as an STS would issue it.
async fn issue(rig: &Rig, principal: Principal, issued_at: UnixMillis, limits: &[&str]) {
    issue_limited(rig, principal, issued_at, (limits, &[])).await;
}

/// The same, limited by documents and by managed policies.
async fn issue_limited(
    rig: &Rig,
    principal: Principal,
    issued_at: UnixMillis,
    (documents, arns): (&[&str], &[&str]),
) {
    let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
    let token = SessionTokenHash::of(SESSION.token.unwrap().as_bytes());
    let session = Session::new(SessionKind::AssumedRole, token, NOW.plus(HOUR));
    let credential = Credential {
        access_key_id: AccessKeyId::parse(SESSION.access_key_id).unwrap(),
        secret: SecretAccessKey::new("secret of ASIASESSION"),
        principal,
        issued_at,
        status: KeyStatus::Active,
        not_after: None,
        declared: false,
        session: Some(Session {
            role_arn: Some("arn:aws:iam::123456789012:role/reader".into()),
            session_policies: owned(documents),
            policy_arns: owned(arns),
            ..session
        }),
    };
    rig.append(EventData::CredentialIssued(credential)).await;
}

fn reader() -> Principal {
    Principal {
        arn: "arn:aws:sts::123456789012:assumed-role/reader/s1".into(),
        user_id: "AROAREADER0000000000:s1".into(),
        account: "123456789012".into(),
    }
}

async fn read(rig: &Rig, who: &Who) -> Answer {
    rig.send(&Call::new("GET", "/bucket/k").signed(who, UNSIGNED, "").0).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_that_revokes_older_sessions_holds_on_the_next_request() {
    let older = r#"{"Version":"2012-10-17","Statement":{"Effect":"Deny","Action":["*"],"Resource":["*"],
        "Condition":{"DateLessThan":{"aws:TokenIssueTime":"2026-01-02T03:04:05.000Z"}}}}"#;
    let trust = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"sts:AssumeRole",
        "Principal":{"AWS":"123456789012"}}}"#;
    let all = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}"#;
    for (issued_at, status) in [(NOW.plus(-1), 403), (NOW, 200)] {
        let rig = Rig::declared(&[
            USER,
            ("users/alice/policies/all.json", all),
            ("users/alice/policies/older.json", older),
            ("roles/reader/role.toml", "id = \"AROAREADER0000000000\""),
            ("roles/reader/trust.json", trust),
            ("roles/reader/policies/all.json", all),
            ("roles/reader/policies/AWSRevokeOlderSessions.json", older),
        ])
        .await;
        issue(&rig, reader(), issued_at, &[]).await;
        let answer = read(&rig, &SESSION).await;
        assert_eq!(answer.status(), status, "{}", answer.0);
        assert_eq!(read(&rig, &ALICE).await.status(), 200, "long-term keys have no issue time");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn session_policies_limit_a_session_even_without_a_directory() {
    let limit =
        r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"s3:GetObject","Resource":"*"}}"#;
    let rig = Rig::resigning().await;
    issue(&rig, reader(), NOW, &[limit]).await;
    assert_eq!(read(&rig, &SESSION).await.status(), 200);
    let refused = rig.send(&Call::new("DELETE", "/bucket/k").signed(&SESSION, UNSIGNED, "").0).await;
    assert!(
        refused.0.contains("because no session policy allows the s3:DeleteObject action"),
        "{}",
        refused.0
    );
    assert_eq!(read(&rig, &ALICE).await.status(), 200);
}

/// One that was passed may be there to forbid something: what is left of them is not what was agreed to.
#[tokio::test(flavor = "multi_thread")]
async fn a_session_whose_policies_are_not_all_there_may_do_nothing() {
    let all = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}"#;
    let gone = "arn:aws:iam::123456789012:policy/gone";
    for (documents, arns, status) in
        [(&[all][..], &[][..], 200), (&[all, "{}"], &[], 403), (&[all], &[gone], 403)]
    {
        let rig = Rig::resigning().await;
        issue_limited(&rig, reader(), NOW, (documents, arns)).await;
        assert_eq!(read(&rig, &SESSION).await.status(), status, "{documents:?} {arns:?}");
    }
}
