//! Sources from inside: what is read of a directory, and what becomes of it in the store.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::time::Duration;

use sigv4::SecretAccessKey;

use super::aside::Aside;
use super::directory::{Directory, PATIENCE};
use super::reader::{ReadError, Reading};
use super::*;
use crate::clock::UnixMillis;
use crate::config::KeySourcePlace;
use crate::events::{Event, EventData, seal_secret};
use crate::iam::{AccessKeyId, Credential, KeyStatus, Principal};
use crate::store::{DeclaredKey, StoreOptions};

const ARN: &str = "arn:aws:iam::123456789012:user/alice";

fn document(ids: &[&str]) -> String {
    let key = |id: &&str| {
        format!(r#"{{"access_key_id":"{id}","secret_access_key":"secret of {id}","arn":"{ARN}"}}"#)
    };
    format!(r#"{{"access_keys":[{}]}}"#, ids.iter().map(key).collect::<Vec<_>>().join(","))
}

fn put(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    // As a whole, so that nobody reads half of it.
    let aside = path.with_file_name(".aside");
    fs::write(&aside, text).unwrap();
    fs::set_permissions(&aside, fs::Permissions::from_mode(0o600)).unwrap();
    fs::rename(&aside, path).unwrap();
}

fn read_by(root: &Path, max_bytes: usize, keyring: Keyring) -> Directory {
    Directory::new(root.to_owned(), max_bytes, keyring, Aside::new(PATIENCE))
}

fn reader(root: &Path) -> Directory {
    read_by(root, 1 << 20, Keyring::ephemeral().unwrap())
}

/// Ids of all keys and the faults.
fn ids(reading: Result<Reading, ReadError>) -> (Option<Vec<String>>, Vec<String>) {
    let Reading { keys, faults } = reading.unwrap();
    let id = |key: &DeclaredKey| key.access_key_id.to_string();
    (keys.map(|keys| keys.iter().map(id).collect()), faults)
}

fn some(names: &[&str]) -> Option<Vec<String>> {
    Some(names.iter().map(|name| (*name).to_owned()).collect())
}

#[tokio::test]
async fn a_directory_holds_lists_single_keys_and_keys_whose_fields_are_files() {
    let root = tempfile::tempdir().unwrap();
    put(&root.path().join("list.json"), &document(&["AKIA1", "AKIA2"]));
    put(&root.path().join("AKIA3.json"), &format!(r#"{{"secret_access_key":"s","arn":"{ARN}"}}"#));
    put(&root.path().join("AKIA4/secret_access_key"), "s\n");
    put(&root.path().join("AKIA4/arn"), ARN);
    put(&root.path().join(".hidden/x"), "no key");
    let mut reader = reader(root.path());
    assert_eq!(ids(reader.read().await), (some(&["AKIA3", "AKIA4", "AKIA1", "AKIA2"]), vec![]));
    assert_eq!(ids(reader.read().await), (None, vec![]), "nothing has changed");
    fs::remove_dir_all(root.path().join("AKIA4")).unwrap();
    assert_eq!(ids(reader.read().await), (some(&["AKIA3", "AKIA1", "AKIA2"]), vec![]));
}

#[tokio::test]
async fn a_volume_of_kubernetes_is_replaced_as_a_whole() {
    let root = tempfile::tempdir().unwrap();
    let volume = |name: &str, ids: &[&str]| put(&root.path().join(name).join("keys.json"), &document(ids));
    volume("..1", &["AKIA1"]);
    volume("..2", &[]);
    symlink("..1", root.path().join("..data")).unwrap();
    symlink("..data/keys.json", root.path().join("keys.json")).unwrap();
    let mut reader = reader(root.path());
    assert_eq!(ids(reader.read().await), (some(&["AKIA1"]), vec![]));
    symlink("..2", root.path().join("..next")).unwrap();
    fs::rename(root.path().join("..next"), root.path().join("..data")).unwrap();
    assert_eq!(ids(reader.read().await), (some(&[]), vec![]));
}

#[tokio::test]
async fn a_document_that_is_wrong_keeps_what_it_said_and_holds_up_no_other() {
    let root = tempfile::tempdir().unwrap();
    let file = |name: &str| root.path().join(name);
    put(&file("a.json"), &document(&["AKIA1"]));
    put(&file("b.json"), &document(&["AKIA2"]));
    let mut reader = reader(root.path());
    assert_eq!(ids(reader.read().await), (some(&["AKIA1", "AKIA2"]), vec![]));
    put(&file("b.json"), "{");
    put(&file("a.json"), &document(&["AKIA3"]));
    let (keys, faults) = ids(reader.read().await);
    assert_eq!((keys, faults.len()), (some(&["AKIA3", "AKIA2"]), 1));
    assert!(faults[0].starts_with("b.json: line 1, column 1: "), "{faults:?}");
    let (keys, faults) = ids(reader.read().await);
    assert_eq!((keys, faults.len()), (None, 1), "it is still wrong");
    fs::remove_file(file("b.json")).unwrap();
    assert_eq!(ids(reader.read().await), (some(&["AKIA3"]), vec![]));
}

#[tokio::test]
async fn nothing_counts_before_everything_was_good_once() {
    let root = tempfile::tempdir().unwrap();
    put(&root.path().join("a.json"), &document(&["AKIA1"]));
    let mut reader = reader(root.path());
    for (name, text, told) in [
        ("b.json", "{", "b.json: line 1"),
        ("c/color", "blue", "c: color: is no field of a key"),
        ("README.md", "text", "README.md: is neither"),
    ] {
        let path = root.path().join(name);
        put(&path, text);
        match reader.read().await {
            Err(ReadError::Refused(said)) => assert!(said.starts_with(told), "{said}"),
            other => panic!("{name}: {:?}", other.map(|reading| reading.faults)),
        }
        fs::remove_file(path).unwrap();
        let _ = fs::remove_dir_all(root.path().join("c"));
    }
    assert_eq!(ids(reader.read().await), (some(&["AKIA1"]), vec![]));
}

#[tokio::test]
async fn a_directory_is_bounded_by_all_of_its_files_together_and_beyond_that_nothing_of_it_counts() {
    let root = tempfile::tempdir().unwrap();
    let texts = [document(&["AKIA1"]), document(&["AKIA2"])];
    put(&root.path().join("a.json"), &texts[0]);
    put(&root.path().join("AKIA3/secret_access_key"), "s");
    put(&root.path().join("AKIA3/arn"), ARN);
    let room = texts[0].len() + "s".len() + ARN.len();
    let mut reader = read_by(root.path(), room, Keyring::ephemeral().unwrap());
    assert_eq!(ids(reader.read().await), (some(&["AKIA3", "AKIA1"]), vec![]));
    let told = format!("{}: its files are larger than {room} bytes together", root.path().display());
    put(&root.path().join("b.json"), &texts[1]);
    assert_eq!(reader.read().await.err(), Some(ReadError::Refused(told.clone())));
    fs::remove_file(root.path().join("b.json")).unwrap();
    put(&root.path().join("AKIA3/user_id"), "x");
    assert_eq!(reader.read().await.err(), Some(ReadError::Refused(told)));
    fs::remove_file(root.path().join("AKIA3/user_id")).unwrap();
    assert_eq!(ids(reader.read().await), (None, vec![]), "as before");
}

#[tokio::test]
async fn a_check_tells_what_of_directories_could_not_be_taken_over() {
    let bench = Bench::new();
    bench.put("one", &["AKIA1", "AKIA2"]);
    bench.put("two", &["AKIA2", "AKIACONFIG"]);
    bench.put_text("wrong", "{");
    let key = DeclaredAccessKey {
        access_key_id: AccessKeyId::parse("AKIACONFIG").unwrap(),
        secret: SecretAccessKey::new("of the configuration"),
        principal: alice(),
        status: KeyStatus::Active,
    };
    let check = async |names: &[&str]| {
        let sources: Vec<_> = names.iter().map(|name| bench.source(name)).collect();
        check_directories(std::slice::from_ref(&key), &sources, &Keyring::ephemeral().unwrap(), UnixMillis(0))
            .await
    };
    assert_eq!(check(&["one"]).await, []);
    let told = check(&["one", "wrong", "missing", "two"]).await;
    let [(1, wrong), (2, missing), (3, second), (3, third)] = &told[..] else { panic!("{told:?}") };
    assert!(wrong.starts_with("keys.json: line 1, column 1: "), "{wrong}");
    assert!(missing.ends_with("/missing: No such file or directory (os error 2)"), "{missing}");
    assert_eq!(second, "AKIA2 is declared by the key source one already");
    assert_eq!(third, "AKIACONFIG is declared by [[access_keys]] already");
    assert_eq!(bench.keys().await, [], "nothing is taken over");
}

#[tokio::test]
async fn a_directory_that_is_missing_or_bare_is_out_of_reach() {
    let root = tempfile::tempdir().unwrap();
    for path in [root.path().join("missing"), root.path().to_owned()] {
        let read = reader(&path).read().await;
        assert!(matches!(read, Err(ReadError::Unreachable(_))));
    }
    put(&root.path().join(".keep"), "");
    assert_eq!(ids(reader(root.path()).read().await), (some(&[]), vec![]));
}

#[tokio::test]
async fn a_secret_in_clear_is_for_owner_and_group_and_a_sealed_one_for_anybody() {
    let root = tempfile::tempdir().unwrap();
    let file = root.path().join("AKIA1.json");
    let keyring = Keyring::ephemeral().unwrap();
    let mode = |mode: u32| fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
    put(&file, &document(&["AKIA1"]));
    for (open, fine) in [(0o600, true), (0o640, true), (0o440, true), (0o644, false), (0o660, false)] {
        mode(open);
        assert_eq!(reader(root.path()).read().await.is_ok(), fine, "{open:o}");
    }
    let id = AccessKeyId::parse("AKIA1").unwrap();
    let sealed = seal_secret(&id, &SecretAccessKey::new("canary"), &keyring).unwrap();
    put(&file, &format!(r#"{{"sealed_secret_access_key":"{sealed}","arn":"{ARN}"}}"#));
    mode(0o644);
    let mut reader = read_by(root.path(), 1 << 20, keyring);
    assert_eq!(ids(reader.read().await), (some(&["AKIA1"]), vec![]));
}

/// Sources that are directories, and the store they feed.
struct Bench {
    root: tempfile::TempDir,
    store: Store,
    clock: Clock,
    sources: KeySources,
    metrics: Metrics,
}

impl Bench {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let options = StoreOptions::new(root.path().join("events.redb"), 1 << 20);
        let (clock, metrics) = (Clock::manual(UnixMillis(1_000)), Metrics::new());
        let keyring = Keyring::ephemeral().unwrap();
        let store = Store::open(&options, keyring.clone(), clock.clone(), &metrics).unwrap();
        let identities = Identities::none(clock.clone(), &metrics);
        let parts = KeySourcesParts { store: store.clone(), identities, keyring, clock: clock.clone() };
        Self { root, store, clock, sources: KeySources::new(parts, &metrics), metrics }
    }

    fn source(&self, name: &str) -> KeySource {
        KeySource {
            name: name.into(),
            place: KeySourcePlace::Directory(self.root.path().join(name)),
            max_bytes: 1 << 20,
            poll_interval: Duration::from_millis(20),
            stale_warn: Duration::from_secs(60),
            stale_alert: Duration::from_secs(60),
        }
    }

    fn put(&self, source: &str, ids: &[&str]) {
        self.put_text(source, &document(ids));
    }

    fn put_text(&self, source: &str, text: &str) {
        put(&self.root.path().join(source).join("keys.json"), text);
    }

    async fn declare(&self, names: &[&str]) {
        let sources: Vec<_> = names.iter().map(|name| self.source(name)).collect();
        self.sources.declare(&[], &sources).await.unwrap();
    }

    /// Id and source of every key of the store.
    async fn keys(&self) -> Vec<(String, String)> {
        let keys = self.store.access_keys().await.unwrap();
        keys.into_iter().map(|key| (key.access_key_id.to_string(), key.source)).collect()
    }

    async fn until_keys(&self, expected: &[(&str, &str)]) {
        let source = |name: &str| match name.starts_with('/') {
            true => name.to_owned(),
            false => format!("/key-sources/{name}"),
        };
        let expected: Vec<_> = expected.iter().map(|(id, name)| ((*id).to_owned(), source(name))).collect();
        for _ in 0..500 {
            if self.keys().await == expected {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("{:?} instead of {expected:?}", self.keys().await);
    }

    /// Waits until a source has been read in vain, once more than by now.
    async fn until_counted(&self, source: &str, outcome: &str) {
        let before = self.reads(source, outcome);
        for _ in 0..500 {
            if self.reads(source, outcome) > before {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("{source} is never {outcome}");
    }

    fn reads(&self, source: &str, outcome: &str) -> u64 {
        self.metric(&format!("key_source_reads_total{{outcome=\"{outcome}\",source=\"{source}\"}}"))
    }

    fn metric(&self, name: &str) -> u64 {
        let text = String::from_utf8(self.metrics.render()).unwrap();
        let value = text.lines().find_map(|line| line.strip_prefix("sigward_")?.strip_prefix(name));
        value.map_or(0, |value| value.trim().parse().unwrap())
    }
}

fn alice() -> Principal {
    Principal { arn: ARN.into(), user_id: "AIDA1".into(), account: "123456789012".into() }
}

fn created(access_key_id: &str) -> Event {
    let credential = Credential {
        access_key_id: AccessKeyId::parse(access_key_id).unwrap(),
        secret: SecretAccessKey::new("by event"),
        principal: alice(),
        issued_at: UnixMillis(1_000),
        status: KeyStatus::Active,
        not_after: None,
        declared: false,
        session: None,
    };
    let data = EventData::AccessKeyCreated(credential);
    Event { source: "/test".into(), id: access_key_id.into(), time: UnixMillis(1_000), data }
}

#[tokio::test]
async fn keys_come_and_go_with_their_source_and_a_source_with_its_configuration() {
    let bench = Bench::new();
    bench.put("one", &["AKIA1", "AKIA2"]);
    bench.declare(&["one"]).await;
    bench.until_keys(&[("AKIA1", "one"), ("AKIA2", "one")]).await;
    assert_eq!(bench.metric("key_source_keys{source=\"one\"}"), 2);
    bench.put("one", &["AKIA2"]);
    bench.until_keys(&[("AKIA2", "one")]).await;
    bench.declare(&[]).await;
    assert_eq!(bench.keys().await, []);
    assert!(!String::from_utf8(bench.metrics.render()).unwrap().contains("source=\"one\""));
}

#[tokio::test]
async fn a_source_that_is_lost_or_wrong_changes_nothing_and_readiness_does_not_go_back() {
    let bench = Bench::new();
    bench.declare(&["one"]).await;
    bench.until_counted("one", "unreachable").await;
    assert_eq!(bench.sources.ready(), Err(NotRead("one".into())));
    bench.put("one", &["AKIA1"]);
    bench.until_counted("one", "unchanged").await;
    assert_eq!(bench.sources.ready(), Ok(()));
    bench.put_text("one", "{");
    bench.until_counted("one", "refused").await;
    fs::remove_dir_all(bench.root.path().join("one")).unwrap();
    bench.until_counted("one", "unreachable").await;
    bench.until_keys(&[("AKIA1", "one")]).await;
    assert_eq!(bench.sources.ready(), Ok(()));
    bench.put("one", &[]);
    bench.until_keys(&[]).await;
}

#[tokio::test]
async fn an_id_belongs_to_the_log_then_to_the_configuration_then_to_the_first_source() {
    let bench = Bench::new();
    bench.put("one", &["AKIA1", "AKIALOG"]);
    bench.put("two", &["AKIA1", "AKIA2"]);
    bench.store.append(vec![created("AKIALOG")]).await.unwrap();
    bench.declare(&["two"]).await;
    bench.until_keys(&[("AKIA1", "two"), ("AKIA2", "two"), ("AKIALOG", "/test")]).await;
    bench.declare(&["one", "two"]).await;
    bench.until_keys(&[("AKIA1", "one"), ("AKIA2", "two"), ("AKIALOG", "/test")]).await;
    bench.until_counted("one", "unchanged").await;
    for name in ["one", "two"] {
        assert_eq!(bench.metric(&format!("key_source_conflicts{{source=\"{name}\"}}")), 1);
    }
    let key = DeclaredAccessKey {
        access_key_id: AccessKeyId::parse("AKIA1").unwrap(),
        secret: SecretAccessKey::new("of the configuration"),
        principal: alice(),
        status: KeyStatus::Active,
    };
    let sources = [bench.source("one"), bench.source("two")];
    bench.sources.declare(&[key], &sources).await.unwrap();
    bench.until_keys(&[("AKIA1", Event::CONFIG_SOURCE), ("AKIA2", "two"), ("AKIALOG", "/test")]).await;
    let found = bench.store.load("AKIA1").await.unwrap().unwrap();
    assert_eq!(found.credential().secret.expose_secret(), b"of the configuration");
    bench.sources.declare(&[], &sources).await.unwrap();
    bench.until_keys(&[("AKIA1", "one"), ("AKIA2", "two"), ("AKIALOG", "/test")]).await;
    let gone = EventData::AccessKeyDeleted { access_key_id: AccessKeyId::parse("AKIALOG").unwrap() };
    let gone = Event { source: "/test".into(), id: "gone".into(), time: UnixMillis(1_000), data: gone };
    bench.store.append(vec![gone]).await.unwrap();
    bench.until_keys(&[("AKIA1", "one"), ("AKIA2", "two"), ("AKIALOG", "one")]).await;
}

#[tokio::test]
async fn no_event_from_elsewhere_changes_a_key_of_a_source() {
    let bench = Bench::new();
    bench.put("one", &["AKIA1"]);
    bench.declare(&["one"]).await;
    bench.until_keys(&[("AKIA1", "one")]).await;
    let refused = bench.store.append(vec![created("AKIA1")]).await.unwrap_err();
    assert!(refused.to_string().contains("one of its key sources declares this key"), "{refused}");
}

const ENDING: &str = r#"{"access_keys":[
    {"access_key_id":"AKIA1","secret_access_key":"s","arn":"ARN"},
    {"access_key_id":"AKIA2","secret_access_key":"s","arn":"ARN","expires_at":"1970-01-01T00:00:02Z"}]}"#;

#[tokio::test]
async fn a_key_ends_in_its_time_whether_its_source_is_there_or_not() {
    let bench = Bench::new();
    bench.put_text("one", &ENDING.replace("ARN", ARN));
    bench.declare(&["one"]).await;
    bench.until_keys(&[("AKIA1", "one"), ("AKIA2", "one")]).await;
    fs::remove_dir_all(bench.root.path().join("one")).unwrap();
    bench.until_counted("one", "unreachable").await;
    let record = bench.store.load("AKIA2").await.unwrap().unwrap();
    let dormant = |now| record.credential().dormant(UnixMillis(now));
    assert!(!dormant(1_999) && dormant(2_000), "on the millisecond, whenever the source is looked at");
    bench.clock.set(UnixMillis(2_000));
    bench.until_keys(&[("AKIA1", "one")]).await;
}

#[tokio::test]
async fn a_key_that_has_ended_is_no_earlier_declaration_to_who_checks_either() {
    let bench = Bench::new();
    bench.put_text("one", &ENDING.replace("ARN", ARN));
    bench.put("two", &["AKIA2"]);
    let (sources, keyring) = ([bench.source("one"), bench.source("two")], Keyring::ephemeral().unwrap());
    let checked = async |now| check_directories(&[], &sources, &keyring, UnixMillis(now)).await;
    let told = "AKIA2 is declared by the key source one already".to_owned();
    assert_eq!(checked(1_999).await, [(1, told)]);
    assert_eq!(checked(2_000).await, []);
}

#[tokio::test]
async fn what_a_source_said_outlives_the_process_and_ends_in_its_time() {
    let bench = Bench::new();
    bench.put_text("one", &ENDING.replace("ARN", ARN));
    bench.declare(&["one"]).await;
    bench.until_keys(&[("AKIA1", "one"), ("AKIA2", "one")]).await;
    bench.sources.end().await;
    fs::remove_dir_all(bench.root.path().join("one")).unwrap();
    let metrics = Metrics::new();
    let identities = Identities::none(bench.clock.clone(), &metrics);
    let (store, clock) = (bench.store.clone(), bench.clock.clone());
    let parts = KeySourcesParts { store, identities, keyring: Keyring::ephemeral().unwrap(), clock };
    let again = KeySources::new(parts, &metrics);
    again.declare(&[], &[bench.source("one")]).await.unwrap();
    assert_eq!(bench.keys().await.len(), 2, "what is known of a source that is not read yet stays");
    bench.clock.set(UnixMillis(2_000));
    bench.until_keys(&[("AKIA1", "one")]).await;
    assert!(again.ready().is_err());
}
