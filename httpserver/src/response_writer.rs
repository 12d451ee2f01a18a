use std::{fmt, future::poll_fn, rc::Rc};

use iostream::yield_now;

use crate::{
    Error, Response, Result,
    http1::{
        channel::Channel,
        encode::{LAST_CHUNK, StreamFraming, append_chunk},
    },
};

/// After how many bytes that had not to wait a writer lets the rest of the loop have its turn: 1 MiB.
const YIELD_EVERY: u64 = 1024 * 1024;

/// An answer that is written piece by piece; made by [`Request::respond`](crate::Request::respond).
///
/// To an HTTP/1.1 client the body goes out in chunks, to an HTTP/1.0 client until the connection closes, and in either
/// case as it is when the head announced its length
/// ([`set_content_length`](Response::set_content_length)). For HEAD requests and statuses without content everything
/// written is dropped.
///
/// A writer that is dropped before [`finish`](ResponseWriter::finish) ends the connection, so that the client can tell
/// that something is missing.
pub struct ResponseWriter {
    channel: Rc<Channel>,
    serial: u32,
    framing: StreamFraming,
    /// Bytes of body given so far.
    written: u64,
}

impl ResponseWriter {
    pub(crate) fn begin(channel: Rc<Channel>, serial: u32, head: Response) -> Result<ResponseWriter> {
        let framing = channel.begin_answer(serial, &head)?;
        Ok(ResponseWriter { channel, serial, framing, written: 0 })
    }

    /// Sends a piece of the body, with the head if that has not left yet, and waits until the kernel has taken it: a slow
    /// client slows its service down.
    ///
    /// # Errors
    ///
    /// [`Error::ContentLengthMismatch`] beyond the announced length; [`Error::WriteTimeout`] when the client takes nothing
    /// for [`Limits::write_timeout`](crate::Limits::write_timeout); [`Error::Closed`] when the connection has broken;
    /// [`Error::AlreadyTaken`] when the service has returned already.
    ///
    /// # Cancel safety
    ///
    /// The piece counts as written when the future is first polled; a dropped future takes nothing back.
    pub async fn write(&mut self, data: impl AsRef<[u8]>) -> Result<()> {
        let before = self.written;
        self.push(data.as_ref())?;
        self.flush().await?;
        // A client that takes all at once, or that has asked by HEAD for none of it, must not starve the others.
        if before / YIELD_EVERY != self.written / YIELD_EVERY {
            yield_now().await;
        }
        Ok(())
    }

    /// Sends what is not sent yet: the head, right after the writer was made.
    ///
    /// # Errors
    ///
    /// As [`write`](ResponseWriter::write).
    ///
    /// # Cancel safety
    ///
    /// Dropping the future is harmless.
    pub async fn flush(&mut self) -> Result<()> {
        self.check_current()?;
        self.channel.begin_flush_wait();
        poll_fn(|cx| self.channel.poll_flush(cx)).await
    }

    /// Ends the body and gives what the service has to return.
    ///
    /// # Errors
    ///
    /// [`Error::ContentLengthMismatch`] when less was written than announced: the connection is closed then.
    pub async fn finish(self) -> Result<Response> {
        self.check_current()?;
        match self.framing {
            StreamFraming::Counted(announced) if announced != self.written => {
                return Err(Error::ContentLengthMismatch { announced, written: self.written });
            }
            // Leaves together with what follows it: the next answer, or the flush before the connection waits.
            StreamFraming::Chunked => self.channel.with_output(|out| out.extend_from_slice(LAST_CHUNK)),
            _ => {}
        }
        self.channel.finish_answer();
        Ok(Response::streamed())
    }

    fn push(&mut self, data: &[u8]) -> Result<()> {
        self.check_current()?;
        let written = self.written + data.len() as u64;
        match self.framing {
            StreamFraming::None => {}
            StreamFraming::Counted(announced) if written > announced => {
                return Err(Error::ContentLengthMismatch { announced, written });
            }
            StreamFraming::Chunked => self.channel.with_output(|out| append_chunk(out, data)),
            StreamFraming::Counted(_) | StreamFraming::UntilClose => {
                self.channel.with_output(|out| out.extend_from_slice(data));
            }
        }
        self.written = written;
        Ok(())
    }

    fn check_current(&self) -> Result<()> {
        if self.channel.is_current(self.serial) { Ok(()) } else { Err(Error::AlreadyTaken("the answer")) }
    }
}

impl fmt::Debug for ResponseWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseWriter")
            .field("framing", &self.framing)
            .field("written", &self.written)
            .finish_non_exhaustive()
    }
}
