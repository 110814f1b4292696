//! Searching bytes, sixteen at a time.
//!
//! Most of what arrives is long runs of ordinary bytes. The bytes of a block are looked at together, without a
//! branch between them, so that the compiler can use vector instructions. The function that tells what to stop
//! at should not branch either.

/// Bytes that are looked at together.
type Block = [u8; 16];

const BLOCK: usize = size_of::<Block>();

/// The position of the first byte for which `stop` holds.
#[inline]
pub(crate) fn find(text: &[u8], stop: impl Fn(u8) -> bool) -> Option<usize> {
    let (blocks, tail) = text.as_chunks();
    for (number, block) in blocks.iter().enumerate() {
        if let Some(at) = first(marks(block, &stop)) {
            return Some(number * BLOCK + at);
        }
    }
    match text.last_chunk() {
        _ if tail.is_empty() => None,
        // What it shares with the last whole block is known to hold no stop.
        Some(last) => first(marks(last, stop)).map(|at| text.len() - BLOCK + at),
        None => text.iter().position(|&byte| stop(byte)),
    }
}

/// The position of the last byte for which `stop` holds.
#[inline]
fn rfind(text: &[u8], stop: impl Fn(u8) -> bool) -> Option<usize> {
    let (head, blocks) = text.as_rchunks();
    for (number, block) in blocks.iter().enumerate().rev() {
        if let Some(at) = last(marks(block, &stop)) {
            return Some(head.len() + number * BLOCK + at);
        }
    }
    match text.first_chunk() {
        _ if head.is_empty() => None,
        Some(first) => last(marks(first, stop)),
        None => text.iter().rposition(|&byte| stop(byte)),
    }
}

/// The positions of all bytes for which `stop` holds, however close to each other, looking at each byte once.
#[inline]
pub(crate) fn positions(text: &[u8], stop: impl Fn(u8) -> bool) -> impl Iterator<Item = usize> {
    let (blocks, tail) = text.as_chunks();
    let mut last = [0; BLOCK];
    last[..tail.len()].copy_from_slice(tail);
    let mut blocks = blocks.iter().copied().chain([last]).enumerate();
    let (mut start, mut left) = (0, 0);
    std::iter::from_fn(move || {
        while left == 0 {
            let (number, block) = blocks.next()?;
            (start, left) = (number * BLOCK, marks(&block, &stop));
        }
        let offset = first(left)?;
        left &= !(0xff << (offset * 8));
        Some(start + offset).filter(|&at| at < text.len())
    })
}

/// Sixteen bytes: all ones where `stop` holds for the byte of `block`, zero elsewhere.
///
/// That is what a comparison of vectors yields; any other form of the answer takes the compiler twice as long.
#[inline]
fn marks(block: &Block, stop: impl Fn(u8) -> bool) -> u128 {
    let mut marks = [0; BLOCK];
    for (mark, byte) in marks.iter_mut().zip(block) {
        *mark = if stop(*byte) { u8::MAX } else { 0 };
    }
    u128::from_le_bytes(marks)
}

fn first(marks: u128) -> Option<usize> {
    (marks != 0).then(|| marks.trailing_zeros() as usize / 8)
}

fn last(marks: u128) -> Option<usize> {
    marks.checked_ilog2().map(|bit| bit as usize / 8)
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

/// What is before and after the first `separator`, if there is one.
pub(crate) fn cut(text: &[u8], separator: u8) -> Option<(&[u8], &[u8])> {
    find(text, |byte| byte == separator).map(|at| (&text[..at], &text[at + 1..]))
}

/// What is before and after the last `separator`, if there is one.
pub(crate) fn rcut(text: &[u8], separator: u8) -> Option<(&[u8], &[u8])> {
    rfind(text, |byte| byte == separator).map(|at| (&text[..at], &text[at + 1..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_stops_wherever_they_are() {
        for length in 0..70 {
            let mut text = vec![b'a'; length];
            assert_eq!(find(&text, |byte| byte == b'%'), None);
            for at in (0..length).rev() {
                text[at] = b'%';
                assert_eq!(find(&text, |byte| byte == b'%'), Some(at));
                assert!(positions(&text, |byte| byte == b'%').eq(at..length));
                assert_eq!(rfind(&text, |byte| byte == b'%'), Some(length - 1));
                assert_eq!(rfind(&text, |byte| byte == b'a'), at.checked_sub(1));
            }
            assert_eq!(positions(&text, |byte| byte == 0).count(), 0);
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
}
