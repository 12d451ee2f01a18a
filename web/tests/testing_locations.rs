//! Which lines failing tests point to. The panic hook belongs to the process: this file has one test.

use std::{
    cell::Cell,
    panic::{AssertUnwindSafe, catch_unwind, set_hook},
};

use web::{
    Application,
    testing::{self, Level, TestClient, capture_log},
};

thread_local! {
    static LINE: Cell<u32> = const { Cell::new(0) };
}

/// The line of this file that `test` fails at.
fn fails_at(test: impl FnOnce()) -> u32 {
    LINE.set(0);
    catch_unwind(AssertUnwindSafe(test)).expect_err("it fails");
    LINE.get()
}

#[test]
fn assertions_that_fail_point_to_the_line_of_the_test() {
    set_hook(Box::new(|panic| {
        let location = panic.location().expect("panics have a location");
        LINE.set(if location.file() == file!() { location.line() } else { 0 });
    }));
    testing::run(async {
        let response = TestClient::new(Application::new()).get("/").send().await;
        let log = capture_log();
        let at = fails_at(|| _ = response.assert_status(200));
        assert_eq!(at, line!() - 1);
        let at = fails_at(|| _ = response.assert_json(""));
        assert_eq!(at, line!() - 1);
        let at = fails_at(|| _ = response.json::<u32>());
        assert_eq!(at, line!() - 1);
        let at = fails_at(|| _ = log.expect(Level::Error, "web", "none"));
        assert_eq!(at, line!() - 1);
    });
    let at = fails_at(|| testing::run(async { panic!("on purpose") }));
    assert_eq!(at, line!() - 1);
    let patience = std::time::Duration::from_millis(100);
    let at = fails_at(|| testing::Runner::new().patience(patience).run(std::future::pending()));
    assert_eq!(at, line!() - 1);
}
