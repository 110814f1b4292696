//! What the services answer, code for code and text for text.

use http::{HeaderMap, HeaderName};
use sigv4::{Endpoint, Head, SecretAccessKey, SignedRequest, SigningKey};

use super::*;

const NOW: &[u8] = b"20260312T081530Z";
const SIGNED: &str = "AWS4-HMAC-SHA256 Credential=AKID/20260312/us-east-1/s3/aws4_request, \
    SignedHeaders=host;x-amz-date, Signature=aa";
const DATED: &[(&str, &str)] =
    &[("host", "h"), ("x-amz-date", "20260312T081530Z"), ("x-amz-content-sha256", "UNSIGNED-PAYLOAD")];

/// The answer to a request with [`DATED`] headers and those given.
fn answer(dialect: Dialect, query: &str, headers: &[(&'static str, &str)]) -> Fault {
    answer_at(&endpoint(dialect), query, headers)
}

fn endpoint(dialect: Dialect) -> Endpoint {
    match dialect {
        Dialect::S3 => Endpoint::s3("us-east-1"),
        Dialect::Generic => Endpoint::generic("sts", "us-east-1"),
    }
}

fn answer_at(endpoint: &Endpoint, query: &str, headers: &[(&'static str, &str)]) -> Fault {
    let dialect = endpoint.dialect;
    let mut map = HeaderMap::new();
    for (name, value) in DATED.iter().chain(headers) {
        map.insert(HeaderName::from_static(name), value.parse().unwrap());
    }
    let query = (!query.is_empty()).then_some(query.as_bytes());
    let head = Head { method: "PUT", path: b"/k", query, headers: &map, authority: None };
    let request = match SignedRequest::parse(head, endpoint, Timestamp::parse_basic(NOW).unwrap()) {
        Ok(request) => request,
        Err(error) => return parse_fault(&error, dialect),
    };
    let key = SigningKey::derive(&SecretAccessKey::new("secret"), &request.scope());
    verify_fault(&request.verify(&key).unwrap_err(), dialect, "AKID")
}

fn element<'a>(fault: &'a Fault, name: &str) -> Option<&'a str> {
    fault.elements.iter().find(|(found, _)| *found == name).map(|(_, value)| value.as_str())
}

#[test]
fn headers_are_answered_as_s3_answers_them() {
    let table: [(&str, u16, &str, &str); 12] = [
        ("x", 400, "InvalidArgument", "one and only one ' ' (space) required."),
        ("Basic dXNlcg==", 400, "InvalidArgument", "Unsupported Authorization Type"),
        ("AWS a:b", 400, "InvalidRequest", "Please use AWS4-HMAC-SHA256."),
        ("AWS4-ECDSA-P256-SHA256 x", 501, "NotImplemented", "functionality that is not implemented."),
        ("AWS4-HMAC-SHA256 a=b", 400, "AuthorizationHeaderMalformed", "requires three components"),
        ("AWS4-HMAC-SHA256 a,b=,c=", 400, "AuthorizationHeaderMalformed", "component \"a\" is malformed."),
        ("AWS4-HMAC-SHA256 a=,b=,c=", 400, "AuthorizationHeaderMalformed", "malformed; missing Credential."),
        (
            "AWS4-HMAC-SHA256 Credential=a/b, SignedHeaders=host, Signature=c",
            400,
            "AuthorizationHeaderMalformed",
            "expecting \"<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request\".",
        ),
        (
            "AWS4-HMAC-SHA256 Credential=a/2026/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=c",
            400,
            "AuthorizationHeaderMalformed",
            "incorrect date format \"2026\".",
        ),
        (
            "AWS4-HMAC-SHA256 Credential=a/20260312/us-east-1/ec2/aws4_request, SignedHeaders=host, Signature=c",
            400,
            "AuthorizationHeaderMalformed",
            "incorrect service \"ec2\". This endpoint belongs to \"s3\".",
        ),
        (
            "AWS4-HMAC-SHA256 Credential=a/20260312/us-east-1/s3/aws3, SignedHeaders=host, Signature=c",
            400,
            "AuthorizationHeaderMalformed",
            "incorrect terminal \"aws3\". This endpoint uses \"aws4_request\".",
        ),
        (
            "AWS4-HMAC-SHA256 Credential=a/20260313/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=c",
            400,
            "AuthorizationHeaderMalformed",
            "Invalid credential date. Date is not the same as X-Amz-Date.",
        ),
    ];
    for (authorization, status, code, text) in table {
        let fault = answer(Dialect::S3, "", &[("authorization", authorization)]);
        assert_eq!((fault.status.as_u16(), fault.code), (status, code), "{authorization}");
        assert!(fault.message.contains(text), "{authorization}: {}", fault.message);
    }
}

#[test]
fn a_wrong_region_names_the_right_one() {
    let value = SIGNED.replace("us-east-1", "eu-west-1");
    let fault = answer(Dialect::S3, "", &[("authorization", &value)]);
    assert_eq!(fault.code, "AuthorizationHeaderMalformed");
    assert!(fault.message.ends_with("the region 'eu-west-1' is wrong; expecting 'us-east-1'"));
    assert_eq!(element(&fault, "Region"), Some("us-east-1"));
}

#[test]
fn queries_are_answered_as_s3_answers_them() {
    let sound = "X-Amz-Algorithm=AWS4-HMAC-SHA256\
        &X-Amz-Credential=AKID%2F20260312%2Fus-east-1%2Fs3%2Faws4_request&X-Amz-Date=20260312T081530Z\
        &X-Amz-Expires=60&X-Amz-SignedHeaders=host&X-Amz-Signature=aa";
    let table = [
        ("X-Amz-Date=", "Date=", "X-Amz-SignedHeaders, and X-Amz-Expires parameters."),
        ("HMAC-SHA256", "HMAC-SHA1", "\"AWS4-HMAC-SHA256 and AWS4-ECDSA-P256-SHA256\""),
        ("AWS4-HMAC", "AWS4-ECDSA-P256", "X-Amz-Algorithm only supports \"AWS4-HMAC-SHA256\""),
        ("Expires=60", "Expires=604801", "must be less than 604800 seconds"),
        ("Expires=60", "Expires=-1", "X-Amz-Expires must be non-negative"),
        ("Expires=60", "Expires=x", "X-Amz-Expires should be a number"),
        ("T081530Z", "", "ISO8601 Long Format \"yyyyMMdd'T'HHmmss'Z'\""),
        ("%2Fs3%2F", "%2Fsns%2F", "Error parsing the X-Amz-Credential parameter; incorrect service \"sns\"."),
        ("%2F20260312", "%2F20260311", "not the same as X-Amz-Date: \"20260312\"."),
    ];
    for (from, to, text) in table {
        let fault = answer(Dialect::S3, &sound.replace(from, to), &[]);
        assert_eq!((fault.status.as_u16(), fault.code), (400, "AuthorizationQueryParametersError"), "{to}");
        assert!(fault.message.contains(text), "{to}: {}", fault.message);
    }
}

/// The answer where SigV4a is offered.
fn asymmetric(dialect: Dialect, query: &str, headers: &[(&'static str, &str)]) -> Fault {
    answer_at(&Endpoint { sigv4a: true, ..endpoint(dialect) }, query, headers)
}

#[test]
fn asymmetric_heads_are_answered_in_the_terms_of_their_own_scope() {
    let sound = "AWS4-ECDSA-P256-SHA256 Credential=AKID/20260312/s3/aws4_request, \
        SignedHeaders=host;x-amz-date;x-amz-region-set, Signature=aa";
    let elsewhere =
        asymmetric(Dialect::S3, "", &[("authorization", sound), ("x-amz-region-set", "eu-west-1,eu-*")]);
    assert_eq!((elsewhere.status.as_u16(), elsewhere.code), (400, "AuthorizationHeaderMalformed"));
    assert!(elsewhere.message.ends_with("the region 'eu-west-1,eu-*' is wrong; expecting 'us-east-1'"));
    assert_eq!(element(&elsewhere, "Region"), Some("us-east-1"));
    let table = [
        (Dialect::S3, "", "", "AuthorizationHeaderMalformed", "malformed; missing X-Amz-Region-Set."),
        (Dialect::S3, ";x-amz-region-set", "", "AccessDenied", "were not signed"),
        (
            Dialect::S3,
            "20260312",
            "20260312/us-east-1",
            "AuthorizationHeaderMalformed",
            "YYYYMMDD/SERVICE/aws4_request\".",
        ),
        (Dialect::Generic, "", "", "IncompleteSignature", "requires 'X-Amz-Region-Set' parameter."),
        (Dialect::Generic, ";x-amz-region-set", "", "SignatureDoesNotMatch", "'X-Amz-Region-Set' must be a"),
        (
            Dialect::Generic,
            "20260312",
            "20260312/us-east-1",
            "IncompleteSignature",
            "4 slash-delimited elements",
        ),
        (Dialect::Generic, "/s3/", "/sns/", "SignatureDoesNotMatch", "scoped to correct service: 'sts'."),
    ];
    for (dialect, from, to, code, text) in table {
        let value = sound.replace(if from.is_empty() { "unchanged" } else { from }, to);
        let set = ("x-amz-region-set", "us-east-1");
        let headers = [("authorization", &*value), set];
        let fault = asymmetric(dialect, "", &headers[..if from.is_empty() { 1 } else { 2 }]);
        assert_eq!(fault.code, code, "{value}");
        assert!(fault.message.contains(text), "{value}: {}", fault.message);
    }
    let query = "X-Amz-Algorithm=AWS4-ECDSA-P256-SHA256&X-Amz-Credential=AKID%2F20260312%2Fs3%2Faws4_request\
        &X-Amz-Date=20260312T081530Z&X-Amz-Expires=60&X-Amz-SignedHeaders=host&X-Amz-Signature=aa";
    let fault = asymmetric(Dialect::S3, query, &[]);
    assert_eq!((fault.status.as_u16(), fault.code), (400, "AuthorizationQueryParametersError"));
    assert!(fault.message.ends_with("requires the X-Amz-Region-Set parameter."), "{}", fault.message);
    let fault = asymmetric(Dialect::S3, &format!("{query}&X-Amz-Region-Set=eu-west-1"), &[]);
    assert!(
        fault.message.ends_with("the region 'eu-west-1' is wrong; expecting 'us-east-1'"),
        "{}",
        fault.message
    );
}

#[test]
fn times_are_answered_with_what_was_compared() {
    let old = [("authorization", SIGNED), ("x-amz-date", "20260312T080000Z")];
    let fault = answer(Dialect::S3, "", &old);
    assert_eq!(fault.code, "RequestTimeTooSkewed");
    assert_eq!(element(&fault, "RequestTime"), Some("20260312T080000Z"));
    assert_eq!(element(&fault, "ServerTime"), Some("2026-03-12T08:15:30Z"));
    assert_eq!(element(&fault, "MaxAllowedSkewMilliseconds"), Some("900000"));

    let sts = SIGNED.replace("/s3/", "/sts/");
    let fault = answer(Dialect::Generic, "", &[("authorization", &sts), old[1]]);
    let text = "Signature expired: 20260312T080000Z is now earlier than 20260312T080030Z (20260312T081530Z - 15 min.)";
    assert_eq!((fault.code, &*fault.message), ("SignatureDoesNotMatch", text));

    let fault = answer(Dialect::S3, "", &[("authorization", SIGNED), ("x-amz-date", "today")]);
    assert_eq!((fault.status.as_u16(), fault.code), (403, "AccessDenied"));
}

#[test]
fn a_mismatch_shows_both_sides_or_on_demand_none() {
    let fault = answer(Dialect::S3, "", &[("authorization", SIGNED)]);
    assert_eq!((fault.status.as_u16(), fault.code), (403, "SignatureDoesNotMatch"));
    let names: Vec<_> = fault.elements.iter().map(|(name, _)| *name).collect();
    let expected = [
        "AWSAccessKeyId",
        "StringToSign",
        "SignatureProvided",
        "StringToSignBytes",
        "CanonicalRequest",
        "CanonicalRequestBytes",
    ];
    assert_eq!(names, expected);
    assert_eq!(element(&fault, "SignatureProvided"), Some("aa"));
    assert!(element(&fault, "CanonicalRequestBytes").unwrap().starts_with("50 55 54 0a 2f 6b 0a"));
    let short = without_explanation(fault);
    assert_eq!(
        short.elements,
        [("AWSAccessKeyId", "AKID".to_owned()), ("SignatureProvided", "aa".to_owned())]
    );
}

#[test]
fn unsigned_headers_are_listed() {
    let fault =
        answer(Dialect::S3, "", &[("authorization", SIGNED), ("x-amz-acl", "a"), ("x-amz-tagging", "b")]);
    assert_eq!((fault.status.as_u16(), fault.code), (403, "AccessDenied"));
    assert_eq!(element(&fault, "HeadersNotSigned"), Some("x-amz-acl, x-amz-tagging"));
}

#[test]
fn other_services_answer_in_their_own_words() {
    let scoped = "AWS4-HMAC-SHA256 Credential=AKID/20260313/x/y/z, SignedHeaders=host, Signature=aa";
    let table: [(&str, &str, u16, &str, &str); 9] = [
        ("", "", 403, "MissingAuthenticationToken", "Request is missing Authentication Token"),
        ("", "a=%", 400, "MalformedQueryString", "Incomplete trailing escape % sequence"),
        ("", "a=%zz", 400, "MalformedQueryString", "Illegal hex character in escape % pattern: %zz"),
        ("", "X-Amz-Date=x", 403, "MissingAuthenticationToken", "Request is missing Authentication Token"),
        (
            "",
            "X-Amz-Algorithm=AWS4-HMAC-SHA256",
            400,
            "IncompleteSignature",
            "AWS query-string parameters must include 'X-Amz-Credential'. ",
        ),
        ("AWS3-ZZZ a=b", "", 400, "IncompleteSignature", "Unsupported AWS 'algorithm': 'AWS3-ZZZ'."),
        (
            "AWS4-HMAC-SHA256 Signature=a",
            "",
            400,
            "IncompleteSignature",
            "Authorization header requires 'Credential' parameter. \
             Authorization header requires 'SignedHeaders' parameter. Authorization=AWS4-HMAC-SHA256",
        ),
        (
            "AWS4-HMAC-SHA256 Credential=a, SignedHeaders=range, Signature=c",
            "",
            403,
            "SignatureDoesNotMatch",
            "'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.",
        ),
        (
            scoped,
            "",
            403,
            "SignatureDoesNotMatch",
            "Credential should be scoped to a valid region, not 'x'. \
             Credential should be scoped to correct service: 'sts'. \
             Credential should be scoped with a valid terminator: 'aws4_request', not 'z'. \
             Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: \
             '20260313' != '20260312', from '20260312T081530Z'.",
        ),
    ];
    for (authorization, query, status, code, text) in table {
        let header = [("authorization", authorization)];
        let headers = if authorization.is_empty() { &[][..] } else { &header };
        let fault = answer(Dialect::Generic, query, headers);
        assert_eq!((fault.status.as_u16(), fault.code), (status, code), "{authorization}{query}");
        assert!(fault.message.contains(text), "{authorization}{query}: {}", fault.message);
    }
}
