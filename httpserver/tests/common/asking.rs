//! A client whose server is in the hands of the test.

// Each test binary uses a part of this.
#![allow(dead_code, unreachable_pub)]

use httpserver::{
    Body, Bytes, IOStream, Method, Request, RequestBuilder, Service,
    client::{ClientResponse, Connection},
    iostream::memory,
    spawn,
};

use crate::common::serve;

pub async fn connect(service: impl Service) -> Connection {
    Connection::new(IOStream::connect(serve(service)).await.unwrap())
}

/// A connection whose other end is in the hands of the test.
pub fn scripted() -> (Connection, IOStream) {
    let (near, far) = memory::pair(64 * 1024);
    far.set_half_open(true);
    (Connection::new(near), far)
}

pub fn get(path: &str) -> Request {
    Request::builder().target(path).build().unwrap()
}

pub fn post(body: impl Into<Body>) -> RequestBuilder {
    Request::builder().method(Method::POST).body(body)
}

pub async fn head_of_request(far: &IOStream) -> String {
    String::from_utf8(far.read_until(b"\r\n\r\n").await.unwrap().to_vec()).unwrap()
}

/// What a client makes of `answer`, sent in one piece, when it asks with `request`. The server then ends its side if told to.
pub async fn ask(
    request: Request,
    answer: impl AsRef<[u8]>,
    ends: bool,
) -> (httpserver::Result<ClientResponse>, Connection, IOStream) {
    let (mut connection, far) = scripted();
    let server = spawn({
        let (far, answer) = (far.clone(), answer.as_ref().to_vec());
        async move {
            head_of_request(&far).await;
            let _ = far.write(answer).await;
            if ends {
                let _ = far.shutdown_write().await;
            }
        }
    });
    let response = connection.send(request).await;
    let _ = server.await;
    (response, connection, far)
}

pub async fn body_of(response: &mut ClientResponse) -> httpserver::Result<Bytes> {
    response.body_mut().bytes(usize::MAX).await
}

pub fn is_closed(far: &IOStream) -> bool {
    far.is_peer_closed()
}

/// A body of these pieces, whose length nobody knows.
pub fn pieces(pieces: Vec<Vec<u8>>) -> Body {
    Body::writer(async move |mut out| {
        for piece in pieces {
            out.write(piece).await?;
            out.flush().await?;
        }
        Ok(())
    })
}
