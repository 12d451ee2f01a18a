//! Foreign code that comes back to the loop from where one does not expect it: the destructor of a waker, the `AsFd` of a
//! descriptor. The loop lends out nothing while it runs that.

mod common;

use std::{
    cell::Cell,
    os::{
        fd::{AsFd, BorrowedFd},
        unix::net::UnixStream,
    },
    rc::Rc,
    sync::Arc,
    task::{Context, Poll, Wake, Waker},
    time::Duration,
};

use common::{Count, Log, new_loop, pair, run, turns};
use ioloop::{Deadline, IOLoop, Interest, Ready, Source};

thread_local! {
    static DROPPED: Cell<usize> = const { Cell::new(0) };
}

/// Uses everything of the loop when it is dropped.
struct UsesLoop;

impl Wake for UsesLoop {
    fn wake(self: Arc<Self>) {}
}

impl Drop for UsesLoop {
    fn drop(&mut self) {
        DROPPED.set(DROPPED.get() + 1);
        use_all_of(&IOLoop::current());
    }
}

fn use_all_of(ioloop: &IOLoop) {
    ioloop.add_callback(|| ());
    ioloop.remove_timeout(ioloop.call_later(Duration::from_secs(1), || ()));
    ioloop.spawn(async {}).abort();
    let (ours, _theirs) = pair();
    let source = Source::with_loop(ioloop, ours).expect("a descriptor");
    source.clear(Ready::WRITABLE);
    let _ = source.poll_ready(&mut Context::from_waker(Waker::noop()), Ready::READABLE);
}

/// Polls with a waker that nobody else has.
fn poll_with_own_waker<T>(poll: impl FnOnce(&mut Context<'_>) -> Poll<T>) {
    let waker = Waker::from(Arc::new(UsesLoop));
    assert!(poll(&mut Context::from_waker(&waker)).is_pending());
}

/// How many of the wakers were dropped meanwhile, on a loop that is current.
fn dropped_by(work: impl FnOnce(&IOLoop)) -> usize {
    let ioloop = new_loop();
    let previous = ioloop.make_current();
    DROPPED.set(0);
    work(&ioloop);
    let dropped = DROPPED.get();
    ioloop.close();
    drop(previous);
    dropped
}

#[test]
fn timers_waker_may_use_the_loop_when_another_takes_its_place() {
    let dropped = dropped_by(|_| {
        let deadline = Deadline::new();
        deadline.set_after(Duration::from_secs(60));
        poll_with_own_waker(|cx| deadline.poll_expired(cx));
        poll_with_own_waker(|cx| deadline.poll_expired(cx));
        poll_with_own_waker(|cx| {
            deadline.start(Duration::from_secs(30), cx);
            Poll::<()>::Pending
        });
    });
    assert_eq!(dropped, 3, "the last with the deadline");
}

#[test]
fn sources_waker_may_use_the_loop_when_its_source_is_dropped() {
    let dropped = dropped_by(|_| {
        let (ours, _theirs) = pair();
        let source = Source::new(ours).unwrap();
        for _waiter in 0..40 {
            poll_with_own_waker(|cx| source.poll_ready(cx, Ready::READABLE));
        }
        drop(source);
    });
    assert_eq!(dropped, 40);
}

#[test]
fn joining_waker_may_use_the_loop_when_another_takes_its_place() {
    let dropped = dropped_by(|ioloop| {
        let mut task = ioloop.spawn(std::future::pending::<()>());
        poll_with_own_waker(|cx| std::pin::Pin::new(&mut task).poll(cx));
        poll_with_own_waker(|cx| std::pin::Pin::new(&mut task).poll(cx));
        task.abort();
    });
    assert_eq!(dropped, 2);
}

#[test]
fn panic_of_a_timers_waker_when_it_is_dropped_does_not_keep_the_loop_from_closing() {
    struct Panics;

    impl Wake for Panics {
        fn wake(self: Arc<Self>) {}
    }

    impl Drop for Panics {
        fn drop(&mut self) {
            panic!("a waker's destructor");
        }
    }

    let ioloop = new_loop();
    let previous = ioloop.make_current();
    let deadlines: Vec<Deadline> = (0..3).map(|_| Deadline::new()).collect();
    for deadline in &deadlines {
        deadline.set_after(Duration::from_secs(60));
        let waker = Waker::from(Arc::new(Panics));
        assert!(deadline.poll_expired(&mut Context::from_waker(&waker)).is_pending());
    }
    let (ours, _theirs) = pair();
    let source = Source::new(ours).unwrap();
    let count = Arc::new(Count::default());
    let waker = Waker::from(Arc::clone(&count));
    assert!(source.poll_ready(&mut Context::from_waker(&waker), Ready::READABLE).is_pending());
    ioloop.close();
    assert_eq!(count.get(), 1, "whoever waits for a source is told all the same");
    drop(previous);
}

/// A descriptor whose owner uses the loop whenever it is asked for it.
struct Inquisitive {
    stream: UnixStream,
    ioloop: IOLoop,
    asked: Log<()>,
}

impl AsFd for Inquisitive {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.asked.push(());
        use_all_of(&self.ioloop);
        self.stream.as_fd()
    }
}

#[test]
fn descriptors_owner_may_use_the_loop_when_it_is_asked_for_the_descriptor() {
    let ioloop = new_loop();
    let asked = Log::new();
    let owner = || Rc::new(Inquisitive { stream: pair().0, ioloop: ioloop.clone(), asked: asked.clone() });
    let token = ioloop.add_handler(owner(), Interest::READABLE, |_| ()).unwrap();
    ioloop.update_handler(token, Interest::WRITABLE).unwrap();
    assert!(ioloop.remove_handler(token));
    ioloop.add_handler(owner(), Interest::READABLE, |_| ()).unwrap();
    run(&ioloop, turns(2));
    ioloop.close();
    assert_eq!(asked.len(), 5, "twice by `add_handler`, once by each other");
}
