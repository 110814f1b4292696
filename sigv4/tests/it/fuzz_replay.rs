//! The corpus of the fuzzer, replayed: what it once found stays found, without a fuzzer.

use std::path::Path;

#[path = "../../fuzz/src/lib.rs"]
#[expect(unreachable_pub, reason = "the binaries of the fuzzer call them from outside")]
mod targets;

/// A target and its name.
type Target = (&'static str, fn(&[u8]));

const TARGETS: [Target; 7] = [
    ("authorization", targets::authorization),
    ("presigned", targets::presigned),
    ("canonical", targets::canonical),
    ("chunks", targets::chunks),
    ("form", targets::form),
    ("policy", targets::policy),
    ("der", targets::der),
];

#[test]
fn the_corpus_gives_no_wrong_answer() {
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    for (name, target) in TARGETS {
        let inputs = std::fs::read_dir(fuzz.join("corpus").join(name)).unwrap();
        let mut replayed = 0;
        for input in inputs {
            target(&std::fs::read(input.unwrap().path()).unwrap());
            replayed += 1;
        }
        assert!(replayed > 3, "{name} has a corpus");
        let binary = std::fs::read_to_string(fuzz.join(format!("fuzz_targets/{name}.rs"))).unwrap();
        assert!(binary.contains(&format!("::{name}(data)")), "{name} is what the fuzzer runs");
    }
    assert_eq!(std::fs::read_dir(fuzz.join("fuzz_targets")).unwrap().count(), TARGETS.len());
}
