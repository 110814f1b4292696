//! What is asked of the verifier on bytes of any kind. Each function panics if an answer is wrong.
//!
//! The fuzzer calls them (`cargo fuzz run <name>` beside this file), and `tests/it/fuzz_replay.rs` calls them on the
//! corpus, so that what was found once stays found. A corpus is small and kept: `cargo fuzz cmin <name>`.

use std::collections::VecDeque;
use std::sync::LazyLock;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use ring::digest::{SHA256, digest};
use sigv4::{
    Algorithm, Boundary, ChunkChain, Dialect, Endpoint, Explanation, FormReader, Head, Key, PayloadError,
    PayloadHead, PayloadMode, PayloadVerifier, PostForm, Scope, SecretAccessKey, Signature, SignedForm,
    SignedRequest, Signer, SigningKey, Target, Timestamp, Verified, VerifyError, VerifyingKey, hex,
};

const ACCESS_KEY_ID: &str = "AKIDEXAMPLE";
const EMPTY_SHA256: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
const BOUNDARY: &str = "x";

fn now() -> Timestamp {
    Timestamp::parse_basic(b"20260312T081530Z").expect("a time")
}

fn secret() -> SecretAccessKey {
    SecretAccessKey::new("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
}

/// Derived once: deriving takes longer than all the rest.
static SIGNING_KEY: LazyLock<SigningKey> = LazyLock::new(|| {
    SigningKey::derive(&secret(), &Scope { date: now().date(), region: "us-east-1", service: "s3" })
});
static VERIFYING_KEY: LazyLock<VerifyingKey> =
    LazyLock::new(|| VerifyingKey::derive(ACCESS_KEY_ID, &secret()));

fn endpoint(dialect: Dialect) -> Endpoint {
    Endpoint { dialect, sigv4a: true, ..Endpoint::s3("us-east-1") }
}

fn signer(key: &SigningKey, dialect: Dialect) -> Signer<'_> {
    Signer { key, access_key_id: ACCESS_KEY_ID, session_token: None, dialect }
}

/// The headers of a request, without its signature.
fn headers() -> HeaderMap {
    [
        ("host", "bucket.s3.example.com"),
        ("x-amz-content-sha256", EMPTY_SHA256),
        ("x-amz-date", "20260312T081530Z"),
        ("x-amz-region-set", "us-east-1,eu-*"),
    ]
    .into_iter()
    .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
    .collect()
}

/// The verdict on a head; `None` if it does not even parse.
fn verify(head: Head<'_>, endpoint: &Endpoint) -> Option<Result<Verified, VerifyError>> {
    let request = SignedRequest::parse(head, endpoint, now()).ok()?;
    let id = request.access_key_id().to_owned();
    assert!((1..=128).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic()));
    drop(request.session_token());
    let other_day;
    let key = match request.algorithm() {
        Algorithm::HmacSha256 if request.scope() == SIGNING_KEY.scope() => Key::from(&*SIGNING_KEY),
        Algorithm::HmacSha256 => {
            assert_eq!((request.scope().region, request.scope().service), ("us-east-1", "s3"));
            other_day = SigningKey::derive(&secret(), &request.scope());
            Key::from(&other_day)
        }
        Algorithm::EcdsaP256Sha256 => Key::from(&*VERIFYING_KEY),
    };
    Some(request.verify(key))
}

fn get<'a>(query: Option<&'a [u8]>, headers: &'a HeaderMap) -> Head<'a> {
    Head { method: "GET", path: b"/key", query, headers, authority: None }
}

/// An `Authorization` header: accepted only with the one signature there is.
pub fn authorization(data: &[u8]) {
    let Ok(value) = HeaderValue::from_bytes(data) else { return };
    for dialect in [Dialect::S3, Dialect::Generic] {
        let mut headers = headers();
        headers.insert("authorization", value.clone());
        let Some(Ok(verified)) = verify(get(None, &headers), &endpoint(dialect)) else { continue };
        if contains(data, Algorithm::EcdsaP256Sha256.name().as_bytes()) {
            continue;
        }
        // Whatever headers are signed, only the signer can have signed them. What the corpus holds is from it.
        let signed =
            |(name, _): &(&HeaderName, &HeaderValue)| verified.signed_headers().contains(name.as_str());
        let mut own: HeaderMap =
            headers.iter().filter(signed).map(|(name, value)| (name.clone(), value.clone())).collect();
        let target = Target { method: "GET", path: b"/key", query: None };
        let signature =
            signer(&SIGNING_KEY, dialect).sign(target, &mut own, EMPTY_SHA256, now()).expect("signable");
        assert!(contains(data, &signature.to_hex()), "accepted with another signature");
    }
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

/// The query of a presigned request: no panic, and nothing accepted without a signature.
pub fn presigned(data: &[u8]) {
    let headers: HeaderMap =
        headers().into_iter().filter_map(|(name, value)| Some((name?, value))).take(1).collect();
    for dialect in [Dialect::S3, Dialect::Generic] {
        let verdict = verify(get(Some(data), &headers), &endpoint(dialect));
        assert!(
            !matches!(verdict, Some(Ok(_))) || contains(data, b"ignature"),
            "accepted without a signature"
        );
    }
}

/// Lines: method, path, query, headers. The hash that is signed is that of the text that explains it, and in the
/// S3 dialect the text is that of a reference written after the specification.
pub fn canonical(data: &[u8]) {
    let mut lines = data.split(|&byte| byte == b'\n');
    let (Some(method), Some(path), Some(query)) = (lines.next(), lines.next(), lines.next()) else { return };
    let Ok(method) = std::str::from_utf8(method) else { return };
    let mut headers = HeaderMap::new();
    for line in lines {
        let Some(colon) = line.iter().position(|&byte| byte == b':') else { continue };
        let name = HeaderName::from_bytes(&line[..colon]);
        if let (Ok(name), Ok(value)) = (name, HeaderValue::from_bytes(&line[colon + 1..])) {
            headers.append(name, value);
        }
    }
    headers.remove("authorization");
    for (name, value) in self::headers().iter().take(3) {
        headers.insert(name, value.clone());
    }
    let mut names: Vec<&str> = headers.keys().map(HeaderName::as_str).collect();
    names.sort_unstable();
    let authorization = format!(
        "AWS4-HMAC-SHA256 Credential={ACCESS_KEY_ID}/20260312/us-east-1/s3/aws4_request,SignedHeaders={},Signature=0",
        names.join(";")
    );
    let mut signed = headers.clone();
    signed.insert("authorization", HeaderValue::try_from(authorization).expect("names are tokens"));
    let query = (!query.is_empty()).then_some(query);
    for dialect in [Dialect::S3, Dialect::Generic] {
        let head = Head { method, path, query, headers: &signed, authority: None };
        let Some(Err(VerifyError::SignatureMismatch(explanation))) = verify(head, &endpoint(dialect)) else {
            continue;
        };
        let Explanation { canonical_request: text, string_to_sign, .. } = &*explanation;
        if text.contains(char::REPLACEMENT_CHARACTER) || text.contains("REDACTED") {
            continue;
        }
        let hash = hex::encode(digest(&SHA256, text.as_bytes()).as_ref());
        assert!(string_to_sign.ends_with(&hash), "explained otherwise than hashed: {text}");
        if dialect == Dialect::S3 {
            assert_eq!(*text, reference(method, path, query.unwrap_or_default(), &headers, &names));
        }
    }
}

/// The canonical request of the S3 dialect, as the specification has it and without a thought for speed.
fn reference(method: &str, path: &[u8], query: &[u8], headers: &HeaderMap, names: &[&str]) -> String {
    let encode = |text: &[u8], keep: &[u8]| -> String {
        let unreserved =
            |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) || keep.contains(&byte);
        let one =
            |&byte: &u8| if unreserved(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
        text.iter().map(one).collect()
    };
    let decode = |text: &[u8], plus: u8| -> Vec<u8> {
        let mut out = Vec::new();
        let mut bytes = text.iter().copied();
        while let Some(byte) = bytes.next() {
            out.push(match byte {
                b'%' => {
                    let digits = [bytes.next(), bytes.next()].map(|digit| digit.expect("checked before"));
                    let digits = std::str::from_utf8(&digits).expect("checked before");
                    u8::from_str_radix(digits, 16).expect("checked before")
                }
                b'+' => plus,
                byte => byte,
            });
        }
        out
    };
    let mut pairs: Vec<(String, String)> = query
        .split(|&byte| byte == b'&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let at = pair.iter().position(|&byte| byte == b'=').unwrap_or(pair.len());
            let value = pair.get(at + 1..).unwrap_or_default();
            (encode(&decode(&pair[..at], b' '), b""), encode(&decode(value, b' '), b""))
        })
        .collect();
    pairs.sort();
    let query: Vec<String> = pairs.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
    let lines = names.iter().map(|name| {
        let values = headers.get_all(*name).iter().map(|value| {
            let words = value.as_bytes().split(|byte| b" \t".contains(byte)).filter(|word| !word.is_empty());
            String::from_utf8_lossy(&words.collect::<Vec<_>>().join(&b' ')).into_owned()
        });
        format!("{name}:{}\n", values.collect::<Vec<_>>().join(","))
    });
    let path = encode(&decode(path, b'+'), b"/");
    let (query, lines, names) = (query.join("&"), lines.collect::<String>(), names.join(";"));
    format!("{method}\n{path}\n{query}\n{lines}\n{names}\n{EMPTY_SHA256}")
}

/// The wire cut where `cuts` says, over and over.
fn cut<'a>(wire: &'a [u8], cuts: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
    let mut sizes = cuts.iter().map(|&size| usize::from(size).max(1)).cycle();
    let mut rest = wire;
    std::iter::from_fn(move || {
        let size = sizes.next().unwrap_or(1).min(rest.len());
        let (piece, tail) = rest.split_at(size);
        rest = tail;
        (!piece.is_empty()).then_some(piece)
    })
}

/// What a verifier hands out and its verdict, as text.
fn receive<'a>(
    mode: PayloadMode,
    headers: &HeaderMap,
    pieces: impl Iterator<Item = &'a [u8]>,
) -> (Vec<u8>, Result<String, PayloadError>) {
    let head = Head { method: "PUT", path: b"/key", query: None, headers, authority: None };
    let mut out = VecDeque::new();
    let verdict = PayloadHead::parse(&head, &mode).and_then(|facts| {
        let mut verifier = PayloadVerifier::new(mode, facts);
        for piece in pieces {
            verifier.push(Bytes::copy_from_slice(piece), &mut out)?;
        }
        verifier.finish().map(|proof| format!("{proof:?}"))
    });
    (Vec::from(out).concat(), verdict)
}

/// The signatures of two heads whose bodies come in chunks signed with SigV4a, without and with trailers. They can be
/// verified and not made again: the chunks in the corpus chain on them.
const ASYMMETRIC: [(&str, &str); 2] = [
    (
        "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD",
        "3045022049f7c096c345a28f5be532b65cfcb013bde04fae9884c4b423eec104ed727c8c022100f2cc147d0e3f60195da300700a3c9dd79770e735e17a5a850cbc74762f8a918b",
    ),
    (
        "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD-TRAILER",
        "3045022100e9ddbf21f0596969be81484552d3d79bba9a679492503074c218d11a69b60ddf0220676e9067d975920f2c6221e768fd0b2b746f406ab569ff77fcfbdfbbcee21063",
    ),
];

/// What one of the [`ASYMMETRIC`] heads says about its body.
fn asymmetric((word, signature): (&'static str, &str)) -> PayloadMode {
    let mut headers = headers();
    headers.insert("x-amz-content-sha256", HeaderValue::from_static(word));
    let authorization = format!(
        "AWS4-ECDSA-P256-SHA256 Credential={ACCESS_KEY_ID}/20260312/s3/aws4_request,\
         SignedHeaders=host;x-amz-content-sha256;x-amz-date;x-amz-region-set,Signature={signature}",
    );
    headers.insert("authorization", HeaderValue::try_from(authorization).expect("digits"));
    let head = Head { method: "PUT", ..get(None, &headers) };
    let verdict = verify(head, &endpoint(Dialect::S3)).expect("the head is well-formed");
    verdict.expect("the head is signed").into_payload()
}

/// Form, trailer and length in the first bytes, how the wire is cut in the next, then the wire: however it is cut,
/// data and verdict are the same.
pub fn chunks(data: &[u8]) {
    let Some(([form, trailer, length, cuts @ ..], wire)) = data.split_first_chunk::<6>() else { return };
    let mut headers = HeaderMap::new();
    headers.insert("x-amz-decoded-content-length", HeaderValue::from(u16::from(*length)));
    let trailers = ["crc32", "crc32c", "crc64nvme", "sha1", "sha256"];
    if let Some(name) = trailers.get(usize::from(*trailer)) {
        let name = format!("x-amz-checksum-{name}");
        headers.insert("x-amz-trailer", HeaderValue::try_from(name).expect("a name"));
    }
    let mode = || {
        let chain = ChunkChain::new(&SIGNING_KEY, now(), Signature::parse(&[b'5'; 64]).expect("digits"));
        match form {
            0x80 | 0x81 => asymmetric(ASYMMETRIC[usize::from(form & 1)]),
            form if form % 3 == 0 => PayloadMode::UnsignedChunks,
            form if form % 3 == 1 => PayloadMode::SignedChunks { chain, trailer: false },
            _ => PayloadMode::SignedChunks { chain, trailer: true },
        }
    };
    let whole = receive(mode(), &headers, std::iter::once(wire));
    for cuts in [&cuts[..], &[1]] {
        let pieces = receive(mode(), &headers, cut(wire, cuts));
        assert_eq!(format!("{pieces:?}"), format!("{whole:?}"));
    }
    if let (content, Ok(_)) = whole {
        assert_eq!(content.len(), usize::from(*length), "proved, and not as long as announced");
    }
}

/// How the body is cut in the first bytes, then the body: however it is cut, form, verdict and file are the same.
pub fn form(data: &[u8]) {
    let Some((cuts, wire)) = data.split_first_chunk::<3>() else { return };
    let read = |pieces: &mut dyn Iterator<Item = &[u8]>| {
        let content_type = format!("multipart/form-data; boundary={BOUNDARY}");
        let mut reader = FormReader::new(Boundary::parse(content_type.as_bytes()).expect("a boundary"));
        for piece in pieces {
            if let Some(form) = reader.push(piece)? {
                return Ok(form);
            }
        }
        Err(reader.finish())
    };
    let whole = read(&mut std::iter::once(wire));
    for cuts in [&cuts[..], &[1]] {
        assert_eq!(format!("{:?}", read(&mut cut(wire, cuts))), format!("{whole:?}"));
    }
    let Ok(form) = whole else { return };
    let Some(mode) = judge(&form) else { return };
    let mut headers = HeaderMap::new();
    headers.insert("content-length", HeaderValue::from(u16::from(cuts[0])));
    for headers in [&HeaderMap::new(), &headers] {
        let mode = || PayloadMode::Form(mode.clone());
        let (content, verdict) = receive(mode(), headers, std::iter::once(wire));
        for cuts in [&cuts[..], &[1]] {
            let (pieces, outcome) = receive(mode(), headers, cut(wire, cuts));
            assert_eq!(format!("{outcome:?}"), format!("{verdict:?}"));
            assert!(verdict.is_err() || pieces == content);
        }
    }
}

/// The file of a form that is signed and allowed.
fn judge(form: &PostForm) -> Option<sigv4::FormFile> {
    let endpoint = endpoint(Dialect::S3);
    let signed = SignedForm::parse(form, "bucket", &endpoint, now()).ok()?;
    let key = SigningKey::derive(&secret(), &signed.scope());
    let verified = signed.verify(&key).ok()?;
    assert!(!verified.key().is_empty());
    Some(verified.file().clone())
}

/// A policy, rightly signed: whatever it says, a form that it does not mention is refused.
pub fn policy(data: &[u8]) {
    let Ok(policy) = std::str::from_utf8(data) else { return };
    let mut fields =
        signer(&SIGNING_KEY, Dialect::S3).sign_policy(policy, now()).expect("the key is of today");
    fields.push(("key", "a".to_owned()));
    fields.push(("acl", "private".to_owned()));
    let field = |(name, value): (&str, String)| {
        format!("--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
    };
    let mut wire: String = fields.into_iter().map(field).collect();
    wire += &format!("--{BOUNDARY}\r\nContent-Disposition: form-data; name=file\r\n\r\n\r\n--{BOUNDARY}--");
    let boundary = Boundary::parse(format!("multipart/form-data; boundary={BOUNDARY}").as_bytes());
    let mut reader = FormReader::new(boundary.expect("a boundary"));
    let Ok(Some(form)) = reader.push(wire.as_bytes()) else { return };
    if judge(&form).is_some() {
        for word in ["expiration", "conditions"] {
            assert!(policy.contains(word) || policy.contains('\\'), "allowed without {word}: {policy}");
        }
        let lower = policy.to_ascii_lowercase();
        let mentioned = ["bucket", "key", "acl"].iter().all(|name| lower.contains(name));
        assert!(mentioned || policy.contains('\\'), "allowed unmentioned: {policy}");
    }
}

/// The DER of an asymmetric signature: accepted only if it is DER, in its one minimal form.
pub fn der(data: &[u8]) {
    let mut headers = headers();
    let authorization = format!(
        "AWS4-ECDSA-P256-SHA256 Credential={ACCESS_KEY_ID}/20260312/s3/aws4_request,\
         SignedHeaders=host;x-amz-content-sha256;x-amz-date;x-amz-region-set,Signature={}",
        hex::encode(data)
    );
    headers.insert("authorization", HeaderValue::try_from(authorization).expect("digits"));
    if let Some(Ok(_)) = verify(get(None, &headers), &endpoint(Dialect::S3)) {
        assert!(is_minimal(data), "accepted, and not the one encoding: {}", hex::encode(data));
    }
}

/// Whether bytes are a sequence of two positive integers, each in its shortest form, and nothing else.
fn is_minimal(der: &[u8]) -> bool {
    fn integer(der: &[u8]) -> Option<&[u8]> {
        let [0x02, length @ 1..=33, rest @ ..] = der else { return None };
        let (digits, rest) = rest.split_at_checked(usize::from(*length))?;
        let minimal = match digits {
            [0, next, ..] => *next >= 0x80,
            [first, ..] => *first < 0x80 && *first > 0,
            [] => false,
        };
        minimal.then_some(rest)
    }
    match der {
        [0x30, length, rest @ ..] if usize::from(*length) == rest.len() => {
            integer(rest).and_then(integer).is_some_and(<[u8]>::is_empty)
        }
        _ => false,
    }
}
