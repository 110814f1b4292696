//! What goes over a connection as the body of a request: the client's, or none.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

/// A request that has no body can be sent again, and needs nothing of the client's for it.
pub(super) enum RequestBody<B> {
    /// None.
    Empty,
    /// One that can be sent once.
    Streaming(B),
}

impl<B: Body> RequestBody<B> {
    /// Lets go of a body that has ended before it began.
    pub(super) fn new(body: B) -> Self {
        if body.is_end_stream() { Self::Empty } else { Self::Streaming(body) }
    }

    pub(super) const fn is_empty(&self) -> bool {
        matches!(self, Self::Empty)
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for RequestBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        match self.get_mut() {
            Self::Empty => Poll::Ready(None),
            Self::Streaming(body) => Pin::new(body).poll_frame(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Streaming(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Streaming(body) => body.size_hint(),
        }
    }
}
