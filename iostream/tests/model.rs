//! Random conversations over every kind of stream against the simplest model: a queue of bytes in each direction. Nothing
//! is lost, doubled or reordered, whatever is read and written how, given up half-way, refused at a limit, or cut off by
//! a close.

mod common;
#[path = "model/kinds.rs"]
mod kinds;
#[path = "model/queue.rs"]
mod queue;

use std::{
    cell::RefCell,
    fs::File,
    future::{Future, poll_fn},
    io::Write,
    ops::Range,
    pin::pin,
    rc::Rc,
    task::Poll,
};

use bytes::Bytes;
use common::{pattern, run, streams, try_for_some_turns};
use iostream::{BufReader, Error, IOStream, Parsed, regex::bytes::Regex};
use kinds::{Conversation, custom, memory, pipes, tcp, tls, unix};
use proptest::prelude::*;
use queue::{Answer, How, Model};

#[derive(Debug, Clone)]
enum Step {
    PeerSends(Vec<u8>),
    PeerEnds,
    Read(How),
    /// Polled for some turns, then dropped.
    GiveUp(How),
    TryRead(usize),
    Write(Way, Vec<u8>),
    SendFile(Range<u64>),
    Flush,
    LimitQueue(usize),
}

/// How something is written.
#[derive(Debug, Clone, Copy)]
enum Way {
    Awaited,
    /// The future is dropped at once.
    Forgotten,
    Queued,
    Parts,
    /// `poll_write`, until all of it has been taken.
    Polled,
    /// One poll.
    PolledOnce,
}

/// How it ends.
#[derive(Debug, Clone, Copy)]
enum Ending {
    /// Our input is read to its end, and our output is flushed.
    InTurn,
    ShutDown,
    Finish,
    Close,
}

/// Few different bytes, so that delimiters occur, whole and in part.
fn bytes(max: usize) -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        8 => proptest::collection::vec(0..3u8, 1..10),
        2 => proptest::collection::vec(0..3u8, 1..max),
        1 => (1..30_000usize).prop_map(|len| pattern(len).into_iter().map(|byte| byte % 3).collect()),
    ]
}

fn how() -> impl Strategy<Value = How> {
    // A few bytes, a packet, and more than goes over the read chunk.
    let size = || prop_oneof![6 => 1..20usize, 2 => 1..5000usize, 1 => 16_000..100_000usize];
    let delimiter = || proptest::collection::vec(0..3u8, 1..6);
    prop_oneof![
        delimiter().prop_map(How::Until),
        (delimiter(), 10..10_000usize).prop_map(|(delimiter, limit)| How::UntilWithin(delimiter, limit)),
        delimiter().prop_map(How::Regex),
        size().prop_map(How::Bytes),
        size().prop_map(How::Some),
        size().prop_map(How::Into),
        size().prop_map(How::Partly),
        size().prop_map(How::With),
        size().prop_map(How::Polled),
        size().prop_map(How::Buffered),
        Just(How::UntilClose),
    ]
}

fn way() -> impl Strategy<Value = Way> {
    use Way::*;
    prop::sample::select(vec![Awaited, Forgotten, Queued, Parts, Polled, PolledOnce])
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        30 => bytes(5000).prop_map(Step::PeerSends),
        30 => how().prop_map(Step::Read),
        15 => how().prop_map(Step::GiveUp),
        5 => (1..50usize).prop_map(Step::TryRead),
        20 => (way(), bytes(5000)).prop_map(|(way, bytes)| Step::Write(way, bytes)),
        3 => (0..FILE as u64, 0..FILE as u64).prop_map(|(a, b)| Step::SendFile(a.min(b)..a.max(b))),
        3 => Just(Step::Flush),
        1 => prop_oneof![1..20_000usize, Just(usize::MAX)].prop_map(Step::LimitQueue),
        1 => Just(Step::PeerEnds),
    ]
}

fn ending() -> impl Strategy<Value = Ending> {
    use Ending::*;
    prop::sample::select(vec![InTurn, InTurn, ShutDown, Finish, Close])
}

async fn read(stream: &IOStream, how: &How) -> iostream::Result<Bytes> {
    let into = |buf: Vec<u8>, n| Bytes::from(buf).slice(..n);
    match how {
        How::Until(delimiter) => stream.read_until(delimiter).await,
        How::UntilWithin(delimiter, limit) => stream.read_until(delimiter).max_bytes(*limit).await,
        How::Regex(literal) => {
            let pattern: String = literal.iter().map(|byte| format!(r"\x{byte:02x}")).collect();
            stream.read_until_regex(&Regex::new(&pattern).unwrap()).await
        }
        How::Bytes(n) => stream.read_bytes(*n).await,
        How::Some(n) => stream.read_some(*n).await,
        How::Into(n) => {
            let mut buf = vec![0; *n];
            let n = stream.read_into(&mut buf).await?;
            Ok(into(buf, n))
        }
        How::Partly(n) => {
            let mut buf = vec![0; *n];
            let n = stream.read_into(&mut buf).partial().await?;
            Ok(into(buf, n))
        }
        How::With(n) => stream.read_with(|bytes| take(bytes, *n)).await,
        How::Polled(n) => {
            let mut buf = vec![0; *n];
            let n = poll_fn(|cx| stream.poll_read_some(cx, &mut buf)).await?;
            some_or_end(into(buf, n))
        }
        How::Buffered(n) => {
            let mut reader = BufReader::new(stream.clone());
            let shown = poll_fn(|cx| reader.poll_fill_buf(cx).map_ok(Bytes::copy_from_slice)).await?;
            let taken = shown.slice(..shown.len().min(*n));
            reader.consume(taken.len());
            some_or_end(taken)
        }
        How::UntilClose => stream.read_until_close().await,
    }
}

/// The primitives report the end of input as no bytes.
fn some_or_end(bytes: Bytes) -> iostream::Result<Bytes> {
    if bytes.is_empty() { Err(Error::Closed { cause: None }) } else { Ok(bytes) }
}

/// A parser: `n` bytes.
fn take(bytes: &[u8], n: usize) -> Parsed<Bytes> {
    match bytes.get(..n) {
        Some(bytes) => Parsed::Done { consumed: n, value: Bytes::copy_from_slice(bytes) },
        None => Parsed::Incomplete,
    }
}

/// Returns how much of `bytes` is on its way to the peer.
async fn write(stream: &IOStream, way: Way, bytes: &[u8]) -> iostream::Result<usize> {
    let all = bytes.len();
    match way {
        Way::Awaited => stream.write(bytes).await.map(|()| all),
        Way::Forgotten => begin(stream.write(bytes)).await.map(|()| all),
        Way::Queued => stream.queue(bytes).map(|()| all),
        Way::Parts => {
            let (head, body) = bytes.split_at(all / 3);
            begin(stream.write_parts(head, Bytes::copy_from_slice(body))).await.map(|()| all)
        }
        Way::Polled => {
            let mut taken = 0;
            while taken < all {
                taken += poll_fn(|cx| stream.poll_write(cx, &bytes[taken..])).await?;
            }
            Ok(all)
        }
        Way::PolledOnce => match poll_fn(|cx| Poll::Ready(stream.poll_write(cx, bytes))).await {
            Poll::Ready(taken) => taken,
            Poll::Pending => Ok(0),
        },
    }
}

/// Whether a write was refused. If not, its bytes leave without it.
async fn begin(write: impl Future<Output = iostream::Result<()>>) -> iostream::Result<()> {
    let mut write = pin!(write);
    match poll_fn(|cx| Poll::Ready(write.as_mut().poll(cx))).await {
        Poll::Ready(result) => result,
        Poll::Pending => Ok(()),
    }
}

/// The length of [`file`].
const FILE: usize = 50_000;

/// A file to be sent, one for each thread.
fn file() -> Rc<File> {
    thread_local! {
        static FILES: RefCell<Option<Rc<File>>> = const { RefCell::new(None) };
    }
    let open = || {
        let name = format!("model-{}-{:?}", std::process::id(), std::thread::current().id());
        let path = std::env::temp_dir().join(name);
        File::create(&path).unwrap().write_all(&pattern(FILE)).unwrap();
        let file = File::open(&path).unwrap();
        std::fs::remove_file(path).unwrap();
        Rc::new(file)
    };
    FILES.with_borrow_mut(|file| Rc::clone(file.get_or_insert_with(open)))
}

/// How much may wait for us in the kernel before the peer sends more: it blocks.
const KERNEL_TAKES: usize = 20_000;

fn converse(steps: Vec<Step>, ending: Ending, (stream, mut peer): Conversation) {
    let mut model = Model::default();
    let mut written = Vec::new();
    // Whether the peer gets everything that was written, and not only the beginning of it.
    let mut whole = true;
    run(async {
        for step in steps {
            match step {
                Step::PeerSends(bytes) if !model.ended && model.len() - stream.buffered() < KERNEL_TAKES => {
                    peer.send(&bytes);
                    model.sent(&bytes);
                }
                Step::PeerEnds if !model.ended => {
                    peer.end();
                    model.ended = true;
                }
                Step::Read(how) if model.answer(&how) != Answer::Wait => {
                    let result = read(&stream, &how).await;
                    whole &= model.check(&how, result);
                }
                Step::Read(how) | Step::GiveUp(how) => {
                    if let Some(result) = try_for_some_turns(read(&stream, &how)).await {
                        whole &= model.check(&how, result);
                    }
                }
                Step::TryRead(n) => {
                    let known = stream.buffered();
                    let result = stream.try_read_with(|bytes| take(bytes, n));
                    assert_eq!(result.is_some(), known >= n);
                    result.into_iter().for_each(|bytes| model.take(&bytes));
                }
                Step::Write(way, bytes) => {
                    let queued = stream.pending_write();
                    match write(&stream, way, &bytes).await {
                        Ok(taken) => written.extend_from_slice(&bytes[..taken]),
                        Err(Error::WriteBufferFull { limit }) => assert!(queued + bytes.len() > limit),
                        Err(error) => assert!(stream.is_closed(), "{error:?}"),
                    }
                }
                Step::SendFile(range) => {
                    let sending = begin(stream.send_file(file(), range.clone())).await;
                    match sending {
                        Ok(()) => written.extend_from_slice(&pattern(FILE)[range.start as usize..range.end as usize]),
                        Err(error) => assert!(stream.is_closed(), "{error:?}"),
                    }
                }
                Step::Flush => {
                    let result = stream.flush().await;
                    assert!(result.is_ok() || stream.is_closed(), "{result:?}");
                    assert_eq!(stream.pending_write(), 0);
                }
                Step::LimitQueue(limit) => stream.set_max_write_buffer_size(limit),
                Step::PeerSends(_) | Step::PeerEnds => {}
            }
            assert!(stream.buffered() <= model.len());
            if !whole {
                break;
            }
        }
        whole &= end(&stream, ending).await;
        // Whoever has said something says goodbye, and what was received can still be read.
        peer.end();
        model.ended = true;
        match (whole, ending) {
            (true, Ending::InTurn | Ending::ShutDown) => {
                let rest = stream.read_until_close().await;
                model.check(&How::UntilClose, rest);
                stream.flush().await.unwrap();
            }
            (true, Ending::Finish) => {
                let finished = stream.finish().await;
                assert!(finished.is_ok(), "{finished:?}");
            }
            _ => {}
        }
    });
    stream.close();
    if let Ok(rest) = run(stream.read_until_close()) {
        model.take(&rest);
    }
    let received = peer.received();
    assert!(written.starts_with(&received), "the peer got {} other bytes", received.len());
    assert!(!whole || received.len() == written.len(), "the peer got {} bytes of {}", received.len(), written.len());
}

/// The part of the end that the peer need not take part in. Returns whether what was written still arrives.
async fn end(stream: &IOStream, ending: Ending) -> bool {
    match ending {
        Ending::ShutDown => drop(stream.shutdown_write().await),
        Ending::Close => stream.close(),
        Ending::InTurn | Ending::Finish => {}
    }
    !matches!(ending, Ending::Close)
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    proptest::collection::vec(step(), 0..60)
}

/// Enough to stay quick; `PROPTEST_CASES` sets more.
fn config() -> ProptestConfig {
    let cases = if std::env::var_os("PROPTEST_CASES").is_some() { ProptestConfig::default().cases } else { 80 };
    ProptestConfig { failure_persistence: None, cases, ..ProptestConfig::default() }
}

/// One test for each kind of stream.
macro_rules! nothing_is_lost_doubled_or_reordered {
    ($($name:ident($($param:ident in $values:expr)?) => $conversation:expr;)*) => {
        proptest! {
            #![proptest_config(config())]
            $(
                #[test]
                fn $name(steps in steps(), ending in ending(), $($param in $values)?) {
                    converse(steps, ending, $conversation);
                }
            )*
        }
    };
}

nothing_is_lost_doubled_or_reordered! {
    over_tcp() => tcp();
    over_a_unix_socket() => unix();
    over_pipes(piece in 1..10_000usize) => pipes(piece);
    in_memory(capacity in 1..10_000usize) => memory(capacity);
    over_a_custom_transport(piece in 1..10_000usize) => custom(piece);
    over_tls() => tls(streams());
    over_tls_in_memory(capacity in 1..10_000usize) => tls(iostream::memory::pair(capacity));
}
