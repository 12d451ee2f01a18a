use std::fmt;

use log::LevelFilter;

/// Reports a failure of the program's own, such as an error that a handler returned: to the log, at level error.
///
/// Without a logger it goes to standard error instead, as one line, because a program that fails in silence is the first
/// thing its author would have to find out. A logger that is there and turned off altogether counts as none: `log` does
/// not tell the two apart. To silence these lines, install a logger that filters by target.
///
/// What comes from outside is to be shown as [`Printable`](crate::Printable), as in every log line.
///
/// # Examples
///
/// ```
/// # let error = std::io::Error::other("the disk is on fire");
/// ioloop::report_failure("backup", format_args!("not saved: {error}"));
/// ```
#[cold]
pub fn report_failure(target: &'static str, message: fmt::Arguments<'_>) {
    if log::max_level() == LevelFilter::Off {
        eprintln!("{target}: {message}");
    } else {
        log::error!(target: target, "{message}");
    }
}
