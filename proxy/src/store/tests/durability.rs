//! What survives: restarts, crashes, key rotation, unreadable rows, a disk that fails.

use std::fs;
use std::io;

use redb::StorageBackend;
use redb::backends::FileBackend;

use super::*;

#[tokio::test]
async fn everything_acknowledged_is_there_after_a_restart() {
    let mut bench = Bench::new();
    bench.put(created(long_term("AKIAPARENT"))).await.unwrap();
    bench.put(issued(session("ASIA1", 1_000))).await.unwrap();
    bench.put(revoked(RevocationScope::AccessKey(id("ASIA1")), 1_001)).await.unwrap();
    bench.reopen().await;
    assert_eq!(bench.store.position(), 3);
    assert!(bench.find("AKIAPARENT").await.is_some());
    let record = bench.find("ASIA1").await.unwrap();
    assert_eq!(bench.store.revoked(record.credential()), Some(RevokedBy::AccessKey));
    assert_eq!(bench.put(issued(session("ASIA2", 1_000))).await.unwrap().seq, 4);
}

#[tokio::test]
async fn the_file_is_the_owners_alone_and_shows_no_secret() {
    use std::os::unix::fs::PermissionsExt;
    let bench = Bench::new();
    bench.put(issued(session("ASIACANARY", 1_000))).await.unwrap();
    bench.store.close().await;
    let bytes = fs::read(&bench.options.path).unwrap();
    let contains = |text: &str| bytes.windows(text.len()).any(|window| window == text.as_bytes());
    assert!(contains("ASIACANARY"));
    assert!(!contains("secret of"));
    assert_eq!(fs::metadata(&bench.options.path).unwrap().permissions().mode() & 0o777, 0o600);
}

/// Key files in the order given; each file is created when it is first named.
fn keyring(dir: &std::path::Path, names: &[&str]) -> Keyring {
    let files: Vec<_> = names.iter().map(|name| dir.join(name)).collect();
    for file in files.iter().filter(|file| !file.exists()) {
        Keyring::create(file).unwrap();
    }
    Keyring::load(&files).unwrap()
}

#[tokio::test]
async fn after_a_rotation_long_term_keys_need_the_new_key_only_and_sessions_the_old_one_until_they_expire() {
    let dir = tempfile::tempdir().unwrap();
    let mut bench = Bench::new();
    bench.keyring = keyring(dir.path(), &["old"]);
    bench.reopen().await;
    bench.put(created(long_term("AKIAPARENT"))).await.unwrap();
    bench.put(issued(session("ASIA1", 1_000))).await.unwrap();

    bench.keyring = keyring(dir.path(), &["new", "old"]);
    bench.reopen().await;
    assert!(bench.find("AKIAPARENT").await.is_some() && bench.find("ASIA1").await.is_some());
    bench.put(issued(session("ASIA2", 1_000))).await.unwrap();
    bench.store.close().await;

    let old = keyring(dir.path(), &["old"]);
    bench.keyring = keyring(dir.path(), &["new"]);
    match bench.open().err() {
        Some(StoreError::MissingSealingKey { key_id, files }) => {
            assert_eq!((key_id.as_str(), files), (old.active(), vec![dir.path().join("new")]));
        }
        other => panic!("{other:?}"),
    }
    bench.clock.set(UnixMillis(1_000 + HOUR));
    bench.store = bench.open().unwrap();
    assert!(bench.find("AKIAPARENT").await.is_some());
    assert!(bench.store.events(0, 10).await.unwrap().iter().any(|(seq, _)| *seq == 1), "its event as well");
    bench.clock.set(UnixMillis(1_000 + 2 * HOUR));
    assert_eq!(
        bench.store.compact().await.unwrap().sessions,
        2,
        "what cannot be unsealed is dropped in time"
    );
}

#[tokio::test]
async fn a_store_whose_long_term_keys_cannot_be_unsealed_does_not_open() {
    let mut bench = Bench::new();
    bench.put(created(long_term("AKIA1"))).await.unwrap();
    bench.store.close().await;
    bench.keyring = Keyring::ephemeral().unwrap();
    assert!(matches!(bench.open().err(), Some(StoreError::MissingSealingKey { .. })));
}

#[tokio::test]
async fn an_unreadable_row_costs_its_own_credential_and_no_other() {
    let mut bench = Bench::new();
    for access_key_id in ["ASIA1", "ASIA2", "ASIA3", "ASIA4"] {
        bench.put(issued(session(access_key_id, 1_000))).await.unwrap();
    }
    bench
        .edit(|tables| {
            let row = |tables: &tables::Tables<'_>, seq: u64| {
                redb::ReadableTable::get(&tables.events, seq).unwrap().unwrap().value().to_vec()
            };
            let mut newer = row(tables, 1);
            newer[0] = 3;
            tables.events.insert(1, newer.as_slice()).unwrap();
            let anothers = row(tables, 4);
            tables.events.insert(2, anothers.as_slice()).unwrap();
            tables.events.insert(3, b"".as_slice()).unwrap();
        })
        .await;
    bench.store = bench.open().unwrap();
    for access_key_id in ["ASIA1", "ASIA2", "ASIA3"] {
        let error = bench.store.load(access_key_id).await.unwrap_err();
        assert!(matches!(error, StoreError::Unreadable { .. }), "{error}");
    }
    assert_eq!(bench.store.state().metrics.quarantined.get(), 3);
    assert!(bench.find("ASIA4").await.is_some());
    assert_eq!(bench.store.sessions(SessionFilter::default(), 9, None).await.unwrap().len(), 1);
    let error =
        bench.put(event("again", crate::events::EventData::CredentialIssued(session("ASIA1", 1_000)))).await;
    assert!(matches!(error, Err(StoreError::Unreadable { .. })), "not overwritten either");
    bench.clock.set(UnixMillis(1_000 + 2 * HOUR));
    assert_eq!(bench.store.compact().await.unwrap().sessions, 4);
}

#[tokio::test]
async fn a_file_of_the_first_layout_becomes_one_of_this_and_loses_nothing() {
    let mut bench = Bench::new();
    let sessions = [session("ASIA1", 1_000), role_session("ASIA2", 2_000)];
    for given in &sessions {
        bench.put(issued(given.clone())).await.unwrap();
    }
    bench.put(created(long_term("AKIAPARENT"))).await.unwrap();
    let same = issued(sessions[0].clone());
    bench.store.close().await;
    migrate::make_first(&database::open(&bench.options).unwrap(), &sessions, &bench.keyring);
    bench.store = bench.open().unwrap();
    for given in &sessions {
        let found = bench.find(given.access_key_id.as_str()).await.unwrap();
        assert_eq!(found.credential().session, given.session);
    }
    assert!(bench.put(same).await.unwrap().duplicate, "events are known as before");
    bench.reopen().await;
    bench.clock.set(UnixMillis(2_000 + 2 * HOUR));
    assert_eq!(bench.store.compact().await.unwrap().sessions, 2);
}

#[tokio::test]
async fn a_store_of_a_newer_program_is_refused() {
    let bench = Bench::new();
    bench.edit(|tables| drop(tables.meta.insert(tables::META_SCHEMA, 4).unwrap())).await;
    assert!(matches!(bench.open().err(), Some(StoreError::Schema { found: 4, known: 3 })));
    let bench = Bench::new();
    bench.edit(|tables| drop(tables.revocations.insert("planet:earth", 7).unwrap())).await;
    let error = bench.open().err().unwrap();
    assert!(
        error.to_string().contains("planet:earth"),
        "a revocation is enforced or the store stays shut: {error}"
    );
}

#[tokio::test]
async fn a_closed_store_serves_what_is_cached_and_says_that_it_is_closed() {
    let bench = Bench::new();
    bench.put(issued(session("ASIA1", 1_000))).await.unwrap();
    bench.find("ASIA1").await.unwrap();
    bench.store.close().await;
    bench.store.close().await;
    assert!(bench.store.cached("ASIA1").is_some());
    assert!(matches!(bench.store.load("ASIA2").await, Err(StoreError::Closed)));
    assert!(matches!(bench.put(issued(session("ASIA2", 1_000))).await, Err(StoreError::Closed)));
}

#[tokio::test]
async fn a_thousand_concurrent_appends_all_get_through() {
    let mut bench = Bench::new();
    let appends: Vec<_> = (0..1_000)
        .map(|n| {
            let store = bench.store.clone();
            tokio::spawn(async move {
                let event = issued(session(&format!("ASIA{n}"), 1_000));
                let receipts = store.append(vec![event]).await.unwrap();
                // Visible as soon as it is acknowledged.
                assert!(store.position() >= receipts[0].seq);
                assert!(store.load(&format!("ASIA{n}")).await.unwrap().is_some());
                receipts[0].seq
            })
        })
        .collect();
    let mut places = Vec::new();
    for append in appends {
        places.push(append.await.unwrap());
    }
    places.sort_unstable();
    assert_eq!(places, (1..=1_000).collect::<Vec<_>>());
    bench.reopen().await;
    assert_eq!(bench.store.position(), 1_000);
}

#[tokio::test]
async fn what_waits_is_written_in_one_transaction() {
    let bench = Bench::new();
    let busy = bench.store.state().db.write().unwrap();
    let receipts: Vec<_> = (0..1_000)
        .map(|n| {
            let (reply, receipts) = oneshot::channel();
            let events = vec![issued(session(&format!("ASIA{n}"), 1_000))];
            bench
                .store
                .0
                .commands
                .try_send(Command::Append(Append { events, unlogged: false, reply }))
                .ok()
                .unwrap();
            receipts
        })
        .collect();
    drop(busy);
    for (receipts, seq) in receipts.into_iter().zip(1..) {
        assert_eq!(receipts.await.unwrap().unwrap(), [Receipt { seq, duplicate: false }]);
    }
    let transactions = bench.store.state().metrics.append_seconds.get_sample_count();
    assert!(transactions <= 2, "what came first, and all the rest: {transactions}");
}

/// A disk on which things go wrong.
#[derive(Debug)]
struct Disk {
    file: FileBackend,
    fault: Arc<Mutex<Fault>>,
}

#[derive(Clone, Copy, Debug)]
enum Fault {
    None,
    /// There is no room for more: only the first page can be overwritten.
    Full,
    /// The program beneath fails.
    Defect,
    /// After so many more operations nothing reaches the file, as if the process had been killed then.
    Killed {
        after: u32,
    },
}

impl Disk {
    fn check(&self, end: u64) -> io::Result<()> {
        let mut fault = self.fault.lock().unwrap();
        match &mut *fault {
            Fault::None => Ok(()),
            Fault::Full if end <= 4096 => Ok(()),
            Fault::Full => Err(io::ErrorKind::StorageFull.into()),
            Fault::Defect => {
                drop(fault);
                panic!("a defect of the disk's program");
            }
            Fault::Killed { after: 0 } => Err(io::ErrorKind::Other.into()),
            Fault::Killed { after } => {
                *after -= 1;
                Ok(())
            }
        }
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.file.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.check(len).and_then(|()| self.file.set_len(len))
    }

    fn sync_data(&self) -> io::Result<()> {
        self.check(0).and_then(|()| self.file.sync_data())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.check(offset + data.len() as u64).and_then(|()| self.file.write(offset, data))
    }

    fn close(&self) -> io::Result<()> {
        self.file.close()
    }
}

impl Bench {
    /// Opens the store again, on a disk whose faults the test controls.
    async fn reopen_on_disk(&mut self) -> Arc<Mutex<Fault>> {
        self.store.close().await;
        let fault = Arc::new(Mutex::new(Fault::None));
        let (path, disk) = (self.options.path.clone(), Arc::clone(&fault));
        let open = move || {
            let file = fs::OpenOptions::new().read(true).write(true).open(&path).unwrap();
            let disk = Disk { file: FileBackend::new(file).unwrap(), fault: Arc::clone(&disk) };
            // A cache of nothing: every read goes to the disk.
            let db = redb::Builder::new().set_cache_size(0).create_with_backend(disk);
            db.map_err(|e| StoreError::Open { path: path.clone(), source: Arc::new(e.into()) })
        };
        let parts = (self.clock.clone(), &Metrics::new());
        self.store = Store::start(Box::new(open), &self.options, self.keyring.clone(), parts).unwrap();
        fault
    }
}

#[tokio::test]
async fn when_the_disk_is_full_appends_fail_and_look_ups_go_on() {
    let mut bench = Bench::new();
    let fault = bench.reopen_on_disk().await;
    for access_key_id in ["ASIA1", "ASIA2"] {
        bench.put(issued(session(access_key_id, 1_000))).await.unwrap();
    }
    bench.put(revoked(RevocationScope::AccessKey(id("ASIA2")), 1_001)).await.unwrap();
    bench.find("ASIA1").await.unwrap();

    *fault.lock().unwrap() = Fault::Full;
    assert!(bench.store.writable());
    let error = bench.put(issued(session("ASIA3", 1_000))).await.unwrap_err();
    assert!(matches!(error, StoreError::Failed(_)), "{error}");
    assert!(!bench.store.writable());
    for access_key_id in ["ASIA1", "ASIA2"] {
        assert!(bench.find(access_key_id).await.is_some(), "{access_key_id} is read from the disk");
    }
    assert_eq!(bench.store.revoked(&session("ASIA2", 1_000)), Some(RevokedBy::AccessKey));
    assert!(bench.find("ASIA3").await.is_none(), "what was not acknowledged is not served");

    *fault.lock().unwrap() = Fault::None;
    let error = bench.put(issued(session("ASIA4", 1_000))).await.unwrap_err();
    assert!(matches!(error, StoreError::Failed(_)), "not taken up again before a restart: {error}");
    bench.reopen().await;
    bench.put(issued(session("ASIA3", 1_000))).await.unwrap();
    for access_key_id in ["ASIA1", "ASIA2", "ASIA3"] {
        assert!(bench.find(access_key_id).await.is_some());
    }
}

#[tokio::test]
async fn when_a_write_ends_in_a_panic_appends_fail_and_look_ups_go_on() {
    let mut bench = Bench::new();
    let fault = bench.reopen_on_disk().await;
    bench.put(issued(session("ASIA1", 1_000))).await.unwrap();
    bench.put(revoked(RevocationScope::AccessKey(id("ASIA1")), 1_001)).await.unwrap();
    bench.find("ASIA1").await.unwrap();

    *fault.lock().unwrap() = Fault::Defect;
    bench.put(issued(session("ASIA2", 1_000))).await.unwrap_err();
    *fault.lock().unwrap() = Fault::None;
    let error = bench.put(issued(session("ASIA3", 1_000))).await.unwrap_err();
    assert!(matches!(error, StoreError::Failed(_)), "not taken up again before a restart: {error}");
    assert!(!bench.store.writable());
    assert!(bench.find("ASIA1").await.is_some());
    assert_eq!(bench.store.revoked(&session("ASIA1", 1_000)), Some(RevokedBy::AccessKey));
    bench.reopen().await;
    bench.put(issued(session("ASIA3", 1_000))).await.unwrap();
    assert!(bench.find("ASIA1").await.is_some() && bench.find("ASIA3").await.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn records_are_read_while_others_are_written() {
    let bench = Bench::new();
    let over = Arc::new(std::sync::atomic::AtomicBool::new(false));
    bench.put(issued(session("ASIAREAD", 1_000))).await.unwrap();
    let readers: Vec<_> = (0..2)
        .map(|_| {
            let (store, over) = (bench.store.clone(), Arc::clone(&over));
            std::thread::spawn(move || {
                while !over.load(Ordering::Relaxed) {
                    // Past the cache, as often as it can be done.
                    store
                        .state()
                        .with_db(|db| view::credential(db, &store.0.keyring, &id("ASIAREAD")))
                        .unwrap();
                }
            })
        })
        .collect();
    for number in 0..300 {
        bench.put(issued(session(&format!("ASIA{number}"), 1_000))).await.unwrap();
    }
    over.store(true, Ordering::Relaxed);
    for reader in readers {
        reader.join().unwrap();
    }
    assert!(bench.store.writable());
}

#[tokio::test]
async fn a_kill_at_any_moment_loses_nothing_acknowledged_and_leaves_nothing_half_done() {
    let mut moments = std::collections::BTreeSet::new();
    for after in (0..200).step_by(5) {
        let mut bench = Bench::new();
        bench.put(created(long_term("AKIAPARENT"))).await.unwrap();
        let fault = bench.reopen_on_disk().await;
        *fault.lock().unwrap() = Fault::Killed { after };
        let mut acknowledged = 0;
        for n in 0..4 {
            let credential = session(&format!("ASIA{n}"), 1_000);
            let scope = RevocationScope::AccessKey(credential.access_key_id.clone());
            let both = bench.store.append(vec![issued(credential), revoked(scope, 1_001)]).await;
            match both {
                Ok(_) => acknowledged += 1,
                Err(_) => break,
            }
        }
        bench.reopen().await;
        moments.insert(acknowledged);
        assert!(bench.find("AKIAPARENT").await.is_some());
        for n in 0..4 {
            let found = bench.find(&format!("ASIA{n}")).await;
            assert!(n >= acknowledged || found.is_some(), "killed after {after}: ASIA{n} is lost");
            let revoked = bench.store.revoked(&session(&format!("ASIA{n}"), 1_000));
            assert_eq!(found.is_some(), revoked.is_some(), "killed after {after}: ASIA{n} is half done");
        }
        assert_eq!(bench.store.position() % 2, 1);
    }
    assert_eq!(
        moments.into_iter().collect::<Vec<_>>(),
        [0, 1, 2, 3, 4],
        "kills fell before, between and after them"
    );
}
