//! Informational responses, sent while a service is still at work on the answer.

use super::{Flag, ServerConn};
use crate::{Error, Response, Result, body::IncomingSource, http1::encode};

impl ServerConn {
    /// Sends an informational response ahead of the answer to the request with this serial. `head` is known to be one.
    ///
    /// # Errors
    ///
    /// [`Error::AlreadyTaken`] when the answer has begun.
    #[inline]
    pub(crate) fn send_informational(&self, serial: u32, head: &Response) -> Result<()> {
        if !self.is_current(serial) || self.conn.flags.has(Flag::ANSWERED) {
            return Err(Error::AlreadyTaken("the place in front of the answer"));
        }
        // RFC 9110 15.2: a client of HTTP/1.0 does not know them. And nothing bounds their number but this: a client that
        // does not even take what was sent before has no use for news.
        if self.conn.flags.has(Flag::HTTP11) && self.stream().pending_write() == 0 {
            self.conn.with_output(|out| encode::encode_informational(out, head));
            // Now, also when it is another task that sends it: the connection may be waiting for the service.
            self.conn.start_flush();
        }
        Ok(())
    }
}
