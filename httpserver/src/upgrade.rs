//! Another protocol on a connection that began with HTTP.
//!
//! The connection's own future has done its work with the head of the answer. It ends, and what it held for HTTP goes with
//! it: an upgraded connection may wait for hours. Its place in the server's list goes on to the future of the protocol.

use std::{
    any::Any,
    cell::Cell,
    fmt,
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
    time::Duration,
};

use iostream::{AdmittedEntry, IOLoop, IOStream, ioloop::Waiter};
use pin_project_lite::pin_project;

use crate::{
    http1::server::log_panic,
    server_state::{Registered, ServerState},
};

/// What goes on with the stream of an upgraded connection: another protocol.
pub(crate) type UpgradeHandler = Box<dyn Protocol>;

/// Boxes a protocol.
pub(crate) fn boxed(protocol: impl AsyncFnOnce(UpgradedConnection) + 'static) -> UpgradeHandler {
    Box::new(protocol)
}

/// An upgraded connection, as its protocol sees it: what [`Request::upgrade_connection`](crate::Request::upgrade_connection)
/// hands out. A handle, with which nothing ends.
#[derive(Clone)]
pub struct UpgradedConnection {
    conn: Rc<UpgradedConn>,
}

impl UpgradedConnection {
    /// The stream, with whatever the client has sent behind its request still in it.
    #[inline]
    pub fn stream(&self) -> &IOStream {
        &self.conn.stream
    }

    /// Whether the server drains, and wants its connections to end in order: what
    /// [`Request::draining`](crate::Request::draining) waits for. The task of the protocol is woken when that begins, so a
    /// future that asks in each poll needs nothing else, which saves the memory of that future.
    #[inline]
    pub fn is_draining(&self) -> bool {
        self.conn.server.waiting.is_told()
    }
}

impl fmt::Debug for UpgradedConnection {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UpgradedConnection").field("draining", &self.is_draining()).finish_non_exhaustive()
    }
}

/// A protocol of some type. Its future is made where it stays: in a task, without a box of its own.
pub(crate) trait Protocol {
    /// Has it run as a task of its own.
    fn spawn(self: Box<Self>, place: Place);
    /// Makes a future of it, for a connection that the caller polls.
    fn into_future(self: Box<Self>, place: Place) -> Pin<Box<dyn Future<Output = ()>>>;
}

impl<P: AsyncFnOnce(UpgradedConnection) + 'static> Protocol for P {
    #[inline]
    fn spawn(self: Box<Self>, place: Place) {
        IOLoop::current().spawn_detached(run(*self, place));
    }

    #[inline]
    fn into_future(self: Box<Self>, place: Place) -> Pin<Box<dyn Future<Output = ()>>> {
        Box::pin(run(*self, place))
    }
}

/// The future of a protocol on its connection.
#[inline]
fn run<P: AsyncFnOnce(UpgradedConnection) + 'static>(protocol: P, place: Place) -> impl Future<Output = ()> {
    // The call is the user's code too, so it is made in the first poll.
    Upgraded { stage: Stage::Fresh { begin: Some(move |connection| protocol(connection)) }, place }
}

pin_project! {
    /// The future of an upgraded connection.
    struct Upgraded<B, F> {
        #[pin]
        stage: Stage<B, F>,
        // Dropped last: a drain has ended when all connections are out of the list.
        place: Place,
    }
}

pin_project! {
    #[project = StageProjection]
    enum Stage<B, F> {
        Fresh { begin: Option<B> },
        Running { #[pin] future: F },
        // What the protocol has written is still to be sent.
        Ending,
    }
}

impl<B: FnOnce(UpgradedConnection) -> F, F: Future<Output = ()>> Future for Upgraded<B, F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut this = self.project();
        if matches!(*this.stage, Stage::Ending) {
            return this.place.poll_end(cx);
        }
        // Unwind safe: a future that has panicked is dropped and not polled again.
        match catch_unwind(AssertUnwindSafe(|| this.stage.as_mut().poll(this.place, cx))) {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(())) => {}
            Err(payload) => this.place.break_off(payload),
        }
        // Its destructors run while the connection still counts. One that panics cuts nothing off, and the stage is set all
        // the same.
        if let Err(payload) = catch_unwind(AssertUnwindSafe(|| this.stage.as_mut().set(Stage::Ending))) {
            log_panic(payload, "closing the connection");
        }
        this.place.conn.stream.set_write_timeout(this.place.conn.server.limits.write_timeout);
        this.place.poll_end(cx)
    }
}

impl<B: FnOnce(UpgradedConnection) -> F, F: Future<Output = ()>> Stage<B, F> {
    /// Ready when the protocol is over, or the connection is to end.
    #[inline]
    fn poll(mut self: Pin<&mut Self>, place: &Place, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            match self.as_mut().project() {
                StageProjection::Fresh { begin } => {
                    let Some(begin) = begin.take() else { return Poll::Ready(()) };
                    let future = begin(UpgradedConnection { conn: Rc::clone(&place.conn) });
                    self.set(Stage::Running { future });
                }
                StageProjection::Running { future } => {
                    if future.poll(cx).is_ready() {
                        return Poll::Ready(());
                    }
                    return place.poll_cancelled(cx);
                }
                StageProjection::Ending => return Poll::Ready(()),
            }
        }
    }
}

/// An upgraded connection's place in the list of its server; given up when it is dropped.
pub(crate) struct Place {
    conn: Rc<UpgradedConn>,
    /// Where the server's list has it.
    key: u32,
    /// Its place within the limits of connections.
    admitted: Option<AdmittedEntry>,
}

/// What the server's list has of an upgraded connection.
struct UpgradedConn {
    stream: IOStream,
    server: Rc<ServerState>,
    /// The protocol is dropped when the client goes.
    cancels: bool,
    /// A drain's deadline has passed: the connection is to end now.
    cut: Cell<bool>,
    /// The connection's task, to be woken for `cut`.
    task: Cell<Option<Waiter>>,
}

impl Place {
    /// Takes over the place with this key.
    #[inline]
    pub(crate) fn new(
        stream: IOStream,
        server: Rc<ServerState>,
        key: u32,
        cancels: bool,
        admitted: Option<AdmittedEntry>,
    ) -> Place {
        stream.set_write_timeout(Duration::MAX);
        let conn = Rc::new(UpgradedConn { stream, server, cancels, cut: Cell::new(false), task: Cell::new(None) });
        let weak: std::rc::Weak<UpgradedConn> = Rc::downgrade(&conn);
        conn.server.replace(key as usize, weak);
        Place { conn, key, admitted }
    }

    /// Ready when the protocol is to be dropped: a drain's time is over, or the client has gone and the service asked for
    /// it.
    #[inline]
    fn poll_cancelled(&self, cx: &mut Context<'_>) -> Poll<()> {
        if self.conn.cut.get() {
            return Poll::Ready(());
        }
        // Kept if it is still the right one.
        let known = self.conn.task.take().filter(|task| task.will_wake(cx.waker()));
        self.conn.task.set(Some(known.unwrap_or_else(|| Waiter::new(cx.waker()))));
        if self.conn.cancels { self.conn.stream.poll_peer_closed(cx) } else { Poll::Pending }
    }

    /// Sends what is left, and closes.
    #[inline]
    fn poll_end(&self, cx: &mut Context<'_>) -> Poll<()> {
        let _ = ready!(self.conn.stream.poll_flush(cx));
        self.conn.stream.close();
        Poll::Ready(())
    }

    /// Closes behind a panic. What is ready is offered to the kernel once.
    #[cold]
    fn break_off(&self, payload: Box<dyn Any + Send>) {
        log_panic(payload, "closing the connection");
        let _ = self.conn.stream.offer_queued();
        self.conn.stream.close();
    }
}

impl Drop for Place {
    #[inline]
    fn drop(&mut self) {
        let server = &self.conn.server;
        server.unregister(self.key as usize);
        if let Some(entry) = self.admitted.take() {
            drop(server.admission.restore(entry));
        }
    }
}

impl Registered for UpgradedConn {
    fn is_idle(&self) -> bool {
        false
    }

    fn cut(&self) -> bool {
        let is_first = !self.cut.replace(true);
        self.stream.close();
        self.wake();
        is_first
    }

    #[inline]
    fn tell_draining(&self) {
        self.wake();
    }
}

impl UpgradedConn {
    #[inline]
    fn wake(&self) {
        if let Some(task) = self.task.take() {
            task.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_upgraded_connection_is_small() {
        assert_eq!(size_of::<Place>(), 16);
        // The two counters of the Rc come on top.
        assert!(size_of::<UpgradedConn>() + 16 <= 56);
    }
}
