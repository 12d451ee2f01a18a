use std::{
    fmt,
    future::poll_fn,
    rc::Rc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;

use crate::{Error, Result, http1::channel::Channel};

/// The body of a request, read from the connection as it is asked for.
///
/// Nothing is read ahead, so a service that reads slowly slows its client down. What a service leaves unread is dropped
/// by the connection if it is short ([`Limits::max_unread_body`](crate::Limits::max_unread_body)); otherwise the
/// connection is closed after the answer.
///
/// A client that said `Expect: 100-continue` gets its `100 Continue` when the body is first asked for.
pub struct Body {
    channel: Rc<Channel>,
    /// Which request of the connection it belongs to: a body kept longer than that reads nothing of the next one.
    serial: u32,
}

impl Body {
    pub(crate) fn new(channel: Rc<Channel>, serial: u32) -> Body {
        Body { channel, serial }
    }

    /// The next piece, of 1 to 65,536 bytes, or `None` at the end. A piece is what has arrived; it says nothing about the
    /// pieces in which the client sent it.
    ///
    /// # Errors
    ///
    /// [`Error::BadRequest`] for a malformed chunk, [`Error::BodyTooLarge`] beyond
    /// [`Limits::max_body`](crate::Limits::max_body), [`Error::BodyTimeout`] when nothing came for
    /// [`Limits::body_timeout`](crate::Limits::body_timeout), [`Error::Closed`] when the client left in the middle,
    /// [`Error::AlreadyTaken`] when the request has been answered. After an error the connection is closed with the
    /// answer; a service may return the error as its answer and the client gets the right status.
    ///
    /// # Cancel safety
    ///
    /// A dropped future loses nothing.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>> {
        self.channel.begin_body_wait();
        poll_fn(|cx| self.poll_chunk(cx)).await
    }

    /// [`chunk`](Body::chunk) for hand-written futures.
    pub fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>>> {
        self.check_current()?;
        // Several chunks that arrived together become one piece.
        let mut piece = Vec::new();
        let more = ready!(self.channel.poll_body(cx, &mut |data| piece.extend_from_slice(data)))?;
        Poll::Ready(Ok(more.then(|| Bytes::from(piece))))
    }

    /// The rest of the body in one piece, of at most `max` bytes.
    ///
    /// # Errors
    ///
    /// [`Error::BodyTooLarge`] when it is longer than `max`, at once if the client announced so; otherwise as
    /// [`chunk`](Body::chunk).
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: what was collected is lost with the future.
    pub async fn bytes(&mut self, max: usize) -> Result<Bytes> {
        self.check_current()?;
        let limit = max as u64;
        let announced = self.channel.announced_body();
        if announced.is_some_and(|length| length > limit) {
            self.channel.give_up_body();
            return Err(Error::BodyTooLarge { limit });
        }
        let mut collected: Vec<u8> = Vec::new();
        let mut too_large = false;
        self.channel.begin_body_wait();
        loop {
            let more = poll_fn(|cx| {
                self.check_current()?;
                // Called once per chunk, perhaps several times in a poll.
                self.channel.poll_body(cx, &mut |data| {
                    too_large |= data.len() > max - collected.len();
                    if too_large {
                        return;
                    }
                    if collected.is_empty() {
                        // A client's word for the length is taken once it has begun to deliver, and in steps.
                        let expected = announced.unwrap_or(0).min(COLLECT_STEP).max(data.len() as u64);
                        collected.reserve_exact(expected as usize);
                    }
                    collected.extend_from_slice(data);
                })
            })
            .await?;
            if too_large {
                self.channel.give_up_body();
                return Err(Error::BodyTooLarge { limit });
            }
            if !more {
                return Ok(Bytes::from(collected));
            }
        }
    }

    /// Whether everything has been read. True from the start for a request without a body.
    pub fn is_end(&self) -> bool {
        self.check_current().is_err() || self.channel.is_body_done()
    }

    /// The Content-Length of the request; `None` for a chunked body, and 0 when there is no body. `None` also once the
    /// request has been answered.
    pub fn content_length(&self) -> Option<u64> {
        self.check_current().ok().and_then(|()| self.channel.announced_body())
    }

    pub(crate) fn channel(&self) -> &Rc<Channel> {
        &self.channel
    }

    pub(crate) fn serial(&self) -> u32 {
        self.serial
    }

    fn check_current(&self) -> Result<()> {
        if self.channel.is_current(self.serial) {
            return Ok(());
        }
        Err(Error::AlreadyTaken("the body of an answered request"))
    }
}

/// Memory set aside at once for a body whose length was announced.
const COLLECT_STEP: u64 = 256 * 1024;

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Body").field("end", &self.is_end()).finish_non_exhaustive()
    }
}
