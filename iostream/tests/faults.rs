//! Things that go wrong on a wire, at every moment at which they can.

mod common;

use std::{
    fs::File,
    future::poll_fn,
    io::{ErrorKind, Read, Write},
    net::{Shutdown, TcpStream},
    time::Duration,
};

use common::{pair, pattern, run, sockets, try_for_some_turns, turns};
use iostream::{Error, IOLoop, IOStream, ioloop::VirtualClock, memory, spawn, timeout};
use socket2::SockRef;

/// More than the kernel's buffers of a connection take.
const LOTS: usize = 16 << 20;

/// Breaks the connection, whatever it is doing (RST).
fn reset(peer: TcpStream) {
    SockRef::from(&peer).set_linger(Some(Duration::ZERO)).unwrap();
}

/// The stream learns of the break, everything that comes after fails, and the cause is named.
async fn is_broken(stream: &IOStream, state: &str) {
    stream.closed().await;
    assert!(stream.is_reset() && stream.is_peer_closed(), "{state}");
    for error in [
        stream.read_bytes(1).await.unwrap_err(),
        stream.read_until_close().await.unwrap_err(),
        stream.write("x").await.unwrap_err(),
        stream.shutdown_write().await.unwrap_err(),
    ] {
        let Error::Closed { cause: Some(cause) } = &error else { panic!("{state}: {error:?}") };
        assert!(matches!(cause.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe), "{state}: {error}");
    }
}

#[test]
fn a_reset_of_an_idle_stream_is_noticed_by_those_who_watch_it() {
    for watched_before in [true, false] {
        let (stream, peer) = pair();
        run(async {
            let watch = spawn(stream.closed());
            if watched_before {
                turns(2).await;
            }
            reset(peer);
            watch.await.unwrap();
            is_broken(&stream, "idle").await;
        });
    }
}

#[test]
fn a_reset_ends_every_kind_of_read() {
    for (how, n) in [("until", 0), ("bytes", 100), ("bytes", 300_000), ("some", 1), ("close", 0)] {
        for sent in ["", "half a message"] {
            // Some read what has come.
            if how == "some" && !sent.is_empty() {
                continue;
            }
            let (stream, mut peer) = pair();
            run(async {
                let reader = spawn({
                    let stream = stream.clone();
                    async move {
                        match how {
                            "until" => stream.read_until(b"\n").await,
                            "bytes" => stream.read_bytes(n).await,
                            "some" => stream.read_some(n).await,
                            _ => stream.read_until_close().await,
                        }
                    }
                });
                peer.write_all(sent.as_bytes()).unwrap();
                turns(2).await;
                reset(peer);
                let error = reader.await.unwrap().unwrap_err();
                assert!(matches!(error, Error::Closed { cause: Some(_) }), "{how}: {error:?}");
                // What came before stays.
                assert_eq!(stream.buffered(), sent.len(), "{how}");
                assert_eq!(stream.read_bytes(sent.len()).await.unwrap(), sent);
                is_broken(&stream, how).await;
            });
        }
    }
}

#[test]
fn a_reset_ends_every_kind_of_write() {
    for how in ["write", "polled", "file", "flush", "shutdown", "finish"] {
        let (stream, peer) = pair();
        run(async {
            drop(stream.write(vec![7; LOTS]));
            let writer = spawn({
                let stream = stream.clone();
                async move {
                    match how {
                        "write" => stream.write("behind").await,
                        "polled" => poll_fn(|cx| stream.poll_write(cx, b"behind")).await.map(drop),
                        "file" => stream.send_file(File::open("/proc/self/exe").unwrap(), 0..100).await,
                        "flush" => stream.flush().await,
                        "shutdown" => stream.shutdown_write().await,
                        _ => stream.finish().await,
                    }
                }
            });
            turns(2).await;
            assert!(!writer.is_finished(), "{how}");
            reset(peer);
            let error = writer.await.unwrap().unwrap_err();
            assert!(matches!(error, Error::Closed { cause: Some(_) }), "{how}: {error:?}");
            is_broken(&stream, how).await;
            assert_eq!(stream.pending_write(), 0);
        });
    }
}

#[test]
fn a_reset_after_our_end_or_the_peers_closes_the_stream() {
    let (stream, peer) = pair();
    run(async {
        stream.shutdown_write().await.unwrap();
        reset(peer);
        stream.closed().await;
        assert!(matches!(stream.read_some(1).await, Err(Error::Closed { cause: Some(_) })));
    });
    let (stream, peer) = pair();
    stream.set_half_open(true);
    run(async {
        peer.shutdown(Shutdown::Write).unwrap();
        assert_eq!(stream.read_until_close().await.unwrap(), "");
        let writer = spawn(stream.write(vec![7; LOTS]));
        turns(2).await;
        reset(peer);
        assert!(matches!(writer.await.unwrap(), Err(Error::Closed { cause: Some(_) })));
        assert!(stream.is_closed());
    });
}

#[test]
fn a_reset_behind_data_in_one_edge_is_seen() {
    let (ours, mut peer) = sockets();
    peer.write_all(b"data").unwrap();
    reset(peer);
    // The kernel has thrown the data away, as TCP says, or gives it first.
    match IOStream::from_accepted(ours) {
        Ok(stream) => run(async {
            match stream.read_bytes(4).await {
                Ok(data) => assert_eq!(data, "data"),
                Err(error) => assert!(matches!(error, Error::Closed { cause: Some(_) }), "{error:?}"),
            }
            stream.closed().await;
        }),
        Err(error) => assert!(error.is_closed(), "{error:?}"),
    }
}

#[test]
fn readiness_that_has_gone_by_the_time_of_the_read_is_waited_for_again() {
    let (ours, mut peer) = sockets();
    let mut thief = ours.try_clone().unwrap();
    let stream = IOStream::from_tcp(ours).unwrap();
    run(async {
        let reader = spawn({
            let stream = stream.clone();
            async move { stream.read_until(b"\n").await }
        });
        for _ in 0..3 {
            peer.write_all(b"stolen").unwrap();
            // Before the loop has a look.
            while thief.read(&mut [0; 6]).is_err_and(|error| error.kind() == ErrorKind::WouldBlock) {}
            turns(2).await;
            assert!(!reader.is_finished());
        }
        peer.write_all(b"line\n").unwrap();
        assert_eq!(reader.await.unwrap().unwrap(), "line\n");
    });
}

#[test]
fn room_that_has_gone_by_the_time_of_the_write_is_waited_for_again() {
    let (ours, mut peer) = sockets();
    let mut rival = ours.try_clone().unwrap();
    let stream = IOStream::from_tcp(ours).unwrap();
    let sent = vec![7; LOTS];
    run(async {
        let write = spawn(stream.write(sent));
        turns(2).await;
        let reader = std::thread::spawn(move || {
            let mut received = Vec::new();
            peer.read_to_end(&mut received).unwrap();
            received
        });
        // It takes what room there is, whenever there is some.
        let mut rivals = 0;
        while !write.is_finished() {
            rivals += rival.write(&[8; 10_000]).unwrap_or(0);
            iostream::yield_now().await;
        }
        write.await.unwrap().unwrap();
        stream.close();
        rival.shutdown(Shutdown::Write).unwrap();
        let received = reader.join().unwrap();
        assert_eq!(received.iter().filter(|&&byte| byte == 7).count(), LOTS);
        assert_eq!(received.len(), LOTS + rivals);
    });
}

#[test]
fn a_peer_that_stops_in_mid_message_costs_a_time_out_and_no_bytes() {
    common::choose_poller();
    let clock = VirtualClock::auto_advancing();
    let ioloop = IOLoop::builder().virtual_clock(&clock).build().unwrap();
    ioloop.run_sync(async {
        let (stream, peer) = memory::pair(1000);
        let minute = Duration::from_secs(60);
        peer.write("half a message").await.unwrap();
        for _ in 0..3 {
            assert!(timeout(minute, stream.read_bytes(20)).await.is_err());
            assert!(timeout(minute, stream.read_until(b"\n")).await.is_err());
            assert!(timeout(minute, stream.read_bytes(200_000)).await.is_err());
            assert!(timeout(minute, stream.read_into(&mut [0; 20])).await.is_err());
        }
        peer.write(", and the rest\n").await.unwrap();
        assert_eq!(stream.read_until(b"\n").await.unwrap(), "half a message, and the rest\n");
        assert_eq!(clock.elapsed(), 12 * minute);
    });
}

#[test]
fn a_peer_that_stops_in_mid_transfer_and_goes_on_gets_everything() {
    let (stream, mut peer) = pair();
    let sent = pattern(LOTS);
    run(async {
        let write = spawn(stream.write(sent.clone()));
        let mut received = vec![0; LOTS];
        for part in received.chunks_mut(LOTS / 16) {
            // Nothing is read for a while, and the writer can do nothing about it.
            let _ = try_for_some_turns(std::future::pending::<()>()).await;
            peer.set_nonblocking(true).unwrap();
            let mut filled = 0;
            while filled < part.len() {
                match peer.read(&mut part[filled..]) {
                    Ok(count) => filled += count,
                    Err(_) => iostream::yield_now().await,
                }
            }
        }
        write.await.unwrap().unwrap();
        assert!(received == sent);
    });
}

#[test]
fn an_urgent_byte_does_not_end_a_large_read() {
    use std::os::fd::AsRawFd;

    use nix::sys::socket::{MsgFlags, send};

    let (stream, mut peer) = pair();
    let sent = pattern(300_000);
    let expected = sent.clone();
    let writer = std::thread::spawn(move || {
        for part in sent.chunks(100_000) {
            peer.write_all(part).unwrap();
            // A later one would turn an earlier one into data.
            if part.as_ptr() == sent.as_ptr() {
                send(peer.as_raw_fd(), b"!", MsgFlags::MSG_OOB).unwrap();
            }
        }
        peer
    });
    assert!(run(stream.read_bytes(300_000)).unwrap() == expected);
    drop(writer.join().unwrap());
}
