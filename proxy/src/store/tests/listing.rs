//! Lists for operators.

use super::*;

#[tokio::test]
async fn sessions_are_listed_by_filter_and_page() {
    let bench = Bench::new();
    bench.put(created(long_term("AKIAPARENT"))).await.unwrap();
    for n in 0..5 {
        bench.put(issued(role_session(&format!("ASIA{n}"), 1_000))).await.unwrap();
    }
    bench.put(issued(session("ASIAUSER", 1_000))).await.unwrap();
    bench.put(revoked(RevocationScope::AccessKey(id("ASIA3")), 1_001)).await.unwrap();
    let list = async |filter: SessionFilter, limit, after: Option<&str>| {
        let page = bench.store.sessions(filter, limit, after.map(id)).await.unwrap();
        page.into_iter().map(|session| session.access_key_id.to_string()).collect::<Vec<_>>()
    };
    let all = SessionFilter::default;
    assert_eq!(list(all(), 3, None).await, ["ASIA0", "ASIA1", "ASIA2"]);
    assert_eq!(list(all(), 9, Some("ASIA2")).await, ["ASIA3", "ASIA4", "ASIAUSER"]);
    let by_arn = SessionFilter { principal: Some(alice().arn), ..all() };
    assert_eq!(list(by_arn, 9, None).await, ["ASIAUSER"]);
    let by_id = SessionFilter { principal: Some("AROAREADER:ASIA1".into()), ..all() };
    assert_eq!(list(by_id, 9, None).await, ["ASIA1"]);
    let by_role = SessionFilter { role: Some(format!("arn:aws:iam::{ACCOUNT}:role/reader")), ..all() };
    assert_eq!(list(by_role, 2, Some("ASIA1")).await, ["ASIA2", "ASIA3"]);
    let elsewhere = SessionFilter { account: Some("210987654321".into()), ..all() };
    assert!(list(elsewhere, 9, None).await.is_empty());

    let page = bench.store.sessions(all(), 9, None).await.unwrap();
    assert_eq!(page[3].revoked, Some(RevokedBy::AccessKey));
    assert_eq!((page[2].revoked, page[2].session_name.as_deref()), (None, Some("ASIA2")));

    bench.clock.set(UnixMillis(1_000 + HOUR));
    assert!(list(all(), 9, None).await.is_empty());
    assert_eq!(list(SessionFilter { expired: true, ..all() }, 9, None).await.len(), 6);
}

#[tokio::test]
async fn access_keys_are_listed_with_status_and_origin() {
    let bench = Bench::new();
    bench.put(created(long_term("AKIA2"))).await.unwrap();
    bench.put(status("1", "AKIA2", KeyStatus::Inactive)).await.unwrap();
    let Credential { access_key_id, secret, principal, status, .. } = long_term("AKIA1");
    bench
        .store
        .reconcile(&[Declaration::of_config(vec![DeclaredKey {
            access_key_id,
            secret,
            principal,
            status,
            not_after: None,
        }])])
        .await
        .unwrap();
    let keys = bench.store.access_keys().await.unwrap();
    let seen: Vec<_> =
        keys.iter().map(|key| (key.access_key_id.as_str(), key.status, key.source.as_str())).collect();
    assert_eq!(
        seen,
        [("AKIA1", KeyStatus::Active, Event::CONFIG_SOURCE), ("AKIA2", KeyStatus::Inactive, "/test")]
    );
    assert!(!format!("{keys:?}").contains("secret of"));
}

#[tokio::test]
async fn the_log_is_read_from_any_place() {
    let bench = Bench::new();
    for n in 0..4 {
        bench.put(issued(session(&format!("ASIA{n}"), 1_000))).await.unwrap();
    }
    let page = bench.store.events(1, 2).await.unwrap();
    let seen: Vec<_> = page.iter().map(|(seq, event)| (*seq, event.id.as_str())).collect();
    assert_eq!(seen, [(2, "issued ASIA1"), (3, "issued ASIA2")]);
    assert!(bench.store.events(u64::MAX, 2).await.unwrap().is_empty());
}
