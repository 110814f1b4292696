//! The configurations that ship are ones the server starts with.

use std::fs;
use std::path::Path;

use sigward::config::{Config, Environment};

fn shipped(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../config").join(name)).unwrap()
}

#[test]
fn the_minimal_file_needs_its_secrets_and_nothing_else() {
    let dir = tempfile::TempDir::new().unwrap();
    let file = dir.path().join("sigward.toml");
    fs::write(&file, shipped("minimal.toml")).unwrap();
    let missing = Config::load(&file, &Environment::default()).unwrap_err();
    assert!(missing.faults.iter().all(|fault| fault.message.contains("secrets/")), "{missing}");
    assert_eq!(missing.faults.len(), 3, "{missing}");

    fs::create_dir(dir.path().join("secrets")).unwrap();
    for name in ["backend", "alice", "sealing.key"] {
        fs::write(dir.path().join("secrets").join(name), "secret\n").unwrap();
    }
    let config = Config::load(&file, &Environment::default()).unwrap();
    assert_eq!(config.access_keys.len(), 1);
    assert_eq!(config.store.path, dir.path().join("events.redb"));
}

#[test]
fn the_full_file_lacks_only_what_has_no_default() {
    let dir = tempfile::TempDir::new().unwrap();
    let file = dir.path().join("sigward.toml");
    let sealing_key = dir.path().join("sealing.key");
    fs::write(&file, shipped("sigward.toml")).unwrap();
    fs::write(&sealing_key, "key").unwrap();
    let variables = [
        ("SIGWARD__STORE__SEALING_KEY_FILES", sealing_key.to_str().unwrap()),
        ("SIGWARD__BACKEND__ENDPOINT", "https://s3.example.com"),
        ("SIGWARD__BACKEND__ACCESS_KEY_ID", "backend"),
        ("SIGWARD__BACKEND__SECRET_ACCESS_KEY_ENV", "BACKEND_SECRET"),
        ("BACKEND_SECRET", "secret"),
    ];
    Config::load(&file, &variables.into_iter().collect()).unwrap();
    for left_out in 0..variables.len() {
        let rest = variables.into_iter().enumerate().filter(|(at, _)| *at != left_out).map(|(_, pair)| pair);
        let error = Config::load(&file, &rest.collect()).unwrap_err();
        assert_eq!(error.faults.len(), 1, "{error}");
    }
}
