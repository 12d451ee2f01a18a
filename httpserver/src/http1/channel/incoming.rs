//! Requests: their heads and bodies.

use std::{
    rc::Rc,
    task::{Context, Poll, ready},
};

use http::{Method, Version};
use iostream::Parsed;

use super::{Answer, Channel, UNKNOWN};
use crate::{
    Error, Request, Result,
    http1::{
        chunked::{ChunkStep, ChunkedDecoder},
        encode::CONTINUE,
        framing::BodyFraming,
        head_parser::HeadParser,
        request_head::{Expect, RequestHead},
    },
};

/// How much of a body is still to come.
#[derive(Clone, Copy)]
pub(super) enum Incoming {
    Done,
    Length(u64),
    /// Chunked; how far it has got is in the channel's decoder.
    Chunked,
    /// Its framing broke, it was too large, or the client left: nothing behind it can be understood.
    Failed,
}

/// What the encoder has to know about the current request.
#[derive(Clone, Copy)]
pub(super) struct RequestFacts {
    pub(super) is_http11: bool,
    pub(super) is_head: bool,
    pub(super) keep_alive: bool,
}

/// What waiting for a request's head keeps between polls.
#[derive(Default)]
pub(crate) struct HeadWait {
    parser: HeadParser,
    stage: Stage,
}

/// Which deadline is set.
#[derive(Default, PartialEq, Eq)]
enum Stage {
    /// None yet: the request may be there already.
    #[default]
    Fresh,
    /// For the first byte.
    Idle,
    /// For the end of the head.
    Head,
}

impl HeadWait {
    /// Whether the loop had its turn in between.
    pub(crate) fn has_waited(&self) -> bool {
        self.stage != Stage::Fresh
    }
}

/// What was found at the front of a body.
enum Taken {
    /// Data was given to the sink.
    Data,
    /// Only framing.
    Framing,
    End,
}

impl Channel {
    /// The next request. `None` when the connection is to end without an answer: the client has left or stays silent, or the
    /// server drains. What is ready to be sent is sent before waiting.
    pub(crate) fn poll_request(
        self: &Rc<Self>,
        cx: &mut Context<'_>,
        wait: &mut HeadWait,
    ) -> Poll<Result<Option<Request>>> {
        // The head is put here by the parser instead of being handed from call to call: moving it costs more than the calls.
        let mut head = None;
        match ready!(self.poll_head(cx, wait, &mut head)) {
            Ok(()) => {}
            Err(error) => return Poll::Ready(Err(error)),
        }
        let Some(head) = head else { return Poll::Ready(Ok(None)) };
        if head.expect == Expect::Other {
            return Poll::Ready(Err(Error::ExpectationFailed));
        }
        let serial = self.begin(&head);
        Poll::Ready(Ok(Some(Request::new(head, Rc::clone(self), serial))))
    }

    fn poll_head(&self, cx: &mut Context<'_>, wait: &mut HeadWait, head: &mut Option<RequestHead>) -> Poll<Result<()>> {
        // A client that asks and does not read must not fill the memory with answers.
        if self.has_queue() && self.poll_flush(cx)?.is_pending() {
            return Poll::Pending;
        }
        let (limits, parser) = (&self.server.limits, &mut wait.parser);
        let mut parse = |buf: &[u8]| match parser.parse(buf, limits) {
            Ok(Some((consumed, parsed))) => {
                *head = Some(parsed);
                Parsed::Done { consumed, value: Ok(()) }
            }
            Ok(None) => Parsed::Incomplete,
            Err(error) => Parsed::Done { consumed: 0, value: Err(error) },
        };
        // Once it has come to waiting, what was ready has been sent and what was buffered has been looked at.
        if wait.stage == Stage::Fresh {
            if let Some(parsed) = self.stream.try_read_with(&mut parse) {
                return Poll::Ready(parsed);
            }
            if self.poll_flush(cx)?.is_pending() {
                return Poll::Pending;
            }
        }
        match self.stream.poll_read_with(cx, parse) {
            Poll::Ready(Ok(parsed)) => Poll::Ready(parsed),
            Poll::Ready(Err(error)) if error.is_closed() => Poll::Ready(Ok(())),
            Poll::Ready(Err(error)) => Poll::Ready(Err(error.into())),
            Poll::Pending => self.poll_head_deadline(cx, &mut wait.stage),
        }
    }

    fn poll_head_deadline(&self, cx: &mut Context<'_>, stage: &mut Stage) -> Poll<Result<()>> {
        let limits = self.limits();
        if self.stream.buffered() == 0 {
            if self.server.is_draining() {
                return Poll::Ready(Ok(()));
            }
            if *stage != Stage::Idle {
                *stage = Stage::Idle;
                self.deadline.start(limits.idle_timeout, cx);
                return Poll::Pending;
            }
            self.deadline.poll_expired(cx).map(Ok)
        } else {
            // Once only: a client must not buy time by sending a byte now and then.
            if *stage != Stage::Head {
                *stage = Stage::Head;
                self.deadline.set_after(limits.header_timeout);
            }
            self.deadline.poll_expired(cx).map(|()| Err(Error::HeaderTimeout(limits.header_timeout)))
        }
    }

    /// Takes up a request; gives its serial.
    fn begin(&self, head: &RequestHead) -> u32 {
        let (body, announced) = match head.body {
            BodyFraming::None | BodyFraming::Length(0) => (Incoming::Done, 0),
            BodyFraming::Length(length) => (Incoming::Length(length), length),
            BodyFraming::Chunked => {
                self.decoder.set(Some(Box::new(ChunkedDecoder::new())));
                (Incoming::Chunked, UNKNOWN)
            }
        };
        self.expects_continue.set(head.expect == Expect::Continue && !matches!(body, Incoming::Done));
        self.body.set(body);
        self.announced.set(announced);
        self.waits_for_body.set(false);
        self.request.set(RequestFacts {
            is_http11: head.version == Version::HTTP_11,
            is_head: head.method == Method::HEAD,
            keep_alive: head.keep_alive,
        });
        self.answer.set(Answer::NotBegun);
        self.cancels.set(false);
        self.busy.set(true);
        self.serial.set(self.serial.get().wrapping_add(1));
        self.serial.get()
    }

    pub(crate) fn is_current(&self, serial: u32) -> bool {
        self.busy.get() && self.serial.get() == serial
    }

    pub(crate) fn announced_body(&self) -> Option<u64> {
        Some(self.announced.get()).filter(|length| *length != UNKNOWN)
    }

    /// Nobody will read the rest of the body: the connection ends with the answer.
    pub(crate) fn give_up_body(&self) {
        self.body.set(Incoming::Failed);
    }

    pub(crate) fn is_body_done(&self) -> bool {
        matches!(self.body.get(), Incoming::Done)
    }

    /// The time-out of the body starts afresh: the time since an earlier read was given up does not count.
    pub(crate) fn begin_body_wait(&self) {
        self.waits_for_body.set(false);
    }

    /// Gives the next data of the body to `sink`, perhaps in several pieces. False at the end.
    pub(crate) fn poll_body(&self, cx: &mut Context<'_>, sink: &mut dyn FnMut(&[u8])) -> Poll<Result<bool>> {
        loop {
            match self.body.get() {
                Incoming::Done => return Poll::Ready(Ok(false)),
                Incoming::Failed => return Poll::Ready(Err(Error::Closed)),
                Incoming::Length(_) | Incoming::Chunked => {}
            }
            let polled = self.stream.poll_read_with(cx, |buf| self.take_body(buf, sink));
            let taken = match polled {
                Poll::Ready(Ok(taken)) => taken,
                Poll::Ready(Err(error)) if error.is_closed() => Err(Error::Closed),
                Poll::Ready(Err(error)) => Err(error.into()),
                Poll::Pending => {
                    self.send_continue();
                    ready!(self.poll_body_deadline(cx));
                    Err(Error::BodyTimeout(self.limits().body_timeout))
                }
            };
            self.expects_continue.set(false);
            self.waits_for_body.set(false);
            match taken {
                Ok(Taken::Data) => return Poll::Ready(Ok(true)),
                Ok(Taken::End) => return Poll::Ready(Ok(false)),
                Ok(Taken::Framing) => {}
                Err(error) => {
                    self.body.set(Incoming::Failed);
                    return Poll::Ready(Err(error));
                }
            }
        }
    }

    fn poll_body_deadline(&self, cx: &mut Context<'_>) -> Poll<()> {
        // The client may be waiting for an answer sent earlier before it goes on.
        self.start_flush();
        if !self.waits_for_body.replace(true) {
            self.deadline.set_after(self.limits().body_timeout);
        }
        self.deadline.poll_expired(cx)
    }

    fn take_body(&self, buf: &[u8], sink: &mut dyn FnMut(&[u8])) -> Parsed<Result<Taken>> {
        match self.body.get() {
            Incoming::Length(_) if buf.is_empty() => Parsed::Incomplete,
            Incoming::Length(remaining) => {
                let count = usize::try_from(remaining).unwrap_or(usize::MAX).min(buf.len());
                sink(&buf[..count]);
                let left = remaining - count as u64;
                self.body.set(if left == 0 { Incoming::Done } else { Incoming::Length(left) });
                Parsed::Done { consumed: count, value: Ok(Taken::Data) }
            }
            Incoming::Chunked => self.take_chunks(buf, sink),
            Incoming::Done | Incoming::Failed => Parsed::Done { consumed: 0, value: Ok(Taken::End) },
        }
    }

    /// Takes all chunks that have come, so that many small ones cost no more than one large one.
    fn take_chunks(&self, buf: &[u8], sink: &mut dyn FnMut(&[u8])) -> Parsed<Result<Taken>> {
        // Out of its place while it works: only in the middle of a chunked body is there one, and it goes back there.
        let Some(mut decoder) = self.decoder.take() else {
            return Parsed::Done { consumed: 0, value: Err(Error::Closed) };
        };
        let (mut at, mut has_data) = (0, false);
        loop {
            match decoder.decode(&buf[at..], self.limits().max_body) {
                Ok(ChunkStep::Data { consumed, data }) => {
                    sink(&buf[at + data.start..at + data.end]);
                    has_data = true;
                    at += consumed;
                }
                Ok(ChunkStep::NeedMore { consumed }) => {
                    at += consumed;
                    self.decoder.set(Some(decoder));
                    if at == 0 {
                        return Parsed::Incomplete;
                    }
                    let value = if has_data { Taken::Data } else { Taken::Framing };
                    return Parsed::Done { consumed: at, value: Ok(value) };
                }
                Ok(ChunkStep::End { consumed }) => {
                    self.body.set(Incoming::Done);
                    let value = if has_data { Taken::Data } else { Taken::End };
                    return Parsed::Done { consumed: at + consumed, value: Ok(value) };
                }
                Err(error) => {
                    return Parsed::Done { consumed: at, value: Err(error) };
                }
            }
        }
    }

    /// RFC 9110 10.1.1: no 100 when the client has begun to send anyway, or when the answer has.
    fn send_continue(&self) {
        if !self.expects_continue.replace(false) {
            return;
        }
        if self.stream.buffered() == 0 && self.answer.get() == Answer::NotBegun {
            self.with_output(|out| out.extend_from_slice(CONTINUE));
        }
    }

    /// Whether the connection can go on behind what the service left of the body. Nobody knows the length of a chunked one:
    /// what has come of it is dropped here, and the rest is hoped to be short; see
    /// [`poll_drop_body`](Channel::poll_drop_body).
    pub(super) fn can_pass_body(&self) -> bool {
        let (mut dropped, most) = (0, self.limits().max_unread_body);
        if let Incoming::Chunked = self.body.get() {
            let taken = self.stream.try_read_with(|buf| self.take_body(buf, &mut |data| dropped += data.len()));
            if let Some(Err(_)) = taken {
                self.body.set(Incoming::Failed);
            }
        }
        self.begin_body_wait();
        match self.body.get() {
            Incoming::Done => true,
            // Nobody knows whether a client that was not told to continue will send its body or the next request.
            Incoming::Length(left) if self.expects_continue.get() => left <= self.stream.buffered() as u64,
            Incoming::Length(left) => left <= most as u64,
            Incoming::Chunked => !self.expects_continue.get() && dropped <= most,
            Incoming::Failed => false,
        }
    }

    /// Drops what is left of the body, counting it in `dropped`. The answer, if any, is sent meanwhile.
    ///
    /// # Errors
    ///
    /// Besides those of the body: [`Error::BodyTooLarge`] when more than
    /// [`Limits::max_unread_body`](crate::Limits::max_unread_body) comes after the answer.
    pub(crate) fn poll_drop_body(&self, cx: &mut Context<'_>, dropped: &mut usize) -> Poll<Result<()>> {
        let limit = self.limits().max_unread_body;
        self.expects_continue.set(false);
        while ready!(self.poll_body(cx, &mut |data| *dropped += data.len()))? {
            if *dropped > limit {
                return Poll::Ready(Err(Error::BodyTooLarge { limit: limit as u64 }));
            }
        }
        Poll::Ready(Ok(()))
    }
}
