//! How streamed responses end: without content, without a client, with an error.

mod util;

use std::{
    future::pending,
    sync::mpsc::{Receiver, Sender, channel},
    time::Duration,
};

use util::{Client, Server, serve, sockets};
use web::{Application, Error, Exchange, Method, RequestHandler, StatusCode};

/// Streams for as long as it is let, and reports how that ends.
struct Ticks {
    report: Sender<String>,
}

/// Reports that the handler's future has ended.
struct Held(Sender<String>);

impl Drop for Held {
    fn drop(&mut self) {
        let _ = self.0.send("dropped".to_owned());
    }
}

impl RequestHandler for Ticks {
    const METHODS: &'static [Method] = &[Method::GET];

    async fn get(&self, exchange: &mut Exchange) -> web::Result<()> {
        let _held = Held(self.report.clone());
        let status = StatusCode::from_u16(exchange.query_opt("status")?.unwrap_or(200))?;
        exchange.set_status(status);
        loop {
            exchange.write("tick\n");
            if let Err(error) = exchange.flush().await {
                let _ = self.report.send(format!("gone: {}", error.is_client_gone()));
                return Err(error);
            }
            let _ = self.report.send("flushed".to_owned());
            match exchange.query_opt::<String>("then")?.as_deref() {
                Some("wait") => pending().await,
                Some("cancel") => {
                    exchange.cancel_on_disconnect();
                    pending().await
                }
                Some("fail") => return Err(Error::http(StatusCode::CONFLICT, "too late")),
                Some("end") => return Ok(()),
                _ => web::sleep(Duration::from_millis(1)).await,
            }
        }
    }

    fn on_finish(&self, exchange: &mut Exchange) {
        let _ = self.report.send(format!("finish {}", exchange.status().as_u16()));
    }
}

fn application(report: Sender<String>) -> Application {
    Application::new().handler("/", Ticks { report }).get("/next", async |exchange: &mut Exchange| {
        exchange.write("next");
        Ok(())
    })
}

fn ticking() -> (Server, Receiver<String>) {
    let (report, reports) = channel();
    (serve(|| application(report)), reports)
}

/// The reports up to the end of the request, but for how often a flush has succeeded.
fn until_finished(server: &Server, reports: &Receiver<String>) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    while !found.iter().any(|report| report.starts_with("finish")) {
        let report = server.receive(reports);
        if report != "flushed" || found.last() != Some(&report) {
            found.push(report);
        }
    }
    found
}

fn next_is_served(client: &mut Client) {
    client.request("GET", "/next", "", "");
    assert_eq!(client.reply().text(), "next");
}

#[test]
fn an_answer_without_content_ends_the_handler_at_its_first_flush() {
    let (server, reports) = ticking();
    for (method, status) in [("HEAD", 200), ("GET", 204), ("GET", 205), ("GET", 304)] {
        let mut client = server.connect();
        client.request(method, &format!("/?status={status}"), "", "");
        let head = client.head();
        assert_eq!((head.status, head.header("transfer-encoding"), head.header("connection")), (status, None, None));
        assert_eq!(
            until_finished(&server, &reports),
            ["dropped".to_owned(), format!("finish {status}")],
            "{method} {status}"
        );
        next_is_served(&mut client);
    }
    drop(server);
    assert_eq!(reports.iter().count(), 0, "nothing ends twice");
}

#[test]
fn the_next_request_in_a_pipeline_is_answered_behind_an_answer_without_content() {
    let (server, reports) = ticking();
    let mut client = server.connect();
    client.request("HEAD", "/", "", "");
    client.request("GET", "/next", "", "");
    assert_eq!(client.reply_to("HEAD").status, 200);
    assert_eq!(client.reply().text(), "next");
    assert_eq!(until_finished(&server, &reports), ["dropped", "finish 200"]);
}

#[test]
fn a_client_that_leaves_behind_the_head_of_a_stream_leaves_nothing_behind() {
    let (server, reports) = ticking();
    let mut client = server.connect();
    client.request("HEAD", "/", "", "");
    assert_eq!(client.head().status, 200);
    client.shutdown_write();
    assert_eq!(client.rest(), b"", "the server closes too");
    assert_eq!(until_finished(&server, &reports), ["dropped", "finish 200"]);
}

#[test]
fn a_client_that_leaves_makes_the_flush_fail_and_the_handler_end() {
    let (server, reports) = ticking();
    let mut client = server.connect();
    client.request("GET", "/", "", "");
    assert_eq!(client.head().status, 200);
    assert_eq!(client.chunk(), b"tick\n");
    drop(client);
    assert_eq!(until_finished(&server, &reports), ["flushed", "gone: true", "dropped", "finish 200"]);
    drop(server);
    assert_eq!(reports.iter().count(), 0, "nothing ends twice");
}

#[test]
fn a_client_that_closes_its_side_gets_the_rest() {
    let (server, _reports) = ticking();
    let mut client = server.connect();
    client.request("GET", "/", "", "");
    client.shutdown_write();
    assert_eq!(client.head().status, 200);
    for _ in 0..100 {
        assert_eq!(client.chunk().first(), Some(&b't'));
    }
}

#[test]
fn a_stream_that_asks_for_it_is_dropped_with_its_client() {
    let (server, reports) = ticking();
    let mut client = server.connect();
    client.request("GET", "/?then=cancel", "", "");
    assert_eq!(client.head().status, 200);
    assert_eq!(client.chunk(), b"tick\n");
    drop(client);
    assert_eq!(until_finished(&server, &reports), ["flushed", "dropped", "finish 200"]);
}

#[test]
fn a_stream_that_waits_ends_with_its_server() {
    let (report, reports) = channel();
    // Of the two the client is to outlive the server's loop.
    let server = sockets::serve(|| application(report));
    let mut client = server.connect();
    client.request("GET", "/?then=wait", "", "");
    assert_eq!(client.head().status, 200);
    assert_eq!(client.chunk(), b"tick\n");
    drop(server);
    assert_eq!(reports.iter().collect::<Vec<_>>(), ["flushed", "dropped", "finish 200"]);
    assert_eq!(client.rest(), b"", "no end of the body");
}

#[test]
fn an_error_behind_the_head_ends_once_and_cuts_the_connection() {
    let (server, reports) = ticking();
    let mut client = server.connect();
    client.request("GET", "/?then=fail", "", "");
    assert_eq!(client.head().status, 200);
    assert_eq!(client.chunk(), b"tick\n");
    assert_eq!(client.rest(), b"", "neither an end nor a page");
    assert_eq!(until_finished(&server, &reports), ["flushed", "dropped", "finish 200"]);
    drop(server);
    assert_eq!(reports.iter().count(), 0, "nothing ends twice");
}

#[test]
fn a_stream_that_ends_finishes_once() {
    let (server, reports) = ticking();
    let mut client = server.connect();
    client.request("GET", "/?then=end", "", "");
    assert_eq!(client.reply().text(), "tick\n");
    assert_eq!(until_finished(&server, &reports), ["flushed", "dropped", "finish 200"]);
    next_is_served(&mut client);
    drop(server);
    assert_eq!(reports.iter().count(), 0, "nothing ends twice");
}

#[test]
fn a_stream_shorter_or_longer_than_announced_cuts_the_connection() {
    let server = serve(|| {
        Application::new().get("/{piece}", async |exchange: &mut Exchange| {
            let piece: String = exchange.path("piece")?;
            exchange.set_header("Content-Length", "6")?;
            exchange.write("abc");
            exchange.flush().await?;
            exchange.write(piece);
            Ok(())
        })
    });
    for (piece, received) in [("d", "abcd"), ("defg", "abc")] {
        let mut client = server.connect();
        client.request("GET", &format!("/{piece}"), "", "");
        assert_eq!(client.head().header("content-length"), Some("6"));
        assert_eq!(client.rest(), received.as_bytes());
    }
}
