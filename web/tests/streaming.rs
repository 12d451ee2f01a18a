//! Responses that are sent piece by piece.

mod util;

use std::{
    sync::mpsc::{Sender, channel},
    time::Duration,
};

use util::{in_process::get, serve};
use web::{Application, Error, Exchange, Extensions, Method, Next, RequestHandler, StatusCode, timeout};

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
            exchange.remove_header("Content-Type");
            assert!(matches!(exchange.set_header("X", "y"), Err(Error::HeadSent)));
            assert!(matches!(exchange.append_header("X", "y"), Err(Error::HeadSent)));
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

#[test]
fn a_handler_reads_and_streams_at_the_same_time() {
    let server = serve(|| {
        Application::new().post("/", async |exchange: &mut Exchange| {
            exchange.write("begun ");
            exchange.flush().await?;
            while let Some(piece) = exchange.chunk().await? {
                exchange.write(piece.to_ascii_uppercase());
                exchange.flush().await?;
            }
            Ok(())
        })
    });
    let mut client = server.connect();
    client.request("POST", "/", "Transfer-Encoding: chunked\r\n", "");
    assert_eq!(client.head().status, 200);
    assert_eq!(client.chunk(), b"begun ");
    // Each piece comes back before the next is sent.
    for (sent, received) in [("3\r\none\r\n", "ONE"), ("5\r\nthree\r\n", "THREE")] {
        client.send(sent);
        assert_eq!(client.chunk(), received.as_bytes());
    }
    client.send("0\r\n\r\n");
    assert_eq!(client.chunk(), b"");
    client.request("GET", "/unknown", "", "");
    assert_eq!(client.reply().status, 404);
}

#[test]
fn a_handler_can_give_up_a_client_that_takes_nothing() {
    let (tell, told) = channel();
    let server = serve(move || {
        Application::new().get("/", async move |exchange: &mut Exchange| {
            loop {
                exchange.write(vec![b'x'; 64 * 1024]);
                // Runs out although the connection has no room and asks for nothing.
                match timeout(Duration::from_millis(100), exchange.flush()).await {
                    Ok(flushed) => flushed?,
                    Err(_elapsed) => {
                        let _ = tell.send(());
                        return Err(Error::http(StatusCode::REQUEST_TIMEOUT, "too slow"));
                    }
                }
            }
        })
    });
    let mut client = server.connect();
    client.request("GET", "/", "", "");
    server.receive(&told);
}

#[test]
fn a_wrap_goes_on_where_the_stream_it_wraps_has_ended() {
    let application = || {
        Application::new()
            .get("/", async |exchange: &mut Exchange| {
                exchange.write("one ");
                exchange.flush().await?;
                exchange.write("two ");
                Ok(())
            })
            .wrap(async |exchange: &mut Exchange, next: Next<'_>| {
                exchange.write("before ");
                if exchange.query_opt::<u8>("flush")?.is_some() {
                    exchange.flush().await?;
                }
                next.run(exchange).await?;
                assert!(exchange.is_head_sent());
                assert!(matches!(exchange.set_header("X-Late", "1"), Err(Error::HeadSent)));
                exchange.write("behind");
                Ok(())
            })
    };
    let server = serve(application);
    for target in ["/", "/?flush=1"] {
        assert_eq!(get(&application(), target).text(), "before one two behind");
        assert_eq!(server.get(target).text(), "before one two behind");
    }
}

#[test]
fn a_wrap_that_gives_a_stream_up_cuts_the_connection() {
    let server = serve(|| {
        Application::new()
            .get("/", async |exchange: &mut Exchange| {
                exchange.write("begun");
                exchange.flush().await?;
                std::future::pending().await
            })
            .wrap(async |exchange: &mut Exchange, next: Next<'_>| {
                let too_slow = |_elapsed| Err(Error::http(StatusCode::SERVICE_UNAVAILABLE, "too slow"));
                timeout(Duration::from_millis(20), next.run(exchange)).await.unwrap_or_else(too_slow)
            })
    });
    let mut client = server.connect();
    client.request("GET", "/", "", "");
    assert_eq!(client.head().status, 200);
    assert_eq!(client.chunk(), b"begun");
    assert_eq!(client.rest(), b"");
}

#[test]
fn a_handler_that_streams_is_told_that_the_client_went_away() {
    struct Waiting(Sender<&'static str>);
    impl RequestHandler for Waiting {
        const METHODS: &'static [Method] = &[Method::GET];
        async fn get(&self, exchange: &mut Exchange) -> web::Result<()> {
            exchange.write("begun");
            exchange.flush().await?;
            exchange.client_gone().await;
            let _ = self.0.send("waited");
            Ok(())
        }
        fn on_connection_close(&self, _: &Extensions) {
            let _ = self.0.send("close");
        }
        fn on_finish(&self, _: &mut Exchange) {
            let _ = self.0.send("finish");
        }
    }
    let (report, reports) = channel();
    let server = serve(move || Application::new().handler("/", Waiting(report)));
    let mut client = server.connect();
    client.request("GET", "/", "", "");
    assert_eq!(client.head().status, 200);
    drop(client);
    let calls: Vec<_> = (0..3).map(|_| server.receive(&reports)).collect();
    assert_eq!(calls, ["close", "waited", "finish"]);
}
