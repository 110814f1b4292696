//! The signing side: headers, presigned URLs and the policies of forms. It shares the canonical request with verification.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::fmt::Write;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{AUTHORIZATION, HOST};
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::algorithm::Algorithm;
use crate::canonical::{CanonicalRequest, Form, StringToSign, UNSIGNED_PAYLOAD, sha256};
use crate::error::SignError;
use crate::hex;
use crate::notable::NotableHeaders;
use crate::post_form;
use crate::presigned::{self, Parameters};
use crate::request::{X_AMZ_DATE, X_AMZ_SECURITY_TOKEN};
use crate::signed_headers::{FieldList, SignedHeaders};
use crate::time::Stamp;
use crate::uri::{self, Path, Query};
use crate::verify::X_AMZ_CONTENT_SHA256;
use crate::{Dialect, Signature, SigningKey, Timestamp};

/// The algorithm of a [`SigningKey`].
const ALGORITHM: Algorithm = Algorithm::HmacSha256;

/// Signs requests with one credential for one day, region and service.
pub struct Signer<'a> {
    /// Derived for the day of the requests' date.
    pub key: &'a SigningKey,
    /// Whose key it is.
    pub access_key_id: &'a str,
    /// The session token of a temporary credential.
    pub session_token: Option<&'a [u8]>,
    /// The rule set.
    pub dialect: Dialect,
}

/// What of a request is signed beside its headers, as it goes over the wire.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    /// Method.
    pub method: &'a str,
    /// Percent-encoded path; never empty.
    pub path: &'a [u8],
    /// Percent-encoded query, without `?`.
    pub query: Option<&'a [u8]>,
}

impl Signer<'_> {
    /// Signs with an `Authorization` header.
    ///
    /// Replaces `x-amz-date`, `x-amz-security-token`, `authorization` and, in the S3 dialect,
    /// `x-amz-content-sha256`. Signs `host`, `content-type`, `content-md5` and every `x-amz-*` header;
    /// whatever is added afterwards is not signed. `payload_sha256` is the hash of the body in lower-case
    /// hexadecimal or one of the words that stand for it. Returns the seed of chunk signatures.
    pub fn sign(
        &self,
        target: Target<'_>,
        headers: &mut HeaderMap,
        payload_sha256: &str,
        now: Timestamp,
    ) -> Result<Signature, SignError> {
        refuse_presigned(target)?;
        headers.remove(AUTHORIZATION);
        headers.remove(X_AMZ_SECURITY_TOKEN);
        headers.insert(X_AMZ_DATE, HeaderValue::from_bytes(&now.basic()).map_err(SignError::HeaderValue)?);
        if let Some(token) = self.session_token {
            let mut token = HeaderValue::from_bytes(token)?;
            token.set_sensitive(true);
            headers.insert(X_AMZ_SECURITY_TOKEN, token);
        }
        if self.dialect == Dialect::S3 {
            headers.insert(X_AMZ_CONTENT_SHA256, HeaderValue::from_str(payload_sha256)?);
        }
        let signed = signed_headers(headers)?;
        let mut list = FieldList::new();
        let request = CanonicalRequest {
            dialect: self.dialect,
            method: target.method,
            path: Path::read(target.path)?,
            query: &Query::read(target.query, |_| true)?,
            fields: &signed.find(&mut list, headers, &NotableHeaders::find(headers), None),
            payload: payload_sha256.as_bytes(),
            sorted: OnceCell::new(),
        };
        let signature = self.signature(&request, now)?;
        let line = line(&signed);
        let authorization = format!(
            "{} Credential={}/{}, SignedHeaders={line}, Signature={}",
            ALGORITHM.name(),
            self.access_key_id,
            self.key.scope(),
            String::from_utf8_lossy(&signature.to_hex()),
        );
        headers.insert(AUTHORIZATION, HeaderValue::from_str(&authorization)?);
        Ok(signature)
    }

    /// Presigns: returns the whole query of the URL, that of `target` included.
    ///
    /// Signs `host`, `content-type`, `content-md5` and every `x-amz-*` header of `headers`: the request must
    /// be sent with exactly these. The body is not signed (S3) or must be empty (Generic).
    /// `lifetime` is in seconds, 1 to 604,800.
    pub fn presign(
        &self,
        target: Target<'_>,
        headers: &HeaderMap,
        now: Timestamp,
        lifetime: u32,
    ) -> Result<String, SignError> {
        if !(1..=presigned::MAX_LIFETIME).contains(&lifetime) {
            return Err(SignError::Lifetime);
        }
        refuse_presigned(target)?;
        let signed = signed_headers(headers)?;
        let mut query = String::from_utf8_lossy(target.query.unwrap_or_default()).into_owned();
        let mut parameter = |name: &str, value: &[u8]| {
            let separator = if query.is_empty() { "" } else { "&" };
            write!(query, "{separator}{name}={}", uri::encode_query(value))
                .expect("writing to a String cannot fail");
        };
        parameter(presigned::ALGORITHM_PARAMETER, ALGORITHM.name().as_bytes());
        let credential = format!("{}/{}", self.access_key_id, self.key.scope());
        parameter(presigned::CREDENTIAL, credential.as_bytes());
        parameter(presigned::DATE, &now.basic());
        parameter(presigned::EXPIRES, lifetime.to_string().as_bytes());
        if let Some(token) = self.session_token {
            parameter(presigned::SECURITY_TOKEN, token);
        }
        parameter(presigned::SIGNED_HEADERS, line(&signed).as_bytes());
        let mut list = FieldList::new();
        let request = CanonicalRequest {
            dialect: self.dialect,
            method: target.method,
            path: Path::read(target.path)?,
            query: &Query::read(Some(query.as_bytes()), |_| true)?,
            fields: &signed.find(&mut list, headers, &NotableHeaders::find(headers), None),
            payload: match self.dialect {
                Dialect::S3 => UNSIGNED_PAYLOAD.as_bytes(),
                Dialect::Generic => &hex::encode_hash(&sha256(b"")),
            },
            sorted: OnceCell::new(),
        };
        let signature = self.signature(&request, now)?.to_hex();
        Ok(format!("{query}&{}={}", presigned::SIGNATURE, String::from_utf8_lossy(&signature)))
    }

    /// Signs the policy of a form: the fields to send with it, `policy` among them. `policy` is the JSON document,
    /// which must allow these fields too.
    ///
    /// Source: <https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-authentication-HTTPPOST.html>
    pub fn sign_policy(
        &self,
        policy: &str,
        now: Timestamp,
    ) -> Result<Vec<(&'static str, String)>, SignError> {
        let scope = self.key.scope();
        if scope.date != now.date() {
            return Err(SignError::Date);
        }
        let policy = STANDARD.encode(policy);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let signature = text(&self.key.sign(policy.as_bytes()).to_hex());
        let mut fields = vec![
            (post_form::ALGORITHM_FIELD, ALGORITHM.name().to_owned()),
            (post_form::CREDENTIAL, format!("{}/{scope}", self.access_key_id)),
            (post_form::DATE, text(&now.basic())),
            (post_form::POLICY, policy),
            (post_form::SIGNATURE, signature),
        ];
        fields.extend(self.session_token.map(|token| (post_form::SECURITY_TOKEN, text(token))));
        Ok(fields)
    }

    fn signature(&self, request: &CanonicalRequest<'_>, now: Timestamp) -> Result<Signature, SignError> {
        let scope = self.key.scope();
        let now = Stamp::from(now);
        if scope.date != now.date() {
            return Err(SignError::Date);
        }
        let mut text = StringToSign::new();
        self.key.put_string_to_sign(&mut text, &now, &request.hash(Form::Standard));
        Ok(self.key.sign(text.as_slice()))
    }
}

/// A query with signature parameters cannot be signed again: they would be left out or contradict.
fn refuse_presigned(target: Target<'_>) -> Result<(), SignError> {
    let mut parameters = Parameters::default();
    parameters.read(target.query)?;
    if parameters.is_v4() { Err(SignError::AlreadySigned) } else { Ok(()) }
}

/// What the signer signs of `headers`.
fn signed_headers(headers: &HeaderMap) -> Result<SignedHeaders<'static>, SignError> {
    if headers.get_all(HOST).iter().count() != 1 {
        return Err(SignError::Host);
    }
    let chosen =
        |name: &&str| name.starts_with("x-amz-") || matches!(*name, "host" | "content-type" | "content-md5");
    let mut names: Vec<_> = headers.keys().map(HeaderName::as_str).filter(chosen).collect();
    names.sort_unstable();
    // Only more names than any server takes can fail to be a list.
    SignedHeaders::parse(Cow::Owned(names.join(";").into_bytes())).ok_or(SignError::TooManyHeaders)
}

fn line(signed: &SignedHeaders<'_>) -> String {
    let mut line = Vec::new();
    signed.put_line(&mut line);
    String::from_utf8_lossy(&line).into_owned()
}
