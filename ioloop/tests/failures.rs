//! Where failures are reported. In a process of its own: the logger belongs to the whole process.

use std::process::Command;

/// Set for the child, which reports a failure instead of testing.
const CHILD: &str = "REPORT_A_FAILURE";

#[test]
fn without_a_logger_a_failure_is_one_line_on_standard_error() {
    if std::env::var_os(CHILD).is_some() {
        ioloop::report_failure("backup", format_args!("not saved: {}", ioloop::Printable::text("disk\nfull")));
        return;
    }
    let name = "without_a_logger_a_failure_is_one_line_on_standard_error";
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture"])
        .env(CHILD, "1")
        .output()
        .unwrap();
    let stderr = String::from_utf8(child.stderr).unwrap();
    assert_eq!(stderr.matches("backup: not saved: disk\\nfull\n").count(), 1, "{stderr}");
}

#[test]
fn with_a_logger_it_is_a_line_of_the_log() {
    if std::env::var_os(CHILD).is_some() {
        return;
    }
    struct Lines(std::sync::Mutex<Vec<String>>);
    impl log::Log for Lines {
        fn enabled(&self, _: &log::Metadata<'_>) -> bool {
            true
        }
        fn log(&self, record: &log::Record<'_>) {
            self.0.lock().unwrap().push(format!("{} {} {}", record.level(), record.target(), record.args()));
        }
        fn flush(&self) {}
    }
    static LINES: Lines = Lines(std::sync::Mutex::new(Vec::new()));
    log::set_logger(&LINES).unwrap();
    log::set_max_level(log::LevelFilter::Error);
    ioloop::report_failure("backup", format_args!("not saved"));
    assert_eq!(*LINES.0.lock().unwrap(), ["ERROR backup not saved"]);
}
