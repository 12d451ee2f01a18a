use std::{
    io::{self, ErrorKind},
    time::Duration,
};

use nix::{
    errno::Errno,
    sys::epoll::{Epoll, EpollEvent, EpollTimeout},
};

/// Waits for events, but not forever: a server that swallows a message must not hang the measurement.
pub(super) fn wait(epoll: &Epoll, events: &mut [EpollEvent]) -> io::Result<usize> {
    let patience = EpollTimeout::try_from(PATIENCE).map_err(io::Error::other)?;
    loop {
        match epoll.wait(events, patience) {
            Err(Errno::EINTR) => {}
            Ok(0) => return Err(io::Error::new(ErrorKind::TimedOut, "nothing came for two minutes")),
            result => return Ok(result?),
        }
    }
}

const PATIENCE: Duration = Duration::from_secs(120);
