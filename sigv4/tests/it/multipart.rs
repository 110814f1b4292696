//! The framing of form uploads: whatever the cut, the same fields, the same file, the same verdict.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use sigv4::{Boundary, FormError, PayloadError};

use crate::bodies::verdict;
use crate::forms::{BOUNDARY, Refusal, Upload, read, receive};

/// What a reader makes of a body: the names and values of its form, or why there is none.
fn form(wire: &[u8]) -> Result<Vec<(String, String)>, FormError> {
    let form = read([wire])?;
    let names = ["key", "a", "b", ""];
    Ok(names
        .iter()
        .filter_map(|name| form.field(name).map(|value| ((*name).to_owned(), value.to_owned())))
        .collect())
}

/// With `@` for the boundary and `|` for a line end.
fn body(text: &str) -> Vec<u8> {
    text.replace('|', "\r\n").replace('@', &format!("--{BOUNDARY}")).into_bytes()
}

const FILE: &str = "@|Content-Disposition: form-data; name=file||data|@--|";

#[test]
fn boundaries_are_read_quoted_or_not() {
    let good = [
        "multipart/form-data; boundary=x",
        "Multipart/Form-Data;boundary=\"x y\"; charset=utf-8",
        "multipart/form-data; charset=utf-8; BOUNDARY=----WebKitFormBoundary7MA4YWxkTrZu0gW",
    ];
    for content_type in good {
        assert!(Boundary::parse(content_type.as_bytes()).is_ok(), "{content_type}");
    }
    let long = format!("multipart/form-data; boundary={}", "x".repeat(71));
    for (content_type, expected) in [
        ("", FormError::NotMultipart),
        ("application/x-www-form-urlencoded", FormError::NotMultipart),
        ("multipart/mixed; boundary=x", FormError::NotMultipart),
        ("multipart/form-data-2; boundary=x", FormError::NotMultipart),
        ("multipart/form-data", FormError::MissingBoundary),
        ("multipart/form-data; boundary=", FormError::MissingBoundary),
        ("multipart/form-data; boundary=\"x \"", FormError::MissingBoundary),
        ("multipart/form-data; boundary=\u{e9}", FormError::MissingBoundary),
        (&long, FormError::MissingBoundary),
    ] {
        assert_eq!(Boundary::parse(content_type.as_bytes()).unwrap_err(), expected, "{content_type}");
    }
}

#[test]
fn fields_are_read_up_to_the_file() {
    let field = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let plain = "@|Content-Disposition: form-data; name=\"key\"||value|";
    for (before, expected) in [
        (String::new(), vec![]),
        (plain.to_owned(), vec![field("key", "value")]),
        (format!("|{plain}"), vec![field("key", "value")]),
        (format!("\n{plain}"), vec![field("key", "value")]),
        (format!("preamble @|{plain}"), vec![field("key", "value")]),
        (plain.replace("@|", "@ \t|"), vec![field("key", "value")]),
        (plain.replace("key", "KEY"), vec![field("key", "value")]),
        (plain.replace("value", ""), vec![field("key", "")]),
        (plain.replace("value", "|--|--"), vec![field("key", "\r\n--\r\n--")]),
        (
            plain.replace("Content-Disposition", "X-Other: a;b|content-disposition"),
            vec![field("key", "value")],
        ),
        (
            plain.to_owned() + "@|Content-Disposition: form-data; name=a||2|",
            vec![field("key", "value"), field("a", "2")],
        ),
    ] {
        assert_eq!(form(&body(&(before.clone() + FILE))), Ok(expected), "{before}");
    }
}

#[test]
fn a_broken_form_is_refused_for_what_is_broken() {
    let named = "@|Content-Disposition: form-data; name=a";
    for (text, expected) in [
        (String::new(), FormError::Truncated),
        ("no form at all".to_owned(), FormError::Truncated),
        (format!("x{FILE}"), FormError::MissingFile),
        ("@--|".to_owned(), FormError::MissingFile),
        (format!("{named}||1|@--|{FILE}"), FormError::MissingFile),
        (format!("{named}||1"), FormError::Truncated),
        (named.to_owned(), FormError::Truncated),
        ("@x|".to_owned(), FormError::MalformedPart),
        ("@\n".to_owned(), FormError::MalformedPart),
        ("@-|".to_owned(), FormError::MalformedPart),
        (format!("@||{FILE}"), FormError::MalformedPart),
        ("@|Content-Disposition: form-data||1|".to_owned() + FILE, FormError::MalformedPart),
        ("@|Content-Disposition: attachment; name=a||1|".to_owned() + FILE, FormError::MalformedPart),
        ("@|Content-Disposition: form-data; name=a|no colon||1|".to_owned(), FormError::MalformedPart),
        ("@|Content-Disposition: form-data;| name=a||1|".to_owned(), FormError::MalformedPart),
        (format!("{named}|Content-Disposition: form-data; name=b||1|"), FormError::MalformedPart),
        (format!("{named}; name=b||1|"), FormError::MalformedPart),
    ] {
        assert_eq!(form(&body(&text)), Err(expected), "{text}");
    }
    let mut wire = body(&format!("{named}||1|{FILE}"));
    let value = wire.iter().position(|&byte| byte == b'1').unwrap();
    wire[value] = 0xff;
    assert_eq!(form(&wire), Err(FormError::MalformedPart), "values are text");
}

#[test]
fn what_stands_before_the_file_is_bounded() {
    let wire = |padding: usize| {
        let value = "x".repeat(padding);
        body(&format!("@|Content-Disposition: form-data; name=a||{value}|{FILE}"))
    };
    let head = wire(0).windows(8).position(|window| window == b"\r\n\r\ndata").unwrap() + 4;
    let room = 20 * 1024 - head;
    assert!(form(&wire(room)).is_ok());
    assert_eq!(form(&wire(room + 1)), Err(FormError::FieldsTooLong));
    let byte_by_byte = read(wire(room + 1).chunks(1)).map(|_| ());
    assert_eq!(byte_by_byte, Err(FormError::FieldsTooLong));
    assert_eq!(form(&[b'x'; 30_000]), Err(FormError::FieldsTooLong), "a preamble too");
}

#[test]
fn the_file_ends_at_the_first_delimiter_and_the_rest_is_ignored() {
    let upload = Upload::allowed("");
    let another: &[u8] = b"\r\nContent-Disposition: form-data; name=\"acl\"\r\n\r\nprivate\r\n--x";
    let long: &'static [u8] = Box::leak(vec![b'-'; 20 * 1024 + 2].into_boxed_slice());
    let longer: &'static [u8] = Box::leak(vec![b'-'; 20 * 1024 + 3].into_boxed_slice());
    for (end, expected) in [
        (&b"--\r\n"[..], "ok"),
        (b"--", "ok"),
        (b"--junk", "ok"),
        (b"\r\n", "ok"),
        (b" \t\r\n", "ok"),
        (another, "ok"),
        (long, "ok"),
        (longer, "FieldsTooLong"),
        (b"", "Truncated"),
        (b"-", "Truncated"),
        (b"\r", "Truncated"),
        (b"\n", "MalformedPart"),
        (b"x\r\n", "MalformedPart"),
        (b" --\r\n", "MalformedPart"),
    ] {
        let upload = Upload { end, ..upload.clone() };
        let verdict = match upload.receive() {
            Ok((file, _)) => {
                assert_eq!(file, upload.file);
                "ok".to_owned()
            }
            Err(Refusal::Payload(PayloadError::Form(error))) => format!("{error:?}"),
            Err(other) => panic!("{other:?}"),
        };
        assert_eq!(verdict, expected, "{}", String::from_utf8_lossy(&end[..end.len().min(80)]));
    }
}

#[test]
fn the_size_of_the_file_is_held_to_the_policy_while_it_streams() {
    let form = Upload::allowed(r#"["content-length-range", 3, 5]"#).verify().unwrap();
    for (file, expected) in [
        ("12", "Form(FileTooSmall { size: 2, min: 3 })"),
        ("123", "ok"),
        ("12345", "ok"),
        ("123456", "Form(FileTooLarge { size: 6, max: 5 })"),
        ("1234567890", "Form(FileTooLarge { size: 6, max: 5 })"),
    ] {
        let upload = Upload { file: file.as_bytes().to_vec(), ..Upload::allowed("") };
        let mut wire = Upload::allowed(r#"["content-length-range", 3, 5]"#).head();
        wire.extend_from_slice(&upload.wire()[upload.head().len()..]);
        for step in [1, 3, wire.len()] {
            let (data, outcome) = receive(&form, &[], wire.chunks(step));
            assert!(data.len() <= 5, "{file}: no byte beyond the range is handed out");
            let outcome = outcome.map_or_else(|error| format!("{error:?}"), |_| "ok".to_owned());
            assert_eq!(outcome, expected, "{file}");
        }
    }
}

#[test]
fn a_file_has_the_length_that_was_promised_for_it() {
    let upload = Upload::allowed("");
    let form = upload.verify().unwrap();
    let wire = upload.wire();
    let length = form.file().length_if_last(wire.len() as u64).unwrap();
    assert_eq!(length, upload.file.len() as u64);
    for (promised, expected) in [(length, "ok"), (length - 1, "Form"), (length + 1, "Form")] {
        let promised = promised.to_string();
        let (data, outcome) = receive(&form, &[("content-length", &promised)], wire.chunks(5));
        assert_eq!(verdict(&outcome), expected, "{promised}");
        assert!(data.len() as u64 <= promised.parse().unwrap(), "no byte beyond the promise is handed out");
    }
    let followed = Upload { end: b"\r\nContent-Disposition: form-data; name=x\r\n\r\n", ..upload.clone() };
    let promised = form.file().length_if_last(followed.wire().len() as u64).unwrap().to_string();
    let (_, outcome) = receive(&form, &[("content-length", &promised)], [&followed.wire()[..]]);
    assert!(matches!(outcome, Err(PayloadError::Form(FormError::FileNotLast))), "{outcome:?}");
    assert_eq!(form.file().length_if_last(upload.head().len() as u64), None, "no room for a file");
}

#[test]
fn the_length_of_a_file_is_known_once_its_end_is() {
    let upload = Upload::allowed("");
    let form = upload.verify().unwrap();
    let wire = bytes::Bytes::from(upload.wire());
    let known = |end: usize| form.file().length_within(&wire.slice(..end)).unwrap();
    assert_eq!(known(wire.len()), Some(upload.file.len() as u64));
    assert_eq!(known(wire.len() - 2), Some(upload.file.len() as u64));
    assert_eq!(known(wire.len() - 3), None);
    assert_eq!(known(20), None);
}

#[test]
fn checksums_of_the_file_are_proved() {
    let upload = Upload { file: b"123456789".to_vec(), ..Upload::allowed("") };
    let form = upload.verify().unwrap();
    for (name, value, expected) in [
        ("content-md5", "JfnnlDI7RTiF9RgfG2JNCw==", "ok"),
        ("content-md5", "AAAAAAAAAAAAAAAAAAAAAA==", "Md5Mismatch"),
        ("content-md5", "x", "InvalidContentMd5"),
        ("x-amz-checksum-crc32", "y/Q5Jg==", "ok"),
        ("x-amz-checksum-crc32", "AAAAAA==", "ChecksumMismatch"),
        ("x-amz-checksum-crc32", "x", "InvalidChecksumHeader"),
        ("x-amz-checksum-crc31", "x", "UnknownChecksumHeader"),
        ("x-amz-trailer", "x-amz-checksum-crc32", "TrailerWithoutFraming"),
    ] {
        let (_, outcome) = receive(&form, &[(name, value)], upload.wire().chunks(11));
        assert_eq!(verdict(&outcome), expected, "{name}: {value}");
    }
}

/// Data rich in what a delimiter is made of.
fn file() -> impl Strategy<Value = Vec<u8>> {
    const PIECES: &[&[u8]] =
        &[b"\r", b"\n", b"\r\n", b"\r\n--", b"--", b"\r\n------boundary7MA4YWx", b"x", b"----b"];
    vec(proptest::sample::select(PIECES), 0..20).prop_map(|pieces| pieces.concat())
}

fn cut<'a>(wire: &'a [u8], cuts: &[Index]) -> Vec<&'a [u8]> {
    let mut at: Vec<usize> = cuts.iter().map(|cut| cut.index(wire.len() + 1)).collect();
    at.extend([0, wire.len()]);
    at.sort_unstable();
    at.windows(2).map(|two| &wire[two[0]..two[1]]).collect()
}

proptest! {
    #[test]
    fn any_cut_gives_the_same_file(file in file(), cuts in vec(any::<Index>(), 0..12), max in 0_u64..60) {
        let upload = Upload { file, ..Upload::allowed(&format!(r#"["content-length-range", 2, {max}]"#)) };
        let wire = upload.wire();
        let form = upload.verify().unwrap();
        let promise = (upload.file.len() + 3).to_string();
        for headers in [&[][..], &[("content-length", &*promise)]] {
            let (whole, expected) = receive(&form, headers, [&wire[..]]);
            let (pieces, outcome) = receive(&form, headers, cut(&wire, &cuts));
            let (bytes, outcome_of_bytes) = receive(&form, headers, wire.chunks(1));
            prop_assert_eq!(format!("{outcome:?}"), format!("{expected:?}"));
            prop_assert_eq!(format!("{outcome_of_bytes:?}"), format!("{expected:?}"));
            if expected.is_ok() {
                prop_assert!(whole == upload.file && pieces == upload.file && bytes == upload.file);
            }
        }
    }

    #[test]
    fn any_cut_gives_the_same_form(
        names in vec("[a-zA-Z\"\\\\;= -]{0,5}", 0..4),
        damage in vec((any::<Index>(), proptest::sample::select(&b"\r\n-;\"=x \xff"[..])), 0..3),
        cuts in vec(any::<Index>(), 0..12),
    ) {
        let upload = names.iter().fold(Upload::allowed(""), |upload, name| upload.and(name, "\r\n-"));
        let mut wire = upload.wire();
        for (place, byte) in damage {
            let at = place.index(wire.len());
            wire[at] = byte;
        }
        let expected = format!("{:?}", read([&wire[..]]));
        prop_assert_eq!(format!("{:?}", read(cut(&wire, &cuts))), expected.as_str());
        prop_assert_eq!(format!("{:?}", read(wire.chunks(1))), expected.as_str());
    }

    #[test]
    fn no_form_panics(garbage in vec(any::<u8>(), 0..300), text in "(@|\\||[a-z:;= \"-]){0,80}") {
        drop(read([&garbage[..]]));
        drop(read([&body(&text)[..]]));
        drop(read([&body(&format!("@|Content-Disposition: form-data; name={text}||{text}|{FILE}"))[..]]));
    }
}
