//! Starts the workers, publishes, and adds up.

use std::{
    env,
    io::{self, BufRead, BufReader, Write},
    process::{Child, ChildStdout, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use super::{
    Options, Report, Tally,
    message::{format, now},
    publisher::Publisher,
};

/// Holds the clients, publishes the messages and returns what became of them. Progress goes to standard error.
///
/// Workers are this program again, with `--worker`.
///
/// # Errors
///
/// When clients cannot connect, a server refuses a message, or a worker dies.
pub fn run(options: &Options) -> io::Result<Report> {
    let started = Instant::now();
    let mut workers = Vec::new();
    let mut first = 0;
    while first < options.clients {
        let clients = options.clients_per_process.min(options.clients - first);
        workers.push(Worker::start(options, first, clients)?);
        first += clients;
    }
    for worker in &mut workers {
        worker.expect_ready()?;
    }
    let connected = started.elapsed();
    let servers = options.servers.len();
    eprintln!("{} clients wait at {servers} servers, in {} processes", options.clients, workers.len());
    thread::sleep(options.hold);
    let publishing = publish(options)?;
    let mut total = Tally::default();
    for worker in &mut workers {
        writeln!(worker.process.stdin.as_ref().ok_or_else(gone)?, "{}", options.messages)?;
    }
    for worker in &mut workers {
        total.merge(&serde_json::from_str(&worker.line()?)?);
    }
    Ok(Report { kind: options.kind, messages: options.messages, connected, publishing, tally: total })
}

/// Posts all messages, each when it is due. How long that took.
fn publish(options: &Options) -> io::Result<Duration> {
    let told = if options.publishes_to_all { &options.servers[..] } else { &options.servers[..1] };
    let connect = |&server| Publisher::connect(server, &options.publish_path, options.patience);
    let mut publishers = told.iter().map(connect).collect::<io::Result<Vec<_>>>()?;
    let started = Instant::now();
    for number in 0..options.messages {
        let due = started + Duration::from_secs_f64(number as f64 / options.rate);
        thread::sleep(due.saturating_duration_since(Instant::now()));
        let message = format(number, now(), options.size);
        for publisher in &mut publishers {
            publisher.post(&message)?;
        }
        for publisher in &mut publishers {
            publisher.confirm()?;
        }
    }
    Ok(started.elapsed())
}

struct Worker {
    process: Child,
    output: BufReader<ChildStdout>,
}

impl Worker {
    fn start(options: &Options, first: usize, clients: usize) -> io::Result<Worker> {
        let mut command = Command::new(env::current_exe()?);
        command.args(options.of_worker(first, clients)).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.spawn()?;
        let output = BufReader::new(process.stdout.take().ok_or_else(gone)?);
        Ok(Worker { process, output })
    }

    fn expect_ready(&mut self) -> io::Result<()> {
        match self.line()?.as_str() {
            "ready" => Ok(()),
            other => Err(io::Error::other(format!("a worker says {other}"))),
        }
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        if self.output.read_line(&mut line)? == 0 {
            return Err(gone());
        }
        Ok(line.trim().to_owned())
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // Fails when it has ended already, which is as good.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn gone() -> io::Error {
    io::Error::other("a worker is gone; it has said why")
}
