//! Signed requests that the benches verify, and the least work any verifier must do for them.

use std::hint::black_box;

use http::{HeaderMap, HeaderValue};
use ring::{digest, hmac};
use sigv4::{
    Dialect, Endpoint, Head, Scope, SecretAccessKey, SignedRequest, Signer, SigningKey, Target, Timestamp,
    Verified, VerifyError,
};

const REGION: &str = "us-east-1";
const ACCESS_KEY_ID: &str = "ASIAIOSFODNN7EXAMPLE";
const HOST: &str = "examplebucket.s3.us-east-1.amazonaws.com";

/// One signed request and everything needed to verify it.
pub struct Case {
    /// What the case is called in reports.
    pub name: &'static str,
    path: &'static [u8],
    query: Option<String>,
    headers: HeaderMap,
    endpoint: Endpoint,
    key: SigningKey,
    token: Option<String>,
    now: Timestamp,
}

impl Case {
    /// The cases of the report: GET by header with and without a 350-character session token, presigned GET with
    /// and without it.
    pub fn all() -> Vec<Self> {
        let token = "t".repeat(350);
        vec![
            Self::by_header("GET by header, token", Some(token.clone())),
            Self::by_header("GET by header, no token", None),
            Self::presigned("presigned GET, token", Some(token)),
            Self::presigned("presigned GET, no token", None),
        ]
    }

    fn blank(name: &'static str, token: Option<String>) -> Self {
        let now = Timestamp::parse_basic(b"20260102T030405Z").expect("the literal is a time");
        let scope = Scope { date: now.date(), region: REGION, service: "s3" };
        let secret = SecretAccessKey::new("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY");
        let mut headers = HeaderMap::new();
        headers.insert("host", HeaderValue::from_static(HOST));
        Self {
            name,
            path: b"/photos/2026/january/picture-0001.jpg",
            query: None,
            headers,
            endpoint: Endpoint::s3(REGION),
            key: SigningKey::derive(&secret, &scope),
            token,
            now,
        }
    }

    fn by_header(name: &'static str, token: Option<String>) -> Self {
        let mut case = Self::blank(name, token);
        for (header, value) in [
            ("user-agent", "aws-sdk-rust/1.3.9 os/linux lang/rust/1.95.0"),
            ("accept", "*/*"),
            ("accept-encoding", "identity"),
            ("amz-sdk-invocation-id", "5d3a4f4e-0d3f-4f0e-9d55-3d6b1f0a6b7c"),
            ("amz-sdk-request", "attempt=1; max=3"),
        ] {
            case.headers.insert(header, HeaderValue::from_static(value));
        }
        let (signer, target) = case.signer();
        let mut headers = case.headers.clone();
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        signer.sign(target, &mut headers, empty, case.now).expect("the request can be signed");
        case.headers = headers;
        case
    }

    fn presigned(name: &'static str, token: Option<String>) -> Self {
        let mut case = Self::blank(name, token);
        let (signer, target) = case.signer();
        let query =
            signer.presign(target, &case.headers, case.now, 3_600).expect("the request can be presigned");
        case.query = Some(query);
        case
    }

    fn signer(&self) -> (Signer<'_>, Target<'_>) {
        let signer = Signer {
            key: &self.key,
            access_key_id: ACCESS_KEY_ID,
            session_token: self.token.as_deref().map(str::as_bytes),
            dialect: Dialect::S3,
        };
        (signer, Target { method: "GET", path: self.path, query: self.query.as_deref().map(str::as_bytes) })
    }

    fn parse(&self) -> SignedRequest<'_> {
        let head = Head {
            method: "GET",
            path: self.path,
            query: self.query.as_deref().map(str::as_bytes),
            headers: &self.headers,
            authority: None,
        };
        SignedRequest::parse(head, &self.endpoint, self.now).expect("the request is well-formed")
    }

    /// What a gateway does for a cached credential: parse and verify with the derived key.
    pub fn verify(&self) -> Verified {
        self.parse().verify(&self.key).expect("the request is signed")
    }

    /// The bytes that any verifier must hash for this request.
    ///
    /// They come from the explanation of a mismatch, where the session token reads `REDACTED`: it is put back, and
    /// the hash in the string to sign tells that nothing else is missing.
    pub fn hashed_bytes(&self) -> Bound {
        let stranger = SigningKey::derive(&SecretAccessKey::new("another"), &self.key.scope());
        let Err(VerifyError::SignatureMismatch(explanation)) = self.parse().verify(&stranger) else {
            unreachable!("another key's signature is a mismatch")
        };
        let token = self.token.as_deref().unwrap_or_default();
        let canonical_request = explanation.canonical_request.replace("REDACTED", token);
        let hash = digest::digest(&digest::SHA256, canonical_request.as_bytes());
        assert!(explanation.string_to_sign.ends_with(&format!("{hash:?}")["SHA256:".len()..]));
        Bound {
            canonical_request: canonical_request.into(),
            string_to_sign: explanation.string_to_sign.into(),
            key: hmac::Key::new(hmac::HMAC_SHA256, &[7; 32]),
        }
    }
}

/// The hashing that no verifier can avoid: SHA-256 of the canonical request, HMAC of the string to sign with a
/// context that is ready.
pub struct Bound {
    canonical_request: Vec<u8>,
    string_to_sign: Vec<u8>,
    key: hmac::Key,
}

impl Bound {
    /// Does it.
    pub fn hash(&self) -> hmac::Tag {
        black_box(digest::digest(&digest::SHA256, &self.canonical_request));
        let mut context = hmac::Context::with_key(&self.key);
        context.update(&self.string_to_sign);
        context.sign()
    }
}
