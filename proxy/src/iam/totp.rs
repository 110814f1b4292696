//! One-time codes that a device shows for thirty seconds.
//!
//! Source: <https://www.rfc-editor.org/rfc/rfc6238>, with the parameters of AWS: SHA-1, six digits.

use std::fmt;

use ring::hmac;
use zeroize::Zeroizing;

use crate::clock::UnixMillis;

/// Seconds a code is shown.
const STEP_SECONDS: i64 = 30;

/// The shared secret of an MFA device, wiped when dropped.
pub struct TotpSecret(Zeroizing<Vec<u8>>);

impl TotpSecret {
    /// Reads base 32, in any case, with or without spaces and padding: at least eighty bits.
    ///
    /// Source: <https://www.rfc-editor.org/rfc/rfc4648#section-6>
    pub fn parse(text: &[u8]) -> Option<Self> {
        const LEAST_BYTES: usize = 10;
        let mut bytes = Zeroizing::new(Vec::with_capacity(text.len() * 5 / 8));
        let (mut bits, mut count) = (0_u16, 0);
        let text = text.trim_ascii_end();
        let digits = text.iter().rposition(|&b| b != b'=').map_or(&text[..0], |last| &text[..=last]);
        for digit in digits.iter().filter(|&&b| b != b' ' && b != b'-') {
            let value = match digit.to_ascii_uppercase() {
                letter @ b'A'..=b'Z' => letter - b'A',
                number @ b'2'..=b'7' => number - b'2' + 26,
                _ => return None,
            };
            bits = bits << 5 | u16::from(value);
            count += 5;
            if count >= 8 {
                count -= 8;
                bytes.push((bits >> count) as u8);
            }
        }
        (bytes.len() >= LEAST_BYTES).then_some(Self(bytes))
    }

    /// The step, as counted since 1970, whose code is `code`: that of `now`, the one before or the one after, since
    /// clocks differ. `None` if it is the code of none of them.
    pub fn step(&self, code: &str, now: UnixMillis) -> Option<i64> {
        let current = now.0.div_euclid(1_000 * STEP_SECONDS);
        let shown = |step: &i64| same(&self.code(*step), code.as_bytes());
        [current, current - 1, current + 1].into_iter().find(shown)
    }

    fn code(&self, step: i64) -> [u8; 6] {
        let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &self.0);
        let tag = hmac::sign(&key, &step.to_be_bytes());
        let tag = tag.as_ref();
        let offset = usize::from(tag[tag.len() - 1] & 0xf);
        let bytes = [tag[offset], tag[offset + 1], tag[offset + 2], tag[offset + 3]];
        let mut number = (u32::from_be_bytes(bytes) & 0x7fff_ffff) % 1_000_000;
        let mut digits = [0; 6];
        for digit in digits.iter_mut().rev() {
            *digit = b'0' + (number % 10) as u8;
            number /= 10;
        }
        digits
    }
}

impl fmt::Debug for TotpSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TotpSecret(***)")
    }
}

/// Compares in constant time, though whoever can measure that has a million guesses to make in half a minute.
fn same(one: &[u8], other: &[u8]) -> bool {
    one.len() == other.len() && one.iter().zip(other).fold(0, |differs, (a, b)| differs | (a ^ b)) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `12345678901234567890`, the secret of the RFC.
    const SEED: &str = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";

    fn step(code: &str, seconds: i64) -> Option<i64> {
        TotpSecret::parse(SEED.as_bytes()).unwrap().step(code, UnixMillis(seconds * 1_000))
    }

    #[test]
    fn a_secret_is_base32_as_people_copy_it() {
        for text in
            [SEED, "gezd gnbv gy3t qojq gezd gnbv gy3t qojq\n", "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ===="]
        {
            assert_eq!(&*TotpSecret::parse(text.as_bytes()).unwrap().0, b"12345678901234567890", "{text}");
        }
        for text in ["", "GEZDGNBVGY3TQOJ", "GEZDGNBVGY3TQOJ1GEZDGNBVGY3TQOJQ", "!", "===="] {
            assert!(TotpSecret::parse(text.as_bytes()).is_none(), "{text}");
        }
    }

    #[test]
    fn debug_shows_no_secret() {
        assert_eq!(format!("{:?}", TotpSecret::parse(SEED.as_bytes()).unwrap()), "TotpSecret(***)");
    }

    /// The last six of the eight digits that the RFC lists.
    #[test]
    fn codes_are_those_of_the_rfc() {
        for (seconds, code) in [
            (59, "287082"),
            (1_111_111_109, "081804"),
            (1_111_111_111, "050471"),
            (1_234_567_890, "005924"),
            (2_000_000_000, "279037"),
            (20_000_000_000, "353130"),
        ] {
            assert_eq!(step(code, seconds), Some(seconds / 30), "{seconds}");
        }
    }

    #[test]
    fn one_step_of_drift_is_borne_and_no_more() {
        for (seconds, expected) in [(29, Some(1)), (30, Some(1)), (89, Some(1)), (90, None), (-1, None)] {
            assert_eq!(step("287082", seconds), expected, "{seconds}");
        }
    }

    #[test]
    fn what_is_no_code_is_none() {
        for code in ["", "28708", "2870820", "287083", "abcdef"] {
            assert_eq!(step(code, 59), None, "{code}");
        }
    }
}
