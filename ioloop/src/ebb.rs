//! Those that keep memory, and are told when a burst of tasks ebbs.

use std::{
    any::Any,
    cell::RefCell,
    mem,
    rc::{Rc, Weak},
};

use slab::Slab;

use crate::arena::KEEP;

/// Something that keeps memory for later use, or a table that grows with the tasks: told when a burst of tasks ebbs. See
/// [`on_ebb`].
pub trait Ebb {
    /// Puts what is needed to memory that is allocated in this call, and returns all that is not: were it freed at once,
    /// what is allocated next would be put there.
    fn ebb(&self) -> Box<dyn Any>;
}

thread_local! {
    static HOLDERS: RefCell<Vec<Weak<dyn Ebb>>> = const { RefCell::new(Vec::new()) };
}

/// Has the loops of this thread tell `holder` when a burst of tasks ebbs, for as long as it lives: each time that an eighth
/// is left of more than 64 that came on top, when it is over, and for those who go later a second behind them. No more than
/// a few times in a burst, and never of one that is over within a tenth of a second.
///
/// glibc gives memory back to the system from the end of its heap alone. What a burst has made somebody keep lies there:
/// a buffer for the next request, a table that has grown. Everything before it stays with the process. The loop does this
/// for its own tables; whoever keeps buffers for a thread does it by this.
///
/// A thread-local with a destructor takes a block for good when it is first touched. One that [`Ebb::ebb`] empties is
/// touched before, best when `holder` is made: at the end of a burst that block lies at the end of the heap.
///
/// # Examples
///
/// ```
/// use std::{any::Any, cell::RefCell, rc::{Rc, Weak}};
/// use ioloop::Ebb;
///
/// /// Buffers that serve again.
/// #[derive(Default)]
/// struct Buffers(RefCell<Vec<Vec<u8>>>);
///
/// impl Ebb for Buffers {
///     fn ebb(&self) -> Box<dyn Any> {
///         Box::new(self.0.take())
///     }
/// }
///
/// let buffers = Rc::new(Buffers::default());
/// let holder: Weak<Buffers> = Rc::downgrade(&buffers);
/// ioloop::on_ebb(holder);
/// ```
#[inline]
pub fn on_ebb(holder: Weak<dyn Ebb>) {
    // While the thread ends, nothing ebbs any more.
    let _ = HOLDERS.try_with(|holders| add_holder(&mut holders.borrow_mut(), holder));
}

/// Those that are gone are forgotten as often as the list would grow.
fn add_holder(holders: &mut Vec<Weak<dyn Ebb>>, holder: Weak<dyn Ebb>) {
    if holders.len() == holders.capacity() {
        holders.retain(|holder| holder.strong_count() > 0);
    }
    holders.push(holder);
}

/// Those to be told, of this thread. Telling them is foreign code.
pub(crate) fn holders() -> Vec<Rc<dyn Ebb>> {
    let living = |holders: &RefCell<Vec<Weak<dyn Ebb>>>| holders.borrow().iter().filter_map(Weak::upgrade).collect();
    HOLDERS.try_with(living).unwrap_or_default()
}

/// Puts a table to memory that is allocated now, without what lies behind its last entry, and returns what is left: for an
/// [`Ebb`]. All keys stay as they are.
///
/// A table of more than 1,024 places is only cut behind its last entry, and what is returned is empty. glibc has a large
/// block mapped apart from the heap, and having freed one, it maps none of its size apart any more. Takes time in proportion
/// to the places.
///
/// # Examples
///
/// ```
/// use std::{any::Any, cell::RefCell};
/// use ioloop::{Ebb, move_ahead};
/// use slab::Slab;
///
/// #[derive(Default)]
/// struct Clients(RefCell<Slab<String>>);
///
/// impl Ebb for Clients {
///     fn ebb(&self) -> Box<dyn Any> {
///         Box::new(move_ahead(&mut self.0.borrow_mut()))
///     }
/// }
///
/// let clients = Clients::default();
/// let keys: Vec<usize> = (0..100).map(|n| clients.0.borrow_mut().insert(n.to_string())).collect();
/// (10..100).for_each(|key| drop(clients.0.borrow_mut().remove(key)));
/// drop(clients.ebb());
/// assert_eq!(clients.0.borrow()[keys[7]], "7");
/// assert_eq!(clients.0.borrow().capacity(), 10);
/// ```
#[inline]
pub fn move_ahead<T>(table: &mut Slab<T>) -> Slab<T> {
    table.shrink_to_fit();
    if table.capacity() > KEEP {
        return Slab::new();
    }
    let mut left = mem::take(table);
    *table = (0..left.capacity()).filter_map(|key| Some((key, left.try_remove(key)?))).collect();
    table.shrink_to_fit();
    left
}
