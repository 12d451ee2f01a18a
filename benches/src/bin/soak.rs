//! A soak: for ten minutes, good, slow, broken and hostile clients of a server process. Afterwards its descriptors, its memory
//! and its tasks are back where they were, or the program says what is not and exits with 1.
//!
//! ```sh
//! cargo run --release -p benches --bin soak                      # ten minutes
//! cargo run --release -p benches --bin soak -- --seconds 120 --clients 10 --seed 7
//! ```

use std::{
    cell::RefCell,
    error::Error,
    io::{BufRead, BufReader},
    net::SocketAddr,
    process::{Child, Command, ExitCode, Stdio},
    rc::Rc,
    time::{Duration, Instant},
};

use benches::{
    options::LISTENING_ON,
    process::raise_descriptor_limit,
    soak::{
        clients::{KINDS, Outcome, Random},
        server,
        state::State,
    },
};
use httpserver::{IOLoop, sleep, spawn};
use lexopt::prelude::*;

/// How long the clients have for the state that is compared with: pools are filled then, and tables have grown.
const WARM_UP: Duration = Duration::from_secs(15);
/// Resident memory may have grown by this much, in KiB: the allocator gives pages back when it likes.
const MEMORY_SLACK: usize = 4 * 1024;

struct Options {
    serve: bool,
    seconds: u64,
    /// Of each kind.
    clients: usize,
    seed: u64,
}

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let options = parse(lexopt::Parser::from_env())?;
    if options.serve {
        server::run()?;
        return Ok(ExitCode::SUCCESS);
    }
    raise_descriptor_limit()?;
    let (mut server, addr) = start_server()?;
    let result = IOLoop::current().run_sync(soak(&options, server.id(), addr));
    server.kill()?;
    server.wait()?;
    Ok(if result? { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn parse(mut parser: lexopt::Parser) -> Result<Options, lexopt::Error> {
    let mut options = Options { serve: false, seconds: 600, clients: 3, seed: 1 };
    while let Some(argument) = parser.next()? {
        match argument {
            Long("serve") => options.serve = true,
            Long("seconds") => options.seconds = parser.value()?.parse()?,
            Long("clients") => options.clients = parser.value()?.parse()?,
            Long("seed") => options.seed = parser.value()?.parse()?,
            other => return Err(other.unexpected()),
        }
    }
    Ok(options)
}

/// A process of this program that serves, and where it does. What it logs of its clients is dropped.
fn start_server() -> Result<(Child, SocketAddr), Box<dyn Error>> {
    let mut child = Command::new(std::env::current_exe()?)
        .arg("--serve")
        // glibc raises both by itself once large blocks have been freed, and keeps later ones. What it keeps would look
        // like what the server holds.
        .env("MALLOC_MMAP_THRESHOLD_", "131072")
        .env("MALLOC_TRIM_THRESHOLD_", "131072")
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let mut line = String::new();
    BufReader::new(child.stdout.take().ok_or("no output")?).read_line(&mut line)?;
    let addr = line.trim().strip_prefix(LISTENING_ON).ok_or("the server did not say where it listens")?;
    Ok((child, addr.parse()?))
}

/// True when all is well.
async fn soak(options: &Options, pid: u32, addr: SocketAddr) -> Result<bool, Box<dyn Error>> {
    let random = Random::new(options.seed);
    let _ = run_clients(WARM_UP, options.clients, addr, &random).await;
    let before = settled(pid, addr).await?;
    let counts = run_clients(Duration::from_secs(options.seconds), options.clients, addr, &random).await;
    let after = settled(pid, addr).await?;
    Ok(report(&counts, before, after))
}

/// Conversations and how many of them went wrong, for each kind.
type Counts = Vec<(usize, usize)>;

/// Keeps so many clients of each kind at it for a time. Returns when the last one has ended.
async fn run_clients(time: Duration, clients: usize, addr: SocketAddr, random: &Random) -> Counts {
    let counts = Rc::new(RefCell::new(vec![(0, 0); KINDS.len()]));
    let until = Instant::now() + time;
    let tasks: Vec<_> = (0..clients * KINDS.len())
        .map(|number| {
            let (counts, random, kind) = (counts.clone(), random.clone(), number % KINDS.len());
            spawn(async move {
                while Instant::now() < until {
                    let outcome = KINDS[kind].converse(addr, random.clone()).await;
                    let (conversations, wrong) = &mut counts.borrow_mut()[kind];
                    *conversations += 1;
                    *wrong += usize::from(outcome == Outcome::Wrong);
                }
            })
        })
        .collect();
    for task in tasks {
        // A client that panicked has counted nothing; its kind shows it.
        let _ = task.await;
    }
    counts.take()
}

/// The server's state when nobody but us is left, or as it is after a minute.
async fn settled(pid: u32, addr: SocketAddr) -> Result<State, Box<dyn Error>> {
    let mut state = State::of(pid, addr).await?;
    for _ in 0..60 {
        if state.connections <= 1 {
            break;
        }
        sleep(Duration::from_secs(1)).await;
        state = State::of(pid, addr).await?;
    }
    Ok(state)
}

fn report(counts: &Counts, before: State, after: State) -> bool {
    println!("{:<30} {:>13} {:>6}", "clients", "conversations", "wrong");
    for (kind, (conversations, wrong)) in KINDS.iter().zip(counts) {
        println!("{:<30} {conversations:>13} {wrong:>6}", kind.name);
    }
    let rows = [
        ("descriptors", before.descriptors, after.descriptors, 0),
        ("tasks", before.tasks, after.tasks, 0),
        ("connections", before.connections, after.connections, 0),
        ("resident memory, KiB", before.memory, after.memory, MEMORY_SLACK),
    ];
    println!("\n{:<30} {:>13} {:>13}", "server", "before", "after");
    for (name, before, after, _) in rows {
        println!("{name:<30} {before:>13} {after:>13}");
    }
    let is_back = rows.iter().all(|(_, before, after, slack)| *after <= before + slack);
    let is_right = counts.iter().all(|(conversations, wrong)| *conversations > 0 && *wrong == 0);
    println!("\n{}", if is_back && is_right { "all is back where it was" } else { "FAILED" });
    is_back && is_right
}
