use std::cell::RefCell;

use socket2::{Domain, Socket, Type};

/// A descriptor that is kept to be given up when there are no others: accepting a connection in order to close it takes one
/// too. The old trick of libev and of many servers.
pub(super) struct Reserve(RefCell<Option<Socket>>);

impl Reserve {
    pub(super) fn new() -> Reserve {
        Reserve(RefCell::new(open()))
    }

    /// Runs `work` with one more descriptor to be had, as long as no other thread is faster. Does not run it when the reserve
    /// itself is missing.
    pub(super) fn lend<T: Default>(&self, work: impl FnOnce() -> T) -> T {
        self.restore();
        let Some(descriptor) = self.0.take() else { return T::default() };
        drop(descriptor);
        let result = work();
        self.restore();
        result
    }

    /// Takes one again when it could not be had before.
    pub(super) fn restore(&self) {
        let mut reserve = self.0.borrow_mut();
        if reserve.is_none() {
            *reserve = open();
        }
    }
}

/// The cheapest there is, which needs no file system.
fn open() -> Option<Socket> {
    Socket::new(Domain::UNIX, Type::DGRAM.cloexec(), None).ok()
}
