//! HTTP from several processes. Inherited descriptors are announced by the environment and forking needs a process with one
//! thread, so this is a program of its own, which starts itself once per case.

use std::{
    cell::RefCell,
    env,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    os::unix::net::UnixStream,
    process::{Command, Stdio},
    rc::Rc,
};

use httpserver::{
    HttpServer, IOLoop, Request, Response, ServerHandle,
    iostream::{
        ioloop::process::{fork_processes, spawn_with_fds, task_id},
        netutil::{BindOptions, UnixBindOptions, bind_sockets, bind_unix_socket, inherited_sockets},
    },
};

const TESTS: &[(&str, fn())] = &[
    ("workers_that_were_forked_serve_what_was_bound_before", forked),
    ("sockets_of_both_kinds_are_inherited_and_served", inherited),
];

fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    if let [first, case] = &arguments[..]
        && first == "--case"
    {
        return match case.as_str() {
            "forked" => serve_in_workers(),
            "inherited" => serve_inherited(),
            other => panic!("no such case: {other}"),
        };
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

fn this_program(case: &str) -> Command {
    let mut command = Command::new(env::current_exe().unwrap());
    command.args(["--case", case]);
    command
}

/// The body of the answer to a request.
fn get(mut stream: impl Read + Write) -> String {
    stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    body.to_owned()
}

/// Tornado's `bind` and `start(3)`.
fn forked() {
    let mut parent = this_program("forked").stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(parent.stdout.take().unwrap()).lines();
    let addr: SocketAddr = lines.next().unwrap().unwrap().parse().unwrap();
    // A worker stops after one request, so there are as many as workers before all have ended.
    let mut answers: Vec<String> = (0..3).map(|_| get(TcpStream::connect(addr).unwrap())).collect();
    answers.sort();
    assert_eq!(answers, ["worker 0", "worker 1", "worker 2"]);
    assert!(parent.wait().unwrap().success());
    // The last of them took the socket with it.
    TcpStream::connect(addr).unwrap_err();
}

fn serve_in_workers() {
    let handle: Rc<RefCell<Option<ServerHandle>>> = Rc::default();
    let server = HttpServer::new({
        let handle = handle.clone();
        async move |_: Request| {
            // At once, so that the next connection goes to another worker.
            let handle = handle.borrow().clone().expect("it has started");
            handle.stop();
            IOLoop::current().spawn_detached(async move {
                handle.drain(std::time::Duration::from_secs(10)).await;
                IOLoop::current().stop();
            });
            Response::text(format!("worker {}", task_id().expect("a worker")))
        }
    });
    println!("{}", server.bind(("127.0.0.1", 0)).unwrap());
    // Nothing of the server has used a loop by now, or this would be refused.
    fork_processes(3, 0).unwrap();
    handle.replace(Some(server.start().unwrap()));
    IOLoop::current().start();
}

fn inherited() {
    let path = env::temp_dir().join(format!("httpserver-{}-inherited", std::process::id()));
    let tcp = bind_sockets(("127.0.0.1", 0), &BindOptions::new()).unwrap().remove(0);
    let unix = bind_unix_socket(&path, &UnixBindOptions::new()).unwrap();
    let mut child = spawn_with_fds(this_program("inherited"), &[(&unix, "local"), (&tcp, "web")]).unwrap();
    assert_eq!(get(TcpStream::connect(tcp.local_addr().unwrap()).unwrap()), "tcp");
    assert_eq!(get(UnixStream::connect(&path).unwrap()), "unix");
    // It ends with the second answer.
    assert!(child.wait().unwrap().success());
    std::fs::remove_file(path).unwrap();
}

fn serve_inherited() {
    let server = HttpServer::new(async |request: Request| match request.peer_addr() {
        Some(_) => "tcp",
        None => {
            IOLoop::current().call_later(std::time::Duration::from_millis(1), || IOLoop::current().stop());
            "unix"
        }
    });
    let sockets = inherited_sockets().unwrap();
    assert_eq!(sockets.iter().map(|socket| socket.name.as_str()).collect::<Vec<_>>(), ["local", "web"]);
    server.add_sockets(sockets.into_iter().map(|socket| socket.listener)).unwrap();
    IOLoop::current().start();
}
