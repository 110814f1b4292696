//! Signed heads: those that gateways see all day, large ones, and those that must be refused.

use std::fmt::Write as _;
use std::hint::black_box;

use http::{HeaderMap, HeaderName, HeaderValue};
use ring::{digest, hmac};
use sigv4::{
    Dialect, Endpoint, Head, ParseError, Scope, SecretAccessKey, SignedRequest, Signer, SigningKey, Target,
    Timestamp, Verified, VerifyError,
};

/// The region of every case.
pub const REGION: &str = "us-east-1";
/// Whose request it is.
pub const ACCESS_KEY_ID: &str = "ASIAIOSFODNN7EXAMPLE";
/// The secret it is signed with.
pub const SECRET_ACCESS_KEY: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
const HOST: &str = "examplebucket.s3.us-east-1.amazonaws.com";
const EMPTY_SHA256: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// One signed request and everything needed to verify it.
#[derive(Clone)]
pub struct Case {
    /// What the case is called in reports.
    pub name: &'static str,
    path: String,
    query: Option<String>,
    headers: HeaderMap,
    endpoint: Endpoint,
    key: SigningKey,
    token: Option<String>,
    now: Timestamp,
}

/// What is large in a case whose cost must grow no faster than it.
#[derive(Clone, Copy, Debug)]
pub enum Large {
    /// The path, in bytes.
    Path,
    /// The path, in bytes, every other one escaped.
    EscapedPath,
    /// The query, in parameters out of order.
    Query,
    /// The headers, in number; all are signed.
    Headers,
}

/// A request that must be refused, and where.
#[derive(Clone, Copy, Debug)]
pub enum Reject {
    /// Well-formed, but no such key is known: the look-up is the caller's, so parsing is all.
    UnknownKey,
    /// Signed for another region.
    WrongRegion,
    /// The `Authorization` header lacks its signature.
    Malformed,
    /// Signed too long ago.
    Expired,
    /// Signed with another key. The standard form alone is tried, and the answer does not explain itself.
    Mismatch,
    /// The same, and the answer quotes canonical request and string to sign.
    MismatchExplained,
    /// The same, and the forms that deployed signers are known for are tried: here two more spellings of `host`.
    MismatchEveryForm,
}

impl Reject {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::UnknownKey,
        Self::WrongRegion,
        Self::Malformed,
        Self::Expired,
        Self::Mismatch,
        Self::MismatchExplained,
        Self::MismatchEveryForm,
    ];

    /// Whether the signature is that of another key.
    fn is_mismatch(self) -> bool {
        matches!(self, Self::Mismatch | Self::MismatchExplained | Self::MismatchEveryForm)
    }
}

impl Case {
    /// The cases whose cost is watched: GET by header with and without a 350-character session token, presigned GET
    /// with and without it. Signed at `now`.
    pub fn hot(now: Timestamp) -> Vec<Self> {
        let token = "t".repeat(350);
        vec![
            Self::by_header("GET by header, token", Some(token.clone()), now),
            Self::by_header("GET by header, no token", None, now),
            Self::presigned("presigned GET, token", Some(token), now),
            Self::presigned("presigned GET, no token", None, now),
        ]
    }

    /// A request with `size` of what is large.
    pub fn large(large: Large, size: usize) -> Self {
        let mut case = Self::blank("large", None, some_time());
        match large {
            Large::Path => case.path = format!("/{}", "a".repeat(size - 1)),
            Large::EscapedPath => case.path = format!("/{}", "a%2f".repeat(size / 4)),
            Large::Query => {
                let mut query = String::new();
                for number in 0..size {
                    // Out of order: 7919 has no factor in common with any number of parameters here.
                    write!(query, "&parameter-{}=value", number * 7919 % size)
                        .expect("writing to a String cannot fail");
                }
                case.query = Some(query.split_off(1));
            }
            Large::Headers => {
                for number in 0..size {
                    let name = format!("x-amz-meta-{}", number * 7919 % size);
                    let name = HeaderName::try_from(name).expect("the name is a token");
                    case.headers.insert(name, HeaderValue::from_static("some value"));
                }
            }
        }
        case.signed()
    }

    fn blank(name: &'static str, token: Option<String>, now: Timestamp) -> Self {
        let scope = Scope { date: now.date(), region: REGION, service: "s3" };
        let secret = SecretAccessKey::new(SECRET_ACCESS_KEY);
        let mut headers = HeaderMap::new();
        headers.insert("host", HeaderValue::from_static(HOST));
        Self {
            name,
            path: "/photos/2026/january/picture-0001.jpg".to_owned(),
            query: None,
            headers,
            endpoint: Endpoint::s3(REGION),
            key: SigningKey::derive(&secret, &scope),
            token,
            now,
        }
    }

    fn by_header(name: &'static str, token: Option<String>, now: Timestamp) -> Self {
        let mut case = Self::blank(name, token, now);
        for (header, value) in [
            ("user-agent", "aws-sdk-rust/1.3.9 os/linux lang/rust/1.95.0"),
            ("accept", "*/*"),
            ("accept-encoding", "identity"),
            ("amz-sdk-invocation-id", "5d3a4f4e-0d3f-4f0e-9d55-3d6b1f0a6b7c"),
            ("amz-sdk-request", "attempt=1; max=3"),
        ] {
            case.headers.insert(header, HeaderValue::from_static(value));
        }
        case.signed()
    }

    fn signed(mut self) -> Self {
        let (signer, target) = self.signer();
        let mut headers = self.headers.clone();
        signer.sign(target, &mut headers, EMPTY_SHA256, self.now).expect("the request can be signed");
        self.headers = headers;
        self
    }

    fn presigned(name: &'static str, token: Option<String>, now: Timestamp) -> Self {
        let mut case = Self::blank(name, token, now);
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
        let query = self.query.as_deref().map(str::as_bytes);
        (signer, Target { method: "GET", path: self.path.as_bytes(), query })
    }

    fn parse(&self) -> Result<SignedRequest<'_>, ParseError> {
        let head = Head {
            method: "GET",
            path: self.path.as_bytes(),
            query: self.query.as_deref().map(str::as_bytes),
            headers: &self.headers,
            authority: None,
        };
        SignedRequest::parse(head, &self.endpoint, self.now)
    }

    /// What a gateway does for a cached credential: parse and verify with the derived key.
    pub fn verify(&self) -> Verified {
        let request = self.parse().expect("the request is well-formed");
        request.verify(&self.key).expect("the request is signed")
    }

    /// Whether the request is presigned.
    pub fn is_presigned(&self) -> bool {
        !self.headers.contains_key("authorization")
    }

    /// The request for others to verify.
    pub fn request<B>(&self, body: B) -> http::Request<B> {
        let query = self.query.as_ref().map_or_else(String::new, |query| format!("?{query}"));
        let mut request = http::Request::new(body);
        *request.uri_mut() = format!("{}{query}", self.path).parse().expect("the target is a URI");
        *request.headers_mut() = self.headers.clone();
        request
    }

    /// The request without its signature, for a service that asks for none.
    #[must_use]
    pub fn unsigned(&self) -> Self {
        let mut case = self.clone();
        case.query = None;
        case.headers.remove("authorization");
        case
    }

    /// The case made one to be refused.
    #[must_use]
    pub fn rejected(mut self, why: Reject) -> Self {
        match why {
            Reject::UnknownKey => {}
            Reject::WrongRegion => self.endpoint = Endpoint::s3("eu-central-1"),
            Reject::Malformed => self.alter("Signature=", "Sign="),
            Reject::Expired => self.now = self.now.plus(7_200),
            Reject::Mismatch | Reject::MismatchExplained | Reject::MismatchEveryForm => {
                self.endpoint.strict = !matches!(why, Reject::MismatchEveryForm);
                self.endpoint.explain = !matches!(why, Reject::Mismatch);
                self.key = SigningKey::derive(&SecretAccessKey::new("another"), &self.key.scope());
            }
        }
        self
    }

    fn alter(&mut self, from: &str, to: &str) {
        if let Some(query) = &mut self.query {
            *query = query.replace(from, to);
        }
        if let Some(value) = self.headers.get_mut("authorization") {
            let altered = value.to_str().expect("the header is ASCII").replace(from, to);
            *value = altered.parse().expect("the header stays legal");
        }
    }

    /// What a gateway does for a request that it refuses.
    pub fn refuse(&self, why: Reject) {
        match (why, self.parse()) {
            (Reject::UnknownKey, Ok(request)) => _ = black_box(request.access_key_id()),
            (why, Ok(request)) if why.is_mismatch() => {
                assert!(matches!(request.verify(&self.key), Err(VerifyError::SignatureMismatch(_))));
            }
            (_, parsed) => assert!(parsed.is_err(), "{why:?} is well-formed"),
        }
    }

    /// The bytes that any verifier must hash for this request.
    ///
    /// They come from the explanation of a mismatch, where the session token reads `REDACTED`: it is put back, and
    /// the hash in the string to sign tells that nothing else is missing.
    pub fn bound(&self) -> Bound {
        let stranger = SigningKey::derive(&SecretAccessKey::new("another"), &self.key.scope());
        let request = self.parse().expect("the request is well-formed");
        let Err(VerifyError::SignatureMismatch(explanation)) = request.verify(&stranger) else {
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

/// A time for cases that only we verify.
pub fn some_time() -> Timestamp {
    Timestamp::parse_basic(b"20260102T030405Z").expect("the literal is a time")
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
