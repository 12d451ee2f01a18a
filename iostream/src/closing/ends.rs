//! How a stream comes to its end.

use std::{any::Any, fmt, future::poll_fn, io, rc::Rc, sync::Arc, time::Duration};

use ioloop::Printable;

use super::{AtClose, drop_guards};
use crate::{Error, error::is_peers_doing, iostream::Inner, marks::Mark, transport::Transport};

impl Inner {
    /// Closes the stream because a system call failed, and says so in the form that the operation reports.
    pub(crate) fn fail(self: &Rc<Self>, error: io::Error) -> Error {
        if self.transport.borrow().refuses(&error) {
            return error.into();
        }
        let (peer, text) = (self.peer(), Printable::display(&error));
        if is_peers_doing(&error) {
            log::debug!("the connection with {peer} broke: {text}");
        } else {
            log::warn!("closing the connection with {peer} after an unexpected error: {text}");
        }
        self.close(Some(Arc::new(error)));
        self.closed_error()
    }

    /// The peer's FIN has been read.
    pub(crate) fn end_of_input(self: &Rc<Self>) {
        self.marks.set(Mark::EOF, true);
        self.close_after_eof();
    }

    /// Closes a stream whose input is at its end, unless it still has something to send or to say.
    pub(crate) fn close_after_eof(self: &Rc<Self>) {
        if !self.marks.has(Mark::EOF) || self.queue.borrow().is_some() {
            return;
        }
        // A half-open stream that is dead in the other direction too has no future either.
        if !self.outlives_input() || self.transport.borrow().is_broken() {
            self.close(None);
        }
    }

    /// Our side has been ended in an orderly way.
    pub(crate) fn end_of_output(self: &Rc<Self>) {
        self.marks.set(Mark::WRITE_ENDED, true);
        // The writing end of a pipe is ended by being closed.
        if self.transport.borrow().is_one_way() {
            return self.close(None);
        }
        self.close_after_eof();
        self.look_for_end_again();
    }

    /// Whether the stream goes on behind the end of its input: a half-open one does, until its own side has ended too. Not
    /// every transport would notice that by itself.
    pub(crate) fn outlives_input(&self) -> bool {
        self.is_half_open() && !self.marks.has(Mark::WRITE_ENDED)
    }

    /// The one way in which a stream closes while it has handles.
    pub(crate) fn close(self: &Rc<Self>, cause: Option<Arc<io::Error>>) {
        if self.marks.replace(Mark::CLOSED, true) {
            return;
        }
        if let Some(cause) = cause {
            self.with_at_close(|at_close| at_close.get_or_insert_default().cause = Some(cause));
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
        self.marks.set(Mark::UNSENT, queue.as_ref().is_some_and(|queue| !queue.is_empty()));
        let transport = self.transport.replace(Transport::Closed);
        let mut at_close = self.at_close.take();
        // The cause stays, for whoever asks later.
        let cause = at_close.as_mut().and_then(|at_close| at_close.cause.take());
        let is_orderly = !self.marks.has(Mark::UNSENT) && cause.is_none();
        if cause.is_some() {
            self.at_close.set(Some(Box::new(AtClose { cause, ..AtClose::default() })));
        }
        match &ioloop {
            Some(ioloop) if is_orderly && !ioloop.is_closed() && !transport.say_goodbye() => {
                let guards = at_close.as_mut().map(|at_close| at_close.take_guards());
                let limit = self.write_timeout.get().limit(true);
                ioloop.spawn_independent(linger(transport, self.marks.has(Mark::SOLE), guards, limit));
            }
            // Closes the descriptor and wakes the tasks that wait in the transport.
            _ => transport.close(self.marks.has(Mark::SOLE)),
        }
        if let Some(queue) = queue {
            queue.wake_all();
        }
        if let (Some(at_close), Some(ioloop)) = (at_close, ioloop) {
            at_close.announce(&ioloop);
        }
    }
}

/// Closes a transport behind its goodbye, for which the peer has left no room yet. All that was written has left before,
/// and without the goodbye the peer would have to think that its end is missing. `guards` last as long as the descriptor.
async fn linger(transport: Transport, sole: bool, guards: Option<Vec<Box<dyn Any>>>, limit: Option<Duration>) {
    let goodbye = poll_fn(|cx| transport.poll_goodbye(cx));
    // A peer that does not take these few bytes in time does not get them.
    let _ = ioloop::timeout(limit.unwrap_or(Duration::MAX), goodbye).await;
    transport.close(sole);
    drop_guards(guards.unwrap_or_default());
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
