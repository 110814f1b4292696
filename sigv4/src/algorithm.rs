//! Which algorithm a request is signed with, and the key it must be verified with.

use crate::canonical::{StringToSign, put_string_to_sign};
use crate::key::{Signature, SigningKey};
use crate::replay::ReplayKey;
use crate::scope::Scope;
use crate::sigv4a::{EcdsaSignature, VerifyingKey};
use crate::time::Stamp;

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
///
/// ```
/// use sigv4::*;
///
/// fn verify(request: SignedRequest<'_>, secret: &SecretAccessKey) -> Result<Verified, VerifyError> {
///     match request.algorithm() {
///         // Worth keeping for a day.
///         Algorithm::HmacSha256 => {
///             let key = SigningKey::derive(secret, &request.scope());
///             request.verify(&key)
///         }
///         // Worth keeping as long as the credential.
///         Algorithm::EcdsaP256Sha256 => {
///             let key = VerifyingKey::derive(request.access_key_id(), secret);
///             request.verify(&key)
///         }
///     }
/// }
///
/// // From the test suite of AWS's C library.
/// let endpoint = Endpoint { sigv4a: true, ..Endpoint::generic("service", "us-east-1") };
/// let now = Timestamp::parse_basic(b"20150830T123600Z").unwrap();
/// let mut headers = http::HeaderMap::new();
/// headers.insert("host", "example.amazonaws.com".parse()?);
/// headers.insert("x-amz-date", "20150830T123600Z".parse()?);
/// headers.insert("x-amz-region-set", "us-east-1".parse()?);
/// headers.insert("authorization", "AWS4-ECDSA-P256-SHA256 Credential=AKIDEXAMPLE/20150830/service/aws4_request, \
///     SignedHeaders=host;x-amz-date;x-amz-region-set, \
///     Signature=3045022018b4e277d0281864beb51d3600e23f88510ea5031d68ddfbb68614b82a5eb7d2022100effb9c5f22ed9ef3ae0ab243d21f06bce82365bbb79529a07b6888c343ae5f8c"
///     .parse()?);
/// let head = Head { method: "GET", path: b"/", query: None, headers: &headers, authority: None };
/// let request = SignedRequest::parse(head, &endpoint, now)?;
/// assert!(verify(request, &SecretAccessKey::new("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")).is_ok());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
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
    /// Writes the string to sign over the hash of a canonical request. `scope` is this key's, if it has one; `text` is
    /// empty.
    #[inline]
    pub(crate) fn put_string_to_sign(
        self,
        text: &mut StringToSign,
        date: &Stamp,
        scope: &Scope<'_>,
        hash: &[u8; 32],
    ) {
        match self {
            Self::Signing(key) => key.put_string_to_sign(text, date, hash),
            Self::Verifying(_) => put_string_to_sign(text, date, scope, hash),
        }
    }

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

    /// What a request is known by whose signature [`holds`](Self::holds).
    #[inline]
    pub(crate) fn replay_key<'a>(
        &self,
        string_to_sign: &[u8],
        access_key_id: impl FnOnce() -> &'a str,
    ) -> ReplayKey {
        match self {
            Self::Hmac(_, signature) => ReplayKey::of_hmac(signature.0),
            Self::Ecdsa(..) => ReplayKey::of_ecdsa(string_to_sign, access_key_id()),
        }
    }
}
