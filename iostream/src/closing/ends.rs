//! How a stream comes to its end.

use std::{fmt, io, rc::Rc, sync::Arc};

use ioloop::Printable;

use crate::{Error, error::is_disconnect, iostream::Inner, transport::Transport};

impl Inner {
    /// Closes the stream because a system call failed, and says so in the form that the operation reports.
    pub(crate) fn fail(self: &Rc<Self>, error: io::Error) -> Error {
        if self.transport.borrow().refuses(&error) {
            return error.into();
        }
        let (peer, text) = (self.peer(), Printable::display(&error));
        if is_disconnect(&error) {
            log::debug!("the connection with {peer} broke: {text}");
        } else {
            log::warn!("closing the connection with {peer} after an unexpected error: {text}");
        }
        self.close(Some(Arc::new(error)));
        self.closed_error()
    }

    /// The peer's FIN has been read.
    pub(crate) fn end_of_input(self: &Rc<Self>) {
        self.eof.set(true);
        self.close_after_eof();
    }

    /// Closes a stream whose input is at its end, unless it still has something to send or to say.
    pub(crate) fn close_after_eof(self: &Rc<Self>) {
        if !self.eof.get() || self.queue.borrow().is_some() {
            return;
        }
        // A half-open stream that is dead in the other direction too has no future either.
        if !self.is_half_open() || self.transport.borrow().is_broken() {
            self.close(None);
        }
    }

    /// The one way in which a stream closes while it has handles.
    pub(crate) fn close(self: &Rc<Self>, cause: Option<Arc<io::Error>>) {
        if self.closed.replace(true) {
            return;
        }
        if let Some(cause) = cause {
            let _ = self.cause.set(cause);
        }
        // The transport is in use when the close comes from within it: from a waker that it clones or wakes, which is
        // foreign code. The rest follows as soon as that is over.
        if self.transport.try_borrow_mut().is_err()
            && let Some(ioloop) = self.ioloop()
        {
            let inner = Rc::clone(self);
            return ioloop.add_callback(move || inner.finish_close());
        }
        self.finish_close();
    }

    /// Closes the transport, then tells every task that waits. No borrow is left by then: wakers, guards and the callback
    /// are user code.
    pub(crate) fn finish_close(&self) {
        let ioloop = self.ioloop();
        // Remembered before it goes, so that a flush that comes later fails too.
        let queue = self.queue.take();
        self.unsent.set(queue.as_ref().is_some_and(|queue| !queue.is_empty()));
        // Closes the descriptor and wakes the tasks that wait in the transport.
        let transport = self.transport.replace(Transport::Closed);
        transport.close(self.sole.get());
        if let Some(queue) = queue {
            queue.wake_all();
        }
        let at_close = self.at_close.take();
        if let (Some(at_close), Some(ioloop)) = (at_close, ioloop) {
            at_close.announce(&ioloop);
        }
    }
}

/// A stream's peer, as a line of the log names it. Asked for only when the line is written.
pub(crate) struct Peer<'a>(&'a Inner);

impl Inner {
    pub(crate) fn peer(&self) -> Peer<'_> {
        Peer(self)
    }
}

impl fmt::Display for Peer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.transport.borrow().fmt_peer(f)
    }
}
