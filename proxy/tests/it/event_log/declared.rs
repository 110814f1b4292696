//! Keys that gateways declare each by itself, over a log that they share.

use sigward::store::{Declaration, DeclaredKey, NotReady};

use super::shared::{HOUR, LOG, compacted, level, shared};
use super::*;

fn declared(access_key_id: &str) -> DeclaredKey {
    let Credential { access_key_id, secret, principal, status, not_after, .. } =
        long_term(access_key_id, "one");
    DeclaredKey { access_key_id, secret, principal, status, not_after }
}

#[tokio::test]
async fn what_a_configuration_and_its_sources_declare_stays_with_its_gateway() {
    let Some(log) = shared().await else { return };
    let (a, b) = (log.gateway("a").await, log.gateway("b").await);
    let Credential { access_key_id, secret, principal, status, .. } = long_term("AKIALOCAL", "one");
    let declared = DeclaredKey { access_key_id, secret, principal, status, not_after: None };
    let listed = DeclaredKey { access_key_id: AccessKeyId::parse("AKIALISTED").unwrap(), ..declared.clone() };
    let source = format!("{}web", Event::KEY_SOURCES);
    let source = Declaration { source, keys: Some(vec![listed]) };
    a.store.reconcile(&[Declaration::of_config(vec![declared]), source]).await.unwrap();
    a.put(issued("ASIA1")).await.unwrap();
    level(&b, &a).await;
    for id in ["AKIALOCAL", "AKIALISTED"] {
        assert!(a.find(id).await.is_some() && b.find(id).await.is_none(), "{id}");
    }
}

#[tokio::test]
async fn the_sessions_of_a_declared_key_that_is_gone_end_on_all_gateways() {
    let Some(log) = shared().await else { return };
    let (a, b) = (log.gateway("a").await, log.gateway("b").await);
    let Credential { access_key_id, secret, principal, status, .. } = long_term("AKIAPARENT", "one");
    let key = DeclaredKey { access_key_id, secret, principal, status, not_after: None };
    let source = |keys| {
        let source = format!("{}web", Event::KEY_SOURCES);
        [Declaration { source, keys: Some(keys) }]
    };
    a.store.reconcile(&source(vec![key])).await.unwrap();
    b.put(issued("ASIA1")).await.unwrap();
    level(&a, &b).await;
    assert!(!a.is_revoked("ASIA1").await && !b.is_revoked("ASIA1").await);
    a.store.reconcile(&source(Vec::new())).await.unwrap();
    assert!(a.is_revoked("ASIA1").await);
    for _ in 0..100 {
        if b.is_revoked("ASIA1").await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("the other gateway never hears of it");
}

#[tokio::test]
async fn a_declared_key_that_was_revoked_long_ago_is_refused_by_a_gateway_that_is_new() {
    let Some(mut log) = shared().await else { return };
    let a = log.gateway("a").await;
    a.put(revoked_before("AKIALEAKED", now().plus(-50 * HOUR))).await.unwrap();
    compacted(&mut log, 1).await;
    a.store.compact().await.unwrap();
    log.nats().client().await.get_stream(LOG).await.unwrap().purge().await.unwrap();
    a.put(issued("ASIA1")).await.unwrap();
    assert_eq!(a.store.tidy_log().await.unwrap(), 0);
    a.close().await;
    let b = log.gateway("b").await;
    b.store.reconcile(&[Declaration::of_config(vec![declared("AKIALEAKED")])]).await.unwrap();
    assert!(b.is_revoked("AKIALEAKED").await);
    b.store.compact().await.unwrap();
    let b = b.reopen(&log).await;
    assert!(b.is_revoked("AKIALEAKED").await);
}

/// What a gateway says of a key that it has.
async fn answers_for(gateway: &Gateway, access_key_id: &str) -> Result<(), StoreError> {
    gateway.store.answers_for(gateway.find(access_key_id).await.unwrap().credential())
}

#[tokio::test]
async fn a_key_that_is_declared_while_the_log_is_away_waits_for_it_and_one_of_before_does_not() {
    let Some(mut log) = shared().await else { return };
    let (a, b) = (log.gateway("a").await, log.gateway("b").await);
    let keys = |ids: &[&str]| [Declaration::of_config(ids.iter().map(|id| declared(id)).collect())];
    let both = keys(&["AKIAKNOWN", "AKIALEAKED"]);
    b.store.reconcile(&keys(&["AKIAKNOWN"])).await.unwrap();
    // Its file is told a little later.
    tokio::time::sleep(Duration::from_secs(2)).await;
    b.close().await;
    a.put(revoked_before("AKIALEAKED", now())).await.unwrap();
    a.close().await;
    log.nats().kill();
    for _ in 0..2 {
        let b = log.starting("b", &log.keyring).await;
        b.store.reconcile(&both).await.unwrap();
        assert!(b.store.answers().is_ok() && answers_for(&b, "AKIAKNOWN").await.is_ok());
        assert!(matches!(answers_for(&b, "AKIALEAKED").await, Err(StoreError::Uninformed)));
        b.close().await;
    }
    let b = log.starting("b", &log.keyring).await;
    log.nats().restart(true).await;
    until("what is revoked is known", async || answers_for(&b, "AKIALEAKED").await.is_ok()).await;
    assert!(b.is_revoked("AKIALEAKED").await && !b.is_revoked("AKIAKNOWN").await);
    b.store.reconcile(&keys(&["AKIAKNOWN", "AKIANEW"])).await.unwrap();
    tokio::time::sleep(Duration::from_secs(2)).await;
    b.close().await;
    log.nats().kill();
    let b = log.starting("b", &log.keyring).await;
    assert!(answers_for(&b, "AKIANEW").await.is_ok(), "it came when all was known");
}

#[tokio::test]
async fn a_gateway_answers_though_the_log_holds_what_it_has_no_key_for() {
    let Some(log) = shared().await else { return };
    let a = log.gateway("a").await;
    a.put(created("AKIAUNREADABLE", "one")).await.unwrap();
    a.put(revoked_before("AKIALEAKED", now())).await.unwrap();
    let b = log.starting("b", &Keyring::ephemeral().unwrap()).await;
    assert!(matches!(b.store.answers(), Err(StoreError::Uninformed)));
    until("it knows what is revoked", async || b.store.answers().is_ok()).await;
    assert_eq!(b.store.ready(), Err(NotReady::MissingSealingKey));
    b.store.reconcile(&[Declaration::of_config(vec![declared("AKIALEAKED")])]).await.unwrap();
    assert!(answers_for(&b, "AKIALEAKED").await.is_ok() && b.is_revoked("AKIALEAKED").await);
}

#[tokio::test]
async fn gateways_forget_the_revocation_of_a_foreign_session_and_none_tells_the_others_of_it_again() {
    let Some(mut log) = shared().await else { return };
    let (a, b) = (log.gateway("a").await, log.gateway("b").await);
    a.put(issued("FOREIGNSESSION1")).await.unwrap();
    level(&b, &a).await;
    for name in ["FOREIGNSESSION1", "AKIALEAKED"] {
        b.put(revoked_before(name, now().plus(1))).await.unwrap();
    }
    level(&a, &b).await;
    compacted(&mut log, 2).await;
    assert!(a.is_revoked("FOREIGNSESSION1").await && b.is_revoked("FOREIGNSESSION1").await);
    // This one never sees the session.
    log.nats().client().await.get_stream(LOG).await.unwrap().purge().await.unwrap();
    a.put(issued("ASIA1")).await.unwrap();
    let c = log.gateway("c").await;
    assert!(c.find("FOREIGNSESSION1").await.is_none());
    for gateway in [&a, &b, &c] {
        until("it has both", async || gateway.metric("store_revocation_marks") == 2.0).await;
    }
    let mut later = Vec::new();
    for gateway in [a, b, c] {
        let name = gateway.name.clone();
        gateway.close().await;
        later.push(log.starting_at(&name, &log.keyring, Clock::manual(now().plus(38 * HOUR))).await);
    }
    for gateway in &later {
        gateway.store.compact().await.unwrap();
    }
    tokio::time::sleep(Duration::from_secs(4)).await;
    for gateway in &later {
        assert_eq!(gateway.metric("store_revocation_marks"), 1.0, "{}", gateway.name);
    }
    until("the log is found", async || later[0].store.tidy_log().await.is_ok_and(|dropped| dropped == 1))
        .await;
}

#[tokio::test]
async fn a_gateway_that_was_never_ready_answers_for_nobody_and_one_that_was_does_without_the_log() {
    let Some(mut log) = shared().await else { return };
    let a = log.gateway("a").await;
    a.store.answers().unwrap();
    // Its file is told a little later.
    tokio::time::sleep(Duration::from_secs(2)).await;
    a.close().await;
    log.nats().kill();
    let (a, b) = (log.starting("a", &log.keyring).await, log.starting("b", &log.keyring).await);
    assert!(a.store.ready().is_err() && a.store.answers().is_ok());
    assert!(matches!(b.store.answers(), Err(StoreError::Uninformed)));
    log.nats().restart(true).await;
    until("it knows what there is to know", async || b.store.answers().is_ok()).await;
    assert!(b.store.ready().is_ok());
}
