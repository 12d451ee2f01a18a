//! The order of a delegate's calls, and the answers that go through its connection.

mod common;

use std::{cell::RefCell, rc::Rc};

use common::{Client, Event, header, run, serve_pair, status, turns};
use httpserver::{
    Body, Bytes, Error, IOStream, Request, Response, Result, ServerHandle, Trailers,
    delegate::{DelegateService, HttpConnection, HttpMessageDelegate},
    spawn,
};

const POST: &str = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n";
const CHUNKED_POST: &str = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";

/// The calls in their order.
type Calls = Rc<RefCell<Vec<String>>>;

/// Notes its calls, and does at each what it is told.
struct Noting<F> {
    connection: Option<HttpConnection>,
    calls: Calls,
    act: F,
}

/// What is acted on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum At {
    Headers,
    Data,
    Finish,
}

impl<F: AsyncFn(At, &mut Option<HttpConnection>) -> Result<()> + 'static> HttpMessageDelegate for Noting<F> {
    async fn headers_received(&mut self, request: Request, _: &mut Body) -> Result<()> {
        self.calls.borrow_mut().push(format!("headers of {}", request.path()));
        (self.act)(At::Headers, &mut self.connection).await
    }

    async fn data_received(&mut self, chunk: Bytes) -> Result<()> {
        self.calls.borrow_mut().push(format!("data {}", chunk.escape_ascii()));
        (self.act)(At::Data, &mut self.connection).await
    }

    async fn finish(&mut self) -> Result<()> {
        self.calls.borrow_mut().push("finish".into());
        (self.act)(At::Finish, &mut self.connection).await
    }

    fn on_connection_close(&mut self) {
        self.calls.borrow_mut().push("close".into());
    }
}

/// A client of delegates that act as told.
fn serve<F>(act: F) -> (Client, ServerHandle, Calls)
where
    F: AsyncFn(At, &mut Option<HttpConnection>) -> Result<()> + Clone + 'static,
{
    let calls = Calls::default();
    let noted = calls.clone();
    let service = DelegateService::new(move |connection| Noting {
        connection: Some(connection),
        calls: noted.clone(),
        act: act.clone(),
    });
    let (client, server) = serve_pair(64 * 1024, service);
    (client, server, calls)
}

/// Answers at the end.
async fn answer_at_the_end(at: At, connection: &mut Option<HttpConnection>) -> Result<()> {
    match (at, connection) {
        (At::Finish, Some(connection)) => connection.write_headers(Response::text("done\n")),
        _ => Ok(()),
    }
}

#[test]
fn a_whole_message_comes_to_its_calls_in_order_and_ends_with_finish() {
    run(async {
        let (client, _server, calls) = serve(answer_at_the_end);
        client.send(format!("{POST}he")).await;
        turns(20).await;
        client.send("llo").await;
        assert_eq!(client.answer().await.text(), "done\n");
        client.send("GET /next HTTP/1.1\r\nHost: a\r\n\r\n").await;
        assert_eq!(client.answer().await.text(), "done\n");
        assert_eq!(*calls.borrow(), ["headers of /", "data he", "data llo", "finish", "headers of /next", "finish"]);
    });
}

#[test]
fn a_connection_that_waits_for_a_request_has_no_delegate() {
    run(async {
        let (client, server, calls) = serve(answer_at_the_end);
        client.send("GET / HTTP/1.1\r\n").await;
        turns(20).await;
        drop(client);
        while server.connections() > 0 {
            turns(1).await;
        }
        assert!(calls.borrow().is_empty());
    });
}

#[test]
fn a_client_that_leaves_in_the_middle_of_its_body_is_a_close() {
    run(async {
        let (client, server, calls) = serve(answer_at_the_end);
        client.send(format!("{POST}he")).await;
        turns(20).await;
        client.stream.close();
        while server.connections() > 0 {
            turns(1).await;
        }
        assert_eq!(*calls.borrow(), ["headers of /", "data he", "close"]);
    });
}

#[test]
fn a_malformed_body_is_a_close_and_a_400() {
    run(async {
        let (client, _server, calls) = serve(answer_at_the_end);
        client.send(format!("{CHUNKED_POST}2\r\nhe\r\n")).await;
        turns(20).await;
        client.send("x\r\n").await;
        assert_eq!(client.answer().await.status(), 400);
        assert_eq!(*calls.borrow(), ["headers of /", "data he", "close"]);
    });
}

#[test]
fn an_answer_that_is_finished_before_the_body_ends_the_calls_with_a_close() {
    run(async {
        let (client, _server, calls) = serve(async |at, connection: &mut Option<HttpConnection>| {
            let Some(connection) = connection else { return Ok(()) };
            match at {
                At::Headers => connection.write_headers(Response::default()),
                At::Data => {
                    connection.write("enough\n").await?;
                    connection.finish()
                }
                At::Finish => panic!("the answer is finished"),
            }
        });
        client.send(format!("{CHUNKED_POST}1\r\nh\r\n")).await;
        assert_eq!(client.answer().await.text(), "enough\n");
        assert_eq!(*calls.borrow(), ["headers of /", "data h", "close"]);
    });
}

#[test]
fn an_error_of_a_call_is_the_answer_and_a_close() {
    run(async {
        for failing in [At::Headers, At::Data, At::Finish] {
            let (client, _server, calls) = serve(async move |at, _: &mut Option<HttpConnection>| match at == failing {
                true => Err(Error::BadRequest("not liked")),
                false => Ok(()),
            });
            client.send(format!("{POST}hello")).await;
            let answer = client.answer().await;
            assert_eq!(answer.status(), 400);
            assert!(answer.text().contains("not liked"), "{}", answer.text());
            // After `finish` there is no close: exactly one of them is called.
            let end = if failing == At::Finish { "finish" } else { "close" };
            let calls = calls.borrow();
            assert_eq!(calls.last().map(String::as_str), Some(end));
            assert_eq!(calls.iter().filter(|call| matches!(call.as_str(), "finish" | "close")).count(), 1);
        }
    });
}

#[test]
fn a_panic_of_a_call_is_a_500_and_a_close() {
    run(async {
        let (client, _server, calls) = serve(async |_, _: &mut Option<HttpConnection>| panic!("on purpose"));
        client.send(format!("{POST}hello")).await;
        assert_eq!(client.answer().await.status(), 500);
        client.expect_closed().await;
        assert_eq!(*calls.borrow(), ["headers of /", "close"]);
    });
}

/// Panics, and once more when it is told of the close.
struct PanicsTwice(#[allow(dead_code)] HttpConnection);

impl HttpMessageDelegate for PanicsTwice {
    async fn headers_received(&mut self, _: Request, _: &mut Body) -> Result<()> {
        panic!("on purpose")
    }

    async fn finish(&mut self) -> Result<()> {
        Ok(())
    }

    fn on_connection_close(&mut self) {
        panic!("on purpose, once more")
    }
}

#[test]
fn a_panic_while_a_panic_is_told_takes_nobody_along() {
    run(async {
        let (client, _server) = serve_pair(64 * 1024, DelegateService::new(PanicsTwice));
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
        assert_eq!(client.answer().await.status(), 500);
    });
}

#[test]
fn a_body_is_answered_while_it_comes() {
    run(async {
        let (client, _server, _) = serve(async |at, connection: &mut Option<HttpConnection>| {
            let Some(connection) = connection else { return Ok(()) };
            match at {
                At::Headers => connection.write_headers(Response::default()),
                At::Data => connection.write("piece\n").await,
                At::Finish => connection.finish(),
            }
        });
        client.send(format!("{CHUNKED_POST}1\r\nh\r\n")).await;
        let head = client.head().await;
        assert_eq!((status(&head), header(&head, "transfer-encoding")), (200, Some("chunked")));
        assert_eq!(client.stream.read_until(b"\n\r\n").await.unwrap(), "6\r\npiece\n\r\n");
        client.send("4\r\nello\r\n").await;
        assert_eq!(client.stream.read_until(b"\n\r\n").await.unwrap(), "6\r\npiece\n\r\n");
        client.send("0\r\n\r\n").await;
        assert_eq!(client.stream.read_until(b"\r\n\r\n").await.unwrap(), "0\r\n\r\n");
    });
}

#[test]
fn a_delegate_that_is_busy_slows_its_client_down() {
    run(async {
        const LENGTH: usize = 4_000_000;
        let go = Event::new();
        let (client, _server, _) = serve({
            let go = go.clone();
            async move |at, connection: &mut Option<HttpConnection>| {
                if at == At::Data {
                    go.wait().await;
                }
                answer_at_the_end(at, connection).await
            }
        });
        let head = format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {LENGTH}\r\n\r\n");
        drop(client.stream.write(head + &"x".repeat(LENGTH)));
        turns(1_000).await;
        // The piece in hand, and what the pair holds.
        let sent = LENGTH - client.stream.pending_write();
        assert!(sent <= 3 * 64 * 1024, "{sent} bytes were taken of a client whose delegate is busy");
        go.set();
        assert_eq!(client.answer().await.text(), "done\n");
    });
}

#[test]
fn another_task_may_answer_behind_the_last_call() {
    run(async {
        let (client, _server, calls) = serve(async |at, connection: &mut Option<HttpConnection>| {
            if at == At::Finish {
                let mut connection = connection.take().expect("it is still here");
                let _detached = spawn(async move {
                    turns(20).await;
                    connection.write_headers(Response::default().with_header("Content-Length", "10"))?;
                    turns(20).await;
                    connection.write("later").await?;
                    turns(20).await;
                    connection.write_bytes(Bytes::from_static(b"still")).await?;
                    connection.flush().await?;
                    connection.finish()
                });
            }
            Ok(())
        });
        for _ in 0..2 {
            client.send(format!("{POST}hello")).await;
            let answer = client.answer().await;
            assert_eq!((answer.header("content-length"), answer.text()), (Some("10"), "laterstill"));
        }
        assert_eq!(calls.borrow().iter().filter(|call| *call == "finish").count(), 2);
    });
}

#[test]
fn a_connection_dropped_without_an_answer_is_a_500_and_in_the_middle_of_one_a_broken_answer() {
    run(async {
        let (client, _server, _) = serve(async |_, connection: &mut Option<HttpConnection>| {
            connection.take();
            Ok(())
        });
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
        assert_eq!(client.answer().await.status(), 500);

        let (client, _server, _) = serve(async |at, connection: &mut Option<HttpConnection>| {
            if at == At::Headers {
                let mut connection = connection.take().expect("it is still here");
                connection.write_headers(Response::default())?;
                connection.write("half").await?;
            }
            Ok(())
        });
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
        assert_eq!(status(&client.head().await), 200);
        // Without the chunk that would end it.
        assert_eq!(client.rest().await, "4\r\nhalf\r\n");
    });
}

#[test]
fn a_connection_dropped_behind_all_that_was_announced_has_finished_its_answer() {
    run(async {
        for text in ["", "all"] {
            let (client, _server, _) = serve(async move |_, connection: &mut Option<HttpConnection>| {
                let Some(mut connection) = connection.take() else { return Ok(()) };
                let mut head = Response::default();
                head.set_content_length(text.len() as u64);
                connection.write_headers(head)?;
                connection.write(text).await
            });
            for _ in 0..2 {
                client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
                let answer = client.answer().await;
                assert_eq!((answer.status(), answer.text(), answer.header("connection")), (200, text, None));
            }
        }
    });
}

#[test]
fn trailers_are_sent_behind_the_answer() {
    run(async {
        let (client, _server, _) = serve(async |_, connection: &mut Option<HttpConnection>| {
            let Some(mut connection) = connection.take() else { return Ok(()) };
            let mut trailers = Trailers::new();
            trailers.append("X-Sum", "3")?;
            assert!(matches!(connection.set_trailers(Trailers::new()), Err(Error::AlreadyTaken(_))));
            connection.write_headers(Response::default())?;
            connection.write("all").await?;
            connection.set_trailers(trailers)?;
            connection.finish()
        });
        client.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await;
        assert_eq!(status(&client.head().await), 200);
        assert_eq!(client.rest().await, "3\r\nall\r\n0\r\nX-Sum: 3\r\n\r\n");
    });
}

#[test]
fn an_answer_has_one_head_in_front_and_one_end() {
    run(async {
        let (client, _server, _) = serve(async |at, connection: &mut Option<HttpConnection>| {
            let Some(connection) = connection.as_mut().filter(|_| at == At::Finish) else { return Ok(()) };
            assert!(matches!(connection.write("early").await, Err(Error::AlreadyTaken(_))));
            assert!(matches!(connection.finish(), Err(Error::AlreadyTaken(_))));
            connection.write_headers(Response::default())?;
            assert!(matches!(connection.write_headers(Response::default()), Err(Error::AlreadyTaken(_))));
            connection.write("once").await?;
            assert!(!connection.is_finished());
            connection.finish()?;
            assert!(connection.is_finished());
            assert!(matches!(connection.finish(), Err(Error::AlreadyTaken(_))));
            assert!(matches!(connection.write("late").await, Err(Error::AlreadyTaken(_))));
            Ok(())
        });
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
        let answer = client.answer().await;
        assert_eq!((answer.status(), answer.text()), (200, "once"));
    });
}

#[test]
fn an_error_behind_a_finished_answer_does_not_break_it() {
    run(async {
        let (client, _server, _) = serve(async |_, connection: &mut Option<HttpConnection>| {
            let Some(connection) = connection else { return Ok(()) };
            connection.write_headers(Response::default())?;
            connection.write("all").await?;
            connection.finish()?;
            Err(Error::BadRequest("too late"))
        });
        for _ in 0..2 {
            client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
            let answer = client.answer().await;
            assert_eq!((answer.status(), answer.text()), (200, "all"));
        }
    });
}

/// Limits the body, and answers HEAD as GET.
struct Limited(HttpConnection);

impl HttpMessageDelegate for Limited {
    async fn headers_received(&mut self, _: Request, body: &mut Body) -> Result<()> {
        body.limit(3);
        Ok(())
    }

    async fn finish(&mut self) -> Result<()> {
        self.0.write_headers(Response::default().with_header("Content-Length", "5"))?;
        self.0.write("hello").await?;
        self.0.finish()
    }
}

#[test]
fn a_delegate_sets_the_limits_of_its_body() {
    run(async {
        let (client, _server) = serve_pair(64 * 1024, DelegateService::new(Limited));
        client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc").await;
        assert_eq!(client.answer().await.text(), "hello");
        client.send(format!("{POST}hello")).await;
        assert_eq!(client.answer().await.status(), 413);
    });
}

#[test]
fn an_answer_to_head_ends_with_its_head() {
    run(async {
        let (client, _server) = serve_pair(64 * 1024, DelegateService::new(Limited));
        client.send("HEAD / HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
        let head = client.head().await;
        assert_eq!((status(&head), header(&head, "content-length")), (200, Some("5")));
        assert_eq!(client.answer().await.text(), "hello");
    });
}

/// Echoes bytes once it has detached.
struct Detaching(HttpConnection);

impl HttpMessageDelegate for Detaching {
    async fn headers_received(&mut self, request: Request, _: &mut Body) -> Result<()> {
        let answer = request.upgrade(Response::switching_protocols("echo")?, async |stream: IOStream| {
            while let Ok(bytes) = stream.read_some(100).await {
                let _ = stream.write(bytes).await;
            }
        });
        self.0.write_headers(answer?)
    }

    async fn finish(&mut self) -> Result<()> {
        Ok(())
    }
}

#[test]
fn a_delegate_hands_its_stream_to_another_protocol() {
    run(async {
        let (client, _server) = serve_pair(64 * 1024, DelegateService::new(Detaching));
        client.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\nhello").await;
        assert_eq!(status(&client.head().await), 101);
        assert_eq!(client.stream.read_bytes(5).await.unwrap(), "hello");
    });
}
