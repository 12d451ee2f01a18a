use std::{
    cell::{Cell, RefCell},
    net::SocketAddr,
    rc::Rc,
    task::{Context, Poll, Waker, ready},
    time::Instant,
};

use http::{Method, Version};
use iostream::{IOLoop, IOStream, Parsed, ioloop::Deadline};

use crate::{
    Error, Limits, Request, Response, Result,
    http1::{
        chunked::{ChunkStep, ChunkedDecoder},
        encode::{self, CONTINUE, EncodeContext, StreamFraming},
        head::{BodyFraming, Expect, HeadParser, RequestHead},
    },
    pool,
    server::ServerState,
};

/// What a connection shares with the body and the answer of the request in hand: the stream, what is about to be sent,
/// and how far the request and its answer have got.
///
/// There is one per connection, so it is kept small; buffers are held only while they have something in them.
pub(crate) struct Channel {
    stream: IOStream,
    ioloop: IOLoop,
    server: Rc<ServerState>,
    peer: Option<SocketAddr>,
    /// The one timer of the connection. Whoever waits sets it before looking at it.
    deadline: Deadline,
    /// Answers, or parts of one, that have not been given to the stream yet: they leave in one send.
    output: RefCell<Vec<u8>>,
    /// Bytes queued in the stream when the deadline for writing was last set: fewer means progress.
    stalled_at: Cell<usize>,
    /// How much of the current request's body is still to come.
    body: Cell<Incoming>,
    /// The Content-Length of the current request.
    announced: Cell<Option<u64>>,
    /// The client waits for `100 Continue` before it sends the body.
    expects_continue: Cell<bool>,
    /// The service is waiting for the body, and the deadline has been set for that.
    waits_for_body: Cell<bool>,
    request: Cell<RequestFacts>,
    answer: Cell<Answer>,
    /// Counts requests, so that what is left of an earlier one finds out.
    serial: Cell<u32>,
    cancels: Cell<bool>,
    /// A drain's deadline has passed: the connection is to end now.
    cut: Cell<bool>,
    /// A request is being answered.
    busy: Cell<bool>,
    /// Who to wake for `cut`: set only when a service waits.
    task: Cell<Option<Waker>>,
}

/// How much of a body is still to come.
#[derive(Clone, Copy)]
enum Incoming {
    Done,
    Length(u64),
    Chunked(ChunkedDecoder),
    /// Its framing broke, it was too large, or the client left: nothing behind it can be understood.
    Failed,
}

/// What the encoder has to know about the current request.
#[derive(Clone, Copy)]
struct RequestFacts {
    is_http11: bool,
    is_head: bool,
    keep_alive: bool,
}

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
    pub(crate) fn new(stream: IOStream, peer: Option<SocketAddr>, server: Rc<ServerState>) -> Channel {
        Channel {
            stream,
            ioloop: IOLoop::current(),
            server,
            peer,
            deadline: Deadline::new(),
            output: RefCell::default(),
            stalled_at: Cell::new(0),
            body: Cell::new(Incoming::Done),
            announced: Cell::new(None),
            expects_continue: Cell::new(false),
            waits_for_body: Cell::new(false),
            request: Cell::new(RequestFacts { is_http11: true, is_head: false, keep_alive: false }),
            answer: Cell::new(Answer::NotBegun),
            serial: Cell::new(0),
            cancels: Cell::new(false),
            cut: Cell::new(false),
            busy: Cell::new(false),
            task: Cell::new(None),
        }
    }

    pub(crate) fn stream(&self) -> &IOStream {
        &self.stream
    }

    pub(crate) fn peer(&self) -> Option<SocketAddr> {
        self.peer
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.server.limits
    }

    pub(crate) fn now(&self) -> Instant {
        self.ioloop.turn_time()
    }
}

/// Requests: heads and bodies.
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
        if self.stream.pending_write() != 0 && self.poll_flush(cx)?.is_pending() {
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
        if let Some(parsed) = self.stream.try_read_with(&mut parse) {
            return Poll::Ready(parsed);
        }
        if self.poll_flush(cx)?.is_pending() {
            return Poll::Pending;
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
            BodyFraming::None => (Incoming::Done, Some(0)),
            BodyFraming::Length(0) => (Incoming::Done, Some(0)),
            BodyFraming::Length(length) => (Incoming::Length(length), Some(length)),
            BodyFraming::Chunked => (Incoming::Chunked(ChunkedDecoder::new()), None),
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
        self.announced.get()
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
                Incoming::Length(_) | Incoming::Chunked(_) => {}
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
            Incoming::Chunked(decoder) => self.take_chunks(decoder, buf, sink),
            Incoming::Done | Incoming::Failed => Parsed::Done { consumed: 0, value: Ok(Taken::End) },
        }
    }

    /// Takes all chunks that have come, so that many small ones cost no more than one large one.
    fn take_chunks(
        &self,
        mut decoder: ChunkedDecoder,
        buf: &[u8],
        sink: &mut dyn FnMut(&[u8]),
    ) -> Parsed<Result<Taken>> {
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
                    self.body.set(Incoming::Chunked(decoder));
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

    /// Whether the connection can go on behind what the service left of the body. Drops what has come of a chunked one,
    /// whose length nobody knows.
    fn can_pass_body(&self) -> bool {
        if let Incoming::Chunked(_) = self.body.get() {
            let dropped = self.stream.try_read_with(|buf| self.take_body(buf, &mut |_| {}));
            if let Some(Err(_)) = dropped {
                self.body.set(Incoming::Failed);
            }
        }
        match self.body.get() {
            Incoming::Done => true,
            // Nobody knows whether a client that was not told to continue will send its body or the next request.
            Incoming::Length(left) if self.expects_continue.get() => left <= self.stream.buffered() as u64,
            Incoming::Length(left) => {
                self.begin_body_wait();
                left <= self.limits().max_unread_body as u64
            }
            Incoming::Chunked(_) | Incoming::Failed => false,
        }
    }

    /// Drops what is left of the body. The answer, if any, is sent meanwhile.
    pub(crate) fn poll_drop_body(&self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.expects_continue.set(false);
        while ready!(self.poll_body(cx, &mut |_| {}))? {}
        Poll::Ready(Ok(()))
    }
}

/// Answers.
impl Channel {
    /// Encodes a whole answer. True when the connection goes on behind it.
    pub(crate) fn answer(&self, response: Response) -> bool {
        let context = self.encode_context(self.can_pass_body());
        let encoded = self.with_output(|out| encode::encode_response(out, response, &context));
        if let Some(body) = encoded.rest {
            let head = self.output.take();
            drop(self.stream.write_parts(&head, body));
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
        let mut output = self.output.borrow_mut();
        if output.capacity() == 0 {
            *output = pool::take();
        }
        append(&mut output)
    }

    /// Hands what is ready to the stream, which sends it at once as far as the kernel takes it.
    pub(crate) fn start_flush(&self) {
        if self.output.borrow().is_empty() {
            return;
        }
        let output = self.output.take();
        // A failure shows at the next read or flush.
        drop(self.stream.write(&output[..]));
        pool::give_back(output);
    }

    /// The time-out of writing starts afresh: the time since an earlier write was given up does not count.
    pub(crate) fn begin_flush_wait(&self) {
        self.stalled_at.set(0);
    }

    /// Waits until the kernel has taken everything.
    pub(crate) fn poll_flush(&self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.start_flush();
        if self.stream.poll_flush(cx)?.is_ready() {
            if self.stalled_at.replace(0) != 0 {
                // The deadline was ours for a while; a wait for the body has to set it again.
                self.begin_body_wait();
            }
            // What was written to a broken connection is not queued, and so not missed by the stream.
            return Poll::Ready(if self.stream.is_closed() { Err(Error::Closed) } else { Ok(()) });
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

/// The end of the connection.
impl Channel {
    pub(crate) fn cancel_on_disconnect(&self, serial: u32) {
        if self.is_current(serial) {
            self.cancels.set(true);
            // When it is another task that asks, the connection's own has to look again.
            if let Some(task) = self.task.take() {
                task.wake();
            }
        }
    }

    /// Ready when the service's future is to be dropped: the client has gone and the service asked for it, or a drain's
    /// time is over.
    pub(crate) fn poll_cancelled(&self, cx: &mut Context<'_>) -> Poll<()> {
        if self.cut.get() {
            return Poll::Ready(());
        }
        let known = self.task.take().filter(|waker| waker.will_wake(cx.waker()));
        self.task.set(Some(known.unwrap_or_else(|| cx.waker().clone())));
        if self.cancels.get() { self.stream.poll_peer_closed(cx) } else { Poll::Pending }
    }

    /// Whether it waits for a request, with nothing of one received and nothing of an answer left to send.
    pub(crate) fn is_idle(&self) -> bool {
        !self.busy.get()
            && self.is_body_done()
            && self.stream.buffered() == 0
            && self.output.borrow().is_empty()
            && self.stream.pending_write() == 0
    }

    /// Ends the connection now, whatever it does.
    pub(crate) fn cut(&self) {
        self.cut.set(true);
        self.stream.close();
        if let Some(task) = self.task.take() {
            task.wake();
        }
    }

    /// Whether the client may still be sending something that nobody will read: then a close would reset the connection
    /// and could take the answer with it.
    pub(crate) fn has_unread_input(&self) -> bool {
        !self.is_body_done() || self.stream.buffered() > 0
    }

    /// Reads and drops for a while, until the client has closed its side.
    pub(crate) fn poll_linger(&self, cx: &mut Context<'_>, dropped: &mut usize) -> Poll<()> {
        while *dropped <= self.limits().max_linger {
            let polled = self.stream.poll_read_with(cx, |buf| match buf.len() {
                0 => Parsed::Incomplete,
                count => Parsed::Done { consumed: count, value: count },
            });
            match polled {
                Poll::Ready(Ok(count)) => *dropped += count,
                Poll::Ready(Err(_)) => break,
                Poll::Pending => return self.deadline.poll_expired(cx),
            }
        }
        Poll::Ready(())
    }

    pub(crate) fn set_linger_deadline(&self) {
        self.deadline.set_after(self.limits().linger_timeout);
    }
}
