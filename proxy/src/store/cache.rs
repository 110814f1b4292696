//! The cache in front of the view, and the floors that keep it honest.
//!
//! A load that began before a change may put the old record into the cache after the change has invalidated it. So
//! invalidation only frees memory; what decides is the floor of the key, the revision of its last change: a
//! record read at an earlier one does not count as cached. Floors live in a fixed table indexed by hash; two
//! keys that share a slot cost each other a reload, never a wrong answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use moka::Expiry;
use moka::policy::EvictionPolicy;

use super::record::{Record, hash};
use crate::clock::Clock;
use crate::iam::AccessKeyId;

const FLOORS: usize = 4096;

/// How long an expired session stays cached, so that it is refused as expired without a read.
const EXPIRED_FOR: Duration = Duration::from_secs(60);

/// Over how long the reclaim of sessions that expire together is spread.
const SPREAD_SECONDS: u64 = 300;

/// Long-term keys do not expire; this is only when an unused one is reclaimed at the latest.
const LONG_TERM_FOR: Duration = Duration::from_secs(24 * 3600);

pub(super) struct Cache {
    records: moka::sync::Cache<AccessKeyId, Arc<Record>>,
    floors: Box<[AtomicU64]>,
}

impl Cache {
    pub(super) fn new(bytes: u64, clock: Clock) -> Self {
        let records = moka::sync::Cache::builder()
            .max_capacity(bytes)
            .weigher(|_, record: &Arc<Record>| record.weight())
            // The default policy may refuse to keep a key that was just issued.
            .eviction_policy(EvictionPolicy::lru())
            .expire_after(Reclaim { clock })
            .build();
        Self { records, floors: (0..FLOORS).map(|_| AtomicU64::new(0)).collect() }
    }

    /// The record, if it is cached and nothing happened to its key since it was read.
    pub(super) fn get(&self, access_key_id: &str) -> Option<Arc<Record>> {
        self.records.get(access_key_id).filter(|record| self.is_current(record))
    }

    /// The cached record, or what `load` returns. Concurrent callers share one load; absence and errors are not
    /// kept. Blocks while another thread loads the same key.
    pub(super) fn get_or_load<E: Send + Sync + 'static>(
        &self,
        access_key_id: &AccessKeyId,
        load: impl Fn() -> Result<Arc<Record>, E>,
    ) -> Result<Arc<Record>, Arc<E>> {
        loop {
            let record = self.records.try_get_with_by_ref(access_key_id, &load)?;
            if self.is_current(&record) {
                return Ok(record);
            }
            self.records.invalidate(access_key_id);
        }
    }

    /// Keeps a record that no load found.
    pub(super) fn put(&self, record: &Arc<Record>) {
        self.records.insert(record.credential().access_key_id.clone(), Arc::clone(record));
    }

    /// From now on no record of the key that was read before `revision` counts as cached.
    pub(super) fn expel(&self, access_key_id: &AccessKeyId, revision: u64) {
        self.floor(hash(access_key_id.as_str())).fetch_max(revision, Ordering::AcqRel);
        self.records.invalidate(access_key_id);
    }

    /// From now on no record that was read before `revision` counts as cached.
    pub(super) fn expel_all(&self, revision: u64) {
        for floor in &self.floors {
            floor.fetch_max(revision, Ordering::AcqRel);
        }
        self.records.invalidate_all();
    }

    /// Does the cache's housekeeping. Called from a thread of its own, so that no request has to.
    pub(super) fn maintain(&self) {
        self.records.run_pending_tasks();
    }

    /// Records in the cache, as of the last [`maintain`](Self::maintain).
    pub(super) fn len(&self) -> u64 {
        self.records.entry_count()
    }

    fn is_current(&self, record: &Record) -> bool {
        record.revision() >= self.floor(record.hash()).load(Ordering::Acquire)
    }

    fn floor(&self, hash: u64) -> &AtomicU64 {
        let slot = usize::try_from(hash % FLOORS as u64).unwrap_or_default();
        &self.floors[slot]
    }
}

/// When memory is reclaimed. Whether a session is expired is decided by the wall clock at every use, not here.
struct Reclaim {
    clock: Clock,
}

impl Reclaim {
    fn after(&self, record: &Record) -> Duration {
        let Some(session) = &record.credential().session else { return LONG_TERM_FOR };
        let remaining = u64::try_from(session.expires_at.0 - self.clock.now().0).unwrap_or(0);
        Duration::from_millis(remaining) + EXPIRED_FOR + Duration::from_secs(record.hash() % SPREAD_SECONDS)
    }
}

/// Always `Some`: an entry whose expiry is taken away again costs the cache more than one that has a late one.
impl Expiry<AccessKeyId, Arc<Record>> for Reclaim {
    fn expire_after_create(&self, _: &AccessKeyId, record: &Arc<Record>, _: Instant) -> Option<Duration> {
        Some(self.after(record))
    }

    fn expire_after_update(
        &self,
        _: &AccessKeyId,
        record: &Arc<Record>,
        _: Instant,
        _: Option<Duration>,
    ) -> Option<Duration> {
        Some(self.after(record))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::UnixMillis;
    use crate::store::fixtures::long_term;

    fn cache() -> Cache {
        Cache::new(1 << 20, Clock::manual(UnixMillis(0)))
    }

    fn id() -> AccessKeyId {
        AccessKeyId::parse("AKIA1").unwrap()
    }

    #[test]
    fn a_record_loaded_before_a_change_and_inserted_after_it_is_not_served() {
        let cache = cache();
        let stale = Record::read_at(long_term("AKIA1"), 6);
        cache.expel(&id(), 7);
        cache.records.insert(id(), Arc::clone(&stale));
        assert!(cache.get("AKIA1").is_none());
        let fresh = Record::read_at(long_term("AKIA1"), 7);
        let loaded = cache.get_or_load::<()>(&id(), || Ok(Arc::clone(&fresh))).unwrap();
        assert!(Arc::ptr_eq(&loaded, &fresh));
        assert!(cache.get("AKIA1").is_some_and(|record| Arc::ptr_eq(&record, &fresh)));
    }

    #[test]
    fn absence_and_errors_are_not_kept() {
        let cache = cache();
        assert_eq!(*cache.get_or_load(&id(), || Err("absent")).unwrap_err(), "absent");
        let fresh = Record::read_at(long_term("AKIA1"), 1);
        assert!(cache.get_or_load::<&str>(&id(), || Ok(Arc::clone(&fresh))).is_ok());
    }

    #[test]
    fn the_cache_stays_within_its_bytes() {
        let cache = cache();
        for n in 0..2_000 {
            let record = Record::read_at(long_term(&format!("AKIA{n}")), 1);
            cache.records.insert(record.credential().access_key_id.clone(), record);
        }
        cache.maintain();
        assert!(cache.records.weighted_size() <= 1 << 20);
        assert!(cache.len() > 100);
        assert!(cache.get("AKIA1999").is_some(), "the newest stays, the least recently used goes");
    }
}
