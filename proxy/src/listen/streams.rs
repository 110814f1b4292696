//! What the requests of one HTTP/2 connection are up to.
//!
//! Over HTTP/1.1 a client that does not read stops its connection, and that is noticed below. Over HTTP/2 it can stop
//! one answer by not opening that stream's window, while the connection lives on; it can keep a connection without
//! ever asking; and it can ask and take back, again and again (CVE-2023-44487). So requests are watched here.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http_body::{Body, Frame, SizeHint};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep};

/// So many requests may be taken back, whatever else happens; beyond that as many as are answered. A client that
/// gives up downloads is well below that.
const RESETS: u64 = 200;

/// Why a connection has to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// Nothing has been asked for a while.
    Idle,
    /// An answer has been waiting for its reader for too long.
    Stalled,
    /// Too many requests were taken back.
    Resets,
}

/// The requests of a connection; clones share it.
#[derive(Clone, Debug)]
pub(super) struct Streams(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    start: Instant,
    open: AtomicUsize,
    /// Milliseconds from `start` to the end of the last request.
    last_end: AtomicU64,
    answered: AtomicU64,
    reset: AtomicU64,
    too_many: Notify,
    /// Of each answer under way: milliseconds from `start` since it waits for its reader, 0 while it does not.
    waiting: Mutex<Vec<Weak<AtomicU64>>>,
}

/// A request; counted as taken back if it is dropped before its answer is complete.
#[derive(Debug)]
pub(super) struct Stream {
    shared: Arc<Shared>,
    complete: AtomicBool,
}

impl Streams {
    pub(super) fn new() -> Self {
        Self(Arc::new(Shared {
            start: Instant::now(),
            open: 0.into(),
            last_end: 0.into(),
            answered: 0.into(),
            reset: 0.into(),
            too_many: Notify::new(),
            waiting: Mutex::default(),
        }))
    }

    pub(super) fn begin(&self) -> Stream {
        self.0.open.fetch_add(1, Ordering::Relaxed);
        Stream { shared: Arc::clone(&self.0), complete: false.into() }
    }

    /// Completes when the connection has to end.
    pub(super) async fn over(&self, idle: Duration, stall: Duration) -> End {
        let glance = (idle.min(stall) / 4).clamp(Duration::from_millis(10), Duration::from_secs(5));
        loop {
            tokio::select! {
                () = self.0.too_many.notified() => return End::Resets,
                () = sleep(glance) => {}
            }
            let now = self.0.now();
            let last_end = self.0.last_end.load(Ordering::Relaxed);
            if self.0.open.load(Ordering::Relaxed) == 0 && now.saturating_sub(last_end) >= millis(idle) {
                return End::Idle;
            }
            if self.0.longest_wait(now) >= millis(stall) {
                return End::Stalled;
            }
        }
    }
}

impl Shared {
    /// Never 0: that is what nobody waits since.
    fn now(&self) -> u64 {
        millis(self.start.elapsed()).max(1)
    }

    fn longest_wait(&self, now: u64) -> u64 {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let mut longest = 0;
        waiting.retain(|answer| {
            let Some(since) = answer.upgrade() else { return false };
            let since = since.load(Ordering::Relaxed);
            longest = longest.max(if since == 0 { 0 } else { now.saturating_sub(since) });
            true
        });
        longest
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

impl Stream {
    /// The answer of this request.
    pub(super) fn answer<B>(self, body: B) -> Watched<B> {
        // hyper asks for the first piece when there is room for it: until then the reader is waited for.
        let since = Arc::new(AtomicU64::new(self.shared.now()));
        let mut waiting = self.shared.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.push(Arc::downgrade(&since));
        drop(waiting);
        Watched { body, since, stream: self }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        let shared = &self.shared;
        shared.last_end.store(shared.now(), Ordering::Relaxed);
        shared.open.fetch_sub(1, Ordering::Relaxed);
        if *self.complete.get_mut() {
            shared.answered.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let reset = shared.reset.fetch_add(1, Ordering::Relaxed) + 1;
        if reset > RESETS + shared.answered.load(Ordering::Relaxed) {
            shared.too_many.notify_one();
        }
    }
}

/// The body of an answer that is watched.
pub(super) struct Watched<B> {
    body: B,
    since: Arc<AtomicU64>,
    stream: Stream,
}

impl<B: Body + Unpin> Body for Watched<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        self.since.store(0, Ordering::Relaxed);
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        match &frame {
            Some(Ok(_)) if !self.body.is_end_stream() => {
                self.since.store(self.stream.shared.now(), Ordering::Relaxed);
            }
            // One that fails here is not the client's doing.
            Some(_) | None => self.stream.complete.store(true, Ordering::Relaxed),
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        let ended = self.body.is_end_stream();
        if ended {
            // Nobody polls a body that has nothing to say.
            self.stream.complete.store(true, Ordering::Relaxed);
            self.since.store(0, Ordering::Relaxed);
        }
        ended
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http_body_util::{BodyExt, Empty, Full};

    use super::*;

    const IDLE: Duration = Duration::from_secs(30);
    const STALL: Duration = Duration::from_secs(60);

    #[tokio::test(start_paused = true)]
    async fn a_connection_on_which_nothing_is_asked_ends() {
        let streams = Streams::new();
        let asked = streams.begin();
        let over = tokio::time::timeout(10 * IDLE, streams.over(IDLE, STALL)).await;
        assert!(over.is_err(), "while something is asked it lives");
        drop(asked);
        let before = Instant::now();
        assert_eq!(streams.over(IDLE, STALL).await, End::Idle);
        assert!(before.elapsed() >= IDLE);
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_nobody_reads_ends_the_connection() {
        let streams = Streams::new();
        let mut answer = streams.begin().answer(Full::new(Bytes::from_static(b"answer")));
        for _ in 0..3 {
            let read = tokio::time::timeout(STALL / 2, streams.over(IDLE, STALL)).await;
            assert!(read.is_err());
            answer.since.store(streams.0.now(), Ordering::Relaxed);
        }
        assert_eq!(streams.over(IDLE, STALL).await, End::Stalled);
        answer.frame().await.unwrap().unwrap();
        let read = tokio::time::timeout(10 * STALL, streams.over(IDLE, STALL)).await;
        assert!(read.is_err(), "the last piece has gone, and the rest is not the reader's");
        drop(answer);
        assert_eq!(streams.over(IDLE, STALL).await, End::Idle);
    }

    #[tokio::test(start_paused = true)]
    async fn who_takes_requests_back_again_and_again_is_sent_away() {
        let streams = Streams::new();
        for _ in 0..RESETS {
            assert!(streams.begin().answer(Empty::<Bytes>::new()).is_end_stream());
            drop(streams.begin());
            drop(streams.begin());
        }
        let over = tokio::time::timeout(IDLE / 2, streams.over(IDLE, STALL)).await;
        assert!(over.is_err(), "one is answered for each that is taken back beyond the allowance");
        drop(streams.begin());
        assert_eq!(streams.over(IDLE, STALL).await, End::Resets);
    }
}
