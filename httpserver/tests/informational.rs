//! Informational responses ahead of the answer.

mod common;

use common::{Client, Event, exchange, run, serve, turns};
use httpserver::{Error, IOLoop, Request, Response, Result, Service, StatusCode, spawn};

fn hints() -> Response {
    Response::new(StatusCode::EARLY_HINTS).with_header("Link", "</a.css>; rel=preload").with_header("Link2", "b")
}

const HINTS: &str = "HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\nLink2: b\r\n\r\n";
const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const LAST: &str = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";

#[test]
fn hints_arrive_before_the_answer_is_made() {
    run(async {
        let gate = Event::new();
        let addr = serve({
            let gate = gate.clone();
            async move |request: Request| -> Result<Response> {
                request.send_informational(&Response::new(StatusCode::PROCESSING))?;
                request.send_informational(&hints())?;
                gate.wait().await;
                Ok(Response::text("done"))
            }
        });
        let client = Client::connect(addr).await;
        client.send(GET).await;
        assert_eq!(client.head().await, "HTTP/1.1 102 Processing\r\n\r\n");
        assert_eq!(client.head().await, HINTS);
        gate.set();
        assert_eq!(client.answer().await.text(), "done");
    });
}

#[test]
fn those_of_a_pipeline_stand_before_their_own_answer() {
    run(async {
        let addr = serve(async |request: Request| -> Result<Response> {
            request.send_informational(&hints())?;
            Ok(Response::text("done"))
        });
        let text = exchange(addr, [GET, GET, LAST].concat()).await;
        let heads: Vec<&str> = text.split("HTTP/1.1 ").skip(1).map(|answer| &answer[..3]).collect();
        assert_eq!(heads, ["103", "200", "103", "200", "103", "200"]);
        assert_eq!(text.matches("Content-Length").count(), 3);
    });
}

#[test]
fn a_wrap_sends_them_before_it_passes_the_request_on() {
    run(async {
        let inner = (async |_: Request| "inner").boxed();
        let addr = serve(async move |request: Request| -> Result<Response> {
            request.send_informational(&hints())?;
            Ok(inner.call(request).await)
        });
        let text = exchange(addr, LAST).await;
        assert!(text.starts_with(&format!("{HINTS}HTTP/1.1 200 OK\r\n")), "{text}");
    });
}

#[test]
fn a_client_that_is_told_to_continue_gets_both() {
    run(async {
        let addr = serve(async |mut request: Request| -> Result<Response> {
            request.send_informational(&hints())?;
            Ok(Response::bytes(request.bytes().await?))
        });
        let client = Client::connect(addr).await;
        client.send("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n").await;
        assert_eq!(client.head().await, HINTS);
        assert_eq!(client.head().await, "HTTP/1.1 100 Continue\r\n\r\n");
        client.send("hi").await;
        assert_eq!(client.answer().await.text(), "hi");
    });
}

#[test]
fn http_1_0_and_requests_without_a_connection_get_none() {
    run(async {
        let service = async |request: Request| request.send_informational(&hints()).map(|()| "done");
        let text = exchange(serve(service), "GET / HTTP/1.0\r\n\r\n").await;
        assert!(text.starts_with("HTTP/1.1 200 OK\r\n"), "{text}");
        let response = Service::call(&service, Request::builder().build().unwrap()).await;
        assert_eq!(response.status(), StatusCode::OK);
    });
}

#[test]
fn another_task_may_send_them_until_the_answer_has_begun() {
    run(async {
        let (asked, sent, late, refused) = (Event::new(), Event::new(), Event::new(), Event::new());
        let addr = serve({
            let (asked, sent, late, refused) = (asked.clone(), sent.clone(), late.clone(), refused.clone());
            async move |request: Request| {
                let (asked, told, late, refused) = (asked.clone(), sent.clone(), late.clone(), refused.clone());
                IOLoop::current().spawn_detached(async move {
                    asked.wait().await;
                    request.send_informational(&hints()).unwrap();
                    told.set();
                    late.wait().await;
                    let error = request.send_informational(&hints()).unwrap_err();
                    assert!(matches!(error, Error::AlreadyTaken(_)), "{error}");
                    refused.set();
                });
                sent.wait().await;
                "done"
            }
        });
        let client = Client::connect(addr).await;
        client.send(GET).await;
        turns(2).await;
        asked.set();
        assert_eq!(client.head().await, HINTS);
        assert_eq!(client.answer().await.text(), "done");
        late.set();
        refused.wait().await;
        // Nothing stands between the answers.
        client.send(GET).await;
        assert_eq!(client.head().await.lines().next(), Some("HTTP/1.1 200 OK"));
    });
}

#[test]
fn what_is_no_informational_response_is_refused() {
    run(async {
        let service = async |request: Request| {
            for status in [100, 101, 200, 204, 304, 404] {
                let head = Response::new(StatusCode::from_u16(status).unwrap());
                let error = request.send_informational(&head).unwrap_err();
                assert!(matches!(error, Error::InvalidHeader(_)), "{status}: {error}");
            }
            assert!(request.send_informational(&hints().with_body("no")).is_err());
            "done"
        };
        let text = exchange(serve(service), LAST).await;
        assert!(text.starts_with("HTTP/1.1 200 OK\r\n"), "{text}");
    });
}

#[test]
fn a_client_that_takes_nothing_has_none_piled_up_for_it() {
    run(async {
        let (gate, done) = (Event::new(), Event::new());
        let addr = serve({
            let (gate, done) = (gate.clone(), done.clone());
            async move |request: Request| -> Result<Response> {
                gate.wait().await;
                // Far more than the kernel takes.
                let lines = "x".repeat(60_000);
                for _ in 0..1000 {
                    request.send_informational(&hints().with_header("X", &lines))?;
                }
                done.set();
                Ok(Response::text("done"))
            }
        });
        let client = Client::connect(addr).await;
        client.send(LAST).await;
        gate.set();
        done.wait().await;
        let reader = spawn(async move { client.rest().await });
        let text = reader.await.unwrap();
        let count = text.matches("HTTP/1.1 103 ").count();
        assert!((1..1000).contains(&count), "{count}");
        assert!(text.ends_with("done"));
        // Those that were sent are whole, and none is behind the answer.
        assert_eq!(text.matches("Link2: b\r\nX: x").count(), count);
        assert_eq!(text.matches("\r\n\r\n").count(), count + 1);
    });
}
