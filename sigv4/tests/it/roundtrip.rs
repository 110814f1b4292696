//! What the signer signs the verifier accepts, and no signed byte can be changed.

use proptest::prelude::*;
use sigv4::{Dialect, Endpoint};

use crate::sample::Sample;

fn endpoint(dialect: Dialect) -> Endpoint {
    let endpoint = Endpoint { strict: true, ..Endpoint::s3("eu-central-1") };
    match dialect {
        Dialect::S3 => endpoint,
        Dialect::Generic => Endpoint { dialect, service: "sts".into(), ..endpoint },
    }
}

fn dialect() -> impl Strategy<Value = Dialect> {
    prop_oneof![Just(Dialect::S3), Just(Dialect::Generic)]
}

/// Paths with everything a wire may carry: raw, escaped, dots, empty segments, bytes that are not UTF-8.
fn path() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        "[a-zA-Z0-9._~-]{1,6}".prop_map(String::into_bytes),
        "[/!$'()*+,:;=@ -]".prop_map(String::into_bytes),
        any::<u8>().prop_map(|byte| format!("%{byte:02X}").into_bytes()),
        any::<u8>().prop_map(|byte| format!("%{byte:02x}").into_bytes()),
        (128u8..).prop_map(|byte| vec![byte]),
        Just(b"/../".to_vec()),
        Just(b"/./".to_vec()),
    ];
    prop::collection::vec(piece, 0..10).prop_map(|pieces| [&b"/"[..], &pieces.concat()].concat())
}

fn query() -> impl Strategy<Value = Option<Vec<u8>>> {
    let piece = "[a-z&=;+~/?%]{0,12}|[a-z]{1,3}=(%[0-9a-fA-F]{2}){0,3}";
    prop::option::of(prop::collection::vec(piece, 0..6).prop_map(|pieces| {
        let sound = |piece: &String| sigv4::uri::decode_query(piece.as_bytes()).is_ok();
        pieces.into_iter().filter(sound).collect::<Vec<_>>().join("&").into_bytes()
    }))
}

fn value() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(prop_oneof![Just(b' '), Just(b'\t'), 33u8..127, 128u8..], 0..24)
}

prop_compose! {
    fn unsigned()(
        method in "GET|HEAD|PUT|POST|DELETE",
        path in path(),
        query in query(),
        values in prop::collection::vec(value(), 0..4),
        content_type in value(),
    ) -> Sample {
        let mut sample = Sample { query, ..Sample::new(&method, &path) }.and("content-type", &content_type);
        for (number, value) in values.iter().enumerate() {
            sample = sample.and(&format!("x-amz-meta-{}", number % 3), value);
        }
        sample
    }
}

proptest! {
    #[test]
    fn what_is_signed_with_a_header_is_accepted(sample in unsigned(), dialect in dialect()) {
        let endpoint = endpoint(dialect);
        let verdict = sample.signed(&endpoint).verify(&endpoint);
        prop_assert!(verdict.is_ok(), "{:?}", verdict);
    }

    #[test]
    fn what_is_presigned_is_accepted(sample in unsigned(), dialect in dialect()) {
        let endpoint = endpoint(dialect);
        let verdict = sample.presigned(&endpoint).verify(&endpoint);
        prop_assert!(verdict.is_ok(), "{:?}", verdict);
    }

    #[test]
    fn another_secret_is_refused(sample in unsigned(), dialect in dialect()) {
        let endpoint = Endpoint { strict: false, ..endpoint(dialect) };
        for signed in [sample.clone().signed(&endpoint), sample.presigned(&endpoint)] {
            let other = Sample { secret: "another".to_owned(), ..signed };
            prop_assert!(other.verify(&endpoint).is_err());
        }
    }

    /// Letters and digits stand for themselves in every normal form, so a changed one changes what is signed.
    #[test]
    fn no_signed_letter_can_be_changed(
        dialect in dialect(), presigned in any::<bool>(), part in 0..4usize, at in any::<prop::sample::Index>(),
        letter in "[a-zA-Z0-9]",
    ) {
        let endpoint = Endpoint { strict: false, ..endpoint(dialect) };
        let sample = Sample::new("PUT", b"/bucket/some/key?prefix=abc&marker=xyz")
            .with("content-type", "text/plain")
            .with("x-amz-meta-name", "value");
        let signed = if presigned { sample.presigned(&endpoint) } else { sample.signed(&endpoint) };
        let change = |bytes: &mut Vec<u8>| {
            // Not those of an escape, where case means nothing.
            let is_letter = |at: &usize| {
                bytes[*at].is_ascii_alphanumeric() && !bytes[at.saturating_sub(2)..*at].contains(&b'%')
            };
            let letters: Vec<usize> = (0..bytes.len()).filter(is_letter).collect();
            let at = letters[at.index(letters.len())];
            let changed = bytes[at] != letter.as_bytes()[0];
            bytes[at] = letter.as_bytes()[0];
            changed
        };
        let mut altered = signed.clone();
        let changed = match part {
            0 => change(&mut altered.path),
            1 => {
                let mut query = altered.query.take().unwrap();
                let changed = change(&mut query);
                altered.query = Some(query);
                changed
            }
            _ => {
                let name = ["host", "x-amz-meta-name"][part - 2];
                let mut value = altered.headers[name].as_bytes().to_vec();
                let changed = change(&mut value);
                altered = altered.without(name).and(name, &value);
                changed
            }
        };
        prop_assert_eq!(altered.verify(&endpoint).is_err(), changed);
        prop_assert!(signed.verify(&endpoint).is_ok());
    }

    /// Whatever arrives, there is a verdict and no panic.
    #[test]
    fn nothing_that_arrives_panics(
        path in prop::collection::vec(any::<u8>(), 0..40),
        query in prop::option::of(prop::collection::vec(any::<u8>(), 0..80)),
        authorization in prop::option::of("(AWS4-HMAC-SHA256 |AWS |X)?(Credential=|[, ]|SignedHeaders=|Signature=|[a-z0-9/;é]{0,9}){0,9}"),
        dialect in dialect(),
    ) {
        let endpoint = Endpoint { strict: false, ..endpoint(dialect) };
        let mut sample = Sample { path, query, ..Sample::new("GET", b"/") }.with("x-amz-date", "20260312T081530Z");
        if let Some(value) = authorization {
            sample = sample.and("authorization", value.as_bytes());
        }
        prop_assert!(sample.verify(&endpoint).is_err());
    }
}
