//! The test kit: how a test is run, and what makes it fail.

#[path = "util/failure.rs"]
mod failure;

use std::{
    future::pending,
    panic::{AssertUnwindSafe, catch_unwind},
    rc::Rc,
    time::Duration,
};

use failure::failure;
use web::{
    Application, Exchange, IOLoop, PeriodicCallback, interval, run_in_executor, sleep, spawn,
    testing::{self, Runner, TestClient},
    yield_now,
};

const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

async fn never(exchange: &mut Exchange) -> web::Result<()> {
    exchange.while_connected(pending::<()>()).await
}

/// A test without patience.
fn impatient() -> Runner {
    Runner::new().patience(Duration::from_millis(100))
}

#[test]
fn a_test_that_waits_for_ever_fails_and_says_what_for() {
    let text = failure(|| {
        impatient().run(async {
            let client = TestClient::new(Application::new().get("/never", never));
            let _beside = client.get("/never?beside").start();
            client.get("/never").send().await;
        });
    });
    assert!(text.starts_with("the test waits for ever: nothing came to it for 100ms."), "{text}");
    assert!(text.contains("\n  waiting for the answer to GET /never (at web/tests/testing_runner.rs:"), "{text}");
    assert!(text.contains("\n  waiting for the answer to GET /never?beside (at"), "{text}");
    let text = failure(|| {
        impatient().run(async {
            let client = TestClient::new(Application::new().get("/", never).post("/", never)).capacity(100);
            let (mut upload, _answer) = client.post("/").upload();
            upload.write([0; 10_000]).await;
        });
    });
    assert!(text.contains("waiting for the application to read the body of POST /"), "{text}");
}

#[test]
fn work_that_takes_long_is_no_waiting() {
    impatient().run(async {
        let task = spawn(async {
            for _ in 0..3 {
                // Computes.
                std::thread::sleep(Duration::from_millis(150));
                yield_now().await;
            }
        });
        task.await.unwrap();
    });
}

/// The timers of an application keep a clock that advances by itself busy for ever.
#[test]
fn a_test_that_waits_for_ever_fails_while_timers_go_on() {
    let text = failure(|| {
        impatient().run(async {
            let ticks = PeriodicCallback::new(s(1), || {});
            ticks.start();
            let _task = spawn(async {
                let mut ticks = interval(s(1));
                loop {
                    ticks.tick().await;
                }
            });
            pending::<()>().await;
        });
    });
    assert!(text.starts_with("the test waits for ever"), "{text}");
}

#[test]
fn a_test_on_a_clock_that_stands_still_fails_instead_of_hanging() {
    let text = failure(|| impatient().auto_advance(false).run(async { sleep(s(1)).await }));
    assert!(text.contains("Its clock shows 0ns; 0 tasks and 1 timers are left."), "{text}");
}

#[test]
fn a_panic_behind_the_back_of_a_test_fails_it() {
    let text = failure(|| {
        testing::run(async {
            IOLoop::current().add_callback(|| panic!("first"));
            testing::settle().await;
        });
    });
    assert!(text.starts_with("behind the back of the test, panic in the callback registered at"), "{text}");
    assert!(text.ends_with("first"), "{text}");
    // It is why a test waits for ever, most of the time.
    let text = failure(|| {
        impatient().run(async {
            IOLoop::current().spawn_detached(async { panic!("second") });
            pending::<()>().await;
        });
    });
    assert!(text.contains("\nBefore that, panic in the task registered at"), "{text}");
    testing::run(async {
        IOLoop::current().add_callback(|| panic!("third"));
        testing::settle().await;
        assert_eq!(testing::take_panics().len(), 1);
    });
}

#[test]
fn what_a_test_leaves_behind_is_dropped_with_it() {
    let kept = Rc::new(());
    for fails in [false, true] {
        let held = Rc::clone(&kept);
        let test = || {
            testing::run(async move {
                let ioloop = IOLoop::current();
                IOLoop::current().spawn_detached(async move {
                    let _held = (held, ioloop);
                    pending::<()>().await;
                });
                assert!(!fails, "on purpose");
            });
        };
        assert_eq!(catch_unwind(AssertUnwindSafe(test)).is_err(), fails);
        assert_eq!(Rc::strong_count(&kept), 1);
    }
}

#[test]
fn tests_return_what_they_like() -> web::Result<()> {
    let seconds = testing::run(async {
        sleep(s(5)).await;
        testing::elapsed().as_secs()
    });
    assert_eq!(seconds, 5);
    testing::run(async { Ok(()) })
}

#[test]
fn other_threads_are_waited_for() {
    async fn compute(exchange: &mut Exchange) -> web::Result<()> {
        let sum = run_in_executor(|| (0..1000).sum::<u32>()).await?;
        exchange.write_text(sum.to_string());
        Ok(())
    }
    testing::run(async {
        TestClient::new(Application::new().get("/", compute)).get("/").send().await.assert_text("499500");
        assert_eq!(testing::elapsed(), Duration::ZERO);
    });
}
