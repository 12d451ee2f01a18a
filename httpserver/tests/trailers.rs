//! The lines behind a chunked request: given to the service, bounded, and without a say in anything decided before.

mod common;

use std::{cell::RefCell, future::poll_fn, rc::Rc};

use common::{Client, exchange, header, run, serve, status};
use httpserver::{Body, Frame, Request, Response, Result, Trailers};

const HEAD: &str = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";

fn shown(trailers: Option<Trailers>) -> String {
    trailers.map_or("none".to_owned(), |trailers| format!("{trailers:?}"))
}

#[test]
fn trailers_are_given_to_the_service_however_it_reads_the_body() {
    run(async {
        let addr = serve(async |mut request: Request| -> Result<Response> {
            // Not before the end of the body has been read.
            assert!(request.body_mut().take_trailers().is_none());
            match request.path() {
                "/bytes" => drop(request.bytes().await?),
                "/limited" => {
                    request.body_mut().limit(100);
                    request.body_mut().bytes(100).await?;
                }
                "/chunks" => while request.body_mut().chunk().await?.is_some() {},
                _ => {
                    let mut body = request.take_body();
                    let mut frames = Vec::new();
                    while let Some(frame) = poll_fn(|cx| body.poll_frame(cx)).await {
                        frames.push(frame?);
                    }
                    let Some(Frame::Trailers(trailers)) = frames.pop() else { panic!("{frames:?}") };
                    assert!(body.take_trailers().is_none() && body.is_end());
                    return Ok(Response::text(shown(Some(trailers))));
                }
            }
            assert!(!request.is_body_end());
            let trailers = request.body_mut().take_trailers();
            assert!(request.is_body_end() && request.body_mut().take_trailers().is_none());
            Ok(Response::text(shown(trailers)))
        });
        let client = Client::connect(addr).await;
        for path in ["/bytes", "/limited", "/chunks", "/frames"] {
            let head = HEAD.replace('/', path).replacen(&format!("HTTP{path}"), "HTTP/", 1);
            client.send(format!("{head}3\r\nabc\r\n0\r\nX-Sum: 7\r\nx-empty:\t\r\nX-Sum: \u{e4} \r\n\r\n")).await;
            let expected = r#"{"X-Sum": "7", "x-empty": "", "X-Sum": "\\xc3\\xa4"}"#;
            assert_eq!(client.answer().await.text(), expected, "{path}");
        }
    });
}

#[test]
fn trailers_belong_to_their_own_request() {
    run(async {
        let kept = Rc::new(RefCell::new(None));
        let addr = serve({
            let kept = kept.clone();
            async move |mut request: Request| -> Result<Response> {
                if request.path() == "/leave" {
                    request.bytes().await?;
                    kept.replace(Some(request));
                    return Ok(Response::text("left"));
                }
                request.bytes().await?;
                // One that was kept beyond its answer takes nothing.
                if let Some(mut earlier) = kept.take() {
                    assert!(earlier.body_mut().take_trailers().is_none());
                }
                Ok(Response::text(shown(request.body_mut().take_trailers())))
            }
        });
        let client = Client::connect(addr).await;
        let chunked = |trailer: &str| format!("{HEAD}1\r\na\r\n0\r\n{trailer}\r\n");
        for _ in 0..2 {
            client.send(chunked("A: 1\r\n").replace("POST /", "POST /leave")).await;
            assert_eq!(client.answer().await.text(), "left");
            for next in [chunked(""), "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\na".to_owned()] {
                client.send(next).await;
                assert_eq!(client.answer().await.text(), "none");
            }
            client.send(chunked("B: 2\r\n")).await;
            assert_eq!(client.answer().await.text(), r#"{"B": "2"}"#);
        }
    });
}

#[test]
fn trailers_are_no_headers() {
    run(async {
        let addr = serve(async |mut request: Request| -> Result<Response> {
            request.bytes().await?;
            assert!(!request.headers().contains("x-user"));
            Ok(Response::text(request.headers().len().to_string()))
        });
        let client = Client::connect(addr).await;
        client.send(format!("{HEAD}0\r\nX-User: admin\r\n\r\n")).await;
        assert_eq!(client.answer().await.text(), "2");
    });
}

#[test]
fn trailers_go_along_with_a_body_that_is_passed_through() {
    run(async {
        let addr = serve(async |mut request: Request| Response::text(request.take_body()));
        let wire = format!("{}3\r\nabc\r\n0\r\nX-Sum: 7\r\n\r\n", HEAD.replace("Host", "Connection: close\r\nHost"));
        let answer = exchange(addr, wire).await;
        assert_eq!(header(&answer, "transfer-encoding"), Some("chunked"));
        assert!(answer.ends_with("\r\n\r\n3\r\nabc\r\n0\r\nX-Sum: 7\r\n\r\n"), "{answer}");
    });
}

#[test]
fn forbidden_malformed_and_too_many_trailers_are_refused() {
    run(async {
        let addr =
            serve(async |mut request: Request| -> Result<Response> { Ok(Response::bytes(request.bytes().await?)) });
        let next = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
        for (expected, trailers) in [
            (400, "Content-Length: 5\r\n".to_owned()),
            (400, "Transfer-Encoding: chunked\r\n".to_owned()),
            (400, "Host: b\r\n".to_owned()),
            (400, "Cookie: a=b\r\n".to_owned()),
            (400, "authorization: x\r\n".to_owned()),
            (400, "A : b\r\n".to_owned()),
            (400, "A: b\r\n c\r\n".to_owned()),
            (400, "A: b\rc\r\n".to_owned()),
            (400, "A: b\n".to_owned()),
            (431, format!("A: {}\r\n", "b".repeat(9_000))),
            (431, "A: b\r\n".repeat(2_000)),
        ] {
            let answer = exchange(addr, format!("{HEAD}1\r\na\r\n0\r\n{trailers}\r\n{next}")).await;
            assert_eq!((status(&answer), header(&answer, "connection")), (expected, Some("close")), "{trailers:.50}");
            assert_eq!(answer.matches("HTTP/1.1 ").count(), 1);
        }
    });
}

#[test]
fn the_trailers_of_a_stream_are_taken_behind_its_data() {
    run(async {
        let mut body = Body::writer(async |mut out| {
            let mut trailers = Trailers::new();
            trailers.append("X-Sum", "1")?;
            out.set_trailers(trailers);
            out.write("data").await
        });
        assert!(body.take_trailers().is_none());
        assert_eq!(body.bytes(100).await.unwrap(), "data");
        assert!(!body.is_end());
        assert_eq!(body.chunk().await.unwrap(), None);
        let trailers = body.take_trailers().expect("trailers");
        assert_eq!((trailers.get("x-sum"), trailers.get("x")), (Some(&b"1"[..]), None));
        assert!(body.is_end() && body.take_trailers().is_none());
    });
}
