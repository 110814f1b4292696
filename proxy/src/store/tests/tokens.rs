//! Sessions that come by their token: what two stores with one keyring know of each other's.

use super::*;
use crate::events::{MAX_AHEAD_MILLIS, MAX_TOKEN_BYTES};

/// A store with the keys of `other` and a log of its own.
fn beside(other: &Bench, sealed_tokens: bool) -> Bench {
    let dir = tempfile::tempdir().unwrap();
    let options = StoreOptions { path: dir.path().join("b.redb"), sealed_tokens, ..other.options.clone() };
    let (clock, keyring) = (other.clock.clone(), other.keyring.clone());
    let store = Store::open(&options, keyring.clone(), clock.clone(), &Metrics::new()).unwrap();
    Bench { store, clock, keyring, options, _dir: dir }
}

/// Issues a session; the token it got.
async fn issue(bench: &Bench, mut credential: Credential) -> String {
    let token = bench.store.make_token(&mut credential).unwrap();
    bench.put(issued(credential)).await.unwrap();
    token.to_string()
}

impl Bench {
    fn unseal(&self, access_key_id: &str, token: &str) -> Result<Option<Arc<Record>>, UnsealError> {
        self.store.unseal(access_key_id, token.as_bytes(), self.clock.now())
    }
}

#[tokio::test]
async fn a_store_that_never_saw_the_issuance_verifies_from_the_token_alone() {
    let here = Bench::new();
    let there = beside(&here, true);
    let token = issue(&here, role_session("ASIA1", 1_000)).await;
    assert!(there.find("ASIA1").await.is_none());
    let record = there.unseal("ASIA1", &token).unwrap().unwrap();
    let known = here.find("ASIA1").await.unwrap();
    assert_eq!(record.credential().session, known.credential().session);
    assert_eq!(record.credential().secret.expose_secret(), known.credential().secret.expose_secret());
    assert!(record.credential().session.as_ref().unwrap().token.matches(token.as_bytes()));
    assert!(Arc::ptr_eq(&record, &there.store.cached("ASIA1").unwrap()), "from now on it is cached");
}

#[tokio::test]
async fn what_is_not_authentic_or_not_alive_is_never_cached() {
    let here = Bench::new();
    let there = beside(&here, true);
    let token = issue(&here, session("ASIA1", 1_000)).await;
    let other = if token.as_bytes()[40] == b'A' { 'B' } else { 'A' };
    let altered = format!("{}{other}{}", &token[..40], &token[41..]);
    for (access_key_id, token) in
        [("ASIA2", &*token), ("ASIA1", &altered), ("ASIA1", ""), ("ASIA1", "garbage"), ("no id", &token)]
    {
        assert!(there.unseal(access_key_id, token).unwrap().is_none(), "{access_key_id} {token}");
    }
    there.clock.set(UnixMillis(1_000 + HOUR));
    assert_eq!(there.unseal("ASIA1", &token).unwrap_err(), UnsealError::Expired);
    there.clock.set(UnixMillis(999 - MAX_AHEAD_MILLIS));
    assert!(there.unseal("ASIA1", &token).unwrap().is_none(), "issued in a future that is too far away");
    assert!(there.store.cached("ASIA1").is_none());
}

#[tokio::test]
async fn a_revocation_reaches_a_session_that_only_its_token_knows() {
    let here = Bench::new();
    let there = beside(&here, true);
    // By a clock that is ahead of the one that revokes.
    let token = issue(&here, role_session("ASIA1", 2_000)).await;
    let record = there.unseal("ASIA1", &token).unwrap().unwrap();
    assert_eq!(there.store.revoked(record.credential()), None);
    let scope = RevocationScope::Account(ACCOUNT.into());
    let mark = there.store.mark_now(&scope, false).await.unwrap();
    there.put(revoked(scope, mark.0)).await.unwrap();
    assert_eq!(there.store.revoked(record.credential()), Some(RevokedBy::Account));
}

#[tokio::test]
async fn policies_that_did_not_fit_are_needed_from_the_log() {
    let here = Bench::new();
    let there = beside(&here, true);
    let mut large = role_session("ASIA1", 1_000);
    large.session.as_mut().unwrap().session_policies = vec!["x".repeat(MAX_TOKEN_BYTES)];
    let token = issue(&here, large).await;
    let error = there.unseal("ASIA1", &token).unwrap_err();
    assert!(matches!(error, UnsealError::PoliciesElsewhere { position: 0, .. }), "{error}");
    let known = here.find("ASIA1").await.unwrap();
    assert!(known.credential().session.as_ref().unwrap().token.matches(token.as_bytes()));
}

#[tokio::test]
async fn without_sealing_tokens_say_nothing_and_are_looked_up_only() {
    let sealing = Bench::new();
    let plain = beside(&sealing, false);
    let token = issue(&plain, session("ASIA1", 1_000)).await;
    assert_eq!(token.len(), 64);
    assert!(
        plain
            .find("ASIA1")
            .await
            .unwrap()
            .credential()
            .session
            .as_ref()
            .unwrap()
            .token
            .matches(token.as_bytes())
    );
    assert!(sealing.unseal("ASIA1", &token).unwrap().is_none());
    let sealed = issue(&sealing, session("ASIA2", 1_000)).await;
    assert!(plain.unseal("ASIA2", &sealed).unwrap().is_none(), "nor is a sealed token taken at its word");
}
