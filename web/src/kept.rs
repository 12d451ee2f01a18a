//! What a thread keeps for later use.

use std::{any::Any, rc::Rc};

use httpserver::iostream::ioloop::{Ebb, on_ebb};

/// Has what a thread keeps go when a burst of tasks ebbs: made for the last of them, it lies behind all the memory that is
/// free then. For a thread-local beside the places that it empties, made before the first burst.
pub(crate) struct Kept(fn() -> Box<dyn Any>);

impl Kept {
    /// By `take`, which empties the places.
    #[inline]
    pub(crate) fn new(take: fn() -> Box<dyn Any>) -> Rc<Kept> {
        let kept = Rc::new(Kept(take));
        // Each thread-local that has a destructor takes a block for good when it is first touched. Now it lies at the
        // beginning of the heap; at the end of a burst it would keep all that is before it.
        drop(kept.ebb());
        let holder = Rc::downgrade(&kept);
        on_ebb(holder);
        kept
    }
}

impl Ebb for Kept {
    #[inline]
    fn ebb(&self) -> Box<dyn Any> {
        (self.0)()
    }
}
