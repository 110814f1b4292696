//! One test for each known way to pass off a request as signed. The list with the reasons is in `manual`.

use sigv4::{
    CredentialFault, Endpoint, Mechanism, ParseError, PayloadMode, SecretAccessKey, SignedRequest,
    SigningKey, VerifyError,
};

use crate::sample::{EMPTY_SHA256, Refusal, SECRET, Sample, assert_refused, now};

fn s3() -> Endpoint {
    Endpoint::s3("us-east-1")
}

fn strict() -> Endpoint {
    Endpoint { strict: true, ..s3() }
}

fn generic() -> Endpoint {
    Endpoint::generic("sts", "us-east-1")
}

fn get() -> Sample {
    Sample::new("GET", b"/bucket/key?versionId=3&tagging").with("range", "bytes=0-9").signed(&s3())
}

fn put() -> Sample {
    Sample::new("PUT", b"/bucket/key").with("x-amz-content-sha256", "UNSIGNED-PAYLOAD").signed(&s3())
}

fn url() -> Sample {
    Sample::new("GET", b"/bucket/key?versionId=3").presigned(&s3())
}

fn assert_mismatch(request: &Sample) {
    assert_refused!(request.verify(&s3()), Err(Refusal::Verify(VerifyError::SignatureMismatch(_))));
}

#[test]
fn accepts_the_requests_that_the_attacks_start_from() {
    for request in [get(), put(), url()] {
        request.assert_accepted(&strict());
    }
}

#[test]
fn rejects_unsigned_host_header() {
    let request = get().authorization_replaced("host;", "");
    assert_refused!(
        request.verify(&s3()),
        Err(Refusal::Verify(VerifyError::UnsignedHeaders { names })) if names == ["host"]
    );
    let request = Sample::new("GET", b"/").signed(&generic()).authorization_replaced("host;", "");
    assert_refused!(request.verify(&generic()), Err(Refusal::Parse(ParseError::HostNotSigned)));
}

#[test]
fn rejects_replay_on_another_host() {
    for host in ["other.example.com", "bucket.s3.example.com.evil.org", "bucket.s3.example.com:9000", ""] {
        assert_mismatch(&get().with("host", host));
        assert_mismatch(&url().with("host", host));
    }
    assert_mismatch(&get().without("host"));
}

#[test]
fn rejects_two_hosts() {
    let conflicting = |request: &Sample| {
        assert_refused!(request.verify(&s3()), Err(Refusal::Parse(ParseError::ConflictingHosts)));
    };
    conflicting(&get().and("host", b"evil.example.com"));
    conflicting(&Sample { authority: Some("evil.example.com".to_owned()), ..get() });
    let only_authority =
        Sample { authority: Some("bucket.s3.example.com".to_owned()), ..get().without("host") };
    only_authority.assert_accepted(&strict());
    assert_mismatch(&Sample { authority: Some("evil.example.com".to_owned()), ..get().without("host") });
}

#[test]
fn rejects_unsigned_copy_source_on_presigned_put() {
    let request =
        Sample::new("PUT", b"/bucket/key").presigned(&s3()).with("x-amz-copy-source", "/other/secret");
    assert_refused!(
        request.verify(&s3()),
        Err(Refusal::Verify(VerifyError::UnsignedHeaders { names })) if names == ["x-amz-copy-source"]
    );
}

#[test]
fn rejects_every_unsigned_amz_header_but_the_tolerated() {
    let request =
        put().with("x-amz-tagging", "a=b").with("x-amz-acl", "public-read").with("x-amzn-trace-id", "1");
    assert_refused!(
        request.verify(&s3()),
        Err(Refusal::Verify(VerifyError::UnsignedHeaders { names })) if names == ["x-amz-acl", "x-amz-tagging"]
    );
    let endpoint = Endpoint { unsigned_headers: vec![http::HeaderName::from_static("x-amz-cf-id")], ..s3() };
    put().with("x-amz-cf-id", "1").assert_accepted(&endpoint);
}

#[test]
fn rejects_unsigned_payload_word_put_in_place_of_a_hash() {
    let request = Sample::new("PUT", b"/k").signed(&s3()).with("x-amz-content-sha256", "UNSIGNED-PAYLOAD");
    assert_mismatch(&request);
    let request = request.with("x-amz-content-sha256", "STREAMING-UNSIGNED-PAYLOAD-TRAILER");
    assert_mismatch(&request);
}

#[test]
fn rejects_content_sha256_that_is_missing_repeated_or_no_known_word() {
    assert_refused!(
        put().without("x-amz-content-sha256").verify(&s3()),
        Err(Refusal::Verify(VerifyError::MissingContentSha256))
    );
    for value in ["unsigned-payload", "aGVsbG8=", &EMPTY_SHA256[1..], "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-X"]
    {
        assert_refused!(
            put().with("x-amz-content-sha256", value).verify(&s3()),
            Err(Refusal::Verify(VerifyError::InvalidContentSha256 { .. }))
        );
    }
    assert_refused!(
        put().and("x-amz-content-sha256", b"UNSIGNED-PAYLOAD").verify(&s3()),
        Err(Refusal::Verify(VerifyError::InvalidContentSha256 { .. }))
    );
    assert_refused!(
        put().with("x-amz-content-sha256", "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD").verify(&s3()),
        Err(Refusal::Verify(VerifyError::AsymmetricChunks))
    );
}

#[test]
fn accepts_an_upper_case_payload_hash_as_it_was_signed() {
    let hash = EMPTY_SHA256.to_uppercase();
    let verified = Sample::new("PUT", b"/k").with("x-amz-content-sha256", &hash).signed(&s3()).verify(&s3());
    assert!(matches!(verified.unwrap().payload(), PayloadMode::Sha256(hash) if hash[0] == 0xe3));
}

#[test]
fn rejects_credential_in_query_beside_authorization() {
    for extra in ["X-Amz-Credential=a", "X-Amz-Algorithm=AWS4-HMAC-SHA256", "X%2dAmz-Signature=0"] {
        let request = get().to(&format!("/bucket/key?{extra}"));
        assert_refused!(request.verify(&s3()), Err(Refusal::Parse(ParseError::SeveralMechanisms { .. })));
    }
    let request = url().with("authorization", "Bearer abc");
    assert_refused!(request.verify(&s3()), Err(Refusal::Parse(ParseError::SeveralMechanisms { .. })));
    let request = get().to("/?AWSAccessKeyId=a&Signature=b");
    assert_refused!(request.verify(&s3()), Err(Refusal::Parse(ParseError::SeveralMechanisms { .. })));
}

#[test]
fn rejects_several_authorization_headers() {
    let value = get().headers["authorization"].as_bytes().to_vec();
    let request = get().and("authorization", &value);
    assert_refused!(request.verify(&s3()), Err(Refusal::Parse(ParseError::SeveralAuthorizations { .. })));
}

#[test]
fn rejects_head_on_a_url_for_get() {
    assert_mismatch(&Sample { method: "HEAD".to_owned(), ..url() });
    assert_mismatch(&Sample { method: "DELETE".to_owned(), ..get() }.with("x-http-method-override", "GET"));
    assert_mismatch(&Sample { method: "get".to_owned(), ..get() });
}

#[test]
fn rejects_altered_path() {
    for path in [
        "/bucket/other",
        "/bucket/key/",
        "/bucket//key",
        "/bucket/./key",
        "/bucket/x/../key",
        "/bucket/key%20",
    ] {
        let query = get().query;
        assert_mismatch(&Sample { query: query.clone(), ..get().to(path) });
        assert_mismatch(&Sample { query: url().query, ..url().to(path) });
    }
}

#[test]
fn rejects_altered_query() {
    for query in
        ["versionId=4&tagging", "versionId=3", "versionId=3&tagging&acl", "versionId=3&tagging&tagging", ""]
    {
        assert_mismatch(&get().to(&format!("/bucket/key?{query}")));
    }
    assert_mismatch(&url().query_replaced("versionId=3", "versionId=3&response-content-type=text/html"));
    assert_mismatch(&url().query_replaced("versionId=3", "versionid=3"));
}

#[test]
fn rejects_altered_removed_or_repeated_signed_header() {
    let request = || {
        Sample::new("PUT", b"/k")
            .with("content-type", "text/plain")
            .with("x-amz-acl", "private")
            .signed(&s3())
    };
    request().assert_accepted(&strict());
    assert_mismatch(&request().with("content-type", "text/html"));
    assert_mismatch(&request().with("x-amz-acl", "public-read"));
    assert_mismatch(&request().and("x-amz-acl", b"public-read"));
    assert_mismatch(&request().without("content-type"));
    assert_mismatch(&request().without("x-amz-acl"));
}

#[test]
fn rejects_signed_header_that_is_absent_rather_than_taking_it_for_empty() {
    let request = Sample::new("GET", b"/").with("x-amz-meta-a", "").signed(&s3());
    request.assert_accepted(&strict());
    let Err(Refusal::Verify(VerifyError::SignatureMismatch(explanation))) =
        request.without("x-amz-meta-a").verify(&s3())
    else {
        panic!("an absent header was taken for an empty one");
    };
    assert_eq!(explanation.absent_headers, ["x-amz-meta-a"]);
}

#[test]
fn rejects_signed_header_dropped_by_connection() {
    // A hop that obeys `Connection: x-amz-date` removes the header; what is left is not what was signed.
    let request = get().with("connection", "x-amz-date").without("x-amz-date");
    assert_refused!(request.verify(&s3()), Err(Refusal::Parse(ParseError::Date { date: None })));
    let dated = get()
        .with("connection", "x-amz-date")
        .without("x-amz-date")
        .with("date", "Thu, 12 Mar 2026 08:15:30 GMT");
    assert_mismatch(&dated);
}

#[test]
fn signed_names_do_not_depend_on_how_the_request_spells_their_list() {
    let url = Sample::new("PUT", b"/bucket/key").with("x-amz-acl", "private").presigned(&s3());
    let header = put().authorization_replaced("SignedHeaders", "\tSignedHeaders");
    for request in [url.query_replaced("X-Amz-SignedHeaders", "X%2DAmz-Signed%48eaders"), header] {
        let verified = request.verify(&strict()).unwrap();
        assert!(verified.signed_headers().contains("host"));
        assert!(!verified.signed_headers().contains("if-none-match"));
        assert!(!verified.signed_headers().contains("ho"));
    }
}

#[test]
fn rejects_requests_older_or_newer_than_fifteen_minutes() {
    for seconds in [-900, 900] {
        get().assert_accepted_at(&s3(), now().plus(seconds));
    }
    for seconds in [-901, 901, 86_400 * 365, i64::MIN / 2, i64::MAX / 2] {
        assert_refused!(
            get().verify_at(&s3(), now().plus(seconds)),
            Err(Refusal::Parse(ParseError::Skewed { limit: 900, .. }))
        );
    }
}

#[test]
fn rejects_a_fresh_date_on_an_old_signature() {
    let later = now().plus(86_400);
    let old = Sample::new("GET", b"/").signed_at(&s3(), now());
    let date = std::str::from_utf8(&later.basic()).unwrap().to_owned();
    assert_refused!(
        old.with("x-amz-date", &date).verify_at(&s3(), later),
        Err(Refusal::Parse(ParseError::Credential { mechanism: Mechanism::Header, faults }))
            if matches!(faults[..], [CredentialFault::DateMismatch { .. }])
    );
}

#[test]
fn accepts_yesterdays_scope_just_after_midnight() {
    let midnight = sigv4::Timestamp::parse_basic(b"20260313T000000Z").unwrap();
    let request = Sample::new("GET", b"/").signed_at(&s3(), midnight.plus(-1));
    request.assert_accepted_at(&strict(), midnight.plus(60));
}

#[test]
fn rejects_dates_that_are_missing_ambiguous_or_malformed() {
    for date in
        ["20260312", "2026-03-12T08:15:30Z", "20260312T081560Z", "20260230T081530Z", "Thu, 12 Mar 2026"]
    {
        assert_refused!(
            get().with("x-amz-date", date).verify(&s3()),
            Err(Refusal::Parse(ParseError::Date { date: Some(received) })) if received.as_str() == date
        );
    }
    assert_refused!(
        get().and("x-amz-date", b"20260312T081530Z").verify(&s3()),
        Err(Refusal::Parse(ParseError::Date { date: Some(_) }))
    );
    let other_date = get().with("date", "Mon, 01 Jan 2001 00:00:00 GMT");
    other_date.assert_accepted(&s3());
}

#[test]
fn rejects_wrong_region_service_terminator_and_day_before_any_key_is_derived() {
    let faults = |from: &str, to: &str, endpoint: &Endpoint, base: &Sample| match SignedRequest::parse(
        base.clone().authorization_replaced(from, to).head(),
        endpoint,
        now(),
    ) {
        Err(ParseError::Credential { faults, .. }) => faults,
        other => panic!("{to}: {:?}", other.err()),
    };
    let base = get();
    let s3_fault = |from: &str, to: &str| faults(from, to, &s3(), &base).remove(0);
    assert!(matches!(s3_fault("/us-east-1/", "/us-east-2/"),
        CredentialFault::Region { expected, .. } if expected == "us-east-1"));
    assert!(matches!(s3_fault("/us-east-1/", "/US-EAST-1/"), CredentialFault::Region { .. }));
    assert!(matches!(s3_fault("/us-east-1/", "//"), CredentialFault::Region { .. }));
    assert!(matches!(s3_fault("/s3/", "/sts/"), CredentialFault::Service { .. }));
    assert!(matches!(s3_fault("/aws4_request", "/aws5_request"), CredentialFault::Terminator { .. }));
    assert!(matches!(s3_fault("/20260312/", "/2026031a/"), CredentialFault::Date { .. }));
    assert!(matches!(s3_fault("/20260312/", "/20260313/"), CredentialFault::DateMismatch { .. }));
    assert!(matches!(s3_fault("/s3/aws4_request", "/aws4_request"), CredentialFault::Malformed { .. }));

    let base = Sample::new("GET", b"/").signed(&generic());
    let all = faults("20260312/us-east-1/sts/aws4_request", "20260313/x/y/z", &generic(), &base);
    assert!(
        matches!(
            all[..],
            [
                CredentialFault::Region { .. },
                CredentialFault::Service { .. },
                CredentialFault::Terminator { .. },
                CredentialFault::DateMismatch { .. }
            ]
        ),
        "{all:?}"
    );
}

#[test]
fn rejects_a_key_of_another_scope() {
    let sample = get();
    let request = SignedRequest::parse(sample.head(), &strict(), now()).err();
    assert!(request.is_none());
    let endpoint = s3();
    for (region, service, date) in
        [("us-east-2", "s3", "20260312"), ("us-east-1", "sts", "20260312"), ("us-east-1", "s3", "20260313")]
    {
        let date = sigv4::Date::parse(date.as_bytes()).unwrap();
        let key = SigningKey::derive(&SecretAccessKey::new(SECRET), &sigv4::Scope { date, region, service });
        let request = SignedRequest::parse(sample.head(), &endpoint, now()).unwrap();
        assert_refused!(request.verify(&key), Err(VerifyError::KeyMismatch));
    }
}

#[test]
fn rejects_signatures_that_are_not_the_one_canonical_spelling() {
    let value = get().headers["authorization"].to_str().unwrap().to_owned();
    let signature = value.split("Signature=").nth(1).unwrap();
    for wrong in
        [&signature.to_uppercase(), &signature[..32], "", "zz", &"0".repeat(64), &format!("{signature}0")]
    {
        assert_mismatch(&get().authorization_replaced(signature, wrong));
    }
    let mut bytes = value.into_bytes();
    bytes.push(0xff);
    assert_mismatch(&get().without("authorization").and("authorization", &bytes));
}

#[test]
fn rejects_malformed_authorization_headers() {
    let sound = get().headers["authorization"].to_str().unwrap().to_owned();
    let broken: [(&str, String); 12] = [
        ("empty", String::new()),
        ("one word", "AWS4-HMAC-SHA256".to_owned()),
        ("two spaces", sound.replacen(' ', "  ", 1)),
        ("basic", "Basic dXNlcjpwYXNz".to_owned()),
        ("another hash", sound.replace("SHA256 ", "SHA512 ")),
        ("no comma", sound.replace(',', "")),
        ("four components", format!("{sound}, X=y")),
        ("trailing comma", format!("{sound},")),
        ("no equal sign", sound.replace("Signature=", "Signature")),
        ("lower-case component", sound.replace("Credential=", "credential=")),
        ("credential twice", sound.replace("SignedHeaders=", "Credential=")),
        ("upper-case signed header", sound.replace("=host;", "=Host;")),
    ];
    for (name, value) in broken {
        let verdict = get().with("authorization", &value).verify(&s3());
        assert!(matches!(verdict, Err(Refusal::Parse(_))), "{name}: {verdict:?}");
    }
    get().with("authorization", &sound.replace(", ", ",")).assert_accepted(&strict());
    let mut parts: Vec<_> = sound["AWS4-HMAC-SHA256 ".len()..].split(", ").collect();
    parts.reverse();
    get().with("authorization", &format!("AWS4-HMAC-SHA256 {}", parts.join(","))).assert_accepted(&strict());
}

#[test]
fn tells_other_signature_versions_apart() {
    let with = |value: &str| get().with("authorization", value).verify(&s3());
    assert_refused!(with("AWS AKID:c2ln"), Err(Refusal::Parse(ParseError::SignatureV2)));
    assert_refused!(
        with("AWS4-ECDSA-P256-SHA256 Credential=a"),
        Err(Refusal::Parse(ParseError::Asymmetric(Mechanism::Header)))
    );
    assert_refused!(with("Bearer abc"), Err(Refusal::Parse(ParseError::UnsupportedScheme { .. })));
    let v2 = get().without("authorization").to("/?AWSAccessKeyId=a&Signature=b&Expires=1");
    assert_refused!(v2.verify(&s3()), Err(Refusal::Parse(ParseError::SignatureV2)));
    let v4a = url().query_replaced("AWS4-HMAC-SHA256", "AWS4-ECDSA-P256-SHA256");
    assert_refused!(v4a.verify(&s3()), Err(Refusal::Parse(ParseError::Asymmetric(Mechanism::Query))));
    let anonymous = get().without("authorization");
    assert_refused!(anonymous.verify(&s3()), Err(Refusal::Parse(ParseError::Anonymous)));
}

#[test]
fn rejects_malformed_escapes_in_path_and_query() {
    for path in ["/%", "/%4", "/%zz", "/a%2"] {
        assert_refused!(get().to(path).verify(&s3()), Err(Refusal::Parse(ParseError::MalformedPath { .. })));
        let target = format!("/?a={}", &path[1..]);
        assert_refused!(get().to(&target).verify(&s3()), Err(Refusal::Parse(ParseError::MalformedQuery(_))));
    }
}

#[test]
fn rejects_access_key_ids_not_worth_a_look_up() {
    let long = "A".repeat(129);
    for id in ["", "A B", "\u{e9}", long.as_str()] {
        let request = get();
        let value = request.headers["authorization"].to_str().unwrap().replace("AKIDEXAMPLE", id);
        let request = get().without("authorization").and("authorization", value.as_bytes());
        assert_refused!(
            request.verify(&s3()),
            Err(Refusal::Parse(ParseError::Credential { faults, .. }))
                if matches!(faults[..], [CredentialFault::Malformed { .. }])
        );
    }
    let request = get().authorization_replaced("AKIDEXAMPLE", "minio/admin=1");
    let endpoint = s3();
    assert_eq!(
        SignedRequest::parse(request.head(), &endpoint, now()).unwrap().access_key_id(),
        "minio/admin=1"
    );
}

#[test]
fn rejects_a_credential_escaped_twice() {
    let request = url().query_replaced("%2F", "%252F");
    assert_refused!(request.verify(&s3()), Err(Refusal::Parse(ParseError::Credential { .. })));
}

#[test]
fn huge_inputs_are_refused_without_harm() {
    let names: Vec<String> = (0..20_000).map(|n| format!("n{n:05}")).collect();
    let request = get().authorization_replaced("host;", &format!("host;{};", names.join(";")));
    assert_refused!(request.verify(&s3()), Err(Refusal::Parse(ParseError::Authorization(_))));
    let pairs: Vec<String> = (0..20_000).map(|n| format!("k{}=%20", n % 7919)).collect();
    assert_mismatch(&get().to(&format!("/?{}", pairs.join("&"))));
    assert_mismatch(&get().to(&"/%2f".repeat(50_000)));
    let request = get().authorization_replaced("AKIDEXAMPLE", &"A/".repeat(30_000));
    assert_refused!(request.verify(&s3()), Err(Refusal::Parse(ParseError::Credential { .. })));
}

/// Each row is a request and how a deployed signer's canonical request differs from the standard one.
#[test]
fn accepts_the_known_deviations_of_signers_unless_strict() {
    let get = |target: &str| Sample::new("GET", target.as_bytes());
    let table: [(&str, Sample, &str, &str); 9] = [
        ("plus is a space", get("/a+b"), "/a%2Bb", "/a%20b"),
        ("path as on the wire", get("/a+(b)"), "/a%2B%28b%29", "/a+(b)"),
        ("values in wire order", get("/?a=2&b=1&a=1"), "a=1&a=2", "a=2&a=1"),
        ("port 443 left out", get("/").with("host", "h"), "host:h\n", "host:h:443\n"),
        ("port 80 left out", get("/").with("host", "h"), "host:h\n", "host:h:80\n"),
        ("port 80 added", get("/").with("host", "h:80"), "host:h:80\n", "host:h\n"),
        ("port 443 added", get("/").with("host", "h:443"), "host:h:443\n", "host:h\n"),
        ("white space kept", get("/").with("x-amz-meta-a", "a  b"), "a:a b", "a:a  b"),
        (
            "latin-1 as utf-8",
            get("/").and("x-amz-meta-a", b"\xe9t\xe9"),
            "\u{fffd}t\u{fffd}",
            "\u{e9}t\u{e9}",
        ),
    ];
    for (name, request, from, to) in table {
        let request = request.signed_over(&s3(), from, to);
        let verified = request.verify(&s3()).unwrap_or_else(|error| panic!("{name}: {error:?}"));
        assert_eq!(verified.plus_is_space(), name == "plus is a space");
        assert!(request.verify(&strict()).is_err(), "{name}");
    }
}

#[test]
fn rejects_two_deviations_at_once_and_ports_that_are_no_default() {
    let both = Sample::new("GET", b"/a+b").with("host", "h").signed_over(
        &s3(),
        "/a%2Bb\n\nhost:h",
        "/a%20b\n\nhost:h:80",
    );
    assert_mismatch(&both);
    assert_mismatch(&Sample::new("GET", b"/").with("host", "h").signed_over(&s3(), "host:h", "host:h:9000"));
    assert_mismatch(&Sample::new("GET", b"/").with("host", "h:9000").signed_over(
        &s3(),
        "host:h:9000",
        "host:h",
    ));
}

#[test]
fn an_explanation_shows_neither_token_nor_customer_key_nor_the_right_signature() {
    let request = Sample::new("PUT", b"/k")
        .with("x-amz-security-token", "canary-token")
        .with("x-amz-server-side-encryption-customer-key", "canary-key")
        .with("x-amz-meta-a", "b");
    let mut headers = request.headers.clone();
    headers.remove("x-amz-security-token");
    let right =
        Sample { headers, ..request.clone() }.signed(&s3()).with("x-amz-security-token", "canary-token");
    let right = right.authorization_replaced(";x-amz-server", ";x-amz-security-token;x-amz-server");
    let Err(Refusal::Verify(error)) = right.verify(&s3()) else { panic!("accepted") };
    let printed = format!("{error:?} {error}");
    assert!(printed.contains("x-amz-security-token:REDACTED"), "{printed}");
    assert!(!printed.contains("canary"), "{printed}");

    let url = Sample::new("GET", b"/k?X-Amz-Security-Token=canary").presigned(&s3()).sent_as("PUT");
    let Err(Refusal::Verify(error)) = url.verify(&s3()) else { panic!("accepted") };
    let printed = format!("{error:?}");
    assert!(printed.contains("X-Amz-Security-Token=REDACTED") && !printed.contains("canary"), "{printed}");
}

/// The manual is only worth reading while every test it names exists.
#[test]
fn the_manual_names_tests_that_exist() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let files = [
        "attacks",
        "presigned",
        "roundtrip",
        "payload",
        "chunked",
        "chunked_properties",
        "post_policy",
        "multipart",
        "sigv4a",
    ];
    let read = |path: String| std::fs::read_to_string(folder.join(path)).unwrap();
    let tests = files.map(|file| read(format!("tests/it/{file}.rs"))).concat();
    let tests = ["sigv4a/tests", "multipart/disposition"]
        .iter()
        .fold(tests, |tests, file| tests + &read(format!("src/{file}.rs")));
    let manual = read("src/manual.rs".to_owned());
    let names: Vec<_> = manual.split('`').filter(|word| word.matches('_').count() > 1).collect();
    assert!(names.len() > 30, "{names:?}");
    for name in names {
        assert!(tests.contains(&format!("fn {name}(")), "{name} is no test");
    }
}
