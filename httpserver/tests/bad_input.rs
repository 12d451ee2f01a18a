//! What is not HTTP, or could be read in two ways, is refused, and the client gets to know.

mod common;

use common::{Client, SMUGGLED, exchange, expect_refusal, expect_refusals, run, serve, serve_with, status};
use httpserver::{HttpServer, Limits, Request, Response};

async fn echo(mut request: Request) -> httpserver::Result<Response> {
    Ok(Response::bytes(request.bytes().await?))
}

#[test]
fn malformed_heads_are_400() {
    let heads = [
        "nonsense\r\n\r\n",
        "GET  / HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.1 \r\nHost: a\r\n\r\n",
        "G@T / HTTP/1.1\r\nHost: a\r\n\r\n",
        "FOO,BAR / HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /a b HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET a HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /\x01 HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost:\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a%zz\r\n\r\n",
        "GET http://a%/ HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /%00 HTTP/1.1\r\nHost: a\r\n\r\n",
        "CONNECT a:0 HTTP/1.1\r\nHost: a:0\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a,b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nA : b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nno colon\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\n: no name\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nA: b\r\n folded\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nA: b\0c\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nA: b\rc\r\n\r\n",
        "GET / HTTP/1.1\nHost: a\n\n",
        "GET / HTTP/1.1\r\nHost: a\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\n\n",
        "\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.10\r\nHost: a\r\n\r\n",
        "GET / http/1.1\r\nHost: a\r\n\r\n",
        "GET /\r\n\r\n",
    ];
    expect_refusals(400, heads);
    // The beginning of a TLS handshake, and of nothing at all.
    expect_refusals(400, [&b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n"[..], &b"\0\0\0\0\r\n\r\n"[..]]);
}

#[test]
fn lengths_that_could_be_read_in_two_ways_are_400() {
    let values = [
        "+3",
        "-3",
        "0_3",
        "3 3",
        "0x3",
        "",
        "3,3",
        "3, 4",
        "3.0",
        "99999999999999999999",
        "\u{ff13}",
        "3;",
        "03",
        "00",
    ];
    let inputs =
        values.map(|value| format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {value}\r\n\r\nabc{SMUGGLED}"));
    expect_refusals(400, inputs);
    expect_refusals(
        400,
        [
            format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc{SMUGGLED}"),
            format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc{SMUGGLED}"),
            format!(
                "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{SMUGGLED}"
            ),
            format!(
                "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 6\r\n\r\n0\r\n\r\n{SMUGGLED}"
            ),
        ],
    );
}

#[test]
fn transfer_codings_that_could_be_read_in_two_ways_are_refused() {
    let request = |lines: &str| format!("POST / HTTP/1.1\r\nHost: a\r\n{lines}\r\n\r\n0\r\n\r\n{SMUGGLED}");
    expect_refusals(
        400,
        [
            request("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked"),
            request("Transfer-Encoding: chunked, chunked"),
            request("Transfer-Encoding: \x0bchunked"),
            request("Transfer-Encoding: \u{a0}chunked"),
            request("Transfer-Encoding: chunked, gzip"),
            request("Transfer-Encoding:"),
            "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n".to_owned(),
        ],
    );
    expect_refusals(501, [request("Transfer-Encoding: gzip, chunked")]);
}

#[test]
fn broken_chunks_are_400() {
    let bodies = [
        "0x3\r\nabc\r\n0\r\n\r\n",
        "-1\r\n\r\n",
        "+3\r\nabc\r\n0\r\n\r\n",
        "1_0\r\nabc\r\n0\r\n\r\n",
        "3 \r\nabc\r\n0\r\n\r\n",
        " 3\r\nabc\r\n0\r\n\r\n",
        "\r\nabc\r\n0\r\n\r\n",
        "g\r\n\r\n",
        "fffffffffffffffff\r\n\r\n",
        "3\nabc\n0\n\n",
        "3\r\nabcXX0\r\n\r\n",
        "3\r\nabcd\r\n0\r\n\r\n",
        "0\r\nX\r\n\r\n",
        "0\r\nContent-Length: 3\r\n\r\n",
        "3;\x01\r\nabc\r\n0\r\n\r\n",
        "3;\r\nabc\r\n0\r\n\r\n",
        "3;a=\r\nabc\r\n0\r\n\r\n",
        "3;a=\"x\r\nabc\r\n0\r\n\r\n",
        "00000000000000003\r\nabc\r\n0\r\n\r\n",
    ];
    let head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    expect_refusals(400, bodies.map(|body| format!("{head}{body}{SMUGGLED}")));
}

#[test]
fn too_long_heads_are_414_and_431() {
    let long = "x".repeat(70_000);
    expect_refusals(
        414,
        [format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", &long[..9_000]), format!("GET /{}", &long[..20_000])],
    );
    expect_refusals(
        431,
        [
            format!("GET / HTTP/1.1\r\nHost: a\r\nX: {long}\r\n\r\n"),
            format!("GET / HTTP/1.1\r\nHost: a\r\nX: {long}"),
            format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: y\r\n".repeat(101)),
        ],
    );
    run(async {
        let limits = || Limits::default().max_head(1_000).max_headers(4).max_target(100);
        let head = |lines: usize, target: usize| {
            let lines: String = (1..lines).map(|i| format!("X{i}: y\r\n")).collect();
            format!("GET /{} HTTP/1.1\r\nHost: a\r\n{lines}\r\n", &long[1..target])
        };
        let addr = serve_with(limits(), echo);
        let client = Client::connect(addr).await;
        client.send(head(4, 100)).await;
        assert_eq!(client.answer().await.status(), 200);
        expect_refusal(limits(), head(5, 100).as_bytes(), 431).await;
        expect_refusal(limits(), head(4, 101).as_bytes(), 414).await;
    });
}

#[test]
fn a_method_longer_than_any_is_501() {
    let method = "M".repeat(10_000);
    expect_refusals(501, [format!("{method} / HTTP/1.1\r\nHost: a\r\n\r\n"), method.repeat(10)]);
}

#[test]
fn other_versions_are_505() {
    expect_refusals(
        505,
        [
            "GET / HTTP/0.9\r\nHost: a\r\n\r\n",
            "GET / HTTP/2.0\r\nHost: a\r\n\r\n",
            "GET / HTTP/3.1\r\nHost: a\r\n\r\n",
            "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        ],
    );
}

#[test]
fn a_higher_minor_version_is_served_as_1_1() {
    run(async {
        let client = Client::connect(serve(echo)).await;
        client.send("GET / HTTP/1.9\r\nHost: a\r\n\r\n".repeat(2)).await;
        for _ in 0..2 {
            let answer = client.answer().await;
            assert_eq!((answer.status(), answer.header("connection")), (200, None));
        }
    });
}

#[test]
fn the_client_sees_the_answer_although_it_has_sent_more() {
    run(async {
        let more = "x".repeat(200 * 1024);
        let addr = serve(echo);
        for (input, expected) in [
            (format!("nonsense\r\n\r\n{more}"), 400),
            (format!("GET / HTTP/2.0\r\n\r\n{more}"), 505),
            (format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999\r\n\r\n{more}"), 413),
            (format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2000000\r\n\r\n{more}"), 413),
            (format!("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{more}"), 400),
        ] {
            let client = Client::connect(addr).await;
            // All of it before the first look at the answer.
            client.send(input).await;
            assert_eq!(status(&client.rest().await), expected);
            // Our side is still open: more may be on its way, and does no harm.
            client.send("and more").await;
        }
    });
}

#[test]
fn so_does_a_client_that_has_sent_more_than_its_last_request() {
    run(async {
        let more = "x".repeat(200 * 1024);
        let answer =
            exchange(serve(echo), format!("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n{more}")).await;
        assert_eq!(status(&answer), 200);
    });
}

#[test]
fn a_refused_connection_is_closed_as_soon_as_the_client_has_closed_its_side() {
    run(async {
        let limits = Limits::default().linger_timeout(std::time::Duration::from_secs(3600));
        let server = HttpServer::with_limits(echo, limits);
        let server = server.listen(("127.0.0.1", 0)).unwrap();
        let client = Client::connect(server.local_addr()).await;
        client.send("nonsense\r\n\r\n").await;
        assert_eq!(status(&client.rest().await), 400);
        assert_eq!(server.connections(), 1);
        client.end().await;
        common::until(|| server.connections() == 0).await;
    });
}

#[test]
fn headers_that_look_alike_do_not_frame_anything() {
    run(async {
        let client = Client::connect(serve(echo)).await;
        client
            .send("GET / HTTP/1.1\r\nHost: a\r\nContent_Length: 5\r\nX-Transfer-Encoding: chunked\r\n\r\n".repeat(2))
            .await;
        for _ in 0..2 {
            assert_eq!(client.answer().await.status(), 200);
        }
    });
}
