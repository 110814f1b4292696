//! Percent-coding and the normal forms of path and query.
//!
//! Everything here works on the bytes of the wire: a path or a value need not be UTF-8, and reading it back
//! through a string or a URL type would lose what was signed.

mod query;

use std::borrow::Cow;

use memchr::memchr2;

use crate::canonical::Sink;
use crate::hex;
use crate::inline::Inline;
use crate::scan::{self, try_each};

#[cfg(test)]
pub(crate) use self::query::LISTED;
pub(crate) use self::query::{Encoded, Pair, Pairs, Query};

/// A `%` that does not introduce two hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MalformedEscape {
    /// Fewer than two bytes follow.
    #[error("incomplete trailing escape")]
    Incomplete,
    /// The two bytes that follow are not hexadecimal.
    #[error("illegal hexadecimal digit in an escape")]
    Illegal([u8; 2]),
}

impl MalformedEscape {
    /// The same fault as it is in `text`, of which only a part was read: what follows that part follows the `%` too.
    #[cold]
    pub(crate) fn in_whole(self, text: &[u8]) -> Self {
        check_escapes(text).err().unwrap_or(self)
    }
}

/// Percent-decodes a path. `+` stands for itself.
pub fn decode_path(path: &[u8]) -> Result<Cow<'_, [u8]>, MalformedEscape> {
    decode(path, b'+')
}

/// Percent-decodes a name or a value of a query. `+` stands for a space.
pub fn decode_query(text: &[u8]) -> Result<Cow<'_, [u8]>, MalformedEscape> {
    decode(text, b' ')
}

/// Percent-encodes every byte but unreserved ones (`A-Z a-z 0-9 - . _ ~`) and `/`.
pub fn encode_path(path: &[u8]) -> String {
    encode(path, Kept::Path)
}

/// Percent-encodes every byte but unreserved ones (`A-Z a-z 0-9 - . _ ~`).
pub fn encode_query(text: &[u8]) -> String {
    encode(text, Kept::Unreserved)
}

/// Splits a query at `&` and each piece at its first `=`, still encoded; skips empty pieces.
///
/// `;` is data. A piece without `=` has an empty value.
pub fn pairs(query: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    query.split(|&byte| byte == b'&').filter(|piece| !piece.is_empty()).map(|piece| {
        match piece.iter().position(|&byte| byte == b'=') {
            Some(at) => (&piece[..at], &piece[at + 1..]),
            None => (piece, &[][..]),
        }
    })
}

fn decode(text: &[u8], plus: u8) -> Result<Cow<'_, [u8]>, MalformedEscape> {
    if memchr2(b'%', b'+', text).is_none() {
        return Ok(Cow::Borrowed(text));
    }
    let mut out = Vec::with_capacity(text.len());
    put_decoded(&mut out, text, plus)?;
    Ok(Cow::Owned(out))
}

fn put_decoded(sink: &mut impl Sink, text: &[u8], plus: u8) -> Result<(), MalformedEscape> {
    let mut rest = text;
    while let Some(at) = memchr2(b'%', b'+', rest) {
        sink.put(&rest[..at]);
        let tail = &rest[at + 1..];
        let (byte, length) = if rest[at] == b'+' { (plus, 0) } else { (escaped(tail)?, 2) };
        sink.put(&[byte]);
        rest = &tail[length..];
    }
    sink.put(rest);
    Ok(())
}

/// Whether every `%` of `text` introduces two hexadecimal digits.
fn check_escapes(text: &[u8]) -> Result<(), MalformedEscape> {
    let check = |at: usize| text.get(at + 1..).map_or(Ok(()), |digits| escaped(digits).map(drop));
    try_each(text, |byte| byte == b'%', check)
}

/// The byte that the first two digits of `digits` stand for.
fn escaped(digits: &[u8]) -> Result<u8, MalformedEscape> {
    let &[high, low, ..] = digits else { return Err(MalformedEscape::Incomplete) };
    match (hex::digit_value(high), hex::digit_value(low)) {
        (h @ ..16, l @ ..16) => Ok(h << 4 | l),
        _ => Err(MalformedEscape::Illegal([high, low])),
    }
}

/// Which bytes stand for themselves in a normal form. RFC 3986, 2.3.
#[derive(Clone, Copy)]
enum Kept {
    /// `A-Z a-z 0-9 - . _ ~`
    Unreserved,
    /// These and `/`.
    Path,
}

impl Kept {
    /// Without branches, for [`scan`].
    #[inline]
    fn has(self, byte: u8) -> bool {
        let letter = (byte | 0x20).wrapping_sub(b'a') < 26;
        // `-`, `.`, `/` and the digits stand in a row: one comparison for all, and one more to leave `/` out.
        let in_row = byte.wrapping_sub(b'-') <= b'9' - b'-';
        let slash = matches!(self, Self::Path) | (byte != b'/');
        letter | (in_row & slash) | (byte == b'_') | (byte == b'~')
    }
}

const fn percent(byte: u8) -> [u8; 3] {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    [b'%', DIGITS[(byte >> 4) as usize], DIGITS[(byte & 15) as usize]]
}

fn encode(text: &[u8], kept: Kept) -> String {
    let mut out = String::with_capacity(text.len());
    for &byte in text {
        if kept.has(byte) {
            out.push(char::from(byte));
        } else {
            out.extend(percent(byte).map(char::from));
        }
    }
    out
}

/// What a raw `+` in a path means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Plus {
    Literal,
    Space,
}

/// A path without malformed escapes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Path<'a> {
    wire: &'a [u8],
    /// Whether it is all bytes that stand for themselves, as most paths are.
    is_plain: bool,
}

impl<'a> Path<'a> {
    pub(crate) fn read(wire: &'a [u8]) -> Result<Self, MalformedEscape> {
        let is_plain = scan::all(wire, |byte| Kept::Path.has(byte));
        if !is_plain {
            check_escapes(wire)?;
        }
        Ok(Self { wire, is_plain })
    }

    pub(crate) fn as_wire(&self) -> &'a [u8] {
        self.wire
    }

    /// Amazon S3's canonical path: decoded and encoded once, never normalised.
    ///
    /// Source: <https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html>
    pub(crate) fn put_s3(&self, sink: &mut impl Sink, plus: Plus) {
        if self.is_plain { sink.put(self.wire) } else { recode(sink, self.wire, Kept::Path, plus) }
    }
}

/// Every other service's canonical path: the wire form, encoded once more, with dot segments and empty
/// segments removed if `normalize`.
///
/// Source: <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html>
pub(crate) fn put_generic_path(sink: &mut impl Sink, path: &[u8], normalize: bool) {
    if !normalize {
        return encode_wire(sink, path);
    }
    let mut segments = Inline::<&[u8], 16>::new();
    let mut depth = 0;
    for segment in path.split(|&byte| byte == b'/') {
        match segment {
            b"" | b"." => {}
            b".." => depth = usize::saturating_sub(depth, 1),
            name => {
                match segments.as_mut_slice().get_mut(depth) {
                    Some(slot) => *slot = name,
                    None => segments.push(name),
                }
                depth += 1;
            }
        }
    }
    for segment in &segments.as_slice()[..depth] {
        sink.put_byte(b'/');
        encode_wire(sink, segment);
    }
    if depth == 0 || path.ends_with(b"/") || path.ends_with(b"/.") || path.ends_with(b"/..") {
        sink.put_byte(b'/');
    }
}

fn encode_wire(sink: &mut impl Sink, text: &[u8]) {
    let mut run = 0;
    let encode = |at: usize| {
        sink.put(&text[run..at]);
        if let Some(&byte) = text.get(at) {
            sink.put(&percent(byte));
        }
        run = at + 1;
    };
    scan::each(text, |byte| !Kept::Path.has(byte), encode);
}

/// Decodes and encodes again, copying whole runs of what is in its normal form already.
///
/// Total: a malformed escape, which no caller lets through, would be encoded like any other byte.
fn recode(sink: &mut impl Sink, text: &[u8], kept: Kept, plus: Plus) {
    let mut run = 0;
    let recode = |at: usize| {
        let (value, next) = match text.get(at) {
            None => return sink.put(&text[run..]),
            Some(b'%') => escaped(&text[at + 1..]).map_or((b'%', at + 1), |value| (value, at + 3)),
            Some(b'+') if plus == Plus::Space => (b' ', at + 1),
            Some(&other) => (other, at + 1),
        };
        let normal = percent(value);
        if kept.has(value) || text[at..next] != normal {
            sink.put(&text[run..at]);
            sink.put(if kept.has(value) { std::slice::from_ref(&value) } else { &normal });
            run = next;
        }
    };
    scan::each(text, |byte| !kept.has(byte), recode);
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn text(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn s3_paths_are_encoded_once_and_never_normalised() {
        let table: [(&[u8], &str); 9] = [
            (b"/", "/"),
            (b"/a//b/./../c/", "/a//b/./../c/"),
            (b"/%41%2f%2Fb", "/A//b"),
            (b"/a b", "/a%20b"),
            (b"/!'()*:@&=+$,;", "/%21%27%28%29%2A%3A%40%26%3D%2B%24%2C%3B"),
            (b"/%7e%2D%e1%88%b4", "/~-%E1%88%B4"),
            (b"/\xe1\x88\xb4\xff", "/%E1%88%B4%FF"),
            (b"/%2520%23%3F", "/%2520%23%3F"),
            (b"/a%2Bb", "/a%2Bb"),
        ];
        for (wire, expected) in table {
            assert_eq!(text(|out| Path::read(wire).unwrap().put_s3(out, Plus::Literal)), expected);
        }
        assert_eq!(text(|out| Path::read(b"/a+b%2Bc").unwrap().put_s3(out, Plus::Space)), "/a%20b%2Bc");
    }

    #[test]
    fn generic_paths_are_normalised_and_encoded_twice() {
        let table: [(&[u8], &str); 12] = [
            (b"/", "/"),
            (b"//", "/"),
            (b"", "/"),
            (b"/./", "/"),
            (b"/example/..", "/"),
            (b"/a/b/../..", "/"),
            (b"/../a", "/a"),
            (b"//example//", "/example/"),
            (b"/a/./b", "/a/b"),
            (b"/a/../b/../c/.", "/c/"),
            (b"/arn%3Aaws:x", "/arn%253Aaws%3Ax"),
            (b"/a%20b c", "/a%2520b%20c"),
        ];
        for (wire, expected) in table {
            assert_eq!(text(|out| put_generic_path(out, wire, true)), expected, "{wire:?}");
        }
        assert_eq!(text(|out| put_generic_path(out, b"//a/./b", false)), "//a/./b");
    }

    #[test]
    fn refuses_malformed_escapes() {
        for bad in ["%", "a%4", "%zz", "%+1", "ok%20%g0"] {
            assert!(check_escapes(bad.as_bytes()).is_err(), "{bad}");
            assert!(decode_path(bad.as_bytes()).is_err(), "{bad}");
            assert!(decode_query(bad.as_bytes()).is_err(), "{bad}");
        }
        assert_eq!(check_escapes(b"%zz"), Err(MalformedEscape::Illegal(*b"zz")));
        assert_eq!(check_escapes(b"a%4"), Err(MalformedEscape::Incomplete));
        let query = |wire: &'static [u8]| Query::read(Some(wire), |_| true).err();
        assert_eq!(query(b"a=%4&X-Amz-SignedHeaders=host"), Some(MalformedEscape::Illegal(*b"4&")));
        assert_eq!(query(b"a=%4"), Some(MalformedEscape::Incomplete));
    }

    #[test]
    fn decoding_knows_what_plus_means() {
        assert_eq!(&*decode_path(b"/a+b%2Bc").unwrap(), b"/a+b+c");
        assert_eq!(&*decode_query(b"a+b%2Bc").unwrap(), b"a b+c");
        assert!(matches!(decode_query(b"plain"), Ok(Cow::Borrowed(_))));
        assert_eq!(encode_path(b"/a b\xff"), "/a%20b%FF");
        assert_eq!(encode_query(b"/~"), "%2F~");
    }
}
