//! The formats of the access log, and the traces that stand in it.

use serde_json::Value;
use web::{
    AccessLogFormat, Application, Exchange, Method,
    httpserver::Body,
    testing::{self, LogCapture, TestClient, capture_log},
};

const TRACEPARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

async fn user(exchange: &mut Exchange) -> web::Result<()> {
    exchange.write_text(format!("user {}", exchange.path::<String>("id")?));
    Ok(())
}

fn client(format: AccessLogFormat) -> TestClient {
    let stream = async |exchange: &mut Exchange| {
        exchange.write("streamed");
        exchange.flush().await
    };
    let body = async |exchange: &mut Exchange| exchange.finish_with(Body::from("1234567"));
    let traced = async |exchange: &mut Exchange| {
        let (one, two) = (exchange.trace(), exchange.trace());
        assert_eq!(one, two, "the same at each call");
        exchange.write_text(one.to_string());
        Ok(())
    };
    let application = Application::new()
        .get("/user/{id}", user)
        .get("/stream", stream)
        .get("/body", body)
        .get("/traced", traced)
        .access_log_format(format);
    TestClient::new(application)
}

/// The lines of the access log since the last call.
fn lines(log: &LogCapture) -> Vec<String> {
    let lines = log.take().into_iter().filter(|line| line.target == "web::access");
    lines.map(|line| line.message).collect()
}

/// A line of the combined format with its time taken out, which has to look like one.
fn without_time(line: &str) -> String {
    let (before, rest) = line.split_once('[').expect("a time");
    let (time, behind) = rest.split_once(']').expect("the end of a time");
    let shape: String = time.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    assert!(shape.starts_with("00/") && shape.ends_with("/0000:00:00:00 +0000") && shape.len() == 26, "{time}");
    format!("{before}[]{behind}")
}

#[test]
fn combined_lines_are_those_of_apache_and_nginx() {
    testing::run(async {
        let log = capture_log();
        let client = client(AccessLogFormat::Combined);
        for (method, target, headers, expected) in [
            (Method::GET, "/user/7?a=b", &[][..], r#"127.0.0.1 - - [] "GET /user/7?a=b HTTP/1.1" 200 6 "-" "-""#),
            (
                Method::GET,
                "/body",
                &[("Referer", "https://example.org/a"), ("User-Agent", "curl/8.5.0")],
                r#"127.0.0.1 - - [] "GET /body HTTP/1.1" 200 7 "https://example.org/a" "curl/8.5.0""#,
            ),
            (Method::GET, "/stream", &[], r#"127.0.0.1 - - [] "GET /stream HTTP/1.1" 200 - "-" "-""#),
            (Method::HEAD, "/user/7", &[], r#"127.0.0.1 - - [] "HEAD /user/7 HTTP/1.1" 200 0 "-" "-""#),
            (Method::OPTIONS, "/user/7", &[], r#"127.0.0.1 - - [] "OPTIONS /user/7 HTTP/1.1" 204 0 "-" "-""#),
            // What would forge a field or a line.
            (
                Method::GET,
                "/user/'%22x",
                &[("User-Agent", "a\" 200 \\\t\u{1f600}\u{202e}"), ("Referer", "")],
                "127.0.0.1 - - [] \"GET /user/'%22x HTTP/1.1\" 200 8 \"-\" \"a\\\" 200 \\\\\\t\u{1f600}\\u{202e}\"",
            ),
        ] {
            let request = client.request(method, target);
            headers.iter().fold(request, |request, (name, value)| request.header(name, value)).send().await;
            let lines: Vec<String> = lines(&log).iter().map(|line| without_time(line)).collect();
            assert_eq!(lines, [expected]);
        }
    });
}

#[test]
fn json_lines_have_a_member_for_what_is_known() {
    testing::run(async {
        let log = capture_log();
        let client = client(AccessLogFormat::Json);
        let ask = async |target: &str, headers: &[(&str, &str)]| -> Value {
            headers.iter().fold(client.get(target), |request, (name, value)| request.header(name, value)).send().await;
            let line = lines(&log).remove(0);
            assert!(line.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{line}");
            serde_json::from_str(&line).expect("JSON")
        };

        let line = ask("/user/7?a=%0a", &[("User-Agent", "a\"\\\t\u{202e}\u{e9}"), ("Referer", "x")]).await;
        assert_eq!(
            (&line["status"], &line["method"], &line["version"]),
            (&200.into(), &"GET".into(), &"HTTP/1.1".into())
        );
        assert_eq!((&line["target"], &line["route"]), (&"/user/7?a=%0a".into(), &"/user/{id}".into()));
        assert_eq!((&line["remote_ip"], &line["bytes"]), (&"127.0.0.1".into(), &6.into()));
        assert_eq!((&line["user_agent"], &line["referer"]), (&"a\"\\\t\u{202e}\u{e9}".into(), &"x".into()));
        assert!(line["duration_ms"].is_f64() && line.get("trace_id").is_none(), "{line}");
        let time = line["time"].as_str().expect("a text");
        let shape: String = time.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
        assert_eq!(shape, "0000-00-00T00:00:00Z");

        let line = ask("/unknown", &[]).await;
        assert_eq!((&line["status"], line.get("route"), line.get("user_agent")), (&404.into(), None, None));
        assert_eq!(ask("/stream", &[]).await.get("bytes"), None);
    });
}

#[test]
fn a_trace_goes_on_and_stands_in_the_log() {
    testing::run(async {
        let log = capture_log();
        let client = client(AccessLogFormat::Json);
        let ask = async |target: &str, traceparents: &[&str]| {
            let request = client.get(target);
            let request = traceparents.iter().fold(request, |request, value| request.header("traceparent", value));
            let text = request.send().await.text().to_owned();
            let line: Value = serde_json::from_str(&lines(&log).remove(0)).expect("JSON");
            (text, line["trace_id"].as_str().map(str::to_owned), line["span_id"].as_str().map(str::to_owned))
        };

        let (sent, trace, span) = ask("/traced", &[TRACEPARENT]).await;
        assert_eq!(trace.as_deref(), Some("4bf92f3577b34da6a3ce929d0e0e4736"));
        assert_eq!(sent, format!("00-4bf92f3577b34da6a3ce929d0e0e4736-{}-01", span.expect("a span")));
        // Handlers that do not ask are found by it too.
        let (_, trace, _) = ask("/user/7", &[TRACEPARENT]).await;
        assert_eq!(trace.as_deref(), Some("4bf92f3577b34da6a3ce929d0e0e4736"));
        // What is malformed or ambiguous begins a new one.
        for traceparents in [&["00-4bf9-00f0-01"][..], &[TRACEPARENT, TRACEPARENT], &[]] {
            let (sent, trace, _) = ask("/traced", traceparents).await;
            assert!(!sent.contains("4bf92f35") && sent.ends_with("-00"), "{sent}");
            assert_eq!(trace.as_deref(), sent.get(3..35));
            assert_eq!(ask("/user/7", traceparents).await.1, None);
        }
    });
}
