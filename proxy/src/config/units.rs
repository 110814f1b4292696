//! Durations, sizes and rates as operators write them: `"15m"`, `"64 MiB"`, `"100/s"`.

use std::fmt;
use std::num::NonZeroU32;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A length of time: an integer and one of `ms`, `s`, `m`, `h`, `d`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "String")]
pub(super) struct Span(pub(super) Duration);

/// An amount of memory in bytes: an integer and one of `B`, `KiB`, `MiB`, `GiB`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "String")]
pub(super) struct Size(pub(super) u64);

/// How often something may happen: `"100/s"`, `"20/m"`, `"5/h"`, or with a burst of its own, `"100/s burst 500"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "String")]
pub struct Rate {
    /// Times in each [`per`](Self::per).
    pub count: NonZeroU32,
    /// A second, a minute or an hour.
    pub per: Duration,
    /// Times at once after a pause; `count` where nothing else is said.
    pub burst: NonZeroU32,
}

/// What stands in the place of one of these. Numbers are read as well, so that one without a unit is refused in the same words
/// as every other text that says nothing.
#[derive(Deserialize)]
#[serde(untagged, expecting = "neither text nor a number")]
enum Written {
    Text(String),
    Integer(i64),
    Decimal(f64),
}

impl Written {
    /// What `read` makes of the text. Else the fault: that it is not a `kind`.
    fn read<T>(self, kind: &str, read: impl FnOnce(&str) -> Option<T>) -> Result<T, String> {
        let shown = match self {
            Self::Text(text) => match read(&text) {
                Some(value) => return Ok(value),
                None => format!("{text:?}"),
            },
            Self::Integer(number) => number.to_string(),
            Self::Decimal(number) => number.to_string(),
        };
        Err(format!("{shown} is not a {kind}"))
    }
}

const PERIODS: [(&str, u64); 3] = [("s", 1), ("m", 60), ("h", 3600)];

/// Units in descending order, each with what it is worth.
const SPANS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];
const SIZES: [(&str, u64); 4] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

impl Span {
    /// `count` seconds.
    pub(super) const fn seconds(count: u64) -> Self {
        Self(Duration::from_secs(count))
    }
}

/// A length of time as the configuration has it, such as `30s` or `15m`.
pub fn parse_duration(text: &str) -> Option<Duration> {
    parse(text, &SPANS).map(Duration::from_millis)
}

impl TryFrom<Written> for Span {
    type Error = String;

    fn try_from(written: Written) -> Result<Self, String> {
        let read = |text: &str| parse_duration(text).map(Self);
        written.read("duration such as \"500ms\", \"30s\" or \"15m\"", read)
    }
}

impl TryFrom<Written> for Size {
    type Error = String;

    fn try_from(written: Written) -> Result<Self, String> {
        let read = |text: &str| parse(text, &SIZES).map(Self);
        written.read("size such as \"512 B\", \"64 KiB\" or \"1 GiB\"", read)
    }
}

impl TryFrom<Written> for Rate {
    type Error = String;

    fn try_from(written: Written) -> Result<Self, String> {
        let read = |text: &str| {
            let (rate, burst) =
                text.split_once(" burst ").map_or((text, None), |(rate, burst)| (rate, Some(burst)));
            let (count, unit) = rate.split_once('/')?;
            let (_, seconds) = PERIODS.iter().find(|(name, _)| *name == unit.trim())?;
            let count = count.trim().parse().ok()?;
            let burst = burst.map_or(Some(count), |burst| burst.trim().parse().ok())?;
            Some(Self { count, per: Duration::from_secs(*seconds), burst })
        };
        written.read("rate such as \"100/s\", \"20/m\" or \"100/s burst 500\"", read)
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = PERIODS.iter().find(|(_, seconds)| *seconds == self.per.as_secs());
        write!(f, "{}/{}", self.count, unit.map_or("s", |(name, _)| name))?;
        if self.burst == self.count { Ok(()) } else { write!(f, " burst {}", self.burst) }
    }
}

impl From<Rate> for String {
    fn from(rate: Rate) -> Self {
        rate.to_string()
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX);
        let (count, unit) = in_largest_unit(millis, &SPANS);
        write!(f, "{count}{unit}")
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (count, unit) = in_largest_unit(self.0, &SIZES);
        write!(f, "{count} {unit}")
    }
}

impl From<Span> for String {
    fn from(span: Span) -> Self {
        span.to_string()
    }
}

impl From<Size> for String {
    fn from(size: Size) -> Self {
        size.to_string()
    }
}

/// An integer, optional spaces, a unit; nothing else and no overflow.
fn parse(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let text = text.trim();
    let (digits, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit())?);
    let (_, worth) = units.iter().find(|(name, _)| *name == unit.trim_start())?;
    digits.parse::<u64>().ok()?.checked_mul(*worth)
}

/// The largest unit that writes `value` as an integer.
fn in_largest_unit<'a>(value: u64, units: &[(&'a str, u64)]) -> (u64, &'a str) {
    let fits = |&&(_, worth): &&(&str, u64)| value > 0 && value.is_multiple_of(worth);
    units.iter().find(fits).or(units.last()).map_or((value, ""), |&(name, worth)| (value / worth, name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(text: &str) -> Option<Duration> {
        Span::try_from(Written::Text(text.to_owned())).ok().map(|span| span.0)
    }

    fn size(text: &str) -> Option<u64> {
        Size::try_from(Written::Text(text.to_owned())).ok().map(|size| size.0)
    }

    #[test]
    fn reads_every_unit() {
        assert_eq!(span("500ms"), Some(Duration::from_millis(500)));
        assert_eq!(span("15 m"), Some(Duration::from_secs(900)));
        assert_eq!(span(" 2h "), Some(Duration::from_secs(7200)));
        assert_eq!(span("0s"), Some(Duration::ZERO));
        assert_eq!(size("64 MiB"), Some(64 << 20));
        assert_eq!(size("1KiB"), Some(1024));
        assert_eq!(size("7 B"), Some(7));
    }

    #[test]
    fn refuses_what_has_no_unit_or_no_place() {
        for text in ["", "15", "m", "-1s", "1.5s", "1h30m", "15M", "1 week", "999999999999999999d", "٣s"] {
            assert_eq!(span(text), None, "{text:?}");
        }
        for text in ["", "64", "64 MB", "64 mib", "MiB", "99999999999 GiB"] {
            assert_eq!(size(text), None, "{text:?}");
        }
    }

    #[test]
    fn a_number_without_a_unit_is_refused_as_such_a_text_is() {
        let size = |written| Size::try_from(written).unwrap_err();
        assert_eq!(
            size(Written::Integer(65536)),
            "65536 is not a size such as \"512 B\", \"64 KiB\" or \"1 GiB\""
        );
        assert!(size(Written::Text("65536".to_owned())).starts_with("\"65536\" is not a size such as"));
        assert!(
            Span::try_from(Written::Decimal(1.5)).unwrap_err().starts_with("1.5 is not a duration such as")
        );
        assert!(Rate::try_from(Written::Integer(-1)).unwrap_err().starts_with("-1 is not a rate such as"));
    }

    #[test]
    fn a_rate_has_a_period_and_may_have_a_burst() {
        let rate = |text: &str| Rate::try_from(Written::Text(text.to_owned())).ok();
        let parts = |text| rate(text).map(|rate| (rate.count.get(), rate.per.as_secs(), rate.burst.get()));
        assert_eq!(parts("100/s"), Some((100, 1, 100)));
        assert_eq!(parts("20 / m burst 5"), Some((20, 60, 5)));
        for text in ["", "100", "/s", "0/s", "-1/s", "1/d", "1.5/s", "1/s burst 0", "1/s burst", "1/sburst 2"]
        {
            assert_eq!(rate(text), None, "{text:?}");
        }
        for text in ["100/s", "20/m burst 5", "1/h"] {
            assert_eq!(rate(text).map(|rate| rate.to_string()).as_deref(), Some(text));
        }
    }

    #[test]
    fn writes_what_it_reads() {
        for text in ["500ms", "90s", "15m", "1h", "2d", "0ms"] {
            assert_eq!(
                Span::try_from(Written::Text(text.to_owned())).map(|span| span.to_string()).as_deref(),
                Ok(text)
            );
        }
        for text in ["512 B", "64 KiB", "3 MiB", "1 GiB"] {
            assert_eq!(
                Size::try_from(Written::Text(text.to_owned())).map(|size| size.to_string()).as_deref(),
                Ok(text)
            );
        }
    }
}
