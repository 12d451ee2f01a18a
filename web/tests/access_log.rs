//! The access log. The logger belongs to the process: this file has one test.

mod util;

use std::sync::Mutex;

use log::{Level, LevelFilter, Log, Metadata, Record};
use util::serve;
use web::{Application, Error, Exchange, StatusCode};

static LINES: Mutex<Vec<(Level, String, String)>> = Mutex::new(Vec::new());

struct Collector;

impl Log for Collector {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        if record.target().starts_with("web") {
            let line = (record.level(), record.target().to_owned(), record.args().to_string());
            LINES.lock().unwrap().push(line);
        }
    }

    fn flush(&self) {}
}

/// What was logged since the last call, with the time of access lines replaced.
fn logged() -> Vec<(Level, String, String)> {
    let mut lines = std::mem::take(&mut *LINES.lock().unwrap());
    for (_, target, line) in &mut lines {
        if target == "web::access" {
            let (request, time) = line.rsplit_once(' ').expect("a time");
            let number = time.strip_suffix("ms").expect("in milliseconds");
            let (_, decimals) = number.split_once('.').expect("with a fraction");
            assert!(number.parse::<f64>().is_ok() && decimals.len() == 2, "{time}");
            *line = request.to_owned();
        }
    }
    lines
}

fn line(level: Level, target: &str, text: &str) -> (Level, String, String) {
    (level, target.to_owned(), text.to_owned())
}

async fn answer(exchange: &mut Exchange) -> web::Result<()> {
    match exchange.query_opt::<u16>("status")? {
        Some(204) => {
            exchange.finish();
            exchange.set_status(StatusCode::NOT_FOUND);
            exchange.remove_header("X");
            exchange.write("more");
            Ok(())
        }
        Some(501) => panic!("two\nlines \u{202e}turned \x1b[31mred"),
        Some(500) => Err(std::io::Error::other("two\nlines").into()),
        Some(status) => Err(Error::http(StatusCode::from_u16(status)?, "as asked")),
        None => {
            exchange.write("fine");
            exchange.flush().await
        }
    }
}

#[test]
fn each_request_is_one_line_at_the_level_of_its_status() {
    log::set_logger(&Collector).unwrap();
    log::set_max_level(LevelFilter::Info);
    let server = serve(|| Application::new().get("/", answer));
    let mut client = server.connect();
    // The line is written before the end of the answer is sent.
    let mut ask = |method: &str, target: &str| {
        client.request(method, target, "", "");
        client.reply_to(method);
        logged()
    };

    let access = "web::access";
    assert_eq!(ask("GET", "/"), [line(Level::Info, access, "200 GET / (127.0.0.1)")]);
    assert_eq!(ask("GET", "/nowhere?a=%0a&b='"), [line(Level::Warn, access, "404 GET /nowhere?a=%0a&b=' (127.0.0.1)")]);
    assert_eq!(
        ask("HEAD", "/?status=404"),
        [
            line(Level::Warn, "web", "404 HEAD /?status=404 (127.0.0.1): as asked"),
            line(Level::Warn, access, "404 HEAD /?status=404 (127.0.0.1)"),
        ]
    );
    assert_eq!(
        ask("GET", "/?status=500"),
        [
            line(Level::Error, "web", "500 GET /?status=500 (127.0.0.1): two\\nlines"),
            line(Level::Error, access, "500 GET /?status=500 (127.0.0.1)"),
        ]
    );
    assert_eq!(
        ask("GET", "/?status=501")[0],
        line(
            Level::Error,
            "web",
            "500 GET /?status=501 (127.0.0.1): The handler panicked: two\\nlines \\u{202e}turned \\x1b[31mred"
        )
    );
    let late = [
        line(Level::Error, "web", "set_status(404): The response is already finished"),
        line(Level::Error, "web", "remove_header(\"X\"): The response is already finished"),
        line(Level::Error, "web", "write() after the response was finished"),
        line(Level::Info, access, "200 GET /?status=204 (127.0.0.1)"),
    ];
    assert_eq!(ask("GET", "/?status=204"), late);
    assert_eq!(ask("PUT", "/"), [line(Level::Warn, access, "405 PUT / (127.0.0.1)")]);

    log::set_max_level(LevelFilter::Error);
    assert_eq!(ask("GET", "/"), []);
    log::set_max_level(LevelFilter::Info);
    drop(server);

    let silent = serve(|| Application::new().get("/", answer).access_log(false));
    assert_eq!(silent.get("/").status, 200);
    assert_eq!(logged(), []);
}
