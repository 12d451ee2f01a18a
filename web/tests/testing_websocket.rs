//! The test kit's WebSocket, against servers that do as they are told, frame by frame.

#[path = "util/failure.rs"]
mod failure;

use std::time::Duration;

use failure::failure as failure_of;
use web::{
    HttpServer, Request, Response, StatusCode,
    httpserver::IOStream,
    sleep, spawn,
    testing::{self, TestClient},
    websocket::{
        CloseFrame, Message,
        codec::{Decoder, DeflateOptions, Encoder, Event, Role},
    },
};

const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A server's end.
struct Peer {
    stream: IOStream,
    decoder: Decoder,
    encoder: Encoder,
    received: Vec<u8>,
}

impl Peer {
    /// `None` at the end.
    async fn event(&mut self) -> Option<Event> {
        loop {
            let mut rest = &self.received[..];
            let event = self.decoder.decode(&mut rest).expect("a client that keeps the protocol");
            let read = self.received.len() - rest.len();
            self.received.drain(..read);
            if event.is_some() {
                return event;
            }
            self.received = self.stream.read_some(1000).await.ok()?.to_vec();
        }
    }

    async fn send(&mut self, message: impl Into<Message>) {
        let frame = self.encoder.message(&message.into());
        let _ = self.stream.write(frame).await;
    }

    async fn close(&mut self, code: u16, reason: &str) {
        let frame = CloseFrame { code: code.into(), reason: reason.to_owned() };
        let _ = self.stream.write(self.encoder.close(Some(&frame)).unwrap()).await;
    }

    /// Returns what is sent, and answers the client's close frame.
    async fn echo(&mut self) {
        while let Some(event) = self.event().await {
            match event {
                Event::Message(message) => self.send(message).await,
                Event::Ping(payload) => _ = self.stream.write(self.encoder.pong(&payload).unwrap()).await,
                Event::Pong(payload) => self.send(format!("pong {}", payload.escape_ascii())).await,
                Event::Close(frame) => {
                    let _ = self.stream.write(self.encoder.close(frame.as_ref()).unwrap()).await;
                    return;
                }
            }
        }
    }
}

/// Accepts every handshake, and goes on as `script` says.
fn client(script: impl AsyncFn(Peer) + Clone + 'static) -> TestClient {
    TestClient::with_server(HttpServer::new(async move |request: Request| {
        let mut head = Response::new(StatusCode::SWITCHING_PROTOCOLS);
        head.set_header("Upgrade", "websocket").unwrap();
        head.set_header(
            "Sec-WebSocket-Accept",
            request.headers().get("x-accept").unwrap_or("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
        )
        .unwrap();
        if let Some(protocol) = request.headers().get("sec-websocket-protocol") {
            head.set_header("Sec-WebSocket-Protocol", protocol).unwrap();
        }
        let (mut decoder, mut encoder) = (Decoder::new(Role::Server), Encoder::new(Role::Server));
        let offers = request.headers().list("sec-websocket-extensions");
        if let Some((agreed, answer)) = web::websocket::codec::Deflate::accept(offers, &DeflateOptions::new()) {
            head.set_header("Sec-WebSocket-Extensions", &answer).unwrap();
            (decoder, encoder) = (decoder.deflate(&agreed), encoder.deflate(&agreed));
        }
        let script = script.clone();
        request.upgrade(head, async move |stream| script(Peer { stream, decoder, encoder, received: Vec::new() }).await)
    }))
}

fn echoing() -> TestClient {
    client(async |mut peer: Peer| peer.echo().await)
}

/// The text that `test` fails with.
fn failure<F: Future>(test: F) -> String {
    failure_of(|| testing::run(async { drop(test.await) }))
}

#[test]
fn messages_go_both_ways_and_both_sides_close() {
    testing::run(async {
        let client = echoing();
        let mut socket = client.get("/").header("Sec-WebSocket-Protocol", "chat").websocket().await;
        assert_eq!(socket.subprotocol(), Some("chat"));
        socket.send("héllo").await;
        socket.assert_next("héllo").await;
        socket.send(vec![1, 2, 3]).await;
        assert_eq!(socket.receive().await, Some(Message::from(vec![1, 2, 3])));
        socket.send_json(&[1, 2]).await;
        socket.assert_next_json(&[1, 2]).await;
        socket.assert_nothing().await;
        socket.ping(b"x").await;
        testing::settle().await;
        assert_eq!(socket.pongs(), ["x"]);
        // In two fragments, masked with zeros.
        socket.send_raw(&b"\x01\x82\0\0\0\0ab\x80\x81\0\0\0\0c"[..]).await;
        socket.assert_next("abc").await;
        socket.close(1000, "enough").await;
        testing::settle().await;
        assert_eq!(client.server().connections(), 0);
    });
}

#[test]
fn compressed_messages_are_read_and_sent() {
    testing::run(async {
        let mut socket = echoing().get("/").deflate(&DeflateOptions::new()).websocket().await;
        let text = "again ".repeat(1000);
        socket.send(text.as_str()).await;
        socket.assert_next(text).await;
        socket.close(1000, "").await;
    });
}

#[test]
fn pings_are_answered_unless_they_are_not_to_be() {
    let script = async |mut peer: Peer| {
        let ping = peer.encoder.ping(b"here?").unwrap();
        peer.stream.write(ping.clone()).await.unwrap();
        match peer.event().await {
            Some(Event::Pong(payload)) => peer.send(format!("pong {}", payload.escape_ascii())).await,
            event => panic!("{event:?}"),
        }
        sleep(s(30)).await;
        peer.stream.write(ping).await.unwrap();
        sleep(s(20)).await;
        peer.close(1008, "silent").await;
    };
    testing::run(async {
        let mut socket = client(script).get("/").websocket().await;
        socket.assert_next("pong here?").await;
        assert_eq!(socket.pings(), 1);
        socket.answer_pings(false);
        assert_eq!(socket.assert_closed(1008).await, "silent");
        assert_eq!((socket.pings(), testing::elapsed()), (2, s(50)));
        assert_eq!(socket.receive().await, None);
    });
}

#[test]
fn a_client_that_does_not_read_holds_its_server_up() {
    let script = async |mut peer: Peer| {
        for number in 0..10 {
            peer.send(format!("{number} {}", "x".repeat(1000))).await;
        }
        peer.echo().await;
    };
    testing::run(async {
        let client = client(script).capacity(1500);
        let mut socket = client.get("/").websocket().await;
        socket.stop_reading();
        testing::advance(s(3)).await;
        let first = socket.receive();
        assert!(web::timeout(s(60), first).await.is_err(), "it does not read");
        socket.start_reading();
        for number in 0..10 {
            let text = socket.receive().await.unwrap();
            assert!(text.as_text().unwrap().starts_with(&format!("{number} x")));
        }
        socket.close(1000, "").await;
    });
}

#[test]
fn a_client_that_goes_leaves_no_close_frame() {
    testing::run(async {
        let (gone, told) = std::sync::mpsc::channel();
        let script = async move |mut peer: Peer| _ = gone.send(peer.event().await);
        let client = client(script);
        client.get("/").websocket().await.disconnect();
        testing::settle().await;
        assert_eq!(told.try_recv(), Ok(None));
        assert_eq!(client.server().connections(), 0);
    });
}

#[test]
fn a_connection_that_is_cut_is_told_from_one_that_is_closed() {
    testing::run(async {
        let mut socket = client(async |peer: Peer| peer.stream.close()).get("/").websocket().await;
        socket.assert_cut().await;
    });
    let text = failure(async {
        client(async |mut peer: Peer| peer.close(1001, "leaving").await).get("/").websocket().await.assert_cut().await;
    });
    assert!(text.contains("expected the connection to be cut, and the server closed with 1001: \"leaving\""), "{text}");
    let text = failure(async { client(async |_: Peer| {}).get("/").websocket().await.assert_closed(1000).await });
    assert!(
        text.contains("and the connection ended without a close frame (at web/tests/testing_websocket.rs:"),
        "{text}"
    );
    let text = failure(async {
        client(async |mut peer: Peer| peer.close(1001, "").await).get("/").websocket().await.assert_closed(1000).await
    });
    assert!(text.contains("expected to be closed with 1000, and it was 1001: \"\""), "{text}");
}

#[test]
fn what_is_not_as_expected_is_shown() {
    let text = failure(async {
        let mut socket = echoing().get("/ws").websocket().await;
        socket.send("one").await;
        socket.assert_next("two").await;
    });
    assert!(
        text.starts_with("the WebSocket GET /ws: expected the text \"two\", got the text \"one\" (at web/tests/"),
        "{text}"
    );
    let text = failure(async {
        let mut socket = echoing().get("/ws").websocket().await;
        socket.send(vec![0, b'a']).await;
        socket.assert_nothing().await;
    });
    assert!(text.contains("expected no message yet, got the bytes \"\\x00a\""), "{text}");
    let text = failure(async {
        let script = async |peer: Peer| _ = peer.stream.write("\x70").await;
        client(script).get("/ws").websocket().await.receive().await
    });
    assert!(text.contains("expected a message, and the server broke the protocol"), "{text}");
    let text = failure(async { echoing().get("/ws").header("X-Accept", "wrong").websocket().await });
    assert!(text.contains("expected the answer to the handshake of a WebSocket"), "{text}");
    let text = failure(async {
        let waiting = testing::Runner::new().patience(Duration::from_millis(100));
        waiting.run(async { echoing().get("/ws").websocket().await.receive().await });
    });
    assert!(
        text.contains("waiting for a message of the WebSocket GET /ws (at web/tests/testing_websocket.rs:"),
        "{text}"
    );
}

#[test]
fn a_handshake_may_be_refused() {
    testing::run(async {
        let client = TestClient::new(web::Application::new());
        client.get("/").try_websocket().await.unwrap_err().assert_status(404);
    });
    let text = failure(async { TestClient::new(web::Application::new()).get("/").websocket().await });
    assert!(text.starts_with("GET /: expected the handshake of a WebSocket to be accepted"), "{text}");
}

#[test]
fn several_sockets_are_open_at_a_time() {
    testing::run(async {
        let client = echoing();
        let mut sockets = Vec::new();
        for _ in 0..3 {
            sockets.push(client.get("/").websocket().await);
        }
        for (number, socket) in sockets.iter_mut().enumerate() {
            socket.send(number.to_string()).await;
        }
        let tasks = sockets
            .into_iter()
            .enumerate()
            .map(|(number, mut socket)| spawn(async move { socket.assert_next(number.to_string()).await }));
        for task in tasks.collect::<Vec<_>>() {
            task.await.unwrap();
        }
    });
}
