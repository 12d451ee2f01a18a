//! Writing for hand-written futures and for the traits of other libraries: as much as there is room for.

use std::{
    io::IoSlice,
    slice,
    task::{Context, Poll, ready},
};

use crate::{Error, IOStream, Result, iostream::Inner, transport::MOST_BEGUN};

/// How much [`IOStream::poll_write`] lets wait, in bytes.
const WRITE_AHEAD: usize = MOST_BEGUN;

impl IOStream {
    /// Takes as much of `data` as there is room for, and returns how much. The polling form of
    /// [`write`](IOStream::write), with back-pressure as `AsyncWrite` has it.
    ///
    /// What it has taken is written: it is sent at once or queued, at most until 64 KiB are queued in all, or
    /// [`max_write_buffer_size`](IOStream::set_max_write_buffer_size) when that is less. When the queue is full it is
    /// pending, with nothing taken, and the task is woken when half of that has left. So a task that is dropped between two
    /// polls loses nothing of what was taken, and no byte is written twice. [`poll_flush`](IOStream::poll_flush) tells when
    /// the kernel has all of it. Writes by this function and by [`write`](IOStream::write) keep their order.
    ///
    /// Bytes that are queued are copied; those that the kernel takes at once are not.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`] when the stream is closed or breaks, or its writing half was shut down;
    /// [`Error::WriteBufferFull`] when the limit is 0.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::future::poll_fn;
    /// use iostream::{IOLoop, memory, spawn};
    ///
    /// let (stream, peer) = memory::pair(1000);
    /// let data = vec![7; 1_000_000];
    /// let received = IOLoop::current().run_sync(async {
    ///     let reader = spawn(async move { peer.read_until_close().await });
    ///     let mut taken = 0;
    ///     while taken < data.len() {
    ///         taken += poll_fn(|cx| stream.poll_write(cx, &data[taken..])).await?;
    ///         assert!(stream.pending_write() <= 64 * 1024);
    ///     }
    ///     poll_fn(|cx| stream.poll_shutdown(cx)).await?;
    ///     reader.await.expect("not aborted")
    /// })?;
    /// assert_eq!(received.len(), 1_000_000);
    /// # Ok::<_, iostream::Error>(())
    /// ```
    #[inline]
    pub fn poll_write(&self, cx: &mut Context<'_>, data: &[u8]) -> Poll<Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(data)])
    }

    /// [`poll_write`](IOStream::poll_write) of several pieces, which leave by one system call where the kernel takes them.
    ///
    /// # Errors
    ///
    /// As [`poll_write`](IOStream::poll_write).
    #[inline]
    pub fn poll_write_vectored(&self, cx: &mut Context<'_>, pieces: &[IoSlice<'_>]) -> Poll<Result<usize>> {
        if pieces.iter().all(|piece| piece.is_empty()) {
            return Poll::Ready(self.inner.check_writable().map(|()| 0));
        }
        let room = ready!(self.inner.poll_room(cx))?;
        // The caller may offer something else next time, and a transport may have begun on what it was offered: what does not
        // leave has to fit.
        let first = first_that_fits(pieces, room);
        let must_fit = room < MOST_BEGUN && self.inner.transport.borrow().begins_ahead();
        let pieces = if must_fit { slice::from_ref(&first) } else { pieces };
        let sent = self.inner.send_or_leave(pieces)?;
        let queued = self.enqueue_some(pieces, sent, room);
        self.yield_after(sent);
        Poll::Ready(Ok(sent + queued))
    }

    /// Queues what comes behind the first `sent` bytes of `pieces`, up to `room`. Returns how much that is.
    #[inline]
    fn enqueue_some(&self, pieces: &[IoSlice<'_>], sent: usize, room: usize) -> usize {
        let (mut skip, mut queued) = (sent, 0);
        for piece in pieces {
            let unsent = &piece[skip.min(piece.len())..];
            skip -= piece.len() - unsent.len();
            let fits = unsent.len().min(room - queued);
            if fits > 0 {
                self.enqueue_slice(&unsent[..fits]);
                queued += fits;
            }
        }
        queued
    }

    /// Sends what is queued, then ends our side (FIN). The polling form of
    /// [`shutdown_write`](IOStream::shutdown_write).
    ///
    /// # Errors
    ///
    /// As [`shutdown_write`](IOStream::shutdown_write).
    pub fn poll_shutdown(&self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        // A FIN sent earlier would cut off what is queued.
        ready!(self.poll_flush(cx))?;
        self.inner.poll_end_output(cx)
    }
}

/// The first piece with something in it, up to `room` bytes.
#[inline]
fn first_that_fits<'p>(pieces: &'p [IoSlice<'_>], room: usize) -> IoSlice<'p> {
    let first = pieces.iter().find(|piece| !piece.is_empty()).map_or(&[][..], |piece| piece);
    IoSlice::new(&first[..first.len().min(room)])
}

impl Inner {
    /// Waits until something may be queued, and returns how much.
    #[inline]
    fn poll_room(&self, cx: &mut Context<'_>) -> Poll<Result<usize>> {
        loop {
            self.check_writable()?;
            let limit = self.max_write_buffer_size();
            if limit == 0 {
                return Poll::Ready(Err(Error::WriteBufferFull { limit }));
            }
            let most = limit.min(WRITE_AHEAD);
            let queued = self.queue.borrow().as_ref().map(|queue| (queue.len, queue.in_memory));
            let until = match queued {
                None => return Poll::Ready(Ok(most)),
                // A queue with nothing in it holds writers up for a turn. It is waited for, because what joins it is copied.
                Some((0, _)) => 1,
                Some((_, in_memory)) if in_memory < most => return Poll::Ready(Ok(most - in_memory)),
                // Not woken for every packet: half of it has to leave.
                Some((len, _)) => len - most as u64 / 2,
            };
            // An error only says that the queue has gone meanwhile.
            let _ = ready!(self.poll_sent(cx, self.sent.get() + until));
        }
    }
}
