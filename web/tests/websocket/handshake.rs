use web::{
    Application, Exchange, HttpError, Next, StatusCode,
    httpserver::Response,
    websocket::{WebSocket, WebSocketOptions},
};

use crate::support::{HANDSHAKE, Memory, Peer, run};

fn echo_with(options: WebSocketOptions) -> Application {
    Application::new().get("/ws", async move |exchange: &mut Exchange| {
        let mut socket = exchange.websocket_with(&options).await?;
        let protocol = socket.subprotocol().unwrap_or("none").to_owned();
        socket.send(protocol).await?;
        while let Some(message) = socket.receive().await? {
            socket.send(message).await?;
        }
        Ok(())
    })
}

fn echo() -> Application {
    echo_with(WebSocketOptions::new())
}

/// The handshake with a line replaced, or left out.
fn changed(name: &str, line: &str) -> String {
    let lines = HANDSHAKE.lines().filter(|other| !other.starts_with(name));
    let mut request: String = lines.map(|line| format!("{line}\r\n")).collect();
    if !line.is_empty() {
        request.push_str(&format!("{line}\r\n"));
    }
    request + "\r\n"
}

async fn answer_to(server: &Memory, request: &str) -> (String, Peer) {
    let peer = server.connect(64 * 1024);
    peer.raw(request).await;
    (peer.head().await, peer)
}

async fn expect_refusal(server: &Memory, status: u16, request: &str) -> String {
    let (head, peer) = answer_to(server, request).await;
    assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{request}{head}");
    assert!(!head.to_lowercase().contains("sec-websocket-accept"), "{head}");
    // It is HTTP still.
    peer.stream.close();
    head
}

#[test]
fn a_handshake_is_accepted_as_the_rfc_says() {
    run(async {
        let server = Memory::new(echo());
        let mut peer = server.connect(1000);
        let head = peer.upgrade("").await.to_lowercase();
        for line in ["upgrade: websocket\r\n", "connection: upgrade\r\n"] {
            assert_eq!(head.matches(line).count(), 1, "{head}");
        }
        assert!(head.contains("sec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo=\r\n"), "{head}");
        for line in ["content-type", "content-length", "transfer-encoding", "sec-websocket-protocol", "extensions"] {
            assert!(!head.contains(line), "{head}");
        }
        peer.expect_text("none").await;
        peer.text("hello").await;
        peer.expect_text("hello").await;
    });
}

#[test]
fn names_and_tokens_are_compared_without_case_and_in_lists() {
    run(async {
        let server = Memory::new(echo());
        for (name, line) in [
            ("Upgrade", "upgrade: WebSocket"),
            ("Upgrade", "Upgrade: h2c, websocket"),
            ("Upgrade", "Upgrade: h2c\r\nUpgrade: websocket"),
            ("Connection", "CONNECTION: keep-alive, UPGRADE"),
            ("Connection", "Connection: keep-alive\r\nConnection: upgrade"),
            ("Sec-WebSocket-Version", "sec-websocket-version: 13"),
        ] {
            let (head, _peer) = answer_to(&server, &changed(name, line)).await;
            assert!(head.starts_with("HTTP/1.1 101 "), "{line}: {head}");
        }
    });
}

#[test]
fn a_malformed_handshake_is_400() {
    run(async {
        let server = Memory::new(echo());
        for (name, line) in [
            ("Sec-WebSocket-Key", ""),
            ("Sec-WebSocket-Key", "Sec-WebSocket-Key:"),
            ("Sec-WebSocket-Key", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25j"),
            ("Sec-WebSocket-Key", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ"),
            ("Sec-WebSocket-Key", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==".replace("ZQ", "ZR").as_str()),
            ("Sec-WebSocket-Key", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZWU="),
            ("Sec-WebSocket-Key", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==, dGhlIHNhbXBsZSBub25jZQ=="),
            (
                "Sec-WebSocket-Key",
                "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
            ),
            ("Sec-WebSocket-Key", "Sec-WebSocket-Key: !!!!!!!!!!!!!!!!!!!!!!=="),
            ("Connection", ""),
            ("Connection", "Connection: keep-alive"),
            ("Sec-WebSocket-Version", ""),
            ("nothing", "Sec-WebSocket-Protocol: a b"),
            ("nothing", "Sec-WebSocket-Protocol: chat, \"v2\""),
            ("nothing", "Content-Length: 1\r\n\r\nx"),
            ("nothing", "Origin: http://test\r\nOrigin: http://test"),
            ("Host", ""),
            ("GET", ""),
        ] {
            if name == "GET" {
                // RFC 9110 7.8: there is no Upgrade in HTTP/1.0.
                expect_refusal(&server, 400, &format!("{}\r\n", HANDSHAKE.replacen("1.1", "1.0", 1))).await;
            } else {
                expect_refusal(&server, 400, &changed(name, line)).await;
            }
        }
    });
}

#[test]
fn what_asks_for_something_else_is_426() {
    run(async {
        let server = Memory::new(echo());
        for (name, line) in [
            ("Sec-WebSocket-Version", "Sec-WebSocket-Version: 8"),
            ("Sec-WebSocket-Version", "Sec-WebSocket-Version: 013"),
            ("Sec-WebSocket-Version", "Sec-WebSocket-Version: 13, 8"),
            ("Sec-WebSocket-Version", "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Version: 8"),
            ("Upgrade", "Upgrade: h2c"),
            ("Upgrade", ""),
        ] {
            let head = expect_refusal(&server, 426, &changed(name, line)).await.to_lowercase();
            assert!(head.contains("sec-websocket-version: 13\r\n"), "{head}");
            assert!(head.contains("upgrade: websocket\r\n") && head.contains("connection: upgrade\r\n"), "{head}");
        }
        expect_refusal(&server, 426, "GET /ws HTTP/1.1\r\nHost: test\r\n\r\n").await;
    });
}

#[test]
fn another_method_is_405() {
    run(async {
        let server = Memory::new(echo());
        let head = expect_refusal(&server, 405, &format!("{}\r\n", HANDSHAKE.replacen("GET", "POST", 1))).await;
        assert!(head.contains("Allow: "), "{head}");
        // The GET route answers HEAD.
        let head = expect_refusal(&server, 405, &format!("{}\r\n", HANDSHAKE.replacen("GET", "HEAD", 1))).await;
        assert!(head.contains("Allow: GET\r\n"), "{head}");
    });
}

#[test]
fn a_refusal_leaves_the_connection_to_http() {
    run(async {
        let server = Memory::new(echo());
        let mut peer = server.connect(64 * 1024);
        peer.raw(changed("Sec-WebSocket-Version", "Sec-WebSocket-Version: 8")).await;
        let head = peer.head().await;
        let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: ")).expect("a length");
        let page = peer.stream.read_bytes(length.parse().unwrap()).await.unwrap();
        assert!(page.ends_with(b"The only version is 13</body></html>"), "{page:?}");
        peer.upgrade("").await;
        peer.expect_text("none").await;
    });
}

#[test]
fn pages_of_other_origins_are_403() {
    run(async {
        let server = Memory::new(echo());
        for origin in ["http://evil.example", "https://test.evil.example", "null", "http://test:81", "x"] {
            expect_refusal(&server, 403, &changed("nothing", &format!("Origin: {origin}"))).await;
        }
        for origin in ["http://test", "HTTP://TEST:80"] {
            let (head, _peer) = answer_to(&server, &changed("nothing", &format!("Origin: {origin}"))).await;
            assert!(head.starts_with("HTTP/1.1 101 "), "{origin}: {head}");
        }
        // A proxy may end TLS.
        let (head, _peer) = answer_to(&server, &changed("nothing", "Origin: https://test")).await;
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    });
}

#[test]
fn origins_can_be_allowed() {
    run(async {
        let server = Memory::new(echo_with(WebSocketOptions::new().allow_origin("https://app.example")));
        let (head, _peer) = answer_to(&server, &changed("nothing", "Origin: https://app.example")).await;
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        expect_refusal(&server, 403, &changed("nothing", "Origin: http://app.example")).await;

        let server = Memory::new(echo_with(WebSocketOptions::new().allow_any_origin()));
        let (head, _peer) = answer_to(&server, &changed("nothing", "Origin: null")).await;
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    });
}

#[test]
fn the_first_subprotocol_of_the_client_that_the_server_speaks_is_taken() {
    run(async {
        let server = Memory::new(echo_with(WebSocketOptions::new().subprotocols(["chat.v1", "chat.v2"])));
        for (offer, taken) in [
            ("Sec-WebSocket-Protocol: chat.v2, chat.v1\r\n", "chat.v2"),
            ("Sec-WebSocket-Protocol: other, chat.v1\r\nSec-WebSocket-Protocol: chat.v2\r\n", "chat.v1"),
            ("Sec-WebSocket-Protocol: Chat.v1\r\n", "none"),
            ("", "none"),
        ] {
            let mut peer = server.connect(1000);
            let head = peer.upgrade(offer).await;
            let line = format!("Sec-WebSocket-Protocol: {taken}\r\n");
            assert_eq!(head.contains(&line), taken != "none", "{offer}: {head}");
            peer.expect_text(taken).await;
        }
    });
}

#[test]
#[should_panic(expected = "is not a token")]
fn a_subprotocol_that_could_not_be_sent_is_refused() {
    let _ = WebSocketOptions::new().subprotocols(["chat v1"]);
}

#[test]
fn headers_of_the_handler_and_its_wraps_are_in_the_101() {
    async fn marked(exchange: &mut Exchange, next: Next<'_>) -> web::Result<()> {
        exchange.on_response(|response: &mut Response| response.set_header("X-Wrapped", "yes").unwrap());
        next.run(exchange).await
    }
    async fn plain(exchange: &mut Exchange) -> web::Result<()> {
        exchange.set_header("X-Own", "yes")?;
        exchange.set_cookie(("seen", "1"))?;
        exchange.write("dropped: a 101 has no body");
        let mut socket = exchange.websocket().await?;
        assert!(exchange.is_head_sent());
        assert!(matches!(exchange.set_header("X-Late", "no"), Err(web::Error::HeadSent)));
        assert!(matches!(exchange.websocket().await, Err(web::Error::HeadSent)));
        while socket.receive().await?.is_some() {}
        Ok(())
    }
    async fn detached(exchange: &mut Exchange) -> web::Result<()> {
        exchange.set_header("X-Own", "yes")?;
        exchange.set_cookie(("seen", "1"))?;
        exchange.upgrade_websocket(&WebSocketOptions::new(), async |mut socket: WebSocket| {
            while socket.receive().await?.is_some() {}
            Ok(())
        })?;
        assert!(matches!(exchange.websocket().await, Err(web::Error::Finished)));
        Ok(())
    }
    run(async {
        for application in [Application::new().get("/ws", plain), Application::new().get("/ws", detached)] {
            let server = Memory::new(application.wrap(marked));
            let mut peer = server.connect(1000);
            let head = peer.upgrade("").await;
            for line in ["X-Own: yes\r\n", "X-Wrapped: yes\r\n", "Set-Cookie: seen=1"] {
                assert_eq!(head.matches(line).count(), 1, "{head}");
            }
            peer.close(1000, "").await;
            peer.expect_close(1000).await;
        }
    });
}

#[test]
fn an_error_before_the_handshake_is_an_answer() {
    run(async {
        let server = Memory::new(Application::new().get("/ws", async |_: &mut Exchange| {
            Err(HttpError::new(StatusCode::UNAUTHORIZED).header("WWW-Authenticate", "Basic").into())
        }));
        expect_refusal(&server, 401, &format!("{HANDSHAKE}\r\n")).await;
    });
}

#[test]
fn an_error_behind_upgrade_websocket_takes_the_upgrade_back() {
    run(async {
        let server = Memory::new(Application::new().get("/ws", async |exchange: &mut Exchange| {
            exchange.upgrade_websocket(&WebSocketOptions::new(), async |_: WebSocket| panic!("never runs"))?;
            Err(HttpError::new(StatusCode::CONFLICT).into())
        }));
        expect_refusal(&server, 409, &format!("{HANDSHAKE}\r\n")).await;
    });
}

#[test]
fn frames_that_come_with_the_handshake_are_not_lost() {
    run(async {
        let server = Memory::new(echo());
        let mut peer = server.connect(64 * 1024);
        let mut bytes = format!("{HANDSHAKE}\r\n").into_bytes();
        peer.encoder.append(&"first".into(), &mut bytes);
        peer.encoder.append(&"second".into(), &mut bytes);
        peer.raw(bytes).await;
        assert!(peer.head().await.starts_with("HTTP/1.1 101 "));
        peer.expect_text("none").await;
        peer.expect_text("first").await;
        peer.expect_text("second").await;
    });
}

#[test]
fn a_call_whose_connection_is_never_upgraded_is_dropped() {
    use std::{cell::Cell, rc::Rc};

    use web::{Request, httpserver::Service};

    struct SetOnDrop(Rc<Cell<bool>>);
    impl Drop for SetOnDrop {
        fn drop(&mut self) {
            self.0.set(true);
        }
    }
    run(async {
        for is_replaced in [false, true] {
            let dropped = Rc::new(Cell::new(false));
            let held = Rc::clone(&dropped);
            let application = Application::new().get("/ws", async move |exchange: &mut Exchange| {
                let _held = SetOnDrop(Rc::clone(&held));
                if is_replaced {
                    exchange.on_response(|response: &mut Response| *response = Response::text("something else"));
                }
                let _socket = exchange.websocket().await?;
                Ok(())
            });
            let request = Request::builder()
                .target("/ws")
                .header("Connection", "Upgrade")
                .header("Upgrade", "websocket")
                .header("Sec-WebSocket-Version", "13")
                .header("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==");
            // There is no connection that could be upgraded.
            let response = application.call(request.build().unwrap()).await;
            assert_eq!(response.status() == 101, !is_replaced);
            drop(response);
            assert!(dropped.get());
        }
    });
}
