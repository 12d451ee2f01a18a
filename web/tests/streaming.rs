//! Responses that are sent piece by piece.

mod util;

use std::{sync::mpsc::channel, time::Duration};

use util::serve;
use web::{Application, Error, Exchange, StatusCode};

#[test]
fn each_flush_is_a_chunk_and_arrives_at_once() {
    let (go_on, wait) = channel::<()>();
    let server = serve(move || {
        Application::new().get("/", async move |exchange: &mut Exchange| {
            exchange.set_header("Content-Type", "text/plain")?;
            exchange.write("one");
            exchange.flush().await?;
            // The client has the first chunk before the second is written: it says so.
            while wait.try_recv().is_err() {
                web::sleep(Duration::from_millis(1)).await;
            }
            exchange.write("two");
            exchange.write("three");
            exchange.flush().await?;
            exchange.write("four");
            Ok(())
        })
    });
    let mut client = server.connect();
    client.request("GET", "/", "", "");
    let head = client.head();
    assert_eq!(head.header("transfer-encoding"), Some("chunked"));
    assert_eq!(head.header("content-type"), Some("text/plain"));
    assert_eq!(client.chunk(), b"one");
    go_on.send(()).unwrap();
    assert_eq!(client.chunk(), b"twothree");
    assert_eq!(client.chunk(), b"four");
    assert_eq!(client.chunk(), b"");
    // The connection goes on.
    client.request("GET", "/unknown", "", "");
    assert_eq!(client.reply().status, 404);
}

#[test]
fn the_head_alone_can_be_flushed() {
    let server = serve(|| {
        Application::new().get("/", async |exchange: &mut Exchange| {
            exchange.set_status(StatusCode::ACCEPTED);
            exchange.flush().await?;
            assert!(exchange.is_head_sent());
            exchange.client_gone().await;
            Ok(())
        })
    });
    let mut client = server.connect();
    client.request("GET", "/", "", "");
    let head = client.head();
    assert_eq!(head.status, 202);
    assert_eq!(head.header("content-type"), Some("text/html; charset=utf-8"));
}

#[test]
fn a_length_that_was_set_is_kept() {
    let server = serve(|| {
        Application::new().get("/", async |exchange: &mut Exchange| {
            exchange.set_header("Content-Length", "6")?;
            for piece in ["abc", "def"] {
                exchange.write(piece);
                exchange.flush().await?;
            }
            Ok(())
        })
    });
    let reply = server.get("/");
    assert_eq!(reply.header("content-length"), Some("6"));
    assert_eq!(reply.header("transfer-encoding"), None);
    assert_eq!(reply.text(), "abcdef");
    let reply = server.send("HEAD", "/", "", "");
    assert_eq!(reply.header("content-length"), Some("6"));
}

#[test]
fn status_and_headers_cannot_change_once_sent() {
    let server = serve(|| {
        Application::new().get("/", async |exchange: &mut Exchange| {
            exchange.write("a");
            exchange.flush().await?;
            exchange.set_status(StatusCode::NOT_FOUND);
            exchange.clear_header("Content-Type");
            assert!(matches!(exchange.set_header("X", "y"), Err(Error::HeadSent)));
            assert!(matches!(exchange.add_header("X", "y"), Err(Error::HeadSent)));
            assert!(matches!(exchange.redirect("/"), Err(Error::HeadSent)));
            assert!(matches!(exchange.set_cookie(("a", "b")), Err(Error::HeadSent)));
            exchange.write(exchange.status().as_str());
            Ok(())
        })
    });
    assert_eq!(server.get("/").text(), "a200");
}

#[test]
fn an_error_in_mid_stream_cuts_the_connection() {
    let server = serve(|| {
        Application::new()
            .get("/error", async |exchange: &mut Exchange| {
                exchange.write("begun");
                exchange.flush().await?;
                Err(Error::http(StatusCode::NOT_FOUND, "too late"))
            })
            .get("/panic", async |exchange: &mut Exchange| {
                exchange.write("begun");
                exchange.flush().await?;
                panic!("on purpose");
            })
    });
    for target in ["/error", "/panic"] {
        let mut client = server.connect();
        client.request("GET", target, "", "");
        assert_eq!(client.head().status, 200);
        assert_eq!(client.chunk(), b"begun");
        assert_eq!(client.rest(), b"", "no end of the body, no page");
    }
    assert_eq!(server.get("/unknown").status, 404);
}

#[test]
fn a_slow_reader_holds_back_its_handler_only() {
    const PIECES: usize = 400;
    let (sent, pieces_sent) = channel();
    let server = serve(move || {
        Application::new()
            .get("/large", async move |exchange: &mut Exchange| {
                for piece in 0..PIECES {
                    exchange.write(vec![b'x'; 64 * 1024]);
                    exchange.flush().await?;
                    let _ = sent.send(piece);
                }
                Ok(())
            })
            .get("/small", async |exchange: &mut Exchange| {
                exchange.write("small");
                Ok(())
            })
    });
    let mut slow = server.connect();
    slow.request("GET", "/large", "", "");
    assert_eq!(slow.head().status, 200);
    // 25 MiB do not fit into the sockets' buffers: the handler is waiting, and others are served.
    assert_eq!(server.get("/small").text(), "small");
    assert!(pieces_sent.try_iter().last() < Some(PIECES - 1));
    let body = slow.chunked();
    assert_eq!(body.len(), PIECES * 64 * 1024);
}

#[test]
fn http_1_0_gets_no_chunks() {
    let server = serve(|| {
        Application::new().get("/", async |exchange: &mut Exchange| {
            exchange.write("a");
            exchange.flush().await?;
            exchange.write("b");
            Ok(())
        })
    });
    let mut client = server.connect();
    client.send("GET / HTTP/1.0\r\n\r\n");
    let reply = client.reply();
    assert_eq!(reply.header("transfer-encoding"), None);
    assert_eq!(reply.text(), "ab");
}

#[test]
fn writing_after_the_end_is_dropped() {
    let server = serve(|| {
        Application::new().get("/", async |exchange: &mut Exchange| {
            exchange.write("a");
            exchange.finish();
            exchange.write("b");
            exchange.flush().await?;
            Ok(())
        })
    });
    assert_eq!(server.get("/").text(), "a");
}
