//! A log that took the place of another one, of which the server still has what it compacted.

use super::shared::{LOG, compacted};
use super::*;

async fn lose_log(log: &mut Log) {
    log.nats().client().await.delete_stream(LOG).await.unwrap();
}

/// Waits until there is a log again that counts on from behind `last`. A server older than 2.10 makes it first, and what is
/// published until it counts so may not be copied.
async fn numbered(log: &mut Log, last: u64) {
    let context = log.nats().client().await;
    until("the log is made anew", async || {
        let stream = context.get_stream(LOG).await;
        stream.is_ok_and(|stream| stream.cached_info().state.first_sequence > last)
    })
    .await;
}

/// The log loses all it holds, as by age.
async fn trim(log: &mut Log) {
    log.nats().client().await.get_stream(LOG).await.unwrap().purge().await.unwrap();
}

#[tokio::test]
async fn what_was_revoked_before_the_log_was_lost_and_after_is_revoked_on_a_gateway_that_finds_nobody() {
    let Some(mut log) = Log::new(Kind::Shared).await else { return };
    let [first, second] = ["AKIA1", "AKIA2"].map(|id| long_term(id, "one"));
    let a = log.gateway("a").await;
    a.put(revoked("AKIA1")).await.unwrap();
    compacted(&mut log, 1).await;
    a.close().await;
    lose_log(&mut log).await;
    let b = log.gateway("b").await;
    assert!(b.store.revoked(&first).is_some() && b.store.revoked(&second).is_none());
    b.put(revoked("AKIA2")).await.unwrap();
    compacted(&mut log, 2).await;
    b.close().await;
    trim(&mut log).await;
    let c = log.gateway("c").await;
    assert!(c.store.revoked(&first).is_some() && c.store.revoked(&second).is_some());
}

#[tokio::test]
async fn keys_of_both_logs_are_known_to_a_gateway_that_read_neither() {
    let Some(mut log) = Log::new(Kind::Shared).await else { return };
    let a = log.gateway("a").await;
    let key = |n: u32| created(&format!("AKIA{n}"), "one");
    for n in 0..5 {
        a.put(key(n)).await.unwrap();
    }
    compacted(&mut log, 5).await;
    lose_log(&mut log).await;
    numbered(&mut log, 5).await;
    for n in 5..8 {
        until("the log is followed again", async || a.put(key(n)).await.is_ok()).await;
    }
    a.put(deleted("AKIA0")).await.unwrap();
    compacted(&mut log, 8).await;
    trim(&mut log).await;
    let b = log.gateway("b").await;
    for gateway in [&a, &b] {
        assert!(gateway.find("AKIA0").await.is_none());
        for n in 1..8 {
            assert!(gateway.find(&format!("AKIA{n}")).await.is_some(), "{n}");
        }
    }
}

#[tokio::test]
async fn a_log_that_somebody_made_anew_is_not_followed_where_its_keys_would_be_lost() {
    let Some(mut log) = Log::new(Kind::Shared).await else { return };
    let a = log.gateway("a").await;
    a.put(created("AKIA1", "one")).await.unwrap();
    compacted(&mut log, 1).await;
    a.close().await;
    let context = log.nats().client().await;
    let config = context.get_stream(LOG).await.unwrap().cached_info().config.clone();
    lose_log(&mut log).await;
    context.create_stream(config).await.unwrap();
    let mut options = log.nats().feed("b");
    options.create_streams = false;
    let mut options =
        StoreOptions { feed: Some(Feed::connect(&options).await.unwrap()), ..log.options("b").await };
    let b = Store::open(&options, log.keyring.clone(), Clock::system(), &Metrics::new()).unwrap();
    let error = b.check_log().await.unwrap_err().to_string();
    assert!(
        error.contains("test_log: begins anew") && error.contains("up to 1: it must begin beyond"),
        "{error}"
    );
    b.close().await;
    options.feed = log.options("b").await.feed;
    let b = Store::open(&options, log.keyring.clone(), Clock::system(), &Metrics::new()).unwrap();
    b.check_log().await.unwrap();
    let begins = context.get_stream(LOG).await.unwrap().cached_info().state.first_sequence;
    assert!(begins > 1, "{begins}");
}

#[tokio::test]
async fn what_was_revoked_is_revoked_whatever_number_the_present_log_has_under_it() {
    let Some(mut log) = Log::new(Kind::Shared).await else { return };
    let key = long_term("AKIA1", "one");
    let a = log.gateway("a").await;
    a.put(revoked("AKIA1")).await.unwrap();
    compacted(&mut log, 1).await;
    a.close().await;
    let context = log.nats().client().await;
    let config = context.get_stream(LOG).await.unwrap().cached_info().config.clone();
    lose_log(&mut log).await;
    // By who does not know how it must begin.
    context.create_stream(config).await.unwrap();
    context.publish("test.log.session.0", "anything".into()).await.unwrap().await.unwrap();
    let b = log.gateway("b").await;
    assert_eq!(b.store.position(), 1);
    assert!(b.store.revoked(&key).is_some());
}

#[tokio::test]
async fn what_the_server_remembers_and_the_log_has_lost_is_not_said_to_be_in_force() {
    let Some(mut log) = Log::new(Kind::Shared).await else { return };
    let a = log.gateway("a").await;
    let key = created("AKIA1", "one");
    a.put(key.clone()).await.unwrap();
    trim(&mut log).await;
    log.nats().client().await.delete_stream("test_state").await.unwrap();
    let b = log.gateway("b").await;
    let answer = b.put(key.clone()).await;
    assert!(matches!(answer, Err(StoreError::NotApplied { seq: 1 })), "{answer:?}");
    assert!(b.find("AKIA1").await.is_none() && a.put(key).await.unwrap().duplicate);
}
