use std::{
    collections::VecDeque,
    io::{self, IoSlice},
    mem,
    rc::Rc,
    task::{Context, Poll, Waker, ready},
};

use bytes::{Buf, Bytes};

use super::file::{QueuedFile, SEND_AT_ONCE};
use crate::{
    Result,
    buffer::PooledBuffer,
    contain::{drop_contained, wake, wake_all},
    iostream::Inner,
    sweep::Sweep,
    transport::Transport,
};

/// How often one turn of the loop may send for one stream before the others get theirs.
const SENDS_PER_POLL: usize = 16;

/// What one of these counts for when it sends from a file, in bytes.
const SEND_OF_A_FILE: usize = SEND_AT_ONCE / SENDS_PER_POLL;

/// How many queued pieces leave in one `writev`.
const PIECES_PER_SEND: usize = 64;

/// Up to which size a slice that is queued is copied behind others, in bytes.
const SMALL: usize = 4 * 1024;

/// How many bytes of small slices make a piece.
const TAIL_SIZE: usize = 16 * 1024;

/// What the memory of a piece is called, which may be the user's (`Bytes::from_owner`). A destructor that panics must not
/// take the queue's task along, nor leave what was sent in the queue, to be sent again.
const BYTES: &str = "bytes that were written";

/// What is written by one call, or what is left of it.
pub(super) enum Piece {
    Bytes(Bytes),
    File(QueuedFile),
}

impl Piece {
    fn len(&self) -> u64 {
        match self {
            Piece::Bytes(bytes) => bytes.len() as u64,
            Piece::File(file) => file.len(),
        }
    }

    /// How much memory it takes.
    fn in_memory(&self) -> usize {
        match self {
            Piece::Bytes(bytes) => bytes.len(),
            Piece::File(_) => 0,
        }
    }

    fn advance(&mut self, count: usize) {
        match self {
            Piece::Bytes(bytes) => bytes.advance(count),
            Piece::File(file) => file.advance(count as u64),
        }
    }
}

/// Pieces on their way to the kernel, and the tasks that wait for them to get there.
#[derive(Default)]
pub(crate) struct WriteQueue {
    pieces: VecDeque<Piece>,
    /// Small slices behind the pieces, copied together into memory of the thread's pool: a piece of each would cost an
    /// allocation.
    tail: PooledBuffer,
    /// The sum of the pieces and the tail.
    pub(super) len: u64,
    /// The part of it that is in memory.
    pub(super) in_memory: usize,
    /// Wakers, each with the count of sent bytes at which to wake. One entry per task.
    waiters: Vec<(u64, Waker)>,
    sweep: Sweep,
    /// The task that sends them, while it waits.
    pub(super) task: Option<Waker>,
}

impl WriteQueue {
    pub(super) fn push(&mut self, piece: Piece) {
        if piece.len() > 0 {
            self.close_tail();
            self.len += piece.len();
            self.in_memory += piece.in_memory();
            self.pieces.push_back(piece);
        }
    }

    /// Pushes a copy.
    pub(super) fn push_slice(&mut self, slice: &[u8]) {
        if slice.len() > SMALL {
            return self.push(Piece::Bytes(Bytes::copy_from_slice(slice)));
        }
        if self.tail.len() + slice.len() > TAIL_SIZE {
            self.close_tail();
        }
        self.len += slice.len() as u64;
        self.in_memory += slice.len();
        self.tail.append(slice);
    }

    /// Makes the tail the last of the pieces.
    fn close_tail(&mut self) {
        if !self.tail.is_empty() {
            let all = self.tail.len();
            self.pieces.push_back(Piece::Bytes(self.tail.take(all)));
        }
    }

    /// Puts back what was shown to the transport. What was written meanwhile comes behind.
    fn put_back(&mut self, pieces: VecDeque<Piece>, tail: PooledBuffer) {
        let mut written = mem::replace(&mut self.pieces, pieces);
        let written_tail = mem::replace(&mut self.tail, tail);
        if !written.is_empty() || !written_tail.is_empty() {
            self.close_tail();
            self.pieces.append(&mut written);
            self.tail = written_tail;
        }
    }

    /// Puts the bytes that were read from the file which is first in its place, and the rest of it behind them.
    pub(super) fn put_before_file(&mut self, bytes: Bytes) {
        let Some(Piece::File(mut file)) = self.pieces.pop_front() else { return };
        file.set_read(bytes.len());
        self.in_memory += bytes.len();
        if file.len() > 0 {
            self.pieces.push_front(Piece::File(file));
        }
        self.pieces.push_front(Piece::Bytes(bytes));
    }

    /// Makes a task that waits already be woken at `end` too. False when it does not wait yet.
    pub(super) fn move_waiter(&mut self, end: u64, waker: &Waker) -> bool {
        let known = self.waiters.iter_mut().find(|(_, known)| known.will_wake(waker));
        known.map(|(earliest, _)| *earliest = end.min(*earliest)).is_some()
    }

    /// Returns those who are to be woken; see [`Sweep`].
    pub(super) fn add_waiter(&mut self, end: u64, waker: Waker, turn: impl FnOnce() -> u64) -> Vec<(u64, Waker)> {
        let (mut stale, len) = (Vec::new(), self.waiters.len());
        if !self.sweep.is_short(len) && self.sweep.is_due(len, turn()) {
            stale = mem::take(&mut self.waiters);
        }
        self.waiters.push((end, waker));
        stale
    }

    pub(crate) fn wake_all(self) {
        wake_all(self.waiters.into_iter().map(|(_, waker)| waker));
        for piece in self.pieces {
            drop_contained(BYTES, piece);
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether there are bytes that the kernel has not been offered.
    pub(super) fn is_fresh(&self) -> bool {
        self.task.is_none() && !self.is_empty()
    }

    /// Removes up to `count` sent bytes, at most from one piece. The emptied piece is for the caller to drop, because
    /// that may run user code.
    fn advance(&mut self, count: &mut usize) -> Option<Piece> {
        let Some(front) = self.pieces.front_mut() else {
            let step = self.tail.len().min(mem::take(count));
            self.len -= step as u64;
            self.in_memory -= step;
            self.tail.consume(step);
            return None;
        };
        let all = front.len();
        let step = usize::try_from(all).map_or(*count, |all| all.min(*count));
        *count -= step;
        self.len -= step as u64;
        self.in_memory -= step.min(front.in_memory());
        if (step as u64) < all {
            front.advance(step);
            return None;
        }
        self.pieces.pop_front()
    }

    fn file_in_front(&self) -> Option<&QueuedFile> {
        match self.pieces.front() {
            Some(Piece::File(file)) => Some(file),
            _ => None,
        }
    }
}

impl Inner {
    /// Sends the queue. Ready when it is empty or the stream is closed.
    pub(super) fn poll_drain(self: &Rc<Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut sends = 0;
        while sends < SENDS_PER_POLL {
            if self.queue.borrow().as_ref().is_none_or(|queue| queue.is_empty()) {
                // Away before anybody is woken: a woken writer finds no queue and sends by itself.
                if let Some(queue) = self.queue.take() {
                    queue.wake_all();
                }
                // A peer's FIN that came meanwhile has waited for this.
                self.close_after_eof();
                return Poll::Ready(());
            }
            let is_file = self.queue.borrow().as_ref().is_some_and(|queue| queue.file_in_front().is_some());
            let most_of_file = (SENDS_PER_POLL - sends) * SEND_OF_A_FILE;
            match ready!(self.poll_send_queued(cx, most_of_file)) {
                Ok(sent) => {
                    // A file that the kernel takes whole is a turn. One that fills the socket is not: the next call waits.
                    sends += if is_file { sent.div_ceil(SEND_OF_A_FILE).max(1) } else { 1 };
                    self.remove_sent(sent);
                }
                // The stream is closed now, and the writers are told why.
                Err(_) => return Poll::Ready(()),
            }
        }
        // The peer reads as fast as this sends: go on in the next turn.
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Sends from what is first in the queue; if that is a file, so many bytes at most.
    fn poll_send_queued(self: &Rc<Self>, cx: &mut Context<'_>, most_of_file: usize) -> Poll<Result<usize>> {
        let file = self.queue.borrow().as_ref().and_then(|queue| queue.file_in_front().cloned());
        if let Some(part) = file {
            return self.poll_send_file(cx, &part, most_of_file);
        }
        let sent = self.with_pieces(&mut |transport, pieces| match pieces {
            // One piece is the common case, and send(2) is cheaper for it.
            [piece] => transport.poll_send(cx, piece),
            pieces => transport.poll_send_vectored(cx, pieces),
        });
        sent.map(|result| match result {
            Ok(sent) => Ok(self.count_sent(sent)),
            Err(error) => Err(self.fail(error)),
        })
    }

    /// Sends what the kernel takes of the queue although it has not told of room. Returns whether that was anything.
    ///
    /// Linux tells of room in a TCP socket when a third of its buffer is free (`sk_stream_is_writeable`), and takes bytes
    /// earlier. The buffer may have grown to megabytes: a client that reads steadily is a minute away from that third.
    pub(crate) fn offer_queued(self: &Rc<Self>) -> bool {
        let file = self.queue.borrow().as_ref().and_then(|queue| queue.file_in_front().cloned());
        let result = match file {
            Some(part) => self.try_send_part(&part).map_or(Poll::Pending, Poll::Ready),
            None => self.with_pieces(&mut |transport, pieces| match pieces {
                [] => Poll::Pending,
                pieces => Poll::Ready(transport.try_send_vectored(pieces)),
            }),
        };
        // An error shows by itself: the queue's task meets it at its next attempt.
        let Poll::Ready(Ok(sent)) = result else { return false };
        let sent = self.count_sent(sent);
        self.remove_sent(sent);
        sent > 0
    }

    /// Shows the queued pieces, or as many of them as leave in one call, to `send`.
    fn with_pieces(&self, send: &mut SendPieces<'_>) -> Poll<io::Result<usize>> {
        // Taken out, because the transport keeps the task's waker, and cloning that is foreign code.
        let taken =
            self.queue.borrow_mut().as_mut().map(|queue| (mem::take(&mut queue.pieces), mem::take(&mut queue.tail)));
        let Some((pieces, tail)) = taken else { return Poll::Ready(Ok(0)) };
        let shown = Shown { pieces, tail, inner: self };
        let mut slices = [IoSlice::new(&[]); PIECES_PER_SEND];
        let bytes = shown.pieces.iter().map_while(|piece| match piece {
            Piece::Bytes(bytes) => Some(&bytes[..]),
            Piece::File(_) => None,
        });
        let mut count = slices.iter_mut().zip(bytes).map(|(slice, bytes)| *slice = IoSlice::new(bytes)).count();
        if count == shown.pieces.len() && count < slices.len() && !shown.tail.is_empty() {
            slices[count] = IoSlice::new(shown.tail.as_slice());
            count += 1;
        }
        send(&self.transport.borrow(), &slices[..count])
    }

    /// Takes what was sent off the queue and wakes the writers that waited for it.
    fn remove_sent(&self, mut sent: usize) {
        while sent > 0 {
            let emptied = self.queue.borrow_mut().as_mut().and_then(|queue| queue.advance(&mut sent));
            // The last piece is not empty yet. An emptied one is dropped outside of the borrow.
            let Some(emptied) = emptied else { break };
            drop_contained(BYTES, emptied);
        }
        // One at a time, because a waker is foreign code: it may write, and so change the list.
        loop {
            let done = self.sent.get();
            let reached = self.queue.borrow_mut().as_mut().and_then(|queue| {
                let at = queue.waiters.iter().position(|(end, _)| *end <= done)?;
                Some(queue.waiters.remove(at))
            });
            match reached {
                Some((_, waker)) => wake(waker),
                None => break,
            }
        }
    }
}

/// What is out of the queue while it is shown to the transport. It goes back also when a transport of the user's panics.
struct Shown<'a> {
    pieces: VecDeque<Piece>,
    tail: PooledBuffer,
    inner: &'a Inner,
}

impl Drop for Shown<'_> {
    fn drop(&mut self) {
        if let Some(queue) = self.inner.queue.borrow_mut().as_mut() {
            queue.put_back(mem::take(&mut self.pieces), mem::take(&mut self.tail));
        }
    }
}

/// Hands the transport the pieces shown, in one call.
type SendPieces<'a> = dyn FnMut(&Transport, &[IoSlice<'_>]) -> Poll<io::Result<usize>> + 'a;

#[cfg(test)]
mod tests {
    use std::{future::Future, pin::pin, sync::Arc, task::Wake};

    use ioloop::IOLoop;

    use super::*;
    use crate::memory;

    struct Gone;

    impl Wake for Gone {
        fn wake(self: Arc<Self>) {}
    }

    #[test]
    fn writers_that_are_gone_are_forgotten() {
        let (stream, _peer) = memory::pair(1);
        drop(stream.write("more than it takes"));
        IOLoop::current().run_sync(async {
            for _ in 0..1000 {
                let waker = Waker::from(Arc::new(Gone));
                assert!(pin!(stream.flush()).poll(&mut Context::from_waker(&waker)).is_pending());
                ioloop::yield_now().await;
            }
        });
        let waiting = stream.inner.queue.borrow().as_ref().map_or(0, |queue| queue.waiters.len());
        assert!(waiting <= 64, "{waiting} wakers are kept");
    }
}
