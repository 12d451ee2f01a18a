//! Whose request it is, behind proxies that are trusted and those that are not.

mod common;

use std::net::SocketAddr;

use common::{Client, run};
use httpserver::{
    HttpServer, IOStream, Method, Protocol, Request, ServerHandle, ServerOptions, Version, XHeaders,
    iostream::{
        memory,
        netutil::{IpNetwork, UnixBindOptions, bind_unix_socket},
    },
    spawn,
};
use proptest::prelude::*;

async fn whose(request: Request) -> String {
    let ip = request.remote_ip().map_or("nobody".to_owned(), |ip| ip.to_string());
    format!("{ip} {}", request.protocol())
}

fn networks(networks: &[&str]) -> Vec<IpNetwork> {
    networks.iter().map(|network| network.parse().unwrap()).collect()
}

fn trusting(trusted: &[&str]) -> XHeaders {
    XHeaders::trusting(networks(trusted))
}

/// Tornado's, which trusts whoever connects: here that is 127.0.0.1.
fn tornado(downstream: &[&str]) -> XHeaders {
    trusting(&[&["127.0.0.1"], downstream].concat())
        .remote_ip_from(["X-Real-IP", "X-Forwarded-For"])
        .protocol_from(["X-Scheme", "X-Forwarded-Proto"])
}

/// What a server says of requests from 127.0.0.1 on one connection, by their header lines.
async fn answers(options: ServerOptions, requests: &[&str]) -> Vec<String> {
    let server = HttpServer::with_options(whose, options);
    let client = Client::connect(server.listen(("127.0.0.1", 0)).unwrap().local_addr()).await;
    let mut answers = Vec::new();
    for lines in requests {
        client.send(format!("GET / HTTP/1.1\r\nHost: a\r\n{lines}\r\n")).await;
        answers.push(client.answer().await.text().to_owned());
    }
    answers
}

fn expect(xheaders: XHeaders, expected: &[(&str, &str)]) {
    let requests: Vec<&str> = expected.iter().map(|(lines, _)| *lines).collect();
    let answers = run(answers(ServerOptions::new().xheaders(xheaders), &requests));
    for ((lines, expected), answer) in expected.iter().zip(answers) {
        assert_eq!(answer, *expected, "{lines}");
    }
}

#[test]
fn without_trust_headers_say_nothing() {
    let lines = "X-Forwarded-For: 4.4.4.4\r\nX-Real-IP: 4.4.4.4\r\nX-Forwarded-Proto: https\r\nX-Scheme: https\r\n\
        Forwarded: for=4.4.4.4;proto=https\r\n";
    for options in [ServerOptions::new(), ServerOptions::new().xheaders(trusting(&["10.0.0.0/8", "::/0"]))] {
        assert_eq!(run(answers(options, &[lines])), ["127.0.0.1 http"]);
    }
}

/// `XHeaderTest.test_ip_headers` of Tornado.
#[test]
fn addresses_are_those_that_tornado_finds() {
    expect(
        tornado(&["5.5.5.5"]),
        &[
            ("", "127.0.0.1 http"),
            ("X-Real-IP: 4.4.4.4\r\n", "4.4.4.4 http"),
            ("X-Forwarded-For: 127.0.0.1, 4.4.4.4\r\n", "4.4.4.4 http"),
            ("X-Real-IP: 2620:0:1cfe:face:b00c::3\r\n", "2620:0:1cfe:face:b00c::3 http"),
            ("X-Forwarded-For: ::1, 2620:0:1cfe:face:b00c::3\r\n", "2620:0:1cfe:face:b00c::3 http"),
            ("X-Real-IP: 4.4.4.4<script>\r\n", "127.0.0.1 http"),
            ("X-Forwarded-For: 4.4.4.4, 5.5.5.5<script>\r\n", "127.0.0.1 http"),
            ("X-Real-IP: www.google.com\r\n", "127.0.0.1 http"),
            // `test_trusted_downstream`.
            ("X-Forwarded-For: 127.0.0.1, 4.4.4.4, 5.5.5.5\r\n", "4.4.4.4 http"),
            ("X-Forwarded-For: 4.4.4.4\r\nX-Real-IP: 3.3.3.3\r\n", "3.3.3.3 http"),
        ],
    );
}

/// `XHeaderTest.test_scheme_headers` of Tornado.
#[test]
fn protocols_are_those_that_tornado_finds() {
    expect(
        tornado(&[]),
        &[
            ("", "127.0.0.1 http"),
            ("X-Scheme: https\r\n", "127.0.0.1 https"),
            ("X-Forwarded-Proto: https\r\n", "127.0.0.1 https"),
            ("X-Forwarded-Proto: https , http\r\n", "127.0.0.1 http"),
            ("X-Forwarded-Proto: http,https\r\n", "127.0.0.1 https"),
            ("X-Forwarded-Proto: unknown\r\n", "127.0.0.1 http"),
            ("X-Forwarded-Proto: HTTPS\r\n", "127.0.0.1 https"),
            ("X-Scheme: https\r\nX-Forwarded-Proto: http\r\n", "127.0.0.1 https"),
        ],
    );
}

#[test]
fn a_list_is_read_from_the_right_over_all_its_lines() {
    expect(
        trusting(&["127.0.0.1", "10.0.0.0/8", "2001:db8::/32"]),
        &[
            ("X-Forwarded-For: 6.6.6.6, 4.4.4.4\r\n", "4.4.4.4 http"),
            ("X-Forwarded-For: 6.6.6.6, 4.4.4.4, 10.1.1.1\r\nX-Forwarded-For: 10.2.2.2\r\n", "4.4.4.4 http"),
            ("X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-For: 4.4.4.4\r\n", "4.4.4.4 http"),
            ("X-Forwarded-For: 4.4.4.4,2001:db8::7,::ffff:10.0.0.1\r\n", "4.4.4.4 http"),
            ("X-Forwarded-For: ,4.4.4.4, ,\r\n", "4.4.4.4 http"),
            ("X-Forwarded-For: 4.4.4.4:4711, [2001:db8::7]:80\r\n", "4.4.4.4 http"),
            ("X-Forwarded-For: ::ffff:4.4.4.4\r\n", "4.4.4.4 http"),
            // Within the trusted networks the leftmost is who began.
            ("X-Forwarded-For: 10.9.9.9, 10.1.1.1\r\n", "10.9.9.9 http"),
            // Behind somebody unknown nothing is believed.
            ("X-Forwarded-For: 4.4.4.4, unknown\r\n", "127.0.0.1 http"),
            ("X-Forwarded-For: 4.4.4.4, unknown, 10.1.1.1\r\n", "127.0.0.1 http"),
            ("X-Forwarded-For: \r\n", "127.0.0.1 http"),
            // A quote of a client's does not hide what the proxy has added.
            ("X-Forwarded-For: 6.6.6.6, \", 4.4.4.4\r\n", "4.4.4.4 http"),
        ],
    );
}

#[test]
fn headers_that_were_not_named_are_not_looked_at() {
    let lines = "X-Real-IP: 6.6.6.6\r\nX-Scheme: https\r\nForwarded: for=6.6.6.6;proto=https\r\n";
    let both = format!("{lines}X-Forwarded-For: 4.4.4.4\r\n");
    expect(trusting(&["127.0.0.1"]), &[(lines, "127.0.0.1 http"), (&both, "4.4.4.4 http")]);
    let own = trusting(&["127.0.0.1"]).remote_ip_from(["cf-connecting-ip"]);
    expect(own, &[("CF-Connecting-IP: 4.4.4.4\r\n", "4.4.4.4 http"), (&both, "127.0.0.1 http")]);
}

#[test]
fn the_header_of_rfc_7239_tells_both() {
    let forwarded = trusting(&["127.0.0.1", "10.0.0.0/8"]).remote_ip_from(["Forwarded"]).protocol_from(["forwarded"]);
    expect(
        forwarded,
        &[
            ("Forwarded: for=4.4.4.4;proto=https;by=203.0.113.43\r\n", "4.4.4.4 https"),
            ("Forwarded: for=\"[2001:db8::17]:4711\";proto=https\r\n", "2001:db8::17 https"),
            // The protocol is what the outermost proxy saw, not what it spoke to the next.
            (
                "Forwarded: for=6.6.6.6;proto=http, for=4.4.4.4;proto=https, for=10.0.0.1;proto=http\r\n",
                "4.4.4.4 https",
            ),
            ("Forwarded: for=4.4.4.4;proto=https\r\nForwarded: for=10.0.0.1\r\n", "4.4.4.4 https"),
            ("Forwarded: for=4.4.4.4\r\n", "4.4.4.4 http"),
            ("Forwarded: for=4.4.4.4, for=_hidden;proto=https\r\n", "127.0.0.1 https"),
            ("Forwarded: for=4.4.4.4, proto=https\r\n", "127.0.0.1 https"),
            ("Forwarded: for=\"\r\nForwarded: for=4.4.4.4;proto=https\r\n", "127.0.0.1 http"),
            ("Forwarded: for=6.6.6.6;x=\", for=4.4.4.4\r\n", "127.0.0.1 http"),
            ("X-Forwarded-For: 4.4.4.4\r\n", "127.0.0.1 http"),
        ],
    );
}

#[test]
fn what_the_program_says_of_its_protocol_holds_unless_a_proxy_knows_better() {
    run(async {
        let https = ServerOptions::new().protocol(Protocol::Https);
        let proto = "X-Forwarded-Proto: http\r\n";
        assert_eq!(answers(https.clone(), &[proto, ""]).await, ["127.0.0.1 https", "127.0.0.1 https"]);
        let proxied = https.xheaders(trusting(&["127.0.0.1"]));
        assert_eq!(answers(proxied, &[proto, ""]).await, ["127.0.0.1 http", "127.0.0.1 https"]);
    });
}

#[test]
fn a_peer_without_an_address_is_trusted() {
    run(async {
        let server = HttpServer::with_options(whose, ServerOptions::new().xheaders(trusting(&["192.0.2.0/24"])));
        let handle: ServerHandle = server.handle();
        let (end, stream) = memory::pair(1000);
        let _detached = spawn(async move { server.serve_stream(end, None).await });
        let client = Client { stream };
        for (lines, expected) in [("X-Forwarded-For: 4.4.4.4\r\n", "4.4.4.4 http"), ("", "nobody http")] {
            client.send(format!("GET / HTTP/1.1\r\nHost: a\r\n{lines}\r\n")).await;
            assert_eq!(client.answer().await.text(), expected);
        }
        client.stream.close();
        common::until(|| handle.connections() == 0).await;
    });
}

#[test]
fn requests_made_in_the_process_say_what_they_were_told() {
    let peer: SocketAddr = "[::ffff:192.0.2.1]:80".parse().unwrap();
    let request = Request::builder().peer_addr(peer).protocol(Protocol::Https).build().unwrap();
    assert_eq!(run(whose(request)), "192.0.2.1 https");
    assert_eq!(run(whose(Request::builder().header("X-Forwarded-For", "4.4.4.4").build().unwrap())), "nobody http");
}

#[test]
fn the_url_is_that_of_the_client() {
    let url = |method: Method, target: &str, version| {
        let request = Request::builder().method(method).target(target).version(version).protocol(Protocol::Https);
        request.build().unwrap().full_url()
    };
    for (target, expected) in [
        ("/", "https://localhost/"),
        ("/a?", "https://localhost/a?"),
        ("/a?b=c", "https://localhost/a?b=c"),
        ("http://example.org:80/a?b", "https://example.org:80/a?b"),
        ("http://example.org", "https://example.org/"),
    ] {
        assert_eq!(url(Method::GET, target, Version::HTTP_11).as_deref(), Some(expected));
    }
    assert_eq!(url(Method::OPTIONS, "*", Version::HTTP_11), None);
    assert_eq!(url(Method::CONNECT, "example.org:80", Version::HTTP_11), None);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    /// Against the definition: go from the right as long as there are trusted addresses.
    #[test]
    fn any_list_is_read_by_the_definition(
        entries in proptest::collection::vec(
            prop_oneof![Just("10.0.0.1"), Just("10.0.0.2"), Just("4.4.4.4"), Just("6.6.6.6"), Just("junk"), Just("\"")],
            0..6,
        ),
        breaks in proptest::collection::vec(any::<bool>(), 6),
    ) {
        let mut expected = Some("127.0.0.1");
        for entry in entries.iter().rev() {
            expected = Some(*entry).filter(|entry| entry.ends_with(|c: char| c.is_ascii_digit()));
            if !entry.starts_with("10.") {
                break;
            }
        }
        let mut lines = String::new();
        for (entry, breaks) in entries.iter().zip(breaks) {
            match lines.is_empty() || breaks {
                true => lines += &format!("{}X-Forwarded-For: {entry}", if lines.is_empty() { "" } else { "\r\n" }),
                false => lines += &format!(" , {entry}"),
            }
        }
        lines += if lines.is_empty() { "" } else { "\r\n" };
        let options = ServerOptions::new().xheaders(trusting(&["127.0.0.1", "10.0.0.0/8"]));
        let answer = run(answers(options, &[&lines])).remove(0);
        prop_assert_eq!(answer, format!("{} http", expected.unwrap_or("127.0.0.1")), "{}", lines);
    }
}

#[test]
fn a_unix_socket_behind_a_proxy_tells_its_clients_addresses() {
    use std::os::{linux::net::SocketAddrExt, unix::net::UnixStream};
    run(async {
        let name = format!("waterspout-xheaders-{}", std::process::id());
        let listener = bind_unix_socket(format!("\0{name}"), &UnixBindOptions::new()).unwrap();
        let server = HttpServer::with_options(whose, ServerOptions::new().xheaders(trusting(&[])));
        server.add_sockets([listener]).unwrap();
        let addr = std::os::unix::net::SocketAddr::from_abstract_name(name).unwrap();
        let client = Client { stream: IOStream::from_unix(UnixStream::connect_addr(&addr).unwrap()).unwrap() };
        client.send("GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 6.6.6.6, 4.4.4.4\r\n\r\n").await;
        assert_eq!(client.answer().await.text(), "4.4.4.4 http");
    });
}
