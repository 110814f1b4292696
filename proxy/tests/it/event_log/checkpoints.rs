//! What gateways find out about each other by the checkpoints in their lists, whatever version says them.

use futures_util::StreamExt;
use serde_json::{Value, json};
use sigward::store::EventLog;

use super::*;

/// Says lists as another gateway would, with this checkpoint, until it is dropped.
struct Saying(JoinHandle<()>);

impl Saying {
    async fn start(log: &mut Log, checkpoint: Value) -> Self {
        let client = log.nats().client().await.client().clone();
        Self(tokio::spawn(async move {
            loop {
                let list = json!({
                    "version": 1, "gateway": "other", "this_update": now().0, "next_update": now().plus(1_000).0,
                    "head": 0, "checkpoint": checkpoint, "part": 1, "parts": 1, "marks": [],
                });
                client.publish("test.beat.marks", list.to_string().into()).await.unwrap();
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }))
    }
}

impl Drop for Saying {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// A checkpoint of the gateway that is there, when it has read as far as `seq`.
async fn checkpoint(log: &mut Log, seq: u64) -> Value {
    let client = log.nats().client().await.client().clone();
    let mut beats = client.subscribe("test.beat.marks").await.unwrap();
    loop {
        let list: Value = serde_json::from_slice(&beats.next().await.unwrap().payload).unwrap();
        if list["checkpoint"]["seq"].as_u64().is_some_and(|said| said >= seq) {
            return list["checkpoint"].clone();
        }
    }
}

/// Two long-term keys, one of them inactive, a deleted one, and sessions.
async fn life(gateway: &Gateway) -> u64 {
    for id in ["AKIA1", "AKIA2", "AKIA3"] {
        gateway.put(created(id, "one")).await.unwrap();
    }
    gateway.put(deleted("AKIA2")).await.unwrap();
    gateway.put(status("AKIA3", KeyStatus::Inactive)).await.unwrap();
    for n in 0..40 {
        gateway.put(issued(&format!("ASIA{n}"))).await.unwrap();
    }
    gateway.store.position() - 16
}

#[tokio::test]
async fn gateways_say_how_many_keys_the_log_came_to_wherever_they_began_to_read() {
    let Some(mut log) = Log::new(Kind::Shared).await else { return };
    let a = log.gateway("a").await;
    let seq = life(&a).await;
    let said = checkpoint(&mut log, seq).await;
    assert_eq!(said["live"], 2, "{said}");
    // One that begins later, and one that begins with what is compacted, find nothing wrong.
    let b = log.gateway("b").await;
    log.nats().client().await.get_stream("test_log").await.unwrap().purge().await.unwrap();
    let c = log.gateway("c").await;
    for n in 40..90 {
        c.put(issued(&format!("ASIA{n}"))).await.unwrap();
    }
    a.put(created("AKIA4", "one")).await.unwrap();
    let seq = c.store.position();
    for n in 90..130 {
        c.put(issued(&format!("ASIA{n}"))).await.unwrap();
    }
    assert_eq!(checkpoint(&mut log, seq).await["live"], 3);
    tokio::time::sleep(Duration::from_secs(1)).await;
    for gateway in [&a, &b, &c] {
        let name = &gateway.name;
        assert_eq!(gateway.metric("feed_miscounts_total"), 0.0, "{name}");
        assert_eq!(gateway.metric("feed_rewritten_total"), 0.0, "{name}");
    }
}

#[tokio::test]
async fn a_checkpoint_of_before_there_was_a_count_is_compared_without_one() {
    let Some(mut log) = Log::new(Kind::Shared).await else { return };
    let a = log.gateway("a").await;
    let seq = life(&a).await;
    let mut older = checkpoint(&mut log, seq).await;
    older.as_object_mut().unwrap().remove("live").unwrap();
    let _saying = Saying::start(&mut log, older.clone()).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!((a.metric("feed_miscounts_total"), a.metric("feed_rewritten_total")), (0.0, 0.0));
    older["digest"] = json!("0".repeat(32));
    let _saying = Saying::start(&mut log, older).await;
    until("all of the log is read again", async || a.metric("feed_rewritten_total") >= 1.0).await;
    assert_eq!(a.metric("feed_miscounts_total"), 0.0);
}

#[tokio::test]
async fn who_comes_to_other_keys_by_the_same_log_is_noticed_once_and_named() {
    let Some(mut log) = Log::new(Kind::Shared).await else { return };
    let a = log.gateway("a").await;
    let seq = life(&a).await;
    let mut other = checkpoint(&mut log, seq).await;
    other["live"] = json!(3);
    let _saying = Saying::start(&mut log, other.clone()).await;
    until("the other count is noticed", async || a.metric("feed_miscounts_total") == 1.0).await;
    until("all of the log is read again", async || a.metric("feed_rewritten_total") == 1.0).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!((a.metric("feed_miscounts_total"), a.metric("feed_rewritten_total")), (1.0, 1.0));
    assert!(a.find("AKIA1").await.is_some() && a.find("AKIA2").await.is_none());
    a.close().await;
    let feed = Feed::connect(&log.nats.as_ref().unwrap().feed("looks")).await.unwrap();
    let mut lines = EventLog::shared(feed, log.keyring.clone(), Clock::system()).verify_lines();
    let mut text = String::new();
    while let Some(piece) = lines.recv().await {
        text.push_str(std::str::from_utf8(&piece.unwrap()).unwrap());
    }
    let fault = format!(
        r#"{{"fault":"the log comes to 2 long-term keys here; gateway other has 3","place":"event {}"}}"#,
        other["seq"]
    );
    assert!(text.starts_with(&fault), "{text}");
}
