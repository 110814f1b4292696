//! The store from inside: what the public interface shows is tested here too where the test needs a manual disk, a
//! row written by hand, or a count of loads.

mod changes;
mod durability;
mod ids;
mod listing;
mod places;
mod revocation;
mod tokens;

use std::time::Duration;

use super::apply::Batch;
use super::fixtures::*;
use super::revocations::Mark;
use super::*;
use crate::clock::UnixMillis;
use crate::events::RevocationScope;

/// A store in a directory of its own.
struct Bench {
    store: Store,
    clock: Clock,
    keyring: Keyring,
    options: StoreOptions,
    _dir: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let options = StoreOptions::new(dir.path().join("sigward.redb"), 1 << 20);
        let clock = Clock::manual(UnixMillis(1_000));
        let keyring = Keyring::ephemeral().unwrap();
        let store = Store::open(&options, keyring.clone(), clock.clone(), &Metrics::new()).unwrap();
        Self { store, clock, keyring, options, _dir: dir }
    }

    /// Appends one event.
    async fn put(&self, event: Event) -> Result<Receipt, StoreError> {
        self.store.append(vec![event]).await.map(|receipts| receipts[0])
    }

    async fn find(&self, access_key_id: &str) -> Option<Arc<Record>> {
        self.store.load(access_key_id).await.unwrap()
    }

    /// Closes the store and opens it again.
    async fn reopen(&mut self) {
        self.store.close().await;
        self.store = self.open().unwrap();
    }

    fn open(&self) -> Result<Store, StoreError> {
        Store::open(&self.options, self.keyring.clone(), self.clock.clone(), &Metrics::new())
    }

    /// Applies to the closed file what would come from a shared log.
    async fn batch(&self, work: impl FnOnce(&mut Batch<'_, '_>)) {
        self.store.close().await;
        let db = database::open(&self.options).unwrap();
        let txn = tables::begin_write(&db).unwrap();
        let mut batch = Batch::begin(&txn, &self.keyring, self.clock.now()).unwrap();
        work(&mut batch);
        batch.finish().unwrap();
        txn.commit().unwrap();
    }

    /// Changes the closed file by hand.
    async fn edit(&self, change: impl FnOnce(&mut tables::Tables<'_>)) {
        self.store.close().await;
        let db = database::open(&self.options).unwrap();
        let txn = tables::begin_write(&db).unwrap();
        let mut tables = tables::Tables::open(&txn).unwrap();
        change(&mut tables);
        drop(tables);
        txn.commit().unwrap();
    }
}

#[tokio::test]
async fn the_memory_that_pages_of_the_file_take_is_told() {
    let bench = Bench::new();
    bench.put(issued(session("ASIA1", 1_000))).await.unwrap();
    let told = async {
        while bench.store.state().metrics.page_cache.get() == 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), told).await.unwrap();
}
