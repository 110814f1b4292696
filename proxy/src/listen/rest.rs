//! Connections of HTTP/1 between requests: how long they wait for the next one, and what they keep meanwhile.
//!
//! hyper keeps its buffers for as long as a connection lasts, two dozen kibibytes that most connections need for a
//! moment and then not for minutes. So one that has been idle for a while is taken out of hyper's hands, as the bare
//! stream that it was, and put back with the first byte of the next request.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use hyper::rt::{Sleep, Timer};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::clock::Alarm;

/// How long a connection is idle before it rests: longer than between two requests of a client that is at work.
pub(super) const CALM: Duration = Duration::from_secs(1);

/// The timer that hyper waits with for the head of a request: once before each head, and once at a time. While it waits,
/// all answers are written but for what [`Noted`] says.
///
/// A timer of the runtime for each of these waits would be put into its wheel and taken out again with every request;
/// here they share an [`Alarm`].
#[derive(Clone, Debug)]
pub(super) struct HeadTimer {
    shared: Arc<Shared>,
    head_timeout: Duration,
}

#[derive(Debug, Default)]
struct Shared {
    waits: Mutex<Waits>,
    /// Whether the stream did not take what was last to be written.
    unwritten: AtomicBool,
    /// Whether a part of the head that is waited for is there.
    begun: AtomicBool,
}

#[derive(Debug, Default)]
struct Waits {
    alarm: Alarm,
    /// Whether a head has been waited for since [`CALM`].
    calm: bool,
}

impl Shared {
    fn waits(&self) -> MutexGuard<'_, Waits> {
        self.waits.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl HeadTimer {
    /// A timer for one connection. hyper is to be told the same `head_timeout`.
    pub(super) fn new(head_timeout: Duration) -> Self {
        Self { shared: Arc::default(), head_timeout }
    }

    /// Whether the connection may rest: everything is answered, and for a while not a byte has come. Whoever polls the
    /// connection is woken when that becomes so.
    ///
    /// Not when a head has begun: whoever sends one byte by byte would then get its time anew for each.
    pub(super) fn is_calm(&self) -> bool {
        let Shared { unwritten, begun, .. } = &*self.shared;
        !unwritten.load(Ordering::Relaxed) && !begun.load(Ordering::Relaxed) && self.shared.waits().calm
    }

    /// The stream of the connection.
    pub(super) fn note<S>(&self, stream: S) -> Noted<S> {
        Noted { stream, shared: Arc::clone(&self.shared) }
    }
}

impl Timer for HeadTimer {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Sleep>> {
        self.sleep_until(self.now() + duration)
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn Sleep>> {
        self.shared.begun.store(false, Ordering::Relaxed);
        let until = tokio::time::Instant::from(deadline);
        let calm = until - self.head_timeout.saturating_sub(CALM);
        Box::pin(Wait { until, calm, shared: Arc::clone(&self.shared) })
    }

    fn now(&self) -> Instant {
        tokio::time::Instant::now().into()
    }
}

struct Wait {
    until: tokio::time::Instant,
    calm: tokio::time::Instant,
    shared: Arc<Shared>,
}

impl Future for Wait {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let mut waits = self.shared.waits();
        if !waits.calm {
            if waits.alarm.poll(self.calm, context).is_pending() {
                return Poll::Pending;
            }
            waits.calm = true;
        }
        waits.alarm.poll(self.until, context)
    }
}

impl Sleep for Wait {}

impl Drop for Wait {
    fn drop(&mut self) {
        self.shared.waits().calm = false;
    }
}

/// A stream that tells the [`HeadTimer`] of its connection whether hyper still has something to write.
#[derive(Debug)]
pub(super) struct Noted<S> {
    stream: S,
    shared: Arc<Shared>,
}

impl<S> Noted<S> {
    pub(super) fn into_inner(self) -> S {
        self.stream
    }

    fn written<T>(&self, polled: Poll<T>) -> Poll<T> {
        self.shared.unwritten.store(polled.is_pending(), Ordering::Relaxed);
        polled
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Noted<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        if buffer.filled().len() > before {
            self.shared.begun.store(true, Ordering::Relaxed);
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Noted<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.written(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, pieces);
        self.written(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(context);
        self.written(flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    /// A connection on which a head has been waited for longer than a calm takes.
    async fn waited(timer: &HeadTimer) -> Pin<Box<dyn Sleep>> {
        let mut wait = timer.sleep(timer.head_timeout);
        tokio::time::advance(CALM + Duration::from_millis(10)).await;
        let polled = poll_fn(|context| Poll::Ready(wait.as_mut().poll(context))).await;
        assert!(polled.is_pending());
        wait
    }

    #[tokio::test(start_paused = true)]
    async fn it_is_calm_while_nothing_comes_and_nothing_is_to_be_written() {
        let timer = HeadTimer::new(Duration::from_secs(30));
        let (mut client, server) = tokio::io::duplex(4);
        let mut server = timer.note(server);
        let wait = waited(&timer).await;
        assert!(timer.is_calm());
        drop(wait);
        assert!(!timer.is_calm(), "a request is being served");
        let wait = waited(&timer).await;
        client.write_all(b"G").await.unwrap();
        server.read_exact(&mut [0]).await.unwrap();
        assert!(!timer.is_calm(), "a head has begun");
        drop(wait);

        let _wait = waited(&timer).await;
        assert!(timer.is_calm());
        let soon = Duration::from_millis(1);
        assert!(tokio::time::timeout(soon, server.write_all(b"12345")).await.is_err());
        assert!(!timer.is_calm(), "a part of an answer is still here");
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_has_its_time_and_no_more() {
        let timer = HeadTimer::new(Duration::from_secs(30));
        let start = tokio::time::Instant::now();
        timer.sleep(Duration::from_secs(30)).await;
        assert_eq!(start.elapsed().as_secs(), 30);
    }
}
