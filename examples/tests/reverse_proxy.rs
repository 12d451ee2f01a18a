//! Requests through the reverse proxy, over the wire.

// `support` is shared by several test programs, none of which exports anything.
#![allow(unreachable_pub)]

mod support;

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
};

use support::{PATIENCE, Program, http::Client};

/// The proxy, and the server behind it.
fn proxy() -> (Program, SocketAddr, TcpListener) {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let target = server.local_addr().unwrap().to_string();
    let mut program = Program::start(env!("CARGO_BIN_EXE_reverse_proxy"), &["--port", "0", "--", &target]);
    let address = program.listening();
    (program, address, server)
}

fn connect(address: SocketAddr) -> BufReader<TcpStream> {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    BufReader::new(stream)
}

fn accept(server: &TcpListener) -> BufReader<TcpStream> {
    let stream = server.accept().unwrap().0;
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    BufReader::new(stream)
}

fn send(stream: &BufReader<TcpStream>, text: &str) {
    stream.get_ref().write_all(text.as_bytes()).unwrap();
}

/// A head in small letters, up to its empty line.
fn head(stream: &mut BufReader<TcpStream>) -> String {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        assert!(stream.read_line(&mut head).unwrap() > 0, "the connection has ended: {head}");
    }
    head.to_lowercase()
}

fn expect(stream: &mut BufReader<TcpStream>, text: &str) {
    let mut bytes = vec![0; text.len()];
    stream.read_exact(&mut bytes).unwrap();
    assert_eq!(String::from_utf8_lossy(&bytes), text);
}

#[test]
fn a_request_and_its_answer_pass_through_without_what_belongs_to_the_hop() {
    let (_program, address, server) = proxy();
    let mut client = connect(address);
    for _ in 0..2 {
        send(
            &client,
            "GET /a%20b?c=d HTTP/1.1\r\nHost: shop.example\r\nAccept: x\r\nConnection: keep-alive, X-Hop\r\nX-Hop: 1\r\nTE: trailers\r\n\r\n",
        );
        let mut upstream = accept(&server);
        let asked = head(&mut upstream);
        assert!(asked.starts_with("get /a%20b?c=d http/1.1\r\n"), "{asked}");
        for line in ["host: shop.example", "accept: x", "x-forwarded-for: 127.0.0.1", "via: 1.1 reverse_proxy"] {
            assert!(asked.contains(&format!("\r\n{line}\r\n")), "{line} is missing in {asked}");
        }
        assert!(!asked.contains("x-hop") && !asked.contains("\r\nte:"), "{asked}");
        send(
            &upstream,
            "HTTP/1.1 201 Created\r\nContent-Length: 5\r\nX-Answer: 1\r\nConnection: X-Own\r\nX-Own: 2\r\n\r\nhello",
        );
        let answered = head(&mut client);
        assert!(answered.starts_with("http/1.1 201 "), "{answered}");
        assert!(
            answered.contains("\r\nx-answer: 1\r\n") && answered.contains("\r\ncontent-length: 5\r\n"),
            "{answered}"
        );
        assert!(!answered.contains("x-own"), "{answered}");
        expect(&mut client, "hello");
    }
}

#[test]
fn both_bodies_pass_through_as_they_come() {
    let (_program, address, server) = proxy();
    let mut client = connect(address);
    send(&client, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nfirst");
    let mut upstream = accept(&server);
    assert!(head(&mut upstream).contains("\r\ncontent-length: 10\r\n"));
    // The rest has not been sent yet.
    expect(&mut upstream, "first");
    send(&client, "later");
    expect(&mut upstream, "later");

    send(&upstream, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n");
    assert!(head(&mut client).contains("\r\ntransfer-encoding: chunked\r\n"));
    expect(&mut client, "3\r\none\r\n");
    send(&upstream, "3\r\ntwo\r\n0\r\n\r\n");
    expect(&mut client, "3\r\ntwo\r\n0\r\n\r\n");
}

#[test]
fn an_answer_without_content_leaves_the_connection_alive() {
    let (_program, address, server) = proxy();
    let mut client = connect(address);
    for answer in [
        "HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 204 No Content\r\n\r\n",
        "HTTP/1.1 200 OK\r\n\r\n",
    ] {
        send(&client, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        let mut upstream = accept(&server);
        head(&mut upstream);
        send(&upstream, answer);
        drop(upstream);
        let answered = head(&mut client);
        assert_eq!(answered[..12], answer[..12].to_lowercase());
        if answered.contains("\r\ntransfer-encoding: chunked\r\n") {
            expect(&mut client, "0\r\n\r\n");
        }
    }
}

#[test]
fn a_server_may_answer_while_the_client_still_sends() {
    let (_program, address, server) = proxy();
    let mut client = connect(address);
    send(&client, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nfirst");
    let mut upstream = accept(&server);
    head(&mut upstream);
    expect(&mut upstream, "first");
    send(&upstream, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nFIRST\r\n");
    head(&mut client);
    expect(&mut client, "5\r\nFIRST\r\n");
    send(&client, "later");
    expect(&mut upstream, "later");
    send(&upstream, "5\r\nLATER\r\n0\r\nX-Sum: 10\r\n\r\n");
    expect(&mut client, "5\r\nLATER\r\n0\r\nX-Sum: 10\r\n\r\n");

    // It may also have answered to the end, and leave the rest.
    send(&client, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nfirst");
    let mut upstream = accept(&server);
    head(&mut upstream);
    expect(&mut upstream, "first");
    send(&upstream, "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nenough");
    head(&mut client);
    expect(&mut client, "enough");
}

#[test]
fn a_server_that_does_not_answer_is_a_502() {
    let (_program, address, server) = proxy();
    let mut client = Client::connect(address);
    drop(server);
    for _ in 0..2 {
        assert_eq!(client.get("/").status, 502);
    }
}

#[test]
fn the_server_is_left_when_the_client_breaks_its_body_off() {
    let (_program, address, server) = proxy();
    let client = connect(address);
    send(&client, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nfirst");
    let mut upstream = accept(&server);
    head(&mut upstream);
    expect(&mut upstream, "first");
    drop(client);
    let mut rest = Vec::new();
    // An end or a reset; but nothing that would pass for the rest.
    let _ = upstream.read_to_end(&mut rest);
    assert!(rest.is_empty(), "{rest:?}");
}
