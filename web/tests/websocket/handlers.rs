//! [`WebSocketHandler`].

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    time::Duration,
};

use web::{
    Application, Error, Exchange, StatusCode,
    websocket::{CloseCode, Message, WebSocketHandler, WebSocketOptions, WebSocketSender, codec::Event},
};

use crate::support::{HANDSHAKE, Memory, run, run_virtual, until};

#[derive(Default)]
struct Recorder {
    log: Log,
    options: Option<WebSocketOptions>,
    refuses: Rc<Cell<bool>>,
}

impl Recorder {
    fn note(&self, what: String) {
        self.log.borrow_mut().push(what);
    }
}

impl WebSocketHandler for Recorder {
    type Session = String;

    async fn prepare(&self, exchange: &mut Exchange) -> web::Result<String> {
        let name: String = exchange.path("name")?;
        self.note(format!("prepare {name}"));
        exchange.set_header("X-Prepared", &name)?;
        match self.refuses.get() {
            true => Err(Error::http(StatusCode::UNAUTHORIZED, "No")),
            false => Ok(name),
        }
    }

    async fn open(&self, name: &mut String, socket: &WebSocketSender) -> web::Result<()> {
        self.note(format!("open {name} {:?}", socket.subprotocol()));
        name.push('!');
        socket.send(format!("hello {name}")).await
    }

    async fn on_message(&self, name: &mut String, socket: &WebSocketSender, message: Message) -> web::Result<()> {
        self.note(format!("message {name}"));
        match message.as_text() {
            Some("panic") => panic!("as it was told"),
            Some("fail") => Err(std::io::Error::other("as it was told").into()),
            Some("ping") => socket.ping(b"from the server"),
            Some("close") => socket.close(4000, "as it was told"),
            _ => socket.send(message).await,
        }
    }

    fn on_close(&self, name: String, socket: &WebSocketSender) {
        self.note(format!("close {name} {:?} {:?}", socket.close_code(), socket.close_reason().unwrap_or_default()));
    }

    fn on_ping(&self, _: &mut String, _: &WebSocketSender, payload: &[u8]) {
        self.note(format!("ping {}", String::from_utf8_lossy(payload)));
    }

    fn on_pong(&self, _: &mut String, _: &WebSocketSender, payload: &[u8]) {
        self.note(format!("pong {}", String::from_utf8_lossy(payload)));
    }

    fn options(&self) -> WebSocketOptions {
        self.options.clone().unwrap_or_default()
    }
}

type Log = Rc<RefCell<Vec<String>>>;

fn recorder() -> (Memory, Log, Rc<Cell<bool>>) {
    let handler = Recorder { options: Some(WebSocketOptions::new().subprotocols(["b"])), ..Recorder::default() };
    let (log, refuses) = (Rc::clone(&handler.log), Rc::clone(&handler.refuses));
    (Memory::new(Application::new().websocket("/{name}", handler)), log, refuses)
}

#[test]
fn a_connection_runs_through_its_life() {
    run(async {
        let (server, log, _) = recorder();
        let mut peer = server.connect(1000);
        let head = peer.upgrade("Sec-WebSocket-Protocol: a, b\r\n").await;
        assert!(head.contains("X-Prepared: ws\r\n") && head.contains("Sec-WebSocket-Protocol: b\r\n"), "{head}");
        peer.expect_text("hello ws!").await;
        peer.text("one").await;
        peer.expect_text("one").await;
        let ping = peer.encoder.ping(b"from the client").unwrap();
        peer.raw(ping).await;
        assert_eq!(peer.event().await, Some(Event::Pong("from the client".into())));
        peer.text("ping").await;
        assert_eq!(peer.event().await, Some(Event::Ping("from the server".into())));
        let pong = peer.encoder.pong(b"from the server").unwrap();
        peer.raw(pong).await;
        peer.close(4001, "done").await;
        peer.expect_close(4001).await;
        let expected = [
            "prepare ws",
            "open ws Some(\"b\")",
            "message ws!",
            "ping from the client",
            "message ws!",
            "pong from the server",
            "close ws! Some(CloseCode(4001)) \"done\"",
        ];
        assert_eq!(*log.borrow(), expected);
    });
}

#[test]
fn prepare_may_refuse() {
    run(async {
        let (server, log, refuses) = recorder();
        refuses.set(true);
        let peer = server.connect(1000);
        peer.raw(format!("{HANDSHAKE}\r\n")).await;
        assert!(peer.head().await.starts_with("HTTP/1.1 401 "));
        // What is no handshake never comes so far.
        peer.stream.close();
        let peer = server.connect(1000);
        peer.raw("GET /ws HTTP/1.1\r\nHost: test\r\n\r\n").await;
        assert!(peer.head().await.starts_with("HTTP/1.1 426 "));
        assert_eq!(*log.borrow(), ["prepare ws"]);
    });
}

#[test]
fn errors_and_panics_close_with_1011_and_on_close_runs_once() {
    run(async {
        for what in ["fail", "panic"] {
            let (server, log, _) = recorder();
            let mut peer = server.open().await;
            peer.expect_text("hello ws!").await;
            peer.text(what).await;
            assert_eq!(peer.close_frame().await, Some(CloseCode::INTERNAL_ERROR));
            peer.close(1011, "").await;
            assert_eq!(peer.event().await, None);
            assert_eq!(log.borrow().iter().filter(|line| line.starts_with("close")).count(), 1, "{log:?}");
        }
    });
}

#[test]
fn the_handler_may_close() {
    run(async {
        let (server, log, _) = recorder();
        let mut peer = server.open().await;
        peer.expect_text("hello ws!").await;
        peer.text("close").await;
        assert_eq!(peer.close_frame().await, Some(CloseCode::from(4000)));
        peer.close(4000, "").await;
        assert_eq!(peer.event().await, None);
        assert_eq!(log.borrow().last().unwrap(), "close ws! Some(CloseCode(4000)) \"\"");
    });
}

#[test]
fn on_close_runs_for_a_client_that_vanished_and_for_one_that_is_cut() {
    run_virtual(async |clock| {
        let (server, log, _) = recorder();
        let peer = server.open().await;
        until(|| log.borrow().len() == 2).await;
        peer.stream.close();
        until(|| log.borrow().len() == 3).await;
        assert_eq!(log.borrow()[2], "close ws! Some(CloseCode(1006)) \"\"");

        let _peer = server.open().await;
        until(|| log.borrow().len() == 5).await;
        let handle = server.handle.clone();
        let drain = web::spawn(async move { handle.drain(Duration::from_secs(1)).await });
        clock.advance(Duration::from_secs(1)).await;
        assert_eq!(drain.await.unwrap().cut, 1);
        assert_eq!(log.borrow()[5], "close ws! Some(CloseCode(1006)) \"\"");
    });
}

#[test]
fn origins_and_subprotocols_are_for_the_handler_to_judge() {
    struct Picky;
    impl WebSocketHandler for Picky {
        type Session = ();
        async fn prepare(&self, _: &mut Exchange) -> web::Result<()> {
            Ok(())
        }
        async fn on_message(&self, _: &mut (), _: &WebSocketSender, _: Message) -> web::Result<()> {
            Ok(())
        }
        fn select_subprotocol(&self, exchange: &Exchange, offered: &[&str]) -> Option<String> {
            assert_eq!(exchange.header("host"), Some("test"));
            offered.last().map(|&last| last.to_owned())
        }
        fn check_origin(&self, _: &Exchange, origin: &str) -> bool {
            origin.ends_with(".example")
        }
    }
    run(async {
        let server = Memory::new(Application::new().websocket("/ws", Picky));
        let mut peer = server.connect(1000);
        let head = peer.upgrade("Origin: http://any.example\r\nSec-WebSocket-Protocol: a, b\r\n").await;
        assert!(head.contains("Sec-WebSocket-Protocol: b\r\n"), "{head}");
        let peer = server.connect(1000);
        peer.raw(format!("{HANDSHAKE}Origin: http://test\r\n\r\n")).await;
        assert!(peer.head().await.starts_with("HTTP/1.1 403 "));
    });
}

#[test]
fn a_subprotocol_that_the_client_has_not_offered_is_not_answered() {
    struct Stubborn;
    impl WebSocketHandler for Stubborn {
        type Session = ();
        async fn prepare(&self, _: &mut Exchange) -> web::Result<()> {
            Ok(())
        }
        async fn on_message(&self, _: &mut (), _: &WebSocketSender, _: Message) -> web::Result<()> {
            Ok(())
        }
        fn select_subprotocol(&self, _: &Exchange, _: &[&str]) -> Option<String> {
            Some("b".to_owned())
        }
    }
    run(async {
        let server = Memory::new(Application::new().websocket("/ws", Stubborn));
        for offered in ["", "Sec-WebSocket-Protocol: a, B\r\n"] {
            let peer = server.connect(1000);
            peer.raw(format!("{HANDSHAKE}{offered}\r\n")).await;
            let head = peer.head().await;
            assert!(head.starts_with("HTTP/1.1 500 "), "{head}");
        }
        let head = server.connect(1000).upgrade("Sec-WebSocket-Protocol: a, b\r\n").await;
        assert!(head.contains("Sec-WebSocket-Protocol: b\r\n"), "{head}");
    });
}

#[test]
fn nothing_can_be_sent_in_on_close_whatever_has_ended_the_connection() {
    #[derive(Default)]
    struct Last(Rc<RefCell<Vec<bool>>>);
    impl WebSocketHandler for Last {
        type Session = ();
        async fn prepare(&self, _: &mut Exchange) -> web::Result<()> {
            Ok(())
        }
        async fn on_message(&self, _: &mut (), socket: &WebSocketSender, message: Message) -> web::Result<()> {
            match message.as_text() {
                Some("panic") => panic!("as it was told"),
                Some("fail") => Err(std::io::Error::other("as it was told").into()),
                Some("refuse") => Err(Error::http(StatusCode::BAD_REQUEST, "as it was told")),
                _ => socket.close(4000, ""),
            }
        }
        fn on_close(&self, _: (), socket: &WebSocketSender) {
            self.0.borrow_mut().push(socket.is_open() || socket.ping(b"too late").is_ok());
        }
    }
    run(async {
        for (what, code) in [("panic", 1011), ("fail", 1011), ("refuse", 1011), ("close", 4000)] {
            let handler = Last::default();
            let could_send = Rc::clone(&handler.0);
            let server = Memory::new(Application::new().websocket("/ws", handler));
            let mut peer = server.open().await;
            peer.text(what).await;
            assert_eq!(peer.close_frame().await, Some(CloseCode::from(code)), "{what}");
            peer.close(code, "").await;
            until(|| !could_send.borrow().is_empty()).await;
            assert_eq!(*could_send.borrow(), [false], "{what}");
        }
    });
}
