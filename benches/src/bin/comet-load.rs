//! Holds long polls, event streams or WebSockets, publishes, and counts lost, doubled and late messages.
//!
//! Run with `cargo run --release -p benches --bin comet-load -- websocket --server 127.0.0.1:8080 --clients 10000`.

use std::{io, process::ExitCode};

use benches::{
    comet::{Options, run, work},
    process::raise_descriptor_limit,
};

fn main() -> ExitCode {
    let options = match Options::parse(lexopt::Parser::from_env()) {
        Ok(Some(options)) => options,
        Ok(None) => {
            println!("{}", Options::USAGE);
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            eprintln!("{error}\n{}", Options::USAGE);
            return ExitCode::from(2);
        }
    };
    match load(&options) {
        Ok(is_clean) => ExitCode::from(u8::from(!is_clean)),
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(2)
        }
    }
}

/// Whether nothing was lost, doubled or late.
fn load(options: &Options) -> io::Result<bool> {
    raise_descriptor_limit()?;
    if let Some(first) = options.worker {
        return work(options, first).map(|()| true);
    }
    let report = run(options)?;
    if options.json {
        println!("{}", report.to_json());
    } else {
        print!("{report}");
    }
    Ok(report.tally.is_clean())
}
