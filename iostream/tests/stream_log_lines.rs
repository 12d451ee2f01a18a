//! What streams log of their ends. Alone in its process, because the logger is the process's.

mod common;

use std::{
    fs::File,
    io::{self, Write},
    sync::Mutex,
    task::{Context, Poll},
};

use common::{pair, run, turns};
use iostream::{CustomTransport, Error, IOStream, spawn};
use log::{Level, LevelFilter, Log, Metadata, Record};

/// Keeps what the library logs.
struct Records(Mutex<Vec<(Level, String)>>);

static RECORDS: Records = Records(Mutex::new(Vec::new()));

impl Records {
    fn take(&self) -> Vec<(Level, String)> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

impl Log for Records {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("iostream")
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            self.0.lock().unwrap().push((record.level(), record.args().to_string()));
        }
    }

    fn flush(&self) {}
}

/// Breaks with an error that is no peer's leaving.
struct Collapsing;

impl CustomTransport for Collapsing {
    fn poll_recv(&self, _cx: &mut Context<'_>, _buf: &mut [u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Err(io::Error::other("the tunnel\nhas collapsed")))
    }

    fn poll_send(&self, _cx: &mut Context<'_>, _data: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Pending
    }

    fn poll_shutdown(&self, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Pending
    }
}

#[test]
fn errors_are_logged_once_with_the_peer_and_what_is_the_callers_to_judge_is_not() {
    log::set_logger(&RECORDS).unwrap();
    log::set_max_level(LevelFilter::Debug);

    // An unexpected error, which several operations meet.
    let stream = IOStream::from_custom(Collapsing);
    run(async {
        let write = spawn(stream.write("x"));
        turns(1).await;
        stream.read_bytes(1).await.unwrap_err();
        stream.read_bytes(1).await.unwrap_err();
        write.await.unwrap().unwrap_err();
    });
    let text = "closing the connection with a custom transport after an unexpected error: the tunnel\\nhas collapsed";
    assert_eq!(RECORDS.take(), [(Level::Warn, text.into())]);

    // A file that cannot be sent.
    let (stream, peer) = pair();
    let path = std::env::temp_dir().join(format!("stream_log_lines-{}", std::process::id()));
    let mut unreadable = File::create(&path).unwrap();
    unreadable.write_all(b"content").unwrap();
    std::fs::remove_file(path).unwrap();
    assert!(matches!(run(stream.send_file(unreadable, 0..7)), Err(Error::SendFile { .. })));
    let begin = format!("closing the connection with {}: ", peer.local_addr().unwrap());
    let [(Level::Warn, text)] = &RECORDS.take()[..] else { panic!("not one warning") };
    assert!(text.starts_with(&begin), "{text}");

    // A peer that leaves is nothing to worry about.
    let (stream, peer) = pair();
    run(async {
        drop(peer);
        while stream.write("anybody there?").await.is_ok() {
            iostream::yield_now().await;
        }
    });
    let [(Level::Debug, text)] = &RECORDS.take()[..] else { panic!("not one debug line") };
    assert!(text.contains("broke: "), "{text}");

    // A limit that is reached is an error of the reader's, who knows what it means.
    let (stream, mut peer) = pair();
    peer.write_all(b"no end").unwrap();
    run(stream.read_until(b"\n").max_bytes(5)).unwrap_err();
    let text = format!("closing the connection with {}: no end within 5 bytes", peer.local_addr().unwrap());
    assert_eq!(RECORDS.take(), [(Level::Debug, text)]);

    // An orderly end is nothing at all.
    let (stream, peer) = pair();
    drop(peer);
    run(stream.read_until_close()).unwrap();
    assert_eq!(RECORDS.take(), []);
}
