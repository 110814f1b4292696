//! Request bodies that are read to their end even when nobody wants them any more.
//!
//! A server that answers and closes while its client still sends resets the connection, and the client may lose
//! the answer with it: instead of `AccessDenied` it sees a broken pipe, and tries again. So what a client has
//! under way is read and thrown away, within bounds.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes};
use http::HeaderMap;
use http::header::EXPECT;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::runtime::Handle;
use tokio::time::timeout;

/// Most that is read for nothing, in bytes and in time. A client with more to send asks with
/// `Expect: 100-continue` or has itself to blame.
const BYTES: usize = 64 << 20;
const TIME: Duration = Duration::from_secs(5);

/// The same of a client that is refused because there are too many: no more than may be on its way already.
const BRIEF_BYTES: usize = 256 << 10;
const BRIEF_TIME: Duration = Duration::from_millis(500);

/// Whether the client holds its body back until it is told `100 Continue`.
pub(super) fn expects_continue(headers: &HeaderMap) -> bool {
    headers.get(EXPECT).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue"))
}

/// A client's body. Dropped before its end, it is drained in the background.
pub(crate) struct Lingering<B = Incoming>
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
{
    /// What was read and put back.
    unread: Bytes,
    /// Empty once it has ended.
    body: Option<B>,
    /// Reading is what tells the client to go on: a body that waits for that must be left alone.
    withheld: bool,
    /// How much is read for nothing, and for how long.
    bounds: (usize, Duration),
}

impl<B> Lingering<B>
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
{
    pub(crate) fn new(body: B, headers: &HeaderMap) -> Self {
        let withheld = expects_continue(headers);
        let body = (!body.is_end_stream()).then_some(body);
        Self { unread: Bytes::new(), body, withheld, bounds: (BYTES, TIME) }
    }

    /// Sends the client away under load. Returns whether its connection has to end with the answer, since the rest of
    /// its body will not be read.
    pub(crate) fn send_away(body: B, headers: &HeaderMap) -> bool {
        let mut refused = Self::new(body, headers);
        refused.bounds = (BRIEF_BYTES, BRIEF_TIME);
        !refused.is_end_stream()
    }

    /// Puts bytes back in front of the rest. They were all that has been read.
    pub(crate) fn put_back(&mut self, read: Bytes) {
        self.unread = read;
    }
}

impl<B> Body for Lingering<B>
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
{
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        self.withheld = false;
        if !self.unread.is_empty() {
            return Poll::Ready(Some(Ok(Frame::data(std::mem::take(&mut self.unread)))));
        }
        let Some(body) = &mut self.body else { return Poll::Ready(None) };
        let frame = ready!(Pin::new(body).poll_frame(context));
        if !matches!(frame, Some(Ok(_))) {
            self.body = None;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.unread.is_empty() && self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        let unread = self.unread.len() as u64;
        let mut hint = self.body.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint);
        if let Some(upper) = hint.upper() {
            hint.set_upper(upper.saturating_add(unread));
        }
        hint.set_lower(hint.lower().saturating_add(unread));
        hint
    }
}

impl<B> Drop for Lingering<B>
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
{
    fn drop(&mut self) {
        let Some(body) = self.body.take().filter(|body| !self.withheld && !body.is_end_stream()) else {
            return;
        };
        // Without a runtime the connection is gone as well.
        if let Ok(runtime) = Handle::try_current() {
            let (bytes, time) = self.bounds;
            runtime.spawn(timeout(time, drain(body, bytes)));
        }
    }
}

async fn drain<B: Body + Unpin>(mut body: B, mut left: usize) {
    while let Some(Ok(frame)) = body.frame().await {
        let read = frame.data_ref().map_or(0, Buf::remaining);
        let Some(rest) = left.checked_sub(read) else { return };
        left = rest;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use http::HeaderValue;

    use super::*;

    const PIECE: &[u8] = &[0; 1 << 20];

    /// A client with this many pieces to send, which counts how many were taken.
    struct Client {
        pieces: usize,
        taken: Arc<AtomicUsize>,
    }

    impl Body for Client {
        type Data = Bytes;
        type Error = std::io::Error;

        fn poll_frame(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
            if self.taken.load(Ordering::Relaxed) == self.pieces {
                return Poll::Ready(None);
            }
            self.taken.fetch_add(1, Ordering::Relaxed);
            Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(PIECE)))))
        }
    }

    /// How many of the pieces are taken of a client that is sent away after `read` of them.
    async fn taken(pieces: usize, read: usize, headers: &HeaderMap) -> usize {
        let taken = Arc::new(AtomicUsize::new(0));
        let mut body = Lingering::new(Client { pieces, taken: Arc::clone(&taken) }, headers);
        for _ in 0..read {
            body.frame().await.unwrap().unwrap();
        }
        drop(body);
        // The one other task of this runtime runs to its end.
        tokio::task::yield_now().await;
        taken.load(Ordering::Relaxed)
    }

    #[tokio::test]
    async fn a_client_is_read_to_its_end() {
        assert_eq!(taken(5, 0, &HeaderMap::new()).await, 5);
        assert_eq!(taken(5, 3, &HeaderMap::new()).await, 5);
    }

    #[tokio::test]
    async fn a_client_that_waits_is_not_told_to_send() {
        let waits = [(EXPECT, HeaderValue::from_static("100-Continue"))].into_iter().collect();
        assert_eq!(taken(5, 0, &waits).await, 0);
        assert_eq!(taken(5, 1, &waits).await, 5, "one that was told to send does");
    }

    #[tokio::test]
    async fn what_is_put_back_is_read_again() {
        let client = Client { pieces: 3, taken: Arc::default() };
        let mut body = Lingering::new(client, &HeaderMap::new());
        let mut read = Vec::new();
        while let Some(Ok(frame)) = body.frame().await {
            read.extend_from_slice(&frame.into_data().unwrap());
        }
        assert!(body.is_end_stream());
        body.put_back(read.into());
        assert!(!body.is_end_stream());
        assert_eq!(body.size_hint().exact(), Some(3 << 20));
        assert_eq!(body.collect().await.unwrap().to_bytes().len(), 3 << 20);
    }

    #[tokio::test]
    async fn who_is_sent_away_under_load_is_hardly_read() {
        let taken = Arc::new(AtomicUsize::new(0));
        let client = |pieces| Client { pieces, taken: Arc::clone(&taken) };
        assert!(Lingering::send_away(client(5), &HeaderMap::new()));
        tokio::task::yield_now().await;
        assert_eq!(taken.load(Ordering::Relaxed), BRIEF_BYTES / PIECE.len() + 1);
        assert!(!Lingering::send_away(http_body_util::Empty::<Bytes>::new(), &HeaderMap::new()));
    }

    #[tokio::test]
    async fn nobody_is_read_for_ever() {
        assert_eq!(taken(1000, 0, &HeaderMap::new()).await, BYTES / PIECE.len() + 1);
    }
}
