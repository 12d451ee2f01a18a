//! A test's own loop, on a clock that does not make it wait.

use std::{
    cell::RefCell,
    fmt::Write,
    future::Future,
    panic::Location,
    pin::{Pin, pin},
    rc::Rc,
    task::{Context, Poll},
    time::Duration,
};

use httpserver::{
    IOLoop,
    iostream::ioloop::{CallbackException, Epoll, VirtualClock},
};

use super::{
    log::ShownLog,
    patience::{PatientPoller, Watch},
};

/// Runs a test on a loop of its own whose clock jumps to the next timer as soon as nothing else is left to do: a test of
/// a time-out of an hour takes no time. Returns what the test returns.
///
/// Short for [`Runner::new`]`().run(test)`.
///
/// # Panics
///
/// When the test does; when it waits for something that never comes; and, after it has ended, when a callback or a task
/// of the loop has panicked without having been [asked for](take_panics). A handler that panics is a 500 and no panic of
/// the loop.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use web::{sleep, testing};
///
/// // In a test this is the body of a `#[test] fn`.
/// testing::run(async {
///     sleep(Duration::from_secs(3600)).await;
///     assert_eq!(testing::elapsed(), Duration::from_secs(3600));
/// });
/// ```
#[track_caller]
pub fn run<F: Future>(test: F) -> F::Output {
    Runner::new().run(test)
}

/// Runs tests, with settings: see [`run`] for the usual ones.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use web::{spawn, sleep, testing::{self, Runner}};
///
/// Runner::new().auto_advance(false).run(async {
///     let slept = spawn(sleep(Duration::from_secs(60)));
///     testing::settle().await;
///     assert!(!slept.is_finished());
///     testing::advance(Duration::from_secs(60)).await;
///     assert!(slept.is_finished());
/// });
/// ```
#[derive(Debug, Clone)]
#[must_use = "it runs nothing until `run` is called"]
pub struct Runner {
    auto_advance: bool,
    patience: Duration,
}

/// Far above what anything takes that does come, on a machine with many tests at a time too.
const PATIENCE: Duration = Duration::from_secs(10);

impl Runner {
    /// The settings of [`run`].
    pub fn new() -> Runner {
        Runner { auto_advance: true, patience: PATIENCE }
    }

    /// Whether the clock jumps to the next timer when nothing else is left to do; it does by default. With false it stands
    /// still but for [`advance`].
    ///
    /// For tests that wait for a thread of their own or a real socket while timers are set: the clock knows nothing of those,
    /// and would have every time-out expire at once. It does wait for jobs of
    /// [`run_in_executor`](crate::run_in_executor).
    pub fn auto_advance(mut self, on: bool) -> Runner {
        self.auto_advance = on;
        self
    }

    /// How long, in real time, the test may wait without anything coming to it before it fails; 10 s by default.
    pub fn patience(mut self, patience: Duration) -> Runner {
        self.patience = patience;
        self
    }

    /// Runs a test. See [`run`].
    ///
    /// # Panics
    ///
    /// As [`run`].
    #[track_caller]
    pub fn run<F: Future>(self, test: F) -> F::Output {
        let clock = if self.auto_advance { VirtualClock::auto_advancing() } else { VirtualClock::new() };
        let watch = Rc::new(Watch::new(self.patience));
        let poller = Epoll::new().expect("a test needs two descriptors for its loop");
        let ioloop = IOLoop::builder()
            .poller(PatientPoller::new(poller, Rc::clone(&watch)))
            .virtual_clock(&clock)
            .build()
            .expect("a test needs two descriptors for its loop");
        let _closed_at_the_end = CloseOnDrop(ioloop.clone());
        let _shown = ShownLog::begin();
        let session = Rc::new(Session { clock, watch, panics: RefCell::default() });
        let noted = Rc::clone(&session);
        ioloop.on_callback_exception(move |exception| noted.note(exception));
        let _entered = Entered::new(Rc::clone(&session));
        let result = ioloop.run_sync(Watched { test: pin!(test), session: &session });
        match result {
            Ok(output) => {
                let panics = session.panics.take();
                assert!(panics.is_empty(), "behind the back of the test, {}", panics.join(", and "));
                output
            }
            Err(why) => panic!("{why}"),
        }
    }
}

impl Default for Runner {
    fn default() -> Runner {
        Runner::new()
    }
}

/// Lets `by` pass on the test's clock: every timer on the way fires at its own instant, and has its consequences before
/// time goes on. Completes when nothing is left to do at the end of that time.
///
/// # Panics
///
/// Outside of [`run`].
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use web::{Application, Exchange, sleep, testing::{self, TestClient}};
///
/// let slow = Application::new().get("/", async |exchange: &mut Exchange| {
///     sleep(Duration::from_secs(30)).await;
///     exchange.write("at last");
///     Ok(())
/// });
/// testing::run(async {
///     let answer = TestClient::new(slow).get("/").start();
///     testing::advance(Duration::from_secs(29)).await;
///     assert!(!answer.is_finished());
///     answer.await.assert_text("at last");
///     assert_eq!(testing::elapsed(), Duration::from_secs(30));
/// });
/// ```
pub async fn advance(by: Duration) {
    current().clock.advance(by).await;
}

/// Lets everything run that can run now. No time passes.
///
/// Afterwards each task of the application has come to where it waits for a timer, for a client or for another thread.
///
/// # Panics
///
/// Outside of [`run`].
pub async fn settle() {
    advance(Duration::ZERO).await;
}

/// How much time has passed on the test's clock since the test began.
///
/// # Panics
///
/// Outside of [`run`].
pub fn elapsed() -> Duration {
    current().clock.elapsed()
}

/// The test's clock, to be shared with other loops of the thread.
///
/// # Panics
///
/// Outside of [`run`].
pub fn clock() -> VirtualClock {
    current().clock.clone()
}

/// The panics of callbacks and spawned tasks so far, one text each, which then no longer fail the test.
///
/// # Panics
///
/// Outside of [`run`].
///
/// # Examples
///
/// ```
/// use web::{spawn, testing};
///
/// testing::run(async {
///     assert!(spawn(async { panic!("on purpose") }).await.is_err());
///     let panics = testing::take_panics();
///     assert!(panics[0].contains("on purpose"), "{panics:?}");
/// });
/// ```
pub fn take_panics() -> Vec<String> {
    current().panics.take()
}

/// A test that runs.
pub(super) struct Session {
    clock: VirtualClock,
    pub(super) watch: Rc<Watch>,
    panics: RefCell<Vec<String>>,
}

thread_local! {
    static CURRENT: RefCell<Option<Rc<Session>>> = const { RefCell::new(None) };
}

impl Session {
    /// The test that runs on this thread. `None` for a client on a loop of somebody's own.
    pub(super) fn try_current() -> Option<Rc<Session>> {
        CURRENT.with(|current| current.borrow().clone())
    }

    fn note(&self, exception: &CallbackException) {
        ::log::error!("{exception}");
        self.panics.borrow_mut().push(exception.to_string());
    }

    fn why_stuck(&self) -> String {
        let metrics = IOLoop::current().metrics();
        let mut text = format!(
            "the test waits for ever: nothing came to it for {:?}. Its clock shows {:?}; {} tasks and {} timers are left.",
            self.watch.patience(),
            self.clock.elapsed(),
            metrics.live_tasks,
            metrics.live_timers,
        );
        self.watch.write_waiting(&mut text);
        for panic in self.panics.take() {
            let _ = write!(text, "\nBefore that, {panic}");
        }
        text
    }
}

fn current() -> Rc<Session> {
    Session::try_current().expect("the clock of a test can be used inside of `testing::run` only")
}

/// Makes a session the current one, and the one before again at the end.
struct Entered(Option<Rc<Session>>);

impl Entered {
    fn new(session: Rc<Session>) -> Entered {
        Entered(CURRENT.replace(Some(session)))
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        CURRENT.set(self.0.take());
    }
}

/// Tasks hold their loop: without this, whatever a test leaves behind would stay.
struct CloseOnDrop(IOLoop);

impl Drop for CloseOnDrop {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// The test, or why it waits for ever: said while all that it waits for is still there.
struct Watched<'t, F> {
    test: Pin<&'t mut F>,
    session: &'t Session,
}

impl<F: Future> Future for Watched<'_, F> {
    type Output = Result<F::Output, String>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<F::Output, String>> {
        let watch = Rc::clone(&self.session.watch);
        watch.set_waker(cx.waker());
        watch.note_progress();
        match self.test.as_mut().poll(cx) {
            Poll::Ready(output) => Poll::Ready(Ok(output)),
            Poll::Pending if watch.is_stuck() => Poll::Ready(Err(self.session.why_stuck())),
            Poll::Pending => Poll::Pending,
        }
    }
}

/// Where a request was sent, for texts of failures.
pub(super) type CallSite = &'static Location<'static>;
