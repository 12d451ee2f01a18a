//! The way to the client, as a delegate has it.

use std::{
    cell::{Cell, RefCell},
    fmt,
    future::poll_fn,
    rc::Rc,
    task::{Context, Poll, Waker},
};

use bytes::Bytes;

use crate::{Body, BodyDriver, BodyWriter, Error, Response, Result, Trailers};

/// Answers one request: [`write_headers`](HttpConnection::write_headers) once, [`write`](HttpConnection::write) as often as
/// wanted, [`finish`](HttpConnection::finish) once. It may be moved to another task of the loop.
///
/// Dropped before the answer is finished, it breaks the answer off: a client that has seen its head sees the connection end.
/// Unless `Content-Length` was in the head, and as much has been written: then nothing is missing, and the answer is finished.
///
/// To hand the stream to another protocol, Tornado's `detach`, answer with what
/// [`Request::upgrade`](crate::Request::upgrade) returns.
pub struct HttpConnection {
    shared: Rc<Shared>,
    /// From the head to the end of the answer.
    writer: Option<BodyWriter>,
    /// How much has still to be written, if the head has said how much there is.
    left: Option<u64>,
}

/// What a connection shares with the service that waits for its answer.
#[derive(Default)]
pub(super) struct Shared {
    /// The head of the answer, until the service passes it on.
    head: RefCell<Option<Head>>,
    /// Whether there has been one.
    begun: Cell<bool>,
    end: Cell<End>,
    /// To be woken for a head and for the end: the service, and then the body of its answer.
    waiting: Cell<Option<Waker>>,
}

/// The head of an answer, and what polls its body if that is written.
pub(super) struct Head {
    pub(super) response: Response,
    pub(super) driver: Option<BodyDriver>,
}

/// How an answer has ended.
#[derive(Default, Clone, Copy, PartialEq, Eq)]
enum End {
    #[default]
    Open,
    Finished,
    /// The connection was dropped before that.
    GivenUp,
}

impl HttpConnection {
    #[inline]
    pub(super) fn new(shared: Rc<Shared>) -> HttpConnection {
        HttpConnection { shared, writer: None, left: None }
    }

    /// Begins the answer. A `head` that has a body, or that hands the stream over, is the whole answer, which is finished
    /// with it: also when the body is a stream, and though the delegate is told nothing more of the request then. With
    /// `Content-Length` in it, as many bytes have to be written; without, the body is chunked, or ends with the connection for
    /// a client of HTTP/1.0.
    ///
    /// # Errors
    ///
    /// [`Error::AlreadyTaken`] for a second one.
    #[inline]
    pub fn write_headers(&mut self, mut head: Response) -> Result<()> {
        if self.shared.begun.replace(true) {
            return Err(Error::AlreadyTaken("the head of the answer"));
        }
        if head.body().is_end() && !head.is_upgrade() && !head.is_abort() {
            let length = head.content_length();
            let (writer, body) = Body::channel();
            head.set_body(body);
            if let Some(length) = length {
                head.set_content_length(length);
            }
            self.left = length;
            self.writer = Some(writer);
        } else {
            self.shared.end.set(End::Finished);
        }
        let driver = self.writer.as_ref().map(BodyWriter::driver);
        self.shared.head.replace(Some(Head { response: head, driver }));
        self.shared.wake();
        Ok(())
    }

    /// Adds to the body of the answer, and waits while the client is more than 64 KiB behind.
    ///
    /// # Errors
    ///
    /// As [`BodyWriter::write`]; [`Error::AlreadyTaken`] before the head and behind the end of the answer.
    ///
    /// # Cancel safety
    ///
    /// As [`BodyWriter`].
    #[inline]
    pub async fn write(&mut self, chunk: impl AsRef<[u8]>) -> Result<()> {
        let chunk = chunk.as_ref();
        self.writer_of(chunk.len())?.write(chunk).await
    }

    /// [`write`](HttpConnection::write) for what is there as `Bytes`. A large piece is not copied.
    ///
    /// # Errors
    ///
    /// As [`write`](HttpConnection::write).
    ///
    /// # Cancel safety
    ///
    /// As [`BodyWriter`].
    #[inline]
    pub async fn write_bytes(&mut self, chunk: Bytes) -> Result<()> {
        self.writer_of(chunk.len())?.write_bytes(chunk).await
    }

    /// Waits until what was written has been taken by the kernel.
    ///
    /// # Errors
    ///
    /// As [`write`](HttpConnection::write).
    ///
    /// # Cancel safety
    ///
    /// As [`BodyWriter`].
    #[inline]
    pub async fn flush(&mut self) -> Result<()> {
        self.writer()?.flush().await
    }

    /// Sends trailers behind the body, if that is chunked; see [`Frame::Trailers`](crate::Frame::Trailers).
    ///
    /// # Errors
    ///
    /// [`Error::AlreadyTaken`] before the head and behind the end of the answer.
    #[inline]
    pub fn set_trailers(&mut self, trailers: Trailers) -> Result<()> {
        self.writer()?.set_trailers(trailers);
        Ok(())
    }

    /// Ends the answer.
    ///
    /// # Errors
    ///
    /// [`Error::AlreadyTaken`] before the head, and when the answer has been finished.
    #[inline]
    pub fn finish(&mut self) -> Result<()> {
        self.writer()?;
        if let Some(writer) = self.writer.take() {
            writer.finish();
        }
        self.shared.end(End::Finished);
        Ok(())
    }

    /// Whether the answer is finished.
    #[inline]
    pub fn is_finished(&self) -> bool {
        self.shared.is_finished()
    }

    /// The writer, for so many bytes more.
    #[inline]
    fn writer_of(&mut self, count: usize) -> Result<&mut BodyWriter> {
        self.left = self.left.and_then(|left| left.checked_sub(count as u64));
        self.writer()
    }

    #[inline]
    fn writer(&mut self) -> Result<&mut BodyWriter> {
        let what = if self.shared.begun.get() { "the answer" } else { "an answer without a head" };
        self.writer.as_mut().ok_or(Error::AlreadyTaken(what))
    }
}

impl Drop for HttpConnection {
    #[inline]
    fn drop(&mut self) {
        if self.left == Some(0) {
            // There is no more to come. It fails when that was said before.
            let _ = self.finish();
        }
        // The writer tells the body by itself.
        self.shared.end(End::GivenUp);
    }
}

impl fmt::Debug for HttpConnection {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpConnection")
            .field("begun", &self.shared.begun.get())
            .field("finished", &self.is_finished())
            .finish()
    }
}

impl Shared {
    /// Whether nothing more will be written: the answer is finished, or given up.
    #[inline]
    pub(super) fn is_over(&self) -> bool {
        self.end.get() != End::Open
    }

    #[inline]
    pub(super) fn is_finished(&self) -> bool {
        self.end.get() == End::Finished
    }

    /// The head, once, if there is one. Registers the task when it is still to come.
    #[inline]
    pub(super) fn take_head(&self, cx: &Context<'_>) -> Option<Head> {
        let head = self.head.take();
        if head.is_none() {
            self.wait(cx);
        }
        head
    }

    /// Waits until nothing more will be written.
    #[inline]
    pub(super) async fn over(&self) {
        poll_fn(|cx| {
            if self.is_over() {
                return Poll::Ready(());
            }
            self.wait(cx);
            Poll::Pending
        })
        .await;
    }

    #[inline]
    fn wait(&self, cx: &Context<'_>) {
        // Dropped when its place is filled: dropping a waker is foreign code.
        let previous = self.waiting.replace(Some(cx.waker().clone()));
        drop(previous);
    }

    #[inline]
    fn end(&self, end: End) {
        if !self.is_over() {
            self.end.set(end);
            self.wake();
        }
    }

    #[inline]
    fn wake(&self) {
        if let Some(waker) = self.waiting.take() {
            waker.wake();
        }
    }
}
