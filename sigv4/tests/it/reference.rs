//! The verifier beside a second one that is slow and plain: it writes every step of the specification down, and shares
//! no line with the first. What the plain one signs, of requests as nasty as they come, the fast one must accept in
//! standard form; with any other byte signed, it must not.
//!
//! Source: <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html>

use std::collections::BTreeMap;

use proptest::prelude::*;
use ring::{digest, hmac};
use sigv4::{Dialect, Endpoint};

use crate::sample::{ACCESS_KEY_ID, EMPTY_SHA256, SECRET, Sample, now};

const DATE: &str = "20260312T081530Z";

fn endpoint(dialect: Dialect) -> Endpoint {
    let endpoint = Endpoint { strict: true, ..Endpoint::s3("eu-central-1") };
    Endpoint { dialect, ..endpoint }
}

fn scope() -> String {
    format!("{}/eu-central-1/s3/aws4_request", &DATE[..8])
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn decoded(text: &[u8], plus: u8) -> Vec<u8> {
    let mut out = Vec::new();
    let mut at = 0;
    while at < text.len() {
        match text[at] {
            b'%' => {
                let digits = std::str::from_utf8(&text[at + 1..at + 3]).unwrap();
                out.push(u8::from_str_radix(digits, 16).unwrap());
                at += 2;
            }
            b'+' => out.push(plus),
            byte => out.push(byte),
        }
        at += 1;
    }
    out
}

fn encoded(bytes: &[u8], slash: bool) -> String {
    let mut out = String::new();
    for &byte in bytes {
        let letter = char::from(byte);
        if byte.is_ascii_alphanumeric() || "-._~".contains(letter) || (slash && letter == '/') {
            out.push(letter);
        } else {
            out += &format!("%{byte:02X}");
        }
    }
    out
}

fn canonical_path(path: &[u8], dialect: Dialect) -> String {
    if dialect == Dialect::S3 {
        return encoded(&decoded(path, b'+'), true);
    }
    let mut segments: Vec<&[u8]> = Vec::new();
    for segment in path.split(|&byte| byte == b'/') {
        match segment {
            b"" | b"." => {}
            b".." => _ = segments.pop(),
            name => segments.push(name),
        }
    }
    let mut out: String = segments.iter().map(|segment| format!("/{}", encoded(segment, false))).collect();
    let directory = [&b"/"[..], b"/.", b"/.."].iter().any(|end| path.ends_with(end));
    if out.is_empty() || directory {
        out.push('/');
    }
    out
}

fn canonical_query(query: &[u8]) -> String {
    let mut pairs = Vec::new();
    for piece in query.split(|&byte| byte == b'&').filter(|piece| !piece.is_empty()) {
        let mut halves = piece.splitn(2, |&byte| byte == b'=');
        let mut half = || decoded(halves.next().unwrap_or_default(), b' ');
        let (name, value) = (half(), half());
        if name != b"X-Amz-Signature" {
            pairs.push((encoded(&name, false), encoded(&value, false)));
        }
    }
    pairs.sort();
    pairs.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&")
}

fn canonical_value(value: &[u8]) -> Vec<u8> {
    let words = value.split(|&byte| byte <= b' ').filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join(&b' ')
}

/// The signature of `sample` over the headers it has of `names`.
fn signature(sample: &Sample, names: &[String], dialect: Dialect, payload: &str) -> String {
    let mut canonical = format!(
        "{}\n{}\n{}\n",
        sample.method,
        canonical_path(&sample.path, dialect),
        canonical_query(sample.query.as_deref().unwrap_or_default())
    )
    .into_bytes();
    let mut fields = BTreeMap::new();
    for name in names {
        let values: Vec<_> =
            sample.headers.get_all(name.as_str()).iter().map(|v| canonical_value(v.as_bytes())).collect();
        fields.insert(name, values.join(&b','));
    }
    for (name, value) in fields {
        canonical.extend([name.as_bytes(), b":", &value, b"\n"].concat());
    }
    canonical.extend(format!("\n{}\n{payload}", names.join(";")).bytes());
    let hash = hex(digest::digest(&digest::SHA256, &canonical).as_ref());
    let text = format!("AWS4-HMAC-SHA256\n{DATE}\n{}\n{hash}", scope());
    let sign =
        |key: &[u8], text: &[u8]| hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text).as_ref().to_vec();
    let key = scope()
        .split('/')
        .fold(format!("AWS4{SECRET}").into_bytes(), |key, part| sign(&key, part.as_bytes()));
    hex(&sign(&key, text.as_bytes()))
}

fn with_header(mut sample: Sample, names: &[String], dialect: Dialect) -> Sample {
    sample = sample.with("x-amz-date", DATE).with("x-amz-content-sha256", EMPTY_SHA256);
    let signature = signature(&sample, names, dialect, EMPTY_SHA256);
    let value = format!(
        "AWS4-HMAC-SHA256 Credential={ACCESS_KEY_ID}/{}, SignedHeaders={}, Signature={signature}",
        scope(),
        names.join(";")
    );
    sample.with("authorization", &value)
}

/// `at` says where among the parameters the signature stands, `escape` whether the `;` of the list are escaped.
fn with_query(
    mut sample: Sample,
    names: &[String],
    dialect: Dialect,
    at: prop::sample::Index,
    escape: bool,
) -> Sample {
    let names_text = names.join(if escape { "%3B" } else { ";" });
    let own = format!(
        "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential={}&X-Amz-Date={DATE}&X-Amz-Expires=600\
         &X-Amz-Security-Token=a%2Fb%2Bc%3D&X-Amz-SignedHeaders={names_text}",
        encoded(format!("{ACCESS_KEY_ID}/{}", scope()).as_bytes(), !escape),
    );
    let query = [own.as_bytes(), sample.query.as_deref().unwrap_or_default()].join(&b'&');
    sample.query = Some(query.clone());
    let payload = if dialect == Dialect::S3 { "UNSIGNED-PAYLOAD" } else { EMPTY_SHA256 };
    let signature = format!("X-Amz-Signature={}", signature(&sample, names, dialect, payload));
    let mut pieces: Vec<_> = query.split(|&byte| byte == b'&').collect();
    pieces.insert(at.index(pieces.len() + 1), signature.as_bytes());
    sample.query = Some(pieces.join(&b'&'));
    sample
}

fn path() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        "[a-zA-Z0-9._~-]{1,40}".prop_map(String::into_bytes),
        "[/!$'()*+,:;=@ -]".prop_map(String::into_bytes),
        any::<u8>().prop_map(|byte| format!("%{byte:02X}").into_bytes()),
        any::<u8>().prop_map(|byte| format!("%{byte:02x}").into_bytes()),
        (128u8..).prop_map(|byte| vec![byte]),
        Just(b"/../".to_vec()),
        Just(b"/.".to_vec()),
    ];
    prop::collection::vec(piece, 0..20).prop_map(|pieces| [&b"/"[..], &pieces.concat()].concat())
}

/// Pieces that are in canonical form and pieces that are not, sorted or not.
fn query() -> impl Strategy<Value = Option<Vec<u8>>> {
    let text = "([a-zA-Z0-9._~-]{0,12}|%[2-9A-F][0-9A-F]|%[0-9a-f]{2}|[+/;:?é]){0,3}";
    let piece = prop_oneof![
        (text, text).prop_map(|(name, value)| format!("{name}={value}")),
        (text, "[a-z=]{0,3}").prop_map(|(name, value)| format!("{name}{value}")),
        "[a-c]=[a-c]{0,2}".prop_map(String::from),
    ];
    let pieces = (prop::collection::vec(piece, 0..40), any::<bool>());
    prop::option::of(pieces.prop_map(|(mut pieces, sorted)| {
        if sorted {
            pieces.sort();
        }
        pieces.join("&").into_bytes()
    }))
}

fn value() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(prop_oneof![4 => 33u8..127, 1 => Just(b' '), 1 => Just(b'\t'), 1 => 128u8..], 0..60)
}

prop_compose! {
    /// A request, and the names of its headers in the order in which they are signed.
    fn request()(
        method in "GET|HEAD|PUT|POST|DELETE",
        path in path(),
        query in query(),
        values in prop::collection::vec((0..40usize, value()), 0..40),
        others in prop::collection::vec(value(), 0..3),
        shuffled in prop::option::weighted(0.2, any::<u64>()),
    ) -> (Sample, Vec<String>, bool) {
        let mut sample = Sample { query, ..Sample::new(&method, &path) };
        for (number, value) in &values {
            sample = sample.and(&format!("x-amz-meta-{}", "z".repeat(*number)), value);
        }
        for (number, value) in others.iter().enumerate() {
            sample = sample.and(["content-type", "range", "content-md5"][number], value);
        }
        let mut names: Vec<String> = sample.headers.keys().map(|name| name.as_str().to_owned()).collect();
        names.sort();
        if let Some(seed) = shuffled {
            names.sort_by_key(|name| digest::digest(&digest::SHA256, format!("{seed}{name}").as_bytes()).as_ref().to_vec());
        }
        (sample, names, shuffled.is_some())
    }
}

fn dialect() -> impl Strategy<Value = Dialect> {
    prop_oneof![Just(Dialect::S3), Just(Dialect::Generic)]
}

proptest! {
    #[test]
    fn what_the_plain_one_signs_with_a_header_is_accepted(
        (sample, mut names, shuffled) in request(), dialect in dialect(),
    ) {
        names.extend(["x-amz-content-sha256".to_owned(), "x-amz-date".to_owned()]);
        if !shuffled {
            names.sort();
        }
        let signed = with_header(sample, &names, dialect);
        let verdict = signed.verify_at(&endpoint(dialect), now());
        prop_assert!(verdict.is_ok(), "{:?}", verdict);
        let renamed = Sample { method: "PATCH".to_owned(), ..signed };
        prop_assert!(renamed.verify_at(&endpoint(dialect), now()).is_err());
    }

    #[test]
    fn what_the_plain_one_signs_with_a_query_is_accepted(
        (sample, names, _) in request(), dialect in dialect(), at in any::<prop::sample::Index>(), escape in any::<bool>(),
    ) {
        let signed = with_query(sample, &names, dialect, at, escape);
        let verdict = signed.verify_at(&endpoint(dialect), now());
        prop_assert!(verdict.is_ok(), "{:?}", verdict);
        let mut altered = signed;
        altered.query.as_mut().unwrap().extend(b"&one=more");
        prop_assert!(altered.verify_at(&endpoint(dialect), now()).is_err());
    }
}
