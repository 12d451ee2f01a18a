//! Runs the programs of all peers in turn and prints tables as Markdown.

mod framework;
mod http;
mod instructions;
mod options;
mod process;
mod programs;
mod realtime;
mod streams;
mod table;
mod tls;

use std::process::ExitCode;

use nix::{
    sched::{CpuSet, sched_setaffinity},
    unistd::Pid,
};

use crate::options::Options;

fn main() -> ExitCode {
    if let Some(done) = realtime::run_if_asked() {
        return match done {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("clients: {error}");
                ExitCode::FAILURE
            }
        };
    }
    let options = match Options::from_arguments() {
        Ok(options) => options,
        Err(message) => {
            eprintln!("{message}");
            return ExitCode::from(2);
        }
    };
    match run(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("{message}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<(), String> {
    if options.framework {
        return framework::print(options);
    }
    if options.http {
        return http::print(options);
    }
    if options.realtime {
        return realtime::print(options);
    }
    if options.instructions {
        return instructions::print();
    }
    if options.streams {
        return streams::print(options);
    }
    pin(options.core)?;
    table::print(options)
}

/// The programs inherit it.
fn pin(core: usize) -> Result<(), String> {
    let mut cores = CpuSet::new();
    cores.set(core).map_err(|error| format!("core {core}: {error}"))?;
    sched_setaffinity(Pid::from_raw(0), &cores).map_err(|error| format!("pinning to core {core}: {error}"))
}
