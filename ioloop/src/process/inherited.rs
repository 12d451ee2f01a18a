use std::{
    env, fs,
    os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd},
    process,
    sync::atomic::{AtomicBool, Ordering},
};

use nix::{errno::Errno, libc};

use super::failed;
use crate::{Error, Result};

/// A descriptor that a service manager has opened for this process.
#[derive(Debug)]
#[non_exhaustive]
pub struct InheritedFd {
    /// The descriptor; non-blocking, and closed in programs that this one starts.
    pub fd: OwnedFd,
    /// Its name from `LISTEN_FDNAMES`, `unknown` when it has none: systemd's `FileDescriptorName=`, by default the name of
    /// the socket unit.
    pub name: String,
}

/// The descriptors that a service manager such as systemd has opened for this process and announced in the environment,
/// in order: `LISTEN_PID` says for whom, `LISTEN_FDS` how many there are, from number 3 on, `LISTEN_FDNAMES` their names,
/// separated by colons. None when `LISTEN_PID` is missing or names another process.
///
/// Each is made non-blocking, and closed in programs that this one starts. They are given out once in the life of the
/// process; the environment stays as it is. Call it early in `main` and before
/// `fork_processes`, whose workers have other numbers than the process that was meant.
///
/// # Errors
///
/// [`Error::AlreadyTaken`] for a second call, whatever came of the first. [`Error::BadInheritance`] when the variables
/// make no sense, or stand for a descriptor that is not open or that the process has opened itself; then none is touched.
///
/// # Examples
///
/// A service with two sockets, told apart by the names in their units, and started by hand as well:
///
/// ```
/// use std::net::TcpListener;
/// use ioloop::process::inherited_fds;
///
/// fn main() -> Result<(), Box<dyn std::error::Error>> {
///     let (mut public, mut admin) = (None, None);
///     for inherited in inherited_fds()? {
///         match inherited.name.as_str() {
///             "admin" => admin = Some(TcpListener::from(inherited.fd)),
///             // Without a name of its own: the socket unit's.
///             _ => public = Some(TcpListener::from(inherited.fd)),
///         }
///     }
///     let started_by_hand = public.is_none();
///     let public = public.map_or_else(|| TcpListener::bind("127.0.0.1:0"), Ok)?;
///     // What was inherited is non-blocking already.
///     public.set_nonblocking(true)?;
///     println!("listening on {}", public.local_addr()?);
///     if let Some(admin) = admin {
///         println!("and for those who look after it on {}", admin.local_addr()?);
///     }
///     assert!(started_by_hand);
///     Ok(())
/// }
/// ```
#[inline]
pub fn inherited_fds() -> Result<Vec<InheritedFd>> {
    if TAKEN.swap(true, Ordering::SeqCst) {
        return Err(Error::AlreadyTaken);
    }
    let announced = announced(|name| env::var(name).ok())?;
    for (number, _) in &announced {
        must_be_inherited(*number)?;
    }
    announced.into_iter().map(|(number, name)| adopt(number, name)).collect()
}

static TAKEN: AtomicBool = AtomicBool::new(false);

/// The first number that is none of standard input, output and error.
pub(super) const FIRST_INHERITED: RawFd = 3;

/// What the environment says: numbers and names.
fn announced(variable: impl Fn(&str) -> Option<String>) -> Result<Vec<(RawFd, String)>> {
    let Some(pid) = variable("LISTEN_PID") else {
        return Ok(Vec::new());
    };
    let pid: u32 = pid.parse().map_err(|_| bad("LISTEN_PID is not a number"))?;
    if pid != process::id() {
        return Ok(Vec::new());
    }
    let count = variable("LISTEN_FDS").ok_or_else(|| bad("LISTEN_FDS is missing"))?;
    let count: u16 = count.parse().map_err(|_| bad("LISTEN_FDS is not a number of descriptors"))?;
    let names = variable("LISTEN_FDNAMES").unwrap_or_default();
    let mut names = names.split(':');
    let mut name = || names.next().filter(|name| !name.is_empty()).unwrap_or("unknown").to_owned();
    let named = |number| (number, name());
    Ok((FIRST_INHERITED..FIRST_INHERITED + RawFd::from(count)).map(named).collect())
}

/// A descriptor that came through an exec cannot have the close-on-exec flag, and those the standard library opens all
/// have it: this tells the announced ones from those that somebody in this process owns.
#[inline]
fn must_be_inherited(number: RawFd) -> Result<()> {
    let info = fs::read_to_string(format!("/proc/self/fdinfo/{number}"))
        .map_err(|_| bad("an announced descriptor is not open"))?;
    let flags = info
        .lines()
        .find_map(|line| line.strip_prefix("flags:"))
        .and_then(|flags| libc::c_int::from_str_radix(flags.trim(), 8).ok())
        .ok_or_else(|| bad("the flags of an announced descriptor cannot be read"))?;
    if flags & libc::O_CLOEXEC != 0 {
        return Err(bad("an announced descriptor was opened by the process itself"));
    }
    Ok(())
}

#[inline]
fn adopt(number: RawFd, name: String) -> Result<InheritedFd> {
    // SAFETY: the descriptor is open, and was handed to this very process through exec by whoever set LISTEN_PID, for the
    // caller of this function to own (`must_be_inherited`). `TAKEN` lets this happen once in the process.
    let fd = unsafe { OwnedFd::from_raw_fd(number) };
    fcntl(&fd, libc::F_SETFD, libc::FD_CLOEXEC).map_err(failed("setting close-on-exec"))?;
    let flags = fcntl(&fd, libc::F_GETFL, 0).map_err(failed("reading a descriptor's flags"))?;
    fcntl(&fd, libc::F_SETFL, flags | libc::O_NONBLOCK).map_err(failed("making a descriptor non-blocking"))?;
    Ok(InheritedFd { fd, name })
}

/// fcntl(2) for flags. nix has it beside all that is about files, which takes as long to compile as half of what else is
/// used of nix.
fn fcntl(fd: &OwnedFd, command: libc::c_int, flags: libc::c_int) -> Result<libc::c_int, Errno> {
    // SAFETY: the commands that read and set flags take and return an int, and touch no memory of ours.
    Errno::result(unsafe { libc::fcntl(fd.as_raw_fd(), command, flags) })
}

fn bad(reason: &'static str) -> Error {
    Error::BadInheritance { reason }
}
