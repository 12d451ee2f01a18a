//! Two streams that are passed on to each other: what a proxy or a tunnel does.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use ioloop::Deadline;

use crate::{Error, IOStream, Parsed, Result};

/// Passes on what comes from `a` to `b` and what comes from `b` to `a`, until both have ended their side.
///
/// Each direction goes no faster than its receiver takes it, and holds 64 KiB at most; while nothing is said, it holds
/// nothing. The end of one side (FIN) is passed on when all in front of it has been sent, and the other direction goes on.
/// Both streams are set [half-open](IOStream::set_half_open) for that.
///
/// The future does not fail: it returns a [`Copied`], whose `result` says how it ended, so that the counts are there
/// either way. When a stream breaks, or the [idle time-out](CopyBidirectional::idle_timeout) is over, both streams are
/// closed, and what was not sent is dropped. After an orderly end they are left to the caller, whose dropping of them
/// closes them.
///
/// Nobody else should read from the streams or write to them meanwhile.
///
/// # Cancel safety
///
/// Dropped before its end, it has read nothing that it has not written to the other stream. The streams stay open.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use iostream::{IOLoop, copy_bidirectional, memory, spawn};
///
/// let ((client, proxy_a), (proxy_b, server)) = (memory::pair(100), memory::pair(100));
/// let copied = IOLoop::current().run_sync(async {
///     let copying = spawn(copy_bidirectional(&proxy_a, &proxy_b).idle_timeout(Duration::from_secs(60)));
///     // It answers behind the end of the question.
///     server.set_half_open(true);
///     client.write("question").await?;
///     client.shutdown_write().await?;
///     assert_eq!(server.read_until_close().await?, "question");
///     server.write("the answer").await?;
///     server.close();
///     assert_eq!(client.read_until_close().await?, "the answer");
///     Ok::<_, iostream::Error>(copying.await.expect("it does not panic"))
/// })?;
/// assert_eq!((copied.a_to_b, copied.b_to_a, copied.result.is_ok()), (8, 10, true));
/// # Ok::<_, iostream::Error>(())
/// ```
#[inline]
pub fn copy_bidirectional(a: &IOStream, b: &IOStream) -> CopyBidirectional {
    a.set_half_open(true);
    b.set_half_open(true);
    CopyBidirectional {
        a_to_b: Direction::new(a, b),
        b_to_a: Direction::new(b, a),
        idle_timeout: Duration::MAX,
        idle: None,
    }
}

/// What [`copy_bidirectional`] has passed on.
#[derive(Debug)]
#[non_exhaustive]
pub struct Copied {
    /// Bytes from the first stream that the second one has sent.
    pub a_to_b: u64,
    /// Bytes from the second stream that the first one has sent.
    pub b_to_a: u64,
    /// `Ok` when both sides have ended in order and have been sent everything. [`Error::TimedOut`] when nothing moved for the
    /// idle time-out; otherwise the error of the stream that broke.
    pub result: Result<()>,
}

/// The future of [`copy_bidirectional`].
#[must_use = "futures do nothing unless awaited"]
pub struct CopyBidirectional {
    a_to_b: Direction,
    b_to_a: Direction,
    idle_timeout: Duration,
    /// Made by the first poll, if there is a time-out.
    idle: Option<Idle>,
}

impl CopyBidirectional {
    /// Gives up when for `limit` no byte has moved, neither way: nothing came, and of what waits to be sent nothing was
    /// taken. A side that is only silent while the other one sends is not idle. `Duration::MAX`, the default, is no limit.
    #[inline]
    pub fn idle_timeout(mut self, limit: Duration) -> Self {
        self.idle_timeout = limit;
        self.idle = None;
        self
    }

    /// Ready when both directions are over, one has failed, or both are idle.
    #[inline]
    fn poll_copy(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let there = self.a_to_b.poll(cx)?;
        let back = self.b_to_a.poll(cx)?;
        if there.is_ready() && back.is_ready() {
            return Poll::Ready(Ok(()));
        }
        // A side that has ended its input is not read from, so that nothing else would tell of its reset.
        for (direction, other) in [(&self.a_to_b, &self.b_to_a), (&self.b_to_a, &self.a_to_b)] {
            if direction.is_over() && !other.is_over() && direction.from.poll_broken(cx).is_ready() {
                return Poll::Ready(Err(Error::Closed { cause: None }));
            }
        }
        self.poll_idle(cx)
    }

    /// Ready when nothing has moved for the time-out.
    #[inline]
    fn poll_idle(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        if self.idle_timeout == Duration::MAX {
            return Poll::Pending;
        }
        let limit = self.idle_timeout;
        let moved = [&self.a_to_b, &self.b_to_a].map(|direction| (direction.received, direction.to.bytes_sent()));
        let idle = self.idle.get_or_insert_with(|| Idle::new(moved, limit));
        if idle.moved != moved {
            idle.moved = moved;
            idle.deadline.set_after(limit);
        }
        while idle.deadline.poll_expired(cx).is_ready() {
            // The kernel tells of room late. A receiver that takes little by little would look as if it took nothing.
            for direction in [&self.a_to_b, &self.b_to_a] {
                direction.to.offer_queued();
            }
            let moved = [&self.a_to_b, &self.b_to_a].map(|direction| (direction.received, direction.to.bytes_sent()));
            if idle.moved == moved {
                return Poll::Ready(Err(Error::TimedOut));
            }
            idle.moved = moved;
            idle.deadline.set_after(limit);
        }
        Poll::Pending
    }
}

impl Future for CopyBidirectional {
    type Output = Copied;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Copied> {
        let this = &mut *self;
        let result = ready!(this.poll_copy(cx));
        let copied = Copied { a_to_b: this.a_to_b.sent(), b_to_a: this.b_to_a.sent(), result };
        if copied.result.is_err() {
            // Neither peer is to take what it got for all there was.
            this.a_to_b.from.close();
            this.a_to_b.to.close();
        }
        Poll::Ready(copied)
    }
}

impl fmt::Debug for CopyBidirectional {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CopyBidirectional")
            .field("a_to_b", &self.a_to_b.sent())
            .field("b_to_a", &self.b_to_a.sent())
            .finish_non_exhaustive()
    }
}

/// Bytes received and sent of each direction.
type Moved = [(u64, u64); 2];

/// Since when nothing has moved.
struct Idle {
    deadline: Deadline,
    moved: Moved,
}

impl Idle {
    #[inline]
    fn new(moved: Moved, limit: Duration) -> Idle {
        let deadline = Deadline::new();
        deadline.set_after(limit);
        Idle { deadline, moved }
    }
}

/// One of the two ways.
struct Direction {
    from: IOStream,
    to: IOStream,
    /// Bytes read.
    received: u64,
    /// What `to` had sent, and had still to send, when this began.
    sent_before: u64,
    stage: Stage,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Copying,
    /// The end has come, and is still to be passed on.
    Ending,
    Over,
}

impl Direction {
    #[inline]
    fn new(from: &IOStream, to: &IOStream) -> Direction {
        let sent_before = to.bytes_sent() + to.pending_write() as u64;
        Direction { from: from.clone(), to: to.clone(), received: 0, sent_before, stage: Stage::Copying }
    }

    #[inline]
    fn is_over(&self) -> bool {
        self.stage == Stage::Over
    }

    /// How many bytes have left.
    #[inline]
    fn sent(&self) -> u64 {
        self.to.bytes_sent().saturating_sub(self.sent_before)
    }

    /// Passes on what there is. Ready when the end has been passed on.
    #[inline]
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        while self.stage == Stage::Copying {
            // The back-pressure. It also leaves others their turns: a stream holds its writer up every MiB.
            ready!(self.to.poll_flush(cx))?;
            match ready!(self.poll_piece(cx)) {
                Ok(count) => self.received += count as u64,
                Err(Error::Closed { cause: None }) => self.stage = Stage::Ending,
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        if self.stage == Stage::Ending {
            ready!(self.to.poll_shutdown(cx))?;
            self.stage = Stage::Over;
        }
        Poll::Ready(Ok(()))
    }

    /// Writes what has come, straight from where it was received. Returns how much that was.
    #[inline]
    fn poll_piece(&self, cx: &mut Context<'_>) -> Poll<Result<usize>> {
        let mut written = Ok(());
        // Where nothing may be queued, one byte is refused with the error that says so.
        let most = self.to.inner.max_write_buffer_size().max(1);
        let count = ready!(self.from.poll_read_with(cx, |bytes| {
            // What it leaves is shown again, with nothing behind it.
            if bytes.is_empty() {
                return Parsed::Incomplete;
            }
            let count = bytes.len().min(most);
            written = self.to.write(&bytes[..count]).into_result();
            Parsed::Done { consumed: count, value: count }
        }))?;
        Poll::Ready(written.map(|()| count))
    }
}
