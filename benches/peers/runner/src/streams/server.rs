use std::{
    io::{self, BufRead, BufReader},
    net::SocketAddr,
    process::{Child, Command, Stdio},
};

use nix::{
    sched::{CpuSet, sched_setaffinity},
    unistd::Pid,
};
use peers_work::streams::Service;

use crate::{process, programs, tls::Certificate};

/// A peer's server in a process of its own; ends when dropped.
pub(crate) struct Server {
    process: Child,
    pub(crate) address: SocketAddr,
}

impl Server {
    /// Starts a server that is pinned to `core`, with all its threads.
    pub(crate) fn start(
        peer: &str,
        service: Service,
        certificate: &Certificate,
        core: usize,
    ) -> Result<Server, String> {
        let path = programs::path(&format!("{peer}-streams"))?;
        let mut process = Command::new(&path)
            .arg(service.name())
            .args(certificate.files())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("{}: {error}", path.display()))?;
        let mut line = String::new();
        let output = process.stdout.take().expect("it is piped");
        let address = BufReader::new(output).read_line(&mut line).ok().and_then(|_| line.trim().parse().ok());
        let Some(address) = address else {
            let _ = process.kill();
            return Err(format!("{} printed no address", path.display()));
        };
        let server = Server { process, address };
        server.pin(core).map_err(|error| format!("pinning {peer} to core {core}: {error}"))?;
        Ok(server)
    }

    fn pin(&self, core: usize) -> io::Result<()> {
        let mut cores = CpuSet::new();
        cores.set(core)?;
        for thread in process::threads(self.process.id())? {
            sched_setaffinity(Pid::from_raw(thread), &cores)?;
        }
        Ok(())
    }

    /// Nanoseconds on a processor, of all threads so far.
    pub(crate) fn cpu(&self) -> io::Result<u64> {
        process::cpu(self.process.id())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
