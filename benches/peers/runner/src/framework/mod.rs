//! What a framework does between the request and the answer: processor time of routes, arguments, templates, files, compression, uploads.

mod rows;

use benches::process::raise_descriptor_limit;

use crate::{
    http::{cpu, programs},
    options::Options,
};

const PROGRAMS: [(&str, &str); 4] = [
    ("web", "ours-framework"),
    ("axum", "axum-framework"),
    ("actix-web", "actix-framework"),
    ("nginx", "nginx-framework"),
];

/// Builds the servers, unless told not to, measures what the command line asks for, and prints the table.
pub(crate) fn print(options: &Options) -> Result<(), String> {
    raise_descriptor_limit().map_err(|error| format!("the limit of descriptors: {error}"))?;
    let programs = programs::find_peers(&PROGRAMS, options.build)?;
    cpu::print(options, &programs, &rows::ROWS)
}
