use std::rc::{Rc, Weak};

use iostream::Admitted;

use super::ServerConn;

/// A connection's place in its server's list; given up when the connection's future ends or is dropped.
pub(crate) struct Registration {
    pub(super) conn: Rc<ServerConn>,
    key: usize,
    /// Its place within the limits.
    _admitted: Option<Admitted>,
}

impl Registration {
    /// `admitted`: the connection's place within the limits, if it has one.
    pub(crate) fn new(conn: Rc<ServerConn>, admitted: Option<Admitted>) -> Registration {
        let weak: Weak<ServerConn> = Rc::downgrade(&conn);
        let key = conn.server().register(weak);
        Registration { conn, key, _admitted: admitted }
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.conn.server().unregister(self.key);
    }
}
