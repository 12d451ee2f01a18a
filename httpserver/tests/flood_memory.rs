//! What a flood costs in memory. Alone in its test binary, because it measures the process.

mod common;

use std::{
    io::{Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    thread,
};

use common::{serve_with, until};
use httpserver::{IOLoop, Limits, Request, Response, Result};

/// The most memory that the process has ever had, in KiB.
fn peak() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// Sends `head` and then `piece` so many times, from a thread of its own; the answers.
fn flood(addr: SocketAddr, head: &str, piece: &str, times: usize, end: &str) -> String {
    let stream = TcpStream::connect(addr).unwrap();
    let (mut writer, mut reader) = (stream.try_clone().unwrap(), stream);
    let many = piece.repeat(1_000);
    let (head, end) = (head.to_owned(), end.to_owned());
    let writing = thread::spawn(move || {
        writer.write_all(head.as_bytes()).unwrap();
        for _ in 0..times / 1_000 {
            // A server that has had enough may close.
            if writer.write_all(many.as_bytes()).is_err() {
                return;
            }
        }
        let _ = writer.write_all(end.as_bytes());
        let _ = writer.shutdown(Shutdown::Write);
    });
    let mut answer = String::new();
    reader.read_to_string(&mut answer).unwrap();
    writing.join().unwrap();
    answer
}

#[test]
fn floods_take_no_memory_to_speak_of() {
    let ioloop = IOLoop::current();
    ioloop.run_sync(async {
        let addr = serve_with(Limits::default(), async |mut request: Request| -> Result<Response> {
            let mut length = 0;
            while let Some(piece) = request.body_mut().chunk().await? {
                length += piece.len();
            }
            Ok(Response::text(format!("{length};")))
        });
        let chunked = "POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n";
        let get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
        let run = |head: &'static str, piece: &'static str, times, end: &'static str| {
            let flooding = thread::spawn(move || flood(addr, head, piece, times, end));
            async move {
                until(|| flooding.is_finished()).await;
                flooding.join().unwrap()
            }
        };
        // The loop, its buffers and the pools have been used once.
        run(chunked, "1\r\nx\r\n", 10_000, "0\r\n\r\n").await;
        run("", get, 1_000, "").await;
        let before = peak();
        let answer = run(chunked, "1\r\nx\r\n", 3_000_000, "0\r\n\r\n").await;
        assert!(answer.ends_with("\r\n\r\n3000000;"), "{answer}");
        // Extensions without data, and trailers without end, are cut off.
        let answer = run(chunked, "1;eeeeeeeeeeeeeeeeeeeeeeeeeeeee\r\nx\r\n", 1_000_000, "").await;
        assert_eq!(common::status(&answer), 400);
        let answer = run(chunked, "0\r\n", 1_000_000, "").await;
        assert_eq!(common::status(&answer), 400);
        let trailers = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n";
        assert_eq!(common::status(&run(trailers, "T: x\r\n", 1_000_000, "").await), 431);
        assert_eq!(common::status(&run("GET / HTTP/1.1\r\n", "A: x\r\n", 1_000_000, "").await), 431);
        assert_eq!(common::status(&run("GET /", "%41", 1_000_000, "").await), 414);
        let grown = peak() - before;
        // Measured: 4 KiB. The client's own pieces are among them.
        assert!(grown < 1024, "{grown} KiB");
    });
}
