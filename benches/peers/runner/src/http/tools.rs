//! A server's whole life under a tool that counts.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{self, Command, Stdio},
};

use benches::load::{Request, Session, Stop};

use super::{programs::Program, server::Server};

/// System calls of all threads of a server that answers so many requests.
pub(crate) fn strace(program: &Program, connections: usize, requests: u64) -> Result<u64, String> {
    let summary = report("strace");
    let mut strace = Command::new("strace");
    strace.args(["-f", "-c", "-o"]).arg(&summary).arg(&program.path);
    let mut server = Server::start(strace)?;
    server.watch_child()?;
    drive(server, connections, 1, requests)?;
    Ok(calls(&take(&summary)?))
}

/// Instructions in user space of all threads of a server that answers so many requests over one connection.
pub(crate) fn callgrind(program: &Program, depth: usize, requests: u64) -> Result<u64, String> {
    let profile = report("callgrind");
    let mut valgrind = Command::new("valgrind");
    valgrind.args(["--tool=callgrind", "--quiet"]).arg(format!("--callgrind-out-file={}", profile.display()));
    valgrind.arg(&program.path).stderr(Stdio::null());
    drive(Server::start(valgrind)?, 1, depth, requests)?;
    total(&take(&profile)?).ok_or_else(|| "no totals in the profile".to_owned())
}

fn drive(server: Server, connections: usize, depth: usize, requests: u64) -> Result<(), String> {
    let failed = |error| format!("{error}");
    let mut session = Session::open(server.address, connections, depth, Request::get("/plaintext")).map_err(failed)?;
    session.run(Stop::after_requests(requests)).map_err(failed)?;
    drop(session);
    server.end()
}

fn report(tool: &str) -> PathBuf {
    env::temp_dir().join(format!("peers-{tool}-{}", process::id()))
}

/// Reads a report and removes it.
fn take(report: &Path) -> Result<String, String> {
    let failed = |error| format!("{}: {error}", report.display());
    let text = fs::read_to_string(report).map_err(failed)?;
    fs::remove_file(report).map_err(failed)?;
    Ok(text)
}

/// The sum of the table of `strace -c`: `% time, seconds, usecs/call, calls, [errors,] syscall`.
fn calls(summary: &str) -> u64 {
    let count = |line: &str| {
        let fields: Vec<_> = line.split_whitespace().collect();
        let [_, _, _, count, .., name] = fields[..] else {
            return None;
        };
        if name == "total" { None } else { count.parse::<u64>().ok() }
    };
    summary.lines().filter_map(count).sum()
}

/// The sum callgrind writes at the end of a profile; older versions write `summary:` alone.
fn total(profile: &str) -> Option<u64> {
    let line = |name| profile.lines().rev().find_map(|line| line.strip_prefix(name));
    line("totals:").or_else(|| line("summary:"))?.split_whitespace().next()?.parse().ok()
}
