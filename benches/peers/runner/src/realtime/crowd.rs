use std::{
    env,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    time::Duration,
};

use super::{message, receivers::RECEIVERS, way::Way};

/// Many clients of one server, in a process of their own. They leave when it is dropped.
pub(super) struct Crowd {
    way: Way,
    server: SocketAddr,
    process: Child,
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
    published: u32,
}

impl Crowd {
    /// Waits until all are there; polls have been sent then.
    pub(super) fn open(way: Way, server: SocketAddr, count: usize) -> Result<Crowd, String> {
        let failed = |error| format!("the clients: {error}");
        let mut process = Command::new(env::current_exe().map_err(failed)?)
            .args([RECEIVERS, way.path(), &server.to_string(), &count.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(failed)?;
        let orders = process.stdin.take().expect("it is piped");
        let answers = BufReader::new(process.stdout.take().expect("it is piped"));
        let mut crowd = Crowd { way, server, process, orders, answers, published: 0 };
        crowd.hear("ready")?;
        Ok(crowd)
    }

    /// Gets ready for the next message.
    pub(super) fn prepare(&mut self) -> Result<(), String> {
        self.published += 1;
        self.order(&format!("expect {}", self.published))?;
        self.hear("expecting")
    }

    /// Publishes it and waits until everybody has got it.
    pub(super) fn publish(&mut self) -> Result<(), String> {
        publish(self.server, &message::published(self.published)).map_err(|error| format!("publishing: {error}"))?;
        self.hear("all")
    }

    /// Has everybody come back who was answered.
    pub(super) fn come_back(&mut self) -> Result<(), String> {
        if self.way != Way::Poll {
            return Ok(());
        }
        self.order("poll")?;
        self.hear("polled")
    }

    fn order(&mut self, order: &str) -> Result<(), String> {
        writeln!(self.orders, "{order}").map_err(|error| format!("the clients: {error}"))
    }

    fn hear(&mut self, expected: &str) -> Result<(), String> {
        let mut line = String::new();
        self.answers.read_line(&mut line).map_err(|error| format!("the clients: {error}"))?;
        // They have said themselves what went wrong.
        if line.trim() == expected { Ok(()) } else { Err(format!("the clients have ended instead of {expected:?}")) }
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Over a connection of its own.
fn publish(server: SocketAddr, message: &str) -> std::io::Result<()> {
    let mut stream = TcpStream::connect(server)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let request = format!(
        "POST /publish HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\r\n{message}",
        message.len()
    );
    stream.write_all(request.as_bytes())?;
    let mut answer = [0; 1024];
    let received = stream.read(&mut answer)?;
    let answer = &answer[..received];
    let good = answer.starts_with(b"HTTP/1.1 20");
    if good { Ok(()) } else { Err(std::io::Error::other(format!("bad answer: {}", answer.escape_ascii()))) }
}

const PATIENCE: Duration = Duration::from_secs(30);
