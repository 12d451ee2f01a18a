//! `sync::broadcast`: everybody's own place in one stream of messages.

mod sync_common;

use std::{cell::Cell, rc::Rc, task::Poll, time::Duration};

use ioloop::{
    IOLoop, spawn,
    sync::broadcast::{self, Receiver, RecvError, Sender},
    timeout, yield_now,
};
use proptest::prelude::*;
use sync_common::{Manual, reentrant_waker};

#[test]
fn every_receiver_gets_every_message_and_none_is_copied() {
    let (sender, mut first) = broadcast::channel::<String>(8);
    let mut second = sender.subscribe();
    assert_eq!(sender.send("a".into()), 0);
    assert_eq!(sender.send("b".into()), 1);
    for text in ["a", "b"] {
        let here = first.try_recv().expect("open").expect("sent");
        let there = second.try_recv().expect("open").expect("sent");
        assert_eq!(*here, text);
        assert!(Rc::ptr_eq(&here, &there));
    }
    assert_eq!(first.try_recv(), Ok(None));
}

#[test]
fn messages_without_a_size_are_sent_shared() {
    let (sender, mut receiver) = broadcast::channel::<str>(1);
    sender.send_rc(Rc::from("text"));
    assert_eq!(receiver.try_recv().expect("open").as_deref(), Some("text"));
}

#[test]
fn a_receiver_gets_what_is_sent_after_it_subscribed() {
    let sender = Sender::new(4);
    sender.send(1);
    let mut receiver = sender.subscribe();
    sender.send(2);
    assert_eq!(receiver.try_recv().expect("open").as_deref(), Some(&2));
}

#[test]
fn a_slow_receiver_is_told_how_much_it_missed() {
    let (sender, mut receiver) = broadcast::channel(2);
    for number in 0..5 {
        sender.send(number);
    }
    assert_eq!(receiver.behind(), 5);
    assert_eq!(receiver.try_recv(), Err(RecvError::Lagged(3)));
    assert_eq!(receiver.try_recv().expect("open").as_deref(), Some(&3));
    assert_eq!(receiver.try_recv().expect("open").as_deref(), Some(&4));
    assert_eq!(receiver.behind(), 0);
    assert_eq!(RecvError::Lagged(3).to_string(), "3 messages were missed");
}

#[test]
fn a_cursor_goes_on_where_its_receiver_stopped() {
    let (sender, mut receiver) = broadcast::channel(2);
    sender.send('a');
    receiver.try_recv().expect("open").expect("sent");
    let cursor = receiver.cursor();
    drop(receiver);
    sender.send('b');
    let mut again = sender.subscribe_from(cursor);
    assert_eq!(again.try_recv().expect("open").as_deref(), Some(&'b'));

    sender.send('c');
    sender.send('d');
    assert_eq!((sender.oldest(), sender.cursor()), (2, 4));
    assert_eq!(sender.subscribe_from(cursor).try_recv(), Err(RecvError::Lagged(1)));
}

#[test]
fn a_cursor_from_the_future_is_the_present() {
    let sender = Sender::new(2);
    sender.send(1);
    let mut receiver = sender.subscribe_from(u64::MAX);
    assert_eq!(receiver.cursor(), 1);
    sender.send(2);
    assert_eq!(receiver.try_recv().expect("open").as_deref(), Some(&2));
}

#[test]
fn the_channel_closes_with_its_last_sender_and_what_was_sent_is_still_received() {
    let (sender, mut receiver) = broadcast::channel(2);
    let other = sender.clone();
    sender.send(1);
    drop(sender);
    other.send(2);
    let mut late = receiver.clone();
    drop(other);
    assert_eq!(receiver.try_recv().as_ref().map(|message| message.as_deref()), Ok(Some(&1)));
    assert_eq!(receiver.try_recv().as_ref().map(|message| message.as_deref()), Ok(Some(&2)));
    assert_eq!(receiver.try_recv(), Err(RecvError::Closed));
    late.try_recv().expect("two are left");
    late.try_recv().expect("one is left");
    assert_eq!(Manual::new(late.recv()).finish(), Err(RecvError::Closed));
}

#[test]
fn those_who_wait_are_woken_by_the_end() {
    let (sender, mut receiver) = broadcast::channel::<u8>(2);
    let mut waits = Manual::waiting(receiver.recv());
    drop(sender);
    assert!(waits.is_woken());
    assert_eq!(waits.finish(), Err(RecvError::Closed));
}

#[test]
fn a_cancelled_recv_has_received_nothing_and_waits_no_more() {
    let (sender, mut receiver) = broadcast::channel(2);
    let waits = Manual::waiting(receiver.recv());
    assert_eq!(sender.waiting(), 1);
    drop(waits);
    assert_eq!(sender.waiting(), 0);

    let waits = Manual::waiting(receiver.recv());
    sender.send(7);
    drop(waits);
    assert_eq!(Manual::new(receiver.recv()).finish().as_deref(), Ok(&7));
}

#[test]
fn a_receiver_that_timed_out_is_forgotten_and_can_go_on() {
    IOLoop::current().run_sync(async {
        let (sender, mut receiver) = broadcast::channel(2);
        assert!(timeout(Duration::from_millis(2), receiver.recv()).await.is_err());
        assert_eq!(sender.waiting(), 0);
        sender.send("late");
        let received = timeout(Duration::from_secs(60), receiver.recv()).await.expect("it is there");
        assert_eq!(received.as_deref(), Ok(&"late"));
    });
}

#[test]
fn ten_thousand_tasks_receive_one_message_in_the_order_in_which_they_waited() {
    const MANY: usize = 10_000;
    IOLoop::current().run_sync(async {
        let sender = Sender::<str>::new(4);
        let received = Rc::new(Cell::new(0));
        let tasks: Vec<_> = (0..MANY)
            .map(|place| {
                let (mut receiver, received) = (sender.subscribe(), Rc::clone(&received));
                spawn(async move {
                    for round in 0..3 {
                        assert_eq!(receiver.recv().await.as_deref(), Ok("news"));
                        assert_eq!(received.replace(received.get() + 1), round * MANY + place);
                    }
                })
            })
            .collect();
        for _ in 0..3 {
            while sender.waiting() < MANY {
                yield_now().await;
            }
            sender.send_rc(Rc::from("news"));
        }
        for task in tasks {
            task.await.expect("received in order");
        }
    });
}

#[test]
fn a_receiver_costs_32_bytes() {
    assert!(size_of::<Receiver<String>>() <= 32);
    assert!(size_of::<Receiver<[u8]>>() <= 32);
}

#[test]
fn a_waker_or_a_message_may_use_the_channel_it_comes_from() {
    struct SendsWhenDropped(Option<Sender<SendsWhenDropped>>);
    impl Drop for SendsWhenDropped {
        fn drop(&mut self) {
            if let Some(sender) = &self.0 {
                sender.send(SendsWhenDropped(None));
            }
        }
    }
    let (sender, mut receiver) = broadcast::channel(1);
    sender.send(SendsWhenDropped(Some(sender.clone())));
    // Makes room by dropping the first, which sends a third.
    sender.send(SendsWhenDropped(None));
    assert_eq!(sender.cursor(), 3);
    assert!(matches!(receiver.try_recv(), Err(RecvError::Lagged(2))));

    let (sender, mut receiver) = broadcast::channel(4);
    let mut other = sender.subscribe();
    let inner = sender.clone();
    let waker = reentrant_waker(move || {
        inner.send(2);
    });
    let mut waits = Manual::new(receiver.recv());
    assert!(waits.poll_with(&waker).is_pending());
    let mut also_waits = Manual::waiting(other.recv());
    sender.send(1);
    assert_eq!(waits.finish().as_deref(), Ok(&1));
    assert_eq!(also_waits.finish().as_deref(), Ok(&1));
    drop(also_waits);
    assert_eq!(other.try_recv().expect("open").as_deref(), Some(&2));
}

#[derive(Debug, Clone)]
enum Step {
    Send,
    Subscribe,
    SubscribeFrom(u64),
    Recv(prop::sample::Index),
    TryRecv(prop::sample::Index),
    Cancel(prop::sample::Index),
    Drop(prop::sample::Index),
}

fn step() -> impl Strategy<Value = Step> {
    let index = || any::<prop::sample::Index>();
    prop_oneof![
        4 => Just(Step::Send),
        1 => Just(Step::Subscribe),
        1 => (0_u64..40).prop_map(Step::SubscribeFrom),
        6 => index().prop_map(Step::Recv),
        1 => index().prop_map(Step::TryRecv),
        1 => index().prop_map(Step::Cancel),
        1 => index().prop_map(Step::Drop),
    ]
}

/// Everything that was sent, of which the last `capacity` can be had.
struct Model {
    capacity: usize,
    sent: Vec<usize>,
}

impl Model {
    fn receive(&self, cursor: &mut usize) -> Option<Result<usize, RecvError>> {
        let oldest = self.sent.len().saturating_sub(self.capacity);
        if *cursor < oldest {
            let missed = oldest - std::mem::replace(cursor, oldest);
            return Some(Err(RecvError::Lagged(missed as u64)));
        }
        let message = self.sent.get(*cursor)?;
        *cursor += 1;
        Some(Ok(*message))
    }
}

/// A receiver on a task of its own, whose `recv` is kept between polls: it owns what the future would borrow.
struct Subscriber {
    receiver: Receiver<usize>,
    cursor: usize,
    /// How often the waker of the wait that is going on was called.
    waits: Option<std::sync::Arc<sync_common::Wakes>>,
    /// Whether something was sent since.
    expects_wake: bool,
}

impl Subscriber {
    fn new(receiver: Receiver<usize>, cursor: usize) -> Subscriber {
        Subscriber { receiver, cursor, waits: None, expects_wake: false }
    }

    fn poll(&mut self) -> Option<Result<usize, RecvError>> {
        // Once woken, it begins another wait.
        let wakes = self.waits.take().filter(|_| !self.expects_wake).unwrap_or_default();
        self.expects_wake = false;
        let waker = std::task::Waker::from(std::sync::Arc::clone(&wakes));
        match self.receiver.poll_recv(&mut std::task::Context::from_waker(&waker)) {
            Poll::Ready(received) => Some(received.map(|message| *message)),
            Poll::Pending => {
                self.waits = Some(wakes);
                None
            }
        }
    }
}

proptest! {
    #[test]
    fn behaves_like_a_list_with_cursors(capacity in 1_usize..6, steps in prop::collection::vec(step(), 1..200)) {
        let sender = Sender::new(capacity);
        let mut model = Model { capacity, sent: Vec::new() };
        let mut subscribers: Vec<Subscriber> = Vec::new();
        for (number, step) in steps.into_iter().enumerate() {
            match step {
                Step::Send => {
                    prop_assert_eq!(sender.send(number), model.sent.len() as u64);
                    model.sent.push(number);
                    for subscriber in &mut subscribers {
                        subscriber.expects_wake = subscriber.waits.is_some();
                    }
                }
                Step::Subscribe => subscribers.push(Subscriber::new(sender.subscribe(), model.sent.len())),
                Step::SubscribeFrom(cursor) => {
                    let expected = model.sent.len().min(cursor as usize);
                    subscribers.push(Subscriber::new(sender.subscribe_from(cursor), expected));
                }
                _ if subscribers.is_empty() => {}
                Step::Recv(which) => {
                    let at = which.index(subscribers.len());
                    let subscriber = &mut subscribers[at];
                    let received = subscriber.poll();
                    prop_assert_eq!(received, model.receive(&mut subscriber.cursor));
                }
                Step::TryRecv(which) => {
                    let at = which.index(subscribers.len());
                    let subscriber = &mut subscribers[at];
                    let received = subscriber.receiver.try_recv().transpose();
                    let expected = model.receive(&mut subscriber.cursor);
                    prop_assert_eq!(received.map(|received| received.map(|message| *message)), expected);
                }
                Step::Cancel(which) => {
                    let at = which.index(subscribers.len());
                    // As a `Recv` that is dropped.
                    let cancelled = Manual::new(subscribers[at].receiver.recv());
                    drop(cancelled);
                    subscribers[at].waits = None;
                    subscribers[at].expects_wake = false;
                }
                Step::Drop(which) => drop(subscribers.remove(which.index(subscribers.len()))),
            }
            let mut waiting = 0;
            for subscriber in &subscribers {
                prop_assert_eq!(subscriber.receiver.cursor(), subscriber.cursor as u64);
                let woken = subscriber.waits.as_ref().map_or(0, |wakes| wakes.count());
                prop_assert_eq!(woken, usize::from(subscriber.expects_wake));
                waiting += usize::from(subscriber.waits.is_some() && !subscriber.expects_wake);
            }
            prop_assert_eq!(sender.waiting(), waiting);
        }
    }
}
