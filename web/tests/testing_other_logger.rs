//! The test kit beside a logger of somebody else. The logger belongs to the process: this file has one test.

use std::{
    panic::catch_unwind,
    sync::atomic::{AtomicUsize, Ordering},
};

use log::{LevelFilter, Log, Metadata, Record};
use web::{
    Application,
    testing::{self, TestClient},
};

static LINES: AtomicUsize = AtomicUsize::new(0);

struct Counter;

impl Log for Counter {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        if record.target() == "web::access" {
            LINES.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn flush(&self) {}
}

#[test]
fn another_logger_keeps_its_lines_and_a_capture_says_that_it_cannot_be() {
    log::set_logger(&Counter).unwrap();
    log::set_max_level(LevelFilter::Warn);
    testing::run(async {
        TestClient::new(Application::new()).get("/").send().await.assert_status(404);
    });
    assert_eq!(LINES.load(Ordering::Relaxed), 1);
    assert_eq!(log::max_level(), LevelFilter::Warn);
    let payload = catch_unwind(testing::capture_log).expect_err("it cannot capture");
    let text = payload.downcast_ref::<&str>().expect("a text");
    assert!(text.starts_with("another logger is installed in this process"), "{text}");
}
