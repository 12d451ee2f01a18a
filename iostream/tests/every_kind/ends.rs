//! What is left when the other end closes, and who is told of it.

use std::{cell::Cell, pin::pin, rc::Rc};

use iostream::{Error, IOStream, regex::bytes::Regex, spawn};

use super::common::{
    kinds::{both_ways_over_every_kind, over_every_kind},
    pattern, try_for_some_turns, turns,
};

/// Counts the calls of the stream's close callback.
fn closes(stream: &IOStream) -> Rc<Cell<u32>> {
    let count = Rc::new(Cell::new(0));
    stream.set_close_callback({
        let count = count.clone();
        move || count.set(count.get() + 1)
    });
    count
}

#[test]
fn what_was_sent_before_the_end_is_read_after_it() {
    over_every_kind(async |reader, writer| {
        let closes = closes(&reader);
        writer.write(&[b'A'; 512]).await.unwrap();
        assert_eq!(reader.read_bytes(256).await.unwrap(), [b'A'; 256][..]);
        writer.close();
        reader.closed().await;
        turns(2).await;
        assert_eq!(closes.get(), 1);
        assert_eq!(reader.read_bytes(256).await.unwrap(), [b'A'; 256][..]);
        assert!(matches!(reader.read_bytes(1).await, Err(Error::Closed { cause: None })));
    });
}

#[test]
fn what_waits_in_the_kernel_is_read_after_the_end() {
    over_every_kind(async |reader, writer| {
        // Smaller than what was sent: the stream cannot have taken all of it.
        reader.set_max_buffer_size(256);
        writer.write(&[b'A'; 512]).await.unwrap();
        assert_eq!(reader.read_bytes(200).await.unwrap(), [b'A'; 200][..]);
        writer.close();
        reader.peer_closed().await;
        turns(2).await;
        assert_eq!(reader.read_bytes(200).await.unwrap(), [b'A'; 200][..]);
        assert_eq!(reader.read_until_close().await.unwrap(), [b'A'; 112][..]);
        assert!(reader.is_closed());
    });
}

#[test]
fn bytes_that_nobody_reads_do_not_hide_the_end() {
    over_every_kind(async |reader, writer| {
        let closes = closes(&reader);
        writer.write("12").await.unwrap();
        assert_eq!(reader.read_bytes(1).await.unwrap(), "1");
        writer.close();
        reader.closed().await;
        assert_eq!(reader.read_bytes(1).await.unwrap(), "2");
        turns(2).await;
        assert_eq!(closes.get(), 1);
    });
}

#[test]
fn read_until_close_after_the_close_returns_the_rest() {
    over_every_kind(async |reader, writer| {
        writer.write("1234").await.unwrap();
        writer.close();
        assert_eq!(reader.read_bytes(1).await.unwrap(), "1");
        reader.closed().await;
        assert_eq!(reader.read_until_close().await.unwrap(), "234");
        assert_eq!(reader.read_until_close().await.unwrap(), "");
        assert!(try_for_some_turns(reader.read_bytes(1)).await.unwrap().unwrap_err().is_closed());
    });
}

#[test]
fn read_until_close_returns_everything() {
    let sent = pattern(700_000);
    over_every_kind(async |reader, writer| {
        drop(writer.write(&sent));
        // The last handle: what is queued is still sent.
        drop(writer);
        assert!(reader.read_until_close().await.unwrap() == sent);
        assert!(reader.is_closed());
    });
}

#[test]
fn chunks_come_until_the_end() {
    over_every_kind(async |reader, writer| {
        writer.write("1234").await.unwrap();
        assert_eq!(reader.read_some(100).await.unwrap(), "1234");
        writer.write("5678").await.unwrap();
        writer.close();
        assert_eq!(reader.read_some(100).await.unwrap(), "5678");
        assert!(matches!(reader.read_some(100).await, Err(Error::Closed { cause: None })));
    });
}

#[test]
fn an_idle_stream_notices_the_end() {
    over_every_kind(async |reader, writer| {
        let closes = closes(&reader);
        writer.write("a").await.unwrap();
        assert_eq!(reader.read_bytes(1).await.unwrap(), "a");
        turns(2).await;
        assert_eq!((closes.get(), reader.is_closed()), (0, false));
        writer.close();
        while closes.get() == 0 {
            turns(1).await;
        }
        assert!(reader.is_closed());
    });
}

#[test]
fn the_close_callback_is_called_although_a_read_is_pending() {
    over_every_kind(async |reader, writer| {
        let closes = closes(&reader);
        writer.write("OK\r\n").await.unwrap();
        assert_eq!(reader.read_until(b"\r\n").await.unwrap(), "OK\r\n");
        let mut reading = pin!(reader.read_until(b"\r\n"));
        assert!(try_for_some_turns(reading.as_mut()).await.is_none());
        writer.close();
        assert!(matches!(reading.await, Err(Error::Closed { cause: None })));
        turns(2).await;
        assert_eq!(closes.get(), 1);
    });
}

#[test]
fn a_read_that_the_end_cuts_off_fails_and_leaves_its_bytes() {
    let never = Regex::new("never").unwrap();
    over_every_kind(async |reader, writer| {
        let cut_off = |error: Error| assert!(matches!(error, Error::Closed { cause: None }), "{error:?}");
        let mut reading = pin!(reader.read_bytes(1 << 20));
        writer.write("not ").await.unwrap();
        assert!(try_for_some_turns(reading.as_mut()).await.is_none());
        writer.write("enough").await.unwrap();
        writer.close();
        cut_off(reading.await.unwrap_err());
        cut_off(reader.read_until(b"\n").max_bytes(1000).await.unwrap_err());
        cut_off(reader.read_until_regex(&never).max_bytes(1000).await.unwrap_err());
        cut_off(reader.read_into(&mut [0; 100]).await.unwrap_err());
        assert_eq!(reader.read_until_close().await.unwrap(), "not enough");
    });
}

/// However little it is beside what came before.
#[test]
fn a_match_in_the_last_bytes_is_found_although_the_end_comes_with_them() {
    let end = Regex::new("end").unwrap();
    for regex in [false, true] {
        over_every_kind(async |reader, writer| {
            let reading = spawn({
                let (reader, end) = (reader.clone(), end.clone());
                async move { if regex { reader.read_until_regex(&end).await } else { reader.read_until(b"end").await } }
            });
            writer.write(&[b'x'; 200]).await.unwrap();
            turns(2).await;
            writer.write("end").await.unwrap();
            writer.close();
            assert_eq!(reading.await.unwrap().unwrap().len(), 203);
        });
    }
}

#[test]
fn closing_ends_the_read_that_waits_and_calls_back_once() {
    over_every_kind(async |reader, _writer| {
        let closes = closes(&reader);
        let mut reading = pin!(reader.read_bytes(1));
        assert!(try_for_some_turns(reading.as_mut()).await.is_none());
        reader.close();
        reader.close();
        assert!(matches!(reading.await, Err(Error::Closed { cause: None })));
        turns(2).await;
        assert_eq!(closes.get(), 1);
    });
}

#[test]
fn a_writer_notices_that_its_reader_has_gone() {
    over_every_kind(async |reader, writer| {
        let closes = closes(&writer);
        turns(2).await;
        assert!(!writer.is_peer_closed());
        reader.close();
        writer.peer_closed().await;
        writer.closed().await;
        turns(2).await;
        assert_eq!(closes.get(), 1);
    });
}

#[test]
fn who_has_ended_its_side_is_answered() {
    both_ways_over_every_kind(async |server, client| {
        server.set_half_open(true);
        client.write("question").await.unwrap();
        client.shutdown_write().await.unwrap();
        assert_eq!(server.read_until_close().await.unwrap(), "question");
        assert!(!server.is_closed());
        server.write("answer").await.unwrap();
        server.shutdown_write().await.unwrap();
        assert_eq!(client.read_until_close().await.unwrap(), "answer");
    });
}

#[test]
fn a_half_open_stream_closes_when_both_sides_have_ended() {
    // The peer ends first.
    both_ways_over_every_kind(async |ours, theirs| {
        ours.set_half_open(true);
        theirs.shutdown_write().await.unwrap();
        assert_eq!(ours.read_until_close().await.unwrap(), "");
        let closes = closes(&ours);
        turns(2).await;
        assert_eq!(closes.get(), 0);
        ours.shutdown_write().await.unwrap();
        ours.closed().await;
        turns(2).await;
        assert_eq!(closes.get(), 1);
    });
    // We end first.
    both_ways_over_every_kind(async |ours, theirs| {
        ours.set_half_open(true);
        ours.shutdown_write().await.unwrap();
        let closed = spawn(ours.closed());
        turns(2).await;
        assert!(!closed.is_finished());
        theirs.shutdown_write().await.unwrap();
        closed.await.unwrap();
    });
}

#[test]
fn a_wait_for_the_close_ends_although_something_else_closes_the_stream_by_now() {
    for half_open in [false, true] {
        both_ways_over_every_kind(async |ours, theirs| {
            ours.set_half_open(true);
            let (closes, closed) = (closes(&ours), spawn(ours.closed()));
            turns(2).await;
            match half_open {
                false => ours.set_half_open(false),
                true => ours.shutdown_write().await.unwrap(),
            }
            turns(2).await;
            assert!(!closed.is_finished());
            theirs.shutdown_write().await.unwrap();
            closed.await.unwrap();
            turns(2).await;
            assert_eq!(closes.get(), 1);
        });
    }
}
