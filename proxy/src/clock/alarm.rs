//! A timer for waits that nearly always end before it goes off.

use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::time::{Instant, Sleep, sleep_until};

/// A timer that is set for later and later, and seldom goes off.
///
/// Whoever waits again and again, each time for a while at most, would put a timer into the runtime's wheel for each
/// wait and take it out again. An alarm stays there: it goes off early, for a wait that is long over, and is then put
/// in anew for the one that lasts. It is made when it is first needed.
#[derive(Debug, Default)]
pub struct Alarm(Option<Pin<Box<Sleep>>>);

impl Alarm {
    /// Ready once it is `until`, which may be another time whenever it is asked. Wakes whoever asked last, then or
    /// before.
    pub fn poll(&mut self, until: Instant, context: &mut Context<'_>) -> Poll<()> {
        let timer = self.0.get_or_insert_with(|| Box::pin(sleep_until(until)));
        if timer.deadline() > until {
            timer.as_mut().reset(until);
        }
        while timer.as_mut().poll(context).is_ready() {
            if Instant::now() >= until {
                return Poll::Ready(());
            }
            timer.as_mut().reset(until);
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_goes_off_at_the_time_that_was_asked_for_last() {
        let mut alarm = Alarm::default();
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        for first in [5, 20] {
            poll_fn(|context| {
                assert!(alarm.poll(at(first), context).is_pending());
                Poll::Ready(())
            })
            .await;
        }
        poll_fn(|context| alarm.poll(at(10), context)).await;
        assert_eq!(start.elapsed().as_secs(), 10, "set for earlier");
        poll_fn(|context| alarm.poll(at(30), context)).await;
        assert_eq!(start.elapsed().as_secs(), 30, "set for later");
        poll_fn(|context| alarm.poll(at(30), context)).await;
    }
}
