//! Bodies that are written: a queue with a writer at one end and the body at the other.
//!
//! [`BodyWriter`] puts pieces into a [`Pipe`]; [`Written`], which is the body, takes them out. There are two ways to
//! drive the writer. With [`Body::writer`] its future lives inside the body, and polling the body polls the future: no
//! task, and no wake-up between the two. With [`Body::channel`] another task writes, and each side wakes the other.
//!
//! Back-pressure is a bound on the queue: a write waits while more than [`AHEAD`] bytes are in it. Nothing tells the
//! writer when its bytes have been sent, but one thing follows from how bodies are polled: a receiver that was told to
//! wait comes back only when it has passed on what it had. [`BodyWriter::flush`] counts these returns.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    fmt,
    future::{Future, poll_fn},
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, Waker},
};

use bytes::Bytes;

use super::{Body, BodyStream, Frame, Trailers};
use crate::{Error, Result};

/// How many bytes a writer may be ahead of the receiver. The last piece may go beyond.
const AHEAD: usize = 64 * 1024;

/// Pieces from this size on are passed on as they are instead of being copied together with their neighbours.
const WHOLE_FROM: usize = 4 * 1024;

impl Body {
    /// A body that `write` writes piece by piece: the way to answers that are long or come over time.
    ///
    /// The future that `write` returns is the body. The connection polls it, beginning when the head is made, which leaves
    /// together with what is written at once; it is never polled for a HEAD request, nor for a status without content. The body
    /// ends when it returns `Ok`. An error, or a panic, ends the connection, so that the client can tell that something is
    /// missing.
    ///
    /// # Examples
    ///
    /// ```
    /// use httpserver::{Body, HttpServer, Request, Response};
    ///
    /// HttpServer::new(async |_: Request| {
    ///     Response::text(Body::writer(async |mut out| {
    ///         for line in ["one\n", "two\n", "three\n"] {
    ///             out.write(line).await?;
    ///         }
    ///         Ok(())
    ///     }))
    /// });
    /// ```
    pub fn writer(write: impl AsyncFnOnce(BodyWriter) -> Result<()> + 'static) -> Body {
        let pipe = Rc::new(Pipe::default());
        let writer = BodyWriter { pipe: Rc::clone(&pipe) };
        Body::stream(Written { future: Some(Box::pin(async move { write(writer).await })), error: None, pipe })
    }

    /// A body, and the writer for it: for pieces that another task produces.
    ///
    /// The body ends with [`BodyWriter::finish`]. A writer dropped before that breaks it off.
    ///
    /// # Examples
    ///
    /// ```
    /// use httpserver::{Body, IOLoop, spawn};
    ///
    /// let (mut writer, mut body) = Body::channel();
    /// let text = IOLoop::current().run_sync(async move {
    ///     let _producer = spawn(async move {
    ///         writer.write("from another task").await?;
    ///         writer.finish();
    ///         Ok::<_, httpserver::Error>(())
    ///     });
    ///     body.bytes(100).await
    /// })?;
    /// assert_eq!(text, "from another task");
    /// # Ok::<_, httpserver::Error>(())
    /// ```
    #[inline]
    pub fn channel() -> (BodyWriter, Body) {
        let pipe = Rc::new(Pipe::default());
        (BodyWriter { pipe: Rc::clone(&pipe) }, Body::stream(Written { future: None, error: None, pipe }))
    }
}

/// Writes the pieces of a body; see [`Body::writer`] and [`Body::channel`].
///
/// # Cancel safety
///
/// Of all its futures: a piece counts as written when the future is first polled; dropping the future takes nothing back.
pub struct BodyWriter {
    pipe: Rc<Pipe>,
}

/// A future that writes.
type WritingFuture = Pin<Box<dyn Future<Output = Result<()>>>>;

/// What a writer and its body share.
#[derive(Default)]
struct Pipe {
    /// Borrowed for a moment at a time, and never while a waker is called, which is foreign code.
    queue: RefCell<Queue>,
    /// Whether the writer has said that there is no more.
    end: Cell<End>,
    /// Why nobody receives any more.
    gone: RefCell<Option<Error>>,
    /// How often the receiver has come back for more after it was told to wait: then it has taken all that was there.
    returns: Cell<u64>,
    /// The receiver was told to wait.
    waited: Cell<bool>,
    /// The writer waits for the receiver's next return.
    flushing: Cell<bool>,
    /// A future that was handed to the body after it was made.
    driver: Cell<Option<WritingFuture>>,
    /// The task to wake when there is something to receive.
    receiver: Cell<Option<Waker>>,
    /// The task to wake when there is room again, or when all was taken.
    writer: Cell<Option<Waker>>,
}

/// What was written and not yet received.
#[derive(Default)]
struct Queue {
    /// In the order written. Large ones are those that were given, uncopied where they were `Bytes`.
    pieces: VecDeque<Bytes>,
    /// Small pieces, gathered behind all of `pieces`.
    gathered: Vec<u8>,
    /// Bytes in both.
    len: usize,
    /// What follows all pieces, if the body is finished.
    trailers: Option<Trailers>,
}

/// How far the writer has got.
#[derive(Default, Clone, Copy, PartialEq, Eq)]
enum End {
    /// More may come.
    #[default]
    Open,
    /// All is written: the body ends behind the queue.
    Finished,
    /// The writer was dropped in the middle.
    Broken,
}

impl BodyWriter {
    /// Adds a piece to the body, and waits while the receiver is more than 64 KiB behind: a slow client slows its writer
    /// down. Takes strings and bytes; slices are copied.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`] and [`Error::WriteTimeout`] when the client has gone or takes nothing; what the receiver of the
    /// body says otherwise. [`Error::AlreadyTaken`] when the body has been dropped.
    pub async fn write(&mut self, data: impl AsRef<[u8]>) -> Result<()> {
        self.pipe.check_receiver()?;
        self.pipe.push(data.as_ref());
        self.wait_for_room().await
    }

    /// Adds a piece that is there as `Bytes`. A large one is not copied.
    ///
    /// # Errors
    ///
    /// As [`write`](BodyWriter::write).
    pub async fn write_bytes(&mut self, data: Bytes) -> Result<()> {
        self.pipe.check_receiver()?;
        self.pipe.push_bytes(data);
        self.wait_for_room().await
    }

    /// Waits until everything written has been taken by the receiver; by the kernel, if that is a connection.
    ///
    /// It is not needed to have something sent: what was written leaves as soon as the writer waits for anything. It is
    /// for pacing: the next piece of work does not begin before the bytes of this one have gone.
    ///
    /// # Errors
    ///
    /// As [`write`](BodyWriter::write).
    pub async fn flush(&mut self) -> Result<()> {
        let pipe = &*self.pipe;
        let mut target = None;
        poll_fn(|cx| {
            pipe.check_receiver()?;
            // The next return of the receiver after a wait says that it has taken what there was when the wait began.
            // When it waits already, what is queued now is fetched by that return, and has been taken by the one after.
            let is_behind_wait = pipe.waited.get() && !pipe.queue.borrow().is_empty();
            let target = *target.get_or_insert(pipe.returns.get() + 1 + u64::from(is_behind_wait));
            if pipe.returns.get() >= target {
                return Poll::Ready(Ok(()));
            }
            pipe.flushing.set(true);
            pipe.set_writer(cx);
            // It may have nothing else to do, and without coming back it would not be counted.
            pipe.wake_receiver();
            Poll::Pending
        })
        .await
    }

    /// Sends trailers behind the body; see [`Frame::Trailers`].
    #[inline]
    pub fn set_trailers(&mut self, trailers: Trailers) {
        self.pipe.queue.borrow_mut().trailers = Some(trailers);
    }

    /// Adds the last piece and ends the body, without waiting for room.
    #[inline]
    pub fn finish_with(self, data: Bytes) {
        self.pipe.push_bytes(data);
        self.finish();
    }

    /// A handle by which the body is given a future to poll; see [`BodyDriver`].
    #[inline]
    pub fn driver(&self) -> BodyDriver {
        BodyDriver { pipe: Rc::clone(&self.pipe) }
    }

    /// Ends the body. For the writer of [`Body::channel`]; in [`Body::writer`] returning `Ok` does the same.
    #[inline]
    pub fn finish(self) {
        self.pipe.end.set(End::Finished);
    }

    /// Waits while the queue is over its bound. The piece is in it already, so a dropped future takes nothing back.
    async fn wait_for_room(&self) -> Result<()> {
        poll_fn(|cx| {
            self.pipe.check_receiver()?;
            if self.pipe.queue.borrow().len <= AHEAD {
                return Poll::Ready(Ok(()));
            }
            self.pipe.set_writer(cx);
            Poll::Pending
        })
        .await
    }
}

/// Hands a body of [`Body::channel`] the future that writes it, after the body has been made: the body is then as one of
/// [`Body::writer`].
///
/// For a future that is under way already when it turns out that it will stream: the head of its answer is passed on with
/// the body, and what is left of the future becomes the body's own work. `web`'s handlers become bodies in this way with
/// their first flush.
pub struct BodyDriver {
    pipe: Rc<Pipe>,
}

impl BodyDriver {
    /// Has the body poll `future`. The body ends when it returns `Ok`; an error breaks it off. When the body has been
    /// dropped already, so is the future.
    #[inline]
    pub fn drive(self, future: impl Future<Output = Result<()>> + 'static) {
        if self.pipe.check_receiver().is_ok() {
            self.pipe.driver.set(Some(Box::pin(future)));
            self.pipe.wake_receiver();
        }
    }
}

impl fmt::Debug for BodyDriver {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BodyDriver")
    }
}

impl Drop for BodyWriter {
    #[inline]
    fn drop(&mut self) {
        if self.pipe.end.get() == End::Open {
            self.pipe.end.set(End::Broken);
        }
        self.pipe.wake_receiver();
    }
}

impl fmt::Debug for BodyWriter {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BodyWriter").field("queued", &self.pipe.queue.borrow().len).finish_non_exhaustive()
    }
}

impl Pipe {
    /// Whether the body is still there to receive what is written.
    ///
    /// # Errors
    ///
    /// Why it is not.
    #[inline]
    fn check_receiver(&self) -> Result<()> {
        match &*self.gone.borrow() {
            None => Ok(()),
            Some(error) => Err(error.clone()),
        }
    }

    /// Queues a copy of `data`: a small piece behind its neighbours, so that many of them leave as one.
    #[inline]
    fn push(&self, data: &[u8]) {
        if data.len() >= WHOLE_FROM {
            return self.push_bytes(Bytes::copy_from_slice(data));
        }
        let mut queue = self.queue.borrow_mut();
        queue.gathered.extend_from_slice(data);
        queue.len += data.len();
        // The waker runs foreign code, which may write.
        drop(queue);
        self.wake_receiver();
    }

    /// Queues `data` as it is, unless it is so small that a copy is less than a piece of its own.
    #[inline]
    fn push_bytes(&self, data: Bytes) {
        if data.len() < WHOLE_FROM {
            return self.push(&data);
        }
        let mut queue = self.queue.borrow_mut();
        queue.close_gathered();
        queue.len += data.len();
        queue.pieces.push_back(data);
        drop(queue);
        self.wake_receiver();
    }

    /// The next piece, and the writer woken when that makes room.
    #[inline]
    fn pop(&self) -> Option<Bytes> {
        let mut queue = self.queue.borrow_mut();
        let piece = match queue.pieces.pop_front() {
            Some(piece) => piece,
            None if queue.gathered.is_empty() => return None,
            // Not through the queue, which would keep the room for it as long as the body waits.
            None => Bytes::from(std::mem::take(&mut queue.gathered)),
        };
        queue.len -= piece.len();
        let has_room = queue.len <= AHEAD;
        drop(queue);
        if has_room {
            self.wake_writer();
        }
        Some(piece)
    }

    /// Has the task woken that writes.
    #[inline]
    fn set_writer(&self, cx: &Context<'_>) {
        // Dropped by name, after its place has been filled: dropping a waker is foreign code.
        let previous = self.writer.replace(Some(cx.waker().clone()));
        drop(previous);
    }

    /// Wakes the task that polls the body, if it was told to wait. Once for any number of pieces.
    #[inline]
    fn wake_receiver(&self) {
        if let Some(waker) = self.receiver.take() {
            waker.wake();
        }
    }

    /// Wakes the task that writes, if it waits.
    #[inline]
    fn wake_writer(&self) {
        if let Some(waker) = self.writer.take() {
            waker.wake();
        }
    }
}

impl Queue {
    #[inline]
    fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Makes the small pieces gathered so far one of the pieces, so that the next one keeps its place behind them.
    #[inline]
    fn close_gathered(&mut self) {
        if !self.gathered.is_empty() {
            self.pieces.push_back(Bytes::from(std::mem::take(&mut self.gathered)));
        }
    }
}

/// The body's end of the pipe, with the future that fills it unless another task does.
struct Written {
    /// The closure of [`Body::writer`], or what a [`BodyDriver`] was given. Gone once it has returned.
    future: Option<WritingFuture>,
    /// Why the future ended. Told behind what it wrote.
    error: Option<Error>,
    pipe: Rc<Pipe>,
}

impl Written {
    /// Lets the writing future go on, if there is one.
    #[inline]
    fn poll_future(&mut self, cx: &mut Context<'_>) {
        if self.future.is_none() {
            self.future = self.pipe.driver.take();
        }
        let Some(future) = &mut self.future else { return };
        let Poll::Ready(result) = future.as_mut().poll(cx) else { return };
        self.future = None;
        // The writer is gone by now, or kept by another task whose pieces come too late.
        self.pipe.end.set(if result.is_ok() { End::Finished } else { End::Broken });
        self.error = result.err();
    }
}

impl BodyStream for Written {
    #[inline]
    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame>>> {
        let this = &mut *self;
        let pipe = Rc::clone(&this.pipe);
        // A return behind a wait: all that was given out before has been passed on.
        if pipe.waited.replace(false) {
            pipe.returns.set(pipe.returns.get() + 1);
            if pipe.flushing.replace(false) {
                pipe.wake_writer();
            }
        }
        // What is there goes first: the future would only add to it, and it may be waiting for room.
        if pipe.queue.borrow().len <= AHEAD {
            this.poll_future(cx);
        }
        if let Some(piece) = pipe.pop() {
            return Poll::Ready(Some(Ok(Frame::Data(piece))));
        }
        // Behind all pieces: what was written before the failure still arrives.
        if let Some(error) = this.error.take() {
            return Poll::Ready(Some(Err(error)));
        }
        match pipe.end.get() {
            End::Finished => {
                let trailers = pipe.queue.borrow_mut().trailers.take();
                Poll::Ready(trailers.map(|trailers| Ok(Frame::Trailers(trailers))))
            }
            // A future whose writer was dropped may still return an error that says more.
            End::Broken if this.future.is_none() => Poll::Ready(Some(Err(Error::BodyBroken))),
            End::Open | End::Broken => {
                pipe.waited.set(true);
                let previous = pipe.receiver.replace(Some(cx.waker().clone()));
                drop(previous);
                // Nothing else brings the receiver back when all it has to do is to send what it was given.
                if pipe.flushing.get() {
                    cx.waker().wake_by_ref();
                }
                Poll::Pending
            }
        }
    }

    #[inline]
    fn poll_progress(mut self: Pin<&mut Self>, cx: &mut Context<'_>) {
        self.poll_future(cx);
    }

    #[inline]
    fn receiver_gone(mut self: Pin<&mut Self>, error: &Error) -> bool {
        let this = &mut *self;
        this.pipe.gone.replace(Some(error.clone()));
        // A writer that waits for room would wait for ever.
        this.pipe.wake_writer();
        // Handed over, and not polled here yet: it goes on all the same, and learns of it from its first write.
        if this.future.is_none() {
            this.future = this.pipe.driver.take();
        }
        this.future.is_some()
    }
}

impl Drop for Written {
    #[inline]
    fn drop(&mut self) {
        // First the future: it may still be using the pipe. One that was never begun would otherwise keep the pipe alive
        // that holds it.
        self.future = None;
        drop(self.pipe.driver.take());
        self.pipe.gone.borrow_mut().get_or_insert(Error::AlreadyTaken("the body"));
        self.pipe.wake_writer();
    }
}
