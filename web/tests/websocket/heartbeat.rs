use std::{cell::RefCell, rc::Rc, time::Duration};

use web::{
    Application, Exchange,
    sync::Event as Signal,
    websocket::{CloseCode, WebSocketOptions, codec::Event},
};

use crate::support::{Memory, run_virtual, turns, until};

const SECOND: Duration = Duration::from_secs(1);

fn ping() -> Option<Event> {
    Some(Event::Ping("".into()))
}

fn echo(options: WebSocketOptions) -> (Memory, Rc<RefCell<Vec<String>>>) {
    let ends = Rc::new(RefCell::new(Vec::new()));
    let shared = Rc::clone(&ends);
    let application = Application::new().get("/ws", async move |exchange: &mut Exchange| {
        let mut socket = exchange.websocket_with(&options).await?;
        loop {
            match socket.receive().await {
                Ok(Some(message)) => socket.send(message).await?,
                Ok(None) => shared.borrow_mut().push("closed".to_owned()),
                Err(error) => shared.borrow_mut().push(error.to_string()),
            }
            if socket.close_code().is_some() {
                return Ok(());
            }
        }
    });
    (Memory::new(application), ends)
}

#[test]
fn a_peer_that_answers_pings_stays() {
    run_virtual(async |clock| {
        let (server, _) = echo(WebSocketOptions::new());
        let mut peer = server.open().await;
        for _ in 0..5 {
            clock.advance(30 * SECOND - Duration::from_millis(1)).await;
            assert!(peer.is_silent());
            clock.advance(Duration::from_millis(1)).await;
            assert_eq!(peer.event().await, ping());
            let pong = peer.encoder.pong(b"").unwrap();
            peer.raw(pong).await;
            turns(3).await;
        }
        peer.text("here").await;
        peer.expect_text("here").await;
    });
}

#[test]
fn a_silent_peer_is_given_up() {
    run_virtual(async |clock| {
        let (server, ends) = echo(WebSocketOptions::new());
        let mut peer = server.open().await;
        clock.advance(30 * SECOND).await;
        assert_eq!(peer.event().await, ping());
        clock.advance(30 * SECOND - Duration::from_millis(1)).await;
        assert_eq!(server.handle.connections(), 1);
        clock.advance(Duration::from_millis(1)).await;
        assert_eq!(server.handle.connections(), 0);
        assert_eq!(*ends.borrow(), ["The client went away"]);
        // One that has merely been asleep is told.
        assert_eq!(peer.close_frame().await, Some(CloseCode::INTERNAL_ERROR));
    });
}

#[test]
fn the_time_out_is_shorter_than_the_interval_if_it_is_set() {
    run_virtual(async |clock| {
        let (server, ends) = echo(WebSocketOptions::new().ping_interval(60 * SECOND).ping_timeout(10 * SECOND));
        let mut peer = server.open().await;
        for _ in 0..3 {
            clock.advance(60 * SECOND).await;
            assert_eq!(peer.event().await, ping());
            // Whatever comes is a sign of life.
            peer.text("alive").await;
            peer.expect_text("alive").await;
        }
        clock.advance(60 * SECOND).await;
        assert_eq!(peer.event().await, ping());
        clock.advance(10 * SECOND - Duration::from_millis(1)).await;
        assert!(ends.borrow().is_empty());
        clock.advance(Duration::from_millis(1)).await;
        assert_eq!(ends.borrow().len(), 1);
    });
}

#[test]
fn a_time_out_beyond_the_interval_is_the_interval() {
    run_virtual(async |clock| {
        let (server, ends) = echo(WebSocketOptions::new().ping_interval(SECOND).ping_timeout(60 * SECOND));
        let _peer = server.open().await;
        clock.advance(2 * SECOND).await;
        assert_eq!(ends.borrow().len(), 1);
    });
}

#[test]
fn pings_can_be_turned_off() {
    run_virtual(async |clock| {
        let (server, _) = echo(WebSocketOptions::new().ping_interval(Duration::MAX));
        let mut peer = server.open().await;
        clock.advance(1_000_000 * SECOND).await;
        assert!(peer.is_silent());
        peer.text("here").await;
        peer.expect_text("here").await;
    });
}

#[test]
fn a_busy_handler_is_no_silence_of_its_client() {
    let signal = Rc::new(Signal::new());
    let release = Rc::clone(&signal);
    run_virtual(async |clock| {
        let server = Memory::new(Application::new().get("/ws", async move |exchange: &mut Exchange| {
            let mut socket = exchange.websocket().await?;
            signal.wait().await;
            while let Some(message) = socket.receive().await? {
                socket.send(message).await?;
            }
            Ok(())
        }));
        let mut peer = server.open().await;
        // It fills the inbox, and the pongs behind it are not read.
        peer.text("one").await;
        for _ in 0..5 {
            clock.advance(30 * SECOND).await;
            assert_eq!(peer.event().await, ping());
            let pong = peer.encoder.pong(b"").unwrap();
            peer.raw(pong).await;
        }
        release.set();
        peer.expect_text("one").await;
    });
}

#[test]
fn a_slow_download_is_no_silence_either() {
    run_virtual(async |clock| {
        let server = Memory::new(Application::new().get("/ws", async move |exchange: &mut Exchange| {
            let mut socket = exchange.websocket().await?;
            socket.send(vec![7; 1_000_000]).await?;
            while socket.receive().await?.is_some() {}
            Ok(())
        }));
        let mut peer = server.connect(10_000);
        peer.upgrade("").await;
        for _ in 0..50 {
            // The ping waits behind the message, and so does its answer.
            clock.advance(25 * SECOND).await;
            peer.stream.read_bytes(10_000).await.unwrap();
        }
        assert_eq!(server.handle.connections(), 1);
        // Then it takes nothing any more.
        clock.advance(90 * SECOND).await;
        until(|| server.handle.connections() == 0).await;
        peer.stream.close();
    });
}
