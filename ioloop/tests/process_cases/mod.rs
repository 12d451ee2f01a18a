//! The cases: each runs alone in a process with one thread.

mod inherit;

use std::{
    io::{ErrorKind, Read, Write},
    os::unix::net::UnixStream,
    process::{self, ExitCode},
    sync::mpsc,
    thread,
};

use ioloop::{
    Error, IOLoop,
    process::{fork_processes, task_id},
    signal,
};
use log::{Level, LevelFilter, Log, Metadata, Record};
use nix::{
    sys::signal::SigSet,
    unistd::{getpid, pause},
};

pub(crate) fn run(case: &str) -> ExitCode {
    log::set_logger(&StandardError).expect("the only logger");
    log::set_max_level(LevelFilter::Info);
    match case {
        "failing" => failing(),
        "killed" => killed(),
        "giving-up" => giving_up(),
        "one-per-processor" => one_per_processor(),
        "beside-a-loop" => beside_a_loop(),
        "beside-a-thread" => beside_a_thread(),
        "in-a-worker" => in_a_worker(),
        "mask" => mask(),
        "printed-once" => printed_once(),
        "serving" => serving(),
        "serving-without-handler" => serving_without_handler(),
        other => inherit::run(other),
    }
    ExitCode::SUCCESS
}

struct StandardError;

impl Log for StandardError {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= Level::Info
    }

    fn log(&self, record: &Record<'_>) {
        eprintln!("{} {}", record.level(), record.args());
    }

    fn flush(&self) {}
}

/// What happens to workers, in the order of their starts; they share it, whoever comes takes the next piece.
struct Fates(UnixStream);

impl Fates {
    fn new(fates: &[u8]) -> Fates {
        let (ours, mut theirs) = UnixStream::pair().expect("two descriptors");
        theirs.write_all(fates).expect("room for it");
        ours.set_nonblocking(true).expect("a socket");
        // Closed here: at its end a worker reads nothing.
        Fates(ours)
    }

    fn next(&self) -> Option<u8> {
        let mut fate = [0];
        match (&self.0).read(&mut fate) {
            Ok(0) => None,
            Ok(_) => Some(fate[0]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => None,
            Err(error) => panic!("{error}"),
        }
    }
}

fn failing() {
    let fates = Fates::new(&[3, 3, 3]);
    let id = fork_processes(2, 3).expect("three restarts are allowed");
    assert_eq!(task_id(), Some(id));
    if let Some(code) = fates.next() {
        process::exit(code.into());
    }
    println!("worker {id}");
}

fn killed() {
    let fates = Fates::new(&[9, 40]);
    fork_processes(1, 100).expect("two restarts are allowed");
    if let Some(number) = fates.next() {
        signal_hook::low_level::raise(number.into()).expect("a signal");
        unreachable!("killed by it");
    }
}

fn giving_up() {
    match fork_processes(1, 3) {
        Ok(_) => process::exit(1),
        Err(error) => {
            assert!(matches!(error, Error::TooManyRestarts));
            assert_eq!(task_id(), None);
            println!("{error}");
            process::exit(7);
        }
    }
}

fn one_per_processor() {
    assert_eq!(task_id(), None);
    println!("{}", fork_processes(0, 0).expect("no worker fails"));
}

fn refused() -> &'static str {
    match fork_processes(1, 0) {
        Err(Error::CannotFork { reason }) => reason,
        other => panic!("{other:?}"),
    }
}

fn beside_a_loop() {
    let ioloop = IOLoop::new().expect("two descriptors");
    assert!(refused().contains("a loop exists"));
    ioloop.close();
    assert!(refused().contains("a loop exists"), "closed, but its descriptors are there");
    let holder = ioloop.clone();
    drop(ioloop);
    assert!(refused().contains("a loop exists"));
    let handle = holder.handle();
    drop(holder);
    fork_processes(1, 0).expect("no loop is left, and a handle is none");
    assert!(handle.stop().is_err());
}

fn beside_a_thread() {
    let (release, released) = mpsc::channel::<()>();
    let thread = thread::spawn(move || released.recv().is_err());
    assert!(refused().contains("more than one thread"));
    drop(release);
    assert!(thread.join().expect("no panic"));
    fork_processes(1, 0).expect("the thread has ended");
}

fn in_a_worker() {
    fork_processes(1, 0).expect("nothing stands against it");
    println!("{}", fork_processes(1, 0).expect_err("a worker"));
}

fn mask() {
    let before = SigSet::thread_get_mask().expect("a mask");
    fork_processes(1, 0).expect("the worker does not fail");
    assert_eq!(SigSet::thread_get_mask().expect("a mask"), before);
}

fn printed_once() {
    print!("once");
    fork_processes(3, 0).expect("no worker fails");
}

fn serving() {
    let parent = getpid();
    fork_processes(2, 0).expect("nothing stands against it");
    assert_ne!(getpid(), parent);
    IOLoop::current().run_sync(async {
        // Listens before it says so.
        let mut terminated = signal::Signal::new(signal::SIGTERM).expect("a signal");
        println!("ready");
        terminated.recv().await;
    });
    println!("stopped");
}

fn serving_without_handler() {
    fork_processes(1, 0).expect("nothing stands against it");
    println!("ready");
    pause();
}
