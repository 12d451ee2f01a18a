//! Servers: starting, stopping, and what their handlers do.

mod common;

use std::{
    cell::{Cell, RefCell},
    io::{ErrorKind, Read, Write},
    net::{SocketAddr, TcpStream},
    rc::Rc,
    thread,
};

use common::run;
use iostream::{
    Error, IOStream, TcpServer,
    netutil::{BindOptions, bind_sockets},
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
    let server = TcpServer::new(echo_lines);
    let addr = server.listen(("127.0.0.1", 0)).unwrap();
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
    let addr = TcpServer::new(echo_lines).listen(("127.0.0.1", 0)).unwrap();
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
    let addr = server.listen(("127.0.0.1", 0)).unwrap();
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
    server.add_sockets(sockets.unwrap()).unwrap();
    let addrs = server.local_addrs();
    assert_eq!(addrs.len(), 2);
    for addr in addrs {
        assert_eq!(run(ask(addr, "x")).unwrap(), "x");
    }
}

#[test]
fn stopping_twice_is_stopping_once_and_connections_go_on() {
    let server = TcpServer::new(echo_lines);
    let addr = server.listen(("127.0.0.1", 0)).unwrap();
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
    let addr = server.listen(("127.0.0.1", 0)).unwrap();
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
    let addr = server.listen(("127.0.0.1", 0)).unwrap();
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
