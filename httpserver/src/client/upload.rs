//! The body of a request on its way to the server.

use std::task::{Context, Poll};

use bytes::Bytes;
use http::Method;

use crate::{
    Body, Error, Frame, Limits, Result, Trailers,
    http1::{
        conn::{Conn, GATHER, SEND_WHOLE_FROM, YIELD_AFTER_BYTES, YIELD_AFTER_PIECES},
        encode,
        framing::BodyFraming,
    },
};

/// A body that is sent behind its head, which has announced the framing.
pub(super) struct Upload {
    body: Body,
    framing: BodyFraming,
    /// Bytes of body so far, framing not counted.
    written: u64,
    /// The server was asked whether it wants the body, and has not said so.
    pub(super) waits_for_continue: bool,
}

/// How `body` is framed in a request with this method.
#[inline]
pub(super) fn framing_of(body: &Body, method: &Method) -> BodyFraming {
    match body.content_length() {
        // RFC 9110 8.6 wants the length of a body that is empty where the method expects one.
        _ if body.is_end() && matches!(*method, Method::POST | Method::PUT | Method::PATCH) => BodyFraming::Length(0),
        _ if body.is_end() => BodyFraming::None,
        Some(length) => BodyFraming::Length(length),
        None => BodyFraming::Chunked,
    }
}

impl Upload {
    #[inline]
    pub(super) fn new(body: Body, framing: BodyFraming, waits_for_continue: bool) -> Upload {
        Upload { body, framing, written: 0, waits_for_continue }
    }

    /// Sends as much as the connection takes. Ready when all of it has been handed to the stream.
    ///
    /// # Errors
    ///
    /// Those of the body and of the connection, and [`Error::ContentLengthMismatch`].
    #[inline]
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, conn: &Conn, limits: &Limits) -> Poll<Result<()>> {
        let (mut bytes, mut pieces) = (0, 0);
        loop {
            // The back-pressure: the body is asked for more when what it gave has left.
            if conn.poll_flush(cx, limits)?.is_pending() {
                self.body.poll_progress(cx);
                return Poll::Pending;
            }
            let before = self.written;
            while self.written - before < GATHER as u64 && pieces < YIELD_AFTER_PIECES {
                pieces += 1;
                let end = match self.body.poll_frame(cx) {
                    Poll::Pending => {
                        conn.start_flush();
                        return Poll::Pending;
                    }
                    Poll::Ready(Some(frame)) => match frame? {
                        Frame::Data(data) => {
                            self.append(conn, data)?;
                            continue;
                        }
                        // Nothing may follow trailers, so the body is not asked again.
                        Frame::Trailers(trailers) => self.finish(conn, Some(&trailers)),
                    },
                    Poll::Ready(None) => self.finish(conn, None),
                };
                conn.start_flush();
                return Poll::Ready(end);
            }
            bytes += self.written - before;
            if bytes >= YIELD_AFTER_BYTES as u64 || pieces >= YIELD_AFTER_PIECES {
                conn.start_flush();
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
        }
    }

    #[inline]
    fn append(&mut self, conn: &Conn, data: Bytes) -> Result<()> {
        // An empty chunk would be the end of the body.
        if data.is_empty() {
            return Ok(());
        }
        let written = self.written + data.len() as u64;
        // One byte more would be read as the beginning of the next request.
        if let Some(announced) = self.announced()
            && written > announced
        {
            return Err(Error::ContentLengthMismatch { announced, written });
        }
        self.written = written;
        let is_chunked = self.framing == BodyFraming::Chunked;
        if data.len() < SEND_WHOLE_FROM {
            conn.with_output(|out| match is_chunked {
                true => encode::append_chunk(out, &data),
                false => out.extend_from_slice(&data),
            });
            return Ok(());
        }
        if is_chunked {
            conn.with_output(|out| encode::append_chunk_size(out, data.len()));
        }
        conn.start_flush_with(data);
        if is_chunked {
            conn.with_output(|out| out.extend_from_slice(b"\r\n"));
        }
        Ok(())
    }

    #[inline]
    fn finish(&self, conn: &Conn, trailers: Option<&Trailers>) -> Result<()> {
        match self.announced() {
            // The server would wait for the rest, and take the next request for it.
            Some(announced) if announced != self.written => {
                Err(Error::ContentLengthMismatch { announced, written: self.written })
            }
            Some(_) => Ok(()),
            None => {
                conn.with_output(|out| encode::append_last_chunk(out, trailers));
                Ok(())
            }
        }
    }

    /// The length in the head; `None` for chunks.
    #[inline]
    fn announced(&self) -> Option<u64> {
        match self.framing {
            BodyFraming::None => Some(0),
            BodyFraming::Length(length) => Some(length),
            BodyFraming::Chunked => None,
        }
    }
}
