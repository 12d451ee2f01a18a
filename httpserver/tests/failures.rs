//! Errors say whose stream failed, and the first failure of a body stays.

mod common;

use std::net::TcpListener;

use common::{Client, exchange, header, run, run_virtual, serve, serve_with, status};
use httpserver::{Body, Error, IOStream, Limits, Request, Response, Result, Service, StatusCode};

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";

/// A server that closes every connection at once.
fn broken_upstream() -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    std::thread::spawn(move || listener.incoming().for_each(drop));
    addr
}

async fn ask(upstream: std::net::SocketAddr) -> Result<String> {
    let stream = IOStream::connect(upstream).await?;
    stream.write("hello\n").await?;
    let line = stream.read_until(b"\n").await?;
    Ok(String::from_utf8_lossy(&line).into_owned())
}

#[test]
fn a_failed_stream_of_the_services_own_is_a_500_and_never_silence() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    run(async {
        for upstream in [closed, broken_upstream()] {
            let addr = serve(async move |_: Request| ask(upstream).await);
            let client = Client::connect(addr).await;
            for _ in 0..2 {
                client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
                let answer = client.answer().await;
                // It is no fault of the client's, and no reason to close its connection.
                assert_eq!((answer.status(), answer.header("connection")), (500, None));
            }
        }
    });
}

#[test]
fn a_failed_stream_in_the_middle_of_an_answer_cuts_it_off() {
    let upstream = broken_upstream();
    run(async {
        let addr = serve(async move |_: Request| {
            Response::text(Body::writer(async move |mut out| {
                out.write("so far ").await?;
                let line = ask(upstream).await?;
                out.write(line).await
            }))
        });
        let answer = exchange(addr, GET).await;
        assert!(answer.ends_with("\r\n\r\n7\r\nso far \r\n"), "{answer}");
    });
}

#[test]
fn errors_tell_the_clients_stream_from_others() {
    run(async {
        let error = ask(broken_upstream()).await.unwrap_err();
        assert!(matches!(error, Error::Stream(_)), "{error:?}");
        assert!(!error.is_client_gone() && error.status().is_none());
        for error in [Error::Closed, Error::WriteTimeout(Default::default())] {
            assert!(error.is_client_gone() && error.status().is_none());
        }
        assert!(!Error::IncompleteBody.is_client_gone());
        assert_eq!(Error::IncompleteBody.status(), Some(StatusCode::BAD_REQUEST));
    });
}

#[test]
fn any_error_of_the_services_own_is_a_500_that_tells_nothing() {
    run(async {
        let addr = serve(async |_: Request| -> Result<Response> {
            Err(Error::other(std::io::Error::other("the secret of the database")))
        });
        let answer = exchange(addr, GET).await;
        assert_eq!(status(&answer), 500);
        assert!(!answer.contains("secret"));
    });
}

/// Reads in several ways, goes on after each failure, and answers with the last.
async fn stubborn(mut request: Request) -> Result<Response> {
    let first = loop {
        match request.body_mut().chunk().await {
            Ok(Some(_)) => {}
            Ok(None) => return Ok(Response::text("whole")),
            Err(error) => break error,
        }
    };
    for _ in 0..2 {
        assert_eq!(request.body_mut().chunk().await.unwrap_err().to_string(), first.to_string());
        assert_eq!(request.bytes().await.unwrap_err().to_string(), first.to_string());
    }
    assert!(!request.is_body_end());
    Err(request.bytes_limited(1).await.unwrap_err())
}

#[test]
fn the_first_failure_of_a_body_is_repeated_and_answered() {
    run(async {
        let addr = serve_with(Limits::default().max_body(10), stubborn);
        for (body, expected) in [
            ("Content-Length: 5\r\n\r\nhello", 200),
            ("Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nxyz\r\n", 400),
            ("Transfer-Encoding: chunked\r\n\r\n5\r\nhelloo\r\n", 400),
            ("Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n", 413),
        ] {
            let client = Client::connect(addr).await;
            client.send(format!("POST / HTTP/1.1\r\nHost: a\r\n{body}")).await;
            let answer = client.answer().await;
            assert_eq!(answer.status(), expected, "{body}");
            if expected != 200 {
                assert_eq!(answer.header("connection"), Some("close"));
                client.expect_closed().await;
            }
        }
    });
}

#[test]
fn a_time_out_of_a_body_is_repeated_and_answered() {
    run_virtual(async |clock| {
        let addr = serve(stubborn);
        let client = Client::connect(addr).await;
        client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhel").await;
        // The body time-out.
        clock.advance(std::time::Duration::from_secs(60)).await;
        let answer = client.answer().await;
        assert_eq!((answer.status(), answer.header("connection")), (408, Some("close")));
        // What comes later is not taken for a part of it.
        client.send("lo").await;
        client.end().await;
        client.expect_closed().await;
    });
}

#[test]
fn an_end_of_input_in_a_body_is_repeated_and_answered() {
    run(async {
        let answer = {
            let client = Client::connect(serve(stubborn)).await;
            client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhel").await;
            client.end().await;
            client.rest().await
        };
        assert_eq!((status(&answer), header(&answer, "connection")), (400, Some("close")));
    });
}

#[test]
fn a_body_beyond_a_limit_stays_failed_wherever_it_came_from() {
    async fn expect_too_large(mut body: Body) {
        let mut passed = 0;
        while let Ok(Some(piece)) = body.chunk().await {
            passed += piece.len();
        }
        assert!(passed <= 4);
        for _ in 0..2 {
            assert!(matches!(body.chunk().await, Err(Error::BodyTooLarge { limit: 4 })), "{body:?}");
            assert!(matches!(body.bytes(100).await, Err(Error::BodyTooLarge { .. })), "{body:?}");
        }
    }

    async fn service(mut request: Request) -> Result<Response> {
        let mut body = request.take_body();
        match request.path() {
            "/collect" => assert!(matches!(body.bytes(4).await, Err(Error::BodyTooLarge { limit: 4 }))),
            _ => body.limit(4),
        }
        expect_too_large(body).await;
        Ok(Response::text("refused"))
    }

    run(async {
        for body in [
            || Body::from("hello"),
            || {
                Body::writer(async |mut out| {
                    for piece in ["hel", "lo", " and ", "more"] {
                        out.write(piece).await?;
                        out.flush().await?;
                    }
                    Ok(())
                })
            },
        ] {
            for path in ["/collect", "/limit"] {
                let request = Request::builder().target(path).body(body()).build().unwrap();
                Service::call(&service, request).await;
            }
        }
        let addr = serve(service);
        for framing in
            ["Content-Length: 5\r\n\r\nhello", "Transfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n"]
        {
            for path in ["/collect", "/limit"] {
                let request = format!("POST {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{framing}");
                assert!(exchange(addr, request).await.ends_with("refused"));
            }
        }
    });
}
