//! Long-term keys of the log that are said again: what they were revoked by still reaches them.

use sigward::store::EventLog;

use super::journal::export;
use super::shared::{LOG, compacted};
use super::*;

#[tokio::test]
async fn a_revoked_key_that_is_said_again_is_revoked_on_gateways_that_know_only_what_is_compacted() {
    let Some(mut log) = Log::new(Kind::Shared).await else { return };
    let a = log.gateway("a").await;
    a.put(created("AKIA1", "one")).await.unwrap();
    a.put(revoked_before("AKIA1", now().plus(1))).await.unwrap();
    tokio::time::sleep(Duration::from_millis(5)).await;
    a.put(created("AKIA1", "one")).await.unwrap();
    assert!(a.is_revoked("AKIA1").await);
    compacted(&mut log, 2).await;
    log.nats().client().await.get_stream(LOG).await.unwrap().purge().await.unwrap();
    let b = log.gateway("b").await;
    assert!(b.is_revoked("AKIA1").await);
    b.put(created("AKIA1", "another")).await.unwrap();
    assert!(!b.is_revoked("AKIA1").await, "another secret is another key");
}

#[tokio::test]
async fn a_revoked_key_that_was_said_again_is_as_old_in_a_file_as_it_was() {
    let log = Log::new(Kind::Embedded).await.unwrap();
    let gateway = log.gateway("a").await;
    gateway.put(created("AKIA1", "one")).await.unwrap();
    gateway.put(revoked_before("AKIA1", now().plus(1))).await.unwrap();
    tokio::time::sleep(Duration::from_millis(5)).await;
    gateway.put(created("AKIA1", "one")).await.unwrap();
    let file = log.directory.path().join("exported");
    export(&EventLog::of_gateway(&gateway.store), &file).await;
    let restored = log.gateway("restored").await;
    assert_eq!(restored.store.import(&file).await.unwrap().access_keys, 1);
    assert!(gateway.is_revoked("AKIA1").await && restored.is_revoked("AKIA1").await);
}
