//! Which code learns that something went wrong, and how a panic is passed on from one boundary to the next.

use std::{
    any::Any,
    error::Error as StdError,
    fmt,
    future::Future,
    panic::{AssertUnwindSafe, Location, catch_unwind, resume_unwind},
    rc::Rc,
    sync::Arc,
};

use super::{
    detached, enter,
    node::{Boundary, Entry, Node, current},
    scoped::Scoped,
};
use crate::{
    CallbackException, IOLoop, WorkKind,
    panic::{self, Offered},
};

/// Is told of what goes wrong in everything started within its [`scope`](ErrorBoundary::scope): panics, and the errors
/// given to [`report`]. A handle; clones are the same boundary.
///
/// The handler says whether the matter is settled. When it says no, or panics itself, which is logged, the next boundary
/// further out is asked, and at last the loop's hook. The handler runs in the context around its boundary, and it runs
/// when the stack is unwound already: the work that has panicked is over in any case.
///
/// A panic of the scope's own function, or of the future of [`scope_async`](ErrorBoundary::scope_async), is offered to
/// the boundary as well, as [`WorkKind::Scope`]. It then goes on up the stack, since there is nothing to return, to
/// where it is caught, by the loop at the latest; once settled it is not reported again. A `catch_unwind` in between
/// finds a payload that is not a string.
///
/// # Examples
///
/// A request that is answered once, by its handler or because something that it has set in motion went wrong:
///
/// ```
/// use std::{cell::RefCell, rc::Rc, time::Duration};
/// use ioloop::{IOLoop, context::{self, ErrorBoundary}, sleep, spawn};
///
/// type Answer = Rc<RefCell<Option<String>>>;
///
/// async fn handle(path: &'static str, answer: Answer) {
///     // Nobody awaits this task; its panic comes to the boundary all the same.
///     spawn(async move {
///         sleep(Duration::from_millis(1)).await;
///         match path {
///             "/fine" => answer.replace(Some("200".to_owned())),
///             "/error" => return context::report("no such table"),
///             _ => panic!("nothing at {path}"),
///         };
///     });
/// }
///
/// async fn serve(path: &'static str) -> String {
///     let answer = Answer::default();
///     let failed = Rc::clone(&answer);
///     let boundary = ErrorBoundary::new(move |exception| {
///         failed.replace(Some(format!("500 {}", exception.message())));
///         true // Settled: neither a boundary around nor the log hears of it.
///     });
///     boundary.scope_async(handle(path, Rc::clone(&answer))).await;
///     while answer.borrow().is_none() {
///         sleep(Duration::from_millis(1)).await;
///     }
///     // What goes wrong from here on is no longer this request's.
///     boundary.deactivate();
///     answer.take().expect("seen above")
/// }
///
/// fn main() {
///     let ioloop = IOLoop::current();
///     assert_eq!(ioloop.run_sync(serve("/fine")), "200");
///     assert_eq!(ioloop.run_sync(serve("/error")), "500 no such table");
///     assert_eq!(ioloop.run_sync(serve("/gone")), "500 nothing at /gone");
/// }
/// ```
#[derive(Clone)]
pub struct ErrorBoundary {
    boundary: Rc<Boundary>,
}

/// Calls `function` within a new [`ErrorBoundary`]: for when it need not be deactivated. A panic of `function` itself is
/// offered to `handler` and goes on up the stack.
#[track_caller]
pub fn catch<R>(handler: impl Fn(&CallbackException) -> bool + 'static, function: impl FnOnce() -> R) -> R {
    ErrorBoundary::new(handler).scope(function)
}

impl ErrorBoundary {
    /// A boundary around nothing yet. `handler` returns true for what is settled.
    pub fn new(handler: impl Fn(&CallbackException) -> bool + 'static) -> ErrorBoundary {
        ErrorBoundary { boundary: Rc::new(Boundary::new(Rc::new(handler))) }
    }

    /// Calls `function`; whatever is registered within belongs to this boundary. May be called any number of times. Costs
    /// one allocation, and one for each registration within.
    ///
    /// # Panics
    ///
    /// When `function` does: the boundary is told, and the panic goes on.
    #[track_caller]
    pub fn scope<R>(&self, function: impl FnOnce() -> R) -> R {
        let location = Location::caller();
        let entered = enter(Some(Node::within(current(), self.entry())));
        let outcome = catch_unwind(AssertUnwindSafe(function));
        drop(entered);
        outcome.unwrap_or_else(|payload| resume_unwind(self.boundary.offer_panic(payload, location)))
    }

    /// `future` within this boundary, and whatever it registers. The scopes around are those in which it is polled first.
    ///
    /// # Cancel safety
    ///
    /// That of `future`.
    #[track_caller]
    pub fn scope_async<F: Future>(&self, future: F) -> Scoped<F> {
        Scoped::new(self.entry(), future)
    }

    /// From now on this boundary is told of nothing, as if it had never been there: also of what was registered within
    /// before. Its handler is dropped. Other boundaries, within and around, stay as they are.
    pub fn deactivate(&self) {
        drop(self.boundary.take_handler());
    }

    /// Whether it has not been deactivated.
    pub fn is_active(&self) -> bool {
        self.boundary.is_active()
    }

    fn entry(&self) -> Entry {
        Entry::Boundary(Rc::clone(&self.boundary))
    }
}

impl fmt::Debug for ErrorBoundary {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ErrorBoundary").field("active", &self.is_active()).finish_non_exhaustive()
    }
}

/// Reports an error to the boundaries around, from the innermost outwards, as a [`WorkKind::Error`] with the caller's
/// source line; when none settles it, to the current loop's [`on_callback_exception`](IOLoop::on_callback_exception)
/// hook or to the log. The caller goes on.
///
/// # Examples
///
/// ```
/// use ioloop::context;
///
/// let told = |exception: &ioloop::CallbackException| exception.message() == "no such user";
/// context::catch(told, || context::report("no such user"));
/// ```
#[track_caller]
pub fn report(error: impl Into<Box<dyn StdError + Send + Sync>>) {
    report_from(error.into(), Location::caller());
}

/// Runs `future`, and passes its error to [`report`], with the source line of this call: for tasks whose handle is
/// never keeps.
///
/// # Cancel safety
///
/// That of `future`.
///
/// # Examples
///
/// ```
/// use ioloop::{IOLoop, context};
///
/// async fn tidy_up() -> std::io::Result<()> {
///     std::fs::remove_file("/no/such/file")
/// }
///
/// let ioloop = IOLoop::current();
/// let stop = ioloop.clone();
/// ioloop.on_callback_exception(move |exception| {
///     assert!(exception.error().is_some_and(|error| error.is::<std::io::Error>()));
///     stop.stop();
/// });
/// ioloop.spawn_detached(context::reporting(tidy_up()));
/// ioloop.start();
/// ```
#[track_caller]
pub fn reporting<E>(future: impl Future<Output = Result<(), E>>) -> impl Future<Output = ()>
where
    E: Into<Box<dyn StdError + Send + Sync>>,
{
    let location = Location::caller();
    async move {
        if let Err(error) = future.await {
            report_from(error.into(), location);
        }
    }
}

#[inline]
fn report_from(error: Box<dyn StdError + Send + Sync>, location: &'static Location<'static>) {
    let message = error.to_string();
    let exception = CallbackException { kind: WorkKind::Error, location, message, error: Some(Arc::from(error)) };
    if offer(current().as_ref(), &exception) {
        return;
    }
    match IOLoop::try_current() {
        Some(ioloop) => detached(|| ioloop.report(&exception)),
        None => log::error!("{exception}"),
    }
}

impl Boundary {
    /// Tells this boundary of a panic of its scope itself; the current context is the one around. Gives the payload to go
    /// on with.
    #[cold]
    #[inline]
    pub(super) fn offer_panic(
        &self,
        payload: Box<dyn Any + Send>,
        location: &'static Location<'static>,
    ) -> Box<dyn Any + Send> {
        if payload.is::<Offered>() {
            return payload;
        }
        let exception = CallbackException::panic(WorkKind::Scope, location, &*payload);
        if self.offer(current(), &exception) {
            Box::new(Offered { message: exception.message, settled: true })
        } else {
            payload
        }
    }

    fn offer(&self, around: Option<Rc<Node>>, exception: &CallbackException) -> bool {
        let Some(handler) = self.handler() else {
            return false;
        };
        let _entered = enter(around);
        // The handler is dropped within, for the case that it has deactivated itself: its destructor may panic as well.
        panic::catch(move || handler(exception)).unwrap_or_else(|payload| {
            panic::log_error(format_args!("{exception}; then its error boundary panicked: {}", payload.printable()));
            false
        })
    }
}

/// Asks the boundaries of `context`, from the innermost outwards.
fn offer(context: Option<&Rc<Node>>, exception: &CallbackException) -> bool {
    let mut at = context;
    while let Some(node) = at {
        if let Entry::Boundary(boundary) = &node.entry
            && boundary.offer(node.parent().cloned(), exception)
        {
            return true;
        }
        at = node.parent();
    }
    false
}

/// Tells the boundaries of `context` of a panic in work that was registered in it. Gives the payload to go on with.
#[cold]
pub(super) fn offer_panic(
    context: Option<&Rc<Node>>,
    kind: WorkKind,
    location: &'static Location<'static>,
    payload: Box<dyn Any + Send>,
) -> Box<dyn Any + Send> {
    if payload.is::<Offered>() {
        return payload;
    }
    let exception = CallbackException::panic(kind, location, &*payload);
    let settled = offer(context, &exception);
    Box::new(Offered { message: exception.message, settled })
}
