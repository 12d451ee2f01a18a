//! Sockets across processes. Inherited descriptors are announced by the environment and forking needs a process with one
//! thread, so this is a program of its own, which starts itself once per case.

use std::{
    cell::RefCell,
    env,
    io::{BufRead, BufReader, Read},
    net::{SocketAddr, TcpListener, TcpStream},
    os::{fd::OwnedFd, unix::net::UnixListener},
    process::{Command, Output, Stdio},
    rc::Rc,
};

use iostream::{
    Error, IOLoop, IOStream, ServerHandle, TcpServer,
    ioloop::process::{fork_processes, task_id},
    netutil::{Listener, UnixBindOptions, bind_unix_socket, inherited_sockets},
};
use socket2::SockRef;

const TESTS: &[(&str, fn())] = &[
    ("inherited_sockets_come_with_their_kind_and_their_name", inherited),
    ("a_descriptor_that_is_no_listener_is_refused_with_the_reason", not_a_listener),
    ("workers_that_were_forked_share_what_was_bound_before", forked),
    ("without_a_service_manager_nothing_is_inherited", nothing),
];

fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    if let [first, case] = &arguments[..]
        && first == "--case"
    {
        return run(case);
    }
    let list = arguments.iter().any(|argument| argument == "--list");
    let filter = arguments.iter().find(|argument| !argument.starts_with('-'));
    for (name, test) in TESTS.iter().filter(|(name, _)| filter.is_none_or(|filter| name.contains(filter.as_str()))) {
        if list {
            println!("{name}: test");
        } else {
            test();
            println!("test {name} ... ok");
        }
    }
}

fn run(case: &str) {
    match case {
        "inherited" => take_inherited(),
        "not-a-listener" => refuse_inherited(),
        "fork" => serve_in_workers(),
        "nothing" => assert!(inherited_sockets().unwrap().is_empty()),
        other => panic!("no such case: {other}"),
    }
}

/// This program as a service manager starts it: with `first` and `second` as descriptors 3 and 4. They come as standard
/// streams and are moved by the shell, which becomes the program and keeps its process number.
fn activated(case: &str, first: impl Into<OwnedFd>, second: impl Into<OwnedFd>) -> Command {
    let script = r#"exec 3<&0 4<&1 1>&2; LISTEN_PID=$$ LISTEN_FDS=2 LISTEN_FDNAMES=web:admin exec "$0" --case "$1""#;
    let mut command = Command::new("sh");
    command.args(["-c", script]).arg(env::current_exe().expect("this program has a path")).arg(case);
    command.stdin(Stdio::from(first.into())).stdout(Stdio::from(second.into())).stderr(Stdio::piped());
    command
}

#[track_caller]
fn assert_success(output: &Output) {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn inherited() {
    let path = env::temp_dir().join(format!("waterspout-{}-inherited", std::process::id()));
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    let unix = bind_unix_socket(&path, &UnixBindOptions::new()).unwrap();
    let output = activated("inherited", tcp, unix).output().unwrap();
    let _ = std::fs::remove_file(path);
    assert_success(&output);
}

fn take_inherited() {
    let mut sockets = inherited_sockets().unwrap().into_iter();
    let (web, admin) = (sockets.next().unwrap(), sockets.next().unwrap());
    assert_eq!((web.name.as_str(), admin.name.as_str()), ("web", "admin"));
    let Listener::Tcp(tcp) = web.listener else { panic!("{:?}", web.listener) };
    let Listener::Unix(unix) = admin.listener else { panic!("{:?}", admin.listener) };
    // Neither blocks, and vanished peers are looked after.
    assert_eq!(tcp.accept().unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
    assert_eq!(unix.accept().unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
    assert!(SockRef::from(&tcp).keepalive().unwrap());
    assert!(matches!(inherited_sockets(), Err(Error::Loop(_))), "they are given out once");
}

fn not_a_listener() {
    let (connected, _peer) = pair();
    let unix = UnixListener::bind(env::temp_dir().join(format!("waterspout-{}-unused", std::process::id()))).unwrap();
    let path = unix.local_addr().unwrap().as_pathname().unwrap().to_owned();
    let output = activated("not-a-listener", connected, unix).output().unwrap();
    let _ = std::fs::remove_file(path);
    assert_success(&output);
}

fn refuse_inherited() {
    let error = inherited_sockets().unwrap_err();
    assert!(matches!(error, Error::NotAListener { .. }), "{error:?}");
    assert_eq!(error.to_string(), "not a listening stream socket: it does not listen");
}

/// Tornado's bind and start: each of the workers starts what was bound before they were.
fn forked() {
    let mut parent = Command::new(env::current_exe().unwrap())
        .args(["--case", "fork"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(parent.stdout.take().unwrap()).lines();
    let addr: SocketAddr = lines.next().unwrap().unwrap().parse().unwrap();
    // A worker stops after one connection, so there are as many as workers before all have ended.
    let mut answers: Vec<String> = (0..3)
        .map(|_| {
            let mut answer = String::new();
            TcpStream::connect(addr).unwrap().read_to_string(&mut answer).unwrap();
            answer
        })
        .collect();
    answers.sort();
    assert_eq!(answers, ["worker 0", "worker 1", "worker 2"]);
    assert_success(&parent.wait_with_output().unwrap());
    // The last of them took the socket with it.
    TcpStream::connect(addr).unwrap_err();
}

fn serve_in_workers() {
    let handle: Rc<RefCell<Option<ServerHandle>>> = Rc::default();
    let server = TcpServer::new({
        let handle = handle.clone();
        async move |stream: IOStream, _peer| {
            // At once, so that the next connection goes to another worker.
            handle.borrow().as_ref().expect("it has started").stop();
            stream.write(format!("worker {}", task_id().expect("a worker"))).await?;
            IOLoop::current().stop();
            Ok(())
        }
    });
    println!("{}", server.bind(("127.0.0.1", 0)).unwrap());
    fork_processes(3, 0).unwrap();
    handle.replace(Some(server.start().unwrap()));
    IOLoop::current().start();
}

fn nothing() {
    let output = Command::new(env::current_exe().unwrap()).args(["--case", "nothing"]).output().unwrap();
    assert_success(&output);
}

fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (listener.accept().unwrap().0, client)
}
