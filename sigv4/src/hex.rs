//! Hexadecimal digits, two for each byte.

/// Lower-case digits.
pub fn encode(bytes: &[u8]) -> String {
    bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]).map(|value| char::from(digit(value))).collect()
}

/// The 32 bytes that 64 hexadecimal digits of either case stand for.
pub fn decode(digits: &[u8]) -> Option<[u8; 32]> {
    decode_with(digits, |digit| digit | 0x20)
}

/// The 32 bytes that 64 lower-case digits stand for.
#[inline]
pub(crate) fn decode_lower_hash(digits: &[u8]) -> Option<[u8; 32]> {
    decode_with(digits, |digit| digit)
}

/// Reads letters as `letter` makes them.
///
/// Three loops without branches, each of which becomes a few vector instructions; in one they would not.
#[inline]
fn decode_with(digits: &[u8], letter: impl Fn(u8) -> u8) -> Option<[u8; 32]> {
    let digits: &[u8; 64] = digits.try_into().ok()?;
    let number = |digit: u8| digit.wrapping_sub(b'0');
    let letter = |digit: u8| letter(digit).wrapping_sub(b'a');
    let legal =
        digits.iter().fold(true, |legal, &digit| legal & ((number(digit) < 10) | (letter(digit) < 6)));
    let mut values = [0; 64];
    for (value, &digit) in values.iter_mut().zip(digits) {
        // Of a legal digit the other one is far above.
        *value = number(digit).min(letter(digit).wrapping_add(10));
    }
    let mut out = [0; 32];
    for (byte, pair) in out.iter_mut().zip(values.as_chunks().0) {
        // The first digit is the high one: shifted up by four, it meets the second shifted down by eight.
        let pair = u16::from_le_bytes(*pair);
        *byte = (pair << 4 | pair >> 8) as u8;
    }
    legal.then_some(out)
}

/// Fills `out` with the bytes that lower-case digits stand for; false, and nothing of worth in `out`, if that is not
/// what `digits` are or not as many.
pub(crate) fn decode_lower(digits: &[u8], out: &mut [u8]) -> bool {
    let (pairs, rest) = digits.as_chunks();
    let mut legal = rest.is_empty() && pairs.len() == out.len();
    for (byte, [high, low]) in out.iter_mut().zip(pairs) {
        let (high, low) = (digit_value(*high), digit_value(*low));
        legal &= high < 16 && low < 16;
        *byte = high << 4 | low & 15;
    }
    legal && !digits.iter().any(u8::is_ascii_uppercase)
}

/// The value of a hexadecimal digit; more than 15 if it is none.
pub(crate) fn digit_value(digit: u8) -> u8 {
    let (number, letter) = (digit.wrapping_sub(b'0'), (digit | 0x20).wrapping_sub(b'a'));
    if number < 10 {
        number
    } else if letter < 6 {
        letter + 10
    } else {
        u8::MAX
    }
}

/// Lower-case hexadecimal of 32 bytes, without allocating.
#[inline]
pub(crate) fn encode_hash(bytes: &[u8; 32]) -> [u8; 64] {
    let mut values = [0; 64];
    for (pair, &byte) in values.as_chunks_mut().0.iter_mut().zip(bytes) {
        let byte = u16::from(byte);
        *pair = ((byte >> 4 | byte << 8) & 0x0f0f).to_le_bytes();
    }
    values.map(digit)
}

/// The lower-case digit of a value below 16.
fn digit(value: u8) -> u8 {
    value + if value < 10 { b'0' } else { b'a' - 10 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_survives_the_round_trip_in_either_case() {
        let bytes: Vec<u8> = (0..=255).collect();
        for hash in bytes.as_chunks::<32>().0 {
            let text = encode(hash);
            assert_eq!(text.as_bytes(), encode_hash(hash));
            assert_eq!(decode(text.as_bytes()), Some(*hash));
            assert_eq!(decode(text.to_uppercase().as_bytes()), Some(*hash));
            assert_eq!(decode_lower_hash(text.as_bytes()), Some(*hash));
        }
        assert_eq!(encode(b"\x00\x0f\xa0"), "000fa0");
        assert!(decode(&[b'g'; 64]).is_none() && decode(b"00").is_none());
    }

    #[test]
    fn every_byte_is_judged_as_a_digit_wherever_it_stands() {
        for at in [0, 31, 63] {
            for byte in 0..=u8::MAX {
                let mut digits = [b'0'; 64];
                digits[at] = byte;
                assert_eq!(decode(&digits).is_some(), byte.is_ascii_hexdigit(), "{byte:#x}");
                let is_lower = byte.is_ascii_hexdigit() && !byte.is_ascii_uppercase();
                assert_eq!(decode_lower_hash(&digits).is_some(), is_lower, "{byte:#x}");
            }
        }
    }

    #[test]
    fn lower_case_digits_of_any_number_are_read_and_no_others() {
        let mut out = [0; 3];
        assert!(decode_lower(b"00ff1a", &mut out));
        assert_eq!(out, [0, 0xff, 0x1a]);
        for bad in [
            &b"00ff1"[..],
            b"00ff1a0",
            b"00ff1a00",
            b"00ff",
            b"",
            b"00FF1a",
            b"00fg1a",
            b"0g0000",
            b"00ff\xff0",
        ] {
            assert!(!decode_lower(bad, &mut out), "{bad:?}");
        }
        assert!(decode_lower(b"", &mut []));
    }
}
