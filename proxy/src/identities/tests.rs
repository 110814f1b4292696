//! A directory on disk that changes.

use std::fs;

use tempfile::TempDir;

use super::*;
use crate::events::EventData;
use crate::events::Keyring;
use crate::store::StoreOptions;

const NOW: UnixMillis = UnixMillis(1_767_323_045_000);
const ALICE: &str = "arn:aws:iam::123456789012:user/alice";

struct Disk {
    directory: TempDir,
    store: Store,
    identities: Identities,
}

fn write(root: &Path, path: &str, text: &str) {
    let path = root.join("iam/123456789012").join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

impl Disk {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        write(directory.path(), "users/alice/user.toml", "");
        let (store, identities) = Self::open(&directory);
        Self { directory, store, identities }
    }

    fn open(directory: &TempDir) -> (Store, Identities) {
        let (root, clock) = (directory.path(), Clock::manual(NOW));
        let options = StoreOptions::new(root.join("events.redb"), 1 << 20);
        let keyring = Keyring::ephemeral().unwrap();
        let store = Store::open(&options, keyring, clock.clone(), &Metrics::new()).unwrap();
        let register = root.join("register.json");
        (store, Identities::open(&root.join("iam"), &register, clock, &Metrics::new()).unwrap())
    }

    async fn reload(&self) -> Reloaded {
        self.identities.reload(&self.store).await
    }

    fn write(&self, path: &str, text: &str) {
        write(self.directory.path(), path, text);
    }

    fn remove(&self, path: &str) {
        fs::remove_dir_all(self.directory.path().join("iam/123456789012").join(path)).unwrap();
    }

    fn id(&self) -> Option<String> {
        id(&self.identities)
    }
}

fn id(identities: &Identities) -> Option<String> {
    let current = identities.current();
    current.as_ref().unwrap().user(ALICE).map(|user| user.principal.user_id.clone())
}

#[tokio::test]
async fn a_change_is_taken_over_and_no_change_is_none() {
    let disk = Disk::new();
    assert_eq!(disk.reload().await, Reloaded::Unchanged);
    disk.write("users/bob/user.toml", "");
    assert_eq!(disk.reload().await, Reloaded::Changed);
    let current = disk.identities.current();
    assert!(current.as_ref().unwrap().user("arn:aws:iam::123456789012:user/bob").is_some());
    assert_eq!(disk.reload().await, Reloaded::Unchanged);
}

#[tokio::test]
async fn a_bad_file_keeps_what_was_declared_and_is_told() {
    let disk = Disk::new();
    disk.remove("users/alice");
    disk.write("policies/p.json", "{");
    assert_eq!(disk.reload().await, Reloaded::Refused);
    assert!(disk.id().is_some());
    let report = disk.identities.report();
    assert_eq!(report.faults.len(), 1);
    assert_eq!(report.faults[0].file, "123456789012/policies/p.json");
    fs::remove_file(disk.directory.path().join("iam/123456789012/policies/p.json")).unwrap();
    assert_eq!(disk.reload().await, Reloaded::Changed);
    assert!(disk.identities.report().faults.is_empty());
    assert!(disk.id().is_none());
}

#[tokio::test]
async fn a_directory_that_vanishes_keeps_what_was_declared() {
    let disk = Disk::new();
    fs::rename(disk.directory.path().join("iam"), disk.directory.path().join("away")).unwrap();
    assert_eq!(disk.reload().await, Reloaded::Refused);
    assert!(disk.id().is_some());
    fs::rename(disk.directory.path().join("away"), disk.directory.path().join("iam")).unwrap();
    assert_eq!(disk.reload().await, Reloaded::Changed, "what is there now is in force");
    assert!(disk.identities.report().faults.is_empty());
}

#[tokio::test]
async fn a_directory_that_is_emptied_keeps_what_was_declared() {
    let disk = Disk::new();
    let first = disk.id();
    let root = disk.directory.path().join("iam");
    fs::rename(root.join("123456789012"), disk.directory.path().join("away")).unwrap();
    assert_eq!(disk.reload().await, Reloaded::Refused);
    assert_eq!(disk.id(), first);
    assert!(disk.store.events(0, 10).await.unwrap().is_empty(), "no session has ended");
    let register = disk.directory.path().join("register.json");
    let opened = Identities::open(&root, &register, Clock::manual(NOW), &Metrics::new());
    assert!(opened.err().unwrap().to_string().contains("is it mounted?"));
    fs::rename(disk.directory.path().join("away"), root.join("123456789012")).unwrap();
    assert_eq!(disk.reload().await, Reloaded::Changed);
    assert_eq!(disk.id(), first);
}

#[tokio::test]
async fn a_secret_that_settings_refer_to_is_part_of_the_directory() {
    let disk = Disk::new();
    let seed = disk.directory.path().join("seed");
    fs::write(&seed, "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ").unwrap();
    let device = format!("[[mfa_devices]]\nserial_number = \"123456789\"\nsecret_file = {seed:?}");
    disk.write("users/alice/user.toml", &device);
    assert_eq!(disk.reload().await, Reloaded::Changed);
    fs::write(&seed, "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA").unwrap();
    assert_eq!(disk.reload().await, Reloaded::Changed);
}

#[tokio::test]
async fn kubernetes_swaps_a_link_and_hides_the_rest() {
    let disk = Disk::new();
    let root = disk.directory.path().join("mounted");
    for (version, user) in [("..1", "alice"), ("..2", "bob")] {
        let user = root.join(version).join("123456789012/users").join(user);
        fs::create_dir_all(&user).unwrap();
        fs::write(user.join("user.toml"), "").unwrap();
    }
    std::os::unix::fs::symlink("..1", root.join("..data")).unwrap();
    std::os::unix::fs::symlink("..data/123456789012", root.join("123456789012")).unwrap();
    let register = disk.directory.path().join("other.json");
    let identities = Identities::open(&root, &register, Clock::manual(NOW), &Metrics::new()).unwrap();
    assert!(id(&identities).is_some());
    fs::remove_file(root.join("..data")).unwrap();
    std::os::unix::fs::symlink("..2", root.join("..data")).unwrap();
    assert_eq!(identities.reload(&disk.store).await, Reloaded::Changed);
    assert!(id(&identities).is_none());
}

#[tokio::test]
async fn an_id_outlives_a_restart_and_not_a_deletion() {
    let disk = Disk::new();
    let first = disk.id().unwrap();
    let Disk { directory, store, identities } = disk;
    store.close().await;
    drop((store, identities));
    let (store, identities) = Disk::open(&directory);
    let disk = Disk { directory, store, identities };
    assert_eq!(disk.id().unwrap(), first);
    disk.remove("users/alice");
    disk.reload().await;
    disk.write("users/alice/user.toml", "");
    disk.reload().await;
    assert_ne!(disk.id().unwrap(), first);
}

#[tokio::test]
async fn the_sessions_of_who_is_gone_or_disabled_are_revoked() {
    let disk = Disk::new();
    let first = disk.id().unwrap();
    disk.write("users/alice/user.toml", "disabled = true");
    disk.reload().await;
    let events = disk.store.events(0, 10).await.unwrap();
    let scopes: Vec<_> = events
        .into_iter()
        .map(|(_, event)| match event.data {
            EventData::SessionRevoked { scope, .. } => scope,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(scopes, [RevocationScope::Principal(first)]);
    disk.write("users/alice/user.toml", "");
    disk.reload().await;
    assert_eq!(disk.store.events(0, 10).await.unwrap().len(), 1, "enabling revokes nothing");
}
