//! Permissions and facts by request.

use http::{HeaderName, HeaderValue, Method};

use super::*;
use crate::s3::Domains;

/// A request line, then `name: value` behind ` | `.
fn with<T>(request: &str, run: impl FnOnce(&Asked<'_>) -> T) -> T {
    let mut parts = request.split(" | ");
    let (method, uri) = parts.next().unwrap().split_once(' ').unwrap();
    let mut headers = HeaderMap::new();
    for line in parts {
        let (name, value) = line.split_once(": ").unwrap();
        headers.append(HeaderName::try_from(name).unwrap(), HeaderValue::try_from(value).unwrap());
    }
    let (path, query) = uri.split_once('?').map_or((uri, None), |(path, query)| (path, Some(query)));
    let query = query.map(str::as_bytes);
    let method = Method::try_from(method).unwrap();
    let target = Target::parse(path.as_bytes(), None, &Domains::default()).unwrap();
    let action = Action::of(&method, &target, query, &headers);
    run(&Asked { action, target: &target, query, headers: &headers, objects: None })
}

fn needs(request: &str) -> Result<Vec<String>, Unclear> {
    let needs = with(request, |asked| asked.needs("aws"))?;
    let shown = |need: Need| {
        let version = need.version.map(|version| format!("@{version}")).unwrap_or_default();
        let resource = need.resource.replace("arn:aws:s3:::", "");
        format!("{} {resource}{version}", need.action.trim_start_matches("s3:"))
    };
    Ok(needs.into_iter().map(shown).collect())
}

#[test]
fn operations_need_what_the_service_authorization_reference_says() {
    for (request, expected) in [
        ("GET /", "ListAllMyBuckets *"),
        ("PUT /b", "CreateBucket b"),
        ("PUT /b | x-amz-acl: public-read", "CreateBucket b, PutBucketAcl b"),
        ("DELETE /b", "DeleteBucket b"),
        ("HEAD /b", "ListBucket b"),
        ("GET /b", "ListBucket b"),
        ("GET /b?list-type=2&prefix=a", "ListBucket b"),
        ("GET /b?versions", "ListBucketVersions b"),
        ("GET /b?uploads", "ListBucketMultipartUploads b"),
        ("GET /b?location", "GetBucketLocation b"),
        ("DELETE /b?cors", "PutBucketCORS b"),
        ("GET /b/a/k", "GetObject b/a/k"),
        ("GET /b/a%2Fk%20", "GetObject b/a/k "),
        ("GET /b//a//k", "GetObject b//a//k, GetObject b/a/k"),
        ("DELETE /b/%2Fa/", "DeleteObject b//a/, DeleteObject b/a/"),
        ("PUT /b/k | x-amz-copy-source: s/a%2F/c", "PutObject b/k, GetObject s/a//c, GetObject s/a/c"),
        ("HEAD /b/k", "GetObject b/k"),
        ("GET /b/k?versionId=v1", "GetObjectVersion b/k@v1"),
        ("HEAD /b/k?versionId=null", "GetObjectVersion b/k@null"),
        ("GET /b/k?acl&versionId=v", "GetObjectVersionAcl b/k@v"),
        ("GET /b/k?attributes", "GetObjectAttributes b/k, GetObject b/k"),
        ("GET /b/k?attributes&versionId=v", "GetObjectVersionAttributes b/k@v, GetObjectVersion b/k@v"),
        ("PUT /b/k", "PutObject b/k"),
        ("PUT /b/k | x-amz-tagging: a=b", "PutObject b/k, PutObjectTagging b/k"),
        ("PUT /b/k?X-Amz-Acl=private", "PutObject b/k, PutObjectAcl b/k"),
        (
            "PUT /b/k | x-amz-object-lock-mode: GOVERNANCE | x-amz-object-lock-legal-hold: ON",
            "PutObject b/k, PutObjectRetention b/k, PutObjectLegalHold b/k",
        ),
        ("PUT /b/k | x-amz-copy-source: /s/a%20b", "PutObject b/k, GetObject s/a b"),
        ("PUT /b/k?x-amz-copy-source=s%2Fa", "PutObject b/k, GetObject s/a"),
        ("PUT /b/k | x-amz-copy-source: s/a?versionId=v", "PutObject b/k, GetObjectVersion s/a@v"),
        ("PUT /b/k?partNumber=1&uploadId=u", "PutObject b/k"),
        ("PUT /b/k?partNumber=1&uploadId=u | x-amz-copy-source: s/a", "PutObject b/k, GetObject s/a"),
        ("POST /b/k?uploads", "PutObject b/k"),
        ("POST /b/k?uploadId=u", "PutObject b/k"),
        ("DELETE /b/k?uploadId=u", "AbortMultipartUpload b/k"),
        ("GET /b/k?uploadId=u", "ListMultipartUploadParts b/k"),
        ("DELETE /b/k", "DeleteObject b/k"),
        ("DELETE /b/k?versionId=v", "DeleteObjectVersion b/k@v"),
        (
            "DELETE /b/k | x-amz-bypass-governance-retention: true",
            "DeleteObject b/k, BypassGovernanceRetention b/k",
        ),
        ("PUT /b/k?tagging", "PutObjectTagging b/k"),
    ] {
        assert_eq!(needs(request).map(|needs| needs.join(", ")), Ok(expected.to_owned()), "{request}");
    }
}

#[test]
fn each_object_to_delete_needs_a_permission() {
    let objects = [
        ObjectVersion { key: "a".to_owned(), version: None },
        ObjectVersion { key: "b".to_owned(), version: Some("v".to_owned()) },
    ];
    let found = with("POST /b?delete", |asked| Asked { objects: Some(&objects), ..*asked }.needs("aws-cn"));
    let of = |action, resource: &str, version: Option<&str>| Need {
        action,
        resource: resource.to_owned(),
        version: version.map(str::to_owned),
    };
    let expected = vec![
        of("s3:DeleteObject", "arn:aws-cn:s3:::b/a", None),
        of("s3:DeleteObjectVersion", "arn:aws-cn:s3:::b/b", Some("v")),
    ];
    assert_eq!(found, Ok(expected));
    assert_eq!(needs("POST /b?delete"), Err(Unclear::Unread));
    let none = with("POST /b?delete", |asked| Asked { objects: Some(&[]), ..*asked }.needs("aws"));
    assert_eq!(none, Err(Unclear::Unread));
}

#[test]
fn a_form_needs_what_its_fields_ask_for() {
    let mut headers = HeaderMap::new();
    headers.insert("x-amz-acl", HeaderValue::from_static("public-read"));
    headers.insert("x-amz-tagging", HeaderValue::from_static("a=b"));
    let target = Target::parse(b"/b/k", None, &Domains::default()).unwrap();
    let action = Action::PostObject;
    let asked = Asked { action, target: &target, query: None, headers: &headers, objects: None };
    let needs = asked.needs("aws").unwrap();
    let actions: Vec<_> = needs.iter().map(|need| need.action).collect();
    assert_eq!(actions, ["s3:PutObject", "s3:PutObjectAcl", "s3:PutObjectTagging"]);
    assert!(needs.iter().all(|need| need.resource == "arn:aws:s3:::b/k"));
    let facts = asked.facts(Mechanism::Form, UnixMillis(0)).unwrap();
    assert_eq!((facts.auth_type, facts.signature_age), ("POST", None));
}

#[test]
fn what_could_be_read_in_two_ways_is_refused() {
    for (request, name) in [
        ("GET /b/a/../k", "key"),
        ("GET /b/a/%2e/k", "key"),
        ("PUT /b/k | x-amz-copy-source: s/a%2F..%2Fk", "key"),
        ("GET /b/k?versionId=a&versionId=b", "versionId"),
        ("GET /b/k?versionId=a&%76ersionId=b", "versionId"),
        ("GET /b/k?versionId=", "versionId"),
        ("GET /b/k?versionId=%ff", "versionId"),
        ("PUT /b/k | x-amz-copy-source: s/a | x-amz-copy-source: s/b", "x-amz-copy-source"),
        ("PUT /b/k?X-Amz-Copy-Source=s/a | x-amz-copy-source: s/b", "x-amz-copy-source"),
        ("PUT /b/k | x-amz-copy-source: s", "x-amz-copy-source"),
        ("PUT /b/k | x-amz-copy-source: s/", "x-amz-copy-source"),
        ("PUT /b/k | x-amz-copy-source: s/a+b", "x-amz-copy-source"),
        ("PUT /b/k | x-amz-copy-source: s/a%3FversionId=b", "x-amz-copy-source"),
        ("PUT /b/k | x-amz-copy-source: s/a?versionId=", "x-amz-copy-source"),
        ("PUT /b/k | x-amz-copy-source: s%zz/a", "x-amz-copy-source"),
        ("PUT /b/k | x-amz-copy-source: s/a?x=1", "x-amz-copy-source"),
        ("PUT /b/k | x-amz-copy-source: s/a#1", "x-amz-copy-source"),
        ("PUT /b/k | x-amz-copy-source: s/a?b=c&versionId=v", "x-amz-copy-source"),
        ("PUT /b/k | x-amz-copy-source: s/a?versionId=v&versionId=w", "x-amz-copy-source"),
        ("PUT /b/k | x-amz-copy-source: s/a?versionId=v%26x", "x-amz-copy-source"),
        ("PUT /b/k | x-amz-copy-source: http://x/s/a", "x-amz-copy-source"),
        ("PUT /b/k | x-amz-copy-source: :s/a", "x-amz-copy-source"),
        ("GET /b//", "key"),
        ("DELETE /b/%2F/", "key"),
        ("PUT /b/k | x-amz-copy-source: s//", "key"),
        ("PUT /b/k?x-amz-copy-source=s/a | authorization: AWS4-HMAC-SHA256", "x-amz-copy-source"),
    ] {
        assert_eq!(needs(request), Err(Unclear::Ambiguous(name)), "{request}");
    }
    for request in [
        "GET /b?prefix=a&prefix=",
        "GET /b?prefix=a&pre%66ix=",
        "GET /b?prefix=a+b",
        "GET /b?list-type=2&max-keys=1&max-keys=2",
        "PUT /b/k | x-amz-acl: private | x-amz-acl: public-read",
        "PUT /b/k?x-amz-acl=private | x-amz-acl: public-read",
        "PUT /b/k?x-amz-server-side-encryption=aws%3Akms | authorization: AWS4-HMAC-SHA256",
        "PUT /b/k | x-amz-tagging: a=%ff",
        "PUT /b/k | x-amz-tagging: a=b&a=c",
        "PUT /b/k | x-amz-tagging: Key=b&c=d&key=e",
    ] {
        let facts = with(request, |asked| asked.facts(Mechanism::Header, UnixMillis(0)).map(|_| ()));
        assert!(matches!(facts, Err(Unclear::Ambiguous(_))), "{request}");
    }
}

#[test]
fn a_parameter_that_s3_has_not_makes_a_request_unclear() {
    for (request, name) in [
        ("GET /b?events=a", "events"),
        ("GET /b?replication-metrics", "replication-metrics"),
        ("GET /b/k?lambd%61Arn=a", "lambdaArn"),
        ("GET /b/k?policy", "policy"),
        ("PUT /b/k?content-type=a", "content-type"),
        ("PUT /b/k?X-Minio-Meta-a=b", "X-Minio-Meta-a"),
    ] {
        assert_eq!(needs(request), Err(Unclear::Parameter(name.to_owned())), "{request}");
    }
    for request in [
        "GET /?max-buckets=1&bucket-region=r&continuation-token=t&prefix=p",
        "GET /b/k?response-content-type=a&response-expires=b&x-id=GetObject&x-trace=1",
        "GET /b/k?X-Amz-Signature=0&x-amz-checksum-mode=ENABLED&X-Amz-Meta-a=b",
    ] {
        assert!(needs(request).is_ok(), "{request}");
    }
}

#[test]
fn what_is_no_operation_needs_what_nobody_has() {
    for request in ["DELETE /b?policy&tagging", "PATCH /b/k", "OPTIONS /b/k"] {
        assert_eq!(needs(request), Err(Unclear::Unnamed), "{request}");
    }
}

#[test]
fn conditions_see_parameters_and_headers_decoded() {
    let request =
        "GET /b?list-type=2&prefix=home%2Fa%20b&delimiter=%2F&max-keys=10 | x-amz-date: 20260102T030405Z";
    let now = UnixMillis(1_767_323_046_500);
    let facts = with(request, |asked| asked.facts(Mechanism::Header, now)).unwrap();
    let expected = [(Name::S3Prefix, "home/a b"), (Name::S3Delimiter, "/"), (Name::S3MaxKeys, "10")];
    let texts: Vec<_> = facts.texts.iter().map(|(name, value)| (*name, value.as_str())).collect();
    assert_eq!(texts, expected);
    assert_eq!((facts.auth_type, facts.signature_age), ("REST-HEADER", Some(1_500)));
    assert_eq!(facts.signature_version, "AWS4-HMAC-SHA256");

    let request =
        "PUT /b/k?X-Amz-Algorithm=AWS4-ECDSA-P256-SHA256&X-Amz-Acl=private | x-amz-tagging: a=b%20c&d";
    let facts = with(request, |asked| asked.facts(Mechanism::Query, now)).unwrap();
    assert_eq!(facts.tags(), [("a", "b c"), ("d", "")]);
    assert_eq!(facts.texts, [(Name::S3Acl, "private".to_owned())]);
    assert_eq!((facts.auth_type, facts.signature_age), ("REST-QUERY-STRING", None));
    assert_eq!(facts.signature_version, "AWS4-ECDSA-P256-SHA256");
}
