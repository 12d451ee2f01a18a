use std::{mem, task::Waker};

use crate::poller::Ready;

/// What a [`Source`](crate::Source) keeps in the loop.
pub(super) struct Readiness {
    /// Bits reported and not cleared since. An edge is reported once, so this is the only memory of it.
    pub(super) ready: Ready,
    /// What the first waiter waits for.
    pub(super) wanted: Ready,
    /// A single waiter is the common case and costs no allocation.
    pub(super) first: Option<Waker>,
    /// Everybody else. The box keeps an idle source small.
    others: Option<Box<Others>>,
}

/// Waiters beyond the first.
struct Others {
    list: Vec<(Ready, Waker)>,
    /// The list is swept when it has grown to this length.
    limit: usize,
    /// The turn of the last sweep.
    swept_in: u32,
}

/// How many waiters beside the first are never swept.
pub(super) const FEW: usize = 16;

/// What came of [`Registry::ready_or_wait`](super::Registry::ready_or_wait).
pub(crate) enum Wait {
    Ready(Ready),
    /// The waker is kept.
    Pending,
    /// A clone of the waker is to be given to [`Registry::wait`](super::Registry::wait).
    NeedsClone,
}

/// What came of [`Registry::wait`](super::Registry::wait).
#[must_use]
pub(crate) enum Kept {
    Yes,
    /// Yes, and these have waited so long that they are to be woken.
    Swept(Vec<Waker>),
    /// Cloning the waker was foreign code, which has changed what there is to wait for. Here it is, to be dropped.
    No(Waker),
}

/// Reading also ends with an error or a hang-up, so whoever waits for data wants to know.
pub(super) const ENDS: Ready = Ready::HANGUP.union(Ready::ERROR);

impl Readiness {
    /// A fresh socket has room to write. Whatever else is true of it, epoll reports as a first edge.
    pub(super) fn new() -> Readiness {
        Readiness { ready: Ready::WRITABLE, wanted: Ready::empty(), first: None, others: None }
    }

    #[inline]
    pub(super) fn record(&mut self, ready: Ready, wakers: &mut Vec<Waker>) -> Option<Waker> {
        self.ready |= ready;
        if let Some(others) = &mut self.others {
            wakers.extend(
                others.list.extract_if(.., |(wanted, _)| ready.intersects(*wanted | ENDS)).map(|(_, waker)| waker),
            );
            if others.list.is_empty() {
                self.others = None;
            }
        }
        if ready.intersects(self.wanted | ENDS) { self.first.take() } else { None }
    }

    /// For an empty place.
    #[inline]
    pub(super) fn wait_first(&mut self, wanted: Ready, waker: Waker) {
        self.wanted = wanted;
        // Saying that it is empty saves what an assignment does to drop what was there.
        mem::forget(self.first.replace(waker));
    }

    #[cold]
    pub(super) fn wait_beside_again(&mut self, wanted: Ready, waker: &Waker) -> Wait {
        let others =
            self.others.as_mut().and_then(|others| others.list.iter_mut().find(|(_, known)| known.will_wake(waker)));
        let Some((known_wanted, _)) = others else { return Wait::NeedsClone };
        *known_wanted |= wanted;
        Wait::Pending
    }

    #[cold]
    pub(super) fn wait_beside(&mut self, wanted: Ready, waker: Waker, turn: u32) -> Kept {
        let others = self.others.get_or_insert_with(|| Box::new(Others::new(turn)));
        let swept = others.make_room(turn);
        others.list.push((wanted, waker));
        if swept.is_empty() { Kept::Yes } else { Kept::Swept(swept) }
    }
}

impl Others {
    fn new(turn: u32) -> Others {
        Others { list: Vec::new(), limit: FEW, swept_in: turn }
    }

    /// A waker does not tell whether its task still lives, and on a connection that lasts there may be no event for
    /// hours, while every request leaves another one behind. So a list that has grown long is given to the caller to be
    /// woken: those who live come back within a turn, and then the list may grow to twice their number before the next
    /// sweep.
    fn make_room(&mut self, turn: u32) -> Vec<Waker> {
        if self.list.len() < self.limit {
            return Vec::new();
        }
        if turn.wrapping_sub(self.swept_in) <= 1 {
            self.limit = 2 * self.list.len();
            return Vec::new();
        }
        self.limit = FEW;
        self.swept_in = turn;
        self.list.drain(..).map(|(_, waker)| waker).collect()
    }
}
