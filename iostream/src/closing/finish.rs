use std::{
    future::{Future, poll_fn},
    io,
    pin::Pin,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll, ready},
};

use ioloop::Deadline;

use super::ClosedFuture;
use crate::{Error, IOStream, Result, buffer::CHUNK_SIZE, iostream::Inner, marks::Mark, write::WriteTimeout};

impl IOStream {
    /// Sends what is queued, ends our side (FIN), waits until the peer has ended its side too, and closes the stream. When
    /// it succeeds, the peer's kernel has received everything that was written.
    ///
    /// What the peer still sends is received and dropped from the beginning, because it may read nothing of ours before.
    /// Besides, this keeps its kernel from throwing away what it has of us: a socket that is [closed](IOStream::close) with
    /// unread input, or to which more is sent afterwards, answers with a reset.
    /// Bytes that are [buffered](IOStream::buffered) already stay readable.
    ///
    /// The peer has [`DEFAULT_FLUSH_TIMEOUT`](IOStream::DEFAULT_FLUSH_TIMEOUT), or as long as
    /// [`set_write_timeout`](IOStream::set_write_timeout) says, to take some of what is queued, and as long again to end its
    /// side after ours. While the future of a read is pending, the input is that read's, and only its end is waited for.
    ///
    /// There are quicker ways, which promise less. [`close`](IOStream::close) drops what is queued. Dropping the last
    /// handle sends it, and does not wait for the peer. [`shutdown_write`](IOStream::shutdown_write) leaves reading open.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`] when the stream was closed here or breaks before, and, with a cause for which
    /// [`Error::is_timed_out`] holds, when the peer does not end its side in time. The stream is closed in any case.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it leaves the stream open, with its writing half perhaps ended. It can be called again.
    ///
    /// # Examples
    ///
    /// ```
    /// use iostream::{IOLoop, IOStream, TcpServer};
    ///
    /// /// Says its piece without listening.
    /// async fn announce(stream: IOStream) -> iostream::Result<()> {
    ///     stream.write("closed for today\n").await?;
    ///     stream.finish().await
    /// }
    ///
    /// let server = TcpServer::new(async |stream, _peer| announce(stream).await);
    /// let addr = server.listen(("127.0.0.1", 0))?.local_addr();
    /// let heard = IOLoop::current().run_sync(async {
    ///     let client = IOStream::connect(addr).await?;
    ///     client.write("May I ask something?\n").await?;
    ///     client.read_until_close().await
    /// })?;
    /// assert_eq!(heard, "closed for today\n");
    /// # Ok::<_, iostream::Error>(())
    /// ```
    pub async fn finish(&self) -> Result<()> {
        let inner = &self.inner;
        if inner.write_timeout.get() == WriteTimeout::UNSET {
            self.set_write_timeout(Self::DEFAULT_FLUSH_TIMEOUT);
        }
        let mut closed = self.closed();
        let shut_down = poll_fn(|cx| {
            let shut_down = self.poll_shutdown(cx);
            if shut_down.is_pending() {
                // A peer may take nothing of us before all that it sends has been taken.
                let _ = inner.poll_peers_end(cx, &mut closed);
            }
            shut_down
        });
        if let Err(error) = shut_down.await {
            self.close();
            return if inner.has_closed_itself() { Ok(()) } else { Err(error) };
        }
        // From here on the end of input is the end of the stream.
        self.set_half_open(false);
        let deadline = Deadline::new();
        if let Some(limit) = inner.write_timeout.get().limit(true) {
            deadline.set_after(limit);
        }
        poll_fn(|cx| {
            if inner.poll_peers_end(cx, &mut closed).is_ready() {
                return Poll::Ready(());
            }
            deadline.poll_expired(cx).map(|()| inner.give_up_waiting())
        })
        .await;
        self.close();
        match inner.closed_error() {
            Error::Closed { cause: None } => Ok(()),
            error => Err(error),
        }
    }
}

impl Inner {
    /// Receives and drops, until the input has ended or the stream is closed.
    #[inline]
    fn poll_peers_end(self: &Rc<Self>, cx: &mut Context<'_>, closed: &mut ClosedFuture) -> Poll<()> {
        loop {
            if self.is_closed() || self.marks.has(Mark::EOF) {
                return Poll::Ready(());
            }
            // A reader meets the end by itself.
            if self.claimed.get() || self.parsing.get() {
                return Pin::new(closed).poll(cx);
            }
            // An end or an error is noted by now.
            let _ = ready!(self.poll_receive(cx, CHUNK_SIZE));
        }
    }

    /// Whether the stream was closed behind the end of its input and everything that was written, which is what finishing
    /// it comes to.
    fn has_closed_itself(&self) -> bool {
        self.marks.has(Mark::EOF) && !self.marks.has(Mark::UNSENT) && !self.is_broken()
    }

    #[inline]
    fn give_up_waiting(self: &Rc<Self>) {
        log::debug!("closing the connection with {}, which has not ended its side in time", self.peer());
        let text = "the peer has not ended its side in time";
        self.close(Some(Arc::new(io::Error::new(io::ErrorKind::TimedOut, text))));
    }
}
