//! `aws-chunked`: the endings seen in the wild, and every way a body can be wrong.

use std::collections::VecDeque;

use bytes::Bytes;
use sigv4::{Checksum, ChecksumAlgorithm, ChunkSigner, PayloadError, PayloadVerifier, Signature};

use crate::bodies::{Form, Request, date, seed, signer, signing_key, verdict};

/// 32 bytes: the data of most bodies here.
const DATA: &[u8] = b"0123456789abcdef0123456789abcdef";

fn crc32(data: &[u8]) -> String {
    Checksum::of(ChecksumAlgorithm::Crc32, data).base64()
}

fn text(hex: [u8; 64]) -> String {
    String::from_utf8(hex.to_vec()).expect("ASCII")
}

/// Chunks of `data`, each rightly signed, without what follows the last one's line.
fn signed_chunks<'a>(signer: &mut ChunkSigner, data: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut wire = Vec::new();
    for chunk in data {
        let signature = text(signer.sign_chunk(chunk));
        wire.extend(format!("{:x};chunk-signature={signature}\r\n", chunk.len()).bytes());
        wire.extend(chunk);
        if !chunk.is_empty() {
            wire.extend(b"\r\n");
        }
    }
    wire
}

#[test]
fn unsigned_bodies_end_as_clients_are_seen_to_end_them() {
    let sum = crc32(DATA);
    let wrong = crc32(b"not the data");
    let crc = format!("x-amz-checksum-crc32: {sum}");
    let bad = format!("x-amz-checksum-crc32: {wrong}");
    let none = "";
    let announced = "x-amz-checksum-crc32";
    let table: [(&str, String, &str); 38] = [
        // no trailer
        (none, "0\r\n\r\n".into(), "ok"),
        (none, "0\r\n".into(), "ok"),
        (none, "000\r\n\r\n".into(), "ok"),
        (none, "0\r\n\r\n\r\n\r\n".into(), "ok"),
        (none, "".into(), "Truncated"),
        (none, "0".into(), "Truncated"),
        (none, "0\r".into(), "Truncated"),
        (none, "0\n".into(), "Truncated"),
        (none, "0\r\n\r".into(), "Truncated"),
        (none, "0\r\n\n".into(), "Truncated"),
        (none, "0\n\n0\r\n\r\n".into(), "MalformedChunkHeader"),
        (none, "0\r\njunk\r\n".into(), "MalformedTrailer"),
        // a trailer as announced
        (announced, format!("0\r\n{crc}\r\n"), "ok"),
        (announced, format!("0\r\n{crc}\r\n\r\n"), "ok"),
        (announced, format!("0\r\n{crc}\r\n\r\n\r\n"), "ok"),
        (announced, format!("0\r\n{crc}\r\n\r\n\u{ff}\u{0}\u{de}junk"), "ok"),
        (announced, format!("0\r\n{crc}\r\n\r\nbonus: trailer\r\n"), "ok"),
        (announced, format!("0\r\n{crc}\n\r\n\r\n"), "ok"),
        (announced, format!("0\r\nX-Amz-Checksum-CRC32 :\t{sum} \r\n"), "ok"),
        (announced, format!("0\r\n{bad}\r\n{crc}\r\n"), "ok"),
        (announced, format!("0\r\n{crc}\r\n{bad}\r\n"), "ChecksumMismatch"),
        (announced, format!("0\r\n{bad}\r\n"), "ChecksumMismatch"),
        (announced, format!("0\r\n{crc}"), "Truncated"),
        (announced, format!("0\r\n{crc}\r"), "Truncated"),
        (announced, format!("0\r\n{crc}\n"), "Truncated"),
        (announced, format!("0\r\n{crc}\r\n\r"), "Truncated"),
        (announced, format!("0\r\n{crc}\r\nbonus: trailer\r\n"), "UnannouncedTrailer"),
        (announced, "0\r\nx-amz-checksum-crc32: not-base-64\r\n".into(), "InvalidTrailer"),
        (announced, "0\r\nx-amz-checksum-crc32:\r\n".into(), "InvalidTrailer"),
        (announced, "0\r\nx-amz-checksum-crc32: AAAAAAAAAAA=\r\n".into(), "InvalidTrailer"),
        (announced, "0\r\nx-amz-checksum-bad: AAAAAA==\r\n".into(), "UnannouncedTrailer"),
        (announced, "0\r\nx-amz-trailer-signature: 00\r\n".into(), "UnannouncedTrailer"),
        // a trailer announced and not sent, or sent and not announced
        (announced, "0\r\n\r\n".into(), "MissingTrailer"),
        (announced, "0\r\n".into(), "MissingTrailer"),
        (announced, format!("0\r\n\r\n{crc}\r\n"), "MissingTrailer"),
        (none, format!("0\r\n{crc}\r\n"), "UnannouncedTrailer"),
        ("x-amz-checksum-crc32c", format!("0\r\n{crc}\r\n"), "UnannouncedTrailer"),
        ("x-amz-checksum-sha256", format!("0\r\n{crc}\r\n"), "UnannouncedTrailer"),
    ];
    for (trailer, end, expected) in table {
        let mut request = Request::chunked(DATA.len() as u64);
        if !trailer.is_empty() {
            request = request.with("x-amz-trailer", trailer);
        }
        let wire = [b"20\r\n", DATA, b"\r\n", end.as_bytes()].concat();
        let (data, outcome) = request.verify(Form::Unsigned.mode(), &wire);
        assert_eq!(verdict(&outcome), expected, "{trailer} {end:?}");
        assert_eq!(data, DATA, "{end:?}");
    }
}

#[test]
fn signed_bodies_end_as_clients_are_seen_to_end_them() {
    let sum = crc32(DATA);
    let canonical = format!("x-amz-checksum-crc32:{sum}\n");
    let sign = |canonical: &str| {
        let mut signer = signer();
        signer.sign_chunk(DATA);
        signer.sign_chunk(b"");
        format!("x-amz-trailer-signature:{}", text(signer.sign_trailers(canonical.as_bytes())))
    };
    let (right, wrong, empty) = (sign(&canonical), sign("other:value\n"), sign("\n"));
    let announced = "x-amz-checksum-crc32";
    let table: [(Form, &str, String, &str); 21] = [
        (Form::Signed, "", "\r\n".into(), "ok"),
        (Form::Signed, "", "\r\n\r\n".into(), "ok"),
        (Form::Signed, "", "".into(), "Truncated"),
        (Form::Signed, "", "\r".into(), "Truncated"),
        (Form::Signed, "", format!("{announced}:{sum}\r\n\r\n"), "UnannouncedTrailer"),
        (Form::Signed, "", format!("{right}\r\n\r\n"), "UnannouncedTrailer"),
        (Form::SignedTrailer, announced, format!("{announced}:{sum}\r\n{right}\r\n\r\n"), "ok"),
        (Form::SignedTrailer, announced, format!("{announced}: {sum}\r\n{right}\r\n"), "ok"),
        (Form::SignedTrailer, announced, format!("{announced}:{sum}\n\r\n{right}\r\n\r\n"), "ok"),
        (Form::SignedTrailer, announced, format!("{announced}:{sum}\r\n{right}\r\n\r\n\r\n"), "ok"),
        (Form::SignedTrailer, announced, format!("{right}\r\n{announced}:{sum}\r\n\r\n"), "ok"),
        (Form::SignedTrailer, announced, format!("{announced}:{sum}\r\n{wrong}\r\n"), "SignatureMismatch"),
        (Form::SignedTrailer, announced, format!("{announced}:AAAAAA==\r\n{right}\r\n"), "SignatureMismatch"),
        (Form::SignedTrailer, announced, format!("{announced}:{sum}\r\n\r\n"), "MissingTrailerSignature"),
        (Form::SignedTrailer, announced, format!("{announced}:{sum}\r\n"), "MissingTrailerSignature"),
        (
            Form::SignedTrailer,
            announced,
            format!("{announced}:{sum}\r\nx-amz-trailer-signature:\r\n"),
            "MissingTrailerSignature",
        ),
        (
            Form::SignedTrailer,
            announced,
            format!("{announced}:{sum}\r\n\r\n{right}\r\n"),
            "MissingTrailerSignature",
        ),
        (Form::SignedTrailer, announced, format!("{right}\r\n\r\n"), "MissingSignedTrailer"),
        (Form::SignedTrailer, "", format!("{empty}\r\n"), "MissingSignedTrailer"),
        (Form::SignedTrailer, "", format!("{announced}:{sum}\r\n{right}\r\n"), "UnannouncedTrailer"),
        (Form::SignedTrailer, announced, format!("{announced}:{sum}\r\n{right}"), "Truncated"),
    ];
    for (form, trailer, end, expected) in table {
        let mut request = Request::chunked(DATA.len() as u64);
        if !trailer.is_empty() {
            request = request.with("x-amz-trailer", trailer);
        }
        let mut wire = signed_chunks(&mut signer(), [DATA, b""]);
        wire.extend(end.bytes());
        let (_, outcome) = request.verify(form.mode(), &wire);
        assert_eq!(verdict(&outcome), expected, "{form:?} {trailer} {end:?}");
    }
}

#[test]
fn a_signed_trailer_must_also_be_right() {
    let mut signer = signer();
    let mut wire = signed_chunks(&mut signer, [DATA, b""]);
    let line = format!("x-amz-checksum-crc32:{}", crc32(b"other data"));
    let signature = text(signer.sign_trailers(format!("{line}\n").as_bytes()));
    wire.extend(format!("{line}\r\nx-amz-trailer-signature:{signature}\r\n\r\n").bytes());
    let request = Request::chunked(DATA.len() as u64).with("x-amz-trailer", "x-amz-checksum-crc32");
    let (_, outcome) = request.verify(Form::SignedTrailer.mode(), &wire);
    assert_eq!(verdict(&outcome), "ChecksumMismatch");
}

#[test]
fn chunk_lines_are_read_as_aws_reads_them() {
    let right = text(signer().sign_chunk(DATA));
    let table: [(Form, String, &str); 32] = [
        (Form::Unsigned, "20".into(), "ok"),
        (Form::Unsigned, "00020".into(), "ok"),
        (Form::Unsigned, "20 ".into(), "ok"),
        (Form::Unsigned, "".into(), "MalformedChunkHeader"),
        (Form::Unsigned, " ".into(), "MalformedChunkHeader"),
        (Form::Unsigned, "-20".into(), "MalformedChunkHeader"),
        (Form::Unsigned, "+20".into(), "MalformedChunkHeader"),
        (Form::Unsigned, "0x20".into(), "MalformedChunkHeader"),
        (Form::Unsigned, "2 0".into(), "MalformedChunkHeader"),
        (Form::Unsigned, "20\n".into(), "MalformedChunkHeader"),
        (Form::Unsigned, "20\r".into(), "MalformedChunkHeader"),
        (Form::Unsigned, "2g".into(), "MalformedChunkHeader"),
        (Form::Unsigned, "\u{661}".into(), "MalformedChunkHeader"),
        (Form::Unsigned, "10000000000000020".into(), "MalformedChunkHeader"),
        (Form::Unsigned, "ffffffffffffffff".into(), "LengthMismatch"),
        (Form::Unsigned, "21".into(), "LengthMismatch"),
        (Form::Unsigned, "20;a=b".into(), "MalformedChunkHeader"),
        (Form::Unsigned, format!("20;chunk-signature={right}"), "MalformedChunkHeader"),
        (Form::Signed, format!("20;chunk-signature={right}"), "ok"),
        (Form::Signed, format!("20 ; chunk-signature={right}"), "ok"),
        (Form::Signed, format!("20;chunk-signature = {right} "), "ok"),
        (Form::Signed, "20".into(), "MissingChunkSignature"),
        (Form::Signed, "20;".into(), "MissingChunkSignature"),
        (Form::Signed, "20;chunk-signature".into(), "MissingChunkSignature"),
        (Form::Signed, "20;chunk-signature=".into(), "MissingChunkSignature"),
        (Form::Signed, "20;extra=param".into(), "MissingChunkSignature"),
        (Form::Signed, "20;chunk-signature=invalid".into(), "SignatureMismatch"),
        (Form::Signed, format!("20;chunk-signature={}", right.to_uppercase()), "SignatureMismatch"),
        (Form::Signed, format!("20;chunk-signature={}", "0".repeat(64)), "SignatureMismatch"),
        (Form::Signed, format!("20;extra=param;chunk-signature={right}"), "SignatureMismatch"),
        (Form::Signed, format!("20;chunk-signature={right};extra=param"), "MalformedChunkHeader"),
        (Form::Signed, format!("20;chunk-signature={right};"), "MalformedChunkHeader"),
    ];
    for (form, line, expected) in table {
        let mut signer = signer();
        signer.sign_chunk(DATA);
        let end = match form {
            Form::Unsigned => b"0\r\n".to_vec(),
            Form::Signed | Form::SignedTrailer => signed_chunks(&mut signer, [&b""[..]]),
        };
        let wire = [line.as_bytes(), b"\r\n", DATA, b"\r\n", &end, b"\r\n"].concat();
        let (_, outcome) = Request::chunked(DATA.len() as u64).verify(form.mode(), &wire);
        assert_eq!(verdict(&outcome), expected, "{line:?}");
    }
}

#[test]
fn a_signature_in_the_wrong_place_is_quoted() {
    let wire = [b"20;extra=param;chunk-signature=abc\r\n", DATA, b"\r\n"].concat();
    let (_, outcome) = Request::chunked(32).verify(Form::Signed.mode(), &wire);
    let Err(PayloadError::SignatureMismatch(explanation)) = outcome else {
        panic!("{outcome:?}");
    };
    assert_eq!(explanation.signature_provided, "extra=param;chunk-signature=abc");
    assert!(explanation.string_to_sign.starts_with("AWS4-HMAC-SHA256-PAYLOAD\n"));
}

#[test]
fn damaged_framing_is_an_incomplete_body() {
    let table: [(&[u8], &str); 12] = [
        (b"", "Truncated"),
        (b"0123456789abcdef0123456789abcdef", "Truncated"),
        (b"20\r\n0123456789abcdef0123456789abcde", "Truncated"),
        (b"20\r\n0123456789abcdef0123456789abcdef", "Truncated"),
        (b"20\r\n0123456789abcdef0123456789abcdef\r", "Truncated"),
        (b"20\r\n0123456789abcdef0123456789abcdef\r\n", "Truncated"),
        (b"20\r\n0123456789abcdef0123456789abcdef0\r\n\r\n", "MissingChunkEnd"),
        (b"20\r\n0123456789abcdef0123456789abcdef\n0\r\n\r\n", "MissingChunkEnd"),
        (b"20\r\n0123456789abcdef0123456789abcdef\r0\r\n\r\n", "MissingChunkEnd"),
        (b"20\n0123456789abcdef0123456789abcdef\n0\n\n", "Truncated"),
        (b"20\r0123456789abcdef0123456789abcdef\r0\r\r", "Truncated"),
        (b"1f\r\n0123456789abcdef0123456789abcdef\r\n0\r\n\r\n", "MissingChunkEnd"),
    ];
    for (wire, expected) in table {
        let (_, outcome) = Request::chunked(32).verify(Form::Unsigned.mode(), wire);
        assert_eq!(verdict(&outcome), expected, "{:?}", String::from_utf8_lossy(wire));
    }
}

#[test]
fn the_decoded_length_must_be_the_announced_one() {
    let table: [(&[u8], u64, Option<u64>); 6] = [
        (b"4\r\n0123\r\n1c\r\n0123456789abcdef0123456789ab\r\n0\r\n\r\n", 32, None),
        (b"4\r\n0123\r\n0\r\n\r\n1c\r\n0123456789abcdef0123456789ab\r\n0\r\n\r\n", 32, Some(4)),
        (b"4\r\n0123\r\n4\r\n4567\r\n0\r\n\r\n", 4, Some(8)),
        (b"0\r\n\r\n", 0, None),
        (b"0\r\n\r\n", 1, Some(0)),
        (b"1\r\na\r\nffffffffffffffff\r\n", u64::MAX, None),
    ];
    for (wire, announced, wrong) in table {
        let (_, outcome) = Request::chunked(announced).verify(Form::Unsigned.mode(), wire);
        match (outcome, wrong) {
            (Err(PayloadError::LengthMismatch { expected, provided }), Some(wrong)) => {
                assert_eq!((expected, provided), (announced, wrong));
            }
            // The size fits, if only just; the data never came.
            (Err(PayloadError::Truncated), None) => assert_eq!(announced, u64::MAX),
            (outcome, wrong) => assert!(outcome.is_ok() && wrong.is_none(), "{outcome:?} {wrong:?}"),
        }
    }
}

#[test]
fn more_than_announced_is_never_handed_out() {
    let (data, outcome) =
        Request::chunked(6).verify(Form::Unsigned.mode(), b"4\r\n0123\r\n4\r\n4567\r\n0\r\n\r\n");
    assert_eq!((data.as_slice(), verdict(&outcome).as_str()), (&b"0123"[..], "LengthMismatch"));
}

#[test]
fn only_the_last_signed_chunk_may_be_small() {
    let block = vec![b'x'; 16 * 1024];
    let table = [
        (&[15_360, 8_192, 16_384][..], None),
        (&[8_192, 1], None),
        (&[1], None),
        (&[1_024, 4_096, 3_072], Some((2, 1_024))),
        (&[8_192, 8_191, 8_192], Some((3, 8_191))),
        (&[8_192, 8_192, 1, 1], Some((4, 1))),
    ];
    for (sizes, wrong) in table {
        let mut wire = signed_chunks(&mut signer(), sizes.iter().chain(&[0]).map(|&size| &block[..size]));
        wire.extend(b"\r\n");
        let length = sizes.iter().sum::<usize>() as u64;
        let (_, outcome) = Request::chunked(length).verify(Form::Signed.mode(), &wire);
        match (outcome, wrong) {
            (Err(PayloadError::ChunkTooSmall { next, size }), Some(wrong)) => assert_eq!((next, size), wrong),
            (outcome, wrong) => assert!(outcome.is_ok() && wrong.is_none(), "{sizes:?} {outcome:?}"),
        }
    }
}

#[test]
fn chunks_cannot_be_swapped_dropped_repeated_or_added() {
    let block = |letter: u8| vec![letter; 8_192];
    let (a, b, c) = (block(b'a'), block(b'b'), block(b'c'));
    let mut signer = signer();
    let mut chunk = |data: &[u8]| signed_chunks(&mut signer, [data]);
    let (first, second, third, last) = (chunk(&a), chunk(&b), chunk(&c), chunk(b""));
    let forged = {
        let mut other = ChunkSigner::new(&signing_key(), date(), Signature::parse(&[b'6'; 64]).unwrap());
        signed_chunks(&mut other, [a.as_slice()])
    };
    let end = b"\r\n".as_slice();
    let table: [(&str, u64, Vec<&[u8]>, &str); 8] = [
        ("as signed", 3, vec![&first, &second, &third, &last, end], "ok"),
        ("swapped", 3, vec![&second, &first, &third, &last, end], "SignatureMismatch"),
        ("first dropped", 2, vec![&second, &third, &last, end], "SignatureMismatch"),
        ("middle dropped", 2, vec![&first, &third, &last, end], "SignatureMismatch"),
        ("last with data dropped", 2, vec![&first, &second, &last, end], "SignatureMismatch"),
        ("repeated", 4, vec![&first, &first, &second, &third, &last, end], "SignatureMismatch"),
        ("of another request", 1, vec![&forged, &last, end], "SignatureMismatch"),
        ("without the terminal chunk", 3, vec![&first, &second, &third], "Truncated"),
    ];
    for (what, blocks, wire, expected) in table {
        let (_, outcome) = Request::chunked(blocks * 8_192).verify(Form::Signed.mode(), &wire.concat());
        assert_eq!(verdict(&outcome), expected, "{what}");
    }
}

#[test]
fn the_terminal_chunk_is_signed_like_any_other() {
    let mut wire = signed_chunks(&mut signer(), [DATA]);
    for (end, expected) in [
        ("0\r\n\r\n".to_owned(), "MissingChunkSignature"),
        (format!("0;chunk-signature={}\r\n\r\n", "0".repeat(64)), "SignatureMismatch"),
    ] {
        let length = wire.len();
        wire.extend(end.bytes());
        let (_, outcome) = Request::chunked(32).verify(Form::Signed.mode(), &wire);
        assert_eq!(verdict(&outcome), expected);
        wire.truncate(length);
    }
}

#[test]
fn lines_and_trailers_are_bounded() {
    let long = |n: usize| "0".repeat(n);
    let table: [(Vec<u8>, &str); 6] = [
        ([long(1_020).as_bytes(), b"20\r\n", DATA, b"\r\n0\r\n"].concat(), "ok"),
        ([long(1_021).as_bytes(), b"20\r\n", DATA, b"\r\n0\r\n"].concat(), "ChunkHeaderTooLong"),
        (long(100_000).into_bytes(), "ChunkHeaderTooLong"),
        ([b"20\r\n", DATA, b"\r\n0\r\n", &vec![b'x'; 100_000]].concat(), "TrailersTooLong"),
        ([b"20\r\n", DATA, b"\r\n0\r\n\r\n", &vec![b'x'; 4_094]].concat(), "ok"),
        ([b"20\r\n", DATA, b"\r\n0\r\n\r\n", &vec![b'x'; 4_095]].concat(), "TrailersTooLong"),
    ];
    for (wire, expected) in table {
        let request = Request::chunked(32);
        let (_, whole) = request.verify(Form::Unsigned.mode(), &wire);
        let (_, bytewise) = request.verify_pieces(Form::Unsigned.mode(), wire.chunks(1));
        assert_eq!((verdict(&whole).as_str(), verdict(&bytewise).as_str()), (expected, expected));
    }
}

#[test]
fn repeated_trailers_are_bounded_too() {
    let line = format!("x-amz-checksum-crc32:{}\r\n", crc32(DATA));
    let request = Request::chunked(32).with("x-amz-trailer", "x-amz-checksum-crc32");
    for (times, expected) in [(4_096 / line.len(), "ok"), (4_096 / line.len() + 1, "TrailersTooLong")] {
        let wire = [b"20\r\n", DATA, b"\r\n0\r\n", line.repeat(times).as_bytes()].concat();
        let (_, outcome) = request.verify(Form::Unsigned.mode(), &wire);
        assert_eq!(verdict(&outcome), expected, "{times} lines");
    }
}

#[test]
fn data_is_handed_out_as_slices_before_its_chunk_is_complete() {
    let mode = Form::Unsigned.mode();
    let head = Request::chunked(u64::MAX).parse(&mode).unwrap();
    let mut verifier = PayloadVerifier::new(mode, head);
    let mut out = VecDeque::new();
    verifier.push(Bytes::from_static(b"ffffffffffffffff\r\n"), &mut out).unwrap();
    assert!(out.is_empty());
    for _ in 0..3 {
        let piece = Bytes::from(vec![7; 64 * 1024]);
        verifier.push(piece.clone(), &mut out).unwrap();
        let data = out.pop_front().unwrap();
        assert_eq!((data.as_ptr(), data.len()), (piece.as_ptr(), piece.len()));
        assert!(out.is_empty());
    }
    assert_eq!(verdict(&verifier.finish()), "Truncated");
}

#[test]
fn nothing_is_proved_after_an_error() {
    let mode = Form::Unsigned.mode();
    let head = Request::chunked(0).parse(&mode).unwrap();
    let mut verifier = PayloadVerifier::new(mode, head);
    let mut out = VecDeque::new();
    assert!(verifier.push(Bytes::from_static(b"zz\r\n"), &mut out).is_err());
    assert!(verifier.push(Bytes::from_static(b"0\r\n\r\n"), &mut out).is_err());
    assert!(verifier.finish().is_err());
}

#[test]
fn a_verifier_tells_what_the_head_announces() {
    let mode = Form::Unsigned.mode();
    let request =
        Request::chunked(32).with("content-length", "99").with("x-amz-trailer", "x-amz-checksum-crc64nvme");
    let verifier = PayloadVerifier::new(mode, request.parse(&Form::Unsigned.mode()).unwrap());
    assert!(verifier.is_chunked());
    assert_eq!(verifier.decoded_length(), Some(32));
    assert_eq!(verifier.trailer_algorithm(), Some(ChecksumAlgorithm::Crc64Nvme));
}

#[test]
fn a_head_of_another_mode_can_only_refuse() {
    let unsigned = Request::chunked(32).parse(&Form::Unsigned.mode()).unwrap();
    let plain = Request::new("POST").parse(&sigv4::PayloadMode::Unsigned).unwrap();
    let mut wire = signed_chunks(&mut signer(), [DATA, b""]);
    wire.extend(b"\r\n");
    for (form, head) in [(Form::SignedTrailer, unsigned), (Form::Signed, plain)] {
        let mut verifier = PayloadVerifier::new(form.mode_from(seed()), head);
        let mut out = VecDeque::new();
        let pushed = verifier.push(Bytes::from(wire.clone()), &mut out);
        assert!(pushed.and_then(|()| verifier.finish()).is_err(), "{form:?}");
    }
}
