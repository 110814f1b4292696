//! The timer of a connection of HTTP/1.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use hyper::rt::{Sleep, Timer};

use crate::clock::Alarm;

/// What hyper waits with for the head of a request: once before each, and once at a time. All of these waits share one
/// [`Alarm`].
#[derive(Clone, Debug, Default)]
pub(super) struct ConnectionTimer(Arc<Mutex<Alarm>>);

impl Timer for ConnectionTimer {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Sleep>> {
        self.sleep_until(self.now() + duration)
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn Sleep>> {
        Box::pin(Wait { until: deadline.into(), alarm: Arc::clone(&self.0) })
    }

    fn now(&self) -> Instant {
        tokio::time::Instant::now().into()
    }
}

struct Wait {
    until: tokio::time::Instant,
    alarm: Arc<Mutex<Alarm>>,
}

impl Future for Wait {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        self.alarm.lock().unwrap_or_else(PoisonError::into_inner).poll(self.until, context)
    }
}

impl Sleep for Wait {}
