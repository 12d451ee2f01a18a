//! The proxy and the client of lines, over the wire.

// `support` is shared by several test programs, none of which exports anything.
#![allow(unreachable_pub)]

mod support;

use std::{
    env, fs,
    io::{ErrorKind, Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    process, thread,
    time::Duration,
};

use iostream::{IOLoop, IOStream, tls::TlsConnector};
use support::{Lines, PATIENCE, Program};

/// A proxy in front of `server`.
fn proxy(server: SocketAddr) -> (Program, SocketAddr) {
    let target = server.to_string();
    let mut program = Program::start(env!("CARGO_BIN_EXE_tcp_proxy"), &["--port", "0", "--", &target]);
    let address = program.listening();
    (program, address)
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

#[test]
fn the_proxy_passes_on_both_ways_and_both_ends() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (_program, address) = proxy(listener.local_addr().unwrap());
    let mut client = connect(address);
    client.write_all(b"question").unwrap();
    client.shutdown(Shutdown::Write).unwrap();

    let (mut server, _) = listener.accept().unwrap();
    let mut question = String::new();
    server.read_to_string(&mut question).unwrap();
    assert_eq!(question, "question");
    server.write_all(b"answer").unwrap();
    drop(server);

    let mut answer = String::new();
    client.read_to_string(&mut answer).unwrap();
    assert_eq!(answer, "answer");
}

#[test]
fn the_proxy_ends_a_client_whose_server_is_gone() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (_program, address) = proxy(listener.local_addr().unwrap());
    let mut client = connect(address);
    client.write_all(b"unread").unwrap();
    let (server, _) = listener.accept().unwrap();
    // With unread bytes, so by a reset.
    server.peek(&mut [0]).unwrap();
    drop(server);
    let end = client.read(&mut [0]);
    assert!(matches!(&end, Ok(0)) || end.is_err_and(|error| error.kind() == ErrorKind::ConnectionReset));
}

#[test]
fn the_proxy_holds_little_of_what_a_slow_client_does_not_read() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (program, address) = proxy(listener.local_addr().unwrap());
    let mut client = connect(address);
    let (mut server, _) = listener.accept().unwrap();
    let before = program.resident();
    server.set_write_timeout(Some(Duration::from_millis(500))).unwrap();
    let (piece, mut sent) = (vec![b'x'; 1 << 20], 0);
    // Until nothing fits any more: the buffers of the system, four of them, are full.
    while let Ok(count) = server.write(&piece) {
        sent += count;
    }
    let grown = program.resident().saturating_sub(before);
    assert!(grown < 4 << 20, "{grown} bytes more for {sent} bytes that nobody reads");

    let reader = thread::spawn(move || {
        let mut received = Vec::new();
        client.read_to_end(&mut received).map(|count| (count, received.iter().all(|&byte| byte == b'x')))
    });
    drop(server);
    assert_eq!(reader.join().unwrap().unwrap(), (sent, true));
}

#[test]
fn the_proxy_wants_a_server() {
    let message = Program::refusal(env!("CARGO_BIN_EXE_tcp_proxy"), &["--port", "0"]);
    assert_eq!(message, "error: no server is named; try --help\n");
}

#[test]
fn the_client_talks_to_the_server_of_lines() {
    let (_server, address) = Program::serve(env!("CARGO_BIN_EXE_line_server"));
    let port = address.port().to_string();
    let mut ann = Program::start(env!("CARGO_BIN_EXE_line_client"), &["127.0.0.1", &port]);
    let mut typing = ann.input();
    assert_eq!(ann.line(), "Your name, please:");
    typing.write_all(b"ann\n").unwrap();
    assert!(ann.line().starts_with("* Welcome, ann."));

    let mut bob = Lines::connect(address);
    assert_eq!(bob.line().as_deref(), Some("Your name, please:"));
    bob.send("bob\nhello\n");
    assert_eq!(ann.line(), "* bob is here");
    assert_eq!(ann.line(), "bob: hello");
    assert!(bob.line().is_some_and(|line| line.starts_with("* Welcome, bob.")));
    typing.write_all(b"hello yourself\n").unwrap();
    assert_eq!(bob.line().as_deref(), Some("ann: hello yourself"));
}

#[test]
fn the_client_shows_what_comes_after_the_last_word_and_ends_with_the_server() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    let mut client = Program::start(env!("CARGO_BIN_EXE_line_client"), &["127.0.0.1", &port]);
    client.input().write_all(b"bye").unwrap();
    let (mut server, _) = listener.accept().unwrap();
    let mut heard = String::new();
    server.read_to_string(&mut heard).unwrap();
    assert_eq!(heard, "bye");
    server.write_all(b"good\nbye").unwrap();
    drop(server);
    assert_eq!(client.rest_of_output(), "good\nbye");
    assert!(client.end().success());
}

#[test]
fn the_client_says_that_nobody_listens() {
    let port = {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap().port().to_string()
    };
    let message = Program::refusal(env!("CARGO_BIN_EXE_line_client"), &["127.0.0.1", &port]);
    assert!(message.contains("connection refused"), "{message}");
}

#[test]
fn the_echo_over_tls_reads_its_certificate_anew() {
    renews_its_certificate(env!("CARGO_BIN_EXE_tls_echo"), "tls-echo", "hello, hello\n", "hello, hello\n");
}

#[test]
fn https_reads_its_certificate_anew() {
    let request = "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    renews_its_certificate(env!("CARGO_BIN_EXE_https"), "https", request, "Hello by https and TLSv1_3\n");
}

/// Both examples take the files of a certificate and its key, and read them again on SIGHUP.
fn renews_its_certificate(path: &str, name: &str, question: &str, answer: &str) {
    let folder = env::temp_dir().join(format!("example-{name}-{}", process::id()));
    fs::create_dir(&folder).unwrap();
    let (certificate, key) = (folder.join("cert.pem"), folder.join("key.pem"));
    let renew = || {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        fs::write(&key, made.signing_key.serialize_pem()).unwrap();
        fs::write(&certificate, made.cert.pem()).unwrap();
    };
    renew();
    let files = [&certificate, &key].map(|file| file.to_str().unwrap());
    let mut program = Program::start(path, &["--port", "0", "--", files[0], files[1]]);
    let address = program.listening();
    for renewed in [false, true] {
        if renewed {
            renew();
            program.hang_up();
            assert_eq!(program.line().trim_end(), "the certificate has been read anew");
        }
        let tls = TlsConnector::ring().roots(&certificate).unwrap().build().unwrap();
        let answered = IOLoop::current().run_sync(iostream::timeout(PATIENCE, async {
            let stream = IOStream::connect(address).await?;
            stream.start_tls_client(&tls, "localhost").await?;
            stream.write(question).await?;
            stream.read_until(answer.as_bytes()).await
        }));
        assert!(answered.unwrap().unwrap().ends_with(answer.as_bytes()));
    }
    fs::remove_dir_all(folder).unwrap();
}
