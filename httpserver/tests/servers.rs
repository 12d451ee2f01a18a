//! The ways to begin, and what a server says of itself.

mod common;

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    os::{linux::net::SocketAddrExt, unix::net::UnixStream},
    rc::Rc,
    sync::{Arc, Mutex, mpsc},
    thread,
    time::Duration,
};

use common::{Client, Event, run, until};
use httpserver::{HttpServer, IOLoop, IOStream, Limits, Request, Response, Service, serve_stream, spawn, threads};
use iostream::{
    TcpServer,
    netutil::{UnixBindOptions, bind_unix_socket},
};

const GET: &str = "GET /x HTTP/1.1\r\nHost: a\r\n\r\n";
const LAST: &str = "GET /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";

async fn path(request: Request) -> String {
    request.path().to_owned()
}

#[test]
fn clients_of_a_bound_server_wait_until_it_starts() {
    run(async {
        let server = HttpServer::new(path);
        let addr = server.bind(("127.0.0.1", 0)).unwrap();
        let client = Client::connect(addr).await;
        client.send(LAST).await;
        assert!(httpserver::timeout(Duration::from_millis(20), client.stream.read_some(1)).await.is_err());
        assert!(server.handle().local_addrs().is_empty());
        let server = server.start().unwrap();
        assert_eq!(server.local_addrs(), [addr]);
        assert!(client.rest().await.ends_with("/x"));
    });
}

#[test]
fn sockets_from_elsewhere_are_served() {
    run(async {
        let sockets: Vec<_> = (0..2).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
        let addrs: Vec<_> = sockets.iter().map(|socket| socket.local_addr().unwrap()).collect();
        let server = HttpServer::new(path).add_sockets(sockets).unwrap();
        assert_eq!(server.local_addrs(), addrs);
        for addr in addrs {
            let client = Client::connect(addr).await;
            client.send(LAST).await;
            assert!(client.rest().await.ends_with("/x"));
        }
    });
}

#[test]
fn unix_sockets_are_served_within_the_limits_and_drained() {
    run(async {
        let name = format!("waterspout-http-{}", std::process::id());
        let listener = bind_unix_socket(format!("\0{name}"), &UnixBindOptions::new()).unwrap();
        let addr = std::os::unix::net::SocketAddr::from_abstract_name(name).unwrap();
        let connect = || IOStream::from_unix(UnixStream::connect_addr(&addr).unwrap()).unwrap();
        let peer = async |request: Request| format!("{:?}", request.peer_addr());
        let server =
            HttpServer::with_limits(peer, Limits::default().max_connections(1)).add_sockets([listener]).unwrap();
        assert!(server.local_addrs().is_empty());
        let client = connect();
        client.write(GET).await.unwrap();
        assert!(client.read_until(b"None").await.unwrap().starts_with(b"HTTP/1.1 200"));
        let refused = connect();
        refused.write(GET).await.unwrap();
        assert!(refused.read_until_close().await.unwrap().starts_with(b"HTTP/1.1 503"));
        let report = server.drain(Duration::from_secs(10)).await;
        assert_eq!((report.idle, report.cut), (1, 0));
        assert_eq!(client.read_until_close().await.unwrap(), "");
        assert!(UnixStream::connect_addr(&addr).is_err());
    });
}

#[test]
fn one_server_listens_at_several_places() {
    run(async {
        let server = HttpServer::new(path);
        for _ in 0..3 {
            server.listen(("127.0.0.1", 0)).unwrap();
        }
        for addr in server.handle().local_addrs() {
            let client = Client::connect(addr).await;
            client.send(LAST).await;
            assert!(client.rest().await.ends_with("/x"));
        }
    });
}

#[test]
fn an_address_in_use_is_an_error() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    assert!(HttpServer::new(path).listen(taken.local_addr().unwrap()).is_err());
}

#[test]
fn a_server_lives_on_without_its_handle() {
    let addr = HttpServer::new(path).listen(("127.0.0.1", 0)).unwrap().local_addr();
    run(async {
        let client = Client::connect(addr).await;
        client.send(LAST).await;
        assert!(client.rest().await.ends_with("/x"));
    });
}

#[test]
fn connections_are_counted() {
    run(async {
        let server = HttpServer::new(path);
        let server = server.listen(("127.0.0.1", 0)).unwrap();
        let addr = server.local_addr();
        let mut clients = Vec::new();
        for count in 1..=5 {
            clients.push(Client::connect(addr).await);
            until(|| server.connections() == count).await;
        }
        drop(clients);
        until(|| server.connections() == 0).await;
    });
}

#[test]
fn any_stream_can_be_served() {
    run(async {
        let ended = Event::new();
        let service = Rc::new(path);
        let front = TcpServer::new({
            let ended = ended.clone();
            async move |stream: IOStream, peer| {
                stream.read_until(b"\n").await?;
                serve_stream(stream.clone(), Some(peer), Rc::clone(&service)).await;
                assert!(stream.is_closed());
                ended.set();
                Ok(())
            }
        });
        let client = Client::connect(front.listen(("127.0.0.1", 0)).unwrap().local_addr()).await;
        // The first request comes along with the line in front of it.
        client.send(format!("open sesame\n{GET}{GET}")).await;
        for _ in 0..2 {
            assert_eq!(client.answer().await.text(), "/x");
        }
        client.send(LAST).await;
        assert!(client.rest().await.ends_with("/x"));
        ended.wait().await;
    });
}

#[test]
fn a_server_serves_a_stream_with_its_own_limits() {
    run(async {
        let server = HttpServer::with_limits(
            async |request: Request| format!("{:?}", request.peer_addr()),
            Limits::default().max_target(10),
        );
        let handle = server.handle();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = Client::connect(listener.local_addr().unwrap()).await;
        let stream = IOStream::from_accepted(listener.accept().unwrap().0).unwrap();
        let serving = spawn(async move { server.serve_stream(stream, None).await });
        client.send(GET).await;
        assert_eq!(client.answer().await.text(), "None");
        assert_eq!(handle.connections(), 1);
        client.send("GET /longer-than-ten HTTP/1.1\r\nHost: a\r\n\r\n").await;
        assert_eq!(client.answer().await.status(), 414);
        client.end().await;
        serving.await.unwrap();
        assert_eq!(handle.connections(), 0);
    });
}

#[test]
fn a_service_may_be_a_type_and_hold_state_without_locks() {
    struct Counter(std::cell::Cell<u32>);

    impl Service for Counter {
        async fn call(&self, _: Request) -> Response {
            self.0.set(self.0.get() + 1);
            Response::text(self.0.get().to_string())
        }
    }

    run(async {
        let addr = common::serve(Counter(Default::default()));
        let client = Client::connect(addr).await;
        for count in ["1", "2", "3"] {
            client.send(GET).await;
            assert_eq!(client.answer().await.text(), count);
        }
    });
}

#[test]
fn clients_on_other_threads_are_served() {
    let server = HttpServer::new(async |mut request: Request| request.bytes().await);
    let server = server.listen(("127.0.0.1", 0)).unwrap();
    let addr = server.local_addr();
    let (ioloop, handle) = (IOLoop::current(), IOLoop::current().handle());
    let clients: Vec<_> = (0..4)
        .map(|client| {
            thread::spawn(move || {
                let stream = TcpStream::connect(addr).unwrap();
                let mut reader = BufReader::new(&stream);
                for i in 0..100 {
                    let body = format!("{client}:{i}").repeat(1 + i * 10);
                    let head = format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", body.len());
                    (&stream).write_all((head + &body).as_bytes()).unwrap();
                    let mut line = String::new();
                    while line != "\r\n" {
                        line.clear();
                        assert_ne!(reader.read_line(&mut line).unwrap(), 0);
                    }
                    let mut answer = vec![0; body.len()];
                    reader.read_exact(&mut answer).unwrap();
                    assert!(answer == body.as_bytes());
                }
            })
        })
        .collect();
    let waiting = thread::spawn(move || {
        let results: Vec<_> = clients.into_iter().map(thread::JoinHandle::join).collect();
        handle.stop().unwrap();
        results
    });
    ioloop.start();
    for result in waiting.join().unwrap() {
        result.unwrap();
    }
}

#[test]
fn a_server_on_several_threads_is_drained_as_one() {
    let setup = || {
        // Not `Send`, and made on each thread.
        let name = Rc::new(thread::current().name().unwrap_or_default().to_owned());
        let service = async move |_: Request| name.to_string();
        Ok(HttpServer::with_limits(service, Limits::default().max_connections(1)))
    };
    let threads = threads::hand_off(2, ("127.0.0.1", 0), setup).unwrap();
    run(async {
        let clients = [Client::connect(threads.local_addr()).await, Client::connect(threads.local_addr()).await];
        let mut names = Vec::new();
        for client in &clients {
            client.send(GET).await;
            names.push(client.answer().await.text().to_owned());
        }
        names.sort();
        assert_eq!(names, ["worker-0", "worker-1"]);
        let refused = Client::connect(threads.local_addr()).await;
        assert!(refused.rest().await.starts_with("HTTP/1.1 503"));
        threads.drain(Duration::from_secs(10)).await.unwrap();
        for client in clients {
            assert_eq!(client.rest().await, "");
        }
    });
    threads.join().unwrap();
}

#[test]
fn a_client_that_a_thread_has_no_room_for_is_told_so_and_not_reset() {
    let (begun, at_work) = mpsc::channel();
    let (go_on, held_up) = mpsc::channel();
    let ends = Arc::new(Mutex::new(Some((begun, held_up))));
    let setup = move || {
        let ends = ends.clone();
        let service = async move |_: Request| {
            // Holds up the loop, so that the next client has sent its request before it is looked at.
            if let Some((begun, held_up)) = ends.lock().unwrap().take() {
                begun.send(()).unwrap();
                held_up.recv().unwrap();
            }
            "done"
        };
        Ok(HttpServer::with_limits(service, Limits::default().max_connections(1)))
    };
    let threads = threads::hand_off(1, ("127.0.0.1", 0), setup).unwrap();
    run(async {
        let client = Client::connect(threads.local_addr()).await;
        client.send(GET).await;
        at_work.recv().unwrap();
        let refused = Client::connect(threads.local_addr()).await;
        refused.send(GET).await;
        go_on.send(()).unwrap();
        assert_eq!(client.answer().await.text(), "done");
        assert!(refused.rest().await.starts_with("HTTP/1.1 503"));
        threads.drain(Duration::from_secs(10)).await.unwrap();
    });
    threads.join().unwrap();
}

#[test]
fn a_service_sees_the_request_as_it_was_sent() {
    run(async {
        let addr = common::serve(async |request: Request| {
            assert!(request.peer_addr().is_some_and(|peer| peer.ip().is_loopback()));
            assert_eq!(request.headers().get("x-case"), Some("Kept"));
            format!(
                "{} {} {} {:?} {:?} {:?}",
                request.method(),
                request.target(),
                request.path(),
                request.query(),
                request.host(),
                request.version()
            )
        });
        let client = Client::connect(addr).await;
        client.send("BREW /a%20b?c=d HTTP/1.1\r\nHost: example.com:80\r\nX-CASE: Kept\r\n\r\n").await;
        let expected = r#"BREW /a%20b?c=d /a%20b Some("c=d") Some("example.com:80") HTTP/1.1"#;
        assert_eq!(client.answer().await.text(), expected);
    });
}
