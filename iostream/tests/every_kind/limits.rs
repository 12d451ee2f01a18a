//! What happens at the limits of reads and of buffers.

use std::{cell::Cell, rc::Rc};

use bytes::Bytes;
use iostream::{Error, IOStream, regex::bytes::Regex, spawn};

use super::common::{kinds::over_every_kind, turns};

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

/// The two ways to look for "def".
#[derive(Clone, Copy)]
enum Search {
    Delimiter,
    Regex,
}

impl Search {
    async fn read(self, stream: &IOStream, limit: usize) -> iostream::Result<Bytes> {
        match self {
            Search::Delimiter => stream.read_until(b"def").max_bytes(limit).await,
            Search::Regex => stream.read_until_regex(&Regex::new("def").unwrap()).max_bytes(limit).await,
        }
    }
}

/// Runs `test` over every kind for each search, once when the bytes are there before the read and once when they come
/// later. It is given what the read returns, and the stream that was read.
fn search(sent: &'static str, limit: usize, test: impl Fn(iostream::Result<Bytes>, &IOStream)) {
    for search in [Search::Delimiter, Search::Regex] {
        over_every_kind(async |reader, writer| {
            writer.write(sent).await.unwrap();
            turns(2).await;
            test(search.read(&reader, limit).await, &reader);
        });
        over_every_kind(async |reader, writer| {
            let reading = spawn({
                let reader = reader.clone();
                async move { search.read(&reader, limit).await }
            });
            turns(2).await;
            writer.write(sent).await.unwrap();
            test(reading.await.unwrap(), &reader);
        });
    }
}

#[test]
fn a_match_within_the_limit_is_found() {
    for limit in [50, 6] {
        search("abcdef", limit, |result, reader| {
            assert_eq!(result.unwrap(), "abcdef");
            assert!(!reader.is_closed());
        });
    }
}

#[test]
fn without_a_match_within_the_limit_the_stream_closes() {
    search("123456", 5, |result, reader| {
        assert!(matches!(result, Err(Error::Unsatisfiable { limit: 5 })), "{result:?}");
        assert!(reader.is_closed());
    });
}

/// Although the match came in the same packet.
#[test]
fn a_match_that_ends_beyond_the_limit_does_not_count() {
    search("abcdef", 5, |result, reader| {
        assert!(matches!(result, Err(Error::Unsatisfiable { limit: 5 })), "{result:?}");
        assert!(reader.is_closed());
    });
}

#[test]
fn a_read_that_met_its_limit_is_followed_by_the_close_callback() {
    over_every_kind(async |reader, writer| {
        let closed = Rc::new(Cell::new(0));
        reader.set_close_callback({
            let closed = closed.clone();
            move || closed.set(closed.get() + 1)
        });
        writer.write("123456").await.unwrap();
        reader.read_until(b"def").max_bytes(5).await.unwrap_err();
        turns(2).await;
        assert_eq!(closed.get(), 1);
        // What was received is not lost.
        assert_eq!(reader.read_until_close().await.unwrap(), "123456");
    });
}

#[test]
fn read_until_close_stops_at_its_limit() {
    over_every_kind(async |reader, writer| {
        drop(writer.write(&[b'x'; 101]));
        let result = reader.read_until_close().max_bytes(100).await;
        assert!(matches!(result, Err(Error::Unsatisfiable { limit: 100 })), "{result:?}");
        assert!(reader.is_closed());
    });
}

#[test]
fn a_message_longer_than_the_buffer_closes_the_stream() {
    over_every_kind(async |reader, writer| {
        reader.set_max_buffer_size(1000);
        drop(writer.write(&[b'x'; 2000]));
        assert!(matches!(reader.read_until(b"\n").await, Err(Error::BufferFull { limit: 1000 })));
        assert!(reader.is_closed());
    });
}

#[test]
fn small_reads_do_not_fill_the_buffer_with_what_waits() {
    over_every_kind(async |reader, writer| {
        reader.set_max_buffer_size(10 * KIB);
        drop(writer.write(&[b'a'; 100 * KIB]));
        for _ in 0..100 {
            assert!(reader.read_bytes(KIB).await.unwrap() == [b'a'; KIB][..]);
            assert!(reader.buffered() <= 10 * KIB);
        }
    });
}

#[test]
fn small_lines_are_read_from_more_than_the_buffer_holds() {
    let line = [&[b'a'; KIB - 1][..], b"\n"].concat();
    over_every_kind(async |reader, writer| {
        reader.set_max_buffer_size(10 * KIB);
        drop(writer.write(line.repeat(100)));
        for _ in 0..100 {
            assert!(reader.read_until(b"\n").max_bytes(4096).await.unwrap() == line);
            assert!(reader.buffered() <= 10 * KIB);
        }
    });
}

#[test]
fn a_slow_reader_slows_its_writer_down() {
    over_every_kind(async |reader, writer| {
        reader.set_max_buffer_size(5 * MIB);
        let writing = spawn(writer.write(vec![7; 10 * MIB]));
        assert_eq!(reader.read_bytes(MIB).await.unwrap().len(), MIB);
        // It asks for nothing meanwhile.
        let buffered = reader.buffered();
        turns(10).await;
        assert_eq!(reader.buffered(), buffered);
        for _ in 0..9 {
            assert_eq!(reader.read_bytes(MIB).await.unwrap().len(), MIB);
        }
        writing.await.unwrap().unwrap();
        assert_eq!(writer.pending_write(), 0);
    });
}
