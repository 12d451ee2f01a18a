//! The body of a message as its reader sees it: a handle to the connection that it comes over.
//!
//! The handle holds no bytes. The connection shows what it has received, and the reader copies it once, straight from
//! the read chunk. A handle that is kept beyond the answer of its request reads nothing of the next one: every read
//! compares the number of its message with the one in hand.

use std::{
    future::poll_fn,
    rc::Rc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;

use super::{Frame, Trailers};
use crate::{Error, Result, http1::conn::BodyBounds};

/// Memory set aside at once for a body whose length was announced, in bytes. More is set aside as the body comes.
const COLLECT_STEP: u64 = 256 * 1024;

/// What a connection does for the bodies that come over it, whatever its role.
pub(crate) trait IncomingSource {
    /// Whether the message with this number is still the one in hand.
    fn is_current(&self, serial: u32) -> bool;
    /// The Content-Length of the message in hand.
    fn announced_body(&self) -> Option<u64>;
    /// Whether nothing of the message in hand is still to come.
    fn is_body_done(&self) -> bool;
    /// The time since an earlier read was given up does not count.
    fn begin_body_wait(&self);
    /// The next data, for `sink`. False at the end.
    fn poll_body(&self, cx: &mut Context<'_>, sink: &mut Sink<'_>) -> Poll<Result<bool>>;
    /// Has `set` change how long the message in hand may take.
    fn set_bounds(&self, set: &dyn Fn(&mut BodyBounds));
    /// Takes the trailers behind the body of the message in hand, once it has come.
    fn take_trailers(&self) -> Option<Trailers>;
    /// Whether there are some to take.
    fn has_trailers(&self) -> bool;
    /// Nobody will read the rest: the connection ends with the message. Later reads repeat what is
    /// returned: `error`, or the failure there was before.
    fn give_up_body(&self, error: Error) -> Error;
    /// The body of the message with this number has been dropped: nothing of it can be read any more.
    fn release_body(&self, serial: u32);
}

/// Where the data of a body goes.
pub(crate) enum Sink<'s> {
    /// It is shown where it was received, perhaps in several pieces.
    Show(&'s mut dyn FnMut(&[u8])),
    /// It is kept, as one piece.
    Keep(&'s mut Piece),
}

impl Sink<'_> {
    pub(crate) fn show(&mut self, data: &[u8]) {
        match self {
            Sink::Show(show) => show(data),
            Sink::Keep(piece) => piece.copied.extend_from_slice(data),
        }
    }
}

/// Data that a reader keeps. The read chunk belongs to the loop, and the next read of any connection overwrites it: so the
/// data is a copy, or takes the chunk along.
#[derive(Default)]
pub(crate) struct Piece {
    /// Chunks of a body that arrived together become one piece.
    copied: Vec<u8>,
    received: Bytes,
}

impl Piece {
    /// All of it has been received as `data`.
    pub(crate) fn received(&mut self, data: Bytes) {
        self.received = data;
    }

    fn into_bytes(self) -> Bytes {
        if self.copied.is_empty() { self.received } else { Bytes::from(self.copied) }
    }
}

/// The body of a message that comes over a connection.
pub(crate) struct Incoming {
    /// The connection, whatever its role.
    source: Rc<dyn IncomingSource>,
    /// Which message of the connection it belongs to: a body kept longer than that reads nothing of the next one.
    serial: u32,
}

impl Incoming {
    /// The body of the message that has this number on `source`.
    pub(crate) fn new(source: Rc<dyn IncomingSource>, serial: u32) -> Incoming {
        Incoming { source, serial }
    }

    /// What has come, in one piece of its own; `None` at the end.
    pub(super) fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>>> {
        self.check_current()?;
        let mut piece = Piece::default();
        let more = ready!(self.source.poll_body(cx, &mut Sink::Keep(&mut piece)))?;
        Poll::Ready(Ok(more.then(|| piece.into_bytes())))
    }

    /// What has come, and behind the end of it the trailers, if there are some.
    pub(super) fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame>>> {
        Poll::Ready(match ready!(self.poll_chunk(cx)) {
            Ok(Some(data)) => Some(Ok(Frame::Data(data))),
            Ok(None) => self.take_trailers().map(|trailers| Ok(Frame::Trailers(trailers))),
            Err(error) => Some(Err(error)),
        })
    }

    /// Has `set` change how long the body may take.
    #[inline]
    pub(super) fn set_bounds(&self, set: &dyn Fn(&mut BodyBounds)) {
        if self.check_current().is_ok() {
            self.source.set_bounds(set);
        }
    }

    /// The trailers behind the body; `None` before its end has come, and when there are none.
    pub(super) fn take_trailers(&self) -> Option<Trailers> {
        self.check_current().ok().and_then(|()| self.source.take_trailers())
    }

    /// The rest in one piece of at most `max` bytes, collected straight from where it was received.
    ///
    /// # Errors
    ///
    /// [`Error::BodyTooLarge`] beyond `max`, and those of the body. Either way what was collected is lost.
    pub(super) async fn bytes(&mut self, max: usize, announced: Option<u64>) -> Result<Bytes> {
        self.check_current()?;
        let mut collected: Vec<u8> = Vec::new();
        let mut too_large = false;
        self.source.begin_body_wait();
        loop {
            let more = poll_fn(|cx| {
                // Anew in each poll: the answer may have been given meanwhile, by another task.
                self.check_current()?;
                // Called once per chunk, perhaps several times in a poll.
                let mut collect = |data: &[u8]| {
                    too_large |= data.len() > max - collected.len();
                    // A sink cannot end the read. What is behind the limit is passed over until it returns.
                    if too_large {
                        return;
                    }
                    if collected.is_empty() {
                        // A client's word for the length is taken once it has begun to deliver, and in steps.
                        let expected = announced.unwrap_or(0).min(COLLECT_STEP).max(data.len() as u64);
                        collected.reserve_exact(expected as usize);
                    }
                    collected.extend_from_slice(data);
                };
                self.source.poll_body(cx, &mut Sink::Show(&mut collect))
            })
            .await?;
            if too_large {
                return Err(self.give_up(Error::BodyTooLarge { limit: max as u64 }));
            }
            if !more {
                return Ok(Bytes::from(collected));
            }
        }
    }

    /// Whether nothing more can be read: the end has come, or the message has been answered.
    #[inline]
    pub(super) fn is_end(&self) -> bool {
        self.check_current().is_err() || self.source.is_body_done() && !self.source.has_trailers()
    }

    /// The length that the peer announced, however much of it has been read; `None` for a chunked body.
    pub(super) fn content_length(&self) -> Option<u64> {
        self.check_current().ok().and_then(|()| self.source.announced_body())
    }

    /// A read begins: the time since an earlier one was given up does not count.
    pub(super) fn begin_wait(&self) {
        // The wait under way may be that for the next message, and is not ours to begin anew.
        if self.check_current().is_ok() {
            self.source.begin_body_wait();
        }
    }

    /// Nobody will read the rest. Returns what later reads repeat: `error`, or an earlier failure.
    pub(super) fn give_up(&self, error: Error) -> Error {
        match self.check_current() {
            Ok(()) => self.source.give_up_body(error),
            Err(error) => error,
        }
    }

    /// What is kept beyond its answer must not read the next message as its own.
    fn check_current(&self) -> Result<()> {
        if self.source.is_current(self.serial) {
            return Ok(());
        }
        Err(Error::AlreadyTaken("the body of an answered request"))
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        self.source.release_body(self.serial);
    }
}
