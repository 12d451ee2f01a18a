//! Bodies of requests: framed by length and by chunks, collected, streamed, left unread.

mod common;

use std::{cell::RefCell, rc::Rc};

use common::{Client, Event, exchange, header, run, serve, serve_with, status, turns};
use httpserver::{Body, Error, IntoResponse, Limits, Request, Response};

/// Answers with what it collected.
async fn echo(mut request: Request) -> httpserver::Result<Response> {
    Ok(Response::bytes(request.bytes().await?))
}

/// Answers with what came piece by piece, and how many bytes that was.
async fn echo_pieces(mut request: Request) -> httpserver::Result<Response> {
    let mut body = Vec::new();
    while let Some(piece) = request.body_mut().chunk().await? {
        assert!(!piece.is_empty());
        body.extend_from_slice(&piece);
    }
    assert!(request.is_body_end());
    Ok(Response::bytes(body))
}

async fn ignore(request: Request) -> String {
    request.path().to_owned()
}

fn post(path: &str, body: &str) -> String {
    format!("POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

fn post_chunked(path: &str, chunks: &[&str]) -> String {
    let body: String = chunks.iter().map(|chunk| format!("{:x}\r\n{chunk}\r\n", chunk.len())).collect();
    format!("POST {path} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{body}0\r\n\r\n")
}

const GET_LAST: &str = "GET /last HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";

#[test]
fn bodies_arrive_whole_and_the_connection_goes_on() {
    let large = "0123456789abcdef".repeat(30_000);
    run(async {
        for addr in [serve(echo), serve(echo_pieces)] {
            let client = Client::connect(addr).await;
            for body in ["", "x", "hello", &large] {
                client.send(post("/", body)).await;
                assert!(client.answer().await.text() == body);
            }
            client.send(post_chunked("/", &["hel", "lo", ", world"])).await;
            assert_eq!(client.answer().await.text(), "hello, world");
            client.send(post_chunked("/", &[&large, "x", &large])).await;
            assert!(client.answer().await.text() == large.clone() + "x" + &large);
            client.send(post_chunked("/", &[])).await;
            assert_eq!(client.answer().await.text(), "");
            client.send(GET_LAST).await;
            assert_eq!(status(&client.rest().await), 200);
        }
    });
}

/// Answers with the pieces, all of which it keeps until the last one has come.
async fn echo_kept(mut request: Request) -> httpserver::Result<Response> {
    let mut pieces = Vec::new();
    while let Some(piece) = request.body_mut().chunk().await? {
        pieces.push(piece);
    }
    Ok(Response::bytes(pieces.concat()))
}

#[test]
fn pieces_of_long_bodies_are_those_that_were_sent_whether_kept_or_dropped() {
    // No two places in it are alike.
    let text: String = (0..150_000).map(|number| format!("{number:08}")).collect();
    run(async {
        for addr in [serve(echo_kept), serve(echo_pieces)] {
            let client = Client::connect(addr).await;
            client.send(post("/", &text)).await;
            assert!(client.answer().await.text() == text);
            // Chunks that are shorter than what is received at once, as long, and longer; and the next request behind them.
            for length in [100, 32 * 1024 - 1, 32 * 1024, 64 * 1024, 300_000] {
                let chunks: Vec<&str> =
                    (0..text.len()).step_by(length).map(|at| &text[at..text.len().min(at + length)]).collect();
                client.send(post_chunked("/", &chunks)).await;
                assert!(client.answer().await.text() == text, "chunks of {length} bytes");
            }
            client.send(GET_LAST).await;
            assert_eq!(status(&client.rest().await), 200);
        }
    });
}

#[test]
fn pipelined_requests_with_bodies_are_kept_apart() {
    run(async {
        for addr in [serve(echo), serve(echo_pieces)] {
            let client = Client::connect(addr).await;
            let batch = post("/", "one") + &post_chunked("/", &["t", "wo"]) + &post("/", "") + &post("/", "three");
            client.send(batch).await;
            for body in ["one", "two", "", "three"] {
                assert_eq!(client.answer().await.text(), body);
            }
        }
    });
}

#[test]
fn chunk_extensions_are_dropped_and_trailers_are_not_part_of_the_body() {
    run(async {
        let client = Client::connect(serve(echo)).await;
        for _ in 0..2 {
            let head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
            client.send(format!("{head}3;a=b\r\nabc\r\n002 ; c\r\nde\r\n0\r\nX-Sum: 5\r\n\r\n")).await;
            assert_eq!(client.answer().await.text(), "abcde");
        }
    });
}

#[test]
fn a_body_is_streamed_before_it_is_complete() {
    run(async {
        for (begin, end) in [
            ("Content-Length: 8\r\n\r\nbegin", "end"),
            ("Transfer-Encoding: chunked\r\n\r\n5\r\nbegin\r\n", "3\r\nend\r\n0\r\n\r\n"),
        ] {
            let seen = Event::new();
            let addr = serve({
                let seen = seen.clone();
                async move |mut request: Request| -> httpserver::Result<Response> {
                    let first = request.body_mut().chunk().await?;
                    assert_eq!(first.as_deref(), Some(&b"begin"[..]));
                    seen.set();
                    echo_pieces(request).await
                }
            });
            let client = Client::connect(addr).await;
            client.send(format!("POST / HTTP/1.1\r\nHost: a\r\n{begin}")).await;
            seen.wait().await;
            client.send(end).await;
            assert_eq!(client.answer().await.text(), "end");
        }
    });
}

#[test]
fn a_service_that_does_not_read_slows_its_client_down() {
    run(async {
        let gate = Event::new();
        let addr = serve({
            let gate = gate.clone();
            async move |mut request: Request| -> httpserver::Result<Response> {
                gate.wait().await;
                let mut total = 0;
                while let Some(piece) = request.body_mut().chunk().await? {
                    total += piece.len();
                }
                Ok(Response::text(total.to_string()))
            }
        });
        let client = Client::connect(addr).await;
        const LENGTH: usize = 64 * 1024 * 1024;
        client.send(format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {LENGTH}\r\n\r\n")).await;
        drop(client.stream.write(vec![b'x'; LENGTH]));
        turns(1_000).await;
        assert!(client.stream.pending_write() > LENGTH / 2, "the server has read ahead");
        gate.set();
        assert_eq!(client.answer().await.text(), LENGTH.to_string());
    });
}

#[test]
fn collecting_ends_at_the_limit() {
    let limits = Limits::default().max_collected_body(10);
    run(async {
        let addr = serve_with(limits, echo);
        let client = Client::connect(addr).await;
        for body in ["123456789", "1234567890"] {
            client.send(post("/", body)).await;
            assert_eq!(client.answer().await.text(), body);
            client.send(post_chunked("/", &body.split_inclusive('5').collect::<Vec<_>>())).await;
            assert_eq!(client.answer().await.text(), body);
        }
        let above = [
            post("/", "12345678901"),
            post_chunked("/", &["12345678901"]),
            post_chunked("/", &["1234567890", "1"]),
            // The last chunk alone would fit.
            post_chunked("/", &["123456", "789012", "3"]),
        ];
        for request in above {
            let answer = exchange(addr, request.clone()).await;
            assert_eq!((status(&answer), header(&answer, "connection")), (413, Some("close")), "{request}");
        }
    });
}

#[test]
fn a_limit_of_the_call_replaces_the_one_of_the_server() {
    run(async {
        let addr = serve_with(Limits::default().max_collected_body(2), async |mut request: Request| {
            request.bytes_limited(4).await
        });
        let client = Client::connect(addr).await;
        client.send(post("/", "1234")).await;
        assert_eq!(client.answer().await.text(), "1234");
        client.send(post("/", "12345")).await;
        assert_eq!(client.answer().await.status(), 413);
        client.expect_closed().await;
    });
}

#[test]
fn no_body_may_pass_the_limit_of_the_server() {
    let limits = Limits::default().max_body(100);
    run(async {
        let addr = serve_with(limits, echo_pieces);
        let client = Client::connect(addr).await;
        let (at, above) = ("x".repeat(100), "x".repeat(101));
        client.send(post("/", &at) + &post_chunked("/", &[&at[..60], &at[60..]])).await;
        assert_eq!(client.answer().await.text(), at);
        assert_eq!(client.answer().await.text(), at);
        for request in
            [post("/", &above), post_chunked("/", &[&above]), post_chunked("/", &[&above[..60], &above[60..]])]
        {
            let answer = exchange(addr, request).await;
            assert_eq!((status(&answer), header(&answer, "connection")), (413, Some("close")));
        }
    });
}

#[test]
fn a_short_body_left_unread_does_not_cost_the_connection() {
    run(async {
        let client = Client::connect(serve(ignore)).await;
        for length in [1, 1_000, 64 * 1024] {
            client.send(post("/unread", &"GET /evil HTTP/1.1\r\n\r\n".repeat(3_000)[..length])).await;
            let answer = client.answer().await;
            assert_eq!((answer.text(), answer.header("connection")), ("/unread", None), "{length}");
            client.send("GET /next HTTP/1.1\r\nHost: a\r\n\r\n").await;
            assert_eq!(client.answer().await.text(), "/next");
        }
    });
}

#[test]
fn the_answer_does_not_wait_for_an_unread_body() {
    run(async {
        let client = Client::connect(serve(ignore)).await;
        client.send("POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n12345").await;
        assert_eq!(client.answer().await.text(), "/a");
        client.send("67890GET /b HTTP/1.1\r\nHost: a\r\n\r\n").await;
        assert_eq!(client.answer().await.text(), "/b");
    });
}

#[test]
fn a_long_body_left_unread_ends_the_connection() {
    run(async {
        let addr = serve(ignore);
        for length in [64 * 1024 + 1, 200 * 1024] {
            let answer = exchange(addr, post("/unread", &"x".repeat(length))).await;
            assert_eq!(header(&answer, "connection"), Some("close"));
            assert!(answer.ends_with("/unread"));
        }
    });
}

#[test]
fn a_chunked_body_left_unread_is_passed_when_it_has_come() {
    run(async {
        let client = Client::connect(serve(ignore)).await;
        client.send(post_chunked("/unread", &["GET /evil", " HTTP/1.1"]) + GET_LAST).await;
        let answer = client.answer().await;
        assert_eq!((answer.text(), answer.header("connection")), ("/unread", None));
        assert!(client.rest().await.ends_with("/last"));
    });
}

#[test]
fn a_chunked_body_left_unread_whose_end_has_not_come_is_answered_with_connection_close() {
    run(async {
        let client = Client::connect(serve(ignore)).await;
        client.send("POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n").await;
        let answer = client.answer().await;
        assert_eq!((answer.text(), answer.header("connection")), ("/a", Some("close")));
        client.send(format!("5\r\nworld\r\n0\r\n\r\n{GET_LAST}")).await;
        client.expect_closed().await;
    });
}

#[test]
fn a_broken_chunk_left_unread_ends_the_connection() {
    run(async {
        let head = "POST /unread HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
        let answer = exchange(serve(ignore), format!("{head}zz\r\n\r\n{GET_LAST}")).await;
        assert_eq!(header(&answer, "connection"), Some("close"));
        assert!(answer.ends_with("/unread"), "the next request must not be found behind a broken body");
    });
}

#[test]
fn an_end_of_input_in_the_middle_of_a_body_is_an_error_for_the_service() {
    let errors = Rc::new(RefCell::new(Vec::new()));
    run(async {
        let addr = serve({
            let errors = errors.clone();
            async move |mut request: Request| {
                let error = request.bytes().await.unwrap_err();
                errors.borrow_mut().push(matches!(error, Error::IncompleteBody));
                // Again: not another error, and no panic.
                assert!(matches!(request.body_mut().chunk().await, Err(Error::IncompleteBody)));
                "gone".to_owned()
            }
        });
        for body in ["Content-Length: 10\r\n\r\n12345", "Transfer-Encoding: chunked\r\n\r\n5\r\n123"] {
            let client = Client::connect(addr).await;
            client.send(format!("POST / HTTP/1.1\r\nHost: a\r\n{body}")).await;
            client.end().await;
            // It may only have ended its side.
            let answer = client.rest().await;
            assert_eq!(header(&answer, "connection"), Some("close"));
        }
    });
    assert_eq!(*errors.borrow(), [true, true]);
}

#[test]
fn a_read_that_was_dropped_has_lost_nothing() {
    run(async {
        let addr = serve(async |mut request: Request| -> httpserver::Result<Response> {
            let nothing = httpserver::timeout(std::time::Duration::ZERO, request.body_mut().chunk()).await;
            assert!(nothing.is_err());
            echo_pieces(request).await
        });
        let client = Client::connect(addr).await;
        client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n").await;
        assert_eq!(client.head().await, "HTTP/1.1 100 Continue\r\n\r\n");
        client.send("hello").await;
        assert_eq!(client.answer().await.text(), "hello");
    });
}

#[test]
fn a_body_cut_short_by_a_half_close_is_answered_400() {
    run(async {
        for addr in [serve(echo), serve(echo_pieces)] {
            for half in ["Content-Length: 10\r\n\r\nhello", "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"] {
                let client = Client::connect(addr).await;
                client.send(post("/", "whole") + &format!("POST / HTTP/1.1\r\nHost: a\r\n{half}")).await;
                client.end().await;
                assert_eq!(client.answer().await.text(), "whole");
                let answer = client.rest().await;
                assert_eq!((status(&answer), header(&answer, "connection")), (400, Some("close")));
            }
        }
    });
}

#[test]
fn the_largest_length_there_is_counts_as_announced() {
    run(async {
        let limits = Limits::default().max_body(u64::MAX);
        let addr = serve_with(limits, async |mut request: Request| match request.body_mut().content_length() {
            Some(u64::MAX) => request.bytes().await.into_response(),
            length => Response::text(format!("{length:?}")),
        });
        let head = format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", u64::MAX);
        // Refused before a byte of it has come.
        assert_eq!(status(&exchange(addr, head).await), 413);
        let client = Client::connect(addr).await;
        client.send(post("/", "xyz")).await;
        assert_eq!(client.answer().await.text(), "Some(3)");
        client.send(post_chunked("/", &["x"])).await;
        assert_eq!(client.answer().await.text(), "None");
    });
}

#[test]
fn an_answer_begins_before_the_body_has_come_and_goes_on_with_it() {
    run(async {
        let addr = serve(async |mut request: Request| {
            let mut body = request.take_body();
            Response::text(Body::writer(async move |mut out| {
                out.write("ready").await?;
                while let Some(chunk) = body.chunk().await? {
                    out.write(chunk.to_ascii_uppercase()).await?;
                }
                Ok(())
            }))
        });
        let client = Client::connect(addr).await;
        client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\n").await;
        assert_eq!(header(&client.head().await, "connection"), None);
        for (sent, chunk) in [("", "5\r\nready\r\n"), ("abc", "3\r\nABC\r\n"), ("def", "3\r\nDEF\r\n0\r\n\r\n")] {
            client.send(sent).await;
            assert_eq!(client.stream.read_bytes(chunk.len()).await.unwrap(), chunk);
        }
        client.send("GET /next HTTP/1.1\r\nHost: a\r\n\r\n").await;
        assert_eq!(status(&client.head().await), 200);
    });
}
