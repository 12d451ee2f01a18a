use std::{
    fmt,
    future::Future,
    marker::PhantomData,
    sync::atomic::{AtomicUsize, Ordering},
};

use super::{
    Scoped, enter,
    node::{Entry, Node, current},
};

/// Names a value that follows work through the loop. Make it a `static`; each key is of its own, also among those of one
/// type.
///
/// Setting a value costs two allocations, and one for each registration within; reading it walks up the scopes.
///
/// # Examples
///
/// A name in every log line of a request, whoever writes it and whenever:
///
/// ```
/// use std::{cell::RefCell, time::Duration};
/// use ioloop::{IOLoop, context, sleep, spawn};
///
/// static USER: context::Key<String> = context::Key::new();
///
/// thread_local! {
///     static LOG: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
/// }
///
/// /// Knows nothing of requests, and takes no argument for them.
/// fn log(line: &str) {
///     let user = USER.with(|user| user.map_or("nobody", String::as_str).to_owned());
///     LOG.with_borrow_mut(|log| log.push(format!("{user}: {line}")));
/// }
///
/// async fn handle(pause: u64) {
///     log("begins");
///     // By way of a timer and a callback; by way of a task.
///     IOLoop::current().call_later(Duration::from_millis(1), || IOLoop::current().add_callback(|| log("on the way")));
///     spawn(async move { sleep(Duration::from_millis(pause)).await }).await.expect("it does not panic");
///     log("ends");
/// }
///
/// fn main() {
///     let requests = ["ada", "bob"].map(|user| USER.scope(user.to_owned(), || spawn(handle(4))));
///     IOLoop::current().run_sync(async {
///         for request in requests {
///             request.await.expect("it does not panic");
///         }
///     });
///     log("all done");
///     let mut lines = LOG.take();
///     lines.sort();
///     let (ada, bob) = ("ada: begins, ada: ends, ada: on the way", "bob: begins, bob: ends, bob: on the way");
///     assert_eq!(lines.join(", "), format!("{ada}, {bob}, nobody: all done"));
/// }
/// ```
pub struct Key<T: 'static> {
    /// Given on first use, zero before. An address would not do: keys may be moved.
    id: AtomicUsize,
    value: PhantomData<fn() -> T>,
}

impl<T: 'static> Key<T> {
    /// A key that has no value anywhere yet.
    #[allow(clippy::new_without_default, reason = "keys are statics, which `default` cannot make")]
    pub const fn new() -> Key<T> {
        Key { id: AtomicUsize::new(0), value: PhantomData }
    }

    /// Calls `function` with this value set, for itself and for all that is registered within. A value set further out is
    /// hidden meanwhile. The value is dropped when nothing registered within is left.
    pub fn scope<R>(&self, value: T, function: impl FnOnce() -> R) -> R {
        let _entered = enter(Some(Node::within(current(), self.entry(value))));
        function()
    }

    /// Sets this value for `future`: whenever it is polled, for all that it registers, and while it is dropped. The
    /// scopes around are those in which it is polled first.
    ///
    /// # Cancel safety
    ///
    /// That of `future`.
    ///
    /// # Examples
    ///
    /// ```
    /// # use ioloop::{IOLoop, context, yield_now};
    /// static DEPTH: context::Key<u32> = context::Key::new();
    ///
    /// IOLoop::current().run_sync(async {
    ///     let inner = async {
    ///         yield_now().await;
    ///         DEPTH.get()
    ///     };
    ///     assert_eq!(DEPTH.scope_async(1, inner).await, Some(1));
    ///     assert_eq!(DEPTH.get(), None);
    /// });
    /// ```
    #[track_caller]
    pub fn scope_async<F: Future>(&self, value: T, future: F) -> Scoped<F> {
        Scoped::new(self.entry(value), future)
    }

    /// The value in the current context.
    pub fn get(&self) -> Option<T>
    where
        T: Clone,
    {
        self.with(|value| value.cloned())
    }

    /// Calls `function` with the value in the current context.
    pub fn with<R>(&self, function: impl FnOnce(Option<&T>) -> R) -> R {
        let (context, id) = (current(), self.id());
        let mut at = context.as_ref();
        while let Some(node) = at {
            match &node.entry {
                Entry::Value { key, value } if *key == id => return function(value.downcast_ref()),
                _ => at = node.parent(),
            }
        }
        function(None)
    }

    fn entry(&self, value: T) -> Entry {
        Entry::Value { key: self.id(), value: Box::new(value) }
    }

    fn id(&self) -> usize {
        static LAST: AtomicUsize = AtomicUsize::new(0);
        match self.id.load(Ordering::Relaxed) {
            0 => {
                let new = LAST.fetch_add(1, Ordering::Relaxed) + 1;
                // Another thread may have been first; its number holds then.
                self.id.compare_exchange(0, new, Ordering::Relaxed, Ordering::Relaxed).map_or_else(|id| id, |_| new)
            }
            id => id,
        }
    }
}

impl<T: 'static> fmt::Debug for Key<T> {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key").finish_non_exhaustive()
    }
}
