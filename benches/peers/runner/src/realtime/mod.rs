//! Servers of WebSockets, event streams and long polls beside each other: processor time of a message, memory of a client.

mod cpu;
mod crowd;
mod echo;
mod frame;
mod memory;
mod message;
mod poll;
mod programs;
mod receivers;
mod rows;
mod way;

use benches::process::raise_descriptor_limit;

pub(crate) use self::receivers::run_if_asked;
use crate::options::Options;

/// Builds the servers, unless told not to, measures what the command line asks for, and prints the tables.
pub(crate) fn print(options: &Options) -> Result<(), String> {
    // The servers and the processes of clients inherit it: 10,000 connections do not fit into the usual 1,024.
    raise_descriptor_limit().map_err(|error| format!("the limit of descriptors: {error}"))?;
    let programs = programs::find(options.build)?;
    cpu::print(options, &programs)?;
    memory::print(options, &programs);
    Ok(())
}
