//! SigV4a: what a client signs with the private key of its credential is accepted, and nothing else is.
//!
//! The signer here has the private key as a number and signs what the verifier says it would have signed: that
//! what it says is right is shown by the published vectors.

use std::collections::VecDeque;
use std::sync::LazyLock;

use bytes::Bytes;
use ring::digest;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair};
use sigv4::{
    Algorithm, AuthorizationFault, CredentialFault, Dialect, Endpoint, Mechanism, ParameterFault, ParseError,
    PayloadError, PayloadHead, PayloadMode, PayloadVerifier, SecretAccessKey, SignedRequest, SigningKey,
    VerifyError, VerifyingKey, hex,
};

use crate::sample::{ACCESS_KEY_ID, EMPTY_SHA256, Refusal, SECRET, Sample, assert_refused, now};

const DATE: &str = "20260312T081530Z";

/// Strict in forms and open to SigV4a.
fn s3() -> Endpoint {
    Endpoint { sigv4a: true, strict: true, ..Endpoint::s3("us-east-1") }
}

fn sts() -> Endpoint {
    Endpoint { dialect: Dialect::Generic, service: "sts".into(), ..s3() }
}

fn lenient() -> Endpoint {
    Endpoint { strict: false, ..s3() }
}

/// The key pair of [`ACCESS_KEY_ID`] and [`SECRET`].
static KEY_PAIR: LazyLock<EcdsaKeyPair> = LazyLock::new(|| {
    let bytes = |digits: &str| -> Vec<u8> {
        (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap()).collect()
    };
    let private = bytes("7efc8c0e65a324242818c5a50c891c6060b6a00717b7ba3cbe3c5d765be9259c");
    let public = bytes(
        "04b6618f6a65740a99e650b33b6b4b5bd0d43b176d721a3edfea7e7d2d56d936b1\
         865ed22a7eadc9c5cb9d2cbaca1b3699139fedc5043dc6661864218330c8e518",
    );
    let random = SystemRandom::new();
    EcdsaKeyPair::from_private_key_and_public_key(&ECDSA_P256_SHA256_ASN1_SIGNING, &private, &public, &random)
        .unwrap()
});

/// A signature of the text, in hexadecimal.
fn signature(string_to_sign: &str) -> String {
    hex::encode(KEY_PAIR.sign(&SystemRandom::new(), string_to_sign.as_bytes()).unwrap().as_ref())
}

/// Signs with an `Authorization` header, now, for a set of regions.
fn signed(request: Sample, endpoint: &Endpoint, region_set: &str) -> Sample {
    let request = request.with("x-amz-date", DATE).with("x-amz-region-set", region_set);
    let request = match (endpoint.dialect, request.headers.contains_key("x-amz-content-sha256")) {
        (Dialect::S3, false) => request.with("x-amz-content-sha256", EMPTY_SHA256),
        _ => request,
    };
    let mut names: Vec<_> = request.headers.keys().map(http::HeaderName::as_str).collect();
    names.sort_unstable();
    let value = format!(
        "AWS4-ECDSA-P256-SHA256 Credential={ACCESS_KEY_ID}/20260312/{}/aws4_request, SignedHeaders={}, Signature=00",
        endpoint.service,
        names.join(";")
    );
    let request = request.with("authorization", &value);
    let signature = signature(&string_to_sign(&request, endpoint));
    request.authorization_replaced("Signature=00", &format!("Signature={signature}"))
}

/// Presigns, now, for an hour and a set of regions, written as it stands in a query.
fn presigned(request: Sample, endpoint: &Endpoint, region_set: &str) -> Sample {
    let query = request.query.as_deref().map(String::from_utf8_lossy).unwrap_or_default();
    let query = format!(
        "{query}&X-Amz-Algorithm=AWS4-ECDSA-P256-SHA256&X-Amz-Credential={ACCESS_KEY_ID}%2F20260312%2F{}\
         %2Faws4_request&X-Amz-Date={DATE}&X-Amz-Expires=3600&X-Amz-Region-Set={region_set}\
         &X-Amz-SignedHeaders=host&X-Amz-Signature=00",
        endpoint.service
    );
    let request = Sample { query: Some(query.trim_start_matches('&').into()), ..request };
    let signature = signature(&string_to_sign(&request, endpoint));
    request.query_replaced("X-Amz-Signature=00", &format!("X-Amz-Signature={signature}"))
}

/// What the verifier would have signed, in whatever region the request is signed for.
fn string_to_sign(request: &Sample, endpoint: &Endpoint) -> String {
    let verdict = request.verify(endpoint);
    let Err(Refusal::Verify(VerifyError::SignatureMismatch(explanation))) = verdict else {
        panic!("not even a mismatch: {verdict:?}");
    };
    explanation.string_to_sign
}

fn get() -> Sample {
    signed(Sample::new("GET", b"/bucket/key?versionId=3&tagging"), &s3(), "us-east-1")
}

fn url() -> Sample {
    presigned(Sample::new("GET", b"/bucket/key?versionId=3"), &s3(), "us-east-1")
}

fn assert_mismatch(request: &Sample) {
    assert_refused!(request.verify(&lenient()), Err(Refusal::Verify(VerifyError::SignatureMismatch(_))));
}

#[test]
fn accepts_what_the_credential_signed() {
    get().assert_accepted(&s3());
    url().assert_accepted(&s3());
    let form = Sample { body: b"Action=GetCallerIdentity".to_vec(), ..Sample::new("POST", b"/") };
    signed(form, &sts(), "us-east-1").assert_accepted(&sts());
    presigned(Sample::new("GET", b"/?Action=GetCallerIdentity"), &sts(), "us-east-1").assert_accepted(&sts());
}

#[test]
fn another_signature_of_the_same_request_is_the_same_request() {
    let known = |request: &Sample| request.verify(&s3()).unwrap().replay_key().unwrap();
    let (one, other) = (get(), get());
    assert_ne!(one.headers["authorization"], other.headers["authorization"], "signatures are random");
    assert_eq!(known(&one), known(&other));
    assert_ne!(known(&one), known(&url()));
}

#[test]
fn names_algorithm_and_region_before_a_key_is_needed() {
    let (request, endpoint) = (signed(Sample::new("GET", b"/k"), &s3(), "eu-*,us-*"), s3());
    let parsed = SignedRequest::parse(request.head(), &endpoint, now()).unwrap();
    assert_eq!(parsed.algorithm(), Algorithm::EcdsaP256Sha256);
    assert_eq!(parsed.access_key_id(), ACCESS_KEY_ID);
    assert_eq!(parsed.scope().to_string(), "20260312/us-east-1/s3/aws4_request");
}

#[test]
fn is_refused_by_name_where_it_is_not_offered() {
    let endpoint = Endpoint { sigv4a: false, ..s3() };
    assert_refused!(get().verify(&endpoint), Err(Refusal::Parse(ParseError::Asymmetric(Mechanism::Header))));
    assert_refused!(url().verify(&endpoint), Err(Refusal::Parse(ParseError::Asymmetric(Mechanism::Query))));
}

#[test]
fn the_region_set_may_list_name_by_prefix_or_name_all() {
    for set in ["us-east-1", "eu-west-1, us-east-1", "us-*", "*"] {
        signed(Sample::new("GET", b"/k"), &s3(), set).assert_accepted(&s3());
        let encoded = sigv4::uri::encode_query(set.as_bytes());
        presigned(Sample::new("GET", b"/k"), &s3(), &encoded).assert_accepted(&s3());
    }
    let two = signed(Sample::new("GET", b"/k"), &s3(), "us-east-1").and("x-amz-region-set", b"eu-west-1");
    assert_mismatch(&two);
}

#[test]
fn rejects_a_signature_for_other_regions() {
    for set in ["eu-west-1", "us-east-2,us-east-11", "eu-*", "us-east-1/", "US-EAST-1", ""] {
        let elsewhere = Endpoint { regions: set.split(',').map(Into::into).collect(), ..s3() };
        let request = signed(Sample::new("GET", b"/k"), &elsewhere, set);
        assert_refused!(
            request.verify(&s3()),
            Err(Refusal::Parse(ParseError::Credential { mechanism: Mechanism::Header, faults }))
                if matches!(&faults[..], [CredentialFault::Region { region, expected }]
                    if region.as_str() == set && expected == "us-east-1")
        );
    }
    let elsewhere = Endpoint { regions: vec!["eu-west-1".into()], ..s3() };
    assert_refused!(
        presigned(Sample::new("GET", b"/k"), &elsewhere, "eu-west-1").verify(&s3()),
        Err(Refusal::Parse(ParseError::Credential { mechanism: Mechanism::Query, .. }))
    );
    assert_refused!(
        signed(
            Sample::new("POST", b"/"),
            &Endpoint { regions: vec!["eu-west-1".into()], ..sts() },
            "eu-west-1"
        )
        .verify(&sts()),
        Err(Refusal::Parse(ParseError::Credential { .. }))
    );
}

#[test]
fn rejects_a_region_set_put_in_place_of_the_signed_one() {
    let elsewhere = Endpoint { regions: vec!["eu-west-1".into()], ..s3() };
    let request = signed(Sample::new("GET", b"/k"), &elsewhere, "eu-west-1");
    assert_mismatch(&request.clone().with("x-amz-region-set", "*"));
    assert_mismatch(&request.and("x-amz-region-set", b"us-east-1"));
    let request = presigned(Sample::new("GET", b"/k"), &elsewhere, "eu-west-1");
    assert_mismatch(&request.clone().query_replaced("Region-Set=eu-west-1", "Region-Set=%2A"));
    // The first of two is not the signer's, and a header means nothing beside the query.
    assert_refused!(
        request
            .clone()
            .query_replaced("&X-Amz-Region-Set", "&X-Amz-Region-Set=%2A&X-Amz-Region-Set")
            .verify(&s3()),
        Err(Refusal::Parse(ParseError::Parameters(ParameterFault::Repeated { name: "X-Amz-Region-Set" })))
    );
    assert_refused!(
        request.with("x-amz-region-set", "*").verify(&s3()),
        Err(Refusal::Parse(ParseError::Credential { .. }))
    );
}

#[test]
fn rejects_a_region_set_that_is_missing_or_not_signed() {
    assert_refused!(
        get().without("x-amz-region-set").verify(&s3()),
        Err(Refusal::Parse(ParseError::Authorization(AuthorizationFault::Missing { components, date: false })))
            if components == ["X-Amz-Region-Set"]
    );
    assert_refused!(
        url().query_replaced("X-Amz-Region-Set", "X-Amz-Region-Sets").verify(&s3()),
        Err(Refusal::Parse(ParseError::Parameters(ParameterFault::Missing { names })))
            if names == ["X-Amz-Region-Set"]
    );
    let tolerant =
        Endpoint { unsigned_headers: vec![http::HeaderName::from_static("x-amz-region-set")], ..lenient() };
    for (request, endpoint) in
        [(get(), &s3()), (get(), &tolerant), (signed(Sample::new("POST", b"/"), &sts(), "us-east-1"), &sts())]
    {
        let request = request.authorization_replaced(";x-amz-region-set", "");
        assert_refused!(request.verify(endpoint), Err(Refusal::Parse(ParseError::RegionSetNotSigned)));
    }
}

#[test]
fn rejects_a_scope_of_the_other_algorithm() {
    let malformed = |request: &Sample, expected: Algorithm| {
        assert_refused!(
            request.verify(&s3()),
            Err(Refusal::Parse(ParseError::Credential { faults, .. }))
                if matches!(&faults[..], [CredentialFault::Malformed { algorithm, .. }] if *algorithm == expected)
        );
    };
    let five = get().authorization_replaced("/20260312/s3", "/20260312/us-east-1/s3");
    malformed(&five, Algorithm::EcdsaP256Sha256);
    malformed(&url().query_replaced("%2F20260312", "%2F20260312%2Fus-east-1"), Algorithm::EcdsaP256Sha256);
    let four = Sample::new("GET", b"/k").signed(&s3()).authorization_replaced("/us-east-1", "");
    malformed(&four, Algorithm::HmacSha256);
}

#[test]
fn rejects_another_algorithm_named_over_the_same_signature() {
    let relabelled = get()
        .authorization_replaced("AWS4-ECDSA-P256-SHA256", "AWS4-HMAC-SHA256")
        .authorization_replaced("/20260312/s3", "/20260312/us-east-1/s3");
    assert_mismatch(&relabelled);
    let relabelled = Sample::new("GET", b"/k")
        .with("x-amz-region-set", "*")
        .signed(&s3())
        .authorization_replaced("AWS4-HMAC-SHA256", "AWS4-ECDSA-P256-SHA256")
        .authorization_replaced("/us-east-1", "");
    assert_mismatch(&relabelled);
}

#[test]
fn rejects_a_key_of_the_other_algorithm() {
    let secret = SecretAccessKey::new(SECRET);
    let (symmetric, asymmetric, endpoint) = (Sample::new("GET", b"/k").signed(&s3()), get(), s3());
    let parse = |request| SignedRequest::parse(Sample::head(request), &endpoint, now()).unwrap();
    let signing = SigningKey::derive(&secret, &parse(&symmetric).scope());
    let verifying = VerifyingKey::derive(ACCESS_KEY_ID, &secret);
    assert!(parse(&symmetric).verify(&signing).is_ok());
    assert!(parse(&asymmetric).verify(&verifying).is_ok());
    assert_refused!(parse(&symmetric).verify(&verifying), Err(VerifyError::KeyMismatch));
    assert_refused!(parse(&asymmetric).verify(&signing), Err(VerifyError::KeyMismatch));
    let another = VerifyingKey::derive("AKIDEXAMPLF", &secret);
    assert_refused!(parse(&asymmetric).verify(&another), Err(VerifyError::SignatureMismatch(_)));
}

#[test]
fn rejects_signatures_in_any_form_but_the_one_der_has() {
    let value = get().headers["authorization"].to_str().unwrap().to_owned();
    let right = value.rsplit_once("Signature=").unwrap().1.to_owned();
    let with = |other: &str| get_signed_with(&value, &right, other);
    with(&right).assert_accepted(&s3());
    let zeroed = "3006020100020100";
    for wrong in ["", "00", zeroed, &right.to_uppercase(), &format!("{right}00"), &format!("{right}*")] {
        assert_mismatch(&with(wrong));
    }
    assert_mismatch(&with(&right[..right.len() - 2]));
    assert_mismatch(&with(&right[..64]));
    assert_mismatch(&with(&format!("{}{}", &right[..right.len() - 2], "zz")));
}

/// The request of [`get`] with an `Authorization` header made before, in which the signature is replaced.
fn get_signed_with(authorization: &str, right: &str, other: &str) -> Sample {
    get().with("authorization", &authorization.replace(right, other))
}

#[test]
fn rejects_altered_requests() {
    assert_mismatch(&get().sent_as("HEAD"));
    assert_mismatch(&get().to("/bucket/other?versionId=3&tagging"));
    assert_mismatch(&get().with("host", "other.example.com"));
    assert_mismatch(&url().query_replaced("versionId=3", "versionId=4"));
    assert_mismatch(&url().sent_as("HEAD"));
    assert_refused!(
        url().with("x-amz-copy-source", "/other/secret").verify(&s3()),
        Err(Refusal::Verify(VerifyError::UnsignedHeaders { .. }))
    );
    let form = signed(Sample::new("POST", b"/"), &sts(), "*");
    assert_refused!(Sample { body: b"Action=X".to_vec(), ..form }.verify(&sts()), Err(Refusal::Verify(_)));
}

/// Each further form costs a multiplication on the curve: only what SigV4a signers can be told to do is tried.
#[test]
fn only_the_unnormalised_path_is_tried_beside_the_standard_form() {
    let lenient_sts = Endpoint { strict: false, ..sts() };
    let standard = signed(Sample::new("POST", b"/"), &sts(), "*");
    assert_mismatch(&get().with("host", "bucket.s3.example.com:443"));
    let unnormalised = Sample::new("POST", b"/a/../b").with("x-amz-date", DATE).with("x-amz-region-set", "*");
    let value = standard.headers["authorization"].to_str().unwrap().to_owned();
    let request = unnormalised.with("authorization", &value);
    let Err(Refusal::Verify(VerifyError::SignatureMismatch(explanation))) = request.verify(&sts()) else {
        panic!("accepted");
    };
    let canonical = explanation.canonical_request.replacen("POST\n/b\n", "POST\n/a/../b\n", 1);
    assert_ne!(canonical, explanation.canonical_request);
    let hash = hex::encode(digest::digest(&digest::SHA256, canonical.as_bytes()).as_ref());
    let text = format!("{}{hash}", &explanation.string_to_sign[..explanation.string_to_sign.len() - 64]);
    let request =
        request.authorization_replaced(value.rsplit_once("Signature=").unwrap().1, &signature(&text));
    request.assert_accepted(&lenient_sts);
    assert_refused!(request.verify(&sts()), Err(Refusal::Verify(VerifyError::SignatureMismatch(_))));
}

/// A body in signed chunks, as the parts make it.
struct Upload {
    head: Sample,
    /// Of each chunk, and of the trailers if there are any; padded.
    signatures: Vec<String>,
    chunks: Vec<Vec<u8>>,
}

const CRC32_LINE: &str = "x-amz-checksum-crc32:";

impl Upload {
    fn new(chunks: &[&[u8]], trailer: Option<&str>) -> Self {
        let word = "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD";
        let length: usize = chunks.iter().map(|chunk| chunk.len()).sum();
        let head =
            Sample::new("PUT", b"/bucket/key").with("x-amz-decoded-content-length", &length.to_string());
        let head = match trailer {
            None => head.with("x-amz-content-sha256", word),
            Some(_) => head
                .with("x-amz-content-sha256", &format!("{word}-TRAILER"))
                .with("x-amz-trailer", "x-amz-checksum-crc32"),
        };
        let head = signed(head, &s3(), "*");
        let value = head.headers["authorization"].to_str().unwrap();
        let mut previous = value.rsplit_once("Signature=").unwrap().1.to_owned();
        let mut signatures = Vec::new();
        let mut sign = |word: &str, middle: &str, content: &[u8]| {
            let hash = hex::encode(digest::digest(&digest::SHA256, content).as_ref());
            let text = format!(
                "AWS4-ECDSA-P256-SHA256-{word}\n{DATE}\n20260312/s3/aws4_request\n{previous}\n{middle}{hash}"
            );
            previous = signature(&text);
            signatures.push(format!("{previous:*<144}"));
        };
        let chunks: Vec<_> = chunks.iter().map(|chunk| chunk.to_vec()).chain([Vec::new()]).collect();
        chunks.iter().for_each(|chunk| sign("PAYLOAD", &format!("{EMPTY_SHA256}\n"), chunk));
        if let Some(value) = trailer {
            sign("TRAILER", "", format!("{CRC32_LINE}{value}\n").as_bytes());
        }
        Self { head, signatures, chunks }
    }

    fn wire(&self, trailer: Option<&str>) -> Vec<u8> {
        let mut wire = Vec::new();
        for (chunk, signature) in self.chunks.iter().zip(&self.signatures) {
            wire.extend(format!("{:x};chunk-signature={signature}\r\n", chunk.len()).bytes());
            wire.extend(chunk);
            wire.extend(if chunk.is_empty() { &b""[..] } else { b"\r\n" });
        }
        if let (Some(value), Some(signature)) = (trailer, self.signatures.last()) {
            wire.extend(format!("{CRC32_LINE}{value}\r\nx-amz-trailer-signature:{signature}\r\n").bytes());
        }
        wire.extend(b"\r\n");
        wire
    }

    /// The decoded bytes, or why the body is refused.
    fn verify(&self, trailer: Option<&str>) -> Result<Vec<u8>, PayloadError> {
        let mode = self.head.verify(&s3()).expect("the head is signed").into_payload();
        assert!(
            matches!(&mode, PayloadMode::SignedChunks { trailer: found, .. } if *found == trailer.is_some())
        );
        let facts = PayloadHead::parse(&self.head.head(), &mode)?;
        let mut body = PayloadVerifier::new(mode, facts);
        let mut out = VecDeque::new();
        for piece in self.wire(trailer).chunks(1000) {
            body.push(Bytes::copy_from_slice(piece), &mut out)?;
        }
        body.finish().map(drop)?;
        Ok(Vec::from(out).concat())
    }
}

fn chunks() -> Vec<Vec<u8>> {
    vec![vec![b'a'; 8192], vec![b'b'; 8192], vec![b'c'; 100]]
}

fn crc32() -> String {
    sigv4::Checksum::of(sigv4::ChecksumAlgorithm::Crc32, &chunks().concat()).base64()
}

fn upload(trailer: Option<&str>) -> Upload {
    let chunks = chunks();
    Upload::new(&chunks.iter().map(Vec::as_slice).collect::<Vec<_>>(), trailer)
}

#[test]
fn padded_chunk_signatures_chain_without_their_padding() {
    let plain = upload(None);
    assert_eq!(plain.verify(None).unwrap(), chunks().concat());
    let sum = crc32();
    assert_eq!(upload(Some(&sum)).verify(Some(&sum)).unwrap(), chunks().concat());
    let mut unpadded = upload(None);
    for signature in &mut unpadded.signatures {
        *signature = signature.trim_end_matches('*').to_owned();
    }
    assert_eq!(unpadded.verify(None).unwrap(), chunks().concat());
}

#[test]
fn rejects_chunks_and_trailers_that_were_not_signed_so() {
    type Change = fn(&mut Upload);
    let table: [(&str, Change); 7] = [
        ("another byte", |body| body.chunks[1][7] ^= 1),
        ("chunks swapped", |body| {
            body.chunks.swap(0, 1);
            body.signatures.swap(0, 1);
        }),
        ("a signature of another chunk", |body| body.signatures[1] = body.signatures[0].clone()),
        ("padding in front", |body| {
            body.signatures[0] = format!("**{}", body.signatures[0].trim_end_matches('*'));
        }),
        ("padding beyond 144", |body| body.signatures[0].push_str(&"*".repeat(10))),
        ("a byte after the signature", |body| {
            body.signatures[0] = format!("{}00", body.signatures[0].trim_end_matches('*'));
        }),
        ("64 digits as of SigV4", |body| body.signatures[0] = "a".repeat(64)),
    ];
    for (what, change) in table {
        let mut body = upload(None);
        change(&mut body);
        let verdict = body.verify(None).map(drop);
        assert!(matches!(verdict, Err(PayloadError::SignatureMismatch(_))), "{what}: {verdict:?}");
    }
    let sum = crc32();
    let verdict = upload(Some(&sum)).verify(Some("AAAAAA==")).map(drop);
    assert!(matches!(verdict, Err(PayloadError::SignatureMismatch(_))), "{verdict:?}");
}

#[test]
fn chunks_are_signed_with_the_algorithm_of_the_head_or_refused() {
    let with = |word: &str| Sample::new("PUT", b"/k").with("x-amz-content-sha256", word);
    let invalid = |request: Sample| {
        assert_refused!(
            request.verify(&s3()),
            Err(Refusal::Verify(VerifyError::InvalidContentSha256 { .. }))
        );
    };
    for end in ["PAYLOAD", "PAYLOAD-TRAILER"] {
        invalid(with(&format!("STREAMING-AWS4-ECDSA-P256-SHA256-{end}")).signed(&s3()));
        let head = signed(with("UNSIGNED-PAYLOAD"), &s3(), "*");
        invalid(head.with("x-amz-content-sha256", &format!("STREAMING-AWS4-HMAC-SHA256-{end}")));
    }
    let not_offered = Endpoint { sigv4a: false, ..s3() };
    assert_refused!(
        with("STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD").signed(&not_offered).verify(&not_offered),
        Err(Refusal::Verify(VerifyError::AsymmetricChunks))
    );
}
