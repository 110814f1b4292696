//! Bodies in one piece, and what a head may state about any body.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sigv4::{Checksum, ChecksumAlgorithm, PayloadError, PayloadMode};

use crate::bodies::{Form, Request, verdict};

const BODY: &[u8] = b"Welcome to Amazon S3.";
/// SHA-256 of [`BODY`], from the example "PUT Object" in
/// <https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html>.
const BODY_SHA256: &str = "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072";
const EMPTY_SHA256: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
/// MD5 of "123456789", RFC 1321 implementations agree on it.
const DIGITS_MD5: [u8; 16] =
    [0x25, 0xf9, 0xe7, 0x94, 0x32, 0x3b, 0x45, 0x38, 0x85, 0xf5, 0x18, 0x1f, 0x1b, 0x62, 0x4d, 0x0b];

fn sha256(hex: &str) -> PayloadMode {
    let byte = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).expect("hexadecimal");
    PayloadMode::Sha256(std::array::from_fn(|i| byte(2 * i)))
}

/// An upload of `body` in one piece.
fn put(body: &[u8]) -> Request {
    Request::new("PUT").with("content-length", &body.len().to_string())
}

fn sum(algorithm: ChecksumAlgorithm, data: &[u8]) -> String {
    Checksum::of(algorithm, data).base64()
}

#[test]
fn a_body_must_have_the_declared_hash() {
    let table =
        [(BODY_SHA256, BODY, "ok"), (EMPTY_SHA256, b"", "ok"), (EMPTY_SHA256, BODY, "Sha256Mismatch")];
    for (declared, body, expected) in table {
        let (data, outcome) = put(body).verify(sha256(declared), body);
        assert_eq!((data.as_slice(), verdict(&outcome).as_str()), (body, expected), "{declared}");
    }
}

#[test]
fn a_hash_mismatch_quotes_the_declared_hash_as_received() {
    for text in [EMPTY_SHA256.to_owned(), EMPTY_SHA256.to_uppercase()] {
        let request = put(BODY).with("x-amz-content-sha256", &text);
        let (_, outcome) = request.verify(sha256(EMPTY_SHA256), BODY);
        let Err(PayloadError::Sha256Mismatch { declared, computed }) = outcome else {
            panic!("{outcome:?}");
        };
        assert_eq!((declared, computed), (text, BODY_SHA256.to_owned()));
    }
}

#[test]
fn an_empty_read_needs_no_right_hash_and_every_other_request_does() {
    let table = [
        ("GET", b"".as_slice(), "ok"),
        ("HEAD", b"", "ok"),
        ("GET", BODY, "Sha256Mismatch"),
        ("PUT", b"", "Sha256Mismatch"),
        ("POST", b"", "Sha256Mismatch"),
        ("DELETE", b"", "Sha256Mismatch"),
        ("get", b"", "Sha256Mismatch"),
    ];
    let other = sum(ChecksumAlgorithm::Crc32, b"other");
    for (method, body, expected) in table {
        let request = Request::new(method)
            .with("content-length", &body.len().to_string())
            .with("content-md5", &STANDARD.encode(DIGITS_MD5))
            .with("x-amz-checksum-crc32", &other);
        let (_, outcome) = request.verify(sha256(&"0".repeat(64)), body);
        assert_eq!(verdict(&outcome), expected, "{method}");
    }
}

#[test]
fn a_read_whose_announced_body_never_came_is_refused() {
    let request = Request::new("GET").with("content-length", "5");
    assert_eq!(verdict(&request.verify(sha256(EMPTY_SHA256), b"").1), "LengthMismatch");
}

#[test]
fn an_unsigned_body_passes_as_it_is() {
    let framed = b"5\r\nhello\r\n0\r\n\r\n";
    let request = put(framed).with("content-encoding", "aws-chunked");
    let (data, outcome) = request.verify(PayloadMode::Unsigned, framed);
    assert_eq!((data.as_slice(), verdict(&outcome).as_str()), (&framed[..], "ok"));
}

#[test]
fn a_body_read_before_is_not_read_again() {
    let request = Request::new("POST").with("content-length", "7").with("content-md5", "invalid");
    let (data, outcome) = request.verify(PayloadMode::Verified, BODY);
    assert_eq!((data.as_slice(), verdict(&outcome).as_str()), (BODY, "ok"));
}

#[test]
fn a_body_must_have_the_announced_length() {
    for (announced, pieces) in [(22, vec![BODY]), (20, vec![BODY]), (20, vec![&BODY[..3], &BODY[3..]])] {
        for mode in [PayloadMode::Unsigned, sha256(BODY_SHA256)] {
            let request = Request::new("PUT").with("content-length", &announced.to_string());
            let (data, outcome) = request.verify_pieces(mode, pieces.clone());
            let Err(PayloadError::LengthMismatch { expected, provided }) = outcome else {
                panic!("{outcome:?}");
            };
            assert_eq!((expected, provided), (announced, 21));
            assert!(data.len() as u64 <= announced, "more than announced was handed out");
        }
    }
}

#[test]
fn the_length_of_a_chunked_wire_must_be_the_announced_one_too() {
    let wire = b"5\r\nhello\r\n0\r\n\r\n";
    for (length, expected) in [(15, "ok"), (16, "LengthMismatch"), (14, "LengthMismatch")] {
        let request = Request::chunked(5).with("content-length", &length.to_string());
        assert_eq!(verdict(&request.verify(Form::Unsigned.mode(), wire).1), expected, "{length}");
    }
}

#[test]
fn a_head_must_give_the_length_its_framing_needs() {
    let plain = || PayloadMode::Unsigned;
    let chunked = || PayloadMode::UnsignedChunks;
    let decoded = "x-amz-decoded-content-length";
    let none: &[(&'static str, &str)] = &[];
    type Head<'a> = &'a [(&'static str, &'a str)];
    let table: [(&'static str, PayloadMode, Head<'_>, &str); 14] = [
        ("PUT", plain(), none, "MissingContentLength"),
        ("PUT", plain(), &[("content-length", "0")], "ok"),
        ("PUT", plain(), &[("content-length", "1"), ("content-length", "1")], "MissingContentLength"),
        ("PUT", plain(), &[("content-length", "+1")], "MissingContentLength"),
        ("PUT", plain(), &[(decoded, "1")], "MissingContentLength"),
        ("GET", plain(), none, "ok"),
        ("DELETE", plain(), none, "ok"),
        ("POST", plain(), none, "ok"),
        ("PUT", chunked(), &[("content-length", "1")], "MissingContentLength"),
        ("PUT", chunked(), &[(decoded, "32")], "ok"),
        ("PUT", chunked(), &[(decoded, "not an int")], "MissingContentLength"),
        ("PUT", chunked(), &[(decoded, "-1")], "MissingContentLength"),
        ("PUT", chunked(), &[(decoded, "")], "MissingContentLength"),
        ("PUT", chunked(), &[(decoded, "18446744073709551616")], "MissingContentLength"),
    ];
    for (method, mode, headers, expected) in table {
        let request =
            headers.iter().fold(Request::new(method), |request, (name, value)| request.with(name, value));
        assert_eq!(verdict(&request.parse(&mode)), expected, "{method} {mode:?} {headers:?}");
    }
}

#[test]
fn content_md5_is_16_bytes_in_base64() {
    for value in ["invalid", "", "AAAA", "====", &"A".repeat(24), &"A".repeat(23)] {
        let outcome = put(BODY).with("content-md5", value).parse(&PayloadMode::Unsigned);
        let Err(PayloadError::InvalidContentMd5 { value: quoted }) = outcome else {
            panic!("{value}: {outcome:?}");
        };
        assert_eq!(quoted, value);
    }
    let right = STANDARD.encode(DIGITS_MD5);
    let twice = put(BODY).with("content-md5", &right).with("content-md5", &right);
    assert_eq!(verdict(&twice.parse(&PayloadMode::Unsigned)), "InvalidContentMd5");
}

#[test]
fn content_md5_is_that_of_the_decoded_body() {
    let md5 = STANDARD.encode(DIGITS_MD5);
    let plain = |body: &[u8]| put(body).with("content-md5", &md5).verify(PayloadMode::Unsigned, body).1;
    assert_eq!(verdict(&plain(b"123456789")), "ok");
    let Err(PayloadError::Md5Mismatch { declared, computed }) = plain(b"") else {
        panic!("an empty body has another MD5");
    };
    assert_eq!(declared, DIGITS_MD5);
    assert_eq!(STANDARD.encode(computed), "1B2M2Y8AsgTpgAmY7PhCfg==");
    let chunked = Request::chunked(9).with("content-md5", &md5);
    let (_, outcome) = chunked.verify(Form::Unsigned.mode(), b"5\r\n12345\r\n4\r\n6789\r\n0\r\n\r\n");
    assert_eq!(verdict(&outcome), "ok");
}

#[test]
fn each_checksum_header_is_verified_in_each_framing() {
    let wire = b"5\r\nhello\r\n0\r\n\r\n";
    for algorithm in ChecksumAlgorithm::ALL {
        for (data, expected) in [(b"hello", "ok"), (b"olleh", "ChecksumMismatch")] {
            let value = sum(algorithm, data);
            let plain = put(b"hello").with(algorithm.header_name(), &value);
            assert_eq!(verdict(&plain.verify(PayloadMode::Unsigned, b"hello").1), expected, "{algorithm:?}");
            let chunked = Request::chunked(5).with(algorithm.header_name(), &value);
            let (_, outcome) = chunked.verify(Form::Unsigned.mode(), wire);
            assert_eq!(verdict(&outcome), expected, "{algorithm:?}");
        }
    }
}

#[test]
fn a_hash_stated_twice_must_be_right_both_times() {
    let right = sum(ChecksumAlgorithm::Sha256, BODY);
    let wrong = sum(ChecksumAlgorithm::Sha256, b"");
    let table = [
        (BODY_SHA256, &right, BODY, "ok"),
        (BODY_SHA256, &right, b"", "Sha256Mismatch"),
        (BODY_SHA256, &wrong, BODY, "ChecksumMismatch"),
        (EMPTY_SHA256, &right, BODY, "Sha256Mismatch"),
    ];
    for (declared, checksum, body, expected) in table {
        let request = put(body).with("x-amz-checksum-sha256", checksum);
        let (_, outcome) = request.verify(sha256(declared), body);
        assert_eq!(verdict(&outcome), expected, "{declared} {checksum}");
    }
}

#[test]
fn of_several_mismatches_the_hash_is_named_before_the_md5_and_that_before_the_checksum() {
    let md5 = STANDARD.encode(DIGITS_MD5);
    let crc = sum(ChecksumAlgorithm::Crc32, b"other");
    let wrong = put(BODY).with("content-md5", &md5).with("x-amz-checksum-crc32", &crc);
    let right = put(BODY).with("x-amz-checksum-crc32", &crc);
    assert_eq!(verdict(&wrong.verify(sha256(EMPTY_SHA256), BODY).1), "Sha256Mismatch");
    assert_eq!(verdict(&wrong.verify(sha256(BODY_SHA256), BODY).1), "Md5Mismatch");
    assert_eq!(verdict(&right.verify(sha256(BODY_SHA256), BODY).1), "ChecksumMismatch");
    let short = wrong.verify(sha256(EMPTY_SHA256), &BODY[1..]).1;
    assert_eq!(verdict(&short), "LengthMismatch", "and the length before all of them");
}

#[test]
fn a_head_states_one_checksum_at_most() {
    const CRC32: &str = "x-amz-checksum-crc32";
    const CRC32C: &str = "x-amz-checksum-crc32c";
    const TRAILER: &str = "x-amz-trailer";
    const SDK: &str = "x-amz-sdk-checksum-algorithm";
    let value = "AAAAAA==";
    let table: [(&[(&'static str, &str)], &str); 26] = [
        (&[(CRC32, value)], "ok"),
        (&[(CRC32, value), ("x-amz-checksum-type", "COMPOSITE")], "ok"),
        (&[(CRC32, value), ("x-amz-checksum-algorithm", "crc32")], "ok"),
        (&[(CRC32, value), ("x-amz-checksum-mode", "ENABLED")], "ok"),
        (&[(CRC32, "bad")], "InvalidChecksumHeader"),
        (&[("x-amz-checksum-bad", value)], "UnknownChecksumHeader"),
        (&[(CRC32, value), (CRC32C, value)], "SeveralChecksums"),
        (&[(CRC32, value), (CRC32, value)], "SeveralChecksums"),
        (&[(SDK, "sha256"), (CRC32, value), (CRC32C, value)], "SeveralChecksums"),
        (&[(TRAILER, CRC32)], "ok"),
        (&[(SDK, "crc32"), (CRC32, value), (TRAILER, CRC32C)], "HeaderAndTrailer"),
        (&[(SDK, "crc32"), (CRC32, value), (TRAILER, CRC32)], "HeaderAndTrailer"),
        (&[(CRC32, value), (TRAILER, "x-amz-checksum-crc32, x-amz-checksum-crc32c")], "SeveralChecksums"),
        (&[(SDK, "sha256"), (TRAILER, "x-amz-checksum-crc32, x-amz-checksum-crc32")], "SeveralChecksums"),
        (&[(TRAILER, CRC32), (TRAILER, CRC32C)], "SeveralChecksums"),
        (&[(CRC32, value), (CRC32C, value), (TRAILER, CRC32)], "SeveralChecksums"),
        (&[(SDK, "CRC32"), (CRC32, value)], "ok"),
        (&[(SDK, "crc32"), (CRC32, value)], "ok"),
        (&[(SDK, "crc32"), (TRAILER, CRC32)], "ok"),
        (&[(SDK, "CRC32C"), (CRC32, value)], "InvalidSdkAlgorithm"),
        (&[(SDK, "crc32c"), (TRAILER, CRC32)], "InvalidSdkAlgorithm"),
        (&[(SDK, "nonsense"), (CRC32, value)], "InvalidSdkAlgorithm"),
        (&[(SDK, "nonsense")], "InvalidSdkAlgorithm"),
        (&[(SDK, ""), (CRC32, value)], "InvalidSdkAlgorithm"),
        (&[(SDK, "CRC32"), (SDK, "CRC32"), (CRC32, value)], "InvalidSdkAlgorithm"),
        (&[(SDK, "CRC32")], "SdkAlgorithmAlone"),
    ];
    for (headers, expected) in table {
        let request =
            headers.iter().fold(Request::chunked(0), |request, (name, value)| request.with(name, value));
        assert_eq!(verdict(&request.parse(&Form::Unsigned.mode())), expected, "{headers:?}");
    }
}

#[test]
fn a_head_tells_whether_its_body_is_checked() {
    let sha256 = || sha256(BODY_SHA256);
    let plain = put(BODY);
    for (request, mode, checked) in [
        (plain.clone(), sha256(), false),
        (plain.clone(), PayloadMode::Unsigned, false),
        (plain.clone().with("content-md5", &STANDARD.encode(DIGITS_MD5)), sha256(), true),
        (plain.with("x-amz-checksum-crc32", &sum(ChecksumAlgorithm::Crc32, BODY)), sha256(), true),
        (Request::chunked(1).with("x-amz-trailer", "x-amz-checksum-crc32"), Form::Unsigned.mode(), true),
        (Request::chunked(1), Form::Unsigned.mode(), false),
    ] {
        assert_eq!(request.parse(&mode).unwrap().is_checked(), checked, "{request:?}");
    }
}

#[test]
fn the_list_of_trailers_is_split_as_java_splits() {
    let table = [
        ("x-amz-checksum-crc32", "ok"),
        ("X-Amz-Checksum-CRC32", "ok"),
        ("x-amz-checksum-crc32,", "ok"),
        ("x-amz-checksum-crc32,,", "ok"),
        ("x-amz-checksum-crc32 ,", "ok"),
        (", x-amz-checksum-crc32, ,", "UnsupportedTrailer"),
        (", x-amz-checksum-crc32", "UnsupportedTrailer"),
        (",x-amz-checksum-crc32", "UnsupportedTrailer"),
        ("x-amz-checksum-crc32, ,", "UnsupportedTrailer"),
        ("", "UnsupportedTrailer"),
        ("foo", "UnsupportedTrailer"),
        ("content-md5", "UnsupportedTrailer"),
        ("x-amz-content-sha256", "UnsupportedTrailer"),
        ("x-amz-checksum-bad", "UnsupportedTrailer"),
        ("x-amz-checksum-crc32, x-amz-foo", "UnsupportedTrailer"),
        ("x-amz-checksum-crc32, x-amz-checksum-sha256", "SeveralChecksums"),
    ];
    for (value, expected) in table {
        let outcome = Request::chunked(0).with("x-amz-trailer", value).parse(&Form::Unsigned.mode());
        assert_eq!(verdict(&outcome), expected, "{value:?}");
    }
}

#[test]
fn a_trailer_needs_a_framing_that_has_one() {
    let request =
        || Request::chunked(0).with("content-length", "0").with("x-amz-trailer", "x-amz-checksum-crc32");
    let table = [
        (Form::Unsigned.mode(), "ok"),
        (Form::SignedTrailer.mode(), "ok"),
        (Form::Signed.mode(), "TrailerWithoutFraming"),
        (PayloadMode::Unsigned, "TrailerWithoutFraming"),
        (sha256(EMPTY_SHA256), "TrailerWithoutFraming"),
    ];
    for (mode, expected) in table {
        assert_eq!(verdict(&request().parse(&mode)), expected, "{mode:?}");
    }
    let with_algorithm = request().with("x-amz-sdk-checksum-algorithm", "crc32");
    assert_eq!(verdict(&with_algorithm.parse(&sha256(EMPTY_SHA256))), "TrailerWithoutFraming");
}

#[test]
fn completing_a_multipart_upload_states_the_checksum_of_the_object() {
    let body = b"<CompleteMultipartUpload/>";
    let other = sum(ChecksumAlgorithm::Crc32, b"the object");
    let request = |method, query| {
        let mut request = Request::new(method)
            .with("content-length", &body.len().to_string())
            .with("x-amz-checksum-crc32", &other);
        request.query = query;
        request
    };
    let table = [
        ("POST", Some("uploadId=abc"), "ok"),
        ("POST", Some("x-id=CompleteMultipartUpload&uploadId=abc"), "ok"),
        ("POST", Some("delete="), "ChecksumMismatch"),
        ("POST", None, "ChecksumMismatch"),
        ("PUT", Some("partNumber=1&uploadId=abc"), "ChecksumMismatch"),
    ];
    for (method, query, expected) in table {
        let (_, outcome) = request(method, query).verify(PayloadMode::Unsigned, body);
        assert_eq!(verdict(&outcome), expected, "{method} {query:?}");
    }
    let mut composite = Request::new("POST").with("x-amz-checksum-crc32", "AAAAAA==-3");
    composite.query = Some("uploadId=abc");
    assert_eq!(verdict(&composite.parse(&PayloadMode::Unsigned)), "ok");
}
