//! What a revocation of an access key id comes to: whose the id is, then and later.

use super::*;

fn declared(access_key_id: &str) -> [Declaration; 1] {
    let Credential { access_key_id, secret, principal, status, not_after, .. } = long_term(access_key_id);
    [Declaration::of_config(vec![DeclaredKey { access_key_id, secret, principal, status, not_after }])]
}

/// When every session that was issued at the beginning is over, with all that was chained from it, and so is what is only
/// about those.
const ALL_OVER: UnixMillis = UnixMillis(1_001 + 64 * HOUR);

#[tokio::test]
async fn a_revoked_id_stays_revoked_for_whoever_declares_it_and_not_for_a_later_key_of_the_log() {
    let mut bench = Bench::new();
    bench.put(revoked(RevocationScope::AccessKey(id("AKIA1")), 900)).await.unwrap();
    bench.clock.set(UnixMillis(400 * HOUR));
    bench.store.compact().await.unwrap();
    for _ in 0..2 {
        bench.store.reconcile(&declared("AKIA1")).await.unwrap();
        let key = bench.find("AKIA1").await.unwrap();
        assert_eq!(
            bench.store.revoked(key.credential()),
            Some(RevokedBy::AccessKey),
            "seen first long after"
        );
        assert!(bench.store.access_keys().await.unwrap()[0].revoked.is_some());
        bench.store.reconcile(&[Declaration::of_config(vec![])]).await.unwrap();
        bench.reopen().await;
    }
    bench.put(created(long_term("AKIA1"))).await.unwrap();
    assert_eq!(bench.store.revoked(bench.find("AKIA1").await.unwrap().credential()), None, "made after it");
}

#[tokio::test]
async fn a_mark_on_a_session_of_any_id_is_forgotten_with_it_and_one_on_another_id_is_not() {
    let mut bench = Bench::new();
    let foreign = session("FOREIGN1", 1_000);
    bench.put(issued(foreign.clone())).await.unwrap();
    for name in ["FOREIGN1", "UNKNOWN1"] {
        bench.put(revoked(RevocationScope::AccessKey(id(name)), 1_001)).await.unwrap();
    }
    let marks = |bench: &Bench| bench.store.state().metrics.revocation_marks.get();
    for _ in 0..2 {
        assert_eq!(bench.store.revoked(&foreign), Some(RevokedBy::AccessKey));
        assert_eq!(
            bench.store.revoked(&chained(&foreign, "ASIA1", "other", 1_000)),
            Some(RevokedBy::AccessKey)
        );
        assert_eq!(marks(&bench), 2);
        bench.reopen().await;
    }
    bench.clock.set(ALL_OVER);
    assert_eq!(bench.store.compact().await.unwrap().marks, 1);
    bench.reopen().await;
    assert_eq!((bench.store.revoked(&foreign), marks(&bench)), (None, 1));
    bench.store.reconcile(&declared("UNKNOWN1")).await.unwrap();
    assert!(bench.store.revoked(bench.find("UNKNOWN1").await.unwrap().credential()).is_some());
}

#[tokio::test]
async fn no_id_is_a_sessions_and_a_keys_and_the_key_stays_revoked_where_it_was_both() {
    let bench = Bench::new();
    bench.put(issued(session("FOREIGN1", 1_000))).await.unwrap();
    bench.put(created(long_term("AKIA1"))).await.unwrap();
    let refused = async |event| matches!(bench.put(event).await, Err(StoreError::Conflict { .. }));
    assert!(refused(created(long_term("FOREIGN1"))).await && refused(issued(session("AKIA1", 1_000))).await);
    assert!(bench.store.reconcile(&declared("FOREIGN1")).await.is_err());
    // Of another gateway, where a session has the id of what this one declares, now or soon.
    bench.store.reconcile(&declared("HERE1")).await.unwrap();
    assert!(refused(issued(session("HERE1", 1_000))).await);
    for (name, cascade) in [("HERE1", false), ("LATER1", true)] {
        let scope = RevocationScope::SessionId(id(name));
        let event = if cascade { cascading(scope, 1_001) } else { revoked(scope, 1_001) };
        bench.put(event).await.unwrap();
    }
    bench.store.reconcile(&declared("LATER1")).await.unwrap();
    bench.clock.set(ALL_OVER);
    assert_eq!(
        bench.store.compact().await.unwrap().marks,
        3,
        "of the sessions, and of those of HERE1, which is gone"
    );
    for name in ["HERE1", "LATER1"] {
        bench.store.reconcile(&declared(name)).await.unwrap();
        let key = bench.find(name).await.unwrap();
        assert_eq!(bench.store.revoked(key.credential()), Some(RevokedBy::AccessKey), "{name}");
    }
}
