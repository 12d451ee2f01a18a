//! Answers that end with their head, from a service that would stream: HEAD, 204, 205, 304.

mod common;

use std::{cell::Cell, rc::Rc, time::Duration};

use common::{Client, Event, SetOnDrop, header, run, status, until};
use httpserver::{Body, HttpServer, Request, Response, ServerHandle, StatusCode, sleep};

/// Ticks every 100 ms; the status is in the path.
fn serve_ticks(polled: &Rc<Cell<bool>>, dropped: &Event) -> ServerHandle {
    let (polled, dropped) = (polled.clone(), dropped.clone());
    let server = HttpServer::new(async move |request: Request| {
        if request.path() == "/next" {
            return Response::text("next");
        }
        let (polled, dropped) = (polled.clone(), SetOnDrop(dropped.clone()));
        let body = Body::writer(async move |mut out| {
            let _dropped = dropped;
            polled.set(true);
            loop {
                out.write("tick\n").await?;
                out.flush().await?;
                sleep(Duration::from_millis(100)).await;
            }
        });
        let status = request.path()[1..].parse().unwrap();
        Response::text(body).with_status(StatusCode::from_u16(status).unwrap())
    });
    server.listen(("127.0.0.1", 0)).unwrap()
}

const KINDS: [(&str, &str); 4] = [("HEAD", "/200"), ("GET", "/204"), ("GET", "/205"), ("GET", "/304")];

fn request(method: &str, path: &str) -> String {
    format!("{method} {path} HTTP/1.1\r\nHost: a\r\n\r\n")
}

#[test]
fn a_body_that_no_client_would_get_is_dropped_unpolled() {
    run(async {
        for (method, path) in KINDS {
            let (polled, dropped) = (Rc::default(), Event::new());
            let server = serve_ticks(&polled, &dropped);
            let client = Client::connect(server.local_addr()).await;
            client.send(request(method, path)).await;
            let head = client.head().await;
            assert_eq!(status(&head).to_string(), path[1..]);
            assert_eq!((header(&head, "transfer-encoding"), header(&head, "connection")), (None, None), "{path}");
            assert!(dropped.is_set() && !polled.get(), "{method} {path}");
        }
    });
}

#[test]
fn the_next_request_behind_an_answer_without_content_is_served_at_once() {
    run(async {
        for (method, path) in KINDS {
            let server = serve_ticks(&Rc::default(), &Event::new());
            let client = Client::connect(server.local_addr()).await;
            client.send(request(method, path) + &request("GET", "/next")).await;
            client.head().await;
            assert_eq!(client.answer().await.text(), "next", "{method} {path}");
        }
    });
}

#[test]
fn a_client_that_leaves_by_fin_behind_an_answer_without_content_frees_its_connection() {
    run(async {
        for (method, path) in KINDS {
            let server = serve_ticks(&Rc::default(), &Event::new());
            let client = Client::connect(server.local_addr()).await;
            client.send(request(method, path)).await;
            client.head().await;
            assert_eq!(server.connections(), 1);
            client.end().await;
            until(|| server.connections() == 0).await;
            client.expect_closed().await;
        }
    });
}

#[test]
fn a_drain_does_not_wait_for_an_answer_without_content() {
    run(async {
        for (method, path) in KINDS {
            let server = serve_ticks(&Rc::default(), &Event::new());
            let client = Client::connect(server.local_addr()).await;
            client.send(request(method, path)).await;
            client.head().await;
            let report = server.drain(Duration::from_secs(3600)).await;
            assert_eq!((report.idle, report.cut), (1, 0), "{method} {path}");
        }
    });
}

#[test]
fn a_stream_of_known_size_tells_head_what_it_tells_get() {
    run(async {
        let addr = common::serve(async |_: Request| {
            let mut response = Response::text(Body::writer(async |mut out| out.write("hello").await));
            response.set_content_length(5);
            response
        });
        let client = Client::connect(addr).await;
        for method in ["GET", "HEAD"] {
            client.send(request(method, "/")).await;
            let head = client.head().await;
            assert_eq!(header(&head, "content-length"), Some("5"));
            if method == "GET" {
                client.stream.read_bytes(5).await.unwrap();
            }
        }
    });
}
