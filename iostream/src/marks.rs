use std::cell::Cell;

/// What is true of a stream, a bit each: every idle stream has them all.
#[derive(Default)]
pub(crate) struct Marks(Cell<u8>);

/// One of them.
#[derive(Clone, Copy)]
pub(crate) struct Mark(u8);

impl Mark {
    /// There is no duplicate of the descriptor.
    pub(crate) const SOLE: Mark = Mark(1);
    pub(crate) const CLOSED: Mark = Mark(1 << 1);
    /// The peer's FIN has been read: there is no more input.
    pub(crate) const EOF: Mark = Mark(1 << 2);
    /// We have sent our FIN: nothing more can be written.
    pub(crate) const WRITE_ENDED: Mark = Mark(1 << 3);
    /// The stream was closed before everything written had left.
    pub(crate) const UNSENT: Mark = Mark(1 << 4);
    /// It goes on behind the end of the peer's input.
    pub(crate) const HALF_OPEN: Mark = Mark(1 << 5);
}

impl Marks {
    #[inline(always)]
    pub(crate) fn has(&self, mark: Mark) -> bool {
        self.0.get() & mark.0 != 0
    }

    #[inline]
    pub(crate) fn set(&self, mark: Mark, on: bool) {
        let others = self.0.get() & !mark.0;
        self.0.set(if on { others | mark.0 } else { others });
    }

    /// Sets it, and says whether it was set before.
    #[inline]
    pub(crate) fn replace(&self, mark: Mark, on: bool) -> bool {
        let before = self.has(mark);
        self.set(mark, on);
        before
    }
}
