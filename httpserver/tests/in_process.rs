//! Requests and responses without a socket: calls in one process, and other libraries' types.

mod common;

use std::task::{Context, Poll, Waker};

use common::{Client, Event, run, serve};
use httpserver::{
    Body, Error, Frame, Method, Request, Response, Result, Service, StatusCode, Version, spawn, yield_now,
};
use proptest::prelude::*;

async fn echo(mut request: Request) -> Result<Response> {
    Ok(Response::bytes(request.bytes().await?).with_header("X-Target", request.target()))
}

fn build(target: &str) -> Result<Request> {
    Request::builder().target(target).build()
}

#[test]
fn a_service_answers_a_call_in_the_same_process() {
    run(async {
        for body in [Body::from("hello"), Body::writer(async |mut out| out.write("hello").await), {
            let (mut writer, body) = Body::channel();
            let _detached = spawn(async move {
                writer.write("hel").await?;
                yield_now().await;
                writer.write("lo").await?;
                writer.finish();
                Ok::<_, Error>(())
            });
            body
        }] {
            let request = Request::builder().method(Method::POST).target("/a?b=c").body(body).build().unwrap();
            let mut response = Service::call(&echo, request).await;
            assert_eq!((response.status(), response.header("x-target")), (StatusCode::OK, Some("/a?b=c")));
            assert_eq!(response.body_mut().bytes(100).await.unwrap(), "hello");
        }
    });
}

#[test]
fn a_built_request_has_what_one_from_a_client_would_have() {
    let request = Request::builder().method(Method::POST).body("hello").build().unwrap();
    assert_eq!((request.path(), request.host(), request.version()), ("/", Some("localhost"), Version::HTTP_11));
    assert_eq!(request.headers().get("content-length"), Some("5"));
    assert!(request.is_keep_alive() && !request.is_body_end() && !request.is_upgrade());
    assert_eq!(request.peer_addr(), None);
    let streamed = Request::builder().body(Body::writer(async |_| Ok(()))).build().unwrap();
    assert_eq!(streamed.headers().get("transfer-encoding"), Some("chunked"));
    let bare = Request::builder().build().unwrap();
    assert!(bare.is_body_end());
    assert_eq!(bare.headers().get("content-length"), None);
    let peer = "192.0.2.1:5".parse().unwrap();
    assert_eq!(Request::builder().peer_addr(peer).build().unwrap().peer_addr(), Some(peer));
}

#[test]
fn a_built_request_has_no_client_that_could_go() {
    let request = build("/").unwrap();
    request.cancel_on_disconnect();
    assert!(!request.is_client_gone());
    let mut gone = std::pin::pin!(request.client_gone());
    assert!(gone.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
}

#[test]
fn a_built_body_keeps_to_its_limits() {
    run(async {
        let mut request = Request::builder().body("x".repeat(1024 * 1024 + 1)).build().unwrap();
        assert!(matches!(request.bytes().await, Err(Error::BodyTooLarge { limit: 1_048_576 })));
        let mut request =
            Request::builder().body(Body::writer(async |mut out| out.write("12345").await)).build().unwrap();
        assert!(matches!(request.bytes_limited(4).await, Err(Error::BodyTooLarge { limit: 4 })));
        let mut body = Body::from("12345");
        body.limit(4);
        assert!(matches!(body.chunk().await, Err(Error::BodyTooLarge { limit: 4 })));
    });
}

#[test]
fn targets_of_all_four_forms_can_be_built() {
    for target in ["/a%20b?c=/d", "/go?to=http://example.com/", "http://example.com/a?b"] {
        assert_eq!(build(target).unwrap().target(), target);
    }
    assert_eq!(build("http://example.com:81?a=/").unwrap().headers().get("host"), Some("example.com:81"));
    let connect = Request::builder().method(Method::CONNECT).target("example.com:443").build().unwrap();
    assert_eq!((connect.host(), connect.path()), (Some("example.com:443"), ""));
    let options = Request::builder().method(Method::OPTIONS).target("*").build().unwrap();
    assert_eq!(options.path(), "*");
}

#[test]
fn a_builder_refuses_what_would_begin_another_line_or_request() {
    for target in
        ["", "no-slash", "/a b", "/a\r\nX: y", "/ HTTP/1.1\r\nHost: b\r\n\r\nGET /", "/\t", "/\u{7f}", "/\0", "/#f"]
    {
        assert!(matches!(build(target), Err(Error::BadRequest(_))), "{target:?}");
    }
    for (name, value) in [("X", "a\r\nY: b"), ("X", "a\nb"), ("X", "a\0"), ("X: y\r\nZ", "a"), ("", "a"), ("X Y", "a")]
    {
        let result = Request::builder().header(name, value).build();
        assert!(matches!(result, Err(Error::InvalidHeader(_))), "{name:?}: {value:?}");
    }
    for (name, value) in
        [("Content-Length", "+5"), ("Content-Length", "x"), ("Host", "a b"), ("Transfer-Encoding", "gzip")]
    {
        assert!(Request::builder().header(name, value).build().is_err(), "{name}: {value}");
    }
    let both = Request::builder().header("Content-Length", "5").header("Transfer-Encoding", "chunked").body("hello");
    assert!(both.build().is_err());
}

fn token() -> impl Strategy<Value = String> {
    "[A-Za-z0-9!#$%&'*+.^_`|~-]{1,12}"
}

/// Names of no meaning to a parser.
fn lines() -> impl Strategy<Value = Vec<(String, String)>> {
    let name = token().prop_map(|name| format!("X-{name}"));
    prop::collection::vec((name, "([!-~\u{e4}]([ -~\t]{0,20}[!-~])?)?"), 0..8)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_built_is_what_was_given(
        method in token(),
        path in "/[A-Za-z0-9/._~!$&'()*+,;=:@%-]{0,30}",
        query in prop::option::of("[a-z0-9=&/?]{0,20}"),
        lines in lines(),
        body in prop::collection::vec(any::<u8>(), 0..50),
        http11: bool,
    ) {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let target = query.as_ref().map_or(path.clone(), |query| format!("{path}?{query}"));
        let version = if http11 { Version::HTTP_11 } else { Version::HTTP_10 };
        let mut builder = Request::builder().method(method.clone()).target(&target).version(version).body(body.clone());
        for (name, value) in &lines {
            builder = builder.header(name, value);
        }
        let result = builder.build();
        // A method may give the target another form, and a path may have a bad escape: refused, never misread.
        let Ok(mut request) = result else {
            prop_assert!(method == Method::CONNECT || path.contains('%'), "{result:?}");
            return Ok(());
        };
        prop_assert_eq!((request.method(), request.target(), request.version()), (&method, &*target, version));
        prop_assert_eq!((request.path(), request.query()), (&*path, query.as_deref()));
        let own: Vec<_> = request.headers().iter().filter(|(name, _)| name.starts_with("X-")).collect();
        let given: Vec<_> = lines.iter().map(|(name, value)| (&**name, value.as_bytes())).collect();
        prop_assert_eq!(own, given);
        prop_assert_eq!(run(request.bytes()).unwrap(), body);
    }

    #[test]
    fn nothing_given_to_a_builder_makes_it_panic_or_adds_a_line(
        target in "[ -~\r\n\t\0\u{e4}]{0,20}",
        name in "[ -~\r\n:]{0,8}",
        value in "[ -~\r\n\0\u{e4}]{0,16}",
    ) {
        if let Ok(request) = Request::builder().target(&target).header(&name, &value).build() {
            prop_assert_eq!(request.target(), target);
            let lines = request.headers().iter().count();
            prop_assert!(lines <= 2, "a line became {lines}");
            prop_assert_eq!(request.headers().get_bytes(&name), Some(value.trim_matches([' ', '\t']).as_bytes()));
        }
    }

    #[test]
    fn responses_come_back_from_the_http_crate_as_they_were(
        status in 200..600u16,
        lines in lines(),
        body in prop::collection::vec(any::<u8>(), 0..50),
        closes: bool,
    ) {
        let status = StatusCode::from_u16(status).unwrap();
        let mut response = Response::new(status).with_body(body.clone());
        for (name, value) in &lines {
            response.append_header(name, value).unwrap();
        }
        if closes {
            response.close_connection();
        }
        let foreign = http::Response::<Body>::from(response);
        prop_assert_eq!(foreign.status(), status);
        prop_assert_eq!(foreign.headers().contains_key("connection"), closes);
        for (name, value) in &lines {
            prop_assert!(foreign.headers().get_all(name).iter().any(|found| found.as_bytes() == value.as_bytes()));
        }
        let mut back = Response::from(foreign);
        prop_assert_eq!(back.status(), status);
        // The `http` crate keeps lines by name in lower case, each name's in order.
        for (name, _) in &lines {
            let is_name = |other: &str| other.eq_ignore_ascii_case(name);
            let given = lines.iter().filter(|(other, _)| is_name(other)).map(|(_, value)| value.as_bytes());
            let found = back.headers().filter(|(other, _)| is_name(other)).map(|(_, value)| value);
            prop_assert!(given.eq(found));
        }
        prop_assert_eq!(back.headers().count(), lines.len());
        prop_assert_eq!(run(back.body_mut().bytes(100)).unwrap(), body);
    }

    #[test]
    fn requests_come_back_from_the_http_crate_as_they_were(
        path in "/[a-z0-9/._~-]{0,30}",
        query in prop::option::of("[a-z0-9=&]{1,20}"),
        lines in lines(),
        body in prop::collection::vec(any::<u8>(), 1..50),
    ) {
        let target = query.as_ref().map_or(path.clone(), |query| format!("{path}?{query}"));
        let mut builder = Request::builder().method(Method::PUT).target(&target).body(body.clone());
        for (name, value) in &lines {
            builder = builder.header(name, value);
        }
        let foreign = http::Request::<Body>::try_from(builder.build().unwrap()).unwrap();
        prop_assert_eq!((foreign.method(), foreign.uri().to_string()), (&Method::PUT, target.clone()));
        let mut back = Request::try_from(foreign).unwrap();
        prop_assert_eq!((back.method(), back.target(), back.host()), (&Method::PUT, &*target, Some("localhost")));
        let length = body.len().to_string();
        prop_assert_eq!(back.headers().get("content-length"), Some(&*length));
        for (name, value) in &lines {
            prop_assert!(back.headers().iter().any(|(other, found)| other.eq_ignore_ascii_case(name) && found == value.as_bytes()));
        }
        prop_assert_eq!(run(back.bytes()).unwrap(), body);
    }
}

#[test]
fn the_extensions_of_the_http_crate_come_along() {
    let foreign = http::Request::builder().uri("/x").extension(7u8).body("").unwrap();
    let request = Request::try_from(foreign).unwrap();
    assert_eq!(request.extensions().get::<http::Extensions>().unwrap().get::<u8>(), Some(&7));
    let foreign = http::Request::<Body>::try_from(request).unwrap();
    assert_eq!(foreign.extensions().get::<u8>(), Some(&7));
}

#[test]
fn a_request_of_a_connection_can_be_handed_to_another_library_body_and_all() {
    run(async {
        let addr = serve(async |request: Request| -> Result<Response> {
            let foreign = http::Request::<Body>::try_from(request)?;
            let (parts, mut body) = foreign.into_parts();
            let text = body.bytes(100).await?;
            Ok(http::Response::builder().header("x-method", parts.method.as_str()).body(text).unwrap().into())
        });
        let client = Client::connect(addr).await;
        for _ in 0..2 {
            client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n").await;
            let answer = client.answer().await;
            assert_eq!((answer.text(), answer.header("x-method")), ("hi", Some("POST")));
        }
    });
}

#[test]
fn a_foreign_response_cannot_frame_itself() {
    let foreign = http::Response::builder()
        .header("transfer-encoding", "chunked")
        .header("connection", "keep-alive")
        .header("content-length", "99")
        .body("five!")
        .unwrap();
    let response = Response::from(foreign);
    assert_eq!(response.headers().count(), 0);
    run(async {
        let addr = serve(async |_: Request| -> Response {
            http::Response::builder().header("content-length", "99").body("five!").unwrap().into()
        });
        let client = Client::connect(addr).await;
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
        assert_eq!(client.answer().await.text(), "five!");
    });
}

#[test]
fn trailers_are_read_as_frames() {
    run(async {
        let mut body = Body::writer(async |mut out| {
            let mut trailers = httpserver::Trailers::new();
            trailers.append("X-Sum", "1")?;
            out.set_trailers(trailers);
            out.write("data").await
        });
        let done = Event::new();
        let mut frames = Vec::new();
        while let Some(frame) = std::future::poll_fn(|cx| body.poll_frame(cx)).await {
            frames.push(match frame.unwrap() {
                Frame::Data(data) => String::from_utf8(data.to_vec()).unwrap(),
                Frame::Trailers(trailers) => format!("{trailers:?}"),
                _ => unreachable!(),
            });
        }
        done.set();
        assert_eq!(frames, ["data", r#"{"X-Sum": "1"}"#]);
        assert!(matches!(body.poll_frame(&mut Context::from_waker(Waker::noop())), Poll::Ready(None)));
    });
}
