//! Writing: at once what the kernel takes, and a queue for the rest.

mod data;
mod file;
mod flush;
mod polling;
mod queue;

use std::{
    fmt,
    future::{Future, poll_fn},
    io::{self, IoSlice},
    pin::Pin,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use crate::{
    Error, IOStream, Result,
    contain::wake_all,
    error::{kind, loop_is_closed},
    iostream::Inner,
    marks::Mark,
};
use bytes::{Buf, Bytes};

pub use data::WriteData;
pub(crate) use flush::WriteTimeout;
use queue::Piece;
pub(crate) use queue::WriteQueue;

/// After how many bytes that the kernel took without hesitation a writer has to let the others have their turn: 4 MiB, half a
/// millisecond.
const YIELD_EVERY: u64 = 4 * 1024 * 1024;

impl IOStream {
    /// Sends `data`: at once what the kernel takes, the rest as soon as it can.
    ///
    /// The future completes when the kernel has taken all of it, in the order of the writes; an empty `data` when
    /// everything before it has been taken. Awaiting it is the back-pressure: a slow peer slows its writer down. Nothing
    /// is copied when the kernel takes all; of what is left, a slice is copied and an owned buffer kept.
    ///
    /// Writing goes on by itself: neither awaiting the future nor keeping a handle is needed. A peer that takes nothing is
    /// given up as [`set_write_timeout`](IOStream::set_write_timeout) says.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`] when the stream is closed, or is closed or breaks before all was taken;
    /// [`Error::WriteBufferFull`] when the limit would be passed, with nothing sent.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future does not take the bytes back.
    pub fn write(&self, data: impl WriteData) -> WriteFuture {
        let total = data.unsent().len();
        match self.inner.try_send(data.unsent(), &[]) {
            Ok(sent) if sent == total => {}
            Ok(sent) => self.enqueue_rest(data, sent),
            Err(error) => return WriteFuture(State::Done(Err(error))),
        }
        self.when_sent(total)
    }

    /// [`write`](IOStream::write) for who does not await it. Returns whether something is left that the kernel has not taken:
    /// then a [`flush`](IOStream::flush) is what there is to wait for. An error of the stream is told by that, too, and by the
    /// next read.
    ///
    /// Makes no future, which is most of what a write of a short answer costs beside its system call.
    ///
    /// # Examples
    ///
    /// ```
    /// use iostream::memory;
    ///
    /// let (stream, _peer) = memory::pair(4);
    /// assert!(!stream.write_unawaited(b"four"));
    /// assert!(stream.write_unawaited(b"more"));
    /// ```
    #[inline]
    pub fn write_unawaited(&self, data: &[u8]) -> bool {
        let inner = &self.inner;
        // What is queued goes first, and what could not be queued as a whole is refused before any of it is sent.
        let is_usual = !(inner.is_closed() | inner.marks.has(Mark::WRITE_ENDED) | data.is_empty())
            && data.len() <= inner.max_write_buffer_size()
            && inner.queue.borrow().is_none();
        if !is_usual {
            return !self.write(data).is_done();
        }
        let result = inner.transport.borrow().try_send(data);
        match result {
            Ok(sent) if sent == data.len() => {
                inner.count_sent(sent);
                self.yield_after(sent);
                false
            }
            result => self.queue_unsent(data, result),
        }
    }

    /// What an attempt to send has left.
    #[cold]
    fn queue_unsent(&self, data: &[u8], result: io::Result<usize>) -> bool {
        let sent = match result {
            Ok(sent) => Ok(self.inner.count_sent(sent)),
            Err(error) => self.inner.not_sent(error),
        };
        let Ok(sent) = sent else { return false };
        self.enqueue_slice(&data[sent..]);
        self.yield_after(data.len());
        true
    }

    /// Queues `data` and sends nothing yet: for several small writes that are to leave together.
    ///
    /// What is queued leaves with the next [`flush`](IOStream::flush), and by itself once the tasks that are ready now have
    /// run. A [`write`](IOStream::write) goes behind it. Small slices are copied into one buffer; owned buffers are kept as
    /// they are and leave by a vectored write. Nothing is slowed down by this call: look at
    /// [`pending_write`](IOStream::pending_write), or flush and await it.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`] when the stream is closed, [`Error::WriteBufferFull`] when the limit would be passed. Then nothing
    /// is queued.
    ///
    /// # Examples
    ///
    /// ```
    /// use iostream::{IOLoop, memory};
    ///
    /// let (stream, peer) = memory::pair(100);
    /// let line = IOLoop::current().run_sync(async {
    ///     for word in ["all", " in", " one\n"] {
    ///         stream.queue(word)?;
    ///     }
    ///     assert_eq!(stream.bytes_sent(), 0);
    ///     stream.flush().await?;
    ///     peer.read_until(b"\n").await
    /// })?;
    /// assert_eq!(line, "all in one\n");
    /// # Ok::<_, iostream::Error>(())
    /// ```
    pub fn queue(&self, data: impl WriteData) -> Result<()> {
        let total = data.unsent().len();
        self.inner.check_room(total)?;
        self.inner.transport.borrow().check_writable()?;
        if total > 0 {
            self.enqueue_rest(data, 0);
        }
        Ok(())
    }

    /// Sends what is queued: at once what the kernel takes. The future completes when the kernel has taken everything
    /// written so far.
    ///
    /// # Errors
    ///
    /// As [`poll_flush`](IOStream::poll_flush).
    ///
    /// # Cancel safety
    ///
    /// Dropping the future changes nothing: what is queued leaves by itself.
    #[inline]
    pub fn flush(&self) -> WriteFuture {
        let inner = &self.inner;
        if inner.marks.has(Mark::UNSENT) {
            return WriteFuture(State::Done(Err(inner.closed_for_writing())));
        }
        // A queue that the kernel has refused waits for room. One that was never offered need not wait for its task.
        if inner.queue.borrow().as_ref().is_some_and(|queue| queue.is_fresh()) {
            inner.offer_queued();
        }
        self.when_sent(0)
    }

    /// Sends `head` and `body` as one: with one system call when the kernel takes both. Otherwise as
    /// [`write`](IOStream::write).
    ///
    /// # Errors
    ///
    /// As [`write`](IOStream::write).
    ///
    /// # Cancel safety
    ///
    /// As [`write`](IOStream::write).
    pub fn write_parts(&self, head: &[u8], mut body: Bytes) -> WriteFuture {
        let total = head.len() + body.len();
        match self.inner.try_send(head, &body) {
            Ok(sent) if sent == total => {}
            Ok(sent) if sent < head.len() => {
                self.enqueue_slice(&head[sent..]);
                self.enqueue(body);
            }
            Ok(sent) => {
                body.advance(sent - head.len());
                self.enqueue(body);
            }
            Err(error) => return WriteFuture(State::Done(Err(error))),
        }
        self.when_sent(total)
    }

    /// How many bytes the kernel has taken in all. Grows as the peer reads: no growth while bytes are
    /// [queued](IOStream::pending_write) is a peer that has stopped reading.
    pub fn bytes_sent(&self) -> u64 {
        self.inner.sent.get()
    }

    /// Offers what is queued to the kernel once more, without waiting until it tells of room. Returns whether it took
    /// anything.
    ///
    /// Sending goes on by itself; this is for judging a slow peer. The kernel tells of room when a third of the socket's
    /// buffer is free, which may be megabytes after a peer has begun to read, and
    /// [`bytes_sent`](IOStream::bytes_sent) stands still until then.
    pub fn offer_queued(&self) -> bool {
        self.inner.offer_queued()
    }

    /// How long queued bytes may wait without the kernel taking any of them. When `limit` is over, the stream is closed
    /// with a cause for which [`Error::is_timed_out`] holds; pending writes and flushes fail with it.
    ///
    /// The time starts when the stream has to wait for its peer, and afresh with every byte that leaves, so a slow peer is
    /// not cut. `Duration::MAX` is no limit. Resolution is a millisecond.
    ///
    /// By default there is no limit while the stream has a handle, whose holder can see to it, and
    /// [`DEFAULT_FLUSH_TIMEOUT`](IOStream::DEFAULT_FLUSH_TIMEOUT) once the last handle has been dropped. A limit set here
    /// holds for both.
    pub fn set_write_timeout(&self, limit: Duration) {
        self.inner.write_timeout.set(WriteTimeout::new(limit));
        self.inner.wake_flush();
    }

    /// How many bytes are queued: written, and not yet taken by the kernel. Those of a file that is being
    /// [sent](IOStream::send_file) count, although they take no memory.
    #[inline]
    pub fn pending_write(&self) -> usize {
        self.inner.queue.borrow().as_ref().map_or(0, |queue| usize::try_from(queue.len).unwrap_or(usize::MAX))
    }

    /// Ready when the kernel has taken everything written so far, and with an error when some of it never will be taken.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`] when the stream was closed with bytes in its queue.
    pub fn poll_flush(&self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let inner = &self.inner;
        if inner.marks.has(Mark::UNSENT) {
            return Poll::Ready(Err(inner.closed_for_writing()));
        }
        let queued = inner.queue.borrow().as_ref().map(|queue| queue.len);
        match queued {
            None => Poll::Ready(Ok(())),
            Some(len) => inner.poll_sent(cx, inner.sent.get() + len),
        }
    }

    /// Sends what is queued, then ends our side of the conversation (FIN). Reading goes on; further writes fail with
    /// [`Error::Closed`].
    ///
    /// # Errors
    ///
    /// [`Error::Closed`] when the stream is closed or breaks before.
    ///
    /// # Cancel safety
    ///
    /// Dropped before completion, the FIN is not sent.
    pub async fn shutdown_write(&self) -> Result<()> {
        poll_fn(|cx| self.poll_shutdown(cx)).await
    }

    /// The future of everything written so far, of which the last write is `last` bytes.
    fn when_sent(&self, last: usize) -> WriteFuture {
        self.yield_after(last);
        let sent = self.inner.sent.get();
        match self.inner.queue.borrow().as_ref() {
            None if self.inner.marks.has(Mark::UNSENT) => {
                WriteFuture(State::Done(Err(self.inner.closed_for_writing())))
            }
            None => WriteFuture(State::Done(Ok(()))),
            Some(queue) => WriteFuture(State::Waiting { end: sent + queue.len, stream: self.clone() }),
        }
    }

    /// Makes the next write wait when this one, of `last` bytes, completes another MiB.
    ///
    /// A peer that reads as fast as this is written must not starve the others. The next write finds a queue, empty as it
    /// is, and waits for the turns of the loop that it takes to find that out.
    #[inline]
    fn yield_after(&self, last: usize) {
        let sent = self.inner.sent.get();
        if sent / YIELD_EVERY != sent.saturating_sub(last as u64) / YIELD_EVERY {
            self.enqueue(Bytes::new());
        }
    }

    /// Queues `data` without its first `sent` bytes.
    fn enqueue_rest(&self, mut data: impl WriteData, sent: usize) {
        match data.take_owned() {
            Some(mut rest) => {
                rest.advance(sent);
                self.enqueue(rest);
            }
            None => self.enqueue_slice(&data.unsent()[sent..]),
        }
    }

    fn enqueue(&self, rest: Bytes) {
        let holds_up = rest.is_empty();
        self.with_queue(holds_up, |queue| queue.push(Piece::Bytes(rest)));
    }

    fn enqueue_slice(&self, rest: &[u8]) {
        self.with_queue(false, |queue| queue.push_slice(rest));
    }

    /// Fills the queue, and sees to it that what is in it leaves.
    fn with_queue(&self, holds_up: bool, fill: impl FnOnce(&mut WriteQueue)) {
        // The queue's task is there exactly as long as the queue.
        let starts = self.inner.queue.borrow().is_none();
        fill(self.inner.queue.borrow_mut().get_or_insert_default());
        if starts && let Some(ioloop) = self.inner.ioloop() {
            if ioloop.is_closed() {
                return self.inner.give_queue_up();
            }
            // Holds the stream until its last byte has left. Absent while nothing is queued.
            ioloop.spawn_independent(flush::send_queue(self.clone(), holds_up));
        }
    }
}

/// The future of a write.
#[must_use = "await it for back-pressure and errors, or drop it explicitly: the bytes are sent anyway"]
pub struct WriteFuture(State);

enum State {
    Done(Result<()>),
    Waiting {
        stream: IOStream,
        /// The count of sent bytes at which this write is done.
        end: u64,
    },
}

impl WriteFuture {
    /// Whether there is nothing to wait for: the kernel has taken all, or the write has failed.
    pub fn is_done(&self) -> bool {
        match &self.0 {
            State::Done(_) => true,
            State::Waiting { stream, end } => stream.inner.sent.get() >= *end || stream.inner.is_closed(),
        }
    }
}

impl WriteFuture {
    /// The error of a write that has failed at once. Others are told by a flush.
    #[inline]
    pub(crate) fn into_result(self) -> Result<()> {
        match self.0 {
            State::Done(result) => result,
            State::Waiting { .. } => Ok(()),
        }
    }
}

impl Future for WriteFuture {
    type Output = Result<()>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        match &mut self.0 {
            State::Done(result) => Poll::Ready(std::mem::replace(result, Ok(()))),
            State::Waiting { stream, end } => stream.inner.poll_sent(cx, *end),
        }
    }
}

impl fmt::Debug for WriteFuture {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            State::Done(result) => f.debug_tuple("WriteFuture").field(result).finish(),
            State::Waiting { .. } => f.write_str("WriteFuture(waiting)"),
        }
    }
}

impl Inner {
    /// Tries to send without queueing, when nothing is queued before. Returns the number of bytes sent.
    fn try_send(self: &Rc<Self>, head: &[u8], body: &[u8]) -> Result<usize> {
        let total = head.len() + body.len();
        // Before anything is sent: a write that fails half-way would leave half a message with the peer.
        let has_queue = self.check_room(total)?;
        // What is queued goes first.
        if has_queue || total == 0 {
            return Ok(0);
        }
        match body {
            [] => self.send_now(&[IoSlice::new(head)]),
            _ => self.send_now(&[IoSlice::new(head), IoSlice::new(body)]),
        }
    }

    /// Refuses what could not be queued as a whole. Returns whether there is a queue.
    #[inline]
    fn check_room(&self, total: usize) -> Result<bool> {
        self.check_writable()?;
        let queued = self.queue.borrow().as_ref().map(|queue| queue.in_memory);
        let limit = self.max_write_buffer_size();
        if queued.unwrap_or(0).saturating_add(total) > limit {
            return Err(Error::WriteBufferFull { limit });
        }
        Ok(queued.is_some())
    }

    /// Sends what the kernel takes, when nothing is queued before. Returns the number of bytes sent.
    #[inline]
    fn send_or_leave(self: &Rc<Self>, pieces: &[IoSlice<'_>]) -> Result<usize> {
        if self.queue.borrow().is_some() { Ok(0) } else { self.send_now(pieces) }
    }

    #[inline]
    fn send_now(self: &Rc<Self>, pieces: &[IoSlice<'_>]) -> Result<usize> {
        let transport = self.transport.borrow();
        // Without a look at the readiness: a socket nearly always has room, and the call itself tells when not.
        let result = match pieces {
            // send(2) costs the kernel less than writev(2).
            [piece] => transport.try_send(piece),
            _ => transport.try_send_vectored(pieces),
        };
        drop(transport);
        match result {
            Ok(sent) => Ok(self.count_sent(sent)),
            Err(error) => self.not_sent(error),
        }
    }

    /// Refuses to write to a stream that is closed or whose writing half was shut down. Its transport would have no error
    /// to give but `ENOTCONN`, which would hide the cause.
    #[inline]
    fn check_writable(&self) -> Result<()> {
        if self.is_closed() || self.marks.has(Mark::WRITE_ENDED) { Err(self.closed_for_writing()) } else { Ok(()) }
    }

    /// Ends our side, once.
    fn poll_end_output(self: &Rc<Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        if self.marks.has(Mark::WRITE_ENDED) {
            return Poll::Ready(Ok(()));
        }
        if self.is_closed() {
            return Poll::Ready(Err(self.closed_for_writing()));
        }
        let result = ready!(self.transport.borrow().poll_shutdown(cx));
        result.map_err(|error| self.fail(error))?;
        self.end_of_output();
        Poll::Ready(Ok(()))
    }

    /// Notes that bytes have left.
    #[inline]
    fn count_sent(&self, sent: usize) -> usize {
        self.sent.set(self.sent.get() + sent as u64);
        sent
    }

    /// There is no loop any more that would send what is queued: the task would stay for ever, and keep the stream.
    #[cold]
    fn give_queue_up(self: &Rc<Self>) {
        let writers_wait = self.queue.borrow().as_ref().is_some_and(|queue| !queue.is_empty());
        if writers_wait {
            self.close(Some(Arc::new(loop_is_closed())));
        } else {
            drop(self.queue.take());
        }
    }

    #[cold]
    fn not_sent(self: &Rc<Self>, error: io::Error) -> Result<usize> {
        if kind(&error) == io::ErrorKind::WouldBlock { Ok(0) } else { Err(self.fail(error)) }
    }

    /// Ready when `end` bytes have been sent in all, or never will be.
    fn poll_sent(&self, cx: &mut Context<'_>, end: u64) -> Poll<Result<()>> {
        let waits = |queue: &mut WriteQueue| queue.move_waiter(end, cx.waker());
        if self.sent.get() < end && self.queue.borrow_mut().as_deref_mut().is_some_and(waits) {
            return Poll::Pending;
        }
        if self.sent.get() < end && self.queue.borrow().is_some() {
            // Cloning a waker is foreign code: outside of the borrow. It may end the queue.
            let waker = cx.waker().clone();
            let turn = || self.ioloop().map_or(0, |ioloop| ioloop.metrics().turns);
            let stale = self.queue.borrow_mut().as_mut().map(|queue| queue.add_waiter(end, waker, turn));
            if let Some(stale) = stale {
                wake_all(stale.into_iter().map(|(_, waker)| waker));
                return Poll::Pending;
            }
        }
        Poll::Ready(if self.sent.get() >= end { Ok(()) } else { Err(self.closed_for_writing()) })
    }
}
