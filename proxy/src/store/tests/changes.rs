//! What events do to credentials: issuance, long-term keys, reconciliation.

use super::*;
use crate::events::{EventData, LoggedEvent, MAX_SESSION_MILLIS, write_event};
use crate::store::shared::{self, Outcome};

#[tokio::test]
async fn an_issued_credential_is_found_with_everything_it_was_issued_with() {
    let bench = Bench::new();
    let given = role_session("ASIA1", 1_000);
    let receipt = bench.put(issued(given.clone())).await.unwrap();
    assert_eq!(receipt, Receipt { seq: 1, duplicate: false });
    let found = bench.find("ASIA1").await.unwrap();
    assert_eq!(format!("{:?}", found.credential()), format!("{given:?}"));
    assert_eq!(found.credential().secret.expose_secret(), given.secret.expose_secret());
    assert_eq!(found.credential().session, given.session);
    assert!(Arc::ptr_eq(&found, &bench.store.cached("ASIA1").unwrap()));
}

#[tokio::test]
async fn absence_is_not_remembered() {
    let bench = Bench::new();
    assert!(bench.find("ASIA1").await.is_none());
    bench.put(issued(session("ASIA1", 1_000))).await.unwrap();
    assert!(bench.find("ASIA1").await.is_some());
    for illegal in ["", "a b", &"x".repeat(129)] {
        assert!(bench.find(illegal).await.is_none() && bench.store.cached(illegal).is_none());
    }
}

#[tokio::test]
async fn the_same_event_twice_changes_nothing_and_says_so() {
    let mut bench = Bench::new();
    let event = issued(session("ASIA1", 1_000));
    let first = bench.put(event.clone()).await.unwrap();
    let again = Receipt { seq: first.seq, duplicate: true };
    assert_eq!(bench.put(event.clone()).await.unwrap(), again);
    assert_eq!(bench.store.append(vec![event.clone(), event.clone()]).await.unwrap(), [again, again]);
    bench.reopen().await;
    assert_eq!(bench.put(event).await.unwrap(), again);
    assert_eq!(bench.store.position(), 1);
}

#[tokio::test]
async fn the_same_issuance_under_another_event_id_is_a_duplicate() {
    let bench = Bench::new();
    let first = bench.put(issued(session("ASIA1", 1_000))).await.unwrap();
    let again = event("another", EventData::CredentialIssued(session("ASIA1", 1_000)));
    assert_eq!(bench.put(again).await.unwrap(), Receipt { seq: first.seq, duplicate: true });
}

#[tokio::test]
async fn an_issued_credential_is_never_overwritten() {
    let bench = Bench::new();
    bench.put(issued(session("ASIA1", 1_000))).await.unwrap();
    let mut others = vec![session("ASIA1", 999), session("ASIA1", 1_000), session("ASIA1", 1_000)];
    others[1].secret = sigv4::SecretAccessKey::new("another");
    others[2].principal.account = "210987654321".into();
    for (n, other) in others.into_iter().enumerate() {
        let error = bench.put(event(&n.to_string(), EventData::CredentialIssued(other))).await.unwrap_err();
        assert!(matches!(error, StoreError::Conflict { reason: Conflict::Issued, .. }), "{error}");
    }
    let error = bench.put(created(long_term("ASIA1"))).await.unwrap_err();
    assert!(matches!(error, StoreError::Conflict { reason: Conflict::IsSession, .. }), "{error}");
    let found = bench.find("ASIA1").await.unwrap();
    assert_eq!(found.credential().secret.expose_secret(), b"secret of ASIA1");
    assert_eq!(bench.store.position(), 1);
}

#[tokio::test]
async fn a_session_cannot_take_a_long_term_keys_id() {
    let bench = Bench::new();
    bench.put(created(long_term("AKIA1"))).await.unwrap();
    let error = bench.put(issued(session("AKIA1", 1_000))).await.unwrap_err();
    assert_eq!(error.to_string(), "AKIA1: a long-term key has this id");
    assert!(bench.find("AKIA1").await.unwrap().credential().session.is_none());
}

#[tokio::test]
async fn what_the_store_relies_on_is_checked_whoever_appends() {
    let bench = Bench::new();
    let mut too_long = session("ASIA1", 1_000);
    too_long.session.as_mut().unwrap().expires_at = UnixMillis(1_001 + MAX_SESSION_MILLIS);
    let mut nameless = issued(session("ASIA1", 1_000));
    nameless.id.clear();
    let table = [
        (issued(too_long), "data.expires_at"),
        (issued(session("ASIA1", 302_000)), "data.issued_at"),
        (issued(long_term("AKIA1")), "data"),
        (created(session("ASIA1", 1_000)), "data"),
        (nameless, "id"),
        (revoked(RevocationScope::Account(ACCOUNT.into()), 302_000), "data.issued_before"),
    ];
    for (event, path) in table {
        match bench.put(event).await.unwrap_err() {
            StoreError::Invalid(error) => assert_eq!(error.path, path),
            other => panic!("{other}"),
        }
    }
    assert_eq!(bench.store.position(), 0);
}

#[tokio::test]
async fn an_oversize_event_is_refused_and_its_neighbours_are_not() {
    let bench = Bench::new();
    let mut large = session("ASIA2", 1_000);
    large.session.as_mut().unwrap().tags.insert("t".into(), "x".repeat(70_000));
    let (first, large, last) = tokio::join!(
        bench.put(issued(session("ASIA1", 1_000))),
        bench.put(issued(large)),
        bench.put(issued(session("ASIA3", 1_000))),
    );
    assert!(first.is_ok() && last.is_ok());
    assert!(matches!(large, Err(StoreError::TooLarge { .. })));
    assert!(bench.find("ASIA2").await.is_none());
    assert_eq!(bench.store.position(), 2);
}

#[tokio::test]
async fn events_before_a_refused_one_stay_and_those_after_it_do_not() {
    let bench = Bench::new();
    let events =
        vec![issued(session("ASIA1", 1_000)), deleted("1", "AKIANONE"), issued(session("ASIA2", 1_000))];
    let error = bench.store.append(events.clone()).await.unwrap_err();
    assert_eq!(error.to_string(), "AKIANONE: no such access key");
    assert!(bench.find("ASIA1").await.is_some() && bench.find("ASIA2").await.is_none());
    bench.put(created(long_term("AKIANONE"))).await.unwrap();
    let receipts = bench.store.append(events).await.unwrap();
    assert_eq!(receipts.iter().map(|receipt| receipt.duplicate).collect::<Vec<_>>(), [true, false, false]);
}

#[tokio::test]
async fn an_inactive_key_does_not_exist_until_it_is_activated_again() {
    let mut bench = Bench::new();
    bench.put(created(long_term("AKIAPARENT"))).await.unwrap();
    assert!(bench.find("AKIAPARENT").await.is_some());
    bench.put(status("1", "AKIAPARENT", KeyStatus::Inactive)).await.unwrap();
    for _ in 0..2 {
        assert!(bench.store.cached("AKIAPARENT").is_none());
        assert!(bench.find("AKIAPARENT").await.is_none());
        bench.reopen().await;
    }
    bench.put(status("2", "AKIAPARENT", KeyStatus::Active)).await.unwrap();
    let record = bench.find("AKIAPARENT").await.unwrap();
    assert_eq!(bench.store.revoked(record.credential()), None, "the key itself was not revoked");
}

#[tokio::test]
async fn deactivation_deletion_and_another_secret_end_the_sessions_issued_to_the_key() {
    let secret = sigv4::SecretAccessKey::new("another");
    let replaced = Credential { secret, ..long_term("AKIAPARENT") };
    for end in [
        status("1", "AKIAPARENT", KeyStatus::Inactive),
        deleted("1", "AKIAPARENT"),
        event("1", EventData::AccessKeyCreated(replaced)),
    ] {
        let mut bench = Bench::new();
        bench.clock.set(UnixMillis(5_000));
        bench.put(created(long_term("AKIAPARENT"))).await.unwrap();
        // Issued by a clock that is ahead: later than the deactivation by ours.
        let (before, ahead) = (session("ASIA1", 5_000), session("ASIA2", 9_000));
        bench.put(issued(before.clone())).await.unwrap();
        bench.put(issued(ahead.clone())).await.unwrap();
        assert_eq!(bench.store.revoked(&before), None);
        bench.put(end).await.unwrap();
        bench.reopen().await;
        assert_eq!(bench.store.revoked(&before), Some(RevokedBy::AccessKey));
        assert_eq!(bench.store.revoked(&ahead), Some(RevokedBy::AccessKey));
        assert_eq!(bench.store.revoked(&session("ASIA3", 9_001)), None, "issued after that");
        assert_eq!(bench.store.revoked(&long_term("AKIAPARENT")), None);
    }
}

#[tokio::test]
async fn a_deleted_key_is_gone_and_replaying_its_creation_does_not_bring_it_back() {
    let mut bench = Bench::new();
    bench.put(created(long_term("AKIA1"))).await.unwrap();
    assert!(bench.find("AKIA1").await.is_some());
    bench.put(deleted("1", "AKIA1")).await.unwrap();
    assert!(bench.store.cached("AKIA1").is_none() && bench.find("AKIA1").await.is_none());
    bench.clock.set(UnixMillis(1_000 + 10 * MAX_SESSION_MILLIS));
    bench.store.compact().await.unwrap();
    bench.reopen().await;
    assert!(bench.put(created(long_term("AKIA1"))).await.unwrap().duplicate);
    assert!(bench.find("AKIA1").await.is_none());
    let log = bench.store.events(0, 10).await.unwrap();
    assert!(log.iter().all(|(_, event)| !event.carries_secret()), "the secret left the log with the key");
}

#[tokio::test]
async fn a_replaced_secret_holds_from_the_next_look_up_on() {
    let mut bench = Bench::new();
    bench.put(created(long_term("AKIA1"))).await.unwrap();
    bench.find("AKIA1").await.unwrap();
    let mut replacement = long_term("AKIA1");
    replacement.secret = sigv4::SecretAccessKey::new("replaced");
    bench.put(event("2", EventData::AccessKeyCreated(replacement))).await.unwrap();
    assert!(bench.store.cached("AKIA1").is_none());
    assert_eq!(bench.find("AKIA1").await.unwrap().credential().secret.expose_secret(), b"replaced");
    bench.reopen().await;
    assert_eq!(bench.find("AKIA1").await.unwrap().credential().secret.expose_secret(), b"replaced");
    assert_eq!(bench.store.events(0, 10).await.unwrap().len(), 1, "the replaced secret left the log");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn concurrent_loads_of_one_key_read_it_once() {
    let bench = Bench::new();
    bench.put(issued(session("ASIA1", 1_000))).await.unwrap();
    let tasks: Vec<_> = (0..500)
        .map(|_| {
            let store = bench.store.clone();
            tokio::spawn(async move { store.load("ASIA1").await.unwrap().unwrap() })
        })
        .collect();
    for task in tasks {
        assert_eq!(task.await.unwrap().credential().access_key_id.as_str(), "ASIA1");
    }
    assert_eq!(bench.store.state().metrics.cache_misses.get(), 1);
}

fn declared(access_key_id: &str) -> DeclaredKey {
    let Credential { access_key_id, secret, principal, status, .. } = long_term(access_key_id);
    DeclaredKey { access_key_id, secret, principal, status, not_after: None }
}

fn by_config(keys: impl Into<Vec<DeclaredKey>>) -> [Declaration; 1] {
    [Declaration::of_config(keys.into())]
}

#[tokio::test]
async fn who_declares_a_revoked_key_is_told() {
    let bench = Bench::new();
    bench.put(created(long_term("AKIAEVENT"))).await.unwrap();
    for revoked_id in ["AKIAEVENT", "AKIAB", "AKIAABSENT"] {
        bench.put(revoked(RevocationScope::AccessKey(id(revoked_id)), 2_000)).await.unwrap();
    }
    let both = by_config([declared("AKIAA"), declared("AKIAB")]);
    for _ in 0..2 {
        assert_eq!(bench.store.reconcile(&both).await.unwrap().revoked, [id("AKIAB")]);
    }
    assert_eq!(bench.store.reconcile(&by_config([declared("AKIAA")])).await.unwrap().revoked, []);
}

#[tokio::test]
async fn declared_keys_are_created_changed_and_deleted_and_others_are_left_alone() {
    let mut bench = Bench::new();
    bench.put(created(long_term("AKIAEVENT"))).await.unwrap();
    let counts = |created, changed, deleted| Reconciled { created, changed, deleted, ..Default::default() };
    let (a, b) = (declared("AKIAA"), declared("AKIAB"));
    assert_eq!(bench.store.reconcile(&by_config([a.clone(), b.clone()])).await.unwrap(), counts(2, 0, 0));
    bench.reopen().await;
    assert_eq!(bench.store.reconcile(&by_config([b.clone(), a.clone()])).await.unwrap(), counts(0, 0, 0));
    assert_eq!(bench.store.position(), 3, "nothing to do, nothing written");

    let inactive = DeclaredKey { status: KeyStatus::Inactive, ..a.clone() };
    let mut moved = b.clone();
    moved.principal.user_id = "AIDABOB".into();
    assert_eq!(bench.store.reconcile(&by_config([inactive, moved])).await.unwrap(), counts(0, 2, 0));
    assert!(bench.find("AKIAA").await.is_none());
    assert_eq!(bench.find("AKIAB").await.unwrap().credential().principal.user_id, "AIDABOB");

    let rotated = DeclaredKey { secret: sigv4::SecretAccessKey::new("rotated"), ..a };
    assert_eq!(bench.store.reconcile(&by_config([rotated])).await.unwrap(), counts(0, 1, 1));
    assert_eq!(bench.find("AKIAA").await.unwrap().credential().secret.expose_secret(), b"rotated");
    assert!(bench.find("AKIAB").await.is_none());
    assert_eq!(bench.store.reconcile(&by_config(vec![])).await.unwrap(), counts(0, 0, 1));
    assert!(bench.find("AKIAEVENT").await.is_some());
    assert_eq!(
        bench.store.reconcile(&by_config([b])).await.unwrap(),
        counts(1, 0, 0),
        "a deleted key may come back"
    );
}

#[tokio::test]
async fn no_later_source_takes_the_key_of_an_earlier_one_that_has_yet_to_be_read() {
    let mut bench = Bench::new();
    let own = declared("AKIAA");
    let others = DeclaredKey { secret: sigv4::SecretAccessKey::new("other"), ..own.clone() };
    let both = |first: Option<Vec<DeclaredKey>>| {
        let place = |name: &str, keys| Declaration { source: format!("{}{name}", Event::KEY_SOURCES), keys };
        [place("first", first), place("second", Some(vec![others.clone()]))]
    };
    bench.store.reconcile(&both(Some(vec![own.clone()]))).await.unwrap();
    bench.reopen().await;
    let done = bench.store.reconcile(&both(None)).await.unwrap();
    assert_eq!((done.created, done.changed, done.deleted, done.conflicts.len()), (0, 0, 0, 1));
    let secret = async |bench: &Bench| bench.find("AKIAA").await.unwrap().credential().secret.clone();
    assert_eq!(secret(&bench).await.expose_secret(), own.secret.expose_secret());
    bench.store.reconcile(&both(Some(vec![]))).await.unwrap();
    assert_eq!(secret(&bench).await.expose_secret(), b"other", "once the first no longer has it");
}

#[tokio::test]
async fn a_declared_key_that_belongs_to_someone_else_is_an_error_and_changes_nothing() {
    let bench = Bench::new();
    bench.put(created(long_term("AKIAEVENT"))).await.unwrap();
    bench.put(issued(session("ASIA1", 1_000))).await.unwrap();
    let fine = declared("AKIAFINE");
    let table = [
        (vec![fine.clone(), declared("AKIAEVENT")], Conflict::NotDeclared, "AKIAEVENT"),
        (vec![fine.clone(), declared("ASIA1")], Conflict::IsSession, "ASIA1"),
        (vec![fine.clone(), fine], Conflict::DeclaredTwice, "AKIAFINE"),
    ];
    for (keys, expected, named) in table {
        match bench.store.reconcile(&by_config(keys)).await.unwrap_err() {
            StoreError::Conflict { access_key_id, reason } => {
                assert_eq!((access_key_id.as_str(), reason), (named, expected));
            }
            other => panic!("{other}"),
        }
    }
    assert_eq!(bench.store.position(), 2);
}

#[tokio::test]
async fn events_from_elsewhere_do_not_touch_declared_keys() {
    let bench = Bench::new();
    bench.store.reconcile(&by_config([declared("AKIA1")])).await.unwrap();
    let events =
        [created(long_term("AKIA1")), status("1", "AKIA1", KeyStatus::Inactive), deleted("2", "AKIA1")];
    for event in events {
        let error = bench.put(event).await.unwrap_err();
        assert!(matches!(error, StoreError::Conflict { reason: Conflict::Declared, .. }), "{error}");
    }
    let record = bench.find("AKIA1").await.unwrap();
    bench.put(revoked(RevocationScope::AccessKey(id("AKIA1")), 1_001)).await.unwrap();
    assert_eq!(bench.store.revoked(record.credential()), Some(RevokedBy::AccessKey), "the kill switch");
    bench.store.reconcile(&by_config([declared("AKIA1")])).await.unwrap();
    assert_eq!(bench.store.revoked(record.credential()), Some(RevokedBy::AccessKey));
}

#[tokio::test]
async fn what_was_set_aside_of_a_former_log_takes_no_place_in_the_present_one() {
    let mut bench = Bench::new();
    let at = UnixMillis(1_000);
    let [late, present] = ["ASIALATE", "ASIA1"].map(|name| {
        let logged = LoggedEvent { event: issued(session(name, 1_000)), recorded_at: at };
        let body = write_event(&logged, &bench.keyring).unwrap();
        (logged, body)
    });
    bench.batch(|batch| batch.quarantine((9, at), &late.1, None).unwrap()).await;
    bench
        .edit(|tables| {
            tables.meta.insert(tables::META_LOGS, 1).unwrap();
            tables.meta.insert(tables::META_APPLIED, 0).unwrap();
        })
        .await;
    let keyring = bench.keyring.clone();
    bench
        .batch(|batch| {
            batch.apply_at(9, (&present.0, &present.1), at).ok().unwrap();
            assert!(matches!(shared::retry(batch, &keyring).unwrap()[..], [Outcome::Applied(_)]));
        })
        .await;
    bench.store = bench.open().unwrap();
    assert!(bench.find("ASIALATE").await.is_some() && bench.find("ASIA1").await.is_some());
    assert_eq!(bench.store.position(), 9);
    assert_eq!(bench.store.events(0, 9).await.unwrap().len(), 1, "those of the present log");
}
