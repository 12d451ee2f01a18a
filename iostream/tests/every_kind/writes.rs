//! What is written arrives, in order, and its writers are told.

use std::{cell::RefCell, pin::pin, rc::Rc};

use bytes::{Bytes, BytesMut};
use iostream::{Error, spawn};

use super::common::{
    kinds::{both_ways_over_every_kind, over_every_kind},
    pattern, try_for_some_turns,
};

/// More than any kind takes without a reader.
const LOTS: usize = 8 << 20;

#[test]
fn everything_that_can_be_written_arrives() {
    over_every_kind(async |reader, writer| {
        writer.write("str ").await.unwrap();
        writer.write(String::from("String ")).await.unwrap();
        writer.write(b"array ").await.unwrap();
        writer.write(&b"slice "[..]).await.unwrap();
        writer.write(b"Vec ".to_vec()).await.unwrap();
        writer.write(Bytes::from_static(b"Bytes ")).await.unwrap();
        writer.write(BytesMut::from("BytesMut ")).await.unwrap();
        writer.queue("queued ").unwrap();
        writer.write_parts(b"head ", Bytes::from_static(b"body")).await.unwrap();
        drop(writer);
        let received = reader.read_until_close().await.unwrap();
        assert_eq!(received, "str String array slice Vec Bytes BytesMut queued head body");
    });
}

#[test]
fn an_empty_write_completes_behind_those_before_it() {
    over_every_kind(async |reader, writer| {
        writer.write("").await.unwrap();
        reader.set_max_buffer_size(LOTS);
        drop(writer.write(vec![0; LOTS]));
        let mut empty = writer.write("");
        assert!(try_for_some_turns(&mut empty).await.is_none());
        let reading = spawn(async move { reader.read_bytes(LOTS).await });
        empty.await.unwrap();
        assert_eq!(writer.pending_write(), 0);
        assert_eq!(reading.await.unwrap().unwrap().len(), LOTS);
    });
}

#[test]
fn a_mebibyte_written_at_once_arrives() {
    let sent = pattern(1 << 20);
    over_every_kind(async |reader, writer| {
        drop(writer.write(&sent));
        assert!(reader.read_bytes(1 << 20).await.unwrap() == sent);
    });
}

#[test]
fn writes_complete_in_their_order() {
    let sent = pattern(1 << 20);
    over_every_kind(async |reader, writer| {
        let order = Rc::new(RefCell::new(Vec::new()));
        let writers: Vec<_> = (0..8)
            .map(|i| {
                let (write, order) = (writer.write(&sent[i << 17..(i + 1) << 17]), order.clone());
                spawn(async move {
                    write.await.unwrap();
                    order.borrow_mut().push(i);
                })
            })
            .collect();
        assert!(reader.read_bytes(1 << 20).await.unwrap() == sent);
        for writer in writers {
            writer.await.unwrap();
        }
        assert_eq!(*order.borrow(), [0, 1, 2, 3, 4, 5, 6, 7]);
    });
}

#[test]
fn each_of_many_writers_is_told_when_its_bytes_have_left() {
    const WRITERS: usize = 10;
    const WRITES: usize = 100;
    const SIZE: usize = 5000;
    over_every_kind(async |reader, writer| {
        let writers: Vec<_> = (0..WRITERS)
            .map(|_| {
                let writer = writer.clone();
                spawn(async move {
                    for _ in 0..WRITES {
                        writer.write(&[b'x'; SIZE]).await.unwrap();
                    }
                })
            })
            .collect();
        for _ in 0..WRITERS * WRITES {
            assert!(reader.read_bytes(SIZE).await.unwrap() == [b'x'; SIZE][..]);
        }
        for writer in writers {
            writer.await.unwrap();
        }
    });
}

#[test]
fn a_write_over_the_limit_is_refused_whole_and_harms_nothing() {
    over_every_kind(async |reader, writer| {
        writer.set_max_write_buffer_size(100);
        assert!(matches!(writer.write(&[0; 101]).await, Err(Error::WriteBufferFull { limit: 100 })));
        writer.write("fits").await.unwrap();
        assert_eq!(reader.read_bytes(4).await.unwrap(), "fits");
        assert!(!writer.is_closed());
    });
}

#[test]
fn closing_fails_the_writes_that_wait_and_those_that_come_later() {
    over_every_kind(async |_reader, writer| {
        let mut waiting = writer.write(vec![0; LOTS]);
        assert!(try_for_some_turns(&mut waiting).await.is_none());
        writer.close();
        assert!(matches!(waiting.await, Err(Error::Closed { cause: None })));
        assert!(matches!(writer.write("x").await, Err(Error::Closed { cause: None })));
        assert_eq!(writer.pending_write(), 0);
    });
}

#[test]
fn a_waiting_write_fails_when_its_reader_goes() {
    over_every_kind(async |reader, writer| {
        let mut waiting = writer.write(vec![0; LOTS]);
        assert!(try_for_some_turns(&mut waiting).await.is_none());
        reader.close();
        let error = waiting.await.unwrap_err();
        assert!(matches!(error, Error::Closed { cause: Some(_) }), "{error:?}");
        assert!(writer.is_closed());
    });
}

#[test]
fn writing_to_a_reader_that_has_gone_fails_in_the_end() {
    over_every_kind(async |reader, writer| {
        drop(reader);
        while writer.write("anybody there?").await.is_ok() {
            iostream::yield_now().await;
        }
        assert!(writer.is_closed());
    });
}

#[test]
fn reading_and_writing_do_not_wait_for_each_other() {
    let sent = pattern(LOTS);
    both_ways_over_every_kind(async |ours, theirs| {
        let echo = spawn(async move {
            while let Ok(bytes) = theirs.read_some(64 * 1024).await {
                theirs.write(bytes).await.unwrap();
            }
        });
        ours.set_max_buffer_size(LOTS);
        let mut writing = pin!(ours.write(&sent));
        assert!(try_for_some_turns(writing.as_mut()).await.is_none());
        assert!(ours.read_bytes(LOTS).await.unwrap() == sent);
        writing.await.unwrap();
        drop(ours.shutdown_write().await);
        echo.await.unwrap();
    });
}
