//! Published vectors, read from a folder beside the checkout when it is there: nothing of them is copied.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use sigv4::{
    Algorithm, Boundary, Dialect, Endpoint, FormReader, Mechanism, ParseError, PostError, Presented,
    SecretAccessKey, SignedForm, SignedRequest, SigningKey, Timestamp, VerifyError,
};

use crate::forms::receive;
use crate::sample::{Refusal, Sample, prove};

fn folder() -> Option<PathBuf> {
    let start = Path::new(env!("CARGO_MANIFEST_DIR"));
    start.ancestors().map(|folder| folder.join("shared/vectors")).find(|folder| folder.is_dir())
}

/// The rows of a file of the folder; `None`, and a line on stdout, where there is no folder.
fn rows<T: for<'de> Deserialize<'de>>(file: &str) -> Option<Vec<T>> {
    let Some(folder) = folder() else {
        println!("skipped: no folder shared/vectors beside the checkout");
        return None;
    };
    let text = std::fs::read(folder.join(file)).unwrap();
    Some(serde_json::from_slice(&text).unwrap())
}

#[derive(Deserialize)]
struct Request {
    id: String,
    method: String,
    uri: String,
    headers: Vec<(String, String)>,
    body_base64: String,
    access_key: String,
    secret_key: String,
    session_token: Option<String>,
    region: String,
    service: String,
}

impl Request {
    /// A folded header line is unfolded, as an HTTP parser that takes one does (RFC 9112, 5.2).
    fn sample(&self) -> Sample {
        use base64::Engine;
        let mut sample = Sample::new(&self.method, self.uri.as_bytes()).without("host");
        for (name, value) in &self.headers {
            sample = sample.and(name, value.replace(['\r', '\n'], " ").as_bytes());
        }
        sample.secret.clone_from(&self.secret_key);
        sample.body = base64::engine::general_purpose::STANDARD.decode(&self.body_base64).unwrap();
        sample
    }

    fn endpoint(&self, dialect: Dialect) -> Endpoint {
        Endpoint {
            dialect,
            service: self.service.as_str().into(),
            sigv4a: true,
            ..Endpoint::s3(&self.region)
        }
    }

    fn is_asymmetric(&self) -> bool {
        let name = Algorithm::EcdsaP256Sha256.name();
        self.uri.contains(name) || self.headers.iter().any(|(_, value)| value.contains(name))
    }
}

#[derive(Deserialize)]
struct Case {
    #[serde(flatten)]
    request: Request,
    mode: String,
    now: String,
    expect: String,
    also_accept: Option<Vec<String>>,
}

/// What AWS calls the verdict on the head, as far as this crate can tell.
fn verdict(case: &Case, sample: &Sample) -> &'static str {
    let dialect = if case.mode == "s3" { Dialect::S3 } else { Dialect::Generic };
    let endpoint = case.request.endpoint(dialect);
    let now = Timestamp::parse_extended(case.now.as_bytes()).unwrap();
    let request = match SignedRequest::parse(sample.head(), &endpoint, now) {
        Ok(request) => request,
        Err(error) => return parse_code(&error),
    };
    if request.access_key_id() != case.request.access_key {
        return "InvalidAccessKeyId";
    }
    match (request.session_token(), &case.request.session_token) {
        (Presented::None, None) => {}
        (Presented::One(token), Some(expected)) if *token == *expected.as_bytes() => {}
        _ => return "InvalidToken",
    }
    match prove(request, &sample.secret, &sample.body) {
        Ok(_) => "ok",
        Err(VerifyError::SignatureMismatch(_)) => "SignatureDoesNotMatch",
        Err(VerifyError::UnsignedHeaders { .. }) => "AccessDenied",
        Err(_) => "InvalidRequest",
    }
}

/// The same for a form, which is addressed in path style.
fn form_verdict(case: &Case, sample: &Sample) -> &'static str {
    let endpoint = case.request.endpoint(Dialect::S3);
    let now = Timestamp::parse_extended(case.now.as_bytes()).unwrap();
    let content_type = sample.headers["content-type"].as_bytes();
    let mut reader = FormReader::new(Boundary::parse(content_type).unwrap());
    let form = reader.push(&sample.body).unwrap().unwrap();
    let signed = SignedForm::parse(&form, &case.request.uri[1..], &endpoint, now).unwrap();
    assert_eq!(signed.access_key_id(), case.request.access_key);
    let key = SigningKey::derive(&SecretAccessKey::new(sample.secret.as_str()), &signed.scope());
    match signed.verify(&key) {
        Ok(form) => {
            let (_, outcome) = receive(&form, &[], [&sample.body[..]]);
            if outcome.is_ok() { "ok" } else { "another refusal" }
        }
        Err(PostError::SignatureMismatch(_)) => "SignatureDoesNotMatch",
        Err(_) => "AccessDenied",
    }
}

fn parse_code(error: &ParseError) -> &'static str {
    match error {
        ParseError::Anonymous => "anonymous",
        ParseError::MalformedPath { .. } | ParseError::MalformedQuery(_) => "InvalidURI",
        ParseError::Parameters(_) | ParseError::Credential { mechanism: Mechanism::Query, .. } => {
            "AuthorizationQueryParametersError"
        }
        ParseError::Skewed { .. } => "RequestTimeTooSkewed",
        ParseError::Expired { .. } | ParseError::NotYetValid { .. } => "AccessDenied",
        _ => "another refusal",
    }
}

/// The head of these is rightly signed; what is wrong is in the body, which others check.
const BODY_CASES: [&str; 2] = ["s3docs-chunked-neg-byte", "s3docs-trailer-neg"];

#[test]
fn published_requests_get_their_verdict() {
    let Some(cases) = rows::<Case>("verify-cases.json") else { return };
    let mut counts = BTreeMap::<&str, usize>::new();
    let mut wrong = Vec::new();
    for case in &cases {
        let id = case.request.id.as_str();
        let sample = case.request.sample();
        let is_form =
            sample.headers.get("content-type").is_some_and(|v| v.as_bytes().starts_with(b"multipart/"));
        let (kind, mut expected) = match () {
            () if case.request.is_asymmetric() => ("asymmetric", vec![case.expect.as_str()]),
            () if is_form => ("form", vec![case.expect.as_str()]),
            () if BODY_CASES.contains(&id) => ("head of a bad body", vec!["ok"]),
            () if case.expect == "ok" => ("accepted", vec!["ok"]),
            () => ("refused", vec![case.expect.as_str()]),
        };
        if kind == "refused" {
            expected.extend(case.also_accept.iter().flatten().map(String::as_str));
        }
        *counts.entry(kind).or_default() += 1;
        let got = if is_form { form_verdict(case, &sample) } else { verdict(case, &sample) };
        if !expected.contains(&got) {
            wrong.push(format!("{id}: expected {expected:?}, got {got}"));
        }
    }
    println!("{} cases: {counts:?}", cases.len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let least = [("accepted", 110), ("refused", 70), ("asymmetric", 60), ("form", 1)];
    assert!(least.iter().all(|(kind, least)| counts[kind] >= *least), "{counts:?}");
}

#[derive(Deserialize)]
struct Row {
    #[serde(flatten)]
    request: Request,
    normalize_path: bool,
    double_encode: bool,
    #[serde(default)]
    omit_session_token: bool,
    canonical_request: String,
    string_to_sign: String,
}

impl Row {
    /// The canonical request as an explanation shows it.
    fn redacted(&self) -> String {
        let Some(token) = &self.request.session_token else { return self.canonical_request.clone() };
        let encoded = sigv4::uri::encode_query(token.as_bytes());
        self.canonical_request.replace(token, "REDACTED").replace(&encoded, "REDACTED")
    }
}

#[test]
fn canonical_requests_and_strings_to_sign_are_the_published_ones() {
    let Some(rows) = rows::<Row>("canon-vectors.json") else { return };
    let (mut verified, mut compared) = (0, 0);
    for row in rows {
        let id = &row.request.id;
        let sample = row.request.sample();
        let dialect = if row.double_encode { Dialect::Generic } else { Dialect::S3 };
        let endpoint = row.request.endpoint(dialect);
        let date = row.string_to_sign.lines().nth(1).unwrap();
        let now = Timestamp::parse_basic(date.as_bytes()).unwrap();
        let verdict = sample.verify_at(&endpoint, now);
        assert!(verdict.is_ok(), "{id}: {verdict:?}");
        verified += 1;
        let standard = row.normalize_path || dialect == Dialect::S3;
        if !standard || (row.omit_session_token && sample.query.is_some()) {
            continue;
        }
        let wrong = Sample { secret: "another".to_owned(), ..sample };
        let Err(Refusal::Verify(VerifyError::SignatureMismatch(explanation))) =
            wrong.verify_at(&endpoint, now)
        else {
            panic!("{id}: verified with another secret");
        };
        assert_eq!(explanation.canonical_request, row.redacted(), "{id}");
        assert_eq!(explanation.string_to_sign, row.string_to_sign, "{id}");
        compared += 1;
    }
    println!("{verified} rows verified, {compared} of them compared");
    assert!(verified > 220 && compared > 190, "{verified} {compared}");
}
