//! The keys a provider publishes: a JSON Web Key Set, of which only what can be verified with is kept.
//!
//! A key decides by itself which algorithms it is good for; a token may only pick among those. Keys of other kinds,
//! for encryption, too short or malformed are passed over, as RFC 7517 asks: a provider may publish kinds that are
//! not known here.
//!
//! Source: <https://www.rfc-editor.org/rfc/rfc7517>, <https://www.rfc-editor.org/rfc/rfc7518#section-6>

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use super::algorithm::{Algorithm, Material};
use super::json;

/// Bits of an RSA modulus.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;

/// The usable keys of a provider.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct KeySet(Vec<Key>);

/// One key and what it may verify.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Key {
    id: Option<String>,
    algorithms: &'static [Algorithm],
    material: Material,
}

/// Not a key set at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a JSON Web Key Set")]
pub(crate) struct NotAKeySet;

impl KeySet {
    /// Reads `{"keys": […]}`.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, NotAKeySet> {
        let document = json::object(bytes).ok_or(NotAKeySet)?;
        let keys = document.get("keys").and_then(Value::as_array).ok_or(NotAKeySet)?;
        Ok(Self(keys.iter().filter_map(|key| Key::read(key.as_object()?)).collect()))
    }

    /// The keys a token may mean: those of its key id; for a token without one, the only key there is. A key
    /// without an id is meant by any id as long as it is alone.
    pub(super) fn meant_by(&self, id: Option<&str>) -> impl Iterator<Item = &Key> {
        let alone = self.0.len() == 1;
        self.0.iter().filter(move |key| match (id, &key.id) {
            (Some(id), Some(own)) => id == own,
            (None, _) | (Some(_), None) => alone,
        })
    }
}

impl Key {
    /// Whether the key may be used with this algorithm.
    pub(super) fn admits(&self, algorithm: Algorithm) -> bool {
        self.algorithms.contains(&algorithm)
    }

    /// Whether `signature` is this key's over `message`, by an algorithm it admits.
    pub(super) fn verifies(&self, algorithm: Algorithm, message: &[u8], signature: &[u8]) -> bool {
        self.admits(algorithm) && self.material.verifies(algorithm, message, signature)
    }

    fn read(jwk: &Map<String, Value>) -> Option<Self> {
        let text = |name: &str| jwk.get(name).and_then(Value::as_str);
        let id = match jwk.get("kid") {
            None => None,
            Some(id) => Some(id.as_str()?.to_owned()),
        };
        if !is_for_signatures(jwk) {
            return None;
        }
        let (material, usable) = match text("kty")? {
            "RSA" => (rsa(text("n")?, text("e")?)?, RSA_ALGORITHMS),
            "EC" => match text("crv")? {
                "P-256" => (Material::P256(point(text("x")?, text("y")?)?), ES256),
                "P-384" => (Material::P384(point(text("x")?, text("y")?)?), ES384),
                _ => return None,
            },
            "OKP" if text("crv")? == "Ed25519" => {
                (Material::Ed25519(decode(text("x")?)?.try_into().ok()?), EDDSA)
            }
            _ => return None,
        };
        let algorithms = match jwk.get("alg") {
            Some(name) => {
                let pinned = Algorithm::parse(name.as_str()?)?;
                let at = usable.iter().position(|algorithm| *algorithm == pinned)?;
                &usable[at..=at]
            }
            // PSS only where a key asks for it: a key without `alg` is one for PKCS #1 everywhere.
            None => usable.split_at(usable.len().min(3)).0,
        };
        Some(Self { id, algorithms, material })
    }
}

/// PKCS #1 first: these three are for keys that do not say.
const RSA_ALGORITHMS: &[Algorithm] = &[
    Algorithm::Rs256,
    Algorithm::Rs384,
    Algorithm::Rs512,
    Algorithm::Ps256,
    Algorithm::Ps384,
    Algorithm::Ps512,
];
const ES256: &[Algorithm] = &[Algorithm::Es256];
const ES384: &[Algorithm] = &[Algorithm::Es384];
const EDDSA: &[Algorithm] = &[Algorithm::EdDsa];

fn is_for_signatures(jwk: &Map<String, Value>) -> bool {
    let used = jwk.get("use").is_none_or(|usage| usage == "sig");
    let operations = jwk.get("key_ops");
    used && operations
        .is_none_or(|list| list.as_array().is_some_and(|list| list.iter().any(|op| op == "verify")))
}

fn rsa(modulus: &str, exponent: &str) -> Option<Material> {
    let trimmed = |text: &str| {
        let bytes = decode(text)?;
        let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
        Some(Box::<[u8]>::from(&bytes[zeros..]))
    };
    let (modulus, exponent) = (trimmed(modulus)?, trimmed(exponent)?);
    let bits = modulus.len() * 8 - modulus.first()?.leading_zeros() as usize;
    (RSA_BITS.contains(&bits) && !exponent.is_empty()).then_some(Material::Rsa { modulus, exponent })
}

/// An uncompressed point; each coordinate has the full length of its curve (RFC 7518, 6.2.1.2).
fn point<const N: usize>(x: &str, y: &str) -> Option<[u8; N]> {
    let (x, y) = (decode(x)?, decode(y)?);
    let same = x.len() == y.len();
    same.then(|| [&[4], &*x, &*y].concat()).and_then(|point| point.try_into().ok())
}

fn decode(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}
