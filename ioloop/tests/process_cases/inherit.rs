//! Inherited descriptors: a first stage prepares them and becomes the second by exec, which keeps its process number.
#![allow(unsafe_code, reason = "puts descriptors where a service manager would")]

mod pass;

use std::{
    env,
    io::ErrorKind,
    net::{SocketAddr, TcpListener},
    os::{
        fd::{AsFd, AsRawFd, IntoRawFd, RawFd},
        unix::process::CommandExt,
    },
    process::{self, Command},
};

use ioloop::{Error, process::inherited_fds};
use nix::{
    fcntl::{FcntlArg, FdFlag, fcntl},
    unistd::dup2_raw,
};

pub(crate) fn run(case: &str) {
    match case {
        "inherited" => announce("take", &[("LISTEN_FDS", "2"), ("LISTEN_FDNAMES", "web:admin")]),
        "take" => take(["web", "admin"]),
        "inherited-without-names" => announce("take-unknown", &[("LISTEN_FDS", "2"), ("LISTEN_FDNAMES", "web")]),
        "take-unknown" => take(["web", "unknown"]),
        "meant-for-another" => announce("leave", &[("LISTEN_FDS", "2"), ("LISTEN_PID", "1")]),
        "leave" => leave(),
        "nothing-announced" => assert!(inherited_fds().expect("no error").is_empty()),
        "announced-not-open" => announce("not-open", &[("LISTEN_FDS", "20000")]),
        "not-open" => refuse("not open"),
        "announced-own" => announce("own", &[("LISTEN_FDS", "2")]),
        "own" => own(),
        "announced-nonsense" => announce("no-number", &[("LISTEN_FDS", "many")]),
        "no-number" => refuse("LISTEN_FDS is not"),
        other => pass::run(other),
    }
}

const PLACES: [RawFd; 2] = [3, 4];

/// Becomes the program `next` with two listeners as descriptors 3 and 4, and with `variables`.
fn announce(next: &str, variables: &[(&str, &str)]) {
    let mut ports = Vec::new();
    for place in PLACES {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        ports.push(listener.local_addr().expect("bound").to_string());
        // Out of the way of both places.
        let high = fcntl(&listener, FcntlArg::F_DUPFD_CLOEXEC(10)).expect("a descriptor");
        drop(listener);
        // SAFETY: made in the line above, and owned by nobody yet.
        let high = unsafe { <std::os::fd::OwnedFd as std::os::fd::FromRawFd>::from_raw_fd(high) };
        // SAFETY: nothing in this process owns what was at this place, if anything was.
        let placed = unsafe { dup2_raw(&high, place) }.expect("a descriptor");
        // Stays open over the exec.
        let _ = placed.into_raw_fd();
    }
    let error = Command::new(env::current_exe().expect("this program has a path"))
        .args(["--case", next])
        .env("LISTEN_PID", process::id().to_string())
        .env("PORTS", ports.join(" "))
        .envs(variables.iter().copied())
        .exec();
    panic!("{error}");
}

fn announced_ports() -> Vec<SocketAddr> {
    let ports = env::var("PORTS").expect("set by the first stage");
    ports.split(' ').map(|address| address.parse().expect("an address")).collect()
}

fn is_closed_on_exec(fd: impl AsFd) -> bool {
    FdFlag::from_bits_retain(fcntl(fd, FcntlArg::F_GETFD).expect("open")).contains(FdFlag::FD_CLOEXEC)
}

fn take(names: [&str; 2]) {
    let inherited = inherited_fds().expect("they are there");
    assert_eq!(inherited.iter().map(|inherited| inherited.name.as_str()).collect::<Vec<_>>(), names);
    assert_eq!(inherited.iter().map(|inherited| inherited.fd.as_raw_fd()).collect::<Vec<_>>(), PLACES);
    for (inherited, address) in inherited.into_iter().zip(announced_ports()) {
        assert!(is_closed_on_exec(&inherited.fd));
        let listener = TcpListener::from(inherited.fd);
        assert_eq!(listener.local_addr().expect("bound"), address);
        assert_eq!(listener.accept().expect_err("nobody connects").kind(), ErrorKind::WouldBlock);
    }
    assert!(matches!(inherited_fds(), Err(Error::AlreadyTaken)));
}

/// Whether the descriptors at both places are as the first stage left them.
fn assert_untouched() {
    for place in PLACES {
        let info = std::fs::read_to_string(format!("/proc/self/fdinfo/{place}")).expect("open");
        let flags = info.lines().find_map(|line| line.strip_prefix("flags:")).expect("it has flags");
        assert_eq!(flags.trim(), "02", "no more than O_RDWR");
    }
}

fn leave() {
    assert!(inherited_fds().expect("no error").is_empty());
    assert_untouched();
}

fn refuse(reason: &str) {
    let error = inherited_fds().expect_err("it makes no sense");
    assert!(matches!(error, Error::BadInheritance { .. }) && error.to_string().contains(reason), "{error}");
    assert_untouched();
    assert!(matches!(inherited_fds(), Err(Error::AlreadyTaken)));
}

/// The first place is free again, and taken by something that the process opens itself.
fn own() {
    // SAFETY: nobody in this process owns what the first stage has put there.
    drop(unsafe { <std::os::fd::OwnedFd as std::os::fd::FromRawFd>::from_raw_fd(PLACES[0]) });
    let own = TcpListener::bind("127.0.0.1:0").expect("a port");
    assert_eq!(own.as_raw_fd(), PLACES[0], "the lowest that is free");
    let error = inherited_fds().expect_err("one of them is not inherited");
    assert!(error.to_string().contains("opened by the process itself"), "{error}");
    own.local_addr().expect("still open");
}
