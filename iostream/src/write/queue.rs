use std::{
    collections::VecDeque,
    io::IoSlice,
    task::{Context, Poll, Waker, ready},
};

use bytes::{Buf, Bytes};
use ioloop::Ready;

use crate::{Result, iostream::Inner};

/// How often one turn of the loop may send for one stream before the others get theirs.
const SENDS_PER_POLL: usize = 16;

/// How many queued pieces leave in one `writev`.
const PIECES_PER_SEND: usize = 64;

/// Bytes on their way to the kernel, and who waits for them to get there.
#[derive(Default)]
pub(crate) struct WriteQueue {
    pieces: VecDeque<Bytes>,
    /// The sum of the pieces.
    pub(super) len: usize,
    /// Wakers, each with the count of sent bytes at which to wake. One entry per task.
    waiters: Vec<(u64, Waker)>,
}

impl WriteQueue {
    pub(super) fn push(&mut self, piece: Bytes) {
        if !piece.is_empty() {
            self.len += piece.len();
            self.pieces.push_back(piece);
        }
    }

    pub(super) fn wake_at(&mut self, end: u64, waker: &Waker) {
        match self.waiters.iter_mut().find(|(_, known)| known.will_wake(waker)) {
            Some((earliest, _)) => *earliest = end.min(*earliest),
            None => self.waiters.push((end, waker.clone())),
        }
    }

    pub(crate) fn wake_all(self) {
        self.waiters.into_iter().for_each(|(_, waker)| waker.wake());
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Removes up to `count` sent bytes, at most from one piece. The emptied piece is for the caller to drop, because
    /// that may run user code.
    fn advance(&mut self, count: &mut usize) -> Option<Bytes> {
        let front = self.pieces.front_mut()?;
        let step = front.len().min(*count);
        *count -= step;
        self.len -= step;
        if step < front.len() {
            front.advance(step);
            return None;
        }
        self.pieces.pop_front()
    }
}

impl Inner {
    /// Sends the queue. Ready when it is empty or the stream is closed.
    pub(super) fn poll_drain(&self, cx: &mut Context<'_>) -> Poll<()> {
        for _ in 0..SENDS_PER_POLL {
            if self.queue.borrow().as_ref().is_none_or(|queue| queue.is_empty()) {
                if let Some(queue) = self.queue.take() {
                    queue.wake_all();
                }
                self.close_after_eof();
                return Poll::Ready(());
            }
            ready!(self.transport.borrow().poll_ready(cx, Ready::WRITABLE));
            match self.send_queued() {
                Ok(sent) => self.remove_sent(sent),
                // The stream is closed now, and the writers are told why.
                Err(error) => {
                    log::debug!("sending what was queued: {error}");
                    return Poll::Ready(());
                }
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn send_queued(&self) -> Result<usize> {
        let queue = self.queue.borrow();
        let Some(pieces) = queue.as_ref().map(|queue| &queue.pieces) else {
            return Ok(0);
        };
        let mut slices = [IoSlice::new(&[]); PIECES_PER_SEND];
        let count = pieces.len().min(slices.len());
        slices.iter_mut().zip(pieces).for_each(|(slice, piece)| *slice = IoSlice::new(piece));
        let slices = &slices[..count];
        let total = slices.iter().map(|slice| slice.len()).sum();
        let result = self.transport.borrow().send_vectored(slices);
        drop(queue);
        self.account(total, result)
    }

    /// Takes what was sent off the queue and wakes the writers who waited for it.
    fn remove_sent(&self, mut sent: usize) {
        while sent > 0 {
            let emptied = self.queue.borrow_mut().as_mut().and_then(|queue| queue.advance(&mut sent));
            if emptied.is_none() {
                break;
            }
        }
        loop {
            let done = self.sent.get();
            let reached = self.queue.borrow_mut().as_mut().and_then(|queue| {
                let at = queue.waiters.iter().position(|(end, _)| *end <= done)?;
                Some(queue.waiters.remove(at))
            });
            match reached {
                Some((_, waker)) => waker.wake(),
                None => break,
            }
        }
    }
}
