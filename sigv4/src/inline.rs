//! A short list that lives where it is declared: the accept path uses it where a `Vec` would allocate.

/// A list of up to `N` items in place; the first item beyond moves the whole list to the heap.
#[derive(Clone)]
pub(crate) struct Inline<T, const N: usize> {
    place: [T; N],
    length: usize,
    spill: Vec<T>,
}

impl<T: Copy + Default, const N: usize> Inline<T, N> {
    #[inline]
    pub(crate) fn new() -> Self {
        Self { place: [T::default(); N], length: 0, spill: Vec::new() }
    }

    #[inline]
    pub(crate) fn from_slice(items: &[T]) -> Self {
        let mut list = Self::new();
        list.extend(items);
        list
    }

    /// At most `N` items.
    #[inline]
    pub(crate) fn from_array<const M: usize>(items: [T; M]) -> Self {
        const { assert!(M <= N) };
        let mut list = Self::new();
        list.place[..M].copy_from_slice(&items);
        list.length = M;
        list
    }

    /// Keeps the first `length` items, if there are more.
    #[inline]
    pub(crate) fn truncate(&mut self, length: usize) {
        self.length = self.length.min(length);
        self.spill.truncate(length);
    }

    #[inline]
    pub(crate) fn push(&mut self, item: T) {
        match self.place.get_mut(self.length) {
            Some(free) if self.spill.is_empty() => {
                *free = item;
                self.length += 1;
            }
            _ => self.spill(&[item]),
        }
    }

    #[inline]
    pub(crate) fn extend(&mut self, items: &[T]) {
        let end = self.length + items.len();
        match self.place.get_mut(self.length..end) {
            Some(free) if self.spill.is_empty() => {
                free.copy_from_slice(items);
                self.length = end;
            }
            _ => self.spill(items),
        }
    }

    #[cold]
    fn spill(&mut self, items: &[T]) {
        self.spill.extend_from_slice(&self.place[..self.length]);
        self.length = 0;
        self.spill.extend_from_slice(items);
    }

    pub(crate) fn as_slice(&self) -> &[T] {
        if self.spill.is_empty() { &self.place[..self.length] } else { &self.spill }
    }

    pub(crate) fn as_mut_slice(&mut self) -> &mut [T] {
        if self.spill.is_empty() { &mut self.place[..self.length] } else { &mut self.spill }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_order_and_content_across_the_move_to_the_heap() {
        for step in 1..7 {
            let items: Vec<u8> = (0..40).collect();
            let mut list = Inline::<u8, 8>::new();
            items.chunks(step).for_each(|chunk| match chunk {
                [item] => list.push(*item),
                items => list.extend(items),
            });
            assert_eq!(list.as_slice(), items);
            assert_eq!(list.as_mut_slice(), items);
        }
        assert_eq!(Inline::<u8, 4>::from_slice(b"abcd").spill.capacity(), 0);
    }
}
