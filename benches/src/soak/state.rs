//! What a server process holds, read from outside and asked of it.

use std::{fs, io, net::SocketAddr};

use super::clients;

/// What a server process holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct State {
    /// Open descriptors.
    pub descriptors: usize,
    /// Resident memory in KiB.
    pub memory: usize,
    /// Tasks of its loop.
    pub tasks: usize,
    /// Connections, that which asks among them.
    pub connections: usize,
}

impl State {
    /// Asks the process `pid`, which serves at `addr`.
    ///
    /// # Errors
    ///
    /// When it has gone.
    pub async fn of(pid: u32, addr: SocketAddr) -> io::Result<State> {
        let text = clients::get(addr, "/state").await?;
        let mut numbers = text.split_whitespace().map(|number| number.parse().unwrap_or(usize::MAX));
        Ok(State {
            connections: numbers.next().unwrap_or(usize::MAX),
            tasks: numbers.next().unwrap_or(usize::MAX),
            // The descriptor of the connection that asked may be among them. It is the same each time.
            descriptors: fs::read_dir(format!("/proc/{pid}/fd"))?.count(),
            memory: resident(pid)?,
        })
    }
}

fn resident(pid: u32) -> io::Result<usize> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    line.trim().trim_end_matches(" kB").parse().map_err(io::Error::other)
}
