//! Descriptors that are passed on: the first stage starts the second, and looks at its status.

use std::{
    env,
    io::{ErrorKind, Read, Write},
    net::{TcpListener, TcpStream},
    os::{
        fd::{AsFd, AsRawFd},
        unix::net::UnixStream,
    },
    path::Path,
    process::{self, Command, Stdio},
    thread,
};

use ioloop::{
    Error,
    process::{inherited_fds, spawn_with_fds},
};

use super::is_closed_on_exec;

pub(crate) fn run(case: &str) {
    match case {
        "passed-on" => pass_on(),
        "passed-with-environment" => pass_with_environment(),
        "passed-by-thread" => pass_by_thread(),
        "taken" => take(),
        "taken-with-environment" => take_with_environment(),
        "not-started" => not_started(),
        other => panic!("no such case: {other}"),
    }
}

fn stage(case: &str) -> Command {
    let mut command = Command::new(env::current_exe().expect("this program has a path"));
    command.args(["--case", case]);
    command
}

/// A listener, and whether the program that was started accepts by it and says so by the other descriptor.
fn assert_passed(listener: &TcpListener, ours: &mut UnixStream, theirs: UnixStream, swapped: bool) {
    let mut fds: [(&dyn AsFd, &str); 2] = [(listener, "web"), (&theirs, "ready")];
    if swapped {
        fds.reverse();
    }
    let mut child = spawn_with_fds(stage("taken"), &fds).expect("it starts");
    drop(theirs);
    // Else the next one that is started has it too, and the end of its stream never comes.
    assert!(is_closed_on_exec(listener) && is_closed_on_exec(&*ours));
    let mut client = TcpStream::connect(listener.local_addr().expect("bound")).expect("it listens");
    client.write_all(b"?").expect("it is open");
    let mut word = String::new();
    ours.read_to_string(&mut word).expect("text");
    assert_eq!(word, child.id().to_string());
    client.read_to_string(&mut word).expect("text");
    assert!(child.wait().expect("it was started").success());
}

/// Descriptors 3 and 4 are what is passed on, in this order and in the other one, and they are something else.
fn pass_on() {
    let before: Vec<TcpListener> = (0..3).map(|_| TcpListener::bind("127.0.0.1:0").expect("a port")).collect();
    assert_eq!(before[0].as_raw_fd(), 3, "the lowest that is free");
    for listener in &before {
        for swapped in [false, true] {
            let (mut ours, theirs) = UnixStream::pair().expect("room");
            assert_passed(listener, &mut ours, theirs, swapped);
        }
    }
    // The first places are free: whatever the start itself opens must not get there.
    let listener = before.into_iter().next_back().expect("three");
    let (mut ours, theirs) = UnixStream::pair().expect("room");
    assert_eq!((ours.as_raw_fd(), theirs.as_raw_fd()), (3, 4));
    assert_passed(&listener, &mut ours, theirs, true);
    let (ours, theirs) = UnixStream::pair().expect("room");
    let high = (ours, theirs);
    let (mut ours, theirs) = UnixStream::pair().expect("room");
    drop(high);
    assert_passed(&listener, &mut ours, theirs, false);
}

fn pass_by_thread() {
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
                let (mut ours, theirs) = UnixStream::pair().expect("room");
                assert_passed(&listener, &mut ours, theirs, false);
            });
        }
    });
}

fn take() {
    let (mut listener, mut ready) = (None, None);
    for inherited in inherited_fds().expect("they are there") {
        match inherited.name.as_str() {
            "web" => listener = Some(TcpListener::from(inherited.fd)),
            "ready" => ready = Some(UnixStream::from(inherited.fd)),
            other => panic!("{other}"),
        }
    }
    assert_eq!(env::var("LISTEN_PID").expect("set"), process::id().to_string(), "no leading zeros");
    let listener = listener.expect("passed on");
    listener.set_nonblocking(false).expect("a socket");
    let (mut client, _) = listener.accept().expect("the first stage connects");
    let mut question = [0];
    client.read_exact(&mut question).expect("a question");
    write!(ready.expect("passed on"), "{}", process::id()).expect("somebody waits");
}

fn pass_with_environment() {
    // SAFETY: nobody else runs in this process.
    unsafe {
        env::set_var("KEPT", "kept");
        env::set_var("REMOVED", "removed");
        env::set_var("CHANGED", "before");
        env::set_var("LISTEN_FDS", "17");
        env::set_var("LISTEN_PIDFDID", "1");
    }
    let mut command = stage("taken-with-environment");
    command.env_remove("REMOVED").env("CHANGED", "after").env("ADDED", "").current_dir("/").stdin(Stdio::null());
    let mut child = spawn_with_fds(command, &[]).expect("it starts");
    assert!(child.wait().expect("it was started").success());
}

fn take_with_environment() {
    let variable = |name| env::var(name).ok();
    assert_eq!(variable("KEPT").as_deref(), Some("kept"));
    assert_eq!(variable("REMOVED"), None);
    assert_eq!(variable("CHANGED").as_deref(), Some("after"));
    assert_eq!(variable("ADDED").as_deref(), Some(""));
    assert_eq!(variable("LISTEN_FDS").as_deref(), Some("0"));
    assert_eq!(variable("LISTEN_PIDFDID"), None);
    assert_eq!(env::current_dir().expect("there is one"), Path::new("/"));
    assert!(inherited_fds().expect("none is no error").is_empty());
}

fn not_started() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    assert_eq!(listener.as_raw_fd(), 3, "the lowest that is free");
    let kind = |command, name: &str| match spawn_with_fds(command, &[(&listener, "web"), (&listener, name)]) {
        Err(Error::Io { source, .. }) => source.kind(),
        other => panic!("{other:?}"),
    };
    assert_eq!(kind(Command::new("/nowhere/at/all"), "web"), ErrorKind::NotFound);
    assert_eq!(kind(Command::new("/"), "web"), ErrorKind::PermissionDenied);
    let long = "a".repeat(256);
    for name in ["", "a:b", "a\n", &long] {
        assert_eq!(kind(stage("taken"), name), ErrorKind::InvalidInput, "{name:?}");
    }
    assert_eq!(kind(Command::new("sh"), "web"), ErrorKind::InvalidInput);
    // Nothing is left open but what was.
    let next = TcpListener::bind("127.0.0.1:0").expect("a port");
    assert_eq!(next.as_raw_fd(), 4);
}
