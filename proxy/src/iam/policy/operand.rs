//! Numbers, dates and networks as policies write them.

use std::net::IpAddr;

use sigv4::Timestamp;

use crate::clock::UnixMillis;

/// A decimal number, in units of 10⁻⁹. Exact, so that `0.1` equals `0.10` and large integers keep their last digit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Decimal(i128);

impl Decimal {
    const SCALE: u32 = 9;

    pub(super) fn from_integer(number: i64) -> Self {
        Self(i128::from(number) * 10_i128.pow(Self::SCALE))
    }

    /// An optional sign, up to 28 digits, and up to 9 behind a point. Digits beyond those would be lost, so that
    /// such a number is none.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (negative, digits) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
        let all_digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        if !all_digits(whole) || !all_digits(fraction) || whole.len() > 28 || fraction.len() > 9 {
            return None;
        }
        let padding = std::iter::repeat_n(b'0', Self::SCALE as usize - fraction.len());
        let digits = whole.bytes().chain(fraction.bytes()).chain(padding);
        let units = digits.fold(0_i128, |units, digit| units * 10 + i128::from(digit - b'0'));
        Some(Self(if negative { -units } else { units }))
    }
}

/// A date of a policy or of a context: ISO 8601 in the W3C profile, or seconds since 1970.
///
/// A time of day needs its zone. Four digits are a year.
///
/// Source: <https://www.w3.org/TR/NOTE-datetime>
pub(super) fn parse_date(text: &str) -> Option<UnixMillis> {
    let (negative, digits) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    let numeric = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    if numeric && (negative || digits.len() != 4) {
        let seconds: i64 = text.parse().ok()?;
        return seconds.checked_mul(1000).map(UnixMillis);
    }
    let (date, time) = text.split_once('T').map_or((text, None), |(date, time)| (date, Some(time)));
    let mut parts = date.split('-');
    let year = number(parts.next()?, 4)?;
    let month = parts.next().map(|month| number(month, 2));
    let day = parts.next().map(|day| number(day, 2));
    if parts.next().is_some() || (time.is_some() && day.is_none()) {
        return None;
    }
    let midnight = midnight(year, month.unwrap_or(Some(1))?, day.unwrap_or(Some(1))?)?;
    Some(midnight.plus(time.map_or(Some(0), parse_time)?))
}

/// `hh:mm[:ss[.fraction]]` and a zone, as milliseconds since midnight UTC.
fn parse_time(text: &str) -> Option<i64> {
    let (clock, offset) = match text.strip_suffix('Z') {
        Some(clock) => (clock, 0),
        None => {
            let (clock, zone) = text.split_at_checked(text.len().checked_sub(6)?)?;
            let (hours, minutes) = zone.get(1..)?.split_once(':')?;
            let minutes = bounded(number(hours, 2)?, 23)? * 60 + bounded(number(minutes, 2)?, 59)?;
            (clock, if zone.starts_with('+') { minutes } else { zone.starts_with('-').then_some(-minutes)? })
        }
    };
    let mut parts = clock.split(':');
    let hours = bounded(number(parts.next()?, 2)?, 23)?;
    let minutes = bounded(number(parts.next()?, 2)?, 59)?;
    let millis = parts.next().map_or(Some(0), |seconds| {
        let (whole, fraction) = seconds.split_once('.').unwrap_or((seconds, "0"));
        if fraction.is_empty() || !fraction.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        let fraction = fraction.bytes().chain(*b"000").take(3).fold(0, |n, d| n * 10 + i64::from(d - b'0'));
        Some(bounded(number(whole, 2)?, 59)? * 1000 + fraction)
    })?;
    parts.next().is_none().then_some((hours * 60 + minutes - offset) * 60_000 + millis)
}

fn number(text: &str, digits: usize) -> Option<i64> {
    (text.len() == digits && text.bytes().all(|b| b.is_ascii_digit())).then(|| text.parse().ok())?
}

fn bounded(number: i64, most: i64) -> Option<i64> {
    (number <= most).then_some(number)
}

/// `None` for a day that no calendar has.
fn midnight(year: i64, month: i64, day: i64) -> Option<UnixMillis> {
    let digit =
        |number: i64, power: i64| u8::try_from(number / power % 10).map_or(b'0', |digit| b'0' + digit);
    let mut text = *b"0000-00-00T00:00:00Z";
    for (at, value) in
        [(0, digit(year, 1000)), (1, digit(year, 100)), (2, digit(year, 10)), (3, digit(year, 1))]
    {
        text[at] = value;
    }
    for (at, number) in [(5, month), (8, day)] {
        text[at] = digit(number, 10);
        text[at + 1] = digit(number, 1);
    }
    Timestamp::parse_extended(&text).map(UnixMillis::from_timestamp)
}

/// An address, or a range of them in CIDR notation. IPv4 addresses within IPv6 count as IPv4.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    /// Host bits cleared.
    address: IpAddr,
    prefix: u32,
}

impl Network {
    /// Reads `10.0.0.0/8`, `2001:db8::/32`, or one address. Bits beyond the prefix do not count.
    pub fn parse(text: &str) -> Option<Self> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => {
                let digits = !prefix.is_empty() && prefix.bytes().all(|b| b.is_ascii_digit());
                (address, Some(prefix.parse::<u32>().ok().filter(|_| digits)?))
            }
            None => (text, None),
        };
        let parsed: IpAddr = address.parse().ok()?;
        let (width, canonical) = (width(parsed), parsed.to_canonical());
        let prefix = prefix.unwrap_or(width);
        if prefix > width {
            return None;
        }
        // ::ffff:10.0.0.0/104 is 10.0.0.0/8; a range wider than the mapped addresses stays one of IPv6.
        match (parsed, canonical) {
            (IpAddr::V6(_), IpAddr::V4(_)) if prefix >= 96 => Some(Self::new(canonical, prefix - 96)),
            _ => Some(Self::new(parsed, prefix)),
        }
    }

    fn new(address: IpAddr, prefix: u32) -> Self {
        Self { address: masked(address, prefix), prefix }
    }

    /// Whether the address lies within.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        address.is_ipv4() == self.address.is_ipv4() && masked(address, self.prefix) == self.address
    }
}

fn width(address: IpAddr) -> u32 {
    if address.is_ipv4() { 32 } else { 128 }
}

fn masked(address: IpAddr, prefix: u32) -> IpAddr {
    match address {
        IpAddr::V4(v4) => IpAddr::V4((v4.to_bits() & u32::MAX.checked_shl(32 - prefix).unwrap_or(0)).into()),
        IpAddr::V6(v6) => {
            IpAddr::V6((v6.to_bits() & u128::MAX.checked_shl(128 - prefix).unwrap_or(0)).into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_compared_by_value() {
        let decimal = |text| Decimal::parse(text).unwrap();
        assert_eq!(decimal("0.1"), decimal("+00.10"));
        assert_eq!(decimal("10"), Decimal::from_integer(10));
        assert!(decimal("-1.5") < decimal("-1"));
        assert!(decimal("9223372036854775807") < decimal("9223372036854775808"));
        for text in ["", "-", "1e3", "1.", ".5", "0x10", "1,5", " 1", "0.1234567891", "١"] {
            assert_eq!(Decimal::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn dates_are_those_of_the_w3c_profile_or_epoch_seconds() {
        for (text, expected) in [
            ("2020", "2020-01-01T00:00:00.000Z"),
            ("2020-07", "2020-07-01T00:00:00.000Z"),
            ("2020-02-29", "2020-02-29T00:00:00.000Z"),
            ("2020-07-16T19:20Z", "2020-07-16T19:20:00.000Z"),
            ("2020-07-16T19:20+01:00", "2020-07-16T18:20:00.000Z"),
            ("2020-07-16T19:20:30-02:30", "2020-07-16T21:50:30.000Z"),
            ("2020-07-16T19:20:30.4567Z", "2020-07-16T19:20:30.456Z"),
            ("0", "1970-01-01T00:00:00.000Z"),
            ("1594926030", "2020-07-16T19:00:30.000Z"),
        ] {
            assert_eq!(parse_date(text).map(UnixMillis::to_rfc3339).as_deref(), Some(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_date_is_none() {
        for text in [
            "",
            "-",
            "soon",
            "2021-02-29",
            "2020-13-01",
            "2020-1-1",
            "2020-07-16T19:20",
            "2020-07-16T24:00Z",
            "2020-07-16T19:60Z",
            "2020-07-16T19:20:30",
            "2020-07-16T19:20:30.Z",
            "2020-07-16T19:20:30*01:00",
            "2020-07T19:20Z",
            "2020-07-16T1é:20Z",
            "99999999999999999999",
        ] {
            assert_eq!(parse_date(text), None, "{text:?}");
        }
    }

    #[test]
    fn networks_hold_their_addresses_and_no_others() {
        for (network, inside, outside) in [
            ("203.0.113.0/24", "203.0.113.255", "203.0.114.0"),
            ("203.0.113.7/24", "203.0.113.0", "203.0.112.255"),
            ("192.0.2.1", "192.0.2.1", "192.0.2.2"),
            ("192.0.2.1", "::ffff:192.0.2.1", "::192.0.2.1"),
            ("0.0.0.0/0", "255.255.255.255", "::1"),
            ("2001:db8::/32", "2001:db8:ffff::1", "2001:db9::"),
            ("::/0", "::1", "10.0.0.1"),
            ("::ffff:10.0.0.0/104", "10.255.0.1", "11.0.0.1"),
        ] {
            let parsed = Network::parse(network).unwrap();
            assert!(parsed.contains(inside.parse().unwrap()), "{inside} in {network}");
            assert!(!parsed.contains(outside.parse().unwrap()), "{outside} not in {network}");
        }
    }

    #[test]
    fn what_is_no_network_is_none() {
        for text in
            ["", "10", "10.0.0.0/33", "10.0.0.0/", "10.0.0.0/+8", "::/129", "10.0.0.0/8/8", "010.0.0.1"]
        {
            assert_eq!(Network::parse(text), None, "{text:?}");
        }
    }
}
