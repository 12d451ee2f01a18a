//! What reaches the log. Alone in its process, because the logger is the process's.

mod common;

use std::{io, net::SocketAddr, sync::Mutex};

use common::{run, turns};
use iostream::{ConnectionLimits, IOStream, TcpServer};
use log::{Level, LevelFilter, Log, Metadata, Record};

/// Keeps what the library logs.
struct Records(Mutex<Vec<(Level, String)>>);

static RECORDS: Records = Records(Mutex::new(Vec::new()));

impl Records {
    fn at(&self, level: Level) -> Vec<String> {
        let records = self.0.lock().unwrap();
        records.iter().filter(|(at, _)| *at == level).map(|(_, text)| text.clone()).collect()
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

#[test]
fn refusals_are_logged_once_per_burst_and_peers_bytes_break_no_line() {
    log::set_logger(&RECORDS).unwrap();
    log::set_max_level(LevelFilter::Debug);
    let handler = async |stream: IOStream, _peer: SocketAddr| -> iostream::Result<()> {
        let line = stream.read_until(b"\n").await?;
        let text = String::from_utf8_lossy(&line).into_owned();
        Err(io::Error::other(format!("what is {text:.40}?")).into())
    };
    let server = TcpServer::with_limits(handler, ConnectionLimits::new().max_connections(1));
    let addr = server.listen(("127.0.0.1", 0)).unwrap().local_addr();

    run(async {
        let first = IOStream::connect(addr).await.unwrap();
        turns(2).await;
        for _ in 0..10 {
            let refused = IOStream::connect(addr).await.unwrap();
            assert_eq!(refused.read_until_close().await.unwrap(), "");
        }
        first.write("\u{1b}[2J\r\n").await.unwrap();
        first.read_until_close().await.unwrap();
    });
    let warnings = RECORDS.at(Level::Warn);
    assert_eq!(warnings.len(), 2, "{warnings:?}");
    assert!(warnings[0].starts_with("refusing connections: 1 connections are open"), "{}", warnings[0]);
    assert!(warnings[1].starts_with("connection of 127.0.0.1:"), "{}", warnings[1]);
    assert!(warnings[1].ends_with("what is \\x1b[2J\\r\\n?"), "{}", warnings[1]);
}
