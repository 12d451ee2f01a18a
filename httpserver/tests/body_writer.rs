//! Bodies that are written: by an async closure, and by another task.

mod common;

use std::{
    cell::Cell,
    pin::pin,
    rc::Rc,
    task::{Context, Poll, Waker},
};

use common::{Client, Event, SetOnDrop, exchange, header, run, serve, turns, until};
use httpserver::{
    Body, BodyWriter, Bytes, Error, Frame, HttpServer, Request, Response, Result, Trailers, spawn, yield_now,
};
use proptest::prelude::*;

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const GET_10: &str = "GET / HTTP/1.0\r\n\r\n";

fn poll_frame(body: &mut Body) -> Poll<Option<Result<Frame>>> {
    body.poll_frame(&mut Context::from_waker(Waker::noop()))
}

fn poll_data(body: &mut Body) -> Bytes {
    match poll_frame(body) {
        Poll::Ready(Some(Ok(Frame::Data(data)))) => data,
        other => panic!("{other:?} instead of data"),
    }
}

fn poll<F: Future>(future: std::pin::Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

/// Serves answers whose body is written by another task, which is given the writer.
fn serve_channel(write: impl AsyncFn(BodyWriter) + Clone + 'static) -> std::net::SocketAddr {
    serve(async move |_: Request| {
        let (writer, body) = Body::channel();
        let write = write.clone();
        let _detached = spawn(async move { write(writer).await });
        Response::text(body)
    })
}

#[test]
fn a_writer_is_at_most_64_kib_ahead() {
    let (mut writer, mut body) = Body::channel();
    let written = Rc::new(Cell::new(0));
    let mut write = pin!({
        let written = written.clone();
        async move {
            loop {
                writer.write([b'x'; 1024]).await.unwrap();
                written.set(written.get() + 1);
            }
        }
    });
    assert!(poll(write.as_mut()).is_pending());
    assert_eq!(written.get(), 64, "KiB written without a receiver");
    let taken = poll_data(&mut body).len();
    assert!(taken <= 65 * 1024, "{taken} bytes in one piece");
    assert!(poll(write.as_mut()).is_pending());
    assert!(written.get() * 1024 - taken <= 64 * 1024);
}

#[test]
fn a_large_piece_is_passed_on_uncopied() {
    let (mut writer, mut body) = Body::channel();
    let piece = Bytes::from(vec![b'x'; 100_000]);
    let mut write = pin!(writer.write_bytes(piece.clone()));
    assert!(poll(write.as_mut()).is_pending());
    assert_eq!(poll_data(&mut body).as_ptr(), piece.as_ptr());
    assert!(poll(write).is_ready());
}

#[test]
fn small_pieces_are_gathered_in_order_with_large_ones() {
    let (mut writer, mut body) = Body::channel();
    let large = "l".repeat(10_000);
    for piece in ["one ", "two ", &large, " three", " four"] {
        assert!(poll(pin!(writer.write(piece))).is_ready());
    }
    writer.finish();
    assert_eq!(poll_data(&mut body), "one two ");
    assert_eq!(poll_data(&mut body), large);
    assert_eq!(poll_data(&mut body), " three four");
    assert!(matches!(poll_frame(&mut body), Poll::Ready(None)));
}

#[test]
fn a_flush_waits_until_what_was_written_has_been_taken() {
    let (mut writer, mut body) = Body::channel();
    // The receiver waits already when the piece is written.
    assert!(poll_frame(&mut body).is_pending());
    assert!(poll(pin!(writer.write("piece"))).is_ready());
    let mut flush = pin!(writer.flush());
    assert!(poll(flush.as_mut()).is_pending());
    assert_eq!(poll_data(&mut body), "piece");
    assert!(poll(flush.as_mut()).is_pending(), "the piece has been fetched, and not yet been sent");
    assert!(poll_frame(&mut body).is_pending());
    assert!(poll(flush.as_mut()).is_pending(), "the piece has been fetched, and not yet been sent");
    // It comes back for more when the kernel has taken all.
    assert!(poll_frame(&mut body).is_pending());
    assert!(matches!(poll(flush), Poll::Ready(Ok(()))));
}

#[test]
fn a_flush_completes_when_the_kernel_has_taken_all() {
    run(async {
        for _ in 0..2 {
            let flushed = Event::new();
            let addr = serve_channel({
                let flushed = flushed.clone();
                async move |mut writer| {
                    for _ in 0..3 {
                        writer.write("piece").await.unwrap();
                        writer.flush().await.unwrap();
                    }
                    // Far more than a kernel takes.
                    let mut large = writer.write_bytes(Bytes::from(vec![b'x'; 32 * 1024 * 1024])).await;
                    if large.is_ok() {
                        large = writer.flush().await;
                    }
                    large.unwrap();
                    flushed.set();
                    writer.finish();
                }
            });
            let client = Client::connect(addr).await;
            client.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await;
            client.head().await;
            client.stream.read_until(b"5\r\npiece\r\n").await.unwrap();
            turns(200).await;
            assert!(!flushed.is_set(), "the client has read nothing of the large piece");
            assert!(client.rest_bytes().await.ends_with(b"0\r\n\r\n"));
            flushed.wait().await;
        }
    });
}

#[test]
fn a_flush_sends_each_piece_by_itself() {
    run(async {
        let addr = serve(async |_: Request| {
            Response::text(Body::writer(async |mut out| {
                for piece in ["gath", "ered", ""] {
                    out.write(piece).await?;
                }
                out.flush().await?;
                out.write("apart").await
            }))
        });
        let answer = exchange(addr, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await;
        assert!(answer.ends_with("\r\n\r\n8\r\ngathered\r\n5\r\napart\r\n0\r\n\r\n"), "{answer}");
    });
}

#[test]
fn a_channels_writer_is_told_when_the_client_has_gone() {
    run(async {
        let told = Event::new();
        let addr = serve_channel({
            let told = told.clone();
            async move |mut writer| {
                let error = loop {
                    match writer.write("tick").await {
                        Ok(()) => yield_now().await,
                        Err(error) => break error,
                    }
                };
                assert!(error.is_client_gone(), "{error}");
                assert!(writer.flush().await.unwrap_err().is_client_gone(), "the reason stays");
                told.set();
            }
        });
        let client = Client::connect(addr).await;
        client.send(GET).await;
        client.head().await;
        client.stream.close();
        told.wait().await;
    });
}

#[test]
fn a_flush_under_way_is_told_when_the_client_has_gone() {
    run(async {
        let told = Event::new();
        let addr = serve_channel({
            let told = told.clone();
            async move |mut writer| {
                let written = writer.write(vec![b'x'; 64 * 1024 * 1024]).await;
                let result = if written.is_ok() { writer.flush().await } else { written };
                assert!(result.unwrap_err().is_client_gone());
                told.set();
            }
        });
        let client = Client::connect(addr).await;
        client.send(GET).await;
        client.head().await;
        turns(10).await;
        client.stream.close();
        told.wait().await;
    });
}

#[test]
fn a_written_body_goes_on_to_its_own_end_when_the_client_has_gone() {
    run(async {
        let (told, cleaned_up) = (Event::new(), Event::new());
        let server = HttpServer::new({
            let (told, cleaned_up) = (told.clone(), cleaned_up.clone());
            async move |_: Request| {
                let (told, cleaned_up) = (told.clone(), cleaned_up.clone());
                Response::text(Body::writer(async move |mut out| {
                    while out.write("tick").await.is_ok() {
                        yield_now().await;
                    }
                    told.set();
                    // What it has to put in order may take its time.
                    for _ in 0..10 {
                        yield_now().await;
                    }
                    cleaned_up.set();
                    Ok(())
                }))
            }
        });
        let server = server.listen(("127.0.0.1", 0)).unwrap();
        let client = Client::connect(server.local_addr()).await;
        client.send(GET).await;
        client.head().await;
        client.stream.close();
        told.wait().await;
        cleaned_up.wait().await;
        until(|| server.connections() == 0).await;
    });
}

#[test]
fn a_body_that_asked_for_it_is_dropped_when_the_client_has_gone() {
    run(async {
        let (begun, dropped) = (Event::new(), Event::new());
        let addr = serve({
            let (begun, dropped) = (begun.clone(), dropped.clone());
            async move |request: Request| {
                request.cancel_on_disconnect();
                let (begun, dropped) = (begun.clone(), SetOnDrop(dropped.clone()));
                Response::text(Body::writer(async move |_out| {
                    let _dropped = dropped;
                    begun.set();
                    std::future::pending().await
                }))
            }
        });
        let client = Client::connect(addr).await;
        client.send(GET).await;
        begun.wait().await;
        client.end().await;
        dropped.wait().await;
    });
}

fn checksum() -> Trailers {
    let mut trailers = Trailers::new();
    trailers.append("X-Sum", "12").unwrap();
    trailers
}

#[test]
fn trailers_are_sent_behind_chunks_and_dropped_otherwise() {
    run(async {
        let addr = serve(async |request: Request| {
            let counted = request.query() == Some("counted");
            let mut response = Response::text(Body::writer(async |mut out| {
                out.set_trailers(checksum());
                out.write("data").await
            }));
            if counted {
                response.set_content_length(4);
            }
            response
        });
        let closing = |target: &str| format!("GET {target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        let chunked = exchange(addr, closing("/")).await;
        assert!(chunked.ends_with("\r\n\r\n4\r\ndata\r\n0\r\nX-Sum: 12\r\n\r\n"), "{chunked}");
        for request in [closing("/?counted"), GET_10.to_owned()] {
            let answer = exchange(addr, request).await;
            assert!(answer.ends_with("\r\n\r\ndata"), "{answer}");
        }
    });
}

#[test]
fn a_trailer_cannot_split_or_frame_anything() {
    let mut trailers = Trailers::new();
    for (name, value) in [("X", "a\r\nb"), ("X\r\n", "a"), ("Content-Length", "1"), ("transfer-encoding", "chunked")] {
        assert!(trailers.append(name, value).is_err(), "{name:?}");
    }
    assert!(trailers.is_empty());
}

#[test]
fn a_writer_dropped_before_the_end_breaks_the_answer_off() {
    run(async {
        let addr = serve_channel(async |mut writer| {
            writer.write("half").await.unwrap();
        });
        let answer = exchange(addr, GET).await;
        assert!(answer.ends_with("\r\n\r\n4\r\nhalf\r\n"), "{answer}");
        let answer = exchange(addr, GET_10).await;
        assert!(answer.ends_with("\r\n\r\nhalf"), "{answer}");
    });
    let (writer, mut body) = Body::channel();
    drop(writer);
    assert!(matches!(poll_frame(&mut body), Poll::Ready(Some(Err(Error::BodyBroken)))));
}

#[test]
fn a_panic_of_the_writing_closure_breaks_the_answer_off() {
    run(async {
        let server = HttpServer::new(async |_: Request| {
            Response::text(Body::writer(async |mut out| {
                out.write("half").await?;
                out.flush().await?;
                panic!("in the middle of a body");
            }))
        });
        let server = server.listen(("127.0.0.1", 0)).unwrap();
        let answer = exchange(server.local_addr(), GET).await;
        assert!(answer.ends_with("\r\n\r\n4\r\nhalf\r\n"), "{answer}");
        until(|| server.connections() == 0).await;
    });
}

#[test]
fn a_writer_that_always_has_more_lets_other_connections_run() {
    run(async {
        let (begun, answered) = (Event::new(), Event::new());
        let addr = serve({
            let (begun, answered) = (begun.clone(), answered.clone());
            async move |request: Request| {
                if request.path() == "/other" {
                    return Response::text("other");
                }
                let (begun, answered) = (begun.clone(), answered.clone());
                Response::text(Body::writer(async move |mut out| {
                    begun.set();
                    for _ in 0..100_000 {
                        if answered.is_set() {
                            return Ok(());
                        }
                        out.write([b'x'; 8 * 1024]).await?;
                    }
                    panic!("nobody else had a turn");
                }))
            }
        });
        let (endless, other) = (Client::connect(addr).await, Client::connect(addr).await);
        endless.send(GET).await;
        let reading = spawn(async move { endless.answer().await.status() });
        begun.wait().await;
        other.send("GET /other HTTP/1.1\r\nHost: a\r\n\r\n").await;
        assert_eq!(other.answer().await.text(), "other");
        answered.set();
        assert_eq!(reading.await.unwrap(), 200);
    });
}

/// What a writer does, one step after the other.
#[derive(Debug, Clone)]
enum Step {
    Write(Vec<u8>),
    WriteBytes(Vec<u8>),
    Flush,
    Yield,
}

fn step() -> impl Strategy<Value = Step> {
    let data = || {
        prop_oneof![
            8 => prop::collection::vec(any::<u8>(), 0..300),
            1 => (any::<u8>(), 3_000..150_000usize).prop_map(|(byte, length)| vec![byte; length]),
        ]
    };
    prop_oneof![
        4 => data().prop_map(Step::Write),
        2 => data().prop_map(Step::WriteBytes),
        1 => Just(Step::Flush),
        1 => Just(Step::Yield),
    ]
}

async fn take_steps(writer: &mut BodyWriter, steps: Vec<Step>) -> Result<()> {
    for step in steps {
        match step {
            Step::Write(data) => writer.write(data).await?,
            Step::WriteBytes(data) => writer.write_bytes(Bytes::from(data)).await?,
            Step::Flush => writer.flush().await?,
            Step::Yield => yield_now().await,
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_written_arrives_unchanged_in_any_framing(steps in prop::collection::vec(step(), 0..25), task: bool) {
        let written: Vec<u8> = steps.iter().flat_map(|step| match step {
            Step::Write(data) | Step::WriteBytes(data) => data.clone(),
            Step::Flush | Step::Yield => Vec::new(),
        }).collect();
        run(async {
            let length = written.len() as u64;
            let addr = serve(async move |request: Request| {
                let steps = steps.clone();
                let body = if task {
                    let (mut writer, body) = Body::channel();
                    let _detached = spawn(async move {
                        take_steps(&mut writer, steps).await?;
                        writer.finish();
                        Ok::<_, Error>(())
                    });
                    body
                } else {
                    Body::writer(async move |mut writer| take_steps(&mut writer, steps).await)
                };
                let mut response = Response::bytes(body);
                if request.query() == Some("counted") {
                    response.set_content_length(length);
                }
                response
            });
            let client = Client::connect(addr).await;
            client.send(GET).await;
            assert!(client.answer().await.body == written, "in chunks");
            client.send("GET /?counted HTTP/1.1\r\nHost: a\r\n\r\n").await;
            assert!(client.answer().await.body == written, "by Content-Length");
            client.send(GET_10).await;
            assert_eq!(header(&client.head().await, "connection"), Some("close"));
            assert!(client.rest_bytes().await == written, "until the connection closes");
        });
    }
}
