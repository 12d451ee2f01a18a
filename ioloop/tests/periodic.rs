//! `PeriodicCallback`.

mod common;

use std::{cell::RefCell, rc::Rc, time::Duration};

use common::{Log, World, drop_flag, virtual_loop};
use ioloop::{IOLoop, PeriodicCallback, WorkKind, sleep};

const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Runs `body` with the loop as the current one, which is where a `PeriodicCallback` goes.
fn within<T>(body: impl AsyncFnOnce(&IOLoop, &Rc<World>) -> T) -> T {
    let (ioloop, world) = virtual_loop();
    ioloop.run_sync(body(&ioloop, &world))
}

#[test]
fn slots_missed_by_long_calls_are_skipped_and_the_phase_is_kept() {
    // The durations and times of Tornado's `test_overrun`, counted from the start.
    let durations = [9, 9, 10, 11, 20, 20, 35, 35, 0, 0, 0];
    let expected = [10, 20, 30, 50, 70, 100, 130, 170, 210, 220, 230];
    within(async |_, world| {
        let log = Log::new();
        let (time, calls, mut left) = (Rc::clone(world), log.clone(), durations.into_iter());
        let periodic = PeriodicCallback::new(s(10), move || {
            calls.push(time.elapsed().as_secs());
            time.skip(s(left.next().unwrap_or(0)));
        });
        periodic.start();
        sleep(s(235)).await;
        assert_eq!(log.take(), expected);
    });
}

#[test]
fn nothing_is_called_before_start_nor_after_stop() {
    within(async |_, _| {
        let log = Log::new();
        let calls = log.clone();
        let periodic = PeriodicCallback::new(s(1), move || calls.push(()));
        assert!(!periodic.is_running());
        sleep(s(5)).await;
        assert_eq!(log.len(), 0);
        periodic.start();
        assert!(periodic.is_running());
        sleep(Duration::from_millis(2500)).await;
        assert_eq!(log.len(), 2);
        periodic.stop();
        assert!(!periodic.is_running());
        sleep(s(5)).await;
        assert_eq!(log.len(), 2);
    });
}

#[test]
fn starting_again_begins_a_new_phase_with_a_single_schedule() {
    within(async |_, world| {
        let log = Log::new();
        let (calls, time) = (log.clone(), Rc::clone(world));
        let periodic = PeriodicCallback::new(s(10), move || calls.push(time.elapsed().as_secs()));
        periodic.start();
        sleep(s(13)).await;
        periodic.start();
        sleep(s(25)).await;
        assert_eq!(log.take(), [10, 23, 33]);
    });
}

#[test]
fn dropping_it_stops_it_and_drops_the_callback() {
    within(async |_, _| {
        let (dropped, guard) = drop_flag();
        let periodic = PeriodicCallback::new(s(1), move || {
            let _guard = &guard;
            unreachable!("dropped before its first slot");
        });
        periodic.start();
        drop(periodic);
        assert!(dropped.get());
        sleep(s(3)).await;
    });
}

type Shared = Rc<RefCell<Option<PeriodicCallback>>>;

/// A periodic callback that is handed itself.
fn with_itself(mut callback: impl FnMut(&Shared) + 'static) -> Shared {
    let shared = Shared::default();
    let own = Rc::downgrade(&shared);
    *shared.borrow_mut() = Some(PeriodicCallback::new(s(1), move || {
        callback(&own.upgrade().expect("kept by the test"));
    }));
    shared.borrow().as_ref().unwrap().start();
    shared
}

#[test]
fn callback_may_stop_its_own_schedule() {
    within(async |_, _| {
        let log = Log::new();
        let calls = log.clone();
        let _kept = with_itself(move |own| {
            calls.push(());
            own.borrow().as_ref().unwrap().stop();
        });
        sleep(s(5)).await;
        assert_eq!(log.len(), 1);
    });
}

#[test]
fn callback_may_drop_its_own_schedule() {
    within(async |_, _| {
        let log = Log::new();
        let (dropped, guard) = drop_flag();
        let calls = log.clone();
        let _kept = with_itself(move |own| {
            let _guard = &guard;
            calls.push(());
            let periodic = own.take();
            drop(periodic);
        });
        sleep(s(5)).await;
        assert_eq!(log.len(), 1);
        assert!(dropped.get());
    });
}

#[test]
fn callback_may_start_its_own_schedule_anew_without_doubling_it() {
    within(async |_, world| {
        let log = Log::new();
        let (calls, time) = (log.clone(), Rc::clone(world));
        let kept = with_itself(move |own| {
            calls.push(time.elapsed().as_millis());
            time.skip(Duration::from_millis(300));
            own.borrow().as_ref().unwrap().start();
        });
        sleep(s(4)).await;
        kept.borrow().as_ref().unwrap().stop();
        assert_eq!(log.take(), [1000, 2300, 3600]);
    });
}

#[test]
fn panic_is_reported_with_the_line_that_made_it_and_the_schedule_goes_on() {
    within(async |ioloop, _| {
        let reports = Log::new();
        let noted = reports.clone();
        ioloop.on_callback_exception(move |report| noted.push(report.clone()));
        let line = line!() + 1;
        let periodic = PeriodicCallback::new(s(1), || panic!("every time"));
        periodic.start();
        sleep(Duration::from_millis(3500)).await;
        let reports = reports.take();
        assert_eq!(reports.len(), 3);
        for report in reports {
            assert_eq!(report.kind(), WorkKind::Timer);
            assert_eq!((report.location().file(), report.location().line()), (file!(), line));
        }
    });
}

#[test]
fn asynchronous_callback_is_called_again_only_after_it_completed() {
    // Each call takes until these seconds after its start; the slots in between are skipped, the phase is kept.
    within(async |_, world| {
        let log = Log::new();
        let (time, calls, mut left) = (Rc::clone(world), log.clone(), [4, 15, 10, 25].into_iter());
        let periodic = PeriodicCallback::new_async(s(10), move || {
            let (time, calls, takes) = (Rc::clone(&time), calls.clone(), left.next().unwrap_or(1));
            async move {
                calls.push(("begin", time.elapsed().as_secs()));
                sleep(s(takes)).await;
                calls.push(("end", time.elapsed().as_secs()));
            }
        });
        periodic.start();
        sleep(s(115)).await;
        let begins: Vec<u64> = log.take().chunks(2).map(|pair| pair[0].1).collect();
        assert_eq!(begins, [10, 20, 40, 60, 90, 100, 110]);
    });
}

#[test]
fn asynchronous_callback_under_way_ends_on_its_own_when_its_schedule_is_dropped_or_stopped() {
    for drop_it in [false, true] {
        within(async |ioloop, _| {
            let log = Log::new();
            let calls = log.clone();
            let periodic = PeriodicCallback::new_async(s(10), move || {
                let calls = calls.clone();
                async move {
                    calls.push("begin");
                    sleep(s(5)).await;
                    calls.push("end");
                }
            });
            periodic.start();
            sleep(s(12)).await;
            let mut periodic = Some(periodic);
            if drop_it {
                periodic = None;
            } else {
                periodic.as_ref().unwrap().stop();
            }
            sleep(s(100)).await;
            assert_eq!(log.take(), ["begin", "end"]);
            assert_eq!(ioloop.task_count(), 0);
            assert!(periodic.is_none_or(|periodic| !periodic.is_running()));
        });
    }
}

#[test]
fn panic_in_an_asynchronous_callback_is_reported_with_the_line_that_made_it_and_the_schedule_goes_on() {
    within(async |ioloop, _| {
        let reports = Log::new();
        let noted = reports.clone();
        ioloop.on_callback_exception(move |report| noted.push((report.kind(), report.location().line())));
        let line = line!() + 1;
        let periodic = PeriodicCallback::new_async(s(1), || async {
            sleep(Duration::from_millis(100)).await;
            panic!("every time")
        });
        periodic.start();
        sleep(Duration::from_millis(3500)).await;
        assert_eq!(reports.take(), [(WorkKind::Task, line); 3]);
    });
}

#[test]
fn asynchronous_callback_may_start_its_own_schedule_anew_without_doubling_it() {
    within(async |_, world| {
        let log = Log::new();
        let (calls, time) = (log.clone(), Rc::clone(world));
        let shared = Shared::default();
        let own = Rc::downgrade(&shared);
        *shared.borrow_mut() = Some(PeriodicCallback::new_async(s(10), move || {
            let (calls, time, own) = (calls.clone(), Rc::clone(&time), own.upgrade().unwrap());
            async move {
                calls.push(time.elapsed().as_secs());
                sleep(s(3)).await;
                own.borrow().as_ref().unwrap().start();
            }
        }));
        shared.borrow().as_ref().unwrap().start();
        sleep(s(40)).await;
        assert_eq!(log.take(), [10, 23, 36]);
    });
}

#[test]
fn loop_closed_while_an_asynchronous_callback_is_under_way_drops_it() {
    let (ioloop, _) = virtual_loop();
    let (dropped, guard) = drop_flag();
    let guard = RefCell::new(Some(guard));
    let periodic = ioloop.run_sync(async {
        let periodic = PeriodicCallback::new_async(s(1), move || {
            let guard = guard.take();
            async move {
                let _guard = guard;
                std::future::pending().await
            }
        });
        periodic.start();
        sleep(s(2)).await;
        periodic
    });
    assert!(!dropped.get());
    ioloop.close();
    assert!(dropped.get());
    assert_eq!(ioloop.task_count(), 0);
    drop(periodic);
}

#[test]
fn jitter_keeps_every_step_within_its_fraction_and_makes_steps_differ() {
    within(async |_, world| {
        let log = Log::new();
        let (time, calls) = (Rc::clone(world), log.clone());
        let periodic = PeriodicCallback::new(s(10), move || calls.push(time.elapsed())).with_jitter(0.5);
        periodic.start();
        sleep(s(1000)).await;
        let times = log.take();
        assert!((79..=133).contains(&times.len()), "{} calls", times.len());
        let steps: Vec<Duration> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert!(steps.iter().all(|step| (s(10) * 3 / 4..=s(10) * 5 / 4).contains(step)), "{steps:?}");
        assert!(steps.iter().any(|step| *step < s(10)) && steps.iter().any(|step| *step > s(10)), "{steps:?}");
    });
}

#[test]
#[should_panic(expected = "fraction from 0 to 1")]
fn jitter_beyond_one_is_refused() {
    let _ = PeriodicCallback::new(s(1), || {}).with_jitter(1.5);
}

#[test]
#[should_panic(expected = "interval above zero")]
fn interval_of_zero_is_refused() {
    let _ = PeriodicCallback::new(Duration::ZERO, || {});
}

#[test]
fn interval_beyond_all_time_is_accepted_and_never_comes() {
    within(async |_, _| {
        let periodic = PeriodicCallback::new(Duration::MAX, || unreachable!("for ever is not over"));
        periodic.start();
        assert!(periodic.is_running());
        sleep(s(1_000_000)).await;
    });
}
