//! [`websocket::connect`], against this server and against servers that make mistakes.

use std::{cell::RefCell, rc::Rc, time::Duration};

use web::{
    Application, Error, Exchange, StatusCode,
    httpserver::iostream::{IOStream, memory},
    spawn,
    websocket::{self, CloseCode, Connect, DeflateOptions, Message, WebSocketOptions, codec::ProtocolError},
};

use crate::support::{Memory, run, run_virtual, turns, until};

fn echo(options: WebSocketOptions) -> Application {
    Application::new().get("/ws", async move |exchange: &mut Exchange| {
        let mut socket = exchange.websocket_with(&options).await?;
        while let Some(message) = socket.receive().await? {
            socket.send(message).await?;
        }
        Ok(())
    })
}

/// A connection to a server in memory.
fn to(server: &Memory) -> IOStream {
    server.connect(64 * 1024).stream
}

#[test]
fn a_client_talks_to_a_server() {
    run(async {
        let server = Memory::new(echo(WebSocketOptions::new()));
        let mut socket = websocket::connect("ws://test/ws").over(to(&server)).await.unwrap();
        assert_eq!(socket.subprotocol(), None);
        for length in [0, 1, 125, 126, 65_535, 65_536, 300_000] {
            let text = "x".repeat(length);
            socket.send(text.as_str()).await.unwrap();
            assert_eq!(socket.receive().await.unwrap(), Some(Message::from(text)));
            socket.send(vec![7; length]).await.unwrap();
            assert_eq!(socket.receive().await.unwrap(), Some(Message::from(vec![7; length])));
        }
        socket.close(4000, "done").unwrap();
        assert_eq!(socket.receive().await.unwrap(), None);
        assert_eq!(socket.close_code(), Some(CloseCode::from(4000)));
        assert!(matches!(socket.send("late").await, Err(Error::WebSocketClosed)));
        until(|| server.handle.connections() == 0).await;
    });
}

#[test]
fn headers_subprotocols_and_compression_are_agreed_on() {
    run(async {
        for has_context in [false, true] {
            let deflate = DeflateOptions::new().context_takeover(has_context);
            let options = WebSocketOptions::new().subprotocols(["b", "c"]).deflate(deflate);
            let server = Application::new().get("/ws", {
                let options = options.clone();
                async move |exchange: &mut Exchange| {
                    assert_eq!(exchange.header("x-sent"), Some("this"));
                    assert!(exchange.header("sec-websocket-extensions").unwrap().starts_with("permessage-deflate"));
                    exchange.set_header("X-Own", "that")?;
                    let mut socket = exchange.websocket_with(&options).await?;
                    while let Some(message) = socket.receive().await? {
                        socket.send(message).await?;
                    }
                    Ok(())
                }
            });
            let server = server.listen(("127.0.0.1", 0)).unwrap();
            let client = WebSocketOptions::new().subprotocols(["a", "b"]).deflate(DeflateOptions::new());
            let client = if has_context { options.subprotocols(["a", "b"]) } else { client };
            let connect = websocket::connect(format!("ws://{}/ws", server.local_addr()));
            let connect = connect.header("X-Sent", "this").options(&client);
            let (mut socket, headers) = connect.with_headers().await.unwrap();
            assert_eq!((socket.subprotocol(), headers.get("x-own")), (Some("b"), Some("that")));
            assert!(headers.get("sec-websocket-extensions").unwrap().starts_with("permessage-deflate"));
            for _ in 0..3 {
                let text = "compressible ".repeat(1000);
                socket.send(text.as_str()).await.unwrap();
                assert_eq!(socket.receive().await.unwrap(), Some(Message::from(text)));
            }
            server.stop();
        }
    });
}

#[test]
fn a_refusal_is_an_error_with_the_answer() {
    run(async {
        let server = Memory::new(
            Application::new()
                .get("/ws", async |_: &mut Exchange| Err(Error::http(StatusCode::FORBIDDEN, "Members only")))
                .get("/moved", async |exchange: &mut Exchange| exchange.redirect("/ws")),
        );
        for (target, status) in [("/ws", 403), ("/moved", 302), ("/nothing", 404)] {
            let error = websocket::connect(format!("ws://test{target}")).over(to(&server)).await.unwrap_err();
            assert_eq!(error.status(), StatusCode::INTERNAL_SERVER_ERROR);
            assert!(error.to_string().contains(&status.to_string()));
            let Error::WebSocketRefused(mut response) = error else { panic!("{error:?}") };
            assert_eq!(response.status(), status);
            let body = response.body_mut().bytes(1000).await.unwrap();
            assert_eq!(status == 403, body.windows(12).any(|text| text == b"Members only"));
            assert_eq!(response.headers().contains("location"), status == 302);
        }
    });
}

/// What a client makes of `answer`, in which `ACCEPT` stands for the right one, and of what comes with it.
async fn answered(connect: Connect, answer: &str, rest: &'static [u8]) -> Result<Option<Message>, Error> {
    let (end, stream) = memory::pair(64 * 1024);
    let answer = format!("{answer}\r\n");
    let _server = spawn(async move {
        let head = stream.read_until(b"\r\n\r\n").await.unwrap();
        let head = String::from_utf8(head.to_vec()).unwrap();
        let key = head.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Key: ")).unwrap();
        // By way of this server, which is tested with the vector of the RFC.
        let server = Memory::new(echo(WebSocketOptions::new()));
        let peer = server.connect(1000);
        peer.raw(crate::support::HANDSHAKE.replace("dGhlIHNhbXBsZSBub25jZQ==", key) + "\r\n").await;
        let accepted = peer.head().await;
        let accept = accepted.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Accept: ")).unwrap();
        stream.write([answer.replace("ACCEPT", accept).as_bytes(), rest].concat()).await.unwrap();
        stream.closed().await;
    });
    let mut socket = connect.over(end).await?;
    socket.receive().await
}

const ANSWER: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Accept: ACCEPT\r\n";

#[test]
fn frames_that_come_with_the_answer_are_not_lost() {
    run(async {
        let received = answered(websocket::connect("ws://test/"), ANSWER, b"\x81\x05hello").await;
        assert_eq!(received.unwrap(), Some(Message::from("hello")));
    });
}

#[test]
fn an_answer_that_does_not_fit_is_refused() {
    run(async {
        let offers = || {
            let options = WebSocketOptions::new().subprotocols(["a", "b"]);
            websocket::connect("ws://test/").options(&options)
        };
        let compresses = || {
            let options = WebSocketOptions::new().deflate(DeflateOptions::new());
            websocket::connect("ws://test/").options(&options)
        };
        let plain = || websocket::connect("ws://test/");
        for (connect, answer) in [
            (plain(), ANSWER.replace("ACCEPT", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")),
            (plain(), ANSWER.replace("Sec-WebSocket-Accept: ACCEPT\r\n", "")),
            (plain(), ANSWER.to_owned() + "Sec-WebSocket-Accept: ACCEPT\r\n"),
            (plain(), ANSWER.replace("Upgrade: websocket", "Upgrade: h2c")),
            (plain(), ANSWER.replace("Upgrade: websocket", "Upgrade: websocket, h2c")),
            (plain(), ANSWER.replace("Connection: Upgrade", "Connection: keep-alive")),
            (plain(), ANSWER.replace("HTTP/1.1", "HTTP/1.0")),
            (plain(), ANSWER.to_owned() + "Sec-WebSocket-Protocol: a\r\n"),
            (offers(), ANSWER.to_owned() + "Sec-WebSocket-Protocol: c\r\n"),
            (offers(), ANSWER.to_owned() + "Sec-WebSocket-Protocol: A\r\n"),
            (offers(), ANSWER.to_owned() + "Sec-WebSocket-Protocol: a, b\r\n"),
            (offers(), ANSWER.to_owned() + "Sec-WebSocket-Protocol: a\r\nSec-WebSocket-Protocol: b\r\n"),
            (plain(), ANSWER.to_owned() + "Sec-WebSocket-Extensions: permessage-deflate\r\n"),
            (compresses(), ANSWER.to_owned() + "Sec-WebSocket-Extensions: permessage-deflate\r\n"),
            (compresses(), ANSWER.to_owned() + "Sec-WebSocket-Extensions: other\r\n"),
        ] {
            let error = answered(connect, &answer, b"").await.unwrap_err();
            assert!(matches!(error, Error::WebSocketHandshake(_)), "{answer}: {error}");
        }
    });
}

#[test]
fn what_a_server_may_not_send_is_told() {
    run(async {
        for bytes in [&b"\x81\x85\0\0\0\0hello"[..], b"\x83\0", b"\xc1\0"] {
            let received = answered(websocket::connect("ws://test/"), ANSWER, bytes).await;
            assert!(matches!(received, Err(Error::WebSocketProtocol(ProtocolError::Violation(_)))), "{bytes:x?}");
        }
    });
}

#[test]
fn urls_and_headers_that_cannot_be_used_fail_before_anything_is_sent() {
    run(async {
        for connect in [
            websocket::connect("example.com"),
            websocket::connect("ws://test/#a"),
            websocket::connect("ws://test/").header("Host", "other"),
            websocket::connect("ws://test/").header("sec-websocket-key", "x"),
            websocket::connect("ws://test/").header("Connection", "close"),
            websocket::connect("ws://test/").header("X Y", "x"),
        ] {
            let (end, stream) = memory::pair(1000);
            assert!(matches!(connect.over(end).await, Err(Error::WebSocketHandshake(_))));
            assert!(stream.read_until_close().await.unwrap().is_empty());
        }
        let (end, _stream) = memory::pair(1000);
        assert!(websocket::connect("ws://test/").header("X", "a\r\nEvil: b").over(end).await.is_err());
        assert!(matches!(websocket::connect("wss://test/").await, Err(Error::WebSocketHandshake(_))));
    });
}

#[test]
fn a_server_that_does_not_answer_is_given_up() {
    run_virtual(async |clock| {
        let (end, stream) = memory::pair(1000);
        let task = spawn(websocket::connect("ws://test/").timeout(Duration::from_secs(3)).over(end));
        clock.advance(Duration::from_secs(3)).await;
        assert!(task.await.unwrap().is_err());
        assert!(stream.read_until_close().await.is_ok());
    });
}

#[test]
fn a_connection_that_is_refused_is_an_error() {
    run(async {
        let unused = Application::new().listen(("127.0.0.1", 0)).unwrap();
        let addr = unused.local_addr();
        unused.stop();
        turns(3).await;
        assert!(matches!(websocket::connect(format!("ws://{addr}")).await, Err(Error::Server(_))));
    });
}

#[test]
fn a_client_that_is_dropped_closes_in_order() {
    let codes = Rc::new(RefCell::new(Vec::new()));
    let shared = Rc::clone(&codes);
    run(async move {
        let server = Memory::new(Application::new().get("/ws", async move |exchange: &mut Exchange| {
            let mut socket = exchange.websocket().await?;
            while socket.receive().await?.is_some() {}
            shared.borrow_mut().extend(socket.close_code());
            Ok(())
        }));
        let socket = websocket::connect("ws://test/ws").over(to(&server)).await.unwrap();
        let sender = socket.sender();
        drop(socket);
        sender.send("still").await.unwrap();
        drop(sender);
        until(|| server.handle.connections() == 0).await;
        assert_eq!(*codes.borrow(), [CloseCode::NORMAL]);
    });
}

#[test]
fn a_client_answers_pings_whatever_it_waits_for() {
    run_virtual(async |clock| {
        let server = Memory::new(echo(WebSocketOptions::new()));
        let options = WebSocketOptions::new().ping_interval(Duration::MAX);
        let mut socket = websocket::connect("ws://test/ws").options(&options).over(to(&server)).await.unwrap();
        clock.advance(Duration::from_secs(1000)).await;
        assert!(socket.is_open());
        socket.send("one").await.unwrap();
        assert_eq!(socket.receive().await.unwrap(), Some(Message::from("one")));
        // It has received before, and now is at something else again.
        clock.advance(Duration::from_secs(1000)).await;
        assert!(socket.is_open());
    });
}

#[test]
fn a_server_that_is_silent_is_given_up() {
    run_virtual(async |clock| {
        let (end, stream) = memory::pair(64 * 1024);
        let server = Memory::new(echo(WebSocketOptions::new()));
        let _ = server;
        // A tunnel to a server that is cut in the middle.
        let to_server = to(&server);
        let task = spawn(websocket::connect("ws://test/ws").over(end));
        let head = stream.read_until(b"\r\n\r\n").await.unwrap();
        to_server.write(head).await.unwrap();
        let head = to_server.read_until(b"\r\n\r\n").await.unwrap();
        stream.write(head).await.unwrap();
        let mut socket = task.await.unwrap().unwrap();
        clock.advance(Duration::from_secs(60)).await;
        assert!(matches!(socket.receive().await, Err(Error::ClientGone)));
        assert_eq!(socket.close_code(), Some(CloseCode::ABNORMAL));
    });
}

#[test]
fn a_client_hears_of_a_drain() {
    run(async {
        let server = Memory::new(echo(WebSocketOptions::new()));
        let mut socket = websocket::connect("ws://test/ws").over(to(&server)).await.unwrap();
        let handle = server.handle.clone();
        let drain = spawn(async move { handle.drain(Duration::from_secs(60)).await });
        assert_eq!(socket.receive().await.unwrap(), None);
        assert_eq!(socket.close_code(), Some(CloseCode::GOING_AWAY));
        assert_eq!(drain.await.unwrap().finished, 1);
    });
}

#[test]
fn many_messages_go_both_ways_at_once() {
    run(async {
        let server = echo(WebSocketOptions::new()).listen(("127.0.0.1", 0)).unwrap();
        let mut socket = websocket::connect(format!("ws://{}/ws", server.local_addr())).await.unwrap();
        let sender = socket.sender();
        let sending = spawn(async move {
            for number in 0..2000 {
                sender.send(format!("{number:0>1000}")).await.unwrap();
            }
        });
        for number in 0..2000 {
            assert_eq!(socket.receive().await.unwrap(), Some(Message::from(format!("{number:0>1000}"))));
        }
        sending.await.unwrap();
    });
}
