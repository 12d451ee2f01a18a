//! Over TCP, where the kernel has its say.

use std::{cell::RefCell, rc::Rc, time::Duration};

use web::{
    Application, Exchange,
    httpserver::iostream::ioloop::VirtualClock,
    websocket::{CloseCode, PreparedMessage, WebSocketSender, codec::Event},
};

use crate::support::{Peer, run, until};

async fn echo(exchange: &mut Exchange) -> web::Result<()> {
    let mut socket = exchange.websocket().await?;
    while let Some(message) = socket.receive().await? {
        socket.send(message).await?;
    }
    Ok(())
}

#[test]
fn an_echo_over_tcp() {
    run(async {
        let server = Application::new().get("/ws", echo).listen(("127.0.0.1", 0)).unwrap();
        let mut peer = Peer::connect(server.local_addr()).await;
        peer.upgrade("").await;
        for length in [0, 10, 1000, 100_000, 5_000_000] {
            let text = "x".repeat(length);
            let frame = peer.encoder.text(&text);
            drop(peer.stream.write(frame));
            peer.expect_text(&text).await;
        }
        peer.close(1000, "").await;
        peer.expect_close(1000).await;
        until(|| server.connections() == 0).await;
    });
}

#[test]
fn a_reset_ends_the_handler() {
    run(async {
        let server = Application::new().get("/ws", echo).listen(("127.0.0.1", 0)).unwrap();
        let mut peer = Peer::connect(server.local_addr()).await;
        peer.upgrade("").await;
        // Closed with input unread, it is a reset.
        peer.text("unread").await;
        until(|| peer.stream.is_readable()).await;
        peer.stream.close();
        until(|| server.connections() == 0).await;
    });
}

#[test]
fn a_close_frame_reaches_a_client_that_goes_on_sending() {
    run(async {
        let server = Application::new().get("/ws", echo).listen(("127.0.0.1", 0)).unwrap();
        let mut peer = Peer::connect(server.local_addr()).await;
        peer.upgrade("").await;
        peer.raw(b"\x83\x80\0\0\0\0").await;
        for _ in 0..50 {
            drop(peer.stream.write(vec![7; 100_000]));
        }
        assert_eq!(peer.close_frame().await, Some(CloseCode::PROTOCOL_ERROR));
        assert_eq!(peer.event().await, None);
        peer.stream.close();
        until(|| server.connections() == 0).await;
    });
}

#[test]
fn a_broadcast_reaches_everybody() {
    run(async {
        let room: Rc<RefCell<Vec<WebSocketSender>>> = Rc::default();
        let shared = Rc::clone(&room);
        let server = Application::new()
            .get("/ws", async move |exchange: &mut Exchange| {
                let mut socket = exchange.websocket().await?;
                shared.borrow_mut().push(socket.sender());
                while socket.receive().await?.is_some() {}
                shared.borrow_mut().retain(|member| *member != *socket);
                Ok(())
            })
            .listen(("127.0.0.1", 0))
            .unwrap();
        let mut peers = Vec::new();
        for _ in 0..50 {
            let mut peer = Peer::connect(server.local_addr()).await;
            peer.upgrade("").await;
            peers.push(peer);
        }
        until(|| room.borrow().len() == 50).await;
        let message = PreparedMessage::new("to all");
        let members = room.borrow().clone();
        for member in members {
            member.send_prepared(&message).await.unwrap();
        }
        for peer in &mut peers {
            peer.expect_text("to all").await;
        }
        for mut peer in peers {
            peer.close(1000, "").await;
            peer.expect_close(1000).await;
        }
        until(|| room.borrow().is_empty()).await;
    });
}

#[test]
fn a_client_that_vanished_is_found_by_its_silence() {
    let clock = VirtualClock::new();
    let ioloop = web::IOLoop::builder().virtual_clock(&clock).build().unwrap();
    ioloop.run_sync(async {
        let server = Application::new().get("/ws", echo).listen(("127.0.0.1", 0)).unwrap();
        let mut peer = Peer::connect(server.local_addr()).await;
        peer.upgrade("").await;
        clock.advance(Duration::from_secs(30)).await;
        assert_eq!(peer.event().await, Some(Event::Ping("".into())));
        clock.advance(Duration::from_secs(30)).await;
        assert_eq!(server.connections(), 0);
    });
    ioloop.close();
}
