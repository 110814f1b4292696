//! Which algorithm a request is signed with, and the key it must be verified with.

use crate::key::{Signature, SigningKey};
use crate::sigv4a::{EcdsaSignature, VerifyingKey};

/// How signatures are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// `AWS4-HMAC-SHA256`: Signature Version 4. Verified with the [`SigningKey`] of the request's scope.
    HmacSha256,
    /// `AWS4-ECDSA-P256-SHA256`: SigV4a, for a set of regions. Verified with the credential's [`VerifyingKey`].
    EcdsaP256Sha256,
}

impl Algorithm {
    /// As it stands in requests.
    pub const fn name(self) -> &'static str {
        match self {
            Self::HmacSha256 => "AWS4-HMAC-SHA256",
            Self::EcdsaP256Sha256 => "AWS4-ECDSA-P256-SHA256",
        }
    }

    pub(crate) fn parse(name: &[u8]) -> Option<Self> {
        [Self::HmacSha256, Self::EcdsaP256Sha256].into_iter().find(|known| known.name().as_bytes() == name)
    }
}

/// The key a request is verified with: that of its [`algorithm`](crate::SignedRequest::algorithm).
#[derive(Clone, Copy, Debug)]
pub enum Key<'k> {
    /// For [`Algorithm::HmacSha256`].
    Signing(&'k SigningKey),
    /// For [`Algorithm::EcdsaP256Sha256`].
    Verifying(&'k VerifyingKey),
}

impl<'k> From<&'k SigningKey> for Key<'k> {
    fn from(key: &'k SigningKey) -> Self {
        Self::Signing(key)
    }
}

impl<'k> From<&'k VerifyingKey> for Key<'k> {
    fn from(key: &'k VerifyingKey) -> Self {
        Self::Verifying(key)
    }
}

impl<'k> Key<'k> {
    /// Reads text as a signature that this key may have made; `None` if no such key writes that.
    #[inline]
    pub(crate) fn read(self, signature: &[u8]) -> Option<Claimed<'k>> {
        match self {
            Self::Signing(key) => Signature::parse(signature).map(|signature| Claimed::Hmac(key, signature)),
            Self::Verifying(key) => {
                EcdsaSignature::parse(signature).map(|signature| Claimed::Ecdsa(key, signature))
            }
        }
    }
}

/// A signature, and the key that is claimed to have made it.
pub(crate) enum Claimed<'k> {
    Hmac(&'k SigningKey, Signature),
    Ecdsa(&'k VerifyingKey, EcdsaSignature),
}

impl Claimed<'_> {
    /// Whether the key signed `string_to_sign` so.
    #[inline]
    pub(crate) fn holds(&self, string_to_sign: &[u8]) -> bool {
        match self {
            Self::Hmac(key, signature) => key.verify(string_to_sign, signature),
            Self::Ecdsa(key, signature) => key.verify(string_to_sign, signature),
        }
    }
}
