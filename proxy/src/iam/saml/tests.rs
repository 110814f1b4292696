//! The corpus in `proxy/tests/data/saml`, and what no document may do.

use std::fs;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;
use serde_json::Value as Json;

use super::c14n::{InclusivePrefixes, canonicalize};
use super::document::Element;
use super::*;

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/saml")
}

fn read(path: &str) -> String {
    fs::read_to_string(corpus().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn rows(file: &str, list: &str) -> Vec<Json> {
    let manifest: Json = serde_json::from_str(&read(file)).unwrap();
    manifest[list].as_array().unwrap().clone()
}

fn now() -> UnixMillis {
    UnixMillis::parse_rfc3339("2026-01-02T03:04:05Z").unwrap()
}

fn provider(name: &str) -> IdentityProvider {
    IdentityProvider::parse(&read(&format!("metadata/{name}.xml"))).unwrap()
}

/// A response of the corpus in base64, as a client sends it.
fn response(file: &str) -> String {
    let text = read(&format!("responses/{file}"));
    if file.ends_with(".txt") { text } else { STANDARD.encode(text) }
}

fn verify_file(file: &str, metadata: &str) -> Result<Assertion, SamlError> {
    verify(&response(file), &provider(metadata), &RelyingParty::default(), now())
}

fn accepted(file: &str) -> Assertion {
    verify_file(file, "default").unwrap()
}

#[test]
fn every_response_of_the_corpus_gets_its_verdict() {
    let rows = rows("cases.json", "responses");
    let mut wrong = Vec::new();
    for row in &rows {
        let (file, verdict) = (row["file"].as_str().unwrap(), row["verdict"].as_str().unwrap());
        match verify_file(file, row["metadata"].as_str().unwrap()) {
            Ok(assertion) if verdict == "accepted" => check_claims(file, &row["claims"], &assertion),
            Ok(_) => wrong.push(format!("{file}: accepted, not {verdict}")),
            Err(error) if format!("{error:?}").starts_with(verdict) => {}
            Err(error) => wrong.push(format!("{file}: {error:?}, not {verdict}")),
        }
    }
    assert!(wrong.is_empty(), "of {}:\n{}", rows.len(), wrong.join("\n"));
}

/// What all accepted responses say, but for what the corpus says of one.
fn check_claims(file: &str, claims: &Json, assertion: &Assertion) {
    let text = |name: &str, default: &str| claims[name].as_str().unwrap_or(default).to_owned();
    assert_eq!(assertion.id, "_a", "{file}");
    assert_eq!(assertion.issuer, "https://idp.example/metadata", "{file}");
    assert_eq!(assertion.subject.name, text("subject", "alice"), "{file}");
    if let Some(format) = claims["format"].as_str() {
        assert_eq!(assertion.subject.short_format(), format, "{file}");
    }
    assert_eq!(assertion.recipient, text("recipient", "https://signin.aws.amazon.com/saml"), "{file}");
    assert_eq!(assertion.session_name, "alice@example.com", "{file}");
    let provider = "arn:aws:iam::123456789012:saml-provider/example";
    assert!(assertion.grants("arn:aws:iam::123456789012:role/reader", provider), "{file}");
    assert!(!assertion.grants("arn:aws:iam::123456789012:role/admin", provider), "{file}");
    assert_eq!(assertion.source_identity.as_deref(), claims["source_identity"].as_str(), "{file}");
    assert_eq!(assertion.session_duration.map(u64::from), claims["duration"].as_u64(), "{file}");
    assert_eq!(assertion.session_until.map(|until| until.0), claims["session_until"].as_i64(), "{file}");
    let tags: Json =
        assertion.tags.iter().map(|(key, value)| (key.clone(), Json::from(value.as_str()))).collect();
    assert_eq!(tags, claims.get("tags").cloned().unwrap_or_else(|| serde_json::json!({})), "{file}");
    let transitive = claims["transitive"].as_array().map_or(0, Vec::len);
    assert_eq!(assertion.transitive_tag_keys.len(), transitive, "{file}");
    assert!(assertion.redeemable_until > now(), "{file}");
}

#[test]
fn metadata_that_cannot_be_relied_upon_are_refused() {
    for row in rows("cases.json", "metadata") {
        let (file, verdict) = (row["file"].as_str().unwrap(), row["verdict"].as_str().unwrap());
        let error = IdentityProvider::parse(&read(&format!("metadata/{file}"))).unwrap_err();
        assert!(format!("{error:?}").starts_with(verdict), "{file}: {error:?}, not {verdict}");
    }
}

#[test]
fn canonical_forms_are_those_of_libxml2() {
    let cases: Vec<Json> = serde_json::from_str(&read("c14n.json")).unwrap();
    assert!(cases.len() >= 400);
    for case in &cases {
        let text = case["in"].as_str().unwrap();
        let root = Element::parse(text, usize::MAX).unwrap_or_else(|error| panic!("{error}: {text}"));
        let inclusive = InclusivePrefixes::parse(case["prefixes"].as_str().unwrap()).unwrap();
        let mut path = path_to(&root, "apex").unwrap_or_else(|| vec![&root]);
        let apex = path.pop().unwrap();
        let without = path_to(apex, "without").and_then(|mut path| path.pop());
        let without = without.filter(|without| !std::ptr::eq(*without, apex));
        let canonical = canonicalize(apex, &path, without, &inclusive).unwrap();
        assert_eq!(canonical, case["out"].as_str().unwrap(), "{case}");
    }
}

/// The elements from `element` down to the one with this `ID`.
fn path_to<'a>(element: &'a Element, id: &str) -> Option<Vec<&'a Element>> {
    if element.attribute("ID") == Some(id) {
        return Some(vec![element]);
    }
    element.elements().find_map(|child| {
        let mut path = path_to(child, id)?;
        path.insert(0, element);
        Some(path)
    })
}

#[test]
fn limits_of_time_hold_to_the_millisecond() {
    let at = |now: i64| {
        verify(
            &response("signed-assertion.xml"),
            &provider("default"),
            &RelyingParty::default(),
            UnixMillis(now),
        )
        .map(|assertion| assertion.redeemable_until.0)
    };
    let issued = UnixMillis::parse_rfc3339("2026-01-02T03:04:00Z").unwrap().0;
    assert_eq!(at(issued - 60_001), Err(SamlError::Early));
    assert_eq!(at(issued - 60_000), Ok(issued + 300_000));
    assert_eq!(at(issued + 299_999), Ok(issued + 300_000));
    assert_eq!(at(issued + 300_000), Err(SamlError::Stale));
}

#[test]
fn relying_parties_are_known_by_their_own_names() {
    let text = response("signed-response.xml");
    let party = |audience: &str, recipient: &str| RelyingParty {
        audiences: vec![audience.into()],
        recipients: vec![recipient.into()],
    };
    let ask = |party: RelyingParty| verify(&text, &provider("default"), &party, now()).err();
    let endpoint = "https://signin.aws.amazon.com/saml";
    assert_eq!(ask(party(endpoint, endpoint)), None);
    assert_eq!(ask(party("https://*.amazon.com/saml", endpoint)), Some(SamlError::Audience));
    assert_eq!(ask(party("https://*.aws.amazon.com/saml", endpoint)), None);
    assert_eq!(ask(party(endpoint, "https://sts.example")), Some(SamlError::Recipient));
}

#[test]
fn errors_are_those_of_aws() {
    for (file, status, code, message) in [
        ("tampered-name-response.xml", 400, "InvalidIdentityToken", "Response signature invalid"),
        ("wrong-key-response.xml", 400, "InvalidIdentityToken", "Response signature invalid"),
        ("xsw3.xml", 400, "InvalidIdentityToken", "Response signature invalid"),
        ("unsigned.xml", 400, "InvalidIdentityToken", "Response signature invalid"),
        ("base64-truncated.txt", 400, "InvalidIdentityToken", "Invalid base64 SAMLResponse (Service: "),
        (
            "issuer-other.xml",
            400,
            "InvalidIdentityToken",
            "Issuer not present in specified provider (Service: ",
        ),
        ("no-session-name.xml", 400, "InvalidIdentityToken", "RoleSessionName is required in AuthnResponse"),
        (
            "session-name-short.xml",
            400,
            "InvalidIdentityToken",
            "RoleSessionName in AuthnResponse must match [a-zA-Z_0-9+=,.@-]{2,64}",
        ),
        (
            "source-identity-reserved.xml",
            400,
            "InvalidIdentityToken",
            "Source Identity must match [a-zA-Z_0-9+=,.@-]{2,64} and not begin with \"aws:\"",
        ),
        (
            "audience-other.xml",
            400,
            "InvalidIdentityToken",
            "Response does not contain the required audience.",
        ),
        ("no-subject.xml", 403, "AccessDenied", "Not authorized to perform sts:AssumeRoleWithSAML"),
        ("expired-conditions.xml", 400, "ExpiredTokenException", "Response has expired"),
        ("stale.xml", 400, "ExpiredTokenException", "Token must be redeemed within 5 minutes of issuance"),
        (
            "status-denied.xml",
            403,
            "IDPRejectedClaim",
            "The identity provider reported that authentication failed",
        ),
    ] {
        let fault = verify_file(file, "default").unwrap_err().fault();
        assert_eq!((fault.status.as_u16(), fault.code), (status, code), "{file}");
        assert!(fault.message.starts_with(message), "{file}: {}", fault.message);
    }
}

#[test]
fn an_assertion_is_redeemed_once_per_provider() {
    let replays = Replays::with_capacity(3);
    let mut assertion = accepted("signed-assertion.xml");
    assert_eq!(replays.redeem("a", &assertion, now()), Ok(()));
    assert_eq!(replays.redeem("a", &assertion, now()), Err(ReplayError::Replayed));
    assert_eq!(replays.redeem("b", &assertion, now()), Ok(()));
    assertion.id = "_other".to_owned();
    assert_eq!(replays.redeem("a", &assertion, now()), Ok(()));
    assertion.id = "_one-too-many".to_owned();
    assert_eq!(replays.redeem("a", &assertion, now()), Err(ReplayError::Full));
    // By then nobody would verify it any more, so it need not be remembered.
    assert_eq!(replays.redeem("a", &assertion, assertion.redeemable_until), Ok(()));
}

#[test]
fn one_of_many_at_a_time_redeems_an_assertion() {
    let (replays, assertion) = (Replays::default(), accepted("signed-assertion.xml"));
    let redeem = || replays.redeem("a", &assertion, now()).is_ok();
    let redeemed = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(redeem)).collect();
        threads.into_iter().filter_map(|thread| thread.join().unwrap().then_some(())).count()
    });
    assert_eq!(redeemed, 1);
}

/// Texts that are nearly a response: each of `edits` replaces, drops or doubles a piece.
fn edited(text: &str, edits: &[(usize, usize, u8)]) -> Vec<u8> {
    let mut bytes = text.as_bytes().to_vec();
    for &(at, length, how) in edits {
        let at = at % bytes.len();
        let end = (at + length).min(bytes.len());
        match how {
            0 => drop(bytes.drain(at..end)),
            1 => {
                let piece = bytes[at..end].to_vec();
                bytes.splice(at..at, piece);
            }
            byte => bytes[at] = byte,
        }
        if bytes.is_empty() {
            break;
        }
    }
    bytes
}

proptest! {
    #[test]
    fn no_edit_of_a_response_panics_or_changes_what_is_asserted(
        edits in prop::collection::vec((any::<usize>(), 1_usize..200, any::<u8>()), 1..4),
    ) {
        let text = read("responses/signed-both.xml");
        let encoded = STANDARD.encode(edited(&text, &edits));
        let provider = provider("default");
        if let Ok(assertion) = verify(&encoded, &provider, &RelyingParty::default(), now()) {
            prop_assert_eq!(assertion, accepted("signed-both.xml"));
        }
    }

    #[test]
    fn no_text_panics(text in "[<>&;/!?\\[\\]\\-a-c:='\" x#0-9\\PC]{0,80}") {
        let _ = Element::parse(&text, usize::MAX);
        let _ = IdentityProvider::parse(&text);
    }

    #[test]
    fn no_certificate_panics(at in any::<usize>(), byte in any::<u8>(), keep in any::<usize>()) {
        let metadata = read("metadata/default.xml");
        let start = metadata.find("<ds:X509Certificate>").unwrap() + 20;
        let end = metadata.find("</ds:X509Certificate>").unwrap();
        let mut der = STANDARD.decode(&metadata[start..end]).unwrap();
        let at = at % der.len();
        der[at] = byte;
        der.truncate(keep % (2 * der.len()));
        let _ = key::VerifyingKey::of_certificate(&der);
    }

    /// What is read from a canonical form has that form: nothing is lost or gained on the way to the claims.
    #[test]
    fn a_canonical_form_is_its_own(index in 0_usize..400) {
        let cases: Vec<Json> = serde_json::from_str(&read("c14n.json")).unwrap();
        let canonical = cases[index]["out"].as_str().unwrap();
        let inclusive = InclusivePrefixes::parse(cases[index]["prefixes"].as_str().unwrap()).unwrap();
        let again = Element::parse(canonical, usize::MAX).unwrap();
        prop_assert_eq!(canonicalize(&again, &[], None, &inclusive).unwrap(), canonical);
    }
}
