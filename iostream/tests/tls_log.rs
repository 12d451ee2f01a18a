//! What reaches the log when handshakes fail. Alone in its process, because the logger is the process's.

mod common;

use std::{
    io::Write,
    net::{Shutdown, TcpStream},
    sync::Mutex,
};

use common::{certs::Authority, run, turns};
use iostream::{IOStream, ServerOptions, TcpServer};
use log::{Level, LevelFilter, Log, Metadata, Record};

/// Keeps what the library logs from `info` on.
struct Records(Mutex<Vec<(Level, String)>>);

static RECORDS: Records = Records(Mutex::new(Vec::new()));

impl Log for Records {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("iostream") && metadata.level() <= Level::Info
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            self.0.lock().unwrap().push((record.level(), record.args().to_string()));
        }
    }

    fn flush(&self) {}
}

#[test]
fn bad_handshakes_are_one_line_with_the_peer_for_each_burst() {
    log::set_logger(&RECORDS).unwrap();
    log::set_max_level(LevelFilter::Debug);
    let acceptor = Authority::new().server().build().unwrap();
    let never = async |_: IOStream, _| unreachable!("no handshake is good");
    let server = TcpServer::with_options(never, ServerOptions::new().tls(acceptor));
    let handle = server.listen(("127.0.0.1", 0)).unwrap();
    let clients: Vec<TcpStream> = (0..20)
        .map(|_| {
            let mut client = TcpStream::connect(handle.local_addr()).unwrap();
            client.write_all(b"GET /\n HTTP/1.1\r\n\r\n").unwrap();
            client.shutdown(Shutdown::Write).unwrap();
            client
        })
        .collect();
    run(async {
        while handle.connections() == 0 {
            turns(1).await;
        }
        while handle.connections() > 0 {
            turns(1).await;
        }
        // All that wait in the backlog too.
        handle.drain(std::time::Duration::from_secs(10)).await;
    });
    let records = RECORDS.0.lock().unwrap();
    let [(Level::Info, line)] = &records[..] else { panic!("{records:?}") };
    let peers: Vec<String> = clients.iter().map(|client| client.local_addr().unwrap().to_string()).collect();
    assert!(peers.iter().any(|peer| line.contains(&format!("with {peer} has failed, and 0 before"))), "{line}");
    assert!(line.ends_with("TLS: the peer does not speak TLS: it has sent \"GET /\\n HTTP/1.1\\r\""), "{line}");
}
