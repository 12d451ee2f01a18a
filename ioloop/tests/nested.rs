//! `run_once` and `as_fd`: a loop that another one drives.

mod common;

use std::{
    cell::{Cell, RefCell},
    io::{self, Read, Write},
    rc::Rc,
    sync::mpsc,
    thread,
    time::Duration,
};

use common::{Before, Log, World, new_loop, pair, start, virtual_loop};
use ioloop::{Deadline, Epoll, Error, IOLoop, Interest, JoinHandle, Source, sync::Event, yield_now};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

#[test]
fn one_turn_runs_what_is_queued_and_says_that_more_is() {
    let (ioloop, world) = virtual_loop();
    let log = Log::new();
    let (again, outer, inner) = (ioloop.clone(), log.clone(), log.clone());
    ioloop.add_callback(move || {
        outer.push("first");
        again.add_callback(move || inner.push("second"));
    });
    assert_eq!(ioloop.run_once(None), Some(Duration::ZERO));
    assert_eq!(log.take(), ["first"]);
    assert_eq!(ioloop.run_once(None), None, "nothing to wait for");
    assert_eq!(log.take(), ["second"]);
    assert_eq!(world.turn(), 2);
}

#[test]
fn next_call_is_due_when_the_next_timer_is() {
    let (ioloop, world) = virtual_loop();
    let log = Log::new();
    let fired = log.clone();
    ioloop.call_later(Duration::from_millis(30), move || fired.push(()));
    assert_eq!(ioloop.run_once(Some(Duration::ZERO)), Some(Duration::from_millis(30)));
    assert_eq!(ioloop.run_once(Some(Duration::from_millis(20))), Some(Duration::from_millis(10)));
    assert_eq!((world.elapsed(), log.len()), (Duration::from_millis(20), 0));
    assert_eq!(ioloop.run_once(None), None);
    assert_eq!((world.elapsed(), log.len()), (Duration::from_millis(30), 1));
}

#[test]
fn stop_within_a_single_turn_ends_nothing_else() {
    let ioloop = new_loop();
    let stop = ioloop.clone();
    ioloop.add_callback(move || stop.stop());
    assert_eq!(ioloop.run_once(None), None);
    let (stop, log) = (ioloop.clone(), Log::new());
    let noted = log.clone();
    ioloop.add_callback(move || {
        noted.push(());
        stop.stop();
    });
    start(&ioloop);
    assert_eq!(log.len(), 1, "the old stop is forgotten");
}

#[test]
fn closed_loop_has_no_turn() {
    let (ioloop, world) = virtual_loop();
    ioloop.close();
    assert_eq!(ioloop.run_once(None), None);
    assert_eq!(world.turn(), 0);
}

#[test]
#[should_panic(expected = "already running")]
fn turn_within_a_turn_of_the_same_loop_panics() {
    let ioloop = new_loop();
    ioloop.run_sync(async { IOLoop::current().run_once(None) });
}

#[test]
fn turn_of_another_loop_fits_into_a_turn_and_gives_the_place_back() {
    let (outer, inner) = (new_loop(), new_loop());
    let task = inner.spawn(async { IOLoop::current().task_count() });
    outer.run_sync(async {
        inner.run_once(Some(Duration::ZERO));
        assert_eq!(IOLoop::current().task_count(), 0, "the outer loop is the current one again");
    });
    assert!(task.is_finished());
}

#[test]
fn poller_without_a_descriptor_cannot_be_nested() {
    let poller = Before::new(Box::new(Epoll::new().unwrap()), |_| {});
    let ioloop = IOLoop::builder().poller(poller).build().unwrap();
    let Err(Error::Io { source, .. }) = ioloop.as_fd() else { panic!("it has none") };
    assert_eq!(source.kind(), io::ErrorKind::Unsupported);
}

/// An outer loop that drives an inner one by its descriptor and its next timer.
struct Nested {
    outer: IOLoop,
    inner: IOLoop,
    timer: Cell<Option<ioloop::TimeoutHandle>>,
    turns: Cell<usize>,
}

impl Nested {
    fn new(outer: IOLoop) -> Rc<Nested> {
        let inner = IOLoop::builder().poller(Epoll::new().unwrap()).build().unwrap();
        let nested = Rc::new(Nested { outer, inner, timer: Cell::new(None), turns: Cell::new(0) });
        let driver = Rc::downgrade(&nested);
        let fd = nested.inner.as_fd().unwrap().try_clone_to_owned().unwrap();
        let drive = move |_| driver.upgrade().unwrap().drive();
        nested.outer.add_handler(fd, Interest::READABLE, drive).unwrap();
        nested
    }

    fn drive(self: &Rc<Nested>) {
        self.turns.set(self.turns.get() + 1);
        if let Some(timer) = self.timer.take() {
            self.outer.remove_timeout(timer);
        }
        if let Some(limit) = self.inner.run_once(Some(Duration::ZERO)) {
            let nested = Rc::clone(self);
            self.timer.set(Some(self.outer.call_later(limit, move || nested.drive())));
        }
    }
}

#[test]
fn inner_loop_lives_on_events_timers_tasks_and_other_threads() {
    let nested = Nested::new(new_loop());
    let (ours, mut theirs) = pair();
    let source = Source::with_loop(&nested.inner, ours).unwrap();
    let reader = nested.inner.spawn(async move {
        let mut text = [0; 4];
        for place in &mut text {
            source.readable().await;
            source.get_ref().read_exact(std::slice::from_mut(place)).unwrap();
            source.clear(ioloop::Ready::READABLE);
        }
        text
    });
    let handle = nested.inner.handle();
    let sender = thread::spawn(move || {
        for byte in b"ping" {
            let mut end = theirs.try_clone().unwrap();
            handle.add_callback(move || end.write_all(&[*byte]).unwrap()).unwrap();
        }
        theirs.flush().unwrap();
    });
    let stop = nested.outer.clone();
    let after = nested.inner.spawn(async move {
        ioloop::sleep(Duration::from_millis(2)).await;
        let text = reader.await.unwrap();
        stop.stop();
        text
    });
    nested.drive();
    start(&nested.outer);
    sender.join().unwrap();
    assert_eq!(&nested.inner.run_sync(after).unwrap(), b"ping");
}

#[test]
fn each_signal_of_another_thread_wakes_an_inner_loop_that_sleeps() {
    const ROUNDS: usize = 200;
    let nested = Nested::new(new_loop());
    let (handle, stop) = (nested.inner.handle(), nested.outer.handle());
    let sender = thread::spawn(move || {
        let (answer, answers) = mpsc::channel();
        for round in 0..ROUNDS {
            let answer = answer.clone();
            handle.add_callback(move || answer.send(round).unwrap()).unwrap();
            // Nothing else is sent before: the loop has to notice this one.
            assert_eq!(answers.recv(), Ok(round));
        }
        stop.stop().unwrap();
    });
    nested.drive();
    start(&nested.outer);
    sender.join().unwrap();
}

#[test]
fn idle_inner_loop_costs_the_outer_one_nothing() {
    let (outer, world) = virtual_loop();
    let nested = Nested::new(outer);
    nested.drive();
    let before = nested.turns.get();
    nested.outer.run_sync(until_elapsed(&world, Duration::from_secs(60)));
    assert_eq!(nested.turns.get(), before);
}

async fn until_elapsed(world: &World, limit: Duration) {
    while world.elapsed() < limit {
        ioloop::sleep(limit).await;
    }
}

#[test]
fn task_of_the_inner_loop_woken_by_the_outer_one_makes_the_descriptor_readable() {
    let nested = Nested::new(new_loop());
    let wakers = Rc::new(RefCell::new(None));
    let (kept, stop) = (Rc::clone(&wakers), nested.outer.clone());
    let task: JoinHandle<()> = nested.inner.spawn(async move {
        let mut polled = false;
        std::future::poll_fn(|cx| {
            *kept.borrow_mut() = Some(cx.waker().clone());
            if std::mem::replace(&mut polled, true) { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
        })
        .await;
        stop.stop();
    });
    nested.drive();
    let waker: std::task::Waker = wakers.take().unwrap();
    nested.outer.add_callback(move || waker.wake());
    start(&nested.outer);
    assert!(task.is_finished());
}

/// A loop that outer code drives by its descriptor, current on this thread and at rest.
fn driven() -> IOLoop {
    let ioloop = IOLoop::builder().poller(Epoll::new().unwrap()).build().unwrap();
    ioloop.make_current();
    assert!(!is_readable(&ioloop));
    ioloop
}

fn is_readable(ioloop: &IOLoop) -> bool {
    is_readable_within(ioloop, PollTimeout::ZERO)
}

fn is_readable_within(ioloop: &IOLoop, limit: PollTimeout) -> bool {
    let mut fds = [PollFd::new(ioloop.as_fd().unwrap(), PollFlags::POLLIN)];
    poll(&mut fds, limit).unwrap() == 1
}

/// Turns while the descriptor says so.
fn drive(ioloop: &IOLoop) -> usize {
    let mut turns = 0;
    while is_readable(ioloop) {
        ioloop.run_once(Some(Duration::ZERO));
        turns += 1;
        assert!(turns < 100, "there is no end to it");
    }
    turns
}

#[test]
fn descriptor_is_readable_when_outer_code_wakes_a_task() {
    let ioloop = driven();
    let event = Rc::new(Event::new());
    let waited = Rc::clone(&event);
    let task = ioloop.spawn(async move { waited.wait().await });
    assert!(is_readable(&ioloop), "the task is new");
    drive(&ioloop);
    for _once_is_enough in 0..2 {
        event.set();
    }
    assert!(is_readable(&ioloop), "the task is woken");
    drive(&ioloop);
    assert!(task.is_finished());
}

#[test]
fn descriptor_is_readable_when_outer_code_registers_work() {
    let ioloop = driven();
    let log = Log::new();
    let noted = |what| {
        Box::new({
            let log = log.clone();
            move || log.push(what)
        })
    };
    let register: [(&str, &dyn Fn()); 6] = [
        ("callback", &|| ioloop.add_callback(noted("callback"))),
        ("detached callback", &|| ioloop.spawn_callback(noted("detached callback"))),
        ("future", &|| {
            let call = noted("future");
            ioloop.add_future(async {}, move |()| call());
        }),
        ("task", &|| {
            let call = noted("task");
            ioloop.spawn_detached(async move { call() });
        }),
        ("timer", &|| {
            ioloop.call_later(Duration::ZERO, noted("timer"));
        }),
        ("message", &|| ioloop.handle().add_callback(|| ()).map(|()| noted("message")()).unwrap()),
    ];
    for (what, register) in register {
        register();
        assert!(is_readable(&ioloop), "{what}");
        drive(&ioloop);
        assert_eq!(log.take(), [what]);
    }
}

#[test]
fn descriptor_is_readable_when_a_timer_is_due() {
    let ioloop = driven();
    let log = Log::new();
    for milliseconds in [3_600_000, 2, 1] {
        let fired = log.clone();
        ioloop.call_later(Duration::from_millis(milliseconds), move || fired.push(milliseconds));
    }
    while log.len() < 2 {
        assert!(is_readable_within(&ioloop, PollTimeout::from(60_000_u16)), "the timers are due");
        ioloop.run_once(Some(Duration::ZERO));
    }
    assert_eq!(log.take(), [1, 2]);
    assert_eq!(drive(&ioloop), 0, "the next is far away");
}

#[test]
fn descriptor_is_readable_when_outer_code_moves_a_deadline_ahead() {
    let ioloop = driven();
    let deadline = Rc::new(Deadline::new());
    deadline.set_after(Duration::from_secs(3_600));
    let waited = Rc::clone(&deadline);
    let task = ioloop.spawn(std::future::poll_fn(move |cx| waited.poll_expired(cx)));
    drive(&ioloop);
    deadline.set_after(Duration::ZERO);
    assert!(is_readable(&ioloop));
    drive(&ioloop);
    assert!(task.is_finished());
}

#[test]
fn descriptor_stays_readable_while_work_is_left() {
    let ioloop = driven();
    let task = ioloop.spawn(async {
        for _ in 0..10 {
            yield_now().await;
        }
    });
    assert!(drive(&ioloop) > 10);
    assert!(task.is_finished());
}

#[test]
fn descriptor_asked_for_late_tells_of_what_was_registered_before() {
    let ioloop = IOLoop::builder().poller(Epoll::new().unwrap()).build().unwrap();
    let log = Log::new();
    let noted = log.clone();
    ioloop.add_callback(move || noted.push(()));
    assert!(is_readable(&ioloop));
    drive(&ioloop);
    assert_eq!(log.len(), 1);

    // Nor has a loop that was never run overlooked a thread.
    let ioloop = IOLoop::builder().poller(Epoll::new().unwrap()).build().unwrap();
    assert!(!is_readable(&ioloop));
    let handle = ioloop.handle();
    thread::spawn(move || handle.add_callback(|| ()).unwrap()).join().unwrap();
    assert!(is_readable(&ioloop));
}

#[test]
fn descriptor_tells_of_what_is_left_when_the_loop_was_run_by_other_means() {
    let ioloop = driven();
    let again = ioloop.clone();
    ioloop.run_sync(async move { again.add_callback(|| ()) });
    assert!(is_readable(&ioloop));
    assert!(drive(&ioloop) > 0);
    ioloop.run_sync(async { yield_now().await });
    assert!(!is_readable(&ioloop));
    ioloop.add_callback(|| ());
    assert!(is_readable(&ioloop));
}

#[test]
fn wake_up_in_a_running_loop_is_no_event_though_somebody_has_its_descriptor() {
    let ioloop = driven();
    let before = ioloop.metrics();
    ioloop.run_sync(async {
        let task = ioloop.spawn(async {
            for _ in 0..100 {
                yield_now().await;
            }
        });
        ioloop.add_callback(|| ());
        task.await.unwrap();
    });
    assert_eq!(ioloop.metrics().events, before.events);
}
