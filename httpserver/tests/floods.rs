//! Clients that make a server work as much as they can: the work is bounded in each turn of the loop, so the others go on
//! being answered. Counted in requests, bytes and turns, never in time.

mod common;

use std::{cell::Cell, rc::Rc};

use common::{Client, run, serve_pair_with};
use httpserver::{IOStream, Limits, Request, Response, Result, ServerHandle, Service, spawn};

const PING: &str = "GET /ping HTTP/1.1\r\nHost: a\r\n\r\n";
const CHUNKED: &str = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
/// A stream receives at most this much in a turn, in bytes.
const TURN: usize = 1024 * 1024;

/// The server's side of a flood: how much of it has been served, in whatever unit.
#[derive(Clone, Default)]
struct Progress(Rc<Cell<usize>>);

/// Pings over a second connection while `flood` is sent over the first one, which holds all of it at once; returns the
/// progress at each pong until `total` is reached.
async fn ping_during(flood: Vec<u8>, total: usize, progress: &Progress, service: impl Service + Clone) -> Vec<usize> {
    let (hostile, _server) = pair(flood.len(), service.clone());
    let (modest, _other) = pair(1 << 16, service);
    let writing = spawn({
        let stream: IOStream = hostile.stream.clone();
        async move { stream.write(flood).await.is_ok() }
    });
    hostile.stream.set_max_buffer_size(64 * TURN);
    let reading = spawn(async move { hostile.stream.read_until_close().await.map(|answers| answers.len()) });
    let mut pongs = Vec::new();
    while progress.0.get() < total {
        modest.send(PING).await;
        assert_eq!(modest.answer().await.text(), "pong");
        pongs.push(progress.0.get());
    }
    drop((writing, reading));
    pongs
}

fn pair(capacity: usize, service: impl Service) -> (Client, ServerHandle) {
    serve_pair_with(capacity, Limits::default().max_requests(0), service)
}

fn largest_step(pongs: &[usize]) -> usize {
    pongs.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or_default()
}

/// Counts the bytes of bodies, and asserts that they come in pieces of bounded size.
fn count_bytes(progress: &Progress) -> impl Service + Clone + use<> {
    let progress = progress.clone();
    async move |mut request: Request| -> Result<Response> {
        if request.path() == "/ping" {
            return Ok(Response::text("pong"));
        }
        let mut pieces = 0;
        while let Some(piece) = request.body_mut().chunk().await? {
            assert!(piece.len() <= 64 * 1024);
            pieces += 1;
            progress.0.set(progress.0.get() + piece.len());
        }
        Ok(Response::text(pieces.to_string()))
    }
}

#[test]
fn millions_of_chunks_of_one_byte_leave_the_others_their_turns() {
    const CHUNKS: usize = 2_000_000;
    run(async {
        let progress = Progress::default();
        let flood = [CHUNKED.as_bytes(), &b"1\r\nx\r\n".repeat(CHUNKS), b"0\r\n\r\n"].concat();
        let pongs = ping_during(flood, CHUNKS, &progress, count_bytes(&progress)).await;
        assert_eq!(progress.0.get(), CHUNKS);
        // Six bytes on the wire for one of data. A ping takes a few turns.
        assert!(largest_step(&pongs) <= 4 * TURN / 6, "{pongs:?}");
    });
}

#[test]
fn chunks_with_extensions_leave_the_others_their_turns() {
    const CHUNKS: usize = 200_000;
    run(async {
        let progress = Progress::default();
        // As much as is forgiven: 17 bytes for each byte of data.
        let flood = [CHUNKED.as_bytes(), &b"1;eeeeeeeeeeeeee\r\nx\r\n".repeat(CHUNKS), b"0\r\n\r\n"].concat();
        let pongs = ping_during(flood, CHUNKS, &progress, count_bytes(&progress)).await;
        assert!(largest_step(&pongs) <= 4 * TURN / 20, "{pongs:?}");
    });
}

#[test]
fn a_flood_of_small_pipelined_requests_leaves_the_others_their_turns() {
    const REQUESTS: usize = 50_000;
    run(async {
        let progress = Progress::default();
        let service = {
            let progress = progress.clone();
            async move |request: Request| match request.path() {
                "/ping" => "pong",
                _ => {
                    progress.0.set(progress.0.get() + 1);
                    ""
                }
            }
        };
        let flood = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n".repeat(REQUESTS);
        let pongs = ping_during(flood, REQUESTS, &progress, service).await;
        // 64 in each of the few turns that a ping takes.
        assert!(largest_step(&pongs) <= 4 * 64, "{}", largest_step(&pongs));
    });
}

#[test]
fn heads_full_of_lines_leave_the_others_their_turns() {
    const REQUESTS: usize = 5_000;
    run(async {
        let progress = Progress::default();
        let service = {
            let progress = progress.clone();
            async move |request: Request| match request.path() {
                "/ping" => "pong",
                _ => {
                    assert_eq!(request.headers().len(), 100);
                    progress.0.set(progress.0.get() + 1);
                    ""
                }
            }
        };
        // One name over and over: lines are kept as they are, never joined.
        let head = format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: y\r\n".repeat(99));
        let pongs = ping_during(head.repeat(REQUESTS).into_bytes(), REQUESTS, &progress, service).await;
        assert!(largest_step(&pongs) <= 4 * 64, "{}", largest_step(&pongs));
    });
}
