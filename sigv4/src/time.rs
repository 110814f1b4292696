//! Points in time as SigV4 writes them. Takes no clock: `now` is always an argument.

use std::fmt;

use crate::scope::Date;

/// Whole seconds since 1970-01-01T00:00:00Z, within the years 0001 to 9999.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

const DAY: i64 = 86_400;
const MIN: i64 = -62_135_596_800;
const MAX: i64 = 253_402_300_799;

impl Timestamp {
    /// From seconds since the Unix epoch; values outside the years 0001 to 9999 are clamped.
    pub const fn from_unix(seconds: i64) -> Self {
        Self(if seconds < MIN {
            MIN
        } else if seconds > MAX {
            MAX
        } else {
            seconds
        })
    }

    /// Seconds since the Unix epoch.
    pub const fn unix(self) -> i64 {
        self.0
    }

    /// This time moved by `seconds`, clamped to the years 0001 to 9999.
    #[must_use]
    pub const fn plus(self, seconds: i64) -> Self {
        Self::from_unix(self.0.saturating_add(seconds))
    }

    /// Parses ISO 8601 basic format, `YYYYMMDDTHHMMSSZ`.
    pub fn parse_basic(text: &[u8]) -> Option<Self> {
        Stamp::parse_basic(text).map(|stamp| stamp.time)
    }

    /// Parses ISO 8601 extended format in UTC: `YYYY-MM-DDTHH:MM:SS[.fraction]Z`. A fraction is dropped.
    pub fn parse_extended(text: &[u8]) -> Option<Self> {
        let (head, tail) = text.split_at_checked(19)?;
        let punctuation = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':')];
        if punctuation.iter().any(|&(at, byte)| head[at] != byte) {
            return None;
        }
        match tail.strip_suffix(b"Z")? {
            [] => {}
            [b'.', fraction @ ..] if !fraction.is_empty() && fraction.iter().all(u8::is_ascii_digit) => {}
            _ => return None,
        }
        let days = day_number(number(&head[..4])?, number(&head[5..7])?, number(&head[8..10])?)?;
        Self::at(days, number(&head[11..13])?, number(&head[14..16])?, number(&head[17..19])?)
    }

    /// Parses the preferred HTTP date, `Sun, 06 Nov 1994 08:49:37 GMT` (RFC 9110, 5.6.7), and the zone
    /// spellings `+0000` and `UTC` that signers are seen to send. The day of the week is not checked.
    pub fn parse_http(text: &[u8]) -> Option<Self> {
        const MONTHS: &[u8; 36] = b"JanFebMarAprMayJunJulAugSepOctNovDec";
        let (_, rest) = text.split_at_checked(5).filter(|(day, _)| day.ends_with(b", "))?;
        let (date, zone) = rest.split_at_checked(20)?;
        if ![&b" GMT"[..], b" +0000", b" UTC"].contains(&zone) {
            return None;
        }
        let punctuation = [(2, b' '), (6, b' '), (11, b' '), (14, b':'), (17, b':')];
        if punctuation.iter().any(|&(at, byte)| date[at] != byte) {
            return None;
        }
        let month = MONTHS.chunks_exact(3).zip(1..).find(|(name, _)| *name == &date[3..6])?.1;
        let days = day_number(number(&date[7..11])?, month, number(&date[..2])?)?;
        Self::at(days, number(&date[12..14])?, number(&date[15..17])?, number(&date[18..20])?)
    }

    /// Days since the epoch of eight digits, if that day exists.
    pub(crate) fn parse_day(text: &[u8; 8]) -> Option<i64> {
        day_number(number(&text[..4])?, number(&text[4..6])?, number(&text[6..])?)
    }

    /// A leap second is refused: POSIX time has no place for it and AWS signers never write it.
    fn at(days: i64, hour: i64, minute: i64, second: i64) -> Option<Self> {
        (hour < 24 && minute < 60 && second < 60)
            .then(|| Self(days * DAY + hour * 3_600 + minute * 60 + second))
    }

    /// ISO 8601 basic format, `YYYYMMDDTHHMMSSZ`, as ASCII.
    pub fn basic(self) -> [u8; 16] {
        let (year, month, day) = civil(self.0.div_euclid(DAY));
        let second = self.0.rem_euclid(DAY) as u32;
        let mut out = *b"00000000T000000Z";
        let parts = [year / 100, year % 100, month, day, second / 3_600, second / 60 % 60, second % 60];
        for (at, part) in [0, 2, 4, 6, 9, 11, 13].into_iter().zip(parts) {
            out[at] += (part / 10) as u8;
            out[at + 1] += (part % 10) as u8;
        }
        out
    }

    /// The day this time falls on, in UTC.
    pub fn date(self) -> Date {
        Stamp::from(self).date()
    }
}

/// A time with its text in ISO 8601 basic format: signers send it so, and it is signed so.
#[derive(Clone, Copy)]
pub(crate) struct Stamp {
    time: Timestamp,
    basic: [u8; 16],
}

impl Stamp {
    /// Parses `YYYYMMDDTHHMMSSZ`.
    pub(crate) fn parse_basic(text: &[u8]) -> Option<Self> {
        let basic: [u8; 16] = text.try_into().ok()?;
        let [date, mut time]: [[u8; 8]; 2] = [*basic.first_chunk()?, *basic[7..].first_chunk()?];
        if basic[8] != b'T' || basic[15] != b'Z' {
            return None;
        }
        // Six digits: two more in front for what is not of them.
        (time[0], time[1]) = (b'0', b'0');
        let [century, year, month, day] = pairs(date)?.map(i64::from);
        let [_, hour, minute, second] = pairs(time)?.map(i64::from);
        let days = day_number(century * 100 + year, month, day)?;
        Some(Self { time: Timestamp::at(days, hour, minute, second)?, basic })
    }

    pub(crate) fn time(&self) -> Timestamp {
        self.time
    }

    pub(crate) fn basic(&self) -> &[u8; 16] {
        &self.basic
    }

    /// The day this time falls on, in UTC.
    pub(crate) fn date(&self) -> Date {
        Date::from_digits(*self.basic.first_chunk().expect("sixteen bytes hold eight"))
    }
}

impl From<Timestamp> for Stamp {
    fn from(time: Timestamp) -> Self {
        Self { time, basic: time.basic() }
    }
}

/// ISO 8601 extended format, `YYYY-MM-DDTHH:MM:SSZ`.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let basic = self.basic();
        let part = |range: std::ops::Range<usize>| std::str::from_utf8(&basic[range]).unwrap_or_default();
        write!(
            f,
            "{}-{}-{}T{}:{}:{}Z",
            part(0..4),
            part(4..6),
            part(6..8),
            part(9..11),
            part(11..13),
            part(13..15)
        )
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

fn number(digits: &[u8]) -> Option<i64> {
    // All digits are converted before the first is judged: one branch instead of one a digit.
    let value = |digit: &u8| digit.wrapping_sub(b'0');
    let legal = digits.iter().fold(true, |legal, digit| legal & (value(digit) < 10));
    let number = digits.iter().fold(0, |number, digit| number * 10 + u32::from(value(digit)));
    legal.then_some(number.into())
}

/// The four numbers that eight digits are, two digits each: in one register, a third of the work of one by one.
fn pairs(digits: [u8; 8]) -> Option<[u8; 4]> {
    let text = u64::from_le_bytes(digits);
    // The high half of every byte is 3, also after adding 6 to the low half, which 10 and more would overflow.
    let is_three = |text: u64| text & 0xf0f0_f0f0_f0f0_f0f0 == 0x3030_3030_3030_3030;
    if !is_three(text) || !is_three(text.wrapping_add(0x0606_0606_0606_0606)) {
        return None;
    }
    let values = text & 0x0f0f_0f0f_0f0f_0f0f;
    // Ten times the first digit, moved onto the second; what lands elsewhere is masked out by taking every other byte.
    let sums = (values * 10 + (values >> 8)).to_le_bytes();
    Some([sums[0], sums[2], sums[4], sums[6]])
}

fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

/// Days since the epoch in the proleptic Gregorian calendar; `None` for a day that does not exist.
fn day_number(year: i64, month: i64, day: i64) -> Option<i64> {
    let length = match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    if year == 0 || !(1..=length).contains(&day) {
        return None;
    }
    // Years start in March, so that the leap day is the last of its year.
    let (y, m) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    Some(
        y * 365 + y.div_euclid(4) - y.div_euclid(100) + y.div_euclid(400) + (153 * m + 2) / 5 + day
            - 1
            - 719_468,
    )
}

/// The inverse of [`day_number`]: year, month and day.
fn civil(days: i64) -> (u32, u32, u32) {
    // Not negative: days are counted from March of the year 0, and no time is before the year 1.
    let z = (days + 719_468) as u32;
    let (era, doe) = (z / 146_097, z % 146_097);
    let yoe = (doe - doe / 1_460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let (month, day) = (if mp < 10 { mp + 3 } else { mp - 9 }, doy - (153 * mp + 2) / 5 + 1);
    (yoe + era * 400 + u32::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_one_instant_parses_to_it() {
        let expected = Some(Timestamp::from_unix(1_440_938_160));
        assert_eq!(Timestamp::parse_basic(b"20150830T123600Z"), expected);
        assert_eq!(Timestamp::parse_extended(b"2015-08-30T12:36:00Z"), expected);
        assert_eq!(Timestamp::parse_extended(b"2015-08-30T12:36:00.123Z"), expected);
        assert_eq!(Timestamp::parse_http(b"Sun, 30 Aug 2015 12:36:00 GMT"), expected);
        assert_eq!(Timestamp::parse_http(b"Sun, 30 Aug 2015 12:36:00 +0000"), expected);
        assert_eq!(expected.map(Timestamp::basic).as_ref().map(|b| &b[..]), Some(&b"20150830T123600Z"[..]));
        assert_eq!(expected.map(|t| t.to_string()).as_deref(), Some("2015-08-30T12:36:00Z"));
    }

    #[test]
    fn every_day_of_nine_thousand_years_survives_the_round_trip() {
        for days in (MIN / DAY)..=(MAX / DAY) {
            let (year, month, day) = civil(days);
            assert_eq!(day_number(year.into(), month.into(), day.into()), Some(days), "{year}-{month}-{day}");
        }
    }

    #[test]
    fn refuses_what_is_not_a_time() {
        let bad: [&[u8]; 9] = [
            b"",
            b"20150830T123600",
            b"20150830t123600Z",
            b"20150229T000000Z",
            b"00000101T000000Z",
            b"20151301T000000Z",
            b"20150830T240000Z",
            b"20150630T235960Z",
            b"2015083\xff0T123600",
        ];
        for text in bad {
            assert_eq!(Timestamp::parse_basic(text), None, "{text:?}");
        }
        for text in [&b"Sun, 30 Aug 2015 12:36:00 PST"[..], b"Sunday, 30-Aug-15 12:36:00 GMT", b"Sun, 3"] {
            assert_eq!(Timestamp::parse_http(text), None, "{text:?}");
        }
    }
}
