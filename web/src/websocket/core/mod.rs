//! The engine below a socket: one connection's state, and what moves it.
//!
//! There is no task beside the handler's own. Two things poll the connection: a handler that [receives](receiving), and the
//! [driver](driving), which is polled around the handler whenever its task is woken. What nobody asked for is the driver's:
//! pings, the close handshake, the drain, and messages that wait. Both may be in different tasks; each wakes the other.
//!
//! While the driver polls the handler, what is sent is gathered, and leaves in one piece when the handler waits: several
//! messages that came in one read are answered in one send. Any other task that sends writes at once, so a broadcast wakes
//! nobody.

mod closing;
mod driving;
mod heartbeat;
mod outbox;
mod receiving;
mod sending;

use std::{
    cell::{Cell, OnceCell, RefCell},
    rc::Rc,
    task::Waker,
};

use httpserver::{
    IOStream,
    iostream::ioloop::{Deadline, Waiter},
};

use self::outbox::Outbox;
pub(super) use self::{
    closing::End,
    driving::drive,
    receiving::Received,
    sending::{Outgoing, keep_until_ebb},
};
use super::{
    agreement::Agreement,
    codec::{Decoder, Encoder, Message, Role},
    options::{Settings, WebSocketOptions},
};

/// One WebSocket. There may be ten thousand of them, most of them idle: what only some need is boxed.
#[allow(clippy::box_collection, reason = "8 bytes in every socket instead of 24")]
pub(super) struct Core {
    stream: IOStream,
    options: WebSocketOptions,
    role: Role,
    /// Borrowed while bytes are decoded or messages framed, which runs no foreign code.
    codec: RefCell<Codec>,
    /// Frames that the handler has sent since it was last polled.
    gathered: Cell<Option<Buffer>>,
    /// A message that came while nobody was receiving. There is one at most; then reading stops.
    inbox: Cell<Option<Box<Message>>>,
    /// Messages that wait for a slow peer, for policies by which they may still be dropped.
    outbox: Cell<Option<Box<Outbox>>>,
    /// Who is receiving.
    receiver: Cell<Option<Waiter>>,
    /// The task of the driver.
    driver: Cell<Option<Waiter>>,
    /// Who waits for the end.
    watchers: Cell<Option<Box<Vec<Waker>>>>,
    /// Of the next ping, of its answer, of the peer's close frame: those waits exclude each other.
    deadline: Deadline,
    /// How the connection ended, once it has for its receiver.
    end: OnceCell<Box<End>>,
    /// In a box of its own, because few have one.
    subprotocol: Option<Box<String>>,
    phase: Cell<Phase>,
    /// The driver is polling the handler.
    driving: Cell<bool>,
    /// The handler has looked for input in this poll of the driver, and found none.
    has_read: Cell<bool>,
    /// Something has come since the last ping.
    heard: Cell<bool>,
    /// A ping was sent, and its time runs.
    awaits_pong: Cell<bool>,
    /// The peer had not taken everything when the last ping was due, so none was sent.
    was_stuck: Cell<bool>,
    /// How much the kernel had taken then; the lower half will do.
    sent_mark: Cell<u32>,
    /// How many bytes were sent since a sender had to wait, and when that was looked at last.
    burst: Cell<u32>,
}

struct Codec {
    decoder: Decoder,
    encoder: Encoder,
}

/// How far the connection is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    /// Both sides may send.
    Open,
    /// Our close frame is out, the peer's is waited for. Messages may still come before it.
    Closing,
    /// The peer's close frame has come while the handler was at something else, such as the answer to an earlier message. It
    /// is answered when the handler asks for the next one, or is done.
    ClosedByPeer,
    /// Nothing more is received. What is queued is sent, then the connection is closed.
    Flushing,
    /// The same, and the peer is read from until it ends its side, because what it still sends would reset the connection
    /// and take our close frame with it.
    FlushingThenLingering,
    Lingering,
    /// The stream is closed.
    Over,
}

/// Boxed: 8 bytes in every socket instead of 24.
#[allow(clippy::box_collection, reason = "8 bytes in every socket instead of 24")]
type Buffer = Box<Vec<u8>>;

impl Core {
    /// A socket whose handshake is over.
    #[inline]
    pub(super) fn new(stream: IOStream, options: WebSocketOptions, role: Role, agreement: Agreement) -> Rc<Core> {
        // What was sent before the end of input was met is still flushed.
        stream.set_half_open(true);
        let settings = options.settings();
        let (decoder, encoder) = (agreement.decoder(role, settings), agreement.encoder(role));
        let deadline = Deadline::new();
        deadline.set_after(settings.ping_interval);
        Rc::new(Core {
            stream,
            role,
            codec: RefCell::new(Codec { decoder, encoder }),
            gathered: Cell::new(None),
            inbox: Cell::new(None),
            outbox: Cell::new(None),
            receiver: Cell::new(None),
            driver: Cell::new(None),
            watchers: Cell::new(None),
            deadline,
            end: OnceCell::new(),
            subprotocol: agreement.subprotocol.map(Box::new),
            phase: Cell::new(Phase::Open),
            driving: Cell::new(false),
            has_read: Cell::new(false),
            heard: Cell::new(false),
            awaits_pong: Cell::new(false),
            was_stuck: Cell::new(false),
            sent_mark: Cell::new(0),
            burst: Cell::new(0),
            options,
        })
    }

    #[inline]
    pub(super) fn subprotocol(&self) -> Option<&str> {
        self.subprotocol.as_ref().map(|name| name.as_str())
    }

    #[inline]
    fn settings(&self) -> &Settings {
        self.options.settings()
    }

    /// Whether neither side has begun to close.
    #[inline]
    pub(super) fn is_open(&self) -> bool {
        self.phase.get() == Phase::Open
    }

    /// Whether messages can be sent: our close frame is not out.
    #[inline]
    fn can_send(&self) -> bool {
        matches!(self.phase.get(), Phase::Open | Phase::ClosedByPeer)
    }

    /// Whether anybody but the driver has a handle. `this` is the driver's own.
    #[inline]
    fn has_handles(this: &Rc<Core>) -> bool {
        Rc::strong_count(this) > 1
    }

    /// A handle has gone. The driver is to look whether it was the last one.
    #[inline]
    pub(super) fn release(this: &Rc<Core>) {
        if Rc::strong_count(this) <= 2 {
            this.wake_driver();
        }
    }

    /// Whether `waker` is to be woken at the end of the connection: false when that has come.
    pub(super) fn watch(&self, waker: &Waker) -> bool {
        if self.end.get().is_some() {
            return false;
        }
        // Out of their place while a waker is cloned, which is foreign code.
        let mut watchers = self.watchers.take().unwrap_or_default();
        if !watchers.iter().any(|known| known.will_wake(waker)) {
            watchers.push(waker.clone());
        }
        if let Some(others) = self.watchers.take() {
            watchers.extend(*others);
        }
        self.watchers.set(Some(watchers));
        true
    }

    /// Has the driver look again, unless it is running anyway.
    #[inline]
    fn wake_driver(&self) {
        if !self.driving.get()
            && let Some(driver) = self.driver.take()
        {
            driver.wake();
        }
    }

    #[inline]
    fn wake_receiver(&self) {
        if let Some(receiver) = self.receiver.take() {
            receiver.wake();
        }
    }

    #[inline]
    fn wake_watchers(&self) {
        // Out of their place first: a waker is foreign code.
        if let Some(watchers) = self.watchers.take() {
            watchers.into_iter().for_each(Waker::wake);
        }
    }
}

/// Keeps who is polled with `waker` in its place, if it is not the one that is there.
#[inline]
fn keep_waiter(place: &Cell<Option<Waiter>>, waker: &Waker) {
    let known = place.take().filter(|known| known.will_wake(waker));
    place.set(Some(known.unwrap_or_else(|| Waiter::new(waker))));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_idle_socket_is_small() {
        let size = size_of::<Core>();
        assert!(size <= 216, "{size} bytes");
    }
}
