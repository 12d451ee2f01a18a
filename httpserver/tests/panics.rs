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

/// A future that is ready at once and panics when it is dropped.
struct BombAfterwards(Option<Response>);

impl Future for BombAfterwards {
    type Output = Response;

    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Response> {
        Poll::Ready(self.0.take().expect("polled once"))
    }
}

impl Drop for BombAfterwards {
    fn drop(&mut self) {
        panic!("in the destructor of a future");
    }
}

/// Panics when it is dropped.
struct Held;

impl Drop for Held {
    fn drop(&mut self) {
        panic!("in the destructor of something held");
    }
}

/// A service whose future, or what it holds, has a destructor that panics.
struct Holding;

impl httpserver::Service for Holding {
    fn call(&self, request: Request) -> impl Future<Output = Response> {
        let path = request.path().to_owned();
        let bomb = match &*path {
            "/afterwards" => Some(BombAfterwards(Some(Response::text("afterwards")))),
            "/afterwards-streamed" => {
                Some(BombAfterwards(Some(Response::text(Body::writer(async |mut out| out.write("streamed").await)))))
            }
            "/afterwards-large" => Some(BombAfterwards(Some(Response::bytes(vec![b'x'; LARGE])))),
            _ => None,
        };
        MaybeBomb { bomb, rest: Box::pin(answer_holding(request, path)) }
    }
}

/// More than the kernel takes.
const LARGE: usize = 16 << 20;

async fn answer_holding(request: Request, path: String) -> Response {
    match &*path {
        "/cancelled" => {
            let _held = Held;
            request.cancel_on_disconnect();
            std::future::pending().await
        }
        "/panics" => std::panic::panic_any(Held),
        "/streamed" => Response::text(Body::stream(Whole(Some("whole")))),
        path => Response::text(path.to_owned()),
    }
}

struct MaybeBomb {
    bomb: Option<BombAfterwards>,
    rest: Pin<Box<dyn Future<Output = Response>>>,
}

impl Future for MaybeBomb {
    type Output = Response;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Response> {
        match &mut self.bomb {
            Some(bomb) => Pin::new(bomb).poll(cx),
            None => self.rest.as_mut().poll(cx),
        }
    }
}

fn serve_holding() -> httpserver::ServerHandle {
    httpserver::HttpServer::new(Holding).listen(("127.0.0.1", 0)).unwrap()
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
fn a_panic_before_there_is_a_future_is_answered_like_any_other() {
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
        hasty.send(get("/") + &get("/at-once") + &get("/")).await;
        // The answer to the request before it is not lost.
        assert_eq!(hasty.answer().await.text(), "fine");
        let answer = hasty.answer().await;
        assert_eq!((answer.status(), answer.header("connection")), (500, Some("close")));
        hasty.expect_closed().await;
        other.send(get("/")).await;
        assert_eq!(other.answer().await.text(), "fine");
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

#[test]
fn a_panic_in_the_destructor_of_a_future_takes_no_answer_with_it() {
    run(async {
        let server = serve_holding();
        let client = Client::connect(server.local_addr()).await;
        client.send(get("/one") + &get("/afterwards") + &get("/three")).await;
        assert_eq!(client.answer().await.text(), "/one");
        assert_eq!(client.answer().await.text(), "afterwards");
        client.expect_closed().await;
    });
}

#[test]
fn a_large_answer_is_sent_whole_although_the_destructor_of_its_future_panics() {
    run(async {
        let server = serve_holding();
        let client = Client::connect(server.local_addr()).await;
        client.send(get("/afterwards-large")).await;
        assert_eq!(client.answer().await.body.len(), LARGE);
        client.expect_closed().await;
    });
}

#[test]
fn a_streamed_answer_is_cut_off_when_the_destructor_of_its_future_panics() {
    run(async {
        let server = serve_holding();
        let answers = exchange(server.local_addr(), get("/one") + &get("/afterwards-streamed") + &get("/next")).await;
        assert_eq!(answers.matches("HTTP/1.1 200").count(), 2, "{answers}");
        assert!(answers.contains("/one") && answers.ends_with("\r\n\r\n"), "{answers}");
    });
}

#[test]
fn a_panic_in_the_destructor_of_a_cancelled_future_is_contained() {
    run(async {
        let server = serve_holding();
        let client = Client::connect(server.local_addr()).await;
        client.send(get("/one") + &get("/cancelled")).await;
        client.end().await;
        assert_eq!(client.answer().await.text(), "/one");
        client.expect_closed().await;
        common::until(|| server.connections() == 0).await;
    });
}

#[test]
fn a_panic_whose_payload_panics_is_answered() {
    run(async {
        let server = serve_holding();
        let client = Client::connect(server.local_addr()).await;
        client.send(get("/one") + &get("/panics")).await;
        assert_eq!(client.answer().await.text(), "/one");
        assert_eq!(client.answer().await.status(), 500);
        client.expect_closed().await;
    });
}

#[test]
fn a_panic_in_the_destructor_of_a_body_that_is_not_sent_leaves_the_answers_to_head() {
    run(async {
        let server = serve_holding();
        let head = "HEAD /streamed HTTP/1.1\r\nHost: a\r\n\r\n";
        let answers = exchange(server.local_addr(), get("/one") + head + &get("/next")).await;
        assert!(answers.contains("/one"), "{answers}");
        assert_eq!(answers.matches("HTTP/1.1 200").count(), 2, "{answers}");
    });
}

#[test]
fn a_streamed_answer_is_sent_whole_before_the_destructor_of_its_body_panics() {
    run(async {
        let server = serve_holding();
        let client = Client::connect(server.local_addr()).await;
        client.send(get("/streamed") + &get("/next")).await;
        assert_eq!(client.answer().await.text(), "whole");
        client.expect_closed().await;
    });
}
