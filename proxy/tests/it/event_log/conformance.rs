//! What one gateway may rely on, whatever log it has.

use sigward::events::EventData;
use sigward::iam::KeyStatus;
use sigward::store::{Declaration, DeclaredKey, StoreError};

use super::*;

/// The same verdict of both logs.
macro_rules! verdicts {
    ($($name:ident)*) => {
        mod embedded {
            $(#[tokio::test] async fn $name() { super::on(super::Kind::Embedded, super::$name).await })*
        }
        mod shared {
            $(#[tokio::test] async fn $name() { super::on(super::Kind::Shared, super::$name).await })*
        }
    };
}

verdicts! {
    events_keep_the_order_of_their_append
    what_is_appended_twice_is_there_once
    a_contradiction_is_refused_and_holds_up_nothing
    revocations_merge_by_the_latest_time
    a_key_follows_its_last_event_through_restarts
    inactive_and_deleted_keys_take_their_sessions_along
    a_failing_event_stops_its_batch_and_not_what_was_before
    a_batch_keeps_its_order_and_knows_what_it_repeats
    declared_keys_come_and_go_without_an_event
}

async fn on(kind: Kind, verdict: impl AsyncFn(&Log, Gateway)) {
    let Some(log) = Log::new(kind).await else { return };
    let gateway = log.gateway("a").await;
    verdict(&log, gateway).await;
}

async fn events_keep_the_order_of_their_append(log: &Log, gateway: Gateway) {
    let names: Vec<String> = (0..20).map(|n| format!("ASIA{n}")).collect();
    let mut last = gateway.store.position();
    for name in &names {
        let receipt = gateway.put(issued(name)).await.unwrap();
        assert!(!receipt.duplicate && receipt.seq > last, "{receipt:?} after {last}");
        assert!(gateway.store.position() >= receipt.seq && gateway.find(name).await.is_some());
        last = receipt.seq;
    }
    let gateway = gateway.reopen(log).await;
    let events = gateway.store.events(0, 100).await.unwrap();
    let found = events.into_iter().map(|(_, event)| match event.data {
        EventData::CredentialIssued(credential) => credential.access_key_id.as_str().to_owned(),
        other => panic!("{other:?}"),
    });
    assert_eq!(found.collect::<Vec<_>>(), names);
    assert_eq!(gateway.store.position(), last);
}

async fn what_is_appended_twice_is_there_once(log: &Log, gateway: Gateway) {
    let event = issued("ASIA1");
    let first = gateway.put(event.clone()).await.unwrap();
    for gateway in [&gateway, &gateway.reopen_beside(log).await] {
        let again = gateway.put(event.clone()).await.unwrap();
        assert_eq!((again.seq, again.duplicate), (first.seq, true));
        // The same issuance under another name is no other issuance.
        let renamed = Event { id: "renamed".into(), ..event.clone() };
        assert!(gateway.put(renamed).await.unwrap().duplicate);
    }
}

async fn a_contradiction_is_refused_and_holds_up_nothing(_: &Log, gateway: Gateway) {
    gateway.put(issued("ASIA1")).await.unwrap();
    gateway.put(created("AKIA1", "one")).await.unwrap();
    let mut other = session("ASIA1");
    other.secret = SecretAccessKey::new("another");
    for contradiction in [event(EventData::CredentialIssued(other)), issued("AKIA1"), created("ASIA1", "x")] {
        let refused = gateway.put(contradiction).await;
        assert!(matches!(refused, Err(StoreError::Conflict { .. })), "{refused:?}");
    }
    let unknown = gateway.put(deleted("AKIA2")).await;
    assert!(matches!(unknown, Err(StoreError::UnknownAccessKey { .. })), "{unknown:?}");
    gateway.put(issued("ASIA2")).await.unwrap();
    assert!(gateway.find("ASIA2").await.is_some());
}

async fn revocations_merge_by_the_latest_time(log: &Log, gateway: Gateway) {
    gateway.put(issued("ASIA1")).await.unwrap();
    gateway.put(revoked_before("ASIA1", UnixMillis(1_000))).await.unwrap();
    assert!(!gateway.is_revoked("ASIA1").await, "issued later than that");
    gateway.put(revoked("ASIA1")).await.unwrap();
    gateway.put(revoked_before("ASIA1", UnixMillis(2_000))).await.unwrap();
    assert!(gateway.is_revoked("ASIA1").await, "an earlier time takes nothing back");
    assert!(gateway.reopen(log).await.is_revoked("ASIA1").await);
}

async fn a_key_follows_its_last_event_through_restarts(log: &Log, gateway: Gateway) {
    let secret = async |gateway: &Gateway| {
        let record = gateway.find("AKIA1").await?;
        Some(record.credential().secret.clone())
    };
    let is = |found: Option<SecretAccessKey>, expected: &str| {
        found.is_some_and(|found| found.expose_secret() == expected.as_bytes())
    };
    gateway.put(created("AKIA1", "one")).await.unwrap();
    assert!(is(secret(&gateway).await, "one"));
    gateway.put(created("AKIA1", "two")).await.unwrap();
    assert!(is(secret(&gateway).await, "two"));
    gateway.put(status("AKIA1", KeyStatus::Inactive)).await.unwrap();
    assert!(secret(&gateway).await.is_none());
    let gateway = gateway.reopen(log).await;
    assert!(secret(&gateway).await.is_none());
    gateway.put(status("AKIA1", KeyStatus::Active)).await.unwrap();
    assert!(is(secret(&gateway).await, "two"));
    gateway.put(deleted("AKIA1")).await.unwrap();
    let gateway = gateway.reopen(log).await;
    assert!(secret(&gateway).await.is_none());
    gateway.put(created("AKIA1", "three")).await.unwrap();
    assert!(is(secret(&gateway.reopen(log).await).await, "three"));
}

async fn inactive_and_deleted_keys_take_their_sessions_along(log: &Log, gateway: Gateway) {
    gateway.put(created("AKIAPARENT", "one")).await.unwrap();
    gateway.put(issued("ASIA1")).await.unwrap();
    assert!(!gateway.is_revoked("ASIA1").await);
    gateway.put(status("AKIAPARENT", KeyStatus::Inactive)).await.unwrap();
    assert!(gateway.is_revoked("ASIA1").await);
    gateway.put(status("AKIAPARENT", KeyStatus::Active)).await.unwrap();
    tokio::time::sleep(Duration::from_millis(5)).await;
    gateway.put(issued("ASIA2")).await.unwrap();
    assert!(gateway.is_revoked("ASIA1").await && !gateway.is_revoked("ASIA2").await);
    gateway.put(deleted("AKIAPARENT")).await.unwrap();
    let gateway = gateway.reopen(log).await;
    assert!(gateway.is_revoked("ASIA1").await && gateway.is_revoked("ASIA2").await);
}

async fn a_failing_event_stops_its_batch_and_not_what_was_before(_: &Log, gateway: Gateway) {
    let batch = vec![issued("ASIA1"), deleted("AKIA2"), issued("ASIA3")];
    assert!(gateway.store.append(batch).await.is_err());
    assert!(gateway.find("ASIA1").await.is_some() && gateway.find("ASIA3").await.is_none());
}

async fn a_batch_keeps_its_order_and_knows_what_it_repeats(log: &Log, gateway: Gateway) {
    let names: Vec<String> = (0..300).map(|n| format!("ASIA{n}")).collect();
    let mut batch: Vec<_> = names.iter().map(|name| issued(name)).collect();
    batch.insert(150, created("AKIA1", "one"));
    batch.push(batch[0].clone());
    batch.push(Event { id: "renamed".into(), ..batch[1].clone() });
    let receipts = gateway.store.append(batch).await.unwrap();
    let (fresh, repeated) = receipts.split_at(301);
    assert!(fresh.is_sorted_by(|one, next| one.seq < next.seq) && fresh.iter().all(|one| !one.duplicate));
    let expected = [&fresh[0], &fresh[1]].map(|first| Receipt { duplicate: true, ..*first });
    assert_eq!(repeated, expected);
    let mut other = session("ASIA7");
    other.secret = SecretAccessKey::new("another");
    let batch = vec![issued("ASIABEFORE"), event(EventData::CredentialIssued(other)), issued("ASIABEHIND")];
    let refused = gateway.store.append(batch).await;
    assert!(matches!(refused, Err(StoreError::Conflict { .. })), "{refused:?}");
    let gateway = gateway.reopen(log).await;
    for name in names.iter().map(String::as_str).chain(["AKIA1", "ASIABEFORE"]) {
        assert!(gateway.find(name).await.is_some(), "{name}");
    }
    assert!(gateway.find("ASIABEHIND").await.is_none());
}

async fn declared_keys_come_and_go_without_an_event(log: &Log, gateway: Gateway) {
    let declare = |secret: &str| {
        let Credential { access_key_id, principal, status, .. } = long_term("AKIADECLARED", secret);
        let secret = SecretAccessKey::new(secret);
        let key = DeclaredKey { access_key_id, secret, principal, status, not_after: None };
        [Declaration::of_config(vec![key])]
    };
    assert_eq!(gateway.store.reconcile(&declare("one")).await.unwrap().created, 1);
    assert!(gateway.find("AKIADECLARED").await.is_some());
    let gateway = gateway.reopen(log).await;
    assert_eq!(gateway.store.reconcile(&declare("two")).await.unwrap().changed, 1);
    let record = gateway.find("AKIADECLARED").await.unwrap();
    assert_eq!(record.credential().secret.expose_secret(), b"two", "the cache holds no former one");
    assert_eq!(gateway.store.reconcile(&[Declaration::of_config(Vec::new())]).await.unwrap().deleted, 1);
    assert!(gateway.find("AKIADECLARED").await.is_none());
}

impl Gateway {
    /// On a shared log another gateway, on an embedded one this one again.
    async fn reopen_beside(&self, log: &Log) -> Self {
        if log.nats.is_some() {
            return log.gateway("beside").await;
        }
        let follower = tokio::spawn(async {});
        Self { store: self.store.clone(), metrics: self.metrics.clone(), name: self.name.clone(), follower }
    }
}
