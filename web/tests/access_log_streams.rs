//! The access log of streamed answers and of wraps. The logger belongs to the process: this file has one test.

mod util;

use std::{
    sync::mpsc::{Receiver, Sender, channel},
    time::Duration,
};

use log::{Level, LevelFilter, Log, Metadata, Record};
use util::serve;
use web::{Application, Error, Exchange, Next, StatusCode};

/// Sends what is logged to the test.
struct Collector(Sender<String>);

impl Log for Collector {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "web::access"
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            let line = record.args().to_string();
            let (request, _time) = line.rsplit_once(' ').expect("a time");
            let _ = self.0.send(format!("{} {request}", record.level()));
        }
    }

    fn flush(&self) {}
}

async fn streamed(exchange: &mut Exchange) -> web::Result<()> {
    let status = StatusCode::from_u16(exchange.query_opt("status")?.unwrap_or(200))?;
    exchange.set_status(status);
    exchange.write("begun");
    exchange.flush().await?;
    match exchange.query_opt::<String>("then")?.as_deref() {
        Some("fail") => return Err(Error::http(StatusCode::CONFLICT, "too late")),
        Some("panic") => panic!("on purpose"),
        Some("go on") => loop {
            exchange.write("more");
            exchange.flush().await?;
            web::sleep(Duration::from_millis(1)).await;
        },
        _ => {}
    }
    Ok(())
}

async fn wrap(exchange: &mut Exchange, next: Next<'_>) -> web::Result<()> {
    match exchange.query_opt::<u16>("wrap")? {
        Some(status) => Err(Error::http(StatusCode::from_u16(status)?, "as asked")),
        None => next.run(exchange).await,
    }
}

fn next(lines: &Receiver<String>) -> String {
    lines.recv_timeout(Duration::from_secs(20)).expect("a line")
}

#[test]
fn each_streamed_answer_is_one_line_with_the_status_that_was_sent() {
    let (collect, lines) = channel();
    log::set_logger(Box::leak(Box::new(Collector(collect)))).unwrap();
    log::set_max_level(LevelFilter::Info);
    let server = serve(|| Application::new().get("/", streamed).wrap(wrap));
    let line = |level: Level, text: &str| format!("{level} {text} (127.0.0.1)");

    // Complete with their heads, before the handler has ended.
    for (method, status) in [("HEAD", 200), ("HEAD", 404), ("GET", 204), ("GET", 304)] {
        let target = format!("/?status={status}&then=go%20on");
        assert_eq!(server.send(method, &target, "", "").status, status);
        let level = if status == 404 { Level::Warn } else { Level::Info };
        assert_eq!(next(&lines), line(level, &format!("{status} {method} {target}")));
    }
    assert_eq!(server.get("/").text(), "begun");
    assert_eq!(next(&lines), line(Level::Info, "200 GET /"));
    // What was sent counts, not what was to become of it.
    for then in ["fail", "panic"] {
        let mut client = server.connect();
        client.request("GET", &format!("/?then={then}"), "", "");
        client.rest();
        assert_eq!(next(&lines), line(Level::Info, &format!("200 GET /?then={then}")));
    }
    // A client that has left.
    let mut client = server.connect();
    client.request("GET", "/?then=go%20on", "", "");
    assert_eq!(client.head().status, 200);
    drop(client);
    assert_eq!(next(&lines), line(Level::Info, "499 GET /?then=go%20on"));
    assert_eq!(server.get("/?wrap=403").status, 403);
    assert_eq!(next(&lines), line(Level::Warn, "403 GET /?wrap=403"));
    drop(server);
    assert_eq!(lines.try_iter().collect::<Vec<_>>(), Vec::<String>::new(), "nothing is logged twice");
}
