//! The `Server` line, for those who want one.

mod common;

use common::{Client, exchange, header, run};
use httpserver::{Body, Error, HttpServer, Request, Response, StatusCode};

/// Answers in the ways that are encoded differently; closes the connection.
async fn service(request: Request) -> Response {
    match request.path() {
        "/usual" => Response::text("usual"),
        "/status" => Response::new(StatusCode::NOT_FOUND),
        "/date" => Response::text("date").with_header("Date", "Sun, 06 Nov 1994 08:49:37 GMT"),
        "/date-status" => Response::new(StatusCode::FOUND).with_header("Date", "Sun, 06 Nov 1994 08:49:37 GMT"),
        "/streamed" => Response::text(Body::writer(async |mut out| out.write("streamed").await)),
        "/empty" => Response::empty(),
        "/large" => Response::bytes(vec![b'x'; 100_000]),
        _ => Response::text("own").with_header("server", "mine").with_status(StatusCode::ACCEPTED),
    }
}

const PATHS: [&str; 7] = ["/usual", "/status", "/date", "/date-status", "/streamed", "/empty", "/large"];

/// The values of all Server lines of one answer.
fn servers(head: &str) -> Vec<&str> {
    let lines = head.lines().filter_map(|line| line.split_once(": "));
    lines.filter(|(name, _)| name.eq_ignore_ascii_case("server")).map(|(_, value)| value).collect()
}

async fn heads(server: &HttpServer) -> Vec<(String, String)> {
    let addr = server.listen(("127.0.0.1", 0)).unwrap().local_addr();
    let client = Client::connect(addr).await;
    let mut heads = Vec::new();
    for path in PATHS.iter().copied().chain(["/own", "/usual"]) {
        client.send(format!("HEAD {path} HTTP/1.1\r\nHost: a\r\n\r\n")).await;
        heads.push((path.to_owned(), client.head().await));
        client.send(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n")).await;
        heads.push((path.to_owned(), client.answer().await.head));
    }
    let refused = exchange(addr, "GET /usual HTTP/1.1\r\n\r\n").await;
    assert!(refused.starts_with("HTTP/1.1 400 "), "{refused}");
    heads.push(("no Host".to_owned(), refused.split("\r\n\r\n").next().unwrap().to_owned()));
    heads
}

#[test]
fn there_is_none_unless_it_was_asked_for() {
    run(async {
        for (path, head) in heads(&HttpServer::new(service)).await {
            let expected: &[&str] = if path == "/own" { &["mine"] } else { &[] };
            assert_eq!(servers(&head), expected, "{path}");
        }
    });
}

#[test]
fn every_answer_has_one_and_that_of_the_service_goes_first() {
    run(async {
        let server = HttpServer::new(service).server_header(" example/1.0 ").unwrap();
        for (path, head) in heads(&server).await {
            let expected = if path == "/own" { "mine" } else { "example/1.0" };
            assert_eq!(servers(&head), [expected], "{path}: {head}");
            assert!(header(&head, "date").is_some(), "{path}: {head}");
        }
    });
}

#[test]
fn a_value_that_could_split_an_answer_is_refused() {
    for value in ["a\r\nb", "a\nb", "a\0"] {
        let server = HttpServer::new(service);
        let error = server.clone().server_header(value).unwrap_err();
        assert!(matches!(error, Error::InvalidHeader(_)), "{error}");
        run(async { assert!(servers(&heads(&server).await[0].1).is_empty()) });
    }
}
