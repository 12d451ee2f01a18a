//! When a list of wakers is swept.

/// How many waiting tasks are never swept.
const FEW: usize = 16;

/// A waker does not tell whether its task still lives, and every request on a connection that lasts, or every write that is
/// given up, may leave one behind. So a list that has grown long is taken out to be woken: live tasks come back within a
/// turn, and then the list may grow to twice their number before the next sweep.
pub(crate) struct Sweep {
    /// The list is swept when it has grown to this length.
    limit: usize,
    /// The turn of the last sweep.
    swept_in: u64,
}

impl Sweep {
    /// Whether a list of this length may grow as it is. The turn matters only when it may not.
    #[inline]
    pub(crate) fn is_short(&self, len: usize) -> bool {
        len < self.limit
    }

    /// Whether a list that is not short is to be swept now.
    #[cold]
    #[inline(never)]
    pub(crate) fn is_due(&mut self, len: usize, turn: u64) -> bool {
        if turn.saturating_sub(self.swept_in) <= 1 {
            self.limit = 2 * len;
            return false;
        }
        self.limit = FEW;
        self.swept_in = turn;
        true
    }
}

impl Default for Sweep {
    #[inline]
    fn default() -> Self {
        Sweep { limit: FEW, swept_in: 0 }
    }
}
