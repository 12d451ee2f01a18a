//! The size of the future that serves one connection: what an idle connection carries of its service.

use super::{Options, Result, Row, limits, report::Unit, server::Server, subject::Subject};
use crate::message::Sizes;

pub(super) fn measure(options: &Options) -> Result<Vec<Row>> {
    let mut row = Row::new("bytes of the future of a connection", Unit::Count, limits::NONE);
    for &subject in &options.subjects {
        if subject != Subject::Raw {
            let server = Server::start(subject, &[])?;
            let sizes: Sizes = server.get("/sizes")?;
            server.end()?;
            row.put(subject, sizes.connection_future as f64);
        }
    }
    Ok(vec![row])
}
