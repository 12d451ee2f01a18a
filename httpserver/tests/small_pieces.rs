//! However the bytes arrive, the answers are the same.

mod common;

use common::{Client, Event, run, serve, turns};
use httpserver::{Request, Response, Result};

async fn echo(mut request: Request) -> Result<Response> {
    let body = request.bytes().await?;
    Ok(Response::text(format!("{} {} {}", request.method(), request.path(), String::from_utf8_lossy(&body))))
}

const CONVERSATION: &str = concat!(
    "GET /one?a=b HTTP/1.1\r\nHost: example.com\r\nAccept: */*\r\n\r\n",
    "\r\nPOST /two HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\nhello world",
    "POST /three HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
    "5\r\nhello\r\nB;x=\"y\"\r\n world and \r\n4\r\nmore\r\n0\r\nX-Sum: 1\r\n\r\n",
    "HEAD /four HTTP/1.1\r\nHost: a\r\n\r\n",
    "POST /five HTTP/1.0\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nhi",
    "GET /six HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
);

/// All answers, without their dates.
async fn converse(addr: std::net::SocketAddr, input: &[u8], size: usize) -> String {
    let client = Client::connect(addr).await;
    for piece in input.chunks(size) {
        client.send(piece).await;
        // The server reads each piece by itself.
        turns(2).await;
    }
    let answers = client.rest().await;
    answers.lines().filter(|line| !line.starts_with("Date: ")).collect::<Vec<_>>().join("\n")
}

#[test]
fn pieces_of_any_size_get_the_same_answers() {
    run(async {
        let addr = serve(echo);
        let whole = converse(addr, CONVERSATION.as_bytes(), usize::MAX).await;
        assert_eq!(whole.matches("HTTP/1.1 200 OK").count(), 6);
        for expected in
            ["GET /one ", "POST /two hello world", "POST /three hello world and more", "POST /five hi", "GET /six "]
        {
            assert!(whole.contains(expected), "{expected}: {whole}");
        }
        for size in [1, 2, 3, 5, 7, 16, 100] {
            assert_eq!(converse(addr, CONVERSATION.as_bytes(), size).await, whole, "in pieces of {size}");
        }
    });
}

#[test]
fn pieces_of_any_size_get_the_same_refusal() {
    run(async {
        let addr = serve(echo);
        for bad in [
            "GET / HTTP/1.1\r\nHost: a\r\nA : b\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcX",
        ] {
            let input = format!("GET /one HTTP/1.1\r\nHost: a\r\n\r\n{bad}");
            let whole = converse(addr, input.as_bytes(), usize::MAX).await;
            assert!(whole.contains("HTTP/1.1 400 "));
            for size in [1, 2, 5] {
                assert_eq!(converse(addr, input.as_bytes(), size).await, whole, "in pieces of {size}");
            }
        }
    });
}

const CHUNKS: usize = 200_000;

/// A request whose body comes in chunks of one byte.
fn one_byte_chunks() -> Vec<u8> {
    let mut input = b"POST /chunks HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    input.extend_from_slice(&b"1\r\nx\r\n".repeat(CHUNKS));
    input.extend_from_slice(b"0\r\n\r\n");
    input
}

#[test]
fn chunks_of_one_byte_are_delivered_together() {
    run(async {
        let addr = serve(async |mut request: Request| -> Result<Response> {
            let (mut pieces, mut bytes) = (0, 0);
            while let Some(piece) = request.body_mut().chunk().await? {
                pieces += 1;
                bytes += piece.len();
            }
            assert!(pieces < CHUNKS / 10, "{pieces} pieces");
            Ok(Response::text(bytes.to_string()))
        });
        let client = Client::connect(addr).await;
        client.send(one_byte_chunks()).await;
        assert_eq!(client.answer().await.text(), CHUNKS.to_string());
    });
}

#[test]
fn other_connections_are_answered_while_chunks_of_one_byte_come() {
    run(async {
        let (begun, ended) = (Event::new(), Event::new());
        let addr = serve({
            let (begun, ended) = (begun.clone(), ended.clone());
            async move |mut request: Request| -> Result<Response> {
                if request.path() == "/other" {
                    return Ok(Response::text("other"));
                }
                begun.set();
                let body = request.bytes().await?;
                ended.set();
                Ok(Response::text(body.len().to_string()))
            }
        });
        let (slow, other) = (Client::connect(addr).await, Client::connect(addr).await);
        let input = one_byte_chunks();
        let mut answered = 0;
        for part in input.chunks(32 * 1024) {
            slow.send(part).await;
            begun.wait().await;
            assert!(!ended.is_set());
            other.send("GET /other HTTP/1.1\r\nHost: a\r\n\r\n").await;
            assert_eq!(other.answer().await.text(), "other");
            answered += 1;
        }
        assert!(answered > 10);
        assert_eq!(slow.answer().await.text(), CHUNKS.to_string());
    });
}
