//! The verdict on a head: is it signed by this key?

use std::borrow::Cow;
use std::cell::OnceCell;
use std::fmt;

use http::HeaderName;

use crate::algorithm::{Algorithm, Key};
use crate::canonical::{CanonicalRequest, Form, StringToSign, UNSIGNED_PAYLOAD, sha256};
use crate::endpoint::Dialect;
use crate::error::{Explanation, Received, VerifyError};
use crate::hex;
use crate::inline::Inline;
use crate::notable::{Name, Notable};
use crate::payload::{ChunkChain, PayloadMode};
use crate::replay::ReplayKey;
use crate::request::{Head, Mechanism, SignedRequest};
use crate::signed_headers::{FieldList, Fields};

pub(crate) const X_AMZ_CONTENT_SHA256: HeaderName = HeaderName::from_static("x-amz-content-sha256");

/// Proof that a head was signed. Made by [`SignedRequest::verify`] and [`SignedRequest::verify_body`], and for a form
/// by [`VerifiedForm::verified`](crate::VerifiedForm::verified) only.
#[must_use]
#[derive(Debug)]
pub struct Verified {
    payload: PayloadMode,
    mechanism: Mechanism,
    plus_is_space: bool,
    signed_headers: SignedNames,
    replay_key: Option<ReplayKey>,
}

/// The names of the headers that a verified signature covers.
#[derive(Clone)]
pub struct SignedNames(Inline<u8, 128>);

impl SignedNames {
    /// Whether the header `name`, in lower case, is signed.
    pub fn contains(&self, name: &str) -> bool {
        self.0.as_slice().split(|&byte| byte == b';').any(|signed| signed == name.as_bytes())
    }
}

impl fmt::Debug for SignedNames {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(self.0.as_slice()))
    }
}

impl Verified {
    /// The verdict on a form. No header is signed.
    pub(crate) fn of_form(payload: PayloadMode) -> Self {
        let signed_headers = SignedNames(Inline::new());
        Self { payload, mechanism: Mechanism::Form, plus_is_space: false, signed_headers, replay_key: None }
    }

    /// What must be proved about the body.
    pub fn payload(&self) -> &PayloadMode {
        &self.payload
    }

    /// What must be proved about the body.
    pub fn into_payload(self) -> PayloadMode {
        self.payload
    }

    /// What must be proved about the body, and which headers are signed.
    pub fn into_parts(self) -> (PayloadMode, SignedNames) {
        (self.payload, self.signed_headers)
    }

    /// Which headers are signed, read as the signature was: whoever reads the request again may read it otherwise.
    pub fn signed_headers(&self) -> &SignedNames {
        &self.signed_headers
    }

    /// How the request is signed.
    pub fn mechanism(&self) -> Mechanism {
        self.mechanism
    }

    /// What the request is known by if it comes again. `None` for a form: it is there to be used many times.
    pub fn replay_key(&self) -> Option<ReplayKey> {
        self.replay_key
    }

    /// Whether the signature only holds if a raw `+` in the path is a space, which is how Amazon S3 reads
    /// it. Then the path must be forwarded, and authorised, with each `+` as `%20`; otherwise the
    /// signature for `a b` would open `a+b`. Never with [`Endpoint::strict`](crate::Endpoint::strict).
    pub fn plus_is_space(&self) -> bool {
        self.plus_is_space
    }
}

impl SignedRequest<'_> {
    /// Checks the signature of a head with the key of its [`algorithm`](Self::algorithm): a
    /// [`SigningKey`](crate::SigningKey) of its [`scope`](Self::scope), or in SigV4a the credential's
    /// [`VerifyingKey`](crate::VerifyingKey). Any other key is an error.
    ///
    /// S3, in this order: `x-amz-content-sha256`, unsigned headers, signature; the body is proved
    /// afterwards, by what [`Verified::payload`] says. Generic: as [`verify_body`](Self::verify_body) with
    /// an empty body.
    pub fn verify<'k>(self, key: impl Into<Key<'k>>) -> Result<Verified, VerifyError> {
        self.check(key.into(), b"")
    }

    /// Checks the signature of a head and of its whole body (Generic dialect).
    ///
    /// In the S3 dialect `body` is not looked at: what must be proved about it is in the result.
    pub fn verify_body<'k>(self, key: impl Into<Key<'k>>, body: &[u8]) -> Result<Verified, VerifyError> {
        self.check(key.into(), body)
    }

    fn check(&self, key: Key<'_>, body: &[u8]) -> Result<Verified, VerifyError> {
        let fits = match (key, self.algorithm()) {
            (Key::Signing(key), Algorithm::HmacSha256) => key.scope() == self.scope(),
            (Key::Verifying(_), Algorithm::EcdsaP256Sha256) => true,
            (Key::Signing(_), Algorithm::EcdsaP256Sha256) | (Key::Verifying(_), Algorithm::HmacSha256) => {
                false
            }
        };
        if !fits {
            return Err(VerifyError::KeyMismatch);
        }
        match self.endpoint.dialect {
            Dialect::S3 => self.verify_s3(key),
            Dialect::Generic => {
                let mut list = FieldList::new();
                let fields = self.fields(&mut list);
                let found = self.verify_signature(key, &fields, &hex::encode_hash(&sha256(body)))?;
                Ok(self.verified(found, PayloadMode::Verified))
            }
        }
    }

    fn verify_s3(&self, key: Key<'_>) -> Result<Verified, VerifyError> {
        let (text, payload) = self.declared_payload()?;
        let mut list = FieldList::new();
        let fields = self.fields(&mut list);
        let names = fields.unsigned(&self.endpoint.unsigned_headers);
        if !names.is_empty() {
            return Err(VerifyError::UnsignedHeaders { names });
        }
        let found = self.verify_signature(key, &fields, &text)?;
        let trailer = payload == Declared::SignedChunksTrailer;
        let mode = match payload {
            Declared::Unsigned => PayloadMode::Unsigned,
            Declared::Sha256(hash) => PayloadMode::Sha256(hash),
            Declared::UnsignedChunks => PayloadMode::UnsignedChunks,
            Declared::SignedChunks | Declared::SignedChunksTrailer => PayloadMode::SignedChunks {
                chain: ChunkChain::after(&self.signature, key, self.date(), &self.scope()),
                trailer,
            },
            Declared::Unprovable if self.head.method == "GET" || self.head.method == "HEAD" => {
                PayloadMode::Unsigned
            }
            Declared::Unprovable => {
                return Err(VerifyError::UnprovablePayload { value: Received::new(&text) });
            }
        };
        Ok(self.verified(found, mode))
    }

    #[inline]
    fn fields<'r>(&'r self, list: &'r mut FieldList<'r>) -> Fields<'r> {
        self.signed_headers.find(list, self.head.headers, &self.notable, self.head.authority)
    }

    #[inline]
    fn verified(&self, (form, replay_key): (Form, ReplayKey), payload: PayloadMode) -> Verified {
        let mut verified = Verified {
            payload,
            mechanism: self.mechanism,
            plus_is_space: form == Form::PlusIsSpace,
            signed_headers: SignedNames(Inline::new()),
            replay_key: Some(replay_key),
        };
        self.signed_headers.put_line(&mut verified.signed_headers.0);
        verified
    }

    /// The last line of the canonical request, verbatim, and what it says about the body (S3).
    fn declared_payload(&self) -> Result<(Cow<'_, [u8]>, Declared), VerifyError> {
        let Notable { first, repeated: several } = self.notable.get(Name::ContentSha256);
        let header = first.filter(|value| !value.is_empty());
        let invalid = |value: &[u8]| VerifyError::InvalidContentSha256 { value: Received::new(value) };
        match (self.mechanism, header) {
            (_, Some(value)) if several => Err(invalid(value)),
            (Mechanism::Header, None) => Err(VerifyError::MissingContentSha256),
            (Mechanism::Header, Some(value)) => match Declared::of(value, self.algorithm()) {
                Some(Declared::Unprovable) if !self.endpoint.sigv4a => Err(VerifyError::AsymmetricChunks),
                Some(Declared::Unprovable) | None => Err(invalid(value)),
                Some(declared) => Ok((Cow::Borrowed(value), declared)),
            },
            // A form has no head of its own to be verified: nothing comes here with one.
            (Mechanism::Query | Mechanism::Form, header) => {
                let parameter = self.hoisted.content_sha256.and_then(|value| value.decode().ok());
                let Some(value) = parameter.or(header.map(Cow::Borrowed)) else {
                    return Ok((Cow::Borrowed(UNSIGNED_PAYLOAD.as_bytes()), Declared::Unsigned));
                };
                // Chunks are not decoded in a presigned request: the body would be taken as it is.
                let declared = match Declared::of(&value, self.algorithm()) {
                    Some(whole @ (Declared::Unsigned | Declared::Sha256(_))) => whole,
                    _ => Declared::Unprovable,
                };
                Ok((value, declared))
            }
        }
    }

    /// Tries the standard form and then, unless the endpoint is strict, the known deviations.
    ///
    /// The comparison is the key's, in constant time; which form matched is no secret.
    fn verify_signature(
        &self,
        key: Key<'_>,
        fields: &Fields<'_>,
        payload: &[u8],
    ) -> Result<(Form, ReplayKey), VerifyError> {
        let request = CanonicalRequest {
            dialect: self.endpoint.dialect,
            method: self.head.method,
            path: self.path,
            query: &self.query,
            fields,
            payload,
            sorted: OnceCell::new(),
        };
        let put_text = |text: &mut StringToSign, form| {
            key.put_string_to_sign(text, &self.date, &self.scope(), &request.hash(form));
        };
        let mut standard = StringToSign::new();
        put_text(&mut standard, Form::Standard);
        let complete = fields.absent().next().is_none();
        if let Some(claimed) = key.read(&self.signature).filter(|_| complete) {
            let known = |text: &[u8]| claimed.replay_key(text, || self.access_key_id());
            if claimed.holds(standard.as_slice()) {
                return Ok((Form::Standard, known(standard.as_slice())));
            }
            let others: &[Form] = if self.endpoint.strict { &Form::STANDARD_OTHERS } else { &Form::OTHERS };
            let allowed = |form: &Form| form.is_worth_trying(self.algorithm()) && request.may_take(*form);
            let mut others = others.iter().copied().filter(allowed);
            let verdict = |form: Form| {
                let mut text = StringToSign::new();
                put_text(&mut text, form);
                claimed.holds(text.as_slice()).then(|| (form, known(text.as_slice())))
            };
            if let Some(found) = others.find_map(verdict) {
                return Ok(found);
            }
        }
        Err(VerifyError::SignatureMismatch(Box::new(self.explain(&request, standard.as_slice()))))
    }

    #[cold]
    fn explain(&self, request: &CanonicalRequest<'_>, string_to_sign: &[u8]) -> Explanation {
        let (canonical_request, string_to_sign) = match self.endpoint.explain {
            true => (request.text(), text(string_to_sign)),
            false => Default::default(),
        };
        Explanation {
            canonical_request,
            string_to_sign,
            signature_provided: text(&self.signature),
            absent_headers: request.fields.absent().map(text).collect(),
        }
    }
}

/// What is not UTF-8 is replaced. Nearly nothing is, and looking first takes a seventh of the time.
fn text(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => String::from_utf8_lossy(bytes).into_owned(),
    }
}

/// What must be proved about the body of a request that nobody signed (S3): a hash, where one is stated, and the
/// trailing checksum of unsigned chunks. Chunks that are signed hang on a signature of the head, which is not there.
pub fn unsigned_payload(head: &Head<'_>) -> Result<PayloadMode, VerifyError> {
    let mut values = head.headers.get_all(X_AMZ_CONTENT_SHA256).iter().map(http::HeaderValue::as_bytes);
    let (value, more) = (values.next().filter(|value| !value.is_empty()), values.next().is_some());
    let Some(value) = value else { return Ok(PayloadMode::Unsigned) };
    match Declared::of(value, Algorithm::HmacSha256).filter(|_| !more) {
        Some(Declared::Unsigned) => Ok(PayloadMode::Unsigned),
        Some(Declared::Sha256(hash)) => Ok(PayloadMode::Sha256(hash)),
        Some(Declared::UnsignedChunks) => Ok(PayloadMode::UnsignedChunks),
        Some(Declared::SignedChunks | Declared::SignedChunksTrailer | Declared::Unprovable) | None => {
            Err(VerifyError::InvalidContentSha256 { value: Received::new(value) })
        }
    }
}

/// What `x-amz-content-sha256` says about the body.
///
/// Source: <https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-auth-using-authorization-header.html>
#[derive(Clone, Copy, PartialEq, Eq)]
enum Declared {
    Unsigned,
    Sha256([u8; 32]),
    SignedChunks,
    SignedChunksTrailer,
    UnsignedChunks,
    /// A framing or a value that this request cannot have.
    Unprovable,
}

impl Declared {
    /// Words are case-sensitive; a hash is not. Chunks are signed with the algorithm of the head.
    fn of(value: &[u8], algorithm: Algorithm) -> Option<Self> {
        if let Some(hash) = hex::decode(value) {
            return Some(Self::Sha256(hash));
        }
        match value {
            b"UNSIGNED-PAYLOAD" => return Some(Self::Unsigned),
            b"STREAMING-UNSIGNED-PAYLOAD-TRAILER" => return Some(Self::UnsignedChunks),
            _ => {}
        }
        let chunks = |by: Algorithm| {
            let rest = value.strip_prefix(b"STREAMING-")?.strip_prefix(by.name().as_bytes())?;
            match rest {
                b"-PAYLOAD" | b"-PAYLOAD-TRAILER" if by != algorithm => Some(Self::Unprovable),
                b"-PAYLOAD" => Some(Self::SignedChunks),
                b"-PAYLOAD-TRAILER" => Some(Self::SignedChunksTrailer),
                _ => None,
            }
        };
        chunks(Algorithm::HmacSha256).or_else(|| chunks(Algorithm::EcdsaP256Sha256))
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;

    use super::*;
    use crate::uri::LISTED;
    use crate::{Endpoint, Head, Scope, SecretAccessKey, Signer, SigningKey, Target, Timestamp};

    /// The verdict on a request with this query, signed with another key, and how many pairs were listed for it.
    fn mismatch(query: &str, endpoint: &Endpoint) -> (Explanation, usize) {
        let now = Timestamp::parse_basic(b"20260312T081530Z").unwrap();
        let scope = Scope { date: now.date(), region: "us-east-1", service: "s3" };
        let key = |secret: &str| SigningKey::derive(&SecretAccessKey::new(secret), &scope);
        let stranger = key("another");
        let signer =
            Signer { key: &stranger, access_key_id: "AKID", session_token: None, dialect: Dialect::S3 };
        let mut headers = HeaderMap::new();
        headers.insert("host", "bucket.example.com".parse().unwrap());
        let target = Target { method: "GET", path: b"/a+b%41", query: Some(query.as_bytes()) };
        signer.sign(target, &mut headers, UNSIGNED_PAYLOAD, now).unwrap();
        let Target { method, path, query } = target;
        let head = Head { method, path, query, headers: &headers, authority: None };
        let request = SignedRequest::parse(head, endpoint, now).unwrap();
        LISTED.set(0);
        match request.verify(&key("secret")) {
            Err(VerifyError::SignatureMismatch(explanation)) => (*explanation, LISTED.get()),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_pairs_of_a_query_are_sorted_twice_at_most_whatever_forms_are_tried() {
        let endpoint = Endpoint::s3("us-east-1");
        // One name again and again: both orders are tried, beside path and host in other forms.
        let (_, listed) = mismatch(&"&a".repeat(20_000), &endpoint);
        assert_eq!(listed, 2 * 20_000);
        let distinct: String = (0..5_000).map(|number| format!("&{}", number * 7_919 % 5_000)).collect();
        assert_eq!(mismatch(&distinct, &endpoint).1, 5_000);
        // In canonical order: there is one list, to look for a name that comes twice.
        assert_eq!(mismatch("a=1&b=2", &endpoint).1, 2);
        assert_eq!(mismatch("a=1&b=2", &Endpoint { strict: true, explain: false, ..endpoint }).1, 0);
    }

    #[test]
    fn a_mismatch_is_explained_where_the_endpoint_asks_for_it() {
        let (explained, _) = mismatch("a=1", &Endpoint::s3("us-east-1"));
        assert!(explained.canonical_request.starts_with("GET\n/a%2BbA\na=1\n"));
        assert!(explained.string_to_sign.starts_with("AWS4-HMAC-SHA256\n20260312T081530Z\n"));
        let (bare, _) = mismatch("a=1", &Endpoint { explain: false, ..Endpoint::s3("us-east-1") });
        assert_eq!((bare.canonical_request, bare.string_to_sign), (String::new(), String::new()));
        assert_eq!(bare.signature_provided, explained.signature_provided);
    }
}
