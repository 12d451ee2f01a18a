//! Answers: encoding them, and sending them.

use std::task::{Context, Poll, ready};

use http::Version;
use iostream::WriteFuture;

use super::{Channel, Incoming, RequestFacts};
use crate::{
    Error, Response, Result,
    http1::encode::{self, EncodeContext, StreamFraming},
    pool,
};

/// How far the answer has got.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    NotBegun,
    /// A writer has sent the head.
    Begun {
        keep_alive: bool,
    },
    /// A writer has sent everything.
    Finished {
        keep_alive: bool,
    },
}

impl Channel {
    /// Encodes a whole answer. True when the connection goes on behind it.
    pub(crate) fn answer(&self, response: Response) -> bool {
        let context = self.encode_context(self.can_pass_body());
        // The response is dropped in there, and its body may have a destructor of the user's: should that panic, half an
        // answer is out, and no other may follow it.
        self.answer.set(Answer::Begun { keep_alive: false });
        let encoded = self.with_output(|out| encode::encode_response(out, response, &context));
        if let Some(body) = encoded.rest {
            let head = self.output.take().unwrap_or_default();
            self.note_queue(&self.stream.write_parts(&head, body));
            pool::give_back(head);
        }
        self.busy.set(false);
        encoded.keep_alive
    }

    /// Encodes the answer to a request that could not be understood.
    pub(crate) fn refuse(&self, response: Response) {
        self.request.set(RequestFacts { is_http11: true, is_head: false, keep_alive: false });
        self.body.set(Incoming::Failed);
        self.answer(response);
    }

    /// Encodes the head of an answer whose body a writer will send.
    pub(crate) fn begin_answer(&self, serial: u32, response: &Response) -> Result<StreamFraming> {
        if !self.is_current(serial) || self.answer.get() != Answer::NotBegun {
            return Err(Error::AlreadyTaken("the answer"));
        }
        // What the service leaves of the body is known only at the end; see `end_streamed`.
        let context = self.encode_context(true);
        let encoded = self.with_output(|out| encode::encode_stream_head(out, response, &context));
        self.answer.set(Answer::Begun { keep_alive: encoded.keep_alive });
        Ok(encoded.framing)
    }

    pub(crate) fn finish_answer(&self) {
        if let Answer::Begun { keep_alive } = self.answer.get() {
            self.answer.set(Answer::Finished { keep_alive });
        }
    }

    pub(crate) fn answer_state(&self) -> Answer {
        self.answer.get()
    }

    /// After an answer that a writer has finished. True when the connection goes on behind it.
    pub(crate) fn end_streamed(&self, keep_alive: bool) -> bool {
        let goes_on = keep_alive && self.can_pass_body();
        self.busy.set(false);
        goes_on
    }

    /// Closes behind half an answer.
    pub(crate) fn break_off(&self) {
        self.start_flush();
        self.busy.set(false);
        self.stream.close();
    }

    fn encode_context(&self, can_pass_body: bool) -> EncodeContext {
        let facts = self.request.get();
        EncodeContext {
            version: if facts.is_http11 { Version::HTTP_11 } else { Version::HTTP_10 },
            is_head: facts.is_head,
            keep_alive: facts.keep_alive && can_pass_body && !self.server.is_draining(),
            now: self.now(),
        }
    }

    pub(crate) fn with_output<T>(&self, append: impl FnOnce(&mut Vec<u8>) -> T) -> T {
        append(self.output.borrow_mut().get_or_insert_with(pool::take))
    }

    /// Hands what is ready to the stream, which sends it at once as far as the kernel takes it.
    pub(crate) fn start_flush(&self) {
        let Some(output) = self.output.take() else { return };
        self.note_queue(&self.stream.write(&output[..]));
        pool::give_back(output);
    }

    /// A failure shows at the next read or flush; the bytes leave by themselves.
    fn note_queue(&self, write: &WriteFuture) {
        if !write.is_done() {
            self.queued.set(true);
        }
    }

    /// The time-out of writing starts afresh: the time since an earlier write was given up does not count.
    pub(crate) fn begin_flush_wait(&self) {
        self.stalled_at.set(0);
    }

    /// Whether the stream holds something that the kernel has not taken yet.
    pub(crate) fn has_queue(&self) -> bool {
        self.queued.get()
    }

    /// Waits until the kernel has taken everything.
    pub(crate) fn poll_flush(&self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.start_flush();
        if self.queued.get() {
            ready!(self.poll_queue(cx))?;
        }
        // What was written to a broken connection is not queued, and so not missed by the stream.
        Poll::Ready(if self.stream.is_closed() { Err(Error::Closed) } else { Ok(()) })
    }

    fn poll_queue(&self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        if self.stream.poll_flush(cx)?.is_ready() {
            self.queued.set(false);
            self.stalled_at.set(0);
            // The deadline was ours for a while; a wait for the body has to set it again.
            self.begin_body_wait();
            return Poll::Ready(Ok(()));
        }
        let (pending, limit) = (self.stream.pending_write(), self.limits().write_timeout);
        if self.stalled_at.replace(pending) != pending {
            self.deadline.set_after(limit);
        }
        ready!(self.deadline.poll_expired(cx));
        self.stream.close();
        Poll::Ready(Err(Error::WriteTimeout(limit)))
    }
}
