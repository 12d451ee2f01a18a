//! A poller and a clock of one's own, through `IOLoop::with_poller`.

mod common;

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    io,
    os::fd::{AsRawFd, BorrowedFd},
    panic::{AssertUnwindSafe, catch_unwind},
    rc::Rc,
    time::Duration,
};

use common::{Log, pair, turns};
use ioloop::{Clock, Error, Event, IOLoop, Interest, MonotonicClock, Poller, Ready, Source, Token, Trigger};
use nix::errno::Errno;

/// What the loop said to its poller.
#[derive(Debug, PartialEq)]
enum Said {
    Add(i32, Interest, Trigger),
    Modify(i32, Interest, Trigger),
    Remove(i32),
    Closing(i32),
    Poll(Option<Duration>),
}

/// Reports what the test tells it to, and writes down what it is told. It never waits.
#[derive(Clone)]
struct Scripted {
    said: Log<Said>,
    tokens: Log<Token>,
    events: Rc<RefCell<VecDeque<Event>>>,
    refuse: Rc<Cell<Option<Errno>>>,
}

impl Scripted {
    fn answer(&self) -> io::Result<()> {
        self.refuse.take().map_or(Ok(()), |errno| Err(errno.into()))
    }
}

impl Poller for Scripted {
    fn add(&mut self, fd: BorrowedFd<'_>, token: Token, interest: Interest, trigger: Trigger) -> io::Result<()> {
        self.said.push(Said::Add(fd.as_raw_fd(), interest, trigger));
        self.tokens.push(token);
        self.answer()
    }

    fn modify(&mut self, fd: BorrowedFd<'_>, token: Token, interest: Interest, trigger: Trigger) -> io::Result<()> {
        self.said.push(Said::Modify(fd.as_raw_fd(), interest, trigger));
        self.tokens.push(token);
        self.answer()
    }

    fn remove(&mut self, fd: BorrowedFd<'_>, _token: Token) -> io::Result<()> {
        self.said.push(Said::Remove(fd.as_raw_fd()));
        self.answer()
    }

    fn closing(&mut self, fd: BorrowedFd<'_>, _token: Token) {
        self.said.push(Said::Closing(fd.as_raw_fd()));
    }

    fn poll(&mut self, events: &mut Vec<Event>, timeout: Option<Duration>) -> io::Result<()> {
        self.said.push(Said::Poll(timeout));
        assert!(events.is_empty(), "a batch is handed over empty");
        events.extend(self.events.borrow_mut().drain(..));
        self.answer()
    }
}

struct Frozen(Duration);

impl Clock for Frozen {
    fn now(&self) -> Duration {
        self.0
    }
}

fn scripted() -> (IOLoop, Scripted) {
    let poller = Scripted { said: Log::new(), tokens: Log::new(), events: Rc::default(), refuse: Rc::default() };
    let clock = Frozen(Duration::from_secs(1_000_000));
    let ioloop = IOLoop::with_poller(Box::new(poller.clone()), Box::new(clock)).unwrap();
    // The loop's own way to be woken.
    assert!(matches!(poller.said.take()[..], [Said::Add(_, Interest::READABLE, Trigger::Edge)]));
    poller.tokens.take();
    (ioloop, poller)
}

#[test]
fn handlers_are_level_triggered_and_removed_by_name() {
    let (ioloop, poller) = scripted();
    let (ours, _theirs) = pair();
    let fd = ours.as_raw_fd();
    let token = ioloop.add_handler(ours, Interest::READABLE, |_| {}).unwrap();
    ioloop.update_handler(token, Interest::WRITABLE).unwrap();
    ioloop.remove_handler(token);
    assert_eq!(
        poller.said.take(),
        [
            Said::Add(fd, Interest::READABLE, Trigger::Level),
            Said::Modify(fd, Interest::WRITABLE, Trigger::Level),
            Said::Remove(fd),
        ]
    );
    assert_eq!(poller.tokens.take(), [token, token]);
}

#[test]
fn sources_are_registered_once_for_everything_edge_triggered() {
    let (ioloop, poller) = scripted();
    let (ours, _theirs) = pair();
    let fd = ours.as_raw_fd();
    let source = Source::with_loop(&ioloop, ours).unwrap();
    ioloop.run_sync(async {
        source.writable().await;
        source.clear(Ready::WRITABLE | Ready::READABLE);
    });
    let ours = source.into_inner();
    Source::with_loop(&ioloop, ours).unwrap().close();
    assert_eq!(
        poller.said.take(),
        [
            Said::Add(fd, Interest::all(), Trigger::Edge),
            Said::Remove(fd),
            Said::Add(fd, Interest::all(), Trigger::Edge),
            Said::Closing(fd),
        ],
        "waiting and clearing are no business of the poller's"
    );
}

#[test]
fn events_reach_the_handler_as_the_poller_reports_them() {
    let (ioloop, poller) = scripted();
    let (ours, _theirs) = pair();
    let seen = Log::new();
    let noted = seen.clone();
    let token = ioloop.add_handler(ours, Interest::all(), move |event| noted.push(event)).unwrap();
    let event = Event::new(token, Ready::PRIORITY | Ready::ERROR);
    poller.events.borrow_mut().extend([event, event]);
    ioloop.run_sync(turns(1));
    assert_eq!(seen.take(), [event, event]);
}

#[test]
fn events_under_tokens_nobody_has_are_ignored() {
    let (ioloop, poller) = scripted();
    let (ours, _theirs) = pair();
    let token = ioloop.add_handler(ours, Interest::all(), |_| unreachable!("not its event")).unwrap();
    let bits = token.to_u64();
    assert_eq!(Token::from_u64(bits), token);
    let others = [!bits, bits ^ (1 << 32), bits.wrapping_add(1000), u64::MAX, 0xFFFF_FFFF];
    let events = others.map(|bits| Event::new(Token::from_u64(bits), Ready::all()));
    poller.events.borrow_mut().extend(events);
    ioloop.run_sync(turns(2));
}

#[test]
fn edges_gather_in_the_source_until_they_are_cleared() {
    let (ioloop, poller) = scripted();
    let (ours, _theirs) = pair();
    let source = Source::with_loop(&ioloop, ours).unwrap();
    let token = poller.tokens.take()[0];
    for ready in [Ready::READABLE, Ready::PRIORITY] {
        poller.events.borrow_mut().push_back(Event::new(token, ready));
        ioloop.run_sync(turns(1));
    }
    assert_eq!(source.ready(), Ready::READABLE | Ready::PRIORITY | Ready::WRITABLE);
    source.clear(Ready::PRIORITY);
    assert_eq!(source.ready(), Ready::READABLE | Ready::WRITABLE);
}

#[test]
fn refusal_of_the_poller_is_the_callers_error_and_leaves_nothing_behind() {
    let (ioloop, poller) = scripted();
    for errno in [Errno::EEXIST, Errno::EPERM, Errno::ENOSPC] {
        poller.refuse.set(Some(errno));
        let (dropped, guard) = common::drop_flag();
        let result = ioloop.add_handler(pair().0, Interest::READABLE, move |_| {
            let _ = &guard;
        });
        match result {
            Err(Error::Io { source, .. }) => assert_eq!(source.raw_os_error(), Some(errno as i32)),
            other => panic!("{other:?}"),
        }
        assert!(dropped.get());
        let token = poller.tokens.take()[0];
        assert!(!ioloop.remove_handler(token));
    }
    poller.refuse.set(Some(Errno::ENOSPC));
    assert!(Source::with_loop(&ioloop, pair().0).is_err());
}

#[test]
fn wait_lasts_until_the_next_deadline_and_not_at_all_with_work_queued() {
    let (ioloop, poller) = scripted();
    ioloop.call_later(Duration::from_nanos(12_345), || {});
    ioloop.add_callback(|| {});
    let stop = ioloop.clone();
    let (ours, _theirs) = pair();
    let token = ioloop
        .add_handler(ours, Interest::READABLE, move |_| {
            stop.stop();
        })
        .unwrap();
    poller.said.take();
    poller.events.borrow_mut().push_back(Event::new(token, Ready::READABLE));
    ioloop.start();
    poller.events.borrow_mut().push_back(Event::new(token, Ready::READABLE));
    ioloop.start();
    assert_eq!(poller.said.take(), [Said::Poll(Some(Duration::ZERO)), Said::Poll(Some(Duration::from_nanos(12_345))),]);
}

#[test]
fn wait_is_without_end_when_nothing_is_due() {
    let (ioloop, poller) = scripted();
    let (ours, _theirs) = pair();
    let stop = ioloop.clone();
    let token = ioloop.add_handler(ours, Interest::READABLE, move |_| stop.stop()).unwrap();
    poller.said.take();
    poller.events.borrow_mut().push_back(Event::new(token, Ready::READABLE));
    ioloop.start();
    assert_eq!(poller.said.take(), [Said::Poll(None)]);
}

#[test]
fn poller_that_returns_early_makes_no_timer_fire_early() {
    let (ioloop, _poller) = scripted();
    ioloop.call_later(Duration::from_nanos(1), || unreachable!("time stands still"));
    ioloop.run_sync(turns(20));
}

#[test]
fn poller_that_fails_ends_the_run_with_a_panic_that_names_the_error() {
    let (ioloop, poller) = scripted();
    poller.refuse.set(Some(Errno::EBADF));
    let payload = catch_unwind(AssertUnwindSafe(|| ioloop.run_sync(turns(1)))).unwrap_err();
    let message = payload.downcast_ref::<String>().unwrap();
    assert!(message.starts_with("the poller failed"), "{message}");
    ioloop.run_sync(turns(1));
}

#[test]
fn clock_of_ones_own_is_what_the_loop_goes_by() {
    let (ioloop, _poller) = scripted();
    let now = ioloop.time();
    ioloop.run_sync(turns(3));
    assert_eq!(ioloop.time(), now);
    assert_eq!(ioloop.turn_time(), now);
}

#[test]
fn monotonic_clock_does_not_go_backwards() {
    let (first, second) = (MonotonicClock.now(), MonotonicClock.now());
    assert!(first <= second);
}
