//! No response makes the verifier panic, and none is accepted that says what the provider never signed.
//!
//! Seeds: `cargo +nightly fuzz run saml fuzz/corpus/saml tests/data/saml/responses`.

#![no_main]

use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use libfuzzer_sys::fuzz_target;
use sigward::clock::UnixMillis;
use sigward::iam::saml::{Assertion, IdentityProvider, RelyingParty, verify};

struct World {
    provider: IdentityProvider,
    party: RelyingParty,
    /// What the corpus asserts where it is accepted.
    signed: Vec<Assertion>,
}

static WORLD: LazyLock<World> = LazyLock::new(|| {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data/saml");
    let metadata = fs::read_to_string(corpus.join("metadata/default.xml")).unwrap();
    let mut world = World {
        provider: IdentityProvider::parse(&metadata).unwrap(),
        party: RelyingParty::default(),
        signed: Vec::new(),
    };
    for file in fs::read_dir(corpus.join("responses")).unwrap() {
        world.signed.extend(accepted(&fs::read(file.unwrap().path()).unwrap(), &world));
    }
    assert!(world.signed.len() > 50);
    world
});

fn accepted(response: &[u8], world: &World) -> Option<Assertion> {
    let now = UnixMillis::parse_rfc3339("2026-01-02T03:04:05Z").unwrap();
    verify(&STANDARD.encode(response), &world.provider, &world.party, now).ok()
}

fuzz_target!(|response: &[u8]| {
    if let Some(assertion) = accepted(response, &WORLD) {
        assert!(WORLD.signed.contains(&assertion), "never signed: {assertion:?}");
    }
    if let Ok(metadata) = std::str::from_utf8(response) {
        let _ = IdentityProvider::parse(metadata);
    }
});
