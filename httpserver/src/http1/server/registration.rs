//! A connection's place in the list of its server.

use std::{
    cell::Cell,
    net::IpAddr,
    rc::{Rc, Weak},
};

use iostream::AdmittedEntry;

use super::{Flag, ServerConn};
use crate::upgrade::Place;

/// A connection's place in its server's list; given up when the connection's future ends or is dropped.
///
/// Every idle connection has one, so what it needs of the server is reached through the connection.
pub(crate) struct Registration {
    pub(super) conn: Rc<ServerConn>,
    /// Where the server's list has it; [`NOWHERE`] once the place is another registration's.
    key: Cell<u32>,
    /// Its place within the limits of connections; `None` for a stream that was not accepted here.
    admitted: Cell<Option<AdmittedEntry>>,
}

/// No key: a list of so many connections does not fit into memory.
const NOWHERE: u32 = u32::MAX;

impl Registration {
    /// `admitted`: the connection's place within the limits of its server, if it has one.
    pub(crate) fn new(conn: Rc<ServerConn>, admitted: Option<AdmittedEntry>) -> Registration {
        // Weak: the list is for ending connections, and must not keep alive one whose future was dropped.
        let weak: Weak<ServerConn> = Rc::downgrade(&conn);
        let key = conn.server().register(weak);
        let key = Cell::new(u32::try_from(key).expect("fewer than 2^32 connections"));
        Registration { conn, key, admitted: Cell::new(admitted) }
    }

    /// The same, for what goes on with the connection when its future cannot.
    pub(super) fn pass_on(&self) -> Registration {
        let key = Cell::new(self.key.replace(NOWHERE));
        Registration { conn: Rc::clone(&self.conn), key, admitted: Cell::new(self.admitted.take()) }
    }

    /// Hands the place over to another protocol. What the connection holds for HTTP goes.
    #[inline]
    pub(super) fn hand_over(&self) -> Place {
        let (conn, key) = (&self.conn, self.key.replace(NOWHERE));
        // Time-outs of HTTP end here, and requests that are kept have no connection any more.
        conn.conn.deadline().clear();
        conn.conn.flags.clear(Flag::IN_HAND);
        let cancels = conn.conn.flags.has(Flag::CANCELS);
        Place::new(conn.stream().clone(), Rc::clone(conn.server()), key, cancels, self.admitted.take())
    }

    /// Counts it for an address that has become known. False when there are too many from there.
    #[inline]
    pub(super) fn assign(&self, ip: IpAddr) -> bool {
        let Some(entry) = self.admitted.take() else { return true };
        let mut admitted = self.conn.server().admission.restore(entry);
        let is_assigned = admitted.assign(ip).is_ok();
        self.admitted.set(Some(admitted.into_entry()));
        is_assigned
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        let (server, key) = (self.conn.server(), self.key.get());
        if key != NOWHERE {
            server.unregister(key as usize);
        }
        if let Some(entry) = self.admitted.take() {
            drop(server.admission.restore(entry));
        }
    }
}
