//! The command line.

use std::{net::SocketAddr, time::Duration};

use lexopt::prelude::*;

/// How clients wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Requests that are answered when there is news, and asked again.
    Poll,
    /// Server-sent events.
    Events,
    /// WebSockets.
    WebSocket,
}

impl Kind {
    /// The name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Poll => "poll",
            Kind::Events => "events",
            Kind::WebSocket => "websocket",
        }
    }

    fn parse(name: &str) -> Result<Kind, lexopt::Error> {
        let all = [Kind::Poll, Kind::Events, Kind::WebSocket];
        all.into_iter().find(|kind| kind.name() == name).ok_or_else(|| format!("there are no {name} clients").into())
    }
}

/// What to hold, and what to publish.
#[derive(Clone, Debug)]
pub struct Options {
    /// How clients wait.
    pub kind: Kind,
    /// The servers. Clients are spread over them.
    pub servers: Vec<SocketAddr>,
    /// Where clients wait.
    pub path: String,
    /// Where messages are posted.
    pub publish_path: String,
    /// Whether each server is told each message, or the first one alone, which passes it on.
    pub publishes_to_all: bool,
    /// How many clients; 1,000 by default.
    pub clients: usize,
    /// How many of them are in one process; 15,000 by default.
    pub clients_per_process: usize,
    /// How many messages are published; 100 by default.
    pub messages: u64,
    /// How many in a second; 10 by default.
    pub rate: f64,
    /// How long a message is at least, in bytes; 100 by default.
    pub size: usize,
    /// From when on a message is late; 1 s by default.
    pub late: Duration,
    /// How long to wait for the last messages, and for clients to connect; 30 s by default.
    pub patience: Duration,
    /// How long all clients are held before the first message; none by default.
    pub hold: Duration,
    /// Whether the report is JSON.
    pub json: bool,
    /// Set in a worker: the number of its first client.
    pub worker: Option<usize>,
}

impl Options {
    /// Reads a command line; `None` when it asks for help.
    ///
    /// # Errors
    ///
    /// When an option is unknown or missing.
    pub fn parse(mut parser: lexopt::Parser) -> Result<Option<Options>, lexopt::Error> {
        let mut options = Options::of(Kind::WebSocket);
        let (mut path, mut kind) = (None, None);
        while let Some(argument) = parser.next()? {
            match argument {
                Value(name) => kind = Some(Kind::parse(&name.string()?)?),
                Long("server") => options.servers.push(parser.value()?.parse()?),
                Long("path") => path = Some(parser.value()?.string()?),
                Long("publish-path") => options.publish_path = parser.value()?.string()?,
                Long("publish-to-first") => options.publishes_to_all = false,
                Long("clients") => options.clients = parser.value()?.parse()?,
                Long("clients-per-process") => options.clients_per_process = parser.value()?.parse()?,
                Long("messages") => options.messages = parser.value()?.parse()?,
                Long("rate") => options.rate = parser.value()?.parse()?,
                Long("size") => options.size = parser.value()?.parse()?,
                Long("late-ms") => options.late = Duration::from_millis(parser.value()?.parse()?),
                Long("patience") => options.patience = seconds(parser.value()?.parse()?)?,
                Long("hold") => options.hold = seconds(parser.value()?.parse()?)?,
                Long("json") => options.json = true,
                Long("worker") => options.worker = Some(parser.value()?.parse()?),
                Long("help") => return Ok(None),
                other => return Err(other.unexpected()),
            }
        }
        options.kind = kind.ok_or("say which clients: poll, events or websocket")?;
        options.path = path.unwrap_or_else(|| format!("/{}", options.kind.name()));
        if options.servers.is_empty() {
            return Err("missing --server".into());
        }
        if options.clients_per_process == 0 || !(options.rate > 0.0 && options.rate.is_finite()) {
            return Err("a process has clients, and a rate is a positive number".into());
        }
        Ok(Some(options))
    }

    /// The defaults, for clients of one server.
    pub fn new(kind: Kind, server: SocketAddr) -> Options {
        Options { servers: vec![server], path: format!("/{}", kind.name()), ..Options::of(kind) }
    }

    fn of(kind: Kind) -> Options {
        Options {
            kind,
            servers: Vec::new(),
            path: String::new(),
            publish_path: "/publish".to_owned(),
            publishes_to_all: true,
            clients: 1_000,
            clients_per_process: 15_000,
            messages: 100,
            rate: 10.0,
            size: 100,
            late: Duration::from_secs(1),
            patience: Duration::from_secs(30),
            hold: Duration::ZERO,
            json: false,
            worker: None,
        }
    }

    /// The command line of a worker for `clients` clients from number `first` on.
    pub(super) fn of_worker(&self, first: usize, clients: usize) -> Vec<String> {
        let mut line = vec![self.kind.name().to_owned()];
        let mut put = |name: &str, value: String| line.extend([name.to_owned(), value]);
        for server in &self.servers {
            put("--server", server.to_string());
        }
        put("--path", self.path.clone());
        put("--clients", clients.to_string());
        put("--late-ms", self.late.as_millis().to_string());
        put("--patience", self.patience.as_secs_f64().to_string());
        put("--worker", first.to_string());
        line
    }

    /// What `--help` prints.
    pub const USAGE: &str = "\
usage: comet-load poll|events|websocket --server ADDRESS:PORT... [--path /KIND] [--publish-path /publish]
                  [--publish-to-first] [--clients 1000] [--clients-per-process 15000] [--messages 100]
                  [--rate 10] [--size 100] [--late-ms 1000] [--patience 30] [--hold 0] [--json]

Holds clients, publishes numbered messages, and counts those that are lost, doubled or late.

--server            may be repeated: clients are spread over the servers
--publish-to-first  posts each message to the first server alone, which passes it on to the others
--hold              seconds for which all clients are held before the first message
--json              the report as JSON, with latencies in microseconds";
}

fn seconds(seconds: f64) -> Result<Duration, lexopt::Error> {
    Duration::try_from_secs_f64(seconds).map_err(|_| "a time is a number of seconds".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &[String]) -> Result<Option<Options>, lexopt::Error> {
        Options::parse(lexopt::Parser::from_args(line))
    }

    #[test]
    fn a_worker_gets_what_it_needs() {
        let line = "events --server 127.0.0.1:80 --server 127.0.0.1:81 --clients 9 --late-ms 5 --patience 2.5";
        let options = parse(&line.split(' ').map(str::to_owned).collect::<Vec<_>>()).unwrap().unwrap();
        assert_eq!(options.path, "/events");
        let worker = parse(&options.of_worker(4, 5)).unwrap().unwrap();
        assert_eq!((worker.kind, worker.worker, worker.clients), (Kind::Events, Some(4), 5));
        assert_eq!((worker.servers, worker.late, worker.patience), (options.servers, options.late, options.patience));
    }

    #[test]
    fn what_makes_no_sense_is_an_error() {
        for line in ["", "poll", "smoke --server 127.0.0.1:80", "poll --server 127.0.0.1:80 --rate 0"] {
            assert!(parse(&line.split_terminator(' ').map(str::to_owned).collect::<Vec<_>>()).is_err(), "{line}");
        }
    }
}
