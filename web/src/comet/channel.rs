//! A channel: its latest messages, and those who wait for the next.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    time::Instant,
};

use httpserver::{Bytes, iostream::ioloop::IOLoop, sync::Condition};

use super::{cursor::Cursor, history::History, message::Message, options::HubOptions, presence::Members};

/// One channel of one hub.
pub(super) struct Channel {
    pub(super) name: Rc<str>,
    pub(super) options: Rc<HubOptions>,
    /// `None` until the broker has begun to feed it. Borrowed for a moment at a time.
    pub(super) history: RefCell<Option<History>>,
    /// Wakes those who wait.
    pub(super) news: Condition,
    pub(super) subscribers: Cell<usize>,
    /// When somebody was last interested.
    pub(super) used: Cell<Instant>,
    /// The latest answer to a poll, which most others are given too.
    pub(super) answer: RefCell<Option<Answer>>,
    /// Boxed, because most channels have none.
    pub(super) members: RefCell<Option<Box<Members>>>,
    ioloop: IOLoop,
}

/// What a poll is answered.
pub(super) struct Answer {
    pub(super) span: Span,
    /// Counted here: `Bytes` counts by atomic operations, each of which is worth a dozen others.
    pub(super) body: Rc<Bytes>,
}

/// What there is for a subscriber.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    /// The number of the message in front of which it stands.
    pub(super) from: u64,
    /// The number of the next message that the channel will have.
    pub(super) to: u64,
}

impl Channel {
    #[inline]
    pub(super) fn new(name: Rc<str>, options: Rc<HubOptions>, ioloop: IOLoop) -> Channel {
        Channel {
            name,
            options,
            history: RefCell::new(None),
            news: Condition::new(),
            subscribers: Cell::new(0),
            used: Cell::new(ioloop.turn_time()),
            answer: RefCell::new(None),
            members: RefCell::new(None),
            ioloop,
        }
    }

    /// The time of this turn of the loop.
    #[inline]
    pub(super) fn now(&self) -> Instant {
        self.ioloop.turn_time()
    }

    /// Goes on behind `cursor`.
    #[inline]
    pub(super) fn begin(&self, cursor: Cursor) {
        let gone = match &mut *self.history.borrow_mut() {
            Some(history) => history.begin(cursor),
            empty => {
                *empty = Some(History::new(cursor));
                Default::default()
            }
        };
        // What messages hold may be anybody's memory, with a destructor of its own.
        drop(gone);
        self.wake();
    }

    /// Takes a message in, and wakes those who wait for it.
    #[inline]
    pub(super) fn deliver(&self, message: Message) -> bool {
        let accepted = match &mut *self.history.borrow_mut() {
            Some(history) if history.epoch() == message.cursor().epoch() => history.push(message),
            _ => false,
        };
        if accepted {
            self.used.set(self.now());
            self.trim(self.now());
            self.wake();
        }
        accepted
    }

    /// Drops what is too much, or too old.
    #[inline]
    pub(super) fn trim(&self, now: Instant) {
        loop {
            let gone = self.history.borrow_mut().as_mut().and_then(|history| history.evict(&self.options, now));
            if gone.is_none() {
                return;
            }
            drop(gone);
        }
    }

    /// Puts what grows with those who wait to memory that is allocated now, and returns what is left: for an
    /// [`Ebb`](httpserver::iostream::ioloop::Ebb).
    #[inline]
    pub(super) fn move_ahead(&self) -> impl Sized + use<> {
        let members = self.members.borrow_mut().as_mut().map(|members| members.move_ahead());
        // It is made anew for the next poll that asks for the same.
        (self.news.move_ahead(), self.answer.take(), members)
    }

    #[inline]
    pub(super) fn newest(&self) -> Option<Cursor> {
        self.history.borrow().as_ref().map(|history| history.cursor(history.next()))
    }

    #[inline]
    pub(super) fn has_messages(&self) -> bool {
        self.history.borrow().as_ref().is_some_and(|history| !history.is_empty())
    }

    fn wake(&self) {
        self.news.notify_all();
    }
}
