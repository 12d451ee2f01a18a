//! A loop with a `VirtualClock`: what it asks of its poller, of other loops, and of whoever waits for an advance.

mod common;

use std::{
    io::{self, Write},
    os::fd::BorrowedFd,
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    task::{Context, Wake, Waker},
    thread,
    time::Duration,
};

use common::{Before, Log, backend, is_over_poll, new_loop, pair, poll_once, turns, virtual_loop, virtual_loop_with};
use ioloop::{
    Advance, Epoll, Event, IOLoop, Interest, MonotonicClock, Poller, PosixPoll, Ready, Source, Token, Trigger,
    VirtualClock, sleep,
};

const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Fails a test in which it would wait for ever: there is nobody to wake it.
fn loop_with(clock: &VirtualClock) -> IOLoop {
    virtual_loop_with(clock.clone()).0
}

/// Sets a timer that writes down at which second it fires.
fn note_after(ioloop: &IOLoop, clock: &VirtualClock, log: &Log<u64>, delay: Duration) {
    let (time, noted) = (clock.clone(), log.clone());
    ioloop.call_later(delay, move || noted.push(time.elapsed().as_secs()));
}

#[test]
fn time_stands_still_while_the_loop_waits_and_no_timer_ends_the_wait() {
    let clock = VirtualClock::new();
    let (ioloop, sleeps) = loop_that_tells(&clock);
    ioloop.call_later(Duration::from_millis(1), || unreachable!("time stands still"));
    start_until_asleep(&ioloop, sleeps);
    assert_eq!(clock.elapsed(), Duration::ZERO);
}

/// Runs the loop until it waits without limit, as the poller has told then.
fn start_until_asleep(ioloop: &IOLoop, sleeps: mpsc::Receiver<()>) {
    let handle = ioloop.handle();
    let waker = thread::spawn(move || {
        sleeps.recv().unwrap();
        handle.stop()
    });
    ioloop.start();
    waker.join().unwrap().unwrap();
}

fn loop_that_tells(clock: &VirtualClock) -> (IOLoop, mpsc::Receiver<()>) {
    let (asleep, sleeps) = mpsc::channel();
    // Tells another thread of each wait that is more than a look.
    let poller = Before::new(backend(), move |timeout| {
        if timeout != Some(Duration::ZERO) {
            assert_eq!(timeout, None, "time of the clock is no time to wait for");
            let _nobody_asks_any_more = asleep.send(());
        }
    });
    (IOLoop::builder().poller(poller).virtual_clock(clock).build().unwrap(), sleeps)
}

#[test]
fn advance_that_is_given_up_moves_time_no_further() {
    let clock = VirtualClock::new();
    let (ioloop, sleeps) = loop_that_tells(&clock);
    assert!(ioloop.try_run_sync(Some(s(2)), clock.advance(s(10))).is_err());
    assert_eq!(clock.elapsed(), s(2));
    start_until_asleep(&ioloop, sleeps);
    assert_eq!(clock.elapsed(), s(2));
}

#[test]
fn advance_of_an_aborted_task_moves_time_no_further() {
    let clock = VirtualClock::new();
    let (ioloop, sleeps) = loop_that_tells(&clock);
    let task = ioloop.spawn(clock.advance(s(10)));
    ioloop.call_later(s(4), move || task.abort());
    start_until_asleep(&ioloop, sleeps);
    assert_eq!(clock.elapsed(), s(4));
}

#[test]
fn turn_that_may_not_wait_moves_no_time() {
    let clock = VirtualClock::new();
    let ioloop = loop_with(&clock);
    let log = Log::new();
    note_after(&ioloop, &clock, &log, s(10));
    let mut advance = pin!(clock.advance(s(20)));
    assert!(poll_once(advance.as_mut()).is_pending());
    let after_turn_within = |limit| (ioloop.run_once(limit), clock.elapsed());
    assert_eq!(after_turn_within(Some(Duration::ZERO)), (Some(s(10)), s(0)));
    assert_eq!(after_turn_within(Some(s(4))), (Some(s(6)), s(4)), "a limit is time of the clock");
    assert_eq!(after_turn_within(None), (None, s(10)), "up to the timer");
    assert_eq!(log.take(), [10]);
    assert_eq!(after_turn_within(None), (None, s(20)), "up to the end");
    assert!(poll_once(advance.as_mut()).is_pending(), "there may be something left to do");
    assert_eq!(after_turn_within(None), (None, s(20)));
    assert!(poll_once(advance.as_mut()).is_ready());
}

#[test]
fn limit_of_run_sync_is_time_of_the_clock() {
    let clock = VirtualClock::new();
    let ioloop = loop_with(&clock);
    assert!(ioloop.try_run_sync(Some(s(5)), clock.advance(s(10))).unwrap_err().is_timed_out());
    assert_eq!(clock.elapsed(), s(5));
    ioloop.try_run_sync(Some(s(11)), clock.advance(s(10))).unwrap();
    assert_eq!(clock.elapsed(), s(15));
}

#[test]
fn loop_made_later_begins_when_it_is_made() {
    let clock = VirtualClock::new();
    clock.skip(s(100));
    let (ioloop, log) = (loop_with(&clock), Log::new());
    note_after(&ioloop, &clock, &log, s(1));
    ioloop.run_sync(clock.advance(s(1)));
    assert_eq!(log.take(), [101]);
}

#[test]
fn loop_that_does_not_run_while_time_passes_finds_its_timers_overdue() {
    let clock = VirtualClock::new();
    let (busy, idle, log) = (loop_with(&clock), loop_with(&clock), Log::new());
    note_after(&idle, &clock, &log, s(1));
    busy.run_sync(clock.advance(s(5)));
    assert_eq!(log.len(), 0);
    idle.run_sync(turns(1));
    assert_eq!(log.take(), [5]);
}

#[test]
fn loop_nested_in_another_one_shares_its_time() {
    fn drive(outer: &IOLoop, inner: &IOLoop) {
        if let Some(limit) = inner.run_once(Some(Duration::ZERO)) {
            let (again, driven) = (outer.clone(), inner.clone());
            outer.call_later(limit, move || drive(&again, &driven));
        }
    }
    let clock = VirtualClock::new();
    let outer = loop_with(&clock);
    let inner = IOLoop::builder().poller(Epoll::new().unwrap()).virtual_clock(&clock).build().unwrap();
    let (log, time) = (Log::new(), clock.clone());
    note_after(&inner, &clock, &log, s(5));
    let noted = log.clone();
    inner.spawn_detached(async move {
        time.advance(s(10)).await;
        noted.push(time.elapsed().as_secs());
        sleep(s(2)).await;
        noted.push(time.elapsed().as_secs());
    });
    let (again, driven) = (outer.clone(), inner.clone());
    let fd = inner.as_fd().unwrap().try_clone_to_owned().unwrap();
    outer.add_handler(fd, Interest::READABLE, move |_| drive(&again, &driven)).unwrap();
    drive(&outer, &inner);
    outer.run_sync(clock.advance(s(20)));
    assert_eq!(log.take(), [5, 10, 12]);
    outer.close();
}

#[test]
#[should_panic(expected = "no loop has this clock")]
fn advance_that_no_loop_could_complete_is_refused() {
    let clock = VirtualClock::new();
    drop(loop_with(&clock));
    virtual_loop().0.run_sync(clock.advance(s(1)));
}

/// A waker that does what it likes.
struct Wild<F: Fn()>(F);

impl<F: Fn() + Send + Sync + 'static> Wake for Wild<F> {
    fn wake(self: Arc<Self>) {
        (self.0)();
    }
}

fn poll_wildly(advance: Pin<&mut Advance>, wake: impl Fn() + Send + Sync + 'static) {
    let waker = Waker::from(Arc::new(Wild(wake)));
    assert!(advance.poll(&mut Context::from_waker(&waker)).is_pending());
}

#[test]
fn waker_may_come_back_to_the_loop() {
    let clock = VirtualClock::new();
    loop_with(&clock).run_sync(async {
        let mut advance = pin!(clock.advance(s(1)));
        let handled = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&handled);
        poll_wildly(advance.as_mut(), move || {
            let flag = Arc::clone(&flag);
            let (ours, _theirs) = pair();
            let handler = move |event: Event| {
                flag.store(IOLoop::current().remove_handler(event.token()), Ordering::Relaxed);
            };
            IOLoop::current().add_handler(ours, Interest::READABLE, handler).unwrap();
        });
        clock.advance(s(2)).await;
        assert!(handled.load(Ordering::Relaxed), "the other end is closed, which is an event");
    });
}

#[test]
fn panic_of_a_waker_is_reported_and_the_other_advances_complete() {
    let clock = VirtualClock::new();
    let ioloop = loop_with(&clock);
    ioloop.run_sync(async {
        let reports = Log::new();
        let noted = reports.clone();
        ioloop.on_callback_exception(move |exception| noted.push(exception.to_string()));
        let mut advance = pin!(clock.advance(s(1)));
        poll_wildly(advance.as_mut(), || panic!("rather not"));
        clock.advance(s(1)).await;
        assert_eq!(clock.elapsed(), s(1));
        let [report] = &reports.take()[..] else { panic!("one panic, one report") };
        assert!(report.contains("rather not"), "{report}");
    });
}

#[test]
fn order_of_the_builders_calls_does_not_matter() {
    // Configures the process in `over_poll`.
    drop(new_loop());
    let clock = VirtualClock::new();
    let builders = [
        IOLoop::builder().virtual_clock(&clock).poller(backend()),
        IOLoop::builder().poller(backend()).virtual_clock(&clock),
        IOLoop::builder().virtual_clock(&clock).clock(MonotonicClock),
        IOLoop::builder().clock(MonotonicClock).virtual_clock(&clock),
    ];
    for builder in builders {
        let ioloop = builder.build().unwrap();
        let (begin, fired) = (clock.elapsed(), ioloop.spawn(async { sleep(s(1)).await }));
        ioloop.run_sync(clock.advance(s(1_000_000)));
        assert!(fired.is_finished());
        assert_eq!(clock.elapsed() - begin, s(1_000_000));
        assert_eq!(ioloop.as_fd().is_err(), is_over_poll(), "the poller is the one that was chosen");
    }
}

#[test]
fn poller_underneath_is_told_everything() {
    let (clock, said) = (VirtualClock::new(), Log::new());
    let poller = Recorded { poller: PosixPoll::new(), descriptor: Epoll::new().unwrap(), said: said.clone() };
    let ioloop = IOLoop::builder().poller(poller).virtual_clock(&clock).build().unwrap();
    assert_eq!(said.take(), ["needs_rearming", "add"]);
    let (ours, mut theirs) = pair();
    let token = ioloop.add_handler(ours, Interest::READABLE, |_| {}).unwrap();
    ioloop.update_handler(token, Interest::WRITABLE).unwrap();
    assert!(ioloop.remove_handler(token));
    assert!(theirs.write_all(b"x").is_err(), "closed");
    assert_eq!(said.take(), ["add", "modify", "remove"]);

    let (ours, mut theirs) = pair();
    let source = Source::with_loop(&ioloop, ours).unwrap();
    theirs.write_all(b"x").unwrap();
    ioloop.run_once(Some(Duration::ZERO));
    source.clear(Ready::READABLE);
    source.close();
    assert_eq!(said.take(), ["add", "rearm", "closing"]);
    ioloop.as_fd().unwrap();
    assert_eq!(said.take(), ["descriptor", "add"], "the timer of the descriptor");
}

/// Tells what it is told, waits aside.
struct Recorded {
    poller: PosixPoll,
    descriptor: Epoll,
    said: Log<&'static str>,
}

impl Poller for Recorded {
    fn add(&mut self, fd: BorrowedFd<'_>, token: Token, interest: Interest, trigger: Trigger) -> io::Result<()> {
        self.said.push("add");
        self.poller.add(fd, token, interest, trigger)
    }

    fn modify(&mut self, fd: BorrowedFd<'_>, token: Token, interest: Interest, trigger: Trigger) -> io::Result<()> {
        self.said.push("modify");
        self.poller.modify(fd, token, interest, trigger)
    }

    fn remove(&mut self, fd: BorrowedFd<'_>, token: Token) -> io::Result<()> {
        self.said.push("remove");
        self.poller.remove(fd, token)
    }

    fn closing(&mut self, fd: BorrowedFd<'_>, token: Token) {
        self.said.push("closing");
        self.poller.closing(fd, token);
    }

    fn poll(&mut self, events: &mut Vec<Event>, timeout: Option<Duration>) -> io::Result<()> {
        self.poller.poll(events, timeout)
    }

    fn needs_rearming(&self) -> bool {
        self.said.push("needs_rearming");
        self.poller.needs_rearming()
    }

    fn rearm(&mut self, token: Token, what: Ready) {
        self.said.push("rearm");
        self.poller.rearm(token, what);
    }

    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.said.push("descriptor");
        self.descriptor.descriptor()
    }
}
