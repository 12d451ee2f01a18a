//! Crates that know no executor run on the loop unchanged: futures-util, async-channel, event-listener.

mod common;

use std::{
    cell::{Cell, RefCell},
    future::pending,
    io::{Read, Write},
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use common::{Log, drop_flag, new_loop, pair, run, turns, virtual_loop};
use event_listener::{Event, Listener};
use futures_util::{
    FutureExt, StreamExt,
    future::{self, AbortHandle, Abortable, Either},
    lock::Mutex,
    pin_mut, select,
    stream::{self, FuturesOrdered, FuturesUnordered},
};
use ioloop::{Ready, Source, interval, sleep, spawn, timeout, yield_now};

const fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

#[test]
fn join_all_waits_for_tasks_timers_and_plain_futures_together() {
    let (ioloop, world) = virtual_loop();
    ioloop.run_sync(async {
        let sleeps = future::join_all((1..=5).rev().map(|number| async move {
            sleep(ms(number * 10)).await;
            number
        }));
        let tasks = future::try_join_all((0..100).map(|number| spawn(async move { number })));
        let (sleeps, tasks) = future::join(sleeps, tasks).await;
        assert_eq!(sleeps, [5, 4, 3, 2, 1]);
        assert_eq!(tasks.unwrap(), (0..100).collect::<Vec<_>>());
        assert_eq!(world.elapsed(), ms(50), "side by side");
    });
}

#[test]
fn select_takes_what_comes_first_and_drops_the_other() {
    let (ioloop, world) = virtual_loop();
    let (dropped, guard) = drop_flag();
    ioloop.run_sync(async {
        let slow = async move {
            let _guard = guard;
            sleep(ms(1000)).await;
        };
        let result = future::select(Box::pin(slow), Box::pin(sleep(ms(10)))).map(|first| match first {
            Either::Left(_) => "slow",
            Either::Right(_) => "fast",
        });
        assert_eq!(result.await, "fast");
        assert!(dropped.get());
        assert_eq!(world.elapsed(), ms(10));

        let mut ticks = Box::pin(stream::unfold(interval(ms(10)), async |mut ticks| Some((ticks.tick().await, ticks))));
        let end = sleep(ms(35)).fuse();
        pin_mut!(end);
        let mut count = 0;
        loop {
            select! {
                _ = ticks.next().fuse() => count += 1,
                () = end => break,
            }
        }
        assert_eq!(count, 3);
    });
}

#[test]
fn unordered_futures_come_in_the_order_in_which_they_complete_and_wake_one_by_one() {
    let (ioloop, _world) = virtual_loop();
    ioloop.run_sync(async {
        let delays = [30, 10, 50, 20, 40];
        let after = |delay| async move {
            sleep(ms(delay)).await;
            delay
        };
        let unordered: FuturesUnordered<_> = delays.into_iter().map(after).collect();
        assert_eq!(unordered.collect::<Vec<_>>().await, [10, 20, 30, 40, 50]);
        let ordered: FuturesOrdered<_> = delays.into_iter().map(after).collect();
        assert_eq!(ordered.collect::<Vec<_>>().await, delays);
    });
}

#[test]
fn buffered_stream_keeps_its_limit_of_futures_under_way() {
    let (ioloop, world) = virtual_loop();
    let (now, most) = (Cell::new(0), Cell::new(0));
    ioloop.run_sync(async {
        stream::iter(0..20)
            .for_each_concurrent(4, |_| async {
                now.set(now.get() + 1);
                most.set(most.get().max(now.get()));
                sleep(ms(10)).await;
                now.set(now.get() - 1);
            })
            .await;
    });
    assert_eq!((now.get(), most.get(), world.elapsed()), (0, 4, ms(50)));
}

#[test]
fn abortable_and_shared_futures_work_within_tasks() {
    let ioloop = new_loop();
    run(&ioloop, async {
        let (handle, registration) = AbortHandle::new_pair();
        let task = spawn(Abortable::new(pending::<()>(), registration));
        turns(2).await;
        handle.abort();
        assert!(task.await.unwrap().is_err());

        let polls = Rc::new(Cell::new(0));
        let count = Rc::clone(&polls);
        let shared = async move {
            yield_now().await;
            count.set(count.get() + 1);
            7
        }
        .shared();
        let tasks = (0..10).map(|_| spawn(shared.clone()));
        let results = future::try_join_all(tasks).await.unwrap();
        assert_eq!((results, polls.get()), (vec![7; 10], 1));
    });
}

#[test]
fn asynchronous_mutex_hands_its_lock_from_task_to_task() {
    let ioloop = new_loop();
    run(&ioloop, async {
        let counter = Rc::new(Mutex::new(0));
        let tasks = (0..50).map(|_| {
            let counter = Rc::clone(&counter);
            spawn(async move {
                let mut held = counter.lock().await;
                let before = *held;
                yield_now().await;
                *held = before + 1;
            })
        });
        future::try_join_all(tasks).await.unwrap();
        assert_eq!(*counter.lock().await, 50);
    });
}

#[test]
fn channel_with_a_loop_at_each_end_carries_values_and_holds_its_sender_back() {
    let ioloop = new_loop();
    let (sender, receiver) = async_channel::bounded(2);
    let (answer, answered) = async_channel::bounded(1);
    let thread = thread::spawn(move || {
        new_loop().run_sync(async {
            for number in 0..100 {
                sender.send(number).await.unwrap();
            }
            drop(sender);
            answered.recv().await.unwrap()
        })
    });
    run(&ioloop, async {
        let sum = receiver.fold(0, async |sum, number| sum + number).await;
        answer.send(sum).await.unwrap();
    });
    assert_eq!(thread.join().unwrap(), 4950);
}

#[test]
fn bounded_channel_holds_its_sender_back_and_ends_with_it() {
    let ioloop = new_loop();
    let (sender, receiver) = async_channel::bounded(3);
    let sent = Rc::new(Cell::new(0));
    run(&ioloop, async {
        let count = Rc::clone(&sent);
        let sending = spawn(async move {
            for number in 0..10 {
                sender.send(number).await.unwrap();
                count.set(count.get() + 1);
            }
        });
        turns(5).await;
        assert_eq!(sent.get(), 3, "full");
        let mut received = Vec::new();
        while let Ok(number) = receiver.recv().await {
            received.push(number);
        }
        assert_eq!(received, (0..10).collect::<Vec<_>>());
        sending.await.unwrap();
    });
}

#[test]
fn work_sent_to_threads_by_a_channel_comes_back_by_another() {
    let ioloop = new_loop();
    let (jobs, todo) = async_channel::unbounded::<u64>();
    let (done, results) = async_channel::unbounded();
    let workers: Vec<_> = (0..3)
        .map(|_| {
            let (todo, done) = (todo.clone(), done.clone());
            thread::spawn(move || {
                while let Ok(number) = todo.recv_blocking() {
                    done.send_blocking(number * number).unwrap();
                }
            })
        })
        .collect();
    drop(done);
    run(&ioloop, async {
        for number in 0..100 {
            jobs.send(number).await.unwrap();
        }
        drop(jobs);
        let sum = results.fold(0, async |sum, square| sum + square).await;
        assert_eq!(sum, 328_350);
    });
    workers.into_iter().for_each(|worker| worker.join().unwrap());
}

#[test]
fn several_receivers_share_a_channel_and_an_aborted_one_takes_nothing_along() {
    let ioloop = new_loop();
    let (sender, receiver) = async_channel::unbounded();
    let log = Log::new();
    run(&ioloop, async {
        let receivers: Vec<_> = (0..4)
            .map(|_| {
                let (receiver, log) = (receiver.clone(), log.clone());
                spawn(async move {
                    while let Ok(number) = receiver.recv().await {
                        log.push(number);
                    }
                })
            })
            .collect();
        turns(2).await;
        // Notified first, gone before it runs: its notification has to go on to another.
        sender.send(0).await.unwrap();
        receivers[0].abort();
        for number in 1..8 {
            sender.send(number).await.unwrap();
        }
        turns(10).await;
        let mut seen = log.take();
        seen.sort_unstable();
        assert_eq!(seen, (0..8).collect::<Vec<_>>());
        sender.close();
        for receiver in receivers.into_iter().skip(1) {
            receiver.await.unwrap();
        }
    });
    assert_eq!(ioloop.task_count(), 0);
}

#[test]
fn event_wakes_as_many_listeners_as_are_asked_for() {
    let ioloop = new_loop();
    run(&ioloop, async {
        let event = Rc::new(Event::new());
        let woken = Rc::new(Cell::new(0));
        let tasks: Vec<_> = (0..10)
            .map(|_| {
                let (event, woken) = (Rc::clone(&event), Rc::clone(&woken));
                spawn(async move {
                    event.listen().await;
                    woken.set(woken.get() + 1);
                })
            })
            .collect();
        turns(2).await;
        event.notify(3);
        turns(2).await;
        assert_eq!(woken.get(), 3);
        event.notify(usize::MAX);
        future::try_join_all(tasks).await.unwrap();
        assert_eq!(woken.get(), 10);
    });
}

#[test]
fn event_wakes_across_threads_in_both_directions() {
    let ioloop = new_loop();
    let state = Arc::new((Event::new(), AtomicBool::new(false), Event::new(), AtomicBool::new(false)));
    let theirs = Arc::clone(&state);
    let thread = thread::spawn(move || {
        let (ping, pinged, pong, ponged) = &*theirs;
        while !pinged.load(Ordering::SeqCst) {
            let listener = ping.listen();
            if !pinged.load(Ordering::SeqCst) {
                listener.wait();
            }
        }
        ponged.store(true, Ordering::SeqCst);
        pong.notify(1);
    });
    run(&ioloop, async {
        let (ping, pinged, pong, ponged) = &*state;
        pinged.store(true, Ordering::SeqCst);
        ping.notify(1);
        while !ponged.load(Ordering::SeqCst) {
            let listener = pong.listen();
            if !ponged.load(Ordering::SeqCst) {
                listener.await;
            }
        }
    });
    thread.join().unwrap();
}

#[test]
fn time_limits_of_the_loop_hold_for_foreign_futures() {
    let (ioloop, world) = virtual_loop();
    ioloop.run_sync(async {
        let (_sender, receiver) = async_channel::bounded::<()>(1);
        assert!(timeout(ms(20), receiver.recv()).await.unwrap_err().is_timed_out());
        assert!(timeout(ms(20), Event::new().listen()).await.unwrap_err().is_timed_out());
        assert_eq!(world.elapsed(), ms(40));
    });
}

#[test]
fn descriptors_timers_and_channels_meet_in_one_select() {
    let ioloop = new_loop();
    let log = Log::new();
    run(&ioloop, async {
        let (ours, theirs) = pair();
        let source = Source::new(ours).unwrap();
        let theirs = RefCell::new(theirs);
        let (sender, receiver) = async_channel::unbounded::<&str>();
        sender.send("begin").await.unwrap();
        while log.len() < 4 {
            let (readable, message) = (source.readable().fuse(), receiver.recv().fuse());
            pin_mut!(readable, message);
            select! {
                ready = readable => {
                    assert!(ready.contains(Ready::READABLE));
                    let mut buffer = [0; 8];
                    let count = source.get_ref().read(&mut buffer).unwrap();
                    source.clear(Ready::READABLE);
                    log.push(String::from_utf8_lossy(&buffer[..count]).into_owned());
                    sender.send("again").await.unwrap();
                },
                text = message => {
                    log.push(text.unwrap().to_owned());
                    theirs.borrow_mut().write_all(b"data").unwrap();
                },
            }
        }
    });
    assert_eq!(log.take(), ["begin", "data", "again", "data"]);
}
