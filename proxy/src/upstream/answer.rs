//! The body of a backend's answer: it ends well only if the backend ended it well, and in time.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::time::Instant;

use super::pool::Lease;
use crate::clock::Alarm;

/// Why an answer ended early. The client's connection is then cut, so that no part can be taken for the whole.
#[derive(Debug, thiserror::Error)]
pub enum AnswerError {
    /// The backend broke off.
    #[error("the backend broke off: {0}")]
    Broken(#[from] hyper::Error),
    /// It fell silent in the middle.
    #[error("the backend sent nothing for {0:?}")]
    Stalled(Duration),
    /// The whole exchange took too long.
    #[error("the answer took longer than backend.total_timeout")]
    TooLong,
}

/// The body of an answer, as it comes. Its connection serves the next request once it has ended.
pub struct Answer<B: Send + 'static> {
    body: Incoming,
    /// What has been read of it and is still to be handed on.
    ahead: Option<Bytes>,
    lease: Option<Lease<B>>,
    /// Longest time without a byte.
    stall: Duration,
    /// When all must be over.
    deadline: Option<Instant>,
    /// Since when there has been nothing to read.
    waiting_since: Option<Instant>,
    alarm: Alarm,
}

impl<B: Send + 'static> Answer<B> {
    pub(super) fn new(body: Incoming, lease: Lease<B>, stall: Duration, deadline: Option<Instant>) -> Self {
        let alarm = Alarm::default();
        let lease = Some(lease);
        let mut answer = Self { body, ahead: None, lease, stall, deadline, waiting_since: None, alarm };
        if answer.body.is_end_stream() {
            answer.end();
        }
        answer
    }

    /// Waits for the beginning of the body: `enough` bytes, or all if there are fewer. They are handed on all the same.
    pub(super) async fn peek(&mut self, enough: usize) -> Result<&[u8], AnswerError>
    where
        B: Unpin,
    {
        let mut read = BytesMut::new();
        while read.len() < enough {
            match self.frame().await.transpose()? {
                Some(frame) => read.extend_from_slice(&frame.into_data().unwrap_or_default()),
                None => break,
            }
        }
        self.ahead = (!read.is_empty()).then(|| read.freeze());
        Ok(self.ahead.as_deref().unwrap_or_default())
    }

    fn end(&mut self) {
        if let Some(lease) = self.lease.take() {
            lease.end();
        }
    }

    /// Nothing is there to be read: for how long may that go on?
    fn wait(&mut self, context: &mut Context<'_>) -> Poll<AnswerError> {
        let since = *self.waiting_since.get_or_insert_with(Instant::now);
        let stalled = since + self.stall;
        let until = self.deadline.map_or(stalled, |deadline| deadline.min(stalled));
        let late = self.deadline.is_some_and(|deadline| deadline <= stalled);
        self.alarm.poll(until, context).map(|()| match late {
            true => AnswerError::TooLong,
            false => AnswerError::Stalled(self.stall),
        })
    }
}

impl<B: Send + Unpin + 'static> Body for Answer<B> {
    type Data = Bytes;
    type Error = AnswerError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, AnswerError>>> {
        let this = self.get_mut();
        if let Some(ahead) = this.ahead.take() {
            return Poll::Ready(Some(Ok(Frame::data(ahead))));
        }
        let Poll::Ready(frame) = Pin::new(&mut this.body).poll_frame(context) else {
            return this.wait(context).map(|error| {
                this.lease = None;
                Some(Err(error))
            });
        };
        this.waiting_since = None;
        if this.deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            this.lease = None;
            return Poll::Ready(Some(Err(AnswerError::TooLong)));
        }
        match &frame {
            Some(Err(_)) => this.lease = None,
            None => this.end(),
            Some(Ok(_)) if this.body.is_end_stream() => this.end(),
            Some(Ok(_)) => {}
        }
        Poll::Ready(frame.map(|frame| frame.map_err(AnswerError::from)))
    }

    fn is_end_stream(&self) -> bool {
        self.ahead.is_none() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (rest, ahead) = (self.body.size_hint(), self.ahead.as_ref().map_or(0, Bytes::len) as u64);
        let mut whole = SizeHint::new();
        whole.set_lower(rest.lower().saturating_add(ahead));
        if let Some(upper) = rest.upper().and_then(|upper| upper.checked_add(ahead)) {
            whole.set_upper(upper);
        }
        whole
    }
}
