//! Connections that are turned over to another protocol, and answers that only look like it.

mod common;

use std::{cell::RefCell, future::poll_fn, rc::Rc, task::Poll, time::Duration};

use common::{Client, Event, SetOnDrop, exchange, header, run, run_virtual, serve, status, turns, until};
use httpserver::{
    Error, HttpServer, IOStream, Method, Request, Response, Result, ServerHandle, Service, StatusCode,
    UpgradedConnection, spawn,
};

const ASK: &str = "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n";
const CONNECT: &str = "CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n\r\n";
const LONG: Duration = Duration::from_secs(3600);

/// Echoes lines until the client ends its input.
async fn echo_lines(stream: IOStream) {
    while let Ok(line) = stream.read_until(b"\n").max_bytes(1000).await {
        let _ = stream.write(line).await;
    }
}

async fn service(request: Request) -> Result<Response> {
    match (request.method(), request.path()) {
        (&Method::GET, "/plain") => Ok(Response::text("plain")),
        (&Method::CONNECT, _) => request.upgrade(Response::new(StatusCode::OK), echo_lines),
        _ => request.upgrade(Response::switching_protocols("echo")?, echo_lines),
    }
}

fn listen(service: impl Service) -> ServerHandle {
    HttpServer::new(service).listen(("127.0.0.1", 0)).unwrap()
}

/// A client whose connection has been upgraded.
async fn upgraded(server: &ServerHandle) -> Client {
    let client = Client::connect(server.local_addr()).await;
    client.send(ASK).await;
    assert_eq!(status(&client.head().await), 101);
    client
}

#[test]
fn an_upgraded_stream_begins_with_what_was_read_ahead() {
    run(async {
        let client = Client::connect(serve(service)).await;
        client.send(format!("GET /plain HTTP/1.1\r\nHost: a\r\n\r\n{ASK}one\ntwo\n")).await;
        assert_eq!(client.answer().await.text(), "plain");
        let head = client.head().await;
        assert_eq!((status(&head), header(&head, "upgrade")), (101, Some("echo")));
        assert_eq!(header(&head, "connection").map(str::to_lowercase).as_deref(), Some("upgrade"));
        assert_eq!((header(&head, "content-length"), header(&head, "transfer-encoding")), (None, None));
        client.send("three\n").await;
        for line in ["one\n", "two\n", "three\n"] {
            assert_eq!(client.stream.read_until(b"\n").await.unwrap(), line);
        }
        client.end().await;
        client.expect_closed().await;
    });
}

#[test]
fn what_looks_like_a_request_behind_an_upgrade_is_not_one() {
    run(async {
        let client = Client::connect(serve(service)).await;
        client.send(format!("{ASK}GET /plain HTTP/1.1\r\nHost: a\r\n\r\n")).await;
        client.head().await;
        client.end().await;
        assert_eq!(client.rest().await, "GET /plain HTTP/1.1\r\nHost: a\r\n\r\n");
    });
}

#[test]
fn the_protocol_begins_when_the_head_has_left() {
    run(async {
        let addr = serve(async |request: Request| -> Result<Response> {
            request.upgrade(Response::switching_protocols("x")?, async |stream: IOStream| {
                assert_eq!(stream.pending_write(), 0);
                let _ = stream.write("first").await;
            })
        });
        let answer = exchange(addr, ASK).await;
        assert!(answer.starts_with("HTTP/1.1 101 ") && answer.ends_with("\r\n\r\nfirst"), "{answer}");
    });
}

#[test]
fn what_the_protocol_has_written_is_sent_when_it_returns() {
    const LENGTH: usize = 32 * 1024 * 1024;
    run(async {
        let server = listen(async |request: Request| -> Result<Response> {
            request.upgrade(Response::switching_protocols("x")?, async |stream: IOStream| {
                drop(stream.write(vec![b'x'; LENGTH]));
            })
        });
        let client = upgraded(&server).await;
        assert_eq!(client.rest_bytes().await.len(), LENGTH);
        until(|| server.connections() == 0).await;
    });
}

#[test]
fn an_upgraded_connection_counts_and_a_drain_waits_for_it() {
    run(async {
        let server = listen(service);
        let client = upgraded(&server).await;
        assert_eq!(server.connections(), 1);
        let draining = spawn({
            let server = server.clone();
            async move { server.drain(LONG).await }
        });
        until(|| server.is_draining()).await;
        turns(3).await;
        client.send("still here\n").await;
        assert_eq!(client.stream.read_until(b"\n").await.unwrap(), "still here\n");
        assert!(!draining.is_finished());
        client.end().await;
        let report = draining.await.unwrap();
        assert_eq!((report.idle, report.finished, report.cut), (0, 1, 0));
    });
}

#[test]
fn a_drain_cuts_an_upgraded_connection_at_its_deadline() {
    run(async {
        let ended = Event::new();
        let server = listen({
            let ended = ended.clone();
            async move |request: Request| -> Result<Response> {
                let ended = SetOnDrop(ended.clone());
                request.upgrade(Response::switching_protocols("x")?, async move |_stream: IOStream| {
                    let _ended = ended;
                    std::future::pending().await
                })
            }
        });
        let client = upgraded(&server).await;
        let report = server.drain(Duration::from_millis(20)).await;
        assert_eq!((report.idle, report.finished, report.cut), (0, 0, 1));
        assert!(ended.is_set() && server.connections() == 0);
        client.expect_closed().await;
    });
}

#[test]
fn a_protocol_with_a_future_of_its_own_hears_of_a_drain() {
    run(async {
        let server = listen(async |request: Request| -> Result<Response> {
            request.upgrade_connection(Response::switching_protocols("x")?, async |connection: UpgradedConnection| {
                assert!(!connection.is_draining());
                // Nothing else wakes it.
                poll_fn(|_| if connection.is_draining() { Poll::Ready(()) } else { Poll::Pending }).await;
                let _ = connection.stream().write("bye\n").await;
            })
        });
        let client = upgraded(&server).await;
        turns(3).await;
        let report = server.drain(LONG).await;
        assert_eq!((report.finished, report.cut), (1, 0));
        assert_eq!(client.rest().await, "bye\n");
    });
}

#[test]
fn the_time_outs_of_http_end_with_an_upgrade() {
    run_virtual(async |clock| {
        let server = listen(service);
        let client = upgraded(&server).await;
        clock.advance(2 * LONG).await;
        client.send("hello\n").await;
        assert_eq!(client.stream.read_until(b"\n").await.unwrap(), "hello\n");
    });
}

#[test]
fn a_panic_in_the_protocol_closes_its_connection_alone() {
    run(async {
        let server = listen(async |request: Request| -> Result<Response> {
            request.upgrade(Response::switching_protocols("x")?, async |stream: IOStream| {
                let line = stream.read_until(b"\n").await;
                assert_eq!(line.unwrap(), "fine\n");
                let _ = stream.write("fine\n").await;
            })
        });
        let (bad, good) = (upgraded(&server).await, upgraded(&server).await);
        bad.send("bad\n").await;
        bad.expect_closed().await;
        until(|| server.connections() == 1).await;
        good.send("fine\n").await;
        assert_eq!(good.rest().await, "fine\n");
        until(|| server.connections() == 0).await;
    });
}

#[test]
fn a_request_that_did_not_ask_is_not_upgraded() {
    run(async {
        let addr = serve(service);
        for head in [
            "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: echo\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\n\r\n",
            // RFC 9110 7.8: a server ignores Upgrade in HTTP/1.0.
            "GET / HTTP/1.0\r\nHost: a\r\nConnection: upgrade, keep-alive\r\nUpgrade: echo\r\n\r\n",
        ] {
            let client = Client::connect(addr).await;
            client.send(head).await;
            assert_eq!(client.answer().await.status(), 400, "{head}");
        }
    });
}

#[test]
fn an_offer_to_upgrade_may_be_ignored() {
    run(async {
        let client = Client::connect(serve(async |_: Request| "no, thanks")).await;
        for _ in 0..2 {
            client.send(ASK).await;
            let answer = client.answer().await;
            assert_eq!((answer.text(), answer.header("connection")), ("no, thanks", None));
        }
    });
}

#[test]
fn a_request_with_its_body_unread_is_not_upgraded() {
    run(async {
        let addr = serve(async |mut request: Request| -> Result<Response> {
            if request.path() == "/read" {
                request.bytes().await?;
            }
            service(request).await
        });
        let ask = |path: &str| ASK.replacen('/', path, 1).replace("\r\n\r\n", "\r\nContent-Length: 6\r\n\r\nunread");
        let client = Client::connect(addr).await;
        client.send(ask("/unread") + &ask("/read") + "behind\n").await;
        assert_eq!(client.answer().await.status(), 400);
        assert_eq!(status(&client.head().await), 101);
        assert_eq!(client.stream.read_until(b"\n").await.unwrap(), "behind\n");
    });
}

#[test]
fn a_status_that_does_not_switch_is_refused() {
    let request = |head: &str| {
        let builder = Request::builder().header("Connection", "upgrade").header("Upgrade", "x");
        let builder = if head == "CONNECT" { builder.method(Method::CONNECT).target("a:1") } else { builder };
        builder.build().unwrap()
    };
    let upgrade = |method, status| request(method).upgrade(Response::new(status), async |_| {});
    assert!(matches!(upgrade("GET", StatusCode::OK), Err(Error::InvalidHeader(_))));
    assert!(matches!(upgrade("GET", StatusCode::CONTINUE), Err(Error::InvalidHeader(_))));
    assert!(matches!(upgrade("CONNECT", StatusCode::SWITCHING_PROTOCOLS), Err(Error::InvalidHeader(_))));
    assert_eq!(upgrade("GET", StatusCode::SWITCHING_PROTOCOLS).unwrap().status(), StatusCode::SWITCHING_PROTOCOLS);
    assert_eq!(upgrade("CONNECT", StatusCode::ACCEPTED).unwrap().status(), StatusCode::ACCEPTED);
    assert!(Response::switching_protocols("a\r\nb").is_err());
}

#[test]
fn an_interim_status_without_an_upgrade_is_a_500() {
    run(async {
        let addr = serve(async |request: Request| {
            let status = request.path()[1..].parse().unwrap();
            Response::new(StatusCode::from_u16(status).unwrap()).with_header("Upgrade", "echo")
        });
        for path in ["/100", "/101", "/102", "/103", "/199"] {
            for upgrade in ["", "Connection: upgrade\r\nUpgrade: echo\r\n"] {
                let answer = exchange(addr, format!("GET {path} HTTP/1.1\r\nHost: a\r\n{upgrade}\r\n")).await;
                assert_eq!((status(&answer), header(&answer, "connection")), (500, Some("close")), "{path}");
                assert_eq!(answer.matches("HTTP/1.1").count(), 1);
            }
        }
    });
}

#[test]
fn an_upgrade_is_of_no_use_for_another_request_or_status() {
    run(async {
        // A wrap that changes what it should not, and one that keeps an answer for later.
        let kept: Rc<RefCell<Option<Response>>> = Rc::default();
        let addr = serve(async move |request: Request| -> Result<Response> {
            match request.path() {
                "/keep" => {
                    kept.replace(Some(service(request).await?));
                    Ok(Response::text("kept"))
                }
                "/use" => Ok(kept.take().unwrap()),
                _ => Ok(service(request).await?.with_status(StatusCode::OK)),
            }
        });
        let answer = exchange(addr, ASK).await;
        assert_eq!((status(&answer), header(&answer, "connection")), (500, Some("close")));
        let client = Client::connect(addr).await;
        client.send(ASK.replacen('/', "/keep", 1)).await;
        assert_eq!(client.answer().await.text(), "kept");
        client.send("GET /use HTTP/1.1\r\nHost: a\r\n\r\n").await;
        assert_eq!(client.answer().await.status(), 500);
        client.expect_closed().await;
    });
}

#[test]
fn connect_opens_a_tunnel_without_length_or_coding() {
    run(async {
        let client = Client::connect(serve(service)).await;
        client.send(format!("{CONNECT}GET / HTTP/1.1\r\n")).await;
        let head = client.head().await;
        assert_eq!((status(&head), header(&head, "connection")), (200, None));
        assert_eq!((header(&head, "content-length"), header(&head, "transfer-encoding")), (None, None));
        assert_eq!(client.stream.read_until(b"\n").await.unwrap(), "GET / HTTP/1.1\r\n");
    });
}

#[test]
fn a_success_for_connect_without_an_upgrade_is_501_and_nothing_behind_it_is_read() {
    run(async {
        let addr = serve(async |_: Request| "a fallback that knows nothing of CONNECT");
        let answer = exchange(addr, format!("{CONNECT}GET / HTTP/1.1\r\nHost: a\r\n\r\n")).await;
        assert_eq!((status(&answer), header(&answer, "connection")), (501, Some("close")));
        assert_eq!(answer.matches("HTTP/1.1").count(), 1);
    });
}

#[test]
fn connect_may_be_refused_and_the_connection_goes_on() {
    run(async {
        let client = Client::connect(serve(async |request: Request| match *request.method() {
            Method::CONNECT => Response::new(StatusCode::METHOD_NOT_ALLOWED).with_header("Allow", "GET"),
            _ => Response::text("next"),
        }))
        .await;
        client.send(format!("{CONNECT}GET / HTTP/1.1\r\nHost: a\r\n\r\n")).await;
        assert_eq!(client.answer().await.status(), 405);
        assert_eq!(client.answer().await.text(), "next");
    });
}

#[test]
fn a_client_that_leaves_before_the_head_has_left_ends_the_upgrade() {
    run(async {
        let server = listen(service);
        for _ in 0..3 {
            let client = Client::connect(server.local_addr()).await;
            client.send(ASK).await;
            client.stream.close();
        }
        until(|| server.connections() == 0).await;
    });
}
