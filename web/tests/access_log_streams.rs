//! The access log of streamed answers and of wraps.

use std::time::Duration;

use web::{
    Application, Error, Exchange, Method, Next, StatusCode,
    testing::{self, LogCapture, TestClient, capture_log},
};

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

/// The line of the access log, which has to be the only one since the last call, without its time.
fn access(log: &LogCapture) -> String {
    let lines: Vec<String> = log
        .take()
        .iter()
        .filter(|line| line.target == "web::access")
        .map(|line| format!("{} {}", line.level, line.message.rsplit_once(' ').expect("a time").0))
        .collect();
    assert_eq!(lines.len(), 1, "{lines:?}");
    lines.concat()
}

#[test]
fn each_streamed_answer_is_one_line_with_the_status_that_was_sent() {
    testing::run(async {
        let log = capture_log();
        let client = TestClient::new(Application::new().get("/", streamed).wrap(wrap));

        // Complete with their heads, before the handler has ended.
        for (method, status) in [(Method::HEAD, 200), (Method::HEAD, 404), (Method::GET, 204), (Method::GET, 304)] {
            let target = format!("/?status={status}&then=go%20on");
            client.request(method.clone(), &target).send().await.assert_status(status);
            testing::settle().await;
            let level = if status == 404 { "WARN" } else { "INFO" };
            assert_eq!(access(&log), format!("{level} {status} {method} {target} (127.0.0.1)"));
        }
        client.get("/").send().await.assert_text("begun");
        testing::settle().await;
        assert_eq!(access(&log), "INFO 200 GET / (127.0.0.1)");
        // What was sent counts, not what was to become of it.
        for then in ["fail", "panic"] {
            client.get("/").query("then", then).stream().await.assert_cut().await;
            assert_eq!(access(&log), format!("INFO 200 GET /?then={then} (127.0.0.1)"));
        }
        // A client that has left.
        client.get("/?then=go%20on").stream().await.close();
        testing::advance(Duration::from_millis(2)).await;
        assert_eq!(access(&log), "INFO 499 GET /?then=go%20on (127.0.0.1)");
        client.get("/?wrap=403").send().await.assert_status(403);
        assert_eq!(access(&log), "WARN 403 GET /?wrap=403 (127.0.0.1)");
    });
}
