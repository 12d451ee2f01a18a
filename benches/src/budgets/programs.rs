//! Builds the programs to measure and finds them, beside the budget command itself.

use std::{env, path::PathBuf, process::Command};

use super::{Options, Result, Section, realtime};

/// `cargo run --bin budgets` has built this program alone; the servers may be missing or older than their source.
pub(super) fn build(options: &Options) -> Result<()> {
    if options.no_build {
        return Ok(());
    }
    if cfg!(debug_assertions) {
        return Err("only release builds are worth measuring: cargo run --release -p benches --bin budgets".into());
    }
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut build = Command::new(cargo);
    build.args(["build", "--release", "--package", "benches"]);
    build.args(["--manifest-path", concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")]);
    for subject in &options.subjects {
        build.args(["--bin", subject.program()]);
        if options.sections.contains(&Section::Realtime)
            && let Some(program) = realtime::program(*subject)
        {
            build.args(["--bin", program]);
        }
    }
    if build.status()?.success() { Ok(()) } else { Err("the programs to measure do not build".into()) }
}

/// Where a program lies.
pub(super) fn path(program: &str) -> Result<PathBuf> {
    let path = env::current_exe()?.with_file_name(program);
    if path.exists() { Ok(path) } else { Err(format!("there is no {}", path.display()).into()) }
}

/// Says what to install when a tool is missing.
pub(super) fn require_tool(tool: &str) -> Result<()> {
    match Command::new(tool).arg("--version").output() {
        Ok(output) if output.status.success() => Ok(()),
        _ => Err(format!(
            "{tool} is not installed, and this section needs it: install the package \"{tool}\" of your distribution, \
             or name the other sections"
        )
        .into()),
    }
}
