//! What reads return, and what they leave.

use std::pin::pin;

use iostream::{Error, regex::bytes::Regex, spawn};

use super::common::{kinds::over_every_kind, pattern, try_for_some_turns, turns};

#[test]
fn a_message_is_read_in_pieces_of_the_readers_choice() {
    over_every_kind(async |reader, writer| {
        writer.write("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nHello").await.unwrap();
        assert_eq!(reader.read_bytes(9).await.unwrap(), "HTTP/1.1 ");
        assert_eq!(reader.read_bytes(0).await.unwrap(), "");
        assert_eq!(reader.read_bytes(3).await.unwrap(), "200");
        assert_eq!(reader.read_until(b"\r\n").await.unwrap(), " OK\r\n");
        assert_eq!(reader.read_until(b"\r\n\r\n").await.unwrap(), "Content-Length: 5\r\n\r\n");
        assert_eq!(reader.read_bytes(5).await.unwrap(), "Hello");
        assert_eq!(reader.buffered(), 0);
    });
}

#[test]
fn zero_bytes_are_read_at_once() {
    over_every_kind(async |reader, _writer| {
        assert_eq!(reader.read_bytes(0).await.unwrap(), "");
        assert_eq!(reader.read_some(0).await.unwrap(), "");
        assert_eq!(reader.read_into(&mut []).await.unwrap(), 0);
        assert_eq!(reader.read_into(&mut []).partial().await.unwrap(), 0);
        assert_eq!(reader.read_until(b"").await.unwrap(), "");
    });
}

#[test]
fn read_some_returns_what_has_come_and_never_more_than_asked_for() {
    over_every_kind(async |reader, writer| {
        let mut reading = pin!(reader.read_some(50));
        assert!(try_for_some_turns(reading.as_mut()).await.is_none());
        writer.write("hello").await.unwrap();
        assert_eq!(reading.await.unwrap(), "hello");
        writer.write("world").await.unwrap();
        assert_eq!(reader.read_some(3).await.unwrap(), "wor");
        // The rest waits in the buffer, and is returned without waiting for more.
        assert_eq!(try_for_some_turns(reader.read_some(50)).await.unwrap().unwrap(), "ld");
    });
}

#[test]
fn what_a_line_left_behind_is_returned_first() {
    over_every_kind(async |reader, writer| {
        writer.write("abcd\r\nefgh").await.unwrap();
        assert_eq!(reader.read_until(b"\r\n").await.unwrap(), "abcd\r\n");
        assert_eq!(reader.read_some(100).await.unwrap(), "efgh");
    });
}

#[test]
fn a_delimiter_that_comes_byte_by_byte_is_found() {
    over_every_kind(async |reader, writer| {
        let reading = spawn(async move { reader.read_until(b"<end>").await });
        for byte in b"some <e<en<end<end>" {
            writer.write(&[*byte]).await.unwrap();
            turns(2).await;
        }
        assert_eq!(reading.await.unwrap().unwrap(), "some <e<en<end<end>");
    });
}

#[test]
fn a_match_of_a_regex_ends_the_read_and_the_rest_is_left() {
    let number = Regex::new("[0-9]+;").unwrap();
    over_every_kind(async |reader, writer| {
        let mut reading = pin!(reader.read_until_regex(&number));
        writer.write("x 12").await.unwrap();
        assert!(try_for_some_turns(reading.as_mut()).await.is_none());
        writer.write("3; y 4;").await.unwrap();
        assert_eq!(reading.await.unwrap(), "x 123;");
        assert_eq!(reader.read_until_regex(&number).await.unwrap(), " y 4;");
    });
}

#[test]
fn read_into_fills_the_buffer_and_leaves_the_rest() {
    over_every_kind(async |reader, writer| {
        let mut buf = [0; 10];
        {
            let mut reading = pin!(reader.read_into(&mut buf));
            writer.write("hello").await.unwrap();
            assert!(try_for_some_turns(reading.as_mut()).await.is_none());
            writer.write("world!!").await.unwrap();
            assert_eq!(reading.await.unwrap(), 10);
        }
        assert_eq!(&buf, b"helloworld");
        {
            // Begins with what was left.
            let mut reading = pin!(reader.read_into(&mut buf));
            assert!(try_for_some_turns(reading.as_mut()).await.is_none());
            writer.write("1234567890").await.unwrap();
            assert_eq!(reading.await.unwrap(), 10);
        }
        assert_eq!(&buf, b"!!12345678");
        writer.write("abcdefghi").await.unwrap();
        let mut small = [0; 4];
        assert_eq!(reader.read_into(&mut small).await.unwrap(), 4);
        assert_eq!(&small, b"90ab");
        assert_eq!(reader.read_bytes(7).await.unwrap(), "cdefghi");
    });
}

#[test]
fn a_partial_read_into_is_content_with_what_has_come() {
    over_every_kind(async |reader, writer| {
        let mut buf = [0; 10];
        writer.write("hello").await.unwrap();
        assert_eq!(reader.read_into(&mut buf).partial().await.unwrap(), 5);
        assert_eq!(&buf, b"hello\0\0\0\0\0");
        writer.write("world!1234567890").await.unwrap();
        assert_eq!(reader.read_into(&mut buf).partial().await.unwrap(), 10);
        assert_eq!(&buf, b"world!1234");
        assert_eq!(reader.read_into(&mut buf).partial().await.unwrap(), 6);
        assert_eq!(&buf, b"5678901234");
    });
}

#[test]
fn a_second_read_is_refused_and_does_not_disturb_the_first() {
    over_every_kind(async |reader, writer| {
        let mut first = pin!(reader.read_until(b"\n"));
        assert!(try_for_some_turns(first.as_mut()).await.is_none());
        assert!(matches!(reader.read_bytes(1).await, Err(Error::AlreadyReading)));
        assert!(matches!(reader.read_until_close().await, Err(Error::AlreadyReading)));
        writer.write("line\nx").await.unwrap();
        assert_eq!(first.await.unwrap(), "line\n");
        assert_eq!(reader.read_bytes(1).await.unwrap(), "x");
    });
}

#[test]
fn a_line_of_4_mib_is_read() {
    over_every_kind(async |reader, writer| {
        reader.set_max_buffer_size(5 << 20);
        for _ in 0..4096 {
            drop(writer.write(&[b'A'; 1024]));
        }
        drop(writer.write("\r\n"));
        let line = reader.read_until(b"\r\n").await.unwrap();
        assert_eq!(line.len(), (4 << 20) + 2);
        assert!(line.ends_with(b"A\r\n"));
    });
}

/// In turns into the stream's buffer, into the caller's, and straight past the former.
#[test]
fn many_mixed_reads_lose_nothing() {
    let sent = pattern(1_000_000);
    over_every_kind(async |reader, writer| {
        let producer = spawn({
            let sent = sent.clone();
            async move {
                for piece in sent.chunks(617) {
                    writer.write(piece).await.unwrap();
                }
            }
        });
        let mut rest = &sent[..];
        for round in 0.. {
            // Small ones mostly, of all lengths.
            let size = [round * 7919 % 1000 + 1, 100_000][usize::from(round % 200 == 199)].min(rest.len());
            let (expected, behind) = rest.split_at(size);
            match round % 3 {
                0 => assert!(reader.read_bytes(size).await.unwrap() == expected),
                1 => {
                    let mut buf = vec![0; size];
                    reader.read_into(&mut buf).await.unwrap();
                    assert!(buf == expected);
                }
                _ => {
                    let mut buf = vec![0; size];
                    let count = reader.read_into(&mut buf).partial().await.unwrap();
                    assert!(buf[..count] == expected[..count]);
                    assert!(reader.read_bytes(size - count).await.unwrap() == expected[count..]);
                }
            }
            rest = behind;
            if rest.is_empty() {
                break;
            }
        }
        producer.await.unwrap();
    });
}
