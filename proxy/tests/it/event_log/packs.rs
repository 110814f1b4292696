//! What gateways pack for those who start: what comes of them, and what nobody may make of them.

use std::fs;
use std::path::Path;

use async_nats::HeaderMap;
use async_nats::jetstream::consumer::pull::OrderedConfig;
use bytes::Bytes;
use futures_util::StreamExt;

use super::shared::{LOG, shared};
use super::*;

const PACKS: &str = "test_packs";

/// More than what is not worth a pack, and enough for several.
const MANY: usize = 20_000;

/// Puts so many sessions into the log.
async fn fill(log: &mut Log, series: &str, count: usize) {
    let events = (0..count).map(|n| issued(&format!("ASIA{series}{n}")));
    let (writer, keyring) = (Feed::connect(&log.nats().feed("writer")).await.unwrap(), log.keyring.clone());
    let taken = writer.import(events, &keyring, &Clock::system()).await.unwrap();
    assert_eq!(taken, count as u64);
}

async fn knows(gateway: &Gateway, series: &str, count: usize) {
    for n in (0..count).step_by(97).chain([count - 1]) {
        assert!(gateway.find(&format!("ASIA{series}{n}")).await.is_some(), "{series} {n}");
    }
}

/// Sessions that are packed at least once anything is: a gateway, which looks by itself too and maybe while they come,
/// begins with 16,384 and leaves less than a pack.
const PACKED: f64 = 13_500.0;

/// Has a gateway pack what there is, unless it has by itself.
async fn pack(gateway: &Gateway) {
    until("enough is packed", async || {
        gateway.store.pack_log().await.unwrap();
        gateway.metric("feed_packed") > PACKED
    })
    .await;
}

/// After which place and up to which each pack says it covers the log, in their order; with its content.
async fn packs(log: &mut Log) -> Vec<(u64, u64, HeaderMap, Bytes)> {
    let stream = log.nats().client().await.get_stream(PACKS).await.unwrap();
    let count = usize::try_from(stream.cached_info().state.messages).unwrap();
    let consumer = stream.create_consumer(OrderedConfig::default()).await.unwrap();
    let messages = consumer.messages().await.unwrap().take(count).collect::<Vec<_>>().await;
    let read = messages.into_iter().map(|message| {
        let message = message.unwrap();
        let mut headers = HeaderMap::new();
        for name in ["sigward-part", "sigward-after", "sigward-upto"] {
            headers.insert(name, message.headers.as_ref().unwrap().get(name).unwrap().clone());
        }
        let number = |name: &str| headers.get(name).unwrap().as_str().parse().unwrap();
        (number("sigward-after"), number("sigward-upto"), headers, message.payload.clone())
    });
    read.collect()
}

#[tokio::test]
async fn who_starts_takes_sessions_from_packs_and_comes_to_what_the_log_says() {
    let Some(mut log) = shared().await else { return };
    let a = log.gateway("a").await;
    a.put(created("AKIAPARENT", "one")).await.unwrap();
    a.put(issued("ASIAFORMER")).await.unwrap();
    a.put(issued("ASIAREVOKED")).await.unwrap();
    fill(&mut log, "A", MANY).await;
    a.put(created("AKIAGONE", "one")).await.unwrap();
    a.put(revoked("ASIAREVOKED")).await.unwrap();
    a.put(revoked("ASIAA7")).await.unwrap();
    // Whoever had the first secret keeps no session by it.
    a.put(created("AKIAPARENT", "two")).await.unwrap();
    a.put(deleted("AKIAGONE")).await.unwrap();
    let last = a.put(issued("ASIALATER")).await.unwrap();
    pack(&a).await;
    assert_eq!(a.store.pack_log().await.unwrap(), 0, "too little has come since");
    let packed = packs(&mut log).await;
    assert!(packed.len() > 1 && packed[0].0 == 0);
    assert!(packed.windows(2).all(|pair| pair[0].1 == pair[1].0), "no gap");
    // The list of revocations does not help b: nobody says it.
    a.close().await;
    let b = log.gateway("b").await;
    assert_eq!(b.store.position(), last.seq);
    assert!(b.metric("feed_unpacked_total") > PACKED);
    knows(&b, "A", MANY).await;
    for id in ["ASIAREVOKED", "ASIAA7", "ASIAFORMER", "ASIAA8"] {
        assert!(b.is_revoked(id).await, "{id}");
    }
    assert!(!b.is_revoked("ASIALATER").await);
    assert!(b.find("AKIAGONE").await.is_none());
    assert_eq!(b.find("AKIAPARENT").await.unwrap().credential().secret.expose_secret(), b"two");
    let again = b.put(issued("ASIAA3")).await;
    assert!(matches!(again, Err(StoreError::Conflict { .. })), "{again:?}");
    // What came by packs can be packed again, by whoever finds none.
    log.nats().client().await.delete_stream(PACKS).await.unwrap();
    pack(&b).await;
    let c = log.gateway("c").await;
    assert!(c.metric("feed_unpacked_total") > PACKED);
    knows(&c, "A", MANY).await;
}

#[tokio::test]
async fn two_who_pack_at_the_same_time_make_one_row_of_packs() {
    let Some(mut log) = shared().await else { return };
    fill(&mut log, "A", MANY).await;
    let (a, b) = (log.gateway("a").await, log.gateway("b").await);
    tokio::join!(pack(&a), pack(&b));
    let packed = packs(&mut log).await;
    assert!(
        packed[0].0 == 0 && packed.windows(2).all(|pair| pair[0].1 == pair[1].0),
        "no gap, nothing twice"
    );
}

#[tokio::test]
async fn what_no_gateway_packed_hides_nothing_and_makes_nobody_pack_again() {
    let Some(mut log) = shared().await else { return };
    fill(&mut log, "A", MANY).await;
    let a = log.gateway("a").await;
    pack(&a).await;
    let packed = packs(&mut log).await;
    let context = log.nats().client().await;
    let (first, last) = (packed[0].clone(), packed[packed.len() - 1].clone());
    let forged = [
        (HeaderMap::new(), Bytes::new()),
        (last.2.clone(), Bytes::from_static(b"\x02\x00")),
        (last.2.clone(), first.3.clone()),
        (first.2.clone(), first.3.clone()),
    ];
    for (at, (headers, content)) in forged.into_iter().enumerate() {
        let put = context.publish_with_headers("test.pack", headers, content).await.unwrap();
        put.await.unwrap();
        let b = log.gateway(&format!("reads {at}")).await;
        assert!(b.store.position() >= last.1);
        assert!(b.metric("feed_unpacked_total") > PACKED, "{at}: what is before it is read");
        knows(&b, "A", MANY).await;
        assert_eq!(b.store.pack_log().await.unwrap(), 0, "{at}");
        b.close().await;
    }
}

/// Somebody keeps what was packed before a log was lost, and puts it beside what is packed of the log that came back.
#[tokio::test]
async fn kept_packs_of_what_a_log_has_lost_do_not_count() {
    let Some(mut log) = shared().await else { return };
    let a = log.gateway("a").await;
    a.put(issued("ASIAFIRST")).await.unwrap();
    let kept = lose(&mut log, &a).await;
    fill(&mut log, "B", MANY).await;
    let b = log.gateway("b").await;
    pack(&b).await;
    let context = log.nats().client().await;
    for (.., headers, content) in kept {
        context.publish_with_headers("test.pack", headers, content).await.unwrap().await.unwrap();
    }
    let c = log.gateway("c").await;
    knows(&c, "B", MANY).await;
    assert!(c.find("ASIAA5").await.is_none(), "the log has lost it");
}

#[tokio::test]
async fn a_message_too_long_for_a_pack_is_read_in_the_log() {
    let Some(mut log) = shared().await else { return };
    fill(&mut log, "A", 100).await;
    let a = log.gateway("a").await;
    let context = log.nats().client().await;
    let mut mark = HeaderMap::new();
    mark.insert("sigward-mark", "access-key:ASIAA7");
    mark.insert("sigward-before", now().plus(1_000).0.to_string());
    let long = Bytes::from(vec![3; 900 << 10]);
    let put = context.publish_with_headers("test.log.state.mark.long", mark, long).await.unwrap();
    put.await.unwrap();
    fill(&mut log, "B", MANY).await;
    until("it has read all", async || a.store.position() > MANY as u64).await;
    let revoked = a.is_revoked("ASIAA7").await;
    pack(&a).await;
    let b = log.gateway("b").await;
    assert!(b.metric("feed_unpacked_total") > PACKED);
    assert_eq!(b.is_revoked("ASIAA7").await, revoked);
    assert_eq!(b.metric("feed_quarantined"), 1.0);
    knows(&b, "B", MANY).await;
}

#[tokio::test]
async fn who_has_to_read_all_of_the_log_again_does_so_whatever_comes_in_between() {
    let Some(mut log) = shared().await else { return };
    fill(&mut log, "A", MANY).await;
    let a = log.gateway("a").await;
    pack(&a).await;
    let b = log.gateway("b").await;
    assert!(b.metric("feed_unpacked_total") > PACKED);
    b.close().await;
    // As if the file had read another log.
    log.nats().client().await.delete_stream(LOG).await.unwrap();
    fill(&mut log, "B", MANY).await;
    let a = a.reopen(&log).await;
    pack(&a).await;
    let b = log.starting("b", &log.keyring).await;
    until("it has begun to read", async || b.store.position() > 0 && b.store.position() < MANY as u64 + 1)
        .await;
    b.close().await;
    let b = log.gateway("b").await;
    assert_eq!(b.metric("feed_unpacked_total"), 0.0);
    knows(&b, "B", MANY).await;
}

#[tokio::test]
async fn who_cannot_read_a_pack_reads_the_log() {
    let Some(mut log) = shared().await else { return };
    fill(&mut log, "A", MANY).await;
    let a = log.gateway("a").await;
    pack(&a).await;
    let (keyring, metrics) = (Keyring::ephemeral().unwrap(), Metrics::new());
    let options = log.options("stranger").await;
    let store = Store::open(&options, keyring, Clock::system(), &metrics).unwrap();
    let follower = tokio::spawn(store.clone().follow());
    let stranger = Gateway { store, metrics, name: "stranger".into(), follower };
    until("it has read all", async || stranger.store.position() >= MANY as u64).await;
    assert_eq!(stranger.metric("feed_unpacked_total"), 0.0);
    assert_eq!(stranger.metric("feed_quarantined"), MANY as f64, "for a keyring that can");
    // What the stranger packs is for its like, and for nobody else.
    stranger.store.pack_log().await.unwrap();
    let b = log.gateway("b").await;
    assert!(b.metric("feed_unpacked_total") > PACKED);
    knows(&b, "A", MANY).await;
}

#[tokio::test]
async fn packs_of_a_log_that_was_made_anew_do_not_count() {
    let Some(mut log) = shared().await else { return };
    fill(&mut log, "A", MANY).await;
    let a = log.gateway("a").await;
    pack(&a).await;
    a.close().await;
    log.nats().client().await.delete_stream(LOG).await.unwrap();
    fill(&mut log, "B", MANY + 500).await;
    let b = log.gateway("b").await;
    assert_eq!(b.metric("feed_unpacked_total"), 0.0);
    knows(&b, "B", MANY + 500).await;
    pack(&b).await;
    let c = log.gateway("c").await;
    assert!(c.metric("feed_unpacked_total") > PACKED);
    knows(&c, "B", MANY + 500).await;
}

#[tokio::test]
async fn a_log_with_a_gap_is_read_itself() {
    let Some(mut log) = shared().await else { return };
    let a = log.gateway("a").await;
    a.put(issued("ASIAFIRST")).await.unwrap();
    let lost = a.put(revoked("ASIAA5")).await.unwrap();
    fill(&mut log, "A", MANY).await;
    until("it has read all", async || a.store.position() > MANY as u64).await;
    pack(&a).await;
    a.close().await;
    let context = log.nats().client().await;
    assert!(context.get_stream(LOG).await.unwrap().delete_message(lost.seq).await.unwrap());
    fill(&mut log, "B", 1).await;
    let b = log.gateway("b").await;
    assert_eq!(b.metric("feed_unpacked_total"), 0.0);
    assert!(b.is_revoked("ASIAA5").await && !b.is_revoked("ASIAA6").await, "as the compacted state says");
    knows(&b, "A", MANY).await;
}

/// An older copy of the log comes back, and something else takes the numbers of what is gone; the packs stay.
#[tokio::test]
async fn packs_of_what_a_log_has_lost_do_not_hide_what_it_holds_instead() {
    let Some(mut log) = shared().await else { return };
    let a = log.gateway("a").await;
    a.put(issued("ASIAFIRST")).await.unwrap();
    lose(&mut log, &a).await;
    fill(&mut log, "B", MANY).await;
    let b = log.gateway("b").await;
    assert_eq!(b.metric("feed_unpacked_total"), 0.0);
    knows(&b, "B", MANY).await;
    assert!(b.find("ASIAFIRST").await.is_some());
    pack(&b).await;
    let c = log.gateway("c").await;
    assert!(c.metric("feed_unpacked_total") > PACKED);
    knows(&c, "B", MANY).await;
}

/// Has the log grow, and then come back as it was before; what was packed of what it has lost.
async fn lose(log: &mut Log, gateway: &Gateway) -> Vec<(u64, u64, HeaderMap, Bytes)> {
    log.nats().kill();
    let file = log.directory.path().join("nats/jetstream/$G/streams").join(LOG);
    let kept = log.directory.path().join("kept");
    copy(&file, &kept);
    log.nats().restart(true).await;
    fill(log, "A", MANY).await;
    until("it has read all", async || gateway.store.position() > MANY as u64).await;
    pack(gateway).await;
    let packed = packs(log).await;
    log.nats().kill();
    fs::remove_dir_all(&file).unwrap();
    copy(&kept, &file);
    log.nats().restart(true).await;
    packed
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), &to).unwrap();
        }
    }
}
