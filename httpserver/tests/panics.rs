//! A service that panics harms its own request and no other.

mod common;

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use common::{Client, Event, SetOnDrop, exchange, header, run, serve, status};
use httpserver::{Body, BodyStream, Bytes, Frame, Request, Response, Result, yield_now};

async fn service(mut request: Request) -> Result<Response> {
    match request.path() {
        "/at-once" => panic!("at once"),
        "/later" => {
            yield_now().await;
            panic!("later: {}", request.path());
        }
        "/with-a-value" => std::panic::panic_any(7),
        "/begun" => Ok(Response::text(Body::writer(async |mut out| {
            out.write("half").await?;
            out.flush().await?;
            panic!("with half an answer out");
        }))),
        "/finished" => Ok(Response::text(Body::stream(Whole(Some("whole"))))),
        "/body" => {
            request.body_mut().chunk().await?;
            panic!("in the middle of a body");
        }
        "/bomb" => Ok(Response::bytes(Bytes::from_owner(Bomb))),
        path => Ok(Response::text(path.to_owned())),
    }
}

/// A streamed body whose destructor panics, which happens when its last chunk has been encoded.
struct Whole(Option<&'static str>);

impl BodyStream for Whole {
    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame>>> {
        Poll::Ready(self.0.take().map(|piece| Ok(Frame::from(piece))))
    }
}

impl Drop for Whole {
    fn drop(&mut self) {
        panic!("behind the answer");
    }
}

/// A body whose destructor panics, which happens when its answer has been encoded.
struct Bomb;

impl AsRef<[u8]> for Bomb {
    fn as_ref(&self) -> &[u8] {
        b"tick"
    }
}

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("in the destructor of a body");
    }
}

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n")
}

#[test]
fn a_panic_is_answered_500_and_the_connection_closed() {
    run(async {
        let addr = serve(service);
        for path in ["/at-once", "/later", "/with-a-value"] {
            let answer = exchange(addr, get(path)).await;
            assert_eq!((status(&answer), header(&answer, "connection")), (500, Some("close")), "{path}");
            assert!(!answer.contains("later"), "a panic's message is not for the client");
        }
    });
}

#[test]
fn earlier_answers_of_a_pipeline_are_sent_and_later_requests_are_not_served() {
    run(async {
        let client = Client::connect(serve(service)).await;
        client.send(get("/one") + &get("/at-once") + &get("/three")).await;
        assert_eq!(client.answer().await.text(), "/one");
        assert_eq!(client.answer().await.status(), 500);
        client.expect_closed().await;
    });
}

#[test]
fn a_panic_behind_half_an_answer_cuts_it_off() {
    run(async {
        let answer = exchange(serve(service), get("/begun")).await;
        assert_eq!(status(&answer), 200);
        assert!(answer.ends_with("\r\n\r\n4\r\nhalf\r\n"), "{answer}");
    });
}

#[test]
fn a_panic_behind_a_whole_answer_ends_the_connection() {
    run(async {
        let answer = exchange(serve(service), get("/finished")).await;
        assert!(answer.contains("5\r\nwhole\r\n"));
        assert_eq!(answer.matches("HTTP/1.1").count(), 1);
    });
}

#[test]
fn a_panic_with_an_unread_body_is_seen_by_the_client() {
    run(async {
        let body = "x".repeat(200 * 1024);
        let request = format!("POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        assert_eq!(status(&exchange(serve(service), request).await), 500);
    });
}

#[test]
fn other_connections_do_not_notice() {
    run(async {
        let gate = Event::new();
        let addr = serve({
            let gate = gate.clone();
            async move |request: Request| {
                if request.path() == "/wait" {
                    gate.wait().await;
                }
                service(request).await
            }
        });
        let (kept, waiting) = (Client::connect(addr).await, Client::connect(addr).await);
        waiting.send(get("/wait")).await;
        for path in ["/at-once", "/later", "/begun"] {
            kept.send(get("/kept")).await;
            assert_eq!(kept.answer().await.text(), "/kept");
            exchange(addr, get(path)).await;
        }
        gate.set();
        assert_eq!(waiting.answer().await.text(), "/wait");
        kept.send(get("/kept")).await;
        assert_eq!(kept.answer().await.text(), "/kept");
    });
}

#[test]
fn a_panic_before_there_is_a_future_closes_that_connection_alone() {
    struct Hasty;

    impl httpserver::Service for Hasty {
        fn call(&self, request: Request) -> impl Future<Output = Response> {
            assert_ne!(request.path(), "/at-once");
            async { Response::text("fine") }
        }
    }

    run(async {
        let server = httpserver::HttpServer::new(Hasty);
        let server = server.listen(("127.0.0.1", 0)).unwrap();
        let addr = server.local_addr();
        let (hasty, other) = (Client::connect(addr).await, Client::connect(addr).await);
        for _ in 0..2 {
            other.send(get("/")).await;
            assert_eq!(other.answer().await.text(), "fine");
            hasty.send(get("/at-once")).await;
            hasty.expect_closed().await;
        }
        hasty.stream.close();
        common::until(|| server.connections() == 1).await;
    });
}

#[test]
fn what_a_panicked_service_held_is_dropped() {
    run(async {
        let dropped = Event::new();
        let addr = serve({
            let dropped = dropped.clone();
            async move |request: Request| {
                let _held = SetOnDrop(dropped.clone());
                yield_now().await;
                service(request).await
            }
        });
        exchange(addr, get("/at-once")).await;
        assert!(dropped.is_set());
    });
}

#[test]
fn a_panic_in_the_destructor_of_a_body_does_not_add_a_second_answer() {
    run(async {
        let addr = serve(service);
        let answers = exchange(addr, get("/bomb") + &get("/next")).await;
        assert!(answers.matches("HTTP/1.1 ").count() <= 1, "one request, one answer: {answers}");
        assert!(!answers.contains("/next"), "{answers}");
        let other = Client::connect(addr).await;
        other.send(get("/other")).await;
        assert_eq!(other.answer().await.text(), "/other");
    });
}
