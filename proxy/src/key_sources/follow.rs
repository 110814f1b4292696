//! Following one source: looking at it again and again, and saying how old is what it said last.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior};

use super::declarations::Declarations;
use super::metrics::OneSource;
use super::reader::{ReadError, Reader, Reading};
use crate::config::KeySource;
use crate::iam::random_bytes;

/// A source in trouble is asked at least so often, whatever its interval: it may be the way keys are switched off.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// How often it is looked whether what is known has become too old.
const AGE_STEP: Duration = Duration::from_secs(1);

/// A source that is followed until this is dropped.
pub(super) struct Follower {
    standing: Arc<Standing>,
    task: JoinHandle<()>,
}

/// How a source stands; its task and whoever asks share it.
pub(super) struct Standing {
    settings: KeySource,
    metrics: OneSource,
    /// Whether it has been read as a whole, ever.
    read: AtomicBool,
    /// When it was last read with nothing wrong; at first when that began.
    success: Mutex<Instant>,
    wake: Notify,
}

/// How old is what is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Age {
    Fresh,
    Warn,
    Alert,
}

impl Follower {
    /// Begins to follow.
    pub(super) fn start(
        settings: KeySource,
        reader: Reader,
        declarations: Declarations,
        metrics: OneSource,
    ) -> Self {
        let standing = Arc::new(Standing {
            settings,
            metrics,
            read: AtomicBool::new(false),
            success: Mutex::new(Instant::now()),
            wake: Notify::new(),
        });
        let following = Arc::clone(&standing);
        let task = tokio::spawn(async move {
            // Both go on until the task is ended.
            tokio::join!(follow(&following, reader, declarations), following.watch_age());
        });
        Self { standing, task }
    }

    pub(super) fn standing(&self) -> &Arc<Standing> {
        &self.standing
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.task.abort();
        self.standing.metrics.forget();
    }
}

/// Reads the source, has what it says taken over, and waits.
async fn follow(standing: &Arc<Standing>, mut reader: Reader, declarations: Declarations) {
    let (mut failures, mut told) = (0, None);
    loop {
        let read = reader.read().await;
        let unreachable = matches!(read, Err(ReadError::Unreachable(_)));
        failures = if unreachable { failures + 1 } else { 0 };
        let wrong = standing.take(read, &declarations).await;
        if told != wrong {
            let source = standing.name();
            match &wrong {
                Some(error) => {
                    tracing::error!(
                        source,
                        error,
                        "a source of keys is wrong: what it said before stays in force"
                    );
                }
                None => tracing::info!(source, "a source of keys is read with nothing wrong"),
            }
            told = wrong;
        }
        let pause = pause(standing.settings.poll_interval, if reader.is_remote() { failures } else { 0 });
        // Looked at before its time, when somebody asks for it.
        let _ = tokio::time::timeout(pause, standing.wake.notified()).await;
    }
}

/// The time to the next reading: an interval, twice as long after each failure, a quarter more or less, so that gateways
/// that began together do not ask together.
fn pause(interval: Duration, failures: u32) -> Duration {
    let longest = interval.max(LONGEST_PAUSE);
    let pause = interval.saturating_mul(1 << failures.min(16)).min(longest);
    let random = random_bytes::<1>().map_or(128, |byte| u32::from(byte[0]));
    pause * (192 + random / 2) / 256
}

impl Standing {
    /// Its name in the configuration.
    pub(super) fn name(&self) -> &str {
        &self.settings.name
    }

    /// Whether it has been read as a whole.
    pub(super) fn has_been_read(&self) -> bool {
        self.read.load(Ordering::Acquire)
    }

    /// Has it looked at now.
    pub(super) fn look(&self) {
        self.wake.notify_one();
    }

    pub(super) fn note_keys(&self, count: usize) {
        self.metrics.keys.set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    pub(super) fn note_conflicts(&self, count: usize) {
        self.metrics.conflicts.set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    /// Has what was read taken over; what is wrong, if anything is.
    async fn take(
        self: &Arc<Self>,
        read: Result<Reading, ReadError>,
        declarations: &Declarations,
    ) -> Option<String> {
        let faults = match read {
            Ok(Reading { keys, faults }) => {
                let outcome = match (&keys, faults.is_empty()) {
                    (_, false) => &self.metrics.refused,
                    (Some(_), true) => &self.metrics.changed,
                    (None, true) => &self.metrics.unchanged,
                };
                outcome.inc();
                let settled = match keys {
                    Some(keys) => declarations.put(self, keys).await,
                    None => declarations.tend().await,
                };
                settled.err().map(|error| error.to_string()).into_iter().chain(faults).collect()
            }
            Err(error) => {
                let outcome = match error {
                    ReadError::Unreachable(_) => &self.metrics.unreachable,
                    ReadError::Refused(_) => &self.metrics.refused,
                };
                outcome.inc();
                // Keys end in their time, whether their source is there or not.
                let settled = declarations.tend().await.err().map(|error| error.to_string());
                [error.to_string()].into_iter().chain(settled).collect::<Vec<_>>()
            }
        };
        if faults.is_empty() {
            *self.success() = Instant::now();
            self.read.store(true, Ordering::Release);
            return None;
        }
        Some(faults.join("; "))
    }

    /// Tells the age of what is known, as a metric and, where it has become too old, to the log.
    async fn watch_age(&self) {
        let mut step = tokio::time::interval(AGE_STEP);
        step.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut before = Age::Fresh;
        loop {
            step.tick().await;
            let old = self.success().elapsed();
            let seconds = old.as_secs();
            self.metrics.age.set(i64::try_from(seconds).unwrap_or(i64::MAX));
            let age = match old {
                old if old >= self.settings.stale_alert => Age::Alert,
                old if old >= self.settings.stale_warn => Age::Warn,
                _ => Age::Fresh,
            };
            if age != before {
                let source = self.name();
                match age {
                    Age::Fresh => tracing::info!(source, "a source of keys is fresh again"),
                    Age::Warn => tracing::warn!(source, seconds, "a source of keys is stale"),
                    Age::Alert => tracing::error!(source, seconds, "a source of keys is stale"),
                }
                before = age;
            }
        }
    }

    fn success(&self) -> std::sync::MutexGuard<'_, Instant> {
        self.success.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_in_trouble_is_asked_less_and_less_often_and_at_least_every_minute() {
        let seconds = |interval, failures| {
            let pauses = (0..500).map(|_| pause(Duration::from_secs(interval), failures).as_secs_f64());
            pauses.fold((f64::MAX, 0_f64), |(least, most), pause| (least.min(pause), most.max(pause)))
        };
        for (interval, failures, nominal) in
            [(10, 0, 10.0), (10, 1, 20.0), (10, 2, 40.0), (10, 3, 60.0), (10, 99, 60.0), (600, 5, 600.0)]
        {
            let (least, most) = seconds(interval, failures);
            assert!(
                least >= nominal * 0.75 && most <= nominal * 1.25,
                "{interval} {failures}: {least} {most}"
            );
            assert!(most - least > nominal * 0.2, "pauses differ");
        }
    }
}
