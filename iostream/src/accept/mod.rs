mod listening;
mod reserve;

use std::{
    cell::{Cell, RefCell},
    fmt, io,
    net::{SocketAddr, TcpListener, TcpStream},
    os::{
        fd::AsFd,
        unix::net::{self as unix, UnixListener, UnixStream},
    },
    rc::{Rc, Weak},
    time::{Duration, Instant},
};

use ioloop::{IOLoop, Interest, Token};
use nix::errno::Errno;

use self::{
    listening::{Listening, Socket},
    reserve::Reserve,
};
use crate::{
    Result,
    burst::Burst,
    check,
    error::{errno, kind},
};

/// How long accepting pauses when the process or the system is out of descriptors or memory.
const PAUSE: Duration = Duration::from_millis(100);

/// How long connections are left waiting for descriptors before their clients are told that there are none.
const PATIENCE: Duration = Duration::from_secs(1);

/// The most connections that are turned away after one pause.
const MAX_TURNED_AWAY: usize = 1024;

/// No poll has this number.
const NEVER: u64 = u64::MAX;

/// The longest streak that is waited for before the queue is asked for more than one connection.
const MAX_PATIENCE: u32 = 64;

/// The most connections accepted in one turn of the loop.
const MAX_BATCH: u32 = 64;

/// The most connections that a drain accepts: more than a backlog holds, but clients may go on coming.
const MAX_DRAINED: u32 = 65_536;

/// Calls `on_accept` for every connection that `listener` gets, on the current loop, until
/// [`AcceptHandle::stop`].
///
/// The callback receives each connection non-blocking already, for
/// [`IOStream::from_nonblocking`](crate::IOStream::from_nonblocking). `TCP_NODELAY` is not set.
///
/// One connection is accepted per wake-up, and twice as many each time that the next poll finds more, as long as they are
/// there: asking a queue that is already empty costs the kernel as much as a connection.
///
/// When descriptors or memory run out, accepting pauses for 100 ms at a time, and the connections wait in the backlog. After
/// a second without one that could be accepted, those that wait are closed at once, so that their clients can go elsewhere:
/// a descriptor is kept in reserve for that. It is logged as an error when such a shortage begins, and once a minute while it
/// lasts.
///
/// # Errors
///
/// [`Error::NotAListener`](crate::Error::NotAListener) when the descriptor in it is something else,
/// [`Error::Loop`](crate::Error::Loop) when the loop cannot watch the socket.
///
/// # Examples
///
/// ```
/// use iostream::{IOLoop, netutil::{BindOptions, add_accept_handler, bind_sockets}};
/// use std::net::TcpStream;
///
/// for listener in bind_sockets("127.0.0.1:0", &BindOptions::new())? {
///     let addr = listener.local_addr()?;
///     add_accept_handler(listener, |_connection, peer| {
///         println!("{peer} has come");
///         IOLoop::current().stop();
///     })?;
///     let client = TcpStream::connect(addr)?;
///     IOLoop::current().start();
/// }
/// # Ok::<_, iostream::Error>(())
/// ```
pub fn add_accept_handler(
    listener: TcpListener,
    on_accept: impl FnMut(TcpStream, SocketAddr) + 'static,
) -> Result<AcceptHandle> {
    check::listener(&listener)?;
    listener.set_nonblocking(true)?;
    let listener = Rc::new(listener);
    begin(listener.clone(), Box::new(Socket { listener, on_accept }))
}

/// As [`add_accept_handler`], for a Unix socket. The callback receives each connection still blocking, for
/// [`IOStream::from_accepted_unix`](crate::IOStream::from_accepted_unix). The peer's address is usually without a name.
///
/// # Errors
///
/// As [`add_accept_handler`].
pub fn add_unix_accept_handler(
    listener: UnixListener,
    on_accept: impl FnMut(UnixStream, unix::SocketAddr) + 'static,
) -> Result<AcceptHandle> {
    check::listener(&listener)?;
    listener.set_nonblocking(true)?;
    let listener = Rc::new(listener);
    begin(listener.clone(), Box::new(Socket { listener, on_accept }))
}

fn begin(listener: Rc<dyn AsFd>, work: Box<dyn Listening>) -> Result<AcceptHandle> {
    let ioloop = IOLoop::current();
    let acceptor = Rc::new(Acceptor {
        ioloop: ioloop.clone(),
        token: Cell::new(None),
        work: RefCell::new(Some(work)),
        batch: Cell::new(1),
        woken_in: Cell::new(NEVER),
        streak: Cell::new(0),
        patience: Cell::new(1),
        draining: Cell::new(false),
        reserve: Reserve::new(),
        short_since: Cell::new(None),
        shortages: Burst::default(),
        losses: Burst::default(),
    });
    let token = ioloop.add_handler(listener, Interest::READABLE, {
        let acceptor = acceptor.clone();
        move |_| {
            acceptor.size_batch();
            acceptor.accept_batch();
        }
    })?;
    acceptor.token.set(Some(token));
    Ok(AcceptHandle(Rc::downgrade(&acceptor)))
}

/// Ends what [`add_accept_handler`] has begun. Dropping it does not: accepting goes on.
///
/// It does not keep the callback alive, which may therefore hold it: both go with the loop.
#[derive(Clone)]
pub struct AcceptHandle(Weak<Acceptor>);

impl AcceptHandle {
    /// Stops accepting and closes the listening socket. Does nothing the second time. May be called by the accept
    /// callback, which is then not called again.
    pub fn stop(&self) {
        if let Some(acceptor) = self.0.upgrade() {
            acceptor.stop();
        }
    }

    /// Hands over the connections that wait in the backlog, then stops: their clients have been told that they are
    /// connected, and may have sent a request. Called by the accept callback, it does so after the callback's return.
    ///
    /// A client whose handshake is not complete gets a reset, as it gets when the system has more than 65,536 connections
    /// waiting or descriptors run out.
    pub fn drain(&self) {
        if let Some(acceptor) = self.0.upgrade() {
            acceptor.draining.set(true);
            acceptor.accept_batch();
        }
    }
}

impl fmt::Debug for AcceptHandle {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let token = self.0.upgrade().and_then(|acceptor| acceptor.token.get());
        f.debug_struct("AcceptHandle").field("token", &token).finish()
    }
}

/// One listening socket's state.
struct Acceptor {
    ioloop: IOLoop,
    /// `None` once stopped.
    token: Cell<Option<Token>>,
    /// Out of its place while the callback, which is user code, runs.
    work: RefCell<Option<Box<dyn Listening>>>,
    /// How many connections a wake-up may bring. Grows while there are more.
    batch: Cell<u32>,
    /// The poll that found the socket ready last, by its number.
    woken_in: Cell<u64>,
    /// At how many polls in a row the socket has been ready.
    streak: Cell<u32>,
    /// The length of a streak from which more are asked for.
    patience: Cell<u32>,
    /// What waits in the backlog is the last to be accepted.
    draining: Cell<bool>,
    /// The descriptor by which clients are told that there are none.
    reserve: Reserve,
    /// Since when nothing could be accepted for want of descriptors.
    short_since: Cell<Option<Instant>>,
    /// Times at which descriptors had run out.
    shortages: Burst,
    /// Connections that were gone before they could be accepted.
    losses: Burst,
}

/// The work while it is done. Goes back when dropped, also by a panic of the callback, unless accepting has stopped.
struct Lent<'a> {
    acceptor: &'a Acceptor,
    work: Option<Box<dyn Listening>>,
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        if self.acceptor.token.get().is_some() {
            self.acceptor.work.replace(self.work.take());
        }
    }
}

impl Acceptor {
    /// Ready at one poll after the other may mean that there are more than were accepted, or that they come one by one and
    /// fast. Which it is shows the attempt to take twice as many. When that was in vain, the next one takes longer.
    fn size_batch(&self) {
        let poll = self.ioloop.waits();
        if self.woken_in.replace(poll) != poll.wrapping_sub(1) {
            self.streak.set(0);
            self.batch.set(1);
            return;
        }
        self.streak.set(self.streak.get() + 1);
        if self.streak.get() >= self.patience.get() {
            self.batch.set((self.batch.get() * 2).min(MAX_BATCH));
        }
    }

    /// The queue was empty before the batch was full.
    fn end_of_queue(&self, accepted: u32) {
        self.woken_in.set(NEVER);
        // Of one that was empty from the start another process was faster.
        if accepted > 0 {
            self.patience.set((self.patience.get() * 2).min(MAX_PATIENCE));
        }
    }

    fn accept_batch(self: &Rc<Self>) {
        let Some(work) = self.work.take() else { return };
        let mut lent = Lent { acceptor: self, work: Some(work) };
        if let Some(work) = &mut lent.work {
            self.accept_all(&mut **work);
        }
    }

    fn accept_all(self: &Rc<Self>, work: &mut dyn Listening) {
        let mut count = 0;
        while count < if self.draining.get() { MAX_DRAINED } else { self.batch.get() } {
            match work.accept() {
                Ok(()) => self.end_of_shortage(),
                Err(error) if kind(&error) == io::ErrorKind::WouldBlock => {
                    self.end_of_queue(count);
                    return self.end_of_backlog();
                }
                Err(error) if is_exhaustion(&error) => {
                    self.pause(&error, work);
                    return self.end_of_backlog();
                }
                // The holder of a duplicate of the socket has shut it down. It would report a hang-up for ever.
                Err(error) if kind(&error) == io::ErrorKind::InvalidInput => return self.give_up(&error),
                // Errors of the one connection, which has gone again before it was accepted (see accept(2)).
                Err(error) => {
                    if let Some(silent) = self.losses.note(self.ioloop.turn_time()) {
                        log::debug!("accepting a connection, after {silent} more failures: {error}");
                    }
                }
            }
            // The callback has stopped it.
            if self.token.get().is_none() {
                return;
            }
            count += 1;
        }
        if count > 1 {
            self.patience.set(1);
        }
        self.end_of_backlog();
    }

    fn end_of_backlog(&self) {
        if self.draining.get() {
            self.stop();
        }
    }

    /// Stops listening to the socket for a while.
    fn pause(self: &Rc<Self>, error: &io::Error, work: &mut dyn Listening) {
        self.woken_in.set(NEVER);
        let turned_away = self.turn_away(work);
        // Once per burst: at the limit every connection that ends lets one in, and the next attempt fails again.
        if let Some(silent) = self.shortages.note(self.ioloop.turn_time()) {
            log::error!("accepting connections pauses, after {silent} more times: {error}");
        } else {
            log::debug!("accepting connections pauses, {turned_away} were turned away: {error}");
        }
        // A listening socket stays ready while connections wait: without this the loop would spin.
        self.listen_for(Interest::empty());
        let acceptor = self.clone();
        self.ioloop.call_later(PAUSE, move || acceptor.listen_for(Interest::READABLE));
    }

    /// Closes the connections that wait, when they have waited for long enough. Returns how many.
    fn turn_away(&self, work: &mut dyn Listening) -> usize {
        let now = self.ioloop.turn_time();
        let since = self.short_since.get().unwrap_or(now);
        self.short_since.set(Some(since));
        if now.saturating_duration_since(since) < PATIENCE {
            return 0;
        }
        self.reserve.lend(|| (0..MAX_TURNED_AWAY).take_while(|_| work.turn_away().is_ok()).count())
    }

    fn end_of_shortage(&self) {
        if self.short_since.take().is_some() {
            self.reserve.restore();
        }
    }

    fn give_up(&self, error: &io::Error) {
        log::error!("accepting connections ends: {error}");
        self.stop();
    }

    fn stop(&self) {
        if let Some(token) = self.token.take() {
            self.ioloop.remove_handler(token);
        }
        // Closes the socket, except within the callback, which has it until it returns.
        drop(self.work.take());
    }

    fn listen_for(&self, interest: Interest) {
        if let Some(token) = self.token.get()
            && let Err(error) = self.ioloop.update_handler(token, interest)
        {
            log::error!("accepting connections: {error}");
        }
    }
}

fn is_exhaustion(error: &io::Error) -> bool {
    matches!(errno(error), Errno::EMFILE | Errno::ENFILE | Errno::ENOBUFS | Errno::ENOMEM)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Counts how often the kernel is asked.
    struct Counting {
        listener: Rc<TcpListener>,
        asked: Rc<Cell<u32>>,
        accepted: Rc<Cell<u32>>,
    }

    impl Listening for Counting {
        fn accept(&mut self) -> io::Result<()> {
            self.asked.set(self.asked.get() + 1);
            self.listener.accept()?;
            self.accepted.set(self.accepted.get() + 1);
            Ok(())
        }

        fn turn_away(&self) -> io::Result<()> {
            unreachable!("there are descriptors")
        }
    }

    /// A listener, and how often the kernel was asked and had a connection.
    fn counting() -> (AcceptHandle, SocketAddr, Rc<Cell<u32>>, Rc<Cell<u32>>) {
        let listener = Rc::new(TcpListener::bind("127.0.0.1:0").unwrap());
        listener.set_nonblocking(true).unwrap();
        let addr = listener.local_addr().unwrap();
        let (asked, accepted) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(0)));
        let work =
            Counting { listener: Rc::clone(&listener), asked: Rc::clone(&asked), accepted: Rc::clone(&accepted) };
        (begin(listener, Box::new(work)).unwrap(), addr, asked, accepted)
    }

    /// How often the kernel was asked for these connections, which come in bursts.
    fn asked_for(bursts: u32, size: u32) -> u32 {
        let (handle, addr, asked, accepted) = counting();
        IOLoop::current().run_sync(async {
            for burst in 1..=bursts {
                let _clients: Vec<_> = (0..size).map(|_| TcpStream::connect(addr).unwrap()).collect();
                while accepted.get() < burst * size {
                    ioloop::yield_now().await;
                }
                // A poll that finds nothing.
                let polls = IOLoop::current().metrics().waits;
                while IOLoop::current().metrics().waits < polls + 2 {
                    ioloop::yield_now().await;
                }
            }
        });
        handle.stop();
        asked.get()
    }

    #[test]
    fn connections_that_come_one_by_one_are_asked_for_once_each() {
        assert_eq!(asked_for(20, 1), 20);
    }

    #[test]
    fn connections_that_come_one_by_one_and_fast_soon_are_too() {
        let (handle, addr, asked, accepted) = counting();
        IOLoop::current().run_sync(async {
            for count in 1..=1000 {
                let _client = TcpStream::connect(addr).unwrap();
                while accepted.get() < count {
                    ioloop::yield_now().await;
                }
            }
        });
        handle.stop();
        // Six times until the patience is at its end, and from then on after every 64.
        assert!(asked.get() <= 1000 + 6 + 1000 / 64, "{} questions", asked.get());
    }

    #[test]
    fn of_a_burst_twice_as_many_are_taken_at_each_poll() {
        // 1, 2, 4, 8 and 16, and one question that finds nothing.
        assert_eq!(asked_for(1, 30), 31);
        assert_eq!(asked_for(1, 31), 31);
    }
}
