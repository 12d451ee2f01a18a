//! A service around a service sees and may change every answer, head and body, whatever its kind.

mod common;

use std::{
    cell::{Cell, RefCell},
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
};

use common::{Client, run, serve, turns};
use httpserver::{Body, BodyStream, BoxService, Error, Frame, Request, Response, Result, Service, StatusCode};

/// Adds a header line, and counts the bytes of the body.
struct Wrap<S> {
    service: S,
    counted: Rc<Cell<usize>>,
}

impl<S: Service> Service for Wrap<S> {
    async fn call(&self, request: Request) -> Response {
        let mut response = self.service.call(request).await;
        response.set_header("X-Wrapped", "yes").unwrap();
        let size = response.body().content_length();
        let body = Counted { body: response.take_body(), size, count: self.counted.clone() };
        response.set_body(Body::stream(body));
        response
    }
}

struct Counted {
    body: Body,
    size: Option<u64>,
    count: Rc<Cell<usize>>,
}

impl BodyStream for Counted {
    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame>>> {
        let frame = ready!(self.body.poll_frame(cx));
        if let Some(Ok(Frame::Data(data))) = &frame {
            self.count.set(self.count.get() + data.len());
        }
        Poll::Ready(frame)
    }

    fn poll_progress(mut self: Pin<&mut Self>, cx: &mut Context<'_>) {
        self.body.poll_progress(cx);
    }

    fn receiver_gone(mut self: Pin<&mut Self>, error: &Error) -> bool {
        self.body.receiver_gone(error)
    }

    fn exact_size(&self) -> Option<u64> {
        self.size
    }
}

/// A short answer, a streamed one, and one that passes the request's body through.
async fn service(mut request: Request) -> Response {
    match request.path() {
        "/short" => Response::text("short"),
        "/streamed" => Response::text(Body::writer(async |mut out| {
            for piece in ["in ", "three ", "pieces"] {
                out.write(piece).await?;
                out.flush().await?;
            }
            Ok(())
        })),
        "/passed" => Response::bytes(request.take_body()),
        _ => Response::new(StatusCode::NOT_FOUND),
    }
}

const CHUNKED: &str = "Transfer-Encoding: chunked\r\n\r\n4\r\nthro\r\n3\r\nugh\r\n0\r\n\r\n";

#[test]
fn a_wrap_changes_the_head_and_counts_the_bytes_of_any_answer() {
    run(async {
        let counted = Rc::new(Cell::new(0));
        let addr = serve(Wrap { service, counted: counted.clone() });
        let client = Client::connect(addr).await;
        for (request, text) in [
            ("GET /short HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(), "short"),
            ("GET /streamed HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(), "in three pieces"),
            ("POST /passed HTTP/1.1\r\nHost: a\r\nContent-Length: 7\r\n\r\nthrough".to_owned(), "through"),
            (format!("POST /passed HTTP/1.1\r\nHost: a\r\n{CHUNKED}"), "through"),
            ("GET /missing HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(), ""),
        ] {
            counted.set(0);
            client.send(request).await;
            let answer = client.answer().await;
            assert_eq!((answer.text(), answer.header("x-wrapped")), (text, Some("yes")));
            assert_eq!(counted.get(), text.len(), "{text}");
            assert_eq!(answer.header("connection"), None, "{text}");
        }
    });
}

#[test]
fn a_wrap_of_the_request_sees_its_body() {
    /// Counts what the service reads.
    struct Meter<S>(S, Rc<Cell<usize>>);

    impl<S: Service> Service for Meter<S> {
        async fn call(&self, mut request: Request) -> Response {
            let body = request.take_body();
            let size = body.content_length();
            request.set_body(Body::stream(Counted { body, size, count: self.1.clone() }));
            self.0.call(request).await
        }
    }

    run(async {
        let counted = Rc::new(Cell::new(0));
        let collect = async |mut request: Request| request.bytes().await;
        let client = Client::connect(serve(Meter(collect, counted.clone()))).await;
        client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello").await;
        assert_eq!(client.answer().await.text(), "hello");
        client.send(format!("POST / HTTP/1.1\r\nHost: a\r\n{CHUNKED}")).await;
        assert_eq!(client.answer().await.text(), "through");
        assert_eq!(counted.get(), 12);
    });
}

#[test]
fn a_body_passed_through_under_a_limit_loses_nothing_and_ends_there() {
    run(async {
        let addr = serve(async |mut request: Request| {
            let mut body = request.take_body();
            body.limit(10);
            Response::bytes(body)
        });
        let client = Client::connect(addr).await;
        client.send(format!("POST / HTTP/1.1\r\nHost: a\r\n{CHUNKED}")).await;
        assert_eq!(client.answer().await.text(), "through");
        client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n8\r\n12345678\r\n").await;
        assert_eq!(client.head().await.get(..13), Some("HTTP/1.1 200 "));
        assert_eq!(client.stream.read_until(b"8\r\n12345678\r\n").await.unwrap().len(), 13);
        client.send("3\r\n9ab\r\n0\r\n\r\n").await;
        let rest = client.stream.read_until_close().await.unwrap_or_default();
        assert_eq!(rest, "", "neither more data nor the last chunk");
    });
}

#[test]
fn keep_alive_announced_by_a_stream_that_holds_an_unread_body_is_kept() {
    run(async {
        // It keeps the request for its own ends and reads none of its body.
        let addr = serve(async |request: Request| {
            Response::text(Body::writer(async move |mut out| out.write(request.path()).await))
        });
        let client = Client::connect(addr).await;
        let piece = format!("8000\r\n{}\r\n", "x".repeat(0x8000));
        client.send("POST /held HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n").await;
        let answer = client.answer().await;
        assert_eq!((answer.text(), answer.header("connection")), ("/held", None));
        // Far more than would be dropped without the promise.
        for _ in 0..32 {
            client.send(&piece).await;
            turns(1).await;
        }
        client.send("0\r\n\r\nGET /next HTTP/1.1\r\nHost: a\r\n\r\n").await;
        assert_eq!(client.answer().await.text(), "/next");
    });
}

#[test]
fn a_body_passed_through_is_asked_for_with_100_continue() {
    run(async {
        let client = Client::connect(serve(service)).await;
        client.send("POST /passed HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n").await;
        assert_eq!(client.head().await, "HTTP/1.1 100 Continue\r\n\r\n");
        client.send("hello").await;
        let answer = client.answer().await;
        assert_eq!((answer.text(), answer.header("connection")), ("hello", None));
    });
}

#[test]
fn a_body_that_may_be_read_behind_the_head_is_not_waited_for_when_the_client_was_not_told_to_continue() {
    run(async {
        let addr = serve(async |mut request: Request| {
            Response::text(Body::writer(async move |mut out| {
                out.write("early").await?;
                // Kept and not read.
                assert!(!request.body_mut().is_end());
                Ok(())
            }))
        });
        let client = Client::connect(addr).await;
        client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n").await;
        let answer = client.answer().await;
        assert_eq!((answer.text(), answer.header("connection")), ("early", Some("close")));
        client.expect_closed().await;
    });
}

#[test]
fn services_of_several_types_share_a_list_when_boxed() {
    run(async {
        let services: Vec<BoxService> = vec![
            service.boxed(),
            Wrap { service, counted: Rc::default() }.boxed(),
            (async |_: Request| "third").boxed(),
        ];
        let (services, turn) = (services.clone(), Cell::new(0));
        let addr = serve(async move |request: Request| {
            turn.set(turn.get() + 1);
            services[turn.get() - 1].call(request).await
        });
        let client = Client::connect(addr).await;
        for (text, wrapped) in [("short", None), ("short", Some("yes")), ("third", None)] {
            client.send("GET /short HTTP/1.1\r\nHost: a\r\n\r\n").await;
            let answer = client.answer().await;
            assert_eq!((answer.text(), answer.header("x-wrapped")), (text, wrapped));
        }
    });
}

#[test]
fn extensions_travel_from_a_wrap_to_the_service_and_back() {
    struct User(&'static str);

    run(async {
        let seen = Rc::new(RefCell::new(String::new()));
        let inner = async |request: Request| request.extensions().get::<User>().map_or("nobody", |user| user.0);
        let addr = serve({
            let seen = seen.clone();
            async move |request: Request| {
                let extensions = request.extensions().clone();
                extensions.set(User("ada"));
                let response = Service::call(&inner, request).await;
                seen.replace(extensions.get::<User>().unwrap().0.to_owned());
                response
            }
        });
        let client = Client::connect(addr).await;
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
        assert_eq!(client.answer().await.text(), "ada");
        assert_eq!(*seen.borrow(), "ada");
    });
}
