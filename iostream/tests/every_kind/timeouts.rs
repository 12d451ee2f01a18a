//! What becomes of a stream whose peer stops.

use std::{rc::Rc, time::Duration};

use iostream::{Error, spawn, timeout};

use super::common::{
    kinds::{both_ways_over_every_kind, over_every_kind},
    pattern, turns,
};

/// More than any kind takes without a reader.
const LOTS: usize = 8 << 20;

/// Passes soon, as nothing moves meanwhile.
const SOON: Duration = Duration::from_millis(30);

#[test]
fn a_writer_is_told_that_its_reader_takes_nothing() {
    over_every_kind(async |_reader, writer| {
        writer.set_write_timeout(SOON);
        let behind = spawn({
            let writer = writer.clone();
            async move { writer.shutdown_write().await }
        });
        let error = writer.write(vec![0; LOTS]).await.unwrap_err();
        assert!(error.is_closed() && error.is_timed_out(), "{error:?}");
        assert!(writer.is_closed());
        behind.await.unwrap().unwrap_err();
    });
}

#[test]
fn a_stream_without_handles_is_given_up_when_its_reader_takes_nothing() {
    over_every_kind(async |reader, writer| {
        let guard = Rc::new(());
        writer.attach(guard.clone());
        writer.set_write_timeout(SOON);
        drop(writer.write(vec![0; LOTS]));
        drop(writer);
        assert_eq!(Rc::strong_count(&guard), 2, "it is there while bytes are queued");
        while Rc::strong_count(&guard) > 1 {
            turns(1).await;
        }
        // What had left before is read, and then the end or a break.
        reader.set_max_buffer_size(LOTS);
        while let Ok(read) = reader.read_some(LOTS).await {
            assert!(read.len() < LOTS);
        }
        assert!(reader.is_closed());
    });
}

#[test]
fn a_reader_that_goes_on_in_time_gets_everything() {
    let sent = pattern(LOTS);
    over_every_kind(async |reader, writer| {
        reader.set_max_buffer_size(LOTS);
        // Long against a turn of the loop, and every byte that leaves starts it afresh.
        writer.set_write_timeout(Duration::from_secs(20));
        drop(writer.write(&sent));
        drop(writer);
        turns(3).await;
        assert!(reader.read_until_close().await.unwrap() == sent);
    });
}

#[test]
fn a_read_that_is_given_up_in_time_leaves_what_had_come() {
    over_every_kind(async |reader, writer| {
        writer.write("half a li").await.unwrap();
        assert!(timeout(SOON, reader.read_until(b"\n")).await.is_err());
        writer.write("ne\n").await.unwrap();
        assert_eq!(reader.read_until(b"\n").await.unwrap(), "half a line\n");
    });
}

#[test]
fn a_peer_that_does_not_end_its_side_is_not_finished() {
    both_ways_over_every_kind(async |peer, stream| {
        peer.set_half_open(true);
        stream.set_write_timeout(SOON);
        drop(stream.write("bye"));
        let error = stream.finish().await.unwrap_err();
        assert!(matches!(error, Error::Closed { cause: Some(_) }) && error.is_timed_out(), "{error:?}");
        assert_eq!(peer.read_bytes(3).await.unwrap(), "bye");
    });
}
