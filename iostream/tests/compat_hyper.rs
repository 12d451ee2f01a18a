//! hyper's server and client over streams of the loop, and its time-outs on the loop's clock.

mod common;

use std::{
    cell::Cell,
    convert::Infallible,
    io::{Read, Write},
    net::Shutdown,
    rc::Rc,
    time::Duration,
};

use bytes::Bytes;
use common::{pair, pattern, run};
use http_body_util::{BodyExt, Full};
use hyper::{
    Method, Request, Response, StatusCode,
    body::Incoming,
    client, header,
    rt::{Executor, Timer},
    server,
    service::service_fn,
};
use iostream::{
    IOLoop, IOStream, TcpServer,
    hyper::{LoopExecutor, LoopTimer},
    ioloop::VirtualClock,
    memory, spawn,
};

/// Echoes what it is sent. Its state is not `Send`.
async fn serve(stream: IOStream, requests: Rc<Cell<u32>>) -> hyper::Result<()> {
    let service = service_fn(move |request: Request<Incoming>| {
        requests.set(requests.get() + 1);
        async move {
            let body = request.into_body().collect().await?.to_bytes();
            Ok::<_, hyper::Error>(Response::new(Full::new(body)))
        }
    });
    let mut server = server::conn::http1::Builder::new();
    server.timer(LoopTimer).half_close(true).serve_connection(stream, service).await
}

fn post(body: Vec<u8>) -> Request<Full<Bytes>> {
    let request = Request::builder().method(Method::POST).uri("/").header(header::HOST, "test");
    request.body(Full::new(Bytes::from(body))).unwrap()
}

#[test]
fn a_server_and_a_client_of_hyper_talk_over_tcp() {
    let requests = Rc::new(Cell::new(0));
    common::choose_poller();
    let server = TcpServer::new({
        let requests = requests.clone();
        async move |stream: IOStream, _peer| serve(stream, requests.clone()).await.map_err(|error| panic!("{error}"))
    });
    let addr = server.listen(("127.0.0.1", 0)).unwrap().local_addr();
    run(async {
        let stream = IOStream::connect(addr).await.unwrap();
        let (mut sender, connection) = client::conn::http1::handshake(stream.clone()).await.unwrap();
        let connection = spawn(connection);
        for size in [0, 10, 100_000, 3_000_000] {
            let response = sender.send_request(post(pattern(size))).await.unwrap();
            assert_eq!(response.status(), StatusCode::OK);
            let body = response.into_body().collect().await.unwrap().to_bytes();
            assert!(body == pattern(size), "{} bytes of {size}", body.len());
        }
        drop(sender);
        connection.await.unwrap().unwrap();
        // hyper has ended its side, and with that both.
        stream.closed().await;
    });
    assert_eq!(requests.get(), 4);
}

#[test]
fn a_client_that_has_ended_its_side_is_answered() {
    let (stream, mut peer) = pair();
    // Both of them have to know: hyper, and the stream.
    stream.set_half_open(true);
    run(async {
        let served = spawn(serve(stream, Rc::default()));
        peer.write_all(b"POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 5\r\n\r\nhello").unwrap();
        peer.shutdown(Shutdown::Write).unwrap();
        served.await.unwrap().unwrap();
    });
    let mut answer = String::new();
    peer.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("\r\n\r\nhello"), "{answer}");
}

#[test]
fn a_timeout_of_hyper_passes_on_the_loops_clock() {
    let clock = VirtualClock::auto_advancing();
    let ioloop = IOLoop::builder().virtual_clock(&clock).build().unwrap();
    ioloop.run_sync(async {
        let (stream, peer) = memory::pair(1000);
        let service = service_fn(async |_: Request<Incoming>| Ok::<_, Infallible>(Response::new(String::new())));
        let mut server = server::conn::http1::Builder::new();
        server.timer(LoopTimer).header_read_timeout(Duration::from_secs(60));
        let served = spawn(server.serve_connection(stream, service));
        peer.write("GET / HTTP/1.1\r\nHost: te").await.unwrap();
        let error = served.await.unwrap().unwrap_err();
        assert!(error.is_timeout(), "{error:?}");
    });
    assert_eq!(clock.elapsed().as_secs(), 60);
}

#[test]
fn a_sleep_can_be_moved() {
    let clock = VirtualClock::auto_advancing();
    let ioloop = IOLoop::builder().virtual_clock(&clock).build().unwrap();
    ioloop.run_sync(async {
        let start = LoopTimer.now();
        let mut sleep = LoopTimer.sleep(Duration::from_secs(10));
        LoopTimer.reset(&mut sleep, start + Duration::from_secs(30));
        sleep.await;
        assert_eq!(clock.elapsed().as_secs(), 30);
        LoopTimer.sleep_until(start + Duration::from_secs(45)).await;
        assert_eq!(clock.elapsed().as_secs(), 45);
        // One that has passed.
        LoopTimer.sleep_until(start).await;
    });
}

#[test]
fn a_sleep_counts_from_when_it_is_asked_for() {
    let clock = VirtualClock::new();
    IOLoop::builder().virtual_clock(&clock).build().unwrap().run_sync(async {
        // As work that holds up the turn.
        clock.skip(Duration::from_secs(1));
        let sleep = spawn(LoopTimer.sleep(Duration::from_millis(500)));
        let never = spawn(LoopTimer.sleep(Duration::MAX));
        clock.advance(Duration::from_millis(499)).await;
        assert!(!sleep.is_finished());
        clock.advance(Duration::from_millis(1)).await;
        assert!(sleep.is_finished() && !never.is_finished());
        never.abort();
    });
}

#[test]
fn background_tasks_need_not_be_send() {
    let done = Rc::new(Cell::new(false));
    run(async {
        LoopExecutor.execute({
            let done = done.clone();
            async move { done.set(true) }
        });
        iostream::yield_now().await;
        iostream::yield_now().await;
    });
    assert!(done.get());
}
