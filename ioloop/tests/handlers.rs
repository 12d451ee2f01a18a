//! Descriptors with a handler: level-triggered, owned by the loop, removable at any moment.

mod common;

use std::{
    cell::{Cell, RefCell},
    fs::File,
    io::{Read, Write},
    rc::Rc,
    time::Duration,
};

use common::{Log, drop_flag, is_closed_by_peer, new_loop, pair, run, start, turns, virtual_loop};
use ioloop::{Error, IOLoop, Interest, Ready};
use nix::errno::Errno;

fn errno(error: &Error) -> Option<i32> {
    match error {
        Error::Io { source, .. } => source.raw_os_error(),
        _ => None,
    }
}

#[test]
fn handler_is_called_in_every_turn_while_its_descriptor_is_ready() {
    let (ioloop, world) = virtual_loop();
    let (ours, mut theirs) = pair();
    theirs.write_all(b"never read").unwrap();
    let called_in = Log::new();
    let (log, stop) = (called_in.clone(), ioloop.clone());
    ioloop
        .add_handler(ours, Interest::READABLE, move |_| {
            log.push(world.turn());
            if log.len() == 3 {
                stop.stop();
            }
        })
        .unwrap();
    ioloop.start();
    assert_eq!(called_in.take(), [1, 2, 3]);
}

#[test]
fn descriptor_that_is_writable_but_watched_for_reading_reports_only_readable() {
    let ioloop = new_loop();
    let (ours, mut theirs) = pair();
    theirs.write_all(b"x").unwrap();
    let seen = Log::new();
    let (log, stop) = (seen.clone(), ioloop.clone());
    ioloop
        .add_handler(ours, Interest::READABLE, move |event| {
            log.push(event.ready());
            stop.stop();
        })
        .unwrap();
    start(&ioloop);
    assert_eq!(seen.take(), [Ready::READABLE]);
}

#[test]
fn update_changes_what_is_reported() {
    let ioloop = new_loop();
    let (ours, mut theirs) = pair();
    theirs.write_all(b"x").unwrap();
    let seen = Log::new();
    let log = seen.clone();
    let token = ioloop.add_handler(ours, Interest::empty(), move |event| log.push(event.ready())).unwrap();
    run(&ioloop, async {
        turns(3).await;
        assert_eq!(seen.take(), []);
        ioloop.update_handler(token, Interest::WRITABLE).unwrap();
        turns(2).await;
        assert_eq!(seen.take()[0], Ready::WRITABLE);
        ioloop.update_handler(token, Interest::READABLE | Interest::WRITABLE).unwrap();
        turns(2).await;
        assert_eq!(seen.take()[0], Ready::READABLE | Ready::WRITABLE);
        ioloop.update_handler(token, Interest::empty()).unwrap();
        turns(1).await;
        seen.take();
        turns(3).await;
        assert_eq!(seen.take(), []);
    });
}

#[test]
fn hang_up_is_reported_whatever_the_interest() {
    let ioloop = new_loop();
    let (ours, theirs) = pair();
    drop(theirs);
    let seen = Log::new();
    let (log, stop) = (seen.clone(), ioloop.clone());
    ioloop
        .add_handler(ours, Interest::empty(), move |event| {
            log.push(event);
            stop.stop();
        })
        .unwrap();
    start(&ioloop);
    let event = seen.take()[0];
    assert!(event.ready().contains(Ready::HANGUP));
    assert!(event.is_readable() && event.is_writable());
}

#[test]
fn removal_closes_an_owned_descriptor_and_drops_the_handler() {
    let ioloop = new_loop();
    let (ours, theirs) = pair();
    let (dropped, guard) = drop_flag();
    let token = ioloop
        .add_handler(ours, Interest::READABLE, move |_| {
            let _ = &guard;
        })
        .unwrap();
    assert!(!is_closed_by_peer(&theirs));
    assert!(ioloop.remove_handler(token));
    assert!(is_closed_by_peer(&theirs));
    assert!(dropped.get());
    assert!(!ioloop.remove_handler(token), "a second removal finds nothing");
    let error = ioloop.update_handler(token, Interest::READABLE).unwrap_err();
    assert!(matches!(error, Error::NotRegistered));
}

#[test]
fn shared_descriptor_stays_open_after_removal_and_can_be_added_again() {
    let ioloop = new_loop();
    let (ours, mut theirs) = pair();
    let ours = Rc::new(ours);
    let token = ioloop.add_handler(Rc::clone(&ours), Interest::READABLE, |_| unreachable!("removed")).unwrap();
    ioloop.remove_handler(token);
    theirs.write_all(b"x").unwrap();
    assert_eq!(Rc::strong_count(&ours), 1);
    let stop = ioloop.clone();
    ioloop.add_handler(ours, Interest::READABLE, move |_| stop.stop()).unwrap();
    start(&ioloop);
}

#[test]
fn second_handler_for_a_descriptor_is_refused_and_leaves_the_first_alone() {
    let ioloop = new_loop();
    let (ours, mut theirs) = pair();
    let ours = Rc::new(ours);
    let stop = ioloop.clone();
    ioloop.add_handler(Rc::clone(&ours), Interest::READABLE, move |_| stop.stop()).unwrap();
    let (dropped, guard) = drop_flag();
    let error = ioloop
        .add_handler(ours, Interest::READABLE, move |_| {
            let _ = &guard;
        })
        .unwrap_err();
    assert_eq!(errno(&error), Some(Errno::EEXIST as i32), "{error}");
    assert!(dropped.get(), "what was refused is dropped");
    theirs.write_all(b"x").unwrap();
    start(&ioloop);
}

#[test]
fn regular_file_is_refused() {
    let file = File::open(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")).unwrap();
    let error = new_loop().add_handler(file, Interest::READABLE, |_| {}).unwrap_err();
    assert_eq!(errno(&error), Some(Errno::EPERM as i32), "{error}");
}

#[test]
fn handler_that_removes_itself_is_called_once_and_its_descriptor_is_closed_at_once() {
    let ioloop = new_loop();
    let (ours, mut theirs) = pair();
    theirs.write_all(b"x").unwrap();
    let theirs = Rc::new(theirs);
    let (dropped, guard) = drop_flag();
    let calls = Rc::new(Cell::new(0));
    let (count, remove, peer, still_here) =
        (Rc::clone(&calls), ioloop.clone(), Rc::clone(&theirs), Rc::clone(&dropped));
    ioloop
        .add_handler(ours, Interest::READABLE, move |event| {
            let _ = &guard;
            count.set(count.get() + 1);
            assert!(remove.remove_handler(event.token()));
            assert!(is_closed_by_peer(&peer));
            assert!(!still_here.get(), "a closure is not dropped while it runs");
        })
        .unwrap();
    run(&ioloop, turns(4));
    assert_eq!(calls.get(), 1);
    assert!(dropped.get());
}

/// Two descriptors become ready together; whichever handler comes first calls `first`.
fn race_of_two(ioloop: &IOLoop, first: impl Fn(ioloop::Token) + 'static) -> Rc<Cell<usize>> {
    let calls = Rc::new(Cell::new(0));
    let tokens = Rc::new(RefCell::new(Vec::new()));
    let first = Rc::new(first);
    for _ in 0..2 {
        let (ours, mut theirs) = pair();
        theirs.write_all(b"abc").unwrap();
        let (calls, known, first) = (Rc::clone(&calls), Rc::clone(&tokens), Rc::clone(&first));
        let token = ioloop
            .add_handler(ours, Interest::READABLE, move |event| {
                let _peer_stays_open = &theirs;
                calls.set(calls.get() + 1);
                let other = known.borrow().iter().copied().find(|token| *token != event.token());
                first(other.expect("both are registered"));
            })
            .unwrap();
        tokens.borrow_mut().push(token);
    }
    calls
}

#[test]
fn event_already_fetched_for_a_handler_removed_by_another_reaches_nobody() {
    let ioloop = new_loop();
    let remover = ioloop.clone();
    let calls = race_of_two(&ioloop, move |other| {
        remover.remove_handler(other);
    });
    run(&ioloop, turns(1));
    assert_eq!(calls.get(), 1);
}

#[test]
fn event_of_a_removed_handler_does_not_reach_the_one_that_took_its_place() {
    let ioloop = new_loop();
    let (quiet, _quiet_peer) = pair();
    let newcomer_called = Rc::new(Cell::new(false));
    let (remover, flag, quiet) = (ioloop.clone(), Rc::clone(&newcomer_called), RefCell::new(Some(quiet)));
    race_of_two(&ioloop, move |other| {
        if !remover.remove_handler(other) {
            return;
        }
        let (flag, fd) = (Rc::clone(&flag), quiet.take().unwrap());
        remover.add_handler(fd, Interest::READABLE, move |_| flag.set(true)).unwrap();
    });
    run(&ioloop, turns(3));
    assert!(!newcomer_called.get());
}

#[test]
fn handler_may_replace_itself_under_the_same_descriptor() {
    let ioloop = new_loop();
    let (ours, mut theirs) = pair();
    theirs.write_all(b"x").unwrap();
    let ours = Rc::new(ours);
    let log = Log::new();
    let (again, fd, outer, inner) = (ioloop.clone(), Rc::clone(&ours), log.clone(), log.clone());
    ioloop
        .add_handler(ours, Interest::READABLE, move |event| {
            outer.push("first");
            again.remove_handler(event.token());
            let (inner, stop) = (inner.clone(), again.clone());
            again
                .add_handler(Rc::clone(&fd), Interest::READABLE, move |_| {
                    inner.push("second");
                    stop.stop();
                })
                .unwrap();
        })
        .unwrap();
    start(&ioloop);
    assert_eq!(log.take(), ["first", "second"]);
}

#[test]
fn descriptor_that_is_always_ready_starves_neither_timers_nor_other_descriptors() {
    let (ioloop, world) = virtual_loop();
    let (busy, mut busy_peer) = pair();
    busy_peer.write_all(b"never read").unwrap();
    let time = Rc::clone(&world);
    ioloop.add_handler(busy, Interest::READABLE, move |_| time.skip(Duration::from_millis(1))).unwrap();
    let (ours, mut theirs) = pair();
    let ours = Rc::new(ours);
    let (reader, stop) = (Rc::clone(&ours), ioloop.clone());
    ioloop
        .add_handler(ours, Interest::READABLE, move |_| {
            assert_eq!((&*reader).read(&mut [0; 8]).unwrap(), 1);
            stop.stop();
        })
        .unwrap();
    ioloop.call_later(Duration::from_millis(10), move || theirs.write_all(b"x").unwrap());
    ioloop.start();
    assert!(world.turn() <= 13, "{} turns", world.turn());
}

#[test]
fn more_ready_descriptors_than_fit_in_a_batch_are_all_served_within_three_turns() {
    let (ioloop, world) = virtual_loop();
    let served = Rc::new(Cell::new(0));
    let mut peers = Vec::new();
    const DESCRIPTORS: usize = 400;
    for _ in 0..DESCRIPTORS {
        let (ours, mut theirs) = pair();
        theirs.write_all(b"x").unwrap();
        peers.push(theirs);
        let (served, remove, stop) = (Rc::clone(&served), ioloop.clone(), ioloop.clone());
        ioloop
            .add_handler(ours, Interest::READABLE, move |event| {
                remove.remove_handler(event.token());
                served.set(served.get() + 1);
                if served.get() == DESCRIPTORS {
                    stop.stop();
                }
            })
            .unwrap();
    }
    ioloop.start();
    assert!(world.turn() <= 3, "{} turns", world.turn());
}

#[test]
fn refused_registration_says_why() {
    let ioloop = new_loop();
    let file = std::fs::File::open(file!().trim_start_matches("ioloop/")).unwrap();
    let error = ioloop.add_handler(file, Interest::READABLE, |_| ()).unwrap_err();
    assert!(error.to_string().contains("such as a regular file: "), "{error}");

    let (ours, _theirs) = pair();
    let ours = Rc::new(ours);
    ioloop.add_handler(Rc::clone(&ours), Interest::READABLE, |_| ()).unwrap();
    let error = ioloop.add_handler(ours, Interest::READABLE, |_| ()).unwrap_err();
    assert!(error.to_string().contains("registered already: "), "{error}");
}
