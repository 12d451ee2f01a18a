//! What a request and a connection cost besides processor time.

use std::process::Command;

use benches::load::{Request, Session, Stop};

use super::{
    programs::Program,
    server::Server,
    tools::{callgrind, strace},
};

/// One row of a table of figures that are no ratios.
pub(crate) struct CostRow {
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
    pub(crate) decimals: usize,
    pub(crate) measure: fn(&Program) -> Result<f64, String>,
}

pub(crate) const COSTS: [CostRow; 3] = [
    CostRow {
        name: "syscalls-1",
        title: "system calls of a request, 1 connection",
        decimals: 2,
        measure: |program| each_of(CALLS, |requests| strace(program, 1, requests)),
    },
    CostRow {
        name: "syscalls-64",
        title: "system calls of a request, 64 connections",
        decimals: 2,
        measure: |program| each_of(CALLS, |requests| strace(program, 64, requests)),
    },
    CostRow {
        name: "idle-memory",
        title: "bytes of memory of an idle connection, at 10,000",
        decimals: 0,
        measure: idle_memory,
    },
];

pub(crate) const INSTRUCTIONS: [CostRow; 2] = [
    CostRow {
        name: "plaintext",
        title: "plaintext, 1 connection",
        decimals: 0,
        measure: |program| each_of(COUNTED, |requests| callgrind(program, 1, requests)),
    },
    CostRow {
        name: "pipelined",
        title: "plaintext, pipelined 16 deep, 1 connection",
        decimals: 0,
        measure: |program| each_of(COUNTED, |requests| callgrind(program, 16, requests)),
    },
];

/// Two lives of different length: the difference is free of start-up, accepting and ending.
fn each_of((short, long): (u64, u64), count: impl Fn(u64) -> Result<u64, String>) -> Result<f64, String> {
    let (few, many) = (count(short)?, count(long)?);
    Ok((many as f64 - few as f64) / (long - short) as f64)
}

fn idle_memory(program: &Program) -> Result<f64, String> {
    let server = Server::start(Command::new(&program.path))?;
    let open = |connections| {
        Session::open(server.address, connections, 1, Request::get("/plaintext")).map_err(|error| error.to_string())
    };
    // What a server allocates once is not charged to the connections.
    open(16)?.run(Stop::after_requests(1_000)).map_err(|error| error.to_string())?;
    server.settle()?;
    let before = server.anonymous_memory()?;
    let connections = open(IDLE)?;
    server.settle()?;
    let held = server.anonymous_memory()?;
    drop(connections);
    Ok((held as f64 - before as f64) / IDLE as f64)
}

const IDLE: usize = 10_000;
const CALLS: (u64, u64) = (1_000, 6_000);
const COUNTED: (u64, u64) = (2_000, 12_000);
