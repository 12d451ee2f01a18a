//! The log lines of one test, however many run at a time.
//!
//! The `log` crate has one logger for the process. This one looks up, for each line, who listens on the thread that
//! writes it: a loop has one thread, so a test is told of its own lines only.

use std::{cell::RefCell, fmt, rc::Rc, sync::OnceLock};

use log::{Level, LevelFilter, Log, Metadata, Record};

/// Collects what this thread logs from now on, at every level, until it is dropped.
///
/// Lines of other threads are not seen, those of jobs in the executor among them. The lines that were neither expected
/// nor taken are printed when the capture is dropped. Of two captures the later one gets the lines.
///
/// # Panics
///
/// When another logger is installed in the process: there can be one only, and this one is of no use without being it. A
/// test program that captures must not call `env_logger::init()` or the like before. Afterwards such a call fails:
/// `env_logger::try_init()` may be ignored.
///
/// # Examples
///
/// ```
/// use web::{Application, Error, Exchange, StatusCode, testing::{self, Level, TestClient, capture_log}};
///
/// async fn secret(_exchange: &mut Exchange) -> web::Result<()> {
///     Err(Error::http(StatusCode::FORBIDDEN, "Not for you"))
/// }
///
/// testing::run(async {
///     let log = capture_log();
///     TestClient::new(Application::new().get("/secret", secret)).get("/secret").send().await.assert_status(403);
///     log.expect(Level::Warn, "web", "403 GET /secret (127.0.0.1): Not for you");
///     log.expect(Level::Warn, "web::access", "403 GET /secret");
///     log.assert_quiet(Level::Info);
/// });
/// ```
#[track_caller]
pub fn capture_log() -> LogCapture {
    assert!(install(), "another logger is installed in this process: `capture_log` has to be called before it is");
    let lines = Rc::new(RefCell::new(Vec::new()));
    LISTENERS.with_borrow_mut(|listeners| listeners.push(Listener::Capture(Rc::clone(&lines))));
    LogCapture { lines }
}

/// The lines that a thread has logged; see [`capture_log`].
#[must_use = "it collects lines until it is dropped"]
pub struct LogCapture {
    lines: Rc<RefCell<Vec<LogLine>>>,
}

/// A captured line.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct LogLine {
    /// How severe it is.
    pub level: Level,
    /// Who wrote it, a module path most of the time.
    pub target: String,
    /// What was written.
    pub message: String,
}

impl fmt::Display for LogLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<5} {}: {}", self.level, self.target, self.message)
    }
}

impl LogCapture {
    /// Takes out the first line of this level and target whose message contains `text`.
    ///
    /// # Panics
    ///
    /// When there is none. The text shows the lines that are there.
    #[track_caller]
    pub fn expect(&self, level: Level, target: &str, text: &str) -> LogLine {
        let is_it = |line: &LogLine| line.level == level && line.target == target && line.message.contains(text);
        let found = self.lines.borrow().iter().position(is_it);
        match found {
            Some(at) => self.lines.borrow_mut().remove(at),
            None => panic!("expected a line \"{level} {target}: ..{text}..\" in the log, which has {}", self.shown()),
        }
    }

    /// Asserts that no line of this level or a more severe one is left.
    ///
    /// # Panics
    ///
    /// When there is one. The text shows the lines that are there.
    #[track_caller]
    pub fn assert_quiet(&self, level: Level) {
        let is_quiet = self.lines.borrow().iter().all(|line| line.level > level);
        assert!(is_quiet, "expected no further line of level {level} or above in the log, which has {}", self.shown());
    }

    /// Takes all lines so far, in their order.
    pub fn take(&self) -> Vec<LogLine> {
        self.lines.take()
    }

    fn shown(&self) -> String {
        let lines = self.lines.borrow();
        if lines.is_empty() {
            return "none".to_owned();
        }
        lines.iter().map(|line| format!("\n  {line}")).collect()
    }
}

impl Drop for LogCapture {
    fn drop(&mut self) {
        let _ = LISTENERS.try_with(|listeners| {
            listeners
                .borrow_mut()
                .retain(|known| !matches!(known, Listener::Capture(lines) if Rc::ptr_eq(lines, &self.lines)));
        });
        self.lines.take().iter().filter(|line| line.level <= SHOWN).for_each(show);
    }
}

impl fmt::Debug for LogCapture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogCapture").field("lines", &self.lines.borrow()).finish()
    }
}

/// Prints the lines of a test that nobody captures. The test harness shows them with the test, if it fails.
pub(super) struct ShownLog(());

impl ShownLog {
    pub(super) fn begin() -> Option<ShownLog> {
        // Another logger shows them in its own way.
        install().then(|| {
            LISTENERS.with_borrow_mut(|listeners| listeners.push(Listener::Show));
            ShownLog(())
        })
    }
}

impl Drop for ShownLog {
    fn drop(&mut self) {
        let _ = LISTENERS.try_with(|listeners| {
            let mut listeners = listeners.borrow_mut();
            if let Some(at) = listeners.iter().rposition(|known| matches!(known, Listener::Show)) {
                listeners.remove(at);
            }
        });
    }
}

/// What is printed: a loop at level debug tells of every step.
const SHOWN: Level = Level::Info;

// The harness captures what this macro prints, and not what is written to the stream itself.
fn show(line: &LogLine) {
    eprintln!("{line}");
}

/// Who is told of the lines of a thread.
enum Listener {
    Show,
    Capture(Rc<RefCell<Vec<LogLine>>>),
}

thread_local! {
    /// The last one is told.
    static LISTENERS: RefCell<Vec<Listener>> = const { RefCell::new(Vec::new()) };
}

/// Installs the logger, if it is not yet, and if there is no other.
fn install() -> bool {
    static INSTALLED: OnceLock<bool> = OnceLock::new();
    *INSTALLED.get_or_init(|| {
        let is_ours = log::set_logger(&PerThread).is_ok();
        if is_ours {
            log::set_max_level(LevelFilter::Trace);
        }
        is_ours
    })
}

struct PerThread;

impl PerThread {
    /// What the listener of this thread wants to know of.
    fn filter() -> LevelFilter {
        let ask = |listeners: &RefCell<Vec<Listener>>| match listeners.borrow().last() {
            None => LevelFilter::Off,
            Some(Listener::Show) => SHOWN.to_level_filter(),
            Some(Listener::Capture(_)) => LevelFilter::Trace,
        };
        LISTENERS.try_with(ask).unwrap_or(LevelFilter::Off)
    }
}

impl Log for PerThread {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= PerThread::filter()
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        // Made before anything is borrowed: what is displayed may log in its turn.
        let line =
            LogLine { level: record.level(), target: record.target().to_owned(), message: record.args().to_string() };
        let lines = LISTENERS.with_borrow(|listeners| match listeners.last() {
            Some(Listener::Capture(lines)) => Some(Rc::clone(lines)),
            Some(Listener::Show) | None => None,
        });
        match lines {
            Some(lines) => lines.borrow_mut().push(line),
            None => show(&line),
        }
    }

    fn flush(&self) {}
}
