//! Descriptors closed behind the loop's back, handlers that pull the rug from under others, and interrupted waits.

mod common;

use std::{
    cell::{Cell, RefCell},
    io::{Read, Write},
    os::{
        fd::{AsFd, AsRawFd},
        unix::{net::UnixStream, thread::JoinHandleExt},
    },
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use common::{Before, Log, backend, is_over_poll, new_loop, pair, run, turns, virtual_loop};
use ioloop::{IOLoop, Interest, Ready, Source, Token, sleep, spawn};
use nix::sys::{
    eventfd::{EfdFlags, EventFd},
    pthread::pthread_kill,
    signal::Signal,
};
use proptest::prelude::*;

/// An object whose descriptor can be closed while others believe in it. It is never dropped, so that nothing closes the
/// number a second time, when it may belong to another test.
fn doomed() -> (Rc<UnixStream>, UnixStream) {
    let (ours, theirs) = pair();
    let ours = Rc::new(ours);
    std::mem::forget(Rc::clone(&ours));
    (ours, theirs)
}

fn close_behind_its_back(stream: &UnixStream) {
    nix::unistd::close(stream.as_raw_fd()).unwrap();
}

/// Whether a handler, a timer and a task still work.
fn assert_works(ioloop: &IOLoop) {
    let (ours, mut theirs) = pair();
    let seen = Log::new();
    let noted = seen.clone();
    let token = ioloop.add_handler(ours, Interest::READABLE, move |_| noted.push(())).unwrap();
    run(ioloop, async {
        theirs.write_all(b"x").unwrap();
        turns(2).await;
        assert!(seen.len() > 0, "a handler is called within two turns");
        sleep(Duration::from_millis(2)).await;
        spawn(turns(2)).await.unwrap();
    });
    assert!(ioloop.remove_handler(token));
}

#[test]
fn handler_of_a_descriptor_closed_behind_its_back_harms_nobody_and_can_be_removed() {
    let ioloop = new_loop();
    let (ours, mut theirs) = doomed();
    let calls = Rc::new(Cell::new(0));
    let count = Rc::clone(&calls);
    let token = ioloop.add_handler(Rc::clone(&ours), Interest::READABLE, move |_| count.set(count.get() + 1)).unwrap();
    close_behind_its_back(&ours);
    // Over poll(2) the loop's duplicate keeps it open.
    assert_eq!(theirs.write(b"x").is_ok(), is_over_poll());
    assert_works(&ioloop);
    assert_eq!(calls.get() > 0, is_over_poll());
    calls.set(0);
    assert!(ioloop.remove_handler(token));
    assert!(!ioloop.remove_handler(token));
    run(&ioloop, turns(3));
    assert_eq!(calls.get(), 0);
    assert!(theirs.write(b"x").is_err(), "nothing of it is left");
}

#[test]
fn interest_of_a_descriptor_closed_behind_its_back_cannot_be_changed_over_epoll() {
    let ioloop = new_loop();
    let (ours, _theirs) = doomed();
    let token = ioloop.add_handler(Rc::clone(&ours), Interest::READABLE, |_| {}).unwrap();
    close_behind_its_back(&ours);
    assert_eq!(ioloop.update_handler(token, Interest::WRITABLE).is_ok(), is_over_poll());
    assert!(ioloop.remove_handler(token));
}

/// The kernel watches files, not numbers: a duplicate keeps the registration alive after its number is gone, and then
/// there is no way to take it back.
#[test]
fn duplicate_that_stays_open_keeps_reporting_to_the_handler_and_after_its_removal_to_nobody() {
    let ioloop = new_loop();
    let (ours, mut theirs) = doomed();
    let duplicate = ours.try_clone().unwrap();
    let calls = Rc::new(Cell::new(0));
    let count = Rc::clone(&calls);
    let token = ioloop.add_handler(Rc::clone(&ours), Interest::READABLE, move |_| count.set(count.get() + 1)).unwrap();
    close_behind_its_back(&ours);
    theirs.write_all(b"never read").unwrap();
    run(&ioloop, turns(5));
    assert!(calls.get() >= 4, "{} calls", calls.get());
    assert!(ioloop.remove_handler(token));
    calls.set(0);
    assert_works(&ioloop);
    // The place in the loop's book is given to others, to whom the old reports do not come either.
    let (quiet, _peer) = pair();
    let newcomer = ioloop.add_handler(quiet, Interest::READABLE, |_| unreachable!("nothing to read")).unwrap();
    run(&ioloop, turns(5));
    assert_eq!(calls.get(), 0);
    ioloop.remove_handler(newcomer);
    drop(duplicate);
    assert_works(&ioloop);
}

#[test]
fn loop_is_idle_again_when_the_last_duplicate_is_closed() {
    let (ioloop, world) = virtual_loop();
    let (ours, mut theirs) = doomed();
    let duplicate = ours.try_clone().unwrap();
    let token = ioloop.add_handler(Rc::clone(&ours), Interest::READABLE, |_| {}).unwrap();
    close_behind_its_back(&ours);
    theirs.write_all(b"never read").unwrap();
    ioloop.remove_handler(token);
    ioloop.run_sync(turns(3));
    drop(duplicate);
    let before = world.turn();
    ioloop.run_sync(async { sleep(Duration::from_secs(60)).await });
    assert_eq!(world.turn() - before, 1, "it sleeps");
}

#[test]
fn duplicate_of_a_closed_source_wakes_the_loop_once_per_edge_and_nobody_else() {
    let (ioloop, world) = virtual_loop();
    let (ours, mut theirs) = pair();
    let duplicate = ours.try_clone().unwrap();
    let source = Source::with_loop(&ioloop, ours).unwrap();
    ioloop.run_sync(turns(2));
    source.close();
    let (other, _peer) = pair();
    let successor = Source::with_loop(&ioloop, other).unwrap();
    ioloop.run_sync(turns(2));
    for _ in 0..10 {
        theirs.write_all(b"x").unwrap();
        let before = world.turn();
        ioloop.run_sync(async { sleep(Duration::from_secs(1)).await });
        assert!(world.turn() - before <= 2, "{} turns", world.turn() - before);
    }
    assert_eq!(successor.ready(), Ready::WRITABLE, "the place is another's now");
    drop(duplicate);
}

#[test]
fn task_that_waits_for_a_source_closed_behind_its_back_is_woken_when_the_source_goes() {
    let ioloop = new_loop();
    let (ours, _theirs) = doomed();
    run(&ioloop, async {
        let source = Rc::new(RefCell::new(Some(Source::new(Rc::clone(&ours)).unwrap())));
        let waiting = Rc::clone(&source);
        let task = spawn(std::future::poll_fn(move |cx| match &*waiting.borrow() {
            Some(source) => source.poll_ready(cx, Ready::READABLE).map(|_| "ready"),
            None => std::task::Poll::Ready("gone"),
        }));
        turns(2).await;
        close_behind_its_back(&ours);
        turns(3).await;
        assert!(!task.is_finished());
        let source = source.take();
        drop(source);
        assert_eq!(task.await.unwrap(), "gone");
    });
    assert_works(&ioloop);
}

fn always_ready() -> EventFd {
    EventFd::from_value_and_flags(1, EfdFlags::EFD_NONBLOCK).expect("a descriptor")
}

/// What one handler does to the others when it is called.
#[derive(Debug, Clone)]
enum Deed {
    Remove(usize),
    Add,
    Pause(usize),
}

fn deed() -> impl Strategy<Value = Deed> {
    prop_oneof![
        3 => (0usize..16).prop_map(Deed::Remove),
        2 => Just(Deed::Add),
        1 => (0usize..16).prop_map(Deed::Pause),
    ]
}

/// Handlers under the numbers by which deeds name them, and the calls each has got.
struct Crowd {
    ioloop: IOLoop,
    members: RefCell<Vec<Member>>,
    deeds: RefCell<Vec<Deed>>,
    offences: Log<String>,
}

struct Member {
    token: Token,
    is_removed: bool,
    is_paused: bool,
    /// The turn in which it came.
    since: usize,
    /// In this turn.
    calls: usize,
}

impl Crowd {
    fn add(self: &Rc<Crowd>, turn: usize) {
        let (crowd, number) = (Rc::downgrade(self), self.members.borrow().len());
        let call = move |_| crowd.upgrade().unwrap().called(number);
        let token = self.ioloop.add_handler(always_ready(), Interest::READABLE, call).unwrap();
        let member = Member { token, is_removed: false, is_paused: false, since: turn, calls: 0 };
        self.members.borrow_mut().push(member);
    }

    fn called(self: &Rc<Crowd>, number: usize) {
        let turn = {
            let mut members = self.members.borrow_mut();
            let member = &mut members[number];
            member.calls += 1;
            if member.is_removed {
                self.offences.push(format!("{number} was called after its removal"));
            }
            member.since + 1
        };
        let deed = self.deeds.borrow_mut().pop();
        match deed {
            Some(Deed::Remove(other)) => self.remove(other),
            Some(Deed::Add) => self.add(turn),
            Some(Deed::Pause(other)) => self.pause(other),
            None => {}
        }
    }

    fn remove(&self, which: usize) {
        let token = {
            let mut members = self.members.borrow_mut();
            let which = which % members.len();
            members[which].is_removed = true;
            members[which].token
        };
        self.ioloop.remove_handler(token);
    }

    fn pause(&self, which: usize) {
        let mut members = self.members.borrow_mut();
        let which = which % members.len();
        let member = &mut members[which];
        if !member.is_removed {
            self.ioloop.update_handler(member.token, Interest::empty()).unwrap();
            member.is_paused = true;
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever handlers do to each other within a batch: nobody is called after its removal, everybody else exactly once
    /// a turn, and newcomers not before the next one, whose places may be those of the removed.
    #[test]
    fn handlers_may_remove_add_and_pause_each_other_at_any_moment(deeds in prop::collection::vec(deed(), 0..40)) {
        let ioloop = new_loop();
        let crowd = Rc::new(Crowd {
            ioloop: ioloop.clone(),
            members: RefCell::default(),
            deeds: RefCell::new(deeds),
            offences: Log::new(),
        });
        (0..8).for_each(|_| crowd.add(0));
        for _ in 0..8 {
            let before: Vec<(bool, usize)> =
                crowd.members.borrow().iter().map(|member| (member.is_removed || member.is_paused, 0)).collect();
            crowd.members.borrow_mut().iter_mut().for_each(|member| member.calls = 0);
            ioloop.run_once(Some(Duration::ZERO));
            for (number, member) in crowd.members.borrow().iter().enumerate() {
                match before.get(number) {
                    Some((true, _)) => prop_assert_eq!(member.calls, 0, "{} is gone or paused", number),
                    Some((false, _)) if member.is_removed => prop_assert!(member.calls <= 1),
                    // An event that was fetched before the pause still comes.
                    Some((false, _)) => prop_assert_eq!(member.calls, 1, "{} is there", number),
                    None => prop_assert_eq!(member.calls, 0, "{} is new", number),
                }
            }
            prop_assert_eq!(crowd.offences.take(), [""; 0]);
        }
        ioloop.close();
    }
}

#[test]
fn interrupted_wait_is_a_turn_without_events_and_nothing_else() {
    // A handler that does nothing; without one the signal would end the process.
    let hits = Arc::new(AtomicBool::new(false));
    signal_hook::flag::register(Signal::SIGUSR2 as i32, Arc::clone(&hits)).unwrap();
    let waits = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&waits);
    let (sender, receiver) = std::sync::mpsc::channel();
    let looping = thread::spawn(move || {
        let counting = Before::new(backend(), move |_| {
            counted.fetch_add(1, Ordering::SeqCst);
        });
        let ioloop = IOLoop::builder().poller(counting).build().unwrap();
        ioloop.call_later(Duration::from_secs(3600), || unreachable!("not for an hour"));
        let (ours, mut theirs) = pair();
        let ours = Rc::new(ours);
        let (reader, stop) = (Rc::clone(&ours), ioloop.clone());
        let heard = Rc::new(Cell::new(false));
        let flag = Rc::clone(&heard);
        let hear = move |_| {
            assert_eq!((&*reader).read(&mut [0; 8]).unwrap(), 1);
            flag.set(true);
            stop.stop();
        };
        ioloop.add_handler(ours, Interest::READABLE, hear).unwrap();
        sender.send(ioloop.handle()).unwrap();
        // Sent by the main thread when it has interrupted enough.
        ioloop.start();
        assert!(!heard.get());
        theirs.write_all(b"x").unwrap();
        ioloop.start();
        assert!(heard.get());
    });
    let handle = receiver.recv().unwrap();
    // A signal may hit between two waits, so it is sent until enough waits have ended. Nothing else ends them.
    while waits.load(Ordering::SeqCst) <= 20 && !looping.is_finished() {
        pthread_kill(looping.as_pthread_t(), Signal::SIGUSR2).unwrap();
        thread::yield_now();
    }
    let stopped = handle.stop();
    looping.join().expect("an interruption is no failure");
    stopped.unwrap();
    assert!(hits.load(Ordering::SeqCst));
}

#[test]
fn descriptors_of_a_loop_dropped_with_everything_alive_are_closed() {
    let (ours, theirs) = pair();
    let ioloop = new_loop();
    ioloop.add_handler(ours, Interest::READABLE, |_| {}).unwrap();
    ioloop.spawn_detached(std::future::pending());
    let polled_fd = ioloop.as_fd().ok().map(|fd| fd.as_fd().try_clone_to_owned().unwrap());
    assert_eq!(polled_fd.is_none(), is_over_poll());
    drop(ioloop);
    assert!(common::is_closed_by_peer(&theirs));
}
