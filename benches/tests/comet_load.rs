//! The load tool for servers that push: against a small server that makes the mistakes it is told to make, and against ours.

mod program;

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    process::Command,
    sync::{Arc, Condvar, Mutex},
    thread,
};

use benches::load::{EchoSession, Stop};
use program::Program;
use serde_json::Value;

const KINDS: [&str; 3] = ["poll", "events", "websocket"];

/// What happens to the fourth message.
#[derive(Clone, Copy, PartialEq)]
enum Fault {
    None,
    Lost,
    Doubled,
    /// The connection ends in front of it, once.
    Cut,
}

/// Runs the tool with 20 clients in three processes and 10 messages. The report, and whether it says that all is well.
fn run(kind: &str, fault: Fault, options: &[&str]) -> (Value, bool) {
    run_at(start(fault), kind, options)
}

fn run_at(server: SocketAddr, kind: &str, options: &[&str]) -> (Value, bool) {
    let server = server.to_string();
    let mut command = Command::new(env!("CARGO_BIN_EXE_comet-load"));
    command.args([kind, "--server", &server, "--clients", "20", "--clients-per-process", "8", "--messages", "10"]);
    let output = command.args(["--rate", "500", "--size", "200", "--json"]).args(options).output().unwrap();
    let report = serde_json::from_slice(&output.stdout);
    (report.unwrap_or_else(|_| panic!("{output:?}")), output.status.success())
}

#[test]
fn what_arrives_once_and_in_order_is_delivered() {
    for kind in KINDS {
        let (report, is_clean) = run(kind, Fault::None, &["--late-ms", "60000"]);
        assert!(is_clean, "{report}");
        assert_eq!([&report["clients"], &report["messages"], &report["delivered"]], [20, 10, 200], "{report}");
        assert_eq!(report["kind"], kind);
        let latency = |name: &str| report["latency_us"][name].as_u64().unwrap();
        assert!(latency("p50") > 0 && latency("p50") <= latency("p99") && latency("p99") <= latency("max"));
    }
}

#[test]
fn our_own_server_delivers_everything_once() {
    let server = Program::start(env!("CARGO_BIN_EXE_bench-comet"), &[]);
    for kind in KINDS {
        let (report, is_clean) = run_at(server.address, kind, &["--late-ms", "60000"]);
        assert!(is_clean, "{report}");
        assert_eq!([&report["delivered"], &report["reconnects"]], [200, 0], "{report}");
    }
    assert!(server.terminate().success());
}

#[test]
fn echoes_come_back_from_both_servers() {
    for program in [env!("CARGO_BIN_EXE_raw-websocket"), env!("CARGO_BIN_EXE_bench-comet")] {
        let server = Program::start(program, &[]);
        for size in [0, 32, 125, 126, 4096, 60_000] {
            let mut session = EchoSession::open(server.address, "/echo", 3, size).unwrap();
            assert_eq!(session.run(Stop::after_requests(50)).unwrap().requests, 50, "{program} {size}");
        }
    }
}

#[test]
fn what_is_lost_doubled_or_late_is_counted() {
    for kind in KINDS {
        let (report, is_clean) = run(kind, Fault::Lost, &[]);
        assert!(!is_clean);
        assert_eq!([&report["delivered"], &report["lost"], &report["doubled"]], [180, 20, 0], "{report}");
        let (report, is_clean) = run(kind, Fault::Doubled, &[]);
        assert!(!is_clean);
        assert_eq!([&report["delivered"], &report["lost"], &report["doubled"]], [200, 0, 20], "{report}");
        let (report, is_clean) = run(kind, Fault::None, &["--late-ms", "0"]);
        assert!(!is_clean);
        assert_eq!([&report["delivered"], &report["late"]], [200, 200], "{report}");
    }
}

#[test]
fn clients_come_back_with_their_cursor() {
    for kind in KINDS {
        let (report, is_clean) = run(kind, Fault::Cut, &["--late-ms", "60000"]);
        assert!(is_clean, "{report}");
        assert_eq!([&report["delivered"], &report["reconnects"]], [200, 20], "{report}");
    }
}

#[test]
fn messages_at_the_end_are_missed_too() {
    // Nobody posts to the server where the clients wait.
    let (posted, silent) = (start(Fault::None).to_string(), start(Fault::None).to_string());
    let mut command = Command::new(env!("CARGO_BIN_EXE_comet-load"));
    command.args(["events", "--server", &posted, "--server", &silent, "--publish-to-first", "--patience", "0.2"]);
    let output = command.args(["--clients", "4", "--messages", "3", "--rate", "100", "--json"]).output().unwrap();
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!([&report["delivered"], &report["lost"]], [6, 6], "{report}");
}

/// Everything that was published, and a bell.
type Log = Arc<(Mutex<Vec<String>>, Condvar)>;

/// A server with a thread for each connection.
fn start(fault: Fault) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let log = Log::default();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let log = log.clone();
            // A client that has gone ends its thread.
            thread::spawn(move || _ = Connection { stream: stream.unwrap(), log, fault, came_back: None }.serve());
        }
    });
    address
}

struct Connection {
    stream: TcpStream,
    log: Log,
    fault: Fault,
    /// Whether the first request had a cursor already.
    came_back: Option<bool>,
}

impl Connection {
    fn serve(mut self) -> std::io::Result<()> {
        let mut reader = BufReader::new(self.stream.try_clone()?);
        loop {
            let (mut target, mut length, mut cursor) = (String::new(), 0, None);
            loop {
                let mut line = String::new();
                if reader.read_line(&mut line)? == 0 {
                    return Ok(());
                }
                let line = line.trim_end();
                match line.split_once(": ") {
                    _ if line.is_empty() => break,
                    None => target = line.split(' ').nth(1).unwrap().to_owned(),
                    Some(("Content-Length", value)) => length = value.parse().unwrap(),
                    Some(("Last-Event-ID", value)) => cursor = Some(value.parse().unwrap()),
                    Some(_) => {}
                }
            }
            let mut body = vec![0; length];
            reader.read_exact(&mut body)?;
            if let Some((_, value)) = target.split_once("?cursor=") {
                cursor = Some(value.parse().unwrap());
            }
            self.came_back.get_or_insert(cursor.is_some());
            // Before the head says that the client is there.
            let start = cursor.unwrap_or(self.length());
            match target.split('?').next().unwrap() {
                "/publish" => self.publish(String::from_utf8(body).unwrap())?,
                "/poll" => self.poll(cursor)?,
                "/events" => {
                    self.stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")?;
                    return self.push(start, |at, message| {
                        let event = format!("id: {at}\ndata: {message}\n\n");
                        format!("{:x}\r\n{event}\r\n", event.len()).into_bytes()
                    });
                }
                "/websocket" => {
                    let accept = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
                    write!(self.stream, "HTTP/1.1 101 Yes\r\nSec-WebSocket-Accept: {accept}\r\n\r\n")?;
                    return self.push(start, |at, message| {
                        let text = format!("{{\"cursor\":\"{at}\",\"data\":{message}}}");
                        assert!((126..65536).contains(&text.len()));
                        [&[0x81, 126, (text.len() >> 8) as u8, text.len() as u8], text.as_bytes()].concat()
                    });
                }
                other => panic!("{other}"),
            }
        }
    }

    fn publish(&mut self, message: String) -> std::io::Result<()> {
        self.log.0.lock().unwrap().push(message);
        self.log.1.notify_all();
        self.stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    }

    /// Waits for messages from `at` on.
    fn wait(&self, at: usize) -> Vec<String> {
        let log = self.log.0.lock().unwrap();
        self.log.1.wait_while(log, |log| log.len() <= at).unwrap()[at..].to_vec()
    }

    fn length(&self) -> usize {
        self.log.0.lock().unwrap().len()
    }

    fn poll(&mut self, cursor: Option<usize>) -> std::io::Result<()> {
        let start = cursor.unwrap_or(self.length());
        let mut messages = if cursor.is_some() { self.wait(start) } else { Vec::new() };
        let end = start + messages.len();
        if (start..end).contains(&3) {
            let fourth = messages[3 - start].clone();
            match self.fault {
                Fault::Lost => drop(messages.remove(3 - start)),
                Fault::Doubled => messages.push(fourth),
                Fault::Cut if self.came_back == Some(false) => return Err(std::io::ErrorKind::ConnectionReset.into()),
                _ => {}
            }
        }
        let body = format!("{{\"messages\":[{}],\"cursor\":\"{end}\"}}", messages.join(","));
        write!(self.stream, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len())
    }

    fn push(&mut self, mut at: usize, deliver: impl Fn(usize, &str) -> Vec<u8>) -> std::io::Result<()> {
        loop {
            for message in self.wait(at) {
                let delivery = deliver(at + 1, &message);
                let times = match (at, self.fault) {
                    (3, Fault::Lost) => 0,
                    (3, Fault::Doubled) => 2,
                    (3, Fault::Cut) if self.came_back == Some(false) => return Ok(()),
                    _ => 1,
                };
                self.stream.write_all(&delivery.repeat(times))?;
                at += 1;
            }
        }
    }
}
