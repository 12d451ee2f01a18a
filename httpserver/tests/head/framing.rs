//! What the lines say of the body and of the connection.

use httpserver::codec::{BodyFraming, Expect};

use super::parsing::{head, refused};

fn body(lines: &str) -> BodyFraming {
    head(format!("POST / HTTP/1.1\r\nHost: a\r\n{lines}\r\n\r\n")).body()
}

fn body_refused(status: u16, lines: &str) {
    refused(status, format!("POST / HTTP/1.1\r\nHost: a\r\n{lines}\r\n\r\n"));
    refused(status, format!("POST / HTTP/1.1\r\n{lines}\r\nHost: a\r\n\r\n"));
}

#[test]
fn content_length_is_one_number() {
    assert_eq!(body("Content-Length: 0"), BodyFraming::Length(0));
    assert_eq!(body("content-LENGTH:\t7 "), BodyFraming::Length(7));
    for value in [
        "",
        "00",
        "007",
        "03",
        "0000000000000000000000000000003",
        "+3",
        "-3",
        "0_3",
        " 3 3",
        "\u{ff13}",
        "3,3",
        "3, 3",
        "3,4",
        "0x3",
        "3.0",
        "1e3",
        "3;",
        "a",
        "3\x0b",
        "18446744073709551616",
        "99999999999999999999999999999999",
    ] {
        body_refused(400, &format!("Content-Length: {value}"));
    }
    body_refused(400, "Content-Length: 3\r\nContent-Length: 3");
    body_refused(400, "Content-Length: 3\r\nContent-Length: 4");
    body_refused(413, "Content-Length: 18446744073709551615");
}

#[test]
fn transfer_encoding_is_chunked_or_nothing() {
    assert_eq!(body("Transfer-Encoding: chunked"), BodyFraming::Chunked);
    assert_eq!(body("transfer-encoding:\tCHUNKED "), BodyFraming::Chunked);
    for value in ["gzip, chunked", "gzip,br,chunked", "x,Chunked", "identity, chunked"] {
        body_refused(501, &format!("Transfer-Encoding: {value}"));
    }
    for value in [
        "",
        ",",
        "gzip",
        "identity",
        "xchunked",
        "chunked, gzip",
        "chunked, chunked",
        "chunked,",
        ",chunked",
        "chunked;a=b",
        "gzip;q=1, chunked",
        "gzip, chunked, chunked",
        "gzip,,chunked",
        "chunked chunked",
        "\"chunked\"",
        "\x0bchunked",
    ] {
        body_refused(400, &format!("Transfer-Encoding: {value}"));
    }
    refused(400, b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \xa0chunked\r\n\r\n");
    body_refused(400, "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked");
    body_refused(400, "Transfer-Encoding: chunked\r\nTransfer-Encoding: gzip");
    body_refused(400, "Transfer-Encoding: gzip, chunked\r\nTransfer-Encoding: chunked");
    body_refused(400, "Transfer-Encoding: gzip\r\nTransfer-Encoding: br");
    body_refused(400, "Transfer-Encoding: gzip\r\nTransfer-Encoding:");
    // Several lines are one list (RFC 9110 5.3).
    body_refused(501, "Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked");
    body_refused(501, "Transfer-Encoding: gzip\r\nTransfer-Encoding: br, Chunked");
    body_refused(400, "Transfer-Encoding : chunked");
    body_refused(400, "Transfer-Encoding: chunked\r\nContent-Length: 6");
    body_refused(400, "Content-Length: 6\r\nTransfer-Encoding: chunked");
    body_refused(400, "Content-Length: 6\r\nTransfer-Encoding: gzip, chunked");
    refused(400, "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n");
    refused(400, "POST / HTTP/1.0\r\nTransfer-Encoding: gzip, chunked\r\n\r\n");
}

fn keep_alive(version: &str, lines: &str) -> bool {
    head(format!("GET / HTTP/{version}\r\nHost: a\r\n{lines}\r\n")).keep_alive
}

#[test]
fn connection_is_a_list_over_all_its_lines() {
    assert!(keep_alive("1.1", ""));
    assert!(!keep_alive("1.0", ""));
    assert!(keep_alive("1.0", "Connection: Keep-Alive\r\n"));
    assert!(keep_alive("1.0", "Connection: x, keep-alive\r\n"));
    assert!(!keep_alive("1.1", "Connection: CLOSE\r\n"));
    assert!(!keep_alive("1.1", "Connection: Keep-Alive, Close\r\n"));
    assert!(!keep_alive("1.1", "Connection: x\r\nConnection: ,close\r\n"));
    assert!(!keep_alive("1.0", "Connection: keep-alive\r\nConnection: close\r\n"));
    assert!(keep_alive("1.1", "Connection: closed\r\n"));
}

#[test]
fn expectations_and_upgrades_are_of_http_1_1() {
    let expect = |version: &str, lines: &str| head(format!("POST / HTTP/{version}\r\nHost: a\r\n{lines}\r\n")).expect;
    assert_eq!(expect("1.1", ""), Expect::None);
    assert_eq!(expect("1.1", "Expect: 100-Continue\r\n"), Expect::Continue);
    assert_eq!(expect("1.1", "Expect: 100-continue\r\nexpect: x\r\n"), Expect::Other);
    assert_eq!(expect("1.1", "Expect: x\r\nexpect: 100-continue\r\n"), Expect::Other);
    assert_eq!(expect("1.1", "Expect: 200-ok\r\n"), Expect::Other);
    assert_eq!(expect("1.0", "Expect: 100-continue\r\n"), Expect::None);
    let upgrade = |version: &str, lines: &str| head(format!("GET / HTTP/{version}\r\nHost: a\r\n{lines}\r\n")).upgrade;
    assert!(upgrade("1.1", "Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n"));
    assert!(!upgrade("1.1", "Upgrade: websocket\r\n"));
    assert!(!upgrade("1.1", "Connection: upgrade\r\n"));
    assert!(!upgrade("1.0", "Connection: upgrade\r\nUpgrade: websocket\r\n"));
}
