//! Compression of responses.

mod util;

use std::{
    io::Read,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use flate2::read::MultiGzDecoder;
use proptest::{collection::vec, prelude::*, test_runner::TestRunner};
use util::{Reply, Server, serve, site::Site};
use web::{
    Application, Bytes, Compress, Exchange, Next, StatusCode,
    httpserver::{Body, BodyStream, Error, Frame, Result},
};

const GZIP: &str = "Accept-Encoding: gzip\r\n";

fn gunzip(body: &[u8]) -> Vec<u8> {
    let mut content = Vec::new();
    let mut decoder = MultiGzDecoder::new(body);
    decoder.read_to_end(&mut content).expect("gzip");
    content
}

fn get(server: &Server, target: &str) -> Reply {
    server.send("GET", target, GZIP, "")
}

fn page(length: usize) -> String {
    "<p>a rose is a rose".chars().cycle().take(length).collect()
}

/// Answers of many kinds at `/`, made by the closure.
fn serve_one(handler: impl AsyncFn(&mut Exchange) -> web::Result<()> + 'static) -> Server {
    serve(move || Application::new().get("/", handler).wrap(Compress::new()))
}

#[test]
fn pages_are_compressed_for_those_who_accept_it() {
    let server = serve_one(async |exchange: &mut Exchange| {
        exchange.set_header("ETag", "\"1\"")?;
        exchange.set_header("Vary", "Cookie")?;
        exchange.write(page(5000));
        Ok(())
    });
    let reply = get(&server, "/");
    assert_eq!((reply.status, reply.header("content-encoding")), (200, Some("gzip")));
    assert_eq!(gunzip(&reply.body), page(5000).as_bytes());
    assert_eq!(reply.header("content-length"), Some(reply.body.len().to_string().as_str()));
    assert_eq!(reply.header("etag"), Some("W/\"1\""));
    assert_eq!(reply.headers("vary"), ["Cookie", "Accept-Encoding"]);
    for headers in
        ["", "Accept-Encoding: br\r\n", "Accept-Encoding: gzip;q=0\r\n", "Accept-Encoding: gzip;q=0.1, identity\r\n"]
    {
        let reply = server.send("GET", "/", headers, "");
        assert_eq!((reply.text(), reply.header("content-encoding")), (page(5000).as_str(), None), "{headers}");
        assert_eq!(reply.header("etag"), Some("\"1\""));
        assert_eq!(reply.headers("vary"), ["Cookie", "Accept-Encoding"]);
    }
}

#[test]
fn what_is_not_worth_it_is_left_alone() {
    for (content_type, length, is_compressed) in [
        ("text/html", 1024, true),
        ("text/html", 1023, false),
        ("application/json", 2000, true),
        ("image/svg+xml", 2000, true),
        ("image/png", 2000, false),
        ("application/octet-stream", 100_000, false),
        ("text/html", 0, false),
    ] {
        let server = serve_one(async move |exchange: &mut Exchange| {
            exchange.set_header("Content-Type", content_type)?;
            exchange.write(page(length));
            Ok(())
        });
        let reply = get(&server, "/");
        assert_eq!(reply.header("content-encoding").is_some(), is_compressed, "{content_type} {length}");
        assert_eq!(reply.header("vary").is_some(), is_compressed, "{content_type} {length}");
        let body = if is_compressed { gunzip(&reply.body) } else { reply.body };
        assert_eq!(body, page(length).as_bytes());
    }
}

#[test]
fn what_says_so_is_left_alone() {
    for (name, value) in [
        ("Content-Encoding", "br"),
        ("Cache-Control", "max-age=5, No-Transform"),
        ("Content-Range", "bytes 0-1999/5000"),
        ("Content-Encoding", "identity"),
        ("Content-Digest", "sha-256=:X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=:"),
        ("Repr-Digest", "sha-256=:X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=:"),
    ] {
        let server = serve_one(async move |exchange: &mut Exchange| {
            exchange.set_header(name, value)?;
            exchange.write(page(2000));
            Ok(())
        });
        let reply = get(&server, "/");
        assert_eq!(reply.body, page(2000).as_bytes(), "{name}");
        assert_eq!(reply.header("vary"), None, "{name}");
        let shown = Some(value).filter(|value| *value != "identity");
        assert_eq!(reply.header(name), shown, "{name}");
    }
    for status in [204, 205, 206] {
        let server = serve_one(async move |exchange: &mut Exchange| {
            exchange.set_status(StatusCode::from_u16(status)?);
            exchange.set_header("Content-Type", "text/html")?;
            exchange.flush().await
        });
        let reply = get(&server, "/");
        assert_eq!((reply.status, reply.header("content-encoding"), reply.body.len()), (status, None, 0));
    }
}

#[test]
fn bytes_that_become_no_shorter_are_sent_as_they_are() {
    let server = serve_one(async |exchange: &mut Exchange| {
        let mut seed = 1_u64;
        let noise: Vec<u8> = (0..2000)
            .map(|_| {
                seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1);
                (seed >> 56) as u8
            })
            .collect();
        exchange.set_header("ETag", "\"1\"")?;
        exchange.write(noise);
        Ok(())
    });
    let reply = get(&server, "/");
    assert_eq!((reply.body.len(), reply.header("content-encoding"), reply.header("etag")), (2000, None, Some("\"1\"")));
}

#[test]
fn error_pages_are_responses_too() {
    let server = serve(|| {
        Application::new().wrap(Compress::new().min_size(10)).error_page(|exchange, _| exchange.write(page(500)))
    });
    let reply = get(&server, "/missing");
    assert_eq!((reply.status, gunzip(&reply.body).len()), (404, 500));
}

#[test]
fn head_has_the_headers_of_get() {
    let site = Site::new();
    site.write("style.css", page(3000));
    site.write("large.css", page(300_000));
    let root = site.root();
    let server = serve(move || {
        let page = async |exchange: &mut Exchange| {
            exchange.set_header("ETag", "\"1\"")?;
            exchange.write(page(5000));
            Ok(())
        };
        let streamed = async |exchange: &mut Exchange| {
            exchange.write("a");
            exchange.flush().await
        };
        Application::new()
            .get("/page", page)
            .get("/streamed", streamed)
            .static_files("/static", root)
            .unwrap()
            .wrap(Compress::new())
    });
    for target in ["/page", "/streamed", "/static/style.css", "/static/large.css", "/static/letters.txt"] {
        for headers in [GZIP, ""] {
            let get = server.send("GET", target, headers, "");
            let head = server.send("HEAD", target, headers, "");
            assert_eq!(head.body.len(), 0);
            for name in ["content-encoding", "vary", "etag", "content-type", "accept-ranges", "last-modified"] {
                assert_eq!(head.headers(name), get.headers(name), "{target} {name}");
            }
            // A length that would take making the body may be missing, and never is another.
            if let Some(length) = head.header("content-length") {
                assert_eq!(get.header("content-length"), Some(length), "{target}");
            }
            assert!(headers == GZIP || target == "/streamed" || head.header("content-length").is_some(), "{target}");
        }
    }
    assert!(server.send("HEAD", "/page", GZIP, "").header("content-length").is_some());
}

#[test]
fn a_304_has_the_tag_that_the_client_has() {
    let server = serve_one(async |exchange: &mut Exchange| {
        exchange.set_header("ETag", "\"1\"")?;
        exchange.write(page(5000));
        Ok(())
    });
    for (known, tag) in
        [("\"1\"", "\"1\""), ("W/\"1\"", "W/\"1\""), ("\"0\", W/\"1\"", "W/\"1\""), ("W/\"1\", \"1\"", "\"1\"")]
    {
        let reply = server.send("GET", "/", &format!("{GZIP}If-None-Match: {known}\r\n"), "");
        assert_eq!((reply.status, reply.header("etag")), (304, Some(tag)), "{known}");
        assert_eq!((reply.header("vary"), reply.header("content-encoding")), (Some("Accept-Encoding"), None));
    }
    assert_eq!(server.send("GET", "/", &format!("{GZIP}If-None-Match: \"2\"\r\n"), "").status, 200);
}

#[test]
fn parts_of_files_are_left_alone() {
    let site = Site::new();
    site.write("style.css", page(200_000));
    let root = site.root();
    let server = serve(move || Application::new().static_files("/", root).unwrap().wrap(Compress::new()));
    let whole = get(&server, "/style.css");
    assert_eq!((whole.header("content-encoding"), whole.header("accept-ranges")), (Some("gzip"), None));
    assert_eq!(gunzip(&whole.body), page(200_000).as_bytes());
    let ranged = |headers: &str| server.send("GET", "/style.css", &format!("{GZIP}{headers}"), "");
    let part = ranged("Range: bytes=0-99999\r\n");
    assert_eq!((part.status, part.header("content-encoding"), part.body.len()), (206, None, 100_000));
    // A cache that puts it together with others has to know that there is another version.
    assert_eq!(part.header("vary"), Some("Accept-Encoding"));
    let parts = ranged("Range: bytes=0-9999,50000-50010\r\n");
    assert_eq!((parts.status, parts.header("content-encoding")), (206, None));
    assert_eq!(parts.header("vary"), Some("Accept-Encoding"));
    // A range of the compressed bytes that the client has would be one of others.
    let etag = whole.header("etag").unwrap();
    let reply = ranged(&format!("Range: bytes=100-\r\nIf-Range: {etag}\r\n"));
    assert_eq!((reply.status, reply.header("content-encoding")), (200, Some("gzip")));
    let known = ranged(&format!("If-None-Match: {etag}\r\n"));
    assert_eq!((known.status, known.header("etag")), (304, Some(etag)));
}

#[test]
fn each_flush_arrives_before_the_next_piece_is_written() {
    let server = serve_one(async |exchange: &mut Exchange| {
        for number in 0..5 {
            exchange.write(format!("{number},"));
            exchange.flush().await?;
            web::sleep(Duration::from_secs(1)).await;
        }
        Ok(())
    });
    let mut client = server.connect();
    client.request("GET", "/", GZIP, "");
    let head = client.head();
    assert_eq!((head.header("content-encoding"), head.header("transfer-encoding")), (Some("gzip"), Some("chunked")));
    let mut inflate = flate2::Decompress::new_gzip(15);
    let mut content = Vec::with_capacity(1000);
    for number in 0..5 {
        // What is there is all that the client needs: the flush ends in an empty block.
        let chunk = client.chunk();
        assert!(chunk.ends_with(&[0, 0, 0xff, 0xff]));
        inflate.decompress_vec(&chunk, &mut content, flate2::FlushDecompress::Sync).unwrap();
        assert!(content.ends_with(format!("{number},").as_bytes()), "{content:?}");
    }
    let end = client.chunk();
    inflate.decompress_vec(&end, &mut content, flate2::FlushDecompress::Finish).unwrap();
    assert_eq!(content, b"0,1,2,3,4,");
    assert_eq!(client.chunk(), b"");
}

#[test]
fn event_streams_are_left_alone() {
    let server = serve_one(async |exchange: &mut Exchange| {
        let mut events = exchange.event_stream()?;
        events.send(web::event_stream::Event::new("news")).await?;
        Ok(())
    });
    let reply = get(&server, "/");
    assert_eq!(reply.header("content-encoding"), None);
    assert!(reply.text().contains("data: news\n"), "{reply:?}");
}

#[test]
fn clients_of_http_1_0_get_it_until_the_end() {
    let server = serve_one(async |exchange: &mut Exchange| {
        exchange.write(page(5000));
        exchange.flush().await
    });
    let mut client = server.connect();
    client.send("GET / HTTP/1.0\r\nAccept-Encoding: gzip\r\n\r\n");
    let head = client.head();
    assert_eq!((head.header("content-encoding"), head.header("content-length")), (Some("gzip"), None));
    assert_eq!(gunzip(&client.rest()), page(5000).as_bytes());
}

#[test]
fn a_length_that_was_announced_is_checked() {
    for (announced, is_whole) in [(4000, true), (4001, false), (3999, false)] {
        let server = serve_one(async move |exchange: &mut Exchange| {
            exchange.set_header("Content-Length", announced.to_string())?;
            exchange.write(page(2000));
            exchange.flush().await?;
            exchange.write(page(2000));
            Ok(())
        });
        let mut client = server.connect();
        client.request("GET", "/", GZIP, "");
        assert_eq!(client.head().header("content-length"), None);
        let rest = client.take(1);
        assert!(!rest.is_empty());
        client.shutdown_write();
        let rest = client.rest();
        assert_eq!(rest.ends_with(b"\r\n0\r\n\r\n"), is_whole, "{announced}");
    }
}

#[test]
fn trailers_follow_the_compressed_body() {
    let server = serve_one(async |exchange: &mut Exchange| {
        exchange.write(page(5000));
        exchange.set_trailer("X-Sum", "7")
    });
    let mut client = server.connect();
    client.request("GET", "/", &format!("{GZIP}Connection: close\r\n"), "");
    client.head();
    let rest = client.rest();
    assert!(rest.ends_with(b"\r\n0\r\nX-Sum: 7\r\n\r\n"));
}

#[test]
fn a_body_that_breaks_off_breaks_off() {
    let server = serve_one(async |exchange: &mut Exchange| {
        exchange.write(page(5000));
        exchange.flush().await?;
        Err(web::Error::http(StatusCode::INTERNAL_SERVER_ERROR, "in the middle"))
    });
    let mut client = server.connect();
    client.request("GET", "/", GZIP, "");
    assert_eq!(client.head().status, 200);
    assert!(!client.rest().ends_with(b"\r\n0\r\n\r\n"));
}

#[test]
fn wraps_further_in_see_the_response_uncompressed() {
    async fn shout(exchange: &mut Exchange, next: Next<'_>) -> web::Result<()> {
        exchange.on_response(|response| {
            let text = response.body().as_bytes().map(<[u8]>::to_ascii_uppercase).unwrap_or_default();
            response.set_body(text);
        });
        next.run(exchange).await
    }
    let server = serve(|| {
        let hello = async |exchange: &mut Exchange| {
            exchange.write(page(2000));
            Ok(())
        };
        Application::new().get("/", hello).wrap(Compress::new()).wrap(shout)
    });
    assert_eq!(gunzip(&get(&server, "/").body), page(2000).to_uppercase().as_bytes());
}

/// A body of pieces, some of which let it wait.
struct Pieces(Vec<Option<Vec<u8>>>);

impl BodyStream for Pieces {
    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame>>> {
        match self.0.pop() {
            None => Poll::Ready(None),
            Some(Some(piece)) => Poll::Ready(Some(Ok(Bytes::from(piece).into()))),
            Some(None) => {
                cx.waker().wake_by_ref();
                Poll::Pending
            }
        }
    }
}

#[test]
fn any_body_in_any_pieces_comes_out_the_same() {
    let byte = prop_oneof![3 => 97u8..100, 1 => any::<u8>()];
    let piece = prop_oneof![
        4 => vec(byte.clone(), 0..50).prop_map(Some),
        2 => vec(byte, 1000..5000).prop_map(Some),
        1 => (0..100_000usize).prop_map(|length| Some((0..length).map(|at| (at / 7 % 256) as u8).collect())),
        3 => Just(None),
    ];
    let case = (vec(piece, 0..12), any::<bool>(), 1..=9u8);
    TestRunner::new(ProptestConfig::with_cases(60))
        .run(&case, |(pieces, is_whole, level)| {
            let content: Vec<u8> = pieces.iter().flatten().flatten().copied().collect();
            let (given, sent) = (pieces.clone(), content.clone());
            let server = serve(move || {
                let handler = async move |exchange: &mut Exchange| match is_whole {
                    true => exchange.finish_with(Bytes::from(sent.clone())),
                    false => exchange.finish_with(Body::stream(Pieces(given.iter().rev().cloned().collect()))),
                };
                Application::new().get("/", handler).wrap(Compress::new().level(level).min_size(1))
            });
            let reply = get(&server, "/");
            let body = match reply.header("content-encoding") {
                Some(_) => gunzip(&reply.body),
                None => reply.body,
            };
            prop_assert!(body == content);
            Ok(())
        })
        .unwrap();
}

#[test]
fn handlers_that_flush_at_any_point_are_heard_in_full() {
    let pieces = vec((0..3000usize, any::<bool>()), 1..10);
    TestRunner::new(ProptestConfig::with_cases(50))
        .run(&pieces, |pieces| {
            let expected: String = pieces.iter().map(|&(length, _)| page(length)).collect();
            let server = serve_one(async move |exchange: &mut Exchange| {
                for &(length, flushes) in &pieces {
                    exchange.write(page(length));
                    if flushes {
                        exchange.flush().await?;
                    }
                }
                Ok(())
            });
            let reply = get(&server, "/");
            let is_gzip = reply.header("content-encoding").is_some();
            let body = if is_gzip { gunzip(&reply.body) } else { reply.body };
            prop_assert!(body == expected.as_bytes());
            Ok(())
        })
        .unwrap();
}

#[test]
fn a_flush_waits_until_its_bytes_have_left() {
    use std::{cell::Cell, rc::Rc};

    let written = Rc::new(Cell::new(0));
    let count = Rc::clone(&written);
    let server = serve(move || {
        let handler = async move |exchange: &mut Exchange| {
            // Bytes that compression makes no shorter.
            let mut seed = 1_u64;
            exchange.set_header("Content-Type", "text/plain")?;
            for _ in 0..300 {
                let noise: Vec<u8> = (0..10_000)
                    .map(|_| {
                        seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1);
                        (seed >> 56) as u8
                    })
                    .collect();
                exchange.write(noise);
                exchange.flush().await?;
                count.set(count.get() + 1);
            }
            Ok(())
        };
        Application::new().get("/", handler).wrap(Compress::new())
    });
    let mut client = server.connect();
    client.request("GET", "/", GZIP, "");
    client.head();
    server.settle();
    // 3 MB, of which the connection takes a small part while nobody reads.
    assert!(written.get() < 100, "{} flushes returned", written.get());
    client.chunked();
    assert_eq!(written.get(), 300);
}

#[test]
fn a_handler_goes_on_when_its_client_has_gone() {
    use std::{cell::Cell, rc::Rc};

    let end = Rc::new(Cell::new(false));
    let seen = Rc::clone(&end);
    let server = serve(move || {
        let handler = async move |exchange: &mut Exchange| {
            exchange.write(page(2000));
            exchange.flush().await?;
            web::sleep(Duration::from_millis(5)).await;
            exchange.write(page(2000));
            let error = exchange.flush().await.unwrap_err();
            assert!(error.is_client_gone());
            seen.set(true);
            Err(error)
        };
        Application::new().get("/", handler).wrap(Compress::new())
    });
    let mut client = server.connect();
    client.request("GET", "/", GZIP, "");
    client.head();
    drop(client);
    server.settle();
    assert!(end.get());
}

#[test]
fn the_error_of_a_body_is_its_own() {
    struct Broken;
    impl BodyStream for Broken {
        fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame>>> {
            Poll::Ready(Some(Err(Error::BodyBroken)))
        }
    }
    let server = serve_one(async |exchange: &mut Exchange| exchange.finish_with(Body::stream(Broken)));
    let mut client = server.connect();
    client.request("GET", "/", GZIP, "");
    assert!(!client.rest().ends_with(b"0\r\n\r\n"));
}
