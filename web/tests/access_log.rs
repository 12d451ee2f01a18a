//! The access log.

use web::{
    Application, Error, Exchange, Method, StatusCode,
    testing::{self, Level, LogCapture, TestClient, capture_log},
};

/// What `web` has logged since the last call, with the time of access lines taken off.
fn logged(log: &LogCapture) -> Vec<(Level, String, String)> {
    let lines = log.take().into_iter().filter(|line| line.target.starts_with("web"));
    lines.map(|line| (line.level, line.target.clone(), without_time(&line.target, line.message))).collect()
}

fn without_time(target: &str, line: String) -> String {
    if target != "web::access" {
        return line;
    }
    let (request, time) = line.rsplit_once(' ').expect("a time");
    let number = time.strip_suffix("ms").expect("in milliseconds");
    let (_, decimals) = number.split_once('.').expect("with a fraction");
    assert!(number.parse::<f64>().is_ok() && decimals.len() == 2, "{time}");
    request.to_owned()
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
    testing::run(async {
        let log = capture_log();
        let client = TestClient::new(Application::new().get("/", answer));
        // The line is written before the end of the answer is sent.
        let ask = async |method: Method, target: &str| {
            client.request(method, target).send().await;
            logged(&log)
        };

        let access = "web::access";
        assert_eq!(ask(Method::GET, "/").await, [line(Level::Info, access, "200 GET / (127.0.0.1)")]);
        assert_eq!(
            ask(Method::GET, "/nowhere?a=%0a&b='").await,
            [line(Level::Warn, access, "404 GET /nowhere?a=%0a&b=' (127.0.0.1)")]
        );
        assert_eq!(
            ask(Method::HEAD, "/?status=404").await,
            [
                line(Level::Warn, "web", "404 HEAD /?status=404 (127.0.0.1): as asked"),
                line(Level::Warn, access, "404 HEAD /?status=404 (127.0.0.1)"),
            ]
        );
        assert_eq!(
            ask(Method::GET, "/?status=500").await,
            [
                line(Level::Error, "web", "500 GET /?status=500 (127.0.0.1): two\\nlines"),
                line(Level::Error, access, "500 GET /?status=500 (127.0.0.1)"),
            ]
        );
        assert_eq!(
            ask(Method::GET, "/?status=501").await[0],
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
        assert_eq!(ask(Method::GET, "/?status=204").await, late);
        assert_eq!(ask(Method::PUT, "/").await, [line(Level::Warn, access, "405 PUT / (127.0.0.1)")]);
    });
}

#[test]
fn an_application_without_an_access_log_writes_no_lines() {
    testing::run(async {
        let log = capture_log();
        let silent = TestClient::new(Application::new().get("/", answer).access_log(false));
        silent.get("/").send().await.assert_status(200);
        assert_eq!(logged(&log), []);
    });
}

#[test]
fn the_line_has_the_status_that_the_client_sees() {
    testing::run(async {
        let log = capture_log();
        let announce = async |exchange: &mut Exchange| exchange.set_header("Content-Length", "5");
        let client = TestClient::new(Application::new().get("/", announce));
        let ask = async |method: Method| {
            let status = client.request(method, "/").send().await.status();
            let line = logged(&log).into_iter().find(|(_, target, _)| target == "web::access").expect("one each");
            (status.as_u16(), line)
        };
        let access = "web::access";
        assert_eq!(ask(Method::GET).await, (500, line(Level::Error, access, "500 GET / (127.0.0.1)")));
        assert_eq!(ask(Method::HEAD).await, (200, line(Level::Info, access, "200 HEAD / (127.0.0.1)")));
    });
}
