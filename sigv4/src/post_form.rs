//! A signed form: [`SignedForm`] finds the signature among the fields, [`SignedForm::verify`] proves it and holds
//! the form against its policy.
//!
//! What is signed is the policy, and it is signed as text, before it is decoded. So nothing of it is read until the
//! signature is proved.
//!
//! Sources: <https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-authentication-HTTPPOST.html>,
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-HTTPPOSTForms.html>

use std::borrow::Cow;

use crate::algorithm::Algorithm;
use crate::credential::{Credential, Regions, Written};
use crate::endpoint::Endpoint;
use crate::error::Received;
use crate::key::{Signature, SigningKey};
use crate::multipart::{Field, FormFile, MAX_FORM, PostForm};
use crate::payload::PayloadMode;
use crate::payload_error::ChunkExplanation;
use crate::post_error::{FormError, PostError};
use crate::post_policy::Policy;
use crate::request::Presented;
use crate::scope::Scope;
use crate::time::{Stamp, Timestamp};
use crate::verify::Verified;

/// The fields of a signature; where one of them is, all must be.
const SIGNATURE_FIELDS: [&str; 5] = [POLICY, ALGORITHM_FIELD, CREDENTIAL, DATE, SIGNATURE];
pub(crate) const POLICY: &str = "policy";
pub(crate) const ALGORITHM_FIELD: &str = "x-amz-algorithm";
pub(crate) const CREDENTIAL: &str = "x-amz-credential";
pub(crate) const DATE: &str = "x-amz-date";
pub(crate) const SIGNATURE: &str = "x-amz-signature";
pub(crate) const SECURITY_TOKEN: &str = "x-amz-security-token";
const KEY: &str = "key";
/// What the name of the file stands in for.
const FILENAME: &str = "${filename}";

/// A form that claims to be signed by an access key id for this endpoint. Nothing is proved yet: look the
/// credential up, check its session, then [`verify`](Self::verify).
///
/// ```
/// # use std::collections::VecDeque;
/// # use bytes::Bytes;
/// # use sigv4::*;
/// # let now = Timestamp::parse_basic(b"20260312T081530Z").unwrap();
/// # let endpoint = Endpoint::s3("us-east-1");
/// # let secret = SecretAccessKey::new("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY");
/// // A server makes a form for a browser.
/// let scope = Scope { date: now.date(), region: "us-east-1", service: "s3" };
/// let key = SigningKey::derive(&secret, &scope);
/// let signer = Signer { key: &key, access_key_id: "AKIDEXAMPLE", session_token: None, dialect: Dialect::S3 };
/// let policy = r#"{"expiration": "2026-03-12T09:00:00Z", "conditions": [{"bucket": "photos"},
///     ["starts-with", "$key", "user/"], ["content-length-range", 1, 1048576], ["starts-with", "$x-amz-date", ""],
///     ["starts-with", "$x-amz-algorithm", ""], ["starts-with", "$x-amz-credential", ""]]}"#;
/// let mut fields = signer.sign_policy(policy, now)?;
/// fields.push(("key", "user/${filename}".to_owned()));
///
/// // The browser posts it with a file.
/// let part = |(name, value): &(&str, String)| {
///     format!("--x\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
/// };
/// let fields: String = fields.iter().map(part).collect();
/// let file = "--x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"cat.jpg\"\r\n\r\nmeow\r\n--x--\r\n";
/// let body = Bytes::from(fields + file);
///
/// // 1. The gateway reads the form up to its file.
/// let mut reader = FormReader::new(Boundary::parse(b"multipart/form-data; boundary=x")?);
/// let form = reader.push(&body)?.expect("all of it is there");
/// let signed = SignedForm::parse(&form, "photos", &endpoint, now)?;
/// assert_eq!(signed.access_key_id(), "AKIDEXAMPLE");
///
/// // 2. It verifies the form and holds it against its policy.
/// let form = signed.verify(&key)?;
/// assert_eq!(form.key(), "user/cat.jpg");
///
/// // 3. It verifies the body, from its start and however it is cut. The head is that of the upload it stands for.
/// let headers = http::HeaderMap::new();
/// let head = Head { method: "PUT", path: b"/photos/user/cat.jpg", query: None, headers: &headers, authority: None };
/// let mode = form.verified().into_payload();
/// let facts = PayloadHead::parse(&head, &mode)?;
/// let (mut verifier, mut content) = (PayloadVerifier::new(mode, facts), VecDeque::new());
/// verifier.push(body, &mut content)?;
/// verifier.finish()?;
/// assert_eq!(content, ["meow"]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use]
pub struct SignedForm<'a> {
    form: &'a PostForm,
    bucket: &'a str,
    now: Timestamp,
    credential: Credential<'a>,
    policy: &'a str,
    signature: &'a str,
}

impl<'a> SignedForm<'a> {
    /// Finds the signature and checks all that can be checked without its key. `bucket` is the one that the request
    /// addresses, by path or by host.
    ///
    /// `x-amz-date` may be of any age: how long a form is good for is the policy's to say.
    pub fn parse(
        form: &'a PostForm,
        bucket: &'a str,
        endpoint: &'a Endpoint,
        now: Timestamp,
    ) -> Result<Self, PostError> {
        if !SIGNATURE_FIELDS.iter().any(|name| *name != POLICY && form.field(name).is_some()) {
            let is_v2 = form.field("awsaccesskeyid").or(form.field("signature")).is_some();
            if is_v2 {
                return Err(PostError::SignatureV2);
            }
            if form.field(POLICY).is_none() {
                return Err(PostError::Anonymous);
            }
        }
        let field = |name| form.field(name).ok_or(PostError::MissingField { name });
        field(KEY)?;
        let [policy, algorithm, credential, date, signature] = SIGNATURE_FIELDS.map(field);
        let (policy, algorithm, credential) = (policy?, algorithm?, credential?);
        let (date, signature) = (date?, signature?);
        if let Some(name) = repeated(&form.fields) {
            return Err(PostError::RepeatedField { name: Received::new(name.as_bytes()) });
        }
        if algorithm != Algorithm::HmacSha256.name() {
            return Err(PostError::Algorithm { value: Received::new(algorithm.as_bytes()) });
        }
        let invalid_date = || PostError::Date { value: Received::new(date.as_bytes()) };
        let date = Stamp::parse_basic(date.as_bytes()).ok_or_else(invalid_date)?;
        let refused = |faults| PostError::Credential { value: Received::new(credential.as_bytes()), faults };
        let credential =
            Credential::parse(Written::Plain(credential.as_bytes()), &Regions::OfScope, endpoint, None)
                .and_then(|credential| credential.check_date(&date).map(|()| credential))
                .map_err(refused)?;
        Ok(Self { form, bucket, now, credential, policy, signature })
    }

    /// Under which to look the credential up: 1 to 128 printable ASCII characters. Not proved yet.
    pub fn access_key_id(&self) -> &str {
        self.credential.access_key_id()
    }

    /// What the signing key must be derived for. Region and service are the endpoint's, the day is that
    /// of the form's own date.
    pub fn scope(&self) -> Scope<'a> {
        self.credential.scope()
    }

    /// The session token. Compare it with the credential's in constant time.
    pub fn session_token(&self) -> Presented<'_> {
        match self.form.field(SECURITY_TOKEN) {
            None => Presented::None,
            Some(token) => Presented::One(Cow::Borrowed(token.as_bytes())),
        }
    }

    /// Checks the signature with the key of its [`scope`](Self::scope), then the form against its policy:
    /// expiration, conditions, fields that no condition mentions, in this order.
    pub fn verify(self, key: &SigningKey) -> Result<VerifiedForm, PostError> {
        if key.scope() != self.scope() {
            return Err(PostError::ScopeMismatch);
        }
        let signature = Signature::parse(self.signature.as_bytes());
        if !signature.is_some_and(|signature| key.verify(self.policy.as_bytes(), &signature)) {
            return Err(PostError::SignatureMismatch(Box::new(ChunkExplanation {
                string_to_sign: self.policy.to_owned(),
                signature_provided: self.signature.to_owned(),
            })));
        }
        let policy = Policy::parse(self.policy)?;
        let fields = resolve(self.form)?;
        let value = |name: &str| match name {
            "bucket" => Some(self.bucket),
            _ => fields.iter().find(|field| field.name == name).map(|field| field.value.as_str()),
        };
        let exempt =
            |name: &&str| [SIGNATURE, POLICY, "bucket"].contains(name) || name.starts_with("x-ignore-");
        let names = fields.iter().map(|field| field.name.as_str()).filter(|name| !exempt(name));
        policy.check(self.now, value, std::iter::once("bucket").chain(names))?;
        let key = value(KEY).unwrap_or_default().to_owned();
        if key.is_empty() {
            return Err(PostError::EmptyKey);
        }
        let file = self.form.file.clone().limited(policy.size());
        Ok(VerifiedForm { key, fields, file })
    }
}

/// The name of a field that comes more than once.
fn repeated(fields: &[Field]) -> Option<&str> {
    let mut names: Vec<&str> = fields.iter().map(|field| field.name.as_str()).collect();
    names.sort_unstable();
    names.windows(2).find(|two| two[0] == two[1]).map(|two| two[0])
}

/// The fields with the name of the file in place of each `${filename}`, but for those of the signature.
///
/// Of a path only what follows the last slash or backslash counts. The whole form stays within its limit.
fn resolve(form: &PostForm) -> Result<Vec<Field>, FormError> {
    let filename = form.filename.rsplit(['/', '\\']).next().unwrap_or_default();
    let mut room = MAX_FORM;
    let mut fields = form.fields.clone();
    for field in &mut fields {
        let names = field.value.matches(FILENAME).count();
        if names == 0 || SIGNATURE_FIELDS.contains(&field.name.as_str()) || field.name == SECURITY_TOKEN {
            continue;
        }
        room = room.checked_sub(names * filename.len()).ok_or(FormError::FieldsTooLong)?;
        field.value = field.value.replace(FILENAME, filename);
    }
    Ok(fields)
}

/// Proof that a form was signed and is what its policy allows, but for its file. Made by [`SignedForm::verify`] only.
#[must_use]
#[derive(Debug)]
pub struct VerifiedForm {
    key: String,
    fields: Vec<Field>,
    file: FormFile,
}

impl VerifiedForm {
    /// The key of the object to be, never empty.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The value of the field called `name`, which is given in lower case.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|field| field.name == name).map(|field| field.value.as_str())
    }

    /// Names in lower case and values of all fields in their order, the name of the file put in.
    pub fn fields(&self) -> impl Iterator<Item = (&str, &str)> {
        self.fields.iter().map(|field| (field.name.as_str(), field.value.as_str()))
    }

    /// Where the file stands and how large it may be.
    pub fn file(&self) -> &FormFile {
        &self.file
    }

    /// As the verdict on a head: what must be proved about the body is that it holds a file that the form allows.
    pub fn verified(&self) -> Verified {
        Verified::of_form(PayloadMode::Form(self.file.clone()))
    }
}
