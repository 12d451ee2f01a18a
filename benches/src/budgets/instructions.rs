//! Instructions in user space per request, counted by callgrind: the figure that does not depend on the machine's load.

use std::{
    env, fs,
    path::PathBuf,
    process::{self, Command, Stdio},
};

use super::{
    Options, Result, Row,
    limits::{self, Limits},
    programs::require_tool,
    report::Unit,
    server::Server,
    subject::Subject,
};
use crate::load::{Request, Session, Stop};

pub(super) fn measure(options: &Options) -> Result<Vec<Row>> {
    require_tool("valgrind")?;
    Ok(vec![
        row(options, "instructions per request", "/plaintext", 1, limits::INSTRUCTIONS)?.gated(limits::GATE),
        row(options, "instructions per request, pipelined 16 deep", "/plaintext", 16, limits::INSTRUCTIONS_PIPELINED)?
            .gated(limits::GATE_PIPELINED),
        row(options, "instructions per request, JSON", "/json", 1, limits::INSTRUCTIONS_JSON)?.gated(limits::GATE_JSON),
        web_row(options, "instructions per page of 20 KiB, gzip", "page", Request::get_gzip("/page"), 20)?,
        web_row(options, "instructions per request, four empty wraps", "wrapped", Request::get("/wrapped"), 1)?
            .within(limits::INSTRUCTIONS_WRAPPED)
            .gated(limits::GATE_WRAPPED),
        web_row(
            options,
            "instructions per request, a parameter among 300 routes",
            "route",
            Request::get("/routes/277/1234"),
            1,
        )?
        .gated(limits::GATE_ROUTE),
    ])
}

fn row(options: &Options, what: &str, path: &str, depth: usize, limits: Limits) -> Result<Row> {
    let mut row = Row::new(what, Unit::Count, limits);
    for &subject in &options.subjects {
        let load = Load { name: path, depth, request: Request::get(path), requests: (SHORT, LONG) };
        row.put(subject, per_request(options, subject, &load)?);
    }
    Ok(row)
}

/// A row of what `web` alone has. Of what takes long, a fraction of the requests is enough.
fn web_row(options: &Options, what: &str, name: &str, request: Request, fraction: u64) -> Result<Row> {
    let mut row = Row::new(what, Unit::Count, limits::NONE);
    if options.subjects.contains(&Subject::Web) {
        let load = Load { name, depth: 1, request, requests: (SHORT / fraction, LONG / fraction) };
        row.put(Subject::Web, per_request(options, Subject::Web, &load)?);
    }
    Ok(row)
}

/// What one server is asked.
struct Load<'a> {
    /// For the name of a profile.
    name: &'a str,
    depth: usize,
    request: Request,
    /// In the short run and in the long one.
    requests: (u64, u64),
}

fn per_request(options: &Options, subject: Subject, load: &Load<'_>) -> Result<f64> {
    let (short, long) = load.requests;
    let [fewer, more] = [count(options, subject, load, short)?, count(options, subject, load, long)?];
    Ok((more - fewer) as f64 / (long - short) as f64)
}

/// Instructions of the whole life of a server that answers so many requests.
fn count(options: &Options, subject: Subject, load: &Load<'_>, requests: u64) -> Result<u64> {
    let profile = profile_path(options, subject, load.name, load.depth, requests)?;
    let mut valgrind = Command::new("valgrind");
    valgrind
        .args(["--tool=callgrind", "--quiet"])
        .arg(format!("--callgrind-out-file={}", profile.display()))
        .stderr(Stdio::null());
    let server = Server::start_through(valgrind, subject)?;
    let mut session = Session::open(server.address(), 1, load.depth, load.request.clone())?;
    session.run(Stop::after_requests(requests))?;
    drop(session);
    server.end()?;

    let text = fs::read_to_string(&profile)?;
    if options.keep_profiles.is_none() {
        fs::remove_file(&profile)?;
    }
    parse_totals(&text).ok_or_else(|| format!("no totals in {}", profile.display()).into())
}

fn profile_path(options: &Options, subject: Subject, path: &str, depth: usize, requests: u64) -> Result<PathBuf> {
    let program = subject.program();
    Ok(match &options.keep_profiles {
        Some(directory) => {
            fs::create_dir_all(directory)?;
            let path = path.trim_start_matches('/').replace('/', "-");
            directory.join(format!("callgrind.{program}.{path}.depth-{depth}.{requests}"))
        }
        None => env::temp_dir().join(format!("callgrind.{program}.{}", process::id())),
    })
}

/// The sum callgrind writes at the end of a profile; older versions write `summary:` alone.
fn parse_totals(profile: &str) -> Option<u64> {
    let line = |name| profile.lines().rev().find_map(|l| l.strip_prefix(name));
    let totals = line("totals:").or_else(|| line("summary:"))?;
    totals.split_whitespace().next()?.parse().ok()
}

const SHORT: u64 = 2_000;
const LONG: u64 = 12_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn totals_are_found_in_a_profile() {
        let profile = "version: 1\nevents: Ir\nsummary: 123\n\nfn=(1) main\n4 123\n\ntotals: 1234567\n";
        assert_eq!(parse_totals(profile), Some(1_234_567));
        assert_eq!(parse_totals("events: Ir\nsummary: 99\n"), Some(99));
        assert_eq!(parse_totals("events: Ir\n"), None);
    }
}
