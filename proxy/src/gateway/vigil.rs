//! Waiting for client and backend while a request body is on its way, and saying whose turn it was when nothing
//! moves any more.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;

use http::Response;
use tokio::time::Instant;

use super::UpstreamAnswer;
use super::body::ProvingBody;
use super::error::GatewayError;
use super::lingering::Lingering;
use super::metrics::GatewayMetrics;
use super::plan::Backend;
use super::verdict::Verdict;
use crate::clock::Alarm;
use crate::upstream::{UpstreamError, strip_hop_by_hop};

/// The wait for one request.
pub(super) struct Vigil<'v> {
    /// How long nothing may move is the backend's affair.
    pub(super) upstream: &'v Backend,
    /// What becomes of the request body meanwhile.
    pub(super) verdict: &'v Verdict,
}

impl Vigil<'_> {
    /// Waits for the first piece of the body, or for its proof if it has no content.
    pub(super) async fn prime(&self, body: &mut ProvingBody<Lingering>) -> Result<(), GatewayError> {
        match self.patiently(body.prime()).await {
            Some(Ok(())) => Ok(()),
            Some(Err(_)) => Err(GatewayError::Body(self.verdict.clone())),
            None => Err(GatewayError::ClientStalled),
        }
    }

    /// Waits for the head of the backend's answer while the body is on its way; what it says of its connection stays
    /// here. Sending is a large future: taken by value it would be moved, and be there twice, with every function that
    /// it passes.
    pub(super) async fn response(
        &self,
        sending: Pin<&mut impl Future<Output = Result<Response<UpstreamAnswer>, UpstreamError>>>,
        metrics: &GatewayMetrics,
    ) -> Result<Response<UpstreamAnswer>, GatewayError> {
        let started = Instant::now();
        let result = self.patiently(sending).await;
        metrics.upstream(started.elapsed());
        let verdict = self.verdict;
        let mut response = match result {
            // A backend that is done before the client was, is done with something else than what was signed.
            Some(Ok(response)) if response.status().is_success() => {
                match self.patiently(verdict.proved()).await {
                    Some(true) => Ok(response),
                    Some(false) if verdict.failed() => Err(GatewayError::Body(verdict.clone())),
                    Some(false) => Err(GatewayError::UpstreamHasty),
                    None => Err(self.stalled()),
                }
            }
            Some(Ok(response)) => Ok(response),
            // A body that failed its proof breaks the upstream request: what the client did wrong comes first.
            Some(Err(_)) if verdict.failed() => Err(GatewayError::Body(verdict.clone())),
            Some(Err(error)) => Err(GatewayError::Upstream(error)),
            None => Err(self.stalled()),
        }?;
        strip_hop_by_hop(response.headers_mut(), |_| false);
        Ok(response)
    }

    /// Nothing moved for too long: whose turn was it?
    fn stalled(&self) -> GatewayError {
        if self.verdict.waiting_for_client() {
            GatewayError::ClientStalled
        } else {
            GatewayError::UpstreamTimeout
        }
    }

    /// How long nothing may move: an answer may take longer than the next piece of a body.
    fn patience(&self) -> Duration {
        match self.verdict.is_settled() {
            true => self.upstream.response_timeout(),
            false => self.upstream.stall_timeout(),
        }
    }

    /// Runs a future until it completes, or until nothing has moved for as long as patience lasts.
    pub(super) async fn patiently<F: Future>(&self, future: F) -> Option<F::Output> {
        let (mut future, mut alarm) = (pin!(future), Alarm::default());
        poll_fn(|context| match future.as_mut().poll(context) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            Poll::Pending => {
                let deadline = self.verdict.last_activity() + self.patience();
                alarm.poll(deadline, context).map(|()| None)
            }
        })
        .await
    }
}
