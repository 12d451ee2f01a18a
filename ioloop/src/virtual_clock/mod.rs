//! [`VirtualClock`]: what a test tells it to be. How a loop lives by it is in `governed`.

mod governed;

use std::{
    cell::{Cell, RefCell},
    fmt,
    future::Future,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use crate::{Clock, Poller};
use governed::{Dial, Governed};

/// Time for tests: it passes when the test says so, without waiting.
///
/// Given to a loop by [`Builder::virtual_clock`](crate::Builder::virtual_clock), it is what that loop's timers go by:
/// [`sleep`](crate::sleep), [`timeout`](crate::timeout), [`interval`](crate::interval), [`Deadline`](crate::Deadline),
/// [`PeriodicCallback`](crate::PeriodicCallback), [`call_later`](crate::IOLoop::call_later), and the time-outs of the
/// layers above, which are built on those. A handle: cloning it is cheap and names the same clock.
///
/// * [`advance`](VirtualClock::advance) lets time pass as it does in life: every timer fires at its own instant, in
///   order, and has its consequences before the next one.
/// * [`skip`](VirtualClock::skip) lets it pass at once, as in a callback that takes long: timers find themselves
///   overdue.
/// * A clock that is [auto-advancing](VirtualClock::auto_advancing) also jumps to the next timer whenever there is
///   nothing else to do. On one made by [`new`](VirtualClock::new) time stands still otherwise.
///
/// Descriptors and other threads are real. A loop that has nothing to do waits for them in its poller as it always
/// does; only that no timer ends the wait.
///
/// Time passes while the loop would sleep, and never while something is ready: a task that always yields, or a
/// descriptor that is always ready, stops it.
///
/// Deadlines given as an [`Instant`](std::time::Instant) have to be taken from [`IOLoop::time`](crate::IOLoop::time):
/// `Instant::now()` knows nothing of this clock. The limits of [`run_once`](crate::IOLoop::run_once) and
/// [`try_run_sync`](crate::IOLoop::try_run_sync) are times of this clock too.
///
/// Loops of one thread may share a clock, one of them [nested](crate::IOLoop::run_once) in the other for example. Time
/// passes while one of them waits. A loop that does not run meanwhile finds its timers overdue when it does, as with
/// any other clock.
///
/// # Examples
///
/// A limit of 30 s, tested at once:
///
/// ```
/// use std::{future::pending, time::Duration};
/// use ioloop::{IOLoop, VirtualClock, spawn, timeout};
///
/// fn main() -> Result<(), Box<dyn std::error::Error>> {
///     let clock = VirtualClock::new();
///     let ioloop = IOLoop::builder().virtual_clock(&clock).build()?;
///     ioloop.run_sync(async {
///         let answer = spawn(timeout(Duration::from_secs(30), pending::<()>()));
///
///         clock.advance(Duration::from_secs(29)).await;
///         assert!(!answer.is_finished());
///
///         clock.advance(Duration::from_secs(1)).await;
///         assert!(answer.is_finished());
///         assert!(answer.await.unwrap().unwrap_err().is_timed_out());
///     });
///     Ok(())
/// }
/// ```
#[derive(Clone, Default)]
pub struct VirtualClock {
    state: Rc<State>,
}

#[derive(Default)]
struct State {
    now: Cell<Duration>,
    auto_advancing: bool,
    /// How many loops have this clock. Without one nobody would ever complete an advance.
    loops: Cell<usize>,
    /// Those under way, few at any time: in no order.
    advances: RefCell<Vec<(Milestone, Waker)>>,
    next_number: Cell<u64>,
}

/// The instant an advance leads to, and its number: the earliest is the first to be completed, and among equal ones the
/// one that was asked for first.
type Milestone = (Duration, u64);

impl State {
    #[inline]
    fn is_under_way(&self, key: Milestone) -> bool {
        self.advances.borrow().iter().any(|(known, _)| *known == key)
    }

    #[inline]
    fn remove(&self, key: Milestone) -> Option<Waker> {
        let mut advances = self.advances.borrow_mut();
        let place = advances.iter().position(|(known, _)| *known == key)?;
        Some(advances.swap_remove(place).1)
    }
}

impl VirtualClock {
    /// A clock whose time stands still but for [`advance`](VirtualClock::advance) and [`skip`](VirtualClock::skip).
    ///
    /// A loop that waits for a timer alone waits for ever. Put another way: a test that forgets to advance hangs.
    #[inline]
    pub fn new() -> VirtualClock {
        VirtualClock::default()
    }

    /// A clock whose time, in addition, jumps to the next timer at once whenever the loop would sleep until then.
    ///
    /// So a test may simply `sleep`, and asks for the time afterwards. The clock waits for the jobs of
    /// [`run_in_executor`](crate::run_in_executor): while one of the loop's own runs, time does not jump. What else is under
    /// way in another thread or process, such as an answer over the network, does not count as something to do: a time-out
    /// set for it is over before it had a chance. Use [`new`](VirtualClock::new) and [`advance`](VirtualClock::advance) there.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use ioloop::{IOLoop, VirtualClock, sleep};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let clock = VirtualClock::auto_advancing();
    /// let ioloop = IOLoop::builder().virtual_clock(&clock).build()?;
    /// ioloop.run_sync(async { sleep(Duration::from_secs(3600)).await });
    /// assert_eq!(clock.elapsed(), Duration::from_secs(3600));
    /// # Ok(())
    /// # }
    /// ```
    #[inline]
    pub fn auto_advancing() -> VirtualClock {
        VirtualClock { state: Rc::new(State { auto_advancing: true, ..State::default() }) }
    }

    /// How much time has passed since the clock was made.
    #[inline]
    pub fn elapsed(&self) -> Duration {
        self.state.now.get()
    }

    /// Lets `by` pass at once, as in a callback that takes long: nothing runs in between. The loop's next poll fires
    /// what has become due meanwhile, late.
    #[inline]
    pub fn skip(&self, by: Duration) {
        self.state.now.set(self.elapsed().saturating_add(by));
    }

    /// Lets `by` pass, counted from this call, while the loop runs. Every timer that becomes due on the way fires at
    /// its own instant, in order, and what it sets in motion runs before time goes on: under `advance` of 3 s, a timer
    /// of 1 s that sets itself again fires at 1, 2 and 3 s.
    ///
    /// Completes at the end of the time, when the loop has nothing left to do at that instant and would go to sleep.
    /// What is under way in another thread or process is not waited for. With a duration of zero no time passes:
    /// everything that can run now has its way.
    ///
    /// Outside of a running loop: `ioloop.run_sync(clock.advance(by))`. Several may be under way: each completes at its
    /// own end, those that end at the same instant one after the other in the order of the calls.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::{cell::Cell, rc::Rc, time::Duration};
    /// use ioloop::{IOLoop, VirtualClock};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let clock = VirtualClock::new();
    /// let ioloop = IOLoop::builder().virtual_clock(&clock).build()?;
    /// let fired_at = Rc::new(Cell::new(None));
    /// let (time, noted) = (clock.clone(), fired_at.clone());
    /// ioloop.call_later(Duration::from_secs(10), move || noted.set(Some(time.elapsed())));
    ///
    /// ioloop.run_sync(clock.advance(Duration::from_secs(60)));
    /// assert_eq!(fired_at.get(), Some(Duration::from_secs(10)));
    /// assert_eq!(clock.elapsed(), Duration::from_secs(60));
    /// # Ok(())
    /// # }
    /// ```
    #[inline]
    pub fn advance(&self, by: Duration) -> Advance {
        let number = self.state.next_number.get();
        self.state.next_number.set(number + 1);
        Advance { clock: self.clone(), key: (self.elapsed().saturating_add(by), number), begun: false }
    }

    /// What a loop with this clock reads. `VirtualClock` is no [`Clock`] itself: taken for one like any other, it would
    /// leave the loop with a poller that waits in real time.
    #[inline]
    pub(crate) fn dial(&self) -> Box<dyn Clock> {
        Box::new(Dial::new(self.clone()))
    }

    /// What a loop with this clock waits with.
    #[inline]
    pub(crate) fn govern(&self, poller: Box<dyn Poller>) -> Box<dyn Poller> {
        Box::new(Governed::new(poller, self.clone()))
    }

    /// What the clock does when a loop has nothing to do for `timeout`.
    #[inline]
    fn idle(&self, timeout: Option<Duration>, has_jobs: impl Fn() -> bool) -> Idle {
        let now = self.elapsed();
        let first = self.state.advances.borrow().iter().map(|(key, _)| *key).min();
        match (first, timeout) {
            (Some((end, _)), _) if end > now => {
                let rest = end - now;
                self.skip(timeout.map_or(rest, |timeout| timeout.min(rest)));
                Idle::TimePassed
            }
            (Some(key), _) => Idle::Completed(self.state.remove(key).expect("it was the first a moment ago")),
            (None, Some(_)) if self.state.auto_advancing && has_jobs() => Idle::Jobs,
            (None, Some(timeout)) if self.state.auto_advancing => {
                self.skip(timeout);
                Idle::TimePassed
            }
            (None, _) => Idle::Sleep,
        }
    }
}

impl fmt::Debug for VirtualClock {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VirtualClock")
            .field("elapsed", &self.elapsed())
            .field("auto_advancing", &self.state.auto_advancing)
            .finish_non_exhaustive()
    }
}

/// The future of [`VirtualClock::advance`].
///
/// # Panics
///
/// When it is awaited while no loop has the clock, since nothing could complete it.
///
/// # Cancel safety
///
/// Time moves for it from its first poll on, until it is dropped: then it stays where it is.
#[must_use = "futures do nothing unless awaited"]
pub struct Advance {
    clock: VirtualClock,
    key: Milestone,
    /// Whether the clock knows of it. One that has begun and that the clock does not know any more is complete.
    begun: bool,
}

impl Future for Advance {
    type Output = ();

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        let state = &this.clock.state;
        if this.begun && !state.is_under_way(this.key) {
            return Poll::Ready(());
        }
        assert!(state.loops.get() > 0, "no loop has this clock: see `Builder::virtual_clock`");
        this.begun = true;
        let waker = cx.waker().clone();
        let previous = state.remove(this.key);
        state.advances.borrow_mut().push((this.key, waker));
        drop(previous);
        Poll::Pending
    }
}

impl Drop for Advance {
    #[inline]
    fn drop(&mut self) {
        drop(self.clock.state.remove(self.key));
    }
}

impl fmt::Debug for Advance {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Advance").field("until", &self.key.0).field("begun", &self.begun).finish_non_exhaustive()
    }
}

enum Idle {
    /// Time has moved: there may be a timer to fire.
    TimePassed,
    /// An advance is complete, and this waits for it.
    Completed(Waker),
    /// The executor is at work, for which no time passes.
    Jobs,
    /// Nothing but a descriptor or another thread brings work.
    Sleep,
}
