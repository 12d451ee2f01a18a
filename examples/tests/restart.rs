//! Restarts under load: no connection is refused or reset, and each request is answered.

// `support` is shared by several test programs, none of which exports anything.
#![allow(unreachable_pub)]

mod support;

use std::{
    collections::BTreeSet,
    fs,
    io::{self, BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    os::unix::fs::PermissionsExt,
    path::Path,
    process,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::{self, JoinHandle},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use support::{PATIENCE, Program, eventually};

const RESTARTS: usize = 10;

/// What a client has seen: which processes answered, and how many requests they answered.
#[derive(Default)]
struct Seen {
    processes: BTreeSet<i32>,
    answers: usize,
}

/// Answers that all clients together have got.
static ANSWERS: AtomicUsize = AtomicUsize::new(0);

/// How many there are at least between two restarts.
const BETWEEN: usize = 200;

/// A client that asks without a pause, and fails with the first request that is not answered.
struct Load {
    ended: Arc<AtomicBool>,
    client: JoinHandle<io::Result<Seen>>,
}

impl Load {
    /// With `keeps`, one connection for as long as the server keeps it; else one for each request.
    fn start(address: SocketAddr, keeps: bool) -> Load {
        let ended = Arc::new(AtomicBool::new(false));
        let client = thread::spawn({
            let ended = Arc::clone(&ended);
            move || {
                let mut seen = Seen::default();
                let mut connection = None;
                while !ended.load(Ordering::Relaxed) {
                    let stream = match connection.take() {
                        Some(stream) => stream,
                        None => connect(address)?,
                    };
                    let (process, kept) = ask(stream, keeps)?;
                    connection = kept;
                    seen.processes.insert(process);
                    seen.answers += 1;
                    ANSWERS.fetch_add(1, Ordering::Relaxed);
                }
                Ok(seen)
            }
        });
        Load { ended, client }
    }

    fn end(self) -> Seen {
        self.ended.store(true, Ordering::Relaxed);
        self.client.join().expect("no panic").expect("each request is answered")
    }
}

fn connect(address: SocketAddr) -> io::Result<BufReader<TcpStream>> {
    let stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    Ok(BufReader::new(stream))
}

/// Sends a request. Returns the process that has answered it, and the connection if it is kept.
fn ask(mut stream: BufReader<TcpStream>, keeps: bool) -> io::Result<(i32, Option<BufReader<TcpStream>>)> {
    let close = if keeps { "" } else { "Connection: close\r\n" };
    stream.get_mut().write_all(format!("GET / HTTP/1.1\r\nHost: a\r\n{close}\r\n").as_bytes())?;
    let (mut length, mut is_kept) = (0, true);
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line)? == 0 {
            return Err(io::Error::other("a request without an answer"));
        }
        if line == "\r\n" {
            break;
        }
        is_kept &= line != "Connection: close\r\n";
        length =
            line.strip_prefix("Content-Length: ").map_or(length, |length| length.trim().parse().expect("a length"));
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body)?;
    let body = String::from_utf8(body).expect("text");
    let process = body.trim().rsplit(' ').next().and_then(|process| process.parse().ok());
    Ok((process.unwrap_or_else(|| panic!("no process in {body:?}")), is_kept.then_some(stream)))
}

fn await_answers() {
    let count = ANSWERS.load(Ordering::Relaxed) + BETWEEN;
    eventually("there are answers", || (ANSWERS.load(Ordering::Relaxed) > count).then_some(()));
}

fn process_of(address: SocketAddr) -> i32 {
    ask(connect(address).expect("it listens"), false).expect("it answers").0
}

fn signal(process: i32, signal: Signal) {
    kill(Pid::from_raw(process), signal).expect("it runs");
}

fn has_ended(process: i32) -> bool {
    // A child that nobody has waited for is still there, as a zombie.
    fs::read_to_string(format!("/proc/{process}/stat")).map_or(true, |stat| stat.contains(") Z "))
}

/// Ends what the test has started in any case, the last process too, which is nobody's child.
struct LastProcess(i32);

impl Drop for LastProcess {
    fn drop(&mut self) {
        let _ = kill(Pid::from_raw(self.0), Signal::SIGKILL);
    }
}

#[test]
fn clients_notice_nothing_of_ten_restarts() {
    let (mut program, address) = Program::serve(env!("CARGO_BIN_EXE_restart"));
    let load: Vec<Load> = (0..8).map(|number| Load::start(address, number % 2 == 0)).collect();
    let mut last = LastProcess(process_of(address));
    let mut processes = BTreeSet::from([last.0]);
    await_answers();
    for _ in 0..RESTARTS {
        signal(last.0, Signal::SIGHUP);
        // Printed by the new process, which has the output of the first.
        assert_eq!(program.listening(), address);
        let old = last.0;
        // Both accept for a moment.
        last.0 = eventually("another process answers", || Some(process_of(address)).filter(|new| *new != old));
        eventually("the old process ends", || has_ended(old).then_some(()));
        assert!(processes.insert(last.0));
        await_answers();
    }
    let seen: Vec<Seen> = load.into_iter().map(Load::end).collect();
    println!("{} answers, each to its request", seen.iter().map(|seen| seen.answers).sum::<usize>());
    let answered: BTreeSet<i32> = seen.into_iter().flat_map(|seen| seen.processes).collect();
    assert_eq!(answered, processes, "each process has answered");
    signal(last.0, Signal::SIGTERM);
    eventually("the last process ends", || has_ended(last.0).then_some(()));
    TcpStream::connect(address).expect_err("nobody listens any more");
}

#[test]
fn a_program_that_cannot_start_leaves_the_old_one_where_it_is() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("restart-{}", process::id()));
    fs::create_dir(&folder).expect("a folder");
    let path = folder.join("restart");
    // Not a copy: nothing runs a file while another process, forked meanwhile, has it open for writing.
    fs::hard_link(env!("CARGO_BIN_EXE_restart"), &path).expect("the same file system");
    let (program, address) = Program::serve(path.to_str().expect("text"));
    let process = process_of(address);
    // A new version that fails at once, and then one that is none. Written beside and moved, as an installation does.
    for content in ["#!/bin/sh\nexit 3\n", "nonsense"] {
        fs::write(folder.join("new"), content).expect("room");
        fs::set_permissions(folder.join("new"), fs::Permissions::from_mode(0o700)).expect("it is ours");
        fs::rename(folder.join("new"), &path).expect("it is ours");
        program.hang_up();
        for _ in 0..20 {
            assert_eq!(process_of(address), process);
        }
    }
    fs::hard_link(env!("CARGO_BIN_EXE_restart"), folder.join("new")).expect("the same file system");
    fs::rename(folder.join("new"), &path).expect("it is ours");
    program.hang_up();
    let new = eventually("the new version answers", || Some(process_of(address)).filter(|new| *new != process));
    let _last = LastProcess(new);
    assert!(program.end().success());
    fs::remove_dir_all(folder).expect("it is ours");
}
