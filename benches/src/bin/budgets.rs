//! Prints what a request and a connection cost, beside the yardstick, or checks it.
//!
//! Run with `cargo run --release -p benches --bin budgets`, or with `-- --check` behind it to count instructions alone and fail when
//! a request takes more than its budget.

use std::process::ExitCode;

use benches::budgets::{Options, run};

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
    match run(&options) {
        Ok(report) => {
            print!("{report}");
            for line in report.over_budget() {
                eprintln!("over budget: {line}");
            }
            let broken = report.broken_gates();
            for line in &broken {
                eprintln!("more than has been reached: {line}");
            }
            ExitCode::from(u8::from(options.check && !broken.is_empty()))
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
