//! Uploads by form as a browser and a backend see them, over sockets.

use sigv4::{Dialect, Signer};
use sigward::config::BackendAuth;
use sigward::events::{EventData, RevocationScope};
use sigward::iam::AccessKeyId;

use crate::rig::{ALICE, BACKEND_KEY, NOW, Rig, SESSION, Who};

const HOUR: i64 = 3_600_000;
/// Longer than the gateway looks ahead.
const LONG: usize = 600_000;

/// A form as it goes over the wire.
struct Form<'a> {
    who: &'a Who,
    target: &'a str,
    host: &'a str,
    conditions: &'a str,
    fields: &'a [(&'a str, &'a str)],
    file: &'a [u8],
    /// Behind the delimiter that ends the file.
    end: &'a str,
}

impl<'a> Form<'a> {
    fn new(who: &'a Who, file: &'a [u8]) -> Self {
        Self {
            who,
            target: "/bucket",
            host: "gateway.test",
            conditions: "",
            fields: &[],
            file,
            end: "--\r\n",
        }
    }

    /// Conditions that begin with a comma, and the fields they are about.
    fn with(self, conditions: &'a str, fields: &'a [(&'a str, &'a str)]) -> Self {
        Self { conditions, fields, ..self }
    }

    fn wire(&self) -> Vec<u8> {
        let key = self.who.key();
        let signer = Signer {
            key: &key,
            access_key_id: self.who.access_key_id,
            session_token: self.who.token.map(str::as_bytes),
            dialect: Dialect::S3,
        };
        let token =
            if self.who.token.is_some() { r#",["starts-with", "$x-amz-security-token", ""]"# } else { "" };
        let policy = format!(
            r#"{{"expiration": "2026-01-02T04:00:00Z", "conditions": [{{"bucket": "bucket"}},
                ["starts-with", "$key", "user/"], ["starts-with", "$x-amz-algorithm", ""],
                ["starts-with", "$x-amz-credential", "{}/"], ["starts-with", "$x-amz-date", ""]{token}{}]}}"#,
            self.who.access_key_id, self.conditions
        );
        let signed = signer.sign_policy(&policy, NOW.timestamp()).unwrap();
        let mut body = String::new();
        let own = self.fields.iter().map(|(name, value)| (*name, (*value).to_owned()));
        for (name, value) in own.chain(signed).chain([("key", "user/${filename}".to_owned())]) {
            body += &format!("--x\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n");
        }
        body += "--x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a cat.jpg\"\r\n\r\n";
        let body = [body.as_bytes(), self.file, b"\r\n--x", self.end.as_bytes()].concat();
        let head = format!(
            "POST {} HTTP/1.1\r\nhost: {}\r\ncontent-type: multipart/form-data; boundary=x\r\ncontent-length: {}\r\n\
             connection: close\r\n\r\n",
            self.target,
            self.host,
            body.len()
        );
        [head.as_bytes(), &body].concat()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_reaches_the_backend_as_the_put_that_its_fields_stand_for() {
    let rig = Rig::resigning().await;
    let long = vec![7; LONG];
    for (file, target, host) in [
        (&b""[..], "/bucket", "gateway.test"),
        (b"meow", "/bucket/", "gateway.test"),
        (&long, "/", "bucket.s3.test"),
    ] {
        let conditions = r#", {"x-amz-meta-a": "1"}, {"acl": "private"}, {"success_action_status": "201"}"#;
        let fields = [("x-amz-meta-a", "1"), ("acl", "private"), ("success_action_status", "201")];
        let form = Form { target, host, ..Form::new(&ALICE, file).with(conditions, &fields) };
        let answer = rig.send(&form.wire()).await;
        assert_eq!(answer.status(), 201, "{}", answer.0);
        assert!(answer.0.contains("<Bucket>bucket</Bucket><Key>user/a cat.jpg</Key>"), "{}", answer.0);
        assert!(
            answer.0.contains("x-backend: yes") && !answer.0.contains("from the backend"),
            "{}",
            answer.0
        );

        let seen = rig.backend.only();
        assert_eq!((seen.head.method.as_str(), seen.head.uri.path()), ("PUT", "/bucket/user/a%20cat.jpg"));
        assert_eq!(seen.body.as_deref(), Some(file));
        assert_eq!((seen.header("x-amz-meta-a"), seen.header("x-amz-acl")), (Some("1"), Some("private")));
        assert_eq!(seen.header("content-length"), Some(&*file.len().to_string()));
        assert!(seen.header("authorization").unwrap().contains(BACKEND_KEY));
        assert!(seen.header("content-type").is_none(), "that of the form is not that of the file");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_signs_forms_until_it_is_over_or_revoked() {
    let rig = Rig::resigning().await;
    rig.issue(&SESSION, NOW, NOW.plus(HOUR)).await;
    let wire = Form::new(&SESSION, b"meow").wire();
    assert_eq!(rig.send(&wire).await.status(), 204);
    let without = Who { token: None, ..SESSION };
    let verdict = rig.send(&Form::new(&without, b"meow").wire()).await;
    assert_eq!(verdict.verdict(), (403, "InvalidAccessKeyId"));
    let another = Who { token: Some("another"), ..SESSION };
    let verdict = rig.send(&Form::new(&another, b"meow").wire()).await;
    assert_eq!(verdict.verdict(), (400, "InvalidToken"));
    rig.backend.take();

    let id = AccessKeyId::parse(SESSION.access_key_id).unwrap();
    let scope = RevocationScope::AccessKey(id);
    rig.append(EventData::SessionRevoked { scope, cascade: false, issued_before: NOW.plus(1), reason: None })
        .await;
    assert_eq!(rig.send(&wire).await.verdict(), (403, "AccessDenied"));
    assert!(rig.backend.take().is_empty(), "nothing reached the backend");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_a_form_does_not_allow_is_completed() {
    let rig = Rig::resigning().await;
    let (long, size) = (vec![7; LONG], r#", ["content-length-range", 1, 1000]"#);
    let md5 = [("content-md5", "AAAAAAAAAAAAAAAAAAAAAA==")];
    let submit = "\r\nContent-Disposition: form-data; name=submit\r\n\r\n\r\n--x--";
    let form = |file| Form::new(&ALICE, file);
    for (form, expected) in [
        (form(b"").with(size, &[]), (400, "EntityTooSmall")),
        (form(&long).with(size, &[]), (400, "EntityTooLarge")),
        (form(b"meow").with(r#", ["starts-with", "$content-md5", ""]"#, &md5), (400, "BadDigest")),
        (form(&long).with(r#", ["starts-with", "$content-md5", ""]"#, &md5), (400, "BadDigest")),
        (Form { end: "", ..form(b"meow") }, (400, "MalformedPOSTRequest")),
        (Form { end: "x\r\n", ..form(&long) }, (400, "MalformedPOSTRequest")),
        (Form { end: submit, ..form(&long) }, (400, "MalformedPOSTRequest")),
        (form(b"meow").with("", &[("acl", "private")]), (403, "AccessDenied")),
        (Form { target: "/another", ..form(b"meow") }, (403, "AccessDenied")),
        (Form { target: "/bucket/key", ..form(b"meow") }, (403, "AccessDenied")),
    ] {
        let answer = rig.send(&form.wire()).await;
        assert_eq!(answer.verdict(), expected, "{}", answer.0);
        assert_eq!(rig.backend.completed(), 0, "{expected:?}");
    }
    assert_eq!(rig.send(&Form { end: submit, ..form(b"meow") }.wire()).await.status(), 204);
    assert_eq!(rig.backend.completed(), 1, "other fields may follow a file whose end was in sight");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backend_that_checks_signatures_itself_gets_the_form_as_it_came() {
    let rig = Rig::start(BackendAuth::Passthrough).await;
    let wire = Form::new(&ALICE, &vec![7; LONG]).wire();
    let answer = rig.send(&wire).await;
    assert_eq!(answer.status(), 200, "{}", answer.0);
    let seen = rig.backend.only();
    assert_eq!((seen.head.method.as_str(), seen.head.uri.path()), ("POST", "/bucket"));
    assert!(wire.ends_with(&seen.body.unwrap()), "every byte of the body");

    let broken = Form { end: "", ..Form::new(&ALICE, &vec![7; LONG]) }.wire();
    assert_eq!(rig.send(&broken).await.verdict(), (400, "MalformedPOSTRequest"));
    assert_eq!(rig.backend.completed(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn forms_are_counted_as_what_they_ask_for() {
    let rig = Rig::resigning().await;
    rig.send(&Form::new(&ALICE, b"meow").wire()).await;
    rig.send(&Form::new(&ALICE, b"meow").with("", &[("acl", "private")]).wire()).await;
    let metrics = rig.metrics().await;
    for line in [
        r#"sigward_requests_total{operation="PostObject",outcome="ok"} 1"#,
        r#"sigward_requests_total{operation="PostObject",outcome="rejected"} 1"#,
        r#"sigward_rejections_total{reason="form_policy"} 1"#,
    ] {
        assert!(metrics.contains(line), "{line}");
    }
}
