//! Services of tower and applications of axum on the server, and bodies by the `http-body` trait.

mod common;

use std::{
    cell::{Cell, RefCell},
    convert::Infallible,
    future::{Future, Ready, ready},
    net::SocketAddr,
    pin::pin,
    rc::Rc,
    sync::mpsc,
    task::{Context, Poll, Waker},
    thread,
};

use axum::{
    Router,
    extract::{self, Path},
    routing::{get, post},
};
use common::{Client, Event, header, run, run_virtual, serve, serve_pair, serve_pair_with, status, turns};
use http_body_util::{BodyExt, Full, StreamBody, combinators::BoxBody};
use httpserver::{
    Body, Bytes, Error, Limits, Request,
    tower::{RequestBody, TowerService},
};

const CHUNKED_POST: &str = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";

/// A tower service out of an async function over the request, whose errors are of any kind.
#[derive(Clone)]
struct FromFn<F>(F);

impl<F, R, B, E> tower_service::Service<http::Request<RequestBody>> for FromFn<F>
where
    F: Fn(http::Request<RequestBody>) -> R,
    R: Future<Output = Result<http::Response<B>, E>>,
{
    type Response = http::Response<B>;
    type Error = E;
    type Future = R;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), E>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<RequestBody>) -> R {
        (self.0)(request)
    }
}

async fn echo(request: extract::Request) -> axum::body::Body {
    request.into_body()
}

/// Takes the whole body. An error of the body is the service's.
async fn collect(request: http::Request<RequestBody>) -> Result<http::Response<Full<Bytes>>, Error> {
    Ok(http::Response::new(Full::new(request.into_body().collect().await?.to_bytes())))
}

#[test]
fn an_application_of_axum_is_served() {
    run(async {
        let router = Router::new()
            .route("/hello/{name}", get(async |Path(name): Path<String>| format!("Hello, {name}\n")))
            .route("/echo", post(echo));
        let client = Client::connect(serve(TowerService::new(router))).await;
        client.send("GET /hello/axum?x=1 HTTP/1.1\r\nHost: a\r\n\r\n").await;
        let answer = client.answer().await;
        assert_eq!((answer.status(), answer.text()), (200, "Hello, axum\n"));
        assert_eq!((answer.header("content-length"), answer.header("transfer-encoding")), (Some("12"), None));

        client.send("HEAD /hello/axum HTTP/1.1\r\nHost: a\r\n\r\nGET /x HTTP/1.1\r\nHost: a\r\n\r\n").await;
        let head = client.head().await;
        assert_eq!((status(&head), header(&head, "content-length")), (200, Some("12")));
        assert_eq!(client.answer().await.status(), 404);

        client.send("GET /echo HTTP/1.1\r\nHost: a\r\n\r\n").await;
        let answer = client.answer().await;
        assert_eq!((answer.status(), answer.header("allow")), (405, Some("POST")));
    });
}

#[test]
fn a_body_of_any_length_and_framing_passes_through() {
    run(async {
        let (client, _server) = serve_pair(64 * 1024, TowerService::new(Router::new().route("/", post(echo))));
        for length in [0, 1, 100_000, 900_000] {
            let body = "abcdefghij".repeat(length / 10 + 1)[..length].to_owned();
            drop(client.stream.write(format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n{body}")));
            assert!(client.answer().await.text() == body, "a body of {length} bytes came back as another");
            drop(
                client.stream.write(format!(
                    "{CHUNKED_POST}{length:x}\r\n{body}\r\n{}",
                    if length > 0 { "0\r\n\r\n" } else { "" }
                )),
            );
            assert!(client.answer().await.text() == body, "{length} bytes in chunks came back as others");
        }
    });
}

#[test]
fn a_service_that_does_not_read_slows_its_client_down() {
    const LENGTH: usize = 4_000_000;
    run_virtual(async |clock| {
        let go = Event::new();
        let service = FromFn({
            let go = go.clone();
            move |request: http::Request<RequestBody>| {
                let go = go.clone();
                async move {
                    let mut body = request.into_body();
                    let first = body.frame().await.expect("a piece")?.into_data().expect("data");
                    go.wait().await;
                    let rest = body.collect().await?.to_bytes();
                    Ok::<_, Error>(http::Response::new(Full::new(Bytes::from((first.len() + rest.len()).to_string()))))
                }
            }
        });
        let (client, _server) = serve_pair(64 * 1024, TowerService::new(service));
        let head = format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {LENGTH}\r\n\r\n");
        drop(client.stream.write(head + &"x".repeat(LENGTH)));
        clock.advance(std::time::Duration::ZERO).await;
        turns(1_000).await;
        // The piece that was taken, one in the channel, one in front of it, and what the pair holds.
        let sent = LENGTH - client.stream.pending_write();
        assert!(sent <= 5 * 64 * 1024, "{sent} bytes were taken of a client whose service does not read");
        go.set();
        assert_eq!(client.answer().await.text(), LENGTH.to_string());
    });
}

#[test]
fn a_client_is_told_to_go_on_when_the_service_reads_and_not_before() {
    run(async {
        let reads = Rc::new(Cell::new(false));
        let service = FromFn({
            let reads = reads.clone();
            move |request: http::Request<RequestBody>| {
                let reads = reads.get();
                async move {
                    match reads {
                        true => collect(request).await,
                        false => Ok(http::Response::builder().status(403).body(Full::default()).unwrap()),
                    }
                }
            }
        });
        let addr = serve(TowerService::new(service));
        let expecting = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n";
        let client = Client::connect(addr).await;
        client.send(expecting).await;
        assert_eq!(status(&client.head().await), 403);

        reads.set(true);
        let client = Client::connect(addr).await;
        client.send(expecting).await;
        assert_eq!(client.head().await, "HTTP/1.1 100 Continue\r\n\r\n");
        client.send("hello").await;
        assert_eq!(client.answer().await.text(), "hello");
    });
}

#[test]
fn a_body_that_the_service_drops_does_not_end_the_connection() {
    run(async {
        let (client, _server) = serve_pair(64 * 1024, TowerService::new(Router::new().route("/", post(async || "no"))));
        for _ in 0..3 {
            client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello").await;
            let answer = client.answer().await;
            assert_eq!((answer.text(), answer.header("connection")), ("no", None));
        }
    });
}

#[test]
fn a_body_may_be_read_on_another_thread() {
    run(async {
        let (to_thread, bodies) = mpsc::channel::<(RequestBody, async_channel::Sender<usize>)>();
        let reader = thread::spawn(move || {
            for (body, answer) in bodies {
                let length = block_on(body.collect()).expect("a whole body").to_bytes().len();
                answer.try_send(length).expect("somebody waits");
            }
        });
        let service = FromFn(move |request: http::Request<RequestBody>| {
            let (to, length) = async_channel::bounded(1);
            to_thread.send((request.into_body(), to)).expect("the thread runs");
            async move {
                let length = length.recv().await.expect("an answer of the thread");
                Ok::<_, Infallible>(http::Response::new(Full::new(Bytes::from(length.to_string()))))
            }
        });
        let (client, server) = serve_pair(64 * 1024, TowerService::new(service));
        let head = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n";
        drop(client.stream.write(head.to_owned() + &"x".repeat(1_000_000)));
        assert_eq!(client.answer().await.text(), "1000000");
        drop((client, server));
        // The service has gone with its server, and the thread's work with that.
        while !reader.is_finished() {
            turns(1).await;
        }
    });
}

/// Runs a future on a thread without a loop.
fn block_on<F: Future>(future: F) -> F::Output {
    struct Unpark(thread::Thread);
    impl std::task::Wake for Unpark {
        fn wake(self: std::sync::Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(std::sync::Arc::new(Unpark(thread::current())));
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}

#[test]
fn a_body_that_outlives_its_answer_is_broken_off_and_not_at_its_end() {
    run(async {
        let kept = Rc::new(RefCell::new(None));
        let service = FromFn({
            let kept = kept.clone();
            move |request: http::Request<RequestBody>| {
                let kept = kept.clone();
                async move {
                    let mut body = request.into_body();
                    let first = body.frame().await.expect("a piece")?.into_data().expect("data");
                    kept.replace(Some(body));
                    Ok::<_, Error>(http::Response::new(Full::new(first)))
                }
            }
        });
        for framing in ["Content-Length: 10\r\n\r\nhello", "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"] {
            let (client, _server) = serve_pair(64 * 1024, TowerService::new(service.clone()));
            client.send(format!("POST / HTTP/1.1\r\nHost: a\r\n{framing}")).await;
            assert_eq!(client.answer().await.text(), "hello");
            let mut body: RequestBody = kept.take().expect("it was kept");
            let result = body.frame().await.expect("an error");
            assert!(matches!(result, Err(Error::AlreadyTaken(_))), "{result:?}");
            assert!(body.frame().await.is_none());
        }
    });
}

#[test]
fn errors_of_the_body_keep_their_status_through_the_service() {
    run(async {
        let (client, _server) =
            serve_pair_with(64 * 1024, Limits::default().max_body(10), TowerService::new(FromFn(collect)));
        client.send(format!("{CHUNKED_POST}b\r\n12345678901\r\n0\r\n\r\n")).await;
        assert_eq!(client.answer().await.status(), 413);
        let (client, _server) = serve_pair(64 * 1024, TowerService::new(FromFn(collect)));
        client.send(format!("{CHUNKED_POST}x\r\n")).await;
        assert_eq!(client.answer().await.status(), 400);
    });
}

#[test]
fn any_other_error_of_the_service_is_a_500_that_tells_nothing() {
    run(async {
        let service = FromFn(async |_: http::Request<RequestBody>| {
            Err::<http::Response<Full<Bytes>>, _>(std::io::Error::other("secret"))
        });
        let (client, _server) = serve_pair(64 * 1024, TowerService::new(service));
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
        let answer = client.answer().await;
        assert_eq!(answer.status(), 500);
        assert!(!answer.text().contains("secret"));
    });
}

#[test]
fn trailers_cross_in_both_directions() {
    run(async {
        // Answers with the body's trailer as a trailer.
        let service = FromFn(async |request: http::Request<RequestBody>| {
            let collected = request.into_body().collect().await?;
            let trailers = collected.trailers().cloned().unwrap_or_default();
            let frames = [Ok(http_body::Frame::data(collected.to_bytes())), Ok(http_body::Frame::trailers(trailers))];
            let body: BoxBody<Bytes, Error> = BodyExt::boxed(StreamBody::new(futures_stream(frames)));
            Ok::<_, Error>(http::Response::new(body))
        });
        let (client, _server) = serve_pair(64 * 1024, TowerService::new(service));
        client.send(format!("{CHUNKED_POST}3\r\nabc\r\n0\r\nX-Sum: 7\r\n\r\n")).await;
        let head = client.head().await;
        assert_eq!(header(&head, "transfer-encoding"), Some("chunked"));
        let body = client.stream.read_until(b"\r\n\r\n").await.unwrap();
        assert_eq!(body.escape_ascii().to_string(), "3\\r\\nabc\\r\\n0\\r\\nx-sum: 7\\r\\n\\r\\n");
    });
}

/// A stream of what is there.
fn futures_stream<T: Unpin>(items: impl IntoIterator<Item = T>) -> impl futures_core::Stream<Item = T> {
    struct Items<T>(std::vec::IntoIter<T>);
    impl<T: Unpin> futures_core::Stream for Items<T> {
        type Item = T;

        fn poll_next(mut self: std::pin::Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<T>> {
            Poll::Ready(self.0.next())
        }
    }
    Items(items.into_iter().collect::<Vec<_>>().into_iter())
}

#[test]
fn the_service_learns_where_its_client_is() {
    run(async {
        let service = FromFn(async |request: http::Request<RequestBody>| {
            let peer = request.extensions().get::<SocketAddr>().expect("an address");
            Ok::<_, Infallible>(http::Response::new(Full::new(Bytes::from(peer.to_string()))))
        });
        let client = Client::connect(serve(TowerService::new(service))).await;
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
        assert_eq!(client.answer().await.text(), client.stream.local_addr().unwrap().to_string());
    });
}

/// Is ready at the second look, and counts what it is asked before that.
#[derive(Clone, Default)]
struct SlowStart {
    looks: usize,
}

impl tower_service::Service<http::Request<RequestBody>> for SlowStart {
    type Response = http::Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.looks += 1;
        if self.looks == 1 {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: http::Request<RequestBody>) -> Self::Future {
        ready(Ok(http::Response::new(Full::new(Bytes::from(self.looks.to_string())))))
    }
}

#[test]
fn a_service_is_called_when_it_is_ready() {
    run(async {
        let (client, _server) = serve_pair(64 * 1024, TowerService::new(SlowStart::default()));
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
        assert_eq!(client.answer().await.text(), "2");
    });
}

#[test]
fn a_body_of_ours_tells_its_length_as_far_as_it_is_known() {
    let hint = |body: Body| http_body::Body::size_hint(&body);
    assert_eq!(hint(Body::empty()).exact(), Some(0));
    assert_eq!(hint(Body::from("hello")).exact(), Some(5));
    assert_eq!(hint(Body::writer(async |_| Ok(()))).upper(), None);
    run(async {
        // Some of it may have been read.
        let (client, _server) = serve_pair(1_000, async |mut request: Request| {
            let hint = http_body::Body::size_hint(request.body_mut());
            format!("{:?} {:?}", hint.exact(), hint.upper())
        });
        client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello").await;
        assert_eq!(client.answer().await.text(), "None Some(5)");
    });
}
