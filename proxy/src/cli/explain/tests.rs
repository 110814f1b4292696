//! Verdicts on captured requests.

use std::collections::BTreeMap;
use std::path::PathBuf;

use base64::Engine as _;
use http::{HeaderMap, HeaderName};
use serde::Deserialize;
use sigv4::{Scope, Signer, SigningKey, Target, Timestamp};

use super::*;

const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
const HELLO_SHA256: &str = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";

fn options(endpoint: Endpoint, session: Option<Session>) -> Options {
    let id = AccessKeyId::parse("AKID").unwrap();
    let record = Record::new(credential(id, SecretAccessKey::new(SECRET), session));
    Options { record, endpoint, now: UnixMillis::parse_rfc3339("2026-03-12T08:15:30Z").unwrap() }
}

fn s3() -> Options {
    options(Endpoint::s3("us-east-1"), None)
}

/// A request for `hello`, signed as the parts say.
struct Client {
    method: &'static str,
    target: &'static str,
    region: &'static str,
    service: &'static str,
    date: &'static [u8],
    token: Option<&'static [u8]>,
    headers: Vec<(&'static str, &'static str)>,
}

const CLIENT: Client = Client {
    method: "PUT",
    target: "/bucket/some%20key?tagging",
    region: "us-east-1",
    service: "s3",
    date: b"20260312T081530Z",
    token: None,
    headers: Vec::new(),
};

impl Client {
    /// What stands on the wire.
    fn raw(&self) -> String {
        let (path, query) = self.target.split_once('?').map_or((self.target, None), |(p, q)| (p, Some(q)));
        let date = Timestamp::parse_basic(self.date).unwrap();
        let scope = Scope { date: date.date(), region: self.region, service: self.service };
        let dialect = if self.service == "s3" { Dialect::S3 } else { Dialect::Generic };
        let key = SigningKey::derive(&SecretAccessKey::new(SECRET), &scope);
        let signer = Signer { key: &key, access_key_id: "AKID", session_token: self.token, dialect };
        let mut headers = HeaderMap::new();
        for (name, value) in
            [("host", "storage.example.com"), ("content-length", "5")].iter().chain(&self.headers)
        {
            headers.append(HeaderName::from_static(name), value.parse().unwrap());
        }
        let target = Target { method: self.method, path: path.as_bytes(), query: query.map(str::as_bytes) };
        signer.sign(target, &mut headers, HELLO_SHA256, date).unwrap();
        let lines: String =
            headers.iter().map(|(name, value)| format!("{name}: {}\r\n", value.to_str().unwrap())).collect();
        format!("{} {} HTTP/1.1\r\n{lines}\r\nhello", self.method, self.target)
    }
}

fn json(raw: &str, options: &Options) -> Value {
    explain(raw.as_bytes(), options).json()
}

fn replaced(raw: &str, from: &str, to: &str) -> String {
    assert!(raw.contains(from), "{from} is not in {raw}");
    raw.replace(from, to)
}

#[test]
fn accepts_what_the_gateway_accepts() {
    assert_eq!(json(&CLIENT.raw(), &s3()), json!({ "verdict": "ok" }));
    let generic = Client { service: "sts", target: "/", ..CLIENT };
    let options = options(Endpoint::generic("sts", "us-east-1"), None);
    assert_eq!(json(&generic.raw(), &options), json!({ "verdict": "ok" }));
}

#[test]
fn names_the_part_that_changed_on_the_way() {
    let table: [(&str, &str, &str, &str); 12] = [
        ("PUT /", "POST /", "method", "signed as PUT, received as POST"),
        (
            "storage.example.com",
            "storage.example.com:8080",
            "host",
            "signed as storage.example.com, received as",
        ),
        ("storage.example.com", "STORAGE.example.com", "host", "signed as storage.example.com, received as"),
        ("some%20key", "some%2520key", "path", "signed decoded once more: /bucket/some%20key"),
        ("some%20key", "some+key", "path", "signed with %20 for +"),
        ("some%20key", "some%20key/", "path", "signed without the slash at its end"),
        ("/bucket/some", "//bucket/./some", "path", "signed without empty and dot segments"),
        ("/bucket/some", "/prefix/bucket/some", "path", "signed without its first segment"),
        ("?tagging", "?tagging&utm_source=x", "query", "signed without utm_source"),
        ("content-type: text/plain", "content-type: binary/octet-stream", "headers", ""),
        (
            "x-amz-meta-a: b",
            "x-amz-meta-a: b\r\nx-amz-meta-a: b",
            "headers",
            "only the first value of x-amz-meta-a",
        ),
        (HELLO_SHA256, "UNSIGNED-PAYLOAD", "payload hash", "signed with x-amz-content-sha256: 2cf24dba"),
    ];
    let client = Client { headers: vec![("content-type", "text/plain"), ("x-amz-meta-a", "b")], ..CLIENT };
    for (from, to, component, text) in table {
        let strict = Options { endpoint: Endpoint { strict: true, ..Endpoint::s3("us-east-1") }, ..s3() };
        let answer = json(&replaced(&client.raw(), from, to), &strict);
        assert_eq!(answer["code"], "SignatureDoesNotMatch", "{to}: {answer}");
        let hints = answer["hints"].as_array().map_or(&[][..], Vec::as_slice);
        if text.is_empty() {
            assert!(hints.is_empty(), "a value nobody can guess was guessed: {answer}");
            continue;
        }
        let found = hints.iter().any(|hint| {
            hint["component"] == component
                && hint["text"].as_str().is_some_and(|found| found.starts_with(text))
        });
        assert!(found, "{to}: {answer}");
    }
}

#[test]
fn a_wrong_secret_shows_what_was_compared_and_guesses_nothing() {
    let raw = replaced(&CLIENT.raw(), "Signature=", "Signature=0");
    let answer = json(&raw, &s3());
    assert_eq!(answer["status"], 403);
    assert!(answer["canonical_request"].as_str().unwrap().starts_with("PUT\n/bucket/some%20key\ntagging=\n"));
    assert!(answer["string_to_sign"].as_str().unwrap().starts_with("AWS4-HMAC-SHA256\n20260312T081530Z\n"));
    assert!(answer["signature_provided"].as_str().unwrap().starts_with('0'));
    assert_eq!(answer.get("hints"), None);
    let text = explain(raw.as_bytes(), &s3()).text();
    assert!(text.starts_with("rejected: 403 SignatureDoesNotMatch\n"), "{text}");
    assert!(text.contains("\n--- canonical request\nPUT\n/bucket"), "{text}");
}

#[test]
fn a_signature_for_elsewhere_or_another_time_is_told_from_a_wrong_one() {
    let elsewhere = json(&Client { region: "eu-west-1", ..CLIENT }.raw(), &s3());
    assert_eq!(elsewhere["code"], "AuthorizationHeaderMalformed");
    assert_eq!(elsewhere["elements"]["Region"], "us-east-1");
    assert_eq!(elsewhere["hints"][0]["text"], "the signature is right for region eu-west-1 and service s3");

    let early = json(&Client { date: b"20260312T070000Z", ..CLIENT }.raw(), &s3());
    assert_eq!(early["code"], "RequestTimeTooSkewed");
    assert_eq!(early["hints"][0]["component"], "date");
    let wrong = replaced(&Client { date: b"20260312T070000Z", ..CLIENT }.raw(), "Signature=", "Signature=0");
    assert_eq!(json(&wrong, &s3()).get("hints"), None);
}

#[test]
fn headers_added_after_signing_are_named() {
    let raw = replaced(&CLIENT.raw(), "host: ", "x-amz-cf-id: 1\r\nhost: ");
    let answer = json(&raw, &s3());
    assert_eq!(answer["code"], "AccessDenied");
    assert_eq!(answer["elements"]["HeadersNotSigned"], "x-amz-cf-id");
    assert_eq!(answer["hints"][0]["text"], "without x-amz-cf-id the signature holds: added after signing");

    let raw = replaced(
        &Client { headers: vec![("x-amz-acl", "private")], ..CLIENT }.raw(),
        "x-amz-acl: private\r\n",
        "",
    );
    assert_eq!(
        json(&raw, &s3())["hints"][0]["text"],
        "x-amz-acl is signed, but the request does not have it"
    );
}

#[test]
fn a_session_is_judged_by_its_token_and_its_end() {
    let with = |expires: Option<&str>| {
        let expires = expires.map(|text| UnixMillis::parse_rfc3339(text).unwrap());
        options(Endpoint::s3("us-east-1"), Some(session(b"a token", expires)))
    };
    let code = |token: Option<&'static [u8]>, options: &Options| {
        let answer = json(&Client { token, ..CLIENT }.raw(), options);
        answer.get("code").map_or("ok".to_owned(), |code| code.as_str().unwrap().to_owned())
    };
    assert_eq!(code(Some(b"a token"), &with(None)), "ok");
    assert_eq!(code(Some(b"a token"), &with(Some("2026-03-12T08:15:31Z"))), "ok");
    assert_eq!(code(Some(b"a token"), &with(Some("2026-03-12T08:15:30Z"))), "ExpiredToken");
    assert_eq!(code(Some(b"another"), &with(None)), "InvalidToken");
    assert_eq!(code(Some(b"a token"), &s3()), "InvalidToken");
    assert_eq!(code(None, &with(None)), "InvalidAccessKeyId");
    let answer =
        json(&replaced(&Client { token: Some(b"a token"), ..CLIENT }.raw(), "PUT", "POST"), &with(None));
    assert!(
        answer["canonical_request"].as_str().unwrap().contains("x-amz-security-token:REDACTED"),
        "{answer}"
    );
}

#[test]
fn the_body_counts_as_much_as_the_head() {
    let answer = json(&replaced(&CLIENT.raw(), "\r\n\r\nhello", "\r\n\r\nhallo"), &s3());
    assert_eq!((&answer["code"], &answer["status"]), (&json!("XAmzContentSHA256Mismatch"), &json!(400)));
    assert_eq!(answer["elements"]["ClientComputedContentSHA256"], HELLO_SHA256);
    let short = json(&replaced(&CLIENT.raw(), "\r\n\r\nhello", "\r\n\r\nhell"), &s3());
    assert_eq!(short["code"], "IncompleteBody");
}

#[test]
fn only_the_credential_given_is_known() {
    let answer = json(&replaced(&CLIENT.raw(), "AKID/", "OTHER/"), &s3());
    assert_eq!(answer["code"], "InvalidAccessKeyId");
    assert_eq!(answer["hints"][0]["text"], "signed with OTHER; known is AKID");
}

#[test]
fn what_is_no_request_is_a_bad_request() {
    assert_eq!(json("no request", &s3())["code"], "BadRequest");
    assert_eq!(json("GET / HTTP/1.1", &s3())["code"], "AccessDenied");
}

#[derive(Deserialize)]
struct Case {
    id: String,
    method: String,
    uri: String,
    headers: Vec<(String, String)>,
    body_base64: String,
    access_key: String,
    secret_key: String,
    session_token: Option<String>,
    session_expires: Option<String>,
    region: String,
    service: String,
    mode: String,
    now: String,
    expect: String,
    #[serde(default)]
    also_accept: Vec<String>,
}

impl Case {
    fn raw(&self) -> Vec<u8> {
        let body = base64::engine::general_purpose::STANDARD.decode(&self.body_base64).unwrap();
        let lines: String = self.headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let head = format!("{} {} HTTP/1.1\r\n{lines}\r\n", self.method, self.uri);
        [head.into_bytes(), body].concat()
    }

    fn options(&self) -> Options {
        let time = |text: &str| UnixMillis::parse_rfc3339(text).unwrap();
        let token = self.session_token.as_deref().map(str::as_bytes);
        let session = token.map(|token| session(token, self.session_expires.as_deref().map(time)));
        let id = AccessKeyId::parse(&self.access_key).unwrap();
        let dialect = if self.mode == "s3" { Dialect::S3 } else { Dialect::Generic };
        let service = self.service.as_str().into();
        Options {
            record: Record::new(credential(id, SecretAccessKey::new(self.secret_key.as_str()), session)),
            endpoint: Endpoint { dialect, service, sigv4a: true, ..Endpoint::s3(&self.region) },
            now: time(&self.now),
        }
    }

    /// The codes of answers that are right. What is not offered is refused.
    fn expected(&self) -> (&'static str, Vec<&str>) {
        let text = format!("{:?}", self.headers);
        if text.contains("multipart/form-data") {
            ("form, refused", vec!["AccessDenied"])
        } else {
            let codes = self.also_accept.iter().map(String::as_str).chain([self.expect.as_str()]).collect();
            (if self.expect == "ok" { "accepted" } else { "refused" }, codes)
        }
    }
}

fn published() -> Option<PathBuf> {
    let start = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    start
        .ancestors()
        .map(|folder| folder.join("shared/vectors/verify-cases.json"))
        .find(|file| file.is_file())
}

/// Published requests, read from a folder beside the checkout when it is there, code for code.
#[test]
fn published_requests_get_their_published_verdicts() {
    let Some(file) = published() else {
        println!("skipped: no folder shared/vectors beside the checkout");
        return;
    };
    let cases: Vec<Case> = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    let (mut counts, mut wrong) = (BTreeMap::<_, usize>::new(), Vec::new());
    for case in &cases {
        let answer = explain(&case.raw(), &case.options()).json();
        let code = answer.get("code").map_or("ok", |code| code.as_str().unwrap());
        let (kind, expected) = case.expected();
        *counts.entry(kind).or_default() += 1;
        if !expected.contains(&code) {
            wrong.push(format!("{}: expected {expected:?}, got {answer}", case.id));
        }
    }
    println!("{} cases: {counts:?}", cases.len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(counts["accepted"] > 160 && counts["refused"] > 70, "{counts:?}");
}
