//! A loop inside of another one.

use std::{
    io::{self, ErrorKind},
    os::fd::{AsFd, BorrowedFd},
    time::Duration,
};

use super::{IOLoop, Running};
use crate::{Error, Result, context};

impl IOLoop {
    /// Runs one turn, waiting no longer than `timeout` (`None`: no limit); it looks at descriptors, other threads and
    /// timers in any case. Gives the longest time that may pass until the next call: zero when work is queued, `None` when
    /// there is nothing to do before [`as_fd`](IOLoop::as_fd) is readable. On a closed loop it does nothing.
    ///
    /// # Panics
    ///
    /// As [`start`](IOLoop::start).
    ///
    /// # Examples
    ///
    /// A loop of one's own, driven by the thread's:
    ///
    /// ```
    /// use std::{cell::Cell, rc::Rc, time::Duration};
    /// use ioloop::{IOLoop, Interest};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// fn drive(outer: &IOLoop, inner: &IOLoop) {
    ///     if let Some(limit) = inner.run_once(Some(Duration::ZERO)) {
    ///         let (again, driven) = (outer.clone(), inner.clone());
    ///         outer.call_later(limit, move || drive(&again, &driven));
    ///     }
    /// }
    ///
    /// let (outer, inner) = (IOLoop::current(), IOLoop::new()?);
    /// let stop = outer.clone();
    /// inner.call_later(Duration::from_millis(3), move || stop.stop());
    ///
    /// let (again, driven) = (outer.clone(), inner.clone());
    /// outer.add_handler(inner.as_fd()?.try_clone_to_owned()?, Interest::READABLE, move |_| drive(&again, &driven))?;
    /// drive(&outer, &inner);
    /// outer.start();
    /// # Ok(())
    /// # }
    /// ```
    #[inline]
    pub fn run_once(&self, timeout: Option<Duration>) -> Option<Duration> {
        if self.inner.closed.get() {
            return None;
        }
        self.inner.remote.wake_up();
        let running = Running::enter(self);
        let detached = context::enter(None);
        self.turn_within(timeout);
        drop(detached);
        drop(running);
        self.idle_limit()
    }

    /// The descriptor that is readable when the loop has events to handle, for another loop to watch: poll(2), epoll(7) or
    /// anything else. It is a duplicate of the poller's own, made by the first call.
    ///
    /// Between two calls of [`run_once`](IOLoop::run_once) it also becomes readable when another thread sends something,
    /// and when a task of this loop is woken, unless it is the thread's [current](IOLoop::current) one. What is registered
    /// with the loop directly meanwhile is seen by the next `run_once`; so call that after registering something.
    ///
    /// # Errors
    ///
    /// `Unsupported` when the poller has no descriptor, which is so for [`PosixPoll`](crate::PosixPoll); or when the
    /// process is out of descriptors.
    #[inline]
    pub fn as_fd(&self) -> Result<BorrowedFd<'_>> {
        if self.inner.poller_fd.get().is_none() {
            let duplicate = match self.inner.poller.borrow().descriptor() {
                Some(fd) => fd.try_clone_to_owned(),
                None => Err(io::Error::from(ErrorKind::Unsupported)),
            };
            let duplicate = duplicate.map_err(Error::io("duplicating the poller's descriptor"))?;
            let _ = self.inner.poller_fd.set(duplicate);
        }
        Ok(self.inner.poller_fd.get().expect("set above").as_fd())
    }

    /// How long this loop may be left alone. While it is, other threads and wakers signal it.
    #[inline]
    fn idle_limit(&self) -> Option<Duration> {
        let (limit, _) = self.poll_timeout();
        if limit != Some(Duration::ZERO) && !self.inner.remote.fall_asleep() {
            return Some(Duration::ZERO);
        }
        limit
    }
}
