//! Clients that have ended their sending half, and leave later while a streamed answer waits.

mod common;

use std::{cell::RefCell, net::TcpListener, rc::Rc};

use common::{Client, Event, SetOnDrop, run, turns};
use httpserver::{Body, BodyWriter, HttpServer, IOStream, Request, Response, ServerHandle, spawn};

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

/// Sends a piece and waits: for the writer to be told that its client has gone, if it asks.
fn serve_streaming(ended: &Event, writer: &Rc<RefCell<Option<BodyWriter>>>) -> ServerHandle {
    let (ended, writer) = (ended.clone(), writer.clone());
    let server = HttpServer::new(async move |_: Request| {
        let (mut own, body) = Body::channel();
        own.write("piece").await.unwrap();
        writer.replace(Some(own));
        let held = SetOnDrop(ended.clone());
        Response::text(Body::stream(Holding { body, _held: held }))
    });
    server.listen(("127.0.0.1", 0)).unwrap()
}

/// A body that tells when it is dropped.
struct Holding {
    body: Body,
    _held: SetOnDrop,
}

impl httpserver::BodyStream for Holding {
    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<httpserver::Result<httpserver::Frame>>> {
        self.body.poll_frame(cx)
    }
}

/// A client that has ended its side.
async fn half_closed(server: &ServerHandle) -> Client {
    let client = Client::connect(server.local_addr()).await;
    half_close(&client).await;
    client
}

async fn half_close(client: &Client) {
    client.send(GET).await;
    client.end().await;
    client.stream.read_until(b"\r\n\r\n").await.unwrap();
}

#[test]
fn a_streamed_answer_goes_on_behind_the_fin() {
    run(async {
        let (ended, writer) = (Event::new(), Rc::default());
        let server = serve_streaming(&ended, &writer);
        let client = half_closed(&server).await;
        turns(5).await;
        assert!(!ended.is_set());
        let mut writer = writer.take().unwrap();
        writer.write("more").await.unwrap();
        writer.finish();
        assert_eq!(client.rest().await, "5\r\npiece\r\n4\r\nmore\r\n0\r\n\r\n");
        ended.wait().await;
    });
}

#[test]
fn a_streamed_answer_that_waits_ends_with_a_reset_behind_the_fin() {
    run(async {
        let (ended, writer) = (Event::new(), Rc::default());
        let server = serve_streaming(&ended, &writer);
        let client = half_closed(&server).await;
        turns(5).await;
        // More than the client has read: it lies in its kernel when it closes.
        let mut writer = writer.take().unwrap();
        writer.write("unread").await.unwrap();
        turns(5).await;
        assert!(!ended.is_set());
        client.stream.close();
        turns(5).await;
        assert!(ended.is_set());
        assert_eq!(server.connections(), 0);
        assert!(writer.write("anybody?").await.is_err());
    });
}

#[test]
fn a_writer_that_waits_for_something_else_is_told_and_the_descriptor_freed() {
    run(async {
        let (read, waits, gate, told, closed) = (Event::new(), Event::new(), Event::new(), Event::new(), Event::new());
        let server = HttpServer::new({
            let (read, waits, gate, told) = (read.clone(), waits.clone(), gate.clone(), told.clone());
            async move |_: Request| {
                let (read, waits, gate, told) = (read.clone(), waits.clone(), gate.clone(), told.clone());
                Response::text(Body::writer(async move |mut out| {
                    read.wait().await;
                    out.write("unread").await?;
                    out.flush().await?;
                    waits.set();
                    gate.wait().await;
                    let error = out.write("more").await.unwrap_err();
                    assert!(error.is_client_gone(), "{error}");
                    told.set();
                    Err(error)
                }))
            }
        });
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = Client::connect(listener.local_addr().unwrap()).await;
        let stream = IOStream::from_tcp(listener.accept().unwrap().0).unwrap();
        stream.attach(SetOnDrop(closed.clone()));
        let serving = spawn(async move { server.serve_stream(stream, None).await });
        half_close(&client).await;
        read.set();
        waits.wait().await;
        turns(5).await;
        assert!(!closed.is_set());
        // With bytes unread in its kernel: a reset.
        client.stream.close();
        turns(5).await;
        assert!(closed.is_set(), "although the writer goes on");
        assert!(!told.is_set());
        gate.set();
        told.wait().await;
        serving.await.unwrap();
    });
}
