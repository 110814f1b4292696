//! A log as people see it: shown, checked, written to a file and taken from there to another log.

use std::path::Path;

use redb::{ReadableTable, TableDefinition};
use serde_json::Value;
use sigward::store::{Declaration, DeclaredKey, EventLog, ImportError, Imported, Lines, Since, TailOptions};

use super::*;

const EVENTS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("events");
const ISSUED: TableDefinition<'_, &str, u64> = TableDefinition::new("issued");
const ACCESS_KEYS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("access_keys");
const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");
const REVOCATIONS: TableDefinition<'_, &str, i64> = TableDefinition::new("revocations");

/// What no line may hold.
const CANARIES: [&str; 3] = ["one", "two", "secret of ASIA1"];

async fn text(mut lines: Lines) -> String {
    let mut text = String::new();
    while let Some(piece) = lines.recv().await {
        text.push_str(std::str::from_utf8(&piece.unwrap()).unwrap());
    }
    for canary in CANARIES {
        assert!(!text.contains(&format!("\"{canary}\"")), "{text}");
    }
    text
}

async fn read(lines: Lines) -> Vec<Value> {
    text(lines).await.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Place and fault of each, and the last line.
async fn verdict(lines: Lines) -> (Vec<String>, Value) {
    let mut lines = read(lines).await;
    let verified = lines.pop().unwrap()["verified"].take();
    let told =
        |line: &Value| format!("{}: {}", line["place"].as_str().unwrap(), line["fault"].as_str().unwrap());
    let faults: Vec<_> = lines.iter().map(told).collect();
    assert_eq!(verified["faults"], faults.len());
    (faults, verified)
}

async fn faults(log: &EventLog) -> Vec<String> {
    verdict(log.verify_lines()).await.0
}

/// The only fault.
fn only(faults: &[String]) -> &str {
    let [fault] = faults else { panic!("one fault: {faults:?}") };
    fault
}

fn from(since: Since) -> TailOptions {
    TailOptions { since, follow: false, types: Vec::new(), access_key_id: None }
}

/// What a gateway makes of a life of sessions and keys: `ASIA1` alive, `ASIA2` and `ASIA3` revoked, `AKIA1` with its second
/// secret and inactive, `AKIA2` deleted, `AKIA3` as it was made.
async fn live(gateway: &Gateway) {
    gateway.put(created("AKIA1", "one")).await.unwrap();
    gateway.put(created("AKIA2", "one")).await.unwrap();
    gateway.put(issued("ASIA1")).await.unwrap();
    gateway.put(issued("ASIA2")).await.unwrap();
    gateway.put(created("AKIAPARENT2", "one")).await.unwrap();
    let mut child = session("ASIA3");
    child.session.as_mut().unwrap().parent_access_key_id = Some(id("AKIAPARENT2"));
    gateway.put(event(EventData::CredentialIssued(child))).await.unwrap();
    gateway.put(revoked("ASIA2")).await.unwrap();
    gateway.put(deleted("AKIAPARENT2")).await.unwrap();
    gateway.put(created("AKIA1", "two")).await.unwrap();
    gateway.put(status("AKIA1", KeyStatus::Inactive)).await.unwrap();
    gateway.put(deleted("AKIA2")).await.unwrap();
    gateway.put(created("AKIA3", "one")).await.unwrap();
}

async fn assert_alive(gateway: &Gateway) {
    assert!(!gateway.is_revoked("ASIA1").await);
    assert!(gateway.is_revoked("ASIA2").await && gateway.is_revoked("ASIA3").await);
    for gone in ["AKIA1", "AKIA2", "AKIAPARENT2"] {
        assert!(gateway.find(gone).await.is_none(), "{gone}");
    }
    assert_eq!(gateway.find("AKIA3").await.unwrap().credential().secret.expose_secret(), b"one");
}

/// An embedded log with such a life.
async fn embedded() -> (Log, Gateway) {
    let log = Log::new(Kind::Embedded).await.unwrap();
    let gateway = log.gateway("a").await;
    live(&gateway).await;
    (log, gateway)
}

pub(super) async fn export(log: &EventLog, file: &Path) {
    std::fs::write(file, text(log.export_lines()).await).unwrap();
}

/// The log in JetStream itself.
async fn stream(log: &Log) -> EventLog {
    let feed = Feed::connect(&log.nats.as_ref().unwrap().feed("looks")).await.unwrap();
    EventLog::shared(feed, log.keyring.clone(), Clock::system())
}

#[tokio::test]
async fn both_logs_and_what_gateways_have_of_them_show_the_same_and_are_sound() {
    for kind in [Kind::Embedded, Kind::Shared] {
        let Some(log) = Log::new(kind).await else { return };
        let gateway = log.gateway("a").await;
        live(&gateway).await;
        let mut logs = vec![EventLog::of_gateway(&gateway.store)];
        if kind == Kind::Shared {
            logs.push(stream(&log).await);
        }
        for log in logs {
            assert_eq!(faults(&log).await, [""; 0], "{kind:?}");
            assert_eq!(log.head().await.unwrap().last, gateway.store.position());
            let state = read(log.snapshot_lines()).await;
            let usable = state.iter().filter(|line| line["usable"] == true);
            let ids: Vec<_> = usable.map(|line| line["data"]["access_key_id"].clone()).collect();
            assert_eq!(ids, ["ASIA1", "AKIA3"]);
            assert_eq!(state[0]["position"], gateway.store.position());
            let end = state.last().unwrap();
            assert_eq!((&end["sessions"], &end["access_keys"]), (&3.into(), &2.into()), "{end}");
        }
    }
}

#[tokio::test]
async fn events_are_shown_in_their_order_from_where_and_of_which_kind_it_is_asked() {
    let (_log, gateway) = embedded().await;
    let log = EventLog::of_gateway(&gateway.store);
    let all = read(log.tail_lines(from(Since::Seq(0)), || false)).await;
    let sequences: Vec<_> = all.iter().map(|line| line["sequence"].as_str().unwrap()).collect();
    assert!(sequences.is_sorted() && sequences[0].len() == 20, "{sequences:?}");
    let issued = all.iter().find(|line| line["data"]["access_key_id"] == "ASIA1").unwrap();
    assert_eq!(
        (&issued["specversion"], &issued["type"]),
        (&"1.0".into(), &"io.sigward.credential.issued.v1".into())
    );
    assert!(issued["data"]["kind"] == "session_token" && issued["recordedtime"].is_string());
    let last = gateway.store.position();
    let some = |options| async { read(log.tail_lines(options, || false)).await.len() };
    assert_eq!(some(from(Since::Seq(last - 1))).await, 2);
    assert_eq!(some(from(Since::Time(now().plus(-60_000)))).await, all.len());
    assert_eq!(some(from(Since::Time(now().plus(60_000)))).await, 0);
    assert_eq!(some(from(Since::Now)).await, 0);
    let types = vec!["session.revoked".to_owned(), "io.sigward.access_key.status.v1".to_owned()];
    assert_eq!(some(TailOptions { types, ..from(Since::Seq(0)) }).await, 2);
    let about = TailOptions { access_key_id: Some(id("AKIAPARENT2")), ..from(Since::Seq(0)) };
    assert_eq!(some(about).await, 2, "what deleted it, and its session");
}

#[tokio::test]
async fn who_follows_sees_what_comes_until_it_is_told_to_end() {
    for kind in [Kind::Embedded, Kind::Shared] {
        let Some(log) = Log::new(kind).await else { return };
        let gateway = log.gateway("a").await;
        gateway.put(issued("ASIA1")).await.unwrap();
        let log = match kind {
            Kind::Embedded => EventLog::of_gateway(&gateway.store),
            Kind::Shared => stream(&log).await,
        };
        let over = Arc::new(std::sync::atomic::AtomicBool::new(false));
        let ending = Arc::clone(&over);
        let options = TailOptions { follow: true, ..from(Since::Now) };
        let following = tokio::spawn(read(
            log.tail_lines(options, move || ending.load(std::sync::atomic::Ordering::SeqCst)),
        ));
        tokio::time::sleep(Duration::from_millis(500)).await;
        gateway.put(issued("ASIA2")).await.unwrap();
        tokio::time::sleep(Duration::from_millis(500)).await;
        over.store(true, std::sync::atomic::Ordering::SeqCst);
        let seen = following.await.unwrap();
        let ids: Vec<_> = seen.iter().map(|line| &line["data"]["access_key_id"]).collect();
        assert_eq!(ids, ["ASIA2"], "{kind:?}");
    }
}

/// Changes the file of a closed gateway behind its back, and looks at it.
async fn tampered(change: impl FnOnce(&redb::WriteTransaction)) -> Vec<String> {
    let (log, gateway) = embedded().await;
    gateway.close().await;
    let db = redb::Database::open(log.file("a")).unwrap();
    let txn = db.begin_write().unwrap();
    change(&txn);
    txn.commit().unwrap();
    drop(db);
    faults(&EventLog::file(&log.file("a"), log.keyring.clone(), Clock::system()).unwrap()).await
}

#[tokio::test]
async fn whatever_is_altered_or_missing_in_a_file_is_told_with_its_place() {
    assert_eq!(tampered(|_| ()).await, [""; 0]);
    let gone = tampered(|txn| drop(txn.open_table(EVENTS).unwrap().remove(4).unwrap())).await;
    assert_eq!(gone[0], "session ASIA2: was issued by event 4, which is gone");
    assert!(gone[1].ends_with("is noted to have sealed 5 credentials; it sealed 4"), "{gone:?}");
    assert!(gone[2].starts_with("event 4: is gone before its time, 2"), "{gone:?}");
    let altered = tampered(|txn| {
        let mut events = txn.open_table(EVENTS).unwrap();
        let mut row = events.get(3).unwrap().unwrap().value().to_vec();
        let last = row.len() - 1;
        row[last] ^= 1;
        events.insert(3, row.as_slice()).unwrap();
    });
    let altered = altered.await;
    assert!(only(&altered).starts_with("event 3: the seal under key id "), "{altered:?}");
    let session = tampered(|txn| drop(txn.open_table(ISSUED).unwrap().remove("ASIA1").unwrap())).await;
    assert_eq!(only(&session), "event 3: issued session ASIA1, which is not there");
    let other = tampered(|txn| drop(txn.open_table(ISSUED).unwrap().insert("ASIA1", 4).unwrap())).await;
    assert_eq!(
        other,
        [
            "event 3: issued session ASIA1, which is that of event 4",
            "session ASIA1: is noted to be of event 4, which did not issue it",
        ]
    );
    let key = tampered(|txn| drop(txn.open_table(ACCESS_KEYS).unwrap().remove("AKIA3").unwrap())).await;
    assert_eq!(key[0], "event 12: made access key AKIA3, which is not there");
    let mark = tampered(|txn| drop(txn.open_table(REVOCATIONS).unwrap().remove("key:ASIA2").unwrap())).await;
    assert!(only(&mark).starts_with("revocation key:ASIA2: the log revokes before 2"), "{mark:?}");
    let mark =
        tampered(|txn| drop(txn.open_table(REVOCATIONS).unwrap().remove("issued-to:AKIAPARENT2").unwrap()));
    assert!(only(&mark.await).starts_with("revocation issued-to:AKIAPARENT2: "));
    let status = tampered(|txn| drop(txn.open_table(EVENTS).unwrap().remove(10).unwrap())).await;
    assert_eq!(only(&status), "access key AKIA1: is not what event 9 made it");
}

#[tokio::test]
async fn sealing_keys_that_are_missing_are_told_once_each_with_where_they_are_needed() {
    let (log, gateway) = embedded().await;
    let stranger = Keyring::ephemeral().unwrap();
    gateway.close().await;
    let found = faults(&EventLog::file(&log.file("a"), stranger, Clock::system()).unwrap()).await;
    let missing = format!(
        "sealing key {}: is missing: it sealed 7 rows, the first of them event 3",
        log.keyring.active()
    );
    assert!(found.contains(&missing), "{found:?}");
}

#[tokio::test]
async fn a_file_that_a_gateway_has_open_is_not_looked_at_behind_its_back() {
    let (log, gateway) = embedded().await;
    let look = || EventLog::file(&log.file("a"), log.keyring.clone(), Clock::system());
    assert!(matches!(look().err(), Some(StoreError::Held { .. })));
    gateway.close().await;
    assert!(look().is_ok());
    let nowhere = EventLog::file(&log.file("none"), log.keyring.clone(), Clock::system());
    assert!(matches!(nowhere.err(), Some(StoreError::File { .. })));
    assert!(!log.file("none").exists());
}

#[tokio::test]
async fn a_file_of_an_older_program_is_refused_until_a_gateway_has_brought_it_up() {
    let (log, gateway) = embedded().await;
    gateway.close().await;
    let db = redb::Database::open(log.file("a")).unwrap();
    let txn = db.begin_write().unwrap();
    txn.open_table(META).unwrap().insert("schema", 1).unwrap();
    txn.commit().unwrap();
    drop(db);
    let look = || EventLog::file(&log.file("a"), log.keyring.clone(), Clock::system());
    let refused = look().err().unwrap();
    assert!(matches!(refused, StoreError::OlderSchema { found: 1, .. }), "{refused}");
    assert!(refused.to_string().contains("start a gateway with it"), "{refused}");
    log.gateway("a").await.close().await;
    assert!(look().is_ok());
}

#[tokio::test]
async fn a_view_shows_the_log_it_follows_and_the_sessions_of_the_one_before() {
    let Some(mut log) = Log::new(Kind::Shared).await else { return };
    let gateway = log.gateway("a").await;
    for n in 1..=3 {
        gateway.put(issued(&format!("ASIA{n}"))).await.unwrap();
    }
    gateway.put(created("AKIA1", "one")).await.unwrap();
    log.nats().kill();
    log.nats().restart(false).await;
    let next = issued("ASIA4");
    until("the new log is followed", async || gateway.put(next.clone()).await.is_ok()).await;
    let look = EventLog::of_gateway(&gateway.store);
    let head = look.head().await.unwrap();
    assert_eq!((head.first, head.last), (1, gateway.store.position()), "{head:?}");
    assert_eq!(faults(&look).await, [""; 0]);
    let shown = read(look.tail_lines(from(Since::Seq(0)), || false)).await;
    let ids: Vec<_> = shown.iter().map(|line| &line["data"]["access_key_id"]).collect();
    assert_eq!(ids, ["ASIA4"]);
    let state = read(look.snapshot_lines()).await;
    let end = state.last().unwrap();
    assert_eq!((&end["sessions"], &end["access_keys"]), (&4.into(), &1.into()), "{end}");
    let file = log.directory.path().join("exported");
    export(&look, &file).await;
    let (found, exported) =
        verdict(EventLog::verify_archive(&file, log.keyring.clone(), &Clock::system())).await;
    assert_eq!((found.len(), &exported["events"]), (0, &1.into()), "{found:?}");
}

#[tokio::test]
async fn a_view_that_has_read_the_log_twice_shows_it_once_and_whole() {
    let Some(mut log) = Log::new(Kind::Shared).await else { return };
    let gateway = log.gateway("a").await;
    for n in 0..40 {
        gateway.put(issued(&format!("ASIA{n}"))).await.unwrap();
    }
    let says = say_other_log(&mut log).await;
    let read_again = async || gateway.metric("feed_rewritten_total") > 0.0 && gateway.store.position() == 40;
    until("all of the log is read again", read_again).await;
    says.abort();
    gateway.put(issued("ASIA40")).await.unwrap();
    let look = EventLog::of_gateway(&gateway.store);
    assert_eq!(faults(&look).await, [""; 0]);
    let head = look.head().await.unwrap();
    assert_eq!((head.first, head.last), (1, 41));
    let shown = read(look.tail_lines(from(Since::Seq(40)), || false)).await;
    let ids: Vec<_> = shown.iter().map(|line| &line["data"]["access_key_id"]).collect();
    assert_eq!(ids, ["ASIA39", "ASIA40"]);
    let file = log.directory.path().join("exported");
    export(&look, &file).await;
    let (found, exported) =
        verdict(EventLog::verify_archive(&file, log.keyring.clone(), &Clock::system())).await;
    assert_eq!((found.len(), &exported["events"]), (0, &41.into()), "{found:?}");
}

#[tokio::test]
async fn gaps_and_forgeries_of_a_stream_are_told_with_their_place() {
    let Some(mut log) = Log::new(Kind::Shared).await else { return };
    let gateway = log.gateway("a").await;
    live(&gateway).await;
    let look = stream(&log).await;
    assert_eq!(faults(&look).await, [""; 0]);
    let context = log.nats().client().await;
    let messages = context.get_stream("test_log").await.unwrap();
    messages.delete_message(4).await.unwrap();
    assert_eq!(faults(&look).await, ["event 4: the log lacks them: a gap"]);
    for seq in [5, 6] {
        messages.delete_message(seq).await.unwrap();
    }
    let row = serde_json::json!({
        "source": "/forged", "id": "1", "time": now().0, "recorded_at": now().0,
        "data": { "access_key_status": { "access_key_id": "AKIA1", "status": "Active" } },
    });
    let body = [&[1, 0], row.to_string().as_bytes()].concat();
    context.publish("test.log.state.key.forged", body.into()).await.unwrap().await.unwrap();
    let found = faults(&look).await;
    assert!(found.contains(&"events 4 to 6: the log lacks them: a gap".to_owned()), "{found:?}");
    let forged: Vec<_> = found.iter().filter(|fault| fault.starts_with("event 13: ")).collect();
    assert!(forged.iter().any(|fault| fault.contains("no gateway applies it")), "{found:?}");
}

#[tokio::test]
async fn what_is_compacted_must_be_what_the_log_comes_to() {
    let Some(mut log) = Log::new(Kind::Shared).await else { return };
    let gateway = log.gateway("a").await;
    live(&gateway).await;
    let look = stream(&log).await;
    assert_eq!(verdict(look.verify_lines()).await.1["compacted"], 5, "four keys and a mark");
    let state = log.nats().client().await.get_stream("test_state").await.unwrap();
    let copied = state.cached_info().state.last_sequence;
    state.delete_message(copied).await.unwrap();
    assert_eq!(faults(&look).await, ["event 12: is the last about access key AKIA3, and not compacted"]);
}

/// Says, until it is aborted, that there is a gateway which has read something else as the 30th event.
async fn say_other_log(log: &mut Log) -> JoinHandle<()> {
    let client = log.nats().client().await.client().clone();
    tokio::spawn(async move {
        loop {
            let list = serde_json::json!({
                "version": 1, "gateway": "other", "this_update": now().0, "next_update": now().plus(1_000).0,
                "head": 40, "checkpoint": { "seq": 30, "digest": "0".repeat(32) }, "part": 1, "parts": 1, "marks": [],
            });
            client.publish("test.beat.marks", list.to_string().into()).await.unwrap();
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
}

#[tokio::test]
async fn a_gateway_that_has_read_another_log_is_named() {
    let Some(mut log) = Log::new(Kind::Shared).await else { return };
    let gateway = log.gateway("a").await;
    for n in 0..40 {
        gateway.put(issued(&format!("ASIA{n}"))).await.unwrap();
    }
    let look = stream(&log).await;
    let (found, verified) = verdict(look.verify_lines()).await;
    assert_eq!((found.len(), &verified["checkpoints"]), (0, &1.into()), "{found:?}");
    gateway.close().await;
    let says = say_other_log(&mut log).await;
    let found = faults(&look).await;
    says.abort();
    assert_eq!(found, ["event 30: gateway other has read another log up to here"]);
}

#[tokio::test]
async fn a_log_moves_from_a_file_to_jetstream_and_nothing_comes_back_by_it() {
    let Some(target) = Log::new(Kind::Shared).await else { return };
    let (source, gateway) = embedded().await;
    let target = Log { keyring: source.keyring.clone(), ..target };
    let file = source.directory.path().join("exported");
    gateway.close().await;
    let stopped = EventLog::file(&source.file("a"), source.keyring.clone(), Clock::system()).unwrap();
    export(&stopped, &file).await;
    drop(stopped);
    assert_eq!(
        verdict(EventLog::verify_archive(&file, source.keyring.clone(), &Clock::system())).await.0,
        [""; 0]
    );
    let importing = target.gateway("importing").await;
    let imported = importing.store.import(&file).await.unwrap();
    let (sessions, access_keys) = (3, 2);
    assert_eq!((imported.sessions, imported.access_keys, imported.deleted), (sessions, access_keys, 0));
    assert!(imported.revocations >= 3, "{imported:?}");
    importing.close().await;
    let other = target.gateway("other").await;
    assert_alive(&other).await;
    assert_eq!(faults(&stream(&target).await).await, [""; 0]);
    // Again: nothing changes.
    let position = other.store.position();
    let again = other.store.import(&file).await.unwrap();
    assert_eq!((again.revocations, again.sessions, again.access_keys), (0, 0, 0), "{again:?}");
    assert_eq!(other.store.position(), position);
    assert_alive(&other).await;
}

#[tokio::test]
async fn what_ended_after_a_file_was_written_stays_ended() {
    let (log, gateway) = embedded().await;
    let file = log.directory.path().join("exported");
    export(&EventLog::of_gateway(&gateway.store), &file).await;
    gateway.put(revoked("ASIA1")).await.unwrap();
    gateway.put(deleted("AKIA3")).await.unwrap();
    let position = gateway.store.position();
    let imported = gateway.store.import(&file).await.unwrap();
    assert!(gateway.is_revoked("ASIA1").await && gateway.find("AKIA3").await.is_none());
    assert_eq!((imported.kept, gateway.store.position()), (1, position), "{imported:?}");
}

#[tokio::test]
async fn a_file_is_restored_into_an_empty_log_without_what_configurations_declare() {
    let (log, gateway) = embedded().await;
    let Credential { access_key_id, secret, principal, status, not_after, .. } =
        long_term("AKIADECLARED", "one");
    let declared = DeclaredKey { access_key_id, secret, principal, status, not_after };
    gateway.store.reconcile(&[Declaration::of_config(vec![declared])]).await.unwrap();
    let file = log.directory.path().join("exported");
    export(&EventLog::of_gateway(&gateway.store), &file).await;
    let restored = log.gateway("restored").await;
    let imported = restored.store.import(&file).await.unwrap();
    assert_eq!((imported.declared, imported.expired), (1, 0), "{imported:?}");
    assert!(restored.find("AKIADECLARED").await.is_none());
    assert_alive(&restored).await;
    assert_eq!(faults(&EventLog::of_gateway(&restored.store)).await, [""; 0]);
    let restored = restored.reopen(&log).await;
    assert_alive(&restored).await;
}

/// Imports what became of a file into an empty log; `Err` holds the faults, and nothing was written.
async fn imported(change: impl FnOnce(&mut Vec<String>)) -> Result<Imported, Vec<String>> {
    let (log, gateway) = embedded().await;
    let file = log.directory.path().join("exported");
    let exported = text(EventLog::of_gateway(&gateway.store).export_lines()).await;
    let mut lines: Vec<_> = exported.lines().map(str::to_owned).collect();
    change(&mut lines);
    std::fs::write(&file, lines.join("\n") + "\n").unwrap();
    let target = log.gateway("target").await;
    let imported = target.store.import(&file).await;
    let told = verdict(EventLog::verify_archive(&file, log.keyring.clone(), &Clock::system())).await.0;
    assert_eq!(told.is_empty(), imported.is_ok(), "verify says what import says: {told:?}");
    match imported {
        Ok(imported) => Ok(imported),
        Err(ImportError::Faults(faults)) => {
            assert_eq!(target.store.position(), 0, "nothing was written");
            assert_eq!(faults, told);
            Err(faults)
        }
        Err(error) => panic!("{error}"),
    }
}

#[tokio::test]
async fn a_file_that_is_not_whole_is_refused_before_anything_is_written() {
    assert!(imported(|_| ()).await.is_ok());
    let cut = imported(|lines| drop(lines.pop())).await.unwrap_err();
    assert!(only(&cut[..1]).ends_with("is missing: the file was cut short"), "{cut:?}");
    let altered =
        imported(|lines| lines[3] = lines[3].replacen("\"seq\":", "\"seq\":1", 1)).await.unwrap_err();
    assert!(altered[0].starts_with("line 4: is not what was written here"), "{altered:?}");
    let lost = imported(|lines| drop(lines.remove(4))).await.unwrap_err();
    assert!(lost[0].starts_with("line 5: is not what was written here"), "{lost:?}");
    let other = imported(|lines| lines[0] = "{}".to_owned()).await.unwrap_err();
    assert_eq!(other, ["line 1: is not the first line of an exported log"]);
}

#[tokio::test]
async fn a_file_that_the_sealing_keys_cannot_open_is_refused() {
    let (log, gateway) = embedded().await;
    let file = log.directory.path().join("exported");
    export(&EventLog::of_gateway(&gateway.store), &file).await;
    let stranger = log.starting("stranger", &Keyring::ephemeral().unwrap()).await;
    let refused = stranger.store.import(&file).await.unwrap_err();
    assert!(refused.to_string().contains("not in the keyring"), "{refused}");
    assert_eq!(stranger.store.position(), 0);
}

#[tokio::test]
async fn a_session_that_is_another_one_here_stops_an_import_before_it_begins() {
    let (log, gateway) = embedded().await;
    let file = log.directory.path().join("exported");
    export(&EventLog::of_gateway(&gateway.store), &file).await;
    let target = log.gateway("target").await;
    let mut other = session("ASIA2");
    other.secret = SecretAccessKey::new("another");
    target.put(event(EventData::CredentialIssued(other))).await.unwrap();
    let refused = target.store.import(&file).await.unwrap_err();
    assert_eq!(refused.to_string(), "nothing was imported: event 4: session ASIA2 is another one here");
    assert_eq!(target.store.position(), 1);
}
