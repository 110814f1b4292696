//! The signature algorithms that are verified. There is no other way to name one.

use ring::signature::{
    self, ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, RsaParameters, RsaPublicKeyComponents,
    UnparsedPublicKey, VerificationAlgorithm,
};

/// Asymmetric algorithms of JWA that `ring` verifies. `none` and the shared-secret `HS*` cannot be expressed; curve
/// P-521 (`ES512`) is one that `ring` does not have.
///
/// Source: <https://www.rfc-editor.org/rfc/rfc7518#section-3.1>, <https://www.rfc-editor.org/rfc/rfc8037>
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Algorithm {
    Rs256,
    Rs384,
    Rs512,
    Ps256,
    Ps384,
    Ps512,
    Es256,
    Es384,
    EdDsa,
}

impl Algorithm {
    /// The value of `alg` in a header or a key, by exact spelling.
    pub(super) fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "RS256" => Self::Rs256,
            "RS384" => Self::Rs384,
            "RS512" => Self::Rs512,
            "PS256" => Self::Ps256,
            "PS384" => Self::Ps384,
            "PS512" => Self::Ps512,
            "ES256" => Self::Es256,
            "ES384" => Self::Es384,
            // RFC 9864 gives EdDSA over this curve a name of its own.
            "EdDSA" | "Ed25519" => Self::EdDsa,
            _ => return None,
        })
    }
}

/// A public key that can be verified with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Material {
    /// 2,048 to 8,192 bits; big-endian without leading zeros.
    Rsa {
        modulus: Box<[u8]>,
        exponent: Box<[u8]>,
    },
    /// `4 ‖ x ‖ y`
    P256([u8; 65]),
    /// `4 ‖ x ‖ y`
    P384([u8; 97]),
    Ed25519([u8; 32]),
}

impl Material {
    /// Whether `signature` is this key's over `message`. A key and an algorithm that do not belong together verify
    /// nothing, even if whoever chose them forgot to ask.
    pub(super) fn verifies(&self, algorithm: Algorithm, message: &[u8], signature: &[u8]) -> bool {
        let rsa = |parameters: &RsaParameters| match self {
            Self::Rsa { modulus, exponent } => RsaPublicKeyComponents { n: &**modulus, e: &**exponent }
                .verify(parameters, message, signature)
                .is_ok(),
            Self::P256(_) | Self::P384(_) | Self::Ed25519(_) => false,
        };
        let raw = |verification: &'static dyn VerificationAlgorithm, key: &[u8]| {
            UnparsedPublicKey::new(verification, key).verify(message, signature).is_ok()
        };
        match (algorithm, self) {
            (Algorithm::Rs256, _) => rsa(&signature::RSA_PKCS1_2048_8192_SHA256),
            (Algorithm::Rs384, _) => rsa(&signature::RSA_PKCS1_2048_8192_SHA384),
            (Algorithm::Rs512, _) => rsa(&signature::RSA_PKCS1_2048_8192_SHA512),
            (Algorithm::Ps256, _) => rsa(&signature::RSA_PSS_2048_8192_SHA256),
            (Algorithm::Ps384, _) => rsa(&signature::RSA_PSS_2048_8192_SHA384),
            (Algorithm::Ps512, _) => rsa(&signature::RSA_PSS_2048_8192_SHA512),
            (Algorithm::Es256, Self::P256(point)) => raw(&ECDSA_P256_SHA256_FIXED, point),
            (Algorithm::Es384, Self::P384(point)) => raw(&ECDSA_P384_SHA384_FIXED, point),
            (Algorithm::EdDsa, Self::Ed25519(point)) => raw(&ED25519, point),
            (Algorithm::Es256 | Algorithm::Es384 | Algorithm::EdDsa, _) => false,
        }
    }
}
