//! What a sealed secret opens for, and for whom it does not.

use super::*;

fn id(text: &str) -> AccessKeyId {
    AccessKeyId::parse(text).unwrap()
}

#[test]
fn a_sealed_secret_opens_for_its_own_id_under_its_own_key_only() {
    let keyring = Keyring::ephemeral().unwrap();
    let text = seal_secret(&id("AKIA1"), &SecretAccessKey::new("canary"), &keyring).unwrap();
    assert!(text.starts_with(FORMAT) && !text.contains("canary"));
    let opened = unseal_secret(&id("AKIA1"), &text, &keyring).unwrap();
    assert_eq!(opened.expose_secret(), b"canary");
    let other = unseal_secret(&id("AKIA2"), &text, &keyring).unwrap_err();
    assert_eq!(other.to_string(), "malformed: is the secret of another access key id");
    let missing = unseal_secret(&id("AKIA1"), &text, &Keyring::ephemeral().unwrap()).unwrap_err();
    assert!(matches!(missing, RowError::MissingKey(_)), "{missing}");
}

#[test]
fn what_is_no_sealed_secret_opens_for_nobody() {
    let keyring = Keyring::ephemeral().unwrap();
    let text = seal_secret(&id("AKIA1"), &SecretAccessKey::new("canary"), &keyring).unwrap();
    for bad in ["", "canary", FORMAT, "sigward-sealed-secret-v1:%", &text[..text.len() - 8]] {
        assert!(unseal_secret(&id("AKIA1"), bad, &keyring).is_err(), "{bad}");
    }
}
