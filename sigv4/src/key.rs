//! Secrets, signing keys and signatures: the three values that must never be printed.

use std::fmt;

use ring::hmac;
use zeroize::Zeroizing;

use crate::algorithm::Algorithm;
use crate::canonical::{Sink as _, StringToSign};
use crate::hex;
use crate::scope::{Scope, TERMINATOR};
use crate::time::Stamp;

/// A secret access key: any non-empty run of bytes. Wiped from memory on drop, never printed.
#[derive(Clone)]
pub struct SecretAccessKey(Zeroizing<Vec<u8>>);

impl SecretAccessKey {
    /// Takes over the bytes of a secret.
    pub fn new(secret: impl Into<Vec<u8>>) -> Self {
        Self(Zeroizing::new(secret.into()))
    }

    /// The secret itself. Named so that each use can be found and reviewed.
    pub fn expose_secret(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for SecretAccessKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretAccessKey(***)")
    }
}

/// A key derived from a secret for one [`Scope`]: a ready HMAC-SHA256 context, worth caching for the day.
///
/// It knows its scope, so that verifying a request of another scope is an error and not a mismatch.
#[derive(Clone)]
pub struct SigningKey {
    date: crate::Date,
    /// What every string to sign begins with: `algorithm LF time LF scope LF`, with room for the time.
    preamble: Box<[u8]>,
    region: Box<str>,
    service: Box<str>,
    key: hmac::Key,
}

/// Where the time stands in a preamble.
const TIME: std::ops::Range<usize> =
    Algorithm::HmacSha256.name().len() + 1..Algorithm::HmacSha256.name().len() + 17;

impl SigningKey {
    /// Derives the key: four chained HMACs over date, region, service and terminator.
    ///
    /// Source: <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html>
    pub fn derive(secret: &SecretAccessKey, scope: &Scope<'_>) -> Self {
        let mut initial = Zeroizing::new(Vec::with_capacity(4 + secret.expose_secret().len()));
        initial.extend_from_slice(b"AWS4");
        initial.extend_from_slice(secret.expose_secret());
        let mut key = hmac::Key::new(hmac::HMAC_SHA256, &initial);
        for step in [scope.date.as_str(), scope.region, scope.service, TERMINATOR] {
            key = hmac::Key::new(hmac::HMAC_SHA256, hmac::sign(&key, step.as_bytes()).as_ref());
        }
        Self {
            date: scope.date,
            preamble: preamble(scope),
            region: scope.region.into(),
            service: scope.service.into(),
            key,
        }
    }

    /// What this key is good for.
    pub fn scope(&self) -> Scope<'_> {
        Scope { date: self.date, region: &self.region, service: &self.service }
    }

    /// Writes the string to sign over the hash of a canonical request of this key's scope. `text` is empty.
    #[inline]
    pub(crate) fn put_string_to_sign(&self, text: &mut StringToSign, date: &Stamp, hash: &[u8; 32]) {
        text.put(&self.preamble);
        text.put(&hex::encode_hash(hash));
        text.as_mut_slice()[TIME].copy_from_slice(date.basic());
    }

    /// Signs `string_to_sign`.
    pub(crate) fn sign(&self, string_to_sign: &[u8]) -> Signature {
        let tag = hmac::sign(&self.key, string_to_sign);
        Signature(tag.as_ref().try_into().expect("an HMAC-SHA256 tag has 32 bytes"))
    }

    /// Whether `signature` is this key's signature of `string_to_sign`, in constant time.
    pub(crate) fn verify(&self, string_to_sign: &[u8], signature: &Signature) -> bool {
        hmac::verify(&self.key, string_to_sign, &signature.0).is_ok()
    }
}

fn preamble(scope: &Scope<'_>) -> Box<[u8]> {
    let mut text = Algorithm::HmacSha256.name().as_bytes().to_vec();
    text.push(b'\n');
    text.resize(TIME.end, b'0');
    text.push(b'\n');
    scope.put(Algorithm::HmacSha256, &mut text);
    text.push(b'\n');
    text.into()
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({}, ***)", self.scope())
    }
}

/// An HMAC-SHA256 signature. There is no `==`: it is compared only by the key that could have made it.
#[derive(Clone)]
pub struct Signature(pub(crate) [u8; 32]);

impl Signature {
    /// Parses 64 lower-case hexadecimal digits; AWS writes no other form.
    pub fn parse(hex: &[u8]) -> Option<Self> {
        hex::decode_lower_hash(hex).map(Self)
    }

    /// The 64 lower-case hexadecimal digits.
    pub fn to_hex(&self) -> [u8; 64] {
        hex::encode_hash(&self.0)
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Signature(***)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_canonical_hex_is_a_signature() {
        let text = [b'a'; 64];
        assert_eq!(Signature::parse(&text).map(|s| s.to_hex()), Some(text));
        assert!(Signature::parse(&[b'A'; 64]).is_none());
        assert!(Signature::parse(&[b'a'; 63]).is_none());
        assert!(Signature::parse(&[0xff; 64]).is_none());
    }

    #[test]
    fn nothing_secret_is_printed() {
        let secret = SecretAccessKey::new("canary");
        let scope =
            Scope { date: crate::Date::parse(b"20150830").unwrap(), region: "us-east-1", service: "s3" };
        let key = SigningKey::derive(&secret, &scope);
        let printed = format!("{secret:?} {key:?} {:?}", key.sign(b"x"));
        assert_eq!(
            printed,
            "SecretAccessKey(***) SigningKey(20150830/us-east-1/s3/aws4_request, ***) Signature(***)"
        );
    }
}
