use std::{
    cell::RefCell,
    future::{Future, poll_fn},
    pin::pin,
    rc::Rc,
    task::Poll,
    time::Duration,
};

use web::{
    Application, Error, Exchange, spawn,
    websocket::{CloseCode, SlowReader, WebSocketOptions, WebSocketSender, codec::Event},
};

use crate::support::{Memory, Peer, run, run_virtual, turns, until};

/// A socket whose peer reads nothing yet, with room for 1000 bytes on their way.
async fn stuck(options: WebSocketOptions) -> (Memory, Peer, WebSocketSender) {
    let kept: Rc<RefCell<Option<WebSocketSender>>> = Rc::default();
    let shared = Rc::clone(&kept);
    let server = Memory::new(Application::new().get("/ws", async move |exchange: &mut Exchange| {
        let mut socket = exchange.websocket_with(&options).await?;
        *shared.borrow_mut() = Some(socket.sender());
        while socket.receive().await?.is_some() {}
        Ok(())
    }));
    let mut peer = server.connect(1000);
    peer.upgrade("").await;
    until(|| kept.borrow().is_some()).await;
    let sender = kept.take().unwrap();
    (server, peer, sender)
}

fn number(number: usize) -> String {
    format!("{number:0>100}")
}

/// The numbers of the messages that come, until the close frame.
async fn numbers(peer: &mut Peer) -> Vec<usize> {
    let mut numbers = Vec::new();
    while let Some(Event::Message(message)) = peer.event().await {
        numbers.push(message.as_text().unwrap().parse().unwrap());
    }
    numbers
}

#[test]
fn by_default_send_waits_and_nothing_is_lost() {
    run(async {
        let (_server, mut peer, sender) = stuck(WebSocketOptions::new().max_queue(2000)).await;
        let task = spawn({
            let sender = sender.clone();
            async move {
                for count in 0..1000 {
                    sender.send(number(count)).await.unwrap();
                }
                sender.close(1000, "").unwrap();
            }
        });
        turns(50).await;
        assert!(!task.is_finished());
        // One message may go beyond.
        assert!((2000..2000 + 104).contains(&sender.queued()), "{}", sender.queued());
        assert_eq!(numbers(&mut peer).await, (0..1000).collect::<Vec<_>>());
        task.await.unwrap();
    });
}

#[test]
fn several_senders_wait_at_once() {
    run(async {
        let (_server, mut peer, sender) = stuck(WebSocketOptions::new().max_queue(500)).await;
        let tasks: Vec<_> = (0..5)
            .map(|_| {
                let sender = sender.clone();
                spawn(async move {
                    for count in 0..100 {
                        sender.send(number(count)).await.unwrap();
                    }
                })
            })
            .collect();
        for _ in 0..500 {
            peer.message().await;
        }
        for task in tasks {
            task.await.unwrap();
        }
    });
}

#[test]
fn a_sender_that_waits_hears_of_the_end() {
    run(async {
        for closes in [true, false] {
            let (_server, mut peer, sender) = stuck(WebSocketOptions::new().max_queue(500)).await;
            let task = spawn(async move {
                loop {
                    if let Err(error) = sender.send(number(1)).await {
                        return error;
                    }
                }
            });
            turns(20).await;
            if closes {
                peer.close(1000, "").await;
                numbers(&mut peer).await;
            } else {
                peer.stream.close();
            }
            assert!(matches!(task.await.unwrap(), Error::WebSocketClosed));
        }
    });
}

#[test]
fn a_send_that_is_dropped_while_it_waits_has_sent_nothing() {
    run(async {
        let (_server, mut peer, sender) = stuck(WebSocketOptions::new().max_queue(500)).await;
        let mut sent = 0;
        loop {
            let mut send = pin!(sender.send(number(sent)));
            match poll_fn(|cx| Poll::Ready(send.as_mut().poll(cx))).await {
                Poll::Ready(result) => result.unwrap(),
                Poll::Pending => break,
            }
            sent += 1;
        }
        sender.close(1000, "").unwrap();
        assert_eq!(numbers(&mut peer).await, (0..sent).collect::<Vec<_>>());
    });
}

#[test]
fn the_oldest_are_dropped_if_that_is_the_policy() {
    run(async {
        let options = WebSocketOptions::new().max_queue(2000).slow_reader(SlowReader::DropOldest);
        let (_server, mut peer, sender) = stuck(options).await;
        for count in 0..1000 {
            sender.send(number(count)).await.unwrap();
        }
        assert!(sender.queued() < 3200, "{}", sender.queued());
        sender.close(1000, "").unwrap();
        let numbers = numbers(&mut peer).await;
        // The first had left, the latest are there, in order, and one gap is between them.
        assert_eq!((numbers[0], *numbers.last().unwrap()), (0, 999));
        let gaps = numbers.windows(2).filter(|pair| pair[1] != pair[0] + 1).count();
        assert!(numbers.is_sorted() && gaps == 1 && (20..40).contains(&numbers.len()), "{numbers:?}");
    });
}

#[test]
fn messages_with_the_same_key_take_each_others_place() {
    run(async {
        let options = WebSocketOptions::new().slow_reader(SlowReader::Coalesce);
        let (_server, mut peer, sender) = stuck(options).await;
        for _ in 0..20 {
            sender.send(number(7)).await.unwrap();
        }
        for count in 0..1000 {
            sender.send_keyed(count % 3, number(1000 + count as usize)).await.unwrap();
        }
        sender.send(number(8)).await.unwrap();
        sender.close(1000, "").unwrap();
        let mut numbers = numbers(&mut peer).await;
        numbers.retain(|number| *number != 7);
        // Without a key they share one, and its place was before the others.
        assert_eq!(numbers, [8, 1000 + 999, 1000 + 997, 1000 + 998]);
    });
}

#[test]
fn too_many_keys_drop_the_oldest() {
    run(async {
        let options = WebSocketOptions::new().max_queue(2000).slow_reader(SlowReader::Coalesce);
        let (_server, mut peer, sender) = stuck(options).await;
        for count in 0..1000 {
            sender.send_keyed(count, number(count as usize)).await.unwrap();
        }
        assert!(sender.queued() < 3200);
        sender.close(1000, "").unwrap();
        assert_eq!(numbers(&mut peer).await.last(), Some(&999));
    });
}

#[test]
fn a_slow_reader_is_disconnected_if_that_is_the_policy() {
    run_virtual(async |clock| {
        let options = WebSocketOptions::new().max_queue(2000).slow_reader(SlowReader::Disconnect);
        for reads in [true, false] {
            let (server, mut peer, sender) = stuck(options.clone()).await;
            let mut count = 0;
            while sender.send(number(count)).await.is_ok() {
                count += 1;
            }
            assert!((28..=30).contains(&count), "{count}");
            assert!(!sender.is_open());
            assert_eq!(sender.close_code(), Some(CloseCode::POLICY_VIOLATION));
            if reads {
                // What was queued comes, and then why there is no more.
                for expected in 0..count {
                    assert_eq!(peer.message().await.as_text(), Some(number(expected).as_str()));
                }
                peer.expect_close(1008).await;
                peer.stream.close();
            } else {
                clock.advance(Duration::from_secs(5)).await;
            }
            until(|| server.handle.connections() == 0).await;
        }
    });
}

#[test]
fn pings_do_not_fill_the_memory_of_a_server_whose_peer_does_not_read() {
    run(async {
        let (_server, mut peer, sender) = stuck(WebSocketOptions::new().max_queue(2000)).await;
        let ping = peer.encoder.ping(&[7; 125]).unwrap();
        for _ in 0..10_000 {
            peer.raw(&ping).await;
        }
        turns(10).await;
        assert!(sender.queued() < 3000, "{}", sender.queued());
        // It hears the rest.
        let Some(Event::Pong(_)) = peer.event().await else { panic!("a pong") };
    });
}

#[test]
fn a_message_that_has_been_queued_is_sent_when_its_future_says_so() {
    run(async {
        let options = WebSocketOptions::new().max_queue(4 * 1024 * 1024).slow_reader(SlowReader::DropOldest);
        let (_server, _peer, sender) = stuck(options).await;
        // Enough in one turn for others to have theirs.
        let large = vec![0; 1024 * 1024 + 1];
        sender.send(large.clone()).await.unwrap();
        let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
        for _ in 0..3 {
            let queued = sender.queued();
            let is_ready = pin!(sender.send("next")).as_mut().poll(&mut cx).is_ready();
            assert_eq!(is_ready, sender.queued() > queued);
        }
    });
}

#[test]
fn what_was_sent_in_earlier_turns_holds_no_sender_up() {
    run(async {
        let options = WebSocketOptions::new().max_queue(16 * 1024 * 1024).slow_reader(SlowReader::Disconnect);
        let (_server, _peer, sender) = stuck(options).await;
        let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
        for count in 0..80 {
            assert!(pin!(sender.send(vec![0; 100_000])).as_mut().poll(&mut cx).is_ready(), "{count}");
            turns(1).await;
        }
    });
}
