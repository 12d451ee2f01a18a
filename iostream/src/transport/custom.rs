use std::{
    fmt,
    io::{self, IoSlice},
    os::fd::BorrowedFd,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Wake, Waker},
};

use ioloop::IOLoop;

use super::{
    Kind, total,
    waiting::{Events, Waiting, wake_all},
};
use crate::{CustomTransport, contain::drop_contained, error::kind};

/// A transport that a user has brought. Keeps the tasks that wait, so that the user's part needs a single waker.
pub(crate) struct Custom<T> {
    ioloop: IOLoop,
    tasks: Arc<Tasks>,
    /// Wakes all of them.
    waker: Waker,
    transport: T,
}

/// The tasks that wait in a transport.
#[derive(Default)]
struct Tasks(Mutex<State>);

#[derive(Default)]
struct State {
    waiting: Waiting,
    /// How often they were woken: a wake-up that comes while a method runs must not be missed.
    wakes: u64,
}

/// Nothing is told apart: each wake-up is for all of them.
const ANY: Events = 1;

impl<T: CustomTransport> Custom<T> {
    pub(crate) fn new(transport: T) -> Custom<T> {
        let tasks = Arc::new(Tasks::default());
        let waker = Waker::from(Arc::clone(&tasks));
        Custom { ioloop: IOLoop::current(), tasks, waker, transport }
    }

    fn send(&self, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        if data.is_empty() {
            return Poll::Ready(Ok(0));
        }
        uninterrupted(|| self.transport.poll_send(cx, data)).map(|result| check_sent(result?, data.len()))
    }

    fn send_vectored(&self, cx: &mut Context<'_>, pieces: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let total = total(pieces);
        if total == 0 {
            return Poll::Ready(Ok(0));
        }
        uninterrupted(|| self.transport.poll_send_vectored(cx, pieces)).map(|result| check_sent(result?, total))
    }

    /// Calls the transport with the shared waker, and keeps the task's own when it has to wait.
    fn poll<R>(&self, cx: &mut Context<'_>, call: impl FnOnce(&T, &mut Context<'_>) -> Poll<R>) -> Poll<R> {
        let wakes = self.tasks.lock().wakes;
        let result = call(&self.transport, &mut Context::from_waker(&self.waker));
        if result.is_pending() {
            self.tasks.add(cx.waker(), wakes, &self.ioloop);
        }
        result
    }
}

impl<T: CustomTransport> Kind for Custom<T> {
    fn poll_recv_ready(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.poll(cx, |transport, cx| transport.poll_recv_ready(cx))
    }

    fn poll_recv(&self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        self.poll(cx, |transport, cx| uninterrupted(|| transport.poll_recv(cx, buf)))
            .map(|result| check(result?, buf.len()))
    }

    /// By the waker that all tasks share, so the transport's place for a waker is not taken from a task that waits.
    fn try_send(&self, data: &[u8]) -> io::Result<usize> {
        at_once(self.send(&mut Context::from_waker(&self.waker), data))
    }

    fn try_send_vectored(&self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        at_once(self.send_vectored(&mut Context::from_waker(&self.waker), pieces))
    }

    fn poll_send(&self, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        self.poll(cx, |_, cx| self.send(cx, data))
    }

    fn poll_send_vectored(&self, cx: &mut Context<'_>, pieces: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        self.poll(cx, |_, cx| self.send_vectored(cx, pieces))
    }

    fn poll_peer_closed(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.poll(cx, |transport, cx| transport.poll_peer_closed(cx))
    }

    fn poll_broken(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.poll(cx, |transport, cx| transport.poll_broken(cx))
    }

    fn is_readable(&self) -> bool {
        self.transport.is_readable()
    }

    fn is_peer_closed(&self) -> bool {
        self.transport.is_peer_closed()
    }

    fn is_broken(&self) -> bool {
        self.transport.is_broken()
    }

    fn poll_shutdown(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll(cx, |transport, cx| uninterrupted(|| transport.poll_shutdown(cx)))
    }

    fn close(self: Box<Self>, _sole: bool) {
        let tasks = Arc::clone(&self.tasks);
        // The user's transport closes first, as a descriptor would.
        drop_contained("a custom transport", self);
        tasks.wake_all();
    }

    fn ioloop(&self) -> &IOLoop {
        &self.ioloop
    }

    fn fmt_peer(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a custom transport")
    }

    fn as_fd(&self) -> Option<BorrowedFd<'_>> {
        self.transport.as_fd()
    }
}

impl Tasks {
    /// Keeps `waker` until the tasks are woken; wakes it now when they have been since they were woken `wakes` times.
    #[inline]
    fn add(&self, waker: &Waker, wakes: u64, ioloop: &IOLoop) {
        if self.lock().waiting.add_events(ANY, waker) && self.lock().wakes == wakes {
            return;
        }
        let waker = waker.clone();
        let turn = ioloop.metrics().turns;
        let mut state = self.lock();
        if state.wakes != wakes {
            drop(state);
            return waker.wake();
        }
        let stale = state.waiting.push(ANY, waker, turn);
        drop(state);
        wake_all(stale);
    }

    #[inline]
    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing that can panic runs under the lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[inline]
    fn wake_all(&self) {
        let mut state = self.lock();
        state.wakes += 1;
        let woken = state.waiting.take(ANY);
        drop(state);
        wake_all(woken);
    }
}

impl Wake for Tasks {
    #[inline]
    fn wake(self: Arc<Self>) {
        self.wake_all();
    }

    #[inline]
    fn wake_by_ref(self: &Arc<Self>) {
        self.wake_all();
    }
}

impl<T> fmt::Debug for Custom<T> {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Custom").finish_non_exhaustive()
    }
}

/// A count that a transport claims, if it can be true.
#[inline]
fn check(count: usize, limit: usize) -> io::Result<usize> {
    if count > limit {
        return Err(io::Error::other(format!("the transport claims to have moved {count} bytes of {limit}")));
    }
    Ok(count)
}

/// The same for sending, which would be tried again and again if it made no progress.
#[inline]
fn check_sent(count: usize, limit: usize) -> io::Result<usize> {
    if count == 0 {
        return Err(io::Error::new(io::ErrorKind::WriteZero, "the transport has sent nothing and does not wait"));
    }
    check(count, limit)
}

#[inline]
fn at_once(result: Poll<io::Result<usize>>) -> io::Result<usize> {
    match result {
        Poll::Ready(result) => result,
        Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
    }
}

fn uninterrupted<T>(mut call: impl FnMut() -> Poll<io::Result<T>>) -> Poll<io::Result<T>> {
    loop {
        match call() {
            Poll::Ready(Err(error)) if kind(&error) == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A peer that does nothing.
    struct Silence;

    impl CustomTransport for Silence {
        fn poll_recv(&self, _: &mut Context<'_>, _: &mut [u8]) -> Poll<io::Result<usize>> {
            Poll::Pending
        }

        fn poll_send(&self, _: &mut Context<'_>, _: &[u8]) -> Poll<io::Result<usize>> {
            Poll::Pending
        }

        fn poll_shutdown(&self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Pending
        }
    }

    /// A task that has gone.
    struct Gone;

    impl Wake for Gone {
        fn wake(self: Arc<Self>) {}
    }

    #[test]
    fn tasks_that_are_gone_are_forgotten() {
        let custom = Custom::new(Silence);
        IOLoop::current().run_sync(async {
            for _ in 0..1000 {
                let waker = Waker::from(Arc::new(Gone));
                assert!(custom.poll_peer_closed(&mut Context::from_waker(&waker)).is_pending());
                ioloop::yield_now().await;
            }
        });
        let waiting = custom.tasks.lock().waiting.len();
        assert!(waiting <= 64, "{waiting} wakers are kept");
    }
}
