//! What holds for the requests of a route: who needs no signature, what pages may see, what is too large, what succeeds once.

use sigward::config::{Access, Route};
use sigward::s3::{BucketPattern, Cors, CorsRule, PathPrefix, Selector, Wildcard};

use crate::rig::{ALICE, Call, HASTY, Rig, UNSIGNED};

async fn rig(access: Access) -> Rig {
    let buckets = vec![BucketPattern::parse("bucket").unwrap()];
    let selector = Selector { buckets, ..Selector::default() };
    Rig::configured(|config| config.routes = vec![Route { selector, access, ..Route::default() }]).await
}

fn plain(method: &str, target: &str, headers: &str) -> Vec<u8> {
    format!("{method} {target} HTTP/1.1\r\nhost: gateway.test\r\n{headers}connection: close\r\n\r\n")
        .into_bytes()
}

#[tokio::test]
async fn everybody_may_do_what_the_configuration_says_in_that_bucket() {
    let rig = rig(Access { anonymous_actions: vec!["s3:GetObject"], ..Access::default() }).await;
    assert_eq!(rig.send(&plain("GET", "/bucket/key", "")).await.status(), 200);
    let seen = rig.backend.only();
    assert!(seen.header("authorization").unwrap().contains("AKIABACKEND"), "signed anew");
    for refused in [
        plain("GET", "/other/key", ""),
        plain("PUT", "/bucket/key", "content-length: 0\r\n"),
        plain("DELETE", "/bucket/key", ""),
        plain("GET", "/bucket?list-type=2", ""),
        plain("GET", "/", ""),
        plain("GET", "/bucket/key?lambdaArn=a", ""),
        plain("GET", "/bucket/key", "x-amz-security-token: x\r\n"),
        plain("GET", "/bucket/key?X-Amz-Security-Token=x", ""),
    ] {
        let text = String::from_utf8_lossy(&refused).into_owned();
        assert_eq!(rig.send(&refused).await.verdict(), (403, "AccessDenied"), "{text}");
    }
    let overriding = plain("GET", "/bucket/key?response-content-type=a", "");
    assert_eq!(rig.send(&overriding).await.verdict(), (400, "InvalidRequest"));
    let broken = plain("GET", "/bucket/key", "authorization: AWS4-HMAC-SHA256 Credential=a\r\n");
    assert_eq!(rig.send(&broken).await.status(), 400, "what is signed badly is not unsigned");
    assert!(rig.backend.take().is_empty());
}

#[tokio::test]
async fn a_list_that_nobody_may_delete_is_not_read() {
    let list = "<Delete><Object><Key>a</Key></Object></Delete>";
    let head = format!("content-length: {}\r\ncontent-md5: {}\r\n", list.len(), md5(list));
    let delete = plain("POST", "/bucket?delete=", &head);
    let closed = rig(Access { anonymous_actions: vec!["s3:GetObject"], ..Access::default() }).await;
    // The list never comes: it is not waited for.
    assert_eq!(closed.send(&delete).await.verdict(), (403, "AccessDenied"));
    assert!(closed.backend.take().is_empty());
    let open = rig(Access { anonymous_actions: vec!["s3:DeleteObject"], ..Access::default() }).await;
    assert_eq!(open.send(&[&delete[..], list.as_bytes()].concat()).await.status(), 200);
    assert_eq!(open.backend.completed(), 1);
}

#[tokio::test]
async fn a_body_that_nobody_signed_is_proved_as_far_as_it_says() {
    let rig = rig(Access { anonymous_actions: vec!["s3:PutObject"], ..Access::default() }).await;
    let put = |md5: &str| {
        let head = format!("content-length: 5\r\ncontent-md5: {md5}\r\n");
        [plain("PUT", "/bucket/key", &head), b"hello".to_vec()].concat()
    };
    assert_eq!(rig.send(&put("XUFAKrxLKna5cZ2REBfFkg==")).await.status(), 200);
    assert_eq!(rig.send(&put("1B2M2Y8AsgTpgAmY7PhCfg==")).await.verdict(), (400, "BadDigest"));
    assert_eq!(rig.backend.completed(), 1);
}

#[tokio::test]
async fn what_succeeded_succeeds_once() {
    let rig = rig(Access { replay_protection: true, ..Access::default() }).await;
    let put = Call::new("PUT", "/bucket/key").with("content-length", 0).signed(&ALICE, UNSIGNED, "").0;
    assert_eq!(rig.send(&put).await.status(), 200);
    let again = rig.send(&put).await;
    assert_eq!(again.verdict(), (403, "AccessDenied"));
    assert!(again.0.contains("has already been used"), "{}", again.0);
    assert_eq!(rig.backend.take().len(), 1);
    let get = Call::new("GET", "/bucket/key").signed(&ALICE, UNSIGNED, "").0;
    let presigned = Call::new("PUT", "/bucket/key").with("content-length", 0).presigned(&ALICE, "");
    for reusable in [get, presigned] {
        assert_eq!(rig.send(&reusable).await.status(), 200);
        assert_eq!(rig.send(&reusable).await.status(), 200);
    }
}

#[tokio::test]
async fn what_failed_may_be_sent_again() {
    let rig = rig(Access { replay_protection: true, ..Access::default() }).await;
    let head = Call::new("PUT", HASTY).with("content-length", 20_000).signed(&ALICE, UNSIGNED, "").0;
    for _ in 0..2 {
        // The backend answers before it has the body, and the client leaves.
        assert_ne!(
            rig.send_and_leave(&[head.clone(), vec![0; 10_000]].concat()).await.code(),
            "AccessDenied"
        );
    }
}

#[tokio::test]
async fn a_body_that_is_too_large_is_refused_at_once() {
    let rig = rig(Access { max_body_bytes: Some(4), ..Access::default() }).await;
    let put = |length: usize| {
        let head = Call::new("PUT", "/bucket/key").with("content-length", length);
        [head.signed(&ALICE, UNSIGNED, "").0, vec![b'a'; length]].concat()
    };
    assert_eq!(rig.send(&put(4)).await.status(), 200);
    let refused = rig.send(&put(5)).await;
    assert_eq!(refused.verdict(), (400, "EntityTooLarge"));
    assert!(refused.0.contains("<MaxSizeAllowed>4</MaxSizeAllowed>"), "{}", refused.0);
    assert_eq!(rig.backend.take().len(), 1);
}

#[tokio::test]
async fn pages_are_told_what_they_may_see_errors_included() {
    let rule = CorsRule {
        allowed_origins: vec![Wildcard::parse("https://*.test").unwrap()],
        allowed_methods: vec![http::Method::GET],
        allowed_headers: vec![Wildcard::parse("x-amz-*").unwrap()],
        expose_headers: Vec::new(),
        max_age: Some(60),
    };
    let rig = rig(Access { cors: Cors(vec![rule]), ..Access::default() }).await;
    let ask = |target: &str, header: &str| {
        let asked = format!(
            "origin: https://a.test\r\naccess-control-request-method: GET\r\n\
             access-control-request-headers: {header}\r\n"
        );
        plain("OPTIONS", target, &asked)
    };
    let allowed = rig.send(&ask("/bucket/key", "x-amz-date")).await;
    assert_eq!(allowed.status(), 200);
    assert!(allowed.0.contains("access-control-allow-origin: https://a.test\r\n"), "{}", allowed.0);
    assert_eq!(rig.send(&ask("/bucket/key", "authorization")).await.verdict(), (403, "AccessForbidden"));
    assert_eq!(rig.send(&ask("/other/key", "x-amz-date")).await.verdict(), (403, "AccessForbidden"));
    let error = rig.send(&plain("GET", "/bucket/key", "origin: https://a.test\r\n")).await;
    assert_eq!(error.verdict(), (403, "AccessDenied"));
    assert!(error.0.contains("access-control-allow-origin: https://a.test\r\n"), "{}", error.0);
    let get = Call::new("GET", "/bucket/key").signed(&ALICE, UNSIGNED, "origin: https://a.test\r\n").0;
    let answer = rig.send(&get).await;
    assert_eq!(answer.status(), 200);
    assert!(answer.0.contains("access-control-allow-origin: https://a.test\r\n"), "{}", answer.0);
}

#[tokio::test]
async fn what_everybody_may_do_ends_where_another_route_begins() {
    let everything = vec!["s3:GetObject", "s3:PutObject", "s3:DeleteObject"];
    let public = Access { anonymous_actions: everything, ..Access::default() };
    let path = Some(PathPrefix::parse("/bucket/private/").unwrap());
    let buckets = vec![BucketPattern::parse("bucket").unwrap()];
    let private = Route { selector: Selector { path, ..Selector::default() }, ..Route::default() };
    let selector = Selector { buckets, ..Selector::default() };
    let public = Route { selector, access: public, ..Route::default() };
    let rig = Rig::configured(|config| config.routes = vec![private, public]).await;
    assert_eq!(rig.send(&plain("GET", "/bucket/key", "")).await.status(), 200);
    assert_eq!(rig.backend.take().len(), 1);
    let copy = "content-length: 0\r\nx-amz-copy-source: /bucket/private/key\r\n";
    for refused in [
        plain("GET", "/bucket/private/key", ""),
        plain("GET", "/bucket//private/key", ""),
        plain("GET", "/bucket/x/../private/key", ""),
        plain("PUT", "/bucket/copy", copy),
    ] {
        let text = String::from_utf8_lossy(&refused).into_owned();
        assert_eq!(rig.send(&refused).await.verdict(), (403, "AccessDenied"), "{text}");
    }
    let list = "<Delete><Object><Key>private/key</Key></Object></Delete>";
    let head = format!("content-length: {}\r\ncontent-md5: {}\r\n", list.len(), md5(list));
    let delete = [plain("POST", "/bucket?delete", &head), list.as_bytes().to_vec()].concat();
    assert_eq!(rig.send(&delete).await.status(), 501);
    assert!(rig.backend.take().is_empty());
}

#[tokio::test]
async fn a_body_is_as_large_as_the_route_says_or_else_the_gateway() {
    let buckets = vec![BucketPattern::parse("bucket").unwrap()];
    let selector = Selector { buckets, ..Selector::default() };
    let access = Access { max_body_bytes: Some(8), ..Access::default() };
    let rig = Rig::configured(|config| {
        config.gateway.max_body_bytes = Some(4);
        config.routes = vec![Route { selector, access, ..Route::default() }];
    })
    .await;
    for (target, length, status) in
        [("/bucket/key", 8, 200), ("/bucket/key", 9, 400), ("/other/key", 4, 200), ("/other/key", 5, 400)]
    {
        let head = Call::new("PUT", target).with("content-length", length);
        let put = [head.signed(&ALICE, UNSIGNED, "").0, vec![b'a'; length]].concat();
        assert_eq!(rig.send(&put).await.status(), status, "{target} {length}");
    }
}

#[tokio::test]
async fn a_backend_may_say_what_pages_may_do() {
    let rig = rig(Access { forward_preflights: true, ..Access::default() }).await;
    let question = "origin: https://a.test\r\naccess-control-request-method: PUT\r\ncookie: a\r\n\
         access-control-request-headers: x-amz-date\r\nx-forwarded-for: 192.0.2.1\r\n";
    for target in ["/bucket/a%20key", "/bucket/a%20key?X-Amz-Credential=a&X-Amz-Signature=b"] {
        assert_eq!(rig.send(&plain("OPTIONS", target, question)).await.status(), 200);
        let seen = rig.backend.only();
        assert_eq!(
            (seen.head.method.as_str(), seen.head.uri.to_string()),
            ("OPTIONS", "/bucket/a%20key".into())
        );
        let mut names: Vec<_> = seen.head.headers.keys().map(|name| name.as_str()).collect();
        names.sort_unstable();
        let expected = ["access-control-request-headers", "access-control-request-method", "host", "origin"];
        assert_eq!(names, expected, "nobody signs it, and it says nothing else");
    }
    assert_eq!(rig.send(&plain("OPTIONS", "/other/key", question)).await.verdict(), (403, "AccessForbidden"));
    assert!(rig.backend.take().is_empty());
}

fn md5(text: &str) -> String {
    use base64::Engine as _;
    use md5::{Digest as _, Md5};
    base64::engine::general_purpose::STANDARD.encode(Md5::digest(text))
}
