//! `start`, `stop`, `run_sync`, `try_run_sync`, and which loop is the current one.

mod common;

use std::{
    cell::{Cell, RefCell},
    future::{Future, pending},
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    rc::Rc,
    task::Waker,
    time::Duration,
};

use common::{Log, OnDrop, new_loop, run, start, turns, virtual_loop, waker};
use ioloop::{Error, IOLoop, sleep, spawn};

#[test]
fn future_may_borrow_from_its_surroundings() {
    let (name, mut seen) = (String::from("borrowed"), Vec::new());
    let length = new_loop().run_sync(async {
        turns(2).await;
        seen.push(name.as_str());
        name.len()
    });
    assert_eq!((length, seen), (8, vec!["borrowed"]));
}

#[test]
fn future_that_is_ready_needs_no_turn() {
    let (ioloop, world) = virtual_loop();
    assert_eq!(ioloop.run_sync(async { 1 }), 1);
    assert_eq!(world.turn(), 0);
}

#[test]
fn time_limit_ends_it_exactly_then() {
    let (ioloop, world) = virtual_loop();
    let result = ioloop.try_run_sync(Some(Duration::from_millis(50)), pending::<()>());
    assert!(result.unwrap_err().is_timed_out());
    assert_eq!(world.elapsed(), Duration::from_millis(50));
}

#[test]
fn time_limit_does_not_touch_a_future_that_keeps_it() {
    let (ioloop, _world) = virtual_loop();
    let result = ioloop.try_run_sync(Some(Duration::from_millis(50)), async {
        sleep(Duration::from_millis(49)).await;
        "in time"
    });
    assert_eq!(result.unwrap(), "in time");
}

#[test]
fn time_limit_also_ends_a_future_that_never_rests() {
    let (ioloop, world) = virtual_loop();
    let time = Rc::clone(&world);
    let result = ioloop.try_run_sync(Some(Duration::from_millis(50)), async move {
        loop {
            time.skip(Duration::from_millis(1));
            turns(1).await;
        }
    });
    let result: Result<(), Error> = result;
    assert!(result.unwrap_err().is_timed_out());
    assert!(world.elapsed() <= Duration::from_millis(52));
}

#[test]
fn stop_ends_it_with_an_error_and_the_loop_stays_usable() {
    let ioloop = new_loop();
    let stop = ioloop.clone();
    ioloop.add_callback(move || stop.stop());
    let result = ioloop.try_run_sync(None, pending::<()>());
    assert!(matches!(result, Err(Error::Stopped)));
    assert_eq!(run(&ioloop, async { turns(2).await }), ());
}

#[test]
#[should_panic(expected = "stopped inside run_sync")]
fn run_sync_panics_when_it_is_stopped() {
    let ioloop = new_loop();
    ioloop.run_sync(async {
        IOLoop::current().stop();
        pending::<()>().await;
    });
}

#[test]
fn future_that_stops_the_loop_and_is_done_gives_its_result() {
    let ioloop = new_loop();
    let result = ioloop.try_run_sync(None, async {
        IOLoop::current().stop();
        5
    });
    assert_eq!(result.unwrap(), 5);
}

#[test]
fn panic_of_the_future_comes_through_and_leaves_the_loop_usable() {
    let (ioloop, world) = virtual_loop();
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        ioloop.try_run_sync(Some(Duration::from_secs(10)), async {
            turns(1).await;
            panic!("in the future");
        })
    }));
    assert!(panicked.is_err());
    let before = world.turn();
    ioloop.run_sync(sleep_on(&ioloop, Duration::from_secs(60)));
    assert_eq!(world.turn(), before + 1, "nothing of the first run is left to wake the loop");
}

async fn sleep_on(ioloop: &IOLoop, duration: Duration) {
    ioloop::sleep_until(ioloop.time() + duration).await;
}

#[test]
fn tasks_and_timers_left_behind_go_on_in_the_next_run() {
    let ioloop = new_loop();
    let log = Log::new();
    let noted = log.clone();
    run(&ioloop, async {
        spawn(async move {
            noted.push("first");
            turns(5).await;
            noted.push("second");
        });
        turns(2).await;
    });
    assert_eq!(log.take(), ["first"]);
    run(&ioloop, turns(10));
    assert_eq!(log.take(), ["second"]);
}

#[test]
fn stop_before_start_makes_it_return_at_once_and_once_only() {
    let (ioloop, world) = virtual_loop();
    ioloop.stop();
    ioloop.start();
    assert_eq!(world.turn(), 0);
    let stop = ioloop.clone();
    ioloop.call_later(Duration::from_secs(1), move || stop.stop());
    ioloop.start();
    assert_eq!(world.turn(), 1);
}

#[test]
fn stop_from_a_task_a_timer_and_a_callback_each_end_the_run() {
    let ioloop = new_loop();
    let stop = ioloop.clone();
    ioloop.spawn_detached(async move { stop.stop() });
    start(&ioloop);
    let stop = ioloop.clone();
    ioloop.call_later(Duration::ZERO, move || stop.stop());
    start(&ioloop);
    let stop = ioloop.clone();
    ioloop.add_callback(move || stop.stop());
    start(&ioloop);
}

#[test]
fn starting_a_running_loop_panics_there_and_the_loop_goes_on() {
    let ioloop = new_loop();
    let reports = Log::new();
    let noted = reports.clone();
    ioloop.on_callback_exception(move |report| noted.push(report.message().to_owned()));
    let (again, stop) = (ioloop.clone(), ioloop.clone());
    ioloop.add_callback(move || again.start());
    ioloop.call_later(Duration::from_millis(1), move || stop.stop());
    start(&ioloop);
    assert_eq!(reports.take(), ["the loop is already running"]);
}

#[test]
fn run_sync_inside_run_sync_panics() {
    let ioloop = new_loop();
    let nested = catch_unwind(AssertUnwindSafe(|| {
        ioloop.run_sync(async { IOLoop::current().run_sync(async {}) });
    }));
    assert!(nested.is_err());
    assert_eq!(run(&ioloop, async { 1 }), 1);
}

#[test]
fn another_loop_may_run_inside_and_each_is_current_in_its_turn() {
    let (outer, inner) = (new_loop(), new_loop());
    let log = Log::new();
    let noted = log.clone();
    run(&outer, async {
        let first = noted.clone();
        spawn(async move { first.push("outer") });
        let second = noted.clone();
        run(&inner, async {
            spawn(async move { second.push("inner") }).await.unwrap();
        });
        let third = noted.clone();
        spawn(async move { third.push("outer again") }).await.unwrap();
    });
    assert_eq!(log.take(), ["inner", "outer", "outer again"]);
    assert_eq!((outer.task_count(), inner.task_count()), (0, 0));
}

#[test]
fn task_of_an_outer_loop_is_woken_from_within_an_inner_one() {
    let (outer, inner) = (new_loop(), new_loop());
    run(&outer, async {
        let own = waker().await;
        let mut polls = 0;
        std::future::poll_fn(|_| {
            polls += 1;
            if polls == 2 {
                return std::task::Poll::Ready(());
            }
            let own = own.clone();
            run(&inner, async move { own.wake() });
            std::task::Poll::Pending
        })
        .await;
    });
}

#[test]
fn loop_that_ran_on_a_thread_without_one_does_not_become_its_own() {
    std::thread::spawn(|| {
        let own = new_loop();
        run(&own, async {});
        IOLoop::current().spawn_detached(pending());
        assert_eq!(own.task_count(), 0);
        assert_eq!(IOLoop::current().task_count(), 1);
    })
    .join()
    .unwrap();
}

#[test]
fn future_given_up_at_the_limit_is_dropped_while_its_loop_is_current() {
    let (ioloop, _world) = virtual_loop();
    let result = ioloop.try_run_sync(Some(Duration::from_millis(1)), async {
        let _guard = OnDrop(|| IOLoop::current().spawn_detached(async {}));
        pending::<()>().await;
    });
    assert!(result.is_err());
    assert_eq!(ioloop.task_count(), 1);
}

#[test]
fn waker_of_a_future_given_up_does_not_keep_a_later_start_from_sleeping() {
    let (ioloop, world) = virtual_loop();
    let kept: Rc<RefCell<Option<Waker>>> = Rc::default();
    let keep = Rc::clone(&kept);
    let result = ioloop.try_run_sync(Some(Duration::from_millis(1)), async move {
        *keep.borrow_mut() = Some(waker().await);
        pending::<()>().await;
    });
    assert!(result.is_err());
    let stop = ioloop.clone();
    ioloop.call_later(Duration::from_secs(1), move || kept.take().unwrap().wake());
    ioloop.call_later(Duration::from_secs(2), move || stop.stop());
    let before = world.turn();
    ioloop.start();
    assert!(world.turn() - before <= 4, "{} turns", world.turn() - before);
}

#[test]
fn stop_while_the_future_is_ready_does_not_keep_a_later_start_from_sleeping() {
    let (ioloop, world) = virtual_loop();
    let result = ioloop.try_run_sync(None, async {
        IOLoop::current().stop();
        let own = waker().await;
        own.wake();
        pending::<()>().await;
    });
    assert!(result.is_err());
    let stop = ioloop.clone();
    ioloop.call_later(Duration::from_secs(2), move || stop.stop());
    let before = world.turn();
    ioloop.start();
    assert!(world.turn() - before <= 3, "{} turns", world.turn() - before);
}

#[test]
fn turn_time_stands_still_within_a_turn_and_follows_the_clock_from_turn_to_turn() {
    let (ioloop, world) = virtual_loop();
    ioloop.run_sync(async {
        turns(1).await;
        let before = ioloop.turn_time();
        world.skip(Duration::from_millis(5));
        assert_eq!(ioloop.turn_time(), before);
        assert_eq!(ioloop.time(), before + Duration::from_millis(5));
        turns(1).await;
        assert_eq!(ioloop.turn_time(), before + Duration::from_millis(5));
    });
}

#[test]
fn pinned_future_given_up_can_be_run_on() {
    let ioloop = new_loop();
    let steps = Cell::new(0);
    let mut future = pin!(async {
        for _ in 0..3 {
            turns(1).await;
            steps.set(steps.get() + 1);
            if steps.get() == 1 {
                IOLoop::current().stop();
                turns(1).await;
            }
        }
        "done"
    });
    assert!(ioloop.try_run_sync(None, future.as_mut()).is_err());
    assert_eq!(steps.get(), 1);
    assert_eq!(run(&ioloop, future), "done");
}

#[test]
fn output_needs_no_bounds() {
    fn nothing_but_a_future<F: Future>(ioloop: &IOLoop, future: F) -> F::Output {
        ioloop.run_sync(future)
    }
    let value = Rc::new(RefCell::new(3));
    assert_eq!(*nothing_but_a_future(&new_loop(), async { &value }).borrow(), 3);
}
