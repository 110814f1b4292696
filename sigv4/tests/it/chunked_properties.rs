//! `aws-chunked`: what holds for every body and every way to cut it.

use std::collections::VecDeque;

use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use sigv4::{Checksum, ChecksumAlgorithm, ChunkEncoder, Reframer};

use crate::bodies::{Form, Request, signer, verdict};

fn form() -> impl Strategy<Value = Form> {
    prop_oneof![Just(Form::Unsigned), Just(Form::Signed), Just(Form::SignedTrailer)]
}

fn algorithm() -> impl Strategy<Value = ChecksumAlgorithm> {
    proptest::sample::select(&ChecksumAlgorithm::ALL[..])
}

/// Data, and the sizes of the chunks it goes in; the signed forms allow only the last to be small.
fn body() -> impl Strategy<Value = (Vec<u8>, usize)> {
    (vec(any::<u8>(), 0..40_000), 8_192..20_000_usize)
}

/// A rightly encoded body and the request it belongs to.
fn encode(form: Form, algorithm: ChecksumAlgorithm, data: &[u8], chunk: usize) -> (Request, Vec<u8>) {
    let encoder = match form {
        Form::Unsigned => ChunkEncoder::unsigned().with_trailer(algorithm),
        Form::Signed => ChunkEncoder::signed(signer()),
        Form::SignedTrailer => ChunkEncoder::signed(signer()).with_trailer(algorithm),
    };
    let length = encoder.encoded_length(data.len() as u64, chunk as u64);
    let mut encoder = encoder;
    let mut out = VecDeque::new();
    data.chunks(chunk).for_each(|chunk| encoder.push(Bytes::copy_from_slice(chunk), &mut out));
    encoder.finish(&mut out);
    let wire = Vec::from(out).concat();
    assert_eq!(wire.len() as u64, length, "the length announced beforehand");
    let request = Request::chunked(data.len() as u64);
    let request = match form {
        Form::Signed => request,
        Form::Unsigned | Form::SignedTrailer => request.with("x-amz-trailer", algorithm.header_name()),
    };
    (request, wire)
}

/// `wire` in pieces, cut at each of `cuts`; cuts at one place give an empty piece.
fn pieces<'a>(wire: &'a [u8], cuts: &[Index]) -> Vec<&'a [u8]> {
    let mut at: Vec<usize> = cuts.iter().map(|cut| cut.index(wire.len() + 1)).collect();
    at.extend([0, wire.len()]);
    at.sort_unstable();
    at.windows(2).map(|ends| &wire[ends[0]..ends[1]]).collect()
}

/// Damages a wire in one place: a byte changed, taken out, put in, or everything after it cut off.
fn damage(wire: &mut Vec<u8>, kind: u8, place: Index, byte: u8) {
    let at = place.index(wire.len());
    match kind {
        0 => wire[at] = byte,
        1 => drop(wire.remove(at)),
        2 => wire.insert(at, byte),
        _ => wire.truncate(at),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_encoded_decodes_to_itself(
        form in form(),
        algorithm in algorithm(),
        (data, chunk) in body(),
        cuts in vec(any::<Index>(), 0..8),
    ) {
        let (request, wire) = encode(form, algorithm, &data, chunk);
        let (decoded, outcome) = request.verify_pieces(form.mode(), pieces(&wire, &cuts));
        prop_assert_eq!(verdict(&outcome), "ok");
        prop_assert!(decoded == data);
        let trailer = outcome.ok().and_then(|proof| proof.trailer);
        let expected = (form != Form::Signed).then(|| Checksum::of(algorithm, &data));
        prop_assert_eq!(trailer, expected);
    }

    #[test]
    fn no_way_to_cut_a_body_changes_data_or_verdict(
        form in form(),
        algorithm in algorithm(),
        (data, chunk) in body(),
        (kind, place, byte) in (0..8_u8, any::<Index>(), any::<u8>()),
        cuts in vec(any::<Index>(), 1..12),
    ) {
        let (request, mut wire) = encode(form, algorithm, &data, chunk);
        if kind < 4 {
            damage(&mut wire, kind, place, byte);
        }
        let (whole, expected) = request.verify(form.mode(), &wire);
        let (cut, outcome) = request.verify_pieces(form.mode(), pieces(&wire, &cuts));
        prop_assert_eq!(format!("{outcome:?}"), format!("{expected:?}"));
        prop_assert!(cut == whole);
    }

    #[test]
    fn a_damaged_framing_cut_into_single_bytes_gives_the_same(
        form in form(),
        algorithm in algorithm(),
        data in vec(any::<u8>(), 0..64),
        damages in vec((0..4_u8, any::<Index>(), proptest::sample::select(&b"\r\n0;:=fx \xff"[..])), 0..4),
    ) {
        let (request, mut wire) = encode(form, algorithm, &data, 8_192);
        for (kind, place, byte) in damages {
            if !wire.is_empty() {
                damage(&mut wire, kind, place, byte);
            }
        }
        let (whole, expected) = request.verify(form.mode(), &wire);
        let (cut, outcome) = request.verify_pieces(form.mode(), wire.chunks(1));
        prop_assert_eq!(format!("{outcome:?}"), format!("{expected:?}"));
        prop_assert!(cut == whole);
    }

    #[test]
    fn no_change_to_signed_data_is_accepted(
        (data, chunk) in body(),
        (place, flip) in (any::<Index>(), 1..=255_u8),
    ) {
        prop_assume!(!data.is_empty());
        let (request, mut wire) = encode(Form::Signed, ChecksumAlgorithm::Crc32, &data, chunk);
        let first = wire.windows(2).position(|pair| pair == b"\r\n").map_or(0, |at| at + 2);
        wire[first + place.index(chunk.min(data.len()))] ^= flip;
        let (_, outcome) = request.verify(Form::Signed.mode(), &wire);
        prop_assert_eq!(verdict(&outcome), "SignatureMismatch");
    }

    #[test]
    fn garbage_never_panics(form in form(), garbage in vec(any::<u8>(), 0..300), length in any::<u64>()) {
        let (_, outcome) = Request::chunked(length).verify(form.mode(), &garbage);
        prop_assert!(form == Form::Unsigned || outcome.is_err());
    }

    #[test]
    fn what_is_reframed_has_the_announced_length_and_decodes_to_itself(
        algorithm in algorithm(),
        data in prop_oneof![vec(any::<u8>(), 0..300), vec(any::<u8>(), 65_530..65_545), vec(any::<u8>(), 0..200_000)],
        cuts in vec(any::<Index>(), 0..8),
    ) {
        let mut reframer = Reframer::new(data.len() as u64, algorithm);
        let announced = reframer.content_length();
        let mut out = VecDeque::new();
        for piece in pieces(&data, &cuts) {
            reframer.push(Bytes::copy_from_slice(piece), &mut out);
        }
        reframer.finish(&Checksum::of(algorithm, &data), &mut out);
        let wire = Vec::from(out).concat();
        prop_assert_eq!(wire.len() as u64, announced);
        let request = Request::chunked(data.len() as u64)
            .with("content-length", &announced.to_string())
            .with("x-amz-trailer", algorithm.header_name());
        let (decoded, outcome) = request.verify(Form::Unsigned.mode(), &wire);
        prop_assert_eq!(verdict(&outcome), "ok");
        prop_assert!(decoded == data);
    }
}

#[test]
fn a_reframer_drops_what_was_not_announced_and_cannot_make_up_what_is_missing() {
    let algorithm = ChecksumAlgorithm::Crc32;
    let frame = |length: u64, data: &'static [u8]| {
        let mut reframer = Reframer::new(length, algorithm);
        let announced = reframer.content_length();
        let mut out = VecDeque::new();
        reframer.push(Bytes::from_static(data), &mut out);
        reframer.finish(&Checksum::of(algorithm, data), &mut out);
        (announced, Vec::from(out).concat())
    };
    let (announced, wire) = frame(3, b"abcdef");
    assert_eq!(wire.len() as u64, announced);
    assert!(wire.starts_with(b"3\r\nabc\r\n0\r\n"));
    let (announced, wire) = frame(6, b"abc");
    assert!((wire.len() as u64) < announced);
}

#[test]
fn lengths_near_the_end_of_the_numbers_saturate() {
    assert_eq!(Reframer::new(u64::MAX, ChecksumAlgorithm::Sha256).content_length(), u64::MAX);
    assert_eq!(ChunkEncoder::unsigned().encoded_length(u64::MAX, 0), u64::MAX);
}
