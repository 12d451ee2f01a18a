//! Drives a server from the command line, or holds connections to it open.
//!
//! Run with `cargo run --release -p benches --bin load -- --url http://127.0.0.1:8080/plaintext --connections 64`.

use std::{error::Error, io, net::SocketAddr, process::exit, time::Duration};

use benches::{
    load::{Request, Session, Stop, reconnect},
    process::{pin, raise_descriptor_limit},
};
use lexopt::prelude::*;

fn main() -> Result<(), Box<dyn Error>> {
    let options = Options::parse(lexopt::Parser::from_env()).unwrap_or_else(|error| {
        eprintln!("{error}\n{USAGE}");
        exit(2);
    });
    raise_descriptor_limit()?;
    if let Some(core) = options.core {
        pin(0, &[core])?;
    }
    match options.mode {
        Mode::KeepAlive => {
            let mut session = options.open_session(options.request())?;
            println!("{}", session.run(options.stop())?);
        }
        Mode::Reconnect => {
            let request = options.request();
            let totals = reconnect(options.server, options.connections, &request, options.stop())?;
            println!("{totals}");
        }
        Mode::HoldIdle => {
            let session = options.open_session(options.request())?;
            wait_for_word(options.connections, "idle")?;
            drop(session);
        }
        Mode::HoldParked => {
            let mut session = options.open_session(Request::get("/plaintext"))?;
            session.send_and_hold(&options.request())?;
            if wait_for_word(options.connections, "parked")? == "finish" {
                println!("{}", session.finish()?);
            }
        }
    }
    Ok(())
}

/// Connections are held until a line comes on standard input, or its end.
fn wait_for_word(connections: usize, what: &str) -> io::Result<String> {
    println!("holding {connections} {what} connections until a line comes on standard input");
    let mut line = String::new();
    io::stdin().read_line(&mut line)?;
    Ok(line.trim().to_owned())
}

struct Options {
    mode: Mode,
    server: SocketAddr,
    path: String,
    connections: usize,
    depth: usize,
    post: Option<usize>,
    requests: u64,
    seconds: Option<f64>,
    core: Option<usize>,
}

enum Mode {
    KeepAlive,
    Reconnect,
    HoldIdle,
    HoldParked,
}

impl Options {
    fn parse(mut parser: lexopt::Parser) -> Result<Options, lexopt::Error> {
        let mut url = None;
        let mut options = Options {
            mode: Mode::KeepAlive,
            server: SocketAddr::from(([127, 0, 0, 1], 0)),
            path: String::new(),
            connections: 64,
            depth: 1,
            post: None,
            requests: 100_000,
            seconds: None,
            core: None,
        };
        while let Some(argument) = parser.next()? {
            match argument {
                Long("url") => url = Some(parser.value()?.string()?),
                Long("connections") => options.connections = parser.value()?.parse()?,
                Long("depth") => options.depth = parser.value()?.parse()?,
                Long("post") => options.post = Some(parser.value()?.parse()?),
                Long("requests") => options.requests = parser.value()?.parse()?,
                Long("seconds") => options.seconds = Some(parser.value()?.parse()?),
                Long("core") => options.core = Some(parser.value()?.parse()?),
                Long("reconnect") => options.mode = Mode::Reconnect,
                Long("hold-idle") => options.mode = Mode::HoldIdle,
                Long("hold-parked") => options.mode = Mode::HoldParked,
                Long("help") => {
                    println!("{USAGE}");
                    exit(0);
                }
                other => return Err(other.unexpected()),
            }
        }
        (options.server, options.path) = split_url(&url.ok_or("missing --url")?)?;
        Ok(options)
    }

    fn request(&self) -> Request {
        match self.post {
            Some(length) => Request::echo(&self.path, length),
            None => Request::get(&self.path),
        }
    }

    /// Called when the load begins, since a time limit counts from then.
    fn stop(&self) -> Stop {
        match self.seconds {
            Some(seconds) => Stop::after(Duration::from_secs_f64(seconds)),
            None => Stop::after_requests(self.requests),
        }
    }

    fn open_session(&self, request: Request) -> io::Result<Session> {
        Session::open(self.server, self.connections, self.depth, request)
    }
}

/// Takes `http://ADDRESS:PORT/path` apart; names are not looked up.
fn split_url(url: &str) -> Result<(SocketAddr, String), lexopt::Error> {
    let rest = url.strip_prefix("http://").ok_or("the URL is not http://")?;
    let (server, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let server = server.parse().map_err(|_| "the URL names no ADDRESS:PORT")?;
    Ok((server, if path.is_empty() { "/" } else { path }.to_owned()))
}

const USAGE: &str = "\
options: --url http://ADDRESS:PORT/PATH [--connections 64] [--depth 1] [--post BYTES]
         [--requests 100000 | --seconds S] [--reconnect | --hold-idle | --hold-parked] [--core N]

--reconnect    makes a connection per request
--hold-idle    opens the connections, sends one request over each, and keeps them until a line comes on standard input
--hold-parked  the same with a request left unanswered (--url .../park); the line \"finish\" awaits the answers before closing";
