//! Request bodies that are read to their end even when nobody wants them any more.
//!
//! A server that answers and closes while its client still sends resets the connection, and the client may lose
//! the answer with it: instead of `AccessDenied` it sees a broken pipe, and tries again. So what a client has
//! under way is read and thrown away, within bounds.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use http::header::EXPECT;
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use tokio::runtime::Handle;
use tokio::time::timeout;

/// Most that is read for nothing, in bytes and in time. A client with more to send asks with
/// `Expect: 100-continue` or has itself to blame.
const BYTES: usize = 64 << 20;
const TIME: Duration = Duration::from_secs(5);

/// Whether the client holds its body back until it is told `100 Continue`.
pub(super) fn expects_continue(headers: &HeaderMap) -> bool {
    headers.get(EXPECT).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue"))
}

/// A client's body. Dropped before its end, it is drained in the background.
pub(crate) struct Lingering {
    /// Empty once it has ended.
    body: Option<Incoming>,
    /// Reading is what tells the client to go on: a body that waits for that must be left alone.
    withheld: bool,
}

impl Lingering {
    pub(crate) fn new(body: Incoming, headers: &HeaderMap) -> Self {
        let withheld = expects_continue(headers);
        Self { body: (!body.is_end_stream()).then_some(body), withheld }
    }
}

impl Body for Lingering {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        self.withheld = false;
        let Some(body) = &mut self.body else { return Poll::Ready(None) };
        let frame = ready!(Pin::new(body).poll_frame(context));
        if !matches!(frame, Some(Ok(_))) {
            self.body = None;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}

impl Drop for Lingering {
    fn drop(&mut self) {
        let Some(body) = self.body.take().filter(|body| !self.withheld && !body.is_end_stream()) else {
            return;
        };
        // Without a runtime the connection is gone as well.
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(timeout(TIME, drain(Limited::new(body, BYTES))));
        }
    }
}

async fn drain(mut body: Limited<Incoming>) {
    while let Some(Ok(_)) = body.frame().await {}
}
