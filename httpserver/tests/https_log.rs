//! What reaches the log when clients do not get to HTTP. Alone in its process, because the logger is the process's.

mod common;

use std::sync::Mutex;

use common::{Client, certs::Authority, run, until};
use httpserver::{HttpServer, Request, ServerOptions};
use log::{Level, LevelFilter, Log, Metadata, Record};

/// Keeps what the library logs from `info` on.
struct Records(Mutex<Vec<(Level, String)>>);

static RECORDS: Records = Records(Mutex::new(Vec::new()));

impl Log for Records {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= Level::Info
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            self.0.lock().unwrap().push((record.level(), record.args().to_string()));
        }
    }

    fn flush(&self) {}
}

#[test]
fn clients_that_speak_no_tls_are_one_line_with_the_peer_for_each_burst() {
    log::set_logger(&RECORDS).unwrap();
    log::set_max_level(LevelFilter::Debug);
    let acceptor = Authority::new().server().build().unwrap();
    run(async {
        let server = HttpServer::with_options(async |_: Request| "", ServerOptions::new().tls(acceptor));
        let server = server.listen(("127.0.0.1", 0)).unwrap();
        let mut first = None;
        for bytes in ["GET / HTTP/1.1\r\nHost: a\r\n\r\n", "\x16\x03\x01\0\x05hello", "PUT\n", "\0"] {
            let client = Client::connect(server.local_addr()).await;
            first = first.or(Some(client.stream.local_addr().unwrap()));
            client.send(bytes).await;
            client.end().await;
            until(|| server.connections() == 0).await;
            let _ = client.stream.read_until_close().await;
        }
        let records = RECORDS.0.lock().unwrap();
        let [(Level::Info, line)] = &records[..] else { panic!("{records:?}") };
        let peer = first.unwrap();
        let said = format!(
            "the TLS handshake of {peer} has failed, and 0 before: bad request: plain HTTP was sent to a port for HTTPS"
        );
        assert_eq!(*line, said);
    });
}
