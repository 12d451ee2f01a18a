//! Measures what a request and a connection cost, beside the yardstick, and prints the table of the budgets.
//!
//! Each kind of measurement is one [`Section`] in one file. A section gets the programs to measure and returns [`Row`]s; what
//! is common to all of them, starting and watching a server, is in `server`.
//!
//! Everything that costs per request is a difference of two run lengths, so that starting, accepting and ending cancel out.

mod allocations;
mod cpu;
mod instructions;
mod limits;
mod memory;
mod options;
mod programs;
mod realtime;
mod report;
mod server;
mod sizes;
mod subject;
mod syscalls;

use std::error::Error;

pub use options::Options;
pub use report::{Report, Row};
pub use subject::Subject;

/// Any failure ends the whole measurement: a table with holes is no check.
pub type Result<T, E = Box<dyn Error>> = std::result::Result<T, E>;

/// One kind of measurement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Section {
    /// Instructions in user space per request, under callgrind.
    Instructions,
    /// CPU time of the server per request, as a ratio to the yardstick.
    Cpu,
    /// System calls per request, under strace.
    Syscalls,
    /// Allocations per request.
    Allocations,
    /// Memory per idle and per parked connection.
    Memory,
    /// Size of the future that serves a connection.
    Sizes,
    /// WebSockets, event streams and long polls: CPU time per echo, and memory per connection that waits.
    Realtime,
}

impl Section {
    /// All sections in the order of the table.
    pub const ALL: [Section; 7] = [
        Section::Instructions,
        Section::Cpu,
        Section::Syscalls,
        Section::Allocations,
        Section::Memory,
        Section::Sizes,
        Section::Realtime,
    ];

    /// The name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Section::Instructions => "instructions",
            Section::Cpu => "cpu",
            Section::Syscalls => "syscalls",
            Section::Allocations => "allocations",
            Section::Memory => "memory",
            Section::Sizes => "sizes",
            Section::Realtime => "realtime",
        }
    }

    fn measure(self, options: &Options) -> Result<Vec<Row>> {
        match self {
            Section::Instructions => instructions::measure(options),
            Section::Cpu => cpu::measure(options),
            Section::Syscalls => syscalls::measure(options),
            Section::Allocations => allocations::measure(options),
            Section::Memory => memory::measure(options),
            Section::Sizes => sizes::measure(options),
            Section::Realtime => realtime::measure(options),
        }
    }
}

/// Builds the programs, measures the chosen sections and returns their table. Progress goes to standard error.
///
/// # Errors
///
/// When a program does not build or answer as it should, or a tool (valgrind, strace) is missing.
pub fn run(options: &Options) -> Result<Report> {
    programs::build(options)?;
    crate::process::raise_descriptor_limit()?;
    let mut rows = Vec::new();
    for section in &options.sections {
        eprintln!("measuring {}", section.name());
        rows.extend(section.measure(options)?);
    }
    Ok(Report::new(rows))
}
