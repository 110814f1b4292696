//! SigV4a, the asymmetric variant: the key pair of a credential, its signatures, and the set of regions that a
//! signature is good for.
//!
//! A credential's secret yields a private key on the curve P-256, whatever the day, region and service. The client
//! signs with it; the verifier needs the public key, which costs one multiplication on the curve and is worth
//! keeping with the credential. ECDSA signatures are random: they can be verified and never recomputed.
//!
//! Sources: <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html>; the
//! derivation is NIST SP 800-108 (counter mode) and FIPS 186-4, B.4.2 (testing candidates), with the inputs of
//! <https://github.com/awslabs/aws-c-auth>.

use std::fmt;

use p256::elliptic_curve::sec1::ToSec1Point as _;
use p256::{NonZeroScalar, Scalar, SecretKey};
use ring::{hmac, signature};
use zeroize::Zeroizing;

use crate::algorithm::Algorithm;
use crate::hex;
use crate::key::SecretAccessKey;
use crate::signed_headers::trim;

/// The public key of a credential, with which SigV4a signatures are verified.
///
/// It depends on nothing but access key id and secret. Deriving it takes about three times as long as verifying a
/// signature with it: derive it once for each credential, or whoever knows an access key id can have it done for each
/// request.
#[derive(Clone)]
pub struct VerifyingKey(signature::UnparsedPublicKey<[u8; POINT]>);

/// Bytes of an uncompressed point.
const POINT: usize = 65;

impl VerifyingKey {
    /// Derives the key pair of a credential and keeps the public half.
    pub fn derive(access_key_id: &str, secret: &SecretAccessKey) -> Self {
        let point = private_key(access_key_id, secret).public_key().to_sec1_point(false);
        let point = point.as_bytes().try_into().expect("an uncompressed point of P-256 has 65 bytes");
        Self(signature::UnparsedPublicKey::new(&signature::ECDSA_P256_SHA256_ASN1, point))
    }

    /// Whether the key pair signed `string_to_sign` so. Of `(r, s)` and `(r, n - s)` both hold: signers do not
    /// normalise, and nothing here takes a signature for a name of what it signs.
    pub(crate) fn verify(&self, string_to_sign: &[u8], signature: &EcdsaSignature) -> bool {
        self.0.verify(string_to_sign, signature.der()).is_ok()
    }
}

impl fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("VerifyingKey(***)")
    }
}

/// The private key of a credential: the first of at most 254 candidates that is less than `n - 1`, plus one.
///
/// Each candidate is an HMAC in counter mode (SP 800-108) over algorithm, access key id and a counter. How many are
/// passed over shows in the time it takes, what they are does not.
fn private_key(access_key_id: &str, secret: &SecretAccessKey) -> SecretKey {
    let mut input = Zeroizing::new(Vec::with_capacity(5 + secret.expose_secret().len()));
    input.extend_from_slice(b"AWS4A");
    input.extend_from_slice(secret.expose_secret());
    let key = hmac::Key::new(hmac::HMAC_SHA256, &input);
    let candidate = |counter: u8| {
        let mut context = hmac::Context::with_key(&key);
        context.update(&[0, 0, 0, 1]);
        context.update(Algorithm::EcdsaP256Sha256.name().as_bytes());
        context.update(&[0]);
        context.update(access_key_id.as_bytes());
        context.update(&[counter]);
        context.update(&256_u32.to_be_bytes());
        let mut bytes = p256::FieldBytes::default();
        bytes.copy_from_slice(context.sign().as_ref());
        // Below n, and not the one that the addition makes zero of: at most n - 2.
        let scalar = <Scalar as p256::elliptic_curve::PrimeField>::from_repr(bytes);
        Option::from(scalar.and_then(|scalar| NonZeroScalar::new(scalar + Scalar::ONE)))
    };
    let scalar: NonZeroScalar = (1..=254)
        .find_map(candidate)
        .expect("254 candidates in a row are out of range once in 2^8000 credentials");
    SecretKey::from(scalar)
}

/// A signature as it is written: hexadecimal of `SEQUENCE { r INTEGER, s INTEGER }`.
///
/// Whether that is what the bytes hold is for the verification to say: `ring` takes DER only, in its one minimal
/// form without a byte more, and `r` and `s` from 1 to `n - 1` only.
#[derive(Clone)]
pub(crate) struct EcdsaSignature {
    der: [u8; EcdsaSignature::MAX],
    length: usize,
}

impl EcdsaSignature {
    /// The longest: two integers of 256 bits with a zero byte in front of each.
    const MAX: usize = 72;

    /// Parses lower-case hexadecimal digits, as in [`Signature`](crate::Signature).
    pub(crate) fn parse(digits: &[u8]) -> Option<Self> {
        let mut signature = Self { der: [0; Self::MAX], length: digits.len() / 2 };
        let der = signature.der.get_mut(..signature.length)?;
        hex::decode_lower(digits, der).then_some(signature)
    }

    fn der(&self) -> &[u8] {
        &self.der[..self.length]
    }
}

/// Characters that a signature takes in a body, however short it is.
pub(crate) const PADDED_LENGTH: usize = 2 * EcdsaSignature::MAX;

/// The signature in a chunk or trailer without the `*` that fill it up; `None` if it is longer than they ever are.
pub(crate) fn without_padding(mut padded: &[u8]) -> Option<&[u8]> {
    if padded.len() > PADDED_LENGTH {
        return None;
    }
    while let [rest @ .., b'*'] = padded {
        padded = rest;
    }
    Some(padded)
}

/// Whether a region is in the set that a signature is good for: a list with `,` between its items.
///
/// An item is a region, or a prefix and `*`. AWS's prose shows `*` alone and in its place at the end of a prefix;
/// a client that writes one has signed for all that begins so.
pub(crate) fn covers(region_set: &[u8], region: &str) -> bool {
    region_set.split(|&byte| byte == b',').map(trim).any(|item| match item {
        [prefix @ .., b'*'] => region.as_bytes().starts_with(prefix),
        item => item == region.as_bytes(),
    })
}

#[cfg(test)]
mod tests;
