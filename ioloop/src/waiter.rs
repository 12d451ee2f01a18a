use std::{fmt, marker::PhantomData, task::Waker};

use crate::{
    arena::ArenaKey,
    ioloop::{polled_task, wake_task},
    panic,
};

/// Who waits for something, kept to be woken: a [`Waker`] for futures written by hand that stay on their thread, in less
/// memory.
///
/// The waker of a task is a block of 48 bytes that the task does not have before somebody clones it. A waiter is the name of
/// the task that is polled now, in 16 bytes: no block, and no count to be changed by atomic operations. Everything in
/// [`sync`](crate::sync) keeps its waiters so.
///
/// A waker that is not the one of the task that is polled, because a combinator or another runtime has put its own in between,
/// is cloned into a box. So this works wherever a waker does, and costs an allocation there.
///
/// # Examples
///
/// ```
/// use std::{cell::{Cell, RefCell}, future::poll_fn, rc::Rc, task::Poll};
/// use ioloop::{IOLoop, Waiter, spawn};
///
/// /// A value that is there some time.
/// #[derive(Default)]
/// struct Later {
///     value: Cell<Option<u32>>,
///     waiter: RefCell<Option<Waiter>>,
/// }
///
/// async fn get(later: &Later) -> u32 {
///     poll_fn(|cx| match later.value.get() {
///         Some(value) => Poll::Ready(value),
///         None => {
///             // Before the borrow: to clone a waker may be foreign code.
///             let waiter = Waiter::new(cx.waker());
///             let previous = later.waiter.replace(Some(waiter));
///             drop(previous);
///             Poll::Pending
///         }
///     })
///     .await
/// }
///
/// fn set(later: &Later, value: u32) {
///     later.value.set(Some(value));
///     let waiter = later.waiter.take();
///     if let Some(waiter) = waiter {
///         waiter.wake();
///     }
/// }
///
/// let later = Rc::new(Later::default());
/// let setter = Rc::clone(&later);
/// let got = IOLoop::current().run_sync(async move {
///     spawn(async move { set(&setter, 7) });
///     get(&later).await
/// });
/// assert_eq!(got, 7);
/// ```
pub struct Waiter {
    kept: Kept,
    /// The name of a task means something on its own thread alone.
    _not_send: PhantomData<*const ()>,
}

enum Kept {
    /// A task of the loop with this number.
    Task { ioloop: u32, task: ArenaKey },
    /// Somebody else. Boxed, or every waiter would be larger.
    Other(Box<Waker>),
}

impl Waiter {
    /// Whoever is polled with `waker`. If that is no task of the loop that runs, the waker is cloned, which is foreign code.
    #[inline]
    pub fn new(waker: &Waker) -> Waiter {
        let kept = match polled_task(waker) {
            Some((ioloop, task)) => Kept::Task { ioloop, task },
            None => other(waker),
        };
        Waiter { kept, _not_send: PhantomData }
    }

    /// Whether this is known to wake whoever is polled with `waker`, so that there is no need for another. As
    /// [`Waker::will_wake`] it may say false of two that are the same.
    #[inline]
    pub fn will_wake(&self, waker: &Waker) -> bool {
        match &self.kept {
            Kept::Task { ioloop, task } => polled_task(waker) == Some((*ioloop, *task)),
            Kept::Other(known) => known.will_wake(waker),
        }
    }

    /// Wakes it. Of a task that has ended nothing comes, as with a waker. A panic of somebody else's waker is logged and goes no
    /// further, because others may be waiting to be woken.
    #[inline]
    pub fn wake(self) {
        match self.kept {
            Kept::Task { ioloop, task } => wake_task(ioloop, task),
            Kept::Other(waker) => wake_other(waker),
        }
    }
}

#[cold]
fn other(waker: &Waker) -> Kept {
    Kept::Other(Box::new(waker.clone()))
}

#[cold]
fn wake_other(waker: Box<Waker>) {
    if let Err(payload) = panic::catch(|| waker.wake()) {
        panic::log_error(format_args!("panic in a waker: {}", payload.printable()));
    }
}

impl fmt::Debug for Waiter {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_task = matches!(self.kept, Kept::Task { .. });
        f.debug_struct("Waiter").field("is_task", &is_task).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_waiter_is_no_larger_than_a_waker() {
        assert_eq!(size_of::<Option<Waiter>>(), size_of::<Waker>());
    }
}
