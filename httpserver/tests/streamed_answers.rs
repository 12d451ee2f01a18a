//! Answers written piece by piece.

mod common;

use std::{
    cell::Cell,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
    time::Duration,
};

use common::{Client, Event, SetOnDrop, exchange, header, run, serve, serve_with, status, turns, until};
use httpserver::{Body, BodyStream, Error, Frame, Limits, Request, Response, Result, yield_now};

async fn three_pieces(_: Request) -> Response {
    Response::text(Body::writer(async |mut out| {
        for piece in ["one, ", "", "two, ", "three"] {
            out.write(piece).await?;
            out.flush().await?;
        }
        Ok(())
    }))
}

#[test]
fn http_1_1_gets_chunks_and_keeps_the_connection() {
    run(async {
        let client = Client::connect(serve(three_pieces)).await;
        for _ in 0..3 {
            client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
            let answer = client.answer().await;
            assert_eq!((answer.status(), answer.text()), (200, "one, two, three"));
            assert_eq!(answer.header("transfer-encoding"), Some("chunked"));
            assert_eq!((answer.header("content-length"), answer.header("connection")), (None, None));
        }
        client.end().await;
        client.expect_closed().await;
    });
}

#[test]
fn an_empty_piece_does_not_end_the_body() {
    run(async {
        let client = Client::connect(serve(three_pieces)).await;
        client.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await;
        let answer = client.rest().await;
        let (_, body) = answer.split_once("\r\n\r\n").unwrap();
        assert_eq!(body, "5\r\none, \r\n5\r\ntwo, \r\n5\r\nthree\r\n0\r\n\r\n");
    });
}

#[test]
fn http_1_0_gets_the_body_until_the_connection_closes() {
    run(async {
        let addr = serve(three_pieces);
        for head in ["GET / HTTP/1.0\r\n\r\n", "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"] {
            let answer = exchange(addr, head).await;
            assert_eq!((header(&answer, "connection"), header(&answer, "transfer-encoding")), (Some("close"), None));
            assert!(answer.ends_with("\r\n\r\none, two, three"));
        }
    });
}

/// Announces the length in the path and writes "hello" in two pieces.
async fn counted(request: Request) -> Response {
    let mut response = Response::text(Body::writer(async |mut out| {
        out.write("hel").await?;
        out.flush().await?;
        out.write("lo").await
    }));
    response.set_content_length(request.path()[1..].parse().unwrap());
    response
}

#[test]
fn an_announced_length_is_kept_to() {
    run(async {
        let addr = serve(counted);
        let client = Client::connect(addr).await;
        for version in ["1.1\r\nHost: a", "1.0\r\nConnection: keep-alive"] {
            client.send(format!("GET /5 HTTP/{version}\r\n\r\n")).await;
            let answer = client.answer().await;
            assert_eq!((answer.text(), answer.header("content-length")), ("hello", Some("5")));
            assert_eq!(answer.header("transfer-encoding"), None);
        }
    });
}

#[test]
fn less_than_announced_ends_the_connection() {
    run(async {
        let client = Client::connect(serve(counted)).await;
        client.send("GET /6 HTTP/1.1\r\nHost: a\r\n\r\nGET /5 HTTP/1.1\r\nHost: a\r\n\r\n").await;
        assert_eq!(header(&client.head().await, "content-length"), Some("6"));
        // With a request behind it the end may be a reset, but it may not be another answer.
        let rest = client.stream.read_until_close().await;
        assert!(rest.is_err() || rest.unwrap() == "hello");
    });
}

#[test]
fn more_than_announced_ends_the_connection_and_is_not_sent() {
    run(async {
        assert!(exchange(serve(counted), "GET /4 HTTP/1.1\r\nHost: a\r\n\r\n").await.ends_with("\r\n\r\nhel"));
    });
}

#[test]
fn a_head_request_gets_the_head_alone() {
    run(async {
        let client = Client::connect(serve(three_pieces)).await;
        client.send("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n".repeat(2)).await;
        for _ in 0..2 {
            assert_eq!(status(&client.head().await), 200);
        }
        let client = Client::connect(serve(counted)).await;
        client.send("HEAD /7 HTTP/1.1\r\nHost: a\r\n\r\n".repeat(2)).await;
        for _ in 0..2 {
            assert_eq!(header(&client.head().await, "content-length"), Some("7"));
        }
        client.end().await;
        client.expect_closed().await;
    });
}

#[test]
fn statuses_without_content_send_none() {
    run(async {
        let addr = serve(async |request: Request| {
            let status = request.path()[2..].parse().unwrap();
            let body = match request.path().starts_with("/w") {
                true => Body::from("whole"),
                false => Body::writer(async |mut out| out.write("piece").await),
            };
            Response::text(body).with_status(httpserver::StatusCode::from_u16(status).unwrap())
        });
        let client = Client::connect(addr).await;
        for path in ["/w204", "/w304", "/p204", "/p304"] {
            client.send(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n")).await;
            let head = client.head().await;
            assert_eq!(status(&head).to_string(), path[2..]);
            assert_eq!((header(&head, "content-length"), header(&head, "transfer-encoding")), (None, None), "{path}");
        }
        // Nothing but heads has come.
        client.end().await;
        client.expect_closed().await;
    });
}

#[test]
fn a_head_request_gets_the_length_of_a_whole_answer() {
    run(async {
        let client = Client::connect(serve(async |_: Request| "hello")).await;
        client.send("HEAD / HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
        assert_eq!(header(&client.head().await, "content-length"), Some("5"));
        assert_eq!(client.answer().await.text(), "hello");
    });
}

#[test]
fn pieces_arrive_as_they_are_written() {
    run(async {
        let (gate, begun) = (Event::new(), Event::new());
        let addr = serve({
            let (gate, begun) = (gate.clone(), begun.clone());
            async move |_: Request| {
                let (gate, begun) = (gate.clone(), begun.clone());
                Response::text(Body::writer(async move |mut out| {
                    begun.wait().await;
                    out.write("first").await?;
                    gate.wait().await;
                    out.write("second").await
                }))
            }
        });
        let client = Client::connect(addr).await;
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
        assert_eq!(status(&client.head().await), 200);
        begun.set();
        assert_eq!(client.stream.read_bytes(10).await.unwrap(), "5\r\nfirst\r\n");
        gate.set();
        assert_eq!(client.stream.read_until(b"0\r\n\r\n").await.unwrap(), "6\r\nsecond\r\n0\r\n\r\n");
    });
}

#[test]
fn an_error_of_the_body_breaks_the_answer_off_behind_what_was_written() {
    run(async {
        let addr = serve(async |_: Request| {
            Response::text(Body::writer(async |mut out| {
                out.write("half").await?;
                Err(Error::other("no more"))
            }))
        });
        let answer = exchange(addr, "GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
        assert!(answer.ends_with("\r\n\r\n4\r\nhalf\r\n"), "{answer}");
    });
}

#[test]
fn a_slow_reader_slows_the_service_down() {
    const PIECES: usize = 1_000;
    let written = Rc::new(Cell::new(0));
    run(async {
        let addr = serve({
            let written = written.clone();
            async move |_: Request| {
                let written = written.clone();
                Response::text(Body::writer(async move |mut out| {
                    for _ in 0..PIECES {
                        out.write([b'x'; 64 * 1024]).await?;
                        written.set(written.get() + 1);
                    }
                    Ok(())
                }))
            }
        });
        let client = Client::connect(addr).await;
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
        until(|| written.get() > 0).await;
        turns(2_000).await;
        assert!(written.get() < PIECES / 2, "{} pieces in memory", written.get());
        assert_eq!(client.answer().await.body.len(), PIECES * 64 * 1024);
    });
    assert_eq!(written.get(), PIECES);
}

#[test]
fn a_client_that_takes_nothing_times_out() {
    let (timed_out, ended) = (Event::new(), Event::new());
    run(async {
        let limits = Limits::default().write_timeout(Duration::from_millis(50));
        let addr = serve_with(limits, {
            let (timed_out, ended) = (timed_out.clone(), ended.clone());
            async move |_: Request| {
                let (timed_out, ended) = (timed_out.clone(), SetOnDrop(ended.clone()));
                Response::text(Body::writer(async move |mut out| {
                    let _ended = ended;
                    loop {
                        if let Err(error) = out.write([b'x'; 64 * 1024]).await {
                            assert!(error.is_timeout(), "{error}");
                            timed_out.set();
                            return Err(error);
                        }
                    }
                }))
            }
        });
        let client = Client::connect(addr).await;
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
        ended.wait().await;
        assert!(timed_out.is_set());
        // What the kernel had taken comes, and then the end, without the last chunk.
        let rest = client.rest().await;
        assert!(!rest.ends_with("0\r\n\r\n"));
    });
}

#[test]
fn time_in_which_the_body_has_nothing_to_send_does_not_count() {
    run(async {
        let limit = Duration::from_millis(50);
        let addr = serve_with(Limits::default().write_timeout(limit), async move |_: Request| {
            Response::text(Body::writer(async move |mut out| {
                out.write("before ").await?;
                httpserver::sleep(limit * 3).await;
                out.write("after").await
            }))
        });
        let client = Client::connect(addr).await;
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
        assert_eq!(client.answer().await.text(), "before after");
    });
}

#[test]
fn a_whole_answer_that_nobody_takes_times_out() {
    run(async {
        let limits = Limits::default().write_timeout(Duration::from_millis(50));
        let server = httpserver::HttpServer::with_limits(async |_: Request| vec![b'x'; 64 * 1024 * 1024], limits);
        let server = server.listen(("127.0.0.1", 0)).unwrap();
        let addr = server.local_addr();
        let client = Client::connect(addr).await;
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
        until(|| server.connections() == 1).await;
        until(|| server.connections() == 0).await;
        assert!(client.rest_bytes().await.len() < 64 * 1024 * 1024);
    });
}

#[test]
fn a_client_that_takes_little_by_little_gets_everything() {
    const LENGTH: usize = 64 * 1024 * 1024;
    run(async {
        // Shorter than the whole transfer, longer than any pause in it.
        let limits = Limits::default().write_timeout(Duration::from_millis(800));
        let client = Client::connect(serve_with(limits, async |_: Request| vec![b'x'; LENGTH])).await;
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
        client.head().await;
        let (mut received, mut paused) = (0, 0);
        while received < LENGTH {
            received += client.stream.read_some(1024 * 1024).await.unwrap().len();
            if received / (1024 * 1024) != paused {
                paused = received / (1024 * 1024);
                httpserver::sleep(Duration::from_millis(20)).await;
            }
        }
        assert_eq!(received, LENGTH);
    });
}

/// A source that always has another piece, of no bytes, so that the client takes all of it at once.
struct Ready {
    left: usize,
    until: Event,
}

impl BodyStream for Ready {
    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame>>> {
        if self.until.is_set() {
            return Poll::Ready(None);
        }
        self.left = self.left.checked_sub(1).expect("nobody else had a turn");
        Poll::Ready(Some(Ok(Frame::from(""))))
    }
}

#[test]
fn an_answer_that_never_has_to_wait_gives_others_their_turn() {
    let (begun, answered) = (Event::new(), Event::new());
    run(async {
        let addr = serve({
            let (begun, answered) = (begun.clone(), answered.clone());
            async move |request: Request| {
                if request.path() == "/other" {
                    return Response::text("other");
                }
                begun.set();
                Response::text(Body::stream(Ready { left: 1_000_000, until: answered.clone() }))
            }
        });
        let (endless, other) = (Client::connect(addr).await, Client::connect(addr).await);
        endless.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
        begun.wait().await;
        other.send("GET /other HTTP/1.1\r\nHost: a\r\n\r\n").await;
        assert_eq!(other.answer().await.text(), "other");
        answered.set();
        assert_eq!(endless.answer().await.status(), 200);
    });
}

#[test]
fn writing_to_a_client_that_has_gone_is_an_error() {
    let failed = Event::new();
    run(async {
        let addr = serve({
            let failed = failed.clone();
            async move |_: Request| {
                let failed = failed.clone();
                Response::text(Body::writer(async move |mut out| {
                    loop {
                        if let Err(error) = out.write("again and again").await {
                            assert!(error.is_client_gone(), "{error}");
                            failed.set();
                            return Err(error);
                        }
                        yield_now().await;
                    }
                }))
            }
        });
        let client = Client::connect(addr).await;
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
        client.head().await;
        client.stream.close();
        failed.wait().await;
    });
}
