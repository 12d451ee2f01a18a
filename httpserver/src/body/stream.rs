use std::{
    pin::Pin,
    task::{Context, Poll},
};

use crate::{Error, Frame, Result};

/// A source of a body's pieces, pulled by the connection that sends them: what [`Body::stream`](crate::Body::stream)
/// takes.
///
/// The connection asks for a piece when it has room for one, so a slow client slows its source down. It gathers what is
/// ready, up to 64 KiB, into one send; when the source is pending it sends what it has.
///
/// Only [`poll_frame`](BodyStream::poll_frame) must be written. A source that wraps another one should pass the other
/// two calls on; without them the inner source is dropped earlier, and stands still while the client takes nothing.
///
/// # Examples
///
/// A wrap that counts the bytes of any body:
///
/// ```
/// use std::{cell::Cell, pin::Pin, rc::Rc, task::{Context, Poll, ready}};
/// use httpserver::{Body, BodyStream, Frame, IOLoop};
///
/// struct Counted {
///     body: Body,
///     count: Rc<Cell<usize>>,
/// }
///
/// impl BodyStream for Counted {
///     fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<httpserver::Result<Frame>>> {
///         let frame = ready!(self.body.poll_frame(cx));
///         if let Some(Ok(Frame::Data(data))) = &frame {
///             self.count.set(self.count.get() + data.len());
///         }
///         Poll::Ready(frame)
///     }
/// }
///
/// let count = Rc::new(Cell::new(0));
/// let mut body = Body::stream(Counted { body: Body::from("twelve bytes"), count: count.clone() });
/// IOLoop::current().run_sync(body.bytes(100))?;
/// assert_eq!(count.get(), 12);
/// # Ok::<_, httpserver::Error>(())
/// ```
pub trait BodyStream: 'static {
    /// The next piece; `None` at the end.
    ///
    /// A call also says that everything returned before a [`Poll::Pending`] has been taken by the kernel, as far as a
    /// connection is the receiver.
    ///
    /// # Errors
    ///
    /// An error ends the body. A receiver that has begun to send the answer closes its connection, so that the client
    /// sees the body to be incomplete.
    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame>>>;

    /// Called instead of [`poll_frame`](BodyStream::poll_frame) while the receiver can take nothing more: a source that
    /// is a future at work goes on with what needs no room, its time-outs for example. Does nothing by default.
    fn poll_progress(self: Pin<&mut Self>, cx: &mut Context<'_>) {
        let _ = cx;
    }

    /// Called when the receiver has gone; `error` says why. With `true` the source is polled to its end, and its pieces
    /// are dropped; with `false`, the default, it is dropped.
    fn receiver_gone(self: Pin<&mut Self>, error: &Error) -> bool {
        let _ = error;
        false
    }

    /// The number of bytes to come, if it is known. An answer then carries `Content-Length` instead of being chunked.
    fn exact_size(&self) -> Option<u64> {
        None
    }
}
