//! Allocations per request, counted by the programs' own allocator.

use super::{
    Options, Result, Row,
    limits::{self, Limits},
    report::Unit,
    server::Server,
    subject::Subject,
};
use crate::{
    load::{Request, Session, Stop},
    message::Allocations,
};

pub(super) fn measure(options: &Options) -> Result<Vec<Row>> {
    Ok(vec![
        row(options, "allocations per request", Request::get("/plaintext"), limits::ALLOCATIONS)?,
        row(options, "allocations per request with a path parameter", Request::get("/user/12345"), limits::NONE)?,
        row(options, "allocations per POST echo of 10 KiB", Request::echo("/echo", 10 * 1024), limits::NONE)?,
    ])
}

fn row(options: &Options, what: &str, request: Request, limits: Limits) -> Result<Row> {
    let mut row = Row::new(what, Unit::Average, limits);
    for &subject in &options.subjects {
        // The yardstick does not count: it has nothing to allocate.
        if subject != Subject::Raw {
            row.put(subject, per_request(subject, &request)?);
        }
    }
    Ok(row)
}

fn per_request(subject: Subject, request: &Request) -> Result<f64> {
    let server = Server::start(subject, &["--count-allocations"])?;
    let mut session = Session::open(server.address(), 1, 1, request.clone())?;
    let mut after = |requests| -> Result<f64> {
        session.run(Stop::after_requests(requests))?;
        Ok(server.get::<Allocations>("/allocations")?.allocations as f64)
    };
    // Asking costs allocations too, the same each time.
    let (start, short, long) = (after(100)?, after(SHORT)?, after(LONG)?);
    let difference = (long - short) - (short - start);
    drop(session);
    server.end()?;
    Ok(difference / (LONG - SHORT) as f64)
}

const SHORT: u64 = 2_000;
const LONG: u64 = 12_000;
