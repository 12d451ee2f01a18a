use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    time::Duration,
};

use web::{
    Application, Error, Exchange, StatusCode, spawn,
    websocket::{CloseCode, Message, WebSocket, WebSocketOptions, WebSocketSender, codec::Event},
};

use crate::support::{Memory, run, run_virtual, turns, until};

/// What a handler's loop ended with.
type Ended = Rc<RefCell<Option<(Result<(), String>, Option<CloseCode>, Option<String>)>>>;

/// An echo that remembers its end.
fn echo(options: WebSocketOptions) -> (Application, Ended) {
    let ended = Ended::default();
    let shared = Rc::clone(&ended);
    let application = Application::new().get("/ws", async move |exchange: &mut Exchange| {
        let shared = Rc::clone(&shared);
        exchange.upgrade_websocket(&options, async move |mut socket: WebSocket| {
            let result = loop {
                match socket.receive().await {
                    Ok(Some(message)) => socket.send(message).await?,
                    Ok(None) => break Ok(()),
                    Err(error) => break Err(error.to_string()),
                }
            };
            *shared.borrow_mut() = Some((result, socket.close_code(), socket.close_reason().map(str::to_owned)));
            Ok(())
        })
    });
    (application, ended)
}

#[test]
fn a_close_is_answered_with_its_code_and_the_connection_closed() {
    run(async {
        let (application, ended) = echo(WebSocketOptions::new());
        let server = Memory::new(application);
        for code in [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 4999] {
            let mut peer = server.open().await;
            peer.text("before").await;
            peer.close(code, "why").await;
            peer.expect_text("before").await;
            peer.expect_close(code).await;
            let (result, seen, reason) = ended.take().unwrap();
            assert_eq!((result, seen, reason.as_deref()), (Ok(()), Some(CloseCode::from(code)), Some("why")));
        }
        // Without a code there is none in the answer.
        let mut peer = server.open().await;
        let frame = peer.encoder.close(None).unwrap();
        peer.raw(frame).await;
        peer.expect_close(None).await;
        assert_eq!(ended.take().unwrap(), (Ok(()), Some(CloseCode::NO_STATUS), Some(String::new())));
        until(|| server.handle.connections() == 0).await;
    });
}

#[test]
fn what_breaks_the_protocol_is_told_so_before_the_connection_ends() {
    run(async {
        let (application, ended) = echo(WebSocketOptions::new().max_message_size(1000));
        let server = Memory::new(application);
        for (code, bytes) in [
            (1002, &b"\x81\x02hi"[..]),                  // not masked
            (1002, b"\xc1\x80\0\0\0\0"),                 // a reserved bit
            (1002, b"\x83\x80\0\0\0\0"),                 // an unknown opcode
            (1002, b"\x80\x80\0\0\0\0"),                 // a continuation of nothing
            (1002, b"\x01\x80\0\0\0\0\x81\x80\0\0\0\0"), // a message within another
            (1002, b"\x09\x80\0\0\0\0"),                 // a ping in fragments
            (1002, b"\x89\xfe\0\x7e\0\0\0\0"),           // a long ping
            (1002, b"\x88\x81\0\0\0\0x"),                // half a close code
            (1002, b"\x88\x82\0\0\0\0\x03\xed"),         // 1005 sent
            (1007, b"\x81\x81\0\0\0\0\xff"),             // no UTF-8
            (1007, b"\x88\x83\0\0\0\0\x03\xe8\xff"),     // a reason that is none
            (1009, b"\x82\xfe\x03\xe9\0\0\0\0"),         // 1001 bytes are announced
        ] {
            let mut peer = server.open().await;
            peer.text("fine").await;
            peer.expect_text("fine").await;
            peer.raw(bytes).await;
            // Still sending: a reset must not take the close frame away.
            peer.raw([7; 30_000]).await;
            assert_eq!(peer.close_frame().await, Some(CloseCode::from(code)), "{bytes:x?}");
            assert_eq!(peer.event().await, None);
            let (result, seen, _) = ended.take().unwrap();
            assert!(result.is_err_and(|error| error.contains("protocol")), "{bytes:x?}");
            assert_eq!(seen, Some(CloseCode::from(code)));
            peer.stream.close();
        }
        until(|| server.handle.connections() == 0).await;
    });
}

#[test]
fn a_peer_that_broke_the_protocol_and_stays_is_cut() {
    run_virtual(async |clock| {
        let (application, _) = echo(WebSocketOptions::new());
        let server = Memory::new(application);
        let mut peer = server.open().await;
        peer.raw(b"\x83\x80\0\0\0\0").await;
        assert_eq!(peer.close_frame().await, Some(CloseCode::PROTOCOL_ERROR));
        clock.advance(Duration::from_millis(4999)).await;
        assert_eq!(server.handle.connections(), 1);
        clock.advance(Duration::from_millis(1)).await;
        turns(5).await;
        assert_eq!(server.handle.connections(), 0);
    });
}

#[test]
fn a_handler_that_returns_closes_with_1000_and_one_that_fails_with_1011() {
    run(async {
        let fails = Rc::new(Cell::new(false));
        let shared = Rc::clone(&fails);
        let server = Memory::new(Application::new().get("/ws", async move |exchange: &mut Exchange| {
            let socket = exchange.websocket().await?;
            socket.send("bye").await?;
            match shared.get() {
                false => Ok(()),
                true => Err(Error::http(StatusCode::INTERNAL_SERVER_ERROR, "failed")),
            }
        }));
        for code in [1000, 1011] {
            fails.set(code == 1011);
            let mut peer = server.open().await;
            peer.expect_text("bye").await;
            assert_eq!(peer.close_frame().await, Some(CloseCode::from(code)));
            // It waits for the answer.
            turns(5).await;
            assert!(!peer.stream.is_peer_closed());
            peer.text("dropped").await;
            peer.close(code, "").await;
            assert_eq!(peer.event().await, None);
        }
        until(|| server.handle.connections() == 0).await;
    });
}

#[test]
fn the_same_holds_for_upgrade_websocket() {
    run(async {
        let server = Memory::new(Application::new().get("/ws", async |exchange: &mut Exchange| {
            let fails = exchange.query::<String>("fails").is_ok();
            exchange.upgrade_websocket(&WebSocketOptions::new(), async move |socket: WebSocket| {
                socket.send("bye").await?;
                if fails { Err(std::io::Error::other("failed").into()) } else { Ok(()) }
            })
        }));
        for (target, code) in [("/ws", 1000), ("/ws?fails=1", 1011)] {
            let mut peer = server.connect(1000);
            peer.raw(crate::support::HANDSHAKE.replacen("/ws", target, 1) + "\r\n").await;
            peer.head().await;
            peer.expect_text("bye").await;
            assert_eq!(peer.close_frame().await, Some(CloseCode::from(code)));
            peer.close(code, "").await;
            assert_eq!(peer.event().await, None);
        }
    });
}

#[test]
fn an_error_with_a_status_of_the_clients_closes_with_1011_as_others_do() {
    async fn plain(exchange: &mut Exchange) -> web::Result<()> {
        let mut socket = exchange.websocket().await?;
        socket.receive().await?;
        Err(Error::http(StatusCode::BAD_REQUEST, "no such message"))
    }
    async fn detached(exchange: &mut Exchange) -> web::Result<()> {
        exchange.upgrade_websocket(&WebSocketOptions::new(), async |mut socket: WebSocket| {
            socket.receive().await?;
            Err(Error::http(StatusCode::BAD_REQUEST, "no such message"))
        })
    }
    run(async {
        for application in [Application::new().get("/ws", plain), Application::new().get("/ws", detached)] {
            let server = Memory::new(application);
            let mut peer = server.open().await;
            peer.text("one").await;
            assert_eq!(peer.close_frame().await, Some(CloseCode::INTERNAL_ERROR));
            peer.close(1011, "").await;
            assert_eq!(peer.event().await, None);
        }
    });
}

#[test]
fn a_panic_closes_with_1011_and_concerns_nobody_else() {
    async fn plain(exchange: &mut Exchange) -> web::Result<()> {
        let mut socket = exchange.websocket().await?;
        while let Some(message) = socket.receive().await? {
            assert_ne!(message, Message::from("panic"));
            socket.send(message).await?;
        }
        Ok(())
    }
    async fn detached(exchange: &mut Exchange) -> web::Result<()> {
        exchange.upgrade_websocket(&WebSocketOptions::new(), async |mut socket: WebSocket| {
            while let Some(message) = socket.receive().await? {
                assert_ne!(message, Message::from("panic"));
                socket.send(message).await?;
            }
            Ok(())
        })
    }
    run(async {
        for application in [Application::new().get("/ws", plain), Application::new().get("/ws", detached)] {
            let server = Memory::new(application);
            let (mut bad, mut good) = (server.open().await, server.open().await);
            bad.text("one").await;
            bad.text("panic").await;
            bad.expect_text("one").await;
            assert_eq!(bad.close_frame().await, Some(CloseCode::INTERNAL_ERROR));
            bad.close(1011, "").await;
            assert_eq!(bad.event().await, None);
            good.text("two").await;
            good.expect_text("two").await;
            until(|| server.handle.connections() == 1).await;
        }
    });
}

#[test]
fn a_destructor_that_panics_closes_with_1011() {
    struct Panics;
    impl Drop for Panics {
        fn drop(&mut self) {
            panic!("in a destructor");
        }
    }
    run(async {
        let server = Memory::new(Application::new().get("/ws", async |exchange: &mut Exchange| {
            exchange.upgrade_websocket(&WebSocketOptions::new(), async |socket: WebSocket| {
                let _panics = Panics;
                socket.send("bye").await
            })
        }));
        let mut peer = server.open().await;
        peer.expect_text("bye").await;
        assert_eq!(peer.close_frame().await, Some(CloseCode::INTERNAL_ERROR));
    });
}

#[test]
fn a_handler_closes_with_its_own_code_and_goes_on_receiving() {
    run(async {
        let received = Rc::new(RefCell::new(Vec::new()));
        let shared = Rc::clone(&received);
        let server = Memory::new(Application::new().get("/ws", async move |exchange: &mut Exchange| {
            let mut socket = exchange.websocket().await?;
            assert!(
                socket.close(1005, "").is_err() && socket.close(1000, &"x".repeat(124)).is_err() && socket.is_open()
            );
            socket.close(4001, "enough")?;
            assert!(!socket.is_open() && socket.close_code().is_none());
            while let Some(message) = socket.receive().await? {
                shared.borrow_mut().push(message);
            }
            assert_eq!(socket.close_code(), Some(CloseCode::from(4002)));
            Ok(())
        }));
        let mut peer = server.open().await;
        let Some(Event::Close(Some(frame))) = peer.event().await else { panic!("a close frame") };
        assert_eq!((frame.code, frame.reason.as_str()), (CloseCode::from(4001), "enough"));
        peer.text("under way").await;
        peer.close(4002, "").await;
        assert_eq!(peer.event().await, None);
        assert_eq!(*received.borrow(), [Message::from("under way")]);
    });
}

#[test]
fn a_peer_that_does_not_answer_a_close_is_cut() {
    run_virtual(async |clock| {
        let server = Memory::new(Application::new().get("/ws", async |exchange: &mut Exchange| {
            let mut socket = exchange.websocket().await?;
            socket.close(1000, "")?;
            // In order, for a receiver: it was the one to close.
            assert!(socket.receive().await?.is_none());
            assert_eq!(socket.close_code(), Some(CloseCode::ABNORMAL));
            Ok(())
        }));
        let mut peer = server.open().await;
        assert_eq!(peer.close_frame().await, Some(CloseCode::NORMAL));
        clock.advance(Duration::from_millis(4999)).await;
        assert_eq!(server.handle.connections(), 1);
        clock.advance(Duration::from_millis(1)).await;
        assert_eq!(peer.event().await, None);
        assert_eq!(server.handle.connections(), 0);
    });
}

#[test]
fn the_end_of_input_without_a_close_frame_is_1006() {
    run(async {
        let (application, ended) = echo(WebSocketOptions::new());
        let server = Memory::new(application);
        // A client that has ended its side still gets what it asked for before.
        let mut peer = server.open().await;
        peer.text("last").await;
        peer.stream.shutdown_write().await.unwrap();
        peer.expect_text("last").await;
        assert_eq!(peer.event().await, None);
        let (result, code, _) = ended.take().unwrap();
        assert!(result.is_err_and(|error| error.contains("went away")));
        assert_eq!(code, Some(CloseCode::ABNORMAL));
        // In the middle of a frame.
        let peer = server.open().await;
        peer.raw(b"\x81\xfe\0").await;
        peer.stream.close();
        until(|| ended.borrow().is_some()).await;
        assert_eq!(ended.take().unwrap().1, Some(CloseCode::ABNORMAL));
        until(|| server.handle.connections() == 0).await;
    });
}

#[test]
fn a_handler_that_waits_for_something_else_hears_of_the_end() {
    run(async {
        let kept: Rc<RefCell<Option<WebSocketSender>>> = Rc::default();
        let shared = Rc::clone(&kept);
        let server = Memory::new(Application::new().get("/ws", async move |exchange: &mut Exchange| {
            let socket = exchange.websocket().await?;
            *shared.borrow_mut() = Some(socket.sender());
            socket.closed().await;
            Ok(())
        }));
        for is_orderly in [true, false] {
            let mut peer = server.open().await;
            until(|| kept.borrow().is_some()).await;
            if is_orderly {
                peer.close(1000, "").await;
                peer.expect_close(1000).await;
            } else {
                peer.stream.close();
            }
            until(|| server.handle.connections() == 0).await;
            let code = kept.take().unwrap().close_code().unwrap();
            assert_eq!(code == CloseCode::NORMAL, is_orderly);
        }
    });
}

#[test]
fn a_socket_that_nobody_holds_is_closed() {
    run(async {
        let server = Memory::new(Application::new().get("/ws", async |exchange: &mut Exchange| {
            let socket = exchange.websocket().await?;
            let sender = socket.sender();
            drop(socket);
            let _task = spawn(async move {
                turns(3).await;
                sender.send("last").await.unwrap();
            });
            std::future::pending().await
        }));
        let mut peer = server.open().await;
        peer.expect_text("last").await;
        assert_eq!(peer.close_frame().await, Some(CloseCode::NORMAL));
    });
}

#[test]
fn a_drain_tells_all_clients_and_waits_for_them() {
    run(async {
        let (application, ended) = echo(WebSocketOptions::new());
        let server = Memory::new(application);
        let (mut one, mut other) = (server.open().await, server.open().await);
        let handle = server.handle.clone();
        let drain = spawn(async move { handle.drain(Duration::from_secs(60)).await });
        for peer in [&mut one, &mut other] {
            assert_eq!(peer.close_frame().await, Some(CloseCode::GOING_AWAY));
        }
        assert!(!drain.is_finished());
        one.text("under way").await;
        one.close(1001, "").await;
        other.close(1001, "").await;
        assert_eq!((one.event().await, other.event().await), (None, None));
        let report = drain.await.unwrap();
        assert_eq!((report.finished, report.cut), (2, 0));
        assert_eq!(ended.take().unwrap().1, Some(CloseCode::GOING_AWAY));
    });
}

#[test]
fn a_drain_ends_clients_that_do_not_answer_and_handlers_that_do_not_return() {
    run_virtual(async |clock| {
        let dropped = Rc::new(Cell::new(0));
        let shared = Rc::clone(&dropped);
        let server = Memory::new(Application::new().get("/ws", async move |exchange: &mut Exchange| {
            struct Count(Rc<Cell<u32>>);
            impl Drop for Count {
                fn drop(&mut self) {
                    self.0.set(self.0.get() + 1);
                }
            }
            let _count = Count(Rc::clone(&shared));
            let _socket = exchange.websocket().await?;
            std::future::pending().await
        }));
        let mut peer = server.open().await;
        let handle = server.handle.clone();
        let drain = spawn(async move { handle.drain(Duration::from_secs(60)).await });
        assert_eq!(peer.close_frame().await, Some(CloseCode::GOING_AWAY));
        clock.advance(Duration::from_secs(5)).await;
        assert_eq!(peer.event().await, None);
        // The handler has its time.
        assert!(!drain.is_finished() && dropped.get() == 0);
        clock.advance(Duration::from_secs(55)).await;
        assert_eq!(drain.await.unwrap().cut, 1);
        assert_eq!(dropped.get(), 1);
    });
}

#[test]
fn handles_that_outlive_the_loop_of_the_connection_find_out() {
    let kept: Rc<RefCell<Option<WebSocketSender>>> = Rc::default();
    let shared = Rc::clone(&kept);
    let mut peer = None;
    run(async {
        let server = Memory::new(Application::new().get("/ws", async move |exchange: &mut Exchange| {
            let mut socket = exchange.websocket().await?;
            *shared.borrow_mut() = Some(socket.sender());
            while socket.receive().await?.is_some() {}
            Ok(())
        }));
        peer = Some(server.open().await);
        until(|| kept.borrow().is_some()).await;
    });
    let sender = kept.take().unwrap();
    assert!(!sender.is_open());
    assert_eq!(sender.close_code(), Some(CloseCode::ABNORMAL));
    drop((peer, sender));
}
