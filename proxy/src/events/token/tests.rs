use sigv4::SecretAccessKey;

use super::*;
use crate::clock::UnixMillis;
use crate::iam::{Ancestor, Federation, KeyStatus, Principal, SamlSubject, SessionKind};

/// The simple session of the tests below under key 07.. and salt 09.., as another implementation of the layout
/// wrote it.
const GOLDEN: &str = "AgJrMQkJCQkJCQkJCQkJCQkJCQnjyYayGK5o4S1i0JGRHudgbIBFuhQh5AHmIQf/3OyMAwX0SyL3BzJixpHBgI74SzNc\
                      HknPWzlpSuH8PDMp7cD4qRiDH1VPdCHAHgs1+py0DpMVy3nLfh6JziCTVPqspzTejfi8AmYWBnY9LLrFx4oA2ijq4FgG\
                      Q5yiTAeOqYChoQ==";

fn keyring() -> Keyring {
    Keyring::fixed("k1", [7; 32])
}

fn id(text: &str) -> AccessKeyId {
    AccessKeyId::parse(text).unwrap()
}

fn principal(role: &str) -> Principal {
    Principal {
        arn: format!("arn:aws:sts::123456789012:assumed-role/{role}/build"),
        user_id: format!("AROA{role}:build"),
        account: "123456789012".into(),
    }
}

fn credential(session: Session) -> Credential {
    Credential {
        access_key_id: id("ASIA1"),
        secret: SecretAccessKey::new("canary"),
        principal: principal("reader"),
        issued_at: UnixMillis(1_700_000_000_123),
        status: KeyStatus::Active,
        not_after: None,
        declared: false,
        session: Some(session),
    }
}

fn simple() -> Credential {
    let hash = SessionTokenHash::from_bytes([0; 32]);
    credential(Session::new(SessionKind::SessionToken, hash, UnixMillis(1_700_000_900_123)))
}

fn ancestor(n: usize) -> Ancestor {
    Ancestor {
        access_key_id: id(&format!("ASIAANCESTOR{n:08}")),
        principal: principal("first"),
        role_arn: Some("arn:aws:iam::123456789012:role/first".into()),
        session_name: Some("build".into()),
        provider: None,
        issued_at: UnixMillis(1_700_000_000_000),
    }
}

/// A session with everything a session can have.
fn full() -> Credential {
    let mut credential = simple();
    let session = credential.session.as_mut().unwrap();
    session.kind = SessionKind::Saml;
    session.name = Some("build".into());
    session.role_arn = Some("arn:aws:iam::123456789012:role/reader".into());
    session.parent_access_key_id = Some(id("ASIAANCESTOR00000001"));
    session.source_identity = Some("alice".into());
    session.mfa_authenticated_at = Some(UnixMillis(1_699_999_999_999));
    session.tags = [("team".into(), "red".into()), ("env".into(), "é".into())].into();
    session.transitive_tag_keys = ["env".into()].into();
    session.session_policies = vec![r#"{"Statement":[]}"#.into()];
    session.policy_arns = vec!["arn:aws:iam::aws:policy/ReadOnlyAccess".into()];
    session.federation = Some(Federation {
        provider: "arn:aws:iam::123456789012:saml-provider/idp".into(),
        issuer: "https://idp".into(),
        subject: "alice".into(),
        audience: "https://sp".into(),
        saml: Some(SamlSubject { name_qualifier: "q".into(), subject_type: "persistent".into() }),
    });
    session.lineage = vec![ancestor(1), ancestor(2)];
    credential
}

fn sealed(credential: &Credential) -> Result<Zeroizing<String>, TokenError> {
    seal_salted(credential, credential.session.as_ref().unwrap(), 300, &keyring(), [9; 16])
}

fn opened(token: &str) -> Option<Unsealed> {
    unseal_session(token.as_bytes(), &id("ASIA1"), &keyring())
}

#[test]
fn version_two_is_these_bytes() {
    assert_eq!(*sealed(&simple()).unwrap(), GOLDEN);
}

#[test]
fn a_token_gives_back_the_whole_session() {
    for mut given in [simple(), full()] {
        let token = sealed(&given).unwrap();
        let unsealed = opened(&token).unwrap();
        assert_eq!((unsealed.position, unsealed.policies_withheld), (300, false));
        assert_eq!(unsealed.credential.secret.expose_secret(), b"canary");
        given.session.as_mut().unwrap().token = SessionTokenHash::of(token.as_bytes());
        assert_eq!(unsealed.credential.session, given.session);
        assert_eq!(format!("{:?}", unsealed.credential), format!("{given:?}"));
    }
}

#[test]
fn every_kind_of_session_is_written_as_itself() {
    for kind in [
        SessionKind::SessionToken,
        SessionKind::AssumedRole,
        SessionKind::WebIdentity,
        SessionKind::Saml,
        SessionKind::Federation,
    ] {
        let mut given = simple();
        given.session.as_mut().unwrap().kind = kind;
        let unsealed = opened(&sealed(&given).unwrap()).unwrap();
        assert_eq!(unsealed.credential.session.unwrap().kind, kind);
    }
}

#[test]
fn no_bit_of_a_token_can_be_changed() {
    let good = STANDARD.decode(&*sealed(&simple()).unwrap()).unwrap();
    for at in 0..good.len() * 8 {
        let mut bad = good.clone();
        bad[at / 8] ^= 1 << (at % 8);
        assert!(opened(&STANDARD.encode(&bad)).is_none(), "bit {at}");
    }
    for length in 0..good.len() {
        assert!(opened(&STANDARD.encode(&good[..length])).is_none(), "length {length}");
    }
}

#[test]
fn a_token_belongs_to_its_access_key_id_and_its_sealing_key() {
    let token = sealed(&simple()).unwrap();
    assert!(unseal_session(token.as_bytes(), &id("ASIA2"), &keyring()).is_none());
    for (key_id, key) in [("k1", [8; 32]), ("k2", [7; 32])] {
        assert!(
            unseal_session(token.as_bytes(), &id("ASIA1"), &Keyring::fixed(key_id, key)).is_none(),
            "{key_id}"
        );
    }
}

#[test]
fn what_is_no_sealed_token_is_none() {
    let long = "A".repeat(MAX_TOKEN_BYTES + 4);
    let opaque = opaque_token().unwrap();
    for token in ["", "x", "AgJrMQ==", "\u{e9}", &opaque, &long] {
        assert!(opened(token).is_none(), "{token}");
    }
    let token = sealed(&simple()).unwrap();
    assert!(opened(&format!("{} ", *token)).is_none());
}

#[test]
fn nothing_can_be_read_in_a_token_and_no_two_are_alike() {
    let full = full();
    let token = || seal_session(&full, full.session.as_ref().unwrap(), 1, &keyring()).unwrap();
    let raw = STANDARD.decode(&*token()).unwrap();
    for clear in ["123456789012", "ASIA1", "canary", "alice", "reader"] {
        assert!(!raw.windows(clear.len()).any(|window| window == clear.as_bytes()), "{clear}");
    }
    assert_ne!(*token(), *token());
}

#[test]
fn policies_that_do_not_fit_are_left_to_the_log() {
    let mut large = full();
    large.session.as_mut().unwrap().session_policies = vec!["x".repeat(2_048)];
    assert!(!opened(&sealed(&large).unwrap()).unwrap().policies_withheld, "the longest policy of AWS fits");
    large.session.as_mut().unwrap().session_policies = vec!["x".repeat(3_000)];
    let unsealed = opened(&sealed(&large).unwrap()).unwrap();
    assert!(unsealed.policies_withheld);
    assert!(unsealed.credential.session.unwrap().session_policies.is_empty());
}

#[test]
fn a_session_without_policies_may_still_be_too_large() {
    let mut large = simple();
    let tags = (0..50).map(|n| (format!("key{n}"), format!("{n:060}")));
    large.session.as_mut().unwrap().tags = tags.collect();
    assert_eq!(sealed(&large).unwrap_err(), TokenError::TooLarge);
}

#[test]
fn the_longest_chain_of_one_role_fits() {
    let mut long = full();
    long.session.as_mut().unwrap().lineage = (0..Session::MAX_LINEAGE).map(ancestor).collect();
    let token = sealed(&long).unwrap();
    assert!(token.len() < 2_000, "{}", token.len());
    assert_eq!(opened(&token).unwrap().credential.session.unwrap().lineage.len(), Session::MAX_LINEAGE);
}
