//! What ends a wait that may last for long.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
    time::Duration,
};

use iostream::ioloop::Deadline;

use crate::{Draining, Request, body::IncomingSource, http1::server::ServerConn, request::Origin};

/// How long an answer has to wait for something: some time, and no longer than until the server drains. Made by
/// [`Request::patience`].
///
/// It is a [`Deadline`] and a [`Draining`] in one, for servers with thousands of clients that wait: while a request is in hand,
/// its connection has no use for its own timer, and lends it. So it takes no memory but its own 16 bytes. The first one of a
/// request whose body has been read, or which has none, is made so; any other has a timer of its own.
///
/// Once the answer is complete, it is over: as if the server drained. It is for the future that makes the answer. Another task
/// that waits for it is not woken by that, because the connection has its timer back by then; it is told when it asks again.
pub struct Patience {
    kind: Kind,
}

enum Kind {
    /// The timer of the connection, for as long as this request is in hand.
    Lent {
        conn: Rc<ServerConn>,
        serial: u32,
    },
    Own(Box<Own>),
}

struct Own {
    deadline: Deadline,
    draining: Draining,
}

/// Why a [`Patience`] is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PatienceOver {
    /// The time has passed.
    Time,
    /// The server has stopped accepting, and wants the answers that are still open to end. Or this one is complete.
    Draining,
}

impl Patience {
    /// That of `request`; no time is set.
    #[inline]
    pub(crate) fn new(request: &Request) -> Patience {
        let kind = match &request.origin {
            Origin::Connection { conn, serial, .. } if conn.lend_deadline(*serial) => {
                Kind::Lent { conn: Rc::clone(conn), serial: *serial }
            }
            _ => Kind::Own(Box::new(Own { deadline: Deadline::new(), draining: request.draining() })),
        };
        Patience { kind }
    }

    /// Sets the time, or sets it anew, counted from now as [`Deadline::set_after`] counts: later than it was is a store.
    #[inline]
    pub fn set_after(&self, duration: Duration) {
        if let Some(deadline) = self.deadline() {
            deadline.set_after(duration);
        }
    }

    /// Ready when the server drains, when the time has passed, or when the answer was complete. Otherwise the task is woken when
    /// the server drains or the time has passed, in place of the one that waited before.
    ///
    /// # Cancel safety
    ///
    /// It consumes nothing.
    #[inline]
    pub fn poll_over(&mut self, cx: &mut Context<'_>) -> Poll<PatienceOver> {
        match &mut self.kind {
            Kind::Lent { conn, .. } if conn.server().waiting.is_told() => return Poll::Ready(PatienceOver::Draining),
            Kind::Lent { .. } => {}
            Kind::Own(own) => {
                if Pin::new(&mut own.draining).poll(cx).is_ready() {
                    return Poll::Ready(PatienceOver::Draining);
                }
            }
        }
        // One that has been taken back never gets a time again, and whoever asks must not ask for ever.
        let Some(deadline) = self.deadline() else { return Poll::Ready(PatienceOver::Draining) };
        deadline.poll_expired(cx).map(|()| PatienceOver::Time)
    }

    /// `None` when the connection has taken it back.
    #[inline]
    fn deadline(&self) -> Option<&Deadline> {
        match &self.kind {
            Kind::Lent { conn, serial } => conn.is_current(*serial).then(|| conn.deadline()),
            Kind::Own(own) => Some(&own.deadline),
        }
    }
}

impl Drop for Patience {
    #[inline]
    fn drop(&mut self) {
        if let Kind::Lent { conn, serial } = &self.kind {
            conn.take_deadline_back(*serial);
        }
    }
}

impl fmt::Debug for Patience {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Patience")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_small() {
        assert_eq!(size_of::<Patience>(), 16);
    }
}
