//! A connection's place in the list of its server.

use std::{
    mem,
    net::IpAddr,
    rc::{Rc, Weak},
};

use iostream::Admitted;

use super::ServerConn;
use crate::upgrade::Place;

/// A connection's place in its server's list; given up when the connection's future ends or is dropped.
///
/// It is held beside the future that serves, and so outlives a panic of it.
pub(crate) struct Registration {
    pub(super) conn: Rc<ServerConn>,
    /// Where the server's list has it; [`HANDED_OVER`] when it is another's now.
    key: usize,
    /// Its place within the limits of connections; `None` for a stream that was not accepted here.
    admitted: Option<Admitted>,
}

impl Registration {
    /// `admitted`: the connection's place within the limits, if it has one.
    pub(crate) fn new(conn: Rc<ServerConn>, admitted: Option<Admitted>) -> Registration {
        // Weak: the list is for ending connections, and must not keep alive one whose future was dropped.
        let weak: Weak<ServerConn> = Rc::downgrade(&conn);
        let key = conn.server().register(weak);
        Registration { conn, key, admitted }
    }

    /// Counts it for an address that has become known. False when there are too many from there.
    #[inline]
    pub(super) fn assign(&mut self, ip: IpAddr) -> bool {
        self.admitted.as_mut().is_none_or(|admitted| admitted.assign(ip).is_ok())
    }
}

impl Registration {
    /// Hands the place over to another protocol. What the connection holds for HTTP goes.
    #[inline]
    pub(super) fn into_place(mut self) -> Place {
        let key = mem::replace(&mut self.key, HANDED_OVER);
        let (conn, admitted) = (&self.conn, self.admitted.take());
        // Time-outs of HTTP end here, and requests that are kept have no connection any more.
        conn.conn.deadline().clear();
        conn.busy.set(false);
        Place::new(conn.stream().clone(), Rc::clone(conn.server()), key, conn.cancels.get(), admitted)
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        if self.key != HANDED_OVER {
            self.conn.server().unregister(self.key);
        }
    }
}

/// No list is that long.
const HANDED_OVER: usize = usize::MAX;
