//! Percent-decoding of one path or of one component of a query.

use std::borrow::Cow;

/// Replaces every `%XX` by its byte. Nothing else changes: `+` stays `+`.
///
/// `None` if a `%` is not followed by two hexadecimal digits.
///
/// Source: <https://www.rfc-editor.org/rfc/rfc3986#section-2.1>
pub(super) fn decode(wire: &[u8]) -> Option<Cow<'_, [u8]>> {
    let Some(first) = wire.iter().position(|&b| b == b'%') else {
        return Some(Cow::Borrowed(wire));
    };
    let (plain, mut rest) = wire.split_at(first);
    let mut out = Vec::with_capacity(wire.len());
    out.extend_from_slice(plain);
    while let Some((&byte, after)) = rest.split_first() {
        if byte == b'%' {
            let (pair, after) = after.split_first_chunk::<2>()?;
            out.push(hex_digit(pair[0])? << 4 | hex_digit(pair[1])?);
            rest = after;
        } else {
            out.push(byte);
            rest = after;
        }
    }
    Some(Cow::Owned(out))
}

fn hex_digit(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decodes_once_and_only_escapes() {
        for (wire, expected) in [
            (&b"a+b"[..], &b"a+b"[..]),
            (b"%41%2f%2F", b"A//"),
            (b"%2541", b"%41"),
            (b"%00%ff", b"\0\xff"),
            (b"", b""),
        ] {
            assert_eq!(decode(wire).as_deref(), Some(expected));
        }
    }

    #[test]
    fn refuses_broken_escapes() {
        for wire in [&b"%"[..], b"%4", b"a%zz", b"%+1", b"%%41"] {
            assert_eq!(decode(wire), None, "{wire:?}");
        }
    }
}
