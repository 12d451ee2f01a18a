//! Registered work, bound to the context it was registered in. Outside of any scope it is left as it is, so that it costs
//! nothing when it runs.

use std::{
    any::Any,
    panic::{AssertUnwindSafe, Location, catch_unwind, resume_unwind},
    pin::Pin,
    rc::Rc,
    task::{Poll, Waker},
};

use super::{
    boundary::offer_panic,
    enter,
    node::{Node, current},
};
use crate::{
    Event, JoinError, WorkKind,
    registry::HandlerCallback,
    task::{BoxedWork, Polled, TaskWork},
};

/// Binds `function` to the current context, the empty one included, for code that knows nothing of contexts: wherever it
/// is called, it runs in the context of this call, and its panics are offered to the boundaries of this context alone
/// before they go on.
///
/// Binding again changes nothing: a function runs in the context in which it was wrapped first. So whatever is wrapped
/// may be given to [`add_callback`](crate::IOLoop::add_callback) and the like in any context.
///
/// # Examples
///
/// ```
/// use ioloop::context;
///
/// static REQUEST: context::Key<u32> = context::Key::new();
///
/// let which = REQUEST.scope(7, || context::wrap(|| REQUEST.get()));
/// assert_eq!(REQUEST.scope(8, which), Some(7));
/// ```
#[track_caller]
pub fn wrap<R>(function: impl FnOnce() -> R) -> impl FnOnce() -> R {
    let bound = Bound::new(current(), function, WorkKind::Callback, Location::caller());
    move || bound.call_once()
}

/// [`wrap`] for a function that is called many times, with an argument.
///
/// # Examples
///
/// A list of listeners, each of which is called in the context in which it was added:
///
/// ```
/// use ioloop::context;
///
/// static USER: context::Key<&str> = context::Key::new();
///
/// let mut listeners: Vec<Box<dyn FnMut(u32) -> String>> = Vec::new();
/// for user in ["ada", "bob"] {
///     let listener = |number| format!("{}: {number}", USER.get().unwrap_or("nobody"));
///     listeners.push(Box::new(USER.scope(user, || context::wrap_mut(listener))));
/// }
/// let told: Vec<_> = listeners.iter_mut().map(|listener| listener(7)).collect();
/// assert_eq!(told, ["ada: 7", "bob: 7"]);
/// ```
#[track_caller]
pub fn wrap_mut<A, R>(function: impl FnMut(A) -> R) -> impl FnMut(A) -> R {
    let mut bound = Bound::new(current(), function, WorkKind::Callback, Location::caller());
    move |argument| bound.with(|function| function(argument))
}

#[inline]
pub(crate) fn bind_callback(
    callback: Box<dyn FnOnce()>,
    kind: WorkKind,
    location: &'static Location<'static>,
) -> Box<dyn FnOnce()> {
    match current() {
        None => callback,
        context => callback_within(context, callback, kind, location),
    }
}

#[inline]
pub(crate) fn bind_handler(handler: HandlerCallback, location: &'static Location<'static>) -> HandlerCallback {
    match current() {
        None => handler,
        context => handler_within(context, handler, location),
    }
}

#[inline]
pub(crate) fn bind_task(work: BoxedWork) -> BoxedWork {
    match current() {
        None => work,
        context => task_within(context, work),
    }
}

// Apart from the above, which is compiled in every crate that registers something.

#[inline(never)]
fn callback_within(
    context: Option<Rc<Node>>,
    callback: Box<dyn FnOnce()>,
    kind: WorkKind,
    location: &'static Location<'static>,
) -> Box<dyn FnOnce()> {
    let bound = Bound::new(context, callback, kind, location);
    Box::new(move || bound.call_once())
}

#[inline(never)]
fn handler_within(
    context: Option<Rc<Node>>,
    handler: HandlerCallback,
    location: &'static Location<'static>,
) -> HandlerCallback {
    let mut bound = Bound::new(context, handler, WorkKind::Handler, location);
    Box::new(move |event: Event| bound.with(|handler| handler(event)))
}

#[inline(never)]
fn task_within(context: Option<Rc<Node>>, work: BoxedWork) -> BoxedWork {
    let location = work.location();
    Box::pin(Bound::new(context, work, WorkKind::Task, location))
}

/// A piece of work and the context in which it is called and dropped.
struct Bound<T> {
    /// `None` once it has been called for good.
    work: Option<T>,
    context: Option<Rc<Node>>,
    kind: WorkKind,
    location: &'static Location<'static>,
}

impl<T> Bound<T> {
    fn new(context: Option<Rc<Node>>, work: T, kind: WorkKind, location: &'static Location<'static>) -> Bound<T> {
        Bound { work: Some(work), context, kind, location }
    }

    fn call_once<R>(mut self) -> R
    where
        T: FnOnce() -> R,
    {
        let work = self.work.take().expect("this is its only call");
        run_in(self.context.as_ref(), self.kind, self.location, work)
    }

    fn with<R>(&mut self, call: impl FnOnce(&mut T) -> R) -> R {
        let Bound { work, context, kind, location } = self;
        let work = work.as_mut().expect("only `call_once` takes it");
        run_in(context.as_ref(), *kind, location, || call(work))
    }
}

impl<T> Drop for Bound<T> {
    fn drop(&mut self) {
        if let Some(work) = self.work.take() {
            run_in(self.context.as_ref(), self.kind, self.location, || drop(work));
        }
    }
}

impl TaskWork for Bound<BoxedWork> {
    fn keep_waker(mut self: Pin<&mut Self>, waker: Waker) {
        if let Some(work) = &mut self.work {
            work.as_mut().keep_waker(waker);
        }
    }

    fn poll(mut self: Pin<&mut Self>, spare: &Waker, polled: &Polled) -> Poll<()> {
        self.with(|work| work.as_mut().poll(spare, polled))
    }

    fn finish(mut self: Pin<&mut Self>) -> (Option<Waker>, Option<Rc<Node>>) {
        let waiter = self.work.as_mut().and_then(|work| work.as_mut().finish().0);
        (waiter, self.context.take())
    }

    fn fail(mut self: Pin<&mut Self>, error: JoinError) {
        self.with(|work| work.as_mut().fail(error));
    }

    fn waiter(self: Pin<&mut Self>) -> Option<&mut Option<Waker>> {
        self.get_mut().work.as_mut()?.as_mut().waiter()
    }

    fn take_result(mut self: Pin<&mut Self>, place: &mut dyn Any) {
        if let Some(work) = &mut self.work {
            work.as_mut().take_result(place);
        }
    }

    fn location(&self) -> &'static Location<'static> {
        self.location
    }
}

fn run_in<R>(
    context: Option<&Rc<Node>>,
    kind: WorkKind,
    location: &'static Location<'static>,
    call: impl FnOnce() -> R,
) -> R {
    let entered = enter(context.cloned());
    let outcome = catch_unwind(AssertUnwindSafe(call));
    drop(entered);
    outcome.unwrap_or_else(|payload| resume_unwind(offer_panic(context, kind, location, payload)))
}
