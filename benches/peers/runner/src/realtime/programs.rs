//! The servers: the yardstick first, then ours and the peers.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use super::way::Way;
use crate::{http::programs::build_peer, programs};

/// A server that is there.
pub(super) struct Program {
    /// The head of its column.
    pub(super) title: &'static str,
    ways: &'static [Way],
    start: Start,
}

enum Start {
    Program(PathBuf),
    /// A file that Python runs.
    Python(PathBuf),
}

impl Program {
    /// `None` when it does not serve this way.
    pub(super) fn command(&self, way: Way) -> Option<Command> {
        self.ways.contains(&way).then(|| match &self.start {
            Start::Program(path) => Command::new(path),
            Start::Python(path) => python(path),
        })
    }
}

/// Title, package, and what it serves. The first one is what the others are compared with.
const SERVERS: [(&str, &str, &[Way]); 7] = [
    ("raw", "plain", &Way::ALL),
    ("web", "ours-realtime", &Way::ALL),
    ("axum", "axum-realtime", WITHOUT_DEFLATE),
    ("actix-ws", "actix-realtime", WITHOUT_DEFLATE),
    ("fastwebsockets", "fastwebsockets-realtime", &[Way::Echo]),
    ("tokio-tungstenite", "tungstenite-realtime", &[Way::Echo]),
    ("yawc", "yawc-realtime", &[Way::Echo, Way::Deflate]),
];

const WITHOUT_DEFLATE: &[Way] = &[Way::Echo, Way::WebSocket, Way::Events, Way::Poll];

/// All servers in the order of the columns. A peer that does not build or is not installed is left out, and said so.
pub(super) fn find(build: bool) -> Result<Vec<Program>, String> {
    let mut found = Vec::new();
    for (title, package, ways) in SERVERS {
        match server(package, build) {
            Ok(path) => found.push(Program { title, ways, start: Start::Program(path) }),
            // Without the yardstick there is no ratio.
            Err(error) if found.is_empty() => return Err(error),
            Err(error) => eprintln!("without {title}: {error}"),
        }
    }
    let imported = Command::new("python3").args(["-c", "import tornado"]).stderr(Stdio::null()).status();
    if imported.is_ok_and(|status| status.success()) {
        let path = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../tornado-realtime/server.py")).to_owned();
        found.push(Program { title: "Tornado", ways: &Way::ALL, start: Start::Python(path) });
    } else {
        eprintln!("without Tornado: not installed (python3 -c 'import tornado' fails)");
    }
    Ok(found)
}

fn server(package: &str, build: bool) -> Result<PathBuf, String> {
    if build {
        build_peer(package)?;
    }
    // What the yardstick's package has besides is the stream rows.
    programs::path(if package == "plain" { "plain-realtime" } else { package })
}

fn python(path: &Path) -> Command {
    let mut command = Command::new("python3");
    command.arg(path);
    command
}
