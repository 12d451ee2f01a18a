//! permessage-deflate, from the handshake to the messages. What it does to the bytes is tested with the codec.

use web::{
    Application, Exchange, spawn,
    websocket::{
        DeflateOptions, Message, PreparedMessage, WebSocketOptions,
        codec::{Decoder, Deflate, Encoder, Event, Role},
    },
};

use crate::support::{Memory, Peer, run};

fn echo(options: WebSocketOptions) -> Memory {
    Memory::new(Application::new().get("/ws", async move |exchange: &mut Exchange| {
        let mut socket = exchange.websocket_with(&options).await?;
        while let Some(message) = socket.receive().await? {
            let prepared = PreparedMessage::new(message.clone());
            // One as it is, two from a frame that several share.
            socket.send(message).await?;
            socket.send_prepared(&prepared).await?;
            socket.send_prepared(&prepared).await?;
        }
        Ok(())
    }))
}

/// A client that has agreed on something.
async fn agreed(server: &Memory, options: &DeflateOptions) -> Peer {
    let mut peer = server.connect(64 * 1024);
    let head = peer.upgrade(&format!("Sec-WebSocket-Extensions: {}\r\n", Deflate::offer(options))).await;
    let answer = head.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Extensions: ")).expect("an answer");
    let agreed = Deflate::agreed([answer], options).unwrap().unwrap();
    peer.encoder = Encoder::new(Role::Client).deflate(&agreed);
    peer.decoder = Decoder::new(Role::Client).deflate(&agreed);
    peer
}

#[test]
fn messages_are_compressed_both_ways_where_both_agree() {
    run(async {
        for has_context in [false, true] {
            let options = DeflateOptions::new().context_takeover(has_context);
            let server = echo(WebSocketOptions::new().deflate(options.clone()));
            let mut peer = agreed(&server, &options).await;
            for text in ["short", &"compressible ".repeat(1000), "", &"compressible ".repeat(100)] {
                peer.text(text).await;
                for _ in 0..3 {
                    peer.expect_text(text).await;
                }
            }
            let text = "compressible ".repeat(1000);
            let before = peer.stream.buffered();
            peer.text(&text).await;
            peer.expect_text(&text).await;
            assert!(before == 0 && peer.stream.buffered() < 500);
        }
    });
}

#[test]
fn compression_is_off_unless_it_was_asked_for() {
    run(async {
        let server = echo(WebSocketOptions::new());
        let mut peer = server.connect(1000);
        let head = peer.upgrade("Sec-WebSocket-Extensions: permessage-deflate\r\n").await;
        assert!(!head.contains("Extensions"), "{head}");
        let server = echo(WebSocketOptions::new().deflate(DeflateOptions::new()));
        let mut peer = server.connect(1000);
        let head = peer.upgrade("").await;
        assert!(!head.contains("Extensions"), "{head}");
        // Then a compressed frame is a violation.
        peer.raw(b"\xc1\x80\0\0\0\0").await;
        assert_eq!(peer.close_frame().await.unwrap().as_u16(), 1002);
    });
}

#[test]
fn a_message_that_inflates_beyond_the_limit_is_1009() {
    run(async {
        let options = DeflateOptions::new();
        let server = echo(WebSocketOptions::new().deflate(options.clone()).max_message_size(100_000));
        let mut peer = agreed(&server, &options).await;
        peer.binary(&vec![0; 10_000_000]).await;
        assert_eq!(peer.close_frame().await.unwrap().as_u16(), 1009);
    });
}

#[test]
fn a_broadcast_is_compressed_once_for_those_who_agreed() {
    run(async {
        let options = DeflateOptions::new();
        let server = echo(WebSocketOptions::new().deflate(options.clone()));
        let (mut one, mut other) = (agreed(&server, &options).await, server.open().await);
        let text = "to all ".repeat(100);
        let task = spawn({
            let text = text.clone();
            async move {
                one.text(&text).await;
                assert_eq!(one.event().await, Some(Event::Message(Message::from(text))));
            }
        });
        other.text(&text).await;
        other.expect_text(&text).await;
        task.await.unwrap();
    });
}
