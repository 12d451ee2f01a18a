//! A process full of clients.

use std::io::{self, BufRead, Write};

use super::{Crowd, Options};

/// Runs a worker: opens its clients, says `ready` on standard output, and holds them until a line on standard input says how
/// many messages have been published. Prints a [`Tally`](super::Tally) as JSON when all have come, or patience is over.
///
/// # Errors
///
/// When a connection cannot be made or an answer is bad.
pub fn work(options: &Options, first: usize) -> io::Result<()> {
    let mut crowd = Crowd::open(options, first)?;
    say("ready")?;
    crowd.turn_until_called(io::stdin())?;
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line)?;
    let published = line.trim().parse().map_err(|_| io::Error::other("the coordinator is gone"))?;
    say(&serde_json::to_string(&crowd.finish(published)?)?)
}

/// Standard output is a pipe to the coordinator, which reads it by the line.
fn say(line: &str) -> io::Result<()> {
    let mut output = io::stdout().lock();
    writeln!(output, "{line}")?;
    output.flush()
}
