//! Searching bytes many at a time: most of what arrives is long runs of ordinary bytes.

use std::convert::Infallible;

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

/// Calls `each` with the position of every byte for which `stop` holds and at last with the end, in order, until it
/// fails.
///
/// Many bytes are looked at together. If `stop` does not branch, the compiler uses vector instructions. A callback and
/// no iterator: the state between two positions then stays in registers, at half the instructions.
#[inline]
pub(crate) fn try_each<E>(
    text: &[u8],
    stop: impl Fn(u8) -> bool,
    mut each: impl FnMut(usize) -> Result<(), E>,
) -> Result<(), E> {
    let mut start = 0;
    while start <= text.len() {
        let rest = &text[start..];
        let mut left = match rest.first_chunk() {
            Some(block) => marks(block, &stop),
            None => last_marks(text, rest, &stop),
        };
        while left != 0 {
            each(start + left.trailing_zeros() as usize)?;
            left &= left - 1;
        }
        start += BLOCK;
    }
    Ok(())
}

/// As [`try_each`], without failing.
#[inline]
pub(crate) fn each(text: &[u8], stop: impl Fn(u8) -> bool, mut each: impl FnMut(usize)) {
    let Ok(()) = try_each(text, stop, |at| {
        each(at);
        Ok::<(), Infallible>(())
    });
}

/// The marks of `tail`, which ends `text` and is less than a block, and one more for the end.
#[inline]
fn last_marks(text: &[u8], tail: &[u8], stop: impl Fn(u8) -> bool) -> u32 {
    let end = 1 << tail.len();
    let marks = match text.last_chunk() {
        _ if tail.is_empty() => 0,
        // It overlaps the block before: less work than to copy the tail into one of its own.
        Some(block) => marks(block, stop) >> (BLOCK - tail.len()),
        None => {
            let mut block = [0; BLOCK];
            block[..tail.len()].copy_from_slice(tail);
            marks(&block, stop) & (end - 1)
        }
    };
    marks | end
}

/// Whether `test` holds for every byte. It must not branch; then many bytes are looked at together, and looking at
/// them all costs less than stopping early would save.
#[inline]
pub(crate) fn all(text: &[u8], test: impl Fn(u8) -> bool) -> bool {
    let of = |bytes: &[u8]| bytes.iter().fold(true, |all, &byte| all & test(byte));
    let (blocks, tail) = text.as_chunks::<VECTOR>();
    let rest = match text.last_chunk::<VECTOR>() {
        // It overlaps the block before: less work than to go through the tail byte by byte.
        Some(last) if !tail.is_empty() => of(last),
        Some(_) => true,
        None => of(tail),
    };
    blocks.iter().fold(rest, |all, block| all & of(block))
}

/// Bytes of one vector.
const VECTOR: usize = 16;

/// Bytes that are looked at together.
const BLOCK: usize = 32;

/// One bit for each byte of `block`, set where `stop` holds for it.
///
/// The first loop becomes a few comparisons of vectors, which yield bytes of all ones or zero, 80 instructions in all.
/// Written with bits from the start, or for sixteen bytes, it would be taken apart into comparisons of single bytes.
#[inline]
fn marks(block: &[u8; BLOCK], stop: impl Fn(u8) -> bool) -> u32 {
    let mut marks = [0; BLOCK];
    for (mark, byte) in marks.iter_mut().zip(block) {
        *mark = if stop(*byte) { u8::MAX } else { 0 };
    }
    let eights = [0, 1, 2, 3].map(|number| u64::from_le_bytes(marks.as_chunks().0[number]));
    // As in a long token: nothing to gather.
    if eights.iter().fold(0, |all, eight| all | eight) == 0 {
        return 0;
    }
    let [a, b, c, d] = eights.map(gather);
    a | b << 8 | c << 16 | d << 24
}

/// The lowest bit of each of eight bytes: the product moves each to a place of its own in the highest byte.
fn gather(marks: u64) -> u32 {
    ((marks & 0x0101_0101_0101_0101).wrapping_mul(0x0102_0408_1020_4080) >> 56) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_are_those_of_a_plain_search() {
        for length in 0..70 {
            for gap in [1, 2, 3, 7, 15, 16, 17, 40] {
                let text: Vec<u8> = (0..length).map(|at| u8::from(at % gap == 0)).collect();
                let found = |wanted| {
                    let mut found = Vec::new();
                    each(&text, |byte| byte == wanted, |at| found.push(at));
                    found
                };
                let expected: Vec<_> = (0..length).step_by(gap).chain([length]).collect();
                assert_eq!(found(1), expected, "{length} {gap}");
                assert_eq!(found(2), [length]);
                assert_eq!(all(&text, |byte| byte == 0), length == 0);
                assert!(all(&text, |byte| byte < 2));
            }
        }
        assert_eq!(
            try_each(&[1; 40], |byte| byte == 1, |at| if at < 20 { Ok(()) } else { Err(at) }),
            Err(20)
        );
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
