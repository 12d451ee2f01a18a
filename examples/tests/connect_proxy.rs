//! Tunnels through the proxy for CONNECT, over the wire.

// `support` is shared by several test programs, none of which exports anything.
#![allow(unreachable_pub)]

mod support;

use std::{
    io::{Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
};

use support::{PATIENCE, Program, http::Client};

fn proxy(arguments: &[&str]) -> (Program, SocketAddr) {
    let arguments = [&["--port", "0", "--"], arguments].concat();
    let mut program = Program::start(env!("CARGO_BIN_EXE_connect_proxy"), &arguments);
    let address = program.listening();
    (program, address)
}

/// A server, and its HOST:PORT.
fn server() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let target = listener.local_addr().unwrap().to_string();
    (listener, target)
}

/// Asks for a tunnel, with `first` right behind the request, and reads the head of the answer.
fn ask(address: SocketAddr, target: &str, first: &str) -> (TcpStream, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(stream, "CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n{first}").unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.extend_from_slice(&byte);
    }
    (stream, String::from_utf8(head).unwrap())
}

#[test]
fn a_tunnel_passes_on_both_ways_and_both_ends_and_counts() {
    let (listener, target) = server();
    let (mut program, address) = proxy(&[&target]);
    let (mut client, head) = ask(address, &target, "early ");
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    assert!(!head.contains("Content-Length") && !head.contains("Transfer-Encoding"), "{head}");
    client.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    client.shutdown(Shutdown::Write).unwrap();

    let (mut server, _) = listener.accept().unwrap();
    let mut heard = String::new();
    server.read_to_string(&mut heard).unwrap();
    assert_eq!(heard, "early GET / HTTP/1.1\r\n\r\n");
    let answer = vec![b'x'; 3_000_000];
    server.write_all(&answer).unwrap();
    drop(server);

    let mut received = Vec::new();
    client.read_to_end(&mut received).unwrap();
    assert!(received == answer, "{} bytes", received.len());
    assert_eq!(program.line().trim_end(), format!("{target}: 24 bytes there, 3000000 bytes back, ended"));
}

#[test]
fn a_target_that_is_not_named_is_refused() {
    let (listener, target) = server();
    listener.set_nonblocking(true).unwrap();
    let (_program, address) = proxy(&["example.com:443", "*.example.org:443", "[::1]:80"]);
    for refused in [&target, "example.com:80", "www.example.com:443", "example.org:443", "anexample.org:443"] {
        let (_client, head) = ask(address, refused, "");
        assert!(head.starts_with("HTTP/1.1 403 "), "{refused}: {head}");
    }
    assert!(listener.accept().is_err(), "the proxy has connected");
    // The connection goes on behind a refusal.
    let mut client = Client::connect(address);
    for _ in 0..2 {
        let answer = client.request("CONNECT", &target, &[], "");
        assert_eq!((answer.status, answer.body.as_str()), (403, "This target is not allowed.\n"));
    }
}

#[test]
fn a_target_that_cannot_be_reached_is_a_502() {
    let (listener, target) = server();
    drop(listener);
    let (_program, address) = proxy(&[&target]);
    let answer = Client::connect(address).request("CONNECT", &target, &[], "");
    assert_eq!((answer.status, answer.body.as_str()), (502, "The target cannot be reached.\n"));
}

#[test]
fn a_tunnel_in_which_nothing_moves_is_ended() {
    let (listener, target) = server();
    let (mut program, address) = proxy(&["--idle", "0.2", &target]);
    let (mut client, head) = ask(address, &target, "hello");
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    let (mut server, _) = listener.accept().unwrap();
    server.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut heard = Vec::new();
    server.read_to_end(&mut heard).unwrap();
    assert_eq!(heard, b"hello");
    assert_eq!(client.read(&mut [0]).unwrap(), 0);
    assert_eq!(program.line().trim_end(), format!("{target}: 5 bytes there, 0 bytes back, idle"));
}

#[test]
fn other_methods_are_refused() {
    let (_listener, target) = server();
    let (_program, address) = proxy(&[&target]);
    let answer = Client::connect(address).get(&format!("http://{target}/"));
    assert_eq!((answer.status, answer.header("allow")), (405, Some("CONNECT")));
}

#[test]
fn the_proxy_wants_targets() {
    let refusal = |arguments: &[&str]| {
        Program::refusal(env!("CARGO_BIN_EXE_connect_proxy"), &[&["--port", "0", "--"], arguments].concat())
    };
    assert_eq!(refusal(&[]), "error: no target is named; try --help\n");
    for target in ["example.com", "*:443", "a*.b:443", "*.*:443", "example.com:https", ":443"] {
        assert!(refusal(&[target]).contains("no HOST:PORT"), "{target}");
    }
}
