//! The test kit: what it does for those who write tests.

#[path = "util/failure.rs"]
mod failure;

use std::{
    cell::{Cell, RefCell},
    future::pending,
    net::IpAddr,
    rc::Rc,
    time::Duration,
};

use failure::failure;
use web::{
    Application, Cookie, Error, Exchange, IOLoop, Limits, Method, StatusCode, sleep, spawn,
    testing::{self, Level, TestClient, capture_log},
};

const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Answers with what it was sent.
async fn echo(exchange: &mut Exchange) -> web::Result<()> {
    let kind = exchange.header("content-type").unwrap_or("none").to_owned();
    let framing = match exchange.header("content-length") {
        Some(length) => format!("{length} bytes"),
        None => exchange.header("transfer-encoding").unwrap_or("no body").to_owned(),
    };
    let body = exchange.bytes().await?;
    let target = exchange.request().target().to_owned();
    exchange.write_text(format!("{} {target}\n{kind}\n{framing}\n", exchange.method()));
    exchange.write(body);
    Ok(())
}

async fn never(exchange: &mut Exchange) -> web::Result<()> {
    exchange.while_connected(pending::<()>()).await
}

fn echoing() -> TestClient {
    let application = [Method::POST, Method::PUT, Method::PATCH, Method::DELETE, Method::GET]
        .into_iter()
        .fold(Application::new(), |application, method| application.route(method, "/echo", echo));
    TestClient::new(application)
}

#[test]
fn requests_have_methods_queries_and_bodies_of_every_kind() {
    testing::run(async {
        let client = echoing();
        client.get("/echo").send().await.assert_text("GET /echo\nnone\nno body\n");
        let query = client.get("/echo?a=1").query("b", "x & y").query("n", 7).send().await;
        query.assert_contains("GET /echo?a=1&b=x+%26+y&n=7\n");
        let text = client.post("/echo").text("hé").send().await;
        text.assert_text("POST /echo\ntext/plain; charset=utf-8\n3 bytes\nhé");
        let form = client.put("/echo").form([("name", "Ada & Co"), ("n", "1")]).send().await;
        form.assert_text("PUT /echo\napplication/x-www-form-urlencoded\n19 bytes\nname=Ada+%26+Co&n=1");
        let json = client.patch("/echo").json(&["one", "two"]).send().await;
        json.assert_text("PATCH /echo\napplication/json\n13 bytes\n[\"one\",\"two\"]");
        let chunked = client.delete("/echo").body("data").chunked().send().await;
        chunked.assert_text("DELETE /echo\nnone\nchunked\ndata");
        client.head("/echo").send().await.assert_status(200).assert_text("");
    });
}

#[test]
fn connections_are_kept_and_each_client_has_its_own() {
    async fn port(exchange: &mut Exchange) -> web::Result<()> {
        let peer = exchange.request().peer_addr().expect("a client has an address");
        exchange.write_text(peer.to_string());
        Ok(())
    }
    testing::run(async {
        let ada = TestClient::new(Application::new().get("/", port).get("/never", never));
        let first = ada.get("/").send().await;
        assert!(first.text().starts_with("127.0.0.1:"), "{first}");
        ada.get("/").send().await.assert_text(first.text());
        assert_eq!(ada.server().connections(), 1);

        // A request beside one that waits takes a connection more.
        let waiting = ada.get("/never").start();
        testing::settle().await;
        ada.get("/").send().await;
        assert_eq!(ada.server().connections(), 2);
        drop(waiting);

        let grace = ada.another();
        assert_ne!(grace.get("/").send().await.text(), first.text());
        let proxy = ada.another().peer_addr("192.0.2.7:80".parse().unwrap());
        proxy.get("/").send().await.assert_text("192.0.2.7:80");
        testing::settle().await;
        assert_eq!(ada.server().connections(), 3);
        ada.hang_up();
        testing::settle().await;
        assert_eq!(ada.server().connections(), 2);
    });
}

#[test]
fn a_connection_that_the_server_has_closed_is_replaced() {
    testing::run(async {
        let limits = Limits::default().max_requests(1);
        let client = TestClient::new(Application::new().get("/echo", echo).limits(limits));
        for _ in 0..3 {
            client.get("/echo").send().await.assert_header("connection", "close");
        }
        let client = echoing();
        client.get("/echo").send().await;
        testing::advance(s(3600)).await;
        assert_eq!(client.server().connections(), 0, "its idle time is over");
        client.get("/echo").send().await.assert_status(200);
    });
}

async fn count(exchange: &mut Exchange) -> web::Result<()> {
    let visits = 1 + exchange.cookie("visits").and_then(|text| text.parse::<u32>().ok()).unwrap_or(0);
    let cookie = Cookie::build(("visits", visits.to_string())).max_age(Duration::from_secs(3600));
    exchange.set_cookie(cookie)?;
    exchange.write_text(visits.to_string());
    Ok(())
}

#[test]
fn cookies_are_kept_for_as_long_as_they_are_to_be() {
    testing::run(async {
        let client = TestClient::new(Application::new().get("/", count).get("/echo", echo));
        client.get("/").send().await.assert_text("1");
        client.get("/").send().await.assert_text("2");
        assert_eq!(client.cookie("visits").as_deref(), Some("2"));
        client.another().get("/").send().await.assert_text("1");

        testing::advance(s(3599)).await;
        client.get("/").send().await.assert_text("3");
        testing::advance(s(3600)).await;
        assert_eq!(client.cookie("visits"), None);
        client.get("/").send().await.assert_text("1");

        client.set_cookie("visits", "41");
        client.get("/").send().await.assert_text("42");
        client.clear_cookies();
        client.get("/").send().await.assert_text("1");
        client.another().get("/").cookie("visits", "7").send().await.assert_text("8");
    });
}

#[test]
fn hosts_and_header_lines_are_those_of_the_client_unless_the_request_has_its_own() {
    async fn lines(exchange: &mut Exchange) -> web::Result<()> {
        let host = exchange.header("host").unwrap_or_default().to_owned();
        let token = exchange.header("authorization").unwrap_or("none").to_owned();
        exchange.write_text(format!("{host} {token}"));
        Ok(())
    }
    testing::run(async {
        let client = TestClient::new(Application::new().get("/", lines));
        client.get("/").send().await.assert_text("localhost none");
        let client = client.another().host("example.com").header("Authorization", "t1");
        client.get("/").send().await.assert_text("example.com t1");
        client.get("/").header("authorization", "t2").send().await.assert_text("example.com t2");
        client.get("/").header("Host", "other").send().await.assert_text("other t1");
        client.another().get("/").send().await.assert_text("example.com t1");
    });
}

/// Writes a tick a minute, and counts those that were taken.
fn ticking(flushed: &Rc<Cell<u32>>) -> Application {
    let flushed = Rc::clone(flushed);
    Application::new().get("/", async move |exchange: &mut Exchange| {
        loop {
            exchange.write_text("tick\n");
            exchange.flush().await?;
            flushed.set(flushed.get() + 1);
            sleep(s(60)).await;
        }
    })
}

#[test]
fn streamed_answers_are_read_piece_by_piece() {
    testing::run(async {
        let client = TestClient::new(ticking(&Rc::default()));
        let mut stream = client.get("/").stream().await;
        stream.assert_status(StatusCode::OK).assert_header("transfer-encoding", "chunked");
        stream.assert_next("ti").await;
        assert_eq!(stream.text(), "ti");
        stream.assert_next("ck\n").await;
        stream.assert_nothing().await;
        testing::advance(s(120)).await;
        stream.assert_next("tick\ntick\n").await;
        assert_eq!(stream.chunk().await.unwrap(), "tick\n", "at the next minute");
        assert_eq!(testing::elapsed(), s(180));
        assert_eq!(stream.text(), "tick\n".repeat(4));
    });
}

#[test]
fn a_client_goes_away_by_dropping_what_it_reads() {
    testing::run(async {
        let log = capture_log();
        let client = TestClient::new(ticking(&Rc::default()));
        let stream = client.get("/").stream().await;
        assert_eq!(client.server().connections(), 1);
        stream.close();
        testing::advance(s(120)).await;
        assert_eq!(client.server().connections(), 0);
        log.expect(Level::Info, "web::access", "499 GET /");

        // The same before there is an answer.
        let client = TestClient::new(Application::new().get("/", never));
        let poll = client.get("/").start();
        testing::settle().await;
        assert_eq!(client.server().connections(), 1);
        drop(poll);
        testing::settle().await;
        assert_eq!(client.server().connections(), 0);
        log.expect(Level::Info, "web::access", "499 GET /");
    });
}

#[test]
fn a_slow_reader_holds_its_handler_up() {
    let flushed = Rc::new(Cell::new(0));
    let counted = Rc::clone(&flushed);
    let application = Application::new().get("/", async move |exchange: &mut Exchange| {
        for _ in 0..10 {
            exchange.write_text("x".repeat(1000));
            exchange.flush().await?;
            counted.set(counted.get() + 1);
        }
        Ok(())
    });
    testing::run(async {
        let client = TestClient::new(application).capacity(1500);
        let mut stream = client.get("/").stream().await;
        testing::settle().await;
        let taken = flushed.get();
        assert!(taken < 5, "{taken}");
        stream.assert_next("x".repeat(5000)).await;
        testing::settle().await;
        assert!((taken + 1..10).contains(&flushed.get()), "{}", flushed.get());
        assert_eq!(stream.finish().await.bytes().len(), 10_000);
        assert_eq!(flushed.get(), 10);
    });
}

#[test]
fn uploads_are_sent_piece_by_piece() {
    let pieces = Rc::new(RefCell::new(Vec::new()));
    let seen = Rc::clone(&pieces);
    let application = Application::new().post("/", async move |exchange: &mut Exchange| {
        let framing = exchange.header("content-length").unwrap_or("chunked").to_owned();
        while let Some(piece) = exchange.chunk().await? {
            seen.borrow_mut().push(String::from_utf8_lossy(&piece).into_owned());
        }
        exchange.write_text(framing);
        Ok(())
    });
    testing::run(async {
        let client = TestClient::new(application);
        let (mut upload, answer) = client.post("/").upload();
        for piece in ["one", "two"] {
            upload.write(piece).await;
            testing::settle().await;
            assert_eq!(pieces.borrow().last().unwrap(), piece);
        }
        assert!(!answer.is_finished());
        upload.finish();
        answer.await.assert_text("chunked");

        let (mut upload, answer) = client.post("/").content_length(6).upload();
        upload.write("thr").await;
        upload.write("ee!").await;
        upload.finish();
        answer.await.assert_text("6");

        // A client that goes away in the middle.
        let log = capture_log();
        let (mut upload, answer) = client.post("/").upload();
        upload.write("four").await;
        drop(upload);
        testing::settle().await;
        assert!(answer.is_finished());
        log.expect(Level::Warn, "web", "400 POST / (127.0.0.1): request body incomplete");
    });
    assert_eq!(pieces.take(), ["one", "two", "thr", "ee!", "four"]);
}

#[test]
fn an_application_that_does_not_read_holds_an_upload_up() {
    testing::run(async {
        let client = TestClient::new(Application::new().post("/", never)).capacity(1000);
        let (mut upload, _answer) = client.post("/").upload();
        let writing = spawn(async move {
            for _ in 0..1000 {
                upload.write([0; 1000]).await;
            }
        });
        testing::advance(s(1)).await;
        assert!(!writing.is_finished());
    });
}

#[test]
fn requests_that_fail_say_why_and_where_they_were_made() {
    testing::run(async {
        let application = Application::new().get("/", async |exchange: &mut Exchange| {
            exchange.set_header("Content-Length", "6")?;
            exchange.write("abc");
            exchange.flush().await
        });
        let client = TestClient::new(application);
        let error = client.get("/").try_send().await.expect_err("three bytes are missing");
        assert!(
            matches!(error, web::httpserver::Error::BadResponse(_) | web::httpserver::Error::Stream(_)),
            "{error:?}"
        );
        let mut stream = client.get("/").stream().await;
        stream.assert_next("abc").await;
        stream.assert_cut().await;
        assert!(client.get("/ /").try_send().await.is_err());
        client.get("/nowhere").send().await.assert_status(404);
    });
    let text = failure(|| {
        testing::run(async { TestClient::new(Application::new()).get("/a b").send().await });
    });
    assert!(text.starts_with("GET /a b (at web/tests/testing.rs:"), "{text}");
    assert!(text.contains("malformed request target"), "{text}");
}

#[test]
fn assertions_that_fail_show_the_answer() {
    let text = failure(|| {
        testing::run(async {
            TestClient::new(Application::new()).get("/nowhere?a=1").send().await.assert_status(200);
        });
    });
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], "GET /nowhere?a=1: expected the status 200, got 404");
    assert_eq!(lines[1], "  HTTP/1.1 404 Not Found");
    assert!(lines.contains(&"  Content-Type: text/html; charset=utf-8"), "{text}");
    assert!(text.contains("\n\n  <html><title>404: Not Found</title>"), "{text}");

    let application = || {
        Application::new().get("/", async |exchange: &mut Exchange| {
            exchange.set_header("X-Kind", "long")?;
            exchange.write_text("line\x1b[1m\n".repeat(1000));
            Ok(())
        })
    };
    let long = |check: fn(&testing::TestResponse)| {
        failure(|| testing::run(async { check(&TestClient::new(application()).get("/").send().await) }))
    };
    let text = long(|response| {
        response.assert_contains("nothing");
    });
    assert!(text.contains("\n  line\\x1b[1m\n"), "{text}");
    assert!(text.ends_with("  .. and 8000 bytes more"), "{text}");
    for check in [
        (|response| _ = response.assert_header("X-Kind", "short").status()) as fn(&testing::TestResponse),
        |response| _ = response.assert_no_header("x-kind").status(),
        |response| _ = response.assert_redirect("/").status(),
        |response| _ = response.assert_bytes("line").status(),
        |response| _ = response.assert_text("line").status(),
        |response| _ = response.assert_json("line").status(),
    ] {
        let text = long(check);
        assert!(text.starts_with("GET /: ") && text.contains("X-Kind: long"), "{text}");
    }
}

#[test]
fn answers_that_are_as_expected_pass() {
    async fn json(exchange: &mut Exchange) -> web::Result<()> {
        exchange.write_json(&[("a", 1)])
    }
    async fn away(exchange: &mut Exchange) -> web::Result<()> {
        exchange.redirect("/json")
    }
    testing::run(async {
        let client = TestClient::new(Application::new().get("/json", json).get("/away", away));
        let response = client.get("/json").send().await;
        response.assert_status(200).assert_status(StatusCode::OK).assert_json(&[("a", 1)]).assert_no_header("x");
        assert_eq!(response.json::<Vec<(String, u8)>>(), [("a".to_owned(), 1)]);
        response.assert_bytes(b"[[\"a\",1]]").assert_contains("a");
        client.get("/away").send().await.assert_redirect("/json");
    });
}

#[test]
fn a_client_works_on_any_loop() {
    let ioloop = IOLoop::new().unwrap();
    ioloop.run_sync(async {
        echoing().get("/echo").send().await.assert_status(200);
    });
    ioloop.close();
    assert_eq!(failure(|| _ = testing::elapsed()), "the clock of a test can be used inside of `testing::run` only");
}

#[test]
fn each_thread_captures_its_own_lines() {
    let threads: Vec<_> = (0..4)
        .map(|number| {
            std::thread::spawn(move || {
                testing::run(async {
                    let log = capture_log();
                    let client = TestClient::new(Application::new().get("/", never));
                    for turn in 0..20 {
                        let target = format!("/{number}/{turn}");
                        client.get(&target).send().await.assert_status(404);
                        log.expect(Level::Warn, "web::access", &format!("404 GET {target} (127.0.0.1)"));
                        log.assert_quiet(Level::Warn);
                    }
                });
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}

#[test]
fn lines_that_are_missing_or_too_many_fail_a_test_and_are_shown() {
    async fn broken(_exchange: &mut Exchange) -> web::Result<()> {
        Err(Error::Other("the disk is on fire".into()))
    }
    testing::run(async {
        let log = capture_log();
        TestClient::new(Application::new().get("/", broken)).get("/").send().await.assert_status(500);
        let text = failure(|| _ = log.expect(Level::Error, "web", "flood"));
        assert!(
            text.starts_with("expected a line \"ERROR web: ..flood..\" in the log, which has \n  ERROR web: 500 GET /")
        );
        let text = failure(|| log.assert_quiet(Level::Warn));
        assert!(text.contains("the disk is on fire"), "{text}");
        assert!(log.expect(Level::Error, "web", "fire").message.ends_with("the disk is on fire"));
        assert_eq!(log.take().len(), 1, "that of the access log");
        log.assert_quiet(Level::Trace);
        let text = failure(|| _ = log.expect(Level::Error, "web", "fire"));
        assert!(text.ends_with("in the log, which has none"), "{text}");
    });
}

#[test]
fn a_server_is_drained_under_its_clients() {
    testing::run(async {
        let flushed = Rc::new(Cell::new(0));
        let client = TestClient::new(ticking(&flushed));
        let mut stream = client.get("/").stream().await;
        let report = client.server().drain(s(30)).await;
        assert_eq!((report.cut, testing::elapsed()), (1, s(30)));
        stream.assert_cut().await;
    });
}

#[test]
fn clients_come_from_loopback() {
    async fn ip(exchange: &mut Exchange) -> web::Result<()> {
        let ip = exchange.remote_ip();
        exchange.write_text(format!("{}", ip.is_some_and(|ip: IpAddr| ip.is_loopback())));
        Ok(())
    }
    testing::run(async {
        TestClient::new(Application::new().get("/", ip)).get("/").send().await.assert_text("true");
    });
}
