//! A request as a client would send it, to be altered by tests.

use http::{HeaderMap, HeaderName, HeaderValue};
use ring::{digest, hmac};
use sigv4::{
    Algorithm, Dialect, Endpoint, Head, ParseError, SecretAccessKey, SignedRequest, Signer, SigningKey,
    Target, Timestamp, Verified, VerifyError, VerifyingKey,
};

pub(crate) const EMPTY_SHA256: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
pub(crate) const ACCESS_KEY_ID: &str = "AKIDEXAMPLE";
pub(crate) const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

/// 2026-03-12T08:15:30Z.
pub(crate) fn now() -> Timestamp {
    Timestamp::parse_basic(b"20260312T081530Z").unwrap()
}

/// Why a request was refused, whichever stage did it.
#[derive(Debug)]
pub(crate) enum Refusal {
    Parse(ParseError),
    Verify(VerifyError),
}

#[derive(Clone, Debug)]
pub(crate) struct Sample {
    pub(crate) method: String,
    pub(crate) path: Vec<u8>,
    pub(crate) query: Option<Vec<u8>>,
    pub(crate) headers: HeaderMap,
    pub(crate) authority: Option<String>,
    pub(crate) body: Vec<u8>,
    pub(crate) secret: String,
}

impl Sample {
    /// An unsigned request to `target`, which may hold a query.
    pub(crate) fn new(method: &str, target: &[u8]) -> Self {
        let mut parts = target.splitn(2, |&byte| byte == b'?');
        Self {
            method: method.to_owned(),
            path: parts.next().unwrap_or_default().to_vec(),
            query: parts.next().map(<[u8]>::to_vec),
            headers: HeaderMap::new(),
            authority: None,
            body: Vec::new(),
            secret: SECRET.to_owned(),
        }
        .with("host", "bucket.s3.example.com")
    }

    /// With a header set.
    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.insert(HeaderName::from_bytes(name.as_bytes()).unwrap(), value.parse().unwrap());
        self
    }

    /// With one more header, whatever its bytes.
    pub(crate) fn and(mut self, name: &str, value: &[u8]) -> Self {
        let value = HeaderValue::from_bytes(value).unwrap();
        self.headers.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), value);
        self
    }

    /// Without a header.
    pub(crate) fn without(mut self, name: &str) -> Self {
        self.headers.remove(name);
        self
    }

    /// With another method.
    pub(crate) fn sent_as(self, method: &str) -> Self {
        Self { method: method.to_owned(), ..self }
    }

    /// With another target.
    pub(crate) fn to(self, target: &str) -> Self {
        let Self { path, query, .. } = Self::new("GET", target.as_bytes());
        Self { path, query, ..self }
    }

    /// With text of the query replaced; it must be there.
    pub(crate) fn query_replaced(mut self, from: &str, to: &str) -> Self {
        let query = String::from_utf8(self.query.take().unwrap()).unwrap();
        assert!(query.contains(from), "{from} is not in {query}");
        self.query = Some(query.replace(from, to).into_bytes());
        self
    }

    /// With text of the `Authorization` header replaced; it must be there.
    pub(crate) fn authorization_replaced(self, from: &str, to: &str) -> Self {
        let value = self.headers["authorization"].to_str().unwrap().to_owned();
        assert!(value.contains(from), "{from} is not in {value}");
        self.with("authorization", &value.replace(from, to))
    }

    fn signing_key(&self, endpoint: &Endpoint, date: Timestamp) -> SigningKey {
        let scope =
            sigv4::Scope { date: date.date(), region: &endpoint.regions[0], service: &endpoint.service };
        SigningKey::derive(&SecretAccessKey::new(self.secret.as_str()), &scope)
    }

    fn target(&self) -> Target<'_> {
        Target { method: &self.method, path: &self.path, query: self.query.as_deref() }
    }

    /// Signed with an `Authorization` header, now.
    pub(crate) fn signed(self, endpoint: &Endpoint) -> Self {
        self.signed_at(endpoint, now())
    }

    /// Signed with an `Authorization` header.
    pub(crate) fn signed_at(mut self, endpoint: &Endpoint, date: Timestamp) -> Self {
        let payload = match endpoint.dialect {
            Dialect::S3 => {
                self.headers.get("x-amz-content-sha256").map_or(EMPTY_SHA256, |v| v.to_str().unwrap())
            }
            Dialect::Generic => EMPTY_SHA256,
        };
        let (payload, key) = (payload.to_owned(), self.signing_key(endpoint, date));
        let signer = Signer {
            key: &key,
            access_key_id: ACCESS_KEY_ID,
            session_token: None,
            dialect: endpoint.dialect,
        };
        let mut headers = std::mem::take(&mut self.headers);
        signer.sign(self.target(), &mut headers, &payload, date).unwrap();
        Self { headers, ..self }
    }

    /// Presigned now, for an hour.
    pub(crate) fn presigned(self, endpoint: &Endpoint) -> Self {
        self.presigned_for(endpoint, 3600)
    }

    /// Presigned now.
    pub(crate) fn presigned_for(self, endpoint: &Endpoint, lifetime: u32) -> Self {
        let key = self.signing_key(endpoint, now());
        let signer = Signer {
            key: &key,
            access_key_id: ACCESS_KEY_ID,
            session_token: None,
            dialect: endpoint.dialect,
        };
        let query = signer.presign(self.target(), &self.headers, now(), lifetime).unwrap();
        Self { query: Some(query.into_bytes()), ..self }
    }

    pub(crate) fn head(&self) -> Head<'_> {
        Head {
            method: &self.method,
            path: &self.path,
            query: self.query.as_deref(),
            headers: &self.headers,
            authority: self.authority.as_deref(),
        }
    }

    /// The verdict now.
    pub(crate) fn verify(&self, endpoint: &Endpoint) -> Result<Verified, Refusal> {
        self.verify_at(endpoint, now())
    }

    /// Fails unless the request is accepted now.
    #[track_caller]
    pub(crate) fn assert_accepted(&self, endpoint: &Endpoint) {
        self.assert_accepted_at(endpoint, now());
    }

    /// Fails unless the request is accepted at some time.
    #[track_caller]
    pub(crate) fn assert_accepted_at(&self, endpoint: &Endpoint, at: Timestamp) {
        let verdict = self.verify_at(endpoint, at);
        assert!(verdict.is_ok(), "refused: {verdict:?}");
    }

    /// Signed with a header as a signer would whose canonical request reads differently: `from` replaced by
    /// `to` in the standard one, where it must be.
    pub(crate) fn signed_over(self, endpoint: &Endpoint, from: &str, to: &str) -> Self {
        let signed = self.signed(endpoint);
        let Err(Refusal::Verify(VerifyError::SignatureMismatch(standard))) =
            Self { secret: "another".to_owned(), ..signed.clone() }.verify(endpoint)
        else {
            panic!("accepted with another secret");
        };
        assert!(standard.canonical_request.contains(from), "{from} is not in {}", standard.canonical_request);
        let canonical = standard.canonical_request.replace(from, to);
        let hash = digest::digest(&digest::SHA256, canonical.as_bytes());
        let text = &standard.string_to_sign[..standard.string_to_sign.len() - 64];
        let scope = [
            &now().basic()[..8],
            endpoint.regions[0].as_bytes(),
            endpoint.service.as_bytes(),
            b"aws4_request",
        ];
        let key = scope.iter().fold([b"AWS4", SECRET.as_bytes()].concat(), |key, part| hmac(&key, part));
        let signature = hex(&hmac(&key, format!("{text}{}", hex(hash.as_ref())).as_bytes()));
        signed.authorization_replaced(&standard.signature_provided, &signature)
    }

    /// The verdict at some time.
    pub(crate) fn verify_at(&self, endpoint: &Endpoint, at: Timestamp) -> Result<Verified, Refusal> {
        let request = SignedRequest::parse(self.head(), endpoint, at).map_err(Refusal::Parse)?;
        prove(request, &self.secret, &self.body).map_err(Refusal::Verify)
    }
}

/// The verdict with the key that the request asks for.
pub(crate) fn prove(request: SignedRequest<'_>, secret: &str, body: &[u8]) -> Result<Verified, VerifyError> {
    let secret = SecretAccessKey::new(secret);
    match request.algorithm() {
        Algorithm::HmacSha256 => {
            let key = SigningKey::derive(&secret, &request.scope());
            request.verify_body(&key, body)
        }
        Algorithm::EcdsaP256Sha256 => {
            let key = VerifyingKey::derive(request.access_key_id(), &secret);
            request.verify_body(&key, body)
        }
    }
}

fn hmac(key: &[u8], message: &[u8]) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), message).as_ref().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Fails unless the expression matches the pattern.
macro_rules! assert_refused {
    ($verdict:expr, $pattern:pat $(if $guard:expr)?) => {
        match $verdict {
            $pattern $(if $guard)? => {}
            other => panic!("expected {}, got {other:?}", stringify!($pattern)),
        }
    };
}
pub(crate) use assert_refused;
