//! Finds out that a test waits for ever. Nothing in virtual time could: a loop that sleeps without a timer does so until
//! a descriptor or another thread wakes it, and one with a timer that sets itself again never sleeps.

use std::{
    cell::{Cell, RefCell},
    fmt::Write,
    future::{Future, poll_fn},
    io,
    os::fd::BorrowedFd,
    pin::pin,
    rc::Rc,
    task::Waker,
    time::{Duration, Instant},
};

use httpserver::{
    IOLoop,
    iostream::ioloop::{Epoll, Event, Interest, Poller, Ready, Token, Trigger},
};

use super::run::{CallSite, Session};

/// What is known of a test's waiting.
pub(super) struct Watch {
    /// In real time.
    patience: Duration,
    /// How long the loop has waited, and worked in small steps, since something came to the test.
    waited: Cell<Duration>,
    last_poll: Cell<Instant>,
    is_stuck: Cell<bool>,
    /// Of the test itself.
    waker: RefCell<Option<Waker>>,
    /// What the test waits for, in the order in which it was begun.
    waiting: RefCell<Vec<(u64, String, CallSite)>>,
    next_number: Cell<u64>,
}

impl Watch {
    pub(super) fn new(patience: Duration) -> Watch {
        Watch {
            patience,
            waited: Cell::new(Duration::ZERO),
            last_poll: Cell::new(Instant::now()),
            is_stuck: Cell::new(false),
            waker: RefCell::new(None),
            waiting: RefCell::default(),
            next_number: Cell::new(0),
        }
    }

    pub(super) fn patience(&self) -> Duration {
        self.patience
    }

    /// Something has come to the test, or to a client of it.
    pub(super) fn note_progress(&self) {
        self.waited.set(Duration::ZERO);
    }

    pub(super) fn is_stuck(&self) -> bool {
        self.is_stuck.get()
    }

    pub(super) fn set_waker(&self, waker: &Waker) {
        let previous = self.waker.replace(Some(waker.clone()));
        drop(previous);
    }

    pub(super) fn write_waiting(&self, text: &mut String) {
        for (_, what, site) in self.waiting.borrow().iter() {
            let _ = write!(text, "\n  waiting for {what} (at {site})");
        }
    }

    /// What is left of the patience.
    fn rest(&self) -> Duration {
        self.patience.saturating_sub(self.waited.get())
    }

    /// Counts what has passed since the last call: `most` of it, because work that takes long is no waiting.
    fn count(&self, most: Duration) {
        let now = Instant::now();
        let passed = now - self.last_poll.replace(now);
        self.waited.set(self.waited.get() + passed.min(most));
    }

    /// Wakes the test to have it fail. Called by a poller, which the loop has lent out: the waker has to wait.
    fn give_up(&self) {
        if !self.is_stuck.replace(true)
            && let Some(waker) = self.waker.take()
        {
            IOLoop::current().spawn_callback(move || waker.wake());
        }
    }
}

/// Polls what a client of a test waits for, `what`, and keeps account of it.
pub(super) async fn waiting_for<F: Future>(what: impl FnOnce() -> String, site: CallSite, future: F) -> F::Output {
    let mut future = pin!(future);
    let Some(session) = Session::try_current() else { return future.await };
    let watch = &session.watch;
    let number = watch.next_number.get();
    watch.next_number.set(number + 1);
    watch.waiting.borrow_mut().push((number, what(), site));
    let _listed = Listed { watch, number };
    poll_fn(|cx| {
        watch.note_progress();
        future.as_mut().poll(cx)
    })
    .await
}

/// Takes an entry out of the list again.
struct Listed<'w> {
    watch: &'w Watch,
    number: u64,
}

impl Drop for Listed<'_> {
    fn drop(&mut self) {
        self.watch.waiting.borrow_mut().retain(|(number, ..)| *number != self.number);
    }
}

/// A turn of a loop that only fires timers is shorter.
const STEP: Duration = Duration::from_millis(10);

/// A poller that looks at real time: under the virtual clock, which asks it without waiting before it lets time pass.
pub(super) struct PatientPoller {
    poller: Epoll,
    watch: Rc<Watch>,
}

impl PatientPoller {
    pub(super) fn new(poller: Epoll, watch: Rc<Watch>) -> PatientPoller {
        PatientPoller { poller, watch }
    }
}

impl Poller for PatientPoller {
    fn poll(&mut self, events: &mut Vec<Event>, timeout: Option<Duration>) -> io::Result<()> {
        self.watch.count(STEP);
        let rest = self.watch.rest();
        self.poller.poll(events, Some(timeout.map_or(rest, |timeout| timeout.min(rest))))?;
        self.watch.count(Duration::MAX);
        if events.is_empty() && self.watch.rest().is_zero() {
            self.watch.give_up();
        }
        Ok(())
    }

    fn add(&mut self, fd: BorrowedFd<'_>, token: Token, interest: Interest, trigger: Trigger) -> io::Result<()> {
        self.poller.add(fd, token, interest, trigger)
    }

    fn modify(&mut self, fd: BorrowedFd<'_>, token: Token, interest: Interest, trigger: Trigger) -> io::Result<()> {
        self.poller.modify(fd, token, interest, trigger)
    }

    fn remove(&mut self, fd: BorrowedFd<'_>, token: Token) -> io::Result<()> {
        self.poller.remove(fd, token)
    }

    fn closing(&mut self, fd: BorrowedFd<'_>, token: Token) {
        self.poller.closing(fd, token);
    }

    fn needs_rearming(&self) -> bool {
        self.poller.needs_rearming()
    }

    fn rearm(&mut self, token: Token, what: Ready) {
        self.poller.rearm(token, what);
    }

    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.poller.descriptor()
    }
}
