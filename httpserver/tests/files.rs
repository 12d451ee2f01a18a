//! Bodies that are parts of files.

mod common;

use std::{
    fs::{self, File},
    io::{Read, Write},
    net::TcpStream,
    os::unix::net::{UnixListener, UnixStream},
    path::PathBuf,
    rc::Rc,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::Duration,
};

use common::{Client, exchange, header, run, run_virtual, serve, status, turns};
use httpserver::{
    Body, Error, Frame, HttpServer, IOLoop, IOStream, Limits, Request, Response, Result, Service,
    iostream::{ioloop::VirtualClock, memory, netutil::Listener},
};

/// More than the kernel's buffers of a connection take.
const LOTS: usize = 16 << 20;

/// A file that is removed when the test is over.
struct Temporary(PathBuf);

impl Temporary {
    fn new(content: &[u8]) -> Temporary {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("body-file-{}-{count}", std::process::id()));
        fs::write(&path, content).unwrap();
        Temporary(path)
    }

    fn open(&self) -> File {
        File::open(&self.0).unwrap()
    }

    fn cut_to(&self, length: u64) {
        File::options().write(true).open(&self.0).unwrap().set_len(length).unwrap();
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at % 251) as u8).collect()
}

/// Sends the part of the file that the path asks for, as `/from-to`.
fn parts(file: &Temporary) -> impl Service + use<> {
    let file = Rc::new(file.open());
    async move |request: Request| -> Result<Response> {
        let (from, to) = request.path()[1..].split_once('-').unwrap();
        let (from, to): (u64, u64) = (from.parse().unwrap(), to.parse().unwrap());
        Ok(Response::bytes(Body::file(Rc::clone(&file), from..to)?))
    }
}

fn get(target: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n")
}

#[test]
fn parts_of_any_length_arrive_one_behind_the_other() {
    let content = pattern(300_000);
    let file = Temporary::new(&content);
    run(async {
        let client = Client::connect(serve(parts(&file))).await;
        // Around the lengths from which on the kernel sends, and pieces are copied.
        let ranges = [(0, 300_000), (5, 5), (0, 1), (7, 32_775), (7, 32_776), (0, 16_385), (299_999, 300_000)];
        let asked: String = ranges.iter().map(|(from, to)| get(&format!("/{from}-{to}"))).collect();
        client.send(asked).await;
        for (from, to) in ranges {
            let answer = client.answer().await;
            assert_eq!(answer.status(), 200);
            assert_eq!(answer.header("content-length"), Some((to - from).to_string().as_str()));
            assert_eq!(answer.header("transfer-encoding"), None);
            assert!(answer.body == content[from..to], "{from}..{to}");
        }
    });
}

#[test]
fn a_file_is_sent_over_unix_sockets_and_in_memory_too() {
    let content = pattern(300_000);
    let file = Temporary::new(&content);
    run(async {
        let server = HttpServer::new(parts(&file));
        let path = file.0.with_extension("sock");
        server.add_sockets([Listener::from(UnixListener::bind(&path).unwrap())]).unwrap();
        let unix = IOStream::connect_unix(&path).await.unwrap();
        fs::remove_file(path).unwrap();
        let (theirs, ours) = memory::pair(1000);
        IOLoop::current().spawn_detached(async move { server.serve_stream(theirs, None).await });
        for stream in [unix, ours] {
            let client = Client { stream };
            client.send(get("/1-300000")).await;
            assert!(client.answer().await.body == content[1..]);
        }
    });
}

#[test]
fn head_and_statuses_without_content_send_nothing_of_it() {
    let file = Temporary::new(&pattern(100_000));
    let shared = Rc::new(file.open());
    run(async {
        let addr = serve({
            let shared = Rc::clone(&shared);
            async move |request: Request| -> Result<Response> {
                let status = request.path()[1..].parse::<u16>().unwrap();
                let response = Response::bytes(Body::file(Rc::clone(&shared), ..)?);
                Ok(response.with_status(httpserver::StatusCode::from_u16(status).unwrap()))
            }
        });
        let client = Client::connect(addr).await;
        client.send("HEAD /200 HTTP/1.1\r\nHost: a\r\n\r\n").await;
        assert_eq!(header(&client.head().await, "content-length"), Some("100000"));
        for (status, length) in [("204", None), ("205", Some("0")), ("304", Some("100000"))] {
            client.send(get(&format!("/{status}"))).await;
            assert_eq!(header(&client.head().await, "content-length"), length, "{status}");
        }
        // All the handles that bodies had are gone.
        client.send(get("/404")).await;
        assert_eq!(client.answer().await.body.len(), 100_000);
        turns(1).await;
        assert_eq!(Rc::strong_count(&shared), 2);
    });
}

#[test]
fn http_1_0_gets_it_with_its_length() {
    let file = Temporary::new(&pattern(100_000));
    run(async {
        let client = Client::connect(serve(parts(&file))).await;
        client.send("GET /0-100000 HTTP/1.0\r\n\r\n").await;
        let head = client.head().await;
        assert_eq!((header(&head, "content-length"), header(&head, "connection")), (Some("100000"), Some("close")));
        assert!(client.rest_bytes().await == pattern(100_000));
    });
}

#[test]
fn a_slow_client_keeps_nobody_waiting_and_gets_all() {
    let content = pattern(LOTS);
    let file = Temporary::new(&content);
    run(async {
        let addr = serve(parts(&file));
        let mut slow = TcpStream::connect(addr).unwrap();
        slow.write_all(get(&format!("/0-{LOTS}")).as_bytes()).unwrap();
        turns(20).await;
        // The first one has filled its buffers by now, or does while this one is served.
        let other = Client::connect(addr).await;
        other.send(get("/0-200000")).await;
        assert_eq!(other.answer().await.body.len(), 200_000);
        let reader = thread::spawn(move || {
            let mut received = vec![0; LOTS + 200];
            slow.read_exact(&mut received[..LOTS]).unwrap();
            received
        });
        common::until(|| reader.is_finished()).await;
        let received = reader.join().unwrap();
        let head_ends = received.windows(4).position(|window| window == b"\r\n\r\n").unwrap() + 4;
        assert!(received[head_ends..LOTS] == content[..LOTS - head_ends]);
    });
}

/// Time passes in steps of which a write time-out has sixteen, and the loop goes on after each.
async fn pass(clock: &VirtualClock, time: Duration) {
    let step = Limits::default().write_timeout / 16;
    for _ in 0..(time.as_millis() / step.as_millis()) {
        clock.advance(step).await;
        turns(2).await;
    }
}

#[test]
fn a_client_that_takes_nothing_of_a_file_is_given_up_and_one_that_takes_a_little_is_not() {
    let file = Temporary::new(&pattern(LOTS));
    run_virtual(async |clock| {
        let limit = Limits::default().write_timeout;
        let server = HttpServer::new(parts(&file));
        // Of a Unix socket, room is there as soon as the peer has read a whole buffer of the kernel's, of 64 KiB at most. The
        // kernel tells of it when three quarters of some 200 KiB are free.
        let (theirs, mut client) = UnixStream::pair().unwrap();
        let (handle, stream) = (server.handle(), IOStream::from_unix(theirs).unwrap());
        IOLoop::current().spawn_detached(async move { server.serve_stream(stream, None).await });
        client.write_all(get(&format!("/0-{LOTS}")).as_bytes()).unwrap();
        turns(30).await;
        let mut piece = vec![0; 80 * 1024];
        for _ in 0..8 {
            client.read_exact(&mut piece).unwrap();
            pass(&clock, limit * 3 / 4).await;
            assert_eq!(handle.connections(), 1, "given up");
        }
        pass(&clock, limit * 5 / 4).await;
        assert_eq!(handle.connections(), 0, "still waited for");
        let mut rest = Vec::new();
        assert!(client.read_to_end(&mut rest).is_err() || rest.len() < LOTS / 2);
    });
}

#[test]
fn a_file_cut_short_before_it_is_sent_ends_the_connection_in_the_middle_of_the_answer() {
    // One that the kernel would send, and one that would be read.
    for length in [100_000, 1000] {
        let file = Temporary::new(&pattern(length));
        run(async {
            let name = file.0.clone();
            let addr = serve(async move |request: Request| -> Result<Response> {
                if request.path() == "/before" {
                    return Ok(Response::text("before"));
                }
                let body = Body::file(File::open(&name).map_err(Error::other)?, ..)?;
                // Between the making of the answer and its sending.
                File::options().write(true).open(&name).unwrap().set_len(10).unwrap();
                Ok(Response::bytes(body))
            });
            let text = exchange(addr, [get("/before"), get("/"), get("/")].concat()).await;
            let (before, text) = text.split_once("before").expect("the answer in front of it");
            assert_eq!((status(before), status(text)), (200, 200));
            assert_eq!(header(text, "content-length"), Some(length.to_string().as_str()));
            // What there is may arrive. Nothing that could be taken for the rest does, nor another answer.
            let body = text.split_once("\r\n\r\n").unwrap().1;
            assert!(body.as_bytes() == &pattern(10)[..body.len()], "{body:?}");
        });
    }
}

#[test]
fn a_file_cut_short_while_it_is_sent_ends_the_connection_in_the_middle_of_the_answer() {
    let content = pattern(LOTS);
    let file = Temporary::new(&content);
    run(async {
        let client = Client::connect(serve(parts(&file))).await;
        client.stream.set_max_buffer_size(1 << 30);
        client.send([get(&format!("/0-{LOTS}")), get("/0-1")].concat()).await;
        assert_eq!(header(&client.head().await, "content-length"), Some(LOTS.to_string().as_str()));
        turns(5).await;
        file.cut_to(LOTS as u64 / 2);
        let mut received = 0;
        // An end or a reset: what counts is that it comes, and in the middle.
        while let Ok(piece) = client.stream.read_some(1 << 20).await {
            assert!(piece == content[received..received + piece.len()]);
            received += piece.len();
        }
        assert!(received < LOTS, "{received}");
    });
}

#[test]
fn what_is_appended_is_not_sent() {
    let file = Temporary::new(&pattern(100_000));
    run(async {
        let name = file.0.clone();
        let client = Client::connect(serve(async move |_: Request| -> Result<Response> {
            let body = Body::file(File::open(&name).map_err(Error::other)?, ..)?;
            File::options().write(true).open(&name).unwrap().set_len(200_000).unwrap();
            Ok(Response::bytes(body))
        }))
        .await;
        for length in [100_000, 200_000] {
            client.send(get("/")).await;
            assert_eq!(client.answer().await.body.len(), length);
        }
    });
}

#[test]
fn a_length_that_contradicts_the_file_ends_the_connection() {
    let file = Temporary::new(&pattern(100_000));
    run(async {
        for announced in [99_999, 100_001] {
            let shared = Rc::new(file.open());
            let addr = serve(async move |_: Request| -> Result<Response> {
                let mut response = Response::bytes(Body::file(Rc::clone(&shared), ..)?);
                response.set_content_length(announced);
                Ok(response)
            });
            let client = Client::connect(addr).await;
            client.send(get("/")).await;
            let length = announced.to_string();
            assert_eq!(header(&client.head().await, "content-length"), Some(length.as_str()));
            let received = client.rest_bytes().await.len();
            assert!(received as u64 <= announced.min(100_000), "{received}");
        }
    });
}

#[test]
fn a_reader_in_the_same_process_gets_pieces() {
    let content = pattern(200_000);
    let file = Temporary::new(&content);
    run(async {
        let mut body = Body::file(file.open(), 1..).unwrap();
        assert_eq!((body.content_length(), body.as_bytes(), body.is_end()), (Some(199_999), None, false));
        let first = body.chunk().await.unwrap().unwrap();
        assert!(first == content[1..=65_536]);
        assert_eq!(body.content_length(), Some(199_999 - 65_536));
        assert!(body.bytes(1 << 20).await.unwrap() == content[65_537..]);
        assert!(body.is_end());

        let mut body = Body::file(file.open(), ..).unwrap();
        assert!(matches!(body.bytes(199_999).await, Err(Error::BodyTooLarge { limit: 199_999 })));
        let mut body = Body::file(file.open(), 0..=9).unwrap();
        file.cut_to(5);
        assert_eq!(body.chunk().await.unwrap().unwrap(), content[..5]);
        assert!(body.chunk().await.is_err());
    });
}

#[test]
fn a_wrap_that_takes_the_pieces_changes_the_answer() {
    let content = pattern(200_000);
    let file = Temporary::new(&content);
    run(async {
        let inner = Rc::new(parts(&file));
        let addr = serve(async move |request: Request| {
            let mut response = inner.call(request).await;
            let mut body = response.take_body();
            response.set_body(Body::writer(async move |mut out| {
                while let Some(frame) = std::future::poll_fn(|cx| body.poll_frame(cx)).await {
                    if let Frame::Data(data) = frame? {
                        out.write(data.iter().map(|byte| byte ^ 0xff).collect::<Vec<u8>>()).await?;
                    }
                }
                Ok(())
            }));
            response
        });
        let client = Client::connect(addr).await;
        client.send(get("/0-200000").replace("1.1", "1.0")).await;
        client.head().await;
        let expected: Vec<u8> = content.iter().map(|byte| byte ^ 0xff).collect();
        assert!(client.rest_bytes().await == expected);
    });
}

#[test]
fn what_is_no_part_of_a_regular_file_is_refused() {
    let file = Temporary::new(b"0123456789");
    for range in [0..11, 11..11, 10..u64::MAX] {
        assert!(Body::file(file.open(), range.clone()).is_err(), "{range:?}");
    }
    #[expect(clippy::reversed_empty_ranges, reason = "that is what is tested")]
    let reversed = 5..4;
    assert!(Body::file(file.open(), reversed).is_err());
    assert!(Body::file(file.open(), 0..=u64::MAX).is_err());
    assert!(Body::file(File::open("/dev/null").unwrap(), ..).is_err());
    assert!(Body::file(File::open("/").unwrap(), ..).is_err());
    let empty = Body::file(file.open(), 10..).unwrap();
    assert_eq!((empty.as_bytes(), empty.content_length()), (Some(&b""[..]), Some(0)));
}
