//! Presigned requests: syntax, limits, window, payload hash, token.

use sigv4::{
    Endpoint, ParameterFault, ParseError, PayloadMode, Presented, SignError, SignedRequest, VerifyError,
};

use crate::sample::{EMPTY_SHA256, Refusal, Sample, assert_refused, now};

type Expected = fn(&ParameterFault) -> bool;

fn s3() -> Endpoint {
    Endpoint::s3("us-east-1")
}

fn url() -> Sample {
    Sample::new("GET", b"/dir/key%20a?versionId=1").presigned(&s3())
}

fn fault(sample: &Sample, endpoint: &Endpoint) -> ParameterFault {
    match sample.verify(endpoint) {
        Err(Refusal::Parse(ParseError::Parameters(fault))) => fault,
        other => panic!("expected a parameter fault, got {other:?}"),
    }
}

#[test]
fn limits_of_expires_are_those_of_s3() {
    let table: [(&str, Expected); 8] = [
        ("604801", |fault| matches!(fault, ParameterFault::ExpiresTooLong)),
        ("9223372036854775807", |fault| matches!(fault, ParameterFault::ExpiresTooLong)),
        ("9223372036854775808", |fault| matches!(fault, ParameterFault::ExpiresNotANumber)),
        ("-1", |fault| matches!(fault, ParameterFault::ExpiresNegative)),
        ("1e3", |fault| matches!(fault, ParameterFault::ExpiresNotANumber)),
        ("", |fault| matches!(fault, ParameterFault::ExpiresNotANumber)),
        ("%ff", |fault| matches!(fault, ParameterFault::ExpiresNotANumber)),
        ("60 ", |fault| matches!(fault, ParameterFault::ExpiresNotANumber)),
    ];
    for (value, is_expected) in table {
        let request = url().query_replaced("X-Amz-Expires=3600", &format!("X-Amz-Expires={value}"));
        let fault = fault(&request, &s3());
        assert!(is_expected(&fault), "{value}: {fault:?}");
    }
    Sample::new("GET", b"/k").presigned_for(&s3(), 604_800).assert_accepted(&s3());
}

#[test]
fn window_is_from_fifteen_minutes_ahead_to_the_last_second() {
    let request = url();
    for seconds in [-900, 0, 901, 3600] {
        request.assert_accepted_at(&s3(), now().plus(seconds));
    }
    assert_refused!(
        request.verify_at(&s3(), now().plus(-901)),
        Err(Refusal::Parse(ParseError::NotYetValid { limit: 900, .. }))
    );
    assert_refused!(
        request.verify_at(&s3(), now().plus(3601)),
        Err(Refusal::Parse(ParseError::Expired { lifetime: 3600, .. }))
    );
    let never = url().query_replaced("X-Amz-Expires=3600", "X-Amz-Expires=0");
    assert_refused!(never.verify(&s3()), Err(Refusal::Parse(ParseError::Expired { lifetime: 0, .. })));
}

#[test]
fn sts_ignores_expires_and_takes_fifteen_minutes() {
    let sts = Endpoint { presigned_lifetime: Some(900), ..Endpoint::generic("sts", "us-east-1") };
    let target = b"/?Action=GetCallerIdentity&Version=2011-06-15";
    let request = Sample::new("GET", target).presigned_for(&sts, 60);
    request.assert_accepted_at(&sts, now().plus(900));
    assert_refused!(
        request.verify_at(&sts, now().plus(901)),
        Err(Refusal::Parse(ParseError::Expired { lifetime: 900, .. }))
    );
}

#[test]
fn each_mandatory_parameter_is_missed_by_name() {
    let names = [
        "X-Amz-Algorithm",
        "X-Amz-Credential",
        "X-Amz-Date",
        "X-Amz-Expires",
        "X-Amz-SignedHeaders",
        "X-Amz-Signature",
    ];
    for name in names {
        let request = url().query_replaced(&format!("{name}="), "other=");
        assert!(
            matches!(fault(&request, &s3()), ParameterFault::Missing { names } if names == [name]),
            "{name}"
        );
        let twice = url();
        let query = [twice.query.as_deref().unwrap(), b"&", name.as_bytes(), b"=x"].concat();
        let fault = fault(&Sample { query: Some(query), ..twice }, &s3());
        assert!(matches!(fault, ParameterFault::Repeated { name: repeated } if repeated == name), "{name}");
    }
}

#[test]
fn parameter_names_are_recognised_in_their_encoded_spelling_too() {
    let request = url().query_replaced("X-Amz-Signature=", "X%2DAmz-Signature=");
    request.assert_accepted(&s3());
    let lower = url().query_replaced("X-Amz-Signature=", "x-amz-signature=");
    assert!(matches!(fault(&lower, &s3()), ParameterFault::Missing { .. }));
}

#[test]
fn algorithm_date_and_signed_headers_must_be_well_formed() {
    let table: [(&str, &str, Expected); 6] = [
        ("HMAC-SHA256", "HMAC-SHA1", |fault| matches!(fault, ParameterFault::Algorithm)),
        ("T081530Z", "T081530", |fault| matches!(fault, ParameterFault::Date { .. })),
        ("SignedHeaders=host", "SignedHeaders=Host", |fault| matches!(fault, ParameterFault::SignedHeaders)),
        ("SignedHeaders=host", "SignedHeaders=", |fault| matches!(fault, ParameterFault::SignedHeaders)),
        ("SignedHeaders=host", "SignedHeaders=a+b%3Bhost", |fault| {
            matches!(fault, ParameterFault::SignedHeaders)
        }),
        ("SignedHeaders=host", "SignedHeaders=host%3Bhost", |fault| {
            matches!(fault, ParameterFault::SignedHeaders)
        }),
    ];
    for (from, to, is_expected) in table {
        let fault = fault(&url().query_replaced(from, to), &s3());
        assert!(is_expected(&fault), "{to}: {fault:?}");
    }
}

#[test]
fn payload_is_unsigned_unless_a_hash_is_declared() {
    let put = |target: &[u8]| Sample::new("PUT", target);
    let plain = put(b"/k").presigned(&s3()).verify(&s3()).unwrap();
    assert!(matches!(plain.payload(), PayloadMode::Unsigned));

    let word = put(b"/k?X-Amz-Content-Sha256=UNSIGNED-PAYLOAD").presigned(&s3()).verify(&s3()).unwrap();
    assert!(matches!(word.payload(), PayloadMode::Unsigned));

    // Signed with UNSIGNED-PAYLOAD in the canonical request; the hash stands in a signed place and counts.
    let target = format!("/k?X-Amz-Content-Sha256={EMPTY_SHA256}");
    for request in [put(target.as_bytes()), put(b"/k").with("x-amz-content-sha256", EMPTY_SHA256)] {
        let verified = request.presigned(&s3()).verify(&s3()).unwrap();
        assert!(matches!(verified.payload(), PayloadMode::Sha256(_)), "{verified:?}");
    }
}

#[test]
fn chunk_framing_is_not_decoded_in_presigned_requests() {
    let target = b"/k?X-Amz-Content-Sha256=STREAMING-UNSIGNED-PAYLOAD-TRAILER";
    assert_refused!(
        Sample::new("PUT", target).presigned(&s3()).verify(&s3()),
        Err(Refusal::Verify(VerifyError::UnprovablePayload { .. }))
    );
    let verified = Sample::new("GET", target).presigned(&s3()).verify(&s3()).unwrap();
    assert!(matches!(verified.payload(), PayloadMode::Unsigned));
}

#[test]
fn a_token_added_after_signing_is_for_services_other_than_s3() {
    let with_token = |endpoint: &Endpoint| {
        let mut request = Sample::new("GET", b"/").presigned(endpoint);
        request.query.as_mut().unwrap().extend(b"&X-Amz-Security-Token=a%2Fb%2Bc");
        request
    };
    let mut generic = Endpoint::generic("execute-api", "us-east-1");
    with_token(&generic).assert_accepted(&generic);
    generic.strict = true;
    with_token(&generic).assert_accepted(&generic);
    assert_refused!(with_token(&s3()).verify(&s3()), Err(Refusal::Verify(VerifyError::SignatureMismatch(_))));
}

#[test]
fn session_token_is_read_from_query_and_header() {
    let read = |request: &Sample| match SignedRequest::parse(request.head(), &s3(), now())
        .unwrap()
        .session_token()
    {
        Presented::None => "none".to_owned(),
        Presented::One(token) => String::from_utf8(token.into_owned()).unwrap(),
        Presented::Several => "several".to_owned(),
    };
    let in_query = |token: &str| {
        Sample::new("GET", format!("/?X-Amz-Security-Token={token}").as_bytes()).presigned(&s3())
    };
    assert_eq!(read(&url()), "none");
    assert_eq!(read(&in_query("a%2Fb%2Bc%3D")), "a/b+c=");
    assert_eq!(read(&in_query("a").and("x-amz-security-token", b"a")), "a");
    assert_eq!(read(&in_query("a").and("x-amz-security-token", b"b")), "several");
    assert_eq!(read(&in_query("a&X-Amz-Security-Token=b")), "several");
    assert_eq!(read(&url().and("x-amz-security-token", b"")), "");
}

#[test]
fn signer_refuses_what_no_verifier_would_accept() {
    let sign = |request: Sample, lifetime: u32| {
        let scope = sigv4::Scope { date: now().date(), region: "us-east-1", service: "s3" };
        let key = sigv4::SigningKey::derive(&sigv4::SecretAccessKey::new("secret"), &scope);
        let dialect = sigv4::Dialect::S3;
        let signer = sigv4::Signer { key: &key, access_key_id: "AKID", session_token: None, dialect };
        let target = sigv4::Target { method: "GET", path: &request.path, query: request.query.as_deref() };
        signer.presign(target, &request.headers, now(), lifetime)
    };
    let plain = || Sample::new("GET", b"/k");
    assert!(sign(plain(), 1).is_ok());
    assert!(matches!(sign(plain(), 0), Err(SignError::Lifetime)));
    assert!(matches!(sign(plain(), 604_801), Err(SignError::Lifetime)));
    assert!(matches!(sign(plain().without("host"), 1), Err(SignError::Host)));
    assert!(matches!(sign(plain().to("/%zz"), 1), Err(SignError::Escape(_))));
    assert!(matches!(sign(plain().presigned(&s3()), 1), Err(SignError::AlreadySigned)));
}
