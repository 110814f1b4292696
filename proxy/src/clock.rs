//! The one source of wall-clock time, so that tests can set it; and timers.

mod alarm;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use sigv4::Timestamp;

pub use self::alarm::Alarm;

/// Milliseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UnixMillis(pub i64);

impl UnixMillis {
    /// The whole second this millisecond falls in.
    pub const fn timestamp(self) -> Timestamp {
        Timestamp::from_unix(self.0.div_euclid(1000))
    }

    /// The first millisecond of a second.
    pub const fn from_timestamp(timestamp: Timestamp) -> Self {
        Self(timestamp.unix() * 1000)
    }

    /// This time moved by `millis`, saturating.
    #[must_use]
    pub const fn plus(self, millis: i64) -> Self {
        Self(self.0.saturating_add(millis))
    }

    /// RFC 3339 in UTC with milliseconds, for example `2026-01-02T03:04:05.678Z`.
    pub fn to_rfc3339(self) -> String {
        let seconds = self.timestamp().to_string();
        format!("{}.{:03}Z", seconds.trim_end_matches('Z'), self.0.rem_euclid(1000))
    }

    /// Parses RFC 3339 in UTC, with or without a fraction of a second; digits past the third are dropped.
    pub fn parse_rfc3339(text: &str) -> Option<Self> {
        let seconds = Timestamp::parse_extended(text.as_bytes())?;
        let fraction = text.get(19..)?.trim_start_matches('.').trim_end_matches('Z');
        let millis = fraction.bytes().chain(*b"000").take(3).fold(0, |n, d| n * 10 + i64::from(d - b'0'));
        Some(Self::from_timestamp(seconds).plus(millis))
    }
}

/// Tells the time: the system's, or one that a test sets.
#[derive(Clone, Debug, Default)]
pub struct Clock(Option<Arc<AtomicI64>>);

impl Clock {
    /// The system's clock.
    pub const fn system() -> Self {
        Self(None)
    }

    /// A clock that stands still until it is [`set`](Self::set).
    pub fn manual(now: UnixMillis) -> Self {
        Self(Some(Arc::new(AtomicI64::new(now.0))))
    }

    /// Moves a manual clock; the system's clock cannot be moved.
    pub fn set(&self, now: UnixMillis) {
        if let Some(manual) = &self.0 {
            manual.store(now.0, Ordering::SeqCst);
        }
    }

    /// The time now. A system clock before 1970 reads as 1970: every signature is then refused as skewed.
    #[expect(clippy::disallowed_methods, reason = "this is the clock everyone else is sent to")]
    pub fn now(&self) -> UnixMillis {
        UnixMillis(match &self.0 {
            Some(manual) => manual.load(Ordering::SeqCst),
            None => SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(i64::MAX)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc3339_survives_the_round_trip() {
        for text in ["2026-01-02T03:04:05.678Z", "1999-12-31T23:59:59.000Z"] {
            assert_eq!(UnixMillis::parse_rfc3339(text).map(UnixMillis::to_rfc3339).as_deref(), Some(text));
        }
        assert_eq!(UnixMillis::parse_rfc3339("1970-01-01T00:00:01Z"), Some(UnixMillis(1000)));
        assert_eq!(UnixMillis::parse_rfc3339("1970-01-01T00:00:01.5Z"), Some(UnixMillis(1500)));
        assert_eq!(UnixMillis::parse_rfc3339("1970-01-01T00:00:01+01:00"), None);
    }
}
