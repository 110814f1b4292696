//! Key derivation against published pairs, and what counts as a signature.

use std::sync::LazyLock;

use p256::elliptic_curve::PrimeField as _;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair};

use super::*;

const ID: &str = "AKISORANDOMAASORANDOM";
const SECRET: &str = "q+jcrXGc+0zWN6uzclKVhvMmUsIfRPa4rlRandom";

fn secret(text: &str) -> SecretAccessKey {
    SecretAccessKey::new(text)
}

fn point(id: &str, text: &str) -> String {
    hex::encode(private_key(id, &secret(text)).public_key().to_sec1_point(false).as_bytes())
}

#[test]
fn the_key_pair_is_the_published_one() {
    let private = private_key(ID, &secret(SECRET)).to_bytes();
    assert_eq!(hex::encode(&private), "7fd3bd010c0d9c292141c2b77bfbde1042c92e6836fff749d1269ec890fca1bd");
    assert_eq!(
        point(ID, SECRET),
        "0415d242ceebf8d8169fd6a8b5a746c41140414c3b07579038da06af89190fffcb\
         0515242cedd82e94799482e4c0514b505afccf2c0c98d6a553bf539f424c5ec0"
    );
    assert_eq!(
        point("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"),
        "0418b7d04643359f6ec270dcbab8dce6d169d66ddc9778c75cfb08dfdb701637ab\
         fa36b35e4fe67e3112261d2e17a956ef85b06e44712d2850bcd3c2161e9993f2"
    );
}

#[test]
fn another_id_or_secret_is_another_key_pair() {
    let published = point(ID, SECRET);
    assert_ne!(point("AKISORANDOMAASORANDON", SECRET), published);
    assert_ne!(point(ID, "q+jcrXGc+0zWN6uzclKVhvMmUsIfRPa4rlRandon"), published);
}

const TEXT: &[u8] = b"a string to sign";

/// The integers of a signature of [`TEXT`], of 32 bytes each.
fn integers() -> (Vec<u8>, Vec<u8>) {
    let private = private_key(ID, &secret(SECRET));
    let public = private.public_key().to_sec1_point(false);
    let random = SystemRandom::new();
    let fixed = &signature::ECDSA_P256_SHA256_FIXED_SIGNING;
    let pair =
        EcdsaKeyPair::from_private_key_and_public_key(fixed, &private.to_bytes(), public.as_bytes(), &random);
    let signature = pair.unwrap().sign(&random, TEXT).unwrap();
    let (r, s) = signature.as_ref().split_at(32);
    (r.to_vec(), s.to_vec())
}

/// `n - s`
fn negated(s: &[u8]) -> Vec<u8> {
    let mut bytes = p256::FieldBytes::default();
    bytes.copy_from_slice(s);
    (-Scalar::from_repr(bytes).unwrap()).to_repr().to_vec()
}

/// The order of the group.
const N: &str = "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551";

/// `INTEGER`, minimal.
fn integer(value: &[u8]) -> Vec<u8> {
    let digits = value.iter().position(|&byte| byte != 0).map_or(&value[..0], |first| &value[first..]);
    let zero: &[u8] = if digits.first().is_none_or(|&first| first >= 0x80) { &[0] } else { &[] };
    raw_integer(&[zero, digits].concat())
}

fn raw_integer(content: &[u8]) -> Vec<u8> {
    [&[2, content.len() as u8], content].concat()
}

fn sequence(r: &[u8], s: &[u8]) -> Vec<u8> {
    [&[0x30, (r.len() + s.len()) as u8], r, s].concat()
}

fn holds(der: &[u8]) -> bool {
    static KEY: LazyLock<VerifyingKey> = LazyLock::new(|| VerifyingKey::derive(ID, &secret(SECRET)));
    EcdsaSignature::parse(hex::encode(der).as_bytes()).is_some_and(|signature| KEY.verify(TEXT, &signature))
}

#[test]
fn signatures_that_ring_makes_are_accepted() {
    let private = private_key(ID, &secret(SECRET));
    let public = private.public_key().to_sec1_point(false);
    let random = SystemRandom::new();
    let pair = EcdsaKeyPair::from_private_key_and_public_key(
        &ECDSA_P256_SHA256_ASN1_SIGNING,
        &private.to_bytes(),
        public.as_bytes(),
        &random,
    );
    assert!(holds(pair.unwrap().sign(&random, TEXT).unwrap().as_ref()));
}

#[test]
fn high_and_low_s_are_accepted() {
    let (r, s) = integers();
    assert!(holds(&sequence(&integer(&r), &integer(&s))));
    assert!(holds(&sequence(&integer(&r), &integer(&negated(&s)))));
}

#[test]
fn integers_outside_one_to_n_minus_one_are_refused() {
    let (r, s) = integers();
    let mut n = [0; 32];
    assert!(hex::decode_lower(N.as_bytes(), &mut n));
    let (r, s) = (integer(&r), integer(&s));
    for bad in [raw_integer(&[0]), integer(&n), integer(&[0xff; 32]), raw_integer(&[0xff]), raw_integer(&[])]
    {
        assert!(!holds(&sequence(&bad, &s)), "r = {bad:?}");
        assert!(!holds(&sequence(&r, &bad)), "s = {bad:?}");
    }
    assert!(!holds(&sequence(&s, &r)), "r and s swapped");
}

/// A signature has one form. Others are refused so that nothing that was let through once comes back as another.
#[test]
fn encodings_other_than_minimal_der_are_refused() {
    let (r, s) = loop {
        let (r, s) = integers();
        // Without the sign's zero bytes, so that there is room for superfluous ones.
        if r[0] < 0x80 && s[0] < 0x80 && r[0] != 0 && s[0] != 0 {
            break (r, s);
        }
    };
    let (ri, si) = (integer(&r), integer(&s));
    let good = sequence(&ri, &si);
    assert!(holds(&good));
    let padded = |value: &[u8]| raw_integer(&[&[0], value].concat());
    let long = |mut der: Vec<u8>, at: usize| {
        der.insert(at, 0x81);
        der
    };
    let appended = |tail: &[u8]| [&good[..], tail].concat();
    let table: [(&str, Vec<u8>); 14] = [
        ("a zero byte before r", sequence(&padded(&r), &si)),
        ("a zero byte before s", sequence(&ri, &padded(&s))),
        ("a length in long form", long(good.clone(), 1)),
        ("the length of r in long form", sequence(&long(ri.clone(), 1), &si)),
        ("an indefinite length", [&[0x30, 0x80], &good[2..], &[0, 0]].concat()),
        ("a byte after the sequence", appended(&[0])),
        ("a second sequence", appended(&[0x30, 0])),
        ("a byte after s", sequence(&ri, &[&si[..], &[0]].concat())),
        ("a third integer", sequence(&ri, &[&si[..], &[2, 1, 1]].concat())),
        ("no s", sequence(&ri, &[])),
        ("cut off", good[..good.len() - 1].to_vec()),
        ("a set", [&[0x31], &good[1..]].concat()),
        ("the integers alone", [&r[..], &s].concat()),
        ("nothing", Vec::new()),
    ];
    for (what, der) in table {
        assert!(!holds(&der), "{what}");
    }
}

#[test]
fn only_lower_case_digits_of_at_most_72_bytes_are_read() {
    let (r, s) = integers();
    let text = hex::encode(&sequence(&integer(&r), &integer(&s)));
    assert!(EcdsaSignature::parse(text.as_bytes()).is_some());
    for bad in
        [text.to_uppercase(), text.clone() + "0", text.clone() + "**", "3g".to_owned(), "0".repeat(146)]
    {
        assert!(EcdsaSignature::parse(bad.as_bytes()).is_none(), "{bad}");
    }
}

proptest::proptest! {
    #[test]
    fn no_byte_of_a_signature_can_be_changed(at in proptest::prelude::any::<proptest::sample::Index>(), by in 1u8..) {
        let (r, s) = integers();
        let mut der = sequence(&integer(&r), &integer(&s));
        let at = at.index(der.len());
        der[at] ^= by;
        proptest::prop_assert!(!holds(&der));
    }

    /// Bytes that look like a signature, and text that does not.
    #[test]
    fn garbage_is_no_signature_and_never_panics(
        r in proptest::collection::vec(proptest::num::u8::ANY, 0..34),
        s in proptest::collection::vec(proptest::num::u8::ANY, 0..34),
        text in proptest::collection::vec(proptest::num::u8::ANY, 0..160),
    ) {
        proptest::prop_assert!(!holds(&sequence(&raw_integer(&r), &raw_integer(&s))));
        proptest::prop_assert!(EcdsaSignature::parse(&text).is_none_or(|_| text.len().is_multiple_of(2)));
        let _ = without_padding(&text);
        let _ = covers(&text, "us-east-1");
    }
}

#[test]
fn padding_ends_a_signature_and_does_not_make_it_longer() {
    assert_eq!(without_padding(b"30**"), Some(&b"30"[..]));
    assert_eq!(without_padding(b"*30*"), Some(&b"*30"[..]));
    assert_eq!(without_padding(&[b'*'; PADDED_LENGTH]), Some(&b""[..]));
    assert_eq!(without_padding(&[b'*'; PADDED_LENGTH + 1]), None);
}

#[test]
fn a_set_of_regions_is_a_list_of_names_and_prefixes() {
    let table = [
        ("us-east-1", true),
        ("*", true),
        ("eu-west-1,us-east-1", true),
        ("eu-west-1 , us-east-1 ", true),
        ("us-*", true),
        ("us-east-1*", true),
        ("eu-*,us-east-*", true),
        ("", false),
        (",", false),
        ("us-east-2", false),
        ("us-east-11", false),
        ("us-east", false),
        ("US-EAST-1", false),
        ("*-east-1", false),
        ("us-*-1", false),
        ("eu-*", false),
        ("us-east-1;eu-west-1", false),
    ];
    for (set, expected) in table {
        assert_eq!(covers(set.as_bytes(), "us-east-1"), expected, "{set}");
    }
}

#[test]
fn nothing_secret_is_printed() {
    assert_eq!(format!("{:?}", VerifyingKey::derive(ID, &secret(SECRET))), "VerifyingKey(***)");
}
