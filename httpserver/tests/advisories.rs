//! What other servers had to be mended for, Tornado first: one test for each advisory that concerns this layer. Its number
//! stands above the test, so that it can be searched for.

mod common;

use common::{Client, SMUGGLED, exchange, expect_refusals, header, run, serve, status};
use httpserver::{
    Bytes, Error, Limits, Method, Request, Response, Result, StatusCode,
    codec::{BodyFraming, RequestStart, encode_request_head, parse_request_head},
    httputil::{Arguments, parse_cookie},
    multipart::FormData,
};

const CHUNKED: &str = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";

fn post(lines: &str, body: &str) -> String {
    format!("POST / HTTP/1.1\r\nHost: a\r\n{lines}\r\n\r\n{body}{SMUGGLED}")
}

fn get(lines: &str) -> String {
    format!("GET / HTTP/1.1\r\n{lines}\r\n\r\n{SMUGGLED}")
}

// Framing.

/// GHSA-qppv-j76h-2rpx, CVE-2023-54397: `int()` took signs, underscores and digits of other scripts.
#[test]
fn lengths_are_digits_and_nothing_else() {
    let lengths = ["+3", "-3", "0_3", "3 3", "\u{ff13}", "0x3", "", "3\u{b}"];
    expect_refusals(400, lengths.map(|length| post(&format!("Content-Length: {length}"), "abc")));
    let sizes = ["0x3", "-1", "+3", "1_0", "3 ", " 3", "", "\u{ff13}"];
    expect_refusals(400, sizes.map(|size| format!("{CHUNKED}{size}\r\nabc\r\n0\r\n\r\n{SMUGGLED}")));
}

/// GHSA-753j-mpmx-qq6g: a second `Transfer-Encoding: chunked` made the body the next request, and white space of other
/// kinds was stripped from the value.
#[test]
fn chunked_is_said_once_and_without_odd_white_space() {
    let lines = [
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked, chunked",
        "Transfer-Encoding:\u{b}chunked",
        "Transfer-Encoding: \u{c}chunked",
        "Transfer-Encoding: chunked\u{1c}",
    ];
    expect_refusals(400, lines.map(|lines| post(lines, "0\r\n\r\n")));
    let latin = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \xa0chunked\r\n\r\n0\r\n\r\n";
    expect_refusals(400, [[latin, SMUGGLED.as_bytes()].concat()]);
}

/// Tornado 6.0 to 6.5: Content-Length beside Transfer-Encoding.
#[test]
fn a_length_and_chunks_together_are_refused() {
    let (length, coding) = ("Content-Length: 6", "Transfer-Encoding: chunked");
    expect_refusals(
        400,
        [post(&format!("{length}\r\n{coding}"), "0\r\n\r\n"), post(&format!("{coding}\r\n{length}"), "0\r\n\r\n")],
    );
}

/// Tornado 4.5.3, #2225: what follows the last chunk was not looked at.
#[test]
fn the_last_chunk_is_followed_by_its_empty_line() {
    for (behind, expected) in [("\r\n", 200), ("X", 400), ("\n", 400), ("\rX", 400), ("GET", 400), ("\r\r\n", 400)] {
        run(async {
            let client = Client::connect(serve(collect)).await;
            client.send(format!("{CHUNKED}3\r\nabc\r\n0\r\n{behind}{SMUGGLED}")).await;
            assert_eq!(client.answer().await.status(), expected, "{behind:?}");
            if expected == 400 {
                client.expect_closed().await;
            }
        });
    }
}

async fn collect(mut request: Request) -> Result<Response> {
    Ok(Response::bytes(request.bytes().await?))
}

/// Tornado 6.6.0: chunk data without its CR LF was an assertion, and without assertions another framing.
#[test]
fn chunk_data_is_followed_by_cr_lf() {
    let ends = ["XX", "X\n", "\n", "\r", "", "\rX"];
    expect_refusals(400, ends.map(|end| format!("{CHUNKED}3\r\nabc{end}0\r\n\r\n{SMUGGLED}")));
}

/// Tornado 6.5.0: start lines and fields follow their grammar.
#[test]
fn start_lines_and_fields_follow_their_grammar() {
    let lines = ["GET  / HTTP/1.1", "GET / HTTP/1.1 ", "G@T / HTTP/1.1", "FOO,BAR / HTTP/1.1", "GET / HTTP/1.10"];
    expect_refusals(400, lines.map(|line| format!("{line}\r\nHost: a\r\n\r\n{SMUGGLED}")));
    expect_refusals(505, ["2.0", "0.9"].map(|version| format!("GET / HTTP/{version}\r\nHost: a\r\n\r\n{SMUGGLED}")));
    let hosts = ["Host: a b", "Host: a,b", "Host: a\r\nHost: a", "X: no host"];
    expect_refusals(400, hosts.map(get));
    let fields = ["A : b", "A: b\0c", "A: \u{1}", "A: b\rc", "A: \u{7f}", "A", ": b"];
    expect_refusals(400, fields.map(|field| get(&format!("Host: a\r\n{field}"))));
}

/// Lengths that are said twice, also when they agree: Tornado takes those, and RFC 9110 8.6 lets a server refuse them.
#[test]
fn a_length_is_said_once() {
    let lines =
        ["Content-Length: 3\r\nContent-Length: 4", "Content-Length: 3\r\nContent-Length: 3", "Content-Length: 3, 3"];
    expect_refusals(400, lines.map(|lines| post(lines, "abc")));
}

/// CVE-2026-116577, GHSA-pcg2-g6cj-q92c: folded lines were joined in quadratic time. They are refused, at the first one.
#[test]
fn folded_lines_are_refused() {
    let folded = "\r\n a".repeat(20_000);
    expect_refusals(
        400,
        [get(&format!("Host: a\r\nX: y{folded}")), get("Host: a\r\nX: y\r\n\tz"), get(" X: y\r\nHost: a")],
    );
}

/// Tornado 6.7: lines that end in LF alone, or in CR.
#[test]
fn lines_end_in_cr_lf() {
    expect_refusals(
        400,
        [
            format!("GET / HTTP/1.1\nHost: a\n\n{SMUGGLED}"),
            format!("GET / HTTP/1.1\rHost: a\r\r{SMUGGLED}"),
            format!("{CHUNKED}3\nabc\n0\n\n{SMUGGLED}"),
        ],
    );
}

/// Tornado took chunks in HTTP/1.0, and kept the connection.
#[test]
fn chunks_in_http_1_0_are_refused() {
    expect_refusals(400, [format!("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{SMUGGLED}")]);
}

/// CVE-2025-55315 of Kestrel: line ends in chunk extensions.
#[test]
fn chunk_extensions_have_no_line_ends() {
    let extensions = ["3;\n", "3;a\nb\r\n", "3;a=\"\n\"\r\n", "3;a=\"\r\"\r\n", "3;\rx\r\n"];
    expect_refusals(400, extensions.map(|line| format!("{CHUNKED}{line}abc\r\n0\r\n\r\n{SMUGGLED}")));
}

/// CVE-2023-39326 of Go: extensions without end around a body without content.
#[test]
fn chunk_extensions_are_bounded() {
    let chunk = format!("1;{}\r\na\r\n", "e".repeat(200));
    expect_refusals(400, [format!("{CHUNKED}{}", chunk.repeat(1_000)), format!("{CHUNKED}1;{}", "e".repeat(10_000))]);
}

// Splitting of responses.

/// CVE-2012-2374, GHSA-f7fv-v9rh-prvc: CR and LF in a header of the answer.
#[test]
fn a_header_cannot_split_the_answer() {
    run(async {
        let addr = serve(async |_: Request| -> Result<Response> {
            let mut response = Response::text("hello");
            for value in
                ["foo\r\nX-Bar: baz", "foo\nX-Bar: baz", "foo\r\n\r\nHTTP/1.1 200 OK", "foo\rX-Bar: baz", "a\0b"]
            {
                assert!(matches!(response.set_header("X-Foo", value), Err(Error::InvalidHeader(_))));
                assert!(matches!(response.append_header("Location", value), Err(Error::InvalidHeader(_))));
                assert!(response.set_header(value, "x").is_err());
            }
            response.set_header("X-Foo", "foo\r\nX-Bar: baz")?;
            Ok(response)
        });
        let answer = exchange(addr, "GET / HTTP/1.0\r\n\r\n").await;
        assert_eq!((status(&answer), header(&answer, "x-foo"), header(&answer, "x-bar")), (500, None, None));
        // Where nobody looks at the error.
        let addr = serve(async |_: Request| Response::text("").with_header("Location", "/a\r\nSet-Cookie: x=1"));
        let answer = exchange(addr, "GET / HTTP/1.0\r\n\r\n").await;
        assert_eq!((status(&answer), header(&answer, "set-cookie")), (500, None));
    });
}

/// GHSA-w235-7p84-xx57: a lone CR in the headers of a client's request.
#[test]
fn a_request_that_is_sent_on_cannot_be_split() {
    let start =
        RequestStart { method: &Method::GET, target: "/", host: "a", body: BodyFraming::None, keep_alive: true };
    for bad in ["a\rb", "a\nb", "a\r\nb", "a\0b"] {
        let mut out = Vec::new();
        assert!(encode_request_head(&mut out, &start, [("X", bad)]).is_err());
        assert!(encode_request_head(&mut out, &start, [(bad, "x")]).is_err());
        let none = std::iter::empty::<(&str, &str)>;
        assert!(encode_request_head(&mut out, &RequestStart { target: &format!("/{bad}"), ..start }, none()).is_err());
        assert!(encode_request_head(&mut out, &RequestStart { host: bad, ..start }, none()).is_err());
        assert!(out.is_empty());
    }
}

/// CVE-2025-67724, GHSA-pr2v-jx2c-wg9f: a reason phrase of the program's own. There is none here, and a status without a
/// name has an empty one.
#[test]
fn the_reason_phrase_is_not_the_programs() {
    run(async {
        for (code, line) in
            [(404, "HTTP/1.1 404 Not Found\r\n"), (599, "HTTP/1.1 599 \r\n"), (999, "HTTP/1.1 999 \r\n")]
        {
            let addr = serve(async move |_: Request| Response::new(StatusCode::from_u16(code).unwrap()));
            let answer = exchange(addr, "GET / HTTP/1.0\r\n\r\n").await;
            assert!(answer.starts_with(line), "{answer}");
        }
    });
}

// Denial of service.

/// CVE-2025-67725, GHSA-c98p-7wgm-6p64: a header name that is repeated was joined in quadratic time. Lines are kept as they
/// came, and their number is bounded; see the floods for what the others get meanwhile.
#[test]
fn a_header_that_is_repeated_stays_a_list_of_lines() {
    let head = format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: y\r\n".repeat(255));
    let limits = Limits::default().max_headers(256);
    for _ in 0..200 {
        let (_, head) = parse_request_head(head.as_bytes(), &limits).unwrap().unwrap();
        assert_eq!(head.headers.get_all("x").count(), 255);
    }
    expect_refusals(431, [get(&format!("Host: a\r\n{}", "X: y\r\n".repeat(8_000)))]);
}

/// CVE-2026-115927, GHSA-r4j5-9xpp-3985: millions of chunks of one byte. They are delivered together; what they cost the
/// others and in memory is counted by the tests of floods.
#[test]
fn chunks_of_one_byte_are_delivered_together() {
    const CHUNKS: usize = 1_000_000;
    run(async {
        let addr = serve(async |mut request: Request| -> Result<Response> {
            let (mut pieces, mut length) = (0, 0);
            while let Some(piece) = request.body_mut().chunk().await? {
                pieces += 1;
                length += piece.len();
            }
            assert!(pieces < CHUNKS / 100, "{pieces} pieces");
            Ok(Response::text(length.to_string()))
        });
        let client = Client::connect(addr).await;
        client.send([CHUNKED.as_bytes(), &b"1\r\na\r\n".repeat(CHUNKS), b"0\r\n\r\n"].concat()).await;
        assert_eq!(client.answer().await.text(), CHUNKS.to_string());
    });
}

/// Tornado 6.6.1: percent-decoding took quadratic time. Targets are not decoded here, and arguments once.
#[test]
fn escapes_cost_no_more_than_their_length() {
    let limits = Limits::default().max_target(60_000);
    for target in [
        format!("/{}", "%41".repeat(19_000)),
        format!("/?{}", "%41".repeat(19_000)),
        format!("/{}", "%".repeat(57_000)),
    ] {
        let head = format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n");
        for _ in 0..50 {
            let (_, head) = parse_request_head(head.as_bytes(), &limits).unwrap().unwrap();
            assert_eq!(head.target(), target);
        }
    }
    let arguments = "%41".repeat(1_000_000);
    let arguments = Arguments::parse(arguments.as_bytes()).unwrap();
    assert_eq!(arguments.get(&"A".repeat(1_000_000)).unwrap().as_deref(), Some(""));
}

/// CVE-2026-82397, GHSA-mpf4-983q-p7j4 and CVE-2026-103261, GHSA-3hv7-mjh2-fv65: millions of arguments in a form, and in a
/// query.
#[test]
fn the_number_of_arguments_is_bounded() {
    assert!(matches!(Arguments::parse("a=&".repeat(2_000_000).as_bytes()), Err(Error::TooManyArguments { .. })));
    run(async {
        let addr = serve(async |request: Request| -> Result<Response> {
            request.query_arguments()?;
            Ok(Response::text("few"))
        });
        for (count, expected) in [(999, 200), (1_000, 200), (1_001, 400)] {
            let query = vec!["a"; count].join("&");
            let answer = exchange(addr, format!("GET /?{query} HTTP/1.0\r\n\r\n")).await;
            assert_eq!(status(&answer), expected, "{count}");
        }
    });
}

/// CVE-2024-52804, GHSA-8w49-h785-mj3c: quoted values of cookies were unquoted in quadratic time.
#[test]
fn cookies_are_unquoted_in_linear_time() {
    for piece in ["\\012", "\\\""] {
        // What is quadratic takes minutes for this.
        let line = format!("a=\"{}\"", piece.repeat(500_000));
        assert_eq!(parse_cookie(line.as_bytes()).count(), 1);
    }
}

fn parse_form(body: impl Into<Vec<u8>>) -> Result<FormData> {
    FormData::parse(b"multipart/form-data; boundary=b", Bytes::from(body.into()), Default::default())
}

/// CVE-2025-47287, GHSA-7cx3-6m66-7c5m: each malformed part was a line in the log, and the next one was read.
#[test]
fn the_first_malformed_part_ends_a_form() {
    let body = ["--b\r\nnonsense\r\n\r\nx\r\n".repeat(20), "--b--\r\n".to_owned()].concat();
    assert_eq!(parse_form(body).unwrap_err().status(), Some(StatusCode::BAD_REQUEST));
}

/// CVE-2026-31958, GHSA-qjxf-f2mg-c6mc and GHSA-8423-8fgw-73vq: parts without number, counted when all had been split.
#[test]
fn the_number_of_parts_is_bounded() {
    let part = "--b\r\nContent-Disposition: form-data; name=a\r\n\r\nx\r\n";
    assert!(parse_form(format!("{}--b--\r\n", part.repeat(100))).is_ok());
    assert_eq!(
        parse_form(format!("{}--b--\r\n", part.repeat(101))).unwrap_err().status(),
        Some(StatusCode::BAD_REQUEST)
    );
}

/// CVE-2025-67726, GHSA-jhmp-mqwm-3gq8: parameters with many quotes and semicolons were parsed in quadratic time.
#[test]
fn parameters_are_parsed_in_linear_time() {
    for _ in 0..200 {
        let body =
            format!("--b\r\nContent-Disposition: form-data; name=a; x=\"{}\"\r\n\r\nx\r\n--b--\r\n", ";".repeat(9_000));
        assert!(parse_form(body).is_ok());
    }
}

/// Tornado 6.5.5: CR in the header of a part.
#[test]
fn the_header_of_a_part_has_no_control_characters() {
    for name in ["a\rb", "a\nb", "a\0b"] {
        let body = format!("--b\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\nx\r\n--b--\r\n");
        assert_eq!(parse_form(body).unwrap_err().status(), Some(StatusCode::BAD_REQUEST), "{name:?}");
    }
}

/// CVE-2026-49855, GHSA-mgf9-4vpg-hj56, and Tornado 6.6.0: the limit counted what was compressed; several members, and
/// garbage behind them.
#[test]
fn a_compressed_body_is_judged_by_what_comes_out() {
    use std::io::Write;

    let member = |content: &[u8]| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(content).unwrap();
        encoder.finish().unwrap()
    };
    let read = |body: Vec<u8>| {
        let mut request = Request::builder().header("Content-Encoding", "gzip").body(body).build().unwrap();
        request.decompress(1 << 20).unwrap();
        run(request.bytes_limited(usize::MAX)).map_err(|error| error.status().unwrap().as_u16())
    };
    assert_eq!(read(member(&vec![0; 10 << 20])), Err(413));
    assert_eq!(read([member(b"a"), member(b"b")].concat()), Ok(Bytes::from("ab")));
    assert_eq!(read([member(b"a"), b"x".to_vec()].concat()), Err(400));
}
