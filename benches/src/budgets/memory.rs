//! Memory in user space per idle and per parked connection: anonymous memory of the process, as the kernel counts it.

use std::{thread::sleep, time::Duration};

use super::{Options, Result, Row, limits, report::Unit, server::Server, subject::Subject};
use crate::{
    load::{Request, Session, Stop},
    message::Allocations,
};

pub(super) fn measure(options: &Options) -> Result<Vec<Row>> {
    let new = |what, limits| Row::new(what, Unit::Count, limits);
    let mut idle = new("bytes of memory per idle connection", limits::IDLE);
    let mut parked = new("bytes of memory per parked connection", limits::PARKED);
    let mut kept = new("bytes kept per parked connection after all have closed", limits::KEPT);
    let connections = options.connections;
    for &subject in &options.subjects {
        let resident = PerConnection::resident(subject, connections, Load::Idle)?;
        if subject == Subject::Raw {
            // It cannot park a request, and it does not count; what it keeps, it keeps of idle connections.
            idle.put(subject, resident.held);
            kept.put(subject, resident.kept);
            continue;
        }
        let heap = PerConnection::on_heap(subject, connections, Load::Idle)?;
        idle.put_with_note(subject, resident.held, on_heap(heap.held));
        let resident = PerConnection::resident(subject, connections, Load::Parked)?;
        let heap = PerConnection::on_heap(subject, connections, Load::Parked)?;
        parked.put_with_note(subject, resident.held, on_heap(heap.held));
        kept.put_with_note(subject, resident.kept, on_heap(heap.kept));
    }
    Ok(vec![idle, parked, kept])
}

fn on_heap(bytes: f64) -> String {
    format!("{bytes:.0} live on the heap")
}

/// What the connections do while they are counted.
#[derive(Clone, Copy, PartialEq)]
enum Load {
    /// Nothing: each has been answered once.
    Idle,
    /// Each waits for an answer.
    Parked,
}

/// Bytes per connection.
struct PerConnection {
    /// While the connections are there.
    held: f64,
    /// What stays when they have closed.
    kept: f64,
}

impl PerConnection {
    /// `bytes`: how to tell the memory of the server, which has come to rest.
    fn measure(
        server: &Server,
        connections: usize,
        load: Load,
        bytes: fn(&Server) -> Result<i64>,
    ) -> Result<PerConnection> {
        warm_up(server)?;
        server.settle()?;
        let before = bytes(server)?;
        let mut session = Session::open(server.address(), connections, 1, Request::get("/plaintext"))?;
        if load == Load::Parked {
            session.send_and_hold(&Request::get("/park"))?;
        }
        server.settle()?;
        let held = bytes(server)?;
        drop(session);
        server.settle()?;
        // The loop looks once more at what it can give back, a second behind the end of a burst.
        sleep(Duration::from_millis(1_500));
        server.settle()?;
        let kept = bytes(server)?;
        let each = |bytes: i64| bytes as f64 / connections as f64;
        Ok(PerConnection { held: each(held - before), kept: each(kept - before) })
    }

    fn resident(subject: Subject, connections: usize, load: Load) -> Result<PerConnection> {
        let server = Server::start(subject, &[])?;
        let cost = PerConnection::measure(&server, connections, load, Server::anonymous_memory)?;
        server.end()?;
        Ok(cost)
    }

    /// What the program itself has allocated and not freed. In a run of its own: asking for it is a request, and what a server
    /// allocates for it lies behind everything else and keeps the allocator from giving back what is before it.
    fn on_heap(subject: Subject, connections: usize, load: Load) -> Result<PerConnection> {
        let server = Server::start(subject, &["--count-allocations"])?;
        let live_bytes = |server: &Server| Ok(server.get::<Allocations>("/allocations")?.live_bytes);
        let cost = PerConnection::measure(&server, connections, load, live_bytes)?;
        server.end()?;
        Ok(cost)
    }
}

/// Brings in what a server allocates once: the first figures would be charged with it.
fn warm_up(server: &Server) -> Result<()> {
    let mut session = Session::open(server.address(), 16, 1, Request::get("/plaintext"))?;
    session.run(Stop::after_requests(1_000))?;
    Ok(())
}
