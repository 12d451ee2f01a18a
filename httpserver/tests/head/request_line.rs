//! Methods, targets and versions.

use httpserver::{
    Limits, Version,
    codec::{HeadParser, MAX_METHOD, TargetForm},
};

use super::parsing::{head, parse_with, refused};

#[test]
fn targets_have_one_of_four_forms() {
    let absolute = head("GET HTTP://b:1/p?q HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(absolute.form(), TargetForm::Absolute);
    assert_eq!((absolute.path(), absolute.query(), absolute.host()), ("/p", Some("q"), Some("b:1")));
    let bare = head("GET http://b HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!((bare.path(), bare.query(), bare.target()), ("/", None, "http://b"));
    assert_eq!(head("OPTIONS http://b HTTP/1.1\r\nHost: a\r\n\r\n").path(), "*");
    assert_eq!(head("GET http://b?q HTTP/1.1\r\nHost: a\r\n\r\n").query(), Some("q"));
    let connect = head("CONNECT b:443 HTTP/1.1\r\nHost: b:443\r\n\r\n");
    assert_eq!((connect.form(), connect.path(), connect.host()), (TargetForm::Authority, "", Some("b:443")));
    for line in [
        "GET *",
        "GET a",
        "GET a:1",
        "GET ftp://a/",
        "CONNECT /",
        "CONNECT a",
        "GET http://",
        "GET http://u@a/",
        "CONNECT a:0",
        "CONNECT a%:1",
        "CONNECT u@a:1",
        "GET http://a%zz/",
        "GET http://a%00/",
        "GET http://a%",
    ] {
        refused(400, format!("{line} HTTP/1.1\r\nHost: a\r\n\r\n"));
    }
    for target in ["/a#b", "/\"", "/<", "/a\\b", "/\u{e4}", "/\x7f", "/a\x01", "/a\tb"] {
        refused(400, format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n"));
    }
}

#[test]
fn a_path_has_no_nul() {
    for (method, target) in
        [("GET", "/%00"), ("PUT", "/a%00.txt?b"), ("PATCH", "/a%41%00"), ("GET", "/%%00"), ("GET", "http://a/%00")]
    {
        refused(400, format!("{method} {target} HTTP/1.1\r\nHost: a\r\n\r\n"));
    }
    // In a query it is data of a form. An escape that is not whole is for the service to judge: browsers send it as typed.
    for (method, target) in
        [("GET", "/?a=%00"), ("PATCH", "/?%00"), ("GET", "/%2500"), ("GET", "/100%"), ("PATCH", "/%zz"), ("GET", "/%0")]
    {
        let head = head(format!("{method} {target} HTTP/1.1\r\nHost: a\r\n\r\n"));
        assert_eq!(head.target(), target);
        assert_eq!(head.path(), target.split('?').next().unwrap());
    }
}

#[test]
fn a_method_longer_than_any_is_not_implemented() {
    let request = |len: usize| format!("{} / HTTP/1.1\r\nHost: a\r\n\r\n", "M".repeat(len));
    assert_eq!(head(request(MAX_METHOD)).method().as_str().len(), MAX_METHOD);
    for len in [MAX_METHOD + 1, 10_000, 70_000] {
        refused(501, request(len));
        // Also before it ends.
        refused(501, &request(len)[..len]);
    }
    let limits = Limits::default().max_head(1_000);
    assert_eq!(parse_with(request(10_000).as_bytes(), &limits).unwrap_err(), 501);
}

#[test]
fn request_lines_by_grammar() {
    for line in [
        "GET  / HTTP/1.1",
        "GET / HTTP/1.1 ",
        " GET / HTTP/1.1",
        "GET /  HTTP/1.1",
        "GET\t/ HTTP/1.1",
        "G@T / HTTP/1.1",
        "FOO,BAR / HTTP/1.1",
        "GET /",
        "GET",
        "GET / ",
        "GET / HTTP",
        "GET / HTTP/1",
        "GET / HTTP/1.",
        "GET / HTTP/1.10",
        "GET / HTTP/1.12",
        "GET / HTTP/11.1",
        "GET / http/1.1",
        "GET / HTTP/1,1",
        "GET / HTTP/a.1",
        "GET / FTP/1.1",
        "GET / HTTP/1.1x",
        "GET / HTTP/ 1.1",
        "GET /a b HTTP/1.1",
        ": / HTTP/1.1",
        " / HTTP/1.1",
        "GET / HTTP/1.2 ",
        "GET / HTTP/2.00",
    ] {
        refused(400, format!("{line}\r\nHost: a\r\n\r\n"));
    }
    assert_eq!(head("x!#$%&'*+-.^_`|~9 / HTTP/1.1\r\nHost: a\r\n\r\n").method().as_str(), "x!#$%&'*+-.^_`|~9");
}

#[test]
fn versions_are_classified() {
    for minor in 1..=9 {
        let head = head(format!("GET /1.{minor} HTTP/1.{minor}\r\nHost: a\r\nX-Y: HTTP/1.{minor}\r\n\r\n"));
        assert_eq!((head.version, head.keep_alive), (Version::HTTP_11, true));
        assert_eq!(head.path(), format!("/1.{minor}"));
        assert_eq!(head.headers.get("x-y"), Some(&*format!("HTTP/1.{minor}")));
    }
    assert_eq!(head("GET / HTTP/1.0\r\n\r\n").version, Version::HTTP_10);
    for version in ["0.9", "2.0", "3.1", "9.9"] {
        refused(505, format!("GET / HTTP/{version}\r\nHost: a\r\n\r\n"));
    }
    refused(505, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    refused(400, "GET / HTTP/2.0\nHost: a\r\n\r\n");
    // A higher minor version is no way round the other rules.
    refused(400, "GET / HTTP/1.2\r\n\r\n");
    refused(400, "GET / HTTP/1.2\r\nHost: a\nB: c\r\n\r\n");
}

#[test]
fn a_tls_hello_is_told_what_this_port_speaks() {
    let hello = [0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00, 0x01, 0xfc, 0x03, 0x03];
    for end in 1..hello.len() {
        let error = HeadParser::default().parse(&hello[..end], &Limits::default()).unwrap_err();
        assert!(error.to_string().contains("plain HTTP"), "{error}");
    }
    refused(400, hello);
}
