//! The body of an answer, on its way to the client.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use super::UpstreamAnswer;
use super::access_log::Call;
use crate::s3::rename::Rewriter;
use crate::upstream::AnswerError;

/// The body of an answer. Says when it is over.
pub struct AnswerBody {
    source: Source,
    /// The request it answers, which is over with it.
    call: Option<Box<Call>>,
}

enum Source {
    Streaming(UpstreamAnswer),
    /// A document on its way through a rewriter, which is gone once the document has ended.
    Rewritten(UpstreamAnswer, Option<Rewriter>),
    Whole(Option<Bytes>),
}

impl AnswerBody {
    /// The backend's answer, as it comes.
    pub(super) fn streaming(body: UpstreamAnswer) -> Self {
        Self { source: Source::Streaming(body), call: None }
    }

    /// The backend's answer, a document, in the client's terms.
    pub(super) fn rewritten(body: UpstreamAnswer, rewriter: Rewriter) -> Self {
        Self { source: Source::Rewritten(body, Some(rewriter)), call: None }
    }

    /// Keeps the request until the body is over.
    pub(super) fn end_with(&mut self, call: Box<Call>) {
        self.call = Some(call);
    }

    /// An answer of our own.
    pub(super) fn whole(body: Bytes) -> Self {
        Self { source: Source::Whole((!body.is_empty()).then_some(body)), call: None }
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = AnswerError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, AnswerError>>> {
        let frame = match &mut self.source {
            // Trailers would need to be announced over HTTP/1.1, and no S3 client looks for any in an answer.
            Source::Streaming(body) => match ready!(Pin::new(body).poll_frame(context)) {
                Some(Ok(frame)) if frame.is_trailers() => None,
                frame => frame,
            },
            Source::Rewritten(body, rewriter) => ready!(poll_rewritten(body, rewriter, context)),
            Source::Whole(body) => body.take().map(|bytes| Ok(Frame::data(bytes))),
        };
        let ended = frame.is_none() || self.is_end_stream();
        if let Some(call) = &mut self.call {
            let data = frame.as_ref().and_then(|frame| frame.as_ref().ok()?.data_ref());
            call.handed_on(data.map_or(0, Bytes::len), ended && !matches!(frame, Some(Err(_))));
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        match &self.source {
            Source::Streaming(body) => body.is_end_stream(),
            Source::Rewritten(_, rewriter) => rewriter.is_none(),
            Source::Whole(body) => body.is_none(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.source {
            Source::Streaming(body) => body.size_hint(),
            Source::Rewritten(..) => SizeHint::default(),
            Source::Whole(body) => SizeHint::with_exact(body.as_ref().map_or(0, |bytes| bytes.len() as u64)),
        }
    }
}

/// The next piece of a document, if there is any of it to hand on yet. Trailer fields would speak of another document.
fn poll_rewritten(
    body: &mut UpstreamAnswer,
    rewriter: &mut Option<Rewriter>,
    context: &mut Context<'_>,
) -> Poll<Option<Result<Frame<Bytes>, AnswerError>>> {
    let mut out = Vec::new();
    while let Some(at_work) = rewriter {
        match ready!(Pin::new(&mut *body).poll_frame(context)) {
            Some(Ok(frame)) => drop(frame.into_data().map(|data| at_work.push(&data, &mut out))),
            Some(Err(error)) => return Poll::Ready(Some(Err(error))),
            None => drop(rewriter.take().map(|ending| ending.finish(&mut out))),
        }
        if !out.is_empty() {
            return Poll::Ready(Some(Ok(Frame::data(out.into()))));
        }
    }
    Poll::Ready(None)
}
