//! What a query can say to a backend that it does not say here.

use sigv4::SecretAccessKey;
use sigward::config::{BackendAuth, Route};
use sigward::s3::rename::{KeyPrefix, Rename};
use sigward::s3::{BucketPattern, Selector};

use crate::rig::{ALICE, Answer, BACKEND_KEY, Call, REGION, Rig, Seen, UNSIGNED};

const BAD: (u16, &str) = (400, "InvalidArgument");

/// Alice may do everything, but upload only what is to be encrypted.
const ENCRYPTED: &str = r#"{"Version":"2012-10-17","Statement":[
    {"Effect":"Allow","Action":"s3:*","Resource":"*"},
    {"Effect":"Deny","Action":"s3:PutObject","Resource":"*",
     "Condition":{"StringNotEquals":{"s3:x-amz-server-side-encryption":"aws:kms"}}}]}"#;

async fn limited() -> Rig {
    Rig::declared(&[("users/alice/user.toml", ""), ("users/alice/policies/p.json", ENCRYPTED)]).await
}

fn call<'a>(method: &'a str, target: &'a str) -> Call<'a> {
    let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
    let call = Call { query, ..Call::new(method, path) };
    if method == "PUT" { call.with("content-length", 0) } else { call }
}

async fn signed(rig: &Rig, method: &str, target: &str) -> Answer {
    rig.send(&call(method, target).signed(&ALICE, UNSIGNED, "").0).await
}

async fn presigned(rig: &Rig, method: &str, target: &str) -> Answer {
    rig.send(&call(method, target).presigned(&ALICE, "")).await
}

fn query(seen: &Seen) -> &str {
    seen.head.uri.query().unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_backends_split_otherwise_goes_nowhere() {
    let secret = SecretAccessKey::new("backend secret");
    let resign = BackendAuth::Resign { access_key_id: BACKEND_KEY.into(), secret, region: REGION.into() };
    for auth in [resign, BackendAuth::Identity, BackendAuth::Passthrough] {
        let rig = Rig::start(auth).await;
        for (method, target) in [
            ("PUT", "/bucket/key?acl%3D"),
            ("DELETE", "/bucket/key?versionId%3Dv1"),
            ("GET", "/bucket?list-type=2&prefix=mine%2F&prefix%3Dsecret%2F"),
            ("PUT", "/bucket/key??acl"),
            ("GET", "/bucket?%3Fpolicy"),
        ] {
            assert_eq!(signed(&rig, method, target).await.verdict(), BAD, "{method} {target}");
            assert_eq!(presigned(&rig, method, target).await.verdict(), BAD, "{method} {target} presigned");
        }
        assert!(rig.backend.take().is_empty());
        for (method, target) in [
            ("PUT", "/bucket/key?acl="),
            ("DELETE", "/bucket/key?versionId=v%3D1"),
            ("GET", "/bucket?list-type=2&prefix=mine%2F%3F%26%3D"),
        ] {
            assert_eq!(signed(&rig, method, target).await.status(), 200, "{method} {target}");
            assert_eq!(query(&rig.backend.only()), target.split_once('?').unwrap().1);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_limited_asks_for_nothing_that_s3_has_not() {
    let rig = limited().await;
    for target in ["/bucket?events=a", "/bucket?replication-metrics", "/bucket/key?lambdaArn=a", "/?events=a"]
    {
        let answer = signed(&rig, "GET", target).await;
        assert_eq!(answer.verdict(), BAD, "{target}: {}", answer.0);
    }
    assert!(rig.backend.take().is_empty());
    for target in [
        "/bucket?list-type=2&prefix=a&fetch-owner=true&encoding-type=url",
        "/bucket/key?response-content-type=text%2Fplain&versionId=v&x-id=GetObject",
        "/bucket/key?x-trace=1",
        "/?max-buckets=2&bucket-region=us-east-1&x-id=ListBuckets",
    ] {
        let answer = signed(&rig, "GET", target).await;
        assert_eq!(answer.status(), 200, "{target}: {}", answer.0);
        assert_eq!(query(&rig.backend.only()), target.split_once('?').unwrap().1);
    }
    let free = Rig::resigning().await;
    assert_eq!(
        signed(&free, "GET", "/bucket?events=a").await.status(),
        200,
        "nothing limits whom no policy does"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_a_key_prefix_nobody_reaches_beyond_it() {
    let rig = Rig::configured(|config| {
        let buckets = vec![BucketPattern::parse("team-b").unwrap()];
        let key_prefix = KeyPrefix::parse("team-b/").unwrap();
        let selector = Selector { buckets, ..Selector::default() };
        let rename = Some(Rename { bucket: None, key_prefix });
        config.routes = vec![Route { selector, rename, ..Route::default() }];
    })
    .await;
    for target in [
        "/team-b?list-type=2&prefix=&prefix%3Dteam-c%2F",
        "/team-b??policy",
        "/team-b?lifecycle%3D",
        "/team-b?events=a",
    ] {
        assert_eq!(signed(&rig, "GET", target).await.verdict(), BAD, "{target}");
    }
    assert!(rig.backend.take().is_empty());
    assert_eq!(signed(&rig, "GET", "/team-b?list-type=2&prefix=team-c%2F").await.status(), 200);
    assert_eq!(query(&rig.backend.only()), "list-type=2&prefix=team-b%2Fteam-c%2F");
    let copy = "/team-b/key?x-amz-copy-source=team-b%2Fa&X-Amz-Acl=private";
    assert_eq!(presigned(&rig, "PUT", copy).await.status(), 200);
    let seen = rig.backend.only();
    assert_eq!(seen.header("x-amz-copy-source"), Some("/team-b/team-b/a"));
    assert_eq!((seen.header("x-amz-acl"), query(&seen)), (Some("private"), ""));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vendors_header_does_not_go_on_as_a_parameter() {
    let rig = Rig::resigning().await;
    for name in
        ["X-Minio-Meta-a", "x_minio_source_mtime", "Seaweed-X-Amz-Acl", "rgwx-uid", "X-SeaweedFS-Principal"]
    {
        let target = format!("/bucket/key?{name}=a");
        assert_eq!(signed(&rig, "PUT", &target).await.verdict(), (501, "NotImplemented"), "{name}");
    }
    assert!(rig.backend.take().is_empty());
    let untouched = Rig::start(BackendAuth::Passthrough).await;
    assert_eq!(signed(&untouched, "PUT", "/bucket/key?X-Minio-Meta-a=a").await.status(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_fulfils_a_condition_reaches_the_backend_as_a_header() {
    const NAME: &str = "x-amz-server-side-encryption";
    const PARAMETER: &str = "/bucket/key?X-Amz-Server-Side-Encryption=aws%3Akms";
    let rig = limited().await;
    assert_eq!(signed(&rig, "PUT", PARAMETER).await.verdict(), BAD);
    assert_eq!(signed(&rig, "PUT", "/bucket/key").await.verdict(), (403, "AccessDenied"));
    assert_eq!(presigned(&rig, "PUT", "/bucket/key").await.verdict(), (403, "AccessDenied"));
    assert!(rig.backend.take().is_empty());

    let header = call("PUT", "/bucket/key").with(NAME, "aws:kms").signed(&ALICE, UNSIGNED, "").0;
    assert_eq!(rig.send(&header).await.status(), 200);
    assert_eq!(rig.backend.only().header(NAME), Some("aws:kms"));
    assert_eq!(presigned(&rig, "PUT", PARAMETER).await.status(), 200);
    let seen = rig.backend.only();
    assert_eq!((seen.header(NAME), query(&seen)), (Some("aws:kms"), ""));

    for value in ["x-amz-acl=private%20", "x-amz-acl=a%0D%0Ab", "x-amz-acl=a&x-amz-acl=a"] {
        let target = format!("{PARAMETER}&{value}");
        assert_eq!(presigned(&rig, "PUT", &target).await.verdict(), BAD, "{value}");
    }
    assert!(rig.backend.take().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_passed_through_query_is_as_it_was_signed() {
    let rig = Rig::start(BackendAuth::Passthrough).await;
    assert_eq!(presigned(&rig, "PUT", "/bucket/key?x-amz-acl=private").await.status(), 200);
    let seen = rig.backend.only();
    assert_eq!(seen.header("x-amz-acl"), None);
    assert!(query(&seen).contains("x-amz-acl=private"), "{}", query(&seen));
}
