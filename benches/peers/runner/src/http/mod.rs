//! HTTP servers beside each other: processor time of a request, then what a request and a connection cost otherwise.

mod costs;
pub(crate) mod cpu;
pub(crate) mod programs;
pub(crate) mod rows;
pub(crate) mod server;
mod tls_client;
mod tools;

use benches::process::raise_descriptor_limit;

use self::{costs::CostRow, programs::Program};
use crate::options::Options;

/// Builds the servers, unless told not to, measures what the command line asks for, and prints the tables.
pub(crate) fn print(options: &Options) -> Result<(), String> {
    // The servers inherit it: 10,000 connections do not fit into the usual 1,024.
    raise_descriptor_limit().map_err(|error| format!("the limit of descriptors: {error}"))?;
    let programs = programs::find(options.build)?;
    if options.instructions {
        return print_costs("instructions in user space", &costs::INSTRUCTIONS, options, &programs);
    }
    cpu::print(options, &programs, &rows::ROWS)?;
    print_costs("cost", &costs::COSTS, options, &programs)
}

/// A table of figures that are no ratios. A server whose figure cannot be had gets a dash.
fn print_costs(what: &str, rows: &[CostRow], options: &Options, programs: &[Program]) -> Result<(), String> {
    let rows: Vec<_> = rows.iter().filter(|row| options.wants(row.name)).collect();
    if rows.is_empty() {
        return Ok(());
    }
    println!();
    let titles: Vec<_> = programs.iter().map(|program| program.title).collect();
    println!("| {what} | {} |", titles.join(" | "));
    println!("|---|{}", "--:|".repeat(programs.len()));
    for row in rows {
        let mut line = format!("| {} |", row.title);
        for program in programs {
            match (row.measure)(program) {
                Ok(figure) => line.push_str(&format!(" {figure:.*} |", row.decimals)),
                Err(error) => {
                    eprintln!("{}, {}: {error}", program.title, row.name);
                    line.push_str(" – |");
                }
            }
        }
        println!("{line}");
    }
    Ok(())
}
