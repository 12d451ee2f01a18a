//! [`IOLoop`]: what it offers here and in `run`, how it is made in `builder`, its turn in `turn`, its life inside of another
//! loop in `nested`, what it has to say of itself in `metrics` and `watchdog`, what the other modules use of it in
//! `internal`, and how user code is called in `guard`.

mod builder;
mod current;
mod end;
mod guard;
mod internal;
mod metrics;
mod nested;
mod pace;
mod run;
mod turn;
mod watchdog;

use std::{
    cell::{Cell, OnceCell, RefCell},
    fmt,
    future::Future,
    os::fd::AsFd,
    panic::Location,
    rc::Rc,
    sync::Arc,
    time::{Duration, Instant},
};

use crate::{
    CallbackException, Clock, Error, Event, Interest, Poller, Printable, Result, TimeoutHandle, Token, Trigger,
    clock::{LoopClock, nanos},
    context,
    executor::Pool,
    memory::Memory,
    process::Counted,
    registry::Registry,
    remote::{Remote, RemoteWork},
    task::{Fresh, Polled, Scheduler},
    timer::Timers,
};

pub use builder::{Builder, PollerFactory};
use current::RunGuard;
pub(crate) use current::{polled_task, wake_task};
use metrics::Counters;
pub use metrics::Metrics;
use nested::Outlet;
use pace::Pace;
pub use watchdog::SlowCallback;
use watchdog::Watchdog;

/// The event loop of one thread: descriptors, callbacks, timers and tasks.
///
/// A handle: cloning it is cheap and names the same loop. [`IOLoop::current`] is the thread's own, which is what most
/// programs use. The loop is not `Send`; other threads reach it through a [`LoopHandle`](crate::LoopHandle).
///
/// One turn of the loop is: wait for events (not at all when work is queued) → handle the events → take in what other
/// threads have sent → fire the timers that are due → run the callbacks and tasks that are queued at this point. What
/// is queued meanwhile waits for the next turn. While work is queued, the loop may skip polling for up to 64 items or
/// about 50 µs, and at most once after something yields. So neither callbacks nor events can starve each other. The
/// [front page](crate#one-turn) has the exact terms, and [`Builder::event_interval`] sets the number.
///
/// A panic in a callback, handler, timer or task is caught, reported with the source line that registered the work, and
/// the loop goes on; see [`on_callback_exception`](IOLoop::on_callback_exception).
///
/// # Examples
///
/// A service over UDP that counts what it is told, with a status line and an end:
///
/// ```
/// use std::{cell::Cell, io::ErrorKind, net::UdpSocket, rc::Rc, time::Duration};
/// use ioloop::{IOLoop, Interest, PeriodicCallback};
///
/// fn main() -> Result<(), Box<dyn std::error::Error>> {
///     let ioloop = IOLoop::current();
///     let socket = Rc::new(UdpSocket::bind("127.0.0.1:0")?);
///     socket.set_nonblocking(true)?;
///     let address = socket.local_addr()?;
///
///     let total = Rc::new(Cell::new(0));
///     let (server, counted, stop) = (Rc::clone(&socket), Rc::clone(&total), ioloop.clone());
///     ioloop.add_handler(socket, Interest::READABLE, move |_event| {
///         let mut datagram = [0; 64];
///         // Level-triggered: what is left is reported again.
///         match server.recv_from(&mut datagram) {
///             Ok((length, _)) if &datagram[..length] == b"quit" => stop.stop(),
///             Ok((length, _)) => counted.set(counted.get() + length),
///             Err(error) if error.kind() == ErrorKind::WouldBlock => {}
///             Err(error) => eprintln!("receiving: {error}"),
///         }
///     })?;
///
///     let shown = Rc::clone(&total);
///     let status = PeriodicCallback::new(Duration::from_secs(1), move || println!("{} bytes", shown.get()));
///     status.start();
///
///     // Somebody who uses it.
///     ioloop.call_later(Duration::from_millis(2), move || {
///         let client = UdpSocket::bind("127.0.0.1:0").expect("a free port");
///         for text in ["twelve bytes", "and eight", "quit"] {
///             client.send_to(text.as_bytes(), address).expect("room in the socket's buffer");
///         }
///     });
///     ioloop.start();
///     assert_eq!(total.get(), 21);
///     Ok(())
/// }
/// ```
#[derive(Clone)]
pub struct IOLoop {
    inner: Rc<Inner>,
}

struct Inner {
    poller: RefCell<Box<dyn Poller>>,
    /// What the poller says of itself: whether it is to be told when a cached bit is cleared.
    needs_rearming: bool,
    /// What `as_fd` lends out, made by its first call.
    outlet: OnceCell<Outlet>,
    /// Whether work that is registered has to be announced by the outlet: the loop does not run, and nothing has been
    /// announced since it did.
    resting: Cell<bool>,
    registry: RefCell<Registry>,
    timers: RefCell<Timers>,
    scheduler: RefCell<Scheduler>,
    polled: Polled,
    /// The waker of tasks that have none of their own.
    spare: RefCell<Fresh>,
    memory: RefCell<Memory>,
    /// What other threads may touch.
    remote: Arc<Remote>,
    /// Among the loops of its thread.
    number: u32,
    /// The registration of `remote`'s eventfd.
    wakeup: Cell<Option<Token>>,
    clock: LoopClock,
    /// The loop's beginning; timers count nanoseconds from here.
    epoch: Instant,
    /// What the clock said then.
    origin: u64,
    pace: Pace,
    counters: Counters,
    watchdog: Watchdog,
    /// When this turn's wait returned, in nanoseconds since `epoch`.
    turn_time: Cell<u64>,
    /// The same as an instant, which is worked out once a turn and asked for with each request.
    turn_instant: Cell<Instant>,
    /// The batch of a poll; empty between turns, kept for its capacity.
    events: RefCell<Vec<Event>>,
    /// What other threads have sent, while it is taken in; empty otherwise, kept for its capacity.
    inbox: RefCell<Vec<RemoteWork>>,
    running: Cell<bool>,
    stopping: Cell<bool>,
    closed: Cell<bool>,
    /// The state of the future that `run_sync` polls itself.
    root: Cell<Root>,
    exception_hook: RefCell<Option<Rc<ExceptionHook>>>,
    /// Behind the tasks in this list, and so dropped, which waits for its threads, when nothing of theirs can keep one
    /// from ending.
    executor: OnceCell<Pool>,
    _counted: Counted,
}

/// Room made in advance in the lists that every turn fills. Were they to grow under load, they would lie behind what the
/// load has allocated, and keep the allocator from giving that memory back to the system.
const SCRATCH: usize = 256;

type ExceptionHook = dyn Fn(&CallbackException);

/// The future of `run_sync`. A waker may outlive it: its wakes must neither reach nobody for ever nor keep a later
/// `start` from sleeping.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Root {
    Absent,
    Waiting,
    Ready,
    Running,
}

impl IOLoop {
    /// The current thread's loop; made on first use. While a loop runs, it is the current one.
    ///
    /// When the thread ends, its loop is [closed](IOLoop::close).
    ///
    /// # Panics
    ///
    /// When the loop cannot be made because the process is out of descriptors (see [`IOLoop::new`]), and in
    /// destructors of thread-local values, which run when the thread's loop may be gone.
    pub fn current() -> IOLoop {
        current::current()
    }

    /// The current thread's loop, if one has been made or [made current](IOLoop::make_current). Unlike
    /// [`current`](IOLoop::current) it makes none, and in destructors of thread-local values it is `None`.
    pub fn try_current() -> Option<IOLoop> {
        current::try_current()
    }

    /// Makes this loop the thread's current one and returns the previous one. From now on the thread's end
    /// [closes](IOLoop::close) this loop, and no longer the previous one.
    ///
    /// A loop is the current one while it runs in any case; this is for what is called before.
    ///
    /// # Panics
    ///
    /// While a loop runs on this thread.
    pub fn make_current(&self) -> Option<IOLoop> {
        current::replace(Some(self.clone()))
    }

    /// Leaves the thread without a current loop and returns the previous one, which is not closed. The next call of
    /// [`current`](IOLoop::current) makes a new one.
    ///
    /// # Panics
    ///
    /// While a loop runs on this thread.
    pub fn clear_current() -> Option<IOLoop> {
        current::replace(None)
    }

    /// Chooses the poller of all loops that are made from now on, on any thread, without a poller of their own; gives back
    /// the choice before. The choice at the start is [`Epoll`](crate::Epoll).
    ///
    /// # Examples
    ///
    /// ```
    /// use ioloop::{IOLoop, PosixPoll};
    ///
    /// // First thing in `main`.
    /// IOLoop::configure(|| Ok(Box::new(PosixPoll::new())));
    /// assert_eq!(IOLoop::current().run_sync(async { 1 }), 1);
    /// ```
    pub fn configure(poller: PollerFactory) -> PollerFactory {
        builder::configure(poller)
    }

    /// A loop of its own, beside the thread's current one, with the usual poller and clock.
    ///
    /// # Errors
    ///
    /// When the process or the system has no descriptor left: a loop holds two.
    pub fn new() -> Result<IOLoop> {
        IOLoop::builder().build()
    }

    /// A loop with a poller, a clock or limits of your own.
    pub fn builder() -> Builder {
        Builder::new()
    }

    /// A loop over a poller and a clock of your own: short for [`builder`](IOLoop::builder).
    ///
    /// # Errors
    ///
    /// When there is no descriptor left for the eventfd, or the poller refuses it.
    pub fn with_poller(poller: Box<dyn Poller>, clock: Box<dyn Clock>) -> Result<IOLoop> {
        Builder::boxed(poller, clock).build()
    }

    /// Runs `callback` in the next turn of the loop, or later in this one when called from a handler or a timer. Callbacks
    /// run in the order in which they were added, each in the [`context`] that is current now. Costs one allocation.
    ///
    /// Adding a callback yields: the loop polls descriptors, other threads and timers before the next turn or the one
    /// after it, so a computation cut into callbacks does not hold up the rest for long. From other threads:
    /// [`LoopHandle::add_callback`](crate::LoopHandle::add_callback).
    ///
    /// # Examples
    ///
    /// ```
    /// use ioloop::IOLoop;
    ///
    /// /// Adds up what is left of a long list, a piece at a time.
    /// fn add_up(mut rest: Vec<u64>, sum: u64, done: impl FnOnce(u64) + 'static) {
    ///     let piece = rest.split_off(rest.len().saturating_sub(1_000));
    ///     let sum = sum + piece.iter().sum::<u64>();
    ///     match rest.is_empty() {
    ///         true => done(sum),
    ///         false => IOLoop::current().add_callback(move || add_up(rest, sum, done)),
    ///     }
    /// }
    ///
    /// add_up((1..=10_000).collect(), 0, |sum| {
    ///     assert_eq!(sum, 50_005_000);
    ///     IOLoop::current().stop();
    /// });
    /// IOLoop::current().start();
    /// ```
    #[track_caller]
    pub fn add_callback(&self, callback: impl FnOnce() + 'static) {
        self.enqueue_callback(Box::new(callback), Location::caller());
    }

    /// [`add_callback`](IOLoop::add_callback) for work that has nothing to do with its caller: it inherits no
    /// [`context`]. Costs one allocation.
    #[track_caller]
    pub fn spawn_callback(&self, callback: impl FnOnce() + 'static) {
        self.enqueue((Box::new(callback), Location::caller()));
    }

    /// Runs `future` as a task and then `callback` with its output, as a callback in a turn of its own: never within this
    /// call, and never within the future's last poll. A [`JoinHandle`](crate::JoinHandle) is a future too, so this is the way
    /// from a task to code that does not wait. When the future panics, the callback is dropped. Costs what a task and a
    /// callback cost.
    ///
    /// # Examples
    ///
    /// ```
    /// # use ioloop::IOLoop;
    /// let ioloop = IOLoop::current();
    /// let (task, stop) = (ioloop.spawn(async { 6 * 7 }), ioloop.clone());
    /// ioloop.add_future(task, move |result| {
    ///     assert_eq!(result.unwrap(), 42);
    ///     stop.stop();
    /// });
    /// ioloop.start();
    /// ```
    #[track_caller]
    pub fn add_future<F: Future + 'static>(&self, future: F, callback: impl FnOnce(F::Output) + 'static) {
        let location = Location::caller();
        // The task finds its loop by running on it; holding it would keep a forgotten loop alive.
        let and_then = async move {
            let output = future.await;
            IOLoop::current().enqueue_callback(Box::new(move || callback(output)), location);
        };
        self.spawn_forgotten(and_then, location);
    }

    /// Runs `callback` once, after `delay`, counted from this call; never early, and late by up to a millisecond when the
    /// loop sleeps until then. The handle may be given to [`remove_timeout`](IOLoop::remove_timeout), or be dropped
    /// without effect. Costs one allocation, a reading of the clock, and 64 bytes in the loop's tables.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use ioloop::IOLoop;
    ///
    /// let ioloop = IOLoop::current();
    /// let too_late = ioloop.call_later(Duration::from_secs(60), || panic!("called off below"));
    /// let stop = ioloop.clone();
    /// ioloop.call_later(Duration::from_millis(1), move || {
    ///     assert!(stop.remove_timeout(too_late));
    ///     stop.stop();
    /// });
    /// ioloop.start();
    /// ```
    #[track_caller]
    pub fn call_later(&self, delay: Duration, callback: impl FnOnce() + 'static) -> TimeoutHandle {
        let due = self.clock_nanos().saturating_add(nanos(delay));
        self.insert_call(due, Box::new(callback), Location::caller())
    }

    /// Runs `callback` once, at `when` or as soon after as the loop comes to it. Equal deadlines fire in the order of the
    /// calls; an instant that has passed counts as now. Costs what [`call_later`](IOLoop::call_later) does, less the
    /// reading of the clock. With a clock other than the system's, take `when` from [`time`](IOLoop::time).
    #[track_caller]
    pub fn call_at(&self, when: Instant, callback: impl FnOnce() + 'static) -> TimeoutHandle {
        self.insert_call(self.nanos(when), Box::new(callback), Location::caller())
    }

    /// Cancels a timer and drops its callback, at once. False when it has fired or was cancelled before. Its entry among
    /// the deadlines goes later, in bulk: cancelling costs the same however many timers there are.
    pub fn remove_timeout(&self, timeout: TimeoutHandle) -> bool {
        let removed = self.remove_timer(timeout.0);
        let found = removed.is_some();
        context::detached(|| drop(removed));
        found
    }

    /// Watches `fd`, level-triggered: `handler` is called in every turn that polls and finds it ready for one of
    /// `interest`, in error or hung up; once in a turn, whatever it is ready for. The loop owns `fd` until
    /// [`remove_handler`](IOLoop::remove_handler); pass an `Rc` to share it. It should be non-blocking: between the
    /// event and the call, other code may have taken what was there.
    ///
    /// Costs one epoll_ctl(2) and three allocations. Streams are better served by a [`Source`](crate::Source).
    ///
    /// A descriptor that is closed behind the loop's back, by its raw number, can do no harm but this: epoll(7) watches
    /// what is open, not numbers, so while a duplicate stays open it goes on reporting, and has forgotten how to be
    /// told not to. After `remove_handler` the loop drops those reports, but each turn finds one and does not sleep,
    /// until the last duplicate is closed.
    ///
    /// # Errors
    ///
    /// What epoll_ctl(2) says: `EEXIST` for a descriptor that is registered already, `EPERM` for a kind that cannot be
    /// watched, `ENOSPC` or `ENOMEM` when the system is out of watches or memory.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::{cell::Cell, io::{Read, Write}, os::unix::net::UnixStream, rc::Rc};
    /// use ioloop::{IOLoop, Interest};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let (ours, mut theirs) = UnixStream::pair()?;
    /// ours.set_nonblocking(true)?;
    /// let ours = Rc::new(ours);
    /// let (ioloop, reader) = (IOLoop::current(), Rc::clone(&ours));
    /// let stop = ioloop.clone();
    /// ioloop.add_handler(ours, Interest::READABLE, move |event| {
    ///     let mut buffer = [0; 16];
    ///     let count = (&*reader).read(&mut buffer).expect("an event means readable");
    ///     assert!(event.is_readable());
    ///     assert_eq!(&buffer[..count], b"ping");
    ///     stop.stop();
    /// })?;
    /// theirs.write_all(b"ping")?;
    /// ioloop.start();
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn add_handler(
        &self,
        fd: impl AsFd + 'static,
        interest: Interest,
        handler: impl FnMut(Event) + 'static,
    ) -> Result<Token> {
        self.insert_handler(Rc::new(fd), interest, Box::new(handler), Location::caller())
    }

    /// Changes what a handler's descriptor is watched for. With an empty interest only errors and hang-ups are reported.
    ///
    /// # Errors
    ///
    /// [`Error::NotRegistered`] when the handler has been removed; otherwise what epoll_ctl(2) says.
    pub fn update_handler(&self, token: Token, interest: Interest) -> Result<()> {
        let fd = self.inner.registry.borrow().handler_fd(token.key()).ok_or(Error::NotRegistered)?;
        // `as_fd` is the user's, so it comes before the borrow.
        let descriptor = fd.as_fd();
        let modified = self.inner.poller.borrow_mut().modify(descriptor, token, interest, Trigger::Level);
        modified.map_err(Error::io("changing a watched descriptor"))
    }

    /// Stops watching and drops the descriptor and the handler. An event for it that is under way is dropped. May be
    /// called from within the handler itself. False when it was removed before.
    pub fn remove_handler(&self, token: Token) -> bool {
        let Some(fd) = self.inner.registry.borrow().handler_fd(token.key()) else {
            return false;
        };
        // An error means that the descriptor was closed behind the loop's back: the kernel has forgotten it then, unless a
        // duplicate is open, whose reports will reach nobody.
        let descriptor = fd.as_fd();
        let unwatched = self.inner.poller.borrow_mut().remove(descriptor, token);
        if let Err(error) = unwatched {
            log::debug!("a handler's descriptor was closed before its removal: {}", Printable::display(&error));
        }
        let removed = self.inner.registry.borrow_mut().remove(token.key());
        context::detached(|| drop((removed, fd)));
        true
    }

    /// The time of the loop's clock, read now: about 25 ns with the usual one. What instants for
    /// [`call_at`](IOLoop::call_at), [`sleep_until`](crate::sleep_until) and [`Deadline::set`](crate::Deadline::set) are
    /// counted from.
    pub fn time(&self) -> Instant {
        self.instant(self.clock_nanos())
    }

    /// When the loop last looked at its descriptors, or began to run if that is later: free, and exact enough for
    /// time-outs counted in seconds. It lies behind by the work done since, which may be that of several turns.
    pub fn turn_time(&self) -> Instant {
        self.inner.turn_instant.get()
    }

    /// [`turn_time`](IOLoop::turn_time) as the loop counts it: in nanoseconds since it was made. Half as large as an instant,
    /// for what is kept by thousands.
    ///
    /// # Examples
    ///
    /// ```
    /// let ioloop = ioloop::IOLoop::current();
    /// ioloop.run_sync(async {
    ///     let ioloop = ioloop::IOLoop::current();
    ///     assert_eq!(ioloop.instant_at(ioloop.turn_nanos()), ioloop.turn_time());
    /// });
    /// ```
    #[inline]
    pub fn turn_nanos(&self) -> u64 {
        self.inner.turn_time.get()
    }

    /// What [`turn_nanos`](IOLoop::turn_nanos) of this loop has given, as an instant.
    #[inline]
    pub fn instant_at(&self, nanos: u64) -> Instant {
        self.instant(nanos)
    }

    /// How many tasks are alive.
    pub fn task_count(&self) -> usize {
        self.inner.scheduler.borrow().task_count()
    }

    /// Calls `hook` for every panic caught by this loop, instead of logging it as an error. Replaces an earlier hook. A
    /// panic in the hook itself is logged. Panics that an [error boundary](context::ErrorBoundary) has settled do not come
    /// here; errors that were [reported](context::report) and settled by none do.
    ///
    /// # Examples
    ///
    /// ```
    /// use ioloop::{IOLoop, WorkKind};
    ///
    /// let ioloop = IOLoop::current();
    /// let stop = ioloop.clone();
    /// ioloop.on_callback_exception(move |exception| {
    ///     assert_eq!((exception.kind(), exception.message()), (WorkKind::Callback, "out of cheese"));
    ///     assert_eq!(exception.location().file(), file!());
    ///     stop.stop();
    /// });
    /// ioloop.add_callback(|| panic!("out of cheese"));
    /// ioloop.start();
    /// ```
    pub fn on_callback_exception(&self, hook: impl Fn(&CallbackException) + 'static) {
        let previous = self.inner.exception_hook.replace(Some(Rc::new(hook)));
        drop(previous);
    }

    /// Drops all tasks, callbacks, timers, handlers and the hooks, and refuses further work from other threads. Tasks
    /// that wait for a source of this loop are woken, and find it broken from now on. The loop does not run any more:
    /// [`start`](IOLoop::start) returns at once.
    ///
    /// Jobs of [`run_in_executor`](IOLoop::run_in_executor) that have not begun are dropped, and those that run are waited
    /// for.
    ///
    /// Descriptors go by ownership: one that was given to [`add_handler`](IOLoop::add_handler) is closed now, one that is
    /// shared with the loop by an `Rc` stays open with its other holders, and so does that of a
    /// [`Source`](crate::Source).
    ///
    /// A loop that holds tasks which hold the loop lives until this is called; a thread's own loop is closed when the
    /// thread ends. Panics in the destructors of what is dropped are reported like others. When the loop is closed from
    /// within, what is registered afterwards is dropped as soon as the run has come to its end; what is registered with a
    /// closed loop still later is never run and stays until the loop goes, so it should not hold the loop.
    pub fn close(&self) {
        let _detached = context::enter(None);
        let inner = &self.inner;
        inner.closed.set(true);
        self.stop();
        for work in inner.remote.close() {
            self.guard_foreign(|| drop(work));
        }
        if let Some(executor) = inner.executor.get() {
            executor.close();
        }
        self.discard_everything();
        let hook = inner.exception_hook.take();
        self.guard_foreign(|| drop(hook));
        let hook = inner.watchdog.set(u64::MAX, None);
        self.guard_foreign(|| drop(hook));
        // Last, because it waits for threads: what they may be waiting for was dropped above.
        if let Some(executor) = inner.executor.get() {
            executor.join();
        }
    }

    /// Whether the loop has been [closed](IOLoop::close): what is registered with it does not run any more.
    ///
    /// # Examples
    ///
    /// ```
    /// let ioloop = ioloop::IOLoop::new()?;
    /// assert!(!ioloop.is_closed());
    /// ioloop.close();
    /// assert!(ioloop.is_closed());
    /// # Ok::<_, ioloop::Error>(())
    /// ```
    #[inline]
    pub fn is_closed(&self) -> bool {
        self.inner.closed.get()
    }
}

impl fmt::Debug for IOLoop {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IOLoop")
            .field("running", &self.inner.running.get())
            .field("tasks", &self.task_count())
            .finish_non_exhaustive()
    }
}
