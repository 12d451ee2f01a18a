//! Requests with `Content-Encoding: gzip`.

mod common;

use std::io::Write;

use common::{Client, run, serve, serve_with};
use flate2::{Compression, write::GzEncoder};
use httpserver::{Body, Bytes, Error, Limits, Request, Response, gzip::DecompressRequests};
use proptest::{collection::vec, prelude::*};

fn member(content: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

/// A body that comes in these pieces.
fn in_pieces(pieces: Vec<Bytes>) -> Body {
    Body::writer(async move |mut out| {
        for piece in pieces {
            out.write(piece).await?;
            out.flush().await?;
        }
        Ok(())
    })
}

fn request(body: impl Into<Body>) -> Request {
    Request::builder().header("Content-Encoding", "gzip").body(body).build().unwrap()
}

/// What such a body decompresses to.
fn read(body: impl Into<Body>, max: u64) -> httpserver::Result<Bytes> {
    let mut request = request(body);
    request.decompress(max)?;
    run(request.bytes_limited(usize::MAX))
}

fn cut(bytes: &[u8], lengths: &[usize]) -> Vec<Bytes> {
    let mut rest = bytes;
    let mut pieces = Vec::new();
    for &length in lengths.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let (piece, behind) = rest.split_at(length.min(rest.len()));
        pieces.push(Bytes::copy_from_slice(piece));
        rest = behind;
    }
    pieces
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_body_comes_back_in_any_pieces_and_members(
        contents in vec((vec(any::<u8>(), 0..200), 1usize..400), 1..5),
        lengths in vec(1usize..40, 1..5),
    ) {
        let contents: Vec<Vec<u8>> = contents.into_iter().map(|(content, times)| content.repeat(times)).collect();
        let compressed: Vec<u8> = contents.iter().flat_map(|content| member(content)).collect();
        let whole = contents.concat();
        prop_assert!(read(compressed.clone(), u64::MAX).unwrap() == whole);
        prop_assert!(read(in_pieces(cut(&compressed, &lengths)), u64::MAX).unwrap() == whole);
    }

    #[test]
    fn a_truncated_or_longer_body_is_refused(content: Vec<u8>, cut_off in 1usize..1000, behind in vec(any::<u8>(), 1..5)) {
        let whole = member(&content);
        let truncated = &whole[..whole.len() - cut_off.min(whole.len() - 1)];
        prop_assert!(matches!(read(truncated.to_vec(), u64::MAX), Err(Error::BadRequest(_))));
        // Nothing of up to four bytes is a member, however little of the limit is left.
        for max in [u64::MAX, content.len() as u64] {
            prop_assert!(matches!(read([&whole[..], &behind].concat(), max), Err(Error::BadRequest(_))));
        }
    }

    #[test]
    fn a_body_with_a_flipped_bit_is_refused_or_the_same(content: Vec<u8>, at: prop::sample::Index, bit in 0u8..8) {
        let mut broken = member(&content);
        let at = at.index(broken.len());
        broken[at] ^= 1 << bit;
        // Some bits say nothing about the content, such as those of the time.
        match read(broken, u64::MAX) {
            Ok(read) => prop_assert!(read == content),
            Err(error) => prop_assert!(matches!(error, Error::BadRequest(_))),
        }
    }
}

#[test]
fn the_limit_counts_what_comes_out() {
    let bomb = member(&vec![0; 10_000_000]);
    assert!(bomb.len() < 20_000);
    assert_eq!(read(bomb.clone(), 10_000_000).unwrap().len(), 10_000_000);
    for max in [9_999_999, 1000, 0] {
        assert!(matches!(read(bomb.clone(), max), Err(Error::BodyTooLarge { limit }) if limit == max));
    }
    assert_eq!(read(member(b""), 0).unwrap(), "");
}

#[test]
fn members_beyond_the_first_count() {
    let empty = member(b"");
    assert_eq!(read(empty.repeat(11), 10 * 1024).unwrap(), "");
    assert!(matches!(read(empty.repeat(12), 10 * 1024), Err(Error::BodyTooLarge { .. })));
}

#[test]
fn the_first_failure_stays() {
    for (body, max) in [(&b"no gzip at all"[..], 100), (&member(&[0; 1000]), 100)] {
        let mut request = request(body.to_vec());
        request.decompress(max).unwrap();
        run(async {
            let first = request.body_mut().chunk().await.unwrap_err();
            let second = request.body_mut().chunk().await.unwrap_err();
            assert_eq!(first.to_string(), second.to_string());
        });
    }
}

#[test]
fn the_headers_describe_the_body_that_is_read() {
    let mut request = Request::builder()
        .header("A", "1")
        .header("Content-Encoding", "GZIP")
        .target("/path?query")
        .body(member(b"hello"))
        .build()
        .unwrap();
    request.decompress(100).unwrap();
    assert!(!request.headers().contains("content-encoding") && !request.headers().contains("content-length"));
    assert_eq!((request.headers().get("a"), request.path(), request.query()), (Some("1"), "/path", Some("query")));
    assert_eq!(request.host(), Some("localhost"));
    assert_eq!(request.body_mut().content_length(), None);
    assert_eq!(run(request.bytes()).unwrap(), "hello");
}

#[test]
fn a_body_that_is_not_encoded_stays_as_it_is() {
    let mut plain = Request::builder().body("hello").build().unwrap();
    plain.decompress(1).unwrap();
    assert_eq!(run(plain.bytes()).unwrap(), "hello");
    let mut empty = request(Body::empty());
    empty.decompress(1).unwrap();
    assert_eq!(run(empty.bytes()).unwrap(), "");
    assert_eq!(read(in_pieces(Vec::new()), 1).unwrap(), "");
}

#[test]
fn other_codings_are_unsupported_and_leave_the_request_alone() {
    for coding in ["deflate", "br", "gzip, gzip", "identity", "gzip;q=1"] {
        let mut request = Request::builder().header("Content-Encoding", coding).body("x").build().unwrap();
        let error = request.decompress(10).unwrap_err();
        assert_eq!(error.status().unwrap().as_u16(), 415, "{coding}");
        assert_eq!(request.headers().get("content-encoding"), Some(coding));
        assert_eq!(run(request.bytes()).unwrap(), "x");
    }
}

async fn echo(mut request: Request) -> httpserver::Result<Response> {
    Ok(Response::bytes(request.bytes().await?))
}

fn post(coding: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head = format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Encoding: {coding}\r\nContent-Length: {length}\r\n\r\n");
    [head.as_bytes(), body].concat()
}

#[test]
fn a_service_sees_bodies_decompressed() {
    run(async {
        let client = Client::connect(serve(DecompressRequests::new(echo))).await;
        let content = b"hello, world\n".repeat(10_000);
        client.send(post("gzip", &member(&content))).await;
        assert!(client.answer().await.body == content);
        client.send(post("x-gzip", &[member(b"one "), member(b"two")].concat())).await;
        assert_eq!(client.answer().await.text(), "one two");
        client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nplain").await;
        assert_eq!(client.answer().await.text(), "plain");
        client.send(post("br", b"x")).await;
        let refused = client.answer().await;
        assert_eq!((refused.status(), refused.header("accept-encoding")), (415, Some("gzip")));
        client.send(post("gzip", b"not gzip")).await;
        assert_eq!(client.answer().await.status(), 400);
        // The answers came in order, on one connection.
        client.send(post("gzip", &member(b"end"))).await;
        assert_eq!(client.answer().await.text(), "end");
    });
}

#[test]
fn what_decompresses_to_too_much_is_413_by_the_limit_of_server_or_wrap() {
    run(async {
        let limits = Limits::default().max_body(1000).max_collected_body(usize::MAX);
        let addrs = [
            serve_with(limits, DecompressRequests::new(echo)),
            serve_with(Limits::default(), DecompressRequests::new(echo).max_body(1000)),
        ];
        for addr in addrs {
            let client = Client::connect(addr).await;
            client.send(post("gzip", &member(&[b'x'; 1000]))).await;
            assert_eq!(client.answer().await.body.len(), 1000);
            client.send(post("gzip", &member(&[b'x'; 1001]))).await;
            assert_eq!(client.answer().await.status(), 413);
        }
    });
}

#[test]
fn unknown_codings_are_passed_on_if_asked() {
    run(async {
        let client = Client::connect(serve(DecompressRequests::new(echo).pass_unknown(true))).await;
        client.send(post("br", b"opaque")).await;
        assert_eq!(client.answer().await.text(), "opaque");
        client.send(post("gzip", &member(b"known"))).await;
        assert_eq!(client.answer().await.text(), "known");
    });
}
