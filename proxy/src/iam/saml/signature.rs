//! Verifies the XML signatures of a SAML response, in the one profile that identity providers use.
//!
//! A signature is a child of the response or of its assertion, refers to that parent by its `ID` and to nothing
//! else, and covers its exclusive canonical form without the signature. Whatever else XML Signature can express
//! is refused. Keys are those of the provider's metadata; `KeyInfo` is not read.
//!
//! What is signed is handed on as a tree read anew from the bytes that were verified, so no claim can come from
//! anywhere else, whatever the document looks like. `SignedInfo` is treated the same way.
//!
//! Source: <https://www.w3.org/TR/xmldsig-core1/>, section 5.4 of
//! <https://docs.oasis-open.org/security/saml/v2.0/saml-core-2.0-os.pdf>

use std::collections::HashSet;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::digest;

use super::c14n::{self, InclusivePrefixes, canonicalize};
use super::document::{Element, XML_NAMESPACE};
use super::key::{SignatureMethod, VerifyingKey};
use super::{ASSERTION, DSIG, PROTOCOL};

const ENVELOPED: &str = "http://www.w3.org/2000/09/xmldsig#enveloped-signature";
const EXCLUSIVE: &str = "http://www.w3.org/2001/10/xml-exc-c14n#";

/// An element as the identity provider signed it.
pub(super) enum Signed {
    /// The whole response, the assertion in it.
    Response(Element),
    /// The assertion alone; what is around it was written by whoever sent it.
    Assertion(Element),
}

/// Why nothing in a response is known to be signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// The document is not one response with one assertion, each element with an `ID` of its own.
    #[error("the document is not one response with one assertion: {0}")]
    Structure(&'static str),
    /// Neither the response nor the assertion has a signature.
    #[error("nothing is signed")]
    Unsigned,
    /// The signature is outside the profile.
    #[error("the signature is outside the profile: {0}")]
    Profile(&'static str),
    /// No key of the provider made it.
    #[error("no key of the provider made the signature")]
    Key,
    /// The element is not the one that was signed.
    #[error("the digest is another")]
    Digest,
    /// The canonical form is too long.
    #[error("the canonical form is too long")]
    TooLong,
}

use SignatureError::{Profile, Structure};

impl From<c14n::TooLong> for SignatureError {
    fn from(_: c14n::TooLong) -> Self {
        Self::TooLong
    }
}

/// Verifies every signature of a response; at least one there must be.
///
/// If response and assertion are both signed, both signatures must be right, and the response is what was signed.
pub(super) fn verify(response: &Element, keys: &[VerifyingKey]) -> Result<Signed, SignatureError> {
    let assertion = only_assertion(response)?;
    let of_response = response.at_most_one(DSIG, "Signature").map_err(|_| Structure("signatures"))?;
    let of_assertion = assertion.at_most_one(DSIG, "Signature").map_err(|_| Structure("signatures"))?;
    let mut signatures = 0;
    response.walk(&mut |element| signatures += usize::from(element.is(DSIG, "Signature")));
    if signatures != usize::from(of_response.is_some()) + usize::from(of_assertion.is_some()) {
        return Err(Structure("a signature that is nobody's"));
    }
    let inner =
        of_assertion.map(|signature| verify_one(assertion, &[response], signature, keys)).transpose()?;
    let outer = of_response.map(|signature| verify_one(response, &[], signature, keys)).transpose()?;
    match (outer, inner) {
        (Some(response), _) => Ok(Signed::Response(response)),
        (None, Some(assertion)) => Ok(Signed::Assertion(assertion)),
        (None, None) => Err(SignatureError::Unsigned),
    }
}

/// The assertion of a response, if there is no other one anywhere in it, no other response, and no `ID` twice.
///
/// Attacks by wrapping move the signed element where the signature still finds it and put another one where the
/// reader looks. They need two of something.
fn only_assertion(response: &Element) -> Result<&Element, SignatureError> {
    let mut ids = HashSet::new();
    let (mut responses, mut assertions, mut repeated) = (0, 0, false);
    response.walk(&mut |element| {
        responses += usize::from(element.is(PROTOCOL, "Response"));
        assertions += usize::from(element.is(ASSERTION, "Assertion"));
        let mine = element.attributes.iter().filter(|attribute| {
            attribute.local.eq_ignore_ascii_case("id")
                && (attribute.namespace.is_empty() || *attribute.namespace == *XML_NAMESPACE)
        });
        for id in mine {
            repeated |= !ids.insert(id.value.as_str());
        }
    });
    if !response.is(PROTOCOL, "Response") || responses != 1 {
        return Err(Structure("responses"));
    }
    if assertions != 1 {
        return Err(Structure("assertions"));
    }
    if repeated {
        return Err(Structure("an ID that is there twice"));
    }
    response
        .all(ASSERTION, "Assertion")
        .next()
        .ok_or(Structure("an assertion that is not the response's own"))
}

/// Verifies the signature of `parent` and returns what was signed.
fn verify_one(
    parent: &Element,
    ancestors: &[&Element],
    signature: &Element,
    keys: &[VerifyingKey],
) -> Result<Element, SignatureError> {
    let parts: Vec<_> = signature.elements().collect();
    let (signed_info, value) = match parts.as_slice() {
        [info, value] => (info, value),
        [info, value, key_info] if key_info.is(DSIG, "KeyInfo") => (info, value),
        _ => return Err(Profile("the parts of Signature")),
    };
    if !signed_info.is(DSIG, "SignedInfo") || !value.is(DSIG, "SignatureValue") {
        return Err(Profile("the parts of Signature"));
    }
    let around: Vec<_> = ancestors.iter().copied().chain([parent, signature]).collect();
    let method = signed_info.elements().next().ok_or(Profile("the parts of SignedInfo"))?;
    let signed_bytes = canonicalize(signed_info, &around, None, &exclusive(method)?)?;
    let signed_info = SignedInfo::read(&reread(&signed_bytes)?)?;
    let value = value.text().and_then(decode_base64).ok_or(Profile("SignatureValue"))?;
    if !keys.iter().any(|key| key.verifies(signed_info.method, signed_bytes.as_bytes(), &value)) {
        return Err(SignatureError::Key);
    }
    if parent.attribute("ID").is_none_or(|id| id.is_empty() || id != signed_info.id) {
        return Err(Profile("a reference to something else"));
    }
    let signed_bytes = canonicalize(parent, ancestors, Some(signature), &signed_info.inclusive)?;
    if digest::digest(signed_info.digest_method, signed_bytes.as_bytes()).as_ref() != signed_info.digest {
        return Err(SignatureError::Digest);
    }
    reread(&signed_bytes)
}

/// What was signed: the reference and how to follow it.
struct SignedInfo {
    method: SignatureMethod,
    /// Of the element referred to.
    id: String,
    inclusive: InclusivePrefixes,
    digest_method: &'static digest::Algorithm,
    digest: Vec<u8>,
}

impl SignedInfo {
    fn read(info: &Element) -> Result<Self, SignatureError> {
        let [canonicalization, method, reference] =
            parts(info, ["CanonicalizationMethod", "SignatureMethod", "Reference"])
                .ok_or(Profile("the parts of SignedInfo"))?;
        exclusive(canonicalization)?;
        let [transforms, digest_method, digest] =
            parts(reference, ["Transforms", "DigestMethod", "DigestValue"])
                .ok_or(Profile("the parts of Reference"))?;
        let [enveloped, canonicalization] =
            parts(transforms, ["Transform", "Transform"]).ok_or(Profile("transforms"))?;
        if algorithm(enveloped) != ENVELOPED || enveloped.elements().next().is_some() {
            return Err(Profile("transforms"));
        }
        let id = reference.attribute("URI").and_then(|uri| uri.strip_prefix('#'));
        Ok(Self {
            // A parameter of a method, for example the length of an HMAC, is a child.
            method: SignatureMethod::of(algorithm(method))
                .filter(|_| method.elements().next().is_none())
                .ok_or(Profile("the signature method"))?,
            id: id.ok_or(Profile("a reference by something else than an ID"))?.to_owned(),
            inclusive: exclusive(canonicalization)?,
            digest_method: digest_algorithm(algorithm(digest_method)).ok_or(Profile("the digest method"))?,
            digest: digest.text().and_then(decode_base64).ok_or(Profile("DigestValue"))?,
        })
    }
}

/// The child elements, if they are exactly these.
fn parts<'a, const N: usize>(element: &'a Element, names: [&str; N]) -> Option<[&'a Element; N]> {
    let parts: Vec<_> = element.elements().collect();
    let parts: [&Element; N] = parts.try_into().ok()?;
    parts.iter().zip(names).all(|(part, name)| part.is(DSIG, name)).then_some(parts)
}

fn algorithm(element: &Element) -> &str {
    element.attribute("Algorithm").unwrap_or_default()
}

/// Reads a method that must be exclusive canonicalization without comments.
fn exclusive(method: &Element) -> Result<InclusivePrefixes, SignatureError> {
    if algorithm(method) != EXCLUSIVE {
        return Err(Profile("the canonicalization"));
    }
    let parameters: Vec<_> = method.elements().collect();
    match parameters.as_slice() {
        [] => Ok(InclusivePrefixes::default()),
        [namespaces] if namespaces.is(EXCLUSIVE, "InclusiveNamespaces") => {
            Ok(InclusivePrefixes::parse(namespaces.attribute("PrefixList").unwrap_or_default())?)
        }
        _ => Err(Profile("parameters of the canonicalization")),
    }
}

fn digest_algorithm(uri: &str) -> Option<&'static digest::Algorithm> {
    match uri {
        "http://www.w3.org/2001/04/xmlenc#sha256" => Some(&digest::SHA256),
        "http://www.w3.org/2001/04/xmldsig-more#sha384" => Some(&digest::SHA384),
        "http://www.w3.org/2001/04/xmlenc#sha512" => Some(&digest::SHA512),
        _ => None,
    }
}

/// The tree of a canonical form.
fn reread(canonical: &str) -> Result<Element, SignatureError> {
    Element::parse(canonical, usize::MAX).map_err(|_| Structure("a canonical form that cannot be read"))
}

/// Base64 as XML has it, with white space anywhere.
pub(super) fn decode_base64(text: &str) -> Option<Vec<u8>> {
    let digits: Vec<u8> = text.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    STANDARD.decode(digits).ok()
}
