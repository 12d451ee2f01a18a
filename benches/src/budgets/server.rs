//! A server that is being measured: started, watched through /proc, ended.

use std::{
    fs,
    io::{BufRead, BufReader},
    net::SocketAddr,
    process::{Child, ChildStdout, Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use nix::sys::signal::{Signal, kill};
use serde::de::DeserializeOwned;

use super::{Result, programs, subject::Subject};
use crate::{
    load::{Request, fetch},
    options::LISTENING_ON,
    process::{pin, to_pid},
};

/// A running server. Dropped without [`end`](Server::end), it is killed.
#[derive(Debug)]
pub(super) struct Server {
    child: Child,
    /// The server's own number: that of the child, unless it was started through a tool that stays its parent.
    pid: u32,
    address: SocketAddr,
    /// Kept open: a server may not print into a closed pipe.
    _output: BufReader<ChildStdout>,
}

impl Server {
    /// Starts a program as it is, with options of its own.
    pub(super) fn start(subject: Subject, options: &[&str]) -> Result<Server> {
        Server::start_program(subject.program(), options)
    }

    /// Starts a program by its name.
    pub(super) fn start_program(program: &str, options: &[&str]) -> Result<Server> {
        let mut command = Command::new(programs::path(program)?);
        command.args(options);
        Server::spawn(command)
    }

    /// Starts a program through a tool, whose command line it is appended to.
    pub(super) fn start_through(mut tool: Command, subject: Subject) -> Result<Server> {
        tool.arg(programs::path(subject.program())?);
        Server::spawn(tool)
    }

    fn spawn(mut command: Command) -> Result<Server> {
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
        let pid = child.id();
        let output = child.stdout.take().ok_or("no pipe to the server")?;
        let mut server =
            Server { child, pid, address: SocketAddr::from(([0, 0, 0, 0], 0)), _output: BufReader::new(output) };
        let mut line = String::new();
        server._output.read_line(&mut line)?;
        let address = line.trim().strip_prefix(LISTENING_ON);
        server.address =
            address.ok_or_else(|| format!("{command:?} does not say where it listens: {line:?}"))?.parse()?;
        Ok(server)
    }

    /// Watches the only child of the started process instead of that process itself.
    pub(super) fn watch_child(&mut self) -> Result<()> {
        let pid = self.child.id();
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"))?;
        self.pid = children.trim().parse()?;
        Ok(())
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Lets the server run on one core only.
    pub(super) fn pin(&self, core: usize) -> Result<()> {
        Ok(pin(self.pid, &[core])?)
    }

    /// CPU time used so far, in user space and in the kernel, by all threads. In nanoseconds where /proc/PID/stat has ticks of 10 ms.
    pub(super) fn cpu_time(&self) -> Result<Duration> {
        let mut nanoseconds = 0;
        for task in fs::read_dir(format!("/proc/{}/task", self.pid))? {
            let text = fs::read_to_string(task?.path().join("schedstat"))?;
            let field = text.split_whitespace().next();
            nanoseconds += field.ok_or("an empty schedstat")?.parse::<u64>()?;
        }
        Ok(Duration::from_nanos(nanoseconds))
    }

    /// Bytes of anonymous memory in RAM: heap and stacks, not the program itself.
    pub(super) fn anonymous_memory(&self) -> Result<i64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid))?;
        parse_rss_anon(&status).ok_or_else(|| "no RssAnon in /proc/PID/status".into())
    }

    /// Waits until the server has nothing more to do, such as noticing that connections were closed.
    pub(super) fn settle(&self) -> Result<()> {
        let patience = Instant::now() + Duration::from_secs(20);
        let mut before = self.cpu_time()?;
        let mut quiet = 0;
        while quiet < 3 {
            sleep(Duration::from_millis(10));
            let now = self.cpu_time()?;
            // A timer may still tick: less than 0.2 ms of work in 10 is rest. The time of a thread that has ended meanwhile is
            // not in the sum any more.
            quiet = if now.saturating_sub(before) < Duration::from_micros(200) { quiet + 1 } else { 0 };
            before = now;
            if Instant::now() > patience {
                return Err("the server does not come to rest".into());
            }
        }
        Ok(())
    }

    /// The JSON body of a `GET`, over a connection of its own.
    pub(super) fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T> {
        let body = fetch(self.address, &Request::get(path))?;
        Ok(serde_json::from_slice(&body)?)
    }

    /// Ends the server with SIGTERM and waits until it and the tool around it are gone.
    pub(super) fn end(mut self) -> Result<()> {
        kill(to_pid(self.pid), Signal::SIGTERM)?;
        let patience = Instant::now() + Duration::from_secs(30);
        while self.child.try_wait()?.is_none() {
            if Instant::now() > patience {
                return Err("the server does not end on SIGTERM".into());
            }
            sleep(Duration::from_millis(5));
        }
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            // The child first: with its tracer gone, a server may run on by itself.
            let _ = kill(to_pid(self.pid), Signal::SIGKILL);
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

fn parse_rss_anon(status: &str) -> Option<i64> {
    let value = status.lines().find_map(|line| line.strip_prefix("RssAnon:"))?;
    let kibibytes: i64 = value.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn anonymous_memory_is_read_in_bytes() {
        let status = "VmRSS:\t    2000 kB\nRssAnon:\t     132 kB\nRssFile:\t 1868 kB\n";
        assert_eq!(parse_rss_anon(status), Some(132 * 1024));
        assert_eq!(parse_rss_anon("VmRSS:\t 1 kB\n"), None);
    }
}
