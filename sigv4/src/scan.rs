//! Searching bytes many at a time: most of what arrives is long runs of ordinary bytes.

use memchr::{memchr, memrchr};

/// What is before and after the first `separator`, if there is one.
pub(crate) fn cut(text: &[u8], separator: u8) -> Option<(&[u8], &[u8])> {
    memchr(separator, text).map(|at| (&text[..at], &text[at + 1..]))
}

/// What is before and after the last `separator`, if there is one.
pub(crate) fn rcut(text: &[u8], separator: u8) -> Option<(&[u8], &[u8])> {
    memrchr(separator, text).map(|at| (&text[..at], &text[at + 1..]))
}

/// The pieces between `separator`s: one more than there are separators.
pub(crate) fn split(text: &[u8], separator: u8) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(text);
    std::iter::from_fn(move || match cut(rest?, separator) {
        Some((piece, tail)) => {
            rest = Some(tail);
            Some(piece)
        }
        None => rest.take(),
    })
}

/// The positions of all bytes for which `stop` holds, however close to each other, looking at each byte once.
///
/// Sixteen bytes are looked at together. If `stop` does not branch, the compiler uses vector instructions.
#[inline]
pub(crate) fn positions(text: &[u8], stop: impl Fn(u8) -> bool) -> impl Iterator<Item = usize> {
    let (blocks, tail) = text.as_chunks();
    let mut last = [0; BLOCK];
    last[..tail.len()].copy_from_slice(tail);
    let mut blocks = blocks.iter().copied().chain([last]).enumerate();
    let (mut start, mut left) = (0, 0_u128);
    std::iter::from_fn(move || {
        while left == 0 {
            let (number, block) = blocks.next()?;
            (start, left) = (number * BLOCK, marks(&block, &stop));
        }
        let offset = left.trailing_zeros() as usize / 8;
        left &= !(0xff << (offset * 8));
        Some(start + offset).filter(|&at| at < text.len())
    })
}

/// Bytes that are looked at together.
const BLOCK: usize = 16;

/// Sixteen bytes: all ones where `stop` holds for the byte of `block`, zero elsewhere. That is what a comparison
/// of vectors yields, so that nothing has to be converted.
#[inline]
fn marks(block: &[u8; BLOCK], stop: impl Fn(u8) -> bool) -> u128 {
    let mut marks = [0; BLOCK];
    for (mark, byte) in marks.iter_mut().zip(block) {
        *mark = if stop(*byte) { u8::MAX } else { 0 };
    }
    u128::from_le_bytes(marks)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_are_those_of_a_plain_search() {
        for length in 0..70 {
            for gap in [1, 2, 3, 7, 15, 16, 17, 40] {
                let text: Vec<u8> = (0..length).map(|at| u8::from(at % gap == 0)).collect();
                assert!(positions(&text, |byte| byte == 1).eq((0..length).step_by(gap)), "{length} {gap}");
                assert!(positions(&text, |byte| byte == 2).next().is_none());
            }
        }
    }

    #[test]
    fn splitting_is_that_of_slices() {
        for text in ["", ";", "a", "a;b", ";a;", "host;x-amz-content-sha256;x-amz-date;;x-amz-security-token"]
        {
            let expected = text.as_bytes().split(|&byte| byte == b';');
            assert!(split(text.as_bytes(), b';').eq(expected), "{text}");
        }
    }

    #[test]
    fn cutting_leaves_the_separator_out() {
        assert_eq!(cut(b"a/b/c", b'/'), Some((&b"a"[..], &b"b/c"[..])));
        assert_eq!(rcut(b"a/b/c", b'/'), Some((&b"a/b"[..], &b"c"[..])));
        assert_eq!(cut(b"", b'/').or(rcut(b"abc", b'/')), None);
    }
}
