//! Log lines about refused requests: the reason of each, and not more of them in a second than anybody can read. The logger
//! belongs to the process, hence a binary of its own.

mod common;

use std::{sync::Mutex, time::Duration};

use common::{exchange, run_virtual, serve};
use httpserver::{Method, Request, Response};

static LINES: Mutex<Vec<String>> = Mutex::new(Vec::new());

struct Collector;

impl log::Log for Collector {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        if record.target().starts_with("httpserver") {
            let level = if record.level() == log::Level::Debug { "" } else { "not at debug: " };
            LINES.lock().unwrap().push(format!("{level}{}", record.args()));
        }
    }

    fn flush(&self) {}
}

fn take_lines() -> Vec<String> {
    std::mem::take(&mut *LINES.lock().unwrap())
}

#[test]
fn each_reason_is_one_line_and_there_are_ten_in_a_second_at_most() {
    log::set_logger(&Collector).unwrap();
    log::set_max_level(log::LevelFilter::Debug);
    run_virtual(|clock| async move {
        let addr = serve(async |mut request: Request| match *request.method() {
            Method::PUT => Ok(Response::bytes(request.take_body())),
            _ => request.bytes().await.map(Response::bytes),
        });
        exchange(addr, "GET / HTTP/1.1\r\n\r\n").await;
        let lines = take_lines();
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert!(lines[0].starts_with("refusing a request from 127.0.0.1:") && lines[0].contains("Host"), "{lines:?}");

        let broken = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\nx\r\n";
        exchange(addr, broken).await;
        let lines = take_lines();
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert!(lines[0].starts_with("refusing the body of a request from 127.0.0.1:"), "{lines:?}");

        // In the middle of an answer that is made of the body.
        exchange(addr, broken.replace("POST", "PUT")).await;
        let lines = take_lines();
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert!(lines[0].starts_with("refusing the body of a request from 127.0.0.1:"), "{lines:?}");

        for _ in 0..20 {
            exchange(addr, "nonsense\r\n\r\n").await;
        }
        assert_eq!(take_lines().len(), 7, "with the three before it");
        clock.advance(Duration::from_secs(1)).await;
        exchange(addr, "nonsense\r\n\r\n").await;
        let lines = take_lines();
        assert_eq!(lines.len(), 2);
        assert_eq!(lines[0], "13 more refusals were not logged");
    });
}
