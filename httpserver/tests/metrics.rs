//! What a server counts, and what an access log is told.

mod common;

use std::{cell::RefCell, rc::Rc, time::Duration};

use common::{Client, exchange, run, run_virtual, turns};
use httpserver::{
    Access, AccessLog, Body, HttpServer, IOStream, Limits, Method, Request, Response, ServerHandle, ServerMetrics,
    Service, StatusCode, sleep,
};

fn listen(service: impl Service) -> ServerHandle {
    HttpServer::with_limits(service, Limits::default().max_body(100)).listen(("127.0.0.1", 0)).unwrap()
}

/// Answers with the status that the path names.
async fn by_path(mut request: Request) -> httpserver::Result<Response> {
    let path = request.path().trim_start_matches('/').to_owned();
    Ok(match path.as_str() {
        "body" => match request.bytes().await {
            Ok(body) => Response::bytes(body),
            // The same failure, which counts once.
            Err(_) => Response::bytes(request.bytes().await?),
        },
        "stream" => Response::text(Body::writer(async |mut out| out.write("piece").await)),
        "large" => Response::bytes(vec![0; 100_000]),
        "missing" => {
            let mut response = Response::default();
            response.set_content_length(5);
            response
        }
        "abort" => Response::abort(),
        "panic" => panic!("counted as a 500"),
        "gone" => {
            request.cancel_on_disconnect();
            std::future::pending().await
        }
        "upgrade" => request.upgrade(Response::switching_protocols("x")?, async |stream: IOStream| {
            let _ = stream.read_until(b"\n").await;
        })?,
        status => Response::text("x").with_status(status.parse().unwrap_or(StatusCode::OK)),
    })
}

fn get(path: &str) -> String {
    format!("GET /{path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
}

/// What the server has counted, without connections and times.
fn counts(metrics: &ServerMetrics) -> ([u64; 5], [u64; 4]) {
    let others = [metrics.other_answers, metrics.unanswered, metrics.refused, metrics.failed_bodies];
    (metrics.answers, others)
}

#[test]
fn answers_are_counted_by_the_class_of_their_status() {
    let server = listen(by_path);
    let addr = server.local_addr();
    run(async {
        for path in ["", "", "204", "304", "302", "404", "503", "799", "stream", "large", "panic", "missing"] {
            exchange(addr, get(path)).await;
        }
    });
    assert_eq!(counts(&server.metrics()), ([0, 5, 2, 1, 3], [1, 0, 0, 0]));
    assert_eq!(server.metrics().requests(), 12);
    assert_eq!(server.metrics().latency.count(), 12);
    assert_eq!(server.metrics().connections_total, 12);
}

#[test]
fn pipelined_requests_count_one_by_one() {
    let server = listen(by_path);
    run(async {
        let keep = "GET / HTTP/1.1\r\nHost: a\r\n\r\n".repeat(100);
        exchange(server.local_addr(), keep + &get("404")).await;
    });
    assert_eq!(counts(&server.metrics()), ([0, 100, 0, 1, 0], [0; 4]));
}

#[test]
fn what_is_refused_broken_or_unanswered_has_counts_of_its_own() {
    let server = listen(by_path);
    let addr = server.local_addr();
    run(async {
        for refused in ["nonsense\r\n\r\n", "GET / HTTP/1.1\r\n\r\n", "GET / HTTP/9.9\r\nHost: a\r\n\r\n"] {
            exchange(addr, refused).await;
        }
        // Answered, too.
        assert_eq!(counts(&server.metrics()), ([0, 0, 0, 2, 1], [0, 0, 3, 0]));

        let chunked = "POST /body HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
        for body in ["x\r\n", &format!("65\r\n{}\r\n0\r\n\r\n", "x".repeat(101))] {
            exchange(addr, format!("{chunked}{body}")).await;
        }
        assert_eq!(counts(&server.metrics()), ([0, 0, 0, 4, 1], [0, 0, 3, 2]));

        let client = Client::connect(addr).await;
        client.send(get("abort")).await;
        let _ = client.stream.read_until_close().await;
        assert_eq!(server.metrics().unanswered, 1);
        let client = Client::connect(addr).await;
        client.send(get("gone")).await;
        common::until(|| server.metrics().busy_connections == 1).await;
        drop(client);
        common::until(|| server.metrics().unanswered == 2).await;
    });
}

#[test]
fn connections_are_told_by_what_they_do() {
    let server = listen(by_path);
    run(async {
        let idle = Client::connect(server.local_addr()).await;
        idle.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
        idle.answer().await;
        let upgraded = Client::connect(server.local_addr()).await;
        upgraded.send("GET /upgrade HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n").await;
        upgraded.head().await;
        turns(3).await;
        let metrics = server.metrics();
        assert_eq!((metrics.connections, metrics.busy_connections, metrics.connections_total), (2, 1, 2));
        assert_eq!(metrics.answers, [1, 1, 0, 0, 0]);
        drop((idle, upgraded));
        common::until(|| server.metrics().connections == 0).await;
        assert_eq!(server.metrics().connections_total, 2);
    });
}

#[test]
fn latency_is_the_time_in_which_a_service_waits() {
    run_virtual(|clock| async move {
        let server = listen(async |request: Request| {
            if request.path() == "/slow" {
                // Polled in between: the time counts from the first wait.
                sleep(Duration::from_millis(90)).await;
                sleep(Duration::from_millis(10)).await;
            }
            "done"
        });
        let client = Client::connect(server.local_addr()).await;
        for _ in 0..9 {
            client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
            client.answer().await;
        }
        let before = server.metrics().latency;
        assert_eq!(before.count(), 9);
        assert!(before.quantile(1.0) < Duration::from_millis(1));
        client.send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n").await;
        common::until(|| server.metrics().busy_connections == 1).await;
        assert_eq!(server.metrics().latency.count(), 9, "counted when it is answered");
        clock.advance(Duration::from_millis(90)).await;
        clock.advance(Duration::from_millis(10)).await;
        client.answer().await;
        let after = server.metrics().latency;
        assert!(after.quantile(0.9) < Duration::from_millis(1));
        let slow = after.since(&before);
        assert_eq!(slow.count(), 1);
        let bound = slow.quantile(1.0);
        assert!((Duration::from_millis(100)..=Duration::from_millis(200)).contains(&bound), "{bound:?}");
    });
}

#[test]
fn an_access_log_is_told_of_each_request_once() {
    let seen: Rc<RefCell<Vec<Access>>> = Rc::default();
    let log = Rc::clone(&seen);
    let server = listen(AccessLog::new(by_path, move |access: &Access| log.borrow_mut().push(access.clone())));
    let addr = server.local_addr();
    run(async {
        exchange(addr, get("404?a=b")).await;
        exchange(addr, get("stream")).await;
        exchange(addr, get("panic")).await;
        let client = Client::connect(addr).await;
        client.send(get("gone")).await;
        common::until(|| server.metrics().busy_connections == 1).await;
        drop(client);
        common::until(|| seen.borrow().len() == 4).await;
        let client = Client::connect(addr).await;
        client.send(get("abort")).await;
        let _ = client.stream.read_until_close().await;
    });
    let seen = seen.borrow();
    let told: Vec<_> = seen
        .iter()
        .map(|access| (access.target.as_str(), access.status.map(|status| status.as_u16()), access.length))
        .collect();
    assert_eq!(
        told,
        [
            ("/404?a=b", Some(404), Some(1)),
            ("/stream", Some(200), None),
            ("/panic", None, None),
            ("/gone", None, None),
            ("/abort", None, None),
        ]
    );
    assert!(seen.iter().all(|access| access.method == Method::GET && access.peer.is_some()));
}

#[test]
fn an_access_log_is_told_of_the_status_that_the_client_sees() {
    let seen: Rc<RefCell<Vec<Access>>> = Rc::default();
    let log = Rc::clone(&seen);
    let mistakes = async |request: Request| match request.path() {
        "/length" => Response::text("").with_header("Content-Length", "5"),
        "/early" => Response::new(StatusCode::from_u16(103).unwrap()),
        _ => Response::new(StatusCode::OK),
    };
    let server = listen(AccessLog::new(mistakes, move |access: &Access| log.borrow_mut().push(access.clone())));
    let addr = server.local_addr();
    let sent = run(async {
        let connect = String::from("CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\nConnection: close\r\n\r\n");
        let head = get("length").replacen("GET", "HEAD", 1);
        let mut sent = Vec::new();
        for request in [get("length"), head, get("early"), connect, get("")] {
            let answer = exchange(addr, request).await;
            sent.push(answer[9..12].parse().ok());
        }
        sent
    });
    let told: Vec<_> = seen.borrow().iter().map(|access| access.status.map(|status| status.as_u16())).collect();
    assert_eq!(told, sent);
    assert_eq!(told, [Some(500), Some(200), Some(500), Some(501), Some(200)]);
}

#[test]
fn a_hook_that_panics_takes_no_answer_with_it() {
    let server = listen(AccessLog::new(by_path, |_: &Access| panic!("in the hook")));
    run(async {
        assert!(exchange(server.local_addr(), get("")).await.ends_with("x"));
        // Both panic; the program goes on.
        assert!(exchange(server.local_addr(), get("panic")).await.starts_with("HTTP/1.1 500"));
    });
}
