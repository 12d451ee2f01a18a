use std::{
    fs,
    io::{BufRead, BufReader},
    net::SocketAddr,
    process::{Child, ChildStdout, Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use benches::options::LISTENING_ON;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::process;

/// A server in a process of its own. Killed when dropped without [`end`](Server::end).
pub(crate) struct Server {
    child: Child,
    /// The server's own number: that of the child, unless it was started through a tool that stays its parent.
    pid: u32,
    pub(crate) address: SocketAddr,
    /// Kept open: a server may not print into a closed pipe.
    _output: BufReader<ChildStdout>,
}

impl Server {
    /// Starts it and waits until it says where it listens.
    pub(crate) fn start(mut command: Command) -> Result<Server, String> {
        let failed = |error| format!("{error}");
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().map_err(failed)?;
        let mut output = BufReader::new(child.stdout.take().expect("it is piped"));
        let mut line = String::new();
        let read = output.read_line(&mut line).map_err(failed);
        let address = line.trim().strip_prefix(LISTENING_ON).and_then(|address| address.parse().ok());
        let (Ok(_), Some(address)) = (read, address) else {
            let _ = child.kill();
            let _ = child.wait();
            return Err(format!("it does not say where it listens: {line:?}"));
        };
        let pid = child.id();
        Ok(Server { child, pid, address, _output: output })
    }

    /// Watches the only child of the started process, which is a tool, instead of that process itself.
    pub(crate) fn watch_child(&mut self) -> Result<(), String> {
        let pid = self.child.id();
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
        let child = children.ok().and_then(|children| children.trim().parse().ok());
        self.pid = child.ok_or("the tool has not one child")?;
        Ok(())
    }

    /// Nanoseconds on a processor, of all threads so far.
    pub(crate) fn cpu(&self) -> Result<u64, String> {
        process::cpu(self.pid).map_err(|error| format!("its processor time: {error}"))
    }

    pub(crate) fn anonymous_memory(&self) -> Result<u64, String> {
        process::anonymous_memory(self.pid).map_err(|error| format!("its memory: {error}"))
    }

    /// Waits until the server has nothing more to do, such as noticing that connections were closed.
    pub(crate) fn settle(&self) -> Result<(), String> {
        let patience = Instant::now() + PATIENCE;
        let mut before = self.cpu()?;
        let mut quiet = 0;
        while quiet < 3 {
            sleep(Duration::from_millis(10));
            let now = self.cpu()?;
            // A timer may still tick: less than 0.2 ms of work in 10 is rest.
            quiet = if now - before < 200_000 { quiet + 1 } else { 0 };
            before = now;
            if Instant::now() > patience {
                return Err("the server does not come to rest".to_owned());
            }
        }
        Ok(())
    }

    /// Ends the server with SIGTERM and waits until it and the tool around it are gone.
    pub(crate) fn end(mut self) -> Result<(), String> {
        kill(Pid::from_raw(self.pid as i32), Signal::SIGTERM).map_err(|error| error.to_string())?;
        let patience = Instant::now() + PATIENCE;
        while self.child.try_wait().map_err(|error| error.to_string())?.is_none() {
            if Instant::now() > patience {
                return Err("the server does not end on SIGTERM".to_owned());
            }
            sleep(Duration::from_millis(5));
        }
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            // The server first: with its tracer gone it might run on by itself.
            let _ = kill(Pid::from_raw(self.pid as i32), Signal::SIGKILL);
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

const PATIENCE: Duration = Duration::from_secs(30);
