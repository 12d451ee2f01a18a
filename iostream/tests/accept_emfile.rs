//! A server that runs out of descriptors. Alone in its process, because the limit is the process's.

mod common;

use std::{
    fs::File,
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    sync::Mutex,
    thread,
    time::Duration,
};

use common::run;
use iostream::{IOStream, TcpServer};
use log::{Level, LevelFilter, Log, Metadata, Record};
use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Keeps what the library logs.
struct Records(Mutex<Vec<(Level, String)>>);

static RECORDS: Records = Records(Mutex::new(Vec::new()));

impl Records {
    /// How many say, at this level, that accepting pauses.
    fn pauses(&self, level: Level) -> usize {
        let records = self.0.lock().unwrap();
        records.iter().filter(|(at, text)| *at == level && text.contains("pauses")).count()
    }
}

impl Log for Records {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        self.0.lock().unwrap().push((record.level(), record.args().to_string()));
    }

    fn flush(&self) {}
}

/// Opens files until the process may have no more.
fn use_up_descriptors() -> Vec<File> {
    std::iter::from_fn(|| File::open("/dev/null").ok()).collect()
}

async fn echo_line(stream: IOStream, _peer: SocketAddr) -> iostream::Result<()> {
    let line = stream.read_until(b"\n").await?;
    stream.write(line).await
}

/// All clients say a line; all are answered.
fn converse(clients: Vec<TcpStream>) {
    let clients = thread::spawn(move || {
        for mut client in clients {
            client.write_all(b"hello\n").unwrap();
            let mut answer = String::new();
            client.read_to_string(&mut answer).unwrap();
            assert_eq!(answer, "hello\n");
        }
    });
    run(async {
        while !clients.is_finished() {
            iostream::sleep(Duration::from_millis(1)).await;
        }
    });
    clients.join().unwrap();
}

#[test]
fn a_server_out_of_descriptors_waits_goes_on_and_says_so_once_per_burst() {
    log::set_logger(&RECORDS).unwrap();
    log::set_max_level(LevelFilter::Debug);
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, 64, hard).unwrap();
    let server = TcpServer::new(echo_line);
    let server = server.listen(("127.0.0.1", 0)).unwrap();
    let addr = server.local_addr();

    for shortage in 1..=2 {
        let clients: Vec<TcpStream> = (0..5).map(|_| TcpStream::connect(addr).unwrap()).collect();
        let files = use_up_descriptors();
        run(async {
            while RECORDS.pauses(Level::Debug) < 3 * shortage {
                iostream::sleep(Duration::from_millis(1)).await;
            }
        });
        assert_eq!(server.connections(), 0);
        // One line for all attempts, also when connections were accepted in between. Without a pause between the attempts
        // there would be thousands.
        assert_eq!(RECORDS.pauses(Level::Error), 1);
        assert!(RECORDS.pauses(Level::Debug) < 6 * shortage, "{} attempts", RECORDS.pauses(Level::Debug));
        drop(files);
        converse(clients);
    }

    // Whoever has waited for a second is told, again and again, and the next one is served when there are descriptors.
    let mut clients: Vec<TcpStream> = (0..5).map(|_| TcpStream::connect(addr).unwrap()).collect();
    let files = use_up_descriptors();
    let told = thread::spawn(move || {
        for client in &mut clients {
            assert_eq!(client.read(&mut [0]).unwrap(), 0, "closed, and not by a reset: nothing was sent to it");
        }
        clients
    });
    run(async {
        while !told.is_finished() {
            iostream::sleep(Duration::from_millis(1)).await;
        }
    });
    assert_eq!(server.connections(), 0);
    drop((files, told.join().unwrap()));
    converse((0..5).map(|_| TcpStream::connect(addr).unwrap()).collect());
    server.stop();
}
