//! Connections that stay: what an echo over a WebSocket takes, and what each client that waits costs.

use super::{
    Options, Result, Row,
    cpu::{self, Load, Scenario},
    limits::{self, Limits},
    report::Unit,
    server::Server,
    subject::Subject,
};
use crate::{
    comet::{Crowd, Kind, Options as CrowdOptions},
    load::{EchoSession, Request, Session, Stop},
    message::Allocations,
};

/// The program that stands for a subject here, if there is one.
pub(super) fn program(subject: Subject) -> Option<&'static str> {
    match subject {
        Subject::Raw => Some("raw-websocket"),
        Subject::Http => None,
        Subject::Web => Some("bench-comet"),
    }
}

pub(super) fn measure(options: &Options) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    if options.subjects.contains(&Subject::Raw) {
        rows = cpu::measure_scenarios(options, &echoes(), program)?;
    }
    if options.subjects.contains(&Subject::Web) {
        rows.push(memory(options, "bytes of memory per idle WebSocket", Waiting::Echo, limits::WEBSOCKET)?);
        for (what, kind, limits) in [
            ("bytes of memory per WebSocket at a hub", Kind::WebSocket, limits::WEBSOCKET),
            ("bytes of memory per event stream at a hub", Kind::Events, limits::EVENT_STREAM),
            ("bytes of memory per long poll at a hub", Kind::Poll, limits::POLL),
        ] {
            rows.push(memory(options, what, Waiting::AtHub(kind), limits)?);
        }
    }
    Ok(rows)
}

fn echoes() -> [Scenario; 2] {
    let load = |size| Load::Echo { connections: 64, size };
    [
        Scenario {
            what: "CPU per WebSocket echo of 32 bytes against raw, 64 connections",
            limits: limits::ECHO,
            load: load(32),
            requests: 50_000,
        },
        Scenario { what: "the same, 4 KiB", limits: limits::ECHO, load: load(4 * 1024), requests: 40_000 },
    ]
}

/// For what the clients wait.
#[derive(Clone, Copy)]
enum Waiting {
    /// For nothing: each has been echoed to once.
    Echo,
    /// For messages of a channel.
    AtHub(Kind),
}

fn memory(options: &Options, what: &str, waiting: Waiting, limits: Limits) -> Result<Row> {
    eprintln!("  {what}");
    let mut row = Row::new(what, Unit::Count, limits);
    let resident = per_client(options.connections, waiting, &[], Server::anonymous_memory)?;
    // In a run of its own: see the section of memory.
    let live_bytes = |server: &Server| Ok(server.get::<Allocations>("/allocations")?.live_bytes);
    let heap = per_client(options.connections, waiting, &["--count-allocations"], live_bytes)?;
    row.put_with_note(Subject::Web, resident, format!("{heap:.0} live on the heap"));
    Ok(row)
}

/// Bytes per client, by `bytes` of the server with and without them.
fn per_client(count: usize, waiting: Waiting, arguments: &[&str], bytes: fn(&Server) -> Result<i64>) -> Result<f64> {
    let program = program(Subject::Web).ok_or("web has a program")?;
    let server = Server::start_program(program, arguments)?;
    // Brings in what a server allocates once.
    Session::open(server.address(), 16, 1, Request::get("/plaintext"))?.run(Stop::after_requests(1_000))?;
    with_clients(&server, 16, waiting, |_| Ok(()))?;
    server.settle()?;
    let before = bytes(&server)?;
    let held = with_clients(&server, count, waiting, |server| {
        server.settle()?;
        bytes(server)
    })?;
    server.end()?;
    Ok((held - before) as f64 / count as f64)
}

/// What `look` sees while so many clients wait.
fn with_clients<T>(
    server: &Server,
    count: usize,
    waiting: Waiting,
    look: impl FnOnce(&Server) -> Result<T>,
) -> Result<T> {
    match waiting {
        Waiting::Echo => {
            let clients = EchoSession::open(server.address(), "/echo", count, 32)?;
            let seen = look(server);
            drop(clients);
            seen
        }
        Waiting::AtHub(kind) => {
            let options = CrowdOptions { clients: count, ..CrowdOptions::new(kind, server.address()) };
            let clients = Crowd::open(&options, 0)?;
            let seen = look(server);
            drop(clients);
            seen
        }
    }
}
