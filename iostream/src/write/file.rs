use std::{
    fs::File,
    io,
    ops::RangeBounds,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll, ready},
};

use super::{State, WriteFuture, queue::Piece};
use crate::{Error, IOStream, Result, error::is_disconnect, file_part::FilePart, iostream::Inner};

/// How much of a file one system call sends, in bytes, and one turn of the loop.
pub(super) const SEND_AT_ONCE: usize = 2 * 1024 * 1024;

impl IOStream {
    /// Sends the bytes of `file` in `range`, in the order of the writes.
    ///
    /// Otherwise as [`write`](IOStream::write): it begins at once, goes on by itself, and the future completes when the
    /// kernel has taken all of it. Several streams may share the file (`Rc<File>`); its own position is
    /// neither used nor moved.
    ///
    /// Over TCP and Unix sockets the kernel sends from its page cache (sendfile(2)), and nothing is copied through the
    /// process. Over the other kinds, and from file systems that cannot do that, 64 KiB at a time are read and sent. So a
    /// file takes no memory that counts, and [`set_max_write_buffer_size`](IOStream::set_max_write_buffer_size) does not
    /// limit it. [`pending_write`](IOStream::pending_write) counts its bytes.
    ///
    /// What is not in the page cache is read from the disk meanwhile, and **the loop waits for it**, for up to 2 MiB before
    /// others get their turn. For files that are large and rarely asked for, on disks that are slow, read in
    /// [`run_in_executor`](crate::run_in_executor) and [`write`](IOStream::write).
    ///
    /// A file should not be changed while it is sent: the peer may get old bytes or new ones, even of those that the
    /// kernel has taken. Replace it by renaming a new one instead.
    ///
    /// sendfile(2), and writev(2) too, raise `SIGPIPE` when the peer has gone. Rust's programs ignore it from the start; one
    /// that resets it to its default is ended by it.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] with nothing sent, and the stream as usable as before, when the file is no regular file or `range`
    /// does not lie within it. [`Error::Closed`] as for a write. [`Error::SendFile`] when the file is cut short meanwhile
    /// or cannot be read; the stream is closed then, because the peer waits for bytes that do not exist.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future does not take the bytes back.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::{fs::{self, File}, os::unix::net::UnixStream};
    /// use iostream::{IOLoop, IOStream};
    ///
    /// let path = std::env::temp_dir().join(format!("send_file-{}", std::process::id()));
    /// fs::write(&path, "0123456789")?;
    /// let file = File::open(&path)?;
    /// let (server, client) = UnixStream::pair()?;
    /// let (server, client) = (IOStream::from_unix(server)?, IOStream::from_unix(client)?);
    /// let received = IOLoop::current().run_sync(async {
    ///     server.write("digits: ").await?;
    ///     server.send_file(file, 2..6).await?;
    ///     drop(server);
    ///     client.read_until_close().await
    /// })?;
    /// assert_eq!(received, "digits: 2345");
    /// # fs::remove_file(&path)?;
    /// # Ok::<_, iostream::Error>(())
    /// ```
    #[inline]
    pub fn send_file(&self, file: impl Into<Rc<File>>, range: impl RangeBounds<u64>) -> WriteFuture {
        match FilePart::new(file, range) {
            Ok(part) => self.send_file_behind(&[], part),
            Err(error) => WriteFuture(State::Done(Err(error.into()))),
        }
    }

    /// Sends `head` and a part of a file behind it, as [`send_file`](IOStream::send_file) does. Over TCP the two share a
    /// packet, which spares the peer a wake-up.
    ///
    /// # Errors
    ///
    /// [`Error::WriteBufferFull`] for a `head` beyond the limit, with nothing sent; otherwise as
    /// [`send_file`](IOStream::send_file).
    ///
    /// # Cancel safety
    ///
    /// Dropping the future does not take the bytes back.
    pub fn send_file_behind(&self, head: &[u8], part: FilePart) -> WriteFuture {
        if !head.is_empty() {
            match self.inner.try_send_head(head, &part) {
                Ok(sent) if sent == head.len() => {}
                Ok(sent) => self.enqueue_slice(&head[sent..]),
                Err(error) => return WriteFuture(State::Done(Err(error))),
            }
        }
        match self.inner.try_send_file(part) {
            Ok((sent, None)) => self.when_sent(sent),
            Ok((_, Some(rest))) => {
                self.with_queue(false, |queue| queue.push(Piece::File(rest.into())));
                self.when_sent(0)
            }
            Err(error) => WriteFuture(State::Done(Err(error))),
        }
    }
}

/// A part of a file that waits to be sent.
#[derive(Clone)]
pub(super) struct QueuedFile {
    part: FilePart,
    /// It has to be read, because the kernel does not send from this file or to this stream by itself.
    must_read: bool,
}

impl QueuedFile {
    pub(super) fn len(&self) -> u64 {
        self.part.len()
    }

    pub(super) fn advance(&mut self, count: u64) {
        self.part.advance(count);
    }

    /// Notes that the next bytes have been read, and will have to be from now on.
    pub(super) fn set_read(&mut self, count: usize) {
        self.advance(count as u64);
        self.must_read = true;
    }
}

impl From<FilePart> for QueuedFile {
    #[inline]
    fn from(part: FilePart) -> QueuedFile {
        QueuedFile { part, must_read: false }
    }
}

/// How much of `part` to send by one system call, of at most `most` bytes.
fn step(part: &FilePart, most: usize) -> usize {
    usize::try_from(part.len()).map_or(most, |len| len.min(most))
}

impl Inner {
    /// Sends what stands in front of a file, when nothing is queued before. Returns how much has left.
    #[inline]
    fn try_send_head(self: &Rc<Self>, head: &[u8], part: &FilePart) -> Result<usize> {
        if self.check_room(head.len())? {
            return Ok(0);
        }
        let transport = self.transport.borrow();
        // With nothing behind it, the kernel would hold it back for 200 ms.
        let result = if part.is_empty() { transport.try_send(head) } else { transport.try_send_more(head) };
        drop(transport);
        match result {
            Ok(sent) => Ok(self.count_sent(sent)),
            Err(error) => self.not_sent(error),
        }
    }

    /// Sends at once what the kernel takes, when nothing is queued before. Returns how much, and what is left.
    #[inline]
    fn try_send_file(self: &Rc<Self>, mut part: FilePart) -> Result<(usize, Option<FilePart>)> {
        self.check_writable()?;
        self.transport.borrow().check_writable()?;
        let mut all = 0;
        if self.queue.borrow().is_none() {
            // The rest is the queue's, which leaves others their turns.
            if !part.is_empty() {
                let result = self.transport.borrow().try_send_file(&part, step(&part, SEND_AT_ONCE));
                match result {
                    Ok(sent) => {
                        all = self.count_sent(sent);
                        part.advance(sent as u64);
                    }
                    Err(error) if is_disconnect(&error) => return Err(self.fail(error)),
                    // The queue's task finds out what it means.
                    Err(_) => {}
                }
            }
            if part.is_empty() {
                return Ok((all, None));
            }
        }
        Ok((all, Some(part)))
    }

    /// Sends up to `most` bytes of a file that is first in the queue. Returns how much has left.
    pub(super) fn poll_send_file(
        self: &Rc<Self>,
        cx: &mut Context<'_>,
        file: &QueuedFile,
        most: usize,
    ) -> Poll<Result<usize>> {
        let part = &file.part;
        if !file.must_read {
            let transport = self.transport.borrow();
            let result = ready!(transport.poll_send_file(cx, part, step(part, most)));
            drop(transport);
            match result {
                Ok(sent) if sent > 0 => return Poll::Ready(Ok(self.count_sent(sent))),
                Err(error) if is_disconnect(&error) => return Poll::Ready(Err(self.fail(error))),
                // The end of the file, or an error of which it is not said whose it is. Reading tells: it fails in the
                // same way, or the file is fine and sending will fail, or not.
                Ok(_) | Err(_) => {}
            }
        }
        match part.next() {
            Ok(bytes) => {
                if let Some(queue) = self.queue.borrow_mut().as_mut() {
                    queue.put_before_file(bytes);
                }
                Poll::Ready(Ok(0))
            }
            Err(error) => Poll::Ready(Err(self.fail_to_read(error))),
        }
    }

    /// Offers a file that is first in the queue to the kernel. `None` when its bytes have to be read.
    pub(super) fn try_send_part(&self, file: &QueuedFile) -> Option<io::Result<usize>> {
        (!file.must_read).then(|| self.transport.borrow().try_send_file(&file.part, step(&file.part, SEND_AT_ONCE)))
    }

    /// The error of a write on a closed stream.
    pub(super) fn closed_for_writing(&self) -> Error {
        let error = self.closed_error();
        if let Error::Closed { cause: Some(cause) } = &error
            && let Some(UnreadableFile(cause)) = cause.get_ref().and_then(|cause| cause.downcast_ref())
        {
            return Error::SendFile { cause: Arc::clone(cause) };
        }
        error
    }

    /// Closes the stream because the bytes that were promised to its peer cannot be had.
    #[cold]
    fn fail_to_read(self: &Rc<Self>, error: io::Error) -> Error {
        let cause = Arc::new(error);
        log::warn!("closing the connection with {}: the file that is sent cannot be read: {cause}", self.peer());
        self.close(Some(Arc::new(io::Error::other(UnreadableFile(cause)))));
        self.closed_for_writing()
    }
}

/// A stream's cause of closing that [`Error::SendFile`] tells of.
#[derive(Debug)]
struct UnreadableFile(Arc<io::Error>);

impl std::error::Error for UnreadableFile {}

impl std::fmt::Display for UnreadableFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the file that was sent could not be read: {}", self.0)
    }
}
