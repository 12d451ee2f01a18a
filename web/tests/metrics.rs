//! What an application does, in numbers.

mod util;

use std::time::Duration;

use util::in_process::{ask, get};
use web::{
    Application, Error, Exchange, Method, StatusCode,
    metrics::{Metrics, readiness},
    sleep, spawn,
    testing::{self, TestClient},
};

async fn answer(exchange: &mut Exchange) -> web::Result<()> {
    match exchange.query_opt::<u16>("status")? {
        Some(200) => exchange.flush().await,
        Some(1) => panic!("on purpose"),
        Some(status) => Err(Error::http(StatusCode::from_u16(status)?, "as asked")),
        None => {
            exchange.write_text("fine");
            Ok(())
        }
    }
}

fn site(metrics: &Metrics) -> Application {
    Application::new()
        .get("/user/{id}", answer)
        .nest("/n", Application::new().get("/x", answer))
        .get("/metrics", metrics.clone())
        .metrics(metrics)
}

/// The lines of a metric but for its head.
fn lines<'t>(text: &'t str, metric: &str) -> Vec<&'t str> {
    text.lines().filter(|line| line.strip_prefix(metric).is_some_and(|rest| rest.starts_with(['{', ' ']))).collect()
}

#[test]
fn requests_are_counted_by_method_route_and_status() {
    let metrics = Metrics::new();
    let application = site(&metrics);
    for target in ["/user/1", "/user/2?status=200", "/user/3?status=409", "/user/4?status=1", "/n/x", "/unknown"] {
        get(&application, target);
    }
    ask(&application, Method::HEAD, "/user/1");
    ask(&application, Method::PUT, "/user/1");
    assert_eq!(metrics.requests(), 8);
    let answer = get(&application, "/metrics");
    assert_eq!(answer.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    assert_eq!(
        lines(answer.text(), "http_requests_total"),
        [
            r#"http_requests_total{method="GET",route="unrouted",status="404"} 1"#,
            r#"http_requests_total{method="GET",route="/n/x",status="200"} 1"#,
            r#"http_requests_total{method="GET",route="/user/{id}",status="200"} 2"#,
            r#"http_requests_total{method="GET",route="/user/{id}",status="409"} 1"#,
            r#"http_requests_total{method="GET",route="/user/{id}",status="500"} 1"#,
            r#"http_requests_total{method="HEAD",route="/user/{id}",status="200"} 1"#,
            r#"http_requests_total{method="PUT",route="/user/{id}",status="405"} 1"#,
        ]
    );
    // Now the request for the metrics is one, too.
    assert_eq!(metrics.requests(), 9);
}

#[test]
fn clients_cannot_make_the_list_longer() {
    let metrics = Metrics::new();
    let application = site(&metrics);
    for number in 0..1000 {
        get(&application, &format!("/user/{number}"));
        get(&application, &format!("/{number}"));
        ask(&application, Method::from_bytes(format!("M{number}").as_bytes()).unwrap(), "/user/7");
    }
    let answer = get(&application, "/metrics");
    assert_eq!(
        lines(answer.text(), "http_requests_total"),
        [
            r#"http_requests_total{method="GET",route="unrouted",status="404"} 1000"#,
            r#"http_requests_total{method="GET",route="/user/{id}",status="200"} 1000"#,
            r#"http_requests_total{method="other",route="/user/{id}",status="405"} 1000"#,
        ]
    );
}

#[test]
fn a_pattern_cannot_end_its_label() {
    let metrics = Metrics::new();
    let application = Application::new()
        .add(web::Route::get(r#"/"?\w+"#, answer).regex())
        .get("/metrics", metrics.clone())
        .metrics(&metrics);
    get(&application, "/a");
    let answer = get(&application, "/metrics");
    assert_eq!(
        lines(answer.text(), "http_requests_total"),
        [r#"http_requests_total{method="GET",route="/\"?\\w+",status="200"} 1"#]
    );
}

#[test]
fn the_histogram_adds_up() {
    let metrics = Metrics::new();
    let application = site(&metrics);
    for _ in 0..3 {
        get(&application, "/user/1");
    }
    let answer = get(&application, "/metrics");
    let buckets: Vec<u64> = lines(answer.text(), "http_request_duration_seconds_bucket")
        .iter()
        .map(|line| line.rsplit_once(' ').expect("a value").1.parse().expect("a number"))
        .collect();
    assert!(buckets.is_sorted() && buckets.len() == 15, "{buckets:?}");
    assert_eq!(buckets.last(), Some(&3));
    assert_eq!(
        lines(answer.text(), "http_request_duration_seconds_count"),
        [r#"http_request_duration_seconds_count{route="/user/{id}"} 3"#]
    );
    let sum = lines(answer.text(), "http_request_duration_seconds_sum")[0].rsplit_once(' ').expect("a value").1;
    assert!(sum.parse::<f64>().expect("a number") >= 0.0, "{sum}");
}

#[test]
fn every_line_is_of_the_format() {
    testing::run(async {
        let metrics = Metrics::new();
        let client = TestClient::new(site(&metrics));
        client.get("/user/7").send().await;
        let answer = client.get("/metrics").send().await;
        let mut announced = Vec::new();
        for line in answer.text().lines() {
            if let Some(head) = line.strip_prefix("# TYPE ") {
                announced.push(head.split_once(' ').expect("a kind").0.to_owned());
                continue;
            }
            if line.starts_with("# HELP ") {
                continue;
            }
            let (series, value) = line.rsplit_once(' ').expect("a value");
            let name = series.split('{').next().expect("a name");
            let base = ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name);
            assert!(announced.iter().any(|known| known == base || known == name), "{line}");
            assert!(value.parse::<f64>().is_ok(), "{line}");
        }
        for (metric, at_least) in
            [("http_connections", 1.0), ("http_connections_total", 1.0), ("ioloop_descriptors", 1.0)]
        {
            let line = lines(answer.text(), metric);
            let value: f64 = line[0].rsplit_once(' ').expect("a value").1.parse().expect("a number");
            assert!(value >= at_least, "{metric} {value}");
        }
    });
}

#[test]
fn a_client_that_left_is_a_499() {
    testing::run(async {
        let metrics = Metrics::new();
        let shown = metrics.clone();
        let poll = async |exchange: &mut Exchange| exchange.while_connected(std::future::pending::<()>()).await;
        let client = TestClient::new(Application::new().get("/poll", poll).get("/metrics", shown).metrics(&metrics));
        let stream = client.connect();
        stream.write("GET /poll HTTP/1.1\r\nHost: test\r\n\r\n").await.expect("the server reads");
        testing::settle().await;
        drop(stream);
        testing::settle().await;
        let answer = client.get("/metrics").send().await;
        let expected = r#"http_requests_total{method="GET",route="/poll",status="499"} 1"#;
        assert_eq!(lines(answer.text(), "http_requests_total"), [expected]);
    });
}

#[test]
fn readiness_ends_when_a_drain_begins() {
    testing::run(async {
        let server = Application::new().get("/ready", readiness).into_server();
        let handle = server.handle();
        let client = TestClient::with_server(server);
        client.get("/ready").send().await.assert_status(200).assert_text("ready\n");
        handle.set_ready(false);
        client.get("/ready").send().await.assert_status(503).assert_text("leaving\n");
        handle.set_ready(true);
        let drained = spawn(handle.drain_after(Duration::from_secs(5), Duration::from_secs(1)));
        sleep(Duration::from_secs(1)).await;
        client.get("/ready").send().await.assert_status(503).assert_header("cache-control", "no-store");
        drained.await.expect("drained");
    });
}
