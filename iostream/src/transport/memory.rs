use std::{
    cell::{Cell, RefCell},
    fmt,
    io::{self, IoSlice},
    rc::Rc,
    task::{Context, Poll, Waker},
};

use ioloop::IOLoop;
use nix::errno::Errno;

use super::{
    Kind,
    waiting::{Events, Waiting, wake_all},
};
use crate::buffer::PooledBuffer;

/// One end of an in-memory pair.
pub(crate) struct Memory {
    ioloop: IOLoop,
    link: Rc<Link>,
    /// Which of the link's ends this is.
    side: usize,
}

/// What the two ends share.
struct Link {
    /// How many bytes may be on their way in one direction.
    capacity: usize,
    ends: [End; 2],
}

/// What an end is told by the other.
#[derive(Default)]
struct End {
    /// Bytes on their way to this end. Owns memory only while there are some.
    inbox: RefCell<PooledBuffer>,
    waiting: RefCell<Waiting>,
    /// This end has sent its FIN.
    ended: Cell<bool>,
    /// This end has been closed.
    closed: Cell<bool>,
    /// The other end was closed with unread bytes.
    reset: Cell<bool>,
}

const RECV: Events = 1;
const SEND: Events = 2;
const PEER_CLOSED: Events = 4;
const BROKEN: Events = 8;
const ALL: Events = RECV | SEND | PEER_CLOSED | BROKEN;

impl Memory {
    /// Both ends, on the current loop.
    #[inline]
    pub(crate) fn pair(capacity: usize) -> (Memory, Memory) {
        let link = Rc::new(Link { capacity, ends: Default::default() });
        let end = |side| Memory { ioloop: IOLoop::current(), link: Rc::clone(&link), side };
        (end(0), end(1))
    }

    #[inline]
    fn us(&self) -> &End {
        &self.link.ends[self.side]
    }

    #[inline]
    fn peer(&self) -> &End {
        &self.link.ends[1 - self.side]
    }
}

impl Kind for Memory {
    #[inline]
    fn poll_recv_ready(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.poll(cx, RECV, || self.is_readable().then_some(()))
    }

    #[inline]
    fn poll_recv(&self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        self.poll(cx, RECV, || self.try_recv(buf))
    }

    #[inline]
    fn try_send(&self, data: &[u8]) -> io::Result<usize> {
        self.try_send_vectored(&[IoSlice::new(data)])
    }

    #[inline]
    fn try_send_vectored(&self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        self.send_now(pieces).unwrap_or_else(|| Err(io::ErrorKind::WouldBlock.into()))
    }

    #[inline]
    fn poll_send(&self, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_send_vectored(cx, &[IoSlice::new(data)])
    }

    #[inline]
    fn poll_send_vectored(&self, cx: &mut Context<'_>, pieces: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        self.poll(cx, SEND, || self.send_now(pieces))
    }

    #[inline]
    fn poll_peer_closed(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.poll(cx, PEER_CLOSED, || self.is_peer_closed().then_some(()))
    }

    #[inline]
    fn poll_broken(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.poll(cx, BROKEN, || self.is_broken().then_some(()))
    }

    #[inline]
    fn is_readable(&self) -> bool {
        !self.us().inbox.borrow().is_empty() || self.is_peer_closed()
    }

    #[inline]
    fn is_peer_closed(&self) -> bool {
        self.peer().ended.get()
    }

    #[inline]
    fn is_broken(&self) -> bool {
        self.us().reset.get() || self.us().ended.get() && self.peer().ended.get()
    }

    #[inline]
    fn poll_shutdown(&self, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.us().ended.set(true);
        self.peer().wake(ALL);
        // A connection that has ended both ways is broken, which we may be waiting for too.
        self.us().wake(BROKEN);
        Poll::Ready(Ok(()))
    }

    /// The rest is done by `drop`.
    #[inline]
    fn close(self: Box<Self>, _sole: bool) {}

    #[inline]
    fn ioloop(&self) -> &IOLoop {
        &self.ioloop
    }

    #[inline]
    fn fmt_peer(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a stream in memory")
    }
}

impl Memory {
    /// `None` when nothing has come.
    #[inline]
    fn try_recv(&self, buf: &mut [u8]) -> Option<io::Result<usize>> {
        let mut inbox = self.us().inbox.borrow_mut();
        let count = inbox.len().min(buf.len());
        if count > 0 {
            buf[..count].copy_from_slice(&inbox.as_slice()[..count]);
            inbox.consume(count);
            drop(inbox);
            self.peer().wake(SEND);
            return Some(Ok(count));
        }
        match () {
            () if self.us().reset.get() => Some(Err(Errno::ECONNRESET.into())),
            () if self.peer().ended.get() => Some(Ok(0)),
            () => None,
        }
    }

    /// `None` when there is no room.
    #[inline]
    fn send_now(&self, pieces: &[IoSlice<'_>]) -> Option<io::Result<usize>> {
        if self.us().reset.get() {
            return Some(Err(Errno::ECONNRESET.into()));
        }
        if self.us().ended.get() || self.peer().closed.get() {
            return Some(Err(Errno::EPIPE.into()));
        }
        let mut sent = 0;
        {
            let mut inbox = self.peer().inbox.borrow_mut();
            for piece in pieces {
                let count = piece.len().min(self.link.capacity - inbox.len());
                inbox.append(&piece[..count]);
                sent += count;
            }
        }
        if sent == 0 && pieces.iter().any(|piece| !piece.is_empty()) {
            return None;
        }
        self.peer().wake(RECV);
        Some(Ok(sent))
    }

    fn poll<T>(&self, cx: &mut Context<'_>, event: Events, mut attempt: impl FnMut() -> Option<T>) -> Poll<T> {
        if let Some(result) = attempt() {
            return Poll::Ready(result);
        }
        self.wait(event, cx.waker());
        // Cloning the waker was foreign code, which may have used the other end; that woke no task yet.
        attempt().map_or(Poll::Pending, Poll::Ready)
    }

    /// Keeps `waker` until one of `events` comes.
    #[inline]
    fn wait(&self, events: Events, waker: &Waker) {
        let waiting = &self.us().waiting;
        if waiting.borrow_mut().add_events(events, waker) {
            return;
        }
        let waker = waker.clone();
        let turn = self.ioloop.metrics().turns;
        let stale = waiting.borrow_mut().push(events, waker, turn);
        wake_all(stale);
    }
}

impl Drop for Memory {
    #[inline]
    fn drop(&mut self) {
        let (us, peer) = (self.us(), self.peer());
        us.ended.set(true);
        us.closed.set(true);
        let unread = us.inbox.take();
        if !unread.is_empty() {
            peer.reset.set(true);
        }
        peer.wake(ALL);
        us.wake(ALL);
    }
}

impl fmt::Debug for Memory {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Memory")
            .field("capacity", &self.link.capacity)
            .field("unread", &self.us().inbox.borrow().len())
            .finish_non_exhaustive()
    }
}

impl End {
    #[inline]
    fn wake(&self, events: Events) {
        let woken = self.waiting.borrow_mut().take(events);
        wake_all(woken);
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, task::Wake};

    use super::*;

    /// A task that has gone.
    struct Gone;

    impl Wake for Gone {
        fn wake(self: Arc<Self>) {}
    }

    #[test]
    fn tasks_that_are_gone_are_forgotten() {
        let (end, _other) = Memory::pair(1);
        IOLoop::current().run_sync(async {
            for _ in 0..1000 {
                let waker = Waker::from(Arc::new(Gone));
                assert!(end.poll_recv_ready(&mut Context::from_waker(&waker)).is_pending());
                ioloop::yield_now().await;
            }
        });
        let waiting = end.us().waiting.borrow().len();
        assert!(waiting <= 64, "{waiting} wakers are kept");
    }

    #[test]
    fn an_idle_pair_owns_no_buffer() {
        let (end, other) = Memory::pair(1 << 20);
        assert_eq!(end.try_send(b"x").unwrap(), 1);
        assert!(other.us().inbox.borrow().owns_memory());
        let mut cx = Context::from_waker(Waker::noop());
        assert!(matches!(other.poll_recv(&mut cx, &mut [0; 9]), Poll::Ready(Ok(1))));
        assert!(!other.us().inbox.borrow().owns_memory());
    }
}
