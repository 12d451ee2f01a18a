use std::{
    fmt,
    time::{Duration, Instant},
};

use nix::time::{ClockId, clock_gettime};

/// What a piece of work has cost.
#[derive(Debug, Clone, Copy, Default)]
pub struct Sample {
    /// User and system time of the process, all its threads.
    pub cpu: Duration,
    /// Time on the wall.
    pub wall: Duration,
    /// How often the work was done.
    pub operations: u64,
}

/// Adds up the parts of the work that count.
#[derive(Debug, Default)]
pub struct Stopwatch {
    total: Sample,
}

impl Stopwatch {
    /// A watch that has measured nothing.
    pub fn new() -> Stopwatch {
        Stopwatch::default()
    }

    /// Begins a part; [`Running::stop`] ends it.
    pub fn start(&mut self) -> Running<'_> {
        let cpu = process_cpu();
        Running { watch: self, cpu, wall: Instant::now() }
    }

    /// All parts together.
    pub fn total(&self) -> Sample {
        self.total
    }
}

/// A part of the work that is being measured.
#[derive(Debug)]
pub struct Running<'a> {
    watch: &'a mut Stopwatch,
    cpu: Duration,
    wall: Instant,
}

impl Running<'_> {
    /// Ends the part, which did the work `operations` times.
    pub fn stop(self, operations: usize) {
        let total = &mut self.watch.total;
        total.wall += self.wall.elapsed();
        total.cpu += process_cpu() - self.cpu;
        total.operations += operations as u64;
    }
}

/// The clock of the process and not of the thread: async-io keeps a thread of its own that works for the loop.
fn process_cpu() -> Duration {
    Duration::from(clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID).expect("Linux keeps this clock"))
}

/// One line, as the runner reads it back.
impl fmt::Display for Sample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.cpu.as_nanos(), self.wall.as_nanos(), self.operations)
    }
}

impl Sample {
    /// Reads what [`Display`](fmt::Display) wrote.
    pub fn parse(line: &str) -> Option<Sample> {
        let mut numbers = line.split_whitespace().map(str::parse::<u64>);
        let mut next = || numbers.next()?.ok();
        Some(Sample { cpu: Duration::from_nanos(next()?), wall: Duration::from_nanos(next()?), operations: next()? })
    }

    /// Nanoseconds of processor time each.
    pub fn cpu_each(&self) -> f64 {
        self.cpu.as_nanos() as f64 / self.operations as f64
    }

    /// Nanoseconds on the wall each.
    pub fn wall_each(&self) -> f64 {
        self.wall.as_nanos() as f64 / self.operations as f64
    }
}
