//! What is asked of a server beside plain requests for a path: other protocols on its port, methods and targets that are
//! not about a resource, leniency that was asked for, and the end that a client asked for.

mod common;

use std::{cell::Cell, rc::Rc};

use common::{Client, exchange, header, run, serve, serve_with, status};
use httpserver::{Limits, Method, Request, Response, StatusCode};

/// Tells method, target and host.
async fn tell(request: Request) -> Response {
    Response::text(format!("{} {} {:?}", request.method(), request.path(), request.host()))
}

#[test]
fn a_tls_hello_is_told_that_the_port_speaks_http() {
    run(async {
        // What a browser sends to `https://` has no line end for long, perhaps never.
        let hello = [&b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..], &[0x5a; 512]].concat();
        for hello in [&hello[..], &hello[..1]] {
            let answer = exchange(serve(tell), hello).await;
            assert_eq!((status(&answer), header(&answer, "connection")), (400, Some("close")));
            assert!(answer.contains("this port speaks plain HTTP, not TLS"), "{answer}");
        }
    });
}

#[test]
fn the_preface_of_http_2_is_505_and_nothing_behind_it_is_served() {
    run(async {
        let frames = "SM\r\n\r\n\0\0\0\x04\0\0\0\0\0GET / HTTP/1.1\r\nHost: a\r\n\r\n";
        let answer = exchange(serve(tell), format!("PRI * HTTP/2.0\r\n\r\n{frames}")).await;
        assert_eq!((status(&answer), header(&answer, "connection")), (505, Some("close")));
        assert_eq!(answer.matches("HTTP/1.1 ").count(), 1);
    });
}

#[test]
fn an_offer_of_http_2_by_upgrade_is_ignored() {
    run(async {
        let client = Client::connect(serve(tell)).await;
        let offer =
            "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n";
        for _ in 0..2 {
            client.send(format!("GET / HTTP/1.1\r\nHost: a\r\n{offer}\r\n")).await;
            assert_eq!(client.answer().await.status(), 200);
        }
    });
}

#[test]
fn upgrade_is_ignored_in_http_1_0() {
    run(async {
        let addr = serve(async |request: Request| {
            assert!(!request.is_upgrade());
            tell(request).await
        });
        let answer = exchange(addr, "GET / HTTP/1.0\r\nConnection: upgrade\r\nUpgrade: other\r\n\r\n").await;
        assert_eq!((status(&answer), header(&answer, "connection")), (200, Some("close")));
        assert_eq!(header(&answer, "upgrade"), None);
    });
}

#[test]
fn trace_is_never_echoed() {
    run(async {
        // A service that looks at no method, and one that answers what it knows.
        let trace =
            "TRACE /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\nCookie: secret\r\nAuthorization: secret\r\n\r\n";
        let answer = exchange(serve(async |_: Request| "hello"), trace).await;
        assert!(status(&answer) == 200 && answer.ends_with("\r\n\r\nhello"), "{answer}");
        let addr = serve(async |request: Request| match *request.method() {
            Method::GET => tell(request).await,
            _ => Response::new(StatusCode::METHOD_NOT_ALLOWED),
        });
        let answer = exchange(addr, trace).await;
        assert_eq!((status(&answer), header(&answer, "content-type")), (405, None));
        assert!(!answer.contains("secret"));
    });
}

#[test]
fn connect_without_a_handler_is_501_and_closes() {
    run(async {
        let inside = "GET /inside HTTP/1.1\r\nHost: a\r\n\r\n";
        let answer = exchange(serve(tell), format!("CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n{inside}")).await;
        assert_eq!((status(&answer), header(&answer, "connection")), (501, Some("close")));
        assert_eq!(answer.matches("HTTP/1.1 ").count(), 1);
    });
}

#[test]
fn all_four_forms_of_a_target_are_served() {
    run(async {
        let client = Client::connect(serve(async |request: Request| {
            let is_connect = *request.method() == Method::CONNECT;
            let answer = tell(request).await;
            if is_connect { answer.with_status(StatusCode::FORBIDDEN) } else { answer }
        }))
        .await;
        for (line, expected) in [
            ("GET /p?q HTTP/1.1\r\nHost: h", "GET /p Some(\"h\")"),
            // The target's authority wins over Host.
            ("GET http://other:81/p?q HTTP/1.1\r\nHost: h", "GET /p Some(\"other:81\")"),
            ("GET http://[::1] HTTP/1.1\r\nHost: h", "GET / Some(\"[::1]\")"),
            ("OPTIONS http://other HTTP/1.1\r\nHost: h", "OPTIONS * Some(\"other\")"),
            ("OPTIONS * HTTP/1.1\r\nHost: h", "OPTIONS * Some(\"h\")"),
            ("CONNECT b:443 HTTP/1.1\r\nHost: b", "CONNECT  Some(\"b:443\")"),
        ] {
            client.send(format!("{line}\r\n\r\n")).await;
            assert_eq!(client.answer().await.text(), expected);
        }
    });
}

#[test]
fn nothing_after_a_request_that_asked_to_close_is_answered() {
    for close in [
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive\r\nConnection: x, CLOSE\r\n\r\n",
        "GET / HTTP/1.0\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 3\r\n\r\nabc",
    ] {
        run(async {
            let calls = Rc::new(Cell::new(0));
            let addr = serve({
                let calls = calls.clone();
                async move |request: Request| {
                    calls.set(calls.get() + 1);
                    tell(request).await
                }
            });
            let next = "GET /next HTTP/1.1\r\nHost: a\r\n\r\n";
            let answer = exchange(addr, format!("{close}{next}")).await;
            assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{close}");
            // In a piece of its own, too.
            let client = Client::connect(addr).await;
            client.send(close).await;
            client.send(next).await;
            assert_eq!(client.rest().await.matches("HTTP/1.1 ").count(), 1, "{close}");
            assert_eq!(calls.get(), 2, "{close}");
        });
    }
}

#[test]
fn lines_that_end_in_lf_are_served_where_that_was_asked_for() {
    run(async {
        let request = "GET /x HTTP/1.1\nHost: a\nConnection: close\n\n";
        assert_eq!(status(&exchange(serve(tell), request).await), 400);
        let addr = serve_with(Limits::default().accept_bare_lf(true), tell);
        assert!(exchange(addr, request).await.ends_with("\r\n\r\nGET /x Some(\"a\")"));
        // The lines of a chunked body are not among them.
        let addr = serve_with(Limits::default().accept_bare_lf(true), async |mut request: Request| {
            request.bytes().await.map(Response::bytes)
        });
        let chunked = "POST / HTTP/1.1\nHost: a\nTransfer-Encoding: chunked\n\n3\nabc\n0\n\n";
        assert_eq!(status(&exchange(addr, chunked).await), 400);
    });
}

#[test]
fn half_a_head_that_nothing_could_have_made_whole_is_refused_at_its_end() {
    run(async {
        for (half, expected) in [
            ("GET / HTTP/1.1\r\nA b", 400),
            ("GET / HTTP/3.0\r\n", 505),
            ("\r\n\r\n", 400),
            ("G", 0),
            ("GET / HTTP/1.1\r\nA", 0),
        ] {
            for size in [1, 2, 100] {
                let client = Client::connect(serve(tell)).await;
                for piece in half.as_bytes().chunks(size) {
                    client.send(piece).await;
                    common::turns(1).await;
                }
                client.end().await;
                let answer = client.rest().await;
                assert_eq!(if answer.is_empty() { 0 } else { status(&answer) }, expected, "{half:?}");
            }
        }
    });
}
