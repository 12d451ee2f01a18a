use std::{
    env,
    ffi::{CString, OsStr, OsString, c_char},
    io,
    os::{
        fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd},
        unix::{ffi::OsStrExt, process::CommandExt},
    },
    process::{Child, Command},
    ptr,
};

use nix::libc;

use super::inherited::FIRST_INHERITED;
use crate::{Error, Result};

/// Starts a program that inherits descriptors as from a service manager: they are its numbers 3 and following, and
/// [`inherited_fds`](super::inherited_fds), or any other library for socket activation, finds them by `LISTEN_PID`,
/// `LISTEN_FDS` and `LISTEN_FDNAMES`. For a restart that refuses no connection: the new process listens on the same sockets
/// before the old one stops.
///
/// The program is named by a path with a slash in it, such as that of [`std::env::current_exe`]; ask for it when the program
/// starts, because it changes when the file is replaced. Arguments, environment, folder and standard streams are those of
/// `command`, except that [`Command::env_clear`] and [`CommandExt::arg0`] do nothing. The descriptors stay open here too, and
/// no other program that this one starts gets them.
///
/// # Errors
///
/// [`Error::Io`]: `InvalidInput` when the program is named without a path, or a descriptor by an empty name, one longer than
/// 255 bytes or with a colon or a control character in it; otherwise as [`Command::spawn`].
///
/// # Examples
///
/// ```no_run
/// use std::{env, net::TcpListener, process::Command};
/// use ioloop::process::{inherited_fds, spawn_with_fds};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let program = env::current_exe()?;
/// let listener = match inherited_fds()?.into_iter().next() {
///     Some(inherited) => TcpListener::from(inherited.fd),
///     None => TcpListener::bind("127.0.0.1:8888")?,
/// };
/// // Later, when there is a new version:
/// let successor = spawn_with_fds(Command::new(program), &[(&listener, "http")])?;
/// println!("process {} takes over", successor.id());
/// # Ok(())
/// # }
/// ```
#[inline]
pub fn spawn_with_fds(command: Command, fds: &[(&dyn AsFd, &str)]) -> Result<Child> {
    spawn(command, fds).map_err(Error::io("starting a program with descriptors"))
}

#[inline]
fn spawn(mut command: Command, fds: &[(&dyn AsFd, &str)]) -> io::Result<Child> {
    let mut successor = Successor::prepare(&command, fds)?;
    // SAFETY: between fork and exec, other threads may hold any lock. `become_it` makes system calls alone (dup2, getpid,
    // execve) and writes to memory that was allocated here.
    unsafe { command.pre_exec(move || Err(successor.become_it())) };
    command.spawn()
}

/// All that the child needs to become the program, without allocating. The standard library could do the exec, but not with
/// the number of the new process in its environment.
struct Successor {
    program: CString,
    arguments: Strings,
    environment: Strings,
    /// Copies of the descriptors, above all the places that they go to.
    sources: Vec<OwnedFd>,
    /// Whatever else would be opened at one of these places, such as the pipe by which the standard library learns of a
    /// failed exec.
    _reserved: Vec<OwnedFd>,
}

impl Successor {
    #[inline]
    fn prepare(command: &Command, fds: &[(&dyn AsFd, &str)]) -> io::Result<Successor> {
        if !command.get_program().as_bytes().contains(&b'/') {
            return Err(invalid("the program has to be named by a path"));
        }
        let program = CString::new(command.get_program().as_bytes())?;
        let arguments = [command.get_program()].into_iter().chain(command.get_args());
        let arguments = arguments.map(|argument| CString::new(argument.as_bytes())).collect::<Result<_, _>>()?;
        let end = FIRST_INHERITED + RawFd::try_from(fds.len()).map_err(|_| invalid("too many descriptors"))?;
        let sources = fds.iter().map(|(fd, _)| duplicate(fd.as_fd(), end)).collect::<io::Result<Vec<_>>>()?;
        let reserved = match sources.first() {
            Some(source) => {
                (FIRST_INHERITED..end).map(|place| duplicate(source.as_fd(), place)).collect::<io::Result<_>>()?
            }
            None => Vec::new(),
        };
        Ok(Successor {
            program,
            arguments: Strings::new(arguments),
            environment: Strings::new(environment(command, fds)?),
            sources,
            _reserved: reserved,
        })
    }

    /// Returns only when that failed.
    #[inline]
    fn become_it(&mut self) -> io::Error {
        for (source, place) in self.sources.iter().zip(FIRST_INHERITED..) {
            // SAFETY: takes and returns numbers. What was at the place is this process's copy of something, and goes.
            if unsafe { libc::dup2(source.as_raw_fd(), place) } == -1 {
                return io::Error::last_os_error();
            }
        }
        self.environment.set_pid();
        let (arguments, environment) = (self.arguments.pointers.as_ptr(), self.environment.pointers.as_ptr());
        // SAFETY: the program is a string that ends with a NUL, and both arrays have pointers to such strings, which live in
        // `self`, with a null pointer behind the last.
        unsafe { libc::execve(self.program.as_ptr(), arguments, environment) };
        io::Error::last_os_error()
    }
}

/// Strings as execve(2) wants them.
struct Strings {
    /// Each with its NUL. Reached by the pointers alone.
    _strings: Vec<Vec<u8>>,
    /// To the strings, with a null pointer behind the last.
    pointers: Vec<*const c_char>,
}

// SAFETY: the pointers lead to memory that belongs to this value and is written to by nobody else.
unsafe impl Send for Strings {}
// SAFETY: nothing is changed by a shared reference.
unsafe impl Sync for Strings {}

impl Strings {
    #[inline]
    fn new(strings: Vec<CString>) -> Strings {
        let mut strings: Vec<Vec<u8>> = strings.into_iter().map(CString::into_bytes_with_nul).collect();
        let pointers = strings.iter_mut().map(|string| string.as_mut_ptr().cast_const().cast());
        Strings { pointers: pointers.chain([ptr::null()]).collect(), _strings: strings }
    }
}

/// What the environment begins with, and the room behind it for any number of a process.
const PID: &str = "LISTEN_PID=";
const DIGITS: usize = 10;

impl Strings {
    /// Writes the number of this process to where there is room for it, without allocating.
    #[inline]
    fn set_pid(&mut self) {
        // SAFETY: takes nothing and returns a number.
        let pid = unsafe { libc::getpid() }.unsigned_abs();
        // Without leading zeros, by which some would read it as octal.
        let count = pid.checked_ilog10().map_or(1, |log| log as usize + 1).min(DIGITS);
        let mut rest = pid;
        for place in (0..count).rev() {
            // SAFETY: the first string is `PID` with `DIGITS` characters and a NUL behind it (see `environment`), and nobody
            // else has a reference to it now.
            unsafe { self.pointers[0].cast_mut().add(PID.len() + place).write(b'0' as c_char + (rest % 10) as c_char) };
            rest /= 10;
        }
        // SAFETY: as above; `count` is at most `DIGITS`, behind which there is the NUL.
        unsafe { self.pointers[0].cast_mut().add(PID.len() + count).write(0) };
    }
}

/// The environment of this process with the changes of `command` and what is said of the descriptors, the process first.
#[inline]
fn environment(command: &Command, fds: &[(&dyn AsFd, &str)]) -> io::Result<Vec<CString>> {
    let mut variables: Vec<(OsString, OsString)> = env::vars_os().collect();
    for (name, value) in command.get_envs() {
        variables.retain(|(present, _)| present != name);
        variables.extend(value.map(|value| (name.to_owned(), value.to_owned())));
    }
    variables.retain(|(name, _)| !name.as_bytes().starts_with(b"LISTEN_"));
    let names: Vec<&str> = fds.iter().map(|(_, name)| *name).collect();
    if names.iter().any(|name| !is_name(name)) {
        return Err(invalid("a descriptor cannot have this name"));
    }
    let mut environment = vec![CString::new(format!("{PID}{:0>DIGITS$}", 0))?];
    environment.push(CString::new(format!("LISTEN_FDS={}", fds.len()))?);
    environment.push(CString::new(format!("LISTEN_FDNAMES={}", names.join(":")))?);
    for (name, value) in variables {
        environment.push(CString::new([name.as_bytes(), OsStr::new("=").as_bytes(), value.as_bytes()].concat())?);
    }
    Ok(environment)
}

/// What sd_listen_fds_with_names(3) takes.
#[inline]
fn is_name(name: &str) -> bool {
    (1..=255).contains(&name.len()) && name.bytes().all(|byte| (b' '..0x7f).contains(&byte) && byte != b':')
}

/// A copy with the lowest free number from `first` on, closed at an exec.
#[inline]
fn duplicate(fd: BorrowedFd<'_>, first: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: the descriptor is open, and the call touches no memory of ours.
    match unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_DUPFD_CLOEXEC, first) } {
        -1 => Err(io::Error::last_os_error()),
        // SAFETY: it was opened by this call, and belongs to nobody else.
        number => Ok(unsafe { OwnedFd::from_raw_fd(number) }),
    }
}

#[inline]
fn invalid(reason: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, reason)
}
