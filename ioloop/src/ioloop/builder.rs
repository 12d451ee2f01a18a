//! How a loop is made.

use std::{
    cell::{Cell, OnceCell, RefCell},
    fmt, io,
    os::fd::AsFd,
    rc::Rc,
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use super::{Counters, IOLoop, Inner, Pace, Root, SCRATCH, Watchdog, current, pace};
use crate::{
    Clock, Epoll, Error, Interest, Poller, Result, Trigger, VirtualClock,
    clock::LoopClock,
    process::Counted,
    registry::Registry,
    remote::Remote,
    task::{Fresh, Polled, Scheduler},
    timer::Timers,
};

/// Makes the poller of a new loop: what [`IOLoop::configure`] takes.
pub type PollerFactory = fn() -> io::Result<Box<dyn Poller>>;

/// The process's choice. A lock per loop made, none afterwards.
static FACTORY: Mutex<PollerFactory> = Mutex::new(|| Ok(Box::new(Epoll::new()?)));

#[inline]
pub(super) fn configure(factory: PollerFactory) -> PollerFactory {
    std::mem::replace(&mut *FACTORY.lock().unwrap_or_else(PoisonError::into_inner), factory)
}

/// Makes an [`IOLoop`] that differs from the usual: [`IOLoop::builder`].
///
/// # Examples
///
/// ```
/// use ioloop::{Clock, Epoll, IOLoop, MonotonicClock};
///
/// /// A clock that runs ten times as fast.
/// struct Hurried;
///
/// impl Clock for Hurried {
///     fn now(&self) -> std::time::Duration {
///         MonotonicClock.now() * 10
///     }
/// }
///
/// fn main() -> Result<(), Box<dyn std::error::Error>> {
///     let ioloop = IOLoop::builder().poller(Epoll::new()?).clock(Hurried).event_interval(16).build()?;
///     assert_eq!(ioloop.run_sync(async { 1 }), 1);
///     Ok(())
/// }
/// ```
pub struct Builder {
    poller: Option<Box<dyn Poller>>,
    clock: LoopClock,
    /// Takes the place of `clock`, and a part in what `poller` does.
    virtual_clock: Option<(Box<dyn Clock>, Govern)>,
    event_interval: u32,
}

/// What a virtual clock makes of a poller. A function, so that programs without such a clock are built without its code.
type Govern = Box<dyn FnOnce(Box<dyn Poller>) -> Box<dyn Poller>>;

impl Builder {
    pub(super) fn new() -> Builder {
        Builder { poller: None, clock: LoopClock::Monotonic, virtual_clock: None, event_interval: pace::ITEMS }
    }

    #[inline]
    pub(super) fn boxed(poller: Box<dyn Poller>, clock: Box<dyn Clock>) -> Builder {
        Builder { poller: Some(poller), clock: LoopClock::Custom(clock), ..Builder::new() }
    }

    /// What the loop waits with. Default: a new [`Epoll`], or what [`IOLoop::configure`] says.
    #[must_use]
    pub fn poller(mut self, poller: impl Poller + 'static) -> Builder {
        self.poller = Some(Box::new(poller));
        self
    }

    /// Where the loop reads the time. Default: [`MonotonicClock`](crate::MonotonicClock).
    #[must_use]
    pub fn clock(mut self, clock: impl Clock) -> Builder {
        self.clock = LoopClock::Custom(Box::new(clock));
        self
    }

    /// Lets the loop live by the time of a test, with whatever poller it has. Takes precedence over
    /// [`clock`](Builder::clock).
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use ioloop::{IOLoop, VirtualClock, sleep};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let clock = VirtualClock::new();
    /// let ioloop = IOLoop::builder().virtual_clock(&clock).build()?;
    /// let task = ioloop.spawn(async { sleep(Duration::from_secs(86_400)).await });
    /// ioloop.run_sync(clock.advance(Duration::from_secs(86_400)));
    /// assert!(task.is_finished());
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    #[inline]
    pub fn virtual_clock(mut self, clock: &VirtualClock) -> Builder {
        let governor = clock.clone();
        self.virtual_clock = Some((clock.dial(), Box::new(move |poller| governor.govern(poller))));
        self
    }

    /// Sets after how many items, callbacks and polls of tasks, the next turn polls descriptors, other threads and
    /// timers. Default: 64. With 1 the loop polls in every turn, as Tornado's does. A turn runs all that is queued when
    /// it begins, so between two polls there are fewer than `items`, and then one queue.
    ///
    /// A poll that finds nothing costs about 130 ns, a wake-up about 25 ns where several share a turn. The loop skips
    /// polling only while work is queued, for about 50 µs at most (it reads the clock after every 8 items), and at most
    /// once after something yields: a task by waking itself, as [`yield_now`](crate::yield_now) does, or a caller of
    /// [`add_callback`](IOLoop::add_callback).
    ///
    /// # Examples
    ///
    /// A loop on which nothing that is ready waits for more than what is queued already:
    ///
    /// ```
    /// use ioloop::{IOLoop, yield_now};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let ioloop = IOLoop::builder().event_interval(1).build()?;
    /// ioloop.run_sync(async {
    ///     for _ in 0..10 {
    ///         yield_now().await;
    ///     }
    /// });
    /// let metrics = ioloop.metrics();
    /// assert_eq!(metrics.turns, metrics.waits);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Panics
    ///
    /// When it is zero.
    #[track_caller]
    #[must_use]
    #[inline]
    pub fn event_interval(mut self, items: u32) -> Builder {
        assert!(items > 0, "an event interval is at least 1");
        self.event_interval = items;
        self
    }

    /// Makes the loop. It is not the thread's current one before it runs or is
    /// [made current](IOLoop::make_current).
    ///
    /// # Errors
    ///
    /// When the process or the system has no descriptor left, or the poller refuses the loop's eventfd.
    pub fn build(self) -> Result<IOLoop> {
        let poller = match self.poller {
            Some(poller) => poller,
            None => {
                let factory = *FACTORY.lock().unwrap_or_else(PoisonError::into_inner);
                factory().map_err(Error::io("creating a poller"))?
            }
        };
        let (poller, clock) = match self.virtual_clock {
            Some((clock, govern)) => (govern(poller), LoopClock::Custom(clock)),
            None => (poller, self.clock),
        };
        let ioloop = IOLoop { inner: Rc::new(inner(poller, clock, self.event_interval)?) };
        // Each write to an eventfd is an edge, also while it is readable (eventfd(2), epoll(7)): with a poller that knows
        // edges it need never be read, which saves a system call for each wake-up from another thread.
        let trigger = if ioloop.inner.needs_rearming { Trigger::Level } else { Trigger::Edge };
        let wakeup = ioloop.add_source(ioloop.inner.remote.eventfd.as_fd(), Interest::READABLE, trigger)?;
        ioloop.inner.wakeup.set(Some(wakeup));
        Ok(ioloop)
    }
}

impl fmt::Debug for Builder {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder").finish_non_exhaustive()
    }
}

fn inner(poller: Box<dyn Poller>, clock: LoopClock, event_interval: u32) -> Result<Inner> {
    let remote = Arc::new(Remote::new()?);
    let epoch = Instant::now();
    Ok(Inner {
        needs_rearming: poller.needs_rearming(),
        poller: RefCell::new(poller),
        outlet: OnceCell::new(),
        resting: Cell::new(false),
        registry: RefCell::new(Registry::new()),
        timers: RefCell::new(Timers::new()),
        scheduler: RefCell::new(Scheduler::with_capacity(SCRATCH)),
        polled: Polled::new(),
        spare: RefCell::new(Fresh::new(&remote)),
        memory: RefCell::default(),
        number: current::enter(&remote),
        remote,
        wakeup: Cell::new(None),
        epoch,
        origin: clock.nanos(),
        clock,
        pace: Pace::new(event_interval),
        counters: Counters::default(),
        watchdog: Watchdog::new(),
        turn_time: Cell::new(0),
        turn_instant: Cell::new(epoch),
        events: RefCell::new(Vec::with_capacity(SCRATCH)),
        inbox: RefCell::default(),
        running: Cell::new(false),
        stopping: Cell::new(false),
        closed: Cell::new(false),
        root: Cell::new(Root::Absent),
        exception_hook: RefCell::default(),
        executor: OnceCell::new(),
        _counted: Counted::new(),
    })
}
