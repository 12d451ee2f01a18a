//! `VirtualClock`: `advance`, `skip`, and time that jumps by itself.

mod common;

use std::{
    collections::BTreeMap,
    future::pending,
    io::{Read, Write},
    os::unix::net::UnixStream,
    time::Duration,
};

use common::{Log, backend, pair, turns, virtual_loop_with};
use futures_util::{FutureExt, StreamExt, stream::FuturesUnordered};
use ioloop::{
    IOLoop, PeriodicCallback, Ready, Source, VirtualClock, interval, run_in_executor, sleep, sleep_until, spawn,
    timeout,
};
use proptest::prelude::*;

const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Fails a test in which it would wait for ever: there is nobody to wake it.
fn loop_with(clock: &VirtualClock) -> IOLoop {
    virtual_loop_with(clock.clone()).0
}

fn loop_with_threads(clock: &VirtualClock) -> IOLoop {
    IOLoop::builder().poller(backend()).virtual_clock(clock).build().unwrap()
}

/// A loop, current while `body` runs, whose time stands still.
fn within<T>(body: impl AsyncFnOnce(&IOLoop, &VirtualClock) -> T) -> T {
    let clock = VirtualClock::new();
    let ioloop = loop_with(&clock);
    let result = ioloop.run_sync(body(&ioloop, &clock));
    // Breaks the circles of what a test has left behind.
    ioloop.close();
    result
}

/// Sets a timer that writes down at which second it fires.
fn note_after(ioloop: &IOLoop, clock: &VirtualClock, log: &Log<u64>, delay: Duration) {
    let (time, noted) = (clock.clone(), log.clone());
    ioloop.call_later(delay, move || noted.push(time.elapsed().as_secs()));
}

#[test]
fn limit_of_thirty_seconds_is_over_when_thirty_seconds_are() {
    within(async |_, clock| {
        let answer = spawn(timeout(s(30), pending::<()>()));
        clock.advance(s(29)).await;
        assert!(!answer.is_finished());
        clock.advance(s(1)).await;
        assert!(answer.is_finished());
        assert!(answer.await.unwrap().unwrap_err().is_timed_out());
    });
}

#[test]
fn future_that_is_done_in_time_beats_its_limit() {
    within(async |_, clock| {
        let answer = spawn(timeout(s(30), async {
            sleep(s(29)).await;
            "done"
        }));
        clock.advance(s(60)).await;
        assert_eq!(answer.await.unwrap().unwrap(), "done");
    });
}

#[test]
fn timers_fire_in_order_each_at_its_own_instant() {
    within(async |ioloop, clock| {
        let log = Log::new();
        for delay in [3, 1, 4, 1, 5, 9, 2, 6] {
            note_after(ioloop, clock, &log, s(delay));
        }
        clock.advance(s(5)).await;
        assert_eq!(log.take(), [1, 1, 2, 3, 4, 5]);
        assert_eq!(clock.elapsed(), s(5));
        clock.advance(s(3)).await;
        assert_eq!(log.take(), [6]);
    });
}

#[test]
fn timer_set_by_a_timer_fires_within_the_same_advance() {
    fn again(ioloop: &IOLoop, clock: VirtualClock, log: Log<Duration>) {
        let next = ioloop.clone();
        ioloop.call_later(s(1), move || {
            log.push(clock.elapsed());
            again(&next, clock, log);
        });
    }
    within(async |ioloop, clock| {
        let log = Log::new();
        again(ioloop, clock.clone(), log.clone());
        clock.advance(s(3)).await;
        assert_eq!(log.take(), [s(1), s(2), s(3)]);
    });
}

#[test]
fn advance_from_outside_of_the_loop_runs_it() {
    let clock = VirtualClock::new();
    let ioloop = loop_with(&clock);
    let task = ioloop.spawn(async { sleep(s(10)).await });
    ioloop.run_sync(clock.advance(s(9)));
    assert!(!task.is_finished());
    ioloop.run_sync(clock.advance(s(1)));
    assert!(task.is_finished());
}

#[test]
fn consequences_at_the_last_instant_have_run_when_the_advance_completes() {
    within(async |_, clock| {
        let task = spawn(async {
            sleep(s(5)).await;
            turns(20).await;
            spawn(turns(20)).await.unwrap();
            sleep(Duration::ZERO).await;
        });
        clock.advance(s(5)).await;
        assert!(task.is_finished());
        assert_eq!(clock.elapsed(), s(5));
    });
}

#[test]
fn advance_of_zero_lets_everything_run_that_can() {
    within(async |ioloop, clock| {
        let (ours, mut theirs) = pair();
        let reader = spawn(read_byte(ours));
        spawn(async move {
            turns(10).await;
            theirs.write_all(b"x").unwrap();
        });
        let log = Log::new();
        note_after(ioloop, clock, &log, Duration::ZERO);
        note_after(ioloop, clock, &log, Duration::from_nanos(1));
        clock.advance(Duration::ZERO).await;
        assert!(reader.is_finished());
        assert_eq!(log.len(), 1);
        assert_eq!(clock.elapsed(), Duration::ZERO);
    });
}

async fn read_byte(end: UnixStream) -> u8 {
    let source = Source::new(end).unwrap();
    loop {
        source.readable().await;
        let mut byte = [0];
        match source.get_ref().read_exact(&mut byte) {
            Ok(()) => return byte[0],
            Err(_) => source.clear(Ready::READABLE),
        }
    }
}

#[test]
fn input_that_a_timer_sets_in_motion_is_handled_before_time_goes_on() {
    within(async |ioloop, clock| {
        let (ours, mut theirs) = pair();
        ioloop.call_later(s(1), move || theirs.write_all(b"x").unwrap());
        let (log, time) = (Log::new(), clock.clone());
        let noted = log.clone();
        spawn(async move {
            read_byte(ours).await;
            noted.push(time.elapsed());
            sleep(s(1)).await;
            noted.push(time.elapsed());
        });
        clock.advance(s(10)).await;
        assert_eq!(log.take(), [s(1), s(2)]);
    });
}

#[test]
fn deadlines_are_instants_of_the_loops_own_time() {
    within(async |ioloop, clock| {
        let (begin, log) = (ioloop.time(), Log::new());
        let (time, noted) = (clock.clone(), log.clone());
        ioloop.call_at(begin + s(2), move || noted.push(time.elapsed()));
        let (time, noted) = (clock.clone(), log.clone());
        spawn(async move {
            sleep_until(begin + s(3)).await;
            noted.push(time.elapsed());
        });
        clock.advance(s(4)).await;
        assert_eq!(log.take(), [s(2), s(3)]);
        assert_eq!(ioloop.time() - begin, s(4));
        assert_eq!(ioloop.turn_time(), ioloop.time());
    });
}

#[test]
fn periodic_callback_is_called_in_each_of_its_slots() {
    within(async |_, clock| {
        let log = Log::new();
        let (time, calls) = (clock.clone(), log.clone());
        let periodic = PeriodicCallback::new(s(60), move || calls.push(time.elapsed().as_secs()));
        periodic.start();
        clock.advance(s(239)).await;
        assert_eq!(log.take(), [60, 120, 180]);
        clock.skip(s(121));
        clock.advance(s(60)).await;
        assert_eq!(log.take(), [360, 420], "late once, then in phase; the slots skipped are missed");
    });
}

#[test]
fn interval_ticks_in_each_of_its_slots() {
    within(async |ioloop, clock| {
        let (begin, log) = (ioloop.time(), Log::new());
        let noted = log.clone();
        let task = spawn(async move {
            let mut ticks = interval(s(10));
            loop {
                noted.push((ticks.tick().await - begin).as_secs());
            }
        });
        clock.advance(s(35)).await;
        assert_eq!(log.take(), [10, 20, 30]);
        task.abort();
    });
}

#[test]
fn time_that_is_skipped_makes_timers_late_and_keeps_their_order() {
    within(async |ioloop, clock| {
        let log = Log::new();
        for delay in [3, 1, 2] {
            let (time, noted) = (clock.clone(), log.clone());
            ioloop.call_later(s(delay), move || noted.push((delay, time.elapsed().as_secs())));
        }
        clock.skip(s(10));
        assert_eq!(log.len(), 0, "the loop has not run");
        turns(1).await;
        assert_eq!(log.take(), [(1, 10), (2, 10), (3, 10)]);
    });
}

#[test]
fn callback_that_takes_long_under_an_advance_delays_the_timers_behind_it() {
    within(async |ioloop, clock| {
        let log = Log::new();
        let busy = clock.clone();
        ioloop.call_later(s(1), move || busy.skip(s(5)));
        note_after(ioloop, clock, &log, s(2));
        note_after(ioloop, clock, &log, s(8));
        clock.advance(s(10)).await;
        assert_eq!(log.take(), [6, 8]);
        assert_eq!(clock.elapsed(), s(10), "the advance counts from its call");
    });
}

#[test]
fn result_of_another_thread_takes_no_time() {
    let clock = VirtualClock::new();
    let ioloop = loop_with_threads(&clock);
    let limited = async { timeout(Duration::from_nanos(1), run_in_executor(|| 6 * 7)).await };
    assert_eq!(ioloop.run_sync(limited).unwrap().unwrap(), 42);
    assert_eq!(clock.elapsed(), Duration::ZERO);
}

#[test]
fn time_that_advances_by_itself_jumps_from_timer_to_timer() {
    let clock = VirtualClock::auto_advancing();
    let ioloop = loop_with(&clock);
    let log = Log::new();
    note_after(&ioloop, &clock, &log, s(7200));
    note_after(&ioloop, &clock, &log, s(3600));
    ioloop.run_sync(async { sleep(s(86_400)).await });
    assert_eq!(log.take(), [3600, 7200]);
    assert_eq!(clock.elapsed(), s(86_400));
}

#[test]
fn time_that_advances_by_itself_lets_events_go_first() {
    let clock = VirtualClock::auto_advancing();
    let ioloop = loop_with(&clock);
    ioloop.run_sync(async {
        let (ours, mut theirs) = pair();
        let reader = spawn(timeout(Duration::from_nanos(1), read_byte(ours)));
        spawn(async move {
            turns(10).await;
            theirs.write_all(b"x").unwrap();
        });
        assert_eq!(reader.await.unwrap().unwrap(), b'x');
        assert_eq!(clock.elapsed(), Duration::ZERO);
    });
}

#[test]
fn time_that_advances_by_itself_waits_for_other_threads_when_there_is_no_timer() {
    let clock = VirtualClock::auto_advancing();
    let ioloop = loop_with_threads(&clock);
    assert_eq!(ioloop.run_sync(async { run_in_executor(|| 6 * 7).await }).unwrap(), 42);
    assert_eq!(clock.elapsed(), Duration::ZERO);
}

#[test]
fn time_that_advances_by_itself_waits_for_the_jobs_of_the_loop() {
    let clock = VirtualClock::auto_advancing();
    let ioloop = loop_with_threads(&clock);
    ioloop.run_sync(async {
        // It takes long enough for the loop to have nothing else to do.
        let job = run_in_executor(|| std::thread::sleep(Duration::from_millis(20)));
        timeout(Duration::from_nanos(1), job).await.unwrap().unwrap();
        assert_eq!(clock.elapsed(), Duration::ZERO);

        // Time goes on behind them.
        for _ in 0..10 {
            run_in_executor(|| {}).await.unwrap();
            sleep(s(60)).await;
        }
        assert_eq!(clock.elapsed(), s(600));
    });
}

#[test]
fn advance_of_a_clock_that_advances_by_itself_ends_between_two_timers() {
    let clock = VirtualClock::auto_advancing();
    let ioloop = loop_with(&clock);
    let log = Log::new();
    note_after(&ioloop, &clock, &log, s(1));
    note_after(&ioloop, &clock, &log, s(3));
    ioloop.run_sync(clock.advance(s(2)));
    assert_eq!((log.take(), clock.elapsed()), (vec![1], s(2)));
}

#[test]
fn several_advances_complete_each_at_its_own_end() {
    within(async |_, clock| {
        let log = Log::new();
        let tasks: Vec<_> = [(3, "c"), (1, "a"), (2, "b"), (3, "d")]
            .into_iter()
            .map(|(seconds, name)| {
                let (advance, time, noted) = (clock.advance(s(seconds)), clock.clone(), log.clone());
                spawn(async move {
                    advance.await;
                    noted.push((name, time.elapsed().as_secs()));
                    // It has its way before the next one completes, also when that ends at the same instant.
                    turns(5).await;
                    noted.push((name, time.elapsed().as_secs()));
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        let expected = [("a", 1), ("a", 1), ("b", 2), ("b", 2), ("c", 3), ("c", 3), ("d", 3), ("d", 3)];
        assert_eq!(log.take(), expected);
    });
}

#[test]
fn advance_counts_from_its_call_and_time_skipped_meanwhile_is_part_of_it() {
    within(async |_, clock| {
        let advance = clock.advance(s(10));
        clock.skip(s(4));
        advance.await;
        assert_eq!(clock.elapsed(), s(10));
        let advance = clock.advance(s(1));
        clock.skip(s(4));
        advance.await;
        assert_eq!(clock.elapsed(), s(14), "time does not go back");
    });
}

#[test]
fn advance_moves_no_time_before_it_is_awaited() {
    within(async |_, clock| {
        let advance = clock.advance(s(10));
        clock.advance(s(1)).await;
        assert_eq!(clock.elapsed(), s(1));
        advance.await;
        assert_eq!(clock.elapsed(), s(10));
    });
}

#[test]
fn advances_of_one_task_complete_in_the_order_of_their_ends() {
    within(async |_, clock| {
        let named = [(3, "c"), (1, "a"), (2, "b"), (3, "d")].map(|(seconds, name)| {
            let advance = clock.advance(s(seconds));
            advance.map(move |()| name)
        });
        let all: Vec<_> = named.into_iter().collect::<FuturesUnordered<_>>().collect().await;
        assert_eq!(all, ["a", "b", "c", "d"]);
    });
}

/// A timer, and what it sets when it fires: in seconds.
type Chain = (u64, Option<u64>);

/// What fires until `end`, in order: at which second, and the timer's place in the list.
fn fired_until(end: u64, timers: &[Chain]) -> Vec<(u64, usize)> {
    let first = timers.iter().enumerate().map(|(id, (delay, then))| ((*delay, id), (id, *then)));
    let mut pending: BTreeMap<_, _> = first.collect();
    let (mut fired, mut sequence) = (Vec::new(), timers.len());
    while let Some(((at, _), (id, then))) = pending.pop_first().filter(|((at, _), _)| *at <= end) {
        fired.push((at, id));
        if let Some(delay) = then {
            pending.insert((at + delay, sequence), (id, None));
            sequence += 1;
        }
    }
    fired
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// In whatever steps time is advanced, everything fires in the order and at the instants of the model.
    #[test]
    fn timers_and_those_they_set_fire_as_in_the_model(
        timers in prop::collection::vec((0u64..30, prop::option::of(0u64..30)), 0..30),
        steps in prop::collection::vec(0u64..20, 1..8),
    ) {
        let clock = VirtualClock::new();
        let (ioloop, log) = (loop_with(&clock), Log::new());
        for (id, (delay, then)) in timers.iter().copied().enumerate() {
            let (set, time, noted) = (ioloop.clone(), clock.clone(), log.clone());
            ioloop.call_later(s(delay), move || {
                noted.push((time.elapsed().as_secs(), id));
                if let Some(delay) = then {
                    set.call_later(s(delay), move || noted.push((time.elapsed().as_secs(), id)));
                }
            });
        }
        let (mut end, mut fired) = (0, Vec::new());
        for step in steps {
            end += step;
            ioloop.run_sync(clock.advance(s(step)));
            fired.extend(log.take());
            prop_assert_eq!(&fired, &fired_until(end, &timers));
            prop_assert_eq!(clock.elapsed(), s(end));
        }
        ioloop.close();
    }
}
