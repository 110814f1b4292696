//! What several gateways on one log may rely on, and what they do about a log that misbehaves.

use async_nats::HeaderMap;
use async_nats::jetstream::stream::{Config, DiscardPolicy};
use sigward::config::Source;
use sigward::feed::FeedError;
use sigward::store::{NotReady, Reached, WaitFor};

use super::*;

pub(super) const LOG: &str = "test_log";
const STATE: &str = "test_state";
pub(super) const HOUR: i64 = 3_600_000;

/// Where requests come from that nobody minds.
fn here() -> Source {
    Source::of([127, 0, 0, 1].into())
}

pub(super) async fn shared() -> Option<Log> {
    Log::new(Kind::Shared).await
}

/// Waits until a gateway is where another one is.
pub(super) async fn level(behind: &Gateway, ahead: &Gateway) {
    let position = ahead.store.position();
    until("the other gateway has applied it", async || behind.store.position() >= position).await;
}

/// Waits until the server has copied what long-term keys and revocations need.
pub(super) async fn compacted(log: &mut Log, messages: u64) {
    let context = log.nats().client().await;
    until("the server has copied", async || {
        context.get_stream(STATE).await.unwrap().cached_info().state.messages == messages
    })
    .await;
}

#[tokio::test]
async fn what_one_gateway_says_holds_on_all() {
    let Some(log) = shared().await else { return };
    let (a, b) = (log.gateway("a").await, log.gateway("b").await);
    a.put(created("AKIA1", "one")).await.unwrap();
    let receipt = a.put(issued("ASIA1")).await.unwrap();
    level(&b, &a).await;
    assert!(b.find("AKIA1").await.is_some() && !b.is_revoked("ASIA1").await);
    b.put(revoked("ASIA1")).await.unwrap();
    b.put(deleted("AKIA1")).await.unwrap();
    level(&a, &b).await;
    assert!(a.is_revoked("ASIA1").await && a.find("AKIA1").await.is_none());
    let events = a.store.events(0, 9).await.unwrap();
    let places = |events: &[(u64, Event)]| events.iter().map(|(seq, _)| *seq).collect::<Vec<_>>();
    assert_eq!(places(&events), places(&b.store.events(0, 9).await.unwrap()));
    assert!(places(&events).contains(&receipt.seq));
}

#[tokio::test]
async fn the_same_issuance_at_two_gateways_is_one_and_the_first_of_two_wins() {
    let Some(log) = shared().await else { return };
    let (a, b) = (log.gateway("a").await, log.gateway("b").await);
    let same = issued("ASIA1");
    let (first, second) = tokio::join!(a.put(same.clone()), b.put(same));
    let (first, second) = (first.unwrap(), second.unwrap());
    assert_eq!(first.seq, second.seq);
    let mut other = session("ASIA2");
    other.secret = SecretAccessKey::new("another");
    let (one, two) = tokio::join!(a.put(issued("ASIA2")), b.put(event(EventData::CredentialIssued(other))));
    assert!(one.is_ok() != two.is_ok(), "{one:?} {two:?}");
    level(&a, &b).await;
    level(&b, &a).await;
    let secret = async |gateway: &Gateway| gateway.find("ASIA2").await.unwrap().credential().secret.clone();
    assert_eq!(secret(&a).await.expose_secret(), secret(&b).await.expose_secret());
}

#[tokio::test]
async fn a_new_gateway_catches_up_from_what_is_compacted_and_then_the_log() {
    let Some(mut log) = shared().await else { return };
    let a = log.gateway("a").await;
    a.put(created("AKIA1", "one")).await.unwrap();
    a.put(created("AKIA1", "two")).await.unwrap();
    a.put(created("AKIA2", "gone")).await.unwrap();
    a.put(deleted("AKIA2")).await.unwrap();
    a.put(issued("ASIAOLD")).await.unwrap();
    let mark = revoked("ASIALATER");
    a.put(mark).await.unwrap();
    compacted(&mut log, 3).await;
    log.nats().client().await.get_stream(LOG).await.unwrap().purge().await.unwrap();
    let later = a.put(issued("ASIALATER")).await.unwrap();
    let b = log.gateway("b").await;
    assert_eq!(b.store.position(), later.seq);
    assert_eq!(b.find("AKIA1").await.unwrap().credential().secret.expose_secret(), b"two");
    assert!(b.find("AKIA2").await.is_none());
    assert!(b.is_revoked("ASIALATER").await);
    assert!(b.find("ASIAOLD").await.is_none(), "sessions are known by their tokens, or not at all");
    assert!(b.metric("feed_resyncs_total") >= 1.0);
}

#[tokio::test]
async fn spent_revocations_leave_the_compacted_state_once_the_log_has_lost_them() {
    let Some(mut log) = shared().await else { return };
    let a = log.gateway("a").await;
    let old = now().plus(-38 * HOUR);
    // Ahead of all that follows, however long it takes.
    let soon = now().plus(HOUR / 30);
    a.put(created("AKIA1", "one")).await.unwrap();
    a.put(revoked_before("AKIA1", old)).await.unwrap();
    a.put(revoked_before("ASIASPENT", old)).await.unwrap();
    a.put(revoked_before("ASIARAISED", old)).await.unwrap();
    a.put(revoked_before("ASIALIVE", soon)).await.unwrap();
    // What was chained from it may be alive.
    let scope = RevocationScope::AccessKey(id("ASIACHAIN"));
    let chain = EventData::SessionRevoked { scope, cascade: true, issued_before: old, reason: None };
    a.put(event(chain)).await.unwrap();
    compacted(&mut log, 6).await;
    a.store.compact().await.unwrap();
    assert_eq!(a.store.tidy_log().await.unwrap(), 0, "the log holds them");
    log.nats().client().await.get_stream(LOG).await.unwrap().purge().await.unwrap();
    a.put(revoked_before("ASIARAISED", soon)).await.unwrap();
    compacted(&mut log, 6).await;
    assert_eq!(a.store.tidy_log().await.unwrap(), 1, "the one that can reach nothing");
    compacted(&mut log, 5).await;
    assert_eq!(a.store.tidy_log().await.unwrap(), 0);
    let b = log.gateway("b").await;
    b.put(issued("ASIALIVE")).await.unwrap();
    b.put(issued("ASIARAISED")).await.unwrap();
    assert!(b.is_revoked("ASIALIVE").await && b.is_revoked("ASIARAISED").await);
    assert_eq!(b.metric("store_revocation_marks"), 4.0, "that of the key among them");
}

#[tokio::test]
async fn where_nothing_is_spent_nothing_is_tidied() {
    let Some(log) = shared().await else { return };
    let a = log.gateway("a").await;
    assert_eq!(a.store.tidy_log().await.unwrap(), 0, "there is nothing at all");
    a.put(created("AKIA1", "one")).await.unwrap();
    assert_eq!(a.store.tidy_log().await.unwrap(), 0);
}

#[tokio::test]
async fn a_gap_is_healed_by_resync() {
    let Some(mut log) = shared().await else { return };
    let a = log.gateway("a").await;
    a.put(issued("ASIA1")).await.unwrap();
    let lost = [
        a.put(revoked("ASIA1")).await.unwrap().seq,
        a.put(created("AKIA1", "one")).await.unwrap().seq,
        a.put(issued("ASIALOST")).await.unwrap().seq,
    ];
    a.put(issued("ASIA2")).await.unwrap();
    compacted(&mut log, 2).await;
    let stream = log.nats().client().await.get_stream(LOG).await.unwrap();
    for seq in lost {
        stream.delete_message(seq).await.unwrap();
    }
    let b = log.gateway("b").await;
    level(&b, &a).await;
    assert!(b.is_revoked("ASIA1").await && b.find("AKIA1").await.is_some());
    assert!(b.find("ASIALOST").await.is_none() && b.find("ASIA2").await.is_some());
    assert!(b.metric("feed_gaps_total") >= 1.0);
}

#[tokio::test]
async fn poison_is_set_aside_and_a_revocation_among_it_is_enforced() {
    let Some(mut log) = shared().await else { return };
    let (a, b) = (log.gateway("a").await, log.gateway("b").await);
    a.put(issued("ASIA1")).await.unwrap();
    a.put(issued("ASIA2")).await.unwrap();
    let context = log.nats().client().await;
    // What is no event at all, and a row of a newer program.
    for body in [&b"{"[..], b"\x03\x00{}"] {
        let sent = context.publish("test.log.session.poison", body.to_vec().into()).await.unwrap();
        sent.await.unwrap();
    }
    let mut headers = HeaderMap::new();
    headers.insert("sigward-mark", "key:ASIA1");
    headers.insert("sigward-before", now().plus(1_000).0.to_string().as_str());
    let subject = "test.log.state.mark.poison";
    context.publish_with_headers(subject, headers, "\x03".into()).await.unwrap().await.unwrap();
    context.publish(subject, "nobody can tell".into()).await.unwrap().await.unwrap();
    a.put(issued("ASIA3")).await.unwrap();
    level(&b, &a).await;
    for gateway in [&a, &b] {
        assert!(gateway.is_revoked("ASIA1").await, "by the scope in its header");
        assert!(!gateway.is_revoked("ASIA2").await && gateway.find("ASIA3").await.is_some());
        assert_eq!(gateway.metric("feed_messages_total{outcome=\"unreadable\"}"), 4.0);
        assert_eq!(gateway.metric("feed_quarantined"), 4.0);
        assert_eq!(gateway.metric("feed_lost_revocations"), 1.0);
    }
    let b = b.reopen(&log).await;
    assert!(b.is_revoked("ASIA1").await);
}

#[tokio::test]
async fn without_a_live_sealing_key_a_gateway_is_not_ready_and_with_it_reads_what_it_set_aside() {
    let Some(log) = shared().await else { return };
    let a = log.gateway("a").await;
    a.put(issued("ASIA1")).await.unwrap();
    a.put(created("AKIA1", "one")).await.unwrap();
    a.put(revoked("ASIA2")).await.unwrap();
    let b = log.starting("b", &Keyring::ephemeral().unwrap()).await;
    level(&b, &a).await;
    until("its list is heard", async || b.metric("feed_age_seconds") >= 0.0).await;
    assert_eq!(b.store.ready(), Err(NotReady::MissingSealingKey));
    assert!(b.find("ASIA1").await.is_none());
    a.put(deleted("AKIA1")).await.unwrap();
    level(&b, &a).await;
    let b = b.reopen(&log).await;
    assert!(b.find("ASIA1").await.is_some());
    assert!(b.find("AKIA1").await.is_none(), "late as it comes, it was deleted after");
    assert_eq!(b.metric("feed_quarantined"), 0.0);
}

#[tokio::test]
async fn what_cannot_be_read_is_kept_for_40_hours_and_a_long_term_key_for_ever() {
    let Some(mut log) = shared().await else { return };
    let a = log.gateway("a").await;
    a.put(issued("ASIA1")).await.unwrap();
    a.put(created("AKIA1", "one")).await.unwrap();
    let context = log.nats().client().await;
    context.publish("test.log.session.poison", "{".into()).await.unwrap().await.unwrap();
    let other = Keyring::ephemeral().unwrap();
    // The last but one drops what the last no longer finds.
    for (hours, kept) in [(0, 3.0), (39, 3.0), (41, 3.0), (41, 1.0)] {
        let b = log.starting_at("b", &other, Clock::manual(now().plus(hours * HOUR))).await;
        until("so much is kept", async || b.metric("feed_quarantined") == kept).await;
        b.store.compact().await.unwrap();
        b.close().await;
    }
    let b = log.gateway("b").await;
    assert!(b.find("AKIA1").await.is_some(), "read with the right key");
    assert!(b.find("ASIA1").await.is_none(), "over, by the clock that dropped it");
}

#[tokio::test]
async fn acknowledged_events_survive_a_killed_server_and_gateways_go_on_by_themselves() {
    let Some(mut log) = shared().await else { return };
    let (a, b) = (log.gateway("a").await, log.gateway("b").await);
    for n in 0..5 {
        a.put(issued(&format!("ASIA{n}"))).await.unwrap();
    }
    a.put(revoked("ASIA0")).await.unwrap();
    for round in 0..3 {
        log.nats().kill();
        assert!(a.find("ASIA1").await.is_some() && a.is_revoked("ASIA0").await, "what is known is served");
        let store = a.store.clone();
        let name = format!("ASIAROUND{round}");
        let waiting = tokio::spawn({
            let event = issued(&name);
            async move { store.append(vec![event]).await }
        });
        log.nats().restart(true).await;
        waiting.await.unwrap().unwrap();
        level(&b, &a).await;
        assert!(b.find(&name).await.is_some(), "{name}");
    }
    assert!(b.is_revoked("ASIA0").await);
    let c = log.gateway("c").await;
    assert!(c.is_revoked("ASIA0").await && c.find("ASIA4").await.is_some());
    assert_eq!(a.store.ready(), Ok(()));
}

#[tokio::test]
async fn revocations_survive_the_loss_of_the_whole_log() {
    let Some(mut log) = shared().await else { return };
    let a = log.gateway("a").await;
    a.put(issued("ASIA1")).await.unwrap();
    a.put(revoked("ASIA1")).await.unwrap();
    a.put(revoked("ASIA2")).await.unwrap();
    log.nats().kill();
    log.nats().restart(false).await;
    let again = issued("ASIA2");
    until("the log is followed again", async || a.put(again.clone()).await.is_ok()).await;
    assert!(a.is_revoked("ASIA1").await, "what was known stays in force");
    // Of all names some come first to say what they know.
    for name in ["b", "c", "d", "e", "f", "g"] {
        let new = log.gateway(name).await;
        level(&new, &a).await;
        assert!(new.is_revoked("ASIA2").await, "{name} is not ready before the list has brought it");
        assert!(new.metric("feed_healed_marks_total") >= 1.0);
        new.close().await;
    }
}

#[tokio::test]
async fn a_log_that_was_made_anew_is_followed_from_its_beginning_and_only_once() {
    let Some(mut log) = shared().await else { return };
    let (a, b) = (log.gateway("a").await, log.gateway("b").await);
    for n in 0..20 {
        a.put(issued(&format!("ASIA{n}"))).await.unwrap();
    }
    level(&b, &a).await;
    let context = log.nats().client().await;
    context.delete_stream(STATE).await.unwrap();
    context.delete_stream(LOG).await.unwrap();
    let anew = async |gateway: &Gateway| gateway.store.position() < 20 && gateway.metric("feed_head") < 20.0;
    until("both begin anew", async || anew(&a).await && anew(&b).await).await;
    let again = issued("ASIANEW");
    until("the log is followed", async || a.put(again.clone()).await.is_ok()).await;
    until("by both", async || b.find("ASIANEW").await.is_some()).await;
    let losses = [&a, &b].map(|gateway| gateway.metric("feed_losses_total"));
    tokio::time::sleep(Duration::from_secs(8)).await;
    assert_eq!([&a, &b].map(|gateway| gateway.metric("feed_losses_total")), losses, "reading goes on");
    assert!(a.metric("feed_age_seconds") <= 1.0 && b.metric("feed_age_seconds") <= 1.0);
}

#[tokio::test]
async fn a_server_that_lost_its_last_events_is_read_again_from_the_beginning() {
    let Some(mut log) = shared().await else { return };
    let a = log.gateway("a").await;
    a.put(issued("ASIA1")).await.unwrap();
    let kept = log.directory.path().join("kept");
    log.nats().kill();
    copy(&log.directory.path().join("nats"), &kept);
    log.nats().restart(true).await;
    a.put(issued("ASIA2")).await.unwrap();
    a.put(issued("ASIA3")).await.unwrap();
    log.nats().kill();
    std::fs::remove_dir_all(log.directory.path().join("nats")).unwrap();
    copy(&kept, &log.directory.path().join("nats"));
    log.nats().restart(true).await;
    let b = log.gateway("b").await;
    let mark = b.put(revoked("ASIA3")).await.unwrap();
    until("what took the place of the lost is known", async || a.is_revoked("ASIA3").await).await;
    until("the log is followed", async || a.store.position() == mark.seq).await;
    assert!(a.find("ASIA2").await.is_some() && b.find("ASIA2").await.is_none());
}

#[tokio::test]
async fn events_that_took_the_places_of_lost_ones_are_found_by_restarting_gateways() {
    let Some(mut log) = shared().await else { return };
    let (a, b, mark) = rewritten(&mut log).await;
    let a = a.reopen(&log).await;
    level(&a, &b).await;
    assert!(a.is_revoked("ASIA1").await && a.find("ASIANEW0").await.is_some(), "at {mark} and after");
    assert_eq!(a.metric("feed_rewritten_total"), 1.0);
}

#[tokio::test]
async fn events_that_took_the_places_of_lost_ones_are_found_by_comparing() {
    let Some(mut log) = shared().await else { return };
    let (mut a, b, _) = rewritten(&mut log).await;
    a.follower = tokio::spawn(a.store.clone().follow());
    until("the difference is found", async || a.metric("feed_rewritten_total") >= 1.0).await;
    level(&a, &b).await;
    until("what was missed is read", async || a.find("ASIANEW0").await.is_some()).await;
    assert!(a.is_revoked("ASIA1").await && a.find("ASIALOST4").await.is_some());
}

/// A log that was restored from an older copy, and went on beyond where gateway `a` had been; `b` alone has seen that.
async fn rewritten(log: &mut Log) -> (Gateway, Gateway, u64) {
    let a = log.gateway("a").await;
    a.put(issued("ASIA1")).await.unwrap();
    let (files, kept) = (log.directory.path().join("nats"), log.directory.path().join("kept"));
    log.nats().kill();
    copy(&files, &kept);
    log.nats().restart(true).await;
    for n in 0..5 {
        a.put(issued(&format!("ASIALOST{n}"))).await.unwrap();
    }
    a.follower.abort();
    log.nats().kill();
    std::fs::remove_dir_all(&files).unwrap();
    copy(&kept, &files);
    log.nats().restart(true).await;
    let b = log.gateway("b").await;
    let mark = b.put(revoked("ASIA1")).await.unwrap().seq;
    for n in 0..40 {
        b.put(issued(&format!("ASIANEW{n}"))).await.unwrap();
    }
    assert!(b.store.position() > a.store.position() && a.store.position() > mark);
    (a, b, mark)
}

#[tokio::test]
async fn a_source_that_makes_ids_up_does_not_use_up_the_questions_of_others() {
    let Some(log) = shared().await else { return };
    let (a, b) = (log.gateway("a").await, log.gateway("b").await);
    let flood = Source::of([203, 0, 113, 7].into());
    let asked = (0..500).map(|n| {
        let store = b.store.clone();
        tokio::spawn(async move { store.awaited(&format!("AKIAMADEUP{n}"), false, flood).await })
    });
    for question in asked.collect::<Vec<_>>() {
        assert!(!question.await.unwrap().unwrap());
    }
    let count = |asked| b.metric(&format!("feed_lookups_total{{asked=\"{asked}\"}}"));
    assert!((20.0..40.0).contains(&count("yes")), "{}", count("yes"));
    assert_eq!((count("yes") + count("over_source_budget"), count("over_budget")), (500.0, 0.0));
    a.put(issued("ASIA1")).await.unwrap();
    assert!(b.store.awaited("ASIA1", true, here()).await.unwrap(), "another source is answered at once");
    assert!(b.find("ASIA1").await.is_some());
    for n in 0..30 {
        let id = format!("ASIA2{n}");
        a.put(issued(&id)).await.unwrap();
        assert!(b.store.awaited(&id, true, here()).await.unwrap(), "what is found counts against nobody");
    }
}

#[tokio::test]
async fn what_the_log_holds_and_has_not_arrived_is_waited_for() {
    let Some(mut log) = shared().await else { return };
    let (a, mut b) = (log.gateway("a").await, log.gateway("b").await);
    assert!(!b.store.awaited("ASIANONE", true, here()).await.unwrap(), "nobody knows it");
    b.follower.abort();
    a.put(issued("ASIA1")).await.unwrap();
    a.put(created("AKIA1", "one")).await.unwrap();
    let behind = b.store.awaited("ASIA1", true, here()).await;
    assert!(matches!(behind, Err(StoreError::Behind)), "it is there, and does not come: {behind:?}");
    let store = b.store.clone();
    let waiting = tokio::spawn(async move {
        tokio::join!(
            store.awaited("ASIA1", true, here()),
            store.awaited("ASIA1", true, here()),
            store.awaited("AKIA1", false, here())
        )
    });
    b.follower = tokio::spawn(b.store.clone().follow());
    let (first, second, key) = waiting.await.unwrap();
    assert!(first.unwrap() && second.unwrap() && key.unwrap());
    assert!(b.find("ASIA1").await.is_some() && b.find("AKIA1").await.is_some());
    log.nats().kill();
    let undecided = b.store.awaited("ASIAOTHER", true, here()).await;
    assert!(matches!(undecided, Err(StoreError::Behind)), "{undecided:?}");
}

fn copy(from: &std::path::Path, to: &std::path::Path) {
    let status = std::process::Command::new("cp").arg("-a").args([from, to]).status().unwrap();
    assert!(status.success());
}

#[tokio::test]
async fn a_wrong_stream_is_named_with_what_is_wrong() {
    let Some(mut log) = shared().await else { return };
    let context = log.nats().client().await;
    let wrong = Config {
        name: LOG.into(),
        subjects: vec!["test.log.>".into()],
        discard: DiscardPolicy::Old,
        ..Config::default()
    };
    context.create_stream(wrong).await.unwrap();
    let options = log.options("a").await;
    let store = Store::open(&options, log.keyring.clone(), Clock::system(), &Metrics::new()).unwrap();
    match store.check_log().await {
        Err(StoreError::Feed(FeedError::Stream { stream, problem })) => {
            assert_eq!((stream.as_str(), problem.contains("discard new")), (LOG, true), "{problem}");
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_file_is_either_a_log_or_a_view() {
    let Some(mut log) = shared().await else { return };
    let nats = log.nats.take();
    let embedded = log.gateway("a").await;
    embedded.put(issued("ASIA1")).await.unwrap();
    embedded.close().await;
    log.nats = nats;
    let options = log.options("a").await;
    let store = Store::open(&options, log.keyring.clone(), Clock::system(), &Metrics::new()).unwrap();
    assert!(matches!(store.check_log().await, Err(StoreError::OtherLog { position: 1, .. })));
    let view = log.gateway("b").await;
    view.close().await;
    let options = StoreOptions { feed: None, ..log.options("b").await };
    let opened = Store::open(&options, log.keyring.clone(), Clock::system(), &Metrics::new());
    assert!(matches!(opened.err(), Some(StoreError::SharedLog)));
}

#[tokio::test]
async fn silence_is_measured_and_nothing_known_is_taken_back() {
    let Some(mut log) = shared().await else { return };
    let a = log.gateway("a").await;
    a.put(issued("ASIA1")).await.unwrap();
    assert!(a.metric("feed_age_seconds") <= 1.0);
    log.nats().kill();
    until("the age grows", async || a.metric("feed_age_seconds") >= 2.0).await;
    assert_eq!(a.store.ready(), Ok(()), "readiness does not go back");
    assert!(a.find("ASIA1").await.is_some() && a.store.answers_for_sessions(now()).is_ok());
    log.nats().restart(true).await;
    until("it is heard again", async || a.metric("feed_age_seconds") <= 1.0).await;
}

#[tokio::test]
async fn who_has_applied_a_revocation_is_told_by_name() {
    let Some(log) = shared().await else { return };
    let (a, b) = (log.gateway("a").await, log.gateway("b").await);
    until("they know each other", async || a.metric("feed_gateways") == 2.0).await;
    let seq = a.put(revoked("ASIA1")).await.unwrap().seq;
    let wait = Duration::from_secs(20);
    let reached = a.store.wait_applied(seq, WaitFor::All, wait).await.unwrap();
    assert_eq!(reached, Reached { applied: vec!["a".into(), "b".into()], lagging: vec![] });
    b.follower.abort();
    let seq = a.put(revoked("ASIA2")).await.unwrap().seq;
    let reached = a.store.wait_applied(seq, WaitFor::All, Duration::from_millis(300)).await.unwrap();
    assert_eq!(reached, Reached { applied: vec!["a".into()], lagging: vec!["b".into()] });
    let reached = a.store.wait_applied(seq, WaitFor::Count(1), wait).await.unwrap();
    assert_eq!(reached.applied, ["a"]);
}
