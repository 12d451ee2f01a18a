use std::{cell::RefCell, rc::Rc};

use web::{
    Application, Error, Exchange, spawn,
    sync::Event as Signal,
    websocket::{CloseCode, Message, PreparedMessage, WebSocket, WebSocketOptions, WebSocketSender, codec::Event},
};

use crate::support::{Memory, run, turns, until};

async fn echo(exchange: &mut Exchange) -> web::Result<()> {
    let mut socket = exchange.websocket().await?;
    while let Some(message) = socket.receive().await? {
        socket.send(message).await?;
    }
    Ok(())
}

#[test]
fn text_and_binary_come_back_as_they_were() {
    run(async {
        let server = Memory::new(Application::new().get("/ws", echo));
        let mut peer = server.open().await;
        for length in [0, 1, 125, 126, 4095, 4096, 65_535, 65_536, 1_000_000] {
            let text = "é".repeat(length / 2);
            peer.text(&text).await;
            peer.expect_text(&text).await;
            let bytes: Vec<u8> = (0..length).map(|byte| byte as u8).collect();
            peer.binary(&bytes).await;
            assert_eq!(peer.message().await, Message::from(bytes));
        }
    });
}

#[test]
fn fragments_are_put_together_and_pings_between_them_answered() {
    run(async {
        let server = Memory::new(Application::new().get("/ws", echo));
        let mut peer = server.open().await;
        // Masked with a key of zeros.
        peer.raw(b"\x01\x83\0\0\0\0Hel\x89\x82\0\0\0\0ok\x80\x82\0\0\0\0lo").await;
        assert_eq!(peer.event().await, Some(Event::Pong("ok".into())));
        peer.expect_text("Hello").await;
    });
}

#[test]
fn messages_that_came_together_are_answered_together() {
    run(async {
        let server = Memory::new(Application::new().get("/ws", echo));
        let mut peer = server.open().await;
        let mut bytes = Vec::new();
        for number in 0..10 {
            peer.encoder.append(&number.to_string().as_str().into(), &mut bytes);
        }
        peer.raw(bytes).await;
        // All of it is there at once.
        until(|| peer.stream.is_readable()).await;
        let answers = peer.stream.read_some(1000).await.unwrap();
        assert_eq!(answers, (0..10).flat_map(|number| [0x81, 1, b'0' + number]).collect::<Vec<u8>>());
    });
}

#[test]
fn another_task_sends_while_the_handler_receives() {
    let sender: Rc<RefCell<Option<WebSocketSender>>> = Rc::default();
    let shared = Rc::clone(&sender);
    run(async move {
        let server = Memory::new(Application::new().get("/ws", async move |exchange: &mut Exchange| {
            let mut socket = exchange.websocket().await?;
            *shared.borrow_mut() = Some(socket.sender());
            while let Some(message) = socket.receive().await? {
                socket.send(message).await?;
            }
            Ok(())
        }));
        let mut peer = server.open().await;
        until(|| sender.borrow().is_some()).await;
        let sender = sender.take().unwrap();
        sender.send("from elsewhere").await.unwrap();
        peer.expect_text("from elsewhere").await;
        let prepared = PreparedMessage::new("to many");
        sender.send_prepared(&prepared).await.unwrap();
        sender.send_keyed(1, vec![1, 2]).await.unwrap();
        sender.send_json(&[1, 2]).await.unwrap();
        peer.expect_text("to many").await;
        assert_eq!(peer.message().await, Message::from(vec![1, 2]));
        peer.expect_text("[1,2]").await;
        peer.text("still").await;
        peer.expect_text("still").await;
        assert!(sender == sender.clone() && sender.is_open() && sender.queued() == 0);

        peer.close(4000, "bye").await;
        sender.closed().await;
        assert_eq!((sender.close_code(), sender.close_reason()), (Some(CloseCode::from(4000)), Some("bye")));
        assert!(matches!(sender.send("late").await, Err(Error::WebSocketClosed)));
        assert!(matches!(sender.ping(b""), Err(Error::WebSocketClosed)));
        assert!(sender.close(1000, "").is_ok());
    });
}

#[test]
fn a_handler_that_is_busy_does_not_keep_pings_waiting() {
    let signal = Rc::new(Signal::new());
    let release = Rc::clone(&signal);
    run(async move {
        let server = Memory::new(Application::new().get("/ws", async move |exchange: &mut Exchange| {
            let mut socket = exchange.websocket().await?;
            signal.wait().await;
            while let Some(message) = socket.receive().await? {
                socket.send(message).await?;
            }
            Ok(())
        }));
        let mut peer = server.open().await;
        let ping = peer.encoder.ping(b"there?").unwrap();
        peer.raw(&ping).await;
        assert_eq!(peer.event().await, Some(Event::Pong("there?".into())));
        // One message is read ahead; then reading stops.
        peer.text("one").await;
        peer.text("two").await;
        peer.raw(&ping).await;
        turns(20).await;
        assert!(peer.is_silent());
        release.set();
        peer.expect_text("one").await;
        peer.expect_text("two").await;
        assert_eq!(peer.event().await, Some(Event::Pong("there?".into())));
    });
}

#[test]
fn a_reader_that_does_not_read_is_held_back_by_the_stream() {
    let signal = Rc::new(Signal::new());
    let release = Rc::clone(&signal);
    run(async move {
        let server = Memory::new(Application::new().get("/ws", async move |exchange: &mut Exchange| {
            let mut socket = exchange.websocket().await?;
            signal.wait().await;
            let mut count = 0;
            while socket.receive().await?.is_some() {
                count += 1;
            }
            assert_eq!(count, 100);
            Ok(())
        }));
        let mut peer = server.open().await;
        for _ in 0..100 {
            let frame = peer.encoder.binary(&[7; 10_000]);
            drop(peer.stream.write(frame));
        }
        turns(50).await;
        // What a pair holds, what one read brings, and a message: the rest waits with its sender.
        assert!(peer.stream.pending_write() > 700_000, "{}", peer.stream.pending_write());
        release.set();
        peer.close(1000, "").await;
        peer.expect_close(1000).await;
    });
}

#[test]
fn a_receive_that_is_dropped_loses_nothing() {
    run(async {
        let server = Memory::new(Application::new().get("/ws", async |exchange: &mut Exchange| {
            let mut socket = exchange.websocket().await?;
            loop {
                // Gives up each wait at once.
                let patience = std::pin::pin!(web::yield_now());
                let received = {
                    let mut patience = patience;
                    let mut receive = std::pin::pin!(socket.receive());
                    std::future::poll_fn(|cx| {
                        use std::{future::Future, task::Poll};
                        if let Poll::Ready(received) = receive.as_mut().poll(cx) {
                            return Poll::Ready(Some(received));
                        }
                        patience.as_mut().poll(cx).map(|()| None)
                    })
                    .await
                };
                match received {
                    None => {}
                    Some(received) => match received? {
                        Some(message) => socket.send(message).await?,
                        None => return Ok(()),
                    },
                }
            }
        }));
        let mut peer = server.open().await;
        for number in 0..50 {
            let text = number.to_string();
            peer.text(&text).await;
            peer.expect_text(&text).await;
        }
        peer.close(1000, "").await;
        peer.expect_close(1000).await;
    });
}

#[test]
fn a_socket_may_be_received_from_by_another_task() {
    run(async {
        let server = Memory::new(Application::new().get("/ws", async |exchange: &mut Exchange| {
            let options = WebSocketOptions::new();
            exchange.upgrade_websocket(&options, async |mut socket: WebSocket| {
                let task = spawn(async move {
                    while let Some(message) = socket.receive().await? {
                        socket.send(message).await?;
                    }
                    Ok(())
                });
                task.await.expect("not aborted")
            })
        }));
        let mut peer = server.open().await;
        for number in 0..50 {
            let text = number.to_string();
            peer.text(&text).await;
            let ping = peer.encoder.ping(b"x").unwrap();
            peer.raw(ping).await;
            let (mut echoed, mut ponged) = (false, false);
            for _ in 0..2 {
                match peer.event().await {
                    Some(Event::Pong(_)) => ponged = true,
                    Some(Event::Message(message)) => echoed = message == Message::from(text.as_str()),
                    other => panic!("{other:?}"),
                }
            }
            assert!(echoed && ponged);
        }
        peer.close(1000, "").await;
        peer.expect_close(1000).await;
    });
}

#[test]
fn the_exchange_is_there_behind_the_handshake() {
    run(async {
        let server = Memory::new(Application::new().get("/{name}", async |exchange: &mut Exchange| {
            let mut socket = exchange.websocket().await?;
            let name: String = exchange.path("name")?;
            socket.send(format!("{name} {}", exchange.header("host").unwrap_or_default())).await?;
            while socket.receive().await?.is_some() {}
            Ok(())
        }));
        server.open().await.expect_text("ws test").await;
    });
}

#[test]
fn a_handler_that_always_sends_lets_others_have_their_turn() {
    run(async {
        let server = Memory::new(Application::new().get("/ws", async |exchange: &mut Exchange| {
            let options = WebSocketOptions::new().max_queue(usize::MAX);
            let socket = exchange.websocket_with(&options).await?;
            // Ends only when somebody else has had a turn.
            while socket.is_open() {
                socket.send(vec![7; 10_000]).await?;
            }
            Ok(())
        }));
        let mut peer = server.open().await;
        peer.message().await;
        peer.close(1000, "").await;
        while !matches!(peer.event().await, Some(Event::Close(_))) {}
    });
}
