//! Workers that were forked. Forking needs a process with one thread, so this is a program of its own, which starts itself.

use std::{
    collections::{HashMap, HashSet},
    env,
    process::Command,
};

use web::{IOLoop, comet::Hub, httpserver::iostream::ioloop::process::fork_processes};

const TEST: &str = "workers_have_channels_of_different_lives";
const WORKERS: usize = 3;

fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    if arguments == ["--worker"] {
        return print_a_cursor_in_each_worker();
    }
    let filter = arguments.iter().find(|argument| !argument.starts_with('-'));
    if filter.is_some_and(|filter| !TEST.contains(filter.as_str())) {
        return;
    }
    if arguments.iter().any(|argument| argument == "--list") {
        println!("{TEST}: test");
    } else {
        workers_have_channels_of_different_lives();
        println!("test {TEST} ... ok");
    }
}

/// A client that comes to another worker, or to one that took the place of another, is found out by its cursor.
fn workers_have_channels_of_different_lives() {
    let output = Command::new(env::current_exe().unwrap()).arg("--worker").output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let cursors = String::from_utf8(output.stdout).unwrap();
    let different: HashSet<&str> = cursors.lines().collect();
    assert_eq!(different.len(), WORKERS, "{cursors}");
}

fn print_a_cursor_in_each_worker() {
    // As most programs do before: from here on the standard library has its random bytes, and every worker the same.
    let _table: HashMap<u8, u8> = HashMap::new();
    fork_processes(WORKERS, 0).unwrap();
    let hub = Hub::new();
    let cursor = IOLoop::current().run_sync(async { hub.publish("news", &1).await }).unwrap();
    println!("{cursor}");
}
