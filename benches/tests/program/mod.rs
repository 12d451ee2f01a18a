//! A server program under test.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};

use benches::options::LISTENING_ON;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// A running program, killed when the test ends without having ended it.
pub(crate) struct Program {
    process: Child,
    /// Kept open: a server may not print into a closed pipe.
    _output: BufReader<ChildStdout>,
    pub(crate) address: SocketAddr,
}

impl Program {
    pub(crate) fn start(path: &str, options: &[&str]) -> Program {
        let mut process = Command::new(path).args(options).stdout(Stdio::piped()).spawn().unwrap();
        let mut output = BufReader::new(process.stdout.take().unwrap());
        let mut line = String::new();
        output.read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix(LISTENING_ON).unwrap();
        Program { address: address.parse().unwrap(), process, _output: output }
    }

    /// Asks the program to end and waits for it.
    #[allow(dead_code, reason = "not every test file ends its programs this way")]
    pub(crate) fn terminate(mut self) -> ExitStatus {
        let pid = Pid::from_raw(i32::try_from(self.process.id()).unwrap());
        kill(pid, Signal::SIGTERM).unwrap();
        self.process.wait().unwrap()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // Fails when it has ended already, which is as good.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
