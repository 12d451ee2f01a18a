use std::{env, path::PathBuf, process::Command};

use peers_work::{Sample, rows::Row};

/// Ours first: the others are compared with it.
pub(crate) const PEERS: [&str; 4] = ["ours", "tokio", "smol", "monoio"];

/// The program of a peer, which stands beside this one.
pub(crate) fn path(peer: &str) -> Result<PathBuf, String> {
    let own = env::current_exe().map_err(|error| format!("this program's own path: {error}"))?;
    let program = own.with_file_name(format!("peers-{peer}"));
    if program.exists() { Ok(program) } else { Err(format!("{} is not built", program.display())) }
}

/// Runs a row once; `None` when the peer cannot do it.
pub(crate) fn sample(peer: &str, row: Row) -> Result<Option<Sample>, String> {
    let output = run(Command::new(path(peer)?).arg(row.name))?.0;
    if output.trim() == "not possible" {
        return Ok(None);
    }
    Sample::parse(&output).map(Some).ok_or_else(|| format!("{peer}, {}: unreadable output", row.name))
}

/// Standard output and standard error of a command that must succeed.
pub(crate) fn run(command: &mut Command) -> Result<(String, String), String> {
    let output = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    let [out, error] = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    if output.status.success() { Ok((out, error)) } else { Err(format!("{command:?}: {}\n{error}", output.status)) }
}
