//! A loop inside of another one.

use std::{
    cell::Cell,
    io::{self, ErrorKind},
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    thread,
    time::Duration,
};

use nix::sys::{
    time::TimeSpec,
    timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags},
};

use super::{IOLoop, RunGuard};
use crate::{Error, Interest, Ready, Result, Token, Trigger, context};

impl IOLoop {
    /// Runs one turn, waiting no longer than `timeout` (`None`: no limit). It polls descriptors, other threads and timers in
    /// any case. On a closed loop it does nothing.
    ///
    /// Returns the longest time that may pass until the next call: zero when work is queued, `None` when there is nothing to
    /// do before [`as_fd`](IOLoop::as_fd) is readable. Code that watches that descriptor needs no such limit.
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
    /// use std::time::Duration;
    /// use ioloop::{IOLoop, Interest};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let (outer, inner) = (IOLoop::current(), IOLoop::new()?);
    /// let driven = inner.clone();
    /// outer.add_handler(inner.as_fd()?.try_clone_to_owned()?, Interest::READABLE, move |_| {
    ///     driven.run_once(Some(Duration::ZERO));
    /// })?;
    ///
    /// let stop = outer.clone();
    /// inner.call_later(Duration::from_millis(3), move || stop.stop());
    /// outer.start();
    /// # Ok(())
    /// # }
    /// ```
    #[inline]
    pub fn run_once(&self, timeout: Option<Duration>) -> Option<Duration> {
        if self.inner.closed.get() {
            return None;
        }
        let running = RunGuard::enter(self);
        let detached = context::enter(None);
        self.turn_within(timeout);
        drop(detached);
        drop(running);
        self.idle_limit()
    }

    /// The descriptor that is readable while the loop has something to do, for another loop to watch: poll(2), epoll(7) or
    /// anything else. While it is readable, call [`run_once`](IOLoop::run_once); nothing else is needed to drive the loop.
    ///
    /// It becomes readable when a watched descriptor is ready, when a timer is due, when another thread sends something, and
    /// when the code around the loop registers work or wakes a task. It stays readable while work is left in the queue.
    ///
    /// The first call makes it: a duplicate of the poller's own descriptor, and a timerfd(2) that the loop watches. From then
    /// on each end of a `run_once` with a timer set costs a system call more.
    ///
    /// # Errors
    ///
    /// `Unsupported` when the poller has no descriptor, which is so for [`PosixPoll`](crate::PosixPoll); or when the
    /// process is out of descriptors.
    #[inline]
    pub fn as_fd(&self) -> Result<BorrowedFd<'_>> {
        if self.inner.outlet.get().is_none() {
            let outlet = Outlet::new(self)?;
            let _ = self.inner.outlet.set(outlet);
            if !self.inner.running.get() {
                self.rest();
            }
        }
        Ok(self.inner.outlet.get().expect("set above").poller.as_fd())
    }

    /// How long this loop may be left alone. While it is, other threads and wakers signal it.
    #[inline(never)]
    fn idle_limit(&self) -> Option<Duration> {
        let (limit, _) = self.poll_timeout(self.has_work());
        let is_asleep = || self.inner.resting.get() || self.inner.remote.fall_asleep();
        if limit != Some(Duration::ZERO) && !is_asleep() {
            return Some(Duration::ZERO);
        }
        limit
    }

    /// The loop does not run from here on: what there is to do is announced by its descriptor, if that was asked for.
    pub(super) fn rest(&self) {
        let Some(outlet) = self.inner.outlet.get() else { return };
        if self.inner.closed.get() {
            return;
        }
        // After a panic the clock, which may be anybody's, is not asked: a second one would abort.
        let limit = if thread::panicking() { Some(Duration::ZERO) } else { self.idle_limit() };
        if limit == Some(Duration::ZERO) {
            self.announce();
        } else {
            self.inner.resting.set(true);
            outlet.set_timer(self, limit);
        }
    }

    /// The loop runs again: it notices what comes by itself.
    pub(super) fn leave_rest(&self) {
        self.inner.resting.set(false);
        self.inner.remote.wake_up();
    }

    /// Work has been registered. While the loop runs this is a load and a branch.
    #[inline]
    pub(super) fn rouse(&self) {
        if self.inner.resting.get() {
            self.announce();
        }
    }

    /// Makes the descriptor readable until the next turn. Once is enough.
    #[cold]
    fn announce(&self) {
        self.inner.resting.set(false);
        // Each write is an edge, which the next wait takes up. EAGAIN would mean that the counter is full.
        let _ = self.inner.remote.eventfd.write(1);
    }
}

/// What [`IOLoop::as_fd`] makes.
pub(super) struct Outlet {
    /// A duplicate of the poller's own descriptor: the poller is lent out while it polls.
    poller: OwnedFd,
    /// Fires when the loop's next timer is due, since the code that watches the descriptor may know of no timers.
    timer: TimerFd,
    /// The registration of `timer`.
    token: Token,
    /// Whether `timer` has been set and not been unset since.
    is_set: Cell<bool>,
}

impl Outlet {
    #[inline]
    fn new(ioloop: &IOLoop) -> Result<Outlet> {
        let duplicate = match ioloop.inner.poller.borrow().descriptor() {
            Some(fd) => fd.try_clone_to_owned(),
            None => Err(io::Error::new(ErrorKind::Unsupported, "the poller has none")),
        };
        let poller = duplicate.map_err(Error::io("making the descriptor of a loop"))?;
        let timer = TimerFd::new(ClockId::CLOCK_MONOTONIC, TimerFlags::TFD_CLOEXEC | TimerFlags::TFD_NONBLOCK)
            .map_err(|errno| Error::Io { operation: "creating a timerfd", source: errno.into() })?;
        let token = ioloop.add_source(timer.as_fd(), Interest::READABLE, Trigger::Edge)?;
        Ok(Outlet { poller, timer, token, is_set: Cell::new(false) })
    }

    /// Fires after `limit`, or never. Setting a timer also forgets that it has fired, so that it need not be read.
    fn set_timer(&self, ioloop: &IOLoop, limit: Option<Duration>) {
        let was_set = self.is_set.replace(limit.is_some());
        let result = match limit {
            Some(limit) => self.timer.set(Expiration::OneShot(TimeSpec::from(limit)), TimerSetTimeFlags::empty()),
            None if was_set => self.timer.unset(),
            None => return,
        };
        if let Err(error) = result {
            // A time beyond what the kernel counts, centuries away.
            log::debug!("setting the timer of a nested loop: {error}");
        }
        // Pollers without edges of their own report it again only after this.
        ioloop.source_clear_unless(self.token, Ready::READABLE, Ready::empty());
    }
}
