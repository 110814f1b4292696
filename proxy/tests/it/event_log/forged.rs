//! What somebody who may publish to the log's subjects, or a gateway that is wrong about the time, brings about.

use sigward::store::{Declaration, DeclaredKey, Foreign};

use super::*;

/// Says a list of revocations as a gateway would.
async fn say_list(log: &mut Log, head: u64, marks: &[(&str, UnixMillis)]) {
    let marks: Vec<_> = marks.iter().map(|(key, before)| serde_json::json!([key, before.0])).collect();
    let list = serde_json::json!({
        "version": 1, "gateway": "forged", "this_update": now().0, "next_update": now().plus(1_000).0,
        "head": head, "checkpoint": null, "part": 1, "parts": 1, "marks": marks,
    });
    let client = log.nats().client().await.client().clone();
    client.publish("test.beat.marks", list.to_string().into()).await.unwrap();
    client.flush().await.unwrap();
}

/// Whether a session that is issued in so many minutes would be refused.
fn is_refused(gateway: &Gateway, minutes: i64) -> bool {
    let mut credential = session("ASIALATER");
    credential.issued_at = now().plus(minutes * 60_000);
    gateway.store.revoked(&credential).is_some()
}

#[tokio::test]
async fn a_list_revokes_nothing_that_a_clock_may_not_be_ahead_for() {
    let Some(mut log) = Log::new(Kind::Shared).await else { return };
    let a = log.gateway("a").await;
    for round in 1..=3 {
        say_list(&mut log, 0, &[("key:ASIALATER", now().plus(365 * 24 * 3_600_000))]).await;
        let heard = async || a.metric("feed_marks_ahead_total") >= f64::from(round);
        until("the list is heard", heard).await;
    }
    until("the revocation holds", async || is_refused(&a, 0)).await;
    assert!(is_refused(&a, 4) && !is_refused(&a, 6));
    assert_eq!(a.metric("feed_healed_marks_total"), 1.0, "it does not move on with every list");
}

#[tokio::test]
async fn how_far_the_log_reaches_only_its_server_says() {
    let Some(mut log) = Log::new(Kind::Shared).await else { return };
    let a = log.gateway("a").await;
    let last = a.put(issued("ASIA1")).await.unwrap().seq;
    say_list(&mut log, 1 << 63, &[]).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!((a.metric("feed_head"), a.metric("feed_losses_total")), (last as f64, 0.0));
}

#[tokio::test]
async fn a_list_hides_no_silence_of_the_log() {
    let Some(mut log) = Log::new(Kind::Shared).await else { return };
    let a = log.gateway("a").await;
    a.put(issued("ASIA1")).await.unwrap();
    log.nats().restart_without_log();
    for _ in 0..40 {
        say_list(&mut log, 0, &[]).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(a.metric("feed_age_seconds") >= 2.0);
}

/// Publishes what has no seal, as a row of the log.
async fn publish_plain(log: &mut Log, source: &str, data: serde_json::Value) {
    let row = serde_json::json!({
        "source": source, "id": random_id().unwrap(), "time": now().0, "recorded_at": now().0, "data": data,
    });
    let body = [&[1, 0], row.to_string().as_bytes()].concat();
    let context = log.nats().client().await;
    context.publish("test.log.state.key.forged", body.into()).await.unwrap().await.unwrap();
}

#[tokio::test]
async fn what_has_no_seal_activates_no_key_and_touches_none_of_a_configuration() {
    let Some(mut log) = Log::new(Kind::Shared).await else { return };
    let a = log.gateway("a").await;
    let Credential { access_key_id, secret, principal, status: active, .. } = long_term("AKIALOCAL", "one");
    let declared = DeclaredKey { access_key_id, secret, principal, status: active, not_after: None };
    a.store.reconcile(&[Declaration::of_config(vec![declared])]).await.unwrap();
    a.put(created("AKIA1", "one")).await.unwrap();
    a.put(status("AKIA1", KeyStatus::Inactive)).await.unwrap();
    let activated = serde_json::json!({"access_key_status": {"access_key_id": "AKIA1", "status": "Active"}});
    publish_plain(&mut log, "/forged", activated).await;
    let gone = serde_json::json!({"access_key_deleted": {"access_key_id": "AKIALOCAL"}});
    publish_plain(&mut log, Event::CONFIG_SOURCE, gone).await;
    a.put(issued("ASIA1")).await.unwrap();
    assert!(a.find("AKIA1").await.is_none(), "it is inactive as before");
    assert!(a.find("AKIALOCAL").await.is_some());
    assert_eq!(a.metric("feed_messages_total{outcome=\"refused\"}"), 2.0);
}

#[tokio::test]
async fn a_key_that_is_published_again_long_after_it_was_sealed_does_not_come_back() {
    let Some(mut log) = Log::new(Kind::Shared).await else { return };
    let a = log.gateway("a").await;
    // What it seals by its clock is what somebody kept for two days.
    let past = now().plus(-48 * 3_600_000);
    let kept = log.starting_at("kept", &log.keyring, Clock::manual(past)).await;
    let mut credential = long_term("AKIA1", "one");
    credential.issued_at = past;
    let event = Event { time: past, ..event(EventData::AccessKeyCreated(credential)) };
    let again = kept.put(event).await;
    assert!(matches!(again, Err(StoreError::Foreign(Foreign::Replayed))), "{again:?}");
    kept.close().await;
    a.put(issued("ASIA1")).await.unwrap();
    assert!(a.find("AKIA1").await.is_none());
    let context = log.nats().client().await;
    until("the server has copied", async || {
        context.get_stream("test_state").await.unwrap().cached_info().state.messages == 1
    })
    .await;
    context.get_stream("test_log").await.unwrap().purge().await.unwrap();
    a.put(created("AKIA2", "two")).await.unwrap();
    let fresh = log.gateway("fresh").await;
    assert!(fresh.find("AKIA2").await.is_some() && fresh.find("AKIA1").await.is_none());
    assert!(fresh.metric("feed_resyncs_total") >= 1.0);
}
