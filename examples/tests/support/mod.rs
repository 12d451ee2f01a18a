//! Runs an example and talks to it over plain TCP.

// Each test file uses its own part of this.
#![allow(dead_code)]

pub mod http;

use std::{
    fs,
    io::{BufRead, BufReader, ErrorKind, Read, Write},
    net::{SocketAddr, TcpStream},
    process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

/// A test that waits longer than this for anything has failed.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A running example; killed when dropped.
pub struct Program {
    child: Child,
    output: BufReader<ChildStdout>,
}

impl Program {
    pub fn start(path: &str, arguments: &[&str]) -> Program {
        Program::spawn(Command::new(path).args(arguments))
    }

    pub fn spawn(command: &mut Command) -> Program {
        let mut child = command
            .env("RUST_LOG", "off")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the example starts");
        let output = BufReader::new(child.stdout.take().expect("its output is piped"));
        Program { child, output }
    }

    /// What an example prints to standard error when it cannot even start.
    pub fn refusal(path: &str, arguments: &[&str]) -> String {
        let output = Command::new(path).args(arguments).env("RUST_LOG", "off").output().expect("the example starts");
        assert_eq!(output.status.code(), Some(1));
        String::from_utf8(output.stderr).expect("the message is text")
    }

    /// Starts a server on a free port.
    pub fn serve(path: &str) -> (Program, SocketAddr) {
        let mut program = Program::start(path, &["--port", "0"]);
        let address = program.listening();
        (program, address)
    }

    /// The address in the next line of output.
    pub fn listening(&mut self) -> SocketAddr {
        let line = self.line();
        let address =
            line.trim_start_matches("listening on ").trim_start_matches("http://").trim_start_matches("https://");
        address.parse().unwrap_or_else(|_| panic!("no address in {line:?}"))
    }

    /// The next line of output, without its end; empty at the end of the output.
    pub fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).expect("the output is text");
        line.trim_end().to_owned()
    }

    pub fn rest_of_output(&mut self) -> String {
        let mut rest = String::new();
        self.output.read_to_string(&mut rest).expect("the output is text");
        rest
    }

    pub fn input(&mut self) -> ChildStdin {
        self.child.stdin.take().expect("the input is taken once")
    }

    /// Bytes of resident memory.
    pub fn resident(&self) -> usize {
        let statm = fs::read_to_string(format!("/proc/{}/statm", self.child.id())).expect("the example runs");
        statm.split(' ').nth(1).and_then(|pages| pages.parse::<usize>().ok()).expect("a number of pages") * 4096
    }

    pub fn hang_up(&self) {
        kill(Pid::from_raw(self.child.id() as i32), Signal::SIGHUP).expect("the example runs");
    }

    pub fn terminate(&self) {
        kill(Pid::from_raw(self.child.id() as i32), Signal::SIGTERM).expect("the example runs");
    }

    /// Waits until the program has ended by itself.
    pub fn end(mut self) -> ExitStatus {
        self.child.wait().expect("the example was started")
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended already, and then there is nothing to kill.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A connection that reads by lines and never waits for ever.
pub struct Lines {
    stream: BufReader<TcpStream>,
}

impl Lines {
    pub fn connect(address: SocketAddr) -> Lines {
        let stream = TcpStream::connect(address).expect("the example listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a time-out above zero");
        Lines { stream: BufReader::new(stream) }
    }

    pub fn send(&mut self, text: &str) {
        self.stream.get_mut().write_all(text.as_bytes()).expect("the connection stands");
    }

    /// The next line without its end, `None` when the connection is closed.
    pub fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        match self.stream.read_line(&mut line) {
            Ok(0) => None,
            Ok(_) => Some(line.trim_end().to_owned()),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => None,
            Err(error) => panic!("no line came: {error}"),
        }
    }
}

/// Calls `check` until it returns something.
pub fn eventually<T>(what: &str, mut check: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = check() {
            return found;
        }
        assert!(began.elapsed() < PATIENCE, "waited in vain until {what}");
        thread::sleep(Duration::from_millis(5));
    }
}
