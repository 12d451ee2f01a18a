//! System calls per plaintext request, counted by strace.

use std::{
    env, fs,
    process::{self, Command},
};

use super::{
    Options, Result, Row,
    limits::{self, Limits},
    programs::require_tool,
    report::Unit,
    server::Server,
    subject::Subject,
};
use crate::load::{Request, Session, Stop};

pub(super) fn measure(options: &Options) -> Result<Vec<Row>> {
    require_tool("strace")?;
    Ok(vec![
        row(options, "system calls per request, 1 connection", 1, limits::SYSCALLS_1)?,
        row(options, "system calls per request, 64 connections", 64, limits::SYSCALLS_64)?,
    ])
}

fn row(options: &Options, what: &str, connections: usize, limits: Limits) -> Result<Row> {
    let mut row = Row::new(what, Unit::Average, limits);
    for &subject in &options.subjects {
        let short = count(subject, connections, SHORT)?;
        let long = count(subject, connections, LONG)?;
        let [recv, send, wait, ctl, other] = long.per_request(&short, LONG - SHORT);
        let mut note = format!("recv {recv:.2}, send {send:.2}, epoll_wait {wait:.2}, epoll_ctl {ctl:.2}");
        if other >= 0.005 {
            note += &format!(", other {other:.2}");
        }
        row.put_with_note(subject, recv + send + wait + ctl + other, note);
    }
    Ok(row)
}

/// The calls of the whole life of a server that answers so many requests.
fn count(subject: Subject, connections: usize, requests: u64) -> Result<Calls> {
    let summary = env::temp_dir().join(format!("strace.{}.{}", subject.program(), process::id()));
    let mut strace = Command::new("strace");
    strace.args(["-f", "-c", "-o"]).arg(&summary);
    let mut server = Server::start_through(strace, subject)?;
    server.watch_child()?;
    let mut session = Session::open(server.address(), connections, 1, Request::get("/plaintext"))?;
    session.run(Stop::after_requests(requests))?;
    drop(session);
    server.end()?;

    let text = fs::read_to_string(&summary)?;
    fs::remove_file(&summary)?;
    Ok(Calls::parse(&text))
}

/// Numbers of calls by kind.
#[derive(Debug, Default, PartialEq)]
struct Calls {
    recv: u64,
    send: u64,
    epoll_wait: u64,
    epoll_ctl: u64,
    other: u64,
}

impl Calls {
    /// Reads the table of `strace -c`: `% time, seconds, usecs/call, calls, [errors,] syscall`.
    fn parse(summary: &str) -> Calls {
        let mut calls = Calls::default();
        for line in summary.lines() {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let [_, _, _, count, .., name] = fields[..] else {
                continue;
            };
            if let (Ok(count), false) = (count.parse::<u64>(), name == "total") {
                *calls.kind(name) += count;
            }
        }
        calls
    }

    fn kind(&mut self, name: &str) -> &mut u64 {
        match name {
            "read" | "readv" | "recvfrom" | "recvmsg" => &mut self.recv,
            "write" | "writev" | "sendto" | "sendmsg" => &mut self.send,
            "epoll_wait" | "epoll_pwait" | "epoll_pwait2" => &mut self.epoll_wait,
            "epoll_ctl" => &mut self.epoll_ctl,
            _ => &mut self.other,
        }
    }

    /// In the order of the fields.
    fn per_request(&self, shorter: &Calls, requests: u64) -> [f64; 5] {
        [
            (self.recv, shorter.recv),
            (self.send, shorter.send),
            (self.epoll_wait, shorter.epoll_wait),
            (self.epoll_ctl, shorter.epoll_ctl),
            (self.other, shorter.other),
        ]
        .map(|(long, short)| (long as f64 - short as f64) / requests as f64)
    }
}

const SHORT: u64 = 1_000;
const LONG: u64 = 6_000;

#[cfg(test)]
mod tests {
    use super::*;

    const SUMMARY: &str = "\
% time     seconds  usecs/call     calls    errors syscall
------ ----------- ----------- --------- --------- ----------------
 60.00    0.006000          60       100           sendto
 30.00    0.003000          29       102         2 recvfrom
  9.00    0.000900           9       101           epoll_wait
  1.00    0.000100          33         3           epoll_ctl
  0.00    0.000000           0         1           execve
------ ----------- ----------- --------- --------- ----------------
100.00    0.010000          32       307         2 total
";

    #[test]
    fn summary_of_strace_is_read_by_kind() {
        let expected = Calls { recv: 102, send: 100, epoll_wait: 101, epoll_ctl: 3, other: 1 };
        assert_eq!(Calls::parse(SUMMARY), expected);
    }

    #[test]
    fn what_both_runs_have_in_common_cancels_out() {
        let short = Calls::parse(SUMMARY);
        let long = Calls { recv: 1_102, send: 1_100, ..Calls::parse(SUMMARY) };
        assert_eq!(long.per_request(&short, 1_000), [1.0, 1.0, 0.0, 0.0, 0.0]);
    }
}
