//! A form upload as a browser would send it, to be altered by tests.

use std::collections::VecDeque;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use sigv4::{
    Boundary, Dialect, Endpoint, FormError, FormReader, Head, PayloadError, PayloadHead, PayloadVerifier,
    PostError, PostForm, Proof, Scope, SecretAccessKey, SignedForm, Signer, SigningKey, Timestamp,
    VerifiedForm,
};

use crate::sample::{ACCESS_KEY_ID, SECRET, now};

pub(crate) const BOUNDARY: &str = "----boundary7MA4YWxk";
pub(crate) const BUCKET: &str = "photos";

/// What `now` and the sample's credential make of a policy, for the conditions of the policy itself.
const SIGNED: &str = r#"{"x-amz-algorithm": "AWS4-HMAC-SHA256"},
    {"x-amz-credential": "AKIDEXAMPLE/20260312/us-east-1/s3/aws4_request"}, {"x-amz-date": "20260312T081530Z"}"#;

/// Why an upload was refused, whichever stage did it.
#[derive(Debug)]
pub(crate) enum Refusal {
    Post(PostError),
    Payload(PayloadError),
}

#[derive(Clone, Debug)]
pub(crate) struct Upload {
    pub(crate) fields: Vec<(String, String)>,
    pub(crate) filename: String,
    pub(crate) file: Vec<u8>,
    /// Behind the delimiter that ends the file.
    pub(crate) end: &'static [u8],
    pub(crate) bucket: &'static str,
    pub(crate) at: Timestamp,
}

pub(crate) fn endpoint() -> Endpoint {
    Endpoint::s3("us-east-1")
}

fn signing_key(scope: &Scope<'_>) -> SigningKey {
    SigningKey::derive(&SecretAccessKey::new(SECRET), scope)
}

impl Upload {
    /// To `BUCKET`, under the key `cat.jpg`, signed with a policy of these conditions and no others.
    pub(crate) fn under(conditions: &str) -> Self {
        let policy = format!(r#"{{"expiration": "2026-03-12T09:00:00.000Z", "conditions": [{conditions}]}}"#);
        Self::with_policy(&policy)
    }

    /// The same with the conditions that bucket, key and signature need, and `conditions` behind them.
    pub(crate) fn allowed(conditions: &str) -> Self {
        let comma = if conditions.is_empty() { "" } else { "," };
        Self::under(&format!(r#"{{"bucket": "photos"}}, {{"key": "cat.jpg"}}, {SIGNED}{comma}{conditions}"#))
    }

    /// The same with this policy.
    pub(crate) fn with_policy(policy: &str) -> Self {
        let mut upload = Self {
            fields: vec![("key".to_owned(), "cat.jpg".to_owned())],
            filename: "C:\\pictures\\tom.jpg".to_owned(),
            file: b"a picture\r\n--of a cat".to_vec(),
            end: b"--\r\n",
            bucket: BUCKET,
            at: now(),
        };
        let key = signing_key(&Scope { date: now().date(), region: "us-east-1", service: "s3" });
        let signer =
            Signer { key: &key, access_key_id: ACCESS_KEY_ID, session_token: None, dialect: Dialect::S3 };
        let signed = signer.sign_policy(policy, now()).unwrap();
        upload.fields.extend(signed.into_iter().map(|(name, value)| (name.to_owned(), value)));
        upload
    }

    /// With one more field.
    pub(crate) fn and(mut self, name: &str, value: &str) -> Self {
        self.fields.push((name.to_owned(), value.to_owned()));
        self
    }

    /// With the value of a field replaced; it must be there.
    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        let field = self.fields.iter_mut().find(|(other, _)| other == name).unwrap();
        value.clone_into(&mut field.1);
        self
    }

    pub(crate) fn without(mut self, name: &str) -> Self {
        self.fields.retain(|(other, _)| other != name);
        self
    }

    pub(crate) fn value(&self, name: &str) -> &str {
        &self.fields.iter().find(|(other, _)| other == name).unwrap().1
    }

    /// The wire up to the file.
    pub(crate) fn head(&self) -> Vec<u8> {
        let field = |(name, value): &(String, String)| {
            format!("--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
        };
        let fields: String = self.fields.iter().map(field).collect();
        let filename = &self.filename;
        let file = format!(
            "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{filename}\"\r\n\
             Content-Type: image/jpeg\r\n\r\n"
        );
        [fields, file].concat().into_bytes()
    }

    pub(crate) fn wire(&self) -> Vec<u8> {
        [&self.head(), &self.file[..], b"\r\n--", BOUNDARY.as_bytes(), self.end].concat()
    }

    /// The verdict on the form.
    pub(crate) fn verify(&self) -> Result<VerifiedForm, Refusal> {
        let form = read([&self.wire()[..]]).unwrap();
        self.judge(&form).map_err(Refusal::Post)
    }

    fn judge(&self, form: &PostForm) -> Result<VerifiedForm, PostError> {
        let endpoint = endpoint();
        let signed = SignedForm::parse(form, self.bucket, &endpoint, self.at)?;
        assert_eq!(signed.access_key_id(), ACCESS_KEY_ID);
        let key = signing_key(&signed.scope());
        signed.verify(&key)
    }

    /// The verdict on form and file, and the file.
    pub(crate) fn receive(&self) -> Result<(Vec<u8>, Proof), Refusal> {
        let wire = self.wire();
        let form = self.verify()?;
        let (data, proof) = receive(&form, &[], wire.chunks(7));
        Ok((data, proof.map_err(Refusal::Payload)?))
    }
}

pub(crate) fn boundary() -> Boundary {
    Boundary::parse(format!("multipart/form-data; boundary={BOUNDARY}").as_bytes()).unwrap()
}

/// Reads the form of a body that arrives in `pieces`.
pub(crate) fn read<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Result<PostForm, FormError> {
    let mut reader = FormReader::new(boundary());
    for piece in pieces {
        if let Some(form) = reader.push(piece)? {
            return Ok(form);
        }
    }
    Err(reader.finish())
}

/// The file of a body that arrives in `pieces`, whatever became of it, and the verdict.
pub(crate) fn receive<'a>(
    form: &VerifiedForm,
    headers: &[(&'static str, &str)],
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> (Vec<u8>, Result<Proof, PayloadError>) {
    let value = |value: &str| HeaderValue::from_str(value).unwrap();
    let headers: HeaderMap =
        headers.iter().map(|(name, text)| (HeaderName::from_static(name), value(text))).collect();
    let head =
        Head { method: "PUT", path: b"/photos/cat.jpg", query: None, headers: &headers, authority: None };
    let mode = form.verified().into_payload();
    let mut out = VecDeque::new();
    let verdict = PayloadHead::parse(&head, &mode).and_then(|facts| {
        let mut verifier = PayloadVerifier::new(mode, facts);
        for piece in pieces {
            verifier.push(Bytes::copy_from_slice(piece), &mut out)?;
        }
        verifier.finish()
    });
    (Vec::from(out).concat(), verdict)
}
