//! The example `middleware`, called in this process: no program is started, and no socket opened.

// The program's own `main` is not called here.
#[path = "../src/bin/middleware.rs"]
#[allow(dead_code)]
mod middleware;

use std::net::SocketAddr;

use web::{Application, Bytes, IOLoop, Request, Response, httpserver::Service};

fn get(application: &Application, target: &str, peer: &str) -> (Response, Bytes) {
    let peer: SocketAddr = peer.parse().expect("an address");
    let request = Request::builder().target(target).peer_addr(peer).build().expect("a plain request");
    IOLoop::current().run_sync(async {
        let mut response = application.call(request).await;
        let body = response.body_mut().bytes(1000).await.expect("a short body");
        (response, body)
    })
}

const HERE: &str = "127.0.0.1:5000";

#[test]
fn every_answer_has_a_number_and_the_headers() {
    let application = middleware::application();
    for (number, (target, status)) in
        (1..).zip([("/", 200), ("/notes/7", 200), ("/notes/x", 400), ("/nowhere", 404), ("/admin/nowhere", 404)])
    {
        let (response, _) = get(&application, target, HERE);
        assert_eq!(response.status(), status, "{target}");
        assert_eq!(response.header("x-request-number"), Some(number.to_string().as_str()), "{target}");
        assert_eq!(response.header("x-frame-options"), Some("DENY"), "{target}");
    }
}

#[test]
fn handlers_find_what_a_wrap_has_left() {
    let application = middleware::application();
    assert_eq!(get(&application, "/notes/7", HERE).1, "note 7, for request 1\n");
}

#[test]
fn a_slow_handler_is_given_up() {
    let (response, body) = get(&middleware::application(), "/slow", HERE);
    assert_eq!(response.status(), 503);
    assert!(body.windows(18).any(|text| text == b"That took too long"));
}

#[test]
fn the_statistics_are_by_pattern_and_for_this_machine_alone() {
    let application = middleware::application();
    for target in ["/notes/7", "/notes/8", "/nowhere"] {
        get(&application, target, HERE);
    }
    assert_eq!(get(&application, "/admin/stats", "192.0.2.1:5000").0.status(), 403);
    let (response, body) = get(&application, "/admin/stats", HERE);
    assert_eq!(response.status(), 200);
    let stats: serde_json::Value = serde_json::from_slice(&body).expect("JSON");
    assert_eq!(stats["/notes/{id}"]["requests"], 2);
    assert_eq!(stats["no route"]["requests"], 1);
    assert_eq!(stats["/admin/stats"]["requests"], 1, "the one that was refused");
}
