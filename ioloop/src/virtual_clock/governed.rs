use std::{io, os::fd::BorrowedFd, time::Duration};

use super::{Idle, VirtualClock};
use crate::{Clock, Event, IOLoop, Interest, Poller, Ready, Token, Trigger};

/// How long a loop waits, in real time, before it looks again whether there are jobs.
const JOB_WAIT: Duration = Duration::from_millis(1);

/// What a loop with a virtual clock waits with: a poller that asks the clock before it waits.
pub(crate) struct Governed {
    poller: Box<dyn Poller>,
    clock: VirtualClock,
}

impl Governed {
    #[inline]
    pub(crate) fn new(poller: Box<dyn Poller>, clock: VirtualClock) -> Governed {
        clock.state.loops.set(clock.state.loops.get() + 1);
        Governed { poller, clock }
    }
}

impl Drop for Governed {
    #[inline]
    fn drop(&mut self) {
        let loops = &self.clock.state.loops;
        loops.set(loops.get() - 1);
    }
}

impl Poller for Governed {
    #[inline]
    fn add(&mut self, fd: BorrowedFd<'_>, token: Token, interest: Interest, trigger: Trigger) -> io::Result<()> {
        self.poller.add(fd, token, interest, trigger)
    }

    #[inline]
    fn modify(&mut self, fd: BorrowedFd<'_>, token: Token, interest: Interest, trigger: Trigger) -> io::Result<()> {
        self.poller.modify(fd, token, interest, trigger)
    }

    #[inline]
    fn remove(&mut self, fd: BorrowedFd<'_>, token: Token) -> io::Result<()> {
        self.poller.remove(fd, token)
    }

    #[inline]
    fn closing(&mut self, fd: BorrowedFd<'_>, token: Token) {
        self.poller.closing(fd, token);
    }

    #[inline]
    fn poll(&mut self, events: &mut Vec<Event>, timeout: Option<Duration>) -> io::Result<()> {
        self.poller.poll(events, Some(Duration::ZERO))?;
        if !events.is_empty() || timeout == Some(Duration::ZERO) {
            return Ok(());
        }
        match self.clock.idle(timeout, || IOLoop::current().has_jobs()) {
            Idle::TimePassed => {}
            // The loop has lent out its poller and its events: a waker, which may be anybody's code, has to wait until
            // it has them back. The loop that polls is the current one.
            Idle::Completed(waker) => IOLoop::current().spawn_callback(move || waker.wake()),
            // A job says that it has ended by waking the loop, and so does not say it when its result has been taken
            // already and its thread is not back at its place yet. Hence a limit, behind which this is asked again.
            Idle::Jobs => self.poller.poll(events, Some(JOB_WAIT))?,
            Idle::Sleep => self.poller.poll(events, None)?,
        }
        Ok(())
    }

    #[inline]
    fn needs_rearming(&self) -> bool {
        self.poller.needs_rearming()
    }

    #[inline]
    fn rearm(&mut self, token: Token, what: Ready) {
        self.poller.rearm(token, what);
    }

    #[inline]
    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.poller.descriptor()
    }
}

/// What a loop with a virtual clock reads. [`VirtualClock`] is no [`Clock`] itself: taken for one like any other, it would
/// leave the loop with a poller that waits in real time.
pub(crate) struct Dial(VirtualClock);

impl Dial {
    pub(crate) fn new(clock: VirtualClock) -> Dial {
        Dial(clock)
    }
}

impl Clock for Dial {
    fn now(&self) -> Duration {
        self.0.elapsed()
    }
}
