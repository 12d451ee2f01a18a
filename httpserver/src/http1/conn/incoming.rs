//! The body of the message in hand, as it comes in.

use std::{
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use iostream::Parsed;

use super::{Conn, UNKNOWN};
use crate::{
    Error, Limits, Result,
    http1::{
        chunked::{ChunkStep, ChunkedDecoder},
        framing::BodyFraming,
    },
};

/// How much of a body is still to come.
#[derive(Clone, Copy)]
pub(super) enum BodyState {
    Done,
    Length(u64),
    /// Chunked; how far it has got is in the decoder.
    Chunked,
    /// Its framing broke, it was too large, or the peer left: nothing behind it can be understood.
    Failed,
}

/// What is kept of a body that does not come at once with its head.
#[derive(Default)]
pub(super) struct Reading {
    decoder: ChunkedDecoder,
    /// The first failure, for every later read to repeat.
    failure: Option<Error>,
    /// When the wait under way began.
    waits_since: Option<Instant>,
    /// When the first wait began.
    began: Option<Instant>,
    /// How long was waited in all, the wait under way not counted.
    waited: Duration,
    /// Bytes of data received of a chunked body.
    received: u64,
}

/// What was found at the front of a body.
pub(crate) enum Taken {
    /// Data was given to the sink.
    Data,
    /// Only framing.
    Framing,
    End,
}

impl Conn {
    /// Takes up a message with a body framed like this.
    pub(crate) fn begin_body(&self, framing: BodyFraming) {
        let (body, announced) = match framing {
            BodyFraming::None | BodyFraming::Length(0) => (BodyState::Done, 0),
            BodyFraming::Length(length) => (BodyState::Length(length), length),
            BodyFraming::Chunked => (BodyState::Chunked, UNKNOWN),
        };
        self.body.set(body);
        self.announced.set(announced);
        if !matches!(body, BodyState::Done) {
            // What an earlier body has left there. A message without a body never looks.
            self.reading.take();
        }
    }

    /// The Content-Length of the message in hand; `None` for a chunked body.
    pub(crate) fn announced_body(&self) -> Option<u64> {
        Some(self.announced.get()).filter(|length| *length != UNKNOWN)
    }

    /// Whether all of the message in hand has come in.
    pub(crate) fn is_body_done(&self) -> bool {
        matches!(self.body.get(), BodyState::Done)
    }

    /// Nobody will read the rest, and nothing behind it can be found: the connection ends with the message. The first
    /// failure of a body stays; it is returned.
    pub(crate) fn fail_body(&self, error: Error) -> Error {
        self.body.set(BodyState::Failed);
        self.with_reading(|reading| reading.failure.get_or_insert(error).clone())
    }

    /// The next data, shown to `sink`. Time-outs are up to the caller: see [`poll_body_deadline`](Conn::poll_body_deadline).
    pub(crate) fn poll_data(
        &self,
        cx: &mut Context<'_>,
        max_body: u64,
        sink: &mut dyn FnMut(&[u8]),
    ) -> Poll<Result<Taken>> {
        match self.body.get() {
            BodyState::Done => return Poll::Ready(Ok(Taken::End)),
            BodyState::Failed => return Poll::Ready(Err(self.failure())),
            BodyState::Length(_) | BodyState::Chunked => {}
        }
        let taken = match ready!(self.stream.poll_read_with(cx, |buf| self.take_body(buf, max_body, sink))) {
            Ok(taken) => taken,
            Err(error) => Err(self.end_of_input(error)),
        };
        self.end_body_wait();
        if let Err(error) = &taken {
            self.fail_body(error.clone());
        }
        Poll::Ready(taken)
    }

    /// What the end of input in the middle of a message means. A peer that has only ended its sending half can still be
    /// answered; a broken connection has nobody at its other end.
    fn end_of_input(&self, error: iostream::Error) -> Error {
        if !error.is_closed() {
            return Error::Connection(error);
        }
        if self.stream.is_closed() || self.stream.is_reset() { Error::Closed } else { Error::IncompleteBody }
    }

    fn failure(&self) -> Error {
        self.with_reading(|reading| reading.failure.clone()).unwrap_or(Error::Closed)
    }

    /// Takes what `buf` has of the body, shows it to `sink`, and says what it was.
    fn take_body(&self, buf: &[u8], max_body: u64, sink: &mut dyn FnMut(&[u8])) -> Parsed<Result<Taken>> {
        match self.body.get() {
            BodyState::Length(_) if buf.is_empty() => Parsed::Incomplete,
            BodyState::Length(remaining) => {
                // No further than the body: what lies behind it is the next message.
                let count = usize::try_from(remaining).unwrap_or(usize::MAX).min(buf.len());
                sink(&buf[..count]);
                let left = remaining - count as u64;
                self.body.set(if left == 0 { BodyState::Done } else { BodyState::Length(left) });
                Parsed::Done { consumed: count, value: Ok(Taken::Data) }
            }
            BodyState::Chunked => self.take_chunks(buf, max_body, sink),
            BodyState::Done | BodyState::Failed => Parsed::Done { consumed: 0, value: Ok(Taken::End) },
        }
    }

    /// Takes all chunks that have come, so that many small ones cost no more than one large one.
    fn take_chunks(&self, buf: &[u8], max_body: u64, sink: &mut dyn FnMut(&[u8])) -> Parsed<Result<Taken>> {
        // Out of its place while it works: the sink is not to meet a borrow.
        let mut reading = self.reading.take().unwrap_or_default();
        let (mut at, mut has_data) = (0, false);
        let taken = loop {
            match reading.decoder.decode(&buf[at..], max_body) {
                Ok(ChunkStep::Data { consumed, data }) => {
                    reading.received += data.len() as u64;
                    sink(&buf[at + data.start..at + data.end]);
                    has_data = true;
                    at += consumed;
                }
                Ok(ChunkStep::NeedMore { consumed }) => {
                    at += consumed;
                    break Ok(if has_data { Taken::Data } else { Taken::Framing });
                }
                Ok(ChunkStep::End { consumed }) => {
                    at += consumed;
                    self.body.set(BodyState::Done);
                    break Ok(if has_data { Taken::Data } else { Taken::End });
                }
                Err(error) => break Err(error),
            }
        };
        // Back before anything else looks for it: the failure of the body is kept there too.
        self.reading.set(Some(reading));
        if at == 0 && matches!(taken, Ok(Taken::Framing)) {
            return Parsed::Incomplete;
        }
        Parsed::Done { consumed: at, value: taken }
    }

    /// Drops what has come of the body, without waiting. Returns how much of it was data.
    pub(crate) fn drop_received(&self, max_body: u64) -> usize {
        let mut dropped = 0;
        let taken = self.stream.try_read_with(|buf| self.take_body(buf, max_body, &mut |data| dropped += data.len()));
        if let Some(Err(error)) = taken {
            self.fail_body(error);
        }
        dropped
    }

    /// The length that is still to come; `None` for a chunked body, and for one that failed.
    pub(crate) fn body_left(&self) -> Option<u64> {
        match self.body.get() {
            BodyState::Done => Some(0),
            BodyState::Length(left) => Some(left),
            BodyState::Chunked | BodyState::Failed => None,
        }
    }

    /// A new wait begins with the next look: the time since an earlier read was given up does not count.
    pub(crate) fn forget_body_wait(&self) {
        if let Some(mut reading) = self.reading.take() {
            reading.waits_since = None;
            self.reading.set(Some(reading));
        }
    }

    /// Data has come: what was waited for it counts for the rate.
    fn end_body_wait(&self) {
        let Some(mut reading) = self.reading.take() else { return };
        if let Some(since) = reading.waits_since.take() {
            reading.waited += self.now() - since;
        }
        self.reading.set(Some(reading));
    }

    /// Ready with the reason when the body has kept its reader waiting for too long: in silence, in all, or measured by
    /// how little has come for it.
    pub(crate) fn poll_body_deadline(&self, cx: &mut Context<'_>, limits: &Limits) -> Poll<Error> {
        let (now, left) = (self.now(), self.body_left());
        let since = self.with_reading(|reading| {
            if let Some(since) = reading.waits_since {
                return since;
            }
            reading.waits_since = Some(now);
            let began = *reading.began.get_or_insert(now);
            let received = left.map_or(reading.received, |left| self.announced.get() - left);
            // Time that the service spent elsewhere is not the client's: only waits add up.
            let by_rate = limits.time_for(received, limits.min_body_rate).saturating_sub(reading.waited);
            let in_all = limits.request_timeout.saturating_sub(now - began);
            self.deadline.set_after(limits.body_timeout.min(by_rate).min(in_all));
            now
        });
        ready!(self.deadline.poll_expired(cx));
        let is_silence = self.now() - since >= limits.body_timeout;
        let error = if is_silence { Error::BodyTimeout(limits.body_timeout) } else { Error::BodyTooSlow };
        Poll::Ready(self.fail_body(error))
    }

    /// Shows `f` what is kept of the body, made if there is nothing yet.
    fn with_reading<T>(&self, f: impl FnOnce(&mut Reading) -> T) -> T {
        let mut reading = self.reading.take().unwrap_or_default();
        let result = f(&mut reading);
        self.reading.set(Some(reading));
        result
    }
}
