//! The servers: ours and the yardstick from the main workspace, the peers from this one.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

use crate::programs;

/// A server that is there.
pub(crate) struct Program {
    /// The head of its column.
    pub(crate) title: &'static str,
    pub(crate) path: PathBuf,
    /// What serves `/plaintext` over TLS when started with `--tls CHAIN KEY`; may be the same program.
    pub(crate) tls: Option<PathBuf>,
}

/// Ours first: the others are compared with it.
const OURS: [(&str, &str); 2] = [("httpserver", "bench-http"), ("web", "bench-web")];

const PEERS: [(&str, &str); 5] = [
    ("hyper", "hyper-http"),
    ("axum", "axum-http"),
    ("actix-web", "actix-http"),
    ("may_minihttp", "may-http"),
    ("xitca-web", "xitca-http"),
];

/// The peer whose program speaks TLS.
const TLS_PEER: &str = "hyper";

/// Ours over TLS: `bench-http` speaks plain TCP alone.
const OURS_TLS: &str = "ours-http";

const YARDSTICK: (&str, &str) = ("raw", "raw");

/// All servers in the order of the columns. A peer that does not build is left out, and said so.
pub(crate) fn find(build: bool) -> Result<Vec<Program>, String> {
    let main = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../.."));
    let target = env::var_os("CARGO_TARGET_DIR").map_or_else(|| main.join("target"), PathBuf::from).join("release");
    if build {
        let names = [OURS[0].1, OURS[1].1, YARDSTICK.1];
        let programs = names.iter().flat_map(|name| ["--bin", name]);
        cargo_build(&main, ["--package", "benches"].into_iter().chain(programs))?;
    }
    let ours = |(title, name): (&'static str, &str)| {
        let path = target.join(name);
        if path.exists() {
            Ok(Program { title, path, tls: None })
        } else {
            Err(format!("{} is not built", path.display()))
        }
    };
    let mut found = OURS.into_iter().map(ours).collect::<Result<Vec<_>, _>>()?;
    let tls = peer(OURS[0].0, OURS_TLS, build).inspect_err(|error| eprintln!("without TLS: {error}"));
    found[0].tls = tls.ok().map(|program| program.path);
    for (title, name) in PEERS {
        match peer(title, name, build) {
            Ok(program) => found.push(program),
            Err(error) => eprintln!("without {title}: {error}"),
        }
    }
    found.push(ours(YARDSTICK)?);
    Ok(found)
}

/// Programs of this workspace alone, the first of which has to be there.
pub(crate) fn find_peers(names: &[(&'static str, &str)], build: bool) -> Result<Vec<Program>, String> {
    let mut found = Vec::new();
    for (title, name) in names {
        match peer(title, name, build) {
            Ok(program) => found.push(Program { tls: None, ..program }),
            Err(error) if found.is_empty() => return Err(error),
            Err(error) => eprintln!("without {title}: {error}"),
        }
    }
    Ok(found)
}

/// Each by itself, so that one which fails does not take the others along.
fn peer(title: &'static str, name: &str, build: bool) -> Result<Program, String> {
    if build {
        build_peer(name)?;
    }
    let path = programs::path(name)?;
    let tls = (title == TLS_PEER).then(|| path.clone());
    Ok(Program { title, path, tls })
}

/// Builds a package of this workspace by itself.
pub(crate) fn build_peer(name: &str) -> Result<(), String> {
    let workspace = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    cargo_build(workspace, ["--package", &format!("peers-{name}")].into_iter())
}

fn cargo_build<'a>(workspace: &Path, arguments: impl Iterator<Item = &'a str>) -> Result<(), String> {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["build", "--release", "--manifest-path"]).arg(workspace.join("Cargo.toml")).args(arguments);
    let status = cargo.status().map_err(|error| format!("{cargo:?}: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("{cargo:?}: {status}")) }
}
