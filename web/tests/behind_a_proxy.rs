//! Whose request it is, behind a proxy. The logger belongs to the process: this file has one test.

mod util;

use std::sync::Mutex;

use log::{LevelFilter, Log, Metadata, Record};
use util::serve;
use web::{Application, Exchange, ServerOptions, XHeaders};

static LINES: Mutex<Vec<String>> = Mutex::new(Vec::new());

struct Collector;

impl Log for Collector {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "web::access"
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            LINES.lock().unwrap().push(record.args().to_string());
        }
    }

    fn flush(&self) {}
}

async fn whose(exchange: &mut Exchange) -> web::Result<()> {
    exchange.write_text(format!("{:?} {}", exchange.remote_ip(), exchange.protocol()));
    Ok(())
}

#[test]
fn the_client_is_whom_a_trusted_proxy_names() {
    log::set_logger(&Collector).unwrap();
    log::set_max_level(LevelFilter::Info);
    for (trusted, body, name) in
        [("127.0.0.1", "Some(192.0.2.7) https", "(192.0.2.7)"), ("10.0.0.0/8", "Some(127.0.0.1) http", "(127.0.0.1)")]
    {
        let trusted = XHeaders::trusting([trusted.parse().unwrap()]);
        let server =
            serve(move || Application::new().get("/", whose).server_options(ServerOptions::new().xheaders(trusted)));
        let headers = "X-Forwarded-For: 6.6.6.6, 192.0.2.7\r\nX-Forwarded-Proto: https\r\n";
        assert_eq!(server.send("GET", "/", headers, "").text(), body);
        // The line is written behind the answer.
        drop(server);
        let line = LINES.lock().unwrap().pop().expect("a line");
        assert!(line.starts_with(&format!("200 GET / {name} ")), "{line}");
    }
}
