//! Limits for the bodies of requests: of the server, of an application, of a route.

mod util;

use std::sync::mpsc::channel;

use util::{
    Server,
    in_process::{get, send},
    serve,
};
use web::{Application, Exchange, Limits, Method, Request, RequestHandler, Route, httpserver::Body};

async fn length(exchange: &mut Exchange) -> web::Result<()> {
    let length = exchange.bytes().await?.len();
    exchange.write_text(length.to_string());
    Ok(())
}

async fn chunks(exchange: &mut Exchange) -> web::Result<()> {
    let mut length = 0;
    while let Some(chunk) = exchange.chunk().await? {
        length += chunk.len();
    }
    exchange.write_text(length.to_string());
    Ok(())
}

async fn unread(exchange: &mut Exchange) -> web::Result<()> {
    exchange.write_text("not read");
    Ok(())
}

fn application() -> Application {
    Application::new()
        .post("/length", length)
        .post("/chunks", chunks)
        .post("/unread", unread)
        .add(Route::post("/less", length).body_limit(10))
        .add(Route::post("/more", length).body_limit(1000))
        .body_limit(100)
}

fn server() -> Server {
    serve(|| application().limits(Limits::default().max_body(500)))
}

/// The status of a body of so many bytes, with its length announced and in chunks.
fn statuses(server: &Server, target: &str, length: usize) -> [u16; 2] {
    let body = "x".repeat(length);
    let mut chunked = server.connect();
    chunked.send(format!("POST {target} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"));
    chunked.send(format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len()));
    [server.send("POST", target, "", &body).status, chunked.reply().status]
}

#[test]
fn the_limit_of_a_route_goes_before_that_of_the_application_and_the_servers_holds_in_any_case() {
    let server = server();
    for (target, max) in [("/length", 100), ("/chunks", 100), ("/less", 10), ("/more", 500)] {
        assert_eq!(statuses(&server, target, max), [200, 200], "{target}");
        assert_eq!(statuses(&server, target, max + 1), [413, 413], "{target}");
    }
}

#[test]
fn a_body_that_is_not_read_is_not_refused() {
    let server = server();
    let mut client = server.connect();
    client.request("POST", "/unread", "", &"x".repeat(400));
    assert_eq!(client.reply().text(), "not read");
    // Nothing of it is taken for the next request.
    client.request("POST", "/length", "", "hello");
    assert_eq!(client.reply().text(), "5");
}

#[test]
fn a_body_announced_beyond_the_limit_is_refused_before_it_is_asked_for() {
    let server = server();
    for target in ["/length", "/chunks", "/less"] {
        let mut client = server.connect();
        client
            .send(format!("POST {target} HTTP/1.1\r\nHost: a\r\nContent-Length: 400\r\nExpect: 100-continue\r\n\r\n"));
        assert_eq!(client.reply().status, 413, "no 100 Continue: {target}");
    }
}

#[test]
fn every_way_to_read_keeps_to_the_limit() {
    const FORM: &str = "application/x-www-form-urlencoded";
    let application = Application::new()
        .post("/text", async |exchange: &mut Exchange| exchange.text().await.map(drop))
        .post("/form", async |exchange: &mut Exchange| exchange.form_arguments().await.map(drop))
        .post("/argument", async |exchange: &mut Exchange| exchange.argument::<String>("a").await.map(drop))
        .post("/json", async |exchange: &mut Exchange| exchange.json::<Vec<u8>>().await.map(drop))
        .post("/limited", async |exchange: &mut Exchange| exchange.bytes_limited(1000).await.map(drop))
        .post("/chunk", chunks)
        .body_limit(8);
    for (target, kind, fits, exceeds) in [
        ("/text", "text/plain", "12345678", "123456789"),
        ("/form", FORM, "a=345678", "a=3456789"),
        ("/argument", FORM, "a=345678", "a=3456789"),
        ("/json", "application/json", "[1,2,34]", "[1,2,345]"),
        ("/limited", "text/plain", "12345678", "123456789"),
        ("/chunk", "text/plain", "12345678", "123456789"),
    ] {
        for (body, status) in [(fits, 200), (exceeds, 413)] {
            let request = Request::builder().method(Method::POST).target(target).header("Content-Type", kind);
            assert_eq!(send(&application, request.body(body)).status, status, "{target} {body}");
            let request = Request::builder().method(Method::POST).target(target).header("Content-Type", kind);
            let streamed = Body::writer(async move |mut out| out.write(body).await);
            assert_eq!(send(&application, request.body(streamed)).status, status, "{target} {body}, streamed");
        }
    }
}

#[test]
fn the_handler_can_tell_that_its_body_is_too_large() {
    let (tell, told) = channel();
    let application = Application::new()
        .post("/", async move |exchange: &mut Exchange| {
            let error = exchange.bytes().await.expect_err("it is too large");
            tell.send(error.to_string()).unwrap();
            // The first failure stays.
            exchange.chunk().await.map(drop)
        })
        .body_limit(3);
    let request = Request::builder().method(Method::POST).body("four");
    let answer = send(&application, request);
    assert_eq!(answer.status, 413);
    assert!(told.recv().unwrap().contains('3'));
}

#[test]
fn a_route_of_a_request_handler_has_its_limit_for_all_of_its_methods() {
    struct Both;
    impl RequestHandler for Both {
        const METHODS: &'static [Method] = &[Method::POST, Method::PUT, Method::GET];
        async fn post(&self, exchange: &mut Exchange) -> web::Result<()> {
            length(exchange).await
        }
        async fn put(&self, exchange: &mut Exchange) -> web::Result<()> {
            length(exchange).await
        }
        async fn get(&self, exchange: &mut Exchange) -> web::Result<()> {
            length(exchange).await
        }
    }
    let application = Application::new().add(Route::handler("/", Both).body_limit(3)).body_limit(100);
    for method in [Method::POST, Method::PUT] {
        let status =
            |body: &'static str| send(&application, Request::builder().method(method.clone()).body(body)).status;
        assert_eq!((status("abc"), status("abcd")), (200, 413), "{method}");
    }
    assert_eq!(get(&application, "/").text(), "0");
}
