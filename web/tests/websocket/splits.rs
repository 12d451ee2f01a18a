//! Whatever the pieces in which bytes come and go, the messages are the same.

use proptest::prelude::*;
use web::{
    Application, Exchange,
    websocket::{Message, WebSocket, WebSocketOptions, codec::Event},
};

use crate::support::{Memory, run, turns};

fn message() -> impl Strategy<Value = Message> {
    prop_oneof![
        "[a-zé😀]{0,40}".prop_map(Message::from),
        proptest::collection::vec(any::<u8>(), 0..200).prop_map(Message::from),
        (0..70_000_usize, any::<u8>()).prop_map(|(length, byte)| Message::from(vec![byte; length])),
    ]
}

/// What a client sends, with the number of fragments for each message, and a ping before each fragment or none.
fn conversation() -> impl Strategy<Value = Vec<(Message, usize, bool)>> {
    proptest::collection::vec((message(), 1..4_usize, any::<bool>()), 0..12)
}

fn frames(messages: &[(Message, usize, bool)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (message, fragments, pings) in messages {
        let content = message.as_bytes();
        let step = content.len().div_ceil(*fragments).max(1);
        let mut pieces: Vec<&[u8]> = content.chunks(step).collect();
        if pieces.is_empty() {
            pieces.push(&[]);
        }
        let last = pieces.len() - 1;
        for (at, piece) in pieces.iter().enumerate() {
            if *pings {
                bytes.extend_from_slice(b"\x89\x82\0\0\0\0hi");
            }
            let kind = if at > 0 {
                0
            } else if message.as_text().is_some() {
                1
            } else {
                2
            };
            bytes.push(kind | if at == last { 0x80 } else { 0 });
            match piece.len() {
                length @ 0..=125 => bytes.push(0x80 | length as u8),
                length @ 126..=65_535 => {
                    bytes.push(0x80 | 126);
                    bytes.extend((length as u16).to_be_bytes());
                }
                length => {
                    bytes.push(0x80 | 127);
                    bytes.extend((length as u64).to_be_bytes());
                }
            }
            let key = [at as u8, 2, 3, 4];
            bytes.extend(key);
            bytes.extend(piece.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key));
        }
    }
    bytes
}

async fn plain(exchange: &mut Exchange) -> web::Result<()> {
    let mut socket = exchange.websocket().await?;
    while let Some(message) = socket.receive().await? {
        socket.send(message).await?;
    }
    Ok(())
}

/// Gives way now and then, so that the driver reads ahead.
async fn hesitant(exchange: &mut Exchange) -> web::Result<()> {
    exchange.upgrade_websocket(&WebSocketOptions::new().max_queue(1000), async |mut socket: WebSocket| {
        let mut count = 0;
        while let Some(message) = socket.receive().await? {
            count += 1;
            if count % 2 == 0 {
                turns(2).await;
            }
            socket.send(message).await?;
        }
        Ok(())
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn an_echo_is_the_same_through_any_pieces(
        messages in conversation(),
        sizes in proptest::collection::vec(1..5000_usize, 1..8),
        capacity in prop_oneof![1..40_usize, Just(1000), Just(64 * 1024)],
        hesitates in any::<bool>(),
    ) {
        // Small capacities are for small conversations, or a test would take minutes.
        let total: usize = messages.iter().map(|(message, ..)| message.len()).sum();
        let capacity = capacity.max(total / 500 + 1);
        let application = Application::new();
        let application = if hesitates { application.get("/ws", hesitant) } else { application.get("/ws", plain) };
        let echoed = run(async {
            let server = Memory::new(application);
            let mut peer = server.connect(capacity);
            let mut bytes = frames(&messages);
            bytes.extend(b"\x88\x82\0\0\0\0\x03\xe8");
            let stream = peer.stream.clone();
            peer.upgrade("").await;
            let sizes = sizes.clone();
            let writing = web::spawn(async move {
                let (mut at, mut sizes) = (0, sizes.iter().cycle());
                while at < bytes.len() {
                    let end = bytes.len().min(at + sizes.next().unwrap());
                    if stream.write(&bytes[at..end]).await.is_err() {
                        return;
                    }
                    at = end;
                    turns(at % 3).await;
                }
            });
            let mut echoed = Vec::new();
            loop {
                match peer.event().await {
                    Some(Event::Message(message)) => echoed.push(message),
                    Some(Event::Pong(payload)) => assert_eq!(payload, "hi"),
                    Some(Event::Close(frame)) => {
                        assert_eq!(frame.unwrap().code.as_u16(), 1000);
                        break;
                    }
                    other => panic!("{other:?}"),
                }
            }
            writing.await.unwrap();
            echoed
        });
        let sent: Vec<_> = messages.into_iter().map(|(message, ..)| message).collect();
        prop_assert_eq!(echoed, sent);
    }
}
