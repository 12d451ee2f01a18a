//! What a service keeps of a request beyond its answer cannot touch the next one.

mod common;

use std::{cell::RefCell, rc::Rc};

use common::{Client, Event, SetOnDrop, run, serve, until};
use httpserver::{Body, BodyWriter, Error, Request, Response, Result, spawn};

fn post(path: &str, body: &str) -> String {
    format!("POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

#[test]
fn a_kept_request_reads_nothing_of_the_next_body() {
    let kept: Rc<RefCell<Option<Request>>> = Rc::default();
    run(async {
        let addr = serve({
            let kept = kept.clone();
            async move |mut request: Request| -> Result<Response> {
                let Some(mut earlier) = kept.take() else {
                    kept.replace(Some(request));
                    return Ok(Response::text("kept"));
                };
                assert!(matches!(earlier.bytes().await, Err(Error::AlreadyTaken(_))));
                assert!(matches!(earlier.body_mut().chunk().await, Err(Error::AlreadyTaken(_))));
                assert!(earlier.is_body_end());
                assert_eq!(earlier.body_mut().content_length(), None);
                Ok(Response::bytes(request.bytes().await?))
            }
        });
        let client = Client::connect(addr).await;
        client.send(post("/", "first") + &post("/", "second")).await;
        assert_eq!(client.answer().await.text(), "kept");
        assert_eq!(client.answer().await.text(), "second");
    });
}

#[test]
fn a_kept_request_cannot_have_the_next_one_dropped() {
    run(async {
        let (called, gate, ended) = (Event::new(), Event::new(), Event::new());
        let kept: Rc<RefCell<Option<Request>>> = Rc::default();
        let addr = serve({
            let (called, gate, ended) = (called.clone(), gate.clone(), ended.clone());
            async move |request: Request| {
                let Some(earlier) = kept.take() else {
                    kept.replace(Some(request));
                    return "kept";
                };
                earlier.cancel_on_disconnect();
                let _ended = SetOnDrop(ended.clone());
                called.set();
                gate.wait().await;
                "done"
            }
        });
        let client = Client::connect(addr).await;
        client.send(post("/", "") + &post("/", "")).await;
        client.end().await;
        called.wait().await;
        assert_eq!(client.answer().await.text(), "kept");
        assert!(!ended.is_set());
        gate.set();
        assert_eq!(client.answer().await.text(), "done");
    });
}

#[test]
fn a_writer_kept_beyond_the_end_of_its_body_writes_nothing() {
    run(async {
        let kept: Rc<RefCell<Option<BodyWriter>>> = Rc::default();
        let addr = serve({
            let kept = kept.clone();
            async move |_: Request| {
                let kept = kept.clone();
                Response::text(Body::writer(async move |mut out| {
                    out.write("whole").await?;
                    kept.replace(Some(out));
                    Ok(())
                }))
            }
        });
        let client = Client::connect(addr).await;
        client.send(post("/", "")).await;
        assert_eq!(client.answer().await.text(), "whole");
        let mut writer = kept.take().unwrap();
        assert!(matches!(writer.write("more").await, Err(Error::AlreadyTaken(_))));
        assert!(matches!(writer.flush().await, Err(Error::AlreadyTaken(_))));
        writer.finish();
        client.send(post("/", "")).await;
        assert_eq!(client.answer().await.text(), "whole");
    });
}

#[test]
fn a_writer_kept_beyond_its_connection_is_told() {
    run(async {
        let kept: Rc<RefCell<Option<BodyWriter>>> = Rc::default();
        let addr = serve({
            let kept = kept.clone();
            async move |_: Request| {
                let (writer, body) = Body::channel();
                kept.replace(Some(writer));
                Response::text(body)
            }
        });
        let client = Client::connect(addr).await;
        client.send(post("/", "")).await;
        client.head().await;
        client.stream.close();
        let mut writer = kept.take().unwrap();
        let error = loop {
            match writer.write("is anybody there?").await {
                Ok(()) => httpserver::yield_now().await,
                Err(error) => break error,
            }
        };
        assert!(error.is_client_gone(), "{error}");
    });
}

#[test]
fn a_body_read_elsewhere_ends_with_the_answer() {
    run(async {
        let ended = Event::new();
        let addr = serve({
            let ended = ended.clone();
            async move |mut request: Request| -> Result<Response> {
                if request.path() == "/next" {
                    return Ok(Response::bytes(request.bytes().await?));
                }
                let ended = ended.clone();
                let _detached = spawn(async move {
                    let result = request.body_mut().chunk().await;
                    assert!(matches!(result, Err(Error::AlreadyTaken(_))), "{result:?}");
                    ended.set();
                });
                httpserver::yield_now().await;
                Ok(Response::text("answered first"))
            }
        });
        let client = Client::connect(addr).await;
        client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n").await;
        assert_eq!(client.answer().await.text(), "answered first");
        client.send("hello".to_owned() + &post("/next", "next")).await;
        assert_eq!(client.answer().await.text(), "next");
        ended.wait().await;
    });
}

#[test]
fn a_body_may_be_read_and_an_answer_written_by_other_tasks() {
    run(async {
        let addr = serve(async |mut request: Request| {
            let (mut writer, body) = Body::channel();
            let _detached = spawn(async move {
                while let Some(piece) = request.body_mut().chunk().await? {
                    writer.write(piece).await?;
                }
                writer.finish();
                Ok::<_, Error>(())
            });
            Response::text(body)
        });
        let client = Client::connect(addr).await;
        for _ in 0..2 {
            client.send(post("/", &"x".repeat(300_000))).await;
            assert_eq!(client.answer().await.body.len(), 300_000);
        }
    });
}

#[test]
fn a_kept_request_does_not_keep_the_connection_open() {
    run(async {
        let kept: Rc<RefCell<Vec<Request>>> = Rc::default();
        let server = httpserver::HttpServer::new({
            let kept = kept.clone();
            async move |request: Request| {
                kept.borrow_mut().push(request);
                "kept"
            }
        });
        let server = server.listen(("127.0.0.1", 0)).unwrap();
        let client = Client::connect(server.local_addr()).await;
        client.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await;
        assert!(client.rest().await.ends_with("kept"));
        until(|| server.connections() == 0).await;
        let kept = kept.take();
        assert!(kept[0].is_client_gone());
        kept[0].client_gone().await;
    });
}
