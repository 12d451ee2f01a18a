//! From messages to bytes, and what happens when the peer reads them too slowly.

use std::{
    cell::Cell,
    rc::Rc,
    task::{Context, Poll, ready},
};

use httpserver::{Bytes, IOLoop};

use super::{Buffer, Core, closing::Failure, outbox::Queued};
use crate::{
    error::{Error, Result},
    kept::Kept,
    websocket::{
        codec::{EncodeError, Message},
        options::SlowReader,
        prepared::PreparedMessage,
    },
};

/// How much is gathered at most while a handler runs, in bytes.
const GATHER: usize = 16 * 1024;

/// Frames from this size on are passed on as they are: many sockets may share them.
const WHOLE_FROM: usize = 4 * 1024;

/// After how many bytes that had not to wait it is looked at whether the rest of the loop should have its turn.
const YIELD_AFTER: u32 = 1024 * 1024;

/// The bits of a [burst](Core::burst) that count its bytes. The others say in which turn of the loop it was looked at last.
const BURST_BITS: u32 = 21;
const BURST: u32 = (1 << BURST_BITS) - 1;

/// The largest buffer that a thread keeps for gathering.
const KEEP: usize = 2 * GATHER;

thread_local! {
    /// Of the socket that has sent last.
    static SPARE: Cell<Option<Buffer>> = const { Cell::new(None) };
    static KEPT: Rc<Kept> = Kept::new(|| Box::new(SPARE.take()));
}

/// To be called by the thread before it sends anything: the buffer goes when a burst of connections ebbs.
#[inline]
pub(in crate::websocket) fn keep_until_ebb() {
    // While the thread ends nothing ebbs.
    let _ = KEPT.try_with(|_| ());
}

/// What is to be sent.
#[derive(Debug)]
pub(in crate::websocket) enum Outgoing {
    Message(Message),
    Prepared(PreparedMessage),
    /// With the key by which a later one takes its place.
    Keyed(u64, PreparedMessage),
}

impl Outgoing {
    #[inline]
    pub(super) fn len(&self) -> usize {
        match self {
            Outgoing::Message(message) => message.len(),
            Outgoing::Prepared(prepared) | Outgoing::Keyed(_, prepared) => prepared.len(),
        }
    }

    /// Which messages it stands for, if they are coalesced. All without a key share one.
    #[inline]
    pub(super) fn key(&self) -> Option<u64> {
        match self {
            Outgoing::Keyed(key, _) => Some(*key),
            Outgoing::Message(_) | Outgoing::Prepared(_) => None,
        }
    }
}

impl Core {
    /// Sends `item`, as soon as the policy for slow readers lets it. Taken out of its place when it is as good as sent.
    ///
    /// # Errors
    ///
    /// [`Error::WebSocketClosed`] when nothing can be sent any more.
    #[inline]
    pub(in crate::websocket) fn poll_send(
        &self,
        cx: &mut Context<'_>,
        item: &mut Option<Outgoing>,
    ) -> Poll<Result<()>> {
        if !self.can_send() {
            return Poll::Ready(Err(Error::WebSocketClosed));
        }
        // Nearly always the peer has taken everything.
        if self.has_backlog() {
            ready!(self.poll_slow(cx, item))?;
        }
        // Not behind the queue, which has taken the message.
        if item.is_some() && self.burst.get() & BURST > YIELD_AFTER && self.is_in_one_turn() {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        if let Some(item) = item.take() {
            let burst = self.burst.get();
            let room = (BURST - (burst & BURST)) as usize;
            self.burst.set(burst + item.len().min(room) as u32);
            self.hand_over(&item);
        }
        Poll::Ready(Ok(()))
    }

    /// Whether a burst was sent in one turn of the loop. A peer that reads as fast as it is sent to must not keep the others
    /// from theirs, but a socket that many tasks send to is none of that: those who never wait for a peer rely on it. The
    /// next burst begins.
    #[cold]
    fn is_in_one_turn(&self) -> bool {
        let turn = (IOLoop::current().metrics().turns as u32) << BURST_BITS;
        self.burst.replace(turn) & !BURST == turn
    }

    /// How many bytes wait for the peer.
    #[inline]
    pub(in crate::websocket) fn backlog(&self) -> usize {
        let gathered = self.gathered.take();
        let bytes = gathered.as_ref().map_or(0, |buffer| buffer.len());
        self.gathered.set(gathered);
        let outbox = self.outbox.take();
        let waiting = outbox.as_ref().map_or(0, |outbox| outbox.bytes());
        self.outbox.set(outbox);
        bytes + waiting + self.stream.pending_write()
    }

    #[inline]
    fn has_backlog(&self) -> bool {
        self.stream.pending_write() > 0 || self.has_outbox()
    }

    #[inline]
    fn has_outbox(&self) -> bool {
        // A cell of something that is not `Copy` can only be looked at by taking it out.
        let outbox = self.outbox.take();
        let has_outbox = outbox.is_some();
        self.outbox.set(outbox);
        has_outbox
    }

    /// What the policy says of a peer that has not taken everything. Leaves `item` where it is if it may be sent now.
    #[cold]
    fn poll_slow(&self, cx: &mut Context<'_>, item: &mut Option<Outgoing>) -> Poll<Result<()>> {
        let max = self.settings().max_queue;
        let policy = self.settings().slow_reader;
        match policy {
            SlowReader::Wait | SlowReader::Disconnect if self.backlog() < max => Poll::Ready(Ok(())),
            SlowReader::Wait => {
                self.flush();
                // Until all of it has left: so a writer is not woken for every packet.
                let flushed = ready!(self.stream.poll_flush(cx));
                Poll::Ready(if flushed.is_ok() && self.can_send() { Ok(()) } else { Err(Error::WebSocketClosed) })
            }
            SlowReader::Disconnect => {
                self.fail(Failure::TooSlow);
                Poll::Ready(Err(Error::WebSocketClosed))
            }
            SlowReader::DropOldest | SlowReader::Coalesce => {
                if let Some(item) = item.take() {
                    let coalesces = policy == SlowReader::Coalesce;
                    let mut outbox = self.outbox.take().unwrap_or_default();
                    let dropped = outbox.push(item, coalesces, max);
                    self.outbox.set(Some(outbox));
                    // With the outbox in its place: a message may have an owner of the user's.
                    drop(dropped);
                    self.wake_driver();
                }
                Poll::Ready(Ok(()))
            }
        }
    }

    /// Frames a message and sends it, or gathers it when the handler is being polled.
    #[inline]
    fn hand_over(&self, item: &Outgoing) {
        // The borrow ends with each statement: sending is no business of the codec's.
        match item {
            Outgoing::Prepared(prepared) | Outgoing::Keyed(_, prepared) => {
                let frame = prepared.frame(self.role, &mut self.codec.borrow_mut().encoder);
                self.send_frame(frame);
            }
            // A smaller one leaves from the buffer that is kept: to allocate one of 4 KiB and free it is a sixth of an echo's
            // instructions.
            Outgoing::Message(message) if message.len() >= GATHER => {
                let frame = self.codec.borrow_mut().encoder.message(message);
                self.send_frame(frame);
            }
            Outgoing::Message(message) => {
                self.with_gathered(|out| self.codec.borrow_mut().encoder.append(message, out));
            }
        }
    }

    /// Sends a frame behind everything that was sent before.
    #[inline]
    pub(super) fn send_frame(&self, frame: Bytes) {
        if self.driving.get() && frame.len() < WHOLE_FROM {
            return self.with_gathered(|out| out.extend_from_slice(&frame));
        }
        self.flush();
        // What the kernel does not take is queued by the stream, and leaves by itself.
        drop(self.stream.write(frame));
    }

    /// Adds to what leaves when the handler waits, or at once if no handler is being polled.
    #[inline]
    fn with_gathered(&self, append: impl FnOnce(&mut Vec<u8>)) {
        let spare = || SPARE.try_with(Cell::take).ok().flatten();
        let mut gathered = self.gathered.take().or_else(spare).unwrap_or_else(|| Box::new(Vec::with_capacity(512)));
        append(&mut gathered);
        let waits = self.driving.get() && gathered.len() < GATHER;
        self.gathered.set(Some(gathered));
        if !waits {
            self.flush();
        }
    }

    /// Gives what was gathered to the stream, which sends it at once as far as the kernel takes it.
    #[inline]
    pub(super) fn flush(&self) {
        let Some(mut gathered) = self.gathered.take() else { return };
        drop(self.stream.write(&gathered[..]));
        if gathered.capacity() <= KEEP {
            gathered.clear();
            let _ = SPARE.try_with(|spare| spare.set(Some(gathered)));
        }
    }

    /// Sends what waits as the peer takes it. Ready when nothing is left in the outbox.
    #[inline]
    pub(super) fn poll_pump(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.flush();
        while self.has_outbox() {
            if ready!(self.stream.poll_flush(cx)).is_err() {
                // The input tells that the connection is broken.
                return Poll::Ready(());
            }
            let mut outbox = self.outbox.take();
            let next = outbox.as_mut().and_then(|outbox| outbox.pop());
            // Gone with the last message.
            self.outbox.set(outbox.filter(|outbox| !outbox.is_empty()));
            match next {
                Some(Queued::Message(item)) => self.hand_over(&item),
                Some(Queued::Control(frame)) => self.send_frame(frame),
                None => {}
            }
            self.flush();
        }
        Poll::Ready(())
    }

    /// Answers a ping, unless the peer takes nothing: RFC 6455 5.5.3 lets the answers to all but the latest ping be left
    /// out.
    #[inline]
    pub(super) fn send_pong(&self, payload: &[u8]) {
        if self.is_open() && self.stream.pending_write() <= self.settings().max_queue {
            let pong = self.codec.borrow().encoder.pong(payload);
            // No ping is longer than a pong may be.
            if let Ok(pong) = pong {
                self.send_frame(pong);
            }
        }
    }

    /// Sends a ping of the user's, or one of the heartbeat's.
    ///
    /// # Errors
    ///
    /// [`Error::WebSocketClosed`], and that of a payload that is too long.
    #[inline]
    pub(in crate::websocket) fn send_ping(&self, payload: &[u8]) -> Result<()> {
        if !self.can_send() {
            return Err(Error::WebSocketClosed);
        }
        let ping: Result<Bytes, EncodeError> = self.codec.borrow().encoder.ping(payload);
        self.send_frame(ping?);
        Ok(())
    }
}
