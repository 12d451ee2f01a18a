//! Parsers with a bug: what they were shown stays in the stream, whichever way they were shown it.

mod common;

use std::{
    future::{Future, poll_fn},
    io::Write,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    task::{Context, Poll},
};

use common::{pair, run, turns};
use iostream::{IOStream, Parsed};
use proptest::prelude::*;

/// How a parser is run.
#[derive(Debug, Clone, Copy)]
enum Entry {
    Future,
    Poll,
    Try,
}

#[derive(Debug, Clone, Copy)]
enum Bug {
    Panic,
    /// It claims so many bytes more than it was shown.
    Claim(usize),
    /// It asks for more first, and panics at the second call.
    PanicWithMore,
}

#[derive(Debug, Clone)]
struct Read {
    /// What the peer sends before it.
    sent: Vec<u8>,
    entry: Entry,
    bug: Option<Bug>,
    takes: usize,
}

fn read() -> impl Strategy<Value = Read> {
    let entry = prop_oneof![Just(Entry::Future), Just(Entry::Poll), Just(Entry::Try)];
    let bug = prop_oneof![Just(Bug::Panic), (1..9usize).prop_map(Bug::Claim), Just(Bug::PanicWithMore)];
    let sent = proptest::collection::vec(any::<u8>(), 0..20);
    (sent, entry, proptest::option::of(bug), 0..20usize).prop_map(|(sent, entry, bug, takes)| Read {
        sent,
        entry,
        bug,
        takes,
    })
}

/// Runs the read's parser on what there is. `None` when it waits, or panics as it should.
async fn perform(stream: &IOStream, read: &Read) -> Option<Vec<u8>> {
    let mut calls = 0;
    let mut parse = |bytes: &[u8]| {
        calls += 1;
        let consumed = match read.bug {
            None => read.takes.min(bytes.len()),
            Some(Bug::Claim(more)) => bytes.len() + more,
            Some(Bug::PanicWithMore) if calls == 1 => return Parsed::Incomplete,
            Some(Bug::Panic | Bug::PanicWithMore) => panic!("a bug"),
        };
        Parsed::Done { consumed, value: bytes[..consumed.min(bytes.len())].to_vec() }
    };
    let poll = |cx: &mut Context<'_>| {
        let result = catch_unwind(AssertUnwindSafe(|| match read.entry {
            Entry::Future => pin!(stream.read_with(&mut parse)).poll(cx),
            Entry::Poll => stream.poll_read_with(cx, &mut parse),
            Entry::Try => stream.try_read_with(&mut parse).map_or(Poll::Pending, |value| Poll::Ready(Ok(value))),
        }));
        match result {
            Ok(Poll::Ready(value)) => Poll::Ready(Some(value.unwrap())),
            Ok(Poll::Pending) | Err(_) => Poll::Ready(None),
        }
    };
    poll_fn(poll).await
}

fn converse(reads: Vec<Read>) {
    let (stream, mut peer) = pair();
    let (mut sent, mut got) = (Vec::new(), Vec::new());
    run(async {
        for read in reads {
            peer.write_all(&read.sent).unwrap();
            sent.extend_from_slice(&read.sent);
            turns(1).await;
            got.extend(perform(&stream, &read).await.unwrap_or_default());
        }
        drop(peer);
        got.extend(stream.read_until_close().await.unwrap());
    });
    assert_eq!(got, sent);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_a_broken_parser_was_shown_stays_in_the_stream(reads in proptest::collection::vec(read(), 1..20)) {
        converse(reads);
    }
}
