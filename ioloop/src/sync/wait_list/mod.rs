#[cfg(test)]
mod tests;

use std::{
    any::Any,
    cell::RefCell,
    fmt,
    marker::PhantomData,
    mem,
    num::NonZeroU64,
    task::{Context, Poll},
};

use crate::{
    Waiter,
    arena::{KEEP, growth},
};

/// Those who wait for one thing, oldest first: the part that everything in [`sync`](crate::sync) has in common.
///
/// A waiter stands in line until it is notified or leaves. *Not standing in line any more is being notified*: there is
/// no other mark to keep, and a waiter that is gone costs nothing. `P` is what a waiter brings along.
///
/// The line is a linked list through one vector, so joining, leaving and being notified take a few instructions each, and
/// no allocation while the line is no longer than it has been before.
///
/// No method runs foreign code (a waker's clone, wake or drop) while the line is borrowed.
///
/// ```compile_fail,E0277
/// fn to_another_thread(_: impl Send) {}
/// to_another_thread(ioloop::sync::Event::new());
/// ```
pub(super) struct WaitList<P = ()> {
    line: RefCell<Line<P>>,
    /// Everything built on it stays on its thread, even before somebody waits.
    _not_send: PhantomData<*const ()>,
}

/// Where a waiter stands. The ticket is never given out twice, so a place kept too long finds nobody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    ticket: NonZeroU64,
    index: u32,
}

/// Somebody taken out of the line, not woken yet, and what they brought.
#[must_use = "a waiter that is taken out has to be woken"]
pub(super) struct Notified<P> {
    waiter: Option<Waiter>,
    pub(super) payload: P,
}

impl<P: Default> WaitList<P> {
    pub(super) const fn new() -> Self {
        WaitList { line: RefCell::new(Line::new()), _not_send: PhantomData }
    }

    pub(super) fn len(&self) -> usize {
        self.line.borrow().len as usize
    }

    /// Takes the last place. Nobody is woken for it before [`poll_notified`](WaitList::poll_notified) was called.
    pub(super) fn join(&self, payload: P) -> Place {
        self.line.borrow_mut().push(None, payload)
    }

    /// [`join`](WaitList::join) and [`poll_notified`](WaitList::poll_notified) in one step. To make the waiter, the caller may
    /// have run foreign code: what it waits for has to be looked at after that.
    pub(super) fn join_with(&self, waiter: Waiter, payload: P) -> Place {
        self.line.borrow_mut().push(Some(waiter), payload)
    }

    /// Ready once the waiter has been notified, which is as long as it likes: from then on the place means nothing.
    pub(super) fn poll_notified(&self, place: Place, cx: &mut Context<'_>) -> Poll<()> {
        match self.line.borrow_mut().get_mut(place) {
            None => return Poll::Ready(()),
            Some(node) if node.waiter.as_ref().is_some_and(|known| known.will_wake(cx.waker())) => {
                return Poll::Pending;
            }
            Some(_) => {}
        }
        // Cloning may run anything, a notification of this very waiter included: look again.
        let waiter = Waiter::new(cx.waker());
        let earlier = match self.line.borrow_mut().get_mut(place) {
            None => return Poll::Ready(()),
            Some(node) => node.waiter.replace(waiter),
        };
        drop(earlier);
        Poll::Pending
    }

    /// Gives the place up. Returns what the waiter brought, or `None` when it had been notified.
    pub(super) fn leave(&self, place: Place) -> Option<P> {
        let left = self.line.borrow_mut().remove(place)?;
        Some(left.payload)
    }

    /// Takes out the oldest waiter; the caller wakes it when its own state is in order.
    pub(super) fn pop(&self) -> Option<Notified<P>> {
        let mut line = self.line.borrow_mut();
        let oldest = line.pop_before(u64::MAX);
        line.shrink();
        oldest
    }

    /// Notifies the oldest waiter and says whether there was one.
    pub(super) fn notify_one(&self) -> bool {
        let oldest = self.pop();
        oldest.map(Notified::wake).is_some()
    }

    /// Notifies the oldest `count` of those who stand in line at this moment. Those who join while the others are woken
    /// wait on.
    pub(super) fn notify(&self, count: usize) {
        let (bound, present) = (self.now(), self.len());
        for _ in 0..count.min(present) {
            let next = self.line.borrow_mut().pop_before(bound.0);
            let Some(waiter) = next else { break };
            waiter.wake();
        }
        if present > 0 {
            self.line.borrow_mut().end_round(present);
        }
    }

    /// Notifies everybody who stands in line at this moment.
    pub(super) fn notify_all(&self) {
        self.notify(usize::MAX);
    }

    /// Puts those who wait to memory that is allocated now, and returns what is left.
    #[inline]
    pub(super) fn move_ahead(&self) -> Box<dyn Any>
    where
        P: 'static,
    {
        let mut line = self.line.borrow_mut();
        // Where there is no table, no block is taken for the answer either: there may be thousands of lists.
        if line.nodes.capacity() == 0 { Box::new(()) } else { Box::new(line.move_ahead()) }
    }

    /// Parts those who have joined already from those who will.
    pub(super) fn now(&self) -> Bound {
        Bound(self.line.borrow().next_ticket)
    }
}

impl<P> Notified<P> {
    pub(super) fn wake(self) {
        if let Some(waiter) = self.waiter {
            waiter.wake();
        }
    }
}

impl<P> fmt::Debug for WaitList<P> {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WaitList").field("waiting", &self.line.borrow().len).finish()
    }
}

/// A moment in the life of a [`WaitList`].
#[derive(Debug, Clone, Copy)]
pub(super) struct Bound(u64);

impl Bound {
    /// Before everything.
    pub(super) const START: Bound = Bound(0);

    /// Whether `place` was taken before this moment.
    pub(super) fn includes(self, place: Place) -> bool {
        place.ticket.get() < self.0
    }
}

/// The list itself.
struct Line<P> {
    nodes: Vec<Node<P>>,
    /// The first of the unused nodes, which are linked through `next`.
    free: u32,
    oldest: u32,
    newest: u32,
    len: u32,
    /// Of the next to join. Counting one a nanosecond, it lasts for five centuries.
    next_ticket: u64,
}

struct Node<P> {
    /// 0 when the node is unused.
    ticket: u64,
    waiter: Option<Waiter>,
    older: u32,
    newer: u32,
    payload: P,
}

/// No node.
const NONE: u32 = u32::MAX;

impl<P: Default> Line<P> {
    const fn new() -> Self {
        Line { nodes: Vec::new(), free: NONE, oldest: NONE, newest: NONE, len: 0, next_ticket: 1 }
    }

    fn push(&mut self, waiter: Option<Waiter>, payload: P) -> Place {
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        let index = self.unused();
        let node = &mut self.nodes[index as usize];
        self.free = node.newer;
        *node = Node { ticket, waiter, older: self.newest, newer: NONE, payload };
        match self.newest {
            NONE => self.oldest = index,
            newest => self.nodes[newest as usize].newer = index,
        }
        self.newest = index;
        self.len += 1;
        Place { ticket: NonZeroU64::new(ticket).expect("counts from 1"), index }
    }

    /// The first of the unused nodes, made if there is none.
    fn unused(&mut self) -> u32 {
        if self.free == NONE {
            let len = self.nodes.len();
            self.free = u32::try_from(len).expect("memory ends before 2^32 waiters");
            if len == self.nodes.capacity() {
                self.nodes.reserve_exact(growth(len));
            }
            self.nodes.push(Node { ticket: 0, waiter: None, older: NONE, newer: NONE, payload: P::default() });
        }
        self.free
    }

    fn get_mut(&mut self, place: Place) -> Option<&mut Node<P>> {
        let node = self.nodes.get_mut(place.index as usize)?;
        (node.ticket == place.ticket.get()).then_some(node)
    }

    fn remove(&mut self, place: Place) -> Option<Notified<P>> {
        self.get_mut(place)?;
        let gone = self.unlink(place.index);
        self.shrink();
        Some(gone)
    }

    /// The oldest waiter, when its ticket is below `bound`.
    fn pop_before(&mut self, bound: u64) -> Option<Notified<P>> {
        let oldest = self.oldest;
        if oldest == NONE || self.nodes[oldest as usize].ticket >= bound {
            return None;
        }
        Some(self.unlink(oldest))
    }

    fn unlink(&mut self, index: u32) -> Notified<P> {
        let node = &mut self.nodes[index as usize];
        let (older, newer) = (node.older, node.newer);
        node.ticket = 0;
        node.newer = mem::replace(&mut self.free, index);
        let gone = Notified { waiter: node.waiter.take(), payload: mem::take(&mut node.payload) };
        match older {
            NONE => self.oldest = newer,
            older => self.nodes[older as usize].newer = newer,
        }
        match newer {
            NONE => self.newest = older,
            newer => self.nodes[newer as usize].older = older,
        }
        self.len -= 1;
        gone
    }

    /// After `count` were there to be woken. They will most likely be back together, so their memory is kept, but not that
    /// of a crowd which has gone home meanwhile.
    fn end_round(&mut self, count: usize) {
        if self.nodes.capacity() / 8 > count {
            self.shrink();
        }
    }

    /// A crowd that goes home must not leave its memory here, whether all go or some stay. Looked at as their number halves.
    fn shrink(&mut self) {
        let (len, capacity) = (self.len as usize, self.nodes.capacity());
        if capacity > KEEP && len <= capacity / 8 && (len.is_power_of_two() || len == 0) {
            self.cut();
        }
    }

    /// Frees what lies behind the last waiter, which is nothing if it is in the last place.
    #[cold]
    fn cut(&mut self) {
        let last = self.nodes.iter().rposition(|node| node.ticket != 0);
        let used = last.map_or(0, |last| last + 1);
        if used < self.nodes.len() {
            self.nodes.truncate(used);
            self.link_free();
        }
        self.nodes.shrink_to_fit();
    }

    /// Links the unused nodes anew, the first of them first.
    fn link_free(&mut self) {
        self.free = NONE;
        for (index, node) in self.nodes.iter_mut().enumerate().rev() {
            if node.ticket == 0 {
                // It was one before.
                node.newer = mem::replace(&mut self.free, index as u32);
            }
        }
    }

    /// As [`move_ahead`](crate::move_ahead) does with other tables.
    #[cold]
    fn move_ahead(&mut self) -> Vec<Node<P>> {
        self.cut();
        if self.nodes.capacity() > KEEP {
            return Vec::new();
        }
        let mut ahead = Vec::with_capacity(self.nodes.len());
        ahead.append(&mut self.nodes);
        mem::replace(&mut self.nodes, ahead)
    }
}
