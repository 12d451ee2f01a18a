//! The example `middleware`, driven by the test kit: no program is started, and no socket opened.

// The program's own `main` is not called here.
#[path = "../src/bin/middleware.rs"]
#[allow(dead_code)]
mod middleware;

use web::testing::{self, TestClient};

#[test]
fn every_answer_has_a_number_and_the_headers() {
    testing::run(async {
        let client = TestClient::new(middleware::application());
        for (number, (target, status)) in
            (1..).zip([("/", 200), ("/notes/7", 200), ("/notes/x", 400), ("/nowhere", 404), ("/admin/nowhere", 404)])
        {
            let response = client.get(target).send().await;
            response.assert_status(status);
            response.assert_header("X-Request-Number", number.to_string()).assert_header("X-Frame-Options", "DENY");
        }
    });
}

#[test]
fn handlers_find_what_a_wrap_has_left() {
    testing::run(async {
        let client = TestClient::new(middleware::application());
        client.get("/notes/7").send().await.assert_text("note 7, for request 1\n");
    });
}

#[test]
fn a_slow_handler_is_given_up() {
    testing::run(async {
        let client = TestClient::new(middleware::application());
        client.get("/slow").send().await.assert_status(503);
    });
}

#[test]
fn the_statistics_are_by_pattern_and_for_this_machine_alone() {
    testing::run(async {
        let here = TestClient::new(middleware::application());
        for target in ["/notes/7", "/notes/8", "/nowhere"] {
            here.get(target).send().await;
        }
        let elsewhere = here.another().peer_addr("192.0.2.1:5000".parse().expect("an address"));
        elsewhere.get("/admin/stats").send().await.assert_status(403);
        let stats: serde_json::Value = here.get("/admin/stats").send().await.assert_status(200).json();
        assert_eq!(stats["/notes/{id}"]["requests"], 2);
        assert_eq!(stats["no route"]["requests"], 1);
        assert_eq!(stats["/admin/stats"]["requests"], 1, "the one that was refused");
    });
}

#[test]
fn metrics_are_by_pattern_and_for_this_machine_alone() {
    testing::run(async {
        let here = TestClient::new(middleware::application());
        for target in ["/notes/7", "/notes/8", "/ready"] {
            here.get(target).send().await.assert_status(200);
        }
        let elsewhere = here.another().peer_addr("192.0.2.1:5000".parse().expect("an address"));
        elsewhere.get("/admin/metrics").send().await.assert_status(403);
        let metrics = here.get("/admin/metrics").send().await;
        metrics.assert_status(200);
        metrics.assert_contains(r#"http_requests_total{method="GET",route="/notes/{id}",status="200"} 2"#);
        metrics.assert_contains("http_connections 2\n");
    });
}
