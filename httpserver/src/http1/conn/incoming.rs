//! The body of the message in hand, as it comes in.
//!
//! [`begin_body`](Conn::begin_body) takes up a message by its framing. Then each [`poll_data`](Conn::poll_data)
//! shows what has come to the reader, where it was received, and moves on. Nothing is read ahead: what the reader does
//! not ask for stays in the kernel, whose window slows the peer down.
//!
//! A body that is there with its head, as short ones are, needs nothing but [`Body`]. Only one that is chunked,
//! has to be waited for or fails allocates a [`Reading`].

use std::{
    cell::Cell,
    mem,
    num::NonZeroU64,
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use iostream::Parsed;

use super::Conn;
use crate::{
    Error, Limits, Result, Trailers,
    body::Sink,
    http1::{
        chunked::{ChunkStep, ChunkedDecoder},
        framing::BodyFraming,
    },
};

/// How much of a body is still to come.
#[derive(Clone, Copy)]

pub(super) enum BodyState {
    /// Nothing: the next message begins here.
    Done,
    /// So many bytes, at least one.
    Length(u64),
    /// Chunked; how far it has got is in the decoder.
    Chunked,
    /// Everything until the peer ends its side: only a response has that.
    #[cfg(feature = "client")]
    UntilClose,
    /// Its framing broke, it was too large, or the peer left: nothing behind it can be understood.
    Failed,
}

/// A [`BodyState`] in a word: every connection has one.
pub(super) struct Body(Cell<u64>);

/// The numbers that are no length. No peer ever sends so much.
const FAILED: u64 = u64::MAX;
const CHUNKED: u64 = u64::MAX - 1;
#[cfg(feature = "client")]
const UNTIL_CLOSE: u64 = u64::MAX - 2;
const LONGEST: u64 = u64::MAX - 3;

impl Body {
    /// Of a connection without a message in hand.
    pub(super) fn new() -> Body {
        Body(Cell::new(0))
    }

    #[inline]
    fn is_done(&self) -> bool {
        self.0.get() == 0
    }

    #[inline]
    fn get(&self) -> BodyState {
        match self.0.get() {
            0 => BodyState::Done,
            FAILED => BodyState::Failed,
            CHUNKED => BodyState::Chunked,
            #[cfg(feature = "client")]
            UNTIL_CLOSE => BodyState::UntilClose,
            length => BodyState::Length(length),
        }
    }

    #[inline]
    fn set(&self, state: BodyState) {
        self.0.set(match state {
            BodyState::Done => 0,
            BodyState::Failed => FAILED,
            BodyState::Chunked => CHUNKED,
            #[cfg(feature = "client")]
            BodyState::UntilClose => UNTIL_CLOSE,
            BodyState::Length(length) => length.min(LONGEST),
        });
    }
}

/// What is kept of a body that does not come at once with its head.
#[derive(Default)]
pub(super) struct Reading {
    /// Where in a chunked body the next byte is. Unused for any other.
    decoder: ChunkedDecoder,
    /// The first failure, for every later read to repeat.
    failure: Option<Error>,
    /// When the wait under way began.
    waits_since: Option<Instant>,
    /// When the first wait began. The time for the whole body counts from here.
    began: Option<Instant>,
    /// How long was waited in all, the wait under way not counted. The rate counts this time alone.
    waited: Duration,
    /// Bytes of data received of a body whose length was not announced.
    received: u64,
    /// The trailer lines that have come behind a chunked body and that nobody has taken.
    trailers: Trailers,
    /// The bounds that the service has set for this body; `None` where those of the server hold.
    bounds: BodyBounds,
}

/// How long a body may take, as far as it was said for this one.
#[derive(Clone, Copy, Default)]
pub(crate) struct BodyBounds {
    /// In place of [`Limits::body_timeout`].
    pub(crate) timeout: Option<Duration>,
    /// In place of [`Limits::request_timeout`].
    pub(crate) total_timeout: Option<Duration>,
    /// In place of [`Limits::min_body_rate`].
    pub(crate) min_rate: Option<u32>,
}

/// From how many bytes of data on a reader who keeps them is given those that come as they were received.
const LONG_RUN: usize = 32 * 1024;

/// What was found at the front of a body.
pub(crate) enum Taken {
    /// Data was given to the sink.
    Data,
    /// Only framing. There may be data behind it that has not come yet.
    Framing,
    /// Nothing, because the body is over.
    End,
}

impl Conn {
    /// Takes up a message without a body.
    pub(crate) fn begin_without_body(&self) {
        self.body.set(BodyState::Done);
        self.announced.set(None);
    }

    /// Takes up a message with a body framed like this.
    pub(crate) fn begin_body(&self, framing: BodyFraming) {
        // An announced length of 0 is no body, so a reader and `Expect` are treated alike for both.
        let (body, announced) = match framing {
            BodyFraming::None | BodyFraming::Length(0) => (BodyState::Done, None),
            BodyFraming::Length(length) => (BodyState::Length(length), NonZeroU64::new(length)),
            BodyFraming::Chunked => (BodyState::Chunked, None),
        };
        self.body.set(body);
        self.announced.set(announced);
        if !matches!(body, BodyState::Done) {
            // What an earlier body has left there. A message without a body never looks.
            self.take_reading();
        }
    }

    /// Takes up a response whose body ends with the connection.
    #[cfg(feature = "client")]
    #[inline]
    pub(crate) fn begin_until_close(&self) {
        self.body.set(BodyState::UntilClose);
        self.announced.set(None);
        self.take_reading();
    }

    /// The Content-Length of the message in hand; `None` for a chunked body, and without a body.
    pub(crate) fn announced_body(&self) -> Option<u64> {
        self.announced.get().map(NonZeroU64::get)
    }

    /// Whether all of the message in hand has come in.
    pub(crate) fn is_body_done(&self) -> bool {
        self.body.is_done()
    }

    /// Whether the body of the message in hand has failed.
    pub(crate) fn has_failed(&self) -> bool {
        matches!(self.body.get(), BodyState::Failed)
    }

    /// Nobody will read the rest, and nothing behind it can be found: the connection ends with the message. The first
    /// failure of a body stays; it is returned.
    pub(crate) fn fail_body(&self, error: Error) -> Error {
        self.body.set(BodyState::Failed);
        self.with_reading(|reading| reading.failure.get_or_insert(error).clone())
    }

    /// The next data, for `sink`. Time-outs are up to the caller: see
    /// [`poll_body_deadline`](Conn::poll_body_deadline).
    ///
    /// # Errors
    ///
    /// What is wrong with the chunks, the end of input, or a failure of the connection. The first one is repeated by
    /// every later call.
    pub(crate) fn poll_data(&self, cx: &mut Context<'_>, max_body: u64, sink: &mut Sink<'_>) -> Poll<Result<Taken>> {
        // Answered without the stream: a read would take bytes of the next message, or wait for them.
        match self.body.get() {
            BodyState::Done => return Poll::Ready(Ok(Taken::End)),
            BodyState::Failed => return Poll::Ready(Err(self.failure())),
            BodyState::Length(_) | BodyState::Chunked => {}
            #[cfg(feature = "client")]
            BodyState::UntilClose => {}
        }
        let run = if let Sink::Keep(_) = sink { self.run_of_data(max_body) } else { 0 };
        let read = match sink {
            // Nothing of it has to be looked at.
            Sink::Keep(piece) if run >= LONG_RUN => self.stream.poll_read_chunk(cx, run).map_ok(|data| {
                self.pass_run(data.len());
                piece.received(data);
                Ok(Taken::Data)
            }),
            _ => self.stream.poll_read_with(cx, |buf| self.take_body(buf, max_body, &mut |data| sink.show(data))),
        };
        let taken = match ready!(read) {
            Ok(taken) => taken,
            #[cfg(feature = "client")]
            Err(error) if self.is_end_of_body(&error) => {
                self.body.set(BodyState::Done);
                Ok(Taken::End)
            }
            Err(error) => Err(self.end_of_input(error)),
        };
        self.end_body_wait();
        // Kept, so that a service which reads again after an error still answers with the right status.
        if let Err(error) = &taken {
            self.fail_body(error.clone());
        }
        Poll::Ready(taken)
    }

    /// How many of the next bytes are data that may come, as far as is known.
    fn run_of_data(
        &self,
        #[cfg_attr(
            not(feature = "client"),
            expect(unused_variables, reason = "only a response ends with its connection")
        )]
        max_body: u64,
    ) -> usize {
        let run = match self.body.get() {
            BodyState::Length(remaining) => remaining,
            BodyState::Chunked => self.with_reading(|reading| reading.decoder.data_left()),
            #[cfg(feature = "client")]
            BodyState::UntilClose => self.with_reading(|reading| max_body.saturating_sub(reading.received)),
            BodyState::Done | BodyState::Failed => 0,
        };
        usize::try_from(run).unwrap_or(usize::MAX)
    }

    /// So many bytes of a run of data have been taken.
    fn pass_run(&self, count: usize) {
        match self.body.get() {
            BodyState::Length(remaining) => self.body.set(match remaining - count as u64 {
                0 => BodyState::Done,
                left => BodyState::Length(left),
            }),
            state => self.with_reading(|reading| {
                reading.received += count as u64;
                if let BodyState::Chunked = state {
                    reading.decoder.take_data(count);
                }
            }),
        }
    }

    /// What the end of input in the middle of a message means. A peer that has only ended its sending half can still be
    /// answered; a broken connection has nobody at its other end.
    fn end_of_input(&self, error: iostream::Error) -> Error {
        if !error.is_closed() {
            return Error::connection(error);
        }
        if self.stream.is_closed() || self.stream.is_reset() { Error::Closed } else { Error::IncompleteBody }
    }

    /// Whether the body ends because its connection does. A broken one may have lost the rest: over TLS a FIN without a
    /// close_notify is one, too.
    #[cfg(feature = "client")]
    #[inline]
    fn is_end_of_body(&self, error: &iostream::Error) -> bool {
        matches!(self.body.get(), BodyState::UntilClose)
            && matches!(error, iostream::Error::Closed { cause: None })
            && !self.stream.is_closed()
            && !self.stream.is_reset()
    }

    /// Why the body failed. It never fails without a reason; the default is there for the type.
    fn failure(&self) -> Error {
        self.with_reading(|reading| reading.failure.clone()).unwrap_or(Error::Closed)
    }

    /// Takes what `buf` has of the body, shows it to `sink`, and says what it was.
    fn take_body(&self, buf: &[u8], max_body: u64, sink: &mut dyn FnMut(&[u8])) -> Parsed<Result<Taken>> {
        match self.body.get() {
            // Shown when a wait begins. To consume nothing of it would end the read, and the reader would spin.
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
            #[cfg(feature = "client")]
            BodyState::UntilClose => self.take_all(buf, max_body, sink),
            BodyState::Done | BodyState::Failed => Parsed::Done { consumed: 0, value: Ok(Taken::End) },
        }
    }

    /// Takes whatever has come.
    #[cfg(feature = "client")]
    #[inline]
    fn take_all(&self, buf: &[u8], max_body: u64, sink: &mut dyn FnMut(&[u8])) -> Parsed<Result<Taken>> {
        if buf.is_empty() {
            return Parsed::Incomplete;
        }
        let received = self.with_reading(|reading| {
            reading.received += buf.len() as u64;
            reading.received
        });
        if received > max_body {
            return Parsed::Done { consumed: 0, value: Err(Error::BodyTooLarge { limit: max_body }) };
        }
        sink(buf);
        Parsed::Done { consumed: buf.len(), value: Ok(Taken::Data) }
    }

    /// Takes all chunks that have come, so that many small ones cost no more than one large one.
    fn take_chunks(&self, buf: &[u8], max_body: u64, sink: &mut dyn FnMut(&[u8])) -> Parsed<Result<Taken>> {
        // Out of its place while it works: the sink is not to meet a borrow.
        let mut reading = self.take_reading().unwrap_or_default();
        let (mut at, mut has_data) = (0, false);
        let taken = loop {
            match reading.decoder.decode(&buf[at..], max_body) {
                Ok(ChunkStep::Data { consumed, data }) => {
                    reading.received += data.len() as u64;
                    sink(&buf[at + data.start..at + data.end]);
                    has_data = true;
                    at += consumed;
                }
                // Checked by the decoder, by the grammar of those that are sent.
                Ok(ChunkStep::Trailer { consumed, name, value }) => {
                    reading.trailers.push(&buf[at..][name], &buf[at..][value]);
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
        self.rare().reading.set(Some(reading));
        // Nothing could be used, so the read goes on: a trailer line has to be there as a whole.
        if at == 0 && matches!(taken, Ok(Taken::Framing)) {
            return Parsed::Incomplete;
        }
        Parsed::Done { consumed: at, value: taken }
    }

    /// Takes the trailers of the message in hand, once all of it has come; `None` without any.
    pub(crate) fn take_trailers(&self) -> Option<Trailers> {
        // Those of an earlier message have gone with its reader.
        if !self.is_body_done() {
            return None;
        }
        let mut reading = self.take_reading()?;
        let trailers = mem::take(&mut reading.trailers);
        self.rare().reading.set(Some(reading));
        (!trailers.is_empty()).then_some(trailers)
    }

    /// Has `set` change the bounds of the body in hand. They hold from the next wait on.
    pub(crate) fn set_bounds(&self, set: &dyn Fn(&mut BodyBounds)) {
        // They go with the body, and there would be none to take them along.
        if !self.is_body_done() {
            self.with_reading(|reading| set(&mut reading.bounds));
        }
    }

    /// Whether [`take_trailers`](Conn::take_trailers) would give some.
    pub(crate) fn has_trailers(&self) -> bool {
        let Some(reading) = self.take_reading() else { return false };
        let has_trailers = self.is_body_done() && !reading.trailers.is_empty();
        self.rare().reading.set(Some(reading));
        has_trailers
    }

    /// Drops what has been received of the body, without waiting and without a system call. Returns how many bytes of
    /// it were data. A failure of the framing is kept, as if the body had been read.
    pub(crate) fn drop_received(&self, max_body: u64) -> usize {
        let mut dropped = 0;
        let taken = self.stream.try_read_with(|buf| self.take_body(buf, max_body, &mut |data| dropped += data.len()));
        if let Some(Err(error)) = taken {
            self.fail_body(error);
        }
        drop(self.take_trailers());
        dropped
    }

    /// The length that is still to come; `None` for a chunked body, and for one that failed.
    pub(crate) fn body_left(&self) -> Option<u64> {
        match self.body.get() {
            BodyState::Done => Some(0),
            BodyState::Length(left) => Some(left),
            BodyState::Chunked | BodyState::Failed => None,
            #[cfg(feature = "client")]
            BodyState::UntilClose => None,
        }
    }

    /// A new wait begins with the next look: the time since an earlier read was given up does not count.
    pub(crate) fn forget_body_wait(&self) {
        if let Some(mut reading) = self.take_reading() {
            reading.waits_since = None;
            self.rare().reading.set(Some(reading));
        }
    }

    /// Data has come: what was waited for it counts for the rate.
    fn end_body_wait(&self) {
        // A body that never had to be waited for has nothing here, and allocates nothing.
        let Some(mut reading) = self.take_reading() else { return };
        if let Some(since) = reading.waits_since.take() {
            reading.waited += self.now() - since;
        }
        self.rare().reading.set(Some(reading));
    }

    /// Ready with the reason when the body has kept its reader waiting for too long: in silence, in all, or measured by
    /// how little has come for it.
    ///
    /// To be called when a read is pending. The first call of a wait sets the deadline, to the earliest of the three
    /// bounds; later ones only poll it. The body has failed when this is ready.
    pub(crate) fn poll_body_deadline(&self, cx: &mut Context<'_>, limits: &Limits) -> Poll<Error> {
        let (now, left) = (self.now(), self.body_left());
        let (since, silence) = self.with_reading(|reading| {
            let silence = reading.bounds.timeout.unwrap_or(limits.body_timeout);
            // Set already. Moving it at each poll would give a peer new time for whatever else wakes the task.
            if let Some(since) = reading.waits_since {
                return (since, silence);
            }
            reading.waits_since = Some(now);
            let began = *reading.began.get_or_insert(now);
            let received = self.announced_body().zip(left).map_or(reading.received, |(all, left)| all - left);
            // Time that the service spent elsewhere is not the client's: only waits add up.
            let rate = reading.bounds.min_rate.unwrap_or(limits.min_body_rate);
            let by_rate = limits.time_for(received, rate).saturating_sub(reading.waited);
            let total = reading.bounds.total_timeout.unwrap_or(limits.request_timeout);
            self.deadline.set_after(silence.min(by_rate).min(total.saturating_sub(now - began)));
            (now, silence)
        });
        ready!(self.deadline.poll_expired(cx));
        // Which bound it was decides what the error says; the status is 408 either way.
        let is_silence = self.now() - since >= silence;
        let error = if is_silence { Error::BodyTimeout(silence) } else { Error::BodyTooSlow };
        Poll::Ready(self.fail_body(error))
    }

    /// Shows `f` what is kept of the body, made if there is nothing yet. `f` is code of this file: it meets an empty
    /// place.
    fn with_reading<T>(&self, f: impl FnOnce(&mut Reading) -> T) -> T {
        let mut reading = self.take_reading().unwrap_or_default();
        let result = f(&mut reading);
        self.rare().reading.set(Some(reading));
        result
    }
}
