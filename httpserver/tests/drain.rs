//! Ending a server in order.

mod common;

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    task::{Context, Waker},
    time::Duration,
};

use common::{Client, Event, SetOnDrop, header, run, run_virtual, turns, until};
use httpserver::{
    Body, HttpServer, IOStream, JoinHandle, Request, Response, Result, ServerHandle, ServerOptions,
    iostream::{ioloop::VirtualClock, memory},
    spawn,
};

const LONG: Duration = Duration::from_secs(3600);
const HELLO: &str = "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n";
const WAIT: &str = "GET /wait HTTP/1.1\r\nHost: a\r\n\r\n";

/// Answers /hello at once and other paths when the gate opens.
fn gated(gate: &Event, called: &Event) -> impl httpserver::Service + use<> {
    let (gate, called) = (gate.clone(), called.clone());
    async move |request: Request| {
        if request.path() != "/hello" {
            called.set();
            gate.wait().await;
        }
        request.path().to_owned()
    }
}

fn drain(server: &ServerHandle, limit: Duration) -> JoinHandle<httpserver::DrainReport> {
    let server = server.clone();
    spawn(async move { server.drain(limit).await })
}

#[test]
fn a_server_without_connections_is_drained_at_once() {
    let server = HttpServer::new(async |_: Request| "").listen(("127.0.0.1", 0)).unwrap();
    let report = run(server.drain(LONG));
    assert_eq!((report.idle, report.finished, report.cut), (0, 0, 0));
    assert!(server.local_addrs().is_empty());
}

#[test]
fn idle_connections_are_closed_and_requests_in_hand_finished() {
    run(async {
        let (gate, called) = (Event::new(), Event::new());
        let server = HttpServer::new(gated(&gate, &called));
        let server = server.listen(("127.0.0.1", 0)).unwrap();
        let addr = server.local_addr();
        let (used, fresh, busy) =
            (Client::connect(addr).await, Client::connect(addr).await, Client::connect(addr).await);
        used.send(HELLO).await;
        assert_eq!(used.answer().await.text(), "/hello");
        busy.send(WAIT).await;
        called.wait().await;
        until(|| server.connections() == 3).await;

        let draining = drain(&server, LONG);
        used.expect_closed().await;
        fresh.expect_closed().await;
        assert!(TcpStream::connect(addr).is_err(), "it still listens");
        assert!(!draining.is_finished());

        gate.set();
        let answer = busy.answer().await;
        assert_eq!((answer.text(), answer.header("connection")), ("/wait", Some("close")));
        busy.expect_closed().await;
        let report = draining.await.unwrap();
        assert_eq!((report.idle, report.finished, report.cut), (2, 1, 0));
        assert_eq!(server.connections(), 0);
    });
}

/// Clients of a server that keeps idle connections for a second when it drains: one that has been answered, and one that
/// has not asked yet.
async fn with_grace(clock: &VirtualClock) -> (ServerHandle, Client, Client) {
    let options = ServerOptions::new().drain_grace(Duration::from_secs(1));
    let server = HttpServer::with_options(async |request: Request| request.path().to_owned(), options);
    let handle = server.handle();
    let [used, fresh] = [(); 2].map(|()| {
        let (end, stream) = memory::pair(1000);
        let server = server.clone();
        let _detached = spawn(async move { server.serve_stream(end, None).await });
        stream.set_half_open(true);
        Client { stream }
    });
    used.send(HELLO).await;
    assert_eq!(used.answer().await.header("connection"), None);
    clock.advance(Duration::from_secs(1)).await;
    (handle, used, fresh)
}

#[test]
fn clients_that_are_about_to_ask_are_answered_when_they_are_waited_for() {
    run_virtual(async |clock| {
        let (server, used, fresh) = with_grace(&clock).await;
        let draining = drain(&server, LONG);
        clock.advance(Duration::from_millis(999)).await;
        for client in [used, fresh] {
            client.send(HELLO).await;
            assert_eq!(client.answer().await.header("connection"), Some("close"));
            client.expect_closed().await;
        }
        // Nobody is left to wait for.
        let report = draining.await.unwrap();
        assert_eq!((report.idle, report.finished, report.cut), (0, 2, 0));
    });
}

#[test]
fn connections_that_stay_silent_are_closed_when_the_wait_for_them_is_over() {
    for (limit, closed) in [(LONG, 1000), (Duration::from_millis(100), 100)] {
        run_virtual(async |clock| {
            let (server, used, fresh) = with_grace(&clock).await;
            let draining = drain(&server, limit);
            clock.advance(Duration::from_millis(closed - 1)).await;
            assert_eq!(server.connections(), 2);
            clock.advance(Duration::from_millis(1)).await;
            let report = draining.await.unwrap();
            assert_eq!((report.idle, report.finished, report.cut), (2, 0, 0));
            used.expect_closed().await;
            fresh.expect_closed().await;
        });
    }
}

#[test]
fn a_request_half_received_is_still_served() {
    run(async {
        let server = HttpServer::new(async |mut request: Request| -> Result<Response> {
            Ok(Response::bytes(request.bytes().await?))
        });
        let server = server.listen(("127.0.0.1", 0)).unwrap();
        let addr = server.local_addr();
        let (head, body) = (Client::connect(addr).await, Client::connect(addr).await);
        head.send("GET / HT").await;
        body.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhe").await;
        until(|| server.connections() == 2).await;
        turns(2).await;
        let draining = drain(&server, LONG);
        until(|| server.local_addrs().is_empty()).await;
        turns(2).await;
        head.send("TP/1.1\r\nHost: a\r\n\r\n").await;
        body.send("llo").await;
        for (client, text) in [(head, ""), (body, "hello")] {
            let answer = client.answer().await;
            assert_eq!((answer.status(), answer.text(), answer.header("connection")), (200, text, Some("close")));
        }
        let report = draining.await.unwrap();
        assert_eq!((report.idle, report.finished, report.cut), (0, 2, 0));
    });
}

#[test]
fn an_answer_that_is_still_being_sent_is_sent_whole() {
    const LENGTH: usize = 32 * 1024 * 1024;
    run(async {
        let server = HttpServer::new(async |_: Request| vec![b'x'; LENGTH]);
        let server = server.listen(("127.0.0.1", 0)).unwrap();
        let client = Client::connect(server.local_addr()).await;
        client.send(HELLO).await;
        client.head().await;
        let draining = drain(&server, LONG);
        until(|| server.local_addrs().is_empty()).await;
        turns(2).await;
        assert_eq!(client.stream.read_bytes(LENGTH).await.unwrap().len(), LENGTH);
        client.expect_closed().await;
        let report = draining.await.unwrap();
        assert_eq!((report.idle, report.finished, report.cut), (0, 1, 0));
    });
}

#[test]
fn a_streamed_answer_begun_before_is_finished() {
    run(async {
        let gate = Event::new();
        let server = HttpServer::new({
            let gate = gate.clone();
            async move |_: Request| {
                let gate = gate.clone();
                Response::text(Body::writer(async move |mut out| {
                    out.write("one ").await?;
                    gate.wait().await;
                    out.write("two").await
                }))
            }
        });
        let server = server.listen(("127.0.0.1", 0)).unwrap();
        let client = Client::connect(server.local_addr()).await;
        client.send(HELLO).await;
        client.head().await;
        let draining = drain(&server, LONG);
        until(|| server.local_addrs().is_empty()).await;
        turns(2).await;
        gate.set();
        assert_eq!(client.rest().await, "4\r\none \r\n3\r\ntwo\r\n0\r\n\r\n");
        assert_eq!(draining.await.unwrap().finished, 1);
    });
}

#[test]
fn what_is_left_at_the_deadline_is_cut() {
    run(async {
        let (gate, called, ended) = (Event::new(), Event::new(), Event::new());
        let server = HttpServer::new({
            let (gate, called, ended) = (gate.clone(), called.clone(), ended.clone());
            async move |_: Request| {
                let _ended = SetOnDrop(ended.clone());
                called.set();
                gate.wait().await;
                "never"
            }
        });
        let server = server.listen(("127.0.0.1", 0)).unwrap();
        let client = Client::connect(server.local_addr()).await;
        client.send(WAIT).await;
        called.wait().await;
        let report = server.drain(Duration::from_millis(20)).await;
        assert_eq!((report.idle, report.finished, report.cut), (0, 0, 1));
        assert!(ended.is_set(), "the service's future lives on");
        client.expect_closed().await;
        assert_eq!(server.connections(), 0);
    });
}

#[test]
fn a_client_that_does_not_read_is_cut() {
    run(async {
        let server = HttpServer::new(async |_: Request| vec![b'x'; 64 * 1024 * 1024]);
        let server = server.listen(("127.0.0.1", 0)).unwrap();
        let client = Client::connect(server.local_addr()).await;
        client.send(HELLO).await;
        client.head().await;
        let report = server.drain(Duration::from_millis(20)).await;
        assert_eq!((report.idle, report.finished, report.cut), (0, 0, 1));
    });
}

#[test]
fn the_last_request_of_a_pipeline_may_be_the_one_that_drains() {
    run(async {
        let (gate, called) = (Event::new(), Event::new());
        let server = HttpServer::new(gated(&gate, &called));
        let server = server.listen(("127.0.0.1", 0)).unwrap();
        let client = Client::connect(server.local_addr()).await;
        client.send([WAIT, HELLO].concat()).await;
        called.wait().await;
        let draining = drain(&server, LONG);
        until(|| server.local_addrs().is_empty()).await;
        turns(2).await;
        gate.set();
        let answer = client.answer().await;
        assert_eq!((answer.text(), answer.header("connection")), ("/wait", Some("close")));
        // The client was told not to expect the second answer.
        client.expect_closed().await;
        client.stream.close();
        assert_eq!(draining.await.unwrap().finished, 1);
    });
}

/// A client in the way of another process: what it does needs no turn of this loop.
fn blocking_client(addr: SocketAddr, request: &str) -> TcpStream {
    let mut client = TcpStream::connect(addr).unwrap();
    client.write_all(request.as_bytes()).unwrap();
    client
}

fn blocking_answer(mut client: TcpStream) -> String {
    let mut answer = String::new();
    client.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn connections_in_the_backlog_are_served() {
    run(async {
        let server = HttpServer::new(async |request: Request| request.path().to_owned());
        let server = server.listen(("127.0.0.1", 0)).unwrap();
        let addr = server.local_addr();
        // More than are accepted in one go otherwise.
        let clients: Vec<_> = (0..200).map(|_| blocking_client(addr, HELLO)).collect();
        assert_eq!(server.connections(), 0);
        let report = server.drain(LONG).await;
        assert_eq!(report.cut, 0);
        assert_eq!(server.connections(), 0);
        for client in clients {
            let answer = blocking_answer(client);
            assert_eq!((common::status(&answer), header(&answer, "connection")), (200, Some("close")));
        }
    });
}

#[test]
fn a_first_request_that_the_kernel_has_and_nobody_read_is_served() {
    run(async {
        let server = HttpServer::new(async |request: Request| request.path().to_owned());
        let server = server.listen(("127.0.0.1", 0)).unwrap();
        let (mut fresh, mut used) =
            (blocking_client(server.local_addr(), ""), blocking_client(server.local_addr(), HELLO));
        until(|| server.connections() == 2).await;
        turns(3).await;
        for client in [&mut fresh, &mut used] {
            client.write_all(HELLO.as_bytes()).unwrap();
        }
        let report = server.drain(LONG).await;
        assert_eq!((report.idle, report.cut), (0, 0));
        for (client, answers) in [(fresh, 1), (used, 2)] {
            let text = blocking_answer(client);
            assert_eq!(text.matches("HTTP/1.1 200 ").count(), answers);
            assert_eq!(text.matches("Connection: close").count(), 1);
        }
    });
}

#[test]
fn a_drain_ends_even_when_a_connection_is_never_let_go() {
    run_virtual(async |clock| {
        let server = HttpServer::new(async |_: Request| std::future::pending::<&str>().await);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let _client = blocking_client(listener.local_addr().unwrap(), HELLO);
        let stream = IOStream::from_accepted(listener.accept().unwrap().0).unwrap();
        let mut stuck = Box::pin(server.serve_stream(stream, None));
        // Polled until it waits, and never again: what it holds cannot be freed.
        turns(1).await;
        assert!(stuck.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        let handle = server.handle();
        let draining = drain(&handle, Duration::from_secs(5));
        until(|| handle.is_draining()).await;
        clock.advance(Duration::from_secs(5)).await;
        turns(2).await;
        assert!(!draining.is_finished());
        clock.advance(Duration::from_secs(1)).await;
        let report = draining.await.unwrap();
        assert_eq!((report.idle, report.finished, report.cut), (0, 0, 1));
        drop(stuck);
        assert_eq!(handle.connections(), 0);
    });
}

#[test]
fn a_drain_that_is_given_up_has_stopped_listening_and_cuts_nothing() {
    run(async {
        let (gate, called) = (Event::new(), Event::new());
        let server = HttpServer::new(gated(&gate, &called)).listen(("127.0.0.1", 0)).unwrap();
        let addr = server.local_addr();
        let client = Client::connect(addr).await;
        client.send(WAIT).await;
        called.wait().await;
        let draining = drain(&server, LONG);
        until(|| server.local_addrs().is_empty()).await;
        turns(2).await;
        draining.abort();
        assert!(draining.await.is_err());
        assert!(TcpStream::connect(addr).is_err(), "it still listens");
        gate.set();
        let answer = client.answer().await;
        assert_eq!((answer.text(), answer.header("connection")), ("/wait", Some("close")));
    });
}

#[test]
fn a_stopped_server_serves_the_connections_it_has() {
    run(async {
        let server = HttpServer::new(async |request: Request| request.path().to_owned());
        let server = server.listen(("127.0.0.1", 0)).unwrap();
        let addr = server.local_addr();
        let client = Client::connect(addr).await;
        client.send(HELLO).await;
        assert_eq!(client.answer().await.header("connection"), None);
        server.stop();
        server.stop();
        turns(1).await;
        assert!(TcpStream::connect(addr).is_err(), "it still listens");
        client.send(HELLO).await;
        assert_eq!(client.answer().await.header("connection"), None);
        assert_eq!(header(&client_head(&client).await, "connection"), None);
    });
}

async fn client_head(client: &Client) -> String {
    client.send("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    client.head().await
}
