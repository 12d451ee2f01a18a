//! Minimum rates and time-outs of bodies and answers, each independent of the others, on a clock that the test moves.

mod common;

use std::{cell::RefCell, rc::Rc, time::Duration};

use common::{Client, Event, header, run_virtual, status, turns, until};
use httpserver::{
    Body, Error, HttpServer, Limits, Request, Response, Result, ServerHandle, Service,
    iostream::{ioloop::VirtualClock, memory},
    sleep, spawn,
};

const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(24 * 3600);
const POST: &str = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n";

/// Without time-outs but those that a test sets.
fn patient() -> Limits {
    Limits::default().body_timeout(DAY).request_timeout(DAY).write_timeout(DAY).min_body_rate(0).min_write_rate(0)
}

fn listen(limits: Limits, service: impl Service) -> ServerHandle {
    HttpServer::with_limits(service, limits).listen(("127.0.0.1", 0)).unwrap()
}

/// Collects the body and tells how that failed.
fn collecting(failure: &Rc<RefCell<Option<Error>>>) -> impl Service + use<> {
    let failure = failure.clone();
    async move |mut request: Request| -> Result<Response> {
        let body = request.bytes().await.inspect_err(|error| drop(failure.replace(Some(error.clone()))))?;
        Ok(Response::text(body.len().to_string()))
    }
}

/// Sends `piece` every second until the server ends its side or `most` seconds are over; returns the seconds.
async fn trickle(client: &Client, clock: &VirtualClock, piece: &str, most: u64) -> u64 {
    for second in 0..most {
        if client.stream.is_peer_closed() {
            return second;
        }
        client.send(piece).await;
        turns(2).await;
        clock.advance(SECOND).await;
        turns(2).await;
    }
    most
}

async fn expect_408(client: &Client) {
    let head = client.head().await;
    assert_eq!((status(&head), header(&head, "connection")), (408, Some("close")));
}

#[test]
fn a_body_slower_than_the_minimum_is_refused_by_default() {
    run_virtual(async |clock| {
        let failure = Rc::default();
        let server = listen(Limits::default(), collecting(&failure));
        let client = Client::connect(server.local_addr()).await;
        client.send(POST).await;
        // Never silent for long: only the rate can end it. 60 s of grace, and one second for each 240 bytes.
        let seconds = trickle(&client, &clock, "x", 100).await;
        assert_eq!(seconds, 60);
        expect_408(&client).await;
        assert!(matches!(*failure.borrow(), Some(Error::BodyTooSlow)));
    });
}

#[test]
fn a_body_at_the_minimum_may_take_its_time() {
    run_virtual(async |clock| {
        let server = listen(Limits::default(), collecting(&Rc::default()));
        let client = Client::connect(server.local_addr()).await;
        client.send(POST).await;
        let piece = "x".repeat(250);
        assert_eq!(trickle(&client, &clock, &piece, 400).await, 400);
        assert_eq!(client.answer().await.text(), "100000");
    });
}

#[test]
fn a_chunked_body_is_measured_by_its_data() {
    run_virtual(async |clock| {
        let failure = Rc::default();
        let server = listen(Limits::default(), collecting(&failure));
        let client = Client::connect(server.local_addr()).await;
        client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n").await;
        // More than 240 bytes a second, of which 10 are data: in 60 s these buy two seconds more.
        let piece = format!("1;{}=a\r\nx\r\n", "x".repeat(20)).repeat(10);
        assert_eq!(trickle(&client, &clock, &piece, 100).await, 62);
        expect_408(&client).await;
        assert!(matches!(*failure.borrow(), Some(Error::BodyTooSlow)));
    });
}

#[test]
fn a_minimum_of_0_is_none() {
    run_virtual(async |clock| {
        let server = listen(patient(), collecting(&Rc::default()));
        let client = Client::connect(server.local_addr()).await;
        client.send(POST).await;
        assert_eq!(trickle(&client, &clock, "x", 1_000).await, 1_000);
    });
}

#[test]
fn time_in_which_the_service_does_something_else_does_not_count_for_the_rate() {
    run_virtual(async |clock| {
        let server = listen(Limits::default(), async |mut request: Request| -> Result<Response> {
            let mut length = 0;
            while let Some(piece) = request.body_mut().chunk().await? {
                length += piece.len();
                sleep(100 * SECOND).await;
            }
            Ok(Response::text(length.to_string()))
        });
        let client = Client::connect(server.local_addr()).await;
        client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n").await;
        for _ in 0..10 {
            client.send("x").await;
            turns(2).await;
            clock.advance(100 * SECOND).await;
            turns(2).await;
        }
        assert_eq!(client.answer().await.text(), "10");
    });
}

#[test]
fn a_whole_body_has_its_time_however_fast_it_comes() {
    run_virtual(async |clock| {
        let failure = Rc::default();
        let server = listen(Limits::default().request_timeout(20 * SECOND), collecting(&failure));
        let client = Client::connect(server.local_addr()).await;
        client.send(POST).await;
        let piece = "x".repeat(1_000);
        assert_eq!(trickle(&client, &clock, &piece, 90).await, 20);
        expect_408(&client).await;
        assert!(matches!(*failure.borrow(), Some(Error::BodyTooSlow)));
    });
}

#[test]
fn the_time_of_a_body_is_its_own_and_not_that_of_the_one_before() {
    run_virtual(async |clock| {
        let server = listen(patient().request_timeout(20 * SECOND), collecting(&Rc::default()));
        let client = Client::connect(server.local_addr()).await;
        for _ in 0..3 {
            client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 15\r\n\r\n").await;
            assert_eq!(trickle(&client, &clock, "x", 15).await, 15);
            assert_eq!(client.answer().await.text(), "15");
        }
    });
}

/// Takes `count` bytes a second until the connection is over or `most` seconds have passed; returns the seconds.
async fn sip(client: &Client, clock: &VirtualClock, server: &ServerHandle, count: usize, most: u64) -> u64 {
    for second in 0..most {
        if server.connections() == 0 {
            return second;
        }
        if count > 0 {
            let _ = client.stream.read_bytes(count).await;
        }
        turns(2).await;
        clock.advance(SECOND).await;
        turns(2).await;
    }
    most
}

const LARGE: usize = 48 * 1024 * 1024;

async fn large(_: Request) -> Vec<u8> {
    vec![b'x'; LARGE]
}

async fn large_in_pieces(_: Request) -> Response {
    Response::bytes(Body::writer(async |mut out| {
        for _ in 0..LARGE / (64 * 1024) {
            out.write([b'x'; 64 * 1024]).await?;
        }
        Ok(())
    }))
}

/// A client that has asked for an answer that no kernel takes at once.
async fn begin(server: &ServerHandle) -> Client {
    let client = Client::connect(server.local_addr()).await;
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    client.head().await;
    turns(50).await;
    client
}

#[test]
fn a_client_that_takes_less_than_the_minimum_is_cut_although_it_goes_on_taking() {
    run_virtual(async |clock| {
        // Some kernels make room in steps of megabytes; the rate is far above those.
        let limits = patient().min_write_rate(100 * 1024 * 1024).rate_grace(2 * SECOND);
        for server in [listen(limits.clone(), large), listen(limits, large_in_pieces)] {
            let client = begin(&server).await;
            assert!(sip(&client, &clock, &server, 100_000, 60).await < 60);
        }
        for server in [listen(patient(), large), listen(patient(), large_in_pieces)] {
            let client = begin(&server).await;
            assert_eq!(sip(&client, &clock, &server, 100_000, 60).await, 60);
        }
    });
}

#[test]
fn a_body_learns_that_its_client_was_too_slow() {
    run_virtual(async |clock| {
        let told = Event::new();
        let limits = patient().min_write_rate(100 * 1024 * 1024).rate_grace(2 * SECOND);
        let server = listen(limits, {
            let told = told.clone();
            async move |_: Request| {
                let told = told.clone();
                Response::bytes(Body::writer(async move |mut out| {
                    let error = loop {
                        if let Err(error) = out.write([b'x'; 64 * 1024]).await {
                            break error;
                        }
                    };
                    assert!(matches!(error, Error::WriteTooSlow), "{error}");
                    assert!(error.is_timeout() && error.is_client_gone());
                    told.set();
                    Err(error)
                }))
            }
        });
        let client = begin(&server).await;
        sip(&client, &clock, &server, 100_000, 60).await;
        assert!(told.is_set());
    });
}

#[test]
fn a_client_that_takes_nothing_is_cut_by_the_write_time_out() {
    run_virtual(async |clock| {
        let limits = patient().write_timeout(30 * SECOND);
        for server in [listen(limits.clone(), large), listen(limits, large_in_pieces)] {
            let client = begin(&server).await;
            let seconds = sip(&client, &clock, &server, 0, 100).await;
            // Some kernels take a little more when they are asked once again at the end.
            assert!((29..=38).contains(&seconds), "{seconds}");
        }
    });
}

/// Over a pair in memory, because a kernel opens the window of a socket in its own time: what it takes late would count.
#[test]
fn the_write_time_out_counts_from_the_last_byte_that_was_taken() {
    run_virtual(async |clock| {
        let limits = patient().write_timeout(32 * SECOND);
        for server in [HttpServer::with_limits(large, limits.clone()), HttpServer::with_limits(large_in_pieces, limits)]
        {
            let (end, stream) = memory::pair(1_000);
            let (client, handle) = (Client { stream }, server.handle());
            let serving = spawn(async move { server.serve_stream(end, None).await });
            client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
            client.head().await;
            assert_eq!(sip(&client, &clock, &handle, 0, 10).await, 10);
            assert_eq!(sip(&client, &clock, &handle, 2_000, 50).await, 50);
            // The last one was taken a second ago.
            assert_eq!(sip(&client, &clock, &handle, 0, 100).await, 31);
            serving.await.unwrap();
        }
    });
}

#[test]
fn a_client_that_trickles_an_upload_and_never_reads_is_cut_by_the_write_time_out() {
    run_virtual(async |clock| {
        let failed = Event::new();
        let limits = patient().write_timeout(30 * SECOND);
        let server = listen(limits, {
            let failed = failed.clone();
            async move |mut request: Request| {
                let (mut writer, body) = Body::channel();
                // One task reads on and on, another writes.
                let mut upload = request.take_body();
                let _reader = spawn(async move { while let Ok(Some(_)) = upload.chunk().await {} });
                let failed = failed.clone();
                let _writer = spawn(async move {
                    let error = loop {
                        if let Err(error) = writer.write([b'x'; 64 * 1024]).await {
                            break error;
                        }
                    };
                    assert!(matches!(error, Error::WriteTimeout(_)), "{error}");
                    failed.set();
                });
                Response::bytes(body)
            }
        });
        let client = Client::connect(server.local_addr()).await;
        client.send(POST).await;
        client.head().await;
        turns(50).await;
        let mut seconds = 0;
        while !failed.is_set() {
            seconds += 1;
            assert!(seconds < 60, "the upload keeps the connection alive");
            client.send("x").await;
            turns(2).await;
            clock.advance(SECOND).await;
            turns(2).await;
        }
        assert!(seconds > 20, "{seconds}");
        until(|| server.connections() == 0).await;
    });
}

#[test]
fn a_client_that_reads_eagerly_and_sends_nothing_is_cut_by_the_body_time_out() {
    run_virtual(async |clock| {
        let failed = Event::new();
        let server = listen(patient().body_timeout(30 * SECOND), {
            let failed = failed.clone();
            async move |mut request: Request| {
                let (mut writer, body) = Body::channel();
                let mut upload = request.take_body();
                let ended = Event::new();
                let _reader = spawn({
                    let (failed, ended) = (failed.clone(), ended.clone());
                    async move {
                        let error = upload.chunk().await.unwrap_err();
                        assert!(matches!(error, Error::BodyTimeout(_)), "{error}");
                        failed.set();
                        ended.set();
                    }
                });
                let _writer = spawn(async move {
                    while !ended.is_set() {
                        writer.write("tick").await?;
                        sleep(SECOND).await;
                    }
                    writer.finish();
                    Ok::<_, Error>(())
                });
                Response::bytes(body)
            }
        });
        let client = Client::connect(server.local_addr()).await;
        client.send(POST).await;
        client.head().await;
        let mut seconds = 0;
        while !failed.is_set() {
            seconds += 1;
            assert!(seconds < 60, "the answer keeps the upload alive");
            client.stream.read_until(b"tick\r\n").await.unwrap();
            turns(2).await;
            clock.advance(SECOND).await;
            turns(2).await;
        }
        assert!(seconds > 20, "{seconds}");
    });
}

#[test]
fn reading_a_kept_body_gives_the_next_one_no_more_time() {
    run_virtual(async |clock| {
        let kept: Rc<RefCell<Option<Request>>> = Rc::default();
        let failure: Rc<RefCell<Option<Error>>> = Rc::default();
        let server = listen(patient().body_timeout(10 * SECOND), {
            let (kept, failure) = (kept.clone(), failure.clone());
            async move |mut request: Request| -> Result<Response> {
                if kept.borrow().is_none() {
                    kept.replace(Some(request));
                    return Ok(Response::text("kept"));
                }
                request.bytes().await.inspect_err(|error| drop(failure.replace(Some(error.clone()))))?;
                Ok(Response::text("whole"))
            }
        });
        let client = Client::connect(server.local_addr()).await;
        client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx").await;
        assert_eq!(client.answer().await.text(), "kept");
        client.send(POST).await;
        turns(2).await;
        let mut earlier = kept.take().unwrap();
        for _ in 0..20 {
            if failure.borrow().is_some() {
                break;
            }
            assert!(matches!(earlier.body_mut().chunk().await, Err(Error::AlreadyTaken(_))));
            clock.advance(SECOND).await;
            turns(2).await;
        }
        expect_408(&client).await;
        assert!(matches!(*failure.borrow(), Some(Error::BodyTimeout(_))));
    });
}
