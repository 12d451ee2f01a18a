//! What follows work through the loop: values, and the code that is told when something goes wrong.
//!
//! A request has a name that belongs into every log line, and code that turns its failures into an answer. On a thread
//! of its own, both would be on the stack. On a loop the stack is gone when the callback, the timer or the task runs
//! that the request has set in motion; its context is not. What is current when a callback, a timer, a handler, a task
//! or an [`add_future`](crate::IOLoop::add_future) is registered is current again whenever that runs, and so on from
//! there.
//!
//! * [`Key`] names a value: [`Key::scope`] sets it for a call and all that is registered within,
//!   [`Key::scope_async`] for a future, [`Key::get`] and [`Key::with`] read it.
//! * [`ErrorBoundary`] is told of the panics of everything started within, and of the errors given to [`report`] or
//!   returned by a future in [`reporting`]. Boundaries are asked from the innermost outwards until one says that the
//!   matter is settled; otherwise it goes to the loop's hook,
//!   [`on_callback_exception`](crate::IOLoop::on_callback_exception). [`catch`] is the short form.
//! * [`detached`] starts work that must not inherit: what is shared by many requests and begun by the first of them. So do
//!   [`spawn_callback`](crate::IOLoop::spawn_callback) and [`spawn_independent`](crate::IOLoop::spawn_independent).
//! * [`wrap`] and [`wrap_mut`] bind a function for code that knows nothing of contexts.
//!
//! # Examples
//!
//! ```
//! use std::time::Duration;
//! use ioloop::{IOLoop, context::{self, ErrorBoundary}, sleep, spawn};
//!
//! static REQUEST: context::Key<u32> = context::Key::new();
//!
//! async fn handle() {
//!     sleep(Duration::from_millis(1)).await;
//!     assert_eq!(REQUEST.get(), Some(7), "still there after the wait");
//!     // A task of its own, whose handle nobody keeps.
//!     spawn(async { panic!("request {} went wrong", REQUEST.get().unwrap()) });
//! }
//!
//! fn main() {
//!     let ioloop = IOLoop::current();
//!     let stop = ioloop.clone();
//!     let boundary = ErrorBoundary::new(move |exception| {
//!         assert_eq!(exception.message(), "request 7 went wrong");
//!         stop.stop();
//!         true
//!     });
//!     boundary.scope(|| REQUEST.scope(7, || spawn(handle())));
//!     assert_eq!(REQUEST.get(), None);
//!     ioloop.start();
//! }
//! ```
//!
//! # What is current when
//!
//! Contexts of different tasks never mix: each poll runs in its task's context, and a turn of the loop begins with none,
//! also when [`run_sync`](crate::IOLoop::run_sync) was called within a scope; its future alone runs in the caller's.
//! Registered work that is dropped unrun, and a task's future when it is dropped, are dropped in their context too.
//!
//! A [`PeriodicCallback`](crate::PeriodicCallback) runs in the context of its `start`. Awaiting changes nothing: a task
//! that awaits a [`JoinHandle`](crate::JoinHandle) or a [`Job`](crate::Job) is in its own context before and after.
//! Contexts stay on their thread: what comes in through a [`LoopHandle`](crate::LoopHandle), and the work given to
//! [`run_in_executor`](crate::run_in_executor), run without one.
//!
//! # What it costs
//!
//! Nothing is stored and nothing is done for work that is registered outside of any scope, but for looking whether there
//! is one: a load and a branch when it is registered, none when it runs. Within a scope a registration takes one more
//! allocation, which holds one pointer to the context, and each run of it swaps the current context in and out. A scope
//! of a value costs two allocations, one of a boundary one; reading a value walks up the scopes to where it was set.
//!
//! A context lives as long as anything that was registered in it; a task's result that waits for its handle does not
//! count. A callback that adds itself again, each time within another scope, makes a chain that grows by a scope every time;
//! scopes of one and the same key right within each other replace each other instead, and deactivated boundaries are left out.

mod bound;
mod boundary;
mod key;
mod node;
mod scoped;

pub(crate) use bound::{bind_callback, bind_handler, bind_task};
pub use bound::{wrap, wrap_mut};
pub use boundary::{ErrorBoundary, catch, report, reporting};
pub use key::Key;
pub(crate) use node::{Node, current, enter};
pub use scoped::Scoped;

/// Calls `function` in no context: what is registered within inherits nothing, and reads no values.
///
/// For work that outlives its caller, or serves others too: a pool's connection, a cache being filled. A panic of
/// `function` itself goes up the stack as usual.
///
/// # Examples
///
/// ```
/// use ioloop::{IOLoop, context, spawn};
///
/// static REQUEST: context::Key<u32> = context::Key::new();
///
/// let shared = REQUEST.scope(7, || context::detached(|| spawn(async { REQUEST.get() })));
/// assert_eq!(IOLoop::current().run_sync(shared).unwrap(), None);
/// ```
#[inline]
pub fn detached<R>(function: impl FnOnce() -> R) -> R {
    if node::is_empty() { function() } else { without(function) }
}

#[cold]
fn without<R>(function: impl FnOnce() -> R) -> R {
    let _entered = enter(None);
    function()
}
