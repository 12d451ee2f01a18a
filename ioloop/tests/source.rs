//! `Source`: edge-triggered readiness that the loop remembers.

mod common;

use std::{
    cell::{Cell, RefCell},
    future::poll_fn,
    io::{ErrorKind, Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    os::{fd::AsFd, unix::net::UnixStream},
    rc::Rc,
    sync::{Arc, Weak},
    task::{Context, Poll, Wake, Waker},
};

use common::{Log, is_closed_by_peer, is_over_poll, new_loop, pair, poll_once, run, turns, until};
use ioloop::{Error, Interest, Ready, Source, spawn};
use nix::errno::Errno;

fn poll_ready<T: AsFd>(source: &Source<T>, wanted: Ready) -> Poll<Ready> {
    source.poll_ready(&mut Context::from_waker(Waker::noop()), wanted)
}

#[test]
fn fresh_source_is_taken_for_writable_and_nothing_else() {
    let ioloop = new_loop();
    let (ours, _theirs) = pair();
    let source = Source::with_loop(&ioloop, ours).unwrap();
    assert_eq!(source.ready(), Ready::WRITABLE);
    assert!(poll_once(source.writable()).is_ready());
    assert!(poll_once(source.readable()).is_pending());
}

#[test]
fn readiness_is_remembered_until_it_is_cleared_and_set_again_by_the_next_edge_only() {
    let ioloop = new_loop();
    run(&ioloop, async {
        let (ours, mut theirs) = pair();
        let source = Source::new(ours).unwrap();
        theirs.write_all(b"first").unwrap();
        source.readable().await;
        turns(2).await;
        assert!(source.ready().contains(Ready::READABLE), "still remembered");
        source.clear(Ready::READABLE);
        turns(2).await;
        // Over poll(2), which knows no edges, a bit cleared too early comes back.
        assert_eq!(source.ready().contains(Ready::READABLE), is_over_poll(), "unread data is no new edge");
        theirs.write_all(b"second").unwrap();
        source.readable().await;
        let mut buffer = [0; 32];
        assert_eq!(source.get_ref().read(&mut buffer).unwrap(), 11);
        assert_eq!(source.get_ref().read(&mut buffer).unwrap_err().kind(), ErrorKind::WouldBlock);
    });
}

#[test]
fn writable_comes_back_when_the_peer_has_read() {
    let ioloop = new_loop();
    run(&ioloop, async {
        let (ours, mut theirs) = pair();
        let source = Source::new(ours).unwrap();
        let chunk = [0; 65_536];
        while source.get_ref().write(&chunk).is_ok() {}
        source.clear(Ready::WRITABLE);
        turns(2).await;
        assert!(poll_once(source.writable()).is_pending());
        let reader = spawn(async move {
            let mut buffer = vec![0; 65_536];
            while theirs.read(&mut buffer).is_ok() {}
            theirs
        });
        source.writable().await;
        assert!(source.get_ref().write(&chunk).unwrap() > 0);
        drop(reader.await.unwrap());
    });
}

#[test]
fn clear_takes_only_what_is_named() {
    let ioloop = new_loop();
    let (ours, mut theirs) = pair();
    let source = Source::with_loop(&ioloop, ours).unwrap();
    theirs.write_all(b"x").unwrap();
    run(&ioloop, source.readable());
    source.clear(Ready::READABLE);
    assert_eq!(source.ready(), Ready::WRITABLE);
}

#[test]
fn every_waiter_is_woken_readers_and_others() {
    let ioloop = new_loop();
    run(&ioloop, async {
        let (ours, mut theirs) = pair();
        let source = Rc::new(Source::new(ours).unwrap());
        turns(1).await;
        let woken = Log::new();
        for number in 0..5 {
            let (source, woken) = (Rc::clone(&source), woken.clone());
            spawn(async move {
                source.readable().await;
                woken.push(number);
            });
        }
        let (other, noted) = (Rc::clone(&source), woken.clone());
        let closing = spawn(async move {
            poll_fn(|cx| other.poll_ready(cx, Ready::READ_CLOSED)).await;
            noted.push(99);
        });
        turns(2).await;
        assert_eq!(woken.take(), []);
        theirs.write_all(b"x").unwrap();
        until(|| woken.len() == 5).await;
        let mut readers = woken.take();
        readers.sort_unstable();
        assert_eq!(readers, [0, 1, 2, 3, 4]);
        assert!(!closing.is_finished(), "data is not the end of input");
        drop(theirs);
        closing.await.unwrap();
    });
}

/// A waker of a task that will never be polled again, as one that was aborted leaves it.
struct Stale;

impl Wake for Stale {
    fn wake(self: Arc<Self>) {}
}

#[test]
fn waiters_that_are_gone_do_not_pile_up_while_nothing_happens_on_the_source() {
    let ioloop = new_loop();
    run(&ioloop, async {
        let (ours, theirs) = pair();
        let source = Rc::new(Source::new(ours).unwrap());
        let waiting = Rc::clone(&source);
        let living = spawn(async move { poll_fn(|cx| waiting.poll_ready(cx, Ready::READ_CLOSED)).await });
        let mut left: Vec<Weak<Stale>> = Vec::new();
        for _ in 0..2_000 {
            let stale = Arc::new(Stale);
            left.push(Arc::downgrade(&stale));
            let waker = Waker::from(stale);
            let ready = source.poll_ready(&mut Context::from_waker(&waker), Ready::READ_CLOSED);
            assert!(ready.is_pending());
            turns(1).await;
        }
        let kept = left.iter().filter(|stale| stale.strong_count() > 0).count();
        assert!(kept <= 64, "{kept} kept");
        assert!(!living.is_finished());
        drop(theirs);
        assert!(living.await.unwrap().contains(Ready::READ_CLOSED));
    });
}

#[test]
fn crowd_of_living_waiters_is_not_woken_over_and_over() {
    const CROWD: usize = 500;
    let ioloop = new_loop();
    run(&ioloop, async {
        let (ours, theirs) = pair();
        let source = Rc::new(Source::new(ours).unwrap());
        let polls = Rc::new(Cell::new(0));
        let tasks: Vec<_> = (0..CROWD)
            .map(|_| {
                let (source, polls) = (Rc::clone(&source), Rc::clone(&polls));
                spawn(poll_fn(move |cx| {
                    polls.set(polls.get() + 1);
                    source.poll_ready(cx, Ready::READ_CLOSED)
                }))
            })
            .collect();
        turns(100).await;
        assert!(polls.get() <= 3 * CROWD, "{} polls", polls.get());
        drop(theirs);
        for task in tasks {
            task.await.unwrap();
        }
    });
}

#[test]
fn one_task_may_wait_for_several_things_at_once() {
    let ioloop = new_loop();
    run(&ioloop, async {
        let (ours, mut theirs) = pair();
        let source = Source::new(ours).unwrap();
        while source.get_ref().write(&[0; 65_536]).is_ok() {}
        source.clear(Ready::WRITABLE);
        turns(2).await;
        let reading = spawn(async move {
            let mut buffer = vec![0; 65_536];
            while theirs.read(&mut buffer).is_ok() {}
            theirs
        });
        let ready = poll_fn(|cx| {
            if let Poll::Ready(ready) = source.poll_ready(cx, Ready::READABLE) {
                return Poll::Ready(ready);
            }
            source.poll_ready(cx, Ready::WRITABLE)
        })
        .await;
        assert!(ready.contains(Ready::WRITABLE) && !ready.contains(Ready::READABLE));
        drop(reading.await.unwrap());
    });
}

#[test]
fn half_closed_peer_is_seen_as_end_of_reading_with_data_still_there() {
    let ioloop = new_loop();
    run(&ioloop, async {
        let (ours, mut theirs) = pair();
        let source = Source::new(ours).unwrap();
        theirs.write_all(b"last words").unwrap();
        theirs.shutdown(Shutdown::Write).unwrap();
        let ready = source.readable().await;
        assert!(ready.contains(Ready::READ_CLOSED));
        assert!(!ready.contains(Ready::HANGUP));
        let mut text = String::new();
        let mut ours = source.get_ref();
        ours.read_to_string(&mut text).unwrap();
        assert_eq!(text, "last words");
    });
}

#[test]
fn hang_up_ends_every_wait_and_lasts() {
    let ioloop = new_loop();
    run(&ioloop, async {
        let (ours, theirs) = pair();
        let source = Source::new(ours).unwrap();
        drop(theirs);
        let ready = poll_fn(|cx| source.poll_ready(cx, Ready::PRIORITY)).await;
        assert!(ready.contains(Ready::HANGUP | Ready::READ_CLOSED));
        source.clear(Ready::READABLE | Ready::WRITABLE);
        assert!(poll_once(source.readable()).is_ready());
        assert!(poll_once(source.writable()).is_ready());
    });
}

#[test]
fn reset_is_reported_as_an_error() {
    let ioloop = new_loop();
    run(&ioloop, async {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let ours = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        ours.set_nonblocking(true).unwrap();
        let (theirs, _) = listener.accept().unwrap();
        (&ours).write_all(b"never read").unwrap();
        let source = Source::new(ours).unwrap();
        // Closing with unread data makes the kernel send a reset.
        drop(theirs);
        let ready = poll_fn(|cx| source.poll_ready(cx, Ready::PRIORITY)).await;
        assert!(ready.intersects(Ready::ERROR | Ready::HANGUP), "{ready:?}");
        assert!(is_closed_by_peer_tcp(source.get_ref()));
    });
}

fn is_closed_by_peer_tcp(mut stream: &TcpStream) -> bool {
    match stream.read(&mut [0; 8]) {
        Ok(count) => count == 0,
        Err(error) => error.kind() != ErrorKind::WouldBlock,
    }
}

#[test]
fn descriptor_is_registered_once_and_free_again_after_the_source_has_gone() {
    let ioloop = new_loop();
    let (ours, mut theirs) = pair();
    let ours = Rc::new(ours);
    let first = Source::with_loop(&ioloop, Rc::clone(&ours)).unwrap();
    match Source::with_loop(&ioloop, Rc::clone(&ours)) {
        Err(Error::Io { source, .. }) => assert_eq!(source.raw_os_error(), Some(Errno::EEXIST as i32)),
        other => panic!("{other:?}"),
    }
    drop(first);
    let second = Source::with_loop(&ioloop, Rc::clone(&ours)).unwrap();
    let ours = second.into_inner();
    let third = Source::with_loop(&ioloop, ours).unwrap();
    theirs.write_all(b"x").unwrap();
    run(&ioloop, third.readable());
}

#[test]
fn drop_and_close_close_the_descriptor() {
    let ioloop = new_loop();
    let (ours, theirs) = pair();
    let source = Source::with_loop(&ioloop, ours).unwrap();
    assert!(!is_closed_by_peer(&theirs));
    drop(source);
    assert!(is_closed_by_peer(&theirs));
    let (ours, theirs) = pair();
    Source::with_loop(&ioloop, ours).unwrap().close();
    assert!(is_closed_by_peer(&theirs));
}

#[test]
fn going_away_wakes_whoever_waits() {
    type Away = fn(Source<UnixStream>);
    let ways: [Away; 3] = [drop, Source::close, |source| drop(source.into_inner())];
    for away in ways {
        let ioloop = new_loop();
        let (ours, _theirs) = pair();
        let source = Source::with_loop(&ioloop, ours).unwrap();
        let polls = Rc::new(Cell::new(0));
        let shared = Rc::new(RefCell::new(Some(source)));
        for wanted in [Ready::READABLE, Ready::READ_CLOSED] {
            let (shared, polls) = (Rc::clone(&shared), Rc::clone(&polls));
            ioloop.spawn_detached(poll_fn(move |cx| {
                polls.set(polls.get() + 1);
                match &*shared.borrow() {
                    Some(source) => source.poll_ready(cx, wanted).map(drop),
                    None => Poll::Ready(()),
                }
            }));
        }
        run(&ioloop, async {
            turns(2).await;
            assert_eq!((polls.get(), ioloop.task_count()), (2, 2));
            let source = shared.take().unwrap();
            away(source);
            turns(2).await;
            assert_eq!((polls.get(), ioloop.task_count()), (4, 0));
        });
    }
}

#[test]
fn event_already_fetched_for_a_source_does_not_reach_the_one_that_took_its_place() {
    let ioloop = new_loop();
    // The kernel lists descriptors in the order in which they became ready: the handler comes first.
    let (first, mut first_peer) = pair();
    first_peer.write_all(b"x").unwrap();
    let victim = Rc::new(RefCell::new(None));
    let newcomer = Rc::new(RefCell::new(None));
    let (quiet, _quiet_peer) = pair();
    let (remove, taken, placed, mut quiet) = (ioloop.clone(), Rc::clone(&victim), Rc::clone(&newcomer), Some(quiet));
    ioloop
        .add_handler(first, Interest::READABLE, move |event| {
            drop(taken.take());
            *placed.borrow_mut() = quiet.take().map(|quiet| Source::with_loop(&remove, quiet).unwrap());
            remove.remove_handler(event.token());
        })
        .unwrap();
    let (second, mut second_peer) = pair();
    second_peer.write_all(b"x").unwrap();
    *victim.borrow_mut() = Some(Source::with_loop(&ioloop, second).unwrap());
    run(&ioloop, turns(3));
    assert_eq!(newcomer.borrow().as_ref().unwrap().ready(), Ready::WRITABLE);
}

#[test]
fn source_of_a_closed_loop_is_broken_instead_of_waiting_for_ever() {
    let ioloop = new_loop();
    let (ours, theirs) = pair();
    let source = Source::with_loop(&ioloop, ours).unwrap();
    ioloop.close();
    assert_eq!(poll_ready(&source, Ready::READABLE), Poll::Ready(Ready::all()));
    drop(source);
    assert!(is_closed_by_peer(&theirs));
}

#[test]
fn closing_the_loop_wakes_those_of_other_loops_who_wait_for_its_sources() {
    let (closing, waiting) = (new_loop(), new_loop());
    let (ours, _theirs) = pair();
    let source = Source::with_loop(&closing, ours).unwrap();
    let waiter = waiting.spawn(async move { source.readable().await });
    run(&waiting, async {
        turns(2).await;
        closing.close();
        assert_eq!(waiter.await.unwrap(), Ready::all());
    });
}
