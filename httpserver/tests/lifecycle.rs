//! Readiness, the delay before a drain, and those who are told of it.

mod common;

use std::{
    future::{Future, poll_fn},
    net::TcpStream,
    pin::pin,
    task::{Context, Poll, Waker},
    time::Duration,
};

use common::{Client, Event, run, run_virtual, turns, until};
use httpserver::{
    Body, HttpServer, IOStream, JoinHandle, Request, Response, ServerHandle, ServerOptions, Service, StatusCode,
    iostream::memory, spawn,
};

const DELAY: Duration = Duration::from_secs(20);
const LIMIT: Duration = Duration::from_secs(10);
const READY: &str = "GET /ready HTTP/1.1\r\nHost: a\r\n\r\n";
const WAIT: &str = "GET /wait HTTP/1.1\r\nHost: a\r\n\r\n";

fn drain_after(server: &ServerHandle, delay: Duration) -> JoinHandle<httpserver::DrainReport> {
    spawn(server.drain_after(delay, LIMIT))
}

/// Answers whether the server is ready; waits on another path, at the longest until the server drains.
async fn service(request: Request) -> Response {
    if request.path() == "/wait" {
        request.draining().await;
        return Response::text("nothing new");
    }
    match request.is_server_ready() {
        true => Response::text("ready"),
        false => Response::text("leaving").with_status(StatusCode::SERVICE_UNAVAILABLE),
    }
}

#[test]
fn a_server_that_leaves_says_so_at_once_and_accepts_until_the_delay_is_over() {
    run_virtual(async |clock| {
        let server = HttpServer::new(service).listen(("127.0.0.1", 0)).unwrap();
        let addr = server.local_addr();
        let early = Client::connect(addr).await;
        early.send(READY).await;
        assert_eq!(early.answer().await.text(), "ready");
        assert!(server.is_ready());

        let draining = drain_after(&server, DELAY);
        until(|| !server.is_ready()).await;
        assert!(!server.is_draining());
        clock.advance(DELAY - Duration::from_millis(1)).await;
        // New connections and old ones are served as ever, and are not told to close.
        let late = Client::connect(addr).await;
        for client in [&early, &late] {
            client.send(READY).await;
            let answer = client.answer().await;
            assert_eq!((answer.status(), answer.text(), answer.header("connection")), (503, "leaving", None));
        }
        assert_eq!(server.local_addrs(), [addr]);

        clock.advance(Duration::from_millis(1)).await;
        early.expect_closed().await;
        late.expect_closed().await;
        let report = draining.await.unwrap();
        assert_eq!((report.idle, report.finished, report.cut), (2, 0, 0));
        assert!(TcpStream::connect(addr).is_err(), "it still listens");
        assert!(server.is_draining() && !server.is_ready());
    });
}

#[test]
fn a_long_poll_is_told_when_accepting_ends() {
    run_virtual(async |clock| {
        let server = HttpServer::new(service).listen(("127.0.0.1", 0)).unwrap();
        let client = Client::connect(server.local_addr()).await;
        client.send(WAIT).await;
        until(|| server.connections() == 1).await;
        let draining = drain_after(&server, DELAY);
        until(|| !server.is_ready()).await;
        clock.advance(DELAY - Duration::from_millis(1)).await;
        turns(3).await;
        assert_eq!(client.stream.buffered(), 0, "told too early");
        clock.advance(Duration::from_millis(1)).await;
        let answer = client.answer().await;
        assert_eq!((answer.text(), answer.header("connection")), ("nothing new", Some("close")));
        client.expect_closed().await;
        let report = draining.await.unwrap();
        assert_eq!((report.idle, report.finished, report.cut), (0, 1, 0));
    });
}

#[test]
fn a_long_poll_is_told_at_once_where_idle_connections_have_a_grace() {
    run_virtual(async |clock| {
        let server = HttpServer::with_options(service, ServerOptions::new().drain_grace(LIMIT));
        let server = server.listen(("127.0.0.1", 0)).unwrap();
        let client = Client::connect(server.local_addr()).await;
        client.send(WAIT).await;
        until(|| server.connections() == 1).await;
        let draining = drain_after(&server, Duration::ZERO);
        // Without a step of the clock.
        let answer = client.answer().await;
        assert_eq!((answer.text(), answer.header("connection")), ("nothing new", Some("close")));
        client.expect_closed().await;
        client.stream.close();
        let report = draining.await.unwrap();
        assert_eq!((report.idle, report.finished, report.cut), (0, 1, 0));
        drop(clock);
    });
}

#[test]
fn a_stream_and_another_protocol_are_told_and_end_in_order() {
    run(async {
        let server = HttpServer::new(async |request: Request| {
            let draining = request.draining();
            if request.is_upgrade() {
                return request.upgrade(Response::switching_protocols("bye")?, async |stream: IOStream| {
                    draining.await;
                    let _ = stream.write("bye").await;
                });
            }
            Ok(Response::text(Body::writer(async |mut out| {
                out.write("begun ").await?;
                draining.await;
                out.write("ended").await
            })))
        });
        let server = server.listen(("127.0.0.1", 0)).unwrap();
        let (stream, upgraded) =
            (Client::connect(server.local_addr()).await, Client::connect(server.local_addr()).await);
        stream.send(WAIT).await;
        upgraded.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: bye\r\n\r\n").await;
        stream.head().await;
        upgraded.head().await;
        let report = server.drain(Duration::from_secs(3600)).await;
        assert_eq!((report.idle, report.finished, report.cut), (0, 2, 0));
        assert_eq!(stream.rest().await, "6\r\nbegun \r\n5\r\nended\r\n0\r\n\r\n");
        assert_eq!(upgraded.rest().await, "bye");
    });
}

#[test]
fn what_does_not_end_by_itself_is_cut_at_the_deadline_and_not_before() {
    run_virtual(async |clock| {
        let called = Event::new();
        let server = HttpServer::new({
            let called = called.clone();
            async move |_: Request| {
                called.set();
                std::future::pending::<&str>().await
            }
        });
        let (theirs, ours) = memory::pair(1000);
        let handle = server.handle();
        let serving = spawn(async move { server.serve_stream(theirs, None).await });
        ours.write(WAIT).await.unwrap();
        called.wait().await;
        let draining = drain_after(&handle, DELAY);
        until(|| !handle.is_ready()).await;
        clock.advance(DELAY).await;
        until(|| handle.is_draining()).await;
        turns(3).await;
        clock.advance(LIMIT - Duration::from_millis(1)).await;
        turns(3).await;
        assert!(!draining.is_finished() && handle.connections() == 1);
        clock.advance(Duration::from_millis(1)).await;
        let report = draining.await.unwrap();
        assert_eq!((report.idle, report.finished, report.cut), (0, 0, 1));
        serving.await.unwrap();
        assert_eq!(ours.read_until_close().await.unwrap(), "");
    });
}

#[test]
fn a_panic_during_a_drain_is_answered_and_holds_up_nobody() {
    run(async {
        let gate = Event::new();
        let server = HttpServer::new({
            let gate = gate.clone();
            async move |request: Request| {
                gate.wait().await;
                assert_ne!(request.path(), "/panic");
                "fine"
            }
        });
        let server = server.listen(("127.0.0.1", 0)).unwrap();
        let (broken, other) = (Client::connect(server.local_addr()).await, Client::connect(server.local_addr()).await);
        broken.send("GET /panic HTTP/1.1\r\nHost: a\r\n\r\n").await;
        other.send(WAIT).await;
        until(|| server.connections() == 2).await;
        turns(3).await;
        let draining = spawn(server.drain(Duration::from_secs(3600)));
        until(|| server.is_draining()).await;
        gate.set();
        let answer = broken.answer().await;
        assert_eq!((answer.status(), answer.header("connection")), (500, Some("close")));
        assert_eq!(other.answer().await.text(), "fine");
        for client in [broken, other] {
            client.expect_closed().await;
        }
        let report = draining.await.unwrap();
        assert_eq!((report.idle, report.finished, report.cut), (0, 2, 0));
    });
}

#[test]
fn a_server_says_that_it_is_not_ready_while_it_warms_up() {
    run(async {
        let server = HttpServer::new(service).listen(("127.0.0.1", 0)).unwrap();
        let client = Client::connect(server.local_addr()).await;
        server.set_ready(false);
        client.send(READY).await;
        assert_eq!(client.answer().await.status(), 503);
        server.set_ready(true);
        client.send(READY).await;
        assert_eq!(client.answer().await.status(), 200);
        assert_eq!(server.drain(LIMIT).await.idle, 1);
        server.set_ready(true);
        assert!(!server.is_ready(), "it does not listen any more");
    });
}

#[test]
fn a_drain_given_up_during_its_delay_has_only_said_that_it_leaves() {
    run_virtual(async |clock| {
        let server = HttpServer::new(service).listen(("127.0.0.1", 0)).unwrap();
        let draining = drain_after(&server, DELAY);
        until(|| !server.is_ready()).await;
        draining.abort();
        assert!(draining.await.is_err());
        clock.advance(DELAY).await;
        let client = Client::connect(server.local_addr()).await;
        client.send(READY).await;
        let answer = client.answer().await;
        assert_eq!((answer.status(), answer.header("connection")), (503, None));
    });
}

#[test]
fn requests_without_a_connection_are_of_a_server_that_is_ready_and_stays() {
    run(async {
        let request = Request::builder().build().unwrap();
        let mut draining = pin!(request.draining());
        assert!(draining.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        assert_eq!(Service::call(&service, request).await.body().as_bytes(), Some(&b"ready"[..]));
    });
}

#[test]
fn many_may_wait_and_give_up_in_any_order() {
    run(async {
        let (parked, checked) = (Event::new(), Event::new());
        let server = HttpServer::new({
            let (parked, checked) = (parked.clone(), checked.clone());
            async move |request: Request| {
                let mut waiting: Vec<_> = (0..10).map(|_| Box::pin(request.draining())).collect();
                poll_fn(|cx| {
                    for draining in &mut waiting {
                        // Twice, with another waker in between: each keeps one place.
                        assert!(draining.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
                        assert!(draining.as_mut().poll(cx).is_pending());
                    }
                    Poll::Ready(())
                })
                .await;
                for at in [8, 0, 4] {
                    drop(waiting.remove(at));
                }
                parked.set();
                // Not the last one alone: all that are left.
                for draining in &mut waiting {
                    draining.as_mut().await;
                    draining.as_mut().await;
                }
                checked.set();
                "told"
            }
        });
        let server = server.listen(("127.0.0.1", 0)).unwrap();
        let client = Client::connect(server.local_addr()).await;
        client.send(WAIT).await;
        parked.wait().await;
        assert_eq!(server.drain(Duration::from_secs(3600)).await.finished, 1);
        assert!(checked.is_set());
        assert_eq!(client.answer().await.text(), "told");
    });
}
