//! What a poller backend supplies: [`Poller`], and the words it speaks in.
//!
//! A backend watches descriptors under a [`Token`] chosen by the loop and reports [`Event`]s. It knows nothing of
//! handlers, tasks or the loop. [`Epoll`] and [`PosixPoll`] are built in.

mod epoll;
mod poll;

use std::{fmt, io, os::fd::BorrowedFd, time::Duration};

use bitflags::{Flags, parser};
use nix::poll::PollTimeout;

use crate::arena::ArenaKey;

pub use self::{epoll::Epoll, poll::PosixPoll};

/// Watches descriptors and waits for them: what a loop waits with, given to [`Builder::poller`](crate::Builder::poller) or
/// [`IOLoop::configure`](crate::IOLoop::configure).
///
/// The loop makes one virtual call for each poll, not per event. A panic in a poller goes through the loop and ends
/// [`start`](crate::IOLoop::start), and so does an error of [`poll`](Poller::poll). The loop has lent out the poller
/// while it calls it: a poller must not register anything with that loop.
///
/// A backend has to know both [triggers](Trigger). The loop registers its own eventfd first of all, by edge, and does not
/// read it: a backend that reports it for as long as it is readable would keep the loop awake for ever. One whose kernel
/// has no edges says so by [`needs_rearming`](Poller::needs_rearming); then the loop registers the eventfd by level and
/// reads it, and tells when an edge is wanted again.
///
/// # Examples
///
/// A poller around another one, which knows how much of its time the loop has slept:
///
/// ```
/// use std::{cell::Cell, io, os::fd::BorrowedFd, rc::Rc, time::{Duration, Instant}};
/// use ioloop::{Epoll, Event, IOLoop, Interest, Poller, Ready, Token, Trigger, sleep};
///
/// struct Timed<P> {
///     poller: P,
///     slept: Rc<Cell<Duration>>,
/// }
///
/// impl<P: Poller> Poller for Timed<P> {
///     fn poll(&mut self, events: &mut Vec<Event>, timeout: Option<Duration>) -> io::Result<()> {
///         let began = Instant::now();
///         let result = self.poller.poll(events, timeout);
///         self.slept.set(self.slept.get() + began.elapsed());
///         result
///     }
///
///     // Everything else as it was.
///     fn add(&mut self, fd: BorrowedFd<'_>, token: Token, interest: Interest, trigger: Trigger) -> io::Result<()> {
///         self.poller.add(fd, token, interest, trigger)
///     }
///
///     fn modify(&mut self, fd: BorrowedFd<'_>, token: Token, interest: Interest, trigger: Trigger) -> io::Result<()> {
///         self.poller.modify(fd, token, interest, trigger)
///     }
///
///     fn remove(&mut self, fd: BorrowedFd<'_>, token: Token) -> io::Result<()> {
///         self.poller.remove(fd, token)
///     }
///
///     fn closing(&mut self, fd: BorrowedFd<'_>, token: Token) {
///         self.poller.closing(fd, token);
///     }
///
///     fn needs_rearming(&self) -> bool {
///         self.poller.needs_rearming()
///     }
///
///     fn rearm(&mut self, token: Token, what: Ready) {
///         self.poller.rearm(token, what);
///     }
///
///     fn descriptor(&self) -> Option<BorrowedFd<'_>> {
///         self.poller.descriptor()
///     }
/// }
///
/// fn main() -> Result<(), Box<dyn std::error::Error>> {
///     let slept = Rc::new(Cell::new(Duration::ZERO));
///     let poller = Timed { poller: Epoll::new()?, slept: Rc::clone(&slept) };
///     let ioloop = IOLoop::builder().poller(poller).build()?;
///     ioloop.run_sync(async { sleep(Duration::from_millis(5)).await });
///     assert!(!slept.get().is_zero());
///     Ok(())
/// }
/// ```
pub trait Poller {
    /// Starts watching `fd`. Errors and hang-ups are reported whatever the interest. What `fd` is ready for already is
    /// reported by the next [`poll`](Poller::poll), with either trigger. `fd` stays open until
    /// [`remove`](Poller::remove) or [`closing`](Poller::closing), unless it is closed by its raw number.
    ///
    /// # Errors
    ///
    /// What the system says: a descriptor can be watched once (`EEXIST`), and some kinds not at all (`EPERM`).
    fn add(&mut self, fd: BorrowedFd<'_>, token: Token, interest: Interest, trigger: Trigger) -> io::Result<()>;

    /// Changes what `fd` is watched for.
    ///
    /// # Errors
    ///
    /// `ENOENT` when it is not watched.
    fn modify(&mut self, fd: BorrowedFd<'_>, token: Token, interest: Interest, trigger: Trigger) -> io::Result<()>;

    /// Stops watching `fd`.
    ///
    /// # Errors
    ///
    /// `ENOENT` when it is not watched.
    fn remove(&mut self, fd: BorrowedFd<'_>, token: Token) -> io::Result<()>;

    /// Told instead of [`remove`](Poller::remove) when `fd` is about to be closed and has no duplicate. A backend whose
    /// kernel forgets closed descriptors by itself may do nothing.
    fn closing(&mut self, fd: BorrowedFd<'_>, token: Token) {
        let _ = self.remove(fd, token);
    }

    /// Waits until a descriptor is ready or `timeout` is over (`None`: for ever) and appends what happened to `events`.
    /// Returns early without events when a signal arrives. A timeout is rounded up to the backend's precision, never
    /// down: returning early would make the loop spin until a deadline.
    ///
    /// # Errors
    ///
    /// What the system says, except for `EINTR`.
    fn poll(&mut self, events: &mut Vec<Event>, timeout: Option<Duration>) -> io::Result<()>;

    /// Whether the backend has to be told when the loop forgets a bit that it has reported. False, the default, where the
    /// kernel knows edges. Asked once, when a loop is made.
    fn needs_rearming(&self) -> bool {
        false
    }

    /// Told, if it [needs](Poller::needs_rearming) that, that an edge-triggered registration shall report `what` again
    /// as soon as it is so. Until then a backend without edges keeps quiet about what it has reported.
    fn rearm(&mut self, token: Token, what: Ready) {
        let _ = (token, what);
    }

    /// A descriptor that is readable while [`poll`](Poller::poll) would report something, if the backend has one. Without
    /// it a loop cannot be nested in another one.
    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        None
    }
}

impl<P: Poller + ?Sized> Poller for Box<P> {
    fn add(&mut self, fd: BorrowedFd<'_>, token: Token, interest: Interest, trigger: Trigger) -> io::Result<()> {
        (**self).add(fd, token, interest, trigger)
    }

    fn modify(&mut self, fd: BorrowedFd<'_>, token: Token, interest: Interest, trigger: Trigger) -> io::Result<()> {
        (**self).modify(fd, token, interest, trigger)
    }

    fn remove(&mut self, fd: BorrowedFd<'_>, token: Token) -> io::Result<()> {
        (**self).remove(fd, token)
    }

    fn closing(&mut self, fd: BorrowedFd<'_>, token: Token) {
        (**self).closing(fd, token);
    }

    fn poll(&mut self, events: &mut Vec<Event>, timeout: Option<Duration>) -> io::Result<()> {
        (**self).poll(events, timeout)
    }

    fn needs_rearming(&self) -> bool {
        (**self).needs_rearming()
    }

    fn rearm(&mut self, token: Token, what: Ready) {
        (**self).rearm(token, what);
    }

    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        (**self).descriptor()
    }
}

/// Names one registration of one loop: a place and its generation, so that an event still under way for a removed
/// descriptor is dropped, also when its number is in use again.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Token(u64);

impl Token {
    /// The token as a number, for backends that hand 64 bits to the kernel.
    pub fn to_u64(self) -> u64 {
        self.0
    }

    /// The token that [`to_u64`](Token::to_u64) gave.
    pub fn from_u64(bits: u64) -> Token {
        Token(bits)
    }

    pub(crate) fn from_key(key: ArenaKey) -> Token {
        Token(key.to_u64())
    }

    pub(crate) fn key(self) -> ArenaKey {
        ArenaKey::from_u64(self.0)
    }
}

impl fmt::Debug for Token {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ArenaKey { index, generation } = self.key();
        write!(f, "Token({index}@{generation})")
    }
}

/// What a descriptor is watched for. Errors and hang-ups are reported in any case.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Interest(u8);

bitflags::bitflags! {
    impl Interest: u8 {
        /// There is something to read, to accept, or the end of input.
        const READABLE = 1 << 0;
        /// There is room to write, or a connect has ended.
        const WRITABLE = 1 << 2;
        /// There is urgent data (TCP's `MSG_OOB`).
        const PRIORITY = 1 << 1;
        /// The peer has shut down its writing half (`EPOLLRDHUP`).
        const READ_CLOSED = 1 << 5;
    }
}

/// What a descriptor is ready for. Bits of one name have the meaning of [`Interest`]'s.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Ready(u8);

bitflags::bitflags! {
    impl Ready: u8 {
        /// There is something to read, to accept, or the end of input.
        const READABLE = 1 << 0;
        /// There is room to write, or a connect has ended.
        const WRITABLE = 1 << 2;
        /// There is urgent data.
        const PRIORITY = 1 << 1;
        /// The peer has shut down its writing half, or more.
        const READ_CLOSED = 1 << 5;
        /// Both halves are shut down (`EPOLLHUP`): nothing can be sent any more.
        const HANGUP = 1 << 4;
        /// An error is pending on the descriptor (`EPOLLERR`), a reset for example.
        const ERROR = 1 << 3;
    }
}

impl fmt::Debug for Interest {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_flags("Interest", self, f)
    }
}

impl fmt::Debug for Ready {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_flags("Ready", self, f)
    }
}

/// As `derive` does for a type that the macro declares. That type brings a second one along, with a parser and formatters
/// that nobody calls and that are compiled all the same.
#[inline]
fn write_flags<F: Flags<Bits = u8>>(name: &str, flags: &F, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    write!(f, "{name}(")?;
    if flags.is_empty() {
        f.write_str("0x0")?;
    }
    parser::to_writer(flags, &mut *f)?;
    f.write_str(")")
}

impl Ready {
    /// Whether a read will not block: there is data, the end of input, or an error that the read returns.
    pub const fn is_readable(self) -> bool {
        self.intersects(Ready::READABLE.union(Ready::HANGUP).union(Ready::ERROR))
    }

    /// Whether a write will not block: there is room, or an error that the write returns.
    pub const fn is_writable(self) -> bool {
        self.intersects(Ready::WRITABLE.union(Ready::HANGUP).union(Ready::ERROR))
    }

    /// Whether there is urgent data.
    pub const fn is_priority(self) -> bool {
        self.contains(Ready::PRIORITY)
    }

    /// Whether the peer sends nothing more: it has shut down its writing half, or both halves are shut down. What it sent
    /// before may still be there to read.
    pub const fn is_read_closed(self) -> bool {
        self.intersects(Ready::READ_CLOSED.union(Ready::HANGUP))
    }

    /// Whether both halves are shut down, or the other end of a pipe is closed.
    pub const fn is_hangup(self) -> bool {
        self.contains(Ready::HANGUP)
    }

    /// Whether an error is pending. The next read or write returns it, and so does `SO_ERROR` (`take_error` of std's
    /// sockets).
    pub const fn is_error(self) -> bool {
        self.contains(Ready::ERROR)
    }
}

/// Whether readiness is reported as long as it lasts or when it begins. [`IOLoop::add_handler`](crate::IOLoop::add_handler)
/// registers by level, [`Source`](crate::Source) by edge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Trigger {
    /// In every poll as long as the descriptor is ready.
    Level,
    /// Once, when the descriptor becomes ready; again only after the next change.
    Edge,
}

/// One descriptor's news.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Event {
    token: Token,
    ready: Ready,
}

impl Event {
    /// An event as a backend reports it.
    pub fn new(token: Token, ready: Ready) -> Event {
        Event { token, ready }
    }

    /// The registration it belongs to.
    pub fn token(&self) -> Token {
        self.token
    }

    /// Everything the descriptor is ready for.
    pub fn ready(&self) -> Ready {
        self.ready
    }

    /// Whether a read will not block: [`Ready::is_readable`].
    pub fn is_readable(&self) -> bool {
        self.ready.is_readable()
    }

    /// Whether a write will not block: [`Ready::is_writable`].
    pub fn is_writable(&self) -> bool {
        self.ready.is_writable()
    }

    /// Whether there is urgent data: [`Ready::is_priority`].
    pub fn is_priority(&self) -> bool {
        self.ready.is_priority()
    }

    /// Whether the peer sends nothing more: [`Ready::is_read_closed`].
    pub fn is_read_closed(&self) -> bool {
        self.ready.is_read_closed()
    }

    /// Whether both halves are shut down: [`Ready::is_hangup`].
    pub fn is_hangup(&self) -> bool {
        self.ready.is_hangup()
    }

    /// Whether an error is pending: [`Ready::is_error`].
    pub fn is_error(&self) -> bool {
        self.ready.is_error()
    }
}

/// epoll_wait(2) and poll(2) count in milliseconds. Rounded up, as mio does: a time-out of less than a millisecond cut off to
/// zero would return at once, find the timer not due, and spin until it is.
fn milliseconds(timeout: Option<Duration>) -> PollTimeout {
    let Some(timeout) = timeout else {
        return PollTimeout::NONE;
    };
    // In parts, because 128-bit division is done in software.
    let partial = u64::from(timeout.subsec_nanos().div_ceil(1_000_000));
    let rounded_up = timeout.as_secs().saturating_mul(1000).saturating_add(partial);
    i32::try_from(rounded_up).ok().and_then(|ms| PollTimeout::try_from(ms).ok()).unwrap_or(PollTimeout::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_predicate_is_true_for_its_own_bits_and_for_what_ends_everything() {
        let event = |ready| Event::new(Token::from_u64(0), ready);
        let said = |ready| {
            let event = event(ready);
            let said = [event.is_readable(), event.is_writable(), event.is_priority()];
            (said, [event.is_read_closed(), event.is_hangup(), event.is_error()])
        };
        assert_eq!(said(Ready::empty()), ([false; 3], [false; 3]));
        assert_eq!(said(Ready::READABLE), ([true, false, false], [false; 3]));
        assert_eq!(said(Ready::WRITABLE), ([false, true, false], [false; 3]));
        assert_eq!(said(Ready::PRIORITY), ([false, false, true], [false; 3]));
        assert_eq!(said(Ready::READ_CLOSED), ([false; 3], [true, false, false]));
        assert_eq!(said(Ready::HANGUP), ([true, true, false], [true, true, false]));
        assert_eq!(said(Ready::ERROR), ([true, true, false], [false, false, true]));
        assert_eq!(said(Ready::all()), ([true; 3], [true; 3]));
    }

    #[test]
    fn timeouts_are_rounded_up_to_whole_milliseconds() {
        let ms = |nanos| milliseconds(Some(Duration::from_nanos(nanos)));
        assert_eq!(ms(0), PollTimeout::ZERO);
        assert_eq!(ms(1), PollTimeout::from(1u8));
        assert_eq!(ms(1_000_000), PollTimeout::from(1u8));
        assert_eq!(ms(1_000_001), PollTimeout::from(2u8));
        assert_eq!(milliseconds(None), PollTimeout::NONE);
        assert_eq!(milliseconds(Some(Duration::MAX)), PollTimeout::MAX);
    }
}
