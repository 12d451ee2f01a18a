//! The client's end of a connection: requests, bodies in both directions, and the connection itself.

#[path = "common/asking.rs"]
mod asking;
mod common;

use std::{cell::Cell, rc::Rc, time::Duration};

use asking::{ask, body_of, connect, get, head_of_request, is_closed, pieces, post, scripted};
use common::{run, run_virtual, serve, turns};
use httpserver::{
    Body, Error, Frame, IOStream, Method, Request, Response, StatusCode, Trailers, Version, client::Connection,
    iostream::memory, spawn,
};

#[test]
fn requests_follow_one_another_on_a_connection() {
    run(async {
        let mut connection = connect(async |mut request: Request| -> httpserver::Result<Response> {
            let framing = ["content-length", "transfer-encoding"]
                .map(|name| request.headers().get(name).unwrap_or("-").to_owned())
                .join(" ");
            let text = format!("{} {} {framing} ", request.method(), request.target());
            let body = request.bytes_limited(usize::MAX).await?;
            Ok(Response::bytes([text.as_bytes(), &body].concat()))
        })
        .await;
        let large = vec![b'x'; 300_000];
        for (request, expected) in [
            (get("/a?b"), "GET /a?b - - ".to_owned()),
            (post("hello").build().unwrap(), "POST / 5 - hello".to_owned()),
            (post("").build().unwrap(), "POST / 0 - ".to_owned()),
            (post(pieces(vec![b"ab".to_vec(), b"c".to_vec()])).build().unwrap(), "POST / - chunked abc".to_owned()),
            (post(large.clone()).build().unwrap(), format!("POST / 300000 - {}", "x".repeat(300_000))),
            (post(pieces(vec![large.clone()])).build().unwrap(), format!("POST / - chunked {}", "x".repeat(300_000))),
            (get("/last"), "GET /last - - ".to_owned()),
        ] {
            let mut response = connection.send(request).await.unwrap();
            assert_eq!(response.status(), 200);
            assert!(body_of(&mut response).await.unwrap() == expected);
            assert!(connection.is_reusable());
        }
    });
}

#[test]
fn responses_without_a_body_leave_the_connection_usable() {
    run(async {
        let mut connection = connect(async |request: Request| match request.path() {
            "/204" => Response::new(StatusCode::NO_CONTENT),
            "/304" => Response::new(StatusCode::NOT_MODIFIED).with_header("ETag", "\"a\""),
            _ => Response::text("twelve bytes"),
        })
        .await;
        for path in ["/204", "/304", "/204"] {
            let mut response = connection.send(get(path)).await.unwrap();
            assert_eq!(response.status().as_str(), &path[1..]);
            assert_eq!(body_of(&mut response).await.unwrap(), "");
        }
        let head = Request::builder().method(Method::HEAD).build().unwrap();
        let mut response = connection.send(head).await.unwrap();
        assert_eq!(response.headers().get("content-length"), Some("12"));
        assert_eq!(body_of(&mut response).await.unwrap(), "");
        let mut response = connection.send(get("/")).await.unwrap();
        assert_eq!(body_of(&mut response).await.unwrap(), "twelve bytes");
    });
}

#[test]
fn streamed_bodies_and_their_trailers_cross_in_both_directions() {
    run(async {
        // Passed through as it comes: the answer ends when the request does.
        let mut connection = connect(async |mut request: Request| Response::bytes(request.take_body())).await;
        let (mut writer, body) = Body::channel();
        let mut response = connection.send(post(body).build().unwrap()).await.unwrap();
        for text in ["one", "two", "three"] {
            writer.write(text).await.unwrap();
            assert_eq!(response.body_mut().chunk().await.unwrap().unwrap(), text);
        }
        drop(writer);
        let _ = response.body_mut().chunk().await;
    });
    run(async {
        let mut connection = connect(async |mut request: Request| -> httpserver::Result<Response> {
            let body = request.bytes().await?;
            let trailers = request.body_mut().take_trailers();
            let sum = trailers.and_then(|trailers| trailers.get("sum").map(<[u8]>::to_vec)).unwrap_or_default();
            Ok(Response::bytes([&body[..], b" ", &sum].concat()))
        })
        .await;
        let mut trailers = Trailers::new();
        trailers.append("Sum", "42").unwrap();
        let body = Body::stream(Frames(vec![Frame::from("data"), Frame::Trailers(trailers)]));
        let mut response = connection.send(post(body).build().unwrap()).await.unwrap();
        assert_eq!(body_of(&mut response).await.unwrap(), "data 42");

        let answer = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\ndata\r\n0\r\nSum: 43\r\n\r\n";
        let (response, connection, _far) = ask(get("/"), answer, false).await;
        let mut response = response.unwrap();
        assert_eq!(body_of(&mut response).await.unwrap(), "data");
        let trailers = response.body_mut().take_trailers().expect("trailers");
        assert_eq!(trailers.get("sum"), Some(&b"43"[..]));
        assert!(connection.is_reusable());
    });
}

/// Frames that are all there.
struct Frames(Vec<Frame>);

impl httpserver::BodyStream for Frames {
    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<httpserver::Result<Frame>>> {
        std::task::Poll::Ready((!self.0.is_empty()).then(|| Ok(self.0.remove(0))))
    }
}

#[test]
fn a_server_that_takes_nothing_holds_back_the_body() {
    run(async {
        let (mut connection, far) = scripted();
        let pulled = Rc::new(Cell::new(0));
        let body = Body::writer({
            let pulled = Rc::clone(&pulled);
            async move |mut out| {
                loop {
                    out.write(vec![0; 10_000]).await?;
                    pulled.set(pulled.get() + 10_000);
                }
            }
        });
        let sending = spawn(async move { connection.send(post(body).build().unwrap()).await });
        turns(200).await;
        let stuck = pulled.get();
        assert!(stuck < 500_000, "{stuck} bytes were made for a server that reads none");
        // It goes on when the server does.
        head_of_request(&far).await;
        for _ in 0..100 {
            far.read_bytes(10_000).await.unwrap();
        }
        assert!(pulled.get() >= 900_000);
        sending.abort();
        turns(3).await;
        assert!(is_closed(&far), "a future that is dropped closes the connection");
    });
}

#[test]
fn a_response_that_is_not_read_holds_back_the_server() {
    run(async {
        let made = Rc::new(Cell::new(0));
        let counter = Rc::clone(&made);
        let service = move |_: Request| {
            let made = Rc::clone(&counter);
            async move {
                Response::bytes(Body::writer(async move |mut out| {
                    loop {
                        out.write(vec![0; 10_000]).await?;
                        made.set(made.get() + 10_000);
                    }
                }))
            }
        };
        let (near, far) = memory::pair(64 * 1024);
        let server = spawn(async move { httpserver::serve_stream(far, None, Rc::new(service)).await });
        let mut connection = Connection::new(near);
        let mut response = connection.send(get("/")).await.unwrap();
        turns(200).await;
        let stuck = made.get();
        assert!(stuck < 1_000_000, "{stuck} bytes were made for a client that reads none");
        let mut read = 0;
        while read < 5_000_000 {
            read += response.body_mut().chunk().await.unwrap().unwrap().len();
        }
        assert!(made.get() >= 4_900_000);
        assert!(!server.is_finished());
        drop(response);
        assert!(!connection.is_reusable(), "the rest would be in the way of the next response");
        assert!(connection.stream().is_closed());
        let _ = server.await;
    });
}

#[test]
fn an_early_refusal_is_seen_and_ends_the_upload() {
    run(async {
        let (mut connection, far) = scripted();
        spawn({
            let far = far.clone();
            async move {
                head_of_request(&far).await;
                let refusal = "HTTP/1.1 413 Content Too Large\r\nConnection: close\r\nContent-Length: 4\r\n\r\nfull";
                far.write(refusal).await.unwrap();
            }
        });
        let endless = Body::writer(async |mut out| {
            loop {
                out.write(vec![0; 10_000]).await?;
            }
        });
        let mut response = connection.send(post(endless).build().unwrap()).await.unwrap();
        assert_eq!(response.status(), 413);
        assert_eq!(body_of(&mut response).await.unwrap(), "full");
        assert!(!connection.is_reusable() && is_closed(&far));
        // The server of this crate refuses so before it has read the body.
        let mut connection = connect(async |_: Request| (StatusCode::FORBIDDEN, "no\n")).await;
        let large = Body::writer(async |mut out| {
            for _ in 0..1000 {
                out.write(vec![0; 100_000]).await?;
            }
            Ok(())
        });
        let response = connection.send(post(large).build().unwrap()).await.unwrap();
        assert_eq!(response.status(), 403);
    });
}

#[test]
fn a_body_waits_for_the_server_to_want_it() {
    let expecting = || post("the body").header("Expect", "100-continue").build().unwrap();
    run_virtual(|clock| async move {
        // Wanted.
        let (mut connection, far) = scripted();
        let sent = spawn(async move { connection.send(expecting()).await.unwrap().status() });
        assert!(head_of_request(&far).await.contains("Expect: 100-continue\r\n"));
        turns(5).await;
        assert_eq!(far.buffered(), 0);
        assert!(!far.is_readable());
        far.write("HTTP/1.1 100 Continue\r\n\r\n").await.unwrap();
        assert_eq!(far.read_bytes(8).await.unwrap(), "the body");
        far.write("HTTP/1.1 204 No Content\r\n\r\n").await.unwrap();
        assert_eq!(sent.await.unwrap(), 204);

        // Not said: it follows after a second.
        let (mut connection, far) = scripted();
        let sent = spawn(async move { connection.send(expecting()).await.unwrap().status() });
        head_of_request(&far).await;
        clock.advance(Duration::from_secs(1)).await;
        assert_eq!(far.read_bytes(8).await.unwrap(), "the body");
        far.write("HTTP/1.1 204 No Content\r\n\r\n").await.unwrap();
        assert_eq!(sent.await.unwrap(), 204);

        // Not wanted: it is never sent, and nothing else can be.
        let (response, connection, far) =
            ask(expecting(), "HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n", false).await;
        assert_eq!(response.unwrap().status(), 401);
        assert!(!connection.is_reusable());
        assert_eq!(far.read_until_close().await.unwrap(), "");
    });
}

#[test]
fn a_body_of_another_length_than_announced_ends_the_connection() {
    run(async {
        struct Lies;
        impl httpserver::BodyStream for Lies {
            fn poll_frame(
                self: std::pin::Pin<&mut Self>,
                _: &mut std::task::Context<'_>,
            ) -> std::task::Poll<Option<httpserver::Result<Frame>>> {
                std::task::Poll::Ready(None)
            }
            fn exact_size(&self) -> Option<u64> {
                Some(5)
            }
        }
        let (mut connection, far) = scripted();
        let error = connection.send(post(Body::stream(Lies)).build().unwrap()).await.unwrap_err();
        assert!(matches!(error, Error::ContentLengthMismatch { announced: 5, written: 0 }), "{error}");
        assert!(is_closed(&far));
    });
}

#[test]
fn the_error_of_a_body_is_its_own() {
    run(async {
        let (mut connection, far) = scripted();
        let body = Body::writer(async |mut out| {
            out.write("half").await?;
            Err(Error::BadRequest("of the proxy's client"))
        });
        let error = connection.send(post(body).build().unwrap()).await.unwrap_err();
        assert!(matches!(error, Error::BadRequest(_) | Error::BodyBroken), "{error}");
        assert!(is_closed(&far));
    });
}

#[test]
fn lines_about_the_connection_are_not_passed_on() {
    run(async {
        let (mut connection, far) = scripted();
        let request = Request::builder()
            .header("Connection", "x-hop, keep-alive")
            .header("X-Hop", "1")
            .header("Keep-Alive", "timeout=5")
            .header("Proxy-Connection", "keep-alive")
            .header("X-End", "2")
            .build()
            .unwrap();
        let sent = spawn(async move { connection.send(request).await.unwrap().into_response().unwrap() });
        let head = head_of_request(&far).await;
        assert_eq!(head, "GET / HTTP/1.1\r\nHost: localhost\r\nX-End: 2\r\n\r\n");
        let answer = "HTTP/1.1 200 OK\r\nConnection: x-hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\nX-End: 3\r\n\
            Set-Cookie: a\r\nSet-Cookie: b\r\nContent-Length: 2\r\n\r\nok";
        far.write(answer).await.unwrap();
        let mut response = sent.await.unwrap();
        let lines: Vec<_> = response.headers().collect();
        assert_eq!(lines, [("X-End", &b"3"[..]), ("Set-Cookie", b"a"), ("Set-Cookie", b"b")]);
        assert_eq!(response.content_length(), Some(2));
        assert_eq!(response.body_mut().bytes(10).await.unwrap(), "ok");
    });
}

#[test]
fn what_was_not_offered_to_this_hop_is_not_offered_to_the_next() {
    run(async {
        for (version, lines, passed_on) in [
            (Version::HTTP_11, &[("Upgrade", "h2c")][..], ""),
            (Version::HTTP_10, &[("Upgrade", "h2c"), ("Connection", "upgrade, keep-alive")], ""),
            (
                Version::HTTP_11,
                &[("Upgrade", "h2c"), ("Connection", "Upgrade")],
                "Upgrade: h2c\r\nConnection: Upgrade\r\n",
            ),
            // A coding that the client of the proxy can read, and the proxy cannot.
            (Version::HTTP_11, &[("TE", "deflate,gzip;q=0.3"), ("Connection", "TE")], ""),
            (Version::HTTP_11, &[("TE", "Trailers"), ("Connection", "TE")], "TE: Trailers\r\nConnection: TE\r\n"),
        ] {
            let (mut connection, far) = scripted();
            let request = lines.iter().fold(Request::builder(), |request, (name, value)| request.header(name, value));
            let request = request.version(version).build().unwrap();
            let _sent = spawn(async move { connection.send(request).await.map(drop) });
            let head = head_of_request(&far).await;
            assert_eq!(head, format!("GET / HTTP/1.1\r\nHost: localhost\r\n{passed_on}\r\n"), "{lines:?}");
        }
    });
}

#[test]
fn a_proxy_passes_both_bodies_through() {
    run(async {
        let upstream = serve(async |mut request: Request| -> httpserver::Result<Response> {
            let body = request.take_body();
            Ok(Response::bytes(body).with_header("X-Upstream", request.target()))
        });
        let proxy = async move |request: Request| -> httpserver::Result<Response> {
            let mut connection = Connection::new(IOStream::connect(upstream).await?);
            connection.send(request).await?.into_response()
        };
        let mut connection = connect(proxy).await;
        for length in [0usize, 5, 500_000] {
            let body = pieces(vec![vec![b'x'; length / 2], vec![b'y'; length - length / 2]]);
            let request = post(body).target("/there?a=b").build().unwrap();
            let mut response = connection.send(request).await.unwrap();
            assert_eq!(response.headers().get("x-upstream"), Some("/there?a=b"));
            assert_eq!(body_of(&mut response).await.unwrap().len(), length);
        }
    });
}

#[test]
fn protocols_are_switched_when_both_ends_agree() {
    run(async {
        let service = async |request: Request| -> httpserver::Result<Response> {
            let head = match *request.method() {
                Method::CONNECT => Response::empty(),
                _ => Response::switching_protocols("echo")?,
            };
            request.upgrade(head, async |stream: IOStream| {
                while let Ok(line) = stream.read_until(b"\n").max_bytes(100).await {
                    let _ = stream.write(line).await;
                }
            })
        };
        let upgrade = Request::builder().header("Connection", "upgrade").header("Upgrade", "echo").build().unwrap();
        let connect_request = Request::builder().method(Method::CONNECT).target("example.com:80").build().unwrap();
        for request in [upgrade, connect_request] {
            let mut connection = connect(service).await;
            let response = connection.send(request).await.unwrap();
            assert!(response.is_upgrade());
            let stream = response.into_stream().unwrap();
            drop(connection);
            stream.write("hello\n").await.unwrap();
            assert_eq!(stream.read_until(b"\n").await.unwrap(), "hello\n");
        }
        let mut connection = connect(async |_: Request| "no upgrade").await;
        let response = connection.send(get("/")).await.unwrap();
        assert!(matches!(response.into_stream(), Err(Error::NotUpgradable)));
    });
}

#[test]
fn a_connection_that_the_server_closed_is_known_to_be() {
    run(async {
        let mut connection = connect(async |_: Request| {
            let mut response = Response::text("bye");
            response.close_connection();
            response
        })
        .await;
        let mut response = connection.send(get("/")).await.unwrap();
        assert_eq!(body_of(&mut response).await.unwrap(), "bye");
        assert!(!connection.is_reusable());

        let (response, mut connection, far) = ask(get("/"), "HTTP/1.1 204 No Content\r\n\r\n", false).await;
        response.unwrap();
        assert!(connection.is_reusable());
        far.close();
        turns(2).await;
        assert!(!connection.is_reusable());
        assert!(matches!(connection.send(get("/")).await, Err(Error::AlreadyTaken(_))));
    });
}

#[test]
fn a_kept_body_reads_nothing_of_the_next_response() {
    run(async {
        let mut connection = connect(async |request: Request| request.path().to_owned()).await;
        let mut first = connection.send(get("/first")).await.unwrap();
        assert_eq!(body_of(&mut first).await.unwrap(), "/first");
        let mut second = connection.send(get("/second")).await.unwrap();
        assert!(matches!(first.body_mut().chunk().await, Err(Error::AlreadyTaken(_)) | Ok(None)));
        drop(first);
        assert_eq!(body_of(&mut second).await.unwrap(), "/second");
    });
}
