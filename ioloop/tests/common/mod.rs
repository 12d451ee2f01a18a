//! Helpers of the integration tests.
#![allow(dead_code, reason = "each test file uses a part of it")]

use std::{
    cell::{Cell, RefCell},
    future::{Future, poll_fn},
    io::{self, ErrorKind, Read},
    os::{fd::BorrowedFd, unix::net::UnixStream},
    pin::pin,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
    time::Duration,
};

use ioloop::{Epoll, Event, IOLoop, Interest, Poller, PosixPoll, Ready, Token, Trigger, VirtualClock, yield_now};

/// No test comes near it; one that hangs shall fail instead.
const PATIENCE: Duration = Duration::from_secs(60);

/// Whether this is compiled as a part of `over_poll`, which runs the other files' tests over poll(2) instead of epoll(7).
pub(crate) fn is_over_poll() -> bool {
    module_path!().starts_with("over_poll::")
}

/// The poller that is tested.
pub(crate) fn backend() -> Box<dyn Poller> {
    if is_over_poll() { Box::new(PosixPoll::new()) } else { Box::new(Epoll::new().expect("a descriptor")) }
}

/// A loop of its own, independent of whatever else runs on the thread.
pub(crate) fn new_loop() -> IOLoop {
    if is_over_poll() {
        // For the loops that a test makes in other ways, on other threads for example.
        IOLoop::configure(|| Ok(backend()));
    }
    IOLoop::new().expect("two descriptors")
}

/// `start` for loops on real time; panics instead of hanging.
pub(crate) fn start(ioloop: &IOLoop) {
    let hung = Rc::new(Cell::new(false));
    let (stop, flag) = (ioloop.clone(), Rc::clone(&hung));
    let watchdog = ioloop.call_later(PATIENCE, move || {
        flag.set(true);
        stop.stop();
    });
    ioloop.start();
    ioloop.remove_timeout(watchdog);
    assert!(!hung.get(), "nobody stopped the loop");
}

/// `run_sync` for loops on real time; panics instead of hanging.
pub(crate) fn run<F: Future>(ioloop: &IOLoop, future: F) -> F::Output {
    ioloop.try_run_sync(Some(PATIENCE), future).expect("the future completes")
}

/// Time that passes only when the loop would sleep, then in a jump, and what the loop did with it.
pub(crate) struct World {
    clock: VirtualClock,
    turns: Cell<usize>,
}

impl World {
    /// Time passes, as in a callback that takes long.
    pub(crate) fn skip(&self, by: Duration) {
        self.clock.skip(by);
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.clock.elapsed()
    }

    /// How often the loop has polled: the number of the turn, counted from one.
    pub(crate) fn turn(&self) -> usize {
        self.turns.get()
    }
}

/// A loop whose time is `World`'s: no test waits, and every figure is exact.
pub(crate) fn virtual_loop() -> (IOLoop, Rc<World>) {
    virtual_loop_with(VirtualClock::auto_advancing())
}

/// A loop that panics where it would sleep.
pub(crate) fn virtual_loop_with(clock: VirtualClock) -> (IOLoop, Rc<World>) {
    let world = Rc::new(World { clock, turns: Cell::new(0) });
    let counted = Rc::clone(&world);
    // The clock looks for events once in each turn, and waits for none but where no timer is set: where a test would hang.
    let poller = Before::new(backend(), move |timeout| {
        assert_eq!(timeout, Some(Duration::ZERO), "the loop would sleep for ever");
        counted.turns.set(counted.turns.get() + 1);
    });
    let ioloop = IOLoop::builder().poller(poller).virtual_clock(&world.clock).build().expect("a descriptor");
    (ioloop, world)
}

/// A poller that calls a function with the time-out before each of its polls, and tells of no descriptor.
pub(crate) struct Before<F: FnMut(Option<Duration>)> {
    poller: Box<dyn Poller>,
    call: F,
}

impl<F: FnMut(Option<Duration>)> Before<F> {
    pub(crate) fn new(poller: Box<dyn Poller>, call: F) -> Before<F> {
        Before { poller, call }
    }
}

impl<F: FnMut(Option<Duration>)> Poller for Before<F> {
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

    fn poll(&mut self, events: &mut Vec<Event>, timeout: Option<Duration>) -> io::Result<()> {
        (self.call)(timeout);
        self.poller.poll(events, timeout)
    }

    fn needs_rearming(&self) -> bool {
        self.poller.needs_rearming()
    }

    fn rearm(&mut self, token: Token, what: Ready) {
        self.poller.rearm(token, what);
    }
}

/// A list that callbacks write to.
pub(crate) struct Log<T>(Rc<RefCell<Vec<T>>>);

impl<T> Log<T> {
    pub(crate) fn new() -> Log<T> {
        Log(Rc::default())
    }

    pub(crate) fn push(&self, value: T) {
        self.0.borrow_mut().push(value);
    }

    pub(crate) fn len(&self) -> usize {
        self.0.borrow().len()
    }

    pub(crate) fn take(&self) -> Vec<T> {
        self.0.take()
    }
}

impl<T> Clone for Log<T> {
    fn clone(&self) -> Self {
        Log(Rc::clone(&self.0))
    }
}

/// Runs a function when it is dropped.
pub(crate) struct OnDrop<F: FnMut()>(pub(crate) F);

impl<F: FnMut()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

/// A flag and a guard that sets it when dropped.
pub(crate) fn drop_flag() -> (Rc<Cell<bool>>, OnDrop<impl FnMut()>) {
    let flag = Rc::new(Cell::new(false));
    let set = Rc::clone(&flag);
    (flag, OnDrop(move || set.set(true)))
}

/// A connected pair; both ends non-blocking.
pub(crate) fn pair() -> (UnixStream, UnixStream) {
    let (one, other) = UnixStream::pair().expect("two descriptors");
    one.set_nonblocking(true).expect("a socket");
    other.set_nonblocking(true).expect("a socket");
    (one, other)
}

/// Whether the other end has been closed: reads until there is nothing, or the end.
pub(crate) fn is_closed_by_peer(mut stream: &UnixStream) -> bool {
    let mut buffer = [0; 64];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => return false,
            // A reset: unread data was thrown away by the close.
            Err(_) => return true,
        }
    }
}

/// Lets the loop go on for this many turns that begin with a wait; there may be any number of short ones in between.
pub(crate) async fn turns(count: usize) {
    let waits = || IOLoop::current().metrics().waits;
    for _ in 0..count {
        let before = waits();
        until(|| waits() > before).await;
    }
}

/// The number of the current loop's turn, the short ones counted.
pub(crate) fn turn() -> u64 {
    IOLoop::current().metrics().turns
}

/// Waits until `done` says so, looking once per turn.
pub(crate) async fn until(done: impl Fn() -> bool) {
    while !done() {
        yield_now().await;
    }
}

/// Polls once, without a task to be woken.
pub(crate) fn poll_once<F: Future>(future: F) -> Poll<F::Output> {
    pin!(future).poll(&mut Context::from_waker(Waker::noop()))
}

/// The current task's waker.
pub(crate) async fn waker() -> Waker {
    poll_fn(|cx| Poll::Ready(cx.waker().clone())).await
}

/// A future that is never ready and counts its polls.
pub(crate) fn counting_polls(polls: &Rc<Cell<usize>>) -> impl Future<Output = ()> + 'static {
    let polls = Rc::clone(polls);
    poll_fn(move |_| {
        polls.set(polls.get() + 1);
        Poll::Pending
    })
}

/// A waker that counts.
#[derive(Default)]
pub(crate) struct Count(AtomicUsize);

impl Count {
    /// How often it was woken since it was last [taken](Count::take).
    pub(crate) fn get(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    /// The same, and begins anew.
    pub(crate) fn take(&self) -> usize {
        self.0.swap(0, Ordering::Relaxed)
    }
}

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}
