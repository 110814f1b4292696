//! Idle connections of one worker. What was used last is used first, so that connections beyond what is needed grow
//! old and are closed.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use tokio::time::timeout;

use super::connect::Connection;
use super::endpoint::{Endpoint, EndpointId, Slot};
use super::metrics::Counted;
use super::request_body::RequestBody;

/// For the rest of a request whose answer is there already. A server that neither reads on nor closes is left.
const REST: Duration = Duration::from_secs(5);

/// A connection of the pool.
pub(super) type Link<B> = Connection<RequestBody<B>>;

/// Idle connections. Clones share them.
pub(super) struct Pool<B>(Arc<Shelf<B>>);

struct Shelf<B> {
    /// Oldest first. Uncontended: the lock is taken by tasks of one worker, and held for a push or a pop.
    idle: Mutex<HashMap<EndpointId, Vec<Idle<B>>>>,
    /// Most connections that are kept for an endpoint.
    most: usize,
    /// How long they are kept.
    longest: Duration,
    /// Whether a task looks after those that grow old.
    swept: AtomicBool,
}

struct Idle<B> {
    link: Link<B>,
    since: Instant,
    #[expect(dead_code, reason = "held for its Drop: until then the connection is idle")]
    counted: Counted,
}

impl<B> Clone for Pool<B> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<B: Send + 'static> Pool<B> {
    /// Keeps at most `most` connections for each endpoint, and each for at most `longest`.
    pub(super) fn new(most: usize, longest: Duration) -> Self {
        Self(Arc::new(Shelf { idle: Mutex::default(), most, longest, swept: false.into() }))
    }

    /// The youngest connection to `endpoint` that is not known to be dead.
    pub(super) fn take(&self, endpoint: EndpointId) -> Option<Link<B>> {
        let mut idle = self.0.idle();
        let connections = idle.get_mut(&endpoint)?;
        while let Some(Idle { link, since, .. }) = connections.pop() {
            // The server may close it at any moment, and sooner or later does: the old ones are not even tried.
            if since.elapsed() > self.0.longest {
                connections.clear();
                return None;
            }
            if link.is_ready() {
                return Some(link);
            }
        }
        None
    }

    fn put(&self, endpoint: &Endpoint, link: Link<B>) {
        let mut idle = self.0.idle();
        let connections = idle.entry(endpoint.id).or_default();
        if connections.len() >= self.0.most {
            return;
        }
        let counted = Counted::one(&endpoint.origin.metrics.idle);
        connections.push(Idle { link, since: Instant::now(), counted });
        drop(idle);
        if !self.0.swept.swap(true, Ordering::Relaxed) {
            tokio::spawn(sweep(Arc::downgrade(&self.0), self.0.longest));
        }
    }
}

impl<B> Shelf<B> {
    fn idle(&self) -> MutexGuard<'_, HashMap<EndpointId, Vec<Idle<B>>>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Closes what is too old; whether anything is left.
    fn close_old(&self) -> bool {
        let mut idle = self.idle();
        idle.retain(|_, connections| {
            connections.retain(|idle| idle.since.elapsed() < self.longest && !idle.link.is_closed());
            !connections.is_empty()
        });
        !idle.is_empty()
    }
}

/// Closes connections that grow old while nobody asks for one. Ends when there are none, or no pool.
async fn sweep<B: Send + 'static>(shelf: Weak<Shelf<B>>, longest: Duration) {
    loop {
        tokio::time::sleep(longest / 2).await;
        let Some(shelf) = shelf.upgrade() else { return };
        if !shelf.close_old() {
            shelf.swept.store(false, Ordering::Relaxed);
            // What was put in between the two lines starts the next sweep with the next connection put.
            return;
        }
    }
}

/// A connection while an exchange is under way, and its place at the endpoint.
pub(super) struct Lease<B: Send + 'static> {
    pub(super) link: Link<B>,
    pub(super) slot: Slot,
    pub(super) pool: Pool<B>,
}

impl<B: Send + 'static> Lease<B> {
    /// Ends the exchange well: the connection goes back as soon as it can be used again. Dropping the lease instead
    /// closes it.
    pub(super) fn end(self) {
        let Self { mut link, slot, pool } = self;
        if link.is_ready() {
            pool.put(slot.endpoint(), link);
        } else if !link.is_closed() {
            // The answer is there, and part of the request is still to be written; or the task that drives the
            // connection has yet to notice that it is done.
            let endpoint = Arc::clone(slot.endpoint());
            tokio::spawn(async move {
                if timeout(REST, link.ready()).await == Ok(true) {
                    pool.put(&endpoint, link);
                }
            });
        }
    }
}
