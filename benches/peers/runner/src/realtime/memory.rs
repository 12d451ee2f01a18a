//! What a client that does nothing takes of the server's memory.

use super::{
    crowd::Crowd,
    programs::Program,
    rows::{MANY, MEMORY_ROWS, MemoryRow},
    way::Way,
};
use crate::{http::server::Server, options::Options};

/// Measures the rows and prints the table.
pub(super) fn print(options: &Options, programs: &[Program]) {
    let rows: Vec<_> = MEMORY_ROWS.iter().filter(|row| options.wants(row.name)).collect();
    if rows.is_empty() {
        return;
    }
    let titles: Vec<_> = programs.iter().map(|program| program.title).collect();
    println!();
    println!("| bytes of memory, at 10,000 | {} |", titles.join(" | "));
    println!("|---|{}", "--:|".repeat(programs.len()));
    for row in rows {
        eprintln!("{}", row.name);
        let mut line = format!("| {} |", row.title);
        for program in programs {
            match each(program, row) {
                Ok(Some(bytes)) => line.push_str(&format!(" {bytes:.0} |")),
                Ok(None) => line.push_str(" – |"),
                Err(error) => {
                    eprintln!("{}, {}: {error}", program.title, row.name);
                    line.push_str(" – |");
                }
            }
        }
        println!("{line}");
    }
}

fn each(program: &Program, row: &MemoryRow) -> Result<Option<f64>, String> {
    let Some(command) = program.command(row.way) else {
        return Ok(None);
    };
    let server = Server::start(command)?;
    // What a server allocates once is not charged to the clients.
    let _few = Crowd::open(row.way, server.address, 16)?;
    server.settle()?;
    let before = server.anonymous_memory()?;
    let mut many = Crowd::open(row.way, server.address, MANY)?;
    if matches!(row.way, Way::Events | Way::Poll) {
        // Every poll has a cursor then, and is not answered at once.
        many.prepare()?;
        many.publish()?;
        many.come_back()?;
    }
    server.settle()?;
    let held = server.anonymous_memory()?;
    Ok(Some((held as f64 - before as f64) / MANY as f64))
}
