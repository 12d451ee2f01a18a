//! Servers: starting, stopping, and what their handlers do.

mod common;

use std::{
    cell::{Cell, RefCell},
    io::{ErrorKind, Read, Write},
    net::{SocketAddr, TcpStream},
    os::{
        linux::net::SocketAddrExt,
        unix::net::{UnixListener, UnixStream},
    },
    pin::pin,
    rc::Rc,
    sync::Arc,
    task::{Context, Wake, Waker},
    thread,
    time::Duration,
};

use common::{run, turns};
use iostream::{
    ConnectionLimits, Error, IOLoop, IOStream, Peer, Refusal, ServerHandle, ServerOptions, TcpServer,
    ioloop::VirtualClock,
    memory,
    netutil::{BindOptions, Listener, UnixBindOptions, bind_sockets, bind_unix_socket},
};

async fn echo_lines(stream: IOStream, _peer: SocketAddr) -> iostream::Result<()> {
    loop {
        let line = stream.read_until(b"\n").max_bytes(4096).await?;
        stream.write(line).await?;
    }
}

async fn ask(addr: SocketAddr, line: &str) -> iostream::Result<String> {
    let stream = IOStream::connect(addr).await?;
    stream.write(format!("{line}\n")).await?;
    Ok(String::from_utf8_lossy(&stream.read_until(b"\n").await?).trim_end().to_owned())
}

#[test]
fn every_connection_is_served() {
    let server = TcpServer::new(echo_lines).listen(("127.0.0.1", 0)).unwrap();
    let addr = server.local_addr();
    assert_eq!(server.local_addrs(), [addr]);
    run(async {
        let clients: Vec<_> =
            (0..50).map(|i| iostream::spawn(async move { ask(addr, &i.to_string()).await })).collect();
        for (i, client) in clients.into_iter().enumerate() {
            assert_eq!(client.await.unwrap().unwrap(), i.to_string());
        }
        while server.connections() > 0 {
            iostream::yield_now().await;
        }
    });
}

#[test]
fn dropping_the_server_does_not_stop_it() {
    let addr = TcpServer::new(echo_lines).listen(("127.0.0.1", 0)).unwrap().local_addr();
    assert_eq!(run(ask(addr, "still there?")).unwrap(), "still there?");
}

#[test]
fn the_handler_is_told_the_peer_and_may_capture_what_is_not_send() {
    let peers = Rc::new(RefCell::new(Vec::new()));
    let seen = peers.clone();
    let server = TcpServer::new(async move |stream: IOStream, peer| {
        seen.borrow_mut().push(peer);
        stream.write("hello\n").await
    });
    let server = server.listen(("127.0.0.1", 0)).unwrap();
    let addr = server.local_addr();
    let mine = run(async {
        let stream = IOStream::connect(addr).await.unwrap();
        assert_eq!(stream.read_until_close().await.unwrap(), "hello\n");
        stream
    });
    assert_eq!(peers.borrow().len(), 1);
    assert!(mine.is_closed());
}

#[test]
fn connections_wait_between_bind_and_start() {
    let server = TcpServer::new(echo_lines);
    let addr = server.bind(("127.0.0.1", 0)).unwrap();
    let mut client = TcpStream::connect(addr).unwrap();
    client.write_all(b"early\n").unwrap();
    server.start().unwrap();
    let reader = thread::spawn(move || {
        let mut answer = [0; 6];
        client.read_exact(&mut answer).unwrap();
        answer
    });
    run(async {
        while !reader.is_finished() {
            iostream::yield_now().await;
        }
    });
    assert_eq!(&reader.join().unwrap(), b"early\n");
}

#[test]
fn sockets_from_elsewhere_are_served() {
    let server = TcpServer::new(echo_lines);
    let sockets = bind_sockets(
        &[SocketAddr::from(([127, 0, 0, 1], 0)), SocketAddr::from(([127, 0, 0, 2], 0))][..],
        &BindOptions::new(),
    );
    let server = server.add_sockets(sockets.unwrap()).unwrap();
    let addrs = server.local_addrs();
    assert_eq!(addrs.len(), 2);
    for addr in addrs {
        assert_eq!(run(ask(addr, "x")).unwrap(), "x");
    }
}

#[test]
fn stopping_twice_is_stopping_once_and_connections_go_on() {
    let server = TcpServer::new(echo_lines).listen(("127.0.0.1", 0)).unwrap();
    let addr = server.local_addr();
    run(async {
        let stream = IOStream::connect(addr).await.unwrap();
        stream.write("a\n").await.unwrap();
        stream.read_until(b"\n").await.unwrap();
        server.stop();
        server.stop();
        assert!(server.local_addrs().is_empty());
        assert_eq!(TcpStream::connect(addr).unwrap_err().kind(), ErrorKind::ConnectionRefused);
        assert_eq!(server.connections(), 1);
        stream.write("b\n").await.unwrap();
        assert_eq!(stream.read_until(b"\n").await.unwrap(), "b\n");
    });
}

#[test]
fn the_handler_may_stop_its_server() {
    let stop: Rc<RefCell<Box<dyn Fn()>>> = Rc::new(RefCell::new(Box::new(|| {})));
    let server = TcpServer::new({
        let stop = stop.clone();
        async move |stream: IOStream, _peer| {
            stop.borrow()();
            stream.write("stopped\n").await
        }
    });
    let server = server.listen(("127.0.0.1", 0)).unwrap();
    let addr = server.local_addr();
    *stop.borrow_mut() = Box::new(move || server.stop());
    run(async {
        assert_eq!(ask(addr, "stop").await.unwrap(), "stopped");
        assert!(matches!(IOStream::connect(addr).await, Err(Error::Connect { .. })));
    });
    *stop.borrow_mut() = Box::new(|| {});
}

#[test]
fn a_panic_or_an_error_ends_one_connection_alone() {
    let served = Rc::new(Cell::new(0));
    let count = served.clone();
    let server = TcpServer::new(async move |stream: IOStream, _peer| {
        count.set(count.get() + 1);
        let line = stream.read_until(b"\n").await?;
        match &line[..] {
            b"panic\n" => panic!("as asked"),
            b"fail\n" => Err(std::io::Error::other("as asked").into()),
            _ => stream.write(line).await,
        }
    });
    let server = server.listen(("127.0.0.1", 0)).unwrap();
    let addr = server.local_addr();
    run(async {
        assert!(ask(addr, "panic").await.unwrap_err().is_closed());
        assert!(ask(addr, "fail").await.unwrap_err().is_closed());
        assert_eq!(ask(addr, "fine").await.unwrap(), "fine");
        while server.connections() > 0 {
            iostream::yield_now().await;
        }
    });
    assert_eq!(served.get(), 3);
}

/// More than a kernel takes.
const LOTS: usize = 16 << 20;

/// Runs `test` on a loop whose time passes when the test says so.
fn on_virtual_clock(test: impl AsyncFnOnce(VirtualClock)) {
    common::choose_poller();
    let clock = VirtualClock::new();
    let ioloop = IOLoop::builder().virtual_clock(&clock).build().unwrap();
    ioloop.run_sync(test(clock));
}

/// Fails when it takes too many turns: `run`'s own limit is of no use on a clock that stands still.
async fn until(condition: impl Fn() -> bool) {
    for _ in 0..10_000 {
        if condition() {
            return;
        }
        turns(1).await;
    }
    panic!("what the test waits for does not happen");
}

#[test]
fn a_connection_counts_until_its_descriptor_is_closed() {
    on_virtual_clock(async |clock| {
        let server = TcpServer::new(async |stream: IOStream, _peer| {
            // Not awaited: the handler returns with most of it queued, and the peer reads nothing.
            drop(stream.write(vec![7; LOTS]));
            Ok(())
        });
        let server = server.listen(("127.0.0.1", 0)).unwrap();
        let _client = TcpStream::connect(server.local_addr()).unwrap();
        until(|| server.connections() == 1).await;
        turns(3).await;
        clock.advance(IOStream::DEFAULT_FLUSH_TIMEOUT - Duration::from_millis(1)).await;
        assert_eq!(server.connections(), 1);
        clock.advance(Duration::from_millis(1)).await;
        // The time begins anew when the kernel has found room for more, which on a busy machine it does late.
        for _ in 0..100 {
            if server.connections() == 0 {
                return;
            }
            clock.advance(IOStream::DEFAULT_FLUSH_TIMEOUT).await;
        }
        panic!("the connection still counts");
    });
}

#[test]
fn a_connection_counts_while_its_stream_is_held_elsewhere() {
    let kept = Rc::new(RefCell::new(None));
    let keep = kept.clone();
    let server = TcpServer::new(async move |stream: IOStream, _peer| {
        keep.replace(Some(stream));
        Ok(())
    });
    let server = server.listen(("127.0.0.1", 0)).unwrap();
    let _client = TcpStream::connect(server.local_addr()).unwrap();
    run(async {
        until(|| kept.borrow().is_some()).await;
        turns(2).await;
        assert_eq!(server.connections(), 1);
        kept.take();
        assert_eq!(server.connections(), 0);
    });
}

#[test]
fn beyond_the_limit_a_connection_is_closed_at_once_and_the_others_go_on() {
    let server = TcpServer::with_limits(echo_lines, ConnectionLimits::new().max_connections(1));
    let server = server.listen(("127.0.0.1", 0)).unwrap();
    let addr = server.local_addr();
    run(async {
        let first = IOStream::connect(addr).await.unwrap();
        first.write("a\n").await.unwrap();
        assert_eq!(first.read_until(b"\n").await.unwrap(), "a\n");
        let second = IOStream::connect(addr).await.unwrap();
        assert_eq!(second.read_until_close().await.unwrap(), "");
        assert_eq!(server.connections(), 1);
        first.write("b\n").await.unwrap();
        assert_eq!(first.read_until(b"\n").await.unwrap(), "b\n");
        drop(first);
        until(|| server.connections() == 0).await;
        assert_eq!(ask(addr, "c").await.unwrap(), "c");
    });
}

#[test]
fn draining_waits_for_connections_and_reports_them() {
    let server = TcpServer::new(echo_lines).listen(("127.0.0.1", 0)).unwrap();
    let addr = server.local_addr();
    run(async {
        let client = IOStream::connect(addr).await.unwrap();
        client.write("a\n").await.unwrap();
        client.read_until(b"\n").await.unwrap();
        let drain = iostream::spawn(server.drain(Duration::from_secs(3600)));
        turns(2).await;
        assert_eq!(TcpStream::connect(addr).unwrap_err().kind(), ErrorKind::ConnectionRefused);
        assert!(!drain.is_finished());
        client.write("b\n").await.unwrap();
        assert_eq!(client.read_until(b"\n").await.unwrap(), "b\n");
        drop(client);
        let report = drain.await.unwrap();
        assert_eq!((report.finished, report.cut), (1, 0));
        let report = server.drain(Duration::ZERO).await;
        assert_eq!((report.finished, report.cut), (0, 0));
    });
}

#[test]
fn a_connection_in_the_backlog_is_served_by_a_drain() {
    let server = TcpServer::new(echo_lines).listen(("127.0.0.1", 0)).unwrap();
    let addr = server.local_addr();
    // The loop has not run since they came.
    let mut clients: Vec<_> = (0..10).map(|_| TcpStream::connect(addr).unwrap()).collect();
    clients.iter_mut().for_each(|client| client.write_all(b"late\n").unwrap());
    run(async {
        let drain = iostream::spawn(server.drain(Duration::from_secs(10)));
        for client in clients {
            let client = IOStream::from_tcp(client).unwrap();
            assert_eq!(client.read_until(b"\n").await.unwrap(), "late\n");
        }
        assert_eq!(drain.await.unwrap().finished, 10);
        assert_eq!(TcpStream::connect(addr).unwrap_err().kind(), ErrorKind::ConnectionRefused);
    });
}

#[test]
fn draining_cuts_what_is_left_after_its_limit() {
    on_virtual_clock(async |clock| {
        let server = TcpServer::new(echo_lines).listen(("127.0.0.1", 0)).unwrap();
        let client = IOStream::connect(server.local_addr()).await.unwrap();
        until(|| server.connections() == 1).await;
        let drain = iostream::spawn(server.drain(Duration::from_secs(10)));
        clock.advance(Duration::from_millis(9_999)).await;
        assert!(!drain.is_finished());
        clock.advance(Duration::from_millis(1)).await;
        let report = drain.await.unwrap();
        assert_eq!((report.finished, report.cut), (0, 1));
        assert_eq!(server.connections(), 0);
        assert_eq!(client.read_until_close().await.unwrap(), "");
    });
}

#[test]
fn a_drain_is_over_although_a_handler_does_not_notice_its_end() {
    on_virtual_clock(async |clock| {
        let server = TcpServer::new(async |_stream: IOStream, _peer| std::future::pending().await);
        let server = server.listen(("127.0.0.1", 0)).unwrap();
        let _client = TcpStream::connect(server.local_addr()).unwrap();
        until(|| server.connections() == 1).await;
        let drain = iostream::spawn(server.drain(Duration::from_secs(10)));
        clock.advance(Duration::from_secs(11)).await;
        assert_eq!(drain.await.unwrap().cut, 1);
    });
}

struct Noted;

impl Wake for Noted {
    fn wake(self: Arc<Self>) {}
}

#[test]
fn a_drain_that_is_polled_often_keeps_its_waker_once() {
    let server = TcpServer::new(async |_stream: IOStream, _peer| std::future::pending().await);
    let server = server.listen(("127.0.0.1", 0)).unwrap();
    let _client = TcpStream::connect(server.local_addr()).unwrap();
    run(until(|| server.connections() == 1));
    let noted = Arc::new(Noted);
    let waker = Waker::from(Arc::clone(&noted));
    let mut drain = pin!(server.drain(Duration::from_secs(10)));
    for _ in 0..100 {
        assert!(drain.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    }
    let kept = Arc::strong_count(&noted);
    assert!(kept <= 4, "{kept} for one that waits for connections and for its limit");
}

/// A listening Unix socket without a file, and a way to connect to it.
fn unix_listener(test: &str) -> (UnixListener, impl Fn() -> UnixStream) {
    // Other processes run the same test.
    let name = format!("waterspout-{}-{}-{test}", std::process::id(), module_path!());
    let listener = bind_unix_socket(format!("\0{name}"), &UnixBindOptions::new()).unwrap();
    let addr = std::os::unix::net::SocketAddr::from_abstract_name(name).unwrap();
    (listener, move || UnixStream::connect_addr(&addr).unwrap())
}

#[test]
fn one_server_serves_tcp_and_unix_sockets_and_may_tell_them_apart() {
    let (unix, connect) = unix_listener("both");
    let tcp = bind_sockets(("127.0.0.1", 0), &BindOptions::new()).unwrap().remove(0);
    let greet = async |stream: IOStream, peer: Peer| match peer {
        Peer::Inet(_) => stream.write("tcp\n").await,
        Peer::Unix(path) => stream.write(format!("unix {path:?}\n")).await,
        _ => Ok(()),
    };
    common::choose_poller();
    let server = TcpServer::with_peers(greet, ServerOptions::new());
    let server = server.add_sockets([Listener::Tcp(tcp), Listener::Unix(unix)]).unwrap();
    assert_eq!(server.local_addrs(), [server.local_addr()]);
    run(async {
        let tcp = IOStream::connect(server.local_addr()).await.unwrap();
        assert_eq!(tcp.read_until_close().await.unwrap(), "tcp\n");
        let unix = IOStream::from_unix(connect()).unwrap();
        assert_eq!(unix.read_until_close().await.unwrap(), "unix None\n");
        until(|| server.connections() == 0).await;
    });
}

#[test]
fn a_unix_server_has_limits_stops_and_drains_as_others_do() {
    let (listener, connect) = unix_listener("drain");
    common::choose_poller();
    // A limit for each address means nothing to those who have none.
    let limits = ConnectionLimits::new().max_connections(2).max_per_address(1);
    let server = TcpServer::with_limits(echo_lines, limits).add_sockets([listener]).unwrap();
    assert_eq!(server.local_addr().to_string(), "0.0.0.0:0");
    run(async {
        let clients = [IOStream::from_unix(connect()).unwrap(), IOStream::from_unix(connect()).unwrap()];
        for client in &clients {
            client.write("a\n").await.unwrap();
            assert_eq!(client.read_until(b"\n").await.unwrap(), "a\n");
        }
        let third = IOStream::from_unix(connect()).unwrap();
        assert_eq!(third.read_until_close().await.unwrap(), "");
        let drain = iostream::spawn(server.drain(Duration::from_secs(10)));
        drop(clients);
        assert_eq!(drain.await.unwrap().finished, 2);
    });
}

#[test]
fn a_stream_from_elsewhere_is_served_and_counted_as_others_are() {
    let server = TcpServer::with_limits(echo_lines, ConnectionLimits::new().max_per_address(1));
    let handle = server.listen(("127.0.0.1", 0)).unwrap();
    let peer = Peer::Inet(SocketAddr::from(([192, 0, 2, 1], 5)));
    run(async {
        let (ours, theirs) = memory::pair(100);
        server.serve_stream(ours, peer.clone()).unwrap();
        theirs.write("hello\n").await.unwrap();
        assert_eq!(theirs.read_until(b"\n").await.unwrap(), "hello\n");
        assert_eq!(handle.connections(), 1);
        let (another, end) = memory::pair(100);
        let kept = another.clone();
        assert!(matches!(server.serve_stream(another, peer), Err(Refusal::TooManyFromAddress { limit: 1, .. })));
        assert!(kept.is_closed());
        assert_eq!(end.read_until_close().await.unwrap(), "");
        drop(theirs);
        until(|| handle.connections() == 0).await;
    });
}

#[test]
fn streams_have_the_limits_of_their_server() {
    let failures = Rc::new(RefCell::new(Vec::new()));
    let seen = failures.clone();
    let options = ServerOptions::new().max_buffer_size(10).max_write_buffer_size(0);
    let server = TcpServer::with_options(
        async move |stream: IOStream, _peer| {
            let write = stream.write(vec![0; LOTS]).await.unwrap_err();
            let read = stream.read_bytes(11).await.unwrap_err();
            seen.borrow_mut().extend([write.to_string(), read.to_string()]);
            Ok(())
        },
        options,
    );
    let server = server.listen(("127.0.0.1", 0)).unwrap();
    run(async {
        let stream = IOStream::connect(server.local_addr()).await.unwrap();
        stream.peer_closed().await;
    });
    assert!(failures.borrow()[0].contains("the 0 bytes") && failures.borrow()[1].contains("the 10 bytes"));
}

#[test]
fn starting_without_a_socket_is_an_error() {
    let server = TcpServer::new(echo_lines);
    let error = server.start().unwrap_err();
    assert!(matches!(&error, Error::Io(error) if error.kind() == ErrorKind::InvalidInput), "{error:?}");
}

#[test]
fn a_server_and_its_handles_are_plain_types() {
    struct Owner {
        server: TcpServer,
        handle: Option<ServerHandle>,
    }

    let mut owner = Owner { server: TcpServer::new(echo_lines), handle: None };
    let addr = owner.server.bind(("127.0.0.1", 0)).unwrap();
    owner.handle = Some(owner.server.start().unwrap());
    let handle = owner.handle.clone().unwrap();
    assert_eq!((handle.local_addr(), handle.local_addrs()), (addr, vec![addr]));
    handle.stop();
    assert_eq!((handle.local_addr(), handle.local_addrs()), (addr, vec![]));
}

#[test]
fn what_a_handler_holds_goes_with_the_loop() {
    // On a thread of its own, because its loop is closed.
    let thread = std::thread::spawn(|| {
        let held = Rc::new(());
        let server = TcpServer::new({
            let held = held.clone();
            async move |_, _| {
                let _held = &held;
                Ok(())
            }
        });
        let handle = server.listen(("127.0.0.1", 0)).unwrap();
        drop(server);
        IOLoop::current().close();
        drop(handle);
        Rc::strong_count(&held)
    });
    assert_eq!(thread.join().unwrap(), 1);
}
