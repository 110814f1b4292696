//! A web identity token as it arrives: a JSON Web Signature in the compact form, believed in nothing.
//!
//! Of an unverified token only its issuer can be asked for, which picks among the declared providers, and whether
//! a set of keys proves it. Whatever else a header may say about keys (`jwk`, `jku`, `x5c`, `x5u`) is not looked
//! at.
//!
//! Source: <https://www.rfc-editor.org/rfc/rfc7515>, <https://www.rfc-editor.org/rfc/rfc8725>

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use super::algorithm::Algorithm;
use super::claims::Claims;
use super::error::TokenError;
use super::json;
use super::jwks::KeySet;

/// Longest `kid` that is looked up.
const MAX_KEY_ID: usize = 1024;

/// The types of token that are identities or access tokens. Security events and logout tokens are signed by the
/// same keys for the same audience, and must not pass for either.
const TYPES: [&str; 3] = ["jwt", "at+jwt", "jose"];

/// Parsed, but not verified.
pub(super) struct UnverifiedToken<'a> {
    /// `header.claims`, as the signature covers it.
    signed: &'a str,
    signature: Vec<u8>,
    algorithm: Algorithm,
    key_id: Option<String>,
    issuer: String,
    claims: Map<String, Value>,
}

impl<'a> UnverifiedToken<'a> {
    /// Reads `header.claims.signature`: exactly three parts of base64url without padding. Five parts, an encrypted
    /// token, and a token within a token are not read.
    pub(super) fn parse(token: &'a str) -> Result<Self, TokenError> {
        let parts: Vec<&str> = token.splitn(4, '.').collect();
        let [header, claims, signature] = parts[..] else {
            return Err(TokenError::Malformed("a token has three parts"));
        };
        let malformed = |what| move || TokenError::Malformed(what);
        let signed = &token[..header.len() + 1 + claims.len()];
        let header = part(header).ok_or_else(malformed("the header is not JSON with unique names"))?;
        let claims = part(claims).ok_or_else(malformed("the claims are not JSON with unique names"))?;
        let signature = URL_SAFE_NO_PAD
            .decode(signature)
            .map_err(|_| TokenError::Malformed("the signature is not base64url"))?;
        let (algorithm, key_id) = read_header(&header)?;
        let issuer = match claims.get("iss") {
            None => return Err(TokenError::Missing("iss")),
            Some(issuer) => issuer.as_str().ok_or(TokenError::Claim("iss"))?.to_owned(),
        };
        Ok(Self { signed, signature, algorithm, key_id, issuer, claims })
    }

    /// Who is said to have issued it.
    pub(super) fn issuer(&self) -> &str {
        &self.issuer
    }

    /// Its claims, if one of `keys` that it means has signed it.
    ///
    /// # Errors
    /// [`TokenError::UnknownKey`] if it means none of them: newer keys may help. Otherwise nothing will.
    pub(super) fn verify(&self, keys: &KeySet) -> Result<Claims<'_>, TokenError> {
        let mut meant = keys.meant_by(self.key_id.as_deref()).peekable();
        if meant.peek().is_none() {
            return Err(TokenError::UnknownKey);
        }
        let mut admitting = meant.filter(|key| key.admits(self.algorithm)).peekable();
        if admitting.peek().is_none() {
            return Err(TokenError::Algorithm);
        }
        if admitting.any(|key| key.verifies(self.algorithm, self.signed.as_bytes(), &self.signature)) {
            Ok(Claims(&self.claims))
        } else {
            Err(TokenError::Signature)
        }
    }
}

fn part(text: &str) -> Option<Map<String, Value>> {
    json::object(&URL_SAFE_NO_PAD.decode(text).ok()?)
}

fn read_header(header: &Map<String, Value>) -> Result<(Algorithm, Option<String>), TokenError> {
    // Extensions that must be understood: none is. `cty` announces a token within the token.
    for name in ["crit", "cty", "enc", "zip"] {
        if header.contains_key(name) {
            return Err(TokenError::Malformed("the header has crit, cty, enc or zip"));
        }
    }
    if header.get("typ").is_some_and(|typ| !typ.as_str().is_some_and(is_known_type)) {
        return Err(TokenError::Malformed("the type is not that of an identity or access token"));
    }
    let algorithm = header.get("alg").and_then(Value::as_str).and_then(Algorithm::parse);
    let algorithm = algorithm.ok_or(TokenError::Malformed("the algorithm is none that is verified"))?;
    let key_id = match header.get("kid") {
        None => None,
        Some(Value::String(id)) if id.len() <= MAX_KEY_ID => Some(id.clone()),
        Some(_) => return Err(TokenError::Malformed("the key id is no string, or too long")),
    };
    Ok((algorithm, key_id))
}

/// Media types are compared without regard to case and may leave out `application/` (RFC 7515, 4.1.9).
fn is_known_type(typ: &str) -> bool {
    let typ = typ.to_ascii_lowercase();
    TYPES.contains(&typ.strip_prefix("application/").unwrap_or(&typ))
}
