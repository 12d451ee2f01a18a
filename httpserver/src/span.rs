//! Positions within a message head.

use std::ops::Range;

/// Where a part of a head lies in it: a name, a value, the target or a piece of the target.
///
/// 16 bits are enough for either number, because a head has at most 64 KiB; so a header line takes 8 bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) start: u16,
    pub(crate) len: u16,
}

impl Span {
    /// Both numbers fit: a head has at most 64 KiB, and no part of it begins at its end.
    #[inline]
    pub(crate) fn new(start: usize, len: usize) -> Self {
        debug_assert!(start <= u16::MAX as usize && len <= u16::MAX as usize);
        Span { start: start as u16, len: len as u16 }
    }

    /// The span of `part`, which is a slice of `head`.
    #[inline]
    pub(crate) fn within(head: &[u8], part: &[u8]) -> Self {
        Span::new(offset(head, part), part.len())
    }

    /// Where nothing lies.
    pub(crate) const EMPTY: Span = Span { start: 0, len: 0 };

    #[inline]
    pub(crate) fn is_empty(self) -> bool {
        self.len == 0
    }

    /// The indices of the part.
    #[inline]
    pub(crate) fn range(self) -> Range<usize> {
        let start = self.start as usize;
        start..start + self.len as usize
    }
}

/// Where `part`, a slice of `whole`, begins in it.
#[inline]
pub(crate) fn offset(whole: &[u8], part: &[u8]) -> usize {
    part.as_ptr() as usize - whole.as_ptr() as usize
}
