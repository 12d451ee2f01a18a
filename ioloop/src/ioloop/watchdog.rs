//! What holds up the loop: [`IOLoop::on_slow_callback`].

use std::{
    cell::{Cell, RefCell},
    fmt,
    panic::Location,
    rc::Rc,
    time::Duration,
};

use super::IOLoop;
use crate::{WorkKind, clock::nanos, panic};

/// A callback, timer, handler or poll of a task that has held up the loop for longer than
/// [`IOLoop::on_slow_callback`](crate::IOLoop::on_slow_callback) allows.
///
/// Its `Display` form is the line that [`IOLoop::log_slow_callbacks`](crate::IOLoop::log_slow_callbacks) logs.
#[derive(Debug, Clone)]
pub struct SlowCallback {
    kind: WorkKind,
    location: &'static Location<'static>,
    took: Duration,
}

impl SlowCallback {
    /// What kind of work it was. The future of [`run_sync`](crate::IOLoop::run_sync) counts as a task.
    pub fn kind(&self) -> WorkKind {
        self.kind
    }

    /// The source line that registered or spawned it.
    pub fn location(&self) -> &'static Location<'static> {
        self.location
    }

    /// How long it took; of a task, this one poll.
    pub fn took(&self) -> Duration {
        self.took
    }
}

impl fmt::Display for SlowCallback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the {} registered at {} held up the loop for {:?}", self.kind, self.location, self.took)
    }
}

impl IOLoop {
    /// Calls `hook` for whatever holds up this loop for `threshold` or longer: one call of a callback, a timer or a
    /// handler, one poll of a task, or the destructor of one of these. The report names its kind and the source line
    /// that registered it. Replaces an earlier hook; there is none to begin with. A panic in the hook itself is logged.
    ///
    /// While a hook is set, the loop reads the clock twice for each, about 50 ns; otherwise it does not read it. The
    /// hook is called when the work is over: work that never ends is never reported. For how long the loop was held up
    /// by everything together see [`Metrics::longest_turn`](crate::Metrics::longest_turn), which costs nothing.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::{cell::Cell, rc::Rc, thread, time::Duration};
    /// use ioloop::IOLoop;
    ///
    /// let ioloop = IOLoop::current();
    /// let seen = Rc::new(Cell::new(0));
    /// let count = Rc::clone(&seen);
    /// ioloop.on_slow_callback(Duration::from_millis(2), move |slow| {
    ///     assert!(slow.took() >= Duration::from_millis(2));
    ///     eprintln!("{slow}");
    ///     count.set(count.get() + 1);
    /// });
    /// ioloop.run_sync(async { thread::sleep(Duration::from_millis(3)) });
    /// assert_eq!(seen.get(), 1);
    /// ```
    #[inline]
    pub fn on_slow_callback(&self, threshold: Duration, hook: impl Fn(&SlowCallback) + 'static) {
        // The largest number says that nobody watches.
        let previous = self.inner.watchdog.set(nanos(threshold).min(u64::MAX - 1), Some(Rc::new(hook)));
        drop(previous);
    }

    /// [`on_slow_callback`](IOLoop::on_slow_callback) that logs a warning, `SlowCallback`'s `Display` form, through the
    /// `log` crate.
    #[inline]
    pub fn log_slow_callbacks(&self, threshold: Duration) {
        self.on_slow_callback(threshold, |slow| log::warn!("{slow}"));
    }

    /// Measures how long `work` takes, when a hook is set.
    #[inline]
    pub(super) fn watching<T>(
        &self,
        kind: WorkKind,
        location: &'static Location<'static>,
        work: impl FnOnce() -> T,
    ) -> T {
        let began = self.inner.watchdog.is_on().then(|| self.clock_nanos());
        let value = work();
        if let Some(began) = began {
            self.judge(kind, location, began);
        }
        value
    }

    /// [`watching`](IOLoop::watching) where a hook is set. For the polls of tasks, which are asked for it apart: twenty
    /// instructions less for each where there is none.
    #[cold]
    #[inline(never)]
    pub(super) fn timed<T>(&self, kind: WorkKind, location: &'static Location<'static>, work: impl FnOnce() -> T) -> T {
        self.watching(kind, location, work)
    }

    /// Tells of a piece of work that took too long. Apart from [`watching`](IOLoop::watching), which is compiled for each
    /// kind of work.
    #[cold]
    #[inline(never)]
    fn judge(&self, kind: WorkKind, location: &'static Location<'static>, began: u64) {
        let took = self.clock_nanos().saturating_sub(began);
        if let Some((slow, hook)) = self.inner.watchdog.judge(kind, location, took) {
            let told = &slow;
            // The hook is dropped within, for the case that it has replaced itself.
            if let Err(payload) = panic::catch(move || hook(told)) {
                panic::log_error(format_args!("{slow}; then its hook panicked: {}", payload.printable()));
            }
        }
    }
}

/// Measures how long each callback, timer, handler and poll takes, when a hook is set.
pub(super) struct Watchdog {
    /// In nanoseconds; `u64::MAX` without a hook.
    threshold: Cell<u64>,
    hook: RefCell<Option<Rc<Hook>>>,
}

type Hook = dyn Fn(&SlowCallback);

impl Watchdog {
    pub(super) fn new() -> Watchdog {
        Watchdog { threshold: Cell::new(u64::MAX), hook: RefCell::new(None) }
    }

    #[inline]
    pub(super) fn is_on(&self) -> bool {
        self.threshold.get() != u64::MAX
    }

    /// Returns the previous hook, to be dropped by the caller.
    pub(super) fn set(&self, threshold: u64, hook: Option<Rc<Hook>>) -> Option<Rc<Hook>> {
        self.threshold.set(threshold);
        self.hook.replace(hook)
    }

    /// The report on work that took so many nanoseconds, and the hook to call with it.
    pub(super) fn judge(
        &self,
        kind: WorkKind,
        location: &'static Location<'static>,
        nanos: u64,
    ) -> Option<(SlowCallback, Rc<Hook>)> {
        if nanos < self.threshold.get() {
            return None;
        }
        let hook = Rc::clone(self.hook.borrow().as_ref()?);
        Some((SlowCallback { kind, location, took: Duration::from_nanos(nanos) }, hook))
    }
}
