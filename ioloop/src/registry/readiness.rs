use std::{mem, task::Waker};

use crate::{arena::ArenaKey, poller::Ready, task::NOBODY};

/// What a [`Source`](crate::Source) keeps in the loop.
pub(super) struct Readiness {
    /// Bits reported and not cleared since. An edge is reported once, so this is the only memory of it.
    pub(super) ready: Ready,
    /// What the task waits for.
    wanted: Ready,
    /// Whether `task` waits. A byte that has values to spare: the tags of the two enums around it lie in them, so that a
    /// descriptor's place has 32 bytes instead of 40.
    waits: bool,
    /// A single task of the loop is the common case, and is known by its name.
    task: ArenaKey,
    /// Everybody else. The box keeps an idle source small.
    others: Option<Box<Others>>,
}

/// Waiters beside the task.
struct Others {
    list: Vec<(Ready, Waker)>,
    /// The list is swept when it has grown to this length.
    limit: usize,
    /// The turn of the last sweep.
    swept_in: u32,
}

/// How many waiters beside the task are never swept.
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

/// A read also ends with an error or a hang-up, so these wake what waits for data.
pub(super) const ENDS: Ready = Ready::HANGUP.union(Ready::ERROR);

impl Readiness {
    /// A fresh socket has room to write. Whatever else is true of it, epoll reports as a first edge.
    pub(super) fn new() -> Readiness {
        Readiness { ready: Ready::WRITABLE, wanted: Ready::empty(), waits: false, task: NOBODY, others: None }
    }

    /// Whether anybody but the task waits.
    #[inline]
    pub(super) fn has_others(&self) -> bool {
        // A second waiter is rare, and one pointer tells that there is none.
        self.others.is_some()
    }

    /// The task that is to be woken, if there is one.
    #[inline]
    pub(super) fn record(&mut self, ready: Ready) -> Option<ArenaKey> {
        // An edge is reported once: what is not kept here is lost.
        self.ready |= ready;
        if !self.waits || !ready.intersects(self.wanted | ENDS) {
            return None;
        }
        self.waits = false;
        Some(self.task)
    }

    /// [`record`](Readiness::record), with the wakers of others appended to `wakers`.
    #[cold]
    pub(super) fn record_with_others(&mut self, ready: Ready, wakers: &mut Vec<Waker>) -> Option<ArenaKey> {
        if let Some(others) = &mut self.others {
            for (_, waker) in others.list.extract_if(.., |(wanted, _)| ready.intersects(*wanted | ENDS)) {
                wakers.push(waker);
            }
            if others.list.is_empty() {
                self.others = None;
            }
        }
        self.record(ready)
    }

    /// Notes that a task of the loop waits. False when another one has the place.
    #[inline]
    pub(super) fn wait(&mut self, wanted: Ready, task: ArenaKey) -> bool {
        if !self.waits {
            (self.waits, self.task, self.wanted) = (true, task, wanted);
            return true;
        }
        let is_known = self.task == task;
        if is_known {
            self.wanted |= wanted;
        }
        is_known
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
        let mut swept = Vec::with_capacity(self.list.len());
        for (_, waker) in mem::take(&mut self.list) {
            swept.push(waker);
        }
        swept
    }
}
