//! Keys that verify signatures of identity providers, and where they are in a certificate.
//!
//! A certificate is an envelope for its key here: the metadata that holds it is what is trusted, so neither its
//! issuer nor its dates are looked at, as in IAM and in the SAML metadata interoperability profile.
//!
//! Source: <https://www.rfc-editor.org/rfc/rfc5280#section-4.1>, <https://www.rfc-editor.org/rfc/rfc8017>,
//! <https://www.rfc-editor.org/rfc/rfc5480>

use ring::signature::{self, UnparsedPublicKey, VerificationAlgorithm};

/// A public key of an identity provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum VerifyingKey {
    /// `RSAPublicKey` of PKCS #1, with a modulus of 2048 to 8192 bits.
    Rsa(Box<[u8]>),
    /// An uncompressed point.
    P256([u8; 65]),
    /// An uncompressed point.
    P384([u8; 97]),
}

/// The signature algorithms that are accepted. What is not here, SHA-1 and HMAC above all, does not exist.
///
/// Source: <https://www.rfc-editor.org/rfc/rfc9231#section-2.3>
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SignatureMethod {
    RsaSha256,
    RsaSha384,
    RsaSha512,
    /// With a key on P-256 only.
    EcdsaSha256,
    /// With a key on P-384 only.
    EcdsaSha384,
}

impl SignatureMethod {
    pub(super) fn of(uri: &str) -> Option<Self> {
        match uri.strip_prefix("http://www.w3.org/2001/04/xmldsig-more#")? {
            "rsa-sha256" => Some(Self::RsaSha256),
            "rsa-sha384" => Some(Self::RsaSha384),
            "rsa-sha512" => Some(Self::RsaSha512),
            "ecdsa-sha256" => Some(Self::EcdsaSha256),
            "ecdsa-sha384" => Some(Self::EcdsaSha384),
            _ => None,
        }
    }
}

/// Why a certificate has no key that can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// It is no X.509 certificate in DER.
    #[error("it is not an X.509 certificate")]
    Malformed,
    /// Its key is of a kind that is not accepted.
    #[error("its key is neither RSA of 2048 to 8192 bits nor ECDSA on P-256 or P-384")]
    Key,
}

impl VerifyingKey {
    /// The key of a certificate in DER.
    pub(super) fn of_certificate(der: &[u8]) -> Result<Self, CertificateError> {
        let (algorithm, key) = subject_public_key(der).ok_or(CertificateError::Malformed)?;
        Self::of(algorithm, key).ok_or(CertificateError::Key)
    }

    fn of(mut algorithm: &[u8], key: &[u8]) -> Option<Self> {
        const RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];
        const EC: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
        const P256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
        const P384: &[u8] = &[0x2b, 0x81, 0x04, 0x00, 0x22];
        let kind = take(&mut algorithm, OBJECT_IDENTIFIER)?;
        if kind == RSA {
            return (2048..=8192).contains(&modulus_bits(key)?).then(|| Self::Rsa(key.into()));
        }
        if kind != EC || key.first() != Some(&4) {
            return None;
        }
        let curve = take(&mut algorithm, OBJECT_IDENTIFIER)?;
        if curve == P256 {
            key.try_into().ok().map(Self::P256)
        } else if curve == P384 {
            key.try_into().ok().map(Self::P384)
        } else {
            None
        }
    }

    /// Whether `signature` is this key's for `message`. No method fits the key of another algorithm.
    pub(super) fn verifies(&self, method: SignatureMethod, message: &[u8], signature: &[u8]) -> bool {
        let algorithm: &dyn VerificationAlgorithm = match (self, method) {
            (Self::Rsa(_), SignatureMethod::RsaSha256) => &signature::RSA_PKCS1_2048_8192_SHA256,
            (Self::Rsa(_), SignatureMethod::RsaSha384) => &signature::RSA_PKCS1_2048_8192_SHA384,
            (Self::Rsa(_), SignatureMethod::RsaSha512) => &signature::RSA_PKCS1_2048_8192_SHA512,
            (Self::P256(_), SignatureMethod::EcdsaSha256) => &signature::ECDSA_P256_SHA256_FIXED,
            (Self::P384(_), SignatureMethod::EcdsaSha384) => &signature::ECDSA_P384_SHA384_FIXED,
            (Self::Rsa(_), SignatureMethod::EcdsaSha256 | SignatureMethod::EcdsaSha384)
            | (
                Self::P256(_),
                SignatureMethod::RsaSha256
                | SignatureMethod::RsaSha384
                | SignatureMethod::RsaSha512
                | SignatureMethod::EcdsaSha384,
            )
            | (
                Self::P384(_),
                SignatureMethod::RsaSha256
                | SignatureMethod::RsaSha384
                | SignatureMethod::RsaSha512
                | SignatureMethod::EcdsaSha256,
            ) => return false,
        };
        let key: &[u8] = match self {
            Self::Rsa(key) => key,
            Self::P256(point) => point,
            Self::P384(point) => point,
        };
        UnparsedPublicKey::new(algorithm, key).verify(message, signature).is_ok()
    }
}

const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const OBJECT_IDENTIFIER: u8 = 0x06;
const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0;

/// `AlgorithmIdentifier` and the bits of `SubjectPublicKeyInfo` in a certificate.
fn subject_public_key(mut certificate: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut whole = take(&mut certificate, SEQUENCE)?;
    if !certificate.is_empty() {
        return None;
    }
    let mut signed = take(&mut whole, SEQUENCE)?;
    if signed.first() == Some(&VERSION) {
        take(&mut signed, VERSION)?;
    }
    take(&mut signed, INTEGER)?; // its serial number
    for _ in ["signature", "issuer", "validity", "subject"] {
        take(&mut signed, SEQUENCE)?;
    }
    let mut key = take(&mut signed, SEQUENCE)?;
    let algorithm = take(&mut key, SEQUENCE)?;
    match take(&mut key, BIT_STRING)? {
        [0, bits @ ..] if key.is_empty() => Some((algorithm, bits)),
        _ => None,
    }
}

fn modulus_bits(mut key: &[u8]) -> Option<usize> {
    let mut numbers = take(&mut key, SEQUENCE)?;
    let modulus = take(&mut numbers, INTEGER)?;
    let exponent = take(&mut numbers, INTEGER)?;
    if !key.is_empty() || !numbers.is_empty() || exponent.is_empty() {
        return None;
    }
    let modulus = modulus.strip_prefix(&[0]).unwrap_or(modulus);
    Some(modulus.len() * 8 - modulus.first()?.leading_zeros() as usize)
}

/// Takes an element of DER off `input` if it has this tag, and returns what is in it.
fn take<'a>(input: &mut &'a [u8], tag: u8) -> Option<&'a [u8]> {
    let (&[found, length], rest) = input.split_first_chunk()?;
    let (length, rest) = match length {
        0..=0x7f => (usize::from(length), rest),
        0x81..=0x83 => {
            let (digits, rest) = rest.split_at_checked(usize::from(length - 0x80))?;
            (digits.iter().fold(0, |length, &digit| length << 8 | usize::from(digit)), rest)
        }
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(length).filter(|_| found == tag)?;
    *input = rest;
    Some(content)
}
