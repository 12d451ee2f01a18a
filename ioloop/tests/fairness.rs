//! Nobody starves anybody, however hard it tries: lags are counted in turns of the loop.

mod common;

use std::{
    cell::{Cell, RefCell},
    future::poll_fn,
    io::{Read, Write},
    rc::Rc,
    task::{Poll, Waker},
    thread,
    time::Duration,
};

use common::{Log, World, is_over_poll, pair, turns, virtual_loop};
use ioloop::{IOLoop, Interest, yield_now};
use nix::sys::eventfd::{EfdFlags, EventFd};

const fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// A descriptor that is always readable, as long as nobody reads it.
fn always_ready() -> EventFd {
    EventFd::from_value_and_flags(1, EfdFlags::EFD_NONBLOCK).expect("a descriptor")
}

/// What was run in which turn, by name.
#[derive(Clone)]
struct Diary {
    log: Log<(usize, &'static str)>,
    world: Rc<World>,
}

impl Diary {
    fn new(world: &Rc<World>) -> Diary {
        Diary { log: Log::new(), world: Rc::clone(world) }
    }

    fn note(&self, name: &'static str) {
        self.log.push((self.world.turn(), name));
    }
}

/// Everything that could hold up a loop, at once. Each keeps the diary.
fn greedy(ioloop: &IOLoop, diary: &Diary) {
    fn callback(ioloop: &IOLoop, diary: Diary) {
        let again = ioloop.clone();
        ioloop.add_callback(move || {
            diary.note("callback");
            diary.world.skip(ms(1));
            callback(&again, diary);
        });
    }
    fn timer(ioloop: &IOLoop, diary: Diary) {
        let again = ioloop.clone();
        ioloop.call_later(Duration::ZERO, move || {
            diary.note("timer");
            timer(&again, diary);
        });
    }
    callback(ioloop, diary.clone());
    timer(ioloop, diary.clone());
    let noted = diary.clone();
    ioloop.spawn_detached(poll_fn(move |cx| {
        noted.note("task");
        cx.waker().wake_by_ref();
        Poll::Pending
    }));
    let noted = diary.clone();
    ioloop.add_handler(always_ready(), Interest::READABLE, move |_| noted.note("handler")).unwrap();
}

#[test]
fn all_that_never_rest_run_once_in_every_turn() {
    let (ioloop, world) = virtual_loop();
    let diary = Diary::new(&world);
    greedy(&ioloop, &diary);
    ioloop.run_sync(turns(50));
    let log = diary.log.take();
    for turn in 2..world.turn() {
        let mut names: Vec<_> = log.iter().filter(|(at, _)| *at == turn).map(|(_, name)| *name).collect();
        names.sort_unstable();
        assert_eq!(names, ["callback", "handler", "task", "timer"], "in turn {turn}");
    }
    ioloop.close();
}

#[test]
fn newcomers_wait_for_no_more_than_a_turn_among_all_that_never_rest() {
    let (ioloop, world) = virtual_loop();
    greedy(&ioloop, &Diary::new(&world));
    let (ours, mut theirs) = pair();
    let ours = Rc::new(ours);
    let seen = Diary::new(&world);
    let (noted, reader) = (seen.clone(), Rc::clone(&ours));
    ioloop
        .add_handler(ours, Interest::READABLE, move |_| {
            assert_eq!((&*reader).read(&mut [0; 8]).unwrap(), 1);
            noted.note("event");
        })
        .unwrap();
    let kept: Rc<RefCell<Option<Waker>>> = Rc::default();
    let (noted, keep) = (seen.clone(), Rc::clone(&kept));
    ioloop.spawn_detached(poll_fn(move |cx| {
        noted.note("woken");
        *keep.borrow_mut() = Some(cx.waker().clone());
        Poll::Pending
    }));
    ioloop.run_sync(turns(10));
    seen.log.take();
    for _ in 0..20 {
        let asked_in = ioloop.run_sync(async {
            turns(1).await;
            theirs.write_all(b"x").unwrap();
            kept.borrow().as_ref().unwrap().wake_by_ref();
            let noted = seen.clone();
            ioloop.add_callback(move || noted.note("added"));
            let noted = seen.clone();
            ioloop.call_later(Duration::ZERO, move || noted.note("due"));
            let handle = ioloop.handle();
            // `Diary` stays on its thread: what comes from the other one only wakes.
            let waker = kept.borrow().clone().unwrap();
            thread::spawn(move || handle.add_callback(move || waker.wake())).join().unwrap().unwrap();
            let asked_in = world.turn();
            turns(3).await;
            asked_in
        });
        let mut lags: Vec<_> = seen.log.take().iter().map(|(turn, name)| (*name, turn - asked_in)).collect();
        lags.sort_unstable();
        assert_eq!(lags, [("added", 1), ("due", 1), ("event", 1), ("woken", 1), ("woken", 2)]);
    }
    ioloop.close();
}

/// Two tasks that wake each other for ever, and how often they were polled between the calls of a handler whose
/// descriptor is always ready: the numbers in the order in which they were counted.
fn polls_between_events(ioloop: &IOLoop, work: impl Fn() + 'static) -> Vec<usize> {
    let polls = Rc::new(Cell::new(0));
    let wakers: Rc<RefCell<[Option<Waker>; 2]>> = Rc::default();
    let work = Rc::new(work);
    for me in 0..2 {
        let (polls, wakers, work) = (Rc::clone(&polls), Rc::clone(&wakers), Rc::clone(&work));
        ioloop.spawn_detached(poll_fn(move |cx| {
            polls.set(polls.get() + 1);
            work();
            wakers.borrow_mut()[me] = Some(cx.waker().clone());
            let other = wakers.borrow_mut()[1 - me].take();
            other.iter().for_each(Waker::wake_by_ref);
            Poll::Pending
        }));
    }
    let (log, stop) = (Log::new(), ioloop.clone());
    let noted = log.clone();
    let handler = move |_| {
        noted.push(polls.take());
        if noted.len() == 10 {
            stop.stop();
        }
    };
    ioloop.add_handler(always_ready(), Interest::READABLE, handler).unwrap();
    ioloop.start();
    ioloop.close();
    log.take()
}

#[test]
fn tasks_that_wake_each_other_leave_room_for_an_event_after_some_polls() {
    let (ioloop, _world) = virtual_loop();
    let polls = polls_between_events(&ioloop, || {});
    assert!(polls[1..].iter().all(|polls| (60..=70).contains(polls)), "{polls:?}");
}

#[test]
fn tasks_that_wake_each_other_leave_room_for_an_event_sooner_when_they_take_long() {
    let (ioloop, world) = virtual_loop();
    let polls = polls_between_events(&ioloop, move || world.skip(ms(1)));
    assert!(polls[1..].iter().all(|polls| *polls <= 10), "{polls:?}");
    assert_eq!(polls[4..], [1; 6], "the loop has learnt how long they take");
}

#[test]
fn event_interval_of_one_leaves_room_for_an_event_in_every_turn() {
    let ioloop = IOLoop::builder().poller(common::backend()).event_interval(1).build().unwrap();
    let polls = polls_between_events(&ioloop, || {});
    // Both have begun in the first turn.
    assert_eq!(polls[2..], [1; 8]);
}

#[test]
#[should_panic = "an event interval is at least 1"]
fn event_interval_of_zero_is_refused() {
    let _ = IOLoop::builder().event_interval(0);
}

#[test]
fn task_that_yields_leaves_room_for_an_event_in_every_second_turn() {
    let (ioloop, _world) = virtual_loop();
    let yields = Rc::new(Cell::new(0));
    let (log, counted, stop) = (Log::new(), Rc::clone(&yields), ioloop.clone());
    let noted = log.clone();
    let handler = move |_| {
        noted.push(counted.take());
        if noted.len() == 10 {
            stop.stop();
        }
    };
    ioloop.add_handler(always_ready(), Interest::READABLE, handler).unwrap();
    ioloop.spawn_detached(async move {
        loop {
            yields.set(yields.get() + 1);
            yield_now().await;
        }
    });
    ioloop.start();
    ioloop.close();
    assert_eq!(log.take()[1..], [2; 9]);
}

#[test]
fn ten_thousand_timers_due_at_once_delay_what_is_queued_by_no_turn() {
    let (ioloop, world) = virtual_loop();
    let fired = Rc::new(Cell::new(0));
    for _ in 0..10_000 {
        let fired = Rc::clone(&fired);
        ioloop.call_later(ms(5), move || fired.set(fired.get() + 1));
    }
    let seen = Diary::new(&world);
    let (ours, mut theirs) = pair();
    let noted = seen.clone();
    ioloop.add_handler(ours, Interest::READABLE, move |_| noted.note("event")).unwrap();
    theirs.write_all(b"x").unwrap();
    world.skip(ms(10));
    let noted = seen.clone();
    ioloop.add_callback(move || noted.note("callback"));
    let noted = seen.clone();
    ioloop.spawn_detached(async move { noted.note("task") });
    ioloop.run_once(Some(Duration::ZERO));
    assert_eq!(seen.log.take(), [(1, "event"), (1, "callback"), (1, "task")]);
    assert_eq!(fired.get(), 10_000);
}

#[test]
fn ten_thousand_timers_that_renew_themselves_leave_room_for_the_others() {
    fn renew(ioloop: &IOLoop, fired: Rc<Cell<usize>>) {
        let again = ioloop.clone();
        ioloop.call_later(Duration::ZERO, move || {
            fired.set(fired.get() + 1);
            renew(&again, fired);
        });
    }
    let (ioloop, world) = virtual_loop();
    let fired = Rc::new(Cell::new(0));
    for _ in 0..10_000 {
        renew(&ioloop, Rc::clone(&fired));
    }
    let seen = Diary::new(&world);
    for turn in 1..=5 {
        let noted = seen.clone();
        ioloop.add_callback(move || noted.note("callback"));
        ioloop.run_once(Some(Duration::ZERO));
        assert_eq!(seen.log.take(), [(turn, "callback")]);
        assert_eq!(fired.get(), 10_000 * turn, "each once a turn");
    }
    ioloop.close();
}

/// More descriptors than epoll(7) reports in one batch, all ready all the time.
#[test]
fn always_ready_descriptors_beyond_a_batch_take_their_turns() {
    const DESCRIPTORS: usize = 300;
    const TURNS: usize = 40;
    let (ioloop, world) = virtual_loop();
    let calls: Rc<Vec<Cell<(usize, usize)>>> = Rc::new((0..DESCRIPTORS).map(|_| Cell::new((0, 0))).collect());
    let longest = Rc::new(Cell::new(0));
    for number in 0..DESCRIPTORS {
        let (calls, longest, world) = (Rc::clone(&calls), Rc::clone(&longest), Rc::clone(&world));
        let handler = move |_| {
            let (count, last) = calls[number].get();
            calls[number].set((count + 1, world.turn()));
            longest.set(longest.get().max(world.turn() - last));
        };
        ioloop.add_handler(always_ready(), Interest::READABLE, handler).unwrap();
    }
    ioloop.run_sync(turns(TURNS));
    assert!(longest.get() <= 2, "{} turns between two calls", longest.get());
    let least = calls.iter().map(|calls| calls.get().0).min().unwrap();
    // 256 of 300 in a turn of epoll's, all of them in a turn of poll's.
    let fair_share = if is_over_poll() { TURNS - 1 } else { TURNS * 256 / DESCRIPTORS - 2 };
    assert!(least >= fair_share, "{least} calls");
}

/// How often the loop looks at descriptors during a hundred calls of a callback that adds itself again.
fn looks_of(add: fn(&IOLoop, Box<dyn FnOnce()>)) -> u64 {
    fn again(ioloop: &IOLoop, add: fn(&IOLoop, Box<dyn FnOnce()>), left: usize) {
        let again_on = ioloop.clone();
        let callback = move || match left {
            0 => again_on.stop(),
            _ => again(&again_on, add, left - 1),
        };
        add(ioloop, Box::new(callback));
    }
    let (ioloop, _world) = virtual_loop();
    again(&ioloop, add, 99);
    ioloop.start();
    ioloop.metrics().waits
}

#[test]
fn callback_that_adds_itself_leaves_room_for_an_event_in_every_second_turn() {
    assert_eq!(looks_of(|ioloop, callback| ioloop.add_callback(callback)), 50);
    assert_eq!(looks_of(|ioloop, callback| ioloop.spawn_callback(callback)), 50);
}

#[test]
fn run_begins_with_a_look_whatever_the_one_before_has_left() {
    let (ioloop, _world) = virtual_loop();
    for run in 1..=5 {
        // One turn each; without a look this run would find the last one's still recent.
        ioloop.spawn_detached(async {});
        ioloop.run_sync(yield_now());
        assert_eq!(ioloop.metrics().waits, run);
    }
}

#[test]
fn future_of_run_sync_that_is_woken_by_a_task_does_not_give_way() {
    let (ioloop, _world) = virtual_loop();
    let (sender, receiver) = async_channel::bounded(1);
    let (back, answers) = async_channel::bounded(1);
    ioloop.spawn_detached(async move {
        while let Ok(number) = receiver.recv().await {
            back.send(number).await.unwrap();
        }
    });
    ioloop.run_sync(async {
        for number in 0..100 {
            sender.send(number).await.unwrap();
            assert_eq!(answers.recv().await, Ok(number));
        }
    });
    let waits = ioloop.metrics().waits;
    assert!(waits <= 10, "{waits} looks for 200 messages");
}
