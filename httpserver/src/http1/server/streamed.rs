//! Answers whose body is pulled from a stream.
//!
//! A round of [`poll_stream`](ServerConn::poll_stream) goes like this:
//!
//! 1. Flush, but for the first time, when the head is all there is. Until the kernel has taken what was gathered before,
//!    the body is not asked for more: this is the back-pressure, and what a client that reads slowly costs is bounded by
//!    one round.
//! 2. Gather what the body has ready, up to [`GATHER`] bytes. Small pieces are copied together, large ones are sent
//!    from where they are.
//! 3. When the body has to wait, send what there is, and watch for a client that leaves.
//!
//! A file is not pulled. The stream sends it behind the head, from the kernel's page cache, and the next flush waits for
//! that.
//!
//! When the client has gone, a body that wants it is polled to its own end, and its pieces are dropped.

use std::{
    mem,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use iostream::{
    FilePart,
    ioloop::{Printable, report_failure},
};

use super::{Flag, ServerConn, as_peer};
use crate::{
    Body, Error, Frame, Result, Trailers,
    http1::{
        conn::{GATHER, SEND_WHOLE_FROM, YIELD_AFTER_BYTES, YIELD_AFTER_PIECES},
        encode::{self, EncodedStream, StreamFraming},
    },
};

/// An answer on its way, its head encoded. Lives in a box, and only while it lasts.
pub(super) struct Streamed {
    body: Body,
    /// What the head announced.
    framing: StreamFraming,
    /// What the head announced about the connection.
    keep_alive: bool,
    /// Bytes of body so far, framing not counted; compared with an announced length.
    written: u64,
    /// The body has been asked.
    begun: bool,
    /// The client has gone, and the body goes on to its own end.
    unheard: bool,
}

/// What a round of gathering ended with.
enum Gathered {
    /// The body has more when it is asked again.
    Some,
    /// The body is waiting for something.
    Pending,
    /// The body is over.
    End,
}

impl Streamed {
    /// `body` behind the head that `encoded` tells of.
    pub(super) fn new(body: Body, encoded: EncodedStream) -> Streamed {
        Streamed {
            body,
            framing: encoded.framing,
            keep_alive: encoded.keep_alive,
            written: 0,
            begun: false,
            unheard: false,
        }
    }

    /// The file that is to be sent, once. Of a counted body alone: every chunk would need its size in front.
    #[inline]
    fn take_file(&mut self) -> Option<FilePart> {
        if matches!(self.framing, StreamFraming::Counted(_)) { self.body.take_file() } else { None }
    }
}

impl ServerConn {
    /// Pulls the body and sends it. Ready with whether the connection goes on.
    pub(super) fn poll_streamed(&self, cx: &mut Context<'_>, streamed: &mut Streamed) -> Poll<bool> {
        let is_whole = ready!(self.poll_stream(cx, streamed));
        if !is_whole {
            self.break_off();
        }
        self.conn.flags.clear(Flag::IN_HAND);
        // Its destructor is the user's, too. From here on a panic comes behind the answer and takes nothing from it.
        drop(mem::take(&mut streamed.body));
        Poll::Ready(is_whole && streamed.keep_alive)
    }

    /// Ready with false when half an answer is out and the connection has to be cut.
    fn poll_stream(&self, cx: &mut Context<'_>, streamed: &mut Streamed) -> Poll<bool> {
        let (mut bytes, mut pieces) = (0, 0);
        loop {
            // The head leaves with the first round, or with the file: a send of its own would cost as much as the rest of a
            // short answer. Unless the body has to wait; then it is sent below.
            let is_first = !mem::replace(&mut streamed.begun, true) && !self.conn.has_queue();
            let file = streamed.take_file();
            if !is_first && file.is_none() && !streamed.unheard {
                // The back-pressure: the body is asked for more when what it gave has left.
                match self.poll_flush(cx) {
                    Poll::Ready(Ok(())) => {}
                    Poll::Ready(Err(error)) => {
                        if !self.lose_client(streamed, error) {
                            return Poll::Ready(false);
                        }
                    }
                    Poll::Pending => {
                        // A writer that waits for a timer or a channel is not held up by its slow client.
                        streamed.body.poll_progress(cx);
                        return self.poll_interrupted(cx, streamed);
                    }
                }
            }
            let gathered = match file {
                Some(part) => self.append_file(cx, streamed, part).map(|()| Gathered::Some),
                None => self.gather(cx, streamed, &mut bytes, &mut pieces),
            };
            match gathered {
                // The end stays in the output. It leaves with the next answer, or before the wait for the next request.
                Ok(Gathered::End) => return Poll::Ready(!streamed.unheard),
                Ok(Gathered::Some) => {}
                // What was gathered is sent now: the body may wait for long.
                Ok(Gathered::Pending) => {
                    self.conn.start_flush();
                    return self.poll_interrupted(cx, streamed);
                }
                Err(error) => {
                    self.log_broken_off(&error);
                    return Poll::Ready(false);
                }
            }
            if bytes >= YIELD_AFTER_BYTES || pieces >= YIELD_AFTER_PIECES {
                // A source that is always ready for a client that takes all at once must not starve the others.
                self.conn.start_flush();
                cx.waker().wake_by_ref();
                return self.poll_interrupted(cx, streamed);
            }
        }
    }

    #[cold]
    fn log_broken_off(&self, error: &Error) {
        // Any client can send a body that fails in the middle of its answer. One line has said so already.
        if error.status().is_some() && self.conn.has_failed() {
            return;
        }
        // A client that has gone is no news, and whoever broke the body off has said why.
        let is_known = error.is_client_gone() || matches!(error, Error::BodyBroken);
        let (peer, reason) = (as_peer(self.peer()), Printable::display(error));
        match is_known {
            true => log::debug!("answer to {peer} broken off: {reason}"),
            false => report_failure("httpserver", format_args!("answer to {peer} broken off: {reason}")),
        }
    }

    /// Takes pieces until there is enough to send, or no more for now. `bytes` and `pieces` count on over the rounds of
    /// a poll.
    ///
    /// # Errors
    ///
    /// Those of the body, and [`Error::ContentLengthMismatch`].
    fn gather(
        &self,
        cx: &mut Context<'_>,
        streamed: &mut Streamed,
        bytes: &mut usize,
        pieces: &mut usize,
    ) -> Result<Gathered> {
        let mut gathered = 0;
        // Pieces are counted too: empty ones, or ones of a byte, would go on for long without filling anything.
        while gathered < GATHER && *pieces < YIELD_AFTER_PIECES {
            *pieces += 1;
            match streamed.body.poll_frame(cx) {
                Poll::Pending => return Ok(Gathered::Pending),
                Poll::Ready(Some(Ok(Frame::Data(data)))) => {
                    gathered += data.len();
                    *bytes += data.len();
                    self.append(streamed, data)?;
                }
                // Nothing may follow trailers, so the body is not asked again.
                Poll::Ready(Some(Ok(Frame::Trailers(trailers)))) => {
                    self.finish(streamed, Some(&trailers))?;
                    return Ok(Gathered::End);
                }
                Poll::Ready(None) => {
                    self.finish(streamed, None)?;
                    return Ok(Gathered::End);
                }
                Poll::Ready(Some(Err(error))) => return Err(error),
            }
        }
        Ok(Gathered::Some)
    }

    /// Puts a piece into the output, in a chunk if the body is chunked, or sends it if it is large.
    ///
    /// # Errors
    ///
    /// [`Error::ContentLengthMismatch`] for what goes beyond the announced length; nothing of the piece is sent then.
    fn append(&self, streamed: &mut Streamed, data: Bytes) -> Result<()> {
        // An empty chunk would be the end of the body.
        if streamed.unheard || data.is_empty() {
            return Ok(());
        }
        let written = streamed.written + data.len() as u64;
        // One byte more would be read as the beginning of the next answer.
        if let StreamFraming::Counted(announced) = streamed.framing
            && written > announced
        {
            return Err(Error::ContentLengthMismatch { announced, written });
        }
        streamed.written = written;
        let is_chunked = streamed.framing == StreamFraming::Chunked;
        if data.len() < SEND_WHOLE_FROM {
            self.conn.with_output(|out| match is_chunked {
                true => encode::append_chunk(out, &data),
                false => out.extend_from_slice(&data),
            });
            return Ok(());
        }
        if is_chunked {
            self.conn.with_output(|out| encode::append_chunk_size(out, data.len()));
        }
        // What was gathered, the size line and the piece leave by one `writev`.
        self.conn.start_flush_with(data);
        if is_chunked {
            // The CR LF stays behind for the next send, in front of the next size line.
            self.conn.with_output(|out| out.extend_from_slice(b"\r\n"));
        }
        Ok(())
    }

    /// Has the stream send a file, which it does by itself. The next flush waits until all of it has left: the body is
    /// asked for its end only then.
    ///
    /// # Errors
    ///
    /// [`Error::ContentLengthMismatch`] when it is longer than what was announced; nothing of it is sent then. An error of
    /// the stream's.
    #[inline(never)]
    fn append_file(&self, cx: &mut Context<'_>, streamed: &mut Streamed, part: FilePart) -> Result<()> {
        let written = streamed.written + part.len();
        if let StreamFraming::Counted(announced) = streamed.framing
            && written > announced
        {
            return Err(Error::ContentLengthMismatch { announced, written });
        }
        streamed.written = written;
        self.conn.start_file(cx, part)
    }

    /// The end of the body. It leaves together with what follows it: the next answer, or the flush before the connection
    /// waits.
    ///
    /// # Errors
    ///
    /// [`Error::ContentLengthMismatch`] when less was written than announced: the client would wait for the rest.
    fn finish(&self, streamed: &Streamed, trailers: Option<&Trailers>) -> Result<()> {
        match streamed.framing {
            StreamFraming::Counted(announced) if announced != streamed.written && !streamed.unheard => {
                return Err(Error::ContentLengthMismatch { announced, written: streamed.written });
            }
            StreamFraming::Chunked => self.conn.with_output(|out| encode::append_last_chunk(out, trailers)),
            // Neither framing has a place for trailers; they are dropped.
            _ => {}
        }
        Ok(())
    }

    /// While it is waited for the body or for the client: whether the answer is to end here.
    fn poll_interrupted(&self, cx: &mut Context<'_>, streamed: &mut Streamed) -> Poll<bool> {
        if self.poll_cancelled(cx).is_ready() {
            return Poll::Ready(false);
        }
        // An end of the client's input alone ends nothing: it may still be reading. A reset does, also one that comes
        // behind that end. Nothing is written while the body waits, so no failed write would tell of it.
        if !streamed.unheard && self.stream().poll_broken(cx).is_ready() && !self.lose_client(streamed, Error::Closed) {
            return Poll::Ready(false);
        }
        Poll::Pending
    }

    /// The client has gone. True when the body wants to go on to its own end all the same; the descriptor is given back
    /// at once.
    fn lose_client(&self, streamed: &mut Streamed, error: Error) -> bool {
        streamed.unheard = streamed.body.receiver_gone(&error);
        if streamed.unheard {
            self.stream().close();
        }
        streamed.unheard
    }
}
