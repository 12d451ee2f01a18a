//! What the loop logs is one line each, whatever a panic or an error says. The logger is the process's, so this is a test
//! binary of its own.

use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Wake, Waker},
    thread,
    time::Duration,
};

use ioloop::{
    ExecutorOptions, IOLoop, JoinError,
    context::{self, ErrorBoundary},
    run_in_executor, yield_now,
};
use log::{LevelFilter, Log, Metadata, Record};

/// A line feed, an escape sequence of a terminal, C1 control characters, separators, and a change of direction.
const HOSTILE: &str = "gone\r\n2031-01-01 ERROR forged \x1b[2J\u{85}\u{9b}1m\u{2028}\u{2029}\u{202e}end";

const SHOWN: &str = r"gone\r\n2031-01-01 ERROR forged \x1b[2J\u{85}\u{9b}1m\u{2028}\u{2029}\u{202e}end";

struct Lines(Mutex<Vec<String>>);

static LINES: Lines = Lines(Mutex::new(Vec::new()));

impl Log for Lines {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        self.0.lock().unwrap().push(record.args().to_string());
    }

    fn flush(&self) {}
}

/// The lines that are logged meanwhile.
fn lines_of(work: impl FnOnce()) -> Vec<String> {
    LINES.0.lock().unwrap().clear();
    work();
    std::mem::take(&mut LINES.0.lock().unwrap())
}

/// One line, which shows the message escaped as often as said.
#[track_caller]
fn assert_one_line(work: impl FnOnce(), times: usize) {
    let lines = lines_of(work);
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(!lines[0].chars().any(char::is_control), "{lines:?}");
    assert_eq!(lines[0].matches(SHOWN).count(), times, "{lines:?}");
}

fn hostile() -> ! {
    panic!("{HOSTILE}")
}

struct HostileDrop;

impl Drop for HostileDrop {
    fn drop(&mut self) {
        hostile();
    }
}

fn two_turns(ioloop: &IOLoop) {
    ioloop.run_sync(async {
        yield_now().await;
        yield_now().await;
    });
}

fn callback_panics(ioloop: &IOLoop) {
    ioloop.add_callback(|| hostile());
    two_turns(ioloop);
}

/// All in one test: the logger is shared, and so are the lines.
#[test]
fn message_of_a_panic_or_an_error_never_breaks_a_line_of_the_log() {
    log::set_logger(&LINES).expect("nobody else sets one");
    log::set_max_level(LevelFilter::Trace);

    // Of a thread without a loop.
    assert_one_line(|| thread::spawn(|| context::report(HOSTILE)).join().expect("it only reports"), 1);

    let ioloop = IOLoop::new().unwrap();
    assert_one_line(|| callback_panics(&ioloop), 1);
    assert_one_line(|| waker_panics(&ioloop), 1);
    assert_one_line(|| jobs_result_panics(&ioloop), 1);

    ioloop.on_slow_callback(Duration::ZERO, |_| hostile());
    assert_one_line(|| ioloop.run_sync(async {}), 1);
    ioloop.log_slow_callbacks(Duration::MAX);

    let boundary = ErrorBoundary::new(|_| hostile());
    assert_eq!(lines_of(|| boundary.scope(|| callback_panics(&ioloop))).len(), 2, "the boundary's, then the loop's");
    assert_one_line(
        || {
            let boundary = ErrorBoundary::new(|_| hostile());
            boundary.scope(|| ioloop.add_callback(|| hostile()));
            ioloop.on_callback_exception(|_| ());
            two_turns(&ioloop);
        },
        2,
    );

    ioloop.on_callback_exception(|_| hostile());
    assert_one_line(|| callback_panics(&ioloop), 2);
}

fn waker_panics(ioloop: &IOLoop) {
    struct Bad;

    impl Wake for Bad {
        fn wake(self: Arc<Self>) {
            hostile();
        }
    }

    let mut task = ioloop.spawn(yield_now());
    assert!(Pin::new(&mut task).poll(&mut Context::from_waker(&Waker::from(Arc::new(Bad)))).is_pending());
    two_turns(ioloop);
}

fn jobs_result_panics(ioloop: &IOLoop) {
    ioloop.configure_executor(ExecutorOptions::new().max_threads(1));
    ioloop.run_sync(async {
        drop(run_in_executor(|| HostileDrop));
        // On the same thread, and so after the other's result was dropped.
        run_in_executor(|| ()).await.expect("it does not panic");
    });
}

#[test]
fn errors_that_carry_a_panic_show_it_on_one_line() {
    let error = JoinError::Panicked { message: HOSTILE.to_owned() };
    assert_eq!(error.to_string(), format!("the task panicked: {SHOWN}"));
    let error = JoinError::NoThread { message: HOSTILE.to_owned() };
    assert_eq!(error.to_string(), format!("no thread could be started: {SHOWN}"));
}
