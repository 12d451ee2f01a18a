//! Which connections go on behind an answer.

mod common;

use common::{Client, exchange, header, run, serve};
use httpserver::Request;

async fn path(request: Request) -> String {
    request.path().to_owned()
}

#[test]
fn http_1_1_is_kept_alive_without_a_word() {
    run(async {
        let client = Client::connect(serve(path)).await;
        for target in ["/one", "/two", "/three"] {
            client.send(format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n")).await;
            let answer = client.answer().await;
            assert_eq!((answer.status(), answer.text()), (200, target));
            assert_eq!(answer.header("connection"), None);
        }
        client.end().await;
        client.expect_closed().await;
    });
}

#[test]
fn http_1_1_with_close_ends_behind_the_answer() {
    run(async {
        let answer = exchange(serve(path), "GET /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await;
        assert_eq!(header(&answer, "connection"), Some("close"));
        assert!(answer.ends_with("\r\n\r\n/x"));
    });
}

#[test]
fn http_1_0_ends_behind_the_answer() {
    run(async {
        let answer = exchange(serve(path), "GET /x HTTP/1.0\r\n\r\n").await;
        assert_eq!(header(&answer, "connection"), Some("close"));
        assert!(answer.ends_with("\r\n\r\n/x"));
    });
}

#[test]
fn http_1_0_with_keep_alive_is_kept_and_told_so() {
    run(async {
        let client = Client::connect(serve(path)).await;
        for _ in 0..3 {
            client.send("GET /x HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n").await;
            let answer = client.answer().await;
            assert_eq!(answer.header("connection"), Some("keep-alive"));
            assert_eq!(answer.text(), "/x");
        }
        client.send("GET /x HTTP/1.0\r\n\r\n").await;
        assert!(client.rest().await.ends_with("/x"));
    });
}

#[test]
fn connection_is_a_list_of_tokens_over_several_lines() {
    let closing = [
        "HTTP/1.1\r\nHost: a\r\nConnection: Keep-Alive, Close\r\n",
        "HTTP/1.1\r\nHost: a\r\nConnection: keep-alive\r\nConnection: x ,\tCLOSE ,\r\n",
        "HTTP/1.1\r\nHost: a\r\nconnection: ,,close\r\nConnection: keep-alive\r\n",
        "HTTP/1.0\r\nConnection: keep-alive\r\nConnection: close\r\n",
    ];
    run(async {
        let addr = serve(path);
        for head in closing {
            let answer = exchange(addr, format!("GET /x {head}\r\n")).await;
            assert_eq!(header(&answer, "connection"), Some("close"), "{head}");
        }
        // A token is not a part of another one.
        for head in
            ["HTTP/1.1\r\nHost: a\r\nConnection: closed, not-close\r\n", "HTTP/1.0\r\nConnection: x,keep-alive\r\n"]
        {
            let client = Client::connect(addr).await;
            for _ in 0..2 {
                client.send(format!("GET /x {head}\r\n")).await;
                assert_eq!(client.answer().await.text(), "/x", "{head}");
            }
        }
    });
}

#[test]
fn an_answer_may_end_the_connection() {
    run(async {
        let addr = serve(async |_: Request| {
            let mut response = httpserver::Response::text("bye");
            response.close_connection();
            response
        });
        let answer = exchange(addr, "GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
        assert_eq!(header(&answer, "connection"), Some("close"));
    });
}

#[test]
fn one_empty_line_between_requests_is_tolerated() {
    run(async {
        let client = Client::connect(serve(path)).await;
        for _ in 0..2 {
            client.send("\r\nGET /x HTTP/1.1\r\nHost: a\r\n\r\n").await;
            assert_eq!(client.answer().await.text(), "/x");
        }
    });
}
