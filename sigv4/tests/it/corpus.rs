//! The project's own corpus: what botocore, aws-c-auth, AWS's SDK for JavaScript and minio-go sign, and the same
//! requests spoilt in every way. `tests/data/README.md` says what a row means and how rows are made.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fmt::Debug;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::Deserialize;
use sigv4::{
    Algorithm, Boundary, Dialect, Endpoint, FormReader, ParseError, PayloadHead, PayloadMode,
    PayloadVerifier, PostError, Presented, SecretAccessKey, SignedForm, SignedRequest, SigningKey, Timestamp,
    VerifyingKey,
};

use crate::forms::receive;
use crate::sample::Sample;

const CORPUS: &str = include_str!("../data/corpus.jsonl");

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    id: String,
    signer: String,
    expect: String,
    dialect: String,
    region: String,
    service: String,
    now: String,
    access_key_id: String,
    secret: String,
    session_token: Option<String>,
    method: String,
    target: String,
    headers: Vec<(String, String)>,
    #[serde(default)]
    body: Vec<Piece>,
    /// What the body holds once its framing is taken off.
    content: Option<Vec<Piece>>,
    /// Whether the signer deviates from the standard form.
    #[serde(default)]
    lenient: bool,
    /// The bucket of a form upload.
    bucket: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Piece {
    Text(String),
    /// A byte and how often.
    Run(u8, usize),
    Base64 {
        base64: String,
    },
}

fn bytes(pieces: &[Piece]) -> Vec<u8> {
    let piece = |piece: &Piece| match piece {
        Piece::Text(text) => text.clone().into_bytes(),
        Piece::Run(byte, times) => vec![*byte; *times],
        Piece::Base64 { base64 } => STANDARD.decode(base64).unwrap(),
    };
    pieces.iter().flat_map(piece).collect()
}

/// Public keys by access key id and secret: deriving one takes longer than all else.
type Keys<'r> = HashMap<(&'r str, &'r str), VerifyingKey>;

impl Row {
    fn sample(&self) -> Sample {
        let mut sample = Sample::new(&self.method, self.target.as_bytes()).without("host");
        for (name, value) in &self.headers {
            sample = sample.and(name, value.as_bytes());
        }
        Sample { body: bytes(&self.body), ..sample }
    }

    fn endpoint(&self, strict: bool) -> Endpoint {
        let dialect = if self.dialect == "s3" { Dialect::S3 } else { Dialect::Generic };
        let service = self.service.as_str().into();
        Endpoint { dialect, service, strict, sigv4a: true, ..Endpoint::s3(&self.region) }
    }

    /// `ok`, or the name of the error, whichever stage found it.
    fn verdict<'r>(&'r self, strict: bool, keys: &mut Keys<'r>) -> Result<(), String> {
        let (sample, endpoint) = (self.sample(), self.endpoint(strict));
        let now = Timestamp::parse_extended(self.now.as_bytes()).unwrap();
        if let Some(bucket) = &self.bucket {
            return self.form_verdict(bucket, &sample, &endpoint, now);
        }
        let request =
            SignedRequest::parse(sample.head(), &endpoint, now).map_err(|error| parse_name(&error))?;
        self.look_up(request.access_key_id(), &request.session_token())?;
        let secret = SecretAccessKey::new(self.secret.as_str());
        let verified = match request.algorithm() {
            Algorithm::HmacSha256 => {
                let key = SigningKey::derive(&secret, &request.scope());
                request.verify_body(&key, &sample.body)
            }
            Algorithm::EcdsaP256Sha256 => {
                let of = (self.access_key_id.as_str(), self.secret.as_str());
                let key = keys.entry(of).or_insert_with(|| VerifyingKey::derive(of.0, &secret));
                request.verify_body(&*key, &sample.body)
            }
        };
        let mode = verified.map_err(|error| name(&error))?.into_payload();
        match mode {
            PayloadMode::Verified => Ok(()),
            mode => self.body_verdict(mode, &sample),
        }
    }

    fn look_up(&self, access_key_id: &str, token: &Presented<'_>) -> Result<(), String> {
        match (token, &self.session_token) {
            _ if access_key_id != self.access_key_id => Err("UnknownAccessKey".to_owned()),
            (Presented::None, None) => Ok(()),
            (Presented::One(token), Some(expected)) if **token == *expected.as_bytes() => Ok(()),
            (Presented::None, Some(_)) => Err("MissingToken".to_owned()),
            (Presented::One(_) | Presented::Several, _) => Err("InvalidToken".to_owned()),
        }
    }

    fn body_verdict(&self, mode: PayloadMode, sample: &Sample) -> Result<(), String> {
        let facts = PayloadHead::parse(&sample.head(), &mode).map_err(|error| name(&error))?;
        let (mut body, mut out) = (PayloadVerifier::new(mode, facts), VecDeque::new());
        for piece in sample.body.chunks(1000) {
            body.push(Bytes::copy_from_slice(piece), &mut out).map_err(|error| name(&error))?;
        }
        body.finish().map(drop).map_err(|error| name(&error))?;
        self.check_content(&Vec::from(out).concat())
    }

    fn form_verdict(
        &self,
        bucket: &str,
        sample: &Sample,
        endpoint: &Endpoint,
        now: Timestamp,
    ) -> Result<(), String> {
        let boundary = Boundary::parse(sample.headers["content-type"].as_bytes()).unwrap();
        let form = FormReader::new(boundary).push(&sample.body).unwrap().unwrap();
        let signed = SignedForm::parse(&form, bucket, endpoint, now).map_err(|error| post_name(&error))?;
        self.look_up(signed.access_key_id(), &signed.session_token())?;
        let key = SigningKey::derive(&SecretAccessKey::new(self.secret.as_str()), &signed.scope());
        let form = signed.verify(&key).map_err(|error| post_name(&error))?;
        let (file, proof) = receive(&form, &[], [&sample.body[..]]);
        proof.map(drop).map_err(|error| name(&error))?;
        self.check_content(&file)
    }

    fn check_content(&self, found: &[u8]) -> Result<(), String> {
        let differs = self.content.as_deref().is_some_and(|content| bytes(content) != found);
        if differs { Err("another content".to_owned()) } else { Ok(()) }
    }
}

/// The variant of an error.
fn name(error: &impl Debug) -> String {
    let text = format!("{error:?}");
    let mut words = text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    let first = words.next().unwrap_or_default().to_owned();
    // Of an error that only passes another on, both.
    match first.as_str() {
        "Authorization" | "Parameters" => format!("{first}.{}", words.next().unwrap_or_default()),
        "Form" => words.next().unwrap_or_default().to_owned(),
        _ => first,
    }
}

fn parse_name(error: &ParseError) -> String {
    match error {
        ParseError::Credential { faults, .. } => format!("Credential.{}", name(&faults[0])),
        error => name(error),
    }
}

fn post_name(error: &PostError) -> String {
    match error {
        PostError::Credential { faults, .. } => format!("Credential.{}", name(&faults[0])),
        error => name(error),
    }
}

/// Right requests are accepted by the strictest endpoint that may accept them, spoilt ones refused by any, and as
/// what they are.
#[test]
fn every_row_gets_its_verdict() {
    let rows: Vec<Row> = CORPUS.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let (mut keys, mut wrong) = (Keys::new(), Vec::new());
    let mut counts = BTreeMap::<(&str, bool), usize>::new();
    for row in &rows {
        let right = row.expect == "ok";
        *counts.entry((&row.signer, right)).or_default() += 1;
        let levels: &[bool] = match (right, row.lenient) {
            (true, true) => &[false],
            (true, false) => &[true],
            (false, _) => &[true, false],
        };
        for strict in levels {
            let got = row.verdict(*strict, &mut keys).err().unwrap_or_else(|| "ok".to_owned());
            if got != row.expect {
                wrong.push(format!("{}: expected {}, got {got}", row.id, row.expect));
            }
        }
    }
    println!("{} rows: {counts:?}", rows.len());
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), rows.len(), wrong.join("\n"));
    for signer in ["awscrt", "botocore", "minio-go", "smithy"] {
        for right in [true, false] {
            assert!(counts.get(&(signer, right)).is_some_and(|count| *count > 10), "{signer} {right}");
        }
    }
}
