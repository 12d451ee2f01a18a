use std::{
    fmt,
    future::Future,
    panic::{AssertUnwindSafe, Location, catch_unwind, resume_unwind},
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
};

use pin_project_lite::pin_project;

use super::{
    enter,
    node::{Entry, Node, current},
};

pin_project! {
    /// A future within a scope: what [`Key::scope_async`](super::Key::scope_async) and
    /// [`ErrorBoundary::scope_async`](super::ErrorBoundary::scope_async) return.
    #[must_use = "futures do nothing unless awaited"]
    pub struct Scoped<F> {
        // Taken out to be dropped within the scope.
        #[pin]
        future: Option<F>,
        stage: Stage,
        location: &'static Location<'static>,
    }

    impl<F> PinnedDrop for Scoped<F> {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            if let Stage::Entered(node) = &this.stage {
                let _entered = enter(Some(Rc::clone(node)));
                this.future.set(None);
            }
        }
    }
}

/// The scope is made by the first poll, since only then is it known what lies around it.
enum Stage {
    New(Entry),
    Entered(Rc<Node>),
    /// While the first poll makes the node.
    Between,
}

impl<F> Scoped<F> {
    #[track_caller]
    pub(super) fn new(entry: Entry, future: F) -> Scoped<F> {
        Scoped { future: Some(future), stage: Stage::New(entry), location: Location::caller() }
    }
}

impl Stage {
    #[inline]
    fn node(&mut self) -> Rc<Node> {
        let node = match std::mem::replace(self, Stage::Between) {
            Stage::New(entry) => Node::within(current(), entry),
            Stage::Entered(node) => node,
            Stage::Between => unreachable!("the node is made without calling anybody"),
        };
        *self = Stage::Entered(Rc::clone(&node));
        node
    }
}

impl<F: Future> Future for Scoped<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let node = this.stage.node();
        let future = this.future.as_pin_mut().expect("taken by the destructor alone");
        let entered = enter(Some(Rc::clone(&node)));
        let boundary = match &node.entry {
            Entry::Value { .. } => return future.poll(cx),
            Entry::Boundary(boundary) => boundary,
        };
        let polled = catch_unwind(AssertUnwindSafe(|| future.poll(cx)));
        drop(entered);
        polled.unwrap_or_else(|payload| resume_unwind(boundary.offer_panic(payload, this.location)))
    }
}

impl<F> fmt::Debug for Scoped<F> {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scoped").field("location", &self.location).finish_non_exhaustive()
    }
}
